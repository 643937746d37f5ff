"""Arrays of other libraries as values of Tensors: those that speak NumPy's protocols, and Dask's."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from autobp import (
    Tensor,
    avg_pool2d,
    check_gradients,
    compile,
    conv2d,
    custom,
    detect_anomaly,
    grad,
    graph,
    hessian,
    hvp,
    jacobian,
    jvp,
    max_pool2d,
    nn,
    no_grad,
    softmax,
    value_and_grad,
    vjp,
)
from autobp.compiler import CaptureError
from autobp.optim import SGD, Adam
from autobp.rules import PRIMITIVES
from autobp.verify.checks import bound, picked, variables
from autobp.verify.samples import RECORDS

X = np.arange(1.0, 7.0).reshape(2, 3)
W = np.array([[1.0, -1.0], [0.5, 2.0], [-2.0, 0.0]])


class Strict(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with NEP 13 and NEP 18 and little else. As arrays on a GPU, it is not mixed with NumPy's
    and becomes one only when asked."""

    def __init__(self, data):
        self._data = np.asarray(data)

    shape = property(lambda self: self._data.shape)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    dtype = property(lambda self: self._data.dtype)
    T = property(lambda self: Strict(self._data.T))
    mT = property(lambda self: Strict(self._data.mT))

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if not all(isinstance(x, Strict | np.ndarray | np.generic | float | int) for x in inputs):
            return NotImplemented
        return wrapped(getattr(ufunc, method)(*unwrapped(inputs), **unwrapped(options)))

    def __array_function__(self, function, types, args, options):
        if not all(issubclass(kind, Strict | np.ndarray) for kind in types):
            return NotImplemented
        if function is np.asarray:  # as np.asarray(x, like=self)
            return Strict(np.asarray(*args, **options))
        return wrapped(function(*unwrapped(args), **unwrapped(options)))

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to NumPy")

    def get(self):
        return self._data

    def copy(self):
        return Strict(self._data.copy())

    def astype(self, dtype, copy=True):
        return Strict(self._data.astype(dtype, copy=copy))

    def reshape(self, *shape):
        return Strict(self._data.reshape(*shape))

    def __getitem__(self, index):
        return wrapped(self._data[unwrapped(index)])

    def __setitem__(self, index, value):
        self._data[unwrapped(index)] = unwrapped(value)

    def __len__(self):
        return len(self._data)

    def __float__(self):
        return float(self._data)

    def __bool__(self):
        return bool(self._data)


def wrapped(x):
    if isinstance(x, np.ndarray | np.generic):
        return Strict(x)
    if isinstance(x, tuple | list):  # a named tuple, as of np.linalg.svd, takes its fields
        return type(x)(*map(wrapped, x)) if hasattr(x, "_fields") else type(x)(map(wrapped, x))
    return x


def unwrapped(x):
    if isinstance(x, Strict):
        return x.get()
    if isinstance(x, np.ndarray) and x.ndim and x.dtype.kind == "f":  # not indices
        raise TypeError("an array of NumPy among those of another library")
    if type(x) is dict:
        return {k: unwrapped(v) for k, v in x.items()}
    return type(x)(map(unwrapped, x)) if type(x) in (tuple, list) else x


def plain(x):
    return x.get() if isinstance(x, Strict) else np.asarray(x)


def chunked(a):
    dask = pytest.importorskip("dask.array")
    return dask.from_array(np.asarray(a), chunks=2 if np.ndim(a) else ())


@pytest.fixture(params=[Strict, chunked], ids=["strict", "dask"])
def made(request):
    request.param(X)
    return request.param


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────

# fmt: off
#: Rules that make arrays of NumPy, or are kernels on NumPy's memory.
NUMPYS = {
    "attention", "batch_norm", "cholesky", "conv2d", "conv2d_input", "conv2d_weight", "max_pool2d", "pool2d",
    "pool2d_input", "pool2d_weight",
}
#: Rules that need what Dask's arrays lack: options of `nan_to_num`, all reshapes, all chunks of `solve`
NOT_DASKS = {"nan_to_num", "reshape", "solve"} | NUMPYS - {"cholesky"}
# fmt: on


