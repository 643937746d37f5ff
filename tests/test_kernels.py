"""Sums as products with ones, and rows that are added up where an index names them again and again."""

import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobp import (
    Tensor,
    compile,
    conv2d,
    fast_paths,
    grad,
    nn,
    solve_triangular,
    value_and_grad,
)
from autobp.kernels import attention, indexed, triangular, winograd
from autobp.kernels.blocks import LARGE, in_blocks
from autobp.kernels.contraction import contracted
from autobp.kernels.exponential import logaddexp
from autobp.kernels.extrema import greatest, least
from autobp.kernels.factors import multiplied, others
from autobp.kernels.layout import alike, contiguous, laid_out
from autobp.kernels.products import product as matrix_product
from autobp.kernels.sums import LONG, LONGER, dot, total
from autobp.rules import indexing
from autobp.rules.linalg import matmul
from autobp.rules.neural import normal_cdf, softplus_

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(9, 10, 6, 11)).transpose(2, 3, 0, 1)  # pixels first in memory


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("x", "axes"),
    [
        (RNG.normal(size=(40, 35, 3)), [0, 1, 2, -1, (0, 1), (1, 2), (0, 2), (0, 1, 2), None, ()]),
        (RNG.normal(size=(2, 3000)), [0, 1]),
        (RNG.normal(size=(3000, 2)), [0, 1]),
        (RNG.normal(size=(700, 2, 3)), [0, 1, 2]),
        (IMAGES, [0, 1, 2, 3, (0, 2, 3), (2, 3), (1, 2), (0, 1)]),
        (RNG.normal(size=(90, 90))[::2, ::-1], [0, 1]),
        (np.empty((0, 5000)), [0, 1]),
        (RNG.normal(size=(2, 2 * LONG + 7, 3)), [0, 1, 2, (0, 1)]),
        (RNG.normal(size=(2 * LONG * LONG + 1, 1)), [0, 1]),
    ],
)
def test_sums_are_numpys(x, axes, dtype, keepdims):
    x = x.astype(dtype, order="K")
    for axis in axes:
        expected = np.add.reduce(x, axis=axis, keepdims=keepdims)
        found = total(x, axis, keepdims)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        scale = max(1.0, np.abs(expected).max(initial=0.0))
        np.testing.assert_allclose(found, expected, 0, np.finfo(dtype).eps * 64 * scale)


# fmt: off
PRODUCTS = [
    ((5,), (5,)), ((4, 5), (5,)), ((5,), (5, 3)), ((4, 5), (5, 3)), ((2, 4, 5), (5,)), ((2, 4, 5), (5, 3)),
    ((2, 7, 4, 5), (5, 3)), ((4, 5), (2, 5, 3)), ((2, 4, 5), (2, 5, 3)), ((0, 4, 5), (5, 3)), ((2, 4, 0), (0, 3)),
    ((2, 0, 5), (5,)), ((2, 4, 5), (5, 0)),
]
# fmt: on


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("first", "second"), PRODUCTS)
def test_products_of_matrices_are_numpys(first, second, dtype):
    a, b = RNG.normal(size=first).astype(dtype), RNG.normal(size=second).astype(dtype)
    turned = np.asfortranarray(a)  # whose rows do not lie one behind the other
    expected = np.matmul(a, b)
    for x, y in ((a, b), (turned, b), (a, np.asfortranarray(b)), (a.astype(np.float32), b)):
        found = matrix_product(x, y)
        assert found.shape == expected.shape
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, 1e-5, 1e-5)


@pytest.mark.parametrize("columns", [(), (3,)])
def test_a_matrix_that_many_are_multiplied_by_has_one_cotangent(columns):
    """Not one for each of them, to be added up."""
    a, b, g = (RNG.normal(size=shape) for shape in ((6, 4, 5), (5, *columns), (6, 4, *columns)))
    found = matmul.reverse[1](g, None, a, b)
    np.testing.assert_allclose(found, np.einsum("ijk,ij...->k...", a, g), strict=True)


