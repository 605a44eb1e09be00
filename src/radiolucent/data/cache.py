"""Decoded, resized films in one memory-mapped uint8 array, so that every file is decoded once.

Layout below the cache folder, one folder a decoder version and preprocessing (`v2-squash-224/`): blocks of films
known by their SHA-256, and `order-*.npy`, the films of one data set in its order, of which the latest few are kept;
and `stat.json`, which spares hashing files whose size and time have not changed. A moved or renamed film is not
decoded again; a changed one is. An interrupted build goes on where it stopped.
"""

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.records import LeftOut, Record
from radiolucent.errors import DataError, ImageError
from radiolucent.files import atomic_path, real_path, sha256_bytes, sha256_file, write_json
from radiolucent.images import Preprocess, read, reading, unusual
from radiolucent.types import Geometry

__all__ = ["PixelCache", "build_cache"]

CHUNK = 256
DECODER = 3  # raise it whenever `images.read` or `Preprocess.quantise` gives other pixels for the same file
ORDERS = 8  # copies kept, the last used; an older one is made again from the blocks when it is asked for


@dataclass(frozen=True, eq=False)
class PixelCache:
    """Films ready for a network.

    Attributes:
        pixels: uint8 (N, S, S), memory-mapped.
        records: the N readable films, in the order of `pixels`.
        shapes: source (H, W) of each.
        preprocess: what they were resized for.
        left_out: films that could not be read, with the reason.
    """

    pixels: NDArray[np.uint8]
    records: tuple[Record, ...]
    shapes: tuple[tuple[int, int], ...]
    preprocess: Preprocess
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def geometry(self, i: int) -> Geometry:
        """Where film i's input lies in its source."""
        return self.preprocess.geometry(self.shapes[i])


def build_cache(
    records: Sequence[Record],
    preprocess: Preprocess,
    folder: str | Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PixelCache:
    """Decode and resize every film that is not in the cache yet, and map the result.

    Args:
        folder: the cache; shared between runs.
        workers: decoding threads; one a core unless given.
        progress: called with (done, total).

    Raises:
        DataError: no film at all could be read.
    """
    home = Path(folder) / _name(preprocess)
    hashes, left_out = _hashes(records, Path(folder) / "stat.json")
    store = _Store(home)
    todo = {h: r for r, h in zip(records, hashes, strict=True) if h is not None and h not in store.rows}
    done = len(records) - len(todo)
    failed: dict[str, str] = {}
    items = list(todo.items())
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            films: list[tuple[str, NDArray[np.uint8], tuple[int, int]]] = []
            for (key, record), result in zip(
                chunk, pool.map(_decode, [r for _, r in chunk], [preprocess] * len(chunk)), strict=True
            ):
                if isinstance(result, str):
                    failed[key] = result.removeprefix(f"{record.path}: ")
                else:
                    films.append((key, *result))
            store.append(films)
            done += len(chunk)
            if progress:
                progress(done, len(records))
    good = [(r, h) for r, h in zip(records, hashes, strict=True) if h is not None and h in store.rows]
    left_out += [
        LeftOut(r.path, failed[h]) for r, h in zip(records, hashes, strict=True) if h is not None and h in failed
    ]
    if not good:
        first = f" (e.g. {left_out[0].path}: {left_out[0].reason})" if left_out else ""
        raise DataError(f"none of {len(records)} films could be read{first}.")
    pixels = store.gather([h for _, h in good], preprocess.size)
    shapes = tuple(store.rows[h][2] for _, h in good)
    return PixelCache(pixels, tuple(r for r, _ in good), shapes, preprocess, tuple(left_out))


def _name(preprocess: Preprocess) -> str:
    """Folder of the films that this preprocessing, and how films are read, give."""
    if preprocess.width is not None:
        raise DataError(
            f"inputs of {preprocess.shape} pixels; training, evaluation and audits take square ones. Films are "
            "explained and predicted one call at a time: explain(), predict()."
        )
    plain = f"v{DECODER}-{preprocess.fit}-{preprocess.size}"
    window = "" if preprocess.window is None else json.dumps(preprocess.window.to_dict(), sort_keys=True)
    if not (special := window + reading().pixels_key()):
        return plain
    return f"{plain}-{sha256_bytes(special.encode())[:12]}"


def _decode(record: Record, preprocess: Preprocess) -> tuple[NDArray[np.uint8], tuple[int, int]] | str:
    try:
        film = read(record.path, image_id=record.image_id)
        return preprocess.quantise(film), film.shape
    except ImageError as error:
        return str(error)


def _hashes(records: Sequence[Record], file: Path) -> tuple[list[str | None], list[LeftOut]]:
    """SHA-256 of every film, from the table of known (path, size, time) where that has not changed."""
    known = _read_json(file)
    found: list[str | None] = []
    left_out: list[LeftOut] = []
    for record in records:
        if why := unusual(record.path, reading().max_pixels):
            left_out.append(LeftOut(record.path, why))
            found.append(None)
            continue
        path = str(real_path(record.path))
        try:
            stat = record.path.stat()
            stamp = [stat.st_size, stat.st_mtime_ns]
            if known.get(path, [None])[:2] != stamp:
                known[path] = [*stamp, sha256_file(record.path)]
            found.append(known[path][2])
        except OSError as error:
            left_out.append(LeftOut(record.path, f"cannot be read ({error.strerror})"))
            found.append(None)
    write_json(file, known)
    return found, left_out


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}  # absent or damaged: everything is hashed again


