"""Single numbers in compiled programs: Python's arithmetic, with NumPy's bits."""

import itertools
import math
import random
import re
import struct
import warnings
from functools import partial, reduce
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobp import compile, value_and_grad
from autobp.compiler.emit import pieces
from autobp.compiler.program import evaluated
from autobp.compiler.scalars import numbers as scalars

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -2.5, 5e-324, -1e-310, 1e308, -1.5e308, 1e200, 1e-200]
SPECIAL += [math.inf, -math.inf, math.nan, 1e22, 710.0, -750.0]

UNARY = {
    "-x": lambda x: -x,
    "x**2": lambda x: x**2,
    "x**3": lambda x: x**3,
    "2*x": lambda x: 2 * x,
    "1/x": lambda x: 1 / x,
    "x/3": lambda x: x / 3,
    "abs": abs,
} | {
    f: getattr(np, f)
    for f in ["square", "reciprocal", "fabs", "sqrt", "exp", "log", "sin", "cos", "tanh"]
}
BINARY = {
    "x+y": lambda x, y: x + y,
    "x-y": lambda x, y: x - y,
    "x*y": lambda x, y: x * y,
    "x/y": lambda x, y: x / y,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": lambda x, y: np.where(x > y, x * y, y),
}


def bits(x):
    return "nan" if x != x else struct.pack("d", x).hex()


def outcome(run, *args):
    """What a program returns, bit by bit and with its types, and what it warns of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        value, gradients = run(*args)
    numbers = [value, *gradients]
    return [(type(x), bits(x)) for x in numbers], {
        str(w.message).replace("scalar ", "") for w in said
    }


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_the_text_gives_what_numpys_calls_give(name):
    """Infinities, nans, signs of zero and types too: the steps of a program are NumPy's calls, and its
    text is Python's. It warns where the function does."""
    function = UNARY.get(name) or BINARY[name]
    n = 1 if name in UNARY else 2
    compiled = compile(value_and_grad(function, argnums=tuple(range(n))), check=0)
    with np.errstate(all="ignore"):
        compiled(*[1.5, 0.5][:n])
    assert "np.multiply(" not in compiled.source
    assert "np.add(" not in compiled.source
    (entry,) = compiled._entries
    for args in itertools.product(SPECIAL, repeat=n):
        found, said = outcome(entry.run, *args)
        assert found == outcome(lambda *args: evaluated(entry.program, *args), *args)[0], args
        eager = outcome(value_and_grad(function, argnums=tuple(range(n))), *args)[1]
        assert said == eager, args


@pytest.mark.parametrize("n", [3, 4, 7, -1, -2, -3, 0.5, 1.5, -0.5, 3.0, 1 / 3])
def test_powers_are_pythons_as_they_are_without_a_program(n):
    """NumPy's differ from Python's in the last digit of one number in forty."""
    function = value_and_grad(lambda x: x**n, argnums=(0,))
    compiled = compile(function, check=0)
    compiled(1.5)
    assert "x **" in compiled.source
    numbers = np.random.default_rng(0).standard_normal(300) * np.repeat([1.0, 1e-3, 1e3], 100)
    for x in [*SPECIAL, *numbers.tolist()]:
        if x != -math.inf or n == int(n):  # of whose root NumPy makes a nan, Python an inf
            assert outcome(compiled, x) == outcome(function, x), x


def test_a_number_that_many_need_as_pythons_is_made_it_once():
    """Chains of NumPy's numbers that Python's arithmetic goes on with: a doubling at each step would
    make the program as long as there are ways through it."""

    def halve(a, n):
        low, high = 0.0, 2.0
        for _ in range(n):
            middle = 0.5 * (low + high)
            s = np.where(middle * middle > a, 1.0, 0.0)
            low, high = low * s + middle * (1 - s), middle * s + high * (1 - s)
        return a * (low + high)

    lines = []
    for n in (8, 16):
        compiled = compile(value_and_grad(partial(halve, n=n)))
        assert compiled(2.0) == value_and_grad(partial(halve, n=n))(2.0)
        lines.append(len(compiled.source.splitlines()))
    assert lines[1] < 3 * lines[0]


@given(st.lists(st.floats(), min_size=3, max_size=3))
def test_the_text_gives_what_the_function_gives(numbers):
    """What Python's operators make of floats is what the eager engine makes of them."""
    with np.errstate(all="ignore"):
        assert outcome(MIXED, *numbers)[0] == outcome(value_and_grad(mixed, (0, 1, 2)), *numbers)[0]


