"""Effects of any number of pieces at once, as kernels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LENGTH", "joint_kernels", "likely"]

Floats = NDArray[np.float64]

LENGTH = 2.0
"""Longest that pieces' weights are together: of many pieces, effects of very many would else outweigh all others."""


def likely(sizes: Floats, strength: float, power: float) -> Floats:
    """Weights (d,) of pieces: the larger a piece's own effect (sizes in (0, 1]), the likelier it acts with others."""
    weights = strength * sizes**power
    return weights * min(1.0, LENGTH / float(np.linalg.norm(weights)))


def joint_kernels(first: Floats, second: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Kernels (m, n) between signs (m, d) and (n, d) of effects of 3, 5, … and of 2, 4, … pieces.

    With u_i = w_i s_i s'_i: ½ Π (1 + u_i) − ½ Π (1 − u_i) − Σ u_i, and ½ Π (1 + u_i) + ½ Π (1 − u_i) − 1. Each effect
    is as likely as the product of its pieces' weights (d,), all below 1.
    """
    more, less = np.ones((2, len(first), len(second)))
    for one, other, weight in zip(first.T, second.T, weights, strict=True):
        u = weight * np.outer(one, other)
        more *= 1 + u
        less *= 1 - u
    return (more - less) / 2 - (first * weights) @ second.T, (more + less) / 2 - 1
