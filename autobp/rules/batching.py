"""Batching rules: how an operation is done for all examples of a batch at once.

A rule is called as

    rule(run, args, mapped, **params)

`run` is the operation itself. Where `mapped[i]` is true, `args[i]` has the examples along a new first axis;
the other arguments are the same for all examples. The rule returns the results with the examples along
the first axis. It says so in NumPy and by calling `run`, with other axes or shapes: the same text runs
on arrays, on Tensors of a derivative further out, on tracers, and on a batch of batches.

A row names its rule, `batch=along_axis`. An elementwise operation needs none. To add a rule, find the
one below that fits, or write one with the parameters of the operation in its signature:

    reductions, cumulative functions, softmax     along_axis
    operations on the last axes of one argument   leading
    operations that count axes from the front     one of the functions below, or one like them

`of(facts)` is None for an operation that has no rule: `vmap` refuses it by name.

>>> import numpy as np
>>> from autobp.rules.batching import along_axis
>>> along_axis(np.sum, [np.ones((2, 3, 4))], [True], axis=0)  # 2 examples of shape (3, 4)
array([[3., 3., 3., 3.],
       [3., 3., 3., 3.]])
"""

from __future__ import annotations

import math
import operator
import string
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from autobp.errors import ragged
from autobp.operation import Operation
from autobp.primitive import Variable

__all__ = [
    "Mapped",
    "Shared",
    "along_axis",
    "elementwise",
    "leading",
    "of",
]

Array = Any
Run = Callable[..., Array]
Rule = Callable[..., Array]
Axis = int | tuple[int, ...] | None


class Mapped(NamedTuple):
    """A part of an index or of a list of arguments that has the examples along its first axis."""

    value: Array


class Shared(NamedTuple):
    """A result that is the same for all examples, and has no axis for them."""

    value: Any


def of(facts: Operation) -> Rule | None:
    """The rule of an operation: what its row states, or what its form implies."""
    return facts.batch or (elementwise if facts.form == "elementwise" else None)


# ── what rules are made of ────────────────────────────────────────────────────────────────────────


def examples(args: Sequence[Array], mapped: Sequence[bool]) -> int:
    """How many examples there are."""
    return next(a.shape[0] for a, m in zip(args, mapped, strict=True) if m)


def ndim_of(a: Array, is_mapped: bool) -> int:
    """The number of axes of one example."""
    return np.ndim(a) - is_mapped


def widened(a: Array, ndim: int) -> Array:
    """Examples of a number of axes: those that are missing are put in front, after that of the batch."""
    lacking = ndim + 1 - a.ndim
    if lacking <= 0:
        return a
    return np.reshape(a, (a.shape[0], *(1,) * lacking, *a.shape[1:]))


def repeated(a: Array, is_mapped: bool, n: int) -> Array:
    """The argument for each example, also if it is the same for all."""
    return a if is_mapped else np.broadcast_to(a, (n, *np.shape(a)))


