"""One hidden layer of 256 units in 3-fold cross validation.

Run it with `python demos/cross_validation.py`, on MNIST with `--data mnist`.
"""

from dataclasses import dataclass

import numpy as np
from _common import Demo, finished, rows

from autobp import nn, softmax
from autobp.data import k_folds, standardize
from autobp.optim import SGD, Adam, CosineAnnealingLR
from autobp.train import evaluate, fit

ACCURACY = {"accuracy": nn.accuracy}
FOLDS, RATE = 3, 0.05
LEAST = 1e-15  # a usual guard against log(0)
RUNS = ("as programmed", "on the mean", "trained well")


def network(features, rng):
    """sigmoid(X·W1 + B1)·W2 + B2 with weights from N(0, 1/n_in). The softmax is in the loss."""
    model = nn.MLP([features, 256, 10], "sigmoid", init=nn.xavier(fan_out=False), rng=rng)
    return model.astype(np.float32)


def main():
    demo = Demo(__doc__, epochs=50, quick=4, images=True)
    x, y, x_test, y_test = demo.images()
    size = 2000 if demo.data == "mnist" else 240
    epochs = dict.fromkeys(RUNS, demo.epochs) | {"trained well": -(-2 * demo.epochs // 5)}
    moved = (
        ", images\n  shifted by up to a pixel, anew in each batch" if demo.data == "mnist" else ""
    )
    print(
        f"{x[0].size}-256-10, softmax and cross entropy, {FOLDS} folds. Each fold keeps the weights of\n"
        "its best epoch. The best of the three models is tested once.\n\n"
        f"{RUNS[0]}: rate {RATE}, batches of {size:,}, {demo.epochs} epochs. The gradient at the output\n"
        "  is y − t, not divided by the batch size; biases move by its mean.\n"
        f"{RUNS[1]}: the same with the gradient of the mean, (y − t)/{size:,}.\n"
        f"{RUNS[2]}: Adam, batches of {size // 10}, {epochs[RUNS[2]]} epochs, a rate that falls to 0{moved}.\n"
    )
    found = {
        name: cross_validated(name, x, y, x_test, y_test, size, epochs[name], demo) for name in RUNS
    }
    explain(found, size)
    if demo.out:
        demo.save(picture(found), "cross_validation.png")
    demo.done(
        "; ".join(
            f"{name}: validation {' / '.join(f'{a:.4f}' for a in of.validation)},"
            f" test {of.test['accuracy']:.4f}, test loss {of.test['loss']:.4f}"
            for name, of in found.items()
        )
    )


@dataclass
class Found:
    """The results of the folds, and of the test of the best model."""

    histories: list
    validation: list
    test: dict
    weights: float  # the mean absolute weight of the last layer
    sure: float  # the mean probability of the model's wrong answers
    cut: float  # the test loss with probabilities clipped at LEAST


def cross_validated(name, x, y, x_test, y_test, size, epochs, demo):
    rng = np.random.default_rng(demo.seed)
    histories, models = [], []
    print(f"{name}:\n  fold  best epoch  training  validation  its loss")
    for i, (train, held) in enumerate(k_folds(len(x), FOLDS, rng=rng)):
        model = network(x[0].size, rng)
        if name == "trained well":
            most = x.shape[1] // 28  # in the small digits, a pixel is as wide as a stroke
            data, seen = Moved(x[train], most, rng), rows
            optimizer, batch = Adam(model.parameters(), lr=1e-2), size // 10
            schedule = CosineAnnealingLR(optimizer, epochs)
        else:
            standard = standardize(rows(x[train]))
            seen = lambda images, standard=standard: standard(rows(images))
            data, batch, schedule = seen(x[train]), size, None
            optimizer = SGD(groups(model, name, size))
        history = finished(fit(
            model, (data, y[train]), nn.cross_entropy, optimizer, epochs, batch_size=batch,
            validation=(seen(x[held]), y[held]), metrics=ACCURACY, schedule=schedule,
            monitor="val_accuracy", keep_best=True, rng=rng,
        ))  # fmt: skip
        best = history.best()
        print(
            f"  {i + 1:4}{best['epoch']:12}{best['accuracy']:10.4f}{best['val_accuracy']:12.4f}"
            f"{best['val_loss']:10.4f}"
        )
        histories.append(history)
        models.append((model, seen(x_test)))
    validation = [max(h["val_accuracy"]) for h in histories]
    model, images = models[int(np.argmax(validation))]
    test = evaluate(model, (images, y_test), nn.cross_entropy, metrics=ACCURACY)
    print(
        f"  fold {np.argmax(validation) + 1}, tested: accuracy {test['accuracy']:.4f},"
        f" loss {test['loss']:.4f}\n"
    )
    scores = model(images).numpy()
    said = softmax(scores, axis=1)
    sure = np.mean(np.max(said[np.argmax(said, axis=1) != y_test], axis=1))
    cut = np.mean(np.minimum(nn.cross_entropy(scores, y_test, reduction="none"), -np.log(LEAST)))
    weights = np.mean(np.abs(model[2].weight.numpy()))
    return Found(histories, validation, test, weights, sure, cut)


def groups(model, name, size):
    """The groups of an optimizer. As programmed, weights move by the sum over the batch, which is
    `size` times the gradient of the mean; biases move by the mean."""
    layers = [model[0], model[2]]
    rate = RATE * size if name == "as programmed" else RATE
    return [
        {"params": [layer.weight for layer in layers], "lr": rate},
        {"params": [layer.bias for layer in layers], "lr": RATE},
    ]


class Moved:
    """Images that are shifted at random when they are indexed, all of a batch alike: by up to `most`
    pixels in each direction, around the edges."""

    def __init__(self, images, most, rng):
        self.images, self.most, self.rng = images, most, rng
        self.shape = (len(images), images[0].size)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        steps = self.rng.integers(-self.most, self.most + 1, 2)
        return rows(np.roll(self.images[index], steps, axis=(1, 2)))


def explain(found, size):
    """Explain the saw teeth in the curves of the run as programmed."""
    programmed, mean = found["as programmed"], found["on the mean"]
    print(
        f"Why saw teeth? A step of {RATE} on the sum over {size:,} images is one of {RATE * size:g} on their\n"
        f"mean and overshoots: the training loss rises by half or more in {teeth(programmed)} of {sum(map(len, programmed.histories))}\n"
        f"epochs, in steps on the mean in {teeth(mean)}. Such steps leave large weights, in the last\n"
        f"layer {programmed.weights:.2g} on average instead of {mean.weights:.2g}, so that the softmax is sure of itself:\n"
        f"where the model is wrong, its answer has a probability of {programmed.sure:.3f} on average,\n"
        f"instead of {mean.sure:.3f}. To be wrong with such confidence costs much, so that the test\n"
        f"loss is {programmed.test['loss']:.2f} although {programmed.test['accuracy']:.1%} are right ({programmed.cut:.2f} for a program that\n"
        f"takes no probability for less than {LEAST:g})."
    )


def teeth(found):
    """How often the training loss rises by half or more from one epoch to the next."""
    losses = [np.array(h["loss"]) for h in found.histories]
    return sum(int(np.sum(loss[1:] > 1.5 * loss[:-1])) for loss in losses)


def picture(found):
    """For each of the runs, all folds: accuracy above, loss below."""
    from autobp.drawing import plots

    figure, axes = plots.figure(2, len(found), sharey="row")
    for column, (name, of) in zip(axes.T, found.items()):
        for ax, what in zip(column, ("accuracy", "loss")):
            for h in of.histories[1:]:  # behind the first, which has the legend
                for prefix, colour in (("", plots.COLOURS[0]), ("val_", plots.COLOURS[1])):
                    ax.plot(h["epoch"], h[prefix + what], color=colour, alpha=0.35, linewidth=0.8)
            first = of.histories[0]
            lines = {"training": first[what], "validation": first["val_" + what]}
            plots.curves(lines, ax, xlabel="epoch" if what == "loss" else "", title=name if what == "accuracy" else "")  # fmt: skip
        column[1].set_yscale("log")
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("loss")
    return figure


if __name__ == "__main__":
    main()
