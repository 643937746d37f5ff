"""The player in a real browser, headless: what it does, asks for, and shows."""

import functools
import http.server
import io
import threading

import matplotlib.image
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autobp import Tensor, graph, play, relu, scope
from autobp.drawing import layout
from autobp.drawing.dot import _lines
from autobp.drawing.formula import brief
from autobp.drawing.player.cells import pictured
from tests import player_picture
from tests.browser import needs_browser
from tests.drawing import classifier
from tests.drawing import neuron as scalar_neuron
from tests.test_drawing_player import example, samples

pytestmark = needs_browser


def neuron(a, b):
    s = a * b
    return s * a + np.tanh(s)


@pytest.fixture
def small(page, tmp_path):
    return page.open(play(neuron, 1.5, -0.4), tmp_path / "x.html")


def text_of(value):
    """As a page tells an array: its numbers, or of many their range, with a map."""
    return brief(value).partition(" ")[2] if pictured(value) else "\n".join(_lines(value))


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────


def test_forward_the_seed_and_backward(small):
    assert small.text("phase") == "start"
    assert small.labels("value") == {
        "a": "1.5",
        "b": "−0.4",
        "t2": "",
        "t3": "",
        "t4": "",
        "t5": "",
    }
    assert small.labels("grad")["a"] == "grad —"
    small.go(1)
    assert (small.text("phase"), small.text("sentence")) == ("forward", "t2 = 1.5 × (−0.4) = −0.6")
    assert small.labels("value")["t2"] == "−0.6"
    assert small.labels("value")["t3"] == ""
    assert small.marked("active") == ["n2"]
    assert small.marked("lit") == ["e0", "e1"]
    small.go(5)
    assert (small.text("phase"), small.text("sentence")) == ("seed", "grad of t5 = 1")
    small.go(6)
    assert small.text("phase") == "backward"
    assert small.text("sentence") == "grad of t3: 0 + 1 × 1 = 1"
    assert small.marked("lit") == ["b5"]
    assert small.labels("grad")["t3"] == "grad 1"
    assert small.labels("grad")["a"] == "grad —"
    small.go(3)
    assert small.labels("grad")["t3"] == "grad —"


def test_the_last_step_shows_the_engines_gradients(page, tmp_path):
    loss = classifier()
    page.open(play(loss), tmp_path / "x.html").go(1_000)
    assert page.text("phase") == "backward"
    loss.backward()
    found = {item[0]: item[6] for item in page.data["items"]}
    inputs = {t.name: text_of(t.grad) for t in graph(loss).inputs}
    assert {name: found[name] for name in inputs} == inputs
    assert "—" not in "".join(page.labels("grad").values())


def test_every_step_of_every_gradient(page, tmp_path):
    a, b = Tensor(1.5, name="a"), Tensor(-0.4, name="b")
    loss = neuron(a, b)
    page.open(play(loss), tmp_path / "x.html").go(page.steps)
    loss.backward()
    shown = page.labels("grad")
    assert shown["a"] == f"grad {brief(a.grad)}"
    assert shown["b"] == f"grad {brief(b.grad)}"


def test_keys(small):
    from selenium.webdriver.common.keys import Keys

    last = small.steps
    small.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert small.at == 2
    small.press(Keys.ARROW_LEFT)
    assert small.at == 1
    small.press(Keys.END)
    assert small.at == last
    small.press(Keys.ARROW_RIGHT)
    assert small.at == last
    small.press(Keys.HOME)
    assert small.at == 0
    small("document.getElementById('slider').focus()")
    small.press(Keys.ARROW_RIGHT)
    assert small.at == 1
    small.set("speed", 16, "change")
    small.press(Keys.SPACE)
    assert small.text("play") == "Pause"
    small.press(Keys.SPACE)
    assert small.text("play") == "Play"
    assert small.complaints() == []


