"""Optimizer: parameters in groups, what is remembered of each, and the step they take together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from autobp.context import updates
from autobp.optim.option import Check, at_least_zero, count
from autobp.primitive import Variable
from autobp.tensor import Tensor

__all__ = ["Optimizer", "Params", "listed", "titled"]

Params = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer:
    """The base of all optimizers.

    A new one states its options, each with the check that its values pass, and what happens to
    one parameter in `update`; groups, state and errors are seen to here.

    >>> import numpy as np
    >>> from autobp import Tensor
    >>> from autobp.optim import Optimizer
    >>> from autobp.optim.option import at_least_zero
    >>> class SignDescent(Optimizer):
    ...     options = {"lr": at_least_zero}
    ...     def update(self, x, g, state, *, lr):
    ...         x -= np.multiply(np.sign(g), lr, out=self.scratch(x))
    >>> w = Tensor([3.0, -4.0])
    >>> optimizer = SignDescent([w], lr=0.5)
    >>> np.sum(w**2).backward()
    >>> optimizer.step()
    >>> w
    Tensor([ 2.5 -3.5])
    """

    #: update(x, g, state, **options) changes the values `x` of one parameter in place, given its
    #: gradient, which is not to be changed, and what is remembered of it, `state`, empty at first.
    update: Callable[..., None]

    options: ClassVar[dict[str, Check]]
    _not_state: ClassVar = ("_scratch",)  # attributes that no step depends on; all others are live
    kept: ClassVar[tuple[str, ...]] = ()  # what is remembered of every parameter that has moved
    kept_if_asked: ClassVar[tuple[str, ...]] = ()  # what is remembered for the sake of an option

    def __init__(self, params: Params, **defaults: Any) -> None:
        self.defaults = {k: self.options[k](f"{self._name}: {k}", v) for k, v in defaults.items()}
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
    def step(self) -> None:
        """Move every parameter that has a gradient. An error leaves all of them as they were."""
        moves = []
        for k, group in enumerate(self.param_groups):
            options = self._checked(group, k)
            del options["params"]
            options.pop("initial_lr", None)
            for i, p in enumerate(group["params"]):
                if p.grad is not None:
                    moves.append((p, self._gradient(p, i, k), options))
        for p, g, options in moves:
            x = p.data
            if not isinstance(x, np.ndarray):
                x = np.copy(x)
            state = self.state.get(p, {})
            self.update(x, g, state, **options)
            if state:
                self.state[p] = state
            p.data = x  # the same array as a rule: results computed from the old values are stale

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next ones are not added to them."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Optimize further parameters: a dict of "params" and of the options that are its own.

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
                raise TypeError(f"{title} is of type {_type(p)}, not a Tensor")
            if not p.requires_grad:
                raise ValueError(f"{title} is a constant (requires_grad=False): leave it out")
            if not p.is_leaf:
                raise ValueError(f"{title} is the result of an operation, {p!r:.60}, no parameter")
            if p in places:
                j, first = places[p]
                raise ValueError(f"{title} is there already, as parameter {j} of group {first}")
            places[p] = i, k
        self.param_groups.append(self._checked({**self.defaults, **group, "params": params}, k))

    # ── saving and resuming ───────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, Any]:
        """All that a step depends on besides the parameters, as plain dicts of numbers and arrays,
        which are copies. Parameters are numbered in the order in which they were given.

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
            numbers[p]: {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in s.items()}
            for p, s in self.state.items()
            if s
        }
        groups = [
            {**group, "params": [numbers[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, exactly. What does not belong to an optimizer like
        this one is refused, and nothing is changed then."""
        who = f"{self._name}.load_state_dict"
        if not isinstance(state_dict, dict) or state_dict.keys() != {"state", "param_groups"}:
            raise ValueError(f"{who}: not the state of an optimizer, a dict of state, param_groups")
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"{who}: the state has {_many(len(saved), 'group')} of parameters, this optimizer has"
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
                raise ValueError(f"{who}: the state is for a parameter {i!r} that is not there")
            state[params[i]] = self._restored(entry, params[i], f"{who}: {titled(params[i], i)}")
        self.param_groups[:] = groups
        self.state = state

    def _restored(self, entry: dict[str, Any], p: Tensor, title: str) -> dict[str, Any]:
        names = (*self.kept, *self.kept_if_asked)
        for name in entry:
            if name not in names:
                raise ValueError(
                    f"{title} has {name!r} in the state, which {self._name} does not use"
                )
        for name in self.kept:
            if entry and name not in entry:
                raise ValueError(f"{title} lacks {name!r} in the state")
        restored: dict[str, Any] = {}
        for name, value in entry.items():
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

    # ── compiling ─────────────────────────────────────────────────────────────────────────────────

    def live_entries(self) -> list[tuple[dict[str, Any], str]]:
        """Where a compiled step finds, at each call, what a step reads and changes besides parameters
        and gradients: dicts, and keys of them. All else is settled when it is written down."""
        rates = [
            (group, "lr")
            for group in self.param_groups
            if type(group.get("lr")) in (float, int) and 0 <= group["lr"] < math.inf
        ]
        return rates + [(state, name) for state in self.state.values() for name in state]

    # ── for those who write an update ─────────────────────────────────────────────────────────────

    def scratch(self, x: np.ndarray, which: int = 0) -> np.ndarray:
        """Room of the size of `x` for what is computed on the way; the same room every time. All
        parameters of a dtype share it, so it is as large as the largest of them."""
        if isinstance(x, Variable):  # of a program, which sees to its memory itself
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
        """A group with its options in their plain form. Users change them, so each step checks."""
        checked = {"params": group["params"]}
        for name, value in group.items():
            if name == "params":
                continue
            # a schedule notes the rate that it began with, as in PyTorch
            check = at_least_zero if name == "initial_lr" else self.options.get(name)
            if isinstance(value, Variable):  # the rate of a program, which was checked before
                checked[name] = value
                continue
            if check is None:
                raise ValueError(
                    f"{self._name}: group {k} has an unknown option {name!r}; there are"
                    f" {', '.join(self.options)}"
                )
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
    """Parameters that were given as any iterable, of which there must be some."""
    way_out = ""
    if callable(params):  # a model, which may be iterable, or its method
        way_out = "model.parameters()"
    elif isinstance(params, dict):
        way_out = "list(params.values())"
    elif isinstance(params, Tensor | np.ndarray) or not isinstance(params, Iterable):
        way_out = "[w]"
    if way_out:
        raise TypeError(f"{who} takes a list of Tensors, not one {_type(params)}: write {way_out}")
    entries = list(params)
    if not entries:
        raise ValueError(f"{who} got no parameters (a generator that was read before is empty)")
    return entries


def titled(p: Any, i: int) -> str:
    """How a message speaks of a parameter: by its number, and its name if it has one."""
    name = getattr(p, "name", None)
    return f"parameter {i}" if name is None else f"parameter {i} ({name!r})"


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _type(thing: Any) -> str:
    return type(thing).__name__