@pytest.mark.parametrize("n", [0, 3, LONGER, 3 * LONGER + 5])
def test_long_products_are_numpys(n):
    x, y = RNG.normal(size=(2, n))
    np.testing.assert_allclose(dot(x, y), np.vdot(x, y), 1e-10)
    np.testing.assert_allclose(dot(x[::-1, None], y[:, None]), np.vdot(x[::-1], y), 1e-10)


@pytest.mark.parametrize("axis", [0, (0, 1)])
def test_long_sums_keep_their_digits_in_float32(axis):
    x = RNG.uniform(0.5, 1.5, (3 * LONG, 100, 2)).astype("f")
    exact = x.astype(float)
    np.testing.assert_allclose(total(x, axis), exact.sum(axis), 5e-7)
    loss = lambda b: np.sum((x + b) * x)
    np.testing.assert_allclose(grad(loss)(x[0, 0] * 0), exact.sum((0, 1)), 5e-7)
    deviation = np.std(Tensor(x), axis).value
    np.testing.assert_allclose(deviation, exact.std(axis), 2e-6)


def test_infinities_and_nans_stay_where_they_are():
    x = np.ones((2000, 4))
    x[3, 1], x[5, 2], x[7] = np.inf, np.nan, -np.inf
    assert np.array_equal(total(x, 1), np.add.reduce(x, axis=1), equal_nan=True)
    y = x.T.copy()
    assert np.array_equal(total(y, 0), np.add.reduce(y, axis=0), equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, bool])
@pytest.mark.parametrize(
    "shape", [(16, 3, 34, 33), (5, 70, 11, 13), (1, 1, 300, 200), (700, 2, 5, 7), (3, 11000, 1, 1)]
)
def test_copies_in_another_order_are_numpys(shape, dtype):
    x = (RNG.normal(size=shape) * 2).astype(dtype)
    for order in ((2, 3, 0, 1), (0, 1, 2, 3), (3, 1, 0, 2), (1, 0, 2, 3)):
        turned = x.transpose(order)
        for y in (turned, turned[::-1], turned[:, ::2], np.broadcast_to(turned[:1], turned.shape)):
            copy = contiguous(y)
            assert copy.flags.c_contiguous
            np.testing.assert_array_equal(copy, y, strict=True)
        laid = laid_out(x, order)
        assert laid.transpose(order).flags.c_contiguous
        assert not np.shares_memory(laid_out(laid, order), laid)
        np.testing.assert_array_equal(laid, x, strict=True)


def test_operands_of_two_orders_are_made_alike():
    x = RNG.normal(size=(4, 8, 32, 33))
    y = x.transpose(2, 3, 0, 1).copy().transpose(2, 3, 0, 1)
    for both in ((x, y), (y, x)):
        a, b = alike(*both)
        assert a.strides == b.strides == y.strides
        np.testing.assert_array_equal(a, b)
    swapped = x.transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)
    for other in (x, swapped, x[:1], np.repeat(y, 2, 0)[::2]):
        for a, b in ((x, other), (other, x)):
            found = alike(a, b)
            assert found[0] is a
            assert found[1] is b


def test_a_loss_against_an_array_in_another_order():
    x, w = RNG.normal(size=(4, 2, 34, 34)), RNG.normal(size=(8, 2, 3, 3))
    y = RNG.normal(size=(4, 8, 32, 32))
    t = conv2d(Tensor(x), w) - y
    for z in (t, y - conv2d(Tensor(x), w), t * y):
        assert z.value.transpose(2, 3, 0, 1).flags.c_contiguous
    fast_paths.remove()
    try:
        np.testing.assert_array_equal((conv2d(Tensor(x), w) - y).value, t.value)
    finally:
        fast_paths.install()


