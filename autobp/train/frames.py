"""Frames: tables and columns of pandas, as a checkpoint holds them.

A frame is written as arrays, lists and names, and made of them by pandas' constructors. One of which no
equal frame can be made so, as it holds objects of the user's, has no form. pandas is not imported.

>>> from autobp.train.frames import is_frame
>>> is_frame({"epoch": [1, 2]})
False
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from autobp.train.values import are_plain

__all__ = ["frame_of", "frame_parts", "is_frame", "write_frame"]

Parts = list[Any]


#: Entries; a larger frame is data to read, of which each checkpoint would hold a copy.
_MOST = 1 << 20


class _NoFormError(Exception):
    """No equal frame can be made."""


def _pandas() -> Any:
    return sys.modules.get("pandas")


def is_frame(x: Any) -> bool:
    """Whether it is a frame or a column of pandas itself, not of a subclass."""
    kind = type(x)
    return kind.__name__ in ("DataFrame", "Series") and kind is getattr(
        _pandas(), kind.__name__, None
    )


def frame_parts(x: Any) -> Parts | None:
    """What an equal frame can be made of; None if none can."""
    try:
        if x.size > _MOST or x.attrs or not x.flags.allows_duplicate_labels:
            raise _NoFormError
        if x.ndim == 1:
            parts = ["Series", _of_array(x), _of_index(x.index), _plain(x.name)]
        else:
            columns = [_of_array(x.iloc[:, i]) for i in range(x.shape[1])]
            parts = ["DataFrame", columns, _of_index(x.index), _of_index(x.columns)]
        return parts if _is_same(x, frame_of(parts)) else None
    except (_NoFormError, ValueError, TypeError, AttributeError):
        return None


def frame_of(parts: Parts) -> Any:
    """The frame; None where pandas is not loaded."""
    pandas = _pandas()
    if pandas is None:
        return None
    kind, values, index, last = parts
    if kind == "Series":
        return pandas.Series(_array(values), index=_index(index), name=last)
    columns = {i: _array(column) for i, column in enumerate(values)}
    made = pandas.DataFrame(columns, index=_index(index))
    made.columns = _index(last)
    return made


def write_frame(x: Any, made: Any) -> None:
    """Let a frame hold what another holds."""
    x.__setstate__(made.__getstate__())
    vars(x).get("_item_cache", {}).clear()  # columns that pandas 2 keeps


def _is_same(x: Any, made: Any) -> bool:
    if not (x.index.identical(made.index) and x.equals(made)):
        return False
    if x.ndim == 1:
        return bool(x.dtype == made.dtype and type(x.name) is type(made.name))
    return x.columns.identical(made.columns) and [*x.dtypes] == [*made.dtypes]


def _plain(x: Any) -> Any:
    """A name, or what else is its own form."""
    if not are_plain([x]):
        raise _NoFormError
    return x


# ── columns and indices ───────────────────────────────────────────────────────────────────────────


def _of_array(x: Any) -> Parts:
    """A column, or an index as one."""
    dtype = x.dtype
    if isinstance(dtype, np.dtype) and not dtype.hasobject:
        return ["numbers", np.array(x.to_numpy())]
    if isinstance(dtype, _pandas().CategoricalDtype):
        codes = np.array(x.array.codes)
        return ["category", _of_array(dtype.categories), codes, bool(dtype.ordered)]
    values = x.tolist()
    if not isinstance(dtype, np.dtype):  # pandas has a sign of its own for what is missing
        values = [None if gone else v for v, gone in zip(values, x.isna(), strict=True)]
    if not are_plain(values):
        raise _NoFormError
    return ["values", str(dtype), values]


def _array(parts: Parts) -> Any:
    kind, *parts = parts
    if kind == "numbers":
        return np.array(parts[0])
    if kind == "category":
        categories, codes, ordered = parts
        return _pandas().Categorical.from_codes(codes, _array(categories), ordered=ordered)
    return _pandas().array(parts[1], dtype=parts[0])


def _of_index(x: Any) -> Parts:
    pandas = _pandas()
    if isinstance(x, pandas.RangeIndex):
        return ["range", x.start, x.stop, x.step, _plain(x.name)]
    if isinstance(x, pandas.MultiIndex):
        levels = [_of_array(x.get_level_values(i)) for i in range(x.nlevels)]
        return ["levels", levels, [_plain(name) for name in x.names]]
    return ["index", _of_array(x), _plain(x.name)]


def _index(parts: Parts) -> Any:
    pandas, (kind, *parts) = _pandas(), parts
    if kind == "range":
        return pandas.RangeIndex(*parts[:3], name=parts[3])
    if kind == "levels":
        return pandas.MultiIndex.from_arrays([_array(level) for level in parts[0]], names=parts[1])
    return pandas.Index(_array(parts[0]), name=parts[1])
