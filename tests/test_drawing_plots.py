"""Curves and decision regions: what is drawn, and that nothing hides it."""

import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from autobp.drawing import plots


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


@pytest.mark.parametrize(
    "names", [["training", "validation"], ["rate 0.01", "rate 0.1", "rate 0.5", "rate 1.5"], ["a" * 40] * 2, ["rate 0.5", "rate 2", "rate 2, lowered at a plateau"]]
)  # fmt: skip
def test_the_legend_hides_no_curve_and_is_not_cut(names):
    figure, ax = plots.figure()
    names = [f"{name}{' ' * i}" for i, name in enumerate(names)]
    plots.curves({name: [1.0, 2.0] for name in names}, ax, title="a title", ylabel="loss")
    renderer = drawn(figure)
    legend = ax.get_legend().get_window_extent(renderer)
    title = ax._left_title.get_window_extent(renderer)
    assert legend.y0 >= ax.get_window_extent(renderer).y1
    assert title.y0 >= legend.y1 - 3
    assert legend.x1 <= figure.bbox.x1


def test_curves_differ_in_more_than_colour():
    _, ax = plots.figure()
    plots.curves({name: [1.0, 2.0] for name in "abcde"}, ax)
    dashes = [line.get_linestyle() + str(line._unscaled_dash_pattern) for line in ax.lines]
    assert len(set(dashes)) == 5
    assert len({line.get_color() for line in ax.lines}) == 5


def test_of_several_runs_the_median_and_the_middle_half():
    _, ax = plots.figure()
    plots.curves({"loss": np.array([[0.0, 0.0], [1.0, 4.0], [2.0, 8.0]])}, ax)
    assert ax.lines[0].get_ydata().tolist() == [1.0, 4.0]
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert (low, high) == (0.5, 6.0)


def test_one_point_can_be_seen():
    figure, ax = plots.figure()
    plots.curves({"loss": [0.5]}, ax, legend=False)
    drawn(figure)
    assert ax.lines[0].get_marker() == "o"
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_points_that_do_not_fit_x():
    _, ax = plots.figure()
    with pytest.raises(ValueError, match="^curves: 'loss' has 2 points, x has 3$"):
        plots.curves({"loss": [1.0, 2.0]}, ax, x=[1, 2, 3])


def test_regions_are_what_the_classifier_says():
    _, ax = plots.figure()
    X, y = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 1, 2])
    asked = []

    def classify(points):
        asked.append(points.shape)
        return np.where(points[:, 0] > 0.5, 1, np.where(points[:, 1] > 0.5, 2, 0))

    plots.regions(classify, X, y, ax, title="three")
    assert asked == [(62_500, 2)]
    filled, *points = ax.collections
    assert len(filled.get_paths()) == 3
    assert [p.get_offsets().tolist() for p in points] == [[x] for x in X.tolist()]
    assert len({str(p.get_paths()[0].vertices) for p in points}) == 3  # markers
    legend = ax.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["class 0", "class 1", "class 2"]
    ax.figure.draw_without_rendering()
    assert legend.get_window_extent().y0 >= ax.get_window_extent().y1  # it hides no point
    title = ax._left_title.get_window_extent()
    assert title.y0 >= legend.get_window_extent().y1 - 2


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (np.ones((4, 3)), np.ones(4), "labels of shape (n,), not (4, 3) and (4,)"),
        (np.ones((4, 2)), np.ones(3), "labels of shape (n,), not (4, 2) and (3,)"),
        (np.random.default_rng(0).random((9, 2)), np.arange(9), "9 classes are too many"),
    ],
)
def test_regions_refused(X, y, said):
    _, ax = plots.figure()
    with pytest.raises(ValueError) as error:
        plots.regions(lambda p: np.zeros(len(p)), X, y, ax)
    assert said in str(error.value)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [n for n in sys.modules if n.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ModuleNotFoundError, match=r"a plot needs matplotlib: pip install .*\[plot\]'"
    ):
        plots.figure()
