"""Checkpoints and weights: what is written is read, and what is damaged is refused."""

import errno
import os
import pickle
import stat
import subprocess
import sys
import textwrap
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autobp import nn
from autobp.files import written
from autobp.optim import SGD, Adam
from autobp.train import (
    CheckpointError,
    fit,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)

STATE = {
    "model": {"layer.weight": np.arange(6.0).reshape(2, 3), "layer.bias": np.float32(0.5)},
    "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"betas": (0.9, 0.999)}]},
    "rng": np.random.default_rng(0).bit_generator.state,
    "epoch": 3,
    "note": "é\n",
}


def equal(a, b):
    """The same nest, the same types, the same bits."""
    if isinstance(a, np.ndarray | np.generic):
        same = type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
        return same and np.asarray(a).tobytes() == np.asarray(b).tobytes()
    if isinstance(a, dict):
        return type(b) is dict and [*a] == [*b] and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "run.npz", STATE)
    return tmp_path / "run.npz"


def test_what_would_come_back_as_something_else_is_refused(tmp_path):
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(
        TypeError, match="save_checkpoint: a/b is a masked array, .* save x.data and"
    ):
        save_checkpoint(tmp_path / "a.npz", {"a": {"b": masked}})
    for numbers in ([1, 10**5000], {"n": 10**5000}):
        with pytest.raises(
            ValueError, match="is a whole number of 16,610 bits; a checkpoint holds"
        ):
            save_checkpoint(tmp_path / "a.npz", {"a": numbers})
    save_checkpoint(tmp_path / "a.npz", {"a": [2**4095, "x", 0.5]})
    assert load_checkpoint(tmp_path / "a.npz") == {"a": [2**4095, "x", 0.5]}


# ── there and back ────────────────────────────────────────────────────────────────────────────────

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | hnp.arrays(
        st.sampled_from(["f4", "f8", "i8", "u1", "?", "f2", "c16", "U3", ">f8"]),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
    )
    | st.sampled_from([np.float32(0.1), np.int64(3), np.bool_(True)])
)
keys = st.text(max_size=5) | st.integers() | st.sampled_from(["file", "autobp", "a/b", "w.npy", ""])
nests = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(nests)
def test_every_nest_comes_back_as_it_was(tmp_path_factory, nest):
    path = tmp_path_factory.getbasetemp() / "nest.npz"
    save_checkpoint(path, nest)
    assert equal(load_checkpoint(path), nest)


def test_arrays_of_any_layout_come_back(path):
    a = np.arange(24.0).reshape(2, 3, 4)
    nest = [a.T, a[:, ::2], a[0, 0, ::-1], np.broadcast_to(1.0, (3, 3))]
    save_checkpoint(path, nest)
    assert equal(load_checkpoint(path), nest)
    assert load_checkpoint(path)[0].flags.f_contiguous  # BLAS may round otherwise differently


def test_numpy_reads_the_arrays_by_their_paths_without_pickle(path):
    with np.load(path, allow_pickle=False) as file:
        assert file["model/layer.weight"].shape == (2, 3)
        assert "autobp" in file.files


def test_a_state_dict_is_enough_to_go_on(path):
    model = nn.MLP([2, 3, 1], rng=0)
    optimizer, rng = Adam(model.parameters()), np.random.default_rng(5)
    rng.random(3, np.float32)  # half of a drawn number is left over
    nn.mse(model(np.ones((4, 2))), np.ones((4, 1))).backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": rng.bit_generator.state,
    }
    save_checkpoint(path, state)
    expected = rng.random(3, np.float32)
    again = load_checkpoint(path)
    fresh = nn.MLP([2, 3, 1], rng=1)
    fresh.load_state_dict(again["model"])
    Adam(fresh.parameters()).load_state_dict(again["optimizer"])
    generator = np.random.default_rng()
    generator.bit_generator.state = again["rng"]
    assert equal(generator.random(3, np.float32), expected)
    assert equal(fresh.state_dict(), model.state_dict())


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            {"model": {"f": print}},
            "save_checkpoint: model/f is builtin_function_or_method; a check",
        ),
        ({"a": [np.array([None])]}, "save_checkpoint: a/0 is an array of object; a checkpoint"),
        (nn.MLP([1, 1]), "save_checkpoint: the state is MLP; a checkpoint holds dicts, lists and"),
        (
            {"w": next(nn.MLP([1, 1]).parameters())},
            r"w is Tensor; .*\(a Tensor's .numpy\(\), a Gen",
        ),
        ({"rng": np.random.default_rng()}, r"rng is Generator; .*Generator's .bit_generator.state"),
    ],
)
def test_what_a_checkpoint_cannot_hold(path, state, text):
    before = path.read_bytes()
    with pytest.raises(TypeError, match=text):
        save_checkpoint(path, state)
    assert path.read_bytes() == before


