"""draw: what users call. The rest of the package is imported by the first call, not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from autobp.dag import Graph
from autobp.habits import checks_keywords
from autobp.tensor import Tensor

if TYPE_CHECKING:
    from autobp.drawing.picture import Picture

__all__ = ["draw"]


@checks_keywords
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
    """Draw the graph behind a result: its computation, and how its gradient comes back.

    In the `view` "textbook", variables are nodes and each use of one is an edge, labelled with the
    operation. "operations" has round nodes for the operations too. "backward program" draws what
    reverse mode itself computes. Gradients are those of the result, from a separate sweep: no tensor
    is changed, no hook is called.

    Results have rounded corners; the variables that you differentiate by have square ones. Parameters,
    which belong to a scope, have a thick border, constants a dashed one, and the drawn result a thick
    green one. In the backward program, saved values of the forward pass are rounded and dashed,
    "t1, forward". Values that are not finite are yellow, the first of them with a thick border. Zero
    gradients and dead units have a purple border.

    Arrays are small pictures: blue below zero, orange above, white at zero. The scale is below them,
    and the pointer shows the numbers. Images are shown as they are.

    `passes` is "forward" (solid edges), "backward" (dashed) or "both". `values`, `gradients`,
    `shapes`, `dtypes` and the local `derivatives` on edges can be switched on and off. None shows
    dtypes other than float64, and derivatives if there are few edges. `direction` is "LR" (the
    default), "TB", "RL" or "BT".

    Scopes are boxes, which close until at most `limit` nodes (200) are drawn. Repeats, such as the
    layers of a deep network or the steps of a loop, are one box, "× 30". `depth` is how many levels are
    open instead. `expand` names what to open: a scope ("layer150", "encoder/attention"), the twelfth
    run through one ("cell 12"), or a step of a loop without scopes ("step 12"). A step with an
    exceptional weight or number is not part of a repeat. A number that differs in each step has a name,
    and a line tells how it varies. A variable whose uses are far apart has small copies there.
    `names=locals()` gives tensors the names of your variables.

    `size` is where the picture will be shown: a "slide" of 1920 × 1080 pixels, a "page" of paper, a
    "screen", or (width, height) in pixels. Direction, folding and detail are then chosen, and the
    picture is cut into rows, so that letters are at least 12 pixels high. If they cannot be, a warning
    says so.

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
