"""`autobp check`: compare the rules of all primitives with numerical derivatives."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autobp.cli.console import Commands, Failure, as_json, command, paint, suggestion

if TYPE_CHECKING:
    from autobp.primitive import Primitive
    from autobp.verify import Record

__all__ = ["add", "run"]

#: The columns of the table, each with the checks of `autobp.verify` whose errors it shows.
_COLUMNS = {
    "forward": ("tangents",),
    "reverse": ("cotangents", "adjoints"),
    "second order": ("second_order",),
    "kinks": ("kinks",),
    "float32": ("single",),
}
_LEGEND = """\
Each column shows the largest relative error over all samples of a primitive:
  forward       Ju against numerical derivatives: by the complex step where the
                function is analytic, by central differences elsewhere
  reverse       ⟨Jᵀv, u⟩ against numerical derivatives and ⟨v, Ju⟩
  second order  all four nestings of the modes against numerical derivatives
  kinks         the derivative at a kink against the convention
  float32       value and derivatives against float64
ok also means that every argument has its rules, that values equal NumPy's, and
that rules give the same on numbers, arrays and Tensors and change none of them."""


@dataclass
class Verdict:
    """The results of the checks of one primitive."""

    name: str
    samples: int
    errors: dict[str, float | None] = field(default_factory=dict)  # None: nothing to measure
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.failures


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "check",
        run,
        "check the gradients of all primitives",
        "Check the rules of all primitives, or of some, in forward mode, reverse mode and\n"
        "second order, against numerical derivatives and each other. Takes 10 seconds.",
        ["autobp check", "autobp check tanh matmul"],
    )
    parser.add_argument("several", nargs="*", metavar="NAME", help="a primitive (default: all)")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")


def run(options: argparse.Namespace) -> int:
    from autobp.rules import PRIMITIVES
    from autobp.verify import RECORDS

    for name in options.several:
        if name not in PRIMITIVES:
            meant = suggestion(name, PRIMITIVES) or "; `autobp check` checks all of them"
            raise Failure(f"there is no primitive {name!r}{meant}", 2)
    names = list(dict.fromkeys(options.several)) or sorted(RECORDS)
    start = time.perf_counter()
    wide = max(map(len, names))
    if not options.json:
        head = "  ".join(name.rjust(max(8, len(name))) for name in _COLUMNS)
        print(f"{'primitive':{wide}}  samples  {head}")
    done: list[Verdict] = []
    interrupted = False
    try:
        for name in names:
            done.append(_checked(PRIMITIVES[name], RECORDS[name]))
            if not options.json:
                print("\n".join(_lines(done[-1], wide)), flush=True)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - start
    failed = [v.name for v in done if not v.ok]
    if options.json:
        found = [{**vars(v), "ok": v.ok} for v in done]
        whole = not failed and not interrupted
        summary = {"ok": whole, "interrupted": interrupted, "seconds": seconds}
        print(as_json({**summary, "primitives": found}))
    else:
        print(f"\n{_LEGEND}\n")
        print(_said(done, failed, len(names), seconds, interrupted))
    return 130 if interrupted else 1 if failed else 0


def _checked(primitive: Primitive, record: Record) -> Verdict:
    import numpy as np

    from autobp.verify import CHECKS

    samples = len(record.samples) + len(record.kinks)
    verdict = Verdict(primitive.name, samples)
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        try:
            with np.errstate(all="ignore"):
                error = check(primitive, record)
            verdict.errors[name] = None if name == "kinks" and not record.kinks else error
        except AssertionError as wrong:
            verdict.failures[name] = str(wrong)
        except Exception as wrong:  # a rule that raises an error is wrong too
            verdict.failures[name] = f"{type(wrong).__name__}: {wrong}"
    return verdict


def _lines(verdict: Verdict, wide: int) -> Iterator[str]:
    cells = [_cell(verdict, checks).rjust(max(8, len(name))) for name, checks in _COLUMNS.items()]
    result = paint("ok", "green") if verdict.ok else paint("FAILED", "red")
    yield f"{verdict.name:{wide}}  {verdict.samples:7}  {'  '.join(cells)}  {result}"
    for name, message in verdict.failures.items():
        said = message if len(message) <= 300 else f"{message[:300]}…"
        yield f"  {name.replace('_', ' ')}: {said}"


def _cell(verdict: Verdict, checks: Sequence[str]) -> str:
    if any(name in verdict.failures for name in checks):
        return "wrong"
    errors = [error for name in checks if (error := verdict.errors[name]) is not None]
    return "–" if not errors else f"{max(errors):.0e}" if max(errors) else "0"


def _said(
    done: Sequence[Verdict], failed: Sequence[str], n: int, seconds: float, interrupted: bool
) -> str:
    many = f"{len(done)} primitive{'s' * (len(done) != 1)}"
    checked = f"{many} checked at {sum(v.samples for v in done):,} samples in {seconds:.1f} s"
    if interrupted:
        checked = f"interrupted: {len(done)} of {n} checked"
    if failed:
        return f"{checked}: {paint(f'{len(failed)} FAILED', 'red')}: {', '.join(failed)}"
    return f"{checked}: {paint('all right', 'green')}"
