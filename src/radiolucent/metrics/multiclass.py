"""Figures for three classes and more, and for several labels an image: each class against the rest."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats
from radiolucent.metrics.operating import RATES, cells
from radiolucent.metrics.ranking import Ranks
from radiolucent.types import Estimate

__all__ = ["ClassFigures", "confusion_matrix"]


def confusion_matrix(
    labels: NDArray[np.int64], called: NDArray[np.integer], classes: int
) -> tuple[tuple[int, ...], ...]:
    """Counts (C, C): rows the true class (N,), columns the called class (N,).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    ((1, 0), (1, 1))
    """
    flat = np.bincount(labels * classes + called, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(int(count) for count in row) for row in flat)


class ClassFigures:
    """One-vs-rest AUROC of every class, their mean, and how often the most probable class is right, fold by fold.

    Args:
        labels: class indices (N,), or 0/1 (N, C) for several labels an image (-1, unknown: left out of its class).
        chances: probabilities (N, C).
    """

    def __init__(self, labels: NDArray[np.int64], chances: Floats, names: tuple[str, ...]) -> None:
        self.names = names
        self.single = labels.ndim == 1
        own = labels[:, None] == np.arange(len(names)) if self.single else labels == 1
        self.known = np.ones_like(own) if self.single else labels >= 0
        self.ranks = [
            Ranks(own[self.known[:, c], c], chances[self.known[:, c], c]) if self.known[:, c].any() else None
            for c in range(len(names))
        ]
        called = chances.argmax(1)
        self.cells = [cells(own[:, c], called == c) for c in range(len(names))]
        self.right = (labels == called).astype(np.float64) if self.single else None

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Name -> (folds,); figures of one class are named "figure/class"."""
        found: dict[str, Floats] = {}
        for c, name in enumerate(self.names):
            ranks = self.ranks[c]
            known = self.known[:, c]
            used = weights if known.all() else weights[:, known]
            found[f"auroc/{name}"] = np.full(len(weights), np.nan) if ranks is None else ranks(used)[0]
            if self.single:
                counts = (weights @ self.cells[c]).T
                found |= {f"{rate}/{name}": RATES[rate](*counts) for rate in ("sensitivity", "ppv")}
        found["macro_auroc"] = np.mean([found[f"auroc/{name}"] for name in self.names], axis=0)
        if self.right is not None:
            found["class_accuracy"] = weights @ self.right / weights.sum(1)
        return found

    def by_class(self, estimates: Mapping[str, Estimate]) -> dict[str, dict[str, Estimate]]:
        """{class: {figure: estimate}} from estimates named "figure/class"."""
        parts = [(name.split("/", 1), estimate) for name, estimate in estimates.items() if "/" in name]
        return {c: {figure: e for (figure, owner), e in parts if owner == c} for c in self.names}
