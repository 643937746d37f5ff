"""The DOT text: the same for the same program, read by Graphviz as it was meant."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobp import Tensor, custom, draw, graph, relu, scope
from autobp.drawing.diagram import diagram
from autobp.drawing.dot import Style, dot
from autobp.drawing.fold import fold
from autobp.drawing.literal import shown
from tests.drawing import SVG, chain, classifier, ids, lines_of, needs_dot, neuron, run_dot, tree

GOLDEN = """\
digraph {
	graph [newrank=true rankdir=LR bgcolor="#FFFFFF" pad=0.2 nodesep=0.3 ranksep=0.5]
	graph [fontname="Helvetica,Arial,sans-serif" fontcolor="#1A1A1A" fontsize=11 labelloc=t labeljust=l]
	node [fontname="Helvetica,Arial,sans-serif" fontcolor="#1A1A1A" fontsize=11 style=filled margin="0.12,0.06" height=0.3]
	edge [fontname="Helvetica,Arial,sans-serif" fontcolor="#1A1A1A" fontsize=10 arrowsize=0.7]
"""


def square(view, passes):
    x = Tensor(3.0, name="x")
    return draw(x * x, view=view, passes=passes).source.removeprefix(GOLDEN).splitlines()


def test_golden_textbook():
    assert square("textbook", "both") == [
        '	n0 [id=n0 shape=record label="x|3|grad\\ 6" penwidth=1.0 fillcolor="#DFF0FA" color="#0072B2" fontcolor="#1A1A1A"]',
        '	n1 [id=n1 shape=Mrecord label="t1|9|grad\\ 1" penwidth=2.2 fillcolor="#DDF3EC" color="#00704F" fontcolor="#1A1A1A"]',
        '	n0 -> n1 [id=e0 color="#0072B2" fontcolor="#0072B2" label=" × "]',
        '	n0 -> n1 [id=b0 color="#D55E00" fontcolor="#9A4300" label=" ∂t1/∂x = 3 " dir=back style=dashed]',
        '	n0 -> n1 [id=e1 color="#0072B2" fontcolor="#0072B2" label=" × "]',
        '	n0 -> n1 [id=b1 color="#D55E00" fontcolor="#9A4300" label=" ∂t1/∂x = 3 " dir=back style=dashed]',
        "}",
    ]


def test_golden_operations_forward():
    assert square("operations", "forward") == [
        '	n0 [id=n0 shape=record label="x|3" penwidth=1.0 fillcolor="#DFF0FA" color="#0072B2" fontcolor="#1A1A1A"]',
        '	n1 [id=n1 shape=Mrecord label="t1|9" penwidth=2.2 fillcolor="#DDF3EC" color="#00704F" fontcolor="#1A1A1A"]',
        '	o1 [id=o1 shape=ellipse label="×" fillcolor="#EEF1F5" color="#5F6670" margin="0.05,0.02"]',
        '	n0 -> o1 [id=e0 color="#0072B2"]',
        '	n0 -> o1 [id=e1 color="#0072B2"]',
        '	o1 -> n1 [id=r1 color="#0072B2"]',
        "}",
    ]


def test_the_text_is_the_same_on_every_run():
    def texts():
        return [
            draw(classifier(), view=view, depth=depth).source
            for view in ("textbook", "operations", "backward program")
            for depth in (None, 0, 1)
        ]

    assert texts() == texts()


@needs_dot
@pytest.mark.parametrize("view", ["textbook", "operations", "backward program"])
@pytest.mark.parametrize("passes", ["forward", "backward", "both"])
@pytest.mark.parametrize("options", [{}, {"depth": 0}, {"direction": "TB", "theme": "dark"}])
def test_every_id_is_in_the_svg(view, passes, options):
    picture = draw(classifier(), view=view, passes=passes, **options)
    svg, folded = tree(run_dot(picture.source)), picture.folded
    found = ids(svg)
    points = [float(t.get("font-size")) for t in svg.iter(f"{SVG}text")]
    assert min(points) * 4 / 3 >= 11  # pixels at natural size
    passes = picture.style.passes
    homes = {f"{home}" for home in folded.home} | {box.id for box in folded.boxes()}
    expected = set(homes)
    for link in folded.links:
        if passes != "backward":
            expected.add(link.id)
        if passes != "forward" and any(u.contribution is not None for u in link.uses):
            expected.add(f"b{link.uses[0].place}")
    if view == "operations":
        results = [n for n in picture.diagram.nodes if n.kind == "result" and n.id in homes]
        for prefix, there in (("o", True), ("r", passes != "backward"), ("s", passes != "forward")):
            expected |= {f"{prefix}{n.index}" for n in results if there}
    assert found == expected


@needs_dot
def test_big_graphs_draw_folded():
    picture = draw(chain(100_000), direction="TB")
    assert ids(tree(run_dot(picture.source))) >= set(picture.folded.home)
    assert picture.folded.drawn < 20


@needs_dot
@pytest.mark.parametrize("seed", range(12))
def test_no_edge_is_lost_whatever_the_graph(seed):
    rng = np.random.default_rng(seed)
    some = [Tensor(v) for v in rng.normal(size=4)]
    for i in range(int(rng.integers(5, 120))):
        with scope("/".join(rng.choice(list("abc"), size=rng.integers(1, 4)))):
            if i % 7 == 0:
                some.append(Tensor(0.5, name=f"w{i}"))
            j, k = rng.integers(max(0, len(some) - 9), len(some), size=2)
            some.append(some[j] * some[k] if rng.random() < 0.7 else np.tanh(some[j]))
    options = {
        "depth": [None, 0, 1, 2][seed % 4],
        "limit": int(rng.integers(10, 200)),
        "view": ["textbook", "operations"][seed % 2],
        "direction": ["LR", "TB", "RL", "BT"][seed // 3],
    }
    source = draw(sum(some[-5:]), **options).source
    assert ids(tree(run_dot(source))) == set(re.findall(r"\[id=(\w+)", source))


def test_crowded_pictures_have_the_operation_in_the_node():
    y = Tensor([1.0, 2.0], name="y")
    source = draw(np.sum(np.concatenate([y] * 30)), passes="forward").source
    assert source.count("-> n1 [") == 30  # an edge for each use
    assert 'label="t1\\ (60,):\\ concatenate' in source
    assert 'label=" concatenate' not in source
    assert 'label=" sum' not in source


def test_kinds_differ_by_shape_and_border():
    with scope("layer"):
        w = Tensor([1.0, 2.0], name="w")
    x, c = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="c", requires_grad=False)
    lines = draw(np.sum(w * x * c)).source.splitlines()
    about = {line.split()[0]: line for line in lines if " [id=n" in line and "->" not in line}
    form = {
        name: ("Mrecord" in line, "dashed" in line, "penwidth=2.2" in line)
        for name, line in about.items()
    }
    w, x, c, inner, _, output = (form[f"n{i}"] for i in range(6))
    assert len({w, x, c, inner, output}) == 5


def test_passes_differ_by_line_and_not_by_colour_alone():
    source = draw(neuron()).source
    edges = [line for line in source.splitlines() if "->" in line]
    assert all(("style=dashed" in e and "dir=back" in e) == ("[id=b" in e) for e in edges)


def test_a_gradient_that_is_not_there_is_a_dash():
    x = Tensor([1.0, 2.0], name="x")
    source = draw(x * 2).source
    assert "grad\\ —" in source
    assert "grad\\ 0" not in source
    assert "no gradients" in source
    assert "grad" not in draw(np.sum(x), passes="forward").source
    assert "grad" not in draw(np.sum(x), gradients=False).source


def test_what_is_shown_can_be_chosen():
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), name="x")
    y = np.sum(x * 2)
    source = draw(y).source
    assert "x\\ (2,\\ 3)\\ float32|[0,\\ 1,\\ 2]\\n[3,\\ 4,\\ 5]|grad\\ all\\ 2" in source
    assert "float32" not in draw(y, dtypes=False).source
    assert "float64" in draw(Tensor(1.0) * 2, dtypes=True).source
    assert "(2,\\ 3)" not in draw(y, shapes=False).source
    assert "[3,\\ 4,\\ 5]" not in draw(y, values=False).source
    assert "∂ =" not in draw(y, derivatives=False).source
    many = draw(chain(60), limit=1000)
    assert "∂t" not in many.source  # too many edges to be read
    assert "∂t" in draw(chain(60), limit=1000, derivatives=True).source


def test_large_arrays_are_summed_up():
    x = Tensor(np.linspace(0.0, 1.0, 101), name="x")
    assert "min\\ 0\\nmean\\ 0.5\\nmax\\ 1" in draw(np.sum(x * x)).source
    bad = Tensor(np.array([np.nan, np.inf, *range(8)]), name="bad")
    source = draw(np.sum(bad)).source
    assert "min\\ 0\\nmean\\ 3.5\\nmax\\ 7\\n±7|grad\\ all\\ 1|first\\ NaN:\\ 1\\ of\\ 10" in source
    assert "nothing\\ finite" in draw(np.sum(Tensor(np.full(9, np.nan)) * 1)).source
    assert "empty" in draw(np.sum(Tensor(np.zeros((0, 3))))).source
    assert "mean\\ inf" in draw(np.max(Tensor(np.linspace(0.9, 1.0, 5) * 1e308))).source


def test_what_is_inside_a_box_is_summed_up():
    with np.errstate(all="ignore"):
        source = draw(classifier(bias=-1e3), depth=0).source
        assert "1 × relu with dead units" in source
        assert "3 operations\\n2 parameters\\n1 matmul, 1 add, 1 relu" in source
        source = draw(classifier(bias=np.inf), depth=0).source
    assert "first inf: 4 of 4, inside" in source
    source = draw(classifier(), depth=0).source
    assert '\\nloss = 1.086"' in source
    assert "loss = " not in draw(classifier(), depth=0, values=False).source


def test_formulas_stand_where_a_derivative_is_no_handy_array():
    x, w = Tensor([1.0, 2.0], name="x"), Tensor([[0.5, -1.0], [1.5, 2.0]], name="w")
    source = draw(np.sum(np.tanh(x @ w) ** 2)).source
    assert 'label=" outer(x, ∂t2) "' in source
    assert 'label=" ∂t4/∂t3 = [1.996, 1.99] "' in source


def test_the_backward_program_computes_the_gradients():
    loss = classifier()
    picture = draw(loss, view="backward program")
    values = {n.name: n.value for n in picture.diagram.nodes}
    loss.backward()
    for leaf in graph(loss).inputs:
        np.testing.assert_allclose(values[f"∂{leaf.name}"], leaf.grad, rtol=1e-12)
    assert {box.title for box in picture.folded.boxes()} == {"layer1", "layer2", "loss"}
    with pytest.raises(ValueError, match="draws how the gradient of a scalar is computed"):
        draw(Tensor([1.0, 2.0]) * 2, view="backward program")


def test_a_backward_program_is_not_drawn_of_data_that_was_replaced():
    w = Tensor(3.0, name="w")
    loss = w * w
    w.data = 5.0
    with pytest.raises(RuntimeError, match="the data of 'w' was replaced"):
        draw(loss, view="backward program")


# ── labels ────────────────────────────────────────────────────────────────────────────────────────

AWFUL = [
    "</script><script>alert(1)</script>",
    '"]; x [URL="javascript:alert(1)"]',
    "<b>",
    "<<table href='javascript:alert(1)'><tr><td>a</td></tr></table>>",
    "a|b",
    "{x}",
    "{",
    "C:\\",
    "\\N \\G \\n \\l",
    "a\nb\r\tc\0d",
    "🙂 👩‍🔬",
    "変数",
    "x" * 5000,
    "&lt; &amp; &#60; &copy;",
    "  two  spaces  ",
    "<port> a",
    "\\",
    '\\"',
    "\u202egnp.exe",
    "]]>",
    "<!-- -->",
    "%3 %s {0}",
    "\ud800",
    "getitem",
    "power_by",
    "matmul",
    "transpose",
    "negative",
    "scatter",
    "\ufffe",
]


def program(names):
    """A graph with the names everywhere that a name can be."""
    total = 0.0
    for name in names:
        with scope(name.replace("/", "∕")):
            called = custom(np.sin, vjp=lambda g, y, x: g * np.cos(x), name=name)
            total = total + called(Tensor(1.0, name=name) * 2)
    return total


def read_back(names, **options):
    total = program(names)
    d = diagram(graph(total))
    picture = draw(total, limit=100_000, **options)
    svg = tree(run_dot(picture.source))
    return d, svg


def same(seen, expected):
    """SVG, as HTML, takes any blank space for one space."""
    assert " ".join(seen.split()) == " ".join(expected.split())


def harmless(svg):
    allowed = {"svg", "g", "title", "text", "polygon", "polyline", "path", "ellipse"}
    for element in svg.iter():
        assert element.tag.removeprefix(SVG) in allowed
        assert not any("href" in name or name.startswith("on") for name in element.attrib)


@needs_dot
@pytest.mark.parametrize("view", ["textbook", "operations"])
@pytest.mark.parametrize("direction", ["LR", "TB"])
def test_awful_names_are_shown_as_they_are(view, direction):
    d, svg = read_back(AWFUL, view=view, direction=direction, derivatives=True)
    harmless(svg)
    leaves = [n for n in d.nodes if n.kind == "parameter"]
    assert len(leaves) == len(AWFUL)
    assert "backward" in graph(program(AWFUL)).text()
    for node, name in zip(leaves, AWFUL, strict=True):
        same(lines_of(svg, node.id)[0], shown(name))
    for i, name in enumerate(AWFUL):
        same(lines_of(svg, f"c{i}")[0], shown(name.replace("/", "∕")))


@needs_dot
@settings(max_examples=30)
@given(
    st.lists(
        st.one_of(
            st.text(min_size=1, max_size=60),
            st.text(alphabet='\\"<>{}|&;#x[]=-/\n\t lLrnNG', min_size=1, max_size=12),
        ).filter(str.strip),
        min_size=1,
        max_size=20,
        unique=True,
    )
)
def test_any_name_comes_back_from_graphviz(names):
    d, svg = read_back(names)
    harmless(svg)
    leaves = [n for n in d.nodes if n.kind == "parameter"]
    for node, name in zip(leaves, names, strict=True):
        same(lines_of(svg, node.id)[0], shown(name))


def test_names_are_shortened():
    source = draw(Tensor(1.0, name="x" * 5000) * 2).source
    assert "x" * 39 + "…" in source
    assert "x" * 40 not in source


def test_no_label_is_html_and_nothing_links():
    source = draw(program(AWFUL), limit=1000).source
    assert "label=<" not in source
    for line in source.splitlines():  # outside strings there are only our own attributes
        bare = re.sub(r'"(\\.|[^"\\])*"', "", line)
        assert not re.search(r"(?i)url|href|image|shapefile|target|tooltip", bare)


def test_relu_of_one_sample_says_nothing_of_dead_units():
    assert "dead" not in draw(np.sum(relu(Tensor([1.0, -1.0])))).source


def test_what_the_forward_pass_saved_looks_like_no_input():
    source = draw(classifier(), view="backward program", limit=1000).source
    nodes = [line for line in source.splitlines() if " [id=n" in line and "->" not in line]
    saved = [line for line in nodes if ",\\ forward" in line]
    constants = [line for line in nodes if "array" in line]
    assert {name for line in saved for name in re.findall(r'label="(\w+),', line)} == {"t4", "t9"}
    assert all("shape=Mrecord" in line and "dashed" in line for line in saved)
    assert all("shape=record" in line and "dashed" in line for line in constants)
    fills = [
        {re.search(r'fillcolor="(#\w+)"', line)[1] for line in some} for some in (saved, constants)
    ]
    assert fills[0].isdisjoint(fills[1])
    assert "1 forward value" in draw(classifier(), view="backward program", depth=0).source


@pytest.mark.parametrize("detail", ["compact", "short", "names"])
def test_with_less_detail_operations_stand_in_the_nodes(detail):
    d = diagram(graph(classifier()))
    source = dot(d, fold(d), Style(detail=detail, heat=True))
    assert "t4\\ (6,\\ 4):\\ relu" in source
    assert " label=" not in "".join(line for line in source.splitlines() if "->" in line)
    assert ("min\\ " in source) == (detail == "compact")
    assert ("grad\\ ±" in source) == (detail != "names")
