"""Agreement of raters beyond chance: Cohen's κ of two, plain and weighted, and Fleiss' κ of several."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics import bootstrap
from radiolucent.metrics.arrays import numbers
from radiolucent.metrics.evaluation import FEW_PATIENTS
from radiolucent.metrics.intervals import exact_low
from radiolucent.metrics.proportions import kish
from radiolucent.metrics.resample import clusters_of, groups_kept, missing
from radiolucent.types import Estimate

__all__ = ["Weights", "cohen_kappa", "fleiss_kappa", "one_sided", "resampled"]

Weights = Literal["none", "linear", "quadratic"]
Floats = NDArray[np.float64]


def _codes(values: Sequence[Any] | NDArray[Any], categories: Sequence[Any]) -> NDArray[np.intp]:
    places = {c: i for i, c in enumerate(categories)}
    unknown = sorted({str(v) for v in values if v not in places})
    if unknown:
        raise ConfigError(f"ratings {', '.join(unknown[:5])}; expected any of {', '.join(map(str, categories))}.")
    return np.array([places[v] for v in values], np.intp)


def _categories(given: Sequence[Any] | None, weights: Weights, *ratings: Sequence[Any] | NDArray[Any]) -> list[Any]:
    if given is not None:
        if len(set(given)) < len(given):
            raise ConfigError(f"categories {', '.join(map(str, given))}; expected each once.")
        return list(given)
    try:
        found = sorted({v for values in ratings for v in values})
    except TypeError as error:
        raise ConfigError(
            f"ratings: {error}; expected one kind of rating a case, or give their `categories`."
        ) from None
    if weights != "none" and any(isinstance(v, str) for v in found):
        raise ConfigError(
            f"ratings {', '.join(found[:5])} with {weights} weights; give their order as `categories`: the alphabet's "
            "need not be theirs."
        )
    return found


def disagreement(weights: Weights, count: int) -> Floats:
    """Weights (C, C) of a disagreement between categories i and j: 1 − [i = j], |i − j|, or (i − j)², scaled to 1."""
    steps = np.abs(np.arange(count)[:, None] - np.arange(count)[None]).astype(np.float64)
    if weights == "none":
        return (steps > 0).astype(np.float64)
    if weights not in ("linear", "quadratic"):
        raise ConfigError(f"weights {weights!r}; expected none, linear or quadratic.")
    return (steps / max(count - 1, 1)) ** (1 if weights == "linear" else 2)


def cohen_kappa(
    first: Sequence[Any] | NDArray[Any],
    second: Sequence[Any] | NDArray[Any],
    *,
    weights: Weights = "none",
    categories: Sequence[Any] | None = None,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Cohen's κ of two raters on N cases: 1 − Σ v_ij p_ij / Σ v_ij p_i· p_·j with disagreement weights v.

    Source: Cohen 1960 (plain), Cohen 1968 (weighted). The interval is a bootstrap over cases or, with `groups`, over
    patients, on the scale of Fisher's z (`resampled`). Where the raters never differ, its lower end is the κ of the
    exact bound (Clopper & Pearson 1934) on the share of cases or patients with a difference.

    Args:
        first, second: N ratings each, of the same cases; a case with a missing rating (not-a-number or None) is left
            out and counted in the note. weights: "linear" and "quadratic" need ordered categories.
        categories: in their order; the sorted ratings unless given. Weights of words need it. A category nobody used
            matters to weights only.

    Not applicable where neither rater ever leaves one category: chance agreement is then complete.

    >>> cohen_kappa([0] * 40 + [1] * 60, [0] * 30 + [1] * 10 + [0] * 20 + [1] * 40, folds=100).value
    0.4
    """
    if len(first) != len(second):
        raise ConfigError(f"{len(first)} and {len(second)} ratings; expected both raters on the same cases.")
    there = [not (missing(x) or missing(y)) for x, y in zip(first, second, strict=True)]
    by = groups_kept(groups, np.array(there, bool))
    first, second = ([v for v, keep in zip(values, there, strict=True) if keep] for values in (first, second))
    left = len(there) - sum(there)
    note = f"{left} of {len(there)} cases without both ratings left out" if left else ""
    names = _categories(categories, weights, first, second)
    a, b = _codes(first, names), _codes(second, names)
    size = len(names)
    apart = disagreement(weights, size)
    cells = np.zeros((len(a), size * size))
    cells[np.arange(len(a)), a * size + b] = 1.0

    def kappa(w: Floats) -> Floats:
        table = (w @ cells).reshape(-1, size, size)
        total = table.sum((1, 2))
        seen = (table * apart).sum((1, 2)) / total
        chance = np.einsum("fi,ij,fj->f", table.sum(2), apart, table.sum(1)) / total**2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(chance > 1e-15, 1 - seen / chance, np.nan)

    units = clusters_of(by, len(a))[1]
    margins = cells.reshape(-1, size, size).mean(0) if len(a) else np.zeros((size, size))
    chance = float(margins.sum(1) @ apart @ margins.sum(0))
    exact = one_sided(units, chance, level) if len(a) and (a == b).all() else None
    given = np.eye(size)[a] + np.eye(size)[b]
    options: dict[str, Any] = {"level": level, "folds": folds, "seed": seed, "exact": exact, "note": note}
    return _noted(resampled(kappa, given, by, **options), "both raters use one category only", note)


