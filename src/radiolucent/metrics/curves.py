"""Curves: ROC, precision–recall, reliability, decision; and predictive values at another prevalence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics.arrays import Floats, Mask, both_classes, paired, probabilities
from radiolucent.metrics.calibration import bins_of
from radiolucent.metrics.intervals import score_ends, z_of
from radiolucent.metrics.proportions import clustered_ends, clustered_wilson
from radiolucent.metrics.resample import Groups, clusters_of
from radiolucent.types import Estimate

__all__ = [
    "DecisionCurve",
    "Reliability",
    "decision_curve",
    "npv_at_prevalence",
    "ppv_at_prevalence",
    "pr_curve_points",
    "predictive_values",
    "reliability",
    "roc_band",
    "roc_curve_points",
]


def _curve(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Mask, Floats]:
    positive, values = paired(truth, scores)
    reason = both_classes(positive, values)
    if not reason and np.isinf(values).any():
        reason = f"{int(np.isinf(values).sum())} of {len(values)} scores are infinite"
    if reason:
        raise DataError(f"no curve: {reason}.")
    return positive, values


def roc_curve_points(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """False positive rate, true positive rate and threshold (inf at the start) along the ROC curve.

    Raises:
        DataError: one class only, or scores that are not a number or infinite.

    >>> [points.tolist() for points in roc_curve_points(np.array([0, 1]), np.array([0.2, 0.8]))]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [inf, 0.8, 0.2]]
    """
    from sklearn import metrics as sk

    fpr, tpr, thresholds = sk.roc_curve(*_curve(truth, scores))
    return np.asarray(fpr), np.asarray(tpr), np.asarray(thresholds)


def roc_band(
    truth: NDArray[Any], scores: NDArray[Any], thresholds: Floats, *, groups: Groups = None, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Ends (T,), (T,) of Wilson's intervals of sensitivity where scores from each threshold on (T,) are called.

    With `groups`, N patient identifiers, the intervals have a design effect (`clustered_wilson`); not-a-number where a
    single patient is ill. Who is called from one threshold on is called from every lower one: where an end would fall
    as the threshold does, it keeps the value it had (of 1500 simulated samples of 15 or 50 patients the same 97 %
    cover the truth with and without).
    """
    positive, values = _curve(truth, scores)
    falling = np.argsort(-np.asarray(thresholds, np.float64), kind="stable")
    back = np.argsort(falling)
    called = values[positive] >= np.asarray(thresholds, np.float64)[falling, None]
    low, high = _share_ends(called.T, clusters_of(groups, len(values))[0][positive], level)
    return np.maximum.accumulate(low)[back], np.minimum.accumulate(high[::-1])[::-1][back]


def _share_ends(called: NDArray[Any], index: NDArray[np.intp], level: float) -> tuple[Floats, Floats]:
    """Ends (T,), (T,) of Wilson's intervals (`clustered_wilson`) of the shares of films called (n, T).

    Not-a-number where a single patient of `index` (n,) has several films.
    """
    index = np.unique(index, return_inverse=True)[1]
    size = np.bincount(index)
    if len(size) == len(index):
        return score_ends(called.mean(0), float(len(index)), z_of(level))
    if len(size) < 2:
        nothing = np.full(called.shape[1], np.nan)
        return nothing, nothing
    good = np.zeros((len(size), called.shape[1]))
    np.add.at(good, index, called)
    return clustered_ends(good.T, size, level)[:2]


