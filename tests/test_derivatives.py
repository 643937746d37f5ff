"""grad, vjp, jvp, linearize, jacobian, hessian, hvp: forms, nesting and refusals."""

import copy
import itertools
import math
import re
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import autobp
from autobp import (
    Tensor,
    check_gradients,
    custom,
    detect_anomaly,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    no_grad,
    remat,
    scan,
    sigmoid,
    value_and_grad,
    vjp,
    vmap,
)
from autobp.rules import PRIMITIVES
from autobp.verify.checks import bound, picked, variables
from autobp.verify.samples import RECORDS


def close(found, expected, rtol=1e-12):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-14)


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_gradient_has_the_arguments_form():
    class Layer(NamedTuple):
        w: float
        b: float

    def f(p):
        layer, rest, last = p["layer"], p["rest"], p["last"]
        return layer.w * 2 + layer.b * 3 + rest[0] * 4 + rest[1][0].sum() * 5 + last * 6

    p = {"layer": Layer(1.0, 2), "rest": [3.0, (np.ones(2), None)], "last": np.float32(1)}
    g = grad(f)(p)
    assert g["layer"] == Layer(2.0, 3.0)
    assert g["rest"][0] == 4.0
    assert g["rest"][1][0].tolist() == [5, 5]
    assert g["rest"][1][1] is None
    assert g["last"].dtype == np.float32


def test_results_with_one_element_have_gradients():
    for shape in ((1,), (1, 1)):
        f = lambda x, shape=shape: np.reshape(np.sum(x**3), shape)
        value, gradient = value_and_grad(f)(np.array([1.0, 2.0]))
        assert value.shape == shape
        close(gradient, [3, 12])
        close(hessian(f)(np.array([1.0, 2.0])), [[6, 0], [0, 12]])
    with pytest.raises(ValueError, match=r"grad needs a scalar; this result has shape \(2,\)"):
        grad(lambda x: x)(np.ones(2))


def test_truth_values_vary_with_nothing():
    value, pullback = vjp(lambda x: (x > 0, 2 * x), np.array([1.0, -1.0]))
    assert value[0].tolist() == [True, False]
    assert pullback((np.ones(2), np.ones(2)))[0].tolist() == [2, 2]
    assert vjp(lambda x: x > 0, 3.0)[1](1.0) == (0.0,)
    with pytest.raises(ValueError, match=r"vjp: the cotangent\[0\] has shape \(3,\)"):
        pullback((np.ones(3), np.ones(2)))


def test_numbers_in_numbers_out():
    for x in (3, 3.0, np.float64(3), np.array(3.0), np.array(3)):
        assert type(grad(lambda x: x * x)(x)) is float
        assert grad(lambda x: x * x)(x) == 6.0
    assert grad(lambda x: np.sum(x * x))(np.array([1, 2])).tolist() == [2.0, 4.0]
    g = grad(lambda x: np.sum(x * x))(np.ones(2, np.float32))
    assert type(g) is np.ndarray
    assert g.dtype == np.float32
    assert [type(y) for y in jvp(np.sum, (np.ones(3),), (np.ones(3),))] == [float, float]
    x = np.ones(3, np.float32)
    assert [type(y) for y in jvp(np.sum, (x,), (x,))] == [np.float32, np.float32]


def test_argnums_and_keywords():
    f = lambda x, y, scale=1: scale * x * y**2
    assert grad(f, 1)(2.0, 3.0) == 12.0
    assert grad(f, -1)(2.0, 3.0) == 12.0
    assert grad(f, (0, 1))(2.0, 3.0, scale=2) == (18.0, 24.0)
    assert value_and_grad(f, argnums=[1, 0])(2.0, 3.0) == (18.0, (12.0, 9.0))
    with pytest.raises(ValueError, match="argnums=2, but the function was called with 2 arguments"):
        grad(f, 2)(2.0, 3.0)


