"""Films that come packed, a ZIP with one film or a film by gzip: unpacked to a temporary file, within the limit."""

import gzip
import tempfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from radiolucent.errors import ImageError
from radiolucent.images.budget import bytes_allowed
from radiolucent.images.options import ReadOptions
from radiolucent.images.sniff import HEAD, sniff

__all__ = ["PACKED", "unpacked"]

PACKED = ("ZIP", "GZIP")
MOST = 10_000  # entries of an archive that are looked at
PIECE = 1 << 20


@contextmanager
def unpacked(stream: BinaryIO, kind: str, file: Path, options: ReadOptions) -> Generator[tuple[BinaryIO, str]]:
    """Give (the one film that a ZIP or gzip file holds, a note of where it was).

    Raises:
        ImageError: none, several (it names some), encrypted, damaged or over the limit.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "film"
        try:
            if kind == "GZIP":
                note = "unpacked from gzip"
                with gzip.GzipFile(fileobj=stream) as packed:
                    _copy(packed, place, file, options)
            else:
                with zipfile.ZipFile(stream) as archive:
                    film = _only_film(archive, file)
                    note = f"unpacked from a ZIP archive, where it is {film.filename}"
                    with archive.open(film) as packed:
                        _copy(packed, place, file, options)
        except ImageError:
            raise
        except (
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
            OSError,
            EOFError,
            ValueError,
        ) as error:
            raise ImageError(f"{file}: cannot be unpacked ({error}); copy or download it again.") from error
        with place.open("rb") as opened:
            yield opened, note


def _only_film(archive: zipfile.ZipFile, file: Path) -> zipfile.ZipInfo:
    films = [info for info in archive.infolist()[:MOST] if not info.is_dir() and _looks(archive, info)]
    if len(films) != 1:
        names = ", ".join(info.filename for info in films[:3]) + (" …" if len(films) > 3 else "")
        what = f"{len(films)} films ({names})" if films else "no film"
        raise ImageError(f"{file}: a ZIP archive with {what}; unpack it and give the folder.")
    return films[0]


def _looks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Whether an entry is a film, by its first bytes; DICOMDIR and hidden files are not."""
    name = PurePosixPath(info.filename).name
    if name.startswith(".") or name == "DICOMDIR" or info.filename.startswith("__MACOSX"):
        return False
    with archive.open(info) as packed:
        kind = sniff(packed.read(HEAD))
    return kind is not None and kind not in PACKED


class _Packed(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _copy(packed: _Packed, place: Path, file: Path, options: ReadOptions) -> None:
    """Unpack piece by piece, and no further than the limit."""
    limit, total = bytes_allowed(options.max_pixels), 0
    with place.open("wb") as out:
        while piece := packed.read(PIECE):
            if not total and sniff(piece[:HEAD]) in PACKED:
                raise ImageError(f"{file}: an archive within an archive; unpack it first.")
            total += out.write(piece)
            if total > limit:
                raise ImageError(
                    f"{file}: unpacks to more than a film of {options.max_pixels:,} pixels needs (--max-pixels)."
                )
