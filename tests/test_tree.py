"""Nests as arguments: tree.map, tree.ravel, dataclasses, and what gives constants."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

from autobp import (
    Tensor,
    compile,
    grad,
    hvp,
    jacobian,
    jvp,
    nn,
    stop_gradient,
    tree,
    value_and_grad,
    vjp,
)


class Point(NamedTuple):
    x: float
    y: float


@dataclass
class Params:
    w: np.ndarray
    b: float
    activation: str = "tanh"


@dataclass(frozen=True)
class Frozen:
    w: np.ndarray
    b: float
    activation: str = "tanh"
    width: int = field(default=3, metadata={"static": True})


@dataclass(slots=True)
class Slots:
    w: np.ndarray
    b: float
    activation: str = "tanh"


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    w: np.ndarray
    b: float
    activation: str = "tanh"


KINDS = [Params, Frozen, Slots, FrozenSlots]
X = np.random.default_rng(0).normal(size=(5, 3))


def loss(p, x):
    assert p.activation == "tanh"
    return np.sum(np.tanh(x @ p.w + p.b) ** 2)


def as_dict(p, x):
    return np.sum(np.tanh(x @ p["w"] + p["b"]) ** 2)


def made(kind, scale=1.0):
    return kind(scale * np.array([0.5, -1.0, 0.25]), scale * 0.1)


# ── dataclasses ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_dataclasses_are_nests(kind):
    p = made(kind)
    plain = {"w": p.w, "b": p.b}
    expected = grad(as_dict)(plain, X)
    found = grad(loss)(p, X)
    assert type(found) is kind
    assert found.activation == "tanh"
    np.testing.assert_allclose(found.w, expected["w"])
    assert found.b == pytest.approx(expected["b"])
    assert p.b == 0.1  # the argument is as it was
    _value, slope = jvp(lambda p: loss(p, X), (p,), (found,))
    np.testing.assert_allclose(slope, np.sum(expected["w"] ** 2) + expected["b"] ** 2)
    _, pullback = vjp(lambda p: loss(p, X), p)
    np.testing.assert_allclose(pullback(1.0)[0].w, expected["w"])
    twice = hvp(lambda p: loss(p, X), (p,), (found,))
    np.testing.assert_allclose(twice.w, hvp(lambda p: as_dict(p, X), (plain,), (expected,))["w"])
    rows = jacobian(lambda p: np.tanh(X @ p.w + p.b))(p)
    assert type(rows) is kind
    assert rows.w.shape == (5, 3)
    assert rows.b.shape == (5,)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_dataclasses_compiled(kind):
    step = compile(value_and_grad(loss))
    for scale in (1.0, 2.0, 3.0, 4.0):
        p = made(kind, scale)
        value, gradient = step(p, X)
        expected, other = value_and_grad(loss)(p, X)
        assert value == pytest.approx(expected)
        assert type(gradient) is kind
        np.testing.assert_allclose(gradient.w, other.w)
        assert gradient.b == pytest.approx(other.b)
    if kind in (Frozen, FrozenSlots):
        assert len(step.programs) == 1


def test_a_compiled_function_of_a_frozen_dataclass_asks_for_its_texts():
    f = compile(lambda p: p.w * (2.0 if p.activation == "tanh" else 3.0))
    np.testing.assert_array_equal(f(Frozen(np.ones(2), 0.0)), [2.0, 2.0])
    np.testing.assert_array_equal(f(Frozen(np.ones(2), 0.0, "relu")), [3.0, 3.0])
    g = compile(lambda p: p.w * p.width)
    np.testing.assert_array_equal(g(Frozen(np.ones(2), 0.0, width=4)), [4.0, 4.0])
    np.testing.assert_array_equal(g(Frozen(np.ones(2), 0.0, width=5)), [5.0, 5.0])


def test_a_dataclass_may_hold_others_and_be_held():
    p = {"layers": [Params(np.ones(2), 1.0), Params(np.zeros(2), 2.0)], "scale": 2.0}
    f = lambda p: p["scale"] * sum(np.sum(q.w * q.b) for q in p["layers"])
    gradient = grad(f)(p)
    np.testing.assert_array_equal(gradient["layers"][1].w, [4.0, 4.0])
    assert gradient["layers"][0].b == 4.0
    assert gradient["scale"] == 2.0
    assert next(path for path, _ in tree.leaves(p)) == "['layers'][0].w"


def test_a_dataclass_that_is_a_function_is_a_nest_too():
    @dataclass
    class Model:
        w: np.ndarray

        def __call__(self, x):
            return x @ self.w

    gradient = grad(lambda m: np.sum(m(X)))(Model(np.zeros(3)))
    np.testing.assert_allclose(gradient.w, X.sum(0))


def test_a_field_that_holds_no_number_is_named():
    @dataclass
    class Odd:
        w: np.ndarray
        function: object

    with pytest.raises(
        TypeError, match=r"argument 0\.function: a Tensor holds floating-point numbers"
    ):
        grad(lambda p: np.sum(p.w))(Odd(np.ones(2), np.sin))


def test_a_tangent_must_be_of_the_same_class():
    with pytest.raises(ValueError, match="must have the structure of its value, Params, not Slots"):
        jvp(lambda p: loss(p, X), (made(Params),), (made(Slots),))


def test_penalties_of_a_dataclass():
    assert nn.l2_penalty(Params(Tensor([3.0, 4.0]), Tensor(0.0))).item() == 25.0


def test_modules_are_leaves():
    with pytest.raises(TypeError, match="argument 0: a Tensor holds floating-point numbers"):
        grad(lambda m: 0.0)(nn.LeakyReLU(0.1))


# ── map and ravel ─────────────────────────────────────────────────────────────────────────────────


def test_map():
    nest = {"a": [1.0, None], "b": (np.ones(2),), "c": Point(1.0, 2.0)}
    doubled = tree.map(lambda x: 2 * x, nest)
    assert doubled["a"] == [2.0, None]
    assert doubled["c"] == Point(2.0, 4.0)
    total = tree.map(lambda x, y, z: x + y + z, nest, nest, doubled)
    np.testing.assert_array_equal(total["b"][0], [4.0, 4.0])
    assert tree.map(np.sin, 0.0) == 0.0
    with pytest.raises(ValueError, match=r"tree\.map: argument 2\['a'\] must have the structure"):
        tree.map(lambda x, y: x, nest, {**nest, "a": 1.0})


NESTS = {
    "number": 2.0,
    "vector": np.arange(3.0),
    "dict": {"W": np.arange(6.0).reshape(2, 3), "b": 1.0, "none": None},
    "list": [1.0, (2.0, [np.ones((1, 1))])],
    "dataclass": Params(np.arange(3.0), 4.0),
    "named tuple": Point(1.0, 2.0),
    "empty": {"a": [], "b": np.zeros((0, 2))},
    "nothing": {},
}


@pytest.mark.parametrize("name", NESTS)
def test_ravel_and_back(name):
    nest = NESTS[name]
    flat, unravel = tree.ravel(nest)
    assert flat.ndim == 1
    again = unravel(flat)
    assert type(again) is type(nest)
    for (path, x), (other, y) in zip(tree.leaves(nest), tree.leaves(again), strict=True):
        assert path == other
        assert type(x) is type(y)
        assert np.shape(x) == np.shape(y)
        np.testing.assert_array_equal(x, y)


def test_derivatives_go_through_ravel_and_back():
    params = {"W": np.arange(6.0).reshape(3, 2), "b": np.float64(0.5)}
    f = lambda p: np.sum(np.tanh(X @ p["W"] + p["b"]))
    flat, unravel = tree.ravel(params)
    expected = tree.ravel(grad(f)(params))[0]
    np.testing.assert_allclose(grad(lambda v: f(unravel(v)))(flat), expected)
    np.testing.assert_allclose(
        grad(lambda p: np.sum(tree.ravel(p)[0] ** 2))(params)["W"], 2 * params["W"]
    )
    np.testing.assert_allclose(compile(grad(lambda v: f(unravel(v))))(flat), expected)
    tensors = tree.map(Tensor, params)
    vector, back = tree.ravel(tensors)
    np.sum(vector * vector).backward()
    np.testing.assert_allclose(tensors["W"].grad, 2 * params["W"])
    assert back(vector)["W"].shape == (3, 2)


def test_a_vector_of_another_size_is_refused():
    _, unravel = tree.ravel([1.0, np.ones(2)])
    with pytest.raises(
        ValueError, match=r"unravel takes a vector of 3 numbers, not one of shape \(4,\)"
    ):
        unravel(np.ones(4))


# ── constants, and what comes along ───────────────────────────────────────────────────────────────


def test_stop_gradient():
    assert grad(lambda x: x * stop_gradient(x * x))(3.0) == 9.0
    assert jvp(lambda x: x * stop_gradient(x * x), (3.0,), (1.0,)) == (27.0, 9.0)
    assert grad(grad(lambda x: x**2 * stop_gradient(x)))(3.0) == 6.0
    assert compile(grad(lambda x: x * stop_gradient(x * x)))(3.0) == 9.0
    nest = stop_gradient({"a": Tensor(1.0), "b": [np.ones(2), None]})
    assert not nest["a"].requires_grad
    assert type(nest["b"][0]) is np.ndarray
    t = Tensor(2.0)
    (t * stop_gradient(t)).backward()
    assert t.grad == 2.0


@pytest.mark.parametrize("make", [lambda f: f, compile], ids=["eager", "compiled"])
def test_has_aux(make):
    def f(w, x):
        p = x @ w
        return np.sum(p**2), {"prediction": p, "name": "f", "constant": x}

    w, x = np.array([1.0, 2.0]), np.eye(2)
    (value, more), gradient = make(value_and_grad(f, has_aux=True))(w, x)
    assert value == 5.0
    assert more["name"] == "f"
    assert type(more["prediction"]) is np.ndarray
    assert type(more["constant"]) is np.ndarray
    np.testing.assert_array_equal(more["prediction"], w)
    np.testing.assert_array_equal(gradient, 2 * w)
    gradient, more = make(grad(f, has_aux=True))(w, x)
    np.testing.assert_array_equal(gradient, 2 * w)
    np.testing.assert_array_equal(more["prediction"], w)
    both, _ = grad(f, argnums=(0, 1), has_aux=True)(w, x)
    assert len(both) == 2


def test_what_comes_along_is_differentiated_from_outside():
    inner = grad(lambda x: (x**3, x**2), has_aux=True)
    assert grad(lambda x: inner(x)[1])(3.0) == 6.0
    assert grad(lambda x: inner(x)[0])(3.0) == 18.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: grad(lambda x: x, has_aux=True)(1.0),
            "has_aux=True: the function must return a pair, a number and something more, not a Tensor",
        ),
        (
            lambda: grad(lambda x: (x, x))(1.0),
            "this one returned a tuple; has_aux=True if the rest is not to be differentiated",
        ),
        (
            lambda: grad(Tensor(1.0) * 2, Tensor(1.0)),
            r"grad takes a function, not a Tensor from multiply: write loss\.backward\(\) and read w\.grad,"
            r" or grad\(f\)\(w\)",
        ),
        (lambda: value_and_grad(Tensor(1.0), [Tensor(1.0)]), "grad takes a function, not a Tensor"),
        (lambda: grad(np.ones(2)), r"write grad\(f\)\(x\), not grad of a ndarray"),
        (
            lambda: grad(lambda w: w, np.ones(2)),
            r"argnums must be the position of an argument, .* function that comes back, grad\(f\)\(w\)",
        ),
        (lambda: jacobian(Tensor(1.0)), r"jacobian takes a function.*jacobian\(f\)\(w\)"),
        (lambda: vjp(Tensor(1.0), 2.0), "vjp takes a function"),
        (lambda: jvp(Tensor(1.0), (2.0,), (1.0,)), "jvp takes a function first"),
    ],
    ids=range(9),
)
def test_what_is_no_function_or_returns_no_pair(call, said):
    with pytest.raises(TypeError, match=said):
        call()
