"""`autobp train`: the sets of data, the options, the files, and what goes wrong."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from autobp import cli, nn
from autobp.extras import install_command
from autobp.train import load_checkpoint, load_weights


@pytest.fixture
def trained(capsys):
    """A function that trains, and returns the result as data."""

    def train(*argv, code=0):
        assert cli.main(["train", *argv, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return train


@pytest.mark.parametrize(
    ("data", "least"), [("xor", 1.0), ("linear", 0.95), ("spiral", 0.95), ("moons", 0.97)]
)
def test_points_are_learned(data, least, trained):
    found = trained(data)
    assert found["training"]["accuracy"] >= least
    assert found.get("test", found["training"])["accuracy"] >= least
    assert len(found["history"]) == found["epochs"]
    assert found["interrupted"] is False


def test_digits_are_learned(trained):
    found = trained("digits", "--epochs", "3")
    assert found["sizes"] == [64, 64, 10]
    assert found["samples"] == {"training": 1437, "test": 360}
    assert found["test"]["accuracy"] > 0.8


def test_mnist_is_read_from_files(trained, monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 20)):
        labels = rng.integers(0, 10, n, dtype=np.uint8)
        images = np.repeat(labels[:, None] * 25, 784, axis=1).astype(np.uint8)
        head = b"\0\0\x08\x01" + n.to_bytes(4, "big")
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
        head = b"\0\0\x08\x03" + n.to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
    monkeypatch.setenv("AUTOBP_DATA", str(tmp_path))
    found = trained("mnist", "--epochs", "1", "--hidden", "3")
    assert found["sizes"] == [784, 3, 10]
    assert found["samples"] == {"training": 60, "test": 20}


def test_options(trained):
    found = trained(
        "moons", "--hidden", "8,4", "--activation", "relu", "--optimizer", "nesterov",
        "--lr", "0.07", "--epochs", "2", "--batch-size", "50", "--seed", "3",
    )  # fmt: skip
    given = {
        k: found[k] for k in ("sizes", "activation", "optimizer", "lr", "epochs", "batch_size")
    }
    assert given == {
        "sizes": [2, 8, 4, 2], "activation": "relu", "optimizer": "nesterov", "lr": 0.07,
        "epochs": 2, "batch_size": 50,
    }  # fmt: skip
    assert len(found["history"]) == 2
    assert trained("moons", "--hidden", "none", "--epochs", "1")["sizes"] == [2, 2]


@pytest.mark.parametrize("name", cli.train._OPTIMIZERS)
def test_every_optimizer_has_a_rate_that_learns(name, trained):
    assert trained("moons", "--optimizer", name)["training"]["accuracy"] > 0.97


@pytest.mark.parametrize("name", cli.train._ACTIVATIONS)
def test_every_activation_is_one(name, trained):
    trained("xor", "--activation", name, "--epochs", "1")


def test_optimizers_differ(trained):
    argv = ("moons", "--lr", "0.01", "--epochs", "2")
    names = cli.train._OPTIMIZERS
    losses = {trained(*argv, "--optimizer", name)["training"]["loss"] for name in names}
    assert len(losses) == len(names)


@pytest.mark.parametrize("data", ["xor", "spiral"])
def test_the_seed_decides_everything(data, trained):
    def losses(seed):
        found = trained(data, "--epochs", "2", "--seed", seed)
        return np.array([row["loss"] for row in found["history"]])

    assert np.all(losses("1") == losses("1"))
    assert np.all(np.abs(losses("1") - losses("2")) > 1e-4)


def test_as_text_with_files(capsys, tmp_path):
    weights = tmp_path / "new" / "w.npz"
    argv = ["--out", str(tmp_path / "pictures"), "--save", str(weights), "--epochs", "3"]
    assert cli.main(["train", "moons", *argv]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[:4] == [
        "Data: two half moons",
        "Samples: 320 for training, 80 for testing; seed 0",
        "Network: 2-16-2, tanh",
        "Training: adam, rate 0.02, 3 epochs, batches of 32",
    ]
    assert re.fullmatch(r"Result after 3 epochs, \d+\.\d s", lines[4])
    assert re.fullmatch(r"  training  accuracy \d+\.\d\d%, loss 0\.\d+", lines[5])
    assert re.fullmatch(r"  test      accuracy \d+\.\d\d%, loss 0\.\d+", lines[6])
    files = [tmp_path / "pictures" / f"moons_{name}.png" for name in ("curves", "regions")]
    assert lines[7] == f"Written: {files[0]}, {files[1]}, {weights}"
    assert all(f.read_bytes().startswith(b"\x89PNG") for f in files)
    assert err.startswith("1/3  loss ")
    model = nn.MLP([2, 16, 2], "tanh")
    model.load_state_dict(load_checkpoint(weights))


def test_images_have_curves_alone(trained, tmp_path):
    found = trained("digits", "--epochs", "1", "--out", str(tmp_path))
    assert found["files"] == [str(tmp_path / "digits_curves.png")]


def test_weights_that_others_read(trained, tmp_path):
    path = tmp_path / "w.safetensors"
    trained("xor", "--epochs", "1", "--save", str(path))
    nn.MLP([2, 8, 2]).load_state_dict(load_weights(path))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["mons"], "'mons' is not one of xor, linear, .*; did you mean 'moons'"),
        (["xor", "--hidden", "0"], "--hidden: a whole number, at least 1, not '0'"),
        (["xor", "--hidden", "4,,4"], "--hidden: a whole number, at least 1, not ''"),
        (["xor", "--activation", "rleu"], "did you mean 'relu'"),
        (["xor", "--optimizer", "adm"], "did you mean 'adam'"),
        (["xor", "--lr", "0"], "--lr: a number above 0, not '0'"),
        (["xor", "--lr", "nan"], "--lr: a number above 0, not 'nan'"),
        (["xor", "--lr", "fast"], "--lr: a number above 0, not 'fast'"),
        (["xor", "--epochs", "0"], "--epochs: a whole number, at least 1, not '0'"),
        (["xor", "--batch-size", "-1"], "--batch-size: a whole number, at least 1, not '-1'"),
        (["xor", "--seed", "1.5"], "--seed: a whole number, at least 0, not '1.5'"),
        ([], "the following arguments are required: DATA"),
    ],
)
def test_wrong_options(argv, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", *argv])
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--save", "w.txt"], 2, "--save w.txt: the name must end in .npz or .safetensors"),
        (["--save", "file/w.npz"], 1, "file is not a folder"),
        (["--save", "folder.npz"], 1, "--save folder.npz: this is a folder"),
        (["--out", "file"], 1, "file is not a folder"),
        (["--out", "file/pictures"], 1, "file/pictures cannot be written to: Not a directory"),
        (["--hidden", "100000000000"], 1, "there is not enough memory for this"),
    ],
)
def test_what_cannot_be_done_is_known_before_the_training(
    argv, code, said, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.npz").mkdir()
    assert cli.main(["train", "xor", *argv]) == code
    assert capsys.readouterr().err == f"autobp train: {said}\n"


def test_missing_extras(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert cli.main(["train", "xor", "--out", "p"]) == 1
    said = f"autobp train: --out needs matplotlib: {install_command('plot')}\n"
    assert capsys.readouterr().err == said
    assert cli.main(["train", "xor", "--save", "w.safetensors"]) == 1
    assert install_command("safetensors") in capsys.readouterr().err


def test_missing_data(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOBP_DATA", str(tmp_path / "nowhere"))
    assert cli.main(["train", "mnist"]) == 1
    assert re.fullmatch(
        r"autobp train: AUTOBP_DATA names .*nowhere, which is not a folder\n",
        capsys.readouterr().err,
    )


def test_a_training_that_diverges(capsys):
    argv = ["moons", "--lr", "1e300", "--optimizer", "sgd", "--activation", "relu"]
    assert cli.main(["train", *argv]) == 1
    said = (
        r"autobp train: in epoch 1, batch \d+, the loss is nan: linear in scope 'mlp/linear\d' made"
        r" the first (inf|nan); try an --lr below 1e\+300\n"
    )
    assert re.fullmatch(said, capsys.readouterr().err)


def test_ctrl_c_leaves_what_was_learned(tmp_path):
    weights = tmp_path / "w.npz"
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from autobp.cli import main; sys.exit(main())"
    )
    argv = ["train", "xor", "--epochs", "1000000", "--json", "--save", str(weights)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr.readline().startswith("      1/1000000  loss ")
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    found = json.loads(out)
    assert process.returncode == 130
    assert found["interrupted"] is True
    assert 1 <= len(found["history"]) < 1_000_000
    assert found["files"] == [str(weights)]
    assert weights.exists()
    assert "Traceback" not in err
