"""Steps with a body: loops built by hand, printed and run, give what the same loops in Python give."""

import operator
from types import SimpleNamespace

import numpy as np
import pytest

from autobp.compiler.emit import plan as planning
from autobp.compiler.emit.module import Bound, Module
from autobp.compiler.emit.plan import Home, planned
from autobp.compiler.passes.pipeline import optimized, owned_results
from autobp.compiler.program import Loop, Program, Step, check, evaluated
from autobp.compiler.terms import Changed
from autobp.compiler.trace.calls import draw, guarded

RNG = np.random.default_rng(0)
X, A = RNG.standard_normal((6, 4)), RNG.standard_normal((4, 4))
P, Q = RNG.standard_normal(4), RNG.standard_normal(4)


class Builder:
    """A program in the making. What is called is called with arrays and numbers at once, so that the
    form of each result is known."""

    def __init__(self):
        self.arguments, self.steps, self.values = [], [], {}

    def argument(self, value, name=None):
        return self.step(None, (), {}, value, name, self.arguments)

    def call(self, function, *args, name=None, **params):
        value = lambda nest: valued(nest, self.values)
        result = function(*map(value, args), **{k: value(a) for k, a in params.items()})
        return self.step(function, args, params, result, name, self.steps)

    def step(self, function, args, params, value, name, where):
        dtype = None if isinstance(value, tuple) else np.asarray(value).dtype
        step = Step(
            function, args, params, np.shape(value) if dtype else (), dtype, type(value), name
        )
        self.values[step] = value
        where.append(step)
        return step

    def constant(self, array):
        step = Step(None, (), {}, array.shape, array.dtype, np.ndarray, constant=array)
        self.values[step] = array
        return step

    def loop(self, body, count, carried=(), sequences=(), invariants=()):
        """A loop. The body is a function of a builder and of the arguments; it returns what is carried
        on, and the rows that are stacked. The results are returned one by one."""
        inner = Builder()
        value = lambda x: valued(x, self.values)
        element = lambda x: (
            value(x)[0] if count else np.zeros_like(value(x), shape=value(x).shape[1:])
        )
        given = [*map(value, carried), *map(element, sequences), *map(value, invariants)]
        arguments = [inner.argument(x) for x in given]
        becomes, rows = body(inner, *arguments)
        program = Program(arguments, inner.steps, (tuple(becomes), tuple(rows)))
        step = self.call(Loop(program, count), tuple(carried), tuple(sequences), tuple(invariants))
        return [self.call(operator.getitem, step, j) for j in range(len(becomes) + len(rows))]

    def program(self, returns):
        return Program(self.arguments, self.steps, returns)


def valued(nest, values):
    if isinstance(nest, Step):
        return values[nest]
    if isinstance(nest, tuple | list):
        return type(nest)(valued(x, values) for x in nest)
    return nest


def printed(program, given=(), updated=None, reuse=False):
    """The plan of a program, its text and the function."""
    plan = planned(program, given, updated, reuse)
    names = [f"x{i}" for i in range(len(program.arguments))]
    bound = [Bound(step, name) for step, name in zip(program.arguments, names, strict=True)]
    module = Module(program, plan, "program", names, bound)
    return SimpleNamespace(plan=plan, text=module.text(whole=True), run=module.run({})["program"])


def same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, list) == isinstance(b, list)
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, 1e-13, 1e-13)


def holds(build, python, *args):
    """A program for these arguments gives what Python gives: as it is and after the passes, with
    results of its own and in its arena, on a second call, and without changing its arguments."""
    builder = Builder()
    program = builder.program(build(builder, *map(builder.argument, args)))
    check(program)
    expected = python(*args)
    same(evaluated(program, *args), expected)
    texts = []
    for candidate in (program, optimized(program)):
        check(candidate)
        candidate = owned_results(candidate, program)
        check(candidate)
        for reuse in (False, True):
            made = printed(candidate, reuse=reuse)
            copies = [np.copy(a) for a in args]
            given = [
                a if isinstance(b, np.ndarray) else b for a, b in zip(copies, args, strict=True)
            ]
            first = made.run(*given)
            same(first, expected)
            same(made.run(*given), expected)
            same(first, expected)
            same(copies, args)
            texts.append(made.text)
    return texts[0]


# ── what a loop can carry, go through and stack ───────────────────────────────────────────────────


