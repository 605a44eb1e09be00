"""STAPLE: the marking that several readers' markings are most likely copies of, and how well each reader copies it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import marks

__all__ = ["Staple", "staple"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Staple:
    """What STAPLE found.

    Attributes:
        probability: (N,) that a pixel truly belongs to the marking.
        sensitivity, specificity: (R,) of each reader, against that hidden truth.
        prior: share of true pixels assumed before looking.
        rounds: taken. converged: whether the last one moved no reader's figures by more than the tolerance.
    """

    probability: Floats
    sensitivity: Floats
    specificity: Floats
    prior: float
    rounds: int
    converged: bool


def staple(
    decisions: NDArray[Any], *, prior: float | None = None, tolerance: float = 1e-9, rounds: int = 10_000
) -> Staple:
    """Expectation–maximisation for the hidden true marking (Warfield, Zou & Wells 2004).

    E: W_i = a_i / (a_i + b_i), a_i = π Π_j p_j^D_ij (1 − p_j)^(1 − D_ij),
    b_i = (1 − π) Π_j q_j^(1 − D_ij) (1 − q_j)^D_ij.
    M: p_j = Σ_i W_i D_ij / Σ_i W_i, q_j = Σ_i (1 − W_i)(1 − D_ij) / Σ_i (1 − W_i).
    It starts from p = q = .99999, as the paper does, so that "marked" means marked. Pixels on which readers said the
    same are one term: cost grows with the number of patterns, not of pixels.

    Args:
        decisions: bool or 0/1 (R, N), R ≥ 2 readers, N pixels (or films).
        prior: π; the mean of all decisions unless given (the paper's choice).

    Raises:
        ConfigError: fewer than two readers, no pixels, values other than 0 and 1 (a pixel that a reader was not asked
            about is not unmarked: leave it out), or a prior outside (0, 1).
    """
    marked = marks(decisions, "decisions")
    if marked.ndim != 2 or marked.shape[0] < 2 or not marked.shape[1]:
        raise ConfigError(f"decisions {marked.shape}; expected (readers, pixels) with at least two readers.")
    patterns, where, count = np.unique(marked.T, axis=0, return_inverse=True, return_counts=True)
    d, weight = patterns.T.astype(np.float64), count.astype(np.float64)
    share = float(marked.mean()) if prior is None else prior
    if share in (0.0, 1.0) and prior is None:  # nobody marked anything, or everybody everything: nothing is hidden
        return Staple(marked[0].astype(float), np.full(len(d), np.nan), np.full(len(d), np.nan), share, 0, True)
    if not 0 < share < 1:
        raise ConfigError(f"prior {share}; expected a share between 0 and 1.")
    p, q = np.full(len(d), 0.99999), np.full(len(d), 0.99999)
    truth, done, moved = np.zeros(len(weight)), 0, np.inf
    while done < rounds and moved > tolerance:
        truth = _expect(d, p, q, share)
        is_true, is_false = weight * truth, weight * (1 - truth)
        new_p = (d @ is_true) / max(is_true.sum(), 1e-300)
        new_q = ((1 - d) @ is_false) / max(is_false.sum(), 1e-300)
        moved = float(max(np.abs(new_p - p).max(), np.abs(new_q - q).max()))
        p, q, done = new_p, new_q, done + 1
    return Staple(truth[where.ravel()], p, q, share, done, moved <= tolerance)


def _expect(d: Floats, p: Floats, q: Floats, prior: float) -> Floats:
    """W of each pattern, in logarithms: many readers' products underflow."""
    low = 1e-300
    yes = np.log(prior) + d.T @ np.log(np.maximum(p, low)) + (1 - d.T) @ np.log(np.maximum(1 - p, low))
    no = np.log1p(-prior) + (1 - d.T) @ np.log(np.maximum(q, low)) + d.T @ np.log(np.maximum(1 - q, low))
    return 1 / (1 + np.exp(np.clip(no - yes, -700, 700)))
