"""Shards: the gradient of a batch, computed in parts by the workers of an executor.

The data is split once: sample i belongs to shard i mod n, for n workers, so that a batch is spread over
all shards, shuffled or not. Each step sends the model, as it is then, and the positions of the samples
of a batch. A shard itself is sent to workers that lack it, and at most as often as there are workers.
"""

from __future__ import annotations

import copy
import hashlib
import os
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from autobp.context import evaluation
from autobp.nn import BatchNorm1d, BatchNorm2d, Dropout
from autobp.primitive import constant
from autobp.tensor import Tensor
from autobp.train.executors import check_sendable, this_process
from autobp.train.fingerprint import fingerprint
from autobp.train.scalar import number
from autobp.train.source import Pair
from autobp.train.worker import Gradient, Program, Reply, Task, computed, forget, keep, work

__all__ = ["Shards", "workers_of"]

#: How often a worker is asked for a shard that another has, before it is sent to this one too.
ASKED = 3

#: Of any loss.
_EXPECTED = "the executor needs a loss that is a mean or a sum over the samples of a batch"


@dataclass
class Shards:
    """The gradients of one training, over the workers of an executor.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> from autobp import nn
    >>> from autobp.train.shards import Shards
    >>> from autobp.train.source import Pair
    >>> model, data = nn.Linear(2, 1, rng=0), Pair(np.ones((6, 2)), np.zeros((6, 1)))
    >>> with ThreadPoolExecutor(2) as executor:
    ...     shards = Shards(executor, data, model, nn.mse, predicts=False, warn=print)
    ...     found = shards.gradient(np.arange(4), [*model.parameters()])
    >>> nn.mse(model(data.X[:4]), data.y[:4]).backward()
    >>> np.testing.assert_allclose(found.by[0], model.weight.grad)
    """

    executor: Executor
    data: Pair
    model: Any
    loss: Callable[[Any, Any], Any]
    predicts: bool  # whether predictions are needed
    warn: Callable[[str], None]

    def __post_init__(self) -> None:
        self.data = Pair(*(np.asarray(constant(a)) for a in self.data))
        self.count = min(workers_of(self.executor), len(self.data.X))
        #: The samples of each shard.
        self.rows = [Pair(*(a[i :: self.count] for a in self.data)) for i in range(self.count)]
        self.name = _contents(self.data), self.count
        self.training, self.steps = uuid.uuid4().hex, 0
        self.is_mean: bool | None = None  # or a sum; None until a batch tells
        self.workers: set[str] = set()  # those that ever answered
        self.placed: set[int] = set()  # shards that some of them has
        self.sent = [0] * self.count  # how often each was
        self.failures = 0  # of the executor, one after another
        self.is_broken = False
        for i, rows in enumerate(self.rows):  # for threads, and for children that are forked
            keep(self.name, i, rows)

    def close(self) -> None:
        forget(self.name)

    def selected(self, index: np.ndarray) -> tuple[Any, Any]:
        """These samples, and their targets."""
        return self.data.X[index], self.data.y[index]

    # ── one batch ─────────────────────────────────────────────────────────────────────────────────

    def gradient(self, index: np.ndarray, params: Sequence[Tensor]) -> Gradient:
        """The loss of the samples at these positions, and its gradient by the parameters."""
        if self.is_mean is None:
            _check_model(self.model)  # now, when it is in training mode
            self.is_mean = self._is_mean(index)
        if self.is_mean is None:
            return computed(self.data, index, self._copied(params), self.predicts)
        shards = index % self.count
        where = {i: np.flatnonzero(shards == i) for i in range(self.count)}
        where = {i: places for i, places in where.items() if len(places)}
        found = self._found({i: index[p] // self.count for i, p in where.items()}, params)
        total = Gradient(0.0, [None] * len(params))
        for i, places in where.items():  # always in this order, for the same bits
            share = len(places) / len(index) if self.is_mean else 1.0
            total.loss += share * found[i].loss
            for j, g in enumerate(found[i].by):
                if g is not None:
                    before = total.by[j]
                    total.by[j] = share * g if before is None else before + share * g
        parts = {i: found[i].prediction for i in where}
        if self.predicts or _have_rows(parts, where):
            total.prediction = _together(parts, where, len(index))
            self._compare_loss(total, index)
        return total

    def _found(self, rows: dict[int, np.ndarray], params: Sequence[Tensor]) -> dict[int, Gradient]:
        """The gradient of the rows of each shard. What the executor cannot do is done here."""
        program = self.model, self.loss, list(params)
        found: dict[int, Gradient] = {}
        waiting: dict[Future[Reply], int] = {}
        attempts = dict.fromkeys(rows, 0)
        self.steps += 1

        def submit(i: int, sends: bool = False) -> None:
            attempts[i] += 1
            task = Task(
                self.name, i, (self.training, self.steps), attempts[i], rows, program, self.predicts,
                this_process(), Pair(*map(np.ascontiguousarray, self.rows[i])) if sends else None,
            )  # fmt: skip
            try:
                with warnings.catch_warnings():  # Dask's, of a large argument, which is sent once
                    warnings.filterwarnings("ignore", "Sending large graph")
                    waiting[self.executor.submit(work, task)] = i
                self.sent[i] += sends
            except RuntimeError as error:  # a worker died, or the executor was shut down
                failed(i, error)

        def failed(i: int, error: Exception) -> None:
            self._tell(error, i)
            here(i)

        def here(i: int) -> None:
            found[i] = computed(self.rows[i], rows[i], self._copied(params), self.predicts)

        try:
            while missing := [i for i in rows if i not in found]:
                for i in missing:
                    here(i) if self.is_broken else submit(i)
                while waiting:
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        i = waiting.pop(future)
                        try:
                            reply = future.result()
                        except Exception as error:
                            # It is of the executor; errors of the model are replies.
                            check_sendable((work, program), error)
                            failed(i, error)
                            continue
                        self.failures = 0
                        self.workers.add(reply.worker)
                        if reply.error is not None:
                            raise reply.error
                        if reply.shard is not None and reply.gradient is not None:
                            found[reply.shard] = reply.gradient
                            self.placed.add(reply.shard)
                        elif i in found:
                            continue
                        elif self.is_broken:
                            here(i)
                        elif attempts[i] < ASKED and i in self.placed:
                            submit(i)  # to the one that has it, may be
                        elif self.sent[i] < len(self.workers):
                            submit(i, sends=True)
                        else:
                            here(i)
        finally:
            for future in waiting:
                future.cancel()
        return found

    def _copied(self, params: Sequence[Tensor]) -> Program:
        return copy.deepcopy((self.model, self.loss, list(params)))

    def _tell(self, error: Exception, i: int) -> None:
        if self.is_broken:
            return  # which was said
        self.failures += 1
        # BrokenExecutor is a RuntimeError. Others come from an executor that goes on, or none of
        # whose workers can do this.
        self.is_broken = isinstance(error, RuntimeError) or self.failures > 2 * self.count
        since = "alone from here on" if self.is_broken else "and the workers go on"
        said = " ".join(f"{type(error).__name__}: {error}".split())
        self.warn(
            f"fit: a worker failed at shard {i + 1} of {self.count}; this process computes it again, {since}."
            f" {said}"
        )

    # ── what can be split ─────────────────────────────────────────────────────────────────────────

    def _is_mean(self, index: np.ndarray) -> bool | None:
        """Whether the loss is a mean over samples; else it is a sum, or refused. None if these samples do
        not tell, as 0 = 0 + 0 does not."""
        if len(index) < 2:
            raise ValueError("fit: with an executor, a batch must have at least 2 samples")
        cut = len(index) // 3 + 1  # not in the middle, where means of means cannot be told
        parts = index, index[:cut], index[cut:]
        program = self.model, self.loss
        with evaluation():
            self._value(index)  # which may set what the first call of a model sets
            before = fingerprint(program)
            a, b, c = map(self._value, parts)
            after = fingerprint(program)
        if before != after:
            raise ValueError(
                "fit: an executor cannot train a model or a loss that changes when it is called, as"
                " counters, averages and random generators do: it would change in the workers"
            )
        share = cut / len(index)
        mean, total = share * b + (1 - share) * c, b + c
        if not np.isfinite(a):
            return None
        near, far = sorted([mean, total], key=lambda found: abs(found - a))
        if self._is_close(near, a):
            rounding = self._eps() ** 0.6 * max(map(abs, (a, b, c)))
            return near == mean if abs(near - a) <= rounding < abs(far - a) else None
        raise ValueError(
            f"fit: {_EXPECTED}; {_named(self.loss)} is {a:.9g} on one batch of {len(index)} samples,"
            f" {b:.9g} on its first {cut} and {c:.9g} on the others"
        )

    def _value(self, index: np.ndarray) -> float:
        prediction = self.model(self.data.X[index])
        return number("fit: the loss", self.loss(prediction, self.data.y[index]))

    def _is_close(self, a: float, b: float) -> bool:
        if not np.isfinite(a + b):
            return bool(np.isfinite(a) == np.isfinite(b))
        return abs(a - b) <= self._eps() ** 0.6 * (1 + abs(b))

    def _eps(self) -> float:
        """The precision of the coarsest floating-point number that takes part."""
        named = self.model.parameters() if hasattr(self.model, "parameters") else ()
        dtypes = [p.dtype for p in named] + [a.dtype for a in self.data if a.dtype.kind == "f"]
        return max((float(np.finfo(d).eps) for d in dtypes), default=float(np.finfo(float).eps))

    def _compare_loss(self, found: Gradient, index: np.ndarray) -> None:
        """Compare with the loss of all predictions, which costs little beside the model."""
        if np.isfinite(found.loss):
            with evaluation():
                value = self.loss(Tensor(found.prediction), self.data.y[index])
            self._check_loss(found, number("fit: the loss", value))

    def _check_loss(self, found: Gradient, loss: float) -> None:
        if not self._is_close(found.loss, loss):
            raise ValueError(
                f"fit: {_named(self.loss)} is {loss:.9g} on one batch, and {found.loss:.9g} put together"
                f" from the workers' parts: {_EXPECTED}, and data that does not change"
            )

    def compare(self, found: Gradient, loss: float, params: Mapping[str, Tensor]) -> None:
        """Compare with the loss and the gradients of the same batch on this process alone."""
        self._check_loss(found, loss)
        for (name, p), g in zip(params.items(), found.by):
            here = np.zeros(p.shape) if p.grad is None else np.asarray(p.grad)
            there = np.zeros(p.shape) if g is None else g
            size = float(np.max(np.abs(here), initial=0.0))
            difference = float(np.max(np.abs(here - there), initial=0.0))
            if difference > self._eps() ** 0.35 * size + self._eps() ** 0.6:
                raise ValueError(
                    f"fit: the gradient of {name!r} is up to {size:.6g} in size, and that of the workers differs"
                    f" by {difference:.6g}: {_EXPECTED}, and a model of which workers can have copies"
                )


def _check_model(model: Any) -> None:
    """Refuse layers to which a part of a batch is not the same as the whole."""
    for name, module in model.named_modules() if hasattr(model, "named_modules") else ():
        kind = type(module).__name__
        what = f"{name}, a {kind}" if name else f"a {kind}"
        if not getattr(module, "training", True):
            continue  # which uses the averages that it has, and drops nothing
        if isinstance(module, BatchNorm1d | BatchNorm2d):
            raise ValueError(
                f"fit: an executor cannot train {what}: it averages over a batch, of which each worker has"
                " a part; nn.LayerNorm does not"
            )
        if isinstance(module, Dropout) and module.p > 0:
            raise ValueError(
                f"fit: an executor cannot train {what}: each worker would draw numbers of its own"
            )


def workers_of(executor: Any) -> int:
    """How many tasks an executor runs at a time. There is no common way to ask."""
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "nthreads"):  # Dask's
        with suppress(Exception):  # of a client that is closed, to which no task can be sent either
            return max(1, sum(client.nthreads().values()))
        return 1
    for name in ("_max_workers", "num_workers"):  # of concurrent.futures and loky; of mpi4py
        if isinstance(found := getattr(executor, name, None), int):
            return max(1, found)
    return os.cpu_count() or 1


def _together(parts: dict[int, Any], where: dict[int, np.ndarray], count: int) -> Any:
    """The predictions of all shards, in the order of the batch."""
    first = next(iter(parts.values()))
    if not _have_rows(parts, where):
        raise TypeError(
            "fit: metrics with an executor need a model that returns an array, a row for each sample"
        )
    found = np.empty((count, *first.shape[1:]), first.dtype)
    for i, part in parts.items():
        found[where[i]] = part
    return found


def _have_rows(parts: dict[int, Any], where: dict[int, np.ndarray]) -> bool:
    return all(
        isinstance(part, np.ndarray) and part.shape[:1] == where[i].shape
        for i, part in parts.items()
    )


def _contents(data: Pair) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for a in data:
        digest.update(f"{a.dtype.str} {a.shape};".encode())
        for start in range(0, len(a), 4096):
            digest.update(np.ascontiguousarray(a[start : start + 4096]).data)
    return digest.hexdigest()


def _named(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