class _Store:
    """Blocks of films on disk, and where each film stands in them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.rows: dict[str, tuple[str, int, tuple[int, int]]] = {}
        for index in sorted(home.glob("block-*.json")):
            block = index.with_suffix(".npy")
            if block.is_file():
                for row, (key, height, width) in enumerate(_read_json(index).get("films", [])):
                    self.rows[key] = (block.name, row, (height, width))

    def append(self, films: list[tuple[str, NDArray[np.uint8], tuple[int, int]]]) -> None:
        """Write one block; its index last, so that a crash leaves no index without pixels."""
        if not films:
            return
        name = f"block-{sha256_bytes(''.join(k for k, _, _ in films).encode())[:16]}"
        with atomic_path(self.home / f"{name}.npy") as temporary, temporary.open("wb") as stream:
            np.save(stream, np.stack([pixels for _, pixels, _ in films]))
        write_json(self.home / f"{name}.json", {"films": [[k, *shape] for k, _, shape in films]})
        for row, (key, _, shape) in enumerate(films):
            self.rows[key] = (f"{name}.npy", row, shape)

    def gather(self, keys: list[str], size: int) -> NDArray[np.uint8]:
        """One contiguous memory-mapped array in the order of `keys`, made once for each order."""
        name = f"order-{sha256_bytes(''.join(keys).encode())[:16]}.npy"
        file = self.home / name
        if not file.is_file():
            heading = {"descr": "|u1", "fortran_order": False, "shape": (len(keys), size, size)}
            with atomic_path(file) as temporary, temporary.open("wb") as stream:
                np.lib.format.write_array_header_1_0(stream, heading)
                blocks: dict[str, NDArray[np.uint8]] = {}
                for key in keys:  # not into mapped memory: where no room is left, that ends the process
                    block, row, _ = self.rows[key]
                    if block not in blocks:
                        blocks[block] = np.load(self.home / block, mmap_mode="r")
                    stream.write(blocks[block][row].tobytes())
        found = np.load(file, mmap_mode="r")
        self._prune(file)
        return found

    def _prune(self, used: Path) -> None:
        """Remove the copies longest unused; one that another process has mapped stays readable there (POSIX)."""
        with contextlib.suppress(OSError):  # a read-only cache, or a file that Windows holds open
            used.touch()
            copies = sorted(self.home.glob("order-*.npy"), key=lambda f: f.stat().st_mtime_ns)
            for old in [f for f in copies if f != used][: -(ORDERS - 1)]:
                old.unlink()
