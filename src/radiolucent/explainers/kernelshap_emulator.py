"""Shapley values of the odd part of the score, learned by a Gaussian process from the coalitions asked.

With s = ±1 for shown and hidden, only the odd part (f(s) − f(−s))/2 of the score has Shapley values; its even part has
none (Fumagalli 2026, arXiv 2602.01399). What remains of the error are effects of three and more pieces at once, which
a regression on pieces alone takes for noise. Here they are learned from the same pairs (a regression adjustment, as in
Witter 2025, arXiv 2506.11849), and the values of what was learned are known in closed form. The kernels are ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["joint_effects", "neighbouring_effects", "odd_values"]

Floats = NDArray[np.float64]

REACHES = (0.15, 0.4)
"""Standard deviations of neighbourhoods that act together that are tried, as shares of the picture's longer side."""

STRENGTHS = (0.3, 0.6, 0.9)
"""Of the piece with the largest effect, how much more the effects that it takes part in are likely to be."""

LENGTH = 2.0
"""Longest that their weights are together: of many pieces, effects of very many would else outweigh all others."""

SHARES = (0.1, 0.003, 0.01, 0.03, 0.3)
"""Of the variance, for effects of several pieces, that are tried; kernels are compared at the first."""

NOISE = (1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Of the variance, for what no kernel explains, that are tried."""

GROUPS = 16
"""Left out in turn for standard errors (delete-a-group jackknife)."""


@dataclass(frozen=True, eq=False)
class Effects:
    """A kernel for effects of several pieces.

    Attributes:
        own: among the samples (n, n), of mean variance 1.
        values: weights of the samples (m, n) to the Shapley values (m, d) of the functions that they make.
    """

    own: Floats
    values: Callable[[Floats], Floats]

    def scaled(self) -> "Effects":
        size = float(np.trace(self.own)) / len(self.own)
        return Effects(self.own / size, lambda alphas: self.values(alphas) / size)


def odd_values(
    masks: NDArray[np.bool_], scores: Floats, whole: float, empty: float, centres: Floats, first: Floats
) -> tuple[Floats, Floats]:
    """Shapley values (d,) and their standard errors, summing to whole − empty.

    The odd part has the kernel (1 − c)·⟨s, s'⟩/d + c·k(s, s'), k for effects of several pieces. Which k, c, and the
    noise are chosen by marginal likelihood (Rasmussen & Williams 2006, eq. 5.8).

    Args:
        masks: (2p, d), pairs of complements. scores: (2p,). centres: (d, 2) of the pieces, as shares of the longer
            side. first: (d,) values by regression, from which the sizes of effects are taken.
    """
    pieces = masks.shape[1]
    signs = np.where(np.concatenate([masks[::2], np.ones((1, pieces), bool)]), 1.0, -1.0)
    odd = np.append((scores[::2] - scores[1::2]) / 2, (whole - empty) / 2)
    if not odd.any():
        return np.zeros(pieces), np.zeros(pieces)
    sizes = np.abs(first)
    sizes = np.maximum(sizes / sizes.max(), 0.05) if sizes.any() else np.ones(pieces)
    apart = ((centres[:, None] - centres[None]) ** 2).sum(-1)
    likely = [strength * sizes**power for strength in STRENGTHS for power in (0.5, 1.0)]
    tried = [joint_effects(signs, w * min(1.0, LENGTH / float(np.linalg.norm(w)))) for w in likely]
    tried += [neighbouring_effects(signs, np.exp(-apart / (2 * reach**2)) * sizes) for reach in REACHES]
    effects = [each.scaled() for each in tried]
    linear = signs @ signs.T / pieces
    found = [_fit((1 - SHARES[0]) * linear + SHARES[0] * each.own, odd) for each in effects]
    best = effects[int(np.argmax([likelihood for likelihood, _ in found]))]
    fits = [(*_fit((1 - c) * linear + c * best.own, odd), c) for c in SHARES]
    _, inverse, share = max(fits, key=lambda fit: fit[0])
    alphas = np.array([inverse @ odd, *_without(inverse, odd)])
    values = (1 - share) * 2 * alphas @ signs / pieces + share * best.values(alphas)
    values += (whole - empty - values.sum(1, keepdims=True)) / pieces
    groups = len(values) - 1
    left = values[1:] - values[1:].mean(0)
    return values[0], np.sqrt((groups - 1) / groups * (left**2).sum(0))


def _fit(kernel: Floats, odd: Floats) -> tuple[float, Floats]:
    """The largest log marginal likelihood over `NOISE`, with the variance at its best, and its inverse (n, n)."""
    spectrum, vectors = np.linalg.eigh(kernel)
    turned, count = (vectors.T @ odd) ** 2, len(odd)

    def likelihood(noise: float) -> float:
        sizes = np.maximum(spectrum, 0) + noise
        return float(-count * np.log(np.sum(turned / sizes) / count) - np.log(sizes).sum())

    noise = max(NOISE, key=likelihood)
    return likelihood(noise), (vectors / (np.maximum(spectrum, 0) + noise)) @ vectors.T


def _without(inverse: Floats, odd: Floats) -> Iterator[Floats]:
    """The solution without each group of samples in turn, from that with all; the whole film is never left out."""
    count, solved = len(odd), inverse @ odd
    groups = np.arange(count - 1) % min(GROUPS, count - 1)
    for group in range(int(groups.max()) + 1):
        out = np.flatnonzero(groups == group)
        found = solved - inverse[:, out] @ np.linalg.solve(inverse[np.ix_(out, out)], solved[out])
        found[out] = 0
        yield found


def joint_effects(signs: Floats, weights: Floats) -> Effects:
    """Effects of 3, 5, … pieces, each as likely as the product of its pieces' weights (d,) below 1.

    k = ½ Π_i (1 + u_i) − ½ Π_i (1 − u_i) − Σ_i u_i with u_i = w_i s_i s'_i. A product of t signs, t odd, gives each of
    its pieces 2/t, and ∫₀¹ x^(t−1) dx = 1/t: the values are an integral of a polynomial, which Gauss and Legendre have.
    """
    odd, even = np.ones((2, len(signs), len(signs)))
    for column, weight in zip(signs.T, weights, strict=True):
        u = weight * np.outer(column, column)
        odd *= 1 + u
        even *= 1 - u
    places, shares = np.polynomial.legendre.leggauss(max(2, -(-signs.shape[1] // 2)))

    def values(alphas: Floats) -> Floats:
        u, found = signs * weights, np.zeros((len(alphas), signs.shape[1]))
        for x, share in zip((places + 1) / 2, shares / 2, strict=True):
            more, less = (np.prod(1 + way * x * u, axis=1, keepdims=True) / (1 + way * x * u) for way in (1, -1))
            found += alphas @ (2 * share * u * ((more + less) / 2 - 1))
        return found

    return Effects((odd - even) / 2 - (signs * weights) @ signs.T, values)


def neighbouring_effects(signs: Floats, weights: Floats) -> Effects:
    """Effects of three pieces of one neighbourhood, Σ_p ⟨s, s'⟩_p³, with the neighbourhoods' weights (p, d).

    With u_i = w_i s_i s'_i, (Σ u_i)³ = Σ_i (3 Q − 2 u_i²) u_i + 6 Σ_{i<j<k} u_i u_j u_k, Q = Σ u².
    """
    shares = np.cbrt(weights.sum(1) / weights.sum())
    rows = weights / np.sqrt((weights**2).sum(1, keepdims=True)) * shares[:, None]

    def values(alphas: Floats) -> Floats:
        found = np.zeros((len(alphas), signs.shape[1]))
        for row in rows:
            u = signs * row
            squares, rest = (u * u).sum(1, keepdims=True), u.sum(1, keepdims=True) - u
            others = (rest * rest - (squares - u * u)) / 2  # Σ of u_j u_k over the other pieces
            found += alphas @ (2 * u * (3 * squares - 2 * u * u) + 4 * u * others)
        return found

    own = np.zeros((len(signs), len(signs)))
    for row in rows:
        inner = (signs * row) @ signs.T
        own += inner * inner * inner
    return Effects(own, values)
