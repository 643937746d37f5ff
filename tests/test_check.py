"""check_gradients and numerical_gradient: that they find what is wrong and leave no trace."""

import numpy as np
import pytest

from autobp import (
    GradientError,
    Tensor,
    check_gradients,
    custom,
    log_softmax,
    numerical_gradient,
)


def test_agreement_is_reported():
    report = check_gradients(lambda x, p: np.sin(x) * p["w"], np.array([0.5, 1.0]), {"w": 2.0})
    assert report.compared == 6
    assert set(report.modes) == {"forward", "reverse"}
    assert report.error < 1
    assert str(report).startswith("gradients agree: 6 numbers compared; worst: argument ")
    assert check_gradients(np.exp, np.ones(2), order=2).compared == 12


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda g, y, x: -g * np.cos(x), r"argument 0\[.\]"),
        (lambda g, y, x: g, r"argument 0\[.\]"),
        (
            lambda g, y, x: g * np.cos(x) * [1, 1, 1.001],
            r"argument 0\[2\]: forward .*, numerical -?[\d.]+",
        ),
    ],
)
def test_a_wrong_rule_is_found_and_placed(rule, text):
    wrong = custom(np.sin, vjp=rule)
    with pytest.raises(GradientError, match="gradients DISAGREE: .*" + text):
        check_gradients(wrong, np.array([1.0, 2.0, 3.0]))


def test_a_rule_wrong_in_one_mode_is_found():
    right, wrong = lambda t, y, x: t * np.cos(x), lambda t, y, x: t * np.sin(x)
    with pytest.raises(GradientError, match="argument 0: forward"):
        check_gradients(custom(np.sin, vjp=right, jvp=wrong), 1.0)
    with pytest.raises(GradientError, match="argument 0: reverse"):
        check_gradients(custom(np.sin, vjp=wrong, jvp=right), 1.0)


def test_a_rule_that_is_wrong_only_when_differentiated_is_found():
    """First order is right, the dependence of the rule on x is hidden."""
    hidden = custom(
        np.sin, vjp=lambda g, y, x: g * np.cos(x.numpy() if isinstance(x, Tensor) else x)
    )
    check_gradients(hidden, 1.0)
    with pytest.raises(GradientError, match="the (gradient|tangent)'s argument 0"):
        check_gradients(hidden, 1.0, order=2)


def test_paths_into_nests_are_named():
    wrong = custom(np.sin, vjp=lambda g, y, x: g * 2)
    with pytest.raises(GradientError, match=r"argument 1\['b'\]\[0\]\[1\]: "):
        check_gradients(
            lambda x, p: wrong(p["b"][0]), 1.0, {"b": [np.array([np.pi / 3, 2.0])]}, atol=1
        )
    with pytest.raises(ValueError, match="order is 1 or 2, not 3"):
        check_gradients(np.sin, 1.0, order=3)


def test_float32_integers_and_many_elements():
    check_gradients(lambda x: np.tanh(x) * 3, np.linspace(-1, 1, 5, dtype=np.float32), order=2)
    check_gradients(lambda x: x[0] ** 2 * x[1], [1, 2])  # a nest of two numbers
    check_gradients(lambda x: x**2, np.array([1, 2]))
    assert check_gradients(lambda x: x**2, np.ones(500), elements=10).compared == 20


def test_functions_of_tensors_around_them_are_checked_too():
    w = Tensor(2.0)
    check_gradients(lambda x: x * w, 1.0, order=2)


# ── numerical_gradient ────────────────────────────────────────────────────────────────────────────


def cross_entropy(z, y):
    return -np.mean(log_softmax(z)[range(len(y)), y])


def test_of_a_function_of_no_arguments():
    w, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array(0.5)
    gw, gb = numerical_gradient(lambda: np.sum(w**2) * b, [w, b])
    np.testing.assert_allclose(gw, w, rtol=1e-8)
    np.testing.assert_allclose(gb, 30.0, rtol=1e-8)
    assert w.tolist() == [[1, 2], [3, 4]]
    assert b == 0.5


