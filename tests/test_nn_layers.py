"""The layers: their values and gradients, shapes, types and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autobp import Tensor, check_gradients, compile, grad, graph, nn, scope
from autobp.verify.samples import generator

# ── values and gradients, as PyTorch has them ─────────────────────────────────────────────────────

# What makes the layer, given `autobp.nn` or `torch.nn`, and the shape of its input.
Case = tuple[Callable[[Any], Any], tuple[int, ...]]

CASES: dict[str, Case] = {
    "Linear": (lambda nn: nn.Linear(3, 2), (2, 3)),
    "Linear, no bias": (lambda nn: nn.Linear(3, 2, False), (3,)),
    "Linear, three axes": (lambda nn: nn.Linear(2, 2), (2, 2, 2)),
    "Conv2d": (lambda nn: nn.Conv2d(1, 2, 2), (1, 1, 3, 3)),
    "Conv2d, strided": (lambda nn: nn.Conv2d(2, 1, 2, 2, (1, 0), (1, 2)), (1, 2, 2, 3)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(2), (1, 1, 4, 4)),
    "MaxPool2d, strided": (lambda nn: nn.MaxPool2d((2, 3), 1, (1, 0)), (1, 1, 3, 4)),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(2, 1, 1), (1, 1, 2, 3)),
    "Conv2d, groups": (lambda nn: nn.Conv2d(2, 2, 2, groups=2), (1, 2, 2, 3)),
    "Conv2d, the same": (lambda nn: nn.Conv2d(1, 1, (2, 3), padding="same"), (1, 1, 2, 3)),
    "Conv2d, one image": (lambda nn: nn.Conv2d(1, 1, 2), (1, 2, 3)),
    "MaxPool2d, dilated": (lambda nn: nn.MaxPool2d(2, 1, 0, 2), (1, 1, 3, 4)),
    "MaxPool2d, ceiling": (lambda nn: nn.MaxPool2d(2, ceil_mode=True), (1, 1, 3, 3)),
    "AvgPool2d, counts": (lambda nn: nn.AvgPool2d(2, 2, 1, True, False), (1, 1, 3, 4)),
    "AvgPool2d, divisor": (lambda nn: nn.AvgPool2d(2, 1, divisor_override=3), (1, 1, 2, 3)),
    "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d((1, 2)), (1, 1, 3, 3)),
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
    "ELU": (lambda nn: nn.ELU(1.5), (4,)),
    "SELU": (lambda nn: nn.SELU(), (4,)),
    "SiLU": (lambda nn: nn.SiLU(), (4,)),
    "GLU": (lambda nn: nn.GLU(0), (4, 2)),
    "Softplus": (lambda nn: nn.Softplus(), (4,)),
    "Softmax": (lambda nn: nn.Softmax(-1), (2, 3)),
    "Softmax, columns": (lambda nn: nn.Softmax(0), (2, 2)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(0), (2, 3)),
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
    "Conv2d, groups": {
        "output": [-3.35437304775, 2.90404702475, -0.376363299981, -0.929821175667],
                "input": [0.100982080148, -0.0705364033034, -0.22753405695, -0.169963396757,
            0.48173916131, -0.303293718213, 0.349127728589, -0.131216103277, -0.311658119073,
            -0.896767964313, -1.79612720065, -0.853540715414],
                "weight": [-0.105559820802, -0.628665967977, 0.626658063251, -0.402581066768,
            -0.738385403302, 1.78037571554, -0.378129287554, 0.651693444592],
        "bias": [-0.151917813951, -1.43003587871],
    },
    "Conv2d, the same": {
                "output": [-0.104375262616, 2.1994686116, 1.80195554738, -0.371637373719,
            -0.297184881415, 2.07595680384],
                "input": [-0.0705364033034, -0.874234725862, -0.246927573182, -0.456548235023,
            0.172140592161, -0.834945283089],
                "weight": [-1.41344708488, -2.12434153674, 0.25111329896, -1.39168670355,
            -1.72325721402, -0.402123656068],
        "bias": [-1.5598041119],
    },
    "Conv2d, one image": {
        "output": [0.806433273982, -0.113837912004],
                "input": [0.100982080148, -0.0705364033034, -0.22753405695, -0.169963396757,
            0.48173916131, -0.303293718213],
        "weight": [0.870756277491, -0.382618653824, -0.051648773034, -0.130230654073],
        "bias": [-0.151917813951],
    },
    "MaxPool2d, dilated": {
        "output": [1.83983550962, 0.784382125542],
        "input": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.170614237931, -0.322532051882],
    },
    "MaxPool2d, ceiling": {
        "output": [1.49763168559, -0.121942469947, 1.62349814459, -0.812413118431],
                "input": [0, 0.170614237931, -0.322532051882, 0, 0, 0, 0, -0.805471290179,
            -0.624564588529],
    },
    "AvgPool2d, counts": {
                "output": [0.550539675393, -0.331810436112, -0.222190847661, -0.620475614163,
            0.114223185971, -1.27486270057],
                "input": [0.170614237931, -0.161266025941, -0.161266025941, -0.805471290179,
            -0.312282294265, 0.152610222309, 0.152610222309, -0.294145654239, -0.312282294265,
            0.152610222309, 0.152610222309, -0.294145654239],
    },
    "AvgPool2d, divisor": {
        "output": [1.02551948963, 0.106107311243],
                "input": [0.0568714126437, -0.050639271317, -0.107510683961, 0.0568714126437,
            -0.050639271317, -0.107510683961],
    },
    "AdaptiveAvgPool2d": {
        "output": [-0.0879934948732, -0.130896445948],
                "input": [0.0284357063218, -0.0253196356585, -0.0537553419803, 0.0284357063218,
            -0.0253196356585, -0.0537553419803, 0.0284357063218, -0.0253196356585,
            -0.0537553419803],
    },
    "ELU": {
        "output": [1.69890366148, 1.65440091027, -0.51506738339, -1.0657007137],
        "input": [0.170614237931, -0.322532051882, -0.793334945441, -0.271247955045],
    },
    "SELU": {
        "output": [1.80817444532, -0.604107868277, 0.800817968301, -0.703950875564],
        "input": [0.179264548251, -0.372199237502, -0.846309479878, -0.658383802469],
    },
    "SiLU": {
        "output": [-0.278459498762, -0.267441568699, -0.107071208762, -0.277409578757],
        "input": [0.000253676802721, -0.0252892170083, -0.305556418284, 0.0127831993552],
    },
    "GLU": {
        "output": [-0.757415916803, -1.0474886161, -0.659544129513, 0.259127637043],
                "input": [0.11929862763, -0.244908811211, -0.633377728236, -0.0843362644697,
            -0.0388672600225, 0.0813094609472, 0.113503298507, -0.139988089077],
    },
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
        "output": [-0.139989483855, -1.18202466837],
        "input": [-0.169963396757, 0, 0.160437470633, -0.190898238673, 0, -0.22753405695,
            0.189952621152, 0, 0.23316435382, 0.139799995411, 0, -0.160943694978],
        "weight": [-0.182482492862, 0.438291059589, 0.27530905478, -0.236968315468,
            -0.542662162524, -0.109960472812, 0.149533617107, 0.224327687203],
        "bias": [-0.151917813951],
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
        "output": [-1.71834401818, -2.37024525495, -3.35027406891, -0.197674318246,
            -0.09811769993, -0.0357046313034],
        "input": [0.2520361001, -0.349439379135, -0.756585429566, -0.2520361001, 0.349439379135,
            0.756585429566],
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


# ── what layers begin with ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda rng: nn.Linear(25, 400, rng=rng), 25),
        (lambda rng: nn.Conv2d(4, 99, 5, rng=rng), 100),
    ],
)
def test_parameters_begin_uniform_within_the_square_root_of_fan_in(make, fan_in):
    layer = make(0)
    for p in layer.parameters():
        bound = 1 / np.sqrt(fan_in)
        assert 0.97 * bound < np.max(np.abs(p.numpy())) <= bound
        assert np.std(p.numpy()) == pytest.approx(bound / np.sqrt(3), rel=0.1)


def test_a_seed_makes_all_the_same():
    same = lambda a, b: all(map(np.array_equal, a.state_dict().values(), b.state_dict().values()))
    make = lambda rng: nn.MLP([3, 5, 5, 2], rng=rng)
    assert same(make(7), make(7))
    assert not same(make(7), make(8))
    assert not same(make(None), make(None))
    assert same(make(np.random.default_rng(7)), make(7))
    net = make(7)
    assert not np.array_equal(net[0].bias.data, net[2].bias.data)  # one generator for all layers
    layers = [nn.Layer(2, 3, rng=1), nn.Layer(2, 3, rng=1)]
    assert same(*layers)


INITIALIZERS = {
    "normal": (nn.normal(0.3), 0.0, 0.3),
    "uniform": (nn.uniform(1.0, 4.0), 2.5, 3 / np.sqrt(12)),
    "xavier": (nn.xavier(), 0.0, np.sqrt(2 / (60 + 80))),
    "xavier, n_in alone": (nn.xavier(fan_out=False), 0.0, np.sqrt(1 / 60)),
    "he": (nn.he(), 0.0, np.sqrt(2 / 60)),
    "zeros": (nn.zeros(), 0.0, 0.0),
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name):
    init, mean, std = INITIALIZERS[name]
    for layer in (nn.Linear(60, 80, init=init, rng=0), nn.Conv2d(15, 20, 2, init=init, rng=0)):
        w = layer.weight.numpy()
        assert np.mean(w) == pytest.approx(mean, abs=0.05)
        assert np.std(w) == pytest.approx(std, rel=0.05)
        np.testing.assert_array_equal(layer.bias.numpy(), 0.0)
        again = init(w.shape, np.random.default_rng(0))
        np.testing.assert_array_equal(w, again)


def test_weights_from_a_file(tmp_path):
    path = tmp_path / "first.npy"
    np.save(path, np.arange(6.0).reshape(2, 3))
    layer = nn.Linear(3, 2, bias=False, init=nn.from_npy(path))
    np.testing.assert_array_equal(layer.weight.numpy(), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ValueError) as caught:
        nn.Linear(2, 3, init=nn.from_npy(path))
    assert str(caught.value) == (
        f"{path} holds an array of shape (2, 3), not (3, 2); weights are (out, in): save the"
        " transpose"
    )
    with pytest.raises(ValueError, match=r"holds an array of shape \(2, 3\), not \(4, 4\)$"):
        nn.Linear(4, 4, init=nn.from_npy(path))


def test_a_damaged_npy_file_is_named(tmp_path):
    path = tmp_path / "weights.npy"
    np.save(path, np.zeros((2, 3)))
    data, rng = path.read_bytes(), np.random.default_rng(0)
    refused = []
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(0, 128, rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            nn.Linear(3, 2, init=nn.from_npy(path))
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert all(str(path) in said for said in refused)
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    for other in (b"", b"hello", data[:40], (tmp_path / "a.npz").read_bytes()):
        path.write_bytes(other)
        with pytest.raises(ValueError, match=r"weights.npy is not a .npy file, or it is damaged: "):
            nn.Linear(3, 2, init=nn.from_npy(path))
    with pytest.raises(FileNotFoundError):
        nn.Linear(3, 2, init=nn.from_npy(tmp_path / "missing.npy"))


# ── activations ───────────────────────────────────────────────────────────────────────────────────


def test_a_perceptron_steps_at_its_threshold():
    x = Tensor([-1.0, 0.0, 0.4, 0.5, 0.6])
    np.testing.assert_array_equal(nn.step(x).numpy(), [0, 0, 1, 1, 1])
    y = nn.Step(0.5)(x)
    np.testing.assert_array_equal(y.numpy(), [0, 0, 0, 0, 1])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, np.zeros(5))
    assert nn.step(np.float32([1.0])).dtype == np.float32


def test_gelu_is_exact_far_out():
    """x Φ(x), with Φ from mpmath."""
    x = np.array([-30.0, -8.0, -5.0, -1.0, -1e-3, 0.0, 0.5, 3.0, 9.0])
    expected = [
        -1.472014178144456e-196, -4.976768459417427e-15, -1.43325785939597e-6, -0.1586552539314571,
        -0.0004996010577860889, 0.0, 0.3457312306370066, 2.99595030590511, 9.0,
    ]  # fmt: skip
    np.testing.assert_allclose(nn.gelu(x), expected, rtol=1e-13)
    assert grad(nn.gelu)(0.5) == pytest.approx(0.8674951246561628, rel=1e-14)
    assert nn.gelu(Tensor(1.0)).item() == pytest.approx(0.841344746068543, rel=1e-15)
    assert nn.gelu(np.float32([1.0])).dtype == np.float32


NAMES = [
    "identity",
    "step",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "gelu",
    "softplus",
    "softmax",
    "log_softmax",
]


@pytest.mark.parametrize("name", NAMES)
def test_activations_by_name_class_module_and_function(name):
    function = getattr(nn, name)
    x = np.array([[-1.0, 0.5, 2.0]])
    for given in (name, function, nn.Sequential(name)[0], type(nn.Sequential(name)[0])):
        np.testing.assert_array_equal(nn.Sequential(given)(x), function(x))


# ── shapes and scopes ─────────────────────────────────────────────────────────────────────────────


def test_linear_takes_any_number_of_axes_in_front():
    layer = nn.Linear(3, 2, rng=0)
    x = generator("x").uniform(-1, 1, (2, 4, 3))
    assert layer(x[0, 0]).shape == (2,)
    assert layer(x).shape == (2, 4, 2)
    np.testing.assert_allclose(layer(x)[1].numpy(), layer(x[1]).numpy(), rtol=1e-14)
    np.testing.assert_allclose(layer([1.0, 2.0, 3.0]).numpy(), layer(np.r_[1.0, 2, 3]).numpy())


def test_an_embedding_is_a_row_for_each_index():
    layer = nn.Embedding(4, 2, padding_idx=1, rng=0)
    assert layer.weight.data[1].tolist() == [0.0, 0.0]
    assert repr(layer) == "Embedding(4, 2, padding_idx=1)"
    index, weight = np.array([[0, 2, 2], [1, 3, 0]]), np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(nn.embedding(index, weight), weight[index])
    uses = lambda padding: grad(lambda w: np.sum(nn.embedding(index, w, padding)))(weight)[:, 0]
    assert uses(None).tolist() == [2, 1, 2, 1]
    assert uses(2).tolist() == [2, 1, 0, 1]
    assert uses(-1).tolist() == [2, 1, 2, 0]
    check_gradients(lambda w: nn.embedding(index, w) ** 3, weight, order=2)
    np.testing.assert_array_equal(
        compile(grad(lambda w: np.sum(nn.embedding(index, w) ** 2)))(weight),
        grad(lambda w: np.sum(nn.embedding(index, w) ** 2))(weight),
    )


def attended(q, k, v, allowed, scale):
    """One query at a time."""
    rows = []
    for i, query in enumerate(q):
        e = np.exp(scale * (k @ query)) * allowed[i]
        rows.append(e @ v / np.sum(e))
    return np.stack(rows)


def test_attention_takes_means_of_values():
    rng = np.random.default_rng(4)
    q, k, v = (rng.standard_normal(s) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
    attend, root = nn.scaled_dot_product_attention, 0.5
    mask = rng.random((3, 5)) < 0.6
    mask[:, 0] = True
    causal, full = np.tri(3, 5), np.ones((3, 5))
    for options, allowed, scale in (
        ({}, full, root),
        ({"is_causal": True}, causal, root),
        ({"attn_mask": mask}, mask, root),
        ({"attn_mask": np.log(mask + 1e-300), "scale": 2.0}, mask, 2.0),
    ):
        expected = np.stack([attended(a, b, c, allowed, scale) for a, b, c in zip(q, k, v)])
        np.testing.assert_allclose(attend(q, k, v, **options), expected, rtol=1e-12)
    single = [a.astype(np.float32) for a in (q, k, v)]
    assert attend(*single, is_causal=True).dtype == np.float32
    np.testing.assert_allclose(attend(q[0], k[0], v[0]), attend(q, k, v)[0], rtol=1e-13)
    check_gradients(lambda q, k, v: attend(q, k, v, is_causal=True), q, k, v, order=2)
    f = grad(lambda q, k, v: np.sum(attend(q, k, v, mask) ** 2), (0, 1, 2))
    for a, b in zip(compile(f)(q, k, v), f(q, k, v), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_attention_heads_share_keys_and_a_part_of_the_weights_is_dropped():
    rng = np.random.default_rng(4)
    q, k, v = (rng.standard_normal((n, 3, 2)) for n in (4, 2, 2))
    shared = nn.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    for i in range(4):
        np.testing.assert_allclose(
            shared[i], nn.scaled_dot_product_attention(q[i], k[i // 2], v[i // 2]), rtol=1e-13
        )
    ones = np.ones((1, 2000, 1))
    half = nn.scaled_dot_product_attention(ones, ones[:, :50], ones[:, :50], dropout_p=0.5, rng=0)
    assert abs(np.mean(half) - 1) < 0.02 < np.std(half)
    assert not np.any(nn.scaled_dot_product_attention(q, q, q, dropout_p=1.0))


def test_flatten():
    assert nn.Flatten()(np.ones((2, 3, 4))).shape == (2, 12)
    assert nn.Flatten()(np.ones((0, 3, 4))).shape == (0, 12)
    assert nn.Flatten()(Tensor(np.ones(3))).shape == (3, 1)


def test_an_mlp_is_linear_layers_and_activations():
    model = nn.MLP([2, 4, 3, 1], "tanh", "sigmoid", rng=0)
    x = generator("x").uniform(-1, 1, (5, 2))
    state = model.state_dict()
    h = x
    for i in (0, 2, 4):
        z = h @ state[f"{i}.weight"].T + state[f"{i}.bias"]
        h = 1 / (1 + np.exp(-z)) if i == 4 else np.tanh(z)
    np.testing.assert_allclose(model(x).numpy(), h, rtol=1e-14)
    assert [type(layer).__name__ for layer in nn.MLP([2, 1])] == ["Linear"]
    assert not any(np.any(p.data) for p in nn.MLP([2, 3, 1], init=nn.zeros()).parameters())
    assert list(nn.MLP([2, 3, 1], bias=False).state_dict()) == ["0.weight", "2.weight"]
    assert [layer.negative_slope for layer in nn.MLP([1, 1, 1, 1], nn.LeakyReLU(0.3))[1::2]] == [
        0.3,
        0.3,
    ]


def test_a_part_of_a_stack_is_a_stack_of_the_same_layers():
    model = nn.MLP([2, 4, 3], "tanh", rng=0)
    x = np.ones((5, 2))
    features = model[:-1]
    assert isinstance(features, nn.Sequential)
    assert list(features) == [model[0], model[1]]
    np.testing.assert_array_equal(model[-1](features(x)).numpy(), model(x).numpy())


def test_each_operation_knows_its_layer():
    model = nn.MLP([2, 4, 3], "tanh", rng=0)
    y = model(np.ones((5, 2)))
    assert y.scope == "mlp/linear2"
    names = {p.name: p.scope for p in model.parameters()}
    assert names == {
        "linear1.weight": "mlp/linear1",
        "linear1.bias": "mlp/linear1",
        "linear2.weight": "mlp/linear2",
        "linear2.bias": "mlp/linear2",
    }
    model.name = "policy"
    with scope("step1"):
        assert model(np.ones(2)).scope == "step1/policy/linear2"
    assert model[0].weight.scope == "step1/policy/linear1"
    assert model[0].weight.name == "linear1.weight"
    tanh, twice = nn.Tanh(), nn.Linear(2, 2)
    for same in (nn.MLP([2, 2, 2, 2], tanh), nn.Sequential(twice, tanh, twice, tanh, "relu")):
        scopes = [t.scope.partition("/")[2] for t in graph(same(np.ones(2))).operations]
        assert list(dict.fromkeys(scopes))[:4] == ["linear1", "tanh1", "linear2", "tanh2"]
    assert nn.Sequential(np.sin, "relu")(Tensor(1.0)).scope == "sequential/relu"
    assert nn.Sequential("relu", np.sin)(Tensor(1.0)).scope == "sequential/sin"
    assert nn.Sequential(lambda x: 2 * x)(Tensor(1.0)).scope == "sequential/activation"


# ── dropout and batch normalization: training and use ─────────────────────────────────────────────


def test_dropout_keeps_sums_on_average():
    layer = nn.Dropout(0.3, rng=0)
    x = Tensor(np.ones(20_000, np.float32))
    y = layer(x)
    assert y.dtype == np.float32
    assert set(np.unique(y.numpy())) == {0, np.float32(1 / 0.7)}
    assert np.mean(y.numpy()) == pytest.approx(1, abs=0.02)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.numpy())  # what is dropped has no gradient either
    assert not np.array_equal(layer(x).numpy(), y.numpy())
    assert layer.eval()(x) is x
    np.testing.assert_array_equal(nn.Dropout(1.0)(np.ones(3)), 0)
    np.testing.assert_array_equal(nn.Dropout(0.0)(np.ones(3)), 1)
    np.testing.assert_array_equal(nn.Dropout(0.75, rng=0)(np.ones(9, int)) % 4, 0)


def test_layer_normalization_is_three_operations():
    """Nine took most of the time of a small layer."""
    layer = nn.LayerNorm((2, 3))
    x = Tensor(np.random.default_rng(0).normal(size=(4, 2, 3)))
    made = [t.primitive.name for t in graph(layer(x)).operations]
    assert made == ["standardized", "multiply", "add"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (3, 1, 0, 2)], ids=str)
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-6)])
def test_batch_normalization_of_images_is_its_formula(order, dtype, rtol):
    """However they lie in memory; also of weights that are in double precision."""
    rng = np.random.default_rng(0)
    inverse = np.argsort(order)
    laid = lambda a: a.transpose(order).copy().transpose(inverse).astype(dtype, copy=False)
    x, g = (laid(mean + rng.standard_normal((5, 3, 6, 7))) for mean in (3, 0))
    layer = nn.BatchNorm2d(3)
    layer.weight, layer.bias = Tensor(rng.uniform(0.5, 2, 3)), Tensor(rng.uniform(-1, 1, 3))

    def formula(x, w, b):
        axes = (0, 2, 3)
        mean, variance = (f(x, axis=axes, keepdims=True) for f in (np.mean, np.var))
        y = (x - mean) / np.sqrt(variance + layer.eps)
        return y * w[:, None, None] + b[:, None, None]

    exact = [np.asarray(a, np.float64) for a in (x, layer.weight.data, layer.bias.data)]
    loss = lambda x, w, b: np.sum(formula(x, w, b) * g)
    t = Tensor(x)
    y = layer(t)
    assert y.dtype == np.float64  # of the weights
    np.testing.assert_allclose(y.data, formula(*exact), 0, rtol * 5)
    np.sum(y * g).backward()
    for tensor, expected in zip((t, layer.weight, layer.bias), grad(loss, (0, 1, 2))(*exact)):
        assert tensor.grad.dtype == tensor.dtype
        np.testing.assert_allclose(tensor.grad, expected, 0, rtol * np.abs(expected).max())
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * exact[0].mean((0, 2, 3)), rtol)
    n = x.size // 3
    variance = 0.9 + 0.1 * exact[0].var((0, 2, 3)) * n / (n - 1)
    np.testing.assert_allclose(layer.running_var.data, variance, rtol)


def test_batch_normalization_remembers_averages_in_training_alone():
    layer = nn.BatchNorm2d(2).astype(np.float32)
    x = generator("x").normal(3, 2, (50, 2, 4, 4)).astype(np.float32)
    y = layer(x).numpy()
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, atol=1e-4)
    for _ in range(100):
        layer(x)
    before = layer.state_dict()
    np.testing.assert_allclose(before["running_mean"], x.mean(axis=(0, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(before["running_var"], x.var(axis=(0, 2, 3), ddof=1), rtol=1e-3)
    assert before["running_var"].dtype == np.float32
    layer.eval()
    np.testing.assert_allclose(layer(x).numpy(), y, atol=2e-3)
    assert layer(x[:1]).shape == (1, 2, 4, 4)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_what_was_computed_in_use_keeps_its_derivative_when_training_goes_on():
    layer = nn.BatchNorm1d(1, eps=0.25).eval()
    layer.running_var.data = np.array([3.75])
    x = Tensor([[1.0], [2.0]])
    y = layer(x)
    layer.train()(np.array([[1.0], [2.0]]))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[0.5], [0.5]])


def test_statistics_are_remembered_within_grad():
    layer = nn.BatchNorm1d(2)
    x = generator("x").normal(3, 2, (6, 2))
    params = {name: p.numpy() for name, p in layer.named_parameters()}
    grad(lambda params: np.sum(nn.functional_call(layer, params, x) ** 3))(params)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean(axis=0))


# ── neurons one by one ────────────────────────────────────────────────────────────────────────────


def test_neurons_compute_what_matrices_do():
    net = nn.Sequential(nn.Layer(2, 3, "tanh", rng=0), nn.Layer(3, 2, "identity", rng=1))
    x = [0.5, -2.0]
    outputs = net(x)
    w = [[n.w[i].item() for i in range(2)] for n in net[0].neurons]
    v = [[n.w[i].item() for i in range(3)] for n in net[1].neurons]
    np.testing.assert_allclose([y.item() for y in outputs], v @ np.tanh(np.dot(w, x)), rtol=1e-14)
    outputs[1].backward()
    np.testing.assert_allclose([w.grad for w in net[1].neurons[1].w], np.tanh(np.dot(w, x)))
    assert net[1].neurons[0].b.grad is None
    assert {type(p.data) for p in net.parameters()} == {float}
    assert sum(1 for _ in net.parameters()) == 3 * 3 + 2 * 4
    assert [p.name for p in net[0].parameters()][:4] == [
        "layer1.n1.w1", "layer1.n1.w2", "layer1.n1.b", "layer1.n2.w1",
    ]  # fmt: skip
    assert outputs[0].scope == "sequential/layer2/n1"


def test_a_layer_of_one_neuron_gives_a_number():
    y = nn.Layer(2, 1, rng=0)(np.array([1.0, 2.0]))
    assert isinstance(y, Tensor)
    assert y.shape == ()
    assert isinstance(nn.Neuron(2)(Tensor([1.0, 2.0])), Tensor)


def test_neurons_learn_xor():
    net = nn.Sequential(nn.Layer(2, 4, "tanh", rng=3), nn.Layer(4, 1, "identity", rng=4))
    data = [([0.0, 0.0], -1), ([0.0, 1.0], 1), ([1.0, 0.0], 1), ([1.0, 1.0], -1)]
    for _ in range(150):
        net.zero_grad()
        sum((net(x) - y) ** 2 for x, y in data).backward()
        for p in net.parameters():
            p.data -= 0.1 * p.grad
    assert all(net(x).item() * y > 0.5 for x, y in data)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────

# fmt: off
REFUSED = {
    "embedding: indices are 0 to 2, not 1 to 3":
        lambda: nn.embedding([1, 3], np.ones((3, 2))),
    "embedding: indices must be whole numbers, not float64":
        lambda: nn.embedding([1.0], np.ones((3, 2))),
    "embedding: padding_idx=3 is not one of 3 rows":
        lambda: nn.embedding([1], np.ones((3, 2)), 3),
    "Embedding: padding_idx=5 is not one of the rows":
        lambda: nn.Embedding(3, 2, padding_idx=5),
    "scaled_dot_product_attention takes an attn_mask or is_causal, not both":
        lambda: nn.scaled_dot_product_attention(*[np.ones((2, 2))] * 4, is_causal=True),
    "scaled_dot_product_attention: dropout_p is a probability from 0 to 1, not 2":
        lambda: nn.scaled_dot_product_attention(*[np.ones((2, 2))] * 3, dropout_p=2),
    "glu: axis -1 of shape (3,) does not divide into two halves":
        lambda: nn.glu([1, 2, 3]),
    "Conv2d: groups=2 does not divide 3 and 4 channels":
        lambda: nn.Conv2d(3, 4, 2, groups=2),
    "Linear 'mlp/linear1' takes 784 features, not 28×28; flatten first (nn.Flatten) (its input has"
    " shape (5, 28, 28))":
        lambda: nn.MLP([784, 3, 2])(np.ones((5, 28, 28))),
    "Linear 'linear' takes 4 features, not 3 (its input has shape (3,))":
        lambda: nn.Linear(4, 2)([1.0, 2.0, 3.0]),
    "Linear 'linear' takes 4 features, not a single number (its input has shape ())":
        lambda: nn.Linear(4, 2)(1.0),
    "Linear: in_features must be at least 1, not 0":
        lambda: nn.Linear(0, 2),
    "Linear: out_features must be an integer, not 2.5":
        lambda: nn.Linear(1, 2.5),
    "init must be an initializer such as nn.he(), not 'he'":
        lambda: nn.Linear(2, 1, init="he"),
    f"init must be an initializer such as nn.he(), not {nn.he!r:.50}":
        lambda: nn.Linear(2, 1, init=nn.he),
    "init returned an array of shape (2, 1), not (1, 2)":
        lambda: nn.Linear(2, 1, init=lambda shape, rng: rng.normal(size=shape[::-1])),
    "Conv2d 'conv' takes images of shape (samples, 1, height, width), not (5, 28, 28); x[:, None]"
    " adds an axis for one channel":
        lambda: nn.Conv2d(1, 2, 3)(np.ones((5, 28, 28))),
    "Conv2d 'conv' takes images of shape (samples, 1, height, width), not (5, 3, 28, 28)":
        lambda: nn.Conv2d(1, 2, 3)(np.ones((5, 3, 28, 28))),
    "Conv2d: in_channels must be at least 1, not 0":
        lambda: nn.Conv2d(0, 2, 3),
    "Conv2d: kernel_size=0 is not a number, or two, of 1 or more":
        lambda: nn.Conv2d(1, 2, 0),
    "Conv2d: padding=(1, 2, 3) is not a number, or two, of 0 or more":
        lambda: nn.Conv2d(1, 2, 3, padding=(1, 2, 3)),
    "MaxPool2d: stride=0 is not a number, or two, of 1 or more":
        lambda: nn.MaxPool2d(2, 0),
    "Dropout: p must be a probability from 0 to 1, not 1.5":
        lambda: nn.Dropout(1.5),
    "BatchNorm1d 'batchnorm' takes an input of shape (samples, 3) or (samples, 3, length), not"
    " (5, 2)":
        lambda: nn.BatchNorm1d(3)(np.ones((5, 2))),
    "BatchNorm2d 'net/batchnorm' takes an input of shape (samples, 3, height, width), not (5, 3)":
        lambda: named(nn.Sequential(nn.BatchNorm2d(3)), "net")(np.ones((5, 3))),
    "BatchNorm1d 'batchnorm': a single value in each channel has no variance; use larger"
    " batches, or eval()":
        lambda: nn.BatchNorm1d(3)(np.ones((1, 3))),
    "BatchNorm2d 'batchnorm': a single value in each channel has no variance; use larger"
    " batches, or eval()":
        lambda: nn.BatchNorm2d(3)(np.ones((0, 3, 4, 4))),
    "LayerNorm 'layernorm' takes an input whose last axes are (3,), not (3, 2)":
        lambda: nn.LayerNorm(3)(np.ones((3, 2))),
    "Neuron 'neuron' takes 2 numbers, not 3":
        lambda: nn.Neuron(2)([1.0, 2.0, 3.0]),
    "Neuron 'layer/n1' takes 2 numbers, not 1":
        lambda: nn.Layer(2, 3)([1.0]),
    "MLP: sizes must be a list of the sizes of the input and of each layer, two or more, not [3]":
        lambda: nn.MLP([3]),
    "MLP: sizes must be a list of the sizes of the input and of each layer, two or more, not 3":
        lambda: nn.MLP(3, 2),
    "no activation is called 'rely'; there are identity, step, sigmoid, tanh, relu, leaky_relu,"
    " gelu, elu, selu, silu, glu, softplus, softmax, log_softmax":
        lambda: nn.MLP([3, 2, 1], "rely"),
    "3 is neither a module nor a function":
        lambda: nn.Sequential(3),
    "[Tanh()] is neither a module nor a function; write Sequential(*layers)":
        lambda: nn.Sequential([nn.Tanh()]),
    "gelu: approximate is \"none\" or \"tanh\", not 'fast'":
        lambda: nn.gelu([1.0], "fast"),
}
# fmt: on


def named(module: nn.Module, name: str) -> nn.Module:
    module.name = name
    return module


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text.partition(" at 0x")[0])
def test_what_is_refused(text):
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        REFUSED[text]()
    assert str(caught.value) == text


@pytest.mark.parametrize("length", [3, 600])  # step by step, and as one operation
def test_a_query_that_may_look_nowhere_gives_0(length):
    rng = np.random.default_rng(0)
    q, k, v = (Tensor(rng.normal(size=(length, 2))) for _ in range(3))
    mask = rng.random((length, length)) < 0.9
    mask[1] = False
    y = nn.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    np.testing.assert_array_equal(y.numpy()[1], 0.0)
    np.sum(y**2).backward()
    assert all(np.all(np.isfinite(t.grad)) for t in (q, k, v))
    np.testing.assert_array_equal(q.grad[1], 0.0)
    seeing = np.delete(np.arange(length), 1)
    expected = nn.scaled_dot_product_attention(q[seeing], k, v, attn_mask=mask[seeing])
    np.testing.assert_allclose(y.numpy()[seeing], expected.numpy(), rtol=1e-12)
    compiled = compile(lambda q, k, v, mask: nn.scaled_dot_product_attention(q, k, v, mask))
    np.testing.assert_allclose(compiled(q, k, v, mask), y.numpy(), rtol=0, atol=1e-12)


def test_a_layer_of_a_sequence_is_replaced():
    x = np.ones((2, 3))
    model = nn.Sequential(nn.Linear(3, 4, rng=0), "relu", nn.Linear(4, 2, rng=1))
    head = nn.Linear(4, 5, rng=2)
    model[-1] = head
    assert model[2] is head
    assert [name for name, _ in model.named_parameters()] == [
        *("0.weight", "0.bias", "2.weight", "2.bias"),
    ]
    np.testing.assert_array_equal(model(x).numpy(), head(model[:2](x)).numpy())
    model[1] = "tanh"
    assert type(model[1]) is nn.Tanh
    assert model(x).scope == "sequential/linear2"
    with pytest.raises(IndexError):
        model[3] = head


@pytest.mark.parametrize("bias", ["relu", 0.5, None])
def test_a_bias_is_true_or_false(bias):
    with pytest.raises(TypeError, match=r"bias must be True or False, not .*nn.Sequential"):
        nn.Linear(2, 4, bias)
