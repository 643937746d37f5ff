"""Measure autobp against its peers and print one table of ratios.

All contestants of a row take turns in one process, so that whatever else the machine does slows all
of them alike; the times are medians, the ratios are what to read. The garbage collector is left as
Python starts it, except where a row says otherwise.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from . import (
    classifier,
    compiling,
    convolution,
    importing,
    jacobians,
    live,
    machines,
    samples,
    scalars,
    training,
)
from .race import Effort, Row, legend

# In this order, since a peer is imported when its first row is set up: what PyTorch and JAX leave in
# memory would make every collection slower for the graphs of scalars.
SECTIONS = {
    1: scalars.run,
    2: training.run,
    3: classifier.run,
    4: importing.run,
    5: convolution.run,
    6: jacobians.run,
    7: compiling.run,
    8: live.run,
    9: machines.run,
    10: samples.run,
}
PEERS = ("micrograd", "casadi", "torch", "autograd", "mygrad", "jax", "distributed")
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", type=int, choices=SECTIONS, action="append", metavar="N")
    options = parser.parse_args(arguments)
    effort = Effort(rounds=3, turn=0.05) if options.quick else Effort(rounds=15, turn=0.1)

    legend.clear()
    print(facts())
    rows: list[Row] = []
    for number in options.only or SECTIONS:
        print(f"measuring row {number} …", file=sys.stderr, flush=True)
        rows += SECTIONS[number](effort)
    print()
    print(table(rows))
    print(f"\nMedians of {effort.rounds} rounds; the ratio is autobp / peer. What each one does:")
    for name, text in legend.items():
        print(f"  {name}: {text}")
    if torch := sys.modules.get("torch"):
        print(f"  PyTorch ran on its default number of threads: {torch.get_num_threads()}.")


def facts() -> str:
    """What was measured, without anything that names the machine."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    threads = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    installed = []
    for peer in PEERS:
        try:
            installed.append(f"{peer} {version(peer)}")
        except PackageNotFoundError:
            installed.append(f"{peer} -")
    return (
        f"Python {platform.python_version()}, NumPy {np.__version__},"
        f" BLAS {blas['name']} {blas['version']} on {os.cpu_count()} cores"
        f" ({', '.join(threads) or 'its default number of threads'})\n{', '.join(installed)}"
    )


def table(rows: Sequence[Row]) -> str:
    head = ("row", "what", "peer", "autobp", "peer's", "ratio", "target", "")
    lines = [head, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    right = {3, 4, 5}
    text = [
        "  ".join(
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))
        )
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in [text[0], "─" * len(text[0]), *text[1:]])


def cells(row: Row) -> tuple[str, ...]:
    verdict = "" if row.met is None else "reached" if row.met else "MISSED"
    ratio = f"{row.ours / row.theirs:.2f}"
    times = duration(row.ours), duration(row.theirs)
    return (row.number, row.what, row.peer, *times, ratio, row.target, verdict)


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


if __name__ == "__main__":
    main()
