"""Whether a region can lie on its image, and coordinates that are shares of the image's size."""

import numpy as np

from radiolucent.errors import AnnotationError
from radiolucent.images import MAX_PIXELS
from radiolucent.types import Region

__all__ = ["MOST_PIXELS", "check", "image_shape", "scaled"]

MOST_PIXELS = MAX_PIXELS
"""The largest image, in pixels, on which a file of readings is believed: that of films unless an option raises it."""
_SLACK = 1e-2  # shares are rounded


def image_shape(height: object, width: object) -> tuple[int, int] | None:
    """(H, W) as a file states it; None where it states none, or zero.

    Raises:
        AnnotationError: no numbers, negative, or more than `MOST_PIXELS`.
    """
    if not height or not width:
        return None
    shape = int(float(str(height))), int(float(str(width)))
    if min(shape) < 0 or shape[0] * shape[1] > MOST_PIXELS:
        raise AnnotationError(f"image of {shape[1]} × {shape[0]} pixels; expected at most {MOST_PIXELS:,} in all")
    return shape if all(shape) else None


BEYOND = 0.25  # share of a box that may lie outside its image


def check(region: Region, shape: tuple[int, int] | None) -> None:
    """Refuse a region that has no pixel on an image of known size, and a box that has little there."""
    if region.pixels is not None:
        if shape is not None and region.pixels.shape != shape:
            raise AnnotationError(f"mask of shape {region.pixels.shape}, image of shape {shape} (H, W)")
        if not region.pixels.any():
            raise AnnotationError("an empty mask; leave it out, or say that nothing was found")
    if region.points is not None and shape is not None:
        low, high = region.points.min(0), region.points.max(0)
        if np.any(high <= 0) or low[0] >= shape[1] or low[1] >= shape[0]:
            raise AnnotationError(
                f"a {region.kind} at x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g} lies outside the image "
                f"of {shape[1]} × {shape[0]} (width × height)"
            )

        beyond = np.maximum(np.maximum(-low, high - [shape[1], shape[0]]), 0)
        if region.kind == "box" and np.any(beyond > BEYOND * (high - low)):
            raise AnnotationError(
                f"a box at x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g} reaches far beyond the image of "
                f"{shape[1]} × {shape[0]} (width × height): corners taken for sizes, or another image?"
            )


def scaled(region: Region, size: tuple[int, int] | None, *, relative: bool) -> Region:
    """A box or polygon in pixels; where coordinates are `relative`, from shares of the image's size (H, W).

    Raises:
        AnnotationError: they look like shares and `relative` does not say so, or the reverse; or the size is unknown.
    """
    if region.points is None:
        return region
    within = bool((region.points >= -_SLACK).all() and (region.points <= 1 + _SLACK).all())
    if not relative:
        near = bool((np.abs(region.points) < 2).all() and (region.points % 1).any())
        if within or near:
            raise AnnotationError(
                f"a {region.kind} whose coordinates all lie between 0 and 1 or little beyond; if they are "
                "shares of the image's size, say so: coordinates='relative' (--coordinates relative)"
            )
        return region
    if not within:
        raise AnnotationError(f"a {region.kind} that reaches {region.points.max():g}; shares of the image end at 1")
    if size is None:
        raise AnnotationError("coordinates are shares of an image of unknown size; give the data set with the films")
    return Region(region.kind, points=region.points * np.array([size[1], size[0]], float), name=region.name)
