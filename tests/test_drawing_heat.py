"""Arrays as small pictures."""

import numpy as np
import pytest

from autobp.colours import VERMILION, YELLOW
from autobp.drawing.heat import PALETTE, heat, images, paths


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_a_dead_column_is_white_among_the_smallest_numbers():
    rng = np.random.default_rng(0)
    gradient = rng.normal(size=(20, 8)) * 1e-9
    gradient[0, 0], gradient[:, 5] = 3.0, 0.0
    found = heat(gradient)
    assert found.size == (8, 20)
    white = {x for row in found.rows for x, cell in enumerate(row) if cell == "."}
    assert white == {5}
    assert all(row[5] == "." for row in found.rows)
    assert "20 zeros" in found.said


def test_zero_is_white_and_the_sides_are_told_apart_by_more_than_their_hue():
    found = heat(np.linspace(-1, 1, 25))
    assert found.rows == ("lkjihgfedcba.ABCDEFGHIJKL",)
    light = [luminance(PALETTE[cell]) for cell in found.rows[0]]
    assert light[:13] == sorted(light[:13])  # ever lighter to zero
    assert light[12:] == sorted(light[12:], reverse=True)
    assert light[12] == 1.0
    assert luminance(PALETTE["a"]) < 0.95
    assert abs(luminance(PALETTE["l"]) - luminance(PALETTE["L"])) > 0.04


def test_what_is_not_finite_has_colours_of_its_own():
    found = heat([[1.0, np.nan, -np.inf, np.inf, 0.0]] * 2)
    assert found.rows == ("L?!!.",) * 2
    assert found.scale == 1.0
    assert PALETTE["?"] == YELLOW
    assert heat(np.full(20, np.nan)).said == "(20,): nothing finite"
    assert "6 not finite" in found.said


def test_of_many_numbers_a_cell_shows_the_greatest():
    value = np.zeros((100, 300))
    value[37, 211] = -4.0
    found = heat(value, across=30, down=10)
    assert found.size == (30, 10)
    marked = [(y, x) for y, row in enumerate(found.rows) for x, c in enumerate(row) if c != "."]
    assert marked == [(3, 21)]
    assert found.scale_text == "±4"
    assert heat(np.arange(1000.0), across=7).size == (7, 1)


def test_few_numbers_and_others_than_floats_are_no_pictures():
    assert heat(2.0) is None
    assert heat(np.ones(4)) is None
    assert heat(np.ones((3, 3))) is None
    assert heat(np.arange(8.0)).size == (8, 1)
    assert heat(np.arange(100)) is None
    assert heat(np.zeros((0, 3))) is None
    assert heat(np.zeros(20)).rows == ("." * 20,)
    assert heat(np.ones(20, np.float32)).rows == ("L" * 20,)


@pytest.mark.parametrize("shape", [(6, 1, 8, 8), (6, 8, 8), (6, 8, 8, 1), (6, 256)])
def test_images_are_shown_as_they_are(shape):
    x = np.zeros(shape)
    x.reshape(6, -1)[0, 9] = x.reshape(6, -1)[1, :] = 255.0
    found = heat(x, like=x)
    side = 16 if shape == (6, 256) else 8
    assert found.kind == "grey"
    assert found.size == (4 * side, side)  # the first four
    assert {row[side : 2 * side] for row in found.rows} == {"9" * side}
    ones = [
        (i, k) for i, row in enumerate(found.rows) for k, c in enumerate(row[:side]) if c == "9"
    ]
    assert ones == [divmod(9, side)]
    assert found.scale_text == "0 … 255"
    gradient = heat(-x, like=x)
    assert gradient.kind == "signed"
    assert gradient.rows[0][side : 2 * side] == "l" * side
    assert PALETTE["0"] == "#000000"
    assert PALETTE["9"] == "#FFFFFF"


def test_pictures_with_colours():
    x = np.zeros((2, 3, 8, 8))
    x[0, 0], x[1, 2] = 1.0, 1.0
    found = heat(x, like=x)
    assert found.kind == "colour"
    assert found.size == (16, 8)
    assert found.rows[0] == "f00" * 8 + "00f" * 8
    assert [colour for colour, _ in paths(found)] == ["#ff0000", "#0000ff"]
    bytes_ = (x * 255).astype(np.uint8)
    assert heat(bytes_, like=bytes_).rows == found.rows


def test_large_pictures_are_thinned():
    x = np.random.default_rng(0).random((2, 128, 128))
    assert heat(x, like=x).size == (64, 32)


def test_what_looks_like_no_picture_is_none():
    rng = np.random.default_rng(0)
    assert images(rng.normal(size=(5, 28, 28))) is None  # negative numbers
    assert images(rng.random((5, 5, 5))) is None
    assert images(rng.integers(2, size=(32, 20)).astype(float)) is None  # ones and zeros
    assert images(np.full((4, 28, 28), np.inf)) is None
    assert images(rng.random((200, 20))) is None
    assert images(np.zeros((0, 28, 28))) is None


def test_kernels_and_channels_are_laid_out():
    kernels = np.zeros((4, 2, 3, 3))
    kernels[1, 1] = 1.0
    found = heat(kernels)
    assert found.size == (6, 12)
    assert [row[3:] for row in found.rows] == ["..."] * 3 + ["LLL"] * 3 + ["..."] * 6
    maps = np.zeros((5, 3, 8, 8))
    maps[0, 2] = -1.0
    found = heat(maps, down=16)
    assert found.size == (16, 16)
    assert found.rows[8:] == ("l" * 8 + "." * 8,) * 8
    assert "as 16 × 16" in found.said


def test_paths_cover_each_cell_once():
    found = heat(np.random.default_rng(0).normal(size=(7, 5)))
    covered = 0
    for colour, path in paths(found):
        assert colour in PALETTE.values()
        covered += sum(int(run.split("v")[0]) for run in path.split("h")[1::2])
    assert covered == 35
    assert (VERMILION, "M0 0h10v1h-10z") in list(paths(heat(np.ones(10))))
