"""Free variables: what a function reads besides its arguments, and how a change of it is noticed.

What a module, an optimizer or an object among the arguments holds is live: a program reads or checks
it at each call. Everything else is a constant of the program. It is listed, and checked where that is
cheap.
"""

from __future__ import annotations

import collections
import enum
import functools
import operator
import random
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autobp.compiler.trace.handlers import is_of_handler
from autobp.tensor import Tensor

__all__ = [
    "ARRAYS",
    "Constant",
    "Found",
    "FreeVariable",
    "attribute_of",
    "attributes",
    "elements",
    "entries",
    "has_identity",
    "is_kind",
    "is_live_kind",
    "of_class",
    "place_of",
    "same_item",
    "same_items",
    "tests_of",
]

#: What a place holds that is empty.
GONE: Any = type("Gone", (), {"__repr__": lambda _: "gone", "__slots__": ()})()

ARRAYS = (np.ndarray, np.memmap)  # of which programs are written
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
NUMBERS = (int, float, complex, np.generic)  # equal ones are the same
NESTS = (list, tuple, dict, set, frozenset, collections.deque)
FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodType,
    np.ufunc,
    type(np.sum),
)
#: Of these equal ones are the same, so that one `==` compares many of one owner.
_ATOMS = (*FUNCTIONS, types.ModuleType, type, str, bytes, type(None))

#: What an object has of the function that it wraps.
_OF_WRAPPERS = (*functools.WRAPPER_ASSIGNMENTS, "__wrapped__")

Known = Callable[[Any], str]  # gives an object a name, by which expressions speak of it
Places = set[tuple[int, Any]]  # ids of owners, and keys


# ── kinds ─────────────────────────────────────────────────────────────────────────────────────────


class Kind(NamedTuple):
    """What is known of one kind of free variables."""

    read: Callable[[Any, Any], Any] | None = None  # what the owner has at a key
    write: Callable[[Any, Any, Any], None] | None = None
    text: str = ""  # the place as an expression
    takes_tracer: bool = False  # a tracer can stand there while a function is traced
    is_listed: bool = False  # among the constants: it says something beside those that it holds
    test: Callable[[FreeVariable, Places, Known], list[str]] | None = None


def _entry(owner: Any, key: Any) -> Any:
    return owner.get(key, GONE) if isinstance(owner, dict) else owner[key]


def _set_entry(owner: Any, key: Any, value: Any) -> None:
    if value is GONE:
        owner.pop(key, None)
    else:
        owner[key] = value


def attribute_of(x: Any, name: str, default: Any = GONE) -> Any:
    """As getattr, but the user's `__getattr__` and `__getattribute__` are not asked: some make an
    answer for every name, or change with each question."""
    base: Any = threading.local if is_kind(x, threading.local) else object
    try:
        return base.__getattribute__(x, name)
    except AttributeError:
        return default
    except Exception as error:  # a property raises what it likes
        if is_of_handler(error):
            raise
        return default


def attributes(x: Any) -> dict[str, Any] | None:
    """The dict of the attributes of an object, if it has one. The object is not asked."""
    found = attribute_of(x, "__dict__", None)
    return found if is_kind(found, dict) else None


def elements(nest: Any) -> list[Any]:
    """What a list, a tuple, a set holds, whatever its class makes of a loop over it."""
    kind = type(nest)
    for base in NESTS:
        if issubclass(kind, base):
            return [*base.__iter__(nest)]
    raise TypeError(kind)


def entries(nest: Any) -> list[tuple[Any, Any]]:
    """The keys and values of a dict, whatever its class makes of `items`."""
    base = collections.OrderedDict if is_kind(nest, collections.OrderedDict) else dict
    return [*base.items(nest)]


def of_class(kind: type, name: str, default: Any = GONE) -> Any:
    """What a class defines under a name, or inherits. Its metaclass is not asked."""
    for c in kind.__mro__:
        if name in vars(c):
            return vars(c)[name]
    return default


def _class_attribute(owner: Any, key: Any) -> Any:
    return vars(owner).get(key, GONE)


def _set_cell(owner: Any, key: Any, value: Any) -> None:
    if value is GONE:
        del owner.cell_contents
    else:
        owner.cell_contents = value


def _place_test(v: FreeVariable, skipped: Places, known: Known) -> list[str]:
    if v.value is GONE and v.kind == "entry":
        return [f"{v.key!r} not in {known(v.owner)}"]
    return [_test(place_of(v, known), v.value, known)]


def _equality_test(v: FreeVariable, skipped: Places, known: Known) -> list[str]:
    return [f"{known(v.owner)} == {known(v.value)}"]


def _type_test(v: FreeVariable, skipped: Places, known: Known) -> list[str]:
    return [f"type({known(v.owner)}) is {known(v.value)}"]


def _methods_test(v: FreeVariable, skipped: Places, known: Known) -> list[str]:
    return [_atoms_test(vars(v.owner), v.value, known)]


