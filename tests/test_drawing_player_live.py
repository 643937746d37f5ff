"""The live page: an input changes, and everything that depends on it follows."""

import itertools
import math
import re

import numpy as np
import pytest

from autobp import Tensor, graph, nn, play, relu, value_and_grad
from autobp.drawing.diagram import diagram
from autobp.drawing.literal import number
from autobp.drawing.player.live import Live, live
from autobp.drawing.player.steps import Script
from tests.browser import needs_browser
from tests.drawing import neuron

pytestmark = needs_browser

SLIDE = """
const field = document.getElementById('exact');
field.value = arguments[0];
field.dispatchEvent(new Event('change'));
"""


def choose(page, name):
    page(
        "[...document.querySelectorAll('.view:not([hidden]) .node')].find((g) =>"
        " g.querySelector('.name').textContent.split(' ')[0] === arguments[0]).focus()",
        name,
    )


def move(page, name, value):
    choose(page, name)
    page(SLIDE, value)
    page.settle()


def reason(player):
    found = re.search(r'<p class="small">This page is not live: ([^<]*)', player.page)
    return found and found[1]


def close(text, expected):
    """Whether a text is a number in four digits."""
    assert float(text.replace("−", "-")) == pytest.approx(expected, rel=6e-4, abs=1e-12)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def moved(page, tmp_path):
    page.open(play(neuron()), tmp_path / "neuron.html")
    move(page, "w1", -2.5)
    return page


def neuron_at(**changed):
    given = {"x1": 2.0, "x2": 0.0, "w1": -3.0, "w2": 1.0, "b": 6.8813735870195432, **changed}

    def o(v):
        return np.tanh(v["x1"] * v["w1"] + v["x2"] * v["w2"] + v["b"])

    return value_and_grad(o)(given)


def test_values_and_gradients_follow(moved):
    value, gradients = neuron_at(w1=-2.5)
    assert moved.at == moved.steps  # the first change shows what follows from it
    close(moved.labels("value")["o"], value)
    for name, g in gradients.items():
        close(moved.labels("grad")[name].removeprefix("grad "), g)
    close(moved.text("found").removeprefix(" = "), value)


def test_sentences_the_panel_and_the_table_follow(moved):
    _, gradients = neuron_at(w1=-2.5)
    moved.go(moved.steps)
    assert moved.text("sentence").startswith("grad of w1: 0 + ")
    close(moved.text("sentence").rpartition("= ")[2], gradients["w1"])
    assert moved.text("why") == "local derivative ∂t5/∂w1 = x1 = 2"
    close(moved.facts()["gradient at the end"], gradients["w1"])
    (contribution,) = moved(
        "return [...document.querySelectorAll('#uses td:last-child')].map((e) => e.textContent)"
    )
    close(contribution, gradients["w1"])
    moved("document.getElementById('text').open = true")
    moved.settle()
    last = moved("return document.getElementById('rows').lastChild.cells[3].textContent")
    close(last, gradients["w1"])


def test_what_has_not_changed_keeps_its_text_and_what_has_four_digits(moved):
    assert moved.labels("value")["x1"] == "2"
    assert moved.labels("value")["w1"] == "−2.500"
    slopes = moved("return [...document.querySelectorAll('.back text')].map((e) => e.textContent)")
    assert "∂t5/∂x1 = −2.500" in slopes
    assert "∂t5/∂w1 = 2" in slopes


@pytest.mark.parametrize(("x", "says"), [(1.0, "1.000"), (np.nan, "NaN")])
def test_an_arrow_says_equal_ends_once(page, tmp_path, x, says):
    page.open(play(lambda x, y: np.sum(x * y), np.full(5, x), np.arange(5.0)), tmp_path / "x.html")
    page.go(page.steps)
    move(page, "y", 2.0)
    if x == 1:
        move(page, "x", 1 + 1e-9)  # of which four digits are those of the others
    arrows = page(
        "return [...document.querySelectorAll('.view:not([hidden]) .back text')].map((e) => e.textContent)"
    )
    assert f"∂t2/∂y = {says}" in [t.strip() for t in arrows]


