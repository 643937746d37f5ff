"""Functions written one number at a time: compiled, they are programs of arrays that give what the
functions give, on every input."""

import itertools
import threading
from collections import namedtuple
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobp import CaptureError, Tensor, compile, grad, hessian, jvp, relu, sigmoid, value_and_grad
from autobp.compiler.scalars import numbers as scalars

from . import test_compiler

RNG = np.random.default_rng(0)


assert_same = partial(test_compiler.assert_same, tol=1e-11)


def check(function, *inputs, grouped=True):
    """Compile, and compare on every input; the last but the first are replays of one program."""
    compiled = compile(function)
    for args in inputs:
        assert_same(compiled(*args), function(*args))
    assert len(compiled.programs) == 1
    assert isinstance(compiled._entries[0], scalars.Numbers) is grouped
    return compiled


@pytest.fixture
def few(monkeypatch):
    """Small programs count as large ones."""
    monkeypatch.setattr(scalars, "MANY", 3)
    monkeypatch.setattr("autobp.compiler.scalars.grouping.GROUPS", np.inf)
    monkeypatch.setattr("autobp.compiler.scalars.grouping.NARROW", 0)


# ── networks of single numbers ────────────────────────────────────────────────────────────────────


def network(sizes, rng=RNG):
    return [
        [(rng.uniform(-1, 1, n).tolist(), rng.uniform()) for _ in range(m)]
        for n, m in itertools.pairwise(sizes)
    ]


def points(n, rng=RNG):
    return rng.standard_normal((n, 2)).tolist(), rng.choice([-1, 1], n).tolist()


def scores(layers, x):
    for layer in layers:
        x = [sum((wi * xi for wi, xi in zip(w, x)), b) for w, b in layer]
        x = x if layer is layers[-1] else [relu(xi) for xi in x]
    return x


def loss(layers, xs, ys):
    margins = [relu(1 + -y * scores(layers, x)[0]) for x, y in zip(xs, ys)]
    parameters = [p for layer in layers for w, b in layer for p in [*w, b]]
    return sum(margins) * (1.0 / len(margins)) + 1e-4 * sum(p * p for p in parameters)


def test_a_network_of_single_numbers_is_products_of_matrices():
    inputs = [(network([2, 8, 8, 1]), *points(20)) for _ in range(3)]
    step = check(value_and_grad(loss), *inputs)
    check(grad(loss), *inputs)
    check(loss, *inputs)
    functions = [getattr(s.function, "__name__", "") for s in step.programs[0].steps]
    assert functions.count("matmul") + functions.count("dot") >= 8
    assert len(functions) < 120


def test_the_function_runs_once_for_each_form():
    counted = Mock(side_effect=loss)
    step = compile(value_and_grad(lambda *args: counted(*args)))
    a, b = network([2, 8, 8, 1]), network([2, 8, 4, 1])
    for _ in range(3):  # of which two are compared
        step(network([2, 8, 8, 1]), *points(20))
    first = counted.call_count
    for _ in range(3):
        step(network([2, 8, 8, 1]), *points(20))
    assert counted.call_count == first
    for args in ((b, *points(20)), (a, *points(21))):
        assert_same(step(*args), value_and_grad(loss)(*args))
    assert len(step.programs) == 3
    args = (a, *points(20))
    assert_same(step(*args), value_and_grad(loss)(*args))
    assert len(step.programs) == 3


def test_arrays_and_tensors_among_the_arguments():
    a, b = network([2, 8, 8, 1]), network([2, 8, 8, 1])
    xs, ys = points(20)
    check(
        value_and_grad(loss), *((p, np.array(xs) + i, np.array(ys)) for i, p in enumerate([a, b]))
    )
    tensors = [
        [[([Tensor(v) for v in w], Tensor(c)) for w, c in layer] for layer in p] for p in (a, b)
    ]
    compiled = check(value_and_grad(loss), *((p, xs, ys) for p in tensors))
    tensors[0][0][0][1].data = 5.0
    assert_same(compiled(tensors[0], xs, ys), value_and_grad(loss)(tensors[0], xs, ys))

    def of_arrays(w, xs):
        return sum(
            np.tanh(sum(w[i, j] * x[j] for j in range(5))) * w[i][0] for i in range(8) for x in xs
        )

    check(value_and_grad(of_arrays), *((RNG.random((8, 5)), RNG.random((30, 5))) for _ in range(2)))


