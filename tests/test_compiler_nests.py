"""Loops within loops of other lengths each time: the rolled program gives the numbers of the
straight-line one, in few lines."""

import itertools
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest

from autobp import compile, grad, value_and_grad
from autobp.compiler import entry
from autobp.compiler.passes.exact import dead_code_elimination
from autobp.compiler.passes.pipeline import optimized
from autobp.compiler.program import check, evaluated
from autobp.compiler.rolling import rolled as rolling
from autobp.compiler.rolling.rolled import rolled
from autobp.compiler.rolling.tokens import Tokens
from autobp.tree import leaves

from .test_compiler_rolling import OPERATIONS, close, loops_in, traced

PROGRAMS = int(os.environ.get("AUTOBP_PROGRAMS", "500")) // 10


@pytest.fixture
def short(monkeypatch):
    """Short programs are rolled up too."""
    monkeypatch.setattr(rolling, "STEPS", 30)
    monkeypatch.setattr(rolling, "FEWEST", 16)


def with_nests(program):
    """The program with all loops that are found within loops, whatever it gains."""
    program = dead_code_elimination(program)
    table = Tokens(program)
    return rolling._with_loops(program, table, rolling._nests(program, table))


def has_nests(program):
    return any(step.loop for loop in loops_in(program) for step in loop.body.steps)


# ── random triangles ──────────────────────────────────────────────────────────────────────────────


RANGES = {
    "below": lambda i, n: range(i),
    "to": lambda i, n: range(i + 1),
    "rest": lambda i, n: range(n - i),
    "above": lambda i, n: range(i + 1, n),
    "odd": lambda i, n: range(1, i, 2),
    "down": lambda i, n: reversed(range(i)),
    "few": lambda i, n: range(min(i, 4)),
    "all": lambda i, n: range(n),
    "cycle": lambda i, n: range(i % 3 + 1),
    "from the end": lambda i, n: range(n - 1, i, -1),
}

#: What is read in iteration j of iteration i, and in iteration k within.
OPERANDS = {
    "inner": lambda e, m: e.inner,
    "outer": lambda e, m: e.outer,
    "x of j": lambda e, m: e.xs[e.j],
    "x of i": lambda e, m: e.xs[e.i],
    "x of the distance": lambda e, m: e.xs[abs(e.i - e.j)],
    "row of a table": lambda e, m: e.table[e.i][e.j],
    "column of a table": lambda e, m: e.table[e.j][e.i],
    "earlier": lambda e, m: e.seen[e.j % len(e.seen)],
    "last": lambda e, m: e.seen[-1 - m if len(e.seen) > m else -1],
    "row before": lambda e, m: e.before[e.j],
    "row before, shifted": lambda e, m: e.before[e.j - 1],
    "this row": lambda e, m: e.row[-1 - m] if len(e.row) > m else e.g,
    "number": lambda e, m: 0.5 * (m + 1),
    "number of i and j": lambda e, m: math.sin(e.i * e.j + m),
    "parameter": lambda e, m: e.parameters[m],
    "made": lambda e, m: e.made[m],
}
DEEP = {
    "x of k": lambda e, m: e.xs[e.k],
    "table of k": lambda e, m: e.table[e.j][e.k],
    "this row of k": lambda e, m: e.row[e.k] if e.k < len(e.row) else e.g,
}


