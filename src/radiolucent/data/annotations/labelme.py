"""LabelMe JSON, one file an image; a file saved without shapes is a film read without finding."""

import base64
import binascii
import io
import math
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea, Shape
from radiolucent.data.annotations.shapes import corners_box, ellipse, four_corners
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]

_NO_AREA = {"line": "a line", "linestrip": "a linestrip", "point": "a point", "points": "points"}


def _sniff(source: Source) -> bool:
    content = source.json
    return isinstance(content, dict) and "shapes" in content and "imagePath" in content


def _read(source: Source, g: Gatherer) -> None:
    content = source.json
    # The path is relative to the JSON file and may come from another machine: steps up are no folders of the films.
    image = content["imagePath"]
    shape = image_shape(content.get("imageHeight"), content.get("imageWidth"))
    marks: list[Mark] = []
    shapes = content["shapes"] or []
    for number, item in enumerate(shapes):
        with g.entry(f"shape {number} ({item.get('label')})", image):
            for name in (name for name, on in (item.get("flags") or {}).items() if on):
                g.pass_over(f"flag of a shape ({name})")
            marks.append(Mark(_region(item, shape), item.get("label"), str(item.get("description") or "")))
    flags = [name for name, on in (content.get("flags") or {}).items() if on is True]
    with g.entry(f"image {image}", image):
        g.reading(image, marks, flags, shape=shape, empty="not read" if shapes and not marks else None)


def _region(item: Any, shape: Shape | None) -> Region:
    kind, points = item.get("shape_type") or "polygon", item["points"]
    if kind == "polygon":
        return Region.polygon(points)
    if kind in ("rectangle", "rotation"):
        if len(points) == 4:  # as later versions write them, corner by corner, perhaps turned
            return four_corners(points)
        (x0, y0), (x1, y1) = points
        return corners_box(x0, y0, x1, y1)
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return ellipse(x, y, radius, radius)
    if kind == "mask":
        return _mask(item, shape)
    raise NoArea(_NO_AREA.get(kind, f"a {kind}"), kind, "polygon, rectangle, circle or mask")


def _mask(item: Any, shape: Shape | None) -> Region:
    """A PNG laid into the box between its two points, both of them inside."""
    if shape is None:
        raise AnnotationError("a mask, but no imageHeight and imageWidth")
    (x0, y0), (x1, y1) = np.rint(np.asarray(item["points"], float)).astype(int)
    size = (int(y1 - y0 + 1), int(x1 - x0 + 1))
    try:
        with Image.open(io.BytesIO(base64.b64decode(item["mask"], validate=True)), formats=("PNG",)) as picture:
            if (picture.height, picture.width) != size or x0 < 0 or y0 < 0 or y1 >= shape[0] or x1 >= shape[1]:
                raise AnnotationError(
                    f"mask of {picture.height} × {picture.width} for points {item['points']} on an image of {shape} "
                    f"(H, W)"
                )
            pixels = np.asarray(picture.convert("L")) > 0
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"the mask is no PNG in base64 ({error})") from error
    total = np.zeros(shape, bool)
    total[y0 : y1 + 1, x0 : x1 + 1] = pixels
    return Region.mask(total)


FORMAT = Format(
    "labelme",
    "LabelMe JSON",
    "json",
    "one file an image: polygons, rectangles, circles, masks; flags are labels of the image",
    "corners in any order, four turned ones are a polygon; Windows paths; flags beside shapes are kept as `diagnoses`",
    _sniff,
    _read,
    empty_means="no finding",
    per_image=True,
)
