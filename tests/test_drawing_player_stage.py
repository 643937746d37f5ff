"""The player's page at every size: the stage, zooming, keys, paper."""

import base64
import math

import numpy as np
import pytest

from autobp import Tensor, nn, play
from tests.browser import needs_browser
from tests.drawing import classifier
from tests.drawing import neuron as scalar_neuron
from tests.test_drawing_player import deep, recurrent

pytestmark = needs_browser

#: Which share of the nodes of the view that is shown lies within the stage.
VISIBLE = (
    "const s = document.getElementById('stage').getBoundingClientRect();"
    "const nodes = [...document.querySelectorAll('.view:not([hidden]) .node')];"
    "return nodes.filter((g) => { const r = g.getBoundingClientRect();"
    " return r.left >= s.left - 1 && r.right <= s.right + 1 && r.top >= s.top - 1"
    " && r.bottom <= s.bottom + 1; }).length / nodes.length"
)
WIDTH = "return document.querySelector('.view:not([hidden]) svg').getBoundingClientRect().width"


def network():
    rng = np.random.default_rng(0)
    model = nn.MLP([6, 8, 8, 3], activation="tanh", rng=0)
    return nn.cross_entropy(model(rng.normal(size=(12, 6))), np.arange(12) % 3)


PROGRAMS = {
    "neuron": scalar_neuron,
    "classifier": classifier,
    "network": network,
    "recurrent": lambda: recurrent(30),
    "deep": lambda: deep(30),
}


# ── the window ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("width", "height"), [(1366, 768), (3840, 2160)])
def test_the_stage_uses_the_window_and_the_picture_fits(page, tmp_path, name, width, height):
    page.width(width, height)
    page.open(play(PROGRAMS[name]()), tmp_path / "x.html")
    left, top, right, bottom = page.rect("#stage")
    assert right - left >= 0.9 * width
    assert 0.4 * height <= bottom - top <= 0.7 * height
    assert page(VISIBLE) == 1
    for step in (0, page.steps // 2, page.steps):
        page.go(step)
        assert page(VISIBLE) == 1


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("width", "height"), [(390, 844), (683, 384), (320, 568)])
def test_on_a_narrow_screen_nothing_is_cut_and_next_is_in_view(page, tmp_path, name, width, height):
    page.width(width, height)
    page.open(play(PROGRAMS[name]()), tmp_path / "x.html")
    for mode in ("mode-reverse", "mode-tangent"):
        page.click(mode)
        for step in (0, 2, page.steps):
            page.go(step)
            assert page("return document.documentElement.scrollWidth") <= width
            left, top, right, bottom = page.rect("#next")
            assert left >= 0
            assert right <= width
            assert top >= 0
            assert bottom <= height
            cut = page(
                "return [...document.querySelectorAll('main *')].filter((e) =>"
                " !e.closest('#stage, .scroll, #strip, #hits, option') && e.offsetParent"
                " && (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline'"
                "     && !['INPUT', 'SELECT'].includes(e.tagName) && e.clientWidth && e.parentElement.id !== 'segments'"
                "  || e.getBoundingClientRect().right > innerWidth + 1))"
                ".map((e) => e.outerHTML.slice(0, 90))"
            )
            assert cut == []
            for select in page(
                "return [...document.querySelectorAll('select')].filter((e) => e.offsetParent)"
                ".map((e) => [e.getBoundingClientRect().right,"
                " e.closest('.card, #controls, header').getBoundingClientRect().right])"
            ):
                assert select[0] <= select[1]


@pytest.mark.parametrize("name", ["neuron", "network"])
@pytest.mark.parametrize(("width", "height"), [(683, 384), (390, 844), (1366, 768)])
def test_what_happens_is_in_view_whole(page, tmp_path, name, width, height):
    page.width(width, height)  # the first is a laptop's at 200 %
    page.open(play(PROGRAMS[name]()), tmp_path / "x.html")
    for step in range(page.steps + 1):
        page.go(step)
        for part in ("sentence", "why"):
            assert page.rect(f"#{part}")[3] <= height
        assert (
            page(
                "const s = document.getElementById('says'); return s.scrollHeight - s.clientHeight"
            )
            <= 0
        )
        assert page.rect("#stage")[1] < page.rect("#controls")[1]


# ── zooming ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def wide(page, tmp_path):
    return page.open(play(network()), tmp_path / "x.html")


