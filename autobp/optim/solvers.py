"""Solvers of SciPy over nested parameters: minimize, least_squares, root.

SciPy's methods take vectors. Here the unknowns are a number, an array, or a nest of lists, tuples and
dicts of them, and every derivative that a method asks for is made by this library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autobp.calculus import is_batch
from autobp.compiler import compile as compiled
from autobp.custom_rules import custom
from autobp.extras import needed
from autobp.forward import jvp
from autobp.habits import checks_keywords
from autobp.higher import hessian, hvp, jacobian
from autobp.operation import operation
from autobp.primitive import Array, anywhere, opaque
from autobp.reverse import value_and_grad, vjp
from autobp.tensor import Tensor
from autobp.tree import leaves, parts_of, ravel

__all__ = ["least_squares", "minimize", "root"]

#: The methods of SciPy that take no gradient, the products of a Hessian, and a Hessian.
_WITHOUT = {"nelder-mead", "powell", "cobyla", "cobyqa"}
_BY_PRODUCTS = {"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"}
_BY_HESSIANS = {"dogleg", "trust-exact"}

_BY_SCIPY = "SciPy takes one example at a time: write a loop over the examples"


@checks_keywords
def minimize(
    f: Callable[[Any], Any],
    x0: Any,
    *,
    method: str = "L-BFGS-B",
    bounds: Any = None,
    tol: float | None = None,
    options: dict[str, Any] | None = None,
    callback: Callable[[Any], Any] | None = None,
    compile: bool = False,
) -> Any:
    """Minimize f(x), a number, over a nest x, from x0, by a method of `scipy.optimize.minimize`.

    Gradients, Hessians and their products with vectors are made as the method needs them. `bounds` is
    a pair (low, high) for all numbers, or a nest of pairs; an end is a number, an array, or None for
    no bound. SciPy's spellings work too: of a vector, `bounds` may be a list of a pair for each number, or a
    `scipy.optimize.Bounds`, and a list of plain numbers as x0 is a vector. The callback is called with x after each iteration. `compile=True` compiles the function and its
    derivatives; see `autobp.compile`.

    The result is SciPy's; in its `x` and `jac` are nests in the form of x0.

    >>> import numpy as np
    >>> from autobp.optim import minimize
    >>> def f(p):
    ...     return np.sum((p["a"] - 3.0) ** 2) + (p["b"] + 1.0) ** 4
    >>> found = minimize(f, {"a": np.zeros(2), "b": 0.0}, bounds={"a": (None, 2.5), "b": None})
    >>> found.x["a"], round(found.x["b"], 1)
    (array([2.5, 2.5]), -1.0)
    """
    optimize = needed("scipy.optimize", "minimize", "scipy")
    x0 = _start(x0, "minimize")
    start, unravel = _vector(x0, "minimize")
    flat = lambda v: f(unravel(v))
    made: Callable[[Any], Any] = compiled if compile else lambda function: function
    both, kind = made(value_and_grad(flat)), str(method).lower()
    given: dict[str, Any] = {"jac": kind not in _WITHOUT}

    def function(v: np.ndarray) -> Any:
        value, gradient = both(v)
        _check_plain(value, "minimize", "write p.detach() in f for a Tensor p")
        return (float(value), gradient) if given["jac"] else float(value)

    if kind in _BY_PRODUCTS:
        given["hessp"] = made(lambda v, direction: hvp(flat, (v,), (direction,)))
    if kind in _BY_HESSIANS:
        given["hess"] = made(hessian(flat))
    if bounds is not None:
        given["bounds"] = optimize.Bounds(*_bounds(bounds, x0, by_pairs=True))
    if callback is not None:
        given["callback"] = lambda v, *_: callback(unravel(np.array(v)))
    found = optimize.minimize(function, start, method=method, tol=tol, options=options, **given)
    return _nested(found, unravel, "x", "jac")


@checks_keywords
def least_squares(
    f: Callable[[Any], Any],
    x0: Any,
    *,
    method: str = "trf",
    bounds: Any = None,
    loss: str = "linear",
    f_scale: float = 1.0,
    max_nfev: int | None = None,
) -> Any:
    """Minimize the sum of the squares of f(x), an array of residuals or a nest of such, over a nest x,
    by `scipy.optimize.least_squares`, with the Jacobian made here. Bounds and x0 are those of `minimize`.

    The result is SciPy's, with `x` in the form of x0; `fun` and `jac` are of all residuals in a row.

    >>> import numpy as np
    >>> from autobp.optim import least_squares
    >>> t, y = np.arange(4.0), np.array([5.0, 2.5, 1.25, 0.625])
    >>> found = least_squares(lambda p: p["a"] * np.exp(-p["k"] * t) - y, {"a": 1.0, "k": 1.0})
    >>> round(found.x["a"], 6), round(found.x["k"], 6)
    (5.0, 0.693147)
    """
    optimize = needed("scipy.optimize", "least_squares", "scipy")
    x0 = _start(x0, "least_squares")
    start, unravel = _vector(x0, "least_squares")
    flat: Callable[[Array], Array] = lambda v: ravel(f(unravel(v)))[0]

    def residuals(v: np.ndarray) -> Array:
        found = flat(v)
        _check_plain(found, "least_squares", "write p.detach() in f for a Tensor p")
        return found

    ends = (-np.inf, np.inf) if bounds is None else _bounds(bounds, x0, by_pairs=False)
    found = optimize.least_squares(
        residuals, start, jacobian(flat), ends, method=method, loss=loss, f_scale=f_scale,
        max_nfev=max_nfev,
    )  # fmt: skip
    return _nested(found, unravel, "x")


@checks_keywords
def root(
    f: Callable[..., Any],
    x0: Any,
    *args: Any,
    method: str = "hybr",
    tol: float | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """The nest x in the form of x0 where f(x, *args) is 0, by `scipy.optimize.root`.

    The solution can be differentiated by the `args`, in both modes and to any order, by the theorem of
    implicit functions; how it was found is not recorded. What else f depends on is a constant. Under
    `vmap`, SciPy solves for one example after the other, since each takes its own steps; the derivatives
    of all are computed at once.

    >>> from autobp import grad
    >>> from autobp.optim import root
    >>> square_root = lambda a: root(lambda x, a: x * x - a, 1.0, a)
    >>> round(square_root(9.0), 6), round(grad(square_root)(9.0), 6)
    (3.0, 0.166667)
    """
    optimize = needed("scipy.optimize", "root", "scipy")
    start, unravel = _vector(_start(x0, "root"), "root")
    given, again = ravel(list(args))

    def residuals(x: Array, a: Array) -> Array:
        return ravel(f(unravel(x), *again(a)))[0]

    def each(run: Any, arrays: Sequence[Array], mapped: Sequence[bool]) -> Array:
        n = next(a.shape[0] for a, m in zip(arrays, mapped, strict=True) if m)
        rows = [a if m else [a] * n for a, m in zip(arrays, mapped, strict=True)]
        found = [run(*row) for row in zip(*rows, strict=True)]
        return np.stack(found) if found else np.zeros((0, *start.shape))

    @opaque  # SciPy needs numbers: in a program it is one call
    @operation(static=True, fresh=True, batch=each)
    def solved(a: Array, start: Array) -> Array:
        by_x: Callable[[Array], Array] = lambda x: residuals(x, a)
        jac = {"jac": jacobian(by_x)} if method in ("hybr", "lm") else {}

        def plain(x: np.ndarray) -> Array:
            found = by_x(x)
            _check_plain(found, "root", "pass it after x0: root(f, x0, p) calls f(x, p)")
            return found

        found = optimize.root(plain, start, method=method, tol=tol, options=options, **jac)
        if not found.success:
            raise RuntimeError(f"root: no solution was found: {' '.join(found.message.split())}")
        return found.x

    def slope(x: Array, a: Array) -> Array:
        return jacobian(lambda x: residuals(x, a))(x)

    def forward(t: Array, x: Array, a: Array, start: Array) -> Array:
        return -np.linalg.solve(slope(x, a), jvp(lambda a: residuals(x, a), (a,), (t,))[1])

    def reverse(g: Array, x: Array, a: Array, start: Array) -> Array:
        return vjp(lambda a: residuals(x, a), a)[1](-np.linalg.solve(slope(x, a).mT, g))[0]

    solve = custom(
        solved, vjp=(reverse, None), jvp=(forward, None), name="root", static=True, fresh=True
    )
    return unravel(solve(given, start))


# ── nests and vectors ─────────────────────────────────────────────────────────────────────────────


def _start(x0: Any, who: str) -> Any:
    """The start, where a list of plain numbers is a vector, as in SciPy."""
    if hasattr(x0, "named_parameters") or isinstance(x0, Iterator) or _holds_parameters(x0):
        raise TypeError(
            f"{who}: x0 is a nest of numbers and arrays, not a {type(x0).__name__}"
            + (" of parameters" if isinstance(x0, list | dict | tuple) else "")
            + ": write {name: p.data for name, p in model.named_parameters()}, and call the model in the"
            " function by nn.functional_call(model, params, x)"
        )
    is_vector = type(x0) is list and all(isinstance(x, int | float | np.number) for x in x0)
    return np.array(x0, np.float64) if is_vector else x0


def _holds_parameters(x0: Any) -> bool:
    return any(isinstance(x, Tensor) and x.level == 0 and x.is_leaf for _, x in leaves(x0))


def _vector(x0: Any, who: str) -> tuple[np.ndarray, Callable[[Any], Any]]:
    """The start as a vector, and the function that makes nests of vectors."""
    flat, unravel = ravel(x0)
    if not is_batch(flat):
        flat = np.array(flat, np.float64)
    elif who != "root":
        raise TypeError(f"vmap: x0 of {who} is a batch of examples: {_BY_SCIPY}")
    if not flat.size:
        raise ValueError(f"{who}: x0 holds no numbers")
    if anywhere(~np.isfinite(flat)):
        raise ValueError(f"{who}: x0 must be finite")
    return flat, unravel


def _check_plain(value: Any, who: str, instead: str) -> None:
    """A result that is still recorded depends on a Tensor that f was not given."""
    if is_batch(value):
        way = "pass it after x0: root(f, x0, p) calls f(x, p)" if who == "root" else _BY_SCIPY
        raise TypeError(
            f"vmap: the function that {who} was given depends on a batch of examples: {way}"
        )
    if isinstance(value, Tensor) and value.requires_grad:
        raise TypeError(
            f"{who}: the result of f depends on a Tensor that is not an argument of f, and the solution"
            f" cannot be differentiated by it; {instead}"
        )


def _nested(found: Any, unravel: Callable[[Any], Any], *names: str) -> Any:
    for name in names:
        if name in found and np.size(found[name]):
            found[name] = unravel(np.array(found[name]))
    return found


def _bounds(bounds: Any, nest: Any, *, by_pairs: bool) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper bound of each number, one after the other. Of a vector of two numbers, SciPy
    reads two pairs in `minimize`, and two ends in `least_squares`."""
    lows: list[np.ndarray] = []
    highs: list[np.ndarray] = []

    def add(given: Any, branch: Any) -> None:
        if given is None or _is_pair(given):
            ends = (None, None) if given is None else given
            for _, leaf in leaves(branch):
                for end, without, found in zip(ends, (-np.inf, np.inf), (lows, highs)):
                    found.append(_filled(without if end is None else end, leaf))
            return
        if hasattr(given, "lb") and hasattr(given, "ub"):  # SciPy's Bounds
            add((given.lb, given.ub), branch)
            return
        if isinstance(branch, dict) and isinstance(given, dict) and given.keys() == branch.keys():
            for key, twig in branch.items():
                add(given[key], twig)
            return
        inside = parts_of(branch)
        n = np.size(branch) if inside is None and np.ndim(branch) == 1 else 0
        if n and isinstance(given, list | tuple | np.ndarray):
            if n == 2 and by_pairs and type(given) is tuple and list in map(type, given):
                raise _no_bounds(given, branch)  # two pairs to SciPy, and two ends to a reader
            if len(given) == n and (by_pairs or n != 2) and all(map(_is_one_pair, given)):
                ends = [(None, None) if pair is None else pair for pair in given]
                add(tuple(np.array([_end(pair[k], k) for pair in ends]) for k in (0, 1)), branch)
                return
            if len(given) == 2 and all(np.ndim(end) == 1 and len(end) == n for end in given):
                add(
                    tuple(np.array([_end(e, k) for e in end]) for k, end in enumerate(given)),
                    branch,
                )
                return
        if not isinstance(given, list | tuple) or isinstance(branch, dict):
            raise _no_bounds(given, branch)
        if inside is None or len(given) != len(inside):
            raise _no_bounds(given, branch)
        for part, twig in zip(given, inside, strict=True):
            add(part, twig)

    def _filled(end: Any, leaf: Any) -> np.ndarray:
        try:
            return np.ravel(np.broadcast_to(end, np.shape(leaf))).astype(np.float64)
        except (ValueError, TypeError):
            raise _no_bounds(end, leaf) from None

    add(bounds, nest)
    return np.concatenate(lows), np.concatenate(highs)


def _no_bounds(given: Any, branch: Any) -> ValueError:
    return ValueError(
        "bounds are a pair (low, high), or a nest of such pairs in the form of x0, or for a vector of n"
        " numbers a list of n pairs or (np.array(lows), np.array(highs));"
        f" {given!r:.60} does not fit {branch!r:.60}"
    )


def _is_pair(given: Any) -> bool:
    """Whether it is a lower and an upper end: numbers, arrays or None."""
    ends = isinstance(given, tuple | list) and len(given) == 2
    return ends and not any(isinstance(end, tuple | list | dict) for end in given)


def _is_one_pair(given: Any) -> bool:
    """Whether it is a lower and an upper end of one number, as SciPy has them."""
    return given is None or (np.ndim(given) == 1 and len(given) == 2)


def _end(end: Any, k: int) -> float:
    return (-np.inf, np.inf)[k] if end is None else float(end)
