"""Decompositions: where they have derivatives, where they have none, and what is made of them."""

import numpy as np
import pytest

from autobp import (
    Tensor,
    check_gradients,
    cho_solve,
    compile,
    grad,
    hessian,
    jvp,
    solve_triangular,
    vjp,
    vmap,
)

rng = np.random.default_rng(3)


def symmetric(n):
    x = rng.standard_normal((n, n))
    return x + x.T


# ── equal values ──────────────────────────────────────────────────────────────────────────────────

TURN = np.linalg.qr(rng.standard_normal((3, 3))).Q
EQUAL = TURN @ np.diag([2.0, 2.0, 5.0]) @ TURN.T


def test_functions_of_equal_eigenvalues_have_derivatives():
    """The trace of a function of a symmetric matrix, whose gradient is the derivative of it."""
    expected = TURN @ np.diag(np.cos([2.0, 2.0, 5.0])) @ TURN.T
    for values in (np.linalg.eigvalsh, lambda a: np.linalg.eigh(a).eigenvalues):
        found = grad(lambda a, f=values: np.sum(np.sin(f(a))))(EQUAL)
        lower = np.tril(2 * expected) - np.diag(np.diag(expected))  # NumPy looks at no more
        np.testing.assert_allclose(found, lower, rtol=1e-12, atol=1e-14)
    t = symmetric(3)
    slope = jvp(lambda a: np.sum(np.sin(np.linalg.eigvalsh(a))), (EQUAL,), (t,))[1]
    np.testing.assert_allclose(slope, np.sum(expected * t), rtol=1e-12)


