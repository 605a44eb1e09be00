"""A whole study, and its report again."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.bounds import expect
from radiolucent.data import Dataset, read_annotations
from radiolucent.data.split import SHARE, check_classes
from radiolucent.errors import ConfigError
from radiolucent.files import one_process, refuse_among_films, write_json
from radiolucent.metrics import choose_threshold
from radiolucent.models import Classifier, build, freeze, load
from radiolucent.study.appraisal import Appraisal, appraise
from radiolucent.study.appraisal_labels import LabelsAppraisal, appraise_labels
from radiolucent.study.config import StudyConfig
from radiolucent.study.prepared import TOLD, Prepared, prepare
from radiolucent.study.progress import Progress, quiet
from radiolucent.study.trained import Trained, restore, train
from radiolucent.study.trained_labels import TrainedLabels, restore_labels, train_labels
from radiolucent.training import EpochResult, trackers_named, world

__all__ = ["resume_report", "run_study", "train_only"]

NAME = "study.json"
# What may differ between two calls for the same run: it does not touch training.
FREE = (
    "out",
    "annotations",
    "annotation_options",
    "cases",
    "lime_samples",
    "compare_films",
    "folds",
    "title",
    "command",
    "cache",
    "log_to",
    "data",
)


def train_only(
    config: StudyConfig,
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
    *,
    fresh: bool = False,
    on_ready: Callable[[Prepared, Classifier], None] | None = None,
) -> tuple[Prepared, Trained | TrainedLabels]:
    """The first half: prepare and train.

    Everything that can fail before training fails before the run folder is claimed, so that a start that fails keeps no
    later one from starting.

    Args:
        fresh: forget what the folder holds of a training, and start again.
        on_ready: called before training with the data set and the network, e.g. to tell of `Prepared.warnings`.
    """
    refuse_among_films([config.out], [config.data])
    with one_process(config.out), config.reads() as config:
        config = _unclaimed(config, fresh)
        found = config.load()
        check_classes(found)
        refuse_among_films([config.out], found.folders)
        names = found.class_names
        start, weights = build(
            config.model,
            class_names=names or ("NORMAL", "PNEUMONIA"),
            pretrained=config.pretrained,
            weights=config.weights,
            size=config.size,
            fit=config.fit,
            head=_head(config, found),
            positive=config.positive,
            seed=config.seed,
        )
        recipe = config.train_config()
        if config.flip and config.augment() is None:
            raise ConfigError(
                f"--flip, and recipe {config.recipe} alters no film; take --recipe strong, or leave it out."
            )
        freeze(start.network, recipe.freeze)
        trackers_named(config.log_to)
        choose_threshold(np.array([0, 1]), np.array([0.2, 0.8]), config.threshold_rule)  # is it a rule at all?
        if fresh and world()[0] == 0:
            _forget(config.out)
        prepared = prepare(config, start.preprocess, say)
        if on_ready is not None and world()[0] == 0:
            on_ready(prepared, start)
        write_json(config.out / NAME, config.to_dict())
        school = train_labels if start.multilabel else train
        return prepared, school(config, start, weights, prepared, say, on_epoch)


def run_study(
    config: StudyConfig,
    say: Progress = quiet,
    on_epoch: Callable[[EpochResult], None] | None = None,
    *,
    fresh: bool = False,
    on_ready: Callable[[Prepared, Classifier], None] | None = None,
) -> tuple[Prepared, Appraisal | LabelsAppraisal | None]:
    """Train → evaluate → explain → compare with the doctors → report.

    Called again after an interruption, it goes on where it stopped. Under `torchrun` the processes train together and
    the first one goes on alone (the others return None).

    Args:
        fresh, on_ready: see `train_only`.

    Raises:
        RadiolucentError: whatever keeps the study from its end, with the next step.
    """
    expect(config, StudyConfig, "study's configuration", "rl.StudyConfig(data, out)")
    refuse_among_films([config.out], [config.data])
    with one_process(config.out), config.reads() as config:
        if config.annotations is not None:  # what cannot be read is told before hours of training
            read_annotations(config.annotations, dataset=config.load(), left_out=[], **config.annotation_options)
        prepared, trained = train_only(config, say, on_epoch, fresh=fresh, on_ready=on_ready)
        return prepared, (_appraised(config, prepared, trained, say) if world()[0] == 0 else None)


def _appraised(
    config: StudyConfig, prepared: Prepared, trained: Trained | TrainedLabels, say: Progress
) -> Appraisal | LabelsAppraisal:
    if isinstance(trained, TrainedLabels):
        return appraise_labels(config, prepared, trained, say)
    return appraise(config, prepared, trained, say)


def resume_report(
    run: str | Path, say: Progress = quiet, **changes: Any
) -> tuple[Prepared, Appraisal | LabelsAppraisal]:
    """Evaluate, explain and report a run again, e.g. with annotations that came later; nothing is trained.

    The run's own files and the films are all it takes: the weights that training began with may be gone, and the run
    may have been moved (films below it go along; others are given by `data=`).

    Args:
        changes: fields of `StudyConfig` that do not touch training.

    Raises:
        ConfigError: no run, or a change that would touch training. CheckpointError: its training has not ended.
    """
    folder = Path(run)
    file = folder / NAME
    if not file.is_file():
        raise ConfigError(f"{run}: no {NAME} there; give a folder that `radiolucent study` or `train` wrote.")
    odd = sorted(set(changes) - set(FREE))
    if odd:
        raise ConfigError(f"{', '.join(odd)} would change the training; start a new run.")
    with one_process(folder):
        values = _moved(json.loads(file.read_text()), folder)
        config = StudyConfig.from_dict({**values, **{k: v for k, v in changes.items() if v is not None}})
        with config.reads():  # as in training
            classifier = load(folder)
            prepared = prepare(config, classifier.preprocess, say, trained=True)
            trained = (restore_labels if classifier.multilabel else restore)(folder, classifier, prepared, say)
            write_json(file, config.to_dict())
            return prepared, _appraised(config, prepared, trained, say)


def _moved(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A study's settings where its folder lies now: paths below the old place become paths below the new one."""
    before = Path(values["out"])

    def place(value: str) -> str:
        path = Path(value)
        return str(folder / path.relative_to(before)) if path.is_relative_to(before) else value

    paths = {k: place(values[k]) for k in ("data", "annotations", "cache") if values.get(k) is not None}
    return {**values, **paths, "out": str(folder)}


