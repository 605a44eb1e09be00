"""LabelMe JSON, one file an image; a file saved without shapes is a film read without finding."""

import base64
import binascii
import io
import math
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from radiolucent.data.annotations.gather import Format, Gatherer, Shape
from radiolucent.data.annotations.shapes import corners_box, ellipse
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["LABELME"]


def _matches(content: Any) -> bool:
    return isinstance(content, dict) and "shapes" in content and "imagePath" in content


def _read(content: Any, g: Gatherer) -> None:
    # Written on Windows, the path has backslashes; it is relative to the JSON file, so only the name is sure.
    image = str(content["imagePath"]).replace("\\", "/").removeprefix("./")
    while image.startswith("../"):
        image = image[3:]
    height, width = content.get("imageHeight"), content.get("imageWidth")
    shape = (int(height), int(width)) if height and width else None
    for number, item in enumerate(content["shapes"]):
        with g.entry(f"shape {number} ({item.get('label')})", image):
            region = _region(item, shape)
            words = str(item.get("description") or "")
            g.marked(image, [region], label=item.get("label") or None, statement=words, shape=shape)
    if not content["shapes"]:
        g.nothing(image, shape=shape)


def _region(item: Any, shape: Shape | None) -> Region:
    kind, points = item.get("shape_type") or "polygon", item["points"]
    if kind == "polygon":
        return Region.polygon(points)
    if kind == "rectangle":
        if len(points) == 4:  # as later versions write them, corner by corner
            low, high = np.min(points, axis=0), np.max(points, axis=0)
            return corners_box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        (x0, y0), (x1, y1) = points
        return corners_box(x0, y0, x1, y1)
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return ellipse(x, y, radius, radius)
    if kind == "mask":
        return _mask(item, shape)
    raise AnnotationError(f"a {kind} marks no area; expected polygon, rectangle, circle or mask")


def _mask(item: Any, shape: Shape | None) -> Region:
    """A PNG laid into the box between its two points, both of them inside."""
    if shape is None:
        raise AnnotationError("a mask, but no imageHeight and imageWidth")
    try:
        with Image.open(io.BytesIO(base64.b64decode(item["mask"], validate=True)), formats=("PNG",)) as picture:
            pixels = np.asarray(picture.convert("L")) > 0
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"the mask is no PNG in base64 ({error})") from error
    (x0, y0), (x1, y1) = np.rint(np.asarray(item["points"], float)).astype(int)
    if pixels.shape != (y1 - y0 + 1, x1 - x0 + 1) or x0 < 0 or y0 < 0 or y1 >= shape[0] or x1 >= shape[1]:
        raise AnnotationError(f"mask of {pixels.shape} for points {item['points']} on an image of {shape} (H, W)")
    total = np.zeros(shape, bool)
    total[y0 : y1 + 1, x0 : x1 + 1] = pixels
    return Region.mask(total)


LABELME = Format("labelme", "json", _matches, _read)
