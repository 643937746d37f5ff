"""The player in a lecture: links, keys, and pictures of the steps."""

import re
import shutil

import numpy as np
import pytest

from autobp import Tensor, play, scope
from tests.browser import needs_browser
from tests.drawing import needs_dot, neuron, tree
from tests.test_drawing_player_live import move

PAGE_DOWN = "\ue00f"


@pytest.fixture
def neurons(page, tmp_path):
    path = tmp_path / "neuron.html"
    page.open(play(neuron()), path)
    page.address = path.as_uri()  # to which the page adds what it shows, after a while
    return page


def reopen(page, link):
    page.driver.get("about:blank")
    page.visit(f"{page.address}{link}")


def state(page):
    return (
        page.at,
        page.text("phase"),
        page.text("sentence"),
        page.labels("value"),
        page.labels("grad"),
        page("return document.getElementById('predict').checked"),
    )


@needs_browser[0]
@needs_browser[1]
def test_a_link_reopens_the_exact_state(neurons):
    neurons.click("mode-tangent")
    neurons.go(4)
    move(neurons, "w1", -2.5)
    move(neurons, "b", 6.25)
    neurons.release()
    before, address = state(neurons), neurons.link()
    assert address == "#step=4&mode=forward&set=2.0.-2.5,4.0.6.25"
    reopen(neurons, address)
    neurons.settle()
    neurons.release()
    assert state(neurons) == before


@needs_browser[0]
@needs_browser[1]
def test_a_link_can_ask_for_a_prediction(neurons):
    reopen(neurons, "#step=3&predict")
    assert neurons.text("sentence").endswith("= ?")
    assert neurons.link() == "#step=3&predict"
    neurons.click("reveal")
    assert neurons.text("sentence").endswith("= −6")
    reopen(neurons, neurons.link())
    assert neurons.text("sentence").endswith("= −6")


@needs_browser[0]
@needs_browser[1]
@pytest.mark.parametrize(
    "link", ["#", "#step=x&mode=y", "#step=99999&view=7", "#set=9.9.9,0.0.x", "#%"]
)
def test_a_broken_link_opens_the_page(neurons, link):
    reopen(neurons, link)
    assert neurons.text("found") == " = 0.7071"


@needs_browser[0]
@needs_browser[1]
def test_the_keys_of_a_clicker(neurons):
    neurons.release()
    neurons.press(PAGE_DOWN)
    assert neurons.at == 1
    neurons.press("b")
    assert not neurons("return document.getElementById('dark').hidden")
    neurons.press(PAGE_DOWN)
    assert neurons("return document.getElementById('dark').hidden")
    assert neurons.at == 1
    neurons.press(".", ".", "f")
    neurons.until(lambda: neurons("return document.fullscreenElement !== null"))
    neurons.press("f")
    neurons.until(lambda: neurons("return document.fullscreenElement === null"))


# ── pictures of the steps ─────────────────────────────────────────────────────────────────────────


@needs_dot
def test_a_shorter_film_leaves_no_picture_of_a_longer_one(tmp_path):
    pytest.importorskip("PIL.Image")
    play(lambda x: np.tanh(x * x) * x, 0.5).frames(tmp_path)
    (tmp_path / "step999.txt").write_text("mine")
    play(np.tanh, 0.5).frames(tmp_path)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [
        *(f"step{k:03}.{kind}" for k in range(4) for kind in ("png", "svg")),
        "step999.txt",
        "steps.gif",
    ]


@needs_dot
def test_the_steps_are_pictures_of_one_layout_and_a_gif(tmp_path):
    image = pytest.importorskip("PIL.Image")
    player = play(neuron())
    written = player.frames(tmp_path / "steps")
    assert [path.name for path in written] == [
        *(f"step{k:03}.svg" for k in range(16)),
        *(f"step{k:03}.png" for k in range(16)),
        "steps.gif",
    ]
    forms = {re.search(r"<svg [^>]*>", path.read_text())[0] for path in written[:16]}
    assert len(forms) == 1
    with image.open(written[-1]) as gif, image.open(written[20]) as png:
        assert gif.n_frames == 16
        assert gif.size == png.size
    assert written[-1].stat().st_size < 500_000
    lines = [
        " ".join(
            t.text.replace("\xa0", " ")
            for t in tree(p.read_bytes()).iter("{http://www.w3.org/2000/svg}text")
        )
        for p in written[:16]
    ]
    assert "start: The inputs have values." in re.sub(" +", " ", lines[0])
    assert "0.8814" not in lines[3]
    assert "n = −6 + 6.881 = 0.8814" in lines[4]
    assert "∂o/∂n" not in lines[6]
    assert "∂o/∂n = 0.5" in lines[7]
    assert "grad of w1: 0 + 0.5 × 2 = 1" in lines[15]
    assert "grad —" not in lines[15]


@needs_dot
def test_frames_of_scopes_and_of_arrays(tmp_path):
    x = Tensor(np.arange(6.0).reshape(2, 3), name="x")
    with scope("layer"):
        W = Tensor(np.ones((3, 3)), name="W")
        h = np.tanh(x @ W)
    written = play(np.sum(h), lang="zh").frames(tmp_path)
    texts = [path.read_text() for path in written if path.suffix == ".svg"]
    assert len(texts) == 9
    assert all("layer" in text for text in texts)
    assert "反向傳播" in texts[-1]
    assert "grad" not in texts[-1]


def test_frames_say_what_is_missing(tmp_path, monkeypatch):
    player = play(neuron())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("autobp.drawing.layout.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="drawing needs Graphviz"):
        player.frames(tmp_path)
