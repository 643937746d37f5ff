"""How large values and gradients are, layer by layer."""

import numpy as np
import pytest

from autobp import Tensor, graph, relu, scope
from autobp.colours import BLUE
from autobp.tensor import kept_grad
from tests.drawing import classifier, neuron


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


def deep(layers=200, gain=1.0, act=np.tanh, width=8):
    rng = np.random.default_rng(0)
    h, outputs, weights = rng.normal(size=(4, width)), [], []
    for k in range(layers):
        with scope(f"layer{k}"):
            W = Tensor(gain * rng.normal(size=(width, width)) / np.sqrt(width), name="W")
            h = act(h @ W)
        outputs.append(h)
        weights.append(W)
    loss = np.mean(h**2)
    loss.name = "loss"
    return loss, outputs, weights


def test_numbers_are_numpys():
    loss, outputs, weights = deep()
    found = graph(loss).health()
    for h in outputs:
        h.retain_grad()
    loss.backward()
    assert [layer.name for layer in found[:200]] == [f"layer{k}" for k in range(200)]
    for layer, h, W in zip(found[:200], outputs, weights, strict=True):
        numbers = (layer.value, layer.gradient, layer.weights, layer.weight_gradient)
        expected = (rms(h.data), rms(h.grad), rms(W.data), rms(W.grad))
        np.testing.assert_allclose(numbers, expected, rtol=1e-12)
        assert layer.shape == h.shape
    assert found[-1].name == "loss"
    assert (found[-1].value, found[-1].gradient) == (loss.item(), 1.0)


def test_no_tensor_is_changed():
    loss, outputs, weights = deep(3)
    graph(loss).health()
    assert all(kept_grad(t) is None for t in (loss, *outputs, *weights))


def test_gradients_that_vanish_and_explode_are_marked_and_summed_up():
    loss, *_ = deep(30, gain=0.2)
    found = graph(loss).health()
    assert found["layer0"].marks == ("vanishing",)
    assert found["layer29"].marks == ("values vanishing",)
    assert "vanishing: layer0 … layer" in repr(found)
    loss, *_ = deep(30, gain=8.0, act=lambda x: x * 1.0)
    found = graph(loss).health()
    assert found["layer0"].marks == ("exploding",)
    assert graph(classifier()).health()[0].marks == ()


def test_gradients_too_small_to_be_squared_are_measured():
    loss, *_ = deep(150, gain=0.1)
    found = graph(loss).health()
    assert 0 < found[0].gradient < 1e-250


def test_nan_inf_and_dead_units_are_marked():
    with np.errstate(all="ignore"):
        found = graph(classifier(bias=np.inf)).health()
        assert found["layer1"].marks[0] == "inf"
        assert "NaN in the gradient" in found["layer1"].marks
        assert "NaN: layer1" in repr(found)
    found = graph(classifier(bias=-1e3)).health()
    assert found["layer1"].marks == ("dead: 4 of 4 units",)
    assert "dead: layer1" in repr(found)
    x = Tensor(np.ones((2, 3)), name="x")
    found = graph(np.sum(x * 1.0) * 0.0).health()
    assert found[0].marks == ("dead: gradient 0",)


def test_scopes_within_scopes_have_rows_of_their_own():
    x = Tensor(np.full((2, 2), 0.5), name="x")
    with scope("block"):
        with scope("norm"):
            y = x / np.sum(x)
        with scope("mlp"):
            z = relu(y * 2)
        y = z + x
    with scope("head"), scope("inner"):
        w = y * 3
    found = graph(np.sum(w)).health()
    assert [layer.name for layer in found] == [
        "block/norm", "block/mlp", "block", "head/inner", "t7: sum",
    ]  # fmt: skip
    assert found["block"].value == rms(y.data)


def test_without_scopes_a_layer_begins_with_each_weight():
    rng = np.random.default_rng(0)
    W1, W2 = (Tensor(rng.normal(size=s), name=n) for s, n in (((3, 4), "W1"), ((4, 2), "W2")))
    h = np.tanh(rng.normal(size=(5, 3)) @ W1 + 0.5)
    z = h @ W2
    found = graph(np.mean(np.sum(z, axis=1))).health()
    assert [layer.name for layer in found] == ["W1", "W2", "t6: sum", "t7: mean"]
    assert found["W1"].value == pytest.approx(rms(h.data), rel=1e-12)
    assert found["W2"].weights == pytest.approx(rms(W2.data), rel=1e-12)


def test_the_steps_of_a_loop_are_layers():
    h, w = np.zeros((2, 3)), Tensor(np.eye(3), name="W")
    for _ in range(30):
        h = np.tanh(h @ w + 0.1)
    found = graph(np.sum(h)).health()
    assert [layer.name for layer in found][:2] == ["step 1", "step 2"]
    assert len(found) == 31
    assert found["step 1"].weights is not None
    assert found["step 2"].weights is None  # those are of the first step, where they are used first


def test_single_numbers_have_a_row_each():
    found = graph(neuron()).health()
    assert len(found) == 5
    assert [layer.shape for layer in found] == [()] * 5
    assert found["o"].gradient == 1.0
    assert found["n"].gradient == pytest.approx(0.5)


def test_without_gradients_there_is_a_dash_and_the_reason():
    said = repr(graph(Tensor(np.ones((2, 3)), name="x") * 2).health())
    assert "—" in said
    assert said.endswith("no gradients: they need one scalar result, such as a sum or a mean")


def test_a_long_table_is_cut_and_says_so():
    lines = repr(graph(deep()[0]).health()).split("\n")
    assert len(lines) < 70
    assert "… 142 more …" in lines
    with pytest.raises(KeyError, match="there is no layer 'x'; the first is 'layer0'"):
        graph(deep(2)[0]).health()["x"]


def test_the_plot_shows_what_the_table_says():
    pytest.importorskip("matplotlib")
    found = graph(deep(30, gain=0.2)[0]).health()
    (axes,) = found.plot().axes
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) >= {"value", "gradient", "gradient of weights", "vanishing"}
    np.testing.assert_array_equal(lines["value"].get_ydata(), [layer.value for layer in found])
    assert lines["value"].get_color() == BLUE
    assert axes.get_yscale() == "log"
    marked = [i for i, layer in enumerate(found) if "vanishing" in layer.marks]
    assert list(lines["vanishing"].get_xdata()) == marked
    assert lines["value"].get_linestyle() != lines["gradient"].get_linestyle()
