"""Finding and judging in the player: search, the list of layers, the strip of gradient health."""

import numpy as np
import pytest

from autobp import Tensor, graph, play, relu, scope
from tests.browser import needs_browser
from tests.drawing import neuron as scalar_neuron
from tests.test_drawing_player import deep, lived_in, recurrent

pytestmark = needs_browser

ENTER, DOWN, ESCAPE, RIGHT = "\ue007", "\ue015", "\ue00c", "\ue014"
OPTIONS = "return [...document.querySelectorAll('#hits [role=option]')].map((e) => e.firstChild.textContent)"
WHERE = "return document.querySelector('#trail b')?.textContent"
CHOSEN = "return document.querySelector('.view:not([hidden]) .chosen .name')?.textContent"


@pytest.fixture(scope="module")
def tall():
    return play(deep(200))


@pytest.fixture
def layers(page, tall, tmp_path):
    page.width(1366, 768)
    return page.open(tall, tmp_path / "x.html")


# ── find ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_of_200_layers_is_small(tall):
    assert len(tall.page.encode()) < 1_000_000


def test_any_layer_opens_in_two_actions(layers):
    for k in (150, 0, 199):
        layers.hit("#find")
        names = layers(OPTIONS)
        assert [name for name in names if name.startswith("layer")] == [
            f"layer{i}" for i in range(200)
        ]
        layers.hit(f"#hit{names.index(f'layer{k}')}")
        assert layers(WHERE) == f"layer{k}"
        names = layers("return Object.values(arguments[0])", layers.labels("name"))
        assert {"W (8, 8)", "b (8,)"} < set(names)


def test_a_layer_shows_its_own_numbers(layers):
    loss = deep(200)
    loss.backward()
    weights = [x for x in graph(loss).inputs if x.name == "W"]
    layers.go(layers.steps)
    for k in (150, 7):
        layers.find(f"layer{k}")
        largest = np.max(np.abs(weights[k].grad))
        assert layers.labels("grad")["W"].split("|")[-1] == f"grad ±{largest:.4g}".replace("-", "−")


def test_the_slash_searches_by_name_and_by_operation(layers):
    layers.press("/")
    assert layers("return document.activeElement.id") == "find"
    layers.press("layer150 tanh")
    assert layers(OPTIONS) == ["t754"]
    layers.press(ENTER)
    assert layers(WHERE) == "layer150"
    assert layers(CHOSEN).startswith("t754")
    before = layers.at
    layers.press("\ue012")  # the keys are the page's again
    assert layers.at == before - 1
    layers.press("/", "nothing of that name")
    assert layers(OPTIONS) == ["Nothing has this name"]
    layers.press(ESCAPE)
    assert layers("return document.getElementById('hits').hidden")
    layers.press("/", "layer15", DOWN, DOWN, ENTER)
    assert layers(WHERE) == "layer151"


def test_a_shared_picture_is_that_of_the_layer_it_shows(page, tmp_path):
    y = Tensor(0.5, name="start")
    for k in range(12):
        with scope(f"layer{k}"):
            y = np.tanh(y * Tensor(1.0 + k, name=f"w{k}") + 0.1 * k)
    page.open(play(y), tmp_path / "x.html")
    views = [view for view in page.data["views"] if view["path"].startswith("layer")]
    assert len({view["picture"] for view in views}) < 5
    page.go(page.steps)
    outputs = "return document.querySelectorAll('.view:not([hidden]) .output').length"
    edges = (
        "return [...document.querySelectorAll('.view:not([hidden]) .edge text')]"
        ".map((t) => t.textContent.trim())"
    )
    for k in (5, 11, 7):
        page.find(f"layer{k}")
        assert page(outputs) == (k == 11)
        assert f"w{k}" in page.labels("name")
        assert page.labels("value")[f"w{k}"] == str(k + 1)
        assert f"+ {0.1 * k:.4g}" in page(edges)
        title = "return document.querySelector('.view:not([hidden]) .cluster text').textContent"
        assert page(title) == f"layer{k}"


def test_every_variable_can_be_found(page, tmp_path):
    page.open(play(lived_in(900)), tmp_path / "x.html")
    for name in ("t3", "t450", "t900"):
        page.find(name)
        assert page(CHOSEN) == name


