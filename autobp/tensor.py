"""Tensor: a number or an array that remembers how it was made.

The tensors behind a result form a directed acyclic graph. Its edges are the `args` of each tensor,
in order and with repeats, so `x * x` has two. The graph is plain data without closures or cycles, and
its memory is freed with its last result.

A tensor has a level. Tensors you make yourself are at level 0, constants (`requires_grad=False`) are
below all others, and every derivative (`grad`, `jvp`, …) opens a level of its own above those around
it. An operation is recorded at the highest level among its arguments. Arguments of that level enter
with their values; those of lower levels are constants to it and enter as they are, so that the
computation of the value is recorded at their level in turn. That is how derivatives nest.

Here is the general code. `fast_paths` puts quicker methods with the same results in front of it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from autobp.arrays import defers_to, in_memory, is_foreign
from autobp.calculus import as_value, evaluate, operand
from autobp.context import Context, clock, current, user_line, value_listener
from autobp.dispatch import called, called_ufunc
from autobp.errors import label, not_in_place, not_into_table, not_plain, not_written, replaced
from autobp.habits import ListsWhatItHas, add_absent, foreign_keyword, is_executing
from autobp.hooks import RETAIN, Digests, Hook, HookHandle
from autobp.in_place import FROZEN, UNRECORDED, in_place
from autobp.methods import ArrayMethods
from autobp.operation import SIGNS
from autobp.primitive import NUMPY, Primitive, Variable, constant, variable_in
from autobp.rules import arithmetic as ops
from autobp.rules import indexing, linalg
from autobp.spellings import TENSOR

__all__ = ["Tensor"]

_new = object.__new__
_NONE: dict[str, Any] = {}
_FLOAT64 = np.dtype(np.float64)

#: What a comparison gives.
Truth = np.bool | np.ndarray[Any, np.dtype[np.bool]]

#: The methods of operators such as `+=`.
_IN_PLACE = {
    f"__i{name}__": f"{sign}="
    for name, sign in {
        **{"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//"},
        **{"mod": "%", "pow": "**", "and": "&", "or": "|", "xor": "^"},
    }.items()
}

CONSTANT = -1  # the level of tensors that are not differentiated


def node(
    value: Any,
    primitive: Primitive | None,
    first: Any,
    second: Any,
    params: dict[str, Any],
    level: int,
    context: Context,
    kind: Any = None,
) -> Any:
    """Make a tensor without the checks of the constructor."""
    t = _new(kind or Tensor)
    t.value = value
    if primitive is None:
        t._grad = None  # in results the slot is empty: see Tensor.grad
    t.primitive = primitive
    t.first = first
    t.second = second
    t.params = params
    t.name = None
    t.scope = context.scope
    t.line = user_line() if context.lines else None
    t.level = level
    t.born = clock()
    t.hooks = ()
    return t


def operands(args: Sequence[Any], level: int) -> tuple[list[Any], list[Any]]:
    """The arguments of an operation as they are recorded, and the values that it computes with."""
    parents, values = [], []
    for a in args:
        if isinstance(a, Tensor):
            values.append(a.value if a.level == level or a.level == CONSTANT else a)
        else:
            a = operand(a)
            values.append(a)
        parents.append(a)
    for i, a in enumerate(parents):
        if type(a) in _NARROW and _has_wide_number(parents):
            parents[i] = values[i] = float(a)
    return parents, values


_NARROW = (np.float32, np.float16)


def _has_wide_number(args: Sequence[Any]) -> bool:
    """Whether all arguments are numbers, and one of them a tensor in double precision. It is a float of
    Python's, which beside a constant of NumPy's in single precision would be no more than that; what NumPy
    makes of a number is. Such a constant is taken for a float, and nothing becomes less precise."""
    shapes = {getattr(a, "shape", ()) for a in args}
    return shapes == {()} and any(isinstance(a, Tensor) and a.dtype == np.float64 for a in args)


def index_tensors(index: Any) -> Iterator[Tensor]:
    """The batches of whole numbers in an index."""
    return (i for i in (index if type(index) is tuple else (index,)) if isinstance(i, Tensor))


_level = attrgetter("level")


def leaf(value: Any, level: int, kind: Any = None) -> Any:
    """Make a variable at a level."""
    return node(value, None, None, None, _NONE, level, current(), kind)


def kept_grad(t: Tensor) -> Any:
    """The `.grad` of any tensor, without the warning that results have none."""
    return getattr(t, "_grad", None)


def _infix(primitive: Primitive) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two methods of a binary operator."""

    def operator_(self: Tensor, other: Any) -> Any:
        if defers_to(type(other)):
            return NotImplemented
        return self.apply(primitive, (self, other), _NONE)

    def reflected(self: Tensor, other: Any) -> Any:
        if defers_to(type(other)):
            return NotImplemented
        return self.apply(primitive, (other, self), _NONE)

    return operator_, reflected


