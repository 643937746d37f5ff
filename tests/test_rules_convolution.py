"""Convolution and pooling: against loops over pixels, through every mode, and at their edges."""

import itertools
import math

import numpy as np
import pytest

from autobp import (
    Tensor,
    adaptive_avg_pool2d,
    avg_pool2d,
    check_gradients,
    compile,
    conv1d,
    conv2d,
    grad,
    hvp,
    jvp,
    linearize,
    max_pool2d,
    relu,
    value_and_grad,
    vjp,
    vmap,
)
from autobp.kernels import layout, narrow, planes, winograd
from autobp.rules import convolution
from autobp.rules.shape import surrounded

rng = np.random.default_rng(8)


def pair(n):
    return n if isinstance(n, tuple) else (n, n)


def slid(x, size, stride, padding, dilation, border, see):
    """What `see` makes of each window, one place of one channel of one sample at a time."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = map(pair, (size, stride, padding, dilation))
    n, c, h, w = x.shape
    padded = np.full((n, c, h + 2 * ph, w + 2 * pw), border)
    padded[:, :, ph : ph + h, pw : pw + w] = x
    rows = range(0, h + 2 * ph - dh * (kh - 1), sh)
    columns = range(0, w + 2 * pw - dw * (kw - 1), sw)
    y = np.zeros((n, c, len(rows), len(columns)))
    for s, k in itertools.product(range(n), range(c)):
        for (i, top), (j, left) in itertools.product(enumerate(rows), enumerate(columns)):
            window = [
                [padded[s, k, top + dh * a, left + dw * b] for b in range(kw)] for a in range(kh)
            ]
            y[s, k, i, j] = see(k, np.array(window))
    return y


def naive(x, w, b, stride, padding, dilation):
    maps = [
        slid(x, w.shape[2:], stride, padding, dilation, 0.0, lambda c, s, o=o: np.sum(s * w[o, c]))
        for o in range(w.shape[0])
    ]
    return np.stack([np.sum(m, axis=1) for m in maps], axis=1) + b[:, None, None]


# fmt: off
#   image           kernel          stride  padding  dilation
CONVOLUTIONS = [
    ((2, 3, 5, 5),  (4, 3, 3, 3),   1,      0,       1),
    ((2, 3, 5, 4),  (2, 3, 3, 2),   1,      1,       1),
    ((2, 2, 6, 7),  (3, 2, 2, 3),   2,      (1, 2),  1),
    ((1, 2, 7, 6),  (2, 2, 3, 2),   (3, 1), 0,       (1, 3)),
    ((2, 1, 5, 6),  (1, 1, 2, 2),   (2, 3), (2, 0),  (3, 2)),
    ((2, 3, 4, 3),  (2, 3, 1, 1),   1,      0,       1),
    ((2, 3, 4, 3),  (2, 3, 1, 1),   2,      1,       4),
    ((1, 2, 3, 4),  (2, 2, 3, 4),   1,      0,       1),
    ((0, 3, 5, 5),  (4, 3, 3, 3),   1,      1,       1),
    # rows of the image that are longer than those of the window with all its channels
    ((2, 1, 6, 7),  (3, 1, 3, 3),   1,      0,       1),
    ((2, 2, 6, 11), (2, 2, 2, 2),   (2, 1), (1, 0),  (1, 2)),
]
#   image           size    stride  padding
POOLS = [
    ((2, 3, 4, 6),  2,      None,   0),
    ((2, 2, 5, 5),  2,      None,   0),
    ((2, 2, 6, 5),  3,      2,      1),
    ((1, 2, 5, 6),  (2, 3), (1, 2), (1, 0)),
    ((1, 1, 5, 4),  (2, 1), (3, 2), 0),
    ((2, 2, 3, 3),  1,      None,   0),
    ((1, 2, 3, 4),  (3, 4), None,   0),
    ((0, 3, 4, 4),  2,      None,   1),
]
# fmt: on


@pytest.mark.parametrize(("image", "kernel", "stride", "padding", "dilation"), CONVOLUTIONS)
def test_convolution(image, kernel, stride, padding, dilation):
    x, w, b = (rng.standard_normal(s) for s in (image, kernel, kernel[:1]))
    y = conv2d(x, w, b, stride, padding, dilation)
    expected = naive(x, w, b, stride, padding, dilation)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        conv2d(x, w, None, stride, padding, dilation), expected - b[:, None, None], atol=1e-12
    )
    function = lambda *a: conv2d(*a, stride=stride, padding=padding, dilation=dilation)
    check_gradients(function, x, w, b, order=2)


@pytest.mark.parametrize(("image", "kernel", "stride", "padding", "dilation"), CONVOLUTIONS)
def test_a_few_samples_at_a_time(image, kernel, stride, padding, dilation, monkeypatch):
    x, w = rng.standard_normal((5, *image[1:])), rng.standard_normal(kernel)
    function = lambda x, w: conv2d(x, w, None, stride, padding, dilation)
    y, pullback = vjp(function, x, w)
    g = rng.standard_normal(y.shape)
    one = 8 * np.prod(kernel[1:]) * np.prod(y.shape[2:])  # bytes that a sample's windows are of
    for cache in (1, 2 * one, 100 * one):
        monkeypatch.setattr(convolution, "_CACHE", int(cache))
        again, pull = vjp(function, x, w)
        np.testing.assert_allclose(again, y, 1e-13, 1e-13)
        for a, b in zip(pull(g), pullback(g), strict=True):
            np.testing.assert_allclose(a, b, 1e-13, 1e-13)


def summed(x, w, stride, dilation):
    """The definition, one element of the kernel after the other."""
    (sh, sw), (dh, dw), (kh, kw) = stride, dilation, w.shape[2:]
    high, wide = (x.shape[2] - dh * (kh - 1) - 1) // sh, (x.shape[3] - dw * (kw - 1) - 1) // sw
    return sum(
        np.einsum(
            "nchw,kc->nkhw",
            x[:, :, i * dh : i * dh + high * sh + 1 : sh, j * dw : j * dw + wide * sw + 1 : sw],
            w[:, :, i, j],
        )
        for i, j in np.ndindex(kh, kw)
    )


def check_sums(image, kernel, stride, dilation, dtype, rtol):
    """A convolution and its derivatives, against the definition in double precision."""
    x, w = (rng.standard_normal(s) for s in (image, kernel))
    y = summed(x, w, stride, dilation)
    g = rng.standard_normal(y.shape)
    by_x, by_w = np.zeros_like(x), np.zeros_like(w)
    for ij in np.ndindex(*kernel[2:]):
        place = convolution._seen(ij, y.shape[2:], stride, dilation)
        by_x[place] += np.einsum("nkhw,kc->nchw", g, w[..., *ij])
        by_w[..., *ij] = np.einsum("nkhw,nchw->kc", g, x[place])
    single = [a.astype(dtype) for a in (x, w, g)]
    found, pullback = vjp(lambda x, w: conv2d(x, w, None, stride, 0, dilation), *single[:2])
    for a, b in zip((found, *pullback(single[2])), (y, by_x, by_w), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, 0, rtol * np.abs(b).max(initial=0.0))


PRECISE = pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-14), (np.float32, 2e-6)])


@PRECISE
@pytest.mark.parametrize("seed", range(12))
def test_random_geometries(seed, dtype, rtol, monkeypatch):
    draw = np.random.default_rng(seed)
    monkeypatch.setattr(convolution, "_CACHE", int(draw.choice([1, 1 << 12, 1 << 20])))
    size, stride, dilation = (tuple(map(int, draw.integers(1, 4, 2))) for _ in range(3))
    sides = [d * (k - 1) + 1 + draw.integers(0, 9) for k, d in zip(size, dilation)]
    samples, inner, outer = draw.choice([1, 2, 5, 17], 3)
    check_sums((samples, inner, *sides), (outer, inner, *size), stride, dilation, dtype, rtol)


@PRECISE
@pytest.mark.parametrize("bytes_", [1, 1 << 13, 1 << 21])
@pytest.mark.parametrize(
    "image",
    [
        (1, 1, 3, 3),
        (2, 3, 4, 7),
        (3, 2, 12, 5),
        (5, 4, 9, 9),
        (4, 17, 10, 13),
        (0, 2, 5, 5),
    ],
    ids=str,
)
def test_few_multiplications(image, bytes_, dtype, rtol, monkeypatch):
    monkeypatch.setattr(winograd, "_TILES_BYTES", bytes_)
    monkeypatch.setattr(convolution, "minimal_pays", lambda *_: True)
    for outer in (1, 6):
        check_sums(image, (outer, image[1], 3, 3), (1, 1), (1, 1), dtype, rtol)


@PRECISE
def test_large_convolutions_take_few_multiplications(dtype, rtol, monkeypatch):
    calls = []
    for name in ("minimal", "minimal_input", "minimal_weight"):
        kernel = getattr(convolution, name)
        counted = lambda *args, name=name, kernel=kernel: calls.append(name) or kernel(*args)
        monkeypatch.setattr(convolution, name, counted)
    check_sums((3, 16, 29, 35), (24, 16, 3, 3), (1, 1), (1, 1), dtype, rtol)
    assert calls == ["minimal", "minimal_input", "minimal_weight"]
    for image, kernel, stride, dilation in (
        ((3, 16, 29, 35), (24, 16, 3, 3), (2, 1), (1, 1)),
        ((3, 16, 29, 35), (24, 16, 3, 3), (1, 1), (1, 2)),
        ((3, 16, 29, 35), (24, 16, 3, 1), (1, 1), (1, 1)),
        ((3, 3, 29, 35), (24, 3, 3, 3), (1, 1), (1, 1)),
        ((1, 16, 7, 7), (24, 16, 3, 3), (1, 1), (1, 1)),
    ):
        check_sums(image, kernel, stride, dilation, dtype, rtol)
    assert len(calls) == 3


@PRECISE
def test_fewer_channels_on_one_side_than_multiplications_pay_for(dtype, rtol, monkeypatch):
    calls = []
    monkeypatch.setattr(convolution, "minimal", lambda *args: calls.append("minimal"))
    check_sums((3, 16, 29, 35), (40, 16, 3, 3), (1, 1), (1, 1), dtype, rtol)
    assert not calls


def test_a_kernel_of_one_pixel_copies_no_images(monkeypatch):
    """Neither those that have their planes first in memory nor those that have their pixels first."""
    copies = []
    made = lambda x: copies.append(x.shape) or layout.contiguous(x)
    monkeypatch.setattr(convolution, "_pixels", lambda x: made(convolution._turned(x)))
    x, w, g = (rng.standard_normal(s) for s in ((3, 5, 6, 7), (4, 5, 1, 1), (3, 4, 6, 7)))
    y, pullback = vjp(conv2d, x, w)
    dx, dw = pullback(g)
    assert copies == []
    np.testing.assert_allclose(y, np.einsum("oc,nchw->nohw", w[..., 0, 0], x))
    np.testing.assert_allclose(dx, np.einsum("oc,nohw->nchw", w[..., 0, 0], g))
    np.testing.assert_allclose(dw[..., 0, 0], np.einsum("nohw,nchw->oc", g, x))


@pytest.mark.parametrize("cache", [1, 1 << 12, 1 << 20])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3), (1, 4)])
@pytest.mark.parametrize("channels", [1, 3, 9, 40])
def test_images_and_cotangents_in_any_order_of_memory(channels, stride, cache, monkeypatch):
    """Planes or pixels first, of the images and of the cotangents: the numbers are the same."""
    monkeypatch.setattr(convolution, "_CACHE", cache)
    x, w = rng.standard_normal((3, channels, 19, 20)), rng.standard_normal((4, channels, 2, 3))
    function = lambda x, w: conv2d(x, w, None, stride, 0, (2, 1))
    y = naive(x, w, np.zeros(4), stride, 0, (2, 1))
    g = rng.standard_normal(y.shape)
    expected = None
    for turned_x, turned_g in itertools.product((False, True), repeat=2):
        orders = lambda a, turned: layout.laid_out(a, (2, 3, 0, 1)) if turned else a
        found, pullback = vjp(function, orders(x, turned_x), w)
        np.testing.assert_allclose(found, y, atol=1e-12)
        gradients = pullback(orders(g, turned_g))
        expected = expected or gradients
        for one, other in zip(gradients, expected):
            np.testing.assert_allclose(one, other, atol=1e-11)
    if channels < 9:
        check_gradients(function, x[:1, :, :7, :9], w)


def test_products_of_thin_matrices_are_made_at_once(monkeypatch):
    """Those of all elements of a window, where few channels came in."""
    calls = []
    monkeypatch.setattr(
        convolution, "add_windows", lambda *a: calls.append(a[1].shape) or planes.add_windows(*a)
    )
    for channels in (3, 40):
        x, w = rng.standard_normal((2, channels, 9, 9)), rng.standard_normal((50, channels, 3, 2))
        y, pullback = vjp(conv2d, x, w)
        pullback(np.ones_like(y))
    assert calls == [(2, 3 * 2 * 3, 7 * 8)]


@PRECISE
@pytest.mark.parametrize("bytes_", [1, 1 << 12, 1 << 20])
@pytest.mark.parametrize("seed", range(4))
def test_few_channels_from_many(seed, bytes_, dtype, rtol, monkeypatch):
    monkeypatch.setattr(narrow, "_CACHE", bytes_)
    calls = []
    for name in ("narrow", "narrow_input", "narrow_weight"):
        kernel = getattr(convolution, name)
        counted = lambda *args, name=name, kernel=kernel: calls.append(name) or kernel(*args)
        monkeypatch.setattr(convolution, name, counted)
    draw = np.random.default_rng(seed)
    size = ((3, 3), (1, 4), (5, 2), (2, 1))[seed]
    dilation = tuple(map(int, draw.integers(1, 4, 2)))
    sides = [d * (k - 1) + 1 + draw.integers(0, 9) for k, d in zip(size, dilation)]
    for outer, inner in ((1, 3), (2, 7)):
        check_sums((3, inner, *sides), (outer, inner, *size), (1, 1), dilation, dtype, rtol)
    assert calls == ["narrow", "narrow_input", "narrow_weight"] * 2
    check_sums((3, 2, *sides), (1, 2, *size), (1, 1), dilation, dtype, rtol)
    check_sums((3, 3, 9, 9), (1, 3, *size), (2, 1), (1, 1), dtype, rtol)
    check_sums((3, 3, 9, 9), (1, 3, 1, 1), (1, 1), (1, 1), dtype, rtol)
    assert len(calls) == 6


def test_what_is_not_finite_stays_in_its_tile():
    x = rng.standard_normal((16, 16, 16, 16))
    w = rng.standard_normal((16, 16, 3, 3))
    expected = conv2d(x, w)
    x[2, 3, 8, 8] = np.inf
    with np.errstate(invalid="ignore"):
        found = conv2d(x, w)
    assert not np.isfinite(found[2, :, 6:9, 6:9]).any()
    found[2, :, 6:10, 6:10] = expected[2, :, 6:10, 6:10]
    np.testing.assert_array_equal(found, expected)


def pixels_first(x):
    return np.ascontiguousarray(x.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: conv2d(x, w, stride=2, padding=1),
        lambda x, w: conv2d(x, w[:, :, :2]),
        lambda x, w: max_pool2d(x, 2) + w[0, 0, 0, 0],
        lambda x, w: avg_pool2d(x, 3, 1) * w[0, 0, 0, 0],
    ],
    ids=["conv", "conv2", "max", "avg"],
)
def test_images_in_any_order_of_memory(function):
    x, w = rng.standard_normal((3, 2, 6, 7)), rng.standard_normal((4, 2, 3, 3))
    y, pullback = vjp(function, x, w)
    g = rng.standard_normal(y.shape)
    expected = [np.array(a) for a in (y, *pullback(g))]
    spread = np.zeros((6, 4, 6, 14))[::2, ::2, :, ::2]
    spread[...] = x
    for image in (pixels_first(x), np.asfortranarray(x), spread, x[..., ::-1].copy()[..., ::-1]):
        for cotangent in (g, pixels_first(g), np.broadcast_to(g, (1, *g.shape))[0]):
            y, pullback = vjp(function, image, w)
            for a, b in zip((y, *pullback(cotangent)), expected, strict=True):
                np.testing.assert_allclose(a, b, 1e-13, 1e-13)


def test_pixels_come_first_from_layer_to_layer():
    x, w = rng.standard_normal((3, 2, 6, 6)), rng.standard_normal((4, 2, 3, 3))
    y = relu(conv2d(x, w, np.ones(4)))
    step = {"stride": (1, 1), "dilation": (1, 1)}
    back = convolution.conv2d_input(np.ones(y.shape), w, image=(6, 6), **step)
    for a in (y, max_pool2d(y, 2), avg_pool2d(y, 2), avg_pool2d(y, 3, 1), back):
        assert a.transpose(2, 3, 0, 1).flags.c_contiguous


@pytest.mark.parametrize(
    "x",
    [
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1)[:, ::-1],
        np.broadcast_to(np.float32(2.0), (2, 3, 4)),
        np.zeros((0, 3, 4), int),
    ],
    ids=["C", "Fortran", "turned", "broadcast", "empty"],
)
def test_what_is_padded_keeps_its_order_in_memory(x):
    width = ((0, 0), (1, 2), (3, 0))
    padded = surrounded(x, width)
    np.testing.assert_array_equal(padded, np.pad(x, width), strict=True)
    if x.size and 0 not in x.strides:
        order = lambda a: sorted(range(3), key=lambda k: -abs(a.strides[k]))
        assert order(padded) == order(x)


def test_sums_over_many_places_keep_their_digits_in_float32():
    x, w = rng.uniform(1, 2, (8, 2, 66, 66)), rng.uniform(1, 2, (3, 2, 3, 3))
    b = np.ones(3)
    loss = lambda x, w, b: np.sum(conv2d(x, w, b) ** 2)
    exact = grad(loss, (0, 1, 2))(x, w, b)
    single = grad(loss, (0, 1, 2))(*(a.astype(np.float32) for a in (x, w, b)))
    for a, g in zip(single, exact, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, g, 2e-6)


@pytest.mark.parametrize(("image", "size", "stride", "padding"), POOLS)
@pytest.mark.parametrize(
    ("pool", "border", "see"),
    [(max_pool2d, -np.inf, np.max), (avg_pool2d, 0.0, np.mean)],
    ids=["max", "avg"],
)
def test_pooling(pool, border, see, image, size, stride, padding):
    x = rng.permutation(np.prod(image)).reshape(image) / 8 - 2  # no two alike
    y = pool(x, size, stride, padding)
    steps = size if stride is None else stride
    expected = slid(x, size, steps, padding, 1, border, lambda _, window: see(window))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    check_gradients(lambda x: pool(x, size, stride, padding), x, order=2)


def network(x, w, b):
    h = max_pool2d(relu(conv2d(x, w, b, padding=1)), 2)
    return np.mean(avg_pool2d(h * h * h, 2, stride=1))


def test_a_network_in_every_mode():
    x, w, b = (rng.standard_normal(s) for s in ((2, 2, 6, 6), (3, 2, 3, 3), (3,)))
    check_gradients(network, x, w, b, order=2)
    v = rng.standard_normal(w.shape)
    loss = lambda w: network(x, w, b)
    curvature = jvp(grad(loss), (w,), (v,))[1]
    np.testing.assert_allclose(hvp(loss, (w,), (v,)), curvature, rtol=1e-12)
    np.testing.assert_allclose(
        grad(lambda w: jvp(loss, (w,), (v,))[1])(w), curvature, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("function", [conv2d, None, max_pool2d, avg_pool2d])
def test_float32_stays(function):
    x, w, b = (
        rng.standard_normal(s).astype(np.float32) for s in ((2, 2, 5, 5), (3, 2, 2, 2), (3,))
    )
    call = {
        conv2d: lambda x: conv2d(x, w, b, padding=1),
        None: lambda x: conv2d(x, w, stride=2),
        max_pool2d: lambda x: max_pool2d(x, 2, padding=1),
        avg_pool2d: lambda x: avg_pool2d(x, 2, padding=1),
    }[function]
    y, pullback = vjp(call, x)
    assert y.dtype == pullback(y)[0].dtype == jvp(call, (x,), (x,))[1].dtype == np.float32
    t = Tensor(x)
    np.sum(call(t)).backward()
    assert t.grad.dtype == np.float32


def test_whole_numbers_and_lists_are_taken():
    x = np.arange(9).reshape(1, 1, 3, 3)
    assert conv2d(x, [[[[1, 1]]]], [1]).tolist() == [[[[2, 4], [8, 10], [14, 16]]]]
    assert conv2d(x, Tensor([[[[1, 1]]]]), [1], stride=[1, 2]).tolist() == [[[[2], [8], [14]]]]
    assert max_pool2d(x, np.int64(2), 1).tolist() == [[[[4, 5], [7, 8]]]]
    assert avg_pool2d(x.tolist(), 2, 1).tolist() == [[[[2, 3], [5, 6]]]]


# fmt: off
#   rows of the image                   size    stride  padding  derivative of the sum
TIES = {
    "none":     ([[1, 2], [3, 4]],      2,      None,   0,       [[0, 0], [0, 1]]),
    "two":      ([[1, 4], [3, 4]],      2,      None,   0,       [[0, .5], [0, .5]]),
    "all":      ([[1, 1], [1, 1]],      2,      None,   0,       [[.25, .25], [.25, .25]]),
    "overlap":  ([[1, 1, 1]],           (1, 2), 1,      0,       [[.5, 1, .5]]),
    "seen twice": ([[0, 1, 0]],         (1, 2), 1,      0,       [[0, 2, 0]]),
    "border":   ([[0, 0]],              (1, 2), None,   (0, 1),  [[1, 1]]),
    "below 0":  ([[-2, -1], [-3, -4]],  2,      2,      1,       [[1, 1], [1, 1]]),
    "nan":      ([[1, np.nan]],         (1, 2), None,   0,       [[0, 0]]),
}
# fmt: on


@pytest.mark.parametrize("case", TIES)
def test_ties_share_the_maximum(case):
    rows, size, stride, padding, expected = TIES[case]
    x = np.array([[rows]], float)
    total = lambda x: np.sum(max_pool2d(x, size, stride, padding))
    assert grad(total)(x)[0, 0].tolist() == expected
    v = rng.standard_normal(x.shape)
    slope = np.sum(v * expected)
    np.testing.assert_allclose(jvp(total, (x,), (v,))[1], slope, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(linearize(total, x)[1](v), slope, rtol=1e-14, atol=1e-15)


# ── PyTorch's options ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("minimal", [True, False])
@pytest.mark.parametrize("dilation", [(1, 1), (1, 2)])
@pytest.mark.parametrize(("inner", "outer"), [(2, 2), (3, 1), (1, 1), (1, 3)])
def test_derivatives_of_groups(inner, outer, dilation, minimal, monkeypatch):
    """Those of each by itself, in either way."""
    monkeypatch.setattr(convolution, "minimal_pays", lambda *_: minimal)
    x, w = rng.standard_normal((16, 3 * inner, 7, 9)), rng.standard_normal((3 * outer, inner, 3, 3))
    g = rng.standard_normal((16, 3 * outer, 5, 9 - 2 * dilation[1]))

    def all_three(x, w, g, groups):
        of = {"stride": (1, 1), "dilation": dilation, "groups": groups}
        return (
            convolution._conv2d(x, w, **of),
            convolution._conv2d_input(g, w, image=(7, 9), **of),
            convolution._conv2d_weight(x, g, size=(3, 3), **of),
        )

    parts = (np.split(a, 3, axis) for a, axis in ((x, 1), (w, 0), (g, 1)))
    apart = zip(*(all_three(*given, 1) for given in zip(*parts, strict=True)), strict=True)
    for found, expected, axis in zip(all_three(x, w, g, 3), apart, (1, 1, 0), strict=True):
        np.testing.assert_allclose(found, np.concatenate(expected, axis), 1e-11, 1e-11)


def test_groups_are_convolutions_side_by_side():
    x, w, b = (rng.standard_normal(s) for s in ((2, 4, 5, 6), (6, 2, 3, 2), (6,)))
    parts = [conv2d(x[:, 2 * g : 2 * g + 2], w[3 * g : 3 * g + 3], padding=1) for g in range(2)]
    expected = np.concatenate(parts, axis=1) + b[:, None, None]
    np.testing.assert_allclose(conv2d(x, w, b, padding=1, groups=2), expected, rtol=1e-13)
    check_gradients(lambda x, w: conv2d(x, w, dilation=2, groups=2), x, w, order=2)


@pytest.mark.parametrize(("size", "dilation"), [((3, 3), 1), ((2, 4), 1), ((2, 3), 2), ((1, 1), 3)])
def test_the_same_padding_keeps_the_size(size, dilation):
    x, w = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((2, 3, *size))
    found = conv2d(x, w, padding="same", dilation=dilation)
    assert found.shape == (2, 2, 7, 6)
    # the odd one of an even number of rows or columns is added behind
    width = [(0, 0), (0, 0), *((n // 2, n - n // 2) for n in (dilation * (k - 1) for k in size))]
    np.testing.assert_array_equal(found, conv2d(np.pad(x, width), w, dilation=dilation))
    np.testing.assert_array_equal(conv2d(x, w, padding="valid"), conv2d(x, w))


def test_one_image_is_a_batch_without_its_axis():
    x, w = rng.standard_normal((3, 6, 5)), rng.standard_normal((2, 3, 2, 2))
    for f in (
        lambda x: conv2d(x, w, [1.0, 2.0], padding="same"),
        lambda x: max_pool2d(x, 2, padding=1),
        lambda x: avg_pool2d(x, (2, 3), 1),
        lambda x: adaptive_avg_pool2d(x, (2, 3)),
    ):
        np.testing.assert_array_equal(f(x), f(x[None])[0])


def test_sequences_are_flat_images():
    x, w, b = (rng.standard_normal(s) for s in ((2, 4, 9), (6, 2, 3), (6,)))
    found = conv1d(x, w, b, stride=2, padding=1, groups=2)
    places = [np.pad(x, ((0, 0), (0, 0), (1, 1)))[..., i : i + 3] for i in range(0, 9, 2)]
    halves = [np.einsum("pncl,ocl->nop", np.stack(places)[:, :, c], w[o]) for c, o in (
        (slice(0, 2), slice(0, 3)), (slice(2, 4), slice(3, 6)),
    )]  # fmt: skip
    np.testing.assert_allclose(found, np.concatenate(halves, 1) + b[:, None], rtol=1e-12)
    one = conv1d(x[0], w, b, groups=2)
    np.testing.assert_allclose(one, conv1d(x, w, b, groups=2)[0], rtol=1e-12, atol=1e-14)
    assert conv1d(x, w, padding="same", groups=2).shape == (2, 6, 9)
    check_gradients(lambda x, w: conv1d(x, w, dilation=2, groups=2), x, w, order=2)


def pooled(x, size, stride, padding, dilation, ceil_mode, of):
    """Window by window, as PyTorch's documentation defines them."""
    rows = []
    for n, k, s, p, d in zip(x.shape[2:], size, stride, padding, dilation, strict=True):
        rest = n + 2 * p - d * (k - 1) - 1
        places = (math.ceil(rest / s) if ceil_mode else rest // s) + 1
        starts = [s * i - p for i in range(places)]
        rows.append([(a, [a + d * j for j in range(k)]) for a in starts if a < n or not ceil_mode])
    result = np.empty((*x.shape[:2], len(rows[0]), len(rows[1])))
    for i, (_, ys) in enumerate(rows[0]):
        for j, (_, xs) in enumerate(rows[1]):
            result[:, :, i, j] = of(x, ys, xs)
    return result


WINDOWS = [
    ((2, 2), (2, 2), (0, 0), True),
    ((3, 2), (2, 3), (1, 1), True),
    ((3, 3), (2, 2), (1, 0), False),
    ((2, 3), (3, 2), (1, 1), True),
]


@pytest.mark.parametrize(("size", "stride", "padding", "ceil_mode"), WINDOWS)
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2)])
def test_maxima_of_windows(size, stride, padding, ceil_mode, dilation):
    x = rng.standard_normal((2, 3, 7, 6))

    def greatest(x, ys, xs):
        inside = [(y, z) for y in ys for z in xs if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]]
        return np.max([x[:, :, y, z] for y, z in inside], axis=0)

    f = lambda x: max_pool2d(x, size, stride, padding, dilation, ceil_mode)
    expected = pooled(x, size, stride, padding, dilation, ceil_mode, greatest)
    np.testing.assert_array_equal(f(x), expected)
    check_gradients(f, x, order=2)


