"""How maps agree with doctors' markings, beside what a map that says nothing, chance and other doctors reach.

Maps and regions are compared in the model's frame: regions are brought there by area coverage, so that a map is never
credited with detail it does not have.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent import metrics
from radiolucent.errors import AnnotationError
from radiolucent.images import coverage_to_model, region_mask
from radiolucent.types import Annotation, Estimate, Explanation, Geometry

__all__ = ["Agreement", "CaseAgreement", "agreement", "consensus"]

THRESHOLDS = (0.3, 0.5, 0.7)
RANDOM_MAPS = 20
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CaseAgreement:
    """One film: figures by name, None where not applicable; `reason` says why there are none at all."""

    image_id: str
    patient_id: str
    figures: Mapping[str, float | None]
    reason: str = ""


@dataclass(frozen=True)
class Agreement:
    """Agreement of one method with one reading of each film.

    Attributes:
        method: of the explanations. reader: "consensus", or a reader's name.
        estimates: means over the films where they apply, with patient-bootstrap intervals: hit_rate, energy_in_region,
            energy_over_area (ratio of means is not taken: mean of ratios), iou_30, iou_50, iou_70, iou_at_area,
            auprc; the area baseline (area), chance (random_hit_rate, random_energy, random_iou_at_area), the paired
            differences hit_minus_area and hit_minus_random, energy_minus_area; and, with several readers,
            reader_hit_rate and reader_iou (each reader against the majority of the others).
        cases: film by film. not_applicable: films without a region to compare with, by reason.
    """

    method: str
    reader: str
    estimates: Mapping[str, Estimate]
    cases: tuple[CaseAgreement, ...]
    not_applicable: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        return {
            "method": self.method,
            "reader": self.reader,
            **{name: e.as_dict() for name, e in self.estimates.items()},
            "not_applicable": dict(self.not_applicable),
        }


def consensus(annotations: Sequence[Annotation], shape: tuple[int, int]) -> Mask:
    """Pixels (H, W) that at least half of the readers of one film marked; a reading without finding marks none."""
    if not annotations:
        return np.zeros(shape, bool)
    votes = np.sum([region_mask(a, shape) for a in annotations], axis=0)
    return votes * 2 >= len(annotations) if votes.max() else np.zeros(shape, bool)


def agreement(
    explanations: Explanation | Sequence[Explanation],
    annotations: Annotation | Sequence[Annotation],
    *,
    reader: str | Literal["consensus"] = "consensus",
    patients: Mapping[str, str] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Agreement:
    """Compare maps with markings.

    Hit rate: does the map's maximum lie in the region (pointing game, Zhang 2018). Energy: share of the map's positive
    part in the region. IoU: region against {map ≥ 0.3, 0.5, 0.7 of its maximum} and against the map's top pixels of the
    region's area. AUPRC: the map's values as a detector of region pixels. A uniform map's hit rate and energy are the
    region's share of the film ("area").

    Args:
        explanations: of one method, one a film.
        annotations: of any readers and films; matched by image_id.
        reader: whose markings; "consensus" takes pixels marked by at least half of a film's readers.
        patients: patient of each image_id, for the clustered bootstrap; each film its own unless given.

    Films without a finding, and maps that are constant, are "not applicable": counted, never a hit or a miss.

    Raises:
        AnnotationError: several methods mixed, or no annotation belongs to any explanation.
    """
    maps = [explanations] if isinstance(explanations, Explanation) else list(explanations)
    said = [annotations] if isinstance(annotations, Annotation) else list(annotations)
    methods = {e.method for e in maps}
    if len(methods) != 1:
        raise AnnotationError(f"agreement compares one method at a time; got {sorted(methods) or 'no explanation'}.")
    by_image: dict[str, list[Annotation]] = defaultdict(list)
    for a in said:
        if reader in ("consensus", a.reader):
            by_image[a.image_id].append(a)
    if not any(e.image_id in by_image for e in maps):
        raise AnnotationError(
            f"no annotation{'' if reader == 'consensus' else f' by {reader!r}'} belongs to the {len(maps)} explained "
            f"films; image ids look like {maps[0].image_id!r} and {next(iter(by_image), 'none')!r}."
        )
    rng = np.random.default_rng(seed)
    cases = [_case(e, by_image.get(e.image_id, []), (patients or {}).get(e.image_id, e.image_id), rng) for e in maps]
    used = [c for c in cases if not c.reason]
    names = list(dict.fromkeys(name for c in used for name in c.figures))
    groups = [c.patient_id for c in used]
    reasons: dict[str, int] = defaultdict(int)
    for c in cases:
        if c.reason:
            reasons[c.reason] += 1
    estimates = {n: _mean([c.figures.get(n) for c in used], groups, level, folds, seed) for n in names}
    return Agreement(methods.pop(), reader, estimates, tuple(cases), dict(reasons))


def _mean(values: Sequence[float | None], groups: Sequence[str], level: float, folds: int, seed: int) -> Estimate:
    kept = [(v, g) for v, g in zip(values, groups, strict=True) if v is not None]
    return metrics.cluster_bootstrap_mean(
        [v for v, _ in kept], [g for _, g in kept], level=level, folds=folds, seed=seed
    )


def _case(e: Explanation, readings: Sequence[Annotation], patient: str, rng: np.random.Generator) -> CaseAgreement:
    if not readings:
        return CaseAgreement(e.image_id, patient, {}, "not read")
    region = _to_model(consensus(readings, e.geometry.source_shape), e.geometry)
    if not region.any():
        return CaseAgreement(e.image_id, patient, {}, "no finding marked")
    hit = metrics.pointing_game(e.map, region)
    if hit is None:
        return CaseAgreement(e.image_id, patient, {}, "map is constant")
    figures = _figures(e.map, region) | _baselines(region, rng) | _readers(readings, e.geometry)
    area, energy, chance = figures["area"], figures["energy_in_region"], figures["random_hit_rate"]
    assert area is not None and chance is not None
    figures["hit_minus_area"], figures["hit_minus_random"] = hit - area, hit - chance
    figures["energy_minus_area"] = None if energy is None else energy - area
    figures["energy_over_area"] = None if energy is None else energy / area
    return CaseAgreement(e.image_id, patient, figures)


def _to_model(mask: Mask, geometry: Geometry) -> Mask:
    """Model pixels at least half covered; for a region smaller than a pixel, the one it covers most."""
    cover = coverage_to_model(mask, geometry)
    half = cover >= 0.5
    return half if half.any() or not cover.any() else cover == cover.max()


def _figures(values: NDArray[np.float32], region: Mask) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        "hit_rate": metrics.pointing_game(values, region),
        "energy_in_region": metrics.energy_in_region(values, region),
        "iou_at_area": metrics.iou_at_area(values, region),
        "auprc": metrics.map_auprc(values, region),
        "area": metrics.area_fraction(region),
    }
    return found | {f"iou_{round(t * 100)}": metrics.iou(values, region, t) for t in THRESHOLDS}


def _baselines(region: Mask, rng: np.random.Generator) -> dict[str, float | None]:
    """What smooth random maps reach on the same region: means of `RANDOM_MAPS` draws."""
    shape = (region.shape[0], region.shape[1])
    maps = [metrics.random_map(shape, rng) for _ in range(RANDOM_MAPS)]
    measures = {
        "random_hit_rate": metrics.pointing_game,
        "random_energy": metrics.energy_in_region,
        "random_iou_at_area": metrics.iou_at_area,
    }
    return {name: float(np.mean([measure(m, region) or 0.0 for m in maps])) for name, measure in measures.items()}


def _readers(readings: Sequence[Annotation], geometry: Geometry) -> dict[str, float | None]:
    """Each reader who marked something against the majority of the others: centre inside, and IoU. The ceiling."""
    if len(readings) < 2:
        return {}
    hits: list[float] = []
    overlaps: list[float] = []
    for i, one in enumerate(readings):
        others = [a for j, a in enumerate(readings) if j != i]
        mine, theirs = region_mask(one, geometry.source_shape), consensus(others, geometry.source_shape)
        if not mine.any() or not theirs.any():
            continue
        rows, columns = np.nonzero(mine)
        middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        hits.append(float(theirs[rows[middle], columns[middle]]))
        overlaps.append(float((mine & theirs).sum() / (mine | theirs).sum()))
    if not hits:
        return {"reader_hit_rate": None, "reader_iou": None}
    return {"reader_hit_rate": float(np.mean(hits)), "reader_iou": float(np.mean(overlaps))}
