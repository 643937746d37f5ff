"""Convolutional networks as programs: the numbers are the same, and images stay as they are in memory."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobp import (
    avg_pool2d,
    compile,
    conv2d,
    grad,
    hvp,
    jvp,
    max_pool2d,
    nn,
    relu,
    value_and_grad,
)
from autobp.compiler.emit import plan
from autobp.tree import leaves

from .memory import peak
from .test_compiler import check
from .test_compiler_source import standalone

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 2, 9, 8))
W, B = RNG.standard_normal((4, 2, 3, 3)), RNG.standard_normal(4)


def same(f, *args, rtol=1e-11):
    """Compile a function; return the program that gives the same numbers as it."""
    return check(f, args, args, tol=rtol)


def body(compiled):
    """The lines of the function itself, without the helpers."""
    source = compiled.source
    return source[source.rindex("\ndef ") :]


def layer(w, b, x, size=2, stride=None):
    return np.sum(np.sin(max_pool2d(relu(conv2d(x, w, b)), size, stride)))


# ── whole programs ────────────────────────────────────────────────────────────────────────────────

KERNELS = st.sampled_from([(3, 3), (2, 2), (1, 1), (3, 1), (1, 3), (2, 3)])
POOLS = {
    "none": lambda x: x,
    "2": lambda x: max_pool2d(x, 2),
    "3": lambda x: max_pool2d(x, 3),
    "2×1": lambda x: max_pool2d(x, (2, 1)),
    "overlapping": lambda x: max_pool2d(x, 2, stride=1),
    "apart": lambda x: max_pool2d(x, 1, stride=2),
    "padded": lambda x: max_pool2d(x, 2, padding=1),
    "mean": lambda x: avg_pool2d(x, 2),
}
FUNCTIONS = {
    "relu": relu,
    "tanh": np.tanh,
    "none": lambda x: x,
    "normed": lambda x: relu(
        (x - x.mean((0, 2, 3), keepdims=True)) / (1 + x.var((0, 2, 3), keepdims=True)) ** 0.5
    ),
}
LAYERS = st.tuples(
    KERNELS,
    st.sampled_from([1, 1, 2, (1, 2)]),
    st.sampled_from([1, 1, 2]),
    st.sampled_from([0, 0, 1]),
    st.booleans(),
    st.sampled_from(["relu", "relu", "tanh", "none", "normed"]),
    st.sampled_from(["2", "2", *POOLS]),
)
METHODS = {
    "gradient": lambda f: value_and_grad(f, argnums=(0, 1)),
    "tangent": lambda f: lambda ps, x: jvp(lambda x: f(ps, x), (x,), (np.cos(x),)),
    "curvature": lambda f: lambda ps, x: hvp(lambda x: f(ps, x), (x,), (np.cos(x),)),
}


@given(
    st.lists(LAYERS, min_size=1, max_size=2),
    st.sampled_from([1, 2, 3]),
    st.sampled_from(list(METHODS)),
    st.integers(0, 2**32 - 1),
)
def test_random_networks(layers, channels, method, seed):
    rng = np.random.default_rng(seed)
    params, given = [], channels
    for kernel, *_ in layers:
        params.append((rng.standard_normal((3, given, *kernel)), rng.standard_normal(3)))
        given = 3

    def network(ps, x):
        for (w, b), (_, stride, dilation, padding, biased, function, pool) in zip(ps, layers):
            if min(x.shape[2:]) < 5:  # the next might not fit
                break
            x = conv2d(x, w, b if biased else None, stride, padding, dilation)
            x = FUNCTIONS[function](x)
            if min(x.shape[2:]) >= 3:
                x = POOLS[pool](x)
        return np.sum(np.sin(x))

    x = rng.standard_normal((2, channels, 11, 12))
    same(METHODS[method](network), params, x, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_share_the_derivative(dtype):
    """Of small whole numbers there are many."""
    x = RNG.integers(-1, 2, (4, 2, 8, 8)).astype(dtype)
    w, b = RNG.integers(-1, 2, (3, 2, 3, 3)).astype(dtype), np.array([1, 0, -1], dtype)
    f = lambda w, b, x: np.sum(max_pool2d(relu(conv2d(x, w, b)), 2) ** 2)
    same(value_and_grad(f, argnums=(0, 1, 2)), w, b, x, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_images_of_another_type(dtype):
    x = RNG.integers(0, 9, X.shape).astype(dtype)
    same(value_and_grad(layer, argnums=(0, 1)), W, B, x)


def test_nan_and_inf():
    x = X.copy()
    x[0, 0, 4, 4], x[1, 1, 2, 2], x[2, 0, 0, 0] = np.nan, np.inf, -np.inf
    f, compiled = grad(layer, argnums=(0, 1)), compile(grad(layer, argnums=(0, 1)))
    with np.errstate(invalid="ignore"):
        for a, b in zip(compiled(W, B, x), f(W, B, x), strict=True):
            np.testing.assert_allclose(a, b, 1e-12)


@pytest.mark.parametrize(
    ("w", "b", "x"),
    [(W, B, X[:0]), (W[:0], B[:0], X), (W[:, :0], B, X[:, :0])],
    ids=["samples", "channels", "channels in"],
)
def test_nothing(w, b, x):
    same(value_and_grad(layer, argnums=(0, 1, 2)), w, b, x)


def test_images_that_are_results_too():
    def f(w, b, x):
        z = conv2d(x, w, b)
        return z, max_pool2d(relu(z), 2), grad(layer, argnums=(0, 1, 2))(w, b, x)

    same(f, W, B, X)


def test_a_program_of_layers():
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(27, 5),
    )  # fmt: skip
    state = net.state_dict()

    def step(x, labels):
        loss = nn.cross_entropy(net(x), labels)
        net.zero_grad()
        loss.backward()
        return [p.grad for p in net.parameters()]

    x, labels = RNG.standard_normal((4, 2, 8, 8)), np.arange(4)
    wanted = step(x, labels)
    net.load_state_dict(state)
    found = compile(step)(x, labels)
    for (_, a), (_, b) in zip(leaves(found), leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


@pytest.mark.parametrize("name", ["greatest", "_joined", "f"])
def test_names_that_helpers_have_too(name, tmp_path):
    given = {"greatest": W, "_joined": X}

    def f(greatest, _joined, given):
        slopes = grad(layer, argnums=(0, 2))
        return slopes(greatest, B, _joined), slopes(given["greatest"], B, given["_joined"])

    f.__name__ = name
    found = standalone(same(f, W, X, given), tmp_path, W, X, given)
    for a, (_, b) in zip(found, leaves(f(W, X, given)), strict=True):
        np.testing.assert_allclose(a, b, 1e-11, 1e-11)


# ── what is shared and used otherwise ─────────────────────────────────────────────────────────────

OTHERS = {
    "windows that overlap": lambda w, b, x: layer(w, b, x, 2, 1),
    "used otherwise": lambda w, b, x: layer(w, b, x) + np.sum(conv2d(x, w, b) ** 2),
    "two sizes": lambda w, b, x: layer(w, b, x) * layer(w, b, x, 3),
    "the mean": lambda w, b, x: np.sum(np.sin(avg_pool2d(relu(conv2d(x, w, b)), 2))),
    "relu too": lambda w, b, x: np.sum(
        max_pool2d(relu(conv2d(x, w, b)), 2) + relu(conv2d(x, w, b)).mean()
    ),
    "not relu": lambda w, b, x: np.sum(max_pool2d(np.tanh(conv2d(x, w, b)), 2) ** 2),
    "another number for each pixel": lambda w, b, x: np.sum(
        max_pool2d(conv2d(x, w) + x[:, :1, 2:, 2:], 2) ** 2
    ),
    "stride": lambda w, b, x: np.sum(np.sin(conv2d(x, w, b, stride=2))),
}


@pytest.mark.parametrize("f", OTHERS.values(), ids=OTHERS)
def test_images_that_are_used_in_other_ways(f):
    same(value_and_grad(f, argnums=(0, 1, 2)), W, B, X)


@pytest.mark.parametrize("stride", [1, 2])
def test_whole_numbers_nan_and_inf_in_maxima_of_relu(stride):
    f = grad(lambda x, g: np.sum(g * max_pool2d(relu(x), 2, stride)))
    x = RNG.integers(-2, 3, (2, 3, 6, 6)).astype(float)
    g = RNG.uniform(1.0, 2.0, max_pool2d(x, 2, stride).shape)
    compiled = compile(f)
    for a in (x, -np.abs(x), np.where(x == 1, np.nan, x), np.where(x == 2, np.inf, x)):
        np.testing.assert_array_equal(compiled(a, g), f(a, g))


def test_kernels_of_many_shapes():
    f = lambda w, x: np.sum(np.sin(conv2d(x, w)))
    for size in ((1, 1), (1, 3), (3, 8)):
        same(grad(f), RNG.standard_normal((4, 2, *size)), X)
    same(grad(f), RNG.standard_normal((4, 1, 3, 1)), X[:, :1])


def test_an_image_that_is_overwritten_is_not_needed_by_the_weights():
    def f(w, u):
        y = conv2d(np.sin(u), w, dilation=(1, 2))
        return np.sum(np.sin(np.exp(y) + np.tanh(y)))

    same(grad(f), W[:1, :1, :2, :2], X[:1, :1, :2, :4])


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def test_elementwise_work_is_done_on_images_as_they_are_in_memory():
    def f(w, b, x):
        y = conv2d(x, w)
        y = (y * 2 + b.reshape(-1, 1, 1)) * np.exp(y - y.mean((0, 2, 3), keepdims=True))
        return np.sum(y) + np.sum(np.tanh(y))

    text = body(same(value_and_grad(f, argnums=(0, 1)), W, B, X))
    assert "(2, 3, 0, 1)" not in text


LARGE = RNG.standard_normal((4, 2, 34, 66)), RNG.standard_normal((4, 8, 32, 64))
FILTERS = RNG.standard_normal((8, 2, 3, 3))


def test_what_images_are_compared_with_is_laid_out_as_they_are_once():
    x, y = LARGE
    w = FILTERS

    def f(w, x, y):
        error = conv2d(x, w) - y
        return np.sum(np.abs(error) * y) + np.mean(error**2) + np.sum(error * y)

    assert body(same(value_and_grad(f, argnums=(0, 2)), w, x, y)).count("laid_out") == 1
    constant = body(same(value_and_grad(lambda w, x: f(w, x, y)), w, x))
    assert "laid_out" not in constant
    assert "vdot" in constant
    spread = body(
        same(value_and_grad(lambda w, x: np.sum(relu(conv2d(x, w)).mean((2, 3)) ** 2)), w, x)
    )
    assert "laid_out" not in spread
    few = body(same(value_and_grad(f), w, x[:1], y[:1]))
    assert "laid_out" not in few
    gone = compile(lambda w, x, y: np.tanh(conv2d(x, w) - y), donate=2)
    np.testing.assert_allclose(gone(w, x, y.copy()), np.tanh(conv2d(x, w) - y), 1e-12)


def test_images_stay_as_they_are_where_they_are_joined_padded_and_cut():
    x, _ = LARGE

    def f(w, v, x):
        y = np.tanh(conv2d(x, w))
        z = np.concatenate([y, np.sin(y[:, 2:])], axis=1)
        z = np.exp(np.pad(z, ((0, 0), (0, 0), (1, 1), (1, 1)))) - 1
        return np.mean(conv2d(z[:, :, :, 2:], v) ** 2)

    v = RNG.standard_normal((2, 14, 3, 3)) / 10
    compiled = same(value_and_grad(f, argnums=(0, 1)), FILTERS, v, x)
    forms = re.findall(r"place\(\d+, \((.*)\), np.float64\)(.*)", compiled.source)
    assert forms
    assert {turned for shape, turned in forms if shape.count(",") == 3} == {
        ".transpose(2, 3, 0, 1)"
    }


def test_images_that_are_turned_in_two_ways():
    x, y = RNG.standard_normal((2, 2, 3, 4, 5))
    first, last = lambda a: np.transpose(a, (0, 3, 1, 2)), lambda a: np.transpose(a, (0, 2, 3, 1))
    same(lambda x, y: np.sin(first(x)) * last(y), x[:, :3, :3, :3], y[:, :3, :3, :3])
    same(lambda x, y: np.vdot(first(x), first(y)), x, y)
    same(lambda x, y: np.vdot(first(x), first(y)), x, y.reshape(5, 4, 3, 2))


def test_counts_of_pixels():
    """The rows that are counted are truth values, also for whoever else uses them."""

    def f(x, k):
        positive = np.transpose(x, (0, 3, 1, 2)) > 0
        count = np.add.reduce(positive, (0, 2, 3))
        return count, np.cumsum(np.reshape(np.transpose(positive, (0, 2, 3, 1)), k.shape) * k, 0)

    same(f, X, np.arange(X.size).reshape(-1, X.shape[-1]))


def test_memory():
    f = value_and_grad(layer, argnums=(0, 1))
    x, w, b = (RNG.standard_normal(s).astype("f") for s in ((32, 1, 28, 28), (32, 1, 3, 3), (32,)))
    compiled = compile(f)
    own = peak(compiled, w, b, x)
    assert 0.9 < compiled.memory / own < 1.1
    assert compiled.memory < 0.7 * peak(f, w, b, x)


def test_large_arrays_are_let_go_when_nobody_needs_them(monkeypatch):
    f = value_and_grad(layer, argnums=(0, 1, 2))
    assert "del " not in body(same(f, W, B, X))  # these are small
    monkeypatch.setattr(plan, "LET_GO", 0)
    text = body(same(f, W, B, X))
    gone = re.findall(r" del (.*)", text)
    assert gone
    for line in gone:
        for name in line.split(", "):
            assert not re.search(rf"\b{name}\b", text.partition(f" del {line}")[2])
