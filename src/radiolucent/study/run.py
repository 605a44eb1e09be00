"""A whole study, and its report again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from radiolucent.data import load_dataset
from radiolucent.errors import ConfigError
from radiolucent.files import write_json
from radiolucent.models import build, load
from radiolucent.study.appraise import Appraisal, appraise
from radiolucent.study.config import Progress, StudyConfig, quiet
from radiolucent.study.prepare import Prepared, prepare
from radiolucent.study.train import Trained, restore, train
from radiolucent.training import EpochResult, world

__all__ = ["resume_report", "run_study", "train_only"]

NAME = "study.json"
# What may differ between two calls for the same run: it does not touch training.
FREE = (
    "out",
    "annotations",
    "cases",
    "lime_samples",
    "compare_films",
    "folds",
    "title",
    "command",
    "cache",
    "tensorboard",
    "data",
)


def train_only(
    config: StudyConfig, say: Progress = quiet, on_epoch: Callable[[EpochResult], None] | None = None
) -> tuple[Prepared, Trained]:
    """The first half: prepare and train."""
    _claim(config)
    names = load_dataset(config.data, classes=config.classes).class_names
    start, weights = build(
        config.model,
        class_names=names or ("NORMAL", "PNEUMONIA"),
        pretrained=config.pretrained,
        weights=config.weights,
        size=config.size,
        fit=config.fit,
        head=_head(config.head),
        seed=config.seed,
    )
    prepared = prepare(config, start.preprocess, say)
    return prepared, train(config, start, weights, prepared, say, on_epoch)


def run_study(
    config: StudyConfig, say: Progress = quiet, on_epoch: Callable[[EpochResult], None] | None = None
) -> tuple[Prepared, Appraisal | None]:
    """Train → evaluate → explain → compare with the doctors → report.

    Called again after an interruption, it goes on where it stopped. Under `torchrun` the processes train together and
    the first one goes on alone (the others return None).

    Raises:
        RadiolucentError: whatever keeps the study from its end, with the next step.
    """
    prepared, trained = train_only(config, say, on_epoch)
    return prepared, (appraise(config, prepared, trained, say) if world()[0] == 0 else None)


def resume_report(run: str | Path, say: Progress = quiet, **changes: Any) -> tuple[Prepared, Appraisal]:
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
    values = _moved(json.loads(file.read_text()), folder)
    config = StudyConfig.from_dict({**values, **{k: v for k, v in changes.items() if v is not None}})
    classifier = load(folder)
    prepared = prepare(config, classifier.preprocess, say, trained=True)
    trained = restore(folder, classifier, prepared, say)
    write_json(file, config.to_dict())
    return prepared, appraise(config, prepared, trained, say)


def _moved(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A study's settings where its folder lies now: paths below the old place become paths below the new one."""
    before = Path(values["out"])

    def place(value: str) -> str:
        path = Path(value)
        return str(folder / path.relative_to(before)) if path.is_relative_to(before) else value

    paths = {k: place(values[k]) for k in ("data", "annotations", "cache") if values.get(k) is not None}
    return {**values, **paths, "out": str(folder)}


def _head(name: str) -> Any:
    if name not in ("softmax", "sigmoid"):
        raise ConfigError(f"head {name!r}; expected softmax or sigmoid (a single logit).")
    return name


def _claim(config: StudyConfig) -> None:
    """Refuse a run folder that holds another study; write down what this one is."""
    file, values = config.out / NAME, config.to_dict()
    if file.is_file():
        before = json.loads(file.read_text())
        differ = [k for k in values if k not in FREE and before.get(k) != values[k]]
        if differ:
            words = ", ".join(f"{k} was {before.get(k)!r}, is {values[k]!r}" for k in differ)
            raise ConfigError(f"{config.out}: holds another study ({words}); choose another --out, or remove it.")
    write_json(file, values)
