"""Derivatives in science: float64 throughout, no optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from .problem import Problem, weights


def runge_kutta(steps: int = 200, n: int = 8) -> Problem:
    """RK4, 200 steps on vectors of 8: gradient by start and matrix"""
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(n), rng.standard_normal((n, n)) / np.sqrt(n)]

    def program(library: Any) -> Any:
        def loss(parameters: Any) -> Any:
            y, a = parameters
            f = lambda y: library.np.tanh(a @ y) - 0.1 * y
            h = 0.02

            def step(y: Any) -> Any:
                k1 = f(y)
                k2 = f(y + h / 2 * k1)
                k3 = f(y + h / 2 * k2)
                k4 = f(y + h * k3)
                return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

            return (library.repeated(step, y, steps) ** 2).sum()

        return loss

    return Problem("gradient", program, start, [])


def bodies(n: int = 200) -> Problem:
    """N-body, 200: the potential and its gradient"""
    rng = np.random.default_rng(0)

    def program(library: Any) -> Any:
        def potential(parameters: Any) -> Any:
            (x,) = parameters
            apart = x[:, None] - x[None]
            return -0.5 * (1 / library.np.sqrt((apart * apart).sum(2) + 0.01)).sum()

        return potential

    def by_hand(parameters: Any) -> list[Any]:
        (x,) = parameters
        apart = x[:, None] - x[None]
        inverse = 1 / np.sqrt(np.einsum("ijk,ijk->ij", apart, apart) + 0.01)
        value = -0.5 * inverse.sum()
        inverse **= 3
        return [value, np.einsum("ij,ijk->ik", inverse, apart)]

    return Problem("gradient", program, [rng.standard_normal((n, 3))], [], by_hand=by_hand)


def process(n: int = 300) -> Problem:
    """GP likelihood, 300 points: Cholesky and triangular solves"""
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(n)) * 10
    y = np.sin(x) + 0.1 * rng.standard_normal(n)
    squares = (x[:, None] - x[None]) ** 2
    start = [np.array(v) for v in ([0.5], [1.2], [0.3])]

    def program(library: Any) -> Any:
        def loss(parameters: Any, squares: Any, eye: Any, y: Any) -> Any:
            length, scale, noise = parameters
            k = scale**2 * library.np.exp(squares * (-0.5 / length**2)) + noise**2 * eye
            low = library.np.linalg.cholesky(k)
            z = library.solve_triangular(low, y)
            return 0.5 * (z * z).sum() + library.np.log(library.np.diagonal(low)).sum()

        return loss

    def by_hand(parameters: Any, squares: Any, eye: Any, y: Any) -> list[Any]:
        """By the formula of the textbooks, and the inverse that it needs."""
        length, scale, noise = (p[0] for p in parameters)
        shape = np.exp(squares * (-0.5 / length**2))
        low = np.linalg.cholesky(scale**2 * shape + noise**2 * eye)
        inverse = np.linalg.inv(low)
        inverse = inverse.T @ inverse
        alpha = inverse @ y
        value = 0.5 * y @ alpha + np.log(np.diagonal(low)).sum()
        g = 0.5 * (inverse - np.outer(alpha, alpha))
        g_shape = g * shape
        slopes = (
            scale**2 * np.vdot(g_shape, squares) / length**3,
            2 * scale * g_shape.sum(),
            2 * noise * np.trace(g),
        )
        return [value, *(np.array([s]) for s in slopes)]

    return Problem("gradient", program, start, [squares, np.eye(n), y], by_hand=by_hand)


def _regression(n: int, features: int) -> tuple[Any, list[Any]]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, features)), np.sign(rng.standard_normal(n))
    return rng.standard_normal(features) / features, [x, y]


def _logistic(library: Any) -> Any:
    def loss(w: Any, x: Any, y: Any) -> Any:
        return library.softplus(-y * (x @ w)).mean() + 0.01 * (w * w).sum()

    return loss


def _bend(w: Any, x: Any, y: Any) -> Any:
    p = 1 / (1 + np.exp(y * (x @ w)))
    return p * (1 - p) / len(y)


def hessian(n: int = 1000, features: int = 50) -> Problem:
    """Hessian of a logistic regression, 1,000 × 50"""

    def by_hand(w: Any, x: Any, y: Any) -> list[Any]:
        return [(x.T * _bend(w, x, y)) @ x + 0.02 * np.eye(len(w))]

    return Problem("hessian", _logistic, *_regression(n, features), by_hand=by_hand)


def product(n: int = 1000, features: int = 50) -> Problem:
    """its product with a vector"""

    def by_hand(w: Any, x: Any, y: Any) -> list[Any]:
        v = np.ones_like(w)
        return [x.T @ (_bend(w, x, y) * (x @ v)) + 0.02 * v]

    return Problem("product", _logistic, *_regression(n, features), by_hand=by_hand)


def curvature(n: int = 32, features: int = 20, width: int = 32) -> Problem:
    """the same of a network's loss, 20-32-1, 32 samples"""
    rng = np.random.default_rng(0)
    shapes = [(features, width), (width,), (width, 1), (1,)]
    start = weights(rng, list(shapes), np.float64)
    x, y = rng.standard_normal((n, features)), rng.standard_normal((n, 1))

    def program(library: Any) -> Any:
        def loss(parameters: Any, x: Any, y: Any) -> Any:
            w1, b1, w2, b2 = parameters
            off = library.np.tanh(x @ w1 + b1) @ w2 + b2 - y
            return (off * off).mean()

        return loss

    def by_hand(parameters: Any, x: Any, y: Any) -> list[Any]:
        """Pearlmutter's operator: what has an r varies along ones."""
        w1, b1, w2, b2 = parameters
        v1, v2 = np.ones_like(w1), np.ones_like(w2)
        h = np.tanh(x @ w1 + b1)
        slope = 1 - h * h
        rh = slope * (x @ v1 + 1)
        scale = 2 / y.size
        g = scale * (h @ w2 + b2 - y)
        rg = scale * (rh @ w2 + h @ v2 + 1)
        gh, rgh = g @ w2.T, rg @ w2.T + g @ v2.T
        rga = slope * rgh - 2 * (h * rh) * gh
        return [x.T @ rga, rga.sum(0), h.T @ rg + rh.T @ g, rg.sum(0)]

    return Problem("product", program, start, [x, y], by_hand=by_hand)


