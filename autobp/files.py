"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, which lets nobody remove a file that is open
    fcntl = None  # type: ignore[assignment]

__all__ = ["sync_folder", "written"]


@contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file under another name in the same folder. When the block ends well, and all is on
    the disk, it takes its own name; whatever happens before, what had that name is as it was.

    It keeps the permissions of the file whose place it takes. Several processes may write one file:
    it is that of one of them, whole. A link to a file in the same folder stays a link; one that leads
    elsewhere is replaced, since what it leads to is not ours. A device or a pipe is written into.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written(f"{folder}/greeting") as file:
    ...         _ = file.write(b"hello")
    ...     pathlib.Path(folder, "greeting").read_bytes()
    b'hello'
    """
    target = _target(path)
    part = None
    if _is_device(path):
        with open(path, "wb") as device:
            yield device
        return
    try:
        file, part = _begun(target)
        with file:
            mode = _mode(target)
            if mode is not None:
                os.chmod(part, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(part, target)
        sync_folder(target.parent)
    except OSError as error:
        said = error.strerror or str(error)
        raise OSError(error.errno, f"{os.fspath(path)} could not be written: {said}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    _sweep(target)


def _target(path: str | os.PathLike[str]) -> Path:
    """The file itself, in its real folder; what a link leads to if that is in this folder too."""
    named = Path(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
    real = Path(os.path.realpath(named))
    return real if real.parent == named.parent else named


def _is_device(path: str | os.PathLike[str]) -> bool:
    """Whether there is something that takes bytes and is no file, as /dev/null is."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _mode(target: Path) -> int | None:
    try:
        return stat.S_IMODE(os.lstat(target).st_mode) if not target.is_symlink() else None
    except FileNotFoundError:
        return None


def _begun(target: Path) -> tuple[BinaryIO, Path]:
    """A new file, locked as long as it is open, so that others know that it is being written."""
    while True:
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.tmp")
        file = open(part, "xb")  # noqa: SIM115 (whoever asked closes it)
        if _lock(file) is not False and part.exists():
            return file, part
        file.close()  # taken for one that was left before it was locked


def _lock(file: BinaryIO) -> bool | None:
    """False: another process has locked it. None: files cannot be locked here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sync_folder(folder: Path) -> None:
    """A new name is to outlive a power cut too, where a folder can be synced."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(target: Path) -> None:
    """Take away what writers that were killed have left: what nobody has locked or added to since
    before the target was written."""
    temporary = re.compile(re.escape(target.name) + r"\.[0-9a-f]{8}\.tmp")
    for left in target.parent.iterdir():
        if temporary.fullmatch(left.name):
            try:
                if left.lstat().st_mtime <= target.stat().st_mtime:
                    with open(left, "rb") as file:
                        if _lock(file):
                            left.unlink()
            except OSError:
                pass  # another process has taken it away
