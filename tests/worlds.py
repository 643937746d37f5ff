"""Worlds: a program run compiled and plain, each in modules of its own, and what each run shows."""

from __future__ import annotations

import builtins
import collections
import contextlib
import decimal
import functools
import io
import itertools
import linecache
import logging
import os
import random
import re
import sys
import threading
import types
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autobp import CaptureError, Tensor, compile, nn, no_grad
from autobp.compiler import Compiled
from autobp.optim.optimizer import Optimizer

__all__ = ["Change", "Program", "fault", "report", "shrunk"]

CONTEXTS = {"": contextlib.nullcontext, "no_grad": no_grad}


@dataclass(frozen=True)
class Change:
    """What changes between calls: the name of a function that does it, and the words by which
    `compiled.constants` may name what it changes, alternatives apart. None: nothing may excuse it."""

    function: str
    words: tuple[str, ...] | None


@dataclass(frozen=True)
class Program:
    """The text of a user's module and of the library that it imports, and how it is called.

    `f` in the module is the function to call; `CHANGES` its functions that change something, by name;
    `GIVEN` what is given to it besides arrays and numbers.
    """

    text: str
    library: str
    inputs: tuple[tuple, ...]  # arrays and numbers, new for each call
    changes: tuple[tuple[str, ...], ...]  # what is changed before each call
    known: tuple[Change, ...]
    contexts: tuple[str, ...]  # in which it is called
    options: dict  # of compile
    shown: str  # the text without what all programs have

    @property
    def tolerance(self):
        narrow = any(word in self.text for word in ("f4", "float32", "float16"))
        arrays = [x.dtype.itemsize for xs in self.inputs for x in xs if isinstance(x, np.ndarray)]
        return 1e-3 if narrow or min(arrays, default=8) < 8 else 1e-8


@dataclass
class Call:
    """What one call has shown."""

    result: list | None  # flat
    error: Exception | None
    state: list  # of the world afterwards, flat
    before: list
    inputs: list  # afterwards, flat


# ── one run ───────────────────────────────────────────────────────────────────────────────────────

_NUMBERS = itertools.count()


def run(program, folder, compiled, only=None):
    """All calls in a new world, and what was compiled in it. `only` names the changes to be made."""
    number = next(_NUMBERS)
    wrapped, world = [], {}

    def wrap(function):
        if not compiled:
            return function
        wrapped.append(compile(function, **program.options))
        return wrapped[-1]

    names = f"library_{number}", f"world_{number}"
    with _as_it_was():
        try:
            for name, text in zip(names, (program.library, program.text)):
                world = _module(name, text.replace("LIBRARY", names[0]), Path(folder), wrap)
            return list(_calls(program, world, only)), wrapped
        finally:
            for name in names:
                sys.modules.pop(name, None)
                linecache.cache.pop(str(Path(folder, f"{name}.py")), None)


def _module(name, text, folder, wrap):
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    module = types.ModuleType(name)
    module.__file__, module.WRAP, module.FOLDER = str(file), wrap, str(file.with_suffix(""))
    if "FOLDER" in text:
        file.with_suffix("").mkdir(exist_ok=True)
    sys.modules[name] = module
    exec(builtins.compile(text, str(file), "exec"), vars(module))
    return module


def _calls(program, world, only):
    kept, state = [], flat(world)
    for i, inputs in enumerate(program.inputs):
        for name in program.changes[i]:
            if only is None or name in only:
                with contextlib.suppress(Exception):  # a change that this value does not take
                    world.CHANGES[name]()
        inputs = tuple(x.copy() if isinstance(x, np.ndarray) else x for x in inputs)
        before = flat(world) if program.changes[i] else state
        result = error = None
        with CONTEXTS[program.contexts[i]]():
            try:
                result = world.f(*inputs, *world.GIVEN)
            except Exception as raised:
                error = raised.with_traceback(None)
        shown, state = None if error else flat(result, facts=False), flat(world)
        yield Call(shown, error, state, before, flat(inputs))
        if error is None and not program.options.get("reuse"):
            kept.append((i, result, shown))
    for i, result, shown in kept:
        if (unlike := difference(flat(result, facts=False), shown)) is not None:
            raise AssertionError(f"the result of call {i} changed later: {unlike}")


