"""Shapley values of the odd part of the score, learned by a Gaussian process from the coalitions asked.

With s = ±1 for shown and hidden, only the odd part (f(s) − f(−s))/2 of the score has Shapley values; its even part has
none (Fumagalli 2026, arXiv 2602.01399, theorem 3.2). What remains of the error are effects of three and more pieces at
once, which a regression on pieces alone takes for noise. Here they are learned from the same pairs (a regression
adjustment, Witter 2025, arXiv 2506.11849), and the values of what was learned are known in closed form.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["cubic_values", "odd_values"]

Floats = NDArray[np.float64]

REACHES = (0.15, 0.4)
"""Standard deviations of neighbourhoods that act together that are tried, as shares of the picture's longer side."""

SHARES = (0.0, 0.01, 0.03, 0.1, 0.3, 0.6)
"""Of the variance, for effects of three pieces, that are tried."""

NOISE = (1e-7, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Of the variance, for what no kernel explains, that are tried."""

GROUPS = 16
"""Left out in turn for standard errors (delete-a-group jackknife)."""


def odd_values(
    masks: NDArray[np.bool_], scores: Floats, whole: float, empty: float, centres: Floats, first: Floats
) -> tuple[Floats, Floats]:
    """Shapley values (d,) and their standard errors, summing to whole − empty.

    The odd part has the kernel (1 − c)·⟨s, s'⟩ + c·Σ_p ⟨s, s'⟩_p³, where ⟨s, s'⟩_p weighs each piece by its nearness to
    piece p and by the size of its own effect; c, the neighbourhoods' size and the noise are chosen by marginal
    likelihood (Rasmussen & Williams 2006, eq. 5.8).

    Args:
        masks: (2p, d), pairs of complements. scores: (2p,). centres: (d, 2) of the pieces, as shares of the longer
            side. first: (d,) values by regression, from which the sizes of effects are taken.
    """
    pieces = masks.shape[1]
    signs = np.where(np.concatenate([masks[::2], np.ones((1, pieces), bool)]), 1.0, -1.0)
    odd = np.append((scores[::2] - scores[1::2]) / 2, (whole - empty) / 2)
    total, count = whole - empty, len(odd)
    if not odd.any():
        return np.zeros(pieces), np.zeros(pieces)
    effects = np.maximum(np.abs(first), 0.05 * np.abs(first).max()) if first.any() else np.ones(pieces)
    apart = ((centres[:, None] - centres[None]) ** 2).sum(-1)
    linear = signs @ signs.T / pieces
    best: tuple[float, float, Floats, Floats, float] | None = None
    for reach in REACHES:
        weights = _neighbourhoods(np.exp(-apart / (2 * reach**2)) * effects)
        cubic = np.sum([_power(signs, row) for row in weights], axis=0)
        size = float(np.trace(cubic)) / count
        for share in SHARES:
            spectrum, vectors = np.linalg.eigh((1 - share) * linear + share / size * cubic)
            turned = (vectors.T @ odd) ** 2
            for noise in NOISE:
                sizes = np.maximum(spectrum, 0) + noise
                likelihood = -count * np.log(np.sum(turned / sizes) / count) - np.log(sizes).sum()
                if best is None or likelihood > best[0]:
                    best = float(likelihood), share / size, (vectors / sizes) @ vectors.T, weights, 1 - share
    assert best is not None
    _, of_three, inverse, weights, of_one = best
    alphas = np.array([inverse @ odd, *_without(inverse, odd)])
    values = of_one * 2 * alphas @ signs / pieces + of_three * cubic_values(alphas, signs, weights)
    values += (total - values.sum(1, keepdims=True)) / pieces
    left = values[1:] - values[1:].mean(0)
    groups = len(left)
    return values[0], np.sqrt((groups - 1) / groups * (left**2).sum(0))


def _neighbourhoods(weights: Floats) -> Floats:
    """Weights of pieces (p, d), such that ⟨s, s⟩_p³ of a neighbourhood is as large as its sum."""
    sizes = weights.sum(1) / weights.sum()
    return weights / np.sqrt((weights**2).sum(1, keepdims=True)) * np.cbrt(sizes)[:, None]


def _power(signs: Floats, row: Floats) -> Floats:
    """⟨s, s'⟩_p³ among the samples."""
    inner = (signs * row) @ signs.T
    return inner * inner * inner


def _without(inverse: Floats, odd: Floats) -> Iterator[Floats]:
    """The solution without each group of samples in turn, from that with all; the whole film is never left out."""
    count, solved = len(odd), inverse @ odd
    groups = np.arange(count - 1) % min(GROUPS, count - 1)
    for group in range(int(groups.max()) + 1):
        out = np.flatnonzero(groups == group)
        found = solved - inverse[:, out] @ np.linalg.solve(inverse[np.ix_(out, out)], solved[out])
        found[out] = 0
        yield found


def cubic_values(alphas: Floats, signs: Floats, weights: Floats) -> Floats:
    """Shapley values (m, d) of Σ_n α_n Σ_p ⟨s, s_n⟩_p³ for each row of α (m, n).

    With u_i = w_i s_ni, (Σ u_i s_i)³ = Σ_i (3 Q − 2 u_i²) u_i s_i + 6 Σ_{i<j<k} u_i u_j u_k s_i s_j s_k, Q = Σ u². A
    product of t signs, t odd, gives each of its pieces 2/t.
    """
    found = np.zeros((len(alphas), signs.shape[1]))
    for row in weights:
        u = signs * row
        total, squares = u.sum(1, keepdims=True), (u * u).sum(1, keepdims=True)
        rest = total - u
        others = (rest * rest - (squares - u * u)) / 2  # Σ of u_j u_k over the other pieces
        found += alphas @ (2 * u * (3 * squares - 2 * u * u) + 4 * u * others)
    return found