def test_buttons_and_keys_zoom_and_fit(wide):
    fitted = wide(WIDTH)
    wide.click("larger")
    assert wide(WIDTH) == pytest.approx(1.25 * fitted, rel=0.01)
    wide.press("+")
    assert wide(WIDTH) == pytest.approx(1.25**2 * fitted, rel=0.01)
    wide.press("-", "-", "-")
    assert wide(WIDTH) < fitted
    wide.press("0")
    assert wide(WIDTH) == pytest.approx(fitted, rel=0.01)
    wide.click("larger")
    wide.click("fit")
    assert wide(VISIBLE) == 1


def test_ctrl_and_the_wheel_zoom_where_the_pointer_is(wide):
    fitted = wide(WIDTH)
    last = wide(
        "return [...document.querySelectorAll('.view:not([hidden]) .node')].at(-1).dataset.id"
    )
    node = f".view:not([hidden]) [data-id={last}]"
    left, top, right, bottom = wide.rect(node)
    x, y = (left + right) / 2, (top + bottom) / 2
    for _ in range(4):
        wide.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100, modifiers=2)
    assert wide(WIDTH) > 1.5 * fitted
    left, top, right, bottom = wide.rect(node)
    assert left - 3 <= x <= right + 3
    assert top - 3 <= y <= bottom + 3
    size = wide(WIDTH)
    wide.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100)  # which scrolls
    assert wide(WIDTH) == size


def test_two_fingers_zoom(wide):
    fitted = wide(WIDTH)
    left, top, right, bottom = wide.rect("#stage")
    x, y = (left + right) / 2, (top + bottom) / 2
    fingers = lambda apart: [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
    send = lambda kind, points: wide.driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
    )
    send("touchStart", fingers(40))
    for apart in (50, 60, 70, 80):
        send("touchMove", fingers(apart))
    send("touchEnd", [])
    assert wide(WIDTH) == pytest.approx(2 * fitted, rel=0.05)


def test_dragging_moves_the_picture_and_chooses_nothing(wide):
    for _ in range(6):
        wide.click("larger")
    place = "const s = document.getElementById('stage'); return [s.scrollLeft, s.scrollTop]"
    wide("document.getElementById('stage').scrollTo(200, 50)")
    before = wide(place)
    left, top, right, bottom = wide.rect("#stage")
    x, y = (left + right) / 2, (top + bottom) / 2
    wide.mouse("mousePressed", x, y, button="left", clickCount=1)
    for k in range(1, 6):
        wide.mouse("mouseMoved", x - 20 * k, y - 4 * k, button="left", buttons=1)
    wide.mouse("mouseReleased", x - 100, y - 20, button="left", clickCount=1)
    after = wide(place)
    assert after[0] - before[0] == pytest.approx(100, abs=2)
    assert after[1] - before[1] == pytest.approx(20, abs=2)
    assert wide.marked("chosen") == []
    wide.hit(".view:not([hidden]) .active, .view:not([hidden]) .node")
    assert len(wide.marked("chosen")) == 1


def test_the_stage_follows_the_step(wide):
    wide.set("view", len(wide.data["views"]) and wide("return view.options.length - 1"), "change")
    for _ in range(8):
        wide.click("larger")
    for step in range(1, wide.steps + 1):
        wide.go(step)
        inner, outer = wide.rect(".view:not([hidden]) .active"), wide.rect("#stage")
        assert math.floor(inner[0]) < outer[2]
        assert inner[2] > outer[0]
        assert inner[1] < outer[3]
        assert inner[3] > outer[1]


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────

RIGHT, LEFT, UP, DOWN = "\ue014", "\ue012", "\ue00e", "\ue00f"  # of which these are the pages


def test_arrows_step_after_a_click_on_a_mode(page, tmp_path):
    page.open(play(scalar_neuron()), tmp_path / "x.html")
    page.hit("#mode-tangent")
    page.press(RIGHT)
    assert page.at == 1
    assert page.text("phase") == "forward mode"
    page.press(RIGHT, LEFT)
    assert page.at == 1
    assert page("return document.getElementById('mode-tangent').getAttribute('aria-pressed')") == (
        "true"
    )
    page.hit("#mode-reverse")
    page.press(RIGHT)
    assert page.text("phase") == "forward"


@pytest.mark.parametrize("control", ["theme", "fit", "mode-tangent", "next", "slider"])
def test_arrows_step_after_a_click_on_anything(page, tmp_path, control):
    page.open(play(scalar_neuron()), tmp_path / "x.html")
    page.hit(f"#{control}")
    page.go(2)
    page.press(RIGHT)
    assert page.at == 3
    page.press(LEFT)
    assert page.at == 2


