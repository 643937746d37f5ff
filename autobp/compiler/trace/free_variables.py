"""Free variables: what a function reads besides its arguments, and how a change of it is noticed.

The search starts at the function and follows its code: globals, cells and defaults, the functions
that it calls, the attributes and entries of the objects that it meets. What belongs to a module, to
an optimizer or to an object among the arguments is live: a program reads it at each call, or checks
it. All else is a constant of the program. It is listed, and where that is cheap it is checked too.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import contextvars
import copy
import dis
import enum
import functools
import inspect
import operator
import os
import random
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autobp.primitive import Variable
from autobp.tensor import Tensor
from autobp.tree import leaves

__all__ = [
    "Constant",
    "Executed",
    "FreeVariable",
    "Found",
    "free_variables",
    "is_user_frame",
    "place_of",
    "reachable",
    "same_item",
    "tests_of",
]

GONE: Any = type("Gone", (), {"__repr__": lambda _: "gone", "__slots__": ()})()

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
_NUMBERS = (int, float, complex, np.generic)  # equal ones are the same
_NESTS = (list, tuple, dict, set, frozenset, collections.deque)
_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodType,
    np.ufunc,
    type(np.sum),
)
#: What is compared by `==` in one go with others of its owner: of these, equal ones are the same.
_ATOMS = (*_FUNCTIONS, types.ModuleType, type, str, bytes, type(None))

#: Kinds of variables that say nothing beside those that they hold.
_UNLISTED = ("contents", "equal", "optimizer", "defaults", "type", "methods")
_METHODS = ("__call__", "forward", "step", "update")  # of modules and optimizers

_BUILTINS = frozenset(vars(builtins))  # those of Python's own
_BY_TEXT = {"getattr", "globals", "vars", "attrgetter", "itemgetter", "methodcaller", "__dict__"}

#: How the places begin whose names alone do not tell them from others.
_OUTSIDE = ("global of", "closure of", "default of")

ARRAYS = (np.ndarray, np.memmap)  # of which programs are written

MANY = 1000  # entries of a nest; those of a larger one are neither listed nor checked, if not live


class Constant(NamedTuple):
    """Something that a program has taken over from around the function, as it was then."""

    name: str  #: as one writes it: `SETTINGS['rate']`, `config.scale`
    where: str  #: where it was found: `global of module train`, `closure of loss`
    value: Any  #: the value; of what is large, a summary

    def __repr__(self) -> str:
        return f"{self.name} = {self.value!r:.60} ({self.where})"


@dataclass(slots=True, eq=False)
class FreeVariable:
    """A place that a function reads: an entry of a dict, an attribute, a cell, or what a nest holds."""

    kind: str  # "entry" of a dict or list, "fixed" entry of a tuple or set, "cell", "attribute",
    # "class" attribute, "defaults" of a function, one "default", "context", "environment",
    # "contents" of a nest, what is "equal" to a copy, "opaque" object, "optimizer", "type" of an
    # object, "methods" of a class that may be replaced
    owner: Any
    key: Any
    value: Any
    name: str
    where: str
    live: bool = False  # a module, an optimizer or an argument holds it
    is_global: bool = False
    checked: bool = True  # by a test of its own, not by that of its owner
    is_listed: bool = True  # among the constants

    def read(self) -> Any:
        """What is there now."""
        owner, key = self.owner, self.key
        try:
            if self.kind == "entry":
                return owner.get(key, GONE) if isinstance(owner, dict) else owner[key]
            if self.kind == "cell":
                return owner.cell_contents
            if self.kind == "class":
                return vars(owner).get(key, GONE)
            if self.kind == "context":
                return owner.get(GONE)
            return getattr(owner, key, GONE)
        except (ValueError, IndexError):
            return GONE

    def write(self, value: Any) -> None:
        """Put something there."""
        owner, key = self.owner, self.key
        if self.kind == "entry":
            if value is GONE:
                owner.pop(key, None)
            else:
                owner[key] = value
        elif self.kind == "cell":
            owner.cell_contents = value
        elif value is GONE:
            delattr(owner, key)
        elif self.kind == "class":
            setattr(owner, key, value)
        else:
            object.__setattr__(owner, key, value)

    @property
    def is_writable(self) -> bool:
        """Whether something else can stand there while a function is traced."""
        return self.kind in ("entry", "attribute")

    @property
    def said(self) -> str:
        """What messages call it."""
        return "a variable" if self.kind == "cell" else repr(self.key)


class Executed(NamedTuple):
    """A call of a user's function that was seen while it ran."""

    code: types.CodeType
    variables: dict[str, Any]  # its globals
    locals: dict[str, Any]


