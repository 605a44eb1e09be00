"""Figures at one threshold: what was called against what is true."""

from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats, Mask, boolean
from radiolucent.metrics.intervals import exact_low, undefined, wilson
from radiolucent.metrics.resample import Groups, bootstrap, bootstrap_method, clusters_of
from radiolucent.types import Estimate

__all__ = [
    "PROPORTIONS",
    "RATES",
    "Options",
    "accuracy",
    "balanced_accuracy",
    "cells",
    "exact_ends",
    "f1",
    "mcc",
    "npv",
    "ppv",
    "proportion",
    "sensitivity",
    "specificity",
    "units",
    "why_undefined",
]


class Options(TypedDict, total=False):
    """What every figure takes.

    interval: "wilson" (proportions only; cases taken as independent) or "bootstrap" (over `groups` where given).
    groups: N patient identifiers. level: coverage. folds, seed: of the bootstrap.
    """

    interval: Literal["wilson", "bootstrap"]
    groups: Groups
    level: float
    folds: int
    seed: int


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _mcc(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.where(below > 0, (tp * tn - fp * fn) / np.maximum(below, 1e-300), 0.0)


# From weighted counts (folds,) of tp, fp, fn, tn to the figure (folds,); not-a-number where it is not defined.
RATES: dict[str, Callable[[Floats, Floats, Floats, Floats], Floats]] = {
    "accuracy": lambda tp, fp, fn, tn: _ratio(tp + tn, tp + fp + fn + tn),
    "balanced_accuracy": lambda tp, fp, fn, tn: (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2,
    "sensitivity": lambda tp, fp, fn, tn: _ratio(tp, tp + fn),
    "specificity": lambda tp, fp, fn, tn: _ratio(tn, tn + fp),
    "ppv": lambda tp, fp, fn, tn: _ratio(tp, tp + fp),
    "npv": lambda tp, fp, fn, tn: _ratio(tn, tn + fn),
    "f1": lambda tp, fp, fn, tn: _ratio(2 * tp, 2 * tp + fp + fn),
    "mcc": _mcc,
}
# The proportions among them, as (truth, called) -> (successes, trials).
PROPORTIONS: dict[str, Callable[[Mask, Mask], tuple[Mask, Mask]]] = {
    "accuracy": lambda t, c: (t == c, np.ones_like(t)),
    "sensitivity": lambda t, c: (c, t),
    "specificity": lambda t, c: (~c, ~t),
    "ppv": lambda t, c: (t, c),
    "npv": lambda t, c: (~t, ~c),
}
_EMPTY = {
    "sensitivity": "no positive case",
    "specificity": "no negative case",
    "ppv": "no case called positive",
    "npv": "no case called negative",
    "balanced_accuracy": "one class only",
    "f1": "no positive case, and none called",
}


def why_undefined(name: str, truth: Mask) -> str:
    """Why a figure has no value on this sample."""
    return _EMPTY.get(name, "not defined on this sample") if len(truth) else "no cases"


def cells(truth: Mask, called: Mask) -> Floats:
    """Membership (N, 4) in true positives, false positives, false negatives, true negatives: weights @ it counts."""
    return np.stack([truth & called, ~truth & called, truth & ~called, ~truth & ~called], axis=1).astype(np.float64)


def proportion(name: str, truth: Mask, called: Mask, level: float) -> Estimate:
    """One of the proportions with Wilson's interval."""
    success, trials = PROPORTIONS[name](truth, called)
    found = wilson(int((success & trials).sum()), int(trials.sum()), level)
    return found if found.value is not None else undefined(why_undefined(name, truth), level, 0, "wilson")


def units(name: str, truth: Mask, called: Mask, index: NDArray[np.intp]) -> int:
    """Clusters the figure rests on: for sensitivity those with a positive case, and so on."""
    trials = PROPORTIONS[name](truth, called)[1] if name in PROPORTIONS else np.ones_like(truth)
    return len(np.unique(index[trials]))


def exact_ends(
    name: str, truth: Mask, called: Mask, index: NDArray[np.intp], level: float
) -> tuple[float, float] | None:
    """Interval of a figure no bootstrap fold can vary: exact binomial, in clusters (`index` (N,)); None elsewhere.

    For a proportion of 0 or 1, Clopper & Pearson's. For balanced accuracy, F1 and MCC of 1, the figure at the exact
    lower bounds of sensitivity and specificity, each at half the error (Bonferroni), at the prevalence seen.
    """
    if name in PROPORTIONS:
        success, trials = PROPORTIONS[name](truth, called)
        low = exact_low(units(name, truth, called, index), level)
        if success[trials].all():
            return low, 1.0
        return None if success[trials].any() else (0.0, 1 - low)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if (truth != called).any() or not positives or not negatives:
        return None
    half = (1 + level) / 2
    sens, spec = (exact_low(len(np.unique(index[kept])), half) for kept in (truth, ~truth))
    tp, fp, fn, tn = positives * sens, negatives * (1 - spec), positives * (1 - sens), negatives * spec
    return float(RATES[name](*(np.array([count]) for count in (tp, fp, fn, tn)))[0]), 1.0


def _figure(name: str, truth: NDArray[Any], called: NDArray[Any], options: Options) -> Estimate:
    t, c = boolean(truth), boolean(called, "called")
    if t.shape != c.shape:
        raise ConfigError(f"truth {t.shape} and called {c.shape}; expected the same (N,).")
    groups, level, folds = options.get("groups"), options.get("level", 0.95), options.get("folds", 10_000)
    interval = options.get("interval", "wilson" if name in PROPORTIONS else "bootstrap")
    if interval == "wilson":
        if name not in PROPORTIONS:
            raise ConfigError(f"{name} is no proportion, so it has no Wilson interval; use interval='bootstrap'.")
        return proportion(name, t, c, level)
    if interval != "bootstrap":
        raise ConfigError(f"interval {interval!r}; expected 'wilson' or 'bootstrap'.")
    if not len(t):
        return undefined("no cases", level, 0, bootstrap_method(groups, folds))
    index, _ = clusters_of(groups, len(t))
    member = cells(t, c)
    found = bootstrap(
        lambda w: RATES[name](*(w @ member).T),
        len(t) if groups is None else groups,
        level=level,
        folds=folds,
        seed=options.get("seed", 0),
        n=units(name, t, c, index),
        exact=exact_ends(name, t, c, index, level),
    )
    return found if found.value is not None else undefined(why_undefined(name, t), level, found.n, found.method)


def accuracy(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """(TP + TN) / N, of truth and called, each bool (N,); options as in `Options`."""
    return _figure("accuracy", truth, called, options)


def sensitivity(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Sensitivity (recall) TP / (TP + FN), of truth and called, each bool (N,); options as in `Options`.

    >>> print(sensitivity(np.array([1, 1, 1, 1, 0]), np.array([1, 1, 1, 0, 0])))
    0.750 (95% CI 0.301–0.954, n = 4)
    """
    return _figure("sensitivity", truth, called, options)


def specificity(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Specificity TN / (TN + FP), of truth and called, each bool (N,); options as in `Options`."""
    return _figure("specificity", truth, called, options)


def ppv(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Positive predictive value (precision) TP / (TP + FP), of truth and called, each bool (N,)."""
    return _figure("ppv", truth, called, options)


def npv(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Negative predictive value TN / (TN + FN), of truth and called, each bool (N,)."""
    return _figure("npv", truth, called, options)


def f1(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """F1 = 2 TP / (2 TP + FP + FN), of truth and called, each bool (N,); bootstrap interval."""
    return _figure("f1", truth, called, options)


def balanced_accuracy(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Mean of sensitivity and specificity, of truth and called, each bool (N,); bootstrap interval."""
    return _figure("balanced_accuracy", truth, called, options)


def mcc(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Matthews' correlation of truth and called, each bool (N,); 0 where a margin is empty (as scikit-learn)."""
    return _figure("mcc", truth, called, options)