# ── damage ────────────────────────────────────────────────────────────────────────────────────────


def test_a_flipped_bit_is_noticed_or_harmless(path):
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    refused = []
    for place in rng.choice(8 * len(data), 1500, replace=False):
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        data[place // 8] ^= 1 << place % 8
        try:
            assert equal(load_checkpoint(path), STATE)  # as with a date in the zip
        except CheckpointError as error:
            refused.append(str(error))
    assert len(refused) > 700
    assert all(said.startswith(str(path)) for said in refused)


def test_every_truncation_is_refused(path):
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(
            CheckpointError, match="run.npz is (empty|no checkpoint|damaged or cut)"
        ):
            load_checkpoint(path)


def test_damage_is_told_from_what_was_never_a_checkpoint(path, tmp_path):
    data = path.read_bytes()
    middle = data.index(np.arange(6.0).tobytes())
    path.write_bytes(data[:middle] + b"\xff" + data[middle + 1 :])
    with pytest.raises(
        CheckpointError, match=r"run.npz is damaged or cut short: Bad CRC-32 for fi"
    ):
        load_checkpoint(path)
    path.write_bytes(data[:-30])
    with pytest.raises(
        CheckpointError, match=r"run.npz is damaged or cut short: File is not a zip"
    ):
        load_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"run.npz is empty$"):
        load_checkpoint(path)
    path.write_bytes(b"hello")
    with pytest.raises(CheckpointError, match=r"run.npz is no checkpoint: it does not begin as an"):
        load_checkpoint(path)
    np.savez(path, x=np.zeros(2), y=np.ones(2))
    with pytest.raises(
        CheckpointError, match=r"run.npz is no checkpoint of autobp: it holds x, y$"
    ):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"no checkpoint of autobp: it holds readme.txt"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "missing.npz")


def test_later_formats_and_missing_parts_are_refused(path):
    def head(text):
        np.savez(path, autobp=np.array(text))

    head(b'{"version": 2, "state": null}')
    with pytest.raises(CheckpointError, match="has version 2 of the format, this autobp reads 1"):
        load_checkpoint(path)
    for text in (b"", b"[", b"[]", b'{"version": 1}', b'{"version": 1, "state": ["array", "w"]}',
                 b'{"version": 1, "state": ["set", 1]}', b'{"version": 1, "state": []}',
                 b'{"version": 1, "state": ["dict", [["list"], 1]]}', 3.0):  # fmt: skip
        head(text)
        with pytest.raises(CheckpointError, match="damaged: its parts do not belong together"):
            load_checkpoint(path)


def test_what_is_nested_too_deeply_is_named(path):
    deep, endless = [], {}
    for _ in range(3000):
        deep = [deep]
    endless["self"] = endless
    before = path.read_bytes()
    for state, where in (({"a": [1, {"b": deep}]}, "a/1/b/0/0"), (endless, "self")):
        with pytest.raises(ValueError, match=f"the state is nested too deeply, .* in {where}"):
            save_checkpoint(path, state)
    assert path.read_bytes() == before
    for inner, outer in (
        (b"[" * 100_000, b"]" * 100_000),
        (b'["list",' * 3000 + b"1", b"]" * 3000),
    ):
        np.savez(path, autobp=np.array(b'{"version": 1, "state": ' + inner + outer + b"}"))
        with pytest.raises(CheckpointError, match=r"run.npz is damaged: its parts are nested too"):
            load_checkpoint(path)


class Trap:
    def __reduce__(self):
        return print, ("the trap went off",)


def test_pickles_are_not_run(path, capsys):
    for save in (
        lambda: np.savez(path, autobp=np.array([Trap()], object)),
        lambda: path.write_bytes(pickle.dumps(Trap())),
    ):
        save()
        with pytest.raises(
            CheckpointError, match=r"run.npz is (damaged or cut short: Object arrays cannot|no ch)"
        ):
            load_checkpoint(path)
    assert capsys.readouterr().out == ""


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(path, monkeypatch, call):
    def failing(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OSError, match=r"run.npz could not be written: No space left on device"):
            save_checkpoint(path, {"new": 1})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["run.npz"]


def test_a_full_disk_at_any_point_leaves_the_old_file(path):
    resource = pytest.importorskip("resource")
    before, big = path.read_bytes(), {"w": np.zeros(100_000)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for limit in range(0, 800_000, 90_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            with pytest.raises(OSError, match=r"run.npz could not be written: File too large"):
                save_checkpoint(path, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["run.npz"]


def test_all_is_on_the_disk_before_the_name_is_taken(path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b)))
    save_checkpoint(path, 1)
    assert done == ["sync", "replace", "sync"]  # the file, then the folder


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"nowhere/run.npz could not be written: No such fi"
    ):
        save_checkpoint(tmp_path / "nowhere" / "run.npz", 1)


