"""Reading a radiograph by its content, whatever its name says."""

import dataclasses
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from radiolucent.bounds import PATH, expect
from radiolucent.errors import ImageError
from radiolucent.images.archive import PACKED, unpacked
from radiolucent.images.budget import open_film
from radiolucent.images.dicom import read_dicom
from radiolucent.images.dicom_header import open_header
from radiolucent.images.options import ReadOptions, reading
from radiolucent.images.raster import read_raster
from radiolucent.images.sniff import HEAD, sniff, what_else
from radiolucent.images.tiff import read_tiff
from radiolucent.images.volumes import read_mha, read_nifti, read_npy, read_nrrd
from radiolucent.types import Radiograph

__all__ = ["READERS", "header_patient", "read", "read_or_note"]

READERS: dict[str, Callable[[BinaryIO, Path, ReadOptions], Radiograph]] = {
    "DICOM": read_dicom,
    "TIFF": read_tiff,
    "NIFTI": read_nifti,
    "NRRD": read_nrrd,
    "MHA": read_mha,
    "NPY": read_npy,
    **{kind: lambda s, f, o, k=kind: read_raster(s, f, k, o) for kind in ("JPEG", "PNG", "BMP", "WEBP", "JPEG2000")},
}
EXPECTED = "JPEG, PNG, TIFF, BMP, WebP, JPEG 2000, DICOM, NIfTI, NRRD, MHA or NPY"


def read(
    path: str | Path,
    *,
    image_id: str | None = None,
    patient_id: str | None = None,
    options: ReadOptions | None = None,
) -> Radiograph:
    """Read one radiograph as grey levels.

    JPEG, PNG, TIFF, BMP, WebP, JPEG 2000, DICOM, and two-dimensional NIfTI, NRRD, MHA and NPY are told apart by
    content; a ZIP or gzip that holds one of them is unpacked. Colour becomes grey by luminance (ITU-R BT.601) and the
    stored mode is recorded; a declared orientation is applied. The same film gives the same grey levels in every
    container. What was done stands in `transforms`, what was assumed in `notes`.

    Args:
        path: the file.
        image_id: identifier; the path unless given.
        patient_id: patient; from the DICOM header unless given.
        options: frame, window, range and limit; those in force (see `read_with`) unless given.

    Raises:
        ImageError: the file is missing, no regular file, empty, truncated, damaged, over the limit or no radiograph;
            the message names it. Nothing else is raised, whatever the file holds. ConfigError: no path.
    """
    expect(path, PATH, "path of a film", "the path of a file; rl.from_array(array) takes an array")
    file, options = Path(path), options or reading()
    packed = kind = ""
    try:
        with _opened(file, options) as (stream, kind, packed):
            if kind not in READERS:
                raise ImageError(f"{file}: is {what_else(stream.read(HEAD), file)}; expected {EXPECTED} content.")
            film = READERS[kind](stream, file, options)
    except ImageError as error:
        words = str(error)
        raise error if words.startswith(f"{file}: ") else ImageError(f"{file}: {words}.") from error
    except MemoryError:
        raise ImageError(f"{file}: there is not enough memory to read it.") from None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decoders and headers raise every kind there is; those in Rust panic
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ImageError(
            f"{file}: damaged or truncated {kind or 'file'} ({words}); copy or download it again."
        ) from error
    return dataclasses.replace(
        film,
        image_id=image_id or str(file),
        patient_id=patient_id or film.patient_id,
        source=str(file),
        notes=(*((packed,) if packed else ()), *film.notes),
    )


def header_patient(file: Path) -> tuple[str, str] | None:
    """(PatientID, IssuerOfPatientID) of a DICOM film, either "" where it is empty.

    None of another kind of file, and of one that cannot be read: `read` says why. A file that is unchanged is not
    opened again: a study loads its films several times over.
    """
    try:
        about = file.stat()
    except OSError:
        return None
    stamp = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return _patient_in(file.absolute(), stamp, reading().max_pixels)


@lru_cache(maxsize=1 << 17)
def _patient_in(file: Path, stamp: tuple[int, ...], most: int) -> tuple[str, str] | None:
    """See `header_patient`; `stamp` tells a file that was written anew."""
    options = ReadOptions(max_pixels=most)
    try:
        with _opened(file, options) as (stream, kind, _):
            if kind != "DICOM":
                return None
            header = open_header(stream, file, options.max_pixels, [])[0]
            return header.text("PatientID"), header.text("IssuerOfPatientID")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # as in `read`
        return None


@contextmanager
def _opened(file: Path, options: ReadOptions) -> Generator[tuple[BinaryIO, str, str]]:
    """(a film's stream, what it is, how it was packed or ""), without warnings."""
    with open_film(file, options.max_pixels) as opened, _quiet(), ExitStack() as closing:
        stream: BinaryIO = opened
        kind, packed = _kind(stream), ""
        if kind in PACKED:
            stream, packed = closing.enter_context(unpacked(stream, kind, file, options))
            kind = _kind(stream)
        yield stream, kind, packed


_silence = threading.Lock()
_readers: list[Any] = []  # the keeper of the filters, once for every thread that reads


@contextmanager
def _quiet() -> Generator[None]:
    """No warnings while any thread reads: decoders warn of odd metadata; what matters raises, or is noted.

    The first thread in keeps the filters, and the last one out puts them back; `catch_warnings` by itself would let
    threads put back each other's.
    """
    with _silence:
        keeper = warnings.catch_warnings()
        if not _readers:
            keeper.__enter__()
            warnings.simplefilter("ignore")
        _readers.append(keeper if not _readers else _readers[0])
    try:
        yield
    finally:
        with _silence:
            keeper = _readers.pop()
            if not _readers:
                keeper.__exit__(None, None, None)


def _kind(stream: BinaryIO) -> str:
    found = sniff(stream.read(HEAD)) or ""
    stream.seek(0)
    return found


def read_or_note(
    path: Path, left_out: list[tuple[Path, str]], *, image_id: str | None = None, patient_id: str | None = None
) -> Radiograph | None:
    """`read`, or None for a file that cannot be: then (path, reason) is appended to `left_out`."""
    try:
        return read(path, image_id=image_id, patient_id=patient_id)
    except ImageError as error:
        left_out.append((path, str(error).removeprefix(f"{path}: ")))
        return None
