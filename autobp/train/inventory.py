"""Inventory: where a training keeps state, besides the values of parameters.

The places are those that the compiler's search finds: attributes of objects, variables in closures
and modules, what lists and dicts hold, generators of random numbers. They are known by the names that
they have when the training begins, which are the same in the process that goes on with it.
"""

from __future__ import annotations

import array
import collections
import enum
import functools
import hashlib
import io
import json
import operator
import random
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autobp import nn, optim
from autobp.compiler.trace.free_variables import (
    GONE,
    Found,
    FreeVariable,
    attribute_of,
    attributes,
    elements,
    entries,
    is_kind,
    of_class,
    same_item,
)
from autobp.compiler.trace.search import WRAPPERS, is_torchs_generator, reachable, slots_of
from autobp.in_place import overwrite
from autobp.owner import Owner, owner
from autobp.tensor import Tensor, kept_grad
from autobp.train.fingerprint import UNSEEN, fingerprint
from autobp.train.frames import frame_of, frame_parts, is_frame, write_frame
from autobp.train.memory import Area, hull, together, view_within
from autobp.train.values import are_plain, can_be_new, new, subclass, value_form, value_of
from autobp.tree import leaves

__all__ = ["Inventory", "Saved"]

Record = list[Any]

_ATOMS = (bool, int, float, str, type(None))
_SMALL = 1 << 20  # bytes of an array that is saved even if it is not known to have changed
_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
_DRAWN = (*_GENERATORS, np.random.SeedSequence)
_NAMED = (types.FunctionType, types.BuiltinFunctionType, type, np.ufunc, type(np.sum))
_PLACES = ("cell", "attribute", "class", "context", "defaults")
_LOST = object()  # what the file does not hold: what is there stays
_DATA = (
    np.ndarray, array.array, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, memoryview,
    io.StringIO, io.BytesIO,
)  # fmt: skip
_QUEUES = ("queue", "_queue", "asyncio.queues", "multiprocessing.queues")
_MUTABLE = (list, dict, set, collections.deque, bytearray)
_PYTHONS = (collections.OrderedDict, collections.Counter, collections.defaultdict)

#: Further classes whose objects a callback keeps for what they say or do.
_VALUES = (types.FunctionType, re.Pattern, BaseException)


class StrangeError(ValueError):
    """A record is of something that this training does not have."""


@dataclass
class Saved:
    """State as it was at one time: records in a form that a checkpoint holds."""

    records: dict[str, Record] = field(default_factory=dict)
    #: What could not be recorded, with a text that changes when it does.
    unknown: dict[str, str] = field(default_factory=dict)
    #: Names in the records of objects that the training has made, by their ids.
    made: dict[int, str] = field(default_factory=dict)


