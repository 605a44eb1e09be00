"""CVAT XML 1.1, image by image; tracks of videos are refused."""

from xml.etree.ElementTree import Element

import numpy as np

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, NoArea, Shape
from radiolucent.data.annotations.shapes import ellipse, row_runs, turned_about_centre
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.words import answered
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_PLACES = ("box", "polygon", "ellipse", "mask")
_NO_AREA = ("polyline", "points", "cuboid", "skeleton")
_ASSIGNEES = ("meta/job/assignee/username", "meta/job/assignee", "meta/task/assignee/username", "meta/task/assignee")


def _sniff(source: Source) -> bool:
    root = source.xml
    return root is not None and root.tag == "annotations" and (
        root.find("image") is not None or root.find("track") is not None
    )  # fmt: skip


def _read(source: Source, g: Gatherer) -> None:
    content = source.xml
    assert content is not None
    if content.find("track") is not None:
        g.problem("track", "belongs to a video; export as 'CVAT for images 1.1'")
    default = _first(content, _ASSIGNEES) or g.options.reader
    of_task = {
        (task.findtext("id") or "").strip(): _first(task, ("assignee/username", "assignee"))
        for task in content.iterfind("meta/project/tasks/task")
    }
    for number, image in enumerate(content.iter("image")):
        name, task = image.get("name"), image.get("task_id", "")
        with g.entry(f"image {image.get('id', number)} ({name})", name):
            if not name:
                raise AnnotationError("names no image")
            reader = of_task.get(task) or default
            g.once(name, f"image {image.get('id', number)}{f' of task {task}' if task else ''}", reader)
            _image(image, name, image_shape(image.attrib["height"], image.attrib["width"]), reader, g)


def _first(element: Element, paths: tuple[str, ...]) -> str | None:
    texts = (element.findtext(path) for path in paths)
    return next((text.strip() for text in texts if text and text.strip()), None)


def _image(image: Element, name: str, shape: Shape | None, reader: str, g: Gatherer) -> None:
    if shape is None:
        raise AnnotationError("an image without size")
    tags: dict[str, list[tuple[str, str]]] = {}
    seen = False
    for number, item in enumerate(image):
        said = {a.get("name", ""): (a.text or "").strip() for a in item.findall("attribute")}
        who, words, label = said.get("reader") or reader, said.get("statement", ""), item.get("label")
        with g.entry(f"{name}, {item.tag} {number} ({label})", name, who):
            if item.tag in _PLACES:
                g.mark(name, [_region(item, shape)], _label(label, said, g), reader=who, statement=words, shape=shape)
            elif item.tag == "tag":
                tags.setdefault(who, []).append((_label(label, said, g), words))
            elif item.tag in _NO_AREA:
                seen = True
                raise NoArea(f"a {item.tag}", item.tag, ", ".join(_PLACES))
            else:
                continue
            seen = True
    for who, given in tags.items():
        with g.entry(f"{name}, tags", name, who):
            words = "; ".join(dict.fromkeys(w for _, w in given if w))
            g.whole(name, [label for label, _ in given], reader=who, statement=words, shape=shape, empty="not read")
    if not seen:
        g.whole(name, reader=reader, shape=shape)


def _label(label: str | None, said: dict[str, str], g: Gatherer) -> str:
    """The label, denied where an attribute `present`, or one of its own name, says no; others are passed over."""
    found = label or ""
    for name, value in said.items():
        if label and name.lower() in ("present", "presence", "value", label.lower()):
            answer = answered(label, value) if value else label
            found = answer if answer in (label, f"no {label}") else found
        elif name not in ("reader", "statement", "rotation") and value:
            g.pass_over(f"attribute that is no reading ({name})")
    return found


def _region(item: Element, shape: Shape) -> Region:
    at = item.attrib
    if item.tag == "polygon":
        return Region.polygon([[float(v) for v in point.split(",")] for point in at["points"].split(";")])
    if item.tag == "ellipse":
        turn = float(at.get("rotation", 0))
        return ellipse(float(at["cx"]), float(at["cy"]), float(at["rx"]), float(at["ry"]), turn)
    if item.tag == "mask":
        left, top, width, height = (int(float(at[k])) for k in ("left", "top", "width", "height"))
        if left < 0 or top < 0 or left + width > shape[1] or top + height > shape[0]:
            raise AnnotationError(f"mask of {width} × {height} at {left}, {top} leaves the image")
        runs = row_runs([int(v) for v in at["rle"].split(",")], (height, width))
        total = np.zeros(shape, bool)
        total[top : top + height, left : left + width] = runs
        return Region.mask(total)
    left, top, right, bottom = (float(at[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
    left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
    return turned_about_centre(left, top, right - left, bottom - top, float(at.get("rotation", 0)))


FORMAT = Format(
    "cvat",
    "CVAT XML",
    "xml",
    '"for images" 1.1: boxes, polygons, ellipses, masks, tags; reader from an attribute `reader`, or the assignee of '
    "the image's task",
    "rectangles turn about their centre; mask runs go along rows within their box; one name in two tasks of one "
    "assignee, video tracks and any document type (entities) are refused",
    _sniff,
    _read,
)
