"""compare, its report, and the curves: what users see, and that it is true."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
import os
import sys
import tracemalloc

import numpy as np
import pytest

from autobp import custom, directions, hessian, log_softmax, nn, relu, scan
from autobp.cost import compare, measuring, methods, sweep_inputs, sweep_outputs
from autobp.cost.report import COLOURS, MARKERS, duration, quantity, size
from autobp.counts import Counts

DERIVATIVES = [
    "central differences",
    "one-sided differences",
    "forward, online",
    "forward, recorded",
    "reverse",
]
MANY_AT_ONCE = [
    "forward, all at once",
    "reverse, all at once",
    "sparse forward",
    "sparse reverse",
    "reverse with remat",
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "TURN", 0.0)
    monkeypatch.setattr(measuring, "ROUNDS", 2)
    monkeypatch.setattr(measuring, "PATIENCE", math.inf)  # no sample for a pause of the machine


def sine(x):
    return np.sum(np.sin(x) * x)


# ── what is found ─────────────────────────────────────────────────────────────────────────────────


def test_many_inputs() -> None:
    n = 50
    report = compare(sine, np.linspace(0, 1, n))
    one, *rest = report.rows
    assert one.method == "one evaluation of f"
    assert [row.method for row in rest] == DERIVATIVES + MANY_AT_ONCE
    assert [row.sweeps for row in rest] == [
        "100 evaluations",
        "51 evaluations",
        "50 evaluations with tangents",
        "1 recording, 50 forward",
        "1 recording, 1 backward",
        "1 forward of 50",
        "1 recording, 1 backward",
        "1 forward of 50",
        "1 recording, 1 backward",
        "1 backward, 2 segments",
    ]
    f = Counts(n, n - 1, n)  # x·sin x, and their sum
    assert flops(one.counts) == f
    assert flops(report["central differences"].counts) == f * 2 * n + Counts(n, 3 * n)
    assert flops(report["one-sided differences"].counts) == f * (n + 1) + Counts(n, 2 * n)
    sweep = Counts(3 * n, n + n - 1, n)  # t·cos x·x + t·sin x
    assert flops(report["forward, online"].counts) == (f + sweep) * n
    assert flops(report["forward, recorded"].counts) == f + sweep * n
    assert flops(report["reverse"].counts) == f + Counts(3 * n, n, n)
    # the cosine once, and for each direction t·cos x, (t·cos x)·x and t·sin x
    at_once = f + Counts(3 * n * n, (n + n - 1) * n, n)
    assert flops(report["forward, all at once"].counts) == at_once
    assert flops(report["sparse forward"].counts) == at_once  # no two columns are apart
    assert report["reverse, all at once"].counts == report["reverse"].counts
    assert report["sparse reverse"].counts == report["reverse"].counts
    assert flops(report["reverse with remat"].counts) == f + Counts(3 * n, n, n) + f
    assert all(row.seconds > 0 and row.peak > 0 for row in report.rows)
    directions = [n] * 4 + [1] + [n, 1, n, 1, 1]
    assert [row.measured for row in rest] == [row.directions for row in rest] == directions


def flops(counts: Counts) -> Counts:
    return Counts(counts.multiplications, counts.additions, counts.transcendental)


def test_one_of_a_thing_is_no_plural() -> None:
    sweeps = [row.sweeps for row in compare(lambda x: x * x, 3.0).rows]
    assert sweeps[:4] == [
        "1 evaluation", "2 evaluations", "2 evaluations", "1 evaluation with tangents"
    ]  # fmt: skip
    second = compare(lambda x: x * x, 3.0, order=2)
    assert second["Hessian, reverse over forward"].sweeps == "1 slope, each with 1 backward"


def test_many_outputs_turn_it_around() -> None:
    k = np.arange(1, 101) / 100
    report = compare(lambda t: np.exp(t * k), 0.3)
    assert report["reverse"].sweeps == "1 recording, 100 backward"
    assert report["forward, recorded"].sweeps == "1 recording, 1 forward"
    assert report.ratio("reverse", "flops") > 100
    assert report.ratio("forward, recorded", "flops") < 3
    assert report.ratio("central differences", "flops") < 4


def test_errors_are_those_of_each_way() -> None:
    report = compare(lambda x: np.outer(x, np.sin(x)), np.linspace(1, 2, 6))
    errors = {row.method: row.error for row in report.rows}
    assert errors["one evaluation of f"] is errors["reverse"] is None
    assert errors["forward, online"] < 1e-15
    assert errors["forward, recorded"] < 1e-15
    assert 1e-13 < errors["central differences"] < 1e-9
    assert 1e-9 < errors["one-sided differences"] < 1e-6


def test_a_wrong_rule_shows_as_an_error() -> None:
    from autobp import custom

    wrong = custom(np.sin, vjp=lambda g, y, x: g * np.cos(x) * 1.5)
    report = compare(lambda x: np.sum(wrong(x)), np.ones(3))
    assert report["central differences"].error == pytest.approx(1 / 3)
    assert any(
        "of unknown cost, counted as one call for each number: sin" in note for note in report.notes
    )


def test_nests_numbers_and_float32() -> None:
    def f(params, scale):
        return {"y": relu(params["W"] @ params["b"]) * scale, "z": scale * 2}

    W = np.arange(6, dtype=np.float32).reshape(2, 3)
    params = {"W": W, "b": np.ones(3, np.float32)}
    report = compare(f, params, 2.0)
    assert report["reverse"].directions == 3
    assert report["forward, recorded"].directions == 10
    assert report["forward, recorded"].error < 1e-6
    assert report["central differences"].error < 1e-2
    assert W.ravel().tolist() == [0, 1, 2, 3, 4, 5]
    integers = compare(lambda x: np.sum(x * x), np.array([1, 2]))
    assert integers["central differences"].error < 1e-9


def test_the_arguments_stay_as_they_are() -> None:
    x = np.linspace(0, 1, 5)
    before = x.copy()
    compare(lambda x: x, x)  # which returns what is varied
    assert (x == before).all()
    assert compare(lambda x: x, x)["central differences"].error < 1e-9


def test_the_function_may_return_what_does_not_depend() -> None:
    report = compare(lambda x: (x * 2, x > 0, 3.0), np.ones(2))
    assert report["reverse"].directions == 5
    assert report["forward, recorded"].error == 0


def test_memory_is_the_tape_in_reverse_and_none_in_forward() -> None:
    def chain(depth):
        def f(t):
            x = t * np.ones(5000)
            for _ in range(depth):
                x = np.sin(x)
            return np.sum(x)

        return f

    short, long = (compare(chain(depth), 0.5) for depth in (10, 40))
    tape = 30 * 40_000
    for what in ("alive", "peak"):
        more = {r.method: getattr(r, what) - getattr(short[r.method], what) for r in long.rows}
        assert abs(more["reverse"] - tape) < tape / 20
        assert abs(more["forward, recorded"] - tape) < tape / 20
        for name in ("one evaluation of f", "central differences", "forward, online"):
            assert abs(more[name]) < tape / 20
    assert abs(long["reverse"].peak - long["reverse"].alive) < long["reverse"].alive / 10
    assert not tracemalloc.is_tracing()


def test_tracing_of_ones_own_goes_on() -> None:
    tracemalloc.start()
    try:
        np.ones(1_000_000)  # a peak of the caller's, which is not the method's
        assert compare(sine, np.ones(3))["reverse"].peak < 1_000_000
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


# ── second order ──────────────────────────────────────────────────────────────────────────────────


def test_second_order() -> None:
    n = 30
    report = compare(lambda x: np.sum(np.tanh(x) * x[::-1]) ** 2, np.linspace(0, 1, n), order=2)
    assert [row.method for row in report.rows[1:]] == [
        "gradient, reverse",
        "Hessian × vector, forward over reverse",
        "Hessian × vector, reverse over reverse",
        "Hessian, differences of gradients",
        "Hessian, forward over reverse",
        "Hessian, forward over reverse, all at once",
        "Hessian, sparse forward over reverse",
        "Hessian, reverse over forward",
        "Hessian, reverse over reverse",
    ]
    errors = [row.error for row in report.rows]
    assert errors[0] is errors[1] is errors[5] is None
    assert all(e < 1e-12 for e in (*errors[2:4], *errors[6:]))
    assert 0 < errors[4] < 1e-8
    assert any(note.startswith("a Hessian-vector product costs") for note in report.notes)
    for row in report.rows[4:]:
        assert row.directions == n  # the Hessian is dense


def test_hessians_are_counted_by_hand() -> None:
    """Of x₁x₂ + x₂x₃ + …, whose Hessian has two diagonals."""
    n, m = 200, 199
    report = compare(lambda x: np.sum(x[1:] * x[:-1]), np.ones(n), order=2)
    f = Counts(m, m - 1)
    assert flops(report.rows[0].counts) == f
    gradient = f + Counts(2 * m, n)  # both factors are multiplied, and what comes back is added up
    assert flops(report["gradient, reverse"].counts) == gradient
    each = Counts(2 * m, n)  # the same of the tangents
    for name, sweeps in (
        ("forward over reverse", "1 recording, 200 forward"),
        ("forward over reverse, all at once", "1 forward of 200"),
        ("reverse over reverse", "1 recording, 200 backward"),
    ):
        row = report[f"Hessian, {name}"]
        assert row.sweeps == sweeps
        assert flops(row.counts) == gradient + each * n
    sparse = report["Hessian, sparse forward over reverse"]
    assert (sparse.sweeps, sparse.directions) == ("1 forward of 3", 3)
    assert flops(sparse.counts) == gradient + each * 3
    differences = report["Hessian, differences of gradients"]
    assert flops(differences.counts) == gradient * 2 * n + Counts(n, n + 2) * n
    assert all(row.error == 0 for row in report.rows[7:])
    at_once = report["Hessian, forward over reverse, all at once"]
    assert at_once.alive > 50 * sparse.alive
    assert at_once.peak > 20 * sparse.peak


def test_a_symmetric_entry_is_checked_where_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an arrow's entries, one of each pair is read, and single entries in steps of their own."""
    f = lambda x: x[0] * np.sum(x**3) + np.sum(x[1:] ** 2)
    x = np.linspace(0.1, 1, 50)
    monkeypatch.setattr(directions, "BYTES", 1)  # a direction a step
    problem = methods.Problem(f, [x])
    (method,) = (m for m in methods.second_order(problem) if "sparse" in m.name)
    whole, state, every = hessian(f)(x), method.start(), np.arange(50)
    seen = np.zeros(whole.shape, int)
    for i in range(method.steps):
        rows, columns, values, known = method.part(i, method.step(state, i), every)
        np.testing.assert_allclose(values[known], whole[np.ix_(rows, columns)][known], rtol=1e-12)
        seen += known
    assert 1 < method.steps < 5
    assert np.all(seen[whole != 0] == 1)
    # an entry that the pattern misses is outside of all: known to be 0 there
    report = compare(f, x, order=2)
    assert report["Hessian, sparse forward over reverse"].error < 1e-12


