"""What decides a study."""

import dataclasses
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radiolucent.bounds import Bounds, check_numbers
from radiolucent.data import Augment, Dataset, load_dataset
from radiolucent.data.multilabel import LabelOptions, wanted_labels
from radiolucent.data.split import SHARE
from radiolucent.errors import ConfigError
from radiolucent.images import ReadOptions, read_with, reading
from radiolucent.training import TrainConfig, classic, strong

__all__ = ["RECIPES", "Recipe", "StudyConfig"]


@dataclass(frozen=True)
class Recipe:
    """How to train: the optimisation, and the augmentation that goes with it."""

    train: Callable[..., TrainConfig]
    augment: Augment | None


RECIPES: dict[str, Recipe] = {"strong": Recipe(strong, Augment()), "classic": Recipe(classic, None)}

_SHARE = Bounds(0, 1, high_in=False, optional=True)
_BOUNDS = {
    "epochs": Bounds(1, whole=True, optional=True),
    "batch_size": Bounds(1, whole=True, optional=True),
    "lr": Bounds(0, low_in=False, optional=True),
    "size": Bounds(8, whole=True, optional=True),
    "val": _SHARE,
    "test": _SHARE,
    "cases": Bounds(0, whole=True),
    "lime_samples": Bounds(10, whole=True),
    "compare_films": Bounds(0, whole=True),
    "folds": Bounds(100, whole=True),
    "seed": Bounds(0, whole=True),
}


@dataclass(frozen=True)
class StudyConfig:
    """Everything that decides a study; kept in the run folder as `study.json`.

    Attributes:
        data: folder or manifest (see `radiolucent.data.load_dataset`).
        out: run folder.
        model: preset or timm name. head: "softmax", or "sigmoid" for a single logit; "multilabel" for films with
            several labels, which is taken for such data of itself.
        recipe: "strong" or "classic". epochs, batch_size, freeze, lr: override the recipe's. flip: also mirror films.
        pretrained: start from ImageNet weights: from the hub, or from the file `weights`.
        classes: as in the folders or the label column unless given (see `radiolucent.data.classes.with_classes`).
        labels: where a film may have several: their names, with commas between; those that the manifest has unless
            given. uncertain: -1 is left out of the loss ("mask"), or read as 1 ("ones") or 0 ("zeros"). not_given: an
            empty cell is left out ("mask"), or read as 0 ("zeros"). See `radiolucent.data.multilabel`.
        positive: name of the class that sensitivity and the threshold speak of; by the names unless given (see
            `radiolucent.models.positive.positive_class`).
        size, fit: model-input side in pixels and how films are made square ("squash", "pad", "crop").
        annotations: doctors' readings in any format (`data.FORMATS`), or None. annotation_options: for
            `read_annotations`. film_options: how films are read; None: by the options in force (`read_with`).
        val, test: fractions cut off by patient where a split is missing or too small; a tenth unless given.
        threshold_rule: how the threshold is chosen on validation.
        cases: films shown as cases in the report. lime_samples: perturbed images a LIME explanation.
        compare_films: most annotated test films compared with LIME (Grad-CAM takes all).
        folds: bootstrap folds. seed: of everything random.
        log_to: where figures of epochs are logged too: tensorboard, mlflow, wandb; names with commas.
        cache: folder of the pixel cache; None: `$RADIOLUCENT_CACHE`, else `~/.cache/radiolucent`.
        title: heading of the report. command: as typed, for the report.
    """

    data: Path
    out: Path
    model: str = "mobilenetv1"
    head: str = "softmax"
    recipe: str = "strong"
    epochs: int | None = None
    batch_size: int | None = None
    freeze: str | None = None
    lr: float | None = None
    flip: bool = False
    pretrained: bool = True
    weights: Path | None = None
    classes: int | str | None = None
    labels: str | None = None
    uncertain: str = "mask"
    not_given: str = "mask"
    positive: str | None = None
    size: int | None = None
    fit: str = "squash"
    annotations: Path | None = None
    annotation_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    film_options: ReadOptions | None = None
    val: float | None = None
    test: float | None = None
    threshold_rule: str = "youden"
    cases: int = 10
    lime_samples: int = 353
    compare_films: int = 24
    folds: int = 10_000
    seed: int = 0
    log_to: str = ""
    cache: Path | None = None
    title: str = "Chest X-ray study"
    command: str = ""

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ConfigError(f"recipe {self.recipe!r}; expected one of {', '.join(RECIPES)}.")
        check_numbers(self, _BOUNDS)
        val, test = (SHARE if share is None else share for share in (self.val, self.test))
        if val + test >= 1:
            raise ConfigError(f"val {val} and test {test}; expected shares that leave something to train on.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain |= {
            "annotation_options": dict(self.annotation_options),
            "film_options": self.film_options and self.film_options.as_dict(),
        }
        return {k: str(v) if isinstance(v, Path) else v for k, v in plain.items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "StudyConfig":
        """The inverse of `to_dict`."""
        paths = {"data", "out", "weights", "annotations", "cache"}
        values = {k: v for k, v in values.items() if k != "tensorboard"}  # of earlier runs: now part of log_to
        given: dict[str, Any] = {k: Path(v) if k in paths and v is not None else v for k, v in values.items()}
        if given.get("film_options") is not None:
            given["film_options"] = ReadOptions.from_dict(given["film_options"])
        return StudyConfig(**given)

    def load(self) -> Dataset:
        """The films, as this study reads them."""
        options: Any = {"uncertain": self.uncertain, "not_given": self.not_given}
        return load_dataset(self.data, classes=self.classes, labels=LabelOptions(wanted_labels(self.labels), **options))

    @contextmanager
    def reads(self) -> "Generator[StudyConfig]":
        """Within the block, films are read as the study says; gives the study with the options that hold."""
        held = self.film_options or reading()
        with read_with(held):
            yield dataclasses.replace(self, film_options=held)

    @property
    def cache_folder(self) -> Path:
        """Where decoded pixels are kept."""
        home = os.environ.get("RADIOLUCENT_CACHE")
        return self.cache or (Path(home) if home else Path.home() / ".cache" / "radiolucent")

    def train_config(self) -> TrainConfig:
        """The recipe with this study's changes."""
        changes = {
            k: getattr(self, k) for k in ("epochs", "batch_size", "freeze", "lr") if getattr(self, k) is not None
        }
        return RECIPES[self.recipe].train(model=self.model, seed=self.seed, **changes)

    def augment(self) -> Augment | None:
        """The recipe's augmentation with this study's changes."""
        base = RECIPES[self.recipe].augment
        return dataclasses.replace(base, flip=self.flip) if base else None
