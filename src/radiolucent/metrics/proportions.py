"""Proportions of films whose patients may have several: Wilson's interval with a design effect."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats, Mask
from radiolucent.metrics.intervals import exact_low, score_ends, spread_df, undefined, wilson
from radiolucent.types import Estimate

__all__ = ["PROPORTIONS", "clustered_ends", "clustered_wilson", "kish", "proportion", "rarer_worth", "why_undefined"]

# As (truth, called) -> (successes, trials).
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


def kish(index: NDArray[np.intp]) -> float:
    """How many clusters of equal size (N,) films are worth: (Σ n_c)² / Σ n_c² (Kish 1965).

    >>> kish(np.array([0, 0, 1, 1, 2, 2])), kish(np.array([0, 0, 0, 0, 1, 2]))
    (3.0, 2.0)
    """
    size = np.bincount(index).astype(np.float64)
    return float(size.sum() ** 2 / (size @ size)) if len(index) else 0.0


def clustered_wilson(success: NDArray[Any], index: NDArray[np.intp], level: float = 0.95) -> Estimate:
    """The share of successes (n,) bool in films whose patients are `index` (n,), with Wilson's interval.

    Films of a patient go well or badly together, so n films are worth n / D of them. The design effect D (Kish 1965) is
    the variance of the share when each patient is left out in turn over the binomial one. Few successes or failures
    tell little of it: with f patients of the rarer outcome, D is (f · D + M) / (f + 1), M = Σ n_c² / n being the design
    effect of patients whose films all go the same way. D may lie above M: the ill have more called films than the well,
    so that the patients of a PPV differ in number and in kind. z becomes Student's t (Korn & Graubard 1998) with the
    degrees of freedom of the patients' parts of the variance (`spread_df`). With a film a patient D is 1 and this is
    Wilson's interval. Where all films go the same way it is the exact one over patients.

    >>> clustered_wilson(np.array([True, True, False, True]), np.array([0, 0, 1, 2])).n
    3
    """
    n, patients = len(success), len(np.unique(index))
    if not n:
        return undefined("no case of this kind", level, 0, "wilson")
    if patients == n:
        return wilson(int(success.sum()), n, level)
    p = float(success.mean())
    if patients < 2:
        return Estimate(p, None, None, level, patients, "wilson", "films of a single patient: no interval")
    size, good = np.bincount(index), np.bincount(index, success)
    there = size > 0
    low, high, effect = clustered_ends(good[None, there], size[there], level)
    ends = float(low[0]), float(high[0])
    if not 0 < p < 1:
        note = "no sample variance: exact bound over patients"
        return Estimate(p, *ends, level, patients, "exact", note)
    return Estimate(p, *ends, level, patients, f"wilson, design effect {effect[0]:.2f}")


def clustered_ends(good: NDArray[Any], size: NDArray[Any], level: float) -> tuple[Floats, Floats, Floats]:
    """(low, high, design effect), each (F,), of the shares of F samples: `good` (F, C) successes of `size` (C,) films.

    The intervals of `clustered_wilson`.
    """
    from scipy import special

    n, patients = float(size.sum()), len(size)
    p = good.sum(1) / n
    whole = float((size.astype(np.float64) ** 2).sum()) / n
    rare = np.where(p <= 0.5, (good > 0).sum(1), (size - good > 0).sum(1))
    gaps = (good - p[:, None] * size) / (n - size)
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = (gaps**2).sum(1) * (patients - 1) / patients * n / (p * (1 - p))
    effect = np.where(rare > 0, np.maximum((rare * np.nan_to_num(seen) + whole) / (rare + 1), 1.0), whole)
    low, high = score_ends(p, n / effect, special.stdtrit(spread_df(gaps), 0.5 + level / 2))
    least = exact_low(patients, level)
    return np.where(p == 1, least, low), np.where(p == 0, 1 - least, high), effect


def proportion(name: str, truth: Mask, called: Mask, level: float, index: NDArray[np.intp] | None = None) -> Estimate:
    """One of the proportions with Wilson's interval, over the patients of `index` (N,) where given."""
    success, trials = PROPORTIONS[name](truth, called)
    patients = (np.arange(len(truth)) if index is None else index)[trials]
    found = clustered_wilson(success[trials], patients, level)
    return found if found.value is not None else undefined(why_undefined(name, truth), level, 0, "wilson")


def rarer_worth(truth: Mask, index: NDArray[np.intp]) -> float:
    """How many patients of equal size the class with fewer of them is worth; 0 without a case."""
    return min((kish(np.unique(index[own], return_inverse=True)[1]) for own in (truth, ~truth)), default=0.0)
