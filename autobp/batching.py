"""Batching: `vmap`, which runs a function of one example on a whole batch at once.

`Batched` stands for all examples where the function has one. It has the shape of an example; its value has
the examples along a further first axis. It has a level, as the variables of a derivative have: an
operation is done at the highest level among its arguments, by its batching rule (`rules.batching`),
whose own operations are done at the levels further out. So `vmap` and derivatives nest in any order.
In `vmap(grad(f))` a Tensor holds a batch, in `grad(vmap(f))` a batch holds a Tensor.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from autobp.arrays import plain_array
from autobp.calculus import operand, watch
from autobp.context import Context, clock, current, user_line
from autobp.context import mapped as mapped_over
from autobp.dag import check_open
from autobp.dispatch import twin_of
from autobp.errors import (
    explained,
    label,
    no_batching,
    no_rule,
    one_by_one,
    ragged,
    written_name,
)
from autobp.habits import checks_keywords, is_executing
from autobp.operation import SIGNS, Operation, Sign
from autobp.operation import of as row_of
from autobp.owner import Owner, owner_of_frame
from autobp.primitive import NUMPY, Primitive, Results, Variable, numbers, opaque, plainly
from autobp.reverse import check_function, derived
from autobp.rules import batching as rules
from autobp.tensor import CONSTANT, Tensor
from autobp.tree import leaves, parts_of, refilled, steps_of

__all__ = ["Batched", "batched", "drawn", "vmap"]


_new = object.__new__
_NONE: dict[str, Any] = {}


class Batched(Tensor):
    """All examples of a batch, standing for one."""

    __slots__ = ()

    is_batch = True

    # ── operations ────────────────────────────────────────────────────────────────────────────────

    def record(
        self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any], context: Context
    ) -> Any:
        """Run the operation on all examples, by its batching rule."""
        level = self.level
        rule = rules.of(primitive.facts)
        if rule is None:
            raise no_batching(primitive.name)
        values, mapped = [], []
        for a in args:
            mine = isinstance(a, Tensor) and (a.level == level or a.level == CONSTANT)
            values.append(a.value if mine else operand(a))
            mapped.append(mine and a.level == level)
        inside = params
        if params and "index" in params:
            inside = {**params, "index": _parts_at(params["index"], level)}
        try:
            value = rule(primitive, values, mapped, **inside)
        except (ValueError, IndexError) as error:
            said = _of_one_example(error, primitive, values, mapped, params)
            if isinstance(error, IndexError | np.linalg.LinAlgError | np.exceptions.AxisError):
                raise said from None
            raise explained(said, primitive, args, params) from error
        if type(value) is Results:
            return Results(batched(v, level) for v in value)
        if context.anomaly:
            watch(primitive, value, list(map(numbers, values)), args)
        return batched(value, level)

    def call_plain(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        return self._call(function, row_of(function), args, kwargs)

    def call_opaque(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        return self._call(opaque(function), row_of(function), args, {})

    def _call(
        self,
        function: Callable[..., Any],
        facts: Operation,
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call what is no primitive at the highest level among its arguments."""
        if kwargs.get("out") is not None:
            raise no_rule(function, kwargs)
        level = max((a.level for a in _batches(args)), default=self.level)
        rule = rules.of(facts)
        name = getattr(function, "__name__", "this function").lstrip("_")
        if rule is None:
            raise no_batching(name)
        args, kwargs = _by_position(function, name, args, kwargs)
        mapped = [isinstance(a, Batched) and a.level == level for a in args]
        values = [a.value if m else _within(a, level) for a, m in zip(args, mapped, strict=True)]
        result = rule(function, values, mapped, **kwargs)
        if isinstance(result, rules.Shared):
            return result.value
        if isinstance(result, tuple):
            parts = [batched(v, level) for v in result]
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        return batched(result, level)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc not in NUMPY and method == "__call__" and not kwargs and twin_of(ufunc) is None:
            if _is_integral(inputs):
                return plainly(ufunc, *inputs)
            if (
                ufunc.signature is None
            ):  # of each element; a derivative further out asks for its rule
                return self._call(ufunc, row_of(ufunc), inputs, kwargs)
        return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        if function not in NUMPY:
            if rules.of(row_of(function)) is None:
                raise no_batching(written_name(function))
            return plainly(function, *args, **kwargs)
        return super().__array_function__(function, types, args, kwargs)

    def primal_value(self) -> Any:
        """The same batch, below all derivatives that are being taken."""
        value = self.value
        if isinstance(value, Tensor):
            bare = value.primal_value()
            return self if bare is value else batched(bare, self.level)
        return self

    def canonical(self) -> Any:
        if self.dtype.kind == "f":
            return self
        if self.dtype.kind not in "iu":
            raise TypeError(f"a Tensor holds floating-point numbers, not {self.dtype}")
        return self.astype(np.float64)

    def astype(self, dtype: Any, **options: Any) -> Any:
        """The examples in another dtype; whole numbers and truth values take no part in derivatives."""
        if np.dtype(dtype).kind == "f":
            return super().astype(dtype)
        if np.dtype(dtype).kind not in "biu":
            raise TypeError(
                f"vmap: {label(self)} holds numbers, which do not become {np.dtype(dtype)}"
            )
        bare = self.primal_value()
        return batched(bare.value.astype(dtype), self.level)

    # ── what is known of an example ───────────────────────────────────────────────────────────────

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What isinstance tells a function that asks whether an example is an array, or a number."""
        value: Any = self
        while type(value) is Batched:
            value = value.value
        if type(value) is not np.ndarray:  # a derivative further out, or what is traced
            return Batched
        return np.ndarray if self.shape else value.dtype.type

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.value.shape
        return shape[1:]

    # ── what is not ───────────────────────────────────────────────────────────────────────────────

    def condition(self) -> bool:
        return bool(self)

    def __bool__(self) -> bool:
        refusal = one_by_one(
            self,
            "the truth",
            "as by if, while, and, max() or sorted()",
            "choose with np.where(condition, a, b), which takes each example's own way",
        )
        if owner_of_frame(sys._getframe(1)) is Owner.USER:
            _refused.setdefault(self.level, refusal)
        raise refusal

    def __float__(self) -> float:
        if is_executing(sys._getframe(1), "STORE_SUBSCR", "STORE_SLICE"):
            raise self._not_written()
        raise one_by_one(self, "the value", "as by float() or math.sin()", "use NumPy's functions")

    def __int__(self) -> int:
        raise one_by_one(self, "the value", "as by int()", "use NumPy's functions, as np.floor")

    def __index__(self) -> int:
        if is_executing(sys._getframe(1), "BINARY_SUBSCR"):
            raise self._no_index()
        raise one_by_one(
            self,
            "the value",
            "as by range()",
            "write np.where in a loop of fixed length, and Tensor(array, requires_grad=False)[i] for array[i]",
        )

    def item(self) -> float:
        raise one_by_one(
            self, "the value", "as by .item() or a format", "return it, and print it after"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if is_executing(sys._getframe(1), "STORE_SUBSCR", "STORE_SLICE"):
            raise self._not_written()
        if is_executing(sys._getframe(1), "BINARY_SUBSCR"):
            raise self._no_index()
        raise one_by_one(
            self,
            "the array",
            "as by np.array or .numpy()",
            "use NumPy's functions (np.stack, not np.array; np.broadcast_to, not np.full), and Tensor(array, requires_grad=False)[i] for"
            " array[i] or np.take(array, i), of which NumPy asks the array alone",
        )

    def _no_index(self) -> TypeError:
        return one_by_one(
            self,
            "the value",
            "as the index of a plain array or a list",
            "write Tensor(array, requires_grad=False)[i] for array[i], of which NumPy and Python ask the"
            " array alone (of whole numbers, np.take_along_axis(array, i[None], 0)[0])",
        )

    def numpy(self) -> np.ndarray:
        return self.__array__()

    def tolist(self) -> Any:
        raise one_by_one(self, "the list", "as by .tolist()", "use NumPy's functions")

    def _not_written(self) -> TypeError:
        return TypeError(
            f"vmap: {label(self)} stands for a batch of examples and cannot be written into an array, at"
            f" {user_line()}: collect the results in a list and write np.stack(list), or make the array a"
            " Tensor and write z = z.at[i].set(x)"
        )

    def backward(self, gradient: Any = None, retain_graph: Any = None, **options: Any) -> None:
        raise TypeError(
            f"vmap: backward() of {label(self)}, which stands for a batch of examples: write"
            " vmap(grad(f)) for the gradients of each, or call backward() on what vmap returns"
        )

    def __repr__(self) -> str:
        return f"<batch of {self.value.shape[0]} examples: {self.value!r}>"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __hash__(self) -> int:
        if (
            owner_of_frame(sys._getframe(1)) is Owner.AUTOBP
        ):  # whose tables keep tensors, not values
            return object.__hash__(self)
        raise one_by_one(
            self,
            "the hash",
            "as by `in` a set or by the key of a dict",
            "choose with np.where, or take out of an array with np.take",
        )

    def __invert__(self) -> Any:
        return plainly(np.invert, self)


#: Of the levels that are mapped, the first branch of the user's that was refused.
_refused: dict[int, TypeError] = {}


def _integral(sign: Sign) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two methods of an operator on truth values and whole numbers."""
    return (
        lambda self, other: plainly(sign.ufunc, self, other),
        lambda self, other: plainly(sign.ufunc, other, self),
    )


