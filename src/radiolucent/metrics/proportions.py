"""Proportions of films whose patients may have several: Wilson's interval with a design effect."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats, Mask
from radiolucent.metrics.intervals import exact_low, score_ends, spread_df, undefined, wilson, z_of
from radiolucent.types import Estimate

__all__ = [
    "PROPORTIONS",
    "clustered_difference",
    "clustered_ends",
    "clustered_wilson",
    "kish",
    "proportion",
    "rarer_worth",
    "why_undefined",
]

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


def clustered_difference(gained: NDArray[Any], index: NDArray[np.intp], level: float = 0.95) -> Estimate:
    """The mean of what films gained, each −1, 0 or 1 (n,): a difference of paired proportions, by patient `index` (n,).

    Tango's (1998) score interval. The mean ± t · deviation holds too little where all differences are to one side, and
    is no interval where there are none. Where patients have several films, n films are worth n / D of them, with the
    design effect D, and Student's t, as in `clustered_wilson`.

    >>> print(clustered_difference(np.repeat([1, 0], [5, 95]), np.arange(100)))
    0.050 (95 % CI 0.011–0.112, n = 100)
    """
    from scipy import special

    n, patients = len(gained), len(np.unique(index))
    if not n:
        return undefined("no case of this kind", level, 0, "tango")
    values = np.asarray(gained, np.float64)
    up, down, mean = float((values > 0).sum()), float((values < 0).sum()), float(values.mean())
    if patients == n:
        return Estimate(mean, *_difference_ends(up, down, n, z_of(level)), level, n, "tango")
    if patients < 2:
        return Estimate(mean, None, None, level, patients, "tango", "films of a single patient: no interval")
    index = np.unique(index, return_inverse=True)[1]
    size, sums = np.bincount(index), np.bincount(index, values)
    gaps = (sums - mean * size) / (n - size)
    changed, whole = int((np.bincount(index, values != 0) > 0).sum()), float((size.astype(np.float64) ** 2).sum()) / n
    alone = (up + down - n * mean**2) / n**2
    seen = float((gaps**2).sum()) * (patients - 1) / patients / alone if alone > 0 else 1.0
    effect = max((changed * seen + whole) / (changed + 1), 1.0)
    t = float(special.stdtrit(spread_df(gaps), 0.5 + level / 2))
    ends = _difference_ends(up / effect, down / effect, n / effect, t)
    return Estimate(mean, *ends, level, patients, f"tango, design effect {effect:.2f}")


def _difference_ends(up: float, down: float, n: float, z: float) -> tuple[float, float]:
    """The δ with |up − down − n δ| ≤ z √(n (2 q + δ (1 − δ))), q being the share of "down" that is likeliest at δ."""

    def apart(d: float) -> float:
        b = (2 * n - up + down) * d - up - down
        q = (np.sqrt(max(b * b + 8 * n * down * d * (1 - d), 0.0)) - b) / (4 * n)
        spread = n * max(2 * q + d * (1 - d), 0.0)
        return float("inf") if spread <= 0 else float(abs(up - down - n * d) / np.sqrt(spread))

    ends: list[float] = []
    for outside in (-1.0, 1.0):
        inside = (up - down) / n
        for _ in range(60):  # halving: the distance rises on the way out
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if apart(middle) <= z else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def proportion(name: str, truth: Mask, called: Mask, level: float, index: NDArray[np.intp] | None = None) -> Estimate:
    """One of the proportions with Wilson's interval, over the patients of `index` (N,) where given."""
    success, trials = PROPORTIONS[name](truth, called)
    patients = (np.arange(len(truth)) if index is None else index)[trials]
    found = clustered_wilson(success[trials], patients, level)
    return found if found.value is not None else undefined(why_undefined(name, truth), level, 0, "wilson")


def rarer_worth(truth: Mask, index: NDArray[np.intp]) -> float:
    """How many patients of equal size the class with fewer of them is worth; 0 without a case."""
    return min((kish(np.unique(index[own], return_inverse=True)[1]) for own in (truth, ~truth)), default=0.0)
