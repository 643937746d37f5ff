"""Images with labels, in the form that all sets of them share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Images"]


class Images(NamedTuple):
    """What is learned from, and what it is tested on.

    Images are of shape (n, height, width): bytes as they are in the file, or float32 from 0 to 1 if
    that was asked for. Labels are integers of shape (n,).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def scaled(self, white: int) -> Images:
        """With pixels from 0 to 1 in float32, where `white` was the brightest."""
        return self._replace(
            x_train=self.x_train / np.float32(white), x_test=self.x_test / np.float32(white)
        )