def test_a_number_is_carried():
    def body(b, x, y):
        return [b.call(operator.mul, b.call(operator.add, x, y), 0.5)], []

    def python(x, y):
        for _ in range(7):
            x = (x + y) * 0.5
        return (x,)

    text = holds(lambda b, x, y: b.loop(body, 7, [x], [], [y]), python, 1.0, 3.0)
    assert "for _ in range(7):" in text


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_arrays_change_places(count):
    def body(b, x, y):
        return [y, b.call(np.add, x, y)], []

    def python(x, y):
        for _ in range(count):
            x, y = y, x + y
        return x, y

    text = holds(lambda b, x, y: b.loop(body, count, [x, y]), python, P, Q)
    assert "        t0 += t1\n        t0, t1 = t1, t0\n" in text


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_what_is_carried_is_computed_in_a_spare_buffer(count):
    def body(b, x, y, a):  # both old values are needed after both new ones are there
        u, v = b.call(np.matmul, a, y), b.call(np.matmul, a, x)
        total = b.call(np.add, b.call(np.add, u, v), b.call(np.add, x, y))
        return [b.call(np.tanh, u), b.call(np.tanh, v)], [total]

    def python(x, y, a):
        stack = np.empty((count, 4))
        for k in range(count):
            u, v = a @ y, a @ x
            stack[k] = u + v + (x + y)
            x, y = np.tanh(u), np.tanh(v)
        return x, y, stack

    text = holds(lambda b, x, y, a: b.loop(body, count, [x, y], [], [a]), python, P, Q, A)
    assert "spare0" in text


def test_three_arrays_turn_round_and_one_is_new():
    def body(b, x, y, z):
        return [z, x, b.call(np.add, b.call(np.multiply, x, z), y)], []

    def python(x, y, z):
        for _ in range(5):
            x, y, z = z, x, x * z + y
        return x, y, z

    holds(lambda b, x, y, z: b.loop(body, 5, [x, y, z]), python, P, Q, P + Q)


def test_one_array_is_carried_twice():
    def body(b, x, y):
        new = b.call(np.subtract, b.call(np.multiply, x, y), 0.5)
        return [new, new], []

    def python(x, y):
        for _ in range(4):
            x = y = x * y - 0.5
        return x, y

    holds(lambda b, x, y: b.loop(body, 4, [x, y]), python, P, Q)
    holds(lambda b, x: b.loop(body, 4, [x, x]), lambda x: python(x, x), P)


def test_invariants_rows_views_and_constants_are_carried():
    def body(b, x, y, z, w, row, a):
        turned = b.call(operator.getitem, x, slice(None, None, -1))
        return [a, row, turned, b.constant(Q)], [b.call(np.add, b.call(np.add, x, y), z), w]

    def python(x, y, z, w, rows, a):
        sums, others = [], []
        for row in rows:
            sums.append(x + y + z)
            others.append(w)
            x, y, z, w = a, row, x[::-1], Q
        return x, y, z, w, np.array(sums), np.array(others)

    build = lambda b, x, y, z, w, rows, a: b.loop(body, 6, [x, y, z, w], [rows], [a])
    holds(build, python, P, Q, P * 2, Q * 2, X, P * 3)


def test_what_numpy_makes_anew_is_carried():
    def body(b, x, y):
        parts = [b.call(operator.getitem, v, slice(2)) for v in (x, y)]
        return [b.call(np.concatenate, parts), b.call(np.multiply, x, 2.0)], []

    def python(x, y):
        for _ in range(3):
            x, y = np.concatenate([x[:2], y[:2]]), x * 2
        return x, y

    holds(lambda b, x, y: b.loop(body, 3, [x, y]), python, P, Q)


def test_rows_forwards_backwards_and_in_strides():
    def body(b, x, there, back, second, number):
        total = b.call(
            np.add, b.call(np.multiply, there, back), b.call(np.multiply, second, number)
        )
        return [b.call(np.add, x, total)], [total, number]

    def python(x, rows, many, numbers):
        stack = []
        for k in range(6):
            stack.append(rows[k] * rows[5 - k] + many[2 * k] * numbers[k])
            x = x + stack[-1]
        return x, np.array(stack), list(numbers)

    def build(b, x, rows, many, numbers):
        back = b.call(operator.getitem, rows, slice(None, None, -1))
        second = b.call(operator.getitem, many, slice(None, None, 2))
        return b.loop(body, 6, [x], [rows, back, second, numbers])

    text = holds(build, python, P, X, RNG.standard_normal((12, 4)), RNG.standard_normal(6))
    assert " in enumerate(zip(x1, x1[::-1], x2[::2], x3)):" in text


