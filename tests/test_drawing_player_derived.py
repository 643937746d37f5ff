"""A live page says, for other inputs, what Python says for them: every number and every text."""

import json
import re
from importlib.resources import files

import numpy as np
import pytest

from autobp import Tensor, graph, nn, play, relu, scan, sigmoid, softmax
from autobp.compiler.call import Call
from autobp.compiler.javascript import RUNTIME
from autobp.compiler.terms import Settings
from autobp.context import lines
from autobp.drawing.diagram import diagram
from autobp.drawing.literal import number
from autobp.drawing.player.live import Live, live
from autobp.drawing.player.page import _live
from autobp.drawing.player.player import _tensors
from autobp.drawing.player.steps import Script
from tests.test_compiler_javascript import in_node, needs_node
from tests.test_drawing_player_live import reason

X = np.random.default_rng(0).standard_normal((3, 2))
CAUSAL = np.tril(np.ones((2, 2), bool))
LABELS = np.array([0, 2, 1])
V = np.array([-1.0, 0.5, 1.0])
M = np.array([[0.5, -1.0, 2.0], [1.5, 0.0, -0.5]])
model = nn.Sequential(nn.Linear(2, 4, rng=0), nn.relu, nn.Linear(4, 3, rng=1))


pooled = nn.Sequential(
    nn.Conv2d(1, 2, 3, rng=0), nn.relu, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3, rng=1)
)


normalized = nn.BatchNorm2d(3)
W = np.array([[1.0, -2.0, 0.5], [0.3, 1.7, -0.9]])


def leaky(x):
    return np.sum(np.where(x > 0, x * x, 0.1 * x))


def gated(a, b):
    return a * b * (a > b) + (a <= b) * b


def decayed(x, w):
    def body(total, row):
        total = np.tanh(w * total + row)
        return total, total**2

    last, squares = scan(body, 0.5, x)
    return last * np.sum(squares)


def hinge(w):
    margin = X @ w
    return np.sum((1 - margin) * (margin < 1)) / np.count_nonzero(X)


