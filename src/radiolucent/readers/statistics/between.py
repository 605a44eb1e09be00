"""Every coefficient of agreement that a table of readers and films allows."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.intervals import undefined
from radiolucent.readers.statistics.ac1 import gwet_ac1
from radiolucent.readers.statistics.alpha import krippendorff_alpha
from radiolucent.readers.statistics.kappa import cohen_kappa, fleiss_kappa
from radiolucent.readers.statistics.table import Table
from radiolucent.types import Estimate

__all__ = ["MANY", "between", "of_finding"]

MANY = 6  # readers up to whom every pair gets its own kappa


def between(
    table: Table, patients: Mapping[str, str], *, categories: Sequence[float] = (0.0, 1.0), folds: int, seed: int
) -> dict[str, Estimate]:
    """Agreement beyond chance on one set of categories, by name; empty for fewer than two readers.

    `krippendorff_alpha` and `gwet_ac1` over all readings; `fleiss_kappa`, of three readers and more, over films that
    all of them read; `cohen_kappa A – B` of each pair over films both read, up to six readers. Intervals resample
    patients.

    Args:
        table: codes of `categories`, not-a-number where not read. patients: patient by film; a film without is its own.
    """
    if len(table.readers) < 2:
        return {}
    options: dict[str, Any] = {"folds": folds, "seed": seed}
    by = [patients.get(f, f) for f in table.films]
    found = {
        "krippendorff_alpha": krippendorff_alpha(table.values, groups=by, **options),
        "gwet_ac1": gwet_ac1(table.values, categories=categories, groups=by, **options),
    }
    if len(table.readers) > 2:
        whole: NDArray[np.bool_] = np.isfinite(table.values).min(0)
        counts = np.stack([(table.values[:, whole] == c).sum(0) for c in categories], 1)
        found["fleiss_kappa"] = (
            fleiss_kappa(counts, groups=_kept(by, whole), **options)
            if whole.any()
            else undefined("no film was read by all of them", 0.95, 0, "bootstrap")
        )
    if len(table.readers) <= MANY:
        for a, b in combinations(range(len(table.readers)), 2):
            name = f"cohen_kappa {table.readers[a]} – {table.readers[b]}"
            found[name] = _pair(table.values[[a, b]], by, categories, options)
    return found


def of_finding(found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The same coefficients under the names they have where they compare findings, not diagnoses."""
    return {f"{name}{',' if ' ' in name else ''} finding": e for name, e in found.items()}


def _pair(
    ratings: NDArray[np.float64], by: Sequence[str], categories: Sequence[float], options: Mapping[str, Any]
) -> Estimate:
    both: NDArray[np.bool_] = np.isfinite(ratings).min(0)
    if not both.any():
        return undefined("no film was read by both", 0.95, 0, "bootstrap")
    first, second = ratings[:, both]
    return cohen_kappa(first, second, categories=categories, groups=_kept(by, both), **options)


def _kept(by: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    return [g for g, keep in zip(by, which, strict=True) if keep]
