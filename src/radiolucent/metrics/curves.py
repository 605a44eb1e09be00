"""Curves: ROC, precision–recall, reliability, decision; and predictive values at another prevalence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics.arrays import Floats, Mask, both_classes, paired, probabilities
from radiolucent.metrics.calibration import bins_of
from radiolucent.metrics.intervals import wilson
from radiolucent.types import Estimate

__all__ = [
    "DecisionCurve",
    "Reliability",
    "decision_curve",
    "npv_at_prevalence",
    "ppv_at_prevalence",
    "pr_curve_points",
    "reliability",
    "roc_curve_points",
]


def _curve(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Mask, Floats]:
    positive, values = paired(truth, scores)
    reason = both_classes(positive, values)
    if reason:
        raise DataError(f"no curve: {reason}.")
    return positive, values


def roc_curve_points(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """False positive rate, true positive rate and threshold (inf at the start) along the ROC curve.

    Raises:
        DataError: one class only, or scores that are not a number.

    >>> [points.tolist() for points in roc_curve_points(np.array([0, 1]), np.array([0.2, 0.8]))]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [inf, 0.8, 0.2]]
    """
    from sklearn import metrics as sk

    fpr, tpr, thresholds = sk.roc_curve(*_curve(truth, scores))
    return np.asarray(fpr), np.asarray(tpr), np.asarray(thresholds)


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
    truth: NDArray[Any], scores: NDArray[Any], bins: int = 10, *, adaptive: bool = False, level: float = 0.95
) -> Reliability:
    """Observed rate of truth 0/1 (N,) against predicted probability (N,), in bins of equal width or (adaptive) count.

    >>> reliability(np.array([0, 1, 1]), np.array([0.25, 0.75, 0.75]), bins=2).means
    (0.25, 0.75)
    """
    positive, values = probabilities(truth, scores)
    if np.isnan(values).any():
        raise DataError(f"no curve: {int(np.isnan(values).sum())} of {len(values)} scores are not a number.")
    index = bins_of(values, bins, adaptive=adaptive)
    filled = [index == b for b in np.unique(index)]
    return Reliability(
        tuple(int(own.sum()) for own in filled),
        tuple(float(values[own].mean()) for own in filled),
        tuple(wilson(int(positive[own].sum()), int(own.sum()), level) for own in filled),
    )


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit (T,) at each threshold probability of acting by the model, on all, and on none (0 everywhere)."""

    thresholds: Floats
    model: Floats
    treat_all: Floats
    treat_none: Floats


def decision_curve(
    truth: NDArray[Any], scores: NDArray[Any], thresholds: Sequence[float] | Floats | None = None
) -> DecisionCurve:
    """Net benefit TP/N − FP/N · t/(1 − t) at threshold probabilities t (Vickers & Elkin 2006).

    Args:
        truth: 0/1 (N,). scores: probabilities (N,).
        thresholds: in [0, 1); 0.01 to 0.99 unless given.

    >>> decision_curve(np.array([1, 0]), np.array([0.9, 0.1]), [0.5]).model
    array([0.5])
    """
    positive, values = probabilities(truth, scores)
    if not len(values) or np.isnan(values).any():
        raise DataError("no curve: no cases, or scores that are not a number.")
    t = np.asarray(np.linspace(0.01, 0.99, 99) if thresholds is None else thresholds, np.float64)
    if ((t < 0) | (t >= 1)).any():
        raise ConfigError("threshold probabilities of a decision curve; expected values from 0 to below 1.")
    # Cases at or above t, by counting in the sorted scores of each class: no (T, N) table.
    true = positive.sum() - np.searchsorted(np.sort(values[positive]), t, side="left")
    false = (~positive).sum() - np.searchsorted(np.sort(values[~positive]), t, side="left")
    odds, rate = t / (1 - t), positive.mean()
    return DecisionCurve(t, (true - false * odds) / len(values), rate - (1 - rate) * odds, np.zeros_like(t))


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
