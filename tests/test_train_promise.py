"""fit and models that change while they train: no program makes a difference beyond rounding."""

import collections
import contextlib
import contextvars
import itertools
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest

from autobp import CaptureError, Tensor, nn, optim
from autobp.data import moons
from autobp.train import fit
from autobp.train import step as steps

X, Y = moons(120)
FORTY = {}
SOFTPLUS = nn.Softplus.forward


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Programs are written early, so that short trainings have some."""
    monkeypatch.setattr(steps, "UNCOMPILED", 3)
    monkeypatch.setattr(steps, "FEWEST", 3)
    yield
    nn.Softplus.forward = SOFTPLUS


def case(known=False, **options):
    """A training: a function that makes model, loss and callback anew, and whether fit compiles it
    unasked. "Ended" is one that it compiles until the callback does what it does."""

    def kept(make):
        FORTY[make.__name__.removeprefix("_")] = make, known, options
        return make

    return kept


def network(*layers, width=8):
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(2, width, rng=rng), *(layers or [nn.Tanh()]), nn.Linear(width, 2, rng=rng)
    )


def at(epoch, act):
    """A callback that does something once."""
    return lambda run: act(run) if run.epoch == epoch else None


class Net(nn.Module):
    """A model with code of its own."""

    def __init__(self, **attributes):
        self.net = network()
        vars(self).update(attributes)


def train(make, compile, epochs=6, batch_size=24, optimizer=None, **options):
    model, loss, callback = make()
    held = model.parameters() if hasattr(model, "parameters") else model.__defaults__
    optimizer = (optimizer or (lambda ps: optim.SGD(ps, 0.1, 0.5)))(list(held))
    history = fit(
        model, (X, Y), loss or nn.cross_entropy, optimizer, epochs, batch_size,
        callbacks=[callback] if callback else [], metrics={"accuracy": nn.accuracy}, rng=0,
        progress=False, compile=compile, **options,
    )  # fmt: skip
    return model, optimizer, history


def numbers(model, optimizer, history):
    """All that a training has come to."""
    found = {f"loss of epoch {i + 1}": row["loss"] for i, row in enumerate(history.rows)}
    for k, group in enumerate(optimizer.param_groups):
        for i, p in enumerate(group["params"]):
            found[f"parameter {i} of group {k}"] = p.numpy()
    for i, entry in optimizer.state_dict()["state"].items():
        found |= {f"{name} of {i}": value for name, value in entry.items()}
    if isinstance(model, nn.Module):
        found |= model.state_dict()
        for path, part in model.named_modules():
            for name, value in vars(part).items():
                if isinstance(value, np.random.Generator):
                    found[f"{path} {name}"] = value.bit_generator.state["state"]["state"] % 2**40
    return found


def assert_alike(ours, theirs, tol=1e-9):
    found, wanted = numbers(*ours), numbers(*theirs)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, tol, tol, err_msg=name)


def assert_same_bits(ours, theirs):
    found, wanted = numbers(*ours), numbers(*theirs)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# ── what fit knows, changed by callbacks ──────────────────────────────────────────────────────────


@case(known=True)
def _nothing_changes():
    return network(), None, None


@case(known=True)
def _the_rate_of_dropout():
    model = network(nn.Tanh(), nn.Dropout(0.1, rng=1))
    return model, None, at(3, lambda run: setattr(model[2], "p", 0.5))


@case(known=True)
def _a_generator_is_replaced():
    model = network(nn.Tanh(), nn.Dropout(0.2, rng=1))
    return model, None, lambda run: setattr(model[2], "rng", np.random.default_rng(run.epoch // 3))


@case(known=True)
def _the_momentum_of_batch_normalization():
    model = network(nn.BatchNorm1d(8), nn.Tanh())
    return model, None, at(3, lambda run: setattr(model[1], "momentum", 0.9))


@case(known=True)
def _batch_normalization_is_settled():
    model = network(nn.BatchNorm1d(8), nn.Tanh())
    return model, None, at(3, lambda run: model[1].eval())


@case(known=True)
def _a_layer_is_frozen_and_thawed():
    model = network()

    def callback(run):
        if run.epoch in (2, 4):
            for p in (model[0].weight, model[0].bias):
                p.requires_grad = run.epoch == 4

    return model, None, callback


@case(known=True)
def _an_activation_is_swapped():
    model = network()
    return (
        model,
        None,
        at(3, lambda run: setattr(model, "_layers", (model[0], nn.ReLU(), model[2]))),
    )


@case(known=True)
def _a_layer_is_replaced():
    model = network()

    def callback(run):
        fresh = nn.Linear(8, 2, rng=5)
        model._layers = (*model._layers[:2], fresh)
        run.optimizer.add_param_group({"params": fresh.parameters(), "lr": 0.3})

    return model, None, at(3, callback)


@case(known=True)
def _a_layer_is_put_in():
    model = network()
    more = nn.Linear(8, 8, rng=5)

    def callback(run):
        model._layers = (*model._layers[:2], more, *model._layers[2:])
        model._titles.insert(2, "more")
        run.optimizer.add_param_group({"params": more.parameters()})

    return model, None, at(3, callback)


@case(known=True)
def _a_parameter_is_replaced():
    model = network()

    def callback(run):
        model[2].weight = Tensor(np.full((2, 8), 0.1))
        run.optimizer.add_param_group({"params": model[2].weight})

    return model, None, at(3, callback)


@case(known=True)
def _a_bias_is_taken_away():
    model = network()
    return model, None, at(3, lambda run: setattr(model[2], "bias", None))


@case(known=True)
def _the_slope_of_an_activation():
    model = network(nn.LeakyReLU(0.1))
    return model, None, lambda run: setattr(model[1], "negative_slope", 0.1 * (run.epoch // 2))


@case(known=True)
def _the_form_of_an_activation():
    model = network(nn.GELU(), nn.LayerNorm(8))

    def callback(run):
        model[1].approximate, model[2].eps = "tanh", 1e-2

    return model, None, at(3, callback)


@case(known=True)
def _the_function_of_an_activation():
    model = network(np.sin)
    return model, None, at(3, lambda run: setattr(model[1], "function", np.arctan))


@case(known="ended")
def _the_function_of_an_activation_becomes_a_lambda():
    model, scale = network(np.sin), [1.0]

    def callback(run):
        model[1].function = lambda x: scale[0] * np.sin(x)
        scale[0] *= 0.5

    return model, None, lambda run: callback(run) if run.epoch > 2 else None


@case(known=True)
def _weights_are_loaded_and_pruned():
    model = network()

    def callback(run):
        model.load_state_dict({k: v * 0.9 for k, v in model.state_dict().items()})
        model[0].weight.data[run.epoch % 8] = 0

    return model, None, callback


@case(known=True)
def _the_options_of_the_optimizer():
    def callback(run):
        group = run.optimizer.param_groups[0]
        group["lr"] *= 0.8
        group["momentum"], group["weight_decay"] = 0.1 * (run.epoch // 3), 0.01

    return network(), None, callback


@case(known=True)
def _the_optimizer_forgets():
    return network(), None, at(3, lambda run: run.optimizer.state.clear())


@case(known="ended")
def _the_optimizer_gets_a_step_of_its_own():
    def callback(run):
        step = run.optimizer.step
        run.optimizer.step = lambda: (step(), step())

    return network(), None, at(3, callback)


@case(known="ended")
def _a_hook_is_added_and_removed():
    model, handles = network(), []

    def callback(run):
        if run.epoch == 3:
            handles.append(model[0].weight.register_hook(lambda g: g / 2))
        if run.epoch == 5:
            handles[0].remove()

    return model, None, callback


@case(known="ended")
def _forward_is_replaced():
    model = network()
    return model, None, at(3, lambda run: setattr(model[1], "forward", lambda x: np.sin(x)))


@case(known="ended")
def _the_forward_of_a_class_is_replaced():
    nn.Softplus.forward = SOFTPLUS
    replace = lambda run: setattr(nn.Softplus, "forward", lambda self, x: np.sin(x))
    return network(nn.Softplus()), None, at(3, replace)


@case(known="ended")
def _a_mask_appears():
    model = network()

    def callback(run):
        model[1].mask = np.ones(8)  # nothing reads it, but who knows that

    return model, None, at(3, callback)


# ── models of the user's own ──────────────────────────────────────────────────────────────────────


@case()
def _a_function_held_by_a_model_is_swapped():
    class Model(Net):
        def forward(self, x):
            return self.act(self.net(x))

    model = Model(act=np.sin)
    return model, None, at(3, lambda run: setattr(model, "act", np.tanh))


@case()
def _a_layer_is_switched_on():
    class Model(Net):
        def forward(self, x):
            return self.more(self.net(x)) if self.deep else self.net(x)

    model = Model(more=nn.Linear(2, 2, rng=3), deep=False)
    return model, None, at(3, lambda run: setattr(model, "deep", True))


CONFIG = SimpleNamespace(scale=1.0, act=np.tanh)


@case()
def _a_configuration_is_rebound():
    class Model(Net):
        def forward(self, x):
            return CONFIG.act(self.net(x)) * CONFIG.scale

    def rebind(scale, act):
        global CONFIG
        CONFIG = SimpleNamespace(scale=scale, act=act)

    rebind(1.0, np.tanh)
    return Model(), None, at(3, lambda run: rebind(0.5, np.sin))


@case()
def _a_list_of_layers_grows():
    class Model(Net):
        def forward(self, x):
            x = self.net(x)
            for layer in self.layers:
                x = x + np.tanh(layer(x))
            return x

    model = Model(layers=[])

    def callback(run):
        model.layers.append(nn.Linear(2, 2, rng=run.epoch))
        run.optimizer.add_param_group({"params": model.layers[-1].parameters()})

    return model, None, lambda run: callback(run) if run.epoch % 2 else None


@case()
def _calls_are_counted():
    class Model(Net):
        def forward(self, x):
            self.calls += 1
            return self.net(x) * min(1.0, self.calls / 10)

    return Model(calls=0), None, None


@case(epochs=8, batch_size=8)
def _a_layer_is_used_from_the_hundredth_step_on():
    class Model(Net):
        def forward(self, x):
            self.calls += 1
            return self.net(x) + self.late(x) if self.calls > 100 else self.net(x)

    return Model(calls=0, late=nn.Linear(2, 2, rng=4)), None, None


def noisy(draw):
    class Model(Net):
        def forward(self, x):
            return self.net(x + draw(np.shape(x)))

    return Model(), None, None


@case()
def _augmented_by_a_generator():
    rng = np.random.default_rng(1)
    return noisy(lambda shape: rng.normal(0, 0.1, shape))


@case()
def _augmented_by_a_generator_in_a_list():
    class Model(Net):
        def forward(self, x):
            return self.net(x * self.state["rngs"][0].normal(1, 0.1, x.shape))

    return Model(state={"rngs": [np.random.default_rng(1)]}), None, None


@case()
def _augmented_by_a_random_state():
    rng = np.random.RandomState(1)
    return noisy(lambda shape: rng.normal(0, 0.1, shape))


@case()
def _augmented_by_numpys_own_state():
    np.random.seed(1)
    return noisy(lambda shape: np.random.normal(0, 0.1, shape))


@case()
def _augmented_by_pythons_random():
    rng = random.Random(1)
    return noisy(lambda shape: rng.gauss(0, 0.1))


@case()
def _flipped_by_pythons_random():
    random.seed(1)
    return noisy(lambda shape: 0.3 if random.random() < 0.5 else 0.0)


@case()
def _shifted_by_what_an_iterator_gives():
    shifts = itertools.cycle([0.0, 0.1, 0.2])
    return noisy(lambda shape: next(shifts))


LEVEL = contextvars.ContextVar("LEVEL", default=1.0)


@case()
def _a_context_variable():
    class Model(Net):
        def forward(self, x):
            return self.net(x) * LEVEL.get()

    LEVEL.set(1.0)
    return Model(), None, at(3, lambda run: LEVEL.set(0.5) and None)


@case()
def _branches_on_types():
    class Model(Net):
        def forward(self, x):
            z = self.net(x)
            top = np.max(z.data)
            if isinstance(top, float | np.floating) and not isinstance(x, Tensor):
                z = z / 2
            return z if isinstance(self.scale, int) else z * self.scale

    model = Model(scale=1)
    return model, None, at(3, lambda run: setattr(model, "scale", 1.5))


@case()
def _branches_on_values():
    class Model(Net):
        def forward(self, x):
            z = self.net(x)
            return z if np.sum(z.data) > 0 else z * 0.5

    return Model(), None, None


@case()
def _an_exception_is_swallowed():
    class Model(Net):
        def forward(self, x):
            z = self.net(x)
            with contextlib.suppress(Exception):
                z = z / (1 + float(np.max(np.abs(z.data))))
            return z

    return Model(), None, None


@case()
def _a_refusal_is_swallowed():
    class Model(Net):
        def forward(self, x):
            z = self.net(x)
            try:
                high = bool(np.max(z.data) > 0.3)
            except Exception:
                high = False
            return z * 0.5 if high else z

    return Model(), None, None


@case()
def _remembers_what_it_gave():
    class Model(Net):
        def forward(self, x):
            z = self.net(x)
            self.recent.append(np.mean(z.data))
            return z - np.mean(self.recent)

    return Model(recent=collections.deque(maxlen=3)), None, None


@case()
def _a_model_that_is_a_function(W=np.array([[0.1, 0.2], [0.3, 0.1]])):  # noqa: B008
    scales = {"now": 1.0}

    def model(x, w=Tensor(W), b=Tensor(np.zeros(2))):  # noqa: B008
        return (x @ w + b) * scales["now"]

    return model, None, at(3, lambda run: scales.update(now=0.5))


@case()
def _a_teacher_that_follows():
    teacher = network()

    class Model(Net):
        def forward(self, x):
            return self.net(x) - 0.1 * teacher(x).data

    model = Model()

    def callback(run):
        for old, new in zip(teacher.parameters(), model.net.parameters()):
            old.data = 0.5 * old.data + 0.5 * new.data

    return model, None, callback


# ── losses of the user's own ──────────────────────────────────────────────────────────────────────


def losses(loss):
    """The forty with the plain model and this loss."""

    def make():
        return network(), loss, None

    make.__name__ = loss.__name__
    case()(make)
    return loss


def hot(t):
    """What one_hot gives, by a comparison, which a program can do."""
    return 1.0 * (t[:, None] == np.arange(2))


def weighted(p, weights):
    return -np.mean(np.sum(weights * nn.log_softmax(p), axis=-1))


@losses
def one_hot_by_assignment(p, t):
    hot = np.zeros((len(t), 2))
    hot[np.arange(len(t)), t] = 1
    return weighted(p, hot)


@losses
def class_weights_in_zeros(p, t):
    weights = np.zeros(2)
    for i in range(2):
        weights[i] = np.mean(t == i)
    return weighted(p, hot(t) * weights)


@losses
def weights_by_label(p, t):
    weight = {0: 0.5, 1: 2.0}
    return weighted(p, hot(t) * np.array([weight[k] for k in t])[:, None])


@losses
def weights_by_set(p, t):
    return weighted(p, hot(t) * np.array([2.0 if k in {1} else 1.0 for k in t])[:, None])


@losses
def weights_by_text(p, t):
    return weighted(p, hot(t) * np.array([1.0 + len(f"{k}" * k) for k in t])[:, None])


@losses
def weights_by_pattern(p, t):
    def weight(k):
        match k:
            case 0:
                return 1.0
            case _:
                return 3.0

    return weighted(p, hot(t) * np.array([weight(k) for k in t])[:, None])


@losses
def parts_of_a_split(p, t):
    first, second = np.split(hot(t), 2, axis=1)
    second *= 2
    return weighted(p, np.concatenate([first, second], axis=1))


@losses
def from_an_iterator(p, t):
    return weighted(p, nn.one_hot(np.fromiter((1 - k for k in t), int), 2))


@losses
def by_an_iterator(p, t):
    total = 0.0
    for k in np.nditer(t):
        total += float(k)
    return nn.cross_entropy(p, t) * (1 + total / len(t))


@losses
def a_shape_that_is_set(p, t):
    column = t.astype(float)
    column.shape = (len(t), 1)
    return np.mean((p - column) ** 2)


@losses
def a_rounded_mean(p, t):
    return nn.cross_entropy(p, t) * round(np.mean(t), 1)


@losses
def a_check_of_its_argument(p, t):
    share = np.mean(t)
    if not isinstance(share, float | np.floating) or share < 0:
        raise ValueError("labels are 0 or more")
    return nn.cross_entropy(p, t) * (0.5 + share)


@losses
def harder_where_it_is_bad(p, t):
    value = nn.cross_entropy(p, t)
    return value * 2 if value > 0.6 else value


@case()
def _a_loss_that_is_annealed():
    settings = [1.0]
    return (
        network(),
        lambda p, t: settings[0] * nn.cross_entropy(p, t),
        (lambda run: settings.append(settings.pop() * 0.7)),
    )


@case()
def _a_loss_that_is_an_object():
    class Loss:
        smoothing = 0.0

        def __call__(self, p, t):
            return weighted(p, hot(t) * (1 - self.smoothing) + self.smoothing / 2)

    loss = Loss()
    return network(), loss, at(3, lambda run: setattr(loss, "smoothing", 0.2))


# ── the promise ───────────────────────────────────────────────────────────────────────────────────


def test_there_are_forty():
    assert len(FORTY) >= 40
    assert {known for _, known, _ in FORTY.values()} == {True, False, "ended"}


@pytest.fixture(scope="module")
def as_it_is():
    """What a training of the forty gives without programs."""
    found = {}

    def get(name):
        make, _, options = FORTY[name]
        return found.setdefault(name, train(make, False, **options))

    return get


@pytest.mark.parametrize("name", FORTY)
def test_fit_unasked_gives_what_the_code_gives(name, as_it_is):
    make, known, options = FORTY[name]
    ours = train(make, None, **options)
    compiled = ours[2].compiled
    assert_alike(ours, as_it_is(name))
    assert (compiled.first is not None) == bool(known), compiled
    assert bool(compiled.why) == (known is not True), compiled
    if known == "ended":
        assert compiled.last == 15  # of the third epoch, after which the callback did something
    if known is True:
        assert compiled.last == 30


@pytest.mark.parametrize("name", FORTY)
def test_fit_that_is_asked_gives_the_same_or_says_the_line(name, as_it_is):
    make, _, options = FORTY[name]
    said, ours = "", None
    try:
        ours = train(make, True, **options)
    except CaptureError as error:
        said = str(error)
    if ours is None:  # either the line, or, by a comparison, both numbers
        assert re.search(r"\.py:\d+|by the program and .* by the function", said), said
    else:
        assert ours[2].compiled.steps > 0
        assert_alike(ours, as_it_is(name))


OPTIMIZERS = {
    "SGD": lambda ps: optim.SGD(ps, 0.1),
    "momentum": lambda ps: optim.SGD(ps, 0.05, 0.9, weight_decay=0.01),
    "Nesterov": lambda ps: optim.SGD(ps, 0.05, 0.9, nesterov=True),
    "Adagrad": lambda ps: optim.Adagrad(ps, 0.05, lr_decay=0.01),
    "RMSprop": lambda ps: optim.RMSprop(ps, 0.01),
    "centred": lambda ps: optim.RMSprop(ps, 0.01, momentum=0.5, centered=True),
    "Adam": lambda ps: optim.Adam(ps, 0.02, weight_decay=0.01),
    "AdamW": lambda ps: optim.AdamW(ps, 0.02),
}


def _a_layer_joins_at_the_hundredth_step():
    model = network()
    late, layers = nn.Linear(8, 8, rng=4), model._layers
    model.spare = [late]  # its parameters are the optimizer's from the beginning

    def callback(run):
        model._layers = (*layers[:2], late, *layers[2:])
        model._titles.insert(2, "late")

    return model, None, at(7, callback)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (_a_layer_is_frozen_and_thawed, {}),
        (_a_layer_joins_at_the_hundredth_step, {"epochs": 8, "batch_size": 8}),
    ],
)
def test_parameters_that_come_and_go(make, options, name):
    options = {"optimizer": OPTIMIZERS[name], **options}
    theirs = train(make, False, **options)
    for compile in (None, True):
        ours = train(make, compile, **options)
        assert ours[2].compiled.steps > 20
        assert_alike(ours, theirs)


# ── comparisons ───────────────────────────────────────────────────────────────────────────────────


def changed_behind_its_back(monkeypatch, epoch=3):
    """A training in which a loss of autobp.nn becomes another one, which only a comparison sees."""
    monkeypatch.setattr(nn.losses, "_LEAST", np.exp(-100.0))
    monkeypatch.setattr(nn.losses, "_STEEP", 1e12)

    def make():
        model = nn.MLP([2, 8, 1], "tanh", "sigmoid", rng=0)
        loss = nn.binary_cross_entropy
        act = lambda run: other_loss(monkeypatch)
        return nn.Sequential(model, nn.Flatten()), loss, at(epoch, act)

    return make


def other_loss(monkeypatch):
    """Constant up to a probability of a half, and level there."""
    monkeypatch.setattr(nn.losses, "_LEAST", 0.5)
    monkeypatch.setattr(nn.losses, "_STEEP", 0.0)


def trained_on_halves(make, compile=None, **options):
    """As `train`, with targets for the sigmoid."""
    model, loss, callback = make()
    optimizer = optim.SGD(model.parameters(), 0.1)
    history = fit(
        model, (X, Y[:, None].astype(float)), loss, optimizer, 6, 24, compile=compile, rng=0,
        callbacks=[callback, *options.pop("callbacks", [])], **options,
    )  # fmt: skip
    return model, optimizer, history


def test_a_difference_ends_the_programs_with_a_line(monkeypatch, capsys):
    ours = trained_on_halves(changed_behind_its_back(monkeypatch))
    compiled = ours[2].compiled
    assert (compiled.first, compiled.last) == (4, 15)
    said = [line for line in capsys.readouterr().err.splitlines() if "from here on" in line]
    assert len(said) == 1
    assert said[0] == f"step 16: from here on, steps run uncompiled. {compiled.why}"
    theirs = trained_on_halves(changed_behind_its_back(monkeypatch), False, progress=False)
    assert_alike(ours, theirs)
    assert repr(compiled) == f"steps 4 to 15 were compiled, later ones were not: {compiled.why}"


def test_a_difference_is_an_error_where_programs_are_asked_for(monkeypatch):
    with pytest.raises(CaptureError, match="by the program and .* by the function"):
        trained_on_halves(changed_behind_its_back(monkeypatch), True, progress=False)


@pytest.mark.parametrize("failure", [TypeError, MemoryError])
@pytest.mark.parametrize("part", ["gradient", "update"])
def test_whatever_goes_wrong_with_a_program_the_code_goes_on(monkeypatch, part, failure):
    kind = steps.Compiled
    names = {"gradient": "step", "update": "update"}

    class Broken(kind):
        def __call__(self, *args):
            if self.__name__ == names[part]:
                raise failure("something that nobody foresaw")
            return super().__call__(*args)

    monkeypatch.setattr(steps, "Compiled", Broken)
    ours = train(_nothing_changes, None)
    assert ours[2].compiled.why == f"{failure.__name__}: something that nobody foresaw"
    assert_alike(ours, train(_nothing_changes, False))
    with pytest.raises(failure, match="nobody foresaw"):
        train(_nothing_changes, True)


def test_errors_of_the_code_are_raised_as_ever(monkeypatch):
    def make():
        return network(), None, at(3, lambda run: setattr(run.model[0], "in_features", 3))

    for compile in (None, False):
        with pytest.raises(ValueError, match="takes 3 features, not 2"):
            train(make, compile)


# ── resuming ──────────────────────────────────────────────────────────────────────────────────────


class PowerCutError(Exception):
    pass


def resumed(run, tmp_path, at_epoch):
    """What a training gives that was cut off after an epoch was saved, and went on."""

    def crash(state):
        if state.epoch == at_epoch + 1:
            raise PowerCutError

    path = tmp_path / "run.npz"
    with pytest.raises(PowerCutError):
        run(checkpoint=path, callbacks=[crash])
    return run(checkpoint=path, resume=True, callbacks=[])


def with_callback(make, compile=None):
    def run(callbacks, **options):
        model, loss, callback = make()
        optimizer = optim.Adam(model.parameters(), 0.02)
        history = fit(
            model, (X, Y), loss or nn.cross_entropy, optimizer, 6, 24, rng=0, progress=False,
            callbacks=[callback, *callbacks], compile=compile, **options,
        )  # fmt: skip
        return model, optimizer, history

    return run


def _a_hook_that_only_looks():
    model = network(nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2, rng=1))
    return model, None, at(3, lambda run: model[0].weight.register_hook(lambda g: None) and None)


def _the_rate_of_dropout_by_epoch():
    model = network(nn.Tanh(), nn.Dropout(0.1, rng=1))

    def callback(run):
        model[2].p = 0.1 if run.epoch < 3 else 0.4

    model[2].p = 0.1
    return model, None, callback


@pytest.mark.filterwarnings("ignore:a checkpoint cannot hold a hook of model")
@pytest.mark.filterwarnings("ignore:resumed without a hook of model")
@pytest.mark.parametrize("at_epoch", [1, 2, 3, 4])
def test_resuming_gives_the_same_bits_wherever_the_programs_ended(tmp_path, at_epoch):
    run = with_callback(_a_hook_that_only_looks)
    whole = run(callbacks=[])
    again = resumed(run, tmp_path, at_epoch)
    assert_same_bits(again, whole)
    assert again[2].compiled == whole[2].compiled
    assert whole[2].compiled.last == 15


@pytest.mark.parametrize("compile", [None, True])
@pytest.mark.parametrize("at_epoch", [2, 4])
def test_resuming_gives_the_same_bits_after_a_change_of_the_model(tmp_path, at_epoch, compile):
    def run(callbacks, resume=False, **options):
        def make():
            model, loss, callback = _the_rate_of_dropout_by_epoch()
            model[2].p = 0.4 if resume and at_epoch >= 3 else 0.1
            return model, loss, callback

        return with_callback(make, compile)(callbacks, resume=resume, **options)

    whole = run(callbacks=[])
    again = resumed(run, tmp_path, at_epoch)
    assert_same_bits(again, whole)
    assert again[2].compiled == whole[2].compiled
    assert whole[2].compiled.last == 30


@pytest.mark.parametrize("at_epoch", [1, 3, 4])
def test_resuming_gives_the_same_bits_after_a_difference(tmp_path, at_epoch, monkeypatch):
    def run(callbacks, **options):
        make = changed_behind_its_back(monkeypatch)
        if options.get("resume") and at_epoch >= 3:
            other_loss(monkeypatch)
        return trained_on_halves(make, callbacks=callbacks, progress=False, **options)

    whole = run(callbacks=[])
    again = resumed(run, tmp_path, at_epoch)
    assert_same_bits(again, whole)
    if at_epoch != 3:  # else the new program was written for the new loss, and nothing differs
        assert again[2].compiled == whole[2].compiled
