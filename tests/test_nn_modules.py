"""Modules: what is found in them, saved, loaded, copied, called with other parameters, and printed."""

from __future__ import annotations

import collections
import copy
import pickle
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from autobp import (
    Tensor,
    check_gradients,
    grad,
    graph,
    hvp,
    jvp,
    nn,
    no_grad,
    optim,
    value_and_grad,
)
from autobp.data import batches, digits, spiral


class Net(nn.Module):
    """Parts in all the places where parts can be."""

    def __init__(self):
        self.trunk = [nn.Linear(2, 3, rng=0), nn.Linear(3, 3, rng=1)]
        self.heads = {"a": nn.Linear(3, 1, rng=2), "b": (nn.Linear(3, 2, rng=3),)}
        self.scale = Tensor(2.0, name="s")
        self.offset = Tensor([1.0, 2.0, 3.0], requires_grad=False)
        self.tied = self.trunk[1]
        self.settings = {"rate": 0.1, "flag": None}
        vars(self)["_private"] = Tensor(1.0)  # an assignment warns

    def forward(self, x):
        for layer in self.trunk:
            x = np.tanh(layer(x))
        self.last = x  # a result, not a parameter
        return self.heads["a"](x + self.offset) * self.scale


PATHS = {
    "scale": (),
    "offset": (3,),
    "trunk.0.weight": (3, 2),
    "trunk.0.bias": (3,),
    "trunk.1.weight": (3, 3),
    "trunk.1.bias": (3,),
    "heads.a.weight": (1, 3),
    "heads.a.bias": (1,),
    "heads.b.0.weight": (2, 3),
    "heads.b.0.bias": (2,),
}
X = np.array([[0.5, -1.0], [2.0, 0.25]])


# ── what is found ─────────────────────────────────────────────────────────────────────────────────


def test_parts_are_found_wherever_they_are():
    net = Net()
    net(X)
    assert {k: v.shape for k, v in net.state_dict().items()} == PATHS
    params = dict(net.named_parameters())
    assert list(params) == [path for path in PATHS if path != "offset"]
    assert params["scale"] is net.scale
    assert list(net.parameters()) == list(params.values())
    assert dict(net.named_buffers()) == {"offset": net.offset}
    assert list(net.buffers()) == [net.offset]
    children = dict(net.named_children())
    assert list(children) == ["trunk.0", "trunk.1", "heads.a", "heads.b.0", "tied"]
    assert list(net.children()) == list(children.values())
    modules = dict(net.named_modules())
    assert list(modules) == ["", "trunk.0", "trunk.1", "heads.a", "heads.b.0"]
    assert list(net.modules()) == list(modules.values())


def test_shared_parameters_count_once():
    a, b = nn.Linear(2, 2, bias=False, rng=0), nn.Linear(2, 2, bias=False, rng=1)
    b.weight = a.weight
    model = nn.Sequential(a, b, a)
    assert list(model.state_dict()) == ["0.weight"]
    assert len(list(model.parameters())) == 1
    model(np.ones(2)).sum().backward()
    w = a.weight.numpy()
    by_hand = grad(lambda w: np.sum(np.linalg.matrix_power(w, 3) @ np.ones(2)))(w)
    np.testing.assert_allclose(a.weight.grad, by_hand, rtol=1e-12)
    assert model.summary((2,)).total == 4


def test_modules_that_hold_each_other():
    parent, child = nn.Module(), nn.Linear(2, 1)
    parent.child, child.parent = child, parent
    assert list(parent.state_dict()) == ["child.weight", "child.bias"]
    twin = parent.astype(np.float32)
    assert twin.child.parent is twin
    assert twin.child.weight.dtype == np.float32


def test_a_module_may_be_a_dataclass():
    @dataclass
    class Twice(nn.Module):
        first: nn.Module
        rate: float = 0.5

        def forward(self, x):
            return self.first(self.first(x)) * self.rate

    model = Twice(nn.Linear(2, 2, rng=0))
    assert list(model.state_dict()) == ["first.weight", "first.bias"]
    params = {name: p.numpy() for name, p in model.named_parameters()}
    np.testing.assert_array_equal(nn.functional_call(model, params, X), model(X).numpy())


