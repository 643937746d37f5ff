"""A run of training in the page: what it computes is what happened."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

from autobp import Tensor, nn, optim, play_training
from autobp.optim.option import at_least_zero, option
from tests.browser import needs_browser
from tests.test_compiler_javascript import in_node, needs_node
from tests.test_drawing_player_live import choose, move

DIAGONALS = [[i / 10, i / 10] for i in range(11)] + [
    [i / 10, 1 - i / 10] for i in range(11) if i != 5
]
X, Y = np.array(DIAGONALS), np.array([[1.0]] * 11 + [[0.0]] * 10)

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=1.0),
    "momentum": lambda p: optim.SGD(p, lr=0.3, momentum=0.9, nesterov=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.05),
    "groups": lambda p: optim.SGD(
        [{"params": (q := [*p])[:2], "lr": 0.2}, {"params": q[2:], "lr": 0.05}]
    ),
}

RUN = """
const training = data.training, run = [];
const bytes = Uint8Array.from(atob(training.path), (c) => c.charCodeAt(0)), all = new Float64Array(bytes.buffer);
const path = [], states = [], cells = Float64Array.from({ length: 3200 }, (_, i) => ((i * 37) % 101) / 100);
const stated = (values) => training.state.map(([, , shape], j) => (shape.length ? filledArray(shape, values[j]) : [values[j]].flat()[0]));
let at = 0, state = stated(training.before);
const given = data.live.inputs.map(([, shape, values]) => (shape.length ? Float64Array.from(values) : values[0])), start = [...given];
const plain = (x) => (typeof x === "number" ? x : Array.from(x));
for (let k = 0; k < training.losses.length; k++) {
  const values = training.sizes.map((n) => all.slice(at, (at += n)));
  training.inputs.forEach((i, p) => (given[i] = values[p]));
  const numbers = program(...given);
  [path[k], states[k]] = [values, state];
  const next = advance(...training.arguments.map((source) => argument(source, k, null, 1)));
  const region = training.region && classify(...training.region.arguments.map((source) => argument(source, k, cells)));
  run.push({
    values: values.map(plain), loss: numbers[data.live.loss], state: k ? state.map(plain) : null, // before the first step Python has none
    gradients: training.inputs.map((i) => plain(numbers[data.live.gradients[i]])), next: next[0].map(plain),
    region: region && plain(region),
  });
  state = next[1];
}
console.log(JSON.stringify(run));
"""


def model():
    return nn.MLP([2, 4, 8, 1], "tanh", "sigmoid", rng=0)


def run_of_page(text):
    packed = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    if packed[0] != "{":
        packed = zlib.decompress(base64.b64decode(packed)).decode()
    script = re.search(r"const \[program.*?\nreturn \[program.*?\n\}\)\(\);\n", text, re.S)[0]
    helpers = "\n".join(
        re.findall(r"(?ms)^const (?:shaped|filledArray) = [^\n]*|^function argument.*?^\}", text)
    )
    return in_node(f"const data = {packed};\n{script}\n{helpers}\n{RUN}")


def close(found, expected):
    expected = np.ravel(expected)
    np.testing.assert_allclose(
        np.ravel(found), expected, 0, 1e-12 * max(np.abs(expected).max(initial=0), 1e-3)
    )


@needs_node
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_number_is_that_of_the_run(name):
    steps = 100 if name == "sgd" else 12
    trained = model()
    player = play_training(trained, (X, Y), nn.mse, OPTIMIZERS[name](trained.parameters()), steps)
    assert len(player.page.encode()) < 300_000
    run = run_of_page(player.page)
    assert len(run) == steps + 1
    again = model()
    optimizer = OPTIMIZERS[name](again.parameters())
    parameters = list(again.parameters())
    for k, found in enumerate(run):
        for value, p in zip(found["values"], parameters, strict=True):
            assert np.array_equal(value, np.ravel(p.value))
        optimizer.zero_grad()
        loss = nn.mse(again(X), Y)
        loss.backward()
        close(found["loss"], loss.item())
        for g, p in zip(found["gradients"], parameters, strict=True):
            close(g, p.grad)
        if k:
            kept = [value for p in parameters for value in optimizer.state.get(p, {}).values()]
            for value, expected in zip(found["state"], kept, strict=True):
                close(value, expected)
        optimizer.step()
        for value, p in zip(found["next"], parameters):
            close(value, p.value)


class Scaled(nn.Module):
    def __init__(self):
        self.linear, self.scale, self.offset = nn.Linear(2, 1, rng=0), np.array([2.0, -1.0]), 0.5

    def forward(self, x):
        return self.linear(x * self.scale + self.offset)


def frozen():
    found = model()
    dict(found.named_parameters())["0.weight"].requires_grad = False
    return found


def at_rest():
    layers = nn.Linear(2, 4, rng=0), nn.BatchNorm1d(4), np.tanh, nn.Dropout(0.5, rng=1)
    found = nn.Sequential(*layers, nn.Linear(4, 1, rng=2))
    found(X)  # moves the means
    return found.eval()


@needs_node
@pytest.mark.parametrize("make", [Scaled, frozen, at_rest])
def test_what_a_step_reads_besides_stays_as_it_is(make):
    trained, again = make(), make()
    train = lambda m: optim.Adam([p for p in m.parameters() if p.requires_grad], lr=0.05)
    player = play_training(trained, (X, Y), nn.mse, train(trained), 5)
    optimizer = train(again)
    parameters = optimizer.param_groups[0]["params"]
    for found in run_of_page(player.page):
        for value, p in zip(found["values"], parameters, strict=True):
            assert np.array_equal(value, np.ravel(p.value))
        close(found["loss"], nn.mse(again(X), Y).item())
        close(found["region"], again(np.arange(3200).reshape(-1, 2) * 37 % 101 / 100).numpy())
        optimizer.zero_grad()
        nn.mse(again(X), Y).backward()
        optimizer.step()
        for value, p in zip(found["next"], parameters):
            close(value, p.value)


def test_the_model_is_trained_and_its_parameters_are_its_own():
    trained = model()
    before = [p.value for p in trained.parameters()]
    play_training(trained, (X, Y), nn.mse, optim.SGD(trained.parameters(), lr=1.0), steps=3)
    again = model()
    optimizer = optim.SGD(again.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        nn.mse(again(X), Y).backward()
        optimizer.step()
    for p, q, array in zip(trained.parameters(), again.parameters(), before):
        assert np.array_equal(p.value, q.value)
        assert p.value is array


@needs_browser[0]
@needs_browser[1]
def test_a_step_is_opened_and_training_goes_on_from_there(page, tmp_path):
    trained = model()
    optimizer = optim.SGD(trained.parameters(), lr=0.5, momentum=0.9)
    page.open(play_training(trained, (X, Y), nn.mse, optimizer, steps=30), tmp_path / "x.html")
    assert page.text("epoch-says").startswith("0 of 30 steps, loss 0.2")
    start = page.text("found")
    page.set("epoch", 20, "input")
    page.settle()
    assert page.text("found") != start
    assert page.text("epoch-says") == f"20 of 30 steps, loss {page.text('found')[3:]}"
    page.go(page.steps)
    assert page.text("phase") == "backward"
    page.set("view", page("return document.getElementById('view').options.length - 1"), "change")
    choose(page, "linear1.weight")
    assert "optimizer: momentum buffer" in page.facts()
    region = page("return document.getElementById('region').toDataURL()")
    page.set("rate", -1.5, "input")
    page.click("run")
    page.until(lambda: page.text("epoch-says").split()[0] != "20")
    page.click("run")
    at = int(page.text("epoch-says").split()[0])
    assert at > 20
    assert page("return document.getElementById('region').toDataURL()") != region
    assert page.text("epoch-says").startswith(f"{at} of {at} steps")
    page.click("recorded")
    page.settle()
    assert page.text("epoch-says").startswith(f"{min(at, 30)} of 30 steps")


def test_a_change_at_one_step_can_be_had_back_from_another(page, tmp_path):
    trained = model()
    player = play_training(
        trained, (X, Y), nn.mse, optim.SGD(trained.parameters(), lr=0.1), steps=5
    )
    page.open(player, tmp_path / "x.html")
    choose(page, "X")
    page(
        "const f = document.getElementById('exact'); f.value = 3; f.dispatchEvent(new Event('change'))"
    )
    page.settle()
    changed = page.text("found")
    for k in (3, 4):
        page.set("epoch", k, "input")
        page.settle()
    assert page.text("found") != changed
    page.click("undo")
    assert page.text("found") == changed
    assert page.text("epoch-says").startswith("0 of 5")


def test_a_link_reopens_a_step_of_training(page, tmp_path):
    trained = model()
    player = play_training(
        trained, (X, Y), nn.mse, optim.SGD(trained.parameters(), lr=0.1), steps=5
    )
    page.open(player, tmp_path / "x.html")
    page.set("epoch", 3, "input")
    page.settle()
    said, found = page.text("epoch-says"), page.text("found")
    assert reopened(page, tmp_path / "x.html") == "#step=0&epoch=3"
    assert (page.text("epoch-says"), page.text("found")) == (said, found)


def reopened(page, path):
    """The link to what the page shows; the page is reopened by it."""
    link = page.link()
    page.driver.get("about:blank")
    page.visit(path.as_uri() + link)
    return link


def one_step_on(page):
    """One step of the page's own, without its clock."""
    page(
        "const clock = setInterval, run = document.getElementById('run');"
        "window.setInterval = (act) => (act(), -1);"
        "run.click();"
        "window.setInterval = clock;"
        "run.click()"
    )
    page.settle()