def test_a_link_stays_one(path):
    link = path.with_name("latest.npz")
    link.symlink_to(path)
    save_checkpoint(link, "new")
    assert link.is_symlink()
    assert load_checkpoint(path) == "new"


def test_a_link_is_not_followed_out_of_the_folder(path, tmp_path):
    (tmp_path / "inner").mkdir()
    link = tmp_path / "inner" / "run.npz"
    before = path.read_bytes()
    link.symlink_to(path)
    save_checkpoint(link, "new")
    assert not link.is_symlink()
    assert load_checkpoint(link) == "new"
    assert path.read_bytes() == before
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path / "inner")
    save_checkpoint(folder / "run.npz", "newer")  # of a folder it is the user's business
    assert load_checkpoint(link) == "newer"
    assert [p.name for p in (tmp_path / "inner").iterdir()] == ["run.npz"]


@pytest.mark.skipif(os.name != "posix", reason="modes")
@pytest.mark.parametrize("mode", [0o600, 0o444, 0o640])
def test_permissions_are_kept(path, mode):
    path.chmod(mode)
    save_checkpoint(path, "new")
    assert path.stat().st_mode & 0o777 == mode
    assert load_checkpoint(path) == "new"


TWO = """
    import sys, time
    import numpy as np
    from autobp.train import load_checkpoint, save_checkpoint

    path, mine = sys.argv[1], int(sys.argv[2])
    until = time.time() + 3
    n = 0
    while time.time() < until or n < 50:
        save_checkpoint(path, {"whose": mine, "values": np.full(1000 + 9000 * (n % 2), mine)})
        state = load_checkpoint(path)
        assert np.all(state["values"] == state["whose"])
        n += 1
"""


