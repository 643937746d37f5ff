"""Losses and metrics: values, gradients, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autobp import Tensor, check_gradients, compile, grad, jacobian, nn, value_and_grad, vmap
from autobp.verify.samples import generator
from tests.test_nn_layers import weights_of

# ── values and gradients, as PyTorch has them ─────────────────────────────────────────────────────

WEIGHTS = np.array([0.5, 1.0, 2.5])
LABELS = np.array([2, 0, 1])
SIGNS = np.array([1, -1, -1, 1])

# The loss, its options, the predictions' shape or range, and the target.
CASES: dict[str, tuple[Any, dict[str, Any], tuple[int, ...], Any]] = {
    "mse": (nn.mse, {}, (3, 1), "numbers"),
    "mse, outputs": (nn.mse, {}, (3, 2), "numbers"),
    "mse, half": (nn.mse, {"half": True}, (3,), "numbers"),
    "mse, sum": (nn.mse, {"reduction": "sum"}, (3, 2), "numbers"),
    "mse, none": (nn.mse, {"reduction": "none"}, (3, 2), "numbers"),
    "squared error": (nn.squared_error, {}, (3, 2), "numbers"),
    "squared error, half": (nn.squared_error, {"half": True}, (3, 2), "numbers"),
    "squared error, none": (nn.squared_error, {"reduction": "none"}, (3, 2, 2), "numbers"),
    "binary_cross_entropy": (nn.binary_cross_entropy, {}, (4, 1), "probabilities"),
    "binary_cross_entropy, sum": (
        nn.binary_cross_entropy,
        {"reduction": "sum"},
        (3, 2),
        "probabilities",
    ),
    "with logits": (nn.binary_cross_entropy_with_logits, {}, (4, 1), "probabilities"),
    "with logits, none": (
        nn.binary_cross_entropy_with_logits,
        {"reduction": "none"},
        (2, 2),
        "probabilities",
    ),
    "cross_entropy": (nn.cross_entropy, {}, (3, 4), LABELS),
    "cross_entropy, sum": (nn.cross_entropy, {"reduction": "sum"}, (3, 3), LABELS),
    "cross_entropy, none": (nn.cross_entropy, {"reduction": "none"}, (3, 3), LABELS),
    "cross_entropy, probabilities": (nn.cross_entropy, {}, (2, 3), "shares"),
    "cross_entropy, one sample": (nn.cross_entropy, {}, (3,), np.array(1)),
    "cross_entropy, pixels": (nn.cross_entropy, {}, (2, 3, 2), np.array([[0, 2], [1, 1]])),
    "nll": (nn.nll, {}, (3, 4), LABELS),
    "cross_entropy, weights": (nn.cross_entropy, {"weight": WEIGHTS}, (3, 3), LABELS),
    "cross_entropy, ignored": (nn.cross_entropy, {"ignore_index": 0}, (3, 3), LABELS),
    "cross_entropy, smoothed": (nn.cross_entropy, {"label_smoothing": 0.1}, (3, 3), LABELS),
    "cross_entropy, all of it": (
        nn.cross_entropy,
        {"weight": WEIGHTS, "ignore_index": 2, "label_smoothing": 0.2},
        (2, 3, 2),
        np.array([[0, 2], [1, 1]]),
    ),
    "cross_entropy, weighted probabilities": (
        nn.cross_entropy,
        {"weight": WEIGHTS, "label_smoothing": 0.1},
        (2, 3),
        "shares",
    ),
    "nll, weights": (nn.nll, {"weight": WEIGHTS, "reduction": "sum"}, (3, 3), LABELS),
    "nll, missing": (nn.nll, {"reduction": "none"}, (3, 3), np.array([1, -100, 0])),
    "binary_cross_entropy, weights": (
        nn.binary_cross_entropy,
        {"weight": WEIGHTS},
        (2, 3),
        "probabilities",
    ),
    "with logits, weights": (
        nn.binary_cross_entropy_with_logits,
        {"weight": WEIGHTS, "pos_weight": WEIGHTS + 1},
        (2, 3),
        "probabilities",
    ),
    "hinge": (nn.hinge, {}, (4,), SIGNS),
    "huber": (nn.huber, {}, (4, 1), "numbers"),
    "huber, delta": (nn.huber, {"delta": 0.3, "reduction": "sum"}, (3, 2), "numbers"),
}


def arguments(case: str, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets."""
    loss, _, shape, target = CASES[case]
    rng = generator(case)
    low, high = (0.05, 0.95) if loss is nn.binary_cross_entropy else (-2, 2)
    predicted = rng.uniform(low, high, shape).astype(dtype)
    if isinstance(target, str):
        drawn = rng.uniform(
            -2 if target == "numbers" else 0, 2 if target == "numbers" else 1, shape
        )
        total = drawn.sum(axis=1, keepdims=True) if target == "shares" else 1.0
        target = (drawn / total).astype(dtype)
    return predicted, target


