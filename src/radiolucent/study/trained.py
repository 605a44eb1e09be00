"""From films to a calibrated classifier with a threshold."""

import dataclasses
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.data import Loader
from radiolucent.data.loader import Redraw
from radiolucent.errors import ConfigError, DataError
from radiolucent.files import write_json
from radiolucent.images import reading
from radiolucent.metrics import LogitCalibration, Threshold, calibrate_logits, choose_threshold
from radiolucent.models import Classifier, WeightsReport, predict, save, shift_logits
from radiolucent.study.characteristics import groupings
from radiolucent.study.config import StudyConfig
from radiolucent.study.prepared import TOLD, Prepared
from radiolucent.study.progress import Progress, quiet
from radiolucent.training import EpochResult, Fitted, TrainConfig, fit, read_history, tracked, trackers_named, world
from radiolucent.types import Estimate, Predictions

__all__ = [
    "Schooling", "Trained", "data_hash", "fitted", "predict_split", "provenance_of", "read_told", "restore",
    "threshold_of", "told_of", "train", "versions",
]  # fmt: skip


T = TypeVar("T")


@dataclass(frozen=True)
class Trained:
    """A finished classifier and how it came about.

    Attributes:
        classifier: best epoch's weights, with temperature and threshold. fitted: its training.
        threshold: as chosen on validation. validation: the predictions it was chosen on. weights: what it started from.
    """

    classifier: Classifier
    fitted: Fitted
    threshold: Threshold
    validation: Predictions
    weights: WeightsReport


@dataclass(frozen=True, eq=False)
class Schooling:
    """What a repair adds to a recipe.

    Attributes:
        redraw: what is drawn anew on the training films every epoch. irrelevant: bool (N, S, S) in the cache's order,
            where the answer must not come from. groups: int64 (N,) likewise, each film's, drawn equally often.
        changes: fields of the training configuration.
    """

    redraw: tuple[Redraw, ...] = ()
    irrelevant: NDArray[np.bool_] | None = None
    groups: NDArray[np.int64] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])


def versions() -> dict[str, str]:
    """Versions that decide a result."""
    names = ("radiolucent", "torch", "timm", "numpy", "scipy", "scikit-learn", "scikit-image", "pillow")
    return {"python": platform.python_version()} | {n: version(n) for n in names}


def data_hash(prepared: Prepared) -> str:
    """SHA-256 over every film's content, label and split."""
    digest = hashlib.sha256()
    for r in prepared.dataset.records:
        label = r.findings if prepared.dataset.multilabel else r.label
        digest.update(f"{r.image_id}\t{r.sha256}\t{label}\t{r.split}\n".encode())
    return digest.hexdigest()


def predict_split(classifier: Classifier, prepared: Prepared, split: str, say: Progress = quiet) -> Predictions:
    """Predictions for one split's films, from the cache."""
    rows = prepared.rows(split)
    if not rows:
        raise DataError(f"the {split} split has no readable film.")
    records = [prepared.cache.records[i] for i in rows]
    pixels = prepared.cache.pixels[rows]
    found = predict(classifier, records, pixels=pixels, progress=lambda d, t: say(f"predicting {split}", d, t))
    groups = {name: tuple(r.column(name) or "" for r in records) for name in groupings(prepared.dataset)}
    return dataclasses.replace(found, groups=groups)


def fitted(
    config: StudyConfig,
    start: Classifier,
    prepared: Prepared,
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
    schooling: Schooling | None = None,
) -> tuple[Fitted, TrainConfig]:
    """Train on the training patients, and keep the epoch that is best on the validation patients; with the recipe.

    Interrupted or killed and called again, it goes on where it stopped.
    """
    extra = schooling or Schooling()
    recipe, (rank, size) = config.train_config().with_(**extra.changes), world()
    if start.multilabel:
        recipe = recipe.with_(class_weights="none")  # no film is of one class; each label's bias is calibrated after
    common: dict[str, Any] = {"batch_size": recipe.batch_size, "seed": config.seed}
    learn = Loader(
        prepared.cache,
        prepared.rows("train"),
        shuffle=True,
        augment=config.augment(),
        redraw=extra.redraw,
        irrelevant=extra.irrelevant,
        groups=extra.groups,
        balance=extra.groups is not None,
        rank=rank,
        world_size=size,
        **common,
    )
    check = Loader(prepared.cache, prepared.rows("val"), groups=extra.groups, **common)
    settings = recipe.to_dict() | {"data": str(config.data)}
    with tracked(trackers_named(config.log_to) if rank == 0 else (), config.out, settings) as listeners:

        def tell(result: EpochResult) -> None:
            for listen in (*([on_epoch] if on_epoch else []), *listeners):
                listen(result)

        found = fit(
            start,
            learn,
            check,
            recipe,
            out=config.out,
            finish=False,
            on_epoch=tell,
            progress=lambda d, t: say("training", d, t),
        )
    return found, recipe


