"""fit over the workers of an executor: the numbers of one process, whatever happens to the workers."""

import multiprocessing
import os
import pickle
import signal
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from autobp import Tensor, nn
from autobp.data import moons
from autobp.optim import SGD
from autobp.train import DivergedError, executors, fit, load_checkpoint, worker
from autobp.train.shards import Shards, workers_of
from autobp.train.source import Pair
from autobp.train.worker import Task, work

# From Python 3.12 on, a fork beside other threads is warned of; these do nothing at that time.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

DATA = moons(90)


# ── what workers run: at the top of the module, so that other processes find it ───────────────────


def network(dtype=np.float64, rng=0):
    return nn.MLP([2, 8, 2], activation="tanh", rng=rng).astype(dtype)


class Counts(nn.Module):
    """A model that changes when it is called."""

    def __init__(self):
        super().__init__()
        self.inner, self.calls = nn.Linear(2, 2, rng=0), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x)


class Dies(nn.Module):
    """A model that kills its process at the third batch, unless that is this one."""

    def __init__(self, home, marker):
        super().__init__()
        self.inner, self.home, self.marker = nn.Linear(2, 2, rng=0), home, marker

    def forward(self, x):
        if os.getpid() != self.home:
            with open(self.marker, "a") as file:
                file.write(".")
            if os.path.getsize(self.marker) >= 5 and self.first():
                os.kill(os.getpid(), signal.SIGKILL)
        return self.inner(x)

    def first(self):
        """Whether no process has asked before: two of them may write at the same time."""
        try:
            open(f"{self.marker}.first", "x").close()
        except FileExistsError:
            return False
        return True


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.home = nn.Linear(2, 2, rng=0), os.getpid()

    def forward(self, x):
        if len(x) < 16 and os.getpid() != self.home:
            raise KeyError("a mistake of mine")
        return self.inner(x)


def total(prediction, y):
    return nn.cross_entropy(prediction, y, reduction="sum")


def largest(prediction, y):
    return np.max(nn.cross_entropy(prediction, y, reduction="none"))


def explodes(prediction, y):
    return np.mean(np.exp(300 * prediction[:, 0]) ** 2)


def trained(executor, model=None, data=DATA, loss=nn.cross_entropy, **options):
    model = network() if model is None else model
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    options = {"epochs": 3, "batch_size": 32, "rng": 1, "progress": False} | options
    return fit(model, data, loss, optimizer, executor=executor, **options), model


# ── executors ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def spawned():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def threads():
    with ThreadPoolExecutor(3) as pool:
        yield pool


class Wire(Executor):
    """Another executor, with the bytes of what is sent to it."""

    def __init__(self, executor):
        self.executor, self.bytes, self.num_workers = executor, [], workers_of(executor)

    def submit(self, function, *args):
        self.bytes.append(len(pickle.dumps(args)))
        return self.executor.submit(function, *args)


class Forgetful(Executor):
    """Runs each task at once, as if in a new process."""

    num_workers = 2

    def __init__(self, pool):
        self.pool = pool

    def submit(self, function, *args):
        with worker._lock:
            worker._kept.clear()
        return self.pool.submit(function, *args)


def same(a, b, rtol=1e-9):
    for (name, p), (_, q) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert p.dtype == q.dtype
        np.testing.assert_allclose(p.data, q.data, rtol=rtol, atol=rtol, err_msg=name)


