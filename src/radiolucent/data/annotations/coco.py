"""COCO JSON: boxes, polygons, run-length masks; readers, statements, zone scores and "no finding" beside them."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, NoArea, Shape
from radiolucent.data.annotations.shapes import area_of, bounds, turned_about_centre
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.files import write_json
from radiolucent.types import Annotation, Region

__all__ = ["FORMAT", "coco_mask", "write_coco"]


def _sniff(source: Source) -> bool:
    content = source.json
    return isinstance(content, dict) and "images" in content and "annotations" in content


def _read(source: Source, g: Gatherer) -> None:
    content = source.json
    images = _by_id(
        content["images"], "image", g, lambda i: (i["file_name"], image_shape(i.get("height"), i.get("width")))
    )
    categories = _by_id(content.get("categories") or [], "category", g, lambda c: str(c["name"]))
    ids = Counter(_key(i["id"]) for i in content["annotations"] if isinstance(i, dict) and "id" in i)
    seen: set[str] = set()
    for number, item in enumerate(content["annotations"]):
        where = f"annotation {item.get('id', number) if isinstance(item, dict) else number}"
        with g.entry(where):
            name, shape = _image(item, images)
            seen.add(_key(item["image_id"]))
            reader = str(item.get("reader") or g.options.reader)
            with g.entry(where, name, reader):
                if "id" in item and ids[_key(item["id"])] > 1:
                    raise AnnotationError(f"the id {item['id']} is given twice; expected each once")
                _item(item, g, name, reader, categories, shape)
    for number, reading in enumerate(content.get("readings", [])):
        with g.entry(f"reading {number}"):
            name, shape = _image(reading, images)
            seen.add(_key(reading["image_id"]))
            _reading(reading, g, name, shape)
    for key in images.keys() - seen:
        with g.entry(f"image {key}"):
            g.whole(images[key][0], shape=images[key][1])


def _key(value: Any) -> str:
    """An id as a text, so that "1", 1 and 1.0 are one."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _by_id(items: Any, what: str, g: Gatherer, held: Callable[[Any], Any]) -> dict[str, Any]:
    """What entries hold, by their id; entries that share an id are named, and none of them is used."""
    found: dict[str, Any] = {}
    ids = Counter(_key(item["id"]) for item in items if isinstance(item, dict) and "id" in item)
    for number, item in enumerate(items):
        name = item.get("file_name") if isinstance(item, dict) else None
        with g.entry(f"{what} {item.get('id', number) if isinstance(item, dict) else number}", name or None):
            key, content = _key(item["id"]), held(item)
            if ids[key] > 1:
                raise AnnotationError(f"the id {key} is given twice; expected each once")
            found[key] = content
            if name:
                g.once(name, f"{what} {key}")
    return found


def _image(item: Any, images: dict[str, Any]) -> tuple[str, Shape | None]:
    key = _key(item["image_id"])
    if key not in images:
        raise AnnotationError(f"speaks of image id {key}, which is not listed, or not once")
    return images[key]


def _item(item: Any, g: Gatherer, name: str, reader: str, categories: dict[str, str], shape: Shape | None) -> None:
    category = item.get("category_id")
    if item.get("score") is not None and item["score"] != 1:
        raise AnnotationError(f"a score of {item['score']}: predictions are no readings")
    if category is not None and categories and _key(category) not in categories:
        raise AnnotationError(f"category id {category}, which is not listed, or not once")
    # `label` is ours: a category must be something, but a reader may have named no class.
    named = categories.get(_key(category))
    if named is None and category is not None:
        named = _key(category)
        g.note("no categories are listed: they are named by their numbers")
    label = item["label"] if "label" in item else named
    more: Any = {"reader": reader, "statement": str(item.get("statement") or ""), "shape": shape}
    if not _outlines(item.get("segmentation")) and not any(item.get("bbox") or ()):
        if item.get("keypoints"):
            raise NoArea("a keypoint", "keypoints", "bbox or segmentation")
        if label is None:
            raise AnnotationError("no usable bbox or segmentation; expected one of them")
        g.whole(name, label, **more)
        return
    regions = _regions(item, shape)
    if _apart(regions, item.get("bbox")):
        g.note("a bbox and a segmentation of one mark that lie apart: the segmentation is taken")
    g.mark(name, regions, label, diagnoses=[str(d) for d in item.get("diagnoses") or ()], **more)


