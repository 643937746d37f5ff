"""autobp: see and trust derivatives.

Write NumPy on Tensors; the program is recorded as a graph, and everything else reads it.
"""

from autobp import fast_paths
from autobp.check import GradientError, check_gradients
from autobp.compiler import CaptureError, compile
from autobp.context import detect_anomaly, no_grad, scope
from autobp.custom_rules import custom
from autobp.dag import Graph, graph
from autobp.drawing import draw
from autobp.drawing.player import play
from autobp.errors import NoRuleError
from autobp.forward import jvp, linearize
from autobp.higher import hessian, hvp, jacobian
from autobp.numerical import numerical_gradient
from autobp.reverse import grad, value_and_grad, vjp
from autobp.rules.convolution import avg_pool2d, conv2d, max_pool2d
from autobp.rules.neural import leaky_relu, log_softmax, logsumexp, relu, sigmoid, softmax, softplus
from autobp.tensor import Tensor

fast_paths.install()

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "grad",
    "value_and_grad",
    "vjp",
    "jvp",
    "linearize",
    "jacobian",
    "hessian",
    "hvp",
    "graph",
    "Graph",
    "draw",
    "play",
    "compile",
    "check_gradients",
    "numerical_gradient",
    "custom",
    "no_grad",
    "scope",
    "detect_anomaly",
    "relu",
    "leaky_relu",
    "sigmoid",
    "softplus",
    "softmax",
    "log_softmax",
    "logsumexp",
    "conv2d",
    "max_pool2d",
    "avg_pool2d",
    "NoRuleError",
    "GradientError",
    "CaptureError",
]
