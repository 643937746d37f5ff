"""What is counted: by hand, by numbers that count what is done to them, and by theory."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

from autobp import conv2d, custom, graph, jacobian, jvp, log_softmax, relu, sigmoid, softmax, vjp
from autobp import higher as higher_module
from autobp.counts import Counts, Sweeps, counted, recorded, unknown
from autobp.rules import PRIMITIVES
from autobp.tensor import Tensor
from autobp.verify.samples import RECORDS


def triple(counts: Counts) -> tuple[int, int, int]:
    return counts.multiplications, counts.additions, counts.transcendental


def test_every_primitive_has_a_cost() -> None:
    assert all(p.facts.cost for p in PRIMITIVES.values())


# ── numbers that count ────────────────────────────────────────────────────────────────────────────

# NumPy runs the functions of the primitives on arrays of objects, too, and so on these.

TALLY = [0, 0, 0]


def _counting(slot: int, function):
    def method(self, *others):
        TALLY[slot] += 1
        values = [o.value if isinstance(o, Number) else o for o in others]
        return Number(function(self.value, *values))

    return method


class Number:
    def __init__(self, value: float) -> None:
        self.value = float(value)

    __mul__ = __rmul__ = _counting(0, operator.mul)
    __truediv__ = _counting(0, operator.truediv)
    __rtruediv__ = _counting(0, lambda x, y: y / x)
    __add__ = __radd__ = _counting(1, operator.add)
    __sub__ = _counting(1, operator.sub)
    __rsub__ = _counting(1, lambda x, y: y - x)
    __neg__ = _counting(1, operator.neg)
    __abs__ = fabs = _counting(1, abs)
    exp = _counting(2, math.exp)
    exp2 = _counting(2, math.exp2)
    expm1 = _counting(2, math.expm1)
    log = _counting(2, math.log)
    log2 = _counting(2, math.log2)
    log10 = _counting(2, math.log10)
    log1p = _counting(2, math.log1p)
    sqrt = _counting(2, math.sqrt)
    cbrt = _counting(2, np.cbrt)
    sin = _counting(2, math.sin)
    cos = _counting(2, math.cos)
    tan = _counting(2, math.tan)
    arcsin = _counting(2, math.asin)
    arccos = _counting(2, math.acos)
    arctan = _counting(2, math.atan)
    sinh = _counting(2, math.sinh)
    cosh = _counting(2, math.cosh)
    tanh = _counting(2, math.tanh)
    arcsinh = _counting(2, math.asinh)
    arccosh = _counting(2, math.acosh)
    arctanh = _counting(2, math.atanh)
    hypot = _counting(2, math.hypot)
    arctan2 = _counting(2, math.atan2)
    __pow__ = _counting(2, operator.pow)

    def __ge__(self, other) -> bool:
        TALLY[1] += 1
        return self.value >= (other.value if isinstance(other, Number) else other)

    __le__ = __gt__ = lambda self, other: not self >= other if self is not other else True


def numbers(a):
    """An array of float64 as one of numbers that count."""
    return np.frompyfunc(Number, 1, 1)(a) if np.ndim(a) else a


# fmt: off
COUNTABLE = [
    "add", "subtract", "multiply", "divide", "negative", "absolute", "fabs", "maximum", "minimum", "square",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "sin",
    "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
    "arctanh", "hypot", "arctan2", "relu", "sum", "cumsum", "max", "min", "prod", "cumprod",
    "matmul", "linear", "conv2d", "pool2d", "pool2d_weight", "reshape", "transpose", "flip", "concatenate", "getitem",
]
# fmt: on


@pytest.mark.parametrize("name", COUNTABLE)
def test_costs_are_what_numbers_that_count_say(name: str) -> None:
    primitive, compared = PRIMITIVES[name], 0
    for sample in RECORDS[name].samples:
        args = [np.asarray(a) if np.ndim(a) else a for a in sample.args]
        floats = all(np.ndim(a) and a.dtype == np.float64 and a.size for a in args)
        if not floats:
            continue
        out = primitive.function(*args, **sample.params)
        TALLY[:] = 0, 0, 0
        primitive.function(*map(numbers, args), **sample.params)
        shapes = [np.shape(a) for a in args]
        assert list(primitive.facts.cost(np.shape(out), *shapes, **sample.params)) == TALLY
        compared += 1
    assert compared


# ── by hand ───────────────────────────────────────────────────────────────────────────────────────

R = np.random.default_rng(0)
A, B, V = R.random((2, 3)), R.random((3, 4)), R.random(3)
S = R.random((3, 3)) + 3 * np.eye(3)
S = S @ S.T
IMAGES, KERNELS = R.random((2, 3, 5, 5)), R.random((4, 3, 2, 2))

# fmt: off
BY_HAND = {
    #                     function                          at         ×       +           f()
    "matrices":          (lambda a: a @ B,                  A,         (24,    16,         0)),
    "matrix and vector": (lambda a: a @ V,                  A,         (6,     4,          0)),
    "inner product":     (lambda v: v @ v,                  V,         (3,     2,          0)),
    "mean":              (lambda a: np.mean(a),             A,         (1,     5,          0)),
    "norm":              (lambda a: np.linalg.norm(a),      A,         (6,     5,          1)),
    "softmax":           (lambda a: softmax(a, axis=1),     A,         (6,     2*2+6+2*2,  6)),  # −max, exp, Σ, ÷
    "log_softmax":       (lambda a: log_softmax(a, axis=1), A,         (0,     2*2+6+2*2+6, 8)),
    # mean, −mean, ², mean, +ε √ 1/, ×
    "standardized":      (lambda a: PRIMITIVES["standardized"](a, axis=(1,), eps=0.1), A,         (2+6+2+2+6, 2*2+6+2*2+2, 2)),
    "sigmoid":           (sigmoid,                          V,         (3,     6,          3)),
    "normal_cdf":        (lambda v: PRIMITIVES["normal_cdf"](v), V,   (3 * 29, 3 * 25,         3)),
    "square":            (lambda v: v ** 2,                 V,         (3,     0,          0)),
    "cube":              (lambda v: v ** 3,                 V,         (6,     0,          0)),
    "reciprocal":        (lambda v: v ** -1,                V,         (3,     0,          0)),
    "broadcast":         (lambda v: np.ones((4, 3)) * v,    V,         (12,    0,          0)),
    "scattered":         (lambda v: np.sum(v[[0, 0, 1]]),   V,         (0,     2,          0)),
    "determinant":       (np.linalg.det,                    S,         (3+5+2, 5,          0)),  # 3 quotients, 4+1 products
    "solve":             (lambda s: np.linalg.solve(s, V),  S,         (8+9,   5+6,        0)),
    "cholesky":          (np.linalg.cholesky,               S,         (3+4,   4,          3)),
    "convolution":       (lambda x: conv2d(x, KERNELS),     IMAGES,    (2*4*4*4*12, 2*4*4*4*11, 0)),
    # (2, 3)·(3, 4)·(4,) is cheaper from the right: 12 products and 9 sums, then 6 and 4
    "einsum":            (lambda a: np.einsum("ij,jk->ik", a, B), A, (24, 16, 0)),
    "einsum of three":   (lambda a: np.einsum("ij,jk,k->i", a, B, np.ones(4)), A, (18, 13, 0)),
}
# fmt: on


@pytest.mark.parametrize("name", BY_HAND)
def test_evaluation_by_hand(name: str) -> None:
    function, x, expected = BY_HAND[name]
    assert triple(recorded(function, x).counts) == expected


# fmt: off
SWEEPS_BY_HAND = {
    # function of n = 100 numbers        forward: ×, +, f()   reverse: ×, +, f()
    "x·x: both uses, added":   (lambda x: np.sum(x * x),               (200, 100 + 99, 0),  (200, 100, 0)),
    "tanh: t·(1 − y·y)":       (lambda x: np.sum(np.tanh(x)),          (200, 100 + 99, 0),  (200, 100, 0)),
    "sin: t·cos x":            (lambda x: np.sum(np.sin(x)),           (100, 99, 100),      (100, 0, 100)),
    "a bias, spread over 10":  (lambda x: np.sum(np.ones((10, 100)) + x), (0, 999, 0),      (0, 900, 0)),
    "matrix · x":              (lambda x: np.ones((5, 100)) @ x,       (500, 495, 0),       (500, 400, 0)),
    "taken twice":             (lambda x: x[np.zeros(7, int)],         (0, 0, 0),           (0, 7, 0)),
}
# fmt: on


@pytest.mark.parametrize("name", SWEEPS_BY_HAND)
def test_sweeps_by_hand(name: str) -> None:
    function, forward, reverse = SWEEPS_BY_HAND[name]
    sweeps = Sweeps(function, [R.random(100)])
    assert triple(sweeps.forward().counts) == forward
    assert triple(sweeps.reverse().counts) == reverse


def test_visits_and_calls_have_their_price() -> None:
    sweeps = Sweeps(lambda x: np.sum(np.exp(x)), [np.ones(10)])
    forward, reverse = sweeps.forward().counts, sweeps.reverse().counts
    assert (forward.visits, reverse.visits) == (4, 2)  # two operations
    assert sweeps.evaluation.counts.work == 9 + 10 * 10 + 2 * 500
    assert reverse.work == 10 + reverse.calls * 500 + 2 * 1000


def test_only_what_a_leaf_reaches_is_swept() -> None:
    sweeps = Sweeps(lambda x, y: np.sum(np.exp(x)) + y, [R.random(1000), 1.0])
    assert triple(sweeps.forward([0]).counts) == (1000, 999, 0)
    assert triple(sweeps.forward([1]).counts) == (0, 0, 0)
    assert triple(sweeps.forward().counts) == (1000, 1000, 0)


def mlp(x, y):
    def loss(params):
        W1, b1, W2, b2 = params
        scores = log_softmax(relu(x @ W1 + b1) @ W2 + b2)
        return -np.mean(scores[np.arange(len(y)), y])

    return loss


def test_network_by_hand() -> None:
    """784-100-10 would be as easy; 7-5-3 with a batch of 4 is quicker to follow."""
    x, y = R.random((4, 7)), np.array([0, 2, 1, 0])
    params = [R.standard_normal(s) for s in ((7, 5), (5,), (5, 3), (3,))]
    sweeps = Sweeps(mlp(x, y), [params])
    first, second = 4 * 5, 4 * 3  # numbers in the hidden layer, and scores
    # products; bias; relu | products; bias | log_softmax: −max, Σ, −log Σ | mean, minus
    additions = first * 6 + first + first + second * 4 + second + second * 4 - 2 * 4 + 3 + 1
    assert triple(sweeps.evaluation.counts) == (first * 7 + second * 5 + 1, additions, second + 4)
    # ÷4 | g − eʸ·Σg | twice the second product, once the first: x is a constant | · (x > 0)
    products = 1 + second + 4 * 5 * 3 + 5 * 3 * 4 + first + 7 * 5 * 4
    sums = 1 + (4 * 2 + second) + 3 * 3 + 4 * 5 * 2 + 5 * 3 * 3 + 3 * 5 + 7 * 5 * 3
    back = sweeps.reverse().counts
    # each label is its row's own, but as an index could name one twice: the scatter adds
    assert triple(back) == (products, sums + 4, second)


# ── theory ────────────────────────────────────────────────────────────────────────────────────────

FUNCTIONS = {
    "rosenbrock": lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
    "product": lambda x: np.prod(1 + 0.1 * x),
    "distances": lambda x: np.sum(np.exp(-((x[:, None] - x[None, :]) ** 2))),
    "layers": lambda x: np.sum(np.tanh(np.tanh(x * 2 + 1) * x) / (1 + x**2)),
    "softmax": lambda x: -log_softmax(x)[0] + 0.1 * np.linalg.norm(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_gradient_costs_a_few_evaluations_whatever_the_number_of_inputs(name: str) -> None:
    ratios = []
    for n in (10, 100, 1000):
        sweeps = Sweeps(FUNCTIONS[name], [R.random(n)])
        f = sweeps.evaluation.counts.flops
        ratios.append((f + sweeps.reverse().counts.flops) / f)
    assert max(ratios) <= 5
    assert max(ratios) / min(ratios) < 1.3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sweeps_record_what_the_derivatives_themselves_do(name: str) -> None:
    """Counted in sweeps over a graph, and in `vjp` and `jvp` as they are called: the same."""

    def both_ways(x, cotangent):
        y, pullback = vjp(FUNCTIONS[name], x)
        return y, pullback(cotangent)

    x = R.random(20)
    sweeps = Sweeps(FUNCTIONS[name], [x])
    both = sweeps.evaluation.counts + sweeps.reverse().counts
    assert triple(recorded(both_ways, x, 1.0).counts) == triple(both)
    dual = sweeps.evaluation.counts + sweeps.forward().counts
    online = recorded(lambda x, t: jvp(FUNCTIONS[name], (x,), (t,)), x, np.ones(20))
    assert triple(online.counts) == triple(dual)


def test_counting_is_the_same_for_float32_and_numbers() -> None:
    f = lambda x: np.sum(np.sin(x) * x)
    double, single = (Sweeps(f, [np.ones(9, d)]).reverse().counts for d in (np.float64, np.float32))
    assert triple(double) == triple(single)
    assert triple(recorded(lambda x: x * x + 1.0, 3.0).counts) == (1, 1, 0)


def test_an_operation_of_ones_own_is_named_and_taken_for_a_call() -> None:
    bump = custom(lambda x: np.exp(-x * x), vjp=lambda g, y, x: -2 * x * y * g, name="bump")
    program = recorded(lambda x: bump(x) + 1, np.ones(6))
    assert triple(program.counts) == (0, 6, 6)
    assert unknown(program.operations) == ["bump"]
    assert triple(Sweeps(bump, [np.ones(6)]).reverse().counts) == (18, 0, 0)


def test_counts_of_a_graph_that_is_there() -> None:
    y = np.sum(Tensor(np.ones(10)) * 2)
    assert triple(counted(graph(y).operations)) == (10, 9, 0)


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def chain(depth: int):
    def f(x):
        for _ in range(depth):
            x = np.sin(x)
        return np.sum(x)

    return f


def test_alive_is_what_is_needed_at_one_time() -> None:
    x = np.ones(1000)
    for depth in (2, 20):
        sweeps = Sweeps(chain(depth), [x])
        assert sweeps.evaluation.alive == 16_000  # the argument of sin, and its result
        assert sweeps.evaluation.tape == depth * 8000 + 8
        assert sweeps.reverse().alive == 24_000  # a cotangent, the cosine, and their product


def test_views_take_no_memory() -> None:
    program = recorded(lambda x: np.sum((x * 2).reshape(10, 10).T[2:]), np.ones(100))
    assert program.tape == 800 + 8
    assert recorded(lambda x: np.sum(x.reshape(10, 10)), np.ones(100)).tape == 8  # the argument's


# ── the choice of a mode ──────────────────────────────────────────────────────────────────────────


def chosen(f, x, monkeypatch: pytest.MonkeyPatch) -> str:
    taken = []
    for name in ("_by_columns", "_by_rows"):
        whole = getattr(higher_module, name)
        spy = lambda *args, name=name, whole=whole: (taken.append(name), whole(*args))[1]
        monkeypatch.setattr(higher_module, name, spy)
    jacobian(f)(x)
    monkeypatch.undo()
    (name,) = taken
    return "forward" if name == "_by_columns" else "reverse"


def works(f, x) -> dict[str, int]:
    sweeps = Sweeps(f, [x])
    n, m = np.size(x), sum(np.size(v.numpy()) for v in sweeps.record.values)
    few = {k: 1 if k < 4 else k for k in (n, m)}  # swept one by one
    at_once = {k: 0 if k < 4 else k for k in (n, m)}
    return {
        "forward": sweeps.forward(None, at_once[n]).counts.work * n // few[n],
        "reverse": sweeps.reverse(None, at_once[m]).counts.work * m // few[m],
    }


@pytest.mark.parametrize(("m", "n"), [(1, 1000), (10, 1000), (300, 300), (1000, 10), (1000, 1)])
def test_jacobian_chooses_the_cheaper_mode(m, n, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, x = R.standard_normal((m, n)), R.standard_normal(n)
    f = lambda x: np.tanh(matrix @ x)
    work = works(f, x)
    assert work[chosen(f, x, monkeypatch)] <= 1.1 * min(work.values())


def test_the_choice_is_not_of_the_shape_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """More inputs than outputs, but each output is taken out and put back on its own."""
    f = lambda x: np.stack([x[i] for i in range(70)])
    x = R.random(75)
    work = works(f, x)
    assert work["forward"] != work["reverse"]
    assert work[chosen(f, x, monkeypatch)] == min(work.values())
    # fewer inputs than outputs, but of those only one has far to go
    g = lambda x: (np.exp(np.sin(np.cos(x)))[:1], np.broadcast_to(x[:1], 120) * 1.0)
    y = R.random(100)
    assert chosen(g, y, monkeypatch) == "reverse"


def test_the_choice_needs_no_other_run() -> None:
    calls = []

    def f(x):
        calls.append(1)
        return x * 2

    jacobian(f)(np.ones(100))
    jacobian(f, sparse=True)(np.ones(100))
    assert len(calls) == 2
