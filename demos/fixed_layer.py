"""Train one layer on top of a fixed layer from a file.

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
PART = 0.5  # layers are scaled so that STEP is this part of the largest step that converges


def main():
    demo = Demo(__doc__, epochs=100, quick=10, images=True)
    x, y, *_ = demo.images()
    X, D = rows(x), nn.one_hot(y).astype(np.float32)

    with tempfile.TemporaryDirectory() as folder:
        layers = {}
        print(f"First layers, {X.shape[1]}×{UNITS}, trained once, saved, and then fixed:")
        for name, made in (("ordinary", ordinary_layer), ("in ten groups", grouped_layer)):
            layer = made(X, y, demo)
            largest = largest_step(X, layer)
            scale = np.sqrt(PART * largest / STEP)
            path = (demo.out or Path(folder)) / f"first_layer_{name.replace(' ', '_')}.npy"
            np.save(path, (scale * layer).astype(np.float32))
            if demo.out:
                demo.files.append(path)
            layers[name] = layer, np.load(path)
            print(
                f"  {name:14} steps up to {largest:.1e} converge; saved at a scale of {scale:.4f}"
            )
    print(
        f"The step is {STEP}, on the sum over {len(X):,} images. It is too large for both layers\n"
        f"as trained. Scaling a layer by s scales the largest step by 1/s². For the saved\n"
        f"layers, {STEP} is {PART:g} of the largest step."
    )

    print("\nA2 = sigmoid(relu(X·W1)·W2), Σ(D − A2)², and its gradient:")
    A1, W2 = hidden(X, layers["ordinary"][1]), second_layer(demo.seed)
    nn.squared_error(sigmoid(A1 @ W2), D, reduction="sum").backward()
    A2 = sigmoid(A1 @ W2).numpy()
    by_hand = -2 * A1.T @ (A2 * (1 - A2) * (D - A2))
    compared({"∂L/∂W2": ("−2·A1ᵀ·[A2(1 − A2)(D − A2)]", W2.grad, by_hand)})

    curves = {}
    for name, versions in layers.items():
        for version, W1 in zip(("as trained", "scaled"), versions):
            curves[f"{name}, {version}"] = descend(hidden(X, W1), D, y, f"{name}, {version}", demo)
    for name in layers:
        print(f"\nTraining accuracy after each iteration, {name}, scaled, step {STEP}:")
        for i, accuracy in enumerate(curves[f"{name}, scaled"]):
            print(f"{i + 1:6}: {accuracy:.5f}", end="\n" if (i + 1) % 5 == 0 else "")
    print(f"\n{'After ' + str(demo.epochs) + ' iterations:':26}{'as trained':>12}{'scaled':>10}")
    for name in layers:
        last = [curves[f"{name}, {version}"][-1] for version in ("as trained", "scaled")]
        print(f"  {name:24}{last[0]:12.5f}{last[1]:10.5f}")

    if demo.out:
        from autobp.drawing import plots

        figure, ax = plots.figure()
        plots.curves(curves, ax, xlabel="iteration", ylabel="training accuracy")
        ax.set_ylim(0, 1)
        demo.save(figure, "fixed_layer.png")
    demo.done(
        f"training accuracy after {demo.epochs} iterations "
        + ", ".join(f"{accuracies[-1]:.5f} ({name})" for name, accuracies in curves.items())
    )


def hidden(X, W1):
    return np.maximum(X @ W1, 0)


def second_layer(seed):
    """A second layer of standard normal numbers."""
    return Tensor(np.random.default_rng(seed).standard_normal((UNITS, 10)), dtype=np.float32)


def descend(A1, D, y, name, demo):
    """Train a second layer on the fixed first one. Returns the accuracy after each iteration."""
    W2 = second_layer(demo.seed)
    optimizer, accuracies = SGD([W2], lr=STEP), []
    for _ in watched(demo.epochs, lambda i: f"{name}: accuracy {accuracies[-1]:.4f}"):
        optimizer.zero_grad()
        nn.squared_error(sigmoid(A1 @ W2), D, reduction="sum").backward()
        optimizer.step()
        accuracies.append(nn.accuracy(A1 @ W2.numpy(), y))
    return accuracies


def ordinary_layer(X, y, demo):
    """The first layer of a network that was trained as a whole."""
    model = nn.MLP([X.shape[1], UNITS, 10], bias=False, rng=demo.seed).astype(np.float32)
    return trained(model, model, X, y, demo)


def grouped_layer(X, y, demo):
    """A layer with ten groups of units, one for each digit. The sum of a group is the digit's score."""
    layer = nn.Linear(X.shape[1], UNITS, bias=False, rng=demo.seed).astype(np.float32)
    group = nn.one_hot(np.arange(UNITS) % 10).astype(np.float32)
    return trained(lambda x: relu(layer(x)) @ group, layer, X, y, demo)


def trained(model, module, X, y, demo):
    """Train a model, and return the first weight of the module, as (in, out)."""
    finished(fit(
        model, (X, y), nn.cross_entropy, Adam(module.parameters(), lr=1e-3),
        1 if len(X) > 10_000 or demo.quick else 20,
        batch_size=100, metrics={"accuracy": nn.accuracy}, rng=demo.seed,
        compile=True,  # a model that is a function is compiled only on request
    ))  # fmt: skip
    return next(iter(module.parameters())).numpy().T


def largest_step(X, W1):
    """Approximately the largest step with which descent converges: 2 divided by the largest curvature of
    the loss. Near outputs of ½ that curvature is an eighth of that of Σ(A1·W2)²/2."""
    A1 = hidden(X, W1)
    return 16 / np.linalg.eigvalsh(A1.T @ A1)[-1]


if __name__ == "__main__":
    main()
