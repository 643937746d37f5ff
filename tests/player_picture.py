"""The picture of the player in the README: `python -m tests.player_picture` takes it anew.

It is a page that `play` saved, in a browser, at the step in which the second contribution to the
gradient of `w` arrives."""

from pathlib import Path

import numpy as np

from autobp import Tensor, play

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / ".github/player.png"
SIZE = 1280, 640


def taken(page, folder):
    """The bytes of the picture, by way of a page of the tests' browser."""
    w, x, b = (Tensor(v, name=n) for n, v in {"w": 0.5, "x": 2.0, "b": -0.25}.items())
    p = w * x
    z = p + b
    h = np.tanh(z)
    y = h * w
    page.width(*SIZE)
    page.open(play(y, names=locals()), folder / "player.html")
    page("document.documentElement.style.overflow = 'hidden'")  # no scrollbar
    page.go(page.steps - 1)
    return page.driver.get_screenshot_as_png()


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    from tests.browser import Page, started

    driver = started()
    try:
        with TemporaryDirectory() as folder:
            PICTURE.write_bytes(taken(Page(driver), Path(folder)))
    finally:
        driver.quit()
