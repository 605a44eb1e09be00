"""ChestX-Det and ChestX-Det10: boxes and polygons beside their findings (`syms`)."""

from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.shapes import corners_box
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    content = source.json
    return isinstance(content, list) and bool(content) and all(
        isinstance(e, dict) and {"file_name", "syms"} <= set(e) for e in content
    )  # fmt: skip


def _read(source: Source, g: Gatherer) -> None:
    for number, entry in enumerate(source.json):
        image = entry["file_name"]
        with g.entry(f"entry {number} ({image})", image):
            g.once(image, f"entry {number}")
            labels, boxes, outlines = entry["syms"], entry.get("boxes") or [], entry.get("polygons") or []
            for name, held in (("boxes", boxes), ("polygons", outlines)):
                if held and len(held) != len(labels):
                    raise AnnotationError(f"{len(labels)} syms, {len(held)} {name}; expected as many of both")
            if labels and not (boxes or outlines):
                g.whole(image, labels)
            for k, label in enumerate(labels if boxes or outlines else ()):
                g.mark(image, _regions(outlines[k] if outlines else None, boxes[k] if boxes else None), label)
            if not labels:
                g.whole(image)


def _regions(outline: Any, box: Any) -> list[Region]:
    """The outlines, which say more than their box: one, or several in a list."""
    if outline:
        several = outline if isinstance(outline[0][0], list) else [outline]
        return [Region.polygon(one) for one in several]
    left, top, right, bottom = (float(v) for v in box)
    return [corners_box(left, top, right, bottom)]


FORMAT = Format(
    "chestxdet",
    "ChestX-Det JSON",
    "json",
    "`file_name`, `syms`, `boxes`, `polygons`",
    "boxes are corners, not sizes; a polygon wins over its box; an empty entry is a film read without finding",
    _sniff,
    _read,
    empty_means="no finding",
)
