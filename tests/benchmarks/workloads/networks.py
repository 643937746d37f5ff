"""Networks that learn: float32 throughout, one step of an optimizer unless it says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .libraries import lstm_loop
from .problem import Convolution, Problem, Product, Shapes, linear, weights


def gpt(
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    length: int = 64,
    batch: int = 8,
    letters: int = 65,
    dtype: Any = np.float32,
) -> Problem:
    """GPT, 2 layers, 64 wide, T 64, batch 8; AdamW"""
    rng = np.random.default_rng(0)
    text = rng.integers(0, letters, (batch, length + 1))
    norm: Shapes = [(width,), (width,)]
    block = [
        *norm, (3 * width, width), (3 * width,), (width, width), (width,),
        *norm, (4 * width, width), (4 * width,), (width, 4 * width), (width,),
    ]  # fmt: skip
    shapes = [(letters, width), (length, width), *block * layers, *norm, (letters, width)]
    parameters = weights(rng, [*shapes, (letters,)], dtype)

    def program(library: Any) -> Any:
        linear, norm = library.linear, library.layer_norm

        def loss(parameters: Any, words: Any, following: Any) -> Any:
            take = iter(parameters).__next__
            x = library.embedding(words, take()) + take()
            for _ in range(layers):
                mixed = linear(norm(x, take(), take()), take(), take())
                mixed = mixed.reshape((batch, length, 3, heads, width // heads))
                q, k, v = (mixed[:, :, i].swapaxes(1, 2) for i in range(3))
                seen = library.attention(q, k, v).swapaxes(1, 2).reshape((batch, length, width))
                x = x + linear(seen, take(), take())
                hidden = library.gelu(linear(norm(x, take(), take()), take(), take()))
                x = x + linear(hidden, take(), take())
            scores = linear(norm(x, take(), take()), take(), take())
            return library.cross_entropy(scores.reshape((-1, letters)), following.reshape((-1,)))

        return loss

    rows, seen = batch * length, Product(6 * batch * heads, length, width // heads, length)
    block_products = [
        *linear(rows, width, 3 * width), *linear(rows, width, width), seen,
        *linear(rows, width, 4 * width), *linear(rows, 4 * width, width),
    ]  # fmt: skip
    products = block_products * layers + linear(rows, width, letters)
    data = [text[:, :-1], text[:, 1:]]
    return Problem("training", program, parameters, data, method="AdamW", products=products)


def attention(
    length: int = 1024, heads: int = 4, width: int = 32, dtype: Any = np.float32
) -> Problem:
    """causal attention, T 1,024, 4 heads of 32: a gradient"""
    rng = np.random.default_rng(0)
    qkv = [rng.standard_normal((1, heads, length, width)).astype(dtype) for _ in range(3)]

    def program(library: Any) -> Any:
        return lambda qkv: (library.attention(*qkv) ** 2).sum()

    products = [Product(3 * heads, length, width, length)]  # of six, half: the rest is masked
    return Problem("gradient", program, qkv, [], products=products)


def lstm(
    steps: int = 50, batch: int = 32, width: int = 64, dtype: Any = np.float32, loop: bool = False
) -> Problem:
    """LSTM, 50 steps, 64 wide, batch 32 (nn.LSTM, lax.scan); SGD"""
    rng = np.random.default_rng(0)
    shapes = [(4 * width, width), (4 * width, width), (4 * width,)]
    parameters = weights(rng, shapes, dtype)
    xs = rng.standard_normal((steps, batch, width)).astype(dtype)

    def program(library: Any) -> Any:
        def loss(parameters: Any, xs: Any) -> Any:
            last = lstm_loop(library, xs, *parameters) if loop else library.lstm(xs, *parameters)
            return (last**2).mean()

        return loss

    return Problem(
        "training",
        program,
        parameters,
        [xs],
        without=["JAX, jitted"] if loop else [],
        products=linear(steps * batch, width, 4 * width, first=True)
        + linear(batch, width, 4 * width, steps),
    )


def written_lstm(**sizes: Any) -> Problem:
    """the same LSTM, a loop in PyTorch too; SGD"""
    return lstm(**sizes, loop=True)


def resnet(
    batch: int = 16,
    size: int = 32,
    channels: tuple[int, int] = (16, 32),
    dtype: Any = np.float32,
) -> Problem:
    """ResNet blocks, 16 → 32 channels, 32×32, batch 16; SGD"""
    rng = np.random.default_rng(0)
    a, b = channels
    conv = lambda n, m, k=3: [(n, m, k, k), (n,), (n,)]
    shapes = [*conv(a, 3), *conv(a, a) * 4, *conv(b, a), *conv(b, b), *conv(b, a, 1)]
    parameters = weights(rng, [*shapes, *conv(b, b) * 2, (10, b), (10,)], dtype)
    for scale, bias in zip(parameters[1:-2:3], parameters[2:-2:3], strict=True):
        scale += 0.5
        bias -= 0.5
    x = rng.standard_normal((batch, 3, size, size)).astype(dtype)

    def program(library: Any) -> Any:
        def loss(parameters: Any, x: Any, y: Any) -> Any:
            take = iter(parameters).__next__

            def conv(x: Any, stride: int = 1) -> Any:
                return library.batch_norm(library.conv2d(x, take(), stride), take(), take())

            def block(x: Any, stride: int = 1) -> Any:
                h = conv(library.relu(conv(x, stride)))
                return library.relu(h + (x if stride == 1 else conv(x, stride)))

            x = block(block(block(block(library.relu(conv(x)))), 2))
            return library.cross_entropy(library.linear(x.mean((2, 3)), take(), take()), y)

        return loss

    far = -(-size // 2)
    products = [
        Convolution(batch, 3, a, size, first=True), *[Convolution(batch, a, a, size)] * 4,
        Convolution(batch, a, b, size, stride=2), Convolution(batch, a, b, size, 1, stride=2),
        *[Convolution(batch, b, b, far)] * 3, *linear(batch, b, 10),
    ]  # fmt: skip
    data = [x, rng.integers(0, 10, batch)]
    return Problem("training", program, parameters, data, rtol=3e-2, products=products)


def vgg(
    batch: int = 16,
    size: int = 32,
    channels: Sequence[int] = (3, 32, 32, 64, 64),
    dtype: Any = np.float32,
) -> Problem:
    """VGG-like, padded, 3-32-32-64-64 channels, 32×32, batch 16; SGD"""
    rng = np.random.default_rng(0)
    shapes: Shapes = []
    for m, n in pairwise(channels):
        shapes += [(n, m, 3, 3), (n,)]
    shapes += [(10, channels[-1] * (size >> len(channels) // 2) ** 2), (10,)]
    x = rng.standard_normal((batch, 3, size, size)).astype(dtype)

    def program(library: Any) -> Any:
        def loss(parameters: Any, x: Any, y: Any) -> Any:
            take = iter(parameters).__next__
            for i in range(len(channels) - 1):
                x = library.relu(library.conv2d(x, take()) + take().reshape((-1, 1, 1)))
                x = library.max_pool2d(x) if i % 2 else x
            return library.cross_entropy(library.linear(x.reshape((batch, -1)), take(), take()), y)

        return loss

    data = [x, rng.integers(0, 10, batch)]
    products = [
        *(
            Convolution(batch, m, n, size >> i // 2, first=not i)
            for i, (m, n) in enumerate(pairwise(channels))
        ),
        *linear(batch, *shapes[-2][::-1]),
    ]
    # one kink that rounding crosses changes a gradient in the third digit
    start = weights(rng, shapes, dtype)
    return Problem("training", program, start, data, rtol=3e-2, products=products)


def mlp(
    sizes: Sequence[int] = (64, 64, 64, 10), batch: int = 32, dtype: Any = np.float32
) -> Problem:
    """MLP 64-64-64-10, batch 32; Adam"""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, sizes[0])).astype(dtype)

    def program(library: Any) -> Any:
        def loss(parameters: Any, x: Any, y: Any) -> Any:
            scores = layered(library, library.relu, x, parameters)
            return library.cross_entropy(scores, y)

        return loss

    data, products = [x, rng.integers(0, sizes[-1], batch)], layer_products(batch, sizes)
    return Problem(
        "training",
        program,
        weights(rng, dense(sizes), dtype),
        data,
        method="Adam",
        products=products,
    )


def autoencoder(
    sizes: Sequence[int] = (784, 256, 16), batch: int = 64, dtype: Any = np.float32
) -> Problem:
    """variational autoencoder, 784-256-16-256-784, batch 64; Adam"""
    rng = np.random.default_rng(0)
    *outer, latent = sizes
    encoder, decoder = dense([*outer, 2 * latent]), dense([latent, *outer[::-1]])
    x = rng.random((batch, sizes[0])).round().astype(dtype)
    noise = rng.standard_normal((batch, latent)).astype(dtype)

    def program(library: Any) -> Any:
        def loss(parameters: Any, x: Any, noise: Any) -> Any:
            both = layered(library, library.relu, x, parameters[: len(encoder)])
            mean, log_variance = both[:, :latent], both[:, latent:]
            variance = library.np.exp(log_variance)
            z = mean + library.np.sqrt(variance) * noise
            scores = layered(library, library.relu, z, parameters[len(encoder) :])
            likeness = library.binary_cross_entropy(scores, x, reduction="sum")
            return (likeness + 0.5 * (mean**2 + variance - log_variance - 1).sum()) / batch

        return loss

    parameters = weights(rng, [*encoder, *decoder], dtype)
    products = layer_products(batch, [*outer, 2 * latent])
    products += layer_products(batch, [latent, *outer[::-1]])
    return Problem("training", program, parameters, [x, noise], method="Adam", products=products)


def mixture(batch: int = 512, width: int = 64, k: int = 5, dtype: Any = np.float32) -> Problem:
    """mixture density net, 1-64-64-15, batch 512; Adam"""
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (batch, 1)).astype(dtype)
    y = (np.sin(2 * x) + 0.1 * rng.standard_normal((batch, 1))).astype(dtype)

    def program(library: Any) -> Any:
        def loss(parameters: Any, x: Any, y: Any) -> Any:
            raw = layered(library, library.np.tanh, x, parameters)
            share, mean, spread = (raw[:, i * k : (i + 1) * k] for i in range(3))
            deviation = library.softplus(spread) + 1e-3
            logs = -0.5 * ((y - mean) / deviation) ** 2 - library.np.log(deviation)
            top = library.logsumexp(share + logs, 1)
            return (library.logsumexp(share, 1) - top).mean()

        return loss

    parameters = weights(rng, dense([1, width, width, 3 * k]), dtype)
    return Problem("training", program, parameters, [x, y], method="Adam")


def bag(
    words: int = 10_000,
    width: int = 64,
    batch: int = 128,
    length: int = 40,
    dtype: Any = np.float32,
) -> Problem:
    """bag of 40 embeddings, 10,000 × 64, batch 128: a gradient"""
    rng = np.random.default_rng(0)
    chosen, labels = rng.integers(0, words, (batch, length)), rng.integers(0, 5, batch)
    parameters = weights(rng, [(words, width), (5, width), (5,)], dtype)

    def program(library: Any) -> Any:
        def loss(parameters: Any, chosen: Any, labels: Any) -> Any:
            table, w, b = parameters
            return library.cross_entropy(library.linear(library.bag(chosen, table), w, b), labels)

        return loss

    def by_hand(parameters: Any, chosen: Any, labels: Any) -> list[Any]:
        table, w, b = parameters
        mean = table[chosen].mean(1)
        scores = mean @ w.T + b
        scores -= scores.max(1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(1, keepdims=True)
        rows = np.arange(batch), labels
        value = np.mean(np.log(total[:, 0]) - scores[rows])
        p /= total
        p[rows] -= 1
        p /= batch
        found = np.zeros_like(table)
        each = np.repeat(p @ w / length, length, axis=0)
        np.add.at(found, chosen.ravel(), each)
        return [value, found, p.T @ mean, p.sum(0)]

    return Problem("gradient", program, parameters, [chosen, labels], by_hand=by_hand)


def dense(sizes: Sequence[int]) -> Shapes:
    """The shapes of the weights and biases of layers."""
    return [shape for m, n in pairwise(sizes) for shape in ((n, m), (n,))]


def layer_products(batch: int, sizes: Sequence[int]) -> list[Product]:
    return [
        product
        for i, (m, n) in enumerate(pairwise(sizes))
        for product in linear(batch, m, n, first=not i)
    ]


def layered(library: Any, activation: Callable[[Any], Any], x: Any, parameters: Any) -> Any:
    for i in range(0, len(parameters), 2):
        x = library.linear(activation(x) if i else x, *parameters[i : i + 2])
    return x