def _prefix(primitive: Primitive) -> Callable[..., Any]:
    def operator_(self: Tensor) -> Any:
        return self.apply(primitive, (self,), _NONE)

    return operator_


def _comparison(text: str) -> Callable[..., Any]:
    """Comparisons give plain truth values, of NumPy's type: with Python's, ~True is −2."""
    compare, ufunc = SIGNS[text].python, SIGNS[text].ufunc

    def compared(self: Tensor, other: Any) -> Any:
        listener = value_listener.get()
        recorded = None if listener is None else listener.compared(compare, self, other)
        if recorded is not None:
            return recorded
        x, y = self.primal_value(), constant(other)
        if isinstance(x, Variable) or isinstance(y, Variable):
            return ufunc(x, y)
        truth = compare(x, y)
        return np.bool_(truth) if type(truth) is bool else truth

    return compared


def _copied(value: Any) -> Any:
    return value.copy() if is_foreign(value) else None if value is None else np.copy(value)[()]


def _rebuild(
    value: Any, grad: Any, name: str | None, requires_grad: bool, is_frozen: bool = False
) -> Tensor:
    t = Tensor(value, requires_grad=requires_grad, name=name)
    t.grad = grad
    if is_frozen:
        t.params = FROZEN
    return t


def not_taken(more: Sequence[Any], foreign: dict[str, Any]) -> TypeError:
    """The error for what the constructor does not know."""
    if more:
        return TypeError(
            f"Tensor(data) takes one argument by position, not {1 + len(more)}: write Tensor([x, y]) for"
            " several numbers, and requires_grad=, name= and dtype= by name; operations record their"
            " arguments by themselves"
        )
    return foreign_keyword("Tensor", foreign) or TypeError(
        f"Tensor has no {next(iter(foreign))}=: it takes requires_grad=, name= and dtype="
    )


def bare_gradient(gradient: Any, value: Any) -> Any:
    """A gradient as a tensor of this value keeps it. `grad` of a function of Tensors returns Tensors."""
    return (
        gradient.data
        if isinstance(gradient, Tensor) and not isinstance(value, Tensor)
        else gradient
    )


