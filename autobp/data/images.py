"""Images with labels: the result of `mnist`, `fashion_mnist` and `digits`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Images"]


class Images(NamedTuple):
    """Training and test images with their labels.

    Images have the shape (n, height, width). Pixels are bytes, as in the file, or float32 from 0 to 1
    with `scale=True`. Labels are integers of shape (n,).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def scaled(self, white: int) -> Images:
        """The same images in float32, with pixels from 0 to 1 instead of 0 to `white`."""
        return self._replace(
            x_train=self.x_train / np.float32(white), x_test=self.x_test / np.float32(white)
        )
