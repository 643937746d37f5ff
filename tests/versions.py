"""The suite on every Python that is installed, and on the least and the newest NumPy.

    python -m tests.versions [PYTEST ARGUMENT ...]

Each pair has a virtual environment of its own in a temporary folder. Pythons are those that are found
as `python3.11` and so on: in the PATH, or among the versions of pyenv. A version that is not installed
is named and left out.
"""

from __future__ import annotations

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


def least_numpy() -> str:
    """What pyproject.toml states."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (found,) = (m for d in project["dependencies"] if (m := re.match(r"numpy>=([\d.]+)", d)))
    return f"numpy=={found[1]}.*"


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
    """The newest NumPy on each Python, and the least on the first, for which it has wheels."""
    yield PYTHONS[0], least_numpy()
    for version in PYTHONS:
        yield version, "numpy"


def run(version: str, numpy: str, arguments: Sequence[str]) -> str:
    """How it went, in a word or two."""
    python = interpreter(version)
    if python is None:
        return "not installed"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        mine = Path(folder, "Scripts" if os.name == "nt" else "bin", "python")
        installed = subprocess.run(
            [mine, "-m", "pip", "install", "-q", "-e", f"{ROOT}[test]", "--upgrade", numpy],
            check=False,
        )
        if installed.returncode:
            return "cannot be installed"
        done = subprocess.run([mine, "-m", "pytest", *arguments], cwd=ROOT, check=False)
        return "passed" if not done.returncode else "FAILED"


def main(arguments: Sequence[str]) -> int:
    results = {}
    for version, numpy in pairs():
        print(f"Python {version}, {numpy}", flush=True)
        results[version, numpy] = run(version, numpy, arguments)
    for (version, numpy), result in results.items():
        print(f"Python {version:5} {numpy:12} {result}")
    return int("FAILED" in results.values() or "cannot be installed" in results.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
