"""Survey: whether fit knows all the code of a training, so that it may compile it by default."""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from autobp import nn, optim
from autobp.nn import losses
from autobp.optim import Optimizer
from autobp.tensor import Tensor

__all__ = ["Survey"]

#: Collected at import. A function that later replaces one of them is the user's.
LOSSES = tuple(getattr(losses, name) for name in losses.__all__)
MODULES = frozenset(
    kind
    for kind in vars(nn).values()
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind is not nn.Module
)
OPTIMIZERS = frozenset((optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW))

_NUMBERS = (bool, int, float, str, type(None))
_ARRAYS = (np.ndarray, np.memmap)
_TITLE = "_title"  # set by each call of a module; it only names a scope
_RATES = ("lr", "initial_lr")  # read by programs at each call


class Survey:
    """Whether the model, the loss and the optimizer are known completely, and what form they have.

    They are known if no code of the user takes part in a step: all classes are autobp's, without
    hooks or replaced methods, and all attributes have plain types.

    >>> from autobp import nn
    >>> from autobp.optim import SGD
    >>> from autobp.train.survey import Survey
    >>> model = nn.Sequential(nn.Linear(2, 2), lambda x: x**2)
    >>> Survey(model, nn.mse, SGD(model.parameters())).unknown
    'model[1].function is your own function'
    """

    def __init__(self, model: Any, loss: Any, optimizer: Optimizer, data: Iterable[Any] = ()):
        self._seen: dict[int, int] = {}
        self._form: list[str] = []
        #: The objects that the form describes, in order.
        self.objects: list[Any] = []
        #: Why the computation of the gradient is not known; empty if it is.
        self.unknown: str = self._data(data) or self._loss(loss) or self._model(model)
        #: Why the step of the optimizer is not known; empty if it is.
        self.unknown_step: str = self._optimizer(optimizer)
        #: Equal for equal structure and options, also in different processes.
        self.form: str = hashlib.sha256("\n".join(self._form).encode()).hexdigest()

    def is_like(self, other: Survey) -> bool:
        """Whether both surveys found the same objects in the same form."""
        return self.form == other.form and all(
            a is b for a, b in zip(self.objects, other.objects, strict=True)
        )

    # ── what is known ─────────────────────────────────────────────────────────────────────────────
    # Each method returns why something is not known, or an empty string.

    def _data(self, data: Iterable[Any]) -> str:
        for name, a in zip(("X", "y"), data):
            if type(a) not in _ARRAYS or a.dtype.kind not in "biuf":
                return f"{name} is not a plain array of numbers, but {_kind(a)}"
        return ""

    def _loss(self, loss: Any) -> str:
        if any(loss is known for known in LOSSES):
            return ""
        return f"the loss, {_named(loss)}, is not one of autobp.nn"

    def _model(self, model: Any) -> str:
        if not isinstance(model, nn.Module):
            return f"the model, {_named(model)}, is not a module of autobp.nn"
        return self._value(model, "model")

    def _module(self, module: nn.Module, where: str) -> str:
        kind = type(module)
        if kind not in MODULES:
            return f"{where} is of the class {kind.__name__}, which is not one of autobp.nn"
        if changed := _replaced(kind, nn.Module):
            return f"{kind.__name__}.{changed} was replaced"
        for name, value in vars(module).items():
            if callable(getattr(kind, name, None)):
                return f"{where} has a {name} of its own"
            if name == _TITLE:
                continue
            self._form.append(name)
            layers = isinstance(module, nn.Sequential) and name == "_layers"  # called model[0] …
            if why := self._value(value, where if layers else f"{where}.{name}"):
                return why
        return ""

    def _value(self, value: Any, where: str) -> str:
        kind = type(value)
        if kind in _NUMBERS or isinstance(value, np.generic):
            self._form.append(f"{kind.__name__} {value!r}")
            return ""
        if id(value) in self._seen:
            self._form.append(f"again {self._seen[id(value)]}")
            return ""
        self._seen[id(value)] = len(self._seen)
        self.objects.append(value)
        self._form.append(kind.__name__)
        if kind is Tensor:
            return self._tensor(value, where)
        if isinstance(value, nn.Module):
            return self._module(value, where)
        if kind is np.random.Generator:
            return ""
        if kind is list or kind is tuple:
            return self._entries(enumerate(value), where)
        if kind is dict:
            return self._entries(value.items(), where)
        if _is_library_function(value):
            self._form.append(value.__name__)
            return ""
        if isinstance(value, types.FunctionType | types.MethodType):
            return f"{where} is your own function"
        return f"{where} is {_kind(value)}"

    def _entries(self, entries: Iterable[tuple[Any, Any]], where: str) -> str:
        for key, entry in entries:
            if type(key) not in _NUMBERS:
                return f"{where} has a key that is {_kind(key)}"
            self._form.append(f"[{key!r}]")
            if why := self._value(entry, f"{where}[{key!r}]"):
                return why
        self._form.append("end")
        return ""

    def _tensor(self, t: Tensor, where: str) -> str:
        self._form.append(f"{t.dtype.str} {t.shape} {t.requires_grad}")
        if t.hooks:
            return f"{where} has a hook"
        if not t.is_leaf:
            return f"{where} is the result of an operation"
        if type(t.value) not in (float, np.ndarray):
            return f"{where} holds {_kind(t.value)}"
        return ""

    def _optimizer(self, optimizer: Optimizer) -> str:
        kind = type(optimizer)
        if kind not in OPTIMIZERS:
            return (
                f"the optimizer is of the class {kind.__name__}, which is not one of autobp.optim"
            )
        if changed := _replaced(kind, Optimizer):
            return f"{kind.__name__}.{changed} was replaced"
        for name in vars(optimizer):
            if callable(getattr(kind, name, None)):
                return f"the optimizer has a {name} of its own"
        for group in optimizer.param_groups:
            for name, value in group.items():
                if name not in _RATES:
                    self._form.append(name)
                    if why := self._value(value, f"the optimizer's {name}"):
                        return why
        return ""


