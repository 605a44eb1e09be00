"""All figures of one set of predictions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from radiolucent.bounds import expect
from radiolucent.errors import ConfigError
from radiolucent.metrics.all import METRICS
from radiolucent.metrics.metric import Cases, Resampling
from radiolucent.metrics.multiclass import by_class, confusion_matrix
from radiolucent.metrics.operating import cells
from radiolucent.metrics.proportions import PROPORTIONS
from radiolucent.shown import Shown, counted
from radiolucent.types import Estimate, Predictions
from radiolucent.types.nothing import nothing

__all__ = ["Evaluation", "evaluate"]

FEW_PATIENTS = 10
"""Patients of the rarer class below which no interval is promised."""


@dataclass(frozen=True)
class Evaluation(Shown):
    """What evaluation found.

    Attributes:
        n, patients: images and patients evaluated.
        patients_with, patients_without: patients with an image of the positive class, and with one of another; the
            fewer of the two limit what the figures can say.
        positive: name of the positive class.
        prevalence: share of positive images.
        threshold, temperature: used, not chosen, here.
        estimates: by name, in the order of `METRICS`; what has no meaning here is missing (`macro_auroc` and
            `class_accuracy` with two classes).
        delong: AUROC with DeLong's interval, by patient; the same as `estimates["auroc"]`.
        wilson: the proportions, the same as in `estimates`.
        confusion: tp, fp, fn, tn at the threshold.
        class_names, matrix: images by true class (row) and called class (column): at the threshold for two classes,
            the most probable one for more.
        classes: with more than two classes, by class name: one-vs-rest auroc, sensitivity, ppv.
        left_out: images without a label.
        notes: caveats of the whole.
    """

    n: int
    patients: int
    patients_with: int
    patients_without: int
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
    classes: Mapping[str, Mapping[str, Estimate]] = field(default_factory=nothing)
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        who = f"{counted(self.n, 'film')} of {counted(self.patients, 'patient')}"
        return f"Evaluation({who}, {self.positive} from {self.threshold:.3f}: AUROC {self.estimates['auroc']})"

    def rows(self) -> list[dict[str, Any]]:
        """A row a figure: its name, value, interval, n and method."""
        return [{"figure": name} | e.as_dict() for name, e in self.estimates.items()]

    @property
    def calibrated(self) -> bool | None:
        """Whether these images let the probabilities stand: slope 1 and, in the large, 0 lie in the intervals.

        None where there is no interval to say so. It is no proof of calibration: wide intervals hold 1 and 0 easily.
        """
        pairs = [(self.estimates.get(k), to) for k, to in (("calibration_slope", 1), ("calibration_in_the_large", 0))]
        told = [e.low <= to <= e.high for e, to in pairs if e and e.low is not None and e.high is not None]
        return False if not all(told) else True if len(told) == len(pairs) else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        plain = (
            "n",
            "patients",
            "patients_with",
            "patients_without",
            "positive",
            "prevalence",
            "threshold",
            "temperature",
            "left_out",
        )
        return {k: getattr(self, k) for k in plain} | {
            **{name: estimate.as_dict() for name, estimate in self.estimates.items()},
            "auroc_delong": self.delong.as_dict(),
            "wilson": {name: estimate.as_dict() for name, estimate in self.wilson.items()},
            "confusion": dict(self.confusion),
            "class_names": list(self.class_names),
            "matrix": [list(row) for row in self.matrix],
            "classes": {c: {name: e.as_dict() for name, e in found.items()} for c, found in self.classes.items()},
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
        interval: intervals are by patient, and each figure has the one that was found to hold what it says
            (docs/explanation/numbers.md): DeLong's for AUROC, Wilson's with a design effect for proportions, F1 and
            balanced accuracy, the jackknife for average precision, Brier, MCC and the calibration line; elsewhere the
            "patient-bootstrap", or no interval if it is "analytic".
        folds, seed: of the bootstrap.

    Raises:
        DataError: no image has a label, or logits are not finite (the message names an image).
        ConfigError: an unknown interval, or predictions of several labels (`evaluate_labels`).
    """
    expect(predictions, Predictions, "predictions", "rl.predict(classifier, films)")
    if interval not in ("patient-bootstrap", "analytic"):
        raise ConfigError(f"interval {interval!r}; expected 'patient-bootstrap' or 'analytic'.")
    cases, names = Cases.of(predictions), predictions.class_names
    how = Resampling(level, folds if interval == "patient-bootstrap" else 2, seed)
    given = [(metric.name, metric.estimate(cases, how)) for metric in METRICS]
    found = {name: e for name, e in given if e is not None}
    if interval == "analytic":
        found = {name: _bare(e) if "bootstrap" in e.method else e for name, e in found.items()}
    ill, well = (cases.patients_of(own) for own in (cases.truth, ~cases.truth))
    tp, fp, fn, tn = cells(cases.truth, cases.called).sum(0).astype(int).tolist()
    patients = len(set(cases.patients))
    return Evaluation(
        n=len(cases.truth),
        patients=patients,
        patients_with=ill,
        patients_without=well,
        positive=names[predictions.positive],
        prevalence=float(cases.truth.mean()),
        threshold=predictions.threshold,
        temperature=predictions.temperature,
        estimates=found,
        delong=found["auroc"],
        wilson={name: found[name] for name in PROPORTIONS},
        confusion={"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        class_names=names,
        matrix=_matrix(cases, predictions),
        classes=by_class(cases, how) if len(names) > 2 else {},
        left_out=cases.left_out,
        notes=(*_notes(cases, min(ill, well)), *_two_ways(predictions), *filter(None, [predictions.no_call_note])),
    )


def _bare(e: Estimate) -> Estimate:
    """An estimate without its resampled interval."""
    return Estimate(e.value, None, None, e.level, e.n, "no interval", "no closed form: use the patient bootstrap")


def _matrix(cases: Cases, predictions: Predictions) -> tuple[tuple[int, ...], ...]:
    called = cases.chances.argmax(1)
    if len(predictions.class_names) == 2:
        called = np.where(cases.called, predictions.positive, 1 - predictions.positive)
    return confusion_matrix(cases.labels, called, len(predictions.class_names))


def _two_ways(predictions: Predictions) -> tuple[str, ...]:
    """With more than two classes, which figures are of a threshold and which of the most probable class."""
    if len(predictions.class_names) == 2:
        return ()
    one = f"{predictions.class_names[predictions.positive]} against the rest"
    return (
        f"the table's figures are of {one}, from a probability of {predictions.threshold:.3f} on; films are called by "
        "the most probable class, and the figures by class and the matrix count these calls",
    )


def _notes(cases: Cases, rarer: int) -> tuple[str, ...]:
    notes: list[str] = []
    if rarer < FEW_PATIENTS:
        notes.append(
            f"only {rarer} patient{'' if rarer == 1 else 's'} of the rarer class: intervals are wide, or missing, and "
            f"are not known to hold what they say below {FEW_PATIENTS}"
        )
    if cases.left_out:
        notes.append(f"{cases.left_out} images without a label left out")
    return tuple(notes)
