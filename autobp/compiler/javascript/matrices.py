"""Matrices: systems of equations, inverses, determinants and Cholesky factors, by elimination."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Protocol

import numpy as np

from autobp.compiler.javascript.places import numbered
from autobp.compiler.program import Step
from autobp.kernels.cofactors import cofactors
from autobp.rules import linalg

__all__ = ["MATRICES", "SCRIPT"]

#: What a program that computes with matrices brings along.
SCRIPT = files(__package__).joinpath("matrices.js").read_text(encoding="utf-8")


class Printer(Protocol):
    """What is asked of a printer."""

    def name(self, x: Any) -> str: ...
    def places(self, at: Any) -> str: ...


def _solve(p: Printer, step: Step) -> str:
    a, b = step.args
    at = numbered(b)[:, None] if b.ndim == 1 else numbered(b)
    batch = step.shape[: -1 if b.ndim == 1 else -2]
    spread = _spread(p, a, numbered(a), batch), _spread(p, b, at, batch)
    return _stacked(batch, f"(a, b) => solved(a, b, {a.shape[-1]})", spread)


def _of_one(text: str) -> Callable[[Printer, Step], str]:
    """A function of one matrix."""

    def spelled(p: Printer, step: Step) -> str:
        a = step.args[0]
        found = _stacked(a.shape[:-2], text.format(n=a.shape[-1]), [p.name(a)])
        return found if step.shape else f"{found}[0]"

    return spelled


def _slogdet(p: Printer, step: Step) -> str:
    (a,) = step.args
    batch = a.shape[:-2]
    det = _stacked(batch, f"(a) => [determinant(a, {a.shape[-1]})]", [p.name(a)])
    one = "" if batch else "[0]"
    both = f"[det.map(Math.sign){one}, det.map((x) => Math.log(Math.abs(x))){one}]"
    return f"((det) => {both})({det})"


def _spread(p: Printer, x: Step, at: Any, batch: tuple[int, ...]) -> str:
    """The matrices of each element of a batch."""
    whole = np.broadcast_to(at, (*batch, *at.shape[-2:]))
    return p.name(x) if whole.size == x.size else f"pick({p.name(x)}, {p.places(whole)})"


def _stacked(batch: tuple[int, ...], function: str, arrays: Sequence[str]) -> str:
    return f"stacked({math.prod(batch)}, {function}, {', '.join(arrays)})"


#: What spells a step, by its function.
MATRICES: dict[Any, Callable[[Any, Step], str]] = {
    linalg.solve.function: _solve,
    np.linalg.inv: _of_one("(a) => inverted(a, {n})"),
    np.linalg.det: _of_one("(a) => [determinant(a, {n})]"),
    np.linalg.cholesky: _of_one("(a) => factored(a, {n})"),
    np.linalg.slogdet: _slogdet,
    cofactors: _of_one("(a) => cofactors(a, {n})"),
}
