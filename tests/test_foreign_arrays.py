"""Arrays of other libraries beside Tensors: as they meet NumPy's arrays, and never with a gradient of 0."""

import operator
import re

import numpy as np
import pytest

from autobp import (
    Tensor,
    check_gradients,
    compile,
    fast_paths,
    grad,
    hessian,
    jvp,
    log_softmax,
    logsumexp,
    nn,
    softmax,
    value_and_grad,
)
from autobp.optim import SGD
from autobp.train import fit

B = np.array([1.0, 2.0, 3.0])
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


# ── who takes an operation over ───────────────────────────────────────────────────────────────────


class OptsOut:
    """Takes no part in ufuncs, and defines the operators itself."""

    __array_ufunc__ = None

    def answered(self, other):
        return "mine"

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = answered
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = answered
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = answered


class Labelled(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with a label, of a library such as xarray, which holds what NumPy's functions take."""

    def __init__(self, data):
        self.data = data

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.data, dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [x.data if isinstance(x, Labelled) else x for x in inputs]
        return Labelled(getattr(ufunc, method)(*plain, **kwargs))


@pytest.fixture(params=[True, False], ids=["fast", "general"])
def paths(request):
    if not request.param:
        fast_paths.remove()
    yield
    fast_paths.install()


@pytest.mark.parametrize("data", [2.0, B, np.float32(2.0)], ids=["0-d", "1-d", "float32"])
@pytest.mark.parametrize(
    "operation",
    [*OPERATORS, operator.matmul, operator.mod, operator.floordiv],
    ids=lambda f: f.__name__,
)
def test_what_takes_no_part_in_ufuncs_is_asked(operation, data, paths):
    t, other = Tensor(data), OptsOut()
    assert operation(t, other) == "mine"
    assert operation(other, t) == "mine"
    assert operation(np.asarray(data), other) == "mine"  # as an ndarray does


@pytest.mark.parametrize("operation", [*OPERATORS, np.multiply, np.subtract, np.arctan2])
def test_what_has_ufuncs_of_its_own_holds_the_tensor(operation, paths):
    for f in (
        lambda x: operation(x, Labelled(B)),
        lambda x: operation(Labelled(B), x),
    ):
        assert type(f(Tensor(2.0))) is Labelled
        plain = lambda x, f=f: np.sum(f(x).data)
        check_gradients(plain, 2.0, order=2)
        assert grad(plain)(2.0) != 0.0
        assert jvp(plain, (2.0,), (1.0,))[1] == pytest.approx(grad(plain)(2.0))


def test_an_operand_that_refuses_too_is_an_error_of_python():
    class Stranger:
        __array_ufunc__ = None

    with pytest.raises(TypeError, match="unsupported operand type"):
        Tensor(1.0) * Stranger()
    with pytest.raises(TypeError, match="unsupported operand type"):
        Stranger() - Tensor(B)


class Column:
    """A column of a table, of a library such as pandas, which defers to what has a higher priority."""

    __pandas_priority__ = 3000

    def __init__(self, data):
        self.data = data

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.data, dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return NotImplemented if any(isinstance(x, Tensor) for x in inputs) else "a column"

    def answered(self, other):
        if getattr(other, "__pandas_priority__", 0) > self.__pandas_priority__:
            return NotImplemented
        return "a column"

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = answered
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = answered


@pytest.mark.parametrize("operation", [*OPERATORS, np.multiply, np.subtract])
def test_columns_leave_operations_to_tensors(operation, paths):
    for f, g in (
        (lambda x: operation(x, Column(B)), lambda x: operation(x, B)),
        (lambda x: operation(Column(B), x), lambda x: operation(B, x)),
    ):
        assert type(f(Tensor(2.0))) is Tensor
        found, expected = (grad(lambda x, h=h: np.sum(h(x)))(2.0) for h in (f, g))
        assert found == expected != 0.0


# ── the libraries themselves, where they are installed ────────────────────────────────────────────


def test_xarray():
    xarray = pytest.importorskip("xarray")
    a = xarray.DataArray(B, dims="x")
    for f in (
        lambda x: np.sum((x * a).data),
        lambda x: np.sum((a * x).data),
        lambda x: np.sum(np.multiply(x, a).data),
        lambda x: np.sum((x * a.variable).data),
    ):
        assert grad(f)(2.0) == 6.0
    assert grad(lambda x: (x * a).dot(a).data)(2.0) == 14.0
    for f in (lambda x: np.sum((x * a).values), lambda x: (x * a).sum().data):
        with pytest.raises(TypeError, match=r"cannot silently become an array.* write a\.data for"):
            grad(f)(2.0)


def test_pandas():
    pandas = pytest.importorskip("pandas")
    s, table = pandas.Series(B), pandas.DataFrame({"a": B, "b": B})
    for f, expected in (
        (lambda x: np.sum(x * s), 6.0),
        (lambda x: np.sum(s * x), 6.0),
        (lambda x: np.sum(s - x), -3.0),
        (lambda x: np.sum(np.multiply(s, x)), 6.0),
        (lambda x: np.sum(table * x), 12.0),
        (lambda x: np.sum(x - table), 6.0),
        (lambda x: np.sum((s > 1) * x), 2.0),
        (lambda x: np.sum(np.where(s > 1, x, 0.0)), 2.0),
    ):
        assert grad(f)(2.0) == expected
    for product in (lambda: table @ Tensor([1.0, 2.0]), lambda: s.dot(Tensor(B))):
        with pytest.raises(TypeError, match=r"write df\.to_numpy\(\) for what is in a table"):
            product()
    for left in (s, table, s[0:2]):
        for name, sign in (("iadd", "+"), ("imul", "*"), ("itruediv", "/"), ("ipow", "**")):
            said = re.escape(
                f"df {sign}= t would make a Tensor of a table of pandas: write t = df {sign} t"
            )
            with pytest.raises(TypeError, match=said):
                getattr(operator, name)(left.copy(), Tensor(2.0))


def test_a_column_in_place_says_what_to_write():
    """As pandas has it: the operator in place is the operator, and what it defers to makes it fail."""

    class InPlace(Column):
        def __imul__(self, other):
            return self.in_place(other)

        def in_place(self, other):
            return self.answered(other).reindex_like(self)

    assert getattr(Tensor(2.0), "__pandas_priority__") > Column.__pandas_priority__  # noqa: B009
    column = InPlace(B)
    with pytest.raises(
        TypeError, match=r"df \*= t would make a Tensor of a table .* t = df \* t for"
    ):
        column *= Tensor(B)


# ── what would be misread ─────────────────────────────────────────────────────────────────────────

MASKED = np.ma.masked_array(B, [False, True, False])
MATRIX = np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix)  # its constructor warns
W = Tensor([[1.0, 2.0], [3.0, 4.0]])

