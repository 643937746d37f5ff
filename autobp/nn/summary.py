"""Summary: the layers of a model as a table."""

from __future__ import annotations

from typing import NamedTuple

from autobp.table import aligned

__all__ = ["Row", "Summary"]


class Row(NamedTuple):
    """One call of one module."""

    depth: int  # of nesting: 0 for the model itself
    name: str
    kind: str
    output: tuple[int, ...] | None  # the shape of its result, None if that is not an array
    parameters: int  # of the module and all modules in it; each Tensor counts once


class Summary(NamedTuple):
    """The result of `Module.summary`. Its text is the table."""

    rows: tuple[Row, ...]
    total: int  # elements of parameters and buffers, each Tensor once
    trainable: int
    nbytes: int
    dtypes: tuple[str, ...]

    def __repr__(self) -> str:
        cells = [("layer", "kind", "output", "parameters")]
        cells += [
            (
                "  " * row.depth + row.name,
                row.kind,
                "" if row.output is None else str(row.output),
                f"{row.parameters:,}",
            )
            for row in self.rows
        ]
        fixed = self.total - self.trainable
        trained = f"{self.trainable:,} trained, {fixed:,} not" if fixed else "all trained"
        dtypes = f" in {' and '.join(self.dtypes)}" if self.dtypes else ""
        return "\n".join(
            [
                aligned(cells, left=3),
                f"{self.total:,} parameters, {trained}; {_size(self.nbytes)}{dtypes}",
            ]
        )


def _size(nbytes: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= scale:
            return f"{nbytes / scale:.3g} {unit}"
    return f"{nbytes} bytes"
