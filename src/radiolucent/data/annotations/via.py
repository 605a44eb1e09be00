"""VGG Image Annotator 1 and 2: a project, its annotations as JSON, or as CSV with JSON in its cells."""

import math
from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea
from radiolucent.data.annotations.shapes import corners_box, ellipse
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.words import about_picture, answered
from radiolucent.types import Region

__all__ = ["FORMAT", "read_entries", "region_of"]

_NO_AREA = {"polyline": "a polyline", "point": "a point"}
_EXPECTED = "rect, circle, ellipse or polygon"
_WORDS = ("statement", "description", "comment", "note", "text")
_READERS = ("reader", "annotator")


def _entries(content: Any) -> dict[str, Any] | None:
    if isinstance(content, dict) and isinstance(content.get("_via_img_metadata"), dict):
        return content["_via_img_metadata"]
    return content if isinstance(content, dict) else None


def _sniff(source: Source) -> bool:
    if isinstance(source.json, dict) and "_via_img_metadata" in source.json:
        return True
    found = _entries(source.json)
    return bool(found) and all(isinstance(e, dict) and "filename" in e and "regions" in e for e in found.values())


def _read(source: Source, g: Gatherer) -> None:
    for key, entry in (_entries(source.json) or {}).items():
        with g.entry(f"image {key}", entry.get("filename") if isinstance(entry, dict) else None):
            g.once(entry["filename"], f"image {key}")
            regions = entry["regions"]
            listed = list(regions.values()) if isinstance(regions, dict) else list(regions)
            pairs = [(r["shape_attributes"], r.get("region_attributes") or {}) for r in listed]
            read_entries(g, entry["filename"], pairs, entry.get("file_attributes") or {}, key)


def read_entries(g: Gatherer, image: str, pairs: list[tuple[Any, Any]], of_file: Any, where: str) -> None:
    """One image's regions, each (its shape, its attributes), and the attributes of the file."""
    said, words, who = _attributes(g, of_file)
    readers = {_reader(about) for _, about in pairs} | {who}
    for reader in readers if pairs else {who}:
        marks: list[Mark] = []
        own = [(n, s, a) for n, (s, a) in enumerate(pairs) if (_reader(a) or who) == (reader or who)]
        if pairs and not own:
            continue
        for number, shape, about in own:
            with g.entry(f"{where}, region {number}", image, reader or who):
                labels, text, _ = _attributes(g, about)
                marks.append(Mark(region_of(shape), labels, text))
        empty = "not read" if own and not marks else None
        g.reading(image, marks, said, reader=reader or who, statement=words, empty=empty)


def _reader(held: Any) -> str | None:
    return next((str(v) for name, v in (held or {}).items() if name.lower() in _READERS and v), None)


def _attributes(g: Gatherer, held: Any) -> tuple[list[str], str, str | None]:
    """(labels, words, reader) of attributes: texts by name, or checked options by name."""
    labels: list[str] = []
    words: list[str] = []
    for name, value in (held or {}).items():
        if name.lower() in _READERS:
            continue
        if about_picture(name):
            g.pass_over(f"attribute about the picture ({name})")
        elif name.lower() in _WORDS:
            words.append(str(value))
        elif isinstance(value, dict):
            labels += [str(option) for option, on in value.items() if on in (True, "true", 1)]
        elif str(value).strip() and (label := answered(name, str(value))):
            labels.append(label)
    return labels, "; ".join(w for w in words if w), _reader(held)


def region_of(shape: Any) -> Region:
    """A region from its shape attributes."""
    kind = shape["name"]
    if kind == "rect":
        x, y = float(shape["x"]), float(shape["y"])
        return corners_box(x, y, x + float(shape["width"]), y + float(shape["height"]))
    if kind == "circle":
        return ellipse(float(shape["cx"]), float(shape["cy"]), float(shape["r"]), float(shape["r"]))
    if kind == "ellipse":
        turn = math.degrees(float(shape.get("theta") or 0))
        return ellipse(float(shape["cx"]), float(shape["cy"]), float(shape["rx"]), float(shape["ry"]), turn)
    if kind in ("polygon", "polyline"):
        xs, ys = shape["all_points_x"], shape["all_points_y"]
        points = list(zip(xs, ys, strict=True))
        if kind == "polyline":
            raise NoArea(_NO_AREA[kind], kind, _EXPECTED)
        return Region.polygon(points[:-1] if len(points) > 3 and points[0] == points[-1] else points)
    raise NoArea(_NO_AREA.get(kind, f"a {kind}"), str(kind), _EXPECTED)


FORMAT = Format(
    "via",
    "VGG Image Annotator JSON",
    "json",
    "versions 1 and 2, project or annotations: rectangles, circles, ellipses, polygons; attributes are labels, of a "
    "file "
    "those of the image; attributes `reader`, `statement`, `comment`, `description` are what they say",
    "an ellipse's angle is in radians; checked options are several labels; a yes or "
    "no takes the name of its attribute; a file without region was perhaps never "
    "opened",
    _sniff,
    _read,
)