def test_what_does_not_depend_has_zero_derivative():
    assert grad(lambda x: 3.0)(2.0) == 0.0
    assert grad(lambda x, y: y * 2.0, (0, 1))(np.ones(2), 1.0)[0].tolist() == [0, 0]
    assert jvp(lambda x: 5.0, (2.0,), (1.0,)) == (5.0, 0.0)
    _y, t = jvp(lambda x: (x, np.ones(2)), (2.0,), (1.0,))
    assert t[0] == 1.0
    assert t[1].tolist() == [0, 0]
    assert jacobian(lambda x: np.ones(3))(np.ones(2)).tolist() == [[0, 0]] * 3
    assert jacobian(lambda x: np.ones(3), mode="forward")(np.ones(2)).tolist() == [[0, 0]] * 3


def test_vjp_and_linearize_serve_many_times():
    y, pullback = vjp(lambda x, w: {"a": x * w, "b": np.sum(x)}, np.array([1.0, 2.0]), 3.0)
    assert y["a"].tolist() == [3, 6]
    for _ in range(2):
        gx, gw = pullback({"a": np.array([1.0, 10.0]), "b": 100.0})
        assert gx.tolist() == [103.0, 130.0]
        assert gw == 21.0
    y, derivative = linearize(lambda x: x**2, np.array([1.0, 2.0]))
    for i in range(2):
        close(derivative(np.eye(2)[i]), np.eye(2)[i] * [2, 4])


def test_results_belong_to_the_caller():
    x = np.ones(3)
    seed = np.ones(3)
    _, pullback = vjp(lambda x: x + 0.0, x)
    (g,) = pullback(seed)
    g += 1
    assert seed.tolist() == [1, 1, 1]
    _y, t = jvp(lambda x: x, (x,), (seed,))
    t += 1
    assert seed.tolist() == [1, 1, 1]
    g = grad(np.sum)(x)
    g += 1  # not a read-only view of a broadcast 1


