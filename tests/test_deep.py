"""A chain of 1,000,000 operations: nothing recurses."""

import copy
import pickle

import numpy as np
import pytest

from autobp import Tensor, grad, graph, hessian, jvp, linearize
from autobp.rules import indexing, shape

N = 1_000_000


def test_a_million_operations_recorded():
    x = Tensor(1.0, name="x")
    y = x
    for _ in range(N):
        y = y + 1e-6
    y.backward()
    assert x.grad == 1.0
    g = graph(y)
    assert len(g) == N + 1
    assert "more …" in str(g)
    del g
    assert repr(y) == f"Tensor({y.data!r}, from add)"
    assert pickle.loads(pickle.dumps(y)).data == y.data
    assert copy.deepcopy(y).data == y.data
    del y


def test_a_million_operations_forward():
    def f(x):
        for _ in range(N):
            x = x * 1.000001
        return x

    value, slope = jvp(f, (1.0,), (1.0,))
    assert slope == value == pytest.approx(np.exp(1), rel=1e-5)


def test_many_numbers_stacked():
    xs = [Tensor(float(k)) for k in range(10_000)]
    np.sum(np.stack(xs) * np.arange(10_000.0)).backward()
    assert [x.grad for x in xs] == list(range(10_000))


def test_many_arrays_of_different_sizes_joined():
    sizes = np.arange(2000) % 4
    xs = [Tensor(np.full((2, k), float(i))) for i, k in enumerate(sizes)]
    y = np.concatenate(xs, axis=1)
    values = np.repeat(np.arange(2000.0), sizes)
    np.testing.assert_array_equal(y.data, [values, values])
    np.sum(y * [[1.0], [2.0]] * np.arange(values.size)).backward()
    ends = np.cumsum(sizes)
    for x, end, k in zip(xs, ends, sizes, strict=True):
        places = np.arange(end - k, end)
        np.testing.assert_array_equal(x.grad, [places, 2 * places])


def test_deep_chains_of_arrays_nested():
    def f(x):
        for _ in range(10_000):
            x = x * 1.0001
        return np.sum(x)

    x = np.ones(2)
    slope = 1.0001**10_000
    np.testing.assert_allclose(grad(f)(x), slope)
    np.testing.assert_allclose(linearize(f, x)[1](x), 2 * slope)
    np.testing.assert_allclose(grad(lambda x: np.sum(grad(f)(x) * x))(x), slope)


def counted(monkeypatch, primitive):
    """How often the rule of a primitive is asked for cotangents."""
    calls = []
    rule = primitive.reverse.rule
    monkeypatch.setattr(primitive.reverse, "rule", lambda *a, **k: calls.append(1) or rule(*a, **k))
    return calls


def test_wide_graphs_hand_all_cotangents_back_in_one_go(monkeypatch):
    n = 100_000
    calls = counted(monkeypatch, shape.stack_), counted(monkeypatch, shape.concatenate_)
    weights = np.arange(float(n))
    gradient = grad(lambda xs: np.sum(np.stack(xs) * weights))([1.0] * n)
    assert gradient == list(range(n))
    xs = [Tensor([float(i), 1.0]) for i in range(n)]
    for joined, size in (
        (np.concatenate, 2 * n),
        (np.hstack, 2 * n),
        (np.vstack, n),
        (np.stack, n),
    ):
        y = joined(xs)
        assert len(graph(y)) == n + 1
        np.sum(y.reshape(size, -1) * weights[0]).backward()
    assert [len(c) for c in calls] == [3, 2]
    y = np.column_stack(xs)
    assert y.shape == (2, n)
    np.sum(y * weights).backward()
    assert all(x.grad.tolist() == [i, i] for i, x in enumerate(xs))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(50,), (50, 3)])
def test_many_parts_of_one_array_are_added_to_one_gradient(monkeypatch, dtype, shape):
    """Each would make an array as large as that of which it is a part."""
    made = []
    function = indexing.scatter.function
    monkeypatch.setattr(
        indexing.scatter, "function", lambda *a, **k: made.append(a) or function(*a, **k)
    )
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    c = np.arange(1.0, 51.0).astype(dtype)

    def f(x):  # numbers or rows, from both ends and twice
        parts = [np.sum(x[i] * float(c[i])) for i in range(50)]
        parts += [np.sum(x[-1 - i] ** 2) for i in range(10)]
        return sum(parts) + np.sum(x[3:5]) * 2

    expected = np.ones(shape) * c.reshape(-1, *(1,) * (len(shape) - 1))
    expected[40:] += 2 * x[40:]
    expected[3:5] += 2
    found = grad(f)(x)
    assert (found.dtype, len(made)) == (dtype, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    second = np.zeros(x.size)
    second[x[:40].size :] = 2.0
    np.testing.assert_allclose(hessian(f)(x).reshape(x.size, -1), np.diag(second), rtol=1e-6)
    y = Tensor(x)
    for _ in range(2):  # the buffer is not the gradient that was added before
        f(y).backward()
    np.testing.assert_allclose(y.grad, 2 * expected, rtol=1e-6)


def test_numbers_side_by_side_are_one_operation():
    xs = [Tensor(float(i)) for i in range(30)]
    y = np.hstack(xs)
    assert len(graph(y).operations) == 1
    np.sum(y * np.arange(30.0)).backward()
    assert [x.grad for x in xs] == list(range(30))
    assert np.hstack([xs[1], 2.0, np.ones(2)]).numpy().tolist() == [1.0, 2.0, 1.0, 1.0]
    assert np.hstack([xs[1]]).shape == (1,)


def test_nests_are_deep_or_refused():
    def nest(levels):
        x = 3.0
        for _ in range(levels):
            x = [x]
        return x

    def innermost(x):
        while isinstance(x, list):
            x = x[0]
        return x

    assert innermost(grad(lambda x: innermost(x) ** 2)(nest(500))) == 6.0
    assert jvp(lambda x: innermost(x) ** 2, (nest(500),), (nest(500),))[1] == 18.0
    endless = []
    endless.append(endless)
    for deep in (nest(5000), endless):
        for call in (
            lambda deep=deep: grad(lambda x: innermost(x) ** 2)(deep),
            lambda deep=deep: jvp(lambda x: innermost(x) ** 2, (deep,), (deep,)),
        ):
            with pytest.raises(
                ValueError, match="an argument is nested too deeply, or contains itself"
            ):
                call()