def found(case: str, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    loss, options, *_ = CASES[case]
    predicted, target = arguments(case, dtype)
    p = Tensor(predicted)
    y = loss(p, target, **options)
    np.sum(y * weights_of(y.shape, dtype)).backward()
    return {"loss": y.numpy(), "gradient": p.grad}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case):
    for name, result in found(case).items():
        np.testing.assert_allclose(result.ravel(), EXPECTED[case][name], 1e-9, 1e-12, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_float32_stays_float32(case):
    for name, result in found(case, np.float32).items():
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.ravel(), EXPECTED[case][name], 2e-5, 2e-6, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_derivatives_of_both_orders_and_modes(case):
    loss, options, *_ = CASES[case]
    predicted, target = arguments(case)
    check_gradients(lambda p: np.sum(loss(p, target, **options)), predicted, order=2)


# fmt: off
EXPECTED: dict[str, dict[str, list[float]]] = {
    "cross_entropy, weights": {
        "loss": [0.590342182108],
                "gradient": [0.0170446999105, 0.0100309379567, -0.0270756378673, -0.0138191022908,
            0.00480021318819, 0.00901888910262, 0.0019564301801, -0.0285554549062,
            0.0265990247261],
    },
    "cross_entropy, ignored": {
        "loss": [1.96951221415],
                "gradient": [0.0757506810675, 0.00292972796653, -0.0786804090341, 0, 0, 0,
            0.0563359165361, -0.0639286787364, 0.00759276220029],
    },
    "cross_entropy, smoothed": {
        "loss": [2.0117317285],
                "gradient": [0.0276342652002, 0.0242398119132, -0.0518740771134, -0.0373810501857,
            0.0176451799466, 0.0197358702392, 0.0245918790181, -0.0344904824998,
            0.00989860348166],
    },
    "cross_entropy, all of it": {
        "loss": [1.37053487554],
                "gradient": [-0.0164139825779, 0, 0.0209719253645, 0, -0.00455794278657, 0,
            0.0111726488274, 0.00526221943465, -0.0470167418692, 0.00475568003498,
            0.0358440930418, -0.0100178994696],
    },
    "cross_entropy, weighted probabilities": {
        "loss": [1.92296032848],
                "gradient": [-0.00596197949671, -0.00723763657046, 0.0131996160672,
            -0.00899625054373, 0.0588117179694, -0.0498154674257],
    },
    "nll, weights": {
        "loss": [3.09041474965],
        "gradient": [0, 0, -0.426535594827, -0.0853071189655, 0, 0, 0, -0.170614237931, 0],
    },
    "nll, missing": {
        "loss": [-0.683743220192, 0, -0.140464317113],
        "gradient": [0, -0.170614237931, 0, 0, 0, 0, 0.805471290179, 0, 0],
    },
    "binary_cross_entropy, weights": {
        "loss": [1.50524378097],
                "gradient": [0.00421412239449, -0.322213711018, -0.253756801627, 0.00682621463763,
            -0.314415358727, 0.0310083884341],
    },
    "with logits, weights": {
        "loss": [1.7371832125],
                "gradient": [0.00151469583676, -0.00389898917763, -0.0508969591038,
            -0.00321405276903, 0.0140225944657, -0.0486020709578],
    },
    "mse": {
        "loss": [1.69600584621],
        "gradient": [0.112054143528, -0.228174158156, 0.0347317543702],
    },
    "mse, outputs": {
        "loss": [5.16741196954],
        "gradient": [0.142832782822, 0.0391503647358, -0.13387031969, 0.0251688047869,
            0.179316685427, 0.166241957719],
    },
    "mse, half": {
        "loss": [1.09504249817],
        "gradient": [-0.012086010636, -0.0981480589488, -0.107104812553],
    },
    "mse, sum": {
        "loss": [26.5708829375],
        "gradient": [-0.24191429155, 0.657239518389, -1.19172321825, 0.978954502312,
            -0.338079374529, -0.332400956927],
    },
    "mse, none": {
        "loss": [0.152409192101, 0.00566081921777, 1.17014827594, 0.00728350737938,
            0.503157436699, 4.74451320659],
        "gradient": [0.133214299927, 0.048533601281, -1.74261123403, 0.106605014846,
            0.866015290331, 2.56282090379],
    },
    "squared error": {
        "loss": [2.57309278147],
        "gradient": [0.0451338921794, 0.163282795805, -0.0260783296032, 0.20044672714,
            -0.0875502286778, 0.150483466581],
    },
    "squared error, half": {
        "loss": [3.57524931222],
        "gradient": [0.205379851731, 0.0472427869875, -0.127454383017, 0.0613078636466,
            0.0582214845273, 0.0396992269605],
    },
    "squared error, none": {
        "loss": [12.9117363257, 6.86043807629, 4.35887429171],
        "gradient": [-0.961334570899, -0.438123473932, -0.554194423356, 0.283115532781,
            -0.648583345561, 1.41987315494, -0.646429386819, -0.0104885918233, -0.73768857726,
            0.248239869365, 0.460442956636, -3.23945310132],
    },
    "binary_cross_entropy": {
        "loss": [1.28534172653],
        "gradient": [-0.591664318867, -0.128679380894, -0.197222659186, 0.0225231480387],
    },
    "binary_cross_entropy, sum": {
        "loss": [6.18746745022],
        "gradient": [-0.0581123770855, 0.78110198858, -0.0378283650204, -0.256343007605,
            0.540598968502, 0.945846891202],
    },
    "with logits": {
        "loss": [0.892047611524],
        "gradient": [0.00407536286209, 0.0281428533828, -0.0169828036908, 0.0221082772006],
    },
    "with logits, none": {
        "loss": [0.818020303302, 1.08559758704, 0.399832736416, 0.892287946207],
        "gradient": [-0.0389105152144, -0.116696008899, 0.105794406074, 0.317387798684],
    },
    "cross_entropy": {
        "loss": [1.71584261617],
        "gradient": [0.00792227007866, 0.0179846914789, -0.0505680545134, 0.0246610929558,
            -0.0397325596332, 0.0335130210279, 0.00436834341568, 0.00185119518964,
            0.0142333511458, -0.0469725483359, 0.00293097317497, 0.0298082240152],
    },
    "cross_entropy, sum": {
        "loss": [3.22749627289],
        "gradient": [0.0129040274914, 0.0173667252746, -0.030270752766, -0.158944755713,
            0.0247263521382, 0.134218403574, 0.0329319166227, -0.0503550833301, 0.0174231667074],
    },
    "cross_entropy, none": {
        "loss": [1.17630247158, 1.52364135821, 0.553695279131],
        "gradient": [0.0822184116025, 0.0357754925925, -0.117993904195, 0.252246858318,
            -0.242293896065, -0.00995296225288, -0.186169528324, 0.34246887029, -0.156299341966],
    },
    "cross_entropy, probabilities": {
        "loss": [1.10478131998],
        "gradient": [0.0206277955022, -0.00400214316076, -0.0166256523414, 0.00721151947301,
            -0.00848132979563, 0.00126981032262],
    },
    "cross_entropy, one sample": {
        "loss": [2.4821910215],
        "gradient": [0.13274740341, -0.156357721893, 0.0236103184825],
    },
    "cross_entropy, pixels": {
        "loss": [2.28093877879],
        "gradient": [-0.0410750403608, 0.0348794353349, 0.0363466357038, 0.0018474458478,
            0.00472840465703, -0.0367268811827, 0.00260339283689, 0.00975870533788,
            -0.0366105431877, -0.0362693129453, 0.0340071503508, 0.0265106076075],
    },
    "nll": {
        "loss": [-0.0624349511132],
        "gradient": [0, 0, -0.0568714126437, 0, -0.0568714126437, 0, 0, 0, 0, -0.0568714126437, 0,
            0],
    },
    "hinge": {
        "loss": [0.925560068973],
        "gradient": [-0, 0.0426535594827, 0.0426535594827, -0],
    },
    "huber": {
        "loss": [0.690878449348],
        "gradient": [-0.0347983207408, -0.0426535594827, -0.0426535594827, 0.0240246462005],
    },
    "huber, delta": {
        "loss": [2.04691941335],
        "gradient": [0.0492346012202, -0.0511842713793, -0.0511842713793, -0.0511842713793,
            -0.0511842713793, 0.0511842713793],
    },
}
# fmt: on


# ── what they are known to be ─────────────────────────────────────────────────────────────────────


def test_cross_entropy_of_the_textbook():
    F = np.array([[0.2, 0.5, 0.3], [0.2, 0.6, 0.2]])
    assert float(nn.nll(np.log(F), [2, 1])) == pytest.approx(0.8573992140459634, rel=1e-15)
    assert float(nn.nll(np.log(F), nn.one_hot([2, 1], 3))) == pytest.approx(0.8573992140459634)
    assert float(nn.nll(np.log([0.3, 0.5, 0.2]), 2)) == pytest.approx(-np.log(0.2))
    Z = np.array([[2, 25, 13], [54, 3, 11]])
    assert float(nn.cross_entropy(Z, [2, 1])) == pytest.approx(31.500003072148047, rel=1e-15)
    softmax = nn.softmax(Z)
    expected = (softmax - nn.one_hot([2, 1], 3)) / 2
    np.testing.assert_allclose(grad(lambda Z: nn.cross_entropy(Z, [2, 1]))(Z), expected, 1e-12)


def test_softmax_regression_with_a_penalty():
    X, y, reg = np.array([[2.0, 3.0], [4.0, 5.0]]), np.array([2, 1]), 0.2
    W = Tensor([[0.1, 0.2, 0.3], [0.4, 0.2, 0.8]])
    loss = nn.cross_entropy(X @ W, y) + nn.l2_penalty([W], reg)
    loss.backward()
    assert loss.item() == pytest.approx(2.0863049636282662, rel=1e-14)
    expected = [[0.30213245, -1.75779321, 1.69566076], [0.5254108, -2.19194012, 2.22652932]]
    np.testing.assert_allclose(W.grad, expected, atol=5e-9)


def test_three_losses_begin_with_the_same_gradient():
    """Sigmoid and binary cross entropy, softmax and cross entropy, half the squared error: each
    hands (F − Y)/m to what made its scores."""
    z = generator("scores").uniform(-2, 2, (5, 1))
    y = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]])
    for loss in (
        nn.binary_cross_entropy_with_logits,
        lambda z, y: nn.binary_cross_entropy(nn.sigmoid(z), y),
    ):
        np.testing.assert_allclose(grad(loss)(z, y), (nn.sigmoid(z) - y) / 5, 1e-12)
    np.testing.assert_allclose(grad(lambda z: nn.mse(z, y, half=True))(z), (z - y) / 5, 1e-12)
    Z, Y = np.hstack([z, 1 - z, z * z]), nn.one_hot([0, 2, 1, 1, 0])
    np.testing.assert_allclose(
        grad(lambda Z: nn.cross_entropy(Z, Y))(Z), (nn.softmax(Z) - Y) / 5, 1e-12, 1e-15
    )


