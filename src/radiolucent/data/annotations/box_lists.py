"""CSV with a box, or several, as a list in one cell: `image,bbox,label` with `[x, y, width, height]`."""

import ast
import re
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source, absent
from radiolucent.data.annotations.tables import Said, column, rows_of
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

SWAPPED = 0.1
"""Share of boxes whose two corners may stand in another order than left upper, right lower."""

_ORDER = r"(?P<order>[\s_\[(]*x[\s_,]*y[\s_,]*w[\s_,]*h[\s_\])]*)?"  # another order is another format
_LIST = re.compile(f"(bbox(es)?|box(es)?|bounding_?box(es)?){_ORDER}")


def _column(source: Source) -> str | None:
    header = source.rows.header if source.rows else ()
    return next((name for name in header if _LIST.fullmatch(name)), None)


def _sniff(source: Source) -> bool:
    return column(source) is not None and _column(source) is not None


def _read(source: Source, g: Gatherer) -> None:
    image, where = column(source), _column(source)
    assert image is not None and where is not None
    rows = list(rows_of(source, g))
    columns = Said(source, g, (image, where))
    named = _LIST.fullmatch(where)
    if not (named and named["order"]):
        _tell_from_corners(where, [row[where] for _, row in rows], g)
    for line, row in rows:
        reader = columns.reader(row)
        with g.entry(f"line {line}", row[image] or None, reader):
            said: Any = {"reader": reader, "statement": row.get("statement", "")}
            shape = columns.shape(row)
            boxes = [Region.box(*box) for box in _boxes(row[where]).tolist()]
            if not boxes:
                g.whole(row[image], columns.of_film(row), shape=shape, **said)
                continue
            labels = columns.labels(row)
            if len(boxes) > 1 and len(labels) > 1:
                raise AnnotationError(
                    f"has {len(boxes)} boxes and {len(labels)} labels, and does not say which goes with which; "
                    "give each box a line of its own"
                )
            g.mark(row[image], boxes, labels, shape=shape, **said)


def _tell_from_corners(name: str, cells: list[str], g: Gatherer) -> None:
    """Note that the numbers are taken for x, y, width and height, since not all boxes can be two corners.

    Raises:
        AnnotationError: all can, or nearly all: corners may stand in another order, and 0, 0, 0, 0 is no box at all.
    """
    found: list[NDArray[np.float64]] = []
    for cell in cells:
        with suppress(AnnotationError):  # told where it stands
            found.append(_boxes(cell))
    every = np.concatenate([np.zeros((0, 4)), *found])
    every = every[(every[:, 2:] > 0).all(1)]
    apart = int((every[:, 2:] <= every[:, :2]).any(1).sum())
    if len(every) and apart <= SWAPPED * len(every):
        raise AnnotationError(
            f"the numbers of {name!r} may be x, y, width, height, or two corners: in {len(every) - apart} of "
            f"{len(every)} boxes the third exceeds the first, and the fourth the second. Call the column 'bbox_xywh', "
            "or give columns xmin, ymin, xmax, ymax"
        )
    if apart:
        g.note(
            f"the numbers of {name!r} are taken for x, y, width, height: {apart} of {len(every)} boxes cannot be a "
            "left upper and a right lower corner"
        )


def _boxes(cell: str) -> NDArray[np.float64]:
    """Boxes (N, 4) of a cell: one list of four numbers, or a list of such lists; none of an empty one."""
    if absent(cell) or cell == "[]":
        return np.zeros((0, 4))
    try:
        given = np.array(ast.literal_eval(cell if cell[0] in "[(" else f"[{cell}]"), float)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise AnnotationError(f"{cell[:60]!r}; expected [x, y, width, height]") from error
    if given.ndim not in (1, 2) or given.shape[-1] != 4:
        raise AnnotationError(f"{cell[:60]!r}; expected [x, y, width, height], or a list of such")
    return given.reshape(-1, 4)


FORMAT = Format(
    "bbox-lists",
    "CSV with a box in one cell",
    "csv",
    "`image,bbox[,label,reader,statement,width,height]`: `[x, y, width, height]`, or a list of such",
    "width and height are the image's; where nine boxes in ten might as well be two corners it is refused, unless the "
    "column says so (`bbox_xywh`); several boxes and several labels in a line are refused; an empty cell: read, "
    "nothing found, unless the label says what was",
    _sniff,
    _read,
    empty_means="no finding",
)
