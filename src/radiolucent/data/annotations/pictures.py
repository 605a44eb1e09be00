"""Masks that stand as pictures within other files."""

import base64
import binascii
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from radiolucent.data.annotations.check import image_shape
from radiolucent.errors import AnnotationError

__all__ = ["marked", "of_base64"]


def marked(content: bytes) -> NDArray[np.bool_]:
    """What a PNG marks (H, W): what is not transparent where it has transparency, else what is not black.

    Raises:
        AnnotationError: no PNG, or a damaged one.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            image_shape(picture.height, picture.width)
            clear = picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info
            values = np.asarray(picture.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"the mask is no PNG ({error})") from error
    return values[..., 3] > 0 if clear else np.asarray(values[..., :3].any(2))


def of_base64(text: str) -> bytes:
    """The bytes of a base64 text, or of a `data:` address that holds one.

    Raises:
        AnnotationError: it is none.
    """
    try:
        return base64.b64decode(text.partition(";base64,")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AnnotationError(f"the mask is no base64 text ({error})") from error
