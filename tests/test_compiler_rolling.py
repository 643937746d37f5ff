"""Loops found in traces: whatever a loop in Python does, the rolled program gives the numbers of the
straight-line one."""

import gc
import math
import os

import numpy as np
import pytest

from autobp import Tensor, compile, grad, value_and_grad
from autobp.compiler.call import Call
from autobp.compiler.program import Step, check, evaluated
from autobp.compiler.rolling import rolled as rolling
from autobp.compiler.rolling.rolled import rolled
from autobp.compiler.terms import Settings
from autobp.compiler.trace.tracing import trace_call
from autobp.optim import SGD
from autobp.tree import leaves

PROGRAMS = int(os.environ.get("AUTOBP_PROGRAMS", "500")) // 10


@pytest.fixture
def short(monkeypatch):
    """Short programs are rolled up too."""
    monkeypatch.setattr(rolling, "STEPS", 30)
    monkeypatch.setattr(rolling, "FEWEST", 16)


# ── random loops ──────────────────────────────────────────────────────────────────────────────────


class Loops:
    """A random function that is written as one or two loops."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        self.arrays = bool(rng.integers(2))
        self.shape = (int(rng.integers(2, 5)),) if self.arrays else ()
        self.count = int(rng.integers(9, 15))
        self.carried = int(rng.integers(1, 4))
        self.data = rng.standard_normal((4 * self.count, *self.shape))  # a constant
        self.parts = [self.loop() for _ in range(rng.integers(1, 3))]
        make = rng.standard_normal if self.arrays else lambda shape: float(rng.standard_normal())
        self.args = (
            [make(self.shape) for _ in range(self.carried)],
            [make(self.shape) for _ in range(2)],
            rng.standard_normal((4 * self.count, *self.shape)),
            [make(self.shape) for _ in range(self.count)],
        )

    def chance(self, p):
        return self.rng.random() < p

    def operand(self, temporaries, deep):
        kinds = (
            ["carried"] * 4 + ["temporary"] * (3 if temporaries else 0) + ["parameter", "number"]
        )
        kinds += (
            [] if deep else ["datum", "row", "layer", "stride", "back", "index", "table", "seen"]
        )
        kinds += ["slice"] if self.arrays and not deep else []
        kind = str(self.rng.choice(kinds))
        top = {"carried": self.carried, "temporary": temporaries, "parameter": 2}.get(kind, 3)
        return kind, int(self.rng.integers(top))

    def operations(self, n, deep=False):
        made = []
        for _ in range(n):
            f = str(self.rng.choice(["add", "mul", "sub", "tanh", "sin", "div", "min"]))
            made.append((f, self.operand(len(made), deep), self.operand(len(made), deep)))
        return made

    def loop(self):
        n = int(self.rng.integers(1, 5))
        operations = self.operations(n)
        return {
            "operations": operations,
            "becomes": [
                self.operand(n, True)
                if self.chance(0.5)
                else ("temporary", int(self.rng.integers(n)))
                for _ in range(self.carried)
            ],
            "adds": self.chance(0.5),
            "collects": self.chance(0.6),
            "inner": self.operations(2, deep=True) if self.chance(0.25) else None,
            "changes": int(self.rng.integers(self.count)) if self.chance(0.15) else None,
            "ends": int(self.rng.integers(8, self.count)) if self.chance(0.2) else self.count,
            "swaps": self.chance(0.3),
            "alternates": self.chance(0.15),
            "before": self.chance(0.2),
        }

    def __call__(self, start, parameters, rows, layers):
        zero = np.zeros(self.shape) if self.arrays else 0.0  # of which a number becomes an array
        state, total, seen, kept = list(start), 0.0, [parameters[0]] * self.count, []
        for part in self.parts:
            older, state_before = state[0], state[0]
            for i in range(part["ends"]):
                if part["swaps"]:
                    state = state[::-1]
                inside = (state, parameters, rows, layers, seen, i)
                made = self.run(part["operations"], inside)
                if part["changes"] is not None and i >= part["changes"]:
                    made[-1] = made[-1] * 0.5
                if part["alternates"] and i % 2:
                    made[0] = np.cos(made[0])
                state_before, older = state[0], state_before
                state = [np.tanh(self.value(b, made, inside) + zero) for b in part["becomes"]]
                if part["before"]:
                    state[0] = state[0] + 0.3 * older
                if part["inner"]:
                    for _ in range(3):
                        inner = self.run(part["inner"], (state, parameters, rows, layers, seen, i))
                        state = [np.tanh(inner[-1]), *state[1:]]
                if part["adds"]:
                    total = total + made[-1] * self.data[i]
                kept.append(made[0] + state[0])
            if part["collects"]:
                seen = kept[-self.count :] if len(kept) >= self.count else seen
                total = total + (np.sum(np.stack(kept), 0) if self.arrays else sum(kept))
        total = total + sum(x * (k + 1.0) for k, x in enumerate(state))
        return np.sum(total * total) if self.arrays else total * total

    def run(self, operations, inside):
        made = []
        for f, a, b in operations:
            x, y = self.value(a, made, inside), self.value(b, made, inside)
            made.append(OPERATIONS[f](x, y))
        return made

    def value(self, operand, made, inside):
        kind, k = operand
        state, parameters, rows, layers, seen, i = inside
        if kind == "carried":
            return state[k]
        if kind == "temporary":
            return made[k]
        if kind == "parameter":
            return parameters[k]
        return {
            "number": lambda: 0.5 * (k + 1),
            "datum": lambda: self.data[i + k],
            "row": lambda: rows[i + k],
            "layer": lambda: layers[i],
            "stride": lambda: rows[2 * i + k],
            "back": lambda: rows[self.count + 3 - i - k],
            "index": lambda: math.sin(i * 0.1 + k),
            "table": lambda: 1.0 / (1 + i + k),
            "seen": lambda: seen[i] if k else seen[-1 - i],
            "slice": lambda: np.sum(rows[i : i + 2 + k], 0),
        }[kind]()


OPERATIONS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (2.0 + y * y),
    "tanh": lambda x, y: np.tanh(x) + 0.5 * y,
    "sin": lambda x, y: np.sin(x * y),
    "min": lambda x, y: np.minimum(x, y),
}


def close(found, expected, scale=1.0):
    for (_, a), (_, b) in zip(leaves(found), leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, 1e-12 * scale, 1e-12 * scale)


def traced(function, args):
    """The program of a function, and what that is called with."""
    made = trace_call(Call(function, "f", args, {}, Settings()))
    places = ", ".join(str(place) for _, place in made.arguments.bindings)
    return made.program, made.arguments.function([f"return [{places}]"])(*args)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_random_loop_is_what_it_was(short, seed):
    f = Loops(seed)
    argnums = (0, 1, 2, 3) if seed % 3 else (0, 1)
    function = value_and_grad(f, argnums)
    if seed % 10 == 0:  # second order
        first = grad(f, 1)
        function = grad(lambda *args: sum(np.sum(g) for g in first(*args)), argnums)
    program, given = traced(function, f.args)
    found = rolled(program)
    check(found)
    expected = evaluated(program, *given)
    close(evaluated(found, *given), expected)
    made = compile(function, check=0, reuse=seed % 4 == 1)
    close(made(*f.args), expected)
    close(made(*f.args), expected)


# ── loops that one meets ──────────────────────────────────────────────────────────────────────────


def loops_in(program):
    return [step.loop for step in program.steps if step.loop]


def replayed(function, *args, loops, **settings):
    """The compiled function, called with these arguments and with others, gives what the function
    gives; so many loops are in its program."""
    compiled = compile(function, **settings)
    others = [tuple(moved(a, 1 + 0.01 * k) for a in args) for k in range(3)]
    for some in (args, *others):
        close(compiled(*copied(some)), function(*copied(some)), 1e3)
    assert len(loops_in(compiled.programs[0])) == loops
    return compiled


def moved(x, k):
    return (
        [moved(a, k) for a in x]
        if isinstance(x, list)
        else x * k
        if isinstance(x, float | np.ndarray)
        else x
    )


def copied(args):
    return [
        copied(a) if isinstance(a, list | tuple) else np.copy(a) if isinstance(a, np.ndarray) else a
        for a in args
    ]


def newton(a):
    x = a
    for _ in range(60):
        x = x - (x * x - a) / (x + x)
    return x


def test_newtons_method_is_a_for(short):
    compiled = replayed(value_and_grad(newton), 2.0, loops=2)
    assert (
        """    for _ in range(60):
        try:
            t0 = (x * x - a) / (x + x)
        except ZeroDivisionError:
            t0 = float(np.divide(x * x - a, x + x))
        x = x - t0
        rows0.append(t0)
        rows1.append(x)
