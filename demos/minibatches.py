"""Mini-batches of 500, 50 and 1 on 500 images.

Run it with `python demos/minibatches.py`, on MNIST with `--data mnist`.
"""

import numpy as np
from _common import Demo, finished, rows

from autobp import nn
from autobp.optim import SGD
from autobp.train import evaluate, fit


def main():
    demo = Demo(__doc__, epochs=20, quick=3, images=True)
    x, y, x_test, y_test = demo.images()
    x, x_test = rows(x), rows(x_test)
    chosen = np.random.default_rng(demo.seed).choice(len(x), 500, replace=False)
    print(f"Softmax regression on {len(chosen)} random images, step 0.02.\n")

    histories, tests = {}, {}
    for size, name in {500: "all 500 at once", 50: "50 at a time", 1: "one by one"}.items():
        print(name)
        model = nn.Linear(x.shape[1], 10, init=nn.zeros()).astype(np.float32)
        histories[name] = finished(fit(
            model, (x[chosen], y[chosen]), nn.cross_entropy, SGD(model.parameters(), lr=0.02),
            demo.epochs, batch_size=size, metrics={"accuracy": nn.accuracy}, rng=demo.seed,
        ))  # fmt: skip
        tests[name] = evaluate(
            model, (x_test, y_test), nn.cross_entropy, metrics={"accuracy": nn.accuracy}
        )
        last = histories[name].rows[-1]
        print(
            f"  {demo.epochs * -(-500 // size):,} steps in {demo.epochs} epochs: loss {last['loss']:.4f},"
            f" accuracy {last['accuracy']:.1%}, on the test images {tests[name]['accuracy']:.1%}"
        )

    if demo.out:
        from autobp.drawing import plots

        figure, (left, right) = plots.figure(1, 2, sharex=True)
        for ax, column in ((left, "loss"), (right, "accuracy")):
            lines = {name: history[column] for name, history in histories.items()}
            plots.curves(lines, ax, xlabel="epoch", ylabel=f"training {column}")
        demo.save(figure, "minibatches.png")
    demo.done(
        f"after {demo.epochs} epochs, test accuracy "
        + ", ".join(f"{name} {test['accuracy']:.1%}" for name, test in tests.items())
    )


if __name__ == "__main__":
    main()
