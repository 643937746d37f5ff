"""fit and evaluate: what is learned, what is said, how it ends."""

import io
import math
import os
import re
import signal
import struct
import sys

import numpy as np
import pytest

from autobp import Tensor, log_softmax, nn, no_grad
from autobp.data import digits, linear, moons, spiral, split
from autobp.optim import SGD, Adam, ReduceLROnPlateau, StepLR
from autobp.train import CheckpointError, DivergedError, History, evaluate, fit, load_checkpoint
from tests.terminal import shown

X, Y = moons(60)
TRAIN, HELD = split(*moons(120))


def network(rng=0, **options):
    return nn.MLP([2, 8, 2], activation="tanh", rng=rng, **options)


def trained(model=None, data=(X, Y), loss=nn.cross_entropy, lr=0.05, **options):
    """fit with what the test at hand does not care about."""
    model = network() if model is None else model
    options = {"epochs": 3, "batch_size": 16, "rng": 0, "progress": False} | options
    optimizer = options.pop("optimizer", None) or Adam(model.parameters(), lr=lr)
    return fit(model, data, loss, optimizer, **options)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


# ── learning ──────────────────────────────────────────────────────────────────────────────────────


def test_it_is_the_loop_that_everybody_writes():
    ours, theirs = network(), network()
    history = trained(ours, epochs=2, optimizer=SGD(ours.parameters(), lr=0.5))
    optimizer, rng, losses = SGD(theirs.parameters(), lr=0.5), np.random.default_rng(0), []
    for _ in range(2):
        order, total = rng.permutation(60), 0.0
        for start in range(0, 60, 16):
            part = order[start : start + 16]
            optimizer.zero_grad()
            loss = nn.cross_entropy(theirs(X[part]), Y[part])
            loss.backward()
            optimizer.step()
            total += len(part) * loss.item()
        losses.append(total / 60)
    assert same(ours.state_dict(), theirs.state_dict())
    assert history["loss"] == losses


def test_digits_are_learned_in_float32():
    x, y, x_test, y_test = digits(scale=True)
    model = nn.Sequential(nn.Flatten(), nn.MLP([64, 32, 10], rng=0)).astype(np.float32)
    history = fit(
        model,
        (x, y),
        loss=nn.cross_entropy,
        optimizer=Adam(model.parameters(), lr=1e-2),
        epochs=8,
        batch_size=64,
        validation=(x_test, y_test),
        metrics={"accuracy": nn.accuracy},
        rng=0,
        progress=False,
    )
    assert history["accuracy"][-1] > 0.96
    assert history["val_accuracy"][-1] > 0.85
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert list(history.rows[0]) == [
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds",
    ]  # fmt: skip


def test_a_seed_gives_the_same_numbers_and_none_gives_others():
    def losses(rng):
        return trained(rng=rng)["loss"]

    assert losses(0) == losses(0) == losses(np.random.default_rng(0))
    assert losses(1) != losses(0)
    assert losses(None) != losses(None)


def test_a_model_can_be_a_plain_function():
    w, b = Tensor(np.zeros(2), name="w"), Tensor(0.0, name="b")
    data = linear(200)
    history = fit(
        lambda x: x @ w + b,
        data,
        nn.binary_cross_entropy_with_logits,
        SGD([w, b], lr=1.0),
        epochs=30,
        rng=0,
        progress=False,
        keep_best=True,
        monitor="right",
        mode="max",
        metrics={"right": lambda z, y: np.mean((z > 0) == y)},
    )
    assert history.best()["right"] > 0.95
    assert w.data[1] > 1 > -1 > w.data[0]
    assert np.mean((data[0] @ w.data + b.data > 0) == data[1]) > 0.95


def test_the_mode_is_train_in_training_eval_in_validation_and_then_as_before():
    seen = []

    class Watching(nn.Module):
        def __init__(self):
            self.inner = network()

        def forward(self, x):
            seen.append((len(x), self.training))
            return self.inner(x)

    model = Watching()
    trained(model, data=(X[:32], Y[:32]), epochs=1, validation=(X[:5], Y[:5]))
    assert seen == [(16, True), (16, True), (5, False)]
    assert model.training
    model.eval()
    trained(model, epochs=1)
    assert seen[-1][1]
    assert not model.training
    model.inner.train()
    evaluate(model, HELD, nn.cross_entropy)
    assert [model.training, model.inner.training] == [False, True]


