"""The backward pass of a 2-4-3 network, stage by stage.

Run it with `python demos/two_layers.py`.
"""

import numpy as np
from _common import Demo, compared

from autobp import Tensor, softmax
from autobp.nn import cross_entropy, l2_penalty, one_hot

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
y = [2, 0, 1]
REG = 1e-3


def weights():
    """The weights of the textbook."""
    np.random.seed(2)
    W1, W2 = np.random.randn(2, 4) * 0.01, np.random.randn(4, 3) * 0.01
    parameters = {"W1": W1, "b1": np.zeros(4), "W2": W2, "b2": np.zeros(3)}
    return {name: Tensor(value, name=name) for name, value in parameters.items()}


def forward(p, X):
    """Every variable between X and the scores."""
    Z1 = X @ p["W1"] + p["b1"]
    A1 = np.tanh(Z1)
    Z2 = A1 @ p["W2"] + p["b2"]
    stages = {"Z1": Z1, "A1": A1, "Z2": Z2}
    for name, stage in stages.items():
        stage.name = name
    return stages


def main():
    demo = Demo(__doc__, plots=False)

    p = weights()
    stages = forward(p, X)
    for stage in stages.values():
        stage.retain_grad()
    loss = cross_entropy(stages["Z2"], y) + l2_penalty([p["W1"], p["W2"]], REG)
    loss.backward()
    print("Forward: X (3, 2) → tanh(X·W1 + b1) (3, 4) → A1·W2 + b2 (3, 3)")
    print("  Z2 =", str(stages["Z2"].numpy()).replace("\n", "\n      "))
    print(f"  loss with reg = {REG:g}: {loss.item()!r}\n")

    print("Backward, for the whole batch at once:")
    A1, Z2, W1, W2 = (t.numpy() for t in (stages["A1"], stages["Z2"], p["W1"], p["W2"]))
    dZ2 = (softmax(Z2) - one_hot(y)) / len(X)
    dA1 = dZ2 @ W2.T
    dZ1 = dA1 * (1 - A1**2)
    library = {**stages, **p}
    derivatives = {
        "∂L/∂Z2": ("(F − Y)/m", library["Z2"].grad, dZ2),
        "∂L/∂W2": ("A1ᵀ·∂L/∂Z2 + 2·reg·W2", library["W2"].grad, A1.T @ dZ2 + 2 * REG * W2),
        "∂L/∂b2": ("Σ ∂L/∂Z2", library["b2"].grad, dZ2.sum(axis=0)),
        "∂L/∂A1": ("∂L/∂Z2·W2ᵀ", library["A1"].grad, dA1),
        "∂L/∂Z1": ("∂L/∂A1 ∘ (1 − A1²)", library["Z1"].grad, dZ1),
        "∂L/∂W1": ("Xᵀ·∂L/∂Z1 + 2·reg·W1", library["W1"].grad, X.T @ dZ1 + 2 * REG * W1),
        "∂L/∂b1": ("Σ ∂L/∂Z1", library["b1"].grad, dZ1.sum(axis=0)),
    }
    worst = compared(derivatives)

    print("\nBackward, one sample after another, with the gradients added up:")
    one = weights()
    for sample, label in zip(X, y):
        (cross_entropy(forward(one, sample)["Z2"], label) / len(X)).backward()
    l2_penalty([one["W1"], one["W2"]], REG).backward()
    same = {f"∂L/∂{n}": ("Σ over the samples", one[n].grad, p[n].grad) for n in p}
    worst = max(worst, compared(same, "batch"))

    if demo.out:
        from autobp import draw

        sample = Tensor(X[:1], name="X", requires_grad=False)
        loss_of_one = cross_entropy(forward(weights(), sample)["Z2"], y[:1])
        loss_of_one.name = "loss"
        demo.save(draw(loss_of_one, direction="TB"), "two_layers.svg")
    demo.done(f"loss {loss.item()!r}; library and textbook differ by {worst:.0e} at most")


if __name__ == "__main__":
    main()
