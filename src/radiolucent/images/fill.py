"""Filling parts of a film from what surrounds them.

`explainers/perturbation/inpaint.py` fills too: rectangles alone, exactly, thousands of times a film by one kept
factorisation. A mask of any shape has no such factorisation, so this one approximates.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["BLACK", "dilated", "fill"]

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]
BLACK = 0.02


def dilated(mask: Mask, share: float) -> Mask:
    """The mask grown by `share` of the side, at least one pixel, on all sides (Euclidean)."""
    from scipy import ndimage

    reach = max(1.0, share * mask.shape[0])
    return np.asarray(ndimage.distance_transform_edt(~mask)) <= reach if mask.any() else mask


def fill(grey: Grey, mask: Mask, how: str = "inpaint", film: Mask | None = None) -> Grey:
    """Replace the masked pixels.

    "inpaint": the smooth continuation of what surrounds them (pull-push: normalised averages on ever coarser grids,
    handed down again; Gortler 1996), "blur": a heavy blur of the film, "mean": the mean of the film outside the mask,
    "black".
    """
    from scipy import ndimage

    out = grey.copy()
    if not mask.any():
        return out
    known = ~mask if film is None else ~mask & film
    if how == "black" or not known.any():
        out[mask] = BLACK
    elif how == "mean":
        out[mask] = grey[known].mean()
    elif how == "blur":
        out[mask] = ndimage.gaussian_filter(grey, grey.shape[0] / 10)[mask]
    else:
        out[mask] = _pull_push(np.where(known, grey, 0), known.astype(np.float32))[mask]
    return out


def _pull_push(grey: Grey, weight: Grey) -> Grey:
    """A value everywhere: own as far as known (weight 1), else, by 1 − weight, that of the next coarser grid.

    A coarse cell's weight is the share of it that is known, so that a few dark pixels do not speak for all of it.
    """
    if min(grey.shape) <= 1 or weight.min() >= 1:
        mean = np.float32((grey * weight).sum() / max(float(weight.sum()), 1e-6))
        return np.where(weight > 0, grey, mean).astype(np.float32)
    rows, columns = grey.shape
    pad = ((0, rows % 2), (0, columns % 2))
    g, w = np.pad(grey * weight, pad), np.pad(weight, pad)
    total = w[::2, ::2] + w[1::2, ::2] + w[::2, 1::2] + w[1::2, 1::2]
    value = (g[::2, ::2] + g[1::2, ::2] + g[::2, 1::2] + g[1::2, 1::2]) / np.maximum(total, 1e-6)
    below = _pull_push(value.astype(np.float32), (total / 4).astype(np.float32))
    finer = np.asarray(Image.fromarray(below).resize((w.shape[1], w.shape[0]), Image.Resampling.BILINEAR))
    return (weight * grey + (1 - weight) * finer[:rows, :columns]).astype(np.float32)
