"""Three arms of a spiral, with and without hidden layers.

Run it with `python demos/spiral.py`.
"""

import numpy as np
from _common import Demo, finished

from autobp import Tensor, nn
from autobp.data import spiral
from autobp.optim import Adam, gradient_descent
from autobp.train import fit


def with_ones(X):
    """The points with a column of ones, whose weights are the biases."""
    return np.column_stack([X, np.ones(len(X))])


def main():
    demo = Demo(__doc__, epochs=200, quick=20)
    X, y = spiral(seed=demo.seed)
    print(f"{len(X)} points of 3 classes, drawn with seed {demo.seed}.\n")

    W = Tensor(np.zeros((3, 3)), name="W")
    data = with_ones(X)
    descent = gradient_descent(
        lambda: nn.cross_entropy(data @ W, y) + nn.l2_penalty(W, 1e-3),
        [W],
        lr=1.0,
        steps=demo.epochs,
    )
    flat = nn.accuracy(data @ W, y)
    print(f"Softmax regression, {demo.epochs} iterations with step 1.0, reg = 1e-3:")
    print(f"  loss {descent.losses[0]:.4f} → {descent.losses[-1]:.4f}, accuracy {flat:.1%}")
    print(f"  weights, biases in the last row\n{W.numpy().round(4)}\n")

    model = nn.MLP([2, 32, 32, 3], activation="tanh", rng=demo.seed)
    print("Two hidden layers of 32, tanh, Adam:")
    history = finished(fit(
        model, (X, y), nn.cross_entropy, Adam(model.parameters(), lr=0.01), demo.epochs,
        metrics={"accuracy": nn.accuracy}, rng=demo.seed,
    ))  # fmt: skip
    deep = nn.accuracy(model(X), y)
    print(f"  loss {history['loss'][0]:.4f} → {history['loss'][-1]:.4f}, accuracy {deep:.1%}")

    if demo.out:
        from autobp.drawing import plots

        figure, (left, right) = plots.figure(1, 2, sharex=True, sharey=True)
        plots.regions(
            lambda p: np.argmax(with_ones(p) @ W.numpy(), axis=1), X, y, left,
            title=f"softmax regression: {flat:.1%}",
        )  # fmt: skip
        plots.regions(
            lambda p: np.argmax(model(p).numpy(), axis=1), X, y, right,
            title=f"two hidden layers: {deep:.1%}",
        )  # fmt: skip
        demo.save(figure, "spiral_regions.png")

        figure, ax = plots.figure()
        losses = {"softmax regression": descent.losses[1:], "two hidden layers": history["loss"]}
        plots.curves(losses, ax, xlabel="iteration, or epoch", ylabel="loss")
        demo.save(figure, "spiral_loss.png")
    demo.done(f"softmax regression {flat:.1%}, two hidden layers {deep:.1%}")


if __name__ == "__main__":
    main()
