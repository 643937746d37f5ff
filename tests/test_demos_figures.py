"""The figures that the coursework reports, reproduced in full: minutes, so only on request.

    pytest -m figures

Those on MNIST need its files, in the folder that AUTOBP_DATA names.
"""

import importlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from autobp import cli

pytestmark = pytest.mark.figures

ON_MNIST = ("cross_validation", "three_layers", "fixed_layer", "convnet", "minibatches")
GENERATED = ("knobs", "xor")


@pytest.fixture(scope="module")
def full():
    """What each demo prints in full, two of them at a time, each with one BLAS thread."""
    demos = cli.demo.demos()

    def run(name):
        options = ["--data", "mnist"] if name in ON_MNIST else []
        options += ["--epochs", "20000"] if name == "knobs" else []
        done = subprocess.run(
            [sys.executable, demos[name], *options], capture_output=True, text=True, check=False,
            env={
                **os.environ, "PYTHONPATH": str(demos[name].parent.parent),
                "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1",
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    wanted = ON_MNIST + GENERATED if "AUTOBP_DATA" in os.environ else GENERATED
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(run, name) for name in wanted}

        def printed(name):
            if name not in running:
                pytest.skip("MNIST is not at hand: AUTOBP_DATA names its folder")
            return running[name].result()

        yield printed


def test_fixed_layer(full):
    text = full("fixed_layer")
    accuracies = [float(a) for a in re.findall(r" +\d+: (0\.\d{5})", text)]
    assert len(accuracies) == 200
    assert accuracies[99] >= 0.90875  # with an ordinary first layer
    assert accuracies[199] >= 0.94  # with one in ten groups
    trained = [
        float(a) for a in re.findall(r"^  (?:ordinary|in ten groups) +(0\.\d+) +0\.", text, re.M)
    ]
    assert len(trained) == 2
    assert max(trained) < 0.5  # not scaled, the step is too large


def test_xor(full):
    text = full("xor")
    rows = re.findall(r"^  (\w+) +(as \w+|by \w+) +(\S+) +(\d+) +(\d+) of (\d+) ", text, re.M)
    assert rows == [
        ("linear", "as programmed", "889", "20", "100", "100"),
        ("linear", "by calculus", "780", "20", "100", "100"),
        ("XOR", "as programmed", "6,721", "20", "21", "21"),
        ("XOR", "by calculus", "never", "4", "20", "21"),
    ]


#: With how many of 20 seeds each claim holds within 20,000 epochs, as programmed and by calculus.
HELD = {
    "rates .5, 1, 1.5: all reach 100 %, linear": (20, 20),
    "rates .5, 1, 1.5: all reach 100 %, XOR": (19, 1),  # within 40,000 epochs 20
    "the larger the rate the faster, linear": (20, 20),
    "the larger the rate the faster, XOR": (20, 1),
    "(2, 4) fails, (4, 8) and (8, 16) do not, XOR": (19, 1),
    "the more units the faster, linear": (6, 2),
    "the more units the faster, XOR": (11, 1),
    "no activation reaches 100 %, linear": (20, 20),
    "no activation fails, XOR": (20, 20),
    "Adagrad > momentum > SGD, in speed, linear": (13, 0),
    "Adagrad > momentum > SGD, in speed, XOR": (4, 11),
    "the same, by the loss at the end, linear": (5, 3),
    "the same, by the loss at the end, XOR": (1, 4),
    "tanh faster than sigmoid, linear": (20, 1),
    "tanh faster than sigmoid, XOR": (20, 10),
    "ReLU faster than sigmoid, linear": (20, 16),
    "ReLU faster than sigmoid, XOR": (20, 20),
    "tanh faster than ReLU, linear": (0, 1),
    "tanh faster than ReLU, XOR": (1, 0),
    "ReLU, σ: rate 1 fails, .1 does not, linear": (0, 0),
    "ReLU, σ: rate 1 fails, .1 does not, XOR": (0, 0),
    "ReLU only: rate 1 fails, .1 does not, linear": (4, 1),
    "ReLU only: rate 1 fails, .1 does not, XOR": (1, 0),
    "ReLU only (8, 16): 1 and .1 fail, linear": (20, 20),
    "ReLU only (8, 16): 1 and .1 fail, XOR": (20, 20),
}
ROUNDED = 2  # so many seeds may rounding decide: tanh and ReLU zigzag at large rates
#: By calculus tanh on XOR zigzags for thousands of epochs: another order of the same sums gives 10 to 13.
MOST_ROUNDED = {"tanh faster than sigmoid, XOR": 3}


def test_knobs(full):
    text = full("knobs")
    judged = re.findall(
        r"^  (.*, (?:linear|XOR)) +(?:yes|no) +(\d+) +(?:yes|no) +(\d+)$", text, re.M
    )
    assert [claim for claim, *_ in judged] == list(HELD)
    for claim, *counted in judged:
        for count, expected in zip(counted, HELD[claim]):
            assert abs(int(count) - expected) <= MOST_ROUNDED.get(claim, ROUNDED), claim


def test_units_and_optimizers_of_seed_1_after_40_000_epochs():
    """(2, 4) passes 19 of 21 points, as reported, and ends with one more; the losses of plain NumPy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(cli.demo.demos()["knobs"].parent))
        knobs = importlib.import_module("knobs")
    data = knobs.datasets()

    def trained(name, sets):
        (setting,) = (settings[name] for settings in knobs.KNOBS.values() if name in settings)
        update = knobs.by_calculus if setting.optimizer is knobs.Adagrad else knobs.as_programmed
        X, y = data[sets]
        networks = knobs.Networks(setting.sizes, [1], setting.hidden, setting.output)
        optimizer = setting.optimizer(update(networks, setting.rate, len(y)))
        return knobs.train(networks, X, y, optimizer, 40_000, name, to_the_end=True)

    right = trained("(2, 4)", "XOR").right[0]
    assert right[-1] == right.max() == 20
    assert np.sum(right == 19) > 1000
    for name, expected in (
        ("tanh .03, SGD", ("4.0e-03", "1.2e-04")),
        ("tanh .03, momentum", ("1.6e-04", "6.3e-06")),
        ("tanh .03, Adagrad", ("5.3e-05", "1.0e-05")),
    ):
        for sets, loss in zip(("linear", "XOR"), expected):
            assert f"{trained(name, sets).losses[0, -1]:.1e}" == loss


def test_cross_validation(full):
    text = full("cross_validation")
    rows = re.findall(r"^ +[123] +\d+ +0\.\d{4} +(0\.\d{4}) +\d+\.\d{4}$", text, re.M)
    programmed, mean, well = ([float(a) for a in rows[i : i + 3]] for i in (0, 3, 6))
    tested = re.findall(r"tested: accuracy (0\.\d{4}), loss (\d+\.\d{4})", text)
    accuracies, losses = zip(*(map(float, pair) for pair in tested))
    assert min(programmed) >= 0.91
    assert accuracies[0] >= 0.9139
    assert losses[0] > 2
    cut = float(re.search(r"\((\S+) for a program that\ntakes no probability", text)[1])
    assert 1 < cut < losses[0]
    assert 0.90 <= min(mean) <= max(mean) < 0.91  # still on its way
    assert min(well) >= 0.98
    assert accuracies[2] >= 0.984
    teeth, smooth = re.search(
        r"or more in (\d+) of 150\nepochs, in steps on the mean in (\d+)\.", text
    ).groups()
    assert int(teeth) > 15
    assert int(smooth) == 0


def test_three_layers(full):
    text = full("three_layers")
    assert "the third layer is better with 5 of 5 seeds" in text
    table = text.split("batch       32      128      512\n")[1].split("  best")[0]
    rows = [[float(a) for a in line.split()] for line in table.splitlines()]
    assert max(rows[1][1:]) > 0.95  # rate 0.1
    assert rows[3][1] < 0.2  # at rate 1.5 it bounces at a low value: where, the last bits decide
    assert max(rows[3][1:]) < 0.9


def test_convnet(full):
    text = full("convnet")
    losses = [float(n) for n in re.findall(r"^epoch +\d+  loss (\S+)", text, re.M)]
    assert len(losses) == 10
    assert losses == sorted(losses, reverse=True)
    assert float(re.search(r"accuracy (\S+)%;", text)[1]) > 50


def test_minibatches(full):
    accuracies = [
        float(a) for a in re.findall(r"(\d\d\.\d)%", full("minibatches").splitlines()[-1])
    ]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > 80