# ── the numbers ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("executor", ["threads", "spawned"])
@pytest.mark.parametrize("loss", [nn.cross_entropy, total])
def test_the_numbers_are_those_of_one_process(executor, loss, request):
    options = {
        "metrics": {"accuracy": nn.accuracy},
        "validation": DATA,
        "clip_norm": 1.0,
        "loss": loss,
    }
    alone, one = trained(None, **options)
    found, model = trained(request.getfixturevalue(executor), **options)
    same(model, one)
    for row, expected in zip(found.rows, alone.rows, strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert row[name] == pytest.approx(expected[name], rel=1e-9)
    assert found.compiled.why == "the workers of the executor compute the gradients"


def test_float32_is_float32_in_the_workers_and_on_the_way(spawned):
    X, y = DATA[0].astype(np.float32), DATA[1]
    wire = Wire(spawned)
    _, model = trained(wire, network(np.float32), (X, y))
    _, one = trained(None, network(np.float32), (X, y))
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    same(model, one, 1e-5)
    task = Task(("x", 1), 0, ("t", 1), 1, {0: np.arange(4)}, (model, nn.cross_entropy, [*model.parameters()]), True, "", Pair(X, y))  # fmt: skip
    reply = work(task)
    assert {g.dtype for g in reply.gradient.by} == {np.dtype(np.float32)}
    assert reply.gradient.prediction.dtype == np.float32


def test_frozen_and_unused_parameters_have_no_gradient(threads):
    model, one = network(), network()
    for m in (model, one):
        next(m.parameters()).requires_grad = False
        m.spare = Tensor(1.0)
    trained(threads, model, epochs=1)
    trained(None, one, epochs=1)
    assert next(model.parameters()).grad is None
    assert model.spare.grad is None
    same(model, one)


def test_a_change_of_the_model_reaches_the_workers(spawned):
    def freeze(run):
        next(run.model.parameters()).requires_grad = False

    _, one = trained(None, callbacks=[freeze])
    _, model = trained(spawned, callbacks=[freeze])
    same(model, one)


def test_batches_that_some_shards_have_nothing_of(threads):
    _, one = trained(None, batch_size=2, epochs=1)
    _, model = trained(threads, batch_size=2, epochs=1)
    same(model, one)


def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(spawned, tmp_path):
    path = tmp_path / "run.npz"
    _, whole = trained(spawned, epochs=4)
    trained(spawned, epochs=2, checkpoint=path)
    _, resumed = trained(spawned, network(rng=5), epochs=4, checkpoint=path, resume=True)
    assert load_checkpoint(path)["history"]["rows"][-1]["epoch"] == 4
    for p, q in zip(whole.parameters(), resumed.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


# ── the data ──────────────────────────────────────────────────────────────────────────────────────


def test_the_data_is_sent_to_each_worker_and_not_with_each_step(spawned):
    X = np.random.default_rng(0).random((4000, 250))  # 8 MB, and a model of 10 kB
    y = np.arange(4000) % 5
    wire = Wire(spawned)
    trained(wire, nn.MLP([250, 5], rng=0), (X, y), batch_size=100, epochs=2)
    whole, steps = X.nbytes, [n for n in wire.bytes if n < 100_000]
    sent = [n for n in wire.bytes if n >= 100_000]
    assert len(steps) >= 2 * 2 * 40
    assert all(n < whole / 2 * 1.1 for n in sent)  # a shard is half of the data
    assert 2 <= len(sent) <= 4  # of each of two shards: to one worker, or to both
    trained(wire, nn.MLP([250, 5], rng=0), (X, y), batch_size=100, epochs=1)
    again = [n for n in wire.bytes if n >= 100_000][len(sent) :]
    assert len(sent + again) <= 2 * 4  # the same data needs no sending, in another training either


def test_threads_need_no_data(threads):
    wire = Wire(threads)
    X = np.random.default_rng(0).random((3000, 100))
    trained(wire, nn.MLP([100, 2], rng=0), (X, np.arange(3000) % 2), batch_size=500, epochs=1)
    assert len(wire.bytes) == 6 * 3
    assert max(wire.bytes) < X.nbytes / 20


def test_a_worker_that_forgot_the_data_gets_it_again():
    with ThreadPoolExecutor(1) as pool:
        _, model = trained(Forgetful(pool), epochs=1)
    _, one = trained(None, epochs=1)
    same(model, one)


ROWS = Pair(np.ones((1, 2)), np.zeros(1, int))
EITHER = {0: np.arange(1), 1: np.arange(1)}


def asked(shard, step=1, data="a", arrays=None):
    """The shard that this process, as a worker, answers with."""
    model = network()
    program = model, nn.cross_entropy, [*model.parameters()]
    return work(Task((data, 2), shard, ("t", step), 1, EITHER, program, False, "", arrays)).shard


@pytest.fixture
def _new_worker(monkeypatch):
    monkeypatch.setattr(worker, "_kept", {})
    monkeypatch.setattr(worker, "_done", {})


@pytest.mark.usefixtures("_new_worker")
def test_a_worker_answers_with_a_shard_that_it_has():
    assert asked(0) is None
    assert asked(0, arrays=ROWS) == 0
    assert asked(0) == 0  # again, if it must
    assert asked(1) is None  # it did its own in this step
    assert asked(1, step=2) == 0  # and does it in the next, whatever it is asked
    assert asked(1, step=2, arrays=ROWS) == 1
    assert asked(1, step=3, data="b") is None


@pytest.mark.usefixtures("_new_worker")
def test_a_worker_keeps_the_data_sets_that_it_used_last():
    for name in "abcd":
        worker.keep((name, 2), 0, ROWS)
    assert asked(0, data="a") == 0
    worker.keep(("e", 2), 0, ROWS)
    assert [name for name, _ in worker._kept] == ["c", "d", "a", "e"]
    assert asked(0, data="b") is None


@pytest.mark.usefixtures("_new_worker")
def test_a_worker_on_another_machine_may_have_the_number_of_this_process(monkeypatch):
    model = Fails()
    model.home = -1  # fails here
    program = model, nn.cross_entropy, [*model.parameters()]
    task = Task(("a", 2), 0, ("t", 1), 1, EITHER, program, False, executors.this_process(), ROWS)
    monkeypatch.setattr(worker, "sendable", lambda error: "sent")
    monkeypatch.setattr(worker, "one_blas_thread", lambda: None)
    assert isinstance(work(task).error, KeyError)
    monkeypatch.setattr("platform.node", lambda: "another")
    assert work(task).error == "sent"


# ── workers that die ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process that it forked")
def test_a_worker_that_dies_costs_its_shard_and_not_the_run(tmp_path):
    marker = tmp_path / "calls"
    said = r"^fit: a worker failed at shard \d of 2; this process computes it again, alone from here on\. BrokenProcessPool: "  # fmt: skip
    forked = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
    with forked as pool, pytest.warns(UserWarning, match=said) as caught:
        found, model = trained(pool, Dies(os.getpid(), str(marker)))
    ours = [w for w in caught if w.category is UserWarning]  # Python 3.12 warns of forks, too
    assert len(ours) == 1
    _, one = trained(None, Dies(os.getpid(), str(marker)))
    assert len(found) == 3
    same(model, one)
    assert marker.stat().st_size >= 5


def test_an_executor_that_was_shut_down(capsys):
    pool = ThreadPoolExecutor(2)
    pool.shutdown()
    _, model = trained(pool, progress=True)
    _, one = trained(None)
    same(model, one)
    said = "RuntimeError: cannot schedule new futures after shutdown"
    assert capsys.readouterr().err.count(said) == 1


class Lost(Exception):
    """What an executor raises that lost a worker and goes on, as Dask does."""


class Loses(Executor):
    num_workers = 2

    def __init__(self, pool, which):
        self.pool, self.which, self.calls = pool, which, 0

    def submit(self, function, *args):
        self.calls += 1
        return self.pool.submit(*((lost,) if self.which(self.calls) else (function, *args)))


def lost():
    raise Lost("no worker left")


def test_an_executor_that_lost_one_task_goes_on(threads):
    executor = Loses(threads, lambda call: call == 4)
    with pytest.warns(UserWarning, match="again, and the workers go on. Lost: no worker left") as caught:  # fmt: skip
        _, model = trained(executor)
    assert len(caught) == 1
    assert executor.calls == 3 * 3 * 2
    _, one = trained(None)
    same(model, one)


def test_an_executor_that_loses_every_task_is_not_asked_again(threads):
    executor = Loses(threads, lambda call: True)
    with pytest.warns(UserWarning, match="Lost: no worker left") as caught:
        _, model = trained(executor)
    assert len(caught) == 5
    assert "alone from here on" in str(caught[-1].message)
    assert executor.calls == 6
    _, one = trained(None)
    same(model, one)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), r"cannot train 1, a BatchNorm1d: it averages over a batch"),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)), r"cannot train 1, a Dropout: each worker would draw"),
        (Counts(), r"cannot train a model or a loss that changes when it is called"),
    ],
    ids=["BatchNorm1d", "Dropout", "Counts"],
)  # fmt: skip
def test_models_that_cannot_be_split(threads, model, said):
    before = model.state_dict()
    with pytest.raises(ValueError, match=f"^fit: an executor {said}"):
        trained(threads, model)
    np.testing.assert_equal(model.state_dict(), before)


