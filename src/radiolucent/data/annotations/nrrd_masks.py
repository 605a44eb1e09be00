"""NRRD masks and 3D Slicer segmentations of single films, named like them."""

import io
import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.check import MOST_PIXELS, image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError
from radiolucent.extras import require
from radiolucent.images import laid
from radiolucent.types import Region

__all__ = ["FORMAT"]

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("unsigned char", "uchar", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("unsigned short", "ushort", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("unsigned int", "uint", "uint32", "uint32_t"), "u4"),
}


def _read(source: Source, g: Gatherer) -> None:
    nrrd = require("nrrd", extra="annotations")
    reader = g.options.reader
    image = source.path.name.removesuffix(".nrrd").removesuffix(".seg")
    stream = io.BytesIO(source.data)
    try:
        header: dict[str, Any] = dict(nrrd.read_header(stream))
    except Exception as error:  # nrrd's own errors, and whatever a damaged header makes NumPy raise
        raise AnnotationError(f"no readable NRRD ({error})") from error
    with g.entry(f"image {image}", image, reader):
        pixels = _laid(_pixels(header, stream.read()), header, g)
        shape = (pixels.shape[0], pixels.shape[1])
        found = _segments(header, pixels)
        for label, mask in found.items():
            if mask.any():
                g.mark(image, [Region.mask(mask)], label, reader=reader, shape=shape)
        if not any(mask.any() for mask in found.values()):
            g.state(image, finding=False, reader=reader, shape=shape)


def _pixels(header: dict[str, Any], data: bytes) -> NDArray[Any]:
    """Pixels (H, W), or (H, W, layers): the fastest axis goes along rows, layers of a segmentation come before it."""
    sizes = [int(v) for v in header["sizes"]]
    layers = sizes.pop(0) if str((header.get("kinds") or [""])[0]) == "list" and len(sizes) > 2 else 1
    flat = [n for n in sizes if n != 1] if len(sizes) > 2 else sizes
    if len(flat) != 2 or layers < 1:
        raise AnnotationError(f"sizes {header['sizes']}; expected one film: two axes, and at most layers beside them")
    if image_shape(flat[1], flat[0]) is None or math.prod(flat) * layers > 5 * MOST_PIXELS:
        raise AnnotationError(f"sizes {header['sizes']}; expected at most {5 * MOST_PIXELS:,} values in all")
    kind = _TYPES.get(str(header["type"]))
    if kind is None or "data file" in header or "datafile" in header:
        raise AnnotationError(
            f"type {header['type']}, or data in a file of its own; expected whole numbers in one file"
        )
    dtype = np.dtype((">" if header.get("endian") == "big" else "<") + kind)
    expected = math.prod(flat) * layers * dtype.itemsize
    coding = str(header["encoding"])
    if coding in ("gzip", "gz"):
        try:
            data = zlib.decompressobj(31).decompress(data, expected)
        except zlib.error as error:
            raise AnnotationError(f"damaged gzip data ({error})") from error
    elif coding != "raw":
        raise AnnotationError(f"encoding {coding}; expected raw or gzip")
    if len(data) < expected:
        raise AnnotationError(f"{len(data)} bytes of pixels; expected {expected}")
    return np.frombuffer(data, dtype, expected // dtype.itemsize).reshape(flat[1], flat[0], layers)


def _laid(pixels: NDArray[Any], header: dict[str, Any], g: Gatherer) -> NDArray[Any]:
    """The pixels upright, as a NIfTI or NRRD film of the same header is read."""
    found = header.get("space directions")
    vectors = [
        list(map(float, v)) if v is not None and np.ndim(v) == 1 and np.isfinite(v).all() else None
        for v in (() if found is None else found)
    ]
    notes: list[str] = []
    sizes = [int(v) for v in header["sizes"]]
    out = laid(pixels, vectors, sizes, str(header.get("space", "")), [], notes)
    for note in notes:
        g.note(note)
    return out


def _segments(header: dict[str, Any], pixels: NDArray[Any]) -> dict[str | None, NDArray[np.bool_]]:
    """Masks (H, W) by label: Slicer's segments by layer and value, else all that is not 0."""
    numbers = sorted({key.split("_")[0] for key in header if key.startswith("Segment") and key.endswith("_LabelValue")})
    if not numbers:
        levels = np.unique(pixels)
        if pixels.shape[2] > 1 or len(levels) > 2 or (len(levels) == 2 and levels[0] != 0):
            raise AnnotationError(f"{len(levels)} values without names; expected 0 and one other, or Slicer's segments")
        return {None: pixels[..., 0] != 0}
    found: dict[str | None, NDArray[np.bool_]] = {}
    for segment in numbers:
        layer = int(header.get(f"{segment}_Layer", 0))
        name = str(header.get(f"{segment}_Name") or segment)
        if name in found:
            raise AnnotationError(f"two segments are called {name}; expected each name once")
        found[name] = pixels[..., layer] == int(header[f"{segment}_LabelValue"])
    return found


FORMAT = Format(
    "nrrd",
    "NRRD masks",
    "nrrd",
    "`[READER/]NAME.nrrd` or 3D Slicer's `NAME.seg.nrrd` of one film, raw or gzip; segments by their names",
    "the first axis goes along rows; turned upright as films of the same header are; all 0: no finding; several values "
    "without names are refused",
    lambda source: source.kind == "nrrd",
    _read,
    empty_means="no finding",
)
