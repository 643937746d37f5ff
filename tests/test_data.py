"""Points, digits, batches, folds: what comes out, exactly."""

import hashlib
import inspect
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobp import Tensor, data
from autobp.data import (
    batches,
    circles,
    digits,
    k_folds,
    linear,
    moons,
    regression,
    spiral,
    split,
    standardize,
    xor,
)

SEEDED = [linear, spiral, moons, circles, regression]

# ── points ────────────────────────────────────────────────────────────────────────────────────────


def test_xor_is_the_textbooks_21_points():
    X, y = xor()
    found = {(*point, label) for point, label in zip(X.tolist(), y.tolist())}
    tenths = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    rising = {(a, a, 0) for a in tenths}
    falling = {(a, b, 1) for a, b in zip(tenths, tenths[::-1]) if a != 0.5}
    assert len(X) == len(y) == len(found) == 21
    assert found == rising | falling
    assert np.sum(np.all(X == 0.5, axis=1)) == 1


@pytest.mark.parametrize("make", SEEDED)
def test_seeds(make):
    X, y = make(seed=3)
    again, rng = make(seed=3), np.random.default_rng(3)
    first, second = make(seed=rng), make(seed=rng)
    for a, b, c in zip((X, y), again, first):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)
    assert not np.array_equal(first[0], second[0])
    assert not np.array_equal(X, make(seed=4)[0])
    assert np.array_equal(make()[0], make(seed=0)[0])


@pytest.mark.parametrize("make", [*SEEDED, xor])
def test_kinds(make):
    X, y = make()
    assert X.dtype == np.float64
    assert y.dtype == (np.float64 if make is regression else np.int64)
    assert X.shape == (len(y), 1 if make is regression else 2)
    if make is not xor:
        for n in (3, 7, 50):
            X, y = make(n)
            assert len(X) == len(y) == n
        with pytest.raises(ValueError, match="points"):
            make(0)


def test_linear_covers_the_square_and_both_sides():
    X, y = linear(1000)
    assert 0 <= X.min() < 0.02
    assert 0.98 < X.max() < 1
    assert np.array_equal(y, X[:, 0] < X[:, 1])
    assert 400 < y.sum() < 600


def test_spiral_without_noise_winds_outwards_and_apart():
    X, y = spiral(30, classes=3, noise=0)
    assert np.allclose(np.hypot(*X.T), np.tile(np.linspace(0, 1, 10), 3))
    turn = np.array([[-0.5, 3**0.5 / 2], [-(3**0.5) / 2, -0.5]])  # a third of the way around
    assert np.allclose(X[y == 0] @ turn.T, X[y == 1]) or np.allclose(X[y == 0] @ turn, X[y == 1])
    assert np.bincount(spiral(31, classes=4)[1]).tolist() == [8, 8, 8, 7]
    with pytest.raises(ValueError, match="2 points cannot make 3 classes"):
        spiral(2)


def test_moons_and_circles_without_noise_lie_on_their_curves():
    X, y = moons(41, noise=0)
    assert np.allclose(np.hypot(*X[y == 0].T), 1)
    assert np.allclose(np.hypot(*(X[y == 1] - [1, 0.5]).T), 1)
    assert X[y == 0][:, 1].min() > -1e-12
    assert X[y == 1][:, 1].max() < 0.5 + 1e-12
    X, y = circles(40, inner=0.25, noise=0)
    assert np.allclose(np.hypot(*X.T), np.where(y == 0, 1, 0.25))


def test_regression_noise_is_as_large_as_asked():
    X, y = regression(5000, features=4, noise=0.5)
    rest = np.linalg.lstsq(np.c_[X, np.ones(5000)], y)[1]
    assert np.isclose(np.sqrt(rest / 5000), 0.5, rtol=0.03)


# ── digits ────────────────────────────────────────────────────────────────────────────────────────