@pytest.mark.parametrize("control", ["speed", "pass", "view"])
def test_arrows_step_after_a_choice_with_the_mouse(page, tmp_path, control):
    page.open(play(classifier()), tmp_path / "x.html")
    page.click("mode-tangent")
    page.go(2)
    page(
        "const e = document.getElementById(arguments[0]); e.focus();"
        "e.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));"
        "e.dispatchEvent(new Event('change', { bubbles: true }))",
        control,
    )
    before = page.at
    page.press(RIGHT)
    assert page.at == before + 1


def test_the_keys_of_clickers(page, tmp_path):
    page.open(play(scalar_neuron()), tmp_path / "x.html")
    page.press(DOWN, DOWN, DOWN)
    assert page.at == 3
    page.press(UP)
    assert page.at == 2
    page.hit("#mode-tangent")
    page.press(DOWN)
    assert page.at == 1


def test_the_keys_are_told(page, tmp_path):
    page.width(1366, 768)
    page.open(play(scalar_neuron()), tmp_path / "x.html")
    told = page("return document.querySelector('.keys').innerText")
    for key in ("←", "→", "Page Up", "Page Down", "Home", "End", "Space", "/", "Esc"):
        assert key in told
    assert page.rect(".keys")[3] <= 768


# ── paper ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["neuron", "network", "deep"])
def test_the_whole_picture_is_on_paper(page, tmp_path, name):
    page.width(1366, 768)
    page.emulate(prefers_color_scheme="dark")
    page.open(play(PROGRAMS[name]()), tmp_path / "x.html")
    page.go(4)
    for _ in range(7):
        page.click("larger")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.width(718, 1000)  # a sheet's, within its margins
    left, top, right, bottom = page.rect(".view:not([hidden]) svg")
    assert left >= 0
    assert right <= 718
    assert bottom - top <= 600
    for node in page(
        "return [...document.querySelectorAll('.view:not([hidden]) .node')].map((g) => {"
        " const r = g.getBoundingClientRect(); return [r.left, r.right]; })"
    ):
        assert node[0] >= 0
        assert node[1] <= 718
    assert page("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page("return document.getElementById('next').offsetParent")
    assert page("return document.getElementById('sentence').innerText")
    printed = page.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert base64.b64decode(printed["data"])[:4] == b"%PDF"
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


# ── what is told ──────────────────────────────────────────────────────────────────────────────────


def test_both_bars_have_one_scale_and_the_ratio_is_written(page, tmp_path):
    page.open(play(network()), tmp_path / "x.html")
    ratio = page.data["forwardCount"] / page.data["backwardCount"]
    assert ratio > 50
    assert page.text("ratio") == f"Reverse mode needs {round(ratio)} × less."
    wide = "return document.getElementById(arguments[0]).getBoundingClientRect().width"
    assert page(wide, "reverse-all") == pytest.approx(
        max(page(wide, "tangent-all") / ratio, 7), rel=0.05
    )


def test_the_ratio_may_be_the_other_way_round(page, tmp_path):
    x = Tensor(0.5, name="x")
    page.open(play(np.tanh(np.tanh(x))), tmp_path / "x.html")
    assert page.text("ratio") == "Both modes need the same number."


def test_a_gradient_has_one_form(page, tmp_path):
    x = Tensor(0.1, name="x")
    page.open(play(x * 0.1 + x * 0.2 + x * 0.2), tmp_path / "x.html")
    page.go(page.steps)
    page.focus("n0")
    facts = page.facts()
    assert facts["gradient so far"] == facts["gradient at the end"] == page.text("sum") == "0.5"


def test_the_panel_gives_no_answer_before_its_step(page, tmp_path):
    page.open(play(lambda a, b: np.tanh(a * b) * a + b, 1.37, -0.41), tmp_path / "x.html")
    items = page.data["items"]
    for predict in (False, True):
        if predict:
            page.click("predict")
        page.go(0)
        for n, item in enumerate(items):
            page.focus(f"n{n}")
            said = page("return document.querySelector('.right').innerText").split()
            for other in items:
                if other[1] == "result":
                    assert other[3] not in said
            if item[1] == "result":
                assert page.facts()["formula"].endswith("= ?")
            assert page.facts()["gradient at the end"] in ("?", "not yet")
