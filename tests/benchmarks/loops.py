"""Measure programs written as Python loops: compiled, eager, and the value alone in plain Python.

Each is `value_and_grad` of one function, compiled and eager, in turns in one process; the ratios are
what to read. For programs of single numbers the value alone, in plain Python, is beside them. Where they
are installed, so are CasADi and a jitted `lax.scan` of JAX in double precision, for orientation.

    OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.loops [--program NAME] [--rounds 15]
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from itertools import combinations, pairwise, product
from typing import Any, NamedTuple

import numpy as np

from autobp import compile, sigmoid, value_and_grad


class Problem(NamedTuple):
    """A function, what it is called with, and with respect to which arguments it is differentiated."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    argnums: int | tuple[int, ...] = 0
    plain: bool = False  # it computes with single numbers


# ── single numbers ────────────────────────────────────────────────────────────────────────────────


def newton(a: Any) -> Any:
    x = a
    for _ in range(STEPS):
        x = x - (x * x * x - a * x - 1.0) / (3.0 * x * x - a)
    return x


def horner(x: Any, coefficients: list[float]) -> Any:
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


def thomas(lower: Any, diagonal: Any, upper: Any, right: Any) -> Any:
    """The sum of squares of the solution of a tridiagonal system."""
    n = len(right)
    ratios, parts = [upper[0] / diagonal[0]], [right[0] / diagonal[0]]
    for i in range(1, n):
        pivot = diagonal[i] - lower[i] * ratios[-1]
        ratios.append(upper[i] / pivot)
        parts.append((right[i] - lower[i] * parts[-1]) / pivot)
    x = parts[-1]
    total = x * x
    for i in range(n - 2, -1, -1):
        x = parts[i] - ratios[i] * x
        total = total + x * x
    return total


def lorenz(x: Any, y: Any, z: Any) -> tuple[Any, Any, Any]:
    return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z


def rk4(x: Any, y: Any, z: Any, dt: float = 1e-3) -> Any:
    for _ in range(STEPS):
        a, b, c = lorenz(x, y, z)
        d, e, f = lorenz(x + 0.5 * dt * a, y + 0.5 * dt * b, z + 0.5 * dt * c)
        g, h, i = lorenz(x + 0.5 * dt * d, y + 0.5 * dt * e, z + 0.5 * dt * f)
        j, k, m = lorenz(x + dt * g, y + dt * h, z + dt * i)
        x = x + dt / 6.0 * (a + 2.0 * d + 2.0 * g + j)
        y = y + dt / 6.0 * (b + 2.0 * e + 2.0 * h + k)
        z = z + dt / 6.0 * (c + 2.0 * f + 2.0 * i + m)
    return x * y * z


def rosenbrock(x: list[Any]) -> Any:
    total = 0.0
    for a, b in pairwise(x):
        total = total + 100.0 * (b - a * a) * (b - a * a) + (1.0 - a) * (1.0 - a)
    return total


def garch(omega: Any, alpha: Any, beta: Any, returns: list[float]) -> Any:
    """The likelihood of returns whose variance follows them."""
    variance, total = 0.1, 0.0
    for r in returns:
        total = total + np.log(variance) + r * r / variance
        variance = omega + alpha * r * r + beta * variance
    return 0.5 * total


def kicked(x: Any, v: Any, dt: float = 0.01) -> Any:
    """Runge–Kutta steps of an oscillator that is driven until a time."""
    for i in range(STEPS):
        t = i * dt
        force = 0.5 * t if t < 4.0 else 0.0
        a = force - x - 0.1 * v
        middle, speed = x + 0.5 * dt * v, v + 0.5 * dt * a
        x = x + dt * speed
        v = v + dt * (force - middle - 0.1 * speed)
    return x * x + v * v


# ── arrays ────────────────────────────────────────────────────────────────────────────────────────

STEPS = 1000
RNG = np.random.default_rng(0)


def rk4_vectors(y: Any, a: Any, dt: float = 1e-3) -> Any:
    slope = lambda y: a @ np.sin(y)
    for _ in range(STEPS):
        k = slope(y)
        m = slope(y + 0.5 * dt * k)
        n = slope(y + 0.5 * dt * m)
        y = y + dt / 6.0 * (k + 2.0 * m + 2.0 * n + slope(y + dt * n))
    return np.sum(y * y)


