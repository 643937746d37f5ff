"""What derivatives cost: count and measure each way to differentiate a function of your own.

    >>> import numpy as np
    >>> from autobp.cost import compare
    >>> report = compare(lambda x: np.sum(np.exp(x) * x), np.ones(50))
    >>> [row.sweeps for row in report.rows][1:6]
    ['100 evaluations', '51 evaluations', '50 evaluations with tangents', '1 recording, 50 forward', '1 recording, 1 backward']

`print(report)` shows the table, `report.plot()` draws it, `report.plane()` draws time against memory,
`report.to_csv(path)` saves the numbers.
`sweep_inputs` and `sweep_outputs` do this for many sizes and draw the curves.
"""

from autobp.cost.comparison import compare
from autobp.cost.curves import Curves, sweep_inputs, sweep_outputs
from autobp.cost.report import COLOURS, Report, Row

__all__ = ["compare", "sweep_inputs", "sweep_outputs", "Report", "Row", "Curves", "COLOURS"]


def __dir__() -> list[str]:
    return sorted(__all__)