def test_functions_of_equal_singular_values_have_derivatives():
    nuclear = lambda a: np.linalg.norm(a, "nuc")
    np.testing.assert_allclose(grad(nuclear)(EQUAL), np.eye(3), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(grad(nuclear)(np.zeros((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("f", [
    lambda a: np.linalg.eigh(a).eigenvectors,
    lambda a: np.linalg.svd(a).U,
    lambda a: np.linalg.svd(a).Vh,
    lambda a: (lambda v: v @ v.T)(np.linalg.eigh(a).eigenvectors[:, :1]),
])  # fmt: skip
def test_vectors_of_equal_values_have_none(f):
    said = "two of the values are equal, so their vectors are not determined"
    with pytest.raises(np.linalg.LinAlgError, match=said):
        vjp(f, EQUAL)[1](rng.standard_normal((3, 3)))
    with pytest.raises(np.linalg.LinAlgError, match=said):
        jvp(f, (EQUAL,), (symmetric(3),))


@pytest.mark.parametrize("f", [
    lambda a: np.linalg.eigh(a).eigenvectors[0, 0],
    lambda a: np.sum(np.linalg.eigh(a).eigenvectors ** 2 * [[1.0, 2.0], [3.0, 4.0]]),
    lambda a: np.linalg.svd(a).U[0, 0],
    lambda a: np.linalg.svd(a).Vh[1, 1],
])  # fmt: skip
def test_equal_values_are_noticed_where_the_derivative_would_be_0_by_0(f):
    """Vectors along the axes, which this does not turn: no derivative, and not 0."""
    for derivative in (
        grad(f),
        lambda a: jvp(f, (a,), (np.diag([1.0, 0.0]),)),
        lambda a: jvp(f, (a,), (np.array([[0.0, 0.0], [1.0, 0.0]]),)),
        compile(grad(f)),
        lambda a: vmap(grad(f))(np.stack([np.diag([1.0, 2.0]), a])),
    ):
        with pytest.raises(np.linalg.LinAlgError, match="two of the values are equal, so their"):
            derivative(np.eye(2))
    parts = lambda a: [np.sum(x) for x in np.linalg.eigh(a)]
    found = jvp(parts, (np.eye(2),), (np.eye(2),))[1]  # all values move alike, and no vector turns
    assert found == [2.0, 0.0]


@pytest.mark.parametrize("flat", [False, True])
def test_vectors_of_the_value_0_have_none(flat):
    """Of matrices that are not square: the vectors of the other side would do as well."""
    a = np.outer([1.0, 2.0, 3.0], [1.0, 1.0])
    a = a.T if flat else a
    side = lambda a: np.linalg.svd(a, False).Vh.T if flat else np.linalg.svd(a, False).U
    last, first = (lambda a, k=k: np.sum(side(a)[:, k]) for k in (1, 0))
    said = "singular value of a matrix that is not square is 0, so its vectors are not determined"
    t = rng.standard_normal(a.shape)
    for derivative in (grad(last), lambda a: jvp(last, (a,), (t,))[1], compile(grad(last))):
        with pytest.raises(np.linalg.LinAlgError, match=said):
            derivative(a)
    slope = (first(a + 1e-6 * t) - first(a - 1e-6 * t)) / 2e-6
    np.testing.assert_allclose(np.sum(grad(first)(a) * t), slope, rtol=1e-6)
    squares = lambda a: np.sum(np.linalg.svd(a, False).S ** 2)
    np.testing.assert_array_equal(grad(squares)(np.zeros(a.shape)), np.zeros(a.shape))
    np.testing.assert_allclose(grad(squares)(a), 2 * a, rtol=1e-12)


def test_a_function_through_vectors_of_equal_values_is_refused_too():
    """It has a derivative, but vectors that are not determined do not lead to it."""
    square = lambda a: (lambda w, v: v @ np.diag(w**2) @ v.T)(*np.linalg.eigh(a))
    with pytest.raises(np.linalg.LinAlgError):
        grad(lambda a: np.sum(square(a) * symmetric(2)))(np.eye(2))


def test_square_vectors_of_other_matrices_have_the_derivatives_that_are_defined():
    for shape in ((2, 3), (3, 2)):
        a = rng.standard_normal(shape)
        found, wanted = np.linalg.svd(Tensor(a)), np.linalg.svd(a)
        for x, y in zip(found, wanted, strict=True):
            np.testing.assert_allclose(x.numpy(), y, rtol=1e-12, atol=1e-14)
        f = lambda a: np.sum(np.linalg.svd(a).S ** 3) + np.sum(np.linalg.svd(a).U[:, :2] ** 3)
        g = lambda a: (lambda u, s, v: np.sum(s**3) + np.sum(u**3))(*np.linalg.svd(a, False))
        np.testing.assert_allclose(grad(f)(a), grad(g)(a), rtol=1e-12)
        np.testing.assert_allclose(compile(grad(f))(a), grad(g)(a), rtol=1e-12)


def test_a_compiled_program_refuses_as_well():
    c = compile(grad(lambda a: np.sum(np.linalg.eigh(a).eigenvectors ** 3)), check=0)
    c(np.diag([1.0, 2.0, 4.0]))
    with pytest.raises(np.linalg.LinAlgError):
        c(EQUAL)


def test_dependent_columns_have_no_qr():
    a = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    a[:, 1] = 0.0
    with pytest.raises(np.linalg.LinAlgError):
        grad(lambda a: np.sum(np.linalg.qr(a).Q))(a)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────

X = Tensor(np.ones((2, 3)), name="X")

# fmt: off
REFUSED = {
    "svd: of 2×3 matrices the vectors that make U and V square are not determined and have no derivative:"
    " call np.linalg.svd(a, full_matrices=False)":
        lambda: grad(lambda a: np.sum(np.linalg.svd(a).Vh))(np.array([[2.0, 0, 1], [0, 1, 0]])),
    "qr(mode='complete') of 3×2 matrices has no rule of differentiation; 'reduced' and 'r' have":
        lambda: np.linalg.qr(X.T, mode="complete"),
    "lstsq takes a matrix, and a vector or a matrix, not shapes (1, 2, 3) and (2,);"
    " np.linalg.pinv(a) @ b solves many at once":
        lambda: np.linalg.lstsq(X[None], np.ones(2)),
    "norm: a matrix has no norm ord='no'":
        lambda: np.linalg.norm(X, "no"),
    "tensorinv: ind must be above 0, not 0":
        lambda: np.linalg.tensorinv(X, 0),
    'solve_triangular: trans is 0, 1, "N" or "T", not 2':
        lambda: solve_triangular(np.eye(2), np.ones(2), trans=2),
}
# fmt: on


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(text):
    with pytest.raises((TypeError, ValueError, np.linalg.LinAlgError)) as caught:
        REFUSED[text]()
    assert str(caught.value) == text


# ── what is made of them ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("trans", [0, 1])
def test_triangular_systems(lower, unit, trans):
    a, b = rng.standard_normal((2, 4, 4)) + 4 * np.eye(4), rng.standard_normal((2, 4, 3))
    triangle = np.tril(a) if lower else np.triu(a)
    if unit:
        triangle[:, range(4), range(4)] = 1.0
    f = lambda a, b: solve_triangular(a, b, trans, lower, unit)
    x = f(a, b)
    np.testing.assert_allclose((triangle.mT if trans else triangle) @ x, b, rtol=1e-10, atol=1e-12)
    unused = np.triu(a, 1) if lower else np.tril(a, -1)
    np.testing.assert_array_equal(f(a + unused, b), x)
    check_gradients(f, a, b, order=2)


@pytest.mark.parametrize("lower", [False, True])
def test_systems_of_a_cholesky_factor(lower):
    x = rng.standard_normal((3, 3))
    a, b = x @ x.T + np.eye(3), rng.standard_normal(3)
    factor = lambda a: np.linalg.cholesky(a, upper=not lower)
    np.testing.assert_allclose(cho_solve((factor(a), lower), b), np.linalg.solve(a, b), rtol=1e-10)
    expected = grad(lambda b: b @ np.linalg.solve(a, b))(b)
    np.testing.assert_allclose(grad(lambda b: b @ cho_solve((factor(a), lower), b))(b), expected)


def test_the_second_derivative_of_an_eigenvalue():
    """That of perturbation theory: 2 Σ (vᵢᵀ T v)² / (w − wᵢ)."""
    a, t = symmetric(4), symmetric(4)
    w, v = np.linalg.eigh(a)
    mixed = v.T @ t @ v
    expected = 2 * sum(mixed[0, i] ** 2 / (w[0] - w[i]) for i in range(1, 4))
    found = hessian(lambda s: np.linalg.eigvalsh(a + s * t)[0])(0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_projections_do_not_depend_on_the_signs_of_vectors():
    a = rng.standard_normal((4, 3))
    f = lambda a: (lambda u: u @ u.T)(np.linalg.svd(a, full_matrices=False).U)
    g = lambda a: (lambda q: q @ q.T)(np.linalg.qr(a).Q)
    c = rng.standard_normal((4, 4))
    np.testing.assert_allclose(vjp(f, a)[1](c)[0], vjp(g, a)[1](c)[0], rtol=1e-9, atol=1e-12)
    check_gradients(f, a, order=2)


def test_least_squares_of_fewer_equations_is_the_shortest_solution():
    a, b = rng.standard_normal((2, 4)), rng.standard_normal(2)
    x, residuals, rank, s = np.linalg.lstsq(Tensor(a), b)
    wanted = np.linalg.lstsq(a, b)
    np.testing.assert_allclose(x.numpy(), wanted[0], rtol=1e-12)
    assert (residuals.shape, rank) == ((0,), 2)
    np.testing.assert_allclose(s.numpy(), wanted[3])
    f = compile(grad(lambda a, b: np.sum(np.linalg.lstsq(a, b)[0] ** 2)))
    np.testing.assert_allclose(f(a, b), grad(lambda a: np.sum((np.linalg.pinv(a) @ b) ** 2))(a))


def test_qr_of_dependent_columns_has_no_derivative():
    for take in (grad, lambda f: lambda a: jvp(f, (a,), (a,))):
        with pytest.raises(
            np.linalg.LinAlgError, match="a column is a combination of those before"
        ):
            take(lambda a: np.sum(np.linalg.qr(a)[0]))(np.ones((3, 2)))


# ── the determinant of singular matrices ──────────────────────────────────────────────────────────


def minors(a):
    """The cofactors by their definition."""
    n = len(a)
    left = lambda i, j: np.delete(np.delete(a, i, 0), j, 1)
    return np.array(
        [[(-1) ** (i + j) * np.linalg.det(left(i, j)) for j in range(n)] for i in range(n)]
    )


SINGULAR = {
    "rank 2": np.diag([1.0, 2.0, 0.0])[[1, 0, 2]],
    "rank 1": np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 5.0]),
    "rank 0": np.zeros((3, 3)),
    "equal values": np.diag([2.0, 2.0, 0.0]),
    "a number": np.zeros((1, 1)),
    "a row of zeros": np.diag([0.0, 1.0, 1.0, 1.0]) @ rng.standard_normal((4, 4)),
}


@pytest.mark.parametrize("a", SINGULAR.values(), ids=SINGULAR)
def test_the_gradient_of_a_singular_determinant_is_made_of_minors(a):
    assert np.linalg.det(a) == 0
    f, t = np.linalg.det, rng.standard_normal(a.shape)
    found = grad(f)(a)
    np.testing.assert_allclose(found, minors(a), atol=1e-12)
    np.testing.assert_allclose(jvp(f, (a,), (t,))[1], np.sum(minors(a) * t), atol=1e-12)
    check_gradients(f, a, order=2)
    both = np.stack([a, a + np.eye(len(a))])  # beside one that is regular
    np.testing.assert_allclose(vmap(grad(f))(both), [found, grad(f)(both[1])], atol=1e-12)
    wanted = [hessian(f)(x) for x in both]
    np.testing.assert_allclose(vmap(hessian(f))(both), wanted, atol=1e-12)
    single = grad(f)(a.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, found, atol=1e-5)
    for take in (grad, hessian):  # compiled for the one, called with the other, and back
        compiled = compile(take(f))
        for x in (both[1], a, both[1]):
            np.testing.assert_allclose(compiled(x), take(f)(x), atol=1e-12)


def test_higher_derivatives_of_a_singular_determinant():
    d = np.diag([2.0, 0.0, 0.0, 0.0])
    third = grad(grad(grad(lambda t: np.linalg.det(d + t * np.eye(4)))))  # of t³ (t + 2)
    assert third(0.0) == 12.0
    with pytest.raises(np.linalg.LinAlgError, match="up to 32 rows, not of 40"):
        hessian(np.linalg.det)(np.zeros((40, 40)))
    np.testing.assert_array_equal(grad(np.linalg.det)(np.zeros((40, 40))), 0.0)