def _contents_test(v: FreeVariable, skipped: Places, known: Known) -> list[str]:
    """Tests of what a list, a dict or a set holds. The key has what may come and go in it."""
    nest, owner, (keys, values) = v.owner, known(v.owner), v.value
    if not isinstance(nest, dict):
        free = {i for i in range(len(values)) if (id(nest), i) in skipped}
        if not free:
            return [f"{known(same_items)}({owner}, {known(values)})"]
        rest = [i for i in range(len(values)) if i not in free]
        tests = [_test(f"{owner}[{i}]", values[i], known) for i in rest]
        return [f"len({owner}) == {len(values)}", *tests]
    entries = {k: x for k, x in zip(keys, values, strict=True) if (id(nest), k) not in skipped}
    if len(entries) == len(keys) > 12 and not all(is_kind(x, _ATOMS) for x in values):
        return [f"{known(same_entries)}({owner}, {known(keys)}, {known(values)})"]
    if v.key:
        optional = "".join(f" - ({k!r} in {owner})" for k in v.key)
        tests = [f"len({owner}){optional} == {len(set(keys).difference(v.key))}"]
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


# fmt: off
KINDS = {
    # places                 read                             write               text                          tracer listed
    "entry":     Kind(_entry,                          _set_entry,         "{owner}.get({key})",         True,  True,  _place_test),  # of a dict, a list
    "attribute": Kind(attribute_of,                    object.__setattr__, "{owner}.{attribute}",        True,  True,  _place_test),
    "class":     Kind(_class_attribute,                setattr,            "vars({owner}).get({key})",   False, True,  _place_test),  # attribute of one
    "cell":      Kind(lambda cell, _: cell.cell_contents, _set_cell,       "{owner}.cell_contents",      False, True,  _place_test),
    "context":   Kind(lambda var, _: var.get(GONE),    None,               "{owner}.get({gone})",        False, True,  _place_test),  # a ContextVar
    "defaults":  Kind(attribute_of,                    object.__setattr__, "{owner}.{attribute}",        False, False, _place_test),  # of a function
    # what is tested as a whole
    "contents":    Kind(test=_contents_test),  # of a nest: a list of keys and one of values
    "equal":       Kind(test=_equality_test),  # an object that is compared with its copy
    "environment": Kind(test=_equality_test, is_listed=True),
    "type":        Kind(test=_type_test),  # the class of an object
    "methods":     Kind(test=_methods_test),  # of a class, that may be replaced
    # what has no test of its own
    "fixed":       Kind(is_listed=True),  # an element of a tuple or a set
    "default":     Kind(is_listed=True),  # one of a function
    "opaque":      Kind(is_listed=True),  # an object that cannot be looked into
    "optimizer":   Kind(),
}
# fmt: on


# ── what is found ─────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True, eq=False)
class FreeVariable:
    """A place that a function reads, or what something holds as a whole."""

    kind: str  # of KINDS
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
        read = KINDS[self.kind].read
        try:
            return read(self.owner, self.key) if read else GONE
        except (ValueError, IndexError):
            return GONE

    def write(self, value: Any) -> None:
        """Put something there."""
        write = KINDS[self.kind].write
        assert write is not None
        if value is GONE and self.kind not in ("entry", "cell"):
            delattr(self.owner, self.key)
        else:
            write(self.owner, self.key, value)

    @property
    def is_writable(self) -> bool:
        """Whether a tracer can stand there while a function is traced."""
        return KINDS[self.kind].takes_tracer

    @property
    def is_place(self) -> bool:
        return KINDS[self.kind].read is not None

    @property
    def said(self) -> str:
        """What messages call it."""
        return "a variable" if self.kind == "cell" else repr(self.key)


class Constant(NamedTuple):
    """A value that a program has taken over from around the function."""

    name: str  #: as one writes it: `SETTINGS['rate']`, `config.scale`
    where: str  #: where it was found: `global of module train`, `closure of loss`
    value: Any  #: the value; a summary if it is large

    def __repr__(self) -> str:
        return f"{self.name} = {self.value!r:.60} ({self.where})"


@dataclass(slots=True)
class Found:
    """All that a search has found."""

    variables: list[FreeVariable]
    codes: set[types.CodeType]  # of the functions that were looked through
    iterators: list[tuple[Any, str]]  # with their names
    live: Places  # entries that steps of an optimizer change
    objects: dict[int, Any]  # that were looked into, by their ids
    line: str  # where the function begins
    ran: dict[int, types.CodeType] = field(default_factory=dict)  # functions, seen to run
    names: dict[int, str] = field(default_factory=dict)  # of the objects, by their ids

    def constants(self) -> list[Constant]:
        """What programs take over, for people to read."""
        listed: dict[tuple[str, str], Constant] = {}
        for v in self.variables:
            if v.is_listed and not v.live and KINDS[v.kind].is_listed and not _is_named(v):
                constant = Constant(v.name, v.where, _summary(v.value))
                listed.setdefault(constant[:2], constant)
        return list(listed.values())


