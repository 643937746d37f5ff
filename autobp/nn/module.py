"""Module: parameters, and the function that uses them; modules can contain modules.

Nothing is registered. The members of a module are found in its attributes, and in lists, tuples and
dicts there: Tensors that require a gradient are parameters, other Tensors are buffers, and modules
are children. Attributes that begin with an underscore, and results of operations, are ignored.
"""

from __future__ import annotations

import warnings
from collections import UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from inspect import signature
from itertools import islice
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any, ClassVar, NamedTuple, ParamSpec, Protocol, Self, TypeVar

import numpy as np

from autobp.context import current, evaluation, module_call
from autobp.errors import label
from autobp.habits import absent, check_set_to_none, foreign_keyword
from autobp.in_place import FROZEN, UNRECORDED, overwrite
from autobp.nn.summary import Row, Summary
from autobp.spellings import MODULE
from autobp.tensor import Tensor
from autobp.tree import transformed

__all__ = ["Module", "functional_call"]

M = TypeVar("M", bound="Module")
P = ParamSpec("P")
R = TypeVar("R", covariant=True)
_NEST = (dict, list, tuple)
_SIMPLE = {int, float, bool, str, bytes, type(None), Tensor, FunctionType, type, np.dtype}
_PLAIN = _SIMPLE - {Tensor}
_MOST = 1000  # objects that an attribute is searched for layers in


