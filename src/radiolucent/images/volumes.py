"""Two-dimensional films in the containers of research: NIfTI, NRRD, MetaImage (MHA) and NumPy (NPY)."""

import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ImageError
from radiolucent.images.budget import check_pixels, inflated
from radiolucent.images.options import ReadOptions
from radiolucent.images.scale import grey_of_colour, scaled
from radiolucent.images.upright import EXCHANGED, Facing, facing, in_plane, laid, upright
from radiolucent.types import Radiograph

__all__ = ["nifti_values", "read_mha", "read_nifti", "read_npy", "read_nrrd"]

_NIFTI = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_NRRD = {
    "signed char": "i1", "int8": "i1", "int8_t": "i1", "uchar": "u1", "unsigned char": "u1", "uint8": "u1",
    "uint8_t": "u1", "short": "i2", "short int": "i2", "int16": "i2", "int16_t": "i2", "signed short": "i2",
    "ushort": "u2", "unsigned short": "u2", "uint16": "u2", "uint16_t": "u2", "int": "i4", "signed int": "i4",
    "int32": "i4", "int32_t": "i4", "uint": "u4", "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4",
    "float": "f4", "double": "f8",
}  # fmt: skip
_MHA = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def read_npy(stream: BinaryIO, file: Path, options: ReadOptions) -> Radiograph:
    """An array (H, W) of grey levels as `numpy.save` writes it; pickled objects are not loaded."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ImageError(f"{file}: NPY of version {version}; 1.0 and 2.0 are read.")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ImageError(f"{file}: NPY of Python objects, which are not loaded; save an array of numbers.")
    if dtype.kind not in "buif":
        raise ImageError(f"{file}: NPY of {dtype}; expected numbers.")
    plane = _plane(shape, options, file)
    values = _array(stream.read(_size(shape, dtype, file, options)), dtype, shape, file)
    values = values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
    return _film(values[plane], "NPY", options, [], None)


def read_nifti(stream: BinaryIO, file: Path, options: ReadOptions) -> Radiograph:
    """A NIfTI-1 image of one slice, turned so that the patient's right is on the left and the head above."""
    steps, notes = list[str](), list[str]()
    values, spacing = nifti_values(stream, file, options, steps, notes)
    return _film(values, "NIfTI", options, steps, spacing, notes)


def nifti_values(
    stream: BinaryIO, file: Path, options: ReadOptions, steps: list[str], notes: list[str]
) -> tuple[NDArray[Any], tuple[float, float] | None]:
    """(values (H, W) of a NIfTI-1 image of one slice, upright; the pixels' spacing as they are stored).

    Args:
        steps: what was done is appended. notes: what was assumed.

    Raises:
        ImageError: NIfTI-2, of several slices, damaged, or no grey image.
    """
    head = stream.read(352)
    if head[344:348] != b"n+1\0":
        raise ImageError(f"{file}: NIfTI-2, or a NIfTI header without its data (.hdr); convert it to one NIfTI-1 file.")
    order = "<" if head[:4] == b"\x5c\x01\0\0" else ">"
    dims = struct.unpack(order + "8h", head[40:56])
    code, offset = struct.unpack(order + "h", head[70:72])[0], struct.unpack(order + "f", head[108:112])[0]
    steps_mm = struct.unpack(order + "8f", head[76:108])
    slope, inter = struct.unpack(order + "2f", head[112:120])
    shape = tuple(dims[1 : 1 + max(0, min(dims[0], 7))])
    if code not in _NIFTI or len(shape) < 2 or min(shape) < 1 or not 348 <= offset < 1 << 24:
        raise ImageError(
            f"{file}: NIfTI of data type {code} and shape {shape}; expected a grey image of two dimensions."
        )
    dtype = np.dtype(order + _NIFTI[code])
    plane = _plane(shape[::-1], options, file)
    stream.seek(int(offset))
    values = _array(stream.read(_size(shape, dtype, file, options)), dtype, shape, file).reshape(shape[::-1])[plane]
    if (np.isfinite([slope, inter]).all() and slope not in (0, 1)) or (slope == 1 and inter):
        values = values.astype(np.float64) * slope + inter
        steps.append(f"rescaled by {slope:g} · x + {inter:g}")
    columns, rows = in_plane(shape[:3])
    values = upright(values, _axes(head, order, (columns, rows), notes), steps)
    found = (abs(steps_mm[rows + 1]), abs(steps_mm[columns + 1]))
    spacing = found if head[123] & 7 == 2 and min(found) > 0 and np.isfinite(found).all() else None
    return values, spacing


