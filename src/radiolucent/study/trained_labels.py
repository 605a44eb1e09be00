"""From films with several labels to a classifier with a temperature and a threshold a label."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radiolucent.errors import ConfigError
from radiolucent.files import write_json
from radiolucent.metrics import LogitCalibration, Threshold, calibrate_logits, choose_threshold
from radiolucent.models import Classifier, WeightsReport, save, shift_logits
from radiolucent.study.config import StudyConfig
from radiolucent.study.prepared import TOLD, Prepared
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.trained import (
    Trained,
    fitted,
    predict_split,
    provenance_of,
    read_told,
    threshold_of,
    told_of,
)
from radiolucent.training import EpochResult, Fitted, world
from radiolucent.types import LabelRule, Predictions

__all__ = ["TrainedLabels", "restore_labels", "train_labels"]


@dataclass(frozen=True)
class TrainedLabels:
    """A finished multi-label classifier and how it came about.

    Attributes:
        classifier: best epoch's weights, with a temperature and threshold a label. fitted: its training.
        thresholds: by label, as chosen on validation; None where none could be, and `without` says why.
        validation: the predictions they were chosen on. weights: what it started from.
    """

    classifier: Classifier
    fitted: Fitted
    thresholds: Mapping[str, Threshold | None]
    without: Mapping[str, str]
    validation: Predictions
    weights: WeightsReport

    def of_label(self, label: str) -> Trained:
        """One label's part, as if it had been trained alone.

        Raises:
            ConfigError: no threshold could be chosen for it.
        """
        threshold = self.thresholds[label]
        if threshold is None:
            raise ConfigError(f"{label} has no threshold: {self.without[label]}.")
        one = self.classifier.of_label(label)
        return Trained(one, self.fitted, threshold, known(self.validation.of_label(label)), self.weights)

    def as_dict(self) -> dict[str, Any]:
        """The thresholds, JSON-ready."""
        return {
            name: {"value": None, "why": self.without[name]} if found is None else found.as_dict()
            for name, found in self.thresholds.items()
        }


def known(p: Predictions) -> Predictions:
    """The films of one label on which it is known."""
    index = np.flatnonzero(p.labels >= 0)

    def pick(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[i] for i in index)

    groups = {name: pick(values) for name, values in p.groups.items()}
    return dataclasses.replace(
        p, image_ids=pick(p.image_ids), patient_ids=pick(p.patient_ids), logits=p.logits[index],
        labels=p.labels[index], groups=groups,
    )  # fmt: skip


def train_labels(
    config: StudyConfig,
    start: Classifier,
    weights: WeightsReport,
    prepared: Prepared,
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> TrainedLabels:
    """Train on the training patients; fix the epoch, and each label's temperature and threshold, on validation; save.

    A label that is uncertain or not given on a film is no part of that film's loss.

    Raises:
        ConfigError: no label has a threshold by this rule.
    """
    school, recipe = fitted(config, start, prepared, say, on_epoch)
    network = school.classifier
    raw = predict_split(network, prepared, "val", say)
    found = [_calibration(raw, k) for k in range(len(raw.class_names))]
    bias = np.array([c.bias[0] if c is not None else 0.0 for c in found])
    if bias.any():
        if shift_logits(network, torch.from_numpy(bias).float()):
            raw = predict_split(network, prepared, "val", say)
        else:
            bias = np.zeros_like(bias)
            found = [_calibration(raw, k, bias=False) for k in range(len(raw.class_names))]
    rules = tuple(LabelRule(None) if c is None else LabelRule(None, c.temperature, c.films) for c in found)
    warm = dataclasses.replace(raw, rules=rules)
    thresholds, without = _thresholds(warm, config.threshold_rule)
    rules = tuple(
        dataclasses.replace(rule, threshold=None if (t := thresholds[name]) is None else t.value)
        for rule, name in zip(rules, warm.class_names, strict=True)
    )
    provenance = provenance_of(config, prepared, recipe, weights, school.best_epoch, bias)
    provenance |= {"labels": {"uncertain": config.uncertain, "not_given": config.not_given}}
    classifier = network.with_(rules=rules, provenance=provenance)
    told = zip(warm.class_names, found, strict=True)
    notes = [f"Calibration of {name}: {c.note}." for name, c in told if c is not None and c.note]
    notes += [f"No threshold for {name}: {why}; it is never called." for name, why in without.items()]
    school = dataclasses.replace(school, notes=(*school.notes, *notes))
    made = TrainedLabels(
        classifier, school, thresholds, without, dataclasses.replace(warm, rules=rules), weights
    )  # fmt: skip
    if world()[0] == 0:
        write_json(config.out / "threshold.json", {"labels": made.as_dict()})
        write_json(config.out / TOLD, told_of(weights, school, prepared))
        save(classifier, config.out / "model.safetensors")  # last: it is what says that all is there
    return made


def _calibration(raw: Predictions, k: int, *, bias: bool = True) -> LogitCalibration | None:
    """A label's temperature and bias on the films where it is known; None where these are all alike."""
    known = raw.labels[:, k] >= 0
    truth = raw.labels[known, k]
    if len(set(truth.tolist())) < 2:
        return None
    return calibrate_logits(raw.logits[known, k : k + 1], truth, "sigmoid", bias=bias)


def _thresholds(warm: Predictions, rule: str) -> tuple[dict[str, Threshold | None], dict[str, str]]:
    found, without = dict[str, Threshold | None](), dict[str, str]()
    for name in warm.class_names:
        one = known(warm.of_label(name))
        try:
            found[name] = choose_threshold(one.truth, one.scores, rule, groups=one.patient_ids)
        except ConfigError as error:
            found[name], without[name] = None, str(error).rstrip(".")
    if not any(found.values()):
        name, why = next(iter(without.items()))
        raise ConfigError(f"no label has a threshold by the rule {rule!r}; {name}: {why}.")
    return found, without


def restore_labels(
    run: Path, classifier: Classifier, prepared: Prepared, say: Progress = quiet
) -> TrainedLabels:  # fmt: skip
    """What `train_labels` gave, from the files of its run and the films; nothing is trained.

    Raises:
        ConfigError: a file of the run is missing or damaged, or the manifest has other labels by now.
    """
    if tuple(prepared.dataset.class_names) != classifier.class_names:
        raise ConfigError(
            f"{run}: was trained on the labels {', '.join(classifier.class_names)}; the manifest now has "
            f"{', '.join(prepared.dataset.class_names)}. Give the manifest it was trained on."
        )

    def understand(chosen: Any) -> tuple[dict[str, Threshold | None], dict[str, str]]:
        each = {name: chosen["labels"][name] for name in classifier.class_names}
        open_ = {name: values["why"] for name, values in each.items() if values["value"] is None}
        return {name: None if name in open_ else threshold_of(values) for name, values in each.items()}, open_

    (thresholds, without), school, weights = read_told(run, classifier, understand)
    validation = predict_split(classifier, prepared, "val", say)
    return TrainedLabels(classifier, school, thresholds, without, validation, weights)
