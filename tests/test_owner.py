"""Whose code runs: by the place of its file, or of the module that it runs in."""

import collections
import io
import os
import sys

import numpy as np
import pytest

import autobp
from autobp import nn
from autobp.owner import Owner, owner, owner_of_frame

FOLDER = os.path.dirname(autobp.__file__)
PACKAGES = os.path.join("some", "site-packages", "nets", "model.py")


def frame_of(source, file, **variables):
    """The frame of code as if it lay in a file."""
    variables["sys"] = sys
    exec(compile(f"frame = sys._getframe(){source}", file, "exec"), variables)
    return variables["frame"]


@pytest.mark.parametrize(
    ("file", "variables", "whose"),
    [
        (os.path.join(FOLDER, "nn", "losses.py"), {}, Owner.AUTOBP),
        (os.path.join(FOLDER, "_demos", "xor.py"), {}, Owner.USER),  # as a wheel installs them
        (FOLDER + "_models.py", {}, Owner.USER),
        (np.__file__, {}, Owner.NUMPY),
        (PACKAGES, {}, Owner.INSTALLED),
        (os.__file__, {}, Owner.PYTHON),
        ("<frozen importlib._bootstrap>", {}, Owner.PYTHON),
        ("train.py", {}, Owner.USER),
        ("train.py", {"__name__": "autobp.train"}, Owner.USER),
        ("<stdin>", {"__name__": "__main__"}, Owner.USER),
        ("<string>", {"__file__": nn.__file__}, Owner.AUTOBP),  # what a dataclass of ours has
        ("<string>", {"__file__": PACKAGES}, Owner.INSTALLED),
        ("<string>", {"__name__": "autobp.nn"}, Owner.USER),
        ("<doctest autobp.nn[0]>", {"__file__": nn.__file__}, Owner.USER),
    ],
)
def test_the_place_of_the_file_decides(file, variables, whose):
    assert owner_of_frame(frame_of("", file, **variables)) is whose


def test_functions_classes_and_modules():
    named = collections.namedtuple("Named", "a b")
    assert owner(named.__new__) is Owner.PYTHON
    for x in (autobp.relu, nn.Linear, nn):
        assert owner(x) is Owner.AUTOBP
    for x in (np.sum, np.ndarray, np.random.Generator, np.linalg):
        assert owner(x) is Owner.NUMPY
    for x in (int, io.StringIO, sys, collections.Counter, os.path.join):
        assert owner(x) is Owner.PYTHON
    for x in (frame_of, named, sys.modules[__name__]):
        assert owner(x) is Owner.USER


def test_only_the_library_is_the_library():
    assert [whose for whose in Owner if whose.is_library] == [Owner.AUTOBP, Owner.NUMPY]