def resampled(
    statistic: Callable[[Floats], Floats],
    counts: Floats,
    groups: Sequence[Any] | None,
    *,
    note: str = "",
    **options: Any,
) -> Estimate:
    """A coefficient of agreement with its bootstrap interval over N cases or their patients, on Fisher's z.

    What the coefficient rests on are the cases to which somebody gave another category than the usual one: where one in
    twenty is ill, agreement about the ill decides. So the interval is as wide as that of as many independent patients
    as these are worth (`kish`), with Student's t; of fewer than ten, the note says how many, and of one there is none.

    Args:
        counts: (N, C) how many raters put a case into each category. options: of `bootstrap`.
    """
    index, _ = clusters_of(groups, len(counts))
    usual = int(counts.sum(0).argmax()) if counts.size else 0
    other = (counts.sum(1) - counts[:, usual] > 0) if counts.size else np.zeros(len(counts), bool)
    rarer = np.unique(index[other], return_inverse=True)[1]
    few = len(np.unique(rarer))
    if 0 < few < FEW_PATIENTS:
        who = "case" if groups is None else "patient"
        words = f"only {few} {who}{'' if few == 1 else 's'} with another rating than the usual one"
        note = "; ".join(filter(None, (note, f"{words}: the interval is wide, or missing")))
    by: Any = len(counts) if groups is None else groups
    return bootstrap(statistic, by, worth=kish(rarer) if few else None, scale="correlation", note=note, **options)


def one_sided(units: int, chance: float, level: float) -> tuple[float, float] | None:
    """Interval of a perfect agreement of this many cases or patients, `chance` being the disagreement by chance.

    >>> low, high = one_sided(20, 0.5, 0.95)
    >>> round(low, 3), high
    (0.663, 1.0)
    """
    return (1 - (1 - exact_low(units, level)) / chance, 1.0) if chance > 1e-15 else None


def fleiss_kappa(
    counts: NDArray[Any],
    *,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Fleiss' κ of n ratings a case, by whomever: (P̄ − P̄_e) / (1 − P̄_e).

    P_i = Σ_j n_ij (n_ij − 1) / (n (n − 1)), P̄_e = Σ_j p_j² with p_j the share of category j (Fleiss 1971).

    Args:
        counts: (N, C) how many raters put case i into category j; every row sums to the same n ≥ 2.

    >>> round(fleiss_kappa(np.array([[3, 0], [0, 3], [2, 1], [3, 0]]), folds=100).value, 3)
    0.625
    """
    table = numbers(counts, "counts")
    raters = table.sum(-1)
    odd = table.ndim != 2 or not len(table) or (table < 0).any() or (table % 1 != 0).any()
    if odd or len(np.unique(raters)) != 1 or raters[0] < 2:
        raise ConfigError(
            f"counts {table.shape} with {np.unique(raters)[:5]} ratings a case; expected (N, C) whole numbers, as many "
            "≥ 2 everywhere: Krippendorff's alpha takes missing ratings."
        )
    n = float(raters[0])
    same = (table * (table - 1)).sum(1) / (n * (n - 1))

    def kappa(w: Floats) -> Floats:
        total = w.sum(1)
        share = (w @ table) / (n * total[:, None])
        chance = (share**2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(chance < 1 - 1e-12, ((w @ same) / total - chance) / (1 - chance), np.nan)

    chance = 1 - float(((table.sum(0) / table.sum()) ** 2).sum())
    exact = one_sided(clusters_of(groups, len(table))[1], chance, level) if (same == 1).all() else None
    options: dict[str, Any] = {"level": level, "folds": folds, "seed": seed, "exact": exact}
    return _noted(resampled(kappa, table, groups, **options), "all ratings are in one category")


def _noted(found: Estimate, undefined: str, note: str = "") -> Estimate:
    if found.value is not None or not found.n:
        return found
    return dataclasses.replace(found, note="; ".join(filter(None, (undefined, note))))