class Inventory:
    """The state of a training: `take` records it and `put` puts it back, in this process or in
    another that has begun in the same way.

    >>> from autobp.train.inventory import Inventory
    >>> class Counter:
    ...     def __init__(self):
    ...         self.calls, self.seen = 0, []
    ...     def __call__(self, x):
    ...         self.calls += 1
    ...         self.seen.append(x)
    >>> count = Counter()
    >>> inventory = Inventory({"model": count})
    >>> count(1.5)
    >>> taken = inventory.take()
    >>> count(2.5)
    >>> inventory.put(taken.records)
    []
    >>> count.calls, count.seen
    (1, [1.5])
    """

    def __init__(
        self,
        needed: Mapping[str, Any],
        others: Mapping[str, Any] | None = None,
        hidden: Sequence[tuple[Any, tuple[str, ...]]] = (),
    ) -> None:
        """What the training depends on, and what else may have a state: callbacks, for example.
        `hidden` are attributes that somebody else sees to."""
        self._roots = needed, others or {}
        self._others = hidden
        self._hidden = {id(x): ("_scratch", *names) for x, names in hidden}
        #: By the ids of the dicts of attributes.
        self.unrecorded: dict[int, tuple[str, ...]] = {
            id(attributes(x)): self._hidden[id(x)] for x, _ in hidden
        }
        self._names: dict[int, str] = {}
        self._objects: dict[str, Any] = {}  # by their names, which keeps the ids theirs
        #: By the names in the records, objects that the training had made and that `put` has made anew.
        self.remade: dict[str, Any] = {}
        #: Names of what `put` had no place for, and on which no training depends.
        self.dropped: list[str] = []
        #: Methods of classes and code of functions, as they were first seen.
        self.code: dict[tuple[int, str], Any] = {}
        self._begun: dict[str, str] = {}  # digests of what is saved only if it has changed
        stages = self._reachable()
        for found in stages:
            self._name(found)
        self._kinds = [type(x) for x in self._objects.values()]
        core = stages[0]
        #: Leaf Tensors and generators that the model, the loss or the schedule reach, by name.
        self.tensors: dict[str, Tensor] = {}
        self.generators: dict[str, Any] = {}
        for x in core.objects.values():
            if is_kind(x, Tensor) and x.is_leaf:
                self.tensors[self._names[id(x)]] = x
            elif is_kind(x, _GENERATORS):
                self.generators[self._names[id(x)]] = x
        #: Places of arrays that live objects hold: averages that a module keeps, for example.
        self.arrays: list[FreeVariable] = [
            v
            for v in core.variables
            if v.live and v.kind in ("entry", "attribute") and _is_numbers(v.value)
        ]

    def _reachable(self) -> list[Found]:
        return reachable(*self._roots, hidden=self._hidden)

    def _name(self, found: Found) -> None:
        def known(x: Any, name: str) -> None:
            if id(x) not in self._names:
                unique, k = name, 2
                while unique in self._objects:
                    unique, k = f"{name} #{k}", k + 1
                self._names[id(x)], self._objects[unique] = unique, x

        for x in found.objects.values():
            known(x, found.names[id(x)])
        for v in found.variables:
            if v.owner is not None:
                known(v.owner, _owner_name(v))
            if is_kind(v.value, np.ndarray):
                known(v.value, v.name if v.live else f"{v.name} ({v.where})")

    def begin(self) -> dict[str, str]:
        """Note what there is now: of constants around the training, a record has those alone that
        differ from it. Returns the fingerprints of what cannot be recorded."""
        taking = _Taking(self, everything=True)
        taking.take(self._reachable())
        self._begun = {name: _digest(taking.records[name]) for name in taking.watched}
        return taking.unknown

    def name_of(self, x: Any) -> str | None:
        """The name of an object that was there when the training began."""
        return self._names.get(id(x))

    def take(
        self,
        everything: bool = False,
        without: Collection[int] = (),
        zeroed: Collection[int] = (),
    ) -> Saved:
        """A record of the state. Of variables that no object of the training holds, constants of a
        module for example, it has those alone that have changed, unless it is to have everything.
        `without` are ids of Tensors whose values are kept elsewhere, `zeroed` of those whose gradients
        are forgotten before the next step."""
        taking = _Taking(self, everything, without, zeroed)
        taking.take(self._reachable())
        return Saved(
            taking.records, taking.unknown, {i: name for i, (name, _) in taking.fresh.items()}
        )

    def put(self, records: Mapping[str, Record], check_only: bool = False) -> list[str]:
        """Put back what was recorded, and return the names of what has no place here. If something
        does not fit, nothing is changed."""
        putting = _Putting(self, records)
        if check_only:
            return putting.missing
        self.dropped = putting.dropped
        self.remade = {name: x for name, x in putting.made.items() if name.startswith("new ")}
        return putting.put()

    # what the two halves ask

    def named(self) -> Iterator[tuple[str, Any]]:
        """The objects that were there when the training began."""
        return iter(self._objects.items())

    def hidden_arrays(self) -> list[Any]:
        """Arrays in what somebody else sees to."""
        held = [attribute_of(x, name) for x, names in self._others for name in names]
        return [x for nest in held for _, x in leaves(nest) if is_kind(x, np.ndarray)]

    def object(self, name: str) -> Any:
        return self._objects.get(name, GONE)

    def reclassed(self) -> list[str]:
        """Objects whose class has been replaced since the beginning."""
        known = zip(self._objects.items(), self._kinds, strict=True)
        return [name for (name, x), kind in known if type(x) is not kind]

    def is_changed(self, name: str, record: Record) -> bool:
        return self._begun.get(name) != _digest(record)

    def classes(self) -> dict[str, type]:
        """Those of the objects that are known, our own modules and Python's wrappers of dicts and
        lists: no other is made by a file."""
        kinds = {type(x) for x in self._objects.values()}
        kinds |= {x for x in self._objects.values() if isinstance(x, type)}
        kinds.update(WRAPPERS, (types.SimpleNamespace,))
        for module in (nn, optim):  # a model may grow, and have a schedule from then on
            kinds |= {x for x in vars(module).values() if isinstance(x, type)}
        return {_class_name(kind): kind for kind in kinds}


