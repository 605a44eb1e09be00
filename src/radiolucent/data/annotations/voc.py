"""Pascal VOC XML, one file an image; in and out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.names import LAYOUT, clean_name, parts_of
from radiolucent.data.annotations.shapes import bounds, corners_box, turned_about_centre, turned_box
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.writing import in_reach, no_zones, placed_only, readings_of
from radiolucent.data.records import Dataset
from radiolucent.errors import AnnotationError
from radiolucent.files import write_bytes
from radiolucent.types import Annotation, Region

__all__ = ["FORMAT"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_UNNAMED = "finding"  # the object's name where the reader gave none


def _sniff(source: Source) -> bool:
    root = source.xml
    return root is not None and root.tag == "annotation" and any(
        root.find(tag) is not None for tag in ("filename", "path", "object")
    )  # fmt: skip


def _read(source: Source, g: Gatherer) -> None:
    root = source.xml
    assert root is not None
    image = _image(root) or source.path.stem
    if parts_of(image)[-2:-1] and parts_of(image)[-2].lower() in LAYOUT:  # says where, but not whose film it is
        g.from_server(image)
    shape = image_shape(root.findtext("size/height"), root.findtext("size/width"))
    reader = (root.findtext("reader") or root.findtext("annotator") or "").strip() or g.options.reader
    objects = root.findall("object")
    for number, item in enumerate(objects):
        label = (item.findtext("name") or "").strip()
        if item.findtext("deleted") == "1":
            continue
        with g.entry(f"object {number} ({label})", image, reader):
            words = (item.findtext("statement") or "").strip()
            g.mark(image, [_region(item)], label, reader=reader, statement=words, shape=shape)
    if not objects:
        words = (root.findtext("statement") or "").strip()
        g.whole(image, reader=reader, statement=words, shape=shape)


def _image(root: Element) -> str:
    """The image's name with the folders that `path` or `folder` give: one file name may stand in several."""
    named, path, folder = (clean_name(root.findtext(tag) or "") for tag in ("filename", "path", "folder"))
    if not named or "/" in named:
        return named or path
    if parts_of(path)[-1:] == (named,) and len(parts_of(path)) > 1:
        return path
    return f"{folder}/{named}" if folder and folder.lower() not in LAYOUT else named


def _region(item: Element) -> Region:
    polygon, box, turned = item.find("polygon"), item.find("bndbox"), item.find("robndbox")
    if polygon is not None:
        return Region.polygon(_corners(polygon))
    if turned is not None:
        cx, cy, w, h, angle = (float(turned.findtext(k) or "nan") for k in ("cx", "cy", "w", "h", "angle"))
        corners = turned_box(0, 0, w, h, float(np.degrees(angle))).points
        assert corners is not None
        return turned_box(cx - w / 2, cy - h / 2, w, h, 0) if not angle else Region.polygon(
            corners - corners.mean(0) + np.array([cx, cy])
        )  # fmt: skip
    if box is None:
        raise AnnotationError("no bndbox; expected one, or a polygon or robndbox")
    named = {(a.findtext("name") or "").strip(): a.findtext("value") for a in item.iterfind("attributes/attribute")}
    if turn := float(named.get("rotation") or 0):
        left, top, right, bottom = (float(box.findtext(k) or "nan") for k in _CORNERS)
        return turned_about_centre(min(left, right), min(top, bottom), abs(right - left), abs(bottom - top), turn)
    return corners_box(*(float(box.findtext(k) or "nan") for k in _CORNERS))


def _corners(polygon: Element) -> list[tuple[float, float]]:
    """Corners as `<pt><x/><y/></pt>`, `<point>…`, or `<x1/><y1/><x2/><y2/>…`."""
    points = [*polygon.findall("pt"), *polygon.findall("point")]
    if points:
        return [(float(p.findtext("x") or "nan"), float(p.findtext("y") or "nan")) for p in points]
    numbers = {child.tag: float(child.text or "nan") for child in polygon if child.tag[:1] in ("x", "y")}
    count = sum(tag.startswith("x") for tag in numbers)
    return [(numbers[f"x{k}"], numbers[f"y{k}"]) for k in range(1, count + 1)]


def _write(annotations: Sequence[Annotation], path: Path, dataset: Dataset | None) -> None:
    """A folder a reader, in it a file an image, below the image's own folders; polygons and masks as their boxes."""
    for (image, reader), said in readings_of(annotations).items():
        no_zones(said, "voc")
        placed_only(said, "voc")
        root = Element("annotation")
        _text(root, "filename", image)
        _text(root, "reader", reader)
        shape = next((a.image_shape for a in said if a.image_shape), None)
        if shape:
            size = SubElement(root, "size")
            for name, value in (("width", shape[1]), ("height", shape[0]), ("depth", 1)):
                _text(size, name, value)
        for a in said:
            if not a.regions and a.statement:
                _text(root, "statement", a.statement)
            for region in a.regions:
                x, y, width, height = bounds(region)
                item = SubElement(root, "object")
                _text(item, "name", a.label or _UNNAMED)
                box = SubElement(item, "bndbox")
                for name, value in zip(_CORNERS, (x, y, x + width, y + height), strict=True):
                    _text(box, name, f"{value:.10g}")
                if a.statement:
                    _text(item, "statement", a.statement)
        ElementTree.indent(root)
        write_bytes(in_reach(path, reader, image, ".xml"), ElementTree.tostring(root, "utf-8"))


def _text(parent: Element, name: str, value: Any) -> None:
    SubElement(parent, name).text = str(value)


FORMAT = Format(
    "voc",
    "Pascal VOC XML",
    "xml",
    "one file an image: boxes, turned boxes (`robndbox`), polygons; `reader` or `annotator` is the reader",
    "corners in any order, taken as they stand (the first VOC counted pixels from 1, the tools of today from 0); any "
    "document type is refused; `path` and `folder` are part of the image's name; a "
    "file without objects is an image read without finding",
    _sniff,
    _read,
    empty_means="no finding",
    per_image=True,
    write=_write,
    to="",
)