class Triangles:
    """A random function that is written as loops within loops."""

    def __init__(self, seed, is_deep=True):
        self.rng = rng = np.random.default_rng(seed)
        self.n = n = int(rng.integers(9, 13))
        self.is_deep = is_deep
        self.parts = [self.part() for _ in range(rng.integers(1, 3))]
        numbers = lambda k: rng.uniform(-1, 1, k).tolist()
        table = [numbers(n) for _ in range(n)]
        self.args = numbers(n), table, float(rng.uniform(0.5, 1)), numbers(2)

    def chance(self, p):
        return self.rng.random() < p

    def operand(self, made, deep):
        kinds = [*OPERANDS, "inner", "inner", "outer"] + (["made"] * 4 if made else [])
        kinds = [k for k in kinds if made or k != "made"] + ([*DEEP] if deep else [])
        kind = str(self.rng.choice(kinds))
        return kind, int(self.rng.integers(made if kind == "made" else 2))

    def operations(self, deep=False):
        return [
            (str(self.rng.choice([*OPERATIONS])), self.operand(k, deep), self.operand(k, deep))
            for k in range(self.rng.integers(1, 4))
        ]

    def part(self):
        deep = str(self.rng.choice(["below", "to", "few", "rest"])), self.operations(True)
        return {
            "range": str(self.rng.choice([*RANGES])),
            "inner": self.operations(),
            "first": self.operations() if self.chance(0.5) else None,
            "last": self.operations() if self.chance(0.6) else None,
            "deep": deep if self.chance(0.25) and self.is_deep else None,
            "appends": self.chance(0.6),
            "begins again": self.chance(0.6),
            "alternates": self.chance(0.15),
            "rows": self.chance(0.5),
            "edge": self.chance(0.3),
        }

    def __call__(self, xs, table, g, parameters):
        e = SimpleNamespace()  # what is read
        e.xs, e.table, e.g, e.parameters, n = xs, table, g, parameters, self.n
        e.outer, e.seen, e.before, e.k = 0.1 * g, [parameters[0]], [parameters[1]] * n, 0
        for part in self.parts:
            e.inner = g
            for i in range(n):
                e.i = e.j = i
                e.inner = 0.5 * xs[i] if part["begins again"] else e.inner
                e.row = [parameters[1] * 0.5] if part["edge"] else []
                if part["first"]:
                    e.outer = np.tanh(run(part["first"], e))
                for j in RANGES[part["range"]](i, n):
                    e.j = j
                    x = run(part["inner"], e)
                    x = x * 0.5 if part["alternates"] and j % 2 else x
                    e.inner = np.tanh(e.inner + 0.5 * x)
                    for k in RANGES[part["deep"][0]](j, n) if part["deep"] else ():
                        e.k = k
                        e.inner = e.inner + 0.1 * np.sin(run(part["deep"][1], e))
                    e.row += [e.inner] if part["rows"] else []
                e.j = i
                if part["last"]:
                    e.outer = e.outer + 0.1 * np.tanh(run(part["last"], e))
                e.seen = [*e.seen, e.inner] if part["appends"] else e.seen
                e.before = (e.row + e.before)[:n] if part["rows"] else e.before
            e.outer = e.outer + e.inner
        return e.outer + sum(e.seen) + sum(x * (k + 1.0) for k, x in enumerate(e.before))


def run(operations, e):
    e.made = []
    for f, *operands in operations:
        x, y = ((OPERANDS | DEEP)[kind](e, m) for kind, m in operands)
        e.made.append(OPERATIONS[f](x, y))
    return e.made[-1]


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_random_triangle_is_what_it_was(short, monkeypatch, seed):
    is_second = seed % 9 == 0
    f = Triangles(seed, not is_second)
    function = value_and_grad(f, (0, 1, 2, 3) if seed % 3 else (0, 2))
    if is_second:
        first = grad(f, 3)
        function = grad(lambda *args: sum(first(*args)), (0, 1, 2, 3))
    program, given = traced(function, f.args)
    found = with_nests(program)
    check(found)
    expected = evaluated(program, *given)
    close(evaluated(found, *given), expected)
    better = optimized(found)
    check(better)
    close(evaluated(better, *given), expected)
    monkeypatch.setattr(entry, "rolled", with_nests)
    monkeypatch.setattr("autobp.compiler.scalars.numbers.MANY", np.inf)
    made = compile(function, check=0, reuse=seed % 4 == 1)
    close(made(*f.args), expected)
    close(made(*f.args), expected)


