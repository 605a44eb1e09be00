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
    names: Sequence[str] = (),
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> list[Estimate]:
    """The mean of each column of (N, F), over the rows where it is a number; the rest is counted as not applicable.

    See `radiolucent.metrics.cluster_means` for the intervals.

    Args:
        names: of the columns. Differences ("hit_minus_area") and correlations may lie below 0, even where none of these
            films' does, so they are not taken for shares.
    """
    table = np.array(values, np.float64)
    if not table.size:
        return []
    signed = np.array([_signed(name) for name in names] or [False] * table.shape[1])
    found: list[Estimate | None] = [None] * table.shape[1]
    for below in (False, True):
        columns = np.flatnonzero(signed == below)
        if len(columns):
            scale = "difference" if below else None
            means = cluster_means(table[:, columns], groups, level=level, folds=folds, seed=seed, scale=scale)
            for column, e in zip(columns, means, strict=True):
                found[column] = e
    return [e for e in found if e is not None]


def _signed(name: str) -> bool:
    return "_minus_" in name or name.endswith("correlation")
