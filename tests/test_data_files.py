"""IDX files and the sets made of them: the right data or DataError, whatever the bytes."""

import gzip
import hashlib
import importlib
import os
import pathlib
import struct
import tracemalloc

import numpy as np
import pytest

from autobp.data import DataError, fashion_mnist, mnist, read_idx

module = importlib.import_module(
    "autobp.data.mnist_files"
)  # whose name in the package is the function
REAL = os.environ.get("AUTOBP_DATA")


def zipped(content, level=9):
    return gzip.compress(content, level, mtime=0)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def made(seed, train=20, test=10):
    """Four small arrays in the order of a set's files."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, high, shape, dtype=np.uint8)
        for n in (train, test)
        for high, shape in ((256, (n, 28, 28)), (10, n))
    ]


def a_set(arrays, original, mirrors=()):
    files = []
    for name, array in zip(module._NAMES, arrays):
        plain = idx(array)
        packed = zipped(plain)
        hashes = [hashlib.sha256(b).hexdigest() for b in (packed, plain)]
        files.append(module._File(name, array.shape, len(packed), *hashes))
    return original._replace(files=tuple(files), mirrors=mirrors)


class Place:
    """A small MNIST and a small Fashion-MNIST, published for as long as a test runs, and a folder."""

    def __init__(self, path):
        self.given, self.cache = path / "given", path / "cache"
        self.given.mkdir()
        self.arrays = {"mnist": made(1), "fashion-mnist": made(2)}

    def fill(self, folder, arrays, packed=True):
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in zip(module._NAMES, arrays):
            if packed:
                (folder / name).write_bytes(zipped(idx(array)))
            else:
                (folder / name.removesuffix(".gz")).write_bytes(idx(array))


@pytest.fixture
def place(tmp_path, monkeypatch):
    place = Place(tmp_path)
    monkeypatch.setattr(module, "_MNIST", a_set(place.arrays["mnist"], module._MNIST))
    monkeypatch.setattr(module, "_FASHION", a_set(place.arrays["fashion-mnist"], module._FASHION))
    monkeypatch.setenv("AUTOBP_DATA", str(place.given))
    monkeypatch.setenv("XDG_CACHE_HOME", str(place.cache))
    return place


def same(images, arrays):
    return all(np.array_equal(a, b) for a, b in zip(images, arrays, strict=True))


# ── one file ──────────────────────────────────────────────────────────────────────────────────────

THREE = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1])


@pytest.mark.parametrize("array", [np.arange(3, dtype=np.uint8), np.ones((2, 3, 4, 5), np.uint8)])
@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_read_idx_reads_both_forms(tmp_path, array, name):
    content = idx(array)
    (tmp_path / name).write_bytes(zipped(content) if name.endswith("gz") else content)
    found = read_idx(str(tmp_path / name))
    assert found.dtype == np.uint8
    assert np.array_equal(found, array)
    found += 1  # it may be written to


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a", b"", "is truncated: it ends within its header"),
        ("a", THREE[:3], "is truncated: it ends within its header"),
        ("a", THREE[:6], "is truncated: it ends within its header"),
        ("a", THREE[:-1], "is truncated: 2 of 3 bytes for its shape (3,)"),
        ("a", THREE + b"\0", "is too long: more than 3 bytes for its shape (3,)"),
        ("a", b"PK" + THREE, "is not an IDX file: it begins with 50 4b 00 00"),
        ("a", zipped(THREE), "is not an IDX file: it begins with 1f 8b 08 00 (it is gzip: add .gz to its name)"),
        ("a", bytes([0, 0, 13, 1]) + THREE[4:], "holds items of type 0x0d, not unsigned bytes (0x08)"),
        ("a", bytes([0, 0, 8, 0]) + THREE[4:], "has a wrong header: it claims no dimensions"),
        ("a", bytes([0, 0, 8, 1, 0, 0, 0, 0]), "has a wrong header: it claims 0 items in 1 dimensions"),
        ("a", bytes([0, 0, 8, 1, 128, 0, 0, 0]) + b"a", "has a wrong header: it claims 2,147,483,648 items in 1 dimensions"),
        ("a", bytes([0, 0, 8, 40]) + b"\0\0\0\1" * 40 + b"a", "has a wrong header: it claims 1 items in 40 dimensions"),
        ("a.gz", b"", "is not gzip: it begins with nothing"),
        ("a.gz", THREE, "is not gzip: it begins with 00 00 08 01 (it is uncompressed: remove .gz from its name)"),
        ("a.gz", b"<html>", "is not gzip: it begins with 3c 68 74 6d"),
        ("a.gz", zipped(THREE)[:-9], "is truncated: its compressed data has no end"),
        ("a.gz", zipped(THREE)[:-8] + bytes(8), "is damaged: CRC check failed"),
        ("a.gz", zipped(THREE) + b"more", "is damaged: Not a gzipped file"),
        ("a.gz", zipped(THREE) * 2, "is too long: more than 3 bytes for its shape (3,)"),
        ("a.gz", zipped(THREE[:-1]), "is truncated: 2 of 3 bytes for its shape (3,)"),
        ("a.gz", zipped(bytes([0, 0, 8, 1, 128, 0, 0, 0])), "has a wrong header: it claims 2,147,483,648 items in 1 dimensions"),
    ],
)  # fmt: skip
def test_malformed_files_are_named_and_described(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} {text}")
    assert "\n" not in str(caught.value)


def test_what_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(DataError, match="none cannot be read: No such file or directory"):
        read_idx(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)


def peak(function):
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_what_is_expected(tmp_path, place):
    bomb = zipped(THREE + bytes(1 << 26), 1)
    (tmp_path / "bomb.gz").write_bytes(bomb)
    assert peak(lambda: read_idx(tmp_path / "bomb.gz")) < 4 * len(bomb) + 500_000
    for dims in ([1 << 31], [1 << 16, 1 << 15], [(1 << 32) - 1] * 3):
        head = struct.pack(f">HBB{len(dims)}I", 0, 8, len(dims), *dims)
        (tmp_path / "claim").write_bytes(head + b"abc")
        (tmp_path / "claim.gz").write_bytes(zipped(head + bytes(100_000)))
        assert peak(lambda: read_idx(tmp_path / "claim")) < 100_000
        assert peak(lambda: read_idx(tmp_path / "claim.gz")) < 100_000
    # a bomb that keeps its promise is known by the set: no more labels than were published
    honest = zipped(struct.pack(">HBBI", 0, 8, 1, 1 << 26) + bytes(1 << 26), 1)
    place.fill(place.given, place.arrays["mnist"])
    (place.given / module._NAMES[1]).write_bytes(honest[:4000])
    assert peak(mnist) < 500_000
    with open(place.given / module._NAMES[1].removesuffix(".gz"), "wb") as sparse:
        sparse.truncate(1 << 33)
    (place.given / module._NAMES[1]).unlink()
    assert peak(mnist) < 500_000


# ── the four files of a set ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_sets_are_found_in_the_named_folder(place, packed, inside):
    for name, load in (("mnist", mnist), ("fashion-mnist", fashion_mnist)):
        folder = place.given / name if inside else place.given
        place.fill(folder, place.arrays[name], packed)
        assert same(load(), place.arrays[name])


def test_what_comes_out(place):
    place.fill(place.given, place.arrays["mnist"])
    plain, scaled = mnist(), mnist(scale=True)
    assert [a.dtype for a in plain] == [np.uint8, np.int64] * 2
    assert [a.dtype for a in scaled] == [np.float32, np.int64] * 2
    assert np.allclose(scaled.x_train, place.arrays["mnist"][0] / 255, rtol=1e-6)
    assert scaled.x_train.max() <= 1
    assert all(a.flags.writeable for a in plain)


def test_the_cache_is_second_and_follows_xdg(place, monkeypatch):
    place.fill(place.cache / "autobp" / "mnist", place.arrays["mnist"])
    assert same(mnist(), place.arrays["mnist"])
    monkeypatch.delenv("AUTOBP_DATA")
    assert same(mnist(), place.arrays["mnist"])
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification: to be ignored
    monkeypatch.setenv("HOME", str(place.given))
    place.fill(place.given / ".cache" / "autobp" / "mnist", place.arrays["mnist"])
    assert same(mnist(), place.arrays["mnist"])


def test_another_sets_files_are_never_taken_for_this_ones(place):
    place.fill(place.given, place.arrays["mnist"])
    place.fill(place.cache / "autobp" / "fashion-mnist", place.arrays["fashion-mnist"])
    assert same(fashion_mnist(), place.arrays["fashion-mnist"])  # the flat folder was passed over
    place.fill(place.given / "fashion-mnist", place.arrays["mnist"])
    with pytest.raises(
        DataError, match="train-images-idx3-ubyte.gz is a file of MNIST, not of Fashion"
    ):
        fashion_mnist()


def test_a_foreign_set_is_read_if_well_formed(place):
    foreign = made(7, train=5, test=2)
    place.fill(place.given, foreign)
    assert same(mnist(), foreign)


def changed(change):
    arrays = made(7, train=5, test=2)
    change(arrays)
    return arrays


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: a.__setitem__(1, a[1][:4]), "train-images-idx3-ubyte.gz holds 5 images, but {}train-labels-idx1-ubyte.gz holds 4 labels"),
        (lambda a: a.__setitem__(2, a[2][:1]), "t10k-images-idx3-ubyte.gz holds 1 images, but {}t10k-labels-idx1-ubyte.gz holds 2 labels"),
        (lambda a: a[1].__setitem__(3, 10), "train-labels-idx1-ubyte.gz has the label 10 at index 3; labels are 0 to 9"),
        (lambda a: a.__setitem__(0, a[0].reshape(5, 14, 56)), "train-images-idx3-ubyte.gz holds an array of shape (5, 14, 56), not images of 28×28"),
        (lambda a: a.__setitem__(3, a[3].reshape(2, 1)), "t10k-labels-idx1-ubyte.gz holds an array of shape (2, 1), not labels"),
        (lambda a: a.__setitem__(2, np.zeros((11, 28, 28), np.uint8)), "t10k-images-idx3-ubyte.gz has a wrong header: it claims 8,624 items in 3 dimensions (allowed are 1 to 7,840)"),
    ],
)  # fmt: skip
def test_sets_that_do_not_hang_together(place, change, text):
    place.fill(place.given, changed(change))
    with pytest.raises(DataError) as caught:
        mnist()
    assert str(caught.value) == f"{place.given}{os.sep}" + text.format(f"{place.given}{os.sep}")


def test_a_changed_pixel_is_noticed_where_the_original_is_known(place):
    place.fill(place.given, place.arrays["mnist"], packed=False)
    path = place.given / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match="is damaged, or belongs to another data set: it has the size of MNIST's"
    ):
        mnist()


def test_a_missing_file_is_named(place):
    place.fill(place.given, place.arrays["mnist"])
    (place.given / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte.gz is missing; train-images"):
        mnist()


def test_a_missing_folder_is_named(place, monkeypatch):
    monkeypatch.setenv("AUTOBP_DATA", str(place.given / "none"))
    with pytest.raises(DataError, match="AUTOBP_DATA names .*none, which is not a folder"):
        mnist()


def test_offline_one_line_says_what_to_do(place):
    for state in ("missing", "damaged"):
        with pytest.raises(DataError) as caught:
            mnist()
        said = str(caught.value)
        assert "\n" not in said
        assert said.startswith(f"{place.cache}/autobp/mnist/train-images-idx3-ubyte.gz is {state}")
        assert "AUTOBP_DATA" in said
        assert all(name in said for name in module._NAMES)
        place.fill(place.cache / "autobp" / "mnist", made(9))


# ── 2,000 mutations ───────────────────────────────────────────────────────────────────────────────


def mutated(content, packed, rng):
    """Some of a file's bytes changed, gone or added."""
    how = rng.integers(6)
    data = bytearray(content)
    place = int(rng.integers(len(data)))
    if how == 0:
        data[place] ^= 1 << int(rng.integers(8))
    elif how == 1:
        del data[place:]
    elif how == 2:
        data += rng.bytes(int(rng.integers(1, 50))) if rng.random() < 0.5 else bytes(7)
    elif how == 3:
        del data[place : place + int(rng.integers(1, 9))]
    elif how == 4:
        data[place:place] = rng.bytes(int(rng.integers(1, 9)))
    else:  # the header: of gzip, or of IDX, in or out of gzip
        plain = bytearray(gzip.decompress(content)) if packed else data
        within = data if packed and rng.random() < 0.3 else plain
        for _ in range(int(rng.integers(1, 4))):
            within[int(rng.integers(16 if len(plain) > 100 else 8))] = int(rng.integers(256))
        if packed and within is plain:
            data = zipped(plain)
    return bytes(data)


