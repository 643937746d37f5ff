"""remat: the same derivatives, computed again instead of remembered."""

import numpy as np
import pytest

from autobp import (
    Tensor,
    compile,
    detect_anomaly,
    draw,
    grad,
    graph,
    hessian,
    jacobian,
    jvp,
    linearize,
    nn,
    no_grad,
    play,
    remat,
    scan,
    value_and_grad,
)
from autobp.counts import Sweeps
from autobp.optim import SGD
from autobp.tree import leaves
from tests.memory import peak

RNG = np.random.default_rng(0)
W, X = 0.4 * RNG.standard_normal((3, 3)), RNG.standard_normal(3)
PARAMETERS = {"W": W, "b": X}


def as_it_is(f):
    return f


def same(found, expected, tolerance=1e-11):
    for (path, a), (_, b) in zip(leaves(found), leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=path)


def segment(p, x):
    """Several results in a nest, one of which is no Tensor."""
    a = np.tanh(p["W"] @ x + p["b"])
    return {"s": a + x, "t": (a * x, 3.0, None)}


def loss(run):
    """Closed-over parameters, what was computed of them before, calls within calls."""

    def f(p, x):
        doubled = p["W"] * 2

        def inner(x):
            return np.sin(doubled @ x) + segment(p, x)["s"]

        nest = run(segment)(p, x)
        y = run(inner)(nest["s"]) * nest["t"][0]
        return np.sum(y**2) + np.sum(run(lambda z: run(np.tanh)(z) * z)(y))

    return f


