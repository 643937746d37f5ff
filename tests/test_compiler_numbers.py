"""Single numbers in compiled programs: Python's arithmetic, with NumPy's bits."""

import itertools
import math
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobp import compile, value_and_grad
from autobp.compiler.program import evaluated

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
    t0 = x * x
    t1 = t0 - 2.0
    t2 = 2.0 * x
    t3 = t1 / t2 if t2 else float(np.divide(t1, t2))
    t4 = x - t3
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
