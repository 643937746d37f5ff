"""Measure what each pass of the compiler brings, on programs of many kinds.

Each program is compiled with all passes, and with all but one. Those whose text differs take turns in
one process; the ratio is the time without the pass over the time with all: 1.10 says that the pass
makes the program 10 % faster. It is the median over many rounds, in which all take their turn: of the
processor's time with one thread, else of the clock's.

    OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.passes [--program NAME] [--seconds 10]
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from operator import truediv
from time import perf_counter
from typing import Any

import numpy as np

from autobp import (
    avg_pool2d,
    compile,
    conv2d,
    grad,
    hessian,
    hvp,
    log_softmax,
    max_pool2d,
    nn,
    relu,
    sigmoid,
    softmax,
    value_and_grad,
)
from autobp.compiler import entry
from autobp.compiler.passes.pipeline import PASSES
from autobp.compiler.passes.rewrite import Pass

from . import classifier, convolution, training

RATE = 0.01
Problem = tuple[Callable[..., Any], tuple[Any, ...]]  # a function, and what it is called with

RNG = np.random.default_rng(0)


def weights(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[np.ndarray]:
    """Parameters of these shapes; vectors are biases."""
    scale = lambda shape: np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.1
    return [(RNG.standard_normal(s) * scale(s)).astype(dtype) for s in shapes]


def descent(loss: Callable[..., Any], parameters: Any, *data: Any) -> Problem:
    """A step of gradient descent."""

    def step(parameters: Any, *data: Any) -> Any:
        value, gradients = value_and_grad(lambda ps: loss(ps, *data))(parameters)
        return [p - RATE * g for p, g in zip(parameters, gradients)], gradients, value

    return step, (parameters, *data)


def entropy(scores: Any, labels: Any) -> Any:
    return -np.mean(log_softmax(scores)[np.arange(len(labels)), labels])


# ── images ────────────────────────────────────────────────────────────────────────────────────────


def normed(h: Any) -> Any:
    centred = h - h.mean((0, 2, 3), keepdims=True)
    return centred / np.sqrt((centred * centred).mean((0, 2, 3), keepdims=True) + np.float32(1e-5))


def network(
    activation: Callable[[Any], Any] = relu,
    pool: Callable[[Any], Any] = lambda h: max_pool2d(h, 2),
    norm: Callable[[Any], Any] = lambda h: h,
    stride: int = 1,
) -> Problem:
    """Padded convolutions of 16, 16, 32 and 32 channels, two at a time, on images of 3 × 32 × 32."""
    channels = (3, 16, 16, 32, 32)
    kernels = weights(*((b, a, 3, 3) for a, b in pairwise(channels)))
    biases = weights(*((b,) for b in channels[1:]))

    def features(ps: Any, x: Any) -> Any:
        for i in range(4):
            steps = stride if i % 2 else 1
            x = activation(norm(conv2d(x, ps[2 * i], ps[2 * i + 1], steps, padding=1)))
            if i % 2:
                x = pool(x)
        return x.reshape(len(x), -1)

    ps = [p for both in zip(kernels, biases) for p in both]
    x = RNG.standard_normal((16, 3, 32, 32), dtype=np.float32)
    ps += weights((10, features(ps, x).shape[1]), (10,))
    loss = lambda ps, x, y: entropy(features(ps, x) @ ps[-2].T + ps[-1], y)
    return descent(loss, ps, x, RNG.integers(0, 10, 16))


def mnist() -> Problem:
    x, y, ps = convolution.problem()
    return descent(lambda ps, x, y: convolution.entropy(x, y, ps), ps, x, y)


# ── others ────────────────────────────────────────────────────────────────────────────────────────


def mlp(sizes: Sequence[int] = (784, 64, 10), batch: int = 64) -> Problem:
    ps = weights(*((b, a) for a, b in pairwise(sizes)))
    biases = weights(*((b,) for b in sizes[1:]))

    def loss(ps: Any, x: Any, y: Any) -> Any:
        *hidden, last = list(zip(ps[: len(biases)], ps[len(biases) :]))
        for w, b in hidden:
            x = relu(x @ w.T + b)
        return entropy(x @ last[0].T + last[1], y)

    x = RNG.standard_normal((batch, sizes[0]), dtype=np.float32)
    return descent(loss, ps + biases, x, RNG.integers(0, 10, batch))


def tiny() -> Problem:
    x, y, ps = training.problem()
    return descent(lambda ps, x, y: training.squared_error(sigmoid, np.mean, x, y, ps), ps, x, y)


def wide() -> Problem:
    x, (_, y), ps = classifier.problem()
    rows = np.arange(len(y))
    return descent(
        lambda ps, x, y: classifier.cross_entropy(relu, log_softmax, x, (rows, y), ps), ps, x, y
    )


def layer_norm(x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(1e-5))


def transformer() -> Problem:
    """A block of attention and two layers, with norms, 64 wide, on 8 rows of 32 words."""
    batch, length, width, heads = 8, 32, 64, 4
    mask = np.where(np.tri(length, dtype=bool), 0, -1e9).astype(np.float32)
    x = RNG.standard_normal((batch, length, width), dtype=np.float32)
    ps = weights((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))

    def loss(ps: Any, x: Any) -> Any:
        mixed = (layer_norm(x) @ ps[0]).reshape(batch, length, 3, heads, width // heads)
        q, k, v = (mixed[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        a = softmax(q @ k.mT * np.float32(0.25) + mask)
        h = x + (a @ v).transpose(0, 2, 1, 3).reshape(batch, length, width) @ ps[1]
        h = h + nn.gelu(layer_norm(h) @ ps[2]) @ ps[3]
        return np.mean((h - x) ** 2)

    return descent(loss, ps, x)


def lstm() -> Problem:
    """10 steps, 32 wide, on 32 rows."""
    steps, batch, width = 10, 32, 32
    ps = weights((width, 4 * width), (width, 4 * width), (4 * width,))

    def loss(ps: Any, xs: Any) -> Any:
        h = c = np.zeros((batch, width), np.float32)
        for x in xs:
            gates = x @ ps[0] + h @ ps[1] + ps[2]
            i, f, g, o = (gates[:, k * width : (k + 1) * width] for k in range(4))
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        return np.mean(h**2)

    return descent(loss, ps, RNG.standard_normal((steps, batch, width), dtype=np.float32))


def regression(x: np.ndarray, y: np.ndarray) -> Callable[[Any], Any]:
    return lambda w: np.mean(np.log1p(np.exp(-y * (x @ w)))) + 0.01 * np.sum(w**2)


def logistic() -> Problem:
    x, y = RNG.standard_normal((500, 20)), np.sign(RNG.standard_normal(500))
    loss = lambda ps, x, y: regression(x, y)(ps[0])
    return descent(loss, [np.zeros(20)], x, y)


def curvature() -> Problem:
    """The Hessian of a logistic regression."""
    x, y = RNG.standard_normal((500, 20)), np.sign(RNG.standard_normal(500))
    return lambda w: hessian(regression(x, y))(w), (np.zeros(20),)


def product() -> Problem:
    """The product of that Hessian with a vector."""
    x, y = RNG.standard_normal((500, 20)), np.sign(RNG.standard_normal(500))
    return lambda w, v: hvp(regression(x, y), (w,), (v,)), (np.zeros(20), np.ones(20))


def squares() -> Problem:
    """Least squares."""
    x, y = RNG.standard_normal((200, 10)), RNG.standard_normal(200)
    loss = lambda ps, x, y: np.mean((x @ ps[0] - y) ** 2) + 0.1 * np.mean(ps[0] ** 2)
    return descent(loss, [np.zeros(10)], x, y)


def autoencoder() -> Problem:
    """128 to 32 numbers and back, on 64 rows."""
    ps = weights((32, 128), (32,), (128, 32), (128,))
    loss = lambda ps, x: np.mean((np.tanh(x @ ps[0].T + ps[1]) @ ps[2].T + ps[3] - x) ** 2)
    return descent(loss, ps, RNG.standard_normal((64, 128), dtype=np.float32))


def gru() -> Problem:
    """10 steps, 8 wide, on 16 rows."""
    width, shape = 8, (16, 8)
    ps = weights((width, 3 * width), (width, 3 * width), dtype=float)

    def loss(ps: Any, xs: Any) -> Any:
        h = np.zeros(shape)
        for x in xs:
            (az, ar, an), (bz, br, bn) = (
                [a[:, k * width : (k + 1) * width] for k in range(3)]
                for a in (x @ ps[0], h @ ps[1])
            )
            z = sigmoid(az + bz)
            h = (1 - z) * np.tanh(an + sigmoid(ar + br) * bn) + z * h
        return np.mean(h**2)

    return descent(loss, ps, RNG.standard_normal((10, *shape)))


def covariance() -> Problem:
    """The likelihood of a normal distribution, by a matrix that whitens."""
    x = RNG.standard_normal((300, 6))

    def loss(low: Any) -> Any:
        d = np.linalg.solve(low, (x - x.mean(0)).T)
        return np.sum(d * d) + 600 * np.log(np.abs(np.linalg.det(low)))

    return value_and_grad(loss), (np.eye(6) + 0.1,)


def kalman() -> Problem:
    """A Kalman filter over 10 steps."""
    move = np.eye(4) + 0.1 * RNG.standard_normal((4, 4))
    see, seen = RNG.standard_normal((2, 4)), RNG.standard_normal((10, 2))

    def loss(q: Any) -> Any:
        x, p, total = np.zeros(4), np.eye(4), 0.0
        for z in seen:
            x, p = move @ x, move @ p @ move.T + q[0] ** 2 * np.eye(4)
            s = see @ p @ see.T + q[1] ** 2 * np.eye(2)
            gain, error = np.linalg.solve(s, see @ p).T, z - see @ x
            total = total + error @ np.linalg.solve(s, error) + np.log(np.linalg.det(s))
            x, p = x + gain @ error, p - gain @ see @ p
        return total

    return value_and_grad(loss), (np.array([0.3, 0.5]),)


def rosenbrock() -> Problem:
    f = lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return value_and_grad(f), (RNG.standard_normal(1000),)


def normed_gelu() -> Problem:
    """Two layers with a layer norm and GELU each, 128 wide, on 64 rows."""
    ps = weights((128, 128), (128,), (128, 128), (128,))

    def loss(ps: Any, x: Any) -> Any:
        h = nn.gelu(layer_norm(x @ ps[0] + ps[1]))
        return np.mean(nn.gelu(layer_norm(h @ ps[2] + ps[3])) ** 2)

    return descent(loss, ps, RNG.standard_normal((64, 128), dtype=np.float32))


def embeddings() -> Problem:
    """The mean of 20 rows of 2,000, each 32 wide, then a layer, on 64 rows."""
    ps = weights((2000, 32), (32, 5))
    loss = lambda ps, words, y: entropy(ps[0][words].mean(1) @ ps[1], y)
    return descent(loss, ps, RNG.integers(0, 2000, (64, 20)), RNG.integers(0, 5, 64))


def bodies() -> Problem:
    """The forces of 100 bodies on each other."""

    def energy(x: Any) -> Any:
        d = x[:, None] - x[None]
        return -0.5 * np.sum(1 / np.sqrt(np.sum(d * d, axis=2) + 0.01))

    return grad(energy), (RNG.standard_normal((100, 3)),)


def process() -> Problem:
    """The likelihood of a Gaussian process of 100 points."""
    x, y = np.sort(RNG.random(100)), RNG.standard_normal(100)

    def loss(p: Any) -> Any:
        d = (x[:, None] - x[None]) / p[0]
        k = p[1] ** 2 * np.exp(-0.5 * d * d) + p[2] ** 2 * np.eye(100)
        low = np.linalg.cholesky(k)
        return y @ np.linalg.solve(k, y) + 2 * np.sum(np.log(np.diagonal(low)))

    return value_and_grad(loss), (np.array([0.2, 1.0, 0.3]),)


def residual() -> Problem:
    """y″ = −y by a network of 32 units: the loss has second derivatives in it."""
    ps = weights((1, 32), (32,), (32, 32), (32,), (32, 1), dtype=float)
    x = np.linspace(0, 1, 100)[:, None]

    def loss(ps: Any, x: Any) -> Any:
        y = lambda x: np.tanh(np.tanh(x @ ps[0] + ps[1]) @ ps[2] + ps[3]) @ ps[4]
        slope = grad(lambda x: np.sum(y(x)))
        bend = grad(lambda x: np.sum(slope(x)))(x)
        return np.mean((bend + y(x)) ** 2)

    return descent(loss, ps, x)


PROGRAMS: dict[str, Callable[[], Problem]] = {
    "conv": mnist,
    "VGG": network,
    "VGG, batch norm": lambda: network(norm=normed),
    "VGG, strided": lambda: network(stride=2),
    "VGG, tanh": lambda: network(np.tanh),
    "VGG, mean": lambda: network(pool=lambda h: avg_pool2d(h, 2)),
    "VGG, overlap": lambda: network(pool=lambda h: max_pool2d(h, 3, 2)),
    "MLP": mlp,
    "MLP, wide": wide,
    "MLP, tiny": tiny,
    "transformer": transformer,
    "LSTM": lstm,
    "logistic": logistic,
    "Hessian": curvature,
    "HVP": product,
    "least squares": squares,
    "autoencoder": autoencoder,
    "GRU": gru,
    "covariance": covariance,
    "Kalman": kalman,
    "Rosenbrock": rosenbrock,
    "norm, GELU": normed_gelu,
    "embeddings": embeddings,
    "N-body": bodies,
    "GP": process,
    "PINN": residual,
}


# ── measuring ─────────────────────────────────────────────────────────────────────────────────────


def compiled(problem: Problem, passes: Sequence[Pass]) -> Any:
    """The function, compiled with these passes alone."""
    function, args = problem
    everything, entry.optimized = entry.optimized, partial(entry.optimized, passes=passes)
    try:
        program = compile(function, check=0)
        program(*args)
    finally:
        entry.optimized = everything
    return program


def measured(problem: Problem, seconds: float) -> dict[str, float]:
    """The time of the program with all passes, in seconds, and the ratio without each that matters."""
    clock = time.process_time if os.environ.get("OPENBLAS_NUM_THREADS") == "1" else perf_counter
    args = problem[1]
    programs = {"all": compiled(problem, PASSES), "all again": compiled(problem, PASSES)}
    for name in dict.fromkeys(p.name for p in PASSES):
        program = compiled(problem, [p for p in PASSES if p.name != name])
        if program.source != programs["all"].source:
            programs[name] = program
    start = clock()
    programs["all"](*args)
    repeats = math.ceil(0.002 / (clock() - start))
    times: dict[str, list[float]] = {name: [] for name in programs}
    gc.disable()
    end = perf_counter() + seconds
    names = list(programs)
    while perf_counter() < end:
        names.append(names.pop(0))  # so that none always follows the same other
        for name in names:
            start = clock()
            for _ in range(repeats):
                programs[name](*args)
            times[name].append((clock() - start) / repeats)
    gc.enable()
    whole = times.pop("all")
    ratios = {name: statistics.median(map(truediv, ts, whole)) for name, ts in times.items()}
    return {"all": min(whole), **ratios}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.passes", description=__doc__)
    parser.add_argument("--program", choices=PROGRAMS, action="append", metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10, help="of rounds for each program")
    options = parser.parse_args()
    for name in options.program or PROGRAMS:
        whole, *others = measured(PROGRAMS[name](), options.seconds).items()
        print(f"{name:16} {whole[1] * 1e3:8.3f} ms", *(f"{k} {r:.3f}" for k, r in others), sep="  ")


if __name__ == "__main__":
    main()