@pytest.mark.parametrize(("size", "stride", "padding", "ceil_mode"), WINDOWS)
def test_places_of_maxima(size, stride, padding, ceil_mode):
    x = rng.standard_normal((2, 3, 7, 6))
    y, places = max_pool2d(x, size, stride, padding, (2, 1), ceil_mode, return_indices=True)
    np.testing.assert_array_equal(y, max_pool2d(x, size, stride, padding, (2, 1), ceil_mode))
    found = np.take_along_axis(x.reshape(2, 3, -1), places.reshape(2, 3, -1), axis=-1)
    np.testing.assert_array_equal(found.reshape(y.shape), y)
    assert max_pool2d(x[0], 2, return_indices=True)[1].shape == (3, 3, 3)


@pytest.mark.parametrize(("size", "stride", "padding", "ceil_mode"), WINDOWS)
@pytest.mark.parametrize(("count_include_pad", "divisor"), [(True, None), (False, None), (True, 3)])
def test_means_of_windows(size, stride, padding, ceil_mode, count_include_pad, divisor):
    x = rng.standard_normal((2, 3, 7, 6))

    def mean(x, ys, xs):
        (h, w), (p, q) = x.shape[2:], padding
        inside = [(y, z) for y in ys for z in xs if 0 <= y < h and 0 <= z < w]
        padded = [(y, z) for y in ys for z in xs if y < h + p and z < w + q]
        number = divisor or len(padded if count_include_pad else inside)
        return np.sum([x[:, :, y, z] for y, z in inside], axis=0) / number

    f = lambda x: avg_pool2d(x, size, stride, padding, ceil_mode, count_include_pad, divisor)
    expected = pooled(x, size, stride, padding, (1, 1), ceil_mode, mean)
    np.testing.assert_allclose(f(x), expected, rtol=1e-13, atol=1e-15)
    check_gradients(f, x, order=2)


