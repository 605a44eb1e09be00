"""Hugging Face's `metadata.jsonl` of an image folder: a line an image, its objects as lists side by side."""

from typing import Any

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source, entries
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_LABELS = ("categories", "category", "labels", "label")


def _sniff(source: Source) -> bool:
    found = entries(source)
    return bool(found) and all("file_name" in e and isinstance(e.get("objects"), dict | list) for e in found)


def _read(source: Source, g: Gatherer) -> None:
    for entry in entries(source):
        image = str(entry["file_name"])
        with g.entry(f"image {image}", image):
            shape = image_shape(entry.get("height"), entry.get("width"))
            objects = _objects(entry["objects"])
            for box, label in objects:
                if label is not None and not isinstance(label, str):
                    g.note("categories are named by their numbers, as the file does not name them")
                x, y, width, height = (float(v) for v in box)
                g.mark(image, [Region.box(x, y, width, height)], None if label is None else str(label), shape=shape)
            if not objects:
                g.whole(image, shape=shape)


def _objects(held: Any) -> list[tuple[Any, Any]]:
    """(box, label) of each object, which stand as lists of each, or one by one."""
    if isinstance(held, list):
        return [(one["bbox"], next((one[k] for k in _LABELS if k in one), None)) for one in held]
    boxes = held["bbox"]
    labels = next((held[k] for k in _LABELS if k in held), [None] * len(boxes))
    if len(labels) != len(boxes):
        raise AnnotationError(f"{len(boxes)} boxes and {len(labels)} categories; expected one a box")
    return list(zip(boxes, labels, strict=True))


FORMAT = Format(
    "huggingface",
    "Hugging Face JSON Lines",
    "json",
    '`metadata.jsonl`: `{"file_name", "objects": {"bbox": [[x, y, width, height]], "categories"}}`, a line an image',
    "sizes, not corners; categories are texts, or numbers, which name themselves (noted)",
    _sniff,
    _read,
)
