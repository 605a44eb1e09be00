"""Films that a model was trained or chosen on, recognised among others by content and by patient."""

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radiolucent.data.kermany import parse_name
from radiolucent.data.label_cells import name_text
from radiolucent.data.records import Dataset, LeftOut, Record
from radiolucent.errors import DataError
from radiolucent.files import sha256_file, write_text
from radiolucent.models import films_path, is_exported_box, names_box, names_own
from radiolucent.tables import csv_text

__all__ = ["IDENTITY", "LISTED", "PIXELS", "Seen", "TrainingFilms", "films_of_run", "listed_rows", "write_films"]

IDENTITY = "image_id"  # columns of `split.csv` beside those of a manifest
PIXELS = "pixels_sha256"
TOLD = {"train": "trained", "val": "chosen and calibrated"}
LISTED = "of"
"""How many lines a list has, in each of them, so that one that is cut short at a line's end is noticed."""
EXPORTED: tuple[str, ...] = ("split", "sha256", PIXELS, LISTED)
"""Columns of the list beside an exported file. It goes where the file goes, and so names no patient."""
NO_PATIENTS = "It is not known which patients it was trained on: other films of theirs are not recognised."


@dataclass(frozen=True)
class TrainingFilms:
    """What identifies the films of a run's training and validation splits; each mapping gives the split.

    Attributes:
        files: by SHA-256 of the file's bytes. pixels: by SHA-256 of what the network is given, which a copy in another
            lossless format shares. patients: by patient identifier. collection: films named as those of the Kermany
            training set are among them too (the shipped model, whose films come in copies of many sizes).
        unsure: which of them, or of their patients' films, are not recognised; "" where all are.
    """

    files: Mapping[str, str]
    pixels: Mapping[str, str]
    patients: Mapping[str, str]
    collection: bool = False
    unsure: str = ""

    def among(self, records: Sequence[Record], pixels: Mapping[str, str] | None = None) -> "Seen":
        """Which of some films are among these, or of the same patients.

        Args:
            pixels: by image identifier, the digest of what the network is given; without it files alone are compared.
        """
        found: dict[str, tuple[str, str]] = {}
        for r in records:
            digest = r.sha256 or (sha256_file(r.path) if r.path.is_file() else "")
            if split := self.files.get(digest):
                found[r.image_id] = ("the same file", split)
            elif split := self.pixels.get((pixels or {}).get(r.image_id, "")):
                found[r.image_id] = ("the same picture", split)
            elif r.patient_id and (split := self.patients.get(r.patient_id)):
                found[r.image_id] = ("a film of the same patient", split)
            elif self.collection and _named_in_collection(r):
                found[r.image_id] = ("a name of the collection it learned from", "train")
        return Seen(found, len(records), self.unsure)


@dataclass(frozen=True)
class Seen:
    """Films that are no test of a model.

    Attributes:
        films: by image identifier, (how it was recognised, the split it was in). of: films looked at.
        unsure: which films are not recognised; "" where all are.
    """

    films: Mapping[str, tuple[str, str]]
    of: int
    unsure: str = ""

    def without(self, dataset: Dataset) -> Dataset:
        """The data set without them; they are listed with their reason.

        Raises:
            DataError: nothing is left.
        """
        kept = tuple(r for r in dataset.records if r.image_id not in self.films)
        if not kept:
            raise DataError(f"{dataset.source}: the model was trained or chosen on all of its {self.of} films.")
        gone = [r for r in dataset.records if r.image_id in self.films]
        left = tuple(LeftOut(r.path, f"{self.films[r.image_id][0]} was in {self._split(r)}") for r in gone)
        return dataclasses.replace(dataset, records=kept, left_out=(*dataset.left_out, *left))

    def _split(self, record: Record) -> str:
        return {"train": "training", "val": "validation"}[self.films[record.image_id][1]]

    @property
    def warning(self) -> str:
        """A sentence or two; "" where there are none, and none that might not be recognised."""
        if not self.films:
            return self.unsure
        ways = Counter(self.films.values())
        parts = [f"{n} {TOLD[split]} on ({how})" for (how, split), n in ways.most_common()]
        return (
            f"{len(self.films)} of {self.of} films are no test of this model: {'; '.join(parts)}. Figures on them are "
            f"too good; leave them out with --unseen.{' ' * bool(self.unsure)}{self.unsure}"
        )

    def as_dict(self, *, left_out: bool) -> dict[str, Any]:
        """JSON-ready: how many, by split and by how they were recognised, and whether they were left out."""
        splits = Counter(split for _, split in self.films.values())
        ways = Counter(how for how, _ in self.films.values())
        return {"films": len(self.films), "of": self.of, "splits": dict(splits), "by": dict(ways), "left_out": left_out}