DERIVATIVES = {
    "value_and_grad": lambda f: value_and_grad(f, (0, 1)),
    "jvp": lambda f: lambda *args: jvp(f, args, args),
    "linearize": lambda f: lambda *args: linearize(f, *args)[1](*args),
    "hessian": lambda f: hessian(f, (0, 1)),
    "reverse over reverse": lambda f: grad(lambda *a: np.sum(grad(f)(*a)["W"] ** 2), (0, 1)),
    "reverse over forward": lambda f: grad(lambda *a: jvp(f, a, a)[1], (0, 1)),
    "third": lambda f: lambda p, x: jacobian(hessian(lambda x: f(p, x)))(x),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_are_the_same(name):
    derivative = DERIVATIVES[name]
    expected = derivative(loss(as_it_is))(PARAMETERS, X)
    same(derivative(loss(remat))(PARAMETERS, X), expected)
    if name != "third":
        same(compile(derivative(loss(remat)))(PARAMETERS, X), expected)


def test_backward_reaches_what_is_closed_over():
    w, x = Tensor(W, name="w"), Tensor(X, name="x")
    seen = []
    w.register_hook(seen.append)
    for run in (as_it_is, remat):
        x.grad = w.grad = None
        y = run(lambda x: np.tanh(w @ x) * x)(x * 2)
        y.retain_grad()
        np.sum(y * y).backward()
        same(y.grad, 2 * y.numpy())
        seen.append(x.grad)
    same(seen[0], seen[2])
    same(seen[1], seen[3])
    same(w.grad, seen[2])
    np.sum(y).backward()  # a second time
    assert np.all(w.grad != seen[2])


def test_a_call_is_one_operation():
    x = Tensor(X)
    y = remat(lambda x: np.sin(np.tanh(x)) * x)(x)
    assert graph(y).counts == {"remat": 1}
    a, b = remat(lambda x: (x * x, np.sin(x)))(x)
    assert graph(a, b).counts == {"remat": 1, "part": 2}


def test_a_call_without_derivatives_is_a_call():
    x = Tensor(X)
    assert remat(np.sin)(1.0) == np.sin(1.0)
    assert remat(lambda x: 3.0)(x) == 3.0
    a, b = remat(lambda x: (x, x))(x)
    assert a is b is x
    with no_grad():
        assert not remat(lambda x: x * x)(x).requires_grad
    y = remat(lambda x: x * np.sum(x.detach()))(x)
    assert remat(lambda x: x.detach())(y).requires_grad is False


def test_it_shows_the_functions_name():
    assert remat(segment).__name__ == "remat_segment"
    with pytest.raises(TypeError, match="remat takes a function, not float"):
        remat(3.0)


# ── what the second run depends on ────────────────────────────────────────────────────────────────


def model():
    layers = nn.Linear(3, 6, rng=0), nn.BatchNorm1d(6), nn.Dropout(0.4, rng=1), "tanh"
    return nn.Sequential(*layers, nn.Dropout(0.2, rng=2))


def training(run, network):
    """A model, called as it is, closed over, and given; twice in a row."""
    generator = np.random.default_rng(3)

    def step(x):
        network.zero_grad()
        noisy = run(lambda x, rng: network(x) * rng.random(6))(x, generator)
        y = run(network)(x) + noisy + run(lambda m, x: m(x))(network, x)
        np.sum(y**2).backward()
        return [p.grad for p in network.parameters()], generator.random()

    return step


def test_the_same_random_numbers_are_drawn_and_averages_updated_once():
    expected, run = model(), model()
    steps = training(as_it_is, expected), training(remat, run)
    for k in range(2):
        x = RNG.standard_normal((5, 3)) + k
        same(steps[1](x), steps[0](x))
    same(run[1].running_mean.data, expected[1].running_mean.data)
    same(run[1].running_var.data, expected[1].running_var.data)


def test_compiled_it_draws_once():
    def setup(run):
        network = nn.Sequential(nn.Linear(3, 6, rng=0), nn.Dropout(0.4, rng=1), "tanh")

        def step(x):
            network.zero_grad()
            np.sum(run(network)(run(np.sin)(x)) ** 2).backward()
            return [p.grad for p in network.parameters()]

        return step

    steps = setup(as_it_is), compile(setup(remat), check="always")
    for k in range(3):
        x = RNG.standard_normal((5, 3)) + k
        same(steps[1](x), steps[0](x))


LEGACY = np.random.RandomState(0)


def test_a_second_run_that_differs_is_an_error():
    y = remat(lambda x: x * LEGACY.rand(3))(Tensor(X))
    with pytest.raises(
        RuntimeError, match=r"remat: <lambda> \(.*test_remat.py:\d+\) gave other res"
    ):
        np.sum(y).backward()
    calls = []

    def other(x):
        calls.append(x)
        return x * x if len(calls) == 1 else (x * x, x * x)

    with pytest.raises(RuntimeError, match="gave other results when it ran again"):
        np.sum(remat(other)(Tensor(X))).backward()


def test_a_parameter_that_was_replaced_is_noticed():
    w = Tensor(W, name="w")
    y = np.sum(remat(lambda x: w @ x)(Tensor(X)))
    w.data = W + 1
    with pytest.raises(RuntimeError, match="the data of 'w' was replaced"):
        y.backward()


def test_the_second_run_is_recorded_as_the_first_was():
    """A sweep under no_grad, and in another scope."""
    w = Tensor(W)
    y = np.sum(remat(lambda x: np.tanh(w @ x))(Tensor(X)))
    with no_grad():
        y.backward()
    same(w.grad, grad(lambda w: np.sum(np.tanh(w @ X)))(W))


def test_detect_anomaly_looks_into_the_second_run():
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.sum(remat(lambda x: np.sqrt(x * 0))(Tensor(X)))
        with (
            detect_anomaly(),
            pytest.raises(FloatingPointError, match=r"sqrt made the first inf \(b"),
        ):
            y.backward()


# ── what it is for ────────────────────────────────────────────────────────────────────────────────


def chain(run):
    """50 layers in 7 segments."""

    def f(weights, x):
        for i in range(0, 50, 7):

            def layers(x, *weights):
                for w in weights:
                    x = np.tanh(x @ w)
                return x

            x = run(layers)(x, *weights[i : i + 7])
        return np.sum(x**2)

    return grad(f)


def recurrence(body, segments):
    """1,000 steps in 25 segments."""
    xs = np.linspace(0, 1, 1000).reshape(25, 40)

    def f(w, h):
        step = body(lambda h, x: (np.tanh(h @ w) + h * x, None))
        return np.sum(scan(segments(lambda h, xs: scan(step, h, xs)), h, xs)[0] ** 2)

    return grad(f)


def test_memory_of_a_deep_network_in_segments():
    args = [RNG.standard_normal((16, 16)) / 8 for _ in range(50)], RNG.standard_normal((1000, 16))
    remembered, again = chain(as_it_is), chain(remat)
    assert peak(again, *args) < 0.5 * peak(remembered, *args)
    remembered, again = (compile(f, check=0) for f in (remembered, again))
    same(again(*args), remembered(*args))
    assert again.memory < 0.5 * remembered.memory


def test_memory_of_a_long_recurrence_in_segments():
    args = RNG.standard_normal((8, 8)) / 8, RNG.standard_normal((64, 8))
    remembered, again = recurrence(as_it_is, as_it_is), recurrence(as_it_is, remat)
    assert peak(again, *args) < 0.1 * peak(remembered, *args)
    compiled = [compile(f, check=0) for f in (remembered, again, recurrence(remat, remat))]
    expected, *found = [f(*args) for f in compiled]
    same(found, [expected, expected])
    assert compiled[1].memory < 0.1 * compiled[0].memory
    assert compiled[2].memory < compiled[1].memory


def loops(run):
    """1,000 steps in 25 segments, written as loops of Python's."""

    def f(w, h):
        def steps(h):
            for _ in range(40):
                h = np.tanh(h @ w) + h * 0.1
            return h

        for _ in range(25):
            h = run(steps)(h)
        return np.sum(h**2)

    return grad(f)


def test_memory_of_a_program_that_was_written_as_a_loop():
    args = RNG.standard_normal((8, 8)) / 8, RNG.standard_normal((64, 8))
    remembered, again = (compile(loops(run), check=0) for run in (as_it_is, remat))
    same(again(*args), remembered(*args))
    assert again.memory < 0.2 * remembered.memory


def test_a_program_computes_it_again():
    """What the second run computes is not taken for what the first has computed, even if the function
    is given nothing."""

    def f(run, w):
        return np.sum(run(lambda: np.sin(np.cos(w) * w))() ** 2)

    once, again = (compile(grad(lambda w, run=run: f(run, w))) for run in (as_it_is, remat))
    same(again(X), once(X))
    assert (once.source.count("np.cos("), again.source.count("np.cos(")) == (2, 3)


# ── seen and counted ──────────────────────────────────────────────────────────────────────────────


def test_pictures_and_the_player_show_it():
    x = Tensor(X, name="x")
    a, b = remat(lambda x: (np.sin(x), x * x))(x)
    y = np.sum(a * b)
    assert "remat" in draw(y).source
    assert "t2 = part(t1, index=0)" in str(graph(y))
    assert "∂x = remat, backward" in graph(y).text()
    play(y)


def test_costs_are_those_of_the_function_which_runs_twice():
    f = lambda run: lambda x: np.sum(run(lambda x: np.tanh(x * x))(x))
    once, again = (Sweeps(f(run), [X]) for run in (as_it_is, remat))
    assert again.evaluation.counts.flops == once.evaluation.counts.flops
    more = again.reverse().counts.flops - once.reverse().counts.flops
    assert more == 6  # three products, three tanh


def test_a_compiled_step_updates_the_averages_of_batch_normalization_once():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))

    def trained(run):
        body = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4))
        head = nn.Linear(4, 1, rng=1)
        optimizer = SGD([*body.parameters(), *head.parameters()], 0.1)

        def step(x, y):
            optimizer.zero_grad()
            loss = nn.mse(head(remat(body)(x)), y)
            loss.backward()
            optimizer.step()
            return loss

        step = run(step)
        losses = [step(x * (1 + k), y).item() for k in range(4)]
        return losses, body[1].running_mean.numpy(), body[1].running_var.numpy()

    for found, expected in zip(trained(compile), trained(lambda f: f), strict=True):
        np.testing.assert_allclose(found, expected, 1e-12)
