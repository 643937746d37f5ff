"""What differences, forward mode and reverse mode cost.

One update of a 784-100-10 network takes 2 × 79,510 evaluations by central differences, 79,510 sweeps by
forward mode, and one evaluation and one sweep by reverse mode. With one input and many outputs, forward
mode is the cheaper one. Reverse mode needs more memory: it keeps all results until its sweep is done, or,
with remat, computes them again. All directions at once take less time and more memory. Where each output
depends on a few inputs, a few sweeps are enough.

Run it with `python demos/forward_vs_reverse.py`, with `--out FOLDER` for the picture.
"""

import os
from dataclasses import asdict

import numpy as np
from _common import Demo, finished

from autobp import log_softmax, relu
from autobp.cost import compare, sweep_inputs, sweep_outputs
from autobp.data import DataError, mnist

EPOCH = 60_000  # images
FORWARD, REVERSE, REMAT = "forward, online", "reverse", "reverse with remat"


def images(batch, rng):
    """A batch of MNIST, or of random pixels, which take the same time."""
    if os.environ.get("AUTOBP_DATA"):
        try:
            x, y, *_ = mnist()
            return x[:batch].reshape(batch, -1) / 255, y[:batch], "MNIST"
        except DataError as error:
            print(error)
    pixels, labels = rng.random((batch, 784)), rng.integers(0, 10, batch)
    return pixels, labels, "random pixels, because AUTOBP_DATA names no folder with MNIST"


def network(x, y):
    """The loss of a 784-100-10 network, a function of its 79,510 parameters."""

    def loss(W1, b1, W2, b2):
        scores = log_softmax(relu(x @ W1 + b1) @ W2 + b2)
        return -np.mean(scores[np.arange(len(y)), y])

    return loss


def many_to_one(n):
    return lambda x: np.sum(np.sin(x) * x)


def one_to_many(n):
    frequencies = np.arange(1, n + 1) / n
    return lambda t: np.sin(t * frequencies) * t


def deep(steps):
    """A function from a number to a number in many steps of a thousand numbers each."""

    def f(t):
        x = t * np.ones(1000)
        for _ in range(steps):
            x = np.sin(x)
        return np.sum(x)

    return f


def stencil(x):
    """Each output depends on three neighbours."""
    return x[1:-1] + 0.1 * (x[2:] - x[:-2]) * np.sin(x[1:-1])


def shown(report, found, name):
    """Print a report and add it to the results, even if Ctrl-C cut it short."""
    print(report)
    found[name] = asdict(report)
    return finished(report)


def span(seconds):
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.2g} seconds"


def picture(inputs, outputs, update, local):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 10), dpi=120, layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2, height_ratios=[3, 2])
    inputs.plot(a)
    a.set_title("n numbers in, one out")
    outputs.plot(b)
    b.set_title("one number in, n out")
    b.set_ylim(a.get_ylim())

    update.plane(c)
    c.set_title("one update of a network, 79,510 parameters")
    local.plane(d)
    d.set_title(f"a function of one's own: {local.title.partition(':')[2].strip()}")
    return figure


def main():
    found = {}
    try:
        measure(Demo(__doc__), found)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(found) from None  # `autobp costs --json` prints it
    return found


def measure(demo, found):
    rng = np.random.default_rng(demo.seed)
    sizes = [1, 30, 1000] if demo.quick else [1, 3, 10, 32, 100, 316, 1000, 3162, 10_000]
    depths = [1, 10, 100] if demo.quick else [1, 3, 10, 32, 100, 316, 1000]
    batch = 10 if demo.quick else 500

    print("All derivatives of n numbers in, one out:\n")
    inputs = shown(sweep_inputs(many_to_one, sizes, seed=demo.seed), found, "inputs")
    print("\nAll derivatives of one number in, n out:\n")
    outputs = shown(sweep_outputs(one_to_many, sizes, seed=demo.seed), found, "outputs")

    x, y, source = images(batch, rng)
    print(f"\nThe gradient of a 784-100-10 network for a batch of {batch}\n({source}):\n")
    shapes = (784, 100), (100,), (100, 10), (10,)
    parameters = [rng.normal(0, 0.05, shape) for shape in shapes]
    update = shown(compare(network(x, y), *parameters, seed=demo.seed), found, "update")

    n = 100 if demo.quick else 2000
    print(f"\nA stencil, {n:,} numbers in, each of which three outputs depend on:\n")
    local = shown(compare(stencil, rng.normal(0, 1, n), seed=demo.seed), found, "stencil")

    print("\nPeak memory, measured, for a derivative through many steps of 8 kB each:\n")
    ways = FORWARD, REVERSE, REMAT
    print(f"{'steps':>7}" + "".join(f"{way:>21}" for way in ways))
    memory = {way: [] for way in ways}
    for steps in depths:
        report = finished(compare(deep(steps), 0.5))
        for way, peaks in memory.items():
            peaks.append(report[way].peak)
        print(f"{steps:7,}" + "".join(f"{memory[way][-1] / 1e6:18.3f} MB" for way in ways))

    found["memory"] = {"steps": depths, **memory}

    updates = EPOCH // batch
    epoch = {row.method: row.seconds * updates for row in update.rows[1:]}
    found["epoch"] = epoch
    print(f"\nAn epoch of MNIST, {updates:,} updates of {batch} images each:")
    for way, seconds in epoch.items():
        print(f"  {way:22} {span(seconds)}")

    if demo.out:
        demo.save(picture(inputs, outputs, update, local), "forward_vs_reverse.png")
    demo.done(
        f"an epoch of MNIST takes {span(epoch['central differences'])} by central differences,"
        f" {span(epoch[FORWARD])} by forward mode, {span(epoch[REVERSE])} by reverse mode"
    )


if __name__ == "__main__":
    main()
