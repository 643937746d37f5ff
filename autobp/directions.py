"""Directions: sweeps over one recording for many directions.

A direction is one row of the seeds. The results have a row for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autobp.dag import Recording
from autobp.forward import in_order, pushed
from autobp.primitive import Array
from autobp.reverse import pulled
from autobp.tensor import Tensor

__all__ = ["pulled_all", "pushed_all"]

Seeds = Sequence["Array | None"]  # for each input or output, a row for each direction; None: zeros


def pushed_all(
    traced: Recording, order: Sequence[Tensor], seeds: Seeds, count: int, chunk: int | None
) -> list[Array]:
    """The tangents of a recording's outputs from those of its inputs, for so many directions."""
    steps = in_order(traced)
    rows = [pushed(traced, steps, _row(seeds, k)) for k in range(count)]
    return [np.stack(column) for column in zip(*rows, strict=True)]


def pulled_all(
    traced: Recording, order: Sequence[Tensor], seeds: Seeds, count: int, chunk: int | None
) -> list[Array]:
    """The cotangents of a recording's inputs from those of its outputs, for so many directions."""
    rows = [pulled(traced, order, _row(seeds, k)) for k in range(count)]
    return [np.stack(column) for column in zip(*rows, strict=True)]


def _row(seeds: Seeds, k: int) -> list[Any]:
    return [None if s is None else s[k] for s in seeds]