def test_every_way_has_a_colour_and_a_marker() -> None:
    for order in (1, 2):
        names = {row.method for row in compare(sine, np.ones(3), order=order).rows}
        assert names <= COLOURS.keys()
        assert names - {"one evaluation of f"} <= MARKERS.keys()


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_a_product_with_the_hessian_takes_a_few_gradients(n: int) -> None:
    for f in (
        sine,
        lambda x: np.sum(np.tanh(np.tanh(x * 2 + 1) * x)),
        lambda x: np.prod(1 + x / n),
    ):
        rows = methods.second_order(methods.Problem(f, [np.linspace(0.1, 1, n)]))
        gradient, forward, reverse = (m.counts.flops for m in rows[1:4])
        assert 1.5 * gradient < forward < 4.5 * gradient
        assert 1.5 * gradient < reverse < 4.5 * gradient


def test_a_column_is_a_column_of_the_hessian() -> None:
    f = lambda x, y: np.sum(x[:, None] * np.sin(y)) ** 2
    args = np.array([1.0, 2.0]), np.array([0.5, 1.0, 1.5])
    blocks = hessian(f, (0, 1))(*args)
    whole = np.block([[np.asarray(b) for b in row] for row in blocks])
    for method in methods.second_order(methods.Problem(f, args))[2:]:
        if method.found is not None:
            state = method.start()
            parts = [
                method.part(i, method.step(state, i), np.arange(5)) for i in range(method.steps)
            ]
            found = np.concatenate([p.values for p in parts], axis=1)
            np.testing.assert_allclose(found, whole, rtol=1e-12, err_msg=method.name)
            continue
        for i in range(5 if method.steps > 1 else 1):
            column = methods.flat(method.step(method.start(), i))
            np.testing.assert_allclose(column, whole[:, i], rtol=1e-6, err_msg=method.name)


