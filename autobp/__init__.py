"""autobp: autograd for NumPy whose every gradient you can watch, check, and read as code.

Write NumPy on Tensors. The program is recorded as a graph, and everything else works on that graph:
gradients traverse it backwards, tangents forwards, and pictures show it.

    >>> import numpy as np
    >>> import autobp
    >>> x = autobp.Tensor([1.0, 2.0])
    >>> loss = np.sum(np.tanh(x) ** 2)
    >>> loss.backward()
    >>> x.grad
    array([0.63970001, 0.13621869])

What is here serves any program. These modules are public too, and are imported when first used:

    nn        models: layers, losses, metrics
    optim     optimizers and schedules
    data      data sets, and how to split and batch them
    train     the training loop, checkpoints, searches
    tree      nested arguments: `tree.map`, `tree.ravel`
    drawing   pictures (`drawing.plots` has curves and decision regions)
    cost      what the ways to take a derivative cost, counted and measured
    verify    the checks that every rule of differentiation passes

All others are parts of the engine. To read that, begin with `primitive`, then `rules.arithmetic`,
`context`, `tensor`, `dag`, `reverse` and `forward`.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autobp import fast_paths
from autobp.batching import vmap
from autobp.check import GradientError, check_gradients
from autobp.compiler import CaptureError, compile
from autobp.context import detect_anomaly, no_grad, scope
from autobp.custom_rules import custom
from autobp.dag import Graph, graph
from autobp.drawing import draw
from autobp.drawing.player import play, play_training
from autobp.errors import NoRuleError
from autobp.forward import jvp, linearize
from autobp.habits import ForeignModules, absent_from_module
from autobp.higher import hessian, hvp, jacobian
from autobp.numerical import numerical_gradient
from autobp.recomputation import remat
from autobp.recurrence import scan
from autobp.reverse import grad, value_and_grad, vjp
from autobp.rules.convolution import (
    adaptive_avg_pool2d,
    avg_pool2d,
    conv1d,
    conv2d,
    max_pool2d,
)
from autobp.rules.decompositions import cho_solve, solve_triangular
from autobp.rules.neural import leaky_relu, log_softmax, logsumexp, relu, sigmoid, softmax, softplus
from autobp.sparse import PatternError, Triplets
from autobp.special import polygamma
from autobp.spellings import DATA, NN, OPTIM, PACKAGE, TRAIN, TREE
from autobp.tensor import Tensor
from autobp.tree import stop_gradient

if TYPE_CHECKING:
    from autobp import cost as cost
    from autobp import data as data
    from autobp import drawing as drawing
    from autobp import nn as nn
    from autobp import optim as optim
    from autobp import train as train
    from autobp import tree as tree
    from autobp import verify as verify

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
    "vmap",
    "Triplets",
    "graph",
    "Graph",
    "draw",
    "play",
    "play_training",
    "compile",
    "scan",
    "remat",
    "check_gradients",
    "numerical_gradient",
    "custom",
    "stop_gradient",
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
    "conv1d",
    "conv2d",
    "max_pool2d",
    "avg_pool2d",
    "adaptive_avg_pool2d",
    "solve_triangular",
    "cho_solve",
    "polygamma",
    "NoRuleError",
    "GradientError",
    "CaptureError",
    "PatternError",
]

_MODULES = ("cost", "data", "drawing", "nn", "optim", "train", "tree", "verify")

_TABLES = {
    "autobp": PACKAGE,
    "autobp.nn": NN,
    "autobp.optim": OPTIM,
    "autobp.data": DATA,
    "autobp.train": TRAIN,
    "autobp.tree": TREE,
}
sys.meta_path.append(ForeignModules(_TABLES))

if not TYPE_CHECKING:  # else a type checker would believe every name

    def __getattr__(name: str) -> Any:
        """A public module, imported when it is first asked for."""
        if name in _MODULES:
            return import_module(f"autobp.{name}")
        raise absent_from_module("autobp", name, PACKAGE, __dir__)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