def pinn(n: int = 200, width: int = 32) -> Problem:
    """PINN of u″ = −sin u, 1-32-32-1, 200 points"""
    shapes = [(1, width), (width,), (width, width), (width,), (width, 1)]
    parameters = weights(np.random.default_rng(0), list(shapes), np.float64)

    def program(library: Any) -> Any:
        tanh, sin = library.np.tanh, library.np.sin

        def loss(parameters: Any, x: Any) -> Any:
            w1, b1, w2, b2, w3 = parameters
            u = lambda x: tanh(tanh(x @ w1 + b1) @ w2 + b2) @ w3
            bend = library.slope(library.slope(u))(x)
            return ((bend + sin(u(x))) ** 2).mean()

        return loss

    return Problem("gradient", program, parameters, [np.linspace(0, 3, n)[:, None]])


def greeks(n: int = 100_000) -> Problem:
    """greeks of 100,000 options: price, delta, vega, theta, rho"""
    rng = np.random.default_rng(0)
    ranges = (80, 120), (0.1, 0.5), (0.2, 2), (0.01, 0.05)
    start = [rng.uniform(*r, n) for r in ranges]

    def program(library: Any) -> Any:
        log, exp, sqrt = library.np.log, library.np.exp, library.np.sqrt

        def price(parameters: Any, strike: Any) -> Any:
            spot, volatility, time, rate = parameters
            spread = volatility * sqrt(time)
            d = (log(spot / strike) + rate * time) / spread + 0.5 * spread
            discounted = strike * exp(-rate * time)
            cdf = library.normal_cdf
            return (spot * cdf(d) - discounted * cdf(d - spread)).sum()

        return price

    def by_hand(parameters: Any, strike: Any) -> list[Any]:
        from scipy.special import ndtr

        spot, volatility, time, rate = parameters
        root = np.sqrt(time)
        spread = volatility * root
        d = (np.log(spot / strike) + rate * time) / spread + 0.5 * spread
        discounted = strike * np.exp(-rate * time)
        delta, second = ndtr(d), discounted * ndtr(d - spread)
        vega = spot * np.exp(-0.5 * d * d) * (root / np.sqrt(2 * np.pi))
        theta = 0.5 * vega * volatility / time + rate * second
        return [(spot * delta - second).sum(), delta, vega, theta, time * second]

    strike = rng.uniform(80, 120, n)
    return Problem("gradient", program, start, [strike], by_hand=by_hand)


def third(n: int = 100_000) -> Problem:
    """third derivative of sin x · exp(−x²/2), 100,000 points"""

    def program(library: Any) -> Any:
        f = lambda x: library.np.sin(x) * library.np.exp(-0.5 * x * x)
        return library.slope(library.slope(library.slope(f)))

    def by_hand(x: Any) -> list[Any]:
        s, c, x2 = np.sin(x), np.cos(x), x * x
        return [np.exp(-0.5 * x2) * (s * (6 * x - x2 * x) + c * (3 * x2 - 4))]

    return Problem("values", program, np.linspace(-3, 3, n), [], by_hand=by_hand)
