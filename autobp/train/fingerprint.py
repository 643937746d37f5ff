"""Fingerprint: whether an object has changed, also one that nothing here knows how to save.

Two fingerprints of an object are equal if nothing that can be seen of it has changed in between. The
walk goes through containers, attributes, frames of generators, and what an object pickles as. It
opens what pickle refuses: hash objects, buffers, weak dictionaries, locals of a thread, open files.
"""

from __future__ import annotations

import functools
import hashlib
import io
import logging
import random
import re
import sys
import threading
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any
from weakref import WeakSet

import numpy as np

from autobp.compiler.trace.free_variables import (
    GONE,
    attribute_of,
    attributes,
    elements,
    entries,
    is_kind,
    of_class,
)
from autobp.compiler.trace.search import slots_of
from autobp.tensor import Tensor, kept_grad

__all__ = ["UNSEEN", "fingerprint"]

#: The fingerprint of an object that holds something whose changes cannot be seen.
UNSEEN = "unseen"

_MOST = 100_000  # parts of an object that are looked at; one of more counts as unseen

#: What holds nothing that a training computes with.
_INERT = (
    type(threading.Lock()), type(threading.RLock()), threading.Thread, logging.Logger,
    logging.Handler, types.ModuleType, types.CodeType, re.Pattern, type, np.ufunc,
    property, staticmethod, classmethod, functools.cached_property,
)  # fmt: skip

#: Names of classes whose objects only write. They need not be loaded.
_WRITING = ("_csv.writer", "_csv.Writer", "csv.DictWriter")

#: Packages whose objects show how far a loop is. What they loop over may have a state.
_BARS = ("tqdm", "rich", "alive_progress", "progressbar")

#: Methods in Python that answer for attributes, and may change an object when it is asked.
_DYNAMIC = ("__getattr__",)

_BUILT_IN = (types.BuiltinFunctionType, types.MethodWrapperType)
_CACHING = type(functools.lru_cache(len))
_GENERATORS = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)


class _UnseenError(Exception):
    """A part of the object is of a kind whose changes cannot be seen."""


def fingerprint(x: Any, saved: Collection[int] = ()) -> str:
    """A text that changes when an object changes, or UNSEEN. Parts that are `saved` elsewhere, by
    their ids, are not looked at.

    >>> import hashlib
    >>> h = hashlib.sha256()
    >>> before = fingerprint([h, {"n": 1}])
    >>> h.update(b"more")
    >>> before == fingerprint([h, {"n": 1}])
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    seen: dict[int, tuple[int, Any]] = {}  # numbers of the objects, which are kept alive
    todo = [x]
    while todo:
        x = todo.pop()
        kind = type(x)
        parts: list[Any] = []
        if kind in (bool, int, float, complex, str, bytes, type(None)):
            text = repr(x)
        elif id(x) in saved:
            text = "saved"
        elif id(x) in seen:
            text = f"again {seen[id(x)][0]}"
        else:
            seen[id(x)] = len(seen), x
            try:
                parts = [] if _is_inert(kind) else list(_parts(x))
            except (_UnseenError, RecursionError):
                return UNSEEN
            text = f"{kind.__module__}.{kind.__qualname__} of {len(parts)}"
        digest.update(f"{text};".encode(errors="surrogatepass"))
        todo += reversed(parts)
        if len(seen) > _MOST:
            return UNSEEN
    return digest.hexdigest()


def _parts(x: Any) -> Iterable[Any]:
    """What an object consists of, as far as it can change."""
    kind, own = type(x), attributes(x)
    for kinds, parts in _KINDS:
        if issubclass(kind, kinds):
            found = parts(x)
            return [*found, own] if own is not None and kinds in _OPEN else found
    if kind.__module__.partition(".")[0] in _BARS:
        return [(own or {}).get("iterable")]
    asks_the_user = any(of_class(kind, name) is not GONE for name in _DYNAMIC)
    if not asks_the_user:
        if callable(digest := attribute_of(x, "hexdigest", None)):
            return [digest()]
        if (buffer := _buffer(x)) is not None:
            return [buffer]
        if (reduced := _reduced(x)) is not None:
            return reduced
    if _is_python(kind):  # its class refuses to be pickled, or answers to every name
        return [own, *(attribute_of(x, slot, None) for slot in slots_of(kind))]
    raise _UnseenError


def _is_inert(kind: type) -> bool:
    return issubclass(kind, _INERT) or f"{kind.__module__}.{kind.__qualname__}" in _WRITING


def _is_python(kind: type) -> bool:
    """Whether a class and its bases are written in Python, so that attributes are all there is."""
    own = {"__dict__", "__weakref__", "__slots__"}
    return all(own & vars(c).keys() for c in kind.__mro__ if c.__base__ is object)


def _buffer(x: Any) -> bytes | None:
    try:
        return memoryview(x).tobytes()
    except (TypeError, BufferError, ValueError):
        return None


def _reduced(x: Any) -> list[Any] | None:
    """What an object would be pickled as. Its parts need not be of kinds that can be pickled."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of itertools, whose pickles are deprecated
            reduced = x.__reduce_ex__(4)
    except Exception:
        return None
    if isinstance(reduced, str):  # the name of a constant
        return [reduced]
    return [*reduced[:3], *(list(items) for items in reduced[3:5] if items is not None)]