def test_metrics_get_plain_arrays_and_are_averaged_over_samples():
    kinds = set()

    def size(prediction, target):
        kinds.update((type(prediction), type(target)))
        return len(target)

    history = trained(metrics={"size": size}, epochs=1, validation=(X[:10], Y[:10]))
    assert kinds == {np.ndarray}
    assert history["size"] == [(16 * 16 * 3 + 12 * 12) / 60]
    assert history["val_size"] == [10]


def test_evaluate_is_what_the_whole_at_once_would_give():
    model = network()
    found = evaluate(model, HELD, nn.cross_entropy, metrics={"a": nn.accuracy}, batch_size=7)
    assert math.isclose(found["loss"], nn.cross_entropy(model(HELD[0]), HELD[1]).item())
    assert math.isclose(found["a"], nn.accuracy(model(HELD[0]), HELD[1]))


def test_evaluate_takes_a_loss_that_is_a_number():
    with pytest.raises(
        ValueError,
        match=r"evaluate: the loss must be a single number, not an array of shape \(24, 2",
    ):
        evaluate(network(), HELD, lambda prediction, target: prediction)


def test_schedules_take_a_step_an_epoch():
    model = network()
    optimizer = SGD(model.parameters(), lr=1.0)
    history = trained(model, optimizer=optimizer, schedule=StepLR(optimizer, 2, 0.5), epochs=5)
    assert history["lr"] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_a_plateau_is_one_of_what_is_monitored():
    model = network()
    optimizer = SGD(model.parameters(), lr=0.0)
    plateau = ReduceLROnPlateau(optimizer, patience=1)
    trained(model, optimizer=optimizer, schedule=plateau, epochs=2, validation=HELD)
    assert plateau.best == evaluate(model, HELD, nn.cross_entropy)["loss"]


def test_long_gradients_are_shortened():
    def moved(clip_norm):
        model = network()
        before = model.state_dict()
        optimizer = SGD(model.parameters(), lr=1.0)
        trained(model, optimizer=optimizer, epochs=1, batch_size=60, clip_norm=clip_norm)
        return math.sqrt(sum(np.sum((model.state_dict()[k] - before[k]) ** 2) for k in before))

    assert moved(None) > 0.1
    assert math.isclose(moved(0.01), 0.01, rel_tol=1e-3)


# ── the end ───────────────────────────────────────────────────────────────────────────────────────


class Scripted:
    """A metric of which the numbers are known beforehand, one for each epoch."""

    def __init__(self, *numbers):
        self.numbers, self.epoch = numbers, 0

    def __call__(self, prediction, target):
        self.epoch += 1
        return self.numbers[self.epoch - 1]


def scripted(*numbers, **options):
    options = {"batch_size": 60, "monitor": "error", "epochs": len(numbers)} | options
    return trained(metrics={"error": Scripted(*numbers)}, **options)


def test_patience_ends_it():
    history = scripted(5, 4, 4, 4, 1, patience=2)
    assert history["error"] == [5, 4, 4, 4]
    assert history.stopped == "no better error for 2 epochs"
    assert scripted(5, 4, 4, 3, 3, patience=2).stopped == ""
    assert scripted(*[math.nan] * 4, patience=2)["epoch"] == [1, 2]
    assert len(scripted(1, 2, 3, 3, 2, patience=2, mode="max")) == 5


def test_the_best_weights_are_kept():
    states = []
    model = network()
    history = scripted(
        *(5, 2, 3, 2, 4),
        model=model,
        keep_best=True,
        callbacks=[lambda run: states.append(run.model.state_dict())],
    )
    assert history.best()["epoch"] == 2
    assert same(model.state_dict(), states[1])
    assert not same(states[4], states[1])


