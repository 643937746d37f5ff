"""The colours of drawn graphs, light and dark.

No meaning depends on colour alone. Kinds of variables differ in border and corners too, the backward
pass is dashed and runs the other way, and warnings are words.
"""

from __future__ import annotations

from typing import NamedTuple

from autobp.colours import BLACK, BLUE, ORANGE, SKY, VERMILION, YELLOW

__all__ = ["DARK", "FONT", "LIGHT", "THEMES", "Paint", "Theme"]

FONT = "Helvetica,Arial,sans-serif"


class Paint(NamedTuple):
    fill: str
    line: str


class Theme(NamedTuple):
    """The colours of each kind of thing. The player uses the same names as CSS variables."""

    page: str
    ink: str
    faint: str  # text of less weight, the borders of scopes
    forward: str
    backward: str
    backward_ink: str  # text in the colour of the backward pass, dark enough to read
    warning: Paint  # NaN and inf
    marked: str  # the border of nodes that are dead or have no gradient
    warning_ink: str
    parameter: Paint
    input: Paint
    constant: Paint
    saved: Paint  # by the forward pass for the backward one
    result: Paint
    output: Paint
    operation: Paint
    folded: Paint
    scope: Paint


LIGHT = Theme(
    page="#FFFFFF",
    ink="#1A1A1A",
    faint="#5F6670",
    forward=BLUE,
    backward=VERMILION,
    backward_ink="#9A4300",
    warning=Paint(YELLOW, BLACK),
    marked="#B0307E",
    warning_ink=BLACK,
    parameter=Paint("#FCEFD3", "#A66F00"),
    input=Paint("#DFF0FA", BLUE),
    constant=Paint("#F4F4F4", "#6B6B6B"),
    saved=Paint("#EEF6EE", "#2F7D4F"),
    result=Paint("#FFFFFF", "#4A4A4A"),
    output=Paint("#DDF3EC", "#00704F"),
    operation=Paint("#EEF1F5", "#5F6670"),
    folded=Paint("#F8EAF2", "#97487A"),
    scope=Paint("#FAFAFB", "#B4BAC2"),
)

DARK = Theme(
    page="#15181D",
    ink="#ECECEC",
    faint="#A4ACB8",
    forward=SKY,
    backward=ORANGE,
    backward_ink="#F2B63D",
    warning=Paint(YELLOW, "#FFFFFF"),
    marked="#FF9BD0",
    warning_ink=BLACK,
    parameter=Paint("#3A2D10", ORANGE),
    input=Paint("#12303F", SKY),
    constant=Paint("#2A2D32", "#A8A8A8"),
    saved=Paint("#16281D", "#6FBF8E"),
    result=Paint("#1F242B", "#C4C9D1"),
    output=Paint("#10352A", "#2FC79A"),
    operation=Paint("#2A303A", "#A4ACB8"),
    folded=Paint("#37222E", "#DB93B8"),
    scope=Paint("#1A1E24", "#515A66"),
)

THEMES = {"light": LIGHT, "dark": DARK}
