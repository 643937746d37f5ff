"""Health: how large values and gradients are in each layer, from the input to the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autobp.draw.player.steps import Script
from autobp.draw.player.views import Views

__all__ = ["Row", "health"]


class Row(NamedTuple):
    name: str
    value: float | None
    gradient: float | None
    marks: list[str]
    view: int | None
    item: int | None


def health(script: Script, views: Views) -> list[Row]:
    return []