def test_dropout_that_drops_nothing(threads):
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Dropout(0.0))
    trained(threads, model, epochs=1)


@pytest.mark.parametrize(
    "loss",
    [largest, partial(nn.cross_entropy, weight=np.array([1.0, 5.0]))],
    ids=["largest", "weighted"],
)
def test_losses_that_are_no_mean_and_no_sum(threads, loss):
    said = r"^fit: the executor needs a loss that is a mean or a sum over the samples of a batch; \w+ is [\d.]+ on one batch of 32 samples, [\d.]+ on its first 11 and [\d.]+ on the others$"  # fmt: skip
    with pytest.raises(ValueError, match=said):
        trained(threads, loss=loss)


def test_a_loss_that_is_a_mean_at_first_only(threads):
    """Labels that do not count: they begin in the second epoch."""
    y = DATA[1].copy()

    def ignore(run):
        y[::7] = -100

    def mean_of_counted(prediction, y):
        return np.sum(nn.cross_entropy(prediction, y, reduction="none")) / np.sum(y != -100)

    said = r"^fit: mean_of_counted is [\d.]+ on one batch, and [\d.]+ put together from the workers' parts: .*, and data that does not change$"  # fmt: skip
    with pytest.raises(ValueError, match=said):
        trained(threads, data=(DATA[0], y), loss=mean_of_counted, callbacks=[ignore])