for _sign in ("&", "|", "^", "<<", ">>"):
    for _side, _method in zip(("", "r"), _integral(SIGNS[_sign]), strict=True):
        setattr(Batched, f"__{_side}{SIGNS[_sign].method}__", _method)
for _sign in ("+", "-", "*", "/", "//", "%", "@", "**"):  # a += b makes a new one
    setattr(Batched, f"__i{SIGNS[_sign].method}__", getattr(Tensor, f"__{SIGNS[_sign].method}__"))


def batched(value: Any, level: int) -> Any:
    """The examples along the first axis of a value, as one, at a level."""
    if isinstance(value, Tensor) and value.level == CONSTANT:
        value = value.value
    context = current()
    t: Any = _new(Batched)  # as tensor.node makes one, in a function that makes no other type
    t.value = value
    t._grad = t.primitive = t.first = t.second = t.name = None
    t.params = _NONE
    t.scope = context.scope
    t.line = user_line() if context.lines else None
    t.level = level
    t.born = clock()
    t.hooks = ()
    return t


def drawn(draw: Callable[[tuple[int, ...]], Any], x: Any) -> Any:
    """Random numbers of the shape of x; others for each example of the batches that are mapped over."""
    batches = current().batches
    numbers = draw((*(size for _, size in batches), *x.shape))
    for level, _ in batches:
        numbers = batched(numbers, level)
    return numbers


