"""The functions of scipy.special: three orders, single precision, and how they are found and printed."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import special

from autobp import NoRuleError, Tensor, compile, grad, jvp, polygamma, vjp
from autobp.extras import install_command
from autobp.rules import PRIMITIVES
from autobp.verify.checks import bound, close, difference, directions, picked, variables
from autobp.verify.samples import generator
from autobp.verify.special import RECORDS

# ── three orders ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RECORDS)
def test_third_derivatives(name):
    """Along one direction: forward over reverse over forward, against differences of the second."""
    sample = RECORDS[name].samples[1]
    slots, rng = variables(sample), generator(name + " third")
    f, x = bound(PRIMITIVES[name], sample, slots), picked(sample, slots)
    u = directions(rng, x)
    (v,) = directions(rng, [f(*x)])

    def second(*xs):
        return vjp(lambda *xs: jvp(f, xs, u)[1], *xs)[1](v)

    found = jvp(second, x, u)[1]
    for a, b in zip(found, difference(second, x, u), strict=True):
        close(a, b, 1e-7, name)


def test_digamma_differentiates_to_any_order():
    for n in range(5):
        f = lambda x, n=n: special.polygamma(n, x)
        assert polygamma(n, 0.7) == pytest.approx(float(f(0.7)), rel=1e-14)
        assert grad(lambda x, n=n: polygamma(n, x))(0.7) == pytest.approx(f(0.7, n + 1), rel=1e-13)
    assert polygamma(2, np.ones(3, np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match="polygamma: n must be a whole number, 0 or more, not -1"):
        polygamma(-1, 2.0)


# ── as SciPy's users write them ───────────────────────────────────────────────────────────────────

# fmt: off
UFUNCS = {
    "erf": 1, "erfc": 1, "erfcx": 1, "erfinv": 1, "expit": 1, "logit": 1, "log_expit": 1, "ndtr": 1, "ndtri": 1, "log_ndtr": 1,
    "gamma": 1, "gammaln": 1, "digamma": 1, "psi": 1, "entr": 1, "i0": 1, "i0e": 1, "i1": 1, "i1e": 1, "j0": 1, "j1": 1,
    "betaln": 2, "xlogy": 2, "xlog1py": 2, "rel_entr": 2,
}
# fmt: on
X, Y = np.array([[0.2, 0.5, 0.8], [0.3, 0.6, 0.7]]), np.array([0.4, 0.3, 0.9])


@pytest.mark.parametrize("name", UFUNCS)
def test_the_ufunc_itself_takes_tensors(name):
    f, args = getattr(special, name), (X, Y)[: UFUNCS[name]]
    for dtype in (np.float64, np.float32):
        given = [a.astype(dtype) for a in args]
        found = f(*map(Tensor, given))
        assert isinstance(found, Tensor)
        np.testing.assert_array_equal(found.numpy(), f(*given))
        assert found.dtype == dtype
    if len(args) == 2:
        np.testing.assert_array_equal(f(X, Tensor(Y)).numpy(), f(X, Y))
        np.testing.assert_array_equal(f(Tensor(X), 0.5).numpy(), f(X, 0.5))


@pytest.mark.parametrize("name", UFUNCS)
def test_programs_call_the_ufunc(name):
    f, args = getattr(special, name), (X, Y)[: UFUNCS[name]]
    slopes = grad(lambda *a: np.sum(f(*a) ** 2), tuple(range(len(args))))
    compiled = compile(slopes)
    for a, b in zip(compiled(*args), slopes(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert f"scipy.special.{f.__name__}(" in compiled.source
    assert "import scipy.special\n" in compiled.source
    assert compile(lambda x: f(*[x] * len(args)))(0.5) == f(*[0.5] * len(args))


def test_orders_of_bessel_functions_are_constants():
    for f in (special.jv, special.iv, special.ive):
        found = grad(lambda x, f=f: f(1.5, x))(0.7)
        expected = difference(lambda x, f=f: f(1.5, x), [0.7], [1.0])[0]
        assert found == pytest.approx(float(expected), rel=1e-9)
        with pytest.raises(
            NoRuleError, match=rf"scipy.special.{f.__name__}\(order=…\) has no rule"
        ):
            f(Tensor(1.5), 0.7)


def test_a_saved_program_needs_scipy_alone(tmp_path):
    compiled = compile(grad(lambda x: np.sum(special.digamma(x))))
    compiled(Y)
    compiled.save(tmp_path / "program.py")
    code = (
        "import sys; sys.modules['autobp'] = None\n"
        "import numpy as np, program\n"
        f"print(program.grad(np.array({Y.tolist()})).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(eval(done.stdout), special.polygamma(1, Y), rtol=1e-13)


def test_a_function_without_a_rule_is_named_by_its_own_package():
    for f, name in (
        (lambda x: special.hyp2f1(1, 2, 3, x), "scipy.special.hyp2f1"),
        (lambda x: special.zeta(2, x), "scipy.special.zeta"),
        (lambda x: special.erf(x, out=np.ones(3)), r"scipy.special.erf\(out=…\)"),
        (np.spacing, "np.spacing"),
    ):
        with pytest.raises(NoRuleError, match=f"{name} has no rule of differentiation"):
            f(Tensor(Y))


def test_scipy_is_imported_only_where_it_is_used():
    code = (
        "import sys, numpy as np, autobp\n"
        "assert 'scipy' not in sys.modules\n"
        "from scipy import special\n"
        "assert 'autobp.rules.special' not in sys.modules\n"
        "assert autobp.grad(special.expit)(0.0) == 0.25\n"
        "sys.modules['scipy.special'] = None\n"
        "try:\n"
        "    autobp.polygamma(1, 2.0)\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"polygamma needs scipy: {install_command('scipy')}\n"


@pytest.mark.parametrize(
    ("x", "slopes"),  # of the continued fraction, in extended precision
    [
        (-1.0, (1.525135276160981, -0.8009023344296512, 0.11693119540604883)),
        (-30.0, (30.033259667433677, -0.9988962284851, 7.30999e-05)),
        (-1e3, (1000.000999998, -0.999999000006, 1.999976e-9)),
        (-1e8, (1e8, -1.0, 2e-24)),
        (40.0, (0.0, 0.0, 0.0)),
    ],
)
def test_the_far_tail_of_log_ndtr(x, slopes):
    f = special.log_ndtr
    for expected in slopes:
        f = grad(f)
        assert f(x) == pytest.approx(expected, rel=1e-4 if abs(expected) < 1e-3 else 1e-9)
    single = np.float32(min(x, -100.0))
    assert grad(special.log_ndtr)(single) == pytest.approx(-single, rel=2e-4)
    assert grad(grad(special.log_ndtr))(single) == pytest.approx(-1.0, rel=2e-4)


@pytest.mark.parametrize("name", ["cbrt", "exp2", "expm1", "log1p"])
def test_what_numpy_has_too(name):
    x = Tensor(0.7)
    getattr(special, name)(x).backward()
    assert x.grad == grad(getattr(np, name))(0.7)
