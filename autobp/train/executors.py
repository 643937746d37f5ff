"""Tasks on any executor of `concurrent.futures`, with one BLAS thread each.

Several processes that each use all cores for their matrix products are slower than one. Within a
process `threadpoolctl` sets the number of threads. Without that package only processes that load
NumPy anew can be told, by their environment: those of the start method "spawn".
"""

from __future__ import annotations

import itertools
import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = [
    "Outcome",
    "check_executor",
    "check_sendable",
    "in_a_task",
    "one_blas_thread",
    "outcomes",
    "sendable",
]

Batch = tuple[int, int]  # the process that tasks come from, and which of its batches they belong to

_number = itertools.count().__next__
_interrupted: set[Batch] = set()  # those that Ctrl-C ended, as far as this process knows

_inside: ContextVar[bool] = ContextVar("inside", default=False)
in_a_task = _inside.get

#: What the BLAS libraries read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    value: Any = None
    error: str = ""  # the traceback, or what kept the task from running


def outcomes(
    who: str,
    function: Callable[..., Any],
    tasks: Sequence[Mapping[str, Any]],
    executor: Executor | None,
    report: Callable[[int, Outcome], object],
) -> tuple[list[Outcome], bool]:
    """Call a function with the keywords of each task; return what became of them, in their order,
    and whether Ctrl-C came between: then those that had not begun never do. An error ends its own
    task alone. `report` learns of each as it is done."""
    found: dict[int, Outcome] = {}
    batch = os.getpid(), _number()

    def arrived(i: int, outcome: Outcome) -> None:
        found[i] = outcome
        report(i, outcome)

    check_executor(who, executor)
    interrupted = False
    with _one_blas_thread_meanwhile(processes=executor is not None):
        try:
            if executor is None:
                for i, task in enumerate(tasks):
                    arrived(i, _outcome(function, task, batch))
            else:
                _on_executor(function, tasks, executor, batch, arrived)
        except KeyboardInterrupt:
            if in_a_task():
                raise
            interrupted = True
    missing = Outcome(error="interrupted")
    return [found.get(i, missing) for i in range(len(tasks))], interrupted


def _on_executor(
    function: Callable[..., Any],
    tasks: Sequence[Mapping[str, Any]],
    executor: Executor,
    batch: Batch,
    arrived: Callable[[int, Outcome], None],
) -> None:
    futures: dict[Any, int] = {}
    try:
        for i, task in enumerate(tasks):
            try:
                futures[executor.submit(_outcome, function, task, batch)] = i
            except BrokenExecutor as error:
                arrived(i, Outcome(error=_said(error)))
        for future in as_completed(futures):
            i = futures[future]
            try:
                outcome = future.result()
            except Exception as error:  # of the executor: the task's own are in the outcome
                check_sendable((function, tasks[i]), error)
                outcome = Outcome(error=_said(error))
            arrived(i, outcome)
            del futures[future]
    except KeyboardInterrupt:
        _interrupted.add(batch)  # for the one that was about to be handed over, which is not here
        for future, i in futures.items():
            if future.done() and not future.cancelled() and not future.exception():
                arrived(i, future.result())  # it was done, only not looked at
        raise
    finally:
        for future in futures:
            future.cancel()


def _outcome(function: Callable[..., Any], task: Mapping[str, Any], batch: Batch) -> Outcome:
    """Run a task, most often in another process. After Ctrl-C, which terminals send to all of them,
    a pool still goes through what its processes have in reserve."""
    if batch in _interrupted:
        raise KeyboardInterrupt
    if os.getpid() != batch[0]:
        one_blas_thread()
    token = _inside.set(True)
    try:
        return Outcome(function(**task))
    except KeyboardInterrupt:
        _interrupted.add(batch)
        raise
    except (Exception, SystemExit):
        return Outcome(error=traceback.format_exc().rstrip())
    finally:
        _inside.reset(token)


def _said(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    if not isinstance(error, BrokenExecutor):
        return said
    return (
        "A worker died. If none ever ran: workers import what they run, so it must be in a file, and"
        f" what starts them below if __name__ == '__main__'\n{said}"
    )


def check_executor(who: str, executor: Any) -> None:
    """Executors need not be of concurrent.futures' own class: Dask's and MPI's are not."""
    if executor is None or (not isinstance(executor, type) and callable(getattr(executor, "submit", None))):  # fmt: skip
        return
    raise TypeError(
        f"{who}: executor is one of concurrent.futures, such as ProcessPoolExecutor(4), or None, not"
        f" {executor!r:.60}"
    )


def sendable(error: Exception) -> Exception:
    """An exception that another process can receive. Many that take more than a text cannot be
    pickled, or not be read again, which breaks a whole pool; of such only the text is sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        lines = "".join(traceback.format_exception(error)).rstrip()
        return RuntimeError(
            f"{type(error).__name__} in another process, not to be pickled:\n{lines}"
        )
    return error


def check_sendable(job: Any, error: Exception) -> None:
    """If an executor failed since a job cannot be pickled, say so."""
    if isinstance(
        error, pickle.PicklingError | AttributeError | TypeError
    ):  # the three that it may be
        try:
            pickle.dumps(job)
        except Exception:
            raise TypeError(
                f"what is to run cannot be sent to another process ({error}); functions must be defined"
                " at the top of a module"
            ) from None


# ── BLAS ──────────────────────────────────────────────────────────────────────────────────────────


def _threadpoolctl() -> Any:
    try:
        import threadpoolctl  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ModuleNotFoundError:
        return None
    return threadpoolctl


@cache
def one_blas_thread() -> None:
    """Let this process compute with one BLAS thread from now on."""
    library = _threadpoolctl()
    if library is not None:
        library.threadpool_limits(1, user_api="blas")


@contextmanager
def _one_blas_thread_meanwhile(processes: bool) -> Iterator[None]:
    """One BLAS thread here, and in processes that are started meanwhile."""
    library = _threadpoolctl()
    before = {name: os.environ.get(name) for name in _THREADS if processes}
    limits = None if library is None else library.threadpool_limits(1, user_api="blas")
    os.environ.update(dict.fromkeys(before, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if limits is not None:
            limits.restore_original_limits()