@pytest.mark.parametrize("axis", [-1, 2, (-1,), 0, 1, (1, 2), None])
@pytest.mark.parametrize("shape", [(40, 35, 3), (2, 600, 64), (3, 700, 65), (4, 5, 6)])
def test_extrema_are_numpys(shape, axis):
    x = RNG.normal(size=shape)
    x[1, 2, 0], x[1, 3, 1], x[0, 1, 2] = np.nan, np.inf, -np.inf
    for y in (x, x.transpose(1, 0, 2), x[:, ::-1].astype(np.float32)):
        for keepdims in (False, True):
            for found, numpys in ((greatest, np.max), (least, np.min)):
                expected = numpys(y, axis=axis, keepdims=keepdims)
                result = found(y, axis, keepdims)
                np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize("axis", [-1, 2, 0, 1, (1, 2), None])
@pytest.mark.parametrize("shape", [(40, 35, 3), (2, 600, 33), (4, 5, 6)])
def test_products_are_numpys(shape, axis):
    x = RNG.normal(size=shape)
    x[1, 2, 0], x[1, 3, 1] = np.nan, np.inf
    for y in (x, x.transpose(1, 0, 2), x[:, ::-1].astype(np.float32), np.rint(x[:1])):
        for keepdims in (False, True):
            with np.errstate(invalid="ignore"):
                expected = np.prod(y, axis=axis, keepdims=keepdims)
                found = multiplied(y, axis, keepdims)
            np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), None])
@pytest.mark.parametrize("factors", [(2.0, 3.0), (0.0, 2.0, 3.0)])
def test_products_of_others(factors, axis):
    """Also where a factor is zero."""
    x = RNG.choice(factors, (3, 4, 2))
    y = np.prod(x, axis, keepdims=True)
    expected = np.empty_like(x)
    for i in np.ndindex(x.shape):
        rest = x.copy()
        rest[i] = 1.0
        expected[i] = np.broadcast_to(np.prod(rest, axis, keepdims=True), x.shape)[i]
    for product in (y, np.prod(x, axis)):
        np.testing.assert_allclose(others(x, product, axis), expected, 1e-12)
    loss = lambda x: np.sum(np.prod(x, axis))
    np.testing.assert_allclose(compile(grad(loss))(x), expected, 1e-12)


def test_parts_share_the_cotangent_of_the_whole():
    """One array of zeros for all of them, not one for each."""
    x = Tensor(RNG.normal(size=(50, 2000)))
    y = x * 1.0
    loss = sum(np.sum(y[i] * float(i)) for i in range(50)) + np.sum(y[0, [1, 1, 2]])
    tracemalloc.start()
    loss.backward()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = np.repeat(np.arange(50.0)[:, None], 2000, axis=1)
    np.add.at(expected, (0, [1, 1, 2]), 1.0)
    np.testing.assert_array_equal(x.grad, expected)
    assert most < 4 * x.numpy().nbytes


def test_a_part_that_is_watched_keeps_its_contribution():
    x = Tensor([1.0, 2.0, 3.0])
    y = x + 0.0
    seen = []
    y.register_hook(lambda g: seen.append(g.copy()))
    (y[0] * 2 + y[1:].sum() * 3 + y[0] * 5).backward()
    np.testing.assert_array_equal(seen, [[7.0, 3.0, 3.0]])
    np.testing.assert_array_equal(x.grad, [7.0, 3.0, 3.0])


INDICES = [
    (RNG.integers(-50, 50, 2000),),
    (slice(None), RNG.integers(-30, 30, 400)),
    (RNG.integers(0, 50, 900), RNG.integers(0, 30, 900)),
    (RNG.integers(0, 50, 900), slice(None), RNG.integers(0, 20, 900)),
    (..., RNG.integers(0, 20, 70)),
    (None, RNG.integers(0, 50, 500), slice(3, 20, 2)),
    (RNG.random(50) < 0.5, slice(None), 3),
    (np.arange(50)[:, None], RNG.integers(-30, 30, (50, 20)), np.arange(20)),
    (RNG.integers(0, 50, (40, 20)).astype(np.uint8), RNG.integers(-30, 30, 20).astype(np.int8)),
]