def test_callbacks_see_the_run_and_may_stop_it():
    seen = []

    def callback(run):
        seen.append((run.epoch, run.history["loss"][-1], run.model, run.optimizer.state_dict()))
        if run.epoch == 2:
            run.stop("enough")

    model = network()
    history = trained(model, epochs=9, callbacks=[callback])
    assert [epoch for epoch, *_ in seen] == [1, 2]
    assert seen[0][2] is model
    assert history.stopped == "enough"
    assert not history.interrupted
    assert "(enough)" in repr(history)


def test_ctrl_c_returns_what_there_is():
    def interrupt(run):
        if run.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    model = network()
    history = trained(model, epochs=10**6, callbacks=[interrupt])
    assert history.interrupted
    assert history.stopped == "interrupted in epoch 3"
    assert len(history) == 2
    assert model.training


def test_ctrl_c_in_a_batch_keeps_the_best_weights_too():
    model, states, batches = network(), [], []

    def loss(prediction, target):
        batches.append(1)
        if len(batches) == 10:  # 4 batches an epoch
            raise KeyboardInterrupt
        return nn.cross_entropy(prediction, target)

    def remember(run):
        states.append(run.model.state_dict())

    history = trained(model, loss=loss, epochs=5, keep_best=True, callbacks=[remember])
    assert history.interrupted
    assert len(history) == 2
    assert same(model.state_dict(), states[int(np.argmin(history["loss"]))])


# ── NaN and inf ───────────────────────────────────────────────────────────────────────────────────


class Rooted(nn.Module):
    """Its middle layer has an infinite slope wherever relu gives 0, or no root below 0."""

    def __init__(self, rectified):
        self.first = nn.Linear(2, 6, rng=0)
        self.middle = Root(rectified)
        self.last = nn.Linear(6, 2, rng=0)

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


class Root(nn.Module):
    def __init__(self, rectified):
        self.rectified = rectified

    def forward(self, x):
        return np.sqrt(nn.relu(x) if self.rectified else x)


def test_a_nan_of_the_loss_names_its_layer():
    model = Rooted(rectified=False)
    before = model.state_dict()
    with pytest.raises(
        DivergedError,
        match=r"^fit: in epoch 1, batch 1, the loss is nan: sqrt in scope 'rooted/middle' made the"
        r" first nan; a smaller learning rate or clip_norm= may help. The model has the weights that"
        r" it began with$",
    ) as raised:
        trained(model)
    assert same(model.state_dict(), before)
    assert raised.value.history.rows == []
    assert raised.value.where == (
        "in epoch 1, batch 1, the loss is nan: sqrt in scope 'rooted/middle' made the first nan"
    )
    assert isinstance(raised.value, FloatingPointError)


def test_a_nan_among_probabilities_names_its_layer():
    model = nn.Sequential(Rooted(rectified=False), nn.Linear(2, 1, rng=0), "sigmoid")
    with pytest.raises(
        DivergedError, match="the loss is nan: sqrt in scope 'sequential/rooted/midd"
    ):
        trained(model, data=(X, Y[:, None]), loss=nn.binary_cross_entropy)


def test_an_infinite_gradient_names_its_layer():
    model = Rooted(rectified=True)
    before = model.state_dict()
    with pytest.raises(
        DivergedError,
        match=r"in epoch 1, batch 1, a gradient is not finite: sqrt made the first inf \(backward\),"
        r" in scope 'rooted/middle', in the gradient of a Tensor of shape \(16, 6\) from relu; a sm",
    ):
        trained(model)
    assert same(model.state_dict(), before)
    assert all(p.grad is None for p in model.parameters())


def test_a_loss_of_no_layer_is_told_apart():
    def loss(prediction, target):
        return -np.mean(np.log(np.maximum(prediction, 0)))

    with pytest.raises(DivergedError, match=r"log outside all scopes made the first inf"):
        trained(loss=loss)


def test_what_does_not_reach_the_loss_is_not_held_against_it():
    class Masked(nn.Module):
        def __init__(self):
            self.inner = network()

        def forward(self, x):
            np.log(self.inner(x) * 0)  # -inf, but for nobody
            scores = self.inner(x) + np.array([0.0, -np.inf])
            return np.where(np.isfinite(scores.data), log_softmax(scores, 1), -1.0)

    def loss(scores, labels):
        return np.mean(scores * scores)

    with np.errstate(all="ignore"):
        assert np.isfinite(trained(Masked(), loss=loss)["loss"]).all()


