"""The bootstrap over patients: how often each was drawn, as weights, for thousands of folds at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats, numbers
from radiolucent.metrics.intervals import Scale, scaled_interval, undefined, z_of
from radiolucent.metrics.proportions import clustered_difference, clustered_wilson, kish
from radiolucent.types import Estimate

__all__ = [
    "Groups",
    "bootstrap",
    "bootstrap_interval",
    "bootstrap_method",
    "bootstrap_weights",
    "cluster_bootstrap_mean",
    "cluster_means",
    "clusters_of",
    "groups_kept",
    "missing",
    "over_folds",
]

Result = TypeVar("Result")
Groups = Sequence[Any] | NDArray[Any] | None
_CELLS = 1 << 17  # weights held at a time (1 MiB): bounds the memory and stays in cache


def clusters_of(groups: Groups, n: int) -> tuple[NDArray[np.intp], int]:
    """(index (N,) of each case's cluster, number of clusters); a case without a group (None, not-a-number) is its own.

    Raises:
        ConfigError: not one group a case, or no list of them.
    """
    if groups is None:
        return np.arange(n), n
    listed = hasattr(groups, "__len__") and not isinstance(groups, str | bytes | Mapping | Set)
    if not listed or getattr(groups, "ndim", 1) != 1:
        raise ConfigError(f"groups are a {type(groups).__name__}; expected a list of identifiers, one a case.")
    if len(groups) != n:
        raise ConfigError(f"{len(groups)} groups for {n} cases; expected one a case.")
    if not n:
        return np.arange(0), 0
    names = groups if isinstance(groups, np.ndarray) else np.asarray(groups, object)
    if names.dtype.kind not in "iuU":  # a list of numbers and words would make words of all, not-a-number too
        names = np.array([f"\0{i}" if missing(group) else str(group) for i, group in enumerate(groups)])
    _, index = np.unique(names, return_inverse=True)
    return index.astype(np.intp), int(index.max()) + 1


def missing(group: Any) -> bool:
    """None, not-a-number, and what pandas has for a missing value: it differs from itself, or has no truth in it."""
    try:
        return group is None or bool(group != group)
    except TypeError:  # pandas.NA
        return True


def groups_kept(groups: Groups, kept: NDArray[np.bool_]) -> list[Any] | None:
    """The groups of the cases that are kept (N,); None where there are none.

    Raises:
        ConfigError: not one group a case.
    """
    if groups is None:
        return None
    clusters_of(groups, len(kept))
    return [group for group, keep in zip(groups, kept, strict=True) if keep]


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


def bootstrap_interval(
    value: float | None,
    samples: Floats,
    *,
    level: float,
    n: int,
    method: str,
    worth: float | None = None,
    scale: Scale = "plain",
    exact: tuple[float, float] | None = None,
    note: str = "",
) -> Estimate:
    """Interval value ± t · deviation from bootstrap `samples` (folds,), reckoned on `scale` (see `scaled_interval`).

    Percentiles of the samples are too narrow: resampling n units leaves out n/(n − 1) of the variance and the
    uncertainty of the variance itself (Hesterberg 2015, section 4), and they lean away from a skewed figure's truth
    instead of towards it. So the samples give the deviation alone, times √(n/(n − 1)), with Student's t of n − 1
    degrees of freedom. Folds without a defined value are dropped and counted.

    Where every fold agrees (a perfect score) the samples say nothing of the width: `exact` then gives the interval, or
    there is none, and the note says so. Where half the folds are undefined, or less than two units are left, there is
    none either.

    Args:
        value: the figure on the whole sample; None or not-a-number where undefined, `note` saying why.
        n: independent units the figure rests on. worth: how many units of equal weight they are worth (`kish`), of
            the rarer class where there are two: n unless given.
    """
    z_of(level)
    worth = float(n) if worth is None else worth
    if value is None or not np.isfinite(value):
        return undefined(note or "not defined on this sample", level, n, method)
    kept = samples[np.isfinite(samples)]
    dropped = len(samples) - len(kept)
    notes = [note] if note else []
    if dropped:
        notes.append(f"{dropped} of {len(samples)} folds dropped: not defined there")
    bare = Estimate(float(value), None, None, level, n, method)
    if min(n, worth) < 1.5:
        notes.append("too few patients: no interval")
    if min(n, worth) < 1.5 or len(kept) * 2 < len(samples) or not len(kept):
        return replace(bare, note="; ".join(notes))
    if np.ptp(kept) > 1e-12:
        deviation = float(kept.std() * np.sqrt(worth / (worth - 1)))
        words = {"level": level, "n": n, "method": method, "scale": scale, "df": worth - 1, "note": "; ".join(notes)}
        found = scaled_interval(float(value), deviation, **words)  # pyright: ignore[reportArgumentType]
        if found.low is not None or exact is None:
            return found
    elif exact is None:
        notes.append("every fold agrees: no interval")
        return replace(bare, note="; ".join(notes))
    notes.append("no sample variance: exact bound instead")
    return Estimate(float(value), exact[0], exact[1], level, n, method, "; ".join(notes))


def bootstrap(
    statistic: Callable[[Floats], Floats],
    groups: Groups | int,
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
    n: int | None = None,
    worth: float | None = None,
    scale: Scale = "plain",
    exact: tuple[float, float] | None = None,
    note: str = "",
) -> Estimate:
    """Any weighted statistic with its (clustered) bootstrap interval (see `bootstrap_interval`).

    Args:
        statistic: from case weights (folds, N) to values (folds,), not-a-number where undefined.
        groups: N identifiers, cases of one group being drawn together; or N itself for independent cases.
        n: independent units the figure rests on, unless all clusters. worth: see `bootstrap_interval`.
        scale: "share" for a figure between 0 and 1, "correlation" for −1 to 1.
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
    index, clusters = clusters_of(names, count)
    units = clusters if n is None else n
    value = float(statistic(np.ones((1, count)))[0])
    if not np.isfinite(value):
        return undefined(note or "not defined on this sample", level, units, method)
    samples = np.concatenate(over_folds(statistic, names, count, folds=folds, seed=seed))
    words: dict[str, Any] = {"level": level, "n": units, "method": method, "scale": scale, "exact": exact, "note": note}
    return bootstrap_interval(value, samples, worth=kish(index) if worth is None else worth, **words)


def cluster_bootstrap_mean(
    values: Sequence[float] | Floats,
    groups: Groups = None,
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
    scale: Scale | None = None,
) -> Estimate:
    """Mean of values (N,) with a clustered interval; not-a-number values are left out and counted.

    Args:
        scale: unless given, values that are all 0 or 1 are a proportion and get Wilson's interval with a design effect
            (`clustered_wilson`), and other values a bootstrap deviation as they are, cut to [0, 1] where all lie there.
            "plain" for effects and "difference" for those of shares, of which 0 is none: no proportion, even if no
            negative one is among them; differences that are all −1, 0 or 1 get Tango's interval
            (`clustered_difference`). "share" for the logit scale, whose interval never holds 0.

    >>> cluster_bootstrap_mean([0.0, 1.0, 1.0, 0.0], ["a", "a", "b", "b"], folds=200).value
    0.5
    """
    data = numbers(values, "values")
    words: dict[str, Any] = {"level": level, "folds": folds, "seed": seed, "scale": scale}
    if data.ndim != 1:
        raise ConfigError(f"values {data.shape}; expected (N,): `cluster_means` takes several columns.")
    return cluster_means(data[:, None], groups, **words)[0]


def cluster_means(
    values: Floats,
    groups: Groups = None,
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
    scale: Scale | None = None,
) -> list[Estimate]:
    """The mean of each column of (N, F), as `cluster_bootstrap_mean`; the columns share their folds."""
    table = numbers(values, "values")
    if table.ndim != 2:
        raise ConfigError(f"values {table.shape}; expected (N, F).")
    known = np.isfinite(table)
    endless = np.isinf(table).sum(0)
    filled, there = np.where(known, table, 0.0), known.astype(np.float64)
    index, _ = clusters_of(groups, len(table))
    method = bootstrap_method(groups, folds)
    counted = {None: (clustered_wilson, (0.0, 1.0)), "difference": (clustered_difference, (-1.0, 0.0, 1.0))}
    closed, few = counted.get(scale, (None, ()))
    shares = [closed is not None and bool(np.isin(table[k, c], few).all()) for c, k in enumerate(known.T)]
    drawn: Floats = np.empty((0, table.shape[1]))

    def means(w: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (w @ filled) / (w @ there)

    if len(table) and not all(shares):
        drawn = np.concatenate(over_folds(means, groups, len(table), folds=folds, seed=seed))
    found: list[Estimate] = []
    for column, (own, is_share) in enumerate(zip(known.T, shares, strict=True)):
        data, patients = table[own, column], index[own]
        note = f"{int((~own).sum())} of {len(table)} not applicable" if not own.all() else ""
        if endless[column]:
            why = f"{int(endless[column])} of {len(table)} values are infinite: no mean"
            found.append(undefined(why, level, len(np.unique(index)), method))
        elif not len(data):
            found.append(undefined(note or "no cases", level, 0, method))
        elif is_share and closed is not None:
            e = closed(data, np.unique(patients, return_inverse=True)[1], level)
            found.append(replace(e, note="; ".join(filter(None, (note, e.note)))))
        else:
            units = len(np.unique(patients))
            stated: dict[str, Any] = {"level": level, "n": units, "method": method, "note": note}
            stated["scale"] = scale or "plain"
            stated["worth"] = kish(np.unique(patients, return_inverse=True)[1])
            e = bootstrap_interval(float(data.mean()), drawn[:, column], **stated)
            if scale is None and data.min() >= 0 and data.max() <= 1 and e.low is not None and e.high is not None:
                e = replace(e, low=max(e.low, 0.0), high=min(e.high, 1.0))
            found.append(e)
    return found
