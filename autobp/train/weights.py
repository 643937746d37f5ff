"""Weights in safetensors files, which other libraries can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from autobp.extras import needed
from autobp.files import written
from autobp.train.checkpoint import CheckpointError

__all__ = ["load_weights", "save_weights"]


def save_weights(path: str | os.PathLike[str], state_dict: Mapping[str, Any]) -> None:
    """Write what a model's `state_dict()` returns to a safetensors file, completely or not at all.

    >>> import tempfile
    >>> from autobp.train import load_weights, save_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/model.safetensors", {"layer.bias": np.zeros(2)})
    ...     load_weights(f"{folder}/model.safetensors")
    {'layer.bias': array([0., 0.])}
    """
    safetensors = needed("safetensors.numpy", "save_weights", "safetensors")
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            "save_weights takes a dict of arrays, as model.state_dict() gives, not"
            f" {type(state_dict).__name__}"
        )
    arrays = {}
    for name, value in state_dict.items():
        if not isinstance(value, np.ndarray | np.generic | float) or np.asarray(value).dtype == "O":
            raise TypeError(
                f"save_weights takes a dict of arrays, as model.state_dict() gives; {name!r} is of type"
                f" {type(value).__name__}"
            )
        arrays[name] = np.asarray(value, order="C")
    data = safetensors.save(arrays)
    with written(path) as file:
        file.write(data)


def load_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays in a safetensors file, as a model's `load_state_dict` takes them.

    A truncated file, or one of another format, raises an error. The format has no checksum: unlike
    in a checkpoint, a flipped bit in a number goes unnoticed.
    """
    safetensors = needed("safetensors.numpy", "load_weights", "safetensors")
    data = Path(path).read_bytes()
    try:
        return safetensors.load(data)
    except Exception as error:  # its own errors, and KeyError for types that NumPy lacks
        raise CheckpointError(f"{os.fspath(path)} is not a safetensors file: {error}") from error
