"""The six lung zones: A to C the right lung from top to bottom (the image's left), D to F the left lung."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["ZONES", "rank_correlation", "zone_masks"]

ZONES = "ABCDEF"
# Where lungs lie on a film without lung masks: shares of its height and width. A stand-in, coarse by design.
_TOP, _BOTTOM, _LEFT, _RIGHT = 0.10, 0.85, 0.05, 0.95
Mask = NDArray[np.bool_]


def zone_masks(shape: tuple[int, int], lungs: Mask | None = None) -> dict[str, Mask]:
    """Masks (H, W) of the six zones: thirds in height of the lungs' extent, on either side of their midline.

    Without `lungs`, thirds of the middle three quarters of the film; the patient's right is the image's left.

    >>> [int(m.sum()) for m in zone_masks((80, 100)).values()]
    [900, 900, 900, 900, 900, 900]
    """
    height, width = shape
    if lungs is None or not lungs.any():
        inside = np.ones(shape, bool)
        top, bottom, left, right = _TOP * height, _BOTTOM * height, _LEFT * width, _RIGHT * width
    else:
        inside = lungs
        rows, columns = np.flatnonzero(lungs.any(1)), np.flatnonzero(lungs.any(0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    y, x = np.arange(height) + 0.5, np.arange(width) + 0.5
    third = np.floor((y - top) / (bottom - top) * 3)
    side = np.where((x >= left) & (x < right), x >= (left + right) / 2, -1)
    return {name: inside & (third == k % 3)[:, None] & (side == k // 3)[None] for k, name in enumerate(ZONES)}


def rank_correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Spearman's correlation over the zones both have; None for fewer than three, or where either is constant."""
    from scipy import stats

    names = [z for z in ZONES if z in first and z in second]
    a, b = np.array([first[z] for z in names]), np.array([second[z] for z in names])
    if len(names) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])
