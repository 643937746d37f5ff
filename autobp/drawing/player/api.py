"""play: what users call. The rest of the package is imported by the first call, not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from autobp.tensor import Tensor

if TYPE_CHECKING:
    from autobp.drawing.player.player import Player

__all__ = ["play"]


def play(
    loss: Tensor | Callable[..., Any], *args: Any, names: Mapping[str, Any] | None = None
) -> Player:
    """Play the program behind a result, step by step: how it was computed, and how its gradient
    comes back; and forward mode beside it.

    Give it the result, or a function and its arguments: then it also knows the lines of your code.
    What it returns shows itself in a notebook, and `.save("x.html")` writes a page that needs
    nothing but a browser. No tensor is changed, and no hook is called. `names=locals()` gives
    tensors without names those of your variables.

    >>> import numpy as np
    >>> from autobp import Tensor, play
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> play(np.sum(x**2))
    <Player of 2 operations and 1 input: .save("player.html") writes it>
    >>> _ = play(lambda a, b: np.tanh(a * b), 2.0, -0.3).save("x.html")   # doctest: +SKIP
    """
    from autobp.drawing.player.player import player

    return player(loss, args, names)
