"""`p -= lr * p.grad`: where it updates a parameter, and where it makes a new Tensor."""

import copy
import operator

import numpy as np
import pytest

from autobp import Tensor, compile, grad, jvp, nn, no_grad
from autobp.optim import SGD
from autobp.train import evaluate, fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = X @ np.array([1.0, -2.0, 3.0]) + 0.5

OPERATORS = {
    "+=": (operator.iadd, 0.5),
    "-=": (operator.isub, 0.5),
    "*=": (operator.imul, 1.5),
    "/=": (operator.itruediv, 3.0),
    "//=": (operator.ifloordiv, 2.0),
    "%=": (operator.imod, 2.0),
    "**=": (operator.ipow, 2),
}


def mean_squares(params, x, y):
    return np.mean((x @ params["w"] + params["b"] - y) ** 2)


# ── leaves under no_grad ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("data", [2.5, [1.5, -2.5], [[1.5], [-2.5]]], ids=["0-d", "1-d", "2-d"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("sign", OPERATORS)
def test_a_leaf_is_updated_in_place(sign, data, dtype, requires_grad):
    update, other = OPERATORS[sign]
    t = alias = Tensor(data, dtype=dtype, requires_grad=requires_grad)
    expected = update(np.array(data, dtype), other)
    array = t.data
    with no_grad():
        t = update(t, other)
    assert t is alias
    assert t.is_leaf
    assert t.requires_grad is requires_grad
    assert t.dtype == dtype
    np.testing.assert_allclose(t.numpy(), expected, rtol=1e-6)
    if t.ndim:
        assert t.data is array  # views of it see the update, as in NumPy and PyTorch


@pytest.mark.parametrize(
    "other",
    [
        2,
        2.0,
        np.float32(2.0),
        np.array([2.0, 2.0]),
        np.array([2, 2]),
        Tensor([2.0, 2.0]),
        Tensor(2.0, requires_grad=False),
        np.array([[2.0, 2.0]])[0],
    ],
    ids=repr,
)
def test_by_numbers_arrays_and_tensors(other):
    t = alias = Tensor([1.0, 3.0], dtype=np.float32)
    with no_grad():
        t *= other
    assert t is alias
    assert t.dtype == np.float32
    np.testing.assert_array_equal(t.numpy(), [2.0, 6.0])


def test_products_of_matrices():
    t = alias = Tensor([[1.0, 2.0], [3.0, 4.0]])
    with no_grad():
        t @= np.array([[0.0, 1.0], [1.0, 0.0]])
    assert t is alias
    np.testing.assert_array_equal(t.numpy(), [[2.0, 1.0], [4.0, 3.0]])


def test_by_itself_and_by_a_view_of_itself():
    t = Tensor([1.0, 2.0, 3.0])
    with no_grad():
        t += t
        t -= t[::-1]
    np.testing.assert_array_equal(t.numpy(), [-4.0, 0.0, 4.0])


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (3, 1)])
def test_a_result_of_another_shape_is_refused(shape):
    t = Tensor(np.ones(3), name="w")
    said = (
        r"-= under no_grad\(\) updates 'w' in place, and it cannot take a result of shape"
        r" \(\d, 3\): its shape is \(3,\); write t = t - x for a new Tensor"
    )
    with no_grad(), pytest.raises(ValueError, match=said):
        t -= np.ones(shape)
    np.testing.assert_array_equal(t.numpy(), np.ones(3))


def test_a_number_takes_no_array():
    t = Tensor(1.0)
    with no_grad(), pytest.raises(ValueError, match=r"shape \(2,\): its shape is \(\)"):
        t += np.ones(2)


def test_a_read_only_value_is_replaced():
    t = Tensor([1.0, 2.0])
    t.data = np.broadcast_to(5.0, (2,))
    with no_grad():
        t -= 1.0
    np.testing.assert_array_equal(t.numpy(), [4.0, 4.0])


def test_results_computed_before_can_no_longer_be_differentiated():
    w = Tensor([1.0, 2.0], name="w")
    loss = np.sum(w * w)
    with no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match="the data of 'w' was replaced after a result"):
        loss.backward()


