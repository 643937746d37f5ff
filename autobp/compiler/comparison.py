"""Comparison: a program beside its function, on the same arguments, before it is trusted.

Both begin with the same Tensors, optimizers and generators. What the first to run changes is kept
aside and put back. Where they differ by more than rounding, both tell how much rounding matters:
they run again on arguments that are changed in their last digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.compiler.terms import DifferenceError
from autobp.compiler.trace.effects import Randomness, State, is_counter
from autobp.compiler.trace.free_variables import ARRAYS, Found, FreeVariable, has_identity, is_kind
from autobp.tensor import Tensor
from autobp.tree import leaves, transformed

__all__ = ["Checked", "Snapshot", "check_same", "copied", "moved"]

PATIENCE = 1000  # calls with old values, after which new ones are no longer waited for
_SAMPLE = 64  # numbers of an array that are looked at to see whether it is another than before


class Checked:
    """A program that is compared with its function until it is trusted."""

    def __init__(self, checks: float) -> None:
        self.checks = checks  # comparisons that are still to be made
        self.failed: DifferenceError | None = None
        self.compared_with: set[int] = set()  # fingerprints of arguments
        self.repeats = 0  # calls with values that were compared before

    values: Callable[..., Sequence[Any]]  # the numbers and arrays among the arguments
    run: Callable[..., Any]
    compared: Callable[..., Any]

    def checked(
        self, function: Callable[..., Any], args: Any, kwargs: Any, always: bool = False
    ) -> Any:
        """Run the program, and the function beside it if the values are new."""
        if self.failed is not None:
            raise self.failed.with_traceback(None)
        always = always or self.checks == math.inf
        seen = 0 if self.checks == math.inf else _fingerprint(self.values(*args, **kwargs))
        if seen in self.compared_with and not always:
            self.repeats += 1
            if self.repeats >= PATIENCE:
                self.checks = 0
            return self.run(*args, **kwargs)
        try:
            result = self.compared(function, args, kwargs)
        except DifferenceError as error:
            self.failed = error
            raise
        if seen not in self.compared_with:
            self.compared_with.add(seen)
            self.checks -= 1
        return result


def _fingerprint(values: Sequence[Any]) -> int:
    """A number that is another for other values, in all likelihood."""
    parts: list[Any] = []
    for x in values:
        if isinstance(x, np.ndarray):
            if x.size > 2 * _SAMPLE:
                x = (
                    x.reshape(-1)[:: x.size // _SAMPLE]
                    if x.flags.c_contiguous
                    else x.flat[:_SAMPLE]
                )
            parts.append(x.tobytes())
        elif isinstance(x, np.random.Generator):
            parts.append(repr(x.bit_generator.state))
        else:
            parts.append((type(x), repr(x)))
    return hash(tuple(parts))


@dataclass
class _Array:
    """An array and what it held."""

    array: Any
    before: Any

    @classmethod
    def of(cls, x: Any) -> _Array:
        return cls(x, copied(x))

    def restored(self) -> Any:
        if isinstance(self.array, np.ndarray) and self.array.flags.writeable:
            self.array[...] = self.before
        return self.array


class Snapshot:
    """What a call may change: Tensors, what optimizers and modules hold, generators. With `all`,
    everything that was found around the function."""

    def __init__(self, found: Found, args: Any, all: bool = False) -> None:
        given = [x for _, x in leaves(args)]
        around = [v.value for v in found.variables]
        tensors = {
            x: None for x in (*given, *around) if is_kind(x, Tensor) and x.is_leaf and x.level <= 0
        }
        self.tensors = [(t, _Array.of(t.value), _Array.of(t.grad), t.born) for t in tensors]
        self.optimizers = [v.value for v in found.variables if v.kind == "optimizer"]
        held = [v for v in found.variables if v.live and v.is_writable]
        places = [v for v in held if type(v.value) in ARRAYS or is_counter(v.value)]
        remembered = [
            FreeVariable("entry", owner, key, None, str(key), "")
            for owner, key in self._remembered()
        ]
        self.places = [(v, _Array.of(v.read())) for v in (*places, *remembered)]
        self.entries = {(id(v.owner), v.key) for v in remembered}
        generators = {
            id(g): g
            for g in (*given, *found.objects.values())
            if isinstance(g, np.random.Generator)
        }
        self.generators = [(g.bit_generator, g.bit_generator.state) for g in generators.values()]
        traced = {(id(v.owner), v.key) for v, _ in self.places}
        self.state = State(found, traced) if all else None
        self.randomness = Randomness(found, generators.values()) if all else None

    def _remembered(self) -> Iterator[tuple[Any, Any]]:
        for optimizer in self.optimizers:
            yield from optimizer.live_entries()

    def now(self) -> list[tuple[str, Any]]:
        """Copies of what is there now, and what to call each."""
        found: list[tuple[str, Any]] = []
        for i, (t, _, _, _) in enumerate(self.tensors):
            name = repr(t.name) if t.name else f"Tensor {i}"
            found.append((f"the value of {name}", copied(t.value)))
            found.append((f"the gradient of {name}", copied(t.grad)))
        found += [(repr(v.key), copied(v.read())) for v, _ in self.places]
        found += [("the state of a generator", repr(bits.state)) for bits, _ in self.generators]
        return found

    def restore(self) -> None:
        for t, value, grad, born in self.tensors:
            t.value, t.grad, t.born = value.restored(), grad.restored(), born
        for v, held in self.places:
            v.write(held.restored())
        for owner, key in list(self._remembered()):
            if (id(owner), key) not in self.entries:
                del owner[key]
        for bits, state in self.generators:
            bits.state = state
        if self.state is not None:
            self.state.restore()
        if self.randomness is not None:
            self.randomness.rewind()

    def move(self) -> None:
        """Change all numbers in their last digits."""
        for i, (t, value, grad, _) in enumerate(self.tensors):
            t.value = _moved_in_place(value.array, i)
            t.grad = _moved_in_place(grad.array, -1 - i)
        for i, (_, held) in enumerate(self.places):
            if isinstance(held.array, np.ndarray):
                _moved_in_place(held.array, i)


def _moved_in_place(x: Any, seed: int) -> Any:
    other = moved(x, abs(seed) * 2 + (seed < 0))
    if isinstance(x, np.ndarray) and x.flags.writeable:
        x[...] = other
        return x
    return other


def copied(x: Any) -> Any:
    """What an array holds now; anything else as it is."""
    return x.copy() if isinstance(x, np.ndarray) else x


def check_same(
    name: str,
    program: tuple[Any, list[tuple[str, Any]]],
    function: tuple[Any, list[tuple[str, Any]]],
    play: Callable[[bool], tuple[Any, Any]],
) -> None:
    """Raise an error if results and changes of a program are not those of the function. `play` runs
    function and program on arguments that differ in the last digits, or on such Tensors alone."""
    found, expected = _listed(program), _listed(function)
    difference = _difference(found, expected)
    if difference is None:
        return
    where, said, is_numeric = difference
    if is_numeric and _is_rounding(found, expected, play):
        return
    raise DifferenceError(
        f"compile cannot be trusted with {name}: {where} {said}. The function depends on something"
        " that no program can follow: the type or the identity of a number, or what it finds around"
        " it; see compile's documentation for what is constant"
    )


def _is_rounding(
    found: list[tuple[str, Any]],
    expected: list[tuple[str, Any]],
    play: Callable[[bool], tuple[Any, Any]],
) -> bool:
    """Whether the two are no farther apart than each is from itself on moved arguments."""
    for moves_arguments in (True, False):  # labels, say, must be what they are
        try:
            function, program = play(moves_arguments)
        except Exception:
            continue
        return not _is_far(found, expected, _listed(function), _listed(program))
    return False


def _listed(outcome: tuple[Any, list[tuple[str, Any]]]) -> list[tuple[str, Any]]:
    result, changes = outcome
    listed = [(f"result{path}", _plain(y)) for path, y in leaves(result)]
    return [("the form of the result", _form(result)), *listed, *changes]


def _plain(y: Any) -> Any:
    return y.primal_value() if isinstance(y, Tensor) else y


def _form(nest: Any) -> Any:
    """A nest without its leaves."""
    if isinstance(nest, dict):
        return {key: _form(branch) for key, branch in nest.items()}
    if isinstance(nest, list | tuple):
        return type(nest).__name__, [_form(branch) for branch in nest]
    return None if nest is None else ...


def _is_number(x: Any) -> bool:
    return isinstance(x, float | int | complex | np.generic | np.ndarray) and (
        np.asarray(x).dtype.kind in "biufc"
    )


def _difference(
    found: list[tuple[str, Any]], expected: list[tuple[str, Any]]
) -> tuple[str, str, bool] | None:
    """The first difference: where, what, and whether it is one of numbers alone."""
    for (where, x), (_, y) in zip(found, expected, strict=False):
        if x is y:
            continue
        if not _is_number(x) or not _is_number(y):
            if not _equal(x, y):
                return (
                    where,
                    f"is {_short(x)} by the program and {_short(y)} by the function",
                    False,
                )
            continue
        a, b = np.asarray(x), np.asarray(y)
        if a.shape != b.shape:
            said = f"has shape {a.shape} by the program and {b.shape} by the function"
            return where, said, False
        if a.dtype != b.dtype and (a.ndim or b.ndim):
            return where, f"is {a.dtype} by the program and {b.dtype} by the function", False
        with np.errstate(all="ignore"):
            if _is_near(a, b):
                continue
            excess = _excess(a, b)
            if np.max(excess) > 1:
                index = np.unravel_index(int(np.argmax(excess)), a.shape)
                at = f" at {tuple(map(int, index))}" if a.ndim else ""
                said = f"is {a[index]!r}{at} by the program and {b[index]!r} by the function"
                return where, said.replace("np.float64(", "(").replace("np.float32(", "("), True
    if len(found) != len(expected):
        return "the result", "has another form by the program than by the function", False
    return None


def _tolerance(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return {2: 1e-2, 4: 1e-4}.get(dtype.itemsize, 1e-9)
    return 1e-4 if dtype == np.complex64 else 1e-9


def _is_near(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same to far less than `_excess` allows, which is quickly seen."""
    if np.array_equal(a, b):
        return True
    if a.dtype.kind not in "fc" or b.dtype.kind not in "fc":
        return False
    tol = 1e-3 * _tolerance(a.dtype)
    return bool(np.max(np.abs(a - b)) <= tol * np.max(np.abs(b)))


