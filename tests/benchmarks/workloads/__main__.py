"""Measure workloads that autobp was not tuned for, beside PyTorch, JAX and NumPy by hand.

All run on one thread and take turns in one process; values and gradients are compared first. The
table has the processor's time of PyTorch, eager, and the others' over it: below 1, they are faster. With
more threads it is the time that passes. "Bare products" are a floor: NumPy's products of matrices and
autobp's convolutions in a step, and nothing else. Another way to convolve would have another floor.

    python -m tests.benchmarks.workloads [--only NAME] [--quick] [--threads 2] [--memory]
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autobp.compiler.memory import give_back

from ..__main__ import THREADS, duration, facts
from ..race import COMPILED, OURS, Effort, Step, race
from . import calculations, fitting, networks
from .libraries import Autobp, Compiled, Jax, Torch
from .problem import Problem, bare

TORCH, JAX, NUMPY, FLOOR = "PyTorch", "JAX, jitted", "NumPy by hand", "bare products"
CONTESTANTS = (OURS, COMPILED, TORCH, JAX, NUMPY, FLOOR)
LIBRARIES = {OURS: Autobp, COMPILED: Compiled, TORCH: Torch, JAX: Jax}

#: Each workload, and sizes at which it takes no time.
WORKLOADS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "gpt": (networks.gpt, {"layers": 1, "width": 4, "heads": 2, "length": 3, "batch": 2, "letters": 5}),
    "attention": (networks.attention, {"length": 5, "heads": 2, "width": 3}),
    "lstm": (networks.lstm, {"steps": 2, "batch": 3, "width": 2}),
    "lstm-loop": (networks.written_lstm, {"steps": 2, "batch": 3, "width": 2}),
    "resnet": (networks.resnet, {"batch": 3, "size": 4, "channels": (2, 3)}),
    "vgg": (networks.vgg, {"batch": 2, "size": 4, "channels": (3, 2, 3, 2, 2)}),
    "mlp": (networks.mlp, {"sizes": (3, 4, 2), "batch": 3}),
    "vae": (networks.autoencoder, {"sizes": (5, 4, 2), "batch": 3}),
    "mixture": (networks.mixture, {"batch": 4, "width": 3, "k": 2}),
    "bag": (networks.bag, {"words": 7, "width": 3, "batch": 4, "length": 5}),
    "fit": (fitting.builders, {"epochs": 1, "samples": 40}),
    "rk4": (calculations.runge_kutta, {"steps": 2, "n": 3}),
    "bodies": (calculations.bodies, {"n": 4}),
    "gp": (calculations.process, {"n": 5}),
    "hessian": (calculations.hessian, {"n": 7, "features": 3}),
    "product": (calculations.product, {"n": 7, "features": 3}),
    "curvature": (calculations.curvature, {"n": 4, "features": 3, "width": 2}),
    "pinn": (calculations.pinn, {"n": 4, "width": 3}),
    "greeks": (calculations.greeks, {"n": 5}),
    "third": (calculations.third, {"n": 5}),
}  # fmt: skip


def builders(made: Any) -> dict[str, Callable[[], Step]]:
    """Who takes part, and what sets each up."""
    if not isinstance(made, Problem):
        return made

    def build(library: Any) -> Step:
        library = library()
        return getattr(library, made.how)(
            made.program(library),
            made.start,
            made.data,
            *[made.method] * (made.how == "training"),
        )

    found: dict[str, Callable[[], Step]] = {
        name: lambda library=library: build(library)  # type: ignore[misc]
        for name, library in LIBRARIES.items()
        if name not in made.without
    }
    if made.by_hand is not None:
        found[NUMPY] = lambda: lambda: made.by_hand(made.start, *made.data)  # type: ignore[misc]
    return found


def ready(name: str, made: Any) -> tuple[dict[str, Step], dict[str, float]]:
    """The contestants whose packages are installed, and the time of the first call of each."""
    steps, firsts = {}, {}
    for who, build in builders(made).items():
        try:
            steps[who] = build()
            start = time.process_time()
            found = steps[who]()
        except ModuleNotFoundError as missing:
            print(f"skipped: {who} in {name}: no {missing.name}", file=sys.stderr)
            steps.pop(who, None)
            continue
        firsts[who] = time.process_time() - start
        if who == OURS:
            expected = found
        else:
            agree(expected, found, who, tolerance(made))
    for _ in range(2):  # the calls of a compiled step that are compared, and steps of training
        both = {who: step() for who, step in steps.items()}
        for who, found in both.items():
            agree(both[OURS], found, who, tolerance(made))
    return steps, firsts


def tolerance(made: Any) -> float:
    if not isinstance(made, Problem):
        return 2e-2
    if made.rtol is not None:
        return made.rtol
    single = isinstance(made.start, list) and made.start[0].dtype == np.float32
    return 1e-3 if single else 1e-7


def agree(expected: Sequence[Any], found: Sequence[Any], who: str, rtol: float) -> None:
    for i, (a, b) in enumerate(zip(expected, found, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        message = f"{who} and {OURS} disagree on result {i}"
        atol = rtol * float(np.max(np.abs(a)))
        np.testing.assert_allclose(b, a, rtol, atol, err_msg=message, strict=a.ndim > 0)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────


def measured(names: Sequence[str], effort: Effort, tiny: bool = False, threads: int = 1) -> None:
    rows, ratios = [], {who: [] for who in CONTESTANTS}  # type: ignore[var-annotated]
    for name in names:
        make, sizes = WORKLOADS[name]
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        made = make(**sizes) if tiny else make()
        steps, firsts = ready(name, made)
        if isinstance(made, Problem) and made.products:
            steps[FLOOR] = bare(made.products, made.start[0].dtype)
        times = race(steps, effort, clock=time.process_time if threads == 1 else time.perf_counter)
        base = times.get(TORCH, times[OURS])
        cells = [f"{name}: {' '.join((make.__doc__ or '').split())}", duration(base)]
        for who in CONTESTANTS:
            if who == TORCH:
                continue
            if who in times:
                ratios[who].append(times[who] / base)
            cells.append(f"{times[who] / base:.2f}" if who in times else "–")
        cells += [duration(firsts[who]) if who in firsts else "–" for who in (COMPILED, JAX)]
        rows.append(cells)
    means = [f"{math.exp(np.mean(np.log(r))):.2f}" if r else "–" for r in ratios.values()]
    means.pop(CONTESTANTS.index(TORCH))
    rows.append(["geometric mean", "", *means, "", ""])
    others = [who for who in CONTESTANTS if who != TORCH]
    heads = ["workload", TORCH, *others, "first call: compiled", "jitted"]
    print(f"\n{facts()}\n")
    printed([heads, *rows])
    what = "Processor time" if threads == 1 else f"Time on {threads} threads"
    print(f"\n{what} over PyTorch's, eager; medians of {effort.rounds} rounds.")


def printed(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *rest = (f"{c:{'>' if i else '<'}{w}}" for i, (c, w) in enumerate(zip(row, widths)))
        print("  ".join([first, *rest]).rstrip())


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def remembered(names: Sequence[str]) -> None:
    """A table of the most memory that each takes beyond its start, in processes of their own."""
    rows = []
    for name in names:
        row = [name]
        for who in CONTESTANTS[:4]:
            command = [sys.executable, "-m", __spec__.name, "--only", name, "--peak", who]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            row.append(ran.stdout.strip() or "–")
        rows.append(row)
    printed([["MiB beyond the start", *CONTESTANTS[:4]], *rows])


def peak(name: str, who: str) -> str:
    """MiB: of all calls, and of the calls after the first three."""
    made = WORKLOADS[name][0]()
    step = builders(made)[who]()
    start = _resident()
    for _ in range(3):
        step()
    everything = _most()
    give_back()  # what the allocator keeps of the first calls
    with open("/proc/self/clear_refs", "w") as file:  # from here on the peak is counted anew
        file.write("5")
    for _ in range(3):
        step()
    return f"{(everything - start) / 1024:.0f} → {(_most() - start) / 1024:.0f}"


def _resident() -> int:
    return _status("VmRSS")


def _most() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    """Of this process, in KiB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))


def on_threads(threads: int, environment: Mapping[str, str]) -> dict[str, str]:
    several = "false" if threads == 1 else "true"
    jax = f"--xla_cpu_multi_thread_eigen={several} intra_op_parallelism_threads={threads}"
    limits = dict.fromkeys(THREADS, str(threads))
    return {**environment, **limits, "XLA_FLAGS": jax, "JAX_PLATFORMS": "cpu"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.workloads", description=__doc__)
    parser.add_argument("--only", choices=WORKLOADS, action="append", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="one, if not given")
    parser.add_argument("--memory", action="store_true", help="measure memory instead (on Linux)")
    parser.add_argument("--peak", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.only or list(WORKLOADS)
    limited = on_threads(options.threads, os.environ)
    if arguments is None and any(os.environ.get(key) != value for key, value in limited.items()):
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], limited)
    if options.peak:
        print(peak(names[0], options.peak))
    elif options.memory:
        remembered(names)
    else:
        effort = Effort(3, 0.05) if options.quick else Effort(9, 0.1)
        measured(names, effort, threads=options.threads)


if __name__ == "__main__":
    main()
