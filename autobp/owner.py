"""Owner: who wrote the code that runs, the library, an installed package or the user.

Messages name the user's line, and the compiler follows the user's code alone. The place of a file
decides. Code without a file, as `exec` makes it, belongs to the module that it runs in.
"""

from __future__ import annotations

import collections
import os
import sys
import warnings
from enum import Enum
from functools import lru_cache
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np

__all__ = ["Owner", "is_scipys", "outside", "owner", "owner_of_frame", "warn"]


class Owner(Enum):
    AUTOBP = "autobp"
    NUMPY = "numpy"
    INSTALLED = "installed"  # another package
    PYTHON = "python"
    USER = "user"  # the demos too, wherever they are installed

    def __init__(self, name: str) -> None:
        self.is_library: bool = name in ("autobp", "numpy")
        self.is_foreign: bool = name in ("numpy", "installed", "python")


def _folder(file: str | None, *inside: str) -> str:
    return os.path.join(os.path.dirname(file or ""), *inside, "")


_AUTOBP, _DEMOS = _folder(__file__), _folder(__file__, "_demos")
_NUMPY, _PYTHON = _folder(np.__file__), _folder(os.__file__)
_WITHOUT_FILE = sys.stdlib_module_names - {"__main__"}  # those written in C


@lru_cache(4096)
def _owner_of_file(file: str) -> Owner:
    if file.startswith(_AUTOBP) and not file.startswith(_DEMOS):
        return Owner.AUTOBP
    if file.startswith(_NUMPY):
        return Owner.NUMPY
    if "-packages" in file:
        return Owner.INSTALLED
    return Owner.PYTHON if file.startswith((_PYTHON, "<frozen ")) else Owner.USER


#: Whether files are the library's, of those that code was met from. Who looks for the user's line asks
#: here first: an operation may be called from sixteen frames below it.
_IS_LIBRARY: dict[str, bool] = {}


def _owner_of_code(code: CodeType, variables: dict[str, Any]) -> Owner:
    file = code.co_filename
    if file.startswith("<") and not file.startswith(("<doctest ", "<frozen ")):
        if "_tuple_new" in variables:  # what `namedtuple` makes
            file = collections.__file__
        else:
            file = variables.get("__file__") or file
    found = _owner_of_file(file)
    if file is code.co_filename and not file.startswith("<"):
        _IS_LIBRARY[file] = found.is_library
    return found


def owner_of_frame(frame: FrameType) -> Owner:
    """Whose code runs there."""
    file = frame.f_code.co_filename
    if file[:1] == "<":
        return _owner_of_code(frame.f_code, frame.f_globals)
    return _owner_of_file(file)


def outside(frame: FrameType) -> FrameType:
    """The innermost frame, from this one outwards, that is not the library's; else the outermost."""
    known = _IS_LIBRARY
    while frame.f_back is not None:
        inside = known.get(frame.f_code.co_filename)
        if inside is None:
            inside = owner_of_frame(frame).is_library
        if not inside:
            break
        frame = frame.f_back
    return frame


def warn(text: str) -> None:
    """Warn at the line of the user's that called the library, through however many frames."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and owner_of_frame(frame) is not Owner.USER:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def owner(x: Any) -> Owner:
    """Whose a function, a class or a module is.

    >>> import numpy as np
    >>> from autobp import relu
    >>> from autobp.owner import owner
    >>> [owner(x).value for x in (relu, np.sum, dict, lambda: 0)]
    ['autobp', 'numpy', 'python', 'user']
    """
    if isinstance(x, FunctionType):  # whose __module__ may be that of what it wraps
        return _owner_of_code(x.__code__, x.__globals__)
    name = x.__name__ if isinstance(x, ModuleType) else getattr(x, "__module__", None)
    if not isinstance(name, str):
        return Owner.USER
    file = getattr(sys.modules.get(name), "__file__", None)
    if file:
        return _owner_of_file(file)
    return Owner.PYTHON if name.partition(".")[0] in _WITHOUT_FILE else Owner.USER


def is_scipys(function: Any) -> bool:
    """Whether a function is a ufunc of `scipy.special`. The question does not import SciPy.

    >>> import numpy as np
    >>> from scipy import special
    >>> from autobp.owner import is_scipys
    >>> is_scipys(special.erf), is_scipys(np.exp)
    (True, False)
    """
    special = sys.modules.get("scipy.special")
    name = getattr(function, "__name__", "")
    return isinstance(function, np.ufunc) and getattr(special, name, None) is function