@dataclass(slots=True)
class Found:
    """All that a search has found."""

    variables: list[FreeVariable]
    codes: set[types.CodeType]  # of the functions that were looked through
    iterators: list[tuple[Any, str]]  # with their names
    live: set[tuple[int, Any]]  # entries that steps of an optimizer change: ids of dicts, and keys
    objects: dict[int, Any]  # that were looked into, by their ids
    line: str  # where the function begins
    ran: dict[int, types.CodeType] = field(default_factory=dict)  # functions, seen to run
    names: dict[int, str] = field(default_factory=dict)  # of the objects, by their ids

    def constants(self) -> list[Constant]:
        """What programs take over, for people to read."""
        listed: dict[tuple[str, str], Constant] = {}
        for v in self.variables:
            if v.is_listed and not v.live and v.kind not in _UNLISTED and not _is_named(v):
                constant = Constant(v.name, v.where, _summary(v.value))
                listed.setdefault(constant[:2], constant)
        return list(listed.values())


def free_variables(
    function: Callable[..., Any], args: Any = (), executed: Iterable[Executed] = ()
) -> Found:
    """The variables that a function, and those that it calls, read from around them. Objects among
    its arguments, models and optimizers, are looked into as well."""
    search = _Search()
    search.visit(function, getattr(function, "__qualname__", "function"), "", False)
    for path, x in leaves(args):
        if is_kind(x, _GENERATORS):
            search.seen[id(x)] = x
        elif not is_kind(x, (*_NUMBERS, str, bytes, type, types.ModuleType, np.ndarray, Tensor)):
            search.visit(x, f"argument{path}", "", True)
    for call in executed:
        search.executed(call)
    search.run()
    return Found(
        search.variables, search.codes, search.iterators, search.live, search.seen, _line(function)
    )


def reachable(
    *stages: Mapping[str, Any], hidden: Mapping[int, tuple[str, ...]] | None = None
) -> list[Found]:
    """All that can be reached from named objects and functions, large nests and objects of unknown
    kinds too, for those who keep state and write no program. What several stages reach is in the
    first of them. The same objects are found in the same order, and so under the same names, in
    another process. `hidden` has attributes not to be looked into, by the ids of objects."""
    search = _Search(whole=True)
    search.hidden = hidden or {}
    found = []
    for roots in stages:
        first, begun = len(search.variables), len(search.seen)
        iterators = len(search.iterators)
        for name, root in roots.items():
            search.visit(root, name, "", True)
        search.run()
        search.global_generators()
        new = dict(list(search.seen.items())[begun:])
        variables, its = search.variables[first:], search.iterators[iterators:]
        found.append(Found(variables, search.codes, its, search.live, new, "", names=search.paths))
    return found


def is_kind(x: Any, kinds: Any) -> bool:
    """As isinstance, but without asking the object, which may be odd."""
    return issubclass(type(x), kinds)


def has_identity(kind: type) -> bool:
    """Whether objects of a class equal nothing but themselves."""
    equal: Any = kind.__eq__
    return equal is object.__eq__


def _is_visible(x: Any) -> bool:
    """Whether an object lets itself be looked into."""
    try:
        return x.__class__ is not None and hasattr(x, "__dict__") in (True, False)
    except Exception:
        return False


def _line(function: Any) -> str:
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial | types.MethodType):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


