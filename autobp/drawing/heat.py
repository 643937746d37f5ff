"""Heat: arrays as small pictures, with one cell for each number or for a few neighbours.

Cells are blue below zero, orange above, and white only at zero, so that a column of zeros among small
numbers can be seen. The scale is the largest absolute value. If there are more numbers than cells, a
cell shows the number of largest absolute value. NaN is yellow and infinity is black. Images, such as
digits, are shown as they are, grey or in colour.

Pictures and player take their cells from `heat`. `PALETTE` gives the colours of its letters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from autobp.colours import BLACK, BLUE, VERMILION, YELLOW
from autobp.drawing.literal import number

__all__ = ["PALETTE", "Heat", "heat", "images", "paths", "runs"]

_STEPS = 12  # of colour on either side of zero
_FEW = 4  # numbers that are written out
_TABLE = 9  # numbers of a table that are written out if no row is longer than that
_ACROSS = 4  # pictures side by side
_SIDES = range(8, 513)  # pixels of a picture
_PIXELS = 32  # of a side that are shown
_FLAT = 16  # the least number of pixels of a flattened image

_LOW, _HIGH, _GREY = "abcdefghijkl", "ABCDEFGHIJKL", "0123456789"
_ZERO, _NAN, _INF = ".", "?", "!"


def _mixed(end: str, part: float) -> str:
    """A colour between white and another."""
    parts = (int(end[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (c - 255) * part):02X}" for c in parts)


def _palette() -> dict[str, str]:
    found = {_ZERO: "#FFFFFF", _NAN: YELLOW, _INF: BLACK}
    for k in range(_STEPS):
        part = 0.14 + 0.86 * k / (_STEPS - 1)  # the first step differs visibly from white
        found[_LOW[k]], found[_HIGH[k]] = _mixed(BLUE, part), _mixed(VERMILION, part)
    for k, letter in enumerate(_GREY):
        found[letter] = _mixed(BLACK, 1 - k / 9)
    return found


#: The colour of each letter of signed and grey pictures.
PALETTE = _palette()


class Heat(NamedTuple):
    """The cells of a picture: rows of letters of PALETTE; in a colour picture, of three hexadecimal
    digits each."""

    rows: tuple[str, ...]
    scale: float  # the largest absolute value
    said: str  # the numbers in words
    kind: str = "signed"  # or, for images, grey or colour

    @property
    def size(self) -> tuple[int, int]:
        """Cells across and down."""
        return len(self.rows[0]) // (3 if self.kind == "colour" else 1), len(self.rows)

    @property
    def scale_text(self) -> str:
        """The value of the strongest colour."""
        return f"±{number(self.scale)}" if self.kind == "signed" else f"0 … {number(self.scale)}"


def heat(value: Any, across: int = 32, down: int = 24, like: Any = None) -> Heat | None:
    """An array as at most `cells` cells; None for a few numbers, or for numbers that are not floats.

    If `like` is an array of images, the value is laid out like them. If it is `like` itself, it is
    shown as images.

    >>> found = heat([[0.0, 1.0, -2.0, 0.01, 0.0]] * 2)
    >>> found.rows, found.scale_text
    (('.FlA.', '.FlA.'), '±2')
    """
    array = np.asarray(value)
    lay = None if like is None or np.shape(like) != array.shape else _layout(np.asarray(like))
    table = array.ndim == 2 and array.size <= _TABLE and array.shape[1] <= _FEW
    if array.size <= _FEW or table or array.dtype.kind not in ("f" if lay is None else "fiu"):
        return None
    finite = array[np.isfinite(array)]
    scale = float(np.max(np.abs(finite), initial=0.0))
    if lay is not None:
        tiled = _tiled(lay(array))
        if value is like:
            return _picture(tiled, scale, array)
        plane = np.take_along_axis(tiled, np.argmax(np.abs(tiled), -1)[..., None], -1)[..., 0]
        across, down = _ACROSS * _PIXELS, _PIXELS
    else:
        plane = _plane(array)
    rows = tuple("".join(row) for row in _letters(_pooled(plane, across, down), scale))
    return Heat(rows, scale, _said(array, finite, plane.shape))


def images(value: Any) -> np.ndarray | None:
    """An array as images of shape (n, height, width, channels), if its shape and its numbers suggest
    that: one channel or three, and no negative numbers.

    >>> rng = np.random.default_rng(0)
    >>> images(rng.random((5, 784))).shape, images(rng.random((5, 3, 32, 32))).shape
    ((5, 28, 28, 1), (5, 32, 32, 3))
    >>> images(rng.normal(size=(5, 784))), images(rng.random((5, 30)))
    (None, None)
    """
    array = np.asarray(value)
    lay = _layout(array)
    return None if lay is None else lay(array)


def _layout(array: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function that makes images of arrays of this shape; None if this one holds no images."""
    shape = array.shape
    if not array.size or array.dtype.kind not in "fiu" or not array.min() >= 0:
        return None
    if not np.isfinite(array.max()):
        return None
    if array.ndim == 4 and shape[1] in (1, 3) and _sides(*shape[2:]):
        return lambda a: a.transpose(0, 2, 3, 1)
    if array.ndim == 4 and shape[3] in (1, 3) and _sides(*shape[1:3]):
        return lambda a: a
    if array.ndim == 3 and _sides(*shape[1:]):
        return lambda a: a[..., None]
    if array.ndim == 2:
        for channels in (1, 3):
            side = round((shape[1] / channels) ** 0.5)
            if side >= _FLAT and channels * side * side == shape[1]:
                form = (-1, channels, side, side)
                return lambda a: a.reshape(form).transpose(0, 2, 3, 1)
        if min(shape) >= _FLAT and _sides(*shape) and np.unique(array).size > 2:
            return lambda a: a[None, ..., None]
    return None


