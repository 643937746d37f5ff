"""Trainings whose state is in all sorts of places. `python -m tests.stateful STAGE FOLDER` runs each in
a process of its own: "whole", "killed" at random after a checkpoint was written, or "resumed"; it
prints for each a digest of all that came of it.
"""

import collections
import dataclasses
import functools
import hashlib
import os
import pathlib
import random
import signal
import sys
import threading
import time
import types
import weakref
from typing import NamedTuple

import numpy as np

from autobp import Tensor, nn
from autobp.optim import SGD, Adam, ReduceLROnPlateau, Schedule, StepLR
from autobp.train import fit

X = np.random.default_rng(0).normal(size=(24, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]]) + 0.1
EPOCHS = 7

CALLS = 0
SETTINGS = {"rate": 1.0, "calls": []}
MASK = np.ones(3)
ROLLING = collections.deque(maxlen=4)


class Base(nn.Module):
    def __init__(self):
        self.linear = nn.Linear(3, 1, rng=1)

    def forward(self, x):
        return self.linear(x) * self.factor()

    def factor(self):
        return 1.0


CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


def model_case(cls):
    """A model, trained with mse and SGD."""
    CASES[cls.__name__] = lambda: (model := cls(), nn.mse, SGD(model.parameters(), 0.05, 0.9), {})
    return cls


def loss_case(loss):
    """A loss, or what makes one."""

    def make():
        model = Base()
        return model, loss, SGD(model.parameters(), 0.05), {}

    CASES[loss.__name__ if hasattr(loss, "__name__") else type(loss).__name__] = make
    return loss


# ── parameters ────────────────────────────────────────────────────────────────────────────────────


@case
def scale_of_the_loss_is_learned():
    model, scale = Base(), Tensor(1.0)
    loss = lambda p, y: nn.mse(p, y) / np.exp(scale) + scale
    return model, loss, Adam([*model.parameters(), scale], 0.05), {"keep_best": True}


@case
def scale_in_an_object():
    model = Base()

    class Loss:
        def __init__(self):
            self._scales = [Tensor(0.5), {"b": Tensor([0.25])}]

        def __call__(self, p, y):
            a, b = self._scales[0], self._scales[1]["b"]
            return nn.mse(p, y) * np.exp(-a) + a * a + np.sum(b * b)

    loss = Loss()
    params = [*model.parameters(), loss._scales[0], loss._scales[1]["b"]]
    return model, loss, Adam(params, 0.05), {}


@case
def a_function_and_its_tensors():
    w, b = Tensor(np.zeros((3, 1))), Tensor(0.0)
    return (lambda x: x @ w + b), nn.mse, Adam([w, b], 0.05), {}


@case
def a_group_that_a_callback_adds():
    model = Base()
    extra = Tensor(1.0)
    model._extra = extra
    model.factor = lambda: extra
    optimizer = SGD([model.linear.weight], 0.05, 0.9)

    def add(run):
        if run.epoch == 2:
            optimizer.add_param_group({"params": [extra, model.linear.bias], "lr": 0.02})

    return model, nn.mse, optimizer, {"callbacks": [add]}


@case
def a_layer_that_is_frozen_midway():
    model = Base()

    def freeze(run):
        if run.epoch == 2:
            model.linear.bias.requires_grad = False

    return model, nn.mse, SGD(model.parameters(), 0.05), {"callbacks": [freeze]}


@model_case
class underscored(Base):
    def __init__(self):
        super().__init__()
        self._mean = Tensor(np.zeros(3), requires_grad=False)

    def forward(self, x):
        if self.training:
            self._mean.data = 0.9 * self._mean.data + 0.1 * x.mean(0)
        return self.linear(x - self._mean)


@model_case
class hidden_state(Base):
    def __init__(self):
        super().__init__()
        self.h = None

    def forward(self, x):
        out = self.linear(x)
        before = 0.0 if self.h is None else self.h
        if self.training:
            self.h = np.mean(out).detach() * 0.5
            self.last = out
        return out + before


# ── random numbers ────────────────────────────────────────────────────────────────────────────────


