"""Means of many figures with patient-bootstrap intervals, all from one set of resamples."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics import cluster_means
from radiolucent.metrics.resample import Groups
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

    See `radiolucent.metrics.cluster_means` for the intervals.
    """
    table = np.array(values, np.float64)
    return cluster_means(table, groups, level=level, folds=folds, seed=seed) if table.size else []
