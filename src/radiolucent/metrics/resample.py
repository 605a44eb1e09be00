"""The bootstrap over patients: how often each was drawn, as weights, for thousands of folds at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats
from radiolucent.metrics.intervals import exact_low, undefined, z_of
from radiolucent.types import Estimate

__all__ = [
    "Groups",
    "bootstrap",
    "bootstrap_method",
    "bootstrap_weights",
    "cluster_bootstrap_mean",
    "clusters_of",
    "over_folds",
    "percentile_interval",
]

Result = TypeVar("Result")
Groups = Sequence[Any] | NDArray[Any] | None
_CELLS = 1 << 17  # weights held at a time (1 MiB): bounds the memory and stays in cache


def clusters_of(groups: Groups, n: int) -> tuple[NDArray[np.intp], int]:
    """(index (N,) of each case's cluster, number of clusters); a case without a group (None) is its own.

    Raises:
        ConfigError: not one group a case.
    """
    if groups is None:
        return np.arange(n), n
    if len(groups) != n:
        raise ConfigError(f"{len(groups)} groups for {n} cases; expected one a case.")
    if not n:
        return np.arange(0), 0
    names = np.asarray(groups)
    if names.dtype.kind not in "iuU":
        names = np.array([f"\0{i}" if group is None else str(group) for i, group in enumerate(groups)])
    _, index = np.unique(names, return_inverse=True)
    return index.astype(np.intp), int(index.max()) + 1


def bootstrap_weights(groups: Groups, n: int, *, folds: int, seed: int, chunk: int | None = None) -> Iterator[Floats]:
    """Yield case weights (≤ chunk, N): how often each case's cluster was drawn, with replacement, in each fold.

    Drawing clusters with all their cases keeps the dependence between a patient's films (Field & Welsh 2007). The
    folds do not depend on `chunk`, which by default bounds the memory whatever N is.
    """
    if folds < 1:
        raise ConfigError(f"{folds} folds; expected at least one, 10,000 for a published interval.")
    index, clusters = clusters_of(groups, n)
    if not n:
        raise ConfigError("no cases to resample.")
    rng = np.random.default_rng(seed)
    size = chunk or max(1, _CELLS // n)
    identity = clusters == n and bool((index == np.arange(n)).all())
    for start in range(0, folds, size):
        count = min(size, folds - start)
        drawn = rng.integers(0, clusters, size=(count, clusters))
        drawn += np.arange(count)[:, None] * clusters
        weights = np.bincount(drawn.ravel(), minlength=count * clusters).astype(np.float64).reshape(count, clusters)
        yield weights if identity else weights[:, index]


def over_folds(statistic: Callable[[Floats], Result], groups: Groups, n: int, *, folds: int, seed: int) -> list[Result]:
    """The statistic of every chunk of folds of `bootstrap_weights`, in order.

    The matrix products are tall and thin: a second BLAS thread gains nothing, and on a busy machine the threads wait
    for each other ten times longer than they work. So BLAS keeps to one thread here.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        return [statistic(weights) for weights in bootstrap_weights(groups, n, folds=folds, seed=seed)]


def bootstrap_method(groups: Groups | int, folds: int) -> str:
    """How an estimate names this interval."""
    return f"{'' if groups is None or isinstance(groups, int) else 'patient '}bootstrap ({folds})"


def percentile_interval(
    value: float | None,
    samples: Floats,
    *,
    level: float,
    n: int,
    method: str,
    exact: tuple[float, float] | None = None,
    note: str = "",
) -> Estimate:
    """Percentile interval of bootstrap `samples` (folds,); folds without a defined value are dropped and counted.

    Where every fold agrees (a perfect score, or a single patient) the resamples say nothing of the width: `exact` then
    gives the interval, or there is none, and the note says so. Where half the folds are undefined there is none either.

    Args:
        value: the figure on the whole sample; None or not-a-number where undefined, `note` saying why.
    """
    z_of(level)
    if value is None or not np.isfinite(value):
        return undefined(note or "not defined on this sample", level, n, method)
    kept = samples[np.isfinite(samples)]
    dropped = len(samples) - len(kept)
    notes = [note] if note else []
    if dropped:
        notes.append(f"{dropped} of {len(samples)} folds dropped: not defined there")
    if len(kept) * 2 < len(samples) or not len(kept):
        return Estimate(float(value), None, None, level, n, method, "; ".join(notes))
    low, high = (float(end) for end in np.quantile(kept, [(1 - level) / 2, (1 + level) / 2]))
    if np.ptp(kept) > 1e-12:
        return Estimate(float(value), low, high, level, n, method, "; ".join(notes))
    if exact is None:
        notes.append("every fold agrees: no interval")
        return Estimate(float(value), None, None, level, n, method, "; ".join(notes))
    notes.append("every fold agrees: exact bound instead")
    return Estimate(float(value), exact[0], exact[1], level, n, method, "; ".join(notes))


def bootstrap(
    statistic: Callable[[Floats], Floats],
    groups: Groups | int,
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
    n: int | None = None,
    exact: tuple[float, float] | None = None,
    note: str = "",
) -> Estimate:
    """Any weighted statistic with its (clustered) percentile bootstrap interval.

    Args:
        statistic: from case weights (folds, N) to values (folds,), not-a-number where undefined.
        groups: N identifiers, cases of one group being drawn together; or N itself for independent cases.
        n: independent units the figure rests on, unless all clusters.
        exact: interval to give where every fold agrees.

    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> bootstrap(lambda w: w @ x / w.sum(1), groups=["a", "a", "b", "c"], folds=500).value
    2.5
    """
    if groups is None:
        raise ConfigError("groups is None; expected one identifier a case, or their number for independent cases.")
    count, names = (groups, None) if isinstance(groups, int) else (len(groups), groups)
    method = bootstrap_method(groups, folds)
    if not count:
        return undefined("no cases", level, 0, method)
    units = clusters_of(names, count)[1] if n is None else n
    value = float(statistic(np.ones((1, count)))[0])
    if not np.isfinite(value):
        return undefined(note or "not defined on this sample", level, units, method)
    samples = np.concatenate(over_folds(statistic, names, count, folds=folds, seed=seed))
    return percentile_interval(value, samples, level=level, n=units, method=method, exact=exact, note=note)


def cluster_bootstrap_mean(
    values: Sequence[float] | Floats,
    groups: Groups = None,
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Mean of values (N,) with a clustered percentile bootstrap interval; not-a-number values are left out and counted.

    Where all values are 0, or all 1, the interval is the exact binomial one over clusters.

    >>> cluster_bootstrap_mean([0.0, 1.0, 1.0, 0.0], ["a", "a", "b", "b"], folds=200).value
    0.5
    """
    data = np.asarray(values, np.float64)
    index, _ = clusters_of(groups, len(data))
    known = np.isfinite(data)
    note = f"{int((~known).sum())} of {len(data)} not applicable" if not known.all() else ""
    data, index = data[known], index[known]
    method = bootstrap_method(groups, folds)
    if not len(data):
        return undefined(note or "no cases", level, 0, method)
    clusters = len(np.unique(index))
    low = exact_low(clusters, level)
    exact = {0.0: (0.0, 1 - low), 1.0: (low, 1.0)}.get(float(data[0])) if np.ptp(data) == 0 else None
    chosen = index if groups is not None else len(data)
    return bootstrap(lambda w: w @ data / w.sum(1), chosen, level=level, folds=folds, seed=seed, exact=exact, note=note)
