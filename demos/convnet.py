"""A small convolutional network on 500 images.

Run it with `python demos/convnet.py`, on MNIST with `--data mnist`.
"""

import numpy as np
from _common import Demo, finished

from autobp import nn
from autobp.optim import SGD
from autobp.train import evaluate, fit


def main():
    demo = Demo(__doc__, epochs=10, quick=1, images=True)
    x, y, x_test, y_test = (prepared(part) for part in demo.images())
    chosen = np.random.default_rng(demo.seed).choice(len(x), 100 if demo.quick else 500, False)

    rng = np.random.default_rng(demo.seed)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, rng=rng), "relu", nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, rng=rng), "relu", nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 128, rng=rng), "relu",
        nn.Linear(128, 10, rng=rng),
    ).astype(np.float32)  # fmt: skip
    print(model.summary((1, 1, 28, 28)), "\n")

    history = finished(fit(
        model, (x[chosen], y[chosen]), nn.cross_entropy,
        SGD(model.parameters(), lr=0.001, momentum=0.9), demo.epochs, batch_size=32,
        metrics={"accuracy": nn.accuracy}, rng=demo.seed,
    ))  # fmt: skip
    for row in history.rows:
        print(f"epoch {row['epoch']:2}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.1%}")
    some = slice(100 if demo.quick else None)
    test = evaluate(
        model, (x_test[some], y_test[some]), nn.cross_entropy, metrics={"accuracy": nn.accuracy}
    )

    if demo.out:
        from autobp.drawing import plots

        figure, (left, right) = plots.figure(1, 2, sharex=True)
        plots.curves(
            {"": history["loss"]}, left, xlabel="epoch", ylabel="training loss", legend=False
        )
        plots.curves({"": history["accuracy"]}, right, xlabel="epoch", ylabel="training accuracy", legend=False)  # fmt: skip
        demo.save(figure, "convnet.png")
    last = history.rows[-1]
    demo.done(
        f"after {demo.epochs} epochs on {len(chosen)} images, loss {last['loss']:.4f}, accuracy"
        f" {last['accuracy']:.1%}; {test['accuracy']:.1%} of {len(x_test[some]):,} test images"
    )


def prepared(part):
    """Images as 28×28 with a channel axis, scaled from 0…1 to −1…1. Labels are returned unchanged."""
    if part.ndim == 1:
        return part
    if part.shape[1:] == (8, 8):
        part = np.pad(np.kron(part, np.ones((3, 3), part.dtype)), [(0, 0), (2, 2), (2, 2)])
    return (part[:, None] - np.float32(0.5)) / np.float32(0.5)


if __name__ == "__main__":
    main()
