"""Figures for three classes and more, and for several labels an image: each class against the rest."""

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats, Mask
from radiolucent.metrics.intervals import undefined
from radiolucent.metrics.metric import Cases, Resampling
from radiolucent.metrics.proportions import clustered_wilson, proportion, rarer_worth
from radiolucent.metrics.ranking import Ranks, auroc
from radiolucent.metrics.resample import bootstrap, bootstrap_method
from radiolucent.types import Estimate

__all__ = ["by_class", "class_accuracy", "confusion_matrix", "macro_auroc"]


def confusion_matrix(
    labels: NDArray[np.int64], called: NDArray[np.integer], classes: int
) -> tuple[tuple[int, ...], ...]:
    """Counts (C, C): rows the true class (N,), columns the called class (N,).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    ((1, 0), (1, 1))
    """
    flat = np.bincount(labels * classes + called, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(int(count) for count in row) for row in flat)


def _one_against_rest(cases: Cases) -> tuple[Mask, Mask]:
    """(own, known), each bool (N, C): films of each class, and those whose label says whether they are."""
    if cases.labels.ndim == 2:
        return cases.labels == 1, cases.labels >= 0
    own = cases.labels[:, None] == np.arange(len(cases.names))
    return own, np.ones_like(own)


def by_class(cases: Cases, how: Resampling) -> dict[str, dict[str, Estimate]]:
    """By class, against the rest: AUROC and, unless multi-label, sensitivity and PPV of the most probable class."""
    own, known = _one_against_rest(cases)
    called = cases.chances.argmax(1)
    found: dict[str, dict[str, Estimate]] = {}
    for c, name in enumerate(cases.names):
        k = known[:, c]
        patients = [p for p, here in zip(cases.patients, k, strict=True) if here]
        found[name] = {"auroc": auroc(own[k, c], cases.chances[k, c], groups=patients, level=how.level)}
        if cases.labels.ndim == 1:
            for rate in ("sensitivity", "ppv"):
                found[name][rate] = proportion(rate, own[:, c], called == c, how.level, cases.index)
    return found


def macro_auroc(cases: Cases, how: Resampling) -> Estimate | None:
    """Mean one-against-rest AUROC of all classes; None for two classes."""
    if len(cases.names) < 3:
        return None
    own, known = _one_against_rest(cases)
    ill = [cases.patients_of(own[:, c]) for c in range(len(cases.names))]
    if not min(ill):
        method = bootstrap_method(cases.patients, how.folds)
        return undefined("a class without cases", how.level, 0, method)
    ranks = [Ranks(own[k, c], cases.chances[k, c]) for c, k in enumerate(known.T)]

    def mean(weights: Floats) -> Floats:
        areas = [r(weights if k.all() else weights[:, k])[0] for r, k in zip(ranks, known.T, strict=True)]
        return np.mean(areas, axis=0)

    worth = min(rarer_worth(own[k, c], cases.index[k]) for c, k in enumerate(known.T))
    options = {"level": how.level, "folds": how.folds, "seed": how.seed, "worth": worth, "scale": "share"}
    return bootstrap(mean, cases.patients, **options)  # pyright: ignore[reportArgumentType]


def class_accuracy(cases: Cases, how: Resampling) -> Estimate | None:
    """Share of films whose most probable class is right; None for two classes and for several labels a film."""
    if len(cases.names) < 3 or cases.labels.ndim == 2:
        return None
    return clustered_wilson(cases.labels == cases.chances.argmax(1), cases.index, how.level)
