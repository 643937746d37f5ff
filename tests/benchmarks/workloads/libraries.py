"""The libraries that run the workloads: what each calls differently, and how each derives and trains.

A workload is a function of a library and of arrays. What NumPy, PyTorch and JAX call by one name it
calls itself, from `library.np`; the rest is here. Each library does it as its users are told to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import autobp
from autobp import nn, optim

from ..race import Step

Loss = Callable[..., Any]  # of parameters and data

RATE = 1e-3


class Autobp:
    """Tensors, backward() and optimizers; grad, hessian and hvp for other derivatives."""

    np: Any = np
    relu, sigmoid, softplus = map(staticmethod, (autobp.relu, autobp.sigmoid, autobp.softplus))
    gelu, linear, cross_entropy = map(staticmethod, (nn.gelu, nn.linear, nn.cross_entropy))
    logsumexp = staticmethod(autobp.logsumexp)
    embedding = staticmethod(nn.embedding)
    binary_cross_entropy = staticmethod(nn.binary_cross_entropy_with_logits)

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What is done to every function before it is called."""
        return function

    def attention(self, q: Any, k: Any, v: Any) -> Any:
        return nn.scaled_dot_product_attention(q, k, v, is_causal=True)

    def conv2d(self, x: Any, w: Any, stride: int = 1) -> Any:
        return autobp.conv2d(x, w, stride=stride, padding=w.shape[-1] // 2)

    def max_pool2d(self, x: Any) -> Any:
        return autobp.max_pool2d(x, 2)

    def layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        layer = nn.LayerNorm(weight.shape)
        layer.weight, layer.bias = weight, bias
        return layer(x)

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        layer = nn.BatchNorm2d(len(weight))
        layer.weight, layer.bias = weight, bias
        return layer(x)

    def bag(self, words: Any, table: Any) -> Any:
        return nn.embedding(words, table).mean(1)

    def lstm(self, xs: Any, w: Any, u: Any, b: Any) -> Any:
        return lstm_loop(self, xs, w, u, b)

    def repeated(self, f: Callable[[Any], Any], x: Any, n: int) -> Any:
        for _ in range(n):
            x = f(x)
        return x

    def normal_cdf(self, x: Any) -> Any:
        from scipy.special import ndtr

        return ndtr(x)

    def solve_triangular(self, low: Any, b: Any) -> Any:
        return autobp.solve_triangular(low, b, lower=True)

    def slope(self, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The derivative of an elementwise function."""
        return autobp.grad(lambda x: np.sum(f(x)))

    def training(self, loss: Loss, start: Any, data: Any, method: str) -> Step:
        parameters = [autobp.Tensor(p.copy()) for p in start]
        optimizer = getattr(optim, method)(parameters, lr=RATE)

        def update(*data: Any) -> list[Any]:
            optimizer.zero_grad()
            value = loss(parameters, *data)
            value.backward()
            optimizer.step()
            return [value, *(p.grad for p in parameters)]

        update = self.wrap(update)

        def step() -> list[Any]:
            value, *gradients = update(*data)
            return [value.item(), *gradients]

        return step

    def gradient(self, loss: Loss, start: Any, data: Any) -> Step:
        function = self.wrap(autobp.value_and_grad(loss))

        def step() -> list[Any]:
            value, gradients = function(start, *data)
            return [value, *gradients]

        return step

    def hessian(self, loss: Loss, start: Any, data: Any) -> Step:
        function = self.wrap(lambda w, *data: autobp.hessian(lambda w: loss(w, *data))(w))
        return lambda: [function(start, *data)]

    def product(self, loss: Loss, start: Any, data: Any) -> Step:
        """The product of the Hessian and ones."""
        function = self.wrap(lambda w, v, *data: autobp.hvp(lambda w: loss(w, *data), (w,), (v,)))
        ones = autobp.tree.map(np.ones_like, start)
        return lambda: [found for _, found in autobp.tree.leaves(function(start, ones, *data))]

    def values(self, function: Loss, start: Any, data: Any) -> Step:
        """What a function returns that takes derivatives itself."""
        function = self.wrap(function)
        return lambda: [function(start, *data)]


class Compiled(Autobp):
    """The same, each step by autobp.compile; what it compares itself is compared here."""

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return autobp.compile(function, check=0)


class Torch:
    """Eager, on one thread: backward() or torch.autograd.grad, torch.optim, torch.func.hessian."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.np, self.F = torch, torch.nn.functional
        self.relu, self.sigmoid = torch.relu, torch.sigmoid
        self.softplus, self.gelu, self.linear = self.F.softplus, self.F.gelu, self.F.linear
        self.cross_entropy, self.logsumexp = self.F.cross_entropy, torch.logsumexp
        self.embedding = self.F.embedding
        self.binary_cross_entropy = self.F.binary_cross_entropy_with_logits
        self.normal_cdf = torch.special.ndtr

    def attention(self, q: Any, k: Any, v: Any) -> Any:
        return self.F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def conv2d(self, x: Any, w: Any, stride: int = 1) -> Any:
        return self.F.conv2d(x, w, stride=stride, padding=w.shape[-1] // 2)

    def max_pool2d(self, x: Any) -> Any:
        return self.F.max_pool2d(x, 2)

    def layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        return self.F.layer_norm(x, weight.shape, weight, bias)

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        return self.F.batch_norm(x, None, None, weight, bias, training=True)

    def bag(self, words: Any, table: Any) -> Any:
        return self.F.embedding_bag(words, table, mode="mean")

    def lstm(self, xs: Any, w: Any, u: Any, b: Any) -> Any:
        """What nn.LSTM calls."""
        start = self.np.zeros((1, xs.shape[1], u.shape[1]), dtype=xs.dtype)
        both = [start, start]
        weights = [w, u, b, self.np.zeros_like(b)]
        return self.np.lstm(xs, both, weights, True, 1, 0.0, True, False, False)[0][-1]

    repeated = Autobp.repeated

    def solve_triangular(self, low: Any, b: Any) -> Any:
        columns = b if b.ndim > 1 else b[:, None]
        x = self.np.linalg.solve_triangular(low, columns, upper=False)
        return x if b.ndim > 1 else x[:, 0]

    def slope(self, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def derivative(x: Any) -> Any:
            x = x if x.requires_grad else x.detach().requires_grad_()
            return self.np.autograd.grad(f(x).sum(), x, create_graph=True)[0]

        return derivative

    def tensors(self, arrays: Sequence[Any], requires_grad: bool = False) -> list[Any]:
        return [self.np.tensor(a, requires_grad=requires_grad) for a in arrays]

    def training(self, loss: Loss, start: Any, data: Any, method: str) -> Step:
        parameters, data = self.tensors(start, True), self.tensors(data)
        optimizer = getattr(self.np.optim, method)(parameters, lr=RATE)

        def step() -> list[Any]:
            optimizer.zero_grad()
            value = loss(parameters, *data)
            value.backward()
            optimizer.step()
            return [value.item(), *(p.grad for p in parameters)]

        return step

    def gradient(self, loss: Loss, start: Any, data: Any) -> Step:
        parameters, data = self.tensors(start, True), self.tensors(data)

        def step() -> list[Any]:
            value = loss(parameters, *data)
            return [value.item(), *self.np.autograd.grad(value, parameters)]

        return step

    def hessian(self, loss: Loss, start: Any, data: Any) -> Step:
        (w,), data = self.tensors([start]), self.tensors(data)
        function = self.np.func.hessian(lambda w: loss(w, *data))
        return lambda: [function(w)]

    def product(self, loss: Loss, start: Any, data: Any) -> Step:
        several, data = isinstance(start, list), self.tensors(data)
        ws = self.tensors(start if several else [start], True)
        ones = [*map(self.np.ones_like, ws)]

        def step() -> list[Any]:
            value = loss(ws if several else ws[0], *data)
            gradients = self.np.autograd.grad(value, ws, create_graph=True)
            return list(self.np.autograd.grad(gradients, ws, ones))

        return step

    def values(self, function: Loss, start: Any, data: Any) -> Step:
        (x,), data = self.tensors([start], True), self.tensors(data)
        return lambda: [function(x, *data).detach()]


class Jax:
    """Everything by jax.jit, on the CPU, with donated parameters and Adam written out."""

    def __init__(self) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax, self.np, self.lax = jax, jax.numpy, jax.lax
        self.relu, self.sigmoid = jax.nn.relu, jax.nn.sigmoid
        self.softplus = jax.nn.softplus
        self.logsumexp = jax.nn.logsumexp
        self.normal_cdf = jax.scipy.stats.norm.cdf

    def gelu(self, x: Any) -> Any:
        return self.jax.nn.gelu(x, approximate=False)

    def linear(self, x: Any, w: Any, b: Any = 0.0) -> Any:
        return x @ w.T + b

    def cross_entropy(self, scores: Any, labels: Any) -> Any:
        return -self.jax.nn.log_softmax(scores)[self.np.arange(len(labels)), labels].mean()

    def binary_cross_entropy(self, z: Any, y: Any, reduction: str) -> Any:
        assert reduction == "sum"
        return (y * self.softplus(-z) + (1 - y) * self.softplus(z)).sum()

    def embedding(self, words: Any, table: Any) -> Any:
        return table[words]

    def attention(self, q: Any, k: Any, v: Any) -> Any:
        swap = lambda a: a.swapaxes(-2, -3)
        return swap(self.jax.nn.dot_product_attention(*map(swap, (q, k, v)), is_causal=True))

    def conv2d(self, x: Any, w: Any, stride: int = 1) -> Any:
        margin = w.shape[-1] // 2
        return self.lax.conv(x, w, (stride,) * 2, "SAME") if stride == 1 else (
            self.lax.conv_general_dilated(x, w, (stride,) * 2, ((margin, margin),) * 2)
        )  # fmt: skip

    def max_pool2d(self, x: Any) -> Any:
        window = (1, 1, 2, 2)
        return self.lax.reduce_window(x, -math.inf, self.lax.max, window, window, "VALID")

    def layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        return self.jax.nn.standardize(x, -1, epsilon=1e-5) * weight + bias

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        normal = self.jax.nn.standardize(x, (0, 2, 3), epsilon=1e-5)
        return normal * weight[:, None, None] + bias[:, None, None]

    def bag(self, words: Any, table: Any) -> Any:
        return table[words].mean(1)

    def lstm(self, xs: Any, w: Any, u: Any, b: Any) -> Any:
        start = self.np.zeros((xs.shape[1], u.shape[1]), xs.dtype)
        body = lambda state, x: (lstm_step(self, x, state, w, u, b), None)
        return self.lax.scan(body, (start, start), xs)[0][0]

    def repeated(self, f: Callable[[Any], Any], x: Any, n: int) -> Any:
        return self.lax.scan(lambda x, _: (f(x), None), x, length=n)[0]

    def solve_triangular(self, low: Any, b: Any) -> Any:
        return self.jax.scipy.linalg.solve_triangular(low, b, lower=True)

    def slope(self, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return self.jax.grad(lambda x: f(x).sum())

    def called(self, function: Callable[..., Any], *args: Any) -> Step:
        function, args = self.jax.jit(function), self.jax.device_put(args)
        return lambda: self.jax.block_until_ready(function(*args))

    def training(self, loss: Loss, start: Any, data: Any, method: str) -> Step:
        decay = 1e-2 if method == "AdamW" else 0.0

        def moved(p: Any, g: Any, m: Any, s: Any, t: Any) -> tuple[Any, Any, Any]:
            if method == "SGD":
                return p - RATE * g, m, s
            m, s = m + 0.1 * (g - m), s + 0.001 * (g * g - s)
            p = (1 - RATE * decay) * p
            root = self.np.sqrt(s / (1 - 0.999**t)) + 1e-8
            return p - RATE * (m / (1 - 0.9**t)).astype(p.dtype) / root.astype(p.dtype), m, s

        def update(ps: Any, ms: Any, ss: Any, t: Any, *data: Any) -> Any:
            value, gs = self.jax.value_and_grad(loss)(ps, *data)
            ps, ms, ss = map(list, zip(*map(lambda *a: moved(*a, t), ps, gs, ms, ss)))
            return (ps, ms, ss, t + 1), [value, *gs]

        program = self.jax.jit(update, donate_argnums=(0, 1, 2))
        zeros = [np.zeros_like(p) for p in start]
        state = self.jax.device_put(([*start], zeros, [*zeros], np.float32(1)))
        state, data = self.jax.tree.map(lambda a: a + 0, state), self.jax.device_put(data)

        def step() -> list[Any]:
            nonlocal state
            state, found = program(*state, *data)
            return self.jax.block_until_ready(found)

        return step

    def gradient(self, loss: Loss, start: Any, data: Any) -> Step:
        def flat(ps: Any, *data: Any) -> list[Any]:
            value, gradients = self.jax.value_and_grad(loss)(ps, *data)
            return [value, *gradients]

        return self.called(flat, start, *data)

    def hessian(self, loss: Loss, start: Any, data: Any) -> Step:
        return self.called(lambda *a: [self.jax.hessian(loss)(*a)], start, *data)

    def product(self, loss: Loss, start: Any, data: Any) -> Step:
        def along(w: Any, v: Any, *data: Any) -> list[Any]:
            found = self.jax.jvp(lambda w: self.jax.grad(loss)(w, *data), (w,), (v,))[1]
            return self.jax.tree.leaves(found)

        return self.called(along, start, self.jax.tree.map(np.ones_like, start), *data)

    def values(self, function: Loss, start: Any, data: Any) -> Step:
        return self.called(lambda *a: [function(*a)], start, *data)


def lstm_step(library: Any, x: Any, state: Any, w: Any, u: Any, b: Any) -> tuple[Any, Any]:
    h, c = state
    gates = library.linear(x, w, b) + library.linear(h, u)
    n = u.shape[1]
    i, f, g, o = (gates[:, k * n : (k + 1) * n] for k in range(4))
    c = library.sigmoid(f) * c + library.sigmoid(i) * library.np.tanh(g)
    return library.sigmoid(o) * library.np.tanh(c), c


def lstm_loop(library: Any, xs: Any, w: Any, u: Any, b: Any) -> Any:
    """The last hidden state, by a loop of Python's."""
    start = library.np.zeros((xs.shape[1], u.shape[1]), dtype=xs.dtype)
    state = start, start
    for x in xs:
        state = lstm_step(library, x, state, w, u, b)
    return state[0]
