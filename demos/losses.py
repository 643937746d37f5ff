"""Losses, their gradients, and the textbook's numbers.

Run it with `python demos/losses.py`.
"""

import numpy as np
from _common import Demo

from autobp import check_gradients, grad, sigmoid, softmax
from autobp.nn import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l2_penalty,
    nll,
    one_hot,
    squared_error,
)


def main():
    demo = Demo(__doc__)

    print("Cross entropy: the mean of −log of the probability of the true class.")
    F, y = np.array([[0.2, 0.5, 0.3], [0.2, 0.6, 0.2]]), [2, 1]
    show("labels [2, 1]", nll(np.log(F), y))
    show("the same, one-hot", nll(np.log(F), one_hot(y)))

    print("\nSoftmax and cross entropy from scores (whole numbers are accepted).")
    Z = np.array([[2, 25, 13], [54, 3, 11]])
    show("Z = [[2, 25, 13], [54, 3, 11]]", cross_entropy(Z, y))
    of_scores = grad(lambda Z: cross_entropy(Z, y))(Z)
    show_difference(
        "its gradient: (softmax(Z) − onehot(y))/m", of_scores, (softmax(Z) - one_hot(y)) / 2
    )
    check_gradients(lambda Z: cross_entropy(Z, y), Z)  # raises where they differ
    print("  forward mode, reverse mode and central differences agree")

    print("\nOther losses.")
    show("squared error of 1, 2 for 1, 5", squared_error([1.0, 2.0], [1.0, 5.0]))
    show("the half of it", squared_error([1.0, 2.0], [1.0, 5.0], half=True))
    show("binary cross entropy of 0, 1 for 0, 1", binary_cross_entropy([0.0, 1.0], [0.0, 1.0]))
    show("… and of 0.2 for 1: −log 0.2", binary_cross_entropy([0.2], [1.0]))
    show("class 2 of [.3, .5, .2]: −log 0.2", nll(np.log([0.3, 0.5, 0.2]), 2))
    show("… one-hot", nll(np.log([0.3, 0.5, 0.2]), [0, 0, 1]))
    layers = [np.ones((2, 4)), np.ones((4, 3))]
    show("λΣ‖W‖² of a 2-4-3 network of ones, λ = 0.01", l2_penalty(layers, 0.01))

    print("\nThe gradient at the output, from the library and from the textbook's formula.")
    rng = np.random.default_rng(demo.seed)
    z, t = rng.normal(size=(6, 1)), rng.integers(0, 2, (6, 1))
    Z, Y = rng.normal(size=(6, 3)), one_hot(rng.integers(0, 3, 6), 3)
    f, F, m = sigmoid(z), softmax(Z), len(z)
    rows = {
        "sigmoid, binary cross entropy: (F − Y)/m": (
            grad(lambda z: binary_cross_entropy(sigmoid(z), t))(z),
            (f - t) / m,
        ),
        "the same, computed from scores": (
            grad(lambda z: binary_cross_entropy_with_logits(z, t))(z),
            (f - t) / m,
        ),
        "softmax, cross entropy: (F − Y)/m": (
            grad(lambda Z: cross_entropy(Z, Y))(Z),
            (F - Y) / m,
        ),
        "sigmoid, squared error: 2(F − Y)F(1 − F)/m": (
            grad(lambda z: squared_error(sigmoid(z), t))(z),
            2 * (f - t) * f * (1 - f) / m,
        ),
    }
    for name, (library, formula) in rows.items():
        show_difference(name, library, formula)
    if demo.out:
        demo.save(picture(), "losses.png")
    demo.done("the textbook's numbers and gradients")


def picture():
    """The loss and its derivative as functions of a score whose target is 1."""
    from autobp.drawing import plots

    z = np.linspace(-6, 6, 121)
    truth = np.ones(z.shape)
    losses = {
        "cross entropy": lambda z: binary_cross_entropy_with_logits(z, truth, reduction="none"),
        "squared error": lambda z: squared_error(sigmoid(z), truth, reduction="none"),
    }
    slopes = {name: grad(lambda z, f=f: f(z).sum())(z) for name, f in losses.items()}
    figure, (left, right) = plots.figure(1, 2, sharex=True)
    plots.curves(
        {name: f(z) for name, f in losses.items()}, left, x=z,
        xlabel="score z, where 1 is true", ylabel="loss of sigmoid(z)",
    )  # fmt: skip
    plots.curves(slopes, right, x=z, xlabel="score z, where 1 is true", ylabel="derivative by z")
    return figure


def show(what, value):
    print(f"  {what:45}{float(value)!r}")


def show_difference(what, library, formula):
    print(f"  {what:45}largest difference {np.max(np.abs(library - formula)):.0e}")


if __name__ == "__main__":
    main()
