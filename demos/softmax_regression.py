"""Softmax regression by gradient descent with a stopping rule.

Run it with `python demos/softmax_regression.py`.
"""

import numpy as np
from _common import Demo

from autobp import Tensor, check_gradients, softmax, value_and_grad
from autobp.nn import cross_entropy, l2_penalty, one_hot
from autobp.optim import gradient_descent

X = np.array([[2.0, 3.0], [4.0, 5.0]])
y = [2, 1]
START = np.array([[0.1, 0.2, 0.3], [0.4, 0.2, 0.8]])
REG = 0.2


def loss(W):
    return cross_entropy(X @ W, y) + l2_penalty(W, REG)


def main():
    demo = Demo(__doc__, epochs=1000, quick=200)

    print("Scores X·W, and the loss: mean cross entropy plus 0.2·ΣW².")
    value, gradient = value_and_grad(loss)(START)
    by_hand = X.T @ (softmax(X @ START) - one_hot(y, 3)) / len(X) + 2 * REG * START
    print(f"  loss      {value!r}")
    print(f"  gradient  {str(gradient).replace(chr(10), chr(10) + ' ' * 12)}")
    print(f"  minus Xᵀ(F − Y)/m + 2·reg·W: {np.max(np.abs(gradient - by_hand)):.0e} at most")
    check_gradients(loss, START)  # raises where they differ
    print("  forward mode, reverse mode and central differences agree")

    print("\nGradient descent at rate 0.1, until every element of the gradient is below 1e-6.")
    runs = {}
    for name, momentum in {"plain": 0.0, "momentum 0.5": 0.5, "momentum 0.9": 0.9}.items():
        W = Tensor(START)
        run = gradient_descent(
            lambda W=W: loss(W), [W], lr=0.1, momentum=momentum, steps=demo.epochs, epsilon=1e-6
        )
        runs[name] = run
        print(f"  {name:13} loss {run.losses[-1]:.10f}\n    {run}")

    if demo.out:
        from autobp.drawing import plots

        least = min(run.losses[-1] for run in runs.values())
        figure, ax = plots.figure()
        plots.curves(
            {name: np.subtract(run.losses, least) for name, run in runs.items()}, ax,
            xlabel="iteration", ylabel="loss above the least",
        ).set_yscale("log", nonpositive="mask")  # fmt: skip
        demo.save(figure, "softmax_regression.png")
    counts = ", ".join(
        f"{name} {run.iterations if run.converged else f'more than {run.iterations}'}"
        for name, run in runs.items()
    )
    demo.done(f"loss {value!r} as in the textbook; iterations down to max|grad| < 1e-6: {counts}")


if __name__ == "__main__":
    main()
