"""How a map (H, W) lies on a marked region, bool (H, W). None where there is nothing to compare."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from radiolucent.errors import ConfigError

__all__ = ["area_fraction", "dice", "energy_in_region", "iou", "map_auprc", "pointing_game", "random_map"]

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def _usable(values: Map, region: Mask) -> bool:
    """False (not applicable) for an empty region, and for a map that is not finite or says nothing (constant)."""
    if values.shape != region.shape:
        raise ConfigError(f"map {values.shape} and region {region.shape}; expected the same shape and frame.")
    return bool(region.any()) and bool(np.isfinite(values).all()) and bool(np.ptp(values) > 0)


def area_fraction(region: Mask) -> float | None:
    """Share of the image that the region covers: the hit rate and energy of a map that says nothing."""
    return float(region.mean()) if region.any() else None


def pointing_game(values: Map, region: Mask) -> float | None:
    """1 if the map's maximum lies in the region, else 0 (Zhang 2018); among ties, the share that does.

    None for an empty region and for a constant or non-finite map: neither is a hit.

    >>> pointing_game(np.array([[0.0, 2.0]]), np.array([[False, True]]))
    1.0
    """
    if not _usable(values, region):
        return None
    return float(region[values == values.max()].mean())


def energy_in_region(values: Map, region: Mask) -> float | None:
    """Share of the map's positive part that lies in the region; None also where nothing is positive."""
    positive = np.clip(values, 0, None).astype(np.float64)
    if not _usable(values, region) or positive.sum() <= 0:
        return None
    return float(positive[region].sum() / positive.sum())


def _above(values: Map, threshold: float) -> Mask:
    return values >= threshold * values.max()


def iou(values: Map, region: Mask, threshold: float = 0.5) -> float | None:
    """Intersection over union of {map ≥ threshold · max} and the region; None where nothing is positive."""
    if not _usable(values, region) or values.max() <= 0:
        return None
    called = _above(values, threshold)
    return float((called & region).sum() / (called | region).sum())


def dice(values: Map, region: Mask, threshold: float = 0.5) -> float | None:
    """Dice coefficient of {map ≥ threshold · max} and the region."""
    found = iou(values, region, threshold)
    return None if found is None else 2 * found / (1 + found)


def map_auprc(values: Map, region: Mask) -> float | None:
    """Average precision of the map's values as a detector of the region's pixels (Arun 2021)."""
    if not _usable(values, region) or region.all():
        return None
    return float(average_precision_score(region.ravel(), values.ravel()))


def random_map(shape: tuple[int, int], rng: np.random.Generator, *, cells: int = 7) -> NDArray[np.float32]:
    """A smooth random map (H, W) in [0, 1]: uniform noise on cells × cells, interpolated as a feature map would be."""
    noise = rng.random((cells, cells)).astype(np.float32)
    rows = np.clip((np.arange(shape[0]) + 0.5) * cells / shape[0] - 0.5, 0, cells - 1)
    columns = np.clip((np.arange(shape[1]) + 0.5) * cells / shape[1] - 0.5, 0, cells - 1)
    r, c = np.minimum(rows.astype(int), cells - 2), np.minimum(columns.astype(int), cells - 2)
    fr, fc = (rows - r)[:, None], (columns - c)[None]
    top = noise[r][:, c] * (1 - fc) + noise[r][:, c + 1] * fc
    bottom = noise[r + 1][:, c] * (1 - fc) + noise[r + 1][:, c + 1] * fc
    return (top * (1 - fr) + bottom * fr).astype(np.float32)