#: Classes that were checked, with their contents then. They make the next check short.
_CHECKED: dict[type, dict[str, Any]] = {}


def _replaced(kind: type, base: type) -> str:
    """The name of a method of one of our classes that the user has replaced, if any."""
    for owner in kind.__mro__[: kind.__mro__.index(base) + 1]:
        if vars(owner) == _CHECKED.get(owner):
            continue
        for name, method in vars(owner).items():
            f = getattr(method, "fget", getattr(method, "__func__", method))
            if callable(f) and not isinstance(f, type) and not _is_ours(f):
                return name
        _CHECKED[owner] = dict(vars(owner))
    return ""


def _is_ours(f: Any) -> bool:
    """Whether a function was defined in autobp. Its globals tell; its `__module__` could be copied."""
    variables = getattr(f, "__globals__", None)
    name = "" if variables is None else variables.get("__name__", "")
    if name == "dataclasses":  # of activations, whose constructors it makes
        return True
    return name.partition(".")[0] == "autobp" and vars(sys.modules.get(name, object)) is variables


def _is_library_function(f: Any) -> bool:
    """Whether a value is a public function of autobp or NumPy."""
    if isinstance(f, np.ufunc):
        return getattr(np, f.__name__, None) is f
    if not callable(f):
        return False
    name, home = getattr(f, "__name__", ""), getattr(f, "__module__", None) or ""
    if home.partition(".")[0] not in ("autobp", "numpy") or isinstance(f, type):
        return False
    return getattr(sys.modules.get(home), name, None) is f


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray) and type(value) in _ARRAYS:
        return f"an array of {value.dtype}"
    return f"of type {type(value).__name__}"


def _named(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
