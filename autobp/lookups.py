"""Lookups: the names that a function looks up among the globals of its module, and the arguments that it
reads.

Code lists the attributes that it reads beside them. `self.scale` says nothing of a global `scale`.
"""

from __future__ import annotations

import dis
from functools import lru_cache
from inspect import CO_VARARGS
from types import CodeType
from typing import Any

__all__ = ["arguments_read", "globals_read"]

#: What reaches globals in another way: then any name of the code may be one.
_AROUND = {"globals", "__globals__", "modules", "import_module", "__import__"}
_LOOKS_UP = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"}
_LOOKS_UP |= {
    "IMPORT_NAME",
    "IMPORT_FROM",
}  # in the function: a global of that name may be the same
_LOOKS_UP.add("LOAD_FROM_DICT_OR_GLOBALS")  # in the bodies of classes, from Python 3.12 on


@lru_cache(4096)
def globals_read(code: CodeType) -> frozenset[str]:
    """The names that code looks up or assigns among the globals, and those that it may.

    >>> def scaled(self, x):
    ...     return np.tanh(x) * self.scale
    >>> globals_read(scaled.__code__)
    frozenset({'np'})
    """
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    if not _AROUND.isdisjoint(code.co_names):
        texts = (c for c in code.co_consts if type(c) is str and c.isidentifier())
        found = {*code.co_names, *texts}
    else:
        found = {i.argval for i in dis.get_instructions(code) if i.opname in _LOOKS_UP}
    return frozenset(found).union(*map(globals_read, inner))


def arguments_read(function: Any, count: int) -> frozenset[int]:
    """The places of the arguments, of so many, that a function reads or may read.

    >>> sorted(arguments_read(lambda t, z, x, y: t * y, 4))
    [0, 3]
    """
    code = getattr(function, "__code__", None)
    return frozenset(range(count)) if code is None else _arguments_read(code, count)


@lru_cache(4096)
def _arguments_read(code: CodeType, count: int) -> frozenset[int]:
    read = set(code.co_cellvars)  # by a function inside
    for i in dis.get_instructions(code):
        if i.opname.startswith("LOAD_FAST"):  # newer ones load two
            read.update(i.argval if type(i.argval) is tuple else (i.argval,))
    places = code.co_varnames[: code.co_argcount]
    found = {k for k, name in enumerate(places) if name in read}
    if code.co_flags & CO_VARARGS and code.co_varnames[code.co_argcount + code.co_kwonlyargcount] in read:  # fmt: skip
        found.update(range(len(places), count))
    return frozenset(found)
