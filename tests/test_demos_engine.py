"""The demo that rebuilds the engine: its derivatives are autobp's, and its map of the package holds."""

import importlib
import re

import numpy as np
import pytest

import autobp

from .test_demos import DEMOS
from .test_package import ROOT

TEXT = DEMOS["engine"].read_text(encoding="utf-8")
RNG = np.random.default_rng(0)
M, N = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 2))
ROW, COLUMN = RNG.uniform(0.5, 2, size=3), RNG.uniform(0.5, 2, size=(2, 1))

FUNCTIONS = {
    "a number used twice": (lambda x: x * x / (1 - x) - 2 / x, (0.3,)),
    "elementwise": (lambda x: np.sum(np.exp(np.sin(x)) * np.cos(x) - np.log(x * x + 1)), (M,)),
    "a power": (lambda x: np.sum((-x) ** 3), (ROW,)),
    "broadcasting": (lambda x, r, c: np.sum((x + r) * c / r - c), (M, ROW, COLUMN)),
    "a number and a matrix": (lambda x, y: np.sum(x * 2 + y), (0.5, M)),
    "matrices": (lambda a, b: np.sum(np.tanh(a @ b.T) ** 2), (M, M[:1])),
    "arrays on the left": (lambda x: np.sum(M - x) + np.sum(M @ (1 / x.T)), (M,)),
    "sums along axes": (lambda x: np.sum(np.sum(x, axis=0) * np.sum(x.T, axis=1) ** 2), (M,)),
    "another shape": (lambda x: np.sum(np.reshape(x, (3, 2)) * N * np.reshape(x, (3, 2))), (M,)),
    "one argument unused": (lambda x, y: x * 3, (2.0, 5.0)),
    "a constant": (lambda x: 3.0, (2.0,)),
}


@pytest.fixture(scope="module")
def engine():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMOS["engine"].parent))
        yield importlib.import_module("engine")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_its_derivatives_are_those_of_the_package(engine, name):
    function, args = FUNCTIONS[name]
    tangents = [RNG.normal(size=np.shape(a)) for a in args]
    value, gradients = engine.value_and_grad(function)(*args)
    expected, theirs = autobp.value_and_grad(function, argnums=range(len(args)))(*args)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    for a, b in zip(gradients, theirs, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-13)
    pushed, expected = (module.jvp(function, args, tangents) for module in (engine, autobp))
    np.testing.assert_allclose(pushed, expected, rtol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_they_nest(engine, name):
    function, args = FUNCTIONS[name]
    direction = RNG.normal(size=np.shape(args[0]))

    def first_only(x):
        return function(x, *args[1:])

    def second(module, x):
        """Forward over reverse, reverse over reverse and reverse over forward mode."""
        grad, jvp = module.grad, module.jvp
        return [
            jvp(grad(first_only), [x], [direction])[1],
            grad(lambda x: np.sum(grad(first_only)(x) * direction))(x),
            grad(lambda x: jvp(first_only, [x], [direction])[1])(x),
        ]

    for ours, theirs in zip(second(engine, args[0]), second(autobp, args[0]), strict=True):
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


def test_leaves_add_up_their_gradients(engine):
    x = engine.Tensor(2.0)
    for times in (1, 2):
        (x * x * x).backward()
        assert x.grad == 12 * times


def test_what_it_cannot_do_is_an_error(engine):
    x = engine.Tensor(M)
    for call, name in ((lambda: np.sqrt(x), "sqrt"), (lambda: np.mean(x), "mean")):
        with pytest.raises(TypeError, match=f"np.{name} has no rule here: add a row to the table"):
            call()
    with pytest.raises(TypeError, match="np.add has no rule here"):
        np.add.reduce(x)
    with pytest.raises(ValueError, match=r"a gradient needs a scalar; this result has shape \(2,"):
        engine.grad(np.sin)(M)


def test_every_path_that_it_names_exists_and_in_the_order_of_the_reading():
    named = re.findall(r"autobp/[\w/]+\.py", TEXT)
    assert all((ROOT / path).is_file() for path in named)
    headings = [line for line in TEXT.splitlines() if re.match(r"# ── \d", line)]
    assert [re.search(r"autobp/(?:rules/)?(\w+)", line)[1] for line in headings] == [
        "primitive", "arithmetic", "tensor", "dag", "reverse", "forward",
    ]  # fmt: skip


def test_what_it_builds_has_the_name_that_the_package_gives_it():
    for module, names in {
        "primitive": ["Primitive", "elementwise", "NUMPY"],
        "context": ["clock"],
        "tensor": ["Tensor"],
        "dag": ["ancestors"],
        "calculus": ["project"],
        "reverse": ["value_and_grad", "grad"],
        "forward": ["jvp"],
    }.items():
        for name in names:
            assert hasattr(importlib.import_module(f"autobp.{module}"), name)
            assert re.search(rf"^(?:(?:class|def) {name}\b|{name} = )", TEXT, re.M)


def test_it_is_short_enough_to_read_in_one_go():
    engine = TEXT[: TEXT.index("# ── What it can do")]
    assert len([line for line in engine.splitlines() if line.strip()]) < 180


def test_nothing_of_the_package_is_in_the_engine():
    engine = TEXT[: TEXT.index("# ── What it can do")]
    assert re.findall(r"^(?:import|from) (\w+)", engine, re.M) == ["itertools", "numpy", "_common"]
