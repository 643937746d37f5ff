"""Every demo, quickly, on the data that comes with the package: its numbers and its pictures."""

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from autobp import cli, cost
from autobp.cost import compare, measuring
from autobp.extras import install_command

DEMOS = cli.demo.demos()
NUMBER = r"[-+]?\d+\.\d*(?:e[-+]?\d+)?"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A function that runs a demo with --quick, once, and returns what it printed and its pictures."""
    runs = {}

    def run(name):
        if name not in runs:
            folder = tmp_path_factory.mktemp(name)
            out, err = io.StringIO(), io.StringIO()
            with (
                pytest.MonkeyPatch.context() as patch,
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                patch.delenv("AUTOBP_DATA", raising=False)
                patch.setattr(measuring, "ROUNDS", 1)
                assert cli.main(["demo", name, "--quick", "--out", str(folder)]) == 0
            runs[name] = out.getvalue(), sorted(folder.iterdir())
            run.progress[name] = err.getvalue()
        return runs[name]

    run.progress = {}
    return run


@pytest.fixture(scope="module")
def knobs():
    """The demo as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMOS["knobs"].parent))
        yield importlib.import_module("knobs")


def numbers(text):
    return [float(n) for n in re.findall(NUMBER, text)]


def labels(path):
    """The texts in a drawing."""
    return {text.text for text in ElementTree.parse(path).getroot().findall(".//{*}text")}


def after(text, start, end="\n\n"):
    return text.split(start, 1)[1].split(end, 1)[0]


@pytest.mark.parametrize("name", DEMOS)
def test_every_demo_ends_with_its_result_and_its_files(quick, name):
    text, files = quick(name)
    last = text.splitlines()[-1]
    assert re.match(r"Result( on the small digits)?: .*\. Written: .*\.$", last)
    assert sorted(last.split("Written: ")[1].rstrip(".").split(", ")) == [str(f) for f in files]
    assert any(f.suffix in (".png", ".svg", ".html") for f in files)


@pytest.mark.parametrize("name", DEMOS)
def test_its_pictures_show_something(quick, name):
    for path in quick(name)[1]:
        if path.suffix == ".png":
            image = matplotlib.image.imread(path)
            height, width, _ = image.shape
            assert 400 < height < width < 2000
            ink = np.mean(np.any(image[..., :3] < 0.9, axis=2))
            assert 0.01 < ink < 0.9
            sides = [image[0], image[-1], image[:, 0], image[:, -1]]
            assert all(np.all(side[..., :3] > 0.9) for side in sides), "something is cut off"
        elif path.suffix == ".svg":
            drawn = ElementTree.parse(path).getroot()
            assert len(drawn.findall(".//{*}text")) > 5