def test_numbers_are_collected_in_lists_and_read_backwards():
    def there(b, x, a):
        y = b.call(operator.mul, b.call(operator.add, x, a), 0.5)
        return [y], [x, y]

    def back(b, g, x, y):
        return [b.call(operator.add, b.call(operator.mul, g, x), y)], []

    def python(x, a, g):
        xs, ys = [], []
        for _ in range(5):
            xs.append(x)
            x = (x + a) * 0.5
            ys.append(x)
        for u, v in zip(xs[::-1], ys[::2] + ys[:2]):
            g = g * u + v
        return x, g, xs, ys[3]

    def build(b, x, a, g):
        x, xs, ys = b.loop(there, 5, [x], [], [a])
        part = lambda *ends: b.call(operator.getitem, xs, slice(*ends))
        others = tuple(b.call(operator.getitem, ys, k) for k in (0, 2, 4, 0, 1))
        (g,) = b.loop(back, 5, [g], [part(None, None, -1), others])
        return [x, g, xs, b.call(operator.getitem, ys, 3)]

    text = holds(build, python, 1.0, 3.0, 0.7)
    assert "        rows0.append(t0)\n" in text


def test_sequences_of_numbers_and_of_several_arrays():
    builder = Builder()
    x, a, b = map(builder.argument, (P, Q, A[0]))
    inner = Builder()
    arguments = [inner.argument(v) for v in (P, 1, 0.5, Q)]
    t = inner.call(np.multiply, arguments[3], inner.call(operator.mul, arguments[1], arguments[2]))
    body = Program(arguments, inner.steps, ((inner.call(np.add, arguments[0], t),), ()))
    loop = Loop(body, 3)
    step = Step(loop, ((x,), (range(1, 4), (0.5, 0.25, 2.0), (a, b, a)), ()), {}, (), None, tuple)
    last = Step(operator.getitem, (step, 0), {}, (4,), P.dtype, np.ndarray)
    program = Program([x, a, b], [step, last], (last,))
    check(program)
    made = printed(owned_results(program, program))
    expected = P + 1 * 0.5 * Q + 2 * 0.25 * A[0] + 3 * 2.0 * Q
    same(made.run(P, Q, A[0]), (expected,))
    same(evaluated(program, P, Q, A[0]), (expected,))
    assert "in zip(range(1, 4), (0.5, 0.25, 2.0), (x1, x2, x1)):" in made.text


def test_rows_are_computed_where_they_are_stacked():
    def body(b, x, row, a):
        u = b.call(np.tanh, b.call(np.matmul, a, row))
        v = b.call(np.multiply, b.call(np.add, x, u), 0.5)
        return [v], [u, v, x]

    def python(x, rows, a):
        us, vs, xs = [], [], []
        for row in rows:
            us.append(np.tanh(a @ row))
            xs.append(x)
            x = (x + us[-1]) * 0.5
            vs.append(x)
        return x, np.array(us), np.array(vs), np.array(xs)

    text = holds(lambda b, x, rows, a: b.loop(body, 6, [x], [rows], [a]), python, P, X, A)
    assert "np.dot(x2, t1, rows0[i])" in text
    assert "np.tanh(t2, t2)" in text
    assert "    rows2[i] = t0\n" in text


def test_a_loop_within_a_loop():
    def inner(b, x, row, a):
        return [b.call(np.tanh, b.call(np.add, b.call(np.matmul, a, x), row))], [x]

    def outer(b, x, total, k, rows, a):
        x, stack = b.loop(inner, 6, [x], [rows], [a])
        summed = b.call(np.multiply, b.call(np.add.reduce, stack, axis=0), k)
        return [x, b.call(np.add, total, summed)], [stack, x]

    def python(x, total, ks, rows, a):
        stacks, lasts = [], []
        for k in ks:
            stack = []
            for row in rows:
                stack.append(x)
                x = np.tanh(a @ x + row)
            total = total + np.sum(stack, 0) * k
            stacks.append(stack)
            lasts.append(x)
        return x, total, np.array(stacks), np.array(lasts)

    build = lambda b, x, total, ks, rows, a: b.loop(outer, 3, [x, total], [ks], [rows, a])
    holds(build, python, P, Q, RNG.standard_normal(3), X, A)


