"""A piece of a program as a few lines of text."""

import numpy as np

from autobp import Tensor, draw, graph, sigmoid
from autobp.drawing.diagram import diagram
from autobp.drawing.piece import leaving, varying, written


def test_what_leaves_a_piece_and_what_is_used_twice_has_a_line_of_its_own():
    x, w = Tensor(0.5, name="x"), Tensor(2.0, name="w")
    z = x * w
    y = sigmoid(z) * z
    d = diagram(graph(y + w))
    inside = [2, 3, 4]
    assert leaving(d, inside) == [4]
    assert leaving(d, [5]) == [5]  # the result itself
    assert written(d, inside, [4]) == ["t2 = x × w", "t4 = sigmoid(t2) × t2"]


def test_a_long_piece_is_not_written_out():
    y = Tensor(0.5, name="x")
    for _ in range(20):
        y = np.tanh(y) * y
    d = diagram(graph(y))
    assert written(d, range(1, 41), [40]) == []


def test_a_roll_says_what_its_pieces_do_and_the_first_and_last_values():
    h = Tensor(0.5, name="h")
    for _ in range(30):
        h = np.tanh(h * 1.5)
    source = draw(h).source
    assert "step 1 … 30  × 30\\nt2 = tanh(h × 1.5)\\nfirst t2 = 0.6351, grad" in source
    assert "last t60 = 0.8586, grad 1" in source


def test_numbers_that_vary_have_a_name_and_a_line():
    x = Tensor(0.5, name="c")
    for k in range(4):
        x = np.sin(x * (k + 2.0)) ** (k + 2)
    d = diagram(graph(x))
    made = [n.index for n in d.nodes if n.kind == "result"]
    pieces = [made[k : k + 3] for k in range(0, 12, 3)]
    varied = varying(d, pieces)
    assert written(d, pieces[0], [pieces[0][-1]], varied) == [
        f"{d.nodes[pieces[0][-1]].name} = sin(c × c1)^c2", "c1 varies: 2 … 5", "c2 varies: 2 … 5"
    ]  # fmt: skip
    assert varying(d, [pieces[0], pieces[0]]) == {}
