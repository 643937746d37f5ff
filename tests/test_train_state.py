"""What a checkpoint holds: all that a training depends on, wherever it is."""

import array
import calendar
import collections
import configparser
import contextlib
import csv
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import io
import itertools
import math
import operator
import os
import pathlib
import queue
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import types
import unittest.mock
import uuid
import weakref

import numpy as np
import pytest

from autobp import Tensor, nn
from autobp.compiler.trace.search import reachable
from autobp.optim import SGD, Adam, AdamW, ExponentialLR, ReduceLROnPlateau, StepLR
from autobp.train import CheckpointError, DivergedError, fit, frames, load_checkpoint
from autobp.train.fingerprint import UNSEEN, fingerprint
from autobp.train.inventory import Inventory
from autobp.train.memory import Area, view_within
from tests import stateful
from tests.stateful import CASES, X, Y

ENV = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills what it forks")
def test_killed_at_random_trainings_with_state_everywhere_resume_to_the_bit(tmp_path):
    said = {}
    for stage in ("whole", "killed", "resumed"):
        out = subprocess.run(
            [sys.executable, "-m", "tests.stateful", stage, str(tmp_path)],
            capture_output=True, text=True, check=True, env=ENV | {"PYTHONHASHSEED": str(len(said))},
        )  # fmt: skip
        said[stage] = dict(line.split(" ", 1) for line in out.stdout.splitlines())
        if stage == "killed":
            epochs = [load_checkpoint(tmp_path / f"parts-{name}.npz")["epoch"] for name in CASES]
    assert len(CASES) >= 30
    assert all(len(text) == 64 for text in said["whole"].values()), said["whole"]
    assert said["resumed"] == said["whole"]
    assert not said["killed"]
    assert len(set(epochs)) > 2


def trained(model, loss=nn.mse, optimizer=None, epochs=3, **options):
    optimizer = optimizer or SGD(model.parameters(), 0.05)
    return fit(model, (X, Y), loss, optimizer, epochs, 8, rng=0, **{"progress": False} | options)


class Counted(stateful.Base):
    """What it counts by cannot be saved."""

    def __init__(self):
        super().__init__()
        self.numbers = itertools.count()

    def factor(self):
        return 1 + 0.1 * next(self.numbers)


def test_what_cannot_be_saved_is_named_once_by_the_second_checkpoint(tmp_path, capsys):
    path = tmp_path / "run.npz"
    history = trained(Counted(), epochs=1, checkpoint=path, progress=True)
    assert "cannot hold" not in capsys.readouterr().err
    assert history.unsaved == []
    path.unlink()
    history = trained(Counted(), epochs=4, checkpoint=path, progress=True)
    said = capsys.readouterr().err
    assert said.count("a checkpoint cannot hold model.numbers, of a kind that fit does not kn") == 1
    assert said.index("2/4") < said.index("cannot hold") < said.index("3/4")
    assert history.unsaved == ["model.numbers"]
    history = trained(Counted(), epochs=5, checkpoint=path, progress=True, resume=True)
    said = capsys.readouterr().err
    assert said.count("resumed without model.numbers, ") == 1
    assert "not the same bit for bit" in said
    assert "cannot hold" not in said
    assert history.unsaved == ["model.numbers"]


def test_what_does_not_change_is_not_named(tmp_path, capsys):
    class Odd(stateful.Base):
        def __init__(self):
            super().__init__()
            self.lock, self.pattern = __import__("threading").Lock(), __import__("re").compile("a")
            self.numbers, self.out = itertools.count(), sys.stderr

    assert trained(Odd(), checkpoint=tmp_path / "run.npz", progress=True).unsaved == []
    assert "cannot" not in capsys.readouterr().err


def draws(rng):
    while True:
        yield float(rng.random())


class Key:
    pass


def counted_in(box):
    """A function that caches, and whose results depend on when it was called."""
    return functools.lru_cache(lambda x: box.append(x) or len(box))


def hashed(h):
    h.update(b"x")
    return h.digest()[0]


KEY = Key()

#: An object with a state that no file can hold, and how it is used in each step.
LOST = {
    "a hash object": (hashlib.sha256, hashed),
    "a view of memory": (
        lambda: memoryview(bytearray(4)),
        lambda m: operator.setitem(m, 0, m[0] + 1) or m[0],
    ),
    "a weak dictionary": (
        weakref.WeakKeyDictionary,
        lambda w: w.update({KEY: w.get(KEY, 0) + 1}) or w[KEY],
    ),
    "a queue": (queue.Queue, lambda q: q.put(1) or q.qsize()),
    "a simple queue": (queue.SimpleQueue, lambda q: q.put(1) or q.qsize()),
    "a stack of contexts": (
        contextlib.ExitStack,
        lambda e: e.callback(int) and len(e._exit_callbacks),
    ),
    "a generator that draws": (lambda: draws(np.random.default_rng(0)), next),
    "__next__ of a generator": (lambda: draws(np.random.default_rng(0)).__next__, lambda f: f()),
    "__next__ of a counter": (lambda: itertools.count().__next__, lambda f: f()),
    "a cache": (lambda: counted_in([]), lambda f: f(random.getrandbits(60))),
    "a text in memory": (io.StringIO, lambda f: f.write("x") and f.tell()),
    "a file": (
        lambda: opened(tempfile.TemporaryFile("w+")),  # noqa: SIM115 (the fixture closes it)
        lambda f: f.write("x") and f.tell(),
    ),
    "an array of Python": (lambda: array.array("d", [0.0]), lambda a: a.append(1.0) or len(a)),
    "an array of C": (
        lambda: (ctypes.c_double * 2)(),
        lambda a: operator.setitem(a, 0, a[0] + 1) or a[0],
    ),
    "a database": (
        lambda: opened(sqlite3.connect(":memory:")),
        lambda d: len(d.execute("select 1").fetchall()),
    ),
}


OPEN = []


def opened(thing):
    OPEN.append(thing)
    return thing


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN:
        OPEN.pop().close()


class Holding(stateful.Base):
    def __init__(self, make, use):
        super().__init__()
        self.thing, self.use = make(), use

    def factor(self):
        return 1 + 0.01 * float(self.use(self.thing) or 0)


async def waiting():
    return 1


async def waiting_often():
    yield 1


@pytest.mark.parametrize("make", [waiting, waiting_often])
def test_coroutines_are_looked_into(make):
    x = make()
    assert fingerprint(x) == fingerprint(x) != UNSEEN
    with contextlib.suppress(AttributeError):  # an asynchronous generator has nothing to close
        x.close()


