"""Films for the browser: 16-bit levels in halved sizes, decoded once and kept on disk, so that memory is bounded."""

import base64
import contextlib
import json
import os
import threading
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ImageError
from radiolucent.files import sha256_file, write_bytes
from radiolucent.images import read
from radiolucent.images.modality import ModalityValues, Window, as_read, modality_values
from radiolucent.readers.private import private_folder
from radiolucent.readers.store_values import Case
from radiolucent.types import Radiograph

__all__ = ["Film", "Films", "halved"]

MOST_AT_ONCE = 4  # films in decoding, each of which takes some ten times the size of its levels
SMALL = 700  # a level whose longer side is at most this is not halved again
Levels = NDArray[np.uint16]


@dataclass(frozen=True)
class Film:
    """A decoded film on disk.

    Attributes:
        about: what the browser needs to know of it (JSON).
        files: one file a size, the whole film first, each with half the rows and columns of the one before: levels as
            differences to the left neighbour, uint16 little endian, compressed with gzip.
    """

    about: dict[str, Any]
    files: tuple[Path, ...]


class Films:
    """Decoded films in a folder of at most `keep` bytes, the ones used last.

    As many films are decoded at once as there are cores, up to `MOST_AT_ONCE`; of those that nobody waits for, one.
    """

    def __init__(self, folder: Path, keep: int = 4 * 1024**3) -> None:
        self.folder, self.keep = private_folder(folder), keep
        self._turns = threading.BoundedSemaphore(at_once())
        self._unhurried = threading.Lock()
        self._cases: dict[str, threading.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._book = threading.Lock()
        for old in self.folder.glob("*.u*"):  # as earlier versions kept films
            old.unlink(missing_ok=True)

    def film(self, case: Case) -> Film:
        """The film in all its sizes; decoded where it is not kept.

        Raises:
            ImageError: the file is gone, damaged, or not the one the study was made with.
        """
        found = self._kept(case)
        if found:
            return found
        with self._alone(case), self._turns:
            found = self._kept(case)
            if found:
                return found
            self._same(case)
            values = modality_values(Path(case.path))
            if values.levels.shape != case.shape:  # as a frame or an orientation that was chosen for the study
                values = as_read(self.radiograph(case))
            if values.levels.shape != case.shape:
                raise ImageError(f"{case.path}: another size than when the study began; put the file back.")
            sizes: list[int] = []
            for number, level in enumerate(halved(values.levels)):
                content = _packed(_differences(level))
                self._write(self.folder / f"{case.id}.{number}.gz", content)
                sizes.append(len(content))
            about = _about(values) | {"bytes": sizes}
            self._write(self.folder / f"{case.id}.json", json.dumps(about).encode())  # last: it says all are there
            self._prune()
            return Film(about, self._files(case, about))

    def ahead(self, cases: Iterable[Case]) -> None:
        """Decode films that nobody waits for yet; those that cannot be read are told to whoever opens them."""
        for case in cases:
            with self._unhurried, contextlib.suppress(ImageError):
                self.film(case)

    def first(self, cases: Iterable[Case]) -> None:
        """Decode films before readers come."""
        with ThreadPoolExecutor(at_once()) as pool:
            for found in [pool.submit(self.film, case) for case in cases]:
                with contextlib.suppress(ImageError):
                    found.result()

    @contextlib.contextmanager
    def _alone(self, case: Case) -> Generator[None]:
        """One thread a case: who wants a film that is being decoded waits for it."""
        with self._book:
            lock = self._cases.setdefault(case.id, threading.Lock())
            self._waiting[case.id] += 1
        try:
            with lock:
                yield
        finally:
            with self._book:
                self._waiting[case.id] -= 1
                if not self._waiting[case.id]:
                    del self._waiting[case.id], self._cases[case.id]

    def radiograph(self, case: Case) -> Radiograph:
        """The film itself as the model reads it, if its file is still the one the study was made with."""
        self._same(case)
        return read(case.path, image_id=case.image_id, patient_id=case.patient_id)

    def _same(self, case: Case) -> None:
        path = Path(case.path)
        if not path.is_file() or sha256_file(path) != case.sha256:
            raise ImageError(f"{path}: missing or changed since the study began; put the file back.")

    def _write(self, path: Path, content: bytes) -> None:
        write_bytes(path, content)
        path.chmod(0o600)

    def _files(self, case: Case, about: dict[str, Any]) -> tuple[Path, ...]:
        return tuple(self.folder / f"{case.id}.{number}.gz" for number in range(len(about["bytes"])))

    def _kept(self, case: Case) -> Film | None:
        try:
            said = self.folder / f"{case.id}.json"
            about = json.loads(said.read_bytes())
            files = self._files(case, about)
            if [f.stat().st_size for f in files] != about["bytes"]:
                return None
            said.touch()
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # never there, pruned just now, or cut short
            return None
        return Film(about, files)

    def _prune(self) -> None:
        """Drop the films that were used longest ago, whole, until the rest fits."""
        kept = sorted(self.folder.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
        total = 0
        for number, said in enumerate(kept):
            parts = [said, *self.folder.glob(f"{said.stem}.*.gz")]
            total += sum(p.stat().st_size for p in parts if p.is_file())
            if total > self.keep and number:
                for part in parts:
                    part.unlink(missing_ok=True)


def at_once() -> int:
    """How many films are decoded at once."""
    return max(1, min(MOST_AT_ONCE, os.cpu_count() or 1))


def halved(levels: Levels) -> Iterator[Levels]:
    """The film, then the mean of each 2 × 2 pixels of it, and so on, down to `SMALL`; odd edges repeat their last."""
    yield levels
    while max(levels.shape) > SMALL:
        even = np.pad(levels, [(0, n % 2) for n in levels.shape], mode="edge").astype(np.uint32)
        mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) // 4
        levels = mean.astype(np.uint16)
        yield levels


def _differences(level: Levels) -> bytes:
    """Each row as differences between neighbours, modulo 65536: what gzip makes small."""
    made = level.copy()
    made[:, 1:] -= level[:, :-1]
    return made.astype("<u2").tobytes()


def _packed(content: bytes) -> bytes:
    """As gzip, without a search for repeats, of which differences have few: half the time, a tenth larger."""
    made = zlib.compressobj(1, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY)
    return made.compress(content) + made.flush()


def _about(values: ModalityValues) -> dict[str, Any]:
    names = ("slope", "intercept", "unit", "bits", "range", "auto", "inverted", "spacing", "plane", "view", "note")
    windows = [_window(w) for w in values.windows]
    return {name: getattr(values, name) for name in names} | {"windows": windows}


def _window(window: Window) -> dict[str, Any]:
    table = None if window.table is None else base64.b64encode(window.table.tobytes()).decode()
    names = ("name", "centre", "width", "function")
    return {name: getattr(window, name) for name in names} | {"table": table}
