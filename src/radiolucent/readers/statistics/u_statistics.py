"""Reader-averaged AUROCs of any design, fully crossed or not, by U-statistics (Gallas 2006 to 2009; FDA's iMRMC)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import boolean, numbers
from radiolucent.metrics.intervals import scaled_interval
from radiolucent.readers.statistics.mrmc import names_of
from radiolucent.types import Estimate

__all__ = ["UAnalysis", "u_statistics"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class UAnalysis:
    """AUROCs averaged over all readings of a test, and the differences between tests.

    Attributes:
        tests, readers: names. auroc: of each (test, reader) with positive and negative readings.
        averages: of each test. differences: of each pair of tests, first less second, with its two-sided `p`.
        variances: of each test, and of each pair's difference; unbiased, so that small studies may show 0 or less.
        df: degrees of freedom of each.
        readings: by (test, reader), how many positive and negative cases were read; what is missing is missing.
    """

    tests: tuple[str, ...]
    readers: tuple[str, ...]
    auroc: Mapping[tuple[str, str], float]
    averages: Mapping[str, Estimate]
    differences: Mapping[tuple[str, str], Estimate]
    p: Mapping[tuple[str, str], float | None]
    variances: Mapping[str | tuple[str, str], float]
    df: Mapping[str | tuple[str, str], float]
    readings: Mapping[tuple[str, str], tuple[int, int]]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; pairs of names joined by " - ", estimates in the form of `summary.json`."""
        return {
            "readers": list(self.readers),
            "auroc": {t: {r: a for (test, r), a in self.auroc.items() if test == t} for t in self.tests},
            "readings": {t: {r: list(n) for (test, r), n in self.readings.items() if test == t} for t in self.tests},
            "averages": {t: e.as_dict() for t, e in self.averages.items()},
            "differences": {" - ".join(k): e.as_dict() | {"p": self.p[k]} for k, e in self.differences.items()},
        }


class _Kernel:
    """s = [x > y] + ½ [x = y] of one test, and whether both were read: arrays (readers, negatives, positives)."""

    def __init__(self, positive: NDArray[np.bool_], scores: Floats) -> None:
        x, y = scores[:, positive], scores[:, ~positive]
        self.there = (np.isfinite(y)[:, :, None] & np.isfinite(x)[:, None]).astype(np.float64)
        gap = x[:, None] - y[:, :, None]
        self.won = np.where(self.there > 0, (gap > 0) + 0.5 * (gap == 0), 0.0)
        self.average = float(self.won.sum() / self.there.sum()) if self.there.any() else float("nan")
        self.above = np.where(self.there > 0, self.won - self.average, 0.0)


def _moment(a: Floats, b: Floats, *, apart: tuple[bool, bool, bool]) -> float:
    """Σ a_rij b_r'i'j' over all pairs whose readers, negatives and positives are apart (or, where not, the same)."""
    total = 0.0
    free = [axis for axis in range(3) if apart[axis]]
    for size in range(len(free) + 1):
        for same in combinations(free, size):
            # Over the axes that may differ: all pairs, less those that are the same after all.
            summed = tuple(axis for axis in free if axis not in same)
            total += (-1) ** size * float((a.sum(summed) * b.sum(summed)).sum())
    return total


def _covariance(a: _Kernel, b: _Kernel) -> float:
    """Unbiased covariance of two tests' averages.

    Σ over all pairs of readings of E[s s'] / D² less E[s] E[s'], whose unbiased estimate is the mean over pairs that
    share neither reader, nor negative, nor positive (the eighth moment, M8). The first part is Â B̂ itself.

    Here s is what a reading is above its test's average, which makes the first part 0. Where as much was read
    everywhere, nothing changes. Where readings are missing, Â and M8 weigh readers and cases a little differently, and
    that small difference times Â, as in iMRMC, would drown the variance: of studies with a tenth of the readings
    missing, one in seven had none above 0.
    """
    apart = (True, True, True)
    pairs = _moment(a.there, b.there, apart=apart)
    if pairs <= 0:
        raise ConfigError("two readers of two positive and two negative cases are needed for a variance.")
    return -_moment(a.above, b.above, apart=apart) / pairs


