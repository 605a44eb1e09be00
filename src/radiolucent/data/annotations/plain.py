"""Our plain CSV: one row a box, or one without numbers for a reading that found nothing."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.shapes import bounds
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import Said, column, four, rows_of
from radiolucent.data.annotations.words import says_nothing_found
from radiolucent.errors import AnnotationError
from radiolucent.files import write_text
from radiolucent.types import Annotation, Region

__all__ = ["FORMAT", "write_csv"]

_COLUMNS = ("image", "x", "y", "width", "height", "label", "reader", "statement")
_BOXES = (("x", "y", "w", "h"), ("x", "y", "width", "height"))  # beside w and h, width and height are the image's
_MORE = "diagnoses"  # what the reader called the film beside the mark; several with "|" between them


def _numbers(source: Source) -> tuple[str, ...] | None:
    """The columns of a box, under either of their usual names; None where there are none."""
    rows = source.rows
    return next((names for names in _BOXES if rows is not None and rows.has(*names)), None)


def _sniff(source: Source) -> bool:
    of_rsna = source.rows is not None and source.rows.has("patientid", "target")
    return _numbers(source) is not None and column(source) is not None and not of_rsna


def _read(source: Source, g: Gatherer) -> None:
    image, box_of = column(source), _numbers(source)
    assert image is not None and box_of is not None
    columns = Said(source, g, (image, *box_of, _MORE))
    for line, row in rows_of(source, g):
        reader = columns.reader(row)
        with g.entry(f"line {line}", row[image] or None, reader):
            if not row[image]:
                raise AnnotationError("names no image")
            numbers = [row[c] for c in box_of]
            said: Any = {"reader": reader, "statement": row.get("statement") or "", "shape": columns.shape(row)}
            if not any(numbers):
                g.whole(row[image], columns.of_film(row), **said)
                continue
            try:
                box = Region.box(*four(numbers))
            except AnnotationError as error:
                raise AnnotationError(f"{','.join(numbers)} is no box ({error})") from error
            diagnoses = [d for d in row.get(_MORE, "").split("|") if d]
            g.mark(row[image], [box], columns.labels(row), diagnoses=diagnoses, **said)


def write_csv(annotations: Iterable[Annotation], path: str | Path) -> None:
    """Write boxes as plain CSV (a polygon or mask as its bounding box), one row a region, or one without a place.

    Raises:
        AnnotationError: zone scores, or what a row without numbers would not say: a finding without place or label, or
            nothing found under another label; write COCO.
    """
    annotations = list(annotations)
    extra = any(a.diagnoses for a in annotations)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COLUMNS, *([_MORE] if extra else [])])
    for a in annotations:
        zones = sum(r.kind == "zone" for r in a.regions)
        if zones or (not a.regions and a.finding == (a.label is None or says_nothing_found(a.label))):
            raise AnnotationError(
                f"{a.image_id}: {a.reader} has {zones} zone scores"
                if zones
                else f"{a.image_id}: {a.reader} found "
                f"{'something' if a.finding else 'nothing'} under {a.label or 'no label'}; an empty row would say that "
                f"{'nothing was found' if a.finding else 'something was'}. Write COCO instead."
            )
        if a.label and re.search("[|;]", a.label):
            raise AnnotationError(f"{a.image_id}: {a.label!r} would be read as several labels. Write COCO instead.")
        words = [a.label or "", a.reader, a.statement, *(["|".join(a.diagnoses)] if extra else [])]
        boxes = [[f"{v:.10g}" for v in bounds(r)] for r in a.regions if r.kind != "zone"]
        for box in boxes or [["", "", "", ""]]:
            writer.writerow([a.image_id, *box, *words])
    write_text(path, stream.getvalue())


FORMAT = Format(
    "csv",
    "CSV of boxes",
    "csv",
    "`image` (or `filename`, …), `x,y,width,height` (or `x,y,w,h`, beside which `width` and `height` are the image's), "
    "and, where there are, `label`, `reader`, "
    "`statement`, `diagnoses`; the label may be called `class`, `category`, "
    "`diagnosis`, `finding`, …, the reader `rad_id`, `annotator`, …",
    "empty numbers: read, nothing found, unless the label says what was; other columns are noted, and refused where "
    "they may hold what was found; in every CSV: `,` `;` tab or `|` between "
    "cells, "
    "decimal commas where commas do not separate, a line `sep=`, blanks around names, empty cells at the end of lines, "
    "UTF-8, UTF-16 and Windows-1252 (noted); `|` and `;` part labels, commas do not (noted)",
    _sniff,
    _read,
    empty_means="no finding",
    write=lambda annotations, path, dataset: write_csv(annotations, path),
    to=".csv",
)
