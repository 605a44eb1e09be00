"""AUROCs of many readers with each patient left out in turn, without computing any of them anew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.delong import placements
from radiolucent.metrics.resample import clusters_of

__all__ = ["Areas", "areas"]

Floats = NDArray[np.float64]


class Areas:
    """AUROCs of score vectors on the same cases.

    Attributes:
        values: (V,) AUROC of each vector.
        without: (V, U) AUROC without unit u: a case or, with groups, a patient with all their cases.
        covariance: (V, V) of the AUROCs, by the method asked for.
    """

    def __init__(self, values: Floats, without: Floats, covariance: Floats) -> None:
        self.values, self.without, self.covariance = values, without, covariance


def areas(truth: NDArray[np.bool_], scores: Floats, groups: Sequence[Any] | None, method: str) -> Areas:
    """AUROCs of `scores` (V, N) with their covariances.

    "jackknife": (U − 1)/U Σ_u (A_u − Ā)(B_u − B̄) over A without unit u. "delong": S10/m + S01/n from the components
    (DeLong 1988); for cases of independent patients only.

    Raises:
        ConfigError: fewer than two cases of a class, another method, or DeLong with patients of several cases.
    """
    index, units = clusters_of(groups, len(truth))
    m, n = int(truth.sum()), int((~truth).sum())
    if m < 2 or n < 2:
        raise ConfigError(f"{m} positive and {n} negative cases; expected at least two of each.")
    if method not in ("jackknife", "delong"):
        raise ConfigError(f"covariance {method!r}; expected jackknife or delong.")
    if method == "delong" and units != len(truth):
        raise ConfigError("DeLong's covariance takes one case a patient; use covariance='jackknife'.")
    parts = [placements(truth, row) for row in scores]
    without = np.array([_left_out(truth, row, p, index, units) for row, p in zip(scores, parts, strict=True)])
    if not np.isfinite(without).all():
        raise ConfigError("without one patient a class has no case left; the jackknife needs more patients.")
    if method == "delong":
        v10, v01 = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
        covariance = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    else:
        apart = without - without.mean(1, keepdims=True)
        covariance = (units - 1) / units * (apart @ apart.T)
    return Areas(np.array([p[0].mean() for p in parts]), without, covariance)


def _left_out(
    truth: NDArray[np.bool_], scores: Floats, parts: tuple[Floats, Floats], index: NDArray[np.intp], units: int
) -> Floats:
    """(U,) AUROC without each unit: the sum over pairs less the pairs of its cases, those within it taken once."""
    v10, v01 = parts
    m, n = len(v10), len(v01)
    gone_m = np.bincount(index[truth], minlength=units)
    gone_n = np.bincount(index[~truth], minlength=units)
    lost = n * np.bincount(index[truth], v10, minlength=units) + m * np.bincount(index[~truth], v01, minlength=units)
    for unit in np.flatnonzero((gone_m > 0) & (gone_n > 0)):
        own = index == unit
        x, y = scores[own & truth][:, None], scores[own & ~truth][None]
        lost[unit] -= float(((x > y) + 0.5 * (x == y)).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        return (m * n * v10.mean() - lost) / ((m - gone_m) * (n - gone_n))
