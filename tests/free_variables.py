"""Surroundings: random programs as users write them, which read, ask, swallow and change things.

A program is the text of a module with a function `f`, put together from parts. Each part is one way
in which a function depends on more than numbers: a *value* that is found at a *place* and changes
there between calls, a question about the type or identity of what is traced, an exception that is
swallowed, an effect, an argument that is no array, a model that is trained.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, replace

import numpy as np

from .vocabulary import (
    ACTIVATIONS,
    ANSWERS,
    ARGUMENTS,
    ARITHMETIC,
    ARRAYS,
    ASKED,
    ASKS,
    CHANGED_ARGUMENTS,
    EFFECTS,
    ENVIRONMENT,
    HOLDERS,
    KINDS,
    LAYERS,
    MODEL_CHANGES,
    NESTS,
    NUMBERS,
    OPTIMIZERS,
    OWN,
    PLACES,
    QUESTIONS,
    READS,
    STEPS,
    SUBJECTS,
    SWALLOWED,
    SWALLOWERS,
    VALUES,
    WHOLE_NUMBERS,
)
from .worlds import Change, Program

__all__ = [
    "Part",
    "arguments",
    "calls",
    "changes_at",
    "changes_of",
    "effects",
    "form",
    "models_with",
    "numbered",
    "numbers",
    "parts",
    "program",
    "questions_about",
    "swallowed",
]

IMPORTS = """
import argparse, array, asyncio, builtins, collections, collections.abc, concurrent.futures
import contextlib, contextvars, copy, ctypes, dataclasses, datetime, decimal, enum, fractions, functools
import importlib, io, itertools, json, logging, math, numbers, operator, os, pathlib, pickle
import random, re, string, sys, threading, types, typing, weakref

import numpy as np

from autobp import Tensor, custom, grad, nn, no_grad, optim, relu, scope, softplus, value_and_grad
"""
LIBRARY = (
    IMPORTS
    + """

class Mode(enum.Enum):
    A = 1.0
    B = 2.0
    C = 3.0
