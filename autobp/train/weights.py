"""Weights in safetensors files, which other libraries can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from autobp.errors import file_path
from autobp.extras import needed
from autobp.files import written
from autobp.habits import checks_keywords
from autobp.train.checkpoint import CheckpointError

__all__ = ["load_weights", "save_weights"]

_DTYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32",
    "float64",
)  # fmt: skip


@checks_keywords
def save_weights(path: str | os.PathLike[str], state_dict: Mapping[str, Any]) -> None:
    """Write what a model's `state_dict()` returns to a safetensors file, completely or not at all.

    >>> import tempfile
    >>> from autobp.train import load_weights, save_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/model.safetensors", {"layer.bias": np.zeros(2)})
    ...     load_weights(f"{folder}/model.safetensors")
    {'layer.bias': array([0., 0.])}
    """
    path = file_path(path, "save_weights")
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
        arrays[_checked_name(name)] = np.asarray(value, order="C")
        if (dtype := arrays[name].dtype).name not in _DTYPES:
            raise TypeError(
                f"save_weights: {name!r} holds {dtype}, and safetensors files hold {', '.join(_DTYPES)}"
            )
    data = safetensors.save(arrays)
    with written(path) as file:
        file.write(data)


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"save_weights: the names of arrays are texts, not {name!r:.50}")
    if name == "__metadata__":
        raise ValueError(
            "save_weights: no array can have the name '__metadata__', which the format reserves"
        )
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"save_weights: the name {name!r} is no valid text") from error
    return name


@checks_keywords
def load_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays in a safetensors file, as a model's `load_state_dict` takes them.

    A truncated file, or one of another format, raises an error. The format has no checksum: unlike
    in a checkpoint, a flipped bit in a number goes unnoticed.
    """
    safetensors = needed("safetensors.numpy", "load_weights", "safetensors")
    data = file_path(path, "load_weights").read_bytes()
    try:
        return safetensors.load(data)
    except KeyError as error:  # of a type that NumPy lacks
        raise CheckpointError(
            f"{os.fspath(path)} holds {error.args[0]} numbers, which NumPy does not have: convert them to"
            " float32 with the library that wrote them"
        ) from error
    except Exception as error:
        raise CheckpointError(f"{os.fspath(path)} is not a safetensors file: {error}") from error
