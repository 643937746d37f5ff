"""Graph: the recorded program, as data.

Everything that works on a recording starts here. Reverse and forward sweeps take `ancestors`, the
tensors in the order in which they were computed. `Graph` is that order with names, for people and
for pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autobp.arrays import is_foreign
from autobp.calculus import as_value, project
from autobp.context import clock, current, unheard
from autobp.errors import leaked
from autobp.primitive import Variable
from autobp.tensor import CONSTANT, Tensor, leaf
from autobp.tree import leaves, refilled

if TYPE_CHECKING:
    from autobp.drawing.health import Health
    from autobp.drawing.picture import Picture

__all__ = ["Edge", "Graph", "Recording", "ancestors", "graph", "record", "recorded_since"]

_born = attrgetter("born")


@unheard
def ancestors(outputs: Iterable[Tensor], level: int) -> list[Tensor]:
    """The outputs and everything they were computed from at one level, in the order of birth.

    Arguments are born before results, so this is a topological order, found without recursion.
    """
    seen = set(outputs)
    stack = list(seen)
    order = []
    while stack:
        t = stack.pop()
        order.append(t)
        a, b = t.first, t.second  # the same text twice: a loop would take half as long again
        if isinstance(a, Tensor) and a.level == level and a not in seen:
            seen.add(a)
            stack.append(a)
        if isinstance(b, Tensor) and b.level == level and b not in seen:
            seen.add(b)
            stack.append(b)
        if type(a) is tuple:
            fresh = {c for c in a if isinstance(c, Tensor) and c.level == level} - seen
            seen |= fresh
            stack += fresh
    order.sort(key=_born)
    return order


def recorded_since(
    began: int, outputs: Iterable[Tensor], level: int
) -> tuple[list[Tensor], dict[Tensor, None]]:
    """What the outputs were computed from, arguments before results: what was recorded since then,
    and what was there before."""
    seen = set(outputs)
    stack = list(seen)
    order, before = [], []
    while stack:
        t = stack.pop()
        if t.born < began:
            before.append(t)
            continue
        order.append(t)
        fresh = {a for a in t.args if isinstance(a, Tensor) and a.level == level} - seen
        seen |= fresh
        stack += fresh
    return sorted(order, key=_born), dict.fromkeys(sorted(before, key=_born))


class Recording(NamedTuple):
    """What running a function once, on variables at a level of its own, has recorded."""

    level: int
    inputs: list[Tensor]
    outputs: list[Tensor | None]  # None: does not depend on the inputs
    values: list[Any]  # of the outputs, as seen from outside the level
    result: Any  # what the function returned: a number, an array, or a nest of them

    def order(self) -> list[Tensor]:
        """Everything the outputs were computed from, arguments before results."""
        return ancestors((y for y in self.outputs if y is not None), self.level)

    def refill(self, values: Iterable[Any]) -> Any:
        """The nest that the function returned, with other values in it."""
        return refilled(self.result, values)


def record(
    function: Callable[..., Any], args: Sequence[Any], chosen: Sequence[int], keep: bool = False
) -> Recording:
    """Record a function of the chosen arguments; the others are passed as they are. With `keep`,
    copies are recorded, so that later changes to the caller's arrays do not reach the recording."""
    level = clock()
    inputs: list[Tensor] = []
    filled = list(args)
    for i in chosen:
        given = args[i]
        if type(given) is np.ndarray:  # as nearly always
            value = lifted(given, f"argument {i}")
            filled[i] = variable = leaf(copied(value) if keep else value, level)
            inputs.append(variable)
            continue
        values = [lifted(x, f"argument {i}{path}") for path, x in leaves(given)]
        fresh = [leaf(copied(v) if keep else v, level) for v in values]
        inputs += fresh
        filled[i] = refilled(given, fresh)
    result = function(*filled)
    if isinstance(result, Tensor):
        check_open(result, level)
        is_mine = result.level == level
        output, value = (result, result.value) if is_mine else (None, result)
        return Recording(level, inputs, [output], [value], result)
    found = [y for _, y in leaves(result)]
    outputs = [y if isinstance(y, Tensor) and y.level == level else None for y in found]
    for y in found:
        check_open(y, level)
    values = [y if t is None else t.value for y, t in zip(found, outputs, strict=True)]
    return Recording(level, inputs, outputs, values, result)