"""
)
PRELUDE = (
    IMPORTS
    + '''
import LIBRARY as lib
from LIBRARY import Mode


def set_default(function, name, value):
    """Another default for a parameter."""
    if name in (function.__kwdefaults__ or {}):
        function.__kwdefaults__[name] = value
    else:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]
        names = names[len(names) - len(function.__defaults__) :]
        known = dict(zip(names, function.__defaults__))
        function.__defaults__ = tuple({**known, name: value}.values())


def get_default(function, name):
    """The default that a parameter has now."""
    if name in (function.__kwdefaults__ or {}):
        return function.__kwdefaults__[name]
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    return function.__defaults__[names.index(name) - len(names)]
'''
)


@dataclass(frozen=True)
class Part:
    """A few lines of a program, and what changes between its calls."""

    kind: str  # a short name for reports
    body: str  # statements on `y`, in f
    module: str = ""
    library: str = ""
    outer: str = ""  # statements in the function that makes f
    parameter: str = ""  # of f, with its default
    keyword: str = ""  # of f, by keyword only
    given: str = ""  # an expression for an argument, which the body calls by the part's name
    change: str = ""  # the body of the function that makes the change
    words: tuple[str, ...] | None = None  # by which constants may name what changes
    number: int = 0
    shape: tuple[int, ...] | None = None  # of x, where it must have one


# ── parts put together ────────────────────────────────────────────────────────────────────────────

SHARES = {
    "free_variables": 0.5,
    "numbers": 0.07,
    "questions": 0.14,
    "swallowed": 0.1,
    "effects": 0.07,
    "arguments": 0.06,
    "models": 0.06,
}


def parts(rng):
    """Some parts of a program, at random."""
    kinds = rng.choice(
        list(SHARES), size=rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]), p=list(SHARES.values())
    )
    chosen = [numbered(MAKERS[kind](rng), k) for k, kind in enumerate(kinds)]
    plain = _pick(rng, ARITHMETIC)
    return [Part("arithmetic", plain), *chosen]


def calls(rng, parts, first=None):
    """New values for each call, and which parts change before it. What is special, zeros, ones, signs,
    comes after the calls that are compared."""
    shape = next((part.shape for part in parts if part.shape), (3,))
    changing = [part.number for part in parts if part.change]
    made = []
    number = _pick(rng, ["float", "float", "float", "numpy"])
    first = first or (1 if rng.random() < 0.25 else 3)  # before the comparisons, or after
    for i in range(6):
        x = rng.uniform(0.2, 1.0, shape) if i < 3 else rng.uniform(-1.5, 1.5, shape)
        a = (
            float(rng.uniform(0.55, 0.95))
            if i < 3
            else float(_pick(rng, [1.0, 0.0, -1.0, 2.0, 1.5, 7.25]))
        )
        if i == 5 and rng.random() < 0.3 and shape == (3,):
            x = _pick(rng, [np.ones(3), np.zeros(3), x.astype(np.float32)])
        changes = [k for k in changing if i >= first and (i == first or rng.random() < 0.4)]
        context = "no_grad" if rng.random() < 0.02 else ""
        made.append(
            (
                (
                    x,
                    np.float64(a) if number == "numpy" else a,
                    int(2 if i < 3 else rng.integers(0, 4)),
                ),
                changes,
                context,
            )
        )
    return made


def program(parts, calls, form="plain", options=None):
    """The program of these parts, called like this."""
    given = [part for part in parts if part.given]
    at = {part.number: i for i, part in enumerate(given)}
    signature = [*("x", "a", "n"), *(f"given{part.number}" for part in given)]
    signature += [part.parameter for part in parts if part.parameter]
    keywords = [part.keyword for part in parts if part.keyword]
    signature += ["*", *keywords] if keywords else []
    changing = [part for part in parts if part.change]
    inner = [line for part in parts for line in (part.outer.splitlines() if part.outer else [])]
    inner += ["", f"def f({', '.join(signature)}):", "    y = x * 1.0"]
    for part in parts:
        inner += textwrap.indent(part.body, "    ").splitlines()
    inner += [f"    return {RESULTS[form]}", ""]
    for part in changing:
        change = part.change.replace("[AT]", f"[{at.get(part.number)}]")
        inner.append(f"def change{part.number}():")
        inner += [*textwrap.indent(change, "    ").splitlines(), ""]
    names = ", ".join(f"change{p.number}=change{p.number}" for p in changing)
    inner += [f"return f, dict({names})"]
    modules = "\n\n".join(part.module for part in parts if part.module)
    text = f"{modules}\n\n\ndef build():\n" + textwrap.indent("\n".join(inner), "    ")
    text += f"\n\n\nGIVEN = [{', '.join(part.given for part in given)}]\n"
    text += f"raw, CHANGES = build()\n{FORMS[form]}\n"
    library = "\n\n".join(part.library for part in parts if part.library)
    shown = f"── the library\n{library}\n" if library else ""
    there = {part.number for part in changing}
    return Program(
        f"{PRELUDE}\n\n{text}",
        f"{LIBRARY}\n\n{library}\n",
        tuple(inputs for inputs, _, _ in calls),
        tuple(tuple(f"change{k}" for k in changes if k in there) for _, changes, _ in calls),
        tuple(Change(f"change{part.number}", part.words) for part in changing),
        tuple(context for _, _, context in calls),
        options or {},
        f"{shown}── the program\n{text}",
    )


FORMS = {
    "plain": "f = WRAP(raw)",
    "method": "class Runner:\n    def __init__(self, inner): self.inner = inner\n    def run(self, *args): return self.inner(*args)\nf = WRAP(Runner(raw).run)",
    "object": "class Runner:\n    def __init__(self, inner): self.inner = inner\n    def __call__(self, *args): return self.inner(*args)\nf = WRAP(Runner(raw))",
    "partial": "f = WRAP(functools.partial(raw))",
    "lambda": "f = WRAP(lambda *args: raw(*args))",
    "decorated": "@functools.wraps(raw)\ndef wrapped(*args, **kwargs):\n    return raw(*args, **kwargs)\nf = WRAP(wrapped)",
    "derived": "f = WRAP(value_and_grad(raw))",
    "results": "f = WRAP(raw)",
}
RESULTS = dict.fromkeys(FORMS, "y")
RESULTS.update(derived="np.sum(y)", results="{'y': y, 's': np.sum(y), 'more': [y * 2.0, (a, x)]}")


def _pick(rng, things):
    return things[int(rng.integers(len(things)))]


def numbered(part, k):
    """The part with names of its own: `RATEK` is `RATE3`."""

    def named(text):
        return re.sub(r"(?<=[A-Za-z])K(?![A-Za-z0-9])", str(k), text)

    texts = {name: named(value) for name, value in vars(part).items() if isinstance(value, str)}
    words = None if part.words is None else tuple(map(named, part.words))
    return replace(part, **texts, words=words, number=k)


def _put(text, **values):
    """A text with other texts in the places of single letters."""
    return re.sub(rf"(?<![\w'\"])({'|'.join(values)})(?![\w'\"])", lambda m: values[m[1]], text)


def form(rng):
    """How a function is handed to compile, and with which options."""
    options = (
        {}
        if rng.random() < 0.9
        else _pick(rng, [{"reuse": True}, {"check": "always"}, {"check": 4}])
    )
    return _pick(rng, list(FORMS)) if rng.random() < 0.5 else "plain", options


def _found(kind, place, use, read="{}", in_place=None, again=False):
    """A value at a place, and a change of the place, or of the value in place."""
    setup, before, after, _, _ = VALUES[kind]
    texts, looked_up, rebind, words = PLACES[place]
    texts = {name: _put(text, V=before, W=after) for name, text in texts.items()}
    if place == "argument: itself":
        texts["given"] = "cellK[0]"
    if place in ("default", "keyword default"):
        where = "get_default(f, 'rateK')"
    else:
        where = looked_up.replace("givenK", texts.get("given", ""))
    home = "library" if "library" in texts else "module"
    texts[home] = f"{setup}\n{texts.get(home, '')}".strip()
    if home == "library":
        texts["module"] = f"from LIBRARY import *\n{texts.get('module', '')}".strip()
    if in_place is not None:
        change = _put(in_place, E=where)
        if words is not None:
            words = f"{words}|BASEK" if kind == "view of an array" else OWN.get(kind, words)
        elif "given" in texts and kind not in NESTS and "Net" not in texts.get("module", ""):
            words = "givenK"  # what an object holds that is given, or found in what is given
    else:
        change = _put(rebind, W="next(nextK)()" if again else after, V=before)
        if again:
            turns = f"nextK = itertools.cycle([lambda: {after}, lambda: {before}])"
            texts["module"] = f"{texts.get('module', '')}\n{turns}".strip()
    return Part(
        f"{kind} at {place}",
        _put(use, E=read.format(looked_up)),
        change=change.replace("; ", "\n") if "global" in change or "nonlocal" in change else change,
        words=None if words is None else tuple(words.split("|")),
        **texts,
    )


def _free_variables(rng):
    if rng.random() < 0.02:
        return _environment(*_pick(rng, ENVIRONMENT))
    kind = _pick(
        rng, list(VALUES) if rng.random() < 0.8 else ["float", "array", "function", "list"]
    )
    place = _pick(
        rng, list(PLACES) if rng.random() < 0.8 else ["global", "cell", "attribute", "item"]
    )
    *_, uses, in_place = VALUES[kind]
    change = _pick(rng, in_place) if in_place and rng.random() < 0.5 else None
    return _found(kind, place, _pick(rng, uses), _pick(rng, READS), change, rng.random() < 0.5)


def changes_of(kind):
    """Every use and every change of a kind of value, in a global and in a cell."""
    *_, uses, in_place = VALUES[kind]
    yield from (_found(kind, "global", use) for use in uses)
    for i in range(max(len(uses), len(in_place)) if in_place else 0):
        use, change = uses[i % len(uses)], in_place[i % len(in_place)]
        yield _found(kind, "cell", use, in_place=change)


def changes_at(place):
    """A number and an array that change at a place."""
    yield _found("float", place, "y = y * E")
    yield _found("array", place, "y = y * E", again=True)
    yield _found("array", place, "y = y * E", in_place="E[0] = 9.0")
    if place == "global":
        yield from (_environment(*entry) for entry in ENVIRONMENT)


def _environment(setup, read, change, words):
    return Part(
        "environment", f"y = y * {read}", setup, change=change, words=tuple(words.split("|"))
    )


def questions_about(subjects):
    """Every question, about each of the subjects in turn."""
    for i, question in enumerate(QUESTIONS):
        yield _question(question, subjects[i % len(subjects)], ANSWERS[0])


def _question(question, subject, answer):
    asked = _put(question, Q=subject)
    return Part(f"asks {asked}", answer.format(asked, s=subject), module=ASKED.strip())


def _questions(rng):
    answer = _pick(rng, ANSWERS) if rng.random() < 0.3 else ANSWERS[0]
    return _question(_pick(rng, QUESTIONS), _pick(rng, SUBJECTS), answer)


def swallowed():
    """Every way to swallow an exception with one question, every question with one way."""
    yield from (_swallower(swallower, ASKS[0]) for swallower in SWALLOWERS)
    yield from (_swallower(SWALLOWERS[0], ask) for ask in ASKS)


def _swallower(swallower, ask):
    module, body = swallower
    module, body = f"{SWALLOWED}{module}".strip(), _put(body, A=ask)
    return Part(f"swallows {ask}", f"{body}\ny = y / (1.0 + cK)", module)


def _swallowed(rng):
    return _swallower(_pick(rng, SWALLOWERS), _pick(rng, ASKS))


def numbers():
    """What is done to numbers and arrays."""
    for body in NUMBERS:
        for number in ("a", "np.sum(x)", "n"):
            yield Part(body, _put(body, N=number))
    for body in (*WHOLE_NUMBERS, *ARRAYS):
        yield Part(body, body)


def effects():
    for module, outer, body in EFFECTS:
        yield Part(f"effect: {body}", body, module, outer=outer)
    for module, given, body in CHANGED_ARGUMENTS:
        yield Part(f"effect: {body}", body, module, given=given)


def arguments():
    for given, body in ARGUMENTS:
        yield Part(f"given {given}", body, "x0 = np.ones(3)" if given == "x0" else "", given=given)
    for kind, module in KINDS.items():
        yield Part(f"given {kind}", "y = y * givenK", module, given="valueK")


def _model(change, activation, layer, optimizer, holder, step):
    net, opt, setup = holder
    layers = ["nn.Linear(3, 4, rng=1)", activation, layer, "nn.Linear(4, 3, rng=2)"]
    module = f"EXTRAK = Tensor([1.0, 2.0])\nnetK = nn.Sequential({', '.join(layers)})\n"
    module += f"optK = {optimizer.format('netK.parameters()')}\n{setup}"
    change = re.sub(r"\bnet\b", "netK", re.sub(r"\bopt\b", "optK", change))
    step = step.replace("netK", net).replace("optK", opt)
    return Part("trains", step, module.strip(), change=change, shape=(5, 3))


def models_with(change):
    """A change of a model with some optimizers, layers and steps."""
    for i in (MODEL_CHANGES.index(change) % 3, 3 + MODEL_CHANGES.index(change) % 4):
        yield _model(
            change,
            ACTIVATIONS[i % len(ACTIVATIONS)],
            LAYERS[i % len(LAYERS)],
            OPTIMIZERS[i % len(OPTIMIZERS)],
            HOLDERS[i % len(HOLDERS)],
            STEPS[0] if i < 3 else STEPS[(MODEL_CHANGES.index(change) + i) % len(STEPS)],
        )


def _models(rng):
    return _model(
        *(_pick(rng, t) for t in (MODEL_CHANGES, ACTIVATIONS, LAYERS, OPTIMIZERS, HOLDERS, STEPS))
    )


MAKERS = {
    "free_variables": _free_variables,
    "numbers": lambda rng: _pick(rng, list(numbers())),
    "questions": _questions,
    "swallowed": _swallowed,
    "effects": lambda rng: _pick(rng, list(effects())),
    "arguments": lambda rng: _pick(rng, list(arguments())),
    "models": _models,
}
