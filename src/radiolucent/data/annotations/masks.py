"""A folder of mask images: `[READER/[LABEL/]]NAME.png`, named like the films; marked is what is not 0."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from radiolucent.data.annotations.gather import Format, Gatherer
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["MASKS", "is_picture"]

_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"GIF8")


def is_picture(file: Path) -> bool:
    """Whether a file begins like PNG, JPEG, BMP, TIFF or GIF."""
    with file.open("rb") as stream:
        head = stream.read(4)
    return any(head.startswith(start) for start in _STARTS)


def _matches(content: Any) -> bool:
    return bool(content) and all(is_picture(file) for file in content)


def _read(content: list[Path], g: Gatherer) -> None:
    for file in content:
        folders = file.relative_to(g.file).parts[:-1]
        reader, label = folders[0] if folders else g.options.reader, folders[1] if len(folders) > 1 else None
        with g.entry(str(file.relative_to(g.file)), file.stem, reader):
            pixels = _mask(file)
            shape = (pixels.shape[0], pixels.shape[1])
            if pixels.any():
                g.marked(file.stem, [Region.mask(pixels)], reader=reader, label=label, shape=shape)
            else:
                g.nothing(file.stem, reader=reader, label=label, shape=shape)


def _mask(file: Path) -> NDArray[np.bool_]:
    """Two values and no more: a blurred or JPEG-coded edge has no right threshold."""
    try:
        with Image.open(file) as picture:
            values = np.asarray(picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr") else picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"no readable image ({error})") from error
    if values.ndim == 3:
        colours = values[..., :3] if values.shape[2] == 4 else values[..., :1] if values.shape[2] == 2 else values
        if (colours != colours[..., :1]).any():
            raise AnnotationError("a coloured mask; expected one file a finding, black and one other value")
        values = colours[..., 0]
    levels = np.unique(values)
    if len(levels) > 2 or (len(levels) == 2 and levels[0] != 0):
        raise AnnotationError(f"{len(levels)} grey levels from {levels[0]}; expected 0 and one other: threshold it")
    return values > 0


MASKS = Format("masks", "folder", _matches, _read)
