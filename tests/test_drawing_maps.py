"""Arrays as pictures in the nodes of a drawing."""

import re
import subprocess

import numpy as np
import pytest

from autobp import Tensor, draw, relu, scope
from autobp.drawing.heat import PALETTE
from tests.drawing import SVG, lines_of, needs_dot, tree

WHITE = PALETTE["."]


def dead(theme="light", **options):
    """A layer of which one unit, the sixth, is dead."""
    rng = np.random.default_rng(0)
    with scope("layer"):
        W, b = Tensor(rng.normal(size=(20, 8)), name="W"), np.zeros(8)
        b[5] = -100.0
        h = relu(rng.normal(size=(16, 20)) @ W + b)
    return draw(np.mean(h**2), theme=theme, **options)


def group(svg, name):
    (found,) = (g for g in svg.iter(f"{SVG}g") if g.get("id") == name)
    return found


def node(picture, name):
    return next(n.id for n in picture.diagram.nodes if n.name == name)


@needs_dot
def test_a_dead_column_of_a_gradient_is_white(tmp_path):
    drawn = dead()
    svg = tree(drawn.save(tmp_path / "g.svg").read_text("utf-8"))
    W = group(svg, node(drawn, "W"))
    value, gradient = W.findall(f"{SVG}g[@class='heat']")
    cells = {path.get("fill"): path.get("d") for path in gradient.findall(f"{SVG}path")}
    assert {run.split(" ")[0] for run in cells[WHITE].split("M")[1:]} == {"5"}
    assert cells[WHITE].count("M") == 20
    assert WHITE not in {path.get("fill") for path in value.findall(f"{SVG}path")}
    said = gradient.find(f"{SVG}title").text
    assert re.fullmatch(r"\(20, 8\): min −.*, mean .*, max .*, 20 zeros", said)
    texts = lines_of(svg, node(drawn, "W"))
    assert texts[0] == "W (20, 8)"
    assert re.fullmatch("±[0-9.]+", texts[1])  # the scales, and no numbers besides
    assert re.fullmatch("grad ±[0-9.]+", texts[2])
    assert len(texts) == 3


@needs_dot
def test_the_text_of_graphviz_has_the_numbers():
    source = dead().source
    assert re.search(r"min\\ −[\d.]+\\nmean\\ [−\d.]+\\nmax\\ [\d.]+\\ngrad\\ ±", source)


@needs_dot
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_png_has_the_pictures_in_the_same_places(tmp_path, theme):
    from matplotlib.image import imread

    drawn = dead(theme=theme)
    svg = drawn.save(tmp_path / "g.svg").read_text("utf-8")
    image = np.round(255 * imread(drawn.save(tmp_path / "g.png"))[..., :3]).astype(int)
    shift = [float(x) for x in re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", svg).groups()]
    root = tree(svg)
    checked = 0
    for heat in root.iter(f"{SVG}g"):
        if heat.get("class") != "heat":
            continue
        left, top, x, y = (float(n) for n in re.findall(r"-?[\d.]+", heat.get("transform")))
        for path in heat.findall(f"{SVG}path")[:-1]:
            for i, j, n in re.findall(r"M(\d+) (\d+)h(\d+)", path.get("d")):
                across = (left + (int(i) + int(n) / 2) * x + shift[0]) * 4 / 3
                down = (top + (int(j) + 0.5) * y + shift[1]) * 4 / 3
                seen = image[int(down), int(across)]
                meant = [int(path.get("fill")[k : k + 2], 16) for k in (1, 3, 5)]
                checked += 1
                if y * 4 / 3 >= 3:  # else a pixel holds two cells
                    assert np.abs(seen - meant).max() < 90, (heat.get("transform"), i, j)
    assert checked > 500


@needs_dot
def test_images_are_shown_as_they_are(tmp_path):
    x = np.zeros((4, 1, 8, 8))
    x[0, 0, 2:6, 3] = 1.0
    drawn = draw(np.sum(Tensor(np.ones((1, 1, 8, 8)), name="w") * x), names={"x": x})
    svg = tree(drawn.save(tmp_path / "g.svg").read_text("utf-8"))
    (picture,) = group(svg, node(drawn, "x")).findall(f"{SVG}g[@class='heat']")
    cells = {path.get("fill"): path.get("d") for path in picture.findall(f"{SVG}path")}
    assert cells["#FFFFFF"] == "M3 2h1v1h-1zM3 3h1v1h-1zM3 4h1v1h-1zM3 5h1v1h-1z"
    across, down = re.search(r"scale\(([\d.]+) ([\d.]+)\)", picture.get("transform")).groups()
    assert across == down  # pixels are squares
    assert "0 … 1" in lines_of(svg, node(drawn, "x"))


@needs_dot
def test_nothing_links_and_no_file_is_read(tmp_path):
    drawn = dead()
    svg = drawn.save(tmp_path / "g.svg").read_text("utf-8")
    assert "<image" not in svg
    assert "href" not in re.sub(r'xmlns:xlink="[^"]*"', "", svg)
    pdf = drawn.save(tmp_path / "g.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")


@needs_dot
def test_long_backgrounds_are_read_by_graphviz(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 40))
    for k in range(6):
        x = np.tanh(x @ Tensor(rng.normal(size=(40, 40)), name=f"W{k}") + k)
    drawn = draw(np.sum(x), limit=1000)
    done = drawn.save(tmp_path / "g.png").read_bytes()
    assert done.startswith(b"\x89PNG")
    done = subprocess.run(["dot", "-Tcanon"], input=drawn.source.encode(), capture_output=True)
    assert done.returncode == 0