def _owner_name(v: FreeVariable) -> str:
    if v.is_global:
        return v.where
    if v.kind in ("class", "methods"):
        return f"class {_class_name(v.owner)}"
    if v.kind in ("cell", "context"):
        return f"{v.name} ({v.where})"
    if v.kind == "contents" and v.where == f"attribute of {v.name}":
        return f"{v.name}.__dict__"
    return f"{v.name.rpartition('.')[0]} ({v.where})" if v.kind in _PLACES else v.name


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_numbers(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype.kind in "biuf"


def _digest(record: Record) -> str:
    text = json.dumps(record, default=_digest_part, check_circular=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _digest_part(x: Any) -> Any:
    """What stands for a part that JSON does not know."""
    if is_kind(x, np.ndarray):
        return [x.dtype.str, x.shape, hashlib.blake2b(x.tobytes(), digest_size=16).hexdigest()]
    return [type(x).__name__, repr(x)]


# ── taking ────────────────────────────────────────────────────────────────────────────────────────


class _Taking:
    def __init__(
        self,
        inventory: Inventory,
        everything: bool,
        without: Collection[int] = (),
        zeroed: Collection[int] = (),
    ) -> None:
        self.inventory = inventory
        self.everything = everything
        self.without = without
        self.zeroed = zeroed
        self.records: dict[str, Record] = {}
        self.unknown: dict[str, str] = {}
        self.fresh: dict[int, tuple[str, Any]] = {}  # objects that were not there at the beginning
        self.todo: collections.deque[tuple[Any, str, bool]] = collections.deque()
        self.done: set[str] = set()
        self.core = True
        self.classes: dict[str, type] | None = None  # found when they are needed
        self.paths: dict[str, str] = {}  # where the objects are, by their names in the records
        self.drawn: set[int] = set()  # ids of the generators, which are saved wherever they are
        self.watched: list[str] = []  # names of records that are needed only if they have changed

    def take(self, stages: list[Found]) -> None:
        objects = [x for found in stages for x in found.objects.values()]
        self.drawn = {id(x) for x in objects if _is_drawn(x)}
        for found in stages:
            for v in found.variables:
                if v.kind == "contents" and is_kind(v.owner, _MUTABLE):
                    self.met(v.owner, _path(v), v.live)
                elif v.kind == "opaque":
                    self.opaque(v.owner, v.name, v.live)
                elif v.kind == "environment":
                    self.unknown[v.name] = fingerprint(v.value)
                elif v.key == "__code__" and v.kind == "attribute":
                    self.replaced(v.name, v.owner, v.value)
                elif v.is_global or (v.kind in _PLACES and v.key != "__code__"):
                    self.place(v)
                if is_kind(v.value, np.ndarray) and v.kind != "equal":
                    self.met(v.value, _path(v), v.live)
            for x in found.objects.values():
                if _is_drawn(x) or (is_kind(x, Tensor) and x.is_leaf):
                    self.met(x, found.names[id(x)], True)
            for iterator, name in found.iterators:
                self.opaque(iterator, name, True)
            while self.todo:
                self.record(*self.todo.popleft())
            self.core = False
        self.share()
        self.unknown |= {f"{name}.__class__": UNSEEN for name in self.inventory.reclassed()}

    def met(self, x: Any, path: str, live: bool) -> None:
        if self.inventory.name_of(x) is not None or self.can_be_made(x):
            self.todo.append((x, path, live))  # if not, the place that holds it is named

    def keep(self, name: str, record: Record, always: bool) -> None:
        if not always:
            self.watched.append(name)
        if self.everything or always or self.inventory.is_changed(name, record):
            self.records[name] = record

    def lose(self, path: str, x: Any) -> list[Any]:
        """What cannot be recorded is noted, if the training depends on it; of what callbacks and
        metrics hold, what they may read from, and not their bars, connections and clients."""
        text = fingerprint(x, self.drawn - {id(x)})
        if self.core or _is_read(x) or (_is_written(x) and text != UNSEEN):
            self.unknown.setdefault(path, text)
        return ["lost"]

    def share(self) -> None:
        """Say of arrays that the training made where they lie in the memory of others."""
        made = {
            name: x
            for name, x in self.fresh.values()
            if name in self.records
            and (is_kind(x, np.ndarray) or (is_kind(x, Tensor) and x.is_leaf))
        }
        if not made:
            return
        kept = [(name, x) for name, x in self.inventory.named() if is_kind(x, np.ndarray | Tensor)]
        kept += [("", x) for x in self.inventory.hidden_arrays()]
        for group in together([Area.of(*item) for item in (*kept, *made.items())]):
            loose = []
            for area in (a for a in group if a.name in made):
                homes = [a for a in group if a.name not in made and a.overlaps(area)]
                home = next((a for a in homes if a.name and a.holds(area)), None)
                if home is not None:
                    self.records[area.name].append(area.within(home))
                elif homes:
                    self.unknown[self.paths[area.name]] = UNSEEN
                else:
                    loose.append(area)
            if len(loose) < 2:
                continue
            whole = hull(f"new memory {len(self.records)}", loose)
            if whole.high - whole.low > _SMALL + 4 * sum(a.array.nbytes for a in loose):
                self.unknown |= {self.paths[a.name]: UNSEEN for a in loose}
                continue
            self.records[whole.name] = ["array", "numpy", "numpy.ndarray", False, whole.array]
            for area in loose:
                self.records[area.name].append(area.within(whole))

    # ── places ────────────────────────────────────────────────────────────────────────────────────

    def place(self, v: FreeVariable) -> None:
        owner = self.inventory.name_of(v.owner)
        if owner is None and is_kind(v.owner, type):
            return  # of a class that the training made
        if owner is None:  # an object that the training made
            if v.kind != "attribute":
                return
            owner = self.reference(v.owner, v.name)[1]
        name = f"{owner} . {v.key}"
        if name in self.done:
            return
        self.done.add(name)
        value = _function_of(v.value) if v.kind == "class" else v.value
        if value is not v.value:  # a method
            self.replaced(v.name, v.owner, v.value)
            return
        form = ["gone"] if value is GONE else self.form(value, _path(v), v.live)
        kind = "global" if v.is_global else v.kind
        self.keep(name, ["place", kind, owner, v.key, form, self.core], v.live)

    def replaced(self, name: str, owner: Any, value: Any) -> None:
        """A file holds no code: that of a function or a class is named if it is another one."""
        first = self.inventory.code.setdefault((id(owner), name), value)
        if first is not value:
            self.unknown[name] = UNSEEN

    def opaque(self, x: Any, path: str, live: bool) -> None:
        if is_kind(x, (np.random.BitGenerator, np.random.SeedSequence, bytearray)) or is_frame(x):
            self.todo.append((x, path, live))
        elif value_form(x) is None:  # the place where it stands holds its form
            self.lose(path, x)

    # ── objects ───────────────────────────────────────────────────────────────────────────────────

    def reference(self, x: Any, path: str, live: bool = True) -> list[Any]:
        name = self.inventory.name_of(x)
        if name is None:
            if id(x) not in self.fresh:
                self.fresh[id(x)] = f"new {len(self.fresh)}", x
                self.todo.append((x, path, True))
            name = self.fresh[id(x)][0]
        return ["ref", name]

    def record(self, x: Any, path: str, live: bool) -> None:
        name = self.inventory.name_of(x) or self.reference(x, path)[1]
        if name in self.done:
            return
        self.done.add(name)
        self.paths[name] = path
        new = name.startswith("new ")
        always = new or live
        content: list[Any]
        if is_kind(x, np.ndarray):
            if x.dtype.hasobject:
                self.lose(path, x)
                return
            kind, content = "array", [np.array(x.view(np.ndarray), copy=True, order="K")]
            always = always or x.nbytes <= _SMALL
        elif is_kind(x, Tensor):
            if not is_kind(x.value, (float, np.ndarray, np.generic)):
                self.lose(path, x)
                return
            hooks = [self.form(h.call, f"a hook of {path}", live) for h in x.hooks]
            value = None if id(x) in self.without else x.numpy()
            kept = None if id(x) in self.zeroed else kept_grad(x)
            grad = None if kept is None else np.array(kept)
            kind, content = "tensor", [value, x.requires_grad, grad, hooks, x.is_leaf]
        elif is_kind(x, random.SystemRandom):  # which has no state
            return
        elif _is_drawn(x):
            kind, content, always = "generator", [_class_name(type(x)), *_drawn(x)], True
        elif is_kind(x, dict):
            kept_elsewhere = self.inventory.unrecorded.get(id(x), ())
            kind, content = "dict", [self.entries(x, path, live, kept_elsewhere)]
        elif is_kind(x, set):
            kind, content = "set", [_sorted([self.form(v, path, live) for v in elements(x)])]
        elif is_kind(x, bytearray):
            kind, content = "bytearray", [bytes(x).hex()]
        elif is_frame(x):
            parts = frame_parts(x)
            if parts is None:
                self.lose(path, x)
                return
            kind, content = "frame", [parts]
        elif is_kind(x, list | collections.deque):
            forms = held = elements(x)
            if not are_plain(held):
                forms = [self.form(v, f"{path}[{i}]", live) for i, v in enumerate(held)]
            kind, content = ("list" if is_kind(x, list) else "deque"), [forms]
        else:  # an object of a class that may be made again, whose attributes are in a dict
            kind = "object"
            own = attributes(x)
            content = [None if own is None else self.reference(own, f"{path}.__dict__")]
        head = [kind, type(x).__module__, _class_name(type(x))] if new else [kind, "", ""]
        if new and is_kind(x, collections.deque):
            head[1] = x.maxlen
        elif new and is_kind(x, collections.defaultdict):
            head[1] = self.form(x.default_factory, path, live)
        self.keep(name, [*head, self.core, *content], always)
        nest = new and is_kind(x, _MUTABLE)
        if is_kind(x, np.memmap):  # whose attributes are those of its file
            return
        if (nest or is_kind(x, (np.ndarray, *_DRAWN))) and (own := attributes(x)):  # of a subclass
            entries = self.entries(own, f"{path}.__dict__", live)
            self.keep(f"{name}.__dict__", ["attributes", "", "", self.core, name, entries], always)

    def entries(
        self, x: dict[Any, Any], path: str, live: bool, lost: Collection[str] = ()
    ) -> list[list[Any]]:
        pairs = entries(x)
        if not lost and are_plain([v for pair in pairs for v in pair]):
            return [*map(list, pairs)]
        return [
            [k, ["lost"]]
            if type(k) is str and k in lost
            else [self.form(k, path, live), self.form(v, _entry_path(path, k), live)]
            for k, v in pairs
        ]

    # ── values ────────────────────────────────────────────────────────────────────────────────────

    def form(self, x: Any, path: str, live: bool) -> Any:
        """A value as a checkpoint holds it; a list begins with what kind of value it is."""
        kind = type(x)
        if kind in _ATOMS and kind is not int:
            return x
        if (value := value_form(x)) is not None:
            return value
        if kind is int:
            return x
        if kind is tuple and are_plain(x):
            return ["tuple", *x]
        if self.inventory.name_of(x) is not None:
            if is_kind(x, Tensor | np.ndarray):
                self.todo.append((x, path, live))
            elif _remembers(x):
                self.lose(path, x)
            return self.reference(x, path)
        if kind is complex:
            return ["complex", x.real, x.imag]
        if kind is bytes:
            return ["bytes", x.hex()]
        if is_kind(x, np.generic) and not x.dtype.hasobject:
            return ["number", np.asarray(x)]
        if x is Ellipsis or x is NotImplemented:
            return ["constant", repr(x)]
        if kind is slice or kind is range:
            return [kind.__name__, *(self.form(p, path, live) for p in (x.start, x.stop, x.step))]
        if is_kind(x, np.dtype) and not x.hasobject and x.names is None:
            return ["dtype", x.str]
        if is_kind(x, enum.Enum):
            part = x.value if is_kind(x, enum.Flag) else x.name  # A | B has a value alone
            return ["enum", _class_name(kind), self.form(part, path, live)]
        if is_kind(x, tuple | frozenset):
            parts = [self.form(v, f"{path}[{i}]", live) for i, v in enumerate(elements(x))]
            if kind is frozenset:
                return ["frozenset", _sorted(parts)]
            if kind is tuple:
                return ["tuple", *parts]
            return self.named(x, parts, path, live)
        if is_kind(x, _NAMED):
            home, name = getattr(x, "__module__", None), getattr(x, "__qualname__", x.__name__)
            if is_kind(x, np.ufunc):
                home, name = "numpy", x.__name__
            return ["name", home, name] if _named(home, name) is x else self.lose(path, x)
        if is_kind(x, types.ModuleType):
            same = sys.modules.get(x.__name__) is x
            return ["module", x.__name__] if same else self.lose(path, x)
        if is_kind(x, types.MethodType):
            return ["method", self.form(x.__self__, path, live), x.__func__.__name__]
        if is_kind(x, functools.partial):
            parts = [self.form(p, path, live) for p in (x.func, tuple(x.args), dict(x.keywords))]
            return ["partial", *parts]
        if _is_drawn(x) or is_kind(x, (Tensor, np.ndarray, *_MUTABLE)):
            plain = self.can_be_made(x)
            return self.reference(x, path) if plain else self.lose(path, x)
        if is_frame(x) or (self.is_known(kind) and _is_plain_object(x)):
            self.todo.append((x, path, live))
            return self.reference(x, path)
        return self.lose(path, x)

    def named(self, x: Any, parts: list[Any], path: str, live: bool) -> list[Any]:
        """The form of a tuple of a class with names for its elements."""
        kind = type(x)
        if _is_sequence_of_c(kind):  # with elements that only have names
            _, (_, others) = x.__reduce__()
            return ["fields", _class_name(kind), ["tuple", *parts], self.form(others, path, live)]
        found = self.is_known(kind) or _named(kind.__module__, kind.__qualname__) is kind
        if not found or attributes(x) or not is_kind(x, tuple) or not can_be_new(kind, tuple):
            return self.lose(path, x)
        return ["named", _class_name(kind), *parts]

    def is_known(self, kind: type) -> bool:
        """Whether a training that goes on makes objects of a class."""
        if self.classes is None:
            self.classes = self.inventory.classes()
        return self.classes.get(_class_name(kind)) is kind

    def can_be_made(self, x: Any) -> bool:
        """Whether one like it could be made anew: of a generator's subclass, it could not."""
        kind = type(x)
        if is_kind(x, np.ndarray):
            found = _array_class(kind.__module__, _class_name(kind))
            return not x.dtype.hasobject and found in (kind, np.ndarray)
        if is_torchs_generator(x):
            return True
        if is_kind(x, _DRAWN):
            return kind in (random.Random, getattr(np.random, kind.__name__, None))
        if is_kind(x, Tensor):
            return kind is Tensor
        base = _base(kind)
        return kind is base or (
            (kind in _PYTHONS or self.is_known(kind)) and can_be_new(kind, base)
        )


def _path(v: FreeVariable) -> str:
    return v.name if v.live or not v.where else f"{v.name} ({v.where})"


def _entry_path(path: str, key: Any) -> str:
    if path.endswith(".__dict__"):
        return f"{path.removesuffix('__dict__')}{key}"
    return f"{path}.{key}" if type(key) is str and key.isidentifier() else f"{path}[{key!r:.40}]"


def _sorted(forms: list[Any]) -> list[Any]:
    return sorted(forms, key=lambda form: json.dumps(form, default=repr))


def _is_drawn(x: Any) -> bool:
    return is_kind(x, _DRAWN) or is_torchs_generator(x)


def _drawn(x: Any) -> list[Any]:
    """The state of a generator, and how many others were spawned from it."""
    if is_torchs_generator(x):
        return [[str(x.device), x.get_state().numpy().copy()], 0]
    if is_kind(x, random.Random):
        return [x.getstate(), 0]
    if is_kind(x, np.random.RandomState):
        return [x.get_state(legacy=False), 0]
    if is_kind(x, np.random.SeedSequence):
        return [x.state, x.n_children_spawned]
    bits = x if is_kind(x, np.random.BitGenerator) else x.bit_generator
    return [bits.state, getattr(bits.seed_seq, "n_children_spawned", 0)]


def _remembers(x: Any) -> bool:
    """Whether a function, which is known by its name, has a state: it caches, or it is the
    `__next__` of an iterator."""
    bound = is_kind(x, (types.BuiltinFunctionType, types.MethodWrapperType))
    caches = attribute_of(x, "cache_info") is not GONE
    return caches or (bound and of_class(type(x.__self__), "__next__") is not GONE)


def _is_read(x: Any) -> bool:
    """Whether an object gives something that depends on what was taken from it before. Of a file
    that is only written, the fingerprint never changes."""
    kind = type(x)
    return (
        issubclass(kind, _DATA)
        or of_class(kind, "__next__") is not GONE
        or kind.__module__ in _QUEUES
        or owner(kind) in (Owner.USER, Owner.AUTOBP)
        or issubclass(kind, _VALUES)
        or (is_kind(x, types.BuiltinFunctionType | types.MethodWrapperType) and _remembers(x))
    )


def _is_written(x: Any) -> bool:
    """Whether an object holds data that a program may write to and read again, such as the frames of
    pandas and the modules of PyTorch; or it is a file, whose changes cannot be seen."""
    names = "__array__", "__setitem__", "state_dict"
    return any(of_class(type(x), name) is not GONE for name in names)


def _base(kind: type) -> Any:
    """The class of Python's whose objects those of a class are."""
    bases = (collections.OrderedDict, *_MUTABLE)
    return next((base for base in bases if issubclass(kind, base)), object)


def _is_sequence_of_c(kind: type) -> bool:
    """Whether it is one of Python's classes with names for elements, such as `time.struct_time`."""
    return issubclass(kind, tuple) and hasattr(kind, "n_sequence_fields")


def _array_class(module: str, class_name: str) -> Any:
    """The class to make an array of; that of arrays in files makes arrays in memory."""
    name = class_name.removeprefix(f"{module}.")
    return np.ndarray if name == "memmap" else subclass(module, name, np.ndarray)


def _is_plain_object(x: Any) -> bool:
    """Whether an object is no more than its attributes."""
    kind: Any = type(x)
    makes = kind.__new__
    if owner(kind) is Owner.INSTALLED and of_class(kind, "__setstate__") is not GONE:
        return False  # the frames of pandas, which are made otherwise
    return kind is types.SimpleNamespace or (
        (makes is object.__new__ or owner(makes) is Owner.AUTOBP)
        and kind.__reduce_ex__ is object.__reduce_ex__
        and (attributes(x) is not None or bool(slots_of(kind)))
        and all(c.__module__ != "builtins" or c is object for c in kind.__mro__)
    )


def _function_of(attribute: Any) -> Any:
    return None if is_kind(attribute, _METHODS) else attribute


_METHODS = (
    types.FunctionType,
    property,
    staticmethod,
    classmethod,
    functools.cached_property,
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
)


def _named(module: Any, name: str) -> Any:
    """What has a name in a module that is loaded."""
    try:
        return operator.attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError, TypeError):
        return GONE


# ── putting back ──────────────────────────────────────────────────────────────────────────────────


class _Putting:
    """Everything is read, and made where it is new, before the first place is written to."""

    def __init__(self, inventory: Inventory, records: Mapping[str, Record]) -> None:
        self.inventory = inventory
        self.records = records
        self.made: dict[str, Any] = {}
        self.classes = inventory.classes()
        self.missing: list[str] = []
        self.dropped: list[str] = []
        self.writes: list[Callable[[], object]] = []
        for name, record in sorted(records.items(), key=lambda item: _home(item[1]) is not None):
            if record[0] not in ("place", "attributes"):
                self.made[name] = self.target(name, record)
        for name, record in records.items():
            if record[0] == "object" and self.made[name] is not GONE and record[4] is not None:
                self.made[record[4][1]] = _attributes_of(self.made[name])
            elif record[0] == "attributes":
                self.made[name] = _attributes_of(self.made.get(record[4], GONE))
        for name, record in records.items():
            try:
                self.plan(name, record)
            except _MissingError:
                self.miss(name, record)

    def put(self) -> list[str]:
        for write in self.writes:
            write()
        return self.missing

    def miss(self, name: str, record: Record) -> None:
        is_needed = record[5 if record[0] == "place" else 3]
        (self.missing if is_needed else self.dropped).append(name)

    def target(self, name: str, record: Record) -> Any:
        """The object that a record is of."""
        kind, how, class_name, _, *content = record
        x = self.inventory.object(name)
        if x is GONE:
            if not name.startswith("new "):
                return GONE
            try:
                return self.new(kind, how, class_name, content)
            except StrangeError:
                raise
            except Exception:  # of a class that asks for more than it did
                return GONE
        if kind == "array":
            value = content[0]
            fits = is_kind(x, np.ndarray) and (x.shape, x.dtype) == (value.shape, value.dtype)
            return x if fits and x.flags.writeable else np.array(value, order="K")
        if kind == "tensor" and is_kind(x, Tensor):
            if content[0] is not None and x.shape != content[0].shape:
                raise StrangeError(f"{name} has shape {content[0].shape}, not {x.shape}")
            return x
        if kind == "frame":
            if type(x).__name__ != content[0][0]:
                raise StrangeError(f"{name} was a {content[0][0]}, not {type(x).__name__}")
            return x
        if kind == "generator":
            if content[0] != _class_name(type(x)):
                raise StrangeError(f"{name} was drawn from {content[0]}, not {type(x).__name__}")
            return x
        kinds = {"list": list, "dict": dict, "set": set, "deque": collections.deque}
        if not is_kind(x, kinds.get(kind, object)):
            raise StrangeError(f"{name} was a {kind} and is of type {type(x).__name__}")
        return x

    def new(self, kind: str, how: Any, class_name: str, content: list[Any]) -> Any:
        """An object that the training had made."""
        if kind == "array":
            made: Any = _array_class(how, class_name)
            if made is None:
                raise StrangeError(f"it holds a {class_name}, which this training does not use")
            shared = self.shared(content[0], content[1:])
            return (np.array(content[0], order="K") if shared is None else shared).view(made)
        if kind == "tensor":
            t = Tensor(content[0], requires_grad=content[1])
            if (shared := self.shared(content[0], content[5:])) is not None:
                t.data = shared
            return t if content[4] else np.positive(t)  # a result is no parameter
        if kind == "generator":
            return _generator(content[0], content[1])
        if kind == "frame":
            return GONE if (frame := frame_of(content[0])) is None else frame
        plain = {_class_name(x): x for x in (*_MUTABLE, *_PYTHONS)}
        made = plain.get(class_name) or self.classes.get(class_name)
        if made is None:
            raise StrangeError(f"it holds a {class_name}, which this training does not use")
        x = new(made, _base(made))
        if kind == "deque":
            collections.deque.__init__(x, maxlen=how)
        elif is_kind(x, collections.defaultdict):
            x.default_factory = self.value(how)
        return x

    def shared(self, value: np.ndarray, homes: list[Any]) -> np.ndarray | None:
        """A view of the memory in which an array lay, if it lay in that of another."""
        for name, *place in homes:
            base = self.made.get(name, GONE)
            base = self.inventory.object(name) if base is GONE else base
            found = view_within(Area.of(name, base), value, *place)
            if found is None:
                self.missing.append(f"the memory of {name}")
            return found
        return None

    def plan(self, name: str, record: Record) -> None:
        if record[0] == "place":
            self.plan_place(record)
            return
        x = self.made[name]
        if x is GONE:
            if name.startswith("new "):  # the place that held it is named
                return
            raise _MissingError
        kind, _, _, _, *content = record
        if kind == "array":
            self.writes.append(lambda: _write_array(x, content[0]))
        elif kind == "tensor":
            self.plan_tensor(x, content)
        elif kind == "generator":
            self.writes.append(lambda: _redraw(x, content[1], content[2]))
        elif kind == "frame":
            made = frame_of(content[0])
            self.writes.append(lambda: write_frame(x, made))
        elif kind == "bytearray":
            self.writes.append(lambda: operator.setitem(x, slice(None), bytes.fromhex(content[0])))
        elif kind in ("dict", "attributes"):
            entries = [
                (self.value(k), self.part(_entry_path(name, k), record, v)) for k, v in content[-1]
            ]
            self.writes.append(lambda: _write_dict(x, entries))
        elif kind != "object":
            values = [self.part(f"{name}[{i}]", record, v) for i, v in enumerate(content[0])]
            self.writes.append(lambda: _write_items(x, values))

    def part(self, path: str, record: Record, form: Any) -> Any:
        """What a list or a dict holds; what it cannot hold again leaves the rest as it was."""
        try:
            return self.value(form)
        except _MissingError:
            self.miss(path, record)
            return _LOST

    def plan_tensor(self, t: Tensor, content: list[Any]) -> None:
        value, needed, grad, hooks, *_ = content
        calls = [self.value(h) for h in hooks]

        def write() -> None:
            if not t.is_leaf:
                return
            if value is not None and t.numpy().tobytes() != value.tobytes():
                overwrite(t, np.array(value, order="K"))
            if t.requires_grad != needed:
                t.requires_grad = needed
            t.grad = None if grad is None else np.array(grad)[()]
            for hook in t.hooks[len(calls) :]:
                t.hooks = tuple(h for h in t.hooks if h is not hook)
            for call in calls[len(t.hooks) :]:
                if call is not _LOST:
                    t.register_hook(call)

        self.writes.append(write)

    def plan_place(self, record: Record) -> None:
        _, kind, owner_name, key, form, _ = record
        owner = self.inventory.object(owner_name)
        owner = self.made.get(owner_name, GONE) if owner is GONE else owner
        if owner is GONE:
            raise _MissingError
        value = GONE if form == ["gone"] else self.value(form)
        if value is _LOST:
            return
        v = FreeVariable("entry" if kind == "global" else kind, owner, key, None, "", "")
        if kind == "context":
            self.writes.append(lambda: value is GONE or owner.set(value))
        elif kind == "defaults":
            self.writes.append(lambda: setattr(owner, key, value))
        else:
            self.writes.append(lambda: None if v.read() is value else v.write(value))

    # ── values ────────────────────────────────────────────────────────────────────────────────────

    def value(self, form: Any) -> Any:
        if not isinstance(form, list):
            return form
        kind, *parts = form
        if kind == "ref":
            x = self.made.get(parts[0], GONE)
            x = self.inventory.object(parts[0]) if x is GONE else x
            if x is GONE:
                raise _MissingError
            return x
        if kind == "lost":
            return _LOST
        if kind == "name":
            found = _named(*parts)
            if found is GONE:
                raise _MissingError
            return found
        if kind == "module":
            if parts[0] not in sys.modules:
                raise _MissingError
            return sys.modules[parts[0]]
        if kind in ("enum", "named"):
            made: Any = self.classes.get(parts[0]) or _named(*parts[0].rsplit(".", 1))
            if not isinstance(made, type):
                raise _MissingError
            if kind == "enum":
                if not issubclass(made, enum.Enum):
                    return _LOST
                return made(parts[1]) if issubclass(made, enum.Flag) else made[parts[1]]
            if not issubclass(made, tuple) or not can_be_new(made, tuple):
                raise _MissingError
            values = [self.value(part) for part in parts[1:]]
            return _LOST if any(v is _LOST for v in values) else new(made, tuple, values)
        if kind == "fields":
            made = _named(*parts[0].rsplit(".", 1))
            if made is GONE or not _is_sequence_of_c(made):
                raise _MissingError
            return new(made, tuple, *map(self.value, parts[1:]))
        if kind in ("long", "path", "value", "as"):
            found = value_of(kind, parts)
            if found is None:
                raise _MissingError
            return found
        if kind == "dtype":
            return np.dtype(parts[0])
        if kind == "number":
            return parts[0][()]
        if kind == "bytes":
            return bytes.fromhex(parts[0])
        if kind == "constant":
            return {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}[parts[0]]
        if kind == "frozenset":
            return frozenset(v for v in map(self.value, parts[0]) if v is not _LOST)
        values = [self.value(part) for part in parts]
        if any(v is _LOST for v in values):  # as a whole, for no place is left within it
            return _LOST
        if kind == "method":
            return getattr(values[0], values[1])
        if kind == "partial":
            return functools.partial(values[0], *values[1], **values[2])
        return _MAKERS[kind](values)


def _home(record: Record) -> Any:
    """Where an array lies, if that is in the memory of another."""
    start = {"array": 5, "tensor": 9}.get(record[0])
    return record[start] if start and len(record) > start else None


def _attributes_of(x: Any) -> Any:
    found = attributes(x)
    return GONE if found is None else found


class _MissingError(Exception):
    """What a record is about is not in this training."""


_MAKERS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "complex": lambda v: complex(*v),
    "slice": lambda v: slice(*v),
    "range": lambda v: range(*v),
}