def test_loops_and_steps_around_them():
    def body(b, x, row):
        return [b.call(np.subtract, row, x)], [b.call(np.multiply, x, x)]

    def python(x, rows):
        start, moved, stack = np.exp(x), rows * 2, []
        y = start
        for row in moved:
            stack.append(y * y)
            y = row - y
        for row in stack[::-1]:
            y = row - y
        return y, np.array(stack) + moved, moved.T

    def build(b, x, rows):
        start, moved = b.call(np.exp, x), b.call(np.multiply, rows, 2.0)
        y, stack = b.loop(body, 6, [start], [moved])
        y, _ = b.loop(body, 6, [y], [b.call(operator.getitem, stack, slice(None, None, -1))])
        return [y, b.call(np.add, stack, moved), b.call(np.transpose, moved)]

    holds(build, python, P, X)


def test_guards_draws_and_errors_within_a_loop():
    builder, inner = Builder(), Builder()
    x = builder.argument(P)
    rng = Step(None, (), {}, (), None, np.random.Generator)
    t, r, least = inner.argument(P), rng.with_(), inner.argument(1.0)
    noise = Step(draw, (r, "standard_normal"), {"size": 4}, (4,), P.dtype, np.ndarray)
    root = Step(np.sqrt, (t,), {}, (4,), P.dtype, np.ndarray, errors=(("invalid", "ignore"),))
    small = Step(operator.lt, (least, 5.0), {}, (), np.dtype(bool), bool)
    guard = Step(guarded, (small, True), {}, (), None, type(None))
    new = Step(np.add, (noise, Step(np.nan_to_num, (root,), {}, (4,), P.dtype, np.ndarray)), {},
               (4,), P.dtype, np.ndarray)  # fmt: skip
    steps = [small, guard, noise, root, new.args[1], new]
    body = Program([t, r, least], steps, ((new,), ()), {guard, noise})
    step = Step(Loop(body, 3), ((x,), (), (rng, 2.0)), {}, (), None, tuple)
    last = Step(operator.getitem, (step, 0), {}, (4,), P.dtype, np.ndarray)
    program = Program([x, rng], [step, last], (last,), {step})
    check(program)
    made = printed(owned_results(program, program))
    expected, generator = P, np.random.default_rng(3)
    for _ in range(3):
        with np.errstate(invalid="ignore"):
            noise = generator.standard_normal(size=4)
            expected = noise + np.nan_to_num(np.sqrt(expected))
    same(made.run(P, np.random.default_rng(3)), (expected,))
    assert "        with np.errstate(invalid='ignore'):\n            t" in made.text
    assert "class Changed" in made.text
    never = program.with_(steps=[step.with_(args=((x,), (), (rng, 7.0))), *program.steps[1:]])
    part = last.with_(args=(never.steps[0], 0))
    never = Program([x, rng], [never.steps[0], part], (part,), {never.steps[0]})
    with pytest.raises(Changed, match="was True"):
        printed(owned_results(never, never)).run(P, generator)


def test_many_random_loops():
    """Carried arrays in any order, done in place, in spare buffers or as they are, stacked or not."""
    rng = np.random.default_rng(1)
    functions = [np.add, np.subtract, np.multiply, np.maximum]
    for _ in range(150):
        n, count, extra = int(rng.integers(1, 5)), int(rng.integers(0, 5)), int(rng.integers(0, 7))
        calls = [
            (functions[rng.integers(4)], *rng.integers(0, n + 2 + k, 2), rng.random() < 0.3)
            for k in range(extra)
        ]
        becomes, stacked = (
            rng.integers(0, n + 2 + extra, size) for size in (n, rng.integers(0, 4))
        )

        def computed(values, call, calls=calls):
            values = list(values)
            for function, i, j, reverses in calls:
                x = call(function, values[i], values[j])
                if reverses:
                    x = call(operator.getitem, x, slice(None, None, -1))
                values.append(call(np.tanh, x))
            return values

        def body(b, *arguments, computed=computed, becomes=becomes, stacked=stacked):
            values = computed(arguments, b.call)
            return [values[i] for i in becomes], [values[i] for i in stacked]

        def python(*args, n=n, count=count, computed=computed, becomes=becomes, stacked=stacked):
            *carried, rows, a = args
            stacks = [np.empty((count, 4)) for _ in stacked]
            for k in range(count):
                values = computed((*carried, rows[k], a), lambda f, *x: f(*x))
                for stack, i in zip(stacks, stacked, strict=True):
                    stack[k] = values[i]
                carried = [values[i] for i in becomes]
            return *carried, *stacks

        def build(b, *args, body=body, count=count):
            *carried, rows, a = args
            return b.loop(body, count, carried, [rows], [a])

        args = [rng.standard_normal(4) for _ in range(n)]
        holds(build, python, *args, rng.standard_normal((count, 4)), rng.standard_normal(4))


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def chain(b, x, rows):
    def body(b, h, row):
        t = b.call(np.exp, b.call(np.sin, b.call(np.add, h, row)))
        return [b.call(np.divide, b.call(np.add, t, h), b.call(np.add, t, row))], [t]

    return b.loop(body, 6, [x], [rows])


