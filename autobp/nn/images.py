"""Layers for images, which have the shape (samples, channels, height, width)."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.data.points import Seed
from autobp.nn.initializers import Initializer
from autobp.nn.layers import located, weight_and_bias
from autobp.nn.module import Module
from autobp.optim.option import count
from autobp.primitive import Array
from autobp.rules.convolution import Pair, avg_pool2d, conv2d, max_pool2d, pair

__all__ = ["AvgPool2d", "Conv2d", "MaxPool2d"]


class Conv2d(Module):
    """Convolution of images with learned kernels: see `autobp.conv2d`. The weight has the shape
    (out, in, height, width). Weight and bias are initialized as in `Linear`.

    >>> import numpy as np
    >>> from autobp import nn
    >>> layer = nn.Conv2d(1, 32, 3, padding=1)
    >>> layer
    Conv2d(1, 32, kernel_size=3, padding=1)
    >>> layer(np.ones((5, 1, 28, 28))).shape
    (5, 32, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        bias: bool = True,
        *,
        init: Initializer | None = None,
        rng: Seed = None,
    ) -> None:
        self.in_channels = count("Conv2d: in_channels", in_channels, 1)
        self.out_channels = count("Conv2d: out_channels", out_channels, 1)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        self.weight, self.bias = weight_and_bias(shape, bias, init, rng)

    def forward(self, x: Array) -> Array:
        shape = np.shape(x)
        if len(shape) != 4 or shape[1] != self.in_channels:
            hint = "; x[:, None] adds an axis for one channel" * (len(shape) == 3)
            raise ValueError(
                f"{located(self)} takes images of shape (samples, {self.in_channels}, height, width),"
                f" not {shape}{hint}"
            )
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_channels}, {self.out_channels}, {_window(self, dilation=(1, 1))}{bias}"


class _Pool(Module):
    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
    ) -> None:
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)

    def extra_repr(self) -> str:
        return _window(self, stride=self.kernel_size)


class MaxPool2d(_Pool):
    """The maximum of each window: see `autobp.max_pool2d`. The default stride is the window size.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    def forward(self, x: Array) -> Array:
        return max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool):
    """The mean of each window: see `autobp.avg_pool2d`. The default stride is the window size.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    def forward(self, x: Array) -> Array:
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)


def _window(module: Any, **defaults: Pair) -> str:
    """The options of a window that differ from their defaults."""
    defaults = {"stride": (1, 1), "padding": (0, 0), **defaults}
    given = {k: getattr(module, k) for k, v in defaults.items() if getattr(module, k) != v}
    return ", ".join(
        f"{k}={_short(v)}" for k, v in {"kernel_size": module.kernel_size, **given}.items()
    )


def _short(both: Pair) -> str:
    return str(both[0] if both[0] == both[1] else both)