@contextlib.contextmanager
def _as_it_was():
    """What belongs to the whole process is afterwards as it was before."""
    environ, added, folder = dict(os.environ), set(vars(builtins)), os.getcwd()
    limit, argv, thread = sys.getrecursionlimit(), sys.argv, threading.current_thread()
    name = thread.name
    hooks, sys.unraisablehook, threading.excepthook = (
        (sys.unraisablehook, threading.excepthook),
        lambda *_: None,
        lambda *_: None,
    )
    states = random.getstate(), np.random.get_state()
    random.seed(0), np.random.seed(0)
    text = io.StringIO()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), decimal.localcontext():
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        sys.setrecursionlimit(limit)
        sys.argv, thread.name = argv, name
        os.chdir(folder)
        random.setstate(states[0]), np.random.set_state(states[1])
        if dict(os.environ) != environ:
            os.environ.clear(), os.environ.update(environ)
        for name in set(vars(builtins)) - added:
            delattr(builtins, name)


# ── what a run shows, as a flat list ──────────────────────────────────────────────────────────────

_OPAQUE = (
    types.BuiltinFunctionType,
    logging.Logger,
    threading.Thread,
    np.ufunc,
    np.dtype,
    types.CodeType,
)
_PLAIN = (Path, str, bytes, int, float, complex, type(None), type(...), slice, range, np.generic)


#: What the prelude of a program has of its own.
HIDDEN = {"WRAP", "FOLDER", "set_default", "get_default", "Mode", "raw"}


def flat(thing, facts=True):
    """The leaves of anything, with their paths: numbers, texts, copies of arrays. Of Tensors also
    whether they require a gradient and what they are called, which results may leave out."""
    leaves = _Leaves(facts)
    leaves.add(thing, "")
    return leaves.found


class _Leaves:
    def __init__(self, facts):
        self.facts, self.found = facts, []
        self.seen = {}  # by id: the path, and the thing, so that nothing else has its id

    def add(self, x, path):
        kind = type(x)
        if isinstance(x, Compiled):
            return self.add(x.function, path)
        if isinstance(x, types.ModuleType):
            if not _is_theirs(x.__name__):
                return self.leaf(path, x.__name__)
            x = {k: v for k, v in vars(x).items() if k[:2] != "__" and not _is_imported(k, v)}
        if isinstance(x, _PLAIN):
            return self.leaf(path, x)
        if isinstance(x, _OPAQUE):
            return self.leaf(path, getattr(x, "__name__", str(kind)))
        if id(x) in self.seen:
            return self.leaf(path, f"the same as {self.seen[id(x)][0]}")
        self.seen[id(x)] = path, x
        if isinstance(x, np.ndarray):
            return self.array(x, path)
        if isinstance(x, Tensor):
            for name in ("value", "grad", "requires_grad", "name")[: 4 if self.facts else 2]:
                self.add(getattr(x, name), f"{path}.{name}")
            return self.leaf(f"{path}.hooks", len(x.hooks))
        if isinstance(x, np.random.Generator):
            return self.leaf(path, repr(x.bit_generator.state))
        if isinstance(x, np.random.RandomState):
            return self.leaf(path, repr(x.get_state()))
        if isinstance(x, random.Random):
            return self.leaf(path, repr(x.getstate()))
        if isinstance(x, io.StringIO):
            return self.leaf(path, x.getvalue())
        if isinstance(x, itertools.count | itertools.cycle):
            return self.leaf(path, repr(x) if isinstance(x, itertools.count) else "")
        if isinstance(x, set | frozenset):
            return self.leaf(path, sorted(map(_text, x)))
        if isinstance(x, dict | types.MappingProxyType | collections.UserDict):
            return self.entries(x, path)
        if isinstance(x, list | tuple | collections.deque):
            self.leaf(path, (kind.__name__, len(x)))
            return self.elements(x, path)
        return self.object(x, path)

    def leaf(self, path, value):
        self.found.append((path, value))

    def array(self, x, path):
        text = x.dtype.hasobject or x.dtype.kind not in "biufc"
        self.leaf(path, (type(x).__name__, repr(x.tolist())) if text else np.array(x))
        if isinstance(x, np.ma.MaskedArray):
            self.leaf(f"{path}.mask", np.array(np.ma.getmaskarray(x)))

    def elements(self, x, path):
        plain = [v for v in x if isinstance(v, _PLAIN)] if len(x) > 500 else []
        if plain:
            numbers = all(isinstance(v, float | np.floating) for v in plain)
            self.leaf(path, np.array(plain) if numbers else plain)
        for i, value in enumerate(x):
            if not plain or not isinstance(value, _PLAIN):
                self.add(value, f"{path}[{i}]")

    def entries(self, x, path):
        if len(x) > 500:
            self.elements(list(x.values()), path)
        else:
            for key, value in x.items():
                self.add(value, f"{path}[{key if isinstance(key, str) else _text(key)}]")
        self.leaf(f"{path}.keys", [k for k in x if isinstance(k, str | int)])

    def object(self, x, path):
        kind = type(x)
        if isinstance(x, functools.partial):
            self.add([x.func, x.args, x.keywords], path)
        elif isinstance(x, types.MethodType):
            self.add([x.__func__, x.__self__], path)
        elif isinstance(x, types.FunctionType):
            if _is_theirs(x.__module__) and not hasattr(x, "registry"):
                cells = [_content(cell) for cell in x.__closure__ or ()]
                self.add([cells, x.__defaults__, x.__kwdefaults__, vars(x)], f"{path}()")
        elif isinstance(x, property | classmethod | staticmethod):
            pass
        elif isinstance(x, type):
            if _is_theirs(x.__module__):
                plain = {k: v for k, v in vars(x).items() if k[:2] != "__" and k != "_abc_impl"}
                self.add(plain, path)
        else:
            self.leaf(f"{path}.__class__", kind.__name__)
            ours = isinstance(x, nn.Module | Optimizer) and not _is_theirs(kind.__module__)
            for name in _attributes(x):
                if name[:2] != "__" and not (ours and name[0] == "_"):
                    self.add(getattr(x, name), f"{path}.{name}")


