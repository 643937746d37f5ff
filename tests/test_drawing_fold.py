"""What is drawn and what is inside a box."""

from contextlib import nullcontext

import numpy as np
import pytest

from autobp import Tensor, draw, graph, scope
from autobp.drawing.diagram import diagram
from autobp.drawing.fold import fold
from tests.drawing import chain, classifier


def titles(found):
    return [box.title for box in found.boxes() if box.closed]


def acyclic(found):
    originals = {copy.id: f"n{copy.node}" for copy in found.copies}
    targets = {}
    for link in found.links:
        targets.setdefault(originals.get(link.source, link.source), set()).add(link.target)
    done, path = set(), []

    def visit(name):
        assert name not in path, "folded into a circle"
        if name not in done:
            path.append(name)
            for other in targets.get(name, ()):
                visit(other)
            path.pop()
            done.add(name)

    for name in list(targets):
        visit(name)


def held(found, count):
    """Every node is in exactly one place."""
    places = sorted(found.root.all_nodes())
    assert places == list(range(count))


def test_what_fits_is_open():
    d = diagram(graph(classifier()))
    found = fold(d)
    assert titles(found) == []
    assert [box.title for box in found.boxes()] == ["layer1", "layer2", "loss"]
    assert found.home == [n.id for n in d.nodes]
    inside = {box.title: set(box.all_nodes()) for box in found.boxes()}
    where = {n.name: title for title, some in inside.items() for n in d.nodes if n.index in some}
    assert where["W1"] == "layer1"  # a parameter is in its scope
    assert "array0" not in where  # what comes in from outside is not
    held(found, len(d.nodes))


def test_depth_and_expand():
    d = diagram(graph(classifier()))
    assert titles(fold(d, depth=0)) == ["layer1", "layer2", "loss"]
    assert fold(d, depth=0).drawn == 4  # and the array that comes in
    assert titles(fold(d, expand=["layer2"])) == ["layer1", "loss"]
    with pytest.raises(ValueError, match=r"expand='x' is not a scope.* 'layer1', 'layer2', 'loss'"):
        fold(d, expand=["x"])


def test_scopes_within_scopes():
    x = Tensor(1.0, name="x")
    with scope("a"):
        y = x * 2
        with scope("b"):
            z = y * 3
        z = z * y
    d = diagram(graph(z * x))
    assert titles(fold(d, depth=1)) == ["b"]
    assert titles(fold(d, depth=0)) == ["a"]
    assert titles(fold(d, expand=["a/b"])) == []
    held(fold(d, depth=1), len(d.nodes))


def test_each_run_through_a_scope_is_a_box_so_that_there_are_no_circles():
    h = w = Tensor(1.0, name="w")
    for _ in range(3):
        with scope("cell"):
            h = np.tanh(h * w)
        h = h + 1
    found = fold(diagram(graph(h)), depth=0)
    assert titles(found) == ["cell", "cell (2)", "cell (3)"]
    acyclic(found)


def test_long_runs_fold_in_the_middle():
    d = diagram(graph(chain(1000)))
    found = fold(d, roll=False)
    assert titles(found) == ["988 operations"]
    assert found.drawn == 14
    acyclic(found)
    held(found, len(d.nodes))


def test_a_scope_that_holds_everything_is_not_all_there_is_to_see():
    x = Tensor(1.0, name="x")
    with scope("model"):
        y = x
        for _ in range(1000):
            y = y * 1.001
    found = fold(diagram(graph(y)), roll=False)
    assert [box.title for box in found.boxes()] == ["model", "988 operations"]
    assert found.drawn > 10
    assert [box.title for box in fold(diagram(graph(y))).boxes()] == ["model", "step 1 … 1000"]


def test_many_scalars_and_many_leaves_fold():
    rng = np.random.default_rng(0)
    w = [Tensor(v) for v in rng.normal(size=300)]
    total = 0.0
    for _ in range(20):
        total = total + np.tanh(sum(a * float(b) for a, b in zip(w, rng.normal(size=300))))
    d = diagram(graph(total))
    found = fold(d)
    assert found.drawn <= 40
    acyclic(found)
    held(found, len(d.nodes))
    d = diagram(graph(np.sum(np.concatenate([Tensor([float(i)]) for i in range(300)]))))
    found = fold(d)
    assert titles(found) == ["300 inputs"]
    assert sum(len(link.uses) for link in found.links) == len(d.uses)
    held(found, len(d.nodes))


def test_leaves_that_only_a_folded_run_uses_are_in_it():
    y = Tensor(1.0, name="x")
    for i in range(400):
        y = y * Tensor(1.0 + i)
    d = diagram(graph(y))
    found = fold(d, roll=False)
    (run,) = (box for box in found.boxes() if box.path is None)
    assert sum(d.nodes[i].kind == "input" for i in run.all_nodes()) == 388
    assert found.drawn == 26
    held(found, len(d.nodes))


