"""Pictures for slides, pages and screens, with letters that can be read."""

import numpy as np
import pytest

from autobp import Tensor, draw, log_softmax, nn, relu, scope, softmax
from autobp.drawing.fit import LETTERS, SIZES, measured
from autobp.drawing.layout import render
from tests.drawing import ids, needs_dot, tree


def weight(rng, *shape, name):
    return Tensor(rng.normal(size=shape) / np.sqrt(shape[0]), name=name)


def cnn():
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=rng), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, rng=rng), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(200, 10, rng=rng),
    )  # fmt: skip
    return nn.cross_entropy(model(rng.random((8, 1, 28, 28))), np.arange(8))


def transformer(layers=12, width=8, length=5):
    rng = np.random.default_rng(0)

    def norm(x, name):
        with scope(name):
            mean = np.mean(x, axis=-1, keepdims=True)
            spread = np.sqrt(np.mean((x - mean) ** 2, axis=-1, keepdims=True) + 1e-5)
            return (x - mean) / spread * Tensor(np.ones(width), name="gain")

    x = weight(rng, 20, width, name="embedding")[rng.integers(20, size=length)]
    for k in range(layers):
        with scope(f"layer{k}"):
            h = norm(x, "norm1")
            with scope("attention"):
                q, k_, v = (h @ weight(rng, width, width, name=n) for n in ("Wq", "Wk", "Wv"))
                x = x + softmax(q @ k_.T / 3.0, axis=-1) @ v
            h = norm(x, "norm2")
            with scope("mlp"):
                up, down = (weight(rng, *s, name="W") for s in ((width, 32), (32, width)))
                x = x + relu(h @ up) @ down
    z = norm(x, "norm") @ weight(rng, width, 20, name="head")
    return -np.mean(log_softmax(z, axis=-1)[np.arange(length), np.arange(length)])


def mlp():
    rng = np.random.default_rng(0)
    h = rng.normal(size=(16, 20))
    for k, n in enumerate((32, 16, 8, 4)):
        with scope(f"layer{k}"):
            b = Tensor(np.zeros(n), name="b")
            h = np.tanh(h @ weight(rng, h.shape[1], n, name="W") + b)
    return np.mean((h - 1) ** 2)


def rnn():
    rng = np.random.default_rng(0)
    Wx, Wh = weight(rng, 3, 8, name="Wx"), weight(rng, 8, 8, name="Wh")
    h, b = np.zeros((4, 8)), Tensor(np.zeros(8), name="b")
    for _ in range(30):
        h = np.tanh(rng.normal(size=(4, 3)) @ Wx + h @ Wh + b)
    return np.mean((h - 1) ** 2)


MODELS = [cnn, transformer, mlp, rnn]


@needs_dot
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("model", MODELS)
def test_no_letter_is_too_small(model, size):
    drawn = draw(model(), size=size)
    wide, high, letters = measured(render(drawn.source, "svg").decode())
    assert letters * drawn.scale >= LETTERS - 1e-6
    assert wide * drawn.scale <= SIZES[size][0] + 1e-6
    assert high * drawn.scale <= SIZES[size][1] + 1e-6


@needs_dot
def test_what_is_given_is_kept():
    drawn = draw(mlp(), size="slide", direction="TB", depth=0)
    assert drawn.style.direction == "TB"
    assert {box.title for box in drawn.folded.boxes()} == {f"layer{k}" for k in range(4)}
    assert all(box.closed for box in drawn.folded.boxes())


@needs_dot
def test_a_small_graph_is_drawn_in_full():
    x = Tensor([1.0, 2.0], name="x")
    drawn = draw(np.sum(x * x), size="slide")
    assert drawn.style.detail == "full"
    assert drawn.scale == 1.5


@needs_dot
def test_rows_have_copies_of_what_comes_from_the_row_above():
    drawn = draw(cnn(), size="slide")
    notes = {copy.note for copy in drawn.folded.copies}
    assert "row 1" in notes
    found = ids(tree(render(drawn.source, "svg")))
    assert {copy.id for copy in drawn.folded.copies} <= found
    assert {f"n{n.index}" for n in drawn.diagram.nodes} <= found  # nothing is lost
    uses = [use.place for link in drawn.folded.links for use in link.uses]
    assert sorted(uses) == list(range(len(drawn.diagram.uses)))
