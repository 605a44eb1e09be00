"""Figures at one threshold: what was called against what is true."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats, Mask, boolean
from radiolucent.metrics.delong import FEW
from radiolucent.metrics.intervals import exact_low, jackknife_interval, undefined
from radiolucent.metrics.proportions import PROPORTIONS, clustered_wilson, kish, proportion, rarer_worth, why_undefined
from radiolucent.metrics.resample import Groups, bootstrap, bootstrap_method, clusters_of
from radiolucent.types import Estimate

__all__ = [
    "RATES",
    "Options",
    "accuracy",
    "at_threshold",
    "balanced_accuracy",
    "cells",
    "exact_ends",
    "f1",
    "mcc",
    "npv",
    "ppv",
    "sensitivity",
    "specificity",
]


class Options(TypedDict, total=False):
    """What every figure takes.

    interval: "wilson" (proportions, F1, balanced accuracy; with a design effect over `groups`), "jackknife" (MCC; each
        patient left out in turn) or "bootstrap"; the first that fits.
    groups: N patient identifiers. level: coverage. folds, seed: of the bootstrap.
    """

    interval: Literal["wilson", "jackknife", "bootstrap"]
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


def cells(truth: Mask, called: Mask) -> Floats:
    """Membership (N, 4) in true positives, false positives, false negatives, true negatives: weights @ it counts."""
    return np.stack([truth & called, ~truth & called, truth & ~called, ~truth & ~called], axis=1).astype(np.float64)


def exact_ends(
    name: str, truth: Mask, called: Mask, index: NDArray[np.intp], level: float
) -> tuple[float, float] | None:
    """Interval of a balanced accuracy, F1 or MCC of films all called right, or all wrong; None elsewhere.

    The figure at the exact lower bounds of sensitivity and specificity over patients (`index` (N,)), each at half the
    error (Bonferroni), at the prevalence seen.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives or not ((truth == called).all() or (truth != called).all()):
        return None
    if (truth != called).all():
        low = (exact_ends(name, truth, ~called, index, level) or (0.0, 0.0))[0]
        return {"mcc": (-1.0, -low), "balanced_accuracy": (0.0, 1 - low)}.get(name)
    half = (1 + level) / 2
    sens, spec = (exact_low(len(np.unique(index[kept])), half) for kept in (truth, ~truth))
    tp, fp, fn, tn = positives * sens, negatives * (1 - spec), positives * (1 - sens), negatives * spec
    return float(RATES[name](*(np.array([count]) for count in (tp, fp, fn, tn)))[0]), 1.0


def f1_interval(truth: Mask, called: Mask, index: NDArray[np.intp], level: float) -> Estimate:
    """F1 = 2 J / (1 + J) with J = TP / (TP + FP + FN), the share of films ill or called that are both: a proportion."""
    either = truth | called
    if not either.any():
        return undefined(why_undefined("f1", truth), level, 0, "wilson")
    share = clustered_wilson((truth & called)[either], np.unique(index[either], return_inverse=True)[1], level)
    value, low, high = (None if x is None else 2 * x / (1 + x) for x in (share.value, share.low, share.high))
    return replace(share, value=value, low=low, high=high, method=f"{share.method}, of TP / (TP + FP + FN)")


def _balanced(truth: Mask, called: Mask, index: NDArray[np.intp], level: float) -> Estimate:
    """The mean of sensitivity and specificity, its ends from theirs by square-and-add (Newcombe 1998; Zou 2008).

    It stays wide where all of a few ill are called: such a sensitivity has no sample variance, but an interval.
    """
    parts = [proportion(name, truth, called, level, index) for name in ("sensitivity", "specificity")]
    units = len(np.unique(index))
    if any(e.value is None for e in parts):
        return undefined(why_undefined("balanced_accuracy", truth), level, units, "wilson")
    value = sum(e.value or 0.0 for e in parts) / 2
    if (ends := exact_ends("balanced_accuracy", truth, called, index, level)) is not None:
        return Estimate(value, *ends, level, units, "exact", "no sample variance: exact bound instead")
    below = [own - e.low for e in parts if (own := e.value) is not None and e.low is not None]
    above = [e.high - own for e in parts if (own := e.value) is not None and e.high is not None]
    if min(len(below), len(above)) < 2:
        return Estimate(value, None, None, level, units, "wilson", next(e.note for e in parts if e.low is None))
    low, high = value - math.hypot(*below) / 2, value + math.hypot(*above) / 2
    return Estimate(value, low, high, level, units, "square-and-add, of wilson's sensitivity and specificity")


