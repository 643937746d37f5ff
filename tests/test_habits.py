"""Names of other libraries: each raises with a spelling that works here."""

import copy
import inspect
import pickle
import pydoc
import re
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.special

import autobp
from autobp import Tensor, data, grad, nn, no_grad, optim, train, tree
from autobp.spellings import (
    AT,
    DATA,
    KEYWORDS,
    MODULE,
    NN,
    OPTIM,
    OPTIMIZER,
    OPTIONS,
    PACKAGE,
    SCHEDULE,
    TENSOR,
    TENSOR_CLASS,
    TRAIN,
    TREE,
)

OWNERS = {
    "Tensor": (TENSOR, lambda: Tensor([1.0, 2.0])),
    "the class Tensor": (TENSOR_CLASS, lambda: Tensor),
    "At": (AT, lambda: Tensor([1.0, 2.0]).at[0]),
    "autobp": (PACKAGE, lambda: autobp),
    "nn": (NN, lambda: nn),
    "Module": (MODULE, lambda: nn.Module()),
    "optim": (OPTIM, lambda: optim),
    "Optimizer": (OPTIMIZER, lambda: optim.SGD([Tensor(1.0)], lr=0.1)),
    "Schedule": (SCHEDULE, lambda: optim.StepLR(optim.SGD([Tensor(1.0)], lr=0.1), 3)),
    "tree": (TREE, lambda: tree),
    "data": (DATA, lambda: data),
    "train": (TRAIN, lambda: train),
}
ROWS = [(owner, name) for owner, (table, _) in OWNERS.items() for name in table]
HINTS = sorted(
    {hint for table, _ in OWNERS.values() for hint in table.values()}
    | {*KEYWORDS.values()}
    | {*OPTIONS.values()}
)


