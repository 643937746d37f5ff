"""The README: whatever can be run in it is run, and whatever it points to is there."""

import contextlib
import io
import re
import shlex
import tomllib
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest

from autobp import cli

from .benchmarks.__main__ import SECTIONS
from .test_package import LAYERS, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.S | re.M)
PYTHON = {"python", "python3", ".venv/bin/python"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the blocks wrote their files, after all of them were run, one after another."""
    folder = tmp_path_factory.mktemp("readme")
    names, printed = {}, ""
    with contextlib.chdir(folder):
        for language, block in BLOCKS:
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                if language == "python":
                    exec(block, names)
                elif language == "sh":
                    for command in re.split(r" && |\n", block.strip()):
                        shell(command)
                else:
                    assert language == "text" or block == printed
            printed = out.getvalue()
    return folder


def shell(command):
    """Run a command of ours. Of one that installs or runs the tests, see that it could be run."""
    words = shlex.split(command)
    match words:
        case ["autobp" | ".venv/bin/autobp", *arguments]:
            assert cli.main(arguments) == 0
        case [program, "-m", module, *rest] if program in PYTHON:
            assert module in ("venv", "pytest") or find_spec(module), module
            assert rest in ([], [".venv"], ["-n", "auto", "--dist", "loadfile"])
        case [".venv/bin/pip", "install", "-q", *flags, what]:
            assert flags in ([], ["-e"])
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            assert what == "." or re.fullmatch(r"\.\[(\w+)\]", what)[1] in project["optional-dependencies"]  # fmt: skip
        case _:
            pytest.fail(f"a command that the tests do not know: {command}")


def test_every_block_runs_and_prints_what_it_says(folder):
    assert sum(language == "python" for language, _ in BLOCKS) > 5
    assert sum(language == "" for language, _ in BLOCKS) > 5
    assert README.count("```") == 2 * len(BLOCKS), "a block that is not run"
    assert {path.name for path in folder.iterdir()} == {
        "autobp-tour", "neuron.svg", "loss.svg", "loss.html", "step.onnx",
    }  # fmt: skip


def test_it_begins_with_what_one_needs():
    first = README[: README.index("\n## ", README.index("```python"))].splitlines()
    assert first[0] == "# autobp"
    assert len(first[2]) < 100
    blocks = [block for language, block in BLOCKS if language == "python"]
    assert len(blocks[0].splitlines()) <= 10
    assert README[: README.index("```python")].count("\n") < 30


def test_the_picture_is_what_draw_makes(folder):
    def labels(path):
        return sorted(text.text for text in ElementTree.parse(path).getroot().findall(".//{*}text"))

    kept = ROOT / "demos/neuron.svg"
    assert f"]({kept.relative_to(ROOT)})" in README
    assert labels(kept) == labels(folder / "neuron.svg")
    page = ElementTree.parse(kept).getroot().find(".//{*}polygon")
    assert page.get("fill") == "#ffffff"  # so that it can be read on a dark page


def test_links_lead_somewhere():
    headings = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)", README, re.M)}  # fmt: skip
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 4
    for link in links:
        path, _, heading = link.partition("#")
        assert (ROOT / path).exists(), link
        assert not heading or heading in headings, link


def test_the_page_of_the_package_points_at_no_file():
    """pyproject.toml makes it from the README by substitution: there, no file lies beside it."""
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"][
        "hooks"
    ]
    page = README
    for rule in hooks["fancy-pypi-readme"]["substitutions"]:
        page = re.sub(rule["pattern"], rule["replacement"], page)
    assert "](" in README
    assert "](" not in page
    assert page.count("*Picture: ") == README.count("![") > 2
    assert "`.github/HABITS.md` has what you look for" in " ".join(page.split())
    assert re.findall(r"^```(\w*)\n(.*?)^```", page, re.S | re.M) == BLOCKS


def test_what_is_said_in_passing_exists():
    """Commands and names within a line."""
    spans = set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.S | re.M)))
    commands = {command.__name__.rpartition(".")[2] for command in cli.COMMANDS}
    ours = [span.split()[1] for span in spans if re.match(r"autobp \w", span)]
    assert len(ours) >= 4
    assert set(ours) <= commands
    demos = {span.split()[2] for span in spans if re.match(r"autobp demo \w", span)}
    rows = README[README.index("## Demos") : README.index("## Comparison")]
    demos |= set(re.findall(r"\| `(\w+)`", rows))
    assert demos == set(cli.demo.demos())
    assert {int(span.split()[1]) for span in spans if span.startswith("--only ")} <= set(SECTIONS)
    for span in spans:
        if re.match(r"python ", span):
            _, *words = span.split()
            assert find_spec(words[1]) if words[0] == "-m" else (ROOT / words[0]).exists(), span


def test_the_design_is_the_one_there_is():
    """The picture of the layers has the modules of the package, in the order of their imports."""
    (picture,) = [block for language, block in BLOCKS if language == "text"]
    names = [name for line in picture.splitlines() for name in re.findall(r"\w+", line[16:52])]
    shown = [name for name in LAYERS if not name.startswith("__")]  # the package's doors
    assert [name for name in names if name in LAYERS] == shown
