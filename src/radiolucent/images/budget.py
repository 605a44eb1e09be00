"""What a file may cost. Everything here is checked before a pixel is decoded, and nowhere else."""

import os
import stat
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from radiolucent.errors import ImageError

__all__ = ["MAX_PIXELS", "bytes_allowed", "check_pixels", "inflated", "open_film", "unusual"]

MAX_PIXELS = 64_000_000
"""The most pixels (rows × columns × frames) that are read; a long-leg film has 36 million, a digitised one 60."""

BYTES_A_PIXEL = 8  # the most that any stored pixel takes (16-bit colour, or a double); bounds the size of a file
PIECE = 1 << 20
_KINDS = (
    (stat.S_ISDIR, "is a folder; give its files: in Python sorted(Path(folder).glob('*.png'))"),
    (stat.S_ISFIFO, "is a named pipe (FIFO); write what it gives to a file first"),
    (stat.S_ISSOCK, "is a socket; expected a file"),
    (stat.S_ISCHR, "is a device; expected a file"),
    (stat.S_ISBLK, "is a device; expected a file"),
)


def bytes_allowed(max_pixels: int) -> int:
    """The most bytes that a file, or what is unpacked from it, may have."""
    return BYTES_A_PIXEL * max_pixels + PIECE


def unusual(path: Path, max_pixels: int = MAX_PIXELS) -> str:
    """Why a path is no file that can be read at once, or "".

    It is missing, a folder, pipe, socket or device, empty, or larger than any film within the limit.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return f"no such file; {_hint(str(path))}" if not path.is_symlink() else "is a link to a file that is not there"
    except (OSError, ValueError) as error:
        return f"cannot be read ({getattr(error, 'strerror', None) or error}); check its name and permissions"
    if why := next((why for is_kind, why in _KINDS if is_kind(found.st_mode)), ""):
        return why
    if not found.st_size:
        return "is empty (0 bytes); copy or download it again"
    if found.st_size > (most := bytes_allowed(max_pixels)):
        return (
            f"has {found.st_size / 1e6:,.0f} MB; a film within the limit of {max_pixels:,} pixels has at most "
            f"{most / 1e6:,.0f} MB. If it is a film, raise the limit (--max-pixels)"
        )
    return ""


def _hint(name: str) -> str:
    """What to look at in a name of no file: signs that a shell did not replace, and another system's separators."""
    if name.startswith("~"):
        return "~ was not replaced by your folder; give the whole path, or leave quotes out"
    if any(sign in name for sign in "*?["):
        return "a pattern was not replaced by files; give the folder, or leave quotes out"
    return "check the path, whose folders are parted by / here" if "\\" in name else "check the path"


@contextmanager
def open_film(path: Path, max_pixels: int = MAX_PIXELS) -> Generator[BinaryIO]:
    """Open a regular file that is not empty and not larger than any film within the limit; never waits.

    Raises:
        ImageError: it is missing, unreadable, no regular file, empty or too large.
    """
    if why := unusual(path, max_pixels):
        raise ImageError(f"{path}: {why}.")
    try:
        opened = open(path, "rb", opener=_without_waiting)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    with opened as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ImageError(f"{path}: is no regular file.")
        yield stream


def _without_waiting(path: str, flags: int) -> int:
    """Open even what has become a pipe since it was looked at."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check_pixels(path: Path, rows: int, columns: int, frames: int, max_pixels: int) -> None:
    """Refuse what declares more pixels than the limit, or none.

    Raises:
        ImageError: it names the file, the size and the limit.
    """
    if rows < 1 or columns < 1 or frames < 1:
        raise ImageError(f"{path}: declares {columns} × {rows} pixels; it is damaged, or no image.")
    if rows * columns * frames > max_pixels:
        many = f" × {frames} frames" if frames > 1 else ""
        raise ImageError(
            f"{path}: declares {columns} × {rows}{many} = {rows * columns * frames:,} pixels; at most {max_pixels:,} "
            "are read. If it is a film, raise the limit (--max-pixels, or ReadOptions(max_pixels=...))."
        )


def inflated(stream: BinaryIO, limit: int, *, wbits: int = -zlib.MAX_WBITS) -> tuple[bytes, bool]:
    """(what a zlib stream unpacks to, whether it went on beyond `limit` bytes); cut-off streams give what they hold.

    Args:
        wbits: as in `zlib.decompressobj`: negative for raw deflate, 31 for gzip.

    Raises:
        zlib.error: it is no such stream.
    """
    machine = zlib.decompressobj(wbits)
    parts: list[bytes] = []
    total = 0
    while not machine.eof and total <= limit:
        given = machine.unconsumed_tail or stream.read(PIECE)
        if not given:
            break
        parts.append(machine.decompress(given, min(PIECE, limit + 1 - total)))
        total += len(parts[-1])
    whole = b"".join(parts)
    return whole[:limit], len(whole) > limit