"""
        in compiled.source
    )
    assert (
        """    for t10, t11 in zip(rows0[58:0:-1], rows1[57::-1]):
        try:
            t12 = t8 / (t11 + t11)
"""
        in compiled.source
    )
    assert len(compiled.source.splitlines()) < 60


def elastic(x, ys):
    """Sums, products and quotients of what is carried, of data, and of what is the same throughout."""
    total = 0.0
    for y in ys:
        a = 2.0 * x - y
        b = a * x + y
        x = np.sin(b) / (1.0 + a * a)
        total = total + b * a
    return total + x


def test_sums_and_products_are_computed_again_rather_than_stacked(short):
    ys = np.linspace(-1.0, 1.0, 40).tolist()
    compiled = replayed(value_and_grad(elastic, (0, 1)), 0.3, ys, loops=2)
    body, _ = (step.loop.body for step in compiled._entries[0].program.steps if step.loop)
    assert [row.function for row in body.returns[1]].count(np.multiply) == 0
    assert len(body.returns[1]) <= 3


READS = {
    "forward": lambda x, i: x[i, 0],
    "backward": lambda x, i: x[-1 - i, 1],
    "in strides": lambda x, i: x[2 * i, 2],
    "in disorder": lambda x, i: x[7 * i % 20, 1],
    "always one": lambda x, i: x[5, 1] * x[5, 2],
    "along the other axis": lambda x, i: x[1, i],
    "along the diagonal": lambda x, i: x[i, i],
    "rows": lambda x, i: np.sum(x[i] * x[0]),
    "slices": lambda x, i: np.sum(x[i, 2:5] * x[3, :3]),
    "columns": lambda x, i: np.sum(x[:, i]),
    "the same twice": lambda x, i: x[i, 0] * x[i, 0] + x[i, 1],
}


@pytest.mark.parametrize("name", READS)
def test_what_is_added_to_places_is_added_after_the_loop(short, name):
    def total(x, y):
        for i in range(20):
            y = 0.8 * y + 0.2 * np.tanh(y * READS[name](x, i))
        return y

    x = np.random.default_rng(0).standard_normal((40, 40))
    step = value_and_grad(total, (0, 1))
    compiled = compile(step)
    for _ in range(3):
        (found, (dx, dy)), (value, (gx, gy)) = compiled(x, 0.7), step(x, 0.7)
        np.testing.assert_allclose(found, value, rtol=1e-12)
        np.testing.assert_allclose(dx, gx, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(dy, gy, rtol=1e-12)
    program = compiled._entries[0].program
    loops = [step.loop for step in program.steps if step.loop]
    assert len(loops) == 2
    if name != "columns":
        assert all(s.size < x.size for loop in loops for s in loop.body.steps)


def test_an_array_that_the_first_iteration_reads_too(short):
    def total(w, xs):
        h = np.zeros(4)
        for t in range(40):
            h = np.tanh(w @ h + xs[t] * xs[t, 0] + xs[0])
        return np.sum(h * h)

    rng = np.random.default_rng(0)
    w, xs = rng.standard_normal((4, 4)), rng.standard_normal((40, 4))
    compiled = compile(value_and_grad(total, (0, 1)))
    for x, y in zip(leaves(compiled(w, xs)), leaves(value_and_grad(total, (0, 1))(w, xs))):
        np.testing.assert_allclose(x[1], y[1], rtol=1e-11)
    assert len(compiled.source.splitlines()) < 160


def test_what_is_carried_has_one_name_and_is_computed_last():
    def horner(x, coefficients):
        total = coefficients[0]
        for c in coefficients[1:]:
            total = total * x + c
        return total

    compiled = replayed(value_and_grad(horner), 0.9, np.linspace(-1.0, 1.0, 300).tolist(), loops=2)
    assert (
        """    for coefficients1 in coefficients[1:300]:
        total = total * x + coefficients1
        rows0.append(total)
