"""Cells: how a page stores arrays, for its heat maps and their numbers.

Each number takes three characters for its sign, four digits and an exponent. A cell of a large array
stands for a block and holds its number of largest absolute value, so that extremes are not lost. The
size of blocks depends on how many arrays a page has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.drawing.heat import images
from autobp.drawing.hole import Holes, is_open
from autobp.primitive import Array

__all__ = ["ALPHABET", "Cells", "OpenCells", "pictured"]

#: The characters of numbers, none of which needs escaping in JSON or in HTML.
ALPHABET = "".join(c for c in map(chr, range(33, 127)) if c not in "\"\\<>&'")
_TOTAL = 40_000  # cells of a page
_MOST, _GOOD, _LEAST = 1024, 64, 12  # cells of a map; fewer if there are thousands of maps
_MANTISSAS = 9000  # 1000 … 9999
_DECADES = 36  # numbers smaller than the largest by more decades count as 0


def pictured(value: Any) -> bool:
    """Whether an array has too many numbers to write out, and they are not all equal."""
    array = np.asarray(value)
    return many(array) and bool(np.any(array != array.flat[0]))


def many(array: Array) -> bool:
    """Whether an array has too many numbers to write out."""
    if array.size <= 4 or (array.ndim == 2 and array.size <= 9 and array.shape[1] <= 4):
        return False
    return array.dtype.kind in "fiub"


class Cells:
    """The maps of a page, each array once.

    >>> cells = Cells(arrays=2)
    >>> cells.add(np.arange(6.0)), cells.add(np.eye(5)), cells.add(np.arange(6.0))
    (0, 1, 0)
    >>> cells.maps[1][:7]
    ['cells', [5, 5], [], 5, 5, 1, 1]
    """

    def __init__(self, arrays: int) -> None:
        self.maps: list[list[Any]] = []
        each = max(_TOTAL // max(arrays, 1), min(_GOOD, 5 * _TOTAL // (2 * max(arrays, 1))))
        self._most = int(np.clip(each, _LEAST, _MOST))
        self._left = 4 * _TOTAL
        self._few = _TOTAL // 4  # for those of which there are very many
        self._known: dict[object, int] = {}

    def add(self, value: Any, image: bool = False, least: bool = False) -> int | None:
        """The number of the map of an array; None if there is none. `image`: the array may hold images,
        because it is input data. `least`: it is one of very many, and gets few cells."""
        if not pictured(value):
            return None
        array = np.asarray(value)
        key = (image, array.shape, array.dtype.str, array.tobytes())
        if key not in self._known:
            made = self._map(array, image, min(_GOOD, self._most) if least else self._most)
            if made is None:
                return None
            self._known[key] = len(self.maps)
            self.maps.append(made)
        return self._known[key]

    def _map(self, array: Array, image: bool, cells: int) -> list[Any] | None:
        header, tiles = self._tiles(np.asarray(array, float), image, cells)
        if min(self._left, self._few) < 0:
            return None
        pooled = _pooled(tiles, header[5], header[6], header[0] == "cells")
        return [*header, *_encoded(pooled.ravel())]

    def _tiles(self, array: Array, image: bool, cells: int) -> tuple[list[Any], Array]:
        """What a map says before its cells, and the tiles of the array, whose blocks become the cells."""
        flat = array.ndim == 1
        form, array = _form(array, image)
        lead, planes = list(array.shape[:-2]), 1
        if form.startswith("rgb"):
            planes = lead.pop()
        tiles = array.reshape(-1, planes, *array.shape[-2:])
        room = max(cells, 784 * planes if form != "cells" and cells > 200 else 0)
        tall, wide = _blocks(tiles.shape[-2:], room // planes)
        rows, columns = -(-tiles.shape[-2] // tall), -(-tiles.shape[-1] // wide)
        most = max(1, (room if form == "cells" else 4 * room) // (rows * columns * planes))
        if lead and lead[-1] <= most and planes == 1:
            most -= most % lead[-1]  # whole rows of tiles
        tiles = tiles[:most]
        size = len(tiles) * planes * rows * columns
        self._left -= size
        self._few -= size if cells < self._most else 0
        shape = [array.size] if flat else list(array.shape)
        return [form, shape, lead, rows, columns, tall, wide], tiles


class OpenCells(Cells):
    """The maps of a live page: of arrays that the page computes, the number of the value and of tiles
    stand in place of the cells."""

    def __init__(self, arrays: int, holes: Holes) -> None:
        super().__init__(arrays)
        self._holes = holes

    def add(self, value: Any, image: bool = False, least: bool = False) -> int | None:
        if not is_open(value):
            return super().add(value, image, least)
        if not many(np.asarray(value.now)):
            return None
        key = (self._holes(value), image)
        if key not in self._known:
            array = np.asarray(value.now, float)
            cells = min(_GOOD, self._most) if least else self._most
            header, tiles = self._tiles(array, image, cells)
            self._known[key] = len(self.maps)
            self.maps.append([*header, len(tiles), key[0]])
        return self._known[key]


def _form(array: Array, image: bool) -> tuple[str, Array]:
    """The form of an array ("cells", "grey", "rgb", or "rgb_last" where the colours of a pixel lie side by
    side), and the array as (…, rows, columns), or as (…, 3, rows, columns) for colours."""
    pictures = images(array) if image else None
    if pictures is None:
        return "cells", array.reshape((1,) * (2 - array.ndim) + array.shape)
    planes = np.moveaxis(pictures, -1, 1)
    if planes.shape[1] == 1:
        return "grey", planes[:, 0]
    return "rgb_last" if array.shape[1:] == pictures.shape[1:] else "rgb", planes


def _blocks(shape: tuple[int, ...], most: int) -> tuple[int, int]:
    """How many rows and columns a cell stands for. Columns are units, so they are merged last."""
    tall = wide = 1
    while -(-shape[0] // tall) * -(-shape[1] // wide) > most:
        if -(-shape[0] // tall) > 1 and 2 * -(-shape[0] // tall) >= -(-shape[1] // wide):
            tall += 1
        else:
            wide += 1
    return tall, wide


def _pooled(tiles: Array, tall: int, wide: int, extremes: bool) -> Array:
    """The number of largest absolute value in each block, or the mean."""
    if tall == wide == 1:
        return tiles
    height, width = tiles.shape[-2:]
    margins = [(0, 0)] * (tiles.ndim - 2) + [(0, -height % tall), (0, -width % wide)]
    padded = np.pad(tiles, margins, "edge")
    rows, columns = padded.shape[-2] // tall, padded.shape[-1] // wide
    parted = padded.reshape(*tiles.shape[:-2], rows, tall, columns, wide)
    blocks = np.moveaxis(parted, -3, -2).reshape(*tiles.shape[:-2], rows, columns, -1)
    if not extremes:
        return blocks.mean(axis=-1)
    size = np.where(np.isnan(blocks), np.inf, np.abs(blocks))
    return np.take_along_axis(blocks, np.argmax(size, axis=-1)[..., None], -1)[..., 0]


def _encoded(values: Array) -> tuple[int, str]:
    """The largest decimal exponent, and the numbers as characters.

    A code is 0 for 0, and 1 to 3 for NaN, inf and −inf. Other codes are 4 plus the number of decades
    below the largest, the sign and the mantissa.
    """
    finite = np.isfinite(values)
    size = np.where(finite, np.abs(values), 0.0)
    largest = float(size.max())
    code = np.where(np.isnan(values), 1, np.where(values > 0, 2, 3)) * ~finite
    if not largest:
        return 0, _characters(code)
    used = finite & (size > 0)
    size = size[used]
    tiny = size < 1e-250  # whose powers of ten would overflow
    size = size * np.where(tiny, 1e100, 1.0)
    exponent = np.floor(np.log10(size)).astype(int)
    mantissa = np.rint(size / 10.0 ** (exponent - 3.0)).astype(int)
    over, under = mantissa > 9999, mantissa < 1000  # by rounding
    mantissa, exponent = np.where(over | under, 1000, mantissa), exponent + over - tiny * 100
    top = int(exponent.max())
    down = top - exponent
    found = 4 + (down * 2 + (values[used] < 0)) * _MANTISSAS + mantissa - 1000
    code[used] = np.where(down <= _DECADES, found, 0)
    return top, _characters(code)


def _characters(code: Array) -> str:
    n = len(ALPHABET)
    letters = np.frombuffer(ALPHABET.encode(), np.uint8)
    return letters[np.stack([code // n**2, code // n % n, code % n], -1)].tobytes().decode()