def test_jacobian_shapes_and_modes_agree():
    a = np.random.default_rng(0).standard_normal((2, 3))
    f = lambda x: np.sin(x @ x.T)
    forward, reverse, auto = (jacobian(f, mode=m)(a) for m in ("forward", "reverse", "auto"))
    assert forward.shape == (2, 2, 2, 3)
    close(forward, reverse)
    close(auto, reverse)
    nested = jacobian(lambda p: {"y": p["a"] * p["b"], "z": p["b"]})({"a": np.ones(2), "b": 2.0})
    assert nested["y"]["a"].tolist() == [[2, 0], [0, 2]]
    assert nested["y"]["b"].tolist() == [1, 1]
    assert nested["z"]["b"] == 1.0
    both = jacobian(lambda x, y: x * y, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    assert both[0].tolist() == [[3, 0], [0, 3]]
    assert both[1].tolist() == [1, 2]
    assert jacobian(lambda x: x[:0])(np.ones(2)).shape == (0, 2)
    assert jacobian(lambda x: x, mode="forward")(np.ones((0, 2))).shape == (0, 2, 0, 2)


def test_jacobian_chooses_by_shape():
    """Wide or tall: the fewer sweeps."""
    sweeps = {"forward": 0, "reverse": 0}

    def count(mode, rule):
        def counted(t, out, x):
            sweeps[mode] += 1
            return rule(t, x)

        return counted

    def run(rows, columns):
        a = np.ones((rows, columns))
        f = custom(
            lambda x: a @ x,
            jvp=count("forward", lambda t, x: a @ t),
            vjp=count("reverse", lambda g, x: a.T @ g),
        )
        sweeps.update(forward=0, reverse=0)
        jacobian(f)(np.ones(columns))
        return dict(sweeps)

    assert run(5, 2) == {"forward": 2, "reverse": 0}
    assert run(2, 5) == {"forward": 0, "reverse": 2}


def test_hessian_and_hvp():
    def rosenbrock(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    x, v = np.array([0.5, 1.5, -0.3]), np.array([1.0, -2.0, 0.5])
    h = hessian(rosenbrock)(x)
    close(h, h.T)
    numerical = np.stack(
        [(grad(rosenbrock)(x + e) - grad(rosenbrock)(x - e)) / 2e-6 for e in 1e-6 * np.eye(3)]
    )
    close(h, numerical, rtol=1e-5)
    close(hvp(rosenbrock, (x,), (v,)), h @ v)
    blocks = hessian(lambda x, y: np.sum(x**2) * y, argnums=(0, 1))(np.ones(2), 3.0)
    close(blocks[0][0], 6 * np.eye(2))
    close(blocks[0][1], [2, 2])
    close(blocks[1][1], 0)
    product = hvp(lambda x, y: x**2 * y, (2.0, 3.0), (1.0, 0.0))
    assert product == (6.0, 4.0)


def test_nests_are_matched_by_key():
    f = lambda p: p["a"] * 10 + p["b"]
    assert jvp(f, ({"a": 1.0, "b": 2.0},), ({"b": 1.0, "a": 0.0},))[1] == 1.0
    _, pullback = vjp(lambda x: {"u": x, "v": 10 * x}, 1.0)
    assert pullback({"v": 1.0, "u": 0.0}) == (10.0,)
    with pytest.raises(
        ValueError,
        match=r"must have the structure of its value, a dict of \[\"'u'\", \"'v'\"\], not",
    ):
        pullback({"u": 1.0, "w": 1.0})
    with pytest.raises(
        TypeError, match="jvp: the primals must be a tuple with one entry per argument, not ndarray"
    ):
        jvp(np.sin, np.ones(2), np.ones(2))


def test_what_vjp_and_linearize_return_and_were_given_may_be_changed():
    x = np.array([1.0, 2.0])
    y, pullback = vjp(np.exp, x)
    z, derivative = linearize(lambda x: x * x, x)
    x[:] = y[:] = z[:] = 7
    close(pullback(np.ones(2))[0], np.exp([1.0, 2.0]))
    close(derivative(np.ones(2)), [2.0, 4.0])
    x = np.ones(3)
    y, _ = jvp(lambda x: x, (x,), (x,))
    y += 1
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("requires_grad", [True, False])
def test_replaced_data_is_noticed_in_every_mode(requires_grad):
    w = Tensor(3.0, name="w", requires_grad=requires_grad)
    _, derivative = linearize(lambda x: w * x, 2.0)
    _, pullback = vjp(lambda x: w * x, 2.0)
    w.data = 100.0
    for use in (derivative, pullback):
        with pytest.raises(RuntimeError, match="the data of 'w' was replaced"):
            use(1.0)


def test_results_that_are_not_numbers_have_zero_derivative():
    value, slope = jvp(lambda x: (x * x, x > 1, 3), (2.0,), (1.0,))
    assert value == (4.0, True, 3)
    assert slope == (4.0, 0.0, 0.0)
    assert jacobian(lambda x: (x, x > 0))(np.ones(2))[1].tolist() == [[0, 0], [0, 0]]


def test_linearize_forgets_tangents_as_it_goes():
    import tracemalloc

    def f(x):
        for _ in range(50):
            x = x * 1.01
        return np.sum(x)

    x = np.ones(100_000)
    _, derivative = linearize(f, x)
    tracemalloc.start()
    derivative(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * x.nbytes


# ── nesting ───────────────────────────────────────────────────────────────────────────────────────

MODES = {
    "reverse": grad,
    "forward": lambda f: lambda x: jvp(f, (x,), (1.0,))[1],
    "linearized": lambda f: lambda x: linearize(f, x)[1](1.0),
    "pulled": lambda f: lambda x: vjp(f, x)[1](1.0)[0],
}


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=3)), ids="-".join)
def test_any_nesting_is_right_three_deep(modes):
    first, second, third = (MODES[m] for m in modes)
    x = 0.7
    close(first(second(third(np.sin)))(x), -math.cos(x))
    close(first(second(third(lambda x: x**5)))(x), 60 * x**2)
    close(first(second(third(np.exp)))(x), math.exp(x))
    f = lambda x: np.sum(np.tanh(x * np.array([1.0, 2.0])) ** 2)
    h, u = 1e-4, lambda x: grad(grad(f))(x)
    close(first(second(third(f)))(x), (u(x + h) - u(x - h)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(MODES, repeat=2)))
