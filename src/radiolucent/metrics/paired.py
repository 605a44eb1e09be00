"""Paired calls of films that share patients: McNemar's test over patients."""

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import boolean
from radiolucent.metrics.resample import Groups, cluster_bootstrap_mean, clusters_of
from radiolucent.types import Estimate

__all__ = ["clustered_mcnemar"]

EXACT = 16  # patients with a difference up to whom all assignments are gone through


def clustered_mcnemar(
    first: NDArray[Any], second: NDArray[Any], *, groups: Groups = None, level: float = 0.95
) -> tuple[Estimate, float | None]:
    """Difference of two paired proportions (first less second) on the same films, and two-sided p.

    With d_k = (films only the first got right) − (films only the second did) of patient k: where nothing differs, each
    d_k is as likely as −d_k. p is the share of all assignments of signs with |Σ ± d_k| ≥ |Σ d_k|: exact for up to 16
    patients with d_k ≠ 0 and where all |d_k| are the same, else by (Σ d_k)² / Σ d_k² as χ² (Yang, Sun & Hardin 2010).
    With a film a patient this is McNemar's exact test.

    Args:
        first, second: bool (N,): whether each got the film right (or called it). groups: N patient identifiers.

    p is None where no film differs.

    >>> a, b = np.array([1, 1, 1, 1, 1, 1, 0, 1, 0]), np.array([0, 0, 0, 0, 0, 1, 1, 1, 0])
    >>> clustered_mcnemar(a, b)[1]  # 5 against 1: binomial, twice 7/64
    0.21875
    """
    from scipy import stats

    a, b = boolean(first, "first"), boolean(second, "second")
    if a.shape != b.shape:
        raise ConfigError(f"first {a.shape} and second {b.shape}; expected the same films.")
    gained = a.astype(np.float64) - b
    index, patients = clusters_of(groups, len(a))
    d = np.bincount(index, gained, minlength=patients)
    d = d[d != 0]
    found = cluster_bootstrap_mean(gained, groups, level=level, folds=2000, scale="difference")
    if not gained.any():
        return found, None
    if not len(d):
        return found, 1.0
    if (np.abs(d) == abs(d[0])).all():
        return found, float(stats.binomtest(int((d > 0).sum()), len(d)).pvalue)
    if len(d) <= EXACT:
        sums = np.zeros(1)
        for step in d:
            sums = np.array(list(chain(sums + step, sums - step)))
        return found, float((np.abs(sums) >= abs(d.sum()) - 1e-9).mean())
    return found, float(stats.chi2.sf(d.sum() ** 2 / (d @ d), 1))