"""
        in compiled.source
    )
    assert (
        """        t2 = t2 + t1 * t3
        t1 = t1 * x
"""
        in compiled.source
    )


def predators(x, y):
    for _ in range(60):
        x, y = x + 0.01 * (x - 0.1 * x * y), y + 0.01 * (0.05 * x * y - y)
    return x * y


def test_values_that_are_carried_across_one_another_are_not_mixed_up():
    """The next value of each reads the old one of the other."""
    compiled = replayed(value_and_grad(predators, (0, 1)), 10.0, 5.0, loops=2)
    expected = value_and_grad(predators, (0, 1))(10.0, 5.0)
    assert compiled(10.0, 5.0) == expected


def test_a_division_by_zero_in_a_loop_is_numpys():
    def halves(x, y):
        for _ in range(120):
            y = (y + x) / (y - 1.0)
            x = 0.5 * x
        return y + x

    compiled = compile(value_and_grad(halves, (0, 1)), check=0)
    compiled(1.0, 2.5)
    assert "    except ZeroDivisionError:" in compiled.source
    with np.errstate(all="ignore"):
        for y in (1.0, -3.0, 0.0):
            found, expected = compiled(1.0, y), value_and_grad(halves, (0, 1))(1.0, y)
            np.testing.assert_array_equal(leaves_of(found), leaves_of(expected))
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        compiled(1.0, 1.0)


def leaves_of(nest):
    return [x for _, x in leaves(nest)]


def test_a_moving_sum_is_carried_as_far_as_it_is_wide():
    for width, lines in (5, 90), (12, 180):

        def energy(xs, width=width):
            total = inside = 0.0
            for i, x in enumerate(xs):
                inside = inside + x
                if i >= width:
                    inside = inside - xs[i - width]
                total = total + inside * inside
            return total

        xs = np.sin(np.arange(150.0)).tolist()
        compiled = replayed(value_and_grad(energy), xs, loops=2)
        assert len(compiled.source.splitlines()) < lines


def test_seasons_come_again():
    def misses(level, season, ys):
        total = 0.0
        for i, y in enumerate(ys):
            e = y - level - season[i % 12]
            total = total + e * e
            level = level + 0.2 * e
        return total

    ys = np.cos(np.arange(200.0)).tolist()
    season = np.linspace(0.0, 1.0, 12).tolist()
    compiled = replayed(value_and_grad(misses, (0, 1)), 0.1, season, ys, loops=4)
    assert len(compiled.source.splitlines()) < 160


def test_choices_between_numbers_are_rolled_up():
    """NumPy makes arrays without dimensions of them, between whose making and use no loop is cut."""

    def cube_root(a):
        low, high = 0.0 * a, 2.0 * a
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = middle * middle * middle < a
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return 0.5 * (low + high)

    compiled = replayed(value_and_grad(cube_root), 2.0, loops=2)
    assert len(compiled.source.splitlines()) < 50


def test_a_program_of_some_hundred_steps_is_rolled_up_if_it_comes_to_less_than_half():
    def recurrent(w, xs):
        h, total = np.zeros(3), 0.0
        for x in xs:
            h = np.tanh(w @ h + x)
            total = total + np.sum(h * h)
        return total

    xs = np.sin(np.arange(75.0)).reshape(25, 3)
    compiled = replayed(value_and_grad(recurrent), np.eye(3), xs, loops=2)
    assert len(compiled.source.splitlines()) < 110

    kinds = np.random.default_rng(0).integers(4, size=40).tolist()
    functions = np.sin, np.cos, np.tanh, lambda x: x * x - x

    def irregular(x):
        for kind in kinds:
            x = functions[kind](x)
        return x

    program, _ = traced(grad(irregular), (0.5,))
    assert 150 < len(program.steps) < 1000
    assert not loops_in(rolled(program))


def test_nothing_is_left_of_a_trace_that_was_rolled_up():
    def steps():
        return sum(type(x) is Step for x in gc.get_objects())

    compiled = compile(value_and_grad(newton), check=0)
    gc.collect()
    before = steps()
    gc.disable()
    try:
        compiled(2.0)
        made = steps() - before
    finally:
        gc.enable()
    assert made < 200


def test_short_programs_and_few_iterations_stay_as_they_are(monkeypatch):
    assert not loops_in(rolled(traced(newton, (2.0,))[0]))
    monkeypatch.setattr(rolling, "STEPS", 30)
    monkeypatch.setattr(rolling, "FEWEST", 16)
    assert loops_in(rolled(traced(newton, (2.0,))[0]))

    def few(x):
        for _ in range(7):
            x = np.sin(x * x + x * 0.5) * np.cos(x - x * x) + 1.0
        return x

    program, _ = traced(few, (2.0,))
    assert rolled(program).steps == program.steps


def test_lists_are_gone_through_and_made(short):
    def smooth(xs, ys):
        total, seen = 0.0, []
        for x, y in zip(xs, ys[::-1]):
            total = 0.5 * total + x * y
            seen.append(total)
        return total, seen

    def loss(xs, ys):
        total, seen = smooth(xs, ys)
        return total + sum(s * s for s in seen)

    xs, ys = [0.1 * k for k in range(40)], [1.0 + 0.05 * k for k in range(40)]
    text = replayed(value_and_grad(loss, (0, 1)), xs, ys, loops=3).source
    assert "zip(xs[" in text
    assert len(text.splitlines()) < 80
    compiled = replayed(smooth, xs, ys, loops=1)
    assert compiled(xs, [*ys[:-1], 2])[0] == smooth(xs, [*ys[:-1], 2])[0]


def test_draws_keep_their_order(short):
    def walk(x, rng):
        total = 0.0
        for _ in range(30):
            x = np.tanh(x + 0.1 * rng.standard_normal(3)) * rng.uniform()
            total = total + np.sum(x)
        return total, x

    compiled, x = compile(walk), np.ones(3)
    for seed in range(4):
        rngs = np.random.default_rng(seed), np.random.default_rng(seed)
        close(compiled(x + seed, rngs[0]), walk(x + seed, rngs[1]))
        assert rngs[0].random() == rngs[1].random()
    assert [loop.count for loop in loops_in(compiled.programs[0])] == [29]


def test_guards_in_a_loop_are_kept(short):
    """What a program assumes of shapes is asked in each iteration, and draws are taken back."""

    def chosen(x, rng):
        total = 0.0
        for k in range(30):
            noise = rng.standard_normal(4)
            total = total + np.sum(x[x > k - 40.0] * noise) * 0.1
        return total

    compiled = compile(chosen)
    for shift in (0.0, 1.0, -20.0, 3.0, -25.0):
        x = np.linspace(0, 1, 4) + shift
        rngs = np.random.default_rng(1), np.random.default_rng(1)
        try:
            expected = chosen(x, rngs[1])
        except ValueError:
            continue
        close(compiled(x, rngs[0]), expected)
        assert rngs[0].random() == rngs[1].random()
    assert loops_in(compiled.programs[-1])


def test_results_and_arguments_of_loops_can_be_overwritten(short):
    def descend(w, xs):
        for x in xs:
            error = x @ w - 1.0
            w = w - 0.01 * error * x
        return w

    xs = np.random.default_rng(0).standard_normal((40, 3))
    for settings in ({"donate": 0}, {"reuse": True}, {"donate": (0,), "reuse": True}):
        compiled, w, expected = compile(descend, **settings), np.ones(3), np.ones(3)
        for k in range(5):
            w, expected = compiled(w, xs * (1 + k)), descend(expected, xs * (1 + k))
            close(w, expected)
        assert len(loops_in(compiled.programs[0])) == 1


def test_saved_programs_have_their_loops(short, tmp_path):
    table = np.random.default_rng(0).standard_normal((30, 3))

    def f(x, ys):
        for k, y in enumerate(ys):
            x = np.tanh(x * table[k] + y) + math.sin(k)
        return np.sum(x)

    args = np.ones(3), [0.1 * k for k in range(30)]
    compiled = replayed(value_and_grad(f, (0, 1)), *args, loops=2)
    compiled.save(tmp_path / "saved.py")
    space = {}
    exec((tmp_path / "saved.py").read_text(), space)
    close(space[compiled.__name__](*args), compiled(*args))


def test_training_in_a_loop_changes_tensors(short):
    def train(w, optimizer, xs):
        for x in xs:
            optimizer.zero_grad()
            np.sum((x @ w - 1.0) ** 2).backward()
            optimizer.step()

    xs = np.random.default_rng(0).standard_normal((30, 4, 2))
    made = []
    for run in (compile(train), train):
        w = Tensor(np.ones(2))
        optimizer = SGD([w], lr=0.01, momentum=0.9)
        for k in range(4):
            run(w, optimizer, xs + 0.1 * k)
        made.append(w.value.copy())
        if run is not train:
            assert len(loops_in(run.programs[0])) == 1
    close([made[0]], [made[1]])
