"""Whether "90 %" means nine in ten: Brier score and expected calibration error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats, Mask, probabilities
from radiolucent.metrics.intervals import t_of, undefined, z_of
from radiolucent.metrics.proportions import rarer_worth
from radiolucent.metrics.resample import Groups, bootstrap_method, cluster_bootstrap_mean, clusters_of, over_folds
from radiolucent.types import Estimate

__all__ = [
    "bins_of",
    "brier",
    "ece",
    "ece_if_calibrated",
    "ece_interval",
    "ece_member",
]


def brier(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    groups: Groups = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Brier score: mean of (score − truth)² (Brier 1950), of truth 0/1 (N,) and probabilities (N,).

    >>> round(brier(np.array([1, 0]), np.array([0.9, 0.3]), folds=10).value, 6)
    0.05
    """
    positive, values = probabilities(truth, scores)
    if not len(values) or np.isnan(values).any():
        note = "scores are not a number" if len(values) else "no cases"
        return undefined(note, level, clusters_of(groups, len(values))[1], bootstrap_method(groups, folds))
    squared = (values - positive) ** 2
    return cluster_bootstrap_mean(squared, groups, level=level, folds=folds, seed=seed, scale="share")


def bins_of(scores: NDArray[Any], bins: int, *, adaptive: bool = False) -> NDArray[np.intp]:
    """Index (N,) of each probability's bin: [b/B, (b + 1)/B), the last with its end; or, adaptive, of equal counts.

    Adaptive bins keep equal scores together, so that some may be larger and some empty.

    >>> bins_of(np.array([0.0, 0.5, 1.0]), 10)
    array([0, 5, 9])
    """
    values = np.asarray(scores, np.float64)
    if bins < 1:
        raise ConfigError(f"{bins} bins; expected at least one.")
    if not adaptive:
        return np.minimum((values * bins).astype(np.intp), bins - 1)
    below = np.searchsorted(np.sort(values), values, side="left")
    return np.minimum(below * bins // max(len(values), 1), bins - 1).astype(np.intp)


def ece_member(truth: Mask, scores: Floats, bins: int, *, adaptive: bool = False) -> Floats:
    """(N, B) matrix G with ECE = Σ_b |weights @ G|_b / Σ weights."""
    return np.eye(bins)[bins_of(scores, bins, adaptive=adaptive)] * (truth - scores)[:, None]


def ece_if_calibrated(
    scores: Floats, bins: int, *, groups: Groups = None, adaptive: bool = False, seed: int = 0, draws: int = 1000
) -> Floats:
    """ECE (draws,) if the probabilities were right: outcomes drawn from them (Bröcker & Smith 2007). It is not 0.

    The films of a patient share one random number: mostly they are all ill or all well, and drawn as independent they
    would make miscalibration of what is chance. Where outcomes do differ within patients this is on the safe side.
    """
    rng = np.random.default_rng(seed)
    index, patients = clusters_of(groups, len(scores))
    member = np.eye(bins)[bins_of(scores, bins, adaptive=adaptive)]
    found = [np.abs(((rng.random(patients)[index] < scores) - scores) @ member).sum() for _ in range(draws)]
    return np.array(found) / len(scores)


def ece_interval(
    value: float,
    samples: Floats,
    calibrated: Floats,
    *,
    level: float,
    n: int,
    worth: float,
    method: str,
) -> Estimate:
    """Interval of an ECE from bootstrap `samples` (folds,) and the ECEs of `ece_if_calibrated`.

    Resampling adds to the ECE the same upward bias that sampling does, so a percentile interval misses on the high side
    (it may hold neither the truth nor the estimate). The samples are reflected about the estimate instead (the "basic"
    bootstrap, Davison & Hinkley 1997, eq. 5.6), the upper end being at least the estimate. The lower end is no higher
    than the estimate less what calibrated probabilities show at times: chance adds at most that. Both lie further out,
    as Student's t does beside the normal, for patients of the rarer class worth `worth`.
    """
    high = (1 + level) / 2
    often = float(np.quantile(calibrated, high))
    note = f"calibrated probabilities would show {calibrated.mean():.3f} here, at times {often:.3f}"
    if np.ptp(samples) <= 1e-12:
        return Estimate(value, None, None, level, n, method, "every fold agrees: no interval")
    wider = t_of(level, max(worth - 1, 1.0)) / z_of(level) * float(np.sqrt(worth / max(worth - 1, 0.5)))
    below, above = (float(value + wider * (value - end)) for end in np.quantile(samples, [high, 1 - high]))
    below = max(0.0, min(below, value - often))
    return Estimate(value, below, min(1.0, max(value, above)), level, n, f"{method}, reflected", note)


def ece(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    bins: int = 15,
    adaptive: bool = False,
    groups: Groups = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Expected calibration error Σ_b (n_b/N) |rate_b − mean score_b|, of truth 0/1 (N,) and probabilities (N,).

    Args:
        bins: of equal width (Naeini 2015), or, `adaptive`, of equal counts (Nguyen & O'Connor 2015).

    Biased upwards with few cases; the note says what calibrated probabilities would show. Interval: `ece_interval`.

    >>> round(ece(np.array([1, 0, 1, 1]), np.array([0.75, 0.75, 0.75, 0.75]), folds=100).value, 3)
    0.0
    """
    positive, values = probabilities(truth, scores)
    method, n = bootstrap_method(groups, folds), clusters_of(groups, len(values))[1]
    if not len(values) or np.isnan(values).any():
        return undefined("scores are not a number" if len(values) else "no cases", level, n, method)
    member = ece_member(positive, values, bins, adaptive=adaptive)
    value = float(np.abs(member.sum(0)).sum() / len(values))
    folded = over_folds(lambda w: np.abs(w @ member).sum(1) / w.sum(1), groups, len(values), folds=folds, seed=seed)
    samples = np.concatenate(folded)
    calibrated = ece_if_calibrated(values, bins, groups=groups, adaptive=adaptive, seed=seed)
    worth = max(rarer_worth(positive, clusters_of(groups, len(values))[0]), 2.0)
    return ece_interval(value, samples, calibrated, level=level, n=n, worth=worth, method=method)
