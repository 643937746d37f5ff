"""MNIST and Fashion-MNIST, read from this machine or downloaded once."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autobp.data.download import download
from autobp.data.idx import DataError, contents, parsed
from autobp.data.images import Images
from autobp.habits import checks_keywords

__all__ = ["fashion_mnist", "located", "mnist"]


class _File(NamedTuple):
    """One of the four files of a data set, as published."""

    name: str
    shape: tuple[int, ...]
    size: int
    sha256: str
    plain: str | None = None  # the hash of its content

    @property
    def items(self) -> int:
        return math.prod(self.shape)

    @property
    def hashes(self) -> dict[int, str | None]:
        """The published hashes by the size of the file, compressed and uncompressed."""
        return {self.size: self.sha256, 4 + 4 * len(self.shape) + self.items: self.plain}


class _Set(NamedTuple):
    name: str
    folder: str
    mirrors: tuple[str, ...]
    files: tuple[_File, ...]


_TRAIN, _TEST = (60_000, 28, 28), (10_000, 28, 28)
_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

_MNIST = _Set(
    "MNIST",
    "mnist",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://azureopendatastorage.blob.core.windows.net/mnist/",
    ),
    (
        _File(
            _NAMES[0], _TRAIN, 9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        _File(
            _NAMES[1], _TRAIN[:1], 28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        _File(
            _NAMES[2], _TEST, 1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        _File(
            _NAMES[3], _TEST[:1], 4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)  # fmt: skip

_FASHION = _Set(
    "Fashion-MNIST",
    "fashion-mnist",
    (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    (
        _File(
            _NAMES[0], _TRAIN, 26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        _File(
            _NAMES[1], _TRAIN[:1], 29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        _File(
            _NAMES[2], _TEST, 4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        _File(
            _NAMES[3], _TEST[:1], 5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)  # fmt: skip


@checks_keywords
def mnist(*, scale: bool = False) -> Images:
    """60,000 handwritten digits of 28×28 pixels for training, and 10,000 for tests.

    Pixels are bytes from 0 to 255, as in Keras. With `scale=True` they are float32 from 0 to 1, as
    from torchvision's `ToTensor`. `x.reshape(len(x), -1)` makes each image a row.

    The four files are read from the folder in the environment variable AUTOBP_DATA (or from `mnist`
    inside it), compressed or not, else from the user's cache folder, where they are downloaded to if
    they are missing. Published files must have their published hashes. AUTOBP_DATA can hold other
    files in the same format: images of 28×28, at most as many as in MNIST, with as many labels, of 10
    classes. Any other content raises `DataError`.

    By Y. LeCun, C. Cortes and C. Burges.

    >>> x, y, x_test, y_test = mnist()   # doctest: +SKIP
    >>> x.shape, x_test.shape, y[:5]     # doctest: +SKIP
    ((60000, 28, 28), (10000, 28, 28), array([5, 0, 4, 1, 9]))
    """
    return _loaded(_MNIST, scale)


@checks_keywords
def fashion_mnist(*, scale: bool = False) -> Images:
    """Images of clothes in the format of MNIST: harder to classify, and as fast to train on.

    Works like `mnist`; the folder inside AUTOBP_DATA is `fashion-mnist`.
    The classes: T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    By H. Xiao, K. Rasul and R. Vollgraf, Zalando SE (MIT licence).
    """
    return _loaded(_FASHION, scale)


def located(fashion: bool = False) -> Path | None:
    """The folder of the files of MNIST or Fashion-MNIST, None if they must be downloaded. A wrong
    AUTOBP_DATA raises `DataError`."""
    which = _FASHION if fashion else _MNIST
    given = _given(which)
    if given:
        return given[0].parent
    cache = _cache(which)
    return cache if all((cache / file.name).is_file() for file in which.files) else None


def _loaded(which: _Set, scale: bool) -> Images:
    given = _given(which)
    paths = given or [_cached(which, file) for file in which.files]
    arrays = [_read(path, file, which, given is None) for path, file in zip(paths, which.files)]
    for i in (0, 2):
        if len(arrays[i]) != len(arrays[i + 1]):
            counts = [f"{p} holds {len(a):,}" for p, a in zip(paths[i:], arrays[i : i + 2])]
            raise DataError(f"{counts[0]} images, but {counts[1]} labels")
    x, y, x_test, y_test = arrays
    images = Images(x, y.astype(int), x_test, y_test.astype(int))
    return images.scaled(255) if scale else images


def _given(which: _Set) -> list[Path] | None:
    """The four files in AUTOBP_DATA, or None if it has none of them."""
    named = os.environ.get("AUTOBP_DATA")
    if not named:
        return None
    base = Path(named).expanduser()
    if not base.is_dir():
        raise DataError(f"AUTOBP_DATA names {base}, which is not a folder")
    for folder in (base / which.folder, base):
        found = [_either(folder / file.name) for file in which.files]
        paths = [path for path in found if path]
        if folder == base and any(_owner(path) not in (None, which) for path in paths):
            continue  # files of another set, which have the same names
        if len(paths) == len(found):
            return paths
        if paths:
            absent = next(file.name for file, path in zip(which.files, found) if path is None)
            raise DataError(f"{folder / absent} is missing; {paths[0].name} is there")
    return None


def _either(path: Path) -> Path | None:
    return next((p for p in (path, path.with_suffix("")) if p.is_file()), None)


def _cache(which: _Set) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if os.path.isabs(cache) else Path("~/.cache").expanduser()
    return base / "autobp" / which.folder


def _cached(which: _Set, file: _File) -> Path:
    """A file in the cache folder, which is downloaded if it is missing or damaged."""
    path = _cache(which) / file.name
    damaged = path.is_file() and _digest(path, {file.size}) != file.sha256
    if damaged or not path.is_file():
        try:
            download(path, [m + file.name for m in which.mirrors], file.size, file.sha256)
        except ConnectionError as error:
            state = "damaged" if damaged else "missing"
            raise DataError(
                f"{path} is {state} and cannot be downloaded ({error}): put"
                f" {', '.join(f.name for f in which.files)} into that folder, or into the folder"
                " that AUTOBP_DATA names"
            ) from None
    return path


def _read(path: Path, file: _File, which: _Set, published: bool) -> np.ndarray:
    """The array in a file, which must be the published one, or (in AUTOBP_DATA) have its format."""
    data = contents(path, file.items)
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.hashes.get(len(data)):
        if published:
            raise DataError(f"{path} is damaged: its hash is not the published one")
        if owner := _owner(path):
            raise DataError(f"{path} is a file of {owner.name}, not of {which.name}")
        if file.hashes.get(len(data)):
            array = parsed(
                data, path, file.items
            )  # raises a better error if the format is wrong too
            raise DataError(
                f"{path} is damaged, or belongs to another data set: it has the size of {which.name}'s"
                f" file and the shape {array.shape}, but another hash"
            )
    array = parsed(data, path, file.items)
    if array.ndim != len(file.shape) or array.shape[1:] != file.shape[1:]:
        form = "images of 28×28" if len(file.shape) == 3 else "labels"
        raise DataError(f"{path} holds an array of shape {array.shape}, not {form}")
    if array.ndim == 1 and array.max() > 9:
        i = int(np.argmax(array > 9))
        raise DataError(f"{path} has the label {array[i]} at index {i}; labels are 0 to 9")
    return array


def _digest(path: Path, sizes: set[int]) -> str | None:
    """The hash of a file, if it has one of the sizes. (Others can be arbitrarily large.)"""
    try:
        with open(path, "rb") as file:
            fits = os.fstat(file.fileno()).st_size in sizes
            return hashlib.file_digest(file, "sha256").hexdigest() if fits else None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _owner(path: Path) -> _Set | None:
    """The data set that a published file belongs to."""
    sets = (_MNIST, _FASHION)
    digest = _digest(path, {size for s in sets for file in s.files for size in file.hashes})
    published = ((s, file) for s in sets for file in s.files)
    return next((s for s, f in published if digest and digest in f.hashes.values()), None)
