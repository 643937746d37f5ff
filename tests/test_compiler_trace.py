"""The trace: what sweeps and optimizers tell it, and who may ask for a value."""

import contextlib
import cProfile
import enum
import functools
import importlib
import math
import signal
import statistics
import sys
import time
from fractions import Fraction

import numpy as np
import pytest

from autobp import (
    CaptureError,
    Tensor,
    compile,
    custom,
    grad,
    jvp,
    nn,
    optim,
    scope,
    value_and_grad,
)
from autobp.context import tracing
from autobp.optim.option import at_least_zero, option


def phases(compiled):
    """The scope and phase of each step, each once, in order."""
    return list(dict.fromkeys((s.scope, s.phase) for s in compiled.programs[0].steps))


def test_a_training_step_has_three_phases():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh())
    optimizer = optim.Adam(model.parameters())

    def step(x):
        optimizer.zero_grad()
        loss = np.sum(model(x) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    compiled = compile(step)
    for _ in range(2):
        compiled(np.ones((2, 3)))
    found = phases(compiled)
    forward = [p for p in found if p[1] == "forward"]
    backward = [p for p in found if p[1] == "backward"]
    assert ("sequential/linear", "forward") in forward
    assert ("sequential/linear", "backward") in backward
    assert [p[1] for p in found] == sorted(
        (p[1] for p in found), key=["forward", "backward", "update"].index
    )
    assert found[-1] == (None, "update")


@contextlib.contextmanager
def called():
    told = []
    profiler = lambda frame, event, what: told.append(event)
    sys.setprofile(profiler)
    try:
        yield
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert "call" in told


@contextlib.contextmanager
def cprofiled():
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        yield
        sum([1, 2])
    finally:
        profiler.disable()
    assert any("sum" in str(row.code) for row in profiler.getstats())


OTHERS = pytest.mark.parametrize("other", [called, cprofiled])


@OTHERS
def test_effects_are_refused_where_another_profiler_runs_and_it_goes_on(other, capsys):
    def f(x):
        print("here")
        return x * 2

    with other(), pytest.raises(CaptureError, match="print"):
        compile(f)(np.ones(3))
    assert capsys.readouterr().out == ""


@OTHERS
def test_scopes_and_names_are_told_where_another_profiler_runs(other):
    def f(x):
        w = Tensor(x, name="w")
        with scope("inner"):
            y = np.sum(np.sin(w) * np.cos(w))
        y.backward()
        return w.grad

    compiled = compile(f)
    with other():
        compiled(np.ones(3))
    assert ("inner", "backward") in phases(compiled)
    assert "dx = " in compiled.source


def test_a_sweep_within_a_sweep_ends():
    def f(x):
        def g(a):
            with scope("first"):
                return np.sum(a**3)

        def h(a):
            with scope("second"):
                return np.sum(grad(g)(a) ** 2)

        return grad(h)(x) + np.tan(x)

    compiled = compile(f)
    compiled(np.ones(3))
    assert phases(compiled)[-1] == (None, "forward")
    assert {p for _, p in phases(compiled)} == {"forward", "backward"}


def test_a_sweep_that_fails_ends():
    def f(x):
        w, v = Tensor(x), Tensor(x)
        w.register_hook(lambda g: 1 / 0)
        try:
            np.sum(w * w).backward()
        except ZeroDivisionError:
            pass
        return np.sin(v)

    compiled = compile(f)
    compiled(np.ones(3))
    assert [s.phase for s in compiled.programs[0].steps if s.function is np.sin] == ["forward"]


def test_nothing_is_told_outside_a_trace():
    seen = []
    w = Tensor([1.0, 2.0])
    w.register_hook(lambda g: seen.append(tracing.get()))
    np.sum(w * w).backward()
    optim.SGD([w], 0.1).step()
    assert seen == [None]
    assert tracing.get() is None


W = np.ones(2)


def plateau(x):
    optimizer = optim.SGD([Tensor(W)], 0.1)
    optim.ReduceLROnPlateau(optimizer).step(np.sum(x))
    return x


def descent(x):
    w = Tensor(W)
    optim.gradient_descent(lambda: np.sum((w - x) ** 2), [w], steps=2)
    return w.numpy()


def own_optimizer(x):
    class Signed(optim.Optimizer):
        lr: float = option(at_least_zero, default=0.01)

        def update(self, w, g, state, *, lr):
            if np.max(g) > 0:
                w -= lr * g

    w = Tensor(W)
    np.sum(w * x).backward()
    Signed([w], lr=0.1).step()
    return w.numpy()


@pytest.mark.parametrize("f", [plateau, descent, own_optimizer])
def test_what_updates_parameters_may_not_branch_on_a_value(f):
    with pytest.raises(CaptureError, match="(was|were) asked for, as by"):
        compile(f)(np.ones(2))


def test_a_layer_and_clipping_may():
    def f(x):
        w = Tensor(x)
        (np.sum(nn.cross_entropy(w.reshape(1, -1), np.array([0])))).backward()
        optim.clip_grad_norm([w], 0.1)
        return w.grad

    compiled = compile(f)
    x = np.array([1.0, 2.0])
    for k in (1.0, 2.0, 3.0):
        np.testing.assert_allclose(compiled(k * x), f(k * x))
    assert len(compiled.programs) == 1
    with pytest.raises(FloatingPointError, match="gradient"):
        compiled(np.array([np.nan, 1.0]))


class Scale(enum.Enum):
    SMALL = [2.0]  # noqa: RUF012


def test_what_a_member_of_an_enum_holds_is_looked_into():
    class Net(nn.Module):
        def __init__(self):
            self.scale = Scale.SMALL

        def forward(self, x):
            return x * self.scale.value[0]

    net = Net()
    compiled = compile(lambda x: net(x))
    assert [compiled(x) for x in (1.0, 2.0, 3.0)] == [2.0, 4.0, 6.0]
    Scale.SMALL.value[0] = 5.0
    assert compiled(3.0) == 15.0


MODULE = """
from autobp import CaptureError, compile

def f(x):
    print(x.shape)
    return x + 1

try:
    compile(f)(1.0)
    refused = ""
except CaptureError as error:
    refused = str(error)
"""


def test_effects_are_refused_while_a_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "compiles_on_import.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    assert "the call of print at" in importlib.import_module("compiles_on_import").refused


def test_a_traced_function_may_import(tmp_path, monkeypatch):
    (tmp_path / "says_so.py").write_text("print('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    def f(x):
        import says_so  # noqa: F401

        return x + 1

    assert compile(f)(1.0) == 2.0


# ── effects within the library's own work ─────────────────────────────────────────────────────────


def noisy(y):
    print("here")
    return y


class Noisy(np.ndarray):
    def __array_ufunc__(self, *args, **kwargs):
        return noisy(np.ones(3))


def hooked(x):
    y = x * 2
    y.register_hook(noisy)
    return y


FORWARD = custom(lambda x: noisy(x * 2), vjp=lambda t, y, x: t * 2)
BACKWARD = custom(lambda x: x * 2, vjp=lambda t, y, x: noisy(t * 2))
TRANSPOSED = custom(lambda x: x * 2, jvp=lambda t, y, x: noisy(t * 2))
NOISY = np.frompyfunc(noisy, 1, 1)


@pytest.mark.parametrize(
    "function",
    [
        value_and_grad(lambda x: np.sum(FORWARD(x))),
        value_and_grad(lambda x: np.sum(BACKWARD(x))),
        value_and_grad(lambda x: np.sum(TRANSPOSED(x))),
        value_and_grad(lambda x: np.sum(hooked(x))),
        value_and_grad(lambda x: noisy(np.sum(x * x))),
        value_and_grad(lambda x: np.sum(x) * np.sum(grad(lambda y: noisy(np.sum(y * y)))(x))),
        lambda x: jvp(TRANSPOSED, (x,), (x,)),
        lambda x: NOISY(x),
        lambda x: x + np.ones(3).view(Noisy),
        lambda x: (x * 2, noisy(3)),
    ],
)
def test_code_of_the_users_is_watched_where_the_library_calls_it(function, capsys):
    """While the library itself computes, nobody watches; but it calls rules, hooks, ufuncs."""
    with pytest.raises(
        CaptureError, match=r"test_compiler_trace.py:\d+: a program would not do it"
    ):
        compile(function)(np.ones(3))
    assert capsys.readouterr().out == ""
    assert sys.getprofile() is None


# ── signals ───────────────────────────────────────────────────────────────────────────────────────


def long(x):
    y = x
    for i in range(3000):
        y = np.sin(y) * x if i % 7 else y + x
    return np.sum(y)


@contextlib.contextmanager
def handled(handler):
    compile(value_and_grad(long))(np.ones(3))  # Python's imports may swallow what a handler raises
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)  # tracing takes longer
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_what_a_handler_of_a_signal_raises_is_raised():
    def late(*_):
        raise TimeoutError("too late")

    for handler in (late, functools.partial(late, 1)):
        for _ in range(5):
            with pytest.raises(TimeoutError, match="^too late$"), handled(handler):
                compile(value_and_grad(long))(np.ones(3))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_what_a_handler_of_a_signal_does_is_not_the_functions_doing(capsys):
    class Handler:
        rung = 0

        def __call__(self, *_):
            self.rung += 1
            print("ring", time.time() > 0)

    handler, compiled = Handler(), compile(value_and_grad(long))
    with handled(handler):
        compiled(np.ones(3))
    assert handler.rung == 1
    assert capsys.readouterr().out == "ring True\n"


def traced_lines(compiled):
    """The lines of this file that the steps of a program were called from, as the trace has them."""
    steps = compiled._entries[0].traced.program.steps
    return [(s.function.__name__, int(s.line.rpartition(":")[2])) for s in steps]


def test_steps_have_the_lines_that_call_them_within_hooks_too():
    def slope(x):
        x = Tensor(x)
        y = np.sin(x) * x
        y.register_hook(lambda g: np.tanh(g))
        np.sum(y * y).backward()
        return x.grad

    compiled = compile(slope)
    compiled(np.ones(3))
    first = slope.__code__.co_firstlineno
    lines = {(name, line - first) for name, line in traced_lines(compiled)}
    assert ("sin", 2) in lines
    assert ("tanh", 3) in lines
    assert ("cos", 4) in lines  # by the sweep, before the hook and after it
    assert {line for _, line in lines} == {2, 3, 4}


def test_a_quotient_is_made_a_float_once():
    compiled = compile(lambda x, y: Tensor(x) / Tensor(y))
    with pytest.warns(UserWarning, match="no derivative goes through"):
        compiled(1.0, 3.0)
    assert [name for name, _ in traced_lines(compiled)] == ["divide", "float"]


def test_lists_are_repeated_as_often_as_an_argument_says():
    def total(x, n):
        row = n * [x] + [x] * n
        return sum(row) + len(row) + len((x,) * n)

    compiled = compile(total)
    assert [compiled(2.0, n) for n in (3, 5, 3)] == [total(2.0, n) for n in (3, 5, 3)]


MESSAGES = {
    "math": (lambda x: math.sin(x), "by math.sin or an assignment.*use NumPy's function"),
    "an assignment": (lambda x: np.zeros(3).__setitem__(0, x), "in a list for np.stack"),
    "round": (lambda x: round(x), "use np.round"),
    "max": (lambda x: max(x, 2.0), "np.maximum for max"),
    "Python's own module": (lambda x: statistics.mean([x, 1.0]), r"test_compiler_trace.py:\d+"),
    "a fraction": (lambda x: x * Fraction(1, 3), r"test_compiler_trace.py:\d+"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_refusals_name_the_users_line_and_the_way_out(name):
    function, message = MESSAGES[name]
    with pytest.raises(CaptureError, match=message) as caught:
        compile(function)(1.0)
    assert "/lib/python" not in str(caught.value)


def test_complex_numbers_of_python_are_as_numpys():
    assert compile(lambda x: abs(1j + x) ** 2)(2.0) == pytest.approx(5.0)


def test_errors_that_are_silenced_are_those_around_each_call():
    def f(x):
        y = x / 3.0
        with np.errstate(over="ignore"):
            z = np.exp(y) * 2.0
            with np.errstate(divide="ignore"):
                z = z + np.log(y)
        return np.sum(z / x)

    program = compile(f, check=0)
    program(np.ones(3))
    errors = {s.function: dict(s.errors) for s in program._entries[0].traced.program.steps}
    assert errors[np.exp] == {"over": "ignore"}
    assert errors[np.log] == {"over": "ignore", "divide": "ignore"}
    assert errors[np.sum] == errors[np.divide] == {}


def test_effects_are_seen_between_operations_on_numbers(capsys):
    """The library is not listened to, the user's function is, also right after an operation."""

    def f(x, y):
        z = x * y
        print("seen")
        return z

    with pytest.raises(CaptureError, match="print"):
        compile(value_and_grad(f))(2.0, 3.0)
    assert not capsys.readouterr().out
