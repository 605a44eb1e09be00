"""One decoding pass over a data set: what every check needs to know of each film."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.data.records import Record
from radiolucent.errors import ImageError
from radiolucent.files import sha256_file
from radiolucent.images import read

__all__ = ["Film", "survey"]

THUMB = 64


@dataclass(frozen=True, eq=False)
class Film:
    """What was seen of one film.

    Attributes:
        record: the film. error: why it cannot be read, or "".
        sha256: of its bytes. size: bytes. width, height: stored pixels. mode, format: as stored. tables: hash of its
            JPEG quantisation tables.
        about: what the file says of itself, with its spacing. notes: what reading had to assume.
        grey: mean grey level. border: mean grey level of the outer 5 %.
        thumb: float16 (64, 64), high-passed and standardised; for telling near duplicates.
    """

    record: Record
    error: str = ""
    sha256: str = ""
    size: int = 0
    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    tables: str = ""
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()
    grey: float = 0.0
    border: float = 0.0
    thumb: NDArray[np.float16] = field(default_factory=lambda: np.zeros((THUMB, THUMB), np.float16))


def survey(records: Sequence[Record], *, progress: Callable[[int, int], None] | None = None) -> list[Film]:
    """Read every film once, in parallel; unreadable ones carry their error."""
    found: list[Film] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for film in pool.map(_look, records):
            found.append(film)
            if progress:
                progress(len(found), len(records))
    return found


def _look(record: Record) -> Film:
    from scipy import ndimage

    try:
        film = read(record.path, image_id=record.image_id)
        size, digest = record.path.stat().st_size, sha256_file(record.path)
    except (ImageError, OSError) as error:
        return Film(record, error=str(error).removeprefix(f"{record.path}: "))
    meta: dict[str, Any] = dict(film.metadata)
    pixels = film.pixels
    edge_y, edge_x = max(1, pixels.shape[0] // 20), max(1, pixels.shape[1] // 20)
    border = np.concatenate(
        [pixels[:edge_y].ravel(), pixels[-edge_y:].ravel(), pixels[:, :edge_x].ravel(), pixels[:, -edge_x:].ravel()]
    )
    small = np.asarray(Image.fromarray(pixels).resize((THUMB, THUMB), Image.Resampling.BOX), np.float32)
    detail = small - ndimage.gaussian_filter(small, 4)
    spread = float(detail.std())
    return Film(
        record,
        sha256=digest,
        size=size,
        width=int(meta.get("width", pixels.shape[1])),
        height=int(meta.get("height", pixels.shape[0])),
        mode=str(meta.get("mode", "")),
        format=str(meta.get("format", "")),
        tables=str(meta.get("jpeg_tables", "")),
        about=meta | {"spacing": film.spacing},
        notes=film.notes,
        grey=float(pixels.mean()),
        border=float(border.mean()),
        thumb=(detail / spread if spread > 1e-4 else 0 * detail).astype(np.float16),
    )
