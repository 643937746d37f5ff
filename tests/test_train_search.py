"""sweep, cross_validate and gradient_over: the same on every executor, whatever happens there."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from autobp import Tensor, grad, nn
from autobp.data import moons
from autobp.optim import SGD, Adam
from autobp.train import (
    History,
    Trials,
    cross_validate,
    fit,
    gradient_over,
    sweep,
    value_and_gradient_over,
)

# From Python 3.12 on, a fork beside other threads is warned of; these do nothing at that time.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

GRID = {"lr": [0.1, 0.01], "optimizer": [SGD, Adam], "size": [3, 5]}


# ── what is run: at the top of the module, so that other processes find it ────────────────────────


def run(lr, optimizer, size, rng):
    model = nn.MLP([2, size, 2], activation="tanh", rng=rng).astype(np.float32)
    X, y = moons(40)
    data = X.astype(np.float32), y
    history = fit(
        model,
        data,
        nn.cross_entropy,
        optimizer(model.parameters(), lr=lr),
        epochs=2,
        rng=rng,
        progress=False,
    )
    return {"loss": history["loss"][-1], "drawn": rng.random()}


def fragile(x, rng):
    if x == 2:
        raise ArithmeticError(f"{x} is too much")
    return x * 10.0


class PairError(Exception):
    """Takes two arguments and passes one on: it is pickled, and cannot be read again."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def raising(params, part):
    if part == 1:
        raise PairError("this", "that")
    return np.sum(params * part)


def leaving(x, rng):
    if x == 2:
        raise SystemExit(f"{x} leaves")
    if x == 3:
        raise PairError(x, threading.Lock())
    return x * 1.0


def deadly(x, rng):
    if x == 2:
        os._exit(1)
    return x


def on_folds(train, validation, rng):
    return {"n": len(train[0]), "held": len(validation[0]), "ones": np.sum(validation[1])}


def blas_threads(x, rng):
    import threadpoolctl

    pools = threadpoolctl.threadpool_info()
    return max(p["num_threads"] for p in pools if p["user_api"] == "blas")


def environment(x, rng):
    return os.environ.get("OMP_NUM_THREADS", "")


def drawn(x, rng):
    return rng.random()


def quiet(function, grid, **options):
    return sweep(function, grid, progress=False, **options)


@pytest.fixture(scope="module")
def forked():
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        yield pool


@pytest.fixture(scope="module")
def spawned():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


# ── sweep ─────────────────────────────────────────────────────────────────────────────────────────


def test_every_combination_is_run_in_order():
    trials = quiet(lambda a, b, rng: 10 * a + b, {"a": [1, 2], "b": (3, 4, 5)})
    assert trials.rows == [{"a": a, "b": b, "score": 10 * a + b} for a in (1, 2) for b in (3, 4, 5)]
    assert trials["score"] == [13, 14, 15, 23, 24, 25]
    assert trials.settings == ["a", "b"]
    assert not trials.interrupted


@pytest.mark.parametrize("executor", ["threads", "forked", "spawned"])
def test_results_do_not_depend_on_the_executor(executor, request):
    pool = request.getfixturevalue(executor)
    assert quiet(run, GRID, executor=pool).rows == quiet(run, GRID).rows


def test_each_has_its_own_random_numbers_by_its_place():
    first = quiet(drawn, {"x": [1, 2, 3]})["score"]
    assert len(set(first)) == 3
    assert quiet(drawn, {"x": [7, 8, 9, 10]})["score"][:3] == first
    assert quiet(drawn, {"x": [1, 2, 3]}, rng=np.random.default_rng(0))["score"] == first
    assert quiet(drawn, {"x": [1, 2, 3]}, rng=1)["score"] != first
    assert (
        quiet(drawn, {"x": [1]}, rng=None)["score"] != quiet(drawn, {"x": [1]}, rng=None)["score"]
    )


