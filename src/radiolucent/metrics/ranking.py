"""How well scores rank: AUROC (DeLong, bootstrap), average precision."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from radiolucent.errors import ConfigError
from radiolucent.metrics.intervals import (
    Floats,
    bootstrap_weights,
    clusters_of,
    exact_low,
    percentile_interval,
    undefined,
)
from radiolucent.types import Estimate

__all__ = ["Ranks", "auroc", "average_precision", "delong_test"]


def _checked(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[np.bool_], Floats]:
    positive, values = np.asarray(truth, bool), np.asarray(scores, np.float64)
    if positive.shape != values.shape or positive.ndim != 1:
        raise ConfigError(f"truth {positive.shape} and scores {values.shape}; expected the same (N,).")
    if not np.isfinite(values).all():
        raise ConfigError(f"{(~np.isfinite(values)).sum()} of {len(values)} scores are not finite; check the network.")
    return positive, values


class Ranks:
    """Scores sorted once, so that weighted AUROC and average precision of many folds are cumulative sums."""

    def __init__(self, truth: NDArray[Any], scores: NDArray[Any]) -> None:
        positive, values = _checked(truth, scores)
        self.order = np.argsort(-values, kind="stable")
        self.positive = positive[self.order]
        ranked = values[self.order]
        self.ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.array([], int)

    def _counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weighted true and false positives (folds, U) called at or above each distinct score, from the highest."""
        ranked = weights[:, self.order]
        true = np.cumsum(np.where(self.positive, ranked, 0), axis=1)[:, self.ends]
        false = np.cumsum(np.where(self.positive, 0, ranked), axis=1)[:, self.ends]
        return true, false

    def auroc(self, weights: Floats) -> Floats:
        """Weighted AUROC (folds,), ties counted half; not-a-number in a fold with one class only."""
        true, false = self._counts(weights)
        step = np.diff(false, axis=1, prepend=0)
        middle = (true + np.concatenate([np.zeros((len(true), 1)), true[:, :-1]], axis=1)) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return (step * middle).sum(1) / (true[:, -1] * false[:, -1])

    def average_precision(self, weights: Floats) -> Floats:
        """Weighted Σ (R_k − R_{k−1}) P_k (folds,), as scikit-learn; not-a-number without a positive."""
        true, false = self._counts(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(true + false > 0, true / (true + false), 0)
            return (np.diff(true, axis=1, prepend=0) * precision).sum(1) / true[:, -1]


def _placements(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """DeLong's structural components V10 (m,) of the positives and V01 (n,) of the negatives, by mid-ranks."""
    x, y = scores[positive], scores[~positive]
    both = stats.rankdata(np.concatenate([x, y]))
    v10 = (both[: len(x)] - stats.rankdata(x)) / len(y)
    v01 = 1 - (both[len(x) :] - stats.rankdata(y)) / len(x)
    return v10, v01


def auroc(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    interval: Literal["delong", "bootstrap"] = "delong",
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Area under the ROC curve: P(score of a positive > score of a negative), ties counted half.

    Args:
        truth: bool (N,). scores: float (N,).
        interval: "delong" (DeLong 1988 in the fast form of Sun & Xu 2014; cases taken as independent), or "bootstrap"
            (percentile, over `groups` where given).
        groups: N patient identifiers.

    A perfect AUROC has no estimated variance; the lower end is then the exact binomial bound on min(m, n) pairs.

    >>> print(auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).value)
    0.75
    """
    positive, values = _checked(truth, scores)
    m, n = int(positive.sum()), int((~positive).sum())
    method = "delong" if interval == "delong" else f"{'patient ' if groups is not None else ''}bootstrap ({folds})"
    if not m or not n:
        return undefined(f"{m} positive and {n} negative cases; both are needed", level, m + n, method)
    bound = exact_low(min(m, n), level)
    if interval == "bootstrap":
        ranks = Ranks(positive, values)
        samples = [ranks.auroc(w) for w in bootstrap_weights(groups, m + n, folds=folds, seed=seed)]
        value = float(ranks.auroc(np.ones((1, m + n)))[0])
        count = clusters_of(groups, m + n)[1]
        return percentile_interval(
            value, np.concatenate(samples), level=level, n=count, method=method, bound=bound if value == 1 else None
        )
    v10, v01 = _placements(positive, values)
    value = float(v10.mean())
    if m < 2 or n < 2:
        return Estimate(value, None, None, level, m + n, method, "one case in a class: no variance")
    deviation = float(np.sqrt(v10.var(ddof=1) / m + v01.var(ddof=1) / n))
    if deviation == 0 and value == 1:
        return Estimate(value, bound, 1.0, level, m + n, method, "perfect; lower end is the exact binomial bound")
    z = float(stats.norm.ppf(0.5 + level / 2))
    return Estimate(value, max(0.0, value - z * deviation), min(1.0, value + z * deviation), level, m + n, method)


def average_precision(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Average precision Σ (R_k − R_{k−1}) P_k with a (clustered) percentile bootstrap interval."""
    positive, values = _checked(truth, scores)
    method = f"{'patient ' if groups is not None else ''}bootstrap ({folds})"
    if not positive.any() or positive.all():
        return undefined("one class only", level, len(values), method)
    ranks = Ranks(positive, values)
    samples = [ranks.average_precision(w) for w in bootstrap_weights(groups, len(values), folds=folds, seed=seed)]
    return percentile_interval(
        float(ranks.average_precision(np.ones((1, len(values))))[0]),
        np.concatenate(samples),
        level=level,
        n=clusters_of(groups, len(values))[1],
        method=method,
    )


def delong_test(
    truth: NDArray[Any], first: NDArray[Any], second: NDArray[Any], *, level: float = 0.95
) -> tuple[Estimate, float | None]:
    """Difference AUROC(first) − AUROC(second) on the same cases, with its interval and two-sided p (DeLong 1988)."""
    positive, a = _checked(truth, first)
    _, b = _checked(truth, second)
    m, n = int(positive.sum()), int((~positive).sum())
    if m < 2 or n < 2:
        return undefined("needs two cases of each class", level, m + n, "delong"), None
    (a10, a01), (b10, b01) = _placements(positive, a), _placements(positive, b)
    difference = float(a10.mean() - b10.mean())
    deviation = float(np.sqrt((a10 - b10).var(ddof=1) / m + (a01 - b01).var(ddof=1) / n))
    z = float(stats.norm.ppf(0.5 + level / 2))
    p = float(2 * stats.norm.sf(abs(difference) / deviation)) if deviation > 0 else (1.0 if difference == 0 else 0.0)
    return Estimate(difference, difference - z * deviation, difference + z * deviation, level, m + n, "delong"), p
