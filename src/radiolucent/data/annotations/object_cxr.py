"""Object-CXR's CSV (JF Healthcare 2020): `image_name,annotation`, all shapes of a film in one cell."""

import re

import numpy as np

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.shapes import corners_box, ellipse
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import column, rows_of
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_IMAGE = ("image_name", "image_path")
_LABEL = "foreign object"
_SHAPE = r"\s*[012](\s+\d+(\.\d+)?){4,}\s*"
_CELL = re.compile(f"{_SHAPE}(;{_SHAPE})*;?\\s*")


def _sniff(source: Source) -> bool:
    rows, image = source.rows, column(source, _IMAGE)
    if rows is None or image is None or set(rows.header) != {image, "annotation"}:  # more may say other things
        return False
    at = rows.header.index("annotation")
    return bool(_CELL.fullmatch(next((cells[at] for _, cells in rows.rows if cells[at]), "")))


def _read(source: Source, g: Gatherer) -> None:
    image = column(source, _IMAGE)
    assert image is not None
    for line, row in rows_of(source, g):
        with g.entry(f"line {line}", row[image] or None):
            shapes = [_shape(text) for text in row["annotation"].split(";") if text.strip()]
            if shapes:
                g.mark(row[image], shapes, _LABEL)
            else:
                g.state(row[image], finding=False)


def _shape(text: str) -> Region:
    if not _CELL.fullmatch(text):
        raise AnnotationError(f"{text.strip()[:60]!r}; expected 0, 1 or 2, and x y of two corners or of an outline")
    kind, *numbers = text.split()
    points = np.array(numbers, float)
    if kind == "2":
        if len(points) % 2:
            raise AnnotationError(f"an outline of {len(points)} numbers; expected x and y of each corner")
        return Region.polygon(points.reshape(-1, 2))
    if len(points) != 4:
        raise AnnotationError(f"{len(points)} numbers; expected x1 y1 x2 y2")
    left, top, right, bottom = points.tolist()
    if left >= right or top >= bottom:
        raise AnnotationError(f"{text.strip()!r}; expected the left upper corner, then the right lower one")
    if kind == "0":
        return corners_box(left, top, right, bottom)
    return ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2)


FORMAT = Format(
    "object-cxr",
    "Object-CXR CSV",
    "csv",
    "`image_name,annotation`: `0` a rectangle, `1` an ellipse, `2` a polygon, with `;` between; the label is "
    '"foreign object"',
    "rectangles and ellipses are told by two corners, the left upper one first (another order is refused); no further "
    "column; an empty cell is a film read without finding",
    _sniff,
    _read,
    empty_means="no finding",
)
