"""Whether "90 %" means nine in ten: Brier score and expected calibration error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats, Mask, probabilities
from radiolucent.metrics.intervals import jackknife_interval, t_of, undefined, z_of
from radiolucent.metrics.proportions import rarer_worth
from radiolucent.metrics.resample import Groups, bootstrap_method, clusters_of, over_folds
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
) -> Estimate:
    """Brier score: mean of (score − truth)² (Brier 1950), of truth 0/1 (N,) and probabilities (N,).

    Interval: each patient left out in turn, on the logit scale.

    >>> round(brier(np.array([1, 0]), np.array([0.9, 0.3])).value, 6)
    0.05
    """
    positive, values = probabilities(truth, scores)
    if not len(values) or np.isnan(values).any():
        note = "scores are not a number" if len(values) else "no cases"
        return undefined(note, level, clusters_of(groups, len(values))[1], "jackknife")
    squared = (values - positive) ** 2
    index, patients = clusters_of(groups, len(values))
    value, method = float(squared.mean()), "jackknife" if patients == len(values) else "patient jackknife"
    if patients < 2:
        return Estimate(value, None, None, level, patients, method, "films of a single patient: no interval")
    size = np.bincount(index, minlength=patients)
    without = (squared.sum() - np.bincount(index, squared, minlength=patients)) / (len(values) - size)
    return jackknife_interval(value, value - without, level=level, method=method, scale="share")


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
    gaps: Floats,
    *,
    level: float,
    n: int,
    worth: float,
    method: str,
) -> Estimate:
    """Interval of an ECE from bootstrap `samples` (folds,) and the ECEs of `ece_if_calibrated`.

    Resampling adds to the ECE the same upward bias that sampling does, so a percentile interval misses on the high side
    (it may hold neither the truth nor the estimate). The samples are reflected about the estimate instead (the "basic"
    bootstrap, Davison & Hinkley 1997, eq. 5.6) for the lower end, which is no higher than the estimate less what
    calibrated probabilities show at times: chance adds at most that. It lies further out, as Student's t does beside
    the normal, for patients of the rarer class worth `worth`. The upper end is the estimate + t · deviation, each bin's
    gap taken to have the sign it shows; nothing is taken off for the bias, which large gaps in a few bins do not have.

    Args:
        gaps: what the ECE so taken loses when each patient is left out in turn.
    """
    high = (1 + level) / 2
    often = float(np.quantile(calibrated, high))
    note = f"calibrated probabilities would show {calibrated.mean():.3f} here, at times {often:.3f}"
    if np.ptp(samples) <= 1e-12:
        return Estimate(value, None, None, level, n, method, "every fold agrees: no interval")
    wider = t_of(level, max(worth - 1, 1.0)) / z_of(level) * float(np.sqrt(worth / max(worth - 1, 0.5)))
    below = max(0.0, min(float(value + wider * (value - np.quantile(samples, high))), value - often))
    above = jackknife_interval(value, gaps, level=level, method=method).high
    if above is None:  # no bin has a gap, or every patient the same
        return Estimate(value, None, None, level, n, method, f"{note}; no variance among the units: no interval")
    return Estimate(value, below, min(1.0, above), level, n, f"{method}, reflected; jackknife above", note)


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
    z_of(level)
    method, n = bootstrap_method(groups, folds), clusters_of(groups, len(values))[1]
    if not len(values) or np.isnan(values).any():
        return undefined("scores are not a number" if len(values) else "no cases", level, n, method)
    member = ece_member(positive, values, bins, adaptive=adaptive)
    value = float(np.abs(member.sum(0)).sum() / len(values))
    folded = over_folds(lambda w: np.abs(w @ member).sum(1) / w.sum(1), groups, len(values), folds=folds, seed=seed)
    samples = np.concatenate(folded)
    calibrated = ece_if_calibrated(values, bins, groups=groups, adaptive=adaptive, seed=seed)
    index, _ = clusters_of(groups, len(values))
    worth = max(rarer_worth(positive, index), 2.0)
    signed = np.bincount(index, member @ np.sign(member.sum(0)) - value, minlength=n)
    gaps = signed / np.maximum(len(values) - np.bincount(index, minlength=n), 1)
    return ece_interval(value, samples, calibrated, gaps, level=level, n=n, worth=worth, method=method)
