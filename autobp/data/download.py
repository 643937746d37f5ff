"""Downloads files whose size and hash are known. A file with other bytes is refused."""

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
_ABANDONED = 3600.0  # seconds without a write after which another process may use a partial file


class _MirrorError(Exception):
    """A mirror failed to deliver the file; the message says why."""


def download(
    target: Path,
    mirrors: Sequence[str],
    size: int,
    sha256: str,
    timeout: float = 15.0,
    deadline: float = 600.0,
) -> None:
    """Download a file of known size and hash from the first mirror that has it.

    The file gets its name only when it is complete, verified and on disk. Until then, its bytes are
    in a partial file in the same folder, which the next mirror or the next attempt continues.
    ConnectionError says what failed at each mirror, DataError why the file cannot be written.

    A mirror may send nothing for `timeout` seconds, and has `deadline` seconds in total.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = _partial_file(target)
        try:
            _from_mirrors(partial, target.name, mirrors, size, sha256, timeout, deadline)
            os.replace(partial, target)
            _resumable(target).unlink(missing_ok=True)
            sync_folder(target.parent)
        finally:
            _save_for_later(partial, target)
    except ConnectionError:
        raise
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from error


def _from_mirrors(
    partial: Path,
    name: str,
    mirrors: Sequence[str],
    size: int,
    sha256: str,
    timeout: float,
    deadline: float,
) -> None:
    errors = []
    for url in mirrors:
        try:
            with _Deadline(deadline) as clock:
                return _from_mirror(partial, name, url, size, sha256, timeout, clock)
        except _MirrorError as error:
            errors.append(f"{urlsplit(url).netloc}: {error}")
    raise ConnectionError("; ".join(errors))


def _from_mirror(
    partial: Path, name: str, url: str, size: int, sha256: str, timeout: float, clock: _Deadline
) -> None:
    """Complete a partial file. If the result has the wrong hash, an earlier mirror may have sent the
    wrong bytes: then download all of it once more, from this mirror."""
    with open(partial, "a+b") as file:
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
                raise _MirrorError("its file has another hash")


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
    with _mirror_errors(clock):
        reply = urlopen(Request(url, headers=headers), timeout=timeout)
    with reply:
        if reply.status == 206:
            if not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise _MirrorError("it sends another range than requested")
        else:
            have = 0
        length = reply.headers.get("Content-Length")
        if length is not None and length.strip() != str(size - have):
            raise _MirrorError(f"its file has another length ({length:.20})")
        if not have:
            file.truncate(0)
            digest = hashlib.sha256()
        with _progress(name, urlsplit(url).netloc, have, size) as advance:
            while True:
                with _mirror_errors(clock):
                    block = reply.read1(_BLOCK)
                    clock.check()
                if not block:
                    break
                have += len(block)
                if have > size:
                    file.truncate(0)
                    raise _MirrorError(f"its file is longer than {size:,} bytes")
                file.write(block)
                digest.update(block)
                advance(len(block))
    if have < size:
        raise _MirrorError(f"it stopped after {have:,} of {size:,} bytes")
    return digest


class _Deadline:
    """Limits the total time of a mirror, as a server that sends a byte now and then never times out.
    At the deadline, all connections of this thread are shut down."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over = False
        self.sockets: list[socket.socket] = []
        self.timer = threading.Timer(seconds, self._shut)
        self.timer.daemon = True

    def check(self) -> None:
        if self.over:
            raise _MirrorError(f"too slow: it did not finish in {self.seconds:g} seconds")

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


#: The deadline of the download in this thread.
_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


class _Watched:
    """A connection that registers its socket with the deadline."""

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
    """Like `urllib.request.urlopen`, with connections that the deadline can shut down."""
    return build_opener(_Handler, _SecureHandler).open(request, timeout=timeout)


@contextmanager
def _mirror_errors(clock: _Deadline) -> Iterator[None]:
    """Turn errors of the network into `_MirrorError`. (Outside, an OSError comes from the disk.)"""
    try:
        try:
            yield
        except (OSError, HTTPException, ValueError):
            clock.check()
            raise
    except HTTPError as error:
        error.close()
        raise _MirrorError(f"HTTP {error.code}") from None
    except TimeoutError:
        raise _MirrorError("no answer in time") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        said = " ".join(str(getattr(reason, "strerror", None) or reason).split())
        raise _MirrorError(said or type(error).__name__) from None


@contextmanager
def _progress(name: str, host: str, have: int, size: int) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, else one line."""
    if sys.stderr is None:
        yield lambda n: None
    elif sys.stderr.isatty():
        from tqdm import tqdm  # type: ignore[import-untyped]  # late: few programs download

        with tqdm(total=size, initial=have, desc=name, unit="B", unit_scale=True) as bar:
            yield bar.update
    else:
        print(f"downloading {name} ({size:,} bytes) from {host}", file=sys.stderr)
        yield lambda n: None


def _partial_file(target: Path) -> Path:
    """A partial file for this process alone. It takes over an abandoned one if there is any; the
    rename ensures that only one process does."""
    mine = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    for left in sorted(target.parent.glob(f"{target.name}*.part")):
        try:
            if left == _resumable(target) or time.time() - left.stat().st_mtime > _ABANDONED:
                os.rename(left, mine)
                os.utime(mine)
                break
        except OSError:
            pass  # another process took it
    return mine


def _resumable(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _save_for_later(partial: Path, target: Path) -> None:
    """Leave a partial file for the next attempt."""
    if partial.exists():
        if partial.stat().st_size:
            os.replace(partial, _resumable(target))
        else:
            partial.unlink()
