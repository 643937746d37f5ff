"""A drawing cut into rows."""

import re

import numpy as np
import pytest

from autobp import Tensor, draw, graph, scope
from autobp.drawing.diagram import diagram
from autobp.drawing.dot import Style, dot
from autobp.drawing.fit import _places
from autobp.drawing.fold import fold
from autobp.drawing.layout import render
from autobp.drawing.rows import in_rows
from tests.drawing import chain, ids, needs_dot, run_dot, tree


def program():
    w, h = Tensor(np.eye(3), name="w"), Tensor(np.ones((2, 3)), name="x")
    for k in range(3):
        with scope(f"part{k}"):
            h = np.tanh(h @ w) + 0.1 * k
            h = h * 2.0
    return np.sum(h)


def cut(result, rows):
    d = diagram(graph(result))
    folded = fold(d, limit=1000)
    places = _places(run_dot(dot(d, folded, Style())).decode())
    return d, folded, in_rows(folded, d, places, rows)


@needs_dot
@pytest.mark.parametrize("rows", [2, 3])
def test_nothing_joins_the_rows_and_nothing_is_lost(rows):
    d, folded, found = cut(program(), rows)
    assert found.home == folded.home
    uses = [use for link in found.links for use in link.uses]
    assert sorted(uses) == sorted(use for link in folded.links for use in link.uses)
    joined = {n.id: n.id for n in d.nodes} | {copy.id: copy.id for copy in found.copies}

    def end(name):
        while joined[name] != name:
            name = joined[name]
        return name

    for link in found.links:
        joined[end(link.source)] = end(link.target)
    assert len({end(name) for name in joined}) == rows
    svg = tree(run_dot(dot(d, found, Style())))
    assert ids(svg) >= set(found.home) | {copy.id for copy in found.copies}


@needs_dot
def test_rows_stand_one_below_the_other_in_order():
    d, _, found = cut(chain(40), 3)
    svg = render(dot(d, found, Style()), "svg").decode()
    rows = {}
    for copy in found.copies:
        rows[copy.note] = copy.id
    assert list(rows) == ["row 1", "row 2"]
    y = {
        name: float(re.search(rf'<g id="{name}" class="node">.*? y="(-?[\d.]+)"', svg, re.S)[1])
        for name in ("n0", rows["row 1"], rows["row 2"])
    }
    assert y["n0"] < y[rows["row 1"]] < y[rows["row 2"]]  # SVG counts downwards


@needs_dot
def test_a_box_that_is_cut_is_drawn_in_both_rows():
    x = Tensor(1.0, name="x")
    with scope("long"):
        y = x
        for k in range(24):
            y = np.tanh(y) * float(k + 1)
    d, _, found = cut(y, 2)
    assert {box.title for box in found.boxes()} == {"long", "long, continued"}
    assert len({box.id for box in found.boxes()}) == 2
    assert sorted(found.root.all_nodes()) == list(range(len(d.nodes)))
    assert draw(y).folded is not found


@needs_dot
def test_what_leaves_a_box_for_another_row_has_a_copy_for_each_variable():
    x = Tensor(np.ones((2, 3)), name="x")
    with scope("box"):
        a, b = x * 2.0, np.sum(x, axis=1)
    y = np.sum(b)
    for k in range(6):
        y = np.tanh(y) + float(k)
    d = diagram(graph(np.sum(a * y) + np.sum(b * y)))
    folded = fold(d, depth=0)
    places = _places(run_dot(dot(d, folded, Style())).decode())
    found = in_rows(folded, d, places, 2)
    assert {copy.node for copy in found.copies} >= {n.index for n in d.nodes if n.scope == "box"}
    for copy in found.copies:
        assert {d.uses[use].source for use in copy.uses} == {copy.node}
    run_dot(dot(d, found, Style()))