def space(tmp_path):
    """What the spellings in the hints are about."""
    rng = np.random.default_rng(0)
    t = Tensor(rng.uniform(0.5, 1.5, (2, 3)))
    model = nn.Sequential(nn.Linear(3, 3, rng=0))
    share = np.array([[0.2, 0.3, 0.5], [0.1, 0.6, 0.3]])
    f = lambda x: np.sum(x**2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    names = {name: getattr(autobp, name) for name in autobp.__all__}
    return names | {
        "np": np, "nn": nn, "optim": optim, "train": train, "data": data, "tree": tree,
        "t": t, "p": Tensor(1.5 * np.ones((2, 3))), "a": t, "b": t * 2, "x": t.numpy(), "W": Tensor(rng.normal(size=(3, 3))),
        "q": t, "k": t, "v": t, "h": t, "average": Tensor(np.zeros((2, 3))), "loss": np.sum(t * t),
        "shape": (3, 2), "shape_of_more": (4, 2, 3), "axes": (1, 0), "axis": 1, "i": 0, "n": 2, "value": 1.0,
        "value_of_its_shape": np.ones((2, 3)), "step": 0.1, "low": 0.0, "high": 1.0, "mask": share > 0.25,
        "indices": [0, 1], "places": np.zeros((2, 1), int), "labels": np.array([0, 2] * 4), "logits": rng.normal(size=(8, 3)),
        "X": rng.normal(size=(8, 3)), "share": share, "log_shares": np.log(np.tile(share, (4, 1))), "log_of_share": np.log(share),
        "signs": np.sign(t.numpy()), "images": np.ones((2, 1, 4, 4)), "kernels": np.ones((2, 1, 3, 3)),
        "model": model, "params": list(model.parameters()), "params_nest": {"w": 1.0, "b": [2.0]},
        "optimizer": optimizer, "schedule": optim.StepLR(optimizer, 10), "layer": nn.BatchNorm1d(3), "y": t.numpy() + 1, "path": tmp_path / "weights.safetensors",
        "f": f, "g": lambda x, y: np.sum(x * y), "f_and_more": lambda x: (f(x), x), "rule": lambda g, y, x: g,
        "compiled": compiled(f), "rng": rng, "scipy": scipy,
    }  # fmt: skip


def compiled(f):
    program = autobp.compile(f)
    program(np.ones(2))
    return program


@pytest.mark.parametrize(("owner", "name"), ROWS)
def test_a_foreign_name_raises_with_its_hint(owner, name):
    table, make = OWNERS[owner]
    thing = make()
    assert not hasattr(thing, name)
    with pytest.raises(AttributeError) as caught:
        getattr(thing, name)
    said = str(caught.value)
    assert repr(name) in said
    assert table[name] in said


@pytest.mark.parametrize("hint", HINTS)
def test_the_spelling_of_a_hint_runs(hint, tmp_path, capsys):
    spellings = re.findall("`([^`]*)`", hint)
    if not spellings:
        assert re.search(
            r"leave it out|a subclass of optim|^\w+=|an operator|or '|a subclass of Module defines it",
            hint,
        )
        return
    around = space(tmp_path)
    if "load_weights" in hint:
        train.save_weights(around["path"], around["model"].state_dict())
    for spelling in spellings:
        if spelling == "forward":  # of a class
            continue
        if "..." in spelling and "fit" in spelling:
            continue
        within = (
            no_grad() if "=" in spelling and " -= " in spelling else np.errstate(invalid="ignore")
        )
        with within:
            exec(spelling, around)


@pytest.mark.parametrize("name", ["zero_", "fill_", "uniform_", "clamp_"])
def test_hints_for_parameters_work_for_one_that_is_a_number(name, tmp_path):
    around = space(tmp_path)
    around["p"] = Tensor(3.0)
    with pytest.raises(AttributeError) as caught:
        getattr(around["p"], name)
    (spelling,) = re.findall("`(p.data[^`]*)`", str(caught.value))
    exec(spelling, around)
    assert around["p"].item() == 1.0


FUNCTIONS = [
    getattr(module, name)
    for module in (autobp, nn, optim, data, train, tree)
    for name in module.__all__
    if callable(getattr(module, name))
]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_foreign_option_of_a_function_is_explained(option):
    """Each row, at every public function or class of that name, or of that kind."""
    who, _, keyword = option.partition(".")
    kinds = {"Module": nn.Linear, "Schedule": optim.StepLR}
    named = [kinds[who]] if who in kinds else [f for f in FUNCTIONS if f.__name__ == who]
    assert named
    said = []
    for function in named:
        given = {}
        if inspect.isclass(function) and keyword in inspect.signature(function).parameters:
            continue
        places = (None,) * 4 if option == "fit.loss" else ()
        with pytest.raises(TypeError) as caught:
            function(*places, **{keyword: None}, **given)
        said.append(str(caught.value))
    assert any(OPTIONS[option] in text for text in said)
    assert all(f"{keyword}=" in text or "unexpected keyword" in text for text in said)


#: Functions that no other library has under this name, and those that take any keyword.
UNKNOWN_ELSEWHERE = {
    *(autobp.play, autobp.play_training, autobp.stop_gradient, autobp.graph, autobp.no_grad),
    *(nn.Module, nn.functional_call, autobp.custom, autobp.scope, autobp.detect_anomaly),
    *(nn.identity, nn.sigmoid, nn.step, nn.zeros, nn.from_npy, data.xor, data.read_idx),
    *(train.gradient_over, train.value_and_gradient_over),
    *(tree.leaves, tree.paired, tree.ravel, tree.refilled, tree.transformed, tree.stop_gradient),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_function_explains_foreign_keywords(function):
    """Of all libraries `device` and `dim`, which none of these has."""
    if function in UNKNOWN_ELSEWHERE or (
        inspect.isclass(function) and not issubclass(function, nn.Module | optim.Schedule | Tensor)
    ):
        return
    for keyword in ("device", "dim"):
        places = (1.0,) if function in (Tensor, nn.relu) else ()
        with pytest.raises(TypeError, match=f"{function.__name__} has no {keyword}=: "):
            function(*places, **{keyword: None})


SAME = [  # of a table, the name, and what its spelling must be equal to
    *((TENSOR, name, f) for name, f in {
        "acos": np.arccos, "asin": np.arcsin, "atan": np.arctan,
        "acosh": np.arccosh, "asinh": np.arcsinh, "atanh": np.arctanh,
        "erfinv": scipy.special.erfinv, "lgamma": scipy.special.gammaln, "logit": scipy.special.logit,
        "polygamma": lambda x: scipy.special.polygamma(2, x), "logical_not": lambda x: x == 0,
        "rsqrt": lambda x: x**-0.5, "frac": lambda x: x % 1.0, "matrix_power": None,
        "pinverse": np.linalg.pinv, "clamp_min": lambda x: np.maximum(x, 0.0),
        "renorm": lambda x: x / np.maximum(np.sqrt(np.sum(x**2, 1, keepdims=True)) / 2, 1),
    }.items() if f),
    (NN, "SmoothL1Loss", lambda x: np.mean(np.where(np.ones((2, 3)) < 2, 0.5 / 2, 1 - 2 / 2))),
    (NN, "l1_loss", lambda x: 1.0),
    (NN, "mse_loss", lambda x: 1.0),
    (OPTIONS, "softplus.beta", lambda x: np.log(1 + np.exp(3.0 * x)) / 3.0),
    (OPTIONS, "huber.beta", lambda x: 0.25),
    (PACKAGE, "float64", lambda x: np.float64),
    (PACKAGE, "float16", lambda x: np.float16),
]  # fmt: skip


@pytest.mark.parametrize(("table", "name", "f"), SAME, ids=[name for _, name, _ in SAME])
def test_a_spelling_means_the_same(table, name, f, tmp_path):
    """PyTorch's meaning, of the tensor itself: not of t - t, and with options that are not the defaults."""
    around = space(tmp_path) | {"value": 3.0}
    spelling = re.search("`([^`]*)`", table[name]).group(1)
    with np.errstate(invalid="ignore"):
        found, expected = eval(spelling, around), f(around["t"].numpy())
    if isinstance(found, type):
        assert found is expected
    else:
        found = found.numpy() if isinstance(found, Tensor) else found
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_layers_without_options_do_what_the_hints_say(tmp_path):
    around = space(tmp_path)
    x = np.random.default_rng(1).normal(size=(8, 3))
    wanted = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    layer = around["layer"] = nn.BatchNorm1d(3)
    exec(re.search("`([^`]*)`", KEYWORDS["affine"]).group(1), around)
    np.sum(layer(Tensor(x)) ** 3).backward()
    optim.SGD(layer.parameters(), lr=0.1).step()
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-12)

    found = eval(
        re.search("`([^`]*)`", KEYWORDS["track_running_stats"]).group(1), {"np": np, "x": x}
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-12)

    around["images"] = np.arange(32.0).reshape(2, 1, 4, 4)
    padded = eval(re.search("`([^`]*)`", KEYWORDS["padding_mode"]).group(1), around)
    assert padded.shape == (2, 1, 6, 6)
    assert padded[0, 0, 0].tolist() == [5.0, 4.0, 5.0, 6.0, 7.0, 6.0]

    for name in ("float", "half", "to", "double"):
        model = nn.Linear(1, 1).astype(np.float16 if name == "double" else np.float64)
        given = {"model": model, "np": np}
        exec(re.search("`([^`]*)`", MODULE[name]).group(1), given)
        wanted = {"float": "float32", "to": "float32", "half": "float16", "double": "float64"}[name]
        assert given["model"].weight.dtype == wanted
        assert MODULE[name].startswith(("`model = ", "for a dtype `model = "))


def test_there_are_many():
    assert len(ROWS) > 400
    for table in (TENSOR, PACKAGE, NN, MODULE, OPTIM):
        assert all(hint.count("`") % 2 == 0 for hint in table.values())


# ── what is not in a table ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: Tensor(1.0).shpae, "'Tensor' object has no attribute 'shpae'"),  # Python adds a guess
        (lambda: Tensor(1.0).xyz, "'Tensor' object has no attribute 'xyz'"),
        (lambda: Tensor(1.0).sin, "'Tensor' object has no attribute 'sin': write `np.sin(t)`"),
        (
            lambda: Tensor(1.0).einsum,
            "'Tensor' object has no attribute 'einsum': write `np.einsum`, which takes Tensors",
        ),
        (lambda: nn.Relu, "module 'autobp.nn' has no attribute 'Relu'; did you mean 'ReLU'?"),
        (lambda: nn.Gelu, "module 'autobp.nn' has no attribute 'Gelu'; did you mean 'GELU'?"),
        (lambda: nn.RELU, "module 'autobp.nn' has no attribute 'RELU'; did you mean 'ReLU'?"),
        (lambda: nn.Selu, "module 'autobp.nn' has no attribute 'Selu'; did you mean 'SELU'?"),
        (lambda: nn.Batchnorm1D, "module 'autobp.nn' has no attribute 'Batchnorm1D'; did you mean 'BatchNorm1d'?"),
        (lambda: optim.Adamw, "module 'autobp.optim' has no attribute 'Adamw'; did you mean 'AdamW'?"),
        (lambda: autobp.frexp, "module 'autobp' has no attribute 'frexp': NumPy's has no rule of differentiation; a constant is `np.frexp(t.numpy())`"),
        (lambda: autobp.cond, "module 'autobp' has no attribute 'cond': Python's if, or `np.where(mask, a, b)`; the condition number of a matrix is `np.linalg.cond(W)`"),
        (lambda: autobp.no_gard, "module 'autobp' has no attribute 'no_gard'; did you mean 'no_grad'?"),
        (lambda: autobp.arctan2, "module 'autobp' has no attribute 'arctan2': write `np.arctan2`, which takes Tensors"),
        (lambda: nn.Linaer, "module 'autobp.nn' has no attribute 'Linaer'; did you mean 'Linear'?"),
        (lambda: optim.Adma, "module 'autobp.optim' has no attribute 'Adma'; did you mean 'Adam'?"),
        (lambda: train.fitt, "module 'autobp.train' has no attribute 'fitt'; did you mean 'fit'?"),
        (lambda: optim.SGD([Tensor(1.0)], lr=0.1).stpe, "'SGD' object has no attribute 'stpe'; did you mean 'step'?"),
        (lambda: tree.ravell, "module 'autobp.tree' has no attribute 'ravell'; did you mean 'ravel'?"),
        (lambda: data.xorr, "module 'autobp.data' has no attribute 'xorr'; did you mean 'xor'?"),
        (
            lambda: nn.Module()(1.0),
            "'Module' object has no attribute 'forward': a subclass of Module defines it: def forward(self, x)",
        ),
    ],
    ids=range(21),
)  # fmt: skip
def test_other_names_stay_as_they_are_with_a_suggestion(ask, said):
    with pytest.raises(AttributeError) as caught:
        ask()
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from autobp.nn import CrossEntropyLoss", "write `nn.cross_entropy(logits, labels)`"),
        ("from autobp.nn import Linear, ModuleList", "plain lists and dicts hold layers"),
        ("from autobp.nn import functional as F", "functions are in nn itself"),
        ("from autobp import jit", "write `compile(f)`"),
        ("from autobp import grad, as_tensor", "cannot import name 'as_tensor' from 'autobp'"),
        ("from autobp import no_gard", "did you mean 'no_grad'?"),
        ("from autobp.optim import lr_scheduler", "schedules are in optim itself"),
        ("from autobp.optim import RMSProp", "write `optim.RMSprop(params)`"),
        ("from autobp.data import DataLoader", "data.batches"),
        ("from autobp.train import EarlyStopping", "patience="),
    ],
)
def test_imports_say_it_too(line, said):
    """Python's own message for these would be that the name cannot be imported, and no more."""
    with pytest.raises(ImportError) as caught:
        exec(line, {})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import autobp.nn.functional as F", "No module named 'autobp.nn.functional': functions are in nn itself"),
        ("from autobp.optim.lr_scheduler import StepLR", "schedules are in optim itself"),
        ("from autobp.utils.data import DataLoader", "batches are in autobp.data"),
        ("import autobp.numpy as anp", "NumPy itself"),
        ("from autobp.engine import Value", "write `Tensor(x)`"),
        ("import autobp.nothing", "No module named 'autobp.nothing'"),
    ],
)  # fmt: skip
def test_modules_of_other_libraries_are_explained(line, said):
    with pytest.raises(ModuleNotFoundError) as caught:
        exec(line, {})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("program", "guess"),
    [
        ("autobp.Tensor(1.0).shpae", "Did you mean: 'shape'?"),
        ("autobp.nn.Linear(1, 1).wieght", "; did you mean 'weight'?"),
    ],
)
def test_a_misspelt_attribute_is_guessed(program, guess):
    found = subprocess.run(
        [sys.executable, "-c", f"import autobp; {program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr.rstrip().endswith(guess)


def test_foreign_names_are_not_listed():
    listed = dir(Tensor(1.0))
    assert {"shape", "grad", "backward", "relu", "value"} <= set(listed)
    assert not set(listed) & {*TENSOR, "sin", "einsum"}
    assert not hasattr(Tensor, "view")
    model = nn.Linear(1, 1)
    model.params = 3  # a name of the user's
    assert {"weight", "params", "parameters"} <= set(dir(model))
    assert "predict" not in dir(model)


def test_modules_may_use_the_names_themselves():
    @dataclass
    class Net(nn.Module):
        device: str
        weights: list = field(default_factory=list)

        def forward(self, x):
            return self.apply(x)

        def apply(self, x):
            return x * len(self.weights)

    net = Net("cpu", [1.0, 2.0])
    net.params = {"w": Tensor(1.0)}
    assert net(2.0) == 4.0
    assert net.device == "cpu"
    assert [name for name, _ in net.named_parameters()] == ["params.w"]
    with pytest.raises(AttributeError, match=r"'Net' object has no attribute 'fit': write"):
        net.fit()


def test_in_a_traceback_it_is_the_last_line():
    found = subprocess.run(
        [sys.executable, "-c", "import autobp; autobp.Tensor(1.0).unsqueeze(0)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr.rstrip().endswith(TENSOR["unsqueeze"])


# ── what must not notice ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [lambda: Tensor([1.0, 2.0]), lambda: nn.MLP([2, 3, 1], rng=0)])
def test_copies_and_pickles(make):
    thing = make()
    for again in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
        assert type(again) is type(thing)
    kind = type(thing)
    bare = kind.__new__(kind)  # as unpickling and subclasses have it for a moment
    assert not hasattr(bare, "view_as")


def test_protocols_of_numpy_are_asked_for_in_vain():
    t = Tensor([1.0, 2.0], requires_grad=False)
    for name in ("__array_interface__", "__array_struct__", "__dataframe__", "__torch_function__"):
        assert not hasattr(t, name)
    np.testing.assert_array_equal(np.asarray(t), [1.0, 2.0])
    np.testing.assert_array_equal(np.multiply(np.ones(2), t), [1.0, 2.0])


def test_the_error_can_be_pickled():
    try:
        Tensor(1.0).unsqueeze(0)
    except AttributeError as error:
        again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, AttributeError)
    assert str(again).endswith(TENSOR["unsqueeze"])


def test_an_error_costs_no_search_until_it_is_read(monkeypatch):
    def search(*args):
        raise AssertionError("a name was looked for")

    monkeypatch.setattr("difflib.get_close_matches", search)
    assert not hasattr(nn, "Linaer")
    assert getattr(nn, "Linaer", 3) == 3


def test_what_is_only_explained_is_not_listed():
    """Nor does a member raise anything but an AttributeError, at which inspect and mock would stop."""
    assert not {*TENSOR, "einsum"} & {*dir(Tensor)}
    for t in (Tensor([1.0, 2.0]), Tensor(np.eye(2))):
        members = dict(inspect.getmembers(t))
        assert not {*TENSOR, "einsum"} & members.keys()
        assert ("mT" in members) == hasattr(t, "mT") == (t.ndim == 2)
    assert not {*TENSOR, "einsum"} & dict(inspect.getmembers(Tensor)).keys()
    assert not {*MODULE} & dict(inspect.getmembers(nn.Module)).keys()
    assert "unsqueeze" not in pydoc.render_doc(Tensor)
    with pytest.raises(ValueError, match=r"mT swaps the last two axes, and 'v' has not two"):
        Tensor([1.0], name="v").mT  # noqa: B018


def test_an_error_within_a_property_stays_its_own():
    class Net(nn.Module):
        @property
        def width(self):
            return self.wieght

    with pytest.raises(AttributeError, match="'Net' object has no attribute 'wieght'"):
        Net().width  # noqa: B018


# ── what means something else in PyTorch ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.ones((1, 3)), "an array of shape (1, 3) is not"),
        (2.0, "float 2.0 is not"),
        (False, "bool False is not"),
        ([1.0], "an array of shape (1,) is not"),
        (Tensor([1.0]) * 2, "a Tensor of shape (1,) from multiply, the result of an operation, is not"),
    ],
    ids=range(5),
)  # fmt: skip
def test_a_parameter_does_not_become_a_constant(value, said):
    model = nn.Linear(3, 1, rng=0)
    before = model.weight
    with (
        no_grad(),
        pytest.raises(
            TypeError, match=r"Linear\.weight is a parameter.*write model\.weight\.data ="
        ),
    ):
        model.weight = value
    with pytest.raises(TypeError) as caught:
        model.weight = value
    assert said in str(caught.value)
    assert model.weight is before


def test_what_a_parameter_may_become():
    model = nn.Linear(3, 1, rng=0)
    model.weight = Tensor(np.ones((1, 3)))
    model.bias = None
    assert [name for name, _ in model.named_parameters()] == ["weight"]
    del model.weight
    model.weight = np.ones((1, 3))
    assert not list(model.parameters())
    other = nn.Linear(1, 1)
    with no_grad(), pytest.raises(TypeError, match="the result of an operation"):
        other.weight = other.weight - 0.1

    class Counting(nn.Module):
        def __init__(self):
            self.register_buffer("seen", 0.0)
            self.state = Tensor(1.0) * 2  # a result, which no list of parameters has

    model = Counting()
    with pytest.raises(TypeError, match=r"Counting\.seen is a buffer, and float 1\.0 is not"):
        model.seen = 1.0
    model.seen = model.seen + 1
    assert model.state_dict() == {"seen": 1.0}
    model.state = 0.0


def test_a_state_begins_as_a_constant():
    class Recurrence(nn.Module):
        def __init__(self, **options):
            self.w, self.h = Tensor(2.0), Tensor(1.0, **options)

        def forward(self, x):
            self.h = self.h * self.w + x
            return self.h

    with pytest.raises(TypeError, match=r"is Tensor\(x, requires_grad=False\) from the beginning"):
        Recurrence()(1.0)
    model = Recurrence(requires_grad=False)
    model(1.0)
    assert model(1.0) == 7.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: T.sum(1, True), "sum(1, True): by position, NumPy's next option is dtype=; write keepdims=True"),
        (lambda: T.mean(-1, True), "write keepdims=True to keep the axis"),
        (lambda: T.max(1, True), "next option is out=; write keepdims=True"),
        (lambda: T.argmax(1, True), "write keepdims=True"),
        (lambda: T.std(1, True), "write keepdims=True to keep the axis, or ddof=1 for an unbiased"),
        (lambda: T.sum(0, 1), "write axis=(0, 1) for two axes, or keepdims=True"),
        (lambda: T.argsort(1, True), "np.flip of the result for descending order"),
        (lambda: T.cumsum(0, True), "next option is dtype=; write its name"),
        (lambda: T.exp(1), "exp takes 1 argument, not 2"),
        (lambda: T.repeat(2, 2), "PyTorch's is np.tile(t, (2, 2))"),
        (lambda: T.repeat(2, 1, 3), "PyTorch's is np.tile(t, (2, 1, 3))"),
        (lambda: T.transpose(0, 1), "PyTorch's, which swaps two, is t.swapaxes(0, 1)"),
        (lambda: T[None].transpose(1, 2), "takes the new order of all 3 axes; PyTorch's, which swaps two, is t.swapaxes(1, 2)"),
        (lambda: Tensor([1.0], device="cpu"), "Tensor has no device=: everything runs on the CPU"),
        (lambda: Tensor([1.0], grad=True), "Tensor has no grad=: it takes requires_grad=, name= and dtype="),
        (lambda: Tensor(1.0, 2.0), "write Tensor([x, y]) for several numbers"),
        (lambda: Tensor(1.0, (), "+"), "operations record their arguments by themselves"),
        (lambda: nn.Linear(3), "Linear: missing a required argument: 'out_features'; write Linear(in_features, out_features, bias=True"),
        (lambda: nn.Linear(3, 1, rngs=0), "Linear has no rngs=: write rng="),
        (lambda: nn.Linear(3, 1, foo=0), "unexpected keyword argument 'foo'; write Linear(in_features"),
        (lambda: nn.ReLU(True), "ReLU: too many positional arguments; write ReLU()"),
        (lambda: nn.Module(3), "Module() takes no arguments: it defines no __init__"),
        (lambda: nn.BatchNorm1d(3, momentum=None), "PyTorch's None, the average of all batches, does not exist"),
        (lambda: nn.BatchNorm1d(3, affine=False), "BatchNorm1d has no affine=: True is what there is: leave it out; for False freeze"),
        (lambda: optim.Adam(nn.Linear(1, 1).named_parameters()), "type tuple, not a Tensor: write model.parameters(), without"),
        (lambda: type("Mine", (optim.Optimizer,), {})([T]), "Mine defines no update: write def update(self, x, g, state"),
        (lambda: type("Mine", (optim.Optimizer,), {})([T], lr=1.0), "this class declares no options; write lr: float = option("),
        (lambda: grad(lambda m: m(1.0))(nn.Linear(1, 1)), "give a dict of them, nn.functional_call(model, params, x)"),
        (lambda: optim.Adam(lr=1e-3), "Adam is given the parameters first: write Adam(model.parameters(), lr="),
        (lambda: optim.minimize(np.sum, T, "BFGS"), "minimize takes 2 arguments by position (f, x0), not 3: write the others by name, method=, bounds="),
        (lambda: optim.StepLR(optim.SGD([T]), 3, 0.1, -1), "StepLR takes 3 arguments by position (optimizer, step_size, gamma), not 4"),
        (lambda: optim.StepLR(optim.SGD([T]), 3, last_epoch=-1), "StepLR has no last_epoch=: a schedule goes on by its state: `schedule.load"),
        (lambda: optim.StepLR(optim.SGD([T]), 3).step(1), "StepLR.step() takes no epoch, since it counts them: write schedule.step()"),
        (lambda: train.fit(nn.Linear(1, 1), T.data, T.data, loss=nn.mse), "fit: loss= is given by position already, where the arguments are model, data, loss: data is one argument, a pair"),
        (lambda: autobp.softmax(T, 0, axis=0), "softmax: axis= is given by position already, where the arguments are x, axis"),
        (lambda: nn.Sequential({"a": nn.ReLU()}), "Sequential takes layers one by one and without names; write Sequential(*layers.values())"),
        (lambda: nn.GELU("fast"), 'gelu: approximate is "none" or "tanh", not \'fast\''),
    ],
    ids=range(37),
)  # fmt: skip
def test_other_arguments_are_explained(call, said):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert said in str(caught.value)