USES = {
    "t * m": lambda t, m: t * m,
    "m * t": lambda t, m: m * t,
    "m + t": lambda t, m: m + t,
    "np.multiply": lambda t, m: np.multiply(m, t),
    "t @ m": lambda t, m: t @ m,
    "np.where": lambda t, m: np.where([True], m, t),
    "np.concatenate": lambda t, m: np.concatenate([t, m]),
    "np.maximum": lambda t, m: np.maximum(t, m),
    "Tensor": lambda t, m: Tensor(m),
    "float32": lambda t, m: Tensor(m, dtype=np.float32),
    "data": lambda t, m: setattr(Tensor(np.ones(m.shape)), "data", m),
    "grad": lambda t, m: grad(np.sum)(m),
    "in place": lambda t, m: operator.iadd(Tensor(np.ones(m.shape)), m),
    "loss": lambda t, m: nn.mse(t, m),
    "layer": lambda t, m: nn.Linear(m.shape[-1], 1)(m),
    "relu": lambda t, m: nn.leaky_relu(m),
}


@pytest.mark.parametrize("use", USES)
def test_masked_arrays_are_refused(use):
    if use == "m * t" or use == "m + t":  # NumPy's masked arrays ask for the array
        with pytest.raises(
            TypeError, match=r"become an array.* write m\.filled\(value\), or m\.compressed"
        ):
            USES[use](Tensor(B), MASKED)
        return
    with pytest.raises(TypeError, match=r"its mask would be dropped: write m\.filled\(value\)"):
        USES[use](Tensor(B), MASKED)


@pytest.mark.parametrize("use", USES)
def test_matrices_are_refused(use):
    with pytest.raises(
        TypeError, match=r"its \* is the product of matrices: write np\.asarray\(m\)"
    ):
        USES[use](W, MATRIX)


def test_what_is_not_masked_is_an_array():
    whole = np.ma.masked_array(B, False)
    np.testing.assert_array_equal((Tensor(B) * whole).numpy(), B * B)
    np.testing.assert_array_equal((Tensor(B) * MASKED.filled(0.0)).numpy(), [1.0, 0.0, 9.0])


def test_fit_refuses_masked_samples():
    X = np.ma.masked_array(np.ones((8, 2)), False)
    X[3, 1] = np.ma.masked
    model = nn.Linear(2, 1, rng=0)
    with pytest.raises(TypeError, match="its mask would be dropped"):
        fit(model, (X, np.ones((8, 1))), nn.mse, SGD(model.parameters()), progress=False)


# ── as NumPy and PyTorch ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "ends", [{"prepend": 0.0}, {"append": [1.0]}, {"prepend": B, "append": 2.0}, {}]
)
def test_no_difference_looks_at_no_ends(ends):
    found = np.diff(Tensor(B), n=0, **ends)
    np.testing.assert_array_equal(found.numpy(), np.diff(B, n=0, **ends))
    assert np.diff(Tensor(B), n=1, **ends).shape == np.diff(B, n=1, **ends).shape
    np.testing.assert_array_equal(grad(lambda x: np.sum(np.diff(x, n=0, **ends)))(B), np.ones(3))


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_slopes_beside_what_is_not_finite(edge_order):
    x = np.array([1.0, np.inf, 2.0, 3.0, np.nan, 5.0, -np.inf, 1.0, 2.0])
    found = np.gradient(Tensor(x), 0.5, edge_order=edge_order).numpy()
    np.testing.assert_array_equal(found, np.gradient(x, 0.5, edge_order=edge_order))


