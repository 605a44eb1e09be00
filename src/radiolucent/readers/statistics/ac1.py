"""Gwet's AC1: agreement beyond a chance that does not explode where nearly all films are alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import numbers
from radiolucent.metrics.intervals import undefined
from radiolucent.metrics.resample import clusters_of, groups_kept
from radiolucent.readers.statistics.kappa import one_sided, resampled
from radiolucent.types import Estimate

__all__ = ["gwet_ac1"]

Floats = NDArray[np.float64]


def gwet_ac1(
    ratings: NDArray[Any],
    *,
    categories: Sequence[float] | None = None,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """AC1 = (p_a − p_e) / (1 − p_e) of any number of raters, with missing ratings.

    p_a is the mean over units with two ratings and more of Σ_q r_q (r_q − 1) / (r (r − 1)), and p_e is
    Σ_q π_q (1 − π_q) / (Q − 1), π_q being the mean share of category q over rated units. Where one category is rare,
    κ's chance agreement nears 1 and κ falls though the raters agree (Feinstein & Cicchetti 1990); AC1's does not.
    Source: Gwet 2008.

    Args:
        ratings: float (R, N), not-a-number where missing. categories: all there are; those used unless given.
        groups: N patient identifiers; the interval is a bootstrap over units or patients, as for `cohen_kappa`.
    """
    values = numbers(ratings, "ratings")
    if values.ndim != 2 or np.isinf(values).any():
        raise ConfigError(f"ratings of shape {values.shape}; expected finite numbers or not-a-number, (raters, units).")
    used = np.unique(values[np.isfinite(values)])
    names = used if categories is None else np.sort(numbers(categories, "categories"))
    if len(np.unique(names)) < len(names) or not np.isfinite(names).all():
        raise ConfigError(f"categories {names.tolist()}; expected finite numbers, each once.")
    if not np.isin(used, names).all():
        raise ConfigError(f"ratings {used[~np.isin(used, names)][:5].tolist()}; expected any of {names.tolist()}.")
    counts = (values[:, :, None] == names).sum(0).astype(np.float64)
    rated = counts.sum(1) > 0
    counts, total = counts[rated], counts[rated].sum(1)
    pairs = total >= 2
    by = groups_kept(groups, rated)
    if pairs.sum() < 2 or len(names) < 2:
        why = "one category only" if len(names) < 2 else "fewer than two units to compare"
        return undefined(why, level, int(pairs.sum()), "bootstrap")
    agreed = np.where(pairs, (counts * (counts - 1)).sum(1) / np.maximum(total * (total - 1), 1), 0.0)
    shares = counts / total[:, None]

    def chance(w: Floats) -> Floats:
        mean = (w @ shares) / w.sum(1, keepdims=True)
        return (mean * (1 - mean)).sum(1) / (len(names) - 1)

    def ac1(w: Floats) -> Floats:
        expected = chance(w)
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((w @ agreed) / (w @ pairs.astype(np.float64)) - expected) / (1 - expected)

    exact = None
    if (agreed[pairs] == 1).all():
        units = clusters_of(by, len(counts))[1]
        exact = one_sided(units, 1 - float(chance(np.ones((1, len(counts))))[0]), level)
    return resampled(ac1, counts, by, level=level, folds=folds, seed=seed, exact=exact)
