"""Writing without losing: every file appears whole under its name, or not at all."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radiolucent.errors import BusyError, ConfigError

__all__ = [
    "LOCK",
    "append_lines",
    "atomic_path",
    "file_name",
    "file_stamp",
    "one_process",
    "read_lines",
    "real_path",
    "refuse_among_films",
    "refuse_itself",
    "sha256_bytes",
    "sha256_file",
    "stem_of",
    "walk",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
]

LOCK = ".lock"
"""File that `one_process` holds; it says nothing, and is no part of any data set."""

# Read once: asking for the umask sets it, and a file made by another thread meanwhile would be open to all.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Generator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends without an error.

    A crash leaves the old file or the new one, never a half. The file is flushed to disk before the rename. A device
    or a pipe, such as /dev/null, is written into and stays what it is.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(path)
    special = target.exists() and not target.is_file() and not target.is_dir()
    if not special:
        target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=None if special else target.parent, prefix=f".{target.stem}.", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if special:
            target.write_bytes(temporary.read_bytes())
            return
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def one_process(folder: str | os.PathLike[str]) -> Generator[None]:
    """Hold a folder for this process while the block runs; the same process may hold it several times over.

    The lock goes with the process, however it ends. The processes of one `torchrun` write one folder together: the
    first of them holds it. Where no file or folder came into it the lock is removed, and so is a folder that was made
    for it.

    Raises:
        BusyError: another process holds it.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    from filelock import FileLock, Timeout

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    had = {p.name for p in place.iterdir()}
    lock = FileLock(place / LOCK, timeout=0, is_singleton=True, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise BusyError(
            f"{place}: another process is writing there; wait for it to end, or choose another --out."
        ) from error
    try:
        yield
    finally:
        if lock.lock_counter == 1 and LOCK not in had and had | {LOCK} == {p.name for p in place.iterdir()}:
            (place / LOCK).unlink()
            if not had:
                place.rmdir()
        lock.release()


def refuse_among_films(folders: Iterable[Path], films: Iterable[Path]) -> None:
    """Refuse to write into folders that films are read from: results would replace films, or be taken for some.

    Raises:
        ConfigError: a folder to be written to is one of theirs.
    """
    theirs = {real_path(folder) for folder in films}
    if clash := next((folder for folder in folders if real_path(folder) in theirs), None):
        raise ConfigError(
            f"{clash}: films lie there, which results would replace, or be taken for later; choose another --out."
        )


def refuse_itself(out: Path, given: Path) -> None:
    """Refuse to write a file over the one it is made from: what was left out of it would be lost.

    Raises:
        ConfigError: they are one.
    """
    if real_path(out) == real_path(given):
        raise ConfigError(f"{out}: is what is read, and what is left out of it would be lost; choose another --out.")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path` atomically (see `atomic_path`)."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Any], header: Mapping[str, str]) -> None:
    """Write torch tensors as one safetensors file, atomically.

    Raises:
        OSError: no room, no permission; safetensors hides it behind an error of its own.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with atomic_path(path) as temporary:
            save_file(dict(tensors), temporary, metadata=dict(header))
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), os.fspath(path)) from error
        raise


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8 with Unix line ends.

    What no UTF-8 holds, the odd bytes of a file's name, is escaped as JSON escapes it.
    """
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically; not-a-number is refused, because JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_lines(path: str | os.PathLike[str], values: Iterable[Any]) -> list[int]:
    """Append values to a journal, one line of JSON each, and flush it to disk; gives the byte each line begins at.

    A process killed at any moment leaves each line whole, or the last one broken off, where `read_lines` cuts it away.
    """
    places: list[int] = []
    with Path(path).open("ab") as stream:
        for value in values:
            places.append(stream.tell())
            stream.write(json.dumps(value, allow_nan=False).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return places


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, Any]]:
    """(byte it begins at, value) of every whole line of a journal; read to its end, a broken last line is cut away.

    Nothing where there is no such file.
    """
    file, good = Path(path), 0
    if not file.is_file():
        return
    with file.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            yield good, json.loads(line)
            good += len(line)
    if good < file.stat().st_size:
        os.truncate(file, good)  # a line that was being written when the process died


def walk(root: Path, failed: list[tuple[Path, str]]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(folder, names of folders in it, names of files in it) from the top, as `os.walk` gives them; links are followed.

    Each folder comes once, under its own path where that is searched, and what is linked comes after what is not. A
    link to a folder that holds `root` is left alone. Folders whose names are removed from the list are not searched.

    Args:
        failed: (folder, reason) of those that cannot be listed are appended: nothing is known of what they hold.
    """

    def note(error: OSError) -> None:
        failed.append((Path(error.filename or root), f"the folder cannot be listed ({error.strerror or error})"))

    top, seen = real_path(root), set[object]()
    waiting = [root]
    for start in waiting:  # grows while it is walked
        for place, folders, files in os.walk(start, onerror=note):
            here = Path(place)
            about = _about(here)
            if about in seen:
                folders.clear()
                continue
            seen.add(about)
            yield here, folders, files
            links = [here / name for name in folders if (here / name).is_symlink()]
            waiting += sorted(link for link in links if not top.is_relative_to(real_path(link)))


def _about(folder: Path) -> object:
    """What a folder is told by: its number, or its path where a network drive numbers none."""
    try:
        about = folder.stat()
    except OSError:  # gone meanwhile, or a stale handle
        return real_path(folder)
    return (about.st_dev, about.st_ino) if about.st_ino else real_path(folder)


def real_path(path: Path) -> Path:
    """The absolute path with links followed; a link that leads back to itself stays as it is."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # the latter of Python before 3.13
        return path.absolute()


def file_stamp(file: Path) -> list[int]:
    """Size and time of a file, by which a change is seen; of a missing one -1."""
    try:
        found = file.stat()
    except OSError:
        return [-1, -1]
    return [found.st_size, found.st_mtime_ns]


def sha256_bytes(content: bytes) -> str:
    """Hexadecimal SHA-256 of `content`.

    >>> sha256_bytes(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(content).hexdigest()


def file_name(text: str) -> str:
    """A name as part of a file's name; names that lose something by it stay apart by their hash.

    >>> file_name("PNEUMONIA"), file_name("a/b")
    ('PNEUMONIA', 'a_b-c14cddc0')
    """
    kept = "".join(c if c.isalnum() or c in "-_" else "_" for c in text)
    return kept if kept == text else f"{kept}-{sha256_bytes(text.encode())[:8]}"


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's content, read in pieces."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def stem_of(name: str) -> str:
    """A file's name without its suffix; digits behind the last dot are part of the name (a DICOM UID), no suffix."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and not suffix.isdigit() else name
