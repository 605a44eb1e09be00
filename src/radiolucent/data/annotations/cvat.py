"""CVAT XML 1.1, image by image; tracks of videos are refused."""

from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from radiolucent.data.annotations.gather import Format, Gatherer, Shape, says_nothing_found
from radiolucent.data.annotations.shapes import ellipse, row_runs, turned_box
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["CVAT"]

_PLACES = ("box", "polygon", "ellipse", "mask")
_NO_AREA = ("polyline", "points", "cuboid", "skeleton")


def _matches(content: Element) -> bool:
    return content.tag == "annotations" and (content.find("image") is not None or content.find("track") is not None)


def _read(content: Element, g: Gatherer) -> None:
    if content.find("track") is not None:
        g.problem("track", "belongs to a video; export as 'CVAT for images 1.1'")
    reader = next((content.findtext(path) for path in _ASSIGNEES if content.findtext(path)), None) or g.options.reader
    for number, image in enumerate(content.iter("image")):
        name = image.get("name")
        with g.entry(f"image {image.get('id', number)} ({name})", name):
            if not name:
                raise AnnotationError("no name")
            shape = int(float(image.attrib["height"])), int(float(image.attrib["width"]))
            _image(image, name, shape, reader, g)


_ASSIGNEES = ("meta/job/assignee/username", "meta/job/assignee", "meta/task/assignee/username")


def _image(image: Element, name: str, shape: Shape, reader: str, g: Gatherer) -> None:
    readers: set[str] = set()
    for number, item in enumerate(image):
        said = {a.get("name", ""): (a.text or "").strip() for a in item.findall("attribute")}
        who = said.get("reader") or reader
        label = item.get("label")
        more: Any = {"reader": who, "label": label, "statement": said.get("statement", ""), "shape": shape}
        with g.entry(f"{name}, {item.tag} {number} ({label})", name, who):
            if item.tag in _PLACES:
                g.marked(name, [_region(item, shape)], **more)
            elif item.tag == "tag":
                g.nothing(name, **more) if says_nothing_found(label) else g.marked(name, [], **more)
            elif item.tag in _NO_AREA:
                raise AnnotationError(f"a {item.tag} marks no area; expected {', '.join(_PLACES)}")
            readers.add(who)
    if not readers:
        g.unmarked(name, reader=reader, shape=shape)


def _region(item: Element, shape: Shape) -> Region:
    at = item.attrib
    if item.tag == "polygon":
        return Region.polygon([[float(v) for v in point.split(",")] for point in at["points"].split(";")])
    if item.tag == "ellipse":
        turn = float(at.get("rotation", 0))
        return ellipse(float(at["cx"]), float(at["cy"]), float(at["rx"]), float(at["ry"]), turn)
    if item.tag == "mask":
        left, top, width, height = (int(float(at[k])) for k in ("left", "top", "width", "height"))
        runs = row_runs([int(v) for v in at["rle"].split(",")], (height, width))
        if left < 0 or top < 0 or left + width > shape[1] or top + height > shape[0]:
            raise AnnotationError(f"mask of {width} × {height} at {left}, {top} leaves the image")
        total = np.zeros(shape, bool)
        total[top : top + height, left : left + width] = runs
        return Region.mask(total)
    left, top, right, bottom = (float(at[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
    return _about_centre(left, top, right - left, bottom - top, float(at.get("rotation", 0)))


def _about_centre(x: float, y: float, width: float, height: float, degrees: float) -> Region:
    """CVAT turns a box about its centre; `turned_box` about its corner."""
    if not degrees:
        return Region.box(x, y, width, height)
    turned = turned_box(0, 0, width, height, degrees).points
    assert turned is not None
    return Region.polygon(turned - turned.mean(0) + np.array([x + width / 2, y + height / 2]))


CVAT = Format("cvat", "xml", _matches, _read)
