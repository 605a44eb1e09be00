"""DeLong's variance of an AUROC and of the difference of two, for independent cases and for clusters."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats, Mask, both_classes, midranks, paired
from radiolucent.metrics.intervals import hoeffding_ends, scaled_interval, spread_df, undefined, welch_df
from radiolucent.metrics.resample import Groups, clusters_of
from radiolucent.types import Estimate

__all__ = ["FEW", "delong_auroc", "delong_test", "placements"]

FEW = "too few patients: no interval"


def placements(positive: Mask, scores: Floats) -> tuple[Floats, Floats]:
    """Components V10 (m,), share of negatives below each positive; V01 (n,), share of positives above each negative.

    By mid-ranks in O(N log N) (Sun & Xu 2014) instead of all m · n pairs. The mean of either is the AUROC.
    """
    x, y = scores[positive], scores[~positive]
    both = midranks(np.concatenate([x, y]))
    v10 = (both[: len(x)] - midranks(x)) / len(y)
    v01 = 1 - (both[len(x) :] - midranks(y)) / len(x)
    return v10, v01


def _variance(v10: Floats, v01: Floats, positive: Mask, groups: Groups) -> tuple[float, float] | None:
    """(variance of the mean component, its degrees of freedom); None with fewer than two units in a class.

    With e the components less their mean, summed by cluster c: (I−1)/I Σ [e10/(m − m_c)]² + (J−1)/J Σ [e01/(n − n_c)]²
    + 2 (C−1)/C Σ e10 e01 / ((m − m_c) (n − n_c)), over I clusters with a positive, J with a negative and C in all, m_c
    and n_c being a cluster's own films. It is Obuchowski's (1997) variance in its jackknife form: clusters of unequal
    size hide some of their spread from their own mean. With a cluster a case the last term vanishes, and the rest is
    DeLong's. Degrees of freedom are Welch's for the first two terms, each with those of its clusters' parts
    (`spread_df`), at most as many as clusters of equal size have (Kish 1965).
    """
    index, clusters = clusters_of(groups, len(positive))
    m, n = len(v10), len(v01)
    own = [np.bincount(index[kind], minlength=clusters).astype(np.float64) for kind in (positive, ~positive)]
    i, j = (int((size > 0).sum()) for size in own)
    if i < 2 or j < 2:
        return None
    e10 = np.bincount(index[positive], v10 - v10.mean(), minlength=clusters) / (m - own[0])
    e01 = np.bincount(index[~positive], v01 - v01.mean(), minlength=clusters) / (n - own[1])
    parts = float((i - 1) / i * (e10 @ e10)), float((j - 1) / j * (e01 @ e01))
    both = 2 * (clusters - 1) / clusters * float(e10 @ e01)
    units = [
        min(float(size.sum() ** 2 / (size @ size)), float(spread_df(e[size > 0])) + 1)
        for size, e in zip(own, (e10, e01), strict=True)
    ]
    return max(sum(parts) + both, 0.0), welch_df(list(zip(parts, units, strict=True)))


def delong_auroc(positive: Mask, scores: Floats, groups: Groups, *, level: float, perfect: float) -> Estimate:
    """AUROC with its interval on the logit scale; `perfect` is the lower end of an AUROC of 1 (1 − it, of one of 0).

    Where few cases carry the variance, Student's t knows next to nothing of it and the interval can span half the
    scale. So no end lies further out than it would for any scores at all (`hoeffding_ends`, over `_pairs`).
    """
    v10, v01 = placements(positive, scores)
    index, units = clusters_of(groups, len(positive))
    rarer = min(len(np.unique(index[positive])), len(np.unique(index[~positive])))
    value = float(v10.mean())
    method = "delong" if groups is None or units == len(positive) else "delong, clustered"
    if value in (0.0, 1.0):
        low, high = (perfect, 1.0) if value else (0.0, 1 - perfect)
        return Estimate(value, low, high, level, units, method, "no sample variance: exact binomial bound instead")
    found = _variance(v10, v01, positive, groups)
    if found is None:
        return Estimate(value, None, None, level, units, method, f"{FEW} ({rarer} in the rarer class)")
    words = {"level": level, "n": units, "method": f"{method}, logit scale", "scale": "share", "df": found[1]}
    estimate = scaled_interval(value, found[0] ** 0.5, **words)  # pyright: ignore[reportArgumentType]
    pairs = _pairs(index, positive)
    if estimate.low is None or estimate.high is None or not pairs:
        return estimate
    low, high = hoeffding_ends(value, pairs, level)
    if estimate.low >= low and estimate.high <= high:
        return estimate
    told = f"no wider than for any scores ({pairs} pairs, Hoeffding 1963)"
    return replace(estimate, low=max(low, estimate.low), high=min(high, estimate.high), note=told)


def _pairs(index: NDArray[np.intp], positive: Mask) -> int:
    """How many disjoint pairs of an ill and a healthy patient an AUROC is a mean over; 0 where a patient is both.

    K patients of a class, drawn with chances in proportion to their films and paired at random, count every pair of
    films alike, as the AUROC does, as long as no chance exceeds 1: K times the most films of a patient is at most the
    films of the class. With a film a patient K is the rarer class. It is taken for granted that a patient's scores do
    not go with the number of his films.
    """
    ill, well = (np.bincount(index[kind], minlength=index.max() + 1) for kind in (positive, ~positive))
    return 0 if (ill * well).any() else int(min(ill.sum() // ill.max(), well.sum() // well.max()))


def delong_test(
    truth: NDArray[Any], first: NDArray[Any], second: NDArray[Any], *, groups: Groups = None, level: float = 0.95
) -> tuple[Estimate, float | None]:
    """Difference AUROC(first) − AUROC(second) on the same cases, with its interval and two-sided p (DeLong 1988).

    Args:
        truth: bool or 0/1 (N,). first, second: scores (N,) of the two models.
        groups: N patient identifiers, where patients have several images (Obuchowski 1997).

    Student's t with Welch's degrees of freedom stands for the normal: few patients in a class say little of their
    variance.

    Returns the difference and p; p is None where undefined: also where the difference has no sample variance.

    >>> difference, p = delong_test(np.array([0, 0, 0, 1, 1, 1]), np.arange(6.0), np.array([0.0, 3, 1, 2, 5, 4]))
    >>> round(difference.value, 3), round(p, 3)
    (0.111, 0.519)
    """
    from scipy import special

    positive, a = paired(truth, first)
    _, b = paired(truth, second)
    n = clusters_of(groups, len(positive))[1]
    method = "delong" if groups is None or n == len(positive) else "delong, clustered"
    reason = both_classes(positive, a) or both_classes(positive, b)
    if reason:
        return undefined(reason, level, n, method), None
    (a10, a01), (b10, b01) = placements(positive, a), placements(positive, b)
    difference = float(a10.mean() - b10.mean())
    found = _variance(a10 - b10, a01 - b01, positive, groups)
    if found is None or found[0] < 1e-15:
        note = FEW if found is None else "the difference has no sample variance: no interval"
        return Estimate(difference, None, None, level, n, method, note), None
    deviation, df = found[0] ** 0.5, found[1]
    p = float(2 * special.stdtr(df, -abs(difference) / deviation))
    return scaled_interval(difference, deviation, level=level, n=n, method=method, scale="difference", df=df), p
