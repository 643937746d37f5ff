"""The normal distribution, far out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["density_over_cdf"]


def density_over_cdf(x: Any, y: Any) -> Any:
    """φ(x) / Φ(x), where y is log Φ(x). On the left its parts are too small to be divided, and further on
    that side x + φ/Φ is lost in rounding, so that there a series stands, which keeps all derivatives."""
    from scipy import special  # late: it is loaded by who has a Tensor for its functions

    left, far = x < -1, x < -20
    u = np.where(far, -x, 20.0)
    w = 1 / u**2
    series = u + (1 - w * (2 - w * (10 - w * (74 - w * (706 - w * 8162))))) / u
    scaled = special.erfcx(np.where(left & (x >= -20), -x, 1.0) / math.sqrt(2))
    right = np.where(left, 0.0, x)
    direct = np.exp(-right * right / 2 - np.where(left, 0.0, y)) / math.sqrt(2 * math.pi)
    return np.where(far, series, np.where(left, math.sqrt(2 / math.pi) / scaled, direct))