def _reading(reading: Any, g: Gatherer, name: str, shape: Shape | None) -> None:
    said: Any = {"reader": reading.get("reader"), "shape": shape, "statement": str(reading.get("statement") or "")}
    zones = [Region.zone(str(k), float(v)) for k, v in (reading.get("zones") or {}).items()]
    label, finding = reading.get("label"), reading.get("finding", True)
    if zones and finding:
        g.mark(name, zones, label, **said)
    else:
        g.state(name, label, finding=bool(finding), **said)


def coco_mask(coded: Any, shape: Shape | None) -> Any:
    """Pixels (H, W) of a run-length mask, compressed (string) or not (list), along columns; `size` is (H, W)."""
    from pycocotools import mask as rle

    height, width = image_shape(*coded["size"]) or (0, 0)
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


def _apart(regions: Sequence[Region], bbox: Any) -> bool:
    """Whether the outlines of a mark have nothing in common with its bbox."""
    points = [r.points for r in regions if r.points is not None]
    if not points or not isinstance(bbox, list) or len(bbox) != 4:
        return False
    low, high = np.concatenate(points).min(0), np.concatenate(points).max(0)
    start = np.asarray(bbox[:2], float)
    return bool(np.any(high <= start) or np.any(low >= start + np.asarray(bbox[2:], float)))


def _outlines(segmentation: Any) -> Any:
    """The segmentation without its empty outlines; None where nothing is left of it."""
    if isinstance(segmentation, list):
        return [p for p in segmentation if p] or None
    return segmentation or None


def _regions(item: Any, shape: Shape | None) -> list[Region]:
    segmentation = _outlines(item.get("segmentation"))
    if isinstance(segmentation, list):
        if not isinstance(segmentation[0], list):
            segmentation = [segmentation]  # one outline, not in a list of its own
        return [Region.polygon(np.asarray(p, float).reshape(-1, 2)) for p in segmentation]
    if segmentation is not None:
        return [Region.mask(coco_mask(segmentation, shape))]
    if "bbox" not in item:
        raise AnnotationError("no usable bbox or segmentation; expected one of them")
    if item.get("bbox_mode", 1) != 1:  # of Detectron2; 1 is what COCO itself means
        raise AnnotationError(f"bbox_mode {item['bbox_mode']!r}; expected 1: x, y, width, height")
    box = [float(v) for v in item["bbox"]]
    if len(box) != 4 or not all(math.isfinite(v) for v in box):
        raise AnnotationError(f"bbox {box}; expected x, y, width, height")
    turn = float((item.get("attributes") or {}).get("rotation") or 0)  # of CVAT, clockwise
    return [turned_about_centre(box[0], box[1], box[2], box[3], turn)]


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
            said = {"reader": a.reader, "label": a.label, "statement": a.statement}
            items.append(head | _coded(region) | said | ({"diagnoses": list(a.diagnoses)} if a.diagnoses else {}))
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


FORMAT = Format(
    "coco",
    "COCO JSON",
    "json",
    "boxes, polygons, run-length masks (compressed or not); our own `reader`, `statement`, `diagnoses`, and a list "
    '`readings` with "no finding" and zone scores',
    "runs go down the columns; `size` is (height, width); runs that do not fill the mask are refused; ids that occur "
    'twice are refused, "1" and 1 are one; an empty `segmentation` beside a box leaves the box',
    _sniff,
    _read,
    write=lambda annotations, path, dataset: write_coco(annotations, path),
)