def test_labels_and_one_hot_rows_are_the_same_target():
    scores = generator("scores").uniform(-5, 5, (4, 3))
    for target in ([0, 2, 1, 1], np.array([0, 2, 1, 1], np.uint8), [0.0, 2.0, 1.0, 1.0]):
        assert nn.cross_entropy(scores, target) == pytest.approx(
            nn.cross_entropy(scores, nn.one_hot([0, 2, 1, 1], 3)), rel=1e-15
        )


def test_binary_cross_entropy_is_safe_at_0_and_1():
    p = Tensor([0.0, 1.0, 0.0, 1.0, 1e-300])
    y = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    losses = nn.binary_cross_entropy(p, y, reduction="none")
    np.testing.assert_array_equal(losses.numpy(), [0, 0, 100, 100, 100])
    losses.sum().backward()
    np.testing.assert_array_equal(p.grad, [1, -1, -1e12, 1e12, -1e12])
    for number, label, loss, slope in zip(
        p.tolist(), y.tolist(), losses.tolist(), p.grad, strict=True
    ):
        one = Tensor(number)
        each = nn.binary_cross_entropy(one, label)
        each.backward()
        assert (each.item(), one.grad) == (loss, slope)
    z = Tensor([-1e4, 1e4, 1e4, -1e4])
    losses = nn.binary_cross_entropy_with_logits(z, [0, 1, 0, 1], reduction="none")
    np.testing.assert_array_equal(losses.numpy(), [0, 0, 1e4, 1e4])
    losses.sum().backward()
    np.testing.assert_array_equal(z.grad, [0, 0, 1, -1])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_wrong_0_or_1_is_trained_away_in_programs_too(dtype):
    """As PyTorch has it. A gradient of 0 would let training stand still without a word."""
    p, y = np.array([0.0, 1.0, 0.5, 0.0], dtype), np.array([1.0, 0.0, 1.0, 0.0], dtype)
    loss = lambda p: nn.binary_cross_entropy(p, y, reduction="sum")
    expected = np.array([-1e12, 1e12, -2, 1], dtype)
    for derivative in (
        grad(loss),
        compile(grad(loss)),
        lambda p: jacobian(loss, mode="forward")(p),
        lambda p: vmap(grad(loss))(np.stack([p, p]))[1],
    ):
        found = derivative(p)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
    assert compile(loss)(p) == loss(p) == pytest.approx(200 + np.log(2))
    descended = np.clip(p - 1e-13 * compile(grad(loss))(p), 0, 1)
    assert loss(descended) < 6


