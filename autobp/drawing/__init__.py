"""Graphs drawn: pictures by Graphviz, and text.

api       `draw`, which imports all the others when it is called
diagram   what there is to show: values, names, gradients of a sweep of its own
program   the diagram of the backward pass itself
repeats   what repeats in a sequence
wiring    where pieces of the program work on the same weights and numbers
blocks    scopes, and pieces of the program that repeat, as a tree
fold      what is drawn and what is inside a box
piece     a piece of the program in a few lines
marks     what deserves a second look
health    how large values and gradients are, layer by layer
literal   numbers and names as text, and through DOT's strings
symbol    operations as labels
formula   operations and the rules of their derivatives as formulas
theme     the colours
heat      arrays as small pictures
maps      these in the nodes of a drawing
dot       the diagram written in Graphviz's language
layout    Graphviz, under a time limit
rows      a drawing cut into rows
fit       a drawing for a slide, a page or a screen
picture   the object that users get
text      the graph for a terminal
plots     curves and decision regions, by matplotlib
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
