"""Superpixels, and what a hidden one shows."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import segmentation as ski

from radiolucent.errors import ExplainError

__all__ = ["fill_for", "places", "segment"]

Grey = NDArray[np.float32]
Segmentation = str | Callable[[Grey], NDArray[Any]]


_LAST: OrderedDict[Any, NDArray[np.int32]] = OrderedDict()
"""The last few results: one film is asked about several times over where a map is put to the test."""

KEPT = 4


def segment(grey: Grey, how: Segmentation, seed: int, options: dict[str, Any] | None = None) -> NDArray[np.int32]:
    """Superpixels of a grey image (H, W) in [0, 1]: labels 0 … d − 1, each present.

    Args:
        how: "quickshift" (Vedaldi 2008; lime's default, with its parameters), "slic" (Achanta 2012), "felzenszwalb"
            (Felzenszwalb 2004), or a function from the image to labels.
        seed: quickshift breaks ties with it.
        options: override the algorithm's parameters.

    Labels that start at 1, as slic's do, or have gaps are renumbered: every piece is hidden some time.
    """
    if callable(how):
        return _segment(grey, how, seed, options)
    key = grey.shape, hashlib.sha256(grey.tobytes()).digest(), how, seed, repr(options)
    if (found := _LAST.get(key)) is None:
        found = _LAST[key] = _segment(grey, how, seed, options)
        while len(_LAST) > KEPT:
            _LAST.popitem(last=False)
    return found.copy()


def _segment(grey: Grey, how: Segmentation, seed: int, options: dict[str, Any] | None) -> NDArray[np.int32]:
    extra = options or {}
    if callable(how):
        labels = np.asarray(how(grey))
    elif how == "quickshift":
        colour = np.repeat(grey[..., None], 3, axis=2).astype(np.float64)
        chosen: dict[str, Any] = {"kernel_size": 4, "max_dist": 200, "ratio": 0.2, "rng": seed}
        labels = ski.quickshift(colour, **(chosen | extra))
    elif how == "slic":
        labels = ski.slic(
            grey, **({"n_segments": 60, "compactness": 0.1, "channel_axis": None, "start_label": 0} | extra)
        )
    elif how == "felzenszwalb":
        labels = ski.felzenszwalb(grey, **({"scale": 100, "sigma": 0.8, "min_size": 200, "channel_axis": None} | extra))
    else:
        raise ExplainError(f"segmentation {how!r}; expected quickshift, slic, felzenszwalb or a function.")
    if labels.shape != grey.shape:
        raise ExplainError(f"segmentation gave shape {labels.shape}; expected {grey.shape}.")
    _, numbered = np.unique(labels, return_inverse=True)
    return numbered.reshape(grey.shape).astype(np.int32)


def fill_for(grey: Grey, segments: NDArray[np.int32], hide_color: float | str | None) -> Grey:
    """What stands in hidden places (H, W): None: each piece's mean; a number: that grey; "blur"; "grey" (0.5)."""
    from scipy import ndimage

    if hide_color is None:
        means = ndimage.mean(grey, segments, np.arange(segments.max() + 1))
        return np.asarray(means, np.float32)[segments]
    if hide_color == "blur":
        return np.asarray(ndimage.gaussian_filter(grey, grey.shape[0] / 20), np.float32)
    if hide_color == "grey":
        return np.full_like(grey, 0.5)
    if isinstance(hide_color, int | float) and 0 <= hide_color <= 1:
        return np.full_like(grey, hide_color)
    raise ExplainError(f"hide_color {hide_color!r}; expected None (mean), a grey in [0, 1], 'blur' or 'grey'.")


def places(segments: NDArray[np.int32]) -> NDArray[np.float64]:
    """Centres (d, 2) of superpixels (H, W), as shares of the longer side."""
    from scipy.ndimage import center_of_mass

    labels = np.arange(int(segments.max()) + 1)
    return np.array(center_of_mass(np.ones(segments.shape), segments, labels)) / max(segments.shape)
