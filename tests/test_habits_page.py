"""The page for those who come from other libraries: its programs run and print what it says."""

import io
import re
from contextlib import redirect_stdout
from importlib.util import find_spec

import numpy as np
import pytest

import autobp
from autobp import Tensor

from .test_package import ROOT

PAGE = (ROOT / ".github/HABITS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.S | re.M)
SECTIONS = [s.partition("\n")[0] for s in PAGE.split("\n## ")[1:]]


def run(section):
    """Run the blocks of a section one after another, and compare what they print."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    names, printed = {"np": np, "Tensor": Tensor}, ""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.S | re.M):
        if language == "python":
            with redirect_stdout(io.StringIO()) as out:
                exec(block, names)
            printed = out.getvalue()
        else:
            assert block == printed
    return names


@pytest.mark.parametrize("section", SECTIONS)
def test_every_program_prints_what_the_page_says(section):
    if "scikit" in section and find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    run(section)


def test_the_estimator_is_one_to_scikit_learn():
    """Cloning, parameters, scores and labels that are no numbers."""
    base = pytest.importorskip("sklearn.base")
    estimator = run("An estimator of scikit-learn")["NeuralClassifier"]
    model = base.clone(estimator(hidden=4, epochs=30, lr=0.05))
    assert model.get_params()["hidden"] == 4
    X = np.array([[0.0], [1.0], [0.1], [0.9]] * 5)
    y = np.array(["low", "high", "low", "high"] * 5)
    assert model.fit(X, y).score(X, y) == 1.0
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)
    block = next(b for _, b in BLOCKS if "class NeuralClassifier" in b)
    assert len([line for line in block.splitlines() if line.strip()]) <= 24


def test_the_errors_are_those_that_are_raised():
    shown = next(block for language, block in BLOCKS if language == "text")
    names = {"loss": Tensor(1.0), "t": Tensor([1.0])}
    for line, said in re.findall(r"^>>> (.*)\n(.*)", shown, re.M):
        with pytest.raises((AttributeError, ImportError, TypeError)) as caught:
            exec(line, names)
        kind, _, text = said.partition(": ")
        assert str(caught.value) == text
        assert kind in [base.__name__ for base in type(caught.value).__mro__]


def test_the_names_in_the_table_exist():
    for name in ("grad", "stop_gradient", "compile", "tree", "nn", "data", "train"):
        assert hasattr(autobp, name)