def test_small_differences_count_in_the_loss_of_great_scores():
    near = lambda x: pytest.approx(x, rel=1e-9, abs=0)
    assert nn.binary_cross_entropy_with_logits([40.0], [1.0]) == near(np.exp(-40))
    assert nn.binary_cross_entropy_with_logits([-40.0], [0.0]) == near(np.exp(-40))


def test_constant_targets_take_the_type_of_the_predictions():
    p = Tensor(np.ones((3, 1), np.float32))
    assert nn.mse(p, np.zeros((3, 1))).dtype == np.float32
    assert nn.cross_entropy(Tensor(np.ones((2, 3), np.float32)), np.eye(3)[:2]).dtype == np.float32


def test_targets_may_be_learned():
    target = Tensor([[0.5], [1.0]])
    nn.mse(np.array([[1.0], [3.0]]), target).backward()
    np.testing.assert_array_equal(target.grad, [[-0.5], [-2.0]])
    soft = Tensor([[0.5, 0.5]])
    nn.cross_entropy([[0.0, 0.0]], soft).backward()
    np.testing.assert_allclose(soft.grad, np.log([[2.0, 2.0]]))


def test_penalties_of_whatever_holds_parameters():
    model = nn.MLP([2, 3, 1], rng=0)
    expected = 0.5 * sum(np.sum(p.numpy() ** 2) for p in model.parameters())
    assert nn.l2_penalty(model.parameters(), 0.5).item() == pytest.approx(expected)
    assert nn.l2_penalty(dict(model.named_parameters()), 0.5).item() == pytest.approx(expected)
    w = Tensor([3.0, 4.0])
    nn.l2_penalty(w, 0.1).backward()
    np.testing.assert_allclose(w.grad, [0.6, 0.8])