def _named_in_collection(record: Record) -> bool:
    """Whether a film is named as one of the Kermany training set; those below a `test` folder are not."""
    folder = (record.patient_id or "").partition(":")[0]
    return folder in ("train", "all") and parse_name(record.path.stem, folder)[0] == record.patient_id


def films_of_run(run: str | Path) -> TrainingFilms | None:
    """The films that the run at a path (its folder, or its model file) learned from; None where it does not say.

    Of an exported file they stand beside it (`write_films`).

    Raises:
        DataError: its `split.csv`, or the list beside an exported file, is damaged.
    """
    if names_box(run) or is_exported_box(Path(run)):
        return TrainingFilms({}, {}, {}, collection=True)
    place = Path(run)
    if (beside := films_path(place)).is_file():
        return _films_in(beside, NO_PATIENTS)
    file = (place if place.is_dir() else place.parent) / "split.csv"
    return None if names_own(run) or not file.is_file() else _films_in(file)


def write_films(run: str | Path, exported: Path) -> None:
    """Write beside an exported file which films its run learned from, by digests; see `EXPORTED`.

    Where the run does not say, nothing is written.
    """
    place, file = Path(run), films_path(exported)
    source = (place if place.is_dir() else place.parent) / "split.csv"
    if names_box(run) or names_own(run) or not source.is_file():
        return
    rows = [row for row in listed_rows(source) if row["split"] in TOLD]
    write_text(file, csv_text(EXPORTED, (row | {LISTED: len(rows)} for row in rows)))


def _films_in(file: Path, unsure: str = "") -> TrainingFilms:
    kinds = ("sha256", PIXELS, "patient_id")
    found: list[dict[str, str]] = [{}, {}, {}]
    for row in listed_rows(file):
        for known, column in zip(found, kinds, strict=True):
            name = name_text(row.get(column))  # as manifests are read: older runs kept patients such as 12.0
            if row["split"] in TOLD and name:
                known.setdefault(name, row["split"])
    if not any(found):
        raise DataError(f"{file}: names no film that the run learned from; copy the run again, or export it anew.")
    return TrainingFilms(found[0], found[1], found[2], unsure=unsure)


def listed_rows(file: Path, *columns: str) -> list[dict[str, str]]:
    """The lines of a run's `split.csv`, or of the list beside an exported file, which have a split.

    Args:
        columns: others that they must have.

    Raises:
        DataError: it is missing, lacks a column, or is cut short.
    """
    try:
        text = file.read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        lacking = [c for c in ("split", *columns) if any(row.get(c) is None for row in rows)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file}: does not say which film was in which split ({error}); copy the run again, or export it anew."
        ) from error
    if (text and not text.endswith("\n")) or any(row.get(LISTED, str(len(rows))) != str(len(rows)) for row in rows):
        raise DataError(f"{file}: is cut short; copy the run again, or export it anew.")
    if lacking:
        raise DataError(
            f"{file}: does not say which film was in which split (no {', '.join(lacking)}); copy the run again, give "
            "the command that made it once more, or export it anew."
        )
    return rows
