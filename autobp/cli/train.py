"""`autobp train`: train a network on one of the data sets."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autobp.cli.console import Commands, Failure, as_json, at_least, command, folder, named
from autobp.extras import needed

if TYPE_CHECKING:
    from autobp.train import History

__all__ = ["add", "run"]

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """A data set, and the default options for it. `lr` is the learning rate for Adam."""

    about: str
    data: Callable[[int], tuple[Pair, Pair | None]]  # training and test set, from a seed
    hidden: tuple[int, ...]
    activation: str
    lr: float
    epochs: int
    batch_size: int


def _points(name: str, n: int) -> Callable[[int], tuple[Pair, Pair | None]]:
    def data(seed: int) -> tuple[Pair, Pair]:
        from autobp import data

        return data.split(*getattr(data, name)(n, seed=seed), rng=seed)

    return data


def _xor(seed: int) -> tuple[Pair, None]:
    from autobp.data import xor

    return xor(), None


def _images(name: str) -> Callable[[int], tuple[Pair, Pair | None]]:
    def data(seed: int) -> tuple[Pair, Pair]:
        from autobp import data

        x, y, x_test, y_test = getattr(data, name)(scale=True)
        return (x.reshape(len(x), -1), y), (x_test.reshape(len(x_test), -1), y_test)

    return data


_TASKS = {
    "xor": Task("the 21 points of XOR", _xor, (8,), "tanh", 0.05, 200, 21),
    "linear": Task("points on two sides of a line", _points("linear", 200), (4,), "tanh", 0.05, 60, 16),
    "spiral": Task("three arms of a spiral", _points("spiral", 600), (32, 32), "tanh", 0.01, 100, 32),
    "moons": Task("two half moons", _points("moons", 400), (16,), "tanh", 0.02, 60, 32),
    "digits": Task(
        "small digits that come with autobp, 8×8 pixels, far easier than MNIST",
        _images("digits"), (64,), "relu", 0.005, 30, 32,
    ),
    "mnist": Task("MNIST", _images("mnist"), (128,), "relu", 0.001, 5, 64),
}  # fmt: skip

_ACTIVATIONS = ("relu", "leaky_relu", "gelu", "softplus", "tanh", "sigmoid", "identity")

#: The class of each optimizer, its options, and its learning rate as a multiple of Adam's.
_OPTIMIZERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "sgd": ("SGD", {}, 50),
    "momentum": ("SGD", {"momentum": 0.9}, 10),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, 10),
    "adagrad": ("Adagrad", {}, 5),
    "rmsprop": ("RMSprop", {}, 0.5),
    "adam": ("Adam", {}, 1),
    "adamw": ("AdamW", {}, 1),
}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "train",
        run,
        "train a network on points in the plane or on digits",
        "Train a network on a data set and report its accuracy:\n"
        + "\n".join(f"  {name:7} {task.about}" for name, task in _TASKS.items())
        + "\nOmitted options get defaults suited to the data, which are printed.",
        [
            "autobp train moons --out pictures",
            "autobp train spiral --hidden 8,16 --optimizer momentum --epochs 300",
            "autobp train mnist --save weights.npz",
        ],
    )
    option = parser.add_argument
    option("data", type=named(_TASKS), metavar="DATA", help=", ".join(_TASKS))
    option("--hidden", type=_sizes, metavar="N,N…", help="sizes of the hidden layers, or none")
    activations = ", ".join(_ACTIVATIONS)
    option("--activation", type=named(_ACTIVATIONS), metavar="NAME", help=activations)
    optimizers = ", ".join(_OPTIMIZERS)
    option(
        "--optimizer", type=named(_OPTIMIZERS), metavar="NAME", default="adam",
        help=f"{optimizers} (adam)",
    )  # fmt: skip
    option("--lr", type=_rate, metavar="RATE", help="learning rate")
    option("--epochs", type=at_least(1), metavar="N", help="passes over the data")
    option("--batch-size", type=at_least(1), metavar="N", help="samples in a step")
    option("--seed", type=at_least(0), default=0, metavar="N", help="random seed (0)")
    option("--out", type=Path, metavar="FOLDER", help="save plots of curves and regions there")
    option("--save", type=Path, metavar="FILE", help=".npz or .safetensors: save the weights")
    option("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from autobp import nn, optim
    from autobp.train import DivergedError, evaluate, fit

    task = _TASKS[options.data]
    _check_files(options.out, options.save)
    kind, settings, times = _OPTIMIZERS[options.optimizer]
    hidden = task.hidden if options.hidden is None else options.hidden
    activation = options.activation or task.activation
    lr = options.lr or round(task.lr * times, 6)
    epochs = options.epochs or task.epochs
    batch_size = options.batch_size or task.batch_size

    train, test = task.data(options.seed)
    X, y = train
    sizes = [X.shape[1], *hidden, int(y.max()) + 1]
    model = nn.MLP(sizes, activation, rng=options.seed).astype(X.dtype)
    optimizer = getattr(optim, kind)(model.parameters(), lr=lr, **settings)
    if not options.json:
        tested = f", {len(test[1]):,} for testing" if test else ""
        network = "-".join(map(str, sizes)) + (f", {activation}" if hidden else "")
        print(f"Data: {task.about}")
        print(f"Samples: {len(y):,} for training{tested}; seed {options.seed}")
        print(f"Network: {network}")
        print(
            f"Training: {options.optimizer}, rate {lr:g}, {_many(epochs)}, batches of {batch_size}"
        )
        sys.stdout.flush()
    try:
        history = fit(
            model, train, nn.cross_entropy, optimizer, epochs, batch_size, validation=test,
            metrics={"accuracy": nn.accuracy}, rng=options.seed,
        )  # fmt: skip
    except DivergedError as error:
        raise Failure(f"{error.where}; try an --lr below {lr:g}") from None

    parts = {"training": train} | ({"test": test} if test else {})
    accuracy = {"accuracy": nn.accuracy}
    found = {
        name: evaluate(model, part, nn.cross_entropy, metrics=accuracy)
        for name, part in parts.items()
    }
    files = _pictures(options, history, model, train) if options.out and history.rows else []
    if options.save:
        _save(options.save, model.state_dict())
        files.append(options.save)
    if options.json:
        given = {
            "data": options.data, "sizes": sizes, "activation": activation,
            "optimizer": options.optimizer, "lr": lr, "epochs": epochs, "batch_size": batch_size,
            "seed": options.seed, "samples": {name: len(part[1]) for name, part in parts.items()},
        }  # fmt: skip
        ended = {"interrupted": history.interrupted, "history": history.rows, "files": files}
        print(as_json({**given, **found, **ended}))
    else:
        print(_said(history, found, epochs))
        if files:
            print(f"Written: {', '.join(map(str, files))}")
    return 130 if history.interrupted else 0


# ── options ───────────────────────────────────────────────────────────────────────────────────────


def _sizes(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    whole = at_least(1)
    return tuple(whole(part.strip()) for part in text.split(","))


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0, not {text!r}")
    return rate


def _check_files(out: Path | None, save: Path | None) -> None:
    """Check before the training that files can be written."""
    if out:
        needed("matplotlib", "--out", "plot")
        folder(out)
    if save and save.suffix not in (".npz", ".safetensors"):
        raise Failure(f"--save {save}: the name must end in .npz or .safetensors", 2)
    if save:
        if save.is_dir():
            raise Failure(f"--save {save}: this is a folder")
        if save.suffix == ".safetensors":
            needed("safetensors", f"--save {save}", "safetensors")
        folder(save.parent)


# ── results ───────────────────────────────────────────────────────────────────────────────────────


def _many(epochs: int) -> str:
    return f"{epochs:,} epoch{'s' * (epochs != 1)}"


def _said(history: History, found: dict[str, dict[str, float]], epochs: int) -> str:
    seconds = sum(history["seconds"]) if history.rows else 0.0
    done = f"{_many(len(history))}, {seconds:.1f} s"
    if history.interrupted:
        done = f"{len(history)} of {_many(epochs)}, {seconds:.1f} s: interrupted"
    lines = [
        f"  {name:8}  accuracy {numbers['accuracy']:.2%}, loss {numbers['loss']:.4g}"
        for name, numbers in found.items()
    ]
    return "\n".join([f"Result after {done}", *lines])


def _pictures(options: argparse.Namespace, history: History, model: Any, train: Pair) -> list[Path]:
    from autobp import no_grad
    from autobp.drawing import plots

    figure, axes = plots.figure(1, 2)
    for ax, what in zip(axes, ("loss", "accuracy")):
        lines = {"training": history[what]}
        if f"val_{what}" in history.rows[0]:
            lines["test"] = history[f"val_{what}"]
        plots.curves(lines, ax, xlabel="epoch", ylabel=what)
    files = [options.out / f"{options.data}_curves.png"]
    figure.savefig(files[0])
    if train[0].shape[1] == 2:

        def classify(points: np.ndarray) -> np.ndarray:
            with no_grad():
                return np.argmax(model(points).numpy(), axis=1)

        figure, ax = plots.figure()
        plots.regions(classify, *train, ax, title=f"{options.data}: what the network learned")
        files.append(options.out / f"{options.data}_regions.png")
        figure.savefig(files[1])
    return files


def _save(path: Path, weights: dict[str, Any]) -> None:
    from autobp.train import save_checkpoint, save_weights

    if path.suffix == ".npz":
        save_checkpoint(path, weights)
    else:
        save_weights(path, weights)
