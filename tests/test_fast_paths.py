"""The fast paths change no bit, and the engine is right without them."""

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobp import Tensor, fast_paths, forward, grad, graph, hvp, jacobian, jvp, reverse, vmap
from autobp.batching import Batched
from autobp.forward import Dual
from autobp.primitive import constant
from autobp.rules import PRIMITIVES
from autobp.rules import batching as rules
from autobp.tree import leaves
from autobp.verify.checks import bound, picked, variables
from autobp.verify.samples import RECORDS
from tests.test_programs import arguments, programs, run


@contextmanager
def plain_engine():
    fast_paths.remove()
    try:
        yield
    finally:
        fast_paths.install()


def bits(value):
    value = np.asarray(constant(value))
    return value.dtype, value.shape, value.tobytes()


def everything(result):
    """The bits of all that was computed, and of all gradients."""
    recorded = graph(result)
    result.backward()
    return [bits(t) for t in recorded] + [bits(t.grad) for t in recorded.inputs]


def both_ways(function, *args):
    fast = everything(function(*map(Tensor, args)))
    with plain_engine():
        plain = everything(function(*map(Tensor, args)))
    return fast, plain


@given(programs(st.integers(4, 16)), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_random_programs_have_the_same_bits(program, seed):
    fast, plain = both_ways(lambda *xs: run(program, *xs), *arguments(seed))
    assert fast == plain


@given(programs(st.integers(2, 8)), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_all_directions_at_once_have_the_same_bits(program, seed):
    x, *rest = arguments(seed)
    f = lambda x: run(program, x, *rest) * np.sin(x) + np.exp(-x) / 2
    for mode in ("forward", "reverse"):
        fast = jacobian(f, mode=mode)(x)
        with plain_engine():
            assert bits(fast) == bits(jacobian(f, mode=mode)(x))


def _curved(f):
    """A number of which the product with the Hessian goes through every rule of f."""

    def number(*xs):
        results = [r for _, r in leaves(f(*xs))]
        return sum(np.sum(np.sin(r)) for r in results if isinstance(r, Tensor))

    return number


@pytest.mark.parametrize("name", [n for n in PRIMITIVES if RECORDS[n].samples])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_with_hessians_are_tangents_of_gradients(name, dtype):
    rng = np.random.default_rng(0)
    for sample in RECORDS[name].samples:
        chosen = variables(sample)
        if not chosen:
            continue
        f = _curved(bound(PRIMITIVES[name], sample, chosen))
        xs = [np.asarray(x, dtype)[()] for x in picked(sample, chosen)]
        vs = [np.asarray(rng.standard_normal(np.shape(x)), dtype)[()] for x in xs]
        with np.errstate(all="ignore"):
            found = hvp(f, xs, vs)
            expected = jvp(grad(f, range(len(xs))), xs, vs)[1]
            with plain_engine():
                plain = hvp(f, xs, vs)
        if len(xs) == 1:
            (expected,) = expected
        rtol = 1e-11 if dtype is np.float64 else 1e-4
        for (_, a), (_, b), (_, c) in zip(*map(leaves, (found, expected, plain)), strict=True):
            size = np.max(np.abs(b), initial=0)
            np.testing.assert_allclose(a, b, rtol, rtol * size)
            assert np.asarray(a).dtype == np.asarray(b).dtype
            assert bits(a) == bits(c)


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.form == "elementwise"])
def test_all_directions_of_a_rule_have_the_same_bits(name):
    for sample in RECORDS[name].samples[::4] + RECORDS[name].kinks[::4]:
        chosen = variables(sample)
        f, xs = bound(PRIMITIVES[name], sample, chosen), picked(sample, chosen)
        for x in (xs, [np.asarray(x, np.float32) for x in xs]):
            for mode in ("forward", "reverse") if chosen else ():
                with np.errstate(all="ignore"):
                    fast = jacobian(f, range(len(x)), mode)(*x)
                    with plain_engine():
                        plain = jacobian(f, range(len(x)), mode)(*x)
                assert [*map(bits, fast)] == [*map(bits, plain)]


