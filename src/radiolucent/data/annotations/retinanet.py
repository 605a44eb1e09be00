"""CSV without a heading, as keras-retinanet is trained on: `path,x1,y1,x2,y2,class`."""

import re

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.names import stem
from radiolucent.data.annotations.shapes import corners_box
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import four
from radiolucent.errors import AnnotationError

__all__ = ["FORMAT"]

_NUMBER = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)$")


def _sniff(source: Source) -> bool:
    first = source.cells[0][1] if source.cells else []
    if len(first) != 6 or stem(first[0]) == first[0]:
        return False
    return all(_NUMBER.match(c) for c in first[1:5]) or not any(first[1:])


def _read(source: Source, g: Gatherer) -> None:
    for line, cells in source.cells:
        if not any(cells):
            continue
        with g.entry(f"line {line}", cells[0] or None):
            if len(cells) != 6:
                raise AnnotationError(f"has {len(cells)} cells; expected path,x1,y1,x2,y2,class")
            if any(cells[1:5]):
                g.mark(cells[0], [corners_box(*four(cells[1:5]))], cells[5])
            else:
                g.whole(cells[0], cells[5])


FORMAT = Format(
    "retinanet",
    "CSV without heading",
    "csv",
    "`path,x1,y1,x2,y2,class`, as keras-retinanet takes it",
    "corners in any order; `path,,,,,` is a film read without finding",
    _sniff,
    _read,
    empty_means="no finding",
)
