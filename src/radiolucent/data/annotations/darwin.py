"""Darwin JSON (V7), versions 1 and 2: polygons with holes, boxes, ellipses, raster layers, tags."""

from typing import Any

import numpy as np

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, NoArea, Shape
from radiolucent.data.annotations.shapes import ellipse, even_odd
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_NO_AREA = {"keypoint": "a keypoint", "line": "a line", "skeleton": "a skeleton", "cuboid": "a cuboid"}
_EXPECTED = "polygon, bounding_box, ellipse or mask"
Slots = dict[str, tuple[str, Shape | None]]


def _sniff(source: Source) -> bool:
    content = source.json
    if not isinstance(content, dict) or "annotations" not in content:
        return False
    image = content.get("image")
    return isinstance(content.get("item"), dict) or (isinstance(image, dict) and "filename" in image)


def _read(source: Source, g: Gatherer) -> None:
    content = source.json
    slots = _slots(content)
    layers = [i for i in content["annotations"] if "raster_layer" in i]
    seen: set[str] = set()
    tags: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for number, item in enumerate(content["annotations"]):
        if "raster_layer" in item:
            continue
        who = _annotator(item) or g.options.reader
        where = f"annotation {item.get('id', number)} ({item.get('name')})"
        with g.entry(where):
            slot = _slot(item, slots)
            name, shape = slots[slot]
            seen.add(slot)
            with g.entry(where, name, who):
                label, words = item.get("name"), str((item.get("text") or {}).get("text") or "")
                if "tag" in item:
                    tags.setdefault((slot, who), []).append((str(label or ""), words))
                else:
                    g.mark(name, [_region(item, shape, layers)], label, reader=who, statement=words, shape=shape)
    for (slot, who), given in tags.items():
        name, shape = slots[slot]
        with g.entry(f"tags of {name}", name, who):
            words = "; ".join(dict.fromkeys(w for _, w in given if w))
            g.whole(name, [label for label, _ in given], reader=who, statement=words, shape=shape, empty="not read")
    for slot, (name, shape) in slots.items():
        if slot not in seen:
            g.whole(name, shape=shape)


def _slots(content: Any) -> Slots:
    """(image, (H, W)) by slot; an item with several slots names the image of each by its file."""
    if "item" not in content:
        image = content["image"]
        name = image.get("original_filename") or image["filename"]
        return {"0": (str(name), image_shape(image.get("height"), image.get("width")))}
    item = content["item"]
    folder = str(item.get("path") or "/").strip("/")
    slots = item.get("slots") or [{}]
    found: Slots = {}
    for number, slot in enumerate(slots):
        files = slot.get("source_files") or [{}]
        if len(files) > 1 or int(slot.get("frame_count") or 1) > 1:
            raise AnnotationError(
                f"slot {slot.get('slot_name', number)} holds {max(len(files), int(slot.get('frame_count') or 1))} "
                "frames; expected one image: export the frames as single images"
            )
        file = item["name"] if len(slots) == 1 else files[0].get("file_name")
        if not file:
            raise AnnotationError(f"slot {slot.get('slot_name', number)} of {len(slots)} names no file of its own")
        name = f"{folder}/{file}" if folder else str(file)
        found[str(slot.get("slot_name", number))] = name, image_shape(slot.get("height"), slot.get("width"))
    return found


def _slot(item: Any, slots: Slots) -> str:
    """The slot that an annotation belongs to.

    Raises:
        AnnotationError: none of the item's, several, or frames of a video.
    """
    if item.get("frames") or item.get("ranges"):
        raise AnnotationError("marks frames of a video; expected an image: export the frames as single images")
    named = [str(name) for name in item.get("slot_names") or ()]
    if not named and len(slots) == 1:
        return next(iter(slots))
    if len(named) != 1 or named[0] not in slots:
        raise AnnotationError(
            f"belongs to slot {', '.join(named) or '(not named)'}; expected one of {', '.join(slots)}"
        )
    return named[0]


def _annotator(item: Any) -> str | None:
    people = item.get("annotators") or []
    return next((str(p.get("full_name") or p.get("email")) for p in people), None)


def _region(item: Any, shape: Shape | None, layers: list[Any]) -> Region:
    # A polygon comes with its bounding box: the polygon is the mark.
    if "polygon" in item or "complex_polygon" in item:
        body = item.get("polygon") or item["complex_polygon"]
        if isinstance(body, list):
            paths = body if body and isinstance(body[0], list) else [body]
        else:
            paths = body.get("paths") or body.get("path") or []
            paths = [*(paths if paths and isinstance(paths[0], list) else [paths]), *body.get("additional_paths", [])]
        return even_odd([[(p["x"], p["y"]) for p in path] for path in paths], shape)
    if "ellipse" in item:
        body = item["ellipse"]
        turn = float(np.degrees(body.get("angle") or 0.0))
        return ellipse(body["center"]["x"], body["center"]["y"], body["radius"]["x"], body["radius"]["y"], turn)
    if "mask" in item:
        return _raster(item, shape, layers)
    if "bounding_box" in item:
        box = item["bounding_box"]
        return Region.box(box["x"], box["y"], box["w"], box["h"])
    kind = next((k for k in _NO_AREA if k in item), None)
    if kind:
        raise NoArea(f"no area: {_NO_AREA[kind]}", kind, _EXPECTED)
    raise AnnotationError(f"no area; expected {_EXPECTED} (or a tag)")


def _raster(item: Any, shape: Shape | None, layers: list[Any]) -> Region:
    """A mask's pixels from the layer that all masks of the film share: (value, run) pairs along rows."""
    for layer in (one["raster_layer"] for one in layers):
        value = layer["mask_annotation_ids_mapping"].get(item["id"])
        if value is None:
            continue
        pairs = np.asarray(layer["dense_rle"], np.int64).reshape(-1, 2)
        if shape is None or (pairs < 0).any() or pairs[:, 1].sum() != shape[0] * shape[1]:
            raise AnnotationError(f"raster layer of {pairs[:, 1].sum()} pixels; expected the image's {shape} (H, W)")
        return Region.mask(np.repeat(pairs[:, 0] == value, pairs[:, 1]).reshape(shape))
    raise AnnotationError("a mask that no raster layer holds")


FORMAT = Format(
    "darwin",
    "V7 Darwin JSON",
    "json",
    "versions 1 and 2: polygons with holes, boxes, ellipses, raster layers, tags; annotators are the readers",
    "a polygon wins over its bounding box; inner paths are holes; slots say which image; frames of videos are refused",
    _sniff,
    _read,
)
