"""Filling a window from its rim: exact, and fast for many windows of one shape.

For masks of any shape see `images/fill.py`, which approximates.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["inpaint"]

Grey = NDArray[np.float32]


def inpaint(grey: Grey, top: int, left: int, bottom: int, right: int) -> Grey:
    """The window [top, bottom) × [left, right) of a grey image (H, W) filled harmonically, float32 (h, w).

    Each pixel becomes the mean of its neighbours (Δu = 0), given the pixels around the window; at the image's edges,
    where there is nothing around, with no flow across the edge. It invents neither texture nor structure, stays within
    the rim's range, and takes one sparse solve with a factorisation kept for a window's shape. A window without any rim
    gets the image's mean. Source: Chan & Shen 2002 (harmonic inpainting).
    """
    height, width = grey.shape
    sides = (top > 0, left > 0, bottom < height, right < width)
    shape = (bottom - top, right - left)
    if not any(sides):
        return np.full(shape, grey.mean(), np.float32)
    rim = np.zeros(shape)
    if sides[0]:
        rim[0] += grey[top - 1, left:right]
    if sides[1]:
        rim[:, 0] += grey[top:bottom, left - 1]
    if sides[2]:
        rim[-1] += grey[bottom, left:right]
    if sides[3]:
        rim[:, -1] += grey[top:bottom, right]
    return _factorised(shape, sides).solve(rim.ravel()).reshape(shape).astype(np.float32)


@lru_cache(maxsize=32)
def _factorised(shape: tuple[int, int], sides: tuple[bool, bool, bool, bool]) -> Any:
    """LU of the Laplacian of a grid: Dirichlet towards sides that have a rim, Neumann towards the others."""
    from scipy.sparse import csc_array, eye_array, kron
    from scipy.sparse.linalg import splu

    down = _second_difference(shape[0], sides[0], sides[2])
    across = _second_difference(shape[1], sides[1], sides[3])
    laplacian = kron(down, eye_array(shape[1])) + kron(eye_array(shape[0]), across)
    return splu(csc_array(laplacian))


def _second_difference(count: int, before: bool, after: bool) -> Any:
    from scipy.sparse import diags_array

    centre = np.full(count, 2.0)
    centre[0] -= not before
    centre[-1] -= not after
    off = np.full(count - 1, -1.0)
    places: Any = (-1, 0, 1)
    return diags_array([off, centre, off], offsets=places)
