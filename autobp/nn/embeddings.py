"""Embedding: a learned vector for each of a number of things: words, characters, users."""

from __future__ import annotations

from typing import Any

import numpy as np

from autobp.arrays import array_of
from autobp.data.points import Seed
from autobp.habits import checks_keywords
from autobp.nn.initializers import Initializer, normal
from autobp.nn.module import Module
from autobp.optim.option import count
from autobp.primitive import Array, constant, numbers
from autobp.rules.indexing import getitem
from autobp.rules.neural import floating
from autobp.tensor import Tensor

__all__ = ["Embedding", "embedding"]


@checks_keywords
def embedding(indices: Any, weight: Array, padding_idx: int | None = None) -> Array:
    """The rows of `weight` at the indices. The row `padding_idx` gets no gradient.

    >>> import numpy as np
    >>> from autobp import nn
    >>> nn.embedding([[0, 2]], np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    array([[[1., 2.],
            [5., 6.]]])
    """
    indices, weight = array_of(indices), floating(weight)
    n = weight.shape[0]
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding: indices must be whole numbers, not {indices.dtype}")
    every = numbers(indices)
    if every.size and not 0 <= np.min(every) <= np.max(every) < n:
        raise IndexError(
            f"embedding: indices are 0 to {n - 1}, not {np.min(every)} to {np.max(every)}"
        )
    rows = getitem(weight, index=indices)
    if padding_idx is None:
        return rows
    if not -n <= padding_idx < n:
        raise IndexError(f"embedding: padding_idx={padding_idx} is not one of {n} rows")
    padding = padding_idx % n
    return np.where(np.expand_dims(indices == padding, -1), constant(weight)[padding], rows)


class Embedding(Module):
    """A vector of `embedding_dim` numbers for each whole number below `num_embeddings`.

    The vectors are drawn from the standard normal distribution, or by `init`; that of `padding_idx` is
    0 and stays so.

    >>> from autobp import nn
    >>> layer = nn.Embedding(10, 3, padding_idx=0, rng=0)
    >>> layer([[1, 2, 0]]).shape
    (1, 3, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        init: Initializer | None = None,
        rng: Seed = None,
    ) -> None:
        self.num_embeddings: int = count("Embedding: num_embeddings", num_embeddings, 1)
        self.embedding_dim: int = count("Embedding: embedding_dim", embedding_dim, 1)
        self.padding_idx = padding_idx
        shape = (num_embeddings, embedding_dim)
        drawn = (init or normal(1.0))(shape, np.random.default_rng(rng))
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx={padding_idx} is not one of the rows")
            drawn[padding_idx] = 0.0
        self.weight: Tensor = Tensor(drawn)

    def forward(self, x: Any) -> Tensor:
        return embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
