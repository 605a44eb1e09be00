"""Figures for three classes and more: each class against the rest."""

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


def _one_against_rest(cases: Cases) -> Mask:
    """bool (N, C): films of each class."""
    return cases.labels[:, None] == np.arange(len(cases.names))


def by_class(cases: Cases, how: Resampling) -> dict[str, dict[str, Estimate]]:
    """By class, against the rest: AUROC, and sensitivity and PPV of the most probable class."""
    own = _one_against_rest(cases)
    called = cases.chances.argmax(1)
    found: dict[str, dict[str, Estimate]] = {}
    for c, name in enumerate(cases.names):
        found[name] = {"auroc": auroc(own[:, c], cases.odds[:, c], groups=cases.patients, level=how.level)}
        for rate in ("sensitivity", "ppv"):
            found[name][rate] = proportion(rate, own[:, c], called == c, how.level, cases.index)
    return found


def macro_auroc(cases: Cases, how: Resampling) -> Estimate | None:
    """Mean one-against-rest AUROC of all classes; None for two classes."""
    if len(cases.names) < 3:
        return None
    own = _one_against_rest(cases)
    ill = [cases.patients_of(own[:, c]) for c in range(len(cases.names))]
    if not min(ill):
        method = bootstrap_method(cases.patients, how.folds)
        return undefined("a class without cases", how.level, 0, method)
    ranks = [Ranks(own[:, c], cases.odds[:, c]) for c in range(len(cases.names))]

    def mean(weights: Floats) -> Floats:
        return np.mean([r(weights)[0] for r in ranks], axis=0)

    worth = min(rarer_worth(own[:, c], cases.index) for c in range(len(cases.names)))
    options = {"level": how.level, "folds": how.folds, "seed": how.seed, "worth": worth, "scale": "share"}
    return bootstrap(mean, cases.patients, **options)  # pyright: ignore[reportArgumentType]


def class_accuracy(cases: Cases, how: Resampling) -> Estimate | None:
    """Share of films whose most probable class is right; None for two classes."""
    if len(cases.names) < 3:
        return None
    return clustered_wilson(cases.labels == cases.chances.argmax(1), cases.index, how.level)