def check_open(y: Any, level: int) -> None:
    """Refuse a result that depends on a variable of an inner derivative or vmap: those have ended."""
    if isinstance(y, Tensor) and y.level > level:
        raise leaked(y)


def lifted(x: Any, what: str) -> Any:
    """An argument as the value of a variable. A Tensor that is being differentiated stays one."""
    if isinstance(x, Tensor):
        return x if CONSTANT != x.level >= current().threshold else x.primal_value()
    try:
        return as_value(x)
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None


def copied(value: Any) -> Any:
    """The value in memory that nobody else holds."""
    return value.copy() if type(value) is np.ndarray or is_foreign(value) else value


def checked_cotangent(given: Any, value: Any, what: str) -> Any:
    """A tangent or cotangent from the user, checked against the value that it belongs to."""
    is_like = type(given) is np.ndarray is type(value) and given.shape == value.shape
    if is_like and given.ndim and given.dtype is value.dtype:  # as nearly always
        return given.copy("K")
    if not isinstance(given, Variable):
        given = as_value(given)
        given = given.copy() if is_foreign(given) else np.array(given)[()]
    if np.shape(given) != np.shape(value):
        raise ValueError(
            f"{what} has shape {np.shape(given)}; its value has shape {np.shape(value)}"
        )
    return project(given, as_value(value) if not isinstance(value, Tensor) else value)


class Edge(NamedTuple):
    """One use of a tensor as an argument: `x * x` has two edges, in slots 0 and 1."""

    source: Tensor
    target: Tensor
    slot: int


