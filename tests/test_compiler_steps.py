"""Training steps as programs: optimizers, Dropout, and what a program could not do again."""

import collections
import contextlib
import datetime
import itertools
import logging
import os
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from autobp import CaptureError, Tensor, compile, custom, nn, optim

OPTIMIZERS = {
    "SGD": lambda ps: optim.SGD(ps, 0.1),
    "momentum": lambda ps: optim.SGD(ps, 0.1, 0.9),
    "Nesterov": lambda ps: optim.SGD(ps, 0.1, 0.9, nesterov=True, weight_decay=0.1),
    "Adagrad": lambda ps: optim.Adagrad(ps, 0.1),
    "Adagrad, all": lambda ps: optim.Adagrad(
        ps, 0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1
    ),
    "RMSprop": lambda ps: optim.RMSprop(ps, 0.01),
    "RMSprop, all": lambda ps: optim.RMSprop(
        ps, 0.01, weight_decay=0.1, momentum=0.5, centered=True
    ),
    "Adam": lambda ps: optim.Adam(ps, 0.01),
    "Adam, decay": lambda ps: optim.Adam(ps, 0.01, weight_decay=0.1),
    "AdamW": lambda ps: optim.AdamW(ps, 0.01, weight_decay=0.1),
}


class Scaled(nn.Module):
    """A network with a parameter that is a single number."""

    def __init__(self):
        self.net = nn.MLP([3, 5, 2], activation="tanh", rng=0)
        self.scale = Tensor(1.5)

    def forward(self, x):
        return self.net(x) * self.scale


def training(make, dtype=np.float64):
    """A step, the parameters that it moves, and the optimizer."""
    model = Scaled().astype(dtype)
    params = list(model.parameters())
    optimizer = make([{"params": params[:2]}, {"params": params[2:], "lr": 0.02}])

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, params, optimizer


def batch(k, dtype=np.float64):
    rng = np.random.default_rng(k)
    return rng.standard_normal((7, 3)).astype(dtype), rng.integers(0, 2, 7)


def assert_alike(ours, theirs, tol):
    (_, params, optimizer), (_, others, reference) = ours, theirs
    for p, q in zip(params, others, strict=True):
        assert p.dtype == q.dtype
        np.testing.assert_allclose(p.data, q.data, tol, tol)
        np.testing.assert_allclose(p.grad, q.grad, 10 * tol, tol)
    found, expected = optimizer.state_dict(), reference.state_dict()
    assert found["param_groups"] == expected["param_groups"]
    assert found["state"].keys() == expected["state"].keys()
    for i, entry in expected["state"].items():
        assert found["state"][i].keys() == entry.keys()
        for name, value in entry.items():
            assert type(found["state"][i][name]) is type(value)
            assert np.result_type(found["state"][i][name]) == np.result_type(value)
            np.testing.assert_allclose(found["state"][i][name], value, 10 * tol, tol)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_their_steps_in_programs(name, dtype):
    ours, theirs = (training(OPTIMIZERS[name], dtype) for _ in "12")
    step, tol = compile(ours[0]), 1e-10 if dtype is np.float64 else 1e-4
    arrays = [p.data for p in ours[1]]
    schedules = [optim.StepLR(optimizer, 3, 0.5) for _, _, optimizer in (ours, theirs)]
    for k in range(10):
        x, y = batch(k, dtype)
        assert step(x, y).item() == pytest.approx(theirs[0](x, y).item(), rel=1e3 * tol)
        assert_alike(ours, theirs, tol)
        for schedule in schedules:  # rates are read at each call
            schedule.step()
    assert len(step.programs) <= 2
    assert all(p.data is a for p, a in zip(ours[1], arrays, strict=True) if p.shape)