def _is_imported(name, value):
    foreign = isinstance(value, types.ModuleType) and not _is_theirs(value.__name__)
    return foreign or name in HIDDEN


def _text(x):
    """What is the same in both worlds."""
    return re.sub(r" at 0x\w+|(world|library)_\d+", "", repr(x))


def _is_theirs(name):
    return name.startswith(("world_", "library_"))


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _attributes(x):
    named = dict(getattr(x, "__dict__", {}))
    slots = [s for c in type(x).__mro__ for s in getattr(c, "__slots__", ()) if isinstance(s, str)]
    return [*named, *(s for s in slots if s[:2] != "__" and s not in named and hasattr(x, s))]


def difference(found, expected, tol=1e-8):
    """The first leaf in which two flat lists differ, as text; None if they are equal to rounding."""
    for (path, a), (other, b) in zip(found, expected):
        if path != other:
            return f"{path} is there, {other} is expected"
        if not _alike(a, b, tol):
            return f"{path or 'it'} is {_short(a)}, expected {_short(b)}"
    if len(found) != len(expected):
        paths = {path for path, _ in found} ^ {path for path, _ in expected}
        return f"only one has {', '.join(sorted(paths))}"
    return None


def _alike(a, b, tol):
    numbers = (np.ndarray, np.generic, float, complex)
    if isinstance(a, numbers) and isinstance(b, numbers):
        kinds = [float if isinstance(x, float) else type(x) for x in (a, b)]  # np.float64 is one
        if kinds[0] is not kinds[1] or np.result_type(a) != np.result_type(b):
            return False
        if np.shape(a) != np.shape(b):
            return False
        if np.result_type(a).kind not in "fc":
            return bool(np.array_equal(a, b))
        if np.result_type(a).itemsize < 8:
            tol = 1e-3
        return bool(np.allclose(a, b, tol, tol, equal_nan=True))
    return type(a).__name__ == type(b).__name__ and a == b


def _short(x):
    text = " ".join(repr(x).split())
    return text if len(text) <= 200 else text[:200] + "…"


# ── the property ──────────────────────────────────────────────────────────────────────────────────