def test_a_loss_that_is_no_mean_of_a_later_batch(threads):
    """It is noticed at that batch, which is not the first of an epoch."""
    X, y = DATA[0][:64], np.zeros(64, int)
    y[7] = 1

    def mean_of_some(prediction, y):
        losses = np.mean(prediction**2, axis=-1)
        return np.sum(losses * y) / np.sum(y) if np.any(y) else np.mean(losses)

    first = np.random.default_rng(3).permutation(64)[:8]
    assert not np.any(y[first])
    said = r"^fit: mean_of_some is [\d.]+ on one batch, and [\d.]+ put together"
    with pytest.raises(ValueError, match=said):
        trained(threads, data=(X, y), loss=mean_of_some, batch_size=8, rng=3, epochs=1)


def test_predictions_that_are_larger_than_the_gradient_stay_where_they_are(threads):
    model, data = nn.Linear(2, 2, rng=0), Pair(np.ones((20_000, 2)), np.ones((20_000, 2)))
    shards = Shards(threads, data, model, nn.mse, predicts=False, warn=print)
    params = [*model.parameters()]
    assert shards.gradient(np.arange(20_000), params).prediction is None
    assert shards.gradient(np.arange(6000), params).prediction.shape == (6000, 2)


def outliers(prediction, y):
    return np.sum(np.maximum(0.0, np.abs(prediction[:, 0] - y) - 3.0))


def mean_of_outliers(prediction, y):
    return outliers(prediction, y) / len(y)


def signed(prediction, y):
    return np.sum(prediction[:, 0] * y)


@pytest.mark.parametrize("loss", [outliers, mean_of_outliers, signed])
def test_a_batch_whose_loss_is_a_mean_and_a_sum_decides_nothing(threads, loss):
    """As 0 = 0 + 0. This process computes it whole."""
    X, y = np.random.default_rng(0).standard_normal((96, 2)), np.zeros(96)
    y[[40, 77]] = 9.0, -12.0
    if loss is signed:  # of 11 and 21 samples; its gradient is not 0
        X[:32], y[:32] = X[0], np.where(np.arange(32) < 11, 1.0, -1.0)
    batches = [np.arange(k, k + 32) for k in (0, 32, 64)]
    model, one = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=0)
    shards = Shards(threads, Pair(X, y), model, loss, predicts=False, warn=print)
    decided = []
    for batch in batches:
        found = shards.gradient(batch, [*model.parameters()])
        decided.append(shards.is_mean)
        one.zero_grad()
        loss(one(X[batch]), y[batch]).backward()
        for g, p in zip(found.by, one.parameters(), strict=True):
            np.testing.assert_allclose(g, p.grad, rtol=1e-12, atol=1e-12)
    assert decided == [None, *[loss is mean_of_outliers] * 2]


def test_a_loss_of_tiny_numbers_is_a_mean_or_a_sum_all_the_same(threads):
    model = nn.Linear(2, 2, rng=0).astype(np.float32)
    X = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
    for loss in (lambda p, y: 1e-9 * nn.mse(p, y), lambda p, y: 1e-9 * np.sum((p - y) ** 2)):
        shards = Shards(threads, Pair(X, X), model, loss, predicts=False, warn=print)
        shards.gradient(np.arange(30), [*model.parameters()])
        assert shards.is_mean is (loss(model(X), X).item() < 1e-8)


