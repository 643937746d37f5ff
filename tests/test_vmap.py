"""vmap: a function of one example on a whole batch, against the loop over the examples."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autobp as ab
from autobp import (
    Tensor,
    compile,
    detect_anomaly,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    nn,
    no_grad,
    remat,
    scan,
    softmax,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)  # fmt: skip
from autobp.errors import NoRuleError
from autobp.operation import of
from autobp.primitive import general
from autobp.rules import PRIMITIVES, batching
from autobp.rules.functions import PLAIN
from autobp.tree import leaves, refilled

R = np.random.default_rng(0)
X, Y, V = R.standard_normal((5, 3, 4)), R.standard_normal((5, 4)), R.standard_normal((5, 4))
W = R.standard_normal((4, 2))
I = R.integers(0, 3, 5)  # noqa: E741 (an index)

# ── every operation has a rule ────────────────────────────────────────────────────────────────────


def test_every_primitive_has_a_batching_rule():
    assert not [n for n, p in PRIMITIVES.items() if batching.of(p.facts) is None]


#: These are answered from the form of an example.
ASKED_FOR_FORM = {np.shape, np.ndim, np.size}


def test_every_function_with_a_plain_result_has_a_batching_rule():
    lacking = {f.__name__ for f in PLAIN if batching.of(of(f)) is None}
    assert lacking == {f.__name__ for f in ASKED_FOR_FORM}


def test_what_has_no_rule_is_refused_by_name():
    bare = general(np.sin, forward=None, reverse=None, name="bare")
    with pytest.raises(NoRuleError, match=r"^vmap: bare has no batching rule.*autobp.custom"):
        vmap(bare)(Y)


# ── against the loop ──────────────────────────────────────────────────────────────────────────────


def plain(y):
    return y.numpy() if isinstance(y, Tensor) else np.asarray(y)


def loop(f, args, axes):
    """What a loop over the examples gives, stacked."""
    n = next(np.shape(a)[k] for a, k in zip(args, axes, strict=True) if k is not None)
    rows = [
        f(*(a if k is None else np.take(a, i, axis=k) for a, k in zip(args, axes, strict=True)))
        for i in range(n)
    ]
    columns = zip(*([plain(y) for _, y in leaves(row)] for row in rows), strict=True)
    return refilled(rows[0], map(np.stack, columns))


def check(f, *args, axes=None, rtol=1e-12):
    axes = axes or (0,) * len(args)
    expected = loop(f, args, axes)
    for run in (vmap(f, axes), compile(vmap(f, axes))):
        found = run(*args)
        pairs = list(zip(leaves(found), leaves(expected), strict=True))
        assert pairs
        for (path, y), (where, to) in pairs:
            assert path == where
            assert plain(y).shape == to.shape
            assert plain(y).dtype == to.dtype
            np.testing.assert_allclose(plain(y), to, rtol, 1e-13)


def net(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


@pytest.mark.parametrize(
    ("f", "args", "axes"),
    [
        (grad(net), (W, X), (None, 0)),
        (grad(net, 1), (W, X), (None, 0)),
        (value_and_grad(net, (0, 1)), (W, Y), (None, 0)),
        (lambda x, v: jvp(lambda x: np.tanh(x @ W), (x,), (v,)), (Y, V), (0, 0)),
        (lambda x, v: linearize(lambda x: np.tanh(x @ W), x)[1](v), (Y[0], V), (None, 0)),
        (lambda x, g: vjp(lambda x: np.tanh(x @ W), x)[1](g), (Y[0], V[:, :2]), (None, 0)),
        (jacobian(lambda x: np.tanh(x @ W)), (Y,), (0,)),
        (jacobian(lambda x: np.tanh(x @ W), mode="forward"), (Y,), (0,)),
        (jacobian(lambda x: np.tanh(x @ W), mode="reverse"), (Y,), (0,)),
        (hessian(lambda x: net(W, x)), (Y,), (0,)),
        (lambda x, v: hvp(lambda x: net(W, x), (x,), (v,)), (Y, V), (0, 0)),
        (vmap(grad(lambda x: np.sum(x**3))), (X,), (0,)),
        (grad(lambda x: np.sum(vmap(lambda r: np.sum(r**3))(x) ** 2)), (X,), (0,)),
        (grad(lambda x: np.sum(vmap(grad(lambda r: np.sum(r**3)))(x) ** 2)), (X,), (0,)),
        (vmap(vmap(lambda x, y: x * y, (0, None)), (0, 0)), (X[..., :3], X[..., 0]), (0, 0)),
        (lambda x: grad(stop_gradient)(np.sum(x)) + np.sum(x * stop_gradient(x)), (Y,), (0,)),
    ],
    ids=lambda a: getattr(a, "__name__", ""),
)
def test_derivatives_inside(f, args, axes):
    check(f, *args, axes=axes)


def test_derivatives_outside():
    per_example = vmap(net, (None, 0))
    total = lambda w, x: np.sum(per_example(w, x) ** 2)
    by_hand = lambda w, x: sum(net(w, r) ** 2 for r in x)
    for derivative in (grad, jacobian):
        np.testing.assert_allclose(derivative(total)(W, X), derivative(by_hand)(W, X), 1e-12)
    np.testing.assert_allclose(
        hvp(lambda w: total(w, X), (W,), (W,)), hvp(lambda w: by_hand(w, X), (W,), (W,)), 1e-11
    )
    losses = per_example(Tensor(W, name="w"), X)
    assert losses.shape == (5,)
    assert losses.requires_grad


@st.composite
def nestings(draw):
    """A function of a vector, and three transformations around it."""
    names = draw(st.lists(st.sampled_from(["vmap", "grad", "jvp", "vjp"]), min_size=3, max_size=3))
    return [*names, draw(st.sampled_from(["tanh", "indexed", "branch", "product"]))]


BODIES = {
    "tanh": lambda x: np.tanh(x * W[0, 0]) + x**2,
    "indexed": lambda x: x[..., [2, 0, 1, 1]] * np.flip(np.sin(x), -1),
    "branch": lambda x: np.where(x > 0, x**2, -x) * np.max(x, axis=-1, keepdims=True),
    "product": lambda x: np.squeeze(np.expand_dims(x, -2) @ (W @ W.T), -2) / (1 + np.sum(x * x)),
}


def wrapped(name, f, mapping):
    if name == "vmap":
        return mapping(f)
    if name == "grad":
        return grad(lambda x: np.sum(f(x) ** 2))
    if name == "jvp":
        return lambda x: jvp(f, (x,), (np.cos(x),))[1]
    return lambda x: vjp(f, x)[1](np.sin(f(x)))[0]


def looped(f):
    return lambda x: np.stack([f(x[i]) for i in range(x.shape[0])])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(nestings())
def test_any_nesting_of_transformations_equals_the_loop(nesting):
    *names, body = nesting
    f = g = BODIES[body]
    for name in reversed(names):
        f, g = wrapped(name, f, vmap), wrapped(name, g, looped)
    x = R.uniform(-1, 1, (2,) * names.count("vmap") + (4,))
    np.testing.assert_allclose(plain(f(x)), plain(g(x)), 1e-9, 1e-11)


# ── indices ───────────────────────────────────────────────────────────────────────────────────────

A = np.random.default_rng(1).standard_normal((6, 2, 3, 4))  # 6 examples
ROWS = np.random.default_rng(2).integers(-2, 2, (6, 2))
ONE = np.random.default_rng(3).integers(0, 2, 6)
INDICES = [
    lambda i, k: 1,
    lambda i, k: (slice(None), None, 0),
    lambda i, k: (..., [1, 0]),
    lambda i, k: ([1, 0], slice(None), [0, 2]),
    lambda i, k: (0, slice(None), [0, 2]),
    lambda i, k: (slice(None), [1, 0], [0, 2]),
    lambda i, k: ([1, 0], ..., [0, 2]),
    lambda i, k: (np.array([True, False]), [0], 1),
    lambda i, k: (np.ones((2, 3), bool), slice(1, 3)),
    lambda i, k: i,
    lambda i, k: (i, i),
    lambda i, k: (slice(None), i),
    lambda i, k: (slice(None), i, i),
    lambda i, k: (i, slice(None), i),
    lambda i, k: (i, slice(None), [[0], [1]]),
    lambda i, k: (i, None, i),
    lambda i, k: k,
    lambda i, k: (slice(None), k),
    lambda i, k: (k, i),
    lambda i, k: (slice(None), k, i),
    lambda i, k: (k, slice(None), [0, 1, 3]),
    lambda i, k: (..., k),
    lambda i, k: (0, ..., k),
    lambda i, k: (slice(None), slice(None, None, -1), i),
]


@pytest.mark.parametrize("index", INDICES, ids=range(len(INDICES)))
@pytest.mark.parametrize("shared", [False, True], ids=["of each", "of one array"])
def test_an_index_finds_and_puts_what_it_does_in_the_loop(index, shared):
    axes = (None if shared else 0, 0, 0)
    x = A[0] if shared else A
    check(lambda x, i, k: Tensor(x, requires_grad=False)[index(i, k)] if shared else x[index(i, k)], x, ROWS, ONE, axes=axes)  # fmt: skip
    squares = lambda x, i, k: np.sum(x[index(i, k)] ** 3)
    check(grad(squares), x, ROWS, ONE, axes=axes)
    check(lambda x, i, k: hvp(lambda x: squares(x, i, k), (x,), (x,)), x, ROWS, ONE, axes=axes)

    def put(x, i, k):
        y = Tensor(x, requires_grad=False) if not isinstance(x, Tensor) else x
        found = y[index(i, k)]
        return y.at[index(i, k)].set(found[..., :1] * 2), y.at[index(i, k)].add(found)

    check(put, x, ROWS, ONE, axes=axes)
    check(grad(lambda x, i, k: np.sum(np.stack(put(x, i, k)) ** 2)), x, ROWS, ONE, axes=axes)


def test_parts_of_one_array_add_up_whatever_each_example_takes():
    x = np.arange(4.0)
    f = lambda x, k: np.sum(x[:2]) + np.sum(x[k]) + np.sum(x[[0, 0]]) + np.sum(x * x[k][0])
    check(grad(f), x, ROWS, axes=(None, 0))


def test_a_mask_of_each_example_writes_one_value():
    def f(x):
        y = Tensor(x, requires_grad=False) if not isinstance(x, Tensor) else x
        return y.at[y > 0].set(0.5)

    check(f, X)


# ── functions with plain results ──────────────────────────────────────────────────────────────────

T = np.round(X, 1)
PLAINLY = {
    "comparisons": lambda x: ((x > 0) & (x < 1) | ~(x == x[0, 0]), x != 2),
    "reflected": lambda x: (x < 1, np.array([True]) & (x > 0), np.ones(4, bool) ^ (x > 0)),
    "tests": lambda x: (np.isnan(x), np.isfinite(x), np.signbit(x), np.isclose(x, 0.1, 0.5), np.isposinf(x)),
    "argmax": lambda x: (np.argmax(x), np.argmin(x, 0), np.argmax(x, axis=-1, keepdims=True), np.nanargmax(x, 1)),
    "all": lambda x: (np.all(x > 0), np.any(x > 0, axis=0), np.count_nonzero(x > 0, axis=1), (x > 0).sum(0)),
    "argsort": lambda x: (np.argsort(x), np.argsort(x, 0), np.argsort(x, axis=None), x.argsort()),
    "argpartition": lambda x: np.sort(np.take_along_axis(x, np.argpartition(x, 1)[:, :2], -1)),
    "lexsort": lambda x: (np.lexsort((x[0], np.round(x[1]))), np.lexsort(x)),
    "searchsorted": lambda x: (np.searchsorted(np.sort(x[0]), x), np.searchsorted([0.0, 0.5], x, "right"), np.searchsorted(np.sort(x[0]), x[0], side="right")),
    "digitize": lambda x: (np.digitize(x, [0.0, 0.5]), np.digitize(x, np.sort(x[0])), np.digitize(0.1, -np.sort(-x[0]), right=True)),
    "histogram": lambda x: (np.histogram(x, 3), np.histogram(x, [-1.0, 0.0, 0.5, 2.0]), np.histogram(x[0], np.sort(x[1])), np.histogram(x, 4, (-1, 1)), np.histogram(0 * x, 3)),
    "weighted histogram": lambda x: (np.histogram(x, 3, weights=x * x, density=True), np.histogram([0.0, 0.1, 0.2, 1.0], 2, weights=x[0]), np.histogram(x, 3, weights=x > 0), np.histogram_bin_edges(x, 4), np.histogram_bin_edges((9 * x).astype(int), 2)),
    "rank": lambda x: (np.linalg.matrix_rank(x), np.linalg.matrix_rank(x, tol=1.0), np.linalg.matrix_rank(np.stack([x, 0 * x]), np.abs(x[0, 0])), np.linalg.matrix_rank(x[0]), np.linalg.matrix_rank(0 * x[0, 0]), np.linalg.matrix_rank(x @ x.T, hermitian=True)),
    "isin": lambda x: (np.isin(x, [0.1, -0.1]), np.isin(x[0], x[1]), np.isin(0.3, x, invert=True)),
    "options": lambda x: (np.isclose(x, 0.1, atol=x[0, 0] ** 2), np.isclose([0.1, 0.2], 0.0, atol=x[0, 0] ** 2), np.allclose(0.1, np.ones(2), rtol=x[0, 0]), np.searchsorted([0.0, 0.5], v=x)),
    "allclose": lambda x: (np.allclose(x, x + 1e-12), np.allclose(x, 0.3, atol=2.0), np.array_equal(x, x), np.array_equal(x, x[0])),
    "like": lambda x: (np.zeros_like(x) + x, np.ones_like(x, shape=(2,)) * x[0, 0], np.full_like(x, 3.0)),
    "whole numbers": lambda x: (np.floor(x).astype(int) % 3, (x > 0).astype(int) << 2, np.argmax(x) // 2 * 2.0),
    "form": lambda x: (np.shape(x), np.ndim(x), np.size(x), len(x), x.size * x),
    "slogdet": lambda x: tuple(np.linalg.slogdet(x @ x.T)),
    "sort": lambda x: (np.sort(x), np.sort(x, axis=0), np.partition(x, 1)[..., 1], np.median(x), np.median(x, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAINLY)
@pytest.mark.filterwarnings("ignore")
def test_functions_with_plain_results(name):
    check(PLAINLY[name], T)


def test_numbers_do_not_become_complex():
    with pytest.raises(TypeError, match="vmap: .* holds numbers, which do not become complex128"):
        vmap(lambda x: x.astype(complex).real)(X)


def test_bins_as_the_values_ask_for_are_refused():
    with pytest.raises(
        TypeError, match=r"np.histogram\(bins='auto'\) of a batch .* use a number of bins"
    ):
        vmap(lambda x: np.histogram(x, "auto"))(X)


# ── axes and nests ────────────────────────────────────────────────────────────────────────────────


def test_any_axis_of_arguments_and_results():
    turned = np.moveaxis(X, 0, 2)
    np.testing.assert_array_equal(vmap(np.tanh, 2)(turned), np.tanh(X))
    np.testing.assert_array_equal(vmap(np.tanh, -1, 1)(turned), np.moveaxis(np.tanh(X), 0, 1))
    np.testing.assert_array_equal(vmap(np.tanh, -1, -1)(turned), np.tanh(turned))
    both = vmap(lambda x, y: (x, {"y": y}), (None, 1), (0, {"y": 1}))(2.0, W)
    np.testing.assert_array_equal(both[0], [2.0, 2.0])
    np.testing.assert_array_equal(both[1]["y"], W)


def test_nests_keywords_and_what_all_examples_share():
    def f(p, x, *, shift, scale=1.0):
        return {"a": p["w"] @ x + shift, "b": [p["b"] * scale, None]}

    p = {"w": R.standard_normal((2, 4)), "b": np.arange(5.0)}
    found = vmap(f, in_axes=({"w": None, "b": 0}, 0))(p, Y, shift=np.ones(5))
    np.testing.assert_allclose(found["a"], Y @ p["w"].T + 1)
    np.testing.assert_array_equal(found["b"][0], p["b"])
    assert found["b"][1] is None


def test_a_result_that_is_the_same_for_all_examples():
    constant, tensor, truth = vmap(lambda x: (2.0, Tensor(W), True))(Y)
    np.testing.assert_array_equal(constant, np.full(5, 2.0))
    assert tensor.shape == (5, 4, 2)
    assert truth.dtype == bool
    assert vmap(lambda x: (x, 3.0), out_axes=(0, None))(Y)[1] == 3.0


def test_results_share_no_memory_with_arguments():
    y = Y.copy()
    for f in (lambda x: x, lambda x: x[::-1], lambda x: np.reshape(x, (2, 2)), lambda x: y):
        assert not np.may_share_memory(vmap(f)(y), y)
        vmap(f)(y)[0] = 7.0
    np.testing.assert_array_equal(y, Y)


def test_an_empty_batch():
    none = np.zeros((0, 3, 4))
    assert vmap(grad(net), (None, 0))(W, none).shape == (0, 4, 2)
    assert vmap(lambda x: np.max(np.reshape(x, -1)) + np.sort(x, None))(none).shape == (0, 12)
    assert vmap(lambda x: 3.0)(none).shape == (0,)


def test_numbers_of_single_precision_stay_so():
    x = Y.astype(np.float32)
    assert vmap(lambda x: np.mean(x * 2.0) * x)(x).dtype == np.float32
    assert vmap(grad(lambda s, x: np.sum(s * x), 1))(np.ones(5), x).dtype == np.float32
    assert vmap(lambda i: i + 1)(I).dtype == I.dtype
    assert vmap(grad(lambda i: i * i))(I).dtype == np.float64


def test_tensors_are_mapped_and_differentiated_by():
    x, w = Tensor(Y, name="x"), Tensor(W, name="w")
    np.sum(vmap(lambda x: x @ w)(x) ** 2).backward()
    np.testing.assert_allclose(w.grad, 2 * Y.T @ (Y @ W))
    np.testing.assert_allclose(x.grad, 2 * Y @ W @ W.T)
    with no_grad():
        assert (
            not isinstance(vmap(lambda x: x @ w)(Y), Tensor)
            or not vmap(lambda x: x @ w)(Y).requires_grad
        )


def test_no_grad_inside():
    def f(x):
        with no_grad():
            factor = x * x
        return np.sum(factor * x)

    check(f, Y)
    check(grad(f), Y)
    check(lambda x: jvp(f, (x,), (x,)), Y)
    np.testing.assert_allclose(grad(lambda x: np.sum(vmap(f)(x)))(Y), Y * Y)


def test_an_update_makes_a_new_array():
    def f(x):
        y = x
        y += 1.0
        y *= x
        return y

    check(lambda x: f(x) if isinstance(x, Tensor) else f(x.copy()) if False else (x + 1.0) * x, Y)
    np.testing.assert_allclose(vmap(f)(Y), (Y + 1) * Y)


# ── modules ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_each_sample_by_all_parameters_of_a_model(compiled):
    model = nn.Sequential(nn.Linear(4, 8, rng=0), nn.LayerNorm(8), "gelu", nn.Linear(8, 3, rng=1))
    loss = lambda p, x, y: nn.cross_entropy(nn.functional_call(model, p, x), y)
    params = model.state_dict()
    each = vmap(grad(loss), (None, 0, 0))
    found = (compile(each) if compiled else each)(params, Y, I)
    for i in range(5):
        one = grad(loss)(params, Y[i], I[i])
        for name, g in one.items():
            np.testing.assert_allclose(found[name][i], g, 1e-9, 1e-12)


@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_draws_for_each_example(compiled):
    layer = nn.Dropout(0.5, rng=7)
    expected = (np.random.default_rng(7).random((5, 4), np.float32) >= 0.5) * 2.0
    f = vmap(layer)
    np.testing.assert_array_equal((compile(f) if compiled else f)(np.ones((5, 4))), expected)
    both = vmap(vmap(nn.Dropout(0.5, rng=7)))(np.ones((5, 4, 1)))
    np.testing.assert_array_equal(both[..., 0], expected)
    each = vmap(grad(lambda x: np.sum(nn.Dropout(0.5, rng=7)(x))))(Y)
    np.testing.assert_array_equal(each, expected)
    attended = nn.scaled_dot_product_attention
    heads = vmap(lambda x: attended(x, x, x, dropout_p=0.5, rng=3))(np.ones((6, 3, 2)))
    assert len({h.tobytes() for h in heads}) > 1


@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_of_what_all_examples_share_draws_for_each(compiled):
    expected = (np.random.default_rng(7).random((5, 4), np.float32) >= 0.5) * 2.0
    layer = nn.Dropout(0.5, rng=7)
    f = vmap(lambda x: layer(np.ones(4)) * x)
    np.testing.assert_array_equal((compile(f) if compiled else f)(np.ones(5)), expected)
    layer = nn.Dropout(0.5, rng=7)  # of parameters, which a derivative is taken by
    f = vmap(grad(lambda w, x: np.sum(layer(w) * x)), (None, 0))
    found = (compile(f) if compiled else f)(np.ones(4), np.ones(5))
    np.testing.assert_array_equal(found, expected)
    layer = nn.Dropout(0.5, rng=7)  # of rows that the batch further out does not share
    f = vmap(lambda x: vmap(lambda y: layer(x) * y)(np.ones(4)))
    np.testing.assert_array_equal(
        (compile(f) if compiled else f)(np.ones((5, 1)))[..., 0], expected
    )
    layer = nn.Dropout(0.5, rng=7)
    assert layer(np.ones((5, 4))).tolist() == expected.tolist()  # and outside of vmap as before


@pytest.mark.parametrize("compiled", [False, True])
def test_a_segment_that_is_run_again_draws_the_same_for_each_example(compiled):
    """Its second run is after the end of vmap."""

    def gradient(run):
        layer = nn.Dropout(0.5, rng=7)
        f = lambda w, X: np.sum(vmap(lambda x: run(lambda x: np.sin(layer(w) * x))(x))(X) ** 2)
        return compile(grad(f)) if compiled else grad(f)

    w = np.arange(1.0, 5.0)
    expected = gradient(lambda f: f)(w, np.arange(5.0))
    np.testing.assert_allclose(gradient(remat)(w, np.arange(5.0)), expected, rtol=1e-13)


def test_a_generator_of_ones_own_draws_once_for_all_examples():
    rng = np.random.default_rng(0)
    y = vmap(lambda x: x + rng.normal())(np.zeros(5))
    assert np.ptp(y) == 0


def test_batch_normalization_uses_averages_and_updates_none():
    layer = nn.BatchNorm1d(4)
    with pytest.raises(
        TypeError, match=r"^BatchNorm1d 'batchnorm': inside vmap each example has averages"
    ):
        vmap(layer)(X)
    assert not layer.running_mean.numpy().any()
    layer.running_mean.data = np.arange(4.0)
    check(layer.eval(), X)
    check(grad(lambda x: np.sum(layer(x) ** 2)), X)


def test_compiled_functions_inside():
    inner = compile(lambda x, w: np.tanh(x @ w))
    check(inner, Y, W, axes=(0, None))
    np.testing.assert_allclose(inner(Y[0], W), np.tanh(Y[0] @ W))  # a program by now
    check(inner, Y, W, axes=(0, None))
    check(compile(grad(lambda x: np.sum(inner(x, W)))), Y)
    with pytest.raises(
        ab.CaptureError, match=r"batch of examples that is not an argument .* vmap\(f\)"
    ):
        vmap(lambda x: compile(lambda y: y * x)(2.0))(Y)


@pytest.mark.parametrize(
    "loss",
    [
        nn.mse, nn.squared_error, nn.huber,
        lambda z, y: nn.cross_entropy(z, softmax(y)),
        lambda z, y: nn.binary_cross_entropy(ab.sigmoid(z), ab.sigmoid(y)),
        lambda z, y: nn.binary_cross_entropy_with_logits(z, ab.sigmoid(y)),
        lambda z, y: nn.hinge(z, np.sign(y)),
        lambda z, y: nn.cross_entropy(z, np.argmax(y), ignore_index=0) + nn.nll(np.sin(z), np.argmax(y)),
        lambda z, y: nn.cross_entropy(z, np.argmax(y), weight=np.arange(1.0, 5.0), label_smoothing=0.1),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_losses(loss):
    check(loss, Y, V)
    check(grad(loss), Y, V)


def test_a_wrong_label_in_any_example_is_found():
    with pytest.raises(ValueError, match=r"the label at \[1\] is 9"):
        vmap(nn.cross_entropy)(Y, np.array([0, 9, 0, 0, 0]))


# ── loops, and what is computed again ─────────────────────────────────────────────────────────────


def read(h, x):
    h = np.tanh(0.5 * h + x)
    return h, h


def states(xs):
    return np.sum(scan(read, 0.0, xs)[1] ** 2)


def grown(h):
    """Of one array with all examples: the carry is a batch from the start, the rows are none."""
    return scan(lambda h, x: (np.sin(h * x) + h, np.sum(h)), h, np.arange(1.0, 4.0))


def joining(w):
    """The carry is a batch after the first iteration."""
    return scan(lambda h, x: (h * w + x, h), np.zeros(4), np.ones((3, 4)))


SCANS = {
    "values": lambda xs: scan(read, 0.0, xs),
    "gradient": grad(states),
    "product with the Hessian": lambda xs: hvp(states, (xs,), (xs,)),
    "reversed": lambda xs: scan(read, 0.0, xs, reverse=True),
    "shared rows": grown,
    "gradient by the carry": grad(lambda h: np.sum(grown(h)[1] ** 2)),
    "a batch later": joining,
    "its gradient": grad(lambda w: np.sum(joining(w)[1] ** 2)),
    "no iteration": lambda w: scan(lambda h, x: (h * w + x, h), np.zeros(4), np.ones((0, 4))),
    "single precision": lambda xs: scan(read, 0.0, xs.astype(np.float32)),
}


@pytest.mark.parametrize("name", SCANS)
def test_a_loop_runs_on_the_batch(name):
    check(SCANS[name], Y)


def test_loops_nest_with_vmap():
    check(vmap(SCANS["values"]), X)
    check(lambda xs: scan(lambda h, x: (vmap(lambda a, b: a * b + 1)(h, x), h), np.ones(4), xs), X)
    total = lambda f: lambda w, xs: np.sum(np.stack([f(w, x) for x in xs]))
    for body in (
        lambda w: lambda h, x: (np.tanh(w * h + x), w * h),
        lambda w: lambda h, x: (w * np.ones(4), h * x),  # which is the same for all examples
    ):
        of_one = lambda w, xs, body=body: np.sum(scan(body(w), np.ones(4) * w, xs)[1] ** 2)
        outside = lambda w, xs, of_one=of_one: np.sum(vmap(of_one, (None, 0))(w, xs))
        for order in (grad, lambda f: grad(grad(f)), lambda f: lambda w, xs: jvp(lambda w: f(w, xs), (w,), (1.0,))[1]):  # fmt: skip
            expected = order(total(of_one))(0.7, X)
            np.testing.assert_allclose(order(outside)(0.7, X), expected, 1e-11)
            np.testing.assert_allclose(compile(order(outside))(0.7, X), expected, 1e-11)


def test_a_compiled_loop_over_batches_is_one_loop():
    run = compile(vmap(grad(states)))
    run(np.ones((3, 40)))
    assert run.source.count("    for ") == 2


segment = remat(lambda x: np.sin(2 * np.tanh(x) * x))
REMATS = {
    "values": lambda x: segment(segment(x)),
    "gradient": grad(lambda x: np.sum(segment(segment(x)))),
    "tangent": lambda x: jvp(segment, (x,), (x,))[1],
    "product with the Hessian": lambda x: hvp(lambda x: np.sum(segment(x)), (x,), (x,)),
    "in a loop": grad(lambda xs: np.sum(scan(remat(read), 0.0, xs)[1] ** 2)),
    "several results": grad(lambda x: np.sum(np.stack(remat(lambda x: (np.sin(x), x * x))(x)))),
    "around vmap": grad(lambda x: np.sum(remat(vmap(lambda r: np.sin(r) * r))(x))),
    "between": grad(lambda x: np.sum(vmap(lambda r: segment(r) ** 2)(x))),
}


@pytest.mark.parametrize("name", REMATS)
def test_what_is_computed_again_is_so_for_the_batch(name):
    check(REMATS[name], Y)


def test_remat_outside_of_the_batch_is_recorded_as_one_operation():
    x = Tensor(Y)
    y = vmap(lambda x: segment(segment(x)))(x)
    assert ab.graph(y).counts == {"remat": 2}


# ── functions with rules of one's own ─────────────────────────────────────────────────────────────

clipped = ab.custom(
    lambda x, w: np.sin(x) @ w,
    vjp=[
        lambda g, y, x, w: np.clip(g @ w.T, -0.5, 0.5) * np.cos(x),
        lambda g, y, x, w: 2 * np.sin(x)[..., None] * g,
    ],
)
cube = ab.custom(
    lambda x, n: x**n, jvp=[lambda t, y, x, n: n * x ** (n - 1) * t, None], name="cube"
)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_a_custom_function_runs_on_the_batch_with_its_own_rules(axes):
    x = Y if axes[0] == 0 else Y[0]
    w = np.stack([W + i for i in range(5)]) if axes[1] == 0 else W
    square = lambda x, w: np.sum(clipped(x, w) ** 2)
    check(clipped, x, w, axes=axes)
    check(grad(square, (0, 1)), x, w, axes=axes)
    check(lambda x, w: jvp(clipped, (x, w), (x, w))[1], x, w, axes=axes)
    check(lambda x, w: hvp(square, (x, w), (x, w)), x, w, axes=axes)
    total = lambda f: lambda x, w: np.sum(np.stack([f(*(a if k is None else a[i] for a, k in zip((x, w), axes))) for i in range(5)]))  # fmt: skip
    outside = lambda x, w: np.sum(vmap(square, axes)(x, w))
    for order in (lambda f: grad(f, (0, 1)), lambda f: lambda x, w: hvp(f, (x, w), (x, w))):
        for found, expected in zip(order(outside)(x, w), order(total(square))(x, w), strict=True):
            np.testing.assert_allclose(found, expected, 1e-11, 1e-12)


def test_a_custom_function_runs_on_batches_of_batches():
    x, w = np.stack([X, X + 1]), np.stack([W, 2 * W])
    deep = lambda f: vmap(vmap(vmap(f, (0, None)), (0, None)))
    plain = lambda x, w: np.sin(x) @ w
    known = ab.custom(
        plain,
        vjp=[lambda g, y, x, w: w @ g * np.cos(x), lambda g, y, x, w: np.sin(x)[:, None] * g],
    )
    norm = lambda f: lambda x, w: np.sum(f(x, w) ** 2)
    for order in (lambda f: f, lambda f: grad(f, (0, 1)), lambda f: hessian(f, 1)):
        inside = [deep(order(norm(f)))(x, w) for f in (known, plain)]
        outside = [order(norm(deep(f)))(x, w) for f in (known, plain)]
        for found, expected in (inside, outside):
            for (_, y), (_, to) in zip(leaves(found), leaves(expected), strict=True):
                np.testing.assert_allclose(y, to, 1e-11, 1e-12)


def test_a_custom_function_of_numbers():
    check(grad(lambda x: cube(x, 3.0)), Y[0])
    check(grad(grad(lambda x, n: cube(x, n))), np.abs(Y[0]), np.arange(2.0, 6.0))


def test_a_custom_function_that_does_not_run_on_a_batch_takes_a_rule():
    counted = lambda x: np.array([float(v) for v in x])
    rules = {"vjp": lambda g, y, x: g, "name": "counted"}
    with pytest.raises(
        NoRuleError, match=r"^vmap: counted does not run on a batch .*float.*batch=rule"
    ):
        vmap(ab.custom(counted, **rules))(Y)
    slowly = lambda run, args, mapped: np.stack([run(x) for x in args[0]])
    check(ab.custom(counted, batch=slowly, **rules), Y)
    with pytest.raises(TypeError, match=r"batch must be a batching rule, batch\(run"):
        ab.custom(counted, batch=True, **rules)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────

HERE = re.escape(__file__)
TABLE = np.arange(3.0)


def line_of(function):
    return f"{HERE}:{function.__code__.co_firstlineno}"


REFUSED = {
    "if": (lambda x: x * 2 if x > 0 else -x, "the truth", "np.where"),
    "while": (lambda x: [x for _ in range(3) if x], "the truth", "np.where"),
    "max": (lambda x: max(x, 0.0), "the truth", "np.where"),
    "float": (lambda x: float(x), "the value", "NumPy's functions"),
    "int": (lambda x: int(x), "the value", "NumPy's functions"),
    "item": (lambda x: x.item(), "the value", "return it"),
    "format": (lambda x: f"{x:.3f}", "the value", "return it"),
    "range": (lambda x: range(x), "the value", r"Tensor\(array, requires_grad=False\)\[i\]"),
    "asarray": (lambda x: np.asarray(x), "the array", "np.stack"),
    "numpy": (lambda x: x.numpy(), "the array", "np.stack"),
    "tolist": (lambda x: x.tolist(), "the list", "NumPy's functions"),
    "table": (lambda x: TABLE[np.floor(x).astype(int)], "the (value|array)", r"Tensor\(array, requires_grad=False\)\[i\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_single_value_is_refused_with_the_line(name):
    f, what, way_out = REFUSED[name]
    with pytest.raises(
        TypeError, match=rf"^vmap: ({what}).* was asked for at {line_of(f)}.*{way_out}"
    ):
        vmap(f)(np.arange(3.0))
    with pytest.raises(TypeError):
        vmap(grad(f))(np.arange(3.0))


def test_a_branch_whose_refusal_is_caught_is_refused_all_the_same():
    def f(x):
        try:
            if x > 0:
                return 2 * x
        except Exception:
            pass
        return -x

    for mapped in (vmap(f), vmap(grad(f)), lambda x: vmap(vmap(f))(x[:, None])):
        with pytest.raises(TypeError, match="^vmap: the truth .* was asked for"):
            mapped(np.arange(-3.0, 3.0))
    assert vmap(lambda x: x * 2)(np.ones(2)).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    "f", [lambda x: x if x in {0.0, 1.0} else -x, lambda x: {0.0: 1.0}.get(x, 0.0)]
)
def test_an_example_is_no_key(f):
    with pytest.raises(
        TypeError,
        match=rf"^vmap: the hash of a number was asked for at {HERE}.*np\.where, or .* np\.take",
    ):
        vmap(f)(np.arange(3.0))


def test_a_parameter_is_not_updated_by_each_example():
    model = nn.Linear(2, 1)

    def step(x):
        with no_grad():
            for p in model.parameters():
                p -= np.sum(x)

    with pytest.raises(TypeError, match="vmap: .* -= a batch of examples, .* after the vmap"):
        vmap(step)(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (np.zeros(2), r"an array of shape \(2,\), and there are 3 examples"),
        (np.zeros(()), r"an array of shape \(\)"),
        (1.0, "1.0"),
        (None, "None"),
        ([1.0, 2.0, 3.0], r"\[1.0, 2.0, 3.0\]"),
    ],
)
def test_the_result_of_a_batching_rule_is_checked(result, text):
    rules = {"vjp": lambda g, y, x: g, "batch": lambda run, args, mapped: result, "name": "total"}
    with pytest.raises(TypeError, match=f"^total: batch= returned {text}"):
        vmap(ab.custom(np.sum, **rules))(np.ones((3, 2)))


def written(x):
    z = np.zeros(3)
    z[:2] = x
    return z


def test_a_batch_is_not_written_into_an_array():
    with pytest.raises(
        TypeError, match=rf"vmap: .*cannot be written into an array, at {HERE}:\d+.*np.stack"
    ):
        vmap(written)(np.arange(3.0))


@pytest.mark.parametrize(
    ("f", "args", "message"),
    [
        (lambda x: x[x > 0], (Y,), r"^vmap: an index that is a mask of a batch gives as many results as .*np.where\(mask"),
        (lambda x: np.nonzero(x), (Y,), r"^vmap: np.nonzero of a batch gives as many results .*np.where"),
        (lambda x: np.where(x), (Y,), r"^vmap: np.where of a batch gives as many"),
        (lambda x: x[: np.argmax(x)], (Y,), "^vmap: a slice of a batch gives as many results"),
        (lambda x: np.sum(x).backward(), (Y,), r"^vmap: backward\(\) of .*vmap\(grad\(f\)\)"),
        (lambda x: "text", (Y,), r"^vmap: the result is a str: a function that is mapped returns numbers"),
        (lambda x: {"a": [print]}, (Y,), r"^vmap: the result\['a'\]\[0\] is a builtin_function"),
        (lambda x: x, (3.0,), "^vmap: argument 0 is a number, which has no axis to map over: in_axes=None"),
        (lambda x, m: x, (Y, nn.Linear(2, 2)), r"^vmap: argument 1 is a Linear, which has no axis.*in_axes=None"),
        (lambda x, y: x, (Y, X[:3]), r"different numbers of examples: argument 0 has shape \(5, 4\) and in_axes=0, that is 5; argument 1 has shape \(3, 3, 4\) and in_axes=0, that is 3"),
        (lambda x: x + np.ones(3), (Y,), r"add: an array of shape \(4,\) and an array of shape \(3,\) do not fit: 3 and 4 on axis -1"),
        (lambda x: x @ np.ones((3, 3)), (Y,), r"matmul: .*4 \(axis 0 of the first\) is not 3"),
        (lambda x: np.sum(x, axis=1), (Y,), "axis 1 is out of bounds for array of dimension 1"),
        (lambda x: Tensor(x), (Y,), "new Tensor"),
    ],
)  # fmt: skip
def test_errors(f, args, message):
    with pytest.raises((TypeError, ValueError), match=message):
        vmap(f)(*args)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vmap(3), "vmap takes a function"),
        (lambda: vmap(np.sin, in_axes=None), "vmap: in_axes is an axis, or a tuple"),
        (lambda: vmap(np.sin, in_axes="0"), "vmap: in_axes is an axis, or a tuple"),
        (lambda: vmap(np.sin, (0, 0))(Y), r"vmap: in_axes has 2 entries.* called with 1 argument by position"),
        (lambda: vmap(np.sin, (None,))(Y), "vmap: no argument has an axis to map over"),
        (lambda: vmap(np.sin, 2)(Y), r"vmap: in_axes=2 for argument 0, which has shape \(5, 4\)"),
        (lambda: vmap(np.sin, 0, 2)(Y), "vmap: out_axes=2 for the result, which has 2 axes"),
        (lambda: vmap(np.sin, 0, None)(Y), "vmap: out_axes=None for the result, which is not the same"),
        (lambda: vmap(np.sin, ({"a": 0},))(Y), "in_axes for argument 0 must have the form of it: a dict of .* is not like a ndarray"),
        (lambda: vmap(lambda p: p["a"], ({"b": 0},))({"a": Y}), r"in_axes for argument 0 must have the form"),
        (lambda: vmap(lambda p: p[0], ((0,),))((Y, Y)), "a tuple of 1 is not like a tuple of 2"),
    ],
)  # fmt: skip
def test_wrong_axes(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_an_anomaly_in_any_example_is_found():
    with detect_anomaly(), np.errstate(all="ignore"):
        with pytest.raises(
            FloatingPointError, match=f"log made the first inf .forward., at {HERE}"
        ):
            vmap(np.log)(np.array([1.0, 0.0]))
        with pytest.raises(
            FloatingPointError, match=f"sqrt made the first inf .backward., at {HERE}"
        ):
            vmap(grad(lambda x: np.sqrt(x)))(np.array([1.0, 0.0]))
        with pytest.raises(
            FloatingPointError, match="sqrt made the first inf .forward, in the tangent."
        ):
            vmap(lambda x: jvp(np.sqrt, (x,), (1.0,)))(np.array([1.0, 0.0]))
        check(grad(lambda x: np.sum(np.tanh(x) ** 2)), Y)


def test_what_is_printed():
    shown = []
    vmap(lambda x: shown.append(repr(x)))(np.array([[1.0], [2.0]]))
    grad(lambda x: (shown.append(repr(x)), x)[1])(1.0)
    assert shown[0] == "<batch of 2 examples: array([[1.],\n       [2.]])>"
    vmap(grad(lambda x: (shown.append(repr(x)), x)[1]))(np.array([1.0, 2.0]))
    assert shown[-1] == "Tensor of <batch of 2 examples: array([1., 2.])>"


# ── functions without a rule, and arguments that are no examples ──────────────────────────────────


def test_a_ufunc_without_a_rule_is_done_element_by_element():
    np.testing.assert_array_equal(vmap(np.nextafter)(Y, np.zeros((5, 4))), np.nextafter(Y, 0))
    whole, part = vmap(np.modf)(Y)[1], vmap(np.modf)(Y)[0]
    np.testing.assert_array_equal(whole + part, Y)
    scipy = pytest.importorskip("scipy.special")
    f = lambda x, y: scipy.k0(x * x) * y
    np.testing.assert_allclose(vmap(f, in_axes=(0, None))(Y, V[0]), f(Y, V[0]), rtol=1e-14)
    for g in (vmap(grad(scipy.k0)), grad(lambda x: np.sum(vmap(scipy.k0)(x)))):
        with pytest.raises(NoRuleError, match="k0 has no rule of differentiation"):
            g(np.ones(3))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: vmap(np.sin)(np.ma.array([1.0, 2.0], mask=[0, 1])), "its mask would be dropped"),
        (lambda: vmap(np.sin)(Y + 1j), "argument 0 holds complex128; examples are made of numbers"),
        (lambda: vmap(lambda x, e: x)(Y, e=1.0), r"argument 'e' is a number.*functools\.partial"),
        (lambda: vmap(lambda x, e: x)(Y, e="a"), r"argument 'e' is a str.*functools\.partial"),
    ],
)
def test_what_is_no_batch_is_named(call, text):
    with pytest.raises((TypeError, ValueError), match=text):
        call()


def test_an_example_is_of_the_type_that_it_is_in_the_loop():
    array = lambda x: x * 2 if isinstance(x, np.ndarray) else x * 3
    np.testing.assert_array_equal(vmap(array)(Y), Y * 2)
    np.testing.assert_array_equal(vmap(vmap(array))(Y), Y * 3)
    number = lambda x: x * 2 if isinstance(x, float) and np.isscalar(x) else x * 3
    np.testing.assert_array_equal(vmap(vmap(number))(Y), Y * 2)
    tensor = lambda x: np.sum(x * 2) if isinstance(x, Tensor) else np.sum(x * 3)
    np.testing.assert_array_equal(vmap(grad(tensor))(Y), np.full(Y.shape, 2.0))
    mine = ab.custom(array, vjp=lambda g, y, x: g * (2 if isinstance(g, np.ndarray) else 9))
    np.testing.assert_array_equal(vmap(mine)(Y), Y * 2)
    np.testing.assert_array_equal(jacobian(mine)(Y[0]), 2 * np.eye(4))


@pytest.mark.parametrize(
    ("f", "kind", "said"),
    [
        (lambda x: x[0, 0], IndexError, "array is 1-dimensional, but 2 were indexed"),
        (lambda x: x[2], IndexError, "index 2 is out of bounds for axis 0 with size 2"),
        (lambda x: x.reshape(5), ValueError, r"cannot reshape array of size 2 into shape \(5,\)"),
        (lambda x: np.concatenate([x, x[None]]), ValueError, r"at index 0 has 1 dimension\(s\)"),
        (lambda x: np.linalg.inv(x), np.linalg.LinAlgError, "1-dimensional array given"),
    ],
)
def test_errors_speak_of_one_example(f, kind, said):
    with pytest.raises(kind, match=said):
        vmap(f)(np.ones((3, 2)))


def test_metrics_within_a_vmap_are_explained():
    for metric in (nn.accuracy, nn.confusion_matrix):
        with pytest.raises(TypeError, match="metrics count over all samples"):
            vmap(metric)(np.ones((3, 4, 2)), np.zeros((3, 4), int))
