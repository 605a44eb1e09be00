"""The strips and tiles of a TIFF page as an array of its samples, one segment at a time."""

import io
import lzma
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.errors import ImageError
from radiolucent.images.codestream import codestream

__all__ = ["JPEG", "Layout", "read_segments"]

JPEG = 7
_NONE, _DEFLATE, _LZMA, _FAX, _BYTES = 1, (8, 32946), 34925, (2, 3, 4), (5, 32773)
_NAMES = {
    6: "old-style JPEG", 34712: "JPEG 2000", 33003: "JPEG 2000", 33005: "JPEG 2000", 34887: "LERC", 50000: "Zstandard",
    34926: "Zstandard", 50001: "WebP", 34927: "WebP", 50002: "JPEG XL", 34933: "PNG", 34892: "lossy JPEG of a DNG",
}  # fmt: skip
_RGB = list(b"RGB")  # names of a JPEG's components by which it says itself that it is stored as RGB
_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


@dataclass(frozen=True)
class Layout:
    """How the samples of a page are stored.

    Attributes:
        width, height: of the page. samples: in one plane, `planes` of which follow each other.
        tile_width, tile_height: of a segment; strips are as wide as the page.
        bits, kind: of a sample ("u", "i" or "f"). order: "<" or ">" of the file.
        compression, predictor, fill: tags 259, 317, 266. tables: JPEG tables. fax: options of tag 292.
        photometric: tag 262.
    """

    width: int
    height: int
    samples: int
    planes: int
    tile_width: int
    tile_height: int
    bits: int
    kind: str
    order: Literal["<", ">"]
    compression: int
    predictor: int
    fill: int
    tables: bytes
    fax: int
    photometric: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a segment's row."""
        return (self.tile_width * self.samples * self.bits + 7) // 8

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type that holds a sample."""
        size = next(s for s in (1, 2, 4, 8) if 8 * s >= self.bits)
        return np.dtype(f"{self.kind}{size}")


def read_segments(
    stream: BinaryIO, layout: Layout, offsets: list[int], counts: list[int], file: Path
) -> NDArray[np.generic]:
    """The samples (H, W, samples) of a page.

    Raises:
        ImageError: cut off, damaged, or a compression that is not read.
    """
    a = layout
    sides = ((a.tile_width, a.width), (a.tile_height, a.height))
    if any(tile < 1 or tile > 4 * side + 1024 for tile, side in sides):
        raise ImageError(f"{file}: TIFF with tiles of {a.tile_width} × {a.tile_height}; it is damaged.")
    across, down = math.ceil(a.width / a.tile_width), math.ceil(a.height / a.tile_height)
    count = across * down * a.planes
    if min(len(offsets), len(counts)) < count:
        raise ImageError(f"{file}: TIFF of {count} strips or tiles, of which {len(offsets)} are there.")
    out = np.zeros((a.height, a.width, a.samples * a.planes), a.dtype)
    for number in range(count):
        plane, place = divmod(number, across * down)
        top, left = place // across * a.tile_height, place % across * a.tile_width
        rows = a.tile_height if across > 1 or a.tile_width != a.width else min(a.tile_height, a.height - top)
        stream.seek(offsets[number])
        content = stream.read(min(counts[number], 2 * a.row_bytes * rows + (1 << 16)))
        part = _segment(content, a, rows, file)[: a.height - top, : a.width - left]
        out[top : top + len(part), left : left + part.shape[1], plane * a.samples : (plane + 1) * a.samples] = part
    return out


def _segment(content: bytes, a: Layout, rows: int, file: Path) -> NDArray[np.generic]:
    """One segment (rows, tile_width, samples)."""
    if a.compression == JPEG:
        return _jpeg(content, a, rows, file)
    need = a.row_bytes * rows
    raw = _unpacked(content, a, rows, need, file)
    if len(raw) < need and a.photometric == 6:
        raise ImageError(f"{file}: TIFF of YCbCr with fewer samples of colour, or cut off; save it as grey or RGB.")
    if len(raw) < need:
        raise ImageError(f"{file}: TIFF cut off: {len(raw):,} of {need:,} bytes of a strip are there; copy it again.")
    raw = raw[:need]
    if a.predictor == 3:
        return _float_predicted(raw, a, rows)
    if a.bits in (8, 16, 32, 64):
        values = np.frombuffer(raw, a.dtype.newbyteorder(a.order)).astype(a.dtype, copy=False)
    else:
        values = _bits(raw, a, rows)
    values = values.reshape(rows, a.tile_width, a.samples)
    if a.predictor == 2:  # differences of the words, also those of floats
        words = values.view(f"u{a.dtype.itemsize}")
        return np.add.accumulate(words, axis=1, dtype=words.dtype).view(a.dtype)
    return values


def _unpacked(content: bytes, a: Layout, rows: int, need: int, file: Path) -> bytes:
    if a.fill == 2:
        content = content.translate(_REVERSED)
    try:
        if a.compression == _NONE:
            return content
        if a.compression in _DEFLATE:
            return zlib.decompressobj().decompress(content, need)
        if a.compression == _LZMA:
            return lzma.LZMADecompressor(memlimit=1 << 27).decompress(content, need)
        if a.compression in _BYTES:
            return _by_libtiff(content, a.compression, a.row_bytes, rows, 8)
        if a.compression in _FAX:
            return _by_libtiff(content, a.compression, a.tile_width, rows, 1, a.fax)
    except (zlib.error, lzma.LZMAError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{file}: damaged or truncated TIFF ({error}); copy or download it again.") from error
    name = _NAMES.get(a.compression, f"compression {a.compression}")
    raise ImageError(f"{file}: TIFF compressed by {name}, which is not read; save it uncompressed, or by deflate.")


def _by_libtiff(content: bytes, compression: int, width: int, rows: int, bits: int, fax: int = 0) -> bytes:
    """What a strip unpacks to, by the libtiff within PIL: the strip in a TIFF whose pixels are plain bytes or bits."""
    tags = [
        (256, 4, width), (257, 4, rows), (258, 3, bits), (259, 3, compression), (262, 3, 1), (273, 4, 0), (277, 3, 1),
        (278, 4, rows), (279, 4, len(content)),
    ]  # fmt: skip
    if compression in (3, 4):
        tags.append((292 if compression == 3 else 293, 4, fax if compression == 3 else 0))
    start = 8 + 2 + 12 * len(tags) + 4
    tags[5] = (273, 4, start)
    entries = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)
    image = Image.open(io.BytesIO(head + content), formats=["TIFF"])
    found = np.asarray(image)
    return np.packbits(found, axis=1).tobytes() if bits == 1 else found.tobytes()


def _bits(raw: bytes, a: Layout, rows: int) -> NDArray[np.generic]:
    """Samples of 1 to 15 bits, packed from the highest bit down; rows begin at a byte."""
    table = np.frombuffer(raw, np.uint8).reshape(rows, a.row_bytes)
    width = a.tile_width * a.samples
    out = np.empty((rows, width), a.dtype)
    weights = (1 << np.arange(a.bits - 1, -1, -1)).astype(np.uint16)
    for top in range(0, rows, 64):
        bits = np.unpackbits(table[top : top + 64], axis=1)[:, : width * a.bits]
        values = bits.reshape(len(bits), width, a.bits) @ weights
        if a.kind == "i":
            values = values.astype(np.int32) - ((values >> (a.bits - 1)).astype(np.int32) << a.bits)
        out[top : top + 64] = values
    return out


def _float_predicted(raw: bytes, a: Layout, rows: int) -> NDArray[np.generic]:
    """Floats by Adobe's predictor 3: differences of bytes, the highest bytes of a row first."""
    size, width = a.bits // 8, a.tile_width * a.samples
    table = np.frombuffer(raw, np.uint8).reshape(rows, size * width // a.samples, a.samples)
    summed = np.add.accumulate(table, axis=1, dtype=np.uint8).reshape(rows, size, width)
    values = np.ascontiguousarray(summed.transpose(0, 2, 1)).view(f">f{size}")
    return values.reshape(rows, a.tile_width, a.samples).astype(a.dtype)


def _jpeg(content: bytes, a: Layout, rows: int, file: Path) -> NDArray[np.generic]:
    """A segment of JPEG with the tables of the page; YCbCr becomes RGB."""
    whole = a.tables[:-2] + content[2:] if a.tables else content
    found = codestream(whole)
    if found is None or found.kind != "dct" or found.bits != 8 or a.bits != 8:
        raise ImageError(f"{file}: TIFF with JPEG of {found.words if found else 'no known kind'}, which is not read.")
    if found.rows > a.tile_height + 16 or found.columns > a.tile_width + 16:
        raise ImageError(f"{file}: TIFF with a JPEG strip larger than it declares; it is damaged.")
    try:
        image = Image.open(io.BytesIO(whole), formats=["JPEG"])
        told = "adobe_transform" in image.info or _RGB == [part[0] for part in getattr(image, "layer", ())]
        if a.photometric == 2 and not told and image.mode == "RGB":
            image.draft("YCbCr", image.size)  # stored as RGB: no conversion
        values = np.asarray(image)
        if image.mode == "CMYK":  # inks, which PIL turns over, as Photoshop does outside TIFF
            values = 255 - values
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{file}: damaged or truncated TIFF ({error}); copy or download it again.") from error
    values = values.reshape(values.shape[0], values.shape[1], -1)
    if values.shape[2] != a.samples or values.shape[1] < min(a.tile_width, a.width):
        raise ImageError(f"{file}: TIFF whose JPEG strips have {values.shape[2]} samples, not {a.samples}.")
    return values[:rows, : a.tile_width]
