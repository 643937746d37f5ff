"""Search: find the free variables of a function.

It follows the code: globals, cells and defaults, the functions that are called, the attributes and
entries of the objects that are met.

One walker serves two readers. `free_variables` is for programs: it leaves out what no program could
check. `reachable` is for checkpoints, which record all state.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import contextvars
import copy
import enum
import functools
import operator
import os
import random
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.trace.free_variables import (
    FUNCTIONS,
    GENERATORS,
    GONE,
    NESTS,
    NUMBERS,
    Found,
    FreeVariable,
    Places,
    attribute_of,
    attributes,
    elements,
    entries,
    has_identity,
    is_kind,
    is_live_kind,
    of_class,
)
from autobp.compiler.trace.handlers import suppressed
from autobp.lookups import globals_read
from autobp.owner import Owner, owner
from autobp.primitive import Variable
from autobp.tensor import Tensor
from autobp.tree import leaves, parts_of_values

__all__ = ["WRAPPERS", "Executed", "free_variables", "is_torchs_generator", "reachable", "slots_of"]

MANY = 1000  # entries of a nest; those of a larger one are neither listed nor checked, if not live

_METHODS = ("__call__", "forward", "step", "update")  # of modules and optimizers
_BUILTINS = frozenset(vars(builtins))
_BY_TEXT = {"getattr", "globals", "vars", "attrgetter", "itemgetter", "methodcaller", "__dict__"}
_OF_CLASSES = ("__class__", "__dict__", "__doc__", "__module__", "__qualname__")
_KEYS = (str, int, float, bool, tuple, enum.Enum, type(None))  # by which entries are found again

#: Values that lead nowhere else.
_PLAIN = {bool, int, float, complex, str, bytes, type(None)}
_FIRST, _SECOND = operator.itemgetter(0), operator.itemgetter(1)

#: Classes of Python's own whose objects have the attributes that the user gives them.
_NAMESPACES = {("types", "SimpleNamespace"), ("argparse", "Namespace"), ("_thread", "_local")}

#: Those whose objects have a nest as their one attribute.
WRAPPERS = (collections.UserDict, collections.UserList, collections.ChainMap)

#: What reads a file anew for each question.
_READERS = (np.lib.npyio.NpzFile,)

#: How the places begin whose names alone do not tell them from others.
_OUTSIDE = ("global of", "closure of", "default of")


class Executed(NamedTuple):
    """A call of a user's function that was seen while it ran."""

    code: types.CodeType
    variables: dict[str, Any]  # its globals
    locals: dict[str, Any]


def free_variables(
    function: Callable[..., Any], args: Any = (), executed: Iterable[Executed] = ()
) -> Found:
    """The variables that a function, and those that it calls, read from around them. Objects among
    its arguments, models and optimizers, are looked into as well."""
    search = _Search()
    search.visit(function, attribute_of(function, "__qualname__", "function"), "", False)
    for path, x in leaves(args, split=parts_of_values):
        if is_kind(x, GENERATORS):
            search.seen[id(x)] = x
        elif not is_kind(x, (*NUMBERS, str, bytes, type, types.ModuleType, np.ndarray, Tensor)):
            search.visit(x, f"argument{path}", "", True)
    for call in executed:
        search.executed(call)
    search.run()
    return search.result(_line(function))


def reachable(
    *stages: Mapping[str, Any], hidden: Mapping[int, tuple[str, ...]] | None = None
) -> list[Found]:
    """All that can be reached from named objects and functions, large nests and objects of unknown
    kinds too. What several stages reach is in the first of them. In another process the same objects
    are found in the same order, and so under the same names. `hidden` has attributes not to be looked
    into, by the ids of objects."""
    search = _Search(whole=True, hidden=hidden or {})
    found = []
    for roots in stages:
        start = len(search.variables), len(search.seen), len(search.iterators)
        for name, root in roots.items():
            search.visit(root, name, "", True)
        search.run()
        search.global_generators()
        found.append(search.result("", *start))
    return found


