"""The text of compiled programs: it reads like what one derives by hand, and runs without autobp."""

import math
import runpy
import subprocess
import sys
from functools import reduce
from operator import add

import numpy as np
import pytest

from autobp import (
    Tensor,
    compile,
    conv2d,
    custom,
    grad,
    jvp,
    max_pool2d,
    nn,
    relu,
    scope,
    value_and_grad,
)
from autobp.compiler.emit.helpers import helper_sources
from autobp.compiler.emit.names import Names
from autobp.tree import leaves

RNG = np.random.default_rng(0)
PARAMETERS = {
    "W1": RNG.standard_normal((2, 4)),
    "b1": RNG.standard_normal(4),
    "W2": RNG.standard_normal((4, 3)),
    "b2": RNG.standard_normal(3),
}
X, Y = RNG.standard_normal((50, 2)), RNG.random((50, 3))


def loss(params, X, Y):
    with scope("layer1"):
        h = np.tanh(X @ params["W1"] + params["b1"])
    with scope("layer2"):
        out = h @ params["W2"] + params["b2"]
    return np.mean((out - Y) ** 2)


BODY = """\
def value_and_grad_loss(params, X, Y):
    W1 = params['W1']
    b1 = params['b1']
    W2 = params['W2']
    b2 = params['b2']
    # forward: layer1
    t0 = np.dot(X, W1, arena0)
    t0 += b1
    h = np.tanh(t0, t0)
    # forward: layer2
    out = np.dot(h, W2, arena1)
    out += b2
    # forward
    out -= Y
    t1 = np.vdot(out, out)
    t2 = t1 / 150
    t3 = float(t2)
    # backward
    dout = np.multiply(c0, out, out)
    # backward: layer2
    db2 = c1 @ dout
    dh = np.dot(dout, W2.T, arena2)
    dW2 = h.T @ dout
    # backward: layer1
    h *= h
    t4 = np.subtract(one, h, h)
    dh *= t4
    db1 = c1 @ dh
    dW1 = X.T @ dh
    return (t3, {'W1': dW1, 'b1': db1, 'W2': dW2, 'b2': db2})
"""


def test_a_network_reads_as_one_derives_it_by_hand():
    compiled = compile(value_and_grad(loss))
    compiled(PARAMETERS, X, Y)
    assert compiled.source.endswith(BODY)


