"""The tree of scopes and of what repeats in it."""

import numpy as np

from autobp import Tensor, graph, scope
from autobp.draw.blocks import blocks, matched
from autobp.draw.diagram import diagram
from tests.drawing import chain


def deep(layers=20):
    h = np.ones((2, 4))
    for k in range(layers):
        with scope(f"layer{k}"):
            h = np.tanh(h @ Tensor(np.eye(4), name=f"W{k}") + Tensor(np.zeros(4), name=f"b{k}"))
    return np.mean(h**2)


def test_matched_pairs_what_has_the_same_place_in_two_pieces():
    d = diagram(graph(deep()))
    (roll, *_) = blocks(d).root.items
    pairs = matched(d, roll.pieces[3], roll.pieces[17])
    names = {d.nodes[a].name: d.nodes[b].name for a, b in pairs.items()}
    assert names["W3"] == "W17"
    assert names["b3"] == "b17"
    assert len(pairs) == 6  # with what comes in


def test_the_tree_is_found_once():
    d = diagram(graph(chain(100)))
    assert blocks(d) is blocks(d)
    assert blocks(d) is not blocks(d, shapes=False)


def test_pieces_that_are_wired_otherwise_are_others():
    x = Tensor(1.5, name="x")
    for k in range(20):
        y = np.tanh(x)
        x = np.multiply(y, x) if k % 10 < 5 else np.multiply(y, y)
    rolls = [item for item in blocks(diagram(graph(x))).root.items if not isinstance(item, int)]
    assert [roll.times for roll in rolls] == [5, 5, 5, 5]


def test_a_loop_begins_where_its_steps_do():
    total, h = 0.0, Tensor(0.5, name="h")
    for k in range(10):
        h = np.tanh(h * 1.5)
        total = total + h**2 if k else h**2
    d = diagram(graph(total))
    roll = next(item for item in blocks(d).root.items if not isinstance(item, int))
    assert [[d.nodes[i].operation for i in piece.all_nodes()] for piece in roll.pieces] == (
        [["multiply", "tanh", "power_by", "add"]] * 9
    )