def test_a_part_that_is_replaced_is_a_part():
    net = Net()
    net(X)
    net.heads["a"] = nn.Linear(3, 4)
    y = net(X)
    assert y.shape == (2, 4)
    assert net.heads["a"].weight.name == "heads.a.weight"
    net.offset = Tensor([0.0, 0.0, 0.0])
    assert "offset" in dict(net.named_parameters())


def test_frozen_parameters_are_buffers():
    model = nn.MLP([2, 3, 1], rng=0)
    model[0].weight = model[0].weight.detach()
    assert [name for name, _ in model.named_parameters()] == ["0.bias", "2.weight", "2.bias"]
    before = model.state_dict()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    nn.mse(model(X), [[1.0], [2.0]]).backward()
    optimizer.step()
    moved = [k for k, v in model.state_dict().items() if not np.array_equal(v, before[k])]
    assert moved == ["0.bias", "2.weight", "2.bias"]
    assert model.summary((1, 2)).trainable == 7


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


def test_scopes_are_the_names_that_parents_hold_modules_by():
    net = Net()
    scopes = {t.scope for t in graph(net(X)).operations}
    assert scopes == {"net", "net/trunk.0", "net/tied", "net/heads.a"}
    names = {p.name for p in net.parameters()}
    assert {"s", "trunk.0.weight", "heads.a.bias"} <= names
    net.name = "critic"
    assert net(X).scope == "critic"
    assert net.trunk[0](X).scope == "trunk.0"


def test_a_module_in_two_places_has_the_name_of_the_place_it_is_called_in():
    layer = nn.Linear(2, 2, rng=0)
    first, second = nn.Sequential(layer), nn.Sequential("tanh", layer, nn.Linear(2, 1))
    assert first(X).scope == "sequential/linear"
    assert {t.scope for t in graph(second(X)).operations} == {
        "sequential/linear1", "sequential/linear2",
    }  # fmt: skip
    assert first(X).scope == "sequential/linear"


def test_the_scope_ends_with_an_error():
    with pytest.raises(ValueError):
        nn.MLP([3, 2])(X)
    assert Tensor(1.0).scope is None


# ── training ──────────────────────────────────────────────────────────────────────────────────────


def test_train_and_eval_reach_all():
    model = nn.Sequential(nn.Sequential(nn.Dropout()), nn.BatchNorm1d(2))
    assert model.training
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert model.train() is model
    assert all(module.training for module in model.modules())
    assert nn.Dropout().training


def test_zero_grad():
    model = nn.MLP([2, 1], rng=0)
    model(X).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_tied_weights_are_loaded_by_each_of_their_names():
    class Language(nn.Module):
        def __init__(self):
            self.embedding = nn.Embedding(7, 3, rng=0)
            self.head = nn.Linear(3, 7, bias=False)
            self.head.weight = self.embedding.weight
            self.again = [self.head, self.embedding]

    model, table = Language(), np.ones((7, 3))
    for names in (
        ["embedding.weight"],
        ["head.weight"],
        ["head.weight", "embedding.weight"],  # as PyTorch's state_dict has them
        ["again.1.weight"],
    ):
        table = table + 1
        assert model.load_state_dict(dict.fromkeys(names, table)) == ([], [])
        assert np.all(model.head.weight.data == table)
    text = "head.weight is the same parameter as embedding.weight and has other values"
    with pytest.raises(ValueError, match=text):
        model.load_state_dict({"embedding.weight": table, "head.weight": table + 1}, strict=False)


def test_other_spellings_of_functional_call_are_refused():
    model, x = nn.Linear(2, 2), np.ones((3, 2))
    with pytest.raises(
        TypeError, match=r"one by one: write functional_call\(model, params, \*args\)"
    ):
        nn.functional_call(model, model.state_dict(), (x,))
    with pytest.raises(TypeError, match=r"not a list: write dict\(model.named_parameters\(\)\)"):
        nn.functional_call(model, list(model.parameters()), x)


