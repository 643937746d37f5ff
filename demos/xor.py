"""Two hidden layers on XOR, and the chain rule layer by layer.

Run it with `python demos/xor.py`.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from _common import Demo, compared, watched

from autobp import Tensor, compile, draw, jacobian, jvp, nn, sigmoid
from autobp.data import xor
from autobp.optim import SGD

SEEDS = 20
SIZES = (2, 4, 8, 1)


class Networks(nn.Module):
    """Networks trained in parallel, one for each seed. Their weights are stacked along a first axis,
    over which all operations broadcast. X → σ(X·W1 + b1) → σ(·W2 + b2) → σ(·W3 + b3)."""

    def __init__(self, sizes, seeds, hidden=sigmoid, output=sigmoid):
        shapes = list(pairwise(sizes))
        self.weights = [
            Tensor(np.stack([drawn(shape, seed) for seed in seeds])) for shape in shapes
        ]
        self.biases = [Tensor(np.zeros((len(seeds), 1, n))) for _, n in shapes]
        self.activations = [hidden] * (len(shapes) - 1) + [output]

    def forward(self, X):
        for W, b, activation in zip(self.weights, self.biases, self.activations):
            X = activation(X @ W + b)
        return X[..., 0]


def drawn(shape, seed):
    """Uniform in [0, 1), as by `np.random.seed(seed)` and `np.random.rand`. The generator is seeded
    anew for each layer, so all layers of a network begin with the same numbers."""
    return np.random.RandomState(seed).rand(*shape)


def as_programmed(networks, rate, n):
    """The groups of an optimizer: weights move by rate · inputᵀ·g, biases by rate · the mean of g over
    the n samples, so biases learn n times slower."""
    return [
        {"params": networks.weights, "lr": rate},
        {"params": networks.biases, "lr": rate / n},  # the one line that makes the difference
    ]


def by_calculus(networks, rate, n):
    """The gradient of the mean squared error with respect to a bias is the sum over the samples."""
    return [
        {"params": networks.weights, "lr": rate},
        {"params": networks.biases, "lr": rate},
    ]


UPDATES = {"as programmed": as_programmed, "by calculus": by_calculus}


def datasets():
    """The points of both sets, in the order of the coursework."""
    points = np.random.RandomState(1).rand(100, 2)
    X, y = xor()
    order = np.lexsort((y, X[:, 0]))
    return {
        "linear": (points, (points[:, 1] > points[:, 0]).astype(int)),
        "XOR": (X[order], y[order]),
    }


@dataclass
class Training:
    """The course of a training. Epochs are counted from 0; the numbers of an epoch are those before
    its update."""

    losses: np.ndarray  # of shape (networks, epochs), the mean squared error
    right: np.ndarray  # the number of points that are classified correctly
    points: int

    @property
    def first(self):
        """The first epoch at which each network has all points right; infinite if there is none."""
        full = self.right == self.points
        return np.where(full.any(axis=1), full.argmax(axis=1), np.inf)

    @property
    def reached(self):
        return np.isfinite(self.first)


def train(networks, X, y, optimizer, epochs, name, to_the_end=False):
    """Minimize the mean squared error over all points. A run ends at twice the epoch by which every
    network has had all points right, unless it goes `to_the_end`, or if all gradients are 0."""
    n = np.shape(y)[-1]

    @compile
    def step():
        optimizer.zero_grad()
        p = networks(X)
        losses = np.sum((p - y) ** 2, axis=1) / n
        np.sum(losses).backward()
        optimizer.step()
        return losses, p

    losses, right = [], []
    reached = last = 0

    def say(epoch):
        loss, accuracy = np.median(losses[-1]), np.median(right[-1]) / n
        return f"{name}: loss {loss:.3g}, {accuracy:.0%}"

    for epoch in watched(epochs, say):
        loss, p = step()
        losses.append(loss.numpy())
        right.append(np.sum((p.numpy() > 0.5) == y, axis=1))
        now = right[-1] == n
        if not np.all(reached):
            reached, last = reached | now, epoch
        elif not to_the_end and epoch >= 2 * last:
            break
        if epoch % 1000 == 0 and not any(np.any(p.grad) for p in networks.parameters()):
            break
    return Training(np.array(losses).T, np.array(right).T, n)


def main():
    demo = Demo(__doc__, epochs=100_000, quick=15_000, seed=1)
    seeds = range(demo.seed, demo.seed + (1 if demo.quick else SEEDS))
    which = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {demo.seed}"
    sets = datasets()
    print(
        "2-4-8-1, rate 1, all points at once, mean squared error. Weights are uniform in\n"
        f"[0, 1), and the generator is seeded anew for each layer, with {which}.\n\n"
        "Let g be the gradient at the output of a layer. As programmed, its weights move\n"
        "by rate · inputᵀ·g, and its biases by rate · the mean of g over the n samples.\n"
        "So biases have a rate of their own:\n"
        '  SGD([{"params": weights, "lr": rate}, {"params": biases, "lr": rate / n}])\n'
        "By calculus the gradient of a bias is the sum of g, which is n times larger:\n"
        '  SGD([{"params": weights, "lr": rate}, {"params": biases, "lr": rate}])\n'
    )
    trained, networks = {}, {}
    print(f"{'first epoch with all points right:':>47}{'right at the end:':>24}")
    print(
        f"  {'':8}{'':15}{f'seed {demo.seed}':>8}{f'of {len(seeds)} seeds':>13}"
        f"{f'seed {demo.seed}':>13}{'epochs':>11}"
    )
    for name, (X, y) in sets.items():
        for update, groups in UPDATES.items():
            made = networks[name, update] = Networks(SIZES, seeds)
            optimizer = SGD(groups(made, 1.0, len(y)))
            run = train(made, X, y, optimizer, demo.epochs, f"{name} {update}")
            trained[name, update] = run
            first = f"{run.first[0]:,.0f}" if run.reached[0] else "never"
            print(
                f"  {name:8}{update:15}{first:>8}{run.reached.sum():>13}"
                f"{f'{run.right[0, -1]} of {len(y)}':>13}{run.losses.shape[1]:>11,}"
            )
    for update in UPDATES:
        missed_points(networks["XOR", update], *sets["XOR"], update, demo.seed)

    losses = trained["XOR", "as programmed"].losses[0]
    print(f"\nXOR as programmed, seed {demo.seed}: the loss before the update of an epoch:")
    for epoch in (1, 1_000, 10_000):
        if epoch < len(losses):
            print(f"  {epoch:6,}  {float(losses[epoch])!r}")

    for name, (X, y) in sets.items():
        predictions = networks[name, "as programmed"](X)[0].numpy()
        print(f"\n{name} as programmed: predictions with seed {demo.seed}")
        for point, truth, p in list(zip(X, y, predictions))[:21]:
            print(f"  {point[0]:.2f} {point[1]:.2f}   truth {truth}   prediction {p:.4f}")
        if len(y) > 21:
            print(f"  … {len(y) - 21} more; accuracy {np.mean((predictions > 0.5) == y):.1%}")

    worst, picture = chain_rule(*sets["XOR"], demo.seed)
    if demo.out:
        demo.save(picture, "xor_chain_rule.svg")
        demo.save(curves_picture(trained), "xor_loss.png")
        demo.save(region_picture(networks, trained, sets), "xor_regions.png")
    said = [
        f"{name} {update} 100 % with {run.reached.sum()} of {len(seeds)} seeds"
        for (name, update), run in trained.items()
    ]
    demo.done(f"{'; '.join(said)}; the chain rule differs by {worst:.0e} at most")


def missed_points(networks, X, y, update, seed):
    """Print the points at which the first network is wrong."""
    wrong = (networks(X)[0].numpy() > 0.5) != y
    if wrong.any():
        places = " ".join(f"({a:g}, {b:g})" for a, b in X[wrong])
        print(f"  XOR {update}, seed {seed}: wrong at {places}")


def chain_rule(X, labels, seed):
    """Compare every stage of the backward pass of one network with the textbook's formula. Returns the
    largest difference, and a picture of the graph."""
    network = Networks(SIZES, [seed])
    W1, W2, W3, b1, b2, b3 = (Tensor(p.numpy()[0]) for p in [*network.weights, *network.biases])
    X1 = X @ W1 + b1
    Z1 = sigmoid(X1)
    X2 = Z1 @ W2 + b2
    Z2 = sigmoid(X2)
    X3 = Z2 @ W3 + b3
    y = sigmoid(X3)
    D = labels[:, None].astype(float)
    loss = np.mean((y - D) ** 2)
    for stage in (X1, Z1, X2, Z2, X3, y):
        stage.retain_grad()
    loss.backward()

    def slope(X):
        """σ′ by the library: the tangent of σ for a tangent of ones."""
        return jvp(sigmoid, (X.numpy(),), (np.ones(X.shape),))[1]

    def layer(W, b, Z):
        """A layer's Jacobian at the first point."""
        return jacobian(lambda z: (z @ W.numpy() + b.numpy())[0])(Z.numpy()[0])

    p, z1, z2, w2, w3 = (t.numpy() for t in (y, Z1, Z2, W2, W3))
    g_out = 2 * (p - D) / len(D)
    g3 = g_out * p * (1 - p)
    g_z2 = g3 @ w3.T
    g2 = g_z2 * z2 * (1 - z2)
    g_z1 = g2 @ w2.T
    g1 = g_z1 * z1 * (1 - z1)
    print("\nThe chain rule on the graph of the loss for one seed, from the output back:")
    worst = compared(
        {
            "∂L/∂y": ("2(y − D)/n", y.grad, g_out),
            "∂y/∂X3": ("y(1 − y)", slope(X3), p * (1 - p)),
            "∂L/∂X3": ("∂L/∂y ∘ ∂y/∂X3", X3.grad, g3),
            "∂L/∂W3": ("Z2ᵀ · ∂L/∂X3", W3.grad, z2.T @ g3),
            "∂L/∂b3": ("Σ ∂L/∂X3", b3.grad, g3.sum(axis=0, keepdims=True)),
            "∂X3/∂Z2": ("W3ᵀ", layer(W3, b3, Z2), w3.T),
            "∂L/∂Z2": ("∂L/∂X3 · ∂X3/∂Z2", Z2.grad, g_z2),
            "∂Z2/∂X2": ("Z2(1 − Z2)", slope(X2), z2 * (1 - z2)),
            "∂L/∂X2": ("∂L/∂Z2 ∘ ∂Z2/∂X2", X2.grad, g2),
            "∂L/∂W2": ("Z1ᵀ · ∂L/∂X2", W2.grad, z1.T @ g2),
            "∂L/∂b2": ("Σ ∂L/∂X2", b2.grad, g2.sum(axis=0, keepdims=True)),
            "∂X2/∂Z1": ("W2ᵀ", layer(W2, b2, Z1), w2.T),
            "∂L/∂Z1": ("∂L/∂X2 · ∂X2/∂Z1", Z1.grad, g_z1),
            "∂Z1/∂X1": ("Z1(1 − Z1)", slope(X1), z1 * (1 - z1)),
            "∂L/∂X1": ("∂L/∂Z1 ∘ ∂Z1/∂X1", X1.grad, g1),
            "∂L/∂W1": ("Xᵀ · ∂L/∂X1", W1.grad, X.T @ g1),
            "∂L/∂b1": ("Σ ∂L/∂X1", b1.grad, g1.sum(axis=0, keepdims=True)),
        }
    )
    return worst, draw(loss, direction="TB", values=False, gradients=False, names=locals())