def _of_one_example(
    error: Any,
    primitive: Primitive,
    values: Sequence[Any],
    mapped: Sequence[bool],
    params: dict[str, Any],
) -> Any:
    """The error as the first example has it, which knows nothing of the axis of the batch."""
    try:
        first = [v[0] if is_mapped else v for v, is_mapped in zip(values, mapped, strict=True)]
        primitive.function(*first, **params)
    except Exception as other:
        return other if type(other) is type(error) else error
    return error


def _parts_at(index: Any, level: int) -> Any:
    """An index with its parts of this level marked, and their values."""
    if type(index) is tuple:
        return tuple(_parts_at(i, level) for i in index)
    if isinstance(index, slice) and any(
        isinstance(end, Batched) for end in (index.start, index.stop, index.step)
    ):
        raise ragged("a slice", "np.take with an index of one length, or np.where")
    return (
        rules.Mapped(index.value) if isinstance(index, Batched) and index.level == level else index
    )


def _by_position(
    function: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Sequence[Any], dict[str, Any]]:
    """The arguments of a call, with those that are batches by position, as rules take them."""
    batches = [k for k, v in kwargs.items() if isinstance(v, Variable) and v.is_batch]
    if not batches:
        return args, kwargs
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # of a function in C, before NumPy 2.4
        parameters = []
    places = {p.name: i for i, p in enumerate(parameters) if p.kind is p.POSITIONAL_OR_KEYWORD}
    for k in batches:
        if k not in places:
            raise TypeError(f"vmap: {name} takes no batch by keyword, as {k}=")
    args, rest = list(args), dict(kwargs)
    for p in parameters[len(args) : 1 + max(places[k] for k in batches)]:
        args.append(rest.pop(p.name, p.default))
    return args, rest


def _within(a: Any, level: int) -> Any:
    """A list or a tuple of arguments, with the batches of this level in it marked."""
    if type(a) in (list, tuple):
        return type(a)(_within(x, level) for x in a)
    return rules.Mapped(a.value) if isinstance(a, Batched) and a.level == level else a


def _batches(nest: Sequence[Any]) -> Iterator[Batched]:
    for a in nest:
        if isinstance(a, Batched):
            yield a
        elif type(a) in (list, tuple):
            yield from _batches(a)


