"""The layers: their values and gradients, shapes, types and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autobp import Tensor, check_gradients, nn
from tests.samples import generator

# ── values and gradients, as PyTorch has them ─────────────────────────────────────────────────────

# What makes the layer, given `autobp.nn` or `torch.nn`, and the shape of its input.
Case = tuple[Callable[[Any], Any], tuple[int, ...]]

CASES: dict[str, Case] = {
    "Linear": (lambda nn: nn.Linear(3, 2), (2, 3)),
    "Linear, no bias": (lambda nn: nn.Linear(3, 2, False), (3,)),
    "Linear, three axes": (lambda nn: nn.Linear(2, 2), (2, 2, 2)),
    "Conv2d": (lambda nn: nn.Conv2d(1, 2, 2), (1, 1, 3, 3)),
    "Conv2d, strided": (lambda nn: nn.Conv2d(2, 1, (2, 1), 2, (1, 0), (1, 2)), (1, 2, 2, 3)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(2), (1, 1, 4, 4)),
    "MaxPool2d, strided": (lambda nn: nn.MaxPool2d((2, 3), 1, (1, 0)), (1, 1, 3, 4)),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(2, 1, 1), (1, 1, 2, 3)),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(2), (4, 2)),
    "BatchNorm1d, in use": (lambda nn: nn.BatchNorm1d(2).eval(), (3, 2)),
    "BatchNorm1d, lengths": (lambda nn: nn.BatchNorm1d(2, 1e-3, 0.3), (2, 2, 2)),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(2), (2, 2, 1, 2)),
    "BatchNorm2d, in use": (lambda nn: nn.BatchNorm2d(2).eval(), (1, 2, 1, 2)),
    "LayerNorm": (lambda nn: nn.LayerNorm(4), (2, 4)),
    "LayerNorm, two axes": (lambda nn: nn.LayerNorm((2, 2), 1e-3), (2, 2, 2)),
    "Identity": (lambda nn: nn.Identity(), (3,)),
    "Sigmoid": (lambda nn: nn.Sigmoid(), (4,)),
    "Tanh": (lambda nn: nn.Tanh(), (4,)),
    "ReLU": (lambda nn: nn.ReLU(), (4,)),
    "LeakyReLU": (lambda nn: nn.LeakyReLU(0.2), (4,)),
    "GELU": (lambda nn: nn.GELU(), (4,)),
    "GELU, tanh": (lambda nn: nn.GELU(approximate="tanh"), (4,)),
    "Softplus": (lambda nn: nn.Softplus(), (4,)),
    "Softmax": (lambda nn: nn.Softmax(-1), (2, 3)),
    "Softmax, columns": (lambda nn: nn.Softmax(0), (2, 2)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(1), (2, 3)),
    "Sequential": (
        lambda nn: nn.Sequential(
            nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2)
        ),
        (1, 1, 3, 3),
    ),
}


def values_of(state: dict[str, Any], dtype: Any) -> dict[str, np.ndarray]:
    """What the tests put into a layer: the same numbers for the same names and shapes."""
    return {
        name: generator(name)
        .uniform(0.5 if "var" in name else -1.0, 1.5, value.shape)
        .astype(dtype)
        for name, value in state.items()
        if "num_batches" not in name  # PyTorch counts batches, for an option that is not here
    }


def input_of(case: str, dtype: Any = np.float64) -> np.ndarray:
    return generator(case).uniform(-2, 2, CASES[case][1]).astype(dtype)


def weights_of(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """What the outputs are weighted by, to make a number to differentiate."""
    return generator("weights").uniform(-1, 1, shape).astype(dtype)


def found(case: str, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    layer = CASES[case][0](nn).astype(dtype)
    layer.load_state_dict(values_of(layer.state_dict(), dtype))
    x = Tensor(input_of(case, dtype))
    y = layer(x)
    np.sum(y * weights_of(y.shape, dtype)).backward()
    results = {"output": y.numpy(), "input": x.grad}
    results |= {name: p.grad for name, p in layer.named_parameters()}
    return results | {name: b.numpy() for name, b in layer.named_buffers()}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case):
    results = found(case)
    assert results.keys() == EXPECTED[case].keys()
    for name, result in results.items():
        np.testing.assert_allclose(result.ravel(), EXPECTED[case][name], 1e-9, 1e-12, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_float32_stays_float32(case):
    for name, result in found(case, np.float32).items():
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.ravel(), EXPECTED[case][name], 2e-5, 2e-6, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_derivatives_of_both_orders_and_modes(case):
    layer = CASES[case][0](nn)
    values = values_of(layer.state_dict(), np.float64)
    layer.load_state_dict(values)
    params = {name: values[name] for name, _ in layer.named_parameters()}
    c = weights_of(np.shape(layer(input_of(case))))
    loss = lambda params, x: np.sum(nn.functional_call(layer, params, x) ** 2 * c)
    check_gradients(loss, params, input_of(case), order=2)


# fmt: off
EXPECTED: dict[str, dict[str, list[float]]] = {
    "Linear": {
        "output": [-0.641906047889, 2.02851949242, -1.21756098753, 0.453680972546],
        "input": [-0.202311638065, 0.26016183078, -0.330907091735, -1.06404794473,
            -0.297514691149, 0.490740544303],
        "weight": [0.605216875988, -0.267009959435, -0.7046124646, 0.0491089775448,
            -0.158494779999, -1.05511530007],
        "bias": [-0.634857052248, -0.947096640411],
    },
    "Linear, no bias": {
        "output": [2.62474911057, -0.0529504888163],
        "input": [-0.202311638065, 0.26016183078, -0.330907091735],
        "weight": [0.193655499454, 0.302664978958, -0.120139673559, -0.366089643835,
            -0.572163014528, 0.227114078493],
    },
    "Linear, three axes": {
        "output": [-0.0312154158596, 2.74170220405, -1.1455129282, 1.28788026807, 1.5586343742,
            0.419144790712, 0.244036747631, 0.0957053206991],
        "input": [0.422283770825, -0.182931882843, 0.14544479335, -1.15553993644, 0.947351064213,
            -0.122558257556, -1.01161511285, -0.116053081555],
        "weight": [1.19165517957, 1.35733686232, 0.689376774671, -0.671225920806],
        "bias": [-0.87159362994, -1.02324121403],
    },
    "Conv2d": {
        "output": [1.99977002263, 2.50009663818, -0.836495090836, -0.392426326078, -2.49368094367,
            -0.167396970232, -2.95639137845, -1.8618017576],
        "input": [-0.163610641771, 0.489066071711, -0.521091786663, 0.400136119182,
            -0.921615674447, -1.29230769287, -0.140802691769, -0.722815580607, 0.112597869301],
        "weight": [1.75319050077, 0.559854549217, 2.32412757897, 1.42263472231, 0.727778835378,
            1.55298220749, 0.657902103059, -0.651892831443],
        "bias": [-1.58195369266, -0.312881151312],
    },
    "Conv2d, strided": {
        "output": [1.96343474943, 0.257484669931, -1.34030488686, -1.14301743665],
        "input": [0.120361835369, 0, -0.22753405695, -0.476737272155, 0, -0.369663353431,
            0.160437470633, 0, -0.303293718213, 0.802398663376, 0, 0.622182065504],
        "weight": [0.393004867541, 0.723277981323, -1.56814247355, -0.274539251167],
        "bias": [-1.58195369266],
    },
    "MaxPool2d": {
        "output": [0.757884069381, 0.590457148084, 1.84700033385, -0.163858190113],
        "input": [0, 0, -0.322532051882, 0, 0.170614237931, 0, 0, 0, 0, 0, 0, -0.624564588529, 0,
            -0.805471290179, 0, 0],
    },
    "MaxPool2d, strided": {
        "output": [0.543998145169, 0.543998145169, 1.58928646131, 1.58928646131, 1.58928646131,
            1.93704157687, 0.899004785746, 1.93704157687],
        "input": [0, 0, -0.151917813951, 0, 0, -0.819594989474, 0, 0, -0.847177466926, 0, 0,
            -0.0761445736203],
    },
    "AvgPool2d": {
        "output": [0.16699644914, 0.111419999253, -0.291857535895, -0.236281086009, -0.2821027585,
            0.0534070093398, -0.100680755245, -0.436190523085, -0.44909920764, -0.0580129899134,
            0.191176780651, -0.199909437076],
        "input": [-0.0324420582987, -0.640868029366, -0.441266652694, -0.160971255703,
            -0.550075419844, -0.0942997068197],
    },
    "BatchNorm1d": {
        "output": [0.506672117664, 0.376015499689, 0.164736620392, -0.50196644711, 0.334866539711,
            1.36843517641, -1.00262666278, 0.979003874534],
        "input": [0.0126535360787, -0.0244585750027, -0.363472576678, -0.120664065314,
            0.302962669273, -0.496724559026, 0.0478563713255, 0.641847199343],
        "weight": [1.70368920341, 0.647615575835],
        "bias": [-0.87159362994, -1.02324121403],
        "running_mean": [-0.145293148802, -0.764965796718],
        "running_var": [1.02960897051, 0.567910497372],
    },
    "BatchNorm1d, in use": {
        "output": [-0.206450320783, 2.10384849824, -0.712120133857, 3.29538564498,
            -0.329325665268, 0.396031952519],
        "input": [0.103686482056, -0.306665378859, -0.489504776908, -0.593839697623,
            0.370979990154, -0.559350848826],
        "weight": [0.569982039413, -3.00088573472],
        "bias": [-0.0244161630136, -1.53538794889],
        "running_mean": [-0.244119220496, -0.905722076206],
        "running_var": [0.948505311092, 0.550497605194],
    },
    "BatchNorm1d, lengths": {
        "output": [-0.368305041768, -0.586549728881, 1.23410776693, 1.2746530818, 0.959152583436,
            -0.000649197802762, -0.273331429666, -0.0139413155417],
        "input": [0.246975070483, 0.00540689520918, -0.110139991411, 0.0188956303059,
            0.0984402919944, -0.350822257687, -0.434707483703, 0.525951844808],
        "weight": [1.20354941674, -0.829885708338],
        "bias": [-0.129768233195, -1.76506661078],
        "running_mean": [-0.155498922997, -0.829355170635],
        "running_var": [1.01431903211, 0.829518790081],
    },
    "BatchNorm2d": {
        "output": [0.339157714648, 0.745428704489, 0.743702668155, 1.54861425516, -0.81094259811,
            -0.269995206042, -0.403273107222, 0.332444287426],
        "input": [0.344324732008, -0.0152387370414, -0.177201301814, -0.072598714352,
            0.359165659102, -0.688251654068, -0.219061987672, 0.468862003837],
        "weight": [-0.87626436909, -0.104992222916],
        "bias": [-0.129768233195, -1.76506661078],
        "running_mean": [-0.174226702142, -0.820561942577],
        "running_var": [0.896102362422, 0.765076782334],
    },
    "BatchNorm2d, in use": {
        "output": [1.25364931563, 0.0986730774681, 1.39993141586, 2.49833142083],
        "input": [0.103686482056, -0.196010685951, -0.765846857456, -0.593839697623],
        "weight": [0.30784230675, -2.68444280196],
        "bias": [-0.151917813951, -1.43003587871],
        "running_mean": [-0.244119220496, -0.905722076206],
        "running_var": [0.948505311092, 0.550497605194],
    },
    "LayerNorm": {
        "output": [-0.128499555633, -0.411057348208, -1.0295202929, 1.37549765795, 0.784510821723,
            0.581574224587, -1.0049016645, -1.37496639635],
        "input": [0.0529323838978, -0.376806920806, 0.759167116468, -0.43529257956,
            0.0667648398711, -0.535120328847, 0.388200665524, 0.080154823452],
        "weight": [0.77087592858, 0.419994255728, -0.237611275621, -1.65898992136],
        "bias": [0.781055127166, -0.91082336036, -1.65264875711, -0.112417853671],
    },
    "LayerNorm, two axes": {
        "output": [0.510423252664, 0.471924617465, -1.7169036124, -1.46544174871, 0.140930658271,
            0.998017554813, -1.69631182032, -1.56022534848],
        "input": [-0.27327619454, -0.185457946055, 0.387461111466, 0.0712730291292,
            0.109014322974, -1.23610919001, 1.05449686769, 0.0725979993449],
        "weight": [0.291283205337, -0.330974743183, -1.38138907198, 0.12701155687],
        "bias": [0.781055127166, -0.91082336036, -1.65264875711, -0.112417853671],
    },
    "Identity": {
        "output": [-1.30781343157, -1.971161295, 0.179094369804],
        "input": [0.170614237931, -0.322532051882, -0.805471290179],
    },
    "Sigmoid": {
        "output": [0.838387923471, 0.535113813504, 0.266400658879, 0.464423266392],
        "input": [0.023117139569, -0.0802353374338, -0.157414339876, -0.155350633251],
    },
    "Tanh": {
        "output": [0.648586752229, 0.946418840728, -0.929627951785, -0.457790476538],
        "input": [0.0988428378915, -0.0336373121128, -0.109376453739, -0.493673263379],
    },
    "ReLU": {
        "output": [0.508154758968, 1.67869993636, 0, 0],
        "input": [0.170614237931, -0.322532051882, 0, 0],
    },
    "LeakyReLU": {
        "output": [-0.23194098567, 1.63582323063, 0.923020249019, 1.70192453664],
        "input": [0.0341228475862, -0.322532051882, -0.805471290179, -0.624564588529],
    },
    "GELU": {
        "output": [1.70413003374, 1.65009192336, 0.263018538608, 1.47285864154],
        "input": [0.189192783994, -0.359084531029, -0.647153126791, -0.702442731612],
    },
    "GELU, tanh": {
        "output": [-0.0998252180534, 1.43947650561, 0.930227275162, -0.147630229916],
        "input": [-0.0217640279845, -0.36330774333, -0.886304725235, -0.100681019517],
    },
    "Softplus": {
        "output": [0.654117096452, 1.9718662501, 1.87806400567, 0.866879608406],
        "input": [0.0819117450902, -0.277636610252, -0.682326163188, -0.362084522504],
    },
    "Softmax": {
        "output": [0.447041434009, 0.165687796737, 0.387270769254, 0.485171828089,
            0.0816595692382, 0.433168602673],
        "input": [0.205512866802, -0.00553870681654, -0.199974159985, -0.0565528224622,
            0.0913315749375, -0.0347787524752],
    },
    "Softmax, columns": {
        "output": [0.685467887347, 0.317698464151, 0.314532112653, 0.682301535849],
        "input": [0.21044566286, 0.065470430152, -0.21044566286, -0.065470430152],
    },
    "LogSoftmax": {
        "output": [-0.818037247398, -0.882182320449, -1.93223379682, -1.60173978295,
            -0.914427000913, -0.922036594693],
        "input": [0.593107140841, 0.0737109149674, -0.666818055808, -0.503150514066,
            0.851856406901, -0.348705892836],
    },
    "Sequential": {
        "output": [-0.327152246593, -0.118474207599],
        "input": [0, 0.0763595840452, 0.122629679056, 0, -0.197623662044, -0.0938898031685, 0, 0,
            0],
        "0.weight": [0, 0, 0, 0, 0.172067922723, 0.318331206678, -0.0976124262729,
            0.254667634722],
        "0.bias": [0, -0.20880869936],
        "4.weight": [0, 0.19120795546, -0, -0.361462765116],
        "4.bias": [0.170614237931, -0.322532051882],
    },
}
# fmt: on
