"""Programs written for micrograd's Value, with Tensor in its place."""

import importlib
import importlib.util
import math
import random

import numpy as np
import pytest

from autobp import Tensor, nn

Value = Tensor

UNARY = {
    "relu": (lambda v: v.relu(), lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "exp": (lambda v: v.exp(), math.exp, math.exp),
    "log": (lambda v: v.log(), math.log, lambda x: 1 / x),
    "tanh": (lambda v: v.tanh(), math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "sigmoid": (
        lambda v: v.sigmoid(),
        lambda x: 1 / (1 + math.exp(-x)),
        lambda x: math.exp(-x) / (1 + math.exp(-x)) ** 2,
    ),
    "sqrt": (lambda v: v.sqrt(), math.sqrt, lambda x: 0.5 / math.sqrt(x)),
    "abs": (lambda v: v.abs(), abs, lambda x: math.copysign(1.0, x)),
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("x", [0.3, 2.0])
def test_methods(name, x):
    method, value, slope = UNARY[name]
    v = Value(x)
    y = method(v)
    y.backward()
    assert y.data == pytest.approx(value(x))
    assert v.grad == pytest.approx(slope(x))
    array = Value(np.array([x, 2 * x], np.float32))
    assert method(array).dtype == np.float32
    np.testing.assert_allclose(method(array).numpy(), [value(x), value(2 * x)], rtol=1e-6)


def test_expressions_of_numbers():
    """With numbers on either side, powers, negation, sums that grow, and uses that repeat."""
    a, b = Value(-3.0), Value(1.5)
    c = a + b
    d = a * b - b**2
    c += c + 2
    c += 3 - a
    d += d * 0.5 + (a - b).relu()
    d += 2 * d + (b - a).relu()
    e = c / d + 4.0 / b
    f = e**2 / 2.0 - -e
    f.backward()

    def plain(a, b):
        c = a + b
        d = a * b - b**2
        c = c + c + 2
        c = c + 3 - a
        d = d + d * 0.5 + max(a - b, 0.0)
        d = d + 2 * d + max(b - a, 0.0)
        e = c / d + 4.0 / b
        return e**2 / 2.0 + e

    eps = 1e-6
    assert f.data == pytest.approx(plain(-3.0, 1.5))
    assert a.grad == pytest.approx((plain(-3.0 + eps, 1.5) - plain(-3.0 - eps, 1.5)) / (2 * eps))
    assert b.grad == pytest.approx((plain(-3.0, 1.5 + eps) - plain(-3.0, 1.5 - eps)) / (2 * eps))


def test_labels():
    x = Value(2.0, label="x")
    y = x * 3
    y.label = "y"
    assert (x.label, x.name, y.label, y.name) == ("x", "x", "y", "y")
    assert repr(x) == "Tensor(2.0, name='x')"
    assert Value(1.0, name="name", label="label").name == "name"


def test_gradients_that_are_set_to_zero():
    x = Value(2.0)
    for _ in range(2):
        x.grad = 0
        (x * x).backward()
        assert x.grad == 4.0
    x.grad = 0.0
    (x * x).backward()
    x.data += -0.25 * x.grad
    assert x.data == 1.0


class Neuron:
    def __init__(self, n_in, nonlinear=True):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(n_in)]
        self.b = Value(0)
        self.nonlinear = nonlinear

    def __call__(self, x):
        act = sum((w * v for w, v in zip(self.w, x)), self.b)
        return act.relu() if self.nonlinear else act

    def parameters(self):
        return [*self.w, self.b]


class Network:
    def __init__(self, n_in, sizes):
        sizes = [n_in, *sizes]
        self.layers = [
            [Neuron(sizes[i], nonlinear=i < len(sizes) - 2) for _ in range(sizes[i + 1])]
            for i in range(len(sizes) - 1)
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = [neuron(x) for neuron in layer]
        return x[0] if len(x) == 1 else x

    def parameters(self):
        return [p for layer in self.layers for neuron in layer for p in neuron.parameters()]

    def zero_grad(self):
        for p in self.parameters():
            p.grad = 0


def test_a_network_of_scalars_learns():
    """A maximum-margin loss with a penalty, and steps written by hand."""
    random.seed(1)
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (40, 2))
    y = np.where(X[:, 0] * X[:, 1] > 0, 1, -1)
    model = Network(2, [8, 1])
    losses, accuracies = [], []
    for k in range(60):
        inputs = [list(map(Value, row)) for row in X]
        scores = list(map(model, inputs))
        margins = [(1 + -t * s).relu() for t, s in zip(y, scores)]
        data_loss = sum(margins) * (1.0 / len(margins))
        loss = data_loss + 1e-4 * sum(p * p for p in model.parameters())
        accuracies.append(sum((t > 0) == (s.data > 0) for t, s in zip(y, scores)) / len(y))
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 60) * p.grad
        losses.append(loss.data)
    assert losses[-1] < 0.5 * losses[0]
    assert accuracies[-1] >= 0.9
    assert f"step {k} loss {loss.data}, accuracy {accuracies[-1] * 100}%".startswith("step 59")


def test_its_own_network(monkeypatch):
    """micrograd's nn.py as it is, where it is installed."""
    theirs = importlib.import_module("micrograd.nn") if _installed("micrograd") else None
    if theirs is None:
        pytest.skip("micrograd is not installed")
    from micrograd.engine import Value as Original

    random.seed(3)
    expected = theirs.MLP(2, [4, 1])
    loss = expected([1.0, -2.0]) ** 2
    loss.backward()
    monkeypatch.setattr(theirs, "Value", Tensor)
    random.seed(3)
    model = theirs.MLP(2, [4, 1])
    again = model([1.0, -2.0]) ** 2
    model.zero_grad()
    again.backward()
    assert isinstance(loss, Original)
    assert isinstance(again, Tensor)
    assert again.data == pytest.approx(loss.data)
    for p, q in zip(model.parameters(), expected.parameters(), strict=True):
        assert p.grad == pytest.approx(q.grad)


def _installed(name):
    return importlib.util.find_spec(name) is not None


def test_sizes_as_micrograd_takes_them():
    model = nn.MLP(2, [16, 16, 1])
    assert [p.shape for p in model.parameters()][::2] == [(16, 2), (16, 16), (1, 16)]
    assert repr(model) == repr(nn.MLP([2, 16, 16, 1]))
    with pytest.raises(ValueError, match=r"MLP: sizes must be a list .* not 2"):
        nn.MLP(2)