def _line(function: Any) -> str:
    while (inner := _inner(function)) is not function:
        function = inner
    call = of_class(type(function), "__call__")
    code = attribute_of(function, "__code__", None) or attribute_of(call, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def _inner(function: Any) -> Any:
    """The function that a wrapper calls."""
    if is_kind(function, functools.partial):
        return function.func
    if is_kind(function, types.MethodType):
        return function.__func__
    return (attributes(function) or {}).get("__wrapped__", function)


class _Kind(NamedTuple):
    """What a class tells of its objects."""

    slots: list[str]
    is_open: bool
    hides: bool  # they hold something where Python cannot look, as arrays of ctypes do
    is_live: bool
    has_live_entries: bool
    not_state: tuple[str, ...]

    @classmethod
    def of(cls, kind: type) -> _Kind:
        setter = of_class(kind, "__setitem__")
        return cls(
            slots_of(kind),
            _is_open(kind),
            is_kind(setter, types.WrapperDescriptorType) and not issubclass(kind, NESTS),
            is_live_kind(kind),
            of_class(kind, "live_entries") is not GONE,
            of_class(kind, "_not_state", ()),
        )


class _Search:
    def __init__(
        self, whole: bool = False, hidden: Mapping[int, tuple[str, ...]] | None = None
    ) -> None:
        self.whole = whole  # what no program could check is listed too
        self.hidden = hidden or {}
        self.variables: list[FreeVariable] = []
        self.codes: set[types.CodeType] = set()
        self.names: set[str] = {"forward"}  # that the code mentions
        self.seen: dict[int, Any] = {}  # objects that were looked into, kept alive for their ids
        self.paths: dict[int, str] = {}  # their names
        self.todo: collections.deque[tuple[Any, str, str, bool]] = collections.deque()
        self.kinds: dict[type, _Kind] = {}  # what is known of the classes of objects
        self.spaces: dict[
            int, tuple[Any, str, bool]
        ] = {}  # classes and modules to look up names in
        self.asked: set[tuple[int, str]] = set()  # what was looked up: ids, and names
        self.live: Places = set()  # entries that steps of an optimizer change
        self.iterators: list[tuple[Any, str]] = []

    def run(self) -> None:
        while True:
            while self.todo:
                self.look(*self.todo.popleft())
            before = len(self.asked)
            for space, path, live in list(self.spaces.values()):
                self.look_up(space, path, live)
            if not self.todo and len(self.asked) == before:
                return

    def result(self, line: str, variables: int = 0, objects: int = 0, iterators: int = 0) -> Found:
        """What was found since there were so many of each."""
        return Found(
            self.variables[variables:],
            self.codes,
            self.iterators[iterators:],
            self.live,
            dict(list(self.seen.items())[objects:]),
            line,
            names=self.paths,
        )

    def is_new(self, space: Any, name: str) -> bool:
        """Whether this is asked for the first time."""
        new = (id(space), name) not in self.asked
        self.asked.add((id(space), name))
        return new

    # ── places ────────────────────────────────────────────────────────────────────────────────────

    def add(
        self, kind: str, owner: Any, key: Any, value: Any, name: str, where: str, live: bool = False,
        **how: Any,
    ) -> None:  # fmt: skip
        self.variables.append(FreeVariable(kind, owner, key, value, name, where, live, **how))

    def found(
        self, kind: str, owner: Any, key: Any, value: Any, name: str, where: str, live: bool,
        **how: Any,
    ) -> None:  # fmt: skip
        """A place, and what is to be looked into because of what it holds."""
        if (id(owner), key) in self.live or _is_of_a_trace(value):
            return
        self.add(kind, owner, key, value, name, where, live, **how)
        self.visit(value, name, where, live)

    def visit(self, value: Any, name: str, where: str, live: bool) -> None:
        """Look into an object, once."""
        if is_kind(value, (*NUMBERS, str, bytes, np.ndarray, type(None))):
            return
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        self.paths[id(value)] = f"{name} ({where})" if where.startswith(_OUTSIDE) else name
        self.todo.append((value, name, where, live))

    def look(self, value: Any, name: str, where: str, live: bool) -> None:
        if type(value) in self.kinds and "__wrapped__" not in (attributes(value) or ()):
            self.members(value, name, live)  # one of many objects of a class
        elif is_kind(value, Tensor):
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
            self.function(value)
        elif is_kind(value, types.BuiltinFunctionType):  # perhaps a method, of a dict for example
            if not is_kind(value.__self__, types.ModuleType | type):
                self.visit(value.__self__, f"{name}.__self__", where, live)
        elif is_kind(value, weakref.ref):
            self.visit(value(), f"{name}()", where, live)
        elif is_kind(value, weakref.ProxyTypes):
            with contextlib.suppress(ReferenceError, AttributeError):
                self.visit(value.__init__.__self__, name, where, live)
        elif is_kind(value, NESTS):
            self.contents(value, name, where, live)
            self.members(value, name, live)
        elif is_kind(value, contextvars.ContextVar):
            now = value.get(GONE)
            self.found("context", value, "set", now, f"{name}.get()", where, False)
            with contextlib.suppress(LookupError):
                self.visit(
                    value.get(), f"{name}.get()", where, False
                )  # the default, if it is not set
        elif is_kind(value, types.ModuleType | type):
            self.spaces.setdefault(id(value), (value, name, live))
        elif value is os.environ or value is os.getenv:
            self.environment()
        elif is_kind(value, enum.Enum):
            self.visit(value._value_, f"{name}.value", where, live)
        elif is_kind(value, (*FUNCTIONS, slice, range, np.dtype, *GENERATORS, *_READERS)) or (
            self.whole and is_torchs_generator(value)
        ):
            return
        elif is_kind(value, _DESCRIPTORS):
            for f in _functions_of(value):
                self.visit(f, name, where, False)
            self.members(value, name, live)
        elif "__wrapped__" in (attributes(value) or ()):  # a compiled function, or a cached one
            self.visit(attribute_of(value, "__wrapped__"), name, where, live)
            if owner(type(value)) is Owner.USER:  # a decorator that is a class
                self.members(value, name, live)
        elif of_class(type(value), "__next__") is not GONE and attributes(value) is None:
            self.iterators.append((value, name))
        elif not self.members(value, name, live):
            if self.whole:
                self.add("opaque", value, None, value, name, where, live)
                self.given(value, name, where)
            elif live:
                self.equal(value, name, where)

    def given(self, x: Any, name: str, where: str) -> None:
        """What an object of an installed package was given, and calls or draws from: generators,
        functions and objects of the user's. What else it holds is its own."""
        todo, seen = collections.deque([(x, name)]), {id(x)}
        while todo and len(seen) < MANY:
            x, name = todo.popleft()
            if is_kind(x, NESTS) and len(x) <= MANY:
                pairs = entries(x) if is_kind(x, dict) else enumerate(elements(x))
                inner = [(f"{name}[{_key_text(k)}]", v) for k, v in pairs]
            elif owner(type(x)) is Owner.INSTALLED:
                inner = [(f"{name}.{k}", v) for k, v in (attributes(x) or {}).items()]
            else:
                continue
            for path, v in inner:
                whose = owner(v if is_kind(v, types.FunctionType) else type(v))
                if whose is Owner.USER or is_kind(v, GENERATORS) or is_torchs_generator(v):
                    self.visit(v, path, where, False)
                elif id(v) not in seen:
                    seen.add(id(v))
                    todo.append((v, path))

    def global_generators(self) -> None:
        """Those of the modules `random` and `numpy.random`, if the code may draw from them."""
        if id(random) in self.seen:
            self.visit(random._inst, "random", "", False)
        if id(np.random) in self.seen or (id(np) in self.seen and "random" in self.names):
            self.visit(np.random.mtrand._rand, "numpy.random", "", False)
        torch = sys.modules.get("torch")
        if torch is not None and (id(torch) in self.seen or self.has_torchs()):
            self.visit(attribute_of(torch, "default_generator", None), "torch.random", "", False)
        self.run()

    def has_torchs(self) -> bool:
        """Whether it has met an object of PyTorch's, which may draw unasked, as its DataLoader does."""
        kinds = {*map(type, self.seen.values())}
        return any(c.__module__[:6] == "torch." for kind in kinds for c in kind.__mro__)

    def equal(self, value: Any, name: str, where: str) -> None:
        """Of a live object that is not looked into, it is checked whether it equals a copy. What can
        be a key of a dict by its value never changes; what else there is, is listed."""
        kind = type(value)
        if not has_identity(kind):
            if kind.__hash__ is not None:
                return
            with suppressed():
                before = copy.deepcopy(value)
                if value == before:
                    self.add("equal", value, None, before, name, where, True)
                    return
        self.add("opaque", value, None, value, name, where)

    # ── functions ─────────────────────────────────────────────────────────────────────────────────

    def function(self, f: types.FunctionType) -> None:
        who = f.__qualname__.rpartition("<locals>.")[2]
        whose = owner(f)
        is_users = whose is Owner.USER
        for key, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                if self.whole and is_users:
                    self.add("cell", cell, key, GONE, key, f"closure of {who}")
                continue
            if whose.is_library:  # what it holds is its own, but for what the user gave it
                for _, x in leaves(value, split=parts_of_values):
                    self.visit(x, attribute_of(x, "__qualname__", key), "", False)
            elif whose is Owner.PYTHON and is_kind(value, weakref.WeakKeyDictionary):
                continue  # a cache, of singledispatch for example
            elif key != "__class__":  # a decorator of Python's own keeps things of no interest
                where = f"closure of {who}"
                self.found("cell", cell, key, value, key, where, False, is_listed=is_users)
        if not is_users:
            return
        self.code(f.__code__, f.__globals__)
        self.add("attribute", f, "__code__", f.__code__, f"{who}.__code__", "")
        place = f"default of {who}"
        by_position = f.__code__.co_varnames[: f.__code__.co_argcount]
        defaults = f.__defaults__ or ()
        named = dict(zip(by_position[len(by_position) - len(defaults) :], defaults))
        keywords = f.__kwdefaults__ or {}
        for which, held, values in (
            ("__defaults__", defaults, named),
            ("__kwdefaults__", keywords, keywords),
        ):
            if held:
                self.add("defaults", f, which, held, f"{who}.{which}", place)
            if held and is_kind(held, dict):
                self.contents(held, f"{who}.{which}", place, False)
            for name, value in values.items():
                self.add("default", f, name, value, name, place, checked=False)
                self.visit(value, name, place, False)
        mentioned = {*f.__code__.co_names, *f.__code__.co_freevars}
        if f.__dict__ or not mentioned.isdisjoint((f.__name__, "setattr")):
            self.contents(f.__dict__, who, f"attribute of {who}", False, attributes=True)

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
        looked_up = globals_read(code)
        missing = {n for n in looked_up if n not in variables and n not in _BUILTINS}
        for name in dict.fromkeys(n for n in names if n in looked_up):
            if (id(variables), name) in self.asked:
                continue
            value = variables.get(name, GONE)
            if value is not GONE or name in missing:
                self.asked.add((id(variables), name))
                self.found("entry", variables, name, value, name, where, False, is_global=True)
            space = vars(builtins)
            if name in missing and name in space:
                held = space[name]
                self.found("entry", space, name, held, name, "builtins", False, is_global=True)
        if variables.get("os") is os and {"environ", "getenv"} & set(names):
            self.environment()

    def executed(self, call: Executed) -> None:
        """A function that was met while another ran, and that no search had found."""
        self.code(call.code, call.variables)
        for name, value in call.locals.items():
            if not is_kind(value, NESTS):
                self.visit(value, name, f"argument of {call.code.co_name}", False)

    def environment(self) -> None:
        if self.is_new(os.environ, "environ"):
            data = os.environ._data  # type: ignore[attr-defined]
            self.add("environment", data, None, dict(data), "os.environ", "environment")

    # ── objects ───────────────────────────────────────────────────────────────────────────────────

    def members(self, x: Any, name: str, live: bool) -> bool:
        """The attributes of an object, and the methods of its class that may be called. Whether it
        is an object that is looked into."""
        kind, own = type(x), attributes(x)
        known = self.kinds.get(kind) or _Kind.of(kind)
        if (
            (own is None and not known.slots)
            or not (known.is_open or (self.whole and (kind in WRAPPERS or _holds_numbers(x))))
            or (known.hides and (live or self.whole))
        ):
            return False
        if known.is_open and not known.hides and not is_kind(x, (*NESTS, *_DESCRIPTORS)):
            self.kinds[kind] = known
        live = live or known.is_live
        if known.has_live_entries:
            self.live |= {(id(nest), key) for nest, key in x.live_entries()}
            self.add("optimizer", x, None, x, name, "", True)
        where = f"attribute of {name}"
        if is_kind(x, threading.local) and not self.whole:  # each thread has attributes of its own
            self.add(
                "attribute", x, "__dict__", own, f"{name}.__dict__", where, live, is_listed=False
            )
        if own is not None:
            hidden = (*known.not_state, *self.hidden.get(id(x), ()))
            self.contents(own, name, where, live, attributes=True, hidden=hidden)
        for slot in known.slots:
            value = attribute_of(x, slot)
            if value is not GONE:
                self.found("attribute", x, slot, value, f"{name}.{slot}", where, live)
        if live:
            self.add("type", x, None, kind, name, "", True)
            for c in kind.__mro__:
                methods = {n: vars(c)[n] for n in _METHODS if n in vars(c)}
                if methods and self.is_new(c, "methods"):
                    self.add("methods", c, None, methods, name, "", True)
        self.spaces.setdefault(id(kind), (kind, kind.__name__, False))
        return True

    def contents(
        self, nest: Any, name: str, where: str, live: bool, attributes: bool = False,
        hidden: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """What a list, a dict, a set holds, or an object in its dict of attributes."""
        is_dict = is_kind(nest, dict)
        size = len(nest)
        if not (live or self.whole or size <= MANY):
            return
        pairs = entries(nest) if is_dict else []
        keys, values = (
            ([*map(_FIRST, pairs)], [*map(_SECOND, pairs)]) if is_dict else ([], elements(nest))
        )
        if not is_kind(nest, tuple | frozenset):
            self.add("contents", nest, hidden, (keys, values), name, where, live)
            self.live |= {(id(nest), key) for key in hidden}
        if (
            self.whole
            and _PLAIN.issuperset(map(type, values))
            and _PLAIN.issuperset(map(type, keys))
        ):
            return  # a checkpoint holds them with the nest
        if is_dict:
            for key, value in pairs:
                if key in hidden or (self.whole and type(key) in _PLAIN and _is_plain(value)):
                    continue
                inner = f"{name}.{key}" if attributes else f"{name}[{_key_text(key)}]"
                place = where if attributes else f"entry of {name}"
                if is_kind(key, _KEYS):
                    self.found("entry", nest, key, value, inner, place, live, checked=False)
                else:
                    self.visit(key, f"a key of {name}", place, live)
                    self.visit(value, inner, place, live)
            return
        ordered = is_kind(nest, list | tuple | collections.deque)
        kind = "entry" if is_kind(nest, list | collections.deque) else "fixed"
        place = f"entry of {name}" if ordered else where
        for i, value in enumerate(values):
            if self.whole and _is_plain(value):
                continue
            key, inner = (i, f"{name}[{i}]") if ordered else (None, f"an element of {name}")
            self.found(kind, nest, key, value, inner, place, live, checked=False)

    def look_up(self, space: Any, path: str, live: bool) -> None:
        """Names that the code mentions, in a class or a module of the user's."""
        whose = owner(space)
        if is_kind(space, types.ModuleType):
            if whose.is_library or space is os:
                return
            idle = (*FUNCTIONS, types.ModuleType, type, *NUMBERS)  # in what the user did not write
            where, held = f"global of module {space.__name__}", vars(space)
            for name, value in list(held.items()):
                if name not in self.names or (whose is not Owner.USER and is_kind(value, idle)):
                    continue
                if self.is_new(held, name):
                    full = f"{path}.{name}"
                    self.found("entry", held, name, value, full, where, live, is_global=True)
            return
        for kind in (*space.__mro__, *type(space).__mro__):
            if owner(kind) is not Owner.USER:
                continue
            where = f"attribute of class {kind.__name__}"
            for name, value in list(vars(kind).items()):
                called = name[:2] == "__" and is_kind(value, types.FunctionType)
                if name in _OF_CLASSES or (name not in self.names and not called):
                    continue
                if called and value.__code__.co_filename == "<string>":
                    continue  # what a dataclass has
                if self.is_new(kind, name):
                    full = f"{kind.__name__}.{name}"
                    self.found("class", kind, name, value, full, where, is_live_kind(kind))


#: Attributes of classes that call functions, and have no state of their own.
_DESCRIPTORS = (property, staticmethod, classmethod, functools.cached_property)


def _functions_of(x: Any) -> tuple[Any, ...]:
    """The functions behind an attribute of a class."""
    if is_kind(x, property):
        return x.fget, x.fset, x.fdel
    return (x.__func__ if is_kind(x, (staticmethod, classmethod)) else x.func,)


def _is_plain(value: Any) -> bool:
    """Whether a value, or each value of a tuple, leads nowhere else."""
    kind = type(value)
    return kind in _PLAIN or (kind is tuple and _PLAIN.issuperset(map(type, value)))


def _is_of_a_trace(value: Any) -> bool:
    """Whether it was made while a function was traced, and has no part in other calls."""
    if not is_kind(value, Variable):
        return False
    return not is_kind(value, Tensor) or isinstance(value.value, Variable)


def _is_open(kind: type) -> bool:
    """Whether the attributes of an object are the user's: the class is, or it is a namespace, or
    one of the library's, or an installed package has derived it from one of those."""
    return (
        owner(kind) is Owner.USER
        or (kind.__module__, kind.__name__) in _NAMESPACES
        or any(owner(c).is_library for c in kind.__mro__)
    )


def _holds_numbers(x: Any) -> bool:
    """Whether an object of an installed package has nothing but numbers, texts and arrays of numbers,
    as the sparse matrices of SciPy."""
    own = attributes(x) or {}
    return (
        len(own) > 0
        and owner(type(x)) is Owner.INSTALLED
        and all(
            _is_plain(v) or (type(v) is np.ndarray and v.dtype.kind in "biuf") for v in own.values()
        )
    )


def is_torchs_generator(x: Any) -> bool:
    """Whether it is a generator of PyTorch's, which is not imported for the question."""
    kind = type(x)
    return kind.__name__ == "Generator" and kind.__module__ == "torch._C"


def slots_of(kind: type) -> list[str]:
    """The slots of a class and its bases, under the names by which attributes are read."""
    found: dict[str, None] = {}
    for c in kind.__mro__:
        if "__slots__" in vars(c):
            slots = (k for k, v in vars(c).items() if is_kind(v, types.MemberDescriptorType))
            found.update(dict.fromkeys(slots))
    return list(found)


def _key_text(key: Any) -> str:
    if isinstance(key, enum.Enum):
        return f"{type(key).__name__}.{key.name}"
    shape = getattr(key, "shape", None)  # all numbers of an array would be a long text
    return repr(key) if shape is None else f"{type(key).__name__} of shape {shape}"
