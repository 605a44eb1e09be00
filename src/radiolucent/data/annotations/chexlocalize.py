"""CheXlocalize: polygons and run-length masks by finding (JSON). `img_size` is (height, width)."""

from typing import Any

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.coco import coco_mask
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Shape
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    content = source.json
    if not isinstance(content, dict) or not content:
        return False
    return all(isinstance(v, dict) and ("img_size" in v or _all_coded(v)) for v in content.values())


def _all_coded(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(m, dict) and {"size", "counts"} <= set(m) for m in value.values())


def _read(source: Source, g: Gatherer) -> None:
    for image, value in source.json.items():
        with g.entry(f"image {image}", image):
            coded = "img_size" not in value
            shape = _shape(next(iter(value.values()))["size"] if coded else value["img_size"])
            found = {label: _regions(marks, coded, shape) for label, marks in value.items() if label != "img_size"}
            for label, regions in found.items():
                if regions:
                    g.mark(image, regions, label, shape=shape)
            if not any(found.values()):
                # Masks are stored for every finding asked for, so that empty ones say: not there. Polygons are not.
                g.state(image, finding=False, shape=shape) if coded else g.whole(image, shape=shape)


def _shape(size: Any) -> Shape:
    height, width = size
    shape = image_shape(height, width)
    if shape is None:
        raise AnnotationError(f"image of size {size}; expected (height, width)")
    return shape


def _regions(marks: Any, coded: bool, shape: Shape) -> list[Region]:
    if coded:
        pixels = coco_mask(marks, shape)
        return [Region.mask(pixels)] if pixels.any() else []
    return [Region.polygon(points) for points in marks]


FORMAT = Format(
    "chexlocalize",
    "CheXlocalize JSON",
    "json",
    "polygons or run-length masks by finding",
    '`img_size` is (height, width); empty masks say "not there", missing polygons do not',
    _sniff,
    _read,
)