def test_integers_are_converted_with_a_word_and_put_back():
    z, y = np.array([[2, 25, 13], [54, 3, 11]]), [2, 1]
    before = z.copy()
    with pytest.warns(UserWarning, match="parameter 0 is an array of int64: converted to float64"):
        (g,) = numerical_gradient(lambda: cross_entropy(z, y), [z])
    p = np.exp(before - before.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(g, (p - np.eye(3)[y]) / 2, atol=1e-8)
    assert z.dtype == before.dtype
    np.testing.assert_array_equal(z, before)


GLOBAL = np.array([1, 2])


class Model:
    def __init__(self):
        self.w = np.array([1, 2], np.int8)

    def loss(self):
        return np.sum(self.w**2)


@pytest.mark.filterwarnings("ignore:parameter")
def test_integers_are_found_wherever_the_function_reads_them():
    closed, nested, listed, model = (
        np.array([1, 2]),
        {"w": [np.array([1, 2])]},
        [np.array([1, 2])],
        Model(),
    )
    helper = lambda: np.sum(closed**2)
    for f, params in [
        (lambda: np.sum(GLOBAL**2), [GLOBAL]),
        (lambda: helper(), [closed]),
        (lambda: np.sum(nested["w"][0] ** 2), nested["w"]),
        (lambda: np.sum(listed[0] ** 2), listed),
        (model.loss, [model.w]),
        (lambda: model.loss(), [model.w]),
    ]:
        before = params[0]
        np.testing.assert_allclose(numerical_gradient(f, params)[0], [2, 4], rtol=1e-6)
        assert params[0] is before
        assert before.dtype.kind == "i"
        assert before.tolist() == [1, 2]
    assert GLOBAL.dtype == np.array([1]).dtype
    held = (np.array([1, 2]),)
    with pytest.raises(TypeError, match=r"in a tuple, .*: use \.astype\(float\)"):
        numerical_gradient(lambda: np.sum(held[0] ** 2), [held[0]])
    w = np.array([1, 2, 3])
    part = w[:2]
    with pytest.raises(TypeError, match="or a view"):
        numerical_gradient(lambda: np.sum(w**2) + np.sum(part), [w])
    with pytest.raises(TypeError, match="in no place that is known"):
        numerical_gradient(lambda: 0.0, [np.array([1, 2])])


@pytest.mark.filterwarnings("ignore:parameter")
@pytest.mark.parametrize("dtype", [float, int, np.float32])
def test_parameters_are_put_back_when_the_function_raises(dtype):
    w = np.array([1, 2, 3], dtype)
    calls = []

    def f():
        calls.append(w.copy())
        if len(calls) == 3:
            raise KeyError
        return w.sum()

    with pytest.raises(KeyError):
        numerical_gradient(f, [w])
    assert w.dtype == dtype
    assert w.tolist() == [1, 2, 3]
    assert any(c.tolist() != [1, 2, 3] for c in calls)


def test_tensors_are_varied_too():
    w, b = Tensor([1.0, 2.0]), Tensor(3.0)
    loss = lambda: np.sum(w**2) * b
    recorded = loss()
    gw, gb = numerical_gradient(loss, [w, b])
    recorded.backward()
    np.testing.assert_allclose(gw, w.grad, rtol=1e-8)
    np.testing.assert_allclose(gb, b.grad, rtol=1e-8)
    assert b.data == 3.0
    single = Tensor(np.ones(2, np.float32))
    np.testing.assert_allclose(
        numerical_gradient(lambda: np.sum(single**2), [single])[0], 2, rtol=1e-3
    )


def test_numerical_gradient_refusals():
    with pytest.raises(TypeError, match="parameter 0 must be a Tensor or an array of numbers"):
        numerical_gradient(lambda: 0.0, [[1.0, 2.0]])
    w = np.ones(2)
    with pytest.raises(ValueError, match=r"the function must return a number, not shape \(2,\)"):
        numerical_gradient(lambda: w * 2, [w])
    assert w.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.sum(x**2), np.ones(2)),
        (lambda x: x**2, [np.ones(2)]),
        (lambda: 1.0, np.ones(2)),
        (lambda: 1.0, Tensor(1.0)),
        (lambda: 1.0, 1.0),
    ],
)
def test_the_form_of_numerical_gradient_is_explained(f, x):
    with pytest.raises(TypeError, match=r"write numerical_gradient\(lambda: f\(x\), \[x\]\)"):
        numerical_gradient(f, x)
