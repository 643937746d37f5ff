"""Each pass alone: what it makes of a program, and that the program computes the same."""

import tracemalloc
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from autobp import compile, grad, jvp, log_softmax, max_pool2d, relu, sigmoid, value_and_grad
from autobp.compiler.emit.plan import Home, planned
from autobp.compiler.passes import algebra as passes
from autobp.compiler.program import mapped
from autobp.compiler.trace.trace import Trace
from autobp.compiler.trace.tracer import Tracer
from autobp.tree import leaves, transformed

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((5, 5)), RNG.standard_normal((5, 5))
TALL = RNG.standard_normal((200, 7))


def written(f, *args):
    trace = Trace()
    result = f(*(trace.argument(a, f"x{i}") for i, a in enumerate(args)))
    return trace.program(
        transformed(lambda y: y.step if isinstance(y, Tracer) else trace.constant(y), result)
    )


def computed(program, *args):
    values = dict(zip(program.arguments, args, strict=True))
    value = lambda s: s.constant if s.is_constant else values[s]
    for step in program.steps:
        values[step] = step.function(*mapped(value, step.args), **mapped(value, step.params))
    return mapped(value, program.returns)


def counts(program):
    named = lambda f: (
        f"{f.__self__.__name__}.reduce"
        if hasattr(f, "__self__") and isinstance(f.__self__, np.ufunc)
        else f.__name__
    )
    return dict(Counter(named(step.function) for step in program.steps))


def check(run, f, *args, exact=True, also=()):
    """Run a pass, after others if it needs those; the same numbers must come, and what is left is
    returned, by name and number."""
    program = written(f, *args)
    for other in also:
        program = other(program)
    after = run(program)
    for (_, a), (_, b) in zip(leaves(computed(after, *args)), leaves(f(*args)), strict=True):
        np.testing.assert_allclose(a, b, 0 if exact else 1e-13, 0 if exact else 1e-13)
        assert np.result_type(a) == np.result_type(b)
    return counts(passes.without_dead(after)) if run is not passes.without_dead else counts(after)


def test_dead_code():
    assert check(passes.without_dead, lambda a, b: (np.sin(a), a + b)[0], A, B) == {"sin": 1}


def test_common_subexpressions():
    f = lambda a, b: np.exp(a + b) * np.exp(a + b) - np.exp(b + a) + a[1:, 0].sum() * a[1:, 0].sum()
    left = check(passes.cse, f, A, B)
    assert (left["exp"], left["add"], left["getitem"]) == (2, 3, 1)
    assert check(passes.cse, lambda a: (a + 0.0) + (a + -0.0), A)["add"] == 3


def test_constants():
    eye = np.eye(5)
    f = lambda a, b: a @ np.where(eye > 0, 2.0, eye)
    assert check(passes.constant_folding, f, A, B) == {"matmul": 1}

    def g(a):
        c = passes_constant(a)
        return a + np.exp(c * 2)

    trace = Trace()
    a = trace.argument(A, "a")
    passes_constant = lambda _: Tracer(trace, trace.constant(eye), eye)
    program = trace.program(g(a).step)
    assert counts(program) == {"multiply": 1, "exp": 1, "add": 1}
    after = passes.constant_folding(program)
    assert counts(after) == {"add": 1}
    np.testing.assert_array_equal(computed(after, A), A + np.exp(eye * 2))


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda a: 1 * a * 1.0 / 1 - 0, {}),
        (lambda a: np.negative(-a), {"negative": 1}),
        (lambda a: a + -a, {"negative": 1, "subtract": 1}),
        (lambda a: a - -a, {"negative": 1, "add": 1}),
        (lambda a: -a + a, {"negative": 1, "subtract": 1}),
        (lambda a: a.T.T, {}),
        (lambda a: a.mT.mT, {}),
        (lambda a: a**1, {}),
        (lambda a: a.reshape(25).reshape(5, 5), {}),
        (lambda a: a.reshape(25).reshape(1, 25), {"reshape": 1}),
        (lambda a: np.broadcast_to(a, (5, 5)).astype(float), {}),
        (lambda a: +a.copy(), {}),
        (lambda a: a + 0.0, {"add": 1}),  # −0.0 + 0.0 is 0.0
    ],
)
def test_exact_algebra(f, left):
    also = (passes.plain_forms, passes.simplified, passes.without_dead)
    found = check(passes.simplified, f, A, also=also)
    assert {k: v for k, v in found.items() if k != "negative"} == {
        k: v for k, v in left.items() if k != "negative"
    }


