"""fit by programs: the same as without, where it is safe."""

import cProfile
import warnings

import numpy as np
import pytest

from autobp import CaptureError, Tensor, nn, optim
from autobp.data import moons
from autobp.train import DivergedError, fit
from autobp.train import step as steps

X, Y = moons(120)
HELD = moons(40, seed=5)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Programs are written early, so that short trainings have some."""
    monkeypatch.setattr(steps, "UNCOMPILED", 3)
    monkeypatch.setattr(steps, "FEWEST", 3)


@pytest.fixture
def uncompiled(monkeypatch):
    """The sizes of the batches that ran uncompiled."""
    sizes, method = [], steps.Step._uncompiled

    def counted(self, xs, ys):
        sizes.append(len(xs))
        return method(self, xs, ys)

    monkeypatch.setattr(steps.Step, "_uncompiled", counted)
    return sizes


def network(*layers, dtype=np.float64):
    return nn.Sequential(nn.Linear(2, 8, rng=0), nn.Tanh(), *layers, nn.Linear(8, 2, rng=1)).astype(
        dtype
    )


def trained(model, make=lambda ps: optim.SGD(ps, 0.2), data=(X, Y), **options):
    options = {"loss": nn.cross_entropy, "epochs": 4, "batch_size": 16, "rng": 0} | options
    schedule = options.pop("schedule", None)
    params = list(model.parameters())
    optimizer = make([{"params": params[:1], "lr": 0.1}, {"params": params[1:]}])
    if schedule:
        options["schedule"] = schedule(optimizer)
    options.setdefault("metrics", {"accuracy": nn.accuracy})
    history = fit(model, data, optimizer=optimizer, validation=HELD, progress=False, **options)
    return history, optimizer


def rows(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


def assert_alike(model, other, ours, theirs, tol):
    (history, optimizer), (reference, expected) = ours, theirs
    for row, like in zip(rows(history), rows(reference), strict=True):
        assert row == pytest.approx(like, rel=tol, abs=tol)
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, tol, tol)
    found, wanted = optimizer.state_dict(), expected.state_dict()
    assert found["param_groups"] == wanted["param_groups"]
    assert found["state"].keys() == wanted["state"].keys()
    for i, entry in wanted["state"].items():
        for name, value in entry.items():
            np.testing.assert_allclose(found["state"][i][name], value, 100 * tol, tol)


TRAININGS = {
    "plain": {},
    "float32": {"dtype": np.float32, "data": (X.astype(np.float32), Y)},
    "Adam": {"make": lambda ps: optim.Adam(ps, 0.02, weight_decay=0.01)},
    "AdamW": {"make": lambda ps: optim.AdamW(ps, 0.02)},
    "momentum": {"make": lambda ps: optim.SGD(ps, 0.1, 0.9, nesterov=True)},
    "RMSprop": {"make": lambda ps: optim.RMSprop(ps, 0.01, momentum=0.5)},
    "batch normalization": {"layers": lambda: [nn.BatchNorm1d(8)]},
    "dropout": {"layers": lambda: [nn.Dropout(0.3, rng=2)]},
    "a schedule": {"schedule": lambda optimizer: optim.StepLR(optimizer, 1, 0.5)},
    "clipped": {"clip_norm": 0.1},
    "no metrics": {"metrics": {}},
    "the best": {"keep_best": True, "patience": 2},
    "a penalty": {"loss": lambda p, t: nn.cross_entropy(p, t) + 0.01 * np.mean(p**2)},
}


@pytest.mark.parametrize("compile", [True, None])
@pytest.mark.parametrize("name", TRAININGS)
def test_the_same_numbers_with_programs_and_without(name, compile, uncompiled):
    options = dict(TRAININGS[name])
    layers, dtype = options.pop("layers", list), options.pop("dtype", np.float64)
    model, other = network(*layers(), dtype=dtype), network(*layers(), dtype=dtype)
    ours = trained(model, compile=compile, **options)
    done = list(uncompiled)
    theirs = trained(other, compile=False, **options)
    assert_alike(model, other, ours, theirs, 1e-10 if dtype is np.float64 else 1e-4)
    known = compile or "loss" not in options  # a loss of one's own takes compile=True
    assert len(done) == (0 if compile else 6 if known else 32)
    assert ours[0].compiled.steps == 32 - len(done)
    assert not known or ours[0].compiled.why == ""
    for part, twin in zip(model.modules(), other.modules(), strict=True):
        if isinstance(part, nn.Dropout):
            assert part.rng.bit_generator.state == twin.rng.bit_generator.state


def _settled(model, n, classes, dtype, loss, epochs):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, model[0].in_features)), rng.integers(0, classes, n)
    if classes == 2:
        y = 2 * y[:, None] - 1.0
    model = model.astype(dtype)
    optimizer = optim.Adam(model.parameters(), 0.01)
    return fit(
        model, (x.astype(dtype), y), loss, optimizer, epochs, n // 4, rng=0, progress=False,
        compile=True,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_rounding_is_no_difference(seed):
    """Numbers that are nothing but rounding, and their gradients."""
    model = nn.Sequential(nn.Linear(200, 64, rng=seed), nn.ReLU(), nn.Linear(64, 10, rng=seed))
    history = _settled(model, 200, 10, np.float32, nn.cross_entropy, 60)  # the loss is almost 0
    assert history.compiled.steps == 240
    for dtype in (np.float32, np.float64):  # the gradient of a bias is 0 before normalization
        model = nn.Sequential(
            nn.Linear(5, 16, rng=seed), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1, rng=seed)
        )
        for loss in (nn.hinge, nn.mse):
            assert _settled(model, 40, 2, dtype, loss, 12).compiled.steps == 48


def test_what_callbacks_change_is_noticed():
    class Weighted(nn.Module):
        def __init__(self):
            self.net, self.weight = network(), 1.0

        def forward(self, x):
            return self.net(x) * self.weight

    def later(run):
        if run.epoch == 2:
            run.model.net[0].weight.requires_grad = False
            run.model.weight = 0.5
        if run.epoch == 3:
            run.model.load_state_dict({k: v / 2 for k, v in run.model.state_dict().items()})

    models = [Weighted(), Weighted()]
    ours, theirs = (
        trained(m, compile=c, callbacks=[later], epochs=5) for m, c in zip(models, (True, False))
    )
    assert_alike(*models, ours, theirs, 1e-10)


class Masked(nn.Module):
    def __init__(self):
        self.net, self.mask = network(), np.ones(2)

    def forward(self, x):
        return self.net(x * (1 - self.mask / 2))


def test_what_callbacks_change_in_place_is_noticed(uncompiled):
    def prune(run):
        run.model.mask[run.epoch % 2] /= 2

    models = [Masked(), Masked()]
    found = [
        trained(m, compile=c, callbacks=[prune]) for m, c in zip(models, (True, False), strict=True)
    ]
    assert_alike(*models, *found, 1e-10)
    assert len(uncompiled) == 32


class Counting(nn.Module):
    def __init__(self):
        self.net, self.calls, self.seen = network(nn.Dropout(0.3, rng=2)), 0, []

    def forward(self, x):
        self.seen.append(len(x))
        self.calls += 1
        return self.net(x)


class Branching(Counting):
    def forward(self, x):
        self.calls += 1
        z = self.net(x)
        return z if np.sum(z) > 0 else -z


class Printing(Counting):
    def forward(self, x):
        print("batch", len(x))
        return self.net(x)


@pytest.mark.parametrize("kind", [Counting, Branching, Printing])
def test_what_cannot_be_compiled_goes_on_uncompiled(kind, capsys):
    model, other = kind(), kind()
    ours, said = trained(model), capsys.readouterr().out
    theirs = trained(other, compile=False)
    assert rows(ours[0]) == rows(theirs[0])
    assert (model.calls, model.seen, said) == (other.calls, other.seen, capsys.readouterr().out)
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Counting, "a list of a module or an argument is changed at .*test_train_compiled.py"),
        (Branching, "test_train_compiled.py:[0-9]+: its truth was asked for"),
        (Printing, "the call of print at .*test_train_compiled.py:"),
    ],
)
def test_where_a_program_is_demanded_a_refusal_is_an_error(kind, said):
    model = kind()
    before = model.state_dict()
    with pytest.raises(CaptureError, match=said):
        trained(model, compile=True)
    for a, b in zip(model.state_dict().values(), before.values(), strict=True):
        np.testing.assert_array_equal(a, b)


class Rooted(nn.Module):
    def __init__(self, rectified):
        self.first, self.last = nn.Linear(2, 6, rng=0), nn.Linear(6, 2, rng=0)
        self.drop, self.rectified = nn.Dropout(0.1, rng=3), rectified

    def forward(self, x):
        x = self.drop(self.first(x))
        return self.last(np.sqrt(nn.relu(x) if self.rectified else x))


@pytest.mark.parametrize("rectified", [True, False])
def test_the_layer_that_made_a_nan_is_named_all_the_same(rectified):
    said, states = [], []
    for compile in (True, False):
        model = Rooted(rectified)
        with pytest.raises(DivergedError) as raised:
            trained(model, compile=compile)
        said.append(str(raised.value))
        states.append(model.drop.rng.bit_generator.state)
    assert said[0] == said[1]
    assert "sqrt" in said[0]
    assert states[0] == states[1]


def test_a_model_that_changes_all_the_time_goes_on_uncompiled(uncompiled):
    def anneal(run):
        run.model[2].p *= 0.9

    models = [network(nn.Dropout(0.5, rng=2)) for _ in range(2)]
    options = {"callbacks": [anneal], "epochs": 5, "batch_size": 40}  # of which an epoch has 3
    ours = trained(models[0], **options)
    assert len(uncompiled) == 15
    assert "after a change of the model" in ours[0].compiled.why
    assert_alike(*models, ours, trained(models[1], compile=False, **options), 1e-10)


def test_programs_are_written_again_when_a_model_has_settled(uncompiled):
    def anneal(run):
        run.model[2].p = 0.5 - 0.1 * min(run.epoch, 2)

    models = [network(nn.Dropout(0.5, rng=2)) for _ in range(2)]
    ours = trained(models[0], callbacks=[anneal], epochs=6, batch_size=20)  # an epoch has 6
    assert len(uncompiled) == 3 * 3
    assert repr(ours[0].compiled) == "27 of the steps 4 to 36 were compiled"
    theirs = trained(models[1], callbacks=[anneal], epochs=6, batch_size=20, compile=False)
    assert_alike(*models, ours, theirs, 1e-10)


def test_a_model_that_changes_with_the_batches_goes_on_uncompiled():
    def metric_that_anneals(model):
        def metric(p, t):
            model[2].p *= 0.99
            return 0.0

        return metric

    models, found = [network(nn.Dropout(0.5, rng=2)) for _ in range(2)], []
    for model, compile in zip(models, (None, False), strict=True):
        metrics = {"accuracy": metric_that_anneals(model)}
        found.append(trained(model, metrics=metrics, compile=compile, epochs=2, batch_size=5))
    assert found[0][0].compiled.why == "more than 8 programs were needed in one epoch"
    assert found[0][0].compiled.steps == 9
    assert_alike(*models, *found, 1e-10)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"compile": False}, "compile=False"),
        ({"batch_size": 60}, "an epoch has fewer than 3 batches"),
        ({"epochs": 1, "batch_size": 40}, "the first 3 batches of a size"),
        (
            {"loss": lambda p, t: nn.cross_entropy(p, t)},
            "the loss, <lambda>, is not one of autobp.nn",
        ),
        (
            {"data": (np.ma.array(X), Y)},
            "X is not a plain array of numbers, but of type MaskedArray",
        ),
    ],
)
def test_the_history_says_why_no_program_ran(options, why):
    history, _ = trained(network(), **options)
    assert history.compiled.why.startswith(why)
    assert repr(history.compiled).startswith(f"no step was compiled: {why}")


class Derived(nn.Tanh):
    pass


def altered(**attributes):
    model = network()
    vars(model[1]).update(attributes)
    return model


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: Masked(), "model is of the class Masked, which is not one of autobp.nn"),
        (lambda: network().forward, "the model, forward, is not a module of autobp.nn"),
        (lambda: network(Derived()), "model[2] is of the class Derived, which"),
        (lambda: network(lambda x: 2 * x), "model[2].function is your own function"),
        (lambda: altered(forward=np.tanh), "model[1] has a forward of its own"),
        (lambda: altered(extra=np.ones(2)), "model[1].extra is an array of float64"),
        (lambda: altered(extra=[{1: object()}]), "model[1].extra[0][1] is of type object"),
        (lambda: altered(extra={(1, 2): 3}), "model[1].extra has a key that is of type tuple"),
        (lambda: altered(extra=Tensor(1.0) * 2), "model[1].extra is the result of an operation"),
    ],
)
def test_what_a_model_has_that_fit_does_not_know(model, why):
    model = model()
    params = getattr(model, "__self__", model).parameters()
    history = fit(model, (X, Y), nn.cross_entropy, optim.SGD(params), 2, 16, progress=False, rng=0)
    assert history.compiled.why.startswith(why), history.compiled.why
    assert history.compiled.why.endswith(" (compile=True compiles it anyway)")


def test_a_profiler_sees_the_model_and_a_long_program_is_not_written(uncompiled, monkeypatch):
    profile = cProfile.Profile()
    profile.enable()
    trained(network(), epochs=2)
    profile.disable()
    assert len(uncompiled) == 16
    monkeypatch.setattr(steps, "MOST_CALLS", 10)
    trained(network(), epochs=2)
    assert len(uncompiled) == 32
    with pytest.raises(
        CaptureError, match="the program may have 10 calls at most, and at .* it has more"
    ):
        trained(network(), compile=True)


def test_optimizers_that_cannot_be_compiled_step_uncompiled():
    class Loud(optim.SGD):
        def update(self, x, g, state, **options):
            warnings.warn("a step", stacklevel=1)
            super().update(x, g, state, **options)

    models = [network(), network()]
    with pytest.warns(UserWarning, match="a step") as ours:
        found = trained(models[0], lambda ps: Loud(ps, 0.1))
    with pytest.warns(UserWarning, match="a step") as theirs:
        expected = trained(models[1], lambda ps: Loud(ps, 0.1), compile=False)
    assert len(ours) == len(theirs)
    assert_alike(*models, found, expected, 1e-10)
    with pytest.raises(CaptureError, match="the call of warn at"):
        trained(network(), lambda ps: Loud(ps, 0.1), compile=True)


@pytest.mark.parametrize("compile", [True, None])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_resuming_gives_the_same_bits(tmp_path, at, compile):
    def crash(run):
        if run.epoch == at + 1:
            raise RuntimeError("power cut")

    def run(path, **options):
        model = network(nn.BatchNorm1d(8), nn.Dropout(0.3, rng=2))
        found = trained(
            model, lambda ps: optim.Adam(ps, 0.02), epochs=6, compile=compile, checkpoint=path,
            schedule=lambda optimizer: optim.StepLR(optimizer, 2, 0.5), **options,
        )  # fmt: skip
        return model, *found

    whole, expected, optimizer = run(tmp_path / "whole.npz")
    with pytest.raises(RuntimeError):
        run(tmp_path / "parts.npz", callbacks=[crash])
    again, history, same = run(tmp_path / "parts.npz", resume=True)
    assert rows(history) == rows(expected)
    for a, b in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    for i, entry in optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            np.testing.assert_array_equal(same.state_dict()["state"][i][name], value)


def test_a_model_of_many_single_numbers_goes_on_uncompiled(uncompiled):
    def run(compile):
        w = [Tensor(k / 50) for k in range(-50, 50)]

        def model(x):
            return np.stack([sum(np.tanh(v * a + b) for v in w) for a, b in x])

        optimizer = optim.SGD(w, 0.001)
        options = {"epochs": 5, "batch_size": 8, "rng": 0, "progress": False, "compile": compile}
        return fit(model, (X[:8], Y[:8].astype(float)), nn.mse, optimizer, **options)["loss"]

    assert run(None) == run(False)
    assert len(uncompiled) == 10
    with pytest.raises(CaptureError, match="and there are more single numbers"):
        run(True)


def test_a_model_that_is_a_plain_function():
    def run(compile):
        W, b = Tensor(np.full((2, 2), 0.1)), Tensor(np.zeros(2))
        optimizer = optim.SGD([W, b], 0.1)
        history = fit(
            lambda x: x @ W + b, (X, Y), nn.cross_entropy, optimizer,
            rng=0, progress=False, compile=compile,
        )  # fmt: skip
        return history["loss"], W.numpy()

    for a, b in zip(run(True), run(False), strict=True):
        np.testing.assert_allclose(a, b, 1e-10)
