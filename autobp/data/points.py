"""Random points for classification and regression. The same seed gives the same points.

Each function returns `(X, y)`: float64 of shape (n, features), and one label (int) or target (float)
for each row. A seed is an integer or a `numpy.random.Generator`.
"""

from __future__ import annotations

import numpy as np

from autobp.habits import checks_keywords

__all__ = ["Points", "Seed", "circles", "linear", "moons", "regression", "spiral", "xor"]

Seed = int | np.random.Generator | None
Points = tuple[np.ndarray, np.ndarray]


@checks_keywords
def linear(n: int = 100, *, seed: Seed = 0) -> Points:
    """Uniform points in the unit square. The label is 1 above the diagonal, 0 below.

    >>> X, y = linear()
    >>> X.shape, bool(np.all((X[:, 1] > X[:, 0]) == y))
    ((100, 2), True)
    """
    X = np.random.default_rng(seed).random((_positive(n), 2))
    return X, (X[:, 1] > X[:, 0]).astype(int)


def xor() -> Points:
    """The 21 points of the XOR problem, whose classes no straight line separates.

    There are eleven on each diagonal of the unit square, in steps of 0.1; the shared centre counts
    once. The label is 0 on the rising diagonal and 1 on the falling one.

    >>> X, y = xor()
    >>> X[:2].tolist(), X[-1].tolist(), np.bincount(y).tolist()
    ([[0.0, 0.0], [0.1, 0.1]], [1.0, 0.0], [11, 10])
    """
    i = np.arange(11)
    j = i[i != 5]
    rising, falling = np.stack([i, i], axis=1), np.stack([j, 10 - j], axis=1)
    return np.concatenate([rising, falling]) / 10, np.repeat([0, 1], [11, 10])


@checks_keywords
def spiral(n: int = 300, *, classes: int = 3, noise: float = 0.2, seed: Seed = 0) -> Points:
    """Spiral arms in the plane, one for each class. The noise is in the angle, in radians.

    >>> X, y = spiral()
    >>> X.shape, np.bincount(y).tolist()
    ((300, 2), [100, 100, 100])
    """
    rng = np.random.default_rng(seed)
    y, along = _arms(n, classes)
    angle = 2 * np.pi * y / classes + 4 * along + noise * rng.standard_normal(n)
    return along[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1), y


@checks_keywords
def moons(n: int = 200, *, noise: float = 0.1, seed: Seed = 0) -> Points:
    """Two interleaved half moons.

    >>> X, y = moons(noise=0)
    >>> X[0].tolist(), np.bincount(y).tolist()
    ([1.0, 0.0], [100, 100])
    """
    y, along = _arms(n, 2)
    x = np.stack([np.cos(np.pi * along), np.sin(np.pi * along)], axis=1)
    X = np.where(y[:, None] == 0, x, [1.0, 0.5] - x)
    return X + noise * np.random.default_rng(seed).standard_normal((n, 2)), y


@checks_keywords
def circles(n: int = 200, *, inner: float = 0.5, noise: float = 0.05, seed: Seed = 0) -> Points:
    """A circle of radius 1 (label 0) around a smaller one (label 1).

    >>> X, y = circles(noise=0)
    >>> np.hypot(*X[[0, -1]].T).round(6).tolist()
    [1.0, 0.5]
    """
    rng = np.random.default_rng(seed)
    y = _arms(n, 2)[0]
    angle = rng.uniform(0, 2 * np.pi, n)
    X = np.where(y == 0, 1.0, inner)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return X + noise * rng.standard_normal((n, 2)), y


@checks_keywords
def regression(n: int = 100, *, features: int = 1, noise: float = 0.1, seed: Seed = 0) -> Points:
    """Targets that are a weighted sum of normal features, plus a constant and normal noise.

    Weights and constant are random too. Without noise, least squares recovers them exactly.

    >>> X, y = regression(features=3, noise=0)
    >>> solution = np.linalg.lstsq(np.c_[X, np.ones(100)], y)
    >>> bool(solution[1] < 1e-20)
    True
    """
    rng = np.random.default_rng(seed)
    weights, constant = rng.standard_normal(features), rng.standard_normal()
    X = rng.standard_normal((_positive(n), features))
    return X, X @ weights + constant + noise * rng.standard_normal(n)


def _positive(n: int) -> int:
    if n < 1:
        raise ValueError(f"n, the number of points, must be at least 1, not {n}")
    return n


def _arms(n: int, classes: int) -> Points:
    """Labels in order, almost equally many of each, and the position of each point along its arm,
    from 0 to 1."""
    if not 1 <= classes <= n:
        raise ValueError(f"{n} points cannot make {classes} classes")
    sizes = np.bincount(np.arange(n) % classes)
    along = np.concatenate([np.linspace(0, 1, size) for size in sizes])
    return np.repeat(np.arange(classes), sizes), along
