"""ONNX: programs as models that onnxruntime runs, and Netron shows.

`compiled.save("step.onnx")` prints the program as it was traced, before the passes that make NumPy
fast. Scopes are names of nodes, arguments are inputs, what the function finds around it are
initializers. What it updates is an input with a default, and a result of the name with `.new`.
"""

from autobp.compiler.onnx.operands import Unprintable
from autobp.compiler.onnx.saving import exported, save

__all__ = ["Unprintable", "exported", "save"]
