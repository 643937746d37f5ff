"""Matrices: systems of equations, inverses, determinants and Cholesky factors, by elimination."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np

from autobp.compiler.javascript.places import Printer, numbered, spread, stacked
from autobp.compiler.program import Step
from autobp.kernels.cofactors import cofactors
from autobp.rules import linalg

__all__ = ["MATRICES", "SCRIPT"]

#: What a program that computes with matrices brings along.
SCRIPT = files(__package__).joinpath("matrices.js").read_text(encoding="utf-8")


def _solve(p: Printer, step: Step) -> str:
    a, b = step.args
    at = numbered(b)[:, None] if b.ndim == 1 else numbered(b)
    batch = step.shape[: -1 if b.ndim == 1 else -2]
    arrays = [spread(p, a, numbered(a), batch), spread(p, b, at, batch)]
    return stacked(batch, f"(a, b) => solved(a, b, {a.shape[-1]})", arrays)


def _of_one(text: str) -> Callable[[Printer, Step], str]:
    """A function of one matrix."""

    def spelled(p: Printer, step: Step) -> str:
        a = step.args[0]
        found = stacked(a.shape[:-2], text.format(n=a.shape[-1]), [p.name(a)])
        return found if step.shape else f"{found}[0]"

    return spelled


def _slogdet(p: Printer, step: Step) -> str:
    (a,) = step.args
    batch = a.shape[:-2]
    det = stacked(batch, f"(a) => [determinant(a, {a.shape[-1]})]", [p.name(a)])
    one = "" if batch else "[0]"
    both = f"[det.map(Math.sign){one}, det.map((x) => Math.log(Math.abs(x))){one}]"
    return f"((det) => {both})({det})"


#: What spells a step, by its function.
MATRICES: dict[Any, Callable[[Any, Step], str]] = {
    linalg.solve.function: _solve,
    np.linalg.inv: _of_one("(a) => inverted(a, {n})"),
    np.linalg.det: _of_one("(a) => [determinant(a, {n})]"),
    np.linalg.cholesky: _of_one("(a) => factored(a, {n})"),
    np.linalg.slogdet: _slogdet,
    cofactors: _of_one("(a) => cofactors(a, {n})"),
}