def test_forward_mode_follows(moved):
    _, gradients = neuron_at(w1=-2.5)
    moved.click("mode-tangent")
    moved.set("pass", 0, "change")
    while "tangent of o" not in moved.text("sentence"):
        moved.click("next")
    close(moved.text("sentence").rpartition("= ")[2], gradients["x1"])
    move(moved, "x2", 1.0)
    close(moved.text("sentence").rpartition("= ")[2], neuron_at(w1=-2.5, x2=1.0)[1]["x1"])


def test_undo_and_reset(moved):
    before = moved.labels("value")
    move(moved, "b", 5.0)
    move(moved, "b", 6.0)
    moved.click("undo")
    assert moved.labels("value")["b"] == "5.000"
    moved.click("undo")
    assert moved.labels("value") == before
    moved.click("reset")
    assert moved.labels("value")["o"] == "0.7071"
    assert moved.labels("value")["w1"] == "−3"
    assert moved("return document.getElementById('reset').disabled")
    moved.click("undo")  # all that the reset took back
    assert moved.labels("value")["w1"] == "−2.500"


def test_the_number_in_the_graph_is_dragged(moved):
    moved("document.getElementById('stage').scrollIntoView()")
    x, y = moved(
        "const r = [...document.querySelectorAll('.node')].find((g) => g.querySelector('.name').textContent === 'b')"
        ".querySelector('.value').getBoundingClientRect(); return [(r.left + r.right) / 2, (r.top + r.bottom) / 2]"
    )
    moved.mouse("mousePressed", x, y, button="left", clickCount=1)
    for dx in (5, 20, 50):
        moved.mouse("mouseMoved", x + dx, y, button="left", buttons=1)
    moved.mouse("mouseReleased", x + 50, y, button="left", clickCount=1)
    moved.settle()
    close(moved.labels("value")["b"], 7.381)
    moved.click("undo")  # the whole drag
    assert moved.labels("value")["b"] == "6.881"


def test_a_click_on_a_number_chooses_it_and_its_slider_is_in_sight(moved):
    moved.width(1366, 625)  # of a screen of 1366 × 768 what the browser leaves
    moved("scrollTo(0, 0)")
    left, top, right, bottom = moved(
        "const r = [...document.querySelectorAll('.node')].find((g) => g.querySelector('.name').textContent === 'x2')"
        ".querySelector('.value').getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]"
    )
    for kind in ("mousePressed", "mouseReleased"):
        moved.mouse(kind, (left + right) / 2, (top + bottom) / 2, button="left", clickCount=1)
    assert moved.text("what") == moved.text("changed") == "x2"
    _, top, _, bottom = moved.rect("#amount")
    assert 0 < top < bottom < moved.rect("#controls")[1]
    assert moved("return scrollY") == 0


def test_what_is_no_number_leaves_the_number_in_the_field(moved):
    choose(moved, "b")
    for text in ("", "1/3", "1e999", "b"):
        moved(SLIDE, text)
        assert moved.text("hint") == f"“{text}” is no number."
        assert float(moved("return document.getElementById('exact').value")) == pytest.approx(
            6.88137
        )
    assert moved.labels("value")["b"] == "6.881"


def test_a_number_may_be_copied_from_the_page(moved):
    choose(moved, "b")
    moved(SLIDE, " −1.500e−05 ")
    moved.settle()
    assert moved.labels("value")["b"] == "−1.500e−05"
    moved("document.getElementById('undo').click()")
    moved.settle()


def test_a_wide_program_plays_fewer_passes_and_is_live():
    data, labels = np.random.default_rng(0).standard_normal((64, 2)), np.arange(64) % 2
    model = nn.MLP([2, 16, 16, 2], rng=0)
    assert reason(play(lambda x: nn.cross_entropy(model(x), labels), data)) is None


