"""Samples of the functions of `scipy.special`, where SciPy is installed."""

from __future__ import annotations

import numpy as np

import autobp.rules.special  # noqa: F401  (which adds the primitives)
from autobp.verify.samples import (
    ANYWHERE,
    FLAT_AT_0,
    NONZERO,
    POSITIVE,
    WITHIN_ONE,
    Intervals,
    Record,
    kink,
    pointwise,
    sample,
)

__all__ = ["RECORDS"]

PROBABILITIES: Intervals = ((0.2, 0.8),)
APART: Intervals = ((-1.7, -1.3), (0.5, 2.0))  # from the poles
LOG_2 = np.log(2.0)

_ranges: dict[str, tuple[Intervals, ...]] = {
    "erf": (ANYWHERE,),
    "erfc": (ANYWHERE,),
    "erfcx": (ANYWHERE,),
    "erfinv": (WITHIN_ONE,),
    "ndtr": (ANYWHERE,),
    "ndtri": (PROBABILITIES,),
    "log_ndtr": (ANYWHERE,),
    "expit": (ANYWHERE,),
    "log_expit": (ANYWHERE,),
    "logit": (PROBABILITIES,),
    "entr": (POSITIVE,),
    "rel_entr": (POSITIVE, POSITIVE),
    "gamma": (APART,),
    "gammaln": (APART,),
    "psi": (APART[1:],),
    "betaln": (POSITIVE, POSITIVE),
    "i0": (ANYWHERE,),
    "i1": (ANYWHERE,),
    "j0": (ANYWHERE,),
    "j1": (ANYWHERE,),
}

RECORDS: dict[str, Record] = {
    **{name: pointwise(name, *ranges) for name, ranges in _ranges.items()},
    "xlogy": pointwise(
        "xlogy",
        POSITIVE,
        POSITIVE,
        also=[sample(0.0, 0.7), sample([0.0, 0.4], 0.6)],
        kinks=[
            kink([0.0, 0.0, 0.0], [2.0, 0.0, -1.0], to=[[LOG_2, 0.0, 0.0], [0.0, 0.0, 0.0]]),
            kink(2.0, 0.0, to=[-np.inf, np.inf]),
        ],
    ),
    "xlog1py": pointwise(
        "xlog1py",
        POSITIVE,
        NONZERO[1:],
        also=[sample(0.0, 0.7), sample([0.0, 0.4], [0.6, 0.0])],
        kinks=[
            kink([0.0, 0.0, 0.0], [1.0, -1.0, -2.0], to=[[LOG_2, 0.0, 0.0], [0.0, 0.0, 0.0]]),
            kink([2.0, 0.0], [-1.0, -0.5], to=[[-np.inf, -LOG_2], [np.inf, 0.0]]),
        ],
    ),
    "i0e": pointwise("i0e", NONZERO, kinks=FLAT_AT_0),
    "i1e": pointwise("i1e", NONZERO, kinks=[kink(0.0, to=[0.5])]),
    "polygamma": pointwise("polygamma", APART[1:], n=2),
    "iv": pointwise("iv", ANYWHERE, v=2),
    "ive": pointwise("ive", NONZERO, v=2),
    "jv": pointwise("jv", ANYWHERE, v=2),
}
