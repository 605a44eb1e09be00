"""How a map (H, W) lies on a marked region, bool (H, W). None where there is nothing to compare: never a hit.

Nothing to compare means: an empty region; a map that is constant, not finite, or nowhere positive (it points nowhere).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError

__all__ = [
    "area_fraction",
    "dice",
    "dice_at_area",
    "energy_in_region",
    "iou",
    "iou_at_area",
    "map_auprc",
    "pointing_game",
    "random_baseline",
    "random_map",
]

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def _usable(values: Map, region: Mask) -> bool:
    if values.shape != region.shape or values.ndim != 2:
        raise ConfigError(f"map {values.shape} and region {region.shape}; expected the same (H, W) in the same frame.")
    _checked(region)
    if not region.any() or not np.isfinite(values).all():
        return False
    return bool(values.max() > 0) and bool(values.max() > values.min())


def _checked(region: Mask) -> None:
    if region.dtype != np.bool_:
        raise ConfigError(f"region of type {region.dtype}; expected bool.")


def area_fraction(region: Mask) -> float | None:
    """Share of the image the region covers: the hit rate, energy and AUPRC of a map that says nothing.

    >>> area_fraction(np.array([[True, False, False, False]]))
    0.25
    """
    _checked(region)
    return float(region.mean()) if region.any() else None


def pointing_game(values: Map, region: Mask) -> float | None:
    """1 if the map's maximum lies in the region, else 0 (Zhang 2018); of tied maxima, the share that does.

    >>> pointing_game(np.array([[0.0, 2.0]]), np.array([[False, True]]))
    1.0
    >>> pointing_game(np.array([[2.0, 2.0, 0.0]]), np.array([[False, True, False]]))
    0.5
    """
    return float(region[values == values.max()].mean()) if _usable(values, region) else None


def energy_in_region(values: Map, region: Mask) -> float | None:
    """Share of the map's positive part that lies in the region (Wang 2020); compare with `area_fraction`.

    >>> energy_in_region(np.array([[-5.0, 1.0, 3.0]]), np.array([[True, False, True]]))
    0.75
    """
    if not _usable(values, region):
        return None
    positive = np.clip(values, 0, None).astype(np.float64)
    return float(positive[region].sum() / positive.sum())


def iou(values: Map, region: Mask, threshold: float = 0.5) -> float | None:
    """Intersection over union of {map ≥ threshold · max} and the region, threshold in (0, 1].

    >>> iou(np.array([[4.0, 2.0, 1.0]]), np.array([[True, False, False]]))
    0.5
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold {threshold}; expected a share of the map's maximum, above 0 and at most 1.")
    if not _usable(values, region):
        return None
    called = values >= threshold * float(values.max())
    return float((called & region).sum() / (called | region).sum())


def dice(values: Map, region: Mask, threshold: float = 0.5) -> float | None:
    """Dice coefficient 2 |A ∩ B| / (|A| + |B|) of A = {map ≥ threshold · max} and the region B."""
    found = iou(values, region, threshold)
    return None if found is None else 2 * found / (1 + found)


def _top(values: Map, region: Mask) -> tuple[int, int, int, int, int]:
    """Region's area k, sure hits, pixels tied at the cut, those of them in the region, how many of them are taken."""
    k = int(region.sum())
    cut = np.partition(values.ravel(), values.size - k)[values.size - k]
    above, tied = values > cut, values == cut
    return k, int((above & region).sum()), int(tied.sum()), int((tied & region).sum()), k - int(above.sum())


def dice_at_area(values: Map, region: Mask) -> float | None:
    """Dice of the region and the map's k highest pixels, k the region's area; pixels tied at the cut count by chance.

    No threshold to choose: it asks where, not how wide.
    """
    if not _usable(values, region):
        return None
    k, sure, tied, inside, taken = _top(values, region)
    return (sure + taken * inside / tied) / k


def iou_at_area(values: Map, region: Mask) -> float | None:
    """Intersection over union of the region and the map's k highest pixels, k the region's area.

    Ties at the cut: the mean over all ways to break them (hypergeometric).

    >>> iou_at_area(np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, True]]))
    0.3333333333333333
    """
    from scipy import stats

    if not _usable(values, region):
        return None
    k, sure, tied, inside, taken = _top(values, region)
    more = np.arange(max(0, taken - (tied - inside)), min(inside, taken) + 1)
    chance = stats.hypergeom.pmf(more, tied, inside, taken)
    return float((chance * (sure + more) / (2 * k - sure - more)).sum())


def map_auprc(values: Map, region: Mask) -> float | None:
    """Average precision of the map's values as a detector of the region's pixels (Arun 2021); None if all are."""
    from sklearn.metrics import average_precision_score

    if not _usable(values, region) or region.all():
        return None
    return float(average_precision_score(region.ravel(), values.ravel()))


def random_map(shape: tuple[int, int], rng: np.random.Generator, *, cells: int = 7) -> NDArray[np.float32]:
    """A smooth random map (H, W) in [0, 1): uniform noise on cells × cells, interpolated as a feature map would be."""
    if cells < 2:
        raise ConfigError(f"{cells} cells; expected at least 2.")
    noise = rng.random((cells, cells)).astype(np.float32)
    for axis, size in enumerate(shape):
        at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
        low = np.minimum(at.astype(int), cells - 2)
        share = (at - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        noise = np.take(noise, low, axis) * (1 - share) + np.take(noise, low + 1, axis) * share
    return noise.astype(np.float32)


def random_baseline(
    measure: Callable[[Map, Mask], float | None], region: Mask, *, draws: int = 20, seed: int = 0, cells: int = 7
) -> float | None:
    """Mean of a measure over random smooth maps on this region: what a map gets without having looked."""
    rng = np.random.default_rng(seed)
    shape = (region.shape[0], region.shape[1])
    found = [measure(random_map(shape, rng, cells=cells), region) for _ in range(draws)]
    kept = [value for value in found if value is not None]
    return float(np.mean(kept)) if kept else None
