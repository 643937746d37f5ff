"""draw: what users call. The rest of the package is imported by the first call, not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from autobp.dag import Graph
from autobp.tensor import Tensor

if TYPE_CHECKING:
    from autobp.drawing.picture import Picture

__all__ = ["draw"]


def draw(
    *results: Tensor | Graph,
    view: Literal["textbook", "operations", "backward program"] = "textbook",
    passes: Literal["forward", "backward", "both"] = "both",
    values: bool = True,
    gradients: bool = True,
    shapes: bool = True,
    dtypes: bool | None = None,
    derivatives: bool | None = None,
    size: Literal["slide", "page", "screen"] | tuple[float, float] | None = None,
    direction: Literal["LR", "TB", "RL", "BT"] | None = None,
    theme: Literal["light", "dark"] = "light",
    depth: int | None = None,
    expand: Sequence[str] = (),
    names: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Picture:
    """Draw the graph behind a result: how it was computed, and how its gradient comes back.

    The `view` "textbook" has a node for each variable and an edge for each use of one, labelled with
    the operation; "operations" puts round nodes for the operations between them; and "backward
    program" draws what reverse mode itself computes. Gradients are those of the result, from a
    sweep of the picture's own: no tensor is changed, no hook is called.

    Results have rounded corners; the variables that you differentiate by have square ones.
    Parameters, which belong to a scope, have a thick border, constants a dashed one, and the result
    that is drawn a thick one in green. In the backward program, what is saved of the forward pass is
    rounded and dashed, "t1, forward". What is not finite is yellow, the first of it with a thick
    border; what has a gradient of zero, or dead units, has a border in purple.

    Arrays are small pictures: blue below zero, orange above, white at zero; the scale is below them,
    and the numbers appear at the pointer. Images are shown as they are.

    `passes` are "forward" (solid edges), "backward" (dashed) or "both". `values`, `gradients`,
    `shapes`, `dtypes` and the local `derivatives` on edges can be shown or not; None shows dtypes
    other than float64, and derivatives where there are few edges. `direction` is that of the page,
    "LR" (the default), "TB", "RL" or "BT".

    Scopes are drawn as boxes, and as many of them are closed as it takes for at most `limit` nodes
    (200) to be drawn. What repeats, such as the layers of a deep network or the steps of a loop, is
    one box, "× 30". `depth` says how many levels are open instead, and `expand` names what to open:
    a scope ("layer150", "encoder/attention"), the twelfth run through one ("cell 12"), or a step of
    a loop without scopes ("step 12"). A step with other weights than the
    rest share, or with an odd number, is no part of it; a number that is another in each step is
    named, and a line says how it varies. A variable whose uses are far apart has small copies there.
    `names=locals()` gives tensors without names those of your variables.

    `size` is what the picture is for: a "slide" of 1920 × 1080 pixels, a "page" of paper, a "screen",
    or (width, height) in pixels. Direction, folding and detail are then chosen, and the picture is
    cut into rows, so that letters are at least 12 pixels high; a warning says if they cannot be.

    >>> from autobp import Tensor, draw
    >>> a, b = Tensor(2.0, name="a"), Tensor(3.0, name="b")
    >>> picture = draw(a * b)
    >>> picture
    <Picture of 3 variables and 1 operation: .save("graph.svg") writes it>
    >>> _ = picture.save("graph.svg")   # doctest: +SKIP
    """
    from autobp.drawing.picture import picture

    return picture(
        results,
        view=view,
        passes=passes,
        values=values,
        gradients=gradients,
        shapes=shapes,
        dtypes=dtypes,
        derivatives=derivatives,
        size=size,
        direction=direction,
        theme=theme,
        depth=depth,
        expand=expand,
        names=names,
        limit=limit,
    )
