"""Optimizer: the base of all optimizers, with groups of parameters and a state for each parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import InitVar
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import numpy as np

from autobp.arrays import full_name, is_foreign
from autobp.context import updates
from autobp.habits import absent, check_set_to_none, foreign_keyword
from autobp.in_place import FROZEN
from autobp.optim.option import Option, at_least_zero, count, option
from autobp.owner import Owner, owner
from autobp.primitive import Variable
from autobp.spellings import OPTIMIZER
from autobp.tensor import Tensor

__all__ = ["Optimizer", "Params", "listed", "titled"]

Params = Iterable[Tensor] | Iterable[dict[str, Any]]

_KINDS = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY
_PARAMS = Parameter("params", _KINDS[0])


@dataclass_transform(field_specifiers=(option,))
class _Declared:
    """Tells type checkers that the options of a class are the arguments of its constructor."""


class Optimizer(_Declared):
    """The base of all optimizers.

    A subclass states its options, each with a default and a check, and moves one parameter in
    `update`. Constructor, groups, state, saving and errors follow from that.

    >>> import numpy as np
    >>> from autobp import Tensor
    >>> from autobp.optim import Optimizer
    >>> from autobp.optim.option import at_least_zero, option
    >>> class SignDescent(Optimizer):
    ...     lr: float = option(at_least_zero, default=0.01)
    ...     def update(self, x, g, state, *, lr):
    ...         x -= np.multiply(np.sign(g), lr, out=self.scratch(x))
    >>> w = Tensor([3.0, -4.0])
    >>> optimizer = SignDescent([w], lr=0.5)
    >>> np.sum(w**2).backward()
    >>> optimizer.step()
    >>> w
    Tensor([ 2.5 -3.5])
    """

    params: InitVar[Params]  # the first argument of every constructor

    #: `update(x, g, state, **options)` changes the values `x` of one parameter in place. `g` is its
    #: gradient, which must not be changed. `state` is the parameter's own dict, empty at first. It may
    #: hold arrays, numbers, texts, and lists, tuples and dicts of such.
    update: ClassVar[Callable[..., None]]

    options: ClassVar[dict[str, Option]] = {}
    _not_state: ClassVar = ("_scratch",)  # no step depends on it; all other attributes are live
    state_names: ClassVar[tuple[str, ...]] = ()  # entries of every state that is not empty
    optional_state_names: ClassVar[tuple[str, ...]] = ()  # entries that depend on the options
    _signature: ClassVar[Signature] = Signature([_PARAMS])
    __signature__: ClassVar[Signature | None]  # what help() shows

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
        cls.options = cls.options | own
        arguments = [
            Parameter(name, _KINDS[o.kw_only], default=o.default) for name, o in cls.options.items()
        ]
        cls._signature = Signature([_PARAMS, *sorted(arguments, key=lambda a: a.kind)])
        # unless the class has a constructor of its own
        inherited = cls.__init__ is Optimizer.__init__
        cls.__signature__ = cls._signature if inherited else None

    def __init__(self, params: Params | None = None, *args: Any, **options: Any) -> None:
        if params is None:
            raise TypeError(
                f"{self._name} is given the parameters first: write {self._name}(model.parameters(), lr=…)"
            )
        try:
            given = self._signature.bind(params, *args, **options)
        except TypeError as error:
            names = ", ".join(self.options)
            foreign = foreign_keyword(self._name, options.keys() - self.options.keys())
            hint = f". {foreign}" if foreign else ""
            known = (
                f"the options are {names}"
                if names
                else (
                    "this class declares no options; write lr: float = option(at_least_zero, default=0.1), as"
                    " autobp.optim.option has them"
                )
            )
            raise TypeError(f"{self._name}: {error}; {known}{hint}") from None
        if not hasattr(self, "update"):
            raise TypeError(
                f"{self._name} defines no update: write def update(self, x, g, state, **options), which"
                " changes x in place"
            )
        given.apply_defaults()
        self.defaults: dict[str, Any] = {
            name: o.check(f"{self._name}: {name}", given.arguments[name])
            for name, o in self.options.items()
        }
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._scratch: dict[tuple[np.dtype[Any], int], np.ndarray] = {}
        entries = listed(params, self._name)
        grouped = isinstance(entries[0], dict)
        for k, entry in enumerate(entries):
            if isinstance(entry, dict) != grouped:
                raise TypeError(
                    f"{self._name}: entry {k} is of type {_type(entry)}, entry 0 of type {_type(entries[0])}; give"
                    " either Tensors or groups, which are dicts with 'params'"
                )
        for group in entries if grouped else [{"params": entries}]:
            self.add_param_group(group)

    @updates
    def step(self, closure: None = None) -> None:
        """Update every parameter that has a gradient. After an error, none has changed."""
        if closure is not None:
            raise TypeError(
                f"{self._name}.step() takes no closure: compute the loss and call backward() before it; for"
                " L-BFGS there is optim.minimize"
            )
        moves = []
        for k, group in enumerate(self.param_groups):
            options = self._checked(group, k)
            del options["params"]
            options.pop("initial_lr", None)
            for i, p in enumerate(group["params"]):
                if is_foreign(p.data):
                    raise TypeError(
                        f"{self._name} changes NumPy's arrays in place, and a parameter is of type"
                        f" {full_name(p.data)}: write with no_grad(): p -= lr * p.grad"
                    )
                if p.grad is not None and p.requires_grad:
                    moves.append((p, self._gradient(p, i, k), options))
        for p, g, options in moves:
            x = p.data
            if not isinstance(x, np.ndarray):
                x = np.copy(x)
            state = self.state.get(p, {})
            returned: Any = self.update(x, g, state, **options)  # type: ignore[func-returns-value]
            if returned is not None:
                raise TypeError(
                    f"{type(self).__name__}.update returns a value, which goes nowhere: change x in place,"
                    " as x -= lr * g does"
                )
            if state:
                self.state[p] = state
            p.data = x  # mostly the same array; setting it marks results computed from it as stale

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters. (`backward` adds to those that exist.)"""
        check_set_to_none(set_to_none)
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters: a dict of "params" and of options that differ from the defaults.

        >>> from autobp import Tensor
        >>> from autobp.optim import SGD
        >>> optimizer = SGD([Tensor(1.0)], lr=0.1)
        >>> optimizer.add_param_group({"params": [Tensor(2.0)], "lr": 0.01})
        >>> optimizer
        SGD(
            group 0: 1 parameter, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0
            group 1: 1 parameter, lr=0.01, momentum=0.0, nesterov=False, weight_decay=0.0
        )
        """
        k = len(self.param_groups)
        if "params" not in group:
            raise ValueError(f"{self._name}: group {k} has no 'params'")
        params = group["params"]
        params = (
            [params] if isinstance(params, Tensor) else listed(params, f"{self._name}: group {k}")
        )
        places = {
            p: (i, j)
            for j, other in enumerate(self.param_groups)
            for i, p in enumerate(other["params"])
        }
        for i, p in enumerate(params):
            title = f"{self._name}: {titled(p, i)} of group {k}"
            if not isinstance(p, Tensor):
                named = isinstance(p, tuple) and len(p) == 2 and isinstance(p[1], Tensor)
                hint = ": write model.parameters(), without the names" * named
                raise TypeError(f"{title} is of type {_type(p)}, not a Tensor{hint}")
            if not p.requires_grad and p.params is not FROZEN:
                raise ValueError(f"{title} is a constant (requires_grad=False): leave it out")
            if not p.is_leaf:
                raise ValueError(
                    f"{title} is the result of an operation, {p!r:.60}, not a parameter"
                )
            if p in places:
                j, first = places[p]
                raise ValueError(f"{title} was already added, as parameter {j} of group {first}")
            places[p] = i, k
        self.param_groups.append(self._checked({**self.defaults, **group, "params": params}, k))

    # ── saving and resuming ───────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, Any]:
        """The state and the groups, as plain dicts of numbers and copies of arrays. Numbers stand
        for the parameters, in the order in which they were given.

        >>> from autobp import Tensor
        >>> from autobp.optim import SGD
        >>> w = Tensor([1.0, 2.0])
        >>> optimizer = SGD([w], lr=0.1, momentum=0.9)
        >>> (w @ w).backward()
        >>> optimizer.step()
        >>> optimizer.state_dict()["state"]
        {0: {'momentum_buffer': array([2., 4.])}}
        """
        numbers = {p: i for i, p in enumerate(self._params())}
        state = {
            numbers[p]: {k: _copied(v) for k, v in s.items()} for p, s in self.state.items() if s
        }
        groups = [
            {**group, "params": [numbers[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = dict(sorted(state.items()))
        return {"state": state, "param_groups": groups, "optimizer": self._name}

    if not TYPE_CHECKING:  # else a type checker would believe every name

        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            if hasattr(kind, name):  # a property of a subclass: the error is its own
                return object.__getattribute__(self, name)
            said = f"{kind.__name__!r} object has no attribute {name!r}"
            raise absent(said, name, OPTIMIZER, lambda: [*vars(self), *dir(kind)])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned. The state of a different optimizer raises an error,
        and nothing changes."""
        who = f"{self._name}.load_state_dict"
        keys = state_dict.keys() - {"optimizer"} if isinstance(state_dict, dict) else ()
        if keys != {"state", "param_groups"}:
            raise ValueError(
                f"{who} takes what state_dict() returns, a dict of 'state' and 'param_groups'"
            )
        theirs = state_dict.get("optimizer", self._name)  # PyTorch's say no name
        if theirs != self._name:
            raise ValueError(
                f"{who}: the state is that of {theirs}, whose numbers may mean something else; if they mean"
                " the same, leave 'optimizer' out of the dict"
            )
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"{who}: the state has {_many(len(saved), 'parameter group')}, this optimizer has"
                f" {len(self.param_groups)}"
            )
        groups, start = [], 0
        for k, (group, mine) in enumerate(zip(saved, self.param_groups)):
            many, size = len(group.get("params", ())), len(mine["params"])
            if many != size:
                raise ValueError(
                    f"{who}: group {k} has {_many(many, 'parameter')} in the state and {size} here"
                )
            if list(group["params"]) != list(range(start, start + size)):
                raise ValueError(f"{who}: the parameters of group {k} are not numbered in order")
            missing = [name for name in self.options if name not in group]
            if missing:
                raise ValueError(f"{who}: group {k} of the state lacks {', '.join(missing)}")
            groups.append(self._checked({**group, "params": mine["params"]}, k))
            start += size
        params = self._params()
        state = {}
        for i, entry in state_dict["state"].items():
            if i not in range(len(params)):
                raise ValueError(
                    f"{who}: the state has an entry for parameter {i!r}, which does not exist"
                )
            state[params[i]] = self._restored(entry, params[i], f"{who}: {titled(params[i], i)}")
        self.param_groups[:] = groups
        self.state = state

    def _restored(self, entry: dict[str, Any], p: Tensor, title: str) -> dict[str, Any]:
        ours, is_users = self._own_state_names()
        for name in entry:
            if name not in ours and not is_users:
                raise ValueError(
                    f"{title} has {name!r} in the state, which {self._name} does not use"
                )
        for name in self.state_names:
            if entry and name not in entry:
                raise ValueError(f"{title} lacks {name!r} in the state")
        restored: dict[str, Any] = {}
        for name, value in entry.items():
            if name not in ours:
                restored[name] = _copied(value)
                continue
            if name == "step":
                restored[name] = count(f"{title}: step", value)
                continue
            array = np.array(value)
            if array.shape != p.shape or array.dtype != p.dtype:
                raise ValueError(
                    f"{title} is {p.dtype} of shape {p.shape}, and its {name!r} in the state is"
                    f" {array.dtype} of shape {array.shape}"
                )
            restored[name] = array
        return restored

    @classmethod
    def _own_state_names(cls) -> tuple[set[str], bool]:
        """The entries that classes of this package use, whose values are arrays as the parameter is,
        and whether there is a class of somebody else's, which may use others."""
        names, is_users = set(), False
        for c in cls.__mro__[: cls.__mro__.index(Optimizer)]:
            if owner(c) is Owner.AUTOBP:
                names |= {*vars(c).get("state_names", ()), *vars(c).get("optional_state_names", ())}
            else:
                is_users = True
        return names, is_users

    # ── compiling ─────────────────────────────────────────────────────────────────────────────────

    def live_entries(self) -> list[tuple[dict[str, Any], str]]:
        """The entries, as (dict, key), that a compiled step reads and updates at each call, besides
        parameters and gradients. Everything else is constant in the program."""
        rates = [
            (group, "lr")
            for group in self.param_groups
            if type(group.get("lr")) in (float, int) and 0 <= group["lr"] < math.inf
        ]
        return rates + [(state, name) for state in self.state.values() for name in state]

    # ── for implementers of update ────────────────────────────────────────────────────────────────

    def scratch(self, x: np.ndarray, which: int = 0) -> np.ndarray:
        """A buffer of the shape of `x` for intermediate values, the same one at each call. Buffers
        of different `which` do not overlap. All parameters of a dtype share a buffer."""
        if isinstance(x, Variable):  # a compiled step plans its own memory
            return np.empty_like(x)
        flat = self._scratch.get((x.dtype, which))
        if flat is None or flat.size < x.size:
            flat = self._scratch[x.dtype, which] = np.empty(x.size, x.dtype)
        return flat[: x.size].reshape(x.shape)

    # ── checks ────────────────────────────────────────────────────────────────────────────────────

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _checked(self, group: dict[str, Any], k: int) -> dict[str, Any]:
        """A copy of a group with checked options. Users change options, so each step checks."""
        checked = {"params": group["params"]}
        for name, value in group.items():
            if name == "params":
                continue
            if isinstance(value, Variable):  # the rate in a compiled step, checked outside it
                checked[name] = value
                continue
            if name not in (*self.options, "initial_lr"):
                raise ValueError(
                    f"{self._name}: group {k} has an unknown option {name!r}; there are"
                    f" {', '.join(self.options)}"
                )
            # schedules note the initial_lr, as in PyTorch
            check = at_least_zero if name == "initial_lr" else self.options[name].check
            checked[name] = check(f"{self._name}: {name} of group {k}", value)
        return checked

    def _gradient(self, p: Tensor, i: int, k: int) -> np.ndarray:
        if np.shape(p.grad) != p.shape:
            raise ValueError(
                f"{self._name}: {titled(p, i)} of group {k} has shape {p.shape}, its gradient"
                f" {np.shape(p.grad)}"
            )
        g: Any = p.grad
        return g.astype(p.dtype) if isinstance(g, Variable) else np.asarray(g, p.dtype)

    def __repr__(self) -> str:
        lines = [
            ", ".join(
                [_many(len(group["params"]), "parameter")]
                + [f"{name}={value}" for name, value in group.items() if name != "params"]
            )
            for group in self.param_groups
        ]
        if len(lines) == 1:
            return f"{self._name}({lines[0]})"
        return "\n".join(
            [f"{self._name}(", *(f"    group {k}: {line}" for k, line in enumerate(lines)), ")"]
        )


def listed(params: Any, who: str) -> list[Any]:
    """The parameters in an iterable, which must not be empty."""
    way_out = ""
    if callable(params):  # a model, which may be iterable, or a method of one
        way_out = "model.parameters()"
    elif isinstance(params, dict):
        way_out = "list(params.values())"
    elif isinstance(params, Tensor | np.ndarray) or not isinstance(params, Iterable):
        way_out = "[w]"
    if way_out:
        raise TypeError(f"{who} takes a list of Tensors, not one {_type(params)}: write {way_out}")
    entries = list(params)
    if not entries:
        raise ValueError(f"{who} got no parameters (a generator can be read only once)")
    return entries


def _copied(value: Any) -> Any:
    """A copy of an entry of a state, in which nothing is shared with the original."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) is dict:
        return {k: _copied(v) for k, v in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (list, tuple) else value


def titled(p: Any, i: int) -> str:
    """What messages call a parameter: its number, and its name if it has one."""
    name = getattr(p, "name", None)
    return f"parameter {i}" if name is None else f"parameter {i} ({name!r})"


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _type(thing: Any) -> str:
    return type(thing).__name__