@pytest.mark.parametrize("what", LOST)
def test_no_state_is_lost_in_silence(what, tmp_path):
    """With a bar, without one, and after the first file alone."""
    path = tmp_path / "run.npz"
    with pytest.warns(UserWarning, match="a checkpoint cannot hold model.thing, of a kind that"):
        history = trained(Holding(*LOST[what]), checkpoint=path)
    assert history.unsaved == ["model.thing"]
    with pytest.warns(
        UserWarning, match="resumed without model.thing, .* not the same bit for bit"
    ):
        trained(Holding(*LOST[what]), epochs=4, checkpoint=path, resume=True)
    path.unlink()
    assert trained(Holding(*LOST[what]), epochs=1, checkpoint=path).unsaved == []
    with pytest.warns(
        UserWarning, match="resumed without model.thing, .* not the same bit for bit"
    ):
        history = trained(Holding(*LOST[what]), epochs=2, checkpoint=path, resume=True)
    assert history.unsaved == ["model.thing"]


class Log:
    def __init__(self):
        self.epochs = []

    def __call__(self, run):
        self.epochs.append(run.epoch)


def test_a_log_of_a_callback_is_not_demanded(tmp_path):
    path, log = tmp_path / "run.npz", Log()
    trained(stateful.Base(), checkpoint=path, callbacks=[log])
    with pytest.warns(
        UserWarning, match="the checkpoint has the state of callbacks.0. .Log., which"
    ):
        history = trained(stateful.Base(), epochs=4, checkpoint=path, resume=True)
    assert history.unsaved == []
    assert log.epochs == [1, 2, 3]


@pytest.mark.filterwarnings("error")
def test_a_callback_without_a_state_may_be_left_out(tmp_path):
    path = tmp_path / "run.npz"
    trained(stateful.Base(), checkpoint=path, callbacks=[Log(), lambda run: run.epoch])
    trained(stateful.Base(), epochs=4, checkpoint=path, resume=True, callbacks=[Log()])


# ── parameters outside the model ──────────────────────────────────────────────────────────────────


def scaled():
    model, scale = stateful.Base(), Tensor(1.0)
    loss = lambda p, y: nn.mse(p, y) * np.exp(-scale) + 0.1 * scale
    return model, scale, loss, SGD([*model.parameters(), scale], 0.05)


def test_the_best_epoch_has_the_parameters_outside_the_model_too():
    model, scale, loss, optimizer = scaled()
    values = []

    def spoil(run):
        values.append((scale.item(), model.linear.weight.tolist()))
        if run.epoch == 2:
            scale.data = 90.0

    history = trained(model, loss, optimizer, 4, callbacks=[spoil], keep_best=True, monitor="loss")
    best = history.best()["epoch"]
    assert best < 4
    assert (scale.item(), model.linear.weight.tolist()) == values[best - 1]


def test_after_a_divergence_they_are_put_back():
    model, scale, loss, optimizer = scaled()
    values = []

    def spoil(run):
        values.append(scale.item())
        if run.epoch == 2:
            optimizer.param_groups[0]["lr"] = 1e200

    with pytest.raises(DivergedError):
        trained(model, loss, optimizer, 4, callbacks=[spoil])
    assert scale.item() == values[1]
    assert np.isfinite(model.linear.weight.data).all()


def test_arrays_of_modules_are_kept_with_the_best_and_put_back():
    model = CASES["counters"]()[0]
    means = []

    def spoil(run):
        means.append(model.mean.copy())
        if run.epoch == 2:
            model.linear.weight.data = np.full((1, 3), math.inf)

    with pytest.raises(DivergedError):
        trained(model, epochs=4, callbacks=[spoil])
    np.testing.assert_array_equal(model.mean, means[1])


def test_parameters_that_are_added_later_are_clipped_and_checked():
    model, extra = stateful.Base(), Tensor(1.0, name="extra")
    optimizer = SGD(model.parameters(), 1e-3)
    loss = lambda p, y: nn.mse(p, y) + 1e6 * extra

    def add(run):
        if run.epoch == 1:
            optimizer.add_param_group({"params": [extra]})

    trained(model, loss, optimizer, 2, callbacks=[add], clip_norm=1.0)
    assert abs(extra.item() - 1) < 0.01  # three steps of 1e-3 at most
    optimizer.param_groups[1]["lr"] = 1e303
    with pytest.raises(DivergedError, match="of the parameter 'extra'"):
        fit(model, (X, Y), loss, optimizer, 1, 24, progress=False)


# ── a refused resume ──────────────────────────────────────────────────────────────────────────────


def everything(model, optimizer, schedule, rng):
    numbers = Inventory({"model": model, "schedule": schedule}).take(everything=True).records
    return stateful._plain([numbers, optimizer.state_dict(), rng.bit_generator.state])


def same(a, b):
    from autobp.train.inventory import _digest

    return _digest([a]) == _digest([b])


REFUSED = {
    "another schedule": (lambda o: ReduceLROnPlateau(o), None, "its schedule is a StepLR, not a Red"),
    "no schedule": (lambda o: None, None, "one has a schedule, the other has none"),
    "another shape": (lambda o: StepLR(o, 1), lambda: stateful.CASES["counters"]()[0], None),
    "a relative": (lambda o: StepLR(o, 1), AdamW, "its optimizer is of class SGD, not AdamW"),
    "another optimizer": (lambda o: StepLR(o, 1), Adam, "its optimizer is of class SGD, not Adam"),
}  # fmt: skip


