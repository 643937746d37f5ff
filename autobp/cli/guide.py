"""The sections of `autobp tour`."""

from __future__ import annotations

import shlex
import sys
import textwrap
import timeit
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

import numpy as np

import autobp
from autobp import nn
from autobp.cli.demo import demos
from autobp.context import lines
from autobp.cost import compare
from autobp.cost.report import duration, quantity
from autobp.data import digits, xor
from autobp.drawing.layout import LayoutTimeout, formats
from autobp.extras import install_command
from autobp.optim import Adam
from autobp.primitive import Array
from autobp.table import aligned
from autobp.tensor import Tensor
from autobp.train import History, fit

__all__ = ["NETWORK", "NEURON", "Guide", "initial"]

WIDTH = 79
SIZES = (2, 4, 8, 1)


# ── the programs that it runs, as a user would write them ─────────────────────────────────────────

NETWORK = '''\
"""A network with two hidden layers, and its loss."""

import numpy as np
from autobp import scope, sigmoid


def network(params, x):
    with scope("layer1"):
        h1 = np.tanh(x @ params["W1"] + params["b1"])
    with scope("layer2"):
        h2 = np.tanh(h1 @ params["W2"] + params["b2"])
    with scope("output"):
        return sigmoid(h2 @ params["W3"] + params["b3"])


def mean_squared_error(params, x, y):
    out = network(params, x)
    error = out - y
    return np.mean(error**2)
'''

NEURON = '''\
"""One neuron, and its loss."""

import numpy as np
from autobp import Tensor

w1, w2, b = Tensor(0.5), Tensor(-0.25), Tensor(0.1)
x1, x2, target = 1.0, 2.0, 1.0

z = w1 * x1 + w2 * x2 + b
y = np.tanh(z)
error = y - target
loss = error**2
'''


def initial() -> dict[str, Tensor]:
    """The initial weights."""
    rng = np.random.default_rng(0)
    params = {}
    for i, (m, n) in enumerate(pairwise(SIZES), 1):
        params[f"W{i}"] = Tensor(rng.normal(0, m**-0.5, (m, n)), name=f"W{i}")
        params[f"b{i}"] = Tensor(np.zeros(n), name=f"b{i}")
    return params


# ── the sections ──────────────────────────────────────────────────────────────────────────────────


