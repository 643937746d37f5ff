"""Downloads of which every byte is known beforehand: whoever serves them, they are right or refused."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, Request, build_opener

from autobp.data.idx import DataError
from autobp.files import sync_folder

__all__ = ["download"]

_BLOCK = 1 << 16
_ABANDONED = 3600.0  # seconds after which a part that nobody adds to may be taken over


class _Unfit(Exception):
    """A mirror did not give the file; the message says how."""


def download(
    target: Path,
    mirrors: Sequence[str],
    size: int,
    sha256: str,
    timeout: float = 15.0,
    deadline: float = 600.0,
) -> None:
    """Bring a file of known size and hash from the first mirror that has it.

    The file takes its name only when it is whole, checked and on the disk. Until then it grows in a
    part beside it, which the next mirror or the next attempt goes on from. ConnectionError says what
    each mirror did wrong; DataError, that the disk does not take it.

    A mirror may be silent for `timeout` seconds, and has `deadline` seconds for all that it sends.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part(target)
        try:
            _from_any(part, target.name, mirrors, size, sha256, timeout, deadline)
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
    part: Path,
    name: str,
    mirrors: Sequence[str],
    size: int,
    sha256: str,
    timeout: float,
    deadline: float,
) -> None:
    said = []
    for url in mirrors:
        try:
            with _Deadline(deadline) as clock:
                return _complete(part, name, url, size, sha256, timeout, clock)
        except _Unfit as error:
            said.append(f"{urlsplit(url).netloc}: {error}")
    raise ConnectionError("; ".join(said))


def _complete(
    part: Path, name: str, url: str, size: int, sha256: str, timeout: float, clock: _Deadline
) -> None:
    """Add to a part what it lacks. If the whole is wrong, that may be due to the mirror before: then
    everything is asked for once more, from this one."""
    with open(part, "a+b") as file:
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256")
        have = file.tell()
        while True:
            resumed = have > 0
            if have < size:
                digest = _stream(file, digest, have, name, url, size, timeout, clock)
            if digest.hexdigest() == sha256:
                file.flush()
                os.fsync(file.fileno())
                return
            file.truncate(0)
            digest, have = hashlib.sha256(), 0
            if not resumed:
                raise _Unfit("its file has another hash")


def _stream(
    file: BinaryIO,
    digest: hashlib._Hash,
    have: int,
    name: str,
    url: str,
    size: int,
    timeout: float,
    clock: _Deadline,
) -> hashlib._Hash:
    headers = {"User-Agent": "autobp", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with _mirrors_fault(clock):
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
                with _mirrors_fault(clock):
                    block = reply.read1(_BLOCK)
                    clock.check()
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


class _Deadline:
    """The time that a mirror has for everything. A server that sends a byte now and then is never
    silent for long: when the time is over, the connections that this thread has made are shut."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over = False
        self.sockets: list[socket.socket] = []
        self.timer = threading.Timer(seconds, self._shut)
        self.timer.daemon = True

    def check(self) -> None:
        if self.over:
            raise _Unfit(f"too slow: it was not done after {self.seconds:g} seconds")

    def _shut(self) -> None:
        self.over = True
        for connection in self.sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> _Deadline:
        self.token = _deadline.set(self)
        self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
        _deadline.reset(self.token)


#: That of the download that this thread is in.
_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


class _Watched:
    """A connection whose socket the deadline knows."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        clock = _deadline.get()
        if clock is not None:
            clock.sockets.append(self.sock)


class _Connection(_Watched, HTTPConnection):
    pass


class _SecureConnection(_Watched, HTTPSConnection):
    pass


class _Handler(HTTPHandler):
    def http_open(self, request: Request) -> Any:
        return self.do_open(_Connection, request)


class _SecureHandler(HTTPSHandler):
    def https_open(self, request: Request) -> Any:
        return self.do_open(_SecureConnection, request, context=self._context)  # type: ignore[attr-defined]


def urlopen(request: Request, timeout: float) -> Any:
    """As urllib's, of connections that are watched."""
    return build_opener(_Handler, _SecureHandler).open(request, timeout=timeout)


@contextmanager
def _mirrors_fault(clock: _Deadline) -> Iterator[None]:
    """What goes wrong here goes wrong on the network. (Elsewhere an OSError is the disk's.)"""
    try:
        try:
            yield
        except (OSError, HTTPException, ValueError):
            clock.check()
            raise
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