@model_case
class generators_in_lists(Base):
    def __init__(self):
        super().__init__()
        self.sources = [np.random.default_rng(1), {"b": np.random.RandomState(2)}, random.Random(3)]

    def factor(self):
        a, b, c = self.sources
        return 1 + 0.1 * (a.normal() + b["b"].normal() + c.gauss(0, 1))


class Noise:
    __slots__ = ("drawn", "rng")

    def __init__(self, seed):
        self.rng, self.drawn = np.random.default_rng(seed), 0

    def __call__(self):
        self.drawn += 1
        return 1 + 0.1 * self.rng.normal() + 0.01 * self.drawn


@model_case
class a_helper_with_slots(Base):
    def __init__(self):
        super().__init__()
        self._noise = Noise(4)

    def factor(self):
        return self._noise()


def _closure():
    rng, count = np.random.default_rng(5), 0

    def loss(p, y):
        nonlocal count
        count += 1
        return nn.mse(p, y) * (1 + 0.1 * rng.random()) / (1 + 0.01 * count)

    return loss


@case
def a_closure():
    model = Base()
    return model, _closure(), SGD(model.parameters(), 0.05), {}


@case
def an_attribute_of_a_local_function():
    model = Base()

    def loss(p, y):
        loss.count = getattr(loss, "count", 0) + 1
        return nn.mse(p, y) / (1 + 0.1 * loss.count)

    return model, loss, SGD(model.parameters(), 0.05), {}


@case
def a_variable_of_a_closure_that_is_empty_at_first():
    model = Base()

    def loss(p, y):
        nonlocal count
        try:
            count += 1
        except NameError:
            count = 1
        return nn.mse(p, y) / (1 + 0.1 * count)

    if model is None:
        count = 0
    return model, loss, SGD(model.parameters(), 0.05), {}


@case
def a_default_and_a_partial():
    model = Base()

    def loss(noise, p, y, rng=np.random.default_rng(6), seen=[0]):  # noqa: B006, B008
        seen[0] += 1
        noise[:] = 0.5 * noise + 0.01 * rng.normal(size=2)
        return nn.mse(p, y) * (1 + noise.sum()) / seen[0] ** 0.1

    bound = functools.partial(loss, np.zeros(2))
    return model, bound, SGD(model.parameters(), 0.05), {}


class Weighted:
    """A decorator that is a class."""

    def __init__(self, f):
        functools.update_wrapper(self, f)
        self.f, self.calls = f, 0

    def __call__(self, p, y):
        self.calls += 1
        return self.f(p, y) / (1 + 0.1 * self.calls)


@case
def a_decorator_that_is_a_class():
    model = Base()
    return model, Weighted(nn.mse), SGD(model.parameters(), 0.05), {}


class OfThread(threading.local):
    def __init__(self):
        self.seen = []


@case
def locals_of_a_thread():
    model, plain, own = Base(), threading.local(), OfThread()
    plain.calls = 0

    def loss(p, y):
        plain.calls += 1
        own.seen.append(plain.calls)
        return nn.mse(p, y) / (1 + 0.1 * len(own.seen) + 0.01 * plain.calls)

    return model, loss, SGD(model.parameters(), 0.05), {}


@loss_case
def global_random(p, y):
    return nn.mse(p, y) * (1 + 0.1 * random.random() + 0.1 * np.random.rand())


@case
def spawned():
    model = Base()
    parent = np.random.default_rng(7)
    loss = lambda p, y: nn.mse(p, y) * (1 + 0.1 * parent.spawn(1)[0].random())
    return model, loss, SGD(model.parameters(), 0.05), {}


@model_case
class seeds_that_spawn(Base):
    def __init__(self):
        super().__init__()
        self.seeds = np.random.SeedSequence(4)

    def factor(self):
        return 1 + self.seeds.spawn(1)[0].generate_state(1)[0] / 2**33


class CountingRandom(random.Random):
    calls = 0

    def factor(self):
        self.calls += 1
        return self.random() + self.calls


class CountingGenerator(np.random.Generator):
    calls = 0

    def factor(self):
        self.calls += 1
        return self.random() + self.calls


