"""The tree of scopes and of what repeats in it."""

import numpy as np
import pytest

from autobp import Tensor, graph, leaky_relu, scope, softmax
from autobp.drawing.blocks import Box, blocks, matched
from autobp.drawing.diagram import diagram
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


def chain_of(step, times):
    h = Tensor(np.full((4, 4), 0.5), name="x")
    for k in range(times):
        h = step(h, k)
    return np.sum(h)


def rolls(result):
    root = blocks(diagram(graph(result))).root
    return [
        (item.times, len([*item.pieces[0].all_nodes()]))
        for item in root.items
        if isinstance(item, Box) and item.roll
    ]


def weights(names):
    return [Tensor(np.eye(4) * 0.5, name=name) for name in names]


def cells(h, xs, w, u):
    for x in xs:
        h = np.tanh(x @ w + h @ u)
    return h


def test_two_chains_with_other_weights_are_two_rolls():
    xs = np.ones((20, 2, 4))
    wf, uf, wb, ub = weights(["Wf", "Uf", "Wb", "Ub"])
    ahead, back = cells(np.zeros((2, 4)), xs, wf, uf), cells(np.zeros((2, 4)), xs[::-1], wb, ub)
    assert rolls(np.sum(ahead * back)) == [(20, 4), (20, 4)]


def test_a_chain_that_starts_anew_with_the_same_weights_is_another():
    w, u = weights("WU")
    ends = [cells(np.zeros((2, 4)), np.ones((20, 2, 4)), w, u) for _ in range(2)]
    assert rolls(np.sum(ends[0] * ends[1])) == [(20, 4), (20, 4)]


@pytest.mark.parametrize("steps", [(15, 12), (13, 5), (12, 4), (20, 6), (14, 12), (16, 12)])
def test_an_encoder_and_a_decoder_are_rolled_by_their_own_steps(steps):
    we, ue, wd, ud, v = weights(["We", "Ue", "Wd", "Ud", "V"])
    h = cells(np.zeros((2, 4)), np.ones((steps[0], 2, 4)), we, ue)
    y, loss = np.zeros((2, 4)), 0.0
    for _ in range(steps[1]):
        h = np.tanh(y @ wd + h @ ud)
        y = h @ v
        loss = loss + np.mean((y - 1.0) ** 2)
    assert rolls(loss) == [(steps[0], 4), (steps[1], 9)]
    tree = blocks(diagram(graph(loss)))
    assert len([*tree.named["step 12"][0].all_nodes()]) == 4


@pytest.mark.parametrize(
    "step",
    [
        lambda h, odd: (h * 0.9) ** (3 if odd else 2),
        lambda h, odd: np.sin(h * (5 if odd else 2)),
        lambda h, odd: np.clip(h * 1.01, 0, 5 if odd else 9),
        lambda h, odd: leaky_relu(h - 0.1, 0.3 if odd else 0.01),
        lambda h, odd: softmax(h * 2.0, axis=0 if odd else 1),
        lambda h, odd: h + np.sum(h[:, 3 if odd else 0]),
        lambda h, odd: h - np.sin(h) if not odd else np.sin(h) - h,
    ],
)
@pytest.mark.parametrize("scoped", [False, True])
def test_a_step_with_another_parameter_or_number_is_not_in_the_roll(step, scoped):
    def one(h, k):
        if not scoped:
            return step(h, k == 6)
        with scope(f"layer{k}"):
            return step(h, k == 6)

    assert [times for times, _ in rolls(chain_of(one, 40))] == [6, 33]


def test_a_number_that_is_another_in_every_step_varies():
    assert rolls(chain_of(lambda h, k: np.sin(h * (k + 1.0)), 30)) == [(30, 2)]
    assert rolls(chain_of(lambda h, k: np.sin(h * (2.0 + k % 2)), 30)) == [(15, 4)]


def test_numbers_out_of_a_few_vary_too():
    numbers = np.random.default_rng(0).integers(3, size=60).tolist()
    assert rolls(chain_of(lambda h, k: np.sin(h * numbers[k]), 60)) == [(60, 2)]


def test_weights_that_take_turns_make_longer_steps():
    turns = weights("AB")
    assert rolls(chain_of(lambda h, k: np.tanh(h @ turns[k % 2]), 30)) == [(15, 4)]
    others = weights(f"W{k}" for k in range(30))
    assert rolls(chain_of(lambda h, k: np.tanh(h @ others[k]), 30)) == [(30, 2)]


def test_two_pieces_with_other_weights_are_no_loop():
    a, b, c, d = weights("abcd")

    def piece(h, w, v):
        return np.tanh(np.exp(np.sin(np.tanh(h @ w) @ v)) * h - h)

    x = Tensor(np.ones((4, 4)), name="x")
    assert rolls(np.sum(piece(piece(x, a, b), c, d))) == []
    assert rolls(np.sum(piece(piece(x, a, b), a, b))) == [(2, 8)]
