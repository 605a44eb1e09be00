"""Krippendorff's α: agreement of any number of raters, with missing ratings, on any scale."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import numbers
from radiolucent.metrics.resample import clusters_of, groups_kept
from radiolucent.readers.statistics.kappa import one_sided, resampled
from radiolucent.types import Estimate

__all__ = ["Scale", "krippendorff_alpha"]

Scale = Literal["nominal", "ordinal", "interval"]
Floats = NDArray[np.float64]


def krippendorff_alpha(
    ratings: NDArray[Any],
    scale: Scale = "nominal",
    *,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """α = 1 − D_o / D_e over the coincidences of values within units.

    A unit with m ≥ 2 ratings adds to o_ck its ordered pairs (c, k), each 1/(m − 1). With n_c = Σ_k o_ck, n = Σ n_c:
    D_o = Σ o_ck δ²_ck / n, D_e = Σ n_c n_k δ²_ck / (n (n − 1)), n_c n_k less n_c where c = k (δ is 0 there).
    δ²: nominal [c ≠ k]; interval (c − k)²; ordinal (Σ_{g=c..k} n_g − (n_c + n_k)/2)².
    Source: Krippendorff 2004, ch. 11; 2011, "Computing Krippendorff's Alpha-Reliability".

    Args:
        ratings: float (R, N), R raters and N units, not-a-number where missing. Units with one rating say nothing.
        groups: N patient identifiers; the interval is a bootstrap over units or patients on the scale of Fisher's z, as
            for `cohen_kappa` (not Krippendorff's own resampling of disagreements). Where the raters never differ, its
            lower end is the α of the exact bound on the share of units or patients with a difference, each as large as
            can be.

    Not applicable where fewer than two units can be paired, or all paired values are the same.
    """
    values = numbers(ratings, "ratings")
    if values.ndim != 2 or np.isinf(values).any():
        raise ConfigError(f"ratings of shape {values.shape}; expected finite numbers or not-a-number, (raters, units).")
    levels = np.unique(values[~np.isnan(values)])
    size = len(levels)
    counts = (values[:, :, None] == levels).sum(0).astype(np.float64)  # (N, C)
    pairable = counts.sum(1) >= 2
    if pairable.sum() < 2:
        return Estimate(None, None, None, level, int(pairable.sum()), "bootstrap", "fewer than two units to compare")
    counts = counts[pairable]
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(size), np.arange(size)] -= counts
    pairs = (pairs / (counts.sum(1) - 1)[:, None, None]).reshape(len(counts), size * size)

    def alpha(w: Floats) -> Floats:
        seen = (w @ pairs).reshape(-1, size, size)
        each = seen.sum(2)
        total = each.sum(1)
        apart = _apart(scale, levels, each)
        observed = (seen * apart).sum((1, 2)) / total
        expected = (each[:, :, None] * each[:, None, :] * apart).sum((1, 2)) / (total * (total - 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(expected > 1e-15, 1 - observed / expected, np.nan)

    by = groups_kept(groups, pairable)
    exact = None
    if ((counts > 0).sum(1) == 1).all():
        each = counts.sum(0)
        apart, total = np.broadcast_to(_apart(scale, levels, each[None]), (1, size, size))[0], each.sum()
        chance = float((each[:, None] * each[None] * apart).sum() / (total * (total - 1)))
        units = clusters_of(by, len(counts))[1]
        exact = one_sided(units, chance / max(float(apart.max()), 1e-300), level)
    found = resampled(alpha, counts, by, level=level, folds=folds, seed=seed, exact=exact)
    return found if found.value is not None else dataclasses.replace(found, note="all ratings are the same")


def _apart(scale: str, levels: Floats, each: Floats) -> Floats:
    """δ² (folds, C, C) or (C, C); the ordinal one depends on how often each value was given."""
    if scale == "nominal":
        return (levels[:, None] != levels[None]).astype(np.float64)
    if scale == "interval":
        return (levels[:, None] - levels[None]) ** 2
    if scale != "ordinal":
        raise ConfigError(f"scale {scale!r}; expected nominal, ordinal or interval.")
    middle = np.cumsum(each, 1) - each / 2  # a value's mean rank: the sum from c to k less half of both ends
    return (middle[:, :, None] - middle[:, None, :]) ** 2