def test_digits_are_learned():
    x, y, x_test, y_test = digits(scale=True)
    x, x_test = x[:, None], x_test[:, None]
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, rng=rng), nn.BatchNorm2d(8), "relu", nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.2, rng=rng), nn.Linear(72, 10, rng=rng),
    ).astype(np.float32)  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    for _ in range(3):
        for xs, ys in batches(x, y, size=50, shuffle=True, rng=rng):
            optimizer.zero_grad()
            nn.cross_entropy(model(xs), ys).backward()
            optimizer.step()
    model.eval()
    with no_grad():
        assert nn.accuracy(model(x_test), y_test) > 0.8
    assert all(t.dtype == np.float32 for t in [*model.parameters(), *model.buffers()])
    assert all(p.grad.dtype == np.float32 for p in model.parameters())


def test_threads_share_a_model():
    model = nn.MLP([2, 8, 1], "tanh", rng=0)

    def run(k):
        with no_grad():
            return [model(X * k).numpy() for _ in range(50)], model(X).scope

    with ThreadPoolExecutor(8) as pool:
        for k, (results, scope) in enumerate(pool.map(run, range(8))):
            assert scope == "mlp/linear2"
            for y in results:
                np.testing.assert_array_equal(y, model(X * k).numpy())


# ── values ────────────────────────────────────────────────────────────────────────────────────────


def test_a_state_is_a_copy_and_goes_back_exactly():
    net, other = Net(), Net()
    for p in net.parameters():
        p.data = p.data * 1.5
    state = net.state_dict()
    assert all(type(value) is np.ndarray for value in state.values())
    other.load_state_dict(state)
    np.testing.assert_array_equal(other(X).numpy(), net(X).numpy())
    state["offset"] += 1
    np.testing.assert_array_equal(other.offset.numpy(), [1, 2, 3])
    np.testing.assert_array_equal(net.offset.numpy(), [1, 2, 3])
    other.load_state_dict({k: v.tolist() for k, v in state.items()})
    np.testing.assert_array_equal(other.offset.numpy(), [2, 3, 4])
    assert type(other.scale.data) is float


def test_a_state_is_loaded_in_the_types_that_there_are():
    model = nn.Linear(2, 1).astype(np.float32)
    model.load_state_dict({"weight": np.ones((1, 2)), "bias": [2]})
    assert model.weight.dtype == model.bias.dtype == np.float32
    np.testing.assert_array_equal(model(np.ones(2, np.float32)).numpy(), [4])


def test_a_state_from_an_archive(tmp_path):
    net, other = Net(), Net()
    net.scale.data = 7.0
    np.savez(tmp_path / "net.npz", **net.state_dict())
    with np.load(tmp_path / "net.npz") as archive:
        other.load_state_dict(archive)
    assert other.scale.item() == 7.0


def test_what_does_not_fit_is_named_and_changes_nothing():
    model = nn.MLP([2, 3, 1], rng=0)
    before = model.state_dict()
    wrong = {
        "0.weight": np.ones((3, 2)),
        "0.bias": np.ones(4),
        "2.weight": [["x"] * 3],
        "head": 1.0,
    }
    with pytest.raises(ValueError) as caught:
        model.load_state_dict(wrong)
    assert str(caught.value) == (
        "MLP.load_state_dict: 2.bias is missing, head is unexpected, 0.bias has shape (4,), not (3,),"
        " 2.weight holds <U1, not numbers"
    )
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(ValueError, match=r"6\.weight is missing, 6\.bias is missing, and 2 more$"):
        nn.MLP([1] * 6).load_state_dict({})


def test_a_path_is_no_state():
    with pytest.raises(
        TypeError, match=r"Linear.load_state_dict takes what .* returns, not 'a.npz'"
    ):
        nn.Linear(1, 1).load_state_dict("a.npz")