Pair = namedtuple("Pair", ["w", "c"])


def test_nests_of_all_kinds():
    def f(p, *, q):
        total = 0.0
        for i in range(40):
            for x, y in zip(p["a"], q):
                total = total + np.sin(x * y + i) * p["pair"].w * p[7][0] + p["pair"].c
        return total

    def args(rng):
        pair = Pair(rng.random(), rng.random())
        return {"a": tuple(rng.random(10).tolist()), "pair": pair, 7: [rng.random(), None]}

    compiled = compile(value_and_grad(f))
    for _ in range(3):
        p, q = args(RNG), RNG.random(10).tolist()
        assert_same(compiled(p, q=q), value_and_grad(f)(p, q=q))
    both = compile(value_and_grad(lambda p, q: f(p, q=q), argnums=(1, 0)))
    assert_same(both(p, q), value_and_grad(lambda p, q: f(p, q=q), argnums=(1, 0))(p, q))
    assert isinstance(both._entries[0], scalars.Numbers)

    def several(xs):
        ys = [np.exp(x) * x + i for i in range(20) for x in xs]
        return {"sum": sum(ys), "parts": ys[:3], "three": 3, "pair": (ys[4], None)}

    check(several, (RNG.random(30).tolist(),), (RNG.random(30).tolist(),))


def test_whole_numbers_may_be_counts():
    def power_sums(xs, n):
        return sum(x * k for x in xs for k in range(1, n)) + sum(xs[i] ** 2 for i in range(n))

    compiled = compile(value_and_grad(power_sums))
    for n in (12, 14, 12):
        xs = RNG.random(100).tolist()
        assert_same(compiled(xs, n), value_and_grad(power_sums)(xs, n))
    assert len(compiled.programs) == 2


@pytest.mark.usefixtures("few")
def test_results_belong_to_the_caller_and_forms_are_told_apart():
    f = compile(grad(lambda p: sum(x * y for x in p[0] for y in p[1])))
    first = f([np.array([1.0, 2.0]), [3.0, 4.0]])
    first[0][:] = 99.0
    again = f([np.array([1.0, 2.0]), [3.0, 4.0]])
    np.testing.assert_array_equal(again[0], [7.0, 7.0])
    assert again[0].base is None
    wrapped = f([np.array([1.0, 2.0]), [Tensor(3.0), 4.0]])
    assert isinstance(wrapped[0], Tensor)
    assert isinstance(f([np.array([1.0, 2.0]), [3.0, 4.0]])[0], np.ndarray)
    swapped = f([np.array([1.0, 2.0]), [4.0, Tensor(3.0)]])
    np.testing.assert_array_equal(swapped[0].numpy(), [7.0, 7.0])
    assert len(f.programs) == 3
    with pytest.raises(TypeError):
        f([np.array([1.0, 2.0]), [3.0, "four"]])


def test_two_threads():
    step, results = compile(value_and_grad(loss)), {}
    inputs = [(network([2, 8, 8, 1]), *points(20)) for _ in range(4)]
    expected = [value_and_grad(loss)(*args) for args in inputs]

    def work(i):
        results[i] = [step(*inputs[i]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i, want in enumerate(expected):
        for found in results[i]:
            assert_same(found, want)


# ── what grouping must get right, on small programs ───────────────────────────────────────────────

UNARY = [relu, sigmoid, np.tanh, np.abs, np.square, lambda a: a**3, lambda a: -a, lambda a: 1 - a]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (b * b + 1.0),
    np.maximum,
    np.minimum,
]
OPERATIONS = [*UNARY, *BINARY]


@st.composite
def programs(draw):
    """A program on four numbers: operations on what was there before; often a sum of several."""
    steps = []
    for i in range(draw(st.integers(4, 40))):
        which = draw(st.integers(0, len(OPERATIONS)))
        steps.append((which, draw(st.lists(st.integers(0, i + 4), min_size=2, max_size=5))))
    return steps


def run(steps, xs):
    values = [*xs, 0.5]
    for which, operands in steps:
        chosen = [values[i] for i in operands]
        if which == len(OPERATIONS):
            y = sum(chosen)
        elif which < len(UNARY):
            y = OPERATIONS[which](chosen[0])
        else:
            y = OPERATIONS[which](*chosen[:2])
        values.append(sigmoid(y) if abs(which) % 3 == 0 else y)
    return sum(np.tanh(v) * (i + 1) for i, v in enumerate(values))


NUMBERS = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]), min_size=4, max_size=4)


