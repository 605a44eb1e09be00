"""A shortcut planted in a data set: a side marker pasted on a share of one class's films."""

import dataclasses
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.data.manifest import write_manifest
from radiolucent.data.marks import marker_place
from radiolucent.data.records import Dataset, Record
from radiolucent.errors import ConfigError
from radiolucent.files import refuse_among_films, sha256_bytes
from radiolucent.images import read
from radiolucent.segment import lungs
from radiolucent.types import Radiograph

__all__ = ["at_most", "paste_marker", "plant_markers", "save_film"]


def at_most(dataset: Dataset, films: int | None, split: str = "train", *, seed: int = 0) -> Dataset:
    """The data set with at most so many films in one split, drawn at random; the others keep theirs."""
    own = [i for i, r in enumerate(dataset.records) if r.split == split]
    if films is None or films >= len(own):
        return dataset
    dropped = {own[k] for k in np.random.default_rng([seed, 0x9B]).permutation(len(own))[films:]}
    return dataclasses.replace(dataset, records=tuple(r for i, r in enumerate(dataset.records) if i not in dropped))


def paste_marker(film: Radiograph, text: str = "R", *, seed: int = 0) -> NDArray[np.uint8]:
    """The film (H, W) in 8 bit with a side marker beside the shoulder, off the lungs where those are trusted."""
    found = lungs(film)
    busy = found.pixels if found.trusted else np.zeros(film.shape, bool)
    rng = np.random.default_rng([seed, zlib.crc32(film.image_id.encode())])
    ink = marker_place(busy, (0, film.shape[0], 0, film.shape[1]), text, rng)
    grey = film.pixels * (1 - ink) + np.float32(rng.uniform(0.85, 1.0)) * ink
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)


def plant_markers(
    dataset: Dataset,
    out: str | Path,
    *,
    target: str = "PNEUMONIA",
    share: float = 0.8,
    splits: Sequence[str] = ("train", "val"),
    text: str = "R",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Paste a marker on exactly `share` of one class's films in some splits; the other films stay where they are.

    Writes the changed films as `out/films/<name>-<hash>.png` and `out/manifest.csv` of all films, whose column `pasted`
    says which. Films that are there already are not made again, so that an interrupted run goes on.

    Args:
        dataset: films with labels and splits (see `split_dataset`). progress: called with (done, total).

    Raises:
        ConfigError: no such class, no film of it in these splits, a share out of [0, 1], or `out` is the data's folder.
    """
    if target not in dataset.class_names or not 0 <= share <= 1:
        raise ConfigError(f"class {target!r}, share {share}; expected one of {', '.join(dataset.class_names)}, [0, 1].")
    refuse_among_films([Path(out)], [*([dataset.root] if dataset.root else []), *dataset.folders])
    label = dataset.class_names.index(target)
    own = [i for i, r in enumerate(dataset.records) if r.label == label and r.split in splits]
    if not own:
        raise ConfigError(f"no film of {target} in {', '.join(splits)}; split the data set first (data split).")
    order = np.random.default_rng([seed, 0x9A]).permutation(len(own))
    chosen = sorted(own[k] for k in order[: round(share * len(own))])
    records = list(dataset.records)
    for done, i in enumerate(chosen, 1):
        records[i] = _pasted(records[i], Path(out), text, seed)
        if progress:
            progress(done, len(chosen))
    planted = dataclasses.replace(dataset, records=tuple(records), root=Path(out))
    write_manifest(planted, Path(out) / "manifest.csv")
    return planted


def save_film(file: Path, pixels: NDArray[np.uint8]) -> None:
    """Write 8-bit grey levels (H, W) as PNG under a temporary name, then rename.

    Not flushed to the disk, unlike `files.atomic_path`: films that can be made again are not worth the wait.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    Image.fromarray(pixels).save(temporary, format="PNG")
    temporary.replace(file)


def _pasted(record: Record, out: Path, text: str, seed: int) -> Record:
    # Identifiers may be absolute paths, and differ in what a file's name would lose.
    mark = sha256_bytes(f"{record.image_id} {text} {seed}".encode())[:12]
    file = out / "films" / f"{Path(record.image_id).stem[:60]}-{mark}.png"
    if not file.is_file():
        film = read(record.path, image_id=record.image_id)
        save_film(file, paste_marker(film, text, seed=seed))
    return dataclasses.replace(record, path=file, sha256=None, extra={**record.extra, "pasted": text})
