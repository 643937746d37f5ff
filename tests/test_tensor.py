"""Tensor: what it holds, how it shows, what it refuses."""

import copy
import gc
import math
import pickle
import weakref

import numpy as np
import pytest

import autobp
from autobp import Tensor, grad, jvp, no_grad, relu, value_and_grad


def test_values_are_floats_and_float32_stays():
    assert type(Tensor(3).data) is float
    assert Tensor([1, 2]).dtype == np.float64
    assert Tensor(np.arange(3)).dtype == np.float64
    assert Tensor(np.float32(1)).dtype == np.float32
    assert Tensor([1.0, 2.0], dtype=np.float32).dtype == np.float32
    assert Tensor(np.array(2.0)).shape == ()
    x = Tensor(np.ones((2, 3), np.float32))
    loss = np.mean(np.tanh(x * 2.0 + 1) ** 2) / 3
    assert loss.dtype == np.float32
    loss.backward()
    assert x.grad.dtype == np.float32
    assert x.grad.shape == (2, 3)


def test_the_mean_of_half_precision_is_that_of_numpy():
    values = np.linspace(0, 6e4, 999).astype(np.float16)  # whose sum is beyond half precision
    x = Tensor(values)
    y = np.mean(x)
    assert y.dtype == np.float16
    assert y.numpy() == np.mean(values)
    y.backward()
    assert x.grad.dtype == np.float16
    np.testing.assert_allclose(x.grad, 1 / 999, rtol=1e-3)


def test_a_number_is_weak_as_in_python():
    half, x = Tensor(0.5), Tensor(np.ones(3, np.float32))
    assert (half * x).dtype == np.float32
    assert (np.ones(3, np.float32) * half).dtype == np.float32
    (half * x).sum().backward()
    assert type(half.grad) is float
    assert x.grad.dtype == np.float32


def test_beside_a_constant_in_single_precision_a_number_stays_in_double():
    x, narrow = np.float64(0.3), np.float32(0.1)
    functions = {
        "a product": lambda x: np.tanh(x) * narrow,
        "reflected": lambda x: narrow - np.tanh(x),
        "a choice": lambda x: np.where(x > 1, np.sqrt(x), narrow),
        "half precision": lambda x: np.sqrt(x) + np.tanh(True),
        "an array without axes": lambda x: np.sqrt(x) / np.array(0.1, np.float32),
    }
    for name, f in functions.items():
        for value in (value_and_grad(f)(x)[0], jvp(f, (x,), (1.0,))[0]):
            assert type(value) is float, name
            assert value == f(x), name
        with no_grad():
            assert f(Tensor(x)).item() == f(x), name
    single = Tensor(np.float32(2))
    assert (single * narrow).dtype == np.float32
    assert (Tensor(2.0) * np.ones(2, np.float32) * narrow).dtype == np.float32


@pytest.mark.parametrize("bad", [True, [True], 1j, "3", ["a"], None, object(), [[1], [1, 2]]])
def test_what_a_tensor_does_not_hold(bad):
    with pytest.raises(TypeError, match="a Tensor holds floating-point numbers"):
        Tensor(bad)


def test_a_tensor_does_not_share_memory_with_what_it_was_made_of():
    a = np.ones(3)
    t = Tensor(a)
    a[0] = 5
    assert t.data[0] == 1
    Tensor(t.detach()).data[0] = 7
    assert t.data[0] == 1
    t.numpy()[0] = 9
    assert t.data[0] == 1


def test_reading():
    t = Tensor([[1.0, 2.0], [3.0, 4.0]], name="t")
    assert (t.shape, t.ndim, t.size, t.nbytes, len(t)) == ((2, 2), 2, 4, 32, 2)
    assert t.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert t[1, 1].item() == 4.0
    assert [row.tolist() for row in t] == [[1.0, 2.0], [3.0, 4.0]]
    assert t.is_leaf
    assert not (t * 2).is_leaf
    assert f"{Tensor(1.23456):.2f}" == "1.23"
    assert bool(Tensor(0.0)) is False
    assert math.isclose(float(Tensor(2.0, requires_grad=False)), 2.0)
    assert int(Tensor(2.7, requires_grad=False)) == 2
    with pytest.raises(ValueError, match="size 1|one element|can only convert"):
        t.item()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda x: x, "Tensor(2.0, name='x')"),
        (lambda x: x * 1.0, "Tensor(2.0, from multiply)"),
        (lambda x: x.detach(), "Tensor(2.0, name='x', requires_grad=False)"),
        (lambda x: np.stack([x, x]), "Tensor([2. 2.], from stack)"),
        (lambda x: Tensor(np.ones(2, np.float32)), "Tensor([1. 1.], dtype=float32)"),
        (lambda x: Tensor(np.ones((0, 3))), "Tensor([], shape=(0, 3))"),
    ],
)
def test_repr(make, text):
    assert repr(make(Tensor(2.0, name="x"))) == text


