"""CONTRIBUTING: what it names is there, and it fits on a page."""

import re

from autobp import reverse
from autobp.compiler.passes import pipeline
from autobp.optim import Optimizer
from autobp.rules import PRIMITIVES, arithmetic
from autobp.tensor import Tensor

from .test_package import LAYERS, ROOT

PAGE = ROOT / ".github/CONTRIBUTING.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_links_and_paths_lead_somewhere():
    links = [link.replace("\\", "") for link in re.findall(r"\]\(([^)]+)\)", TEXT)]
    paths = re.findall(r"`((?:tests|rules|autobp|demos)/[\w/.]+\.py)`", TEXT.replace("NAME", "xor"))
    assert len(links) > 12
    assert len(paths) > 4
    for link in links:
        assert (PAGE.parent / link).exists(), link
    for path in paths:
        assert (ROOT / path).exists() or (ROOT / "autobp" / path).exists(), path


def test_what_it_says_in_passing_is_so():
    assert "`Tensor.apply`" in TEXT
    assert callable(Tensor.apply)
    assert "`reverse.sweep`" in TEXT
    assert callable(reverse.sweep)
    assert "The row `tanh`" in TEXT
    assert arithmetic.tanh is PRIMITIVES["tanh"]
    assert "`PASSES`" in TEXT
    assert pipeline.PASSES
    assert "Subclass `Optimizer`" in TEXT
    assert isinstance(Optimizer, type)


def test_the_order_of_reading_is_that_of_the_layers_and_of_the_demo():
    order = re.findall(r"^\| \d \| \[(\w+)", TEXT, re.M)
    assert set(order) <= set(LAYERS)
    demo = (ROOT / "demos/engine.py").read_text(encoding="utf-8")
    named = dict.fromkeys(re.findall(r"^# ── \d.*?autobp/(\w+)", demo, re.M))
    assert [name for name in order if name in named] == list(named)


def test_it_is_a_page():
    assert len(TEXT.splitlines()) < 100
