"""The benchmarks run with nothing installed but NumPy, and their contestants agree."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pytest

from . import __main__ as benchmarks
from .__main__ import PEERS, main
from .race import COMPILED, OURS, Effort, compete
from .workloads import __main__ as workloads
from .workloads.libraries import Autobp
from .workloads.problem import Problem

BY_HAND = (
    "bag",
    "bodies",
    "gp",
    "hessian",
    "product",
    "curvature",
    "greeks",
    "third",
)  # there is NumPy's too


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in PEERS:
        monkeypatch.setitem(sys.modules, peer, None)  # as if it were not installed


@pytest.mark.usefixtures("_alone")
def test_runs_without_peers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "Effort", lambda rounds, turn: Effort(rounds=1, turn=0.0))
    main(["--quick", "--only", "1", "--only", "2", "--only", "3", "--only", "7", "--only", "9"])
    said = capsys.readouterr().out
    for peer, row in [("micrograd", 1), ("PyTorch", 2), ("HIPS autograd", 2), ("JAX, jitted", 3)]:
        assert f"skipped: {peer} in row {row}" in said
    assert "skipped: row 9: no distributed; pip install -e '.[bench]' installs it" in said
    table = said[said.index("what") :]
    peers = ["NumPy by hand", "bare products", "a limit of 2 µs"]
    found = [[line.split()[0] for line in table.splitlines() if f"  {p}  " in line] for p in peers]
    assert found == [["2", "2", "3"], ["3", "3"], ["7"]]


def test_disagreement_is_an_error() -> None:
    steps = {"autobp": lambda: [1.0], "another": lambda: [1.1]}
    with pytest.raises(AssertionError, match="another and autobp disagree on gradient 0"):
        compete(steps, Effort(rounds=1, turn=0.0), rtol=1e-6)


def tiny(name: str) -> Problem:
    make, sizes = workloads.WORKLOADS[name]
    exact = {"dtype": np.float64} if "dtype" in inspect.signature(make).parameters else {}
    return make(**sizes, **exact)


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_workloads_agree(name: str) -> None:
    """Step after step: as it is, compiled, and by hand in NumPy."""
    made = tiny(name)
    steps, _ = workloads.ready(name, made)
    assert list(steps) == [OURS, COMPILED, *["NumPy by hand"] * (name in BY_HAND)]


@pytest.mark.parametrize("name", [n for n in workloads.WORKLOADS if n not in ("fit", *BY_HAND)])
def test_workloads_have_the_slopes_of_central_differences(name: str) -> None:
    made = tiny(name)
    rng, library = np.random.default_rng(1), Autobp()
    found = lambda start: library.gradient(made.program(library), start, made.data)()
    along = [rng.standard_normal(p.shape) for p in made.start]
    after, before = (
        found([p + h * v for p, v in zip(made.start, along)])[0] for h in (1e-6, -1e-6)
    )
    slope = sum(np.vdot(g, v) for g, v in zip(found(made.start)[1:], along))
    np.testing.assert_allclose((after - before) / 2e-6, slope, rtol=1e-5)


@pytest.mark.usefixtures("_alone")
def test_workloads_print_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    workloads.measured(["product"], Effort(rounds=1, turn=0.0), tiny=True)
    said = capsys.readouterr().out
    assert "product: its product with a vector" in said
    assert "geometric mean" in said