def provenance_of(
    config: StudyConfig, prepared: Prepared, recipe: TrainConfig, weights: WeightsReport, best_epoch: int, bias: Any
) -> dict[str, Any]:
    """How a classifier came about, for its checkpoint."""
    made = {
        "data": data_hash(prepared),
        "recipe": recipe.to_dict(),
        "weights": weights.source,
        "best_epoch": best_epoch,
        "threshold_rule": config.threshold_rule,
        "calibration_bias": bias.tolist(),
        "versions": versions(),
        "use": "research only, not for diagnosis",
    }
    # Those who use the model are to read films so.
    return made | ({"reading": reading().as_dict()} if reading().pixels_key() else {})


def told_of(weights: WeightsReport, fitted: Fitted, prepared: Prepared) -> dict[str, Any]:
    """What a report tells of a training and no other file holds, JSON-ready."""
    told = {"weights": dataclasses.asdict(weights), "best_epoch": fitted.best_epoch, "notes": list(fitted.notes)}
    return told | {"data_notes": list(prepared.dataset.notes)}


def train(
    config: StudyConfig,
    start: Classifier,
    weights: WeightsReport,
    prepared: Prepared,
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
    schooling: Schooling | None = None,
) -> Trained:
    """Train on the training patients; fix epoch, temperature and threshold on the validation patients; save.

    Interrupted or killed and called again, it goes on where it stopped.
    """
    school, recipe = fitted(config, start, prepared, say, on_epoch, schooling)
    warm, calibration = _calibrated(school.classifier, prepared, say)
    threshold = choose_threshold(warm.truth, warm.scores, config.threshold_rule, groups=warm.patient_ids)
    provenance = provenance_of(config, prepared, recipe, weights, school.best_epoch, calibration.bias)
    classifier = school.classifier.with_(
        temperature=warm.temperature,
        threshold=threshold.value,
        provenance=provenance,
        calibrated_on=warm.calibrated_on,
    )
    if calibration.note:
        school = dataclasses.replace(school, notes=(*school.notes, f"Calibration: {calibration.note}."))
    if world()[0] == 0:
        write_json(config.out / "threshold.json", threshold.as_dict())
        write_json(config.out / TOLD, told_of(weights, school, prepared))
        save(classifier, config.out / "model.safetensors")  # last: it is what says that all is there
    validation = dataclasses.replace(warm, threshold=threshold.value)
    return Trained(classifier, school, threshold, validation, weights)


def restore(run: Path, classifier: Classifier, prepared: Prepared, say: Progress = quiet) -> Trained:
    """What `train` gave, from the files of its run and the films; nothing is trained, and no other file is asked for.

    Raises:
        ConfigError: a file of the run is missing or damaged.
    """
    threshold, school, weights = read_told(run, classifier, threshold_of)
    return Trained(classifier, school, threshold, predict_split(classifier, prepared, "val", say), weights)


def threshold_of(chosen: Mapping[str, Any]) -> Threshold:
    """The inverse of `Threshold.as_dict`."""
    sensitivity, specificity = (Estimate(**chosen[name]) for name in ("sensitivity", "specificity"))
    return Threshold(float(chosen["value"]), chosen["rule"], sensitivity, specificity, int(chosen["n"]))


def read_told(run: Path, classifier: Classifier, understand: Callable[[Any], T]) -> tuple[T, Fitted, WeightsReport]:
    """(what `understand` makes of `threshold.json`, how the training went, what it started from), from a run's files.

    Raises:
        ConfigError: a file is missing or damaged.
    """
    history = read_history(run / "history.csv")
    try:
        chosen = understand(json.loads((run / "threshold.json").read_text()))
        told = json.loads((run / TOLD).read_text())
        source = told["weights"].pop("source")
        weights = WeightsReport(source, **{name: tuple(some) for name, some in told["weights"].items()})
        return chosen, Fitted(classifier, history, int(told["best_epoch"]), tuple(told["notes"])), weights
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{run}: threshold.json or {TOLD} is missing or damaged ({error}); copy the run again."
        ) from error


def _calibrated(classifier: Classifier, prepared: Prepared, say: Progress) -> tuple[Predictions, LogitCalibration]:
    """Validation predictions with a temperature and a bias fitted on them; the bias goes into the network.

    Where the network has no place for a bias, a temperature alone. What is predicted is what the network as it will be
    saved says, so that a report made from the saved file gives the same figures.
    """
    raw = predict_split(classifier, prepared, "val", say)
    found = calibrate_logits(raw.logits, raw.labels, raw.head, positive=raw.positive)
    if found.bias.any() and shift_logits(classifier, torch.from_numpy(found.bias).float()):
        raw = predict_split(classifier, prepared, "val", say)
    elif found.bias.any():
        found = calibrate_logits(raw.logits, raw.labels, raw.head, positive=raw.positive, bias=False)
    return dataclasses.replace(raw, temperature=found.temperature, calibrated_on=found.films), found
