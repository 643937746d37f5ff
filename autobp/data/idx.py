"""IDX files, the format of MNIST: a short header, then plain bytes."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

__all__ = ["DataError", "contents", "parsed", "read_idx"]

_MOST = 1 << 30  # items; a header that claims more is damaged
_BLOCK = 1 << 20


class DataError(ValueError):
    """A data file is missing, damaged or wrong. The message names the file and the problem."""


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an IDX file of unsigned bytes, compressed (`.gz`) or not, as a uint8 array.

    A damaged file raises `DataError`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    return parsed(contents(path, _MOST), path, _MOST)


def contents(path: Path, most: int) -> bytearray:
    """The bytes of a file, unless it is larger than an IDX file of `most` items can be."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most + most // 1000 + 4096:  # gzip adds a little to bytes it cannot compress
                raise DataError(f"{path} is too long: {size:,} bytes for at most {most:,} items")
            data = bytearray(size)
            unchanged = file.readinto(data) == size and not file.read(1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if not unchanged:
        raise DataError(f"{path} changed while it was read")
    return data


def parsed(data: bytearray, path: Path, most: int) -> np.ndarray:
    """The array in the bytes of an IDX file. Its memory is at most `most` items, whatever they claim."""
    if path.suffix == ".gz":
        return _unpacked(data, path, most)
    stream = io.BytesIO(data[: 4 + 4 * 255])
    shape = _shape(stream, path, most)
    start, items = stream.tell(), math.prod(shape)
    _match(len(data) - start, items, shape, path)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _unpacked(data: bytearray, path: Path, most: int) -> np.ndarray:
    if data[:2] != b"\x1f\x8b":
        hint = " (it is uncompressed: remove .gz from its name)" if data[:3] == b"\0\0\x08" else ""
        raise DataError(f"{path} is not gzip: it begins with {_shown(data)}{hint}")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            shape = _shape(stream, path, most)
            array = np.empty(math.prod(shape), np.uint8)
            found = 0
            while block := stream.read(min(_BLOCK, array.size - found)):
                array[found : found + len(block)] = np.frombuffer(block, np.uint8)
                found += len(block)
            longer = len(stream.read(1))  # reading to the end also verifies the checksum
    except EOFError:
        raise DataError(f"{path} is truncated: its compressed data has no end") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    _match(found + longer, array.size, shape, path)
    return array.reshape(shape)


def _shape(stream: io.BufferedIOBase, path: Path, most: int) -> tuple[int, ...]:
    magic = stream.read(4)
    if magic[:2] != b"\0\0"[: len(magic)]:
        hint = " (it is gzip: add .gz to its name)" if magic[:2] == b"\x1f\x8b" else ""
        raise DataError(f"{path} is not an IDX file: it begins with {_shown(magic)}{hint}")
    if len(magic) == 4 and magic[2] != 8:
        raise DataError(f"{path} holds items of type 0x{magic[2]:02x}, not unsigned bytes (0x08)")
    ndim = magic[3] if len(magic) == 4 else 0
    sizes = stream.read(4 * ndim)
    if len(magic) < 4 or len(sizes) < 4 * ndim:
        raise DataError(f"{path} is truncated: it ends within its header")
    shape = struct.unpack(f">{ndim}I", sizes)
    if not 0 < math.prod(shape) <= most or not 0 < ndim <= 32:
        said = f"{math.prod(shape):,} items in {ndim} dimensions" if ndim else "no dimensions"
        raise DataError(f"{path} has a wrong header: it claims {said} (allowed are 1 to {most:,})")
    return shape


def _match(found: int, items: int, shape: tuple[int, ...], path: Path) -> None:
    if found < items:
        raise DataError(f"{path} is truncated: {found:,} of {items:,} bytes for its shape {shape}")
    if found > items:
        raise DataError(f"{path} is too long: more than {items:,} bytes for its shape {shape}")


def _shown(data: bytes | bytearray) -> str:
    return data[:4].hex(" ") or "nothing"