def test_processes_that_save_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "run.npz"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(TWO), str(path)]
    writers = [
        subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE, text=True, env=env)
        for i in range(3)
    ]
    for writer in writers:
        said = writer.communicate()[1]
        assert not writer.returncode, said
    assert load_checkpoint(path)["whose"] in (0, 1, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_the_file_of_a_writer_that_is_slow_is_left_alone(path):
    with written(path) as slow:
        slow.write(b"slow")
        slow.flush()
        (part,) = path.parent.glob("run.npz.*.tmp")
        os.utime(part, (0, 0))
        save_checkpoint(path, "quick")
        assert part.exists()
    assert path.read_bytes() == b"slow"


def test_what_killed_writers_left_is_taken_away_and_nothing_else(path):
    left = path.with_name("run.npz.0123abcd.tmp")
    others = [
        path.with_name(n) for n in ("run.npz.tmp", "run.npz.mine.tmp", "xrun.npz.0123abcd.tmp")
    ]
    for p in (left, *others):
        p.write_bytes(b"")
        os.utime(p, (0, 0))
    busy = path.with_name("run.npz.00000000.tmp")  # another process writes to it just now
    busy.write_bytes(b"")
    os.utime(busy, (2**33, 2**33))
    save_checkpoint(path, 1)
    assert not left.exists()
    assert all(p.exists() for p in (*others, busy))


def test_an_error_while_writing_leaves_nothing(tmp_path):
    def write():
        with written(tmp_path / "file") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert [*tmp_path.iterdir()] == []


KILLS = """
    import os, pathlib, random, signal, sys, time
    import numpy as np
    from autobp import nn
    from autobp.optim import Adam
    from autobp.train import fit, load_checkpoint

    def train(path, epochs):
        model = nn.Sequential(nn.Linear(20, 400, rng=0), nn.Dropout(rng=1), nn.Linear(400, 20, rng=2))
        X = np.random.default_rng(0).normal(size=(8, 20))
        fit(model, (X, X), nn.mse, Adam(model.parameters()), epochs, batch_size=4, rng=3,
            checkpoint=path, resume=True, progress=False)
        return load_checkpoint(path)

    def saved():
        return path.exists() and path.stat().st_mtime_ns

    random.seed(1)
    path = pathlib.Path(sys.argv[1])
    epoch = 0
    for kill in range(20):
        before = saved()
        child = os.fork()
        if not child:
            train(path, 10**9)
        while saved() == before:  # it is under way; from here on, at any moment
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        now = load_checkpoint(path)["epoch"]
        assert now > epoch, (now, epoch)
        epoch = now
    state = train(path, epoch + 1)
    assert [p.name for p in path.parent.iterdir()] == ["run.npz"]
    path.unlink()
    whole = train(path, epoch + 1)
    assert all(np.array_equal(whole["model"][k], state["model"][k]) for k in whole["model"])
    assert whole["rng"] == state["rng"]
    print(epoch)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills what it forks")
def test_killed_at_any_moment_a_training_loses_no_checkpoint(tmp_path):
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLS), str(tmp_path / "run.npz")],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert not out.returncode, out.stderr
    assert int(out.stdout) >= 20


# ── safetensors ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def weights(tmp_path):
    pytest.importorskip("safetensors")
    return tmp_path / "model.safetensors"


def test_weights_are_what_the_package_reads_and_writes(weights):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    a = np.arange(12.0).reshape(3, 4)
    state = {"a": a, "half": a.astype("f2"), "turned": a.T, "cut": a[::2, 1::2], "one": np.float32(2.5),
             "empty": np.zeros((0, 3)), "n": np.arange(3)}  # fmt: skip
    save_weights(weights, state)
    theirs = load_file(weights)
    assert theirs.keys() == state.keys()
    for name, value in state.items():
        assert theirs[name].dtype == value.dtype
        assert np.array_equal(theirs[name], value)
        assert theirs[name].shape == value.shape
    with safe_open(weights, "np") as file:
        assert file.get_slice("turned").get_shape() == [4, 3]
    save_file({"a": a}, weights)
    assert equal(load_weights(weights), {"a": a})


def test_a_model_goes_through_safetensors(weights):
    model = nn.MLP([3, 5, 2], rng=0).astype(np.float32)
    save_weights(weights, model.state_dict())
    other = nn.MLP([3, 5, 2], rng=1).astype(np.float32)
    other.load_state_dict(load_weights(weights))
    assert equal(other.state_dict(), model.state_dict())


def test_bad_weights_are_refused(weights):
    save_weights(weights, {"a": np.ones(100)})
    data = weights.read_bytes()
    for length in range(0, len(data), 11):
        weights.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match="model.safetensors is not a safetensors file: "):
            load_weights(weights)
    weights.write_bytes(b"PK\3\4" + data)
    with pytest.raises(CheckpointError, match="model.safetensors is not a safetensors file: "):
        load_weights(weights)
    weights.write_bytes((60).to_bytes(8, "little") + b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}     ' + b"ab")  # fmt: skip
    with pytest.raises(CheckpointError, match="model.safetensors holds BF16 numbers"):
        load_weights(weights)


def test_weights_are_arrays(weights):
    with pytest.raises(
        TypeError, match=r"save_weights takes a dict of arrays, as .*'a' is of type Te"
    ):
        save_weights(weights, {"a": next(nn.MLP([1, 1]).parameters())})
    with pytest.raises(
        TypeError, match=r"save_weights takes a dict of arrays, as .*'a' is of type nd"
    ):
        save_weights(weights, {"a": np.array([None])})
    with pytest.raises(TypeError, match=r"save_weights takes a dict of arrays, as .*, not MLP"):
        save_weights(weights, nn.MLP([1, 1]))
    assert not weights.exists()


def test_without_the_package_one_line_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.delitem(sys.modules, "safetensors.numpy", raising=False)
    for call in (lambda: save_weights(tmp_path / "w", {}), lambda: load_weights(tmp_path / "w")):
        with pytest.raises(
            ModuleNotFoundError,
            match=r"^(save|load)_weights needs safetensors: pip install .*\[safetensors\]'$",
        ):
            call()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("__metadata__", np.ones(1), "no array can have the name '__metadata__'"),
        (1, np.ones(1), "the names of arrays are texts, not 1"),
        ("\ud800", np.ones(1), r"the name .* is no valid text"),
        ("w", np.ones(1, complex), "'w' holds complex128, and safetensors files hold bool, uint8"),
        ("w", np.array(["a"]), "'w' holds <U1, and safetensors files hold"),
    ],
)
def test_weights_that_no_file_holds_are_named(weights, name, value, text):
    with pytest.raises((TypeError, ValueError), match=text):
        save_weights(weights, {name: value})
    assert not weights.exists()


# ── what is no file ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_pipes_are_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        save_checkpoint(pipe, {"a": 1})
        (tmp_path / "file").write_bytes(read.result())
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert load_checkpoint(tmp_path / "file") == {"a": 1}
    save_checkpoint(os.devnull, {"a": 1})
    assert not os.path.isfile(os.devnull)


def test_a_folder_is_no_checkpoint(tmp_path):
    model = nn.Linear(1, 1)
    for path in (tmp_path, ""):
        with pytest.raises(IsADirectoryError, match="is a folder: write the name of a file in it"):
            fit(model, (np.ones((2, 1)),) * 2, nn.mse, SGD(model.parameters()), checkpoint=path)