def test_the_first_of_many_is_named_though_later_layers_have_it_too():
    class Deep(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(2, 2, rng=i) for i in range(5)]

        def forward(self, x):
            for i, layer in enumerate(self.layers):
                x = layer(x) * (1e200 if i == 2 else 1)
                x = x * (1e200 if i == 2 else 1)
            return x

    with pytest.raises(DivergedError, match=r"multiply in scope 'deep' made the first inf"):
        trained(Deep())


def test_the_model_goes_back_to_the_epoch_before():
    model, states = network(), []

    def loss(prediction, target):
        return nn.cross_entropy(prediction, target) * (1.0 if len(states) < 2 else np.inf)

    with pytest.raises(
        DivergedError,
        match=r"epoch 3, batch 1, the loss is inf: multiply out.* from the end of epoch 2$",
    ) as raised:
        trained(model, loss=loss, epochs=5, callbacks=[lambda r: states.append(r.model.state_dict())])  # fmt: skip
    assert same(model.state_dict(), states[1])
    assert raised.value.history["epoch"] == [1, 2]


def test_a_step_too_far_names_the_parameter():
    def loss(prediction, target):
        return np.sum(prediction) * 1e150

    for batch_size, where in (
        (60, "batch 1, the step made inf of the parameter '0.weight'"),
        (30, "batch 2, the loss is .*: the parameter '0.weight' holds inf"),
    ):
        model = network()
        before = model.state_dict()
        optimizer = SGD(model.parameters(), lr=1e200)
        with pytest.raises(DivergedError, match=f"in epoch 1, {where}; a smaller"):
            trained(model, loss=loss, optimizer=optimizer, batch_size=batch_size)
        assert same(model.state_dict(), before)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_bad_data_is_not_the_models_fault(bad):
    x = X.copy()
    x[17, 1] = bad
    with pytest.raises(
        DivergedError,
        match=rf"(the loss is nan|a gradient is not finite); the data has {bad} in X\[17\]. The model has the weights that it",
    ):
        trained(data=(x, Y))


def test_weights_that_came_bad_are_named():
    model = network()
    dict(model.named_parameters())["0.bias"].data = np.full(8, math.nan)
    with pytest.raises(DivergedError, match=r"the loss is nan: the parameter '0.bias' holds nan; "):
        trained(model)


# ── resuming ──────────────────────────────────────────────────────────────────────────────────────


def restless(path, epochs, resume=False, stop=None, **options):
    """A training with all that has a state: dropout, momentum, a schedule, patience, the best."""
    model = nn.Sequential(nn.Linear(2, 16, rng=1), nn.Tanh(), nn.Dropout(0.3, rng=2), nn.Linear(16, 2, rng=3))  # fmt: skip
    optimizer = Adam(model.parameters(), lr=0.05)
    options = {"schedule": ReduceLROnPlateau(optimizer, patience=1, factor=0.5)} | options
    history = trained(
        model,
        TRAIN,
        optimizer=optimizer,
        epochs=epochs,
        validation=HELD,
        metrics={"accuracy": nn.accuracy},
        monitor="val_accuracy",
        patience=6,
        keep_best=True,
        checkpoint=path,
        resume=resume,
        callbacks=[] if stop is None else [stop],
        **options,
    )
    return model, optimizer, history


