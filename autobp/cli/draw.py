"""`autobp draw`: draw the graph and the gradients of an expression."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from autobp.cli.console import Commands, Failure, as_json, command, named, say, suggestion
from autobp.cli.expression import CONSTANTS, FUNCTIONS, Expression
from autobp.dag import graph
from autobp.tensor import Tensor

__all__ = ["add", "run"]

_VIEWS = ("textbook", "operations", "backward program")
_PICTURES = (".svg", ".png", ".pdf", ".dot")
_PAGES = (".html", ".htm")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "draw",
        run,
        "draw an expression, with its values and gradients",
        "Compute an expression and its gradients, and show each step: as text, or with -o\n"
        "as a picture or as a page that plays it. An expression may contain numbers,\n"
        "names, lists, + - * / @ **, the constants pi and e, and these functions:\n"
        + fill(" ".join(FUNCTIONS), 78, initial_indent="  ", subsequent_indent="  "),
        [
            'autobp draw "tanh(a*b + 1)**2" a=2 b=-0.3',
            'autobp draw "sum(relu(x @ w))" "x=[1,2]" "w=[1,-1]" -o graph.svg',
            'autobp draw "a*b + sin(a)" a=2 b=3 -o player.html',
            'autobp draw -- "-a**2" a=3      (the expression begins with a minus)',
        ],
    )
    parser.set_defaults(hint="; write -- before an expression that begins with a minus")
    option = parser.add_argument
    option("expression", metavar="EXPR", help="the expression, in quotes")
    option("several", nargs="*", metavar="NAME=VALUE", help="the value of a variable")
    kinds = ", ".join(_PICTURES)
    option("-o", "--out", type=Path, metavar="FILE", help=f"{kinds}: a picture; .html: a player")
    views = ", ".join(f'"{view}"' for view in _VIEWS)
    option("--view", type=named(_VIEWS), metavar="VIEW", help=f"view of a picture: {views}")
    option("--json", action="store_true", help="print value and gradients as one JSON object")


def run(options: argparse.Namespace) -> int:
    suffix = options.out.suffix.lower() if options.out else ""
    if options.out and suffix not in (*_PICTURES, *_PAGES):
        kinds = ", ".join((*_PICTURES, ".html"))
        raise Failure(f"-o {options.out}: the name must end in {kinds}", 2)
    if options.view and suffix not in _PICTURES:
        raise Failure("--view needs a picture: add -o graph.svg", 2)
    expression = Expression(options.expression)
    variables = _variables(expression.names, options.several)
    result = expression.value(variables)
    if not variables:
        raise Failure("an expression needs a variable to differentiate by", 2)
    written, code = None, 0
    if options.out:
        written, code = _saved(result, options.out, options.view)
    if result.size != 1 and (options.out or options.json):  # the text output says so itself
        say(
            f"autobp draw: gradients need a scalar; this result has shape {result.shape}. Use sum(…)"
        )
    if options.json:
        found = {"expression": expression.text, "value": result.tolist()}
        print(as_json({**found, "gradients": _gradients(result, variables), "file": written}))
    elif written:
        print(f"Written: {written}")
    else:
        print(graph(result).text())
    return code


def _variables(names: Sequence[str], given: Sequence[str]) -> dict[str, Tensor]:
    """A Tensor for each variable that the expression has."""
    found: dict[str, Tensor] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier() or not value:
            raise Failure(f"write a value as NAME=VALUE, such as x=2 or x=[1,2], not {text!r}", 2)
        if name not in names:
            raise Failure(f"the expression has no variable {name!r}{suggestion(name, names)}", 2)
        if name in found:
            raise Failure(f"{name} is given twice", 2)
        expression = Expression(value)
        unknown = [n for n in expression.names if n not in CONSTANTS]
        if unknown:
            raise Failure(f"{text}: the value of {name} must be numbers, not {unknown[0]!r}", 2)
        found[name] = Tensor(expression.value({}), name=name)
    missing = [name for name in names if name not in found and name not in CONSTANTS]
    if missing:
        if missing[0] in FUNCTIONS:
            raise Failure(f"{missing[0]} is a function: write {missing[0]}(…)", 2)
        many = " and ".join(missing)
        example = " ".join(f"{name}=1" for name in missing)
        raise Failure(f"{many} need{'s' * (len(missing) == 1)} a value, for example {example}", 2)
    return found


def _saved(result: Tensor, path: Path, view: str | None) -> tuple[Path, int]:
    """Write a picture or a page. The exit code is 1 if Graphviz is missing and DOT was written."""
    from autobp.drawing import draw
    from autobp.drawing.layout import LayoutTimeout
    from autobp.drawing.player import play

    try:
        if path.suffix.lower() in _PAGES:
            written = play(result).save(path)
        else:
            options: Any = {"view": view} if view else {}
            written = draw(result, **options).save(path)
    except (RuntimeError, ValueError, LayoutTimeout) as error:
        raise Failure(str(error)) from None
    return written, 0 if written == path else 1


def _gradients(result: Tensor, variables: dict[str, Tensor]) -> dict[str, Any] | None:
    if result.size != 1:
        return None
    result.backward()
    grads = {name: x.grad for name, x in variables.items()}
    return {n: g.tolist() if hasattr(g, "tolist") else g for n, g in grads.items()}
