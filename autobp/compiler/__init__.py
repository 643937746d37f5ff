"""Compile: a function written down once as a plain NumPy program, to be read and to be fast."""

from autobp.compiler.compiled import CaptureError, Compiled, compile

__all__ = ["CaptureError", "Compiled", "compile"]
