"""Activations and their slopes, from perceptron to softmax.

Run it with `python demos/neurons.py`.
"""

import numpy as np
from _common import Demo

from autobp import jvp, nn, no_grad


def first_of_softmax(z):
    """The first output of softmax(z, 0)."""
    return nn.softmax(np.stack([z, np.zeros(len(z))], axis=1))[:, 0]


NEURONS = {
    "perceptron, threshold 0.5": (lambda z: nn.step(z, threshold=0.5), lambda z, a: 0 * z),
    "sigmoid": (nn.sigmoid, lambda z, a: a * (1 - a)),
    "tanh": (nn.tanh, lambda z, a: 1 - a**2),
    "ReLU": (nn.relu, lambda z, a: z > 0),
    "leaky ReLU, slope 0.1": (
        lambda z: nn.leaky_relu(z, 0.1),
        lambda z, a: np.where(z > 0, 1, 0.1),
    ),
    "softmax(z, 0), its first": (first_of_softmax, lambda z, a: a * (1 - a)),
}


def main():
    demo = Demo(__doc__)

    print("A neuron multiplies inputs by weights, adds a bias, and applies an activation.")
    both = nn.Neuron(2, activation=nn.Step(threshold=1.5), rng=demo.seed)
    both.load_state_dict({"w1": 1.0, "w2": 1.0, "b": 0.0})
    with no_grad():
        table = {(a, b): both([a, b]).item() for a in (0.0, 1.0) for b in (0.0, 1.0)}
    print("  A perceptron with weights 1, 1 and threshold 1.5 computes AND:")
    print("   ", ", ".join(f"{a:.0f} and {b:.0f} → {out:.0f}" for (a, b), out in table.items()))

    print("\nActivations and their slopes by forward mode at z = −2, 0 and 2, and the largest")
    print("difference of the slopes from their formulas between −4 and 4:")
    print(f"  {'':25}{'activation':>24}  {'slope':>21}{'off':>6}")
    z = np.linspace(-4, 4, 401)
    some, curves = np.array([-2.0, 0.0, 2.0]), {}
    for name, (activation, formula) in NEURONS.items():
        a, slope = jvp(activation, (some,), (np.ones(3),))
        curves[name] = jvp(activation, (z,), (np.ones(len(z)),))
        off = np.max(np.abs(curves[name][1] - formula(z, curves[name][0])))
        print(f"  {name:25}{numbers(a, 8)}  {numbers(slope, 7)}{off:6.0e}")

    if demo.out:
        from autobp.drawing import plots

        figure, axes = plots.figure(2, 3, sharex=True, sharey=True)
        for ax, (name, (a, slope)) in zip(axes.flat, curves.items()):
            plots.curves({"neuron": a, "slope": slope}, ax, x=z, title=name)
            ax.set_ylim(-1.2, 2.2)
        for ax in axes[1]:
            ax.set_xlabel("z")
        demo.save(figure, "neurons.png")
    demo.done(f"{len(NEURONS)} neurons, every slope equal to its formula")


def numbers(array, width):
    return "".join(f"{float(n):{width}.4f}" for n in array)


if __name__ == "__main__":
    main()
