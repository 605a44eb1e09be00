"""Supervisely JSON, one file an image (`ds0/ann/a.png.json`): rectangles, polygons with holes, bitmaps, tags."""

import zlib
from typing import Any

import numpy as np

from radiolucent.data.annotations.check import MOST_PIXELS, image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea, Shape
from radiolucent.data.annotations.pictures import marked, of_base64
from radiolucent.data.annotations.shapes import corners_box, even_odd
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.words import about_picture, answered
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_NO_AREA = {"point": "a point", "polyline": "a polyline", "cuboid": "a cuboid", "graph": "a skeleton"}


def _sniff(source: Source) -> bool:
    content = source.json
    return (
        isinstance(content, dict)
        and {"height", "width"} <= set(content.get("size") or ())
        and isinstance(content.get("objects"), list)
        and all("geometryType" in item and "classTitle" in item for item in content["objects"])
    )


def _read(source: Source, g: Gatherer) -> None:
    content = source.json
    image = source.path.name.removesuffix(".json")
    shape = image_shape(content["size"]["height"], content["size"]["width"])
    said: dict[str, tuple[list[Mark], list[str]]] = {}
    for tag in content.get("tags") or ():
        with g.entry(f"tag {tag.get('name')}", image):
            if about_picture(str(tag["name"])):
                g.pass_over(f"tag about the picture ({tag['name']})")
            elif label := _label(tag):
                said.setdefault(_reader(tag, g), ([], []))[1].append(label)
    for number, item in enumerate(content["objects"]):
        reader = _reader(item, g)
        with g.entry(f"object {item.get('id', number)} ({item.get('classTitle')})", image, reader):
            marks = said.setdefault(reader, ([], []))[0]
            for tag in item.get("tags") or ():
                g.pass_over(f"tag of an object ({tag.get('name')})")
            marks.append(Mark(_region(item, shape), item["classTitle"], str(item.get("description") or "")))
    for reader, (marks, labels) in said.items():
        with g.entry(image, image, reader):
            words = str(content.get("description") or "")
            g.reading(image, marks, labels, reader=reader, statement=words, shape=shape, empty="not read")
    if not said:
        g.whole(image, shape=shape)


def _reader(item: Any, g: Gatherer) -> str:
    return str(item.get("labelerLogin") or "") or g.options.reader


def _label(tag: Any) -> str | None:
    value = tag.get("value")
    return str(tag["name"]) if value is None or value == "" else answered(str(tag["name"]), str(value))


def _region(item: Any, shape: Shape | None) -> Region:
    kind = item["geometryType"]
    if kind == "rectangle":
        (left, top), (right, bottom) = item["points"]["exterior"]
        return corners_box(float(left), float(top), float(right), float(bottom))
    if kind == "polygon":
        return even_odd([item["points"]["exterior"], *(item["points"].get("interior") or ())], shape)
    if kind == "bitmap":
        return _bitmap(item["bitmap"], shape)
    name = "skeleton" if kind == "graph" else kind
    raise NoArea(_NO_AREA.get(kind, f"a {kind}"), name, "rectangle, polygon or bitmap")


def _bitmap(held: Any, shape: Shape | None) -> Region:
    """A PNG, by zlib and base64, whose top left pixel lies at `origin` (x, y)."""
    if shape is None:
        raise AnnotationError("a bitmap on an image of unknown size")
    try:
        part = marked(zlib.decompressobj().decompress(of_base64(held["data"]), 4 * MOST_PIXELS))
    except zlib.error as error:
        raise AnnotationError(f"the bitmap cannot be unpacked ({error})") from error
    x, y = (int(v) for v in held["origin"])
    if x < 0 or y < 0 or y + part.shape[0] > shape[0] or x + part.shape[1] > shape[1]:
        raise AnnotationError(f"a bitmap of {part.shape} at {x}, {y} leaves the image of {shape} (H, W)")
    total = np.zeros(shape, bool)
    total[y : y + part.shape[0], x : x + part.shape[1]] = part
    return Region.mask(total)


FORMAT = Format(
    "supervisely",
    "Supervisely JSON",
    "json",
    "one file an image: rectangles, polygons with holes, bitmaps; `labelerLogin` is the reader; tags of the image are "
    "its labels",
    "named like the film with `.json` behind; corners are taken as they stand; a bitmap is a part of the image, at its "
    "`origin`",
    _sniff,
    _read,
    per_image=True,
)