def standalone(compiled, tmp_path, *args):
    """What the saved module returns, where there is no autobp."""
    compiled.save(tmp_path / "program.py")
    name = compiled.__name__ if compiled.__name__.isidentifier() else "program"
    flat = [np.asarray(a) for _, a in leaves(args)]
    np.savez(tmp_path / "in.npz", *flat)
    code = f"""
import sys; sys.modules["autobp"] = None
import numpy as np, program
from numpy.lib.npyio import NpzFile
data = iter(np.load("in.npz").values())
fill = lambda t: ({{k: fill(v) for k, v in t.items()}} if isinstance(t, dict) else
                  type(t)(map(fill, t)) if isinstance(t, (list, tuple)) else next(data)[()])
found = program.{name}(*fill({_outline(args)!r}))
def leaves(t):
    if isinstance(t, dict): t = list(t.values())
    return [x for u in t for x in leaves(u)] if isinstance(t, (list, tuple)) else [] if t is None else [t]
np.savez("out.npz", *leaves(found))
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    return list(np.load(tmp_path / "out.npz").values())


def _outline(nest):
    if isinstance(nest, dict):
        return {k: _outline(v) for k, v in nest.items()}
    return type(nest)(map(_outline, nest)) if isinstance(nest, list | tuple) else 0


def convolutional(p, x, labels):
    z = max_pool2d(relu(conv2d(x, p[0], p[1])), 2).reshape(len(x), -1) @ p[2]
    return nn.cross_entropy(z, labels)


IMAGES = (
    [RNG.standard_normal((3, 1, 3, 3)), RNG.standard_normal(3), RNG.standard_normal((27, 4))],
    RNG.standard_normal((5, 1, 8, 8)),
    RNG.integers(0, 4, 5),
)
BIG = RNG.standard_normal(2000)

CASES = {
    "network": (value_and_grad(loss), (PARAMETERS, X, Y)),
    "convolution": (value_and_grad(convolutional), IMAGES),
    "large convolution": (
        value_and_grad(lambda w, x: np.sum(conv2d(x, w) ** 2), argnums=(0, 1)),
        (RNG.standard_normal((16, 16, 3, 3)), RNG.standard_normal((8, 16, 18, 18))),
    ),
    "constants": (lambda x: (x * BIG + np.inf, x[:3] - np.array([1.5, np.nan, -0.0])), (BIG,)),
    "float32": (grad(lambda x: np.sum(np.float32(0.1) * x**3)), (np.ones(3, np.float32),)),
    "guards": (grad(lambda x: np.prod(x) + np.mean(x[x > 0])), (np.array([1.0, -2.0, 3.0]),)),
    "tangents": (lambda x: jvp(np.sort, (x,), (x**2,)), (np.array([3.0, 1.0, 2.0]),)),
    "indices": (lambda x: (x[::-1, None, ..., 1:], x[:, [0, 0]], x[1, -1]), (X,)),
    "empty": (
        lambda x: (x + np.zeros((2, 0)), np.zeros((0, 3)), np.matmul(x, np.zeros((0, 3)))),
        (np.zeros((2, 0)),),
    ),
    "signs of zero": (lambda x: np.copysign(x, np.array([0.0, -0.0, 0.0, -0.0])), (np.ones(4),)),
    "sinc": (grad(lambda x: np.sum(np.sinc(x))), (np.array([0.0, 0.3, 2.0]),)),
    "numbers": (lambda x, y: (x / y, -(x**2), (-2.0) ** x, abs(x), x > y), (2.0, 3.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_saved_programs_need_numpy_alone(case, tmp_path):
    function, args = CASES[case]
    compiled = compile(function)
    compiled(*args)
    replayed = [np.asarray(a) for _, a in leaves(compiled(*args))]
    found = standalone(compiled, tmp_path, *args)
    for a, b in zip(found, replayed, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_images_have_their_pixels_first_in_the_arena():
    compiled = compile(value_and_grad(convolutional))
    compiled(*IMAGES)
    assert "(6, 6, 5, 3), np.float64).transpose(2, 3, 0, 1)\n" in compiled.source


def test_a_saved_training_step_takes_arrays_for_tensors(tmp_path):
    def step(w, x):
        w.grad = None
        np.sum((w * x) ** 2).backward()
        w.data -= 0.1 * w.grad

    compiled, w = compile(step), Tensor([1.0, 2.0], name="w")
    for _ in range(3):
        compiled(w, np.ones(2))
    start = w.data.copy()
    *_, value, gradient = standalone(compiled, tmp_path, start, np.ones(2))
    np.testing.assert_allclose(gradient, 2 * start)
    np.testing.assert_allclose(value, 0.8 * start)


def test_gradients_that_are_added_to_are_not_saved(tmp_path):
    compiled, w = compile(lambda w: np.sum(w**2).backward()), Tensor([1.0])
    for _ in range(2):
        compiled(w)
    with pytest.raises(ValueError, match="adds to the gradients of Tensors"):
        compiled.save(tmp_path / "program.py")


def test_large_constants_are_saved_but_not_shown(tmp_path):
    compiled = compile(lambda x: x * BIG)
    compiled(BIG)
    assert "# c0: float64 of shape (2000,); save() writes it" in compiled.source
    assert len(compiled.source) < 1000
    compiled.save(tmp_path / "program.py")
    assert "b85decode" in (tmp_path / "program.py").read_text()


def test_a_saved_module_tells_calls_that_it_is_not_for(tmp_path):
    compiled = compile(value_and_grad(lambda x, ws: np.sum(x) * sum(w * w for w in ws), (0, 1)))
    compiled(np.ones(3), [1.0, 2.0])
    compiled.save(tmp_path / "program.py")
    space = runpy.run_path(str(tmp_path / "program.py"))
    function = next(f for name, f in space.items() if name.startswith("value_and_grad"))
    assert function(np.ones(3), [1.0, 2.0])[0] == 15.0
    with pytest.raises(ValueError, match=r"x has shape \(4,\), not \(3,\)"):
        function(np.ones(4), [1.0, 2.0])
    with pytest.raises(ValueError, match="ws has 3 parts, not 2"):
        function(np.ones(3), [1.0, 2.0, 3.0])


SCALE = 3


def doubled(x, times=SCALE):
    """Not doubled, but it says "doubled" and `scaled`."""
    return x * times


def scaled(given, /, *, by=SCALE):
    é, inner = "é", lambda x: doubled(x)  # doubled
    assert é
    return reduce(add, [inner(given), np.sum(given) * by, math.pi, given.real])


def test_a_saved_module_tells_lists_of_another_length(tmp_path):
    program = compile(value_and_grad(lambda xs: xs[0] * xs[1] + sum(xs)))
    program([1.0, 2.0, 3.0])
    program.save(tmp_path / "saved.py")
    saved = runpy.run_path(str(tmp_path / "saved.py"))[program.__name__]
    assert saved([1.0, 2.0, 3.0])[0] == 8.0
    for other in ([1.0, 2.0], [1.0, 2.0, 3.0, 4.0]):
        with pytest.raises(ValueError, match=f"xs has {len(other)} parts, not 3"):
            saved(other)


def test_helpers_bring_along_what_they_call():
    """Names are changed where they are names, and nowhere else."""
    imports, texts = helper_sources({scaled: "doubled"}, "program")
    assert imports == {"import math", "from functools import reduce", "from operator import add"}
    space = {"np": np}
    exec("\n".join((*imports, *texts)), space)
    x = np.arange(3.0)
    np.testing.assert_array_equal(space["doubled"](x), scaled(x))
    np.testing.assert_array_equal(space["doubled_"](x), doubled(x))
    text = "\n".join(texts)
    assert '"""Not doubled, but it says "doubled" and `scaled`."""' in text
    assert "def doubled(given, /, *, by=SCALE):\n" in text
    assert '"é", lambda x: doubled_(x)  # doubled\n' in text


def test_helpers_whose_text_cannot_be_had():
    with pytest.raises(ValueError, match="the text of f cannot be had, so the program cannot be"):
        helper_sources({len: "f"}, "program")
    with pytest.raises(ValueError, match="f is not written as a function of its own"):
        helper_sources({lambda x: x: "f"}, "program")


def test_a_helper_of_a_library_brings_its_constants(tmp_path):
    a = np.tril(RNG.standard_normal((120, 120))) + 20.0 * np.eye(120)
    step = compile(value_and_grad(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2)))
    value, gradient = step(a, np.ones(120))
    step.save(tmp_path / "step.py")
    space = runpy.run_path(str(tmp_path / "step.py"))
    found = next(f for name, f in space.items() if name.startswith("value_and_grad"))(
        a, np.ones(120)
    )
    np.testing.assert_array_equal(found[0], value)
    np.testing.assert_array_equal(found[1], gradient)


@pytest.mark.parametrize("name", ["abs", "float", "np", "math"])
def test_a_program_has_no_name_that_it_calls(name):
    def f(x):
        return abs(x) + np.where(x > 1, x, 2.0) + np.sin(x)

    f.__name__ = name
    step = compile(f)
    for x in (-1.5, 3.0):
        assert step(x) == f(x)
    assert f"def {name}_(x):" in step.source


def test_kinks_of_float32_are_computed_in_float32():
    step = compile(grad(lambda x: np.sum(np.clip(x, 0, 6) * np.fmax(x, 1))))
    x = np.array([-1, 0, 0.5, 1, 3, 6, 7], np.float32)
    np.testing.assert_array_equal(step(x), np.array([0, 0.5, 1, 1.5, 6, 9, 6], np.float32))
    assert "astype" not in step.source


def test_helpers_keep_their_constants_where_modules_use_one_name(tmp_path, monkeypatch):
    (tmp_path / "near.py").write_text("""
