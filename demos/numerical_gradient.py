"""Train a network by central differences alone.

Run it with `python demos/numerical_gradient.py`.
"""

import numpy as np
from _common import Demo

from autobp import nn, numerical_gradient
from autobp.data import xor
from autobp.optim import gradient_descent


def main():
    demo = Demo(__doc__, epochs=400, quick=20)
    X, y = xor()
    runs, models = {}, {}
    for way in ("central differences", "reverse mode"):
        model = models[way] = nn.MLP([2, 8, 1], activation="tanh", output="sigmoid", rng=demo.seed)
        parameters = list(model.parameters())

        def loss(model=model):
            return nn.binary_cross_entropy(model(X), y[:, None])

        if not runs:
            count = sum(p.size for p in parameters)
            loss().backward()
            numerical = numerical_gradient(loss, parameters, eps=1e-6)
            off = max(np.max(np.abs(p.grad - g)) for p, g in zip(parameters, numerical))
            print(f"A 2-8-1 network on XOR with {count} parameters.")
            print(f"  (f(w + 1e-6) − f(w − 1e-6)) / 2e-6 for each takes {2 * count} forward passes")
            print(f"  largest difference from one backward pass: {off:.0e}\n")
        runs[way] = gradient_descent(
            loss, parameters, lr=1.0, steps=demo.epochs, epsilon=1e-6,
            numerical=way == "central differences",
        )  # fmt: skip
        right = nn.accuracy(model(X), y)
        print(f"{way:20} loss {runs[way].losses[-1]:.8f}, accuracy {right:.1%}")
    apart = max(abs(a - b) for a, b in zip(*(run.losses for run in runs.values())))
    print(f"The two losses never differ by more than {apart:.0e}.")

    if demo.out:
        from autobp.drawing import plots

        figure, ax = plots.figure()
        plots.curves({w: r.losses for w, r in runs.items()}, ax, xlabel="iteration", ylabel="loss")
        demo.save(figure, "numerical_gradient.png")
    demo.done(
        f"accuracy {right:.1%} after {demo.epochs} updates, each of {2 * count} forward passes"
        " instead of one forward and one backward"
    )


if __name__ == "__main__":
    main()