def test_perturbations_are_not_confused(outer, inner):
    d, e = MODES[outer], MODES[inner]
    assert d(lambda x: x * e(lambda y: x + y)(1.0))(3.0) == 1.0
    assert d(lambda x: x * e(lambda y: x * y)(2.0))(3.0) == 6.0
    assert d(lambda x: e(lambda y: x)(1.0))(3.0) == 0.0
    assert d(lambda x: e(lambda y: x * y**2)(x))(3.0) == 12.0
    assert d(lambda x: x * e(lambda y: e(lambda z: x * y * z)(y))(x))(2.0) == 4.0


def test_a_branch_taken_on_numbers_is_the_one_taken_on_arrays():
    f = lambda x: np.where(~(x > 1), x, x**2)
    assert grad(f)(2.0) == 4.0
    assert jvp(f, (2.0,), (1.0,)) == (4.0, 4.0)


def test_a_new_tensor_of_a_recorded_one_is_refused():
    with pytest.raises(TypeError, match=r"cannot silently become a new Tensor.*\.detach\(\)"):
        grad(lambda x: Tensor(x) ** 2)(3.0)
    with pytest.raises(TypeError, match="cannot silently become a copy"):
        grad(lambda x: copy.deepcopy([x])[0] ** 2)(3.0)


def test_tensors_outside_are_differentiated_through():
    """A gradient of Tensors is a Tensor, and backward() goes on through it."""
    w = Tensor(3.0)
    g = grad(lambda x: w * x**2)(2.0)
    assert isinstance(g, Tensor)
    g.backward()
    assert w.grad == 4.0
    x = Tensor(2.0)
    d = grad(lambda x: x**3)(x)
    assert d.data == 12.0
    d.backward()
    assert x.grad == 12.0
    with no_grad():
        assert grad(lambda x: w * x**2)(2.0) == 12.0
    _value, slope = jvp(lambda x: w * x, (2.0,), (1.0,))
    assert slope.data == 3.0


def test_backward_inside_a_derivative():
    def f(x):
        y = x.detach()
        w = Tensor(y.data)
        (w**2).backward()
        return x * w.grad

    assert grad(f)(3.0) == 6.0


def test_no_grad_inside_is_constant_in_both_modes():
    def f(x):
        with no_grad():
            y = x * x
        return x * y

    assert grad(f)(3.0) == 9.0
    assert jvp(f, (3.0,), (1.0,)) == (27.0, 9.0)
    assert linearize(f, 3.0)[1](1.0) == 9.0
    with no_grad():
        assert grad(lambda x: x * x)(3.0) == 6.0
        assert jvp(lambda x: x * x, (3.0,), (1.0,)) == (9.0, 6.0)


def test_exceptions_leave_nothing_behind():
    def fails(x):
        if np.exp(x) > 0:
            raise KeyError("on purpose")

    for derivative in MODES.values():
        with pytest.raises(KeyError):
            grad(lambda x: derivative(fails)(x))(1.0)  # noqa: B023
        assert derivative(lambda x: x * x)(3.0) == 6.0


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: grad(lambda x: x * 2)(np.ones(3)), ValueError, r"grad needs a scalar; this result has shape \(3,\): take a sum or a mean"),
        (lambda: grad(lambda x: (x, x))(1.0), TypeError, "grad takes a function that returns a number; this one returned a tuple"),
        (lambda: grad(lambda x: None)(1.0), TypeError, "grad takes a function that returns a number; this one returned a NoneType"),
        (lambda: grad(lambda x: x)("a"), TypeError, r"argument 0: a Tensor holds floating-point numbers"),
        (lambda: grad(lambda p: p["w"])({"w": 1.0, "act": "relu"}), TypeError, r"argument 0\['act'\]: a Tensor holds"),
        (lambda: grad(lambda x: x)(1j), TypeError, "not complex128"),
        (lambda: jvp(lambda x: x, (1.0,), (1.0, 2.0)), ValueError, r"jvp: tangents must have the structure of its value, tuple of 1, not tuple of 2"),
        (lambda: jvp(lambda x: x, (np.ones(2),), (np.ones(3),)), ValueError, r"jvp: tangents\[0\] has shape \(3,\); its value has shape \(2,\)"),
        (lambda: vjp(lambda x: x, np.ones(2))[1](np.ones(3)), ValueError, r"vjp: the cotangent has shape \(3,\); its value has shape \(2,\)"),
        (lambda: vjp(lambda x: (x, x), 1.0)[1](1.0), ValueError, "vjp: the cotangent must have the structure of its value, tuple of 2, not float"),
        (lambda: grad(lambda x, y: x * y, (0, 0))(1.0, 2.0), ValueError, r"argnums=\(0, 0\) names an argument twice"),
        (lambda: jacobian(lambda x: (x, "a"))(np.ones(2)), TypeError, "jacobian differentiates real numbers and arrays of them: a str is none"),
        (lambda: jacobian(lambda x: np.ones(2) * 1j)(np.ones(2)), TypeError, "jacobian differentiates real numbers and arrays of them: an array of complex128 is none"),
        (lambda: jacobian(np.sin, mode="both")(1.0), ValueError, "mode must be 'auto', 'forward' or 'reverse', not 'both'"),
    ],
)  # fmt: skip
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def keeps_a_batch(w):
    kept = []
    vmap(lambda x: kept.append(x * w) or x)(np.ones(3))
    return np.sum(kept[0])


