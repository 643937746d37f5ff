"""Layers that normalize their input to mean 0 and variance 1."""

from __future__ import annotations

import math

import numpy as np

from autobp.nn.layers import located
from autobp.nn.module import Module
from autobp.optim.option import count
from autobp.primitive import Array, Variable, constant
from autobp.rules.neural import floating, standardized_
from autobp.rules.normalization import batch_norm, channel_moments
from autobp.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "LayerNorm"]


class _BatchNorm(Module):
    """Normalizes each channel (each index along axis 1) separately."""

    dims: tuple[int, ...]  # of the input
    form: str
    num_features: int
    eps: float
    momentum: float
    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        n = count(f"{type(self).__name__}: num_features", num_features, 1)
        if momentum is None:
            raise TypeError(
                f"{type(self).__name__}: momentum is the weight of the new batch, a number such as 0.1;"
                " PyTorch's None, the average of all batches, does not exist here"
            )
        self.num_features, self.eps, self.momentum = n, eps, momentum
        self.weight, self.bias = Tensor(np.ones(n)), Tensor(np.zeros(n))
        self.running_mean = Tensor(np.zeros(n), requires_grad=False)
        self.running_var = Tensor(np.ones(n), requires_grad=False)

    def forward(self, x: Array) -> Tensor:
        shape = np.shape(x)
        if len(shape) not in self.dims or shape[1] != self.num_features:
            raise ValueError(
                f"{located(self)} takes an input of shape {self.form.format(self.num_features)},"
                f" not {shape}"
            )
        n = math.prod(shape) // self.num_features
        if self.training and n < 2:
            raise ValueError(
                f"{located(self)}: a single value in each channel has no variance;"
                " use larger batches, or eval()"
            )
        if self.training and len(shape) == 4:
            x = floating(x)
            mean, variance = channel_moments(x)
            self._update_averages(mean, variance, n)
            return batch_norm(x, self.weight, self.bias, eps=self.eps)
        along = (-1,) + (1,) * (len(shape) - 2)  # the channels
        if self.training:
            axes = (0, *range(2, len(shape)))
            mean = np.mean(x, axis=axes, keepdims=True)
            centred = x - mean
            variance = np.mean(centred**2, axis=axes, keepdims=True)
            self._update_averages(mean, variance, n)
        else:
            centred = x - np.reshape(self.running_mean, along)
            variance = np.reshape(self.running_var, along)
        scale = np.reshape(self.weight, along) / np.sqrt(variance + self.eps)
        return centred * scale + np.reshape(self.bias, along)

    def _update_averages(self, mean: Array, variance: Array, n: int) -> None:
        if isinstance(now := constant(mean), Variable) and now.is_batch:
            raise TypeError(
                f"{located(self)}: inside vmap each example has averages of its own, and cannot update those"
                " that all share: call eval() on the model, or use LayerNorm"
            )
        for running, now in (
            (self.running_mean, constant(mean)),
            (self.running_var, constant(variance) * (n / (n - 1))),
        ):
            running.data = (1 - self.momentum) * running.data + self.momentum * np.ravel(now)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Normalizes each feature to mean 0 and variance 1 over the batch, then applies a learned scale
    and shift. In evaluation mode it uses running averages from training, not those of the batch.

    >>> import numpy as np
    >>> from autobp import nn
    >>> layer = nn.BatchNorm1d(1)
    >>> layer(np.array([[1.0], [3.0]])).round(3)
    Tensor([[-1.]
            [ 1.]], from round)
    >>> layer.running_mean
    Tensor([0.2], name='running_mean', requires_grad=False)
    """

    dims: tuple[int, ...] = (2, 3)
    form: str = "(samples, {0}) or (samples, {0}, length)"


class BatchNorm2d(_BatchNorm):
    """Batch normalization of each channel of images: see `BatchNorm1d`.

    >>> import numpy as np
    >>> from autobp import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> layer(np.ones((5, 3, 8, 8))).shape
    (5, 3, 8, 8)
    """

    dims: tuple[int, ...] = (4,)
    form: str = "(samples, {0}, height, width)"


class LayerNorm(Module):
    """Normalizes each sample to mean 0 and variance 1 over its last axes, whose shape is
    `normalized_shape`, then applies a learned scale and shift.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.LayerNorm(2)(np.array([[1.0, 3.0], [10.0, 30.0]])).round(3)
    Tensor([[-1.  1.]
            [-1.  1.]], from round)
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape: tuple[int, ...] = tuple(
            count("LayerNorm: normalized_shape", n, 1) for n in shape
        )
        self.eps = eps
        self.weight, self.bias = (
            Tensor(np.ones(self.normalized_shape)),
            Tensor(np.zeros(self.normalized_shape)),
        )

    def forward(self, x: Array) -> Tensor:
        shape = np.shape(x)
        if shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ValueError(
                f"{located(self)} takes an input whose last axes are {self.normalized_shape}, not {shape}"
            )
        axes = tuple(range(-len(self.normalized_shape), 0))
        return standardized_(floating(x), axis=axes, eps=self.eps) * self.weight + self.bias

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"