#: Functions, of which most have plain values that depend on the inputs.
PROGRAMS = {
    "where of a mask": (leaky, V),
    "product with a mask": (lambda x: np.sum(x * (x > 0)), V),
    "product with a mask as numbers": (lambda x: np.sum(x * (x > 0).astype(float)), V),
    "two masks": (lambda x: np.sum(np.where((x > -1) & (x < 1), x**2, 2 * abs(x) - 1)), V),
    "not a mask": (lambda x: np.sum(np.where(~(x > 0), x, x**2)), V),
    "numbers": (gated, 2.0, -0.3),
    "where of numbers": (lambda a, b: np.where(a > 0, a * b, b), 2.0, -0.3),
    "how many": (lambda x: np.sum(x) * np.sum(x > 0), V),
    "detached": (lambda x: np.sum(x * x.detach()), V),
    "detached results": (lambda x: np.sum(x * np.exp(x).detach()), V),
    "data of a closure": (hinge, np.ones(2)),
    "probabilities": (lambda x: nn.binary_cross_entropy(sigmoid(x), np.array([0.0, 1.0, 1.0])), V),
    "signs of zeros": (lambda x: np.sum(np.copysign(x, np.sign(0 * x.detach()))), V),
    "signs": (lambda x: np.sum(x * np.sign(x)), V),
    "labels": (lambda x: nn.cross_entropy(x, LABELS), np.eye(3)),
    "a network": (lambda x: nn.cross_entropy(model(x), LABELS), X),
    "max": (lambda x: np.max(x), V),
    "max of rows": (lambda x: np.sum(np.max(x, axis=1) ** 2), M),
    "min": (lambda x: np.min(x) * np.sum(x), V),
    "maximum": (lambda x, y: np.sum(np.maximum(x, y) * x), V, -V),
    "minimum of numbers": (lambda a, b: np.minimum(a, b) * a, 0.5, 2.0),
    "relu": (lambda a, b: relu(a * b) + relu(-a), 2.0, -0.3),
    "clip": (lambda x: np.sum(np.clip(x, -0.5, 0.7) * x), V),
    "absolute": (lambda a: abs(a) * a, -0.5),
    "norm": (lambda x: np.linalg.norm(x), V),
    "prod": (lambda x: np.prod(x), np.array([3.0, 4.0, 2.0])),
    "cumprod": (lambda x: np.sum(np.cumprod(x)), V),
    "powers": (lambda a, b: a**2 + a**3 * b, 0.25, -2.0),
    "powers of numbers": (lambda a, b: abs(a) ** b, 2.0, 0.5),
    "softmax": (lambda x: np.sum(softmax(x) * np.arange(3.0)), V),
    "quotients": (lambda a, b: (a - b) / (a + b), 0.5, 2.0),
    "elements": (lambda x: x[0] * x[-1] - x[1], V),
    "gathered": (lambda x: np.sum(x[np.array([0, 0, 2])] ** 2), V),
    "slices": (lambda x: np.sum(x[1:] * x[:-1]), V),
    "relu of numbers": (lambda w, x, b: np.maximum(w * x + b, 0), 2.0, -0.3, 0.5),
    "trace": (lambda x: np.trace(x) * np.sum(np.diag(x)), np.eye(3)),
    "cross": (lambda x, y: np.sum(np.cross(x, y) * x * x), V, V + 1),
    "where of one number": (lambda a, x: np.sum(np.where(a > x, a, x)), 0.3, V),
    "std": (lambda x: np.std(x), V),
    "stable softmax": (lambda x: np.log(np.sum(np.exp(x - np.max(x).detach()))), V),
    "mean under a mask": (lambda x: np.sum(x * (x > 0)) / np.maximum(np.sum(x > 0), 1), V),
    "any and all": (lambda x: np.sum(x) * np.any(x > 0) + np.sum(x**2) * np.all(x > 0), V),
    "select": (lambda x: np.sum(np.select([x < -0.5, x < 0.5], [x, x**2], x**3)), V),
    "near pairs": (lambda x: np.sum((x[:, None] - x) ** 2 * (abs(x[:, None] - x) < 1)), V),
    "causal": (lambda q: np.sum(softmax(np.where(CAUSAL, q @ q.T, -1e9)) @ q), M),
    "one step": (lambda w: np.sum((w - 0.1 * (2 * w.detach())) ** 2), V),
    "signs of numbers": (lambda a: -((-a) ** 2) - -a * -3 + (-1.5) / (-a), 0.5),
    "a convolutional network": (lambda x: nn.cross_entropy(pooled(x), np.array([1])), np.random.default_rng(3).standard_normal((1, 1, 6, 6))),
    "attention": (lambda x: np.sum(nn.scaled_dot_product_attention(x, 0.7 * x, x**2, is_causal=True) * W), M),
    "a small cube": (lambda x: np.sum(np.sqrt(x.reshape(2, 1, 2)) * np.ones((2, 1, 2)) * 2), np.array([1.0, 2.0, 4.0, 3.0])),
    "convolve": (lambda x: np.sum(np.convolve(x, np.array([1.0, -2.0])) ** 2), V),
    "scan": (decayed, V, 0.7),
    "a number with an axis": (lambda a: np.sum((a[None] + np.ones(3)) ** 2) + a, 0.7),
    "truth of numbers": (lambda x: np.sum(x * x) * np.all(x) + np.sum(x) * np.logical_or(x[0], x[1]), V),
    "rounded": (lambda x: np.sum(x * np.round(1.234567 * x.detach(), 2) + np.round(7.1 * x.detach(), -1)), V),
    "truth added up": (lambda x: np.sum(x**2 * ((x > 0) + (x > -1))), V),
    "largest numbers": (lambda x: np.sum(np.maximum(x, np.finfo(float).min) * np.sign(x)), V),
    "chains": (lambda a: np.tanh(np.exp(-a) * np.sin(a)) * -a, -0.5),
}  # fmt: skip