def test_uses_between_boxes_are_one_link():
    found = fold(diagram(graph(classifier())), depth=0)
    ends = [(link.source, link.target) for link in found.links]
    assert len(set(ends)) == len(ends)
    y = Tensor(1.0)
    found = fold(diagram(graph(y * y)))
    assert [(link.source, link.target) for link in found.links] == [("n0", "n1")] * 2


@pytest.mark.parametrize("limit", [10, 20, 50, 200])
def test_the_limit_is_kept(limit):
    rng = np.random.default_rng(1)
    some = [Tensor(v) for v in rng.normal(size=20)]
    for i in range(500):
        with scope(f"block{i // 100}"):
            j, k = rng.integers(len(some), size=2)
            some.append(some[j] * some[k])
    found = fold(diagram(graph(sum(some[-100:]))), limit=limit)
    assert found.drawn <= max(limit, 16)  # a few at either end, and what they use
    acyclic(found)


def test_scopes_nested_deeper_than_python_calls():
    x = Tensor(1.0)
    y = x * 2
    y.scope = "/".join("s" * 3000)
    found = fold(diagram(graph(y)))
    assert found.drawn == 2


# ── repeats ───────────────────────────────────────────────────────────────────────────────────────


def recurrence(steps, scoped=False):
    rng = np.random.default_rng(0)
    Wx, Wh = (Tensor(rng.normal(size=(n, 4)) / 4, name=name) for n, name in ((3, "Wx"), (4, "Wh")))
    b, h = Tensor(np.zeros(4), name="b"), np.zeros((2, 4))
    for t in range(steps):
        with scope(f"step{t}") if scoped else nullcontext():
            h = np.tanh(rng.normal(size=(2, 3)) @ Wx + h @ Wh + b)
    return np.mean(h**2)


@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize("steps", [30, 300])
def test_the_steps_of_a_loop_are_one_box(steps, scoped):
    d = diagram(graph(recurrence(steps, scoped)))
    found = fold(d)
    (roll,) = found.rolls
    assert roll.times == steps
    assert roll.title == (f"step0 … {steps - 1}" if scoped else f"step 1 … {steps}")
    drawn = {d.nodes[int(home[1:])].name for home in found.home if home[0] == "n"}
    assert drawn >= {"Wx", "Wh", "b"}  # which all steps share, beside what enters the first
    assert found.drawn == 7
    inside = [d.nodes[i].kind for i in roll.all_nodes()]
    assert (inside.count("result"), inside.count("constant")) == (5 * steps, steps)
    acyclic(found)
    held(found, len(d.nodes))


@pytest.mark.parametrize(("scoped", "name"), [(False, "step 12"), (True, "step12")])
def test_any_piece_opens_by_its_name(scoped, name):
    d = diagram(graph(recurrence(30, scoped)))
    found = fold(d, expand=[name])
    k = 11 if not scoped else 12
    before, piece, after = found.boxes()
    assert (before.times, piece.title, after.times) == (k, name, 29 - k)
    assert [d.nodes[i].operation for i in piece.all_nodes() if d.nodes[i].operation] == (
        ["matmul", "matmul", "add", "add", "tanh"]
    )
    assert not piece.closed
    every = [fold(d, expand=[one.name]).drawn for one in fold(d).rolls[0].pieces]
    assert len(every) == 30
    assert max(every) < 30
    acyclic(found)
    held(found, len(d.nodes))


def test_an_unknown_piece_is_an_error_that_lists_those_there_are():
    d = diagram(graph(recurrence(30)))
    said = r"not a scope of this graph \(did you mean 'step 3.*'step 1', 'step 2'.*'step 30', 30 in all"
    with pytest.raises(ValueError, match=said):
        fold(d, expand=["step 31"])


def test_runs_through_one_scope_are_one_box_and_open_by_number():
    x = Tensor(0.5, name="x")
    for _ in range(40):
        with scope("cell"):
            x = np.tanh(x * 1.5)
        x = x + 1
    d = diagram(graph(x))
    assert [(box.title, box.times) for box in fold(d).rolls] == [("step 1 … 40", 40)]
    opened = fold(d, expand=["cell 12"])
    assert [box.title for box in opened.boxes() if not box.closed] == ["step 12", "cell (12)"]


def test_a_scope_that_every_step_enters_is_one_box():
    x = Tensor(0.5, name="x")
    for _ in range(40):
        with scope("cell"):
            x = np.tanh(x * 1.5)
    source = draw(x, depth=0).source
    assert "cell  × 40\\n" in source
    assert "first t2 = 0.6351" in source
    opened = fold(diagram(graph(x)), expand=["step 12"])
    assert [box.title for box in opened.boxes()] == [
        "cell",
        "step 1 … 11",
        "step 12",
        "step 13 … 40",
    ]