def keeps_a_variable(w):
    kept = []
    grad(lambda v: kept.append(v * w) or v)(w)
    return kept[0] + w


@pytest.mark.parametrize("f", [keeps_a_batch, keeps_a_variable])
@pytest.mark.parametrize(
    "derivative",
    [
        lambda f: grad(f)(2.0),
        lambda f: jvp(f, (2.0,), (1.0,)),
        lambda f: jacobian(lambda w: (w, f(w)))(2.0),
        lambda f: vmap(f)(np.ones(2)),
    ],
)
def test_a_variable_that_has_outlived_its_derivative_is_refused(f, derivative):
    text = "depends on a variable of a derivative or a vmap within this function, which has ended"
    with pytest.raises(TypeError, match=text):
        derivative(f)


# ── custom ────────────────────────────────────────────────────────────────────────────────────────


def test_custom_rules_serve_both_modes_from_either():
    rules = {
        "vjp": lambda g, y, x: 3 * x**2 * g,
        "jvp": lambda t, y, x: 3 * x**2 * t,
    }
    x = np.array([1.0, -2.0])
    for given in ({"vjp"}, {"jvp"}, {"vjp", "jvp"}):
        cube = custom(lambda x: x**3, **{k: rules[k] for k in given})
        check_gradients(cube, x, order=2)
        assert cube(2.0) == 8.0
        assert type(cube(x)) is np.ndarray
        close(MODES["forward"](MODES["reverse"](MODES["forward"](cube)))(2.0), 6.0)


def test_custom_with_several_arguments_parameters_and_broadcasting():
    scaled = custom(
        lambda x, y, power: x * y**power,
        vjp=(
            lambda g, z, x, y, power: g * y**power,
            lambda g, z, x, y, power: g * x * power * y ** (power - 1),
        ),
    )
    check_gradients(
        lambda x, y: scaled(x, y, power=3), np.ones((2, 3)) * 0.5, np.arange(1.0, 4), order=2
    )
    straight = custom(np.multiply, vjp=(lambda g, z, x, y: g * y, None))
    assert grad(straight, (0, 1))(2.0, 3.0) == (3.0, 0.0)
    assert jvp(straight, (2.0, 3.0), (0.0, 1.0))[1] == 0.0


def test_a_custom_rule_does_not_replace_numpys():
    custom(np.sin, vjp=lambda g, y, x: 0 * g)
    assert grad(np.sin)(0.0) == 1.0


def test_custom_rules_may_return_what_they_keep():
    kept = np.ones(2)
    f = custom(lambda x: x.sum(), vjp=lambda g, y, x: kept)
    g = grad(lambda x: f(x) + f(x))(np.zeros(2))
    assert g.tolist() == [2, 2]
    g += 1
    assert kept.tolist() == [1, 1]


