"""Row 9: an epoch over the workers of a Dask cluster, beside one process."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing import get_context
from typing import Any

import numpy as np

from autobp import nn
from autobp.data import mnist
from autobp.data.mnist_files import located
from autobp.optim import SGD
from autobp.train import fit
from autobp.train.executors import _threadpoolctl

from .race import Effort, Row, legend

WORKERS = 2
BATCHES = (500, 2000, 8000)
WHAT = "an epoch of MNIST: 784-256-10, batch {:,}, float32, over two workers of Dask"
ALONE, ONE, POOL = "one process", "one process, one BLAS thread", "two processes, without Dask"
#: Of the C library in Dask's workers: memory that is freed stays with the process.
SETTINGS = {
    f"distributed.nanny.pre-spawn-environ.MALLOC_{name}_THRESHOLD_": size
    for name, size in (("TRIM", 268_435_456), ("MMAP", 67_108_864))
}


def run(effort: Effort) -> list[Row]:
    try:
        import dask
        from dask.distributed import Client, LocalCluster
    except ModuleNotFoundError as missing:
        print(f"skipped: row 9: no {missing.name}; pip install -e '.[bench]' installs it")
        return []
    data = images(effort)
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(WORKERS, get_context("spawn")))
        trained(pool, data, BATCHES[0])  # before Dask changes the environment that it would inherit
        stack.enter_context(dask.config.set(SETTINGS))
        cluster = stack.enter_context(
            LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
        )
        executor = stack.enter_context(Client(cluster)).get_executor(pure=False)
        return [row for batch in BATCHES for row in compared(executor, pool, data, batch, effort)]


def images(effort: Effort) -> tuple[np.ndarray, np.ndarray]:
    """MNIST where it is at hand; else, or in a hurry, pixels of chance, as many."""
    if effort.turn and located(False) is not None:
        X, y, *_ = mnist(scale=True)
        legend["9 data"] = "MNIST."
        return X.reshape(len(X), -1).astype(np.float32), y
    n = 60_000 if effort.turn else 16_000
    rng = np.random.default_rng(0)
    legend["9 data"] = "no MNIST is at hand: pixels of chance."
    return rng.random((n, 784), np.float32), rng.integers(0, 10, n)


def compared(
    cluster: Executor, pool: Executor, data: Any, batch: int, effort: Effort
) -> Iterator[Row]:
    """The median seconds of an epoch, after one in which the data is sent and programs are written."""
    one = one_thread if _threadpoolctl() else nullcontext
    ways: dict[str, tuple[Executor | None, Any]] = {
        "": (cluster, nullcontext),
        ALONE: (None, nullcontext),
        ONE: (None, one),
        POOL: (pool, nullcontext),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    models = {}
    for _ in range(min(effort.rounds, 5)):
        for name, (executor, within) in ways.items():
            with within():
                seconds, models[name] = trained(executor, data, batch)
            times[name].append(seconds)
    for name, model in models.items():
        for p, q in zip(model.parameters(), models[ALONE].parameters(), strict=True):
            np.testing.assert_allclose(p.data, q.data, rtol=1e-3, atol=1e-3, err_msg=name)
    ours = statistics.median(times.pop(""))
    for name, theirs in times.items():
        yield Row("9", WHAT.format(batch), name, ours, statistics.median(theirs))


def trained(executor: Executor | None, data: Any, batch: int) -> tuple[float, nn.Module]:
    """The seconds of the last of two epochs, and the model."""
    model = nn.MLP([784, 256, 10], rng=0).astype(np.float32)
    optimizer = SGD(model.parameters(), lr=0.1)
    history = fit(
        model, data, nn.cross_entropy, optimizer, epochs=2, batch_size=batch, rng=0, progress=False,
        executor=executor,
    )  # fmt: skip
    return history.rows[-1]["seconds"], model


@contextmanager
def one_thread() -> Iterator[None]:
    with _threadpoolctl().threadpool_limits(1, user_api="blas"):
        yield