def _head(config: StudyConfig, dataset: Dataset) -> Any:
    """How many outputs mean what: of films with several labels, a sigmoid each."""
    if config.head not in ("softmax", "sigmoid", "multilabel"):
        raise ConfigError(f"head {config.head!r}; expected softmax, sigmoid (a single logit) or multilabel.")
    if not dataset.multilabel:
        if config.head == "multilabel":
            raise ConfigError(
                f"head multilabel for {dataset.source}, whose films have one class each; give a manifest with a column "
                "a label, or leave --head out."
            )
        return config.head
    names = ", ".join(dataset.class_names)
    if config.head == "sigmoid" or config.positive is not None:
        wrong = "--positive" if config.positive is not None else "--head sigmoid"
        raise ConfigError(f"{wrong} is for two classes; these films have several labels ({names}): leave it out.")
    if len(dataset.class_names) < 2:
        raise ConfigError(f"one label ({names}) is a question of two classes: use --classes {names!r} instead.")
    return "multilabel"


def _unclaimed(config: StudyConfig, fresh: bool) -> StudyConfig:
    """Refuse a run folder that holds another study; a positive class that was chosen there before is kept."""
    file, values = config.out / NAME, config.to_dict()
    if fresh or not file.is_file():
        return config
    before = json.loads(file.read_text())
    if config.positive is None and before.get("positive"):
        config = dataclasses.replace(config, positive=before["positive"])
        values = config.to_dict()
    usual = {f.name: f.default for f in dataclasses.fields(StudyConfig)}  # of options that an older run does not know
    differ = [k for k in values if k not in FREE and _meant(k, before.get(k, usual.get(k))) != _meant(k, values[k])]
    if differ:
        words = ", ".join(f"{k} was {before.get(k)!r}, is {values[k]!r}" for k in differ)
        raise ConfigError(
            f"{config.out}: holds another study ({words}); choose another --out, or start this one again with --fresh."
        )
    return config


def _meant(name: str, value: Any) -> Any:
    """What a setting comes to: a share that is not given is the usual one, and nothing is nothing."""
    return SHARE if value is None and name in ("val", "test") else value or None


def _forget(run: Path) -> None:
    """Remove what a run holds of a training and of its report."""
    for name in (
        "state", NAME, "config.json", "history.csv", "split.csv", "model.safetensors", "threshold.json", TOLD,
        "mlflow_run.txt", "predictions.csv", "summary.json", "report.html", "explanations", "figures", "labels",
    ):  # fmt: skip
        target = run / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
