"""Makes the pages of documentation while MkDocs builds them; none of their text is kept here.

The guide is the README, a page for each of its sections, and what lies in .github. The reference is the
docstrings of the public names. Live pages are those that the demos and the player write.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import griffe
from mkdocs.structure.files import File

import autobp

ROOT = Path(__file__).parents[1]
#: Sections of the README that are about the project; those before them are the guide.
ABOUT = ("Demos", "Comparison with others", "Design", "What it is not")
MODULES = (
    "autobp",
    *(f"autobp.{m}" for m in dir(autobp) if m not in {*autobp.__all__, "__version__"}),
)
#: Classes that no user makes, but gets from a function.
RESULTS = (
    "autobp.compiler.compiled.Compiled",
    "autobp.drawing.picture.Picture",
    "autobp.drawing.player.player.Player",
    "autobp.drawing.health.Health",
    "autobp.cost.report.Report",
    "autobp.check.GradientReport",
    "autobp.train.history.History",
)
PAGES = {".github/HABITS.md": "habits.md", ".github/CONTRIBUTING.md": "contributing.md"}
DEMOS = ("valley", "attention", "pendulum")
NEURON = """
from autobp import Tensor, play
import numpy as np
w, x, b = Tensor(0.5), Tensor(2.0), Tensor(-0.25)
y = np.tanh(w * x + b) * w
play(y, names={"w": w, "x": x, "b": b, "y": y}).save("neuron.html")
"""

_folder = tempfile.TemporaryDirectory(prefix="autobp-pages")


# ── hooks of MkDocs ───────────────────────────────────────────────────────────────────────────────


def on_config(config: Any) -> Any:
    guide = [s for s in sections() if s not in ABOUT]
    config.nav = [
        {"Home": "index.md"},
        {"Guide": [{s: slug(s)} for s in guide] + [{"Coming from elsewhere": "habits.md"}]},
        {"Live pages": "live.md"},
        {
            "Reference": [
                *({name: f"reference/{name}.md"} for name in MODULES),
                {"What functions return": "reference/results.md"},
            ]
        },
        {"About": [{s: slug(s)} for s in ABOUT] + [{"Contributing": "contributing.md"}]},
    ]
    return config


def on_files(files: Any, config: Any) -> Any:
    texts = {"index.md": introduction()}
    texts |= {slug(title): f"# {title}\n{text}" for title, text in sections().items()}
    texts |= {page: (ROOT / path).read_text("utf-8") for path, page in PAGES.items()}
    for path, text in texts.items():
        files.append(File.generated(config, path, content=linked(text)))
    files.append(File.generated(config, "live.md", content=live()))
    for name in MODULES:
        files.append(File.generated(config, f"reference/{name}.md", content=reference(name)))
    files.append(File.generated(config, "reference/results.md", content=results()))
    for path in [*ROOT.glob(".github/*.[gp][in][fg]"), ROOT / "demos/neuron.svg", *players()]:
        files.append(File.generated(config, f"files/{path.name}", abs_src_path=str(path)))
    return files


def on_shutdown() -> None:
    _folder.cleanup()


class Examples(griffe.Extension):
    """Docstrings are plain text with examples. Markdown wants a fence around these."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Examples, and what they print up to the next empty line, as blocks of code."""
    example = re.compile(r"(?:^|(?<=\n\n)) *>>> .*?(?=\n\s*\n|\Z)", re.S)
    return example.sub(lambda found: f"```pycon\n{dedent(found[0])}\n```", text)


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────


def readme() -> list[str]:
    """The README in pieces: what comes first, and then title and text of each section, in turn."""
    return re.split(r"^## (.*)\n", (ROOT / "README.md").read_text("utf-8"), flags=re.M)


def introduction() -> str:
    first, title, text, *_ = readme()
    return f"{first}\n## {title}\n{text}"


def sections() -> dict[str, str]:
    """All sections but the first, which stands on the first page."""
    _, _, _, *rest = readme()
    return dict(zip(rest[::2], rest[1::2]))


def slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()) + ".md"


def linked(text: str) -> str:
    """Links between the files of the project, as links between pages. The name of a source file stands
    for itself."""

    def link(found: re.Match[str]) -> str:
        mark, label, path = found.groups()
        path = path.removeprefix("../").replace("\\", "")
        if mark:
            return f"![{label}](files/{Path(path).name})"
        return f"[{label}]({PAGES[path]})" if path in PAGES else f"`{path}`"

    return re.sub(r"(!?)\[([^\]]+)\]\(((?!https?:)[^)#]+)\)", link, text)


def reference(name: str) -> str:
    """What a public module says of itself, and each of its public names."""
    own = "options: { members: false, show_root_heading: false, show_root_toc_entry: false }"
    module = importlib.import_module(name)
    names = [n for n in module.__all__ if not n.startswith("_")]
    return "\n\n".join(
        [f"# {name}", f"::: {name}\n    {own}", *(f"::: {name}.{public}" for public in names)]
    )


def results() -> str:
    first = "# What functions return\n\nThe objects that `compile`, `draw`, `play`, `fit` and others return."
    return "\n\n".join([first, *(f"::: {name}" for name in RESULTS)])


def live() -> str:
    page = "---\nhide: [toc]\n---\n\n# Live pages\n\nEach is one HTML file that works offline. Drag the numbers and the points.\n"
    for path in players():
        title = re.search(r"<title>(.*?)</title>", path.read_text("utf-8"))
        assert title is not None, path
        page += (
            f"\n## {title[1]}\n\n"
            f'<iframe src="files/{path.name}" title="{title[1]}" loading="lazy"></iframe>\n\n'
            f"[On a page of its own](files/{path.name})\n"
        )
    return page


def players() -> list[Path]:
    """A player and the live demos, written once."""
    folder = Path(_folder.name)
    if not any(folder.iterdir()):
        python = [sys.executable, "-W", "error"]
        subprocess.run([*python, "-c", NEURON], cwd=folder, check=True)
        for name in DEMOS:
            command = [*python, "-m", "autobp", "demo", name, "--out", str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return sorted(folder.glob("*.html"), key=lambda p: ("neuron", *DEMOS).index(p.stem))
