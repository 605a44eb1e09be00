"""MD.ai JSON export: DICOM films by SOP Instance UID, readers by their id."""

from typing import Any

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, NoArea
from radiolucent.data.annotations.shapes import corners_box, ellipse
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_NO_AREA = {"line": "a line", "location": "a location", "angle": "an angle", "length": "a length"}
_EXPECTED = "bounding box, polygon, freeform, circle or ellipse"


def _sniff(source: Source) -> bool:
    content = source.json
    return isinstance(content, dict) and "labelGroups" in content and "datasets" in content


def _read(source: Source, g: Gatherer) -> None:
    content = source.json
    labels: dict[str, Any] = {}
    twice: set[str] = set()
    for group in content["labelGroups"]:
        for number, label in enumerate(group["labels"]):
            with g.entry(f"label {number} of a group"):
                key, _ = str(label["id"]), str(label["name"])
                if key in labels:
                    twice.add(key)
                    raise AnnotationError(f"the label id {key} is given twice; expected each once")
                labels[key] = label
    labels = {key: label for key, label in labels.items() if key not in twice}
    people = {str(u["id"]): str(u.get("name") or u.get("email") or u["id"]) for u in content.get("users") or ()}
    whole: dict[tuple[str, str], list[tuple[str, str]]] = {}
    listed = [i for d in content["datasets"] for i in d.get("annotations") or () if isinstance(i, dict)]
    placed = {str(i.get("id")): i for i in listed if i.get("data")}
    for data in content["datasets"]:
        for number, item in enumerate(data.get("annotations") or ()):
            where = f"annotation {item.get('id', number)}"
            with g.entry(where):
                who = str(item.get("createdById") or g.options.reader)
                reader = people.get(who, who)
                label = labels.get(str(item.get("labelId")))
                if label is None:
                    raise AnnotationError(f"label id {item.get('labelId')}, which no label group lists, or not once")
                image = item.get("SOPInstanceUID")
                if not image:
                    raise AnnotationError(
                        f"says {label['name']} of a whole {'series' if item.get('SeriesInstanceUID') else 'study'}, "
                        "not of one image; label images (scope INSTANCE)"
                    )
                with g.entry(where, str(image), reader):
                    parent = placed.get(str(item.get("parentId")))
                    if parent is not None and not item.get("data"):
                        item = item | {k: parent.get(k) for k in ("data", "height", "width")}
                        above = labels.get(str(parent.get("labelId"))) or {}
                        item["annotationMode"] = parent.get("annotationMode") or above.get("annotationMode")
                    _annotation(item, label, g, str(image), reader, whole)
    for (image, reader), given in whole.items():
        with g.entry(f"image {image}", image, reader):
            words = "; ".join(dict.fromkeys(w for _, w in given if w))
            g.whole(image, [label for label, _ in given], reader=reader, statement=words)


def _annotation(
    item: Any, label: Any, g: Gatherer, image: str, reader: str, whole: dict[tuple[str, str], list[tuple[str, str]]]
) -> None:
    if item.get("frameNumber") not in (None, 0, 1):
        raise AnnotationError(f"belongs to frame {item['frameNumber']}; expected a film of one frame")
    words, name = str(item.get("note") or ""), str(label["name"])
    if not item.get("data"):
        whole.setdefault((image, reader), []).append((name, words))
        return
    shape = image_shape(item.get("height"), item.get("width"))
    mode = str(item.get("annotationMode") or label.get("annotationMode") or "")
    g.mark(image, _regions(item["data"], mode), name, reader=reader, statement=words, shape=shape)


def _regions(data: Any, mode: str) -> list[Region]:
    if mode in _NO_AREA:
        raise NoArea(_NO_AREA[mode], mode, _EXPECTED)
    if data.get("foreground"):
        if any(data.get("background") or ()):
            raise AnnotationError("a mask with holes (background); export it as an image")
        return [Region.polygon(outline) for outline in data["foreground"]]
    if "vertices" in data:
        return [Region.polygon(data["vertices"])]
    if {"x", "y", "width", "height"} <= set(data):
        x, y = float(data["x"]), float(data["y"])
        return [corners_box(x, y, x + float(data["width"]), y + float(data["height"]))]
    if {"cx", "cy", "r"} <= set(data):
        return [ellipse(float(data["cx"]), float(data["cy"]), float(data["r"]), float(data["r"]))]
    if {"cx", "cy", "rx", "ry"} <= set(data):
        return [ellipse(float(data["cx"]), float(data["cy"]), float(data["rx"]), float(data["ry"]))]
    raise NoArea(f"a shape of {', '.join(data)}", mode or "location", _EXPECTED)


FORMAT = Format(
    "mdai",
    "MD.ai JSON",
    "json",
    "boxes, polygons, freeform outlines and labels of images; `createdById` is the reader",
    "a label below that of a place (`parentId`) is said of that place; "
    "films are matched by SOP Instance UID; labels of whole series or studies, and later frames, belong to no one "
    "film and are refused",
    _sniff,
    _read,
)
