"""Reading a radiograph by its content, whatever its name says."""

import dataclasses
from pathlib import Path

from radiolucent.errors import ImageError
from radiolucent.images.dicom import is_dicom, read_dicom
from radiolucent.images.raster import read_raster
from radiolucent.types import Radiograph

__all__ = ["read", "read_or_note", "sniff"]

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"BM": "BMP",
}
_KNOWN_OTHERS = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x5c\x01\x00\x00": "a NIfTI volume",
    b"<": "an HTML, SVG or XML text",
    b"{": "a JSON text",
}


def sniff(head: bytes) -> str | None:
    """The format that the first bytes of a file declare: "JPEG", "PNG", "TIFF", "BMP", "DICOM" or None.

    >>> sniff(bytes([0xFF, 0xD8, 0xFF, 0xE0]))
    'JPEG'
    """
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    return "DICOM" if is_dicom(head) else None


def read(path: str | Path, *, image_id: str | None = None, patient_id: str | None = None) -> Radiograph:
    """Read one radiograph as grey levels.

    JPEG, PNG (1, 8, 16 bit; grey, RGB, palette, alpha), TIFF, BMP and DICOM are told apart by content. Colour becomes
    grey by luminance (ITU-R BT.601) and the stored mode is recorded; a declared orientation is applied.

    Args:
        path: the file.
        image_id: identifier; the path unless given.
        patient_id: patient; from the DICOM header unless given.

    Raises:
        ImageError: the file is missing, empty, truncated, damaged or no radiograph; the message names it.
        MissingExtraError: it is DICOM and pydicom is not installed.
    """
    file = Path(path)
    if file.is_dir():
        raise ImageError(f"{file}: is a folder; give a file, or the folder to a command that takes data sets.")
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{file}: no such file; check the path.") from None
    except OSError as error:
        raise ImageError(f"{file}: cannot be read ({error.strerror}); check its permissions.") from error
    if not content:
        raise ImageError(f"{file}: is empty (0 bytes); copy or download it again.")
    kind = sniff(content[:200])
    if kind is None:
        what = next(
            (name for magic, name in _KNOWN_OTHERS.items() if content.lstrip()[:8].startswith(magic)), "not an image"
        )
        raise ImageError(f"{file}: is {what}; expected JPEG, PNG, TIFF, BMP or DICOM content.")
    film = read_dicom(content, file) if kind == "DICOM" else read_raster(content, file, kind)
    return dataclasses.replace(
        film, image_id=image_id or str(file), patient_id=patient_id or film.patient_id, source=str(file)
    )


def read_or_note(
    path: Path, left_out: list[tuple[Path, str]], *, image_id: str | None = None, patient_id: str | None = None
) -> Radiograph | None:
    """`read`, or None for a file that cannot be: then (path, reason) is appended to `left_out`."""
    try:
        return read(path, image_id=image_id, patient_id=patient_id)
    except ImageError as error:
        left_out.append((path, str(error).removeprefix(f"{path}: ")))
        return None