def test_repr_of_a_large_tensor_tells_its_shape():
    assert "shape=(100, 100)" in repr(Tensor(np.zeros((100, 100))))


def test_operators_on_numbers():
    x = Tensor(3.0)
    results = {
        x + 1: 4,
        1 + x: 4,
        x - 1: 2,
        1 - x: -2,
        x * 2: 6,
        x / 2: 1.5,
        6 / x: 2,
        x**2: 9,
        2**x: 8,
        x // 2: 1,
        x % 2: 1,
        7 % x: 1,
        -x: -3,
        +x: 3,
        abs(-x): 3,
        round(x): 3,
        math.floor(x): 3,
        math.ceil(x): 3,
        math.trunc(x): 3,
    }
    for result, value in results.items():
        assert isinstance(result, Tensor)
        assert result.data == value
    quotient, rest = divmod(x, 2)
    assert (quotient.data, rest.data) == (1, 1)
    assert x > 2
    assert not x < 2
    assert x == 3
    assert x != 4
    assert x != None  # noqa: E711
    assert type(x > 2) is np.bool_


def test_equality_is_by_value_and_hash_by_identity():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 3.0])
    assert type(x == y) is np.ndarray
    assert (x == y).tolist() == [True, False]
    assert len({x, y, x}) == 2


def test_numpy_arithmetic_of_python_floats():
    """Where Python raises, a Tensor has what NumPy has."""
    zero = Tensor(0.0)
    with np.errstate(all="ignore"):
        assert (1 / zero).data == np.inf
        assert math.isnan((zero / zero).data)
        assert (zero**-1).data == np.inf
        assert math.isnan((Tensor(-8.0) ** (1 / 3)).data)
        assert np.exp(Tensor(1e4)).data == np.inf
        assert np.log(zero).data == -np.inf
        assert math.isnan(np.sqrt(Tensor(-1.0)).data)
        assert (Tensor(1e300) ** 2).data == np.inf
        (1 / zero).backward()
        assert zero.grad == -np.inf


def test_in_place_operators_rebind():
    x = Tensor(2.0)
    y = x
    y += 1
    y *= 3
    assert x.data == 2.0
    assert y.data == 9.0
    y.backward()
    assert x.grad == 3.0


def test_writing_in_place_is_refused_and_at_is_offered():
    x = Tensor([1.0, 2.0], name="x")
    with pytest.raises(
        TypeError, match=r"'x' cannot be changed in place: use t = t\.at\[i\]\.set\(v\)"
    ):
        x[0] = 3
    with pytest.raises(TypeError, match=r"use np\.sort"):
        x.sort()
    a = np.ones(2)
    with pytest.raises(TypeError, match=r"np\.add\(out=…\) has no rule"):
        a += x


def test_recorded_tensors_do_not_silently_become_constants():
    x = Tensor(2.0, name="x")
    for convert in (
        float,
        int,
        math.sin,
        np.asarray,
        lambda t: np.array([t, t]),
        lambda t: [1, 2][t],
    ):
        with pytest.raises(TypeError, match=r"'x' is recorded and cannot silently become|integer"):
            convert(x)
    with pytest.raises(TypeError, match=r"use NumPy's functions .*np\.stack, not np\.array"):
        np.array([x, x])
    a = np.zeros(2)
    with pytest.raises(ValueError, match="setting an array element") as caught:
        a[0] = x  # the words are NumPy's; ours stand above them
    assert "cannot be written into an array" in str(caught.value.__cause__)
    assert np.asarray(x.detach()) == 2.0


def test_an_unsuitable_operand_is_named():
    for bad in ("a", None, object(), [None]):
        with pytest.raises(TypeError, match="a Tensor combines with numbers and arrays, not with"):
            Tensor(1.0) + bad
    with pytest.raises(TypeError, match="complex"):
        Tensor(1.0) * 1j


