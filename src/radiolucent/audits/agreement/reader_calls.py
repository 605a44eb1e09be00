"""The model's calls beside each reader's, on the same films: who was right where they differed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from radiolucent.audits.agreement.estimates import mean_estimates
from radiolucent.errors import AnnotationError
from radiolucent.metrics import clustered_mcnemar
from radiolucent.types import Annotation, Estimate, Predictions

__all__ = ["ReaderCalls", "reader_calls"]


@dataclass(frozen=True)
class ReaderCalls:
    """One reader and the model on the films both judged.

    Attributes:
        reader: the reader's name. films, patients: how many.
        both_right, both_wrong, model_right, reader_right: films; the last two are those where they differed.
        p: two-sided McNemar test of those two over patients (`clustered_mcnemar`); None where they never differed.
        sensitivity, specificity: of the reader. model_sensitivity, model_specificity: of the model on the same films.
        differed: image ids where they differed, those the reader was right on first.
    """

    reader: str
    films: int
    patients: int
    both_right: int
    both_wrong: int
    model_right: int
    reader_right: int
    p: float | None
    sensitivity: Estimate
    specificity: Estimate
    model_sensitivity: Estimate
    model_specificity: Estimate
    differed: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        names = ("sensitivity", "specificity", "model_sensitivity", "model_specificity")
        plain = ("films", "patients", "both_right", "both_wrong", "model_right", "reader_right", "p")
        return {n: getattr(self, n) for n in plain} | {n: getattr(self, n).as_dict() for n in names}


def reader_calls(
    predictions: Predictions,
    annotations: Sequence[Annotation],
    *,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> tuple[ReaderCalls, ...]:
    """Each reader's call and the model's, against the label of the positive class.

    A reader's call is their diagnosis, or, where that is no class of the model's, whether they found anything
    (`Annotation.call`). The label is the reference: where doctors made it, a doctor who agrees with their colleagues
    looks right.

    Raises:
        AnnotationError: no reading belongs to a labelled film of the predictions.
    """
    labelled = predictions.labels >= 0 if predictions.labels.ndim == 1 else np.ones(len(predictions), bool)
    at = {name: i for i, name in enumerate(predictions.image_ids) if labelled[i]}
    positive = predictions.class_names[predictions.positive]
    said: dict[str, dict[str, bool]] = {}
    for a in annotations:
        if a.image_id in at:
            own = said.setdefault(a.reader, {})
            own[a.image_id] = own.get(a.image_id, False) or a.call(predictions.class_names, positive)
    if not said:
        raise AnnotationError("no reading belongs to a labelled film of these predictions.")
    options = {"level": level, "folds": folds, "seed": seed}
    return tuple(_one(reader, calls, predictions, at, options) for reader, calls in sorted(said.items()))


def _one(
    reader: str, calls: Mapping[str, bool], p: Predictions, at: Mapping[str, int], options: Mapping[str, Any]
) -> ReaderCalls:
    films = list(calls)
    index = np.array([at[f] for f in films])
    truth, model = p.truth[index], p.called[index]
    own = np.array([calls[f] for f in films])
    right, model_right = own == truth, model == truth
    only_reader, only_model = right & ~model_right, model_right & ~right
    # Sensitivity is the mean of "called" over the ill, specificity that of "not called" over the rest.
    columns = [np.where(truth == ill, call == ill, np.nan) for call in (own, model) for ill in (True, False)]
    patients = [p.patient_ids[i] for i in index]
    sens, spec, model_sens, model_spec = mean_estimates(np.stack(columns, 1).astype(float), patients, **options)
    a, b = int(only_model.sum()), int(only_reader.sum())
    order = [f for f, one in zip(films, only_reader, strict=True) if one]
    order += [f for f, one in zip(films, only_model, strict=True) if one]
    return ReaderCalls(
        reader,
        len(films),
        len(set(patients)),
        int((right & model_right).sum()),
        int((~right & ~model_right).sum()),
        a,
        b,
        clustered_mcnemar(right, model_right, groups=patients)[1],
        sens,
        spec,
        model_sens,
        model_spec,
        tuple(order),
    )