@pytest.mark.parametrize("other", REFUSED)
def test_a_refused_resume_changes_nothing(tmp_path, other):
    schedule_of, change, text = REFUSED[other]
    path = tmp_path / "run.npz"
    model = CASES["generators_in_lists"]()[0]
    optimizer = SGD(model.parameters(), 0.05, 0.9)
    trained(model, optimizer=optimizer, schedule=StepLR(optimizer, 1), checkpoint=path)
    model = CASES["generators_in_lists"]()[0] if change in (None, Adam, AdamW) else change()
    kind = change if change in (Adam, AdamW) else SGD
    optimizer = kind(model.parameters(), 0.05)
    trained(model, optimizer=optimizer, epochs=1)
    schedule, rng = schedule_of(optimizer), np.random.default_rng(9)
    optimizer.param_groups[0]["lr"] = 0.3
    before = everything(model, optimizer, schedule, rng)
    with pytest.raises(CheckpointError, match=text or "does not belong to this training"):
        fit(model, (X, Y), nn.mse, optimizer, 99, schedule=schedule, rng=rng, checkpoint=path,
            resume=True, progress=False)  # fmt: skip
    assert same(everything(model, optimizer, schedule, rng), before)
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_a_resume_that_fails_half_way_changes_nothing(tmp_path):
    """The model's own method refuses when all else has been put back."""
    path = tmp_path / "run.npz"

    moods = []

    class Moody(CASES["counters"]()[0].__class__):
        def load_state_dict(self, state_dict):
            if moods:
                super().load_state_dict({name: value + 1 for name, value in state_dict.items()})
                raise ValueError(moods.pop())
            super().load_state_dict(state_dict)

    trained(Moody(), checkpoint=path)
    model = Moody()
    optimizer, rng = SGD(model.parameters(), 0.05), np.random.default_rng(1)
    before = everything(model, optimizer, None, rng)
    weight = model.linear.weight.data
    moods.append("not today")
    with pytest.raises(CheckpointError, match="does not belong to this training: not today"):
        fit(model, (X, Y), nn.mse, optimizer, 9, rng=rng, checkpoint=path, resume=True)
    assert same(everything(model, optimizer, None, rng), before)
    assert model.linear.weight.data is weight


# ── the inventory ─────────────────────────────────────────────────────────────────────────────────


class FreeVariable:
    pass


def test_any_nest_is_put_back_as_it_was():
    thing = FreeVariable()
    thing.a = [1, (2.0, None, b"x"), {"k": {3, 4}, 5: frozenset("ab")}, 1j, np.float32(2), ...]
    thing.queue, thing.counter = collections.deque([1, 2], 3), collections.Counter("aab")
    thing.sets = collections.defaultdict(list, x=[1])
    thing.itself, thing.slice, thing.type = thing, slice(1, None), np.dtype("f4")
    thing.array = np.arange(3)
    thing.same, thing.random = thing.array, random.Random(1)
    inventory = Inventory({"model": thing})
    taken = inventory.take().records
    text = repr(vars(thing)["a"]), repr(thing.queue), repr(thing.counter), repr(thing.sets)
    array, drawn = thing.array, thing.random.random()
    thing.a[2]["k"].add(9)
    thing.a.append(thing.a)
    thing.a[1] = 3
    thing.queue.extend([7, 8, 9])
    thing.counter["z"] += 1
    thing.sets["new"].append(thing)
    thing.array += 5
    thing.same, thing.slice, thing.more = None, 3, FreeVariable()
    assert inventory.put(taken) == []
    assert text == (repr(thing.a), repr(thing.queue), repr(thing.counter), repr(thing.sets))
    assert thing.array is array is thing.same
    assert array.tolist() == [0, 1, 2]
    assert thing.slice == slice(1, None)
    assert not hasattr(thing, "more")
    assert thing.random.random() == drawn


def test_large_nests_of_plain_values_are_found_as_one_and_put_back():
    thing = FreeVariable()
    thing.ids = {f"t{i}": i for i in range(5000)}
    thing.list = [*map(float, range(5000)), "a", None, 10**3000]
    thing.pairs = [(i, str(i)) for i in range(5000)]
    thing.mixed = [1, (2, [3]), True, 1.0]
    (found,) = reachable({"model": thing})
    assert len(found.variables) < 20
    inventory = Inventory({"model": thing})
    taken, text = inventory.take().records, repr(vars(thing))
    digest = [*inventory.take(everything=True).records.items()]
    thing.ids["t7"], thing.list[3], thing.pairs[4], thing.mixed[2] = 8, 9, (1, 1), 1
    thing.mixed[1][1].append(4)
    assert not same(digest, [*inventory.take(everything=True).records.items()])
    assert inventory.put(taken) == []
    assert repr(vars(thing)) == text
    assert same(digest, [*inventory.take(everything=True).records.items()])


def test_a_file_makes_no_objects_of_foreign_classes():
    thing = FreeVariable()
    inventory = Inventory({"model": thing})
    records = inventory.take().records
    records["model.__dict__"][-1].append(["trap", ["ref", "new 0"]])
    records["new 0"] = ["object", "subprocess", "subprocess.Popen", True, None]
    with pytest.raises(ValueError, match="it holds a subprocess.Popen, which this training does n"):
        inventory.put(records)
    assert not vars(thing)


# ── values of Python's library, and of subclasses ─────────────────────────────────────────────────


class Whole(int):
    pass


class Half(float):
    pass


class Text(str):
    pass


class Marked(np.ndarray):
    pass


class Label(np.str_):
    pass


class Trail(list):
    """A list that needs an argument to be made, and has an attribute."""

    def __new__(cls, steps):
        return super().__new__(cls)

    def __init__(self, steps):
        super().__init__(range(steps))
        self.steps = steps

    def __eq__(self, other):
        return super().__eq__(other) and self.steps == other.steps


class Pair(tuple):
    pass


class Colour(enum.Flag):
    RED = 1
    GREEN = 2
    BLUE = 4


DAY = datetime.timedelta(days=1, seconds=3, microseconds=7)
VALUES = {
    "Decimal": (decimal.Decimal("0.1"), lambda v: v + decimal.Decimal("0.37")),
    "Fraction": (fractions.Fraction(1, 3), lambda v: v + 1),
    "timedelta": (DAY, lambda v: v + DAY),
    "datetime": (datetime.datetime(2020, 1, 1), lambda v: v + DAY),
    "with a zone": (
        datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        lambda v: v + DAY,
    ),
    "date": (datetime.date(2020, 1, 1), lambda v: v + DAY),
    "time": (datetime.time(1), lambda v: v.replace(hour=v.hour + 1)),
    "path": (pathlib.Path("a"), lambda v: v / "b"),
    "pure path": (pathlib.PureWindowsPath("c:/a"), lambda v: v / "b"),
    "UUID": (uuid.UUID(int=1), lambda v: uuid.UUID(int=v.int + 1)),
    "subclass of int": (Whole(1), lambda v: Whole(v + 1)),
    "subclass of float": (Half(1), lambda v: Half(v / 2)),
    "subclass of str": (Text("a"), lambda v: Text(v + "b")),
    "flags": (Colour.RED, lambda v: Colour((v.value + 1) % 8)),
    "many digits": (10**5000, lambda v: v + 1),
    "a day of NumPy": (np.datetime64("2020-01-01"), lambda v: v + np.timedelta64(1, "D")),
    "days": (np.array(["2020-01-01"], "datetime64[D]"), lambda v: v + np.timedelta64(1, "D")),
    "number of NumPy": (np.float64(1), lambda v: v / 3),
    "text of NumPy": (np.str_("a"), lambda v: np.str_(v + "b")),
    "subclass of a text of NumPy": (Label("a"), lambda v: Label(v + "b")),
    "moment": (time.gmtime(0), lambda v: time.gmtime(calendar.timegm(v) + 3600)),
    "size": (os.terminal_size((1, 2)), lambda v: os.terminal_size((v[0] + 1, 2))),
    "subclass of list": (Trail(1), lambda v: Trail(v.steps + 1)),
    "subclass of tuple": (Pair((1, 2)), lambda v: Pair((v[1], sum(v)))),
    "array of a subclass": (np.ones(3).view(Marked), lambda v: v + 1),
}