def test_a_parameter_without_a_place_is_noticed():
    class Net(nn.Module):
        def __init__(self):
            self._w = Tensor(1.0)

    with pytest.warns(UserWarning, match=r"Net\._w is no parameter.*begins with an underscore"):
        assert not list(Net().parameters())


def test_columns_of_a_history_are_items():
    history = train.History([{"epoch": 1, "loss": 0.5}])
    for name in ("history", "loss"):
        with pytest.raises(AttributeError, match=r"no attribute '\w+': write history\['loss'\]"):
            getattr(history, name)
    assert copy.copy(history)["loss"] == [0.5]
    assert not hasattr(history, "accuracy")


def test_a_forgotten_no_grad_is_noticed():
    """PyTorch raises. Here `h = self.bias; h += x` is allowed, and makes a new Tensor."""
    w = Tensor([1.0, 2.0], name="w")
    said = r"-= makes a new Tensor while gradients are recorded, and 'w' stays .* with no_grad\(\): p -="

    def descend():
        np.sum(w * w).backward()
        for p in [w]:
            p -= 0.1 * p.grad

    with pytest.warns(UserWarning, match=said):
        descend()
    with pytest.warns(UserWarning, match=said):
        autobp.compile(descend)()
    h = w
    h += np.ones(2)
    h -= np.ones(2)  # no longer a leaf
    h = w
    h -= w
    w.grad = None
    h = w
    h -= np.ones(2)
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])


