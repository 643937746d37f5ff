"""Drawing graphs: pictures by Graphviz, and text.

api       `draw`, which imports the other modules when it is called
diagram   the data of a drawing: values, names, and gradients of a sweep of its own
program   the diagram of the backward pass itself
repeats   repeated pieces of a sequence
wiring    which pieces have the same weights and numbers as arguments
blocks    scopes and repeated pieces as a tree
fold      what is drawn, and what is inside a closed box
piece     a piece of the program as a few equations
marks     suspicious variables: NaN, dead units, zero gradients
health    the size of values and gradients in each layer
literal   numbers and names as text, and escaped for DOT
symbol    operations as labels
formula   operations and the rules of their derivatives as formulas
theme     the colours
heat      arrays as small pictures
maps      those pictures in the nodes of a drawing
dot       the diagram as DOT text
layout    Graphviz, with a time limit
rows      a drawing cut into rows
fit       a drawing for a slide, a page or a screen
picture   the object that users get
text      the graph for a terminal
plots     curves and decision regions by matplotlib
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autobp.drawing.api import draw

if TYPE_CHECKING:
    from autobp.drawing import plots as plots

__all__ = ["draw"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """`drawing.plots` needs no import of its own."""
        if name == "plots":
            return import_module("autobp.drawing.plots")
        raise AttributeError(f"module 'autobp.drawing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "plots"])
