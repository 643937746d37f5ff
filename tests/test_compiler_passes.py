"""Passes: what each makes of a program, and that the program computes the same, alone and in its place."""

import operator
import tracemalloc
import warnings
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from autobp import (
    Tensor,
    avg_pool2d,
    compile,
    conv2d,
    grad,
    hessian,
    hvp,
    jvp,
    log_softmax,
    max_pool2d,
    nn,
    relu,
    scan,
    sigmoid,
    softmax,
    value_and_grad,
)
from autobp.compiler.emit.plan import Home, planned
from autobp.compiler.passes.pipeline import PASSES, optimized
from autobp.compiler.program import Loop, check, evaluated
from autobp.compiler.trace.calls import guarded
from autobp.compiler.trace.trace import Trace
from autobp.compiler.trace.tracer import Tracer
from autobp.context import tracing
from autobp.kernels.sums import dot
from autobp.rules import PRIMITIVES, special
from autobp.tree import leaves, transformed
from autobp.verify.checks import bound, picked, variables
from autobp.verify.samples import RECORDS
from tests.memory import peak

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((5, 5)), RNG.standard_normal((5, 5))
TALL = RNG.standard_normal((200, 7))

NAMED = {p.name: p for p in PASSES}


def traced(f, *args):
    trace = Trace()
    token = tracing.set(trace)
    try:
        result = f(*transformed(lambda a: trace.argument(a, "x"), list(args)))
    finally:
        tracing.reset(token)
    return trace.program(
        transformed(
            lambda y: y.step if isinstance(y, Tracer) else trace.constant(np.array(y)), result
        )
    )


def computed(program, *args):
    """What a program returns. Guards are left out: what they ask for is there."""
    steps = [step for step in program.steps if step.function is not guarded]
    with np.errstate(all="ignore"):
        return evaluated(program.with_(steps=steps), *(a for _, a in leaves(list(args))))


def counts(program):
    named = lambda f: (
        f"{f.__self__.__name__}.reduce"
        if hasattr(f, "__self__") and isinstance(f.__self__, np.ufunc)
        else f.__name__
    )
    return dict(Counter(named(step.function) for step in program.steps))


def assert_alike(found, expected, exact, said):
    """The same forms, and the same numbers, or the same to rounding."""
    for (_, a), (_, b) in zip(leaves(found), leaves(expected), strict=True):
        assert np.result_type(a) == np.result_type(b), said
        assert np.shape(a) == np.shape(b), said
        digits = 5e-5 if np.result_type(a).itemsize == 4 else 1e-11
        tol = 0 if exact else digits
        size = np.max(np.abs(b), initial=1, where=np.isfinite(b))
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(a, b, tol, tol * size, err_msg=said)


# ── each alone, and those before it ───────────────────────────────────────────────────────────────


