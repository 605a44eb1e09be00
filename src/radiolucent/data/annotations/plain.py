"""Our plain CSV: one row a box, or one without numbers for a reading that found nothing."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from radiolucent.data.annotations.gather import Format, Gatherer, Rows
from radiolucent.data.annotations.shapes import bounds
from radiolucent.errors import AnnotationError
from radiolucent.files import write_text
from radiolucent.types import Annotation, Region

__all__ = ["CSV", "write_csv"]

_COLUMNS = ("image", "x", "y", "width", "height", "label", "reader", "statement")


def _matches(content: Rows) -> bool:
    return content.has("image", "x", "y", "width", "height")


def _read(content: Rows, g: Gatherer) -> None:
    for line, cells in content.rows:
        row = dict(zip(content.header, cells, strict=True))
        reader = row.get("reader") or g.options.reader
        with g.entry(f"line {line}", row["image"] or None, reader):
            if not row["image"]:
                raise AnnotationError("no image named")
            numbers = [row[c].strip() for c in ("x", "y", "width", "height")]
            label, words = row.get("label") or None, row.get("statement") or ""
            if not any(numbers):
                g.nothing(row["image"], reader=reader, label=label, statement=words)
                continue
            try:
                box = Region.box(*(float(n) for n in numbers))
            except (ValueError, AnnotationError) as error:
                raise AnnotationError(f"{','.join(numbers)} is no box ({error})") from error
            g.marked(row["image"], [box], reader=reader, label=label, statement=words)


def write_csv(annotations: Iterable[Annotation], path: str | Path) -> None:
    """Write boxes as plain CSV (a polygon or mask as its bounding box), one row a region, or one without finding.

    Raises:
        AnnotationError: zone scores, or a finding without a place: the format has no words for them; write COCO.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for a in annotations:
        if a.finding and not any(r.kind != "zone" for r in a.regions):
            raise AnnotationError(
                f"{a.image_id}: {a.reader} found something that has no box ({len(a.regions)} zone scores); an empty "
                "row would say that nothing was found. Write COCO instead."
            )
        words = [a.label or "", a.reader, a.statement]
        boxes = [[f"{v:.10g}" for v in bounds(r)] for r in a.regions if r.kind != "zone"]
        for box in boxes or [["", "", "", ""]]:
            writer.writerow([a.image_id, *box, *words])
    write_text(path, stream.getvalue())


CSV = Format("csv", "csv", _matches, _read)