# ── samples, and being interrupted ────────────────────────────────────────────────────────────────


def test_what_takes_too_long_is_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.0)
    ticks = itertools.count()
    monkeypatch.setattr(measuring, "perf_counter", lambda: next(ticks) / 1024)
    report = compare(sine, np.ones(1000))
    text = repr(report)
    assert text.count("64 of 1,000 directions") == 4
    assert report["forward, all at once"].directions == 1000
    assert report["forward, recorded"].measured == 64
    assert report["reverse"].measured == report["reverse"].directions == 1
    whole = compare(sine, np.ones(1000), full=True)
    assert whole["forward, recorded"].measured == 1000
    assert "all 1,000" in repr(whole)
    for name in DERIVATIVES[:4]:  # scaled up to all directions
        assert report[name].seconds == whole[name].seconds == 1001 / 1024


def test_samples_of_rows_and_columns_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.0)
    monkeypatch.setattr(measuring, "SAMPLE", 5)
    monkeypatch.setattr(measuring, "FEWEST", 5)
    matrix = np.random.default_rng(0).random((40, 30))
    report = compare(lambda x: matrix @ x, np.ones(30))
    assert report["reverse"].measured == report["forward, online"].measured == 5
    assert report["forward, online"].error == 0
    assert report["central differences"].error < 1e-8


