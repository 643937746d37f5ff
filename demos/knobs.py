"""Rate, units, optimizer, activation: what each changes.

Run it with `python demos/knobs.py`.
"""

from itertools import pairwise

import numpy as np
from _common import Demo
from xor import Networks

from autobp import relu, sigmoid
from autobp.data import linear, xor
from autobp.optim import SGD, Adagrad

STARTS = 20
LEVEL = 0.1  # the loss by which runs are timed


def identity(x):
    return x


def main():
    demo = Demo(__doc__, epochs=10_000, quick=200)
    bench = Bench(demo)
    print(
        f"X → σ(X·W1 + b1) → σ(·W2 + b2) → σ(·W3 + b3), full-batch descent of the mean\n"
        f"squared error, {demo.epochs:,} epochs at most, {STARTS} starts. Runs are timed by the first\n"
        f"epoch whose loss is below {LEVEL}, and a start that never gets there is slower than\n"
        "any that does."
    )

    rates = {f"rate {rate}": {"rate": rate} for rate in (0.5, 1, 1.5)}
    bench.title("Learning rate")
    for data in ("linear", "XOR"):
        bench.panel(data, rates)
        bench.order("rate 1.5", "rate 1", "rate 0.5")
    bench.picture("learning_rate")

    bench.title("Hidden units, rate 0.5 on half the sum of squares (10.5 times the mean's step)")
    sizes = {"(2, 4)": [2, 2, 4, 1], "(4, 8)": [2, 4, 8, 1], "(8, 16)": [2, 8, 16, 1]}
    summed = {"rate": 0.5, "averaged": False}
    bench.panel("XOR", {name: summed | {"sizes": size} for name, size in sizes.items()})
    bench.picture("hidden_units")

    bench.title("No activation at all, against σ")
    none = {"hidden": identity, "output": identity}
    losses, _ = train(*xor(), "XOR, none, rate 1", demo, epochs=4, **none)
    print(f"  At rate 1 it diverges: the loss is {losses[:, -1].min():.0e} at least in epoch 4.")
    for data in ("linear", "XOR"):
        bench.panel(data, {"σ, rate 1": {}, "none, rate 0.01": none | {"rate": 0.01}})
    bench.picture("no_activation")

    bench.title("Optimizer, tanh in the hidden layers, rate 0.03")
    optimizers = {
        "Adagrad": lambda p: Adagrad(p, lr=0.03),
        "momentum 0.9": lambda p: SGD(p, lr=0.03, momentum=0.9),
        "SGD": lambda p: SGD(p, lr=0.03),
    }
    runs = {name: {"optimizer": made, "hidden": np.tanh} for name, made in optimizers.items()}
    for data in ("linear", "XOR"):
        bench.panel(data, runs)
        bench.order("Adagrad", "momentum 0.9", "SGD")
    bench.picture("optimizers")

    bench.title("Activation of the hidden layers, rate 1")
    activations = {"tanh": np.tanh, "ReLU": relu, "sigmoid": sigmoid}
    runs = {name: {"hidden": function} for name, function in activations.items()}
    for data in ("linear", "XOR"):
        bench.panel(data, runs)
        bench.order("tanh", "ReLU", "sigmoid")
    bench.picture("activations")

    bench.title("ReLU with (8, 16) units: too large a rate")
    wide = {"sizes": [2, 8, 16, 1], "hidden": relu}
    for output, function in (("σ", sigmoid), ("ReLU", relu)):
        runs = {f"rate {r}": wide | {"rate": r, "output": function} for r in (1, 0.1)}
        bench.panel("XOR", runs, f"{output} at the output")
    print("  With ReLU at the output too the first step silences it: the loss stands still.")
    bench.picture("relu_rate")
    demo.done("; ".join(bench.found))


class Bench:
    """Trains what it is given, prints what came of it, and draws one picture for each knob."""

    def __init__(self, demo):
        self.demo = demo
        self.sets = {"linear": linear(), "XOR": xor()}
        self.found = []

    def title(self, text):
        print(f"\n{text}")
        self.panels = {}

    def panel(self, data, runs, note=""):
        """Train each of the runs, and print a line for it."""
        X, y = self.sets[data]
        self.name = f"{data}, {note}" if note else data
        self.timed, curves = {}, {}
        columns = ("100 % in", "accuracy", f"loss < {LEVEL}", "in epoch")
        print(f"  {self.name:28}" + "".join(f"{column:>12}" for column in columns))
        for name, knobs in runs.items():
            losses, accuracies = train(X, y, f"{data}, {name}", self.demo, **knobs)
            epochs = np.where(losses < LEVEL, np.arange(losses.shape[1]), np.inf).min(axis=1)
            self.timed[name], curves[name] = epochs, losses
            full, middle = np.sum(accuracies[:, -1] == 1), np.median(epochs)
            print(
                f"    {name:26}{f'{full} of {STARTS}':>12}{np.median(accuracies[:, -1]):12.2%}"
                f"{f'{np.isfinite(epochs).sum()} of {STARTS}':>12}"
                f"{f'{middle:,.0f}' if np.isfinite(middle) else 'never':>12}"
            )
        self.panels[self.name] = curves

    def order(self, *names):
        """How often the reported order of speed holds, from the fastest."""
        pairs = list(pairwise(names))
        held = [self.timed[a] < self.timed[b] for a, b in pairs]
        for (a, b), each in zip(pairs, held):
            print(f"    {a} before {b}: {each.sum()} of {STARTS} starts")
        self.found.append(
            f"{self.name}: {' > '.join(names)} in {np.all(held, axis=0).sum()} of {STARTS}"
        )

    def picture(self, name):
        if not self.demo.out:
            return
        from autobp.draw import plots

        figure, axes = plots.figure(1, len(self.panels), sharex=True, sharey=True, squeeze=False)
        for ax, (title, curves) in zip(axes[0], self.panels.items()):
            plots.curves(curves, ax, xlabel="epoch", title=f"{title}: median and middle half")
            ax.set(xscale="log", yscale="log")
        axes[0, 0].set_ylabel("mean squared error")
        axes[0, 0].set_ylim(bottom=5e-4)
        self.demo.save(figure, f"knobs_{name}.png")


def train(
    X, y, name, demo, sizes=(2, 4, 8, 1), hidden=sigmoid, output=sigmoid, optimizer=None,
    rate=1.0, averaged=True, epochs=None,
):  # fmt: skip
    networks = Networks(sizes, demo.seed, hidden, output, STARTS)
    optimizer = optimizer or (lambda parameters: SGD(parameters, lr=rate))
    made = optimizer(networks.parameters())
    return networks.train(X, y, made, epochs or demo.epochs, name, averaged)


if __name__ == "__main__":
    main()
