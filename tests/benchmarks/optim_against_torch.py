"""Every optimizer and schedule against PyTorch's, on the problem of the tests.

python -m tests.benchmarks.optim_against_torch            the largest relative differences
python -m tests.benchmarks.optim_against_torch --numbers  what the tests compare with
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

import autobp.optim
from tests import test_optim as ours

STEPS = 100


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.optim_against_torch")
    parser.add_argument("--numbers", action="store_true", help="print PyTorch's, for the tests")
    options = parser.parse_args(arguments)
    try:
        import torch
    except ModuleNotFoundError:
        raise SystemExit("PyTorch is not installed: pip install -e '.[bench]'") from None

    ends = {case: end(torch, case) for case in ours.CASES}
    rates = {case: torch_rates(torch, case) for case in ours.SCHEDULES}
    if options.numbers:
        print(written("EXPECTED", ends) + "\n" + written("RATES", rates))
        return
    print(f"PyTorch {torch.__version__}, float64: largest relative difference from autobp")
    for case in ours.CASES:
        params = ours.params_in()
        ours.train(case, ours.optimizer_of(case, autobp.optim, params), params, STEPS)
        print(f"  {case:24} {difference(ours.flat(params), ends[case]):.1e} after {STEPS} steps")
    for case in ours.SCHEDULES:
        found = ours.rates_of(ours.schedule_of(case, autobp.optim, ours.two_rates()))
        print(f"  {case:24} {difference(found, rates[case]):.1e} over {len(found)} rates")


def end(torch: Any, case: str) -> list[float]:
    """The parameters after the steps, as PyTorch has them."""
    x, y = torch.tensor(ours.X), torch.tensor(ours.Y)
    params = [torch.tensor(start, requires_grad=True) for start in ours.START]
    optimizer = ours.optimizer_of(case, torch.optim, params)
    for _ in range(STEPS):
        optimizer.zero_grad()
        ours.problem(torch, x, y, *params).backward()
        if ours.CASES[case][3]:
            torch.nn.utils.clip_grad_norm_(params, ours.CASES[case][3])
        optimizer.step()
    return [float(v) for p in params for v in p.detach().flatten()]


def torch_rates(torch: Any, case: str) -> list[list[float]]:
    import warnings

    make = lambda value: torch.tensor(value, requires_grad=True)
    optimizer = ours.two_rates(torch.optim, make)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of steps of a schedule without the optimizer's
        schedule = ours.schedule_of(case, torch.optim.lr_scheduler, optimizer)
        return [[float(lr) for lr in rates] for rates in ours.rates_of(schedule)]


def written(name: str, table: dict[str, Any]) -> str:
    """A table as Python source in lines of a bearable length."""
    lines = [f"{name} = {{"]
    for case, numbers in table.items():
        text = textwrap.fill(f"{numbers},", 98, initial_indent=" " * 8, subsequent_indent=" " * 9)
        lines += [f'    "{case}":', text]
    return "\n".join([*lines, "}"])


def difference(found: Any, expected: Any) -> float:
    found, expected = np.asarray(found), np.asarray(expected)
    scale = np.maximum(np.abs(expected), 1e-15)
    return float(np.max(np.abs(found - expected) / scale))


if __name__ == "__main__":
    main()
