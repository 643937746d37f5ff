"""Compile: a function is traced once, and from then on runs as a plain NumPy program."""

from autobp.compiler.compiled import Compiled, compile
from autobp.compiler.terms import CaptureError, DifferenceError

__all__ = ["CaptureError", "Compiled", "DifferenceError", "compile"]