def _left_out(name: str, truth: Mask, called: Mask, index: NDArray[np.intp], level: float) -> Estimate:
    """MCC with the interval that leaving out each patient of `index` (N,) gives."""
    units = len(np.unique(index))
    member = cells(truth, called)
    value = float(RATES[name](*member.sum(0)[:, None])[0]) if len(truth) else float("nan")
    method = "jackknife" if units == len(truth) else "patient jackknife"
    if not np.isfinite(value):
        return undefined(why_undefined(name, truth), level, units, method)
    rarer = min(len(np.unique(index[own])) for own in (truth, ~truth))
    if rarer < 2:
        return Estimate(value, None, None, level, units, method, f"{FEW} ({rarer} in the rarer class)")
    if (ends := exact_ends(name, truth, called, index, level)) is not None:
        return Estimate(value, *ends, level, units, method, "no sample variance: exact bound instead")
    own = np.stack([np.bincount(index, column, minlength=units) for column in member.T], axis=1)
    gaps = value - RATES[name](*(member.sum(0) - own).T)
    return jackknife_interval(value, gaps, level=level, method=method, scale="correlation")


def at_threshold(
    name: str,
    truth: Mask,
    called: Mask,
    *,
    groups: Groups = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
    interval: str | None = None,
) -> Estimate:
    """A figure of `RATES` by name, with the interval that suits it unless another is asked for (see `Options`)."""
    index, _ = clusters_of(groups, len(truth))
    usual = "jackknife" if name == "mcc" else "wilson"
    interval = interval or usual
    if interval == "wilson" and name in PROPORTIONS:
        return proportion(name, truth, called, level, index)
    if interval == "wilson" and name in ("f1", "balanced_accuracy"):
        return (f1_interval if name == "f1" else _balanced)(truth, called, index, level)
    if interval == "jackknife" == usual:
        return _left_out(name, truth, called, index, level)
    if interval != "bootstrap":
        raise ConfigError(f"interval {interval!r} of {name}; expected '{usual}' or 'bootstrap'.")
    if not len(truth):
        return undefined("no cases", level, 0, bootstrap_method(groups, folds))
    member = cells(truth, called)
    found = bootstrap(
        lambda w: RATES[name](*(w @ member).T),
        len(truth) if groups is None else groups,
        level=level,
        folds=folds,
        seed=seed,
        worth=kish(_trials(name, truth, called, index)) if name in PROPORTIONS else rarer_worth(truth, index),
        scale="correlation" if name == "mcc" else "share",
        exact=None if name in PROPORTIONS else exact_ends(name, truth, called, index, level),
    )
    if found.value in (0.0, 1.0) and name in PROPORTIONS:
        return proportion(name, truth, called, level, index)
    if found.value is None:
        return undefined(why_undefined(name, truth), level, found.n, found.method)
    return replace(found, n=len(np.unique(_trials(name, truth, called, index)))) if name in PROPORTIONS else found


def _trials(name: str, truth: Mask, called: Mask, index: NDArray[np.intp]) -> NDArray[np.intp]:
    """The patients, numbered from 0, of the films a proportion is one of."""
    return np.unique(index[PROPORTIONS[name](truth, called)[1]], return_inverse=True)[1]


def _figure(name: str, truth: NDArray[Any], called: NDArray[Any], options: Options) -> Estimate:
    t, c = boolean(truth), boolean(called, "called")
    if t.shape != c.shape:
        raise ConfigError(f"truth {t.shape} and called {c.shape}; expected the same (N,).")
    return at_threshold(name, t, c, **options)


def accuracy(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """(TP + TN) / N, of truth and called, each bool (N,); options as in `Options`."""
    return _figure("accuracy", truth, called, options)


def sensitivity(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Sensitivity (recall) TP / (TP + FN), of truth and called, each bool (N,); options as in `Options`.

    >>> print(sensitivity(np.array([1, 1, 1, 1, 0]), np.array([1, 1, 1, 0, 0])))
    0.750 (95 % CI 0.301–0.954, n = 4)
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
    """F1 = 2 TP / (2 TP + FP + FN), of truth and called, each bool (N,)."""
    return _figure("f1", truth, called, options)


def balanced_accuracy(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Mean of sensitivity and specificity, of truth and called, each bool (N,)."""
    return _figure("balanced_accuracy", truth, called, options)


def mcc(truth: NDArray[Any], called: NDArray[Any], **options: Unpack[Options]) -> Estimate:
    """Matthews' correlation of truth and called, each bool (N,); 0 where a margin is empty (as scikit-learn)."""
    return _figure("mcc", truth, called, options)
