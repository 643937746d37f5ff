"""Every demo runs on its own and prints the numbers it should."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

DEMOS = pathlib.Path(__file__).parent.parent / "demos"


def run(name, *args):
    done = subprocess.run(
        [sys.executable, str(DEMOS / name), *args],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(DEMOS.parent)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LONG = {"forward_vs_reverse.py"}  # have a test of their own, with --quick


@pytest.mark.parametrize("name", sorted({p.name for p in DEMOS.glob("*.py")} - LONG))
def test_every_demo_runs(name):
    assert run(name).strip()


def test_derivatives():
    text = run("derivatives.py")
    table = text.split("∂f/∂x\n")[1].split("\n\n")[0]
    slopes = [line.split()[-1] for line in table.splitlines()]
    assert len(slopes) == 5
    assert all(abs(float(s) - 2.7515594904) < 1e-8 for s in slopes)
    assert "gradients agree" in text


def test_forward_vs_reverse(tmp_path):
    draws = importlib.util.find_spec("matplotlib") is not None
    out = ["--out", str(tmp_path / "new")] if draws else []
    text = run("forward_vs_reverse.py", "--quick", "--seed", "1", *out)
    assert "random pixels" in text
    assert "159,020 evaluations" in text
    assert "measured 64 of 79,510 directions" in text
    memory = text.split("Peak memory")[1].split("\n\n")[1].splitlines()[1:]
    forward, reverse = zip(*(line.replace("MB", "").split()[1:] for line in memory))
    assert float(reverse[-1]) > 10 * float(reverse[0])  # it keeps the tape
    assert float(forward[-1]) < 2 * float(forward[0])
    *_, last = text.splitlines()
    assert last.startswith("Result: an epoch of MNIST takes")
    if draws:
        assert last.endswith("forward_vs_reverse.png.")
        assert (tmp_path / "new" / "forward_vs_reverse.png").stat().st_size > 10_000
    else:
        assert last.endswith("No picture: see --out.")
