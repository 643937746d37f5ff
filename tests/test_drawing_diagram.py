"""What there is to show of a graph: kinds, names, gradients, and that nothing is touched."""

import numpy as np
import pytest

from autobp import Tensor, conv2d, custom, detect_anomaly, grad, graph, max_pool2d, no_grad, scope
from autobp.drawing.diagram import diagram, local
from autobp.drawing.marks import marks
from tests.drawing import classifier, neuron


def by_name(d):
    return {n.name: n for n in d.nodes}


def test_nodes_come_in_order_with_kinds():
    X = np.ones((2, 3))
    with scope("layer"):
        W = Tensor(np.ones((3, 2)), name="W")
        h = X @ W
    c, x = Tensor(2.0, requires_grad=False, name="c"), Tensor([1.0, 2.0], name="x")
    d = diagram(graph(np.sum(h * x * c)), {"X": X})
    assert {n.name: n.kind for n in d.nodes} == {
        "W": "parameter",
        "X": "constant",
        "t1": "result",
        "c": "constant",
        "x": "input",
        "t4": "result",
        "t5": "result",
        "t6": "result",
    }
    assert all(use.source < use.target for use in d.uses)
    assert [n.index for n in d.nodes] == list(range(len(d.nodes)))
    assert [n.name for n in d.outputs] == ["t6"]


def test_each_use_is_an_edge_of_its_own_and_an_array_one_node():
    A = np.eye(2)
    x = Tensor([1.0, 2.0], name="x")
    d = diagram(graph(np.sum((A @ x) * (A @ x) + x * x)))
    assert [n.name for n in d.nodes if n.tensor is None] == ["array0"]
    square = next(n for n in d.nodes if n.operands == (1, 1) or n.operands == (0, 0))
    assert [u.slot for u in d.uses if u.target == square.index] == [0, 1]


@pytest.mark.parametrize("inside", [False, True])
def test_gradients_equal_the_engines(inside):
    rng = np.random.default_rng(0)
    k = Tensor(rng.normal(size=(2, 1, 3, 3)).astype(np.float32), name="k")
    w = Tensor(rng.normal(size=(8,)).astype(np.float32), name="w")
    images = rng.normal(size=(4, 1, 6, 6)).astype(np.float32)

    def run(k, w):
        h = max_pool2d(np.tanh(conv2d(images, k)), 2)
        y = np.reshape(h, (4, 8)) @ w
        return np.sum(y * y) / 2 + np.max(w)

    if inside:  # seen from within a derivative, what it differentiates is what is drawn
        seen = []

        def f(k, w):
            k.name, w.name = "k", "w"
            seen.append(diagram(graph(y := run(k, w))))
            return y

        expected = grad(f, (0, 1))(k.data, w.data)
        d = seen[0]
    else:
        loss = run(k, w)
        d = diagram(graph(loss))
        loss.backward()
        expected = k.grad, w.grad
    for name, g in zip("kw", expected, strict=True):
        node = by_name(d)[name]
        np.testing.assert_array_equal(node.gradient, g)
        assert node.gradient.dtype == np.float32
    for node in d.nodes:
        shares = [u.contribution for u in d.uses if u.source == node.index]
        if node.kind != "constant" and not node.output:
            np.testing.assert_allclose(sum(shares), node.gradient, rtol=1e-6)


def test_gradients_of_a_level_whose_values_are_tensors():
    seen = []

    def inner(x, y):
        z = np.sin(x * y) * x
        seen.append(diagram(graph(z)))
        return z

    def outer(y):
        return grad(inner)(0.5, y)

    grad(outer)(2.0)
    d = seen[0]
    assert all(type(n.value) is float for n in d.nodes)
    (x,) = (n for n in d.nodes if n.kind == "input")
    assert x.gradient == pytest.approx(np.sin(1.0) + 0.5 * 2 * np.cos(1.0))


def test_nothing_of_the_users_changes():
    called = []
    x, w = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="w")
    x.register_hook(lambda g: called.append(g))
    y = x * w
    y.retain_grad()
    loss = np.sum(y)
    w.grad = np.array([7.0, 7.0])
    with detect_anomaly(), no_grad():
        d = diagram(graph(loss))
    assert called == []
    assert x.grad is None
    assert y.grad is None
    np.testing.assert_array_equal(w.grad, [7.0, 7.0])
    np.testing.assert_array_equal(by_name(d)["x"].gradient, [3.0, 4.0])
    loss.backward()
    np.testing.assert_array_equal(w.grad, [8.0, 9.0])


