"""VinDr-CXR: `image_id,rad_id,class_name,x_min,y_min,x_max,y_max`, a row a box and reader."""

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.shapes import corners_box
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import Said, four, rows_of

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    rows = source.rows
    return rows is not None and rows.has("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")


def _read(source: Source, g: Gatherer) -> None:
    columns = Said(source, g, ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max"))
    for line, row in rows_of(source, g):
        image, reader = row["image_id"], columns.reader(row)
        with g.entry(f"line {line}", image or None, reader):
            numbers = [row[c] for c in ("x_min", "y_min", "x_max", "y_max")]
            if any(numbers):
                box = corners_box(*four(numbers))
                g.mark(image, [box], row["class_name"], reader=reader, shape=columns.shape(row))
            else:
                g.whole(image, row["class_name"], reader=reader, shape=columns.shape(row))


FORMAT = Format(
    "vindr",
    "VinDr-CXR CSV",
    "csv",
    "`image_id,rad_ID,class_name,x_min,y_min,x_max,y_max`",
    'corners, not sizes, in any order; "No finding" by some readers of a film, boxes by others; `width` and `height` '
    "are the image's",
    _sniff,
    _read,
)
