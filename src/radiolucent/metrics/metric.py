"""What a metric has to be, and the labelled films it is measured on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics.arrays import Floats, Mask
from radiolucent.metrics.resample import clusters_of
from radiolucent.types import Estimate, Predictions

__all__ = ["Cases", "Metric", "Resampling"]


@dataclass(frozen=True)
class Resampling:
    """How intervals are got: their coverage, and folds and seed of the bootstrap where there is one."""

    level: float = 0.95
    folds: int = 10_000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Cases:
    """The labelled films of a set of predictions, by falling score.

    Attributes:
        truth, called: bool (N,). scores: probability (N,) of the positive class. chances: (N, K) of every class.
        margins, odds: the log odds of both, which films are ranked by (`Predictions.log_odds`).
        labels: (N,) class indices. names: the classes. patients: N identifiers.
        index: (N,) each film's patient as a number. left_out: films without a label.
    """

    truth: Mask
    scores: Floats
    called: Mask
    chances: Floats
    margins: Floats
    odds: Floats
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    patients: tuple[str, ...]
    index: NDArray[np.intp]
    left_out: int

    @staticmethod
    def of(predictions: Predictions) -> "Cases":
        """The labelled films of these predictions.

        Raises:
            ConfigError: predictions of several labels, which `evaluate_labels` evaluates.
            DataError: no film has a label, a label that is no class, or logits that are not finite (names a film).
        """
        bad = np.flatnonzero(~np.isfinite(predictions.logits).all(axis=1))
        if len(bad):
            raise DataError(
                f"{predictions.image_ids[bad[0]]}: logits are not finite ({len(bad)} of {len(predictions)} images); "
                "the network is damaged or its input is: train again."
            )
        labels, margins = predictions.labels, predictions.margins
        if labels.max(initial=-1) >= len(predictions.class_names):
            raise DataError(
                f"label {labels.max()} with {len(predictions.class_names)} classes; expected a class index."
            )
        known = np.flatnonzero(labels >= 0)
        if not len(known):
            raise DataError("no image has a label; evaluation needs class folders or a label column.")
        order = known[np.argsort(-margins[known], kind="stable")]
        patients = tuple(predictions.patient_ids[i] for i in order)
        return Cases(
            predictions.truth[order],
            predictions.scores[order],
            predictions.called[order],
            predictions.probabilities[order],
            margins[order],
            predictions.log_odds[order],
            labels[order],
            predictions.class_names,
            patients,
            clusters_of(patients, len(patients))[0],
            len(labels) - len(known),
        )

    def patients_of(self, films: Mask) -> int:
        """How many patients have one of these films (N,)."""
        return len(np.unique(self.index[films]))


@dataclass(frozen=True)
class Metric:
    """One figure of a classifier: everything that is known of it, in one value.

    To add one, write it (in a file of its own, or beside its like) and name it in `radiolucent.metrics.all.METRICS`:
    evaluation, `summary.json`, terminal and report follow.

    Attributes:
        name: the key in `summary.json`. title: in tables. meaning: what it says, in a line.
        best: which values are better: "high", "low", or the number it should be.
        estimate: the figure of some cases; None where it has no meaning for them (macro AUROC of two classes, say).
    """

    name: str
    title: str
    meaning: str
    best: Literal["high", "low"] | float
    estimate: Callable[[Cases, Resampling], Estimate | None]

    def __post_init__(self) -> None:
        empty = [what for what in ("name", "title", "meaning") if not getattr(self, what).strip()]
        if empty:
            raise ConfigError(f"metric {self.name or self.title!r}: {', '.join(empty)} missing; expected some words.")
