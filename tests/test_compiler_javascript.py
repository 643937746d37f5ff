"""Programs printed as JavaScript compute NumPy's numbers, in node and in Chromium."""

import itertools
import json
import operator
import re
import shutil
import subprocess
from functools import cache

import numpy as np
import pytest

from autobp import Tensor, grad, vjp
from autobp.compiler.javascript import RUNTIME, Unprintable, javascript
from autobp.compiler.javascript.table import ELEMENTWISE
from autobp.compiler.program import evaluated, steps_in
from autobp.compiler.trace.calls import guarded
from autobp.compiler.trace.direct import program_of
from autobp.context import clock
from autobp.dag import ancestors
from autobp.primitive import constant
from autobp.reverse import sweep
from autobp.rules import PRIMITIVES
from autobp.tensor import leaf
from autobp.verify import RECORDS, special
from autobp.verify.checks import variables
from tests.browser import Page, needs_browser, started
from tests.test_compiler_loops import Builder

NODE = shutil.which("node")
needs_chromium = needs_browser[0]
needs_node = pytest.mark.skipif(NODE is None, reason="needs node")

# Of these primitives no program is printed: they are computed as a whole, by no call that is one of the
# table: matrices are decomposed.
REFUSED = {
    "sinc",
    *("eigh", "eigvalsh", "svd", "svdvals", "qr", "pinv"),
    *special.RECORDS,
}
FLOAT32 = "as_type of float32: JavaScript computes in float64"

PLAIN = """
const plain = (x) => (typeof x === "number" ? (Number.isFinite(x) ? x : String(x)) : Array.from(x, plain));
"""


def value_and_gradients(primitive, sample):
    """The value at a sample, and the gradients of its sum, as a function of what varies."""

    def function(*xs):
        level = clock()
        inputs = [leaf(x.canonical(), level) for x in xs]
        args = list(sample.args)
        for i, t in zip(variables(sample), inputs, strict=True):
            args[i] = t
        y = primitive(*args, **sample.params)
        if not isinstance(y, Tensor) or y.level != level:
            return [constant(y)]
        found = sweep({y: np.ones(y.shape, y.dtype)[()]}, ancestors([y], level))
        return [constant(y), *(constant(found[t]) for t in inputs if t in found)]

    return program_of(function, {f"x{i}": sample.args[i] for i in variables(sample)})


@cache
def samples():
    """The name, the program, the arguments and the text of every sample that is printed."""
    found, refused = [], {}
    for name, primitive in PRIMITIVES.items():
        for sample in (*RECORDS[name].samples, *RECORDS[name].kinks):
            program = value_and_gradients(primitive, sample)
            given = [sample.args[i] for i in variables(sample)]
            try:
                found.append((name, program, given, javascript(program)))
            except Unprintable as error:
                refused.setdefault(name, []).append(str(error))
    return found, refused


def literal(x):
    text = json.dumps(np.asarray(x, float).tolist())
    return f"Float64Array.from({text}.flat(9))" if np.ndim(x) else text


def script(cases):
    """A script that leaves in `results` what each program returns."""
    lines = [RUNTIME, PLAIN, "const results = [];"]
    for _, _, given, text in cases:
        lines.append(
            f"{{ {text}\nresults.push(plain(program({', '.join(map(literal, given))}))); }}"
        )
    return "\n".join(lines)


def in_node(code):
    done = subprocess.run([NODE, "-"], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def flat(nest):
    """All numbers in a nest of lists, arrays and texts such as Infinity."""
    if isinstance(nest, list | tuple):
        return [x for part in nest for x in flat(part)]
    return np.ravel(np.asarray(nest, float)).tolist()


def agree(cases, results):
    assert len(results) == len(cases)
    for (name, program, given, text), result in zip(cases, results, strict=True):
        steps = [step for step in program.steps if step.function is not guarded]
        with np.errstate(all="ignore"):
            expected = np.array(flat(evaluated(program.with_(steps=steps), *given)))
        found = np.array(flat(result))
        finite = np.isfinite(expected)
        assert found.shape == expected.shape, (name, text)
        gap = np.max(np.abs(found[finite] - expected[finite]), initial=0.0)
        assert gap <= 1e-12 * np.max(np.abs(expected[finite]), initial=0.0), (name, text)
        assert np.array_equal(found[~finite], expected[~finite], equal_nan=True), (name, text)


def test_every_primitive_is_printed_or_refused_by_name():
    cases, refused = samples()
    assert {name for name, *_ in cases}.isdisjoint(REFUSED)
    assert {name for name, *_ in cases} | REFUSED == set(PRIMITIVES)
    for name in REFUSED:
        assert all("has no spelling in JavaScript" in said for said in refused.pop(name))
    assert refused == {"astype": [FLOAT32]}


@needs_node
def test_every_sample_computes_the_same_in_node():
    cases, _ = samples()
    agree(cases, in_node(script(cases) + "\nconsole.log(JSON.stringify(results));"))


@needs_chromium
def test_every_sample_computes_the_same_in_chromium(tmp_path):
    cases, _ = samples()
    path = tmp_path / "samples.html"
    code = script(cases) + "\nglobalThis.results = results;"
    path.write_text(f'<!DOCTYPE html><meta charset="utf-8"><script type="module">{code}</script>')
    driver = started()
    try:
        driver.get(path.as_uri())
        agree(cases, Page(driver)("return results"))
    finally:
        driver.quit()


# ── every spelling, for numbers of every kind ─────────────────────────────────────────────────────

KINDS = {
    "float": np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 2.0, np.nan, np.inf, -np.inf]),
    "int": np.array([0, 1, -1, 2, -3, 7]),
    "bool": np.array([False, True]),
}


