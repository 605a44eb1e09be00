"""VGG Image Annotator's CSV: a row a region, with JSON in its cells."""

import json
from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.tables import column, rows_of
from radiolucent.data.annotations.via import read_entries

__all__ = ["FORMAT"]

_NAMES = ("filename", "#filename")


def _sniff(source: Source) -> bool:
    rows = source.rows
    return (
        rows is not None and rows.has("region_shape_attributes", "region_attributes") and bool(column(source, _NAMES))
    )


def _read(source: Source, g: Gatherer) -> None:
    name = column(source, _NAMES) or _NAMES[0]
    images: dict[str, tuple[list[tuple[Any, Any]], Any]] = {}
    for line, row in rows_of(source, g):
        with g.entry(f"line {line}", row[name] or None):
            shape, about = json.loads(row["region_shape_attributes"] or "{}"), row["region_attributes"] or "{}"
            pairs, _ = images.setdefault(row[name], ([], json.loads(row.get("file_attributes") or "{}")))
            if shape:
                pairs.append((shape, json.loads(about)))
    for image, (pairs, of_file) in images.items():
        with g.entry(f"image {image}", image):
            read_entries(g, image, pairs, of_file, f"image {image}")


FORMAT = Format(
    "via-csv",
    "VGG Image Annotator CSV",
    "csv",
    "the same as CSV: `filename,…,region_shape_attributes,region_attributes`",
    "JSON in the cells",
    _sniff,
    _read,
)
