"""What is drawn and what is inside a box."""

import numpy as np
import pytest

from autobp import Tensor, graph, scope
from autobp.draw.diagram import diagram
from autobp.draw.fold import fold
from tests.drawing import chain, classifier


def titles(found):
    return [box.title for box in found.boxes() if box.closed]


def acyclic(found):
    targets = {}
    for link in found.links:
        targets.setdefault(link.source, set()).add(link.target)
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
    with pytest.raises(ValueError, match=r"expand='x' is no scope.* 'layer1', 'layer2', 'loss'"):
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


def test_long_chains_fold_in_the_middle():
    d = diagram(graph(chain(1000)))
    found = fold(d)
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
    found = fold(diagram(graph(y)))
    assert [box.title for box in found.boxes()] == ["model", "988 operations"]
    assert found.drawn > 10


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
    found = fold(d)
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
