"""Compile: a function written down once as a plain NumPy program, to be read and to be fast."""

from autobp.compiler.compiled import Compiled, compile
from autobp.compiler.terms import CaptureError, DifferenceError

__all__ = ["CaptureError", "Compiled", "DifferenceError", "compile"]