def test_what_is_frozen_is_kept_and_not_trained():
    model = nn.MLP([2, 3, 1], "tanh", rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for p in model[0].parameters():
        p.requires_grad = False
    before = model.state_dict()
    model(X).sum().backward()
    optimizer.step()
    after = model.state_dict()
    assert [name for name in after if np.array_equal(before[name], after[name])] == [
        "0.weight",
        "0.bias",
    ]
    assert [name for name, _ in model.named_parameters()] == list(after)
    assert [*model.buffers()] == []
    assert model.summary((1, 2)).trainable == 4


@pytest.mark.parametrize("copied", [lambda m: m, copy.deepcopy, lambda m: m.astype(np.float64)])
def test_what_was_frozen_is_trained_again(copied):
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.BatchNorm1d(3), nn.Linear(3, 1, rng=1))
    for p in model.parameters():
        p.requires_grad = False
    model = copied(model)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for p in model.parameters():
        p.requires_grad = True
    assert [name for name, _ in model.named_buffers()] == ["1.running_mean", "1.running_var"]
    before = model.state_dict()
    (model(np.random.default_rng(0).normal(size=(5, 2))) ** 2).sum().backward()
    optimizer.step()
    after = model.state_dict()
    assert not np.array_equal(before["0.weight"], after["0.weight"])
    assert not np.array_equal(before["2.bias"], after["2.bias"])


def test_what_is_frozen_stays_whatever_gradient_it_has():
    w = Tensor([1.0, 2.0])
    optimizer = optim.SGD([w], lr=0.1)
    np.sum(w * w).backward()
    w.requires_grad = False
    optimizer.step()
    assert w.data.tolist() == [1.0, 2.0]
    w.requires_grad = True
    optimizer.step()
    assert w.data.tolist() == pytest.approx([0.8, 1.6])


def test_results_computed_before_loading_are_stale():
    model = nn.Linear(2, 1, rng=0)
    y = model(Tensor(X))
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="'bias' was replaced"):
        y.sum().backward()


def test_astype_gives_a_model_like_this_one():
    net = Net()
    y = net(X)
    twin = net.astype(np.float32)
    assert type(twin) is Net
    assert {str(p.dtype) for p in [*twin.parameters(), *twin.buffers()]} == {"float32"}
    assert {str(p.dtype) for p in [*net.parameters(), *net.buffers()]} == {"float64"}
    assert twin.tied is twin.trunk[1]
    assert twin.scale.name == "s"
    np.testing.assert_allclose(twin(X.astype(np.float32)).numpy(), y.numpy(), rtol=1e-5)
    assert twin(X.astype(np.float32)).dtype == np.float32
    assert list(twin.state_dict()) == list(net.state_dict())
    with pytest.raises(TypeError, match=r"astype\(int64\): modules need a floating-point dtype"):
        net.astype(np.int64)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_stand_alone(copied):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=0), nn.BatchNorm2d(2), "relu", nn.Flatten(), nn.Dropout(0.5, rng=0),
        nn.Linear(8, 1, rng=0), np.tanh,
    )  # fmt: skip
    x = np.arange(32.0).reshape(2, 1, 4, 4)
    model(x)
    twin = copied(model)
    np.testing.assert_array_equal(twin(x).numpy(), model(x).numpy())  # the same is dropped
    assert repr(twin) == repr(model)
    assert list(twin.state_dict()) == list(model.state_dict())
    twin[0].weight.data += 1
    assert not np.array_equal(twin[0].weight.data, model[0].weight.data)
    twin[1].running_mean.data += 1
    assert not np.array_equal(twin[1].running_mean.data, model[1].running_mean.data)


# ── called with other parameters ──────────────────────────────────────────────────────────────────


def test_a_model_as_a_function_of_its_parameters():
    net = Net()
    params = {name: p.numpy() for name, p in net.named_parameters()}
    loss = lambda params, x: np.sum(nn.functional_call(net, params, x) ** 2)
    check_gradients(loss, params, X, order=2)

    value, gradients = value_and_grad(loss)(params, X)
    y = np.sum(net(X) ** 2)
    y.backward()
    assert value == y.item()
    for name, p in net.named_parameters():
        expected = np.zeros(p.shape) if p.grad is None else p.grad
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-12, err_msg=name)

    tangents = {name: np.ones(p.shape) for name, p in params.items()}
    slope = jvp(lambda params: loss(params, X), (params,), (tangents,))[1]
    assert slope == pytest.approx(sum(np.sum(g) for g in gradients.values()))
    assert hvp(lambda params: loss(params, X), (params,), (tangents,)).keys() == params.keys()


