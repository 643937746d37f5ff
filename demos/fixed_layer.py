"""One trained layer on top of a fixed one, from a file.

Run it with `python demos/fixed_layer.py`, on MNIST with `--data mnist`.
"""

import tempfile
from pathlib import Path

import numpy as np
from _common import Demo, compared, finished, rows, watched

from autobp import Tensor, nn, relu, sigmoid
from autobp.optim import SGD, Adam
from autobp.train import fit

UNITS, STEP = 128, 0.05


def main():
    demo = Demo(__doc__, epochs=100, quick=10, images=True)
    x, y, *_ = demo.images()
    X, D = rows(x), nn.one_hot(y).astype(np.float32)

    with tempfile.TemporaryDirectory() as folder:
        path = (demo.out or Path(folder)) / "first_layer.npy"
        make_first_layer(X, y, path, demo)
        if demo.out:
            demo.files.append(path)
        W1 = np.load(path)

    A1 = np.maximum(X @ W1, 0)
    rng = np.random.default_rng(demo.seed)
    W2 = Tensor(rng.standard_normal((UNITS, 10)), dtype=np.float32)

    def output():
        return sigmoid(A1 @ W2)

    print("\nA2 = sigmoid(relu(X·W1)·W2), Σ(D − A2)², and its gradient:")
    nn.mse(output(), D, reduction="sum").backward()
    A2 = output().numpy()
    by_hand = -2 * A1.T @ (A2 * (1 - A2) * (D - A2))
    compared({"∂L/∂W2": ("−2·A1ᵀ·[A2(1 − A2)(D − A2)]", W2.grad, by_hand)})

    print(f"\nTraining accuracy after each iteration, step {STEP} on that sum:")
    optimizer, accuracies, losses = SGD([W2], lr=STEP), [], []
    for i in watched(demo.epochs, lambda i: f"accuracy {accuracies[-1]:.4f}"):
        optimizer.zero_grad()
        loss = nn.mse(output(), D, reduction="sum")
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        accuracies.append(nn.accuracy(output(), y))
        print(f"{i + 1:6}: {accuracies[-1]:.5f}", end="\n" if (i + 1) % 5 == 0 else "")

    if demo.out:
        from autobp.draw import plots

        figure, ax = plots.figure()
        plots.curves(
            {"": accuracies}, ax, xlabel="iteration", ylabel="training accuracy", legend=False
        )
        ax.set_ylim(0, 1)
        demo.save(figure, "fixed_layer.png")
    demo.done(f"training accuracy {accuracies[-1]:.5f} after {demo.epochs} iterations")


def make_first_layer(X, y, path, demo):
    """Train a first layer in ten groups of units, one for each digit, and save it."""
    print(f"The first layer, {X.shape[1]}×{UNITS}: trained once, saved, and never changed again.")
    layer = nn.Linear(X.shape[1], UNITS, bias=False, rng=demo.seed).astype(np.float32)
    group = nn.one_hot(np.arange(UNITS) % 10).astype(np.float32)
    # A model that is a function compiles when asked: it reads nothing that changes but the layer.
    finished(fit(
        lambda x: relu(layer(x)) @ group, (X, y), nn.cross_entropy,
        Adam(layer.parameters(), lr=1e-3), 1 if len(X) > 10_000 or demo.quick else 20,
        batch_size=100, metrics={"accuracy": nn.accuracy}, rng=demo.seed, compile=True,
    ))  # fmt: skip
    W1 = layer.weight.numpy().T
    A1 = np.maximum(X @ W1, 0)
    largest = 16 / np.linalg.eigvalsh(A1.T @ A1)[-1]  # a step beyond it cannot converge
    scale = np.sqrt(0.3 * largest / STEP)
    print(
        f"As trained, the step {STEP} does not converge on it: it would have to be below\n"
        f"{largest:.1e}. Scaling the layer is scaling the step by the square: it is saved at a\n"
        f"scale of {scale:.4f}, at which {STEP} is three tenths of the largest step."
    )
    np.save(path, (scale * W1).astype(np.float32))


if __name__ == "__main__":
    main()