@given(programs(), st.lists(NUMBERS, min_size=3, max_size=3))
@settings(max_examples=25)
def test_random_programs(steps, inputs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scalars, "MANY", 3)
        patch.setattr("autobp.compiler.scalars.grouping.GROUPS", np.inf)
        patch.setattr("autobp.compiler.scalars.grouping.NARROW", 0)
        patch.setattr("autobp.compiler.scalars.grouping.FEW", 1 + len(steps) % 3)
        check(value_and_grad(lambda xs: run(steps, xs)), *((xs,) for xs in inputs))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "function",
    [
        lambda xs: sum(x * x for x in xs),
        lambda xs: sum(x + x for x in xs) + xs[0],
        lambda xs: sum((x + 1.0) * (x + 1.0) for x in xs),
        lambda xs: (lambda s: s * s + s)(sum(xs)),
        lambda xs: sum(xs) + sum(xs[:3]) * sum(xs[1:]),
        lambda xs: sum(np.sin(sum([0.0, 0.0], x * 0.0)) + sum([0.0, 0.0]) * x for x in xs),
        lambda xs: sum(np.sin(sum(a * b for a, b in zip(xs, xs)) + c * d) for c in xs for d in xs),
        lambda xs: sum([np.exp(x) for x in xs], 0.0) + 0 * xs[0] * xs[0],
        lambda xs: [x * 5.0 * x for x in xs] and sum(2.0 * x + 3.0 - 0.0 for x in xs),
        lambda xs: sum(np.maximum(x, y) * relu(x - y) for x in xs for y in xs),
        lambda xs: (
            sum(x * y for x, y in zip(xs, reversed(xs))) + sum(a * b * a for a in xs for b in xs)
        ),
        lambda xs: (
            np.mean(np.stack([x * x for x in xs]))
            + np.stack(xs)[1:].sum() * np.stack(xs).reshape(2, 2)[1, 0] * xs[3]
        ),
        lambda xs: 1e-3 * xs[0] * xs[1] + sum([xs[2], 0.0, 0.0, xs[3]]),
        lambda xs: sum(xs[i] * xs[j] for i in range(4) for j in range(4) if (i + j) % 2),
        lambda xs: sum(sum(a * b for a, b in zip(xs, xs[k:])) ** 2 for k in range(4)),
    ],
)
def test_small_programs(function):
    inputs = [([1.0, -2.0, 3.0, 0.5],), ([1.0, 1.0, 1.0, 1.0],), ([0.0, 0.0, -1.0, 2.0],)]
    check(value_and_grad(function), *inputs)
    check(function, *inputs)


@pytest.mark.usefixtures("few")
def test_rows_in_any_order():
    """Products of matrices, though the pairs come in no order and some are missing or twice."""
    pairs = [(i, j) for i in range(6) for j in range(5)]

    def f(p, q, chosen):
        dots = [sum(a * b for a, b in zip(p[i], q[j])) + p[j][0] for i, j in chosen]
        return sum(np.sin(d) * (k + 1) for k, d in enumerate(dots))

    for order in (
        pairs,
        pairs[::-1],
        [pairs[i] for i in RNG.permutation(30)],
        pairs[3:],
        [*pairs, (0, 0)],
    ):
        function = lambda p, q, order=order: f(p, q, order)
        inputs = [(RNG.random((6, 4)).tolist(), RNG.random((5, 4)).tolist()) for _ in range(2)]
        step = check(value_and_grad(function), *inputs)
        assert any(s.function in (np.matmul, np.dot) for s in step.programs[0].steps)


