"""The benchmarks run with nothing installed but NumPy, and their contestants agree."""

from __future__ import annotations

import sys

import pytest

from . import __main__ as benchmarks
from .__main__ import PEERS, main
from .race import Effort, compete


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in PEERS:
        monkeypatch.setitem(sys.modules, peer, None)  # as if it were not installed


@pytest.mark.usefixtures("_alone")
def test_runs_without_peers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "Effort", lambda rounds, turn: Effort(rounds=1, turn=0.0))
    main(["--quick", "--only", "1", "--only", "2", "--only", "3", "--only", "7"])
    said = capsys.readouterr().out
    for peer, row in [("micrograd", 1), ("PyTorch", 2), ("HIPS autograd", 2), ("JAX, jitted", 3)]:
        assert f"skipped: {peer} in row {row}" in said
    table = said[said.index("what") :]
    peers = ["NumPy by hand", "bare products", "a limit of 2 µs"]
    found = [[line.split()[0] for line in table.splitlines() if f"  {p}  " in line] for p in peers]
    assert found == [["2", "2", "3"], ["3", "3"], ["7"]]


def test_disagreement_is_an_error() -> None:
    steps = {"autobp": lambda: [1.0], "another": lambda: [1.1]}
    with pytest.raises(AssertionError, match="another and autobp disagree on gradient 0"):
        compete(steps, Effort(rounds=1, turn=0.0), rtol=1e-6)
