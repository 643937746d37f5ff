"""Random programs: both modes against central differences, and what must not change a gradient."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from autobp import Tensor, grad, hvp, jvp, linearize, no_grad, relu, sigmoid, softmax, vjp, vmap

# ── random directed acyclic graphs of operations ──────────────────────────────────────────────────

# Smooth and tame everywhere, so that differences can be trusted.
UNARY = [np.sin, np.tanh, sigmoid, np.arctan, lambda x: np.exp(-x * x), lambda x: x / (1 + x * x)]
BINARY = [np.add, np.subtract, np.multiply, lambda x, y: x / (2 + np.cos(y)), np.hypot, np.arctan2]
SHAPED = [
    lambda x: x.T,
    lambda x: np.sum(x, axis=-1, keepdims=True),
    lambda x: np.mean(x, axis=0),
    lambda x: x - np.mean(x),
    lambda x: np.reshape(np.ravel(x), x.shape),
    lambda x: x[..., ::-1],
    lambda x: x[..., [0, 0, -1]],
    lambda x: np.concatenate([x, x], axis=-1),
    lambda x: x @ x.mT if x.ndim > 1 else x @ x,
    lambda x: np.cumsum(x, axis=-1),
    lambda x: softmax(x, axis=-1),
    lambda x: np.linalg.norm(x + 3.0, axis=-1),
    lambda x: np.where(np.arange(x.shape[-1]) % 2 == 0, x, 0.5),
]


@st.composite
def programs(draw, sizes):
    """A list of steps; each names operations and which earlier results it works on."""
    return [
        (
            draw(st.sampled_from(["unary", "binary", "shaped"])),
            draw(st.integers(0, 99)),
            draw(st.integers(0, 99)),
            draw(st.integers(0, 99)),
        )
        for _ in range(draw(sizes))
    ]


def run(program, *inputs):
    """Results may be used any number of times: diamonds and repeats come by themselves."""
    values = list(inputs)
    for kind, op, i, j in program:
        x, y = values[i % len(values)], values[j % len(values)]
        if kind == "unary":
            result = UNARY[op % len(UNARY)](x)
        elif kind == "binary":
            try:
                np.broadcast_shapes(np.shape(x), np.shape(y))
            except ValueError:
                y = np.sum(y)
            result = BINARY[op % len(BINARY)](x, y + 0.1)
        else:
            result = SHAPED[op % len(SHAPED)](x) if np.ndim(x) and np.size(x) <= 40 else x * 0.9
        values.append(result)
    return sum(np.sum(np.tanh(v)) for v in values[-3:])


def arguments(seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (2, 3)), rng.uniform(-1, 1, 3), float(rng.uniform(-1, 1))


def inner(a, b):
    return sum(float(np.sum(np.multiply(x, y))) for x, y in zip(a, b, strict=True))


@given(programs(st.integers(4, 16)), st.integers(0, 2**32 - 1))
@settings(max_examples=300)
def test_both_modes_agree_with_central_differences(program, seed):
    f = lambda *xs: run(program, *xs)
    xs, us = arguments(seed), arguments(seed + 1)
    h = 1e-5
    shifted = lambda s: f(*(x + s * u for x, u in zip(xs, us, strict=True)))
    numerical = (8 * (shifted(h) - shifted(-h)) - (shifted(2 * h) - shifted(-2 * h))) / (12 * h)
    value, forward = jvp(f, xs, us)
    gradients = grad(f, (0, 1, 2))(*xs)
    assert value == pytest.approx(float(f(*xs)), rel=1e-13, abs=1e-13)
    assert forward == pytest.approx(numerical, rel=1e-6, abs=1e-7)
    assert inner(gradients, us) == pytest.approx(forward, rel=1e-11, abs=1e-11)
    assert linearize(f, *xs)[1](*us) == pytest.approx(forward, rel=1e-11, abs=1e-11)


@given(programs(st.integers(3, 8)), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_second_order_agrees_with_differences_of_gradients(program, seed):
    f = lambda *xs: run(program, *xs)
    xs, us = arguments(seed), arguments(seed + 1)
    ws = arguments(seed + 2)
    h = 1e-5
    g = lambda s: grad(f, (0, 1, 2))(*(x + s * u for x, u in zip(xs, us, strict=True)))
    numerical = (inner(g(h), ws) - inner(g(-h), ws)) / (2 * h)
    found = hvp(f, xs, us)
    assert inner(found, ws) == pytest.approx(numerical, rel=1e-5, abs=1e-6)
    reverse = grad(
        lambda *xs: sum(np.sum(a * b) for a, b in zip(grad(f, (0, 1, 2))(*xs), ws, strict=True)),
        (0, 1, 2),
    )(*xs)
    assert inner(reverse, us) == pytest.approx(inner(found, ws), rel=1e-9, abs=1e-10)


@given(
    programs(st.integers(3, 10)),
    st.integers(0, 2**32 - 1),
    st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
)
@settings(max_examples=60)
def test_a_batch_is_the_loop_over_its_examples(program, seed, mapped):
    f = lambda *xs: run(program, *xs)
    n = 5
    rows = [arguments(seed + i) for i in range(n)]
    xs = [np.stack(column) if m else column[0] for m, column in zip(mapped, zip(*rows))]
    axes = tuple(0 if m else None for m in mapped)
    each = [[x[i] if m else x for m, x in zip(mapped, xs)] for i in range(n)]
    gradient = grad(f, (0, 1, 2))
    product = lambda *xs: hvp(f, xs, xs)

    def compared(found, expected):
        for y, to in zip(found, zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(y, np.stack(to), 1e-9, 1e-11)

    compared([vmap(f, axes)(*xs)], [[f(*row)] for row in each])
    compared(vmap(gradient, axes)(*xs), [gradient(*row) for row in each])
    compared(vmap(product, axes)(*xs), [product(*row) for row in each])
    total = lambda *xs: np.sum(vmap(f, axes)(*xs))
    whole, parts = grad(total, (0, 1, 2))(*xs), [gradient(*row) for row in each]
    for m, y, to in zip(mapped, whole, zip(*parts, strict=True), strict=True):
        to = np.stack(to) if m else sum(to)
        np.testing.assert_allclose(y, to, 1e-9, 1e-11)


# ── what must not change a gradient ───────────────────────────────────────────────────────────────


def network(p, x, y):
    h = relu(x @ p["W1"] + p["b1"])
    return np.mean((sigmoid(h @ p["W2"] + p["b2"]) - y) ** 2)


def setting(seed, dtype=float):
    rng = np.random.default_rng(seed)
    shapes = {"W1": (3, 5), "b1": (5,), "W2": (5, 2), "b2": (2,)}
    p = {k: rng.standard_normal(s).astype(dtype) for k, s in shapes.items()}
    return p, rng.standard_normal((8, 3)).astype(dtype), rng.random((8, 2)).astype(dtype), rng


def same(a, b, rtol=1e-12):
    for k in a:
        np.testing.assert_allclose(a[k], b[k], rtol=rtol, atol=rtol)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_metamorphic(seed):
    p, x, y, rng = setting(seed)
    g = grad(network)(p, x, y)
    # the order of the batch
    order = rng.permutation(8)
    same(g, grad(network)(p, x[order], y[order]))
    # x + 0 and x · 1
    same(g, grad(lambda p: network({k: v * 1.0 + 0.0 for k, v in p.items()}, x, y))(p))
    # reshaped and turned there and back
    turned = lambda p: network(
        {k: np.reshape(np.ravel(v.T.T), v.shape) for k, v in p.items()}, x, y
    )
    same(g, grad(turned)(p))
    # a whole batch and the sum of its shards; a batch of n and n single calls
    for shards in (2, 8):
        parts = [
            grad(network)(p, a, b)
            for a, b in zip(np.split(x, shards), np.split(y, shards), strict=True)
        ]
        same(g, {k: sum(part[k] for part in parts) / shards for k in p})
    # linearity in the seed
    _, pullback = vjp(lambda p: relu(x @ p["W1"] + p["b1"]), p)
    u, v = rng.standard_normal((2, 8, 5))
    whole, left, right = pullback(2 * u + v)[0], pullback(u)[0], pullback(v)[0]
    same(whole, {k: 2 * left[k] + right[k] for k in p})


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_float32_stays_and_agrees_with_float64(seed):
    p, x, y, _ = setting(seed, np.float32)
    g = grad(network)(p, x, y)
    assert {v.dtype for v in g.values()} == {np.dtype(np.float32)}
    wide = grad(network)(
        {k: v.astype(float) for k, v in p.items()}, x.astype(float), y.astype(float)
    )
    same(g, wide, rtol=2e-4)


# ── a machine that does what users do, in any order ───────────────────────────────────────────────


class Naive:
    """A scalar and its derivatives by every leaf, computed at once: slow, and plainly right."""

    def __init__(self, value, slopes):
        self.value, self.slopes = value, slopes

    def combine(self, other, value, mine, theirs):
        keys = self.slopes.keys() | other.slopes.keys()
        slope = lambda k: mine * self.slopes.get(k, 0.0) + theirs * other.slopes.get(k, 0.0)
        return Naive(value, {k: slope(k) for k in keys})


class Sessions(RuleBasedStateMachine):
    """Create, combine, differentiate, zero, update, detach, under no_grad or not."""

    def __init__(self):
        super().__init__()
        self.leaves = []  # (tensor, the gradient it should have)
        self.results = []  # (tensor, naive)
        self.stale = set()

    def pick(self, i):
        return self.results[i % len(self.results)]

    @rule(value=st.floats(-2, 2))
    def create(self, value):
        leaf = Tensor(value)
        self.leaves.append([leaf, None])
        self.results.append((leaf, Naive(value, {id(leaf): 1.0})))

    @rule(
        i=st.integers(0, 99),
        j=st.integers(0, 99),
        op=st.sampled_from(["add", "mul", "sub", "sin"]),
        quiet=st.booleans(),
    )
    def combine(self, i, j, op, quiet):
        if not self.results:
            return
        (x, a), (y, b) = self.pick(i), self.pick(j)
        if abs(a.value) > 1e3 or abs(b.value) > 1e3:
            return
        compute, value, mine, theirs = {
            "add": (lambda: x + y, a.value + b.value, 1.0, 1.0),
            "sub": (lambda: x - y, a.value - b.value, 1.0, -1.0),
            "mul": (lambda: x * y, a.value * b.value, b.value, a.value),
            "sin": (lambda: np.sin(x), math.sin(a.value), math.cos(a.value), 0.0),
        }[op]  # fmt: skip
        naive = a.combine(b if op != "sin" else Naive(0.0, {}), value, mine, theirs)
        if quiet:
            with no_grad():
                result = compute()
            naive = Naive(value, {})
        else:
            result = compute()
        assert result.data == pytest.approx(value, rel=1e-12, abs=1e-12)
        self.results.append((result, naive))

    @rule(i=st.integers(0, 99))
    def detach(self, i):
        if self.results:
            x, a = self.pick(i)
            self.results.append((x.detach(), Naive(a.value, {})))

    @rule(i=st.integers(0, 99), times=st.integers(1, 2))
    def backward(self, i, times):
        if not self.results:
            return
        x, a = self.pick(i)
        if not x.requires_grad:
            with pytest.raises(RuntimeError, match="it is a constant"):
                x.backward()
            return
        for _ in range(times):
            x.backward()
        for entry in self.leaves:
            if id(entry[0]) in a.slopes:
                entry[1] = (entry[1] or 0.0) + times * a.slopes[id(entry[0])]

    @rule(i=st.integers(0, 99))
    def zero(self, i):
        if self.leaves:
            entry = self.leaves[i % len(self.leaves)]
            entry[0].grad = entry[1] = None

    @rule(i=st.integers(0, 99), step=st.floats(-1, 1))
    def update(self, i, step):
        """After a step, what was computed from the old value must refuse."""
        if not self.leaves:
            return
        leaf = self.leaves[i % len(self.leaves)][0]
        leaf.data -= step
        kept = []
        for x, a in self.results:
            if x is leaf:
                kept.append((x, Naive(leaf.data, {id(leaf): 1.0})))
            elif id(leaf) in a.slopes:
                with pytest.raises(RuntimeError, match="was replaced after"):
                    x.backward()
            else:
                kept.append((x, a))
        self.results = kept

    @rule(i=st.integers(0, 99))
    def free(self, i):
        if len(self.results) > 1:
            del self.results[i % len(self.results)]

    @invariant()
    def gradients_are_right(self):
        for leaf, expected in self.leaves:
            assert (leaf.grad is None) == (expected is None)
            if expected is not None:
                assert leaf.grad == pytest.approx(expected, rel=1e-9, abs=1e-9)


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=100, stateful_step_count=50)
