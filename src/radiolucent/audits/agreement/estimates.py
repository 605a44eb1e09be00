"""Means of many figures with patient-bootstrap intervals, all from one set of resamples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.intervals import exact_low, undefined
from radiolucent.metrics.resample import Groups, bootstrap_method, clusters_of, over_folds, percentile_interval
from radiolucent.types import Estimate

__all__ = ["mean_estimates"]


def mean_estimates(
    values: NDArray[np.float64] | Sequence[Sequence[float | None]],
    groups: Groups,
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> list[Estimate]:
    """The mean of each column of (N, F), over the rows where it is a number; the rest is counted as not applicable.

    Rows are drawn by patient; a fold in which a column has no number is dropped for it. Where all values of a column
    are 0, or all 1, its interval is the exact binomial one over patients.
    """
    table = np.array(values, np.float64)
    if not table.size:
        return []
    known = np.isfinite(table)
    filled, there = np.where(known, table, 0.0), known.astype(np.float64)
    index, _ = clusters_of(groups, len(table))
    method = bootstrap_method(groups, folds)

    def means(w: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (w @ filled) / (w @ there)

    samples = np.concatenate(over_folds(means, groups, len(table), folds=folds, seed=seed))
    found: list[Estimate] = []
    for column in range(table.shape[1]):
        data, own = table[known[:, column], column], index[known[:, column]]
        note = f"{len(table) - len(data)} of {len(table)} not applicable" if len(data) < len(table) else ""
        if not len(data):
            found.append(undefined(note or "no cases", level, 0, method))
            continue
        units = len(np.unique(own))
        low = exact_low(units, level)
        exact = {0.0: (0.0, 1 - low), 1.0: (low, 1.0)}.get(float(data[0])) if np.ptp(data) == 0 else None
        drawn = samples[np.isfinite(samples[:, column]), column]
        stated: dict[str, Any] = {"level": level, "n": units, "method": method, "exact": exact, "note": note}
        found.append(percentile_interval(float(data.mean()), drawn, **stated))
    return found
