"""Rows of operations: what they state, what follows, and whether it is true of NumPy."""

from __future__ import annotations

import ast
import gc
import math
import operator
import weakref

import numpy as np
import pytest

from autobp import compile, custom
from autobp.operation import COMPARISON, PREFIXES, SIGNS, Operation, of, operation
from autobp.primitive import bilinear, elementwise, general, linear

# ── where a row comes from ────────────────────────────────────────────────────────────────────────


def test_what_is_not_known_has_the_careful_answer():
    assert of(lambda x: x) == Operation() == of(math.erf) == of(None)
    assert not Operation().static
    assert not Operation().fresh
    assert not Operation().out


@pytest.mark.parametrize(
    ("make", "static"),
    [
        (lambda f: elementwise(f, None), True),
        (lambda f: linear(f, None), True),
        (lambda f: bilinear(f, None, None), True),
        (lambda f: general(f, forward=None, reverse=None), False),
    ],
    ids=["elementwise", "linear", "bilinear", "general"],
)
def test_a_form_gives_what_it_promises_and_no_more(make, static):
    primitive = make(lambda x: x)
    assert primitive.facts == Operation(form=primitive.form, static=static)
    assert of(primitive.function) == primitive.facts


def test_what_is_stated_wins_over_numpy_and_numpy_over_the_form():
    assert general(np.hypot, forward=None, reverse=None).facts.fresh
    assert not general(np.hypot, forward=None, reverse=None, fresh=False).facts.fresh
    assert general(np.hypot, forward=None, reverse=None).form == "general"


def test_a_users_row_for_numpys_function_is_not_everybodys():
    before = of(np.tanh)
    mine = elementwise(np.tanh, None, static=False, fresh=False)
    assert not mine.facts.static
    assert of(np.tanh) is before
    assert before.static


def test_a_row_is_found_by_what_programs_call():
    assert of(np.add.reduce).out
    assert of(np.add.reduce).reduces is np.add
    assert of(operator.getitem).moves
    assert of(np.matmul).sign == "@"
    assert of(np.matmul).out
    assert of(operator.add).sign == "+" == of(np.add).sign


def test_a_row_goes_when_its_function_does():
    def f(x):
        return x

    operation(f, fresh=True)
    assert of(f).fresh
    gone = weakref.ref(f)
    del f
    gc.collect()
    assert gone() is None


def test_a_fact_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'steady'"):
        elementwise(np.sin, None, steady=True)


# ── custom rules ──────────────────────────────────────────────────────────────────────────────────


def positive(**facts):
    return custom(
        lambda x: np.array([v for v in x if float(v) > 0]),
        vjp=lambda g, y, x: np.zeros(x.shape),
        **facts,
    )


def mean_of_positive(**facts):
    pos = positive(**facts)

    def f(x):
        y = pos(x)
        return np.sum(y) / y.size

    return f


def test_a_custom_result_as_long_as_its_values_ask_for_is_guarded():
    """A program that was traced for two numbers is not one for three."""
    f = mean_of_positive()
    c = compile(f, check=0)
    assert c(np.array([1.0, 2.0, -3.0])) == 1.5
    assert c(np.array([1.0, 2.0, 3.0])) == f(np.array([1.0, 2.0, 3.0])) == 2.0


def test_custom_rules_may_state_facts():
    """A false one, to see that it is believed: what is stated to be static has no guard."""
    c = compile(mean_of_positive(static=True), check=0)
    assert c(np.array([1.0, 2.0, -3.0])) == 1.5
    assert c(np.array([1.0, 2.0, 3.0])) == 3.0


def test_a_custom_view_is_copied_when_it_is_returned():
    first = custom(lambda x: x[: int(float(x[0]) > -9) + 1], vjp=lambda g, y, x: np.zeros(x.shape))
    c = compile(lambda x: first(x), check=0)
    x = np.array([1.0, 2.0, 3.0])
    assert not np.may_share_memory(c(x), x)


# ── signs ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", SIGNS)
def test_a_sign_is_what_its_text_computes(text):
    sign, (x, y) = SIGNS[text], (6, 2)
    if text == "@":
        x, y = np.arange(4).reshape(2, 2), np.arange(4, 8).reshape(2, 2)
    expected = eval(f"x {text} y")
    assert np.array_equal(sign.python(x, y), expected)
    assert np.array_equal(sign.ufunc(x, y), expected)
    assert np.array_equal(getattr(type(x), f"__{sign.method}__")(x, y), expected)
    assert sign.commutes == np.array_equal(expected, eval(f"y {text} x"))


@pytest.mark.parametrize("text", PREFIXES)
def test_a_prefix_is_what_its_text_computes(text):
    sign = PREFIXES[text]
    expected = eval(f"{text}6")
    assert sign.python(6) == sign.ufunc(6) == getattr(int, f"__{sign.method}__")(6) == expected


@pytest.mark.parametrize("one", SIGNS)
@pytest.mark.parametrize("other", SIGNS)
def test_signs_bind_as_python_binds_them(one, other):
    """`a ? b ! c` is read from the left unless the second binds more tightly, or both are powers."""
    if SIGNS[one].binding == SIGNS[other].binding == COMPARISON:
        return  # which Python chains
    tree = ast.parse(f"a {one} b {other} c", mode="eval").body
    left = tree.comparators[0] if isinstance(tree, ast.Compare) else tree.right
    first = isinstance(left, ast.Name)
    binding = SIGNS[one].binding, SIGNS[other].binding
    assert first == (binding[0] >= binding[1] and "**" not in (one if one == other else ""))


@pytest.mark.parametrize("text", [s for s in SIGNS if SIGNS[s].binding != COMPARISON])
def test_python_computes_a_total_sign_for_all_numbers(text):
    sign, numbers = SIGNS[text], [0.0, -1.5, 2.0, math.inf, -math.inf, math.nan, 1e300]

    def raises(x, y):
        try:
            sign.python(x, y)
        except (ArithmeticError, TypeError):
            return True
        return False

    assert sign.total == (not any(raises(x, y) for x in numbers for y in numbers))