# ── how programs reach their parameters ───────────────────────────────────────────────────────────


class Net(nn.Module):
    def __init__(self):
        self.w = Tensor(np.zeros(3))
        self.b = Tensor(0.0)
        self.layers = [nn.Linear(1, 1, rng=0)]

    def forward(self, x):
        return x @ self.w + self.b


def by_loop(model):
    for p in (model.w, model.b):
        p -= 0.1 * p.grad


def by_parameters(model):
    for p in model.parameters():
        if p.grad is not None:
            p -= 0.1 * p.grad


def by_named_parameters(model):
    for name, p in model.named_parameters():
        if p.grad is not None and not name.startswith("layers"):
            p -= 0.1 * p.grad


def by_attribute(model):
    model.w -= 0.1 * model.w.grad
    model.b -= 0.1 * model.b.grad


def by_dict(model):
    params = {"w": model.w, "b": model.b}
    for name in params:
        params[name] -= 0.1 * params[name].grad


def by_list(model):
    params = [model.w, model.b]
    for i in range(len(params)):
        params[i] -= 0.1 * params[i].grad


def by_name(model):
    w, b = model.w, model.b
    w -= 0.1 * w.grad
    b -= 0.1 * b.grad


def by_nested(model):
    params = {"layer": [(model.w, model.b)]}
    for w, b in params["layer"]:
        w -= w.grad * 0.1
        b += -0.1 * b.grad


def by_data(model):
    for p in (model.w, model.b):
        p.data -= 0.1 * p.grad


def by_optimizer(model):
    SGD([model.w, model.b], lr=0.1).step()


WAYS = [
    by_loop,
    by_parameters,
    by_named_parameters,
    by_attribute,
    by_dict,
    by_list,
    by_name,
    by_nested,
]


def trained(way, compiled=False, steps=30):
    model = Net()

    def step(model, x, y):
        loss = np.mean((model(x) - y) ** 2)
        for p in model.parameters():
            p.grad = None
        loss.backward()
        with no_grad():
            way(model)
        return loss.detach()

    run = compile(step) if compiled else step
    losses = [run(model, X, Y).item() for _ in range(steps)]
    return model, losses


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_loop_written_by_hand_trains(way, compiled):
    model, losses = trained(way, compiled)
    expected, _ = trained(by_optimizer)
    assert losses[-1] < 0.05 * losses[0]
    np.testing.assert_allclose(model.w.numpy(), expected.w.numpy(), rtol=1e-9)
    np.testing.assert_allclose(model.b.numpy(), expected.b.numpy(), rtol=1e-9)
    assert model.w.is_leaf
    assert model.b.is_leaf


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_assigning_to_data_trains_too(compiled):
    model, _ = trained(by_data, compiled)
    np.testing.assert_allclose(model.w.numpy(), trained(by_loop)[0].w.numpy(), rtol=1e-9)


def test_a_global_parameter_by_its_name():
    program = """
w = Tensor([1.0, -2.0])
def step():
    global w
    w.grad = None
    (w @ w).backward()
    with no_grad():
        w -= 0.1 * w.grad
"""
    scope = {"Tensor": Tensor, "no_grad": no_grad}
    exec(program, scope)
    w = scope["w"]
    step = compile(scope["step"])
    for run in (scope["step"], step, step, step):
        run()
    assert scope["w"] is w
    np.testing.assert_allclose(w.numpy(), np.array([1.0, -2.0]) * 0.8**4)


@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("data", [2.5, [1.5, 2.5]], ids=["0-d", "1-d"])
def test_every_operator_compiled(sign, dtype, data):
    update, other = OPERATORS[sign]

    def step(t, x):
        with no_grad():
            update(t, x)

    one, two = Tensor(data, dtype=dtype), Tensor(data, dtype=dtype)
    compiled = compile(step)
    for x in (other, other + 1, other, other + 2):
        step(one, x)
        compiled(two, x)
    assert two.dtype == dtype
    assert two.is_leaf
    np.testing.assert_allclose(two.numpy(), one.numpy(), rtol=1e-6)
    assert compiled.programs