def spelled(function, given, **params):
    """A function of arrays as a case, or why it is none: NumPy refuses it, or the printer."""
    try:
        with np.errstate(all="ignore"):
            function(*given, **params)
    except (TypeError, ValueError):
        return "NumPy"
    named = {f"x{i}": x for i, x in enumerate(given)}
    program = program_of(lambda *xs: function(*xs, **params), named)
    try:
        return (f"{function.__name__} {params} {given}", program, given, javascript(program))
    except Unprintable as error:
        return str(error)


def in_grid(function):
    """The arguments of an elementwise function: all pairs of special values, of all pairs of kinds."""
    text = ELEMENTWISE[function]
    count = 1 + max(int(i) for i in re.findall(r"\{(\d)\}", text))
    for kinds in itertools.product(KINDS.values(), repeat=count):
        given = [x.ravel() for x in np.meshgrid(*kinds, indexing="ij")]
        if function in (np.power, operator.pow) and given[1].dtype.kind == "i":
            given = [x[given[1] >= 0] for x in given]
        yield given


@needs_node
def test_every_elementwise_spelling_is_numpys_at_special_values():
    cases, why = [], set()
    for function in ELEMENTWISE:
        if function is not float:
            found = [spelled(function, given) for given in in_grid(function)]
            cases += [case for case in found if not isinstance(case, str)]
            why |= {case for case in found if isinstance(case, str)}
    why -= {"NumPy"}
    assert len(cases) > 400
    assert all(re.search(r" of (whole numbers|float16|int8)\b", said) for said in why), why
    agree(cases, in_node(script(cases) + "\nconsole.log(JSON.stringify(results));"))


@needs_node
def test_reductions_and_products_of_every_kind_are_numpys():
    reductions = [np.sum, np.prod, np.max, np.min, np.all, np.any, np.mean]
    reductions += [np.add.reduce, np.logical_and.reduce, np.logical_or.reduce]
    scans = [np.cumsum, np.cumprod]
    rng = np.random.default_rng(0)
    cases = []
    for kind in KINDS.values():
        some = kind[np.isfinite(kind)]
        x, y = rng.choice(some, (3, 4)), rng.choice(some, (4, 2))
        for function in reductions:
            axes = [0, -1, (0, 1)] if function is np.add.reduce else [None, 0, -1, (0, 1)]
            for axis, keepdims in itertools.product(axes, (False, True)):
                cases.append(spelled(function, [x], axis=axis, keepdims=keepdims))
            if function not in (np.max, np.min, np.mean):
                cases.append(spelled(function, [x[:0]], axis=0))
        cases += [spelled(function, [x], axis=axis) for function in scans for axis in (0, 1)]
        cases += [spelled(function, [rng.choice(kind, 5)]) for function in (np.all, np.any)]
        for other in KINDS.values():
            z = rng.choice(other[np.isfinite(other)], (4, 2))
            cases += [spelled(np.matmul, [x, z]), spelled(np.dot, [x, z[:, 0]])]
            cases.append(spelled(np.outer, [x[0], z[0]]))
        cases.append(spelled(lambda a, b: np.einsum("ij,jk->k", a, b), [x, y]))
    assert not [case for case in cases if isinstance(case, str)]
    agree(cases, in_node(script(cases) + "\nconsole.log(JSON.stringify(results));"))


@needs_node
@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("i,ij,j", [(3,), (3, 4), (4,)]),
        ("i,i,i,i->i", [(3,)] * 4),
        ("ab,ac,ad->bcd", [(5, 2), (5, 3), (1, 4)]),
        ("i,,j", [(3,), (), (4,)]),
        ("ii", [(3, 3)]),
        ("iji->j", [(3, 2, 3)]),
        ("ii,jj", [(3, 3), (2, 2)]),
    ],
)
def test_einsum_of_any_operands_and_its_gradients_are_numpys(subscripts, shapes):
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal(shape) for shape in shapes]

    def loss(*xs):
        return np.sum(np.einsum(subscripts, *xs) ** 2)

    for i, expected in enumerate(vjp(loss, *xs)[1](1.0)):
        function = grad(lambda x, i=i: loss(*xs[:i], x, *xs[i + 1 :]))
        found = computed(program_of(function, {"x": xs[i]}), xs[i])
        np.testing.assert_allclose(flat(found), np.ravel(expected), rtol=1e-12)