def test_other_parameters_leave_the_model_as_it_is():
    model = nn.MLP([2, 1], rng=0)
    before = model(X).numpy()
    y = nn.functional_call(model, {"0.bias": [5.0]}, X)
    np.testing.assert_allclose(y.numpy(), before - model[0].bias.numpy() + 5)
    assert graph(y).inputs == (model[0].weight,)
    np.testing.assert_array_equal(model(X).numpy(), before)
    y.sum().backward()
    np.testing.assert_array_equal(model[0].weight.grad, [X.sum(axis=0)])
    assert model[0].bias.grad is None
    with pytest.raises(
        ValueError, match=r"no parameter or buffer 'bias'; there are 0\.weight, 0\.bias$"
    ):
        nn.functional_call(model, {"bias": [5.0]}, X)
    with pytest.raises(ValueError, match=r"'0\.bias' has shape \(1,\), not \(2,\)$"):
        nn.functional_call(model, {"0.bias": [5.0, 6.0]}, X)


# ── text ──────────────────────────────────────────────────────────────────────────────────────────


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=(1, 0)), nn.ReLU(),
        nn.MaxPool2d(2, stride=3), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip


def test_repr():
    assert repr(cnn()) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 32, kernel_size=3)\n"
        "  (1): ReLU()\n"
        "  (2): MaxPool2d(kernel_size=2)\n"
        "  (3): Conv2d(32, 64, kernel_size=3, padding=(1, 0))\n"
        "  (4): ReLU()\n"
        "  (5): MaxPool2d(kernel_size=2, stride=3)\n"
        "  (6): BatchNorm2d(64, eps=1e-05, momentum=0.1)\n"
        "  (7): Flatten()\n"
        "  (8): Linear(1024, 10)\n"
        ")"
    )
    outer = nn.Module()
    outer.inner, outer.rest = nn.Sequential(nn.LeakyReLU(0.2)), nn.Linear(2, 1, bias=False)
    assert repr(outer) == (
        "Module(\n"
        "  (inner): Sequential(\n"
        "    (0): LeakyReLU(negative_slope=0.2)\n"
        "  )\n"
        "  (rest): Linear(2, 1, bias=False)\n"
        ")"
    )
    kinds = [
        nn.Step(0.5), nn.Softmax(), nn.LogSoftmax(0), nn.GELU("tanh"), nn.GELU(), nn.Dropout(0.2),
        nn.LayerNorm(3), nn.AvgPool2d(2, 1), nn.Identity(), nn.Activation(np.sin),
    ]  # fmt: skip
    assert list(map(repr, kinds)) == [
        "Step(threshold=0.5)", "Softmax(axis=-1)", "LogSoftmax(axis=0)", "GELU(approximate='tanh')",
        "GELU(approximate='none')", "Dropout(p=0.2)", "LayerNorm((3,), eps=1e-05)",
        "AvgPool2d(kernel_size=2, stride=1)", "Identity()", "Activation(sin)",
    ]  # fmt: skip


def test_summary_of_a_convolutional_network():
    model = cnn().astype(np.float32)
    before = model.state_dict()
    summary = model.summary((32, 1, 28, 28))
    assert str(summary).splitlines() == [
        "layer        kind                                           output            parameters",
        "sequential   Sequential                                     (32, 10)              29,322",
        "  conv1      Conv2d(1, 32, kernel_size=3)                   (32, 32, 26, 26)         320",
        "  relu1      ReLU()                                         (32, 32, 26, 26)           0",
        "  maxpool1   MaxPool2d(kernel_size=2)                       (32, 32, 13, 13)           0",
        "  conv2      Conv2d(32, 64, kernel_size=3, padding=(1, 0))  (32, 64, 13, 11)      18,496",
        "  relu2      ReLU()                                         (32, 64, 13, 11)           0",
        "  maxpool2   MaxPool2d(kernel_size=2, stride=3)             (32, 64, 4, 4)             0",
        "  batchnorm  BatchNorm2d(64, eps=1e-05, momentum=0.1)       (32, 64, 4, 4)           256",
        "  flatten    Flatten()                                      (32, 1024)                 0",
        "  linear     Linear(1024, 10)                               (32, 10)              10,250",
        "29,322 parameters, 29,194 trained, 128 not; 117 kB in float32",
    ]
    assert summary.total == 320 + 18_496 + 4 * 64 + 10_250
    assert summary.trainable == summary.total - 2 * 64
    assert summary.nbytes == 4 * summary.total
    assert [row.parameters for row in summary.rows] == [
        29_322,
        320,
        0,
        0,
        18_496,
        0,
        0,
        256,
        0,
        10_250,
    ]
    assert summary.rows[4].output == (32, 64, 13, 11)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert model.training


