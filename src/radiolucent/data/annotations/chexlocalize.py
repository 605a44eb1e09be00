"""CheXlocalize: polygons and run-length masks by finding (JSON), and plain pickles.

The two name the image's size in opposite order: JSON `img_size` is (height, width), pickles' `cxr_dims` is
(width, height).
"""

from typing import Any

import numpy as np

from radiolucent.data.annotations.coco import coco_mask
from radiolucent.data.annotations.gather import Format, Gatherer, Shape
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["CHEXLOCALIZE", "CHEXLOCALIZE_PICKLE"]


def _matches(content: Any) -> bool:
    if not isinstance(content, dict) or not content:
        return False
    return all(isinstance(v, dict) and ("img_size" in v or _all_coded(v)) for v in content.values())


def _all_coded(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(m, dict) and {"size", "counts"} <= set(m) for m in value.values())


def _read(content: Any, g: Gatherer) -> None:
    for image, value in content.items():
        with g.entry(f"image {image}", image):
            coded = "img_size" not in value
            shape = _shape(next(iter(value.values()))["size"] if coded else value["img_size"])
            found = {label: _regions(marks, coded, shape) for label, marks in value.items() if label != "img_size"}
            for label, regions in found.items():
                if regions:
                    g.marked(image, regions, label=label, shape=shape)
            if not any(found.values()):
                # Masks are stored for every finding asked for, so that empty ones say: not there. Polygons are not.
                g.nothing(image, shape=shape) if coded else g.unmarked(image, shape=shape)


def _shape(size: Any) -> Shape:
    height, width = (int(v) for v in size)
    return height, width


def _regions(marks: Any, coded: bool, shape: Shape) -> list[Region]:
    if coded:
        pixels = coco_mask(marks, shape)
        return [Region.mask(pixels)] if pixels.any() else []
    return [Region.polygon(points) for points in marks]


def _is_pickle(content: Any) -> bool:
    entries = content if isinstance(content, list) else [content]
    return bool(entries) and all(isinstance(e, dict) and "cxr_dims" in e and "map" in e for e in entries)


def _read_pickle(content: Any, g: Gatherer) -> None:
    """`{"map": 0/1 (H, W), "cxr_dims": (width, height), "task": finding}`, the image's name being the file's."""
    for number, entry in enumerate(content if isinstance(content, list) else [content]):
        image = str(entry.get("img_id") or entry.get("name") or g.file.stem)
        with g.entry(f"entry {number}", image):
            width, height = (int(v) for v in entry["cxr_dims"])
            values = np.squeeze(np.asarray(entry["map"]))
            if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
                raise AnnotationError("a heat map, not a marking; threshold it to 0 and 1 first")
            if values.shape != (height, width):
                raise AnnotationError(f"map of {values.shape}; cxr_dims (width, height) say {height} × {width}")
            label = str(entry["task"]) if entry.get("task") else None
            if values.any():
                g.marked(image, [Region.mask(values)], label=label, shape=(height, width))
            else:
                g.nothing(image, label=label, shape=(height, width))


CHEXLOCALIZE = Format("chexlocalize", "json", _matches, _read)
CHEXLOCALIZE_PICKLE = Format("chexlocalize-pickle", "pickle", _is_pickle, _read_pickle)