def test_the_number_of_elements_that_are_not_0_counts_nan():
    x = np.array([[0.0, np.nan, 3.0], [0.0, 0.0, -2.0]])
    for kind in (np.float64, np.float32):
        found = np.linalg.norm(Tensor(x.astype(kind)), 0, axis=1)
        assert (found.tolist(), found.dtype) == ([2.0, 1.0], kind)


@pytest.mark.parametrize("axis", [0, -1, (), None])
@pytest.mark.parametrize("x", [0.0, 2.0, np.float32(0.0)])
def test_the_product_of_a_number(x, axis):
    f = lambda x: np.prod(x, axis=axis)
    assert f(Tensor(x)).item() == x
    assert grad(f)(x) == 1.0
    assert jvp(f, (x,), (np.float64(3.0),))[1] == 3.0
    assert compile(grad(f))(x) == 1.0


def test_axes_of_a_transpose_may_be_one_number():
    t = Tensor(B)
    for found in (
        np.transpose(t, 0),
        t.transpose(0),
        np.transpose(t, np.int64(-1)),
        t.transpose(None),
    ):
        np.testing.assert_array_equal(found.numpy(), B)
    m = Tensor(np.ones((2, 3, 4)))
    for axes in ((2, 0, 1), [2, 0, 1], np.array([2, 0, 1])):
        assert np.transpose(m, axes).shape == m.transpose(axes).shape == (4, 2, 3)
    assert m.transpose(*np.array([2, 0, 1])).shape == (4, 2, 3)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (5, 0, 0)])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.filterwarnings("error")
def test_softmax_of_nothing(shape, axis, dtype):
    x = np.zeros(shape, dtype)
    for f in (softmax, log_softmax):
        y = f(Tensor(x), axis=axis)
        assert y.shape == shape
        assert y.dtype == dtype
        assert grad(lambda x, f=f: np.sum(f(x, axis=axis)))(x).shape == shape
    y = logsumexp(Tensor(x), axis=axis)
    assert y.shape == np.sum(x, axis=axis).shape
    assert y.dtype == dtype
    assert np.all(np.isneginf(y.numpy()))
    assert compile(lambda x: softmax(x, axis=axis))(x).shape == shape


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_the_gradient_of_a_result_of_one_element(shape):
    x = np.full(shape, 3.0)
    value, gradient = value_and_grad(lambda x: x**2)(x)
    assert np.shape(value) == np.shape(gradient) == shape
    np.testing.assert_array_equal(gradient, np.full(shape, 6.0))
    np.testing.assert_array_equal(compile(grad(lambda x: x**2))(x), np.full(shape, 6.0))
    np.testing.assert_array_equal(grad(grad(lambda x: x**3))(x), np.full(shape, 18.0))
    np.testing.assert_array_equal(np.ravel(hessian(lambda x: x**2)(x)), [2.0])
    t = Tensor(x)
    (t * t).backward()
    np.testing.assert_array_equal(t.grad, np.full(shape, 6.0))


def test_more_elements_are_none():
    with pytest.raises(ValueError, match=r"grad needs a scalar; this result has shape \(2,\)"):
        grad(lambda x: x**2)(np.ones(2))
    with pytest.raises(ValueError, match=r"grad needs a scalar; this result has shape \(0,\)"):
        grad(lambda x: x**2)(np.ones(0))


# ── arrays that are of no real numbers ────────────────────────────────────────────────────────────

OBJECTS = np.array([1.0, 2.0, 3.0], object)
UNREAL = [OBJECTS, B + 1j, B.astype("m8[s]"), B.astype("M8[s]"), B.astype(str)]


@pytest.mark.parametrize("a", UNREAL, ids=lambda a: a.dtype.name)
def test_layers_and_losses_cast_nothing_silently(a):
    for f in (
        lambda: nn.mse(Tensor(B), a),
        lambda: nn.huber(a, Tensor(B)),
        lambda: nn.Linear(3, 1, rng=0)(a),
        lambda: nn.relu(a),
        lambda: softmax(a),
        lambda: nn.binary_cross_entropy_with_logits(Tensor(B), a),
    ):
        with pytest.raises(
            TypeError, match=r"numbers are needed here, not an array of .*astype\(float\)"
        ):
            f()


def test_products_of_objects_are_refused_as_other_operations_are(paths):
    for f in (
        lambda t: t @ OBJECTS,
        lambda t: OBJECTS @ t,
        lambda t: t + OBJECTS,
        lambda t: np.matmul(t, OBJECTS),
    ):
        with pytest.raises(
            TypeError, match="a Tensor combines with numbers and arrays, not with array"
        ):
            f(Tensor(B))
