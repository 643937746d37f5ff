"""Module: parameters and the function that uses them, in a nest with others.

Nothing is registered. What a module holds is what is found in its attributes, also within lists,
tuples and dicts there: Tensors that require a gradient are its parameters, constant ones its
buffers, and modules its children. Attributes that begin with an underscore are its own affair, and
so are results of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from autobp.context import current, no_grad, scope
from autobp.nn.summary import Row, Summary
from autobp.tensor import Tensor
from autobp.tree import transformed

__all__ = ["Module", "functional_call"]

M = TypeVar("M", bound="Module")
_NEST = (dict, list, tuple)


class Module:
    """The base of all layers and models. A new one sets attributes and states its `forward`.

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

    Each call opens a scope: of the name that the parent holds the module by, or of the name of its
    class in lower case (less 1d or 2d) if nobody holds it; `model.name = "encoder"` takes the place
    of both. The parameters are put in that scope, and those without a name are given one.

    A layer is frozen by `p.requires_grad = False` for its parameters, which are buffers from then on.
    """

    #: Whether Dropout and batch normalization behave as in training: see `train` and `eval`.
    training: bool = True
    #: The name of the scope, where that is chosen freely.
    name: str | None = None
    _title: str | None = None  # the name by which the parent holds it
    _not_state: ClassVar = ("_title",)  # attributes that no result depends on; all others are live

    #: What the module computes. Stated by each kind of module; users call the module itself.
    forward: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._called(self._scope, *args, **kwargs)

    def _called(self, title: str, *args: Any, **kwargs: Any) -> Any:
        with scope(title):
            self._entitle(self._held())
            return self.forward(*args, **kwargs)

    # ── what it holds ─────────────────────────────────────────────────────────────────────────────

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules in the attributes of this one."""
        return ((path, part) for path, part in self._held() if isinstance(part, Module))

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, whose path is "", and all within it, each once."""
        yield from self._modules("", set())

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The Tensors to be trained with their paths, each once."""
        return ((path, t) for path, t in self._tensors() if t.requires_grad)

    def parameters(self) -> Iterator[Tensor]:
        """The Tensors to be trained, as optimizers take them.

        >>> from autobp import nn
        >>> sum(p.size for p in nn.MLP([784, 100, 10]).parameters())
        79510
        """
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The Tensors that are kept with the parameters and not trained, with their paths."""
        return ((path, t) for path, t in self._tensors() if not t.requires_grad)

    def buffers(self) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers())

    def _held(self) -> Iterator[tuple[str, Any]]:
        """What is in the attributes, and in lists, tuples and dicts there, with its path."""
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
            for step, part in module._held():
                if isinstance(part, Tensor) and part.is_leaf and part not in seen:
                    seen.add(part)
                    yield _joined(path, step), part

    # ── training ──────────────────────────────────────────────────────────────────────────────────

    def train(self, mode: bool = True) -> Self:
        """Let all modules within behave as in training (or, with False, as in use)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Let all modules within behave as in use: nothing is dropped, statistics are settled."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next ones are not added to them."""
        for p in self.parameters():
            p.grad = None

    # ── values ────────────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all values, parameters and buffers, by path.

        >>> from autobp import nn
        >>> nn.Linear(2, 1, init=nn.zeros()).state_dict()
        {'weight': array([[0., 0.]]), 'bias': array([0.])}
        """
        return {path: t.numpy() for path, t in self._tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over values as `state_dict` returns them, in the types that there are here. Names and
        shapes must be those of this module; if they are not, nothing is changed."""
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"{type(self).__name__}.load_state_dict takes what state_dict() or load_weights(path)"
                f" returns, not {state_dict!r:.50}"
            )
        tensors = dict(self._tensors())
        wrong = [f"{path} is missing" for path in tensors if path not in state_dict]
        wrong += [f"{path} is unexpected" for path in state_dict if path not in tensors]
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
            tensors[path].data = array.astype(tensors[path].dtype)

    def astype(self, dtype: Any) -> Self:
        """A module like this one with its values in another floating-point type. Data of the same
        type keeps all that is computed in it; of two types, NumPy takes the wider.

        >>> import numpy as np
        >>> from autobp import nn
        >>> model = nn.Linear(784, 10).astype(np.float32)
        >>> model.weight.dtype
        dtype('float32')
        """
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"astype({np.dtype(dtype)}): modules hold floating-point numbers")
        return _rebuilt(
            self,
            {
                t: Tensor(t.data, requires_grad=t.requires_grad, name=t.name, dtype=dtype)
                for _, t in self._tensors()
            },
            {},
        )

    # ── text ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def _scope(self) -> str:
        """The name of the scope that a call opens."""
        return self.name or self._title or self._kind()

    def _kind(self) -> str:
        """What to call a module that has no name: conv for a Conv2d, as numbers may follow."""
        return type(self).__name__.lower().removesuffix("1d").removesuffix("2d")

    def _entitle(self, parts: Iterable[tuple[str, Any]]) -> None:
        """Tell the children the names they are held by, and name the parameters."""
        where = current().scope or ""
        for path, part in parts:
            if isinstance(part, Module):
                part._title = path
            elif isinstance(part, Tensor):
                part.scope = where
                if part.name is None:
                    part.name = _joined(where.partition("/")[2].replace("/", "."), path)

    def summary(self, *inputs: Any) -> Summary:
        """A table of the layers with the shapes of their outputs and the numbers of their parameters
        for an input, which is an array or the shape of one. A copy is run, in the mode of use.

        >>> from autobp import nn
        >>> nn.MLP([784, 256, 10]).summary((1, 784))
        layer      kind              output    parameters
        mlp        MLP               (1, 10)      203,530
          linear1  Linear(784, 256)  (1, 256)     200,960
          relu     ReLU()            (1, 256)           0
          linear2  Linear(256, 10)   (1, 10)        2,570
        203,530 parameters, all trained; 1.63 MB in float64
        """
        tensors = [t for _, t in self._tensors()]
        dtype = tensors[0].dtype if tensors else np.float64
        given = [
            np.zeros(x, dtype) if type(x) is tuple and all(isinstance(n, int) for n in x) else x
            for x in inputs
        ]
        twin = _rebuilt(self, {}, {}).eval()
        rows: list[Row] = []
        counted: set[Tensor] = set()
        depth = 0

        def listed(module: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                nonlocal depth
                mine = [t for _, t in module._tensors() if t not in counted]
                at, above = len(rows), depth
                rows.append(Row(0, "", "", None, 0))  # the place of the row, before the children's
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

        for module in twin.modules():
            vars(module)["forward"] = listed(module, module.forward)
        with no_grad():
            twin(*given)
        return Summary(
            rows=tuple(rows),
            total=sum(t.size for t in tensors),
            trainable=sum(t.size for t in tensors if t.requires_grad),
            nbytes=sum(t.nbytes for t in tensors),
            dtypes=tuple(sorted({str(t.dtype) for t in tensors})),
        )

    def extra_repr(self) -> str:
        """What stands in the brackets of a module without children."""
        return ""

    def __repr__(self) -> str:
        children = [
            f"  ({path}): " + repr(child).replace("\n", "\n  ")
            for path, child in self.named_children()
        ]
        name, extra = type(self).__name__, self.extra_repr()
        return "\n".join([f"{name}({extra}", *children, ")"]) if children else f"{name}({extra})"


def functional_call(model: Module, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Call a model with other values for its parameters, so that `grad`, `jvp` and their kin take
    derivatives by them. Parameters that are not given are the model's own.

    >>> import numpy as np
    >>> from autobp import grad, nn
    >>> model = nn.Linear(2, 1, rng=0)
    >>> loss = lambda params, x: np.sum(nn.functional_call(model, params, x))
    >>> grad(loss)({"bias": np.zeros(1)}, np.ones((5, 2)))
    {'bias': array([5.])}
    """
    own = dict(model.named_parameters())
    replaced: dict[Tensor, Any] = {}
    for path, value in params.items():
        if path not in own:
            raise ValueError(
                f"functional_call: {type(model).__name__} has no parameter {path!r};"
                f" there are {_shortened(list(own))}"
            )
        t = value if isinstance(value, Tensor) else Tensor(value, requires_grad=False)
        if t.shape != own[path].shape:
            raise ValueError(
                f"functional_call: {path!r} has shape {own[path].shape}, not {t.shape}"
            )
        replaced[own[path]] = t
    return _rebuilt(model, replaced, {})(*args, **kwargs)


def _rebuilt(module: M, tensors: dict[Tensor, Any], made: dict[int, Any]) -> M:
    """A module with the same attributes but for Tensors that are replaced, and so its children."""
    if id(module) not in made:
        made[id(module)] = fresh = object.__new__(type(module))

        def part(held: Any) -> Any:
            if isinstance(held, Module):
                return _rebuilt(held, tensors, made)
            return tensors.get(held, held) if isinstance(held, Tensor) else held

        vars(fresh).update(transformed(part, vars(module)))
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


def _joined(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _array(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def _shortened(items: list[str], most: int = 8) -> str:
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