def test_losses_are_scopes():
    assert nn.mse(Tensor([1.0]), [0.0]).scope == "mse"
    assert nn.cross_entropy(Tensor([[1.0, 2.0]]), [0]).scope == "cross_entropy"


def test_nothing_that_counts_has_no_mean():
    with np.errstate(invalid="ignore"):
        assert np.isnan(nn.cross_entropy(ONES, [-100, -100]))
    assert nn.cross_entropy(ONES, [-100, -100], reduction="sum") == 0.0


# ── what is refused ───────────────────────────────────────────────────────────────────────────────

ONES = np.ones((2, 3))

# fmt: off
REFUSED = {
    "cross_entropy: the label at [1] is 3; with 3 classes labels are 0 to 2":
        lambda: nn.cross_entropy(ONES, [0, 3]),
    "cross_entropy: the label at [0] is -1; with 3 classes labels are 0 to 2":
        lambda: nn.cross_entropy(ONES, [-1, 0]),
    "nll: the label is 5; with 3 classes labels are 0 to 2":
        lambda: nn.nll(np.ones(3), 5),
    "cross_entropy: labels must be integers, not 0.5 at [1]":
        lambda: nn.cross_entropy(ONES, [0, 0.5]),
    "cross_entropy: labels must be integers, not nan at [0]":
        lambda: nn.cross_entropy(ONES, [np.nan, 0]),
    "cross_entropy: labels must be integers, not <U3":
        lambda: nn.cross_entropy(ONES, ["cat", "dog"]),
    "cross_entropy: scores of shape (2, 3) take labels of shape (2,) or probabilities of shape"
    " (2, 3), not a target of shape (2, 1)":
        lambda: nn.cross_entropy(ONES, [[0], [1]]),
    "cross_entropy: scores of shape (2, 3) take labels of shape (2,) or probabilities of shape"
    " (2, 3), not a target of shape (3,)":
        lambda: nn.cross_entropy(ONES, [0, 1, 2]),
    "cross_entropy: probabilities must be 0 or more and sum to 1; those of the target at [1] sum to"
    " 1.5, the least of them is 0.5":
        lambda: nn.cross_entropy(ONES, [[0, 1, 0], [0.5, 0.5, 0.5]]),
    "cross_entropy: probabilities must be 0 or more and sum to 1; those of the target at [0] sum to"
    " 1, the least of them is -1":
        lambda: nn.cross_entropy(ONES, [[2, -1, 0], [0, 1, 0]]),
    "cross_entropy takes a score for each class, not a single number":
        lambda: nn.cross_entropy(1.0, 0),
    "cross_entropy: scores of shape (8, 5, 3) take labels of shape (8, 3) or probabilities of shape"
    " (8, 5, 3), not a target of shape (8, 5); the classes are on axis 1: if they are last, pass"
    " scores.reshape(-1, 3) and labels.reshape(-1)":
        lambda: nn.cross_entropy(np.ones((8, 5, 3)), np.zeros((8, 5), int)),
    "cross_entropy: weight has shape (2,), not (3,): one a class":
        lambda: nn.cross_entropy(ONES, [0, 1], weight=[1, 2]),
    "cross_entropy: label_smoothing is from 0 to 1, not 2":
        lambda: nn.cross_entropy(ONES, [0, 1], label_smoothing=2),
    "cross_entropy: the label at [0] is -7; with 3 classes labels are 0 to 2":
        lambda: nn.cross_entropy(ONES, [-7, 1], ignore_index=1),
    "mse: predictions of shape (4, 1) and targets of shape (4,); the shapes must be equal"
    " (reshape one of them)":
        lambda: nn.mse(np.ones((4, 1)), np.ones(4)),
    "binary_cross_entropy: probabilities must be from 0 to 1, not 1.5 at [1]; pass scores to"
    " binary_cross_entropy_with_logits":
        lambda: nn.binary_cross_entropy([0.5, 1.5], [0, 1]),
    "binary_cross_entropy_with_logits: targets must be from 0 to 1, not -1 at [0]":
        lambda: nn.binary_cross_entropy_with_logits([0.5], [-1]),
    "hinge: labels must be -1 or 1; for labels 0 and 1, pass 2*y - 1":
        lambda: nn.hinge([0.5, 1.5], [0, 1]),
    "huber: delta must be above 0, not 0":
        lambda: nn.huber([0.5], [0], delta=0),
    'mse: reduction must be "mean", "sum" or "none", not \'avg\'':
        lambda: nn.mse([0.5], [0], reduction="avg"),
    "one_hot: the label at [1] is 2; with 2 classes labels are 0 to 1":
        lambda: nn.one_hot([0, 2], 2),
    "accuracy: 2 predictions for 3 samples":
        lambda: nn.accuracy([0, 1], [0, 1, 1]),
    "accuracy: there are no samples":
        lambda: nn.accuracy([], []),
    "one number for each sample must be a label or a probability, not -2.5; pass nn.sigmoid(scores)"
    " or scores > 0":
        lambda: nn.accuracy([[0.4], [-2.5]], [0, 1]),
    "classes must have shape (n,), (n, 1) or (n, classes), not (2, 2, 2)":
        lambda: nn.accuracy(np.ones((2, 2, 2)), [0, 1]),
    "confusion_matrix: 1 predictions for 2 samples":
        lambda: nn.confusion_matrix([0], [0, 1]),
    "confusion_matrix: the label at [0] is 4; with 2 classes labels are 0 to 1":
        lambda: nn.confusion_matrix([4], [0], classes=2),
}
# fmt: on


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(text):
    with pytest.raises((ValueError, TypeError)) as caught:
        REFUSED[text]()
    assert str(caught.value) == text


