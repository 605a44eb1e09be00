"""How a raw map becomes colour on a film: the only place where maps are normalised."""

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from numpy.typing import NDArray

__all__ = ["AGAINST", "FOR", "blend", "display_map", "key_colours", "overlay", "tint"]

PERCENTILE = 99.5
FOR, AGAINST = (0.0, 0.72, 0.50), (0.89, 0.27, 0.0)  # superpixels: green speaks for the class, red against it
_WARM = LinearSegmentedColormap.from_list("warm", ["#ffe08a", "#fdae3c", "#f4661c", "#c9120f", "#7a0010"])
_COOL = LinearSegmentedColormap.from_list("cool", ["#bfe3f7", "#6cb9e4", "#2f82c4", "#1b4f9c", "#102a63"])


def display_map(values: NDArray[np.floating[Any]], *, signed: bool = True) -> NDArray[np.float32]:
    """A raw map (H, W) for display, in [−1, 1], zero staying zero: values / 99.5th percentile of |values|, clipped.

    Args:
        signed: keep what speaks against the target; False: the positive part only, in [0, 1].

    >>> display_map(np.array([[-1.0, 0.0, 2.0]])).tolist()
    [[-0.50..., 0.0, 1.0]]
    """
    shown = np.nan_to_num(values if signed else np.clip(values, 0, None), posinf=0, neginf=0)
    size = np.abs(shown)
    top = float(np.percentile(size, PERCENTILE)) or float(size.max())
    return np.clip(shown / top, -1, 1).astype(np.float32) if top > 0 else np.zeros(values.shape, np.float32)


def _colours(shown: NDArray[np.float32]) -> NDArray[Any]:
    size = np.abs(shown)
    return np.where((shown >= 0)[..., None], _WARM(size), _COOL(size))[..., :3]


def overlay(
    grey: NDArray[np.floating[Any]],
    values: NDArray[np.floating[Any]],
    *,
    signed: bool = True,
    strength: float = 0.62,
) -> NDArray[np.float32]:
    """The film (H, W) in [0, 1] under a raw map (H, W), as RGB: clear where the map says nothing, warm where it speaks
    for the target, blue where (signed) it speaks against it."""
    return blend(grey, display_map(values, signed=signed), strength)


def blend(grey: NDArray[np.floating[Any]], shown: NDArray[np.float32], strength: float = 0.62) -> NDArray[np.float32]:
    """The film in [0, 1] under a map for display in [−1, 1], of shapes that can be broadcast, as RGB."""
    alpha = (strength * np.clip(np.abs(shown) * 1.5 - 0.15, 0, 1))[..., None]
    return (grey[..., None] * (1 - alpha) + _colours(shown) * alpha).astype(np.float32)


def tint(grey: NDArray[np.floating[Any]], signs: NDArray[np.signedinteger[Any]]) -> NDArray[np.float32]:
    """The film (H, W) with pieces tinted by sign: green where 1, red where −1, clear where 0."""
    picture = np.repeat(np.asarray(grey, np.float32)[..., None], 3, axis=2)
    for sign, colour in ((1, FOR), (-1, AGAINST)):
        picture = np.where((signs == sign)[..., None], picture * 0.66 + 0.34 * np.array(colour, np.float32), picture)
    return picture.astype(np.float32)


def key_colours(signed: bool) -> NDArray[Any]:
    """The colours of `overlay` on grey (256, 3), from "against" (or "nothing") to "for"."""
    scale = np.linspace(-1 if signed else 0, 1, 256, dtype=np.float32)
    alpha = np.clip(np.abs(scale) * 1.5 - 0.15, 0, 1)[:, None]
    return _colours(scale) * alpha + np.array(to_rgb("#d1d5db")) * (1 - alpha)
