"""A film's values before any window: what a viewer needs that lets its reader choose the window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from radiolucent.errors import ImageError
from radiolucent.images.dicom_header import Header, is_dicom, open_header
from radiolucent.images.dicom_luts import first_of
from radiolucent.images.dicom_meta import spacing_of
from radiolucent.images.dicom_pixels import decode, pixel_format
from radiolucent.images.options import reading
from radiolucent.images.read import read
from radiolucent.images.sniff import HEAD, sniff
from radiolucent.images.tiff import tiff_stored
from radiolucent.types import Radiograph

__all__ = ["ModalityValues", "Window", "as_read", "modality_values"]

TOP = 65535


@dataclass(frozen=True, eq=False)
class Window:
    """A way to show values as grey, as a DICOM header declares it (PS3.3 C.11.2).

    Attributes:
        name: explanation in the header, or "Header". centre, width: in the modality's values.
        function: "LINEAR", "LINEAR_EXACT", "SIGMOID", or "TABLE".
        table: for a VOI LUT: grey 0–255 of every level, from level 0 on.
    """

    name: str
    centre: float
    width: float
    function: str = "LINEAR"
    table: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class ModalityValues:
    """A film before its VOI window.

    Attributes:
        levels: uint16 (H, W), in source pixels; value = intercept + slope · level.
        slope, intercept: see above. unit: of the values, or "". bits: that the file declares.
        range: smallest and largest value. auto: 1st and 99th percentile. Neither counts padding.
        windows: that the header declares, the first one first. inverted: high values are dark (MONOCHROME1).
        spacing: mm (row, column) or None. plane: where that holds, such as "patient" or "detector", or "": not stated.
        view: projection, such as "PA" or "LL", or "". note: what stands in for the stored values, or "".
    """

    levels: NDArray[np.uint16]
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    bits: int = 8
    range: tuple[float, float] = (0.0, 255.0)
    auto: tuple[float, float] = (0.0, 255.0)
    windows: tuple[Window, ...] = ()
    inverted: bool = False
    spacing: tuple[float, float] | None = None
    plane: str = ""
    view: str = ""
    note: str = ""


def modality_values(path: Path) -> ModalityValues:
    """The values of a film after the Modality LUT and before the VOI window; a raster's stored values.

    Where the stored values cannot be had, the grey levels as read stand in for them.

    Raises:
        ImageError: as `radiolucent.images.read` does.
        MissingExtraError: it is DICOM and pydicom is not installed.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(200)
        found = _dicom(path) if is_dicom(head) else _raster(path)
    except Exception:  # decoders raise their own kinds; `read` knows more formats, and says why it refuses one
        return _with(as_read(read(path)), note="grey levels as read")
    return found or as_read(read(path), 8)  # 8 bit, or colour


def as_read(film: Radiograph, bits: int = 16) -> ModalityValues:
    """A film's grey levels as read, in place of its stored values: from 0 to 255 or, with 16 bits, to 65535."""
    top = 2**bits - 1
    found = ModalityValues(np.rint(film.pixels * top).astype(np.uint16), bits=bits, range=(0.0, float(top)))
    return _with(found, auto=_percentiles(found.levels, 1.0, 0.0) or found.range, spacing=film.spacing)


def _raster(path: Path) -> ModalityValues | None:
    """A raster's stored values where it has more than 8 bits; None for others."""
    with path.open("rb") as stream:
        if sniff(stream.read(HEAD)) == "TIFF":
            stream.seek(0)
            found = tiff_stored(stream, path, reading())
            if found is None or found[2] <= 8:
                return None
            return _with(_levels(found[0], bits=found[2]), inverted=found[1])
    with Image.open(path) as image:
        return _levels(np.asarray(ImageOps.exif_transpose(image))) if image.mode[0] in "IF" else None


def _with(found: ModalityValues, **changes: Any) -> ModalityValues:
    return ModalityValues(**(vars(found) | changes))


