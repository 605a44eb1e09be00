"""All figures of predictions of several labels a film: each label on its own, and their mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from radiolucent.bounds import expect
from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics.arrays import Floats, Mask
from radiolucent.metrics.evaluation import FEW_PATIENTS, Evaluation, evaluate
from radiolucent.metrics.intervals import undefined
from radiolucent.metrics.proportions import rarer_worth
from radiolucent.metrics.ranking import Ranks
from radiolucent.metrics.resample import bootstrap, bootstrap_method, clusters_of
from radiolucent.shown import Shown
from radiolucent.types import Estimate, Predictions

__all__ = ["LabelsEvaluation", "evaluate_labels"]

AT_THRESHOLD = (
    "sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1", "mcc",
)  # fmt: skip
MACRO = ("auroc", "average_precision", "sensitivity", "specificity", "brier")
"""Figures of which the mean over labels is taken."""


@dataclass(frozen=True)
class LabelsEvaluation(Shown):
    """What evaluation found of every label.

    Attributes:
        n, patients: films with any known label, and their patients.
        labels: by name, of the labels that have enough patients with and without.
        too_few: by name, why there are no figures of the others.
        macro: by name of the figure, the mean over the labels in `labels`, every label counting alike.
        without_threshold: labels that are never called, because no threshold could be chosen for them.
        left_out: films of which no label is known. notes: caveats of the whole.
    """

    n: int
    patients: int
    labels: Mapping[str, Evaluation]
    too_few: Mapping[str, str] = field(default_factory=dict[str, str])
    macro: Mapping[str, Estimate] = field(default_factory=dict[str, Estimate])
    without_threshold: tuple[str, ...] = ()
    left_out: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        few = f"; too few: {', '.join(self.too_few)}" if self.too_few else ""
        mean = f"macro AUROC {self.macro['auroc']}" if "auroc" in self.macro else "no label has enough"
        return f"LabelsEvaluation({self.n} films of {self.patients} patients, {', '.join(self.labels)}: {mean}{few})"

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """The means over labels, and each label's AUROC."""
        means = {f"macro {name}": e for name, e in self.macro.items()}
        return means | {f"AUROC {name}": found.estimates["auroc"] for name, found in self.labels.items()}

    def rows(self) -> list[dict[str, Any]]:
        """A row a label and figure; a label with too few patients has one row that says so."""
        found = [
            {"label": label, "figure": name, **e.as_dict()}
            for label, each in self.labels.items()
            for name, e in each.estimates.items()
        ]
        found += [{"label": "macro", "figure": name, **e.as_dict()} for name, e in self.macro.items()]
        return found + [{"label": name, "figure": "too few", "note": why} for name, why in self.too_few.items()]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        return {
            "n": self.n,
            "patients": self.patients,
            "left_out": self.left_out,
            "macro": {name: e.as_dict() for name, e in self.macro.items()},
            "labels": {name: found.as_dict() for name, found in self.labels.items()},
            "too_few": dict(self.too_few),
            "without_threshold": list(self.without_threshold),
            "notes": list(self.notes),
        }


