"""Doctors' readings from and to COCO JSON and plain CSV."""

import csv
import dataclasses
import io
import json
import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from radiolucent.data.records import Dataset
from radiolucent.errors import AnnotationError
from radiolucent.files import write_json, write_text
from radiolucent.types import Annotation, Region

__all__ = ["read_annotations", "write_coco", "write_csv"]

_COLUMNS = ("image", "x", "y", "width", "height", "label", "reader", "statement")


def read_annotations(path: str | Path, *, dataset: Dataset | None = None) -> list[Annotation]:
    """Read readings, one `Annotation` for each reader and image.

    COCO JSON: boxes, polygons and run-length masks; `reader` and `statement` of an annotation are kept; readings
    without finding are listed under "readings" (`write_coco`). CSV: `image,x,y,width,height[,label,reader,statement]`,
    top left corner and size in source pixels; empty numbers mean the image was read and nothing found.

    Args:
        dataset: match images to its `image_id`, by the whole path or, where that is unique, the file name.

    Raises:
        AnnotationError: unreadable, malformed (with the line), or an image that matches none or several films.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{file}: cannot be read ({error}).") from error
    readings = _coco(file, text) if text.lstrip()[:1] == "{" else _csv(file, text)
    return [_match(a, _names(dataset), file) for a in readings] if dataset else readings


def _names(dataset: Dataset) -> dict[str, set[str]]:
    names: dict[str, set[str]] = defaultdict(set)
    for record in dataset.records:
        parts = record.image_id.split("/")
        for key in (record.image_id, str(record.path), parts[-1], parts[-1].rsplit(".", 1)[0]):
            names[key].add(record.image_id)
    return names


def _match(annotation: Annotation, names: dict[str, set[str]], file: Path) -> Annotation:
    found = names.get(annotation.image_id) or names.get(annotation.image_id.split("/")[-1]) or set()
    if len(found) != 1:
        what = "no film" if not found else f"{len(found)} films ({', '.join(sorted(found)[:3])})"
        raise AnnotationError(
            f"{file}: {annotation.image_id} matches {what} of the data set; give the path below its root."
        )
    return dataclasses.replace(annotation, image_id=next(iter(found)))


def _csv(file: Path, text: str) -> list[Annotation]:
    rows = csv.DictReader(io.StringIO(text))
    if not {"image", "x", "y", "width", "height"} <= set(rows.fieldnames or ()):
        have = ", ".join(rows.fieldnames or ())
        raise AnnotationError(f"{file}: expected COCO JSON, or CSV with columns {', '.join(_COLUMNS)}; got {have}.")
    grouped: dict[tuple[str, str], list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        grouped[row["image"], row.get("reader") or "reader"].append((number, row))
    return [_reading(file, image, reader, lines) for (image, reader), lines in grouped.items()]


def _reading(file: Path, image: str, reader: str, lines: list[tuple[int, dict[str, str]]]) -> Annotation:
    regions: list[Region] = []
    for number, row in lines:
        cells = [(row[c] or "").strip() for c in ("x", "y", "width", "height")]
        if not any(cells):
            continue
        try:
            regions.append(Region.box(*(float(c) for c in cells)))
        except (ValueError, AnnotationError) as error:
            raise AnnotationError(f"{file}, line {number}: {','.join(cells)} is no box ({error}).") from error
    first = lines[0][1]
    return Annotation(
        image, tuple(regions), first.get("label") or None, reader, first.get("statement") or "", bool(regions)
    )


def _coco(file: Path, text: str) -> list[Annotation]:
    try:
        content = json.loads(text)
        images = {i["id"]: i for i in content["images"]}
        categories = {c["id"]: c["name"] for c in content.get("categories", [])}
        grouped: dict[tuple[Any, str], list[dict[str, Any]]] = defaultdict(list)
        for item in content["annotations"]:
            grouped[item["image_id"], item.get("reader", "reader")].append(item)
        stated = {(r["image_id"], r.get("reader", "reader")): r for r in content.get("readings", [])}
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationError(
            f"{file}: not COCO JSON ({error!r}); expected images, annotations, categories."
        ) from error
    found: list[Annotation] = []
    for key in dict.fromkeys([*grouped, *stated]):
        image, items, reading = images.get(key[0]), grouped.get(key, []), stated.get(key, {})
        if image is None:
            raise AnnotationError(f"{file}: an annotation speaks of image id {key[0]}, which is not listed.")
        shape = (int(image["height"]), int(image["width"])) if image.get("height") and image.get("width") else None
        regions = tuple(region for item in items for region in _regions(file, item, shape))
        label = reading.get("label") or next((categories.get(i.get("category_id")) for i in items), None)
        words = reading.get("statement") or next((i["statement"] for i in items if i.get("statement")), "")
        found.append(Annotation(image["file_name"], regions, label, key[1], words, bool(regions), shape))
    return found


def _regions(file: Path, item: dict[str, Any], shape: tuple[int, int] | None) -> list[Region]:
    where = f"{file}, annotation {item.get('id')}"
    try:
        segmentation = item.get("segmentation")
        if isinstance(segmentation, list) and segmentation:
            return [Region.polygon(np.asarray(p, float).reshape(-1, 2)) for p in segmentation]
        if isinstance(segmentation, dict):
            height, width = segmentation["size"]
            if shape and (height, width) != shape:
                raise AnnotationError(f"{where}: mask of {height} × {width}, image of {shape[0]} × {shape[1]}.")
            coded: Any = segmentation
            if isinstance(coded["counts"], list):
                coded = rle.frPyObjects(coded, height, width)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, on NumPy 2
                return [Region.mask(rle.decode(coded))]
        box = [float(v) for v in item["bbox"]]
        if len(box) != 4 or not all(math.isfinite(v) for v in box):
            raise AnnotationError(f"{where}: bbox {box}; expected x, y, width, height.")
        return [Region.box(*box)]
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"{where}: no usable bbox or segmentation ({error!r}).") from error


def write_csv(annotations: Iterable[Annotation], path: str | Path) -> None:
    """Write boxes as plain CSV (a polygon or mask as its bounding box), one row a region, or one without finding."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for a in annotations:
        words = [a.label or "", a.reader, a.statement]
        boxes = [[f"{v:g}" for v in _bounds(r)] for r in a.regions if r.kind != "zone"]
        for box in boxes or [["", "", "", ""]]:
            writer.writerow([a.image_id, *box, *words])
    write_text(path, stream.getvalue())