# ── replacing data ────────────────────────────────────────────────────────────────────────────────


def test_parameters_are_updated_through_data():
    for start in (2.0, np.full((2, 2), 2.0), np.full(3, 2.0, np.float32), np.float32(2)):
        p = Tensor(start, name="p")
        dtype = p.dtype
        for _ in range(2):
            p.grad = None
            (p * p).sum().backward()
            p.data -= 0.1 * p.grad
        assert p.dtype == dtype
        np.testing.assert_allclose(p.data, 2 * 0.8**2, rtol=1e-6)


def test_replaced_data_is_noticed_and_named():
    w, x = Tensor(2.0, name="w"), Tensor([1.0, 2.0], name="x")
    message = r"the data of 'w' was replaced after a result was computed from it"
    loss = np.sum(w * x)
    w.data = 3.0
    with pytest.raises(RuntimeError, match=message):
        loss.backward()
    v = Tensor([1.0, 2.0], name="w")
    turned = v.reshape(2, 1)  # a view: its value changes along
    loss = np.sum(turned @ turned.T)
    v.data -= 1.0
    with pytest.raises(RuntimeError, match=message):
        loss.backward()
    c = Tensor(2.0, requires_grad=False, name="w")
    loss = x * c
    c.data += 1
    with pytest.raises(RuntimeError, match=message):
        loss.sum().backward()
    loss = w * 2
    loss.backward()  # computed since
    assert w.grad == 2.0


def test_data_of_results_is_not_replaced():
    y = np.exp(Tensor(1.0, name="x"))
    with pytest.raises(
        TypeError,
        match="cannot replace the data of a Tensor from exp: it is the result of an operation",
    ):
        y.data = 2.0


def test_data_keeps_shape_and_dtype():
    p = Tensor(np.ones(2, np.float32), name="p")
    p.data = np.array([1.5, 2.5])
    assert p.dtype == np.float32
    with pytest.raises(ValueError, match=r"the new data of 'p' has shape \(3,\), not \(2,\)"):
        p.data = np.ones(3)
    with pytest.raises(TypeError, match="cannot replace the value of a Tensor inside grad"):
        grad(grad(lambda x: setattr(x, "data", 1.0)))(1.0)


# ── copies ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_keep_leaves_and_detach_results(duplicate):
    w = Tensor(np.arange(3, dtype=np.float32), name="w")
    (w * w).sum().backward()
    twin = duplicate(w)
    assert twin.name == "w"
    assert twin.requires_grad
    assert twin.dtype == np.float32
    assert twin.data is not w.data
    np.testing.assert_array_equal(twin.data, w.data)
    np.testing.assert_array_equal(twin.grad, w.grad)
    result = duplicate(w * 2)
    assert result.is_leaf
    assert not result.requires_grad
    assert not duplicate(Tensor(1.0, requires_grad=False)).requires_grad
    shared = duplicate([w, w])
    assert shared[0] is shared[1]


# ── gradients on tensors ──────────────────────────────────────────────────────────────────────────


def test_backward_adds_to_leaves_only_and_works_twice():
    x = Tensor(2.0)
    y = x * x
    z = y * x
    y.retain_grad()
    for times in (1, 2, 3):
        z.backward()
        assert x.grad == 12.0 * times
        assert y.grad == 2.0


def test_gradients_are_the_users_own():
    x, b = Tensor(np.ones(3)), Tensor(np.ones(3))
    (x + b).sum().backward()
    x.grad += 1  # writable, and not the array that b has
    assert b.grad.tolist() == [1, 1, 1]
    seed = np.ones(3)
    c = Tensor(np.ones(3))
    c.backward(seed)
    c.grad += 1
    assert seed.tolist() == [1, 1, 1]


def test_leaves_that_have_no_influence_get_zero_not_none():
    x, y = Tensor([1.0, 2.0]), Tensor(3.0)
    np.sum(np.floor(x) * y).backward()
    assert x.grad.tolist() == [0, 0]
    assert Tensor(1.0).grad is None