def test_digits_are_the_known_ones():
    parts = digits()
    x, y = np.concatenate(parts[::2]), np.concatenate(parts[1::2])
    assert x.shape == (1797, 8, 8)
    assert x.dtype == np.uint8
    assert (x.min(), x.max(), x.sum()) == (0, 16, 561718)
    assert y.dtype == np.int64
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert y[:10].tolist() == list(range(10))
    assert x[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert len(parts.x_test) == len(parts.y_test) == 360
    digest = hashlib.sha256(x.tobytes() + y.astype(np.uint8).tobytes()).hexdigest()
    assert digest == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_digits_scaled_and_fresh():
    plain, scaled = digits(), digits(scale=True)
    assert scaled.x_train.dtype == scaled.x_test.dtype == np.float32
    assert np.array_equal(scaled.x_train * 16, plain.x_train)
    assert scaled.x_test.max() == 1
    plain.x_train[:] = 0  # nobody else's
    assert digits().x_train.any()


def test_digits_are_small_and_attributed():
    folder = pathlib.Path(data.__file__).parent
    assert (folder / "digits.npz").stat().st_size < 50_000
    for text in ((folder / "digits.txt").read_text(), inspect.getdoc(digits)):
        assert "Alpaydin" in text
        assert "Kaynak" in text
        assert "scikit-learn" in text


def test_digits_can_be_learned():
    x, y, x_test, y_test = digits(scale=True)
    flat, flat_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    near = np.argmin(((flat_test[:, None] - flat) ** 2).sum(-1), axis=1)
    assert np.mean(y[near] == y_test) > 0.95


# ── batches ───────────────────────────────────────────────────────────────────────────────────────

sizes = st.integers(1, 12)
counts = st.integers(0, 40)
seeds = st.integers(0, 2**32)


@given(counts, sizes, st.booleans(), seeds)
def test_batches_hold_every_sample_once_and_belong_together(n, size, shuffle, seed):
    X, y = np.arange(2 * n).reshape(n, 2), np.arange(n)
    parts = list(batches(X, y, size=size, shuffle=shuffle, rng=seed))
    assert [len(p[1]) for p in parts] == [size] * (n // size) + ([n % size] if n % size else [])
    seen = [i for _, ys in parts for i in ys]
    assert sorted(seen) == list(range(n))
    assert shuffle or seen == list(range(n))
    for xs, ys in parts:
        assert np.array_equal(xs, X[ys])
    again = batches(y, y, size, shuffle, seed)
    assert [i for ys, _ in again for i in ys] == seen


def test_epochs_differ_and_the_run_is_reproducible():
    def run():
        rng = np.random.default_rng(5)
        epochs = (batches(np.arange(50), np.arange(50), 7, True, rng) for _ in range(3))
        return [[i for _, ys in epoch for i in ys] for epoch in epochs]

    first = run()
    assert first == run()
    assert len({tuple(epoch) for epoch in first}) == 3


def test_batches_take_lists_and_tensors():
    x, y = Tensor(np.arange(6.0).reshape(3, 2)), [1, 2, 3]
    parts = list(batches(x, y, size=2))
    assert [type(p) for p in parts[0]] == [Tensor, np.ndarray]
    assert parts[1][0].shape == (1, 2)


class Table:
    """As pandas has it: an index means labels."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __getitem__(self, labels):
        raise KeyError(labels)

    def __len__(self):
        return len(self.values)

    def to_numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_rows_of_tables_are_taken_by_place():
    x, y = Table(np.arange(6.0).reshape(3, 2)), Table(np.arange(3))
    for xs, ys in batches(x, y, 2, shuffle=True, rng=0):
        assert np.array_equal(xs, x.values[ys])
    (x_train, y_train), _ = split(x, y, test=1)
    assert np.array_equal(x_train, x.values[y_train])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: batches(np.ones(3), np.ones(4), size=2), ValueError, "arrays must have equally many samples, not 3 and 4"),
        (lambda: batches(np.ones(3), 2, 1), TypeError, "2 is not an array of samples"),
        (lambda: batches(np.ones(3), np.ones(3), 0), ValueError, "size, the number of samples in a batch, must be at least 1, not 0"),
        (lambda: split(test=1), TypeError, "at least one array is needed"),
        (lambda: split(np.ones(3), test=3), ValueError, "test=3 of 3 samples leaves one part empty"),
        (lambda: split(np.ones(3), test=0.1), ValueError, "test=0.1 of 3 samples leaves one part empty"),
        (lambda: split(np.ones(3), np.ones(2)), ValueError, "arrays must have equally many samples, not 3 and 2"),
        (lambda: k_folds(3, 4), ValueError, "3 samples cannot make 4 folds"),
        (lambda: k_folds(3, 1), ValueError, "3 samples cannot make 1 folds"),
        (lambda: k_folds(9, 3, stratified=True), ValueError, "stratified folds need labels, one for each sample, not 9"),
        (lambda: k_folds(np.eye(9), 3, stratified=True), ValueError, "not shape (9, 9)"),
        (lambda: standardize(np.ones((0, 3))), ValueError, "standardize needs at least one sample, not shape (0, 3)"),
        (lambda: standardize(np.ones((4, 3)))(np.ones((4, 1))), ValueError, "samples must have shape (3,), as in training, not (1,)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_at_once(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


# ── folds ─────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(2, 40), st.data(), seeds)
def test_split_parts_the_samples(n, draw, seed):
    aside = draw.draw(st.integers(1, n - 1))
    X, y = np.arange(2 * n).reshape(n, 2), np.arange(n)
    (X_train, y_train), (X_test, y_test) = split(X, y, test=aside, rng=seed)
    assert len(y_test) == aside
    assert sorted([*y_train, *y_test]) == list(range(n))
    assert np.array_equal(X_train, X[y_train])
    assert np.array_equal(X_test, X[y_test])
    train, test = split(y, test=aside, rng=seed)
    assert np.array_equal(train, y_train)
    assert np.array_equal(test, y_test)


def test_split_in_parts_and_by_seed():
    train, test = split(np.arange(100), test=0.25)
    assert (len(train), len(test)) == (75, 25)
    assert np.array_equal(test, split(np.arange(100), test=0.25)[1])
    assert not np.array_equal(test, split(np.arange(100), test=0.25, rng=1)[1])


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40), st.data(), st.booleans(), seeds)
def test_folds_part_the_samples_evenly(labels, draw, stratified, seed):
    y, n = np.array(labels), len(labels)
    k = draw.draw(st.integers(2, n))
    folds = k_folds(y, k, stratified=stratified, rng=seed)
    assert len(folds) == k
    assert sorted(i for _, held in folds for i in held) == list(range(n))
    for train, held in folds:
        assert sorted([*train, *held]) == list(range(n))
        assert len(held) in (n // k, -(-n // k))
        for label in set(labels) if stratified else ():
            whole, part = np.sum(y == label), np.sum(y[held] == label)
            assert part in (whole // k, -(-whole // k))
    again = k_folds(y, k, stratified=stratified, rng=seed)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(folds, again))
    if not stratified:
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(folds, k_folds(n, k, rng=seed)))


# ── standardizing ─────────────────────────────────────────────────────────────────────────────────


def test_standardize_learns_from_the_training_part_alone():
    rng = np.random.default_rng(0)
    train, test = rng.normal(3, 5, (50, 4)), rng.normal(8, 1, (20, 4))
    standard = standardize(train)
    assert np.allclose(standard(train).mean(0), 0)
    assert np.allclose(standard(train).std(0), 1)
    assert np.allclose(standard(test), (test - train.mean(0)) / train.std(0))
    again = pickle.loads(pickle.dumps(standard))
    assert np.array_equal(again(test), standard(test))


def test_features_that_never_vary_are_safe():
    train = np.full((7, 3), 0.1)
    train[:, 1] = np.arange(7)
    train[:, 2] = 1e300
    out = standardize(train)(train)
    assert np.all(out[:, [0, 2]] == 0)
    assert np.isclose(standardize(train)(train + 1)[0, 0], 1)


@pytest.mark.parametrize(
    ("given", "found"), [(np.uint8, np.float64), (np.float32, np.float32), (bool, np.float64)]
)
def test_standardize_kinds(given, found):
    x = np.array([[0, 1], [1, 1], [1, 0]]).astype(given)
    before = x.copy()
    out = standardize(x)(x)
    assert out.dtype == found
    assert np.allclose(out.mean(0), 0, atol=1e-6)
    assert np.array_equal(x, before)


def test_standardize_keeps_the_shape_of_images():
    x = digits().x_train
    assert standardize(x)(x).shape == x.shape
    assert abs(standardize(x)(x).mean()) < 1e-12


# ── the package ───────────────────────────────────────────────────────────────────────────────────


def test_public_names_are_there_and_documented():
    for name in data.__all__:
        assert inspect.getdoc(getattr(data, name))


def test_importing_autobp_does_not_import_data_nor_data_import_tqdm():
    code = (
        "import sys, autobp; assert 'autobp.data' not in sys.modules;"
        "from autobp import data; data.digits(); assert 'tqdm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
