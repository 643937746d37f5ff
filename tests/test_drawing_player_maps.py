"""Arrays in the player are pictures, with their numbers behind them."""

import numpy as np
import pytest

from autobp import Tensor, play, relu
from tests.browser import needs_browser

pytestmark = needs_browser


def half_dead():
    """A hidden layer whose fourth unit is off, so that its column of the weight's gradient is 0."""
    rng = np.random.default_rng(0)
    W, b = Tensor(rng.normal(size=(20, 8)), name="W"), Tensor(np.zeros(8), name="b")
    b.data = np.where(np.arange(8) == 3, -100.0, 0.0)
    h = relu(rng.normal(size=(16, 20)) @ W + b)
    return np.mean((h @ Tensor(rng.normal(size=8), name="v") - 1.0) ** 2), W


@pytest.fixture
def weights(page, tmp_path):
    page.width(1366, 1400)
    loss, W = half_dead()
    page.open(play(loss), tmp_path / "x.html")
    loss.backward()
    page.go(page.steps)
    name = "W"
    page.find(name)
    return page, W


COLOURS = """
const c = document.querySelectorAll('dd.map canvas:not([aria-hidden])')[arguments[0]];
const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, found = [];
for (let r = 0; r < arguments[1]; r++) {
  found.push([]);
  for (let k = 0; k < arguments[2]; k++) {
    const x = Math.floor((k + 0.5) * c.width / arguments[2]), y = Math.floor((r + 0.5) * c.height / arguments[1]);
    found[r].push([...pixels.slice(4 * (y * c.width + x), 4 * (y * c.width + x) + 3)]);
  }
}
return found
"""


def test_a_dead_column_can_be_seen(weights):
    page, W = weights
    assert page.text("what") == "W"
    cells = np.array(page(COLOURS, 1, 20, 8))  # of the gradient
    white = np.all(cells == 255, axis=2)
    assert white[:, 3].all()
    assert (white == (W.grad == 0)).all()
    blue, orange = cells[..., 2] > cells[..., 0], cells[..., 0] > cells[..., 2]
    assert (blue == (W.grad < 0)).all()
    assert (orange == (W.grad > 0)).all()


def test_in_the_node_too(weights):
    page, W = weights
    shown = page(
        "const g = document.querySelector('.view:not([hidden]) .chosen');"
        "const image = g.querySelector('.of-grad image'), c = document.createElement('canvas');"
        "const i = new Image(); i.src = image.getAttribute('href');"
        "return i.decode().then(() => { c.width = i.width; c.height = i.height;"
        " const x = c.getContext('2d'); x.drawImage(i, 0, 0);"
        " return [i.width, i.height, [...x.getImageData(3, 0, 1, i.height).data]]; })"
    )
    assert shown[:2] == [8, 20]
    assert set(shown[2]) == {255}
    largest = np.max(np.abs(W.grad))
    assert page.labels("grad")["W"].endswith(f"grad ±{largest:.4g}")


def test_a_cell_tells_its_number(weights):
    page, W = weights
    left, top, right, bottom = page.rect("dd.map canvas")
    for r, c in ((0, 0), (13, 5), (19, 7)):
        page.mouse(
            "mouseMoved",
            left + (c + 0.5) * (right - left) / 8,
            top + (r + 0.5) * (bottom - top) / 20,
        )
        number = f"{W.data[r, c]:.4g}".replace("-", "−")
        assert page("return document.getElementById('tip').textContent") == f"[{r}, {c}]  {number}"
    page.mouse("mouseMoved", 5, 5)
    assert page("return document.getElementById('tip').hidden")


def test_the_numbers_are_a_table(weights):
    page, W = weights
    page("document.querySelectorAll('dd.map details')[1].open = true")
    page("document.querySelectorAll('dd.map details')[1].dispatchEvent(new Event('toggle'))")
    rows = page(
        "return [...document.querySelectorAll('dd.map details[open] tr')]"
        ".map((r) => [...r.cells].map((c) => c.textContent))"
    )
    assert rows == [[f"{x:.4g}".replace("-", "−") for x in row] for row in W.grad]


def test_the_scale_is_told(weights):
    page, W = weights
    largest = f"{np.max(np.abs(W.data)):.4g}"
    assert page("return document.querySelector('.scale').innerText.split(/\\s+/)") == [
        f"−{largest}",
        largest,
    ]


def test_images_are_shown_as_images(page, tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28]
    X = np.stack([np.exp(-((y - 9 - k) ** 2 + (x - 14) ** 2) / 9) for k in range(3)])
    W = Tensor(rng.normal(size=(784, 4)) / 28, name="W")
    page.width(1366, 1400)
    page.open(play(np.sum((X.reshape(3, 784) @ W) ** 2), names={"X": X}), tmp_path / "x.html")
    (n,) = [n for n, item in enumerate(page.data["items"]) if item[2] == "(3, 784)"]
    page.focus(f"n{n}")
    cells = np.array(page(COLOURS, 0, 57, 57))
    assert (cells[..., 0] == cells[..., 2]).all()  # grey
    picture = cells[:28, :28, 0] / 255
    np.testing.assert_allclose(picture[2:-2, 2:-2], X[0][2:-2, 2:-2], atol=0.06)


def test_what_is_not_finite_has_a_colour_of_its_own(page, tmp_path):
    page.width(1366, 1400)
    a = Tensor(np.r_[np.linspace(-1, 1, 6), np.nan, np.inf], name="a")
    page.open(play(np.sum(a * 2)), tmp_path / "x.html")
    page.find("a")
    cells = np.array(page(COLOURS, 0, 1, 8))[0].tolist()
    assert cells[6] == [240, 228, 66]
    assert cells[7] == [0, 0, 0]
