"""`autobp check`: right rules pass, wrong ones are named, and Ctrl-C leaves what was found."""

import json
import re

import numpy as np
import pytest

from autobp import cli, verify
from autobp.primitive import elementwise
from autobp.rules import PRIMITIVES


@pytest.fixture
def wrong_sine(monkeypatch):
    rule = elementwise(np.sin, lambda t, y, x: t * np.cos(x) * 1.001)
    monkeypatch.setitem(PRIMITIVES, "sin", rule)


def test_some_primitives(capsys):
    assert cli.main(["check", "tanh", "matmul", "tanh"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"primitive  samples +forward +reverse +second order +kinks +float32", lines[0]
    )
    assert re.fullmatch(r"tanh +\d+ +\de-1\d +\de-1\d +\de-\d\d +\S+ +\de-0\d  ok", lines[1])
    assert re.fullmatch(r"matmul +\d+ +\de-1\d +\de-1\d +\de-\d\d +– +\de-0\d  ok", lines[2])
    assert re.fullmatch(r"2 primitives checked at \d+ samples in \S+ s: all right", lines[-1])
    assert max(map(len, lines)) <= 80


def test_names_may_stand_anywhere(capsys):
    assert cli.main(["check", "sin", "--json", "cos"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [p["name"] for p in found["primitives"]] == ["sin", "cos"]


def test_all_of_them_are_checked(monkeypatch, capsys):
    monkeypatch.setattr(verify, "CHECKS", verify.CHECKS[:1])  # the tests of the rules do the rest
    assert cli.main(["check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [p["name"] for p in found["primitives"]] == sorted(PRIMITIVES)
    assert found["ok"] is True


def test_a_wrong_rule_is_named(wrong_sine, capsys):
    assert cli.main(["check", "sin", "cos"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^sin +\d+ +wrong +wrong +\de-\d\d +– +\S+  FAILED$", out, re.M)
    assert "\n  tangents: sin(()): tangent by (0,): " in out
    assert re.search(r"^cos .*  ok$", out, re.M)
    assert out.endswith(": 1 FAILED: sin\n")


def test_as_json(wrong_sine, capsys):
    assert cli.main(["check", "sin", "cos", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    sine, cosine = found["primitives"]
    assert (found["ok"], sine["ok"], cosine["ok"]) == (False, False, True)
    assert "cotangents by (0,)" in sine["failures"]["cotangents"]
    assert 0 < cosine["errors"]["tangents"] < 1e-12


def test_a_rule_that_raises_is_wrong_too(monkeypatch, capsys):
    monkeypatch.setitem(PRIMITIVES, "sin", elementwise(np.sin, lambda t, y, x: t * x.nonsense))
    assert cli.main(["check", "sin"]) == 1
    assert "tangents: AttributeError: " in capsys.readouterr().out


def test_a_name_that_is_none(capsys):
    assert cli.main(["check", "tanhh"]) == 2
    said = "autobp check: there is no primitive 'tanhh'; did you mean 'tanh'?\n"
    assert capsys.readouterr().err == said
    assert cli.main(["check", "zzz"]) == 2
    said = "autobp check: there is no primitive 'zzz'; `autobp check` checks all of them\n"
    assert capsys.readouterr().err == said


def test_ctrl_c_leaves_what_was_found(monkeypatch, capsys):
    def interrupted(primitive, record):
        if primitive.name == "cos":
            raise KeyboardInterrupt
        return 0.0

    monkeypatch.setattr(verify, "CHECKS", (interrupted, *verify.CHECKS))
    assert cli.main(["check", "sin", "cos"]) == 130
    out = capsys.readouterr().out
    assert re.search(r"^sin .* ok$", out, re.M)
    assert "interrupted: 1 of 2 checked: all right" in out
    assert cli.main(["check", "sin", "cos", "--json"]) == 130
    found = json.loads(capsys.readouterr().out)
    assert (found["interrupted"], found["ok"], len(found["primitives"])) == (True, False, 1)
