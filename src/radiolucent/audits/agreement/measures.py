"""One film: how a map lies on a marking, what random maps get there, and what other readers do."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from radiolucent import metrics
from radiolucent.audits.agreement.markings import Mask, to_model, vote
from radiolucent.audits.agreement.zones import rank_correlation, zone_masks
from radiolucent.errors import ConfigError
from radiolucent.types import Geometry

__all__ = [
    "FIGURES",
    "RANDOM_MAPS",
    "THRESHOLDS",
    "check_thresholds",
    "differences",
    "figure_names",
    "map_figures",
    "meaning",
    "random_figures",
    "reader_figures",
    "zone_figures",
]

THRESHOLDS = (0.3, 0.5, 0.7)
RANDOM_MAPS = 20

FIGURES: Mapping[str, str] = {
    "hit_rate": "the map's strongest point lies in the marking",
    "area": "share of the film the marking covers: the hit rate and energy of a map that says nothing",
    "random_hit_rate": "hit rate of smooth random maps",
    "reader_hit_rate": "the middle of one reader's marking lies in that of the others",
    "left_out_hit_rate": "hit rate of the map in the same markings of the others, reader by reader left out",
    "other_hit_rate": "hit rate of the same method's maps of other patients' films, laid on this film's marking",
    "marking_hit_rate": "hit rate of the mean of the other patients' markings: where findings often lie",
    "hit_minus_other": "hit rate minus that of other patients' maps, on the same films",
    "hit_minus_area": "hit rate minus area, on the same films",
    "hit_minus_random": "hit rate minus that of random maps, on the same films",
    "hit_minus_reader": "hit rate of the map minus that of the reader left out, both against the others' marking",
    "energy_in_region": "share of the map's positive part that lies in the marking",
    "random_energy": "the same for random maps",
    "other_energy": "the same for the same method's maps of other patients' films",
    "marking_energy": "the same for the mean of the other patients' markings",
    "energy_minus_other": "energy in the marking minus that of other patients' maps, on the same films",
    "reader_energy": "share of one reader's marking that lies in that of the others",
    "energy_minus_area": "energy in the marking minus area, on the same films",
    "energy_over_area": "energy in the marking over area: mean of the films' ratios",
    "iou_at_area": "overlap (IoU) of the marking and the map's strongest pixels, as many as the marking has",
    "random_iou_at_area": "the same for random maps",
    "other_iou_at_area": "the same for the same method's maps of other patients' films",
    "iou_minus_other": "overlap minus that of other patients' maps, on the same films",
    "iou_minus_random": "that overlap minus the one of random maps, on the same films",
    "reader_iou": "overlap (IoU) of one reader's marking and that of the others",
    "left_out_iou_at_area": "overlap of the map's strongest pixels and the same markings of the others",
    "iou_minus_reader": "overlap of the map minus that of the reader left out, both against the others' marking",
    "reader_dice": "Dice coefficient of one reader's marking and that of the others",
    "auprc": "average precision of the map as a detector of the marking's pixels; by chance it is the area",
    "zone_correlation": "rank correlation over six lung zones of the map's mean and the marked share or severity score",
    "reader_zone_correlation": "the same of one reader and the mean of the others",
}


def meaning(name: str) -> str:
    """What a figure is, in words; also of thresholds that only one comparison used.

    >>> meaning("iou_tuned")
    'overlap (IoU) with the pixels above the share of the maximum that was best on validation films'
    """
    if name in FIGURES:
        return FIGURES[name]
    kind, _, cut = name.partition("_")
    words = {"iou": "overlap (IoU)", "dice": "Dice coefficient"}[kind]
    if cut == "otsu":
        return f"{words} with the pixels above Otsu's threshold of the map"
    if cut == "tuned":
        return f"{words} with the pixels above the share of the maximum that was best on validation films"
    return f"{words} with the pixels above {int(cut) / 100:g} of the map's maximum"


def check_thresholds(thresholds: Sequence[float]) -> None:
    """Whether figures can be named by these shares of a map's maximum.

    Raises:
        ConfigError: one twice, one outside (0, 1], or one between hundredths.
    """
    cuts = {round(t * 100) for t in thresholds if 0 < t <= 1 and abs(t * 100 - round(t * 100)) < 1e-9}
    if len(cuts) < len(thresholds):
        raise ConfigError(
            f"thresholds {', '.join(f'{t:g}' for t in thresholds)}; expected different shares in (0, 1], in whole "
            "hundredths as figures are named by them (0.25: iou_25)."
        )


def figure_names(thresholds: Sequence[float], tuned: float | None) -> tuple[str, ...]:
    """All figures of a comparison, in reading order."""
    cuts = [*(str(round(t * 100)) for t in thresholds), "otsu", *(["tuned"] if tuned is not None else [])]
    return (*FIGURES, *(f"{kind}_{cut}" for kind in ("iou", "dice") for cut in cuts))


def map_figures(
    values: NDArray[np.float32], region: Mask, film: Mask, thresholds: Sequence[float], tuned: float | None
) -> dict[str, float | None]:
    """Of one map; the area is the share of the film, not of its padding, so that padding lowers no baseline."""
    found: dict[str, float | None] = {
        "hit_rate": metrics.pointing_game(values, region),
        "energy_in_region": metrics.energy_in_region(values, region),
        "iou_at_area": metrics.iou_at_area(values, region),
        "auprc": metrics.map_auprc(values, region),
        "area": float(region.sum() / (film | region).sum()),
    }
    cuts: dict[str, float | None] = {str(round(t * 100)): t for t in thresholds}
    cuts |= {"otsu": _otsu(values[film | region]), "tuned": tuned}
    for name, cut in cuts.items():
        found[f"iou_{name}"] = None if cut is None else metrics.iou(values, region, cut)
        found[f"dice_{name}"] = None if cut is None else metrics.dice(values, region, cut)
    return found


def _otsu(values: NDArray[np.float32]) -> float | None:
    """Otsu's threshold of the positive part as a share of the maximum (Otsu 1979); None where there is none."""
    positive = np.clip(values, 0, None)
    top = float(positive.max())
    if not np.isfinite(top) or top <= 0 or float(positive.min()) == top:
        return None
    return float(np.clip(threshold_otsu(positive / top), 1e-6, 1.0))


