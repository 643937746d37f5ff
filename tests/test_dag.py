"""Graph: the recorded program as data and as text."""

import numpy as np
import pytest

from autobp import Graph, Tensor, grad, graph, no_grad, scope


def test_nodes_come_in_evaluation_order():
    x, w = Tensor(3.0, name="x"), Tensor(2.0, name="w")
    a = x * w
    b = a + x
    c = np.tanh(b) * a
    g = graph(c)
    assert [t.primitive.name for t in g.operations] == ["multiply", "add", "tanh", "multiply"]
    position = {t: i for i, t in enumerate(g)}
    assert all(position[e.source] < position[e.target] for e in g.edges)
    assert g.inputs == (x, w)
    assert g.counts == {"multiply": 2, "add": 1, "tanh": 1}
    assert len(g) == len(list(g)) == 6
    assert repr(g) == "<Graph of 6 nodes: 2 inputs, 4 operations>"


def test_edges_keep_order_and_repeats():
    x = Tensor(3.0)
    y = x * x
    assert [(e.source is x, e.target is y, e.slot) for e in graph(y).edges] == [
        (True, True, 0),
        (True, True, 1),
    ]


def test_diamonds_are_visited_once():
    x = Tensor(1.0)
    y = x
    for _ in range(200):
        y = y + y  # 2^200 paths
    assert len(graph(y)) == 201
    y.backward()
    assert x.grad == 2.0**200


def test_several_outputs_and_constants():
    x, c = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], requires_grad=False, name="c")
    g = Graph([x * c, np.sum(x)])
    assert g.inputs == (x,)
    assert str(g).splitlines() == [
        "x  = input              [1. 2.]",
        "c  = constant           [3. 4.]",
        "t2 = multiply(x, c)     [3. 8.]",
        "t3 = sum(x)             3.0",
    ]
    with pytest.raises(TypeError, match=r"graph\(\) takes Tensors, not float"):
        graph(3.0)


def test_constant_results_are_shown():
    x, c = Tensor(1.0), Tensor(2.0, requires_grad=False, name="c")
    assert c in list(graph(x * 2, c))
    assert str(graph(c)) == "c = constant     2.0"


def test_text_shows_parameters_constants_and_unique_names():
    x = Tensor(np.ones((2, 3), np.float32), name="x")
    other = Tensor(2.0, name="x")
    y = np.sum(x[0, 1:] * other, axis=0, keepdims=True) + np.arange(9.0)[:, None]
    assert str(graph(y)).splitlines() == [
        "x  = input                              (2, 3) float32",
        "t1 = input                              2.0",
        "t2 = getitem(x, index=[0, 1:])          [1. 1.] float32",
        "t3 = multiply(t2, t1)                   [2. 2.] float32",
        "t4 = sum(t3, axis=0, keepdims=True)     [4.] float32",
        "t5 = add(t4, array(9, 1))               (9, 1)",
    ]


def test_long_programs_are_shortened():
    y = Tensor(1.0, name="x")
    for _ in range(1000):
        y = y * 1.001
    text = str(graph(y))
    assert len(text.splitlines()) == 61
    assert "… 941 more …" in text
    assert len(graph(y).equations().splitlines()) == 1001


def test_a_graph_shows_its_level_alone():
    """Inside a derivative, what belongs to the ones around it is constant."""
    shown = []

    def f(x):
        w = Tensor(2.0, name="w")
        y = x * w
        shown.append([t.requires_grad for t in graph(y)])
        return y

    grad(f)(3.0)
    assert shown == [[True, True, True]]


def test_scopes_and_no_grad_in_graphs():
    x = Tensor(1.0)
    with scope("a"):
        y = x * 2
    with no_grad():
        z = y * 3
    assert [t.scope for t in graph(y)] == [None, "a"]
    assert len(graph(z)) == 1
