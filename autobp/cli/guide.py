"""Guide: what leads through the tour, section after section."""

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
from autobp.optim import Adam
from autobp.primitive import Array
from autobp.table import aligned
from autobp.tensor import Tensor
from autobp.train import History, fit

__all__ = ["NETWORK", "NEURON", "Guide", "initial"]

WIDTH = 79
SIZES = (2, 4, 8, 1)


# ── what is looked at, as programs of the user's own ──────────────────────────────────────────────

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
    """The weights to begin with."""
    rng = np.random.default_rng(0)
    params = {}
    for i, (m, n) in enumerate(pairwise(SIZES), 1):
        params[f"W{i}"] = Tensor(rng.normal(0, m**-0.5, (m, n)), name=f"W{i}")
        params[f"b{i}"] = Tensor(np.zeros(n), name=f"b{i}")
    return params


# ── the way ───────────────────────────────────────────────────────────────────────────────────────


class Guide:
    """Each section prints what it finds, and may leave files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[tuple[Path, str]] = []
        self.sections = 0
        self.plots = find_spec("matplotlib") is not None

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
        self.y = labels[:, None]
        self.params = initial()
        n = len(self.x)
        size = sum(p.size for p in self.params.values())
        self.say(
            f"{n} points of two classes, which no straight line separates, and a network of two hidden"
            f" layers, {'-'.join(map(str, SIZES))}. It is written in NumPy; its {size} weights are"
            " Tensors, which remember what is done with them."
        )
        program = self.program(NETWORK, "network.py", "the network and its loss")
        self.network, self.loss = program["network"], program["mean_squared_error"]
        self.show(NETWORK[NETWORK.index("def network") :])
        epochs = 400
        self.say(f"Adam, a kind of gradient descent, takes {epochs} steps.")
        history = trained(
            lambda x: self.network(self.params, x), (self.x, self.y), loss=nn.mse,
            optimizer=Adam(self.params.values(), lr=0.03), epochs=epochs, batch_size=n,
        )  # fmt: skip
        right = round(n * nn.accuracy(self.network(self.params, self.x), self.y))
        self.say(
            f"The loss went from {history['loss'][0]:.4f} to {history['loss'][-1]:.6f}, and {right} of"
            f" {n} points are right."
        )
        if not self.plots:
            self.say("Pictures of trainings need matplotlib: pip install 'autobp[plot]'")
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
            title="what the network says",
        )  # fmt: skip
        self.keep(figure, "xor.png", "its loss, and what it says where")

    def check(self) -> None:
        self.section("Are the gradients right?")
        self.say(
            "Central differences tell: they move each weight a little up and down, and look at nothing"
            " but the loss. At the weights that the network began with:"
        )
        values = {name: p.numpy() for name, p in initial().items()}
        report = autobp.check_gradients(self.of_weights, values)
        found = autobp.grad(self.of_weights)(values)
        numerical = autobp.numerical_gradient(lambda: self.of_weights(values), [*values.values()])
        largest = max(np.max(np.abs(g - n)) for g, n in zip(found.values(), numerical))
        steepest = max(np.max(np.abs(g)) for g in found.values())
        self.say(
            f"{report.compared} derivatives by forward and reverse mode agree with them. The largest"
            f" difference in the gradient is {largest:.1e}; its largest number is {steepest:.2g}."
        )

    def look(self) -> None:
        self.section("The graph of a loss")
        self.say(
            "What a Tensor remembers is a graph. One neuron is enough to see how a loss is computed,"
            " and how its gradient comes back, one rule at a time:"
        )
        with lines():  # for the player, which shows them
            names = self.program(NEURON, "neuron.py", "a neuron and its loss")
        self.show(NEURON[NEURON.index("w1") :])
        self.show(autobp.graph(names["loss"]).text(names))
        there = [format for format in formats() if format != "pdf"]
        if not there:
            self.say("Pictures of graphs need Graphviz: pip install 'autobp[wasm]'. DOT is saved.")
        elif "png" not in there:
            self.say("Graphs as PNG need Graphviz itself, your system's package graphviz.")
        whole = self.loss(initial(), self.x, self.y)
        for picture, stem in (
            (autobp.draw(names["loss"], names=names), "neuron"),
            (autobp.draw(whole, names={"x": self.x, "y": self.y}, direction="TB"), "network"),
        ):
            for suffix in there or ["dot"]:
                self.keep(picture, f"{stem}.{suffix}", f"the graph of the loss of the {stem}")
        played = autobp.play(names["loss"], names=names)
        self.keep(played, "neuron.html", "the neuron, played step by step in a browser")

    def derive(self) -> None:
        self.section("The backward pass, as a program")
        self.say(
            "compile(value_and_grad(mean_squared_error)) writes the derivative of the network's loss"
            " down as plain NumPy, which reads as one derives it by hand. After the forward pass it"
            " goes on as follows. A third argument is where the result is put, c0 is"
            f" 2/{len(self.x)}, c1 a row of ones."
        )
        self.step = autobp.compile(autobp.value_and_grad(self.loss))
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
            f"There are other ways to the same {n} derivatives. Differences evaluate the loss again"
            " and again, forward mode goes once for each weight, reverse mode once in all."
            " Counted on the graph, and measured here and now; × is how many times one evaluation"
            " that is:"
        )
        once = timed(lambda: self.step(values, self.x, self.y))
        one = report.rows[0].seconds or once
        table = [["", "sweeps", "operations", "×", "time", "×"]]
        for way in (report.rows[0].method, "central differences", "forward, recorded", "reverse"):
            row, more = report[way], report.ratio(way, "flops") or 0
            counted = quantity(row.counts.flops), quantity(more)
            table.append([way, row.sweeps, *counted, *measured(row.seconds, one)])
        table.append(["reverse, compiled", "the program above", "", "", *measured(once, one)])
        print(f"{aligned(table, left=2, ruled=1)}\n", flush=True)

    def digits(self) -> None:
        self.section("Handwritten digits")
        x, y, x_test, y_test = digits(scale=True)
        x, x_test = (np.reshape(images, (len(images), -1)) for images in (x, x_test))
        model = nn.MLP([x.shape[1], 32, 10], activation="relu", rng=0)
        self.say(
            f"The same with {x.shape[1]}-32-10 and cross-entropy, on {len(x):,} digits of 8×8 pixels;"
            f" {len(x_test)} more are for the test."
        )
        history = trained(
            model, (x, y), loss=nn.cross_entropy, optimizer=Adam(model.parameters(), lr=0.003),
            epochs=20, validation=(x_test, y_test), metrics={"accuracy": nn.accuracy}, rng=0,
        )  # fmt: skip
        found = np.argmax(model(x_test).numpy(), axis=1)
        wrong = np.nonzero(found != y_test)[0]
        self.say(
            f"Of the test {1 - len(wrong) / len(y_test):.1%} are right"
            f" ({history['accuracy'][-1]:.1%} of what it learned from)."
        )
        if not self.plots:
            return
        from autobp.drawing import plots

        figure, (left, right) = plots.figure(1, 2)
        for ax, what in ((left, "loss"), (right, "accuracy")):
            lines = {"training": history[what], "test": history[f"val_{what}"]}
            plots.curves(lines, ax, xlabel="epoch", ylabel=what)
        self.keep(figure, "digits.png", "loss and accuracy, epoch by epoch")
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
        """The files that there are."""
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
            f"\nTo go on:\n\n"
            f"  Open {self.folder / 'neuron.html'} in a browser, and step through the chain rule.\n"
            f"  Draw an expression of your own:\n"
            f'      {program} draw "tanh(a*b + c)" a=2 b=-3 c=1\n'
            f"  Run one of {len(demos())} demos, each on a subject of its own:\n"
            f"      {program} demo"
        )

    # ── how it is said ────────────────────────────────────────────────────────────────────────────

    def of_weights(self, params: dict[str, Array]) -> Array:
        return self.loss(params, self.x, self.y)

    def values(self) -> dict[str, np.ndarray]:
        """The weights as they are now, as plain arrays."""
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
        """Write a program down, run it from there, and return its names."""
        self.write(name, about, lambda path: path.write_text(text, encoding="utf-8"))
        names = {"__name__": name.removesuffix(".py")}
        exec(compile(text, str(self.folder / name), "exec"), names)
        return names

    def keep(self, what: Any, name: str, about: str) -> None:
        """Save a figure, a picture, a page or a compiled program."""
        try:
            self.write(name, about, what.savefig if hasattr(what, "savefig") else what.save)
        except (RuntimeError, LayoutTimeout) as error:  # of a Graphviz that does not do its work
            self.say(f"{name} is missing: {error}")

    def write(self, name: str, about: str, save: Callable[[Path], object]) -> None:
        path = self.folder / name
        save(path)
        self.files.append((path, about))


def called() -> str:
    """What to type for this command line: not everybody has activated the environment."""
    if which("autobp"):
        return "autobp"
    if Path(sys.argv[0]).stem == "autobp":
        return shlex.quote(sys.argv[0])
    return f"{shlex.quote(sys.orig_argv[0])} -m autobp"


def trained(*args: Any, **options: Any) -> History:
    """fit, but Ctrl-C ends the tour as well."""
    history = fit(*args, **options)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def timed(call: Callable[[], object]) -> float:
    """Seconds: the median of some turns."""
    timer = timeit.Timer(call)
    number, _ = timer.autorange()
    return median(timer.repeat(5, number)) / number


def measured(seconds: float | None, one: float) -> tuple[str, str]:
    return duration(seconds), quantity((seconds or 0) / one)