def test_a_gradient_that_was_not_computed_is_none_and_one_that_is_zero_is_zero():
    x, y = Tensor([1.0, 2.0], name="x"), Tensor(2.0, name="y")
    vector = diagram(graph(x * 2))
    assert all(n.gradient is None for n in vector.nodes)
    assert vector.notes == ["no gradients: they need one scalar result, such as a sum or a mean"]
    d = diagram(graph(np.floor(y) * 1.0 + np.sum(x)))
    assert by_name(d)["y"].gradient == 0.0
    assert diagram(graph(y * 2, y * 3)).nodes[0].gradient is None


def test_replaced_data_is_said_and_not_differentiated():
    w = Tensor(3.0, name="w")
    loss = w * w
    w.data = 5.0
    d = diagram(graph(loss))
    assert [n.name for n in d.nodes] == ["w", "t0"]
    assert d.nodes[0].stale
    assert d.nodes[0].gradient is None
    assert d.notes == ["no gradients: the data of w was replaced after it was used"]
    assert [m.text for m in marks(d)[0]] == ["replaced since"]


def test_a_rule_that_raises_ends_the_sweep_and_no_more():
    def broken(g, y, x):
        raise KeyError("oh")

    f = custom(np.sin, vjp=broken)
    x = Tensor(1.0, name="x")
    d = diagram(graph(f(x) * 2))
    assert [n.gradient for n in d.nodes] == [None, 2.0, 1.0]
    assert d.notes == ["gradients stop where a rule failed: sin: KeyError: 'oh'"]


def test_names_come_from_tensors_then_from_variables():
    a, b, c = Tensor(1.0, name="own"), Tensor(2.0), Tensor(3.0)
    params = {"W": Tensor(4.0)}
    X = np.ones(2)
    _hidden = c
    y = np.sum(a * b * c * params["W"] * X)
    names = {n.name for n in diagram(graph(y), locals()).nodes}
    assert {"own", "b", "c", "params['W']", "X", "y"} <= names


def test_local_derivatives():
    x = Tensor([1.0, 2.0], name="x")
    W = Tensor(np.eye(2), name="W")
    s = Tensor(3.0, name="s")
    d = diagram(graph(np.sum(np.tanh(x @ W) * s)))
    found = {(d.nodes[u.source].name, d.nodes[u.target].operation): local(d, u) for u in d.uses}
    assert found["x", "matmul"] is None  # no array of a handy size
    np.testing.assert_allclose(found["t3", "tanh"], 1 / np.cosh([1.0, 2.0]) ** 2)
    np.testing.assert_array_equal(found["t4", "multiply"], [3.0, 3.0])
    np.testing.assert_allclose(found["s", "multiply"], np.tanh([1.0, 2.0]))
    np.testing.assert_array_equal(found["t5", "sum"], [1.0, 1.0])
    d = diagram(graph(np.floor(s) * s))
    assert local(d, d.uses[0]) == 0.0


def test_the_first_that_is_not_finite_is_marked():
    x = Tensor([1.0, -1.0, 0.0], name="x")
    with np.errstate(all="ignore"):
        y = np.sum(np.log(x) * 2)
    d = diagram(graph(y))
    found = {
        d.nodes[i].name: [m.text for m in some if m.kind == "nonfinite"]
        for i, some in marks(d).items()
    }
    assert found == {
        "t1": ["first NaN: 1 of 3"],
        "t2": ["NaN: 1 of 3"],
        "t3": ["NaN"],
        "x": ["first gradient inf: 1 of 3"],
    }


def test_dead_units_and_zero_gradients_are_marked():
    X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    d = diagram(graph(classifier(2, -1e3, X)))
    found = {d.nodes[i].name: [m.kind for m in some] for i, some in marks(d).items()}
    assert found["W1"] == found["b1"] == ["zero"]
    (dead,) = (m.text for some in marks(d).values() for m in some if m.kind == "dead")
    assert dead == "4 of 4 units dead"
    maps = np.maximum(Tensor(np.stack([np.ones((2, 3, 3)), -np.ones((2, 3, 3))], 1)), 0.0)
    assert "1 of 2 units dead" in [
        m.text for some in marks(diagram(graph(np.sum(maps)))).values() for m in some
    ]
    assert not any(
        m.kind == "dead" for some in marks(diagram(graph(neuron()))).values() for m in some
    )


def test_a_grad_that_is_another_is_marked():
    x = Tensor(3.0, name="x")
    loss = x * x
    loss.backward()
    assert marks(diagram(graph(loss))) == {}
    loss.backward()
    (mark,) = marks(diagram(graph(loss)))[0]
    assert mark.text == ".grad 12"
    x.grad = np.zeros(7)
    (mark,) = marks(diagram(graph(loss)))[0]
    assert mark.kind == "grad"
