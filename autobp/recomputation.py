"""Recomputation: `remat`, which computes a part of a program again instead of remembering it.

The call is recorded as one operation, whose arguments are all the tensors that the function used, its
own arguments or not. A sweep that reaches it runs the function again, and goes on through what that
has recorded, which is forgotten afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from autobp.batching import batched
from autobp.context import clock, current, resumed, tracing
from autobp.counts import counted
from autobp.dag import recorded_since
from autobp.errors import replaced
from autobp.forward import Dual, dual, with_last_uses
from autobp.forward import sweep as sweep_forward
from autobp.habits import checks_keywords
from autobp.lookups import globals_read
from autobp.owner import owner
from autobp.primitive import Array, Primitive, Results, Together, Variable, constant
from autobp.results import several, taken
from autobp.reverse import derived, sweep
from autobp.sparsity import Inside
from autobp.tensor import CONSTANT, Tensor, leaf, node
from autobp.tree import leaves, transformed

__all__ = ["remat"]

F = TypeVar("F", bound=Callable[..., Any])


@checks_keywords
def remat(f: F) -> F:
    """The same function, of which a recording keeps only what goes in: a backward sweep runs it again.

    It trades time for memory: of a chain of n layers, in √n segments wrapped in `remat`, a sweep needs
    the results of one segment and the ends of all. It costs one more evaluation. The gradients are the
    same, those of Tensors and of modules that the function closes over too; derivatives nest.

    The second run draws the same random numbers: the states of the generators that the function is
    given, or finds in its closure and in modules, are set back for it. Buffers, such as the averages
    of a BatchNorm, are not updated again. A second run that gives other results raises an error.

    >>> import numpy as np
    >>> from autobp import grad, remat
    >>> def segment(x):
    ...     for _ in range(5):
    ...         x = np.sin(2 * x)
    ...     return x
    >>> grad(lambda x: segment(segment(x)))(1.0) == grad(lambda x: remat(segment)(remat(segment)(x)))(1.0)
    True
    >>> from autobp import Tensor, graph
    >>> graph(segment(Tensor(1.0))), graph(remat(segment)(Tensor(1.0)))
    (<Graph of 11 nodes: 1 inputs, 10 operations>, <Graph of 2 nodes: 1 inputs, 1 operations>)
    """
    if not callable(f):
        raise TypeError(f"remat takes a function, not {type(f).__name__}")

    def recomputed(*args: Any, **kwargs: Any) -> Any:
        return _Call(f, args, kwargs).first()

    recomputed.__doc__ = f.__doc__
    made: F = derived(recomputed, f, "remat")
    return made


class _Call:
    """One call of a function, which can be run again."""

    def __init__(self, function: Any, args: Any, kwargs: Any) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = current()
        self.trace = tracing.get()
        self.draws: Any = None  # of random numbers in the first run, while that is traced
        self.states: list[tuple[Any, Any]] = []  # of generators, when it began
        self.buffers: list[Tensor] = []

    @property
    def place(self) -> str:
        code = getattr(self.function, "__code__", None)
        name = getattr(self.function, "__name__", type(self.function).__name__)
        if code is None or owner(self.function).is_library:
            return name
        return f"{name} ({code.co_filename}:{code.co_firstlineno})"

    def run(self) -> Any:
        return self.function(*self.args, **self.kwargs)

    def first(self) -> Any:
        """Run it, and record the call in place of what it has done."""
        began = clock()
        generators, self.buffers = _sources(self.function, self.args, self.kwargs)
        if self.trace is None:
            self.states = [(rng, rng.bit_generator.state) for rng in generators]
            result = self.run()
        else:
            result, self.draws = self.trace.first_run(self.run)
        outputs = _outputs(result, began)
        self.ended = clock()
        new: dict[Tensor, Tensor] = {}
        for level in sorted(outputs):
            values = [_with(new, t.value) for t in outputs[level]]
            inputs = list(recorded_since(began, outputs[level], level)[1])
            params = {"of": _Segment(self, level, inputs)}
            if len(values) == 1:
                made = [node(values[0], _REMAT, tuple(inputs), None, params, level, current())]
            else:
                results = several(_REMAT, inputs, values, params, level)
                made = [taken(results, i) for i in range(len(values))]
            new |= dict(zip(outputs[level], made, strict=True))
        return transformed(lambda y: _with(new, y), result) if new else result

    @contextmanager
    def again(self) -> Iterator[Any]:
        """What the function returns when it runs again, under the conditions of the first run. Then
        everything is as it was."""
        states = [(rng, rng.bit_generator.state) for rng, _ in self.states]
        buffers = [(t, t.value, t.born) for t in self.buffers]
        try:
            for rng, state in self.states:
                rng.bit_generator.state = state
            with resumed(self.context):
                if self.trace is None:
                    result = self.run()
                else:  # which has the numbers that were drawn
                    result = self.trace.second_run(self.run, self.draws)
        finally:
            for rng, state in states:
                rng.bit_generator.state = state
            for t, value, born in buffers:
                t.value, t.born = value, born
        yield result


class _Segment(NamedTuple):
    """What a call has recorded at one level."""

    call: _Call
    level: int
    inputs: list[Tensor]

    def __repr__(self) -> str:
        return str(getattr(self.call.function, "__name__", type(self.call.function).__name__))

    def on(
        self, out: Any, values: Sequence[Any]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The outputs, recorded again; what they were computed from that was there before; and what was
        recorded. The values are those that the call was recorded with, or others, on which a reader
        of graphs has evaluated it."""
        if not all(map(_is_value, self.inputs, values)):
            level = clock()
            inputs = [leaf(v, level) for v in values]
            outputs = self.evaluated(inputs)
            order, _ = recorded_since(level, outputs, level)
            return outputs, inputs, [t for t in order if not t.is_leaf]
        outputs, used, order = self.again()
        before = out if type(out) is Results else [out]
        same = len(outputs) == len(before) and set(used) <= set(self.inputs)
        if not same or not all(map(_is_same, before, (t.value for t in outputs))):
            raise RuntimeError(
                f"remat: {self.call.place} gave other results when it ran again for the backward sweep."
                " It must do the same both times: pass the generators that it draws from as arguments,"
                " and let it depend on nothing that changes between the two runs"
            )
        return outputs, self.inputs, order

    def again(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What the function records when it runs again."""
        changed = next((t for t in self.inputs if t.born > self.call.ended), None)
        if changed is not None:
            raise replaced(changed)
        began = clock()
        with self.call.again() as result:
            outputs = list(_outputs(result, began).get(self.level, ()))
        order, used = recorded_since(began, outputs, self.level)
        return outputs, list(used), order

    def evaluated(self, values: Sequence[Any]) -> list[Any]:
        """The results for other values of the inputs."""
        outputs, _, order = self.again()
        known: dict[Any, Any] = dict(zip(self.inputs, values, strict=True))
        for t in order:
            args = [known[a] if isinstance(a, Tensor) and a in known else a for a in t.args]
            known[t] = t.value if t.primitive is None else t.primitive(*args, **t.params)
        return [known[t] for t in outputs]

    def cost(self) -> tuple[int, int, int]:
        """What one run of the function costs."""
        _, _, order = self.again()
        counts = counted(t for t in order if not t.is_leaf)
        return counts.multiplications, counts.additions, counts.transcendental


def _outputs(result: Any, began: int) -> dict[int, dict[Tensor, None]]:
    """The tensors recorded since then by which a result was made, level by level: those in it, and
    those of derivatives further out that are their values."""
    found: dict[int, dict[Tensor, None]] = {}
    todo = [y for _, y in leaves(result)][::-1]
    while todo:
        t = todo.pop()
        if not isinstance(t, Tensor) or t.level == CONSTANT or t.born < began:
            continue
        if t.is_batch:
            todo.append(t.value)
        elif isinstance(t, Dual):
            todo += [t.tangent, t.value]
        elif not t.is_leaf:
            found.setdefault(t.level, {})[t] = None
            todo.append(t.value)
    return found


def _with(new: dict[Tensor, Tensor], y: Any) -> Any:
    """A tensor with those in it that are new in place of the old ones."""
    if isinstance(y, Tensor) and y.is_batch:
        value = _with(new, y.value)
        return y if value is y.value else batched(value, y.level)
    if isinstance(y, Dual):
        value, tangent = _with(new, y.value), _with(new, y.tangent)
        return y if value is y.value and tangent is y.tangent else dual(value, tangent, y.level)
    return new.get(y, y) if isinstance(y, Tensor) else y


def _is_value(t: Tensor, value: Any) -> bool:
    """Whether a value is what a tensor holds; rules are given NumPy's numbers for Python's."""
    return value is t.value or (type(value) is np.float64 and value == t.value)


def _is_same(before: Any, now: Any) -> bool:
    """Whether two runs gave one value. What is traced has none."""
    before, now = constant(before), constant(now)
    if isinstance(before, Variable) or isinstance(now, Variable):
        return True
    return np.array_equal(before, now, equal_nan=True)


# ── what a second run depends on ──────────────────────────────────────────────────────────────────

_PLAIN = (np.ndarray, np.generic, float, int, str, bytes, type(None), type, ModuleType, CodeType)
_MOST = 100_000  # objects that are looked into
_LONG = 10_000  # a list of so many is data, which is not searched


def _sources(*roots: Any) -> tuple[list[np.random.Generator], list[Tensor]]:
    """The generators and the buffers that a function can reach: among its arguments, in its closure,
    in the variables that it names and in the modules there."""
    generators: list[np.random.Generator] = []
    buffers: list[Tensor] = []
    todo, seen = list(roots), set[int]()
    for _ in range(_MOST):
        if not todo:
            break
        x = todo.pop()
        if isinstance(x, _PLAIN) or id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, Tensor):
            buffers += [x] * (x.level == CONSTANT)
        elif isinstance(x, np.random.Generator):
            generators.append(x)
        elif isinstance(x, list | tuple | set | frozenset | dict):
            if len(x) < _LONG:
                todo += x.values() if isinstance(x, dict) else x
        elif isinstance(x, FunctionType):
            todo += _read_by(x)
        elif isinstance(x, MethodType):
            todo += (x.__self__, x.__func__)
        elif isinstance(x, partial):
            todo += (x.func, x.args, x.keywords)
        elif not owner(type(x)).is_foreign:
            todo += getattr(x, "__dict__", {}).values()
    return generators, buffers


def _read_by(function: FunctionType) -> Iterator[Any]:
    """What a function finds around it."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty yet
            pass
    yield function.__defaults__
    if not owner(function).is_library:
        yield from map(function.__globals__.get, sorted(globals_read(function.__code__)))


# ── the primitive ─────────────────────────────────────────────────────────────────────────────────


class _Remat(Primitive):
    """A call that is run again by both modes."""

    __slots__ = ()

    def push(
        self, tangents: Sequence[Array | None], out: Array, args: Sequence[Array], params: Any
    ) -> Array | None:
        outputs, inputs, order = params["of"].on(out, args)
        given: dict[Tensor, Array | None] = dict(zip(inputs, tangents, strict=True))
        known = sweep_forward(with_last_uses(order, outputs), given)
        found = [known.get(y) for y in outputs]
        return Results(found) if type(out) is Results else found[0]


def _pulled(g: Any, out: Array, *values: Array, of: _Segment) -> Iterator[Array | None]:
    outputs, inputs, order = of.on(out, values)
    cotangents = g if type(out) is Results else [g]
    seeds = {y: c for y, c in zip(outputs, cotangents, strict=True) if c is not None}
    found = sweep(seeds, [*inputs, *order], inputs=set(inputs))
    return (found.get(t) for t in inputs)


def _run_again(*values: Array, of: _Segment) -> Array:
    results = of.evaluated(values)
    return results[0] if len(results) == 1 else Results(results)


def _cost(out: Any, *shapes: Any, of: _Segment) -> tuple[int, int, int]:
    return of.cost()


def _inside(t: Tensor) -> Inside:
    outputs, _, order = t.params["of"].again()
    return Inside({a: a for a in t.args}, list(outputs), order)


_REMAT = _Remat("remat", _run_again, None, Together(_pulled), cost=_cost, inside=_inside)
