"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autobp.compiler.onnx.graph import Builder, Value
from autobp.compiler.onnx.operands import Operands
from autobp.compiler.program import Step

__all__ = ["einsum", "matmul", "outer", "vdot"]


def _factors(p: Operands, step: Step, factors: Sequence[Any]) -> list[Value]:
    if step.dtype == bool:
        raise NotImplementedError(" of truth values")
    return [p.typed(x, step.dtype) for x in factors]


def matmul(p: Operands, step: Step) -> Value:
    a, b = _factors(p, step, step.args)
    if step.function is np.dot:
        if not (a.shape and b.shape):
            return p.o.Mul(a, b)
        if b.ndim > 2:
            raise NotImplementedError(" of more than two axes")
    return _product(p.o, a, b, step.shape)


def _product(o: Builder, a: Value, b: Value, shape: Sequence[int]) -> Value:
    """A vector beside a matrix is a matrix too: of a transpose by a vector, onnxruntime makes one
    call that forgets the transpose."""
    if a.ndim == b.ndim == 1 or (a.ndim > 1 and b.ndim > 1):
        return o.emit("MatMul", [a, b], a.dtype, shape)
    if a.ndim == 1:
        row = o.unsqueeze(a, [0])
        found = o.emit("MatMul", [row, b], a.dtype, (*shape[:-1], 1, shape[-1]))
        return o.squeeze(found, [found.ndim - 2])
    column = o.unsqueeze(b, [1])
    return o.squeeze(o.emit("MatMul", [a, column], a.dtype, (*shape, 1)), [len(shape)])


def vdot(p: Operands, step: Step) -> Value:
    flat = map(p.o.flat, _factors(p, step, step.args))
    return p.o.emit("MatMul", [*flat], step.dtype, ())


def outer(p: Operands, step: Step) -> Value:
    a, b = _factors(p, step, step.args)
    return p.o.Mul(p.o.reshape(a, [a.size, 1]), p.o.reshape(b, [1, b.size]))


def einsum(p: Operands, step: Step) -> Value:
    subscripts, *arrays = step.args
    if not isinstance(subscripts, str):
        raise NotImplementedError(" of lists of axes")
    given = _factors(p, step, arrays)
    if any(x.size == 0 for x in given):  # which would end the process of onnxruntime
        return p.o.full(step.shape, 0, step.dtype)
    equation = subscripts.replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if "." not in equation:  # an axis of length 1 is broadcast, which ONNX does not
        size: dict[str, int] = {}
        for i, n in ((i, n) for t, x in zip(terms, given) for i, n in zip(t, x.shape)):
            size[i] = n if size.get(i, 1) == 1 else size[i]
        full = [tuple(size[i] for i in t) for t in terms]
        given = [x if x.shape == s else p.o.expand(x, s) for x, s in zip(given, full)]
    return p.o.emit("Einsum", given, step.dtype, step.shape, equation=equation)
