"""Verify: compare every rule of every primitive with numerical derivatives. `autobp check` and the tests
use it.

samples   arguments for every primitive, and the conventions at kinks
checks    what must hold at those samples

>>> import numpy as np
>>> from autobp.primitive import elementwise
>>> from autobp.verify import RECORDS, check_primitive
>>> sine = elementwise(np.sin, lambda t, y, x: t * np.cos(x))
>>> check_primitive(sine, RECORDS["sin"])
>>> wrong = elementwise(np.sin, lambda t, y, x: -t * np.cos(x))
>>> check_primitive(wrong, RECORDS["sin"])   # doctest: +ELLIPSIS
Traceback (most recent call last):
AssertionError: sin(()): tangent by (0,): ...
"""

from autobp.extras import MissingExtra
from autobp.verify.checks import CHECKS, check_primitive
from autobp.verify.samples import RECORDS, Record, Sample

try:  # which adds the functions of scipy.special to the primitives
    from autobp.verify import special
except MissingExtra:
    pass
else:
    RECORDS.update(special.RECORDS)

__all__ = ["CHECKS", "RECORDS", "Record", "Sample", "check_primitive"]


def __dir__() -> list[str]:
    return sorted(__all__)
