"""COCO JSON: boxes, polygons, run-length masks; readers, statements, zone scores and "no finding" beside them."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.data.annotations.gather import Format, Gatherer, Shape, says_nothing_found
from radiolucent.data.annotations.shapes import area_of, bounds
from radiolucent.errors import AnnotationError
from radiolucent.files import write_json
from radiolucent.types import Annotation, Region

__all__ = ["COCO", "coco_mask", "write_coco"]


def _matches(content: Any) -> bool:
    return isinstance(content, dict) and "images" in content and "annotations" in content


def _read(content: Any, g: Gatherer) -> None:
    images: dict[Any, Any] = {}
    for number, image in enumerate(content["images"]):
        with g.entry(f"image {number}"):
            images[image["id"]] = (str(image["file_name"]), _shape(image))
    categories: dict[Any, str] = {}
    for number, category in enumerate(content.get("categories", [])):
        with g.entry(f"category {number}"):
            categories[category["id"]] = str(category["name"])
    seen: set[Any] = set()
    for number, item in enumerate(content["annotations"]):
        where = f"annotation {item.get('id', number) if isinstance(item, dict) else number}"
        with g.entry(where):
            if item["image_id"] not in images:
                raise AnnotationError(f"speaks of image id {item['image_id']}, which is not listed")
            seen.add(item["image_id"])
            name, shape = images[item["image_id"]]
            reader = str(item.get("reader") or g.options.reader)
            with g.entry(where, name, reader):
                _item(item, g, name, reader, categories, shape)
    for number, reading in enumerate(content.get("readings", [])):
        with g.entry(f"reading {number}"):
            name, shape = images[reading["image_id"]]
            seen.add(reading["image_id"])
            _reading(reading, g, name, shape)
    for key in images.keys() - seen:
        g.unmarked(images[key][0], shape=images[key][1])


def _shape(image: Any) -> Shape | None:
    return (int(image["height"]), int(image["width"])) if image.get("height") and image.get("width") else None


def _item(item: Any, g: Gatherer, name: str, reader: str, categories: dict[Any, str], shape: Shape | None) -> None:
    category = item.get("category_id")
    if category is not None and categories and category not in categories:
        raise AnnotationError(f"category id {category}, which is not listed")
    # `label` is ours: a category must be something, but a reader may have named no class.
    label = item["label"] if "label" in item else categories.get(category)
    words = str(item.get("statement") or "")
    if says_nothing_found(label) and not item.get("segmentation") and not any(item.get("bbox") or ()):
        g.nothing(name, reader=reader, label=label, statement=words, shape=shape)
        return
    g.marked(name, _regions(item, shape), reader=reader, label=label, statement=words, shape=shape)


def _reading(reading: Any, g: Gatherer, name: str, shape: Shape | None) -> None:
    said: Any = {"reader": reading.get("reader"), "label": reading.get("label"), "shape": shape}
    said["statement"] = str(reading.get("statement") or "")
    zones = [Region.zone(str(k), float(v)) for k, v in (reading.get("zones") or {}).items()]
    if reading.get("finding", True):
        g.marked(name, zones, **said)
    else:
        g.nothing(name, **said)


def coco_mask(coded: Any, shape: Shape | None) -> Any:
    """Pixels (H, W) of a run-length mask, compressed (string) or not (list), along columns; `size` is (H, W)."""
    from pycocotools import mask as rle

    height, width = (int(v) for v in coded["size"])
    if shape and (height, width) != shape:
        raise AnnotationError(f"mask of {height} × {width}, image of {shape[0]} × {shape[1]} (height × width)")
    counts: Any = coded["counts"]
    if isinstance(counts, list):
        if min(counts, default=0) < 0 or sum(counts) != height * width:
            raise AnnotationError(f"run lengths sum to {sum(counts)}; expected {height} × {width}")
        plain: Any = {"size": [height, width], "counts": counts}
        packed: Any = rle.frPyObjects(plain, height, width)
    else:
        text = counts.encode("ascii") if isinstance(counts, str) else counts
        _check_counts(text, height * width)
        packed = {"size": [height, width], "counts": text}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, on NumPy 2
        return rle.decode(packed).astype(bool)


def _check_counts(text: bytes, pixels: int) -> None:
    """Refuse a compressed string whose runs do not fill the mask: the C decoder would write beyond it.

    Six bits a character, little end first, five of them payload; the sixth says that more follow, and from the third
    run on the difference to the run before last is stored.
    """
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            if at >= len(text) or not 48 <= text[at] <= 111 or shift > 60:
                raise AnnotationError("run lengths are no compressed COCO string")
            c = text[at] - 48
            value |= (c & 0x1F) << shift
            more, at, shift = bool(c & 0x20), at + 1, shift + 5
            if not more and c & 0x10:
                value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    if min(runs, default=0) < 0 or sum(runs) != pixels:
        raise AnnotationError(f"run lengths sum to {sum(runs)}; expected {pixels} pixels")


def _regions(item: Any, shape: Shape | None) -> list[Region]:
    segmentation = item.get("segmentation")
    if isinstance(segmentation, list) and segmentation:
        return [Region.polygon(np.asarray(p, float).reshape(-1, 2)) for p in segmentation]
    if isinstance(segmentation, dict):
        return [Region.mask(coco_mask(segmentation, shape))]
    if "bbox" not in item:
        raise AnnotationError("no usable bbox or segmentation; expected one of them")
    box = [float(v) for v in item["bbox"]]
    if len(box) != 4 or not all(math.isfinite(v) for v in box):
        raise AnnotationError(f"bbox {box}; expected x, y, width, height")
    return [Region.box(*box)]


def write_coco(annotations: Sequence[Annotation], path: str | Path, *, categories: Sequence[str] = ()) -> None:
    """Write readings as COCO JSON, with every reading (also those without finding) under "readings"."""
    labels = list(dict.fromkeys([*categories, *(a.label or "finding" for a in annotations)]))
    images = {name: i for i, name in enumerate(dict.fromkeys(a.image_id for a in annotations), start=1)}
    shapes = {a.image_id: a.image_shape for a in annotations if a.image_shape}
    items: list[dict[str, Any]] = []
    for a in annotations:
        for region in (r for r in a.regions if r.kind != "zone"):
            head = {"id": len(items) + 1, "image_id": images[a.image_id]}
            head["category_id"] = labels.index(a.label or "finding") + 1
            items.append(head | _coded(region) | {"reader": a.reader, "label": a.label, "statement": a.statement})
    listed = [
        {"id": i, "file_name": n} | ({"height": shapes[n][0], "width": shapes[n][1]} if n in shapes else {})
        for n, i in images.items()
    ]
    write_json(
        path,
        {
            "images": listed,
            "categories": [{"id": i, "name": n} for i, n in enumerate(labels, start=1)],
            "annotations": items,
            "readings": [_as_reading(a, images[a.image_id]) for a in annotations],
        },
    )


def _coded(region: Region) -> dict[str, Any]:
    from pycocotools import mask as rle

    item: dict[str, Any] = {"bbox": list(bounds(region)), "area": area_of(region), "iscrowd": 0}
    if region.kind == "polygon" and region.points is not None:
        item["segmentation"] = [region.points.ravel().tolist()]
    if region.pixels is not None:
        coded: Any = rle.encode(np.asfortranarray(region.pixels.astype(np.uint8)))
        item["segmentation"] = {"size": list(coded["size"]), "counts": coded["counts"].decode()}
    return item


def _as_reading(a: Annotation, image: int) -> dict[str, Any]:
    zones = {r.name: r.score for r in a.regions if r.kind == "zone"}
    said = {"image_id": image, "reader": a.reader, "label": a.label, "statement": a.statement, "finding": a.finding}
    return said | ({"zones": zones} if zones else {})


COCO = Format("coco", "json", _matches, _read)