def test_the_same_seed_takes_the_same_sample() -> None:
    method = methods.first_order(methods.Problem(sine, [np.ones(200)]))[1]
    samples = []
    for seed in (0, 0, 1):
        measured = measuring.Measured(method)
        slow = pytest.MonkeyPatch()
        slow.setattr(measuring, "PATIENCE", 0.0)
        measured.prepare(False, np.random.default_rng(seed))
        slow.undo()
        samples.append(list(measured.sample))
    assert samples[0] == samples[1] != samples[2]


@pytest.mark.parametrize("when", [1, 20, 90, 180, 260])
def test_interrupting_keeps_what_was_measured(when: int) -> None:
    """At one evaluation or another of those on plain arrays, which is what differences do."""
    calls = 0

    def f(x):
        nonlocal calls
        if isinstance(x, np.ndarray):
            calls += 1
            if calls == when:
                raise KeyboardInterrupt
        return np.sum(x * x)

    x = np.linspace(1, 2, 50)
    report = compare(f, x)
    assert report.interrupted
    assert "interrupted: " in repr(report)
    assert all(row.counts.flops for row in report.rows)  # counting had been done
    assert report.to_csv()
    if when == 90:  # in the middle of central differences
        row = report["central differences"]
        assert 0 < row.measured < row.directions == 50
        assert f"{row.measured} of 50 directions" in repr(report)
        assert row.seconds > 0
        assert report["reverse"].seconds > 0
        assert report["forward, online"].seconds is None
    assert (x == np.linspace(1, 2, 50)).all()


def test_progress_on_a_terminal_alone(monkeypatch, capsys) -> None:
    compare(sine, np.ones(3))
    assert capsys.readouterr().err == ""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    compare(sine, np.ones(3))
    assert "sweep" in terminal.getvalue()


# ── the report ────────────────────────────────────────────────────────────────────────────────────


def test_table_and_text() -> None:
    report = compare(sine, np.ones(50))
    ways, counted, measured = report.table().split("\n\n")
    line = "one evaluation of f 50 49 50 149 1 800 B 1"
    assert " ".join(counted.splitlines()[2].split()) == line
    assert [len(table.splitlines()) for table in (ways, counted, measured)] == [2 + 11] * 3
    assert [t.strip() for t in ways.splitlines()[5].split("  ") if t][1:] == [
        "50 evaluations with tangents",
        "all 50 directions",
    ]
    text = repr(report)
    assert text.startswith("f: 50 → 1: all first derivatives\n")
    assert max(map(len, text.splitlines())) <= 80
    for word in ("NumPy " + np.__version__, "BLAS", "thread", "Python", f"{os.cpu_count()} cores"):
        assert word.lower() in report.notes[-1].lower()
    assert "f has 50 operations in a NumPy call" in text  # so that it is Python that is measured


def test_notes_say_what_is_not_theory() -> None:
    x, W = np.ones((400, 400)), np.ones((400, 10))
    said = repr(compare(lambda t: np.sum(log_softmax((t * x) @ W)), 0.1))
    assert "BLAS computes matrix products many times faster" in said
    assert "caches" in said
    assert "in a call of NumPy" not in said
    plain = repr(compare(sine, np.ones(5)))
    assert "BLAS computes" not in plain
    assert "caches" not in plain