def _bounds(region: Region) -> tuple[float, float, float, float]:
    if region.pixels is not None:
        rows, columns = np.flatnonzero(region.pixels.any(1)), np.flatnonzero(region.pixels.any(0))
        return float(columns[0]), float(rows[0]), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)
    assert region.points is not None
    (left, top), (right, bottom) = region.points.min(0), region.points.max(0)
    return float(left), float(top), float(right - left), float(bottom - top)


def write_coco(annotations: Sequence[Annotation], path: str | Path, *, categories: Sequence[str] = ()) -> None:
    """Write readings as COCO JSON, with every reading (also those without finding) under "readings"."""
    labels = list(dict.fromkeys([*categories, *(a.label or "finding" for a in annotations)]))
    images = {name: i for i, name in enumerate(dict.fromkeys(a.image_id for a in annotations), start=1)}
    shapes = {a.image_id: a.image_shape for a in annotations if a.image_shape}
    items: list[dict[str, Any]] = []
    for a in annotations:
        for region in a.regions:
            if region.kind == "zone":
                continue
            item: dict[str, Any] = {
                "id": len(items) + 1,
                "image_id": images[a.image_id],
                "category_id": labels.index(a.label or "finding") + 1,
                "bbox": list(_bounds(region)),
                "iscrowd": 0,
                "reader": a.reader,
                "statement": a.statement,
            }
            if region.kind == "polygon" and region.points is not None:
                item["segmentation"] = [region.points.ravel().tolist()]
            if region.pixels is not None:
                coded: Any = rle.encode(np.asfortranarray(region.pixels.astype(np.uint8)))
                item["segmentation"] = {"size": list(coded["size"]), "counts": coded["counts"].decode()}
            item["area"] = item["bbox"][2] * item["bbox"][3]
            items.append(item)
    write_json(
        path,
        {
            "images": [
                {"id": i, "file_name": n} | ({"height": shapes[n][0], "width": shapes[n][1]} if n in shapes else {})
                for n, i in images.items()
            ],
            "categories": [{"id": i, "name": n} for i, n in enumerate(labels, start=1)],
            "annotations": items,
            "readings": [
                {
                    "image_id": images[a.image_id],
                    "reader": a.reader,
                    "label": a.label,
                    "statement": a.statement,
                    "finding": a.finding,
                }
                for a in annotations
            ],
        },
    )
