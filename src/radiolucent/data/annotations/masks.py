"""Mask images: `[READER/[LABEL/]]NAME.png` in a folder, named like the films; marked is what is not 0."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.names import names_masks
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _sniff(source: Source) -> bool:
    return source.kind == "picture"


def _read(source: Source, g: Gatherer) -> None:
    folders = source.path.relative_to(source.root).parts[:-1]
    labels = folders[1:2] or [folder for folder in folders if names_masks(folder)]
    reader, label = g.options.reader, labels[0] if labels else None
    pixels = _mask(source.data)
    said: Any = {"reader": reader, "shape": (pixels.shape[0], pixels.shape[1])}
    if pixels.any():
        g.mark(source.path.stem, [Region.mask(pixels)], label, **said)
    else:
        g.state(source.path.stem, label, finding=False, **said)


def _mask(content: bytes) -> NDArray[np.bool_]:
    """Two values and no more: a blurred or JPEG-coded edge has no right threshold."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            image_shape(picture.height, picture.width)
            if (pages := getattr(picture, "n_frames", 1)) > 1:
                raise AnnotationError(f"a mask of {pages} pages; expected one file a finding")
            values = np.asarray(picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr") else picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"no readable image ({error})") from error
    if values.ndim == 3:
        if values.shape[2] != 3 and not values[..., :-1].any() and np.ptp(values[..., -1]):  # drawn, or rubbed out
            raise AnnotationError(
                "black throughout, with transparent parts: which is the mark? Expected black and one other value"
            )
        colours = values if values.shape[2] == 3 else _over_black(values[..., :-1], values[..., -1:])
        if (colours != colours[..., :1]).any():
            raise AnnotationError("a coloured mask; expected one file a finding, black and one other value")
        values = colours[..., 0]
    levels = np.unique(values)
    if len(levels) > 2 or (len(levels) == 2 and levels[0] != 0):
        raise AnnotationError(f"{len(levels)} grey levels from {levels[0]}; expected 0 and one other: threshold it")
    if len(levels) == 1 and levels[0]:
        raise AnnotationError(f"every pixel is {levels[0]}, which marks the whole image; expected 0 and one other")
    return values > 0


def _over_black(colours: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colours as transparency lets them be seen over black, as films are read: a marked place may stand in it alone."""
    return np.where(alpha == 0, 0, colours) if len(np.unique(alpha)) < 3 else colours * (alpha / 255)


FORMAT = Format(
    "masks",
    "mask images",
    "picture",
    "a folder `[READER/[LABEL/]]NAME.png`, named like the films",
    "0 and one other value; blurred or JPEG-coded edges are refused; all 0: no finding; a folder such as "
    "`lung masks` or `leftMask` is a label, no reader; beside files of another format, pictures are the films and no "
    "masks",
    _sniff,
    _read,
    empty_means="no finding",
)
