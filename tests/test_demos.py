"""Every demo runs on its own and prints the numbers it should."""

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


@pytest.mark.parametrize("name", sorted(p.name for p in DEMOS.glob("*.py")))
def test_every_demo_runs(name):
    assert run(name).strip()


def test_derivatives():
    text = run("derivatives.py")
    table = text.split("∂f/∂x\n")[1].split("\n\n")[0]
    slopes = [line.split()[-1] for line in table.splitlines()]
    assert len(slopes) == 5
    assert all(abs(float(s) - 2.7515594904) < 1e-8 for s in slopes)
    assert "gradients agree" in text