def _axes(head: bytes, order: str, plane: tuple[int, int], notes: list[str]) -> Facing | None:
    """How the film lies, whose columns and rows are these two axes; None, with a note, where this is not known.

    NIfTI's axes run to the right, to the front and to the head; a row runs up to the head or, lying, to the front.
    """
    qform, sform = struct.unpack(order + "2h", head[252:256])
    if sform > 0:
        rows = np.array(struct.unpack(order + "12f", head[280:328])).reshape(3, 4)
    elif qform > 0:
        b, c, d = struct.unpack(order + "3f", head[256:268])
        a = max(0.0, 1 - b * b - c * c - d * d) ** 0.5
        rows = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        rows[:, 2] *= -1 if struct.unpack(order + "f", head[76:80])[0] < 0 else 1
    else:
        rows = np.zeros((3, 4))
    if np.array_equal(rows[:, :3], np.eye(3)):
        notes.append("the header's matrix is the identity, as programs write it that know of no position; followed")
    return facing(rows[:, list(plane)], notes)


def _vectors(text: str) -> list[list[float] | None]:
    """An NRRD's space directions, `none (1,0,0) (0,1,0)`, by axis; an empty list where one is no vector of numbers."""
    try:
        return [
            None if part == "none" else [float(v) for v in part.strip("()").split(",")]
            for part in re.findall(r"none|\([^)]*\)", text)
        ]
    except ValueError:
        return []


def read_nrrd(stream: BinaryIO, file: Path, options: ReadOptions) -> Radiograph:
    """An NRRD image of two dimensions, its data within the file, raw or by gzip."""
    lines: list[bytes] = []
    while (line := stream.readline(4096)) not in (b"\n", b"\r\n", b"") and len(lines) < 1000:
        lines.append(line)
    pairs = (text.decode("latin-1").split(":", 1) for text in lines[1:] if b":" in text and not text.startswith(b"#"))
    fields = {key.strip().lower(): value.lstrip("=").strip() for key, value in pairs}
    if "data file" in fields or "datafile" in fields:
        raise ImageError(f"{file}: NRRD header whose data lie in another file; save both in one (.nrrd).")
    _refuse_skips(fields, ("byte skip", "byteskip", "line skip", "lineskip"), file, "NRRD")
    dtype = _dtype(_NRRD, fields.get("type", "").lower(), fields.get("endian", "little") == "big", file, "NRRD")
    sizes = _whole_numbers(fields.get("sizes", ""), file, "NRRD")
    plane = _plane(sizes[::-1], options, file)
    encoding = fields.get("encoding", "raw").lower()
    need = _size(sizes, dtype, file, options)
    if encoding == "raw":
        content = stream.read(need)
    elif encoding in ("gzip", "gz"):
        content = inflated(stream, need, wbits=31)[0]
    else:
        raise ImageError(f"{file}: NRRD of encoding {encoding!r}; raw and gzip are read.")
    values = _array(content, dtype, sizes, file).reshape(sizes[::-1])[plane]
    steps, notes, vectors = list[str](), list[str](), _vectors(fields.get("space directions", ""))
    values = laid(values, vectors, sizes, fields.get("space", ""), steps, notes)
    in_mm = '"mm"' in fields.get("space units", '"mm"')
    lengths = " ".join("nan" if v is None else str(np.linalg.norm(v)) for v in vectors) if in_mm else ""
    return _film(values, "NRRD", options, steps, _spacing(fields.get("spacings", lengths), sizes), notes)


def read_mha(stream: BinaryIO, file: Path, options: ReadOptions) -> Radiograph:
    """A MetaImage of two dimensions, its data within the file (.mha), raw or by zlib."""
    fields: dict[str, str] = {}
    for _ in range(200):
        key, _, value = stream.readline(4096).decode("latin-1").partition("=")
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile" or not key:
            break
    if fields.get("ElementDataFile", "").upper() != "LOCAL":
        raise ImageError(f"{file}: MetaImage header whose data lie in another file; save both in one (.mha).")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise ImageError(f"{file}: MetaImage with several channels; save it as grey.")
    if fields.get("BinaryData", "True").lower() != "true":
        raise ImageError(f"{file}: MetaImage with its data as text (BinaryData = False); save it as binary.")
    _refuse_skips(fields, ("HeaderSize",), file, "MetaImage")
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")).lower() == "true"
    dtype = _dtype(_MHA, fields.get("ElementType", "").upper(), big, file, "MetaImage")
    sizes = _whole_numbers(fields.get("DimSize", ""), file, "MetaImage")
    plane = _plane(sizes[::-1], options, file)
    need = _size(sizes, dtype, file, options)
    packed = fields.get("CompressedData", "False").lower() == "true"
    content = inflated(stream, need, wbits=15)[0] if packed else stream.read(need)
    values = _array(content, dtype, sizes, file).reshape(sizes[::-1])[plane]
    steps, notes = list[str](), list[str]()
    names = ("TransformMatrix", "Rotation", "Orientation")
    words = next((fields[name] for name in names if name in fields), "").split()
    if len(sizes) == len(words) // 3 == 3:  # as ITK writes it: to the left, to the back, to the head
        vectors = _vectors(" ".join(f"({','.join(words[i : i + 3])})" for i in (0, 3, 6)))
        values = laid(values, vectors, sizes, "LPS", steps, notes)
    spacing = _spacing(fields.get("ElementSpacing", fields.get("ElementSize", "")), sizes)
    return _film(values, "MHA", options, steps, spacing, notes)


