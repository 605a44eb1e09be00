"""How well scores rank: AUROC and average precision, for thousands of bootstrap folds over scores sorted once."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats, Mask, both_classes, paired
from radiolucent.metrics.delong import FEW, delong_auroc
from radiolucent.metrics.intervals import exact_low, jackknife_interval, undefined
from radiolucent.metrics.proportions import rarer_worth
from radiolucent.metrics.resample import Groups, bootstrap, bootstrap_method, clusters_of
from radiolucent.types import Estimate

__all__ = ["Ranks", "auroc", "average_precision", "perfect_auroc"]


_MOST, _CELLS = 50_000_000, 1 << 18  # weights in all, and at a time, that leaving out patients may take


class Ranks:
    """Scores sorted once, so that the weighted AUROC and average precision of many folds are cumulative sums.

    Args:
        positive: bool (N,). scores: float (N,), no not-a-number. Falling scores save a copy of the weights a fold.
    """

    def __init__(self, positive: Mask, scores: Floats) -> None:
        order = np.argsort(-scores, kind="stable")
        self._order = None if (order == np.arange(len(order))).all() else order
        self._positive = positive[order].astype(np.float64)
        ranked = scores[order]
        last = np.append(ranked[1:] != ranked[:-1], True)
        self._ends = None if last.all() else np.flatnonzero(last)

    def __call__(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weighted AUROC and average precision, each (folds,), from weights (folds, N).

        AUROC = Σ_s FP(s) · (TP(>s) + TP(s)/2) / (P · N) over distinct scores s: ties count half; not-a-number in a fold
        with one class. AP = Σ_s ΔTP(s)/P · TP(≥s)/(TP(≥s) + FP(≥s)), as scikit-learn; not-a-number without a positive.
        """
        ranked = weights if self._order is None else weights[:, self._order]
        true_here = ranked * self._positive
        true, every = np.cumsum(true_here, axis=1), np.cumsum(ranked, axis=1)
        if self._ends is not None:
            true, every = true[:, self._ends], every[:, self._ends]
            true_here, ranked = np.diff(true, axis=1, prepend=0), np.diff(every, axis=1, prepend=0)
        positives, negatives = true[:, -1].copy(), every[:, -1] - true[:, -1]
        # Σ FP(s) TP(≥s) less half the tied pairs Σ FP(s) TP(s); FP(s) is all cases at s but the true ones.
        pairs = np.einsum("fu,fu->f", ranked, true) - np.einsum("fu,fu->f", true_here, true)
        if self._ends is not None:
            pairs -= np.einsum("fu,fu->f", ranked - true_here, true_here) / 2
        np.maximum(every, 1e-300, out=every)
        gained = np.einsum("fu,fu->f", true_here, np.divide(true, every, out=true))
        with np.errstate(invalid="ignore", divide="ignore"):
            return pairs / (positives * negatives), gained / positives


