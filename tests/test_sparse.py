"""Sparse Jacobians and Hessians: patterns, colours, and matrices equal to the dense ones."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobp import (
    PatternError,
    Tensor,
    Triplets,
    compile,
    conv2d,
    custom,
    grad,
    hessian,
    jacobian,
    max_pool2d,
    nn,
    no_grad,
    relu,
    remat,
    scan,
    softmax,
    sparse,
    sparsity,
    vmap,
)
from autobp.colouring import coloured_columns, coloured_symmetrically
from autobp.compiler import CaptureError
from autobp.dag import record
from autobp.rules import PRIMITIVES, patterns
from autobp.sparsity import Entries, detected
from autobp.tree import leaves
from autobp.verify.checks import bound, picked, variables
from autobp.verify.samples import RECORDS


def pattern_of(f, *args):
    traced = record(f, args, range(len(args)))
    return as_array(detected(traced, traced.order()))


def dense(f, *args):
    """The Jacobian as one matrix, of all results by all arguments."""
    blocks = (block for _, block in leaves(jacobian(f, tuple(range(len(args))))(*args)))
    values = record(f, args, range(len(args))).values
    rows = [[np.reshape(next(blocks), (np.size(y), np.size(x))) for x in args] for y in values]
    return np.vstack([np.hstack(row) for row in rows])


def as_array(entries):
    array = np.zeros(entries.shape, bool)
    array[entries.rows, entries.columns] = True
    return array


def entries_of(array):
    return Entries(*np.nonzero(array), np.shape(array))


def banded(n, width):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= width


def close(found, expected):
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-11, atol=1e-13)


# ── patterns ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RECORDS)
def test_the_pattern_of_an_operation_has_all_its_derivatives(name):
    for sample in RECORDS[name].samples:
        chosen = variables(sample)
        f, xs = bound(PRIMITIVES[name], sample, chosen), picked(sample, chosen)
        missing = (dense(f, *xs) != 0) & ~pattern_of(f, *xs)
        assert not missing.any(), (sample.params, [*map(np.shape, xs)])


# fmt: off
X = np.arange(1.0, 5.0)
# The derivative of the rule, and of neighbours: of rows of a matrix, by one rule and by two.
square = custom(lambda x: x**2, vjp=lambda g, y, x: 2 * x * g)
rounded = custom(np.round, vjp=lambda g, y, x: g)
neighbours = custom(lambda x: x[1:] * x[:-1], jvp=lambda t, y, x: t[1:] * x[:-1] + x[1:] * t[:-1])
weighted = custom(
    lambda x, w: np.sum(x * w, -1),
    vjp=[lambda g, y, x, w: g[..., None] * w, lambda g, y, x, w: g @ x],
)
unseen = custom(
    lambda x: np.array([v * v for v in x.tolist()]),
    vjp=lambda g, y, x: np.array(g.tolist()) * 2 * x,
    jvp=lambda t, y, x: np.array(t.tolist()) * 2 * x,
)
EXACT = {
    "a product of neighbours":  (lambda x: x[1:] * x[:-1],                             [[0, 1], [1, 2], [2, 3]]),
    "a sum of rows":            (lambda x: np.sum(x.reshape(2, 2), 1),                 [[0, 1], [2, 3]]),
    "a mean of columns":        (lambda x: np.mean(x.reshape(2, 2), 0),                [[0, 2], [1, 3]]),
    "softmax of rows":          (lambda x: softmax(x.reshape(2, 2), 1),                [[0, 1], [0, 1], [2, 3], [2, 3]]),
    "the greatest of a row":    (lambda x: np.max(x.reshape(2, 2), 1),                 [[0, 1], [2, 3]]),
    "the norm of a row":        (lambda x: np.linalg.norm(x.reshape(2, 2), axis=1),    [[0, 1], [2, 3]]),
    "both branches of where":   (lambda x: np.where(x > 2, x[::-1], x),                [[0, 3], [1, 2], [1, 2], [0, 3]]),
    "the greater of two":       (lambda x: np.maximum(x[:2], x[2:]),                   [[0, 2], [1, 3]]),
    "relu where it is flat":    (lambda x: relu(-x),                                   [[0], [1], [2], [3]]),
    "times 0":                  (lambda x: 0.0 * x,                                    [[0], [1], [2], [3]]),
    "a slope of 0":             (lambda x: (x - X) ** 2,                               [[0], [1], [2], [3]]),
    "no derivative":            (lambda x: np.floor(x) + np.sign(x),                   [[], [], [], []]),
    "a constant":               (lambda x: x[:0],                                      []),
    "added in":                 (lambda x: np.bincount([0, 2, 0, 2], weights=x),       [[0, 2], [], [1, 3]]),
    "put in":                   (lambda x: x.at[1].set(x[3]),                          [[0], [3], [2], [3]]),
    "padded":                   (lambda x: np.pad(x[:2], 1),                           [[], [0], [1], []]),
    "a product of matrices":    (lambda x: x.reshape(2, 2) @ np.ones((2, 1)),          [[0, 1], [2, 3]]),
    "both of its factors":      (lambda x: x[:2].reshape(2, 1) @ x[2:].reshape(1, 2),  [[0, 2], [0, 3], [1, 2], [1, 3]]),
    "zeros of a constant":      (lambda x: np.array([[1.0, 0, 0, 2], [0, 3, 0, 0]]) @ x, [[0, 3], [1]]),
    "and on the right":         (lambda x: x.reshape(2, 2) @ np.array([[1.0, 0], [1, 1]]), [[0, 1], [1], [2, 3], [3]]),
    "an einsum":                (lambda x: np.einsum("ij,j->ij", x.reshape(2, 2), x[:2]), [[0], [1], [0, 2], [1, 3]]),
    "an inverse of each":       (lambda x: np.linalg.inv(x.reshape(4, 1, 1)),          [[0], [1], [2], [3]]),
    "a rule of one's own":      (lambda x: square(x)[1:],                              [[1], [2], [3]]),
    "the rule and not the function": (lambda x: rounded(x),                            [[0], [1], [2], [3]]),
    "a rule of tangents":       (lambda x: neighbours(x),                              [[0, 1], [1, 2], [2, 3]]),
    "two rules":                (lambda x: weighted(x.reshape(2, 2), x[:2]),           [[0, 1], [0, 1, 2, 3]]),
    "a rule for a batch":       (lambda x: vmap(neighbours)(x.reshape(2, 2)),          [[0, 1], [2, 3]]),
    "what a rule shares":       (lambda x: vmap(weighted, (0, None))(x.reshape(2, 1, 2), x[:2]), [[0, 1], [0, 1, 2, 3]]),
    "a rule that hides":        (lambda x: unseen(x[:2]),                              [[0, 1], [0, 1]]),
    "computed again":           (lambda x: remat(lambda x: x[1:] * x[:-1])(x),         [[0, 1], [1, 2], [2, 3]]),
    "two results again":        (lambda x: remat(lambda x: (x[1:], x[:1] * x[-1]))(x)[1], [[0, 3]]),
    "a rule within it":         (lambda x: remat(lambda x: square(x) * x[0])(x),       [[0], [0, 1], [0, 2], [0, 3]]),
    "a scan":                   (lambda x: scan(lambda c, r: (c + r, c * r), 0.0, x)[1], [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]),
}
# fmt: on


@pytest.mark.parametrize("what", EXACT)
def test_the_pattern_is_no_larger_than_need_be(what):
    f, expected = EXACT[what]
    found = pattern_of(f, X)
    assert [np.flatnonzero(row).tolist() for row in found] == expected


def test_images_have_the_patterns_of_their_windows():
    rng = np.random.default_rng(0)
    square, apart = rng.random((1, 1, 3, 3)), rng.random((1, 1, 2, 2))
    for f in (
        lambda x: conv2d(x, square, padding=1),
        lambda x: conv2d(x, apart, stride=2),
        lambda x: max_pool2d(x, 2),
    ):
        x = rng.standard_normal((40, 1, 1, 5, 5))
        met = sum(dense(f, y) != 0 for y in x) > 0
        assert (pattern_of(f, x[0]) == met).all()


def test_long_programs_keep_their_sets_apart():
    def diffused(x):
        for _ in range(30):
            x = x + 0.1 * (np.roll(x, 1) - 2 * x + np.roll(x, -1))
        return x

    found = pattern_of(diffused, np.zeros(200))
    distance = np.abs(np.subtract.outer(np.arange(200), np.arange(200)))
    assert (found == (np.minimum(distance, 200 - distance) <= 30)).all()


def test_what_is_put_together_at_once_has_a_bound(monkeypatch):
    monkeypatch.setattr(sparsity, "_MOST", 20)
    found = pattern_of(lambda x: x[1:] * x[:-1], np.zeros(30))
    assert found.all()
    x = np.arange(30.0)
    close(jacobian(lambda x: x[1:] * x[:-1], sparse=True)(x), jacobian(lambda x: x[1:] * x[:-1])(x))


# ── colours ───────────────────────────────────────────────────────────────────────────────────────

ARROW = np.eye(40, dtype=bool)
ARROW[-1] = ARROW[:, -1] = True
BLOCKS = np.kron(np.eye(10, dtype=bool), np.ones((4, 4), bool))
RANDOM = np.random.default_rng(0).random((40, 40)) < 0.05


@pytest.mark.parametrize(("array", "columns", "symmetric"), [
    (banded(40, 0), 1,  1),
    (banded(40, 2), 5,  5),
    (ARROW,         40, 2),
    (BLOCKS,        4,  4),
    (np.ones((9, 9), bool), 9, 9),
    (np.zeros((3, 3), bool), 1, 1),
], ids=["diagonal", "banded", "arrow", "blocks", "dense", "empty"])  # fmt: skip
def test_colours_are_few(array, columns, symmetric):
    assert coloured_columns(entries_of(array)).max() + 1 == columns
    assert coloured_symmetrically(entries_of(array)).max() + 1 == symmetric


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_colours_keep_entries_apart(m, n, density, seed):
    rng = np.random.default_rng(seed)
    array = rng.random((m, n)) < density
    colours = coloured_columns(entries_of(array))
    for row in array:
        assert len(set(colours[row])) == row.sum()
    square = rng.random((n, n)) < density
    square |= square.T
    colours = coloured_symmetrically(entries_of(square))
    same = colours[:, None] == colours
    for i, j in zip(*np.nonzero(square), strict=True):
        assert (square[i] & same[j]).sum() == 1 or (square[j] & same[i]).sum() == 1


# ── matrices ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("array", [
    banded(40, 2), ARROW, BLOCKS, RANDOM, np.ones((40, 40)), RANDOM[:15], RANDOM[:, :15].T,
    np.zeros((3, 40)),
], ids=["banded", "arrow", "blocks", "random", "dense", "wide", "tall", "empty"])  # fmt: skip
@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobians_equal_the_dense_ones(array, mode):
    A = array * np.random.default_rng(0).standard_normal(array.shape)
    x = np.linspace(-1, 1, array.shape[1])
    f = lambda x: np.tanh(A @ x)
    found = jacobian(f, mode=mode, sparse=True)(x)
    close(found, jacobian(f)(x))
    assert found.nnz == np.count_nonzero(A)
    given_pattern = jacobian(f, mode=mode, sparse=array)(x)
    close(given_pattern, found.toarray())


def trigonometric(x):
    return np.sum(x[1:] ** 2 * np.sin(x[:-1])) + np.exp(-x[0] * x[-1])


@pytest.mark.parametrize("f", [
    trigonometric,
    lambda x: np.sum(np.cos(x) * x[-1]),
    lambda x: np.sum(np.prod(np.reshape(x, (-1, 4)), 1)),
    lambda x: np.sum(np.sin(RANDOM @ x)),
    lambda x: np.sum(np.outer(x, x) ** 2),
    lambda x: np.sum(3 * x),
    lambda x: np.sum(np.sort(x) ** 3),
    lambda x: np.sum(softmax(np.reshape(x, (8, 5))) ** 2),
    lambda x: np.sum(square(x)[1:] * neighbours(x)),
    lambda x: np.sum(remat(neighbours)(x) ** 2),
], ids=["banded", "arrow", "blocks", "random", "dense", "empty", "sorted", "softmax", "rules", "again"])  # fmt: skip
def test_hessians_equal_the_dense_ones(f):
    x = np.random.default_rng(1).uniform(0.5, 1.5, 40)
    found = hessian(f, sparse=True)(x)
    close(found, hessian(f)(x))
    assert (found != found.T).nnz == 0


STEPS = [
    lambda x: np.sin(x),
    lambda x: x * x[::-1],
    lambda x: np.concatenate([x[2:], x[:2] * 2]),
    lambda x: x + np.sum(x[:2]),
    lambda x: np.where(x > 0, x, np.roll(x, 1)),
    lambda x: np.maximum(x, np.roll(x, 2)),
    lambda x: np.sort(x) + x,
    lambda x: x - np.mean(np.reshape(x, (2, -1)), 1, keepdims=True).ravel()[0],
    lambda x: np.cumsum(x * 0.3),
    lambda x: x.at[1].set(x[0] * x[2]),
    lambda x: relu(x) + 0.1 * x,
    lambda x: np.ravel(np.reshape(x, (2, -1)) @ np.eye(4)[::-1]),
    lambda x: x[[0, 0, 1, 1, 2, 2, 3, 7]],
    lambda x: np.pad(x[1:-1], 1),
]


@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_random_programs(steps, seed):
    def f(x):
        for step in steps:
            x = step(x)
        return x

    rng = np.random.default_rng(seed)
    sparse_jacobian, total = jacobian(f, sparse=True), lambda x: np.sum(np.sin(f(x)))
    sparse_hessian = hessian(total, sparse=True)
    for x in rng.uniform(-1, 1, (2, 8)):  # the second by the plan of the first, or by a new one
        close(sparse_jacobian(x), jacobian(f)(x))
        close(sparse_hessian(x), hessian(total)(x))


def test_nests_have_a_matrix_for_each_pair():
    def f(p, scale):
        return {"y": p["a"] ** 2 * scale, "z": (np.sum(p["a"]), p["b"] * p["a"][:2])}

    p, scale = {"a": np.arange(1.0, 4.0), "b": np.array([[1.0, 2.0]])}, 3.0
    found = jacobian(f, argnums=(0, 1), sparse=True)(p, scale)
    dense = jacobian(f, argnums=(0, 1))(p, scale)
    assert found["y"][0]["a"].nnz == 3
    for (_, block), (_, expected) in zip(leaves(found), leaves(dense), strict=True):
        assert block.shape[0] * block.shape[1] == np.size(expected)
        close(block, np.reshape(expected, block.shape))
    both = hessian(lambda x, y: np.sum(x**2 * y), argnums=(0, 1), sparse=True)(
        np.ones(3), np.ones(3)
    )
    assert both[0][1].toarray().tolist() == (2 * np.eye(3)).tolist()


def test_numbers_dtypes_and_keywords():
    f = lambda x, scale=1.0: scale * x**2
    single = jacobian(f, sparse=True)(np.ones(3, np.float32), scale=np.float32(2))
    assert single.dtype == np.float32
    assert jacobian(f, sparse=True)(3.0, scale=2.0).toarray().tolist() == [[12.0]]
    assert jacobian(f, sparse=True)(np.zeros(0)).shape == (0, 0)
    assert jacobian(lambda x: 5.0, sparse=True)(np.ones(3)).toarray().tolist() == [[0, 0, 0]]
    assert jacobian(lambda x: x > 0, sparse=True)(np.ones(3)).nnz == 0
    assert jacobian(f, sparse=True).__name__ == "jacobian"


# ── plans ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def searches(monkeypatch):
    """How often a pattern was looked for."""
    found = []

    def counted(*args):
        found.append(detected(*args))
        return found[-1]

    monkeypatch.setattr(sparse, "detected", counted)
    return found


def test_the_pattern_is_kept(searches):
    calls, directions = [], []

    def f(x):
        calls.append(x)
        return x[1:] * np.sin(x[:-1])

    rule = lambda t, y, x: directions.append(0) or t
    once = custom(lambda x: x, vjp=rule, jvp=rule)
    derivative = jacobian(lambda x: f(once(x)), mode="forward", sparse=True)
    derivative(np.ones(2000))
    calls.clear(), directions.clear()
    for k in range(3):
        derivative(np.full(2000, float(k)))
    assert len(searches) == 1
    assert len(calls) == 3  # one evaluation each
    assert len(directions) == 9  # two sweeps, and one record of what the rule does


@pytest.mark.parametrize(("f", "a", "b"), [
    (lambda x: x * 2 if x[0] > 0 else x[::-1], [1.0, 2, 3], [-1.0, 2, 3]),
    (lambda x: x[1:], [1.0, 2, 3], [1.0, 2]),
    (lambda x: np.sort(x), [1.0, 2, 3], [3.0, 2, 1]),
    (lambda x: x[np.argsort(x.numpy())][:2], [1.0, 2, 3], [3.0, 2, 1]),
    (lambda x: np.diag(x.numpy() > 0) @ x, [1.0, 2, -3], [1.0, -2, 3]),
    (lambda x: x[:2] if x[0] > 0 else x[1:], [1.0, 2, 3], [-1.0, 2, 3]),
    (lambda x: np.roll(x, 1 if x[0] > 0 else 2), [1.0, 2, 3], [-1.0, 2, 3]),
    (custom(lambda x: x[::-1] if x[0] < 0 else x, vjp=lambda g, y, x: g[::-1] if x[0] < 0 else g), [1.0, 2, 3], [-1.0, 2, 3]),
    (remat(lambda x: x * 2 if x[0] > 0 else x[::-1]), [1.0, 2, 3], [-1.0, 2, 3]),
], ids=["branch", "shape", "sort", "index", "zeros", "slice", "parameter", "rule", "again"])  # fmt: skip
def test_another_structure_has_another_pattern(f, a, b, searches):
    derivative = jacobian(f, sparse=True)
    for k, x in enumerate((a, a, b, a)):
        close(derivative(np.array(x)), jacobian(f)(np.array(x)))
        assert len(searches) == (1, 1, 2, 3)[k]


def test_a_pattern_may_be_given():
    from scipy.sparse import csr_matrix

    f, x = lambda x: x[1:] * x[:-1], np.arange(1.0, 5.0)
    pattern = pattern_of(f, x)
    rows, columns = np.nonzero(pattern)
    for given_pattern in (
        pattern,
        pattern.tolist(),
        csr_matrix(pattern),
        Triplets(rows, columns, np.ones(6), pattern.shape),
        np.ones((3, 4)),
    ):
        close(jacobian(f, sparse=given_pattern)(x), jacobian(f)(x))
    x = np.ones(6)
    close(hessian(trigonometric, sparse=np.ones((6, 6)))(x), hessian(trigonometric)(x))


def test_a_pattern_without_all_entries_is_refused():
    f, x = lambda x: x[1:] * x[:-1], np.arange(1.0, 5.0)
    pattern = pattern_of(f, x)
    pattern[1, 2] = False
    for mode in ("forward", "reverse"):
        with pytest.raises(
            PatternError, match=r"jacobian: the pattern that was given misses derivatives"
        ):
            jacobian(f, sparse=pattern, mode=mode)(x)
    with pytest.raises(
        PatternError, match=r"row 1 of the Jacobian times a vector is .* sparse=True, which"
    ):
        jacobian(f, sparse=pattern)(x)
    late = jacobian(f, sparse=pattern)  # at 0 the entry is not needed yet
    late(np.array([1.0, 0.0, 3.0, 4.0]))
    with pytest.raises(PatternError):
        late(x)
    with pytest.raises(PatternError, match=r"hessian: .* take jacobian\(grad\(f\), sparse=True\)"):
        hessian(trigonometric, sparse=np.eye(4))(x)
    with pytest.raises(ValueError, match=r"the pattern has shape \(4, 4\); .* takes, \(3, 4\)"):
        jacobian(f, sparse=np.eye(4))(x)
    for wrong in ("csr", np.ones(3), None):
        with pytest.raises(
            TypeError, match=r"jacobian: sparse is True, or a pattern: an array of two"
        ):
            jacobian(f, sparse=wrong)


def test_a_wrong_fact_is_noticed(monkeypatch):
    """The product with a random vector, at the first call of each structure."""
    matmul, A = PRIMITIVES["matmul"], np.arange(1.0, 10.0).reshape(3, 3)
    wrong = lambda out, a, b: patterns.broadcast(out, a, b)
    monkeypatch.setattr(matmul, "facts", replace(matmul.facts, pattern=wrong))
    with pytest.raises(
        PatternError, match=r"the pattern that was found misses derivatives: .* check_gradients"
    ):
        jacobian(lambda x: A @ x, sparse=True)(np.ones(3))
    with pytest.raises(PatternError, match="row . of the Hessian"):
        hessian(lambda x: np.sum((A @ x) ** 2), sparse=True)(np.ones(3))


def test_second_derivatives_that_are_not_symmetric_are_noticed():
    arrow = lambda g, y, x: (
        g * np.concatenate([np.sum(x[1:], keepdims=True), 2 * x[:1] + 0 * x[1:]])
    )
    slope = custom(lambda x: np.sum(x), vjp=arrow)
    with pytest.raises(PatternError, match="if the second derivatives are not symmetric"):
        hessian(slope, sparse=True)(np.ones(4))
    close(jacobian(grad(slope), sparse=True)(np.ones(4)), hessian(slope)(np.ones(4)))


# ── around ────────────────────────────────────────────────────────────────────────────────────────


def test_without_scipy_it_is_triplets(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    found = jacobian(lambda x: x[1:] * x[:-1], sparse=True)(np.array([1.0, 2.0, 3.0]))
    assert isinstance(found, Triplets)
    assert (found.rows.tolist(), found.columns.tolist()) == ([0, 0, 1, 1], [0, 1, 1, 2])
    assert found.values.tolist() == [2, 1, 3, 2]
    assert found.toarray().tolist() == [[2, 1, 0], [0, 3, 2]]
    twice = Triplets(np.array([0, 0]), np.array([1, 1]), np.array([1.0, 2.0]), (1, 2))
    assert twice.toarray().tolist() == [[0, 3]]


def test_what_is_returned_is_the_callers():
    derivative, x = jacobian(lambda x: x * np.array([1.0, 0.0]), sparse=True), np.ones(2)
    first = derivative(x)
    first.eliminate_zeros()
    first.data[:] = 7
    assert derivative(x).nnz == 2
    close(derivative(x), [[1, 0], [0, 0]])


def test_it_is_refused_where_numbers_are_not_plain():
    derivative = jacobian(lambda x: x**2, sparse=True)
    with pytest.raises(
        TypeError, match=r"jacobian\(sparse=...\) inside another derivative or vmap"
    ):
        grad(lambda x: np.sum(derivative(x)))(np.ones(2))
    with pytest.raises(CaptureError, match=r"jacobian\(sparse=...\) in a compiled function"):
        compile(derivative)(np.ones(2))
    with pytest.raises(TypeError, match=r"or of Tensors: .* give it x.numpy\(\)"):
        derivative(Tensor([1.0, 2.0]))


def test_nan_and_inf_are_entries_like_others():
    with np.errstate(all="ignore"):
        found = jacobian(lambda x: np.sqrt(x) * x[::-1], sparse=True)(np.array([0.0, 1.0, -1.0]))
        dense = jacobian(lambda x: np.sqrt(x) * x[::-1])(np.array([0.0, 1.0, -1.0]))
    at = np.isfinite(dense) & np.isfinite(found.toarray())
    assert (found.toarray()[at] == dense[at]).all()


# ── rounding, Tensors, entries out of range ───────────────────────────────────────────────────────

CANCELLING = {
    "sin² + cos²": lambda x: np.sin(x) ** 2 + np.cos(x) ** 2,
    "a sum of softmax": lambda x: np.sum(softmax(x)) * np.ones(3),
    "log of exp": lambda x: np.log(np.exp(x)) - x,
}


@pytest.mark.parametrize("name", CANCELLING)
@pytest.mark.parametrize("seed", range(5))
def test_derivatives_that_cancel_to_rounding_are_not_missed(name, seed):
    x = np.random.default_rng(seed).standard_normal(5)
    found = jacobian(CANCELLING[name], sparse=True)(x)
    np.testing.assert_allclose(found.toarray(), 0, atol=1e-14)


def test_second_derivatives_that_cancel():
    x = np.array([0.3, 0.5, 0.7, 0.45])
    found = hessian(lambda x: np.sum(np.sin(np.arcsin(x))), sparse=True)(x)
    np.testing.assert_allclose(found.toarray(), 0, atol=1e-14)


def test_functions_that_use_tensors_are_taken_under_no_grad():
    model = nn.MLP([4, 5, 3], activation=nn.Tanh, rng=0)
    plain = lambda y: y.numpy() if isinstance(y, Tensor) else y
    x = np.ones(4)
    with pytest.raises(TypeError, match=r"uses Tensors besides .* under `with no_grad\(\):`"):
        jacobian(model, sparse=True)(x)
    with no_grad():
        found = jacobian(model, sparse=True)(x).toarray()
        second = hessian(lambda x: np.sum(model(x)), sparse=True)(x).toarray()
    np.testing.assert_allclose(found, plain(jacobian(model)(x)), rtol=1e-12)
    expected = plain(hessian(lambda x: np.sum(model(x)))(x))
    assert np.any(expected)
    np.testing.assert_allclose(second, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("row", "column"), [(7, 0), (-1, 0), (0, 4), (0, -2)])
def test_a_pattern_has_entries_within_its_shape(row, column):
    pattern = Triplets(np.array([row]), np.array([column]), np.ones(1), (4, 4))
    with pytest.raises(ValueError, match="jacobian: the pattern has an entry in"):
        jacobian(np.sin, sparse=pattern)


def test_truth_values_of_numpy():
    assert jacobian(np.sin, sparse=np.True_)(np.ones(3)).nnz == 3
    assert isinstance(jacobian(np.sin, sparse=np.False_)(np.ones(3)), np.ndarray)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.stack([1e6 * x[0] + x[1], x[1]]),
        lambda x: np.stack([1e9 * x[0], x[0] + x[1]]),
    ],
)
def test_a_small_entry_that_a_given_pattern_misses_is_found(f):
    with pytest.raises(PatternError, match="the pattern that was given misses derivatives"):
        jacobian(f, sparse=np.eye(2))(np.array([1.3, 0.7]))


def test_matrices_have_the_dtype_of_each_call():
    f = lambda x: np.sin(x[1:]) * x[:-1]
    x = np.linspace(0.1, 1.3, 7)
    for derivative in (jacobian(f, sparse=True), hessian(lambda x: np.sum(f(x)), sparse=True)):
        assert derivative(x.astype(np.float32)).dtype == np.float32
        assert derivative(x).dtype == np.float64
        assert derivative(x.astype(np.float32)).dtype == np.float32


def test_a_rule_that_is_not_written_in_numpy_depends_on_all():
    slope = lambda g, y, x: np.array([a * math.cos(v) for a, v in zip(g, x, strict=True)])
    f = custom(lambda x: np.array([math.sin(v) for v in x]), vjp=slope)
    x = np.arange(1.0, 5.0)
    np.testing.assert_array_equal(jacobian(f, sparse=True)(x).toarray(), np.diag(np.cos(x)))


def test_half_precision_becomes_single_of_which_scipy_has_matrices():
    pytest.importorskip("scipy")
    x = np.linspace(0, 1, 5, dtype=np.float16)
    found = jacobian(np.sin, sparse=True)(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), np.diag(np.cos(x)), rtol=1e-3)


def test_a_dense_network_has_a_dense_pattern():
    rng = np.random.default_rng(0)
    weights = [0.2 * rng.standard_normal((20, 20)) for _ in range(8)]
    x = rng.standard_normal((100, 20))

    def loss(ws):
        h = x
        for w in ws:
            h = np.tanh(h @ w)
        return np.sum(h * h)

    blocks = jacobian(loss, sparse=True)(weights)
    for block, expected in zip(blocks, grad(loss)(weights), strict=True):
        np.testing.assert_allclose(block.toarray().reshape(20, 20), expected, rtol=1e-10)


def test_triplets_have_what_sparse_matrices_have():
    matrix = Triplets(np.array([0, 1, 1]), np.array([2, 0, 0]), np.array([5.0, 6.0, 1.0]), (2, 3))
    assert matrix.nnz == 3
    np.testing.assert_array_equal(np.asarray(matrix), [[0, 0, 5], [7, 0, 0]])
    assert np.asarray(matrix, np.float32).dtype == np.float32


@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_what_a_plan_keeps_is_not_given_away(kept, monkeypatch):
    monkeypatch.setattr(sparse, "_KEPT", kept)
    f = jacobian(lambda x: (x, x[1:] * x[:-1], 2.0 * x), sparse=True)
    x = np.arange(1.0, 6.0)
    wanted = [block.toarray() for block in f(x)]
    for block in f(x):
        for part in (block.data, block.indices, block.indptr):
            part[:] = 0
    for found, block in zip(f(x), wanted, strict=True):
        np.testing.assert_array_equal(found.toarray(), block)
    np.testing.assert_array_equal(wanted[0], np.eye(5))