class Graph:
    """The recorded program behind some results, in evaluation order.

    >>> from autobp import Tensor, graph
    >>> x, w = Tensor(3.0, name="x"), Tensor([1.0, 2.0], name="w")
    >>> y = (w * x).sum() * x
    >>> print(graph(y))
    x  = input               3.0
    w  = input               [1. 2.]
    t2 = multiply(w, x)      [3. 6.]
    t3 = sum(t2)             9.0
    t4 = multiply(t3, x)     27.0
    >>> graph(y).counts
    Counter({'multiply': 2, 'sum': 1})
    """

    def __init__(self, outputs: Sequence[Tensor]) -> None:
        for y in outputs:
            if not isinstance(y, Tensor):
                raise TypeError(f"graph() takes Tensors, not {type(y).__name__}")
        self.outputs: tuple[Tensor, ...] = tuple(outputs)
        level = max((y.level for y in outputs), default=CONSTANT)
        order = ancestors([y for y in outputs if y.level == level], level)
        arguments = (a for t in order for a in t.args if isinstance(a, Tensor))
        constants = dict.fromkeys(a for a in (*arguments, *outputs) if a.level != level)
        #: Every tensor in the graph, arguments before results.
        self.nodes: tuple[Tensor, ...] = tuple(sorted([*constants, *order], key=_born))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The leaves that are differentiated by."""
        return tuple(t for t in self.nodes if t.is_leaf and t.requires_grad)

    @property
    def operations(self) -> tuple[Tensor, ...]:
        """The results of operations, in the order in which those ran."""
        return tuple(t for t in self.nodes if not t.is_leaf)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every use of a tensor by an operation, repeats kept."""
        return tuple(
            Edge(a, t, slot)
            for t in self.nodes
            for slot, a in enumerate(t.args)
            if isinstance(a, Tensor)
        )

    @property
    def counts(self) -> Counter[str]:
        """How often each operation occurs."""
        return Counter(t.primitive.name for t in self.nodes if t.primitive is not None)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        n = len(self.nodes)
        return f"<Graph of {n:,} nodes: {len(self.inputs):,} inputs, {len(self.operations):,} operations>"

    def __str__(self) -> str:
        return self.equations(limit=60)

    def names(self) -> dict[Tensor, str]:
        """A name for each tensor: its own if no other has it, else one by position."""
        names: dict[Tensor, str] = {}
        taken: set[str] = set()
        for i, t in enumerate(self.nodes):
            name = t.name if t.name is not None and t.name not in taken else f"t{i}"
            while name in taken:
                name += "_"
            names[t] = name
            taken.add(name)
        return names

    def equations(self, limit: int | None = None) -> str:
        """The program, one equation a line. With a limit, the middle of a long one is omitted."""
        shown = self.nodes
        if limit is not None and len(shown) > limit:
            shown = shown[: limit // 2] + shown[-(limit // 2) :]
        names = self.names()
        width = max((len(names[t]) for t in shown), default=0)
        lines = [f"{names[t]:{width}} = {_right_side(t, names)}" for t in shown]
        column = min(max((len(line) for line in lines), default=0), 60)
        lines = [f"{line:{column}}     {_summary(t)}" for line, t in zip(lines, shown, strict=True)]
        if len(shown) < len(self.nodes):
            lines.insert(len(shown) // 2, f"… {len(self.nodes) - len(shown):,} more …")
        return "\n".join(lines)

    def text(self, names: Mapping[str, Any] | None = None) -> str:
        """The graph for a terminal: the result as a tree of its arguments, with shared branches
        shown once, and the equations with their numbers, forward and then backward.

        >>> from autobp import Tensor, graph
        >>> a, b = Tensor(2.0, name="a"), Tensor(3.0, name="b")
        >>> print(graph(a * b + a).text())
        t3 = add           8   grad 1
        ├─ t2 = multiply   6   grad 1
        │  ├─ a: input     2   grad 4
        │  └─ b: input     3   grad 2
        └─ a: input        2   grad 4
        <BLANKLINE>
        forward
        a = input     2
        b = input     3
        t2 = a × b    6
        t3 = t2 + a   8
        <BLANKLINE>
        backward
        ∂t3 = 1
        ∂t2 = ∂t3       1
        ∂a = ∂t3        1
        ∂a += ∂t2 × b   3   → 4
        ∂b = ∂t2 × a    2
        """
        from autobp.drawing.text import text  # late: pictures read graphs

        return text(self, names)

    def health(self, names: Mapping[str, Any] | None = None) -> Health:
        """The size of values and gradients in each layer, from the input to the loss: a table that
        marks NaN, inf, dead units, and gradients that vanish or explode. `.plot()` draws it.

        Sizes are root mean squares: of the results of a layer that are used outside of it, and of the
        weights that are first used in it. A layer is a scope. Operations outside of scopes are grouped
        by the weights that they use.

        >>> import numpy as np
        >>> from autobp import Tensor, graph, scope
        >>> with scope("layer"):
        ...     h = np.tanh(Tensor(np.ones((2, 3)), name="W") * [0.1, 0.2, 0.3])
        >>> round(graph(np.sum(h)).health()["layer"].value, 6)
        0.211151
        """
        from autobp.drawing.health import health  # late: pictures read graphs

        return health(self, names)

    def draw(self, **options: Any) -> Picture:
        """A picture of it; see `autobp.drawing` for the options."""
        from autobp.drawing.api import draw  # late: pictures read graphs

        return draw(self, **options)


def _right_side(t: Tensor, names: dict[Tensor, str]) -> str:
    if t.primitive is None:
        return "input" if t.requires_grad else "constant"
    args = [names[a] if isinstance(a, Tensor) and a in names else _constant(a) for a in t.args]
    params = [
        f"{k}={_constant(v)}" for k, v in t.params.items() if v is not None and v is not False
    ]
    return f"{t.primitive.name}({', '.join(args + params)})"


def _constant(a: Any) -> str:
    if isinstance(a, np.ndarray) and a.size > 4:
        return f"array{a.shape}"
    if isinstance(a, tuple) and any(isinstance(i, np.ndarray | slice) for i in a):
        return f"[{', '.join(map(_constant, a))}]"
    if type(a) is tuple:  # of np.int64, say
        return f"({', '.join(map(_constant, a))}{',' * (len(a) == 1)})"
    if isinstance(a, slice):
        return ":".join(
            "" if i is None else str(i)
            for i in (a.start, a.stop, a.step)[: 2 + (a.step is not None)]
        )
    return "..." if a is Ellipsis else str(a) if isinstance(a, np.ndarray | np.generic) else repr(a)


def _summary(t: Tensor) -> str:
    """A small value in full; the shape of a large one."""
    value = t.primal_value()
    dtype = "" if t.dtype == np.float64 else f" {t.dtype}"
    if t.size > 4 or t.ndim > 1:
        return f"{t.shape}{dtype}"
    return (repr(value) if type(value) is float else str(value)) + dtype


def graph(*outputs: Tensor) -> Graph:
    """The recorded program behind one or more results: see `Graph`."""
    return Graph(outputs)
