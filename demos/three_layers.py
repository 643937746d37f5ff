"""Two layers against three; rates against batch sizes.

Run it with `python demos/three_layers.py`, on MNIST with `--data mnist`.
"""

import sys

import numpy as np
from _common import Demo, compared, finished, rows

from autobp import nn, softmax
from autobp.data import split
from autobp.optim import SGD
from autobp.train import DivergedError, fit

RATES = (0.01, 0.1, 0.5, 1.5)


def main():
    demo = Demo(__doc__, epochs=8, quick=1, images=True)
    x, y, *_ = demo.images()
    train, held = split(rows(x), y, test=1 / 6, rng=demo.seed)
    features = train[0].shape[1]

    last_layer(*train, demo.seed)

    networks = {"two layers": [features, 128, 10], "three layers": [features, 128, 64, 10]}
    seeds = range(demo.seed, demo.seed + (1 if demo.quick else 5))
    sizes = (32, 128, 512) if demo.data == "mnist" else (4, 16, 64)
    print(f"\n{len(train[0]):,} images for training, {len(held[0]):,} for validation.")
    print(f"Two layers against three, rate 0.1, batches of {sizes[1]}:")
    runs = {
        name: [trained(widths, train, held, 0.1, sizes[1], demo.epochs, seed) for seed in seeds]
        for name, widths in networks.items()
    }
    best = {name: np.array([max(run) for run in of]) for name, of in runs.items()}
    for name, widths in networks.items():
        each = " ".join(f"{a:.4f}" for a in best[name])
        print(f"  {'-'.join(map(str, widths)):13} validation {each}  {spread(best[name])}")
    gains = best["three layers"] - best["two layers"]
    wins = int(np.sum(gains > 0))
    print(f"  the third layer is better with {wins} of {len(seeds)} seeds, by {spread(gains)}")

    epochs = -(-demo.epochs // 2)
    print(f"\nThree layers: validation accuracy after {epochs} epochs by rate and batch size.")
    print("  rate \\ batch" + "".join(f"{size:>9}" for size in sizes))
    table = {}
    for rate in RATES:
        for size in sizes:
            table[rate, size] = trained(networks["three layers"], train, held, rate, size, epochs, demo.seed)  # fmt: skip
        print(f"  {rate:12g}" + "".join(f"{table[rate, size][-1]:9.4f}" for size in sizes))
    rate, size = max(table, key=lambda pair: table[pair][-1])
    print(f"  best: rate {rate:g} with batches of {size}")

    if demo.out:
        demo.save(layers_picture(runs), "three_layers.png")
        demo.save(table_picture(table, sizes), "three_layers_rates.png")
    two, three = (spread(best[name]) for name in networks)
    demo.done(
        f"validation accuracy with two layers {two}, with three {three}, better with {wins} of"
        f" {len(seeds)} seeds; of the table {table[rate, size][-1]:.4f} at rate {rate:g}, batches of {size}"
    )


def spread(accuracies):
    """The mean, and the standard deviation if there are several seeds."""
    mean = f"{np.mean(accuracies):.4f}"
    return f"{mean} ± {np.std(accuracies, ddof=1):.4f}" if len(accuracies) > 1 else mean


def last_layer(x, y, seed):
    """Compare the gradient at the scores, with which the backward pass begins."""
    model = nn.MLP([x.shape[1], 128, 64, 10], rng=seed)
    scores, target = model(x[:100]), nn.one_hot(y[:100], 10)
    scores.retain_grad()
    nn.cross_entropy(scores, target).backward()
    by_hand = (softmax(scores.numpy()) - target) / len(target)
    compared({"∂L/∂Z3": ("(prediction − target)/batch", scores.grad, by_hand)})


def trained(sizes, train, held, rate, size, epochs, seed):
    """The validation accuracy after each epoch. If the numbers overflow it is 0.1, as by guessing."""
    model = nn.MLP(sizes, rng=seed).astype(np.float32)
    try:
        history = finished(fit(
            model, train, nn.cross_entropy, SGD(model.parameters(), lr=rate), epochs,
            batch_size=size, validation=held, metrics={"accuracy": nn.accuracy}, rng=seed,
        ))  # fmt: skip
    except DivergedError as error:
        print(error, file=sys.stderr)
        return [*(error.history["val_accuracy"] if len(error.history) else []), 0.1]
    return history["val_accuracy"]


def layers_picture(runs):
    from autobp.drawing import plots

    figure, ax = plots.figure()
    plots.curves(runs, ax, xlabel="epoch", ylabel="validation accuracy")
    return figure


def table_picture(table, sizes):
    """The table on the left, and the curves of all rates at one batch size on the right."""
    from autobp.drawing import plots

    figure, (left, right) = plots.figure(1, 2)
    grid = np.array([[table[rate, size][-1] for size in sizes] for rate in RATES])
    left.imshow(grid, cmap="cividis", aspect="auto", vmin=0, vmax=1)
    for (i, j), accuracy in np.ndenumerate(grid):
        left.text(j, i, f"{accuracy:.4f}", ha="center", va="center", color="white" if accuracy < 0.5 else "black")  # fmt: skip
    left.set_xticks(range(len(sizes)), sizes)
    left.set_yticks(range(len(RATES)), RATES)
    left.set(xlabel="batch size", ylabel="rate")
    left.set_title("validation accuracy at the end", loc="left", fontsize="medium")
    lines = {f"rate {rate:g}": table[rate, sizes[1]] for rate in RATES}
    plots.curves(lines, right, xlabel="epoch", ylabel="validation accuracy", title=f"batches of {sizes[1]}")  # fmt: skip
    right.set_ylim(0, 1)
    return figure


if __name__ == "__main__":
    main()