def lstm(parameters: list[Any], xs: Any) -> Any:
    w, u, b = parameters
    width = u.shape[0]
    h = c = np.zeros((xs.shape[1], width), xs.dtype)
    for x in xs:
        gates = x @ w + h @ u + b
        i, f, g, o = (gates[:, k * width : (k + 1) * width] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return np.mean(h * h)


def kalman(q: Any, move: Any, see: Any, seen: Any) -> Any:
    """The likelihood of what is seen of a state that moves."""
    x, p, total = np.zeros(4), np.eye(4), 0.0
    for z in seen:
        x, p = move @ x, move @ p @ move.T + q[0] * q[0] * np.eye(4)
        s = see @ p @ see.T + q[1] * q[1] * np.eye(2)
        gain, error = np.linalg.solve(s, see @ p).T, z - see @ x
        total = total + error @ np.linalg.solve(s, error) + np.log(np.linalg.det(s))
        x, p = x + gain @ error, p - gain @ see @ p
    return total


def springs(x: Any, stiffness: Any, dt: float = 0.01) -> Any:
    """Masses in a row, with springs between them."""
    v = 0.0 * x
    for _ in range(300):
        force = stiffness * (x[1:] - x[:-1])
        v = v + dt * (np.concatenate([force, [0.0]]) - np.concatenate([[0.0], force]))
        x = x + dt * v
    return np.sum(x * x) + np.sum(v * v)


def cheapest(costs: Any) -> Any:
    """The cheapest way through a grid, by dynamic programming."""
    best = costs[0]
    for row in costs[1:]:
        left = np.concatenate([[1e9], best[:-1]])
        right = np.concatenate([best[1:], [1e9]])
        best = row + np.minimum(best, np.minimum(left, right))
    return np.min(best)


def pagerank(weights: Any) -> Any:
    links = weights / np.sum(weights, 0)
    n = len(weights)
    rank = np.full(n, 1.0 / n)
    for _ in range(200):
        rank = 0.15 / n + 0.85 * (links @ rank)
        rank = rank / np.sum(rank)
    return np.sum(rank * rank)


def substitution(rows: list[list[float]], right: list[float]) -> Any:
    """A triangular system, row after row."""
    x: list[Any] = []
    for i, b in enumerate(right):
        s: Any = b
        for j in range(i):
            s = s - rows[i][j] * x[j]
        x.append(s / rows[i][i])
    return sum(x)


def binomial(a: Any, b: Any) -> Any:
    """Rows that grow, as in Pascal's triangle."""
    row = [a]
    for _ in range(40):
        row = [a, *(0.5 * (x + y) + 0.01 * x * b for x, y in pairwise(row)), b]
    return sum(row)


def distance(a: list[float], b: list[float], cost: Any) -> Any:
    """The distance of two sequences by insertions, deletions and changes."""
    before = [cost * j for j in range(len(b) + 1)]
    for i, x in enumerate(a):
        row = [cost * (i + 1)]
        for j, y in enumerate(b):
            way = np.minimum(before[j + 1] + cost, row[j] + cost)
            row.append(np.minimum(way, before[j] + (x - y) * (x - y)))
        before = row
    return before[-1]


def elimination(rows: list[list[Any]]) -> Any:
    """The logarithm of the squared determinant, by Gauss's elimination."""
    rows, n = [[*row] for row in rows], len(rows)
    for k, i in combinations(range(n), 2):
        factor = rows[i][k] / rows[k][k]
        for j in range(k + 1, n):
            rows[i][j] = rows[i][j] - factor * rows[k][j]
    return sum(np.log(row[k] * row[k]) for k, row in enumerate(rows))


def rotations(rows: list[list[Any]]) -> Any:
    """The diagonal of a matrix that is made triangular by Givens's rotations."""
    rows, n = [[*row] for row in rows], len(rows)
    for j, i in combinations(range(n), 2):
        x, y = rows[j][j], rows[i][j]
        r = np.sqrt(x * x + y * y)
        c, s = x / r, y / r
        for k in range(j, n):
            u, v = rows[j][k], rows[i][k]
            rows[j][k], rows[i][k] = c * u + s * v, c * v - s * u
    return sum(row[k] * row[k] * (k + 1.0) for k, row in enumerate(rows))


def inside(words: list[list[Any]], rules: list[list[list[Any]]]) -> Any:
    """The probability of a sentence, by the probabilities of its parts."""
    n, symbols = len(words), range(len(rules))
    parts = {(i, i + 1, a): words[i][a] for i in range(n) for a in symbols}
    for size in range(2, n + 1):
        for i, a in product(range(n - size + 1), symbols):
            parts[i, i + size, a] = sum(
                rules[a][b][c] * parts[i, k, b] * parts[k, i + size, c]
                for k, b, c in product(range(i + 1, i + size), symbols, symbols)
            )
    return parts[0, n, 0]


def _matrix(n: int) -> Problem:
    return Problem(elimination, ((RNG.random((n, n)) / n + 2 * np.eye(n)).tolist(),), 0, True)


def _triangular(n: int) -> Problem:
    rows, right = [[*(RNG.random(i) / n).tolist(), 2.0] for i in range(n)], _lists(n)[0]
    return Problem(substitution, (rows, right), (0, 1), True)


def _lists(*sizes: int) -> tuple[list[float], ...]:
    return tuple((1.0 + RNG.random(n)).tolist() for n in sizes)


def _lstm(steps: int = 50, batch: int = 32, width: int = 64) -> Problem:
    shapes = (width, 4 * width), (width, 4 * width), (4 * width,)
    parameters = [(0.1 * RNG.standard_normal(s)).astype(np.float32) for s in shapes]
    return Problem(lstm, (parameters, RNG.standard_normal((steps, batch, width), np.float32)))


def _tridiagonal(n: int) -> Problem:
    lower, diagonal, upper, right = _lists(n, n, n, n)
    return Problem(thomas, (lower, [d + 4 for d in diagonal], upper, right), (0, 1, 2, 3), True)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "Newton 1,000": lambda: Problem(newton, (2.0,), plain=True),
    "Horner 10,000": lambda: Problem(horner, (0.99, RNG.standard_normal(10_000).tolist()), 0, True),
    "Thomas 1,000": lambda: _tridiagonal(1000),
    "RK4 1,000": lambda: Problem(rk4, (1.0, 1.5, 20.0), (0, 1, 2), True),
    "Rosenbrock 1,000": lambda: Problem(rosenbrock, (RNG.standard_normal(1000).tolist(),), 0, True),
    "GARCH 1,000": lambda: Problem(
        garch, (0.05, 0.1, 0.8, (0.3 * RNG.standard_normal(1000)).tolist()), (0, 1, 2), True
    ),
    "triangular 60": lambda: _triangular(60),
    "binomial 40": lambda: Problem(binomial, (0.7, 1.2), (0, 1), True),
    "edit distance 30": lambda: Problem(distance, (*_lists(30, 30), 0.3), (0, 1, 2), True),
    "elimination 12": lambda: _matrix(12),
    "rotations 8": lambda: _matrix(8)._replace(function=rotations),
    "inside 10": lambda: Problem(
        inside, (RNG.random((10, 2)).tolist(), RNG.random((2, 2, 2)).tolist()), (0, 1), True
    ),
    "driven oscillator": lambda: Problem(kicked, (1.0, 0.0), (0, 1), True),
    "RK4 1,000, vectors": lambda: Problem(
        rk4_vectors, (RNG.standard_normal(3), RNG.standard_normal((3, 3))), (0, 1)
    ),
    "LSTM 50": _lstm,
    "Kalman 100": lambda: Problem(
        kalman,
        (
            np.array([0.3, 0.5]),
            0.9 * np.eye(4) + 0.05 * RNG.standard_normal((4, 4)),
            RNG.standard_normal((2, 4)),
            RNG.standard_normal((100, 2)),
        ),
    ),
    "springs 300": lambda: Problem(springs, (RNG.standard_normal(50), 1 + RNG.random(49)), (0, 1)),
    "cheapest way 100": lambda: Problem(cheapest, (RNG.random((100, 60)),)),
    "PageRank 200": lambda: Problem(pagerank, (RNG.random((60, 60)),)),
}


