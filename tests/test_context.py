"""no_grad, scope and detect_anomaly, and that each thread has its own."""

import asyncio
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


# ── generators ────────────────────────────────────────────────────────────────────────────────────


def held(manager):
    with manager:
        yield current()
        yield current()


def seen():
    t = Tensor(1.0) * 2
    return t.requires_grad, t.scope, current().anomaly


PLAIN = (True, None, False)
ORDERS = [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)]


@pytest.mark.parametrize("order", ORDERS)
def test_interleaved_generators_leave_the_state_as_it_was(order):
    generators = [held(m) for m in (no_grad(), scope("s"), detect_anomaly())]
    for g in generators:
        next(g)
    assert seen() == (False, "s", True)
    open_ = {0, 1, 2}
    for i in order:
        generators[i].close()
        open_.remove(i)
        assert seen() == (0 not in open_, "s" if 1 in open_ else None, 2 in open_)
    assert seen() == PLAIN


def test_scopes_above_one_that_ended_are_renamed():
    a, b, c = (held(scope(name)) for name in "abc")
    for g in (a, b, c):
        next(g)
    b.close()
    assert seen()[1] == "a/c"
    with scope("d"):
        a.close()
        assert seen()[1] == "c/d"
    c.close()
    assert seen() == PLAIN


def test_nested_no_grad_ends_when_the_last_of_them_has():
    a, b = held(no_grad()), held(no_grad())
    next(a)
    next(b)
    a.close()
    assert not seen()[0]
    b.close()
    assert seen() == PLAIN


@pytest.mark.parametrize("make", [no_grad, lambda: scope("s"), detect_anomaly])
def test_a_generator_that_another_thread_closes(make):
    before = current()
    g = held(make())
    next(g)
    failed = []

    def close():
        try:
            with scope("theirs"):
                g.close()
                failed.append(seen() != (True, "theirs", False))
            failed.append(seen() != PLAIN)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert failed == [False, False]
    assert seen() == PLAIN
    with no_grad(), scope("x"):
        assert seen() == (False, "x", False)
    assert current() is before


def test_a_generator_that_a_task_closes():
    import asyncio

    async def main():
        g = held(no_grad())
        next(g)

        async def close():
            g.close()
            assert seen() == PLAIN

        await asyncio.create_task(close())

    asyncio.run(main())
    assert seen() == PLAIN


def test_a_block_can_be_entered_again_while_it_is_open():
    s = scope("s")
    with s, s:
        assert seen()[1] == "s/s"
    assert seen() == PLAIN
    block = no_grad()
    with block:
        with block:
            pass
        assert not seen()[0]
    assert seen() == PLAIN


def test_a_decorated_generator_computes_in_the_block_and_its_user_does_not():
    @no_grad()
    def steps(x):
        given = None
        while given != "end":
            try:
                given = yield (x * 2).requires_grad, given
            except KeyError as error:
                given = repr(error)
        return (x * 2).requires_grad

    g = steps(Tensor(1.0))
    assert next(g) == (False, None)
    assert seen() == PLAIN
    assert g.send(3) == (False, 3)
    assert g.throw(KeyError("k")) == (False, "KeyError('k')")
    assert seen() == PLAIN
    with pytest.raises(StopIteration) as ended:
        g.send("end")
    assert ended.value.value is False
    assert seen() == PLAIN
    assert steps.__name__ == "steps"


def interleave(rng, count, end):
    """Hold blocks open and end them in any order. After each step, the state is that of the open ones."""
    makes = [no_grad, lambda: scope("s"), detect_anomaly]
    running = []
    for _ in range(count):
        if running and rng.random() < 0.5:
            kind, g = running.pop(rng.integers(len(running)))
            end(g)
        else:
            kind = rng.integers(3)
            running.append((kind, held(makes[kind]())))
            next(running[-1][1])
        kinds = [kind for kind, _ in running]
        names = "/".join("s" for kind in kinds if kind == 1) or None
        assert seen() == (0 not in kinds, names, 2 in kinds)
    return [g for _, g in running]


@pytest.mark.parametrize("seed", range(5))
def test_random_interleavings(seed):
    rng = np.random.default_rng(seed)
    for g in interleave(rng, 300, lambda g: g.close() if rng.random() < 0.5 else list(g)):
        g.close()
    assert seen() == PLAIN


@pytest.mark.parametrize("seed", range(10))
def test_random_interleavings_that_end_in_other_threads(seed):
    rng = np.random.default_rng(seed)
    with ThreadPoolExecutor(1) as elsewhere:
        there = lambda g: elsewhere.submit(g.close).result()
        for g in interleave(rng, 60, lambda g: g.close() if rng.random() < 0.3 else there(g)):
            there(g)
    assert seen() == PLAIN


def test_decorated_coroutines_compute_in_the_block():
    told = []

    @no_grad()
    async def computed():
        told.append(seen()[0])
        await asyncio.sleep(0)
        told.append(seen()[0])
        return "done"

    @no_grad()
    async def steps():
        given = None
        while given != "end":
            try:
                given = yield seen()[0], given
            except KeyError:
                given = "thrown"
            await asyncio.sleep(0)

    async def main():
        other = asyncio.create_task(computed())
        assert seen() == PLAIN
        assert await computed() == "done"
        assert seen() == PLAIN
        await other
        g = steps()
        assert await anext(g) == (False, None)
        assert seen() == PLAIN
        assert await g.asend(3) == (False, 3)
        assert await g.athrow(KeyError()) == (False, "thrown")
        assert seen() == PLAIN
        with pytest.raises(StopAsyncIteration):
            await g.asend("end")
        assert seen() == PLAIN

    asyncio.run(main())
    assert told == [False] * 4
    assert computed.__name__ == "computed"
