"""no_grad, scope and detect_anomaly, and that each thread has its own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from autobp import Tensor, detect_anomaly, grad, jvp, no_grad, scope
from autobp.context import current


def test_no_grad_makes_constants():
    x = Tensor(2.0)
    with no_grad():
        y = x * x
        assert not y.requires_grad
        with no_grad():
            pass
        assert not (x * x).requires_grad
    assert (x * x).requires_grad
    assert not (y * 2).requires_grad
    assert (y * x).requires_grad


def test_no_grad_as_a_decorator():
    @no_grad()
    def f(x):
        return x * 2

    assert not f(Tensor(1.0)).requires_grad
    assert not f(Tensor(1.0)).requires_grad


def test_scopes_nest_and_end():
    x = Tensor(1.0)
    with scope("net"):
        a = x * 2
        with scope("layer1"):
            b = np.exp(x)
            w = Tensor(1.0)
        with pytest.raises(KeyError), scope("layer2"):
            raise KeyError
        c = x + 1
    assert [t.scope for t in (a, b, w, c, x * 2)] == [
        "net",
        "net/layer1",
        "net/layer1",
        "net",
        None,
    ]


def test_a_scope_as_a_decorator_of_what_calls_itself():
    @scope("step")
    def scopes(depth):
        return [(Tensor(1.0) * 2).scope, *(scopes(depth - 1) if depth else [])]

    assert scopes(2) == ["step", "step/step", "step/step/step"]
    assert (Tensor(1.0) * 2).scope is None


def test_state_is_restored_whatever_happens():
    for manager in (no_grad(), scope("s"), detect_anomaly()):
        before = current()
        with pytest.raises(ZeroDivisionError), manager:
            raise ZeroDivisionError
        assert current() == before


def test_a_new_thread_begins_afresh():
    seen = []

    def run():
        seen.append((Tensor(1.0) * 2).requires_grad)
        seen.append((Tensor(1.0) * 2).scope)

    with no_grad(), scope("outer"):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert seen == [True, None]


def test_threads_do_not_disturb_each_other():
    """8 threads, of which some are under no_grad and some raise in the middle, against one."""

    def work(k):
        f = lambda x: np.sum(np.sin(x * (k + 1)) ** 2) * x[0]
        x = np.linspace(0.1, 1, 5) + k
        results = []
        for i in range(40):
            if (k + i) % 3 == 0:
                with no_grad(), scope(f"thread{k}"):
                    t = Tensor(x)
                    assert not (t * t).requires_grad
                    assert (t * t).scope is None or (t * t).scope == f"thread{k}"
                    results.append(grad(f)(x))
            elif (k + i) % 3 == 1:
                with pytest.raises(KeyError):
                    grad(lambda x: {}[f(x)])(x)
                results.append(jvp(grad(f), (x,), (x,))[1])
            else:
                t = Tensor(x)
                f(t).backward()
                results.append(t.grad)
                results.append(grad(lambda a: grad(lambda b: np.sum(a**2 * b**3))(2.0))(x))
        return np.stack(results)

    expected = [work(k) for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for found, right in zip(pool.map(work, range(8)), expected, strict=True):
                np.testing.assert_array_equal(found, right)