# ── metrics ───────────────────────────────────────────────────────────────────────────────────────


def test_one_hot_of_any_shape():
    np.testing.assert_array_equal(nn.one_hot([1, 0]), [[0, 1], [1, 0]])
    assert nn.one_hot(2, 4).tolist() == [0, 0, 1, 0]
    assert nn.one_hot(np.zeros((2, 3), int), 5).shape == (2, 3, 5)
    assert nn.one_hot([]).shape == (0, 0)


def test_accuracy_of_all_that_says_a_class():
    scores, labels = np.array([[0.1, 2.0, 0.0], [5.0, 1.0, 1.0]]), [1, 2]
    assert nn.accuracy(scores, labels) == 0.5
    assert nn.accuracy(Tensor(scores), nn.one_hot(labels)) == 0.5
    assert nn.accuracy([1, 0], labels) == 0.5
    assert nn.accuracy([[0.9], [0.4], [0.6]], [1, 0, 0]) == pytest.approx(2 / 3)
    assert nn.accuracy([0.9, 0.4], [[1.0], [0.0]]) == 1.0
    assert nn.accuracy([3.0, 1.0], [3, 2]) == 0.5


def test_confusion_matrix():
    truth, found = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 2]
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert nn.confusion_matrix(found, truth).tolist() == expected
    assert nn.confusion_matrix(nn.one_hot(found), truth).tolist() == expected
    assert nn.confusion_matrix([0], [0], classes=2).tolist() == [[1, 0], [0, 0]]


