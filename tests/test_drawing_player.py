"""The player without a browser: the steps, the views, the page as text."""

import base64
import inspect
import json
import math
import re
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobp import Tensor, custom, detect_anomaly, graph, nn, play, scope, sigmoid, softmax
from autobp.drawing import layout
from autobp.drawing.diagram import diagram
from autobp.drawing.dot import label_of
from autobp.drawing.formula import brief
from autobp.drawing.player import player, views
from autobp.drawing.player.cells import ALPHABET, Cells, pictured
from autobp.drawing.player.plan import plan
from autobp.drawing.player.steps import STYLE, Script
from autobp.drawing.player.sweeps import multiplications, tangents
from autobp.drawing.player.words import WORDS
from autobp.rules import PRIMITIVES
from autobp.verify.samples import RECORDS
from tests.drawing import classifier, needs_dot, neuron
from tests.test_package import ROOT


def script(loss):
    program = diagram(graph(loss))
    return Script(program, plan(program).parts)


def said(steps):
    return [f"{step.says} {step.result}" for step in steps]


def example():
    x = Tensor([1.0, 2.0], name="x")
    w = Tensor([[0.5, -1.0], [1.5, 2.0]], name="w")
    return np.sum(np.tanh(x @ w) ** 2)


def samples(n):
    """A loss of scalars, as micrograd's users write it: 60 operations for each of n samples."""
    rng = np.random.default_rng(0)
    hidden = [
        [Tensor(float(v), name=f"w{i}{j}") for j, v in enumerate(rng.normal(size=3))]
        for i in range(8)
    ]
    output = [Tensor(float(v), name=f"v{i}") for i, v in enumerate(rng.normal(size=9))]
    total = 0.0
    for k in range(n):
        with scope(f"sample{k}"):
            xs = [*rng.normal(size=2), 1.0]
            with scope("hidden"):
                hs = [np.tanh(sum(w * x for w, x in zip(row, xs))) for row in hidden]
            with scope("output"):
                y = sum(v * h for v, h in zip(output, [*hs, 1.0]))
            total = total + (y - 1.0) ** 2
    return total, [*(w for row in hidden for w in row), *output]


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_contribution_is_written_out():
    a = Tensor(-0.707, name="a")
    assert "grad of a: 0 + 1 × 1.5 = 1.5" in said(script(a * 1.5 + 2).backward)
    b = Tensor(1.5, name="b")
    assert "grad of b: 0 + 1 × (−0.707) = −0.707" in said(script(b * a).backward)


def test_each_use_is_a_step_of_its_own():
    x = Tensor(3.0, name="x")
    steps = said(script(x * x + x).backward)
    assert steps[2:] == [
        "grad of x: 0 + 1 × 1 = 1",
        "grad of x: 1 + 1 × 3 = 4",
        "grad of x: 4 + 1 × 3 = 7",
    ]


def test_forward_then_the_seed_then_backward():
    found = script(neuron())
    assert said(found.forward)[-1] == "o = tanh(0.8814) = 0.7071"
    assert said(found.backward)[:2] == ["grad of o = 1", "grad of n: 0 + 1 × 0.5 = 0.5"]
    step = found.backward[1]
    assert step.why == "local derivative ∂o/∂n = 1 − o² = 1 − 0.7071² = 0.5"


def test_arrays_are_written_as_formulas():
    rng = np.random.default_rng(0)
    x, w = Tensor(rng.normal(size=(5, 3)), name="x"), Tensor(rng.normal(size=(3, 2)), name="w")
    steps = script(np.mean(np.tanh(x @ w))).backward
    says = [step.says for step in steps]
    assert says[1] == "grad of t3: 0 + g / 10 for each of 10 elements ="
    assert says[2] == "grad of t2: 0 + g × (1 − t3²) ="
    assert says[3] == "grad of x: 0 + g @ wᵀ ="
    assert says[4] == "grad of w: 0 + xᵀ @ g ="
    assert steps[1].result.startswith("(5,2) ")


