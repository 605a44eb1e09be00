"""RSNA Pneumonia Detection Challenge: `patientId,x,y,width,height,Target`."""

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import FULL, Said, four, rows_of
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    return source.rows is not None and source.rows.has("patientid", "x", "y", "width", "height", "target")


def _read(source: Source, g: Gatherer) -> None:
    """A row a box (Target 1), or one without numbers (Target 0: no finding)."""
    columns = Said(source, g, ("patientid", "x", "y", "width", "height", "target"))
    for line, row in rows_of(source, g):
        image = row["patientid"]
        reader = columns.reader(row)
        with g.entry(f"line {line}", image, reader):
            numbers = [row[c] for c in ("x", "y", "width", "height")]
            target = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}.get(row["target"])
            if target is None:
                raise AnnotationError(f"Target {row['target']!r}; expected 0 or 1")
            if target:
                g.mark(image, [Region.box(*four(numbers))], "Lung Opacity", reader=reader, shape=FULL)
            elif any(numbers):
                raise AnnotationError(f"Target 0 with a box ({','.join(numbers)})")
            else:
                g.state(image, finding=False, reader=reader, shape=FULL)


FORMAT = Format(
    "rsna",
    "RSNA CSV",
    "csv",
    "`patientId,x,y,width,height,Target`",
    "Target 0 (or 0.0): no finding; films are 1024 × 1024",
    _sniff,
    _read,
)