def test_custom_refusals():
    with pytest.raises(TypeError, match="needs a rule: vjp=, jvp= or both"):
        custom(np.sin)
    f = custom(np.multiply, vjp=lambda g, z, x, y: g * y)
    with pytest.raises(TypeError, match="multiply has rules for 1 arguments but was called with 2"):
        f(Tensor(1.0), 2.0)
    with pytest.raises(TypeError, match="2 vjp rules and 1 jvp rules"):
        custom(np.multiply, vjp=(None, None), jvp=(None,))
    g = custom(lambda x, scale: x * scale, vjp=lambda g, y, x, scale: g * scale)
    with pytest.raises(TypeError, match="scale is a Tensor; pass Tensors by position"):
        g(1.0, scale=Tensor(2.0))


def test_a_rule_that_takes_bare_values_gives_no_rule_of_the_other_mode():
    by_values = lambda t, y, x: np.array(t.tolist()) * 2 * x
    x, v = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    backward, onward = (custom(np.square, name="squared", **{k: by_values}) for k in ("vjp", "jvp"))
    assert vjp(backward, x)[1](v)[0].tolist() == jvp(onward, (x,), (v,))[1].tolist() == [6, 20]
    with pytest.raises(
        TypeError, match=r"^squared: vjp= takes bare values, .*so that jvp= does not follow"
    ):
        jvp(backward, (x,), (v,))
    with pytest.raises(TypeError, match=r"^squared: jvp= takes bare values, .* or give both$"):
        vjp(onward, x)[1](v)
    flat = custom(np.floor, vjp=lambda g, y, x: np.zeros(x.shape))
    assert jvp(flat, (x,), (v,))[1].tolist() == [0, 0]


def test_custom_rules_are_held_to_their_shapes():
    f = custom(np.sum, vjp=lambda g, y, x: np.ones((4, 7)))
    with pytest.raises(
        ValueError, match=r"a rule of sum returned shape \(4, 7\), which fits neither"
    ):
        grad(f)(np.ones(7))
    g = custom(lambda x: (x, x), vjp=lambda g, y, x: g)
    with pytest.raises(TypeError, match="returned a tuple; a primitive has one result"):
        g(Tensor(1.0))
    h = custom(np.sin, vjp=lambda g, y, x: None, jvp=lambda t, y, x: None)
    assert grad(h)(1.0) == 0.0
    assert jvp(h, (np.ones(2, np.float32),), (np.ones(2, np.float32),))[1].tolist() == [0, 0]
    whole = custom(np.sin, jvp=lambda t, y, x: 0)
    assert jvp(whole, (np.ones(2, np.float32),), (np.ones(2, np.float32),))[1].dtype == np.float32


# ── anomalies ─────────────────────────────────────────────────────────────────────────────────────


def test_anomalies_are_found_where_they_begin():
    here = r"test_derivatives\.py:\d+"
    p = Tensor([0.5, 0.0], name="p")
    with np.errstate(all="ignore"), detect_anomaly():
        with pytest.raises(
            FloatingPointError, match=rf"log made the first inf \(forward\), at .*{here}, from 'p'"
        ):
            p * np.log(p)
        with pytest.raises(
            FloatingPointError, match=rf"divide made the first nan \(forward\), at .*{here}"
        ):
            Tensor(0.0) / 0.0
        with pytest.raises(FloatingPointError, match=r"exp made the first inf"):
            jvp(np.exp, (1e4,), (1.0,))
        y = np.sum(np.sqrt(p))
        with pytest.raises(
            FloatingPointError,
            match=rf"sqrt made the first inf \(backward\), at .*{here}, in the gradient of 'p'",
        ):
            y.backward()
        assert p.grad is None
        single = Tensor(np.ones(3, np.float32), name="single")
        far = np.sum(single.astype(np.float64) * 1e200)
        with pytest.raises(FloatingPointError, match="astype made the first inf .*'single'"):
            far.backward()  # whose gradient single precision cannot hold
        tangent = rf"sqrt made the first inf \(forward, in the tangent\), at .*{here}"
        with pytest.raises(FloatingPointError, match=tangent):
            jvp(np.sqrt, (0.0,), (1.0,))
        with pytest.raises(FloatingPointError, match=tangent):
            linearize(lambda x: np.sqrt(x) * 2, 0.0)[1](1.0)
    with np.errstate(all="ignore"):
        y = np.sqrt(Tensor(0.0))
        with (
            detect_anomaly(),
            pytest.raises(FloatingPointError, match="recorded outside detect_anomaly"),
        ):
            y.backward()