class Guide:
    """Each section prints its results and may write files."""

    x: np.ndarray
    network: Any
    loss: Any
    sections: int

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[tuple[Path, str]] = []
        self.sections = 0
        self.plots: bool = find_spec("matplotlib") is not None

    def tour(self) -> None:
        self.train()
        self.check()
        self.look()
        self.derive()
        self.measure()
        self.digits()

    def train(self) -> None:
        self.section("A network learns XOR")
        self.x, labels = xor()
        self.y: np.ndarray = labels[:, None]
        self.params: dict[str, Tensor] = initial()
        n = len(self.x)
        size = sum(p.size for p in self.params.values())
        self.say(
            f"The data are {n} points of two classes, which no straight line separates. The network,"
            f" {'-'.join(map(str, SIZES))}, has two hidden layers. It is written in NumPy. Its {size}"
            " weights are Tensors, which record each operation on them."
        )
        program = self.program(NETWORK, "network.py", "the network and its loss")
        self.network, self.loss = program["network"], program["mean_squared_error"]
        self.show(NETWORK[NETWORK.index("def network") :])
        epochs = 400
        self.say(f"Adam, a variant of gradient descent, takes {epochs} steps.")
        history = trained(
            lambda x: self.network(self.params, x), (self.x, self.y), loss=nn.mse,
            optimizer=Adam(self.params.values(), lr=0.03), epochs=epochs, batch_size=n,
        )  # fmt: skip
        right = round(n * nn.accuracy(self.network(self.params, self.x), self.y))
        self.say(
            f"The loss fell from {history['loss'][0]:.4f} to {history['loss'][-1]:.6f}. The network"
            f" classifies {right} of {n} points correctly."
        )
        if not self.plots:
            self.say(f"Plots of the training need matplotlib: {install_command('plot')}")
            return
        from autobp.drawing import plots

        figure, (curve, plane) = plots.figure(1, 2)
        plots.curves(
            {"loss": history["loss"]}, curve, xlabel="epoch", ylabel="mean squared error",
            legend=False,
        )  # fmt: skip
        curve.set_yscale("log")
        plots.regions(
            lambda p: self.network(self.params, p).numpy()[:, 0] > 0.5, self.x, labels, plane,
            title="the network's predictions",
        )  # fmt: skip
        self.keep(figure, "xor.png", "its loss and its predictions")

    def check(self) -> None:
        self.section("Are the gradients right?")
        self.say(
            "Central differences can tell: they move each weight a little up and down and use only the"
            " loss. At the initial weights:"
        )
        values = {name: p.numpy() for name, p in initial().items()}
        report = autobp.check_gradients(self.of_weights, values)
        found = autobp.grad(self.of_weights)(values)
        numerical = autobp.numerical_gradient(lambda: self.of_weights(values), [*values.values()])
        largest = max(np.max(np.abs(g - n)) for g, n in zip(found.values(), numerical))
        steepest = max(np.max(np.abs(g)) for g in found.values())
        self.say(
            f"{report.compared} derivatives by forward and reverse mode agree with them. The largest"
            f" number in the gradient is {steepest:.2g}, the largest difference {largest:.1e}."
        )

    def look(self) -> None:
        self.section("The graph of a loss")
        self.say(
            "The recorded operations form a graph. One neuron is enough to see how a loss is computed"
            " and how its gradient comes back, one rule at a time:"
        )
        with lines():  # the player shows them
            names = self.program(NEURON, "neuron.py", "a neuron and its loss")
        self.show(NEURON[NEURON.index("w1") :])
        self.show(autobp.graph(names["loss"]).text(names))
        there = [format for format in formats() if format != "pdf"]
        if not there:
            self.say(f"Graphs need Graphviz: {install_command('wasm')}. DOT text is saved instead.")
        elif "png" not in there:
            self.say("Graphs as PNG need Graphviz itself: your system's package graphviz.")
        whole = self.loss(initial(), self.x, self.y)
        for picture, stem in (
            (autobp.draw(names["loss"], names=names), "neuron"),
            (autobp.draw(whole, names={"x": self.x, "y": self.y}, direction="TB"), "network"),
        ):
            for suffix in there or ["dot"]:
                self.keep(picture, f"{stem}.{suffix}", f"the graph of the loss of the {stem}")
        played = autobp.play(names["loss"], names=names)
        self.keep(played, "neuron.html", "the neuron, step by step, for a browser")

    def derive(self) -> None:
        self.section("The backward pass, as a program")
        self.say(
            "compile(value_and_grad(mean_squared_error)) turns the derivative of the network's loss"
            " into plain NumPy calls, as one would write them by hand. This is its backward pass. The"
            f" last argument of a call is where the result is put, c0 is 2/{len(self.x)}, and c1 is a"
            " row of ones."
        )
        self.step: Any = autobp.compile(autobp.value_and_grad(self.loss))
        self.step(self.values(), self.x, self.y)
        source = self.step.source
        self.show(source[source.index("    # backward") : source.rindex("    return")])
        self.keep(self.step, "xor_step.py", "the whole program, which needs NumPy alone")

    def measure(self) -> None:
        self.section("Forward against reverse")
        values = self.values()
        report = compare(self.of_weights, values)
        if report.interrupted:
            raise KeyboardInterrupt
        n = sum(np.size(v) for v in values.values())
        self.say(
            f"There are three ways to compute these {n} derivatives. Central differences evaluate the"
            " loss twice for each weight. Forward mode takes one pass for each weight. Reverse mode"
            " takes one sweep for all of them. Operations are counted on the graph, times are measured"
            " now, and × gives each as a multiple of one evaluation:"
        )
        once = timed(lambda: self.step(values, self.x, self.y))
        one = report.rows[0].seconds or once
        table = [["", "sweeps", "operations", "×", "time", "×"]]
        for way in (report.rows[0].method, "central differences", "forward, recorded", "reverse"):
            row, more = report[way], report.ratio(way, "flops") or 0
            counted = quantity(row.counts.flops if row.counts else 0), quantity(more)
            table.append([way, row.sweeps, *counted, *measured(row.seconds, one)])
        table.append(["reverse, compiled", "the program above", "", "", *measured(once, one)])
        print(f"{aligned(table, left=2, ruled=1)}\n", flush=True)

    def digits(self) -> None:
        self.section("Handwritten digits")
        x, y, x_test, y_test = digits(scale=True)
        x, x_test = (np.reshape(images, (len(images), -1)) for images in (x, x_test))
        model = nn.MLP([x.shape[1], 32, 10], activation="relu", rng=0)
        self.say(
            f"A {x.shape[1]}-32-10 network with cross-entropy learns from {len(x):,} digits of 8×8"
            f" pixels. {len(x_test)} others test it."
        )
        history = trained(
            model, (x, y), loss=nn.cross_entropy, optimizer=Adam(model.parameters(), lr=0.003),
            epochs=20, validation=(x_test, y_test), metrics={"accuracy": nn.accuracy}, rng=0,
        )  # fmt: skip
        found = np.argmax(model(x_test).numpy(), axis=1)
        wrong = np.nonzero(found != y_test)[0]
        self.say(
            f"It reads {1 - len(wrong) / len(y_test):.1%} of the test digits correctly, and"
            f" {history['accuracy'][-1]:.1%} of those that it learned from."
        )
        if not self.plots:
            return
        from autobp.drawing import plots

        figure, (left, right) = plots.figure(1, 2)
        for ax, what in ((left, "loss"), (right, "accuracy")):
            lines = {"training": history[what], "test": history[f"val_{what}"]}
            plots.curves(lines, ax, xlabel="epoch", ylabel=what)
        self.keep(figure, "digits.png", "loss and accuracy in each epoch")
        shown = wrong[:8]
        figure, axes = plots.figure(2, 4)
        figure.set_size_inches(6, 3.6)
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[])
        for ax, i in zip(axes.flat, shown):
            ax.imshow(x_test[i].reshape(8, 8), cmap="gray_r")
            ax.set_title(f"{y_test[i]}, read as {found[i]}", fontsize="medium")
        self.keep(figure, "misread.png", "digits that it misreads")

    def written(self) -> None:
        """List the files."""
        if not self.files:
            print("\nNo files were written.")
            return
        print("\nWritten:\n")
        width = max(len(str(path)) for path, _ in self.files)
        for path, what in self.files:
            print(f"  {path!s:{width}}  {what}")

    def next(self) -> None:
        program = called()
        print(
            f"\nWhat to do next:\n\n"
            f"  Open {self.folder / 'neuron.html'} in a browser and step through the chain rule.\n"
            f"  Draw an expression of your own:\n"
            f'      {program} draw "tanh(a*b + c)" a=2 b=-3 c=1\n'
            f"  Run one of the {len(demos())} demos:\n"
            f"      {program} demo"
        )

    # ── helpers ───────────────────────────────────────────────────────────────────────────────────

    def of_weights(self, params: dict[str, Array]) -> Array:
        return self.loss(params, self.x, self.y)

    def values(self) -> dict[str, np.ndarray]:
        """The present weights as plain arrays."""
        return {name: p.numpy() for name, p in self.params.items()}

    def section(self, title: str) -> None:
        self.sections += 1
        head = f"{self.sections}. {title}"
        print(f"{'' if self.sections == 1 else chr(10)}{head}\n{'─' * len(head)}\n")

    def say(self, text: str) -> None:
        print(f"{textwrap.fill(text, WIDTH)}\n", flush=True)

    def show(self, text: str) -> None:
        print(f"{textwrap.indent(textwrap.dedent(text).strip(chr(10)), '    ')}\n", flush=True)

    def program(self, text: str, name: str, about: str) -> dict[str, Any]:
        """Save a program, run it, and return its global names."""
        self.write(name, about, lambda path: path.write_text(text, encoding="utf-8"))
        names = {"__name__": name.removesuffix(".py")}
        exec(compile(text, str(self.folder / name), "exec"), names)
        return names

    def keep(self, what: Any, name: str, about: str) -> None:
        """Save a figure, a picture, a page or a compiled program."""
        try:
            self.write(name, about, what.savefig if hasattr(what, "savefig") else what.save)
        except (RuntimeError, LayoutTimeout) as error:  # Graphviz is broken
            self.say(f"{name} is missing: {error}")

    def write(self, name: str, about: str, save: Callable[[Path], object]) -> None:
        path = self.folder / name
        save(path)
        self.files.append((path, about))


def called() -> str:
    """The command to type: the environment may not be activated."""
    if which("autobp"):
        return "autobp"
    if Path(sys.argv[0]).stem == "autobp":
        return shlex.quote(sys.argv[0])
    return f"{shlex.quote(sys.orig_argv[0])} -m autobp"


def trained(*args: Any, **options: Any) -> History:
    """`fit`, except that Ctrl-C also ends the tour."""
    history = fit(*args, **options)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def timed(call: Callable[[], object]) -> float:
    """The median time of a call in seconds."""
    timer = timeit.Timer(call)
    number, _ = timer.autorange()
    return median(timer.repeat(5, number)) / number


def measured(seconds: float | None, one: float) -> tuple[str, str]:
    return duration(seconds), quantity((seconds or 0) / one)