def test_broadcasting_is_undone_by_a_sum():
    b = Tensor(0.5, name="b")
    steps = script(np.sum(Tensor([1.0, 2.0], name="x") * b)).backward
    assert "grad of b: 0 + the sum of g × x = 3" in said(steps)


def test_vectors_give_outer_products():
    says = [step.says for step in script(example()).backward]
    assert says[-2:] == ["grad of x: 0 + w @ g =", "grad of w: 0 + outer(x, g) ="]


def test_what_changes_no_shape_is_left_out():
    model = nn.Linear(3, 2, rng=np.random.default_rng(0))
    says = [step.says for step in script(np.sum(model(np.ones((5, 3))))).backward]
    assert "grad of weight: 0 + gᵀ @ array0 =" in says


def test_signs_are_in_parentheses():
    step = script(np.tanh(Tensor(-0.6, name="x"))).backward[-1]
    assert step.why == "local derivative ∂t1/∂x = 1 − t1² = 1 − (−0.537)² = 0.7116"
    x, y = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="y")
    says = [step.says for step in script(np.sum(-x - x / y)).backward]
    assert "grad of t3: 0 + (−g) =" in says
    assert "grad of y: 0 + (−g / y × t3) =" in says


def test_a_factor_that_only_rounds_to_one_is_not_left_out():
    x = Tensor(2.0, name="x")
    assert script(x * 1.00001).forward[0].says == "t1 = 2 × 1 ="


def test_a_rule_that_does_not_run_on_tensors_is_named():
    f = custom(lambda x: np.sin(x), vjp=lambda g, y, x: g * math.cos(x), name="wave")
    v = Tensor(0.3, name="v")
    (step,) = script(f(v)).backward[1:]
    assert step.says == "grad of v: 0 + 1 × 0.9553 ="
    rows = custom(lambda x: x * 2, vjp=lambda g, y, x: np.asarray(g.tolist()) * 2, name="rows")
    steps = script(np.sum(rows(Tensor([1.0, 2.0, 3.0], name="u")))).backward
    assert steps[-1].says == "grad of u: 0 + the rule of rows, of g ="


numbers = st.floats(-2, 2).filter(lambda x: abs(x) > 1e-3)


@given(st.lists(numbers, min_size=2, max_size=4), st.lists(st.integers(0, 4), max_size=8))
@settings(max_examples=25)
def test_the_last_numbers_are_the_engines(values, choices):
    xs = [Tensor(v, name=f"x{i}") for i, v in enumerate(values)]
    made = list(xs)
    for k, c in enumerate(choices):
        a, b = made[k % len(made)], made[-1]
        made.append([a + b, a * b, np.tanh(b) - a, np.sin(a) * b, a * a][c])
    loss = sum(made)
    found = script(loss)
    loss.backward()
    last = {}
    for step in found.backward:
        last.update({item: text for item, text, _ in step.found})
    for x in xs:
        assert last[found.place[found.diagram.nodes.index(node_of(found, x))]] == brief(x.grad)
    for one in found.passes:
        (x,) = (x for x in xs if x.name == one.name)
        assert float(one.steps[-1].result.replace("−", "-")) == pytest.approx(
            x.grad, rel=1e-3, abs=1e-9
        )


def node_of(found, tensor):
    return next(n for n in found.diagram.nodes if n.tensor is tensor)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_operation_can_be_played(name):
    sample = RECORDS[name].samples[0]
    chosen = [k for k, a in enumerate(sample.args) if np.asarray(a).dtype.kind == "f"]
    args = list(sample.args)
    for k in chosen:
        args[k] = Tensor(args[k], name=f"x{k}")
    loss = np.sum(PRIMITIVES[name](*args, **sample.params) * 1.5)
    found = script(loss)
    loss.backward()
    assert found.notes == []
    last = {}
    for step in found.backward:
        last.update({item: text for item, text, _ in step.found})
    for k in chosen:
        node = node_of(found, args[k])
        np.testing.assert_array_equal(node.gradient, args[k].grad)
        if found.place[node.index] in last:
            text = last[found.place[node.index]]
            if pictured(node.gradient):
                assert text == brief(node.gradient).partition(" ")[2]
            else:
                assert text == "\n".join(label_of(node, STYLE)[2]).removeprefix("grad ")
    numbers = [(k, index) for k in chosen for index in np.ndindex(args[k].shape)]
    for one, (k, index) in zip(found.passes, numbers):
        if one.steps[-1].item == found.place[found.output]:
            slope = float(one.steps[-1].result.replace("−", "-"))
            np.testing.assert_allclose(slope, np.asarray(args[k].grad)[index], 1e-3, 1e-9)


