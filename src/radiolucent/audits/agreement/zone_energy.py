"""How a method's maps spread over the six lung zones, beside the zones' share of the film."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.agreement.markings import to_model
from radiolucent.images.preprocess import coverage_to_model
from radiolucent.metrics.resample import cluster_means
from radiolucent.segment.sides import two_lungs
from radiolucent.types import Estimate, Explanation

__all__ = ["LUNG_ZONES", "ZoneEnergy", "lung_zones", "zone_energy", "zone_name"]

Mask = NDArray[np.bool_]
LUNG_ZONES = tuple(f"image_{side}_{height}" for side in ("left", "right") for height in ("upper", "middle", "lower"))
"""The zones by the side of the image on which the film shows them, from top to bottom."""


def zone_name(zone: str) -> str:
    """A zone in words.

    >>> zone_name("image_left_upper")
    "upper zone at the image's left"
    """
    _, side, height = zone.split("_")
    return f"{height} zone at the image's {side}"


@dataclass(frozen=True)
class ZoneEnergy:
    """Energy of one method's maps by lung zone.

    Attributes:
        method: of the maps.
        energy: by zone, and "outside" the lungs: mean share of the map's positive part that lies there, by patient.
        area: likewise, the share of the film that the zone covers: what a uniform map would have.
        films: films that count. unsure: (image_id, reason) of films without sure lungs, which do not.
        mirrored: films whose header says that they are mirrored: there the image's left is the patient's left.
    """

    method: str
    energy: Mapping[str, Estimate]
    area: Mapping[str, Estimate]
    films: int
    unsure: tuple[tuple[str, str], ...]
    mirrored: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        return {
            "energy": {zone: e.as_dict() for zone, e in self.energy.items()},
            "area": {zone: e.as_dict() for zone, e in self.area.items()},
            "films": self.films,
            "sides": "of the image; the image's left is the patient's right unless the film is mirrored",
            "unsure": [{"image": name, "reason": reason} for name, reason in self.unsure],
            "mirrored": list(self.mirrored),
        }


def lung_zones(lungs: Mask) -> dict[str, Mask] | None:
    """Masks (H, W) of the six zones: thirds in height of both lungs' extent; None where they are not sure to be two."""
    sides = two_lungs(lungs)
    if sides is None:
        return None
    rows = np.flatnonzero((sides[0] | sides[1]).any(1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    third = np.clip(((np.arange(len(lungs)) + 0.5 - top) / (bottom - top) * 3).astype(int), 0, 2)
    return {
        f"image_{side}_{height}": mask & (third == k)[:, None]
        for side, mask in zip(("left", "right"), sides, strict=True)
        for k, height in enumerate(("upper", "middle", "lower"))
    }


def zone_energy(
    explanations: Sequence[Explanation],
    lungs: Mapping[str, Mask | None],
    *,
    reasons: Mapping[str, str] | None = None,
    mirrored: Sequence[str] = (),
    patients: Mapping[str, str] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> ZoneEnergy:
    """Sum one method's maps over six lung zones, film by film.

    Args:
        explanations: of one method. lungs: masks (H, W) by image_id in the films' own pixels; None, or missing: not
            known. reasons: why a film's lungs are not known.
        mirrored: films that are mirrored. patients: patient of each image_id; each film its own unless given.
        level, folds, seed: of the bootstrap over patients.

    Nothing is guessed: films without sure lungs, and maps that point nowhere, are listed and do not count.
    """
    rows: list[list[float]] = []
    groups: list[str] = []
    unsure: list[tuple[str, str]] = []
    names = (*LUNG_ZONES, "outside")
    for e in explanations:
        mask = lungs.get(e.image_id)
        zones = None if mask is None or not mask.any() else lung_zones(mask)
        if zones is None:
            unsure.append((e.image_id, (reasons or {}).get(e.image_id, "lungs not known, or not sure to be two")))
            continue
        film = to_model(np.ones(e.geometry.source_shape, bool), e.geometry)
        positive = np.where(film, np.clip(e.map, 0, None), 0.0)
        total = float(positive.sum())
        if total <= 0:
            unsure.append((e.image_id, "the map points nowhere"))
            continue
        inside = to_model(np.any(list(zones.values()), axis=0), e.geometry) & film
        owner = np.argmax([coverage_to_model(m, e.geometry) for m in zones.values()], axis=0)
        seen = [inside & (owner == k) for k in range(len(zones))]  # no pixel counts for two zones
        shares = [float(positive[m].sum()) / total for m in seen]
        areas = [float(m.sum()) / float(film.sum()) for m in seen]
        rows.append([*shares, 1 - sum(shares), *areas, 1 - sum(areas)])
        groups.append((patients or {}).get(e.image_id, e.image_id))
    table = np.array(rows, np.float64).reshape(len(rows), 2 * len(names))
    found = cluster_means(table, groups, level=level, folds=folds, seed=seed)
    energy, area = (dict(zip(names, part, strict=True)) for part in (found[: len(names)], found[len(names) :]))
    known = {e.image_id for e in explanations}
    said = tuple(name for name in mirrored if name in known)
    return ZoneEnergy(explanations[0].method if explanations else "", energy, area, len(rows), tuple(unsure), said)
