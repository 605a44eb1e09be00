"""Geometry that formats share: ellipses, turned boxes, nested outlines, run lengths."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = [
    "area_of", "bounds", "corners_box", "ellipse", "even_odd", "filled", "four_corners", "outlined", "row_runs",
    "turned_about_centre", "turned_box",
]  # fmt: skip

_CORNERS = 64


def corners_box(left: float, top: float, right: float, bottom: float) -> Region:
    """A box from two opposite corners, in any order.

    >>> corners_box(5, 7, 1, 2).points.tolist()
    [[1.0, 2.0], [5.0, 7.0]]
    """
    return Region.box(min(left, right), min(top, bottom), abs(right - left), abs(bottom - top))


def four_corners(points: Any) -> Region:
    """A rectangle from its four corners (4, 2) in turn: a box where its sides are upright, else a polygon.

    >>> four_corners([(1, 2), (5, 2), (5, 7), (1, 7)]).kind, four_corners([(3, 0), (6, 3), (3, 6), (0, 3)]).kind
    ('box', 'polygon')
    """
    corners = np.asarray(points, float)
    if corners.shape != (4, 2):
        raise AnnotationError(f"a rectangle of shape {corners.shape}; expected four corners x, y")
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    upright = {(left, top), (right, top), (right, bottom), (left, bottom)} == {(x, y) for x, y in corners.tolist()}
    return corners_box(left, top, right, bottom) if upright else Region.polygon(corners)


def turned_box(x: float, y: float, width: float, height: float, degrees: float) -> Region:
    """A box turned clockwise by an angle about its top left corner (x, y); unturned it stays a box.

    >>> turned_box(0, 0, 2, 1, 90).points.round().tolist()
    [[0.0, 0.0], [0.0, 2.0], [-1.0, 2.0], [-1.0, 0.0]]
    """
    if not degrees:
        return Region.box(x, y, width, height)
    if width <= 0 or height <= 0:
        raise AnnotationError(f"box of {width} × {height}; expected a positive size")
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    return Region.polygon(_turn(corners, degrees) + np.array([x, y]))


def turned_about_centre(x: float, y: float, width: float, height: float, degrees: float) -> Region:
    """A box turned clockwise by an angle about its centre; unturned it stays a box.

    >>> turned_about_centre(0, 0, 4, 2, 90).points.round().tolist()
    [[3.0, -1.0], [3.0, 3.0], [1.0, 3.0], [1.0, -1.0]]
    """
    if not degrees:
        return Region.box(x, y, width, height)
    turned = turned_box(0, 0, width, height, degrees).points
    assert turned is not None
    return Region.polygon(turned - turned.mean(0) + np.array([x + width / 2, y + height / 2]))


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> Region:
    """An ellipse about (x, y), turned clockwise, as a polygon of 64 corners with the ellipse's own area."""
    if not (rx > 0 and ry > 0):
        raise AnnotationError(f"ellipse with radii {rx}, {ry}; expected positive ones")
    turns = np.linspace(0, 2 * math.pi, _CORNERS, endpoint=False)
    grow = math.sqrt(2 * math.pi / (_CORNERS * math.sin(2 * math.pi / _CORNERS)))
    points = np.stack([rx * grow * np.cos(turns), ry * grow * np.sin(turns)], 1)
    return Region.polygon(_turn(points, degrees) + np.array([x, y]))


def _turn(points: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """About the origin, clockwise on a screen (y points down)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[c, s], [-s, c]])


def even_odd(paths: Sequence[Any], shape: tuple[int, int] | None) -> Region:
    """One outline as a polygon; several as the pixels inside an odd number of them: inner outlines are holes."""
    outlines = [Region.polygon(path) for path in paths]
    if not outlines:
        raise AnnotationError("no outline")
    if len(outlines) == 1:
        return outlines[0]
    if shape is None:
        raise AnnotationError("several outlines of one region, but no image size to tell holes from parts")
    total = np.zeros(shape, bool)
    for outline in outlines:
        assert outline.points is not None
        total ^= filled(outline.points, shape)
    return Region.mask(total)


def filled(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (H, W) whose centre lies inside an outline (K, 2), by the even-odd rule.

    A row's pixels are toggled from where each edge crosses the line through their centres.

    >>> filled(np.array([(1, 0), (3, 0), (3, 2), (1, 2)], float), (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 1, 1, 0]]
    """
    height, width = shape
    toggled = np.zeros((height, width + 1), bool)
    corners = points - 0.5  # centres at whole numbers
    for (x0, y0), (x1, y1) in zip(corners.tolist(), np.roll(corners, -1, 0).tolist(), strict=True):
        first, last = max(math.ceil(min(y0, y1)), 0), min(math.ceil(max(y0, y1)), height)
        if first < last:
            rows = np.arange(first, last)
            crossed = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
            toggled[rows, np.clip(np.ceil(crossed), 0, width).astype(int)] ^= True
    return np.logical_xor.accumulate(toggled[:, :width], axis=1)


def row_runs(runs: Iterable[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask (H, W) from the lengths of alternating runs along rows, the first of them unmarked.

    >>> row_runs([1, 2, 1], (2, 2)).tolist()
    [[False, True], [True, False]]
    """
    lengths = np.array([int(run) for run in runs], np.int64)
    if (lengths < 0).any() or (lengths > shape[0] * shape[1]).any() or lengths.sum() != shape[0] * shape[1]:
        raise AnnotationError(f"run lengths sum to {lengths.sum()}; expected {shape[0]} × {shape[1]}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(shape)


def bounds(region: Region) -> tuple[float, float, float, float]:
    """(x, y, width, height) around a box, polygon or mask; a region of zero size is refused by the caller."""
    if region.pixels is not None:
        rows, columns = np.flatnonzero(region.pixels.any(1)), np.flatnonzero(region.pixels.any(0))
        return float(columns[0]), float(rows[0]), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)
    assert region.points is not None
    (left, top), (right, bottom) = region.points.min(0), region.points.max(0)
    return float(left), float(top), float(right - left), float(bottom - top)


def area_of(region: Region) -> float:
    """Area in pixels: of a polygon by the shoelace formula.

    >>> area_of(Region.polygon([(0, 0), (4, 0), (0, 3)]))
    6.0
    """
    if region.pixels is not None:
        return float(region.pixels.sum())
    if region.kind == "polygon" and region.points is not None:
        x, y = region.points.T
        return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
    return math.prod(bounds(region)[2:])


def outlined(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """A mask as disjoint boxes (x, y, width, height): runs along rows, joined where the next row has the same run."""
    open_runs: dict[tuple[int, int], int] = {}
    found: list[tuple[int, int, int, int]] = []
    for y in range(mask.shape[0] + 1):
        row = mask[y] if y < mask.shape[0] else np.zeros(mask.shape[1], bool)
        edges = np.flatnonzero(np.diff(np.pad(row.astype(np.int8), 1))).reshape(-1, 2)
        runs = {(int(a), int(b)) for a, b in edges}
        for run in [r for r in open_runs if r not in runs]:
            top = open_runs.pop(run)
            found.append((run[0], top, run[1] - run[0], y - top))
        for run in runs:
            open_runs.setdefault(run, y)
    return sorted(found, key=lambda box: (box[1], box[0]))
