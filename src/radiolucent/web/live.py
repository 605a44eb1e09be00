"""A reader's own marks against one map, while they move the threshold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent import metrics
from radiolucent.audits.agreement.markings import to_model
from radiolucent.figures import display_map
from radiolucent.images import region_mask
from radiolucent.readers.store_export import as_annotation
from radiolucent.readers.store_values import UNASSESSED, Case, Reading
from radiolucent.types import Explanation
from radiolucent.web.payload import encloses

__all__ = ["LEVELS", "live_agreement", "map_header", "map_levels"]

LEVELS = 32767


def live_agreement(case: Case, reading: Reading, found: Explanation, threshold: float) -> dict[str, Any]:
    """Hit, energy, area, and IoU and Dice at a threshold (a share of the map's maximum), in the model's frame.

    All None, with the reason, where there is nothing to compare: no marks, or a map that points nowhere.
    """
    figures: dict[str, Any] = dict.fromkeys(("hit", "energy", "area", "iou", "dice", "share"))
    if reading.label == UNASSESSED:
        return figures | {"reason": "not applicable: you could not assess this film"}
    if not reading.marks:
        return figures | {"reason": "not applicable: you marked nothing"}
    if not all(map(encloses, reading.marks)):
        return figures | {"reason": "not applicable: one of your outlines encloses nothing"}
    region = to_model(region_mask(as_annotation(case, "", reading), case.shape), found.geometry)
    if not region.any():
        return figures | {"reason": "not applicable: the model does not see the marked place"}
    hit = metrics.pointing_game(found.map, region)
    if hit is None:
        return figures | {"reason": "not applicable: this map points nowhere"}
    seen = to_model(np.ones(case.shape, bool), found.geometry)
    over = found.map >= threshold * float(found.map.max())
    return {
        "hit": hit,
        "energy": metrics.energy_in_region(found.map, region),
        "area": float(region.sum() / (seen | region).sum()),
        "iou": metrics.iou(found.map, region, threshold),
        "dice": metrics.dice(found.map, region, threshold),
        "share": float((over & seen).sum() / seen.sum()),
        "reason": "",
    }


def map_levels(found: Explanation) -> bytes:
    """The raw map as int16 little endian, row by row: 32767 is the largest absolute value."""
    return _levels(found.map).astype("<i2").tobytes()


def _levels(values: NDArray[np.float32]) -> NDArray[np.float64]:
    top = float(np.abs(values).max())
    return np.rint(values * (LEVELS / top)) if top > 0 else np.zeros(values.shape)


def map_header(found: Explanation) -> dict[str, Any]:
    """How to lay the map on the film.

    `peak`: its maximum, the threshold's unit, in levels; `full`: the level shown in full colour (`display_map`'s rule);
    `place`: left, top, right, bottom of the map in source pixels.
    """
    rows, columns = found.map.shape
    left, top = found.geometry.to_source(np.array([[0.0, 0.0]]))[0]
    right, bottom = found.geometry.to_source(np.array([found.geometry.model_shape[::-1]], float))[0]
    shown, levels = display_map(found.map), _levels(found.map)
    inner = np.abs(shown) < 1
    ratio = np.abs(levels[inner & (shown != 0)] / shown[inner & (shown != 0)])
    return {
        "width": columns,
        "height": rows,
        "place": [float(left), float(top), float(right), float(bottom)],
        "peak": max(float(levels.max()), 0.0),
        "full": float(np.median(ratio)) if ratio.size else float(LEVELS),
        "target": found.target_name,
        "method": found.method,
    }
