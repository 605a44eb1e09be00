"""Small bright things on a film, and what can be measured of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.segment.connected import connected

__all__ = ["FEATURES", "FRAME", "Components", "components"]

FRAME = 256
"""Side in pixels of the square frame that films are padded into."""
_RADII, _LEVELS = (4, 9), (0.10, 0.2, 0.35)
_SMALLEST, _LARGEST, _AREA = 4, 36, 8  # sides of a component's box and its least area, in frame pixels

PATCH = 12
"""Side in samples of the picture around a component, 1.4 times as wide as its longer side."""
FEATURES = (
    "height",
    "width",
    "aspect",
    "area",
    "fill",
    "hat",
    "bright",
    "relative",
    "spread",
    "ring",
    "ring_spread",
    "contrast",
    "edge",
    "stroke",
    "thickest",
    "thick_over_height",
    "x",
    "y",
    "border",
    "radius",
    "level",
    *(f"patch_{row}_{column}" for row in range(PATCH) for column in range(PATCH)),
)
"""What is measured of a component, in the order of the columns: shape, grey, place, and its picture, standardised."""


@dataclass(frozen=True, eq=False)
class Components:
    """Bright components of one film, several thresholds deep (one may lie inside another).

    Attributes:
        features: float32 (K, len(FEATURES)). boxes: (K, 4) left, top, right, bottom, frame pixels.
        masks: K bool arrays of the boxes' sizes.
    """

    features: NDArray[np.float32]
    boxes: NDArray[np.int64]
    masks: tuple[NDArray[np.bool_], ...]

    def __len__(self) -> int:
        return len(self.boxes)

    def pixels(self, k: int) -> NDArray[np.bool_]:
        """Component k in the frame, (FRAME, FRAME)."""
        out = np.zeros((FRAME, FRAME), bool)
        left, top, right, bottom = self.boxes[k]
        out[top:bottom, left:right] = self.masks[k]
        return out


def components(grey: NDArray[np.float32], film: NDArray[np.bool_]) -> Components:
    """Components of the white top-hat (film minus its opening by a square) at several radii and thresholds.

    A top-hat keeps what is bright and thinner than the square: strokes and tags, but also ribs' edges, lines and
    electrodes, which is what the features are to tell apart.

    Args:
        grey: (FRAME, FRAME) in [0, 1]. film: where the film is; the rest is padding.
    """
    from scipy import ndimage

    gradient = np.asarray(ndimage.gaussian_gradient_magnitude(grey, 0.7), np.float32)
    top = float(np.quantile(grey[film], 0.99)) if film.any() else 1.0
    distance = np.asarray(ndimage.distance_transform_edt(np.pad(film, 1)))[1:-1, 1:-1]
    rows: list[NDArray[np.float32]] = []
    boxes: list[tuple[int, int, int, int]] = []
    masks: list[NDArray[np.bool_]] = []
    for radius in _RADII:
        hat = grey - np.asarray(ndimage.grey_opening(grey, size=2 * radius + 1), np.float32)
        for level in _LEVELS:
            labels, _ = connected((hat > level) & film, diagonal=True)
            keep = _sized(labels)
            if keep:
                rows.append(_measure(labels, keep, grey, hat, gradient, distance, top, radius, level))
            for k, (ys, xs) in keep:
                boxes.append((xs.start, ys.start, xs.stop, ys.stop))
                masks.append(labels[ys, xs] == k)
    features = np.concatenate(rows) if rows else np.zeros((0, len(FEATURES)), np.float32)
    return Components(features, np.array(boxes, np.int64).reshape(-1, 4), tuple(masks))


def _sized(labels: NDArray[np.int32]) -> list[tuple[int, tuple[slice, slice]]]:
    """Components whose box and area may be a letter's or a tag's."""
    from scipy import ndimage

    sizes = np.bincount(labels.ravel())
    found: list[tuple[int, tuple[slice, slice]]] = []
    for k, (ys, xs) in enumerate(ndimage.find_objects(labels), start=1):
        height, width = ys.stop - ys.start, xs.stop - xs.start
        if sizes[k] >= _AREA and max(height, width) <= _LARGEST and max(height, width) >= _SMALLEST:
            found.append((k, (ys, xs)))
    return found


def _measure(
    labels: NDArray[np.int32],
    keep: list[tuple[int, tuple[slice, slice]]],
    grey: NDArray[np.float32],
    hat: NDArray[np.float32],
    gradient: NDArray[np.float32],
    distance: NDArray[np.float64],
    top: float,
    radius: int,
    level: float,
) -> NDArray[np.float32]:
    """(K, len(FEATURES)) of the kept components, lengths as shares of the frame's side."""
    from scipy import ndimage

    index = np.array([k for k, _ in keep])
    height = np.array([ys.stop - ys.start for _, (ys, _) in keep]) / FRAME
    width = np.array([xs.stop - xs.start for _, (_, xs) in keep]) / FRAME
    area = np.bincount(labels.ravel())[index] / FRAME**2
    ring = np.where(labels == 0, ndimage.grey_dilation(labels, size=(7, 7)), 0)
    rim = np.where(np.asarray(ndimage.grey_erosion(labels, size=(3, 3))) == 0, labels, 0)
    some = labels > 0
    depth = np.asarray(ndimage.distance_transform_edt(some))
    bright, spread = _mean_and_spread(grey, labels, index)
    around, ring_spread = _mean_and_spread(grey, ring, index)
    contrast = np.maximum(bright - around, 1e-3)
    middle = np.array([[ys.start + ys.stop, xs.start + xs.stop] for _, (ys, xs) in keep]) / (2 * FRAME)
    thickest = np.asarray(ndimage.maximum(depth[some], labels[some], index)) / FRAME
    columns = (
        height,
        width,
        np.log(width / height),
        np.sqrt(area),
        area / (height * width),
        _mean_and_spread(hat, labels, index)[0],
        bright,
        bright / max(top, 1e-3),
        spread,
        around,
        ring_spread,
        contrast,
        _mean_and_spread(gradient, rim, index)[0] / contrast,
        _mean_and_spread(depth, labels, index)[0] / FRAME,
        thickest,
        thickest / np.maximum(height, width),
        np.abs(middle[:, 1] - 0.5),
        middle[:, 0],
        np.asarray(ndimage.minimum(distance[some], labels[some], index)) / FRAME,
        np.full(len(keep), radius / 10),
        np.full(len(keep), level),
    )
    measured = np.stack([np.asarray(c, np.float32) for c in columns], axis=1)
    return np.concatenate([measured, _pictures(grey, [place for _, place in keep])], axis=1)