STUB = """
const json = %s;
globalThis.document = { getElementById: (id) => (id === "data" ? { textContent: json } : {}) };
globalThis.matchMedia = () => ({});
"""
SAID = """
const results = [];
for (const values of %s) {
  values.forEach((x, i) => (given[i] = typeof x === "number" ? x : Float64Array.from(x.flat(9))));
  first = numbers = program(...given);  // no text has changed: each is written as in the beginning
  filledIn.clear();
  results.push([live.items.map(([value, formula, gradient]) => [value, formula, gradient]), live.arrows.map(([product, term]) => [product, term]),
    live.steps.map(([says, result, why, found]) => [says, result, why, found.map((one) => one[1])])].map(function texts(x) { return typeof x === "string" ? filled(x) : x.map(texts); }));
}
console.log(JSON.stringify(results));
"""


def recorded(function, args):
    given = _tensors(function, args)
    with lines(), np.errstate(all="ignore"):
        return Script(diagram(graph(function(*given)))), given


def texts(script):
    """What a page says, in the order in which the page has it."""
    steps = [*script.forward, *script.backward, *(s for p in script.passes for s in p.steps)]
    return [
        [[i.value, i.formula, i.gradient] for i in script.items],
        [[a.product, a.term] for a in script.arrows],
        [[s.says, s.result, s.why, [one[1] for one in s.found]] for s in steps],
    ]


def said(found, script, changes):
    """What the page says for other inputs."""
    return in_page(script, found, SAID % json.dumps(changes))


def in_page(script, found, program):
    """What a program prints that runs after the scripts of the page that write numbers."""
    data = json.dumps({"live": _live(script, found), "phrases": []})
    parts = [
        files("autobp.drawing.player").joinpath(f"script/{n}.js").read_text()
        for n in ("data", "live")
    ]
    inlined = re.sub(r"await (inflated\(packed\))", r"\1", "\n".join(parts))
    return in_node(f"{RUNTIME}{found.code}\n{STUB % json.dumps(data)}{inlined}{program}")


@needs_node
def test_what_python_would_refuse_a_page_refuses():
    """A loss checks that probabilities are from 0 to 1."""
    f = lambda p: nn.binary_cross_entropy(p, 1.0)
    script, given = recorded(f, [0.5])
    found = live(script, Call(f, "f", tuple(given), {}, Settings()))
    tried = (
        "[0.25, 2].map((p) => { try { program(p); return ''; } catch (e) { return String(e); } })"
    )
    fine, refused = in_page(script, found, f"console.log(JSON.stringify({tried}))")
    assert fine == ""
    assert refused.startswith("Error: test_drawing_player_derived.py:")


@needs_node
def test_numbers_of_any_size_have_four_digits():
    largest = float(np.finfo(float).max)
    numbers = [
        largest,
        -largest,
        5e-324,
        0.0,
        1e-4,
        0.99995e-4,
        9999.5,
        -9999.4,
        1.0005,
        1.0015,
        123.0,
    ]
    script, _ = recorded(lambda x: x * x, [2.0])
    found = live(script)
    texts = f"console.log(JSON.stringify({json.dumps(numbers)}.map((x) => [digits(x), steady(x)])))"
    for x, (digits, steady) in zip(numbers, in_page(script, found, texts), strict=True):
        assert digits == number(x)
        in_full = f"{x:.3e}" if "e" in digits else f"{x:#.4g}" if x else "0.000"
        assert steady == in_full.rstrip(".").replace("-", "−")


def others(args):
    """Other inputs: some random ones; numbers of few digits with zeros and ties among them."""
    rng = np.random.default_rng(1)
    for draw in (
        rng.standard_normal,
        lambda shape: rng.integers(-3, 4, shape) / 2,
        lambda shape: rng.integers(-1, 2, shape) / 4,
        lambda shape: 1000 * rng.standard_normal(shape),
    ):
        yield [float(draw(())) if np.ndim(x) == 0 else draw(np.shape(x)) for x in args]