def _is_integral(inputs: Sequence[Any]) -> bool:
    return all(np.result_type(getattr(x, "dtype", x)).kind in "iub" for x in inputs)


# ── what users call ───────────────────────────────────────────────────────────────────────────────


@checks_keywords
def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """The function of a whole batch of examples, from a function of one.

    `in_axes` says along which axis of each argument the examples are: a number for all arguments, or a
    tuple with an entry for each. An entry may be a nest of numbers in the form of the argument. None is for
    what all examples share. Arguments by keyword are mapped over axis 0. `out_axes` says where the
    examples are in the results, all of which get that axis.

    All examples are computed at once: an operation of the function becomes one operation on the batch. It
    takes and returns what the function does, in nests too, and it nests with derivatives, `compile`
    and itself in any order.

    >>> import numpy as np
    >>> from autobp import grad, vmap
    >>> vmap(np.dot)(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 4.])

    The gradients of each sample by the parameters, which all samples share:

    >>> loss = lambda w, x, y: (x @ w - y) ** 2
    >>> w, X, Y = np.array([1.0, -1.0]), np.array([[1.0, 2.0], [3.0, 5.0]]), np.zeros(2)
    >>> vmap(grad(loss), in_axes=(None, 0, 0))(w, X, Y)
    array([[ -2.,  -4.],
           [-12., -20.]])

    What all examples would have to agree on is refused with the line that asks: a branch on a value,
    `float(x)`. `np.where` chooses for each example.

    Random numbers that the function draws from a NumPy generator are drawn once, for all examples. The
    layers of `nn` draw for each example of the batch, also where their input is shared by all.
    """
    check_function("vmap", function)
    if not isinstance(in_axes, int | np.integer | tuple | list) or isinstance(in_axes, bool):
        raise TypeError(
            f"vmap: in_axes is an axis, or a tuple with an entry for each argument, not {in_axes!r:.50}"
        )

    def on_batch(*args: Any, **kwargs: Any) -> Any:
        level = clock()
        entering = _Entering()
        if isinstance(in_axes, tuple | list) and len(in_axes) != len(args):
            raise ValueError(
                f"vmap: in_axes has {len(in_axes)} entries, and the function was called with"
                f" {len(args)} argument{'s' * (len(args) != 1)} by position"
            )
        found = [
            *_with_axes(in_axes, list(args), "argument ", "in_axes"),
            *_with_axes(0, kwargs, "argument ", "in_axes"),
        ]
        given = [entering.moved(*row) for row in found]
        if entering.n is None:
            raise ValueError(
                "vmap: no argument has an axis to map over; in_axes is None for all of them"
            )
        filled = [
            v if axis is None else batched(v, level)
            for v, (_, _, axis) in zip(given, found, strict=True)
        ]
        new_args, new_kwargs = refilled((list(args), kwargs), filled)
        try:
            with mapped_over(level, entering.n):
                result = function(*new_args, **new_kwargs)
        finally:
            refusal = _refused.pop(level, None)
        if refusal is not None:  # and was caught: the function went on in one way for all examples
            raise refusal
        rows = _with_axes(out_axes, result, "the result", "out_axes")
        leaving = [_leaving(path, y, axis, level, entering) for path, y, axis in rows]
        return refilled(result, leaving)

    return derived(on_batch, function, "vmap")


class _Entering:
    """The arguments, as they enter: with the examples in front. Their number is that of all."""

    def __init__(self) -> None:
        self.n: Any = None
        self.first: tuple[Any, ...] = ()  # the argument that told it, its shape and its axis
        self.arrays: list[np.ndarray] = []

    def moved(self, path: _Path | str, x: Any, axis: Any) -> Any:
        if axis is None:
            return x
        if isinstance(x, Tensor) and (x.level == CONSTANT or x.level < current().threshold):
            x = x.primal_value()
        value: Any = x if isinstance(x, Variable) else _array(path, x)
        if not value.ndim:
            raise ValueError(
                f"vmap: {path} is a number, which has no axis to map over: {_sharing(path)}"
            )
        if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
            raise TypeError(f"vmap: in_axes for {path} is an axis or None, not {axis!r:.50}")
        if not -value.ndim <= axis < value.ndim:
            raise ValueError(f"vmap: in_axes={axis} for {path}, which has shape {value.shape}")
        n = value.shape[axis]
        if self.n is None:
            self.n, self.first = n, (path, value.shape, axis)
        elif n != self.n:
            first, then = (
                f"{p} has shape {shape} and in_axes={a}"
                for p, shape, a in (self.first, (path, value.shape, axis))
            )
            raise ValueError(
                f"vmap: the arguments have different numbers of examples: {first}, that is {self.n};"
                f" {then}, that is {n}"
            )
        if type(value) is np.ndarray:
            self.arrays.append(value)
        return value if axis == 0 else np.moveaxis(value, axis, 0)