def test_a_small_program_is_not_rolled():
    found = fold(diagram(graph(recurrence(3))))
    assert found.rolls == []
    assert found.home == [n.id for n in diagram(graph(recurrence(3))).nodes]
    assert len(fold(diagram(graph(recurrence(3))), roll=True).rolls) == 1


def test_pieces_of_growing_shapes_roll_if_nothing_else_makes_the_picture_small():
    state = Tensor(np.ones(2), name="state")
    for _ in range(40):
        state = np.tanh(np.concatenate([state, state[-1:] * 0.5]) * 1.5)
    d = diagram(graph(np.sum(state)))
    assert [box.times for box in fold(d).rolls] == [40]


def test_rolls_within_rolls():
    rng = np.random.default_rng(0)
    h = Tensor(rng.normal(size=(2, 4)), name="x")
    for layer in range(12):
        with scope(f"layer{layer}"):
            for _ in range(8):
                h = np.tanh(h @ rng.normal(size=(4, 4)))
        h = h + 1.0
    found = fold(diagram(graph(np.sum(h))), expand=["layer3/step 5"])
    # a layer and the addition after it are one piece
    titles = ["step 1 … 3", "step 4", "layer3", "step 1 … 4", "step 5", "step 6 … 8", "step 5 … 12"]
    assert [box.title for box in found.boxes()] == titles


# ── copies ────────────────────────────────────────────────────────────────────────────────────────


def test_a_leaf_is_drawn_where_it_is_used():
    d = diagram(graph(recurrence(30)))
    found = fold(d, limit=1000)
    names = [d.nodes[copy.node].name for copy in found.copies]
    assert names.count("Wh") == names.count("Wx") == names.count("b") == 29
    starts = {copy.id: copy for copy in found.copies}
    for link in found.links:
        if link.source in starts:
            assert {use.place for use in link.uses} <= set(starts[link.source].uses)
    # the contributions at the copies and at the leaf itself add up to the gradient
    for name in ("Wx", "Wh", "b"):
        (node,) = (n for n in d.nodes if n.name == name)
        own = [u for link in found.links if link.source == node.id for u in link.uses]
        copied = [d.uses[use] for c in found.copies if c.node == node.index for use in c.uses]
        total = sum(use.contribution for use in own + copied)
        np.testing.assert_allclose(total, node.gradient, rtol=1e-12)


def test_a_leaf_whose_uses_are_near_has_no_copies():
    for loss in (classifier(), recurrence(2)):
        assert fold(diagram(graph(loss))).copies == []


def test_copies_are_in_the_boxes_of_their_uses():
    found = fold(diagram(graph(recurrence(30, scoped=True))), limit=1000)
    where = {copy.id: box.title for box in found.boxes() for copy in box.copies}
    assert len(where) == len(found.copies)
    assert set(where.values()) == {f"step{k}" for k in range(1, 30)}


def test_a_folded_run_with_open_scopes_in_it_is_one_box():
    x = Tensor(1.5, name="x")
    for k in range(9):
        y = x
        with scope(f"part{k}"):
            for i in range(5 + k):
                y = np.tanh(y) if i % 3 else y * y
        x = x + y
    d = diagram(graph(x))
    found = fold(d, limit=12)
    acyclic(found)
    held(found, len(d.nodes))
    inside = [i for box in found.boxes() if box.closed for i in box.all_nodes()]
    assert sorted(inside) == sorted(set(inside))


def test_what_is_between_rolls_folds_so_that_these_are_seen():
    rng = np.random.default_rng(0)
    h = Tensor(rng.normal(size=(3, 4)), name="x")
    for part in range(8):
        for k in rng.integers(5, size=14):
            h = (np.sin, np.cos, np.exp, np.sinh, np.arctan)[k](h)
        for _ in range(9 + part):
            h = np.tanh(h @ rng.normal(size=(4, 4)))
    d = diagram(graph(np.sum(h)))
    found = fold(d)
    times = [box.times for box in found.rolls]
    assert [n for n in times if n > 5] == [9 + part for part in range(8)]
    assert any(box.title.endswith("operations") for box in found.boxes())
    assert found.drawn <= 80
    acyclic(found)
    held(found, len(d.nodes))


@pytest.mark.parametrize("limit", [10, 30, 200])
def test_what_was_chosen_is_seen_however_much_folds(limit):
    x = Tensor(1.5, name="x")
    for k in range(9):
        with scope(f"part{k}"):
            for i in range(8 + k):
                x = np.tanh(x) if i % 3 else x * x
    d = diagram(graph(x))
    found = fold(d, expand=["part4"], limit=limit)
    (part,) = (box for box in found.boxes() if box.title == "part4")
    assert not part.closed
    assert all(isinstance(item, int) for item in part.items)
    acyclic(found)
    held(found, len(d.nodes))
