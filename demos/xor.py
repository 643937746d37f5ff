"""Two hidden layers on XOR, and the chain rule by layers.

Run it with `python demos/xor.py`.
"""

from itertools import pairwise

import numpy as np
from _common import Demo, compared, watched

from autobp import Tensor, draw, jacobian, jvp, sigmoid
from autobp.data import linear, xor
from autobp.optim import SGD

STARTS = 10


class Networks:
    """As many networks as there are starts, trained side by side: their weights are stacked along a
    first axis, over which everything broadcasts. X → σ(X·W1 + b1) → σ(·W2 + b2) → σ(·W3 + b3)."""

    def __init__(self, sizes, seed, hidden=sigmoid, output=sigmoid, starts=STARTS):
        rng = np.random.default_rng(seed)
        shapes = list(pairwise(sizes))
        self.weights = [Tensor(rng.uniform(0, 1, (starts, *shape))) for shape in shapes]
        self.biases = [Tensor(np.zeros((starts, 1, n))) for _, n in shapes]
        self.activations = [hidden] * (len(shapes) - 1) + [output]

    def parameters(self):
        return [*self.weights, *self.biases]

    def __call__(self, X):
        for W, b, activation in zip(self.weights, self.biases, self.activations):
            X = activation(X @ W + b)
        return X[..., 0]

    def train(self, X, y, optimizer, epochs, name, averaged=True, enough=1e-3):
        """Descend the squared error over all points, until it is small for every start. Returns
        loss and accuracy, arrays of shape (starts, epochs)."""
        losses, accuracies = [], []
        n = len(y) if averaged else 2  # of half the sum of squares, the gradient has no factor

        def say(epoch):
            loss, accuracy = np.median(losses[-1]), np.median(accuracies[-1])
            return f"{name}: median loss {loss:.4g}, accuracy {accuracy:.1%}"

        for _ in watched(epochs, say):
            optimizer.zero_grad()
            p = self(X)
            squares = np.sum((p - y) ** 2, axis=1)
            (np.sum(squares) / n).backward()
            losses.append(squares.numpy() / len(y))
            accuracies.append(np.mean((p.numpy() > 0.5) == y, axis=1))
            if losses[-1].max() < enough:
                break
            optimizer.step()
        return np.array(losses).T, np.array(accuracies).T


def main():
    demo = Demo(__doc__, epochs=100_000, quick=1500)
    sets = {"linear": linear(), "XOR": xor()}
    print(f"2-4-8-1, weights uniform in [0, 1), rate 1, {STARTS} starts from seed {demo.seed}.")

    trained, curves, said = {}, {}, []
    for name, averaged in (("linear", True), ("XOR", True), ("XOR", False)):
        X, y = sets[name]
        networks = Networks([2, 4, 8, 1], demo.seed)
        epochs = demo.epochs if averaged else -(-demo.epochs // 5)
        what = name if averaged else "XOR, ½ sum"
        losses, _ = networks.train(X, y, SGD(networks.parameters(), lr=1.0), epochs, what, averaged)
        predictions = networks(X).numpy()
        right = (predictions > 0.5) == y
        full = int(np.sum(right.all(axis=1)))
        error = "mean squared error" if averaged else "half the sum of squared errors instead"
        print(f"\n{name}, {error}, {losses.shape[1]:,} epochs:")
        print(f"  right, of {len(y)} points: {' '.join(map(str, right.sum(axis=1)))}")
        print(f"  {full} of {STARTS} starts reach 100 %")
        if np.any(missing_one := right.sum(axis=1) == len(y) - 1):
            places = np.unique(X[np.nonzero(~right[missing_one])[1]], axis=0)
            print("  those that miss one point miss", *(f"({a:g}, {b:g})" for a, b in places))
        said.append(f"{what} 100 % from {full} of {STARTS} starts")
        curves[what] = losses
        best = int(np.argmin(losses[:, -1]))
        if name not in trained or losses[best, -1] < trained[name][2]:
            trained[name] = (networks, best, losses[best, -1])

    for name, (networks, best, loss) in trained.items():
        X, y = sets[name]
        predictions = networks(X)[best].numpy()
        print(f"\n{name}: predictions of the best start, loss {loss:.5f}")
        for point, truth, p in list(zip(X, y, predictions))[:21]:
            print(f"  {point[0]:.2f} {point[1]:.2f}   truth {truth}   prediction {p:.4f}")
        if len(y) > 21:
            print(f"  … {len(y) - 21} more; accuracy {np.mean((predictions > 0.5) == y):.1%}")

    worst, picture = chain_rule(*sets["XOR"], demo.seed)
    if demo.out:
        demo.save(picture, "xor_chain_rule.svg")
        demo.save(loss_picture(curves), "xor_loss.png")
        demo.save(region_picture(trained, sets), "xor_regions.png")
    demo.done(f"{'; '.join(said)}; the chain rule differs by {worst:.0e} at most")


def chain_rule(X, labels, seed):
    """Every stage of the backward pass of one network, beside the textbook's formula: the largest
    difference, and a picture of the graph."""
    network = Networks([2, 4, 8, 1], seed, starts=1)
    W1, W2, W3, b1, b2, b3 = (Tensor(p.numpy()[0]) for p in network.parameters())
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
        """σ′ as the library has it: the tangent that a tangent of ones becomes."""
        return jvp(sigmoid, (X.numpy(),), (np.ones(X.shape),))[1]

    def layer(W, b, Z):
        """What a layer's Jacobian is, of one of the points."""
        return jacobian(lambda z: (z @ W.numpy() + b.numpy())[0])(Z.numpy()[0])

    p, z1, z2, w2, w3 = (t.numpy() for t in (y, Z1, Z2, W2, W3))
    g_out = 2 * (p - D) / len(D)
    g3 = g_out * p * (1 - p)
    g_z2 = g3 @ w3.T
    g2 = g_z2 * z2 * (1 - z2)
    g_z1 = g2 @ w2.T
    g1 = g_z1 * z1 * (1 - z1)
    print("\nThe chain rule on the graph of the loss of one start, from the output back:")
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


def loss_picture(curves):
    from autobp.draw import plots

    figure, axes = plots.figure(1, len(curves), sharex=True, sharey=True)
    for ax, (name, losses) in zip(axes, curves.items()):
        for run in losses:
            ax.plot(np.arange(1, len(run) + 1), run, color=plots.COLOURS[0], alpha=0.6, linewidth=1)
        ax.set_title(f"{name}, {len(losses)} starts", loc="left", fontsize="medium")
        ax.set(xscale="log", yscale="log", xlabel="epoch")
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("mean squared error")
    return figure


def region_picture(trained, sets):
    from autobp.draw import plots

    figure, axes = plots.figure(1, 2, sharex=True, sharey=True)
    for ax, (name, (networks, best, loss)) in zip(axes, trained.items()):
        plots.regions(
            lambda p, n=networks, i=best: n(p)[i].numpy() > 0.5, *sets[name], ax,
            title=f"{name}: the best start, loss {loss:.0e}",
        )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