def test_forward_mode_along_each_number():
    found = script(example())
    assert [p.name for p in found.passes] == [
        "x[0]",
        "x[1]",
        "w[0, 0]",
        "w[0, 1]",
        "w[1, 0]",
        "w[1, 1]",
    ]
    steps = found.passes[3].steps
    assert said(steps) == [
        "tangent of w[0, 1] = 1",
        "tangent of t2: x @ dw = [0, 1]",
        "tangent of t3: dt2 × (1 − t3²) = [0, 0.009866]",
        "tangent of t4: dt3 × 2 × t3 = [0, 0.01963]",
        "tangent of t5: sum(dt4) = 0.01963",
    ]
    assert steps[2].why == "dt2 is the tangent of t2: [0, 1]"
    assert steps[-1].why.endswith("reverse mode computes all such derivatives in one sweep")


def test_forward_mode_of_numbers_writes_the_chain_rule():
    a, b = Tensor(2.0, name="a"), Tensor(-3.0, name="b")
    step = script(a * b + a).passes[0].steps[-1]
    assert step.says == "tangent of t3: 1 × (−3) + 1 × 1 ="
    assert step.why.startswith(
        "tangent of t3 = ∂t3/∂t2 × tangent of t2 + ∂t3/∂a × tangent of a. That is ∂t3/∂a"
    )


def test_what_both_modes_cost():
    found = script(example())
    # through x @ w: 4 for x and 4 for w; through tanh and the square 2 each; the sum passes on
    assert found.backward_count == 4 + 4 + 2 + 2
    assert found.entries == 6
    assert found.forward_count == 6 * (4 + 2 + 2)
    assert sum(step.count for p in found.passes for step in p.steps) == found.forward_count


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (lambda x: x + 1, 0),
        (lambda x: 1 - x, 0),
        (lambda x: -x, 0),
        (lambda x: np.reshape(x, -1), 0),
        (lambda x: x[0], 0),
        (lambda x: np.exp(x), 6),
        (lambda x: np.mean(x, axis=0), 3),
        (lambda x: x @ np.ones((3, 4)), 24),
        (lambda x: np.einsum("ij,kj->ik", x, np.ones((5, 3))), 30),
        (lambda x: softmax(x), 12),
    ],
)
def test_multiplications(made, count):
    assert multiplications(made(Tensor(np.ones((2, 3)))), 0) == count


def test_tangents_reach_what_depends_on_the_start():
    x, y = Tensor(2.0), Tensor(3.0)
    a, b = x * 5, y * 7
    assert tangents([a, b, c := a + b], {x: 1.0}) == {x: 1.0, a: 5.0, c: 5.0}


# ── which pictures there are ──────────────────────────────────────────────────────────────────────


def test_levels_of_scopes_and_each_scope_by_itself():
    made = plan(diagram(graph(classifier())))
    assert [title for title, _ in made.whole] == ["all closed", "all open"]
    assert [layer.path for layer in made.layers] == ["layer1", "layer2", "loss"]
    assert made.parts == {}


def test_titles_are_different():
    def block(x, k):
        with scope(f"block{k}"):
            for name in ("attention", "mlp"):
                with scope(name):
                    x = np.tanh(x * 1.5) + x
        return x

    x = Tensor(0.5, name="x")
    for k in range(6):
        x = block(x, k)
    made = plan(diagram(graph(x)))
    titles = [title for title, _ in made.whole]
    assert len(set(titles)) == len(titles) > 2
    assert "block4/mlp" in [layer.path for layer in made.layers]


