"""How maps agree with doctors' markings, beside what a map that says nothing, chance and other doctors reach.

Everything is compared in the model's frame: regions are brought there by area coverage, so that a map is never credited
with detail it does not have, and a reader is measured on the same grid as a map.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radiolucent import metrics
from radiolucent.errors import AnnotationError
from radiolucent.images import coverage_to_model, region_mask
from radiolucent.types import Annotation, Estimate, Explanation, Geometry

__all__ = ["FIGURES", "Agreement", "CaseAgreement", "agreement", "agreements", "consensus"]

THRESHOLDS = (0.3, 0.5, 0.7)
RANDOM_MAPS = 20
Mask = NDArray[np.bool_]

FIGURES: Mapping[str, str] = {
    "hit_rate": "the map's strongest point lies in the marking",
    "area": "share of the film the marking covers: the hit rate and energy of a map that says nothing",
    "random_hit_rate": "hit rate of smooth random maps",
    "reader_hit_rate": "the middle of one reader's marking lies in that of the others",
    "hit_minus_area": "hit rate minus area, on the same films",
    "hit_minus_random": "hit rate minus that of random maps, on the same films",
    "hit_minus_reader": "hit rate minus that of the readers, on films that several of them marked",
    "energy_in_region": "share of the map's positive part that lies in the marking",
    "random_energy": "the same for random maps",
    "energy_minus_area": "energy in the marking minus area, on the same films",
    "energy_over_area": "energy in the marking over area: mean of the films' ratios",
    "iou_at_area": "overlap (IoU) of the marking and the map's strongest pixels, as many as the marking has",
    "random_iou_at_area": "the same for random maps",
    "iou_minus_random": "that overlap minus the one of random maps, on the same films",
    "reader_iou": "overlap (IoU) of one reader's marking and that of the others",
    "iou_30": "overlap (IoU) with the pixels above 0.3 of the map's maximum",
    "iou_50": "overlap (IoU) with the pixels above 0.5 of the map's maximum",
    "iou_70": "overlap (IoU) with the pixels above 0.7 of the map's maximum",
    "auprc": "average precision of the map as a detector of the marking's pixels; by chance it is the area",
}


@dataclass(frozen=True)
class CaseAgreement:
    """One film: figures by name (see `FIGURES`), None where not applicable; `reason` says why there are none at all."""

    image_id: str
    patient_id: str
    figures: Mapping[str, float | None]
    reason: str = ""


@dataclass(frozen=True)
class Agreement:
    """Agreement of one method with one reading of each film.

    Attributes:
        method: of the explanations.
        reader: "consensus", "union", or a reader's name.
        readers: names of all whose markings were used.
        estimates: for every name in `FIGURES`, its mean over the films it applies to, with a patient-bootstrap
            interval.
        cases: film by film, in the order of the explanations.
        not_applicable: films that have nothing to compare, by reason.
    """

    method: str
    reader: str
    readers: tuple[str, ...]
    estimates: Mapping[str, Estimate]
    cases: tuple[CaseAgreement, ...]
    not_applicable: Mapping[str, int]

    @property
    def films(self) -> int:
        """Films that were compared."""
        return sum(not c.reason for c in self.cases)

    @property
    def clear_of_area(self) -> bool | None:
        """Whether the hit rate's interval is clear of the area baseline; None where there is no interval."""
        low = self.estimates["hit_minus_area"].low
        return None if low is None else low > 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        return {
            "method": self.method,
            "reader": self.reader,
            "reader_names": list(self.readers),
            "films": self.films,
            "clear_of_area": self.clear_of_area,
            **{name: e.as_dict() for name, e in self.estimates.items()},
            "not_applicable": dict(self.not_applicable),
        }


def consensus(annotations: Sequence[Annotation], shape: tuple[int, int]) -> Mask:
    """Pixels (H, W) marked by at least half of the readers of one film; a reader without a finding marks none.

    Of two readers, either counts; of three, two must agree. Several annotations by one reader are one reading.
    """
    return _vote(list(_by_reader(annotations, shape).values()), shape)


def _vote(readings: Sequence[Mask], shape: tuple[int, int]) -> Mask:
    votes = np.sum(readings, axis=0) if readings else np.zeros(shape, int)
    return (votes > 0) & (votes * 2 >= len(readings))


def agreements(
    explanations: Sequence[Explanation], annotations: Sequence[Annotation], **options: Any
) -> tuple[Agreement, ...]:
    """`agreement` with the consensus and, where several readers read these films, with the union and each of them."""
    read = {e.image_id for e in explanations}
    names = sorted({a.reader for a in annotations if a.image_id in read})
    return tuple(
        agreement(explanations, annotations, reader=reader, **options)
        for reader in ("consensus", *(("union", *names) if len(names) > 1 else ()))
    )