def test_programs_in_the_folder_of_the_package_are_not_the_package():
    """As `autobp demo` runs those of an installed package."""
    program = Path(autobp.__file__).parent / "_demos" / "program.py"
    names = {"__name__": "program", "log": np.log, "x": Tensor(0.0)}
    here = re.escape(f"{program}:3")
    named = pytest.raises(FloatingPointError, match=f"at {here},")
    with np.errstate(all="ignore"), detect_anomaly(), named:
        exec(compile("\n\nlog(x)", program, "exec"), names)


@pytest.mark.parametrize(
    ("write", "operation"),
    [
        (lambda c, x: c.__setitem__(0, 5.0), "multiply"),
        (lambda c, x: c.__setitem__(0, np.nan), "multiply"),
        (lambda c, x: x.data.__setitem__(0, 9.0), "exp"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_array_that_is_changed_before_the_backward_pass_is_noticed(write, operation, dtype):
    def loss():
        return np.sum(c * np.exp(x))

    c, x = np.ones(3, dtype), Tensor(np.zeros(3, dtype), name="x")
    with detect_anomaly():
        total = loss()
        write(c, x)
        message = rf"^{operation}, at .*test_derivatives.py:\d+, was given .*; one of these, or the result, was changed"
        with pytest.raises(RuntimeError, match=message):
            total.backward()
        if not np.isnan(c[0]):
            loss().backward()  # recorded after the change


def test_what_no_rule_uses_may_change():
    c, x = np.ones(3), Tensor(np.zeros(3))
    with detect_anomaly():
        total = np.sum((x + c).reshape(3, 1)) + custom(
            lambda x: x[0] + np.random.default_rng().random(), vjp=lambda g, y, x: g * x
        )(x)
        c[0] = 5.0
        total.backward()


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_unchanged_is_not_blamed(name):
    for sample in RECORDS[name].samples + RECORDS[name].kinks:
        chosen = variables(sample)
        f, xs = bound(PRIMITIVES[name], sample, chosen), picked(sample, chosen)
        for dtype in (np.float64, np.float32):
            with np.errstate(all="ignore"), suppress(FloatingPointError), detect_anomaly():
                y, pullback = vjp(f, *(np.asarray(x, dtype) for x in xs))
                pullback(np.ones_like(y))


def test_anomalies_that_were_given_are_not_held_against_anyone():
    with detect_anomaly():
        masked = np.where([True, False], Tensor([1.0, 2.0]), -np.inf)
        sigmoid(masked).sum().backward()
    bad = Tensor(np.nan) * 2
    with detect_anomaly():
        assert np.isnan((bad * 3).data)
        assert np.nansum(Tensor([np.nan, 2.0])).item() == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda w, x: autobp.softmax(np.where(x > 5, w, -np.inf)), "softmax made the first nan"),
        (lambda w, x: np.where(x > 5, w, -np.inf) * 0.0, "multiply made the first nan"),
        (lambda w, x: w * np.where(x > 0, x, np.nan), "an array of shape .* holds nan, and was given to multiply at .*py:"),
        (lambda w, x: Tensor([np.nan, 0.0, 0.0], name="scale") * w, "'scale' holds nan, and was given to multiply at"),
    ],
)  # fmt: skip
def test_a_nan_of_infinities_and_one_that_comes_in_are_named(make, said):
    x = np.arange(3.0)
    runs = [
        grad(lambda w: np.sum(make(w, x) * w)),
        lambda w: jvp(lambda w: make(w, x), (w,), (w,)),
        vmap(lambda w: make(w * x, x)),
    ]
    for run in runs:
        named = pytest.raises(FloatingPointError, match=said)
        with detect_anomaly(), np.errstate(all="ignore"), named:
            run(np.ones((3, 3)))


def over_a_buffer(step):
    """A sum of steps that are given one array, which is filled again for each."""

    def f(w):
        buffer, total = np.zeros(3), 0.0
        for x in np.arange(15.0).reshape(5, 3):
            buffer[:] = x
            total = total + np.sum(step(w, buffer))
        return total

    return f