def deep(n, width=8):
    """n layers, each in its scope."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(5, width))
    for i in range(n):
        with scope(f"layer{i}"):
            W = Tensor(rng.normal(size=(width, width)) / width**0.5, name="W")
            h = np.tanh(h @ W + Tensor(np.zeros(width), name="b"))
    with scope("loss"):
        return np.mean((h - 1.0) ** 2)


def recurrent(n):
    """n steps of a recurrence, in no scope."""
    rng = np.random.default_rng(0)
    Wx, Wh = Tensor(rng.normal(size=(3, 4)), name="Wx"), Tensor(np.eye(4) * 0.5, name="Wh")
    b, h = Tensor(np.zeros(4), name="b"), Tensor(np.zeros((2, 4)), name="h0")
    for x in rng.normal(size=(n, 2, 3)):
        h = np.tanh(x @ Wx + h @ Wh + b)
    return np.sum(h**2)


def lived_in(n):
    """n operations that do not repeat."""
    rng = np.random.default_rng(0)
    x = y = Tensor(0.5, name="x")
    for k in rng.integers(0, 4, n):
        y = [y + x, y * 0.9, np.tanh(y), y - x][k]
    return y


@pytest.mark.parametrize("program", [deep(200), recurrent(300), lived_in(900), deep(350)])
def test_every_variable_has_a_picture_that_shows_it(program):
    made = play(program)
    data = data_of(made.page)
    assert len(data["items"]) == len(made.diagram.nodes)
    for n, item in enumerate(data["items"]):
        view = data["views"][item[8]]
        assert [n, 1] in [group for id, group in view["groups"].items() if id[0] == "n"]
    assert max(len(view["groups"]) for view in data["views"]) < 200


def test_boxes_that_are_built_alike_share_a_picture():
    data = data_of(play(deep(200)).page)
    inner = [view for view in data["views"] if view["path"].startswith("layer")]
    assert [view["path"] for view in inner] == [f"layer{i}" for i in range(200)]
    assert len({view["picture"] for view in inner}) < 8
    assert len({str(view["groups"]) for view in inner}) == 200


def test_a_large_program_is_played_in_parts():
    loss, weights = samples(120)
    found = script(loss)
    assert len(found.diagram.nodes) > 6000
    assert len(found.items) < 1000
    loss.backward()
    first = next(step for step in found.backward if "sample" in step.says)
    assert re.fullmatch(
        r"sample\d+.*, backwards along \d+ edges: \d+ gradients grew", said([first])[0]
    )
    w = weights[0]
    assert found.diagram.nodes[node_of(found, w).index].gradient == w.grad
    assert found.backward_count == sum(found.counts.values())


def test_parts_add_up_what_leaves_them():
    x = Tensor(0.5, name="x")
    y = x
    for _ in range(10_000):
        y = y * 1.0001
    found = script(y * x)
    assert 100 < len(found.items) < 700
    (y * x).backward()
    last = {}
    for step in found.backward:
        last.update({item: text for item, text, _ in step.found})
    assert last[0] == brief(x.grad)


# ── arrays as cells ───────────────────────────────────────────────────────────────────────────────


def numbers_of(made):
    """The numbers of a map, as the page reads them."""
    exponent, text = made[-2:]
    found = []
    for i in range(0, len(text), 3):
        code = 0
        for c in text[i : i + 3]:
            code = code * len(ALPHABET) + ALPHABET.index(c)
        if code < 4:
            found.append([0.0, np.nan, np.inf, -np.inf][code])
        else:
            down, rest = divmod(code - 4, 18_000)
            sign, digits = divmod(rest, 9000)
            found.append(float(f"{'-' * sign}{digits + 1000}e{exponent - down - 3}"))
    return np.array(found)


@given(
    st.lists(
        st.floats(allow_subnormal=False).filter(
            lambda x: x == 0 or np.isinf(x) or not (abs(x) < 1e-290 or abs(x) > 1e307)
        ),
        min_size=5,
        max_size=20,
    )
)
def test_cells_hold_numbers_of_any_size(values):
    array = np.array(values)
    cells = Cells(1)
    k = cells.add(array)
    if k is None:
        assert len(set(values)) == 1 or np.isnan(array[0])
        return
    found = numbers_of(cells.maps[k])
    largest = np.max(np.abs(array[np.isfinite(array)]), initial=0)
    kept = ~(np.abs(array) < largest * 1e-35)
    assert [f"{x:.4g}" for x in found[kept]] == [f"{x + 0.0:.4g}" for x in array[kept]]


def test_of_a_large_array_nothing_that_stands_out_is_lost():
    array = np.zeros((300, 200))
    array[137, 55] = -1e-9
    cells = Cells(1)
    cells.add(array)
    assert numbers_of(cells.maps[0]).min() == -1e-9
    assert len(numbers_of(cells.maps[0])) <= 1024


def test_a_dead_column_is_a_column_of_zeros():
    gradient = np.random.default_rng(0).normal(size=(20, 8))
    gradient[:, 3] = 0
    for arrays in (1, 2000):  # of a page with many arrays, a map has fewer rows, but all columns
        cells = Cells(arrays)
        cells.add(gradient)
        columns = numbers_of(cells.maps[0]).reshape(-1, 8)
        assert [k for k in range(8) if not columns[:, k].any()] == [3]


def test_images_are_images():
    rng = np.random.default_rng(0)
    cells = Cells(4)
    cells.add(rng.random((3, 784)), image=True)
    cells.add(rng.random((2, 3, 16, 16)), image=True)
    cells.add(rng.random((2, 3, 16, 16)) - 0.5, image=True)
    assert [m[:5] for m in cells.maps] == [
        ["grey", [3, 28, 28], [3], 28, 28],
        ["rgb", [2, 3, 16, 16], [2], 16, 16],
        ["cells", [2, 3, 16, 16], [2, 3], 16, 16],
    ]


# ── play ──────────────────────────────────────────────────────────────────────────────────────────


def data_of(page):
    text = re.search(r'id="data">(.*?)</script>', page, re.S)[1]
    return json.loads(text if text[0] == "{" else zlib.decompress(base64.b64decode(text)))


def test_a_function_is_run_with_names_and_lines():
    def f(a, b):
        s = a * b
        return np.tanh(s)

    line = inspect.getsourcelines(f)[1]
    items = data_of(play(f, 2.0, -0.3).page)["items"]
    assert [item[0] for item in items] == ["a", "b", "t2", "t3"]
    assert items[2][5] == f"test_drawing_player.py:{line + 1}  s = a * b"
    assert items[3][5] == f"test_drawing_player.py:{line + 2}  return np.tanh(s)"


def test_lines_are_kept_inside_scopes():
    def f(a):
        with scope("inner"):
            return np.tanh(a)

    assert "np.tanh(a)" in data_of(play(f, 2.0).page)["items"][1][5]


def test_a_function_of_nests_and_of_tensors():
    w = Tensor(2.0, name="mine")
    items = data_of(
        play(lambda p, *rest: p["w"] * rest[0] + p["b"][0], {"w": w, "b": [1.0]}, 3.0).page
    )
    assert [item[0] for item in items["items"] if item[1] == "input"] == [
        "mine",
        "p['b'][0]",
        "rest1",
    ]


def test_lines_are_kept_without_looking_for_anomalies():
    with np.errstate(divide="ignore", invalid="ignore"):
        page = play(lambda x: np.log(x) * 0.0, 0.0).page
    items = data_of(page)["items"]
    assert items[1][3] == "−inf"
    assert "np.log" in items[1][5]


def test_lines_of_a_recorded_result_are_those_of_detect_anomaly():
    x = Tensor(1.0, name="x")
    with detect_anomaly():
        y = x * 2
    assert "y = x * 2" in data_of(play(y).page)["items"][1][5]
    assert data_of(play(x * 2).page)["items"][1][5] == ""


def test_names_of_variables():
    first = Tensor(1.0)
    assert "first" in [item[0] for item in data_of(play(first * 2, names=locals()).page)["items"]]


def test_nothing_of_the_users_changes():
    x = Tensor([1.0, 2.0], name="x")
    y = x * 3
    called = []
    y.register_hook(called.append)
    x.grad = before = np.array([7.0, 7.0])
    assert play(np.sum(y * y)).page
    assert called == []
    assert x.grad is before


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: play(3.0),
            TypeError,
            "play() takes a Tensor, or a function and its arguments, not float",
        ),
        (lambda: play(Tensor(1.0) * 2, 1.0), TypeError, "play() of a result takes no arguments"),
        (
            lambda: play(Tensor([1.0, 2.0]) * 2),
            ValueError,
            "play() needs a scalar; this result has shape (2,)",
        ),
        (lambda: play(Tensor(1.0).detach()), ValueError, "play(): the result is a constant"),
        (lambda: play(lambda x: 3.0, 1.0), ValueError, "play(): the result is a constant"),
        (lambda: play(lambda x: (x, x), 1.0), TypeError, "play(): the function returned a tuple"),
        (
            lambda: play(lambda x: None, 1.0),
            TypeError,
            "returned None; it must return one number, the loss: is there a return?",
        ),
        (
            lambda: play(lambda x, on: x, 1.0, True),
            TypeError,
            "play(): the argument on: a Tensor holds floating-point numbers, not bool",
        ),
        (
            lambda: play(Tensor(1.0) * 2).save("x.svg"),
            ValueError,
            "x.svg: the name of a player must end in .html",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as raised:
        call()
    assert text in str(raised.value)


def test_data_that_was_replaced_is_noticed():
    x = Tensor(2.0, name="x")
    y = x * x
    x.data = 3.0
    with pytest.raises(RuntimeError, match="the data of 'x' was replaced"):
        play(y)


# ── the page ──────────────────────────────────────────────────────────────────────────────────────


@needs_dot
def test_sizes(tmp_path):
    assert play(example()).save(tmp_path / "x.html").stat().st_size < 150_000
    loss, _ = samples(262)
    assert len(graph(loss)) > 20_000
    assert play(loss).save(tmp_path / "y.html").stat().st_size < 1_000_000


@needs_dot
def test_the_page_is_by_itself():
    page = play(classifier()).page
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    assert page.count("<script") == 2
    assert "unsafe" not in page
    assert not re.search(r"\s(href|src|on\w+|style)=", page.replace('href="data:,"', ""))
    assert "<title>loss, step by step</title>" in page


def test_numbers_that_json_has_not():
    with np.errstate(all="ignore"):
        page = play(lambda x: np.log(x) * 0.0 + x, 0.0).page
    items = data_of(page)["items"]
    assert [item[3] for item in items[:3]] == ["0", "−inf", "NaN"]


def test_the_same_page_every_time():
    assert play(neuron()).page == play(neuron()).page


def test_without_graphviz_there_is_still_a_player(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    made = play(neuron())
    assert "apt install graphviz" in made.page
    bundle = made._repr_mimebundle_()
    assert "apt install graphviz" in bundle["text/html"]


@needs_dot
def test_a_view_that_cannot_be_drawn_is_left_out(monkeypatch):
    def drawn(text, format):
        if "W1" in text and "cluster_c1" in text:
            raise RuntimeError("Graphviz failed")
        return layout.render(text, format)

    monkeypatch.setattr(views, "render", drawn)
    held = [view["title"] for view in data_of(play(classifier()).page)["views"]]
    assert "all closed" in held
    assert "layer2" in held
    assert "all open" not in held
    monkeypatch.setattr(views, "render", lambda *_: (_ for _ in ()).throw(RuntimeError("no way")))
    assert "<p>no way</p>" in play(classifier()).page


def test_in_a_notebook():
    made = play(neuron())
    bundle = made._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == repr(made)
    shown = bundle["text/html"]
    assert shown.index("<img ") < shown.index("<iframe ")
    assert 'sandbox="allow-scripts"' in shown
    assert "<script" not in shown  # it is inside srcdoc, as text
    assert set(made._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert set(made._repr_mimebundle_(exclude=["text/html"])) == {"text/plain"}


def test_a_notebook_never_sees_an_exception(monkeypatch):
    made = play(neuron())
    monkeypatch.setattr(player, "render", lambda text, format: 1 / 0)
    assert made._repr_mimebundle_() == {"text/plain": f"{made!r}\ndivision by zero"}


def test_a_rule_that_fails_in_forward_mode_is_noted():
    def failing(t, y, x):
        raise KeyError("no such slope")

    f = custom(lambda x: x * 2, vjp=lambda g, y, x: g * 2, jvp=failing, name="double")
    made = script(f(Tensor(1.0, name="x")) * 3.0)
    assert made.passes == []
    assert made.notes == ["forward mode stops where a rule failed: 'no such slope'"]


def test_a_player_keeps_what_it_was_made_of():
    w = Tensor(2.0, name="w")
    made = play(w * w)
    w.data = 5.0
    assert "4" in [item[3] for item in data_of(made.page)["items"]]


@needs_dot
def test_a_page_opens_with_a_picture_that_can_be_read():
    h, xs = np.zeros((4, 8)), np.ones((50, 4, 8))
    w, u, b = ({k: Tensor(np.full(s, 0.1), name=f"{n}{k}") for k in "zrh"} for n, s in (("W", (8, 8)), ("U", (8, 8)), ("b", 8)))  # fmt: skip
    for x in xs:
        z = sigmoid(x @ w["z"] + h @ u["z"] + b["z"])
        r = sigmoid(x @ w["r"] + h @ u["r"] + b["r"])
        h = (1 - z) * h + z * np.tanh(x @ w["h"] + (r * h) @ u["h"] + b["h"])
    program = diagram(graph(np.mean(h**2)))
    made = plan(program)
    pictures = views.views(Script(program, made.parts), made)
    assert pictures.views[0].title == "at a glance"
    wide, high = map(float, re.search(r'viewBox="0\.?0* 0\.?0* ([\d.]+) ([\d.]+)"', pictures.pictures[0]).groups())  # fmt: skip
    assert min(1290 / (wide * 4 / 3), 350 / (high * 4 / 3)) * 10 * 4 / 3 >= 9


# ── the texts of the page ─────────────────────────────────────────────────────────────────────────

PLAYER = ROOT / "autobp/drawing/player"


def sources(pattern):
    return {path.name: path.read_text(encoding="utf-8") for path in PLAYER.glob(pattern)}


def test_every_text_of_the_table_is_used_and_every_one_that_is_used_is_there():
    code = "\n".join([*sources("[!wc]*.py").values(), *sources("script/*.js").values()])
    html = sources("player.html")["player.html"]
    used = set(re.findall(r"""(?:said|word|WORDS)[(\[]["'](\w+)["']""", code))
    used |= set(re.findall(r"\$w_(\w+)", html))
    assert used - set(WORDS) == set()
    parts = set(re.findall(r"""["'`](\w+?)_?["'`$]""", code))  # of keys that are put together
    assert {
        k for k in set(WORDS) - used if k not in parts and k.split("_")[0] not in parts
    } == set()


def test_no_text_of_the_page_stands_outside_the_table():
    html = sources("player.html")["player.html"]
    shown = re.sub(r"<(meta|style|script)\b.*", "", html)
    texts = re.findall(r">([^<]+)<", shown)
    texts += re.findall(r'(?:aria-label|title|placeholder)="([^"]*)"', shown)
    assert len(texts) > 50
    assert [t for t in texts if re.search(r"[A-Za-z]{2}", re.sub(r"\$\w+", "", t))] == []
    marks = {
        "values vanishing",
        "values exploding",
    }  # kinds of marks, by which texts are recognized
    for name, code in sources("script/*.js").items():
        code = re.sub(r"//.*", "", code)
        code = re.sub(r"class(?:Name)?: [\"'`][^\"'`]*[\"'`]", "", code)
        literals = re.findall(r'"([^"\n]*)"', code)
        prose = [t for t in literals if re.search(r"^[A-Z][a-z]+[ .]|\b[a-z]{2,} [a-z]{2,}\b", t)]
        assert set(prose) <= marks, name