def test_buttons(small):
    for button, at in [
        ("next", 1),
        ("next", 2),
        ("previous", 1),
        ("last", small.steps),
        ("first", 0),
    ]:
        small.click(button)
        assert small.at == at
    assert small("return document.getElementById('previous').disabled")
    small.click("last")
    assert small("return document.getElementById('next').disabled")


def test_playing_goes_to_the_end_and_stops(small):
    from selenium.webdriver.support.ui import WebDriverWait

    small.set("speed", 16, "change")
    small.click("play")
    WebDriverWait(small.driver, 60).until(lambda _: small.at == small.steps)
    WebDriverWait(small.driver, 60).until(lambda _: small.text("play") == "Play")


# ── the panel ─────────────────────────────────────────────────────────────────────────────────────


def test_a_node_in_focus_is_told_of(small):
    small.go(7)
    small.focus("n2")
    facts = small.facts()
    assert small.text("what") == "t2"
    assert facts["formula"] == "t2 = a × b = 1.5 × (−0.4) = −0.6"
    assert facts["value"].startswith("−0.6")
    assert facts["gradient so far"] == "not yet"
    assert facts["gradient at the end"] == "not yet"
    small.go(small.steps)
    facts = small.facts()
    assert facts["gradient so far"] == facts["gradient at the end"]
    slope = 1.5 + 1 - np.tanh(-0.6) ** 2
    assert facts["gradient at the end"] == f"{slope:.4g}"
    assert facts["your code"].endswith("s = a * b")
    small.click("follow")
    assert small.text("what") != "t2"


def test_the_uses_of_a_node_add_up_to_its_gradient(small):
    small.go(small.steps)
    for n in range(6):
        small.focus(f"n{n}")
        rows = small(
            "return [...document.querySelectorAll('#uses tr')].map((r) => [...r.cells].map((c) => c.textContent))"
        )
        number = lambda text: float(text.strip("()").replace("−", "-"))
        for _, product, term in rows:
            up, local = product.split(" × ")
            assert number(up) * number(local) == pytest.approx(number(term), rel=2e-3)
        if rows:
            total = sum(number(term) for *_, term in rows)
            assert total == pytest.approx(number(small.text("sum")), rel=2e-3)
            assert small.text("sum") == small.labels("grad")[small.text("what")].removeprefix(
                "grad "
            )


def test_up_and_down_go_from_node_to_node(small):
    from selenium.webdriver.common.keys import Keys

    small.focus("n0")
    small.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert small.text("what") == "t2"
    small.press(Keys.ARROW_UP)
    assert small.text("what") == "b"
    small.press(Keys.ARROW_RIGHT)
    assert small.at == 1
    small.press(Keys.ESCAPE)
    assert small.marked("chosen") == []
    tabs = "return document.querySelectorAll('.view:not([hidden]) [tabindex=\"0\"]').length"
    assert small(tabs) == 1


# ── forward mode, predicting ──────────────────────────────────────────────────────────────────────


def test_forward_mode_beside_reverse_mode(small):
    small.go(small.steps)
    small.click("mode-tangent")
    assert small(
        "return [...document.querySelectorAll('#pass option')].map((o) => o.textContent)"
    ) == ["a", "b"]
    small.go(1)
    assert small.text("sentence") == "tangent of a = 1"
    assert small.labels("grad")["b"] == "tangent 0"
    assert small.labels("grad")["t2"] == "tangent —"
    small.go(2)
    assert small.text("sentence") == "tangent of t2: (−0.4) × 1 = −0.4"
    assert small.labels("grad")["t2"] == "tangent −0.4"
    small.focus("n2")
    assert small.facts()["tangent"] == "−0.4"
    small.focus("n1")
    assert small.facts()["tangent"] == "0"
    small.focus("n5")
    assert small.facts()["tangent"] == "not yet"
    small.go(5)
    slope = small.labels("grad")["t5"].removeprefix("tangent ")
    assert slope == small.data["items"][0][6]
    small.set("pass", 1, "change")
    assert small.text("sentence") == "tangent of b = 1"
    assert small.labels("grad")["a"] == "tangent 0"
    small.go(small.steps)
    assert small.text("reverse-count") == "5 of 5 multiplications"
    assert small.text("reverse-passes") == "1 of 1 sweep done"
    assert small.text("tangent-count") == "7 of 7 multiplications"
    assert small.text("tangent-passes") == "2 of 2 passes done"
    wide = "return document.getElementById(arguments[0]).getBoundingClientRect().width"
    assert small(wide, "tangent-all") / small(wide, "reverse-all") == pytest.approx(7 / 5, rel=0.02)