def _array(path: _Path | str, x: Any) -> np.ndarray:
    array = plain_array(x)
    if array.dtype.kind not in "fiub":
        if array.ndim:
            raise TypeError(
                f"vmap: {path} holds {array.dtype}; examples are made of numbers and truth values:"
                f" {_sharing(path)}"
            )
        raise TypeError(
            f"vmap: {path} is {'an' if type(x).__name__[0] in 'aeiouAEIOU' else 'a'} {type(x).__name__},"
            f" which has no axis to map over: {_sharing(path)}"
        )
    return array


def _sharing(path: _Path | str) -> str:
    """How an argument is shared by all examples."""
    if str(path).startswith("argument '"):
        return "arguments by keyword are mapped; functools.partial shares one"
    return "in_axes=None shares it"


def _leaving(path: _Path | str, y: Any, axis: Any, level: int, entering: _Entering) -> Any:
    """A result, with the examples along its axis, in memory that is not an argument's."""
    if isinstance(y, Batched) and y.level == level:
        y = y.value
        if axis is None:
            raise ValueError(
                f"vmap: out_axes=None for {path}, which is not the same for all examples"
            )
    else:
        if isinstance(y, Tensor) and y.level == CONSTANT:
            y = y.value
        check_open(y, level)
        if not isinstance(y, Variable | np.ndarray | np.generic | float | int):
            raise TypeError(
                f"vmap: {path} is a {type(y).__name__}: a function that is mapped returns numbers and"
                " arrays, or nests of them"
            )
        if axis is None:
            return y
        shape = getattr(y, "shape", ())
        y = np.broadcast_to(cast(Any, y), (entering.n, *shape))
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
        raise TypeError(f"vmap: out_axes for {path} is an axis or None, not {axis!r:.50}")
    if not -y.ndim <= axis < y.ndim:
        raise ValueError(
            f"vmap: out_axes={axis} for {path}, which has {y.ndim} axes with that of the examples"
        )
    if type(y) is np.ndarray and (
        not y.flags.writeable or any(np.may_share_memory(y, x) for x in entering.arrays)
    ):
        y = y.copy()
    return y if axis == 0 else np.moveaxis(y, 0, axis)


def _with_axes(
    axes: Any, nest: Any, path: _Path | str, which: str
) -> Iterator[tuple[_Path | str, Any, Any]]:
    """The leaves of a nest, with their paths and axes. An axis in place of a nest is that of all leaves in
    it."""
    if axes is None or isinstance(axes, int | np.integer):
        yield from ((_Path(path, where) if where else path, x, axes) for where, x in leaves(nest))
        return
    parts, given = parts_of(nest), parts_of(axes)
    if given is None:
        raise TypeError(
            f"vmap: {which} for {path} is an axis, None or a nest of them, not {axes!r:.50}"
        )
    both = isinstance(nest, dict) and isinstance(axes, dict)
    if (
        parts is None
        or isinstance(nest, dict) != isinstance(axes, dict)
        or (nest.keys() != axes.keys() if both else len(parts) != len(given))
    ):
        raise ValueError(
            f"vmap: {which} for {path} must have the form of it: {_said(axes)} is not like {_said(nest)}"
        )
    given = [axes[key] for key in nest] if both else given
    for step, part, axis in zip(steps_of(nest), parts, given, strict=True):
        yield from _with_axes(axis, part, _Path(path, step), which)


class _Path(NamedTuple):
    """The path to a part of an argument, which messages alone write out."""

    before: _Path | str
    step: str

    def __str__(self) -> str:
        before, step = str(self.before), self.step
        if before.endswith(" "):  # arguments themselves are named without brackets
            step = step.replace("[", "", 1).replace("]", "", 1)
        return before + step


def _said(nest: Any) -> str:
    if isinstance(nest, dict):
        return f"a dict of {sorted(map(repr, nest))}"
    if isinstance(nest, list | tuple):
        return f"a {type(nest).__name__} of {len(nest)}"
    return f"a {type(nest).__name__}"
