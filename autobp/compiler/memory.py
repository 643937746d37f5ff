"""Memory: what tracing and comparing needed goes back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["give_back"]


def give_back() -> None:
    """Return freed memory to the system. Linux's allocator keeps it for what is allocated next; but a
    step needs a fraction of what tracing it did."""
    with suppress(AttributeError, OSError, TypeError):  # other systems have no such call
        ctypes.CDLL(None).malloc_trim(0)
