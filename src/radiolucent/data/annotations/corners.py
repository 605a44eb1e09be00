"""CSV of boxes by two corners, as detectors are trained on: `filename,…,class,xmin,ymin,xmax,ymax`."""

from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.shapes import corners_box
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import Said, column, corner_columns, four, rows_of

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    return corner_columns(source) is not None and column(source) is not None


def _read(source: Source, g: Gatherer) -> None:
    image, corners = column(source), corner_columns(source)
    assert image is not None and corners is not None
    columns = Said(source, g, (image, *corners))
    for line, row in rows_of(source, g):
        reader = columns.reader(row)
        with g.entry(f"line {line}", row[image] or None, reader):
            said: Any = {"reader": reader, "statement": row.get("statement", "")}
            shape = columns.shape(row)
            numbers = [row[c] for c in corners]
            if any(numbers):
                g.mark(row[image], [corners_box(*four(numbers))], columns.labels(row), shape=shape, **said)
            else:
                g.whole(row[image], columns.of_film(row), shape=shape, **said)


FORMAT = Format(
    "corners",
    "CSV of corners",
    "csv",
    "`image` (or `filename`, …), `xmin,ymin,xmax,ymax` (or `x1,y1,x2,y2`), and, where there are, `class`, `label`, "
    "`finding_categories`, …, `reader` or `rad_id`, `width` and `height` of the image",
    "corners in any order; empty numbers: read, nothing found, unless the label says what was",
    _sniff,
    _read,
    empty_means="no finding",
)
