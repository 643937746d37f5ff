"""SciPy's solvers over nests: every kind of method, bounds, and the derivative of a root."""

import sys

import numpy as np
import pytest
import scipy.optimize

from autobp import Tensor, check_gradients, compile, grad, hessian, jacobian, jvp, nn, vjp, vmap
from autobp.data import xor
from autobp.optim import least_squares, minimize, root


def rosenbrock(p):
    """Its minimum is 0, at ones."""
    x = np.concatenate([p["a"], np.ravel(p["b"][0])])
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


START = {"a": np.array([-0.5, 0.7]), "b": [1.5, None]}

METHODS = [
    "L-BFGS-B", "BFGS", "CG", "SLSQP", "Newton-CG", "trust-ncg",
    "trust-constr", "dogleg", "trust-exact", "Nelder-Mead", "Powell",
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_minimum(method):
    if method == "dogleg":  # which takes convex functions
        f = lambda p: np.sum((p["a"] - 1) ** 4 + (p["a"] - 1) ** 2) + (p["b"][0] - 1) ** 2
    else:
        f = rosenbrock
    found = minimize(f, START, method=method, tol=1e-9)
    assert found.x.keys() == START.keys()
    np.testing.assert_allclose(found.x["a"], 1.0, atol=2e-3)
    np.testing.assert_allclose(found.x["b"][0], 1.0, atol=4e-3)
    assert found.x["b"][1] is None
    assert type(found.x["b"][0]) is float


def test_what_a_method_asks_for_is_made():
    seen = []

    def f(x):
        seen.append(np.shape(x))
        return np.sum(np.cosh(x - 1))

    for method in ("L-BFGS-B", "trust-ncg", "trust-exact"):
        found = minimize(f, np.zeros((2, 3)), method=method)
        np.testing.assert_allclose(found.x, np.ones((2, 3)), atol=1e-4)
        assert found.jac.shape == (2, 3)
    assert set(seen) == {(2, 3)}


def test_the_callback_sees_nests():
    seen = []
    minimize(rosenbrock, START, callback=lambda p: seen.append(p["a"].copy()))
    assert len(seen) > 3
    assert seen[0].shape == (2,)
    assert not np.array_equal(seen[0], seen[-1])


# fmt: off
BOUNDS = {
    "of all":         ((0.0, 0.5),                               [0.5, 0.5], 0.5),
    "of leaves":      ({"a": (None, 0.5), "b": (0.2, None)},      [0.5, 0.5], 1.0),
    "of elements":    ({"a": ([0.0, 2.0], [0.5, 3.0]), "b": None}, None,      None),
    "arrays":         ({"a": (None, np.array([0.5, 9.0])), "b": None}, [0.5, 1.0], 1.0),
    "none":           (None,                                     [1.0, 1.0], 1.0),
}
# fmt: on


@pytest.mark.parametrize("case", BOUNDS)
def test_bounds_have_the_form_of_the_unknowns(case):
    bounds, a, b = BOUNDS[case]
    f = lambda p: np.sum((p["a"] - 1) ** 2) + (p["b"] - 1) ** 2
    start = {"a": np.array([0.3, 0.3]), "b": 0.3}
    if a is None:
        with pytest.raises(ValueError, match="bounds are a pair"):
            minimize(f, start, bounds=bounds)
        return
    for method in ("L-BFGS-B", "SLSQP"):
        found = minimize(f, start, method=method, bounds=bounds, tol=1e-10)
        np.testing.assert_allclose(found.x["a"], a, atol=1e-5)
        np.testing.assert_allclose(found.x["b"], b, atol=1e-5)


def test_a_network_is_a_function_of_its_parameters():
    X, y = xor()
    model = nn.MLP([2, 8, 1], activation="tanh", rng=0)
    params = {name: p.numpy() for name, p in model.named_parameters()}
    loss = lambda p: nn.binary_cross_entropy_with_logits(
        nn.functional_call(model, p, X), np.reshape(y, (-1, 1))
    )
    found = minimize(loss, params)
    assert found.fun < 1e-3 < loss(params)
    model.load_state_dict(found.x)
    assert nn.accuracy(nn.sigmoid(model(X)), y) == 1.0


def test_least_squares_fits_a_nest():
    t = np.linspace(0, 2, 30)
    y = 3.0 * np.exp(-1.5 * t) + 0.5

    def residuals(p):
        model = p["scale"] * np.exp(-p["rate"] * t) + p["level"][0]
        return {"all": model - y, "prior": 0.0 * p["rate"]}

    start = {"scale": 1.0, "rate": 0.3, "level": np.zeros(1)}
    for method in ("trf", "dogbox", "lm"):
        found = least_squares(residuals, start, method=method)
        assert found.x["scale"] == pytest.approx(3.0, rel=1e-6)
        assert found.x["rate"] == pytest.approx(1.5, rel=1e-6)
        np.testing.assert_allclose(found.x["level"], 0.5, rtol=1e-6)
        assert found.jac.shape == (31, 3)
    bounds = {"scale": (0, 2), "rate": (None, None), "level": None}
    assert least_squares(residuals, start, bounds=bounds).x["scale"] == pytest.approx(2.0)


# ── roots ─────────────────────────────────────────────────────────────────────────────────────────


def kepler(e, m):
    """The eccentric anomaly: E − e sin E = M."""
    return root(lambda E, e, m: E - e * np.sin(E) - m, 1.0, e, m)


def test_the_derivative_of_a_root_is_implicit():
    e, m = 0.3, 0.8
    E = kepler(e, m)
    assert E - e * np.sin(E) == pytest.approx(m, abs=1e-12)
    slope = 1 / (1 - e * np.cos(E))
    np.testing.assert_allclose(grad(kepler, (0, 1))(e, m), (np.sin(E) * slope, slope), rtol=1e-9)
    assert jvp(kepler, (e, m), (0.0, 1.0))[1] == pytest.approx(slope, rel=1e-9)
    assert grad(grad(kepler, 1), 1)(e, m) == pytest.approx(-e * np.sin(E) * slope**3, rel=1e-8)
    check_gradients(kepler, e, m, order=2)


def test_roots_and_arguments_are_nests():
    def f(x, p):
        return [x["u"] ** 3 + x["u"] - p["a"] * x["v"], p["B"] @ x["u"] + x["v"] - 1.0]

    def solution(p):
        return root(f, {"u": np.full(2, 0.5), "v": np.zeros(2)}, p)

    rng = np.random.default_rng(1)
    p = {"a": np.array([0.5, 0.8]), "B": 0.3 * rng.standard_normal((2, 2))}
    x = solution(p)
    assert all(np.max(np.abs(r)) < 1e-9 for r in f(x, p))
    loss = lambda p: np.sum(solution(p)["u"] ** 2) + np.sum(np.sin(solution(p)["v"]))
    check_gradients(loss, p, order=2)
    assert jacobian(lambda p: solution(p)["u"])(p)["B"].shape == (2, 2, 2)
    assert hessian(lambda a: loss({**p, "a": a}))(p["a"]).shape == (2, 2)
    c = compile(grad(loss))
    np.testing.assert_allclose(c(p)["B"], grad(loss)(p)["B"], rtol=1e-9)


def test_methods_without_a_jacobian_and_constants():
    for method in ("hybr", "lm", "broyden1", "krylov", "df-sane"):
        found = root(lambda x, a: x**3 - a, np.full(2, 1.2), np.array([1.0, 2.0]), method=method)
        np.testing.assert_allclose(found, [1.0, 2 ** (1 / 3)], rtol=1e-4)
    assert root(lambda x: np.cos(x) - x, 1.0) == pytest.approx(0.7390851332)


# fmt: off
REFUSED = {
    "root: the result of f depends on a Tensor that is not an argument of f, and the solution cannot be"
    " differentiated by it; pass it after x0":
        lambda: grad(lambda p: root(lambda x: x * x - p, 1.0))(2.0),
    "minimize: the result of f depends on a Tensor that is not an argument of f":
        lambda: minimize(lambda x: (x - Tensor(2.0)) ** 2, 0.0),
    "least_squares: the result of f depends on a Tensor that is not an argument of f":
        lambda: least_squares(lambda x: x - Tensor([2.0]), np.zeros(1)),
    "root: no solution was found: The iteration is not making good progress":
        lambda: root(lambda x: x * x + 1.0, 1.0),
    "minimize: x0 holds no numbers":
        lambda: minimize(lambda x: 1.0, []),
    "least_squares: x0 must be finite":
        lambda: least_squares(lambda x: x, np.array([1.0, np.nan])),
    "Singular matrix":
        lambda: grad(lambda a: root(lambda x, a: (x - a) ** 3, 0.0, a, tol=1e-2))(0.0),
}
# fmt: on


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(text):
    with pytest.raises((TypeError, ValueError, RuntimeError, np.linalg.LinAlgError)) as caught:
        REFUSED[text]()
    assert str(caught.value).startswith(text)


def test_scipy_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    for solve in (minimize, least_squares, root):
        with pytest.raises(ModuleNotFoundError, match=r"needs scipy: pip install .*\[scipy\]'"):
            solve(lambda x: x * x, 1.0)


def test_roots_of_a_batch_of_examples():
    a = np.abs(np.random.default_rng(0).standard_normal((2, 3, 2))) + 1.0
    start = np.ones(2)
    f = lambda a: root(lambda x, a: x**3 + np.sum(x) - a, start, a)
    nest = lambda a, u: root(
        lambda x, a: {"u": x["u"] ** 3 + x["v"] - a, "v": 2 * x["v"] - a[0]}, {"u": u, "v": 1.0}, a
    )["u"]
    loop = lambda f, *rows: np.stack([f(*row) for row in zip(*rows, strict=True)])
    for order in (lambda f: f, jacobian, lambda f: hessian(lambda a: np.sum(f(a)))):
        expected = loop(order(f), a[0])
        np.testing.assert_allclose(vmap(order(f))(a[0]), expected, 1e-7, 1e-9)
        np.testing.assert_allclose(compile(vmap(order(f)))(a[0]), expected, 1e-7, 1e-9)
    np.testing.assert_allclose(vmap(vmap(f))(a), loop(vmap(f), a))
    total = lambda map_: lambda a: np.sum(map_(a) ** 2)
    found, expected = (
        grad(total(m))(a[0]) for m in (vmap(f), lambda a: np.stack([f(r) for r in a]))
    )
    np.testing.assert_allclose(found, expected, 1e-7)
    starts = np.linspace(0.5, 1.5, 6).reshape(3, 2)
    for axes, rows in (((0, 0), (a[0], starts)), ((None, 0), ([a[0, 0]] * 3, starts))):
        given = a[0] if axes[0] == 0 else a[0, 0]
        np.testing.assert_allclose(vmap(nest, axes)(given, starts), loop(nest, *rows), 1e-7)
    assert vmap(f)(np.ones((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda a: root(lambda x: x - a, np.ones(2)), "^vmap: the function that root was given .*: pass it after x0"),
        (lambda a: minimize(lambda x: np.sum((x - a) ** 2), np.ones(2)).x, "^vmap: the function that minimize was given .*write a loop"),
        (lambda a: least_squares(lambda x: x - 1.0, a).x, "^vmap: x0 of least_squares is a batch of examples: .*write a loop"),
    ],
)  # fmt: skip
def test_what_scipy_cannot_do_for_a_batch(f, message):
    with pytest.raises(TypeError, match=message):
        vmap(f)(np.ones((3, 2)))


def test_a_pullback_of_a_root_needs_no_second_solution():
    solved = []

    def f(x, a):
        solved.append(1)
        return x**3 + x - a

    _, pullback = vjp(lambda a: root(f, np.zeros(2), a), np.array([1.0, 2.0]))
    calls = len(solved)
    pullback(np.ones(2))
    assert len(solved) - calls <= 2  # the Jacobian by x, and the pullback by a


def test_a_model_is_given_by_its_parameters():
    model, x = nn.Linear(1, 1, rng=0), np.array([[0.0], [1.0]])
    loss = lambda params: nn.mse(nn.functional_call(model, params, x), 2 * x + 1)
    for solver in (minimize, least_squares, root):
        said = rf"{solver.__name__}: x0 is a nest .*, not a Linear: write .*functional_call\(model, params"
        with pytest.raises(TypeError, match=said):
            solver(lambda m: loss(m), model)
    found = minimize(loss, {name: p.data for name, p in model.named_parameters()}).x
    np.testing.assert_allclose([found["weight"][0, 0], found["bias"][0]], [2.0, 1.0], atol=1e-4)


ENDS = (np.array([0.0, -np.inf, 2.0]), np.array([0.5, np.inf, np.inf]))


@pytest.mark.parametrize(
    "bounds",
    [
        ENDS,
        tuple(map(list, ENDS)),
        [(0, 0.5), None, (2, None)],
        ((0, 0.5), (None, None), (2, np.inf)),
        np.transpose(ENDS),
        scipy.optimize.Bounds(*ENDS),
    ],
)
@pytest.mark.parametrize("x0", [np.array([0.4, 1.0, 3.0]), [0.4, 1, np.float64(3.0)]])
def test_the_bounds_of_a_vector_are_spelt_as_in_scipy(bounds, x0):
    for found in (
        minimize(lambda x: np.sum((x - 1) ** 2), x0, bounds=bounds).x,
        least_squares(lambda x: x - 1, x0, bounds=bounds).x,
    ):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, [0.5, 1, 2], atol=1e-6)


