"""VGG Image Annotator 3: a project's files, views, and marks that name shapes and options by numbers."""

from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.shapes import bounds
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.via import read_entries
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_IMAGE = 2  # type of a file; 4 and 8 are video and audio
_TEXT, _CHECKBOX = 1, 2  # types of an attribute; those of one choice are 3 and 4
_POINT, _RECT, _CIRCLE, _ELLIPSE, _LINE, _POLYLINE, _POLYGON, _EXTREME_RECT, _EXTREME_CIRCLE = range(1, 10)


def _sniff(source: Source) -> bool:
    held = source.json
    return isinstance(held, dict) and all(
        isinstance(held.get(name), dict) for name in ("project", "attribute", "file", "metadata", "view")
    )


def _read(source: Source, g: Gatherer) -> None:
    held = source.json
    images: dict[str, str] = {}
    for view, entry in held["view"].items():
        with g.entry(f"view {view}"):
            images[view] = _image(held["file"], entry)
    marks: dict[str, list[tuple[Any, Any]]] = {view: [] for view in images}
    of_file: dict[str, dict[str, Any]] = {view: {} for view in images}
    for key, entry in held["metadata"].items():
        view = str(entry.get("vid")) if isinstance(entry, dict) else ""
        if view in held["view"] and view not in images:  # told already
            continue
        with g.entry(f"metadata {key}", images.get(view)):
            if view not in images:
                raise AnnotationError(f"view {view!r}, which the file does not list")
            if entry.get("z"):
                raise AnnotationError("a mark in time, as of a video or sound; expected marks on images")
            about = _about(held["attribute"], entry.get("av") or {})
            if not entry.get("xy"):
                of_file[view] |= about
            else:
                marks[view].append((_shape(entry["xy"]), about))
    for view, image in images.items():
        with g.entry(f"view {view}", image):
            read_entries(g, image, marks[view], of_file[view], f"view {view}")


def _image(files: Any, view: Any) -> str:
    """The one image that a view shows."""
    listed = view["fid_list"]
    if len(listed) != 1:
        raise AnnotationError(f"a view of {len(listed)} files; a mark on it belongs to no one image")
    file = files[str(listed[0])]
    if int(file.get("type", _IMAGE)) != _IMAGE:
        raise AnnotationError(f"{file.get('fname')!r} is a video or sound; expected images")
    return str(file["fname"])


def _about(attributes: Any, values: Any) -> dict[str, Any]:
    """Attributes by name: texts, or the options that were chosen."""
    found: dict[str, Any] = {}
    for number, value in values.items():
        attribute = attributes.get(str(number))
        if attribute is None:
            raise AnnotationError(f"attribute {number}, which the file does not describe")
        name, kind, options = str(attribute["aname"]), int(attribute["type"]), attribute.get("options") or {}
        if kind == _TEXT or not str(value).strip():
            found[name] = value
            continue
        chosen = [part.strip() for part in str(value).split(",") if part.strip()] if kind == _CHECKBOX else [str(value)]
        if unknown := [c for c in chosen if c not in options]:
            raise AnnotationError(f"{name}: option {unknown[0]!r} is none of {', '.join(options)}")
        said = [str(options[c]) for c in chosen]
        found[name] = dict.fromkeys(said, True) if kind == _CHECKBOX else said[0]
    return found


def _shape(xy: list[float]) -> dict[str, Any]:
    """A shape as versions 1 and 2 write it, of a number for its kind and its coordinates."""
    kind, at = int(xy[0]), [float(v) for v in xy[1:]]
    xs, ys = at[0::2], at[1::2]
    if kind == _POINT:
        return {"name": "point"}
    if kind == _RECT:
        return dict(zip(("x", "y", "width", "height"), at, strict=True)) | {"name": "rect"}
    if kind == _CIRCLE:
        return dict(zip(("cx", "cy", "r"), at, strict=True)) | {"name": "circle"}
    if kind == _ELLIPSE:
        return dict(zip(("cx", "cy", "rx", "ry"), at, strict=True)) | {"name": "ellipse"}
    if kind in (_LINE, _POLYLINE):
        return {"name": "polyline", "all_points_x": xs, "all_points_y": ys}
    if kind == _POLYGON:
        return {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
    if kind == _EXTREME_RECT:
        x, y, width, height = bounds(Region.polygon(list(zip(xs, ys, strict=True))))
        return {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    if kind == _EXTREME_CIRCLE:
        return _circle(xs, ys) | {"name": "circle"}
    raise AnnotationError(f"shape {kind}; expected 1 to 9")


def _circle(xs: list[float], ys: list[float]) -> dict[str, float]:
    """The circle through three points."""
    (ax, bx, cx), (ay, by, cy) = xs, ys
    twice = 2 * (ax * (by - cy) + bx * (cy - ay) + cx * (ay - by))
    if twice == 0:
        raise AnnotationError("a circle through three points on one line")
    a, b, c = (x * x + y * y for x, y in zip(xs, ys, strict=True))
    x = (a * (by - cy) + b * (cy - ay) + c * (ay - by)) / twice
    y = (a * (cx - bx) + b * (ax - cx) + c * (bx - ax)) / twice
    return {"cx": x, "cy": y, "r": ((ax - x) ** 2 + (ay - y) ** 2) ** 0.5}


FORMAT = Format(
    "via3",
    "VGG Image Annotator 3 JSON",
    "json",
    "projects of images: rectangles, circles, ellipses, polygons, also by extreme points; attributes as in version 2",
    "shapes and options are told by number; marks in time (video, sound) and views of several files are refused; a "
    "file without mark was perhaps never opened",
    _sniff,
    _read,
)
