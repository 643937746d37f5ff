"""The mutation command: it breaks rules, sees them noticed, and puts everything back."""

from __future__ import annotations

import numpy as np
import pytest

from autobp.rules import PRIMITIVES, reduction
from autobp.verify.samples import RECORDS
from tests import mutate

#: One of each form of rule, and of each way to hold them.
A_FEW = ("sin", "multiply", "maximum", "where", "flip", "concatenate", "inv", "cumsum", "norm")


@pytest.mark.parametrize("name", A_FEW)
def test_every_mutant_is_noticed(name: str) -> None:
    verdict = mutate.judged(PRIMITIVES[name], RECORDS[name])
    assert not verdict.survivors
    assert not verdict.stale
    assert verdict.mutants == verdict.killed + verdict.equivalent
    assert verdict.killed > 5


def test_a_check_that_never_fails_lets_all_survive() -> None:
    verdict = mutate.judged(PRIMITIVES["sin"], RECORDS["sin"], check=lambda *_: None)
    assert verdict.killed == 0
    assert len(verdict.survivors) == verdict.mutants > 5
    assert "SURVIVES  reverse[0]: np.cos(x) → x" in str(verdict)


def test_an_entry_that_is_not_so_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"reverse[0]: negated": "wrongly", "reverse[0]: no such mutant": "it went away"}
    monkeypatch.setitem(mutate.EQUIVALENT, "sin", listed)
    verdict = mutate.judged(PRIMITIVES["sin"], RECORDS["sin"])
    assert verdict.stale == tuple(listed)
    assert verdict.equivalent == 0


def test_status(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert mutate.main(["tanh"]) == 0
    assert "0 survive" in capsys.readouterr().out
    monkeypatch.setattr(mutate.judged, "__defaults__", (lambda *_: None,))
    assert mutate.main(["tanh"]) == 1
    assert "SURVIVES" in capsys.readouterr().out
    assert mutate.main(["tanhh"]) == 1
    assert "no such primitive: tanhh" in capsys.readouterr().out


def test_everything_is_put_back() -> None:
    norm, spread = PRIMITIVES["norm"], reduction.spread
    before = norm.forward, norm.reverse, norm.function
    with np.errstate(all="ignore"):
        labels = [m.label for m in mutate.mutants(norm) if _installs(m)]
    assert (norm.forward, norm.reverse, norm.function) == before
    assert reduction.spread is spread
    assert {label.split(":")[0] for label in labels} == {
        "forward[0]",
        "reverse[0]",
        "spread",
        "_unit",
    }


def _installs(mutant: mutate.Mutant) -> bool:
    with mutant.installed():
        return True


def test_what_is_changed() -> None:
    made = dict(mutate.changed(lambda t, y, x: -t * y / (x + 1)))
    # fmt: off
    assert {
        "-t → t",                                  # a sign
        "-t * y → -t", "-t * y → y",               # a factor
        "-t * y / (x + 1) → -t * y", "x + 1 → x",  # a part of a quotient, of a sum
        "x + 1 → x - 1", "-t * y → -t / y",        # another operator
        "1 → 2",                                   # a constant
        "y → x", "y → x, and back",                # an argument
    } <= set(made)
    # fmt: on
    assert made["x + 1 → x - 1"](2.0, 3.0, 4.0) == -2.0 * 3.0 / 3.0
    assert made["y → x, and back"](2.0, 3.0, 4.0) == -2.0 * 4.0 / 4.0
