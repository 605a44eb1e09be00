"""What lies where on the films of a cache, in the model's frame: made once, kept as a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from radiolucent.audits.trial import Masker
from radiolucent.audits.trial.regions import view_of
from radiolucent.data import PixelCache, Record
from radiolucent.files import sha256_bytes, write_json
from radiolucent.images import Preprocess, read
from radiolucent.study.many_config import digest
from radiolucent.study.progress import Progress, quiet
from radiolucent.types import Annotation

__all__ = ["Layers", "find_layers"]

CHUNK = 64


@dataclass(frozen=True, eq=False)
class Layers:
    """Masks bool (N, S, S) in a cache's order, in memory.

    Attributes:
        lungs: where they are known (`lungs_known` (N,)), else empty. markers: likewise. findings: doctors' regions.
    """

    lungs: NDArray[np.bool_]
    lungs_known: NDArray[np.bool_]
    markers: NDArray[np.bool_]
    findings: NDArray[np.bool_]


def find_layers(
    cache: PixelCache,
    lungs: Masker,
    markers: Masker,
    annotations: Sequence[Annotation],
    note: str,
    folder: Path,
    say: Progress = quiet,
) -> Layers:
    """The masks of every film of a cache; an interrupted search goes on where it stopped.

    Args:
        note: what the masks come from; with the films and the frame it tells one search from another. folder: for
            `masks-*.npy`, one bit-plane a mask, and its count of finished films.
    """
    size = cache.preprocess.size
    films = [[r.image_id, r.sha256, r.path.stat().st_size] for r in cache.records]
    identity = json.dumps([note, cache.preprocess.to_dict(), films, digest(annotations)])
    stem = folder / f"masks-{sha256_bytes(identity.encode())[:16]}"
    file, count = stem.with_suffix(".npy"), stem.with_suffix(".json")
    known = json.loads(count.read_text()) if count.is_file() and file.is_file() else {"films": 0}
    folder.mkdir(parents=True, exist_ok=True)
    # Not renamed at the end: the count, written after the films it counts, says how far the file can be believed.
    if not known["films"]:
        with file.open("wb") as stream:  # written first: where no room is left for mapped memory, the process ends
            heading = {"descr": "|u1", "fortran_order": False, "shape": (len(cache), size, size)}
            np.lib.format.write_array_header_1_0(stream, heading)
            for _ in range(len(cache)):
                stream.write(bytes(size * size))
    store = open_memmap(file, "r+")
    by_image: dict[str, list[Annotation]] = {}
    for a in annotations:
        by_image.setdefault(a.image_id, []).append(a)
    for start in range(known["films"], len(cache), CHUNK):
        stop = min(start + CHUNK, len(cache))
        for i in range(start, stop):
            record = cache.records[i]
            store[i] = _planes(record, cache.preprocess, lungs, markers, by_image.get(record.image_id, ()))
        store.flush()
        write_json(count, {"films": stop})
        say("finding lungs and markers", stop, len(cache))
    planes = np.asarray(store)
    return Layers(
        (planes & 1).astype(bool), ((planes[:, 0, 0] & 8) > 0), (planes & 2).astype(bool), (planes & 4).astype(bool)
    )


def _planes(
    record: Record, preprocess: Preprocess, lungs: Masker, markers: Masker, annotations: Sequence[Annotation]
) -> NDArray[np.uint8]:
    """Bit 0: lungs, 1: markers, 2: doctors' regions; bit 3 of the first pixel: lungs are known."""
    film = read(record.path, image_id=record.image_id)
    view = view_of(film, preprocess, lungs=lungs, markers=markers, annotations=annotations, whole=False)
    out = np.zeros(view.grey.shape, np.uint8)
    for bit, mask in enumerate((view.lungs, view.markers, view.findings)):
        if mask is not None:
            out |= mask.astype(np.uint8) << bit
    out[0, 0] |= np.uint8(8 * (view.lungs is not None and view.lungs.any()))
    return out