def random_figures(region: Mask, film: Mask, rng: np.random.Generator) -> dict[str, float | None]:
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


def reader_figures(
    masks: Mapping[str, Mask], geometry: Geometry, values: NDArray[np.float32]
) -> dict[str, float | None]:
    """Each reader who marked something against the consensus of the others, and the map against the same: the ceiling.

    A reader's point is the deepest inside their marking, as the pointing game asks for one point.
    """
    from scipy import ndimage

    found: dict[str, list[float]] = {}
    for name, own in masks.items():
        mine = to_model(own, geometry)
        others = [mask for reader, mask in masks.items() if reader != name]
        theirs = to_model(vote(others, geometry.source_shape), geometry)
        if not mine.any() or not theirs.any():
            continue
        depth = np.asarray(ndimage.distance_transform_edt(np.pad(mine, 1)))[1:-1, 1:-1]
        shared = float((mine & theirs).sum())
        one = {
            "reader_hit_rate": float(theirs.flat[int(depth.argmax())]),
            "reader_energy": shared / float(mine.sum()),
            "reader_iou": shared / float((mine | theirs).sum()),
            "reader_dice": 2 * shared / float(mine.sum() + theirs.sum()),
            "left_out_hit_rate": metrics.pointing_game(values, theirs),
            "left_out_iou_at_area": metrics.iou_at_area(values, theirs),
        }
        for key, value in one.items():
            if value is not None:
                found.setdefault(key, []).append(value)
    return {key: float(np.mean(all_of)) for key, all_of in found.items()}


def zone_figures(
    values: NDArray[np.float32],
    marked: Mask,
    scores: Mapping[str, float],
    by_reader: Mapping[str, Mapping[str, float]],
    geometry: Geometry,
    lungs: Mask | None,
) -> dict[str, float | None]:
    """Zone by zone: the map's mean positive part against severity scores, or else the marked share of the zone."""
    zones = zone_masks(geometry.source_shape, lungs)
    views = {name: to_model(mask, geometry) for name, mask in zones.items()}
    positive = np.clip(values, 0, None)
    means = {name: float(positive[view].mean()) for name, view in views.items() if view.any()}
    shares = {name: float(marked[mask].mean()) for name, mask in zones.items() if mask.any()}
    between: list[float] = []
    for name, own in by_reader.items():
        others = [s for reader, s in by_reader.items() if reader != name]
        mean = {z: float(np.mean([s[z] for s in others if z in s])) for z in own if any(z in s for s in others)}
        if (found := rank_correlation(own, mean)) is not None:
            between.append(found)
    return {
        "zone_correlation": rank_correlation(means, scores or shares),
        "reader_zone_correlation": float(np.mean(between)) if between else None,
    }


def differences(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """Figures less their baselines and ceilings, film by film."""

    def minus(a: str, b: str) -> float | None:
        one, other = figures.get(a), figures.get(b)
        return None if one is None or other is None else one - other

    energy, area = figures.get("energy_in_region"), figures.get("area")
    return {
        "hit_minus_other": minus("hit_rate", "other_hit_rate"),
        "energy_minus_other": minus("energy_in_region", "other_energy"),
        "iou_minus_other": minus("iou_at_area", "other_iou_at_area"),
        "hit_minus_area": minus("hit_rate", "area"),
        "hit_minus_random": minus("hit_rate", "random_hit_rate"),
        "hit_minus_reader": minus("left_out_hit_rate", "reader_hit_rate"),
        "energy_minus_area": minus("energy_in_region", "area"),
        "energy_over_area": None if energy is None or not area else energy / area,
        "iou_minus_random": minus("iou_at_area", "random_iou_at_area"),
        "iou_minus_reader": minus("left_out_iou_at_area", "reader_iou"),
    }