class Tensor(ArrayMethods, metaclass=ListsWhatItHas):
    """A float, or an array of floats, that you can differentiate by.

    Write NumPy: operators, NumPy's functions and ndarray's methods are all recorded.

    >>> import numpy as np
    >>> from autobp import Tensor
    >>> x = Tensor([1.0, 2.0, 3.0], name="x")
    >>> y = np.sum(x**2)
    >>> y
    Tensor(14.0, from sum)
    >>> y.backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    __slots__ = (
        "_grad",
        "born",
        "first",
        "hooks",
        "level",
        "line",
        "name",
        "params",
        "primitive",
        "scope",
        "second",
        "value",
    )

    value: Any  # a float, a NumPy scalar or an ndarray; within nested derivatives a Tensor
    _grad: Any  # the gradient of a leaf, None before backward(); of a result only if it is retained
    primitive: Primitive | None  # the operation that made it; None for a leaf
    first: Any  # the first argument; None for a leaf; all of them in a tuple if there are many
    second: Any  # the second argument, if there are two
    params: dict[str, Any]
    name: str | None
    scope: str | None  # the scope() it was made in
    line: str | None  # the user's line that made it, where lines are recorded
    level: int
    born: int
    hooks: tuple[Hook, ...]

    def __init__(
        self,
        data: Any,
        *more: Any,
        requires_grad: bool = True,
        name: str | None = None,
        dtype: Any = None,
        label: str | None = None,  # micrograd's word for the name
        **foreign: Any,
    ) -> None:
        if more or foreign:
            raise not_taken(more, foreign)
        if isinstance(data, Tensor) and data.requires_grad:
            raise not_plain(data, "a new Tensor", "its .detach() or .numpy()")
        value = as_value(data, dtype)
        if (type(value) is np.ndarray and (value is data or value.base is not None)) or (
            value is data and is_foreign(value)
        ):
            value = value.copy()
        self.value = value
        self._grad = None
        self.primitive = None
        self.first = self.second = None
        self.params = _NONE
        self.name = label if name is None else name
        self.scope = current().scope
        self.line = None
        self.level = 0 if requires_grad else CONSTANT
        self.born = clock()
        self.hooks = ()

    # ── recording ─────────────────────────────────────────────────────────────────────────────────

    def apply(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        """Run an operation at the highest level among its arguments."""
        context = current()
        top = self
        for a in args:
            if isinstance(a, Tensor) and a.level > top.level:
                top = a
        if params and "index" in params:
            i = variable_in(params["index"])
            if isinstance(i, Tensor):
                top = max(i, *index_tensors(params["index"]), top, key=_level)
        if (top.level < context.threshold and not top.is_batch) or top.level == CONSTANT:
            args, _ = operands(args, CONSTANT)
            values = [a.primal_value() if isinstance(a, Tensor) else a for a in args]
            value = evaluate(primitive, args, values, params, context)
            if isinstance(value, Tensor):  # a batch, which no derivative is taken of
                return value
            return node(value, None, None, None, UNRECORDED, CONSTANT, context)
        return top.record(primitive, args, params, context)

    def record(
        self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any], context: Context
    ) -> Tensor:
        """Run an operation at this tensor's level and record it."""
        parents, values = operands(args, self.level)
        value = evaluate(primitive, parents, values, params, context)
        if len(parents) == 2:
            first, second = parents
        else:
            first, second = parents[0] if len(parents) == 1 else tuple(parents), None
        t: Tensor = node(value, primitive, first, second, params, self.level, context)
        if context.anomaly:
            t.hooks = (Digests([value, *values]),)
        return t

    def operand_values(self) -> list[Any]:
        """The arguments as the operation that made this computed with them: the values of tensors of
        its level and of constants; tensors of derivatives further out as they are."""
        level, values = self.level, []
        for a in self.args:
            if isinstance(a, Tensor):
                if a.level != level and a.born > self.born:
                    raise replaced(a)
                a = a.value if a.level == level or a.level == CONSTANT else a
            values.append(a)
        return values

    def primal_value(self) -> Any:
        """The number or array at the bottom, below all derivatives that are being taken; of a batch of
        examples, such a batch."""
        listener = value_listener.get()
        if listener is not None:
            listener.read(self)
        value = self.value
        while isinstance(value, Tensor):
            if value.is_batch:
                return value.primal_value()
            value = value.value
        return value

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of the operation that made it, in order and with repeats.

        One or two arguments, which most operations have, are in slots instead of a tuple: this
        halves the work of the garbage collector on large graphs.
        """
        first, second = self.first, self.second
        if second is not None:
            return first, second
        if type(first) is tuple:
            return first
        return () if first is None else (first,)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    @property
    def requires_grad(self) -> bool:
        """Whether it is differentiated. `w.requires_grad = False` freezes a parameter: results that
        are computed later treat it as a constant, and optimizers leave it as it is."""
        return self.level != CONSTANT

    @requires_grad.setter
    def requires_grad(self, needed: bool) -> None:
        if not self.is_leaf or self.level > 0:
            raise RuntimeError(
                f"cannot set requires_grad of {label(self)}: it is the result of an operation, or a"
                " derivative by it is being taken; .detach() gives a constant"
            )
        if self.requires_grad is not bool(needed):
            self.params = _NONE if needed else FROZEN
        self.level = 0 if needed else CONSTANT
        self.born = clock()  # as when the data is replaced: what was computed before is stale

    @property
    def is_leaf(self) -> bool:
        return self.primitive is None

    @property
    def data(self) -> Any:
        """The value itself, not a copy. Assign to it to update a parameter.

        Results that were computed from the old value can no longer be differentiated; trying raises
        an error. Writing to single elements, as in `w.data[0] = 1`, goes unnoticed, as it does in arrays
        that are constants: follow it by `w.data = w.data`. Under `detect_anomaly()` both are noticed.

        >>> from autobp import Tensor
        >>> w = Tensor(3.0, name="w")
        >>> loss = w * w
        >>> loss.backward()
        >>> w.data -= 0.1 * w.grad
        >>> w
        Tensor(2.4, name='w')
        """
        return self.primal_value()

    @data.setter
    def data(self, data: Any) -> None:
        if isinstance(self.value, Tensor):
            raise TypeError(
                "cannot replace the value of a Tensor inside grad, jvp and other derivatives"
            )
        if self.primitive is not None:
            raise TypeError(
                f"cannot replace the data of {label(self)}: it is the result of an operation;"
                " .detach() gives a Tensor of its own"
            )
        old = self.value
        if data is old:  # changed in place
            self.born = clock()
            return
        value = as_value(data)
        if np.shape(value) != np.shape(old):
            raise ValueError(
                f"the new data of {label(self)} has shape {np.shape(value)}, not {np.shape(old)}"
            )
        if type(value) is not type(old) or self.dtype != np.result_type(value):
            value = as_value(value, self.dtype)
        self.value = value
        self.born = clock()  # now younger than its results, which is how a sweep notices

    def numpy(self) -> np.ndarray:
        """A copy of the value as a plain ndarray."""
        value = self.primal_value()
        return np.array(in_memory(value) if is_foreign(value) else value)

    def item(self) -> float:
        """The value of a tensor with one element, as a Python float."""
        return float(self.numpy().item())

    def tolist(self) -> Any:
        """The value as nested lists of Python floats."""
        return self.numpy().tolist()

    def detach(self) -> Tensor:
        """The same value as a constant."""
        value = self.primal_value()
        if isinstance(value, Tensor):  # a batch of examples
            return value
        return Tensor(value, requires_grad=False, name=self.name)

    @property
    def shape(self) -> tuple[int, ...]:
        value = self.value
        return () if type(value) is float else value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        value = self.value
        return _FLOAT64 if type(value) is float else value.dtype

    @property
    def label(self) -> str | None:
        """The name, by micrograd's word for it."""
        return self.name

    @label.setter
    def label(self, label: str | None) -> None:
        self.name = label

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    # ── differentiating ───────────────────────────────────────────────────────────────────────────

    @property
    def grad(self) -> Any:
        """The gradient that backward() added, in the shape and dtype of the value: a plain array or a
        float. It is None before, and for results, unless retain_grad() was called on them. To clear it,
        assign None."""
        try:
            return self._grad
        except AttributeError:
            if RETAIN not in self.hooks:
                warnings.warn(
                    f".grad of {label(self)} is None: the gradient of a result is not kept, unless"
                    " retain_grad() is called on it before backward(). A parameter stays a leaf if it is"
                    " updated as in: with no_grad(): p -= lr * p.grad",
                    stacklevel=2,
                )
            return None

    @grad.setter
    def grad(self, gradient: Any) -> None:
        self._grad = bare_gradient(gradient, self.value)

    def backward(self, gradient: Any = None, retain_graph: Any = None, **options: Any) -> None:
        """Add the derivatives of this tensor to the `.grad` of the leaves it was computed from.

        A result with more than one element needs a cotangent of its shape, the `gradient`. A second
        backward() through a graph works whether or not `retain_graph` is given.

        Several threads may call this at once: no addition is lost, but their order, and so the last
        bits of the sums, may vary. Reset gradients, take a step, or call a compiled function that
        adds to them only while no other thread does.
        """
        from autobp.reverse import backward  # late: reverse mode reads tensors

        if options.pop("create_graph", False):
            raise TypeError(
                "backward(create_graph=True): gradients in .grad are plain arrays; for derivatives of"
                " derivatives write grad(grad(f)), hessian(f) or hvp(f, (x,), (v,))"
            )
        if options:
            raise foreign_keyword("backward()", options) or TypeError(
                f"backward() has no {', '.join(options)}; grad(f, argnums) takes the derivative by some"
                " arguments alone"
            )
        backward(self, gradient)

    def register_hook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """Call `hook(gradient)` when a backward sweep has this tensor's complete gradient. If the hook
        returns something, that replaces the gradient. The handle's `remove()` takes the hook away.
        """
        self.hooks = (*self.hooks, Hook(hook))
        return HookHandle(self, self.hooks[-1])

    def retain_grad(self) -> None:
        """Store the gradient of an intermediate result in `.grad` at each backward sweep."""
        if not self.is_leaf and RETAIN not in self.hooks:
            self.hooks = (*self.hooks, RETAIN)

    # ── NumPy's protocols ─────────────────────────────────────────────────────────────────────────

    @property
    def __pandas_priority__(self) -> int:
        """Above all of pandas': what it would hold is an object to it. Its operators ask, and those in
        place, for which it has no other way out than an error, after them in the stack."""
        frame: Any = sys._getframe(1)
        for _ in range(4):
            if frame is not None and frame.f_code.co_name in _IN_PLACE:
                raise not_into_table(_IN_PLACE[frame.f_code.co_name])
            frame = frame and frame.f_back
        return 5000

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc in NUMPY:
            if any(defers_to(type(x)) for x in inputs):
                return NotImplemented
            return NUMPY[ufunc](*inputs)
        return called_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        return called(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            if is_executing(sys._getframe(1), "STORE_SUBSCR", "STORE_SLICE"):
                raise not_written(self, ".numpy()")
            raise not_plain(self, "an array", ".numpy()")
        return np.array(self.value, dtype)

    # ── operators ─────────────────────────────────────────────────────────────────────────────────

    if TYPE_CHECKING:  # what the loops below make, as type checkers and editors see it
        # fmt: off
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __iadd__(self, other: Any) -> Tensor: ...
        def __isub__(self, other: Any) -> Tensor: ...
        def __imul__(self, other: Any) -> Tensor: ...
        def __itruediv__(self, other: Any) -> Tensor: ...
        def __ifloordiv__(self, other: Any) -> Tensor: ...
        def __imod__(self, other: Any) -> Tensor: ...
        def __imatmul__(self, other: Any) -> Tensor: ...
        def __ipow__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __floor__(self) -> Tensor: ...
        def __ceil__(self) -> Tensor: ...
        def __trunc__(self) -> Tensor: ...
        def __eq__(self, other: object) -> Any: ...
        def __ne__(self, other: object) -> Any: ...
        def __lt__(self, other: Any) -> Truth: ...
        def __le__(self, other: Any) -> Truth: ...
        def __gt__(self, other: Any) -> Truth: ...
        def __ge__(self, other: Any) -> Truth: ...
        def __hash__(self) -> int: ...
        # fmt: on
    else:
        # fmt: off
        __add__,      __radd__      = _infix(ops.add)
        __sub__,      __rsub__      = _infix(ops.subtract)
        __mul__,      __rmul__      = _infix(ops.multiply)
        __truediv__,  __rtruediv__  = _infix(ops.divide)
        __floordiv__, __rfloordiv__ = _infix(ops.floor_divide)
        __mod__,      __rmod__      = _infix(ops.remainder)
        __matmul__,   __rmatmul__   = _infix(linalg.matmul)

        __iadd__, __isub__, __imul__       = map(in_place, ("+", "-", "*"))
        __itruediv__, __ifloordiv__        = map(in_place, ("/", "//"))
        __imod__, __imatmul__, __ipow__    = map(in_place, ("%", "@", "**"))

        __neg__, __pos__, __abs__     = _prefix(ops.negative), _prefix(ops.positive), _prefix(ops.absolute)
        __floor__, __ceil__, __trunc__ = _prefix(ops.floor), _prefix(ops.ceil), _prefix(ops.trunc)

        __eq__, __ne__ = _comparison("=="), _comparison("!=")
        __lt__, __le__ = _comparison("<"), _comparison("<=")
        __gt__, __ge__ = _comparison(">"), _comparison(">=")
        __hash__       = object.__hash__
        # fmt: on

    def __pow__(self, other: Any) -> Tensor:
        if type(other) is int or type(other) is float:
            return self.apply(ops.power_by, (self,), {"n": other})
        if defers_to(type(other)):
            return NotImplemented
        return NUMPY[np.power](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return NotImplemented if defers_to(type(other)) else ops.power(other, self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.getitem(self, index=indexing.prepared(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise not_in_place(self)

    @property
    def at(self) -> indexing.At[Tensor]:
        """`t.at[i].set(v)` and `t.at[i].add(v)`: a new tensor with t[i] replaced or increased."""
        return indexing.At(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d Tensor has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("cannot iterate over a 0-d Tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        return bool(np.any(self.primal_value() == constant(item)))

    def __bool__(self) -> bool:
        return bool(self.primal_value())

    def __float__(self) -> float:
        if self.requires_grad:
            if is_executing(sys._getframe(1), "STORE_SUBSCR", "STORE_SLICE"):
                raise not_written(self, ".item()")
            raise not_plain(self, "a Python number", ".item()")
        return self.item()

    def __int__(self) -> int:
        return int(float(self))

    def __round__(self, ndigits: int | None = None) -> Tensor:
        return ops.round(self, ndigits or 0)

    # ── copies and text ───────────────────────────────────────────────────────────────────────────

    def __reduce__(self) -> Any:
        """A pickled or deep-copied leaf is copied exactly. A result becomes a constant: the graph behind
        it, however large, is not copied."""
        if self.level > 0:
            raise not_plain(self, "a copy", "its .detach()")
        return _rebuild, (
            self.primal_value(),
            kept_grad(self),
            self.name,
            self.is_leaf and self.requires_grad,
            self.params is FROZEN,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        rebuild, (value, grad, *rest) = self.__reduce__()
        return rebuild(_copied(value), _copied(grad), *rest)

    def __dir__(self) -> list[str]:
        return [name for name in object.__dir__(self) if hasattr(type(self), name)]

    def __repr__(self) -> str:
        value = self.primal_value()
        if isinstance(value, Tensor):
            return f"Tensor of {value!r}"
        parts = [
            repr(value)
            if type(value) is float or is_foreign(value)
            else np.array2string(np.asarray(value), prefix="Tensor(")
        ]
        if self.size > np.get_printoptions()["threshold"] or not self.size:
            parts.append(f"shape={self.shape}")
        if self.dtype != np.float64:
            parts.append(f"dtype={self.dtype}")
        if self.name is not None:
            parts.append(f"name={self.name!r}")
        if self.primitive is not None:
            parts.append(f"from {self.primitive.name}")
        if not self.requires_grad:
            parts.append("requires_grad=False")
        return f"Tensor({', '.join(parts)})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)


add_absent(Tensor, TENSOR)


class _CalledModule(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "autobp.tensor is a module: write Tensor(x) to differentiate by it; a constant is a plain array"
        )


sys.modules[__name__].__class__ = _CalledModule  # for PyTorch's torch.tensor(x)
