"""One derivative, computed in five ways.

Run it with `python demos/derivatives.py`.
"""

import numpy as np
from _common import Demo

from autobp import Tensor, check_gradients, draw, grad, graph, hessian, jvp, numerical_gradient


def f(x, y):
    """f(x, y) = sin(x)·y + x²"""
    return np.sin(x) * y + x**2


def main():
    demo = Demo(__doc__, plots=False)
    a, b = 2.0, 3.0
    by_hand = np.cos(a) * b + 2 * a

    print("f(x, y) = sin(x)·y + x² at x = 2, y = 3, recorded:\n")
    x, y = Tensor(a, name="x"), Tensor(b, name="y")
    z = f(x, y)
    print(graph(z), "\n")

    z.backward()
    u, v = np.array(a), np.array(b)
    ways = {
        "by hand: cos(x)·y + 2x": by_hand,
        "reverse, on Tensors: z.backward()": x.grad,
        "reverse, of a function: grad(f)": grad(f)(a, b),
        "forward: jvp along x": jvp(f, (a, b), (1.0, 0.0))[1],
        "central differences": numerical_gradient(lambda: f(u, v), [u, v])[0],
    }
    print("∂f/∂x")
    for way, slope in ways.items():
        print(f"  {way:36}{float(slope):.10f}")

    second = hessian(lambda p: f(p[0], p[1]))(np.array([a, b]))
    print(f"\nall second derivatives, forward over reverse\n{second.round(6)}")
    print("\nboth modes, first and second order, against central differences:")
    print(check_gradients(f, a, b, order=2))

    if demo.out:
        demo.save(draw(z), "derivatives.svg")
    demo.done(f"∂f/∂x = {by_hand:.10f} in each of {len(ways)} ways")


if __name__ == "__main__":
    main()