def test_threads_are_stated_with_and_without_threadpoolctl(monkeypatch) -> None:
    from autobp.cost.report import machine

    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS=3" in machine()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert "default number of threads" in machine()

    class Stub:
        threadpool_info = staticmethod(lambda: [{"user_api": "blas", "num_threads": 7}])

    monkeypatch.setitem(sys.modules, "threadpoolctl", Stub)
    assert machine().endswith("7 threads")


def test_csv(tmp_path) -> None:
    report = compare(sine, np.ones(50))
    assert report.to_csv(tmp_path / "costs.csv") is None
    text = (tmp_path / "costs.csv").read_text(encoding="utf-8")
    assert text == report.to_csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["method"] for row in rows[1:]] == DERIVATIVES + MANY_AT_ONCE
    last = rows[5]
    assert int(last["flops"]) == report["reverse"].counts.flops
    assert float(last["seconds"]) == report["reverse"].seconds
    assert float(last["flops_ratio"]) == report.ratio("reverse", "flops")
    assert rows[0]["error"] == ""


def test_numbers_as_text() -> None:
    assert [quantity(n) for n in (7, 2.345, 9999, 79_510, 6.3e12)] == [
        "7",
        "2.35",
        "9,999",
        "79.5k",
        "6.3T",
    ]
    assert [size(n) for n in (800, 2_381_000, None)] == ["800 B", "2.38 MB", "–"]
    assert [duration(s) for s in (2e-6, 0.0123, 90, 200_000)] == [
        "2 µs",
        "12.3 ms",
        "1.5 min",
        "2.31 d",
    ]


def test_plots() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    figure = compare(sine, np.ones(20)).plot()
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log", "log"]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1  # bars can be compared
    said = [t.get_text() for t in figure.axes[0].texts]
    least = [text for text in said if "× the least" not in text]
    assert len(least) == 3  # reverse, all at once and sparse
    assert len({*least}) == 1
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == DERIVATIVES + MANY_AT_ONCE
    second = compare(sine, np.ones(20), order=2).plot()
    assert len(second.axes[0].patches) == 9

    curves = sweep_inputs(lambda n: sine, [2, 20])
    axes = curves.plot().axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    texts = [t.get_text() for t in axes.get_legend().get_texts()]
    assert [t.partition(":")[0] for t in texts] == DERIVATIVES
    assert "slope" in texts[0]
    assert (
        "grows as the number of inputs to the power of s"
        in axes.get_legend().get_title().get_text()
    )
    assert "slope: the power of the number of inputs" in repr(curves)
    counted = axes.lines[: 2 * len(DERIVATIVES) : 2]
    seen = {(line.get_linewidth(), str(line.get_linestyle())) for line in counted}
    assert len(seen) == len(DERIVATIVES)  # so that each is seen where two coincide
    assert len({line.get_linewidth() for line in counted}) == len(DERIVATIVES)
    _, mine = plt.subplots()
    assert curves.plot(mine) is mine.figure
    plt.close("all")


def test_the_time_memory_plane(monkeypatch) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    report = compare(lambda x: x[1:] * np.sin(x[:-1]), np.ones(300))
    sampled = dataclasses.replace(report["reverse"], measured=7)
    rows = [sampled if row.method == "reverse" else row for row in report.rows]
    report = dataclasses.replace(report, rows=(*rows,))
    axes = report.plane().axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    line, *points = axes.lines
    found = {p.get_label(): (p.get_xdata()[0], p.get_ydata()[0]) for p in points}
    for row in report.rows:
        name = "reverse (7 of 299)" if row.method == "reverse" else row.method
        assert found[name] == (row.peak, row.seconds)
    hollow = [p.get_label() for p in points if p.get_markerfacecolor() == "white"]
    assert hollow == ["reverse (7 of 299)"]
    for x, y in zip(*line.get_data()):  # no way is better in both
        assert not any(r.peak < x and r.seconds < y for r in report.rows[1:])
    _, mine = plt.subplots()
    assert report.plane(mine) is mine.figure
    plt.close("all")
    unmeasured = dataclasses.replace(report["reverse"], seconds=None, peak=None)
    partly = dataclasses.replace(report, rows=(report.rows[0], report.rows[1], unmeasured))
    assert len(partly.plane().axes[0].lines) == 3
    plt.close("all")