def test_there_is_one_convention():
    """The mean is over all elements, the sum over them too, and "none" leaves one loss for each."""
    rng = generator("convention")
    p, t = rng.uniform(0.1, 0.9, (5, 3, 2)), rng.integers(0, 2, (5, 3, 2)).astype(float)
    for loss in (
        nn.mse,
        nn.huber,
        nn.binary_cross_entropy,
        nn.binary_cross_entropy_with_logits,
        lambda p, t, **how: nn.hinge(p, 2 * t - 1, **how),
    ):
        each = loss(p, t, reduction="none")
        assert each.shape == p.shape
        assert loss(p, t) == pytest.approx(each.mean())
        assert loss(p, t, reduction="sum") == pytest.approx(each.sum())
    for loss in (nn.cross_entropy, nn.nll):
        labels = rng.integers(0, 3, (5, 2))
        each = loss(np.log(p), labels, reduction="none")
        assert each.shape == labels.shape
        assert loss(np.log(p), labels) == pytest.approx(each.mean())


def test_the_textbooks_squared_error_has_a_name_of_its_own():
    p, t = Tensor(np.ones((4, 3))), np.zeros((4, 3))
    assert nn.squared_error(p, t).item() == 3.0
    assert nn.mse(p, t).item() == 1.0
    nn.squared_error(p, t, half=True).backward()
    np.testing.assert_array_equal(p.grad, np.full((4, 3), 1 / 4))  # (F − Y)/m


def test_probabilities_in_single_precision_are_not_compared_in_double():
    p, y = np.float32([0.2, 0.0, 1.0]), np.float32([0.0, 1.0, 1.0])
    loss = compile(value_and_grad(lambda p: nn.binary_cross_entropy(p, y)))
    value, slope = loss(p)
    assert value.dtype == slope.dtype == np.float32
    assert "float64" not in loss.source
