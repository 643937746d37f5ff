"""Variables as nodes, operations as edges, gradients back.

Run it with `python demos/computation_graph.py`.
"""

import numpy as np
from _common import Demo

from autobp import Tensor, draw, graph, sigmoid


def main():
    demo = Demo(__doc__, plots=False)

    x1, x2 = (
        Tensor(1.0, name="x1", requires_grad=False),
        Tensor(-2.0, name="x2", requires_grad=False),
    )
    w1, w2, b = Tensor(0.5, name="w1"), Tensor(0.25, name="w2"), Tensor(0.1, name="b")
    p1, p2 = w1 * x1, w2 * x2
    z = p1 + p2 + b
    y = sigmoid(z)
    loss = (y - 1) ** 2
    for name, variable in {"p1": p1, "p2": p2, "z": z, "y": y, "loss": loss}.items():
        variable.name = name

    print("Forward: each variable keeps its value, its operation and its arguments.")
    print(indented(graph(loss)))

    for variable in (p1, p2, z, y):
        variable.retain_grad()
    loss.backward()
    print("\nBackward: each variable gets the derivative of the loss by it.")
    for variable in (y, z, p1, p2, b, w1, w2):
        print(f"  ∂loss/∂{variable.name:3} {variable.grad:12.8f}")
    by_hand = 2 * (y.item() - 1) * y.item() * (1 - y.item()) * x2.item()
    print(f"  by hand, ∂loss/∂w2 = 2(y − 1)·y(1 − y)·x2 = {by_hand:.8f}")

    print("\nA node can be an array: a whole layer is one variable, made by one operation.")
    W = Tensor(np.array([[0.5, -0.5], [0.25, 1.0]]), name="W")
    X = Tensor(np.array([1.0, -2.0]), name="X", requires_grad=False)
    hidden = np.tanh(X @ W)
    hidden.name = "hidden"
    again = np.sum(hidden * hidden)
    print(indented(graph(again)))
    print("  hidden is used twice: it has two edges, and its derivative is their sum.")

    if demo.out:
        demo.save(draw(loss), "computation_graph.svg")
        demo.save(draw(again), "computation_graph_layer.svg")
    demo.done(f"{len(graph(loss))} variables; ∂loss/∂w2 = {w2.grad:.8f}, by hand {by_hand:.8f}")


def indented(text):
    return "  " + str(text).replace("\n", "\n  ")


if __name__ == "__main__":
    main()
