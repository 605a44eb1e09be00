"""Intervals: Wilson's for proportions, and the percentile bootstrap over patients."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from radiolucent.errors import ConfigError
from radiolucent.types import Estimate

__all__ = [
    "bootstrap_weights",
    "cluster_bootstrap_mean",
    "clusters_of",
    "exact_low",
    "percentile_interval",
    "undefined",
    "wilson",
]

Floats = NDArray[np.float64]


def undefined(note: str, level: float, n: int, method: str) -> Estimate:
    """An estimate that does not exist, saying why."""
    return Estimate(None, None, None, level, n, method, note)


def wilson(k: float, n: float, level: float = 0.95) -> Estimate:
    """A proportion k/n with Wilson's score interval (Wilson 1927).

    centre = (p + z²/2n) / (1 + z²/n), half width = z √(p(1−p)/n + z²/4n²) / (1 + z²/n).

    >>> print(wilson(80, 100))
    0.800 (95% CI 0.711–0.867, n = 100)
    """
    if n <= 0:
        return undefined("no case of this kind", level, 0, "wilson")
    z = float(stats.norm.ppf(0.5 + level / 2))
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Estimate(p, float(max(0.0, centre - half)), float(min(1.0, centre + half)), level, int(n), "wilson")


def exact_low(n: int, level: float = 0.95) -> float:
    """Lower Clopper–Pearson bound of a proportion seen n times out of n: ((1 − level)/2)^(1/n)."""
    return float(((1 - level) / 2) ** (1 / max(n, 1)))


def clusters_of(groups: Sequence[Any] | NDArray[Any] | None, n: int) -> tuple[NDArray[np.intp], int]:
    """(index of each case's cluster, number of clusters); every case its own where `groups` is None."""
    if groups is None:
        return np.arange(n), n
    if len(groups) != n:
        raise ConfigError(f"{len(groups)} groups for {n} cases; expected one a case.")
    _, index = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    return index.astype(np.intp), int(index.max()) + 1 if n else 0


def bootstrap_weights(
    groups: Sequence[Any] | NDArray[Any] | None, n: int, *, folds: int, seed: int, chunk: int = 1000
) -> Iterator[Floats]:
    """Yield case weights (≤ chunk, n): how often each case's cluster was drawn, with replacement, in each fold.

    Drawing clusters with all their cases keeps the dependence between a patient's films (Field & Welsh 2007).
    """
    index, clusters = clusters_of(groups, n)
    rng = np.random.default_rng(seed)
    for start in range(0, folds, chunk):
        count = min(chunk, folds - start)
        drawn = rng.integers(0, clusters, size=(count, clusters))
        flat = (drawn + np.arange(count)[:, None] * clusters).ravel()
        weights = np.bincount(flat, minlength=count * clusters).reshape(count, clusters)
        yield weights[:, index].astype(np.float64)


def percentile_interval(
    value: float | None, samples: Floats, *, level: float, n: int, method: str, bound: float | None = None
) -> Estimate:
    """Percentile interval of bootstrap `samples` (folds,); folds without a defined value are dropped and counted.

    Where every fold agrees (a perfect score), the bootstrap interval has no width; `bound` then gives its lower end.
    """
    if value is None or not np.isfinite(value):
        return undefined("not defined on this sample", level, n, method)
    kept = samples[np.isfinite(samples)]
    dropped = len(samples) - len(kept)
    note = f"{dropped} of {len(samples)} folds without a defined value" if dropped else ""
    if len(kept) < 0.5 * len(samples) or not len(kept):
        return Estimate(float(value), None, None, level, n, method, note or "no folds")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    if low == high and bound is not None:
        low, note = min(float(low), bound), "every fold agrees; lower end is the exact binomial bound"
    return Estimate(float(value), float(low), float(high), level, n, method, note)


def cluster_bootstrap_mean(
    values: Sequence[float] | Floats,
    groups: Sequence[Any] | None = None,
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Mean of values (N,) with a clustered percentile bootstrap interval.

    >>> cluster_bootstrap_mean([0.0, 1.0, 1.0, 0.0], ["a", "a", "b", "b"], folds=200).value
    0.5
    """
    data = np.asarray(values, np.float64)
    method = f"{'patient ' if groups is not None else ''}bootstrap ({folds})"
    if not len(data):
        return undefined("no cases", level, 0, method)
    _, clusters = clusters_of(groups, len(data))
    means = [w @ data / w.sum(1) for w in bootstrap_weights(groups, len(data), folds=folds, seed=seed)]
    bound = exact_low(clusters, level) if set(np.unique(data)) == {1.0} else None
    found = percentile_interval(
        float(data.mean()), np.concatenate(means), level=level, n=clusters, method=method, bound=bound
    )
    if set(np.unique(data)) == {0.0}:
        return Estimate(
            0.0, 0.0, 1 - exact_low(clusters, level), level, clusters, method, "none of the cases; exact bound"
        )
    return found
