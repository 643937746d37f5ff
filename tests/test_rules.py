"""Every rule in the tables is right, and wrong rules do not pass for right ones."""

from __future__ import annotations

import numpy as np
import pytest

import autobp.calculus
import autobp.reverse
from autobp.primitive import Primitive, constant, elementwise, general, same
from autobp.rules import PRIMITIVES
from autobp.verify import checks
from autobp.verify.samples import RECORDS, Record, kink, pointwise

QUIET = {"all": "ignore"}  # infinities and overflows at kinks are expected


def test_every_primitive_has_a_record() -> None:
    assert sorted(PRIMITIVES) == sorted(RECORDS)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("name", RECORDS)
def test_rule(name: str, check: checks.Check) -> None:
    with np.errstate(**QUIET):
        check(PRIMITIVES[name], RECORDS[name])


# ── the checks have teeth ─────────────────────────────────────────────────────────────────────────


def spoiling(t, y, x):
    """In place: right, once."""
    t *= np.cos(x)
    return t


def two_faced(t, y, x):
    return t * np.cos(x) if isinstance(x, np.ndarray | float) else t * np.cos(x) + t


def dealing_in_double(x):
    return np.sin(x) * np.ones(np.shape(x))


# fmt: off
WRONG = {
    # what is wrong          the primitive                                                   its samples  the check that sees it
    "sign":                 (elementwise(np.cos, lambda t, y, x: t * np.sin(x)),             "cos",       "tangents"),
    "factor":               (elementwise(np.square, lambda t, y, x: t * x),                  "square",    "tangents"),
    "the other argument":   (elementwise(np.multiply, lambda t, z, x, y: t * x,
                                                      lambda t, z, x, y: t * y),             "multiply",  "tangents"),
    "one mode":             (general(np.sin, forward=lambda t, y, x: t * np.cos(x),
                                             reverse=lambda t, y, x: -t * np.cos(x)),        "sin",       "adjoints"),
    "transpose":            (general(np.linalg.inv, forward=lambda t, y, a: -(y @ t @ y),
                                                    reverse=lambda g, y, a: -(y @ g @ y)),   "inv",       "adjoints"),
    "at the kink":          (elementwise(np.absolute, lambda t, y, x: t * np.where(x < 0, -1.0, 1.0)),
                                                                                             "absolute",  "kinks"),
    "a tie counted twice":  (elementwise(np.maximum, lambda t, z, x, y: t * (x >= y),
                                                     lambda t, z, x, y: t * (y >= x)),       "maximum",   "kinks"),
    "the value":            (elementwise(lambda x: np.maximum(x, 0.0) + 1, lambda t, y, x: t * (x > 0)),
                                                                                             "relu",      "values"),
    "second order":         (elementwise(np.sin, lambda t, y, x: t * np.cos(constant(x))),   "sin",       "second_order"),
    "on Tensors":           (elementwise(np.sin, two_faced),                                 "sin",       "forms"),
    "changes its argument": (elementwise(np.sin, spoiling),                                  "sin",       "forms"),
    "float64 from float32": (elementwise(dealing_in_double, lambda t, y, x: t * np.cos(x)),  "sin",       "single"),
    "examples in disorder": (elementwise(np.sin, lambda t, y, x: t * np.cos(x),
                                         batch=lambda run, args, mapped: run(args[0][::-1])), "sin",       "batches"),
}
# fmt: on


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_rule_is_noticed(what: str) -> None:
    primitive, name, by = WRONG[what]
    with np.errstate(**QUIET):
        with pytest.raises(AssertionError):
            getattr(checks, f"check_{by}")(primitive, RECORDS[name])
        with pytest.raises(AssertionError):
            checks.check_primitive(primitive, RECORDS[name])


@pytest.mark.parametrize("module", [autobp.reverse, autobp.calculus], ids=["reverse", "forward"])
def test_broadcasting_that_is_not_undone_is_noticed(module, monkeypatch) -> None:
    monkeypatch.setattr(module, "project", lambda c, primal: c)
    with pytest.raises(AssertionError):
        checks.check_primitive(PRIMITIVES["add"], RECORDS["add"])


def incomplete(forward, reverse) -> Primitive:
    return Primitive("incomplete", np.multiply, forward, reverse)


# fmt: off
INCOMPLETE = [
    (elementwise(np.multiply, lambda t, z, x, y: t * y),                       "1 forward rules for 2 arguments"),
    (elementwise(np.multiply, lambda t, z, x, y: t * y, None),                 "no forward rule for argument 1"),
    (incomplete((lambda t, z, x, y: t * y, lambda t, z, x, y: t * x), None),   "0 reverse rules for 2 arguments"),
    (incomplete(None, (lambda t, z, x, y: t * y, lambda t, z, x, y: t * x)),   "0 forward rules for 2 arguments"),
    (incomplete((same, same), (None, same)),                                   "no reverse rule for argument 0"),
]
# fmt: on


@pytest.mark.parametrize(("primitive", "message"), INCOMPLETE)
def test_a_missing_rule_is_noticed(primitive: Primitive, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        checks.check_complete(primitive, RECORDS["multiply"])


def test_no_rule_is_right_where_the_derivative_is_zero() -> None:
    step = elementwise(np.floor, None)
    checks.check_primitive(step, pointwise("step", ((0.2, 0.8),), kinks=[kink(0.0, to=[0.0])]))


def test_right_rules_pass() -> None:
    """What the wrong ones above are held against: the checks do not fail for another reason."""
    record: Record = RECORDS["sin"]
    checks.check_primitive(elementwise(np.sin, lambda t, y, x: t * np.cos(x)), record)
    right = {
        "forward": lambda t, y, a: -(y @ t @ y),
        "reverse": lambda g, y, a: -(y.mT @ g @ y.mT),
    }
    checks.check_primitive(general(np.linalg.inv, **right), RECORDS["inv"])