def test_summary_takes_an_input_too_and_counts_what_is_called_twice_once():
    net = Net()
    summary = net.summary(X)
    assert repr(summary) == (
        "layer      kind          output  parameters\n"
        "net        Net           (2, 1)          37\n"
        "  trunk.0  Linear(2, 3)  (2, 3)           9\n"
        "  tied     Linear(3, 3)  (2, 3)          12\n"
        "  heads.a  Linear(3, 1)  (2, 1)           4\n"
        "37 parameters, 34 trained, 3 not; 296 bytes in float64"
    )
    layer = nn.Linear(2, 2)
    rows = nn.Sequential(layer, layer).summary((1, 2)).rows
    assert [row.parameters for row in rows] == [6, 6, 0]
    assert str(nn.Sequential(np.sin).summary((3,))).endswith("0 parameters, all trained; 0 bytes")


def test_parts_that_are_not_used_count():
    x, y = spiral(30)
    model = nn.MLP([2, 8, 3], rng=0)
    model.spare = nn.Linear(2, 2)
    assert model.summary(x).total == 24 + 27 + 6
    nn.cross_entropy(model(x), y).backward()
    assert model.spare.weight.grad is None


def test_load_state_dict_writes_into_the_arrays_that_there_are():
    model = nn.Linear(3, 1, rng=0)
    row, whole = model.weight.data[0, :2], model.weight.data
    model.load_state_dict({"weight": [[1.0, 2.0, 3.0]], "bias": [4.0]})
    assert model.weight.data is whole
    np.testing.assert_array_equal(row, [1.0, 2.0])
    saved = model.state_dict()
    row[:] = 9.0
    model.load_state_dict(saved)
    np.testing.assert_array_equal(row, [1.0, 2.0])


def test_functional_call_takes_what_state_dict_gives():
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.BatchNorm1d(3)).eval()
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    state = model.state_dict()
    np.testing.assert_array_equal(nn.functional_call(model, state, x).numpy(), model(x).numpy())
    moved = nn.functional_call(model, {"1.running_mean": np.ones(3)}, x).numpy()
    np.testing.assert_allclose(moved, model(x).numpy() - 1 / np.sqrt(1 + 1e-5))
    np.testing.assert_array_equal(model.state_dict()["1.running_mean"], np.zeros(3))


@dataclass
class Held:
    layer: object


class Helper:
    def __init__(self, layer):
        self.layer = layer


HIDING = [
    lambda x: collections.deque([x]),
    lambda x: {x},
    lambda x: frozenset([x]),
    lambda x: collections.UserList([x]),
    lambda x: collections.UserDict(a=x),
    lambda x: types.MappingProxyType({"a": x}),
    lambda x: types.SimpleNamespace(a=x),
    lambda x: np.array([x, None], object),
    Held,
    Helper,
    lambda x: [{"a": Helper([x])}],
]


@pytest.mark.parametrize("hide", HIDING)
def test_layers_in_what_is_not_looked_into_are_warned_of(hide):
    class Model(nn.Module):
        pass

    model = Model()
    for x in (nn.Linear(2, 2), Tensor([1.0, 2.0])):
        if isinstance(x, Tensor) and hide is HIDING[7]:
            continue  # an array of objects takes it apart
        said = r"Model.extra holds layers or parameters that are neither trained nor saved"
        with pytest.warns(UserWarning, match=said) as caught:
            model.extra = hide(x)
        assert caught[0].filename == __file__
        del model.extra
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model._extra = hide(x)
            model.layer = [x]
            model.extra = hide(x)  # of which it is a second place
            model.other = [{"a": (x,)}]
            model.optimizer = optim.SGD(model.parameters())
            model.constant = hide(Tensor(1.0, requires_grad=False))
            model.helper = Helper(model)