def trained_by_numpy(optimizer_of, change, from_step, rates):
    """The losses of a run whose first steps have the optimizer's own rate, and which is changed then."""
    again = model()
    optimizer = optimizer_of(again.parameters())
    data = [X.copy(), Y]
    own = optimizer.param_groups[0]["lr"]
    losses = []
    for rate in [own] * from_step + [own * 10**r for r in rates] + [0.0]:
        if len(losses) == from_step:
            change(again, *data)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = nn.mse(again(data[0]), Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[from_step:]


def loss_said(page):
    return float(page.text("epoch-says").rpartition(" ")[2].replace("−", "-"))


@needs_browser[0]
@needs_browser[1]
@pytest.mark.parametrize("name", ["sgd", "momentum", "adagrad", "adamw"])
def test_the_first_step_has_the_learning_rate_that_is_set(page, tmp_path, name):
    trained = model()
    optimizer = OPTIMIZERS[name](trained.parameters())
    page.open(play_training(trained, (X, Y), nn.mse, optimizer, 5), tmp_path / "x.html")
    page.set("rate", 0.75, "input")
    expected = trained_by_numpy(OPTIMIZERS[name], lambda *_: None, 0, [0.75] * 2)
    found = [loss_said(page)]
    for _ in range(2):
        one_step_on(page)
        found.append(loss_said(page))
    assert found == pytest.approx(expected, rel=6e-4)


def changed_by_hand(model, X, y):
    weight = next(iter(model.parameters()))
    weight.data = np.concatenate([[3.0], np.ravel(weight.value)[1:]]).reshape(weight.shape)
    X[0, 0] = 2.0


@needs_browser[0]
@needs_browser[1]
def test_training_goes_on_from_what_was_changed(page, tmp_path):
    trained = model()
    optimizer = OPTIMIZERS["momentum"](trained.parameters())
    page.open(play_training(trained, (X, Y), nn.mse, optimizer, 5), tmp_path / "x.html")
    page.set("view", page("return document.getElementById('view').options.length - 1"), "change")
    page.set("epoch", 3, "input")
    page.settle()
    region = page("return document.getElementById('region').toDataURL()")
    move(page, "linear1.weight", 3)
    move(page, "X", 2)
    expected = trained_by_numpy(OPTIMIZERS["momentum"], changed_by_hand, 3, [0.0, 0.0])
    assert page("return document.getElementById('region').toDataURL()") != region
    found = [loss_said(page)]
    for _ in range(2):
        one_step_on(page)
        found.append(loss_said(page))
    assert found == pytest.approx(expected, rel=6e-4)
    said = page.text("found"), page.text("epoch-says")
    assert re.search(r"&own=3,(\d+\.0\.[23],){2}0x2", reopened(page, tmp_path / "x.html"))
    assert (page.text("found"), page.text("epoch-says")) == said
    page.click("recorded")
    page.settle()
    assert page.text("epoch-says").startswith("5 of 5")
    assert page("return document.getElementById('reset').disabled")


@needs_browser[0]
@needs_browser[1]
def test_what_a_loss_computes_from_the_data_follows_them(page, tmp_path):
    trained = nn.Linear(2, 1, rng=0)
    optimizer = optim.SGD(trained.parameters(), lr=0.1)
    loss = lambda out, y: np.mean(out * y - (1 - y) * np.tanh(out))
    page.open(play_training(trained, (X, Y), loss, optimizer, steps=3), tmp_path / "x.html")
    page.set("view", 1, "change")
    move(page, "y", 0.25)
    y = Y.copy()
    y[0, 0] = 0.25
    expected = loss(nn.Linear(2, 1, rng=0)(X), y).item()
    assert loss_said(page) == pytest.approx(expected, rel=6e-4)


class Unlike(optim.Optimizer):
    """Its first step does something else."""

    lr: float = option(at_least_zero, default=0.1)

    def update(self, x, g, state, *, lr):
        state["mean"] = g.copy() if "mean" not in state else 0.9 * state["mean"] + g
        x -= lr * state["mean"]


@needs_browser[0]
@needs_browser[1]
def test_a_first_step_that_is_unlike_the_others_is_not_taken_anew(page, tmp_path):
    trained = model()
    optimizer = Unlike(trained.parameters())
    page.open(play_training(trained, (X, Y), nn.mse, optimizer, 5), tmp_path / "x.html")
    disabled = "const e = document.getElementById('run'); return [e.disabled, e.title]"
    assert page(disabled)[0]
    assert page(disabled)[1].startswith("the first step of this optimizer is unlike the others")
    page.set("epoch", 1, "input")
    assert not page(disabled)[0]


@needs_browser[0]
@needs_browser[1]
def test_a_link_reopens_steps_of_the_pages_own(page, tmp_path):
    trained = model()
    optimizer = optim.Adam(trained.parameters(), lr=0.01)
    page.open(play_training(trained, (X, Y), nn.mse, optimizer, steps=5), tmp_path / "x.html")
    page.set("epoch", 3, "input")
    for rate in (-1.5, 0.25):
        page.set("rate", rate, "input")
        before = page.text("epoch-says")
        page.click("run")
        page.until(lambda before=before: page.text("epoch-says") != before)
        page.click("run")
    page.settle()
    said, found, rate = (page.text(id) for id in ("epoch-says", "found", "rate-says"))
    link = reopened(page, tmp_path / "x.html")
    assert re.search(r"&own=3,-1.5x\d+,0.25x\d+$", link)
    assert [page.text(id) for id in ("epoch-says", "found", "rate-says")] == [said, found, rate]
    page.set("epoch", 2, "input")
    assert page.text("epoch-says").startswith("2 of ")


# ── what cannot be played ─────────────────────────────────────────────────────────────────────────


def test_what_a_page_cannot_compute_is_refused():
    def parts(layer):
        model = nn.Sequential(nn.Linear(2, 4, rng=0), layer, nn.Linear(4, 1, rng=1))
        return model, optim.SGD(model.parameters(), lr=0.1)

    model, optimizer = parts(nn.Dropout(0.5, rng=0))
    before, draws = model.state_dict(), model[1].rng.bit_generator.state
    with pytest.raises(ValueError, match=r"draws random numbers, .* none after model.eval\(\)"):
        play_training(model, (X, Y), nn.mse, optimizer, steps=3)
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    assert model[1].rng.bit_generator.state == draws
    model, optimizer = parts(nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match=r"changes batchnorm.running_mean, which is no parameter"):
        play_training(model, (X, Y), nn.mse, optimizer, steps=3)
    assert np.array_equal(model[1].running_mean.numpy(), np.zeros(4))
    assert optimizer.state_dict()["state"] == {}
    model, optimizer = parts(np.tanh)
    with pytest.raises(ValueError, match="steps must be a whole number of at least 2, not 1"):
        play_training(model, (X, Y), nn.mse, optimizer, steps=1)
    with pytest.raises(TypeError, match="optimizer must be one of autobp.optim, .* not NoneType"):
        play_training(model, (X, Y), nn.mse, None, steps=3)
    for wrong, why in ((X[:0], "X of data = X, y is empty"), (X * np.nan, "X .* holds NaN or inf")):
        with pytest.raises(ValueError, match=why):
            play_training(model, (wrong, Y), nn.mse, optimizer, steps=3)
    with pytest.raises(ValueError, match="give the optimizer the parameters of this model"):
        play_training(model, (X, Y), nn.mse, parts(np.tanh)[1], steps=3)
    for wrong, what in ((X, "ndarray"), ((X, Y, Y), "3 of them")):
        with pytest.raises(ValueError, match=rf"data must be a pair \(X, y\), .* not {what}"):
            play_training(model, wrong, nn.mse, optimizer, steps=3)
    for other in (lambda x: x @ np.ones((2, 1)), lambda x: x @ Tensor(np.ones((2, 1)), name="w")):
        with pytest.raises(ValueError, match="does not depend on the parameters of the optimizer"):
            play_training(other, (X, Y), nn.mse, optimizer, steps=3)
    optimizer.param_groups[0]["lr"] = 1e300
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="a smaller learning rate may"):
        play_training(model, (X, Y), nn.mse, optimizer, steps=3)


