"""Lung masks of a whole data set, as files."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, PngImagePlugin

from radiolucent.files import atomic_path, refuse_among_films, stem_of, write_text
from radiolucent.images import read_or_note
from radiolucent.segment.distrust import EXPECTED, SIGNS
from radiolucent.segment.lungs import LungMask, Segmenter, load_segmenter, lungs_of
from radiolucent.tables import csv_text
from radiolucent.types import Radiograph

__all__ = ["Film", "MasksWritten", "write_lungs"]

NOTE = "radiolucent"


class Film(Protocol):
    """A file with a name: `data.Record` is one."""

    @property
    def path(self) -> Path: ...
    @property
    def image_id(self) -> str: ...


@dataclass(frozen=True)
class MasksWritten:
    """What `write_lungs` did.

    Attributes:
        written: masks there now. distrusted: (image_id, reasons).
        left_out: (path, reason) of unreadable films, and of films whose masks would have one name.
    """

    written: int
    distrusted: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: tuple[tuple[Path, str], ...]


def write_lungs(
    films: Sequence[Film],
    out: str | Path,
    *,
    segmenter: Segmenter | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MasksWritten:
    """Write `out/<image_id>.png` (white: lungs; the film's own pixels) for every film, and `out/lungs.csv`.

    Each PNG carries its signs and the hash of the weights, so that an interrupted run goes on where it stopped and a
    mask by other weights is made anew. Films are streamed: memory does not grow with their number. Of
    films whose masks would have one name all are left out.

    Raises:
        ConfigError: a mask would lie in its film's folder.
    """
    root, chosen = Path(out), segmenter or load_segmenter()
    digest = str(chosen.about.get("sha256", ""))
    refuse_among_films({_target(root, f.image_id).parent for f in films}, {f.path.parent for f in films})
    total, places = len(films), Counter(_target(root, f.image_id) for f in films)
    left = [
        (f.path, f"another film's mask would be {place.relative_to(root)} too; give other identifiers.")
        for f in films
        if places[place := _target(root, f.image_id)] > 1
    ]
    films = [f for f in films if places[_target(root, f.image_id)] == 1]
    kept = {f.image_id: note for f in films if (note := _note(_target(root, f.image_id), digest)) is not None}
    todo = [f for f in films if f.image_id not in kept]
    done = len(kept)
    for mask in lungs_of(_read(todo, left), segmenter=chosen):
        kept[mask.image_id] = _write(_target(root, mask.image_id), mask, digest)
        done += 1
        if progress:
            progress(done + len(left), total)
    order = [f.image_id for f in films if f.image_id in kept]
    _table(root / "lungs.csv", [(name, kept[name]) for name in order])
    doubted = tuple((name, tuple(kept[name]["reasons"])) for name in order if kept[name]["reasons"])
    return MasksWritten(len(order), doubted, tuple(left))


def _target(root: Path, image_id: str) -> Path:
    """Below `root`, whatever the identifier: no part of it may lead out."""
    *folders, name = [part for part in Path(image_id).parts if part not in ("/", "..", ".")]
    return root.joinpath(*folders, f"{stem_of(name)}.png")


def _read(films: Sequence[Film], left: list[tuple[Path, str]]) -> Iterator[Radiograph]:
    yield from filter(None, (read_or_note(film.path, left, image_id=film.image_id) for film in films))


def _write(path: Path, mask: LungMask, digest: str) -> dict[str, list[str] | dict[str, float]]:
    note: dict[str, list[str] | dict[str, float]] = {"reasons": list(mask.reasons), "signs": dict(mask.signs)}
    text = PngImagePlugin.PngInfo()
    text.add_text(NOTE, json.dumps(note | {"sha256": digest}))
    with atomic_path(path) as temporary:
        Image.fromarray(mask.pixels.astype(np.uint8) * 255).save(temporary, pnginfo=text, compress_level=1)
    return note


def _note(path: Path, digest: str) -> dict[str, list[str] | dict[str, float]] | None:
    """What a mask on disk says of itself; None where there is none, or another segmenter's."""
    if not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            note = json.loads(str(image.info[NOTE]))
        return note if note.pop("sha256") == digest else None
    except (OSError, KeyError, ValueError):
        return None


def _table(path: Path, rows: Sequence[tuple[str, dict[str, list[str] | dict[str, float]]]]) -> None:
    cells: list[list[str]] = []
    for name, note in rows:
        found, why = note["signs"], note["reasons"]
        assert isinstance(found, dict)
        cells.append([name, str(not why).lower(), "; ".join(why), *(f"{found[s]:.4g}" for s in (*SIGNS, EXPECTED))])
    write_text(path, csv_text(["image_id", "trusted", "reasons", *SIGNS, EXPECTED], cells, names={"image_id"}))