def capped(prediction, y):
    losses = nn.cross_entropy(prediction, y, reduction="none")
    return np.mean(losses) + np.maximum(0.0, np.max(losses) - 5.0)


def test_a_small_model_is_compared_at_every_batch(threads):
    X, y = DATA[0].copy(), DATA[1]
    X[np.random.default_rng(1).permutation(90)[70]] *= 40  # not in the first batch
    model = nn.Linear(2, 2, rng=0)
    said = r"^fit: capped is [\d.]+ on one batch, and [\d.]+ put together"
    with pytest.raises(ValueError, match=said):
        trained(threads, model, data=(X, y), loss=capped, epochs=1)


def test_a_loss_with_a_part_that_the_workers_cannot_differentiate(threads):
    model = network()

    def penalized(prediction, y):  # copies of the model do not reach what this closes over
        return nn.cross_entropy(prediction, y) + nn.l2_penalty(model.parameters(), 0.1)

    said = r"^fit: the gradient of '.*weight' is up to [\d.]+ in size, and that of the workers differs by "
    with pytest.raises(ValueError, match=said):
        trained(threads, model, loss=penalized)


def test_arguments_that_exclude_each_other(threads):
    batches = [(DATA[0][:8], DATA[1][:8])]
    with pytest.raises(
        TypeError, match=r"with an executor, data must be a pair of arrays \(X, y\)"
    ):
        trained(threads, data=batches)
    with pytest.raises(ValueError, match="workers run uncompiled: pass executor= or compile=True, not both"):  # fmt: skip
        trained(threads, compile=True)
    with pytest.raises(
        TypeError, match=r"^fit: executor must be an executor of concurrent\.futures"
    ):
        trained(4)
    with pytest.raises(ValueError, match="a batch must have at least 2 samples"):
        trained(threads, batch_size=1)


def test_metrics_need_a_row_for_each_sample(threads):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2, rng=0)

        def forward(self, x):
            return self.inner(x), x

    loss = lambda p, y: nn.cross_entropy(p[0], y)
    with pytest.raises(
        TypeError, match="metrics with an executor need a model that returns an array"
    ):
        trained(threads, Two(), loss=loss, metrics={"n": lambda p, y: 1.0}, mode=None)


# ── errors of the model ───────────────────────────────────────────────────────────────────────────


def test_an_error_in_a_worker_is_raised_here(spawned):
    with pytest.raises(KeyError, match="a mistake of mine"):
        trained(spawned, Fails(), batch_size=24)


def test_what_cannot_be_sent_says_so(spawned):
    with pytest.raises(TypeError, match="define functions at the top level of a module"):
        trained(spawned, loss=lambda p, y: nn.cross_entropy(p, y))


def test_a_divergence_names_the_layer(threads):
    model = network()
    with pytest.raises(DivergedError, match=r"^fit: in epoch 1, batch \d, .*exp.*"):
        trained(threads, model, loss=explodes)
    assert all(np.isfinite(p.data).all() for p in model.parameters())


def test_how_many_workers_there_are(threads):
    assert workers_of(threads) == 3

    class Client:
        def nthreads(self):
            return {"a": 2, "b": 3}

    class OfDask:
        _client = Client()

    class OfMPI:
        num_workers = 7

    assert [workers_of(e) for e in (OfDask(), OfMPI(), object())] == [5, 7, os.cpu_count()]


# ── means that are no means over samples ──────────────────────────────────────────────────────────


def with_ignored(prediction, y):
    return nn.cross_entropy(prediction, y, ignore_index=9)


def test_a_label_that_is_ignored_is_refused_before_the_update(threads):
    labels = DATA[1].copy()

    def ignore(run):
        labels[-1] = 9

    with pytest.raises(
        ValueError, match="with cross_entropy on a batch in which labels are ignored"
    ):
        trained(threads, data=(DATA[0], labels), loss=with_ignored, callbacks=[ignore])


class Frozen(nn.Module):
    """Its averages are fixed, as in fine-tuning."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(2, 2, rng=0), nn.BatchNorm1d(2)

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x):
        return self.norm(self.layer(x))


def test_batch_normalization_with_fixed_averages_can_be_split(threads):
    same(trained(threads, Frozen())[1], trained(None, Frozen())[1])


def test_a_model_that_is_in_evaluation_mode_before_is_checked_in_training_mode(threads):
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Dropout(0.5)).eval()
    with pytest.raises(ValueError, match="an executor cannot train 1, a Dropout"):
        trained(threads, model)
