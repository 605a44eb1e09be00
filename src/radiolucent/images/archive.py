"""Films that come packed: a ZIP with one film in it, or a film by gzip; unpacked in memory, within the limit."""

import io
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from radiolucent.errors import ImageError
from radiolucent.images.budget import bytes_allowed, inflated
from radiolucent.images.options import ReadOptions
from radiolucent.images.sniff import HEAD, sniff

__all__ = ["gunzipped", "unzipped"]

_MOST = 10_000  # entries of an archive that are looked at
_PACKED = ("ZIP", "GZIP")


def gunzipped(stream: BinaryIO, file: Path, options: ReadOptions) -> BinaryIO:
    """What a gzip file holds.

    Raises:
        ImageError: damaged, or over the limit.
    """
    try:
        content, more = inflated(stream, bytes_allowed(options.max_pixels), wbits=31)
    except zlib.error as error:
        raise ImageError(f"{file}: damaged gzip ({error}); copy or download it again.") from error
    return _one(content, more, file, options)


def unzipped(stream: BinaryIO, file: Path, options: ReadOptions) -> tuple[BinaryIO, str]:
    """(the one film that a ZIP holds, its name there).

    Raises:
        ImageError: none, several (it names some), encrypted, damaged or over the limit.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            films = [info for info in archive.infolist()[:_MOST] if not info.is_dir() and _looks(archive, info)]
            if len(films) != 1:
                names = ", ".join(info.filename for info in films[:3]) + (" …" if len(films) > 3 else "")
                what = f"{len(films)} films ({names})" if films else "no film"
                raise ImageError(f"{file}: a ZIP archive with {what}; unpack it and give the folder.")
            limit = bytes_allowed(options.max_pixels)
            with archive.open(films[0]) as packed:
                content = packed.read(limit + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error, ValueError) as error:
        raise ImageError(f"{file}: the ZIP archive cannot be unpacked ({error}).") from error
    return _one(content, len(content) > limit, file, options), films[0].filename


def _looks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Whether an entry is a film, by its first bytes; DICOMDIR and hidden files are not."""
    name = PurePosixPath(info.filename).name
    if name.startswith(".") or name == "DICOMDIR" or info.filename.startswith("__MACOSX"):
        return False
    with archive.open(info) as packed:
        kind = sniff(packed.read(HEAD))
    return kind is not None and kind not in _PACKED


def _one(content: bytes, more: bool, file: Path, options: ReadOptions) -> BinaryIO:
    if more:
        raise ImageError(f"{file}: unpacks to more than a film of {options.max_pixels:,} pixels needs (--max-pixels).")
    if sniff(content[:HEAD]) in _PACKED:
        raise ImageError(f"{file}: an archive within an archive; unpack it first.")
    return io.BytesIO(content)
