"""scan gives what the loop in Python gives: the values, all derivatives, and as a program."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from autobp import (
    CaptureError,
    Tensor,
    compile,
    detect_anomaly,
    grad,
    graph,
    hessian,
    jacobian,
    jvp,
    nn,
    no_grad,
    remat,
    scan,
    scope,
)
from autobp.compiler.program import check
from autobp.counts import Sweeps
from autobp.drawing.diagram import diagram
from autobp.drawing.fold import fold
from autobp.optim import Adam, clip_grad_norm
from autobp.recurrence import Body
from autobp.tree import leaves, refilled

RNG = np.random.default_rng(0)
XS, H, W = RNG.standard_normal((5, 3)), RNG.standard_normal(3), 0.4 * RNG.standard_normal((3, 3))


def written(f, init, xs=None, length=None, reverse=False):
    """The loop that a scan stands for."""
    n = length if xs is None else len(next(x for _, x in leaves(xs)))
    carry, ys = init, [None] * n
    for i in reversed(range(n)) if reverse else range(n):
        carry, ys[i] = f(carry, refilled(xs, [x[i] for _, x in leaves(xs)]))
    columns = zip(*([y for _, y in leaves(y)] for y in ys), strict=True)
    return carry, refilled(ys[0], [np.stack(column) for column in columns])


def plain(x):
    return x.numpy() if isinstance(x, Tensor) else x


def same(found, expected, tolerance=1e-11):
    pairs = list(zip(leaves(found), leaves(expected), strict=True))
    for (path, a), (_, b) in pairs:
        a, b = plain(a), plain(b)
        assert np.shape(a) == np.shape(b), path
        assert np.result_type(a) == np.result_type(b), path
        scale = max(1.0, np.max(np.abs(b), initial=0))
        np.testing.assert_allclose(a, b, tolerance, tolerance * scale, err_msg=path)


def squares(nest):
    return sum(np.sum(np.sin(x) * x) for _, x in leaves(nest))


# ── what is computed ──────────────────────────────────────────────────────────────────────────────

CASES = {}


def case(*args, tolerance=1e-11):
    def add(f):
        CASES[f.__name__] = f, args, tolerance
        return f

    return add


@case(XS, H, W)
def recurrent(loop, xs, h, w):
    return squares(loop(lambda h, x: ((n := np.tanh(w @ h + x)), n * h), h, xs))


@case(XS, H, W)
def backwards(loop, xs, h, w):
    c, y = loop(lambda h, x: (np.tanh(w @ h + x), h * x), h, xs, reverse=True)
    return np.sum(c**2) + np.sum(y * np.arange(15.0).reshape(5, 3))


@case(XS, H, W)
def nests(loop, xs, h, w):
    """Lists, tuples and dicts; a counter; what is a constant at first and hangs on a weight later."""

    def body(carry, x):
        n = np.tanh(w @ carry["h"] + x["a"]) * x["b"][0]
        carry = {"h": n, "k": carry["k"] + 1, "s": (carry["s"][0] + n, None)}
        return carry, [n, (np.sum(n), 3.0, None)]

    carry = {"h": h, "k": 0, "s": (np.zeros(3), None)}
    return squares(loop(body, carry, {"a": xs, "b": [np.arange(5.0)]}))


@case(XS[:, 0], 0.7)
def numbers(loop, xs, a):
    return squares(loop(lambda c, x: (0.5 * c * a + np.sin(x), c * x), 0.0, xs))


@case(2.0)
def without_xs(loop, a):
    return loop(lambda c, _: (c - (c * c - a) / (2 * c), None), a, None, length=6)[0]


@case(H, 1.3)
def swaps(loop, h, a):
    c, y = loop(lambda c, _: ((c[1], c[0] + 0.1 * c[1] * c[0]), c[0]), (h, a * h), None, 6)
    return np.sum(y**2) + np.sum(c[0] * c[1])


@case(XS, H, W)
def nested(loop, xs, h, w):
    def outer(h, x):
        h, sums = loop(lambda h, k: (np.tanh(w @ h + x * k), np.sum(h * x)), h, np.arange(1.0, 4.0))
        return h, (np.sum(sums**2), h)

    return squares(loop(outer, h, xs))


@case(XS, H, W)
def nested_backwards(loop, xs, h, w):
    def outer(h, x):
        return loop(lambda h, k: (np.tanh(w @ h + x * k), h), h, np.arange(1.0, 3.0), reverse=True)

    return squares(loop(outer, h, xs, reverse=True))


@case(XS, H, tolerance=1e-9)
def derivatives_inside(loop, xs, w):
    def step(w, x):
        g = grad(lambda w: np.sum((x * w - 1) ** 2))(w)
        return w - 0.1 * g, np.sum(g * g)

    return squares(loop(step, w, xs))


@case(XS, W)
def one_after_the_other(loop, xs, w):
    _, y = loop(lambda c, x: (np.tanh(w @ c + x), c), np.zeros(3), xs)
    return squares(loop(lambda c, t: (c * 0.5 + np.sum(t[0] * t[1]), c), 0.0, (y, xs)))


@case(XS, H)
def masks_and_indices(loop, xs, h):
    def body(c, x):
        x, i = x
        return np.where(x > 0.1, c * x, c - x), np.maximum(c, xs[(i + 1) % 5])

    return squares(loop(body, h, (xs, np.arange(5))))


@case(XS[:1], H)
def one_iteration(loop, xs, h):
    return squares(loop(lambda c, x: (c * x, c), h, xs))


@case(*(a.astype(np.float32) for a in (XS, H, W)), tolerance=1e-3)
def single_precision(loop, xs, h, w):
    c, y = loop(lambda c, x: (np.tanh(w @ c + x), c * 2), h, xs)
    return np.sum(c * c) + np.sum(y)


@case(XS[:, 0].astype(np.float32), tolerance=1e-3)
def weak_numbers(loop, xs):
    c, y = loop(lambda c, x: (c + x * x, c * x), 0, xs)
    return c * c + np.sum(y)


@case(XS, H, W)
def run_again(loop, xs, h, w):
    body = lambda h, x: ((n := np.tanh(w @ np.tanh(w @ h + x))), n * h)
    return squares(loop(remat(body) if loop is scan else body, h, xs))


def derivatives(args):
    every = tuple(range(len(args)))
    direction = [np.full_like(a, 0.5) if np.ndim(a) else 0.5 for a in args]
    return {
        "value": lambda f: f,
        "gradient": lambda f: grad(f, every),
        "tangent": lambda f: lambda *a: jvp(f, a, direction),
        "second": lambda f: grad(lambda *a: squares(grad(f, every)(*a)), every),
        "tangent of gradient": lambda f: lambda *a: jvp(grad(f, every), a, direction),
    }


@pytest.mark.parametrize("name", CASES)
def test_a_scan_is_the_loop(name):
    """As it is and as a program, which other values reach and which is valid."""
    f, args, tolerance = CASES[name]
    more = [a * np.result_type(a).type(1.1) if np.ndim(a) else a * 1.1 for a in args]
    for derivative in derivatives(args).values():
        loop, scanned = (derivative(lambda *a, s=s: f(s, *a)) for s in (written, scan))
        expected = loop(*args)
        same(scanned(*args), expected, tolerance)
        compiled = compile(scanned, check="always")
        same(compiled(*args), expected, tolerance)
        same(compiled(*more), loop(*more), tolerance)
        (program,) = compiled.programs
        check(program)
        assert any(step.loop for step in program.steps)


@pytest.mark.parametrize("init", [0.3, np.float64(0.3), np.array(0.3)])
def test_a_first_carry_that_is_cast_is_computed_before_the_loop(init):
    carry = lambda p: scan(lambda h, x: (0.5 * h + x, np.tanh(h)), p, np.arange(5.0))
    for x, y in zip(carry(init), compile(carry)(init), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


def test_a_carry_that_nothing_is_computed_from_has_no_cotangent():
    """Else zeros times what is not finite would be nan."""
    xs = np.array([[1.0, 2.0], [3.0, 0.5], [np.nan, 2.0], [1.5, 1.0]])

    def second(p):
        body = lambda c, x: ((c[0] * x[0], c[1] * x[1], c[2] + c[1]), None)
        return scan(body, (p[0], p[1], p[2]), xs)[0][2]

    p = np.array([1.0, 2.0, 3.0])
    with np.errstate(invalid="ignore"):
        for step in (grad(second), compile(grad(second))):
            np.testing.assert_allclose(step(p), [0.0, 6.0, 1.0])


def test_jacobians_and_hessians():
    for derivative in (
        lambda f: jacobian(f, (0, 1), mode="reverse"),
        lambda f: jacobian(f, 1, mode="forward"),
        lambda f: hessian(f, 1),
        lambda f: grad(lambda *a: jvp(f, a, (np.cos(a[0]), a[1] * 2))[1], (0, 1)),
        lambda f: grad(lambda *a: squares(hessian(f, 1)(*a))),
    ):
        loop, scanned = (
            derivative(lambda xs, h, s=s: nested(s, xs[:2], h, W)) for s in (written, scan)
        )
        same(scanned(XS, H), loop(XS, H), 1e-9)
        same(compile(scanned, check=0)(XS, H), loop(XS, H), 1e-9)


@pytest.mark.parametrize("options", [{"reuse": True}, {"donate": (0, 1)}])
def test_with_memory_that_is_used_again(options):
    step = lambda h, w: scan(lambda h, x: (np.tanh(w @ h + x), np.sum(h)), h, XS)
    compiled = compile(step, check=0, **options)
    h, expected = H.copy(), H
    for _ in range(3):
        h, sums = compiled(h, W.copy())
        expected, sums_ = step(expected, W)
        same((h, sums), (expected, sums_))


def test_a_saved_program_loops(tmp_path):
    slope = compile(grad(lambda xs, h: recurrent(scan, xs, h, W)))
    expected = slope(XS, H)
    slope.save(path := tmp_path / "slope.py")
    names = {}
    exec(Path(path).read_text(), names)
    same(names[slope.__name__](XS, H), expected)


# ── as a program ──────────────────────────────────────────────────────────────────────────────────


def test_the_body_is_traced_once_and_is_a_for_loop(monkeypatch):
    calls, call = [], Body.__call__
    monkeypatch.setattr(Body, "__call__", lambda *args: calls.append(1) or call(*args))
    sources = []
    for n in (10, 1000):
        xs = np.ones((n, 3))
        compiled = compile(grad(lambda xs: recurrent(scan, xs, H, W)), check=0)
        calls.clear()
        compiled(xs)
        assert len(calls) <= 6  # h is a constant only at first; and one for the backward pass
        sources.append(compiled.source)
    short, long = (len(source.splitlines()) for source in sources)
    assert short == long < 100
    forward, backward = re.findall(r"^    for .* in .*:$", sources[0], re.M)
    assert forward == "    for i, x in enumerate(xs):"
    assert "zip(" in backward


def test_iterations_hand_on_and_stack_what_is_used():
    def f(xs, w):
        def body(carry, x):
            h, unused, k = carry
            return (np.tanh(w @ h + x), unused + h, k + 1), (h, np.exp(unused))

        return scan(body, (H, H, 0), xs)[0][0]

    compiled = compile(f)
    compiled(XS, W)
    (loop,) = (step.loop for step in compiled.programs[0].steps if step.loop)
    becomes, rows = loop.body.returns
    assert len(becomes) == 1
    assert not rows
    assert "exp" not in compiled.source


def test_what_is_the_same_in_all_iterations_is_computed_before():
    compiled = compile(lambda xs, w: scan(lambda h, x: (np.tanh(np.exp(w) @ h + x), None), H, xs))
    compiled(XS, W)
    before, _, body = compiled.source.partition("    for ")
    assert "np.exp(" in before
    assert "np.exp(" not in body


def test_the_reverse_loop_stores_only_what_it_reads():
    f = lambda w, xs: np.sum(scan(lambda h, x: (np.tanh(w @ h + x), None), np.zeros(100), xs)[0])
    compiled = compile(grad(f), check=0)
    compiled(np.eye(100) * 0.1, np.ones((1000, 100)))
    assert compiled.memory < 3.5 * 1000 * 100 * 8  # h before and after, and what dw is a product of


@pytest.mark.parametrize("batch", [(), (4,)])
def test_the_gradient_of_a_shared_weight_is_one_product(batch):
    """Of all rows, after the loop; unless a factor would have to be stacked only for that."""
    xs, h = RNG.standard_normal((5, *batch, 3)), np.zeros((*batch, 3))

    def f(loop, w):
        c, y = loop(lambda h, x: (np.tanh(h @ w + x), h * h), h, xs)
        return np.sum(c) + np.sum(np.sin(y))

    compiled = compile(grad(lambda w: f(scan, w)))
    same(compiled(W), grad(lambda w: f(written, w))(W))
    check(compiled.programs[0])
    after = compiled.source.rpartition("    for ")[2]
    body = [line for line in after.splitlines() if line.startswith(" " * 8)]
    assert re.search(r"^    t\d+ = \w+(\.T)? @ \w+$|^    t\d+ = np\.dot\(", after, re.M)
    assert not any("(3, 3)" in line for line in body)

    twice = compile(
        grad(lambda w: f(lambda b, *args: scan(lambda h, x: b(np.sin(h), x), *args), w))
    )
    same(twice(W), grad(lambda w: f(lambda b, *a: written(lambda h, x: b(np.sin(h), x), *a), w))(W))


def setup():
    cell = nn.Sequential(nn.Linear(5, 2, rng=0), nn.Dropout(0.2, rng=1), "tanh")
    optimizer = Adam(cell.parameters(), lr=0.01)

    def step(xs, loop=scan):
        optimizer.zero_grad()

        def body(h, x):
            h = cell(np.concatenate([h, x], axis=1))
            return h, h

        h, states = loop(body, np.zeros((4, 2)), xs)
        loss = np.sum(states**2) + np.sum(h)
        loss.backward()
        clip_grad_norm(cell.parameters(), 1.0)
        optimizer.step()
        return loss

    return cell, step


def test_modules_that_are_closed_over_are_trained():
    """With dropout, whose draws keep their order; gradients are clipped after the loop."""
    xs = RNG.standard_normal((6, 4, 3))
    (loop, step), (scanned, second), (compiled, third) = setup(), setup(), setup()
    third = compile(third, check="always")
    for k in range(4):
        expected = step(xs + k, written)
        same((second(xs + k), third(xs + k)), (expected, expected))
    same([p.data for p in scanned.parameters()], [p.data for p in loop.parameters()])
    same([p.data for p in compiled.parameters()], [p.data for p in loop.parameters()])


def test_draws_keep_their_order():
    f = lambda x, rng: scan(lambda c, _: (c + rng.random(3), rng.normal()), x, None, length=4)
    compiled = compile(f, check="always")
    for seed in range(3):
        same(compiled(H, np.random.default_rng(seed)), f(H, np.random.default_rng(seed)))


def test_hooks_and_no_grad():
    def f(x):
        w = Tensor(x)
        w.register_hook(lambda g: 2 * g)
        with no_grad():
            c, y = scan(lambda c, x: (c * x, c), w, XS)
        d, _ = scan(lambda c, x: (np.tanh(c * w + np.sum(y)), c), w * 2, XS)
        np.sum(d).backward()
        return w.grad, c, y

    found, expected = compile(f)(H), f(H)
    same(found, expected)
    for _, c, y in (found, expected):
        assert not c.requires_grad
        assert not y.requires_grad


@settings(max_examples=12, phases=[Phase.generate])
@given(st.data())
def test_random_bodies(data):
    """Carried numbers and arrays that depend on each other, rows, and what is closed over."""
    draw = lambda *options: data.draw(st.sampled_from(options))
    operations = [
        (draw(0, 1, 2), draw(0, 1, 2, 3, 4), draw("add", "multiply", "subtract", "maximum"), draw("tanh", "sin", "positive"))
        for _ in range(draw(2, 3, 5))
    ]  # fmt: skip
    shapes = [draw((), (2,)) for _ in range(3)]
    stacked, backwards = draw(0, 1, 2), draw(True, False)
    fit = lambda x, shape: np.sum(x) if shape == () else x + np.zeros(shape)

    def f(loop, xs, w):
        def body(carry, x):
            values = [*carry, x, w]
            for target, other, operation, function in operations:
                z = getattr(np, operation)(values[target] * 0.5, values[other])
                values[target] = fit(getattr(np, function)(z), shapes[target])
            return values[:3], values[stacked]

        carry = [0.3 if shape == () else np.full(shape, 0.2) for shape in shapes]
        return squares(loop(body, carry, xs, reverse=backwards))

    xs, w = np.linspace(-1, 1, 4), np.array([0.4, -0.7])
    for derivative in (
        lambda f: grad(f, (0, 1)),
        lambda f: grad(lambda *a: squares(grad(f, (0, 1))(*a)), (0, 1)),
    ):
        expected = derivative(lambda *a: f(written, *a))(xs, w)
        scanned = derivative(lambda *a: f(scan, *a))
        same(scanned(xs, w), expected, 1e-9)
        compiled = compile(scanned, check=0)
        same(compiled(xs, w), expected, 1e-9)
        check(compiled.programs[0])


# ── seen and counted ──────────────────────────────────────────────────────────────────────────────


def test_pictures_roll_the_iterations_into_one():
    xs, w = Tensor(np.ones((30, 3)), name="xs"), Tensor(W, name="w")

    def cell(h, x):
        h = np.tanh(x @ w + h * 0.5)
        return h, np.sum(h * h)

    h, sums = scan(cell, Tensor(np.zeros(3)), xs)
    drawn = fold(diagram(graph(np.sum(h) + np.sum(sums))), roll=True)
    assert drawn.drawn < 25
    assert any(box.times >= 29 for box in drawn.rolls)
    assert h.scope == "cell"


def test_the_scope_is_named_after_the_body():
    with scope("model"):
        h, _ = scan(lambda h, x: (h * x, None), Tensor(H), XS)
    assert h.scope == "model/scan"


def test_costs_are_those_of_the_body_times_the_iterations():
    def work(n):
        f = lambda h: np.sum(scan(lambda h, x: (np.tanh(h * x), None), h, np.ones((n, 3)))[0])
        sweeps = Sweeps(f, [H])
        return np.array([sweeps.evaluation.counts.flops, sweeps.reverse().counts.flops])

    assert (work(30) - work(20) == work(20) - work(10)).all()
    assert work(20)[0] == 20 * 6 + 2


def test_rows_of_a_long_sequence_take_linear_memory():
    """Cotangents of the rows are put together once, not one by one into arrays of zeros."""
    xs = Tensor(np.ones((50, 3)))
    c, _ = scan(lambda c, x: (c + x, None), np.zeros(3), xs)
    assert graph(c).counts["unstack"] == 1
    np.sum(c).backward()
    assert (xs.grad == 1).all()


# ── refused ───────────────────────────────────────────────────────────────────────────────────────


def keeps(x):
    kept = []

    def body(c, x):
        kept.append(c * x)
        return c * x, c

    c, _ = scan(body, np.ones(3), x)
    return c, kept[0]


def goes_on_with(x):
    c, kept = keeps(x)
    return c + kept


def branches(xs):
    return scan(lambda c, x: (c * x if np.sum(x) > 0 else c, c), np.ones(3), xs)


def counts(xs):
    return scan(lambda i, x: (i + 1, x[i]), 0, xs)


def indexes(xs):
    (c, i), _ = scan(lambda c, x: ((c[0] + x, c[1] + 1), None), (H, 0), xs)
    return c * [1.0, 2.0, 3.0, 4.0, 5.0, 6.0][i]


def adds_in_place(xs):
    total = xs[0] * 1

    def body(c, x):
        nonlocal total
        total += x
        return c, total

    return scan(body, H, xs)


def normalizes(xs, layer=nn.BatchNorm1d(3)):  # noqa: B008
    return scan(lambda c, x: (layer(c + x), None), np.ones((4, 3)), np.ones((5, 4, 3)) * xs[0])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (branches, r"test_scan\.py:\d+: its truth was asked for"),
        (indexes, r"its value as an index was asked for"),
        (keeps, "is made in an iteration of a scan, outlives it: return it from the body"),
        (goes_on_with, r"np\.add at .*test_scan\.py:\d+ uses an array of an iteration of a scan"),
        (adds_in_place, "in the body of a scan changes in place what was there before"),
        (normalizes, r"changes 'running_\w+', which is not its own, in each iteration"),
    ],
)
def test_what_a_loop_cannot_do_is_refused(function, message):
    with pytest.raises(CaptureError, match=message):
        compile(function)(XS)


def test_a_branch_on_a_value_is_fine_outside_of_programs():
    same(branches(XS), written(lambda c, x: (c * x if np.sum(x) > 0 else c, c), np.ones(3), XS))


def test_detect_anomaly_names_the_operation():
    with detect_anomaly(), np.errstate(divide="ignore"), pytest.raises(FloatingPointError, match="log made"):  # fmt: skip
        scan(lambda c, x: (np.log(c * 0), None), Tensor(H), XS)


FLOATS = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    ("body", "init", "xs", "error", "message"),
    [
        (lambda c, x: (c + x, c), 0.0, XS, TypeError, r"carry changes its form at iteration 0: .*has shape \(3,\), and was given with shape \(\); begin with np\.zeros\(\(3,\)\)"),
        (lambda c, x: ({"h": c["h"] + x}, c), {"h": FLOATS}, XS, TypeError, r"carry\['h'\] .* is float64, and was given as float32"),
        (lambda c, x: ((c, c), c), 0.0, XS, TypeError, "has a tuple of 2 at carry, where it was given a float"),
        (lambda c, x: ([c[0]], c), [H, H], XS, ValueError, "must have the structure of its value, list of 2, not list of 1"),
        (lambda c, x: c, 0.0, XS, TypeError, r"<lambda>|scan \(.*test_scan.py:\d+\) must return two things"),
        (lambda c, x: (c, c), 0.0, (XS, XS[1:]), ValueError, r"xs\[1\] has 4 rows, but xs\[0\] says 5 iterations"),
        (lambda c, x: (c, c), 0.0, [1.0, 2.0], TypeError, r"xs\[0\] is float, which has no rows; .*np\.array"),
        (lambda c, x: (c, c), 0.0, None, TypeError, "needs length="),
        (lambda c, x: (c, x[: int(x[0] > 0)]), 0.0, XS, TypeError, r"y has shape \(\d,\) at iteration \d and \(\d,\) at iteration 0"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(body, init, xs, error, message):
    with pytest.raises(error, match=message):
        scan(body, init, xs)


def test_errors_are_the_same_in_a_program():
    with pytest.raises(TypeError, match="carry changes its form at iteration 0"):
        compile(lambda xs: scan(lambda c, x: (c + x, c), 0.0, xs))(XS)


def test_length_is_checked():
    with pytest.raises(ValueError, match="xs has 5 rows, but length says 3 iterations"):
        scan(lambda c, x: (c, None), 0.0, XS, length=3)
    with pytest.raises(ValueError, match="length is a number of iterations, not -1"):
        scan(lambda c, x: (c, None), 0.0, length=-1)
    with pytest.raises(TypeError, match="takes a function"):
        scan(3, 0.0, XS)


def test_the_callers_arrays_are_not_written_into():
    def body(c, x):
        c += x
        return c, None

    with pytest.raises(ValueError, match=r"body \(.*test_scan.py:\d+\) writes into the arrays"):
        scan(body, H.copy(), XS)


@pytest.mark.parametrize("compiled", [False, True])
def test_no_iterations(compiled):
    f = lambda xs: scan(lambda c, x: (c + x, {"a": c * 2, "b": np.sum(x)}), H, xs)
    carry, ys = (compile(f) if compiled else f)(XS[:0])
    same(carry, H)
    assert ys["a"].shape == (0, 3)
    assert ys["b"].shape == (0,)