def agrees(primitive, sample, made):
    """Whether values, tangents and cotangents are those of NumPy's arrays."""
    chosen = variables(sample)
    f, args = bound(primitive, sample, chosen), picked(sample, chosen)
    ones = [np.ones(np.shape(a)) for a in args]
    (y, pullback), (_, t) = vjp(f, *args), jvp(f, args, ones)
    expected = [y, t, *pullback(np.ones(np.shape(y)))]

    arrays = [made(a) if isinstance(a, np.ndarray) and a.ndim else a for a in sample.args]
    f = bound(primitive, replace(sample, args=tuple(arrays)), chosen)
    args = [made(a) for a in args]
    (y, pullback), (_, t) = vjp(f, *args), jvp(f, args, list(map(made, ones)))
    found = [y, t, *pullback(made(np.ones(np.shape(y))))]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(plain(a), b, rtol=1e-9, atol=1e-9)


def smooth(name):
    """The samples with numbers to differentiate by, up to a few."""
    return [s for s in RECORDS[name].samples if variables(s)][:6]


@pytest.mark.parametrize("name", sorted(RECORDS.keys() - NUMPYS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rule_runs_on_an_array_of_another_library(name):
    for sample in smooth(name):
        agrees(PRIMITIVES[name], sample, Strict)


@pytest.mark.parametrize("name", sorted(RECORDS.keys() - NOT_DASKS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
def test_a_rule_runs_on_dasks_arrays(name):
    pytest.importorskip("dask.array")
    for sample in smooth(name)[:2]:
        agrees(PRIMITIVES[name], sample, chunked)


@pytest.mark.parametrize("name", sorted(NUMPYS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rule_that_is_numpys_raises(name):
    def all_agree():
        for sample in RECORDS[name].samples:
            if variables(sample):
                agrees(PRIMITIVES[name], sample, Strict)

    with pytest.raises((TypeError, AttributeError, ValueError)):
        all_agree()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Dask, which sorts by NumPy
def test_indices_that_dask_does_not_know_are_those_of_rows():
    y, a = np.array([0, 2, 1, 0]), np.arange(12.0).reshape(4, 3) % 5
    for f in (
        lambda x: nn.cross_entropy(x, y),
        lambda x: np.sum(np.take(x, [0, 2, 2, 2], axis=0) ** 2),
        lambda x: np.sum(x[[0, 0, -1]] * x[[3, 1, 1], [0, 2, -1]][:, None]),
        lambda x: np.sum(x[:3, None] * x[[1, 1, 2]][None]),
        lambda x: np.sum(np.sort(x, axis=0) * a) + np.median(x) * np.trace(x),
        lambda x: np.sum(np.diag(x[:, 0]) ** 2),
        lambda x: np.sum(x[np.zeros(0, int)]),
    ):
        value, g = value_and_grad(f)(chunked(a))
        assert type(g) is type(chunked(a))
        np.testing.assert_allclose(np.asarray(value), f(a), rtol=1e-12)
        np.testing.assert_allclose(np.asarray(g), grad(f)(a), rtol=1e-12)


A = np.random.default_rng(0).standard_normal((6, 4))


@pytest.mark.parametrize(
    "f",
    [
        lambda a: np.sum(np.sort(a, axis=1)[:, 0]) + np.sum(np.sort(a, axis=None)[-3:]),
        lambda a: np.sum(np.median(a, axis=1)) + np.median(a),
        lambda a: np.sum(np.quantile(a, 0.3, axis=0)) + np.percentile(a, 70.0),
        lambda a: np.sum(np.quantile(a, [0.3, 0.31], axis=0)),  # the same elements twice
        lambda a: np.sum(a[np.argsort(a[:, 0])][0] ** 2) + np.sum(a[np.argmax(a[:, 1])]),
        lambda a: np.sum(a[:4][np.argsort(a[:4, 0])] ** 2 * a[:4]),  # as many rows as columns
        lambda a: np.sum(a[np.argmax(a[:, :1], axis=0)] ** 2),
        lambda a: np.sum(a.at[np.argmax(a[:, 0])].set(0.5) ** 3),
        lambda a: np.sum(np.where(a > 0, a, 0.0) ** 3),
        lambda a: np.sum(np.gradient(a, axis=0, edge_order=2) ** 3),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Dask, which sorts by NumPy
def test_elements_in_order_have_gradients(f, made):
    np.testing.assert_allclose(plain(grad(f)(made(A))), grad(f)(A), rtol=1e-12)


def test_quantiles_that_skip_nan_have_gradients():
    a = np.where(A > 1, np.nan, A)
    f = lambda a: np.sum(np.nanquantile(a, 0.3, axis=0)) + np.nanmedian(a)
    np.testing.assert_allclose(plain(grad(f)(Strict(a))), grad(f)(a), rtol=1e-12)


def test_elements_that_a_mask_names_have_a_gradient_where_their_number_is_known():
    f = lambda a: np.sum(a[a > 0] ** 2)
    np.testing.assert_allclose(plain(grad(f)(Strict(A))), grad(f)(A))
    with pytest.raises(ValueError, match=r"does not know yet.*: write np\.where\(mask, x, 0\.0\)"):
        grad(f)(chunked(A))


def test_the_triangle_of_dasks_factor_is_the_lower_one():
    a = np.block([[W @ W.T + 4 * np.eye(3), np.ones((3, 1))], [np.ones(3), 9.0]])
    f = lambda x: np.linalg.cholesky(x)[2, 0]
    np.testing.assert_allclose(np.asarray(grad(f)(chunked(a))), grad(f)(a), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (4, 4)])
@pytest.mark.parametrize("chunks", [(6, 6), (2, 6), (6, 2), (2, 3), (1, 1)])
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Dask, which computes eigenvalues by NumPy
def test_decompositions_of_dasks_arrays_do_not_depend_on_their_chunks(shape, chunks):
    dask = pytest.importorskip("dask.array")
    a = np.random.default_rng(0).standard_normal(shape)

    def of_parts(a):
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        q, r = np.linalg.qr(a)
        return np.sum((u * s**2) @ vh) + np.sum((q @ np.triu(r)) ** 3)

    for f in (
        of_parts,
        lambda a: (
            np.sum(np.linalg.svdvals(a) ** 3) + np.linalg.norm(a, 2) + np.linalg.norm(a, "nuc")
        ),
        lambda a: np.linalg.cond(a),
        lambda a: np.sum(np.linalg.pinv(a) ** 2) + np.sum(np.linalg.eigh(a @ a.T).eigenvalues ** 2),
        lambda a: np.sum(np.linalg.lstsq(a, np.ones(len(a)))[0] ** 2),
    ):
        value, g = value_and_grad(f)(dask.from_array(a, chunks=chunks))
        assert type(g) is dask.Array
        np.testing.assert_allclose(np.asarray(value), f(a), rtol=1e-9)
        np.testing.assert_allclose(np.asarray(g), grad(f)(a), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.interp(x, np.arange(4.0), np.arange(4.0) ** 2)),
        lambda x: np.sum(np.nan_to_num(x) ** 2),
    ],
)
def test_functions_of_which_dask_has_a_part_have_gradients(f):
    np.testing.assert_allclose(np.asarray(grad(f)(chunked(A))), grad(f)(A), rtol=1e-12)


# ── the engine ────────────────────────────────────────────────────────────────────────────────────


def loss(w, x):
    return np.mean((np.tanh(x @ w) - 0.5) ** 2)


def test_gradients_stay_in_the_library(made):
    w, x = made(W), made(X)
    value, g = value_and_grad(loss)(w, x)
    assert type(g) is type(value) is type(w)
    np.testing.assert_allclose(plain(g), grad(loss)(W, X), rtol=1e-12)
    t = Tensor(w, name="w")
    loss(t, x).backward()
    assert type(t.grad) is type(w)
    np.testing.assert_allclose(plain(t.grad), grad(loss)(W, X), rtol=1e-12)


def test_second_derivatives_and_directions(made):
    f = lambda v: np.sum(v**3) * 2.0
    ones = np.ones(3)
    found = hvp(f, (made(X[0]),), (made(ones),))
    np.testing.assert_allclose(plain(found), 12 * X[0])
    np.testing.assert_allclose(plain(grad(lambda v: np.sum(grad(f)(v)))(made(X[0]))), 12 * X[0])
    _, t = jvp(np.sin, (made(X),), (made(X),))
    np.testing.assert_allclose(plain(t), np.cos(X) * X)


def test_jacobians_and_rules_of_ones_own(made):
    f = lambda v: np.sin(v) * v
    np.testing.assert_allclose(plain(jacobian(f)(made(X[0]))), jacobian(f)(X[0]))
    g = lambda v: np.sum(v**3) * v[0]
    np.testing.assert_allclose(plain(hessian(g)(made(X[0]))), hessian(g)(X[0]))
    doubled = custom(lambda x: x * 2, vjp=lambda t, y, x: t * 2)
    found = grad(lambda v: np.sum(doubled(v) ** 2))(made(X))
    assert type(found) is type(made(X))
    np.testing.assert_allclose(plain(found), 8 * X)
    check_gradients(lambda v: np.sum(f(v)), made(X))


def test_arrays_and_tensors_meet_in_either_order(made):
    a, t = made(X), Tensor(made(X))
    for found in (a * t, t * a, np.multiply(a, t), t * 2.0 * a / 2.0):
        assert isinstance(found, Tensor)
        np.testing.assert_array_equal(found.numpy(), X * X)
    assert isinstance(a @ Tensor(made(W)), Tensor)
    assert grad(lambda s: np.sum(a * s))(2.0) == 21.0


def test_a_tensor_tells_what_it_holds(made):
    t = Tensor(made(X), name="x")
    assert (t.shape, t.ndim, t.size, t.dtype) == ((2, 3), 2, 6, np.float64)
    assert type(copy.deepcopy(t).data) is type(t.data)
    assert repr(t).startswith(f"Tensor({t.data!r}")
    assert len(graph(np.sum(t * 2))) == 3
    assert np.sum(t).item() == 21.0
    assert Tensor(made(np.arange(3))).dtype == np.float64
    assert grad(lambda v: np.sum(v * 2.5))(made(X.astype("f"))).dtype == np.float32
    assert bool(np.sum(t) > 20)


def test_numbers_are_selected_and_normalized(made):
    f = lambda v: np.sum(softmax(np.where(v > 2, v, 0.0), axis=-1) ** 2) + np.std(v)
    np.testing.assert_allclose(plain(grad(f)(made(X))), grad(f)(X), rtol=1e-9)
    np.testing.assert_array_equal(
        plain(grad(lambda v: np.sum(v[0, 1:]))(made(X))), [[0, 1, 1], [0] * 3]
    )


def test_a_step_by_hand(made):
    w = Tensor(made(W))
    loss(w, made(X)).backward()
    with no_grad():
        w -= 0.1 * w.grad
    np.testing.assert_allclose(w.numpy(), W - 0.1 * grad(loss)(W, X))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_anomalies_are_found(made):
    with detect_anomaly(), pytest.raises(FloatingPointError, match="log made the first inf"):
        np.log(Tensor(made(np.zeros(3))))


def test_arrays_without_anomalies_pass(made):
    t = Tensor(made(X))
    with detect_anomaly():
        np.sum(np.sin(t) ** 2).backward()
    np.testing.assert_allclose(plain(t.grad), np.sin(2 * X))


def test_a_value_that_was_written_to_since_is_found():
    t = Tensor(Strict(X))
    with detect_anomaly():
        y = np.sum(np.sin(t) ** 2)
        t.data[0] = 9.0
        with pytest.raises(RuntimeError, match="sin"):
            y.backward()


# ── what is for NumPy's arrays alone ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_optimizers_change_numpys_arrays(made, optimizer):
    w = Tensor(made(W))
    loss(w, made(X)).backward()
    with pytest.raises(TypeError, match=r"write with no_grad\(\): p -= lr \* p.grad"):
        optimizer([w], lr=0.1).step()


def test_programs_are_made_for_numpys_arrays(made):
    w = Tensor(made(W))
    for f, x in ((grad(np.sum), made(X)), (lambda t: t * 2, w), (lambda x: np.sum(x @ w), X)):
        with pytest.raises(CaptureError, match=r"of type \w+\.\w+: programs are made for NumPy's"):
            compile(f)(x)


def test_kernels_on_numpys_memory_say_so(made):
    x, w = made(np.ones((1, 1, 4, 4))), made(np.ones((1, 1, 2, 2)))
    q = made(np.ones((1, 600, 8)))
    for name, f in (
        ("conv2d", lambda: conv2d(x, w)),
        ("conv2d", lambda: grad(lambda w: np.sum(conv2d(np.ones((1, 1, 4, 4)), w)))(w)),
        ("conv2d", lambda: nn.Conv2d(1, 1, 2)(x)),
        ("max_pool2d", lambda: max_pool2d(Tensor(x), 2)),
        ("avg_pool2d", lambda: grad(lambda x: np.sum(avg_pool2d(x, 2)))(x)),
        ("attention as long as this", lambda: nn.scaled_dot_product_attention(Tensor(q), q, q)),
    ):
        with pytest.raises(
            TypeError, match=rf"^{name} takes arrays of NumPy alone, not of type \w+\.\w+"
        ):
            f()


def test_what_has_one_protocol_alone_is_no_value():
    class Labelled(np.lib.mixins.NDArrayOperatorsMixin):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            return "labelled"

    assert Tensor(1.0) + Labelled() == "labelled"
    with pytest.raises(TypeError, match="a Tensor holds floating-point numbers, not object"):
        Tensor(Labelled())