def mixed(x, y, z):
    a = x * y - 3.0 * z
    b = (a + 1) * (2 - x) - (-y)
    return np.where(b > z, b * x, a - b) * 1.0 + (b * b - b)


MIXED = compile(value_and_grad(mixed, argnums=(0, 1, 2)), check=0)


def test_newtons_method_reads_as_one_writes_it():
    def root(x):
        for _ in range(2):
            x = x - (x * x - 2.0) / (2.0 * x)
        return x

    compiled = compile(value_and_grad(root))
    compiled(1.5)
    assert compiled.source.startswith(
        '''"""value_and_grad_root, written by autobp.compile for arguments of these shapes."""

import numpy as np

def value_and_grad_root(x):
    # forward
    t0 = x * x - 2.0
    t1 = 2.0 * x
    t2 = t0 / t1 if t1 else float(np.divide(t0, t1))
    t3 = x - t2
'''
    )
    assert "float(t" not in compiled.source


def test_numpys_own_numbers_stay_numpys():
    """A function of a user's that computes with NumPy's calls on numbers returns NumPy's numbers."""
    compiled = compile(lambda x, y: (np.multiply(x, y), np.sin(x), x * y))
    for args in ((1.5, 2.0), (0.5, 3.0)):
        found = compiled(*args)
        assert [type(v) for v in found] == [np.float64, np.float64, float]


def test_a_saved_program_imports_what_it_uses(tmp_path):
    compiled = compile(value_and_grad(lambda x: np.sqrt(x) * x))
    compiled(4.0)
    compiled.save(tmp_path / "program.py")
    text = (tmp_path / "program.py").read_text()
    assert "math.sqrt(x) if x >= 0.0 else float(np.sqrt(x))" in text
    space = {}
    exec(text, space)
    assert space[compiled.__name__](4.0) == (8.0, 3.0)


# ── long programs ─────────────────────────────────────────────────────────────────────────────────


def wandering(x, n):
    """A computation of n numbers, one after the other, of which no piece repeats."""
    rng, earlier = random.Random(n), [x, 0.5 * x]
    for _ in range(n):
        y, z = earlier[-1], rng.choice(earlier[-9:])
        k = rng.randrange(5)
        c = rng.uniform(0.5, 1.5)
        y = [y + c * z, y - c * z, y / c, np.sin(y), c * np.tanh(y)][k]
        earlier.append(y)
    return earlier[-1]


def test_a_long_program_is_several_functions(monkeypatch, tmp_path):
    """What is the same in one: each name is handed on from where it is made to where it is used."""
    monkeypatch.setattr(pieces, "LONGEST", 30)
    monkeypatch.setattr(pieces, "STEPS", 20)
    f = value_and_grad(lambda x: wandering(x, 100))
    compiled = compile(f)
    for x in (0.7, 1.1, 1.2):
        np.testing.assert_allclose(compiled(x), f(x), rtol=1e-11)
    assert compiled.source.count("_part") > 10
    assert "_part0(x):\n    # forward\n" in compiled.source
    compiled.save(tmp_path / "program.py")
    space = {}
    exec((tmp_path / "program.py").read_text(), space)
    assert space[compiled.__name__](1.2) == compiled(1.2)