class _Forward(Protocol[P, R]):
    """A module, by what a call of it takes and gives."""

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class Unmatched(NamedTuple):
    """The names that `load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """The base of all layers and models. A subclass sets attributes and defines `forward`.

    >>> import numpy as np
    >>> from autobp import nn
    >>> class Residual(nn.Module):
    ...     def __init__(self, width, rng=None):
    ...         self.inner = nn.MLP([width, 8, width], activation="tanh", rng=rng)
    ...     def forward(self, x):
    ...         return x + self.inner(x)
    >>> model = Residual(2)
    >>> [(name, p.shape) for name, p in model.named_parameters()]
    [('inner.0.weight', (8, 2)), ('inner.0.bias', (8,)), ('inner.2.weight', (2, 8)), ('inner.2.bias', (2,))]
    >>> model(np.ones((5, 2))).scope
    'residual'

    Each call opens a scope. Its name is `model.name` if that is set, else the name of the attribute
    that holds the module, else the class name in lower case, without 1d or 2d. The parameters belong
    to that scope, and those without a name get one.

    A Tensor in an attribute is trained, unless it is made by `Tensor(table, requires_grad=False)` or by
    `register_buffer`. To freeze a layer, set `p.requires_grad = False` on its parameters; they stay
    parameters, which optimizers leave as they are until it is set to True again.
    """

    #: Whether Dropout and batch normalization are in training mode: see `train` and `eval`.
    training: bool = True
    #: The name of the scope, if the user sets one.
    name: str | None = None
    is_leaf_of_trees: ClassVar[bool] = True  # also where it is a dataclass
    _title: str | None = None  # the path of the module in its parent
    _not_state: ClassVar = ("_title",)  # no result depends on it; all other attributes are live

    #: What the module computes. Every subclass defines it; users call the module itself.
    forward: Callable[..., Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Explains arguments of other libraries, before the constructor cannot."""
        if args or kwargs:
            _check_arguments(cls, args, kwargs)
        return super().__new__(cls)

    def __call__(self: _Forward[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._called(self._scope, *args, **kwargs)  # type: ignore[attr-defined]

    def _called(self, title: str, *args: Any, **kwargs: Any) -> Any:
        with module_call(title):
            self._entitle(self._members())
            return self.forward(*args, **kwargs)

    # ── attributes ────────────────────────────────────────────────────────────────────────────────

    def __getattr__(self, name: str) -> Any:
        kind = type(self)
        if hasattr(kind, name):  # a property of the user's: the error is its own
            return object.__getattribute__(self, name)
        said = f"{kind.__name__!r} object has no attribute {name!r}"
        raise absent(said, name, MODULE, lambda: [*vars(self), *dir(kind)])

    def __setattr__(self, name: str, value: Any) -> None:
        """A parameter or buffer is replaced by a Tensor that can be one, or is removed by None: anything
        else would leave `parameters()` or `state_dict()` without a word."""
        old = vars(self).get(name)
        if isinstance(old, Tensor) and value is not None:
            self._check_replaced(name, old, value)
        if name == "trainable" and not hasattr(type(self), name):
            raise AttributeError(
                f"{type(self).__name__} has no switch {name!r}: write"
                " `for p in model.parameters(): p.requires_grad = False`"
            )
        if name[0] == "_" and isinstance(value, Tensor) and value.is_leaf and value.level == 0:
            warnings.warn(
                f"{type(self).__name__}.{name} is no parameter, and is neither trained nor saved, since its"
                " name begins with an underscore: write a name without, or Tensor(x, requires_grad=False)"
                " for a constant",
                stacklevel=2,
            )
        elif name[0] != "_" and type(value) not in _SIMPLE:
            self._check_hidden(name, value)
        object.__setattr__(self, name, value)

    def _check_hidden(self, name: str, value: Any) -> None:
        """Warn of layers and parameters in what is not looked into, which are neither trained nor saved."""
        hidden = [x for x in _hidden(value) if x is not self]
        if not hidden:
            return
        known = {id(x) for x in (*self.modules(), *self.parameters())}
        if any(id(x) not in known for x in hidden):
            warnings.warn(
                f"{type(self).__name__}.{name} holds layers or parameters that are neither trained nor saved:"
                " they are looked for in attributes, and in lists, tuples and dicts there, not in sets, deques"
                " and other objects; write a list or a Module, or begin the name with an underscore if that"
                " is meant",
                stacklevel=3,
            )

    def _check_replaced(self, name: str, old: Tensor, new: Any) -> None:
        if name[0] == "_" or not old.is_leaf or old.params is UNRECORDED:
            return
        kind = "parameter" if _is_parameter(old) else "buffer"
        if not isinstance(new, Tensor):
            said = f"{type(new).__name__} {new!r:.30}" if np.isscalar(new) else label(new)
        elif old.requires_grad and not (new.is_leaf and new.params is not UNRECORDED):
            said = f"{label(new)}, the result of an operation,"
        else:
            return
        raise TypeError(
            f"{type(self).__name__}.{name} is a {kind}, and {said} is not: write model.{name}.data ="
            f" value for new numbers, model.{name} = Tensor(value) for a new {kind}, or del"
            f" model.{name} first for a constant; a state that a model changes, as a recurrence does, is"
            f" Tensor(x, requires_grad=False) from the beginning"
        )

    # ── members ───────────────────────────────────────────────────────────────────────────────────

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules in the attributes of this one."""
        return ((path, m) for path, m in self._members() if isinstance(m, Module))

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, with the path "", and all modules in it, each once."""
        yield from self._modules("", set())

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The trainable Tensors with their paths, each once, also those that are frozen."""
        return ((path, t) for path, t in self._tensors() if _is_parameter(t))

    def parameters(self) -> Iterator[Tensor]:
        """The trainable Tensors, as optimizers take them, also those that are frozen.

        >>> from autobp import nn
        >>> sum(p.size for p in nn.MLP([784, 100, 10]).parameters())
        79510
        """
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The Tensors that are saved but not trained, with their paths, each once."""
        return ((path, t) for path, t in self._tensors() if not _is_parameter(t))

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Set an attribute to a Tensor that is saved but not trained, as
        `self.name = Tensor(array, requires_grad=False)` does.

        >>> import numpy as np
        >>> from autobp import nn
        >>> class Scaled(nn.Module):
        ...     def __init__(self):
        ...         self.register_buffer("scale", np.array([1.0, 10.0]))
        ...     def forward(self, x):
        ...         return x * self.scale
        >>> list(Scaled().parameters()), list(Scaled().state_dict())
        ([], ['scale'])
        """
        who = f"{type(self).__name__}.register_buffer({name!r})"
        if not persistent:
            raise ValueError(
                f"{who}: what is not to be saved is an attribute that begins with an underscore:"
                f" write self._{name} = array"
            )
        if isinstance(tensor, Tensor):
            tensor = tensor.detach()
        elif tensor is not None:
            if (kind := np.asarray(tensor).dtype).kind not in "fiu":
                raise TypeError(
                    f"{who}: a buffer holds floating-point numbers, not {kind}; write self.{name} ="
                    " array, which is not saved"
                )
            tensor = Tensor(tensor, requires_grad=False)
        setattr(self, name, tensor)

    def buffers(self) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers())

    def _members(self) -> Iterator[tuple[str, Any]]:
        """All values in attributes, and in lists, tuples and dicts there, with their paths."""
        for attribute, value in vars(self).items():
            if attribute[0] == "_":
                continue
            if isinstance(value, _NEST):
                yield from _within(value, attribute)
            else:
                yield attribute, value

    def _modules(self, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) not in seen:  # a dataclass has no hash
            seen.add(id(self))
            yield path, self
            for step, child in self.named_children():
                yield from child._modules(_joined(path, step), seen)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        seen = set()
        for path, module in self.named_modules():
            for step, t in module._members():
                if isinstance(t, Tensor) and t.is_leaf and t not in seen:
                    seen.add(t)
                    yield _joined(path, step), t

    def _tied(self, path: str, above: tuple[Module, ...]) -> Iterator[tuple[str, Tensor]]:
        """The tensors by all their paths: tied weights have several."""
        if not any(self is module for module in above):
            for step, t in self._members():
                if isinstance(t, Tensor) and t.is_leaf:
                    yield _joined(path, step), t
            for step, child in self.named_children():
                yield from child._tied(_joined(path, step), (*above, self))

    # ── training ──────────────────────────────────────────────────────────────────────────────────

    def train(self, mode: bool = True) -> Self:
        """Put this module and all in it into training mode, or with False into evaluation mode."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode: Dropout drops nothing, batch normalization uses its running averages."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters. (`backward` adds to those that exist.)"""
        check_set_to_none(set_to_none)
        for p in self.parameters():
            p.grad = None

    # ── values ────────────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, by path.

        >>> from autobp import nn
        >>> nn.Linear(2, 1, init=nn.zeros()).state_dict()
        {'weight': array([[0., 0.]]), 'bias': array([0.])}
        """
        return {path: t.numpy() for path, t in self._tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Unmatched:
        """Set all values to those that `state_dict` returned, in the dtypes of this module. Names and
        shapes must match; otherwise nothing changes.

        With `strict=False`, names that only one side has are passed over and returned. A shape that
        does not match is still an error. The number of batches that PyTorch's batch normalization
        counts is not needed here, and passed over too. Parameters that are tied may be given under each
        of their names.

        >>> from autobp import nn
        >>> model = nn.Linear(2, 1)
        >>> model.load_state_dict({"weight": [[1.0, 2.0]], "head": 0.0}, strict=False)
        Unmatched(missing_keys=['bias'], unexpected_keys=['head'])
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"{type(self).__name__}.load_state_dict takes what state_dict() or load_weights(path)"
                f" returns, not {state_dict!r:.50}"
            )
        tensors, state_dict = dict(self._tensors()), dict(state_dict)
        wrong = []
        first, tied = {t: path for path, t in tensors.items()}, dict(self._tied("", ()))
        for path in [path for path in state_dict if path in tied and path not in tensors]:
            same, value = first[tied[path]], state_dict.pop(path)
            if not np.array_equal(_array(state_dict.setdefault(same, value)), _array(value)):
                wrong.append(f"{path} is the same parameter as {same} and has other values")
        missing = [path for path in tensors if path not in state_dict]
        others = [path for path in state_dict if path not in tensors]
        unexpected = [path for path in others if not _is_count_of_batches(path, tensors)]
        wrong += [f"{path} is missing" for path in missing if strict]
        wrong += [f"{path} is unexpected" for path in unexpected if strict]
        values = {}
        for path, value in state_dict.items():
            if path in tensors:
                t, array = tensors[path], _array(value)
                if array.dtype.kind not in "fiu":
                    wrong.append(f"{path} holds {array.dtype}, not numbers")
                elif array.shape != t.shape:
                    wrong.append(f"{path} has shape {array.shape}, not {t.shape}")
                values[path] = array
        if wrong:
            raise ValueError(f"{type(self).__name__}.load_state_dict: {_shortened(wrong)}")
        for path, array in values.items():
            overwrite(tensors[path], array.astype(tensors[path].dtype))
        return Unmatched(missing, unexpected)

    def astype(self, dtype: Any) -> Self:
        """A copy of this module in another floating-point dtype. Pass data of the same dtype: of two
        dtypes, NumPy computes in the wider.

        >>> import numpy as np
        >>> from autobp import nn
        >>> model = nn.Linear(784, 10).astype(np.float32)
        >>> model.weight.dtype
        dtype('float32')
        """
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"astype({np.dtype(dtype)}): modules need a floating-point dtype")
        return _rebuilt(
            self,
            {t: _cast(t, dtype) for _, t in self._tensors()},
            {},
        )

    # ── text ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def _scope(self) -> str:
        """The name of the scope that a call opens."""
        return self.name or self._title or self._kind()

    def _kind(self) -> str:
        """The default name of a module: conv for a Conv2d, as a number may follow."""
        return type(self).__name__.lower().removesuffix("1d").removesuffix("2d")

    def _entitle(self, members: Iterable[tuple[str, Any]]) -> None:
        """Set the titles of children, and the names and scopes of parameters."""
        where = current().scope or ""
        for path, value in members:
            if isinstance(value, Module):
                vars(value)["_title"] = path  # without the checks of __setattr__, on every call
            elif isinstance(value, Tensor):
                value.scope = where
                if value.name is None:
                    value.name = _joined(where.partition("/")[2].replace("/", "."), path)

    def summary(self, *inputs: Any) -> Summary:
        """A table of the layers, with the shapes of their outputs and their numbers of parameters, for
        an input, which is an array or a shape. It runs a copy in evaluation mode.

        >>> from autobp import nn
        >>> nn.MLP([784, 256, 10]).summary((1, 784))
        layer      kind              output    parameters
        mlp        MLP               (1, 10)      203,530
          linear1  Linear(784, 256)  (1, 256)     200,960
          relu     ReLU()            (1, 256)           0
          linear2  Linear(256, 10)   (1, 10)        2,570
        203,530 parameters, all trained; 1.63 MB in float64
        """
        if not inputs and signature(self.forward).parameters:
            raise TypeError(
                "summary() runs the model, and needs an input or its shape:"
                f" {type(self).__name__.lower()}.summary((1, 784))"
            )
        tensors = [t for _, t in self._tensors()]
        dtype = tensors[0].dtype if tensors else np.float64
        given = [
            np.zeros(x, dtype) if type(x) is tuple and all(isinstance(n, int) for n in x) else x
            for x in inputs
        ]
        copy = _rebuilt(self, {}, {}).eval()
        rows: list[Row] = []
        counted: set[Tensor] = set()
        depth = 0

        def listed(module: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                nonlocal depth
                mine = [t for _, t in module._tensors() if t not in counted]
                at, above = len(rows), depth
                rows.append(Row(0, "", "", None, 0))  # the row comes before those of children
                depth += 1
                result = forward(*args, **kwargs)
                depth = above
                counted.update(mine)
                kind = type(module).__name__ if any(module.children()) else repr(module)
                shape = getattr(result, "shape", None)
                title = (current().scope or "").rpartition("/")[2]
                rows[at] = Row(above, title, kind, shape, sum(t.size for t in mine))
                return result

            return run

        for module in copy.modules():
            vars(module)["forward"] = listed(module, module.forward)
        with evaluation():
            copy(*given)
        return Summary(
            rows=tuple(rows),
            total=sum(t.size for t in tensors),
            trainable=sum(t.size for t in tensors if t.requires_grad),
            nbytes=sum(t.nbytes for t in tensors),
            dtypes=tuple(sorted({str(t.dtype) for t in tensors})),
        )

    def extra_repr(self) -> str:
        """The text in the brackets of `repr`."""
        return ""

    def __repr__(self) -> str:
        children = [
            f"  ({path}): " + repr(child).replace("\n", "\n  ")
            for path, child in self.named_children()
        ]
        name, extra = type(self).__name__, self.extra_repr()
        return "\n".join([f"{name}({extra}", *children, ")"]) if children else f"{name}({extra})"


#: Layers are made in loops, and in each call of a function that is given their parameters.
_signature = lru_cache(256)(signature)


def _check_arguments(kind: type[Module], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if kind.__init__ is object.__init__:  # which takes anything where there is a __new__
        error = foreign_keyword(kind.__name__, kwargs, "Module")
        raise error or TypeError(f"{kind.__name__}() takes no arguments: it defines no __init__")
    taken = _signature(kind.__init__)
    try:
        taken.bind(None, *args, **kwargs)
    except TypeError as wrong:
        names = kwargs.keys() - taken.parameters.keys()
        (_, *options) = taken.parameters.values()
        raise foreign_keyword(
            kind.__name__, [k for k in kwargs if k in names], "Module"
        ) or TypeError(
            f"{kind.__name__}: {wrong}; write"
            f" {kind.__name__}({', '.join(str(p.replace(annotation=p.empty)) for p in options)})"
        ) from None


def functional_call(model: Module, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Call a model with other values for its parameters, so that `grad`, `jvp` and similar functions
    can differentiate by them. Other parameters keep the model's values. Buffers may be given too, as
    `state_dict()` has them.

    >>> import numpy as np
    >>> from autobp import grad, nn
    >>> model = nn.Linear(2, 1, rng=0)
    >>> loss = lambda params, x: np.sum(nn.functional_call(model, params, x))
    >>> grad(loss)({"bias": np.zeros(1)}, np.ones((5, 2)))
    {'bias': array([5.])}
    """
    if len(args) == 1 and type(args[0]) is tuple and not kwargs:
        raise TypeError(
            "functional_call takes the arguments of the model one by one: write functional_call(model, params,"
            " *args); for a model of one argument that is a tuple, make it a list"
        )
    if not isinstance(params, Mapping):
        raise TypeError(
            f"functional_call takes a dict of the parameters by name, not a {type(params).__name__}: write"
            " dict(model.named_parameters()) or model.state_dict()"
        )
    own = dict(model._tensors())
    replaced: dict[Tensor, Any] = {}
    for path, value in params.items():
        if path not in own:
            raise ValueError(
                f"functional_call: {type(model).__name__} has no parameter or buffer {path!r};"
                f" there are {_shortened(list(own))}"
            )
        t = value if isinstance(value, Tensor) else Tensor(value, requires_grad=False)
        if t.shape != own[path].shape:
            raise ValueError(
                f"functional_call: {path!r} has shape {own[path].shape}, not {t.shape}"
            )
        replaced[own[path]] = t
    return _rebuilt(model, replaced, {})(*args, **kwargs)


def _is_parameter(t: Tensor) -> bool:
    return t.requires_grad or t.params is FROZEN


def _cast(t: Tensor, dtype: Any) -> Tensor:
    cast: Tensor = Tensor(t.data, requires_grad=_is_parameter(t), name=t.name, dtype=dtype)
    cast.requires_grad = t.requires_grad
    return cast


def _rebuilt(module: M, tensors: dict[Tensor, Any], made: dict[int, Any]) -> M:
    """A copy of a module and its children, with some Tensors replaced."""
    if id(module) not in made:
        made[id(module)] = fresh = object.__new__(type(module))

        def replaced(value: Any) -> Any:
            if isinstance(value, Module):
                return _rebuilt(value, tensors, made)
            return tensors.get(value, value) if isinstance(value, Tensor) else value

        vars(fresh).update(transformed(replaced, vars(module)))
    return made[id(module)]


def _within(nest: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(nest, dict):
        for key, branch in nest.items():
            yield from _within(branch, f"{path}.{key}")
    elif isinstance(nest, list | tuple):
        for i, branch in enumerate(nest):
            yield from _within(branch, f"{path}.{i}")
    else:
        yield path, nest


def _hidden(value: Any) -> Iterator[Any]:
    """The layers and parameters in an attribute which are in something else than lists, tuples and dicts."""
    stack, seen = [(value, False)], {id(value)}
    while stack and len(seen) < _MOST:
        x, is_hidden = stack.pop()
        if isinstance(x, Module) or (isinstance(x, Tensor) and x.level == 0 and x.is_leaf):
            if is_hidden:
                yield x
            continue
        for part in islice(_parts(x), _MOST):
            if type(part) not in _PLAIN and id(part) not in seen:
                seen.add(id(part))
                stack.append((part, is_hidden or not isinstance(x, _NEST)))


def _parts(x: Any) -> Iterable[Any]:
    """What a container or a helper of the user's holds."""
    if isinstance(x, dict | MappingProxyType | UserDict):
        return x.values()
    if isinstance(x, list | tuple | set | frozenset | deque | UserList):
        return x
    if isinstance(x, np.ndarray):
        return x.flat if x.dtype == object else ()
    kind = type(x)
    if isinstance(x, type | ModuleType) or kind.__module__.partition(".")[0] == "autobp":
        return ()
    if is_dataclass(x):
        return [getattr(x, f.name, None) for f in fields(x)]
    return getattr(x, "__dict__", {}).values()


def _is_count_of_batches(path: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether it is what PyTorch's batch normalization counts, which no result depends on."""
    module, _, name = path.rpartition(".")
    return name == "num_batches_tracked" and _joined(module, "running_mean") in tensors


def _joined(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _array(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def _shortened(items: list[str], most: int = 8) -> str:
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