def _pictures(grey: NDArray[np.float32], places: list[tuple[slice, slice]]) -> NDArray[np.float32]:
    """(K, PATCH²): what lies around each component, mean 0 and spread 1."""
    from scipy import ndimage

    ends = np.array([[ys.start, ys.stop, xs.start, xs.stop] for ys, xs in places], np.float64)
    y, x = (ends[:, 0] + ends[:, 1] - 1) / 2, (ends[:, 2] + ends[:, 3] - 1) / 2
    half = 0.7 * np.maximum(ends[:, 1] - ends[:, 0], ends[:, 3] - ends[:, 2])
    steps = np.linspace(-1, 1, PATCH) * half[:, None]
    rows = np.broadcast_to((y[:, None] + steps)[:, :, None], (len(places), PATCH, PATCH))
    columns = np.broadcast_to((x[:, None] + steps)[:, None, :], rows.shape)
    seen = np.asarray(ndimage.map_coordinates(grey, [rows, columns], order=1, mode="nearest")).reshape(len(places), -1)
    return (seen - seen.mean(1, keepdims=True)) / (seen.std(1, keepdims=True) + np.float32(1e-3))


def _mean_and_spread(
    values: NDArray[np.floating], labels: NDArray[np.int32], index: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of values under each label; 0 where a label has no pixel (a rim all padding)."""
    some = labels > 0  # few pixels are
    flat, data = labels[some], values[some].astype(np.float64)
    count = np.maximum(np.bincount(flat, minlength=int(index.max()) + 1), 1)
    mean = np.bincount(flat, data, len(count)) / count
    square = np.bincount(flat, data * data, len(count)) / count
    return mean[index], np.sqrt(np.maximum(square - mean**2, 0))[index]