def test_marks_of_the_recorded_run_go_when_a_number_moves(page, tmp_path):
    with np.errstate(over="ignore"):
        player = play(lambda x, y: np.exp(x) * y, 800.0, 2.0)
    page.open(player, tmp_path / "x.html")
    page.go(page.steps)
    warned = "return document.querySelectorAll('.view .warning').length"
    assert page(warned)
    move(page, "x", 1.0)
    assert not page(warned)
    seen = "return [...document.querySelectorAll('.mark')].some((e) => getComputedStyle(e).visibility !== 'hidden')"
    assert not page(seen)


def test_a_nudge_says_why_it_differs_from_the_gradient(moved):
    choose(moved, "w1")
    moved.click("nudge")
    rows = moved(
        "return [...document.getElementById('nudge-rows').rows].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    value, gradients = neuron_at(w1=-2.5)
    for step, change, ratio, gap in rows:
        h = float(step)
        expected = neuron_at(w1=-2.5 + h)[0] - value
        close(change, expected)
        close(ratio, expected / h)
        close(gap, expected / h - gradients["w1"])
    assert "The loss bends" in moved.text("nudge-why")
    close(moved.labels("value")["o"], value)


def test_a_nudge_of_a_number_whose_gradient_does_not_depend_on_any(page, tmp_path):
    page.open(play(lambda w, x, b: w * x + b, 2.0, 3.0, 1.0), tmp_path / "x.html")
    choose(page, "b")
    page.click("nudge")
    assert page.text("nudge-why").startswith("The gradient is 1.000. The loss is a straight line")
    gaps = page(
        "return [...document.getElementById('nudge-rows').rows].map((r) => r.cells[3].textContent)"
    )
    assert all(abs(float(gap.replace("−", "-"))) < 1e-9 for gap in gaps)


def test_a_nudge_where_the_gradient_is_infinite(page, tmp_path):
    with np.errstate(divide="ignore"):
        page.open(play(np.sqrt, 0.0), tmp_path / "x.html")
    page.go(page.steps)
    page.focus("n0")
    page.click("nudge")
    assert page.text("nudge-why").startswith("The gradient is inf: the loss has no slope here")


def test_what_is_written_on_arrows_has_room_for_more_digits(page, tmp_path):
    page.open(play(lambda x: np.sum(np.log(x)), np.array([1.0, 2.0, 4.0])), tmp_path / "x.html")
    page.go(page.steps)
    move(page, "x", 1.5)
    arrows = page(
        "return [...document.querySelectorAll('.view:not([hidden]) .back')].filter((e) => e.querySelector('text'))"
        ".map((e) => [e.querySelector('text').getBBox().width, e.querySelector('path').getBBox().width])"
    )
    assert len(arrows) == 2
    assert all(text < path + 1 for text, path in arrows)


@pytest.mark.parametrize(
    ("function", "x", "why"),
    [
        (np.log, 1e-3, "The loss bends"),
        (lambda x: np.sin(1000 * x), 0.3, "The loss bends"),
        (lambda x: np.maximum(x, 0.0) * 2, 0.0005, "The loss bends"),
        (lambda x: np.floor(x) * x, 1.0, "there is a kink or a jump nearby"),
        (lambda x: x * 3 + 1e4, 0.01, "The loss is a straight line"),
        (lambda x: np.sum(x**2), np.full(2, np.nan), "The loss or its gradient is NaN here"),
    ],
)
def test_a_nudge_tries_steps_of_the_size_of_the_number_both_ways(page, tmp_path, function, x, why):
    page.open(play(function, x), tmp_path / "x.html")
    page.focus("n0")
    page.click("nudge")
    assert why in page.text("nudge-why")


def test_the_steps_of_a_small_number_are_small(page, tmp_path):
    page.open(play(lambda lr, x: x - lr * 2 * x, 0.001, 3.0), tmp_path / "x.html")
    choose(page, "lr")
    slider = (
        "const r = document.getElementById('amount'); return [r.min, r.max, r.step].map(Number)"
    )
    assert page(slider) == pytest.approx([-0.001, 0.003, 5e-6])
    page("document.getElementById('stage').scrollIntoView()")
    x, y = page(
        "const r = document.querySelector('[data-id=n0] .value').getBoundingClientRect();"
        "return [(r.left + r.right) / 2, (r.top + r.bottom) / 2]"
    )
    page.mouse("mousePressed", x, y, button="left", clickCount=1)
    page.mouse("mouseMoved", x + 20, y, button="left", buttons=1)
    page.mouse("mouseReleased", x + 20, y, button="left", clickCount=1)
    page.settle()
    close(page.labels("value")["lr"], 0.0012)


def test_undo_in_the_field_is_its_own_while_somebody_types(moved):
    choose(moved, "b")
    field = "return document.getElementById('exact').value"
    moved("const e = document.getElementById('exact'); e.focus(); e.select()")
    moved.press("1.5", "\ue007")
    moved.settle()
    assert moved.labels("value")["b"] == "1.500"
    moved.press("7")
    undo = (
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
        " { key: 'z', ctrlKey: true, bubbles: true }))"
    )
    moved(undo)
    moved.settle()
    assert moved.labels("value")["b"] == "1.500"
    moved("document.getElementById('exact').value = '1.5'")  # as the browser takes it back
    moved(undo)
    moved.settle()
    assert moved.labels("value")["b"] == "6.881"
    assert moved(field) == "6.88137358702"


def test_an_input_of_no_elements_is_none_to_be_changed(page, tmp_path):
    page.open(play(lambda x, b: np.sum(x * 2) + b, np.ones(0), 1.0), tmp_path / "x.html")
    page.go(page.steps)
    choose(page, "x")
    assert page("return document.getElementById('change').hidden")
    move(page, "b", 3.0)
    assert page.text("found") == " = 3.000"


def test_predict_hides_what_moves(moved):
    moved.click("predict")
    moved.go(3)
    assert moved.text("sentence").endswith("= ?")
    move(moved, "w1", -2.0)
    assert moved.text("sentence").endswith("= ?")
    assert moved("return document.getElementById('found').hidden")


# ── arrays ────────────────────────────────────────────────────────────────────────────────────────

W = np.random.default_rng(0).standard_normal((6, 4))
X = np.random.default_rng(1).standard_normal((3, 6))


def layer(W, X):
    return np.sum(relu(X @ W) ** 2)


def test_a_cell_of_a_heat_map_is_clicked_and_changed(page, tmp_path):
    page.open(play(layer, W, X), tmp_path / "x.html")
    choose(page, "W")
    page("scrollTo(0, 0)")
    small = page.rect("image")
    for kind in ("mousePressed", "mouseReleased"):  # the map in the graph, too
        at = small[0] + 0.6 * (small[2] - small[0]), small[1] + 0.25 * (small[3] - small[1])
        page.mouse(kind, *at, button="left", clickCount=1)
    assert page.text("changed") == "W[1, 2]"
    page("document.querySelector('dd.map canvas').scrollIntoView({ block: 'center' })")
    left, top, right, bottom = page.rect("dd.map canvas")
    x, y = left + 1.5 * (right - left) / 4, top + 2.5 * (bottom - top) / 6
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, x, y, button="left", clickCount=1)
    assert page.text("changed") == "W[2, 1]"
    page(SLIDE, 2.5)
    page.settle()
    changed = W.copy()
    changed[2, 1] = 2.5
    value, gradient = value_and_grad(layer)(changed, X)
    close(page.text("found").removeprefix(" = "), value)
    low, high = page.facts()["gradient at the end"].split(" … ")
    close(low, gradient.min())
    close(high, gradient.max())


