"""The main agreement figures by groups of films: class, right and wrong decisions, size of the marking."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from radiolucent.audits.agreement.estimates import mean_estimates
from radiolucent.types import Estimate

__all__ = ["STRATA_FIGURES", "Strata", "strata"]

Strata = Mapping[str, Mapping[str, Mapping[str, Estimate]]]
STRATA_FIGURES = ("hit_rate", "area", "hit_minus_area", "energy_in_region", "iou_at_area", "reader_hit_rate")
_SIZES = ("small", "middle", "large")


class Compared(Protocol):
    """A film and its figures."""

    @property
    def image_id(self) -> str: ...
    @property
    def patient_id(self) -> str: ...
    @property
    def figures(self) -> Mapping[str, float | None]: ...


def strata(
    cases: Sequence[Compared], by: Mapping[str, Mapping[str, str]], *, level: float, folds: int, seed: int
) -> Strata:
    """Means of `STRATA_FIGURES` in each group of each kind; "size" cuts the films into thirds by their marking's area.

    A film without a group of a kind counts in none. With fewer than three films there are no thirds.
    """
    kinds: dict[str, Mapping[str, str]] = {**by}
    areas = {c.image_id: c.figures["area"] for c in cases if c.figures.get("area") is not None}
    if len(areas) >= 3:
        kinds["size"] = _thirds(areas)
    found: dict[str, dict[str, dict[str, Estimate]]] = {}
    for kind, groups in kinds.items():
        for group in sorted({groups[c.image_id] for c in cases if c.image_id in groups}, key=_order):
            some = [c for c in cases if groups.get(c.image_id) == group]
            values = [[c.figures.get(name) for name in STRATA_FIGURES] for c in some]
            patients = [c.patient_id for c in some]
            estimates = mean_estimates(values, patients, names=STRATA_FIGURES, level=level, folds=folds, seed=seed)
            found.setdefault(kind, {})[group] = dict(zip(STRATA_FIGURES, estimates, strict=True))
    return found


def _order(group: str) -> tuple[int, str]:
    head = group.split()[0] if group else ""
    return (_SIZES.index(head) if head in _SIZES else len(_SIZES)), group


def _thirds(areas: Mapping[str, float | None]) -> dict[str, str]:
    """Small, middle and large markings, with the shares of the film they are cut at."""
    values = np.array([v for v in areas.values() if v is not None])
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    names = (f"small (< {100 * low:.1f} % of the film)", "middle", f"large (> {100 * high:.1f} % of the film)")
    return {k: names[int(v > low) + int(v > high)] for k, v in areas.items() if v is not None}
