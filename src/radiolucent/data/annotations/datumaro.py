"""Datumaro JSON: boxes, polygons, ellipses, masks, and labels and captions of the image."""

from typing import Any

import numpy as np

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.coco import coco_mask
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea, Shape
from radiolucent.data.annotations.shapes import ellipse, turned_about_centre
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_NO_AREA = {"points": "points", "polyline": "a polyline", "skeleton": "a skeleton", "cuboid_3d": "a cuboid"}
_EXPECTED = "bbox, polygon, ellipse or mask"


def _sniff(source: Source) -> bool:
    content = source.json
    return isinstance(content, dict) and isinstance(content.get("items"), list) and "categories" in content


def _read(source: Source, g: Gatherer) -> None:
    content = source.json
    listed = ((content.get("categories") or {}).get("label") or {}).get("labels") or []
    names = [str(item["name"]) for item in listed]
    seen: set[str] = set()
    for item in content["items"]:
        key = str(item["id"])
        with g.entry(f"item {key}"):
            if key in seen:
                raise AnnotationError(f"the id {key} is given twice; expected each once")
            seen.add(key)
            image = item.get("image") or {}
            media = item.get("media") or {}
            size = image.get("size") or media.get("size") or (None, None)
            name = image.get("path") or media.get("path") or key
            with g.entry(f"item {key}", name):
                _item(item, g, str(name), image_shape(*size), names)


def _item(item: Any, g: Gatherer, image: str, shape: Shape | None, names: list[str]) -> None:
    """Marks and labels by reader, whom an attribute `reader` or `annotator` names."""
    held: dict[str, tuple[list[Mark], list[str], list[str]]] = {}
    left = False
    for number, one in enumerate(item.get("annotations") or ()):
        about = one.get("attributes") or {}
        reader = str(about.get("reader") or about.get("annotator") or g.options.reader)
        marks, labels, words = held.setdefault(reader, ([], [], []))
        with g.entry(f"{image}, annotation {one.get('id', number)} ({one.get('type')})", image, reader):
            label = _label(one, names)
            if one["type"] == "label":
                labels += [label] if label else []
            elif one["type"] == "caption":
                words.append(str(one["caption"]))
            else:
                left = True
                marks.append(Mark(_region(one, shape), label, str(about.get("statement") or "")))
    for reader, (marks, labels, words) in held.items():
        with g.entry(image, image, reader):
            said: Any = {"reader": reader, "shape": shape, "statement": "; ".join(words)}
            g.reading(image, marks, labels, empty="not read" if left and not marks else None, **said)
    if not held:
        g.whole(image, shape=shape)


def _label(one: Any, names: list[str]) -> str | None:
    number = one.get("label_id")
    if number is None:
        return None
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise AnnotationError(f"label id {number!r} of {len(names)} labels")
    return names[number]


def _region(one: Any, shape: Shape | None) -> Region:
    kind = one["type"]
    turn = float((one.get("attributes") or {}).get("rotation") or 0)
    if kind == "bbox":
        x, y, width, height = (float(v) for v in one["bbox"])
        return turned_about_centre(x, y, width, height, turn)
    if kind == "polygon":
        return Region.polygon(np.asarray(one["points"], float).reshape(-1, 2))
    if kind == "ellipse":
        left, top, right, bottom = (float(v) for v in one["points"])
        return ellipse((left + right) / 2, (top + bottom) / 2, abs(right - left) / 2, abs(bottom - top) / 2, turn)
    if kind == "mask":
        return Region.mask(coco_mask(one["rle"], shape))
    raise NoArea(_NO_AREA.get(kind, f"a {kind}"), str(kind), _EXPECTED)


FORMAT = Format(
    "datumaro",
    "Datumaro JSON",
    "json",
    "boxes, polygons, ellipses, masks, labels and captions of the image; an attribute `reader` or `annotator` names "
    "the reader",
    "`size` is (height, width); an ellipse is told by its bounding box; an attribute `rotation` turns about the "
    "centre; labels beside marks are kept as `diagnoses`",
    _sniff,
    _read,
)