def test_a_step_of_a_recurrence_opens(page, tmp_path):
    page.width(1366, 768)
    page.open(play(recurrent(30)), tmp_path / "x.html")
    page.find("step 12")
    assert page(WHERE) == "step 12"
    assert {"Wx", "Wh", "b"} < set(page.labels("name"))
    page("document.querySelector('#trail button').click()")
    (roll,) = page(
        "return [...document.querySelectorAll('.view:not([hidden]) .folded')].map((g) => g.dataset.id)"
    )
    page.focus(roll)
    page.press(ENTER)
    assert page("return document.activeElement.options.length") == 31
    page(
        "const e = document.querySelector('#doors select'); e.selectedIndex = 20;"
        "e.dispatchEvent(new Event('change'))"
    )
    assert page(WHERE) == "step 20"


# ── the strip ─────────────────────────────────────────────────────────────────────────────────────

ROWS = (
    "document.getElementById('layers').open = true;"
    "return [...document.querySelectorAll('#layer-rows tr')]"
    ".map((r) => [...r.cells].map((c) => c.textContent))"
)
SPOTS = (
    "return [...document.querySelectorAll('#strip .hit')].map((e) => e.getAttribute('aria-label'))"
)


def rms(x):
    return f"{np.sqrt(np.mean(np.square(x))):.4g}".replace("-", "−")


def test_the_strip_has_numpys_numbers(layers):
    rows = layers(ROWS)
    loss = deep(200)
    loss.backward()
    outputs = [t for t in graph(loss).nodes if t.primitive and t.primitive.name == "tanh"]
    gradients = gradients_of(outputs)
    assert [row[0] for row in rows] == [*(f"layer{i}" for i in range(200)), "loss"]
    for row, out, g in zip(rows, outputs, gradients):
        assert row[1:3] == [rms(out.data), rms(g)]
    assert layers(SPOTS)[150].startswith(
        f"layer150: gradient {rms(gradients[150])}, value {rms(outputs[150].data)}"
    )


def gradients_of(outputs):
    """The gradients after each layer of `deep`, by the chain rule alone."""
    g = 2 * (outputs[-1].data - 1.0) / outputs[-1].size
    found = [g]
    for out in reversed(outputs[1:]):
        weight = out.args[0].args[0].args[1].data
        g = (g * (1 - out.data**2)) @ weight.T
        found.append(g)
    return found[::-1]


def test_the_strip_goes_there(layers):
    layers("document.querySelectorAll('#strip .hit')[77].dispatchEvent(new Event('click'))")
    assert layers(WHERE) == "layer77"
    assert layers("return document.querySelectorAll('#strip .here').length") == 1
    layers("document.querySelectorAll('#strip .hit')[77].focus()")
    layers.press(RIGHT, RIGHT, ENTER)
    assert layers(WHERE) == "layer79"
    assert layers("return document.querySelectorAll('#strip [tabindex=\"0\"]').length") == 1


def ill():
    """Layers of which one is dead, one explodes, and one has a NaN at last."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(6, 5))
    for k, (size, bias) in enumerate([(1, 0), (1e-7, 0), (1, -50), (1, 0), (1e9, 0), (1, 0)]):
        with scope(f"layer{k}"):
            W = Tensor(rng.normal(size=(5, 5)) * size, name="W")
            h = relu(h @ W + np.r_[bias, 0, 0, 0, 0])
    with scope("loss"):
        return np.mean(h**2)


def test_marks_are_signs_and_words(page, tmp_path):
    page.open(play(ill()), tmp_path / "x.html")
    said = page.text("ill")
    signs = page(
        "return [...document.querySelectorAll('#strip .sign')].map((e) => e.textContent).join('')"
    )
    for sign, kind in [("▼", "vanishing"), ("▲", "exploding"), ("✕", "dead")]:
        assert (f"{sign} {kind}: " in said) == (sign in signs)
    assert "▲" in signs
    assert "✕ dead: " in said
    name = page(
        "const e = [...document.querySelectorAll('#ill button')].at(-1); e.click();"
        "return e.textContent"
    )
    assert page(WHERE) == name
    x = Tensor(np.array([[1.0, -1.0], [2.0, 3.0]]), name="x")
    with np.errstate(invalid="ignore"):
        for k in range(3):
            with scope(f"part{k}"):
                x = np.sqrt(x) - k
        page.open(play(np.sum(x)), tmp_path / "y.html")
    assert "! NaN: 4, first part0" in page.text("ill")


def test_what_is_small_has_no_strip(page, tmp_path):
    page.open(play(scalar_neuron()), tmp_path / "x.html")
    assert page("return document.getElementById('health').hidden")


def test_the_strip_tells_nothing_to_whoever_predicts(layers):
    layers.go(3)
    layers.click("predict")
    assert layers("return document.getElementById('health').hidden")