def numbers(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


@pytest.mark.parametrize("at", [1, 4, 9])
def test_resuming_gives_bit_for_bit_what_an_uninterrupted_run_gives(tmp_path, at):
    def crash(run):
        if run.epoch == at + 1:
            raise RuntimeError("power cut")

    model, optimizer, history = restless(tmp_path / "whole.npz", 12)
    path = tmp_path / "parts.npz"
    with pytest.raises(RuntimeError, match="power cut"):
        restless(path, 12, stop=crash)
    assert load_checkpoint(path)["epoch"] == at
    again, same_optimizer, resumed = restless(path, 12, resume=True)
    assert numbers(resumed) == numbers(history)
    assert resumed.stopped == history.stopped
    assert same(again.state_dict(), model.state_dict())
    ours, theirs = same_optimizer.state_dict(), optimizer.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert all(same(ours["state"][i], theirs["state"][i]) for i in theirs["state"])
    final, whole = load_checkpoint(path), load_checkpoint(tmp_path / "whole.npz")
    assert final["rng"] == whole["rng"]
    assert final["schedule"] == whole["schedule"]
    assert same(final["model"], whole["model"])


def test_resuming_what_was_done_changes_nothing(tmp_path):
    model, _, history = restless(tmp_path / "run.npz", 4)
    again, _, same_history = restless(tmp_path / "run.npz", 4, resume=True)
    assert numbers(history) == numbers(same_history)
    assert same(model.state_dict(), again.state_dict())


def test_what_a_callback_or_patience_stopped_stays_stopped(tmp_path):
    def stop(run):
        run.stop("enough")

    path = tmp_path / "run.npz"
    restless(path, 9, stop=stop)
    assert restless(path, 9, resume=True)[2].stopped == "enough"
    path.unlink()
    scripted(1, 1, 1, 1, 1, patience=2, checkpoint=path)
    again = scripted(1, 1, 1, 1, 1, patience=2, checkpoint=path, resume=True)
    assert again["epoch"] == [1, 2, 3]
    assert again.stopped == "no better error for 2 epochs"


def test_more_epochs_go_on_from_the_last_weights_not_the_best(tmp_path):
    path, whole = tmp_path / "run.npz", restless(tmp_path / "whole.npz", 8)[2]
    restless(path, 5)
    assert numbers(restless(path, 8, resume=True)[2]) == numbers(whole)


def test_plain_functions_resume_too(tmp_path):
    def run(epochs, resume):
        w, b = Tensor(np.zeros(2)), Tensor(0.0)
        model = lambda x: x @ w + b
        data, loss = linear(50), nn.binary_cross_entropy_with_logits
        options = {"rng": 0, "progress": False, "checkpoint": tmp_path / f"{resume}.npz"}
        fit(model, data, loss, SGD([w, b], 1.0, 0.9), epochs=epochs, resume=resume, **options)
        return w.tolist(), b.tolist()

    run(2, True)
    assert run(4, True) == run(4, False)


def test_an_existing_checkpoint_is_not_overwritten(tmp_path):
    path = tmp_path / "run.npz"
    trained(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(
        FileExistsError, match=r"run.npz exists: pass resume=True to continue from it, or"
    ):
        trained(checkpoint=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"model": nn.MLP([2, 9, 2], rng=0)}, r"MLP.load_state_dict: 0.weight has shape"),
        (
            {"model": nn.Sequential(nn.Linear(2, 2), nn.Dropout())},
            r"its generators are those of sh",
        ),
        ({"with_schedule": True}, "one has a schedule, the other has none"),
        ({"optimizer": SGD}, "its optimizer is of class Adam, not SGD"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, other, text):
    path = tmp_path / "run.npz"
    trained(checkpoint=path)
    model = other.get("model") or network(rng=5)
    optimizer = other.get("optimizer", Adam)(model.parameters())
    schedule = StepLR(optimizer, 1) if "with_schedule" in other else None
    before = model.state_dict()
    with pytest.raises(
        CheckpointError, match=rf"run.npz does not belong to this training: .*{text}"
    ):
        trained(model, optimizer=optimizer, schedule=schedule, checkpoint=path, resume=True)
    assert same(model.state_dict(), before)


def test_a_checkpoint_that_was_not_written_by_fit_is_refused(tmp_path):
    from autobp.train import save_checkpoint

    save_checkpoint(tmp_path / "mine.npz", {"model": {}})
    with pytest.raises(
        CheckpointError, match=r"does not belong to this training: it has no 'sched"
    ):
        trained(checkpoint=tmp_path / "mine.npz", resume=True)


# ── what is said ──────────────────────────────────────────────────────────────────────────────────


class Terminal(io.StringIO):
    def isatty(self):
        return True


def said(monkeypatch, stream, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    trained(progress=True, **options)
    return stream.getvalue()


def test_elsewhere_than_on_a_terminal_there_are_whole_lines(monkeypatch, capsys):
    metrics = {"accuracy": nn.accuracy}
    lines = said(monkeypatch, io.StringIO(), metrics=metrics, validation=HELD).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("1/3  loss 0.")
    for name in (" accuracy 0.", " val_loss 0.", " val_accuracy 0."):
        assert all(name in line for line in lines)
    assert all(line.endswith(" s") for line in lines)
    assert capsys.readouterr().out == ""


def test_the_lines_are_few(monkeypatch):
    lines = said(monkeypatch, io.StringIO(), epochs=200, data=(X[:4], Y[:4])).splitlines()
    assert [line.split("/")[0].strip() for line in lines[:3]] == ["1", "10", "20"]
    assert len(lines) == 21


def test_the_last_line_is_never_held_back(monkeypatch):
    def stop(run):
        if run.epoch == 57:
            run.stop("enough")

    data = X[:4], Y[:4]
    lines = said(monkeypatch, io.StringIO(), epochs=200, data=data, callbacks=[stop]).splitlines()
    assert lines[-2].startswith(" 57/200")
    assert lines[-1] == "stopped after 57 epochs: enough"


def test_on_a_terminal_there_is_one_bar(monkeypatch):
    text = said(monkeypatch, Terminal(), validation=HELD)
    assert text.count("\n") == 1
    assert "12/12" in text  # batches in all
    assert "val_loss" in text.splitlines()[-1]


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal")
@pytest.mark.parametrize(
    ("columns", "last"),
    [
        (201, "#| 00:00, loss N  accuracy N  val_loss N  val_accuracy N  N s"),
        (76, "100%, loss N  accuracy N  val_loss N  val_accuracy N"),
        (56, "100%, loss N  accuracy N  val_loss N"),
    ],
)
def test_few_columns_show_whole_numbers(monkeypatch, columns, last):
    import fcntl  # late: they are not everywhere
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    monkeypatch.setattr(sys, "stderr", os.fdopen(theirs, "w", encoding="ascii"))
    trained(progress=True, metrics={"accuracy": nn.accuracy}, validation=HELD)
    sys.stderr.close()
    lines = re.split("[\r\n]+", shown(ours).rstrip())
    assert max(map(len, lines)) <= columns  # of which older ones of tqdm fill the last
    assert re.sub(r"\d\.\d+", "N", lines[-1]).endswith(last)


def test_silence_is_silence(monkeypatch):
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        trained(progress=False, patience=1, epochs=30, lr=0.0)
        assert stream.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    trained(progress=True)


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"data": X}, TypeError, r"data must be a pair \(X, y\), not ndarray"),
        ({"data": (X, Y, Y)}, TypeError, r"data must be a pair \(X, y\), not tuple of 3"),
        ({"data": digits()}, TypeError, r"data must be a pair \(X, y\), not Images of 4"),
        (
            {"data": (X, Y[1:])},
            ValueError,
            "data: arrays must have equally many samples, not 60 and 59",
        ),
        ({"data": (X[:0], Y[:0])}, ValueError, "data has no samples"),
        ({"validation": X}, TypeError, r"validation must be a pair \(X, y\), not ndarray"),
        ({"validation": (X[:0], Y[:0])}, ValueError, "validation has no samples"),
        (
            {"model": nn.MLP, "optimizer": Adam(network().parameters())},
            TypeError,
            "fit: model must be a function of a batch of X, not <class",
        ),
        (
            {"loss": "mse"},
            TypeError,
            "fit: loss must be a function such as nn.cross_entropy, not 'mse",
        ),
        (
            {"optimizer": Adam},
            TypeError,
            r"fit: optimizer must be an optimizer such as Adam\(model.parameters",
        ),
        (
            {"schedule": "cos"},
            TypeError,
            r"fit: schedule must be a schedule such as StepLR\(optimizer, 10\), not 'c",
        ),
        (
            {"checkpoint": "no/such.npz"},
            OSError,
            "fit: checkpoint: the folder .*no does not exist or cannot be wri",
        ),
        ({"epochs": 0}, ValueError, "fit: epochs must be at least 1, not 0"),
        ({"epochs": 1.5}, TypeError, "fit: epochs must be an integer, not 1.5"),
        ({"batch_size": 0}, ValueError, "fit: batch_size must be at least 1, not 0"),
        ({"patience": 0}, ValueError, "fit: patience must be at least 1, not 0"),
        (
            {"resume": True},
            ValueError,
            "fit: resume=True needs checkpoint=, the file to resume fro",
        ),
        (
            {"callbacks": ["x"]},
            TypeError,
            "fit: callbacks\\[0\\] must be a function of the Run, not 'x'",
        ),
        (
            {"metrics": [nn.accuracy]},
            TypeError,
            'fit: metrics must be a dict such as {"accuracy": nn.a',
        ),
        (
            {"metrics": {"lr": nn.accuracy}},
            ValueError,
            "fit: metrics: no metric can be called 'lr', as another",
        ),
        ({"monitor": "val_loss"}, ValueError, "there is no 'val_loss' to monitor; there are loss$"),
        (
            {"monitor": "val_f", "validation": HELD, "metrics": {"f": nn.accuracy}},
            ValueError,
            "is a high or a low 'val_f' better\\? Pass mode='max' or mode='min'",
        ),
        (
            {"compile": 1.5},
            TypeError,
            "fit: compile must be True, False or None, not 1.5",
        ),
        ({"clip_norm": -1}, ValueError, "fit: clip_norm must be 0 or above, not -1"),
        ({"clip_norm": "1"}, TypeError, "fit: clip_norm must be a number, not '1'"),
        ({"keep_best": "loss"}, TypeError, "fit: keep_best must be True or False, not 'loss'"),
        (
            {"metrics": {"a": 3}},
            TypeError,
            r"fit: metrics\['a'\] must be a function such as nn.accuracy, not 3",
        ),
        (
            {"metrics": {3: nn.mse}},
            TypeError,
            "fit: metrics: the name of a metric must be a string, not 3",
        ),
        (
            {"callbacks": 3},
            TypeError,
            "fit: callbacks must be a list of functions of the Run, not 3",
        ),
        ({"checkpoint": 3}, TypeError, "fit: checkpoint must be the path of a file, not 3"),
        (
            {"rng": "a"},
            TypeError,
            "fit: rng must be a whole number, 0 or above, or a Generator, not 'a'",
        ),
        (
            {"rng": -1},
            TypeError,
            "fit: rng must be a whole number, 0 or above, or a Generator, not -1",
        ),
        ({"mode": "mx"}, ValueError, "fit: mode must be 'min' or 'max', not 'mx'"),
        ({"epochs": True}, TypeError, "fit: epochs must be an integer, not True"),
        ({"mode": "high"}, ValueError, "mode must be 'min' or 'max', not 'high'"),
        ({"loss": lambda p, t: 1.0}, TypeError, "fit: the loss does not depend on the parameters"),
        (
            {"loss": lambda p, t: p},
            ValueError,
            r"fit: the loss must be a single number, not an array of shape \(16",
        ),
        (
            {"metrics": {"size": lambda p, t: p}},
            ValueError,
            r"the metric 'size' must be a single number, not an array of shape \(16, 2\)",
        ),
        (
            {"optimizer": Adam(network().parameters())},
            ValueError,
            "fit: the optimizer has none of the model's parameters",
        ),
        (
            {"schedule": StepLR(Adam(network().parameters()), 1)},
            ValueError,
            "fit: the schedule belongs to another optimizer",
        ),
    ],
)
def test_wrong_arguments(options, error, text):
    with pytest.raises(error, match=text):
        trained(**options)


def test_the_history_of_a_run_is_a_history():
    data = spiral(60)
    history = trained(nn.MLP([2, 8, 3], rng=0), data=data, epochs=2)
    assert isinstance(history, History)
    assert history["epoch"] == [1, 2]


def test_a_fit_without_gradients_is_explained():
    model = network()
    said = "the loss does not depend on the parameters, since no_grad\\(\\) is open around fit"
    with no_grad(), pytest.raises(TypeError, match=said):
        trained(model, epochs=1)
