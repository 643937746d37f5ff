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
from autobp.rules.convolution import (
    Pair,
    adaptive_avg_pool2d,
    avg_pool2d,
    conv2d,
    margins,
    max_pool2d,
    pair,
)
from autobp.tensor import Tensor

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "Conv2d", "MaxPool2d"]


class Conv2d(Module):
    """Convolution of images with learned kernels: see `autobp.conv2d`. The weight has the shape
    (out, in / groups, height, width). Weight and bias are initialized as in `Linear`.

    >>> import numpy as np
    >>> from autobp import nn
    >>> layer = nn.Conv2d(1, 32, 3, padding="same")
    >>> layer
    Conv2d(1, 32, kernel_size=3, padding='same')
    >>> layer(np.ones((5, 1, 28, 28))).shape
    (5, 32, 28, 28)
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Initializer | None = None,
        rng: Seed = None,
    ) -> None:
        self.in_channels: int = count("Conv2d: in_channels", in_channels, 1)
        self.out_channels: int = count("Conv2d: out_channels", out_channels, 1)
        self.kernel_size: Pair = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride: Pair = pair("Conv2d", "stride", stride, 1)
        self.dilation: Pair = pair("Conv2d", "dilation", dilation, 1)
        self.padding: str | Pair = (
            padding if isinstance(padding, str) else pair("Conv2d", "padding", padding, 0)
        )
        margins("Conv2d", padding, self.kernel_size, self.stride)  # which checks it
        self.groups: int = count("Conv2d: groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: groups={groups} does not divide {in_channels} and {out_channels} channels"
            )
        shape = (self.out_channels, self.in_channels // groups, *self.kernel_size)
        self.weight, self.bias = weight_and_bias(shape, bias, init, rng)

    def forward(self, x: Array) -> Tensor:
        shape = np.shape(x)
        if len(shape) not in (3, 4) or shape[-3] != self.in_channels:
            hint = "; x[:, None] adds an axis for one channel" * (len(shape) == 3)
            raise ValueError(
                f"{located(self)} takes images of shape (samples, {self.in_channels}, height, width),"
                f" not {shape}{hint}"
            )
        return conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        groups = f", groups={self.groups}" if self.groups > 1 else ""
        bias = "" if self.bias is not None else ", bias=False"
        window = _window(self, dilation=(1, 1))
        return f"{self.in_channels}, {self.out_channels}, {window}{groups}{bias}"


class _Pool(Module):
    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
    ) -> None:
        name = type(self).__name__
        self.kernel_size: Pair = pair(name, "kernel_size", kernel_size, 1)
        self.stride: Pair = self.kernel_size if stride is None else pair(name, "stride", stride, 1)
        self.padding: Pair = pair(name, "padding", padding, 0)
        self.ceil_mode: bool = ceil_mode


class MaxPool2d(_Pool):
    """The maximum of each window: see `autobp.max_pool2d`. The default stride is the window size.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation: Pair = pair("MaxPool2d", "dilation", dilation, 1)

    def forward(self, x: Array) -> Tensor:
        return max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return _window(self, stride=self.kernel_size, dilation=(1, 1), ceil_mode=False)


class AvgPool2d(_Pool):
    """The mean of each window: see `autobp.avg_pool2d`. The default stride is the window size.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: float | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Array) -> Tensor:
        return avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return _window(
            self, stride=self.kernel_size, ceil_mode=False, count_include_pad=True,
            divisor_override=None,
        )  # fmt: skip


class AdaptiveAvgPool2d(Module):
    """The means of windows that share out the image evenly; of size 1, the mean of each channel.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.AdaptiveAvgPool2d(1)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[7.5]]]])
    """

    def __init__(self, output_size: int | Pair) -> None:
        self.output_size: Pair = pair("AdaptiveAvgPool2d", "output_size", output_size, 1)

    def forward(self, x: Array) -> Tensor:
        return adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={_short(self.output_size)}"


def _window(module: Any, **defaults: Any) -> str:
    """The options of a window that differ from their defaults."""
    defaults = {"stride": (1, 1), "padding": (0, 0), **defaults}
    given = {k: getattr(module, k) for k, v in defaults.items() if getattr(module, k) != v}
    return ", ".join(
        f"{k}={_short(v)}" for k, v in {"kernel_size": module.kernel_size, **given}.items()
    )


def _short(given: Any) -> str:
    return repr(given[0] if isinstance(given, tuple) and given[0] == given[1] else given)