def test_temporaries_of_iterations_share_their_memory():
    builder = Builder()
    x, rows = builder.argument(np.ones(1024)), builder.argument(np.ones((6, 1024)))
    last, stack = chain(builder, x, rows)
    total = builder.call(np.add.reduce, builder.call(np.add, stack, last), axis=None)
    plan = planned(builder.program((total,)))
    array = 1024 * 8
    assert plan.size <= 2 * 6 * array + 4 * array  # the stack and what is made of it; the iteration
    arena = {b for b in plan.buffers.values() if b.home is Home.ARENA}
    arena |= {b for loop in plan.loops.values() for b in (*loop.stacks, *loop.spares)}
    for a in arena:
        assert a.start % 64 == 0
        assert a.start + a.nbytes <= plan.size
        for b in arena - {a}:
            apart = a.start + a.nbytes <= b.start or b.start + b.nbytes <= a.start
            assert apart or a.last < b.first or b.last < a.first
    assert plan.peak == plan.size


def test_the_peak_counts_what_iterations_hold():
    def body(b, x, a):
        return [b.call(np.multiply, x, 0.5)], []

    def large(b, x, a):
        both = b.call(np.concatenate, [a, a, a])
        return [b.call(np.multiply, x, b.call(np.add.reduce, both, axis=0))], []

    def peak(body):
        builder = Builder()
        x, a = builder.argument(np.ones(4)), builder.argument(np.ones((50, 4)))
        plan = planned(builder.program(tuple(builder.loop(body, 3, [x], [], [a]))))
        return plan.peak

    assert peak(large) - peak(body) == pytest.approx(3 * 50 * 4 * 8, abs=256)


def test_large_arrays_of_iterations_are_let_go(monkeypatch):
    monkeypatch.setattr(planning, "LET_GO", 0)

    def body(b, x, a):
        both = b.call(np.concatenate, [a, a])
        return [b.call(np.multiply, x, b.call(np.add.reduce, both, axis=0))], []

    build = lambda b, x, a: b.loop(body, 3, [x], [], [b.call(np.concatenate, [a, a])])

    def python(x, a):
        for _ in range(3):
            x = x * np.sum([a, a, a, a], (0, 1))
        return (x,)

    text = holds(build, python, P, X)
    assert text.index("for _ in") < text.index("        del t") < text.index("    del t0\n")


def test_arguments_that_are_given_away_are_overwritten_after_the_loop():
    builder = Builder()
    x, rows = builder.argument(P.copy()), builder.argument(X)
    last, stack = chain(builder, x, rows)
    new = builder.call(np.subtract, x, builder.call(np.multiply, last, 0.1))
    program = builder.program((new, stack))
    owned = owned_results(program, program)
    expected = evaluated(program, P, X)
    for made in (printed(owned, given=[x]), printed(owned, updated={new: x})):
        for _ in range(2):
            w = P.copy()
            found = made.run(w, X)
            same(found, expected)
            assert found[0] is w
    early = Builder()
    x, rows = early.argument(P.copy()), early.argument(X)
    new = early.call(np.multiply, x, 0.1)
    last, _ = chain(early, x, rows)  # which begins with x as it was
    program = early.program((new, early.call(np.tanh, last)))
    made = printed(owned_results(program, program), given=[x])
    same(made.run(P.copy(), X), evaluated(program, P, X))


# ── what makes a program invalid ──────────────────────────────────────────────────────────────────


def small():
    """A program with a loop."""
    builder = Builder()
    x, rows = builder.argument(P), builder.argument(X)
    results = chain(builder, x, rows)
    return builder, results, builder.steps[0]


def test_a_valid_program_passes():
    builder, results, _ = small()
    check(builder.program(tuple(results)))