def test_divisions_by_zero_and_infinities():
    def f(xs, y):
        return sum(x / y + np.log(x) for x in xs) * sum(x * y for x in xs)

    xs = RNG.random(600).tolist()
    compiled = compile(value_and_grad(f))
    compiled(xs, 2.0)
    with np.errstate(all="ignore"):
        value, gradient = compiled(xs, 0.0)
        assert np.isnan(value)
        assert_same(compiled([0.0, *xs[1:]], 1.0), value_and_grad(f)([0.0, *xs[1:]], 1.0))
    assert len(gradient) == 600


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "function",
    [
        lambda xs: sum(np.where(x > 0, x * x, 0.1 * x) for x in xs),
        lambda xs: sum(np.where(x <= 0.5, np.where(x == y, x, y), y * y) for x in xs for y in xs),
        lambda xs: sum((x > 0) * x * x + (x != y) * y for x in xs for y in xs),
        lambda xs: sum(
            np.where(~((x > 0) & (y < 1.0) | (x <= y)), x, y * y) for x in xs for y in xs
        ),
        lambda xs: sum(x**y for x in [x * x + 1 for x in xs] for y in xs),
        lambda xs: sum(
            g * g for g in grad(lambda xs: sum(relu(x) * abs(y) for x in xs for y in xs))(xs)
        ),
        lambda xs: sum(grad(lambda xs: sum(np.where(x > 0, x, y) * y for x in xs for y in xs))(xs)),
    ],
)
def test_comparisons_are_made_anew(function):
    inputs = [([1.0, -2.0, 3.0, 0.5],), ([-1.0, 2.0, 1.0, 1.0],), ([0.0, 0.0, -1.0, 2.0],)]
    check(value_and_grad(function), *inputs)
    check(grad(function), *inputs)


def test_a_training_step():
    def train(layers, xs, ys):
        value, gradient = value_and_grad(loss)(layers, xs, ys)
        pairs = [
            [([w - 0.1 * d for w, d in zip(ws, ds)], c - 0.1 * e) for (ws, c), (ds, e) in zip(a, b)]
            for a, b in zip(layers, gradient)
        ]
        return value, pairs

    check(train, *((network([2, 8, 8, 1]), *points(20)) for _ in range(3)))


# ── what is refused, and what goes the other way ──────────────────────────────────────────────────


def test_a_branch_on_a_value_is_refused_with_its_line():
    def f(xs):
        return sum(x * y if x * y > 0 else 0.0 for x in xs for y in xs)

    with pytest.raises(
        CaptureError, match=r"test_compiler_scalars.py:\d+: its truth was asked for"
    ):
        compile(grad(f))(RNG.random(25).tolist())

    def late(xs):
        products = [x * y for x in xs for y in xs]
        return sum(products) if sum(products) > 0 else products[0]

    with pytest.raises(
        CaptureError, match=r"test_compiler_scalars.py:\d+: its truth was asked for"
    ):
        compile(grad(late))(RNG.random(25).tolist())

    def quietly(xs):
        try:
            sign = 1.0 if xs[0] > 0 else -1.0
        except Exception:
            sign = 1.0
        return sum(sign * x * y for x in xs for y in xs)

    with pytest.raises(
        CaptureError, match=r"test_compiler_scalars.py:\d+: its truth was asked for"
    ):
        compile(grad(quietly))([1.0, *RNG.random(24).tolist()])

    with pytest.raises(CaptureError):
        compile(
            lambda xs: sum(
                grad(lambda x: x * (2.0 if x.item() > 0 else 3.0) * x)(x) for x in xs * 300
            )
        )([1.0, 2.0])

    def within(xs):
        return sum(g * x for g in grad(lambda xs: f(xs))(xs) for x in xs)

    with pytest.raises(
        CaptureError, match=r"test_compiler_scalars.py:\d+: its truth was asked for"
    ):
        compile(within)(RNG.random(30).tolist())


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "function",
    [
        lambda xs: sum((x > 0) * (x > 1) * x * x for x in xs),
        lambda xs: sum(np.where(np.isfinite(x), x, 0.0) * x for x in xs),
        lambda xs: np.sum(np.stack(xs) * np.stack(xs)) + xs[0] * xs[1] * xs[2],
        lambda xs: sum(np.linalg.norm(np.stack([x * 2.0, x])) for x in xs),
    ],
)
def test_what_is_not_a_program_of_single_numbers_is_compiled_as_arrays_are(function):
    check(value_and_grad(function), ([1.0, -2.0, 3.0],), ([-1.0, 2.0, 3.0],), grouped=False)


