"""The graph for a terminal."""

import numpy as np

from autobp import Tensor, graph, relu
from tests.drawing import chain, classifier, neuron


def parts(text):
    return [part.splitlines() for part in text.split("\n\n")]


def test_tree_and_equations():
    tree, forward, backward = parts(graph(neuron()).text())
    assert tree == [
        "o = tanh                 0.7071   grad 1",
        "└─ n = add               0.8814   grad 0.5",
        "   ├─ t7 = add           −6       grad 0.5",
        "   │  ├─ t5 = multiply   −6       grad 0.5",
        "   │  │  ├─ x1: input    2        grad −1.5",
        "   │  │  └─ w1: input    −3       grad 1",
        "   │  └─ t6 = multiply   0        grad 0.5",
        "   │     ├─ x2: input    0        grad 0.5",
        "   │     └─ w2: input    1        grad 0",
        "   └─ b: input           6.881    grad 0.5",
    ]
    assert forward == [
        "forward",
        "x1 = input     2",
        "x2 = input     0",
        "w1 = input     −3",
        "w2 = input     1",
        "b = input      6.881",
        "t5 = x1 × w1   −6",
        "t6 = x2 × w2   0",
        "t7 = t5 + t6   −6",
        "n = t7 + b     0.8814",
        "o = tanh(n)    0.7071",
    ]
    assert backward == [
        "backward",
        "∂o = 1",
        "∂n = ∂o × (1 − o²)   0.5",
        "∂t7 = ∂n             0.5",
        "∂b = ∂n              0.5",
        "∂t5 = ∂t7            0.5",
        "∂t6 = ∂t7            0.5",
        "∂x2 = ∂t6 × w2       0.5",
        "∂w2 = ∂t6 × x2       0",
        "∂x1 = ∂t5 × w1       −1.5",
        "∂w1 = ∂t5 × x1       1",
    ]


def test_what_is_shared_appears_once():
    x = Tensor(2.0, name="x")
    y = x * x
    tree, _, backward = parts(graph(y + np.exp(y)).text())
    assert [line.split("   ")[0] for line in tree if "t1" in line] == ["├─ t1 = multiply", ""]
    assert tree[-1].strip().startswith("└─ t1 (above)")
    assert [" ".join(line.split()) for line in backward[-2:]] == [
        "∂x = ∂t1 × x 111.2",
        "∂x += ∂t1 × x 111.2 → 222.4",
    ]


def test_modules_matrices_and_marks():
    X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    text = graph(classifier(2, -1e3, X)).text({"X": X})
    assert "X: constant" in text
    assert "W1: parameter" in text
    assert "t2 = X @ W1" in text
    assert "∂W2 = t4ᵀ @ ∂t7" in text
    assert "4 of 4 units dead" in text


def test_a_gradient_that_was_not_computed_is_a_dash():
    text = graph(relu(Tensor([1.0, 2.0], name="x"))).text()
    assert "grad —" in text
    assert "backward" not in text
    assert text.startswith("no gradients: they need one scalar result")


def test_the_tree_sums_up_and_the_equations_say_it_all():
    W = Tensor([[1.0, 2.0], [3.0, -4.0]], name="W")
    tree, forward, backward = parts(graph(np.sum(W * np.ones(9).reshape(9, 1, 1))).text())
    assert tree[-2] == "   ├─ W: input           (2,2) −4 … 3     grad (2,2) all 9"
    assert "W = input           [[1, 2], [3, −4]]" in forward
    assert backward[-1].endswith("[[9, 9], [9, 9]]")


def test_wide_characters_take_two_columns():
    text = graph(Tensor(1.0, name="変数") * Tensor(2.0, name="wide")).text()
    assert "├─ 変数: input   1   grad 2\n└─ wide: input   2   grad 1" in text


def test_names_are_told_apart_and_shown_on_one_line():
    a, b = Tensor(1.0, name="w"), Tensor(2.0, name="w")
    text = graph(a * b * Tensor(3.0, name="a\nb")).text()
    assert "w (2): input" in text
    assert "a\\nb: input" in text


def test_long_programs_are_shortened():
    text = graph(chain(20_000)).text()
    assert len(text.splitlines()) < 160
    assert max(map(len, text.splitlines())) < 140
    assert "└─ …" in text
