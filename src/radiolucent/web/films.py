"""Films for the browser: 16-bit levels in halved sizes, decoded once and kept on disk, so that memory is bounded."""

import base64
import gzip
import json
import threading
from collections.abc import Iterator
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
    """Decoded films in a folder of at most `keep` bytes, the ones used last. One film is decoded at a time."""

    def __init__(self, folder: Path, keep: int = 4 * 1024**3) -> None:
        self.folder, self.keep = private_folder(folder), keep
        self._turn = threading.Lock()
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
        with self._turn:
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
                content = gzip.compress(_differences(level), 1, mtime=0)
                self._write(self.folder / f"{case.id}.{number}.gz", content)
                sizes.append(len(content))
            about = _about(values) | {"bytes": sizes}
            self._write(self.folder / f"{case.id}.json", json.dumps(about).encode())  # last: it says all are there
            self._prune()
            return Film(about, self._files(case, about))

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


def _about(values: ModalityValues) -> dict[str, Any]:
    names = ("slope", "intercept", "unit", "bits", "range", "auto", "inverted", "spacing", "plane", "view", "note")
    windows = [_window(w) for w in values.windows]
    return {name: getattr(values, name) for name in names} | {"windows": windows}


def _window(window: Window) -> dict[str, Any]:
    table = None if window.table is None else base64.b64encode(window.table.tobytes()).decode()
    names = ("name", "centre", "width", "function")
    return {name: getattr(window, name) for name in names} | {"table": table}