def test_a_compiled_average_of_weights():
    """A frozen copy that follows: what exponential moving averages do."""

    def follow(average, model):
        with no_grad():
            for a, p in zip(average.parameters(), model.parameters()):
                a *= 0.9
                a += 0.1 * p

    def frozen():
        model = nn.Linear(2, 2, rng=0)
        for p in model.parameters():
            p.requires_grad = False
        return model

    model, one, two = nn.Linear(2, 2, rng=1), frozen(), frozen()
    start = one.weight.numpy()
    compiled = compile(follow)
    for _ in range(4):
        follow(one, model)
        compiled(two, model)
    np.testing.assert_allclose(two.weight.numpy(), one.weight.numpy(), rtol=1e-12)
    expected = 0.9**4 * start + (1 - 0.9**4) * model.weight.numpy()
    np.testing.assert_allclose(one.weight.numpy(), expected)


def test_a_function_decorated_with_no_grad_updates():
    @no_grad()
    def sgd(params, lr):
        for p in params:
            p -= lr * p.grad
            p.grad = None

    w = Tensor([1.0, 2.0])
    (w @ w).backward()
    sgd([w], 0.25)
    np.testing.assert_array_equal(w.numpy(), [0.5, 1.0])


def test_the_decorator_may_stand_without_brackets():
    @no_grad
    def halve(p):
        p *= 0.5
        return p

    w = Tensor([2.0, 4.0])
    assert halve(w) is w
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])
    assert not no_grad(lambda: w * w)().requires_grad
    assert (w * w).requires_grad


def test_gradients_of_grad_update_parameters():
    """JAX's gradients, PyTorch's update."""
    params = {"w": Tensor(np.zeros(3)), "b": Tensor(0.0)}
    before = mean_squares(params, X, Y).item()
    for _ in range(50):
        gradient = grad(mean_squares)(params, X, Y)
        with no_grad():
            for name, p in params.items():
                p -= 0.1 * gradient[name]
    assert mean_squares(params, X, Y).item() < 0.01 * before


# ── where a new Tensor is made ────────────────────────────────────────────────────────────────────


def test_while_gradients_are_recorded_a_new_tensor_is_made():
    loss = Tensor(1.0)
    first = loss
    loss += Tensor([1.0, 2.0]).sum()
    assert loss is not first
    assert first.item() == 1.0
    assert not loss.is_leaf
    loss.backward()
    assert first.grad == 1.0


def test_recorded_results_under_no_grad_build_new_ones():
    w = Tensor([1.0, 2.0])
    h = alias = w * 2
    with no_grad():
        h += 1.0
    assert h is not alias
    np.testing.assert_array_equal(alias.numpy(), [2.0, 4.0])
    alias.sum().backward()
    np.testing.assert_array_equal(w.grad, [2.0, 2.0])


def test_unrecorded_results_build_new_ones_and_may_broadcast():
    w = Tensor([1.0, 2.0])
    with no_grad():
        h = alias = w.reshape(2)  # a view of w's values
        h += 1.0
        total = np.sum(w)
        total += np.ones(3)
    assert h is not alias
    assert total.shape == (3,)
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])


def test_variables_of_a_derivative_stay_what_they_are():
    def f(x):
        with no_grad():
            y = x
            y = y + 1.0
        return x * x * y

    assert grad(f)(3.0) == 24.0
    assert jvp(f, (3.0,), (1.0,)) == (36.0, 24.0)


def test_what_a_derivative_records_is_not_in_place():
    bias = Tensor([1.0, 2.0])

    def f(x):
        h = bias
        h += x
        return np.sum(h * h)

    with no_grad():
        np.testing.assert_array_equal(grad(f)(np.ones(2)), [4.0, 6.0])
    np.testing.assert_array_equal(bias.numpy(), [1.0, 2.0])


# ── models that are evaluated ─────────────────────────────────────────────────────────────────────


class Biased(nn.Module):
    """`h = self.bias; h += …` is right while it is recorded."""

    def __init__(self):
        self.bias = Tensor(np.zeros((4, 2)))

    def forward(self, x):
        h = self.bias
        h += x
        return h