@needs_node
@pytest.mark.parametrize("name", PROGRAMS)
def test_other_inputs_read_as_in_python(name):
    function, *args = PROGRAMS[name]
    script, given = recorded(function, args)
    found = live(script, Call(function, name, tuple(given), {}, Settings()))
    assert isinstance(found, Live), str(found)
    nodes = script.diagram.nodes
    place = {id(t): k for k, t in enumerate(given)}
    changes, expected = [], []
    for values in others(args):
        again, _ = recorded(function, values)
        changes.append(
            [
                np.asarray(
                    values[place[id(nodes[i].tensor)]]
                    if id(nodes[i].tensor) in place
                    else nodes[i].value
                ).tolist()
                for i in found.inputs
            ]
        )
        expected.append(texts(again))
    for given, page, python in zip(changes, said(found, script, changes), expected, strict=True):
        for part, (ours, theirs) in enumerate(zip(page, python, strict=True)):
            for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                assert a == b, (given, part, k)


def test_what_an_index_decides_is_not_live():
    for function in (
        lambda x: np.sum(x[x > 0]),
        lambda x: x[np.argmax(x)] * 2,
        lambda x: np.sum(x[np.argsort(x)] * np.arange(3.0)),
        lambda x: np.sum(np.sort(x) * np.arange(3.0)),
        lambda x: np.sum(x) / np.flatnonzero(x > 0).size,  # a page cannot know it for other numbers
        lambda x: np.sum(x) / len(x[x > 0]),
        lambda x: np.sum(x) * np.unique(x > 0).size,
        lambda x: np.sum(x * x if np.where(x > 2)[0].size else x),
    ):
        said = reason(play(function, V))
        assert "chosen by an index that is computed from the inputs, as by np.sort" in said
        assert said.startswith("at test_drawing_player_derived.py:")


def test_the_number_of_elements_that_data_decide_is_known():
    function = lambda x: np.sum(x) / np.flatnonzero(X > 0).size
    assert reason(play(function, V)) is None


def test_a_result_does_not_tell_how_its_mask_was_computed():
    x = Tensor(V, name="x")
    assert "Play a function and its arguments: play(f, x)." in reason(play(leaky(x)))
    assert "Play a function" in reason(play(np.sum(x[x > 0])))
    assert reason(play(np.sum(x[np.array([0, 2])]))) is None
    assert reason(play(np.sum(Tensor(M)[np.array([0, 1]), np.array([2, 0])]))) is None


@pytest.mark.parametrize(
    "f",
    [
        np.sort,
        np.median,
        np.maximum.accumulate,
        lambda x: np.partition(x, 1),
        lambda x: np.quantile(x, 0.3),
    ],
)
def test_a_result_does_not_tell_how_an_order_was_found(f):
    for x in (Tensor(V), Tensor(M)):
        assert "Play a function" in reason(play(np.sum(f(x) ** 2)))


def test_data_beside_a_mask_of_unknown_origin_does_not_change():
    """The mask of a plain array is computed outside of the recording."""

    def function(w):
        return np.sum(np.where(X > 0, X, 0.0) * np.where(X > 0, w, 1.0))

    script, given = recorded(function, [np.ones(2)])
    found = live(script, Call(function, "function", tuple(given), {}, Settings()))
    assert [script.diagram.nodes[i].name for i in found.inputs] == ["w"]


def test_a_function_that_does_something_else_the_second_time_is_not_live():
    calls = []

    def function(x):
        calls.append(1)
        return x * x if len(calls) == 1 else x

    assert reason(play(function, 2.0)) is not None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.linalg.solve(x @ x.T + np.eye(2), x @ V)[0] * np.linalg.det(x @ x.T),
        lambda x: np.sum(normalized(x.reshape(2, 3, 1, 1)) ** 3),
    ],
)
def test_operations_that_round_otherwise_are_live(function):
    assert reason(play(function, M)) is None