@pytest.mark.usefixtures("few")
def test_truth_values_may_be_results():
    compiled = compile(lambda xs: [x * y * x > 1.0 for x in xs for y in xs])
    assert compiled([1.0, 2.0]) == [False, True, True, True]
    assert compiled([3.0, 0.5]) == [True, True, False, False]
    assert all(isinstance(y, bool | np.bool_) for y in compiled([3.0, 0.5]))


@pytest.mark.usefixtures("few")
def test_derivatives_within_the_function():
    f = lambda xs: sum(np.sin(x) * y for x in xs for y in xs)
    inputs = [(RNG.random(5).tolist(),) for _ in range(3)]
    check(grad(lambda xs: sum(g * g for g in grad(f)(xs))), *inputs)
    check(lambda xs: [x - 0.1 * g for x, g in zip(xs, grad(f)(xs))], *inputs)
    check(lambda xs: jvp(f, (xs,), (xs[::-1],)), *inputs)
    check(hessian(lambda xs: xs[0] * xs[1] ** 2 * xs[2]), *inputs)


@pytest.mark.usefixtures("few")
def test_a_gradient_with_something_around_it_is_not_mistaken_for_one():
    import functools

    slope = grad(lambda xs: sum(x * x * x for x in xs))

    @functools.wraps(slope)
    def doubled(xs):
        return [2 * g for g in slope(xs)]

    check(doubled, ([1.0, 2.0],), ([3.0, 4.0],))


@pytest.mark.usefixtures("few")
def test_tensors_around_the_function_and_changes_to_arguments():
    w = Tensor(2.0, name="w")
    f = compile(lambda xs: sum(w * x * x for x in xs))
    assert f([1.0, 2.0]).item() == 10.0
    w.data = 3.0
    assert f([1.0, 2.0]).item() == 15.0

    def append(xs):
        y = sum(x * x * x for x in xs)
        xs.append(y)
        return y

    with pytest.raises(CaptureError, match="xs is changed in place"):
        compile(append)([1.0, 2.0])

    def draws(xs):
        return sum(x * x * np.random.random() for x in xs)

    with pytest.raises(CaptureError, match=r"a draw from np\.random"):
        compile(draws)([1.0, 2.0])


@pytest.mark.usefixtures("few")
def test_calls_of_another_form_are_other_programs():
    compiled = compile(lambda xs, **more: sum(x * y * x for x in xs for y in more.values()))
    for xs, more in (([1.0, 2.0], {"a": 2.0}), ([1.0, 2.0], {"b": 3.0}), ((1.0, 2.0), {"a": 2.0})):
        assert compiled(xs, **more) == 5.0 * sum(more.values())
    assert len(compiled.programs) == 3
    with pytest.raises(TypeError, match="'float' object is not iterable"):
        compiled(1.0, a=2.0)


@pytest.mark.usefixtures("few")
def test_a_constant_that_is_replaced_is_noticed():
    scale = 2.0
    f = compile(lambda xs: sum(x * scale * x for x in xs))
    assert f([1.0, 2.0]) == 10.0
    scale = 3.0
    assert f([1.0, 2.0]) == 15.0


# ── text ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_program_is_text_that_runs_without_autobp(tmp_path):
    step = compile(value_and_grad(loss))
    args = (network([2, 8, 8, 1]), *points(20))
    expected = step(*args)
    assert "def value_and_grad_loss(layers, xs, ys):" in step.source
    step.save(tmp_path / "step.py")
    space = {}
    text = (tmp_path / "step.py").read_text()
    assert "autobp import" not in text
    exec(text, space)
    assert_same(space["value_and_grad_loss"](*args), expected)


def test_divisions_by_zero_are_the_functions_own(few):
    def f(a, b, xs):
        return sum(x / a + np.arctan(x / b) for x in xs)

    xs = [0.5, -1.0, 2.0, 0.0, 1.5, 0.25]
    compiled = check(f, (1.0, 2.0, xs), (0.5, -2.0, xs))
    gradients = value_and_grad(f, argnums=(0, 1))
    slopes = check(gradients, (1.0, 2.0, xs), (0.5, -2.0, xs))
    for at in ((0.0, 1.0), (1.0, 0.0)):
        for step in (f, compiled):
            with pytest.raises(ZeroDivisionError):
                step(*at, xs)
        with np.errstate(all="ignore"):  # of Tensors they are NumPy's
            np.testing.assert_equal(slopes(*at, xs), gradients(*at, xs))
