"""A film's values before any window: what a viewer needs that lets its reader choose the window."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from radiolucent.errors import ImageError
from radiolucent.extras import require
from radiolucent.images.dicom_header import is_dicom
from radiolucent.images.read import read

__all__ = ["ModalityValues", "Window", "modality_values"]

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
        spacing: mm (row, column) or None. plane: where that holds: "patient", "detector", or "": not stated.
        view: projection, such as "PA" or "LL", or "".
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


def modality_values(path: Path) -> ModalityValues:
    """The values of a film after the Modality LUT and before the VOI window; a raster's stored values.

    Raises:
        ImageError: as `radiolucent.images.read` does.
        MissingExtraError: it is DICOM and pydicom is not installed.
    """
    film = read(path)  # refuses what cannot be read, with its reasons
    content = path.read_bytes()
    if is_dicom(content[:200]):
        found = _dicom(content)
    else:
        with Image.open(io.BytesIO(content)) as image:
            stored = np.asarray(ImageOps.exif_transpose(image)) if image.mode[0] in "IF" else None
        found = None if stored is None else _levels(stored.astype(np.float64), bits=16)
    if found is None:  # 8 bit, or colour: grey as it is read
        found = ModalityValues(np.rint(film.pixels * 255).astype(np.uint16))
        found = _with(found, auto=_percentiles(found.levels, 1.0, 0.0, None) or found.range)
    if found.levels.shape != film.shape:
        raise ImageError(f"{path}: {found.levels.shape} stored pixels, read as {film.shape}; export it again.")
    return found


def _with(found: ModalityValues, **changes: Any) -> ModalityValues:
    return ModalityValues(**(vars(found) | changes))


def _levels(
    values: NDArray[np.float64],
    slope: float = 1.0,
    intercept: float = 0.0,
    padding: float | None = None,
    bits: int = 16,
) -> ModalityValues:
    """Stored numbers as levels from 0: exact for whole numbers of at most 16 bits, else in 65536 steps."""
    if not np.isfinite(values).all():
        raise ImageError("holds not-a-number or infinite values; export it again.")
    low, high = float(values.min()), float(values.max())
    step = 1.0 if high - low <= TOP and np.array_equal(values, np.rint(values)) else max(high - low, 1e-12) / TOP
    levels = np.rint((values - low) / step).astype(np.uint16)
    scale, start = slope * step, intercept + slope * low
    empty = None if padding is None else round((padding - low) / step)
    kept = levels if empty is None else levels[levels != empty]
    ends = (int(kept.min()), int(kept.max())) if kept.size else (0, TOP)
    whole = sorted(start + scale * level for level in ends)
    auto = _percentiles(levels, scale, start, empty)
    return ModalityValues(
        levels, scale, start, bits=bits, range=(whole[0], whole[1]), auto=auto or (whole[0], whole[1])
    )


def _percentiles(
    levels: NDArray[np.uint16], slope: float, intercept: float, padding: int | None
) -> tuple[float, float] | None:
    """Values below which 1 % and 99 % of the pixels lie; None where they are one."""
    counts = np.bincount(levels.reshape(-1), minlength=TOP + 1)
    if padding is not None and 0 <= padding <= TOP:
        counts[padding] = 0
    summed = np.cumsum(counts)
    low, high = (int(np.searchsorted(summed, share * summed[-1])) for share in (0.01, 0.99))
    ends = sorted((intercept + slope * low, intercept + slope * high))
    return (ends[0], ends[1]) if high > low else None


def _dicom(content: bytes) -> ModalityValues | None:
    """A grey DICOM's values; None for colour."""
    pydicom = require("pydicom", extra="dicom")
    from pydicom.pixels.processing import apply_modality_lut
    from pydicom.uid import ImplicitVRLittleEndian

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of non-conformant values
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
        if int(dataset.get("SamplesPerPixel", 1)) != 1 or photometric == "PALETTE COLOR":
            return None
        stored = np.asarray(dataset.pixel_array)
        bits, padding = int(dataset.get("BitsStored", 16)), _number(dataset.get("PixelPaddingValue"))
        if "ModalityLUTSequence" in dataset:
            found = _levels(np.asarray(apply_modality_lut(stored, dataset), np.float64), bits=bits)
        else:
            slope, intercept = _number(dataset.get("RescaleSlope")) or 1.0, _number(dataset.get("RescaleIntercept"))
            found = _levels(stored.astype(np.float64), slope, intercept or 0.0, padding, bits)
        spacing, plane = _spacing(dataset)
        if bits <= 8 and found.slope == 1 and found.intercept >= 0:
            found = _with(found, range=(0.0, float(2**bits - 1)))
        unit = str(dataset.get("RescaleType") or "")
        view = str(dataset.get("ViewPosition") or "")
        inverted = photometric == "MONOCHROME1"
        found = _with(
            found, unit="" if unit == "US" else unit, inverted=inverted, spacing=spacing, plane=plane, view=view
        )
        return _with(found, windows=tuple(_windows(dataset, found)))