def test_an_argument_of_a_derivative_is_not_updated():
    """The result would be a constant, and the derivative 0 in silence."""

    def f(w):
        with no_grad():
            w -= 1
        return np.sum(w**2)

    for take in (grad(f), lambda x: autobp.jvp(f, (x,), (x,)), autobp.hessian(f)):
        with pytest.raises(RuntimeError, match="would make a constant of .* outside of no_grad"):
            take(np.array([3.0, 4.0]))
    value, tangent = autobp.jvp(lambda x: Tensor(13.0, requires_grad=False), (1.0,), (1.0,))
    assert (type(value), value, tangent) == (float, 13.0, 0.0)


def test_an_update_that_returns_its_value_is_refused():
    class Descent(optim.Optimizer):
        def update(self, x, g, state):
            return x - 0.1 * g

    w = Tensor([2.0])
    (w @ w).backward()
    with pytest.raises(TypeError, match=r"Descent\.update returns a value, .* change x in place"):
        Descent([w]).step()


@pytest.mark.parametrize(
    ("options", "shape"),
    [((), (2, 84)), ((0,), (168,)), ((2,), (2, 4, 21)), ((1, 2), (2, 28, 3)), ((-2, -1), (2, 4, 21))],
)  # fmt: skip
def test_flatten_takes_pytorchs_axes(options, shape):
    x = np.arange(168.0).reshape(2, 4, 7, 3)
    np.testing.assert_array_equal(nn.Flatten(*options)(x), x.reshape(shape))
    with pytest.raises(
        ValueError, match=r"makes axes 3 to 1 one, and its input has shape \(2, 4, 7"
    ):
        nn.Flatten(3, 1)(x)