class Stepping(stateful.Base):
    def __init__(self, value, advance):
        super().__init__()
        self.value, self.advance = value, advance

    def factor(self):
        self.value = self.advance(self.value)
        return 1.0


@pytest.mark.parametrize("where", ["model", "callback"])
@pytest.mark.parametrize("what", VALUES)
@pytest.mark.filterwarnings("error")
def test_values_are_saved(what, where, tmp_path):
    start, advance = VALUES[what]

    def run(epochs, resume=False):
        model = Stepping(start, advance) if where == "model" else stateful.Base()
        held = {"value": start}

        def callback(run):
            held["value"] = advance(held["value"])

        callbacks = [callback] if where == "callback" else []
        path = tmp_path / "run.npz"
        history = trained(model, epochs=epochs, checkpoint=path, resume=resume, callbacks=callbacks)
        assert history.unsaved == []
        return model.value if where == "model" else held["value"]

    whole = run(4)
    (tmp_path / "run.npz").unlink()
    run(2)
    found = run(4, resume=True)
    assert type(found) is type(whole)
    assert np.all(found == whole)


class Noted(tuple):
    """Its attributes have no place in a file."""


class Weight(Tensor):
    __slots__ = ()


class Drawer(random.Random):
    pass


STRANGE = {
    "a tuple with attributes": lambda n: vars(made := Noted((n,))).update(n=n) or made,
    "a subclass of frozenset": lambda n: type("Frozen", (frozenset,), {})([n]),
    "a subclass of Tensor": lambda n: Weight(n),
    "a subclass of a generator": lambda n: Drawer(n),
    "a class that is new": lambda n: type("New", (dict,), {})(n=n),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_could_not_be_made_anew_is_named(what, tmp_path):
    model, path = stateful.Base(), tmp_path / "run.npz"
    model.thing = None
    put = lambda run: setattr(model, "thing", STRANGE[what](run.epoch))
    with pytest.warns(UserWarning, match=r"a checkpoint cannot hold model.thing, of a kind that"):
        trained(model, epochs=3, checkpoint=path, callbacks=[put])
    model = stateful.Base()
    model.thing = None
    with pytest.warns(UserWarning, match=r"resumed without model.thing, .*not the same bit"):
        trained(model, epochs=4, checkpoint=path, resume=True, callbacks=[put])


class Growing(nn.Module):
    def __init__(self):
        self.layers = [nn.Linear(3, 1, rng=1)]

    def forward(self, x):
        return functools.reduce(lambda x, layer: layer(x), self.layers, x)


class OddLayer(nn.Linear):
    pass


ADDED = {
    "a layer": lambda: nn.Linear(1, 1, rng=2),
    "one of another kind": lambda: nn.Sequential(nn.LayerNorm(1), nn.Dropout(0.2, rng=1)),
    "one with averages": lambda: nn.BatchNorm1d(1),
    "one of a class of the user's": lambda: OddLayer(1, 1, rng=2),
}


@pytest.mark.parametrize("what", ADDED)
@pytest.mark.filterwarnings("error")
def test_a_model_may_grow(what, tmp_path):
    def run(epochs, **options):
        model = Growing()
        optimizer = Adam(model.parameters(), 0.05)

        def callback(run):
            if run.epoch == 2:
                model.layers.append(ADDED[what]())
                if params := [*model.layers[-1].parameters()]:
                    optimizer.add_param_group({"params": params})

        history = trained(
            model, optimizer=optimizer, epochs=epochs, callbacks=[callback], **options
        )
        assert history.unsaved == []
        return history["loss"], [t.tolist() for t in model.parameters()]

    whole, path = run(6), tmp_path / "run.npz"
    run(3, checkpoint=path)
    assert run(6, checkpoint=path, resume=True) == whole


def test_a_tuple_with_a_part_that_no_file_holds_stays_as_it_is(tmp_path):
    def run(epochs, resume=False):
        model = stateful.Base()
        model.pair = (hashlib.sha256(), 0)

        def callback(run):
            model.pair[0].update(b"a")
            model.pair = (model.pair[0], run.epoch)

        path = tmp_path / "run.npz"
        trained(model, epochs=epochs, checkpoint=path, resume=resume, callbacks=[callback])

    with pytest.warns(UserWarning, match=r"cannot hold model.pair\[0\], of a kind"):
        run(2)
    with pytest.warns(UserWarning, match=r"resumed without model.pair\[0\], which"):
        run(3, resume=True)


class Strict(np.ndarray):
    """Made from others of its kind alone."""

    def __array_finalize__(self, of):
        if not isinstance(of, Strict) and STRICT["now"]:
            raise TypeError("not from a plain array")


STRICT = {"now": False}


def test_what_refuses_to_be_made_is_named_by_the_resume(tmp_path, monkeypatch):
    def run(epochs, resume=False):
        model = stateful.Base()
        model.thing = np.ones(1).view(Strict)
        model.count = 0

        def put(run):
            model.thing = np.full(2, run.epoch).view(Strict)
            model.count += 1

        path = tmp_path / "run.npz"
        trained(model, epochs=epochs, checkpoint=path, resume=resume, callbacks=[put])
        return model.count

    run(2)
    put = Inventory.put

    def strictly(*args, **options):
        monkeypatch.setitem(STRICT, "now", True)
        found = put(*args, **options)
        monkeypatch.setitem(STRICT, "now", False)
        return found

    monkeypatch.setattr(Inventory, "put", strictly)
    with pytest.warns(UserWarning, match=r"resumed without model.thing, which"):
        assert run(3, resume=True) == 3


# ── validation data, callbacks and metrics ────────────────────────────────────────────────────────


class Drawn:
    """Batches that are drawn anew each time, and a count of the times."""

    def __init__(self):
        self.rng, self.times = np.random.default_rng(5), [0]

    def __iter__(self):
        self.times[0] += 1
        i = self.rng.permutation(len(X))[: 4 + self.times[0]]
        yield X[i], Y[i]


def drawn_by_a_function():
    drawn = Drawn()
    return lambda: iter(drawn)


@pytest.mark.parametrize("make", [Drawn, drawn_by_a_function])
@pytest.mark.filterwarnings("error")
def test_validation_data_may_have_a_state(make, tmp_path):
    def run(epochs, name, resume=False):
        model = stateful.Base()
        optimizer = SGD(model.parameters(), 2.0, 0.9)  # which goes to and fro
        history = trained(
            model, optimizer=optimizer, epochs=epochs, validation=make(), keep_best=True,
            checkpoint=tmp_path / name, resume=resume, clip_norm=1.0,
        )  # fmt: skip
        assert history.unsaved == []
        return history["val_loss"], model.linear.weight.tolist()

    whole = run(6, "whole.npz")
    run(3, "parts.npz")
    assert run(6, "parts.npz", resume=True) == whole


#: What stands for PyTorch: a package that is installed, with generators of its own.
TORCH = """
import random, sys, types

class Generator:
    device = "cpu"
    def __init__(self, device="cpu"):
        self._numbers = random.Random(0)
    def get_state(self):
        return types.SimpleNamespace(numpy=lambda: __import__("numpy").array(self._numbers.getstate()[1]))
    def set_state(self, state):
        self._numbers.setstate((3, (*map(int, state),), None))

Generator.__module__ = "torch._C"
default_generator = Generator()
from_numpy = lambda x: x

class DataLoader:
    def __init__(self, dataset, sampler):
        self.dataset, self.parts = dataset, [{"sampler": sampler}]
    def __iter__(self):
        for _ in range(3):
            yield self.dataset[self.parts[0]["sampler"].drawn()]

DataLoader.__module__ = "torch.data"

class Sampler:
    def __init__(self, rng=None):
        self.rng = rng
    def drawn(self):
        if hasattr(self.rng, "shuffle"):
            return self.rng.choice(24)
        return (self.rng or default_generator)._numbers.randrange(24)

Sampler.__module__ = "torch.data"
"""


@pytest.fixture
def torch(tmp_path, monkeypatch):
    file = tmp_path / "site-packages" / "torch.py"
    file.parent.mkdir()
    file.write_text(TORCH)
    monkeypatch.syspath_prepend(file.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # and away with it afterwards
    del sys.modules["torch"]
    module = __import__("torch")
    monkeypatch.setitem(sys.modules, "torch.data", module)
    return module


class Samples:
    """Data of the user's, in which a loader looks up samples."""

    def __init__(self):
        self.asked = 0

    def __getitem__(self, i):
        self.asked += 1
        return X[i : i + 1] * (1 + 0.01 * self.asked), Y[i : i + 1]


DRAWN_FROM = {
    "a generator of its own": lambda torch: torch.Generator(),
    "the generator of all": lambda torch: None,
    "one of NumPy": lambda torch: np.random.RandomState(1),
}


@pytest.mark.parametrize("what", DRAWN_FROM)
@pytest.mark.parametrize("where", ["data", "loss"])
@pytest.mark.filterwarnings("error")
def test_objects_of_packages_draw_and_call_as_before(what, where, torch, tmp_path):
    def run(epochs, **options):
        torch.default_generator._numbers.seed(5)
        model = stateful.Base()
        sampler = torch.Sampler(DRAWN_FROM[what](torch))
        data = torch.DataLoader(Samples(), sampler) if where == "data" else (X, Y)
        extra = lambda: sampler.drawn() if where == "loss" else 0.0
        loss = lambda p, y: nn.mse(p, y) + extra()
        optimizer = SGD(model.parameters(), 0.05)
        history = fit(model, data, loss, optimizer, epochs, rng=0, progress=False, **options)
        assert history.unsaved == []
        return history["loss"], model.linear.weight.tolist()

    whole, path = run(4), tmp_path / "run.npz"
    run(2, checkpoint=path)
    assert run(4, checkpoint=path, resume=True) == whole


def rates():
    while True:
        yield 0.1


async def sent():
    return 0.1


def filled():
    q = queue.SimpleQueue()
    for i in range(100):
        q.put(i)
    return q


#: What callbacks and metrics read from, and how.
READ = {
    "a counter": (itertools.count, next),
    "a generator": (rates, next),
    "a queue": (filled, lambda q: q.get()),
    "a file": (lambda: opened(open(__file__, "rb")), lambda f: len(f.readline())),  # noqa: SIM115
    "a text": (lambda: io.StringIO("abc" * 99), lambda f: len(f.read(1))),
    "a view": (lambda: memoryview(bytearray(4)), lambda m: operator.setitem(m, 0, m[0] + 1)),
    "an array of C": (lambda: (ctypes.c_double * 2)(), lambda c: operator.setitem(c, 0, c[0] + 1)),
    "a table of Python": (configparser.ConfigParser, lambda c: c.read_string(f"[{len(c)}]")),
}


@pytest.mark.parametrize("where", ["callbacks", "metrics"])
@pytest.mark.parametrize("what", READ)
def test_what_callbacks_and_metrics_read_from_is_named(what, where, tmp_path):
    make, use = READ[what]
    source = make()
    function = lambda *args: float(use(source) or 0)
    options = {where: [function] if where == "callbacks" else {"m": function}}
    with pytest.warns(
        UserWarning, match="a checkpoint cannot hold source, of a kind that fit does"
    ):
        history = trained(stateful.Base(), checkpoint=tmp_path / "run.npz", **options)
    assert history.unsaved == ["source"]


# ── objects that answer for every name, and what is no state ──────────────────────────────────────


class Config(dict):
    __getattr__ = dict.__getitem__


class Forgiving(dict):
    __getattr__ = dict.get


class Silent:
    def __getattr__(self, name):
        return None


class Asked:
    """It counts what is asked of it."""

    def __init__(self):
        self.questions = 0

    def __getattr__(self, name):
        self.questions += 1
        return self.questions


class Endless:
    """It makes another for each attribute, and keeps it."""

    def __getattr__(self, name):
        made = self.__dict__[name] = Endless()
        return made

    def __call__(self):
        return 0.0


class Slotted:
    __slots__ = ("__count", "never")

    def __init__(self):
        self.__count = 0

    def __getattr__(self, name):
        return 3.0

    def counted(self):
        self.__count += 1
        return self.__count


class Watched:
    """What its property gives changes."""

    def __init__(self):
        self.calls = 0

    @property
    def factor(self):
        return self.calls

    @factor.setter
    def factor(self, value):
        CALLS["n"] += 1
        self.calls = value + CALLS["n"]

    def counted(self):
        self.factor = self.factor + 1
        return self.factor


CALLS = {"n": 0}


class Backwards(dict):
    """A loop over it never ends."""

    def items(self):
        return ((str(i), 0.0) for i in itertools.count())

    keys = values = __iter__ = items


@functools.singledispatch
def dispatched(x):
    return 0.1


def bar():
    from tqdm import tqdm

    return tqdm(total=100, file=io.StringIO(), disable=False)


def mapped():
    """An array in a file, which begins anew."""
    array = np.memmap(opened(tempfile.TemporaryFile("w+b")), "f8", "w+", shape=2)  # noqa: SIM115
    array[:] = 1.0
    return array


def archive():
    file = io.BytesIO()
    np.savez(file, a=np.ones(2))
    file.seek(0)
    return opened(np.load(file))


def counted(nest, key):
    nest[key] += 1
    return nest[key]


#: Objects, and how the loss uses them. With each a training goes on as if it had not been interrupted.
HARMLESS = {
    "a config": (lambda: Config(rate=0.1), lambda c: c.rate),
    "a forgiving config": (lambda: Forgiving(rate=0.1), lambda c: c.rate),
    "one that says None": (Silent, lambda c: c.rate),
    "one that counts questions": (Asked, lambda c: c.rate),
    "endless attributes": (Endless, lambda c: c.rate.of()),
    "slots": (Slotted, lambda c: c.counted()),
    "a property": (Watched, lambda c: c.counted()),
    "an endless dict": (lambda: Backwards(a=0.1), lambda c: c["a"]),
    "singledispatch": (lambda: dispatched, lambda f: f(1)),
    "csv.writer": (lambda: csv.writer(io.StringIO()), lambda c: c.writerow([1]) and 0.0),
    "csv.DictWriter": (
        lambda: csv.DictWriter(io.StringIO(), ["a"]),
        lambda c: c.writerow({"a": 1}) and 0.0,
    ),
    "a chain of dicts": (lambda: collections.ChainMap({"n": 0}), lambda c: counted(c, "n")),
    "a dict of Python": (lambda: collections.UserDict(n=0), lambda c: counted(c, "n")),
    "a list of Python": (lambda: collections.UserList([0]), lambda c: counted(c, 0)),
    "an array in a file": (mapped, lambda a: counted(a, 0)),
    "an archive of arrays": (archive, lambda z: float(z["a"][0])),
    "a bar": (bar, lambda b: b.update() and 0.0),
    "a mock that is not called": (unittest.mock.MagicMock, lambda m: 0.0),
}


@pytest.mark.parametrize("what", HARMLESS)
@pytest.mark.filterwarnings("error")
def test_objects_that_need_no_word(what, tmp_path):
    make, use = HARMLESS[what]

    def run(epochs, name, resume=False):
        CALLS["n"] = 0
        thing, model = make(), stateful.Base()
        loss = lambda p, y: nn.mse(p, y) * (1 + 0.01 * (use(thing) or 0))
        history = trained(model, loss, epochs=epochs, checkpoint=tmp_path / name, resume=resume)
        assert history.unsaved == []
        return history["loss"], model.linear.weight.tolist()

    whole = run(4, "whole.npz")
    run(2, "parts.npz")
    assert run(4, "parts.npz", resume=True) == whole


def test_a_question_to_an_object_is_asked_by_nobody():
    asked = Asked()
    inventory = Inventory({"model": [asked]})
    inventory.begin()
    inventory.put(inventory.take(everything=True).records)
    fingerprint(asked)
    assert asked.__dict__ == {"questions": 0}


def test_a_mock_that_is_called_is_named(tmp_path):
    mock, model = unittest.mock.MagicMock(), stateful.Base()
    loss = lambda p, y: mock.log("a") and nn.mse(p, y)
    with pytest.warns(UserWarning, match="a checkpoint cannot hold mock, "):
        assert trained(model, loss, checkpoint=tmp_path / "run.npz").unsaved == ["mock"]


# ── code that is replaced ─────────────────────────────────────────────────────────────────────────


class Other(stateful.Base):
    def factor(self):
        return 2.0


class Model(stateful.Base):
    @staticmethod
    def scale():
        return 1.0

    def factor(self):
        return self.scale() * scaling() * float(os.environ.get("SCALE", 1))


def scaling():
    return 1.0


REPLACED = {
    "a class": (lambda m, patch: patch.setattr(m, "__class__", Other), "model.__class__"),
    "a method": (lambda m, patch: patch.setattr(Model, "factor", Other.factor), "Model.factor"),
    "a static method": (
        lambda m, patch: patch.setattr(Model, "scale", staticmethod(lambda: 2.0)),
        "Model.scale",
    ),
    "code": (
        lambda m, patch: patch.setattr(scaling, "__code__", Other.factor.__code__.replace(
            co_argcount=0, co_nlocals=0, co_varnames=())),
        "scaling.__code__",
    ),
    "the environment": (lambda m, patch: patch.setenv("SCALE", "2"), "os.environ"),
}  # fmt: skip


class Weighted:
    """Its attributes have names that other globals may have, too."""

    def __init__(self):
        self.lone_draw = self.lone_scale = self.lone_head = self.lone_rates = 1.0

    def __call__(self, p, y):
        weight = self.lone_draw * self.lone_scale * self.lone_head * self.lone_rates
        return nn.mse(p, y) * weight


def test_an_attribute_is_not_taken_for_a_global_of_that_name(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    rng, scale = np.random.default_rng(1), Tensor(np.zeros(2))
    head, rates = nn.Linear(2, 2, rng=3), [0.1]
    for name, x in {"lone_scale": scale, "lone_head": head, "lone_rates": rates}.items():
        monkeypatch.setitem(globals(), name, x)
    trained(stateful.Base(), Weighted(), epochs=1, checkpoint=path)
    monkeypatch.setitem(globals(), "lone_draw", rng)  # made since
    trained(stateful.Base(), Weighted(), epochs=2, checkpoint=path, resume=True)
    rng.random(3)
    scale.data, head.bias.data = np.ones(2), np.full(2, 7.0)
    rates[0] = 0.5
    before = rng.bit_generator.state
    history = trained(stateful.Base(), Weighted(), epochs=4, checkpoint=path, resume=True, keep_best=True)  # fmt: skip
    assert (rng.bit_generator.state, rates, history.unsaved) == (before, [0.5], [])
    np.testing.assert_array_equal(scale.data, np.ones(2))
    np.testing.assert_array_equal(head.bias.data, np.full(2, 7.0))


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("what", REPLACED)
def test_code_that_callbacks_replace_is_named(what, epoch, tmp_path, monkeypatch):
    replace, name = REPLACED[what]
    model = Model()
    callback = lambda run: run.epoch == epoch and replace(model, monkeypatch)
    with pytest.warns(UserWarning, match=f"a checkpoint cannot hold {name}, "):
        history = trained(model, epochs=4, checkpoint=tmp_path / "a.npz", callbacks=[callback])
    assert history.unsaved == [name]


def test_data_of_callbacks_that_no_file_holds_is_named(tmp_path):
    held = {"lists": np.array([[1], [2, 3]], dtype=object)}

    def callback(run):
        held["lists"][0].append(1)

    with pytest.warns(UserWarning, match=r"a checkpoint cannot hold held\['lists'\]") as caught:
        history = trained(stateful.Base(), checkpoint=tmp_path / "run.npz", callbacks=[callback])
    assert len(history.unsaved) == 1
    assert os.path.basename(caught[0].filename) in ("test_train_state.py", "stateful.py")


@pytest.mark.parametrize(
    "make", [lambda: lambda x: x, lambda: re.compile("a"), lambda: ValueError("no")]
)
def test_what_callbacks_keep_and_no_file_holds_is_named(make, tmp_path):
    kept = []
    with pytest.warns(UserWarning, match=r"a checkpoint cannot hold kept.*\[\d\]"):
        history = trained(
            stateful.Base(),
            epochs=3,
            checkpoint=tmp_path / "run.npz",
            callbacks=[lambda run: kept.append(make())],
        )
    assert history.unsaved


def test_a_schedule_and_a_namespace_that_a_callback_makes_go_on(tmp_path):
    def run(epochs, **options):
        model, held, kept = stateful.Base(), {}, []
        optimizer = Adam(model.parameters(), 0.05)

        def callback(run):
            kept.append(types.SimpleNamespace(epoch=run.epoch))
            if run.epoch == 2:
                held["schedule"] = ExponentialLR(optimizer, 0.5)
            if "schedule" in held:
                held["schedule"].step()

        trained(model, optimizer=optimizer, epochs=epochs, callbacks=[callback], **options)
        return optimizer.param_groups[0]["lr"], kept

    whole = run(5)
    path = tmp_path / "run.npz"
    run(3, checkpoint=path)
    assert run(5, checkpoint=path, resume=True) == whole


@pytest.mark.filterwarnings("error")
def test_sparse_matrices_that_a_callback_keeps_go_on(tmp_path):
    """One that is changed in place, and one that is another in each epoch."""
    sparse = pytest.importorskip("scipy.sparse")

    def run(epochs, **options):
        model, changed = stateful.Base(), sparse.csr_array(np.eye(3))
        held = {"replaced": sparse.csr_array(np.eye(3))}

        def callback(run):
            held["replaced"] = 1.5 * held["replaced"]
            changed.data[0] += 1
            model.linear.weight.data = model.linear.weight.data * (1 + 0.01 * changed.sum())

        trained(model, epochs=epochs, callbacks=[callback], **options)
        return changed.toarray(), held["replaced"].toarray(), model.linear.weight.data

    whole = run(5)
    path = tmp_path / "run.npz"
    run(3, checkpoint=path)
    for a, b in zip(run(5, checkpoint=path, resume=True), whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_object_of_a_package_is_never_made_by_halves(tmp_path, monkeypatch):
    """As the frames of pandas are: attributes in Python, contents in C, and a way of their own to be
    made again."""
    package = tmp_path / "site-packages"
    package.mkdir()
    (package / "tables_of_somebody.py").write_text(
        "import array\n"
        "class Table:\n"
        "    def __init__(self, numbers): self.held, self.name = array.array('d', numbers), 'a'\n"
        "    def __array__(self, dtype=None, copy=None): return __import__('numpy').array(self.held)\n"
        "    def __getstate__(self): return {'held': self.held}\n"
        "    def __setstate__(self, state): self.held, self.name = state['held'], 'a'\n"
    )
    monkeypatch.syspath_prepend(str(package))
    table = __import__("tables_of_somebody").Table
    tables = []

    def run(epochs, **options):
        held = {"table": table([0.0])}

        def callback(run):
            held["table"] = table([*held["table"].held, 1.0])

        trained(stateful.Base(), epochs=epochs, callbacks=[callback], **options)
        tables.append(held["table"])

    with pytest.warns(UserWarning, match=r"a checkpoint cannot hold held\['table'\]"):
        run(2, checkpoint=tmp_path / "run.npz")
    with pytest.warns(UserWarning, match=r"resumed without held\['table'\]"):
        run(3, checkpoint=tmp_path / "run.npz", resume=True)
    assert list(tables[1].held) == [0.0, 1.0]  # from where it began here


def test_a_tensor_that_shares_memory_with_a_parameter_does_so_after_a_resume(tmp_path):
    def run(epochs, **options):
        model, held = stateful.Base(), {}

        def callback(run):
            held["copy"] = Tensor(np.zeros((1, 3)), requires_grad=False)
            held["copy"].data = model.linear.weight.data

        trained(model, epochs=epochs, callbacks=[callback], **options)
        return model, held

    model, held = run(2, checkpoint=tmp_path / "run.npz")
    model, held = run(2, checkpoint=tmp_path / "run.npz", resume=True)
    model.linear.weight.data[...] = 7.0
    np.testing.assert_array_equal(held["copy"].data, model.linear.weight.data)


def test_memory_that_cannot_be_shared_again_is_named(tmp_path):
    model, held = stateful.Base(), {}
    optimizer = Adam(model.parameters(), 0.05)

    def callback(run):
        held["mean"] = next(x for x in _arrays(optimizer.state))

    with pytest.warns(UserWarning, match=r"a checkpoint cannot hold held\['mean'\]"):
        trained(model, optimizer=optimizer, checkpoint=tmp_path / "a.npz", callbacks=[callback])


def _arrays(nest):
    if isinstance(nest, np.ndarray):
        yield nest
    elif isinstance(nest, dict | list | tuple):
        for x in nest.values() if isinstance(nest, dict) else nest:
            yield from _arrays(x)


def test_a_place_outside_of_an_array_is_refused():
    rows = np.arange(6.0).reshape(3, 2)
    area, like = Area.of("rows", rows), np.zeros(2)
    assert view_within(area, like, 16, [8], [16, 8]).tolist() == [2.0, 3.0]
    assert view_within(area, like, 40, [8], [16, 8]) is None
    assert view_within(area, like, -8, [8], [16, 8]) is None
    assert view_within(area, like, 0, [8], [8, 24]) is None
    assert view_within(Area.of("a number", 1.0), like, 0, [8], [8]) is None


def test_views_of_parameters_are_views_after_a_resume(tmp_path):
    def run(epochs, resume=False):
        model = stateful.Base()
        views = [p.data.reshape(-1)[:2] for p in model.parameters()]

        def callback(run):
            for view in views:
                np.clip(view, -0.1, 0.1, out=view)

        trained(
            model,
            epochs=epochs,
            checkpoint=tmp_path / "run.npz",
            resume=resume,
            callbacks=[callback],
        )
        return [p.numpy() for p in model.parameters()]

    whole = run(4)
    (tmp_path / "run.npz").unlink()
    run(2)
    for a, b in zip(run(4, resume=True), whole, strict=True):
        np.testing.assert_array_equal(a, b)


# ── frames of pandas ──────────────────────────────────────────────────────────────────────────────

#: Frames of which equal ones are made, and others that hold what a file does not.
FRAMES = {
    "numbers": lambda p: p.DataFrame({"a": [1.5, math.nan], "b": [1, 2]}),
    "float32": lambda p: p.DataFrame(np.ones((2, 2), np.float32), columns=["a", "a"]),
    "a column": lambda p: p.Series([1.0, -0.0], index=["x", "y"], name="n"),
    "nothing": lambda p: p.DataFrame(),
    "texts": lambda p: p.DataFrame({"a": ["x", None]}, index=p.Index([3, 1], name="k")),
    "objects": lambda p: p.Series(["x", None, 1.5, True], dtype=object),
    "categories": lambda p: p.Series(p.Categorical(["b", None, "a"], ["b", "a"], ordered=True)),
    "missing": lambda p: p.DataFrame({"i": p.array([1, None], "Int64"), "t": p.array(["a", None], "string")}),
    "times": lambda p: p.Series([1.0, 2.0], index=p.to_datetime(["2020-01-02", "2020-01-05"])),
    "levels": lambda p: p.DataFrame({"a": [1, 2]}, index=p.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", "l"])),
    "levels of columns": lambda p: p.DataFrame({("a", 1): [1.0], ("b", 2): [2.0]}),
}  # fmt: skip
STRANGE_FRAMES = {
    "lists": lambda p: p.Series([[1], [2]]),
    "arrays": lambda p: p.DataFrame({"a": [np.zeros(2)]}),
    "zones": lambda p: p.Series(p.to_datetime(["2020"]).tz_localize("UTC")),
    "too much": lambda p: p.Series(np.zeros(frames._MOST + 1)),
    "a frequency": lambda p: p.Series([1.0, 2.0], index=p.date_range("2020", periods=2)),
    "attributes": lambda p: p.Series([1.0]).set_flags(allows_duplicate_labels=False),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_made_again(name):
    pandas = pytest.importorskip("pandas")
    x = FRAMES[name](pandas)
    parts = frames.frame_parts(x)
    changed = pandas.Series([7.0]) if x.ndim == 1 else pandas.DataFrame({"q": [7.0]})
    frames.write_frame(changed, frames.frame_of(parts))
    for made in (frames.frame_of(parts), changed):
        check = (
            pandas.testing.assert_series_equal if x.ndim == 1 else pandas.testing.assert_frame_equal
        )
        check(made, x, check_exact=True)


@pytest.mark.parametrize("name", STRANGE_FRAMES)
def test_other_frames_have_no_form(name):
    pandas = pytest.importorskip("pandas")
    assert frames.frame_parts(STRANGE_FRAMES[name](pandas)) is None


@pytest.mark.filterwarnings("error")
def test_frames_that_a_callback_keeps_go_on(tmp_path):
    """Those that are changed in place, and one that is another in each epoch."""
    pandas = pytest.importorskip("pandas")

    def run(epochs, **options):
        model = stateful.Base()
        held = {"log": pandas.DataFrame({"epoch": [0.0]})}
        table, column = pandas.DataFrame({"a": [1.0, 2.0]}), pandas.Series([0.0], index=["n"])

        def callback(run):
            row = pandas.DataFrame({"epoch": [float(run.epoch)]})
            held["log"] = pandas.concat([held["log"], row], ignore_index=True)
            table.loc[len(table)] = float(len(table))
            column["n"] += table["a"].sum() + len(held["log"])
            model.linear.weight.data = model.linear.weight.data * (1 + 0.001 * column["n"])

        trained(model, epochs=epochs, callbacks=[callback], **options)
        numbers = [held["log"].to_numpy(), table.to_numpy(), column.to_numpy()]
        return [*numbers, model.linear.weight.data]

    whole = run(5)
    path = tmp_path / "run.npz"
    run(3, checkpoint=path)
    for a, b in zip(run(5, checkpoint=path, resume=True), whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frame_without_a_form_is_named(tmp_path):
    pandas = pytest.importorskip("pandas")

    def run(epochs, **options):
        held = {"log": pandas.Series([[0]])}

        def callback(run):
            held["log"] = pandas.Series([[run.epoch], [1]])

        trained(stateful.Base(), epochs=epochs, callbacks=[callback], **options)
        return held["log"].tolist()

    with pytest.warns(UserWarning, match=r"a checkpoint cannot hold held\['log'\]"):
        run(2, checkpoint=tmp_path / "run.npz")
    with pytest.warns(UserWarning, match=r"resumed without held\['log'\]"):
        assert run(2, checkpoint=tmp_path / "run.npz", resume=True) == [[0]]
