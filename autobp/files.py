"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["sync_folder", "written"]


@contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file under another name in the same folder. When the block ends well, and all is on
    the disk, it takes its own name; whatever happens before, what had that name is as it was.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written(f"{folder}/greeting") as file:
    ...         _ = file.write(b"hello")
    ...     pathlib.Path(folder, "greeting").read_bytes()
    b'hello'
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
        sync_folder(target.parent)
    except OSError as error:
        said = error.strerror or str(error)
        raise OSError(error.errno, f"{os.fspath(path)} could not be written: {said}") from error
    finally:
        part.unlink(missing_ok=True)
    _sweep(target)


def sync_folder(folder: Path) -> None:
    """A new name is to outlive a power cut too, where a folder can be synced."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(target: Path) -> None:
    """Take away what writers that were killed have left: what nobody has added to since before the
    target was written."""
    temporary = re.compile(re.escape(target.name) + r"\.[0-9a-f]{8}\.tmp")
    for left in target.parent.iterdir():
        if temporary.fullmatch(left.name):
            try:
                if left.stat().st_mtime <= target.stat().st_mtime:
                    left.unlink()
            except OSError:
                pass  # another process has taken it away
