"""Finds the origin of a NaN or an infinity: the layer and operation, or a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autobp.calculus import nonfinite_kind
from autobp.context import detect_anomaly
from autobp.tensor import Tensor

__all__ = ["DivergedError", "of_gradient", "of_loss"]


class DivergedError(FloatingPointError):
    """A NaN or an infinity stopped a training. `where` is the message without advice; `history` has the
    epochs before it."""

    where: str = ""
    history: Any = None


def of_loss(loss: Tensor, names: Mapping[Tensor, str]) -> str:
    """The operation that made the first NaN or infinity that reached the loss."""
    stack, seen, made = [loss], {loss}, []
    while stack:
        t = stack.pop()
        bad = [a for a in t.args if nonfinite_kind(a.data if isinstance(a, Tensor) else a)]
        for a in bad:
            if isinstance(a, Tensor) and a not in seen:
                seen.add(a)
                stack.append(a)
        if not any(isinstance(a, Tensor) for a in bad):
            made.append((t, bool(bad)))
    t, given = min(made, key=lambda entry: entry[0].born)
    kind = nonfinite_kind(t.data)
    if t.primitive is None:
        name = names.get(t) or t.name
        return f"the parameter {name!r} holds {kind}" if name else f"a Tensor holds {kind}"
    where = f"in scope {t.scope!r}" if t.scope else "outside all scopes"
    return f"{t.primitive.name} {where} {'was given' if given else 'made the first'} {kind}"


def of_gradient(loss: Tensor, names: Mapping[Tensor, str]) -> str:
    """The operation whose derivative made the first NaN or infinity in the gradients."""
    try:
        with detect_anomaly():
            loss.backward()
    except FloatingPointError as error:
        return str(error)
    return " and ".join(
        f"the gradient of {name!r} holds {kind}"
        for p, name in names.items()
        if (kind := nonfinite_kind(p.grad))
    )
