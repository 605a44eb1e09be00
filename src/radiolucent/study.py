"""The main job, top to bottom: read, check, split, train, evaluate, explain, compare with the doctors, report."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.data import (
    Augment,
    Dataset,
    Loader,
    PixelCache,
    build_cache,
    check,
    load_dataset,
    split_dataset,
    write_manifest,
)
from radiolucent.errors import ConfigError, DataError
from radiolucent.files import write_json
from radiolucent.metrics import choose_threshold, fit_temperature
from radiolucent.models import Classifier, build, load, predict, save
from radiolucent.training import Fitted, TrainConfig, classic, fit, strong
from radiolucent.types import Finding, Predictions

__all__ = ["Prepared", "StudyConfig", "demo", "prepare", "run_study", "train"]

Report = Callable[[str, int, int], None]
"""Progress: (stage, done, total)."""


def _quiet(stage: str, done: int, total: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class StudyConfig:
    """Everything that decides a study; written to `config.json`.

    Attributes:
        data: folder or manifest (see `radiolucent.data.load_dataset`).
        out: run folder.
        model: preset or timm name.
        recipe: "strong" or "classic".
        epochs, batch_size, freeze: override the recipe's.
        pretrained: start from ImageNet weights (from the hub, or from `weights`).
        weights: weight file to start from instead of the hub.
        classes: 2, or 3 for normal / bacterial / viral from the Kermany names.
        size, fit: model-input side in pixels and how films are made square ("squash", "pad", "crop").
        annotations: doctors' readings (COCO JSON or CSV), or None.
        val, test: fractions cut from the training patients where a split is missing or too small.
        threshold_rule: how the threshold is chosen on validation.
        cases: films shown as cases in the report.
        lime_samples: perturbed images a LIME explanation.
        folds: bootstrap folds.
        seed: seed of everything random.
        cache: folder of the pixel cache; None: `$RADIOLUCENT_CACHE`, else `~/.cache/radiolucent`.
        title: heading of the report.
    """

    data: Path
    out: Path
    model: str = "mobilenetv1"
    recipe: str = "strong"
    epochs: int | None = None
    batch_size: int | None = None
    freeze: str | None = None
    pretrained: bool = True
    weights: Path | None = None
    classes: int = 2
    size: int | None = None
    fit: str = "squash"
    annotations: Path | None = None
    val: float = 0.1
    test: float = 0.1
    threshold_rule: str = "youden"
    cases: int = 12
    lime_samples: int = 600
    folds: int = 10_000
    seed: int = 0
    cache: Path | None = None
    title: str = "radiolucent study"

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ConfigError(f"recipe {self.recipe!r}; expected one of {', '.join(RECIPES)}.")
        if self.classes not in (2, 3):
            raise ConfigError(
                f"classes {self.classes}; expected 2 (normal, pneumonia) or 3 (normal, bacterial, viral)."
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "StudyConfig":
        """The inverse of `to_dict`."""
        paths = {"data", "out", "weights", "annotations", "cache"}
        return StudyConfig(**{k: Path(v) if k in paths and v is not None else v for k, v in values.items()})

    @property
    def cache_folder(self) -> Path:
        """Where decoded pixels are kept."""
        home = os.environ.get("RADIOLUCENT_CACHE")
        return self.cache or (Path(home) if home else Path.home() / ".cache" / "radiolucent")


@dataclass(frozen=True)
class Recipe:
    """How to train: the optimisation and the augmentation that goes with it."""

    train: Callable[..., TrainConfig]
    augment: Augment | None
    balance: bool = False


RECIPES: dict[str, Recipe] = {
    "strong": Recipe(strong, Augment()),
    "classic": Recipe(classic, None),
}


@dataclass(frozen=True)
class Prepared:
    """A data set ready for a network: split, checked, decoded once."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    cache: PixelCache

    def rows(self, split: str) -> list[int]:
        """Positions in the cache of one split's readable films."""
        return [i for i, record in enumerate(self.cache.records) if record.split == split]

    @property
    def left_out(self) -> list[tuple[Path, str]]:
        """(path, reason) of every file that could not be used."""
        found = {item.path: item.reason for item in (*self.dataset.left_out, *self.cache.left_out)}
        return list(found.items())
