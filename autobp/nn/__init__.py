"""Models: modules of layers, activations, initializers, losses and metrics.

    >>> import numpy as np
    >>> from autobp import nn, optim
    >>> from autobp.data import xor
    >>> X, y = xor()
    >>> model = nn.MLP([2, 8, 1], activation="tanh", rng=0)
    >>> optimizer = optim.Adam(model.parameters(), lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     nn.binary_cross_entropy_with_logits(model(X), y[:, None]).backward()
    ...     optimizer.step()
    >>> nn.accuracy(nn.sigmoid(model(X)), y)
    1.0

Names and behaviour are those of PyTorch. The functions also work without any class.
"""

from typing import TYPE_CHECKING, Any

from autobp.habits import absent_from_module
from autobp.nn.activations import (
    ELU,
    GELU,
    GLU,
    SELU,
    Activation,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
    elu,
    gelu,
    glu,
    identity,
    leaky_relu,
    log_softmax,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    step,
    tanh,
)
from autobp.nn.attention import scaled_dot_product_attention
from autobp.nn.embeddings import Embedding, embedding
from autobp.nn.images import AdaptiveAvgPool2d, AvgPool2d, Conv2d, MaxPool2d
from autobp.nn.initializers import from_npy, he, normal, uniform, xavier, zeros
from autobp.nn.layers import MLP, Dropout, Flatten, Linear, Sequential
from autobp.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    huber,
    l2_penalty,
    mse,
    nll,
    squared_error,
)
from autobp.nn.metrics import accuracy, confusion_matrix, one_hot
from autobp.nn.module import Module, functional_call
from autobp.nn.neuron import Layer, Neuron
from autobp.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from autobp.rules.neural import linear
from autobp.spellings import NN

__all__ = [
    "Module",
    "functional_call",
    "Linear",
    "Conv2d",
    "MaxPool2d",
    "AvgPool2d",
    "AdaptiveAvgPool2d",
    "Embedding",
    "Flatten",
    "Dropout",
    "BatchNorm1d",
    "BatchNorm2d",
    "LayerNorm",
    "Sequential",
    "MLP",
    "Neuron",
    "Layer",
    "Activation",
    "Identity",
    "Step",
    "Sigmoid",
    "Tanh",
    "ReLU",
    "LeakyReLU",
    "GELU",
    "ELU",
    "SELU",
    "SiLU",
    "GLU",
    "Softplus",
    "Softmax",
    "LogSoftmax",
    "identity",
    "step",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "gelu",
    "elu",
    "selu",
    "silu",
    "glu",
    "softplus",
    "softmax",
    "log_softmax",
    "linear",
    "embedding",
    "scaled_dot_product_attention",
    "normal",
    "uniform",
    "xavier",
    "he",
    "zeros",
    "from_npy",
    "mse",
    "squared_error",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "nll",
    "hinge",
    "huber",
    "l2_penalty",
    "one_hot",
    "accuracy",
    "confusion_matrix",
]

if not TYPE_CHECKING:  # else a type checker would believe every name

    def __getattr__(name: str) -> Any:
        raise absent_from_module("autobp.nn", name, NN, __dir__)


def __dir__() -> list[str]:
    return sorted(__all__)
