"""sweep and cross_validate: many trainings, one after the other or in parallel.

Both call your function once for each training and collect what it returns. Its results must not
depend on where it runs, so it takes random numbers from the `rng` that it gets.
"""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp import table
from autobp.data.folds import k_folds
from autobp.data.points import Seed
from autobp.habits import checks_keywords
from autobp.train.executors import Outcome, outcomes
from autobp.train.history import History, best_of
from autobp.train.progress import Progress
from autobp.train.source import pair

__all__ = ["Trials", "cross_validate", "sweep"]


@dataclass(repr=False)
class Trials:
    """The result of a sweep: a row for each training, with its settings and results, or its error.

    `trials["val_loss"]` is a column, with NaN where a row has no value.

    >>> from autobp.train import Trials
    >>> Trials([{"lr": 0.1, "loss": 0.5}, {"lr": 0.2, "loss": 0.25}], ["lr"])
    2 trials, best loss 0.25 with lr=0.2
     lr  loss
    0.1   0.5
    0.2  0.25
    """

    rows: list[dict[str, Any]]
    settings: list[str]  # the columns that are settings
    errors: dict[int, str] = field(default_factory=dict)  # the tracebacks, by row
    interrupted: bool = False  # by Ctrl-C

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> list[Any]:
        names = table.columns(self.rows)
        if name not in names:
            raise KeyError(f"there is no {name!r}; there are {', '.join(names)}")
        return [row.get(name, np.nan) for row in self.rows]

    def best(self, name: str | None = None, mode: str | None = None) -> dict[str, Any]:
        """The row with the best `name`; of equals, the first. Lower is better for losses and errors,
        higher for accuracies. For other names, pass `mode="min"` or `mode="max"`."""
        if len(self.errors) == len(self.rows):
            raise RuntimeError(f"no trial succeeded; the first error was\n{self.errors[0]}")
        name = name or self._name()
        self[name]
        return self.rows[best_of(self.rows, name, mode)]

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows, below a header of column names."""
        table.to_csv(self.rows, path)

    def _name(self) -> str:
        results = [n for n in table.columns(self.rows) if n not in (*self.settings, "failed")]
        for name in ("val_loss", "loss"):
            if name in results:
                return name
        if len(results) == 1:
            return results[0]
        raise ValueError(f"best in which column? There are {', '.join(results)}")

    def __repr__(self) -> str:
        said = f"{len(self)} trial{'s' * (len(self) != 1)}"
        if self.errors:
            said += f", {len(self.errors)} without result"
        if self.interrupted:
            said += " (interrupted)"
        try:
            name = self._name()
            best = self.best(name)
            said += f", best {name} {table.short(best[name])} with {_said(best, self.settings)}"
        except (RuntimeError, ValueError):
            pass
        return f"{said}\n{table.table(self.rows)}"


@checks_keywords
def sweep(
    run: Callable[..., Any],
    grid: Mapping[str, Sequence[Any]],
    *,
    rng: Seed = 0,
    executor: Executor | None = None,
    progress: bool = True,
) -> Trials:
    """Call `run(**settings, rng=generator)` for every combination of the values in a grid.

    >>> from autobp import nn, optim
    >>> from autobp.data import moons, split
    >>> from autobp.train import fit, sweep
    >>> def run(lr, activation, rng):
    ...     train, held = split(*moons())
    ...     model = nn.MLP([2, 8, 2], activation=activation, rng=rng)
    ...     optimizer = optim.Adam(model.parameters(), lr=lr)
    ...     return fit(model, train, nn.cross_entropy, optimizer, 5, validation=held, rng=rng)
    >>> trials = sweep(run, {"lr": [1e-3, 1e-1], "activation": ["tanh", "relu"]}, progress=False)
    >>> trials.best("val_loss")["lr"]
    0.1

    A run returns a number, a dict of numbers, or a History, whose best epoch is used. Each run has
    its own generator, which depends on `rng` and the place in the grid. Rows are in the order of the
    grid, in which the last setting changes fastest. If a run fails, its row has the error and
    `trials.errors` the traceback, and the other runs continue. After Ctrl-C no further run starts,
    and the results so far are returned.

    The executor decides where runs happen; the results do not depend on it. Each run uses one BLAS
    thread, also without an executor, because the number of threads can change the last bits. (This
    needs the package threadpoolctl, of the extra "parallel". Without it, start Python with
    OMP_NUM_THREADS=1.)

    - None: in this process, one after the other.
    - The cores of one machine: `with ProcessPoolExecutor() as pool: sweep(…, executor=pool)`. Define
      `run` at the top level of a module, and start the sweep below `if __name__ == "__main__":`. Do
      not start a Dask cluster earlier in the same program: it leaves an environment that makes all
      later processes slow (see below).
    - A Dask cluster: `executor=client.get_executor()`. Dask makes the C allocator return memory at
      once, which makes a training about twice as slow, unless this comes before the cluster starts:

          dask.config.set({
              "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 268435456,
              "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 67108864,
          })

    - An MPI cluster: `mpi4py.futures.MPIPoolExecutor()`.
    """
    if not isinstance(grid, Mapping):
        raise TypeError(
            f'sweep: the grid must be a dict of lists, {{"lr": [0.1, 0.01]}}, not {grid!r:.40}'
        )
    for name, values in grid.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise TypeError(
                f"sweep: the values of {name!r} must be a list, not {values!r:.40}; write [{values!r:.40}]"
            )
        if name in ("rng", "failed"):
            raise ValueError(
                f"sweep: a setting cannot be called {name!r}, a name that sweep itself uses"
            )
    settings = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    if not grid or not settings:
        raise ValueError("sweep: the grid is empty")
    _check_call("sweep", run, settings[0])
    return _trials("sweep", run, settings, settings, rng, executor, progress)


@checks_keywords
def cross_validate(
    run: Callable[..., Any],
    data: Any,
    k: int = 5,
    *,
    stratified: bool = False,
    rng: Seed = 0,
    executor: Executor | None = None,
    progress: bool = True,
) -> Trials:
    """Call `run(train, validation, rng=generator)` for each of `k` folds of the data, a pair (X, y).

    >>> import numpy as np
    >>> from autobp.data import linear
    >>> from autobp.train import cross_validate
    >>> def nearest_mean(train, validation, rng):
    ...     (X, y), (Xv, yv) = train, validation
    ...     centres = np.stack([X[y == c].mean(axis=0) for c in (0, 1)])
    ...     found = np.argmin(np.sum((Xv[:, None] - centres) ** 2, axis=2), axis=1)
    ...     return {"accuracy": np.mean(found == yv)}
    >>> folds = cross_validate(nearest_mean, linear(), k=4, stratified=True, progress=False)
    >>> folds["accuracy"]
    [1.0, 1.0, 1.0, 0.96]

    Every sample is used for validation once. Results, errors and executors work as in `sweep`. The
    data of each fold is sent to its worker. If that is too much, sweep over the numbers of the folds
    and load the data in the run.
    """
    X, y = pair("cross_validate: data", data)
    seed = np.random.default_rng(rng)
    folds = k_folds(y if stratified else len(X), k, stratified=stratified, rng=seed)
    tasks = [
        {"train": (X[train], y[train]), "validation": (X[held], y[held])} for train, held in folds
    ]
    _check_call("cross_validate", run, tasks[0])
    names = [{"fold": i} for i in range(k)]
    return _trials("cross_validate", run, tasks, names, seed, executor, progress)


def _trials(
    who: str,
    run: Callable[..., Any],
    tasks: Sequence[Mapping[str, Any]],
    settings: Sequence[dict[str, Any]],
    rng: Seed,
    executor: Executor | None,
    progress: bool,
) -> Trials:
    entropy = np.random.default_rng(rng).integers(2**63)
    seeds = np.random.SeedSequence(int(entropy)).spawn(len(tasks))
    done = 0
    with Progress(len(tasks), 1, progress) as shown:

        def report(i: int, outcome: Outcome) -> None:
            nonlocal done
            done += 1
            text = _said(settings[i])
            if outcome.error:
                shown.say(f"failed: {text}: {_last(outcome.error)}")
            else:
                results = {k: v for k, v in outcome.value.items() if k not in settings[i]}
                text = f"{text}  {_said(results)}"
            shown.tick(lambda: text)
            shown.step(done, text)

        jobs = [{"run": run, "task": t, "seed": s} for t, s in zip(tasks, seeds)]
        found, interrupted = outcomes(who, _run, jobs, executor, report)
    rows = []
    for given, outcome in zip(settings, found):
        results = {"failed": _last(outcome.error)} if outcome.error else outcome.value
        rows.append(given | {name: value for name, value in results.items() if name not in given})
    errors = {i: outcome.error for i, outcome in enumerate(found) if outcome.error}
    return Trials(rows, list(settings[0]), errors, interrupted)


def _run(run: Callable[..., Any], task: Mapping[str, Any], seed: Any) -> dict[str, Any]:
    """Do one run, in the worker. Return its result as a dict."""
    result = run(**task, rng=np.random.default_rng(seed))
    if isinstance(result, History):
        return result.best()
    if isinstance(result, Mapping):
        return {name: _number(value, f"its {name!r}") for name, value in result.items()}
    if result is None:
        raise TypeError(
            "a run must return a number, a dict of numbers or a History; it returned None"
        )
    return {"score": _number(result, "what it returned")}


def _number(value: Any, what: str) -> Any:
    if np.shape(value) == () and hasattr(value, "item"):
        return value.item()
    if isinstance(value, str | bool | int | float) or value is None:
        return value
    raise TypeError(
        f"a run must return a number, a dict of numbers or a History; {what} is {value!r:.60}"
    )


def _check_call(who: str, run: Callable[..., Any], task: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(run)
    except ValueError:
        return
    try:
        signature.bind(**task, rng=None)
    except TypeError as error:
        given = ", ".join(f"{name}=…" for name in (*task, "rng"))
        name = getattr(run, "__name__", repr(run))
        raise TypeError(f"{who} calls {name}({given}), which fails: {error}") from None


def _said(row: Mapping[str, Any], names: Sequence[str] | None = None) -> str:
    return ", ".join(f"{name}={table.short(row[name])}" for name in (names or row))


def _last(error: str) -> str:
    return error.rpartition("\n")[2]