def layer_norm(x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def attention(ps, x):
    q, k, v = ((layer_norm(x) @ w).reshape(2, 4, 2, 3).transpose(0, 2, 1, 3) for w in ps)
    mask = np.where(np.tri(4, dtype=bool), 0.0, -1e9)
    a = softmax(q @ k.mT / 3**0.5 + mask)
    return np.mean(nn.gelu((a @ v).transpose(0, 2, 1, 3).reshape(2, 4, 6) + x) ** 2)


def recurrent(ps, xs):
    h = c = np.zeros((4, 3))
    for x in xs:
        i, f, g, o = (z for z in (x @ ps[0] + h @ ps[1]).reshape(4, 4, 3).transpose(1, 0, 2))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return np.mean(h**2)


def scanned(ps, xs):
    def body(h, x):
        h = np.tanh(x @ ps[0] + h @ ps[1])
        return h, h

    h, states = scan(body, np.zeros((4, 3)), xs)
    return np.mean(h**2) + np.mean(states)


def classifier(ps, x, labels):
    h = relu(x @ ps[0].T + ps[1])
    return -np.mean(log_softmax(h @ ps[2].T)[np.arange(len(x)), labels])


def convolutional(pool, activation, norm):
    def loss(ps, x):
        x = conv2d(x, ps[0], ps[1], padding=1)
        if norm:
            x = (x - x.mean((0, 2, 3), keepdims=True)) / (1 + x.var((0, 2, 3), keepdims=True))
        x = pool(activation(x))
        return np.sum(np.sin(conv2d(x, ps[2], stride=2)))

    return loss


def weights(*shapes):
    return [np.random.default_rng(k).standard_normal(s) for k, s in enumerate(shapes)]


KERNELS = weights((3, 2, 3, 3), (3,), (2, 3, 2, 2))
X = RNG.standard_normal((2, 2, 8, 8))
WORDS = RNG.integers(0, 9, (4, 3))
SIGNS = np.sign(RNG.standard_normal(9))
logistic = lambda w, x: np.mean(np.log1p(np.exp(-SIGNS * (x @ w)))) + 0.1 * np.sum(w**2)
bowl = lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
embedded = lambda ps, words: np.sum(np.tanh(ps[0][words].mean(1) @ ps[1]) ** 2)

NETWORKS = {
    "classifier": (value_and_grad(classifier), weights((5, 6), (5,), (3, 5)), A[:, :1] * np.ones(6), np.array([0, 2, 1, 0, 1])),
    "sigmoids": (value_and_grad(lambda ps, x: np.mean((sigmoid(sigmoid(x @ ps[0] + ps[1]) @ ps[2]) - 1) ** 2)), weights((5, 6), (6,), (6, 2)), A),
    "attention": (value_and_grad(attention), weights((6, 6), (6, 6), (6, 6)), RNG.standard_normal((2, 4, 6))),
    "recurrent": (value_and_grad(recurrent), weights((2, 12), (3, 12)), RNG.standard_normal((5, 4, 2))),
    "scanned": (value_and_grad(scanned), weights((2, 3), (3, 3)), RNG.standard_normal((5, 4, 2))),
    "scanned, one by one": (value_and_grad(scanned), weights((2, 3), (3, 3)), RNG.standard_normal((5, 2))),
    "embeddings": (value_and_grad(embedded), weights((9, 4), (4, 2)), WORDS),
    "float32": (value_and_grad(classifier), [p.astype("f") for p in weights((5, 6), (5,), (3, 5))], np.ones((5, 6), "f"), np.array([0, 2, 1, 0, 1])),
    "maxima": (value_and_grad(convolutional(lambda x: max_pool2d(x, 2), relu, False)), KERNELS, X),
    "overlapping maxima": (value_and_grad(convolutional(lambda x: max_pool2d(x, 3, 2), relu, False)), KERNELS, X),
    "means": (value_and_grad(convolutional(lambda x: avg_pool2d(x, 2), np.tanh, False)), KERNELS, X),
    "normed images": (value_and_grad(convolutional(lambda x: max_pool2d(x, 2), relu, True)), KERNELS, X),
    "many pixels": (value_and_grad(convolutional(lambda x: avg_pool2d(x, 2), np.tanh, True)), KERNELS, RNG.standard_normal((3, 2, 24, 24))),
    "logistic": (value_and_grad(logistic), A[0], RNG.standard_normal((9, 5))),
    "many rows": (value_and_grad(lambda x: np.sum(softmax(x) * x) - np.sum(np.min(x, -1))), RNG.standard_normal((40, 30))),
    "many logistic": (value_and_grad(lambda w, x: np.sum(np.logaddexp(0, x @ w) ** 2)), A[0], RNG.standard_normal((80, 5))),
    "Hessian": (hessian(logistic), A[0], RNG.standard_normal((9, 5))),
    "curvature": (lambda x: hvp(bowl, (x,), (x,)), A[0]),
    "tangents": (lambda x: jvp(grad(bowl), (x,), (np.cos(x),)), A[0]),
    "spread": (lambda x: (np.var(x, 0), np.std(x, axis=(0, 1), ddof=1), np.var(x), np.std(x, -1, keepdims=True)), RNG.standard_normal((9, 20, 30))),
    "factors": (lambda a: (-(0.1 * (3 * a)) / 7, 2 * -a, np.negative(-a)), A),
    "transposes": (lambda a, b: ((a @ b).T @ a, a.T.T, np.transpose(a[None], None), (a @ b).T), A, B),
}  # fmt: skip


@cache
def samples(name):
    """Programs of one primitive, with values and derivatives, or the program of one network. Of those
    that make the same calls on arrays of as many axes there is one."""
    if name in NETWORKS:
        f, *args = NETWORKS[name]
        return [(traced(f, *args), args)]
    found = {}
    for sample in (*RECORDS[name].samples, *RECORDS[name].kinks):
        if sample.params.get("index", ...) is None:  # a single number has no axes in a program
            continue
        chosen = variables(sample)
        f, args = bound(PRIMITIVES[name], sample, chosen), picked(sample, chosen)
        total = lambda *xs, f=f: sum(np.sum(y * y) for _, y in leaves(f(*xs)))
        g = value_and_grad(total, tuple(range(len(args)))) if args else f
        with np.errstate(all="ignore"):
            program = traced(g, *args)
        calls = tuple((step.function, step.ndim, 0 in step.shape) for step in program.steps)
        found.setdefault(calls, (program, args))
    return list(found.values())


PROGRAMS = [*NETWORKS, *RECORDS]


def in_single(a):
    if np.result_type(a) != np.float64:
        return a
    with np.errstate(over="ignore"):
        return np.asarray(a, np.float32)[()]


def doubles(primitive, sample):
    """The steps of value and gradient that make arrays of float64, where the result is in float32."""
    chosen = variables(sample)
    f, args = bound(primitive, sample, chosen), picked(sample, chosen)
    total = lambda *xs: sum(np.sum(y * y) for _, y in leaves(f(*xs)))
    with np.errstate(all="ignore"):
        if any(np.result_type(y) == np.float64 for _, y in leaves(f(*args))):
            return []
        program = optimized(traced(value_and_grad(total, tuple(range(len(args)))), *args))
    return [step.function for step in program.steps if step.dtype == np.float64 and step.ndim]


@pytest.mark.parametrize("name", RECORDS)
def test_no_rule_works_in_double_precision_for_single(name):
    primitive = PRIMITIVES[name]
    for sample in (*RECORDS[name].samples, *RECORDS[name].kinks):
        if not variables(sample) or sample.params.get("index", ...) is None:
            continue
        args = tuple(in_single(a) for a in sample.args)
        assert not doubles(primitive, replace(sample, args=args)), sample
        # And beside a number, which to SciPy's functions is weak in old versions alone.
        if primitive.form == "elementwise" and len(args) == 2 and not hasattr(special, name):
            for i in variables(sample):
                beside = [float(np.ravel(a)[0]) if np.size(a) else 0.5 for a in args]
                beside[i] = args[i]
                assert not doubles(primitive, replace(sample, args=tuple(beside))), sample


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_pass_alone_and_every_prefix_of_the_list(name):
    for program, args in samples(name):
        check(program)
        expected = computed(program, *args)
        for k, p in enumerate(PASSES, 1):
            after = p(program)
            if after is not program:
                check(after)
                assert_alike(computed(after, *args), expected, p.exact, p.name)
            after = optimized(program, PASSES[:k])
            check(after)
            exact = all(p.exact for p in PASSES[:k])
            assert_alike(computed(after, *args), expected, exact, f"up to {p.name}")


def test_every_pass_changes_some_program():
    """So that the tests above test it."""
    programs = [program for name in PROGRAMS for program, _ in samples(name)]
    for k, p in enumerate(PASSES):
        before = (optimized(program, PASSES[:k]) for program in programs)
        assert any(p(program) is not program for program in before), p.name


@pytest.mark.parametrize("p", PASSES, ids=lambda p: p.name)
def test_a_pass_whose_precondition_fails_changes_nothing(p):
    for name in NETWORKS:
        ((program, _),) = samples(name)
        steps = [step for step in program.steps if not p.requires(step)]
        rest = program.with_(steps=steps, returns=steps)
        assert p.run(rest).steps == steps
        assert p(rest) is rest


def test_a_step_with_a_body():
    """Each pass leaves it alone; all together optimize the body too."""
    body = traced(lambda t, x: ((np.tanh(t + x),), (t * x,)), np.float64(1), np.float64(1))
    outer = traced(lambda x: np.sin(x * 1), A[0])
    rows = outer.results[0]
    loop = rows.with_(
        function=Loop(body, 5),
        args=((np.float64(0.5),), (rows,), ()),
        kind=tuple,
        shape=(),
        dtype=None,
    )
    stack = rows.with_(function=operator.getitem, args=(loop, 1), kind=list)
    program = outer.with_(steps=[*outer.steps, loop, stack], returns=stack)
    check(program)
    for after in (p(program) for p in PASSES):
        check(after)
        assert loop.function in [step.function for step in after.steps]
        np.testing.assert_array_equal(computed(after, A[0]), computed(program, A[0]))
    after = optimized(program)
    check(after)
    assert [step.loop.count for step in after.steps if step.loop] == [5]
    np.testing.assert_array_equal(computed(after, A[0]), computed(program, A[0]))


# ── what each makes of a program ──────────────────────────────────────────────────────────────────


def left(names, f, *args):
    """The calls that are left after some passes, by name and number."""
    program = traced(f, *args)
    names = names.split()
    for name in names:
        program = NAMED[name](program)
    exact = all(NAMED[name].exact for name in names)
    assert_alike(computed(program, *args), f(*args), exact, names)
    return counts(NAMED["dead_code_elimination"](program))


def test_dead_code():
    assert left("dead_code_elimination", lambda a, b: (np.sin(a), a + b)[0], A, B) == {"sin": 1}


def test_common_subexpressions():
    f = lambda a, b: np.exp(a + b) * np.exp(a + b) - np.exp(b + a) + a[1:, 0].sum() * a[1:, 0].sum()
    found = left("common_subexpression_elimination", f, A, B)
    assert (found["exp"], found["add"], found["getitem"]) == (2, 3, 1)
    assert left("common_subexpression_elimination", lambda a: (a + 0.0) + (a + -0.0), A)["add"] == 3


def test_constants():
    eye = np.eye(5)
    f = lambda a, b: a @ np.where(eye > 0, 2.0, eye)
    assert left("dead_code_elimination", f, A, B) == {"matmul": 1}


@pytest.mark.parametrize(
    ("f", "calls"),
    [
        (lambda a: 1 * a * 1.0 / 1 - 0, {}),
        (lambda a: np.negative(-a), {}),
        (lambda a: a + -a, {"subtract": 1}),
        (lambda a: a - -a, {"add": 1}),
        (lambda a: -a + a, {"subtract": 1}),
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
def test_exact_algebra(f, calls):
    found = left("canonicalization algebraic_simplification algebraic_simplification", f, A)
    assert found == calls


def test_types_are_not_simplified_away():
    a = np.arange(3)
    name = "algebraic_simplification"
    assert left(name, lambda a: a * 1.0, a) == {"multiply": 1}
    assert left(name, lambda a: a * 1, a[:0].astype(np.float32)) == {}
    assert left(name, lambda a: a[0] * np.ones(3), A[0]) == {"getitem": 1, "multiply": 1}


def test_canonical_forms():
    f = lambda a: (a.sum(0), np.mean(a, axis=(0, 1)), a.max(), np.square(a) - a**2, 1 / a, a**0.5)
    with np.errstate(invalid="ignore"):
        found = left("canonicalization", f, np.abs(A))
    assert found == {
        "add.reduce": 2, "divide": 1, "maximum.reduce": 1, "square": 2, "subtract": 1,
        "reciprocal": 1, "sqrt": 1,
    }  # fmt: skip


def test_broadcasts_are_never_made():
    f = lambda a, b: a * np.broadcast_to(b[0], (5, 5)) + np.full((5, 5), 0.5) * a
    assert "broadcast_to" not in left("broadcast_elimination", f, A, B)
    program = NAMED["broadcast_elimination"](traced(f, A, B))
    assert not [s for s in program.constants() if s.shape]


def test_transposes_are_folded_into_products():
    f = lambda a, b: (a @ b).T @ a
    assert left("transpose_folding", f, A, B) == {"transpose": 2, "matmul": 2}
    twice = lambda a, b: (lambda c: c.T + c)(a @ b)
    assert left("transpose_folding", twice, A, B) == {"matmul": 1, "transpose": 1, "add": 1}


def test_sums_of_products_are_products():
    f = lambda a, b: np.sum(a * b) + np.sum(np.square(a)) + np.sum(a * b[0])
    found = left("canonicalization dot_product_recognition", f, A, B)
    assert (found["vdot"], found["multiply"]) == (2, 1)


def test_sums_of_rows_are_products_with_ones():
    f = lambda x: (x.sum(0), x.sum(1), np.sum(x, 1, keepdims=True), np.sum(x, 0, keepdims=True))
    assert left("canonicalization reduction_to_matmul", f, TALL) == {"matmul": 4}
    assert left("reduction_to_matmul", lambda n: n.sum(0), np.ones((9, 9), int)) == {"sum": 1}


def test_sums_over_several_axes_of_rows_are_products_with_ones():
    f = lambda x: (np.sum(x, (0, 1)), np.sum(x, (0, 1), keepdims=True), np.sum(x, (0, 2)))
    names = "canonicalization reduction_to_matmul reduction_to_matmul"
    assert left(names, f, RNG.standard_normal((5, 4, 3))) == {
        "matmul": 2,
        "reshape": 3,
        "add.reduce": 1,
    }


def test_long_sums_are_sums_of_sums():
    x = RNG.uniform(0.5, 1.5, (50_000, 4)).astype("f")
    for f in (np.sum, np.var, np.std, np.mean):
        exact = f(x.astype(float), 0)
        np.testing.assert_allclose(compile(lambda x, f=f: f(x, axis=0))(x), exact, 1e-6)
    assert left("canonicalization reduction_to_matmul", lambda x: x.sum(0), x) == {"added_rows": 1}
    long = np.abs(RNG.standard_normal(1_200_000)).astype("f")
    found = left("canonicalization dot_product_recognition", lambda x: np.sum(x * x), long)
    assert found == {"dot": 1}
    np.testing.assert_allclose(dot(long, long), np.sum(long.astype(float) ** 2), 3e-7)


def test_variances_are_means_of_squares():
    x = RNG.standard_normal((90, 50))
    f = lambda x: (np.var(x, 0, ddof=1), np.std(x, axis=-1, keepdims=True))
    assert "var" not in left("variances", f, x)
    for other in (
        lambda x: np.var(x, ddof=4500),
        lambda n: np.var(n > 0),
        lambda x: np.var(x[:80]),
    ):
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            assert left("variances", other, x)["var"] == 1


def test_sums_over_pixels():
    w, x = KERNELS[0], RNG.standard_normal((4, 2, 32, 32))
    f = lambda w, x: (conv2d(x, w).sum((0, 2, 3)), np.tanh(conv2d(x, w)).mean((2, 3)))
    found = left("canonicalization image_layouts", f, w, x)
    assert (found["matmul"], found["added_rows"], found["transpose"]) == (1, 1, 2)
    kept = lambda w, x: conv2d(x, w).sum((0, 2, 3), keepdims=True)
    assert left("canonicalization image_layouts", kept, w, x)["added_rows"] == 1
    for other in (lambda w, x: conv2d(x, w).sum((0, 1)), lambda w, x: x.sum((0, 2, 3)) * w.sum()):
        assert not {"matmul", "added_rows"} & {*left("canonicalization image_layouts", other, w, x)}
    assert "matmul" not in left("canonicalization image_layouts", f, w, x[:1, :, :9, :9])  # too few


@pytest.mark.parametrize("name", ["dot_product_recognition", "reduction_to_matmul"])
def test_sums_that_begin_elsewhere_or_skip_elements_are_left_alone(name):
    f = lambda a: (
        np.add.reduce(a * a, axis=None, initial=3.0),
        np.add.reduce(a, axis=0, initial=3.0),
        np.add.reduce(a, axis=1, where=B > 0),
    )
    assert left(name, f, A) == {"multiply": 1, "add.reduce": 3}


def test_factors_are_one():
    found = left("reassociation", lambda a: -(0.1 * (3 * a)) / 7, A)
    assert found["multiply"] <= 2
    f = lambda a: 2 * (lambda b: b + 0.5 * b)(3 * a)
    assert left("reassociation", f, A)["multiply"] == 3


def test_maxima_of_rows():
    with_nan = TALL.copy()
    with_nan[3, 2] = np.nan
    f = lambda x: (x.max(1), np.min(x, axis=-1, keepdims=True), x.max(0))
    for x in (TALL, with_nan):
        compiled = compile(f)
        for _ in range(2):
            assert_alike(compiled(x), f(x), True, "maxima")


def test_distinct_places_are_assigned():
    rows, labels = np.arange(6), np.array([0, 2, 1, 1, 0, 2])
    x = RNG.standard_normal((6, 3))
    put = grad(lambda x, i: np.sum(x[rows, i] ** 2))
    program = NAMED["scatter_simplification"](traced(put, x, labels))
    assert counts(program)["placed"] == 1
    np.testing.assert_allclose(computed(program, x, labels), put(x, labels))
    again = grad(lambda x, i: np.sum(x[i] ** 2))
    assert "placed" not in counts(NAMED["scatter_simplification"](traced(again, x, labels)))


def test_parts_that_make_up_an_array_are_joined():
    def parts(indices, x):
        """The gradient of a function of parts of x: the calls that put them together, and 0 elsewhere."""
        f = grad(lambda x: sum(k * np.sum(np.sin(x[i])) for k, i in enumerate(indices, 1)))
        program = optimized(traced(f, x), PASSES)
        np.testing.assert_allclose(computed(program, x), f(x), 1e-15)
        found = counts(program)
        return {k: found[k] for k in ("concatenate", "stack", "placed", "add") if k in found}

    a, every = RNG.standard_normal((6, 4, 3)), slice(None)
    for axis in range(3):
        before = (every,) * axis
        assert parts([(*before, i) for i in (slice(1, None), slice(1))], a) == {"concatenate": 1}
        assert parts([(*before, i) for i in range(a.shape[axis])], a) == {"stack": 1}
    assert parts([slice(2, 4), slice(None, 2), slice(-2, 6)], a) == {"concatenate": 1}
    assert parts([(every, -2), (every, 0), (every, 3), (every, 1)], a) == {"stack": 1}
    for others in (
        [slice(3), slice(2, 6)],  # one place twice
        [slice(2), slice(3, 6)],  # and one never
        [slice(2), slice(3), slice(4, 5)],  # as many numbers as there are
        [slice(0, 6, 2), slice(1, 6, 2)],
        [(slice(3), slice(2)), (slice(3, 6), slice(2, 4))],
        [(every, 0), (every, slice(1, 4))],
        [0, 0, 1, 2, 3, 4],
    ):
        assert parts(others, a) == {"placed": len(others), "add": len(others) - 1}


def test_long_sums_of_arrays_are_looked_through():
    def f(x):
        total = x
        for i in range(1500):
            total = total + (np.sin(x) if i * i % 7 % 3 else np.cos(x * i))
        return total

    program = optimized(traced(f, A[0]))
    np.testing.assert_allclose(computed(program, A[0]), f(A[0]), 1e-11)


def test_extrema_of_many_rows_are_found_by_their_places():
    many = RNG.standard_normal((30, 40, 20))
    f = lambda x: (np.max(x, -1), np.min(x, axis=2, keepdims=True), np.max(x, 1), np.max(x[:1], -1))
    found = left("canonicalization reductions_of_rows", f, many)
    assert found == {"greatest": 1, "least": 1, "maximum.reduce": 2, "getitem": 1}
    compiled = compile(lambda x: np.sum(softmax(x) ** 2))
    for _ in range(2):
        np.testing.assert_allclose(compiled(many), np.sum(softmax(many) ** 2), 1e-13)
    assert "greatest(" in compiled.source


def test_logarithms_of_sums_of_exponentials_go_pass_after_pass():
    x = RNG.standard_normal((30, 40))
    f = lambda x: (
        np.logaddexp(0, x),
        np.logaddexp(x, x[0]),
        np.logaddexp(x[0], 1.0),
        np.logaddexp2(x, x),
    )
    found = left("sums_of_exponentials", f, x)
    assert (found["logaddexp"], found["logaddexp2"]) == (3, 1)
    compiled = compile(value_and_grad(lambda x: np.sum(np.logaddexp(0, x))))
    for _ in range(2):
        value, slope = compiled(x)
        np.testing.assert_allclose(value, np.sum(np.logaddexp(0, x)), 1e-13)
        np.testing.assert_allclose(slope, 1 / (1 + np.exp(-x)), 1e-13)
    assert " = logaddexp(0, x)" in compiled.source


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

    program = optimized(traced(f, A))
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


def test_peak_memory_is_less_than_eager():
    sizes = [50, 300, 300, 10]
    p = [(RNG.standard_normal((m, n)) * 0.1, np.zeros(n)) for m, n in pairwise(sizes)]
    x, labels = RNG.standard_normal((1000, 50)), RNG.integers(0, 10, 1000)
    eager = value_and_grad(network)
    compiled = compile(eager)

    ours, theirs = peak(compiled, p, x, labels), peak(eager, p, x, labels)
    assert compiled.memory < 0.7 * theirs
    assert ours < compiled.memory + 200_000
    np.testing.assert_allclose(compiled(p, x, labels)[0], eager(p, x, labels)[0], 1e-12)


def test_what_was_traced_and_compared_is_let_go():
    sizes = [50, 300, 300, 300, 10]
    p = [Tensor(RNG.standard_normal(s) * 0.1) for m, n in pairwise(sizes) for s in ((m, n), n)]
    x, labels = RNG.standard_normal((1000, 50)), RNG.integers(0, 10, 1000)

    def step(x, labels):
        for t in p:
            t.grad = None
        loss = network(list(zip(p[::2], p[1::2], strict=True)), x, labels)
        loss.backward()
        return loss

    def most(step, calls):
        tracemalloc.start()
        try:
            for i in range(calls):  # of a program the first are compared
                step(x + i, labels)
            return tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    _, theirs = most(step, 2)
    compiled = compile(step)
    held, ours = most(compiled, 4)
    gradients = sum(t.grad.nbytes for t in p)
    assert ours < 1.2 * theirs + 2 * gradients  # of both, when they are compared
    assert held < compiled._latest().plan.size + gradients + 1_000_000  # its steps and its text


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


def test_products_that_are_scaled_and_worked_on():
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


def test_products_of_several_types_are_scaled():
    f = lambda x, y, z: (0.1 * (x @ y), 0.1 * (y @ x), np.array(0.5) * (z @ z), np.array(0.5) * z)
    rng = np.random.default_rng(0)
    for dtype in (int, np.float32):
        args = (rng.integers(0, 5, (3, 3)), rng.random((3, 3)), rng.random((3, 3)).astype(dtype))
        compiled = compile(f, reuse=True)
        for _ in range(2):
            for found, expected in zip(compiled(*args), f(*args), strict=True):
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, 1e-6)


def test_products_of_what_was_scaled_before():
    def steps(a, b, c):
        p = a - 0.1 * (b @ c)
        q = b - 0.1 * (p @ c)
        return p, q

    args = [np.random.default_rng(k).standard_normal((5, 5)) for k in range(3)]
    compiled = compile(steps, reuse=True)
    for _ in range(2):
        for found, expected in zip(compiled(*args), steps(*args), strict=True):
            np.testing.assert_allclose(found, expected, 1e-12)
