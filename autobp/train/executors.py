"""Runs tasks on any `concurrent.futures` executor, with one BLAS thread each.

Several processes that each use all cores for matrix products are slower than one. `threadpoolctl`
sets the number of threads within a process. Without it, only the environment can, and only for
processes that load NumPy anew: those of the start method "spawn".
"""

from __future__ import annotations

import itertools
import os
import pickle
import platform
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
    "this_process",
]

Batch = tuple[str, int]  # the process that submits tasks, and the number of the call

_number = itertools.count().__next__
_interrupted: set[Batch] = set()  # batches ended by Ctrl-C, as far as this process knows

_in_a_task: ContextVar[bool] = ContextVar("in_a_task", default=False)
in_a_task: Callable[..., Any] = _in_a_task.get

#: The environment variables that BLAS libraries read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """The result of a task, or its error."""

    value: Any = None
    error: str = ""  # the traceback, or why the task did not run


def this_process() -> str:
    """The name of this process: others on other machines, or in other containers, may have its number."""
    return f"{platform.node()} {os.getpid()}"


def outcomes(
    who: str,
    function: Callable[..., Any],
    tasks: Sequence[Mapping[str, Any]],
    executor: Executor | None,
    report: Callable[[int, Outcome], object],
) -> tuple[list[Outcome], bool]:
    """Call a function with the keywords of each task. Return the outcomes, in the order of the tasks,
    and whether Ctrl-C interrupted: then tasks that have not started never do. An error ends only its
    own task. `report` is called with each outcome when it arrives."""
    found: dict[int, Outcome] = {}
    batch = this_process(), _number()

    def arrived(i: int, outcome: Outcome) -> None:
        found[i] = outcome
        report(i, outcome)

    check_executor(who, executor)
    interrupted = False
    with _one_blas_thread_within(processes=executor is not None):
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
            except Exception as error:  # of the executor; those of the task are in the outcome
                check_sendable((function, tasks[i]), error)
                outcome = Outcome(error=_said(error))
            arrived(i, outcome)
            del futures[future]
    except KeyboardInterrupt:
        _interrupted.add(batch)  # for tasks that are on their way to a worker
        for future, i in futures.items():
            if future.done() and not future.cancelled() and not future.exception():
                arrived(i, future.result())  # done, but not reported yet
        raise
    finally:
        for future in futures:
            future.cancel()


def _outcome(function: Callable[..., Any], task: Mapping[str, Any], batch: Batch) -> Outcome:
    """Run a task, mostly in another process. After Ctrl-C, which a terminal sends to all processes, a
    pool still runs the tasks in its queue; they end here."""
    if batch in _interrupted:
        raise KeyboardInterrupt
    if this_process() != batch[0]:
        one_blas_thread()
    token = _in_a_task.set(True)
    try:
        return Outcome(function(**task))
    except KeyboardInterrupt:
        _interrupted.add(batch)
        raise
    except (Exception, SystemExit):
        return Outcome(error=traceback.format_exc().rstrip())
    finally:
        _in_a_task.reset(token)


def _said(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    if not isinstance(error, BrokenExecutor):
        return said
    return (
        "A worker process died. If none ever worked: workers import the function, so it must be in a"
        f" file, and the code that starts them below if __name__ == '__main__'\n{said}"
    )


def check_executor(who: str, executor: Any) -> None:
    """Check for a `submit` method, not a class: executors of Dask and MPI have their own classes."""
    if executor is None or (not isinstance(executor, type) and callable(getattr(executor, "submit", None))):  # fmt: skip
        return
    raise TypeError(
        f"{who}: executor must be an executor of concurrent.futures, such as ProcessPoolExecutor(4),"
        f" or None, not {executor!r:.60}"
    )


def sendable(error: Exception) -> Exception:
    """An exception that another process can receive. Many with arguments other than a text cannot
    be pickled or unpickled, which would break the pool. For these, only the text is sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        lines = "".join(traceback.format_exception(error)).rstrip()
        return RuntimeError(
            f"{type(error).__name__} in another process, which cannot be pickled:\n{lines}"
        )
    return error


def check_sendable(job: Any, error: Exception) -> None:
    """If an executor failed because a job cannot be pickled, say so."""
    if isinstance(error, pickle.PicklingError | AttributeError | TypeError):  # pickle raises these
        try:
            pickle.dumps(job)
        except Exception:
            raise TypeError(
                f"the function or its arguments cannot be sent to another process ({error}); define"
                " functions at the top level of a module"
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
    """Use one BLAS thread in this process from now on."""
    library = _threadpoolctl()
    if library is not None:
        library.threadpool_limits(1, user_api="blas")


if hasattr(os, "register_at_fork"):  # a forked process may be one where threads were allowed again
    os.register_at_fork(after_in_child=one_blas_thread.cache_clear)


@contextmanager
def _one_blas_thread_within(processes: bool) -> Iterator[None]:
    """Use one BLAS thread here, and in processes that start within the block."""
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
