"""The suite on every Python that is installed, with the newest and with the oldest dependencies.

    python -m tests.versions [--oldest] [PYTEST ARGUMENT ...]

`--oldest` runs it with the oldest alone: the versions that pyproject.toml names, of NumPy as of all
other packages. Each pair has a virtual environment of its own in a temporary folder. Pythons are those that are found
as `python3.11` and so on: in the PATH, or among the versions of pyenv. A version that is not installed
is named and left out.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
UNUSED = ("bench", "docs")  # extras of which the suite uses nothing


def oldest() -> list[str]:
    """The oldest version of each dependency that pyproject.toml allows, as constraints for pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [
        extra for name, extra in project["optional-dependencies"].items() if name not in UNUSED
    ]
    stated = [*project["dependencies"], *itertools.chain.from_iterable(extras)]
    ours = [line for line in stated if not line.startswith("autobp[")]
    found = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line) for line in ours]
    assert all(found), f"each of {ours} must have a lower bound, and nothing else"
    return [f"{m[1]}=={m[2]}" for m in found if m]


def interpreter(version: str) -> str | None:
    """A Python of that version that runs: pyenv has a shim for those, too, that are not active."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}*/bin/python3"))]
    for candidate in filter(None, candidates):
        found = subprocess.run(
            [candidate, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if found.stdout.strip() == version:
            return str(candidate)
    return None


def pairs() -> Iterator[tuple[str, str]]:
    """The oldest dependencies on the first Python, for which they have wheels; the newest on each."""
    yield PYTHONS[0], "oldest"
    for version in PYTHONS:
        yield version, "newest"


def run(version: str, dependencies: str, arguments: Sequence[str]) -> str:
    """How it went, in a word or two."""
    python = interpreter(version)
    if python is None:
        return "not installed"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        mine = Path(folder, "Scripts" if os.name == "nt" else "bin", "python")
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(oldest() if dependencies == "oldest" else []))
        installed = subprocess.run(
            [mine, "-m", "pip", "install", "-q", "-e", f"{ROOT}[test]", "-c", constraints],
            check=False,
        )
        if installed.returncode:
            return "cannot be installed"
        done = subprocess.run([mine, "-m", "pytest", *arguments], cwd=ROOT, check=False)
        return "passed" if not done.returncode else "FAILED"


def main(arguments: Sequence[str]) -> int:
    results = {}
    only = arguments[:1] == ["--oldest"]
    for version, dependencies in itertools.islice(pairs(), 1 if only else None):
        print(f"Python {version}, {dependencies} dependencies", flush=True)
        results[version, dependencies] = run(version, dependencies, arguments[only:])
    for (version, dependencies), result in results.items():
        print(f"Python {version:5} {dependencies}  {result}")
    absent = set() if only else {"not installed"}
    return int(not {*results.values()} <= {"passed"} | absent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