def pr_curve_points(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Recall, precision and threshold along the precision–recall curve, recall falling (scikit-learn's order).

    The last point, recall 0 and precision 1, has no threshold: there is one fewer. Draw it in steps ("steps-post").

    Raises:
        DataError: one class only, or scores that are not a number.

    >>> [points.tolist() for points in pr_curve_points(np.array([0, 1]), np.array([0.2, 0.8]))]
    [[1.0, 1.0, 0.0], [0.5, 1.0, 1.0], [0.2, 0.8]]
    """
    from sklearn import metrics as sk

    precision, recall, thresholds = sk.precision_recall_curve(*_curve(truth, scores))
    return np.asarray(recall), np.asarray(precision), np.asarray(thresholds)


@dataclass(frozen=True)
class Reliability:
    """Bins of probability: cases, mean probability, and observed rate with Wilson's interval; empty bins left out."""

    counts: tuple[int, ...]
    means: tuple[float, ...]
    rates: tuple[Estimate, ...]


def reliability(
    truth: NDArray[Any],
    scores: NDArray[Any],
    bins: int = 10,
    *,
    adaptive: bool = False,
    groups: Groups = None,
    level: float = 0.95,
) -> Reliability:
    """Observed rate of truth 0/1 (N,) against predicted probability (N,), in bins of equal width or (adaptive) count.

    With `groups`, N patient identifiers, Wilson's intervals have a design effect.

    >>> reliability(np.array([0, 1, 1]), np.array([0.25, 0.75, 0.75]), bins=2).means
    (0.25, 0.75)
    """
    positive, values = probabilities(truth, scores)
    if np.isnan(values).any():
        raise DataError(f"no curve: {int(np.isnan(values).sum())} of {len(values)} scores are not a number.")
    index, patients = bins_of(values, bins, adaptive=adaptive), clusters_of(groups, len(values))[0]
    filled = [index == b for b in np.unique(index)]
    return Reliability(
        tuple(int(own.sum()) for own in filled),
        tuple(float(values[own].mean()) for own in filled),
        tuple(
            clustered_wilson(positive[own], np.unique(patients[own], return_inverse=True)[1], level) for own in filled
        ),
    )


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit (T,) at each threshold probability of acting by the model, on all, and on none (0 everywhere).

    `low`, `high` (T,) bound the model's, point by point, at `level`; not-a-number where all films are a single
    patient's. All hold for films of which a share `prevalence` have the finding.
    """

    thresholds: Floats
    model: Floats
    treat_all: Floats
    treat_none: Floats
    low: Floats
    high: Floats
    prevalence: float
    level: float


def decision_curve(
    truth: NDArray[Any],
    scores: NDArray[Any],
    thresholds: Sequence[float] | Floats | None = None,
    *,
    prevalence: float | None = None,
    groups: Groups = None,
    level: float = 0.95,
) -> DecisionCurve:
    """Net benefit s π − (1 − c) (1 − π) t/(1 − t) at threshold probabilities t (Vickers & Elkin 2006).

    s and c are sensitivity and specificity of acting where the score is at least t. At the prevalence π of these cases
    this is TP/N − FP/N · t/(1 − t). Another π takes the scores as they are: whoever recalibrates them acts on others.

    The band adds up, in squares, how far Wilson's ends lie from the two shares it is made of (square-and-add with their
    correlation, Zou & Donner 2008): true and false calls of all films, or, at another prevalence, of the films with it
    and of those without. A mean ± t · deviation held the truth in 80 % of samples where few films are ill, and in 22 %
    at another prevalence where all ill films are acted on.

    Args:
        truth: 0/1 (N,). scores: probabilities (N,).
        thresholds: in [0, 1); 0.01 to 0.99 unless given.
        prevalence: of the films the curve is meant for; that of these cases unless given.
        groups: N patient identifiers; the band is then by patient.

    >>> decision_curve(np.array([1, 0]), np.array([0.9, 0.1]), [0.5]).model
    array([0.5])
    """
    positive, values = probabilities(truth, scores)
    if not len(values) or np.isnan(values).any():
        raise DataError("no curve: no cases, or scores that are not a number.")
    t = np.asarray(np.linspace(0.01, 0.99, 99) if thresholds is None else thresholds, np.float64)
    if not ((t >= 0) & (t < 1)).all():
        raise ConfigError("threshold probabilities of a decision curve; expected values from 0 to below 1.")
    odds, acted = t / (1 - t), values[:, None] >= t
    index, _ = clusters_of(groups, len(values))
    if prevalence is None:
        rate, every = float(positive.mean()), np.ones_like(positive)
        found, alarms = _Share(acted & positive[:, None], every), _Share(acted & ~positive[:, None], every)
        gain, loss = 1.0, odds
    else:
        _shares(prevalence=prevalence)
        if not positive.any() or positive.all():
            raise DataError("no curve at another prevalence: films of both classes are needed.")
        rate, found, alarms = prevalence, _Share(acted, positive), _Share(acted, ~positive)
        gain, loss = rate, (1 - rate) * odds
    model = gain * found.values - loss * alarms.values
    (s_low, s_high), (f_low, f_high) = (one.ends(index, level) for one in (found, alarms))
    together = found.correlation(alarms, index)
    half: list[Floats] = []
    for s_end, f_end in ((s_low, f_high), (s_high, f_low)):
        own, other = gain * np.abs(s_end - found.values), loss * np.abs(f_end - alarms.values)
        half.append(np.sqrt(np.maximum(own**2 + other**2 - 2 * together * own * other, 0.0)))
    low, high = model - half[0], model + half[1]
    return DecisionCurve(t, model, rate - (1 - rate) * odds, np.zeros_like(t), low, high, rate, level)


@dataclass(frozen=True, eq=False)
class _Share:
    """Shares (T,) of some films, bool (N,), that are hit, bool (N, T)."""

    hit: NDArray[np.bool_]
    films: Mask

    @property
    def values(self) -> Floats:
        return self.hit[self.films].mean(0)

    def ends(self, index: NDArray[np.intp], level: float) -> tuple[Floats, Floats]:
        return _share_ends(self.hit[self.films], index[self.films], level)

    def parts(self, index: NDArray[np.intp]) -> Floats:
        """What each patient of `index` (N,) adds to the shares' errors (patients, T), but for a factor."""
        sums = np.zeros((int(index.max()) + 1, self.hit.shape[1]))
        np.add.at(sums, index, (self.hit - self.values) * self.films[:, None])
        return sums

    def correlation(self, other: "_Share", index: NDArray[np.intp]) -> Floats:
        """Of the two shares' errors (T,); 0 where one never varies."""
        mine, theirs = self.parts(index), other.parts(index)
        sizes = np.sqrt((mine**2).sum(0) * (theirs**2).sum(0))
        return (mine * theirs).sum(0) / np.where(sizes > 0, sizes, 1.0)


def _shares(**given: float) -> None:
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} {value}; expected a share between 0 and 1.")


