"""The small handwritten digits that come with the package."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from autobp.data.images import Images
from autobp.habits import checks_keywords

__all__ = ["digits"]

_TRAIN = 1437  # four fifths


@checks_keywords
def digits(*, scale: bool = False) -> Images:
    """1,797 handwritten digits of 8×8 pixels, from 0 (paper) to 16 (ink). Needs no download.

    They are in the order of their collection: the first 1,437 for training, the last 360 for tests.
    With `scale=True`, pixels are float32 from 0 to 1.

    This is the test part of *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak
    (1998), UCI Machine Learning Repository, as scikit-learn bundles it. It is not MNIST, but
    much easier: an accuracy on one says nothing about the other.

    >>> x, y, x_test, y_test = digits()
    >>> x.shape, x_test.shape, x.dtype, int(x.max())
    ((1437, 8, 8), (360, 8, 8), dtype('uint8'), 16)
    >>> for row in x[0]: print("".join(".:+*#"[pixel // 4] for pixel in row))
    ..:*+...
    ..**+*:.
    ..*..++.
    .:*..++.
    .:+..++.
    .:+..*:.
    ..*:+*..
    ..:*+...
    """
    with (files(__package__) / "digits.npz").open("rb") as file, np.load(file) as arrays:
        x, y = arrays["images"], arrays["labels"].astype(int)
    images = Images(x[:_TRAIN], y[:_TRAIN], x[_TRAIN:], y[_TRAIN:])
    return images.scaled(16) if scale else images