def perfect_auroc(positive: Mask, groups: Groups, level: float) -> float:
    """Exact lower bound of an AUROC of 1, whose sample variance is 0.

    K disjoint pairs (a patient with a positive film, another with a negative one), all in order, are K successes of
    K independent trials with chance AUROC each: ((1 − level)/2)^(1/K), with K the most such pairs there are.

    >>> round(perfect_auroc(np.array([True] * 50 + [False] * 200), None, 0.95), 3)
    0.929
    """
    index, clusters = clusters_of(groups, len(positive))
    with_positive, with_negative = len(np.unique(index[positive])), len(np.unique(index[~positive]))
    return exact_low(min(with_positive, with_negative, clusters // 2), level)


def auroc(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    interval: Literal["delong", "bootstrap"] = "delong",
    groups: Groups = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Area under the ROC curve: P(score of a positive > score of a negative), ties counted half.

    Args:
        truth: bool or 0/1 (N,). scores: float (N,), any scale.
        interval: "delong" (DeLong 1988, fast form of Sun & Xu 2014; over `groups` by Obuchowski 1997) or "bootstrap"
            (over `groups` where given; folds with one class dropped and counted in the note). Both on the logit scale
            with Student's t: an interval that is symmetrical about an area near 1 misses on its high side alone.
        groups: N patient identifiers, where patients have several images.

    An AUROC of 1 has no sample variance; its lower end is the exact binomial bound of `perfect_auroc`. Without cases
    of both classes, or with a score that is not a number, the value is None and the note says why.

    Raises:
        ConfigError: lengths differ, or truth is not 0/1.

    >>> auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.75
    """
    positive, values = paired(truth, scores)
    count = clusters_of(groups, len(positive))[1]
    reason = both_classes(positive, values)
    if reason:
        return undefined(reason, level, count, "delong" if interval == "delong" else bootstrap_method(groups, folds))
    low = perfect_auroc(positive, groups, level)
    index, _ = clusters_of(groups, len(positive))
    rarer = rarer_worth(positive, index)
    if interval == "delong":
        return delong_auroc(positive, values, groups, level=level, perfect=low)
    ranks = Ranks(positive, values)
    perfect = values[positive].min() > values[~positive].max()
    worst = values[positive].max() < values[~positive].min()
    exact = (low, 1.0) if perfect else (0.0, 1 - low) if worst else None
    chosen = len(positive) if groups is None else groups
    return bootstrap(
        lambda w: ranks(w)[0], chosen, level=level, folds=folds, seed=seed, worth=rarer, scale="share", exact=exact
    )


def average_precision(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    groups: Groups = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Average precision Σ (R_k − R_{k−1}) P_k with an interval by patient on the logit scale.

    Each patient is left out in turn (`jackknife_interval`); beyond 50 million patients × films, a patient bootstrap.

    The lower end of a perfect one is the average precision of scores whose AUROC is the exact bound of a perfect one
    (`perfect_auroc`) at this prevalence, of normal scores in both classes.

    >>> round(average_precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), folds=100).value, 3)
    0.833
    """
    positive, values = paired(truth, scores)
    reason = both_classes(positive, values)
    index, count = clusters_of(groups, len(values))
    if reason:
        return undefined(reason, level, count, bootstrap_method(groups, folds))
    ranks = Ranks(positive, values)
    chosen = len(positive) if groups is None else groups
    exact = None
    if values[positive].min() > values[~positive].max():
        exact = _precision_at(perfect_auroc(positive, groups, level), float(positive.mean())), 1.0
    if exact is None and count * len(values) <= _MOST:
        return _left_out(ranks, positive, index, level)
    rarer = rarer_worth(positive, index)
    return bootstrap(
        lambda w: ranks(w)[1], chosen, level=level, folds=folds, seed=seed, worth=rarer, scale="share", exact=exact
    )


def _left_out(ranks: Ranks, positive: Mask, index: NDArray[np.intp], level: float) -> Estimate:
    """Average precision with the interval that leaving out each patient of `index` (N,) gives."""
    n, patients = len(index), int(index.max()) + 1
    method = "jackknife" if patients == n else "patient jackknife"
    value = float(ranks(np.ones((1, n)))[1][0])
    rarer = min(len(np.unique(index[own])) for own in (positive, ~positive))
    if rarer < 2:
        return Estimate(value, None, None, level, patients, method, f"{FEW} ({rarer} in the rarer class)")
    size = max(1, _CELLS // n)
    without = [
        ranks((index[None] != np.arange(start, min(start + size, patients))[:, None]).astype(np.float64))[1]
        for start in range(0, patients, size)
    ]
    return jackknife_interval(value, value - np.concatenate(without), level=level, method=method, scale="share")


def _precision_at(area: float, prevalence: float) -> float:
    """Average precision of scores N(d, 1) and N(0, 1) with this AUROC, Φ(d/√2).

    >>> round(_precision_at(0.5, 0.3), 3)
    0.3
    """
    from scipy import special

    x = np.linspace(-8, 8, 2001)
    d = float(np.sqrt(2) * special.ndtri(area))
    true, false = prevalence * special.ndtr(-x), (1 - prevalence) * special.ndtr(-x - d)
    return float(np.trapezoid(np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * true / (true + false), x))