SAID = (
    r"\+= would change 'bias' in place, since nothing is recorded while the model is evaluated under"
    r" no_grad\(\): write h = h \+ x, which gives a new Tensor"
)


def test_a_model_that_would_change_its_parameter_is_told_what_to_write():
    model, x = Biased(), np.ones((4, 2))
    assert model(x).requires_grad
    np.testing.assert_array_equal(model.bias.numpy(), np.zeros((4, 2)))
    with pytest.raises(RuntimeError, match=SAID):
        evaluate(model, (x, x), nn.mse)
    with no_grad(), pytest.raises(RuntimeError, match=SAID):
        model(x)
    with pytest.raises(RuntimeError, match=SAID):
        model.summary((4, 2))
    np.testing.assert_array_equal(model.bias.numpy(), np.zeros((4, 2)))


def test_fit_says_it_in_the_validation():
    model, x = Biased(), np.ones((4, 2))
    with pytest.raises(RuntimeError, match=SAID):
        fit(model, (x, x), nn.mse, SGD(model.parameters()), 1, validation=(x, x), progress=False)


def test_a_model_that_is_a_function_too():
    bias = Tensor(np.zeros((4, 2)), name="bias")

    def model(x):
        h = bias
        h += x
        return h

    with pytest.raises(RuntimeError, match=SAID):
        evaluate(model, (np.ones((4, 2)), np.ones((4, 2))), nn.mse)
    np.testing.assert_array_equal(bias.numpy(), np.zeros((4, 2)))


def test_a_sum_that_begins_with_a_tensor_is_evaluated_as_it_is_recorded():
    class Summed(nn.Module):
        def __init__(self):
            self.heads = [nn.Linear(2, 1, rng=i) for i in range(3)]

        def forward(self, x):
            total = Tensor(0.0)
            for head in self.heads:
                total += head(x)
            return total

    model, x = Summed(), np.ones((4, 2))
    recorded = model(x)
    with no_grad():
        np.testing.assert_array_equal(model(x).numpy(), recorded.numpy())
    assert evaluate(model, (x, recorded.numpy()), nn.mse)["loss"] == 0.0


def test_a_frozen_bias_and_a_counter_are_evaluated_as_they_are_recorded():
    class Frozen(Biased):
        def __init__(self):
            super().__init__()
            self.bias.requires_grad = False
            self.calls = Tensor(0.0, requires_grad=False)

        def forward(self, x):
            self.calls += 1.0
            return super().forward(x)

    model, x = Frozen(), np.ones((4, 2))
    model(x)
    assert evaluate(model, (x, x), nn.mse)["loss"] == 0.0
    with no_grad():
        model(x)
    assert model.calls.item() == 3.0
    np.testing.assert_array_equal(model.bias.numpy(), np.zeros((4, 2)))


def test_a_layer_updates_its_averages_in_a_no_grad_of_its_own():
    class Averaged(nn.Module):
        def __init__(self):
            self.average = Tensor(np.zeros(2), requires_grad=False)

        def forward(self, x):
            with no_grad():
                self.average *= 0.5
                self.average += np.mean(x, axis=0) / 2
            return x - self.average

    model = Averaged()
    average = model.average
    model(np.ones((4, 2)))
    with no_grad():
        model(np.ones((4, 2)))
    assert model.average is average
    np.testing.assert_array_equal(average.numpy(), [0.75, 0.75])


def test_blocks_keep_their_kind_in_copies():
    with no_grad():
        model = copy.deepcopy(Biased())
        w = Tensor([1.0])
        w += 1.0
    assert w.item() == 2.0
    assert model.bias.shape == (4, 2)


def test_a_state_that_is_carried_over_a_step_is_to_be_detached():
    w = Tensor(0.5, name="w")
    h = Tensor(1.0, requires_grad=False)
    h = np.tanh(w * h)
    h.backward()
    with no_grad():
        w -= 0.1 * w.grad
    again = np.tanh(w * h)
    with pytest.raises(RuntimeError, match=r"if it comes from an earlier step, .* detach\(\) it"):
        again.backward()
    np.tanh(w * h.detach()).backward()
