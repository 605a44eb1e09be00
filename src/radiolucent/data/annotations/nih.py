"""NIH ChestX-ray14's `BBox_List_2017.csv`: `Image Index,Finding Label,Bbox [x,y,w,h],,,`."""

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import FULL, four, lines_of
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    rows = source.rows
    return (
        rows is not None and rows.has("image index", "finding label") and any(c.startswith("bbox") for c in rows.header)
    )


def _read(source: Source, g: Gatherer) -> None:
    """The heading's brackets hold three commas: six cells, or, where commas do not separate, one over the rows' "
    "four."""
    rows = source.rows
    assert rows is not None
    whole = (*rows.rows, *rows.ragged) if len(rows.header) == 3 else lines_of(source, g)
    for line, cells in whole:
        with g.entry(f"line {line}", cells[0] or None):
            if len(cells) < 6:
                raise AnnotationError(f"has {len(cells)} cells; expected image, label, x, y, width, height")
            numbers = [c.strip("[] ") for c in cells[2:6]]
            if any(numbers):
                g.mark(cells[0], [Region.box(*four(numbers))], cells[1], shape=FULL)
            else:
                g.whole(cells[0], cells[1], shape=FULL)


FORMAT = Format(
    "nih",
    "NIH ChestX-ray14 CSV",
    "csv",
    "`Image Index,Finding Label,Bbox [x,y,w,h],,,`, as published",
    "the heading's brackets hold commas, and it ends in empty cells that the rows lack; films are 1024 × 1024",
    _sniff,
    _read,
)