@pytest.mark.parametrize("scipy", ["with SciPy", "without"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("i", range(len(INDICES)))
def test_rows_are_added_up_in_numpys_order(i, dtype, scipy, monkeypatch):
    index, shape = INDICES[i], (50, 30, 20)
    if scipy == "without":
        monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    else:
        pytest.importorskip("scipy.sparse")
    monkeypatch.setattr(indexed, "_LARGE", 1 << 10)
    x = RNG.normal(size=np.empty(shape)[index].shape).astype(dtype)
    expected = np.zeros(shape, dtype)
    np.add.at(expected, index, x)
    found = indexing.scatter(x, index=index, shape=shape)
    assert found.dtype == dtype
    assert np.array_equal(found, expected)


def test_labels_of_pixels_are_numbered():
    """Without an array of all places to look them up in."""
    shape = (4, 7, 5, 6)
    i, j, k = np.indices((4, 5, 6), sparse=True)
    index = i, RNG.integers(-7, 7, (4, 5, 6)), j, k
    expected = np.arange(4 * 7 * 5 * 6).reshape(shape)[index]
    np.testing.assert_array_equal(indexed._numbered(index, shape), expected)
    for other in ((slice(None), index[1]), (i, 3), (np.zeros(0, int),), (i > 0,), (None, i)):
        assert indexed._numbered(other, shape[: len(other)]) is None
    x = np.ones(indexed._SMALL)
    for beyond in (50, -51):
        with pytest.raises(IndexError, match=f"index {beyond} is out of bounds"):
            indexing.scatter(x, index=(np.full(len(x), beyond),), shape=(50,))


def test_the_gradient_of_an_embedding():
    table, words = RNG.normal(size=(60, 16)), RNG.integers(0, 60, (30, 70))
    c = RNG.normal(size=(30, 70, 16))
    expected = np.zeros_like(table)
    np.add.at(expected, words, c)
    np.testing.assert_allclose(grad(lambda t: np.sum(t[words] * c))(table), expected, 1e-12)
    second = grad(lambda t: np.sum(grad(lambda t: np.sum(t[words] ** 3))(t) * table))(table)
    counts = np.bincount(words.ravel(), minlength=60)[:, None]
    np.testing.assert_allclose(second, 6 * table**2 * counts, 1e-12)


@pytest.mark.parametrize("n", [3, 4, -2, -3, 2, 0.5, 5])
def test_whole_powers_of_either_sign(n):
    x = RNG.uniform(0.5, 2, 50) * (np.where(RNG.random(50) < 0.5, -1, 1) if n != 0.5 else 1)
    value, slope = value_and_grad(lambda x: np.sum(x**n))(x)
    np.testing.assert_allclose(value, np.sum(np.power(x, n)), 1e-12)
    np.testing.assert_allclose(slope, n * np.power(x, n - 1.0), 1e-12)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e200, -1e-200])
    with np.errstate(all="ignore"):
        found = (Tensor(special) ** n).numpy()
        np.testing.assert_allclose(found, special**n, 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("shape", [(150, 150), (2, 100, 100), (97, 97)])
@pytest.mark.parametrize("columns", [(), (1,), (40,), (140,)])
def test_triangular_systems_are_solved_by_substitution(shape, columns, lower, dtype, monkeypatch):
    n = shape[-1]
    a = RNG.normal(size=shape) / n + 2 * np.eye(n)
    a = (np.tril(a) if lower else np.triu(a)).astype(dtype)
    batch = shape[:-2] if columns else ()
    b = RNG.normal(size=(*batch, n, *columns)).astype(dtype)
    expected = (
        np.linalg.solve(a, b) if columns or a.ndim == 2 else np.linalg.solve(a, b[:, None])[..., 0]
    )
    whole = []
    solve = np.linalg.solve
    monkeypatch.setattr(
        np.linalg, "solve", lambda a, b: (whole.append(a.shape[-1]), solve(a, b))[1]
    )
    for matrix in (a, np.swapaxes(np.swapaxes(a, -1, -2).copy(), -1, -2)):
        found = triangular.solved(matrix, b)
        assert found.dtype == dtype
        rtol = 1e-4 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(found, expected, rtol, 1e-2 * rtol)
    assert max(whole, default=0) < n
    a[..., 3, 7] = a[..., 90, 20] = 0.5  # now it is not triangular
    triangular.solved(a, b)
    assert max(whole) == n


@pytest.mark.parametrize("n", [100, 128, 129, 300])
def test_one_number_in_the_other_triangle_is_seen(n):
    for i, j in ((0, 1), (n - 2, n - 1), (0, n - 1), (0, n // 2), (n // 2, n - 1), (90, 98)):
        a = np.tril(np.ones((2, n, n)))
        a[1, n - 1, n - 2] = np.nan
        assert triangular._is_triangular(a, True)
        a[1, i, j] = np.nan
        assert not triangular._is_triangular(a, True)
        assert not triangular._is_triangular(a.mT, False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("shape", [(200, 8, 8), (3, 20, 40, 40), (512, 2, 2)])
def test_many_triangular_systems_are_solved_row_by_row(shape, lower, dtype, monkeypatch):
    n = shape[-1]
    a = RNG.normal(size=shape) / n + 2 * np.eye(n)
    a = (np.tril(a) if lower else np.triu(a)).astype(dtype)
    other = np.triu(a, 1 - n) + 0.1
    solve = np.linalg.solve
    for b in (RNG.normal(size=(*shape[:-1], 3)), RNG.normal(size=(n, 2)), RNG.normal(size=n)):
        b = b.astype(dtype)
        expected = [solve(m, b) for m in (a, other)]
        with monkeypatch.context() as patch:
            patch.setattr(np.linalg, "solve", None)
            found = triangular.solved(a, b)
        assert found.dtype == dtype
        rtol = 1e-5 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(found, expected[0], rtol, rtol)
        np.testing.assert_array_equal(triangular.solved(other, b), expected[1])
        f = lambda a, b: np.sum(solve_triangular(a, b, lower=lower) ** 2)
        compiled = compile(value_and_grad(f, argnums=(0, 1)))(a, b)
        (value, slopes), wanted = compiled, value_and_grad(f, argnums=(0, 1))(a, b)
        np.testing.assert_allclose(value, wanted[0], 1e-5)
        for x, y in zip(slopes, wanted[1], strict=True):
            np.testing.assert_allclose(x, y, 1e-3, 1e-4)
    a[0] = 0.0
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        triangular.solved(a, np.ones((n, 1), dtype))


@pytest.mark.parametrize("columns", [1, 40])
def test_triangular_systems_are_solved_as_exactly_as_numpy_solves_them(columns):
    """The error of the right side, for factors of nearly singular covariances too."""
    x = np.linspace(0, 10, 200)
    covariance = np.exp(-2 * (x[:, None] - x) ** 2)
    b = np.random.default_rng(0).normal(size=(200, columns))
    for noise in (1e-1, 1e-3, 1e-6):
        low = np.linalg.cholesky(covariance + noise**2 * np.eye(200))
        for a in (low, low.T):
            y = triangular.solved(a, b)
            error = np.abs(a @ y - b) / np.max(np.abs(a) @ np.abs(y), axis=0)
            assert np.max(error) < 1e-14


def test_a_singular_factor_is_as_numpy_has_it():
    a = np.diag(np.arange(120.0))
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        triangular.solved(a, np.ones(120))


@pytest.mark.parametrize("scores", [1, 40, 100])
@pytest.mark.parametrize("lengths", [(5, 7), (7, 5), (6, 6), (1, 4)])
@pytest.mark.parametrize("masked", ["all", "causal", "truth values", "added", "a row"])
def test_attention_is_the_same_for_a_few_queries_at_a_time(masked, lengths, scores, monkeypatch):
    m, n = lengths
    q, k, v = (RNG.normal(size=(2, *shape)) for shape in ((m, 4), (n, 4), (n, 3)))
    masks = {"truth values": np.tri(m, n, dtype=bool), "added": RNG.normal(size=(m, n))}
    mask = (masks | {"a row": RNG.normal(size=(1, n))}).get(masked)
    given = 0.5, mask, masked == "causal"
    y = attention.attended(q, k, v, *given)
    g, t = RNG.normal(size=y.shape), RNG.normal(size=q.shape)
    whole = [
        y,
        *attention.attended_cotangents(g, y, q, k, v, *given),
        attention.attended_tangent(t, k, y, q, k, v, *given),
        attention.attended_tangent(q, k[::-1], y, q, k, v, *given),
    ]
    monkeypatch.setattr(attention, "_SCORES", scores)
    blocks = [
        attention.attended(q, k, v, *given),
        *attention.attended_cotangents(g, y, q, k, v, *given),
        attention.attended_tangent(t, k, y, q, k, v, *given),
        attention.attended_tangent(q, k[::-1], y, q, k, v, *given),
    ]
    for a, b in zip(whole, blocks, strict=True):
        np.testing.assert_allclose(a, b, 1e-12, 1e-14)


def test_attention_of_long_sequences_keeps_no_scores():
    q, k, v = (RNG.normal(size=(2, 1500, 8)).astype(np.float32) for _ in range(3))

    def loss(q, k, v):
        return np.sum(nn.scaled_dot_product_attention(q, k, v, is_causal=True) ** 2)

    def plain(q, k, v):
        scores = np.where(np.tri(1500, dtype=bool), q @ k.mT / np.sqrt(8), -np.inf)
        return np.sum((nn.softmax(scores) @ v) ** 2)

    def peak(f):
        tracemalloc.start()
        try:
            return f(q, k, v), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    found, most = peak(value_and_grad(loss, (0, 1, 2)))
    expected, before = peak(value_and_grad(plain, (0, 1, 2)))
    assert most < before / 5
    np.testing.assert_allclose(found[0], expected[0], 1e-4)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-5)
    compiled = compile(value_and_grad(loss, (0, 1, 2)))
    compiled(q, k, v)
    for a, b in zip(compiled(q * 1.1, k, v)[1], value_and_grad(loss, (0, 1, 2))(q * 1.1, k, v)[1]):
        np.testing.assert_allclose(a, b, 1e-4, 1e-6)


# ── sums of exponentials ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_logaddexp_is_numpys(dtype):
    x = (RNG.normal(size=(40, 5)) * 10 ** RNG.uniform(-8, 3, size=(40, 5))).astype(dtype)
    y = x[::-1] + np.where(RNG.random((40, 5)) < 0.3, x - x[::-1], 0).astype(dtype)
    for a, b in ((x, y), (x, 0), (0.5, y), (x, y[0]), (dtype(1), y), (x.T, y.T), (x[:0], y[:0])):
        found, expected = logaddexp(a, b), np.logaddexp(a, b)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, 4 * np.finfo(dtype).eps, np.finfo(dtype).eps)
    rare = np.repeat([np.inf, -np.inf, np.nan, 1.0, -0.0, np.finfo(dtype).max], 30).astype(dtype)
    one, other = (a.ravel() for a in np.meshgrid(rare, rare[::30]))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(logaddexp(one, other), np.logaddexp(one, other))
    with np.errstate(all="raise", under="ignore"):
        assert (logaddexp(rare[:60:30].repeat(50), -np.inf) == rare[:60:30].repeat(50)).all()


# ── contractions ──────────────────────────────────────────────────────────────────────────────────


def contraction(draw, size):
    """A contraction of arrays of random indices, and these."""
    letters = "abcde"
    term = st.text(letters, max_size=4)
    terms = draw(st.lists(term, min_size=1, max_size=3))
    used = sorted({*"".join(terms)})
    result = "".join(draw(st.permutations([i for i in used if draw(st.booleans())])))
    sizes = {i: draw(st.sampled_from(size)) for i in used}
    return terms, result, [tuple(sizes[i] for i in t) for t in terms]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_contractions_are_those_of_einsum(dtype, data):
    terms, result, shapes = contraction(data.draw, (1, 3, 24))
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=s).astype(dtype) for s in shapes]
    found = contracted(*xs, terms=terms, result=result)
    expected = np.einsum(f"{','.join(terms)}->{result}", *(x.astype(np.float64) for x in xs))
    assert found.shape == expected.shape
    assert found.dtype == dtype
    rounding = 200 * float(np.finfo(dtype).eps) * max(1.0, abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("bqhd,bkhd->bhqk", [(2, 30, 4, 16), (2, 40, 4, 16)]),
        ("nchw,oc->nohw", [(4, 16, 12, 12), (32, 16)]),
        ("ij,jk->k", [(300, 300), (300, 300)]),
        ("ijk,jil->lk", [(20, 20, 20), (20, 20, 20)]),
        ("ij,j->i", [(300, 300), (300,)]),
        ("i,i->", [(70_000,), (70_000,)]),
        ("ij,jk,kl->il", [(30, 40), (40, 50), (50, 10)]),
        ("bi,oij,bj->bo", [(50, 30), (16, 30, 30), (50, 30)]),
        ("bi,ij,bj->b", [(50, 300), (300, 30), (50, 30)]),
    ],
)
def test_contractions_are_products_of_matrices(subscripts, shapes, monkeypatch):
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=s) for s in shapes]
    expected = np.einsum(subscripts, *xs, optimize=True)
    products = 0

    def counted(*args, product=np.matmul):
        nonlocal products
        products += 1
        return product(*args)

    monkeypatch.setattr(np, "matmul", counted)
    terms, _, result = subscripts.partition("->")
    found = contracted(*xs, terms=terms.split(","), result=result)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert products == 1 + (subscripts == "ij,jk,kl->il")