def test_sparse_sweeps_and_all_at_once_are_counted_by_hand() -> None:
    """Of y = x₁…xₙ₋₁ · c, a product with a constant: one multiplication for each element."""
    n, c = 200, np.arange(1.0, 200.0)
    report = compare(lambda x: x[1:] * c + x[:-1], np.ones(n))
    m = n - 1
    f = Counts(m, m)
    assert flops(report.rows[0].counts) == f
    row = report["sparse forward"]
    assert row.sweeps == "1 forward of 2"
    assert flops(row.counts) == f + Counts(m, m) * 2
    assert flops(report["forward, all at once"].counts) == f + Counts(m, m) * n
    # backwards each direction is multiplied by c, and what comes back for x is added up
    assert flops(report["sparse reverse"].counts) == f + Counts(m, n) * 2
    assert flops(report["reverse, all at once"].counts) == f + Counts(m, n) * m
    remat = report["reverse with remat"]
    assert flops(remat.counts) == f + Counts(m, n) * m + f * m
    assert all(r.error == 0 for r in report.rows[6:])
    assert report["sparse forward"].directions == 2
    assert report["forward, all at once"].alive > 100 * report["sparse forward"].alive


def test_an_entry_that_the_pattern_misses_is_an_error(monkeypatch) -> None:
    from autobp.rules import PRIMITIVES, patterns

    matmul, A = PRIMITIVES["matmul"], np.arange(1.0, 10.0).reshape(3, 3)
    facts = dataclasses.replace(matmul.facts, pattern=patterns.broadcast)
    monkeypatch.setattr(matmul, "facts", facts)
    report = compare(lambda x: A @ x, np.ones(3))
    assert report["sparse forward"].error > 0.1
    assert report["sparse reverse"].error > 0.1
    assert report["forward, all at once"].error == 0


def test_many_chunks_are_measured_as_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "BYTES", 8 * 8000)  # 8 directions of 1,000 numbers
    monkeypatch.setattr(measuring, "PATIENCE", 0.0)
    report = compare(lambda x: np.sin(x) * np.sum(x[:5]), np.ones(1000))
    row = report["forward, all at once"]
    assert row.sweeps == "125 forward of 8"
    assert (row.measured, row.directions) == (64, 1000)  # 8 steps
    assert row.error == 0
    assert report["sparse forward"].sweeps == "1 forward of 6"
    assert report["sparse forward"].error == 0


def test_remat_keeps_the_ends_of_segments_alone() -> None:
    def chain(t):
        x = t * np.ones(5000)
        for _ in range(35):
            x = np.sin(x)
        return np.sum(x)

    report = compare(chain, 0.5)
    row = report["reverse with remat"]
    assert row.sweeps == "1 backward, 6 segments"
    assert row.error == 0
    assert row.peak < 0.6 * report["reverse"].peak
    assert abs(row.alive - row.peak) < 0.4 * row.peak
    # several results of one operation stay together
    report = compare(lambda a: np.sum(np.linalg.eigh(a + a.T)[1] ** 3), np.diag([1.0, 2.0, 4.0]))
    assert report["reverse with remat"].error < 1e-12


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch) -> None:
    report = compare(sine, np.ones(3))
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"^plot\(\) needs matplotlib.*pip install .*\[plot\]'$"
    ):
        report.plot()


# ── curves ────────────────────────────────────────────────────────────────────────────────────────


def test_curves_over_inputs() -> None:
    curves = sweep_inputs(lambda n: sine, [1, 10, 100])
    assert curves.what == "inputs"
    assert curves.sizes == (1, 10, 100)
    work = [report.rows[0].counts.work for report in curves.reports]
    online = [report["forward, online"].counts.work for report in curves.reports]
    assert curves.counted("forward, online").tolist() == [a / b for a, b in zip(online, work)]
    flops = [report.ratio("forward, online", "flops") for report in curves.reports]
    assert np.polyfit(np.log(curves.sizes), np.log(flops), 1)[0] == pytest.approx(1, abs=0.1)
    seconds = [[r[w].seconds for w in ("reverse", "one evaluation of f")] for r in curves.reports]
    assert curves.measured("reverse").tolist() == [a / b for a, b in seconds]
    text = repr(curves)
    assert "slope" in text
    assert "Forward and reverse mode cross at" in text
    assert "NumPy" in text
    rows = list(csv.DictReader(io.StringIO(curves.to_csv())))
    assert len(rows) == 3 * 6
    assert rows[-1]["inputs"] == "100"