def _array(x: np.ndarray) -> list[Any]:
    plain = x.view(np.ndarray)
    numbers = plain.tolist() if plain.dtype.hasobject else plain.tobytes()
    return [plain.dtype.str, plain.shape, numbers]


def _drawn(x: Any) -> list[Any]:
    bits = getattr(x, "bit_generator", x)
    return [bits.state, bits.seed_seq]


def _seeds(x: Any) -> list[Any]:
    return [repr(x.entropy), x.spawn_key, x.n_children_spawned]


def _frame(x: Any) -> list[Any]:
    """Where a generator or a coroutine stands, and what its variables hold."""
    if isinstance(x, types.GeneratorType):
        frame, inner = x.gi_frame, x.gi_yieldfrom
    elif isinstance(x, types.CoroutineType):
        frame, inner = x.cr_frame, x.cr_await
    else:
        frame, inner = x.ag_frame, x.ag_await
    return [] if frame is None else [frame.f_lasti, dict(frame.f_locals), inner]


def _file(x: io.IOBase) -> list[Any]:
    """Where a file stands that can be read again. What is only written, a training does not read."""
    if x in (sys.stdin, sys.stdout, sys.stderr) or x.closed:
        return []
    try:
        return [x.tell()] if x.readable() and x.seekable() else []
    except (OSError, ValueError):
        return []


def _unordered(x: Iterable[Any]) -> list[str]:
    prints = sorted(map(fingerprint, x if is_kind(x, WeakSet) else elements(x)))
    if UNSEEN in prints:
        raise _UnseenError
    return prints


_DRAWING = (np.random.Generator, np.random.BitGenerator)

#: What is looked at in objects of known kinds, the first that fits.
_KINDS: tuple[tuple[Any, Callable[[Any], Iterable[Any]]], ...] = (
    (dict,                         lambda x: [part for item in entries(x) for part in item]),
    ((list, tuple, deque),         elements),
    ((set, frozenset, WeakSet),    _unordered),
    (np.ndarray,                   _array),
    (Tensor,                       lambda x: [x.numpy(), kept_grad(x)]),
    (_DRAWING,                     _drawn),
    (np.random.RandomState,        lambda x: [x.get_state(legacy=False)]),
    (random.SystemRandom,          lambda x: []),
    (random.Random,                lambda x: x.getstate()),
    (np.random.SeedSequence,       _seeds),
    (types.FunctionType,           lambda x: [id(x)]),
    (types.MethodType,             lambda x: [x.__func__, x.__self__]),
    (_BUILT_IN,                    lambda x: [x.__name__, x.__self__]),
    (functools.partial,            lambda x: [x.func, x.args, x.keywords]),
    (_CACHING,                     lambda x: x.cache_info()),
    (_GENERATORS,                  _frame),
    (threading.local,              lambda x: [vars(x)]),
    (weakref.ref,                  lambda x: [x()]),
    (io.StringIO,                  lambda x: [] if x.closed else [x.getvalue(), x.tell()]),
    (io.IOBase,                    _file),
)  # fmt: skip

#: Of these, subclasses may have attributes of their own.
_OPEN = (dict, np.ndarray, _DRAWING, random.Random)