def test_two_lists_for_two_numbers_are_read_as_scipy_reads_them():
    f = lambda x: x - np.array([0.2, 9.0])
    found = minimize(lambda x: np.sum(f(x) ** 2), [0.5, 0.5], bounds=[[0, 1], [0, 2]])
    np.testing.assert_allclose(found.x, [0.2, 2], atol=1e-6)
    found = least_squares(f, [0.5, 1.5], bounds=([0, 1], [1, 2]))
    np.testing.assert_allclose(found.x, [0.2, 2], atol=1e-6)
    found = minimize(lambda x: np.sum(f(x) ** 2), [0.0, 0.0], bounds=scipy.optimize.Bounds(0, 1))
    np.testing.assert_allclose(found.x, [0.2, 1], atol=1e-6)


@pytest.mark.parametrize(
    "bounds", [[(0, 1)], [(0, 1)] * 3, (np.zeros(3), np.ones(3)), ([0, 0], [1, 1]), "ab", 5]
)
def test_bounds_that_do_not_fit_a_vector_are_explained(bounds):
    said = r"for a vector of n numbers a list of n pairs or \(np.array\(lows\), np.array\(highs\)\)"
    with pytest.raises(ValueError, match=said):
        minimize(lambda x: np.sum(x**2), np.ones(2), bounds=bounds)


def test_parameters_as_a_start_are_explained():
    model = nn.Linear(2, 1)
    for x0, kind in (
        (dict(model.named_parameters()), "dict of parameters"),
        (list(model.parameters()), "list of parameters"),
        (model.parameters(), "generator"),
        (model, "Linear"),
    ):
        for solver in (minimize, least_squares, root):
            with pytest.raises(TypeError, match=f"not a {kind}: write .name: p.data for"):
                solver(lambda x: x, x0)
    assert root(lambda x: x - 1, [0.0, 3.0]).tolist() == [1, 1]