def inner(axis: Axis, ndim: int) -> Any:
    """Axes of an example as axes of the batch. Without one, all axes of the example."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple):
        return tuple(inner(a, ndim) for a in axis)
    if not ndim and axis in (0, -1):  # which a number has for NumPy
        return ()
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


def _as_examples_are(args: Sequence[Array], mapped: Sequence[bool]) -> Sequence[Array]:
    """A number of float64 is weak, as Python's floats are: it takes the dtype of the other arguments.
    So must the numbers of all examples, which are an array."""
    kinds = {a.dtype for a in args if hasattr(a, "dtype") and a.dtype.kind == "f"}
    if len(kinds) < 2:
        return args
    weak = [m and a.ndim == 1 and a.dtype == np.float64 for a, m in zip(args, mapped, strict=True)]
    strong = {
        a.dtype
        for a, w in zip(args, weak, strict=True)
        if not w and hasattr(a, "dtype") and a.dtype.kind in "fiu"
    }
    if not any(weak) or not all(dtype.kind == "f" for dtype in strong):
        return args
    dtype = np.result_type(*strong)
    return [a.astype(dtype) if w else a for a, w in zip(args, weak, strict=True)]


# ── by form ───────────────────────────────────────────────────────────────────────────────────────


def elementwise(run: Run, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Array:
    """Ranks are made equal, so that the examples are not broadcast with other axes."""
    if len(args) > 1 or params:
        args = _as_examples_are(args, mapped)
        args = _aligned(args, mapped, *params.values())
    return run(*args, **params)


def along_axis(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], axis: Axis, **params: Any
) -> Array:
    """An operation on one argument along an axis, or along several."""
    (x,) = args
    return run(x, axis=inner(axis, x.ndim - 1), **params)


def others(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> Array:
    """The products of other factors, which are told the axis by position."""
    x, y, axis = args
    return run(x, y, inner(axis, x.ndim - 1))


def leading(run: Run, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Array:
    """An operation on the last axes, which takes any axes before them as they are."""
    return run(*args, **params)


# ── products ──────────────────────────────────────────────────────────────────────────────────────


def product(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> Array:
    """A product of matrices, or of vectors. Where one factor is the same for all examples, it is one
    large product; a sum of products and an outer product are none."""
    (a, b), (ma, mb) = args, mapped
    m, n = a.ndim - ma, b.ndim - mb
    if not m or not n or a.shape[-1] != b.shape[-2 if n > 1 else -1]:
        raise ValueError("the shapes do not fit")  # which the operation explains
    if not mb and n < 3:
        if m == 1:
            return run(a, b)
        rows = np.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))
        return np.reshape(run(rows, b), (*a.shape[:-1], *b.shape[1:]))
    if not ma and n == 1 and m < 3:
        return run(b, a.T)
    if m == n == 1:
        return np.sum(a * b, axis=-1)
    left = a if m > 1 else np.expand_dims(a, -2)
    right = b if n > 1 else np.expand_dims(b, -1)
    ndim = max(ndim_of(left, ma), ndim_of(right, mb))
    left, right = (widened(x, ndim) if k else x for x, k in ((left, ma), (right, mb)))
    found = left * right if left.shape[-1] == 1 else run(left, right)
    if m == 1:
        return np.squeeze(found, -2)
    return np.squeeze(found, -1) if n == 1 else found


def linear(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> Array:
    """x wᵀ, for any axes of x in front."""
    x, w = args
    if not mapped[1]:
        return run(x, w)
    return product(np.matmul, (x, np.swapaxes(w, -1, -2)), mapped)


def solved(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> Array:
    """A system of equations. Where the matrix is the same for all examples, their right-hand sides are
    the columns of one."""
    (a, b), (ma, mb) = args, mapped
    m, n = ndim_of(a, ma), ndim_of(b, mb)
    if not ma and n == 1 and m == 2:
        return np.swapaxes(run(a, np.swapaxes(b, 0, 1)), 0, 1)
    if n == 1:
        b = np.expand_dims(b, -1)
    ndim = max(m, n, 2)
    a, b = (widened(x, ndim) if k else x for x, k in ((a, ma), (b, mb)))
    found = run(a, b)
    return np.squeeze(found, -1) if n == 1 else found


def einsum(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], terms: Sequence[str], result: str
) -> Array:
    letter = next(i for i in string.ascii_letters if i not in "".join(terms))
    terms = tuple(letter + t if m else t for t, m in zip(terms, mapped, strict=True))
    return run(*args, terms=terms, result=letter + result)


# ── elements that are moved about ─────────────────────────────────────────────────────────────────


def reshaped(run: Run, args: Sequence[Array], mapped: Sequence[bool], shape: Any) -> Array:
    (x,) = args
    if -1 in shape:  # of an empty batch it could not be told
        shape = np.broadcast_to(0, x.shape[1:]).reshape(shape).shape
    return run(x, shape=(x.shape[0], *shape))


def transposed(run: Run, args: Sequence[Array], mapped: Sequence[bool], axes: Any) -> Array:
    (x,) = args
    n = x.ndim - 1
    order = range(n, 0, -1) if axes is None else inner(tuple(axes), n)
    return run(x, axes=(0, *order))


def rolled(run: Run, args: Sequence[Array], mapped: Sequence[bool], shift: Any, axis: Any) -> Array:
    (x,) = args
    if axis is None:
        rows = _rows(x)
        return np.reshape(run(rows, shift=shift, axis=1), x.shape)
    return run(x, shift=shift, axis=inner(axis, x.ndim - 1))


def broadcast(run: Run, args: Sequence[Array], mapped: Sequence[bool], shape: Any) -> Array:
    (x,) = args
    return run(widened(x, len(shape)), shape=(x.shape[0], *shape))


def padded(run: Run, args: Sequence[Array], mapped: Sequence[bool], width: Any) -> Array:
    return run(*args, width=((0, 0), *width))


def joined(run: Run, args: Sequence[Array], mapped: Sequence[bool], axis: int) -> Array:
    n = examples(args, mapped)
    parts = [repeated(a, m, n) for a, m in zip(args, mapped, strict=True)]
    return run(*parts, axis=inner(axis, parts[0].ndim - 1))


def stacked(run: Run, args: Sequence[Array], mapped: Sequence[bool], axis: int) -> Array:
    n = examples(args, mapped)
    parts = [repeated(a, m, n) for a, m in zip(args, mapped, strict=True)]
    return run(*parts, axis=inner(axis, parts[0].ndim))


# ── images ────────────────────────────────────────────────────────────────────────────────────────


def folded(a: Array, axis: int) -> Array:
    """The examples as part of an axis of an example, in front of what it has there."""
    a = np.moveaxis(a, 0, axis)
    return np.reshape(a, (*a.shape[:axis], a.shape[axis] * a.shape[axis + 1], *a.shape[axis + 2 :]))


def unfolded(a: Array, axis: int, n: int, size: int) -> Array:
    """And out of it again: n examples that have `size` elements along the axis."""
    return np.moveaxis(np.reshape(a, (*a.shape[:axis], n, size, *a.shape[axis + 1 :])), axis, 0)


def _convolution(first: tuple[int, int], second: tuple[int, int]) -> Rule:
    """The rule of an operation that multiplies images with kernels. Where one of them is the same for all
    examples, the other has them along an axis of its own, and so has the result along another: these
    are `first` and `second`, for the two arguments. Where both are of the example, it is a stack; and
    where the axis is that of channels that are in groups."""

    def rule(run: Run, args: Sequence[Array], mapped: Sequence[bool], **geometry: Any) -> Array:
        n, slot = examples(args, mapped), [*mapped].index(True)
        to, back = (first, second)[slot]
        grouped = "groups" in geometry and (to, back) != (SAMPLES, SAMPLES)  # groups of channels
        if _are_stacks(args, mapped) or grouped:
            return _of_stacks(run, args, mapped, geometry)
        whole = list(args)
        whole[slot] = folded(args[slot], to)
        return unfolded(run(*whole, **geometry), back, n, args[slot].shape[to + 1])

    return rule


def _are_stacks(args: Sequence[Array], mapped: Sequence[bool]) -> bool:
    """Whether images and kernels are of the example, or the examples themselves are stacks."""
    return all(mapped) or ndim_of(args[0], mapped[0]) == 5


def _of_stacks(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], geometry: dict[str, Any]
) -> Array:
    n = examples(args, mapped)
    given = [repeated(a, m, n) for a, m in zip(args, mapped, strict=True)]
    if given[0].ndim == 5:
        return run(*given, **geometry)
    y = run(*(folded(a, 0) for a in given), **geometry)  # stacks of stacks are longer stacks
    return unfolded(y, 0, n, given[0].shape[1])


SAMPLES, CHANNELS = 0, 1
convolved = _convolution((SAMPLES, SAMPLES), (0, CHANNELS))  # the kernels' first axis: channels out
convolved_input = _convolution((SAMPLES, SAMPLES), (CHANNELS, CHANNELS))
convolved_weight = _convolution((CHANNELS, CHANNELS), (CHANNELS, 0))


def each_image(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], size: Any, stride: Any
) -> Array:
    """What is done to each channel of each sample: the examples are further samples."""
    (x,) = args
    return unfolded(run(folded(x, SAMPLES), size=size, stride=stride), SAMPLES, *x.shape[:2])


def pooled(run: Run, args: Sequence[Array], mapped: Sequence[bool], **geometry: Any) -> Array:
    """Weighted sums over windows, with the axes of the window in front of those of the weights."""
    (x, w), n = args, examples(args, mapped)
    x = repeated(x, mapped[0], n)
    samples = x.shape[1]
    if mapped[1] or w.shape[2] > 1:
        w = repeated(w, mapped[1], n)
        w = folded(np.broadcast_to(w, (*w.shape[:3], samples, *w.shape[4:])), 2)
    return unfolded(run(folded(x, SAMPLES), w, **geometry), SAMPLES, n, samples)


def pooled_weight(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], size: Any, stride: Any
) -> Array:
    n = examples(args, mapped)
    x, g = (repeated(a, m, n) for a, m in zip(args, mapped, strict=True))
    found = run(folded(x, SAMPLES), folded(g, SAMPLES), size=size, stride=stride)
    return unfolded(found, 2, *x.shape[:2])


def maxima(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> tuple[Array, Array]:
    """Where in each window the maximum stands, and how often."""
    x, y, *window = args
    hit, ties = run(folded(x, SAMPLES), folded(y, SAMPLES), *window)
    return unfolded(hit, 2, *x.shape[:2]), unfolded(ties, SAMPLES, *x.shape[:2])


def normalized(run: Run, args: Sequence[Array], mapped: Sequence[bool], eps: float) -> Array:
    """Batch normalization: the channels of the examples are further channels."""
    n = examples(args, mapped)
    x, w, b = (repeated(a, m, n) for a, m in zip(args, mapped, strict=True))
    y = run(folded(x, CHANNELS), np.ravel(w), np.ravel(b), eps=eps)
    return unfolded(y, CHANNELS, n, x.shape[CHANNELS + 1])


def normalized_part(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> Any:
    """Its cotangents."""
    n, (*arrays, eps) = examples(args, mapped), args
    g, x, w = (repeated(a, m, n) for a, m in zip(arrays, mapped[:-1], strict=True))
    by_x, *others = run(folded(g, CHANNELS), folded(x, CHANNELS), np.ravel(w), eps)
    return unfolded(by_x, CHANNELS, *w.shape), *(np.reshape(a, w.shape) for a in others)


def moments_of_channels(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> Any:
    (x,) = args
    return tuple(np.reshape(a, x.shape[:3:2]) for a in run(folded(x, CHANNELS)))


# ── attention ─────────────────────────────────────────────────────────────────────────────────────


def attended(run: Run, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Array:
    """Queries, keys and values with any axes in front, which broadcast."""
    return run(*_aligned(args, mapped), **params)


def attended_part(run: Run, args: Sequence[Array], mapped: Sequence[bool]) -> Any:
    """The parts of its rules, which are told the scale and the masks by position."""
    *arrays, scale, mask, causal = args
    return run(*_aligned(arrays, mapped[:-3]), scale, mask, causal)


def _aligned(args: Sequence[Array], mapped: Sequence[bool], *params: Any) -> Sequence[Array]:
    """Arguments with the examples in front of all axes that are broadcast, with those of parameters too."""
    most = max(map(ndim_of, args, mapped))
    most = max([most, *(np.ndim(p) for p in params if isinstance(p, np.ndarray | list | tuple))])
    return [widened(a, most) if m else a for a, m in zip(args, mapped, strict=True)]


# ── indices ───────────────────────────────────────────────────────────────────────────────────────


class Places:
    """Where an index of one example leads to in the batch.

    NumPy lays out the axes of arrays in an index in their place if they are side by side, and in front
    of all others if not. The array itself may be of a batch (`is_mapped`), and so may parts of the index.
    """

    def __init__(self, index: Any, ndim: int, n: int, is_mapped: bool) -> None:
        parts = [p for part in _parts(index) for p in _without_masks(part)]
        self.index: tuple[Any, ...]
        self.source: tuple[int, ...] = ()
        self.target: tuple[int, ...] = ()
        named = sum(p is not None and p is not Ellipsis for p in parts)
        widths = [ndim - named if p is Ellipsis else 0 if _is_place(p) else 1 for p in parts]
        rest = 0 if any(p is Ellipsis for p in parts) else ndim - named
        arrays = [n for n in map(_ndim, parts) if n is not None]
        wide = max(arrays, default=0)
        where = [i for i, p in enumerate(parts) if _is_place(p)]
        together = not where or where[-1] - where[0] == len(where) - 1
        before = sum(widths[: where[0]]) if where and together else 0
        self.ndim: int = sum(widths) + wide + rest  # of what one example finds
        if not any(isinstance(p, Mapped) for p in parts):
            self.index = (slice(None), *parts)
            if wide and not together:
                self.source, self.target = (wide,), (0,)
            return
        aligned = [widened(p.value, wide) if isinstance(p, Mapped) else p for p in parts]
        if is_mapped:
            each = np.reshape(np.arange(n), (n, *(1,) * wide))
            self.index = (each, *aligned)
            if before:
                self.source = tuple(range(1, wide + 1))
                self.target = tuple(range(before + 1, before + wide + 1))
        else:
            self.index = tuple(aligned)
            self.source, self.target = (before,), (0,)

    def found(self, x: Array) -> Array:
        """What was found, with the examples in front and the axes in order."""
        return np.moveaxis(x, self.source, self.target) if self.source != self.target else x

    def laid_out(self, x: Array) -> Array:
        """What is to be put there, in the order in which NumPy takes it."""
        x = widened(x, self.ndim)
        return np.moveaxis(x, self.target, self.source) if self.source != self.target else x


def _parts(index: Any) -> Sequence[Any]:
    return index if type(index) is tuple else (index,)


def _ndim(part: Any) -> int | None:
    """The axes of an array in an index, of one example; None for anything else."""
    if isinstance(part, Mapped):
        return int(part.value.ndim) - 1
    return cast(Any, part).ndim if isinstance(part, np.ndarray | Variable) else None


def _is_place(part: Any) -> bool:
    """Whether a part of an index names places one by one, as numbers and arrays do."""
    return not (part is None or part is Ellipsis or isinstance(part, slice))


def _without_masks(part: Any) -> Sequence[Any]:
    """A mask as the places where it is true."""
    if isinstance(part, Mapped) and part.value.dtype.kind == "b":
        raise ragged("an index that is a mask", "np.where(mask, x, 0.0), or np.sum(x * mask)")
    if isinstance(part, bool | np.bool_) or (
        isinstance(part, np.ndarray) and part.dtype.kind == "b" and part.ndim == 0
    ):
        raise TypeError(
            "vmap: a truth value as an index is not supported; write x[None] for x[True]"
        )
    if isinstance(part, np.ndarray) and part.dtype.kind == "b":
        return np.nonzero(part)
    return (part,)


def _mapped_parts(index: Any) -> list[Array]:
    return [p.value for p in _parts(index) if isinstance(p, Mapped)]


def _number(index: Any, args: Sequence[Array], mapped: Sequence[bool]) -> int:
    """How many examples there are."""
    values = [*_mapped_parts(index), *(a for a, m in zip(args, mapped, strict=True) if m)]
    return int(values[0].shape[0])


def taken(run: Run, args: Sequence[Array], mapped: Sequence[bool], index: Any) -> Array:
    (x,), (m,) = args, mapped
    n = _number(index, args, mapped)
    places = Places(index, ndim_of(x, m), n, m)
    return places.found(run(x, index=places.index))


def scattered(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], index: Any, shape: tuple[int, ...]
) -> Array:
    (x,), (m,) = args, mapped
    n = _number(index, args, mapped)
    places = Places(index, len(shape), n, True)
    return run(places.laid_out(repeated(x, m, n)), index=places.index, shape=(n, *shape))


def written(run: Run, args: Sequence[Array], mapped: Sequence[bool], index: Any) -> Array:
    (x, v), (mx, mv) = args, mapped
    n = _number(index, args, mapped)
    x = repeated(x, mx, n)
    by_mask = _written_by_mask(x, v, mv, index)
    if by_mask is not None:
        return by_mask
    places = Places(index, x.ndim - 1, n, True)
    v = v if mv else np.reshape(v, (1, *np.shape(v)))
    return run(x, places.laid_out(v), index=places.index)


def _written_by_mask(x: Array, v: Array, is_mapped: bool, index: Any) -> Array | None:
    """A number written where a mask of each example is true; None if the index is no such mask."""
    mask = index[0] if type(index) is tuple and len(index) == 1 else index
    if isinstance(mask, np.ndarray | np.bool_ | bool) and np.ndim(mask) == 0:
        mask = Mapped(np.broadcast_to(mask, x.shape[:1]))  # of the numbers that it chooses, or not
    if not isinstance(mask, Mapped) or mask.value.dtype.kind != "b" or ndim_of(v, is_mapped):
        return None
    chosen = np.reshape(mask.value, (*mask.value.shape, *(1,) * (x.ndim - mask.value.ndim)))
    v = v if isinstance(v, float | int) else v.astype(x.dtype)
    return np.where(chosen, widened(v, x.ndim - 1) if is_mapped else v, x)


def kept_places(run: Run, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Array:
    """A function of an index and of the shape of what it is an index of."""
    index, shape = args
    index = Mapped(index) if mapped[0] else index
    n = _number(index, (), ())
    places = Places(index, len(shape), n, True)
    return places.found(run(places.index, (n, *shape)))


# ── functions that are no primitives ──────────────────────────────────────────────────────────────


def completed(args: Sequence[Any], n: int, *others: Any) -> list[Any]:
    """The arguments of a call, of which all but the first n may also be given by name."""
    return [*args, *others[len(args) - n :]]


def reducing(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], axis: Any = None, **params: Any
) -> Array:
    """`np.any(x)`, `np.argmax(x, axis)`: without an axis over all elements in a row."""
    return _on_rows(run, args, axis, params)


def sorting(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], axis: Any = -1, **params: Any
) -> Array:
    """`np.argsort(x, axis)`: without an axis, all elements in a row."""
    return _on_rows(run, args, axis, params)


def partitioning(
    run: Run,
    args: Sequence[Array],
    mapped: Sequence[bool],
    axis: Any = -1,
    kth: Any = None,
    **params: Any,
) -> Array:
    """`np.argpartition(x, kth, axis)`."""
    x, kth, axis = completed(args, 1, kth, axis)
    return _on_rows(lambda x, **p: run(x, kth, **p), (x,), axis, params)


def _on_rows(run: Run, args: Sequence[Array], axis: Any, params: Any) -> Array:
    x, *more = args
    if more:
        axis, *more = more
    if more:
        raise TypeError("options of this function are given by name, after the axis")
    if axis is None:
        rows = _rows(x)
        kept = bool(params.pop("keepdims", False))
        found = run(rows, axis=1, **params)
        return np.reshape(found, (x.shape[0], *(1,) * (x.ndim - 1))) if kept else found
    axis = inner(axis, x.ndim - 1)
    if axis == ():  # of numbers, along their one axis
        params.pop("keepdims", None)
        return run(np.reshape(x, (*x.shape, 1)), axis=1, **params)
    return run(x, axis=axis, **params)


def of_all(
    run: Run,
    args: Sequence[Array],
    mapped: Sequence[bool],
    equal_nan: bool = False,
    **params: Any,
) -> Any:
    """`np.allclose(x, y)`: whether it holds for all elements of an example."""
    if run is not np.allclose:
        *args, equal_nan = completed(args, 2, equal_nan)
        mapped = mapped[:2]
    shapes = [np.shape(a)[m:] for a, m in zip(args[:2], mapped, strict=False)]
    if run is np.array_equal and shapes[0] != shapes[1]:
        return Shared(False)
    by_element = np.isclose if run is np.allclose else np.equal
    if run is np.allclose:
        params["equal_nan"] = equal_nan
    truth = elementwise(by_element, args, mapped, **params)
    if equal_nan and run is np.array_equal:
        truth = truth | elementwise(lambda x, y: np.isnan(x) & np.isnan(y), args, mapped)
    return np.all(np.reshape(truth, (truth.shape[0], math.prod(truth.shape[1:]))), axis=1)


def placing(
    run: Run,
    args: Sequence[Array],
    mapped: Sequence[bool],
    side: str = "left",
    sorter: Any = None,
) -> Array:
    """`np.searchsorted(row, x)`. In a row for each example, the smaller elements are counted."""
    row, x, side, sorter = completed(args, 2, side, sorter)
    if not mapped[0]:
        return run(row, x, side, sorter)
    if sorter is not None:
        raise TypeError(
            "vmap: np.searchsorted takes no sorter= for a batch of rows: sort them first"
        )
    return _counted(row, x, mapped[1], np.less if side == "left" else np.less_equal)


def _counted(row: Array, x: Array, is_mapped: bool, before: Any) -> Array:
    """How many elements of a row stand before each x. NaN stand last."""
    x = repeated(x, is_mapped, row.shape[0])
    x = np.reshape(x, (*x.shape, 1))
    row = widened(row, x.ndim - 1)
    after_all = np.isnan(x) & ~np.isnan(row) if before is np.less else np.isnan(x)
    return np.sum(before(row, x) | after_all, axis=-1)


def binning(run: Run, args: Sequence[Array], mapped: Sequence[bool], right: bool = False) -> Array:
    """`np.digitize(x, bins)`. Bins may fall, in some examples and not in others."""
    x, bins, right = completed(args, 2, right)
    if not mapped[1]:
        return run(x, bins, right)
    rising = _counted(bins, x, mapped[0], np.less if right else np.less_equal)
    falling = _counted(-bins, -x, mapped[0], np.less_equal if right else np.less)
    falls = bins[:, -1] < bins[:, 0] if bins.shape[1] else np.zeros(bins.shape[0], bool)
    return np.where(widened(falls, rising.ndim - 1), falling, rising)


def in_bins(
    run: Run,
    args: Sequence[Array],
    mapped: Sequence[bool],
    bins: Any = 10,
    range: Any = None,
    density: Any = None,
    weights: Any = None,
) -> tuple[Array, Array]:
    """`np.histogram(x, bins)`: below each edge, the elements of each example are counted."""
    x, bins, limits, density, weights = completed(args, 1, bins, range, density, weights)
    own = [*mapped, *(False,) * 5]
    n = examples(args, mapped)
    x = _rows(repeated(x, own[0], n))
    edges = _edges(x, bins, own[1], limits)
    w: Array = 1 if weights is None else _rows(repeated(weights, own[4], n))
    inner_edges, last = np.moveaxis(edges[:, :-1], 1, 0), edges[:, -1:]
    below = [np.sum((x < np.reshape(edge, (n, 1))) * w, axis=1) for edge in inner_edges]
    below.append(np.sum((x <= last) * w, axis=1))
    counts = np.diff(np.stack(below, axis=1))
    if weights is not None and w.dtype.kind == "b":  # as NumPy has it
        counts = counts != 0
    if density:
        counts = counts / np.diff(edges) / np.sum(counts, axis=1, keepdims=True)
    return counts, edges


def bin_edges(
    run: Run,
    args: Sequence[Array],
    mapped: Sequence[bool],
    bins: Any = 10,
    range: Any = None,
    weights: Any = None,
) -> Array:
    """`np.histogram_bin_edges(x, bins)`, which depend on no weights."""
    x, bins, limits, _ = completed(args, 1, bins, range, weights)
    own = [*mapped, False]
    x = repeated(x, own[0], examples(args, mapped))
    return _edges(_rows(x), bins, own[1], limits)


def _rows(x: Array) -> Array:
    """All elements of each example in a row."""
    return np.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def _edges(x: Array, bins: Any, is_mapped: bool, limits: Any) -> Array:
    """The edges of the bins of each row: those that are given, or between its extrema."""
    if isinstance(bins, str):
        raise ragged(f"np.histogram(bins={bins!r})", "a number of bins")
    if is_mapped or np.ndim(bins):
        return repeated(bins if is_mapped else np.asarray(bins), is_mapped, x.shape[0])
    if limits is not None:
        low, high = (np.full(x.shape[0], float(limit)) for limit in limits)
    elif x.shape[1]:
        low, high = np.min(x, axis=1), np.max(x, axis=1)
    else:
        low, high = np.zeros(x.shape[0]), np.ones(x.shape[0])
    half = 0.5 * (low == high)
    half = half.astype(low.dtype) if low.dtype.kind == "f" else half
    edges = np.linspace(low - half, high + half, operator.index(bins) + 1, axis=1)
    return edges.astype(x.dtype) if x.dtype.kind == "f" else edges


def ranked(
    run: Run,
    args: Sequence[Array],
    mapped: Sequence[bool],
    tol: Any = None,
    hermitian: bool = False,
    **params: Any,
) -> Array:
    """`np.linalg.matrix_rank(a)`. A vector has rank 1, unless it is 0."""
    a, tol, hermitian = completed(args, 1, tol, hermitian)
    ndim = ndim_of(a, mapped[0])
    if ndim < 2:
        vectors = repeated(a, mapped[0], examples(args, mapped))
        return np.any(_rows(vectors) != 0, axis=1).astype(int)
    if len(mapped) > 1 and mapped[1]:
        tol = widened(tol, ndim - 2)
    return run(a, tol, hermitian, **params)


def belonging(
    run: Run, args: Sequence[Array], mapped: Sequence[bool], invert: bool = False, **params: Any
) -> Array:
    """`np.isin(x, elements)`."""
    x, elements, *options = args  # assume_unique makes no difference here
    if len(options) == 2:
        invert = options[1]
    if not mapped[1]:
        return run(x, elements, invert=invert, **params)
    n = elements.shape[0]
    x = repeated(x, mapped[0], n)
    flat = np.reshape(elements, (n, math.prod(elements.shape[1:])))
    among = np.any(np.reshape(x, (*x.shape, 1)) == widened(flat, x.ndim), axis=-1)
    return ~among if invert else among


def by_keys(run: Run, args: Sequence[Array], mapped: Sequence[bool], axis: int = -1) -> Array:
    """`np.lexsort(keys)`: the keys are the rows of an array."""
    keys, axis = (*args, axis)[:2]
    keys = np.moveaxis(keys, 1, 0)
    if keys.ndim == 2:  # of numbers
        return np.zeros(keys.shape[1], int)
    return run(keys, axis=inner(axis, keys.ndim - 2))


def ragged_results(run: Run, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Array:
    """As many results as the values of each example ask for."""
    way_out = "np.sort(x)" if "uni" in run.__name__ else "np.where(condition, x, y)"
    raise ragged(f"np.{run.__name__}", way_out)


def of_form(run: Run, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Any:
    """`np.zeros_like(x)`: one array, which all examples share."""
    x, *more = args
    return Shared(run(np.broadcast_to(np.zeros((), x.dtype), x.shape[1:]), *more, **params))


def looked_at(run: Run, args: Sequence[Array], mapped: Sequence[bool], **params: Any) -> Any:
    """The text of all examples, or where they are in memory."""
    return Shared(run(*args, **params))
