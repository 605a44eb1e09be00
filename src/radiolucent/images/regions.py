"""Marked regions to pixel masks, in source pixels."""

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from radiolucent.errors import AnnotationError
from radiolucent.types import Annotation, Region

__all__ = ["region_mask"]


def region_mask(annotation: Annotation, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Union of an annotation's boxes, polygons and masks: the pixels (H, W) whose centre lies inside one.

    A region too thin to hold a pixel's centre marks the pixel it lies in. Zone scores have no outline and mark nothing.

    Raises:
        AnnotationError: regions drawn on an image of another size, a mask of another shape, or a region wholly outside
            the image.
    """
    drawn = annotation.image_shape
    outlined = any(r.kind != "zone" for r in annotation.regions)
    if outlined and drawn is not None and tuple(drawn) != tuple(shape):
        raise AnnotationError(
            f"{annotation.image_id}: {annotation.reader} marked an image of {drawn[1]} × {drawn[0]} pixels, but the "
            f"film has {shape[1]} × {shape[0]}; bring the regions to the film's own pixels."
        )
    total = np.zeros(shape, bool)
    for region in annotation.regions:
        if region.kind == "zone":
            continue
        one = _one(region, shape, annotation.image_id)
        if not one.any():
            raise AnnotationError(
                f"{annotation.image_id}: a {region.kind} of {annotation.reader} lies outside the image ({shape[1]} × "
                f"{shape[0]}); expected source pixels, (0, 0) at the top left."
            )
        total |= one
    return total


def _one(region: Region, shape: tuple[int, int], image_id: str) -> NDArray[np.bool_]:
    if region.pixels is not None:
        if region.pixels.shape != shape:
            raise AnnotationError(f"{image_id}: mask of shape {region.pixels.shape}; the image has {shape}.")
        return region.pixels
    points = region.points
    assert points is not None
    if region.kind == "box":
        (left, top), (right, bottom) = points
        ys, xs = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
        mask = ((ys >= top) & (ys < bottom))[:, None] & ((xs >= left) & (xs < right))[None]
    else:
        mask = polygon2mask(shape, points[:, ::-1] - 0.5)
    if not mask.any():
        x, y = np.floor(points.mean(axis=0)).astype(int)
        if 0 <= x < shape[1] and 0 <= y < shape[0]:
            mask[y, x] = True
    return mask
