"""Checkpoints: nests of arrays, numbers and text in one `.npz`, without pickle.

The file holds each array under its path in the nest, for NumPy and people to look at, and a text
member, "autobp", with the form of the nest. It is whole or not there: see `autobp.files`.
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from typing import Any

import numpy as np

from autobp.errors import file_path
from autobp.files import written
from autobp.habits import checks_keywords
from autobp.train.values import are_plain

__all__ = ["CheckpointError", "load_checkpoint", "save_checkpoint"]

_HEAD = "autobp"
_TAKEN = (_HEAD, "file", "allow_pickle")  # the last two are names of np.savez
_VERSION = 1
_ZIP = b"PK\x03\x04"


class CheckpointError(ValueError):
    """A file that is no checkpoint, or is damaged, or belongs to something else."""


@checks_keywords
def save_checkpoint(path: str | os.PathLike[str], state: Any) -> None:
    """Write a nest of dicts, lists and tuples with arrays, numbers, text and None in it. Whoever
    looks at `path`, and whenever the machine stops, finds the old file or the new one.

    >>> import tempfile
    >>> from autobp import Tensor
    >>> from autobp.optim import SGD
    >>> from autobp.train import load_checkpoint, save_checkpoint
    >>> w, rng = Tensor([1.0, 2.0]), np.random.default_rng(0)
    >>> state = {"w": w.numpy(), "optimizer": SGD([w]).state_dict(), "rng": rng.bit_generator.state}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.npz", state)
    ...     load_checkpoint(f"{folder}/run.npz")["w"]
    array([1., 2.])
    """
    path = file_path(path, "save_checkpoint")
    arrays: dict[str, Any] = {}
    try:
        form = _form(state, "", arrays)
        head = json.dumps({"version": _VERSION, "state": form})
    except RecursionError:
        raise ValueError(
            "save_checkpoint: the state is nested too deeply, or holds itself; a checkpoint holds"
            f" nests of a few hundred levels at most. {_deepest(state)}"
        ) from None
    arrays[_HEAD] = np.array(head.encode())
    data = BytesIO()
    np.savez(data, **arrays)
    with written(path) as file:
        file.write(data.getbuffer())


@checks_keywords
def load_checkpoint(path: str | os.PathLike[str]) -> Any:
    """The nest that `save_checkpoint` has written, exactly.

    Every byte of the arrays is checked. A file that is damaged, cut short or something else is
    refused with a `CheckpointError`, which says what is wrong.
    """
    path = file_path(path, "load_checkpoint")
    name, data = os.fspath(path), path.read_bytes()
    if not data:
        raise CheckpointError(f"{name} is empty")
    if not data.startswith(_ZIP):
        raise CheckpointError(f"{name} is no checkpoint: it does not begin as an .npz does")
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            members = {member: archive[member] for member in archive.files}
    except Exception as error:  # whatever the readers of zip and npy stumble over
        raise CheckpointError(f"{name} is damaged or cut short: {error}") from error
    if _HEAD not in members:
        held = ", ".join(members) or "nothing"
        raise CheckpointError(f"{name} is no checkpoint of autobp: it holds {held:.60}")
    try:
        head = json.loads(members.pop(_HEAD).item())
        version = head["version"]
        if version != _VERSION:
            raise CheckpointError(
                f"{name} has version {version} of the format, this autobp reads {_VERSION}"
            )
        return _nest(head["state"], members)
    except RecursionError:
        raise CheckpointError(f"{name} is damaged: its parts are nested too deeply") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{name} is damaged: its parts do not belong together") from error


def _form(nest: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """A nest as JSON has it, the arrays put aside. What JSON cannot tell apart is a list whose first
    entry says what it is."""
    if type(nest) is int and not are_plain([nest]):
        raise ValueError(
            f"save_checkpoint: {path.strip('/') or 'the state'} is a whole number of {nest.bit_length():,}"
            " bits; a checkpoint holds those of at most 4,096: write str(x), or hex(x)"
        )
    if nest is None or type(nest) in (bool, int, float, str):
        return nest
    if isinstance(nest, np.ma.MaskedArray):
        raise TypeError(
            f"save_checkpoint: {path.strip('/') or 'the state'} is a masked array, whose mask a checkpoint"
            " does not hold: save x.data and x.mask"
        )
    if isinstance(nest, np.ndarray | np.generic) and not nest.dtype.hasobject:
        member = path.strip("/").replace("\0", "?") or "value"
        while member in arrays or member in _TAKEN or member.endswith(".npy"):
            member += "_"
        arrays[member] = np.asarray(nest)
        return ["array" if isinstance(nest, np.ndarray) else "number", member]
    if type(nest) in (list, tuple):
        if are_plain(nest):
            return [type(nest).__name__, *nest]
        return [type(nest).__name__, *(_form(v, f"{path}/{i}", arrays) for i, v in enumerate(nest))]
    if isinstance(nest, dict):
        entries = [
            [_form(k, f"{path}/", arrays), _form(v, f"{path}/{k}", arrays)] for k, v in nest.items()
        ]
        return ["dict", *entries]
    kind = f"an array of {nest.dtype}" if isinstance(nest, np.ndarray) else type(nest).__name__
    raise TypeError(
        f"save_checkpoint: {path.strip('/') or 'the state'} is {kind}; a checkpoint holds dicts,"
        " lists and tuples of arrays, numbers, text and None (a Tensor's .numpy(), a Generator's"
        " .bit_generator.state)"
    )


def _deepest(nest: Any) -> str:
    """Where to look for what is nested deeply: the first entries of the way there."""
    path, levels, seen = [], 0, set[int]()
    level = [(nest, "")]
    while level and levels < 5000:
        inner = []
        for x, way in level:
            if isinstance(x, dict | list | tuple) and id(x) not in seen:
                seen.add(id(x))
                entries = x.items() if isinstance(x, dict) else enumerate(x)
                inner += [(v, f"{way}/{k}" if len(way) < 40 else way) for k, v in entries]
        path, level, levels = [way for _, way in level], inner, levels + 1
    return f"It has {levels} levels or more, in {path[0].strip('/')}/…"


def _nest(form: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(form, list):
        return form
    kind, *parts = form
    if kind == "list" and are_plain(parts):
        return parts
    if kind == "dict":
        return {_nest(k, arrays): _nest(v, arrays) for k, v in parts}
    if kind in ("array", "number"):
        array = arrays[parts[0]]
        return array if kind == "array" else array[()]
    made = [_nest(part, arrays) for part in parts]
    return {"list": list, "tuple": tuple}[kind](made)