def ppv_at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Positive predictive value at another prevalence π: s π / (s π + (1 − c)(1 − π)).

    Not-a-number where no case would be called positive.

    >>> round(ppv_at_prevalence(0.9, 0.9, 0.1), 3)
    0.5
    """
    _shares(sensitivity=sensitivity, specificity=specificity, prevalence=prevalence)
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return true / (true + false) if true + false > 0 else float("nan")


def npv_at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Negative predictive value at another prevalence π: c (1 − π) / (c (1 − π) + (1 − s) π).

    >>> round(npv_at_prevalence(0.9, 0.9, 0.1), 3)
    0.988
    """
    return ppv_at_prevalence(specificity, sensitivity, 1 - prevalence)


def predictive_values(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> tuple[Estimate, Estimate]:
    """(PPV, NPV) at a prevalence π, with intervals from those of sensitivity and specificity.

    log odds of PPV are log odds of π plus log(s / (1 − c)); the ends of a sum follow from the ends of its parts by the
    method of variance estimates recovery (Donner & Zou 2012). Where s or c is 0 or 1, its parts' ends are added up.

    >>> from radiolucent.metrics.intervals import wilson
    >>> print(predictive_values(wilson(90, 100), wilson(180, 200), 0.1)[0])
    0.500 (95 % CI 0.399–0.604, n = 100)
    """
    _shares(prevalence=prevalence)
    method = f"at prevalence {prevalence:.3g}, from {sensitivity.method} and {specificity.method}"
    ppv = _predictive(sensitivity, specificity, prevalence, method)
    return ppv, _predictive(specificity, sensitivity, 1 - prevalence, method)


def _predictive(own: Estimate, other: Estimate, prevalence: float, method: str) -> Estimate:
    from scipy import special

    n = min(own.n, other.n)
    if own.value is None or other.value is None:
        return Estimate(None, None, None, own.level, n, method, own.note or other.note)
    value = ppv_at_prevalence(own.value, other.value, prevalence)
    if not np.isfinite(value):
        return Estimate(None, None, None, own.level, n, method, "no case would be called so")
    if None in (own.low, own.high, other.low, other.high):
        return Estimate(value, None, None, own.level, n, method, "no interval of sensitivity or specificity")
    ends = [[float(x or 0) for x in (e.low, e.value, e.high)] for e in (own, other)]
    (s_low, s, s_high), (c_low, c, c_high) = ends
    if min(s, 1 - c) <= 0 or prevalence in (0.0, 1.0):
        low, high = ppv_at_prevalence(s_low, c_low, prevalence), ppv_at_prevalence(s_high, c_high, prevalence)
        return Estimate(value, low, 1.0 if np.isnan(high) else high, own.level, n, method)
    s_gap = np.log(s / s_low) if s_low > 0 else np.inf, np.log(s_high / s)
    c_gap = np.log((1 - c_low) / (1 - c)), np.log((1 - c) / (1 - c_high)) if c_high < 1 else np.inf
    middle = np.log(prevalence / (1 - prevalence)) + np.log(s / (1 - c))
    low, high = (middle + sign * np.hypot(s_gap[k], c_gap[k]) for k, sign in ((0, -1), (1, 1)))
    return Estimate(value, float(special.expit(low)), float(special.expit(high)), own.level, n, method)