def outcome(load):
    try:
        return load(), ""
    except DataError as error:
        return None, str(error)


@pytest.mark.parametrize("packed", [True, False])
def test_mutated_files_are_refused_or_right(place, packed):
    arrays = place.arrays["mnist"]
    place.fill(place.given, arrays, packed)
    paths = sorted(place.given.iterdir())
    originals = {path: path.read_bytes() for path in paths}
    rng = np.random.default_rng(0)
    right = 0
    for _ in range(1000):
        path = paths[rng.integers(4)]
        path.write_bytes(mutated(originals[path], packed, rng))
        found, error = outcome(mnist)
        if error:
            assert path.name in error
            assert "\n" not in error
        else:
            assert same(found, arrays)
            right += 1
        path.write_bytes(originals[path])
    assert same(mnist(), arrays)
    assert right < 200


def test_mutated_files_of_unknown_origin_are_refused_or_well_formed(tmp_path):
    rng = np.random.default_rng(1)
    for k in range(1000):
        packed = bool(k % 2)
        content = idx(made(3)[rng.integers(4)])
        path = tmp_path / ("a.gz" if packed else "a")
        content = zipped(content) if packed else content
        path.write_bytes(mutated(content, packed, rng))
        found, error = outcome(lambda path=path: read_idx(path))
        if error:
            assert str(path) in error
        else:
            assert found.dtype == np.uint8
            assert found.size <= 20 * 28 * 28


# ── the real ones ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not REAL, reason="AUTOBP_DATA is not set")
def test_the_real_mnist():
    present = {path.name for path in pathlib.Path(REAL).rglob("train-images-idx3-ubyte*")}
    if not present:
        pytest.skip("AUTOBP_DATA has no MNIST")
    x, y, x_test, y_test = mnist()
    assert x.shape == (60000, 28, 28)
    assert x_test.shape == (10000, 28, 28)
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    histogram = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y).tolist() == histogram
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(float(mnist(scale=True).x_train.mean()), 4) == 0.1307