def test_contractions_broadcast_and_refuse_as_einsum_does():
    x = np.ones((100, 100))
    assert contracted(x, x[:1], terms=("ij", "ij"), result="i") == pytest.approx(
        np.full(100, 100.0)
    )
    for terms, result, said in (
        (("ij", "jk"), "il", "included output subscript 'l' which never appeared"),
        (("ij", "jk"), "ii", "output subscript"),
    ):
        with pytest.raises(ValueError, match=said):
            contracted(x, x, terms=terms, result=result)
    with pytest.raises(ValueError, match="could not be broadcast"):
        contracted(x, x[:50], terms=("ij", "jk"), result="ik")


@pytest.mark.parametrize("height", range(1, 6))
@pytest.mark.parametrize("width", range(1, 9))
def test_minimal_filtering_of_images_of_any_size(height, width):
    rng = np.random.default_rng(height + 10 * width)
    for samples, inside, out in ((1, 1, 1), (1, 1, 4), (2, 3, 2), (1, 2, 1)):
        x = rng.standard_normal((height + 2, width + 2, samples, inside))
        w = rng.standard_normal((out, inside, 3, 3))
        g = rng.standard_normal((height, width, samples, out))
        y, dx, dw = np.zeros_like(g), np.zeros_like(x), np.zeros_like(w)
        for i, j in np.ndindex(3, 3):
            seen = np.s_[i : i + height, j : j + width]
            y += x[seen] @ w[:, :, i, j].T
            dx[seen] += g @ w[:, :, i, j]
            dw[:, :, i, j] = np.einsum("hwsc,hwso->oc", x[seen], g)
        np.testing.assert_allclose(winograd.minimal(x, w), y, atol=1e-12)
        np.testing.assert_allclose(winograd.minimal_input(g, w), dx, atol=1e-12)
        np.testing.assert_allclose(winograd.minimal_weight(x, g), dw, atol=1e-12)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-30, -1e-30]


