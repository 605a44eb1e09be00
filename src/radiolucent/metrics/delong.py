"""DeLong's variance of an AUROC and of the difference of two, for independent cases and for clusters."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from radiolucent.metrics.arrays import Floats, Mask, both_classes, paired
from radiolucent.metrics.intervals import scaled_interval, undefined, welch_df
from radiolucent.metrics.resample import Groups, clusters_of
from radiolucent.types import Estimate

__all__ = ["FEW", "delong_auroc", "delong_test", "placements"]

FEW = "too few patients: no interval"


def placements(positive: Mask, scores: Floats) -> tuple[Floats, Floats]:
    """Components V10 (m,), share of negatives below each positive; V01 (n,), share of positives above each negative.

    By mid-ranks in O(N log N) (Sun & Xu 2014) instead of all m · n pairs. The mean of either is the AUROC.
    """
    x, y = scores[positive], scores[~positive]
    both = stats.rankdata(np.concatenate([x, y]))
    v10 = (both[: len(x)] - stats.rankdata(x)) / len(y)
    v01 = 1 - (both[len(x) :] - stats.rankdata(y)) / len(x)
    return v10, v01


def _variance(v10: Floats, v01: Floats, positive: Mask, groups: Groups) -> tuple[float, float] | None:
    """(variance of the mean component, its degrees of freedom); None with fewer than two units in a class.

    With e the components less their mean, summed by cluster, over I clusters with a positive and J with a negative:
    I/(I−1) Σ e10² / m² + J/(J−1) Σ e01² / n² + 2 C/(C−1) Σ e10 e01 / (m n) (Obuchowski 1997). With a cluster a case
    the last term vanishes and the rest is DeLong's. Degrees of freedom are Welch's for the first two terms.
    """
    index, clusters = clusters_of(groups, len(positive))
    m, n = len(v10), len(v01)
    e10 = np.bincount(index[positive], v10 - v10.mean(), minlength=clusters)
    e01 = np.bincount(index[~positive], v01 - v01.mean(), minlength=clusters)
    i, j = len(np.unique(index[positive])), len(np.unique(index[~positive]))
    if i < 2 or j < 2:
        return None
    own = i / (i - 1) * (e10 @ e10) / m**2, j / (j - 1) * (e01 @ e01) / n**2
    both = 2 * clusters / (clusters - 1) * (e10 @ e01) / (m * n)
    return float(max(sum(own) + both, 0.0)), welch_df([(float(own[0]), i), (float(own[1]), j)])


def delong_auroc(positive: Mask, scores: Floats, groups: Groups, *, level: float, perfect: float) -> Estimate:
    """AUROC with its interval on the logit scale; `perfect` is the lower end of an AUROC of 1 (1 − it, of one of 0)."""
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
    return scaled_interval(value, found[0] ** 0.5, **words)  # pyright: ignore[reportArgumentType]


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
    (0.111, 0.52)
    """
    positive, a = paired(truth, first)
    _, b = paired(truth, second)
    n = clusters_of(groups, len(positive))[1]
    method = "delong" if groups is None or n == len(positive) else "delong, clustered"
    reason = both_classes(positive, a + b)
    if reason:
        return undefined(reason, level, n, method), None
    (a10, a01), (b10, b01) = placements(positive, a), placements(positive, b)
    difference = float(a10.mean() - b10.mean())
    found = _variance(a10 - b10, a01 - b01, positive, groups)
    if found is None or found[0] < 1e-15:
        note = FEW if found is None else "the difference has no sample variance: no interval"
        return Estimate(difference, None, None, level, n, method, note), None
    deviation, df = found[0] ** 0.5, found[1]
    p = float(2 * stats.t.sf(abs(difference) / deviation, df))
    return scaled_interval(difference, deviation, level=level, n=n, method=method, df=df), p
