"""The player by an automated checker of accessibility, axe-core, where npm is there to get it."""

import shutil
import subprocess

import pytest

from autobp import play
from tests.browser import needs_browser
from tests.drawing import neuron as scalar_neuron
from tests.test_drawing_player import deep, recurrent
from tests.test_drawing_player_stage import network

pytestmark = needs_browser

_RUN = (
    "const done = arguments[arguments.length - 1]; axe.run(document).then((found) =>"
    " done(found.violations.map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 120)}`)))"
)


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    npm, place = shutil.which("npm"), tmp_path_factory.mktemp("npm")
    if npm is None:
        pytest.skip("needs npm")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(place), "axe-core@4"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot reach its registry")
    if done.returncode:
        pytest.skip("npm cannot get axe-core")
    return (place / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def check(page, axe):
    def checked():
        page(axe)
        return page.driver.execute_async_script(_RUN)

    return checked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1366])
def test_nothing_is_found(page, tmp_path, check, scheme, width):
    page.width(width)
    page.emulate(prefers_color_scheme=scheme)
    for program in (scalar_neuron, network, lambda: recurrent(30)):
        page.open(play(program()), tmp_path / "x.html")
        assert check() == []
        page.go(page.steps)
        page.focus(page("return document.querySelector('.view:not([hidden]) .node').dataset.id"))
        assert check() == []
        page.click("mode-tangent")
        page.click("predict")
        page.click("next")
        assert check() == []
    page.emulate()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_found_in_what_opens(page, tmp_path, check, scheme):
    page.emulate(prefers_color_scheme=scheme)
    page.open(play(deep(40)), tmp_path / "x.html")
    page.press("/")
    assert check() == []
    page.press("layer1")
    assert check() == []
    page.press("\ue007")
    page("for (const id of ['text', 'layers']) document.getElementById(id).open = true")
    page("for (const e of document.querySelectorAll('dd.map details')) e.open = true")
    assert check() == []
    page.emulate()


CONTRASTS = """
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((x) => { x /= 255;
  return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05); };
return [...document.querySelectorAll('.view:not([hidden]) .node text')].filter((t) => t.textContent
  && getComputedStyle(t).visibility === 'visible').map((t) => [ratio(getComputedStyle(t).fill,
  getComputedStyle(t.parentNode.querySelector('path, polygon')).fill), t.textContent]);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_stands_on_nodes_can_be_read(page, tmp_path, scheme):
    page.emulate(prefers_color_scheme=scheme)
    for program in (scalar_neuron, network, lambda: recurrent(30)):
        page.open(play(program()), tmp_path / "x.html")
        for mode in ("mode-reverse", "mode-tangent"):
            page.click(mode)
            for step in (0, 3, page.steps):
                page.go(step)
                assert min(page(CONTRASTS))[0] >= 4.5
    page.emulate()