@pytest.mark.parametrize(
    ("loss", "labels", "middle", "reach"),
    [
        (nn.mse, Y, 0.5, 0.5),
        (nn.binary_cross_entropy_with_logits, Y, 0.0, 0.5),
        (nn.mse, 2 * Y - 1, 0.0, 1.0),
        (nn.mse, 10 * X[:, :1], 5.0, 5.0),
    ],
)
def test_the_border_of_the_region_is_where_both_labels_are_as_far(loss, labels, middle, reach):
    trained = nn.Linear(2, 1, rng=0)
    optimizer = optim.SGD(trained.parameters(), lr=0.001)
    packed = re.search(
        r'id="data">(.*?)</script>',
        play_training(trained, (X, labels), loss, optimizer, steps=2).page,
        re.S,
    )[1]
    data = json.loads(packed if packed[0] == "{" else zlib.decompress(base64.b64decode(packed)))
    region = data["training"]["region"]
    assert (region["middle"], region["reach"]) == (middle, reach)


def test_the_data_of_the_page_are_json():
    trained = model()
    player = play_training(
        trained, (X, Y), nn.mse, optim.SGD(trained.parameters(), lr=0.1), steps=2
    )
    packed = re.search(r'id="data">(.*?)</script>', player.page, re.S)[1]
    data = json.loads(packed if packed[0] == "{" else zlib.decompress(base64.b64decode(packed)))
    assert data["training"]["shapes"][0] == [4, 2]
    assert isinstance(next(iter(trained.parameters())), Tensor)
