"""Losses and metrics: values, gradients, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autobp import Tensor, check_gradients, nn
from tests.samples import generator
from tests.test_nn_layers import weights_of

# ── values and gradients, as PyTorch has them ─────────────────────────────────────────────────────

LABELS = np.array([2, 0, 1])
SIGNS = np.array([1, -1, -1, 1])

# The loss, its options, the predictions' shape or range, and the target.
CASES: dict[str, tuple[Any, dict[str, Any], tuple[int, ...], Any]] = {
    "mse": (nn.mse, {}, (3, 1), "numbers"),
    "mse, outputs": (nn.mse, {}, (3, 2), "numbers"),
    "mse, half": (nn.mse, {"half": True}, (3,), "numbers"),
    "mse, sum": (nn.mse, {"reduction": "sum"}, (3, 2), "numbers"),
    "mse, none": (nn.mse, {"reduction": "none"}, (3,), "numbers"),
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
    "mse": {
        "loss": [1.69600584621],
        "gradient": [0.112054143528, -0.228174158156, 0.0347317543702],
    },
    "mse, outputs": {
        "loss": [10.3348239391],
        "gradient": [0.285665565643, 0.0783007294716, -0.267740639381, 0.0503376095738,
            0.358633370854, 0.332483915437],
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
        "loss": [2.45756704735, 9.20766715989, 0.410627797986],
        "gradient": [0.534931230664, 1.95739142369, -1.032295975],
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
