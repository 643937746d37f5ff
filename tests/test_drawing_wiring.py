"""Which pieces of a program are alike in what they work on."""

import numpy as np

from autobp import Tensor, graph
from autobp.drawing.diagram import diagram
from autobp.drawing.wiring import Wiring, alikeness


def test_equal_arguments_are_alike():
    assert alikeness(np.arange(3)) == alikeness(np.arange(3))
    assert alikeness(np.arange(3)) != alikeness(np.arange(3.0))
    assert alikeness(float("nan")) == alikeness(np.float64("nan"))
    assert alikeness((slice(1), None)) == alikeness((slice(1), None))
    assert alikeness((slice(1), None)) != alikeness((slice(2), None))
    assert alikeness(True) != alikeness(1)


def test_parts_begin_where_a_number_is_odd():
    x = Tensor(0.5, name="x")
    for k in range(20):
        x = np.sin(x * (3.0 if k == 7 else 2.0))
    assert Wiring(diagram(graph(x))).alike(1, 0, 2, 20) == [(0, 7), (8, 12)]