def test_types_are_not_simplified_away():
    a = np.arange(3)
    assert check(passes.simplified, lambda a: a * 1.0, a) == {"multiply": 1}
    assert check(passes.simplified, lambda a: a * 1, a[:0].astype(np.float32)) == {}
    assert check(passes.simplified, lambda a: a[0] * np.ones(3), A[0]) == {
        "getitem": 1,
        "multiply": 1,
    }


def test_plain_forms():
    f = lambda a: (a.sum(0), np.mean(a, axis=(0, 1)), a.max(), np.square(a) - a**2, 1 / a, a**0.5)
    with np.errstate(invalid="ignore"):
        left = check(passes.plain_forms, f, np.abs(A))
    assert left == {
        "add.reduce": 2, "divide": 1, "maximum.reduce": 1, "square": 2, "subtract": 1,
        "reciprocal": 1, "sqrt": 1,
    }  # fmt: skip


def test_broadcasts_are_never_made():
    f = lambda a, b: a * np.broadcast_to(b[0], (5, 5)) + np.full((5, 5), 0.5) * a
    assert "broadcast_to" not in check(passes.unspread, f, A, B)
    program = passes.unspread(written(f, A, B))
    assert not [s for s in program.constants() if s.shape]


def test_transposes_are_absorbed_into_products():
    f = lambda a, b: (a @ b).T @ a
    assert check(passes.turned, f, A, B, exact=False) == {"transpose": 2, "matmul": 2}
    twice = lambda a, b: (lambda c: c.T + c)(a @ b)
    assert check(passes.turned, twice, A, B) == {"matmul": 1, "transpose": 1, "add": 1}


def test_sums_of_products_are_products():
    f = lambda a, b: np.sum(a * b) + np.sum(np.square(a)) + np.sum(a * b[0])
    left = check(passes.products_for_sums, f, A, B, exact=False, also=[passes.plain_forms])
    assert (left["vdot"], left["multiply"]) == (2, 1)


def test_sums_of_rows_are_products_with_ones():
    f = lambda x: (x.sum(0), x.sum(1), np.sum(x, 1, keepdims=True), np.sum(x, 0, keepdims=True))
    left = check(passes.sums_as_products, f, TALL, exact=False, also=[passes.plain_forms])
    assert left == {"matmul": 4}
    assert check(passes.sums_as_products, lambda n: n.sum(0), np.ones((9, 9), int)) == {"sum": 1}


def test_factors_are_one():
    left = check(passes.one_factor, lambda a: -(0.1 * (3 * a)) / 7, A, exact=False)
    assert left["multiply"] <= 2
    f = lambda a: 2 * (lambda b: b + 0.5 * b)(3 * a)
    assert check(passes.one_factor, f, A, exact=False)["multiply"] == 3


def test_maxima_of_short_rows():
    spoilt = TALL.copy()
    spoilt[3, 2] = np.nan
    for x in (TALL, spoilt):
        f = lambda x: (x.max(1), np.min(x, axis=-1, keepdims=True), x.max(0))
        left = check(passes.maxima_of_short_rows, f, x, also=[passes.plain_forms])
        assert (left["ascontiguousarray"], left["maximum.reduce"]) == (2, 2)


def test_distinct_places_are_assigned():
    rows, labels = np.arange(6), np.array([0, 2, 1, 1, 0, 2])
    x = RNG.standard_normal((6, 3))
    put = grad(lambda x, i: np.sum(x[rows, i] ** 2))
    program = passes.distinct_places(written(put, x, labels))
    assert counts(program)["placed"] == 1
    np.testing.assert_allclose(computed(program, x, labels), put(x, labels))
    again = grad(lambda x, i: np.sum(x[i] ** 2))
    assert "placed" not in counts(passes.distinct_places(written(again, x, labels)))


def test_relu_tells_where_it_was_positive():
    program = written(grad(lambda x: np.sum(relu(x))), A)
    after = passes.signs_from_relu(program)
    (greater,) = (s for s in after.steps if s.function is np.greater)
    assert greater.args[0].function is np.maximum
    for x in (A, np.array([0.0, -0.0, np.nan, np.inf, -np.inf])):
        np.testing.assert_array_equal(
            computed(passes.signs_from_relu(written(grad(lambda x: np.sum(relu(x))), x)), x),
            np.where(x > 0, 1.0, 0.0),
        )


