"""Locks that a forked child finds open: the thread that held one in the parent is not in the child."""

from __future__ import annotations

import os
from typing import TypeVar

__all__ = ["fork_safe"]

Lock = TypeVar("Lock")


def fork_safe(lock: Lock) -> Lock:
    """The same lock, of the module `threading`, which is open again in every forked child."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]
    return lock