def curves_picture(trained):
    """Loss and accuracy of the first seed, with the losses of the others in pale colours."""
    from autobp.drawing import plots

    figure, axes = plots.figure(2, 2, sharex=True, sharey="row")
    for (loss, accuracy), name in zip(axes.T, ("linear", "XOR")):
        runs = {update: trained[name, update] for update in UPDATES}
        for run, colour in zip(runs.values(), plots.COLOURS):
            for losses in run.losses[1:]:
                loss.plot(
                    np.arange(1, len(losses) + 1), losses, color=colour, alpha=0.2, linewidth=0.7
                )
        one = " (pale: the other seeds)" if len(run.losses) > 1 else ""
        plots.curves(
            {update: run.losses[0] for update, run in runs.items()}, loss, title=f"{name}{one}"
        )
        plots.curves(
            {update: run.right[0] / run.points for update, run in runs.items()}, accuracy,
            xlabel="epoch", legend=False,
        )  # fmt: skip
        loss.set(xscale="log", yscale="log")
    axes[0, 0].set_ylabel("mean squared error")
    axes[1, 0].set_ylabel("accuracy")
    return figure


def region_picture(networks, trained, sets):
    from autobp.drawing import plots

    shown = [("linear", "as programmed"), ("XOR", "as programmed"), ("XOR", "by calculus")]
    figure, axes = plots.figure(1, 3, sharex=True, sharey=True)
    for ax, (name, update) in zip(axes, shown):
        run = trained[name, update]
        plots.regions(
            lambda p, n=networks[name, update]: n(p)[0].numpy() > 0.5, *sets[name], ax,
            title=f"{name} {update}: {run.right[0, -1]} of {run.points}",
        )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