# ── peers ─────────────────────────────────────────────────────────────────────────────────────────


def casadis(problem: Problem) -> Callable[[], Any]:
    """The same function on symbols of CasADi, and its gradient, made a Function once."""
    import casadi

    function, args, argnums, _ = problem
    chosen = (argnums,) if isinstance(argnums, int) else argnums
    sizes = [len(x) if isinstance(x, list) else 1 for x in args]
    symbols = [casadi.SX.sym("x", n) for n in sizes]
    given = [casadi.vertsplit(s) if isinstance(x, list) else s for s, x in zip(symbols, args)]
    value = function(*given)
    gradient = [casadi.gradient(value, symbols[i]) for i in chosen]
    step = casadi.Function("step", symbols, [value, *gradient])
    return lambda: step(*args)


def scanned(problem: Problem) -> Callable[[], Any]:
    """Newton's method and Horner's rule with `lax.scan`, jitted."""
    import jax
    from jax import lax

    jax.config.update("jax_enable_x64", True)

    def newton_(a: Any) -> Any:
        step = lambda x, _: (x - (x * x * x - a * x - 1.0) / (3.0 * x * x - a), None)
        return lax.scan(step, a, None, length=STEPS)[0]

    def horner_(x: Any, coefficients: Any) -> Any:
        step = lambda total, c: (total * x + c, None)
        return lax.scan(step, coefficients[0], coefficients[1:])[0]

    def garch_(omega: Any, alpha: Any, beta: Any, returns: Any) -> Any:
        def step(carry: Any, r: Any) -> Any:
            variance, total = carry
            total = total + jax.numpy.log(variance) + r * r / variance
            return (omega + alpha * r * r + beta * variance, total), None

        return 0.5 * lax.scan(step, (0.1, 0.0), returns)[0][1]

    functions: dict[Any, Any] = {newton: newton_, horner: horner_, garch: garch_}
    step = jax.jit(jax.value_and_grad(functions[problem.function], problem.argnums))
    args = [jax.numpy.asarray(a) for a in problem.args]
    return lambda: jax.block_until_ready(step(*args))