# fmt: off
ON_NUMBERS = {
    "sum":        lambda x, y: x + y + 2 + x,
    "difference": lambda x, y: 3 - x - y - 1.5,
    "product":    lambda x, y: x * y * 2 * x,
    "quotient":   lambda x, y: x / y / 3 + 1 / x,
    "rounded":    lambda x, y: (x // y) * x + (7 % x) * y + x % 2,
    "power":      lambda x, y: x**3 + x**0.5 + y**-1,
    "functions":  lambda x, y: np.tanh(x) * np.exp(-y) + np.log(x) * np.sin(y) - np.cos(x) * np.sqrt(y),
    "of zero":    lambda x, y: x / (y - y) + np.log(x - x),
    "constant":   lambda x, y: x * Tensor(2.0, requires_grad=False) + y,
    "one way":    lambda x, y: np.multiply(2.0, x) + np.float64(3.0) * y,
}
# fmt: on


@pytest.mark.parametrize("function", ON_NUMBERS.values(), ids=ON_NUMBERS)
@pytest.mark.parametrize(
    "args", [(0.7, 1.3), (np.array([0.7, 2.0]), 1.3), (np.float32(0.7), np.ones((2, 1)))]
)
def test_operators_have_the_same_bits(function, args):
    with np.errstate(all="ignore"):
        fast, plain = both_ways(lambda x, y: np.sum(function(x, y)), *args)
    assert fast == plain


def scaled(primitive, sample):
    """1.5 times a primitive, as a function of the arguments that it is differentiated by, and these."""
    chosen = variables(sample)
    function = bound(primitive, sample, chosen)
    return lambda *xs: function(*xs) * 1.5, picked(sample, chosen)


@pytest.mark.parametrize("name", RECORDS)
def test_every_primitive_has_the_same_bits(name):
    primitive = PRIMITIVES[name]
    for sample in RECORDS[name].samples:
        function, args = scaled(primitive, sample)
        total = lambda *xs, function=function: np.sum(function(*xs))
        with np.errstate(all="ignore"):
            fast, plain = both_ways(total, *args)
        assert fast == plain


def slopes(function, args):
    """The bits of a tangent, and of what reverse over forward and forward over reverse make."""
    xs = tuple(args)
    total = lambda *xs: np.sum(function(*xs))
    along = lambda *xs: jvp(total, xs, xs)[1]
    every = tuple(range(len(xs)))
    found = [jvp(function, xs, xs), grad(along, every)(*xs), jvp(grad(total, every), xs, xs)]
    return [bits(np.where(np.isnan(x), np.float32(np.nan), x)) for _, x in leaves(found)]


def check_same_bits(observed, function, args):
    """What is observed of a function is the same without the fast paths."""
    with np.errstate(all="ignore"):
        fast = observed(function, args)
        with plain_engine():
            assert observed(function, args) == fast


@pytest.mark.parametrize("name", RECORDS)
def test_every_primitive_has_tangents_of_the_same_bits(name):
    primitive = PRIMITIVES[name]
    for sample in RECORDS[name].samples:
        function, given = scaled(primitive, sample)
        check_same_bits(slopes, function, given)


@pytest.mark.parametrize("function", ON_NUMBERS.values(), ids=ON_NUMBERS)
def test_operators_have_tangents_of_the_same_bits(function):
    for args in ((0.7, 1.3), (np.array([0.7, 2.0]), 1.3), (np.ones(2, "f"), np.ones((2, 1)))):
        check_same_bits(slopes, function, args)


def of_batches(function, args):
    """The bits of what a function and its derivatives make of a batch of two examples, together and where
    the last argument is that of all."""
    total = lambda *xs: np.sum(function(*xs) ** 2)
    every, found = tuple(range(len(args))), []
    for mapped in {len(args), max(1, len(args) - 1)}:
        axes = (0,) * mapped + (None,) * (len(args) - mapped)
        xs = [np.stack([x, x]) if axis == 0 else x for x, axis in zip(args, axes, strict=True)]
        found.append(vmap(function, axes)(*xs))
        found += vmap(grad(total, every), axes)(*xs)
        found.append(vmap(lambda *xs: jvp(total, xs, xs)[1], axes)(*xs))
    return [bits(np.where(np.isnan(x), np.float32(np.nan), x)) for x in found]


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if rules.of(p.facts)])
def test_every_primitive_makes_the_same_bits_of_batches(name):
    for sample in RECORDS[name].samples:
        function, given = scaled(PRIMITIVES[name], sample)
        for args in (given, [np.asarray(x, np.float32) for x in given]):
            check_same_bits(of_batches, function, args)


@pytest.mark.parametrize("function", ON_NUMBERS.values(), ids=ON_NUMBERS)
def test_operators_make_the_same_bits_of_batches(function):
    for args in ((0.7, 1.3), (np.array([0.7, 2.0]), 1.3), (np.ones(2, "f"), np.ones((2, 1)))):
        check_same_bits(of_batches, function, args)


def installed():
    return [
        f"{kind.__name__}.{m}"
        for kind in (Tensor, Dual, Batched)
        for m, f in vars(kind).items()
        if getattr(f, "__module__", "") == fast_paths.__name__
    ]


def test_the_switch_takes_out_every_fast_path():
    methods = installed()
    mine = {
        f"{kind}.{m}" for kind in ("Tensor", "Batched") for m in ("__mul__", "__rsub__", "apply")
    }
    assert {*mine, "Tensor.__array_ufunc__", "Dual.record", "Batched.record"} <= set(methods)
    assert reverse.shortcut is not None
    with plain_engine():
        assert installed() == []
        assert reverse.shortcut is forward.shortcut is None
        assert grad(lambda x: x * x * 3.0)(2.0) == 12.0
    assert installed() == methods


def test_the_core_of_the_suite_passes_without_them():
    core = ["test_tensor", "test_derivatives", "test_dag", "test_context", "test_rules_kinks"]
    files = [f"tests/{name}.py" for name in core]
    command = [sys.executable, "-m", "pytest", "--plain-engine", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
