"""Side markers and text, from strokes of our own, so that every machine draws the same."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["stamp"]

# Strokes on a unit square, y down.
_GLYPHS: dict[str, list[list[tuple[float, float]]]] = {
    "R": [[(0, 1), (0, 0), (0.7, 0), (0.9, 0.14), (0.9, 0.36), (0.7, 0.5), (0, 0.5)], [(0.45, 0.5), (0.95, 1)]],
    "L": [[(0, 0), (0, 1), (0.85, 1)]],
    "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.2, 0.62), (0.8, 0.62)]],
    "P": [[(0, 1), (0, 0), (0.75, 0), (0.95, 0.15), (0.95, 0.38), (0.75, 0.53), (0, 0.53)]],
    "0": [[(0.2, 0), (0.8, 0), (1, 0.25), (1, 0.75), (0.8, 1), (0.2, 1), (0, 0.75), (0, 0.25), (0.2, 0)]],
    "1": [[(0.2, 0.2), (0.5, 0), (0.5, 1)]],
    "2": [[(0, 0.2), (0.3, 0), (0.8, 0), (1, 0.25), (0, 1), (1, 1)]],
    "3": [[(0, 0), (1, 0), (0.45, 0.42), (0.9, 0.6), (0.9, 0.85), (0.6, 1), (0.1, 1)]],
    "4": [[(0.75, 1), (0.75, 0), (0, 0.7), (1, 0.7)]],
    "7": [[(0, 0), (1, 0), (0.4, 1)]],
}


def stamp(
    shape: tuple[int, int], text: str, x: float, y: float, height: float, weight: float = 0.16
) -> NDArray[np.float32]:
    """Draw text with its top left corner at pixel (x, y) and the given height; coverage (H, W) in [0, 1]."""
    out = np.zeros(shape, np.float32)
    reach = weight * height / 2 + 1.5
    right = x + (max(len(text), 1) - 1) * height * 0.85 + height * 0.62
    top, bottom = max(int(y - reach), 0), min(int(y + height + reach) + 1, shape[0])
    left_end, right_end = max(int(x - reach), 0), min(int(right + reach) + 1, shape[1])
    if top >= bottom or left_end >= right_end:
        return out
    rows, columns = np.mgrid[top:bottom, left_end:right_end].astype(np.float32)
    box = out[top:bottom, left_end:right_end]
    for k, letter in enumerate(text):
        left = x + k * height * 0.85
        for stroke in _GLYPHS.get(letter, []):
            for (x0, y0), (x1, y1) in pairwise(stroke):
                ax, ay = left + x0 * height * 0.62, y + y0 * height
                dx, dy = (x1 - x0) * height * 0.62, (y1 - y0) * height
                u, v = columns + 0.5 - ax, rows + 0.5 - ay
                t = np.clip((u * dx + v * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
                distance = np.hypot(u - t * dx, v - t * dy)
                np.maximum(box, np.clip(weight * height / 2 + 0.5 - distance, 0, 1), out=box)
    return out