PEERS = {"CasADi": casadis, "JAX": scanned}


def peers(problem: Problem) -> dict[str, Callable[[], Any]]:
    """Those that are installed, and can compute the problem."""
    found: dict[str, Callable[[], Any]] = {}
    for name, peer in PEERS.items():
        try:
            run = peer(problem)
            value = float(np.asarray(run()[0]).item())
        except (ImportError, KeyError):
            continue
        assert np.isclose(value, problem.function(*problem.args), rtol=1e-6), name
        found[name] = run
    return found


def measured(problem: Problem, rounds: int) -> dict[str, float]:
    """Seconds of the first call and of later ones, eager and plain; and the lines of the program."""
    function, args, argnums, plain = problem
    gradient = value_and_grad(function, argnums)
    eager = value_and_grad(function, argnums)
    program = compile(gradient)
    runs: dict[str, Callable[[], Any]] = {"compiled": lambda: program(*args)}
    runs["eager"] = lambda: eager(*args)
    if plain:
        runs["plain"] = lambda: function(*args)
        runs |= peers(problem)
    begin = time.process_time()
    program(*args)
    first = time.process_time() - begin
    for entry in program._entries:
        entry.checks = 0  # comparisons are not measured
    times: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    for _ in range(rounds):
        for name, run in runs.items():
            begin, n = time.process_time(), 0
            while not n or time.process_time() - begin < 0.02:
                run()
                n += 1
            times[name].append((time.process_time() - begin) / n)
    found = {name: min(ts) for name, ts in times.items()}
    return {"first": first, **found, "lines": len(program.source.splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.loops", description=__doc__)
    parser.add_argument("--program", choices=PROBLEMS, action="append", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for name in options.program or PROBLEMS:
        t = measured(PROBLEMS[name](), options.rounds)
        beside = "plain" if "plain" in t else "eager"
        print(
            f"{name:20} {t['compiled'] * 1e3:9.3f} ms  {t['compiled'] / t[beside]:6.2f} × {beside}"
            f" {t[beside] * 1e3:9.3f} ms  first {t['first']:6.2f} s = {t['first'] / t['eager']:5.1f}"
            f" × eager {t['eager'] * 1e3:8.2f} ms  {t['lines']:4} lines"
            + "".join(f"  {peer} {t[peer] * 1e3:.3f} ms" for peer in PEERS if peer in t),
            flush=True,
        )


if __name__ == "__main__":
    main()
