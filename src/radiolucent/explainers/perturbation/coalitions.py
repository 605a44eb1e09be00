"""Which coalitions of pieces KernelSHAP asks for, and with which weight each stands for those not asked."""

from dataclasses import dataclass
from itertools import combinations, islice
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coalitions", "ShapSampling", "coalitions", "kernel_weight"]

ShapSampling = Literal["leverage", "kernel"]

LISTABLE = 20_000
"""Coalitions of one size up to which they are listed and drawn from the list."""


@dataclass(frozen=True, eq=False)
class Coalitions:
    """Pairs of a coalition and its complement.

    Attributes:
        masks: bool (2p, d): rows 2i and 2i + 1 are complements; neither empty nor whole.
        weights: (p,) of each pair in the regression.
        stratum: (p,) which sizes the pair has. share: (p,) of that stratum's pairs that were drawn, 1 when all.
    """

    masks: NDArray[np.bool_]
    weights: NDArray[np.float64]
    stratum: NDArray[np.intp]
    share: NDArray[np.float64]

    @property
    def complete(self) -> bool:
        """Whether all coalitions there are were drawn."""
        return bool((self.share >= 1).all())


def kernel_weight(pieces: int, size: int) -> float:
    """Shapley kernel (d − 1) / (C(d, s) s (d − s)). Source: Lundberg & Lee 2017, theorem 2."""
    return (pieces - 1) / (comb(pieces, size) * size * (pieces - size))


def coalitions(pieces: int, samples: int, how: ShapSampling, rng: np.random.Generator) -> Coalitions:
    """About `samples` coalitions in complementary pairs (Covert & Lee 2021), or all where there are no more.

    "leverage": a pair is drawn with a probability in proportion to its leverage score 1/C(d, s), without replacement:
    equally many of each size, all of a size where that is fewer (Musco & Witter 2024; the number of each size is
    rounded at random rather than drawn, which only lessens the variance). A pair's weight is the kernel over the
    probability of drawing it.
    "kernel": size s with probability in proportion to 1/(s(d − s)), then any coalition of it, with replacement, all
    with the same weight.
    """
    sizes = np.arange(1, pieces // 2 + 1)
    there = [comb(pieces, int(s)) // (2 if 2 * s == pieces else 1) for s in sizes]
    pairs = min(max(samples // 2, 1), sum(there))
    # both members' kernel weights, of all pairs of a size
    mass = np.array([2 * n * kernel_weight(pieces, int(s)) for n, s in zip(there, sizes, strict=True)])
    if how == "leverage" or pairs == sum(there):
        expected = _even(np.array(there, float), pairs)
        counts = _rounded(expected, rng)
        drawn = np.where(expected >= 1, counts, expected)
    else:
        counts = rng.multinomial(pairs, mass / mass.sum())
        drawn = pairs * mass / mass.sum()
    draw = _unlike if how == "leverage" or pairs == sum(there) else _random
    masks = [draw(pieces, int(s), int(c), rng) for s, c in zip(sizes, counts, strict=True)]
    shown = np.concatenate(masks)
    stratum = np.repeat(np.arange(len(sizes)), [len(m) for m in masks])
    share = np.array([c / n for c, n in zip(counts, there, strict=True)]) if how == "leverage" else np.zeros(len(sizes))
    share = np.ones(len(sizes)) if pairs == sum(there) else share
    weights = (mass / drawn)[stratum]
    both = np.stack([shown, ~shown], axis=1).reshape(-1, pieces)
    return Coalitions(both, weights, stratum, share[stratum])


def _even(there: NDArray[np.float64], pairs: int) -> NDArray[np.float64]:
    """Expected number of pairs of each size: min(all, c) with c such that they sum to `pairs`."""
    order = np.sort(there)
    left = float(pairs)
    for i, n in enumerate(order):
        c = left / (len(order) - i)
        if n >= c:
            return np.minimum(there, c)
        left -= n
    return there


def _rounded(expected: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """Whole numbers with these means and their sum kept (systematic sampling)."""
    edges = np.floor(np.concatenate([[0.0], np.cumsum(expected)]) + rng.random() + 1e-9)
    return np.diff(edges).astype(np.intp)


def _unlike(pieces: int, size: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """`count` different coalitions of a size (count, d); at d/2 one of each pair, the one with piece 0."""
    there = comb(pieces, size) // (2 if 2 * size == pieces else 1)
    if there <= LISTABLE:
        rows = np.array(list(islice(combinations(range(pieces), size), there)))  # at d/2 the first half holds piece 0
        masks = np.zeros((count, pieces), bool)
        np.put_along_axis(masks, rows[rng.permutation(there)[:count]], True, axis=1)
        return masks
    found = _random(pieces, size, count, rng)
    if 2 * size == pieces:
        found ^= ~found[:, :1]
    while len(found := np.unique(found, axis=0)) < count:
        more = _random(pieces, size, count - len(found), rng)
        found = np.concatenate([found, more ^ ~more[:, :1] if 2 * size == pieces else more])
    return found


def _random(pieces: int, size: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    return rng.random((count, pieces)).argsort(axis=1) < size