@pytest.mark.parametrize("stride", [1, 2])
def test_where_maxima_are_positive_is_asked_of_them(stride):
    """The image is the last that is compared with 0, and the maxima are fewer."""
    f = grad(lambda x, g: np.sum(g * max_pool2d(relu(x), 2, stride)))
    x = RNG.integers(-2, 3, (2, 3, 6, 6)).astype(float)
    g = RNG.uniform(1.0, 2.0, max_pool2d(x, 2, stride).shape)
    program = written(f, x, g)
    for run in (passes.signs_from_relu, passes.signs_of_maxima, passes.without_dead):
        program = run(program)
    (greater,) = (s for s in program.steps if s.function is np.greater)
    assert greater.shape == g.shape
    for a in (x, -np.abs(x), np.where(x == 1, np.nan, x), np.where(x == 2, np.inf, x)):
        np.testing.assert_array_equal(computed(program, a, g), f(a, g))


def test_errstate_is_entered_once_for_a_run():
    f = lambda x: sigmoid(sigmoid(x) + 1.0)
    compiled = compile(f)
    for _ in range(2):
        np.testing.assert_allclose(compiled(A), f(A), 1e-14)
    assert compiled.source.count("errstate") == 1


# ── places ────────────────────────────────────────────────────────────────────────────────────────


def test_places_are_shared_by_what_does_not_live_together():
    def f(x):
        for _ in range(10):
            x = np.tanh(x @ x)
        return np.sum(x)

    program = passes.optimized(written(f, A))
    plan = planned(program)
    assert plan.size <= 2 * (A.nbytes + 64)
    live = [
        (p.start, p.start + p.nbytes, p.first, p.last)
        for p in set(plan.buffers.values())
        if p.home is Home.ARENA
    ]
    for i, (a, b, first, last) in enumerate(live):
        assert a % 64 == 0
        for c, d, start, end in live[:i]:
            assert b <= c or d <= a or last < start or end < first


def network(p, x, labels):
    h = x
    for W, b in p[:-1]:
        h = relu(h @ W + b)
    W, b = p[-1]
    return -np.mean(log_softmax(h @ W + b)[np.arange(len(x)), labels])


def held(f, *args):
    """The most memory that a call takes, when it is not the first."""
    f(*args)
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_peak_memory_is_less_than_eager():
    sizes = [50, 300, 300, 10]
    p = [(RNG.standard_normal((m, n)) * 0.1, np.zeros(n)) for m, n in pairwise(sizes)]
    x, labels = RNG.standard_normal((1000, 50)), RNG.integers(0, 10, 1000)
    eager = value_and_grad(network)
    compiled = compile(eager)

    ours, theirs = held(compiled, p, x, labels), held(eager, p, x, labels)
    assert compiled.memory < 0.7 * theirs
    assert ours < compiled.memory + 200_000  # the room is there already
    np.testing.assert_allclose(compiled(p, x, labels)[0], eager(p, x, labels)[0], 1e-12)


def test_results_are_reused_only_if_that_was_asked_for():
    f = lambda x: (x * 2, np.exp(x @ x))
    kept, reused = compile(f), compile(f, reuse=True)
    kept(A), reused(A)
    first, second = kept(A), kept(B)
    np.testing.assert_array_equal(first[0], A * 2)
    assert not np.shares_memory(first[0], second[0])
    first = reused(A)
    np.testing.assert_allclose(first[1], np.exp(A @ A))
    second = reused(B)
    assert np.shares_memory(first[0], second[0])
    assert not np.shares_memory(first[0], first[1])
    np.testing.assert_allclose(second[1], np.exp(B @ B))


def test_donated_arguments_are_updated_in_place():
    def step(p, x):
        value, g = value_and_grad(lambda p: np.sum((x @ p["w"] + p["b"]) ** 2))(p)
        return {k: p[k] - 0.01 * g[k] for k in p}, value

    compiled = compile(step, donate=0)
    p = {"w": RNG.standard_normal((5, 2)), "b": np.zeros(2)}
    expected = step(p, A)[0]
    p, _ = compiled({k: v.copy() for k, v in p.items()}, A)
    for _ in range(3):
        expected, before = step(expected, A)[0], p
        p, _ = compiled(p, A)
        for k in p:
            assert p[k] is before[k]
            np.testing.assert_allclose(p[k], expected[k], 1e-12)


def test_without_donating_arguments_stay_as_they_are():
    step = compile(lambda w, g: w - 0.1 * g)
    w, g = A.copy(), B.copy()
    for _ in range(2):
        np.testing.assert_array_equal(step(w, g), A - 0.1 * B)
    np.testing.assert_array_equal((w, g), (A, B))


def test_one_array_in_two_places_is_not_given_away_in_place():
    step = compile(lambda w, x: (w - 1.0, np.sum((w - 1.0) * x)), donate=0)
    step(A.copy(), B.copy())
    for _ in range(2):
        w = A.copy()
        new, total = step(w, w)
        np.testing.assert_array_equal(new, A - 1)
        assert total == pytest.approx(np.sum((A - 1) * A))