def _levels(
    stored: NDArray[Any],
    slope: float = 1.0,
    intercept: float = 0.0,
    film: NDArray[np.bool_] | None = None,
    bits: int = 16,
) -> ModalityValues:
    """Stored numbers as levels from 0: exact for whole numbers of at most 16 bits, else in 65536 steps.

    Args:
        film: pixels that are no padding; None: all.

    Raises:
        ImageError: not-a-number or infinite values, or several frames.
    """
    if stored.ndim != 2 or not np.isfinite(stored).all():
        raise ImageError("holds not-a-number, infinite values or several frames")
    low, high = float(stored.min()), float(stored.max())
    if stored.dtype.kind in "iu" and high - low <= TOP:
        step, levels = 1.0, (stored.astype(np.int32) - int(low)).astype(np.uint16)
    else:
        step = max(high - low, 1e-12) / TOP
        levels = np.rint((stored.astype(np.float64) - low) / step).astype(np.uint16)
    scale, start = slope * step, intercept + slope * low
    kept = levels if film is None else levels[film]
    ends = (int(kept.min()), int(kept.max()))
    whole = sorted(start + scale * level for level in ends)
    auto = _percentiles(kept, scale, start) or (whole[0], whole[1])
    return ModalityValues(levels, scale, start, bits=bits, range=(whole[0], whole[1]), auto=auto)


def _percentiles(levels: NDArray[np.uint16], slope: float, intercept: float) -> tuple[float, float] | None:
    """Values below which 1 % and 99 % of the pixels lie; None where they are one."""
    counts = np.bincount(levels.reshape(-1), minlength=TOP + 1)
    summed = np.cumsum(counts)
    low, high = (int(np.searchsorted(summed, share * summed[-1])) for share in (0.01, 0.99))
    ends = sorted((intercept + slope * low, intercept + slope * high))
    return (ends[0], ends[1]) if high > low else None


def _dicom(path: Path) -> ModalityValues | None:
    """A grey DICOM's values; None for colour."""
    notes: list[str] = []
    options = reading()
    with path.open("rb") as raw:
        header, syntax, stream = open_header(raw, path, options.max_pixels, notes)
        form = pixel_format(header, path, options.max_pixels)
        if form.samples != 1 or form.photometric == "PALETTE COLOR":
            return None
        header = header.of_frame(options.frame or 1)
        decoded = decode(stream, header, syntax, form, options.frame or 1, path, notes)
    table = first_of(header, "ModalityLUTSequence", signed=form.signed)
    stored, bits = decoded.values, decoded.bits
    film = None if decoded.padding is None else ~decoded.padding
    if table is not None:
        found = _levels(table(stored.astype(np.float64)).astype(np.int32), film=film, bits=bits)  # entries are whole
    else:
        slope, intercept = header.number("RescaleSlope") or 1.0, header.number("RescaleIntercept") or 0.0
        found = _levels(stored, slope, intercept, film, bits)
    if bits <= 8 and found.slope == 1 and found.intercept >= 0:
        found = _with(found, range=(0.0, float(2**bits - 1)))
    spacing, where = spacing_of(header)
    unit = header.text("RescaleType")
    found = _with(
        found,
        unit="" if unit == "US" else unit,
        inverted=form.photometric == "MONOCHROME1",
        spacing=spacing,
        plane=where.get("spacing_plane", "").partition(" (")[0],
        view=header.text("ViewPosition"),
    )
    return _with(found, windows=(*_voi_lut(header, found), *_windows(header)))


def _voi_lut(header: Header, found: ModalityValues) -> list[Window]:
    """The header's first VOI LUT, as grey of every level."""
    values = np.asarray(found.intercept + found.slope * np.arange(int(found.levels.max()) + 1), np.float64)
    table = first_of(header, "VOILUTSequence", signed=float(values.min()) < 0)
    if table is None:
        return []
    grey = np.rint(np.clip(table(values) / table.top, 0, 1) * 255).astype(np.uint8)
    low, high = found.range
    return [Window("Header", (low + high) / 2, max(high - low, 1.0), "TABLE", grey)]


def _windows(header: Header) -> list[Window]:
    """Every valid window of the header."""
    kind = (header.holder("WindowCenter").text("VOILUTFunction") or "LINEAR").upper()
    names = header.holder("WindowCenter").text("WindowCenterWidthExplanation").split("\\")
    pairs = zip(header.numbers("WindowCenter") or (), header.numbers("WindowWidth") or (), strict=False)
    made: list[Window] = []
    for i, (centre, width) in enumerate(pairs):
        if kind in ("LINEAR", "LINEAR_EXACT", "SIGMOID") and width >= (1 if kind == "LINEAR" else 1e-12):
            name = names[i].strip()[:24] if i < len(names) else ""
            made.append(Window(name or ("Header" if i == 0 else f"Header {i + 1}"), centre, width, kind))
    return made[:8]
