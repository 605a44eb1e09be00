"""DICOM to grey levels: Modality LUT → VOI LUT → MONOCHROME1 inversion → [0, 1], each step recorded."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ImageError
from radiolucent.extras import require
from radiolucent.images.raster import luminance
from radiolucent.types import Radiograph

__all__ = ["is_dicom", "read_dicom"]


def is_dicom(head: bytes) -> bool:
    """Whether a file starts as DICOM does: with the preamble, or without it with a group 0002 or 0008 element."""
    if head[128:132] == b"DICM":
        return True
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    return len(head) > 8 and group in (2, 8) and element in (0, 1, 5, 8, 0x12, 0x16) and head[3] == 0


def read_dicom(content: bytes, file: Path) -> Radiograph:
    """Decode one DICOM image (PS3.3 C.11: modality and VOI transformations, photometric interpretation).

    Raises:
        ImageError: no pixel data, several frames, or a compression nothing installed can decode.
        MissingExtraError: pydicom is not installed.
    """
    pydicom = require("pydicom", extra="dicom")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of non-conformant values; what matters raises
        try:
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        except Exception as error:  # pydicom raises many kinds on damaged files
            raise ImageError(f"{file}: damaged DICOM ({error}); export it again.") from error
        if "PixelData" not in dataset:
            raise ImageError(f"{file}: DICOM without pixel data; give an image object (CR, DX or secondary capture).")
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        if frames > 1:
            raise ImageError(f"{file}: DICOM with {frames} frames; export the one to read as a file of its own.")
        steps: list[str] = []
        try:
            pixels = _grey(dataset, steps)
        except Exception as error:  # each decoder raises its own kinds
            raise ImageError(
                f"{file}: pixel data cannot be decoded ({error}); it may be truncated, or install the decoders with "
                "pip install 'radiolucent[dicom]'."
            ) from error
    return Radiograph(
        pixels,
        patient_id=str(dataset.get("PatientID", "") or "") or None,
        spacing=_spacing(dataset),
        transforms=tuple(steps),
        metadata=_metadata(dataset),
    )


def _grey(dataset: Any, steps: list[str]) -> NDArray[np.float32]:
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
    from pydicom.uid import ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        steps.append("transfer syntax missing, implicit little endian assumed")
    array = dataset.pixel_array
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if int(dataset.get("SamplesPerPixel", 1)) == 3:
        # pydicom has turned YBR into RGB, stored natively or compressed.
        steps.append(f"{photometric} to grey by luminance")
        return np.clip(luminance(array.astype(np.float32) / np.float32(2 ** int(dataset.BitsStored) - 1)), 0, 1)
    if photometric == "PALETTE COLOR":
        rgb = apply_color_lut(array, dataset)
        steps.append("palette looked up, to grey by luminance")
        return luminance(rgb.astype(np.float32) / np.float32(np.iinfo(rgb.dtype).max))
    values = np.asarray(apply_modality_lut(array, dataset), np.float64)
    if "ModalityLUTSequence" in dataset:
        steps.append("modality LUT applied")
    elif "RescaleSlope" in dataset:
        steps.append(f"rescaled by {dataset.RescaleSlope} · x + {dataset.RescaleIntercept}")
    if dataset.get("VOILUTSequence"):
        integral = values.astype(np.int64) if np.allclose(values, np.rint(values)) else values
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        shown = np.asarray(apply_voi_lut(integral, dataset), np.float64) / (2**bits - 1)
        steps.append("VOI LUT applied")
    elif (windowed := _windowed(values, dataset, steps)) is not None:
        shown = windowed
    else:
        low, high = _range(values, dataset, steps)
        shown = (values - low) / max(high - low, 1e-12)
    pixels = np.clip(shown, 0, 1).astype(np.float32)
    if photometric == "MONOCHROME1":
        pixels = np.float32(1) - pixels
        steps.append("MONOCHROME1 inverted")
    return pixels


def _windowed(values: NDArray[np.float64], dataset: Any, steps: list[str]) -> NDArray[np.float64] | None:
    """Values through the first declared window, whose own range becomes [0, 1]; None where there is no valid one.

    LINEAR: (x − (c − ½)) / (w − 1) + ½. LINEAR_EXACT: (x − c) / w + ½. SIGMOID: 1 / (1 + exp(−4 (x − c) / w)).
    Source: PS3.3 C.11.2.1.2 and C.11.2.1.3.
    """
    found = [_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth")]
    if found[0] is None or found[1] is None:
        return None
    centre, width = found[0], found[1]
    kind = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    words = f"{kind} window centre {centre:g}, width {width:g}"
    if kind not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or width < (1 if kind == "LINEAR" else 1e-12):
        steps.append(f"{words} is not valid, ignored")
        return None
    steps.append(f"{words} applied")
    if kind == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if kind == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return np.where(values <= centre, 0.0, 1.0)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def _first(value: Any) -> float | None:
    """The first of a tag's values, or None where it has none."""
    if value is not None and not isinstance(value, (str, float, int)):
        value = value[0] if len(value) else None
    return None if value in (None, "") else float(value)


def _range(values: NDArray[np.float64], dataset: Any, steps: list[str]) -> tuple[float, float]:
    """Grey range without a window: that of the stored bits, or of the values where they leave most of it empty."""
    low, high = float(values.min()), float(values.max())
    bits = int(dataset.get("BitsStored", 16))
    plain = "RescaleSlope" not in dataset and "ModalityLUTSequence" not in dataset
    if plain and not int(dataset.get("PixelRepresentation", 0)) and bits <= 8:
        steps.append(f"{bits} bit scaled by {2**bits - 1}")
        return 0.0, float(2**bits - 1)
    steps.append(f"values [{low:g}, {high:g}] of {bits} bit scaled to [0, 1]")
    return low, high


def _spacing(dataset: Any) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        value = dataset.get(name)
        if value and len(value) == 2:
            return float(value[0]), float(value[1])
    return None


def _metadata(dataset: Any) -> dict[str, Any]:
    names = ("Modality", "Manufacturer", "ViewPosition", "BodyPartExamined", "BurnedInAnnotation")
    found = {name: str(dataset.get(name)) for name in names if dataset.get(name) is not None}
    return found | {
        "format": "DICOM",
        "mode": str(dataset.get("PhotometricInterpretation", "")),
        "width": int(dataset.Columns),
        "height": int(dataset.Rows),
        "bits": int(dataset.get("BitsStored", 16)),
        "transfer_syntax": str(dataset.file_meta.TransferSyntaxUID),
    }
