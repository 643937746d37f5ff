"""The pages of documentation: built by their own command, whole, and without a dead link."""

import html
import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import autobp

from .test_package import ROOT

MODULES = [
    "autobp",
    *(f"autobp.{m}" for m in dir(autobp) if m not in {*autobp.__all__, "__version__"}),
]


class Page(HTMLParser):
    """What a page points to, what of it can be pointed to, and its text outside of code."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.prose, self.within = [], set(), "", []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]
        if tag in ("code", "script", "style"):
            self.within.append(tag)

    def handle_endtag(self, tag):
        if self.within[-1:] == [tag]:
            self.within.pop()

    def handle_data(self, data):
        self.prose += "" if self.within else data


def dead(folder):
    """Every link from a page to something that is not there, and every one to another host."""
    pages = {path: Page(path) for path in folder.rglob("*.html") if path.name != "404.html"}
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme in ("data", "mailto"):
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            here = not url.scheme and target.is_file()
            if not here or (url.fragment and unquote(url.fragment) not in pages[target].ids):
                yield f"{path.relative_to(folder)}: {link}"


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there"><a href="b.html#lost"><a href="c.html"><img src="https://x.y/z">'
    )
    (tmp_path / "b.html").write_text('<h1 id="there"><a href="#there"><a href="a.html">')
    found = ["a.html: b.html#lost", "a.html: c.html", "a.html: https://x.y/z"]
    assert list(dead(tmp_path)) == found


def test_what_functions_return_is_described(built):
    ids = Page(built / "reference/results.html").ids
    for name in ("compiler.compiled.Compiled.save", "drawing.player.player.Player.frames"):
        assert f"autobp.{name}" in ids
    assert "_elementwise" not in (built / "reference/autobp.verify.html").read_text("utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("mkdocstrings", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ".docs/mkdocs.yml"]
    done = subprocess.run(
        [*command, "-d", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Formatting signatures requires" not in done.stderr
    return folder


def test_no_link_is_dead_and_none_leaves(built):
    ours = {"https://squidfunk.github.io/mkdocs-material/"}  # the theme names its maker
    assert [line for line in dead(built) if line.split()[1] not in ours] == []


@pytest.mark.parametrize("name", MODULES)
def test_the_reference_has_the_public_names_and_no_other(built, name):
    public = {f"{name}.{n}" for n in importlib.import_module(name).__all__ if n[0] != "_"}
    ids = Page(built / f"reference/{name}.html").ids
    assert public <= ids
    assert not [i for i in ids if i.startswith("autobp.") and re.search(r"\._", i)]
    entries = {i for i in ids if i.startswith(f"{name}.") and i.count(".") == name.count(".") + 1}
    assert entries == public


def test_examples_are_code(built):
    pages = [*built.glob("*.html"), *built.glob("reference/*.html")]
    assert len(pages) > len(MODULES)
    assert not [path for path in pages if "```" in path.read_text("utf-8")]
    assert not [path for path in pages if ">>>" in Page(path).prose]


def test_every_section_of_the_readme_is_there(built):
    everything = "".join(Page(path).prose for path in built.glob("*.html"))
    for title in re.findall(r"^## (.*)", (ROOT / "README.md").read_text("utf-8"), re.M):
        assert title in everything


def test_live_pages_are_embedded(built):
    frames = re.findall(r'<iframe src="(.*?)"', (built / "live.html").read_text("utf-8"))
    assert [Path(frame).stem for frame in frames] == ["neuron", "valley", "attention", "pendulum"]
    assert "Drag" in html.unescape((built / frames[0]).read_text("utf-8"))


def test_names_can_be_searched(built):
    index = (built / "search/search_index.json").read_text("utf-8")
    assert all(f'"{name}"' in index for name in ("value_and_grad", "Linear", "Adam", "fit"))
