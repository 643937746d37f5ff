"""Five mistakes of backpropagation written by hand.

Run it with `python demos/difficulties.py`.
"""

import warnings

import numpy as np
from _common import Demo, finished

from autobp import Tensor, detect_anomaly, grad, nn, relu, sigmoid
from autobp.data import digits
from autobp.optim import SGD, ReduceLROnPlateau
from autobp.train import DivergedError, fit


def main():
    demo = Demo(__doc__, epochs=60, quick=30)
    said = 0

    print("1. Matrices whose dimensions do not match")
    X, W = Tensor(np.ones((5, 4)), name="X"), Tensor(np.ones((3, 2)), name="W")
    said += refused("X @ W", lambda: X @ W)
    said += refused("a linear layer given images", lambda: nn.MLP([64, 8, 3])(np.ones((5, 8, 8))))

    print("\n2. Wrong axes")
    scores = Tensor(np.ones((3, 5)), name="scores")
    said += refused(
        "classes as rows, samples as columns", lambda: nn.cross_entropy(scores, [0, 1, 2, 0, 1])
    )
    said += refused("sums without keepdims", lambda: scores / scores.sum(axis=1))
    y, p = np.ones(5), Tensor(np.zeros((5, 1)), name="p")
    print(
        f"  NumPy: np.mean((p − y)**2) of (5, 1) and (5,) is a mean over {(p - y).shape}, no error"
    )
    said += refused("nn.mse of the same arrays", lambda: nn.mse(p, y))

    print("\n3. NaN from ReLU")

    def entropy_of_a_dead_unit():
        h = relu(Tensor([-1.0, 2.0], name="x"))
        share = h / h.sum()
        return np.sum(share * np.log(share))

    with np.errstate(all="ignore"):
        print(
            f"  0·log 0 after a ReLU gave 0: {entropy_of_a_dead_unit().item()}, without its cause"
        )
        with detect_anomaly():
            said += refused("the same with detect_anomaly()", entropy_of_a_dead_unit)
    x, y, *_ = digits()
    data = np.reshape(x, (len(x), -1)), nn.one_hot(y)
    model = nn.MLP([64, 128, 128, 10], rng=demo.seed)
    said += refused(
        "fit on a ReLU network whose activations explode",
        lambda: fit(
            model, data, nn.squared_error, SGD(model.parameters(), lr=1.0), epochs=5,
            rng=demo.seed, progress=False,
        ),
    )  # fmt: skip

    print("\n4. Overflow in the sigmoid")
    z = np.array([-1000.0, 0.0, 1000.0])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        naive = grad(lambda z: np.sum(1 / (1 + np.exp(-z))))(z)
    print(f"  At z = {z}\n  1/(1 + np.exp(−z)): {heard[0].message}, derivatives {naive}")
    derivatives = grad(lambda z: np.sum(sigmoid(z)))(z)
    print(f"  sigmoid(z): {sigmoid(z)}, derivatives {derivatives}")
    loss = nn.binary_cross_entropy_with_logits(z, [1.0, 1.0, 0.0], reduction="none")
    print(f"  cross entropy computed from z: {loss}")

    print("\n5. Saw-toothed curves, when the learning rate is too large")
    runs = {
        "rate 0.5": descended(0.5, demo),
        "rate 2": descended(2.0, demo),
        "rate 2, lowered at a plateau": descended(2.0, demo, patience=2),
    }
    for name, losses in runs.items():
        rises = int(np.sum(np.diff(losses) > 0))
        print(
            f"  {name:32} rises in {rises:2} of {len(losses) - 1} epochs, ends at {losses[-1]:.4f}"
        )

    if demo.out:
        from autobp.drawing import plots

        figure, ax = plots.figure()
        plots.curves(runs, ax, xlabel="epoch", ylabel="training loss")
        demo.save(figure, "difficulties.png")
    demo.done(f"{said} mistakes raised errors, one overflow was avoided, one saw-tooth smoothed")


def refused(what, run):
    """Print the error that a mistake raises."""
    try:
        run()
    except (ValueError, FloatingPointError, DivergedError) as error:
        place = str(error).split(", at ")  # a line of this file; its folder would differ
        text = f"{place[0]}, at line {place[1].split(':')[-1]}" if len(place) == 2 else str(error)
        print(f"  {what}:\n    {type(error).__name__}: {text}")
        return 1
    raise AssertionError(f"{what} was accepted")


def descended(rate, demo, patience=None):
    """The losses of a small network on the digits, in full-batch descent at a learning rate."""
    x, y, *_ = digits(scale=True)
    model = nn.MLP([64, 32, 10], rng=demo.seed)
    optimizer = SGD(model.parameters(), lr=rate)
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=patience) if patience else None
    history = finished(fit(
        model, (np.reshape(x, (len(x), -1)), y), nn.cross_entropy, optimizer, demo.epochs,
        batch_size=len(x), schedule=schedule, rng=demo.seed,
    ))  # fmt: skip
    return history["loss"]


if __name__ == "__main__":
    main()
