"""The project as a whole: layers and dependencies."""

import ast
import graphlib
import importlib
import pathlib
import pkgutil
import subprocess
import sys

import pytest

import autobp
from autobp.cli import doctor

from .versions import oldest

PACKAGE = pathlib.Path(autobp.__file__).parent
ROOT = PACKAGE.parent

# Each module may import those before it. That is the architecture; a circle cannot be written down.
LAYERS = [
    "owner",
    "lookups",
    "context",
    "locks",
    "errors",
    "extras",
    "table",
    "colours",
    "kernels",
    "operation",
    "primitive",
    "arrays",
    "spellings",
    "habits",
    "rules",
    "special",
    "calculus",
    "dispatch",
    "hooks",
    "in_place",
    "methods",
    "tensor",
    "tree",
    "dag",
    "reverse",
    "forward",
    "results",
    "batching",
    "fast_paths",
    "counts",
    "directions",
    "sparsity",
    "colouring",
    "sparse",
    "higher",
    "custom_rules",
    "recurrence",
    "recomputation",
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
    "__init__",
    "cli",
    "__main__",
]


# Imports that run when a method is called, and against the layers: these alone, for these reasons.
DOORS = {
    ("tensor", "reverse"): "Tensor.backward() is where a user enters reverse mode",
    ("dag", "drawing"): "Graph.draw(), .text() and .health() are where a user enters the pictures",
}


def modules():
    """Every module of the package, by its dotted name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def imports(name):
    """Every module of the package that a module imports, wherever in it that is written."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, [above, node.module]))
            full = {alias.name: f"{source}.{alias.name}" for alias in node.names}
            named = [f if f in MODULES else source for f in full.values()]
        else:
            continue
        yield from (other for other in named if other.partition(".")[0] == "autobp")


def layer(name):
    return name.split(".")[1] if "." in name else "__init__"


def test_imports_run_one_way():
    """Those inside functions and those for type checkers too."""
    met = set()
    for name in MODULES:
        assert layer(name) in LAYERS, f"{name} has no place in the layers"
        for other in imports(name):
            ends = layer(name), layer(other)
            if ends in DOORS:
                met.add(ends)
                continue
            ahead = LAYERS.index(ends[1]) <= LAYERS.index(ends[0])
            assert ahead, f"{name} imports {other}, which stands on it"
    assert met == set(DOORS)


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        name: {o for o in imports(name) if o != name and (layer(name), layer(o)) not in DOORS}
        for name in MODULES
    }
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


def test_late_and_relative_imports_are_seen(tmp_path, monkeypatch):
    path = tmp_path / "sample.py"
    path.write_text(
        "def f():\n    from autobp.nn import Linear\n    import autobp.optim.clip as c\n"
        "    from . import plots\n    from .player import page\n    import numpy\n"
    )
    monkeypatch.setitem(MODULES, "autobp.drawing.sample", path)
    assert list(imports("autobp.drawing.sample")) == [
        "autobp.nn",
        "autobp.optim.clip",
        "autobp.drawing.plots",
        "autobp.drawing.player.page",
    ]


def test_readers_meet_only_in_the_graph():
    assert "autobp.forward" not in set(imports("autobp.reverse"))
    assert "autobp.reverse" not in set(imports("autobp.forward"))


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


def test_no_name_of_a_package_hides_one_of_its_modules():
    for package, path in MODULES.items():
        inside = {m.rpartition(".")[2] for m in MODULES if m.rpartition(".")[0] == package}
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            bound = set()
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound = {node.name}
            elif isinstance(node, ast.Assign):
                bound = {t.id for t in node.targets if isinstance(t, ast.Name)}
            elif isinstance(node, ast.ImportFrom):
                bound = {
                    alias.asname or alias.name
                    for alias in node.names
                    if f"{node.module}.{alias.name}" not in MODULES
                }
            assert not bound & inside, f"{package} has a module and something else of that name"


def test_every_module_is_found_under_its_name():
    for found in pkgutil.walk_packages(autobp.__path__, "autobp."):
        if found.name != "autobp.__main__":
            module = importlib.import_module(found.name)
            package, _, name = found.name.rpartition(".")
            assert getattr(sys.modules[package], name) is module


def test_public_modules_are_imported_when_they_are_used():
    code = (
        "import sys, autobp\n"
        "modules = ['nn', 'optim', 'data', 'train', 'verify', 'cost']\n"
        "assert not [m for m in modules if f'autobp.{m}' in sys.modules]\n"
        "assert 'autobp.drawing.plots' not in sys.modules\n"
        "assert autobp.nn.Linear and autobp.optim.Adam and autobp.data.xor and autobp.train.fit\n"
        "assert autobp.verify.CHECKS and autobp.cost.compare and autobp.drawing.plots.curves\n"
        "import autobp.drawing.plots as p\n"
        "assert p is autobp.drawing.plots\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dir_lists_what_a_user_should_see():
    public = {"cost", "data", "drawing", "nn", "optim", "train", "tree", "verify"}
    assert dir(autobp) == sorted({*autobp.__all__, *public, "__version__"})
    assert all(f"    {name} " in autobp.__doc__ for name in public)
    with pytest.raises(AttributeError, match="module 'autobp' has no attribute 'nonsense'"):
        autobp.nonsense  # noqa: B018
    with pytest.raises(
        AttributeError, match=r"module 'autobp\.drawing' has no attribute 'nonsense'"
    ):
        autobp.drawing.nonsense  # noqa: B018


# ── what is installed ─────────────────────────────────────────────────────────────────────────────


def test_importing_needs_numpy_alone():
    code = (
        "import sys, numpy; before = set(sys.modules); import autobp;"
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    added = set(out.stdout.split())
    assert added - set(sys.stdlib_module_names) == {"autobp"}


def test_the_oldest_dependencies_are_stated_once():
    stated = dict(line.split("==") for line in oldest())
    assert stated["numpy"] == ".".join(map(str, doctor._NUMPY))
    assert {"graphviz", "tqdm", "matplotlib", "scipy", "pytest"} < set(stated)


def test_typed():
    assert (PACKAGE / "py.typed").exists()


def test_the_fast_subset_is_of_tests_that_exist():
    """`python -m pytest @tests/fast.txt`: some 900 tests in half a minute on one core."""
    listed = (ROOT / "tests/fast.txt").read_text().split()
    assert len(listed) > 10
    assert all((ROOT / name).is_file() for name in listed)