def _refuse_skips(fields: dict[str, str], names: tuple[str, ...], file: Path, what: str) -> None:
    """Refuse a header whose data do not begin right behind it."""
    for name in names:
        if fields.get(name, "0") != "0":
            raise ImageError(f"{file}: {what} with {name} {fields[name]}, which is not read; save it anew without.")


def _dtype(names: dict[str, str], name: str, big: bool, file: Path, what: str) -> np.dtype[Any]:
    if name not in names:
        raise ImageError(f"{file}: {what} of type {name!r}; expected whole numbers of up to 32 bits, or floats.")
    return np.dtype((">" if big else "<") + names[name])


def _whole_numbers(text: str, file: Path, what: str) -> tuple[int, ...]:
    words = text.split()
    if not words or not all(w.isascii() and w.isdigit() for w in words):
        raise ImageError(f"{file}: {what} of size {text!r}; expected whole numbers.")
    return tuple(int(w) for w in words)


def _plane(shape: tuple[int, ...], options: ReadOptions, file: Path) -> tuple[int | slice, ...]:
    """Which part of an array (..., H, W) is read: all of it, or the slice that was asked for."""
    if len(shape) < 2:
        raise ImageError(f"{file}: array of shape {shape}; expected two dimensions (H, W).")
    if len(shape) == 3 and shape[2] in (3, 4) and shape[0] > 4:
        return ()  # colour
    if len(shape) == 3 and shape[2] == 1 and shape[0] > 4:
        return slice(None), slice(None), 0  # grey, with an axis for its one channel
    if sum(n > 1 for n in shape) == 2 and (options.frame or 1) == 1:
        return tuple(slice(None) if n > 1 else 0 for n in shape)  # wherever the axes stand that hold nothing
    deep = [n for n in shape[:-2] if n > 1]
    if len(deep) > 1:
        raise ImageError(f"{file}: array of shape {shape}; expected two dimensions (H, W).")
    frames = deep[0] if deep else 1
    if frames > 1 and options.frame is None:
        raise ImageError(f"{file}: volume of {frames} slices, shape {shape}; choose one (--frame 1 to {frames}).")
    if (options.frame or 1) > frames:
        raise ImageError(f"{file}: frame {options.frame} was asked for; it has {frames}.")
    return tuple((options.frame or 1) - 1 if n > 1 else 0 for n in shape[:-2])


def _size(shape: tuple[int, ...], dtype: np.dtype[Any], file: Path, options: ReadOptions) -> int:
    """Bytes of an array within the limit."""
    total = 1
    for n in shape:
        total *= n
    check_pixels(file, total, 1, 1, options.max_pixels)
    return total * dtype.itemsize


def _array(content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], file: Path) -> NDArray[Any]:
    need = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(content) < need:
        raise ImageError(f"{file}: data cut off: {len(content):,} of {need:,} bytes are there; copy it again.")
    return np.frombuffer(content[:need], dtype).astype(dtype.newbyteorder("="), copy=False)


def _spacing(text: str, sizes: Sequence[int]) -> tuple[float, float] | None:
    """(row, column) in mm of the film's plane, of the steps along each axis; axes without one (colour) do not count."""
    try:
        steps = [float(w) for w in text.split()]
    except ValueError:
        return None
    told = [(step, size) for step, size in zip(steps, sizes, strict=False) if not math.isnan(step)]
    if len(told) < 2:
        return None
    columns, rows = (told[axis][0] for axis in in_plane([size for _, size in told]))
    return (rows, columns) if min(rows, columns) > 0 and np.isfinite([rows, columns]).all() else None


def _film(
    values: NDArray[Any], kind: str, options: ReadOptions, steps: list[str],
    spacing: tuple[float, float] | None, notes: list[str] | None = None,
) -> Radiograph:  # fmt: skip
    notes = [] if notes is None else notes
    if EXCHANGED in steps and spacing is not None:
        spacing = spacing[1], spacing[0]
    height, width = values.shape[:2]
    colours, alpha = (values[..., :3], values[..., 3:]) if values.ndim == 3 else (values, values[:0])
    if colours.ndim == 3:
        pixels = grey_of_colour(colours, steps, notes, range=options.range)
        steps.append("colour to grey by luminance")
    else:
        pixels = scaled(colours, steps, notes, range=options.range)
    if alpha.size:
        pixels = pixels * scaled(alpha[..., 0], [], [])
        steps.append("transparency laid over black")
    metadata = {
        "format": kind, "mode": values.dtype.name, "width": width, "height": height, "bits": 8 * values.dtype.itemsize,
    }  # fmt: skip
    return Radiograph(
        np.ascontiguousarray(pixels), spacing=spacing, transforms=tuple(steps), metadata=metadata, notes=tuple(notes)
    )
