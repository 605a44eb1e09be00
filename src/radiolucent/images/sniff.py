"""What a file is, by its first bytes alone; the strongest evidence decides."""

from math import isqrt
from pathlib import Path

from radiolucent.images.dicom_header import is_dicom

__all__ = ["HEAD", "is_film", "sniff", "what_else"]

HEAD = 512  # bytes that tell the format

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\x93NUMPY": "NPY",
    b"NRRD000": "NRRD",
    b"ObjectType": "MHA",
    b"NDims": "MHA",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b\x08": "GZIP",
    b"BM": "BMP",
}
_OTHERS = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF document",
    b"PK\x05\x06": "an empty ZIP archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an XZ archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x89HDF": "an HDF5 file",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL image",
    b"\xff\x0a": "a JPEG XL image",
    b"8BPS": "a Photoshop file",
    b"\x00\x00\x01\x00": "an icon",
    b"gimp xcf": "a GIMP file",
    b"#?RADIANCE": "a Radiance image",
    b"v/1\x01": "an OpenEXR image",
    b"MATLAB": "a MATLAB file",
    b"PAR1": "a Parquet table",
    b"SIMPLE  =": "a FITS image",
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"P1": "a portable bitmap", b"P2": "a portable graymap", b"P4": "a portable bitmap", b"P5": "a portable graymap",
    b"P3": "a portable pixmap", b"P6": "a portable pixmap",
    b"<": "an HTML, SVG or XML text",
    b"{": "a JSON text",
    b"version https://git-lfs": "a Git LFS pointer, in place of the file (git lfs pull fetches it)",
}  # fmt: skip
_BOXES = {b"avif": "an AVIF image", b"heic": "a HEIC image", b"heix": "a HEIC image", b"mif1": "a HEIC image"}


def sniff(head: bytes) -> str | None:
    """The format of a film that the first bytes of a file declare, such as "JPEG" or "DICOM", or None.

    "DICM" at byte 128 outweighs everything: what stands before it may be the start of any other format (PS3.10 7.1).

    >>> sniff(bytes([0xFF, 0xD8, 0xFF, 0xE0])), sniff(b"II*" + bytes(125) + b"DICM")
    ('JPEG', 'DICOM')
    """
    if head[128:132] == b"DICM":
        return "DICOM"
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0"):
        return "NIFTI"
    return "DICOM" if is_dicom(head) else None


def is_film(head: bytes) -> bool:
    """Whether a file's first bytes are those of a format that is read."""
    return sniff(head) is not None


def what_else(head: bytes, file: Path | None = None) -> str:
    """What a file is that is no film, in words; of raw pixels its name and size say it."""
    if head[4:8] == b"ftyp":
        return _BOXES.get(head[8:12], "a video or HEIF image")
    text = head.lstrip()
    found = next((name for magic, name in _OTHERS.items() if text.startswith(magic)), "")
    if found:
        return found
    if file is not None and (raw := _raw(file)):
        return raw
    return "all zeros" if not head.strip(b"\0") else "not an image"


def _raw(file: Path) -> str:
    """What a file of raw pixels is, such as JSRT's, with the next step; "" where it seems to be none."""
    size = file.stat().st_size if file.suffix.lower() in (".img", ".raw") and file.is_file() else 0
    side = isqrt(size // 2)
    if side < 64 or size != 2 * side * side:
        return ""
    return (
        f"raw pixels without a header, by its size {side} × {side} of 16 bits; save it as NPY (of JSRT: numpy.save("
        f"'film.npy', numpy.fromfile('{file.name}', '>u2').reshape({side}, {side}))) with air black"
    )
