"""L-BFGS against Adam on the spiral's network, at equal time.

Run it with `python demos/lbfgs.py`.
"""

import time

import numpy as np
from _common import Demo

from autobp import compile, nn, value_and_grad
from autobp.data import spiral
from autobp.optim import Adam, minimize


def network(seed):
    return nn.MLP([2, 32, 32, 3], activation="tanh", rng=seed)


def by_lbfgs(X, y, seed, iterations):
    """The seconds and the losses of its iterations."""
    model = network(seed)
    loss = lambda params: nn.cross_entropy(nn.functional_call(model, params, X), y)
    start = {name: p.numpy() for name, p in model.named_parameters()}
    seen = []
    began = time.perf_counter()
    found = minimize(
        loss,
        start,
        callback=lambda params: seen.append((time.perf_counter() - began, params)),
        compile=True,
        options={"maxiter": iterations, "maxfun": 10 * iterations, "ftol": 0, "gtol": 0},
    )
    model.load_state_dict(found.x)
    return model, [s for s, _ in seen], [float(loss(params)) for _, params in seen]


def by_adam(X, y, seed, seconds):
    """The same of Adam, on all points at once, for as long."""
    model = network(seed)
    optimizer = Adam(model.parameters(), lr=0.01)
    times, losses = [], []

    @compile
    def step():
        loss = nn.cross_entropy(model(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.data

    began = time.perf_counter()
    while not times or times[-1] < seconds:
        losses.append(float(step()))
        times.append(time.perf_counter() - began)
    return model, times, losses


def main():
    demo = Demo(__doc__, epochs=500, quick=20)
    X, y = spiral(seed=demo.seed)
    X, y = X[np.any(X != 0, axis=1)], y[np.any(X != 0, axis=1)]  # the arms share their first point
    value_and_grad(lambda x: np.sum(x * x))(X)  # so that nothing is imported while time is taken
    model, times, losses = by_lbfgs(X, y, demo.seed, demo.epochs)
    other, their_times, their_losses = by_adam(X, y, demo.seed, times[-1])
    print(
        f"{len(X)} points of 3 classes, a network of two hidden layers of 32, seed {demo.seed}.\n"
    )
    print(f"{'':8}  steps  seconds      loss  accuracy")
    for name, m, t, found in (("L-BFGS", model, times, losses), ("Adam", other, their_times, their_losses)):  # fmt: skip
        accuracy = nn.accuracy(m(X), y)
        print(f"{name:8}  {len(t):5}  {t[-1]:7.2f}  {found[-1]:8.1e}  {accuracy:8.1%}")

    if demo.out:
        from autobp.drawing import plots

        figure, ax = plots.figure()
        ax.plot(times, losses, label="L-BFGS")
        ax.plot(their_times, their_losses, label="Adam")
        ax.set(xlabel="seconds", ylabel="loss", yscale="log")
        ax.legend()
        demo.save(figure, "lbfgs_loss.png")
    demo.done(f"loss {losses[-1]:.1e} by L-BFGS, {their_losses[-1]:.1e} by Adam in the same time")


if __name__ == "__main__":
    main()
