"""Curves: ROC, precision–recall, reliability, decision; and predictive value at another prevalence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from radiolucent.metrics.calibration import bins_of
from radiolucent.metrics.intervals import Floats, wilson
from radiolucent.types import Estimate

__all__ = [
    "DecisionCurve",
    "Reliability",
    "decision_curve",
    "ppv_at_prevalence",
    "pr_curve_points",
    "reliability",
    "roc_curve_points",
]


def roc_curve_points(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """False positive rate, true positive rate and threshold along the ROC curve (scikit-learn)."""
    fpr, tpr, thresholds = sk.roc_curve(np.asarray(truth, bool), scores)
    return np.asarray(fpr), np.asarray(tpr), np.asarray(thresholds)


def pr_curve_points(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Recall, precision and threshold along the precision–recall curve (scikit-learn)."""
    precision, recall, thresholds = sk.precision_recall_curve(np.asarray(truth, bool), scores)
    return np.asarray(recall), np.asarray(precision), np.asarray(thresholds)


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width: cases, mean probability, and observed rate with Wilson's interval; empty bins left out."""

    counts: tuple[int, ...]
    means: tuple[float, ...]
    rates: tuple[Estimate, ...]


def reliability(truth: NDArray[Any], scores: NDArray[Any], *, bins: int = 10, level: float = 0.95) -> Reliability:
    """Observed rate against predicted probability (N,), in equal-width bins."""
    positive, values = np.asarray(truth, bool), np.asarray(scores, np.float64)
    index = bins_of(values, bins)
    filled = [b for b in range(bins) if (index == b).any()]
    return Reliability(
        tuple(int((index == b).sum()) for b in filled),
        tuple(float(values[index == b].mean()) for b in filled),
        tuple(wilson(int(positive[index == b].sum()), int((index == b).sum()), level) for b in filled),
    )


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit at each threshold probability of acting by the model, on all, and on none (0)."""

    thresholds: Floats
    model: Floats
    treat_all: Floats


def decision_curve(
    truth: NDArray[Any], scores: NDArray[Any], thresholds: Sequence[float] | None = None
) -> DecisionCurve:
    """Net benefit TP/N − FP/N · t/(1 − t) at threshold probabilities t (Vickers & Elkin 2006).

    >>> decision_curve(np.array([1, 0]), np.array([0.9, 0.1]), [0.5]).model
    array([0.5])
    """
    positive, values = np.asarray(truth, bool), np.asarray(scores, np.float64)
    t = np.asarray(np.linspace(0.01, 0.99, 99) if thresholds is None else thresholds, np.float64)
    called = values[None] >= t[:, None]
    odds = t / (1 - t)
    model = (called & positive).mean(1) - (called & ~positive).mean(1) * odds
    return DecisionCurve(t, model, positive.mean() - (1 - positive.mean()) * odds)


def ppv_at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Positive and negative predictive value at another prevalence, by Bayes' rule.

    >>> ppv, npv = ppv_at_prevalence(0.9, 0.9, 0.1)
    >>> round(ppv, 3), round(npv, 3)
    (0.5, 0.988)
    """
    tp, fp = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    tn, fn = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return (tp / (tp + fp) if tp + fp else float("nan")), (tn / (tn + fn) if tn + fn else float("nan"))