@pytest.mark.parametrize("executor", [None, "forked"])
def test_a_failure_names_its_settings_and_loses_no_other(executor, request, capsys):
    pool = executor and request.getfixturevalue(executor)
    trials = sweep(fragile, {"x": [1, 2, 3]}, executor=pool)
    assert trials.rows == [
        {"x": 1, "score": 10.0},
        {"x": 2, "failed": "ArithmeticError: 2 is too much"},
        {"x": 3, "score": 30.0},
    ]
    assert np.isnan(trials["score"][1])
    assert trials.best(mode="max") == {"x": 3, "score": 30.0}
    assert "in fragile\n" in trials.errors[1]
    assert "3 trials, 1 without result" in repr(trials)
    assert "failed: x=2: ArithmeticError: 2 is too much\n" in capsys.readouterr().err


def test_a_worker_that_dies_loses_what_it_had_not_returned():
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        trials = quiet(deadly, {"x": [1, 2, 3, 4]}, executor=pool)
        again = quiet(deadly, {"x": [1, 3]}, executor=pool)
    assert trials.rows[0] == {"x": 1, "score": 1}
    assert trials.rows[1]["failed"].startswith(
        "BrokenProcessPool: A process in the process pool was"
    )
    assert trials.rows[3]["failed"].startswith("BrokenProcessPool: ")
    assert [row["failed"][:19] for row in again.rows] == ["BrokenProcessPool: "] * 2
    with pytest.raises(
        RuntimeError, match="so it must be in a file, and the code that starts them below if __n"
    ):
        again.best()


def test_what_a_run_may_return():
    history = History([{"epoch": 1, "loss": 2.0, "lr": 9.0}, {"epoch": 2, "loss": 1.0, "lr": 9.0}])
    assert quiet(lambda lr, rng: history, {"lr": [0.5]}).rows == [
        {"lr": 0.5, "epoch": 2, "loss": 1.0}  # a setting is not overwritten
    ]
    row = quiet(lambda x, rng: {"a": np.float32(0.5), "b": Tensor(2.0)}, {"x": [1]}).rows[0]
    assert row == {"x": 1, "a": 0.5, "b": 2.0}
    assert type(row["a"]) is float
    assert quiet(lambda x, rng: [1], {"x": [1]}).rows[0]["failed"] == (
        "TypeError: a run must return a number, a dict of numbers or a History; what it returned is [1]"
    )
    assert quiet(lambda x, rng: None, {"x": [1]}).rows[0]["failed"].endswith("it returned None")
    assert "its 'a' is array" in quiet(lambda x, rng: {"a": np.ones(3)}, {"x": [1]}).errors[0]


def test_ctrl_c_lets_none_begin_and_returns_what_there_is():
    begun = []

    def run(x, rng):
        begun.append(x)
        if x == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)  # where Ctrl-C arrives
        return x

    trials = quiet(run, {"x": [1, 2, 3, 4]})
    assert begun == [1, 2]
    assert trials.interrupted
    assert trials.rows[0] == {"x": 1, "score": 1}
    assert [row.get("failed") for row in trials.rows] == [None, *["interrupted"] * 3]


def test_ctrl_c_in_a_fit_ends_the_sweep_and_not_just_the_fit():
    def run(x, rng):
        model = nn.MLP([2, 2], rng=rng)
        kill = lambda run: os.kill(os.getpid(), signal.SIGINT)
        fit(model, moons(4), nn.cross_entropy, SGD(model.parameters()), 10**6, callbacks=[kill], progress=False)  # fmt: skip
        return 1.0

    trials = quiet(run, {"x": [1, 2]})
    assert trials.interrupted
    assert set(trials["failed"]) == {"interrupted"}


def test_what_was_done_when_ctrl_c_came_is_kept():
    class Hasty(Executor):
        done = 0

        def submit(self, function, *args):
            if self.done == 2:
                raise KeyboardInterrupt
            self.done += 1
            future = Future()
            future.set_result(function(*args))
            return future

    trials = quiet(lambda x, rng: x, {"x": [1, 2, 3]}, executor=Hasty())
    assert trials.interrupted
    assert trials.rows == [
        {"x": 1, "score": 1},
        {"x": 2, "score": 2},
        {"x": 3, "failed": "interrupted"},
    ]


