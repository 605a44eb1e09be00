"""All figures of one set of predictions, from one pass of resampled patients."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from radiolucent.errors import DataError
from radiolucent.metrics.calibration import calibration_line, ece
from radiolucent.metrics.intervals import Floats, bootstrap_weights, clusters_of, percentile_interval, undefined
from radiolucent.metrics.operating import RATES, counts, degenerate_bound, proportion
from radiolucent.metrics.ranking import Ranks, auroc
from radiolucent.types import Estimate, Predictions

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What evaluation found.

    Attributes:
        n, patients: images and patients evaluated.
        positive: name of the positive class.
        prevalence: share of positive images.
        threshold, temperature: used, not chosen, here.
        estimates: by name: auroc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity, ppv, npv,
            f1, mcc, brier, ece, calibration_slope, calibration_intercept; with more than two classes also
            macro_auroc and class_accuracy.
        delong: AUROC with DeLong's interval.
        wilson: the proportions with Wilson's interval.
        confusion: tp, fp, fn, tn at the threshold.
        class_names, matrix: confusion between all classes (rows truth, columns most probable class).
        left_out: images without a label.
    """

    n: int
    patients: int
    positive: str
    prevalence: float
    threshold: float
    temperature: float
    estimates: Mapping[str, Estimate]
    delong: Estimate
    wilson: Mapping[str, Estimate]
    confusion: Mapping[str, int]
    class_names: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    left_out: int = 0
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        plain = ("n", "patients", "positive", "prevalence", "threshold", "temperature", "left_out")
        return {k: getattr(self, k) for k in plain} | {
            **{name: estimate.as_dict() for name, estimate in self.estimates.items()},
            "auroc_delong": self.delong.as_dict(),
            "wilson": {name: estimate.as_dict() for name, estimate in self.wilson.items()},
            "confusion": dict(self.confusion),
            "class_names": list(self.class_names),
            "matrix": [list(row) for row in self.matrix],
            "notes": list(self.notes),
        }


def evaluate(
    predictions: Predictions,
    *,
    interval: Literal["patient-bootstrap", "analytic"] = "patient-bootstrap",
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Evaluation:
    """Evaluate predictions against their labels; images without a label are left out and counted.

    Args:
        interval: "patient-bootstrap" resamples patients with all their images (percentile, `folds` times); "analytic"
            gives Wilson's and DeLong's where they exist and no interval elsewhere.

    Raises:
        DataError: no image has a label, or logits are not finite.
    """
    if predictions.labels.ndim == 2:
        known = np.ones(len(predictions), bool)
    else:
        known = predictions.labels >= 0
    if not known.any():
        raise DataError("no image has a label; evaluation needs class folders or a label column.")
    if not np.isfinite(predictions.logits).all():
        raise DataError("logits are not finite; the network is damaged or its input is: train again.")
    truth, scores, called = predictions.truth[known], predictions.scores[known], predictions.called[known]
    patients = [p for p, k in zip(predictions.patient_ids, known, strict=True) if k]
    count = clusters_of(patients, len(truth))[1]
    proportions = {name: proportion(name, truth, called, level) for name in _PROPORTION_NAMES}
    delong = auroc(truth, scores, level=level)
    most_probable = predictions.probabilities[known].argmax(1)
    labels = predictions.labels[known]
    folds_used = folds if interval == "patient-bootstrap" else 0
    statistics = _Statistics(truth, scores, called, labels, most_probable, predictions)
    values = statistics(np.ones((1, len(truth))))
    if folds_used:
        parts = [statistics(w) for w in bootstrap_weights(patients, len(truth), folds=folds, seed=seed)]
        samples = {name: np.concatenate([part[name] for part in parts]) for name in values}
        method = f"patient bootstrap ({folds})"
        estimates = {
            name: percentile_interval(
                float(value[0]),
                samples[name],
                level=level,
                n=count,
                method=method,
                bound=degenerate_bound(name, truth, called, level) if value[0] == 1 else None,
            )
            for name, value in values.items()
        }
    else:
        estimates = {
            name: Estimate(float(v[0]), None, None, level, len(truth), "no interval")
            if np.isfinite(v[0])
            else undefined("not defined on this sample", level, len(truth), "no interval")
            for name, v in values.items()
        } | {**proportions, "auroc": delong}
    names = predictions.class_names
    matrix = np.zeros((len(names), len(names)), int)
    if labels.ndim == 1:
        np.add.at(matrix, (labels, most_probable), 1)
    tp, fp, fn, tn = (int(c[0]) for c in counts(truth, called, np.ones((1, len(truth)))))
    return Evaluation(
        n=len(truth),
        patients=count,
        positive=names[predictions.positive],
        prevalence=float(truth.mean()),
        threshold=predictions.threshold,
        temperature=predictions.temperature,
        estimates=estimates,
        delong=delong,
        wilson=proportions,
        confusion={"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        class_names=names,
        matrix=tuple(tuple(int(v) for v in row) for row in matrix),
        left_out=int((~known).sum()),
    )


_PROPORTION_NAMES = ("accuracy", "sensitivity", "specificity", "ppv", "npv")


class _Statistics:
    """Every figure for each fold of weights (folds, N)."""

    def __init__(
        self, truth: Any, scores: Any, called: Any, labels: Any, most_probable: Any, predictions: Predictions
    ) -> None:
        self.truth, self.scores, self.called = truth, scores, called
        self.ranks = Ranks(truth, scores)
        self.squared = (scores - truth) ** 2
        self.right = (labels == most_probable).astype(float) if labels.ndim == 1 else None
        self.others: list[Ranks] = []
        if labels.ndim == 1 and len(predictions.class_names) > 2:
            kept = predictions.labels >= 0
            chances = predictions.probabilities[kept]
            self.others = [Ranks(labels == c, chances[:, c]) for c in range(chances.shape[1])]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        cells = counts(self.truth, self.called, weights)
        slope, intercept = calibration_line(self.truth, self.scores, weights=None if len(weights) == 1 else weights)
        total = weights.sum(1)
        found = {
            "auroc": self.ranks.auroc(weights),
            "average_precision": self.ranks.average_precision(weights),
            **{name: rate(*cells) for name, rate in RATES.items()},
            "brier": weights @ self.squared / total,
            "ece": ece(self.truth, self.scores, weights=weights),
            "calibration_slope": slope,
            "calibration_intercept": intercept,
        }
        if self.others and self.right is not None:
            found["macro_auroc"] = np.mean([ranks.auroc(weights) for ranks in self.others], axis=0)
            found["class_accuracy"] = weights @ self.right / total
        return found