@pytest.mark.parametrize("name", DEMOS)
def test_every_demo_runs_alone(name):
    done = subprocess.run(
        [sys.executable, DEMOS[name], "--help"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(DEMOS[name].parent.parent), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for option in ("--seed", "--epochs", "--quick", "--out"):
        assert option in done.stdout


@pytest.mark.parametrize(
    "name", ["fixed_layer", "minibatches", "convnet", "cross_validation", "three_layers"]
)
def test_the_small_digits_are_not_passed_off_as_mnist(quick, name):
    text, _ = quick(name)
    assert "so these numbers say nothing about it. --data mnist uses MNIST." in text
    assert "Result on the small digits: " in text


def test_a_pipe_without_the_letters_of_mathematics():
    done = subprocess.run(
        [sys.executable, DEMOS["losses"]], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(DEMOS["losses"].parent.parent), "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "its gradient: (softmax(Z) - onehot(y))/m" in done.stdout


def test_without_a_folder_nothing_is_drawn(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "losses"]) == 0
    assert capsys.readouterr().out.endswith("No pictures: see --out.\n")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_graphs_are_drawn(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["demo", "derivatives", "--out", str(tmp_path)]) == 0
    assert [f.name for f in tmp_path.iterdir()] == ["derivatives.svg"]
    with pytest.raises(SystemExit) as error:
        cli.main(["demo", "losses", "--out", str(tmp_path)])
    said = f"autobp demo losses: --out needs matplotlib: {install_command('plot')}"
    assert error.value.code == said


@pytest.mark.parametrize(
    "wrong", [["--epochs", "0"], ["--epochs", "ten"], ["--epochs", "1.5"], ["--seed", "-1"]]
)
def test_numbers_that_are_none(capsys, wrong):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", "losses", *wrong])
    least = 1 if wrong[0] == "--epochs" else 0
    said = f"argument {wrong[0]}: a whole number, at least {least}, not {wrong[1]!r}\n"
    assert capsys.readouterr().err.endswith(said)


def test_ctrl_c_ends_the_demo_of_the_costs_with_what_was_measured(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "_first", interrupted)
    monkeypatch.setattr("autobp.cost.sweep_inputs", lambda *_, **__: compare(np.sum, np.ones(3)))
    assert cli.main(["costs", "--quick"]) == 130
    said = capsys.readouterr().out
    assert "interrupted: rows without numbers were not measured" in said
    assert "All derivatives of one number in" not in said
    assert cli.main(["costs", "--quick", "--json"]) == 130
    found = json.loads(capsys.readouterr().out)
    assert (found["interrupted"], set(found)) == (True, {"interrupted", "inputs"})
    assert found["inputs"]["rows"][0]["seconds"] is None


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as error:
        cli.main(["demo", "losses", "--out", str(tmp_path / "file")])
    assert error.value.code == f"autobp demo losses: {tmp_path / 'file'} is not a folder"


def test_a_folder_that_nothing_can_be_written_to_is_refused_at_once(capsys, tmp_path, monkeypatch):
    def denied(*_, **__):  # as root is not
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("autobp.cli.console.TemporaryFile", denied)
    said = f"{tmp_path} cannot be written to: Permission denied"
    with pytest.raises(SystemExit) as error:
        cli.main(["demo", "losses", "--out", str(tmp_path)])
    assert error.value.code == f"autobp demo losses: {said}"
    for argv in (["tour"], ["train", "xor"], ["costs"]):
        assert cli.main([*argv, "--out", str(tmp_path)]) == 1
        assert capsys.readouterr() == ("", f"autobp {argv[0]}: {said}\n")


@pytest.mark.parametrize("name", ["convnet", "cross_validation", "minibatches", "three_layers"])
def test_ctrl_c_while_a_model_is_fitted_ends_the_demo_without_a_result(capsys, monkeypatch, name):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("autobp.optim.Optimizer.zero_grad", interrupted)
    assert cli.main(["demo", name, "--quick"]) == 130
    assert "Result" not in capsys.readouterr().out


@pytest.mark.parametrize("name", DEMOS)
def test_tables_fit_in_a_terminal_of_80_columns(quick, name):
    for line in quick(name)[0].splitlines():
        prose = re.match(r"(Result|gradients agree|    \w+Error: )", line)
        assert prose or len(line) <= 80, line


def test_progress_fits_in_a_terminal_also_when_a_loss_overflows(quick):
    quick("knobs")
    said = quick.progress["knobs"]
    assert re.search(r"^ +4/4  XOR, none, rate 1, by calculus: loss \d\S*e\+\d+, ", said, re.M)
    assert max(map(len, said.splitlines())) <= 80


def test_mnist_that_is_not_there_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOBP_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as error:
        cli.main(["demo", "minibatches", "--data", "mnist"])
    assert re.fullmatch(r"AUTOBP_DATA names .*nowhere, which is not a folder", error.value.code)


def test_costs_are_a_demo_with_a_command_of_its_own(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["costs", "--help"])
    assert "usage: autobp costs" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["costs", "--nonsense"])
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_costs_know_before_they_measure_what_they_cannot_draw(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert cli.main(["costs", "--out", str(tmp_path / "file")]) == 1
    assert capsys.readouterr() == ("", f"autobp costs: {tmp_path / 'file'} is not a folder\n")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["costs", "--out", str(tmp_path)]) == 1
    assert f"--out needs matplotlib: {install_command('plot')}" in capsys.readouterr().err


def test_costs_as_json(capsys, tmp_path, monkeypatch):
    for name in ("sweep_inputs", "sweep_outputs"):
        measure = getattr(cost, name)
        monkeypatch.setattr(cost, name, lambda f, _, seed, m=measure: m(f, [1, 3], seed=seed))
    monkeypatch.setattr(cost, "compare", lambda *_, **__: compare(np.sum, np.ones(3)))
    monkeypatch.setattr(measuring, "ROUNDS", 1)
    assert cli.main(["costs", "--quick", "--json", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert [*found] == ["interrupted", "inputs", "outputs", "update", "stencil", "memory", "epoch"]
    assert found["interrupted"] is False
    assert found["inputs"]["sizes"] == [1, 3]
    (reverse,) = [row for row in found["update"]["rows"] if row["method"] == "reverse"]
    assert found["epoch"]["reverse"] == pytest.approx(reverse["seconds"] * 6000)
    assert "An epoch of MNIST" in err
    assert (tmp_path / "forward_vs_reverse.png").exists()


def test_what_no_command_takes_is_an_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", "--nonsense"])
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_the_seed_decides_everything(quick, capsys):
    cli.main(["demo", "spiral", "--quick"])
    again = capsys.readouterr().out
    cli.main(["demo", "spiral", "--quick", "--seed", "1"])
    other = capsys.readouterr().out
    said = quick("spiral")[0].splitlines()[:-1]
    assert again.splitlines()[:-1] == said
    assert other.splitlines()[:-1] != said


# ── the textbook's numbers ────────────────────────────────────────────────────────────────────────


def test_losses(quick):
    text, _ = quick("losses")
    for what, value in {
        "labels [2, 1]": 0.8573992140459634,
        "the same, one-hot": 0.8573992140459634,
        "Z = [[2, 25, 13], [54, 3, 11]]": 31.500003072148047,
        "squared error of 1, 2 for 1, 5": 4.5,
        "the half of it": 2.25,
        "binary cross entropy of 0, 1 for 0, 1": 0.0,
        "class 2 of [.3, .5, .2]: −log 0.2": -np.log(0.2),
        "… one-hot": -np.log(0.2),
        "λ = 0.01": 0.2,
    }.items():
        line = after(text, what, "\n")
        assert float(line) == pytest.approx(value, abs=1e-12), what
    off = [float(n) for n in re.findall(r"largest difference (\S+)", text)]
    assert len(off) == 5
    assert max(off) < 1e-12
    assert "forward mode, reverse mode and central differences agree" in text


def test_softmax_regression(quick):
    text, _ = quick("softmax_regression")
    assert float(after(text, "loss      ", "\n")) == pytest.approx(2.0863049636282662, abs=1e-12)
    expected = [0.30213245, -1.75779321, 1.69566076, 0.5254108, -2.19194012, 2.22652932]
    assert numbers(after(text, "gradient  ", "minus")) == pytest.approx(expected, abs=1e-8)
    assert float(after(text, "2·reg·W: ", " at most")) < 1e-12
    assert "max|grad| < 1e-6: plain more than 200, momentum 0.5 133, momentum 0.9 more" in text
    assert re.search(
        r"momentum 0.5 .*\n +stopped after 1\d\d iterations: max\|grad\| = .* < 1e-06", text
    )


def test_two_layers(quick):
    text, (drawn,) = quick("two_layers")
    expected = [
        [-1.36253581e-04, 4.87491807e-04, -2.47960226e-05],
        [-1.64985210e-04, 1.01574088e-03, -5.99877659e-05],
        [-1.96135525e-04, 1.54048069e-03, -9.36558871e-05],
    ]
    assert numbers(after(text, "Z2 = ", "loss")) == pytest.approx(np.ravel(expected), abs=1e-12)
    assert float(after(text, "reg = 0.001: ", "\n")) == pytest.approx(1.098427770814438, abs=1e-12)
    assert_same(text, 11)
    said = labels(drawn)
    assert {"Z1 (1, 4)", "A1 (1, 4)", "Z2 (1, 3)", "loss"} < said
    assert not any(label.startswith(".grad") for label in said)  # left over from the batch


def assert_same(text, rows):
    """So many rows of derivatives by two ways, and they agree."""
    found = re.findall(rf"^  ∂\S+ .*?({NUMBER}) +({NUMBER}) +(\S+)$", text, re.M)
    assert len(found) == rows
    for first, second, off in found:
        assert float(first) == pytest.approx(float(second), rel=1e-7)
        assert float(off) < 1e-12


def test_neurons(quick):
    text, _ = quick("neurons")
    assert "0 and 0 → 0, 0 and 1 → 0, 1 and 0 → 0, 1 and 1 → 1" in text
    rows = after(text, "slope   off\n").splitlines()
    assert len(rows) == 6
    assert max(float(row.split()[-1]) for row in rows) < 1e-12
    sigmoid = numbers(rows[1][26:-6])
    assert sigmoid == pytest.approx([0.1192, 0.5, 0.8808, 0.105, 0.25, 0.105], abs=1e-4)


def test_spiral(quick):
    text, files = quick("spiral")
    assert "loss 1.0986 → 0.8" in text
    assert [f.name for f in files] == ["spiral_loss.png", "spiral_regions.png"]


def test_lbfgs(quick):
    text, files = quick("lbfgs")
    rows = [line.split() for line in text.splitlines() if line.startswith(("L-BFGS", "Adam"))]
    assert [row[0] for row in rows] == ["L-BFGS", "Adam"]
    assert int(rows[0][1]) == 20
    assert float(rows[0][3]) < 1.0
    assert [f.name for f in files] == ["lbfgs_loss.png"]


def test_language(quick):
    text, files = quick("language")
    assert "8,483 characters, 58 different ones" in text
    bits = [float(n) for n in re.findall(r"parameters: (\S+) bits a character", text)]
    assert len(bits) == 2
    assert all(2 < b < 5.5 for b in bits)  # 5.86 bits are those of 58 letters drawn evenly
    assert text.count("    Alice ") == 2
    assert [f.name for f in files] == ["language_loss.png"]


def test_numerical_gradient(quick):
    text, _ = quick("numerical_gradient")
    assert "33 parameters" in text
    assert "66 forward passes" in text
    assert float(after(text, "one backward pass: ", "\n")) < 1e-8
    assert float(after(text, "differ by more than ", ".\n")) < 1e-8


def test_computation_graph(quick):
    text, (drawn, layer) = quick("computation_graph")
    assert {"x1", "x2", "w1", "w2", "b"} < labels(drawn)
    assert "X (2,)" in labels(layer)
    assert "p2   = multiply(w2, x2)" in text
    assert numbers(after(text, "∂loss/∂w2 ", "\n")) == numbers(after(text, "x2 = ", "\n"))


def test_forward_vs_reverse(quick):
    text, _ = quick("forward_vs_reverse")
    assert "159,020 evaluations" in text
    assert re.search(r"\b\d\d? of 79,510 directions", text)  # fewer of them where that takes long
    memory = text.split("Peak memory")[1].split("\n\n")[1].splitlines()[1:]
    columns = (map(float, line.replace("MB", "").split()[1:]) for line in memory)
    forward, reverse, remat = zip(*columns)
    assert remat[-1] < reverse[-1] / 3
    assert "1 forward of 3" in text
    assert reverse[-1] > 10 * reverse[0]  # it keeps the tape
    assert forward[-1] < 2 * forward[0]
    assert "Result: an epoch of MNIST takes" in text


def test_engine(quick):
    text, files = quick("engine")
    assert float(after(text, "differ from those of autobp by ", " at most")) < 1e-14
    assert "of x³ at 2: 6, by three" in text
    assert "of x³ at 2: 12, forward over reverse" in text
    outputs = [float(p) for p in re.findall(r"\d xor \d: +(\S+)", text)]
    assert outputs == pytest.approx([0, 1, 1, 0], abs=0.02)
    assert [f.name for f in files] == ["engine_loss.png"]


def test_derivatives(quick):
    table = after(quick("derivatives")[0], "∂f/∂x\n")
    slopes = [float(line.split()[-1]) for line in table.splitlines()]
    assert len(slopes) == 5
    assert slopes == pytest.approx([2.7515594904] * 5, abs=1e-8)


# ── what is trained ───────────────────────────────────────────────────────────────────────────────


def test_xor(quick):
    text, (drawn, *_) = quick("xor")
    assert_same(text, 17)
    said = {label.strip() for label in labels(drawn)}
    assert {"W3 (8, 1)", "Z2 (21, 8)", "Z2ᵀ @ ∂t12", "sigmoid", "loss"} < said
    assert text.count("   truth ") == 42


def test_xor_by_either_update(quick):
    """The rate of the biases is all that differs, and it decides about the point in the middle."""
    text, _ = quick("xor")
    rows = re.findall(
        r"^  (linear|XOR) +(as programmed|by calculus) +(\S+) +(\d) +(\d+) of ", text, re.M
    )
    assert rows == [
        ("linear", "as programmed", "889", "1", "100"),
        ("linear", "by calculus", "780", "1", "100"),
        ("XOR", "as programmed", "6,721", "1", "21"),
        ("XOR", "by calculus", "never", "0", "20"),
    ]
    assert "XOR by calculus, seed 1: wrong at (0.5, 0.5)" in text
    losses = re.findall(r"^ +(1|1,000|10,000)  (0\.\d+)$", text, re.M)
    assert {epoch: float(loss) for epoch, loss in losses} == {
        "1": pytest.approx(0.34049084163496396, rel=1e-9),
        "1,000": pytest.approx(0.24940353208009475, rel=1e-9),
        "10,000": pytest.approx(0.0014777506092392312, rel=1e-9),
    }


#: The first epoch at which all points are right, as programmed with seed 1, by plain NumPy.
EPOCHS = {
    "rate 0.5": (1776, 13423),
    "rate 1": (889, 6721),
    "rate 1.5": (593, 4488),
    "(2, 4)": (982, None),
    "(2, 4), rate 3": (329, None),
    "(8, 16)": (1030, 4879),
    "no activation, .01": (5226, None),
    "tanh .03, SGD": (11967, 3794),
    "tanh .03, momentum": (1229, 429),
    "tanh .03, Adagrad": (1123, 1275),
    "tanh at every layer": (334, None),
    "ReLU, σ at the end": (189, 22),
    "ReLU, σ (8, 16), 1": (126, 31),
    "ReLU, σ (8, 16), .1": (2959, 276),
}


@pytest.mark.parametrize("name", EPOCHS)
def test_the_epochs_of_seed_1_as_programmed(knobs, name):
    (setting,) = (settings[name] for settings in knobs.KNOBS.values() if name in settings)
    update = knobs.by_calculus if setting.optimizer is knobs.Adagrad else knobs.as_programmed
    for (X, y), expected in zip(knobs.datasets().values(), EPOCHS[name]):
        if expected is not None:
            networks = knobs.Networks(setting.sizes, [1], setting.hidden, setting.output)
            optimizer = setting.optimizer(update(networks, setting.rate, len(y)))
            run = knobs.train(networks, X, y, optimizer, expected + 1, name, to_the_end=True)
            assert run.first == expected
            assert run.losses.shape == (1, expected + 1)


def test_knobs(quick):
    text, files = quick("knobs")
    assert [f.stem for f in files] == sorted(
        f"knobs_{knob}"
        for knob in (
            "learning_rate", "hidden_units", "no_activation", "optimizers", "activations",
            "relu_rate",
        )
    )  # fmt: skip
    assert (
        "\n  rate 1                   889     1     780     1     52%     0     52%     0\n" in text
    )
    judged = re.findall(r"^  .*, (?:linear|XOR) +(yes|no) +([01]) +(yes|no) +([01])$", text, re.M)
    assert len(judged) == 25
    for programmed, count, calculus, other in judged:
        assert (programmed == "yes", calculus == "yes") == (count == "1", other == "1")
    assert re.search(r"  no activation fails, XOR  +yes  +1  +yes  +1$", text, re.M)
    held = [sum(row[i] == "yes" for row in judged) for i in (0, 2)]
    assert (
        f"of 25 claims, seed 1 confirms {held[0]} as programmed and {held[1]} by calculus" in text
    )


def test_rounding_decides_when_tanh_at_rate_1_has_learned_xor(quick):
    """Plain NumPy takes 248 epochs."""
    least, most = re.search(
        r"seed 1 as programmed takes (\d+) to (\d+) epochs", quick("knobs")[0]
    ).groups()
    assert 100 < int(least) < 248 <= int(most) + 10 < 400


def test_fixed_layer(quick):
    text, files = quick("fixed_layer")
    for name in ("ordinary", "in ten groups"):
        accuracies = numbers(after(text, f"{name}, scaled, step 0.05:\n"))
        assert len(accuracies) == 10
        assert accuracies[-1] > accuracies[0]
        assert f"{accuracies[-1]:.5f} ({name}, scaled)" in text
    assert_same(text, 1)
    layers = [np.load(f) for f in files if f.suffix == ".npy"]
    assert [layer.shape for layer in layers] == [(64, 128)] * 2


def test_cross_validation(quick):
    text, _ = quick("cross_validation")
    rows = re.findall(r"^ +([123]) +(\d) +(0\.\d{4}) +(0\.\d{4}) +(\d+\.\d{4})$", text, re.M)
    assert [row[0] for row in rows] == ["1", "2", "3"] * 3
    for name in ("as programmed", "on the mean", "trained well"):
        assert re.search(rf"^{name}:\n  fold  best epoch", text, re.M)
    _, mean, well = (min(float(row[3]) for row in rows[i : i + 3]) for i in (0, 3, 6))
    assert well > mean
    assert len(re.findall(r"^  fold [123], tested: accuracy 0\.\d{4}, loss ", text, re.M)) == 3


def test_the_saw_teeth_are_explained_by_numbers(quick):
    said = after(quick("cross_validation")[0], "Why saw teeth? ")
    assert said.count(". ") == 2
    assert said.startswith("A step of 0.05 on the sum over 240 images is one of 12 on their\nmean")
    programmed, mean = map(
        float, re.search(r"layer (\S+) on average instead of (\S+),", said).groups()
    )
    assert programmed > 2 * mean
    sure, mean = re.search(r"probability of (\S+) on average,\ninstead of (\S+)\. ", said).groups()
    assert float(sure) > 0.5 > float(mean)


def test_three_layers(quick):
    text, _ = quick("three_layers")
    assert_same(text, 1)
    table = after(text, "batch        4       16       64\n", "  best")
    assert [len(numbers(line)) for line in table.splitlines()] == [4, 4, 4, 4]


def test_convnet(quick):
    text, _ = quick("convnet")
    assert "225,034 parameters" in text
    assert re.search(r"Flatten\(\) +\(1, 1600\)", text)
    assert re.search(r"^epoch  1  loss 2\.\d{4}  accuracy ", text, re.M)


def test_minibatches(quick):
    text, _ = quick("minibatches")
    assert "1,500 steps in 3 epochs" in text
    few, many = re.findall(r"^  \S+ steps .*? loss (\S+),", text, re.M)[::2]
    assert float(many) < float(few)


def test_difficulties(quick):
    text, _ = quick("difficulties")
    for said in (
        "matmul: 'X' of shape (5, 4) and 'W' of shape (3, 2) do not fit: 4 (axis 1 of the first)",
        "takes 64 features, not 8×8; flatten first (nn.Flatten)",
        "scores of shape (3, 5) take labels of shape (3,)",
        "divide: 'scores' of shape (3, 5) and a Tensor of shape (3,) from sum do not fit",
        "mse: predictions of shape (5, 1) and targets of shape (5,)",
        "log made the first inf (forward), at line ",
        "DivergedError: fit: in epoch 1, batch ",
        "overflow encountered in exp, derivatives [ nan 0.25 0.  ]",
        "sigmoid(z): [0.  0.5 1. ], derivatives [0.   0.25 0.  ]",
    ):
        assert said in text
    rises = [int(n) for n in re.findall(r"rises in +(\d+)", text)]
    assert rises[0] == 0
    assert rises[1] > 2 * rises[2] > 0