@needs_node
def test_a_number_that_was_an_array_is_a_number():
    """As the gradient of a number that was given an axis, which is used once more."""
    for spread in (lambda x: x[None], lambda x: x[..., None], lambda x: np.linspace(0.0, x, 3)):
        function = grad(lambda x, f=spread: np.sum((f(x) + np.ones(3)) ** 2) + x)
        program = program_of(function, {"x": 0.7})
        assert computed(program, 0.7) == pytest.approx(function(0.7), rel=1e-14)


# ── what else a program may be ────────────────────────────────────────────────────────────────────


def computed(program, *given):
    (result,) = in_node(
        script([("", program, given, javascript(program))])
        + "\nconsole.log(JSON.stringify(results));"
    )
    return result


@needs_node
def test_a_loop_runs():
    rows, w = np.random.default_rng(0).standard_normal((5, 3)), np.array([0.5, -1.0, 2.0])
    for count, sequence in ((5, rows), (0, rows[:0])):

        def body(b, carried, total, row, k, w):
            new = b.call(np.tanh, b.call(np.add, b.call(np.multiply, carried, w), row))
            scaled = b.call(np.multiply, new, k)
            sum_ = b.call(np.add, total, b.call(np.sum, scaled))
            return [new, sum_], [scaled, sum_]

        b = Builder()
        x, w_step = b.argument(sequence), b.argument(w)
        start = b.constant(np.ones(3))
        results = b.loop(
            body, count, [start, np.float64(0.0)], [x, range(count) if count else x], [w_step]
        )
        program = b.program(results)
        found = computed(program, sequence, w)
        np.testing.assert_allclose(flat(found), flat(evaluated(program, sequence, w)), 1e-14)


@needs_node
def test_a_guard_says_which_line_chose_another_branch():
    b = Builder()
    x = b.argument(2.0, "x")
    positive = b.call(np.greater, x, 0.0)
    guard = b.step(guarded, (positive, True), {}, True, None, b.steps)
    guard.line = "model.py:7"
    program = b.program(b.call(np.multiply, x, x))
    code = (
        RUNTIME
        + javascript(program)
        + (
            "\nconst said = [];"
            "for (const x of [3, -1]) try { said.push(program(x)); }"
            "catch (error) { said.push([error instanceof Changed, error.message]); }"
            "console.log(JSON.stringify(said));"
        )
    )
    assert in_node(code) == [9, [True, "model.py:7"]]


@needs_node
def test_every_intermediate_value_can_be_returned():
    program = program_of(
        lambda x, w: np.sum(np.tanh(x @ w)), {"x": np.ones((2, 3)), "w": np.eye(3)}
    )
    steps = [step for step in program.steps if step.dtype is not None]
    all_of_them = program.with_(returns=steps)
    found = computed(all_of_them, np.ones((2, 3)), np.eye(3))
    assert [np.size(x) for x in found] == [step.size for step in steps]
    assert list(steps_in(all_of_them.returns)) == steps


def test_names_are_made_javascripts():
    program = program_of(
        lambda *xs: xs[0] + xs[1] * xs[2] + xs[3],
        {"new": 1.0, "each": 2.0, "</script>": 3.0, "β²": 4.0},
    )
    text = javascript(program)
    assert "return (new_0, each_0, ___script_, ___) " in text
    assert text.isascii()
    assert "<" not in text


def test_what_cannot_be_printed_is_named():
    with pytest.raises(Unprintable, match="an argument of float32: JavaScript computes in float64"):
        javascript(program_of(np.tanh, {"x": np.float32(1.0)}))
    with pytest.raises(Unprintable, match=r"np.linalg.pinv has no spelling in JavaScript"):
        javascript(program_of(np.linalg.pinv, {"x": np.eye(2)}))
    with pytest.raises(Unprintable, match=r"bitwise_and of whole numbers"):
        javascript(program_of(lambda x: np.bitwise_and(x, x), {"x": np.arange(3)}))
    with pytest.raises(
        Unprintable, match=r"np.multiply of uint8: JavaScript's numbers have no end"
    ):
        javascript(program_of(lambda x: x * x, {"x": np.arange(3, dtype=np.uint8)}))
    with pytest.raises(Unprintable, match="at an index that is computed"):
        javascript(
            program_of(lambda x: x[np.argsort(np.ones(3)) + x.astype(int)], {"x": np.zeros(3)})
        )


@needs_node
def test_singular_matrices_give_no_numbers_and_no_errors():
    program = program_of(np.linalg.inv, {"x": np.eye(2)})
    assert all(isinstance(x, str) for x in computed(program, np.ones((2, 2))))  # "Infinity", "NaN"
    program = program_of(grad(np.linalg.det), {"x": np.eye(3)})
    singular = np.arange(9.0).reshape(3, 3)
    assert computed(program, singular) == pytest.approx(
        grad(np.linalg.det)(singular).ravel().tolist()
    )


def test_the_runtime_is_small():
    assert len(RUNTIME) < 5100