def test_curves_over_outputs_and_where_they_cross() -> None:
    k = np.arange(1, 101) / 100
    curves = sweep_outputs(
        lambda m: (lambda x: np.exp(k[:m] * np.sum(x)), np.ones(10)), [1, 10, 100]
    )
    assert curves.what == "outputs"
    assert 2 < curves.predicted_crossing < 40  # about as many outputs as inputs
    with_one = sweep_outputs(lambda m: lambda t: t * k[:m], [2, 4])
    assert with_one.reports[0]["forward, recorded"].directions == 1
    assert with_one.predicted_crossing is None
    assert "(forward mode is cheaper at each)" in repr(with_one)


def test_curves_of_many_sizes_fit_a_terminal() -> None:
    sizes = [1, 3, 10, 32, 100, 316, 1000, 3162, 10_000, 31_623, 100_000]
    few = sweep_inputs(lambda n: sine, [2, 4])
    curves = dataclasses.replace(few, sizes=tuple(sizes), reports=few.reports[:1] * len(sizes))
    title, table = curves.table().split("\n\n")
    assert title == "In evaluations of f:"
    above, below, rule, *rows = table.splitlines()
    assert [*zip(above.split(), below.split()[1:])] == [tuple(m.split()) for m in DERIVATIVES[:4]]
    assert below.split()[0::5] == ["inputs", "reverse"]
    assert len(rule) == max(map(len, rows)) <= 79
    assert [row.split()[0] for row in rows[::2]] == [*(f"{n:,}" for n in sizes), "slope"]
    counted = curves.counted("reverse")
    for i, (measured, other) in enumerate(zip(rows[:-2:2], rows[1:-2:2])):
        assert measured.split()[1] == "measured"
        assert other.split()[::5] == ["counted", quantity(counted[i])]
    assert rows[-2].split()[-1] == f"{curves.slope('reverse'):.2f}"


def test_crossing_is_read_off_the_logarithms() -> None:
    curves = sweep_inputs(lambda n: sine, [2, 200])
    fake = {"forward, recorded": np.array([1.0, 100.0]), "reverse": np.array([10.0, 10.0])}
    assert curves._crossing(fake.__getitem__) == pytest.approx(20)


