"""All figures of one set of predictions, from one pass over resampled patients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics.arrays import Floats, Mask, both_classes
from radiolucent.metrics.calibration import brier, ece_if_calibrated, ece_interval, ece_member
from radiolucent.metrics.intervals import undefined
from radiolucent.metrics.multiclass import ClassFigures, confusion_matrix
from radiolucent.metrics.operating import PROPORTIONS, RATES, cells, exact_ends, proportion, units, why_undefined
from radiolucent.metrics.ranking import Ranks, auroc, perfect_auroc
from radiolucent.metrics.recalibration import Recalibration, calibration_line
from radiolucent.metrics.resample import bootstrap_method, clusters_of, over_folds, percentile_interval
from radiolucent.shown import Shown
from radiolucent.types import Estimate, Predictions

__all__ = ["Evaluation", "evaluate"]

_BINS = 15


def _no_classes() -> Mapping[str, Mapping[str, Estimate]]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Evaluation(Shown):
    """What evaluation found.

    Attributes:
        n, patients: images and patients evaluated.
        positive: name of the positive class.
        prevalence: share of positive images.
        threshold, temperature: used, not chosen, here.
        estimates: by name: auroc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity, ppv, npv,
            f1, mcc, brier, ece, calibration_slope, calibration_intercept; with more than two classes also
            macro_auroc and, unless multi-label, class_accuracy (share of images whose most probable class is right).
        delong: AUROC with DeLong's interval, clustered by patient.
        wilson: the proportions with Wilson's interval, images taken as independent.
        confusion: tp, fp, fn, tn at the threshold.
        class_names, matrix: images by true class (row) and called class (column): at the threshold for two classes,
            the most probable one for more; empty for a multi-label head.
        classes: with more than two classes, by class name: one-vs-rest auroc and, unless multi-label, sensitivity, ppv.
        left_out: images without a label.
        notes: caveats of the whole.
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
    classes: Mapping[str, Mapping[str, Estimate]] = field(default_factory=_no_classes)
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        who = f"{self.n} films of {self.patients} patients, {self.positive} from {self.threshold:.3f}"
        return f"Evaluation({who}: AUROC {self.estimates['auroc']})"

    def rows(self) -> list[dict[str, Any]]:
        """A row a figure: its name, value, interval, n and method."""
        return [{"figure": name} | e.as_dict() for name, e in self.estimates.items()]

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
            "classes": {c: {name: e.as_dict() for name, e in found.items()} for c, found in self.classes.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Cases:
    """The labelled cases, by falling score: sorted once, so that no fold sorts again."""

    truth: Mask
    scores: Floats
    called: Mask
    chances: Floats
    labels: NDArray[np.int64]
    patients: list[str]
    left_out: int

    @staticmethod
    def of(predictions: Predictions) -> "_Cases":
        bad = np.flatnonzero(~np.isfinite(predictions.logits).all(axis=1))
        if len(bad):
            raise DataError(
                f"{predictions.image_ids[bad[0]]}: logits are not finite ({len(bad)} of {len(predictions)} images); "
                "the network is damaged or its input is: train again."
            )
        labels = predictions.labels
        if labels.max(initial=-1) >= (2 if labels.ndim == 2 else len(predictions.class_names)):
            raise DataError(
                f"label {labels.max()} with {len(predictions.class_names)} classes; expected a class index."
            )
        own = labels[:, predictions.positive] if labels.ndim == 2 else labels
        known = np.flatnonzero(own >= 0)
        if not len(known):
            raise DataError("no image has a label; evaluation needs class folders or a label column.")
        order = known[np.argsort(-predictions.scores[known], kind="stable")]
        return _Cases(
            predictions.truth[order],
            predictions.scores[order],
            predictions.called[order],
            predictions.probabilities[order],
            labels[order],
            [predictions.patient_ids[i] for i in order],
            len(labels) - len(known),
        )


class _Figures:
    """Every figure of each fold, as name -> (folds,), from weights (folds, N).

    What is linear in the weights comes from one matrix product; ranks from cumulative sums; the calibration line from
    Newton's method.
    """

    def __init__(self, cases: _Cases, class_figures: ClassFigures | None) -> None:
        n = len(cases.truth)
        self.rank = Ranks(cases.truth, cases.scores)
        self.line = Recalibration(cases.truth, cases.scores)
        squared = (cases.scores - cases.truth) ** 2
        bins = ece_member(cases.truth, cases.scores, _BINS)
        self.linear = np.column_stack([cells(cases.truth, cases.called), np.ones(n), squared, bins])
        self.class_figures = class_figures

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        sums = weights @ self.linear
        total = sums[:, 4]
        area, precision = self.rank(weights)
        line = self.line(weights)
        return {
            "auroc": area,
            "average_precision": precision,
            **{name: rate(*sums[:, :4].T) for name, rate in RATES.items()},
            "brier": sums[:, 5] / total,
            "ece": np.abs(sums[:, 6:]).sum(1) / total,
            "calibration_slope": line[:, 1],
            "calibration_intercept": line[:, 0],
            **(self.class_figures(weights) if self.class_figures else {}),
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
        interval: "patient-bootstrap" resamples patients with all their images (percentile, `folds` times; all figures
            from the same folds); "analytic" gives Wilson's for proportions, DeLong's for AUROC, Wald's for the
            calibration line, the normal one for Brier, and no interval elsewhere.

    Raises:
        DataError: no image has a label, or logits are not finite (the message names an image).
        ConfigError: an unknown interval.
    """
    if interval not in ("patient-bootstrap", "analytic"):
        raise ConfigError(f"interval {interval!r}; expected 'patient-bootstrap' or 'analytic'.")
    cases = _Cases.of(predictions)
    index, patients = clusters_of(cases.patients, len(cases.truth))
    names = predictions.class_names
    class_figures = ClassFigures(cases.labels, cases.chances, names) if len(names) > 2 else None
    wilson = {name: proportion(name, cases.truth, cases.called, level) for name in PROPORTIONS}
    delong = auroc(cases.truth, cases.scores, groups=cases.patients, level=level)
    figures = _Figures(cases, class_figures)
    values = {name: float(value[0]) for name, value in figures(np.ones((1, len(cases.truth)))).items()}
    if interval == "analytic":
        found = _analytic(cases, values, level) | wilson | {"auroc": delong}
    else:
        found = _bootstrapped(cases, index, values, figures, level, folds, seed)
    tp, fp, fn, tn = cells(cases.truth, cases.called).sum(0).astype(int).tolist()
    return Evaluation(
        n=len(cases.truth),
        patients=patients,
        positive=names[predictions.positive],
        prevalence=float(cases.truth.mean()),
        threshold=predictions.threshold,
        temperature=predictions.temperature,
        estimates={name: estimate for name, estimate in found.items() if "/" not in name},
        delong=delong,
        wilson=wilson,
        confusion={"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        class_names=names,
        matrix=_matrix(cases, predictions),
        classes=class_figures.by_class(found) if class_figures else {},
        left_out=cases.left_out,
        notes=_notes(cases, patients, interval),
    )


def _matrix(cases: _Cases, predictions: Predictions) -> tuple[tuple[int, ...], ...]:
    if cases.labels.ndim == 2:
        return ()
    called = cases.chances.argmax(1)
    if len(predictions.class_names) == 2:
        called = np.where(cases.called, predictions.positive, 1 - predictions.positive)
    return confusion_matrix(cases.labels, called, len(predictions.class_names))


def _notes(cases: _Cases, patients: int, interval: str) -> tuple[str, ...]:
    notes: list[str] = []
    several = patients < len(cases.truth)
    if several and interval == "analytic":
        notes.append("patients have several images, which these intervals take as independent: they are too narrow")
    if several:
        notes.append("Wilson's intervals take images as independent; prefer the patient bootstrap")
    if cases.left_out:
        notes.append(f"{cases.left_out} images without a label left out")
    return tuple(notes)


def _reason(name: str, cases: _Cases, line: Recalibration | None) -> str:
    """Why a figure has no value on this sample."""
    if name.startswith("calibration"):
        return line.problem if line else ""
    if name in RATES:
        return why_undefined(name, cases.truth)
    return both_classes(cases.truth, cases.scores) or "a class without cases"


def _analytic(cases: _Cases, values: Mapping[str, float], level: float) -> dict[str, Estimate]:
    n = len(cases.truth)
    line = calibration_line(cases.truth, cases.scores, level=level)
    known = {
        "brier": brier(cases.truth, cases.scores, interval="normal", level=level),
        "calibration_slope": line.slope,
        "calibration_intercept": line.intercept,
    }
    none = "no closed form: use the patient bootstrap"
    return {
        name: Estimate(value, None, None, level, n, "no interval", none)
        if np.isfinite(value)
        else undefined(_reason(name, cases, None), level, n, "no interval")
        for name, value in values.items()
    } | known


def _bootstrapped(
    cases: _Cases,
    index: NDArray[np.intp],
    values: Mapping[str, float],
    figures: Callable[[Floats], dict[str, Floats]],
    level: float,
    folds: int,
    seed: int,
) -> dict[str, Estimate]:
    n = len(cases.truth)
    parts = over_folds(figures, cases.patients, n, folds=folds, seed=seed)
    samples = {name: np.concatenate([part[name] for part in parts]) for name in values}
    method = bootstrap_method(cases.patients, folds)
    line = Recalibration(cases.truth, cases.scores)
    found: dict[str, Estimate] = {}
    for name, value in values.items():
        exact = exact_ends(name, cases.truth, cases.called, index, level) if name in RATES else None
        if name == "auroc" and value in (0.0, 1.0):
            low = perfect_auroc(cases.truth, cases.patients, level)
            exact = (low, 1.0) if value else (0.0, 1 - low)
        count = units(name, cases.truth, cases.called, index)
        if name == "ece":
            calibrated = ece_if_calibrated(cases.scores, _BINS, seed=seed)
            found[name] = ece_interval(value, samples[name], calibrated, level=level, n=count, method=method)
            continue
        found[name] = percentile_interval(value, samples[name], level=level, n=count, method=method, exact=exact)
        if found[name].value is None:
            found[name] = replace(found[name], note=_reason(name, cases, line))
    return found