def point(page, selector, u, v):
    """Of something in the page a point, both parts of which are between 0 and 1."""
    left, top, right, bottom = page.rect(selector)
    return left + u * (right - left), top + v * (bottom - top)


def click(page, selector, u, v):
    page("document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", selector)
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, *point(page, selector, u, v), button="left", clickCount=1)


@pytest.mark.parametrize("shape", [(5,), (300,), (12, 1), (3, 4, 5)])
def test_a_click_on_the_frame_of_a_map_is_one_on_the_cell_beside_it(page, tmp_path, shape):
    x = np.linspace(-1, 1, math.prod(shape)).reshape(shape)
    page.open(play(lambda x: np.sum(np.tanh(x)), x), tmp_path / "x.html")
    page.focus("n0")
    for u, v in itertools.product((0.01, 0.99), (0.01, 0.99)):
        page("document.querySelector('dd.map canvas').style.borderWidth = '6px'")  # to be hit
        click(page, "dd.map canvas", u, v)
        place = re.fullmatch(r"x\[([\d, ]+)\]", page.text("changed"))
        assert place is not None, page.text("changed")
        inside = zip(map(int, place[1].split(",")), shape, strict=True)
        assert all(k < n for k, n in inside)


@pytest.mark.parametrize("last", [False, True])
def test_a_pixel_of_a_colour_image_is_clicked_and_changed(page, tmp_path, last):
    """Its largest colour is chosen; afterwards it is still an image."""
    images = np.random.default_rng(0).random((2, 8, 9, 3))
    if not last:
        images = images.transpose(0, 3, 1, 2).copy()
    pixels = images if last else images.transpose(0, 2, 3, 1)

    def loss(x):
        return np.sum(np.sin(3 * x) ** 2)

    page.open(play(loss, images), tmp_path / "x.html")
    page.focus("n0")
    changed = images.copy()
    for k, (r, c) in ((0, (2, 3)), (1, (7, 8))):
        down, across = page(
            "const c = document.querySelector('dd.map canvas');"
            "return [c.height > 1.5 * c.width, c.width > 1.5 * c.height]"
        )
        rows, columns = (17, 9) if down else (8, 19)
        assert down != across
        v, u = ((k * 9 * down + r) + 0.5) / rows, ((k * 10 * across + c) + 0.5) / columns
        click(page, "dd.map canvas", u, v)
        p = int(np.argmax(pixels[k, r, c]))
        place = (k, r, c, p) if last else (k, p, r, c)
        assert page.text("changed") == f"x[{', '.join(map(str, place))}]"
        changed[place] = 0.125
        page(SLIDE, 0.125)
        page.settle()
        close(page.text("found").removeprefix(" = "), loss(changed))
        page.mouse("mouseMoved", 2, 2)
        colours = [*(changed[k, r, c] if last else changed[k, :, r, c])]
        page.mouse("mouseMoved", *point(page, "dd.map canvas", u, v))
        told = page.text("tip").split("  ")[1].split(", ")
        assert [float(x) for x in told] == pytest.approx(colours, rel=6e-4)