def evaluate_labels(
    predictions: Predictions,
    *,
    interval: Literal["patient-bootstrap", "analytic"] = "patient-bootstrap",
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> LabelsEvaluation:
    """Evaluate predictions of several labels: `evaluate` of each, on the films where it is known, and their means.

    A label with fewer than 10 patients with it, or without it, gets no figure: it is listed in `too_few`. Each label is
    called at its own threshold. The interval of a mean is a bootstrap over patients, who keep all their labels.

    Args:
        Others: see `evaluate`.

    Raises:
        ConfigError: predictions of one label (`evaluate`). DataError: no film has a known label.
    """
    expect(predictions, Predictions, "predictions", "rl.predict(classifier, films)")
    if not predictions.multilabel:
        raise ConfigError(f"predictions of a {predictions.head} head; evaluate() takes them.")
    labels = predictions.labels
    if labels.shape != predictions.logits.shape or not np.isin(labels, (-1, 0, 1)).all():
        raise DataError(
            f"labels {labels.shape} of {len(predictions.class_names)} labels; expected (N, K) of 1, 0 and -1 (unknown)."
        )
    any_known: Mask = np.asarray((labels >= 0).any(1))
    if not any_known.any():
        raise DataError("no film has a known label; evaluation needs the labels' columns.")
    chosen, few, uncalled = dict[str, Evaluation](), dict[str, str](), list[str]()
    for k, name in enumerate(predictions.class_names):
        if why := _too_few(predictions, k):
            few[name] = why
            continue
        found = evaluate(predictions.of_label(k), interval=interval, level=level, folds=folds, seed=seed)
        if predictions.label_rules[k].threshold is None:
            uncalled.append(name)
            found = _without_threshold(found)
        chosen[name] = found
    patients = {p for p, known in zip(predictions.patient_ids, any_known, strict=True) if known}
    given = folds if interval == "patient-bootstrap" else 0
    return LabelsEvaluation(
        n=int(any_known.sum()),
        patients=len(patients),
        labels=chosen,
        too_few=few,
        macro=_macro(predictions, chosen, level, given, seed) if chosen else {},
        without_threshold=tuple(uncalled),
        left_out=int((~any_known).sum()),
        notes=_notes(predictions, few, uncalled, int((~any_known).sum())),
    )


def _too_few(predictions: Predictions, k: int) -> str:
    """Why a label cannot be evaluated, or ""."""
    ids, own = np.array(predictions.patient_ids), predictions.labels[:, k]
    ill, well = len(set(ids[own == 1])), len(set(ids[own == 0]))
    if min(ill, well) >= FEW_PATIENTS:
        return ""
    return f"too few: {ill} patients with it and {well} without; {FEW_PATIENTS} of each are needed"


def _without_threshold(found: Evaluation) -> Evaluation:
    """An evaluation without the figures that need a threshold."""
    why = "no threshold could be chosen for this label"
    bare = {
        name: undefined(why, e.level, 0, e.method) if name in AT_THRESHOLD else e for name, e in found.estimates.items()
    }
    wilson = {name: bare.get(name, e) for name, e in found.wilson.items()}
    return replace(found, estimates=bare, wilson=wilson, confusion={}, matrix=(), notes=(*found.notes, why))


def _macro(
    predictions: Predictions, chosen: Mapping[str, Evaluation], level: float, folds: int, seed: int
) -> dict[str, Estimate]:
    """Means over labels of what has a value for every one of them."""
    found: dict[str, Estimate] = {}
    for name in MACRO:
        values = [each.estimates[name].value for each in chosen.values()]
        if any(v is None for v in values):
            lacking = [label for label, each in chosen.items() if each.estimates[name].value is None]
            found[name] = undefined(f"not defined for {', '.join(lacking)}", level, 0, "mean of the labels")
            continue
        found[name] = _mean(predictions, list(chosen), name, level, folds, seed)
    return found


def _mean(predictions: Predictions, names: list[str], figure: str, level: float, folds: int, seed: int) -> Estimate:
    whole = np.flatnonzero((predictions.labels >= 0).any(1))
    patients = [predictions.patient_ids[i] for i in whole]
    index, _ = clusters_of(patients, len(whole))
    parts: list[tuple[Mask, Callable[[Floats], Floats]]] = []
    worth: list[float] = []
    for name in names:
        one = predictions.of_label(name)
        known = one.labels[whole] >= 0
        films = whole[known]
        given = one.scores if figure == "brier" else one.margins
        truth, scores, called = one.truth[films], given[films], one.called[films]
        parts.append((known, _statistic(figure, truth, scores, called)))
        worth.append(rarer_worth(truth, index[known]))

    def mean(weights: Floats) -> Floats:
        return np.mean([statistic(weights[:, known]) for known, statistic in parts], axis=0)

    options: dict[str, Any] = {"level": level, "folds": max(folds, 2), "seed": seed, "worth": min(worth)}
    made = bootstrap(mean, patients, scale="share", **options)
    note = f"mean of {len(names)} labels"
    if not folds:
        return Estimate(made.value, None, None, level, made.n, "no interval", note)
    return replace(made, note=f"{note}; {made.note}" if made.note else note, method=bootstrap_method(patients, folds))


def _statistic(figure: str, truth: Mask, scores: Floats, called: Mask) -> Callable[[Floats], Floats]:
    """From weights (folds, M) to one label's figure (folds,); of "brier" scores are probabilities, else log odds."""
    if figure in ("auroc", "average_precision"):
        ranks, place = Ranks(truth, scores), 0 if figure == "auroc" else 1

        def ranked(w: Floats) -> Floats:
            return ranks(w)[place]

        return ranked
    if figure == "brier":
        squared = (scores - truth) ** 2

        def mean(w: Floats) -> Floats:
            return w @ squared / np.where(w.sum(1) > 0, w.sum(1), np.nan)

        return mean
    own = truth if figure == "sensitivity" else ~truth
    right = (called == truth) & own

    def share(w: Floats) -> Floats:
        trials = w @ own.astype(np.float64)
        return w @ right.astype(np.float64) / np.where(trials > 0, trials, np.nan)

    return share


def _notes(predictions: Predictions, few: Mapping[str, str], uncalled: list[str], left: int) -> tuple[str, ...]:
    notes: list[str] = []
    counts = {n: int((predictions.labels[:, k] < 0).sum()) for k, n in enumerate(predictions.class_names)}
    unknown = {n: count for n, count in counts.items() if count}
    if unknown:
        shown = ", ".join(f"{n} {k}" for n, k in unknown.items())
        notes.append(f"films on which a label is uncertain or not given are no part of its figures ({shown})")
    if few:
        means = "; the means are of the other labels" if len(few) < len(counts) else ""
        notes.append(f"no figures of {', '.join(few)}: too few patients{means}")
    if uncalled:
        notes.append(f"no threshold for {', '.join(uncalled)}: never called")
    if left:
        notes.append(f"{left} films without any known label left out")
    if predictions.no_call_note:
        notes.append(predictions.no_call_note)
    return tuple(notes)