def test_random_triangles_are_loops_within_loops(short):
    programs = [
        traced(value_and_grad(Triangles(seed)), Triangles(seed).args)[0] for seed in range(20)
    ]
    assert sum(has_nests(with_nests(program)) for program in programs) > 4


# ── triangles that one meets ──────────────────────────────────────────────────────────────────────


def forward_substitution(rows, b):
    x = []
    for i in range(len(b)):
        s = b[i]
        for j in range(i):
            s = s - rows[i][j] * x[j]
        x.append(s / rows[i][i])
    return sum(x)


def back_substitution(rows, b):
    x = [0.0] * len(b)
    for i in reversed(range(len(b))):
        s = b[i]
        for j in range(i + 1, len(b)):
            s = s - rows[j][i] * x[j]
        x[i] = s / rows[i][i]
    return x[0] + x[len(b) // 2]


def cholesky(rows):
    n = len(rows)
    factor = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            s = rows[i][j]
            for k in range(j):
                s = s - factor[i][k] * factor[j][k]
            factor[i][j] = np.sqrt(s) if i == j else s / factor[j][j]
    return sum(factor[i][i] for i in range(n))


def all_earlier(ws, g):
    v = [ws[0]]
    for i in range(1, len(ws)):
        s = ws[i]
        for j in range(i):
            s = s + g * v[j] * ws[i - j]
        v.append(s / (1.0 + i))
    return v[-1]


def growing_rows(a, b):
    row = [a]
    for _ in range(30):
        inside = [0.5 * (x + y) + 0.01 * x * b for x, y in itertools.pairwise(row)]
        row = [a, *inside, b]
    return sum(row)


def edit_distance(a, b, cost):
    before = [cost * j for j in range(len(b) + 1)]
    for i, x in enumerate(a):
        row = [cost * (i + 1)]
        for j, y in enumerate(b):
            way = np.minimum(before[j + 1] + cost, row[j] + cost)
            row.append(np.minimum(way, before[j] + (x - y) * (x - y)))
        before = row
    return before[-1]


def energy(xs, ys):
    total = 0.0
    for i in range(len(xs)):
        for j in range(i):
            dx, dy = xs[i] - xs[j], ys[i] - ys[j]
            total = total + 1.0 / (dx * dx + dy * dy + 0.1)
    return total


RNG = np.random.default_rng(0)
LOWER = np.tril(RNG.uniform(0.1, 0.5, (24, 24))) + 10 * np.eye(24)


def numbers(n):
    return RNG.uniform(0.5, 1.5, n).tolist()


LINES = {
    forward_substitution: ((LOWER.tolist(), numbers(24)), 90),
    back_substitution: ((LOWER.tolist(), numbers(24)), 210),
    cholesky: (((LOWER[:16, :16] @ LOWER[:16, :16].T).tolist(),), 210),
    all_earlier: ((numbers(30), 0.05), 150),
    growing_rows: ((0.7, 1.2), 130),
    energy: ((numbers(24), numbers(24)), 130),
}


@pytest.mark.parametrize("function", LINES)
def test_a_triangle_that_one_meets_is_short(monkeypatch, function):
    monkeypatch.setattr("autobp.compiler.scalars.numbers.MANY", np.inf)
    args, lines = LINES[function]
    step = value_and_grad(function, tuple(range(len(args))))
    compiled = compile(step)
    for k in range(4):
        others = [scaled(a, 1 + 0.01 * k) for a in args]
        close(compiled(*others), step(*others), 10)
    assert has_nests(compiled.programs[0])
    assert len(compiled.source.splitlines()) < lines


def filtered(xs):
    padded, total = [0.0] * 3 + list(xs), 0.0
    for i in range(len(xs)):
        found = 0.0
        for j in range(4):
            found = found + padded[i + 3 - j] * 0.5**j
        total = total + found * found
    return total


def lower_half(rows):
    n = len(rows)
    total = 0.0
    for i in range(n):
        total = total + sum(rows[i][j] if j <= i else 0.0 for j in range(n)) ** 2
    return total


@pytest.mark.parametrize(
    ("function", "shape"), [(filtered, (160,)), (lower_half, (20, 20)), (lower_half, (30, 30))]
)
def test_rows_that_begin_or_end_with_numbers_of_the_function(function, shape):
    given = np.random.default_rng(0).standard_normal(shape).tolist()
    compiled = compile(value_and_grad(function))
    for _ in range(3):
        close(compiled(given), value_and_grad(function)(given))


def scaled(x, k):
    return [scaled(a, k) for a in x] if isinstance(x, list) else k * x


def test_an_inner_loop_goes_through_a_part_of_a_list_that_grows(monkeypatch):
    monkeypatch.setattr("autobp.compiler.scalars.numbers.MANY", np.inf)
    args, _ = LINES[forward_substitution]
    source = compile(forward_substitution, check=0)
    source(*args)
    assert (
        """        t1.append(t2)
        s1 = t7
        for t8, t9 in zip(t0[t4:t5], t1[:t6]):
            s1 = s1 - t8 * t9
"""
        in source.source
    )


def test_a_function_of_few_numbers_at_a_time_is_not_grouped():
    """Where groups are many and small, loops take less time."""
    args = numbers(30), 0.05
    compiled = compile(value_and_grad(all_earlier, (0, 1)))
    close(compiled(*args), value_and_grad(all_earlier, (0, 1))(*args), 10)
    assert has_nests(compiled.programs[0])
    many = numbers(60), numbers(60)
    compiled = compile(value_and_grad(energy, (0, 1)))
    close(compiled(*many), value_and_grad(energy, (0, 1))(*many), 1e3)
    assert not loops_in(compiled.programs[0])


def test_saved_triangles_have_their_loops(short, monkeypatch, tmp_path):
    monkeypatch.setattr("autobp.compiler.scalars.numbers.MANY", np.inf)
    args, _ = LINES[cholesky]
    compiled = compile(value_and_grad(cholesky))
    expected = compiled(*args)
    compiled.save(tmp_path / "saved.py")
    space = {}
    exec((tmp_path / "saved.py").read_text(), space)
    close(space[compiled.__name__](*args), expected)


def test_results_and_arguments_of_triangles_can_be_overwritten(short, monkeypatch):
    monkeypatch.setattr("autobp.compiler.scalars.numbers.MANY", np.inf)

    def descend(w, xs):
        (dxs, dg) = grad(all_earlier, (0, 1))(xs, 0.05)
        return w * dg + dxs[0], [x - 0.01 * d for x, d in zip(xs, dxs)]

    for settings in ({"donate": 0}, {"reuse": True}, {"donate": 0, "reuse": True}):
        compiled, w, expected = compile(descend, **settings), np.ones(50), np.ones(50)
        xs = ys = numbers(20)
        for _ in range(4):
            (w, xs), (expected, ys) = compiled(w, xs), descend(expected, ys)
            close((w, xs), (expected, ys), 10)
        assert has_nests(compiled.programs[0])


def test_what_is_no_loop_within_loops_is_said(short):
    """The verifier knows loops whose sequences say how often."""
    program, _ = traced(value_and_grad(forward_substitution), LINES[forward_substitution][0])
    found = rolled(program)
    outer = next(s for s in found.steps if s.loop and any(x.loop for x in s.loop.body.steps))
    inner = next(s for s in outer.loop.body.steps if s.loop)
    assert inner.loop.varies
    becomes, _ = inner.loop.body.returns
    inner.loop.body.returns = becomes, becomes[:1]
    with pytest.raises(ValueError, match="it needs one, and stacks nothing"):
        check(found)


def test_leaves_are_as_many(short):
    """An inner loop of one iteration, of two, of three … reads what it read."""
    args, _ = LINES[growing_rows]
    program, given = traced(value_and_grad(growing_rows, (0, 1)), args)
    found = with_nests(program)
    assert [x for _, x in leaves(evaluated(found, *given))] == [
        x for _, x in leaves(evaluated(program, *given))
    ]
