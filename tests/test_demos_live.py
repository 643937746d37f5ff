"""The three live pages of the demos: what is dragged moves everything, on a laptop and on a phone."""

import re

import numpy as np
import pytest

from autobp import cli
from tests.browser import needs_browser

pytestmark = needs_browser[:1]


@pytest.fixture
def opened(page, tmp_path):
    def open_(name, width=1280):
        assert cli.main(["demo", name, "--out", str(tmp_path)]) == 0
        page.width(width)
        page.visit((tmp_path / f"{name}.html").as_uri())
        return page

    return open_


def says(page):
    return page.text("says").replace("−", "-")


def numbers(page):
    return [float(x) for x in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", says(page))]


def drag(page, x, y):
    """Drag to a place of the canvas, in parts of its width and height."""
    left, top, right, bottom = page.rect("#canvas")
    x, y = left + x * (right - left), top + y * (bottom - top)
    page.mouse("mousePressed", x - 30, y - 20, button="left", clickCount=1)
    page.mouse("mouseMoved", x, y, button="left", buttons=1)
    page.mouse("mouseReleased", x, y, button="left", clickCount=1)
    return x, y


def test_valley(opened):
    page = opened("valley")
    assert "a larger rate would end lower" in says(page)
    height, by_rate = numbers(page)
    assert height == pytest.approx(0.215472, abs=5e-4)
    assert by_rate == pytest.approx(-3.743751, abs=5e-4)
    drag(page, 0.5, 0.5)
    at = -2.4 + 0.5 * 4.8, 2.4 - 0.5 * 3.3
    x, y, rate = *at, 0.15
    for _ in range(40):
        r = y - 0.5 * x**2
        x, y = x - rate * (0.24 * (x - 1) - 2 * r * x), y - rate * 2 * r
    assert numbers(page)[0] == pytest.approx(0.12 * (x - 1) ** 2 + (y - 0.5 * x**2) ** 2, abs=2e-2)
    page.set("rate", 0.6, "input")
    assert numbers(page)[0] != pytest.approx(height)


def test_attention(opened):
    page = opened("attention")
    assert "looks most at “mat” (0.570)" in says(page)
    page.set("word", 5, "change")
    for _ in range(2):  # the steps of each without a clock
        page(
            "const clock = setInterval;"
            "window.setInterval = (act) => { for (let k = 0; k < 60; k++) act(); };"
            "document.getElementById('follow').click();"
            "window.setInterval = clock;"
        )
    assert "looks most at “soft”" in says(page)


def test_pendulum(opened):
    page = opened("pendulum")
    off, loss, *_ = numbers(page)
    assert loss == pytest.approx(off**2, rel=1e-2)
    page.click("aim")
    page.until(lambda: numbers(page)[1] < 0.1 * loss)
    page("document.getElementById('canvas').focus()")
    before = says(page)
    page.press("\ue014")
    assert says(page) != before


@pytest.mark.parametrize("name", ["valley", "attention", "pendulum"])
def test_on_a_phone(opened, name):
    page = opened(name, width=390)
    assert page("return document.documentElement.scrollWidth") <= 390
    assert np.all(np.isfinite(numbers(page)))
    assert len(page.driver.page_source) < 120_000
