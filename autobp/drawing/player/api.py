"""play: what users call. The rest of the package is imported by the first call, not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from autobp.tensor import Tensor

if TYPE_CHECKING:
    from autobp.drawing.player.player import Player

__all__ = ["play", "play_training"]


def play(
    loss: Tensor | Callable[..., Any],
    *args: Any,
    names: Mapping[str, Any] | None = None,
    lang: str = "en",
) -> Player:
    """Play the program behind a result step by step: its computation, then its gradient in reverse
    mode, or its tangents in forward mode.

    Pass the result, or a function and its arguments; with a function, the page shows the lines of your
    code too. A notebook displays the returned player. `.save("x.html")` writes a page for any browser.
    The page is live: it computes everything for the inputs that its reader sets, masks such as `x > 0`
    included. A function with a branch or an index that depends on values is not live, and the page says
    so. A result, without its function, does not tell where its plain arrays came from: they are constants
    of the page, and with a mask or an order among them, as `np.sort` finds it, it is not live. Its branches,
    and indices as of `np.argmax`, are those of its run: play the function of what chooses by values.
    No tensor is changed, and no hook is called. `names=locals()` gives tensors the names of your
    variables. `lang="zh"` writes the page in Traditional Chinese.

    >>> import numpy as np
    >>> from autobp import Tensor, play
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> play(np.sum(x**2))
    <Player of 2 operations and 1 input: .save("player.html") writes it>
    >>> _ = play(lambda a, b: np.tanh(a * b), 2.0, -0.3).save("x.html")   # doctest: +SKIP
    """
    from autobp.drawing.player.player import player

    return player(loss, args, names, lang)


def play_training(
    model: Callable[..., Any],
    data: tuple[Any, Any],
    loss: Callable[..., Any],
    optimizer: Any,
    steps: int = 100,
    lang: str = "en",
) -> Player:
    """Train a model, and play the run: a second slider goes through the steps of training.

    Each step uses all data, `loss(model(X), y)` of `data = X, y`. Parameters, gradients, the state of
    the optimizer, the loss curve and, for data in the plane, the decision region change together; each
    step can be played forward and backward. The page can run on from any step with another learning
    rate. The model is trained when this returns.

    >>> import numpy as np
    >>> from autobp import nn, optim, play_training
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.array([[0.0], [1.0], [1.0], [0.0]])
    >>> model = nn.MLP([2, 4, 1], "tanh", "sigmoid")
    >>> optimizer = optim.SGD(model.parameters(), lr=1.0)
    >>> page = play_training(model, (X, y), nn.mse, optimizer, steps=20)
    >>> _ = page.save("training.html")   # doctest: +SKIP
    """
    from autobp.drawing.player.training import player_of_training

    return player_of_training(model, data, loss, optimizer, steps, lang)