def test_a_buffer_that_is_written_over_is_noticed_where_a_rule_reads_it():
    harmless = [
        lambda w, b: (w - b) ** 2,
        lambda w, b: np.exp(w + b),
        lambda w, b: w[b.astype(int) % 3],
    ]
    wrong = [lambda w, b: w * b, lambda w, b: np.maximum(w, b), lambda w, b: b @ w, lambda w, b: np.where(b > 2, w, 0) * b]  # fmt: skip
    with detect_anomaly():
        for step in harmless:
            check_gradients(over_a_buffer(step), np.zeros(3))
        for step in wrong:
            for w in (np.zeros(3), np.ones(3)):  # at 0 the products stay what they are
                with pytest.raises(
                    RuntimeError, match=r"at .*py:\d+, was given .* was changed in place"
                ):
                    grad(over_a_buffer(step))(w)


def test_an_array_is_added_to_the_gradient_of_a_part_that_is_itself_differentiated():
    """The sum must not be taken in place of a Tensor, which makes a new one."""
    C, x = np.array([1.0, 2.0, 3.0]), np.ones(3)
    f = lambda a: np.sum(grad(lambda x: np.sum(x * C) + np.sum(x[[0, 0, 1]] * a))(x) ** 2)
    a = np.array([0.5, 0.7, 0.9])
    first, second = 2 * (C[0] + a[0] + a[1]), 2 * (C[1] + a[2])
    np.testing.assert_allclose(grad(f)(a), [first, first, second])


A = np.array([[2.0, 1.0], [0.5, 3.0]])
CURVED = {
    "several results": lambda x: np.sum(np.linalg.svd(A * x)[1] ** 3) + np.linalg.slogdet(x * A)[1],
    "rows taken apart": lambda x: sum(np.sum(r) ** 3 for r in x * A) + sum(x[0]) * x[1, 0],
    "a nested derivative": lambda x: np.sum(x * grad(lambda z: np.sum(np.sin(z) * x))(x * x)),
    "a constant": lambda x: 3.0,
    "linear": lambda x: np.sum(x),
    "one array in two places": lambda x: np.sum((x + x.T) ** 3) + np.sum(x),
    "a loop": lambda x: np.sum(scan(lambda h, r: (np.tanh(h * r), h), x[0], x)[1] ** 2),
    "computed again": lambda x: np.sum(remat(lambda y: np.sin(y) * x)(x) ** 2),
}


@pytest.mark.parametrize("name", CURVED)
@pytest.mark.parametrize("anomaly", [False, True])
def test_hvp_is_the_tangent_of_the_gradient(name, anomaly):
    f, x, v = CURVED[name], np.array([[0.3, -0.8], [1.1, 0.4]]), np.array([[1.0, -2.0], [0.5, 3.0]])
    of = lambda f: jvp(grad(f), (x,), (v,))[1]
    with detect_anomaly() if anomaly else nullcontext():
        close(hvp(f, (x,), (v,)), of(f))
        inner = lambda x: np.sum(hvp(f, (x,), (v,)) * A)  # a derivative of it
        close(grad(inner)(x), grad(lambda x: np.sum(jvp(grad(f), (x,), (v,))[1] * A))(x))


def test_hvp_calls_hooks_and_owns_what_it_returns():
    def hooked(x):
        x.register_hook(lambda g: 2 * g)
        y = x * x
        y.register_hook(lambda g: g * g)
        return np.sum(y * x)

    x, v = np.array([0.5, -1.0]), np.array([1.0, 2.0])
    close(hvp(hooked, (x,), (v,)), jvp(grad(hooked), (x,), (v,))[1])
    a, b = hvp(lambda x, y: np.sum((x + y) ** 2), (x, x), (v, v))
    assert not np.shares_memory(a, b)
    a, b = hvp(lambda x, y: x[0] * y[0], (x, x), (v, v))
    assert not np.shares_memory(b, v)
    with pytest.raises(
        TypeError, match="hvp takes a function that returns a number; this one returned a tuple"
    ):
        hvp(lambda x: (x, x), (1.0,), (1.0,))
    with pytest.raises(ValueError, match=r"hvp needs a scalar; this result has shape \(2,\)"):
        hvp(lambda x: x, (x,), (v,))