def test_interrupted_curves_keep_the_sizes_that_were_done() -> None:
    def make(stop):
        def make_f(n):
            def f(x):
                if n == stop and isinstance(x, np.ndarray):
                    raise KeyboardInterrupt
                return np.sum(x * x)

            return f

        return make_f

    curves = sweep_inputs(make(4), [1, 2, 4])
    assert curves.sizes == (1, 2)
    assert curves.interrupted
    assert "\nInterrupted: larger sizes were not measured.\n" in repr(curves)
    whole = sweep_inputs(make(4), [1, 2])
    assert not whole.interrupted
    assert "Interrupted" not in repr(whole)
    with pytest.raises(KeyboardInterrupt):
        sweep_inputs(make(2), [1, 2, 4])


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: compare(sine, np.ones(2), order=3), ValueError, "order must be 1 or 2, not 3"),
        (lambda: compare(3, 4.0), TypeError, "^compare takes a function and its arguments, not int$"),
        (lambda: compare(lambda: 1.0), ValueError, "compare needs inputs and outputs; this function takes 0 numbers and returns 1"),
        (lambda: compare(lambda x: x[:0], np.ones(2)), ValueError, "this function takes 2 numbers and returns 0"),
        (lambda: compare(lambda x: x, np.ones(2), order=2), ValueError, r"^compare\(order=2\) is of a function that returns a number; this one returns 2$"),
        (lambda: compare(sine, "x"), TypeError, "^compare differentiates by all arguments, also by 'x': let the function close over .*argument 0: a Tensor holds"),
        (lambda: compare(lambda x, i: x[i], np.ones(3), np.array([0, 2])), TypeError, r"also by array\(\[0, 2\]\): let .* compare\(lambda x: f\(x, labels\), x\) \(a Tensor holds floating"),
        (lambda: compare(lambda x: x.nothing, np.ones(3)), AttributeError, "nothing"),
        (lambda: compare(sine, np.ones(2))["backward"], KeyError, "'backward' is not one of one evaluation of f, central"),
        (lambda: compare(sine, np.ones(2)).ratio("reverse", "calls"), ValueError, "there are ratios of flops, alive, seconds, peak, not of 'calls'"),
        (lambda: sweep_inputs(lambda n: sine, [10]), ValueError, r"two or more increasing whole numbers from 1 up, not \[10\]"),
        (lambda: sweep_inputs(lambda n: sine, [10, 3]), ValueError, "increasing"),
        (lambda: sweep_inputs(lambda n: sine, 10), ValueError, "not 10$"),
        (lambda: sweep_inputs(lambda n: sine, [1, 2.5]), ValueError, r"not \[1, 2.5\]$"),
        (lambda: sweep_inputs(lambda n: sine, "12"), ValueError, "not 12$"),
        (lambda: sweep_outputs(lambda n: None, [1, 2]), TypeError, r"make_f\(1\) returned NoneType; it must return a function"),
    ],
)  # fmt: skip
def test_refusals(call, error, text) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_way_that_is_not_possible_leaves_the_others() -> None:
    """A rule for cotangents on plain arrays alone, of which nothing can be counted."""
    squared = custom(
        lambda x: x**2, vjp=lambda g, y, x: np.array(g.tolist()) * 2 * [*map(float, x)]
    )
    report = compare(squared, np.arange(1.0, 7.0))
    failed = [row.method for row in report.rows if row.failed]
    assert failed == [
        "forward, online",
        "forward, recorded",
        "forward, all at once",
        "sparse forward",
    ]
    for row in report.rows:
        assert (row.seconds is None) == (row.method in failed)
        assert (row.counts is None) == (row.alive is None) == ("differences" not in row.method and row is not report.rows[0])  # fmt: skip
        assert row.error is None or row.error < 1e-6
    assert report["sparse reverse"].error == report["reverse, all at once"].error == 0
    text = " ".join(repr(report).split())
    assert (
        "– failed: forward, online; forward, recorded; forward, all at once; sparse forward: TypeError: custom: vjp= takes bare values"
        in text
    )
    assert "forward, online 6 evaluations with tangents failed" in text
    assert "–: not counted, since a rule of f is not written in NumPy" in text
    assert "\nsparse forward,1 forward of 6,,," in report.to_csv()
    assert len(report.plane().axes[0].lines) == 1 + len(report.rows) - len(failed)
    assert len(report.plot().axes[0].patches) == 2  # those that are counted


def test_differences_may_leave_the_domain() -> None:
    def f(x):
        if isinstance(x, np.ndarray) and np.any(x > 1.0):
            raise ValueError("outside")
        return np.sum(np.sqrt(x))

    report = compare(f, np.ones(3))
    assert [row.method for row in report.rows if row.failed] == [
        "central differences",
        "one-sided differences",
    ]
    assert "– failed: central differences; one-sided differences: ValueError: outside" in " ".join(
        repr(report).split()
    )
    assert report["forward, online"].error == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_function_that_draws_is_noticed() -> None:
    rng = np.random.default_rng(0)
    said = "f gave other values when it ran again"
    assert said in repr(compare(lambda x: x * rng.random(3), np.ones(3)))
    assert said not in repr(compare(lambda x: x * np.log(x), -np.ones(3)))


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (nn.MLP([3, 4, 2], rng=0), np.ones(3)),
        (lambda x: scan(lambda c, v: (np.tanh(c + v), c), 0.0, x)[0], np.linspace(0.1, 1.0, 9)),
        (lambda x: scan(lambda c, v: (np.tanh(c + v), c * v), 0.0, x)[1], np.linspace(0.1, 1.0, 5)),
    ],
    ids=["model", "carry", "outputs"],
)
def test_models_and_loops_are_compared(f, x):
    report = compare(f, x)
    assert len(report.rows) == 11
    assert all(row.error is None or row.error < 1e-6 for row in report.rows)


def test_a_comparison_leaves_modules_and_generators_as_they_were():
    rng = np.random.default_rng(0)
    norm, drop = nn.BatchNorm1d(3), nn.Dropout(0.5, rng=rng)
    state = rng.bit_generator.state
    compare(lambda x: np.sum(drop(norm(x)) ** 2), np.arange(12.0).reshape(4, 3))
    assert norm.running_mean.tolist() == [0.0, 0.0, 0.0]
    assert rng.bit_generator.state == state