def _is_named(v: FreeVariable) -> bool:
    """Whether a variable is only the name of a module, a function or a class, or leads to what is
    live, and so is no data."""
    value = v.value
    if v.key == "__code__" or (value is GONE and v.kind == "entry"):
        return v.key == "__code__"
    if v.key in _OF_WRAPPERS:
        return True
    if is_kind(value, (types.ModuleType, property, staticmethod, classmethod)):
        return True
    if is_live_kind(type(value)):
        return True
    return is_kind(value, (*FUNCTIONS, type)) and getattr(value, "__name__", None) == v.key


def _summary(value: Any) -> Any:
    if value is GONE:
        return "not set"
    if is_kind(value, (str, bytes)):
        return value if len(value) <= 200 else value[:200]
    if is_kind(value, np.ndarray):
        return value.copy() if value.size <= 100 else f"{value.dtype} of shape {value.shape}"
    if is_kind(value, Tensor):
        return f"Tensor of shape {value.shape}"
    if is_kind(value, NESTS):
        return f"{type(value).__name__} of {len(value)}"
    if is_kind(value, (*FUNCTIONS, type)):
        return getattr(value, "__name__", repr(value))
    plain = is_kind(value, (*NUMBERS, type(None), enum.Enum, slice, range, np.dtype))
    return value if plain else f"{type(value).__name__} object"


def is_kind(x: Any, kinds: Any) -> bool:
    """As isinstance, but without asking the object, which may be odd."""
    return issubclass(type(x), kinds)


def is_live_kind(kind: type) -> bool:
    """Whether objects of a class are live: modules and optimizers, which say what they hold besides
    state."""
    return of_class(kind, "_not_state") is not GONE


def has_identity(kind: type) -> bool:
    """Whether objects of a class equal nothing but themselves."""
    equal: Any = kind.__eq__
    return equal is object.__eq__


# ── tests ─────────────────────────────────────────────────────────────────────────────────────────


def tests_of(variables: Iterable[FreeVariable], skipped: Places, known: Known) -> list[str]:
    """Expressions that are true as long as nothing has changed, but for the places that are
    `skipped`, which are read at each call."""
    return [*_tests(variables, skipped, known)]


def _tests(variables: Iterable[FreeVariable], skipped: Places, known: Known) -> Iterator[str]:
    together: dict[int, tuple[Any, dict[str, Any]]] = {}
    for v in variables:
        test = KINDS[v.kind].test
        if not v.checked or test is None or (id(v.owner), v.key) in skipped:
            continue
        if v.kind == "entry" and type(v.key) is str and is_kind(v.value, _ATOMS):
            together.setdefault(id(v.owner), (v.owner, {}))[1][v.key] = v.value
        else:
            yield from test(v, skipped, known)
    for owner, atoms in together.values():
        yield _atoms_test(owner, atoms, known)


def place_of(v: FreeVariable, known: Known) -> str:
    """A variable as an expression."""
    owner, text = known(v.owner), KINDS[v.kind].text
    if v.kind == "entry" and not isinstance(v.owner, dict):
        text = "{owner}[{key}]"
    gone = known(GONE) if v.kind == "context" else None
    return text.format(owner=owner, key=_key(v.key, known), attribute=v.key, gone=gone)


def _test(place: str, value: Any, known: Known) -> str:
    if is_kind(value, (*NUMBERS, tuple)):
        same = known(value)
        return f"((a_ := {place}) is {same} or {known(same_item)}(a_, {same}))"
    return f"{place} is {known(value)}"


def _atoms_test(owner: Any, atoms: dict[str, Any], known: Known) -> str:
    """One test for many entries of a dict."""
    values = tuple(atoms.values())
    get = known(operator.itemgetter(*atoms))
    return f"{get}({known(owner)}) == {known(values if len(values) > 1 else values[0])}"


def _key(key: Any, known: Known) -> str:
    return repr(key) if type(key) in (str, int) else known(key)


def same_value(a: Any, b: Any) -> bool:
    """Whether two numbers are the same to whatever is done with them."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.generic):
        return bool(a.dtype == b.dtype and a.tobytes() == b.tobytes())
    return bool(a == b) and (a != 0 or str(a) == str(b))  # 0.0 and -0.0 are two


def same_item(a: Any, b: Any) -> bool:
    """Whether a program cannot tell one from the other: the same object, an equal number or text, or
    a tuple of such."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return same_items(a, b)
    return same_value(a, b) if isinstance(a, NUMBERS) else isinstance(a, str | bytes) and a == b


def same_items(nest: Any, values: Sequence[Any]) -> bool:
    """Whether a list, a deque or a set holds what it held."""
    if len(nest) != len(values):
        return False
    return all(map(operator.is_, nest, values)) or all(map(same_item, nest, values))


def same_entries(nest: dict[Any, Any], keys: Sequence[Any], values: Sequence[Any]) -> bool:
    return same_items(nest, keys) and same_items(nest.values(), values)
