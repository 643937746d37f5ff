"""The project as a whole: layers and dependencies."""

import ast
import pathlib
import subprocess
import sys
import tomllib

import autobp

PACKAGE = pathlib.Path(autobp.__file__).parent
ROOT = PACKAGE.parent

# Each module may import those before it. That is the architecture; a circle cannot be written down.
LAYERS = [
    "context",
    "errors",
    "extras",
    "table",
    "colours",
    "operation",
    "primitive",
    "rules",
    "calculus",
    "dispatch",
    "tensor",
    "tree",
    "dag",
    "reverse",
    "forward",
    "counts",
    "higher",
    "custom_rules",
    "compiler",
    "check",
    "numerical",
    "verify",
    "files",
    "data",
    "optim",
    "nn",
    "train",
    "drawing",
    "cost",
    "cli",
    "__main__",
]


def imports(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("autobp"):
            yield from (
                [node.module.partition("autobp.")[2].split(".")[0]]
                if node.module != "autobp"
                else [a.name for a in node.names]
            )


def test_imports_run_one_way():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if name == "__init__":
            continue
        assert name in LAYERS, f"{name} has no place in the layers"
        for other in imports(path):
            ahead = LAYERS.index(other) < LAYERS.index(name) or other == name
            assert ahead, f"{name} imports {other}, which stands on it"


def test_readers_meet_only_in_the_graph():
    readers = {"reverse", "forward"}
    for reader in readers:
        assert not set(imports(PACKAGE / f"{reader}.py")) & (readers - {reader})


def test_importing_needs_numpy_alone():
    code = (
        "import sys, numpy; before = set(sys.modules); import autobp;"
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    added = set(out.stdout.split())
    assert added - set(sys.stdlib_module_names) == {"autobp"}


def test_every_package_is_installed():
    """They are listed, since the demos are a package in another place."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    there = [p.parent.relative_to(ROOT).parts for p in sorted(PACKAGE.rglob("__init__.py"))]
    assert listed == sorted([".".join(parts) for parts in there] + ["autobp.demos"])


def test_typed():
    assert (PACKAGE / "py.typed").exists()


def test_the_fast_subset_is_of_tests_that_exist():
    """`python -m pytest @tests/fast.txt`: some 900 tests in half a minute on one core."""
    listed = (ROOT / "tests/fast.txt").read_text().split()
    assert len(listed) > 10
    assert all((ROOT / name).is_file() for name in listed)