class CountingArray(np.ndarray):
    calls = 0

    def factor(self):
        self.calls += 1
        self[0] += self.calls
        return float(self[0])


@model_case
class subclasses_with_attributes(Base):
    def __init__(self):
        super().__init__()
        self.all = [
            CountingRandom(1),
            CountingGenerator(np.random.PCG64(1)),
            np.zeros(2).view(CountingArray),
        ]

    def factor(self):
        return 1 + 0.01 * sum(x.factor() for x in self.all)


@model_case
class a_mask(Base):
    def __init__(self):
        super().__init__()
        self.numbers, self.calls = np.ma.array(np.arange(40.0)), 0

    def factor(self):
        self.numbers[self.calls] = np.ma.masked
        self.calls += 1
        return 1 + 0.001 * float(self.numbers.sum())


@case
def a_parameter_that_a_callback_makes():
    model = Base()
    model.extra = 1.0
    model.factor = lambda: model.extra
    optimizer = Adam(model.parameters(), 0.05)

    def add(run):
        if run.epoch == 2:
            model.extra = Tensor(1.0)
            optimizer.add_param_group({"params": [model.extra], "lr": 0.02})

    return model, nn.mse, optimizer, {"callbacks": [add]}


@model_case
class a_bare_bit_generator(Base):
    def __init__(self):
        super().__init__()
        self.bits = np.random.PCG64(8)

    def factor(self):
        return 1 + 0.1 * np.random.Generator(self.bits).random()


@model_case
class dropout_with_one_generator_for_two(nn.Module):
    def __init__(self):
        rng = np.random.default_rng(9)
        self.a, self.b = nn.Linear(3, 8, rng=rng), nn.Linear(8, 1, rng=rng)
        self.drops = [nn.Dropout(0.2, rng=rng), nn.Dropout(0.3, rng=rng)]

    def forward(self, x):
        return self.b(self.drops[1](np.tanh(self.a(self.drops[0](x)))))


# ── counters, arrays, nests ───────────────────────────────────────────────────────────────────────


@model_case
class counters(Base):
    def __init__(self):
        super().__init__()
        self.steps, self.mean, self.table = 0, np.zeros(3), {"seen": set(), "sums": [0.0]}

    def forward(self, x):
        if self.training:
            self.steps += 1
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            self.table["seen"].add(self.steps % 5)
            self.table["sums"].append(self.table["sums"][-1] + 0.01)
        return (
            self.linear(x - self.mean)
            * (1 + self.table["sums"][-1])
            / len(self.table["seen"] | {0})
        )


@model_case
class an_array_in_place(Base):
    def __init__(self):
        super().__init__()
        self.mean = np.zeros(3)
        self.view = self.mean  # the same array under two names

    def forward(self, x):
        self.mean += 0.1 * (x.mean(0) - self.mean)
        return self.linear(x - self.view)


class Statistics(NamedTuple):
    count: int
    mean: float


@dataclasses.dataclass(frozen=True)
class Phase:
    name: str
    step: int


@model_case
class replaced_values(Base):
    def __init__(self):
        super().__init__()
        self.stats, self.phase = Statistics(0, 0.0), Phase("warm", 0)
        self.history = ROLLING

    def forward(self, x):
        self.stats = Statistics(self.stats.count + 1, 0.9 * self.stats.mean + 0.1 * float(x.mean()))
        self.phase = Phase("hot" if self.phase.step > 5 else "warm", self.phase.step + 1)
        self.history.append(self.stats.mean)
        factor = 1.1 if self.phase.name == "hot" else 0.9
        return self.linear(x) * factor + sum(self.history)


@loss_case
def global_counter(p, y):
    global CALLS
    CALLS += 1
    SETTINGS["rate"] *= 0.99
    SETTINGS["calls"].append(CALLS)
    MASK[CALLS % 3] *= 0.98
    return nn.mse(p, y) * SETTINGS["rate"] * MASK.mean() * (1 + 0.001 * len(SETTINGS["calls"]))