@pytest.mark.parametrize("n", [*range(-16, 17), 3.0, -4.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_powers_are_products(n, dtype):
    x = np.concatenate([RNG.normal(size=500), SPECIAL]).astype(dtype)
    with np.errstate(all="ignore"):
        found, expected = np.power(Tensor(x), n).numpy(), x**n
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=(abs(n) + 1) * np.finfo(dtype).eps)
    np.testing.assert_array_equal(np.signbit(found[-9:]), np.signbit(expected[-9:]))


def test_a_number_of_numpys_in_a_power_has_a_type():
    x = np.ones(3, np.float32)
    for n in (np.float64(3.0), np.int64(3)):
        assert (Tensor(x) ** n).dtype == (x**n).dtype == np.float64


def test_a_power_and_its_derivative_share_their_products():
    for n in (6, 7, -10, 16):
        step = compile(value_and_grad(lambda x, n=n: np.sum(x**n)))
        x = RNG.normal(size=99)
        np.testing.assert_allclose(step(x)[1], n * x ** (n - 1), rtol=1e-13)
        assert "np.power" not in step.source
        assert step.source.count("square") <= abs(n).bit_length() - 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("at", [1, 40])
def test_kinked_activations_have_the_values_of_a_choice(dtype, at):
    x = np.array(SPECIAL + [-2.0, 3.0, 1e-40, -1e-40] * at, dtype)
    cases = [
        (nn.elu, x, np.expm1(np.minimum(x, 0)), np.exp(np.minimum(x, 0))),
        (lambda t: nn.elu(t, 1.7), x, 1.7 * np.expm1(np.minimum(x, 0)), 1.7 * np.exp(np.minimum(x, 0))),
        (nn.leaky_relu, x, 0.01 * x, np.full_like(x, 0.01)),
        (lambda t: nn.leaky_relu(t, -0.5), x, -0.5 * x, np.full_like(x, -0.5)),
        (lambda t: nn.leaky_relu(t, 2.0), x, 2.0 * x, np.full_like(x, 2.0)),
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        for f, above, below, slope in cases:
            step = compile(value_and_grad(lambda t, f=f: (np.sum(f(t)), f(t)), has_aux=True))
            for made in (value_and_grad(lambda t, f=f: (np.sum(f(t)), f(t)), has_aux=True), step):
                (_, y), dx = made(x)
                assert y.dtype == dx.dtype == dtype
                expected = np.where(x > 0, above, below)
                np.testing.assert_array_equal(y, expected)
                np.testing.assert_array_equal(np.signbit(y), np.signbit(expected))
                known = ~np.isnan(x)
                np.testing.assert_array_equal(dx[known], np.where(x > 0, 1, slope)[known])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [normal_cdf.function, softplus_.function])
def test_large_arrays_are_gone_through_in_blocks(function, dtype):
    rows = LARGE // 512 // np.dtype(dtype).itemsize + 3  # the last block is not full
    x = 5 * np.random.default_rng(0).standard_normal((rows, 512)).astype(dtype)
    of_rows = np.stack([function(row) for row in x])
    for array, expected in ((x, of_rows), (x.T, of_rows.T), (x[::2], of_rows[::2])):
        found = function(array)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, 4 * np.finfo(dtype).eps)


def test_a_block_fits_the_cache():
    seen = []
    in_blocks(lambda x: seen.append(x.size) or x)(np.ones(LARGE // 8))
    assert sum(seen) == LARGE // 8
    assert max(seen) * 8 < LARGE
