"""CSV with a box, or several, as a list in one cell: `image,bbox,label` with `[x, y, width, height]`."""

import ast
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import Said, column, rows_of
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_LIST = re.compile(r"(bbox(es)?|box(es)?|bounding_?box(es)?)(?P<order>[\s_]*[\[(]?[xywh_,\s]*[\])]?)")
_NAMED = re.compile(r"[\s_\[(]*x[\s_,]*y[\s_,]*w[\s_,]*h[\s_\])]*")


def _column(source: Source) -> str | None:
    header = source.rows.header if source.rows else ()
    return next((name for name in header if _LIST.fullmatch(name)), None)


def _sniff(source: Source) -> bool:
    return column(source) is not None and _column(source) is not None


def _read(source: Source, g: Gatherer) -> None:
    image, where = column(source), _column(source)
    assert image is not None and where is not None
    rows = list(rows_of(source, g))
    columns = Said(source, g, (image, where, "height", "width"))
    if not _says_sizes(where, [row[where] for _, row in rows]):
        raise AnnotationError(
            f"the numbers of {where!r} may be x, y, width, height, or two corners: in every box the third exceeds the "
            f"first, and the fourth the second. Call the column 'bbox_xywh', or give columns xmin, ymin, xmax, ymax"
        )
    for line, row in rows:
        reader = columns.reader(row)
        with g.entry(f"line {line}", row[image] or None, reader):
            said: Any = {"reader": reader, "statement": row.get("statement", "")}
            shape = image_shape(row.get("height"), row.get("width"))
            boxes = [Region.box(*box) for box in _boxes(row[where]).tolist()]
            if boxes:
                g.mark(row[image], boxes, columns.labels(row), shape=shape, **said)
            else:
                g.whole(row[image], columns.of_film(row), shape=shape, **said)


def _says_sizes(name: str, cells: list[str]) -> bool:
    """Whether the numbers can be nothing but x, y, width and height: by the column's name, or by a box of its own."""
    told = _LIST.fullmatch(name)
    if told and _NAMED.fullmatch(told["order"]):
        return True
    found: list[NDArray[np.float64]] = []
    for cell in cells:
        try:
            found.append(_boxes(cell))
        except AnnotationError:  # told where it stands
            continue
    every = np.concatenate([np.zeros((0, 4)), *found])
    return not len(every) or bool(((every[:, 2] <= every[:, 0]) | (every[:, 3] <= every[:, 1])).any())


def _boxes(cell: str) -> NDArray[np.float64]:
    """Boxes (N, 4) of a cell: one list of four numbers, or a list of such lists; none of an empty one."""
    if not cell or cell == "[]":
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
    "width and height are the image's; where every box might as well be two corners it is refused, unless the column "
    "says so (`bbox_xywh`); an empty cell: read, nothing found, unless the label says what was",
    _sniff,
    _read,
    empty_means="no finding",
)
