"""Decompositions of matrices, and what follows from them: norms, least squares, pseudo-inverses.

A decomposition has several results and a primitive has one. So the parts are packed, one below the
other, into one matrix with a column for each eigenvalue or singular value, and sliced out again.

    >>> import numpy as np
    >>> from autobp import grad
    >>> A = np.diag([3.0, 1.0])
    >>> grad(lambda a: np.linalg.eigh(a).eigenvalues[0])(A)
    array([[0., 0.],
           [0., 1.]])

The vectors of equal eigenvalues are not determined, and their derivatives raise an error; functions
of the values alone (`eigvalsh`, `svdvals`) have derivatives there too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autobp.arrays import by_its_library
from autobp.errors import ragged
from autobp.habits import checks_keywords
from autobp.kernels.degenerate import equal_pairs, has_changed, is_asked_for, vanishing
from autobp.kernels.rounding import noise
from autobp.primitive import Array, Primitive, Variable, anywhere, constant, general, implements
from autobp.rules import costs
from autobp.rules.batching import leading
from autobp.rules.linalg import transposed
from autobp.rules.neural import floating

#: The named tuples of NumPy's results.
_Eigh: Any = type(np.linalg.eigh(np.eye(1)))
_QR: Any = type(np.linalg.qr(np.eye(1)))
_SVD: Any = type(np.linalg.svd(np.eye(1)))


def _skew(x: Array) -> Array:
    return (x - transposed(x)) / 2


def _symmetric(x: Array) -> Array:
    return (x + transposed(x)) / 2


def _diagonal(x: Array) -> Array:
    return np.diagonal(x, axis1=-2, axis2=-1)


def _columns(x: Array, y: Array) -> Array:
    """The columns of a matrix, each times a number: x·diag(y)."""
    return x * np.expand_dims(y, -2)


def _reciprocal_gaps(w: Array, needed: Any) -> Array:
    """1 / (wⱼ − wᵢ), and 0 on the diagonal. Where two values are equal, it must not be needed."""
    gap = np.expand_dims(w, -2) - np.expand_dims(w, -1)
    equal = equal_pairs(constant(w))
    if anywhere(equal & ~np.eye(w.shape[-1], dtype=bool) & needed):
        raise np.linalg.LinAlgError(
            "eigh or svd: two of the values are equal, so their vectors are not determined and have no"
            " derivative; the values alone (np.linalg.eigvalsh, np.linalg.svdvals) have one"
        )
    return np.where(equal, 0.0, 1.0 / np.where(equal, 1.0, gap))


# ── symmetric matrices ────────────────────────────────────────────────────────────────────────────


def _eigh(a: Array, UPLO: Any) -> Array:
    """The eigenvalues in a row, above the matrix of eigenvectors."""
    w, v = np.linalg.eigh(a, UPLO)
    return np.concatenate([w[..., None, :], v], axis=-2)


def _completed(t: Array, UPLO: Any) -> Array:
    """The symmetric matrix of which one triangle is given: the other is not looked at."""
    return (
        np.tril(t) + transposed(np.tril(t, -1))
        if UPLO == "L"
        else np.triu(t) + transposed(np.triu(t, 1))
    )


def _triangle(g: Array, UPLO: Any) -> Array:
    """The transpose of that: what both triangles get goes to the one that is looked at."""
    return (
        np.tril(g) + np.tril(transposed(g), -1)
        if UPLO == "L"
        else np.triu(g) + np.triu(transposed(g), 1)
    )


def _eigh_forward(t: Array, y: Array, UPLO: Any) -> Array:
    w, v = y[..., 0, :], y[..., 1:, :]
    inner = transposed(v) @ _completed(t, UPLO) @ v
    turned = v @ (inner * _reciprocal_gaps(w, has_changed(constant(inner))))
    return np.concatenate([np.expand_dims(_diagonal(inner), -2), turned], axis=-2)


def _eigh_reverse(g: Array, y: Array, UPLO: Any) -> Array:
    w, v = y[..., 0, :], y[..., 1:, :]
    gv = g[..., 1:, :]
    turned = v @ (transposed(v) @ gv * _reciprocal_gaps(w, is_asked_for(constant(gv))))
    return _triangle((turned + _columns(v, g[..., 0, :])) @ transposed(v), UPLO)


def _eigenvectors(a: Array, UPLO: Any) -> Array:
    return np.linalg.eigh(a, UPLO)[1]


def _along_vectors(t: Array, v: Array) -> Array:
    """The diagonal of vᵀ·t·v."""
    return np.sum(v * (t @ v), axis=-2)


# ── singular values ───────────────────────────────────────────────────────────────────────────────


def _svd(a: Array) -> Array:
    """The left vectors, below them the values in a row, below them the right vectors."""
    u, s, vh = by_its_library(np.linalg.svd, a, full_matrices=False)
    return np.concatenate([u, s[..., None, :], transposed(vh)], axis=-2)


def _svd_parts(y: Array, a: Array) -> tuple[Array, Array, Array]:
    m = a.shape[-2]
    return y[..., :m, :], y[..., m, :], y[..., m + 1 :, :]


def _outside(u: Array, x: Array) -> Array:
    """The part of x that is orthogonal to the columns of u."""
    return x - u @ (transposed(u) @ x)


def _over(x: Array, s: Array) -> Array:
    """The columns of x, each divided by its singular value. Where that is 0, they must be 0."""
    none = vanishing(constant(s))
    if anywhere(none & (constant(x) != 0)):
        raise np.linalg.LinAlgError(
            "svd: a singular value of a matrix that is not square is 0, so its vectors are not determined"
            " and have no derivative; the values alone (np.linalg.svdvals) have one"
        )
    return x / np.where(none, 1.0, np.expand_dims(s, -2))


def _reciprocal_sums(s: Array) -> Array:
    """1 / (sⱼ + sᵢ), and 0 between two zeros, which are equal values."""
    total = np.expand_dims(s, -2) + np.expand_dims(s, -1)
    none = total == 0
    return np.where(none, 0.0, 1.0 / np.where(none, 1.0, total))


def _svd_forward(t: Array, y: Array, a: Array) -> Array:
    u, s, v = _svd_parts(y, a)
    inner = transposed(u) @ t @ v
    sides = _symmetric(inner)
    turned = sides * _reciprocal_gaps(s, has_changed(constant(sides)))
    spun = _skew(inner) * _reciprocal_sums(s)
    left, right = u @ (turned + spun), v @ (turned - spun)
    if a.shape[-2] > a.shape[-1]:
        left = left + _over(_outside(u, t @ v), s)
    if a.shape[-2] < a.shape[-1]:
        right = right + _over(_outside(v, transposed(t) @ u), s)
    return np.concatenate([left, np.expand_dims(_diagonal(inner), -2), right], axis=-2)


def _svd_reverse(g: Array, y: Array, a: Array) -> Array:
    u, s, v = _svd_parts(y, a)
    gu, gs, gv = _svd_parts(g, a)
    left, right = transposed(u) @ gu, transposed(v) @ gv
    turned = _skew(left + right) * _reciprocal_gaps(s, is_asked_for(constant(gu), constant(gv)))
    spun = _skew(left - right) * _reciprocal_sums(s)
    result = (u @ (turned + spun) + _columns(u, gs)) @ transposed(v)
    if a.shape[-2] > a.shape[-1]:
        result = result + _over(_outside(u, gu), s) @ transposed(v)
    if a.shape[-2] < a.shape[-1]:
        result = result + u @ transposed(_over(_outside(v, gv), s))
    return result


def _singular_vectors(a: Array, y: Array) -> tuple[Array, Array]:
    """The vectors on both sides. Where a value is 0, its kink, the left one is 0 too."""
    u, _, vh = by_its_library(np.linalg.svd, a, full_matrices=False)
    nonzero = np.expand_dims(y > noise(constant(y)), -2)
    return np.where(nonzero, u, 0.0), transposed(vh)


def _svdvals_forward(t: Array, y: Array, a: Array) -> Array:
    u, v = _singular_vectors(a, y)
    return np.sum(u * (t @ v), axis=-2)


def _svdvals_reverse(g: Array, y: Array, a: Array) -> Array:
    u, v = _singular_vectors(a, y)
    return _columns(u, g) @ transposed(v)


def _beyond(a: Array, left: bool) -> Array:
    """The vectors that make U (or V) square."""
    u, s, vh = by_its_library(np.linalg.svd, a)
    return u[..., s.shape[-1] :] if left else transposed(vh)[..., s.shape[-1] :]


def _no_derivative(t: Array, a: Array) -> None:
    """Zero, if nothing is asked for."""
    if anywhere(t):
        raise np.linalg.LinAlgError(
            f"svd: of {a.shape[-2]}×{a.shape[-1]} matrices the vectors that make U and V square are not"
            " determined and have no derivative: call np.linalg.svd(a, full_matrices=False)"
        )


# ── Q·R ───────────────────────────────────────────────────────────────────────────────────────────


def _qr(a: Array) -> Array:
    """Q above R, of a matrix with as many rows as columns, or more."""
    return np.concatenate([*by_its_library(np.linalg.qr, a)], axis=-2)


def _divided(x: Array, r: Array) -> Array:
    """x·r⁻¹, for the derivative of a decomposition into Q and R."""
    diagonal = np.abs(np.diagonal(constant(r), axis1=-2, axis2=-1))
    if anywhere(diagonal <= noise(diagonal)):
        raise np.linalg.LinAlgError(
            "qr: a column is a combination of those before it, so that Q is not determined and has no"
            " derivative; np.linalg.svd and np.linalg.pinv take such matrices"
        )
    return transposed(np.linalg.solve(transposed(r), transposed(x)))


def _qr_forward(t: Array, y: Array, a: Array) -> Array:
    q, r = y[..., : a.shape[-2], :], y[..., a.shape[-2] :, :]
    inner = transposed(q) @ _divided(t, r)
    below = np.tril(inner, -1)
    spin = below - transposed(below)
    turned = q @ spin + _outside(q, _divided(t, r))
    return np.concatenate([turned, np.triu((inner - spin) @ r)], axis=-2)


def _qr_reverse(g: Array, y: Array, a: Array) -> Array:
    q, r = y[..., : a.shape[-2], :], y[..., a.shape[-2] :, :]
    gq, gr = g[..., : a.shape[-2], :], np.triu(g[..., a.shape[-2] :, :])
    inner = r @ transposed(gr) - transposed(gq) @ q
    below = np.tril(inner, -1)
    return _divided(gq + q @ (np.tril(inner) + transposed(below)), transposed(r))


# ── pseudo-inverses ───────────────────────────────────────────────────────────────────────────────


def _pinv_forward(t: Array, y: Array, a: Array) -> Array:
    """The rank is taken to stay the same."""
    left, right = transposed(t) - transposed(t) @ a @ y, transposed(t) @ transposed(y)
    return y @ transposed(y) @ left - y @ t @ y + (right - y @ (a @ right)) @ y


def _pinv_reverse(g: Array, y: Array, a: Array) -> Array:
    left, right = transposed(g) @ y @ transposed(y), transposed(y) @ y @ transposed(g)
    return left - a @ (y @ left) - transposed(y) @ g @ transposed(y) + right - right @ y @ a


# fmt: off
eigh:     Primitive = general(_eigh,
                              forward=lambda t, y, a, UPLO: _eigh_forward(t, y, UPLO),
                              reverse=lambda g, y, a, UPLO: _eigh_reverse(g, y, UPLO),
                              cost=costs.eigh, batch=leading)
eigvalsh: Primitive = general(np.linalg.eigvalsh,
                              forward=lambda t, y, a, UPLO: _along_vectors(_completed(t, UPLO), _eigenvectors(a, UPLO)),
                              reverse=lambda g, y, a, UPLO: _triangle(_columns(_eigenvectors(a, UPLO), g) @ transposed(_eigenvectors(a, UPLO)), UPLO),
                              cost=costs.eigvalsh, static=True, fresh=True, batch=leading)
svd:      Primitive = general(_svd,
                              forward=_svd_forward,
                              reverse=_svd_reverse,
                              cost=costs.svd, batch=leading)
svdvals:  Primitive = general(lambda a: by_its_library(np.linalg.svd, a, compute_uv=False),
                              forward=_svdvals_forward,
                              reverse=_svdvals_reverse,
                              name="svdvals", cost=costs.svdvals, batch=leading)
qr:       Primitive = general(_qr,
                              forward=_qr_forward,
                              reverse=_qr_reverse,
                              cost=costs.qr, batch=leading)
pinv:     Primitive = general(lambda a, rcond: np.linalg.pinv(a, rcond),
                              forward=lambda t, y, a, rcond: _pinv_forward(t, y, a),
                              reverse=lambda g, y, a, rcond: _pinv_reverse(g, y, a),
                              name="pinv", cost=costs.pinv, batch=leading)
# fmt: on


#: In a tuple, since no sample could show more than that it raises.
_BEYOND = (
    general(
        _beyond,
        forward=lambda t, y, a, left: _no_derivative(t, a),
        reverse=lambda g, y, a, left: _no_derivative(g, a),
        cost=costs.svd_beyond,
        batch=leading,
    ),
)


# ── the forms in which NumPy takes them ───────────────────────────────────────────────────────────


@implements(np.linalg.eigh)
def eigh_(a: Array, UPLO: str = "L") -> Any:
    """Of the triangle that is looked at, as in NumPy; the derivative by the other is 0."""
    y = eigh(a, UPLO=str(UPLO).upper())
    return _Eigh(y[..., 0, :], y[..., 1:, :])


@implements(np.linalg.eigvalsh)
def eigvalsh_(a: Array, UPLO: str = "L") -> Array:
    return eigvalsh(a, UPLO=str(UPLO).upper())


@implements(np.linalg.svd)
def svd_(
    a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    if not compute_uv:
        return svdvals(a)
    u, s, v = _svd_parts(svd(a), a)
    m, n = a.shape[-2:]
    if full_matrices and m > n:
        u = np.concatenate([u, _BEYOND[0](a, left=True)], axis=-1)
    if full_matrices and m < n:
        v = np.concatenate([v, _BEYOND[0](a, left=False)], axis=-1)
    return _SVD(u, s, transposed(v))


@implements(np.linalg.svdvals)
def svdvals_(x: Array, /) -> Array:
    return svdvals(x)


@implements(np.linalg.qr)
def qr_(a: Array, mode: str = "reduced") -> Any:
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise TypeError(
            f"qr(mode={mode!r}) of {m}×{n} matrices has no rule of differentiation; 'reduced' and 'r' have"
        )
    y = qr(a if m >= n else a[..., :m])
    q, r = y[..., :m, :], y[..., m:, :]
    if m < n:  # the other columns, in the basis that the first ones give
        r = np.concatenate([r, transposed(q) @ a[..., m:]], axis=-1)
    return r if mode == "r" else _QR(q, r)


@implements(np.linalg.pinv)
def pinv_(
    a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue
) -> Array:
    if rcond is None and rtol is not None and rtol is not np._NoValue:
        rcond = rtol
    elif rcond is None:
        small = rtol is None  # which is not the same as no rtol at all
        rcond = max(a.shape[-2:]) * np.finfo(a.dtype).eps if small else 1e-15
    return pinv(a, rcond=constant(rcond))


@implements(np.linalg.lstsq)
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, Array, Any, Array]:
    """As in NumPy: the solution, the sums of the squared residuals, the rank, the singular values."""
    a, b = (x if isinstance(x, Variable) else np.asarray(x) for x in (a, b))
    if a.ndim != 2 or b.ndim not in (1, 2):
        raise np.linalg.LinAlgError(
            f"lstsq takes a matrix, and a vector or a matrix, not shapes {a.shape} and {b.shape};"
            " np.linalg.pinv(a) @ b solves many at once"
        )
    m, n = a.shape
    if rcond is None:
        rcond = np.finfo(np.result_type(a.dtype, b.dtype)).eps * max(m, n)
    s = np.linalg.svdvals(a)
    known = constant(s)
    rank = np.sum(known > rcond * known[:1]).astype(np.int32)
    x = np.linalg.pinv(a, rcond) @ b
    residuals = np.sum((a @ x - b) ** 2, axis=0, keepdims=b.ndim == 1)
    has_residuals = n < m and anywhere(rank == n)
    if has_residuals and anywhere(rank != n):
        raise ragged("the residuals of np.linalg.lstsq", "np.linalg.pinv(a) @ b")
    return x, residuals if has_residuals else np.empty(0, x.dtype), rank, s


@implements(np.linalg.cond)
def cond(x: Array, p: Any = None) -> Array:
    if p is None or p in (2, -2):
        s = svdvals(x)
        largest, least = s[..., 0], s[..., -1]
        return least / largest if p == -2 else largest / least
    return np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, (-2, -1))


@implements(np.linalg.tensorinv)
def tensorinv(a: Array, ind: int = 2) -> Array:
    if ind <= 0:
        raise ValueError(f"tensorinv: ind must be above 0, not {ind}")
    rows = math.prod(a.shape[ind:])
    inverse = np.linalg.inv(np.reshape(a, (-1, rows)))
    return np.reshape(inverse, a.shape[ind:] + a.shape[:ind])


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Array, b: Array, axes: Any = None) -> Array:
    a, b = floating(a), floating(b)
    if axes is not None:
        last = [k for k in range(a.ndim) if k not in axes]
        a = np.transpose(a, (*last, *axes))
    shape = a.shape[b.ndim - a.ndim :] if a.ndim > b.ndim else ()
    solution = np.linalg.solve(np.reshape(a, (-1, math.prod(shape))), np.ravel(b))
    return np.reshape(solution, shape)


# ── triangular systems, for which NumPy has no function ───────────────────────────────────────────


@checks_keywords
def solve_triangular(
    a: Array, b: Array, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Array:
    """x in a·x = b (trans=0) or aᵀ·x = b (trans=1 or "T"), where only one triangle of `a` is used:
    the upper one, or the lower one. With `unit_diagonal`, its diagonal is taken to be 1.

    Names and defaults are those of `scipy.linalg.solve_triangular`; axes in front are a batch.

    >>> import numpy as np
    >>> from autobp import solve_triangular
    >>> solve_triangular([[2.0, 0.0], [1.0, 4.0]], [2.0, 9.0], lower=True)
    array([1., 2.])
    """
    if trans not in (0, 1, "N", "T"):
        raise ValueError(f'solve_triangular: trans is 0, 1, "N" or "T", not {trans!r}')
    a, b = floating(a), floating(b)
    k = int(unit_diagonal)
    triangle = np.tril(a, -k) if lower else np.triu(a, k)
    if unit_diagonal:
        triangle = triangle + np.eye(a.shape[-1], dtype=a.dtype)
    return np.linalg.solve(transposed(triangle) if trans in (1, "T") else triangle, b)


@checks_keywords
def cho_solve(c_and_lower: tuple[Array, bool], b: Array) -> Array:
    """x in A·x = b, from the Cholesky factor of A and whether it is the lower one, as in SciPy.

    >>> import numpy as np
    >>> from autobp import cho_solve
    >>> A = np.array([[4.0, 2.0], [2.0, 3.0]])
    >>> cho_solve((np.linalg.cholesky(A), True), [8.0, 8.0])
    array([1., 2.])
    """
    c, lower = c_and_lower
    first, second = (0, 1) if lower else (1, 0)
    return solve_triangular(c, solve_triangular(c, b, first, lower), second, lower)
