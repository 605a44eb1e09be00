"""Label Studio JSON export: places in percent of the image, brush masks in its own run lengths."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.gather import Format, Gatherer, Shape, says_nothing_found
from radiolucent.data.annotations.shapes import ellipse, turned_box
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["LABEL_STUDIO", "brush"]

_PLACES = ("rectangle", "polygon", "ellipse", "brush")
_IMAGE = re.compile(r"\.(jpe?g|png|bmp|tiff?|gif|webp|dcm|dicom)$", re.IGNORECASE)


def _matches(content: Any) -> bool:
    tasks = content if isinstance(content, list) else [content]
    return bool(tasks) and all(
        isinstance(t, dict) and isinstance(t.get("data"), dict) and ("annotations" in t or "completions" in t)
        for t in tasks
    )


def _read(content: Any, g: Gatherer) -> None:
    for number, task in enumerate(content if isinstance(content, list) else [content]):
        where = f"task {task.get('id', number)}"
        with g.entry(where):
            image = _image(task["data"])
            # "completions" is what versions before 1.0 called them; "predictions" are a machine's and never readings.
            for k, said in enumerate(task.get("annotations", task.get("completions", []))):
                reader = _reader(said, g)
                with g.entry(f"{where}, annotation {said.get('id', k)}", image, reader):
                    if not (said.get("was_cancelled") or said.get("skipped")):
                        _annotation(said, g, image, reader)


def _image(data: dict[str, Any]) -> str:
    """The image's name: of a URL the path; of local storage the file; of an upload without its prefix."""
    texts = {k: v for k, v in data.items() if isinstance(v, str)}
    name = texts.get("image") or next((v for v in texts.values() if _IMAGE.search(urlsplit(v).path)), "")
    parts = urlsplit(name)
    if not name:
        raise AnnotationError(f"no image among its data ({', '.join(data) or 'empty'})")
    if "d" in (query := parse_qs(parts.query)):
        return unquote(query["d"][0])
    path = unquote(parts.path) if parts.scheme in ("http", "https", "file") or name.startswith("/data/") else name
    if "/data/upload/" in path:
        return re.sub(r"^[0-9a-f]{8}-", "", path.rsplit("/", 1)[-1])
    return path.lstrip("/") if parts.scheme in ("http", "https") else path


def _reader(said: dict[str, Any], g: Gatherer) -> str:
    who = said.get("completed_by")
    if isinstance(who, dict):
        who = next((who[k] for k in ("email", "username", "first_name", "id") if who.get(k)), None)
    return g.options.reader if who is None else str(who)


def _annotation(said: dict[str, Any], g: Gatherer, image: str, reader: str) -> None:
    places: list[tuple[str | None, Region]] = []
    words: list[str] = []
    classes: list[str] = []
    shape: Shape | None = None
    for item in said["result"]:
        value, kind = item.get("value", {}), str(item.get("type", ""))
        base = kind.removesuffix("labels")
        if kind == "textarea":
            text = value["text"]
            words += [text] if isinstance(text, str) else list(text)
        elif kind == "choices":
            classes += value["choices"]
        elif base in _PLACES:
            shape = (int(item["original_height"]), int(item["original_width"]))
            if item.get("image_rotation"):
                raise AnnotationError(f"the image was turned by {item['image_rotation']}°; mark it unturned")
            labels: Sequence[str | None] = value.get(kind) or (None,)
            places += [(label, _region(base, value, shape)) for label in labels]
        elif kind not in ("relation", "labels", "rating", "number", "pairwise", "taxonomy"):
            raise AnnotationError(f"{kind or 'an item without type'} marks no area; expected {', '.join(_PLACES)}")
    more: Any = {"reader": reader, "statement": "; ".join(words), "shape": shape}
    for label, region in places:
        g.marked(image, [region], label=label or next(iter(classes), None), **more)
    found = [c for c in classes if not says_nothing_found(c)]
    if not places and found:
        g.marked(image, [], label=found[0], **more)
    elif not places:  # submitted without a mark: read, nothing found
        g.nothing(image, label=next(iter(classes), None), **more)


def _region(kind: str, value: dict[str, Any], shape: Shape) -> Region:
    """From percent: x and widths of the image's width, y and heights of its height."""
    sy, sx = shape[0] / 100, shape[1] / 100
    if kind == "brush":
        if value.get("format") != "rle":
            raise AnnotationError(f"brush of format {value.get('format')!r}; expected rle")
        return Region.mask(brush(value["rle"], shape))
    if kind == "polygon":
        return Region.polygon([(x * sx, y * sy) for x, y in value["points"]])
    x, y, turn = value["x"] * sx, value["y"] * sy, float(value.get("rotation") or 0)
    if kind == "ellipse":
        return ellipse(x, y, value["radiusX"] * sx, value["radiusY"] * sy, turn)
    return turned_box(x, y, value["width"] * sx, value["height"] * sy, turn)


def brush(values: Sequence[int], shape: Shape) -> NDArray[np.bool_]:
    """A brush mask (H, W): bytes of a bit stream that packs the RGBA picture; painted where alpha is more than half.

    The stream: 32 bits of how many values follow; 5 of a value's bits less one; four times 4, the lengths' bits less
    one. Then blocks: a flag, 2 bits choosing one of the four, the block's length less one, and either one value
    (flag 1: repeated) or that many.
    """
    bits = np.unpackbits(np.asarray(values, np.uint8))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise AnnotationError("brush: the run lengths end too early")
        at += count
        return int("".join(map(str, bits[at - count : at])), 2)

    total, width = take(32), take(5) + 1
    if total != shape[0] * shape[1] * 4:
        raise AnnotationError(f"brush of {total} values; expected {shape[0]} × {shape[1]} × 4 (RGBA)")
    sizes = [take(4) + 1 for _ in range(4)]
    found = np.zeros(total, np.int64)
    done = 0
    while done < total:
        repeated = take(1)
        length = take(sizes[take(2)]) + 1
        if done + length > total:
            raise AnnotationError("brush: the run lengths overrun the image")
        found[done : done + length] = take(width) if repeated else [take(width) for _ in range(length)]
        done += length
    return found.reshape(*shape, 4)[..., 3] > 127


LABEL_STUDIO = Format("labelstudio", "json", _matches, _read)