def test_writing_into_an_array_says_what_to_do():
    """NumPy ends in an error of its own for a single element; its cause says the way out."""
    z, said = (
        np.zeros(3),
        r"cannot be written into an array.*np\.stack\(list\).*z\.at\[i\]\.set\(t\)",
    )
    with pytest.raises(TypeError, match=said):
        z[:2] = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="setting an array element") as caught:
        z[0] = Tensor(1.0)
    assert re.search(said, str(caught.value.__cause__))
    np.testing.assert_array_equal(z, 0.0)


# ── keywords ──────────────────────────────────────────────────────────────────────────────────────

T = Tensor([[1.0, 2.0], [3.0, 4.0]])


class Samples:
    """As PyTorch's data sets are: samples that one asks for by number."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return np.ones(1), 1.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: T.sum(dim=0), "sum has no dim=: write axis="),
        (lambda: T.mean(axis=0, keepdim=True), "mean has no keepdim=: write keepdims="),
        (lambda: T.max(dim=1), "max has no dim=: write axis="),
        (lambda: T.std(dim=0, unbiased=False), "std has no dim=: write axis="),
        (lambda: T.var(unbiased=False), "var has no unbiased=: write ddof=1 or ddof=0"),
        (lambda: T.argmax(dim=1), "argmax has no dim=: write axis="),
        (lambda: T.cumsum(dim=0), "cumsum has no dim=: write axis="),
        (lambda: T.squeeze(dim=0), "squeeze has no dim=: write axis="),
        (lambda: T.flatten(start_dim=1), r"write t.reshape(len(t), -1) or nn.Flatten()"),
        (lambda: T.flatten(1), r"write t.reshape(len(t), -1) or nn.Flatten()"),
        (lambda: autobp.softmax(T, dim=1), "softmax has no dim=: write axis="),
        (lambda: nn.log_softmax(T, dim=1), "log_softmax has no dim=: write axis="),
        (lambda: autobp.logsumexp(T, dim=1, keepdim=True), "logsumexp has no dim=: write axis="),
        (lambda: nn.mse(T, T, size_average=True), "mse has no size_average=: write reduction="),
        (lambda: nn.Dropout(0.5, inplace=True), "Dropout has no inplace=: a layer makes a new array"),
        (lambda: nn.ReLU(inplace=True), "ReLU has no inplace=: a layer makes a new array: leave it out"),
        (lambda: nn.Linear(2, 3, device="cuda"), "Linear has no device=: everything runs on the CPU"),
        (lambda: nn.Softmax(dim=1), "Softmax has no dim=: write axis="),
        (lambda: nn.Linear(2, 3, use_bias=False), "Linear has no use_bias=: write bias="),
        (lambda: optim.Adam([T], amsgrad=True), "Adam has no amsgrad=: this option does not exist here"),
        (lambda: optim.SGD([T], learning_rate=0.1), "SGD has no learning_rate=: write lr="),
        (lambda: grad(np.sin, argnum=0), "grad has no argnum=: write argnums="),
        (lambda: autobp.compile(np.sin, static_argnums=0), "compile has no static_argnums=: what is no array"),
        (lambda: train.fit(nn.Linear(1, 1), verbose=0), "fit has no verbose=: write progress=False"),
        (lambda: train.fit(nn.Linear(1, 1), validation_data=0), "write validation=(X, y)"),
        (lambda: autobp.vjp(np.sin, T, has_aux=True), "vjp has no has_aux=: write `value_and_grad"),
        (lambda: data.split(T.data, test_size=0.3), "split has no test_size=: write test="),
        (lambda: data.batches(T.data, T.data, batch_size=4), "batches has no batch_size=: write size="),
        (lambda: train.fit(nn.Linear(1, 1), class_weight=0), "fit has no class_weight=: weights belong to the loss"),
        (lambda: optim.SGD([T], maximize=True), "SGD has no maximize=: write `(-loss).backward()`"),
        (lambda: T.sum().backward(create_graph=True), "derivatives write grad(grad(f)), hessian(f) or hvp("),
        (lambda: T.sum().backward(inputs=[T]), "backward() has no inputs; grad(f, argnums) takes"),
        (lambda: optim.SGD([T]).step(closure=print), "SGD.step() takes no closure: compute the loss and call"),
        (lambda: train.fit(nn.Linear(1, 1), T.data, T.data, epochs=1), "fit is called without optimizer: write fit(model, data, loss, optimizer, …)"),
        (lambda: train.fit(nn.Linear(1, 1), Samples(), nn.mse, optim.SGD([T])), "data is a Samples of samples, and must be a pair of arrays (X, y) or give batches"),
    ],
    ids=range(35),
)  # fmt: skip
def test_a_foreign_keyword_is_explained(call, said):
    with pytest.raises(TypeError) as caught:
        call()
    assert said in str(caught.value)


def test_the_module_of_tensors_is_no_function():
    from autobp import tensor

    for called in (tensor, autobp.tensor):
        with pytest.raises(TypeError, match=r"autobp\.tensor is a module: write Tensor\(x\)"):
            called([1.0, 2.0])


def test_what_would_change_nothing_is_refused():
    model, w = nn.MLP([1, 2, 1]), Tensor(1.0)
    for frozen in (model, model[0]):
        with pytest.raises(
            AttributeError, match=r"has no switch 'trainable': write `for p in model\.par"
        ):
            frozen.trainable = False
    with pytest.raises(AttributeError):
        w.trainable = False
    with pytest.raises(
        TypeError, match=r"SGD\.step\(\) takes no closure: compute the loss and call"
    ):
        optim.SGD([w]).step(lambda: w * w)
    with pytest.raises(AttributeError, match=r"Adam has 'lr' in each group of parameters"):
        optim.Adam([w]).lr = 0.1
    with pytest.raises(TypeError, match="jacobian has no has_aux=: write `value_and_grad"):
        autobp.jacobian(np.sin, has_aux=True)
    with pytest.raises(
        TypeError, match=r"summary\(\) runs the model, and needs an input or its shape"
    ):
        model.summary()


def test_what_is_harmless_works():
    w = Tensor([1.0, 2.0])
    loss = np.sum(w * w)
    loss.backward(retain_graph=True)
    loss.backward(retain_graph=True, create_graph=False)
    np.testing.assert_array_equal(w.grad, [4.0, 8.0])
    optimizer, model = optim.SGD([w], lr=0.1), nn.Linear(1, 1)
    optimizer.zero_grad(set_to_none=True)
    model.zero_grad(set_to_none=True)
    assert w.grad is None
    for zero_grad in (optimizer.zero_grad, model.zero_grad):
        with pytest.raises(
            ValueError, match=r"gradients are cleared to None; for zeros, .* p\.grad = np"
        ):
            zero_grad(set_to_none=False)


def test_keywords_that_exist_are_taken():
    """Where a function has one of these, it is its own."""

    class Layer(nn.Module):
        def __init__(self, dim, seed=0, **rest):
            self.dim = dim

    assert Layer(dim=3, generator=1).dim == 3


# ── the gradient of a result ──────────────────────────────────────────────────────────────────────


def test_that_a_result_keeps_no_gradient_is_said():
    w = Tensor([1.0, 2.0], name="w")
    h = w * w
    h.sum().backward()
    said = r"\.grad of a Tensor of shape \(2,\) from multiply is None.*retain_grad\(\).*no_grad\(\): p -="
    with pytest.warns(UserWarning, match=said) as caught:
        assert h.grad is None
    assert caught[0].filename == __file__


def test_where_there_is_nothing_to_say_nothing_is_said(recwarn):
    w = Tensor([1.0, 2.0])
    assert w.grad is None
    h = w * w
    h.retain_grad()
    assert h.grad is None  # not yet
    h.sum().backward()
    np.testing.assert_array_equal(h.grad, [1.0, 1.0])
    with no_grad():
        assert (w * w).grad is None
    g = w * w
    g.grad = np.ones(2)  # as one likes
    np.testing.assert_array_equal(g.grad, [1.0, 1.0])
    for again in (copy.copy(w * w), copy.deepcopy(w * w), pickle.loads(pickle.dumps(w * w))):
        assert again.grad is None
    assert autobp.graph(np.sum(w * w)).text()
    assert not recwarn.list