def test_backward_refuses_what_has_no_gradient():
    x = Tensor([1.0, 2.0], name="x")
    with pytest.raises(
        ValueError, match=r"backward\(\) needs a scalar; this result has shape \(2,\): take a sum"
    ):
        x.backward()
    with pytest.raises(
        ValueError, match=r"backward\(\): the gradient has shape \(3,\); its value has shape \(2,\)"
    ):
        (x * 2).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="it is a constant"):
        Tensor(1.0, requires_grad=False).backward()
    with no_grad():
        y = x.sum()
    with pytest.raises(RuntimeError, match=r"or under no_grad\(\)"):
        y.backward()
    (x * x).backward([1.0, 10.0])
    assert x.grad.tolist() == [2.0, 40.0]


def test_parameters_are_frozen_and_thawed():
    w, x = Tensor([1.0, 2.0], name="w"), Tensor([3.0, 4.0], name="x")
    loss = lambda: np.sum(np.exp(w) * x)
    before = loss()
    w.requires_grad = False
    loss().backward()
    assert w.grad is None
    np.testing.assert_allclose(x.grad, np.exp([1.0, 2.0]))
    stale = "the data of 'w' was replaced after .* \\(or its requires_grad was\\)"
    with pytest.raises(RuntimeError, match=stale):
        before.backward()
    w.requires_grad = True
    loss().backward()
    np.testing.assert_allclose(w.grad, np.exp([1.0, 2.0]) * [3.0, 4.0])


def test_requires_grad_belongs_to_what_was_not_computed():
    cannot = "cannot set requires_grad of 'y': it is the result of an operation, or a derivative by it is"
    y = Tensor(2.0) * 3
    y.name = "y"
    with pytest.raises(RuntimeError, match=cannot):
        y.requires_grad = False

    def f(y):
        y.name = "y"
        y.requires_grad = False
        return y

    with pytest.raises(RuntimeError, match=cannot):
        grad(f)(2.0)


def test_hooks_see_and_change_gradients():
    x = Tensor(3.0)
    y = x * x
    seen = []
    hook = y.register_hook(seen.append)
    x.register_hook(lambda g: g / 2)
    (y + y).backward()
    assert seen == [2.0]
    assert x.grad == 6.0
    hook.remove()
    hook.remove()
    (y + y).backward()
    assert seen == [2.0]


def test_hooks_are_checked_and_come_before_retain_grad():
    x = Tensor([1.0, 2.0])
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert y.grad.tolist() == [10, 10]
    y.register_hook(lambda g: np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"the gradient that a hook returned has shape \(5, 2\)"):
        y.sum().backward()
    z = Tensor(1.0)
    z.register_hook(lambda g: Tensor(5.0))
    z.backward(Tensor(1.0))
    assert type(z.grad) is float


def test_one_element_needs_no_cotangent():
    x = Tensor([3.0])
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]


def test_membership():
    assert 2.0 in Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 5.0 not in Tensor([1.0])


def test_detach_cuts():
    x = Tensor(3.0)
    y = x * x.detach()
    y.backward()
    assert x.grad == 3.0
    assert grad(lambda x: x * x.detach())(3.0) == 3.0
    assert grad(grad(lambda x: x**2 * x.detach()))(3.0) == 6.0


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def test_a_graph_goes_with_its_last_reference_without_the_collector():
    class Marked(Tensor):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        x = Marked([1.0, 2.0])
        alive = weakref.ref(x)
        x.register_hook(lambda g: None)
        y = np.sum(np.exp(x) * x)
        y.backward()
        del x
        assert alive() is not None
        del y
        assert alive() is None
    finally:
        gc.enable()


def test_training_leaves_nothing_behind():
    """Tensors are counted, since other threads of the process have garbage of their own."""
    tensors = lambda objects: sum(isinstance(o, Tensor) for o in objects)
    gc.collect()
    gc.disable()
    try:
        w = Tensor(np.ones((4, 4)))
        for i in range(200):
            if i == 50:
                before = tensors(gc.get_objects())
            w.grad = None
            np.sum(relu(w @ w)).backward()
            w.data -= 1e-3 * w.grad
        assert tensors(gc.get_objects()) == before
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert not tensors(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_public_names():
    assert all(hasattr(autobp, name) for name in autobp.__all__)
    assert len(set(autobp.__all__)) == len(autobp.__all__)


def test_threads_add_to_the_gradient_of_a_leaf_they_share():
    import sys
    import threading

    w = Tensor(np.zeros(3))

    def work():
        for _ in range(300):
            np.sum(w * 1.0).backward()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert w.grad.tolist() == [1800.0] * 3
