"""Optimizers, schedules, clipping and gradient descent.

The numbers that things are compared with were printed by PyTorch 2.13 in float64, by
`python -m tests.benchmarks.optim_against_torch --numbers`.
"""

import copy
import inspect
import math
import tracemalloc

import numpy as np
import pytest

import autobp.optim
from autobp import Tensor, compile, grad, log_softmax, nn, sigmoid
from autobp.optim import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    Optimizer,
    ReduceLROnPlateau,
    RMSprop,
    Schedule,
    SequentialLR,
    StepLR,
    clip_grad_norm,
    clip_grad_value,
    gradient_descent,
    schedules,
)
from autobp.optim.option import at_least_zero, fraction, option

# ── one small problem, for NumPy and PyTorch alike ────────────────────────────────────────────────

X = np.sin(np.arange(1.0, 25.0)).reshape(8, 3)
Y = np.cos(np.arange(1.0, 17.0) ** 2).reshape(8, 2)
START = [np.cos(np.arange(6.0)).reshape(3, 2), np.array([0.1, -0.2]), np.array(1.5)]


def problem(xp, X, Y, W, b, s):
    return ((xp.tanh(X @ W + b) * s - Y) ** 2).mean()


# Rates are small enough for the descent to settle: near a minimum RMSprop with a short memory turns
# one unit in the last place into 1e-4 within a few steps, in PyTorch as here.
# name: the optimizer, its options, those of the second group if there is one, a length to clip to
CASES = {
    "SGD": ("SGD", {"lr": 0.1}, None, None),
    "SGD, momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}, None, None),
    "SGD, nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, None, None),
    "SGD, weight decay": (
        "SGD",
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
        None,
        None,
    ),
    "SGD, clipped": ("SGD", {"lr": 0.2, "momentum": 0.5}, None, 0.1),
    "SGD, groups": ("SGD", {"lr": 0.1}, {"lr": 0.03, "momentum": 0.9}, None),
    "Adagrad": ("Adagrad", {"lr": 0.1}, None, None),
    "Adagrad, options": (
        "Adagrad",
        {
            "lr": 0.2,
            "lr_decay": 0.01,
            "weight_decay": 0.02,
            "initial_accumulator_value": 0.1,
            "eps": 1e-6,
        },
        None,
        None,
    ),
    "RMSprop": ("RMSprop", {"lr": 0.01}, None, None),
    "RMSprop, weight decay": (
        "RMSprop",
        {"lr": 0.01, "alpha": 0.97, "weight_decay": 0.02},
        None,
        None,
    ),
    "RMSprop, momentum": ("RMSprop", {"lr": 0.003, "momentum": 0.8}, None, None),
    "RMSprop, centered": ("RMSprop", {"lr": 0.003, "centered": True, "eps": 1e-3}, None, None),
    "Adam": ("Adam", {"lr": 0.05}, None, None),
    "Adam, options": (
        "Adam",
        {"lr": 0.02, "betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.1},
        None,
        None,
    ),
    "AdamW": ("AdamW", {"lr": 0.05}, None, None),
    "AdamW, weight decay": ("AdamW", {"lr": 0.03, "weight_decay": 0.3}, None, None),
}

METRICS = [3.0, 2.0, 2.0, 1.99999, 2.5, 2.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9]

# name: the schedule and its options, of an optimizer with the rates 0.5 and 0.02
SCHEDULES = {
    "StepLR": ("StepLR", {"step_size": 3, "gamma": 0.4}),
    "MultiStepLR": ("MultiStepLR", {"milestones": [2, 7, 7], "gamma": 0.3}),
    "ExponentialLR": ("ExponentialLR", {"gamma": 0.8}),
    "LambdaLR": ("LambdaLR", {"lr_lambda": lambda t: 0.9**t + 0.1 * (t % 3)}),
    "CosineAnnealingLR": ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    "LinearLR": ("LinearLR", {"start_factor": 0.25, "total_iters": 6}),
    "LinearLR, by default": ("LinearLR", {}),
    "warm-up, then cosine": ("SequentialLR", {}),
    "ReduceLROnPlateau": ("ReduceLROnPlateau", {"factor": 0.5, "patience": 2, "cooldown": 2}),
    "ReduceLROnPlateau, max": (
        "ReduceLROnPlateau",
        {
            "mode": "max",
            "factor": 0.3,
            "patience": 1,
            "threshold": 0.15,
            "threshold_mode": "abs",
            "min_lr": 0.005,
        },
    ),
    "ReduceLROnPlateau, abs": (
        "ReduceLROnPlateau",
        {"patience": 0, "threshold": 0.5, "threshold_mode": "abs"},
    ),
}

# fmt: off
EXPECTED = {
    "SGD":
        [1.0668895578736248, 0.5737109005696187, 0.1557998937628731, -0.6343124954772087,
         -0.10248490429674835, 0.6346030402778815, 0.45122955744474774, 0.08461290149144665,
         1.0383217993735085],
    "SGD, momentum":
        [1.557881506191667, 0.505161907538972, 0.6705968822321817, -0.6379032691304999,
         -0.03718485276690706, 0.6992718267390807, 1.1775395687986223, 0.12267727831825855,
         0.7990399481444178],
    "SGD, nesterov":
        [1.4839731485119574, 0.5043954616018158, 0.5562361120037924, -0.6378542871351802,
         -0.08685527079770759, 0.7000912028462718, 1.0096368905403805, 0.11839543813314085,
         0.8094976035360638],
    "SGD, weight decay":
        [1.0544837945023255, 0.4056399769723853, 0.29974957626418386, -0.49632862816092416,
         -0.10695575800961415, 0.5415792736964897, 0.5737905318658332, 0.1010213547175261,
         0.9088563915105693],
    "SGD, clipped":
        [1.1605173151886463, 0.523617006035961, 0.257729937622836, -0.6374615107554324,
         -0.08596658614221125, 0.6812940943794626, 0.5923798041510691, 0.10211927732971635,
         0.9218217923764545],
    "SGD, groups":
        [1.228517583208431, 0.5896467297587245, 0.26711663995696233, -0.630893069047415,
         -0.14382354033074332, 0.6223622590583038, 0.6041469320729925, 0.09764352964695538,
         0.9084954642553377],
    "Adagrad":
        [1.2510216047323437, 0.6057963762149398, 0.0891237912471613, -0.7052547215007235,
         -0.0308307459279549, 0.7269671418244096, 0.5188332573473176, 0.09424676134725495,
         0.9800370630850498],
    "Adagrad, options":
        [0.9127155855423653, 0.3629455569417635, 0.18638624379780427, -0.45535821907767954,
         -0.0156788185510501, 0.49907297969510156, 0.4685330034905615, 0.09491944437158015,
         0.9640492315445632],
    "RMSprop":
        [1.2728957442662379, 0.5956088642071986, 0.10811920981404954, -0.7047408578659222,
         -0.01491873319831353, 0.7349045809653676, 0.5521227030476248, 0.09804628182615965,
         0.9521844951221824],
    "RMSprop, weight decay":
        [0.9844826922012391, 0.45873993567468896, 0.1297219018284014, -0.5555341327057647,
         -0.037048421666374724, 0.5851359149399592, 0.44291221602751757, 0.0917405484803976,
         0.9937310142421216],
    "RMSprop, momentum":
        [1.4599617658909807, 0.5971280326811373, 0.16430125511439914, -0.7118727956764045,
         -0.007530672583521498, 0.748195865534706, 0.6822953221031559, 0.10657625867758438,
         0.8772401486811093],
    "RMSprop, centered":
        [1.2664680841908822, 0.7193467521993628, -0.024687791420696728, -0.709358460218985,
         -0.206796339354279, 0.6343587934598366, 0.36430755674153814, 0.06607440677337348,
         1.194878429391719],
    "Adam":
        [1.7024430928439709, 0.5679803092526249, 0.30310071790802245, -0.7129728301458157,
         0.07023465390869778, 0.7678762264821265, 0.9588682581888379, 0.11689858657438375,
         0.8149651814464143],
    "Adam, options":
        [0.48795117648403097, 0.15525980084209007, 0.25530222704651967, -0.23282629613227157,
         0.021803479239408136, 0.2680686799494928, 0.37654328923162805, 0.09396976994801014,
         0.8594355822074877],
    "AdamW":
        [1.6543380309513458, 0.5368752540516776, 0.29724967299292937, -0.6776790285667307,
         0.06162123708051872, 0.734043244123664, 0.9272705579822175, 0.11610835792585769,
         0.8189538830813908],
    "AdamW, weight decay":
        [0.9720006614351953, 0.2057395587791834, 0.2199334912694252, -0.2810617135868177,
         0.021615732621605967, 0.34234781916852675, 0.5505318411868249, 0.10397817114722534,
         0.8760350541536175],
}
RATES = {
    "MultiStepLR":
        [[0.5, 0.02], [0.5, 0.02], [0.15, 0.006], [0.15, 0.006], [0.15, 0.006], [0.15,
         0.006], [0.15, 0.006], [0.0135, 0.00054], [0.0135, 0.00054], [0.0135, 0.00054],
         [0.0135, 0.00054], [0.0135, 0.00054], [0.0135, 0.00054], [0.0135, 0.00054],
         [0.0135, 0.00054], [0.0135, 0.00054], [0.0135, 0.00054]],
    "ExponentialLR":
        [[0.5, 0.02], [0.4, 0.016], [0.32000000000000006, 0.0128], [0.25600000000000006,
         0.01024], [0.20480000000000007, 0.008192000000000001], [0.16384000000000007,
         0.0065536000000000014], [0.13107200000000005, 0.005242880000000002],
         [0.10485760000000005, 0.004194304000000002], [0.08388608000000004,
         0.003355443200000002], [0.06710886400000003, 0.0026843545600000016],
         [0.05368709120000003, 0.0021474836480000013], [0.042949672960000025,
         0.0017179869184000011], [0.03435973836800002, 0.001374389534720001],
         [0.027487790694400018, 0.001099511627776001], [0.021990232555520017,
         0.0008796093022208008], [0.017592186044416015, 0.0007036874417766407],
         [0.014073748835532814, 0.0005629499534213126]],
    "LambdaLR":
        [[0.5, 0.02], [0.5, 0.02], [0.505, 0.0202], [0.36450000000000005,
         0.014580000000000003], [0.37805, 0.015122], [0.39524500000000007,
         0.015809800000000002], [0.2657205, 0.01062882], [0.28914845000000006,
         0.011565938000000003], [0.3152336050000001, 0.012609344200000004],
         [0.19371024450000005, 0.007748409780000002], [0.22433922005000007,
         0.008973568802000002], [0.25690529804500006, 0.010276211921800003],
         [0.14121476824050005, 0.005648590729620003], [0.17709329141645003,
         0.007083731656658002], [0.21438396227480505, 0.008575358490992202],
         [0.10294556604732454, 0.004117822641892982], [0.14265100944259207,
         0.0057060403777036825]],
    "StepLR":
        [[0.5, 0.02], [0.5, 0.02], [0.5, 0.02], [0.2, 0.008], [0.2, 0.008], [0.2, 0.008],
         [0.08000000000000002, 0.0032], [0.08000000000000002, 0.0032], [0.08000000000000002,
         0.0032], [0.03200000000000001, 0.00128], [0.03200000000000001, 0.00128],
         [0.03200000000000001, 0.00128], [0.012800000000000004, 0.0005120000000000001],
         [0.012800000000000004, 0.0005120000000000001], [0.012800000000000004,
         0.0005120000000000001], [0.005120000000000002, 0.00020480000000000004],
         [0.005120000000000002, 0.00020480000000000004]],
    "CosineAnnealingLR":
        [[0.5, 0.02], [0.47573737263609267, 0.019504844339512096], [0.40775500145538973,
         0.01811744900929367], [0.30951762881929706, 0.016112604669781573], [0.20048237118070303,
         0.01388739533021843], [0.1022449985446103, 0.011882550990706333], [0.03426262736390734,
         0.010495155660487905], [0.01, 0.01], [0.03426262736390731, 0.010495155660487905],
         [0.10224499854461024, 0.011882550990706333], [0.20048237118070295, 0.013887395330218431],
         [0.3095176288192968, 0.016112604669781573], [0.4077550014553897, 0.018117449009293674],
         [0.4757373726360928, 0.019504844339512106], [0.5, 0.02000000000000001],
         [0.4757373726360928, 0.019504844339512106], [0.4077550014553898, 0.018117449009293678]],
    "LinearLR":
        [[0.125, 0.005], [0.1875, 0.0075], [0.25, 0.009999999999999998], [0.3125,
         0.012499999999999997], [0.375, 0.014999999999999996], [0.4375, 0.017499999999999995],
         [0.5, 0.019999999999999993], [0.5, 0.019999999999999993], [0.5, 0.019999999999999993],
         [0.5, 0.019999999999999993], [0.5, 0.019999999999999993], [0.5, 0.019999999999999993],
         [0.5, 0.019999999999999993], [0.5, 0.019999999999999993], [0.5, 0.019999999999999993],
         [0.5, 0.019999999999999993], [0.5, 0.019999999999999993]],
    "LinearLR, by default":
        [[0.16666666666666666, 0.006666666666666666], [0.23333333333333334, 0.009333333333333334],
         [0.30000000000000004, 0.012000000000000002], [0.36666666666666675, 0.01466666666666667],
         [0.43333333333333346, 0.01733333333333334], [0.5000000000000001, 0.020000000000000004],
         [0.5000000000000001, 0.020000000000000004], [0.5000000000000001, 0.020000000000000004],
         [0.5000000000000001, 0.020000000000000004], [0.5000000000000001, 0.020000000000000004],
         [0.5000000000000001, 0.020000000000000004], [0.5000000000000001, 0.020000000000000004],
         [0.5000000000000001, 0.020000000000000004], [0.5000000000000001, 0.020000000000000004],
         [0.5000000000000001, 0.020000000000000004], [0.5000000000000001, 0.020000000000000004],
         [0.5000000000000001, 0.020000000000000004]],
    "warm-up, then cosine":
        [[0.1, 0.004], [0.2, 0.008], [0.30000000000000004, 0.012], [0.4, 0.016], [0.5, 0.02],
         [0.4809698831278217, 0.019238795325112867], [0.42677669529663687, 0.017071067811865473],
         [0.34567085809127246, 0.013826834323650897], [0.25, 0.009999999999999998],
         [0.15432914190872757, 0.006173165676349102], [0.07322330470336313, 0.002928932188134525],
         [0.01903011687217832, 0.0007612046748871325], [0.0, 0.0], [0.019030116872178315,
         0.0007612046748871326], [0.07322330470336319, 0.0029289321881345275],
         [0.15432914190872765, 0.0061731656763491065], [0.2500000000000003,
         0.010000000000000012]],
    "ReduceLROnPlateau":
        [[0.5, 0.02], [0.5, 0.02], [0.5, 0.02], [0.5, 0.02], [0.5, 0.02], [0.25, 0.01], [0.25,
         0.01], [0.25, 0.01], [0.25, 0.01], [0.25, 0.01], [0.125, 0.005], [0.125, 0.005], [0.125,
         0.005], [0.125, 0.005], [0.125, 0.005], [0.0625, 0.0025], [0.0625, 0.0025]],
    "ReduceLROnPlateau, max":
        [[0.5, 0.02], [0.5, 0.02], [0.5, 0.02], [0.15, 0.006], [0.15, 0.006], [0.045, 0.005],
         [0.045, 0.005], [0.0135, 0.005], [0.0135, 0.005], [0.005, 0.005], [0.005, 0.005], [0.005,
         0.005], [0.005, 0.005], [0.005, 0.005], [0.005, 0.005], [0.005, 0.005], [0.005, 0.005]],
    "ReduceLROnPlateau, abs":
        [[0.5, 0.02], [0.5, 0.02], [0.5, 0.02], [0.05, 0.002], [0.005000000000000001, 0.0002],
         [0.0005000000000000001, 2e-05], [5.0000000000000016e-05, 2.0000000000000003e-06],
         [5.0000000000000016e-05, 2.0000000000000003e-06], [5.000000000000002e-06,
         2.0000000000000004e-07], [5.000000000000002e-07, 2.0000000000000007e-08],
         [5.0000000000000024e-08, 2.000000000000001e-09], [5.0000000000000026e-09,
         2.000000000000001e-09], [5.0000000000000026e-09, 2.000000000000001e-09],
         [5.0000000000000026e-09, 2.000000000000001e-09], [5.0000000000000026e-09,
         2.000000000000001e-09], [5.0000000000000026e-09, 2.000000000000001e-09],
         [5.0000000000000026e-09, 2.000000000000001e-09]],
}
# fmt: on


def optimizer_of(case, module, params):
    """An optimizer of a case; `module` is ours or PyTorch's."""
    kind, options, second, _ = CASES[case]
    if second:
        params = [{"params": params[:1]}, {"params": params[1:], **second}]
    return getattr(module, kind)(params, **options)


def schedule_of(case, module, optimizer):
    kind, options = SCHEDULES[case]
    if kind == "SequentialLR":
        warm = module.LinearLR(optimizer, 0.2, total_iters=4)
        parts = [warm, module.CosineAnnealingLR(optimizer, 8)]
        return module.SequentialLR(optimizer, parts, milestones=[4])
    return getattr(module, kind)(optimizer, **options)


def rates_of(schedule):
    """Two groups' rates at the start and after each step."""
    found = [[g["lr"] for g in schedule.optimizer.param_groups]]
    for metric in METRICS:
        schedule.step(*[metric] * ("Plateau" in type(schedule).__name__))
        found.append([g["lr"] for g in schedule.optimizer.param_groups])
    return found


def params_in(dtype=np.float64):
    return [Tensor(start.astype(dtype), name=name) for start, name in zip(START, "Wbs")]


def train(case, optimizer, params, steps):
    clip = CASES[case][3]
    x, y = X.astype(params[0].dtype), Y.astype(params[0].dtype)
    for _ in range(steps):
        optimizer.zero_grad()
        problem(np, x, y, *params).backward()
        if clip:
            clip_grad_norm(params, clip)
        optimizer.step()


def flat(params):
    return np.concatenate([np.ravel(p.numpy()) for p in params])


# ── the optimizers ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_end_where_pytorch_ends(case):
    params = params_in()
    train(case, optimizer_of(case, autobp.optim, params), params, 100)
    np.testing.assert_allclose(flat(params), EXPECTED[case], rtol=1e-9)
    assert type(params[2].data) is float


@pytest.mark.parametrize("case", CASES)
def test_float32_stays_float32(case):
    params = params_in(np.float32)
    optimizer = optimizer_of(case, autobp.optim, params)
    train(case, optimizer, params, 100)
    assert [p.dtype for p in params] == [np.float32] * 3
    for state in optimizer.state_dict()["state"].values():
        assert all(v.dtype == np.float32 for k, v in state.items() if k != "step")
    np.testing.assert_allclose(flat(params), EXPECTED[case], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("case", CASES)
def test_resumed_bit_for_bit(case):
    params = params_in()
    optimizer = optimizer_of(case, autobp.optim, params)
    train(case, optimizer, params, 20)
    saved, values = optimizer.state_dict(), [p.numpy() for p in params]
    kept = copy.deepcopy(saved)
    train(case, optimizer, params, 20)

    again = [Tensor(v) for v in values]
    resumed = optimizer_of(case, autobp.optim, again)
    for group in resumed.param_groups:
        group["lr"] = 7.0  # the options are restored as well
    resumed.load_state_dict(saved)
    train(case, resumed, again, 20)
    assert flat(again).tobytes() == flat(params).tobytes()
    np.testing.assert_equal(saved, kept)  # neither end holds on to what was saved
    np.testing.assert_equal(resumed.state_dict(), optimizer.state_dict())


@pytest.mark.parametrize("case", [c for c in CASES if CASES[c][2] is None])
def test_no_room_for_parameters_is_taken_after_the_first_step(case):
    kind, options, _, clip = CASES[case]
    params = [Tensor(np.ones((300, 200), np.float32)), Tensor(np.ones(60_000))]
    optimizer = getattr(autobp.optim, kind)(params, **options)
    for p in params:
        p.grad = np.full(p.shape, 0.5, p.dtype)
    optimizer.step()
    tracemalloc.start()
    try:
        for _ in range(3):
            if clip:
                clip_grad_norm(params, clip)
            optimizer.step()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 20_000
    assert peak < 60_000  # NumPy reports its arrays; the smaller parameter is 240 kB


def test_tracemalloc_would_see_an_array():
    tracemalloc.start()
    x = np.ones(60_000)
    x = x * 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak > 2 * x.nbytes


def test_the_array_stays_and_what_was_computed_from_it_is_stale():
    w = Tensor([1.0, 2.0], name="w")
    array = w.data
    loss = np.sum(w**2)
    loss.backward()
    gradient = w.grad.copy()
    SGD([w], 0.1, weight_decay=0.5).step()
    assert w.data is array
    np.testing.assert_array_equal(w.grad, gradient)
    with pytest.raises(RuntimeError, match="the data of 'w' was replaced after"):
        loss.backward()


def test_what_has_no_gradient_stays():
    w, b = Tensor([1.0, 2.0]), Tensor(3.0)
    optimizer = AdamW([w, b], lr=0.1)
    np.sum(w**2).backward()
    optimizer.step()
    assert b.data == 3.0
    assert list(optimizer.state_dict()["state"]) == [0]
    optimizer.zero_grad()
    assert w.grad is None
    before = w.numpy()
    optimizer.step()
    np.testing.assert_array_equal(w.data, before)


@pytest.mark.parametrize("kind", [SGD, Adagrad, RMSprop, Adam, AdamW])
def test_any_layout_and_none(kind):
    """Columns first, no elements, one parameter alone as a group."""
    start = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    w, empty, plain = Tensor(start), Tensor(np.zeros((0, 3))), Tensor(start.copy("C"))
    optimizer = kind([{"params": w}, {"params": [empty, plain]}], lr=0.1)
    for p in (w, empty, plain):
        p.grad = np.cos(p.numpy())
    optimizer.step()
    np.testing.assert_array_equal(w.data, plain.data)
    assert not np.array_equal(w.data, start)
    assert empty.shape == (0, 3)


def test_groups_have_their_own_options():
    a, b, c = Tensor(1.0), Tensor(1.0), Tensor(1.0)
    optimizer = SGD([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=0.1)
    optimizer.add_param_group({"params": (p for p in [c]), "lr": 0.25})
    for p in (a, b, c):
        p.grad = 1.0
    optimizer.step()
    assert [p.data for p in (a, b, c)] == [0.5, 0.9, 0.75]
    optimizer.param_groups[1]["lr"] = np.float64(0.4)
    optimizer.step()
    assert b.data == 0.5
    assert repr(SGD([Tensor(1.0), Tensor(2.0)], lr=1)) == (
        "SGD(2 parameters, lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0)"
    )
    assert "group 2: 1 parameter, lr=0.25" in repr(optimizer)


def test_gradients_of_other_types_are_taken():
    w = Tensor(np.ones(2, np.float32))
    w.grad = [1, 2]
    SGD([w], 0.5).step()
    assert w.data.tolist() == [0.5, 0.0]
    assert w.dtype == np.float32


def test_a_tensor_as_a_gradient_is_its_array():
    """As `grad` of a function of Tensors returns it."""
    w = Tensor([1.0, 2.0])
    optimizer = SGD([w], 0.25)

    def step():
        w.grad = grad(lambda p: np.sum(p**2))(w)
        optimizer.step()

    step()
    assert type(w.grad) is np.ndarray
    compile(step)()
    assert w.data.tolist() == [0.25, 0.5]


W = Tensor([1.0, 2.0], name="W")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SGD([]), ValueError, r"SGD got no parameters \(a generator can be read only"),
        (lambda: SGD([{"params": []}]), ValueError, "SGD: group 0 got no parameters"),
        (lambda: SGD(W), TypeError, r"SGD takes a list of Tensors, not one Tensor: write \[w\]"),
        (
            lambda: Adam({"W": W}),
            TypeError,
            r"Adam takes a list of Tensors, not one dict: write list\(params.values\(\)\)",
        ),
        (lambda: SGD(3.0), TypeError, "SGD takes a list of Tensors, not one float"),
        (
            lambda: SGD(nn.MLP([1, 1])),
            TypeError,
            r"SGD takes a list of Tensors, not one MLP: write model.parameters\(\)",
        ),
        (
            lambda: SGD(nn.MLP([1, 1]).parameters),
            TypeError,
            r"SGD takes a list of Tensors, not one method: write model.parameters\(\)",
        ),
        (
            lambda: SGD([W, np.ones(2)]),
            TypeError,
            "SGD: parameter 1 of group 0 is of type ndarray, not a Tensor",
        ),
        (
            lambda: SGD([W, Tensor(1.0, requires_grad=False, name="c")]),
            ValueError,
            r"SGD: parameter 1 \('c'\) of group 0 is a constant \(requires_grad=False\): leave it out",
        ),
        (
            lambda: SGD([W * 2]),
            ValueError,
            r"parameter 0 of group 0 is the result of an operation, Tensor\(\[2. 4.\], from multiply\)",
        ),
        (
            lambda: SGD([W, W]),
            ValueError,
            r"parameter 1 \('W'\) of group 0 was already added, as parameter 0 of group 0",
        ),
        (
            lambda: SGD([{"params": [W]}, {"params": [Tensor(1.0), W]}]),
            ValueError,
            r"parameter 1 \('W'\) of group 1 was already added, as parameter 0 of group 0",
        ),
        (
            lambda: SGD([W, {"params": [W]}]),
            TypeError,
            "SGD: entry 1 is of type dict, entry 0 of type Tensor; give either Tensors or groups",
        ),
        (lambda: SGD([{"lr": 1.0}]), ValueError, "SGD: group 0 has no 'params'"),
        (
            lambda: SGD([W], -0.1),
            ValueError,
            "SGD: lr must be a finite number, 0 or above, not -0.1",
        ),
        (lambda: SGD([W], math.nan), ValueError, "SGD: lr must be a finite number.*, not nan"),
        (lambda: SGD([W], np.inf), ValueError, "SGD: lr must be a finite number.*, not inf"),
        (lambda: SGD([W], "0.1"), TypeError, "SGD: lr must be a finite number.*, not '0.1'"),
        (lambda: SGD([W], momentum=True), TypeError, "SGD: momentum must be .*, not True"),
        (lambda: SGD([W], nesterov=1), TypeError, "SGD: nesterov must be True or False, not 1"),
        (
            lambda: SGD([W], nesterov=True),
            ValueError,
            "SGD: nesterov=True of group 0 needs a momentum above 0",
        ),
        (
            lambda: SGD([{"params": [W], "learning_rate": 1}]),
            ValueError,
            "SGD: group 0 has an unknown option 'learning_rate'; there are lr, momentum, nesterov,",
        ),
        (
            lambda: SGD([{"params": [W], "lr": -1}]),
            ValueError,
            "SGD: lr of group 0 must be a finite number, 0 or above, not -1",
        ),
        (lambda: Adam([W], betas=0.9), TypeError, "Adam: betas must be a pair of numbers, not 0.9"),
        (
            lambda: Adam([W], betas=(0.9, 1)),
            ValueError,
            r"Adam: betas\[1\] must be a number from 0 to below 1, not 1",
        ),
        (
            lambda: Adam([W], learning_rate=0.1),
            TypeError,
            "Adam: got an unexpected keyword argument 'learning_rate'; the options are lr, betas, eps,",
        ),
        (lambda: Adam([W], 0.1, (0.9, 0.99)), TypeError, "Adam: too many positional arguments"),
        (lambda: RMSprop([W], alpha=1.5), ValueError, "RMSprop: alpha must be a number from 0 to"),
    ],
)
def test_mistakes_in_making_one(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_options_are_stated_once_and_make_the_constructor():
    assert str(inspect.signature(SGD)) == (
        "(params, lr=0.001, momentum=0.0, *, nesterov=False, weight_decay=0.0)"
    )
    assert str(inspect.signature(AdamW)) == (
        "(params, lr=0.001, *, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)"
    )

    class Halving(SGD):
        """An option more, another default."""

        lr: float = option(at_least_zero, default=0.5)
        decay: float = option(fraction, default=0.5)

        def update(self, x, g, state, *, decay, **options):
            super().update(x, g, state, **options)
            x *= decay

    w = Tensor([3.0, 1.0])
    optimizer = Halving([w], momentum=0.9)
    w.grad = np.ones(2)
    optimizer.step()
    assert w.tolist() == [1.25, 0.25]
    assert optimizer.state_dict()["param_groups"] == [
        {"params": [0], "lr": 0.5, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0, "decay": 0.5}
    ]  # fmt: skip
    with pytest.raises(
        ValueError, match="Halving: decay must be a number from 0 to below 1, not 1"
    ):
        Halving([w], decay=1)


def test_an_option_is_an_entry_of_the_groups_and_no_attribute():
    optimizer = SGD([W], lr=0.5)
    text = r"SGD has 'lr' in each group of parameters: write optimizer.param_groups\[0\]\['lr'\]"
    with pytest.raises(AttributeError, match=text):
        optimizer.lr = 0.1
    with pytest.raises(AttributeError, match=text):
        optimizer.lr *= 0.1
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_mistakes_in_a_step_leave_all_as_it_was():
    a, b = Tensor([1.0, 2.0], name="a"), Tensor([1.0, 2.0], name="b")
    optimizer = Adam([a, b])
    a.grad, b.grad = np.ones(2), np.ones((2, 1))
    text = r"Adam: parameter 1 \('b'\) of group 0 has shape \(2,\), its gradient \(2, 1\)"
    with pytest.raises(ValueError, match=text):
        optimizer.step()
    b.grad = np.ones(2)
    optimizer.param_groups[0]["lr"] = math.nan
    with pytest.raises(ValueError, match="Adam: lr of group 0 must be .*, not nan"):
        optimizer.step()
    del optimizer.param_groups[0]["lr"]
    optimizer.param_groups[0]["Lr"] = 1.0
    with pytest.raises(ValueError, match="unknown option 'Lr'; there are lr, betas, eps"):
        optimizer.step()
    assert a.tolist() == b.tolist() == [1, 2]
    assert optimizer.state_dict()["state"] == {}


def test_states_that_do_not_fit_are_refused():
    def adam(*shapes, dtype=float):
        params = [Tensor(np.ones(s, dtype), name=f"p{i}") for i, s in enumerate(shapes)]
        optimizer = Adam(params)
        for p in params:
            p.grad = np.ones(p.shape)[()]
        optimizer.step()
        return optimizer

    mine = adam((2,), (3,))
    before = mine.state_dict()
    several = [{"params": [Tensor(1.0)]}, {"params": [Tensor(1.0)]}]

    def changed(**entries):
        saved = mine.state_dict()
        saved["state"][1].update(entries)
        return saved

    def without(where, name):
        saved = mine.state_dict()
        del where(saved)[name]
        return saved

    for saved, text in [
        ({}, r"Adam.load_state_dict takes what state_dict\(\) returns, a dict of 'state' and"),
        (None, "takes what state_dict"),
        (Adam(several).state_dict(), "the state has 2 parameter groups, this optimizer has 1"),
        (adam((2,)).state_dict(), "group 0 has 1 parameter in the state and 2 here"),
        (
            adam((2,), (4,)).state_dict(),
            r"parameter 1 \('p1'\) is float64 of shape \(3,\), and its 'exp_avg' in the state is"
            r" float64 of shape \(4,\)",
        ),
        (adam((2,), (3,), dtype=np.float32).state_dict(), "'exp_avg' in the state is float32"),
        (
            SGD([Tensor(1.0), Tensor(1.0)]).state_dict(),
            "Adam.load_state_dict: the state is that of SGD, whose numbers may mean something else",
        ),
        (
            AdamW([Tensor(1.0), Tensor(1.0)]).state_dict(),
            "the state is that of AdamW, .*leave 'optimizer' out of the dict",
        ),
        (
            without(lambda s: s["param_groups"][0], "eps") | {"optimizer": "Adam"},
            "group 0 of the state lacks eps",
        ),
        (without(lambda s: s["param_groups"][0], "lr"), "group 0 of the state lacks lr"),
        (
            changed(momentum_buffer=1),
            r"has 'momentum_buffer' in the state, which Adam does not use",
        ),
        (without(lambda s: s["state"][1], "exp_avg_sq"), "lacks 'exp_avg_sq' in the state"),
        (changed(step=-1), r"parameter 1 \('p1'\): step must be at least 0, not -1"),
        (changed(step=0.5), "step must be an integer, not 0.5"),
        (
            {**before, "state": {2: {}}},
            "the state has an entry for parameter 2, which does not exist",
        ),
        (
            {**before, "param_groups": [{**before["param_groups"][0], "params": [1, 0]}]},
            "the parameters of group 0 are not numbered in order",
        ),
        (
            {**before, "param_groups": [{**before["param_groups"][0], "lr": math.nan}]},
            "lr of group 0 must be a finite number",
        ),
    ]:
        with pytest.raises((ValueError, TypeError), match=text):
            mine.load_state_dict(saved)
        np.testing.assert_equal(mine.state_dict(), before)


class Averaging(SGD):
    """It keeps a count, a list and an array of another shape, and declares none of them."""

    def update(self, x, g, state, **options):
        state["n"] = state.get("n", 0) + 1
        state.setdefault("seen", {"norms": []})["norms"].append(float(np.abs(g).sum()))
        state["rows"] = state.get("rows", np.zeros((1, 2))) + 1
        super().update(x, g / state["n"] / len(state["seen"]["norms"]), state, **options)


class Declaring(Averaging):
    state_names = ("n", "rows")


@pytest.mark.parametrize("kind", [Averaging, Declaring])
def test_what_an_optimizer_of_ones_own_keeps_is_restored(kind):
    def stepped(w, optimizer, steps):
        for k in range(steps):
            w.grad = np.array([1.0, k, 2.0])
            optimizer.step()

    w = Tensor([1.0, 2.0, 3.0])
    first = kind([w], 0.1, momentum=0.9)
    stepped(w, first, 3)
    saved = first.state_dict()
    kept = copy.deepcopy(saved)
    v = Tensor(w.numpy())
    second = kind([v], 0.1, momentum=0.9)
    second.load_state_dict(saved)
    for x, optimizer in ((w, first), (v, second)):
        stepped(x, optimizer, 2)
    assert v.tolist() == w.tolist()
    np.testing.assert_equal(saved, kept)  # nothing is shared
    np.testing.assert_equal(second.state_dict(), first.state_dict())
    bad = copy.deepcopy(saved)
    bad["state"][0]["momentum_buffer"] = np.zeros(2)
    with pytest.raises(ValueError, match=r"its 'momentum_buffer' in the state is float64 of shape"):
        second.load_state_dict(bad)


def test_an_optimizer_without_an_update_says_so():
    class Empty(Optimizer):
        pass

    w = Tensor(1.0)
    w.grad = 1.0
    with pytest.raises(TypeError, match="Empty defines no update: write def update"):
        Empty([w]).step()


# ── clipping ──────────────────────────────────────────────────────────────────────────────────────


def gradients(*values):
    params = []
    for i, value in enumerate(values):
        p = Tensor(np.zeros(np.shape(value)), name=f"p{i}")
        p.grad = value
        params.append(p)
    return params


def test_clipping_scales_all_alike():
    a, b, c = gradients(np.array([3.0, 0.0]), 4.0, None)
    array = a.grad
    assert clip_grad_norm([a, b, c], 10) == 5.0
    assert (a.grad.tolist(), b.grad) == ([3, 0], 4)
    assert clip_grad_norm((p for p in [a, b, c]), 1.0) == 5.0
    assert a.grad is array
    np.testing.assert_allclose([*a.grad, b.grad], [0.6, 0, 0.8], rtol=1e-6)
    assert c.grad is None
    assert clip_grad_norm(c, 1.0) == 0.0
    assert clip_grad_norm([a], math.inf) == pytest.approx(0.6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("share", [0.5, 1e-3])
def test_the_length_does_not_overflow(dtype, share):
    top = float(np.finfo(dtype).max) * share
    (p,) = gradients(np.array([3, 4, 0], dtype) * dtype(top / 8))
    assert clip_grad_norm([p], math.inf) == pytest.approx(top / 8 * 5, rel=2e-3)
    (p,) = gradients(np.full(4, np.finfo(dtype).tiny))
    assert clip_grad_norm([p], 1.0) == pytest.approx(2 * float(np.finfo(dtype).tiny), rel=1e-6)
    assert clip_grad_norm(gradients(np.zeros(3, dtype)), 1.0) == 0


def test_clipping_by_value():
    a, b, c = Tensor([1.0, 2.0]), Tensor(3.0), Tensor(np.ones(2, np.float32))
    a.grad, b.grad = np.array([-4.0, 0.5]), 9.0
    kept = a.grad
    clip_grad_value([a, b, c], 2)
    assert a.grad is kept
    assert a.grad.tolist() == [-2.0, 0.5]
    assert (b.grad, c.grad) == (2.0, None)
    c.grad = np.array([3.0, 1.0], np.float32)
    clip_grad_value(c, 0.5)
    assert c.grad.tolist() == [0.5, 0.5]
    assert c.grad.dtype == np.float32
    with pytest.raises(TypeError, match="clip_grad_value: .* is not a Tensor: 3"):
        clip_grad_value([3], 1.0)
    with pytest.raises(ValueError, match="clip_grad_value: clip_value"):
        clip_grad_value(a, -1.0)


def test_clipping_by_value_is_compiled():
    def step(w, x):
        loss = np.sum((w * x) ** 2)
        w.grad = None
        loss.backward()
        clip_grad_value([w], 1.0)
        return w.grad

    w, x = Tensor([1.0, -0.1]), np.array([2.0, 1.0])
    np.testing.assert_array_equal(autobp.compile(step)(w, x), [1.0, -0.2])


def test_a_schedule_by_a_function_takes_one():
    with pytest.raises(
        TypeError, match=r"LambdaLR takes one function of the number of steps, not \["
    ):
        LambdaLR(SGD([Tensor(1.0)], lr=0.1), [lambda t: 1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_are_named(bad):
    a, b = gradients(np.array([3.0, 4.0]), np.array([[1.0, 1.0], [bad, 1.0]]))
    text = rf"the gradient of parameter 1 \('p1'\) has {bad} at \[1, 0\]; detect_anomaly\(\) finds"
    with pytest.raises(FloatingPointError, match=text):
        clip_grad_norm([a, b], 1.0)
    assert a.grad.tolist() == [3, 4]
    with pytest.raises(FloatingPointError, match=rf"parameter 0 \('p0'\) has {bad}; detect"):
        clip_grad_norm(gradients(bad), 1.0)


def test_a_length_that_overflows_is_an_error():
    a, b = gradients(1.0, np.full(4, 1e308))
    text = r"the gradient of parameter 1 \('p1'\) is the largest of several, whose norm overflows"
    with pytest.raises(FloatingPointError, match=text):
        clip_grad_norm([a, b], 1.0)
    assert b.grad.tolist() == [1e308] * 4


def test_mistakes_in_clipping():
    with pytest.raises(ValueError, match="max_norm must be 0 or above, not -1"):
        clip_grad_norm([W], -1)
    with pytest.raises(ValueError, match="clip_grad_norm: max_norm must be a number, not nan"):
        clip_grad_norm([W], math.nan)
    with pytest.raises(ValueError, match="clip_grad_norm got no parameters"):
        clip_grad_norm([], 1)
    with pytest.raises(TypeError, match="clip_grad_norm: parameter 1 is not a Tensor: 2.0"):
        clip_grad_norm([W, 2.0], 1)


# ── schedules ─────────────────────────────────────────────────────────────────────────────────────


def two_rates(module=autobp.optim, make=Tensor):
    groups = [{"params": [make(1.0)]}, {"params": [make(1.0)], "lr": 0.02}]
    return module.SGD(groups, lr=0.5)


@pytest.mark.parametrize("case", SCHEDULES)
def test_rates_are_pytorchs(case):
    schedule = schedule_of(case, autobp.optim, two_rates())
    np.testing.assert_allclose(rates_of(schedule), RATES[case], rtol=1e-12, atol=1e-17)
    assert schedule.get_last_lr() == [g["lr"] for g in schedule.optimizer.param_groups]


@pytest.mark.parametrize("case", SCHEDULES)
def test_schedules_are_resumed(case):
    def go(schedule, metrics):
        plateau = isinstance(schedule, ReduceLROnPlateau)
        for m in metrics:
            schedule.step(m) if plateau else schedule.step()
        return schedule.get_last_lr()

    schedule = schedule_of(case, autobp.optim, two_rates())
    go(schedule, METRICS[:6])
    saved = copy.deepcopy((schedule.optimizer.state_dict(), schedule.state_dict()))
    rates = schedule.get_last_lr()
    expected = [go(schedule, [m]) for m in METRICS[6:]]
    for late in (False, True):  # made after the optimizer was loaded, which resets the rates
        optimizer = two_rates()
        if late:
            optimizer.load_state_dict(saved[0])
        again = schedule_of(case, autobp.optim, optimizer)
        if not late:
            optimizer.load_state_dict(saved[0])
        again.load_state_dict(saved[1])
        assert again.get_last_lr() == rates
        assert [go(again, [m]) for m in METRICS[6:]] == expected


def test_a_rate_that_is_set_between_steps_of_a_schedule_is_warned_of():
    optimizer = SGD([Tensor(1.0)], lr=0.1)
    schedule = schedules.ExponentialLR(optimizer, 0.95)
    schedule.step()
    optimizer.param_groups[0]["lr"] = 0.01
    text = "the rate of group 0 was changed to 0.01, and goes on from 0.095"
    with pytest.warns(UserWarning, match=text):
        schedule.step()
    assert schedule.get_last_lr() == [0.1 * 0.95**2]


def test_the_function_of_a_schedule_is_called_once_in_a_step():
    seen = []
    schedule = schedules.LambdaLR(SGD([Tensor(1.0)], lr=0.1), lambda t: seen.append(t) or 1.0)
    schedule.step()
    schedule.step()
    assert seen == [0, 1, 2]


def test_a_group_added_later_is_scheduled_too():
    optimizer = two_rates()
    schedule = StepLR(optimizer, 1, 0.5)
    schedule.step()
    optimizer.add_param_group({"params": [Tensor(1.0)], "lr": 8.0})
    schedule.step()
    assert schedule.get_last_lr() == [0.125, 0.005, 2.0]


def test_a_plateau_takes_tensors_and_nan():
    schedule = ReduceLROnPlateau(two_rates(), patience=1, factor=0.5)
    for metric in (Tensor(1.0), math.nan, np.float32(math.nan)):
        schedule.step(metric)
    assert schedule.get_last_lr() == [0.25, 0.01]
    with pytest.raises(
        TypeError, match="ReduceLROnPlateau: the metric must be a number, not 'low'"
    ):
        schedule.step("low")


def test_mistakes_with_schedules():
    optimizer = two_rates()
    for make, text in [
        (lambda: StepLR(W, 1), "StepLR takes an optimizer, not Tensor"),
        (lambda: ReduceLROnPlateau(W), "ReduceLROnPlateau takes an optimizer, not Tensor"),
        (lambda: StepLR(optimizer, 0), "StepLR: step_size must be at least 1, not 0"),
        (lambda: StepLR(optimizer, 1.5), "StepLR: step_size must be an integer, not 1.5"),
        (lambda: CosineAnnealingLR(optimizer, 5, -1), "CosineAnnealingLR: eta_min must be"),
        (lambda: LinearLR(optimizer, math.nan), "LinearLR: start_factor must be .*, not nan"),
        (lambda: ReduceLROnPlateau(optimizer, "low"), "mode must be 'min' or 'max', not 'low'"),
        (
            lambda: ReduceLROnPlateau(optimizer, threshold_mode="no"),
            "threshold_mode must be 'rel' or 'abs', not 'no'",
        ),
        (
            lambda: ReduceLROnPlateau(optimizer, factor=1.0),
            "factor must be a number from 0 to below",
        ),
        (
            lambda: SequentialLR(optimizer, [StepLR(optimizer, 1)], [3]),
            "1 schedules need 0 milestones, not 1",
        ),
        (
            lambda: SequentialLR(optimizer, [StepLR(optimizer, 1)] * 3, [3, 3]),
            r"milestones must increase, unlike \[3, 3\]",
        ),
        (
            lambda: SequentialLR(optimizer, [ReduceLROnPlateau(optimizer)], []),
            "SequentialLR: schedule 0 is .*, not a Schedule with a formula",
        ),
        (
            lambda: SequentialLR(optimizer, [StepLR(two_rates(), 1)], []),
            "SequentialLR: schedule 0 belongs to another optimizer",
        ),
        (lambda: Schedule(optimizer), r"Schedule has no rate\(\)"),
        (
            lambda: StepLR(optimizer, 1).load_state_dict({"last_epoch": 1}),
            "StepLR.load_state_dict: the state has last_epoch; expected step_size, gamma, last_epoch",
        ),
        (lambda: StepLR(optimizer, 1).load_state_dict(7), "the state has 7; expected step_size"),
        (
            lambda: StepLR(optimizer, 1).load_state_dict(
                {"step_size": 1, "gamma": math.nan, "last_epoch": 1}
            ),
            "StepLR.load_state_dict: gamma is nan",
        ),
    ]:
        with pytest.raises((ValueError, TypeError, NotImplementedError), match=text):
            make()


# ── gradient descent ──────────────────────────────────────────────────────────────────────────────


def softmax_regression():
    """The textbook's, with two samples, three classes and a penalty."""
    x, y = np.array([[2.0, 3.0], [4.0, 5.0]]), [2, 1]
    w = Tensor([[0.1, 0.2, 0.3], [0.4, 0.2, 0.8]], name="W")
    return w, lambda: -np.mean(log_softmax(x @ w)[range(2), y]) + 0.2 * np.sum(w**2)


def test_it_stops_and_says_so():
    w, loss = softmax_regression()
    result = gradient_descent(loss, [w], lr=0.1, steps=1000, epsilon=1e-6)
    assert result.losses[0] == pytest.approx(2.0863049636282662, rel=1e-12)
    assert result.converged
    assert 0 < result.iterations < 1000
    assert len(result.losses) == result.iterations + 1
    assert result.losses == sorted(result.losses, reverse=True)
    assert result.gradient < 1e-6
    assert str(result) == (
        f"stopped after {result.iterations} iterations: max|grad| = {result.gradient:.3g} < 1e-06"
    )
    assert repr(result).startswith("Descent(stopped after ")
    assert repr(result).endswith(f"; loss 2.086 → {result.losses[-1]:.4g})")
    assert w.grad is None
    again = gradient_descent(loss, [w], epsilon=1e-6)
    assert str(again).startswith("stopped after 0 iterations: ")
    assert again.losses == result.losses[-1:]


def test_momentum_needs_fewer_iterations():
    plain, fast = (
        gradient_descent(loss, [w], lr=0.02, momentum=m, steps=5000, epsilon=1e-6)
        for m in (0.0, 0.8)
        for w, loss in [softmax_regression()]
    )
    assert fast.converged
    assert fast.iterations < plain.iterations / 2
    assert fast.losses[-1] == pytest.approx(plain.losses[-1], rel=1e-9)


def test_numerical_gradients_alone_lead_to_the_same_place():
    (w, loss), (v, same) = softmax_regression(), softmax_regression()
    exact = gradient_descent(loss, [w], lr=0.1, steps=50, epsilon=0)
    numerical = gradient_descent(same, [v], lr=0.1, steps=50, epsilon=0, numerical=True)
    np.testing.assert_allclose(numerical.losses, exact.losses, rtol=1e-7)
    np.testing.assert_allclose(v.data, w.data, rtol=1e-6)
    assert not numerical.converged
    assert str(numerical).startswith("not converged after 50 iterations: max|grad| = ")
    assert len(numerical.losses) == 51


def test_numerical_gradients_need_no_rules():
    """What is not recorded can be descended too: a number, float32, any function."""
    x, z = Tensor(1.0), Tensor(np.ones(2, np.float32))
    loss = lambda: math.cosh(x.item() - 2) + float(np.sum((z.numpy() - 3) ** 2))
    result = gradient_descent(loss, [x, z], lr=0.3, epsilon=1e-2, numerical=True)
    assert result.converged
    assert x.data == pytest.approx(2, abs=1e-2)
    assert z.dtype == np.float32
    with pytest.raises(TypeError, match="the loss does not depend on the parameters"):
        gradient_descent(loss, [x, z])


def test_a_network_learns_xor():
    """The 21 points on the diagonals of the unit square, by a 2-8-1 network."""
    t = np.linspace(0, 1, 11)
    points = np.array([*zip(t, t), *((a, 1 - a) for a in t if abs(a - 0.5) > 0.01)])
    labels = np.array([0.0] * 11 + [1.0] * 10)[:, None]
    rng = np.random.default_rng(0)
    w1, b1 = Tensor(rng.standard_normal((2, 8)) * 2), Tensor(np.zeros(8))
    w2, b2 = Tensor(rng.standard_normal((8, 1))), Tensor(np.zeros(1))
    predict = lambda: sigmoid(np.tanh((points - 0.5) @ w1 + b1) @ w2 + b2)
    loss = lambda: np.mean((predict() - labels) ** 2)
    result = gradient_descent(loss, [w1, b1, w2, b2], lr=1.0, momentum=0.9, steps=1500)
    wrong = np.sum((predict().numpy() > 0.5) != labels)
    assert result.losses[-1] < 0.1 * result.losses[0]
    assert wrong <= 1  # the point that both diagonals share


def test_divergence_ends_it():
    x = Tensor(1.0)
    result = gradient_descent(lambda: x**4, [x], lr=10.0)
    assert not result.converged
    assert result.iterations < 10
    assert "gave up after" in str(result)
    assert "; try a smaller lr" in str(result)
    y = Tensor(0.0)
    result = gradient_descent(lambda: np.sqrt(y), [y])
    assert str(result) == (
        "gave up after 0 iterations: the gradient is not finite; try a smaller lr"
    )
    assert y.data == 0.0


def test_mistakes_in_descending():
    w = Tensor([1.0, 2.0])
    unused = Tensor(1.0)
    for call, text in [
        (
            lambda: gradient_descent(lambda: w * 2, [w]),
            r"the loss must be a single number, not an array of shape \(2,\)",
        ),
        (lambda: gradient_descent(lambda: 1.0, [w]), "does not depend on the parameters"),
        (
            lambda: gradient_descent(lambda: np.sum(w**2), [unused]),
            "gradient_descent: the loss does not depend on the parameters",
        ),
        (lambda: gradient_descent(lambda: w @ w, []), "SGD got no parameters"),
        (
            lambda: gradient_descent(lambda: w @ w, [w], steps=-1),
            "steps must be at least 0, not -1",
        ),
        (
            lambda: gradient_descent(lambda: w @ w, [w], epsilon=math.nan),
            "epsilon must be .*, not nan",
        ),
    ]:
        with pytest.raises((ValueError, TypeError), match=text):
            call()
    assert gradient_descent(lambda: w @ w, [w, unused], steps=0).losses == [5.0]


def test_a_state_without_a_name_is_taken_as_pytorchs_are():
    w = Tensor([1.0, 2.0])
    adam, adamw = Adam([w]), AdamW([w])
    np.sum(w * w).backward()
    adam.step()
    state = adam.state_dict()
    assert state.pop("optimizer") == "Adam"
    adamw.load_state_dict(state)
    np.testing.assert_equal(adamw.state_dict()["state"], adam.state_dict()["state"])
    assert adamw.state_dict()["optimizer"] == "AdamW"
