"""Direct: the program of one of the library's own functions, which reads nothing but its arguments.

A user's function reads what it finds around it, which `tracing.trace_call` has to search for. A reader
that rebuilds a recorded graph on tracers reads its arguments alone.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from autobp.compiler.program import Program, mapped
from autobp.compiler.trace.trace import Trace
from autobp.compiler.trace.tracer import Tracer
from autobp.context import tracing
from autobp.tensor import Tensor

__all__ = ["program_of"]


def program_of(function: Callable[..., Any], given: Mapping[str, Any]) -> Program:
    """The program of a function whose arguments are numbers and arrays, by name.

    >>> import numpy as np
    >>> program_of(lambda x, y: np.tanh(x) * y, {"x": 0.5, "y": np.ones(3)})
    <program of 2 steps>
    """
    trace = Trace()
    arguments = [trace.argument(value, name) for name, value in given.items()]

    def run() -> Any:
        tracing.set(trace)
        found = function(*arguments)
        return (
            tuple(found) if isinstance(found, tuple) else found
        )  # also one whose parts have names

    with np.errstate(all="ignore"):
        trace.errors = {**np.geterr()}
        result = contextvars.copy_context().run(run)
    if trace.refusal is not None:
        raise trace.refusal
    result = mapped(lambda t: t.primal_value(), result, Tensor)
    result = mapped(lambda t: t.current().step, result, Tracer)
    return trace.program(mapped(trace.constant, result, np.ndarray))