def test_adaptive_windows_share_out_the_image():
    x = rng.standard_normal((2, 3, 5, 4))
    np.testing.assert_allclose(adaptive_avg_pool2d(x, 1)[..., 0, 0], np.mean(x, (2, 3)))
    found = adaptive_avg_pool2d(x, (2, 3))
    rows, columns = (slice(0, 3), slice(2, 5)), (slice(0, 2), slice(1, 3), slice(2, 4))
    for i, a in enumerate(rows):
        for j, b in enumerate(columns):
            np.testing.assert_allclose(found[:, :, i, j], np.mean(x[:, :, a, b], (2, 3)))
    np.testing.assert_array_equal(adaptive_avg_pool2d(x, (None, 2)), adaptive_avg_pool2d(x, (5, 2)))
    assert adaptive_avg_pool2d(x.astype(np.float32), 2).dtype == np.float32
    check_gradients(lambda x: adaptive_avg_pool2d(x, 3), x, order=2)


@pytest.mark.parametrize("f", [
    lambda x, w: conv2d(x, w, padding="same", groups=2),
    lambda x, w: max_pool2d(x, 2, dilation=2, ceil_mode=True) * np.sum(w),
    lambda x, w: avg_pool2d(x, 3, 2, 1, True, False) * np.sum(w),
    lambda x, w: adaptive_avg_pool2d(x, 2) * np.sum(w),
])  # fmt: skip
def test_options_are_compiled(f):
    x, w = rng.standard_normal((2, 4, 5, 5)), rng.standard_normal((2, 2, 3, 3))
    loss = grad(lambda x, w: np.sum(f(x, w) ** 2), (0, 1))
    for found, expected in zip(compile(loss)(x, w), loss(x, w), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


X, W = np.zeros((2, 3, 5, 6)), np.zeros((4, 3, 3, 3))
NAMED = Tensor(X, name="photos"), Tensor(np.zeros((4, 2, 3, 3)), name="edges")
BOTH = "conv2d: x of shape (2, 3, 5, 6) and w of shape "

# fmt: off
ERRORS = [
    (lambda: conv2d(*NAMED),                           "conv2d: x 'photos' of shape (2, 3, 5, 6) and w 'edges' of shape (4, 2, 3, 3) do not fit:"
                                                       " 3 channels (axis 1 of x) are not 2 (axis 1 of w)"),
    (lambda: conv2d(X[0, 0], W),                       "conv2d: x of shape (5, 6) and w of shape (4, 3, 3, 3): x takes 4 dimensions, or 3 for one image, not 2"),
    (lambda: conv2d(X, W[0, 0]),                       BOTH + "(3, 3): w takes 4 dimensions, not 2"),
    (lambda: conv2d(X, W, groups=3),                   "conv2d: groups=3 does not divide 4 channels out"),
    (lambda: conv2d(X, W, groups=2),                   BOTH + "(4, 3, 3, 3) do not fit: 3 channels (axis 1 of x) are not 3 (axis 1 of w) in 2 groups"),
    (lambda: conv2d(X, W, stride=2, padding="same"),   'conv2d: padding="same" takes stride=1, not (2, 2)'),
    (lambda: conv2d(X, np.zeros((4, 3, 6, 2))),        BOTH + "(4, 3, 6, 2) do not fit: the kernel of (6, 2) is larger than the image of (5, 6)"),
    (lambda: conv2d(X, np.zeros((4, 3, 2, 9)), padding=1),
                                                       BOTH + "(4, 3, 2, 9) do not fit: the kernel of (2, 9) is larger than the image, padded by (1, 1), of (7, 8)"),
    (lambda: conv2d(X, W, dilation=3),                 BOTH + "(4, 3, 3, 3) do not fit: the kernel, dilated by (3, 3), of (7, 7) is larger than the image of (5, 6)"),
    (lambda: conv2d(X, np.zeros((4, 3, 0, 2))),        BOTH + "(4, 3, 0, 2) do not fit: the kernel is empty"),
    (lambda: conv2d(X, W, np.zeros(3)),                "conv2d: b of shape (3,) and w of shape (4, 3, 3, 3) do not fit:"
                                                       " a bias has shape (4,), one number for each channel out"),
    (lambda: conv2d(X, W, stride=0),                   "conv2d: stride=0 is not a number, or two, of 1 or more"),
    (lambda: conv2d(X, W, stride=(1, 0)),              "conv2d: stride=(1, 0) is not a number, or two, of 1 or more"),
    (lambda: conv2d(X, W, padding=-1),                 "conv2d: padding=-1 is not a number, or two, of 0 or more"),
    (lambda: conv2d(X, W, padding="some"),             "conv2d: padding is a number, \"same\" or \"valid\", not 'some'"),
    (lambda: conv1d(X, W[0]),                          "conv1d: x of shape (2, 3, 5, 6) and w of shape (3, 3, 3): x takes 2 or 3 dimensions, w 3"),
    (lambda: avg_pool2d(X, 2, divisor_override=0),     "avg_pool2d: divisor_override must not be 0"),
    (lambda: adaptive_avg_pool2d(X[0, 0], 1),          "adaptive_avg_pool2d: x of shape (5, 6): x takes 4 dimensions, or 3"),
    (lambda: conv2d(X, W, dilation=(1, 2, 3)),         "conv2d: dilation=(1, 2, 3) is not a number, or two, of 1 or more"),
    (lambda: max_pool2d(X, 0),                         "max_pool2d: size=0 is not a number, or two, of 1 or more"),
    (lambda: max_pool2d(X, 2, 0),                      "max_pool2d: stride=0 is not a number, or two, of 1 or more"),
    (lambda: max_pool2d(X[0, 0], 2),                   "max_pool2d: x of shape (5, 6): x takes 4 dimensions, or 3 for one image, not 2"),
    (lambda: max_pool2d(NAMED[0], (6, 2)),             "max_pool2d: x 'photos' of shape (2, 3, 5, 6) does not fit: the window of (6, 2) is larger than the image of (5, 6)"),
    (lambda: avg_pool2d(X, 9, padding=1),              "avg_pool2d: x of shape (2, 3, 5, 6) does not fit: the window of (9, 9) is larger than the image, padded by (1, 1), of (7, 8)"),
    (lambda: avg_pool2d(X, 3, padding=(1, 2)),         "avg_pool2d: padding=(1, 2) is more than half of size=(3, 3),"
                                                       " which leaves windows with nothing in them but padding"),
]
# fmt: on


@pytest.mark.parametrize(("call", "said"), ERRORS)
def test_errors(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == said


@pytest.mark.parametrize("kernels", [(4, 2, 3, 3), (4, 1, 3, 3)])
def test_groups_of_an_empty_batch(kernels):
    groups = 4 // kernels[1]
    f = lambda x, w: np.sum(conv2d(x, w, groups=groups) ** 2)
    for step in (value_and_grad(f, argnums=(0, 1)), compile(value_and_grad(f, argnums=(0, 1)))):
        value, (dx, dw) = step(np.zeros((0, 4, 5, 5)), np.ones(kernels))
        assert value == 0
        assert dx.shape == (0, 4, 5, 5)
        assert dw.tolist() == np.zeros(kernels).tolist()
    assert vmap(conv2d, in_axes=(0, None))(
        np.zeros((3, 0, 4, 5, 5)), np.ones((4, 4, 3, 3))
    ).shape == (3, 0, 4, 3, 3)