SCALE, SHIFT = 2.0, 1.0

def near(x):
    return x * SCALE + SHIFT
""")
    (tmp_path / "far.py").write_text("""
SCALE, SHIFT = 3.0, 1.0

def far(x, SHIFT=SHIFT):
    return x * SCALE + SHIFT
""")
    monkeypatch.syspath_prepend(tmp_path)
    near, far = (getattr(__import__(name), name) for name in ("near", "far"))
    _, texts = helper_sources({near: "near", far: "far"}, "program")
    space = {}
    exec("\n".join(texts), space)
    assert (space["near"](1.0), space["far"](1.0), space["far"](1.0, 0.5)) == (3.0, 4.0, 3.5)


def test_a_helper_without_a_text_is_told_of_where_the_source_is_read(tmp_path):
    sums = custom(
        lambda x: np.add.reduceat(x, [0, 1]), vjp=lambda g, y, x: np.repeat(g, [1, 2]), name="sums"
    )
    step = compile(lambda x: np.sum(sums(x)))
    step(np.ones(3))
    assert "is not written as a function of its own" in step.source
    with pytest.raises(ValueError, match="is not written as a function of its own"):
        step.save(tmp_path / "step.py")


def test_the_next_number_of_a_name_is_known():
    class Counted(set):
        asked = 0

        def __contains__(self, name):
            self.asked += 1
            return super().__contains__(name)

    names = Names(["t", "t3"])
    names.taken = Counted(names.taken)
    assert [names.free("t", numbered=True) for _ in range(4)] == ["t0", "t1", "t2", "t4"]
    for _ in range(1000):
        names.free("t", numbered=True)
    assert names.taken.asked < 3000


def test_names_do_not_clash():
    def f(np_, lambda_, print):
        room = np_ + lambda_
        sum = room * print
        return np.sum(sum * room) + grad(lambda place: np.sum(place * sum))(room)

    compiled = compile(f)
    args = np.ones(2), np.ones(2) * 2, 3.0
    for _ in range(2):
        np.testing.assert_array_equal(compiled(*args), f(*args))


def test_parameters_may_have_the_names_of_functions_of_python():
    f = compile(lambda type, len, id: (type * 2.0, len[0] + id["a"]))
    for x in (np.ones(2), np.zeros(2)):
        doubled, total = f(x, [1.0], {"a": x})
        np.testing.assert_array_equal([doubled, total], [2 * x, 1 + x])
    assert len(f.programs) == 1


def test_an_array_of_equal_exponents_is_no_root():
    """Of −inf NumPy's power is inf, and its root, which it takes for the number ½, is nan."""
    x = np.array([1.0, -np.inf])
    f = lambda x: x ** np.full(x.shape, 0.5)
    compiled = compile(f)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x), np.power(x, np.full(2, 0.5)))