def _number(value: Any, at: int = 0) -> float | None:
    """A tag's value, the first of several unless `at` says otherwise; None where there is none."""
    if value is not None and not isinstance(value, (str, bytes, float, int)):
        value = value[at] if len(value) > at else None
    try:
        return None if value in (None, "", b"") else float(value)
    except ValueError:
        return None


def _windows(dataset: Any, found: ModalityValues) -> list[Window]:
    """The VOI LUT and every valid window of the header."""
    made: list[Window] = []
    low, high = found.range
    if dataset.get("VOILUTSequence"):
        made.append(Window("Header", (low + high) / 2, max(high - low, 1.0), "TABLE", _table(dataset, found)))
    kind = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    names = dataset.get("WindowCenterWidthExplanation")
    names = [names] if isinstance(names, str) else list(names or [])
    for i in range(8):
        centre, width = _number(dataset.get("WindowCenter"), i), _number(dataset.get("WindowWidth"), i)
        if centre is None or width is None or (i and isinstance(dataset.get("WindowCenter"), (str, float, int))):
            break
        if kind in ("LINEAR", "LINEAR_EXACT", "SIGMOID") and width >= (1 if kind == "LINEAR" else 1e-12):
            name = (
                str(names[i])[:24] if i < len(names) and str(names[i]).strip() else f"Header {i + 1}" if i else "Header"
            )
            made.append(Window(name, centre, width, kind))
    return made


def _table(dataset: Any, found: ModalityValues) -> NDArray[np.uint8]:
    """Grey of every level by the header's VOI LUT; outside it, its first or last entry (PS3.3 C.11.2.1.1)."""
    item = dataset.VOILUTSequence[0]
    entries, first, bits = (int(v) for v in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * (entries or 65536) else "u1")
    table = np.asarray(data, np.float64).reshape(-1)
    values = found.intercept + found.slope * np.arange(int(found.levels.max()) + 1)
    at = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
    return np.rint(np.clip(table[at] / (2**bits - 1), 0, 1) * 255).astype(np.uint8)


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, str]:
    """(mm a pixel, plane it holds in): of the patient only where PixelSpacing says something the detector does not.

    Source: PS3.3 10.7.1.3; PixelSpacing equal to ImagerPixelSpacing, without calibration, is the detector's.
    """
    at, detector = ([_number(dataset.get(n), i) for i in (0, 1)] for n in ("PixelSpacing", "ImagerPixelSpacing"))
    calibrated = bool(dataset.get("PixelSpacingCalibrationType"))
    for pair in (at, detector):
        if pair[0] and pair[1] and min(pair[0], pair[1]) > 0:
            if pair is at and detector[0] is None and not calibrated:
                return (pair[0], pair[1]), ""
            patient = pair is at and (calibrated or detector != at)
            return (pair[0], pair[1]), "patient" if patient else "detector"
    return None, ""