@model_case
class of_the_class(Base):
    calls = 0
    shared = {"n": 0}  # noqa: RUF012

    def factor(self):
        type(self).calls += 1
        self.shared["n"] += 1
        return 1 + 0.01 * of_the_class.calls + 0.001 * self.shared["n"]


@model_case
class which_layer_is_active(Base):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(3, 1, rng=2), nn.Linear(3, 1, rng=3)]
        self.active, self.squash, self.n = self.layers[0], np.tanh, 0

    def forward(self, x):
        self.n += 1
        if self.n % 7 == 0:
            self.active = self.layers[self.n % 2]
            self.squash = np.sin if self.squash is np.tanh else np.tanh
        return self.squash(self.active(x)) + self.linear(x)


@model_case
class made_while_training(Base):
    def __init__(self):
        super().__init__()
        self.made = {}

    def factor(self):
        noise = self.made.setdefault("noise", Noise(11)) if self.made else None
        self.made.setdefault("rng", np.random.default_rng(12))
        self.made.setdefault("ordered", collections.OrderedDict())[len(self.made)] = np.ones(2)
        return 1 + 0.1 * self.made["rng"].random() + (0.0 if noise is None else 0.01 * noise())


class Owner(types.SimpleNamespace):
    __slots__ = ("__weakref__",)


@model_case
class behind_weak_references(Base):
    def __init__(self):
        super().__init__()
        self.owner = Owner(count=0, parts=(np.zeros(1), [0]))
        self.link = weakref.ref(self.owner)

    def factor(self):
        self.link().count += 1
        self.link().parts[0][0] += 0.01
        self.link().parts[1][0] += 1
        return 1 + 0.01 * self.owner.count + self.owner.parts[0][0] + 0.001 * self.owner.parts[1][0]


@model_case
class frozen_in_training(nn.Module):
    def __init__(self):
        self.norm, self.linear = nn.BatchNorm1d(3), nn.Linear(3, 1, rng=1)
        self.n = 0

    def forward(self, x):
        self.n += self.training
        if self.n == 10:
            self.norm.eval()
        return self.linear(self.norm(x))


# ── optimizers, schedules, callbacks ──────────────────────────────────────────────────────────────