def test_a_click_on_a_block_chooses_its_largest_number(page, tmp_path):
    A = np.random.default_rng(0).standard_normal((40, 50))
    page.open(play(lambda A: np.sum(np.tanh(A)), A), tmp_path / "x.html")
    page.focus("n0")
    page("document.querySelector('dd.map canvas').scrollIntoView({ block: 'center' })")
    tall, wide = page.data["maps"][0][5:7]
    assert tall * wide > 1
    rows, columns = page.data["maps"][0][3:5]
    left, top, right, bottom = page.rect("dd.map canvas")
    at = left + 2.5 * (right - left) / columns, top + 3.5 * (bottom - top) / rows
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, *at, button="left", clickCount=1)
    block = np.abs(A[3 * tall : 4 * tall, 2 * wide : 3 * wide])
    y, x = np.unravel_index(np.argmax(block), block.shape)
    assert page.text("changed") == f"A[{3 * tall + y}, {2 * wide + x}]"


def test_every_row_of_a_long_array_can_be_chosen(page, tmp_path):
    A = np.random.default_rng(0).standard_normal((700, 3))
    page.open(play(lambda A: np.sum(np.tanh(A)), A), tmp_path / "x.html")
    page.focus("n0")
    page.set("row", page("return document.getElementById('row').options[699].value"), "change")
    assert page.text("changed") == "A[699, 0]"