def fault(program, folder):
    """What is wrong with how a program behaves when it is compiled, and how often it ran: equal to the
    plain one, or refused, or with what was changed among the constants, is what it may be."""
    try:
        plain, _ = run(program, folder, compiled=False)
        ours, compiled = run(program, folder, compiled=True)
    except AssertionError as error:
        return str(error), "fault"
    for i, (found, expected) in enumerate(zip(ours, plain)):
        if isinstance(found.error, CaptureError):
            return _after_refusal(i, found, expected), "refused"
        unlike = _compared(i, found, expected, program.tolerance)
        if unlike is not None:
            if _is_named(program, folder, i, compiled):
                return None, "named"
            return unlike, "fault"
        if expected.error is not None:
            return None, "error"
    return None, "equal"


def _after_refusal(i, found, expected):
    """A refused call has done nothing, or all that the function does."""
    state, before, after = map(_nameless, (found.state, found.before, expected.state))
    changed, undone = difference(state, before), difference(state, after)
    if changed is None or undone is None or expected.error is not None:
        return None
    said = str(found.error)
    return f"call {i} was refused ({said}) and left a part of it done: {changed}; or: {undone}"


def _nameless(leaves):
    """Without the names of Tensors, which a module gives to its parameters when it is called."""
    return [(path, x) for path, x in leaves if not path.endswith(".name")]


def _compared(i, found, expected, tol):
    if found.error is not None or expected.error is not None:
        if type(found.error) is type(expected.error):
            return None
        return f"call {i} raised {found.error!r}, expected {expected.error!r}"
    for what in ("result", "state", "inputs"):
        unlike = difference(getattr(found, what), getattr(expected, what), tol)
        if unlike is not None:
            return f"after call {i} the {what} differs: {unlike}"
    return None


def _is_named(program, folder, i, compiled):
    """Whether each change that makes a difference by itself is named among the constants; all, if
    none does by itself."""
    made = {name for names in program.changes[: i + 1] for name in names}
    changes = [change for change in program.known if change.function in made]
    if not any(_named(c, compiled) for c in changes):
        return False
    alone = changes if len(changes) < 2 else [c for c in changes if _matters(program, folder, c)]
    return bool(changes) and all(_named(c, compiled) for c in alone or changes)


def _matters(program, folder, change):
    only = {change.function}
    plain, _ = run(program, folder, compiled=False, only=only)
    ours, _ = run(program, folder, compiled=True, only=only)
    return any(
        not isinstance(a.error, CaptureError) and _compared(i, a, b, program.tolerance) is not None
        for i, (a, b) in enumerate(zip(ours, plain))
    )


def _named(change, compiled):
    if change.words is None:
        return False
    said = [
        f"{constant.name} {constant.where}"
        for function in compiled
        for constant in getattr(function, "constants", ())
    ]
    return any(
        all(re.search(rf"(?<!\w){re.escape(w)}(?!\w)", text) for w in words.split())
        for words in change.words
        for text in said
    )


# ── the smallest program with that fault ──────────────────────────────────────────────────────────


def shrunk(make, parts, calls, folder):
    """Fewer parts and fewer calls that still have a fault. `make(parts, calls)` builds a program."""
    best, smaller = make(parts, calls), True
    while smaller:
        for smaller in _smaller(parts, calls):
            program = make(*smaller)
            if fault(program, folder)[0] is not None:
                best, (parts, calls) = program, smaller
                break
        else:
            smaller = False
    return best


def _smaller(parts, calls):
    for i in range(len(parts)):
        if len(parts) > 1:
            yield parts[:i] + parts[i + 1 :], calls
    for i in range(len(calls)):
        if len(calls) > 1:
            yield parts, calls[:i] + calls[i + 1 :]


def report(program, what):
    """The program, its calls and what went wrong, as text."""
    calls = []
    for i, (inputs, changes) in enumerate(zip(program.inputs, program.changes)):
        calls += [f"{name}()" for name in changes]
        context = program.contexts[i]
        shown = ", ".join(_short(x) for x in inputs)
        calls.append(f"{i}: f({shown}, *GIVEN)" + (f" under {context}()" if context else ""))
    options = f" compile(f, **{program.options})" if program.options else ""
    return "\n".join([what, program.shown, f"── its calls{options}", *calls])
