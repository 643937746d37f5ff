"""Checked: a program that is compared with its function until it is trusted."""

from __future__ import annotations

import builtins
import contextvars
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autobp.compiler.call import Call
from autobp.compiler.comparison import check_same
from autobp.compiler.memory import give_back
from autobp.compiler.snapshot import Snapshot, moved
from autobp.compiler.terms import Changed, DifferenceError, Settings
from autobp.compiler.trace.free_variables import Found
from autobp.compiler.trace.handlers import is_of_handler
from autobp.tensor import Tensor
from autobp.tree import transformed

__all__ = ["Checked"]

PATIENCE = 1000  # calls with old values, after which new ones are no longer waited for
_SAMPLE = 64  # numbers of an array that are looked at to see whether it is another than before


class Checked:
    """A program, and the comparisons that are still to be made."""

    values: Callable[..., Sequence[Any]]  # the numbers and arrays among the arguments
    run: Callable[..., Any]

    repeats: int
    checks: float | int

    def __init__(self, call: Call, found: Found) -> None:
        self.name: str = _free(call.name) if call.name.isidentifier() else "program"
        self.called: str = call.name  # what messages call it
        self.settings: Settings = call.settings
        self.found = found  # the free variables
        self.checks = call.settings.check  # comparisons that are still to be made
        self.failed: DifferenceError | None = None
        self.compared_with: set[int] = set()  # fingerprints of arguments
        self.repeats = 0  # calls with values that were compared before

    def checked(
        self, function: Callable[..., Any], args: Any, kwargs: Any, always: bool = False
    ) -> Any:
        """Run the program, and the function too if the values are new."""
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
            if not self.checks:
                give_back()
        return result

    def release(self) -> None:
        """Free the memory that is kept for the next call."""

    def copies(self, args: Any, kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """The arguments for the program, and for the function where the program overwrites them."""
        return (args, kwargs), (args, kwargs)

    def compared(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The result of the program, after the function has given the same. Of what both change, the
        function's doing counts, or with `keep_program` the program's.

        Both begin with the same Tensors, optimizers and generators: what the first to run changes is
        put back. Where they differ by more than rounding, both tell how much rounding matters: they
        run again on arguments that are changed in their last digits."""
        (args, kwargs), own = self.copies(args, kwargs)
        keeps_program = self.settings.keep_program
        snapshot = Snapshot(self.found, (args, kwargs), all=keeps_program)

        def by_program() -> Any:
            with np.errstate(all="ignore"):  # what there is to warn of, the function warns of
                result = self.run(*args, **kwargs)
            self.release()  # the function needs as much again
            return result, snapshot.now()

        def by_function() -> Any:
            return transformed(_value, function(*own[0], **own[1])), snapshot.now()

        def again(run: Callable[..., Any], moves_arguments: bool, far: int) -> Any:
            after = Snapshot(self.found, (args, kwargs), all=True)
            given, named = moved(own, far) if moves_arguments else own
            try:
                snapshot.restore()
                snapshot.move(far)
                with np.errstate(all="ignore"):
                    result = transformed(
                        _value, contextvars.copy_context().run(run, *given, **named)
                    )
                return result, snapshot.now()
            finally:
                self.release()
                snapshot.restore()
                after.restore()

        def replay(moves_arguments: bool, far: int) -> Any:
            return again(function, moves_arguments, far), again(self.run, moves_arguments, far)

        first, second = (by_function, by_program) if keeps_program else (by_program, by_function)
        failure = None
        try:
            one = first()
        except Changed:
            snapshot.restore()
            raise
        except Exception as error:
            if keeps_program:  # it is the function's own
                raise
            if is_of_handler(error):
                snapshot.restore()
                raise
            failure = error
        except BaseException:
            snapshot.restore()
            raise
        snapshot.restore()
        if failure is not None:
            by_function()  # which raises it too
            raise DifferenceError(
                f"compile cannot be trusted with {self.called}: the program raises"
                f" {type(failure).__name__}: {failure}; the function does not"
            ) from failure
        other = second()
        program, expected = (other, one) if keeps_program else (one, other)
        try:
            check_same(self.called, program, expected, replay)
        except DifferenceError:
            if keeps_program:
                snapshot.restore()
            raise
        return program[0]


def _free(name: str) -> str:
    """A name for the program, which calls functions of Python, and those of NumPy, by their names."""
    return f"{name}_" if hasattr(builtins, name) or name in ("np", "math") else name


def _value(y: Any) -> Any:
    """A result without the graph behind it, which takes the memory of a run."""
    return y.primal_value() if isinstance(y, Tensor) else y


def _fingerprint(values: Sequence[Any]) -> int:
    """A number that is another for other values, in all likelihood."""
    floats = [x for x in values if type(x) is float]
    others = [x for x in values if type(x) is not float]
    parts: list[Any] = [np.array(floats).tobytes()]  # one by one, thousands would take long
    for x in others:
        if isinstance(x, np.ndarray):
            if x.size > 2 * _SAMPLE:
                is_flat = x.flags.c_contiguous
                x = x.reshape(-1)[:: x.size // _SAMPLE] if is_flat else x.flat[:_SAMPLE]
            parts.append(x.tobytes())
        elif isinstance(x, np.random.Generator):
            parts.append(repr(x.bit_generator.state))
        else:
            parts.append((type(x), repr(x)))
    return hash(tuple(parts))