class Langevin(SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.rng, self.taken = np.random.default_rng(13), 0

    def step(self):
        self.taken += 1
        super().step()
        for p in self._params():
            p.data = p.data + 0.01 / self.taken * self.rng.normal(size=p.shape)


@case
def an_optimizer_with_noise():
    model = Base()
    return model, nn.mse, Langevin(model.parameters(), 0.05), {}


class Jitter(Schedule):
    def __init__(self, optimizer):
        self.rng, self.seen = np.random.default_rng(14), []
        super().__init__(optimizer)

    def rate(self, initial, t):
        self.seen.append(self.rng.random())
        return initial * (0.5 + float(np.mean(self.seen)))


@case
def a_schedule_with_noise():
    model = Base()
    optimizer = SGD(model.parameters(), 0.05)
    return model, nn.mse, optimizer, {"schedule": Jitter(optimizer)}


@case
def a_rate_that_a_callback_sets():
    model = Base()
    optimizer = SGD(model.parameters(), 0.05, 0.9)

    def halve(run):
        if run.epoch == 1:
            optimizer.param_groups[0]["lr"] *= 0.5

    schedule = ReduceLROnPlateau(optimizer, patience=1)
    return model, nn.mse, optimizer, {"callbacks": [halve], "schedule": schedule, "clip_norm": 1.0}


@case
def a_rate_beside_a_formula():
    model = Base()
    optimizer = SGD(model.parameters(), 0.05)
    schedule = StepLR(optimizer, 100)
    halve = lambda run: run.epoch % 2 or optimizer.param_groups[0].update(lr=0.05 / run.epoch)
    return model, nn.mse, optimizer, {"callbacks": [halve], "schedule": schedule}


class Patience:
    def __init__(self, optimizer):
        self.optimizer, self.best, self.bad = optimizer, np.inf, 0

    def __call__(self, run):
        loss = run.history["loss"][-1]
        self.bad = 0 if loss < 0.7 * self.best else self.bad + 1
        self.best = min(self.best, loss)
        if self.bad >= 2:
            self.bad = 0
            self.optimizer.param_groups[0]["lr"] *= 0.5


@case
def a_callback_that_counts():
    model = Base()
    optimizer = SGD(model.parameters(), 0.05, 0.9)
    return model, nn.mse, optimizer, {"callbacks": [Patience(optimizer)], "keep_best": True}


@case
def a_row_that_a_callback_takes():
    """Views of an array, of a parameter and of each other, all made while training."""
    model, table, held = Base(), np.zeros((EPOCHS + 1, 2)), {}

    def loss(p, y):
        for x in held.values():
            x[...] = 0.9 * x + 0.01
        return nn.mse(p, y) * (1 + table.sum()) * (1 + 0.1 * sum(x.sum() for x in held.values()))

    def take(run):
        held["row"] = table[run.epoch]
        held["weight"] = model.linear.weight.data[:, ::2]
        if run.epoch == 2:
            wide = np.arange(12.0).reshape(3, 4)
            held["columns"], held["rest"], held["turned"] = wide[:, :3], wide[1:], wide.T[::-1]

    return model, loss, SGD(model.parameters(), 0.05), {"callbacks": [take]}


@case
def an_optimizer_within_the_loss():
    model, weight = Base(), Tensor(1.0)
    inner = Adam([weight], 0.01)

    class Adaptive:
        def __init__(self):
            self.inner = inner

        def __call__(self, p, y):
            weight.grad = np.float64(float(nn.mse(p, y).item()) - 0.5)
            self.inner.step()
            return nn.mse(p, y) * weight.item()

    return model, Adaptive(), SGD(model.parameters(), 0.05), {}


# ── running them ──────────────────────────────────────────────────────────────────────────────────


def digest(model, optimizer, loss, history):
    """All bits that came of a training."""
    from autobp.train.inventory import Inventory, _digest

    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]
    zeroed = [id(p) for p in optimizer._params()]  # a step begins without their gradients
    taken = Inventory({"model": model, "loss": loss}).take(everything=True, zeroed=zeroed)
    state = taken.records
    numbers = [optimizer.state_dict(), [p.numpy() for p in optimizer._params()], rows]
    parts = [_digest([repr(rows), *map(_plain, numbers)])]
    for name in sorted(state):
        if name.startswith("new "):
            continue
        parts.append(f"{name}: {_digest([_plain(state[name])])}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _plain(x):
    if isinstance(x, dict):
        return [[_plain(k), _plain(v)] for k, v in x.items()]
    return [_plain(v) for v in x] if isinstance(x, list | tuple) else x


def run(name, path, killed_after=0, within=0.0):
    random.seed(0)
    np.random.seed(0)
    model, loss, optimizer, options = CASES[name]()

    def end(run):
        """The timer ends the process wherever it is. What is slept is longer than the timer runs: however
        fast or loaded the machine is, the training is not done before."""
        if run.epoch == killed_after:
            signal.setitimer(signal.ITIMER_REAL, within)
        time.sleep(0.01)

    if killed_after:
        options["callbacks"] = [*options.get("callbacks", ()), end]
    history = fit(
        model, (X, Y), loss, optimizer, EPOCHS, 8, rng=3, checkpoint=path, resume=True,
        progress=False, **options,
    )  # fmt: skip
    assert len(history) == EPOCHS
    if history.unsaved:
        print(f"{name} lost {history.unsaved}")
    return digest(model, optimizer, loss, history)


def main(stage, folder):
    chance = random.Random(f"{stage}")
    for name in CASES:
        path = pathlib.Path(folder) / f"{'whole' if stage == 'whole' else 'parts'}-{name}.npz"
        ends = (chance.randint(2, 4), chance.uniform(0.0001, 0.025)) if stage == "killed" else ()
        sys.stdout.flush()
        child = os.fork()
        if not child:
            try:
                print(name, run(name, path, *ends), flush=True)
            except BaseException as error:
                print(name, f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