def test_a_number_is_hidden_until_asked_for(small):
    small.click("predict")
    seen = "return document.querySelector('main').innerText"
    loss = small.data["items"][5][3]
    assert loss not in small(seen)
    small.focus("n5")
    assert small.facts()["formula"] == "t5 = t3 + t4 = ?"
    assert not {item[3] for item in small.data["items"][2:]} & set(small(seen).split())
    small.click("follow")
    small.press("\ue014")
    assert small.text("sentence") == "t2 = 1.5 × (−0.4) = ?"
    assert small.labels("value")["t2"] == "?"
    assert small.facts()["value"] == "?"
    assert small.facts()["formula"] == "t2 = a × b = 1.5 × (−0.4) = ?"
    assert "−0.6" not in small(seen)
    small.click("reveal")
    assert small.at == 1
    assert small.text("sentence") == "t2 = 1.5 × (−0.4) = −0.6"
    assert small.labels("value")["t2"] == "−0.6"
    small.go(8)
    small("document.getElementById('text').open = true")
    hidden = small.data["items"][0][6]
    assert hidden not in small(seen)
    rows = "return [...document.querySelectorAll('#rows tr')].map((r) => r.cells[2].textContent)"
    small("document.getElementById('text').dispatchEvent(new Event('toggle'))")
    assert small(rows)[7:9] == ["grad of t2: 0 + 1 × 0.7116", "t2"]
    assert set(small(rows)[8:]) == {"t2", "a", "b"}
    small.press("\ue014")
    assert small.at == 8
    small.go(small.steps)
    small.click("next")
    assert hidden in small(seen)
    assert loss in small(seen)


# ── views ─────────────────────────────────────────────────────────────────────────────────────────


def test_modules_open_and_close(page, tmp_path):
    page.width(1280)
    page.open(play(classifier()), tmp_path / "x.html")
    names = page("return [...document.querySelectorAll('#view option')].map((o) => o.textContent)")
    assert names == ["all closed", "all open"]
    page.set("view", 0, "change")
    folded = page("return document.querySelectorAll('.view:not([hidden]) .folded').length")
    assert folded == 3
    page.go(2)
    (box,) = page.marked("active")
    assert box[0] == "c"
    page.focus(box)
    assert page.text("what") == "layer1"
    page("document.querySelector('#doors button').click()")
    assert page("return document.querySelector('#trail b').textContent") == "layer1"
    (node,) = page.marked("active")
    assert node[0] == "n"
    page("document.querySelector('#trail button').click()")
    assert page("return document.querySelectorAll('.view:not([hidden]) .folded').length") == 3
    page.double_click(box)
    assert page("return document.querySelector('#trail b').textContent") == "layer1"
    assert set(page.labels("name")) == {"W1", "b1", "array0", "t2", "t3", "t4", "t7"}


def test_each_step_lights_something_or_says_where_it_is(page, tmp_path):
    page.open(play(classifier()), tmp_path / "x.html")
    for view, form in enumerate(page.data["views"]):
        if view:
            page("document.getElementById('find').focus()")
        if form["up"] is None:
            page.set("view", view, "change")
        else:
            page.find(form["path"])
        for step in range(1, page.steps + 1, 3):
            page.go(step)
            lit = page.marked("active")
            says = page("return !document.getElementById('elsewhere').hidden")
            assert len(lit) == 1 if form["up"] is None else len(lit) <= 1
            assert says == (not lit and step < page.steps)
    page.go(1)
    page("document.getElementById('there').click()")
    assert len(page.marked("active")) == 1


