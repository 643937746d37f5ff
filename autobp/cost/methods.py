"""The methods of differentiation that are compared, each as a start and a number of steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from autobp.cost.batches import AtOnce, Batches, Compressed
from autobp.cost.problem import Method, Part, Problem, flat
from autobp.cost.segments import Segmented
from autobp.counts import Counts, Sweeps, recorded
from autobp.dag import Recording, record
from autobp.forward import Steps, in_order, jvp, pushed
from autobp.higher import hvp
from autobp.reverse import grad, pulled, vjp
from autobp.tensor import Tensor

_PRECISION = np.finfo(float).eps

__all__ = ["first_order", "one_by_one", "second_order"]

# ── the steps ─────────────────────────────────────────────────────────────────────────────────────


def _run(p: Problem, start: None, i: int) -> None:
    p.run()


def _step(x: Any, power: float) -> Any:
    """As small as rounding allows: a power of the precision that x is kept in."""
    precise = _PRECISION if type(x) is float else np.finfo(type(x)).eps
    return type(x)(precise**power * max(1.0, abs(x)))


def _central(p: Problem, start: None, i: int) -> np.ndarray:
    x, run = p.moved(i)
    h = _step(x, 1 / 3)
    return (run(x + h) - run(x - h)) / ((x + h) - (x - h))


def _one_sided(p: Problem, value: np.ndarray, i: int) -> np.ndarray:
    x, run = p.moved(i)
    h = _step(x, 1 / 2)
    return (run(x + h) - value) / ((x + h) - x)


def _online(p: Problem, start: None, i: int) -> Any:
    return jvp(p.function, p.args, p.direction(i))[1]


def _recording_forward(p: Problem) -> tuple[Recording, Steps]:
    traced = p.record()
    return traced, in_order(traced)


def _pushed(p: Problem, recorded: tuple[Recording, Steps], i: int) -> Any:
    return pushed(*recorded, p.inputs.seeds(i))


def _recording_reverse(p: Problem) -> tuple[Recording, list[Tensor]]:
    traced = p.record()
    return traced, traced.order()


def _recording_segments(p: Problem, kept: Segmented) -> tuple[Recording, list[Tensor]]:
    traced = record(kept, p.inputs.values, range(len(p.inputs.values)))
    return traced, traced.order()


def _row(i: int, result: Any, rows: np.ndarray) -> Part:
    found = flat(result)[None]
    mine = rows[rows == i]
    return Part(mine, np.arange(found.shape[1]), found[: len(mine)])


def _pulled(p: Problem, recorded: tuple[Recording, list[Tensor]], j: int) -> Any:
    return pulled(*recorded, p.outputs.seeds(j))


def _over_forward(p: Problem, start: None, i: int) -> Any:
    direction = p.direction(i)
    return grad(lambda *args: jvp(p.function, args, direction)[1], p.argnums)(*p.args)


def _with_gradient(p: Problem, cotangent: Any, *args: Any) -> Any:
    """The value and the gradient. If the cotangent is a Tensor, operations on it are recorded."""
    value, pullback = vjp(p.function, *args)
    return value, pullback(cotangent)


def _differences(p: Problem, sides: int, once: Counts) -> Counts:
    """The evaluations, and the arithmetic around them."""
    n, m = p.inputs.size, p.outputs.size
    return once * sides * n + Counts(multiplications=m, additions=m + sides) * n


# ── the methods ───────────────────────────────────────────────────────────────────────────────────

Cost = tuple[Counts, int]


def _method(
    name: str, sweeps: str, steps: int, cost: Callable[[], Cost], step: Any, **options: Any
) -> Method:
    counts: Counts | None
    alive: int | None
    try:
        counts, alive = cost()
    except Exception:  # of a rule that is not written in NumPy, and runs on plain arrays alone
        counts = alive = None
    return Method(name, sweeps, steps, counts, alive, step, **options)


def _batched(name: str, b: Batches, once: Counts, tape: int) -> Method:
    return _method(
        name, b.sweeps, len(b.spans), lambda: (once + b.counts, tape + b.alive), b.step,
        start=b.start, width=b.width, found=b.found,
    )  # fmt: skip


def _sweeps(number: int, what: str, recording: bool = False) -> str:
    said = f"{'1 recording, ' if recording else ''}{number:,} {what}"
    return said.replace("[s]", "s"[: number != 1])


def one_by_one(p: Problem) -> list[Method]:
    """All partial derivatives, one direction at a time."""
    n, m = p.inputs.size, p.outputs.size
    f, tape = p.graph.evaluation, p.graph.evaluation.tape
    recording = Counts(visits=len(f.operations))

    def online() -> Cost:
        dual = recorded(lambda a, t: jvp(p.function, a, t), p.args, p.direction(0))
        return (dual.counts + recording * 3) * n, dual.alive

    # fmt: off
    return [
        _method("one evaluation of f", "1 evaluation", 1,
                lambda: (f.counts, f.alive),
                partial(_run, p)),
        _method("central differences", _sweeps(2 * n, "evaluation[s]"), n,
                lambda: (_differences(p, 2, f.counts), f.alive),
                partial(_central, p)),
        _method("one-sided differences", _sweeps(n + 1, "evaluation[s]"), n,
                lambda: (_differences(p, 1, f.counts) + f.counts, f.alive),
                partial(_one_sided, p), start=lambda: flat(p.run())),
        _method("forward, online", _sweeps(n, "evaluation[s] with tangents"), n,
                online,
                partial(_online, p)),
        _method("forward, recorded", _sweeps(n, "forward", recording=True), n,
                lambda: (f.counts + recording + p.forward(), tape + p.graph.forward().alive),
                partial(_pushed, p), start=partial(_recording_forward, p)),
        _method("reverse", _sweeps(m, "backward", recording=True), m,
                lambda: (f.counts + recording + p.reverse(), tape + p.graph.reverse().alive),
                partial(_pulled, p), start=partial(_recording_reverse, p), reference=True),
    ]
    # fmt: on


def first_order(p: Problem) -> list[Method]:
    """All partial derivatives, by all ways."""
    m, f = p.outputs.size, p.graph.evaluation
    once = f.counts + Counts(visits=len(f.operations))
    batches: dict[str, Batches] = {
        "forward, all at once": AtOnce(p, True),
        "reverse, all at once": AtOnce(p, False),
        "sparse forward": Compressed(p, True),
        "sparse reverse": Compressed(p, False),
    }
    cut = Segmented(p.record())

    def again() -> Cost:
        kept = Sweeps(cut, p.inputs.values)
        return once + p.reverse() + once * m, kept.evaluation.tape + kept.reverse().alive

    # fmt: off
    return [
        *one_by_one(p),
        *(_batched(name, b, once, f.tape) for name, b in batches.items()),
        _method("reverse with remat", f"{_sweeps(m, 'backward')}, {_sweeps(len(cut.segments), 'segment[s]')}", m,
                again,
                partial(_pulled, p), start=partial(_recording_segments, p, cut), found=_row),
    ]
    # fmt: on


def second_order(p: Problem) -> list[Method]:
    """All second partial derivatives, and their product with one vector."""
    if np.shape(p.graph.record.result) or p.outputs.size != 1:
        raise ValueError(
            f"compare(order=2) is of a function that returns a number; this one returns {p.outputs.size}"
        )
    n = p.inputs.size
    f = p.graph.evaluation
    g = Problem(grad(p.function, p.argnums), p.args)
    gradient, held = f.counts + p.reverse(), f.tape + p.graph.reverse().alive
    tape = recorded(partial(_with_gradient, p), 1.0, *p.args).tape

    def product() -> Cost:
        tangents = lambda a, t, one: jvp(partial(_with_gradient, p, one), a, t)
        return recorded(tangents, p.args, p.direction(0), 1.0).counts, 2 * held

    def over_forward() -> Cost:
        dual = recorded(lambda a, t: jvp(p.function, a, t), p.args, p.direction(0))
        slope = Sweeps(lambda *args: jvp(p.function, args, p.direction(0)), p.args)
        back = slope.reverse([1])
        return (dual.counts + back.counts) * n, slope.evaluation.tape + back.alive

    # fmt: off
    return [
        _method("one evaluation of f", "1 evaluation", 1,
                lambda: (f.counts, f.alive),
                partial(_run, p)),
        _method("gradient, reverse", "1 recording, 1 backward", 1,
                lambda: (gradient, held),
                partial(_run, g)),
        _method("Hessian × vector, forward over reverse", "1 gradient with tangents", 1,
                product,
                lambda start, i: hvp(p.function, p.args, p.direction(i))),
        _method("Hessian × vector, reverse over reverse", "1 recording, 1 backward", 1,
                lambda: (gradient + g.graph.reverse().counts, tape + g.graph.reverse().alive),
                partial(_pulled, g), start=partial(_recording_reverse, g)),
        _method("Hessian, differences of gradients", _sweeps(2 * n, "gradient[s]"), n,
                lambda: (_differences(g, 2, gradient), held),
                partial(_central, g)),
        _method("Hessian, forward over reverse", _sweeps(n, "forward", recording=True), n,
                lambda: (gradient + g.forward(), tape + g.graph.forward().alive),
                partial(_pushed, g), start=partial(_recording_forward, g), reference=True),
        _batched("Hessian, forward over reverse, all at once", AtOnce(g, True), gradient, tape),
        _batched("Hessian, sparse forward over reverse", Compressed(g, True, symmetric=True), gradient, tape),
        _method("Hessian, reverse over forward", _sweeps(n, "slope[s], each with 1 backward"), n,
                over_forward,
                partial(_over_forward, p)),
        _method("Hessian, reverse over reverse", _sweeps(n, "backward", recording=True), n,
                lambda: (gradient + g.reverse(), tape + g.graph.reverse().alive),
                partial(_pulled, g), start=partial(_recording_reverse, g)),
    ]
    # fmt: on
