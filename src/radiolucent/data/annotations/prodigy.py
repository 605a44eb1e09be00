"""Prodigy's JSON Lines of images (`image.manual`): a line an answer, spans are boxes and outlines."""

from typing import Any

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark
from radiolucent.data.annotations.shapes import four_corners
from radiolucent.data.annotations.source import Source, entries
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    found = entries(source)
    return bool(found) and all("image" in e and ("answer" in e or "spans" in e) for e in found)


def _read(source: Source, g: Gatherer) -> None:
    for number, entry in enumerate(entries(source), start=1):
        with g.entry(f"entry {number}"):
            answer = entry.get("answer", "accept")
            if answer != "accept":
                g.pass_over(f"answer that is no reading ({answer})")
                continue
            image = _image(entry)
            reader = str(entry.get("_annotator_id") or "") or g.options.reader
            with g.entry(f"entry {number} ({image})", image, reader):
                g.once(image, f"entry {number}", reader)
                marks = [Mark(_region(s), s.get("label")) for s in entry.get("spans") or ()]
                shape = image_shape(entry.get("height"), entry.get("width"))
                g.reading(image, marks, _chosen(entry), reader=reader, shape=shape)


def _image(entry: dict[str, Any]) -> str:
    """The image's path: pictures that stand in the file itself are told by `path` or `meta`."""
    meta = entry.get("meta") or {}
    names = (entry.get("path"), entry["image"], meta.get("file"), meta.get("path"))
    found = next((str(n) for n in names if n and not str(n).startswith("data:")), "")
    if not found:
        raise AnnotationError("holds the picture itself, and no path that says which film it is")
    return found


def _chosen(entry: dict[str, Any]) -> list[str]:
    """The options that were chosen, by their texts."""
    texts = {str(o["id"]): str(o.get("text") or o["id"]) for o in entry.get("options") or ()}
    chosen = entry.get("accept") or []
    return [texts.get(str(c), str(c)) for c in chosen]


def _region(span: dict[str, Any]) -> Region:
    return four_corners(span["points"]) if span.get("type") == "rect" else Region.polygon(span["points"])


FORMAT = Format(
    "prodigy",
    "Prodigy JSON Lines",
    "json",
    "`image.manual`: rectangles, polygons, freehand outlines, choices; `_annotator_id` is the reader",
    "answers other than `accept` are no readings and counted; choices beside marks are kept as `diagnoses`",
    _sniff,
    _read,
    empty_means="no finding",
)