def test_pieces_hand_on_arrays_that_change_in_place_and_let_go_of_large_ones(monkeypatch):
    monkeypatch.setattr(pieces, "LONGEST", 8)
    monkeypatch.setattr(pieces, "STEPS", 4)

    def f(w, x):
        h = np.tanh(x @ w)
        for _ in range(3):
            h = np.sort(np.tanh(h @ w) + x, axis=0)  # of new memory, which is let go
        return np.sum(np.log1p(h * h))

    w, x = np.eye(100) * 0.3, np.random.default_rng(0).standard_normal((100, 100))
    compiled = compile(value_and_grad(f))
    for k in (1, 2, 3):
        for a, b in zip(compiled(w * k, x), value_and_grad(f)(w * k, x), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    main = compiled.source[compiled.source.index(f"def {compiled.__name__}(") :]
    assert "    del " in main


def test_numbers_one_after_the_other_are_not_grouped_too(monkeypatch):
    """A trace shows early whether there would be anything to group, and is gone on with if not."""
    grouping = Mock(side_effect=scalars.Recorded)
    monkeypatch.setattr(scalars, "Recorded", grouping)
    compile(value_and_grad(lambda x: wandering(x, 500)), check=0)(0.7)
    horner = lambda x: reduce(lambda total, c: total * x + c, range(600), 0.0)
    compile(value_and_grad(horner), check=0)(0.7)
    assert grouping.call_count == 0
    wide = lambda x: sum(wandering(x * k, 3) ** 2 for k in range(200))
    compile(value_and_grad(wide), check=0)(0.1)
    assert grouping.call_count == 1


def eliminated(rows):
    """The logarithm of the squared determinant, by Gauss's elimination."""
    rows, n = [[*row] for row in rows], len(rows)
    for k, i in itertools.combinations(range(n), 2):
        factor = rows[i][k] / rows[k][k]
        for j in range(k + 1, n):
            rows[i][j] = rows[i][j] - factor * rows[k][j]
    return sum(np.log(rows[k][k] ** 2) for k in range(n))


@pytest.mark.parametrize("many", [20, 300])  # numbers, of which it is asked whether they are wide
def test_groups_of_few_numbers_are_computed_one_by_one(monkeypatch, many):
    """They take longer, however long the program of single numbers is."""
    monkeypatch.setattr(scalars, "SHORT", 200)
    monkeypatch.setattr(scalars, "MANY", many)
    monkeypatch.setattr("autobp.compiler.scalars.grouping.GROUPS", 10)
    compiled = compile(value_and_grad(eliminated))
    rows = (np.eye(9) * 3 + np.random.default_rng(0).random((9, 9))).tolist()
    value, gradient = compiled(rows)
    assert not isinstance(compiled._entries[0], scalars.Numbers)
    assert value == pytest.approx(2 * np.linalg.slogdet(rows)[1])
    np.testing.assert_allclose(gradient, 2 * np.linalg.inv(rows).T)


def test_groups_of_many_numbers_are_not_computed_one_by_one(monkeypatch):
    monkeypatch.setattr(scalars, "SHORT", 200)
    monkeypatch.setattr("autobp.compiler.scalars.grouping.EACH", 4)
    compiled = compile(value_and_grad(eliminated))
    compiled((np.eye(12) * 3 + np.random.default_rng(0).random((12, 12))).tolist())
    assert isinstance(compiled._entries[0], scalars.Numbers)


def test_who_waits_long_is_told_for_how_long(monkeypatch, capsys):
    compiled = compile(value_and_grad(lambda x: wandering(x, 100)))
    compiled(0.7)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("autobp.compiler.entry.LONG", 200)
    compiled = compile(value_and_grad(lambda x: wandering(x, 100)))
    for x in (0.7, 1.1):
        compiled(x)
    assert re.fullmatch(
        r"compile: value_and_grad makes [\d,]+ calls one by one; its program is ready in about 1 s\n",
        capsys.readouterr().err,
    )


def test_powers_with_the_number_of_an_iteration_are_pythons():
    def series(x):
        return sum(x**k * v for k, v in enumerate([0.5] * 100))

    def falling(x):
        return sum(x ** (3 - k) * 0.5 for k in range(100))

    for f, points in ((series, (0.3, -1.2, 0.0, 1e9)), (falling, (0.3, -1.3, 0.0, 1e-9))):
        expected, program = value_and_grad(f), compile(value_and_grad(f))
        for x in points:
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(program(x), expected(x), rtol=1e-14)
        assert re.search(r"\n +t\d+ = x \*\* t\d+\n", program.source)


def test_what_a_loop_goes_through_is_not_collected_again():
    def discounted(rewards, gamma):
        total, factor = 0.0, 1.0
        for r in rewards:
            total = total + factor * r
            factor = factor * gamma
        return total

    rewards = np.random.default_rng(0).random(200).tolist()
    program = compile(value_and_grad(discounted, (0, 1)))
    value, (by_rewards, by_gamma) = program(rewards, 0.99)
    expected = value_and_grad(discounted, (0, 1))(rewards, 0.99)
    np.testing.assert_allclose(value, expected[0])
    np.testing.assert_allclose(by_rewards, expected[1][0])
    np.testing.assert_allclose(by_gamma, expected[1][1])
    assert program.source.count(".append(") == 1
    by_rewards[3] = 0.0  # the caller's
    np.testing.assert_allclose(program(rewards, 0.99)[1][0], expected[1][0])