def _excess(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The distance of each two numbers over that which rounding may make."""
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        return np.where(a == b, 0.0, 2.0)
    tol = max(_tolerance(a.dtype), _tolerance(b.dtype))
    finite = np.isfinite(a) & np.isfinite(b)
    size = np.maximum(np.abs(a), np.abs(b))
    scale = np.max(size, where=finite, initial=0.0)
    near = np.abs(a * 1.0 - b) / (tol * np.maximum(size, 1e-3 * scale) + np.finfo(float).tiny)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(finite, near, np.inf))


def _is_far(
    found: list[tuple[str, Any]],
    expected: list[tuple[str, Any]],
    function: list[tuple[str, Any]],
    program: list[tuple[str, Any]],
) -> bool:
    """Whether program and function are farther from each other than rounding takes either."""
    largest = max((_size(y) for _, y in (*expected, *found)), default=0.0)
    for (_, x), (_, y), (_, f), (_, p) in zip(found, expected, function, program, strict=False):
        if not all(map(_is_number, (x, y, f, p))) or not np.shape(y) == np.shape(f) == np.shape(p):
            continue
        a, b = np.asarray(x), np.asarray(y)
        with np.errstate(all="ignore"):
            if not a.size or np.max(_excess(a, b)) <= 1:
                continue
            distance = np.abs(a * 1.0 - b)
            width = np.abs(b * 1.0 - f) + np.abs(a * 1.0 - p)
            if a.dtype.kind in "fc":  # a sum of large numbers may be nothing but rounding
                width = width + np.finfo(a.dtype).eps * largest / 10
            if not np.all(np.isfinite(width)):
                continue
            if not np.all(np.isfinite(distance)) or np.max(distance) > 100 * np.max(width):
                return True
    return False


def _size(x: Any) -> float:
    """The largest finite number in something."""
    if not _is_number(x) or not np.size(x):
        return 0.0
    size = np.abs(np.asarray(x) * 1.0)
    return float(np.max(size, where=np.isfinite(size), initial=0.0))


def _equal(x: Any, y: Any) -> bool:
    try:
        return bool(type(x) is type(y) and x == y) or (
            # An object of no known kind is as good as another of its class.
            type(x) is type(y) and has_identity(type(x))
        )
    except Exception:
        return type(x) is type(y)


def _short(x: Any) -> str:
    return f"{x!r:.60}"


def moved(nest: Any, seed: int = 0) -> Any:
    """A nest like this one whose floats differ by a few units in the last place."""
    rng = np.random.default_rng(seed)

    def one(x: Any) -> Any:
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            eps = np.finfo(x.dtype).eps
            return (x * (1 + eps * rng.integers(-4, 5, x.shape))).astype(x.dtype)
        if type(x) is float or isinstance(x, np.floating):
            eps = np.finfo(np.result_type(x)).eps
            return type(x)(x * (1 + eps * int(rng.choice([-4, -3, -2, 2, 3, 4]))))
        return x

    return transformed(one, nest)
