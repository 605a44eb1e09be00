"""Films as the browser wants them: raw grey levels, decoded once and kept on disk, so that memory stays bounded."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radiolucent.errors import ImageError
from radiolucent.files import sha256_file, write_bytes
from radiolucent.images import read
from radiolucent.readers.store_values import Case
from radiolucent.types import Radiograph

__all__ = ["Film", "Films"]


@dataclass(frozen=True)
class Film:
    """Grey levels on disk, row by row, little endian: `bits` 8 or 16 a pixel, 0 black."""

    path: Path
    bits: int


class Films:
    """Decoded films in a folder of at most `keep` files. One film is decoded at a time."""

    def __init__(self, folder: Path, keep: int = 200) -> None:
        self.folder, self.keep = folder, keep
        self._turn = threading.Lock()

    def film(self, case: Case) -> Film:
        """The film as grey levels; decoded where it is not kept.

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
            radiograph = self.radiograph(case)
            bits = 16 if int(radiograph.metadata.get("bits", 8)) > 8 else 8
            top, kind = (65535, "<u2") if bits == 16 else (255, "u1")
            path = self.folder / f"{case.id}.u{bits}"
            write_bytes(path, np.rint(radiograph.pixels * top).astype(kind).tobytes())
            self._prune()
            return Film(path, bits)

    def radiograph(self, case: Case) -> Radiograph:
        """The film itself, if its file is still the one the study was made with."""
        path = Path(case.path)
        if not path.is_file() or sha256_file(path) != case.sha256:
            raise ImageError(f"{path}: missing or changed since the study began; put the file back.")
        return read(path, image_id=case.image_id, patient_id=case.patient_id)

    def _kept(self, case: Case) -> Film | None:
        for bits in (8, 16):
            path = self.folder / f"{case.id}.u{bits}"
            try:
                os.utime(path)
                size = path.stat().st_size
            except FileNotFoundError:  # never there, or pruned by another thread just now
                continue
            if size == case.shape[0] * case.shape[1] * bits // 8:
                return Film(path, bits)
        return None

    def _prune(self) -> None:
        kept = sorted(self.folder.glob("*.u*"), key=lambda p: p.stat().st_mtime)
        for path in kept[: max(0, len(kept) - self.keep)]:
            path.unlink(missing_ok=True)