def u_statistics(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    tests: Sequence[str] | None = None,
    readers: Sequence[str] | None = None,
    level: float = 0.95,
) -> UAnalysis:
    """AUROCs over all readings of each test, and their differences, for random readers and cases of any design.

    A test's AUROC is the share of (reader, positive, negative) triples in which the reader scores the positive higher
    (ties half), each triple weighing alike. Nobody has to read everything: readers may read other cases than each
    other (split plot), or under one test only. Degrees of freedom are Hillis': variance² / [(s²/R)² / (R − 1)], s²
    being that of the readers' own AUROCs (or differences). One case a patient.
    Source: Gallas 2006; Gallas & Brown 2008; Gallas, Bandos, Samuelson & Wagner 2009.

    Args:
        truth: bool (N,). scores: (I, J, N), I tests and J readers, not-a-number where not read.

    Raises:
        ConfigError: shapes that do not fit; or a test without two readers of two positive and two negative cases each.
    """
    positive, values = boolean(truth), numbers(scores, "scores")
    if values.ndim != 3 or values.shape[2] != len(positive) or np.isinf(values).any():
        raise ConfigError(f"scores {values.shape} for {len(positive)} cases; expected (tests, readers, cases).")
    i, j = values.shape[:2]
    names, who = names_of("test", tests, i), names_of("reader", readers, j)
    kernels = [_Kernel(positive, v) for v in values]
    own = np.full((i, j), np.nan)
    for k, kernel in enumerate(kernels):
        pairs = kernel.there.sum((1, 2))
        own[k, pairs > 0] = kernel.won.sum((1, 2))[pairs > 0] / pairs[pairs > 0]
    averages: dict[str, Estimate] = {}
    variances: dict[str | tuple[str, str], float] = {}
    degrees: dict[str | tuple[str, str], float] = {}
    units, p = len(positive), {}
    for k, name in enumerate(names):
        variance = _covariance(kernels[k], kernels[k])
        variances[name], degrees[name] = variance, _hillis_df(variance, own[k])
        averages[name] = _estimate(kernels[k].average, variance, degrees[name], level, units, (0.0, 1.0))[0]
    differences: dict[tuple[str, str], Estimate] = {}
    for a, b in combinations(range(i), 2):
        key = names[a], names[b]
        variance = variances[names[a]] + variances[names[b]] - 2 * _covariance(kernels[a], kernels[b])
        variances[key], degrees[key] = variance, _hillis_df(variance, own[a] - own[b])
        gap = (averages[names[a]].value or 0.0) - (averages[names[b]].value or 0.0)
        differences[key], p[key] = _estimate(gap, variance, degrees[key], level, units, (-1.0, 1.0))
    seen = np.isfinite(values)
    counts = {
        (t, r): (int(seen[a, b, positive].sum()), int(seen[a, b, ~positive].sum()))
        for a, t in enumerate(names)
        for b, r in enumerate(who)
    }
    auroc = {(t, r): float(own[a, b]) for a, t in enumerate(names) for b, r in enumerate(who) if np.isfinite(own[a, b])}
    return UAnalysis(names, who, auroc, averages, differences, p, variances, degrees, counts)


def _hillis_df(variance: float, own: Floats) -> float:
    there = own[np.isfinite(own)]
    spread = float(there.var(ddof=1)) / len(there) if len(there) > 1 else 0.0
    return (variance / spread) ** 2 * (len(there) - 1) if spread > 1e-12 and variance > 0 else float("inf")


def _estimate(
    value: float, variance: float, df: float, level: float, n: int, within: tuple[float, float]
) -> tuple[Estimate, float | None]:
    from scipy import stats

    method = "U-statistics (Gallas), Hillis df"
    if variance <= 1e-15:
        note = "the unbiased variance is not above 0: no interval"
        return Estimate(value, None, None, level, n, method, note), None
    found = scaled_interval(value, variance**0.5, level=level, n=n, method=method, df=df)
    if found.low is not None and found.high is not None:
        found = replace(found, low=max(found.low, within[0]), high=min(found.high, within[1]))
    z = abs(value) / variance**0.5
    return found, float(2 * (stats.norm.sf(z) if np.isinf(df) else stats.t.sf(z, df)))