def test_ctrl_c_cancels_what_an_executor_has_not_begun():
    begun, ended = [], threading.Event()

    def run(x, rng):
        begun.append(x)
        if x == 2:
            time.sleep(0.1)  # until the main thread waits, and can be interrupted in that
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait(60)
        return x

    with ThreadPoolExecutor(1) as pool:
        trials = quiet(run, {"x": [1, 2, 3, 4]}, executor=pool)
        ended.set()
    assert begun == [1, 2]
    assert trials.interrupted
    assert trials.rows[0] == {"x": 1, "score": 1}
    assert trials.rows[3] == {"x": 4, "failed": "interrupted"}
    assert repr(trials).startswith("4 trials, 3 without result (interrupted)\n")


def test_ctrl_c_while_tasks_are_handed_over():
    begun, ended = [], threading.Event()

    class Interrupted(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            future = super().submit(*args, **kwargs)
            if args[2]["task"] == {"x": 2}:
                raise KeyboardInterrupt
            return future

    def run(x, rng):
        begun.append(x)
        ended.wait(60)
        return x

    with Interrupted(1) as pool:
        trials = quiet(run, {"x": [1, 2, 3]}, executor=pool)
        ended.set()
    assert begun == [1]
    assert trials.interrupted


INTERRUPTED = """
    import glob, os, signal, time
    from concurrent.futures import ProcessPoolExecutor
    from autobp.train import sweep

    class Pool(ProcessPoolExecutor):
        def submit(self, *args):
            future = super().submit(*args)
            future.add_done_callback(lambda _: open(f"done{id(future)}", "w").close())
            return future

    def run(x, rng):
        if x == 3:
            while len(glob.glob("done*")) < 2:
                time.sleep(0.01)
            os.kill(0, signal.SIGINT)  # to all processes of the group, as a terminal does
        time.sleep(600 if x > 1 else 0)
        return x

    if __name__ == "__main__":
        with Pool(2) as pool:
            trials = sweep(run, {"x": range(9)}, executor=pool, progress=False)
        print(trials.interrupted, [row.get("score", "-") for row in trials.rows])
"""


@pytest.mark.skipif(os.name != "posix", reason="sends signals to a group")
def test_ctrl_c_at_a_terminal_ends_the_processes_of_a_pool(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(INTERRUPTED))
    out = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert out.stdout == f"True {[0, 1, *['-'] * 7]}\n", out.stderr


def test_an_executor_is_anything_with_the_interface():
    class Immediate(Executor):
        def submit(self, function, *args):
            future = Future()
            future.set_result(function(*args))
            return future

    assert quiet(fragile, {"x": [1]}, executor=Immediate()).rows == [{"x": 1, "score": 10.0}]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_that_were_there_before_keep_to_one_blas_thread(method):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with (
        threadpoolctl.threadpool_limits(2, user_api="blas"),
        ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool,
    ):
        pool.submit(threadpoolctl.threadpool_limits, 2).exception()  # its result is not sent back
        assert quiet(blas_threads, {"x": [1, 2]}, executor=pool)["score"] == [1, 1]


@pytest.mark.parametrize("executor", ["threads", None])
def test_one_blas_thread_here_and_then_all_is_as_before(executor, request, monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    pool = executor and request.getfixturevalue(executor)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert quiet(blas_threads, {"x": [1, 2]}, executor=pool)["score"] == [1, 1]
        assert blas_threads(0, None) == 2
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in os.environ


def test_without_threadpoolctl_new_processes_are_told_by_their_environment(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert quiet(environment, {"x": [1]}, executor=pool)["score"] == ["1"]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert quiet(environment, {"x": [1]})["score"] == ["7"]


def test_progress_goes_to_stderr_a_line_a_run(capsys):
    sweep(fragile, {"x": [1, 3]})
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "1/2  x=1  score=10\n2/2  x=3  score=30\n"


def test_what_a_run_would_say_of_its_progress_is_not_said(capsys):
    def run(lr, rng):
        model = nn.MLP([2, 2], rng=rng)
        optimizer = Adam(model.parameters(), lr=lr)
        return fit(model, moons(20), nn.cross_entropy, optimizer, epochs=3)

    sweep(run, {"lr": [0.1]})
    assert capsys.readouterr().err.startswith("1/1  lr=0.1  epoch=")


@pytest.mark.parametrize(
    ("function", "grid", "error", "text"),
    [
        (fragile, {}, ValueError, "sweep: the grid is empty"),
        (fragile, {"x": []}, ValueError, "sweep: the grid is empty"),
        (fragile, [1, 2], TypeError, r'the grid must be a dict of lists, {"lr": \[0.1, 0.01\]}, not \[1, 2\]'),
        (fragile, {"x": 1}, TypeError, r"sweep: the values of 'x' must be a list, not 1; write \[1\]"),
        (fragile, {"x": "relu"}, TypeError, r"the values of 'x' must be a list, not 'relu'; write \['r"),
        (fragile, {"rng": [1]}, ValueError, "sweep: a setting cannot be called 'rng', a name that sweep it"),
        (fragile, {"y": [1]}, TypeError, r"sweep calls fragile\(y=…, rng=…\), which fails"),
        (lambda x: x, {"x": [1]}, TypeError, r"<lambda>\(x=…, rng=…\), which fails: got an"),
    ],
)  # fmt: skip
def test_wrong_arguments(function, grid, error, text):
    with pytest.raises(error, match=text):
        quiet(function, grid)


def test_what_cannot_be_sent_says_so(forked):
    text = r"^the function or its arguments cannot be sent to another process \(.*\); define functions at the"
    with pytest.raises(TypeError, match=text):
        quiet(lambda x, rng: x, {"x": [1, 2]}, executor=forked)
    with pytest.raises(TypeError, match=text):
        gradient_over(forked, lambda w, part: w * part, 1.0, [1.0, 2.0])


# ── cross_validate ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("executor", [None, "forked"])
def test_every_fold_is_held_out_once(executor, request):
    X, y = np.arange(20).reshape(10, 2), np.array([0] * 5 + [1] * 5)
    pool = executor and request.getfixturevalue(executor)
    folds = cross_validate(on_folds, (X, y), 5, stratified=True, executor=pool, progress=False)
    assert folds.rows == [{"fold": i, "n": 8, "held": 2, "ones": 1} for i in range(5)]
    seen = []

    def remember(train, validation, rng):
        assert len(train[0]) + len(validation[0]) == 10
        assert not {*train[0][:, 0]} & {*validation[0][:, 0]}
        assert np.array_equal(validation[0][:, 0] // 10, validation[1])
        seen.extend(validation[0][:, 0].tolist())
        return 0

    assert not cross_validate(remember, (X, y), 3, progress=False).errors
    assert sorted(seen) == X[:, 0].tolist()


def test_folds_and_random_numbers_come_from_the_seed():
    def drawing(train, validation, rng):
        return {"first": validation[0][0, 0], "drawn": rng.random()}

    def rows(rng):
        return cross_validate(drawing, moons(30), 3, rng=rng, progress=False).rows

    assert rows(0) == rows(0) != rows(1)


def test_wrong_arguments_of_cross_validate():
    with pytest.raises(
        TypeError, match=r"cross_validate: data must be a pair \(X, y\), not ndarray"
    ):
        cross_validate(on_folds, moons()[0])
    with pytest.raises(ValueError, match="200 samples cannot make 500 folds"):
        cross_validate(on_folds, moons(200), 500)
    with pytest.raises(
        TypeError, match=r"cross_validate calls fragile\(train=…, validation=…, rng=…\)"
    ):
        cross_validate(fragile, moons())


# ── Trials ────────────────────────────────────────────────────────────────────────────────────────


def test_trials_are_plain_data_with_a_table(tmp_path):
    trials = quiet(run, GRID)
    best = trials.best()
    assert best["loss"] == min(trials["loss"])
    first = repr(trials).splitlines()[0]
    assert first.startswith("8 trials, best loss 0.")
    assert first.endswith(
        f"with lr={best['lr']:g}, optimizer={best['optimizer'].__name__}, size={best['size']}"
    )
    assert len(repr(trials).splitlines()) == 10
    trials.to_csv(tmp_path / "trials.csv")
    lines = (tmp_path / "trials.csv").read_text().splitlines()
    assert lines[0] == "lr,optimizer,size,loss,drawn"
    assert lines[1].startswith("0.1,SGD,3,")
    assert float(lines[1].split(",")[3]) == trials["loss"][0]


def test_trials_say_what_they_do_not_have():
    trials = Trials([{"x": 1, "a": 1.0, "b": 2.0}], ["x"])
    with pytest.raises(ValueError, match=r"best in which column\? There are a, b"):
        trials.best()
    with pytest.raises(KeyError, match="there is no 'loss'; there are x, a, b"):
        trials.best("loss")
    words = Trials([{"x": 1, "loss": "?"}, {"x": 2, "loss": 3.0}, {"x": 3, "failed": "no"}], ["x"])
    assert words.best()["x"] == 2
    with pytest.raises(ValueError, match="is a high or a low 'a' better"):
        trials.best("a")
    failed = quiet(fragile, {"x": [2]})
    with pytest.raises(
        RuntimeError, match=r"no trial succeeded; the first error was\nTraceback (.|\n)*too m"
    ):
        failed.best()
    assert repr(failed).startswith("1 trial, 1 without result\n")


# ── gradient_over ─────────────────────────────────────────────────────────────────────────────────

X, Y = moons(64)


def loss(params, part):
    hidden = np.tanh(X[part].astype(params["W"].dtype) @ params["W"] + params["b"])
    return nn.cross_entropy(hidden @ params["V"][0], Y[part], reduction="sum")


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(dtype)
    return {"W": draw(2, 5), "b": draw(5), "V": [draw(5, 2)]}


SHARDS = [slice(0, 20), slice(20, 21), np.arange(21, 64)]


def flat(gradient):
    return [gradient["W"], gradient["b"], gradient["V"][0]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("executor", [None, "threads", "forked", "spawned"])
def test_the_sum_over_shards_is_the_gradient_of_all(executor, dtype, request):
    pool = executor and request.getfixturevalue(executor)
    params = parameters(dtype)
    total, gradient = value_and_gradient_over(pool, loss, params, SHARDS)
    whole = grad(loss)(params, slice(None))
    here = gradient_over(None, loss, params, SHARDS)
    for ours, theirs, inline, p in zip(flat(gradient), flat(whole), flat(here), flat(params)):
        assert ours.dtype == p.dtype == dtype
        assert ours.shape == p.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-12 if dtype == np.float64 else 1e-4, atol=1e-5 if dtype == np.float32 else 1e-12)  # fmt: skip
        assert np.array_equal(ours, inline)  # to the bit
    assert np.isclose(total, loss(params, slice(None)), rtol=1e-5)


def test_what_is_sent_and_sent_back_is_float32(forked):
    sent = []

    class Watched(Executor):
        def submit(self, function, loss, params, *rest):
            sent.append(params)
            return forked.submit(function, loss, params, *rest)

    gradient = gradient_over(Watched(), loss, parameters(np.float32), SHARDS)
    assert {a.dtype for p in sent for a in flat(p)} == {np.dtype(np.float32)}
    assert {a.dtype for a in flat(gradient)} == {np.dtype(np.float32)}


MODEL = nn.MLP([2, 4, 2], activation="tanh", rng=0)


def model_loss(params, part):
    scores = nn.functional_call(MODEL, params, X[part])
    return nn.cross_entropy(scores, Y[part], reduction="sum") / len(X)


def test_a_model_trains_on_it(forked):
    before = MODEL.state_dict()
    gradient = gradient_over(forked, model_loss, dict(MODEL.named_parameters()), SHARDS)
    nn.cross_entropy(MODEL(X), Y).backward()
    for name, p in MODEL.named_parameters():
        np.testing.assert_allclose(gradient[name], p.grad, rtol=1e-10, atol=1e-15)
        assert type(gradient[name]) is np.ndarray
    assert all(np.array_equal(before[name], value) for name, value in MODEL.state_dict().items())


def test_a_number_is_a_parameter_too():
    assert gradient_over(None, lambda w, x: w * w * x, 3.0, [1.0, 2.0]) == 18.0


def bad(params, part):
    if part == 1:
        raise ArithmeticError("no")
    return np.sum(params)


@pytest.mark.parametrize("executor", [None, "forked"])
def test_errors_name_the_shard(executor, request):
    pool = executor and request.getfixturevalue(executor)
    with pytest.raises(ArithmeticError, match="no") as raised:
        gradient_over(pool, bad, np.ones(2), [0, 1, 2])
    assert raised.value.__notes__ == ["in gradient_over, shard 1 of 3"]
    with pytest.raises(ValueError, match="gradient_over needs at least one shard"):
        gradient_over(pool, bad, np.ones(2), [])


# ── Dask ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def client():
    """A real scheduler and two processes, set up as the docstring of sweep says."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    recipe = {
        "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 268435456,
        "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 67108864,
    }
    assert all(f'"{name}": {value}' in sweep.__doc__ for name, value in recipe.items())
    with (
        dask.config.set(recipe),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def allocator():
    return [os.environ.get(f"MALLOC_{name}_THRESHOLD_") for name in ("TRIM", "MMAP")]


@pytest.mark.filterwarnings("ignore")
def test_dask_gives_the_same(client):
    executor = client.get_executor()
    assert {tuple(v) for v in client.run(allocator).values()} == {("268435456", "67108864")}
    assert quiet(run, GRID, executor=executor).rows == quiet(run, GRID).rows
    rows = quiet(fragile, {"x": [1, 2, 3]}, executor=executor).rows
    assert rows[1] == {"x": 2, "failed": "ArithmeticError: 2 is too much"}
    assert rows[2]["score"] == 30.0
    data = moons(30)
    folds = cross_validate(on_folds, data, 3, executor=executor, progress=False)
    assert folds.rows == cross_validate(on_folds, data, 3, progress=False).rows
    params = parameters(np.float32)
    there = flat(gradient_over(executor, loss, params, SHARDS))
    here = flat(gradient_over(None, loss, params, SHARDS))
    assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(there, here))


# ── bad executors, bad exceptions ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("executor", [5, "processes", ProcessPoolExecutor, object()])
def test_what_is_no_executor_is_refused(executor):
    text = r": executor must be an executor of concurrent.futures, such as ProcessPoolExecutor\(4\), or None, not "
    with pytest.raises(TypeError, match=f"^sweep{text}"):
        sweep(fragile, {"x": [1]}, executor=executor, progress=False)
    with pytest.raises(TypeError, match=f"^cross_validate{text}"):
        cross_validate(lambda train, validation, rng: 1.0, moons(20), executor=executor)
    with pytest.raises(TypeError, match=f"^gradient_over{text}"):
        gradient_over(executor, raising, 1.0, [0])


@pytest.mark.parametrize("executor", ["threads", "forked"])
def test_exceptions_that_cannot_be_pickled_are_told(executor, request):
    pool = request.getfixturevalue(executor)
    trials = sweep(leaving, {"x": [1, 2, 3, 4]}, executor=pool, progress=False)
    failed = [row.get("failed", "") for row in trials.rows]
    assert failed[0] == failed[3] == ""
    assert failed[1] == "SystemExit: 2 leaves"
    assert "PairError: 3 and <unlocked" in failed[2]
    with pytest.raises((PairError, RuntimeError), match="this and that") as caught:
        gradient_over(pool, raising, np.ones(2), [0, 1, 2])
    assert "in gradient_over, shard 1 of 3" in caught.value.__notes__
    if executor == "forked":
        assert "PairError in another process, which cannot be pickled" in str(caught.value)
        assert "raise PairError" in str(caught.value)
    np.testing.assert_array_equal(gradient_over(pool, raising, np.ones(2), [0, 2]), [2.0, 2.0])
