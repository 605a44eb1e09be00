"""One lung mask as two lungs: the one at the image's left and the one at its right."""

import numpy as np
from numpy.typing import NDArray

from radiolucent.segment.connected import connected

__all__ = ["two_lungs"]

Mask = NDArray[np.bool_]
SMALLEST = 0.2
"""A part smaller than this share of the other is no second lung."""
_MIDDLE = (0.35, 0.65)
"""Where in the mask's width lungs that touch are cut."""


def two_lungs(mask: Mask) -> tuple[Mask, Mask] | None:
    """The lung at the image's left and the one at its right, bool (H, W) each; None where the mask is not sure of two.

    Two parts that lie side by side are the two lungs. A single part is cut at the column of the middle third where the
    mask is lowest, and a lung is there only if both halves are a fifth of each other or more. Nothing is said of right
    or left of the patient: a film may be mirrored.
    """
    labels, count = connected(mask)
    if not count:
        return None
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if count > 1:
        first, second = (int(k) + 1 for k in np.argsort(-sizes, kind="stable")[:2])
        if sizes[second - 1] >= SMALLEST * sizes[first - 1]:
            parts = sorted((labels == first, labels == second), key=_middle)
            apart = _middle(parts[1]) - _middle(parts[0])
            if apart >= 0.2 * float(np.ptp(np.flatnonzero(mask.any(0))) + 1):
                return parts[0], parts[1]
            return None
    largest = labels == int(np.argmax(sizes)) + 1
    columns = np.flatnonzero(largest.any(0))
    left, wide = int(columns[0]), int(np.ptp(columns)) + 1
    start, stop = (left + round(share * wide) for share in _MIDDLE)
    if stop <= start:
        return None
    heights = largest[:, start:stop].sum(0)
    lowest = np.flatnonzero(heights == heights.min())
    cut = start + int(lowest[np.argmin(np.abs(lowest - (stop - start) / 2))])
    here = np.arange(mask.shape[1])[None] < cut
    one, other = largest & here, largest & ~here
    if min(one.sum(), other.sum()) < SMALLEST * max(one.sum(), other.sum()):
        return None
    return one, other


def _middle(mask: Mask) -> float:
    return float(np.flatnonzero(mask.any(0)).mean())