def test_parameters_and_averages_are_updated_in_place():
    step, _, optimizer = training(OPTIMIZERS["Adam"])
    step = compile(step)
    for k in range(3):
        step(*batch(k))
    text = step.source
    for line in (
        "dnet_linear1_weight = ",
        "# update\n",
        "exp_avg_sq1 *= ",
        "exp_avg1 += ",
        "linear1_weight -= ",
        " = step1 + 1",
        ", lr, lr1, step1, exp_avg, exp_avg_sq, step2, ",
    ):
        assert line in text
    averages = [s["exp_avg"] for s in optimizer.state.values()]
    step(*batch(4))
    assert all(s["exp_avg"] is a for s, a in zip(optimizer.state.values(), averages, strict=True))


def test_a_step_is_saved_with_its_optimizer_as_arguments(tmp_path):
    w, x = Tensor([1.0, 2.0], name="w"), np.array([1.0, 3.0])
    optimizer = optim.Adam([w], 0.1)

    def step(x):
        optimizer.zero_grad()
        loss = np.sum((w * x) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    step = compile(step)
    for _ in range(2):
        step(x)
    optimizer.zero_grad()
    step(x)
    step.save(tmp_path / "step.py")
    space = {}
    exec((tmp_path / "step.py").read_text(), space)
    state = optimizer.state_dict()["state"][0]
    told = {"w": w.numpy(), "lr": 0.1, "step1": state["step"]}
    told |= {name: state[name].copy() for name in ("exp_avg", "exp_avg_sq")}
    optimizer.zero_grad()
    loss, ((updated, _),), _ = space["step"](x, **told)
    assert loss == step(x).item()
    np.testing.assert_allclose(updated, w.data, 1e-12)


def test_models_and_optimizers_may_be_arguments():
    def step(model, optimizer, x, y):
        optimizer.zero_grad()
        loss = nn.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    pairs = [(m, optim.Adam(m.parameters(), 0.05)) for m in (Scaled(), Scaled(), Scaled())]
    compiled = compile(step)
    for k in range(5):
        found = compiled(*pairs[0], *batch(k)).item()
        assert found == pytest.approx(step(*pairs[1], *batch(k)).item(), rel=1e-10)
    count = len(compiled.programs)
    for k in range(5):  # another model has a program of its own
        again = compiled(*pairs[2], *batch(k)).item()
    assert again == found
    assert len(compiled.programs) == 2 * count


def test_a_state_that_is_loaded_is_the_one_that_counts():
    ours, theirs = (training(OPTIMIZERS["Adam"]) for _ in "12")
    step = compile(ours[0])
    for k in range(3):
        step(*batch(k))
        theirs[0](*batch(k))
    kept = [[p.numpy() for p in ours[1]], ours[2].state_dict()]
    for k in range(3):
        step(*batch(k))
    for p, value in zip(ours[1], kept[0], strict=True):
        p.data = value
    ours[2].load_state_dict(kept[1])
    for k in range(3, 6):
        step(*batch(k))
        theirs[0](*batch(k))
    assert_alike(ours, theirs, 1e-10)


def test_a_bad_rate_is_noticed_by_replays_too():
    step, _, optimizer = training(OPTIMIZERS["Adam"])
    step = compile(step)
    for k in range(3):
        step(*batch(k))
    for rate, text in ((-1.0, "lr of group 1 must be a finite number, 0 or above, not -1.0"), (
        float("nan"), "not nan")):  # fmt: skip
        optimizer.param_groups[1]["lr"] = rate
        with pytest.raises(ValueError, match=text):
            step(*batch(3))
    optimizer.param_groups[1]["lr"] = 1
    step(*batch(3))


def test_a_step_that_is_compiled_by_itself_leaves_the_gradients_alone():
    w = Tensor([1.0, 2.0])
    optimizer = optim.SGD([w], 0.5)
    step = compile(optimizer.step)
    for k in range(4):
        w.grad = g = np.array([1.0, k])
        before = w.numpy()
        step()
        assert w.grad is g
        assert w.data.tolist() == (before - 0.5 * g).tolist()
    assert len(step.programs) == 1


def test_a_gradient_that_is_returned_is_the_parameters():
    w, x = Tensor([1.0, 2.0]), np.array([3.0, -1.0])
    last = Tensor([0.0, 0.0], requires_grad=False)
    optimizer = optim.SGD([w], 0.1, 0.9)

    def step(x):
        optimizer.zero_grad()
        loss = np.sum(np.sin(w * x))
        loss.backward()
        optimizer.step()
        last.data = w.grad
        return [w.grad, 1.0 * w.grad, [w.grad], w.data]

    def simple(x):
        w.grad = None
        np.sum(np.sin(w * x)).backward()
        return w.grad, w.grad * 1.0

    compiled, plainer = compile(step), compile(simple)
    for k in range(4):
        found = compiled(x + k)
        kept = [np.copy(found[0]), *map(np.copy, plainer(x))]
        grad, other = result = plainer(x)
        assert grad is w.grad
        assert not np.shares_memory(grad, other)
        compiled(x)  # writes into neither
        plainer(2 * x)
        for a, b in zip((found[0], *result), kept, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(found[0], last.data)  # which a later call may write into


def test_optimizers_of_ones_own():
    class Signs(optim.Optimizer):
        lr: float = optim.option.option(optim.option.at_least_zero, default=0.01)
        state_names = ("seen",)

        def update(self, x, g, state, *, lr):
            state["seen"] = state.get("seen", 0) + 1
            x -= np.multiply(np.sign(g), lr / state["seen"], out=self.scratch(x))

    ours, theirs = (training(lambda ps: Signs(ps, lr=0.1)) for _ in "12")
    step = compile(ours[0])
    for k in range(4):
        step(*batch(k))
        theirs[0](*batch(k))
    assert_alike(ours, theirs, 1e-10)
    assert step.programs


def test_an_error_in_the_first_steps_leaves_an_optimizer_as_the_function_does():
    ends = []
    for wrap in (compile, lambda f: f):
        w = Tensor([1.0, 2.0])
        optimizer = optim.Adam([w])

        @wrap
        def step(x, more, w=w, optimizer=optimizer):
            optimizer.zero_grad()
            np.sum(w * x).backward()
            optimizer.step()
            if more:
                raise KeyError("mine")

        for more in (True, False, False, True, False):
            with contextlib.suppress(KeyError):
                step(np.ones(2), more)
        ends.append((w.numpy(), optimizer.state_dict()["state"][0]))
    (w, ours), (v, theirs) = ends
    np.testing.assert_allclose(w, v, 1e-12)
    assert ours["step"] == theirs["step"] == 5


def test_results_that_change_places_do_not_overwrite_each_other():
    def swap(p, q):
        p.data, q.data = q.data * 2, p.data + 1

    p, q = Tensor([1.0, 2.0]), Tensor([10.0, 20.0])
    swap = compile(swap)
    for _ in range(3):
        a, b = p.numpy(), q.numpy()
        swap(p, q)
        np.testing.assert_array_equal(p.data, b * 2)
        np.testing.assert_array_equal(q.data, a + 1)
    less = compile(lambda a, b: a - b, donate=1)
    for _ in range(2):
        a, b = np.array([1.0, 2.0]), np.array([10.0, 20.0])
        assert less(a, b).tolist() == [-9.0, -18.0]
        assert a.tolist() == [1.0, 2.0]


# ── random numbers ────────────────────────────────────────────────────────────────────────────────


def dropping(seed):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(3, 8, rng=0), nn.Dropout(0.5, rng=rng), "tanh", nn.Dropout(0.2, rng=rng)
    )


def test_dropout_draws_from_the_generator_of_the_module():
    ours, theirs = dropping(1), dropping(1)
    step = compile(lambda x: ours(x))
    for k in range(6):
        x = batch(k)[0]
        np.testing.assert_allclose(step(x).data, theirs(x).data, 1e-12)
    assert len(step.programs) <= 2
    ours.eval(), theirs.eval()
    np.testing.assert_allclose(step(x).data, theirs(x).data, 1e-12)
    ours.train(), theirs.train()
    np.testing.assert_allclose(step(x).data, theirs(x).data, 1e-12)
    assert isinstance(ours[1].rng, np.random.Generator)
    assert type(ours[1].rng) is np.random.Generator


def test_a_generator_is_set_back_where_nothing_is_written_down():
    model, same = dropping(1), dropping(1)

    def refused(x):
        y = model(x)
        return y if np.sum(y) > 0 else -y

    with pytest.raises(CaptureError, match="its truth was asked for"):
        compile(refused)(batch(0)[0])
    np.testing.assert_array_equal(model(batch(0)[0]).data, same(batch(0)[0]).data)
    rng = np.random.default_rng(2)
    with pytest.raises(CaptureError, match="a generator that it did not receive"):
        compile(lambda x: x * rng.random())(1.0)
    assert rng.random() == np.random.default_rng(2).random()


# ── effects ───────────────────────────────────────────────────────────────────────────────────────


class Counting(nn.Module):
    def __init__(self):
        self.calls = 0
        self.seen = []
        self.linear = nn.Linear(3, 2, rng=0)

    def forward(self, x):
        self.calls += 1
        return self.linear(x)


class Logging(Counting):
    def forward(self, x):
        self.seen.append(x.shape)
        return self.linear(x)


class Marking(Counting):
    def forward(self, x):
        MARKS[0] += 1
        return self.linear(x)


class Gathering(Counting):
    def forward(self, x):
        SHAPES.add(x.shape)
        return self.linear(x)


class Naming(Counting):
    made = 0

    def forward(self, x):
        Naming.made += 1
        return self.linear(x)


class Popping(Counting):
    def forward(self, x):
        LEFT.pop()
        TALLY["x"] += 1
        return self.linear(x)


class Shouting(Counting):
    def forward(self, x):
        print("called")
        return self.linear(x)


CALLS, MARKS, SHAPES = 0, np.zeros(2000), set()
LEFT, TALLY, NUMBERS = [1, 2, 3], collections.Counter(x=1), itertools.count()


def counted(x):
    global CALLS
    CALLS += 1
    return x


EFFECTS = {
    "a list of a module or an argument is changed": Logging(),
    "'CALLS', which is not an argument, is changed": counted,
    "an array, which is not an argument, is changed": Marking(),
    "a set, which is not an argument, is changed": Gathering(),
    "'made', which is not an argument, is changed": Naming(),
    "a list, which is not an argument, is changed|'x'": Popping(),
    "a count that gives something else each time": lambda x: x * next(NUMBERS),
    "the call of print at": Shouting(),
    "the call of write at": lambda x: sys.stdout.write("x") * x,
    "the call of breakpoint at": lambda x: (breakpoint(), x),
    "the call of time at": lambda x: x * time.time(),
    "the call of now at": lambda x: x * datetime.datetime.now().year,
    "the call of warn at": lambda x: (warnings.warn("mine", stacklevel=1), x),
    "the call of urandom at": lambda x: x * np.random.default_rng().random(),
}


@pytest.mark.parametrize("said", EFFECTS)
def test_effects_are_refused_before_they_happen(said, capsys):
    model = EFFECTS[said]
    with pytest.raises(CaptureError, match=said) as caught:
        compile(lambda x: model(x))(np.ones((2, 3)))
    assert capsys.readouterr().out == ""
    if "call of" in said:
        assert f"{__file__}:" in str(caught.value)
    assert not MARKS.any()  # what was changed is changed back
    assert not CALLS
    assert not SHAPES
    assert not Naming.made
    assert (LEFT, TALLY, repr(NUMBERS)) == ([1, 2, 3], {"x": 1}, "count(0)")
    assert not isinstance(model, Counting) or (model.calls, model.seen) == (0, [])


def test_a_number_that_a_module_counts_is_updated():
    ours, theirs = Counting(), Counting()
    compiled = compile(lambda x: ours(x))
    for k in range(6):
        ours.calls += k == 4
        theirs.calls += k == 4
        np.testing.assert_array_equal(
            compiled(np.ones((2, 3)) * k).data, theirs(np.ones((2, 3)) * k).data
        )
        assert (ours.calls, type(ours.calls)) == (theirs.calls, int)
    assert len(compiled.programs) == 1


def counting_itself(x):
    counting_itself.calls = getattr(counting_itself, "calls", 0) + 1
    return x


LOG = {}


@pytest.mark.parametrize("f", [counting_itself, lambda x: LOG.setdefault(len(LOG), 1) * x])
def test_what_every_call_adds_is_refused(f):
    counting_itself.__dict__.clear(), LOG.clear()
    compiled = compile(f)
    assert compiled(2.0) == 2.0  # it may be what is kept from the first call
    for _ in range(2):
        with pytest.raises(CaptureError, match="each call of .* adds|'calls', which is not an"):
            compiled(2.0)
    assert counting_itself.__dict__ == {"calls": 1} or LOG == {0: 1}


LOCK = threading.Lock()


class Harmless(nn.Module):
    def __init__(self):
        self.shape = self.weight = None

    def forward(self, x):
        self.shape = x.shape
        logging.getLogger("autobp.tests").debug("of shape %s", x.shape)
        with LOCK, warnings.catch_warnings(), contextlib.suppress(KeyError):
            warnings.simplefilter("ignore")
            return np.sum(x) * int(os.environ["NO SUCH VARIABLE"])
        if self.weight is None:
            self.weight = Tensor(2.0)
        return np.sum(x) * self.weight * len(os.fspath("path"))


def test_what_leaves_the_world_as_it_was_is_not_refused():
    model = Harmless()
    f = compile(lambda x: model(x))
    for _ in range(3):
        assert f(np.ones((30, 40))).item() == 9600.0
    assert model.shape == (30, 40)
    assert len(f.programs) == 1
    assert not LOCK.locked()


SCALE = 2.0


class Reading(nn.Module):
    gain = 1.0

    def forward(self, x):
        return self.scaled(x) * self.twice

    def scaled(self, x):
        return x * SCALE * self.gain

    @property
    def twice(self):
        return 2 * SETTINGS["more"]


SETTINGS = {"more": 1.0}


def test_what_methods_read_is_noticed_when_it_changes(monkeypatch):
    model = Reading()
    f = compile(lambda x: model(x))
    assert f(1.0) == 4.0
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert f(1.0) == 6.0
    monkeypatch.setattr(Reading, "gain", 2.0)
    assert f(1.0) == 12.0
    monkeypatch.setitem(SETTINGS, "more", 0.5)
    assert f(1.0) == 6.0
    model.scaled = lambda x: x
    assert f(1.0) == 1.0


def test_what_is_read_from_modules_is_noticed(monkeypatch):
    from tests import drawing as settings

    monkeypatch.setattr(settings, "RATE", 2.0, raising=False)
    f = compile(lambda x: x * settings.RATE)
    assert f(1.0) == 2.0
    monkeypatch.setattr(settings, "RATE", 3.0)
    assert f(1.0) == 3.0


def test_hooks_are_part_of_what_is_written_down():
    w, factor = Tensor([1.0, 2.0]), 10.0

    def f(x):
        w.grad = None
        np.sum(w * x).backward()

    f, x = compile(f), np.ones(2)
    f(x)
    assert w.grad.tolist() == [1.0, 1.0]
    handle = w.register_hook(lambda g: g * factor)
    for _ in range(2):
        f(x)
        assert w.grad.tolist() == [10.0, 10.0]
    factor = 20.0
    f(x)
    assert w.grad.tolist() == [20.0, 20.0]
    handle.remove()
    f(x)
    assert w.grad.tolist() == [1.0, 1.0]


def test_a_function_that_writes_into_its_argument_is_refused_and_undone():
    def doubled(x):
        x *= 2
        return x

    f = compile(lambda q: np.sum(custom(doubled, vjp=lambda t, y, x: 2 * t)(q)))
    q = np.arange(4.0)
    with pytest.raises(
        CaptureError, match=r"doubled changes an argument in place at .*: return a new"
    ):
        f(q)
    assert np.array_equal(q, np.arange(4.0))