def _sides(height: int, width: int) -> bool:
    return height in _SIDES and width in _SIDES and height <= 2 * width and width <= 2 * height


def _tiled(pictures: np.ndarray) -> np.ndarray:
    """The first images side by side."""
    few = pictures[:_ACROSS]
    return np.concatenate(list(few), axis=1)


def _picture(tiled: np.ndarray, scale: float, array: np.ndarray) -> Heat:
    """Grey levels, or colours, from 0 to the largest number."""
    part = tiled / scale if scale else tiled * 0.0
    stride = -(-max(tiled.shape[0], tiled.shape[1] / _ACROSS) // _PIXELS)
    part = part[:: int(stride), :: int(stride)]
    said = f"{array.shape}: the first {min(len(array), _ACROSS)} of {len(array):,} pictures"
    if tiled.shape[2] == 3:
        digits = np.round(15 * part).astype(int)
        rows = tuple("".join(f"{r:x}{g:x}{b:x}" for r, g, b in row) for row in digits)
        return Heat(rows, scale, said, "colour")
    levels = np.round(9 * part[..., 0]).astype(int)
    return Heat(tuple("".join(map(str, row)) for row in levels), scale, said, "grey")


def _plane(array: np.ndarray) -> np.ndarray:
    """An array in rows and columns. The channels of the first image of a batch stand side by side; the
    kernels of each output stand in a row."""
    if array.ndim < 2:
        return array.reshape(1, -1)
    if array.ndim != 4:
        return array.reshape(-1, array.shape[-1])
    if min(array.shape[2:]) >= _SIDES.start:
        array = array[0]
        side = int(np.ceil(np.sqrt(len(array))))
        blank = np.zeros((side * -(-len(array) // side) - len(array), *array.shape[1:]))
        array = np.concatenate([array, blank]).reshape(-1, side, *array.shape[1:])
    n, c, h, w = array.shape
    return array.transpose(0, 2, 1, 3).reshape(n * h, c * w)


def _pooled(plane: np.ndarray, across: int, down: int) -> np.ndarray:
    """At most `cells` cells, each the number of largest absolute value in its block."""
    for axis, most in ((0, down), (1, across)):
        n = plane.shape[axis]
        if n > most:
            starts = np.arange(most) * n // most
            high = np.maximum.reduceat(plane, starts, axis)
            low = np.minimum.reduceat(plane, starts, axis)
            plane = np.where(high < -low, low, high)
    return plane


_SIGNED = np.array([*reversed(_LOW), _ZERO, *_HIGH, _NAN, _INF])


def _letters(plane: np.ndarray, scale: float) -> np.ndarray:
    finite = np.isfinite(plane)
    with np.errstate(all="ignore"):
        part = np.where(finite, plane, 0) / (scale or 1.0)
    levels = np.clip(np.ceil(np.abs(part) * _STEPS - 1e-9), 1, _STEPS) * np.sign(
        np.where(finite, plane, 0)
    )
    index = np.where(finite, levels + _STEPS, 2 * _STEPS + 1 + np.isinf(plane)).astype(int)
    return np.asarray(_SIGNED[index])


def _said(array: np.ndarray, finite: np.ndarray, plane: tuple[int, ...]) -> str:
    said = f"{array.shape}"
    if array.ndim > 2:
        said += f" as {plane[0]} × {plane[1]}"
    if not finite.size:
        return f"{said}: nothing finite"
    low, mean, high = (number(f(finite)) for f in (np.min, np.mean, np.max))
    said += f": min {low}, mean {mean}, max {high}"
    zeros = int(np.count_nonzero(array == 0))
    said += f", {zeros:,} zeros" if zeros else ""
    bad = array.size - finite.size
    return said + (f", {bad:,} not finite" if bad else "")


def paths(found: Heat) -> Iterator[tuple[str, str]]:
    """Each colour of a picture with its cells as an SVG path. A cell has the size 1 × 1, and the first
    cell has its corner at 0, 0.

    >>> list(paths(heat([[0.0] * 5 + [1.0] * 5])))
    [('#FFFFFF', 'M0 0h5v1h-5z'), ('#D55E00', 'M5 0h5v1h-5z')]
    """
    drawn: dict[str, list[str]] = defaultdict(list)
    for colour, x, y, n in runs(found):
        drawn[colour].append(f"M{x} {y}h{n}v1h{-n}z")
    for colour, parts in drawn.items():
        yield colour, "".join(parts)


def runs(found: Heat) -> Iterator[tuple[str, int, int, int]]:
    """Runs of equal cells in each row: their colour, place and length."""
    wide = 3 if found.kind == "colour" else 1
    for y, row in enumerate(found.rows):
        x = 0
        for cell, same in groupby(row[i : i + wide] for i in range(0, len(row), wide)):
            n = sum(1 for _ in same)
            colour = "#" + "".join(2 * digit for digit in cell) if wide == 3 else PALETTE[cell]
            yield colour, x, y, n
            x += n
