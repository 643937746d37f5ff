"""What learning rate, units, optimizer and activation change.

Run it with `python demos/knobs.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from _common import Demo
from xor import SEEDS, SIZES, UPDATES, Networks, as_programmed, by_calculus, datasets, train

from autobp import relu, sigmoid
from autobp.optim import SGD, Adagrad


def identity(x):
    return x


@dataclass(frozen=True)
class Setting:
    """How the networks of one row are built and trained."""

    sizes: tuple[int, ...] = SIZES
    hidden: Callable = sigmoid
    output: Callable = sigmoid
    rate: float = 1.0
    optimizer: Callable = SGD
    to_the_end: bool = False


TANH = {"hidden": np.tanh, "output": np.tanh}
RELU = {"hidden": relu, "output": relu}
SMALL, LARGE = (2, 2, 4, 1), (2, 8, 16, 1)
ENDS = {**TANH, "rate": 0.03, "to_the_end": True}

#: By knob and name. Options that a name does not mention are those of "rate 1". The last number of a
#: name is the learning rate.
KNOBS = {
    "learning_rate": {
        "rate 0.5": Setting(rate=0.5),
        "rate 1": Setting(),
        "rate 1.5": Setting(rate=1.5),
    },
    "hidden_units": {
        "(2, 4)": Setting(SMALL),
        "(2, 4), rate 3": Setting(SMALL, rate=3.0),
        "(8, 16)": Setting(LARGE),
    },
    "no_activation": {
        "no activation, .01": Setting(hidden=identity, output=identity, rate=0.01),
    },
    "optimizers": {
        "tanh .03, SGD": Setting(**ENDS),
        "tanh .03, momentum": Setting(**ENDS, optimizer=lambda p: SGD(p, momentum=0.9)),
        "tanh .03, Adagrad": Setting(**ENDS, optimizer=Adagrad),
    },
    "activations": {
        "tanh at every layer": Setting(**TANH),
        "ReLU, σ at the end": Setting(hidden=relu),
    },
    "relu_rate": {
        "ReLU, σ (8, 16), 1": Setting(LARGE, hidden=relu),
        "ReLU, σ (8, 16), .1": Setting(LARGE, hidden=relu, rate=0.1),
        "ReLU only, 1": Setting(**RELU),
        "ReLU only, .1": Setting(**RELU, rate=0.1),
        "ReLU only (8, 16), 1": Setting(LARGE, **RELU),
        "ReLU only (8, 16), .1": Setting(LARGE, **RELU, rate=0.1),
    },
}
SETS = ("linear", "XOR")


def main():
    demo = Demo(__doc__, epochs=40_000, quick=1_000, seed=1)
    bench = Bench(demo)
    n = len(bench.seeds)
    print(
        "2-4-8-1, σ at every layer, rate 1, unless a row says otherwise. Both updates\n"
        "start from the same weights; `python demos/xor.py` shows how they differ.\n"
        f"Seed {demo.seed}: the first epoch at which all points are right, or how many are right\n"
        f"after {demo.epochs:,} epochs. Of {n}: how many of the seeds from {demo.seed} get all right.\n"
    )
    bench.head()
    for knob, settings in KNOBS.items():
        for name, setting in settings.items():
            bench.row(name, setting)
        bench.picture(knob, settings)
    bench.ends()
    bench.notes()
    bench.judge()
    held = " and ".join(f"{count} {update}" for update, count in bench.held.items())
    demo.done(f"of {bench.judged} claims, seed {demo.seed} confirms {held}")


class Bench:
    """Trains the networks, prints the results, judges the claims, and draws the pictures."""

    def __init__(self, demo):
        self.demo = demo
        self.seeds = range(demo.seed, demo.seed + (1 if demo.quick else SEEDS))
        self.points = datasets()
        self.runs = {(name, update): {} for name in SETS for update in UPDATES}

    def head(self):
        print(f"  {'':20}" + "".join(f"{name:>28}" for name in SETS))
        print(f"  {'':20}" + "".join(f"{update:>14}" for _ in SETS for update in UPDATES))
        one = f"{f'seed {self.demo.seed}':>8}{f'of {len(self.seeds)}':>6}"
        print(f"  {'':20}" + one * 4)

    def row(self, name, setting):
        cells = ""
        for data in SETS:
            for update, groups in UPDATES.items():
                run = self.runs[data, update][name] = self.trained(
                    data, setting, update, groups, name
                )
                share = f"{run.right[0, -1] / run.points:.0%}"
                first = f"{run.first[0]:,.0f}" if run.reached[0] else share
                cells += f"{first:>8}{run.reached.sum():>6}"
        print(f"  {name:20}{cells}")

    def trained(self, data, setting, update, groups, name, epochs=None):
        if setting.optimizer is Adagrad:  # in which a factor of the gradients cancels
            if update == "by calculus":
                return self.runs[data, "as programmed"][name]
            groups = by_calculus
        X, y = self.points[data]
        networks = Networks(setting.sizes, self.seeds, setting.hidden, setting.output)
        optimizer = setting.optimizer(groups(networks, setting.rate, len(y)))
        epochs, name = epochs or self.demo.epochs, f"{data}, {name}, {update}"
        return train(networks, X, y, optimizer, epochs, name, setting.to_the_end)

    def ends(self):
        print(f"\nLoss after {self.demo.epochs:,} epochs with seed {self.demo.seed}:")
        for name in KNOBS["optimizers"]:
            losses = [self.runs[at][name].losses[0, -1] for at in self.runs]
            print(f"  {name:20}" + "".join(f"{loss:14.1e}" for loss in losses))

    def notes(self):
        """Print what the table does not show."""
        print(
            "Adagrad moves by quotients in which a factor of the gradient cancels, so both\n"
            "updates are the same."
        )
        right = self.runs["XOR", "as programmed"]["(2, 4)"].right[0]
        near = np.flatnonzero(right == 19)
        if near.size:
            print(
                f"(2, 4) as programmed with seed {self.demo.seed} has 19 of 21 points of XOR right, 90.48 %,\n"
                f"in {near.size:,} epochs from {near[0]:,} to {near[-1]:,}; at the end it has {right[-1]}."
            )
        setting = Setting(hidden=identity, output=identity)
        run = self.trained("XOR", setting, "by calculus", by_calculus, "none, rate 1", epochs=4)
        least = run.losses[:, -1].min()
        print(f"Without activations rate 1 diverges: the loss on XOR is {least:.0e} in epoch 3.")
        X, y = self.points["XOR"]
        rng = np.random.default_rng(0)
        orders = np.array([rng.permutation(len(y)) for _ in range(SEEDS)])
        networks = Networks(SIZES, [self.demo.seed] * SEEDS, np.tanh, np.tanh)
        optimizer = SGD(as_programmed(networks, 1.0, len(y)))
        shuffled = train(
            networks, X[orders], y[orders], optimizer, self.demo.epochs, "tanh, shuffled"
        )
        print(
            "tanh at rate 1 zigzags on XOR, and rounding decides for how long: with the\n"
            f"points in {SEEDS} other orders, seed {self.demo.seed} as programmed takes {shuffled.first.min():,.0f} to"
            f" {shuffled.first.max():,.0f} epochs."
        )

    def judge(self):
        """Print for each claim with how many of the seeds it holds."""
        self.held = dict.fromkeys(UPDATES, 0)
        self.judged = 0
        print(f"\n  {'does it hold?':44}" + "".join(f"{update:>17}" for update in UPDATES))
        print(f"  {'':44}" + f"{f'seed {self.demo.seed}':>10}{f'of {len(self.seeds)}':>7}" * 2)
        for claim, names, test in CLAIMS:
            for data in names:
                cells = ""
                for update in UPDATES:
                    holds = test(self.runs[data, update])
                    self.held[update] += bool(holds[0])
                    cells += f"{'yes' if holds[0] else 'no':>10}{holds.sum():>7}"
                self.judged += 1
                print(f"  {f'{claim}, {data}':44}{cells}")

    def picture(self, knob, settings):
        if not self.demo.out:
            return
        from autobp.drawing import plots

        base = {"hidden_units": "(4, 8)"}.get(knob, "σ, rate 1")
        figure, axes = plots.figure(2, 2, sharex=True, sharey=True)
        several = ": median, middle half" if len(self.seeds) > 1 else ""
        for row, update in zip(axes, UPDATES):
            for ax, data in zip(row, SETS):
                runs = self.runs[data, update]
                lines = {name: runs[name].losses for name in settings}
                if knob in (
                    "hidden_units",
                    "no_activation",
                    "activations",
                ):  # the row to compare with
                    lines[base] = runs["rate 1"].losses
                plots.curves(lines, ax, title=f"{data} {update}{several}")
                ax.set(xscale="log", yscale="log")
        for ax in axes[:, 0]:
            ax.set_ylabel("mean squared error")
        for ax in axes[1]:
            ax.set_xlabel("epoch")
        axes[0, 0].set_ylim(3e-6 if knob == "optimizers" else 1e-4, 2)
        self.demo.save(figure, f"knobs_{knob}.png")


def in_order(*names):
    """Each has all points right at an earlier epoch than the next. Never counts as the latest."""
    return lambda runs: np.all([runs[a].first < runs[b].first for a, b in pairwise(names)], axis=0)


def lowest(*names):
    """Each ends with a lower loss than the next."""
    return lambda runs: np.all(
        [runs[a].losses[:, -1] < runs[b].losses[:, -1] for a, b in pairwise(names)], axis=0
    )


def reached(*names):
    return lambda runs: np.all([runs[name].reached for name in names], axis=0)


def never(*names):
    return lambda runs: ~np.any([runs[name].reached for name in names], axis=0)


def both(first, second):
    return lambda runs: first(runs) & second(runs)


RATES = ("rate 1.5", "rate 1", "rate 0.5")
OPTIMIZERS = ("tanh .03, Adagrad", "tanh .03, momentum", "tanh .03, SGD")
TANH_ONLY, RELU_SIGMOID = KNOBS["activations"]
CLAIMS = (
    ("rates .5, 1, 1.5: all reach 100 %", SETS, reached(*RATES)),
    ("the larger the rate the faster", SETS, in_order(*RATES)),
    ("(2, 4) fails, (4, 8) and (8, 16) do not", ("XOR",), both(never("(2, 4)"), reached("rate 1", "(8, 16)"))),
    ("the more units the faster", SETS, in_order("(8, 16)", "rate 1", "(2, 4)")),
    ("no activation reaches 100 %", ("linear",), reached("no activation, .01")),
    ("no activation fails", ("XOR",), never("no activation, .01")),
    ("Adagrad > momentum > SGD, in speed", SETS, in_order(*OPTIMIZERS)),
    ("the same, by the loss at the end", SETS, lowest(*OPTIMIZERS)),
    ("tanh faster than sigmoid", SETS, in_order(TANH_ONLY, "rate 1")),
    ("ReLU faster than sigmoid", SETS, in_order(RELU_SIGMOID, "rate 1")),
    ("tanh faster than ReLU", SETS, in_order(TANH_ONLY, RELU_SIGMOID)),
    ("ReLU, σ: rate 1 fails, .1 does not", SETS, both(never("ReLU, σ (8, 16), 1"), reached("ReLU, σ (8, 16), .1"))),
    ("ReLU only: rate 1 fails, .1 does not", SETS, both(never("ReLU only, 1"), reached("ReLU only, .1"))),
    ("ReLU only (8, 16): 1 and .1 fail", SETS, never("ReLU only (8, 16), 1", "ReLU only (8, 16), .1")),
)  # fmt: skip


if __name__ == "__main__":
    main()