def test_what_is_used_is_defined_before():
    builder, (last, _), loop = small()
    with pytest.raises(
        ValueError, match=r"step 0, .*getitem.* uses <step .*>, which is not defined"
    ):
        check(Program(builder.arguments, builder.steps[1:], (last,)))
    with pytest.raises(ValueError, match="step 3, .* calls nothing, or is there twice"):
        check(Program(builder.arguments, [*builder.steps, loop], (last,)))
    with pytest.raises(ValueError, match="the program returns .*, which is not defined"):
        check(Program(builder.arguments, [loop], (last,)))
    with pytest.raises(ValueError, match="is among the arguments, and is none or"):
        check(Program([*builder.arguments, loop], builder.steps, (last,)))
    with pytest.raises(ValueError, match="among the arguments, and is none or is there twice"):
        check(Program(builder.arguments * 2, builder.steps, (last,)))
    with pytest.raises(ValueError, match="step 0, .* calls nothing"):
        check(Program([], builder.arguments, ()))
    with pytest.raises(ValueError, match="is among the effects, and not among the steps"):
        check(Program(builder.arguments, builder.steps, (last,), {builder.arguments[0]}))
    last.args = (loop, builder.arguments[0])
    with pytest.raises(ValueError, match="has other operands than those that it is called with"):
        check(builder.program((last,)))


def test_forms_are_those_of_the_calls():
    builder = Builder()
    x = builder.argument(P)
    y = builder.call(np.add, x, 1.0)
    with pytest.raises(ValueError, match=r"step 0, .* makes a result of shape \(4,\)"):
        check(Program([x], [y.with_(shape=(4, 4))], ()))
    with pytest.raises(ValueError, match="is called with 3 arguments"):
        check(Program([x], [y.with_(args=(x, 1.0, 2.0))], ()))
    with pytest.raises(ValueError, match="is an array and has no dtype"):
        check(Program([x], [y.with_(dtype=None)], ()))
    with pytest.raises(ValueError, match="has a shape and is no array"):
        check(Program([x], [y.with_(kind=float)], ()))
    constant = builder.constant(P).with_(shape=(3,))
    with pytest.raises(ValueError, match="has not the form of the array that it holds"):
        check(Program([x], [y], (constant,)))


def test_loops_fit_their_bodies():
    builder, results, loop = small()
    x, rows = builder.arguments

    def refused(message, args=loop.args, body=loop.loop.body, count=6, before=(), **changes):
        step = loop.with_(function=Loop(body, count), args=args, **changes)
        with pytest.raises(ValueError, match=message):
            check(Program(builder.arguments, [*before, step], ()))

    body = loop.loop.body
    (h,), (t,) = body.returns
    refused("goes 5 times through .* of which each is", count=5)
    refused(r"has a body of 2 arguments for \(1, 1, 1\)", args=((x,), (rows,), (x,)))
    refused(r"has a body of 2 arguments for \(1, 1, 0\)", body=body.with_(returns=((h, h), (t,))))
    refused("carries .*, then 1.0, as", body=body.with_(returns=((1.0,), (t,))))
    refused(
        r"carries .* of shape \(6, 4\)>, then .* as .* of shape \(4,\)", args=((rows,), (rows,), ())
    )
    number = builder.call(operator.mul, 2.0, 3.0)
    refused("goes 6 times through <step mul: float", args=((x,), (number,), ()), before=[number])
    refused(r"goes 6 times through \(1.0, .* each is .*ndarray", args=((x,), ((1.0,) * 6,), ()))
    refused("has an invariant of another form", args=((x,), (), (rows,)))
    refused("stacks 1.0, which is no array or number", body=body.with_(returns=((h,), (1.0,))))
    refused(
        "step 0, .* has a body of which step 0, .* uses .*, which",
        body=body.with_(steps=body.steps[1:]),
    )
    refused("it makes a tuple, and has no params", kind=list)
    effects = body.with_(effects={body.steps[0]})
    refused("has a body with effects, and is not among the effects", body=effects)
    for wrong, message in (
        (7, r"takes result 7 of 2, of the form \[\]"),
        (1, r"takes result 1 of 2, of the form \[\(\(6, 4\)"),
    ):
        part = results[0].with_(args=(loop, wrong))
        with pytest.raises(ValueError, match=message):
            check(Program(builder.arguments, [loop, part], ()))
    twin = loop.with_(args=loop.args)
    with pytest.raises(ValueError, match="two loops have one body"):
        check(Program(builder.arguments, [loop, twin], ()))
