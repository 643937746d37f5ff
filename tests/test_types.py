"""Types: what type checkers and editors see of the programs that users write."""

import ast
import inspect
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mypy import api

from autobp import Tensor
from autobp.methods import ArrayMethods

from .test_package import ROOT

PROGRAM = ROOT / "tests/typed_program.py"


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What mypy says of a file. What it has read of the package it keeps for the next."""
    cache = tmp_path_factory.mktemp("mypy")
    limit = sys.getrecursionlimit()
    yield lambda path: api.run(["--strict", f"--cache-dir={cache}", str(path)])
    sys.setrecursionlimit(limit)  # which mypy raises, for all tests after these


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.2.0", reason="NumPy's own stubs say less of an array"
)
def test_programs_of_users_have_the_types_that_they_say(checked):
    said, errors, status = checked(PROGRAM)
    assert (status, errors) == (0, ""), said
    assert said.startswith("Success: no issues found in 1 source file")


def test_a_wrong_type_is_found(checked, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(
        "from typing import assert_type\nfrom autobp import Tensor\n"
        "x = Tensor(1.0)\nassert_type(x + 1, float)\nx.backwards()\n"
    )
    said, _, status = checked(path)
    assert status == 1
    assert 'Expression is of type "Tensor", not "float"' in said
    assert '"Tensor" has no attribute "backwards"; maybe "backward"?' in said


def test_the_programs_run(capsys):
    runpy.run_path(str(PROGRAM))
    assert "tanh" in capsys.readouterr().out


def declared(kind):
    """The methods that are declared for type checkers alone, and those that are made instead."""
    tree = ast.parse(Path(inspect.getsourcefile(kind)).read_text(encoding="utf-8"))
    (body,) = (n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == kind.__name__)
    (choice,) = (n for n in body if isinstance(n, ast.If))
    assert ast.unparse(choice.test) == "TYPE_CHECKING"
    made = [
        name.id
        for statement in choice.orelse
        for target in statement.targets
        for name in (target.elts if isinstance(target, ast.Tuple) else [target])
    ]
    return {n.name: n for n in choice.body}, made


@pytest.mark.parametrize("kind", [Tensor, ArrayMethods])
def test_methods_that_are_made_in_loops_are_declared(kind):
    stubs, made = declared(kind)
    assert sorted(stubs) == sorted(made)
    for name, stub in stubs.items():
        parameters = [a.arg for a in (*stub.args.args, *stub.args.kwonlyargs)]
        assert parameters[0] == "self"
        if kind is Tensor:
            assert len(parameters) == len(inspect.signature(getattr(Tensor, name)).parameters), name
            continue
        function = getattr(np, name)
        if not isinstance(function, np.ufunc):
            try:
                known = inspect.signature(function).parameters
            except ValueError:  # of functions in C, before NumPy 2.4
                continue
            assert {*parameters[1:]} <= {*known}, name
            for a, default in zip(stub.args.kwonlyargs, stub.args.kw_defaults):
                assert known[a.arg].default in (ast.literal_eval(default), np._NoValue), name
