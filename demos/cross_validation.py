"""One hidden layer of 256, in 3-fold cross validation.

Run it with `python demos/cross_validation.py`, on MNIST with `--data mnist`.
"""

import numpy as np
from _common import Demo, finished, rows

from autobp import nn
from autobp.data import k_folds, standardize
from autobp.optim import SGD, Adam, CosineAnnealingLR
from autobp.train import evaluate, fit

ACCURACY = {"accuracy": nn.accuracy}
FOLDS = 3


def network(features, rng):
    """sigmoid(X·W1 + B1)·W2 + B2, weights from N(0, 1/n_in); the softmax is in the loss."""
    model = nn.MLP([features, 256, 10], "sigmoid", init=nn.xavier(fan_out=False), rng=rng)
    return model.astype(np.float32)


def main():
    demo = Demo(__doc__, epochs=50, quick=4, images=True)
    x, y, x_test, y_test = demo.images()
    x, x_test = rows(x), rows(x_test)
    size = len(x) // 30  # 2,000 of MNIST
    print(
        f"{x.shape[1]}-256-10, {demo.epochs} epochs, batches of {size:,}, rate 0.05; {FOLDS} folds, each\n"
        "standardized by its training part. The weights of its best epoch are kept."
    )

    results = {
        name: cross_validated(x, y, x_test, y_test, size, momentum, name, demo)
        for name, momentum in (("plain descent", 0.0), ("momentum 0.9", 0.9))
    }
    well = trained_well(x, y, x_test, y_test, demo)

    if demo.out:
        from autobp.draw import plots

        figure, axes = plots.figure(2, 2, sharex=True, sharey="row")
        for column, (name, (histories, _)) in zip(axes.T, results.items()):
            for ax, what in zip(column, ("accuracy", "loss")):
                lines = {
                    part: [h[prefix + what] for h in histories]
                    for part, prefix in (("training", ""), ("validation", "val_"))
                }
                plots.curves(lines, ax, ylabel=what if name == "plain descent" else "")
            column[0].set_title(f"{name}, {FOLDS} folds", loc="left", fontsize="medium", pad=24)
            column[1].set_xlabel("epoch")
        demo.save(figure, "cross_validation.png")
    said = []
    for name, (histories, test) in results.items():
        folds = " / ".join(f"{max(h['val_accuracy']):.4f}" for h in histories)
        said.append(f"{name}: validation {folds}, test {test:.4f}")
    demo.done("; ".join([*said, f"trained well: test {well:.4f}"]))


def cross_validated(x, y, x_test, y_test, size, momentum, name, demo):
    """The histories of the folds, and the test accuracy of the best of the models."""
    rng = np.random.default_rng(demo.seed)
    histories, models = [], []
    print(f"\n{name}:\n  fold  best epoch  training  validation")
    for i, (train, held) in enumerate(k_folds(len(x), FOLDS, rng=rng)):
        standard = standardize(x[train])
        model = network(x.shape[1], rng)
        history = finished(fit(
            model, (standard(x[train]), y[train]), nn.cross_entropy,
            SGD(model.parameters(), lr=0.05, momentum=momentum), demo.epochs, batch_size=size,
            validation=(standard(x[held]), y[held]), metrics=ACCURACY,
            monitor="val_accuracy", keep_best=True, rng=rng,
        ))  # fmt: skip
        best = history.best()
        print(f"  {i + 1:4}{best['epoch']:12}{best['accuracy']:10.4f}{best['val_accuracy']:12.4f}")
        histories.append(history)
        models.append((model, standard(x_test)))
    best = int(np.argmax([max(h["val_accuracy"]) for h in histories]))
    model, images = models[best]
    test = evaluate(model, (images, y_test), nn.cross_entropy, metrics=ACCURACY)["accuracy"]
    print(f"  the model of fold {best + 1}, tested once: {test:.4f}")
    return histories, test


def trained_well(x, y, x_test, y_test, demo):
    """The same network on all training images: Adam, smaller batches, a rate that falls to 0, and
    pixels as they are, since standardizing blows up those that are hardly ever lit."""
    epochs, size = min(demo.epochs, 10), max(len(x) // 600, 20)
    print(f"\nThe same network trained well: Adam, batches of {size}, {epochs} epochs, pixels 0…1.")
    rng = np.random.default_rng(demo.seed)
    model = network(x.shape[1], rng)
    optimizer = Adam(model.parameters(), lr=5e-3)
    finished(fit(
        model, (x, y), nn.cross_entropy, optimizer, epochs, batch_size=size, metrics=ACCURACY,
        schedule=CosineAnnealingLR(optimizer, epochs), rng=rng,
    ))  # fmt: skip
    test = evaluate(model, (x_test, y_test), nn.cross_entropy, metrics=ACCURACY)["accuracy"]
    print(f"  test {test:.4f}")
    return test


if __name__ == "__main__":
    main()
