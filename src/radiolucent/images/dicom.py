"""One DICOM film: header, kind, pixels, display, and what it says of itself; each in a module of its own."""

from pathlib import Path
from typing import Any, BinaryIO

from radiolucent.errors import ImageError
from radiolucent.images.dicom_display import grey_levels
from radiolucent.images.dicom_header import open_header
from radiolucent.images.dicom_kinds import refuse_others
from radiolucent.images.dicom_meta import metadata_of, note_aspect, spacing_of
from radiolucent.images.dicom_pixels import decode, pixel_format
from radiolucent.images.options import ReadOptions
from radiolucent.types import Radiograph

__all__ = ["read_dicom"]


def read_dicom(stream: BinaryIO, file: Path, options: ReadOptions) -> Radiograph:
    """Decode one DICOM image (PS3.3 C.11: modality and VOI transformations, photometric interpretation).

    Raises:
        ImageError: no radiograph, no pixel data, several frames of which none is chosen, damaged, over the limit, or a
            compression that nothing installed can decode.
    """
    notes: list[str] = []
    steps: list[str] = []
    header, syntax, stream = open_header(stream, file, options.max_pixels, notes)
    refuse_others(header, file)
    here = stream.tell()
    if not stream.read(1):
        raise ImageError(f"{file}: DICOM without pixel data; give an image object (CR, DX or secondary capture).")
    stream.seek(here)
    form = pixel_format(header, file, options.max_pixels)
    frame = _frame(options.frame, form.frames, file)
    header = header.of_frame(frame)
    decoded = decode(stream, header, syntax, form, frame, file, steps)
    if form.frames > 1:
        steps.append(f"frame {frame} of {form.frames}")
    pixels = grey_levels(decoded, form, header, options, file, steps)
    spacing, where = spacing_of(header)
    note_aspect(header)
    metadata: dict[str, Any] = (
        metadata_of(header)
        | where
        | {
            "format": "DICOM",
            "mode": form.photometric,
            "width": form.columns,
            "height": form.rows,
            "bits": decoded.bits,
            "transfer_syntax": syntax,
        }
    )
    return Radiograph(
        pixels,
        patient_id=header.text("PatientID") or None,
        spacing=spacing,
        transforms=tuple(steps),
        metadata=metadata,
        notes=tuple(notes),
    )


def _frame(asked: int | None, frames: int, file: Path) -> int:
    if asked is None and frames > 1:
        raise ImageError(
            f"{file}: DICOM with {frames} frames; export the one to read as a file of its own, or choose it (--frame 1 "
            f"to {frames})."
        )
    if asked is not None and asked > frames:
        raise ImageError(f"{file}: frame {asked} was asked for; it has {frames}.")
    return asked or 1
