"""Downloads of which every byte is known beforehand: whoever serves them, they are right or refused."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from autobp.data.idx import DataError
from autobp.files import sync_folder

__all__ = ["download"]

_BLOCK = 1 << 16
_ABANDONED = 3600.0  # seconds after which a part that nobody adds to may be taken over


class _Unfit(Exception):
    """A mirror did not give the file; the message says how."""


def download(
    target: Path, mirrors: Sequence[str], size: int, sha256: str, timeout: float = 15.0
) -> None:
    """Bring a file of known size and hash from the first mirror that has it.

    The file takes its name only when it is whole, checked and on the disk. Until then it grows in a
    part beside it, which the next mirror or the next attempt goes on from. ConnectionError says what
    each mirror did wrong; DataError, that the disk does not take it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part(target)
        try:
            _from_any(part, target.name, mirrors, size, sha256, timeout)
            os.replace(part, target)
            _kept(target).unlink(missing_ok=True)
            sync_folder(target.parent)
        finally:
            _keep(part, target)
    except ConnectionError:
        raise
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from error


def _from_any(
    part: Path, name: str, mirrors: Sequence[str], size: int, sha256: str, timeout: float
) -> None:
    said = []
    for url in mirrors:
        try:
            return _complete(part, name, url, size, sha256, timeout)
        except _Unfit as error:
            said.append(f"{urlsplit(url).netloc}: {error}")
    raise ConnectionError("; ".join(said))


def _complete(part: Path, name: str, url: str, size: int, sha256: str, timeout: float) -> None:
    """Add to a part what it lacks. If the whole is wrong, that may be due to the mirror before: then
    everything is asked for once more, from this one."""
    with open(part, "a+b") as file:
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256")
        have = file.tell()
        while True:
            resumed = have > 0
            if have < size:
                digest = _stream(file, digest, have, name, url, size, timeout)
            if digest.hexdigest() == sha256:
                file.flush()
                os.fsync(file.fileno())
                return
            file.truncate(0)
            digest, have = hashlib.sha256(), 0
            if not resumed:
                raise _Unfit("its file has another hash")


def _stream(
    file: BinaryIO, digest: hashlib._Hash, have: int, name: str, url: str, size: int, timeout: float
) -> hashlib._Hash:
    headers = {"User-Agent": "autobp", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with _mirrors_fault():
        reply = urlopen(Request(url, headers=headers), timeout=timeout)
    with reply:
        if reply.status == 206:
            if not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise _Unfit("it sends another range than it was asked for")
        else:
            have = 0
        length = reply.headers.get("Content-Length")
        if length is not None and length.strip() != str(size - have):
            raise _Unfit(f"its file has another length ({length:.20})")
        if not have:
            file.truncate(0)
            digest = hashlib.sha256()
        with _progress(name, urlsplit(url).netloc, have, size) as advance:
            while True:
                with _mirrors_fault():
                    block = reply.read1(_BLOCK)
                if not block:
                    break
                have += len(block)
                if have > size:
                    file.truncate(0)
                    raise _Unfit(f"its file is longer than {size:,} bytes")
                file.write(block)
                digest.update(block)
                advance(len(block))
    if have < size:
        raise _Unfit(f"it stopped after {have:,} of {size:,} bytes")
    return digest


@contextmanager
def _mirrors_fault() -> Iterator[None]:
    """What goes wrong here goes wrong on the network. (Elsewhere an OSError is the disk's.)"""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise _Unfit(f"HTTP {error.code}") from None
    except TimeoutError:
        raise _Unfit("no answer in time") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        said = " ".join(str(getattr(reason, "strerror", None) or reason).split())
        raise _Unfit(said or type(error).__name__) from None


@contextmanager
def _progress(name: str, host: str, have: int, size: int) -> Iterator[Callable[[int], object]]:
    """On a terminal a bar, elsewhere one line."""
    if sys.stderr is None:
        yield lambda n: None
    elif sys.stderr.isatty():
        from tqdm import tqdm  # type: ignore[import-untyped]  # late: few programs download

        with tqdm(total=size, initial=have, desc=name, unit="B", unit_scale=True) as bar:
            yield bar.update
    else:
        print(f"downloading {name} ({size:,} bytes) from {host}", file=sys.stderr)
        yield lambda n: None


def _part(target: Path) -> Path:
    """A file for this process alone to write to: one that was left unfinished, if there is any. Of
    several processes that want it, the renaming lets one have it."""
    mine = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    for left in sorted(target.parent.glob(f"{target.name}*.part")):
        try:
            if left == _kept(target) or time.time() - left.stat().st_mtime > _ABANDONED:
                os.rename(left, mine)
                os.utime(mine)
                break
        except OSError:
            pass  # another process has it
    return mine


def _kept(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _keep(part: Path, target: Path) -> None:
    """Leave what there is of a part for the next attempt."""
    if part.exists():
        if part.stat().st_size:
            os.replace(part, _kept(target))
        else:
            part.unlink()