class _Search:
    def __init__(self, whole: bool = False) -> None:
        self.whole = whole  # what no program could check is listed too
        self.paths: dict[int, str] = {}  # names of the objects
        self.hidden: Mapping[int, tuple[str, ...]] = {}
        self.variables: list[FreeVariable] = []
        self.codes: set[types.CodeType] = set()
        self.names: set[str] = {"forward"}  # that the code mentions
        self.seen: dict[int, Any] = {}  # objects that were looked into, kept alive for their ids
        self.todo: collections.deque[Callable[[], None]] = collections.deque()
        self.spaces: dict[
            int, tuple[Any, str, bool]
        ] = {}  # classes and modules: names are looked up
        self.asked: set[tuple[int, str]] = set()
        self.live: set[tuple[int, Any]] = set()  # entries that steps of an optimizer change
        self.iterators: list[tuple[Any, str]] = []

    def run(self) -> None:
        while True:
            while self.todo:
                self.todo.popleft()()
            before = len(self.asked)
            for space, path, live in list(self.spaces.values()):
                self.look_up(space, path, live)
            if not self.todo and len(self.asked) == before:
                return

    # ── places ────────────────────────────────────────────────────────────────────────────────────

    def found(
        self, kind: str, owner: Any, key: Any, value: Any, name: str, where: str, live: bool,
        **how: Any,
    ) -> None:  # fmt: skip
        """A place, and what is to be looked into because of what it holds."""
        if (id(owner), key) in self.live or _is_of_a_trace(value):
            return
        self.variables.append(FreeVariable(kind, owner, key, value, name, where, live, **how))
        self.visit(value, name, where, live)

    def visit(self, value: Any, name: str, where: str, live: bool) -> None:
        """Look into an object, once."""
        if is_kind(value, (*_NUMBERS, str, bytes, np.ndarray, type(None))):
            return
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        self.paths[id(value)] = f"{name} ({where})" if where.startswith(_OUTSIDE) else name
        self.todo.append(lambda: self.look(value, name, where, live))

    def look(self, value: Any, name: str, where: str, live: bool) -> None:
        if is_kind(value, Tensor):
            for hook in value.hooks:
                self.visit(hook.call, f"a hook of {name}", where, False)
        elif is_kind(value, functools.partial):
            for i, x in enumerate((value.func, *value.args)):
                self.visit(x, f"{name}.args[{i - 1}]" if i else f"{name}.func", where, live)
            if self.whole:
                self.contents(value.args, f"{name}.args", where, live)
            self.contents(value.keywords, f"{name}.keywords", where, live)
        elif is_kind(value, types.MethodType):
            self.visit(value.__func__, name, where, live)
            self.visit(value.__self__, name.rpartition(".")[0] or "self", where, live)
        elif is_kind(value, types.FunctionType):
            self.function(value, name, live)
        elif is_kind(value, types.BuiltinFunctionType):  # perhaps a method, of a dict for example
            if not is_kind(value.__self__, types.ModuleType | type):
                self.visit(value.__self__, f"{name}.__self__", where, live)
        elif is_kind(value, weakref.ref):
            self.visit(value(), f"{name}()", where, live)
        elif is_kind(value, weakref.ProxyTypes):
            with contextlib.suppress(ReferenceError, AttributeError):
                self.visit(value.__init__.__self__, name, where, live)
        elif is_kind(value, _NESTS):
            self.contents(value, name, where, live)
            if type(value).__module__ not in ("builtins", "collections"):
                self.members(value, name, live)
        elif is_kind(value, contextvars.ContextVar):
            found = value.get(GONE)
            self.found("context", value, "set", found, f"{name}.get()", where, False)
            with contextlib.suppress(LookupError):
                self.visit(value.get(), f"{name}.get()", where, False)
        elif is_kind(value, types.ModuleType | type):
            self.spaces.setdefault(id(value), (value, name, live))
        elif value is os.environ or value is os.getenv:
            self.environment()
        elif is_kind(
            value, (*_FUNCTIONS, enum.Enum, slice, range, np.dtype, *_GENERATORS)
        ) or not _is_visible(value):
            return
        elif "__wrapped__" in getattr(
            value, "__dict__", ()
        ):  # a compiled function, one that caches
            self.visit(value.__wrapped__, name, where, live)
        elif hasattr(type(value), "__next__") and not hasattr(value, "__dict__"):
            self.iterators.append((value, name))
        elif not self.members(value, name, live):
            if self.whole:
                v = FreeVariable("opaque", value, None, value, name, where, live)
                self.variables.append(v)
            elif live:
                self.equal(value, name, where)

    def global_generators(self) -> None:
        """Those of the modules `random` and `numpy.random`, if the code may draw from them."""
        if id(random) in self.seen:
            self.visit(random._inst, "random", "", False)
        if id(np.random) in self.seen or (id(np) in self.seen and "random" in self.names):
            self.visit(np.random.mtrand._rand, "numpy.random", "", False)
        self.run()

    def equal(self, value: Any, name: str, where: str) -> None:
        """Of a live object that is not looked into, it is checked whether it equals a copy. What can
        be a key of a dict by its value never changes; what else there is, is listed."""
        kind = type(value)
        if not has_identity(kind) and kind.__hash__ is not None:
            return
        try:
            before = copy.deepcopy(value)
            if not has_identity(kind) and value == before:
                v = FreeVariable("equal", value, None, before, name, where, True)
                self.variables.append(v)
                return
        except Exception:
            pass
        self.variables.append(FreeVariable("opaque", value, None, value, name, where, False))

    # ── functions ─────────────────────────────────────────────────────────────────────────────────

    def function(self, f: types.FunctionType, name: str, live: bool) -> None:
        who = f.__qualname__.rpartition("<locals>.")[2]
        mine = _root(str(f.__globals__.get("__name__"))) not in ("autobp", "numpy") or is_user_code(
            f
        )
        for key, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if not mine:  # what the library holds is its own, but for what the user gave it
                for _, x in leaves(value):
                    self.visit(x, getattr(x, "__qualname__", key), "", False)
            elif key != "__class__":
                listed = is_user_code(f)  # a decorator of Python's own keeps things of no interest
                where = f"closure of {who}"
                self.found("cell", cell, key, value, key, where, live=False, is_listed=listed)
        if not is_user_code(f):
            return
        self.code(f.__code__, f.__globals__)
        code = FreeVariable("attribute", f, "__code__", f.__code__, f"{who}.__code__", "")
        self.variables.append(code)
        names = f.__code__.co_varnames
        if f.__defaults__:
            first = f.__code__.co_argcount - len(f.__defaults__)
            for i, value in enumerate(f.__defaults__):
                self.default(f, "__defaults__", names[first + i], value, who)
        for key, value in (f.__kwdefaults__ or {}).items():
            self.default(f, "__kwdefaults__", key, value, who)
        if f.__dict__ or any(op in f.__code__.co_names for op in (f.__name__, "setattr")):
            self.contents(f.__dict__, who, f"attribute of {who}", False, attributes=True)

    def default(self, f: Any, which: str, name: str, value: Any, who: str) -> None:
        place = f"default of {who}"
        defaults = getattr(f, which)
        if (id(f), which) not in self.asked:
            self.asked.add((id(f), which))
            v = FreeVariable("defaults", f, which, defaults, f"{who}.{which}", place)
            self.variables.append(v)
            if is_kind(defaults, dict):
                self.contents(defaults, f"{who}.{which}", place, False)
        self.variables.append(FreeVariable("default", f, name, value, name, place, checked=False))
        self.visit(value, name, place, False)

    def code(self, code: types.CodeType, variables: dict[str, Any]) -> None:
        names: list[str] = []
        codes = [code]
        while codes:
            inner = codes.pop()
            self.codes.add(inner)
            codes += [c for c in inner.co_consts if is_kind(c, types.CodeType)]
            names += inner.co_names
            if not _BY_TEXT.isdisjoint(inner.co_names):  # getattr(x, "name"), globals()["name"]
                names += [c for c in inner.co_consts if type(c) is str and c.isidentifier()]
        self.names.update(names)
        where = f"global of module {variables.get('__name__', '?')}"
        missing = [n for n in names if n not in variables and n not in _BUILTINS]
        missing = missing and [n for n in missing if n in _globals_read(code)]
        for name in dict.fromkeys(names):
            if (id(variables), name) in self.asked:
                continue
            value = variables.get(name, GONE)
            if value is not GONE or name in missing:
                self.asked.add((id(variables), name))
                self.found("entry", variables, name, value, name, where, False, is_global=True)
            if name in missing and name in vars(builtins):
                space = vars(builtins)
                self.found(
                    "entry", space, name, space[name], name, "builtins", False, is_global=True
                )
        if variables.get("os") is os and {"environ", "getenv"} & set(names):
            self.environment()

    def executed(self, call: Executed) -> None:
        """A function that was met while another ran, and that no search had found."""
        self.code(call.code, call.variables)
        for name, value in call.locals.items():
            if not is_kind(value, _NESTS):
                self.visit(value, name, f"argument of {call.code.co_name}", False)

    def environment(self) -> None:
        if (0, "environ") not in self.asked:
            self.asked.add((0, "environ"))
            data = os.environ._data  # type: ignore[attr-defined]
            v = FreeVariable("environment", data, None, dict(data), "os.environ", "environment")
            self.variables.append(v)

    # ── objects ───────────────────────────────────────────────────────────────────────────────────

    def members(self, x: Any, name: str, live: bool) -> bool:
        """The attributes of an object, and the methods of its class that may be called. Whether it
        is an object that is looked into."""
        kind = type(x)
        if not _has_attributes(x) or not (_is_open(kind) or is_user_code(kind)):
            return False
        setter = getattr(kind, "__setitem__", None)
        if live and is_kind(setter, types.WrapperDescriptorType) and not is_kind(x, _NESTS):
            return False  # it holds something where Python cannot look, as arrays of ctypes do
        optimizes = hasattr(kind, "live_entries")
        live = live or optimizes or _is_module(kind)
        if optimizes:
            self.live |= {(id(owner), key) for owner, key in x.live_entries()}
            self.variables.append(FreeVariable("optimizer", x, None, x, name, "", True))
        if hasattr(x, "__dict__"):
            hidden: tuple[str, ...] = ("_scratch",) if optimizes else ()
            if _is_module(kind):
                hidden = ("_title",)  # modules note what they are called by when they run
            hidden += self.hidden.get(id(x), ())
            self.contents(
                vars(x), name, f"attribute of {name}", live, attributes=True, hidden=hidden
            )
        for slot in _slots(kind):
            if hasattr(x, slot):
                value = getattr(x, slot)
                where = f"attribute of {name}"
                self.found("attribute", x, slot, value, f"{name}.{slot}", where, live)
        if live:
            self.variables.append(FreeVariable("type", x, None, kind, name, "", True))
            for c in kind.__mro__:
                names = [n for n in _METHODS if n in vars(c)]
                if names and (id(c), "methods") not in self.asked:
                    self.asked.add((id(c), "methods"))
                    methods = {n: vars(c)[n] for n in names}
                    self.variables.append(FreeVariable("methods", c, None, methods, name, "", True))
        if kind.__module__ != "types":
            self.spaces.setdefault(id(kind), (kind, kind.__name__, False))
        return True

    def contents(
        self, nest: Any, name: str, where: str, live: bool, attributes: bool = False,
        hidden: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """What a list, a dict, a set holds, or an object in its dict of attributes."""
        mutable = not is_kind(nest, tuple | frozenset)
        few = len(nest) <= MANY or self.whole
        if mutable and (few or live):
            held = _snapshot(nest)
            v = FreeVariable("contents", nest, None, held, name, where, live)
            self.variables.append(v)
            self.live |= {(id(nest), key) for key in hidden}
        if is_kind(nest, dict):
            for key, value in list(nest.items()) if few or live else ():
                if key in hidden:
                    continue
                inner = f"{name}.{key}" if attributes else f"{name}[{_key_text(key)}]"
                place = where if attributes else f"entry of {name}"
                if is_kind(key, str | int | float | bool | tuple | enum.Enum | type(None)):
                    self.found("entry", nest, key, value, inner, place, live, checked=False)
                else:
                    self.visit(key, f"a key of {name}", place, live)
                    self.visit(value, inner, place, live)
        elif is_kind(nest, set | frozenset):
            for value in list(nest) if few or live else ():
                inner = f"an element of {name}"
                self.found("fixed", nest, None, value, inner, where, live, checked=False)
        else:
            writable = is_kind(nest, list | collections.deque)
            for i, value in enumerate(list(nest)) if few or live else ():
                inner, place = f"{name}[{i}]", f"entry of {name}"
                kind = "entry" if writable else "fixed"
                self.found(kind, nest, i, value, inner, place, live, checked=False)

    def look_up(self, space: Any, path: str, live: bool) -> None:
        """Names that the code mentions, in a class or a module of the user's."""
        if is_kind(space, types.ModuleType):
            ours = _root(space.__name__) in ("numpy", "autobp") and not _is_demo(space.__name__)
            if ours or space is os:
                return
            theirs = not is_user_code(space)
            for name, value in list(vars(space).items()):
                if name not in self.names:
                    continue
                if theirs and is_kind(value, (*_FUNCTIONS, types.ModuleType, type, *_NUMBERS)):
                    continue
                if self.is_new(space, name):
                    where = f"global of module {space.__name__}"
                    full = f"{path}.{name}"
                    self.found("entry", vars(space), name, value, full, where, live, is_global=True)
            return
        for kind in (*space.__mro__, *type(space).__mro__):
            if not is_user_code(kind):
                continue
            live = _is_module(kind) or hasattr(kind, "live_entries")
            for name, value in list(vars(kind).items()):
                called = name[:2] == "__" and is_kind(value, types.FunctionType)
                if name not in self.names and not called:
                    continue
                if name in ("__class__", "__dict__", "__doc__", "__module__", "__qualname__"):
                    continue
                if called and value.__code__.co_filename == "<string>":
                    continue  # what a dataclass has
                if self.is_new(kind, name):
                    inner = _function_of(value)
                    full, where = f"{kind.__name__}.{name}", f"attribute of class {kind.__name__}"
                    self.found("class", kind, name, value, full, where, live)
                    if inner is not value and inner is not None:
                        self.visit(inner, full, where, False)

    def is_new(self, space: Any, name: str) -> bool:
        new = (id(space), name) not in self.asked and not (
            is_kind(space, types.ModuleType) and (id(vars(space)), name) in self.asked
        )
        self.asked.add((id(space), name))
        return new


def _function_of(attribute: Any) -> Any:
    """The function behind an attribute of a class."""
    if is_kind(attribute, property):
        return attribute.fget
    if is_kind(attribute, staticmethod | classmethod):
        return attribute.__func__
    return attribute.func if is_kind(attribute, functools.cached_property) else attribute


@functools.lru_cache(4096)
def _globals_read(code: types.CodeType) -> frozenset[str]:
    """The names that code looks up among the globals."""
    found = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return frozenset(found).union(*map(_globals_read, inner))


# ── tests ─────────────────────────────────────────────────────────────────────────────────────────


def tests_of(
    variables: Sequence[FreeVariable],
    skipped: set[tuple[int, Any]],
    known: Callable[[Any], str],
) -> list[str]:
    """Expressions that are true as long as nothing has changed. `known` gives names to objects;
    `skipped` are places, ids of owners and keys, that are read at each call."""
    tests: list[str] = []
    together: dict[int, tuple[Any, dict[str, Any]]] = {}
    for v in variables:
        if not v.checked or v.kind in ("optimizer", "opaque") or (id(v.owner), v.key) in skipped:
            continue
        if v.kind == "contents":
            tests += _contents_tests(v, skipped, known)
        elif v.kind == "type":
            tests.append(f"type({known(v.owner)}) is {known(v.value)}")
        elif v.kind == "methods":
            tests.append(_atoms_test(vars(v.owner), v.value, known))
        elif v.kind in ("environment", "equal"):
            tests.append(f"{known(v.owner)} == {known(v.value)}")
        elif v.value is GONE and v.kind == "entry":
            tests.append(f"{v.key!r} not in {known(v.owner)}")
        elif v.kind == "entry" and type(v.key) is str and is_kind(v.value, _ATOMS):
            together.setdefault(id(v.owner), (v.owner, {}))[1][v.key] = v.value
        else:
            tests.append(_test(place_of(v, known), v.value, known))
    tests += [_atoms_test(owner, atoms, known) for owner, atoms in together.values()]
    return tests


def _test(place: str, value: Any, known: Callable[[Any], str]) -> str:
    if is_kind(value, (*_NUMBERS, tuple)):
        same = known(value)
        return f"((a_ := {place}) is {same} or {known(same_item)}(a_, {same}))"
    return f"{place} is {known(value)}"


def _atoms_test(owner: Any, atoms: dict[str, Any], known: Callable[[Any], str]) -> str:
    """One test for many entries of a dict."""
    values = tuple(atoms.values())
    get = known(operator.itemgetter(*atoms))
    return f"{get}({known(owner)}) == {known(values if len(values) > 1 else values[0])}"


def place_of(v: FreeVariable, known: Callable[[Any], str]) -> str:
    """A variable as an expression."""
    owner = known(v.owner)
    if v.kind == "entry":
        key = _key(v.key, known)
        return f"{owner}.get({key})" if isinstance(v.owner, dict) else f"{owner}[{key}]"
    if v.kind == "cell":
        return f"{owner}.cell_contents"
    if v.kind == "class":
        return f"vars({owner}).get({v.key!r})"
    if v.kind == "context":
        return f"{owner}.get({known(GONE)})"
    return f"{owner}.{v.key}"


def _contents_tests(
    v: FreeVariable, skipped: set[tuple[int, Any]], known: Callable[[Any], str]
) -> list[str]:
    nest, owner = v.owner, known(v.owner)
    keys, values = v.value
    if not isinstance(nest, dict):
        free = [i for i in range(len(values)) if (id(nest), i) in skipped]
        if not free:
            return [f"{known(same_items)}({owner}, {known(values)})"]
        rest = [i for i in range(len(values)) if i not in free]
        tests = [_test(f"{owner}[{i}]", values[i], known) for i in rest]
        return [f"len({owner}) == {len(values)}", *tests]
    entries = {k: x for k, x in zip(keys, values, strict=True) if (id(nest), k) not in skipped}
    if len(entries) == len(keys) > 12 and not all(is_kind(x, _ATOMS) for x in values):
        return [f"{known(same_entries)}({owner}, {known(keys)}, {known(values)})"]
    if (id(nest), "_title") in skipped:
        tests = [f"len({owner}) - ('_title' in {owner}) == {len(keys) - ('_title' in keys)}"]
    elif all(type(k) in (str, int, float, bool, tuple) for k in keys):
        tests = [f"tuple({owner}) == {known(tuple(keys))}"]  # in this order
    else:
        tests = [f"len({owner}) == {len(keys)}"]
    atoms = {k: x for k, x in entries.items() if type(k) is str and is_kind(x, _ATOMS)}
    for k, x in entries.items():
        if k not in atoms:
            tests.append(_test(f"{owner}.get({_key(k, known)})", x, known))
    if atoms:
        tests.append(_atoms_test(nest, atoms, known))
    return tests


def _key(key: Any, known: Callable[[Any], str]) -> str:
    return repr(key) if type(key) in (str, int) else known(key)


def same_value(a: Any, b: Any) -> bool:
    """Whether two numbers are the same to whatever is done with them."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.generic):
        return bool(a.dtype == b.dtype and a.tobytes() == b.tobytes())
    return bool(a == b) and (a != 0 or str(a) == str(b))  # 0.0 and -0.0 are two


def same_item(a: Any, b: Any) -> bool:
    """Whether one thing can stand for another: it is the same, or an equal number or text, or a
    tuple of such."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return same_items(a, b)
    return same_value(a, b) if isinstance(a, _NUMBERS) else isinstance(a, str | bytes) and a == b


def same_items(nest: Any, values: Sequence[Any]) -> bool:
    """Whether a list, a deque or a set holds what it held."""
    if len(nest) != len(values):
        return False
    return all(map(operator.is_, nest, values)) or all(map(same_item, nest, values))


def same_entries(nest: dict[Any, Any], keys: Sequence[Any], values: Sequence[Any]) -> bool:
    return same_items(nest, keys) and same_items(nest.values(), values)


def _snapshot(nest: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(nest, dict):
        return list(nest), list(nest.values())
    return [], list(nest)


def _is_of_a_trace(value: Any) -> bool:
    """Whether it was made while a function was traced, and has no part in other calls."""
    if not is_kind(value, Variable):
        return False
    return not is_kind(value, Tensor) or isinstance(value.value, Variable)


# ── what is whose ─────────────────────────────────────────────────────────────────────────────────


def is_user_code(f: Any) -> bool:
    """Whether a function, a class or a module is the user's: neither Python's own, nor of an
    installed package, nor ours. What those keep for themselves is theirs."""
    if isinstance(f, types.FunctionType):  # whose __module__ may be that of what it wraps
        name = f.__globals__.get("__name__")
        if f.__code__.co_filename.startswith("<doctest"):  # an example in a docstring
            return True
    else:
        name = f.__name__ if isinstance(f, types.ModuleType) else getattr(f, "__module__", None)
    return is_user_module(name if isinstance(name, str) else "")


@functools.lru_cache(1024)
def _is_installed(name: str, file: str) -> bool:
    return "-packages" in file or name.partition(".")[0] in sys.stdlib_module_names - {"__main__"}


def is_user_frame(frame: types.FrameType) -> bool:
    """Whether it is the user's code that runs there."""
    return is_user_module(frame.f_globals.get("__name__", ""))


def is_user_module(name: str) -> bool:
    if _root(name) in ("autobp", "numpy"):
        return _is_demo(name)
    if name.startswith("namedtuple_"):
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return not _is_installed(name, file)


def _root(name: str) -> str:
    return name.partition(".")[0]


def _is_demo(name: str) -> bool:
    return name.startswith("autobp.demos.")


def _is_ours(kind: type) -> bool:
    return _root(str(kind.__module__)) in ("autobp", "numpy")


def _is_module(kind: type) -> bool:
    return any(c.__name__ == "Module" and c.__module__ == "autobp.nn.module" for c in kind.__mro__)


def _is_open(kind: type) -> bool:
    """Whether the attributes of an object are the user's, wherever its class comes from: those of
    modules of ours that an installed package derives, and those of namespaces."""
    return kind.__name__ in ("SimpleNamespace", "Namespace") or any(map(_is_ours, kind.__mro__))


def _has_attributes(x: Any) -> bool:
    return hasattr(x, "__dict__") or bool(_slots(type(x)))


def _slots(kind: type) -> list[str]:
    found: dict[str, None] = {}
    for c in kind.__mro__:
        slots = vars(c).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot[:2] != "__":
                found[slot] = None
    return list(found)


def _is_named(v: FreeVariable) -> bool:
    """Whether a variable is but the name of a module, a function or a class, or leads to what is
    live, and so is no data."""
    value, kind = v.value, type(v.value)
    if v.key == "__code__" or (v.value is GONE and v.kind == "entry"):
        return v.key == "__code__"
    if is_kind(value, types.ModuleType) or hasattr(kind, "live_entries") or _is_module(kind):
        return True
    if is_kind(value, property | staticmethod | classmethod):
        return True
    return is_kind(value, (*_FUNCTIONS, type)) and getattr(value, "__name__", None) == v.key


def _key_text(key: Any) -> str:
    return f"{type(key).__name__}.{key.name}" if isinstance(key, enum.Enum) else repr(key)


def _summary(value: Any) -> Any:
    if value is GONE:
        return "not set"
    if is_kind(value, (int, float, complex, str, bytes, type(None), np.generic)):
        return value if not is_kind(value, str | bytes) or len(value) <= 200 else value[:200]
    if is_kind(value, np.ndarray):
        return value.copy() if value.size <= 100 else f"{value.dtype} of shape {value.shape}"
    if is_kind(value, Tensor):
        return f"Tensor of shape {value.shape}"
    if is_kind(value, _NESTS):
        return f"{type(value).__name__} of {len(value)}"
    if is_kind(value, (*_FUNCTIONS, type)):
        return getattr(value, "__name__", repr(value))
    if is_kind(value, enum.Enum | slice | range | np.dtype):
        return value
    return f"{type(value).__name__} object"
