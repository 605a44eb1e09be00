"""Apple CreateML JSON: boxes told by their centre, in pixels."""

from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_IMAGE = ("image", "imagefilename", "imageURL", "filename")
_MARKS = ("annotations", "annotation")


def _held(entry: Any, names: tuple[str, ...]) -> Any:
    return next((entry[name] for name in names if name in entry), None)


def _sniff(source: Source) -> bool:
    content = source.json
    if not isinstance(content, list) or not content:
        return False
    return all(
        isinstance(e, dict) and _held(e, _IMAGE) is not None and isinstance(_held(e, _MARKS), list) for e in content
    ) and all("coordinates" in mark for e in content for mark in _held(e, _MARKS))


def _read(source: Source, g: Gatherer) -> None:
    for place, entry in enumerate(source.json):
        image = str(_held(entry, _IMAGE))
        marks = _held(entry, _MARKS)
        with g.entry(f"entry {place}", image):
            g.once(image, f"entry {place}")
        for number, item in enumerate(marks):
            with g.entry(f"image {image}, annotation {number}", image):
                at = item["coordinates"]
                x, y, width, height = (float(at[k]) for k in ("x", "y", "width", "height"))
                if width <= 0 or height <= 0:
                    raise AnnotationError(f"box of {width} × {height}; expected a positive size")
                g.mark(image, [Region.box(x - width / 2, y - height / 2, width, height)], item.get("label"))
        if not marks:
            with g.entry(f"image {image}", image):
                g.whole(image)


FORMAT = Format(
    "createml",
    "CreateML JSON",
    "json",
    "boxes",
    "x and y are the box's centre, in pixels",
    _sniff,
    _read,
)