def _generator(class_name: str, state: Any) -> Any:
    if class_name == _class_name(random.Random):
        return random.Random()
    if class_name == _class_name(np.random.RandomState):
        return np.random.RandomState()
    if class_name == _class_name(np.random.SeedSequence):
        return np.random.SeedSequence(
            **{k: v for k, v in state.items() if k != "n_children_spawned"}
        )
    if class_name == "torch._C.Generator":
        return sys.modules["torch"].Generator(state[0])
    bits = getattr(np.random, state["bit_generator"])()
    return bits if class_name == _class_name(type(bits)) else np.random.Generator(bits)


def _redraw(x: Any, state: Any, spawned: int) -> None:
    if is_kind(x, random.Random):
        x.setstate(state)
        return
    if is_kind(x, np.random.RandomState):
        x.set_state(state)
        return
    if is_torchs_generator(x):
        x.set_state(sys.modules["torch"].from_numpy(state[1]))
        return
    seeds = x
    if not is_kind(x, np.random.SeedSequence):
        bits = x if is_kind(x, np.random.BitGenerator) else x.bit_generator
        bits.state, seeds = state, bits.seed_seq
    more = spawned - getattr(seeds, "n_children_spawned", spawned)
    if more > 0:
        seeds.spawn(more)


def _write_array(x: np.ndarray, value: np.ndarray) -> None:
    plain = x.view(np.ndarray)  # for whoever masks it, the numbers under the mask too
    if plain.tobytes() != value.tobytes():
        np.copyto(plain, value)


def _write_dict(x: dict[Any, Any], entries: list[tuple[Any, Any]]) -> None:
    kept = [(k, x.get(k, GONE) if v is _LOST else v) for k, v in entries if k is not _LOST]
    kept = [(k, v) for k, v in kept if v is not GONE]
    keys = [k for k, _ in kept]
    if len(x) != len(keys) or not all(map(same_item, x, keys)):
        x.clear()
    for k, v in kept:
        x[k] = v


def _write_items(x: Any, values: list[Any]) -> None:
    if is_kind(x, list):
        held = list(x)
        x[:] = [
            (held[i] if i < len(held) else None) if v is _LOST else v for i, v in enumerate(values)
        ]
        return
    x.clear()
    if is_kind(x, set):
        x.update(v for v in values if v is not _LOST)
    else:
        x.extend(None if v is _LOST else v for v in values)


def unsaved(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What could not be recorded and has changed between two records, or may have."""
    return (name for name, text in now.items() if text == UNSEEN or before.get(name) != text)
