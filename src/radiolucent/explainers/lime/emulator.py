"""What the network would have said to many more masks: a Gaussian process over which superpixels are shown.

LIME's coefficients are those of a linear model over infinitely many masks; the masks drawn leave an error, most of
which are effects of several pieces at once that happen to look like one piece's. Such effects are learned from the same
samples, as a prior favours: pieces that act together lie together. Source: Gaussian-process emulators (O'Hagan 2006);
hyperparameters by marginal likelihood (Rasmussen & Williams 2006, eq. 5.8); the kernels are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.explainers.lime.design import design

__all__ = ["Emulated", "emulate"]

Floats = NDArray[np.float64]

MANY = 2048
"""Masks the emulator is asked about: what they add to the error is small beside what the samples leave."""

REACH = 0.15
"""Standard deviation of the neighbourhood that acts together, as a share of the picture's longer side."""

SHARES = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Of the variance, for effects of several pieces, that are tried."""

NOISE = (1e-7, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Of the variance, for what no kernel explains, that are tried."""

GROUPS = 16
"""Left out in turn for standard errors (delete-a-group jackknife)."""


@dataclass(frozen=True, eq=False)
class Emulated:
    """Emulated scores of a class at other masks.

    Attributes:
        masks: (1 + m, d), all shown first, then pairs of complements (balanced).
        scores: (1 + m,), the Gaussian process' posterior mean; of the first mask as measured.
        without: (groups, 1 + m), the same with each group of samples left out.
    """

    masks: NDArray[np.bool_]
    scores: Floats
    without: Floats


def emulate(
    masks: NDArray[np.bool_], scores: Sequence[Floats], centres: Floats, rng: np.random.Generator
) -> list[Emulated]:
    """Scores at `MANY` other masks, by a Gaussian process on the pairs drawn; one for each class's scores.

    With s = ±1 for shown and hidden, a pair of complements gives the odd part (f(s) − f(−s))/2 and the even part
    (f(s) + f(−s))/2 of the score. The odd part has the kernel a·⟨s, s'⟩ + b·Σ_p c_p ⟨s, s'⟩_p³, the even part
    b·Σ_p ⟨s, s'⟩_p², where ⟨s, s'⟩_p weighs each piece by its nearness to piece p, and in the odd part by the size of
    its own effect (effects of several pieces are largest among pieces that act alone: heredity).

    Args:
        masks: (n, d) as drawn, the first row all shown, then pairs of complements. scores: (n,) each, of these masks.
        centres: (d, 2), see `superpixels.places`. rng: for the other masks.
    """
    count = (len(masks) - 1) // 2
    others = design(masks.shape[1], 1 + MANY, "balanced", rng)
    drawn, asked = (np.where(m, 1.0, -1.0) for m in (masks[1 : 2 * count : 2], others[1::2]))
    apart = ((centres[:, None] - centres[None]) ** 2).sum(-1)
    near = np.exp(-apart / (2 * REACH**2))
    plain, pairs = _scaled(drawn @ drawn.T, asked @ drawn.T), _local(drawn, asked, near, 2)
    groups = np.arange(count) % min(GROUPS, count)

    def emulated(own: Floats) -> Emulated:
        first, second = own[1 : 2 * count : 2], own[2 : 2 * count + 1 : 2]
        odd, even = (first - second) / 2, (first + second) / 2
        effects = np.abs(np.linalg.lstsq(drawn, odd, rcond=None)[0])
        effects = np.maximum(effects, 0.05 * effects.max()) if effects.max() > 0 else np.ones_like(effects)
        of_odd = _posterior(odd, plain, _local(drawn, asked, near * effects, 3), groups)
        of_even = _posterior(even - even.mean(), None, pairs, groups)
        both = np.stack([of_even + of_odd, of_even - of_odd], axis=-1).reshape(len(of_odd), -1) + even.mean()
        found = np.concatenate([np.full((len(both), 1), own[0]), both], axis=1)
        return Emulated(others, found[0], found[1:])

    return [emulated(own) for own in scores]


def _scaled(own: Floats, other: Floats) -> tuple[Floats, Floats]:
    """A kernel among the samples (n, n) and to other masks (m, n), with a mean variance of 1."""
    size = np.trace(own) / len(own)
    return own / size, other / size


def _local(drawn: Floats, asked: Floats, weights: Floats, power: int) -> tuple[Floats, Floats]:
    """Σ_p c_p ⟨s, s'⟩_p^power over neighbourhoods p with weights (p, d), c_p their sums."""
    sizes = weights.sum(1)
    weights = weights / np.sqrt((weights**2).sum(1, keepdims=True))
    own, other = np.zeros((len(drawn), len(drawn))), np.zeros((len(asked), len(drawn)))
    for size, row in zip(sizes / sizes.sum(), weights, strict=True):
        right = (drawn * row).T
        own += size * _power(drawn @ right, power)
        other += size * _power(asked @ right, power)
    return _scaled(own, other)


def _power(values: Floats, power: int) -> Floats:
    squared = values * values  # much faster than **
    return squared if power == 2 else squared * values


def _posterior(
    values: Floats, linear: tuple[Floats, Floats] | None, local: tuple[Floats, Floats], groups: NDArray[np.intp]
) -> Floats:
    """Posterior means (1 + groups, m): with all samples, then without each group; 0 where the values do not vary."""
    count, last = len(values), int(groups.max())
    if not values.any():
        return np.zeros((2 + last, len(local[1])))

    def mixed(which: int, share: float) -> Floats:
        return share * local[which] if linear is None else (1 - share) * linear[which] + share * local[which]

    best: tuple[float, float, Floats, Floats] | None = None
    for share in SHARES if linear is not None else (1.0,):
        spectrum, vectors = np.linalg.eigh(mixed(0, share))  # then any noise costs next to nothing
        turned = (vectors.T @ values) ** 2
        for noise in NOISE:
            sizes = np.maximum(spectrum, 0) + noise
            likelihood = -count * np.log(np.sum(turned / sizes) / count) - np.log(sizes).sum()  # variance at its best
            if best is None or likelihood > best[0]:
                best = (float(likelihood), share, sizes, vectors)
    assert best is not None
    _, share, sizes, vectors = best
    inverse, other = (vectors / sizes) @ vectors.T, mixed(1, share)
    weights = np.zeros((2 + last, count))
    weights[0] = inverse @ values
    for group in range(1 + last):  # the solution without some samples, from that with all
        out, kept = np.flatnonzero(groups == group), np.flatnonzero(groups != group)
        drop = np.linalg.solve(inverse[np.ix_(out, out)], weights[0, out])
        weights[1 + group, kept] = weights[0, kept] - inverse[np.ix_(kept, out)] @ drop
    return weights @ other.T