def test_parts_of_one_array_are_given_away_if_they_are_apart():
    def step(w, x):
        return w - 1.0, np.sum((w - 1.0) * x)

    compiled = compile(step, donate=0)
    compiled(np.ones(3), np.ones(3))
    for part in (slice(3, 6), slice(2, 5), slice(2, None, -1), slice(1, 6, 2)):
        whole = np.arange(6.0)
        wanted = step(whole[:3].copy(), whole[part].copy())
        new, total = compiled(whole[:3], whole[part])
        np.testing.assert_array_equal(new, wanted[0])
        assert total == wanted[1]
        in_place = np.shares_memory(new, whole)  # else by the function
        assert in_place == (part.start == 3)
    buffer = bytearray(np.arange(3.0).tobytes())
    w, x = np.frombuffer(buffer), np.frombuffer(buffer)
    assert compiled(w, x)[1] == step(np.arange(3.0), np.arange(3.0))[1]


def test_products_that_lie_side_by_side_may_be_worked_on_and_scaled_otherwise():
    def worked_on(a, b, c):
        x, y = a @ b, b @ c
        together = np.sin(2.0 * x) + np.cos(2.0 * y)
        x = x * a
        return together * np.sin(together + c), np.cos(x + y) * np.exp(b) * x

    def scaled_otherwise(a, b, c):
        x, y, z = a @ b, b @ c, c @ a
        return np.sin(2.0 * x) + np.cos(2.0 * y) + np.sin(3.0 * z) * np.cos(3.0 * y), x + 1, y - z

    def one_after_the_other(a, b, c):
        x, y = a @ b, b @ c
        x, y = np.sin(2.0 * x) @ b, np.sin(2.0 * y) @ c
        return np.sin(3.0 * x) + np.cos(3.0 * y), np.exp(-x)

    def tangents(a, d, c):
        f = lambda a: np.sum(np.sin(a) * np.arccosh((c[:1] @ a) ** 2 + 1.5))
        return jvp(grad(f), (a,), (d,))

    matrices = np.random.default_rng(0).standard_normal((3, 3, 3))
    for f in (worked_on, scaled_otherwise, one_after_the_other, tangents):
        compiled = compile(f)
        for _ in range(2):
            for a, b in zip(compiled(*matrices), f(*matrices), strict=True):
                np.testing.assert_allclose(a, b, 1e-12, 1e-12)


def test_a_step_of_descent_with_and_without_an_arena_of_its_results():
    def step(p, x, y):
        value, g = value_and_grad(lambda p: np.mean((np.tanh(x @ p[0] + p[1]) @ p[2] - y) ** 2))(p)
        return [a - 0.1 * b for a, b in zip(p, g)], g, value

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    p = [rng.standard_normal(shape) for shape in ((3, 4), (4,), (4, 2))]
    apart = compile(step)
    together = compile(step, donate=0, reuse=True)
    ours, theirs = [a.copy() for a in p], p
    for _ in range(4):
        theirs, gradients, value = step(theirs, x, y)
        ours, found, number = together(ours, x, y)
        for a, b in zip((*ours, *found, number), (*theirs, *gradients, value), strict=True):
            np.testing.assert_allclose(a, b, 1e-12, 1e-12)
    for a, b in zip(leaves(apart(p, x, y)), leaves(step(p, x, y)), strict=True):
        np.testing.assert_allclose(a[1], b[1], 1e-12, 1e-12)


def test_products_of_several_types_are_left_apart():
    f = lambda x, y, z: (0.1 * (x @ y), 0.1 * (y @ x), np.array(0.5) * (z @ z), np.array(0.5) * z)
    rng = np.random.default_rng(0)
    for dtype in (int, np.float32):
        args = (rng.integers(0, 5, (3, 3)), rng.random((3, 3)), rng.random((3, 3)).astype(dtype))
        compiled = compile(f, reuse=True)
        for _ in range(2):
            for found, expected in zip(compiled(*args), f(*args), strict=True):
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, 1e-6)


def test_products_that_are_still_to_come_are_not_scaled_with_others():
    def steps(a, b, c):
        p = a - 0.1 * (b @ c)
        q = b - 0.1 * (p @ c)
        return p, q

    args = [np.random.default_rng(k).standard_normal((5, 5)) for k in range(3)]
    compiled = compile(steps, reuse=True)
    for _ in range(2):
        for found, expected in zip(compiled(*args), steps(*args), strict=True):
            np.testing.assert_allclose(found, expected, 1e-12)
