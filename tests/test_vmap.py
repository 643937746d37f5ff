"""vmap: a function of one example on a whole batch, against the loop over the examples."""

from __future__ import annotations

import numpy as np
import pytest

from autobp import Tensor, compile, grad, hessian, jacobian, jvp, nn, value_and_grad, vjp, vmap
from autobp.rules import PRIMITIVES, batching
from autobp.operation import of
from autobp.rules.functions import PLAIN

#: What has no batching rule yet. A rule that is added is taken from here.
LACKING = {
    "attention", "conv2d", "conv2d_input", "conv2d_weight", "eigh", "eigvalsh", "max_pool2d", "pinv",
    "pool2d", "pool2d_input", "pool2d_weight", "qr", "svd", "svdvals",
}  # fmt: skip


def test_every_primitive_has_a_batching_rule():
    assert {n for n, p in PRIMITIVES.items() if batching.of(p.facts) is None} == LACKING


#: These are answered from the form of an example.
ASKED_FOR_FORM = {np.shape, np.ndim, np.size}


def test_every_function_with_a_plain_result_has_a_batching_rule():
    lacking = {f.__name__ for f in PLAIN if batching.of(of(f)) is None}
    assert lacking == {f.__name__ for f in ASKED_FOR_FORM}
