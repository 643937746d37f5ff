"""Data for fit and evaluate as an iterable of batches; predict; and what looks like data and is not."""

import numpy as np
import pytest

from autobp import Tensor, nn
from autobp.data import batches, digits, moons
from autobp.optim import SGD, Adam
from autobp.train import DivergedError, evaluate, fit, predict

X, Y = moons(60)


def network(rng=0):
    return nn.MLP([2, 8, 2], activation="tanh", rng=rng)


def trained(data, epochs=3, model=None, **options):
    model = model or network()
    options = {"rng": 0, "progress": False} | options
    history = fit(model, data, nn.cross_entropy, SGD(model.parameters(), lr=0.1), epochs, **options)
    return history, model


class Loader:
    """What PyTorch's DataLoader is to fit."""

    def __init__(self, size=20, kind=list):
        self.size, self.kind, self.rounds = size, kind, 0

    def __iter__(self):
        self.rounds += 1
        for x, y in batches(X, Y, self.size):
            yield self.kind((x, y))

    def __len__(self):
        return -(-len(X) // self.size)


class Foreign:
    """An array of another library, which NumPy can read."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        return Foreign(self.array[index])


def in_order():
    return batches(X, Y, 20)


SOURCES = {
    "list of tuples": lambda: list(in_order()),
    "list of lists": lambda: [[x, y] for x, y in in_order()],
    "loader": Loader,
    "loader of tuples": lambda: Loader(kind=tuple),
    "function": lambda: in_order,
    "function of a list": lambda: lambda: list(in_order()),
    "foreign arrays": lambda: [(Foreign(x), Foreign(y)) for x, y in in_order()],
    "plain lists": lambda: [(x.tolist(), y.tolist()) for x, y in in_order()],
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("compile", [None, True], ids=["eager", "compiled"])
def test_any_iterable_of_batches_trains(name, compile):
    history, model = trained(SOURCES[name](), compile=compile)
    expected = network()
    optimizer = SGD(expected.parameters(), lr=0.1)
    for _ in range(3):
        for x, y in in_order():
            optimizer.zero_grad()
            nn.cross_entropy(expected(x), y).backward()
            optimizer.step()
    assert len(history) == 3
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, expected.state_dict()[name], rtol=1e-9, err_msg=name)


def test_the_loss_is_the_mean_over_samples_of_batches_of_any_size():
    parts = [(X[:10], Y[:10]), (X[10:], Y[10:])]
    model = network()
    expected = evaluate(model, (X, Y), nn.cross_entropy, batch_size=60)
    assert evaluate(model, parts, nn.cross_entropy) == pytest.approx(expected)
    assert evaluate(model, iter(parts), nn.cross_entropy) == pytest.approx(expected)


def test_an_iterator_serves_for_one_epoch():
    history, _ = trained(in_order(), epochs=1)
    assert len(history) == 1
    said = r"fit: data is a generator, which can be read only once, and there are 3 epochs: pass a list"
    with pytest.raises(TypeError, match=said):
        trained(in_order())
    with pytest.raises(
        TypeError, match="fit: validation is a generator, which can be read only once"
    ):
        trained((X, Y), validation=in_order())


def test_what_ends_after_the_first_epoch_is_told():
    spent = in_order()
    with pytest.raises(
        ValueError, match="fit: data gave no batches: an iterator can be read only once"
    ):
        trained(lambda: spent)


def test_validation_by_batches():
    history, model = trained(Loader(), validation=Loader(), metrics={"accuracy": nn.accuracy})
    assert history["val_accuracy"][-1] == pytest.approx(nn.accuracy(model(X), Y))


def test_an_array_on_disk_is_an_array(tmp_path):
    X.tofile(tmp_path / "x.bin")
    on_disk = np.memmap(tmp_path / "x.bin", X.dtype, "r", shape=X.shape)
    history, _ = trained((on_disk, Y))
    assert history["loss"] == trained((X, Y))[0]["loss"]
    np.testing.assert_array_equal(predict(network(), on_disk), predict(network(), X))


def test_a_training_on_batches_resumes(tmp_path):
    """Also where the loader shuffles by a generator of its own."""

    class Shuffled:
        def __init__(self):
            self.rng = np.random.default_rng(3)

        def __iter__(self):
            return batches(X, Y, 20, shuffle=True, rng=self.rng)

    def run(epochs, **options):
        return trained(Shuffled(), epochs, checkpoint=tmp_path / "run.npz", **options)

    run(2)
    history, model = run(4, resume=True)
    expected, other = trained(Shuffled(), 4)
    assert history["loss"] == expected["loss"]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[name])


def test_a_batch_with_a_nan_is_named():
    parts = [(X[:20], Y[:20]), (np.where(np.arange(40) == 6, np.nan, 1.0).reshape(20, 2), Y[:20])]
    with pytest.raises(
        DivergedError, match=r"in epoch 1, batch 2, .*; the batch has nan in X\[3\]"
    ):
        trained(parts)


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (X, TypeError, r"fit: data must be a pair \(X, y\), not ndarray: data is a pair \(X, y\), as in fit\("),
        (Tensor(X), TypeError, r"must be a pair \(X, y\), not Tensor"),
        (X.tolist(), TypeError, r"must be a pair \(X, y\), not list of 60"),
        ({"X": X, "y": Y}, TypeError, r"must be a pair \(X, y\), not dict"),
        ("data.csv", TypeError, r"must be a pair \(X, y\), not str"),
        (3, TypeError, r"must be a pair \(X, y\), not int"),
        (digits(), TypeError, r"must be a pair \(X, y\), not Images of 4"),
        (lambda: [X], TypeError, r"fit: data: batch 0 must be a pair \(x, y\), not ndarray"),
        (lambda: [{"x": X}], TypeError, r"fit: data: batch 0 must be a pair \(x, y\), not dict"),
        (lambda: [(X, Y), (X,)], TypeError, r"fit: data: batch 1 must be a pair \(x, y\), not tuple of 1"),
        (lambda: [(X, Y[1:])], ValueError, "arrays must have equally many samples, not 60 and 59"),
        (lambda: [(X[:0], Y[:0])], ValueError, "fit: data: batch 0 has no samples"),
        (lambda: [], ValueError, "fit: data gave no batches"),
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_data_is_named(data, error, said):
    with pytest.raises(error, match=said):
        trained(data)


def test_x_and_y_apart():
    """As in Keras and scikit-learn."""
    said = r"fit: data must be a pair \(X, y\), not ndarray: data is a pair \(X, y\), as in fit\(model, \(X, y\), …\)"
    model = network()
    with pytest.raises(TypeError, match=said):
        fit(model, X, Y, nn.cross_entropy, Adam(model.parameters()))
    with pytest.raises(TypeError, match=r"evaluate: data must be a pair \(X, y\), not ndarray"):
        evaluate(model, X, nn.cross_entropy)


# ── predict ───────────────────────────────────────────────────────────────────────────────────────


def test_predict_evaluates_in_batches():
    sizes = []

    class Model(nn.Module):
        def __init__(self):
            self.layers = [nn.BatchNorm1d(2), nn.Dropout(0.5, rng=0), nn.Linear(2, 2, rng=0)]

        def forward(self, x):
            sizes.append(len(x))
            for layer in self.layers:
                x = layer(x)
            return x

    model = Model()
    model.layers[1].eval()
    before = model.state_dict()
    found = predict(model, X, batch_size=25)
    assert type(found) is np.ndarray
    assert found.shape == (60, 2)
    assert sizes == [25, 25, 10]
    assert model.training
    assert model.layers[0].training
    assert not model.layers[1].training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    model.eval()
    np.testing.assert_allclose(found, model(X).numpy(), rtol=1e-12)
    assert not model.training
    np.testing.assert_array_equal(predict(model, X), predict(model, X.tolist()))
    assert not model.training


def test_predict_takes_functions_and_generators_and_keeps_nests():
    w = Tensor([1.0, 2.0])
    np.testing.assert_allclose(predict(lambda x: x @ w, X, batch_size=7), X @ w.numpy())
    np.testing.assert_allclose(predict(lambda x: x @ w, (x for x, _ in in_order())), X @ w.numpy())
    found = predict(lambda x: {"sum": np.sum(x, axis=1), "both": (x, x @ w)}, X, batch_size=7)
    np.testing.assert_allclose(found["both"][1], X @ w.numpy())
    assert found["sum"].shape == (60,)
    assert type(found["both"]) is tuple
    assert predict(network(), X[:0]).shape == (0, 2)
    assert predict(network().astype(np.float32), X.astype(np.float32)).dtype == np.float32


def test_predict_restores_the_mode_after_an_error():
    model = network()
    with pytest.raises(ValueError, match="takes 2 features, not 3"):
        predict(model, np.ones((4, 3)))
    assert model.training


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: predict(network(), (X, Y)),
            TypeError,
            r"predict takes X alone, not a tuple of 2: write predict\(model, X\), without targets",
        ),
        (lambda: predict(network(), 3.0), TypeError, "3.0 is not an array of samples"),
        (lambda: predict(network(), X, batch_size=0), ValueError, "predict: batch_size must be at least 1"),
        (lambda: predict(np.sum, X), ValueError, "the model returns a single number for a batch"),
        (lambda: predict(network(), iter([])), ValueError, "predict: there are no batches"),
    ],
    ids=range(5),
)  # fmt: skip
def test_mistakes_with_predict(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_predict_takes_what_gives_batches():
    model = nn.Linear(2, 1, rng=0)
    X = np.arange(12.0).reshape(6, 2)

    class Loader:
        def __init__(self, batches):
            self.batches = batches

        def __iter__(self):
            return iter(self.batches)

    parts, expected = [X[:4], X[4:]], predict(model, X)
    for given in (
        iter(parts),
        Loader(parts),
        lambda: parts_of(X),
        Loader([(X[:4], np.zeros(4)), [X[4:], np.zeros(2)]]),
    ):
        np.testing.assert_allclose(predict(model, given), expected, rtol=1e-14)
    with pytest.raises(ValueError, match=r"lengths; for batches write predict\(model, iter\(X\)\)"):
        predict(model, parts)


def parts_of(X):
    yield X[:4]
    yield X[4:]