def test_a_large_program_opens_folded(page, tmp_path):
    loss, _ = samples(60)
    page.open(play(loss), tmp_path / "x.html")
    assert page("return document.querySelectorAll('.view:not([hidden]) .node').length") <= 40
    page.go(page.steps)
    assert page.text("reverse-passes") == "1 of 1 sweep done"


def test_themes(small):
    paper = "return getComputedStyle(document.body).backgroundColor"
    small.emulate(prefers_color_scheme="light")
    assert small(paper) == "rgb(255, 255, 255)"
    small.emulate(prefers_color_scheme="dark")
    assert small(paper) == "rgb(21, 24, 29)"
    small.click("theme")
    assert small(paper) == "rgb(255, 255, 255)"
    small.click("theme")
    assert small(paper) == "rgb(21, 24, 29)"
    small.emulate(prefers_color_scheme="light")


def test_nothing_moves_where_motion_is_reduced(small):
    running = "return document.getAnimations().length"
    small.emulate(prefers_reduced_motion="no-preference")
    small.go(1)
    assert small(running) > 0
    small.emulate(prefers_reduced_motion="reduce")
    assert small(running) == 0
    small.emulate()


@pytest.mark.parametrize("width", [390, 1280, 1700])
def test_text_is_legible_and_nothing_is_cut(small, width):
    small.width(width)
    small.go(8)
    assert small("return document.documentElement.scrollWidth") <= width
    heights = small(
        "return [...document.querySelectorAll('.view:not([hidden]) text')].map((t) =>"
        " parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)"
    )
    assert min(heights) >= 11
    sizes = small(
        "return [...document.querySelectorAll('main *')].filter((e) => !e.closest('svg') &&"
        " e.firstChild?.nodeType === 3 && e.offsetParent)"
        ".map((e) => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11
    spilt = small(
        "return [...document.querySelectorAll('.view:not([hidden]) .node')].flatMap((g) => {"
        " const box = g.querySelector('path, polygon').getBoundingClientRect();"
        " return [...g.querySelectorAll('text')].filter((t) => { const r = t.getBoundingClientRect();"
        " return r.width && (r.left < box.left - 1 || r.right > box.right + 1); })"
        ".map((t) => t.textContent); })"
    )
    assert spilt == []


def dead():
    X, b = np.arange(18.0).reshape(6, 3), Tensor([-500.0, 0.0, 0.0, -500.0], name="b")
    h = relu(X @ Tensor(np.ones((3, 4)), name="W") + b)
    return np.sum(h @ Tensor([0.25, -1.125, 1.0625, 0.0], name="V"))


@pytest.mark.parametrize("program", [example, dead, scalar_neuron])
def test_what_fits_needs_no_scrolling(page, tmp_path, program):
    page.width(1300)
    page.open(play(program()), tmp_path / "x.html")
    for step in (0, page.steps // 2, page.steps):
        page.go(step)
        assert page(
            "const s = document.getElementById('stage');"
            "return [s.scrollWidth - s.clientWidth, s.scrollHeight - s.clientHeight]"
        ) == [0, 0]


def test_words_in_the_panel_are_whole(page, tmp_path):
    page.width(1300)
    page.open(play(example()), tmp_path / "x.html")
    page.go(page.steps)
    page.focus("n1")  # w, whose gradient is too long for a line
    for cells in ("#used thead th", "#uses th"):
        lines = page(
            "return [...document.querySelectorAll(arguments[0])].map((e) => {"
            " const r = document.createRange(); r.selectNodeContents(e);"
            " return r.getClientRects().length; })",
            cells,
        )
        assert set(lines) == {1}
    assert page(
        "return [...document.querySelectorAll('#used td')].every((e) => e.scrollWidth <= e.clientWidth)"
    )


def test_what_is_not_finite_stands_out_of_many_numbers(page, tmp_path):
    x = Tensor(np.r_[np.arange(1.0, 20.0), -1.0], name="x")
    with np.errstate(invalid="ignore"):
        page.open(play(np.sum(np.sqrt(x) * 2)), tmp_path / "x.html")
    assert page.marked("warning") == []
    page.go(2)
    assert page.marked("warning") == ["n1", "n2"]
    page.go(page.steps)
    assert page.marked("warning") == ["n0", "n1", "n2", "n3"]


def test_without_a_picture_there_is_nothing_to_zoom(page, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    page.open(play(scalar_neuron()), tmp_path / "x.html")
    page.go(page.steps)
    assert "apt install graphviz" in page("return document.getElementById('stage').innerText")
    assert not page("return document.getElementById('larger').offsetParent")
    assert page.text("sentence").startswith("grad of ")


def test_boxes_have_room_for_every_number(page, tmp_path):
    x = Tensor(2.0, name="x")  # whose gradient is 0 in the end, but not on the way
    page.open(play(x * 0.123456 - x * 0.123456), tmp_path / "x.html")
    squeezed = (
        "return [...document.querySelectorAll('[textLength]')].map((t) => {"
        " const room = t.getComputedTextLength(); t.removeAttribute('textLength');"
        " return room / t.getComputedTextLength(); })"
    )
    spilt = (
        "return [...document.querySelectorAll('.node')].flatMap((g) => {"
        " const box = g.querySelector('path, polygon').getBBox();"
        " return [...g.querySelectorAll('text')].filter((t) => t.getBBox().width > box.width)"
        ".map((t) => t.textContent); })"
    )
    for step in range(page.steps + 1):
        page.go(step)
        assert page(spilt) == []
        assert min(page(squeezed), default=1) > 0.85


# ── alone, and safe ───────────────────────────────────────────────────────────────────────────────


def test_one_request(page, tmp_path):
    play(example()).save(tmp_path / "x.html")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.visit(f"http://127.0.0.1:{server.server_port}/x.html")
        page.go(page.steps)
        page.click("mode-tangent")
        server.shutdown()
    assert asked == ["/x.html"]
    assert page("return performance.getEntriesByType('resource').length") == 0


def test_the_policy_stops_other_scripts(small):
    small(
        "window.ran = 0; const s = document.createElement('script'); s.textContent = 'ran = 1';"
        "document.body.append(s); const i = document.createElement('i');"
        "i.setAttribute('onclick', 'ran = 2'); document.body.append(i); i.click();"
    )
    assert small("return window.ran") == 0
    assert all("Content Security Policy" in entry["message"] for entry in small.complaints())


NASTY = [
    "</script><script>window.hit=1</script>",
    '"]; x [URL="javascript:window.hit=1"]',
    "<b>bold</b>",
    "<img src=x onerror=window.hit=1>",
    "a|b",
    "{x}",
    "C:\\",
    "two\nlines",
    "😀 変数 é",
    "&lt;b&gt;",
    "x" * 5000,
    "<!--",
    "]]>",
    "$title ${data}",
    "\u2028\u2029\x00\x1b",
    "\u202eabc",
]


def check_names(page, names, path):
    tensors = [Tensor(1.0 + i, name=name) for i, name in enumerate(names)]
    total = 0.0
    for name, t in zip(names, tensors):
        with scope(name):
            total = total + t * t
    page.open(play(total), path)
    assert page("return window.hit") is None
    assert (
        page("return document.querySelectorAll('a, img, b:not(#sentence b), main script').length")
        == 0
    )
    for step in (1, page.steps):
        page.go(step)
    page("document.getElementById('text').open = true")
    page.click("mode-tangent")
    page.go(page.steps)
    assert page.complaints() == []
    return page


def test_names_are_shown_literally(page, tmp_path):
    check_names(page, NASTY, tmp_path / "x.html")
    options = page(
        "return [...document.querySelectorAll('#pass option')].map((o) => o.textContent)"
    )
    for name in ("<b>bold</b>", "a|b", "{x}", "C:\\", "😀 変数 é", "&lt;b&gt;", "two\\nlines"):
        assert name in options
    page.set("view", page("return view.options.length - 1"), "change")  # with all open
    names = page(
        "return [...document.querySelectorAll('.node .name')].map((t) => t.textContent.replaceAll('\\u00a0', ' '))"
    )
    for name in (
        "<b>bold</b>",
        "a|b",
        "{x}",
        "C:\\",
        "😀 変数 é",
        "&lt;b&gt;",
        "two\\nlines",
        "]]>",
    ):
        assert name in names
    assert max(map(len, names)) <= 60


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4))
@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_any_names(page, tmp_path, names):
    check_names(page, names, tmp_path / "x.html")


def test_in_a_sandboxed_frame(page, tmp_path):
    shown = play(example())._repr_mimebundle_()["text/html"]
    (tmp_path / "x.html").write_text(
        f"<!DOCTYPE html><meta charset=utf-8>{shown}", encoding="utf-8"
    )
    page.driver.get((tmp_path / "x.html").as_uri())
    assert page(
        "const i = document.querySelector('img'); return i.complete && i.naturalWidth > 100"
    )
    page.driver.switch_to.frame(page.driver.find_element("tag name", "iframe"))
    page.go(page.steps)
    assert page.text("phase") == "backward"
    page.driver.switch_to.default_content()
    assert page("return document.querySelector('iframe').contentDocument") is None


def test_the_table_says_it_all(small):
    small("document.getElementById('text').open = true")
    small.go(3)
    small("document.getElementById('text').dispatchEvent(new Event('toggle'))")
    rows = small(
        "return [...document.querySelectorAll('#rows tr')].map((r) => r.innerText.split('\\t'))"
    )
    assert len(rows) == small.steps
    assert rows[0] == ["1", "forward", "t2 = 1.5 × (−0.4)", "−0.6", "0"]
    assert rows[5] == ["6", "backward", "grad of t3: 0 + 1 × 1", "1", "0"]
    assert small("return document.querySelectorAll('[aria-current]').length") == 1


def test_what_a_screen_reader_hears(small):
    status = "return document.querySelector('[role=status]').textContent"
    small.go(6)
    assert "backward" in small(status)
    assert "grad of t3: 0 + 1 × 1 = 1" in small(status)
    slider = "return document.getElementById('slider').getAttribute('aria-valuetext')"
    assert small(slider) == f"step 6 of {small.steps}, backward"
    unnamed = small(
        "return [...document.querySelectorAll('button, input, select, [role=button]')].filter((e) =>"
        " !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label')?.textContent.trim()))"
        ".map((e) => e.outerHTML)"
    )
    assert unnamed == []
    assert small("return document.querySelectorAll('main, h1').length") == 2


def test_the_picture_in_the_readme_is_of_the_page_as_it_is(page, tmp_path):
    """Fonts and rounding differ between machines, so what is compared is blocks of 16 by 16."""

    def blocks(png):
        image = matplotlib.image.imread(io.BytesIO(png))[..., :3].mean(axis=2)
        assert image.shape == (640, 1280)
        return image.reshape(40, 16, 80, 16).mean(axis=(1, 3))

    off = np.abs(
        blocks(player_picture.taken(page, tmp_path)) - blocks(player_picture.PICTURE.read_bytes())
    )
    assert np.mean(off) < 0.01, "take it anew: python -m tests.player_picture"
    assert page.text("sentence") == "grad of w: 0.6351 + 0.2983 × 2 = 1.232"