def agreement(
    explanations: Explanation | Sequence[Explanation],
    annotations: Annotation | Sequence[Annotation],
    *,
    reader: str = "consensus",
    patients: Mapping[str, str] | None = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Agreement:
    """Compare maps with markings, film by film, and against what costs no looking.

    Hit rate: the map's maximum lies in the marking (pointing game, Zhang 2018). Energy: share of the map's positive
    part in the marking (Wang 2020). IoU: marking against {map ≥ 0.3, 0.5, 0.7 of its maximum}, and against the map's
    strongest pixels, as many as the marking has. AUPRC: the map's values as a detector of marked pixels (Arun 2021).
    Baselines on the same films: the area (a uniform map), `RANDOM_MAPS` smooth random maps a film, and, the ceiling,
    each reader against the others. All are named in `FIGURES`.

    Args:
        explanations: of one method, one a film.
        annotations: of any readers and films; matched by image_id.
        reader: whose markings: a reader's name; "consensus", pixels marked by at least half of a film's readers; or
            "union", by any.
        patients: patient of each image_id, for the clustered bootstrap; each film its own unless given.
        seed: of the bootstrap and, with the image_id, of a film's random maps.

    Films without a finding, markings the model cannot see (cropped away), and maps that point nowhere are "not
    applicable": counted, never a hit or a miss.

    Raises:
        AnnotationError: several methods mixed, a film explained twice, a marking drawn on an image of another size, or
            no annotation belongs to any explanation.
    """
    maps = [explanations] if isinstance(explanations, Explanation) else list(explanations)
    said = [annotations] if isinstance(annotations, Annotation) else list(annotations)
    _check(maps)
    read: dict[str, list[Annotation]] = defaultdict(list)
    for a in said:
        read[a.image_id].append(a)
    own = {a.image_id for a in said if reader in ("consensus", "union", a.reader)}
    if not any(e.image_id in own for e in maps):
        raise AnnotationError(
            f"no annotation{'' if reader in ('consensus', 'union') else f' by {reader!r}'} belongs to the {len(maps)} "
            f"explained films; ids look like {maps[0].image_id!r}, annotated ones like {next(iter(own), 'none')!r}."
        )
    known = patients or {}
    cases = [_case(e, read.get(e.image_id, []), reader, known.get(e.image_id, e.image_id), seed) for e in maps]
    used = [c for c in cases if not c.reason]
    estimates = {name: _mean(name, used, level=level, folds=folds, seed=seed) for name in FIGURES}
    names = {a.reader for e in maps for a in read.get(e.image_id, []) if reader in ("consensus", "union", a.reader)}
    reasons = Counter(c.reason for c in cases if c.reason)
    return Agreement(maps[0].method, reader, tuple(sorted(names)), estimates, tuple(cases), dict(reasons))


def _check(maps: Sequence[Explanation]) -> None:
    methods = {e.method for e in maps}
    if len(methods) != 1:
        raise AnnotationError(f"agreement compares one method at a time; got {sorted(methods) or 'no explanation'}.")
    twice = [name for name, count in Counter(e.image_id for e in maps).items() if count > 1]
    if twice:
        raise AnnotationError(f"{twice[0]}: explained more than once; expected one explanation a film.")


def _mean(name: str, cases: Sequence[CaseAgreement], *, level: float, folds: int, seed: int) -> Estimate:
    values = [c.figures[name] for c in cases]
    numbers = np.array([np.nan if v is None else v for v in values], np.float64)
    groups = [c.patient_id for c in cases]
    return metrics.cluster_bootstrap_mean(numbers, groups, level=level, folds=folds, seed=seed)


def _case(e: Explanation, readings: Sequence[Annotation], reader: str, patient: str, seed: int) -> CaseAgreement:
    def without(reason: str) -> CaseAgreement:
        return CaseAgreement(e.image_id, patient, {}, reason)

    shape = e.geometry.source_shape
    masks = _by_reader(readings, shape)
    chosen = list(masks.values()) if reader in ("consensus", "union") else [masks[reader]] if reader in masks else []
    if not chosen:
        return without("not read")
    if not any(mask.any() for mask in chosen):
        return without("no finding marked")
    marked = np.logical_or.reduce(chosen) if reader == "union" else _vote(chosen, shape)
    if not marked.any():
        return without("readers do not agree")
    region = _to_model(marked, e.geometry)
    if not region.any():
        return without("marking outside the model's view")
    hit = metrics.pointing_game(e.map, region)
    if hit is None:
        return without("map points nowhere")
    film = _to_model(np.ones(shape, bool), e.geometry)
    rng = np.random.default_rng([seed, zlib.crc32(e.image_id.encode())])
    figures = _figures(e.map, region, film) | _random(region, film, rng) | _readers(masks, e.geometry)
    return CaseAgreement(e.image_id, patient, {name: figures[name] for name in FIGURES} | _differences(figures))


def _differences(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    def minus(a: str, b: str) -> float | None:
        one, other = figures[a], figures[b]
        return None if one is None or other is None else one - other

    energy, area = figures["energy_in_region"], figures["area"]
    return {
        "hit_minus_area": minus("hit_rate", "area"),
        "hit_minus_random": minus("hit_rate", "random_hit_rate"),
        "hit_minus_reader": minus("hit_rate", "reader_hit_rate"),
        "energy_minus_area": minus("energy_in_region", "area"),
        "energy_over_area": None if energy is None or not area else energy / area,
        "iou_minus_random": minus("iou_at_area", "random_iou_at_area"),
    }


def _to_model(mask: Mask, geometry: Geometry) -> Mask:
    """Model pixels at least half covered; for a region smaller than a pixel, the one it covers most."""
    cover = coverage_to_model(mask, geometry)
    half = cover >= 0.5 - 1e-6
    return half if half.any() or not cover.any() else cover == cover.max()


def _figures(values: NDArray[np.float32], region: Mask, film: Mask) -> dict[str, float | None]:
    """Of one map; the area is the share of the film, not of its padding, so that padding lowers no baseline."""
    found: dict[str, float | None] = dict.fromkeys(FIGURES)
    found |= {
        "hit_rate": metrics.pointing_game(values, region),
        "energy_in_region": metrics.energy_in_region(values, region),
        "iou_at_area": metrics.iou_at_area(values, region),
        "auprc": metrics.map_auprc(values, region),
        "area": float(region.sum() / (film | region).sum()),
    }
    return found | {f"iou_{round(t * 100)}": metrics.iou(values, region, t) for t in THRESHOLDS}


def _random(region: Mask, film: Mask, rng: np.random.Generator) -> dict[str, float | None]:
    """What smooth random maps on the film reach: means over `RANDOM_MAPS` draws of the measures in `metrics`."""
    shape = (region.shape[0], region.shape[1])
    seen = film | region
    maps = np.stack([metrics.random_map(shape, rng)[seen] for _ in range(RANDOM_MAPS)])
    inside, area = region[seen], int(region.sum())
    top = maps >= np.partition(maps, maps.shape[1] - area, axis=1)[:, maps.shape[1] - area][:, None]
    shared = (top & inside).sum(1)
    return {
        "random_hit_rate": float(inside[maps.argmax(1)].mean()),
        "random_energy": float((maps[:, inside].sum(1) / maps.sum(1)).mean()),
        "random_iou_at_area": float((shared / (top.sum(1) + area - shared)).mean()),
    }


def _by_reader(annotations: Iterable[Annotation], shape: tuple[int, int]) -> dict[str, Mask]:
    """Each reader's marking (H, W), all their annotations of the film together."""
    found: dict[str, Mask] = {}
    for a in annotations:
        if a.regions and a.image_shape is not None and tuple(a.image_shape) != tuple(shape):
            raise AnnotationError(
                f"{a.image_id}: {a.reader} marked an image of {a.image_shape[1]} × {a.image_shape[0]} pixels, but the "
                f"film has {shape[1]} × {shape[0]}; bring the regions to the film's own pixels."
            )
        found[a.reader] = found.get(a.reader, np.zeros(shape, bool)) | region_mask(a, shape)
    return found


def _readers(masks: Mapping[str, Mask], geometry: Geometry) -> dict[str, float | None]:
    """Each reader who marked something against the consensus of the others: the ceiling for a map.

    A reader's point is the deepest inside their marking, as the pointing game asks for one point.
    """
    hits: list[float] = []
    overlaps: list[float] = []
    for name, own in masks.items():
        mine = _to_model(own, geometry)
        others = [mask for reader, mask in masks.items() if reader != name]
        theirs = _to_model(_vote(others, geometry.source_shape), geometry)
        if not mine.any() or not theirs.any():
            continue
        depth = np.asarray(ndimage.distance_transform_edt(np.pad(mine, 1)))[1:-1, 1:-1]
        hits.append(float(theirs.flat[int(depth.argmax())]))
        overlaps.append(float((mine & theirs).sum() / (mine | theirs).sum()))
    return {
        "reader_hit_rate": float(np.mean(hits)) if hits else None,
        "reader_iou": float(np.mean(overlaps)) if overlaps else None,
    }