def test_a_row_of_data_is_chosen(page, tmp_path):
    page.open(play(lambda W: layer(W, X), W), tmp_path / "x.html")
    choose(page, "array0")
    page.set("row", page("return document.getElementById('row').options[2].value"), "change")
    assert page.text("changed") == "array0[2, 0]"
    numbers = page(
        "return [...document.querySelectorAll('#cells button')].map((b) => b.textContent)"
    )
    assert numbers == [number(x) for x in X[2]]
    page("document.querySelectorAll('#cells button')[3].click()")
    page(SLIDE, -1.25)
    page.settle()
    changed = X.copy()
    changed[2, 3] = -1.25
    close(page.text("found").removeprefix(" = "), layer(W, changed))


# ── what is computed ──────────────────────────────────────────────────────────────────────────────


def network():
    model = nn.Sequential(nn.Linear(2, 4, rng=0), nn.tanh, nn.Linear(4, 3, rng=1))
    data = np.random.default_rng(2).standard_normal((5, 2))
    return lambda x: nn.cross_entropy(model(x), np.array([0, 1, 2, 1, 0])), data


def test_the_steps_are_those_of_the_static_page():
    function, data = network()
    script = Script(diagram(graph(function(Tensor(data, name="x")))))
    found = live(script)
    assert isinstance(found, Live)
    pairs = zip(script.forward + script.backward, found.script.forward + found.script.backward)
    for step, opened in pairs:
        assert step.item == opened.item
        assert step.arrows == opened.arrows
        assert step.count == opened.count


def test_a_page_computes_what_it_says_it_computes(page, tmp_path):
    """After a change and back again, every text is what Python wrote."""
    function, data = network()
    page.open(play(function, data), tmp_path / "x.html")
    page("document.getElementById('text').open = true")
    page.go(page.steps)
    page.settle()
    rows = "return [...document.getElementById('rows').rows].map((r) => r.cells[3].textContent)"
    before, labels = page(rows), page.labels("value")
    choose(page, "x")
    page(SLIDE, 3.0)
    page.settle()
    assert page(rows) != before
    page.click("reset")
    page("document.activeElement.blur()")
    assert page(rows) == before
    assert page.labels("value") == labels


def test_the_neurons_page_is_small_and_safe():
    text = play(neuron()).page
    assert len(text.encode()) < 150_000
    assert "eval(" not in text
    assert "unsafe" not in text


# ── what is not live says why ─────────────────────────────────────────────────────────────────────


def test_a_function_that_asks_for_values_is_not_live():
    def function(a, b):
        return a * b if a > 0 else b

    player = play(function, 2.0, -0.3)
    assert "its truth was asked for, as by if" in reason(player)
    assert "test_drawing_player_live.py:" in reason(player)
    assert reason(play(lambda a, b: np.where(a > 0, a * b, b), 2.0, -0.3)) is None


def test_what_cannot_be_printed_is_named():
    A = Tensor(np.eye(2) + 1.0, name="A")
    assert "np.linalg.pinv" in reason(play(np.sum(np.linalg.pinv(A))))
    x = Tensor(np.float32(2.0), name="x")
    assert "float32: JavaScript computes in float64" in reason(play(x * x))


def test_a_page_that_is_not_live_plays_as_before(page, tmp_path):
    A = Tensor(np.eye(2) + 1.0, name="A")
    page.open(play(np.sum(np.linalg.pinv(A))), tmp_path / "x.html")
    page.go(page.steps)
    assert page("return getComputedStyle(document.getElementById('tune')).display") == "none"
    choose(page, "A")
    assert page("return document.getElementById('change').hidden")
