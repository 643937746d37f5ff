"""Layers: attention and batch normalization, which are operations of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np

from autobp.compiler.javascript.places import Printer, numbered, spread, stacked
from autobp.compiler.program import Step
from autobp.rules import attention, normalization

__all__ = ["LAYERS", "SCRIPT"]

#: What a program with such a layer brings along.
SCRIPT = files(__package__).joinpath("layers.js").read_text(encoding="utf-8")


def _attended(p: Printer, step: Step) -> str:
    q, k, v = step.args
    batch, how = step.shape[:-2], [step.params[name] for name in ("scale", "mask", "causal")]
    sizes = f"{q.shape[-2]}, {k.shape[-2]}"
    weights = _weights(p, q, k, how, batch)
    arrays = [weights, spread(p, v, numbered(v), batch)]
    return stacked(batch, f"(w, v) => attended(w, v, {sizes})", arrays)


def _cotangents(p: Printer, step: Step) -> str:
    g, y, q, k, v, *how = step.args
    batch = np.broadcast_shapes(g.shape[:-2], y.shape[:-2])
    sizes = f"{q.shape[-2]}, {k.shape[-2]}, {p.name(how[0])}"
    arrays = [spread(p, g, numbered(g), batch), _weights(p, q, k, how, batch)]
    arrays += [spread(p, x, numbered(x), batch) for x in (q, k, v)]
    of = "(...arrays) => attendedCotangents(...arrays, {})[{}]".format
    given = ", ".join(f"x{i}" for i in range(5))
    found = ", ".join(stacked(batch, of(sizes, i), [f"x{j}" for j in range(5)]) for i in range(3))
    return f"(({given}) => [{found}])({', '.join(arrays)})"


def _tangent(p: Printer, step: Step) -> str:
    dq, dk, y, q, k, v, *how = step.args
    batch = step.shape[:-2]
    sizes = f"{q.shape[-2]}, {k.shape[-2]}, {p.name(how[0])}"
    arrays = [spread(p, x, numbered(x), batch) for x in (dq, dk, y)]
    arrays += [_weights(p, q, k, how, batch), spread(p, v, numbered(v), batch)]
    return stacked(batch, f"(...arrays) => attendedTangent(...arrays, {sizes})", arrays)


def _weights(p: Printer, q: Step, k: Step, how: Any, batch: tuple[int, ...]) -> str:
    """The weights of all keys for each query."""
    scale, mask, causal = how
    arrays = [spread(p, x, numbered(x), batch) for x in (q, k)]
    given = "q, k"
    if mask is not None:
        whole = np.broadcast_to(numbered(mask), (*batch, q.shape[-2], k.shape[-2]))
        added = "(m) => (m ? 0 : -Infinity)" if mask.dtype == bool else "(m) => m"
        arrays.append(f"pick({p.name(mask)}, {p.places(whole)}).map({added})")
        given += ", mask"
    sizes = f"{q.shape[-2]}, {k.shape[-2]}, {p.name(scale)}, {str(bool(causal)).lower()}"
    text = f"({given}) => looked(q, k, {'null' if mask is None else 'mask'}, {sizes})"
    return stacked(batch, text, arrays)


def _normalized(p: Printer, step: Step) -> str:
    x, w, b = step.args
    eps = p.name(step.params["eps"])
    return f"normalized({p.name(x)}, {p.name(w)}, {p.name(b)}, {_area(x)}, {eps})"


def _normalized_cotangents(p: Printer, step: Step) -> str:
    g, x, w, eps = step.args
    return f"normalizedCotangents({p.name(g)}, {p.name(x)}, {p.name(w)}, {_area(x)}, {p.name(eps)})"


def _moments(p: Printer, step: Step) -> str:
    x = step.args[0]
    return f"channelMoments({p.name(x)}, {x.shape[1]}, {_area(x)})"


def _area(x: Step) -> int:
    return x.shape[2] * x.shape[3]


#: What spells a step, by its function.
LAYERS: dict[Any, Callable[[Any, Step], str]] = {
    attention.attention.function: _attended,
    inspect.unwrap(attention.attended_cotangents): _cotangents,
    inspect.unwrap(attention.attended_tangent): _tangent,
    normalization.batch_norm.function: _normalized,
    inspect.unwrap(normalization.normalized_cotangents): _normalized_cotangents,
    inspect.unwrap(normalization.channel_moments): _moments,
}
