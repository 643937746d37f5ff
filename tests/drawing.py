"""What the tests of drawing share: programs to draw, and what Graphviz makes of a text."""

import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest

from autobp import Tensor, log_softmax, relu, scope

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None, reason="needs the program dot, of Graphviz"
)
SVG = "{http://www.w3.org/2000/svg}"


def run_dot(text, format="svg"):
    """What dot makes of a text, without a word of complaint."""
    done = subprocess.run(
        ["dot", f"-T{format}"], input=text.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout


def tree(svg):
    return ElementTree.fromstring(svg)


def lines_of(svg, id):
    """The lines of text in the group of one id."""
    (group,) = (g for g in svg.iter(f"{SVG}g") if g.get("id") == id)
    return [t.text.replace("\xa0", " ") for t in group.findall(f"{SVG}text")]


def ids(svg):
    return {g.get("id") for g in svg.iter(f"{SVG}g")} - {"graph0"}


def neuron():
    """The neuron of micrograd's README: o = tanh(x₁w₁ + x₂w₂ + b)."""
    given = {"x1": 2.0, "x2": 0.0, "w1": -3.0, "w2": 1.0, "b": 6.8813735870195432}
    x1, x2, w1, w2, b = (Tensor(value, name=name) for name, value in given.items())
    n = x1 * w1 + x2 * w2 + b
    n.name = "n"
    o = np.tanh(n)
    o.name = "o"
    return o


def classifier(batch=6, bias=0.0, X=None):
    """Two layers and a loss, each in its scope."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(batch, 3)) if X is None else X
    with scope("layer1"):
        W1, b1 = Tensor(rng.normal(size=(3, 4)), name="W1"), Tensor(np.full(4, bias), name="b1")
        h = relu(X @ W1 + b1)
    with scope("layer2"):
        W2, b2 = Tensor(rng.normal(size=(4, 2)), name="W2"), Tensor(np.zeros(2), name="b2")
        z = h @ W2 + b2
    with scope("loss"):
        loss = -np.mean(log_softmax(z, axis=1)[np.arange(batch), np.arange(batch) % 2])
    loss.name = "loss"
    return loss


def chain(n):
    y = Tensor(0.5, name="x")
    for _ in range(n // 2):
        y = y * 1.00001 + 1e-6
    return y
