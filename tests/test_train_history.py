"""History: rows, columns, the best, the table, CSV and the plot."""

import csv
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from autobp.extras import install_command
from autobp.train import History

ROWS = [
    {"epoch": 1, "loss": 3.0, "accuracy": 0.5, "val_loss": math.nan, "f": 1.0},
    {"epoch": 2, "loss": 1.0, "accuracy": 0.9, "val_loss": 0.7, "f": 3.0},
    {"epoch": 3, "loss": 2.0, "accuracy": 0.9, "val_loss": 0.1 + 0.2, "f": 2.0},
]


def test_columns():
    history = History(ROWS)
    assert history["loss"] == [3.0, 1.0, 2.0]
    assert len(history) == 3
    with pytest.raises(KeyError, match="the history has no 'error'; it has epoch, loss, accuracy"):
        history["error"]
    with pytest.raises(KeyError, match="the history has no 'loss'; it has no epochs"):
        History()["loss"]


def test_the_best_is_low_or_high_as_the_name_says():
    history = History(ROWS, monitor="val_loss")
    assert history.best()["epoch"] == 3
    assert history.best("loss")["epoch"] == 2
    assert history.best("accuracy")["epoch"] == 2  # the first of equals
    assert history.best("f", mode="max")["epoch"] == 2
    assert history.best("f", mode="min")["epoch"] == 1
    assert History(ROWS, "f", "max").best()["epoch"] == 2
    assert history.best("loss", "max")["epoch"] == 1
    with pytest.raises(
        ValueError, match="is a high or a low 'f' better\\? Pass mode='max' or mode='min'"
    ):
        history.best("f")
    with pytest.raises(ValueError, match="mode must be 'min' or 'max', not 'up'"):
        history.best("f", "up")
    with pytest.raises(ValueError, match="no row has a number for 'val_loss'"):
        History(ROWS[:1]).best("val_loss")


def test_the_table():
    assert repr(History(ROWS[:2], "loss", stopped="enough")) == (
        "History of 2 epochs (enough), best loss 1 in epoch 2\n"
        "epoch  loss  accuracy  val_loss  f\n"
        "    1     3       0.5       nan  1\n"
        "    2     1       0.9       0.7  3"
    )
    assert repr(History()) == "History of 0 epochs"
    many = repr(History([{"epoch": i + 1, "loss": 1 / (i + 1)} for i in range(1000)]))
    assert len(many.splitlines()) == 23
    assert "… 980 more …" in many
    assert many.endswith("\n 1000     0.001")


def test_csv_has_all_digits(tmp_path):
    History(ROWS).to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert [*rows[0]] == [*ROWS[0]]
    for row, expected in zip(rows, ROWS):
        np.testing.assert_array_equal([*row.values()], [*expected.values()])


def test_plot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rows = [{**row, "lr": 0.1, "seconds": 1.0} for row in ROWS]
    axes = History(rows).plot()
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy", "f"]
    train, held = axes[0].lines
    assert [line.get_label() for line in (train, held)] == ["loss", "val_loss"]
    assert (train.get_linestyle(), held.get_linestyle()) == ("-", "--")
    assert train.get_ydata().tolist() == [3.0, 1.0, 2.0]
    assert train.get_xdata().tolist() == [1, 2, 3]
    pyplot.close("all")
    with pytest.raises(ValueError, match="there are no epochs to plot"):
        History().plot()


def test_without_matplotlib_one_line_says_what_to_do():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from autobp.train import History\n"
        "History([{'epoch': 1, 'loss': 1.0}]).plot()"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
    )
    assert out.stderr.splitlines()[-1] == (
        f"autobp.extras.MissingExtra: History.plot needs matplotlib: {install_command('plot')}"
    )
