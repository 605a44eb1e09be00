"""Pictures as PNG."""

import struct
import zlib

import numpy as np
from PIL import Image

__all__ = ["encoded"]


def encoded(picture: Image.Image, dpi: int = 130) -> bytes:
    """A picture as PNG; the same picture gives the same bytes. Threads do it side by side.

    Each row is written as its difference from the one above, at zlib's level 3: films are noise to a compressor, and
    to choose a filter for each row, as Pillow does, takes more than twice as long for no smaller file.
    """
    rows = np.asarray(picture.convert("RGB")).reshape(picture.height, -1)
    filtered = np.full((len(rows), 1 + rows.shape[1]), 2, np.uint8)
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    packing = zlib.compressobj(3, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    metre = round(dpi / 0.0254)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)),
        (b"tEXt", b"Software\0radiolucent"),
        (b"pHYs", struct.pack(">IIB", metre, metre, 1)),
        (b"IDAT", packing.compress(filtered.tobytes()) + packing.flush()),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
