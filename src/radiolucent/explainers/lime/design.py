"""Which pieces are shown in which sample."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sampling", "design"]

Sampling = Literal["paired", "balanced", "random"]


def design(pieces: int, samples: int, how: Sampling, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Masks (n, d), True where a piece is shown; the first row shows all.

    "random": each piece shown with probability ½, as lime does. "paired": each random mask is followed by its
    complement, which cancels all effects of even order (Covert & Lee 2021). "balanced": rows of a Hadamard matrix with
    shuffled columns and signs, each followed by its complement: main effects are also orthogonal to each other, as far
    as samples allow (n ≥ 2d).
    """
    count = max(samples - 1, 1)
    if how == "random":
        masks = rng.random((count, pieces)) < 0.5
    else:
        half = -(-count // 2)
        rows = _balanced(pieces, half, rng) if how == "balanced" else rng.random((half, pieces)) < 0.5
        masks = np.stack([rows, ~rows], axis=1).reshape(-1, pieces)[:count]
    return np.concatenate([np.ones((1, pieces), bool), masks])


def _balanced(pieces: int, half: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """`half` rows of Hadamard designs: whole designs of order 2^k > d, then a part of a last one."""
    from scipy.linalg import hadamard

    order = 1 << int(np.ceil(np.log2(pieces + 1)))
    while order * 2 <= half:
        order *= 2
    base = hadamard(order) > 0
    parts: list[NDArray[np.bool_]] = []
    while sum(len(p) for p in parts) < half:
        columns = rng.permutation(order - 1)[:pieces] + 1  # not the constant column
        flips = rng.random(pieces) < 0.5
        parts.append((base[:, columns] ^ flips)[rng.permutation(order)])
    return np.concatenate(parts)[:half]
