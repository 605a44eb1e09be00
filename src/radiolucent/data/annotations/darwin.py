"""Darwin JSON (V7), versions 1 and 2: polygons with holes, boxes, ellipses, raster layers, tags."""

from typing import Any

import numpy as np

from radiolucent.data.annotations.gather import Format, Gatherer, Shape, says_nothing_found
from radiolucent.data.annotations.shapes import ellipse, even_odd
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["DARWIN"]


def _matches(content: Any) -> bool:
    if not isinstance(content, dict) or "annotations" not in content:
        return False
    image = content.get("image")
    return isinstance(content.get("item"), dict) or (isinstance(image, dict) and "filename" in image)


def _read(content: Any, g: Gatherer) -> None:
    name, shape = _item(content)
    layers = [i for i in content["annotations"] if "raster_layer" in i]
    readers: set[str] = set()
    for number, item in enumerate(content["annotations"]):
        who = _annotator(item) or g.options.reader
        if "raster_layer" in item:
            continue
        readers.add(who)
        with g.entry(f"annotation {item.get('id', number)} ({item.get('name')})", name, who):
            label, words = item.get("name"), str((item.get("text") or {}).get("text") or "")
            more: Any = {"reader": who, "label": label, "statement": words, "shape": shape}
            if "tag" in item:
                g.nothing(name, **more) if says_nothing_found(label) else g.marked(name, [], **more)
            else:
                g.marked(name, [_region(item, shape, layers)], **more)
    if not readers:
        g.unmarked(name, shape=shape)


def _item(content: Any) -> tuple[str, Shape | None]:
    if "item" in content:
        item, slot = content["item"], (content["item"].get("slots") or [{}])[0]
        folder = str(item.get("path") or "/").strip("/")
        name = f"{folder}/{item['name']}" if folder else str(item["name"])
    else:
        slot = content["image"]
        name = str(slot.get("original_filename") or slot["filename"])
    height, width = slot.get("height"), slot.get("width")
    return name, (int(height), int(width)) if height and width else None


def _annotator(item: Any) -> str | None:
    people = item.get("annotators") or []
    return next((str(p.get("full_name") or p.get("email")) for p in people), None)


def _region(item: Any, shape: Shape | None, layers: list[Any]) -> Region:
    # A polygon comes with its bounding box: the polygon is the mark.
    if "polygon" in item or "complex_polygon" in item:
        body = item.get("polygon") or item["complex_polygon"]
        paths = body.get("paths") or [*([body["path"]] if "path" in body else []), *body.get("additional_paths", [])]
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
    raise AnnotationError("no area; expected polygon, bounding_box, ellipse or mask (or a tag)")


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


DARWIN = Format("darwin", "json", _matches, _read)
