"""What is known of each film, and of a set of films."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiolucent.shown import Shown

__all__ = ["COMPANION", "HIDDEN", "NOTED", "SPLITS", "Dataset", "LeftOut", "Record", "is_lost"]

SPLITS = ("train", "val", "test")
HIDDEN, COMPANION = "hidden or auxiliary", "a text or table beside the films"  # reasons that are no loss
NOTED = "noted: "  # begins a reason by which nothing is lost: what was assumed, or passed over


@dataclass(frozen=True)
class Record:
    """One film.

    Attributes:
        path: the file.
        image_id: identifier, unique in its data set (the path below the root).
        label: class index, or None where unknown.
        patient_id: patient, or None where unknown.
        split: "train", "val", "test", or None.
        site: where it was taken. etiology: "bacteria" or "virus". sha256: of the file's bytes.
        extra: further columns of a manifest.
    """

    path: Path
    image_id: str
    label: int | None = None
    patient_id: str | None = None
    split: str | None = None
    site: str | None = None
    etiology: str | None = None
    sha256: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def columns(self) -> Mapping[str, str]:
        """What is known of the film beyond its label, by column: site, etiology, and a manifest's further columns."""
        known = {"site": self.site, "etiology": self.etiology}
        return {k: v for k, v in known.items() if v} | dict(self.extra)

    def column(self, name: str) -> str | None:
        """One column; None where it is not known."""
        return self.columns.get(name)


class LeftOut(NamedTuple):
    """A file that is not part of the data set, and why."""

    path: Path
    reason: str


def is_lost(reason: str) -> bool:
    """Whether a reason for leaving something out means that something is missed.

    >>> is_lost(COMPANION), is_lost("noted: 3 files beside"), is_lost("is empty (0 bytes)")
    (False, False, True)
    """
    return reason not in (HIDDEN, COMPANION) and not reason.startswith(NOTED)


@dataclass(frozen=True)
class Dataset(Shown):
    """Films with their classes.

    Attributes:
        records: the films, in a stable order.
        class_names: names by label.
        root: folder they lie in.
        left_out: files that are no part of it, with the reason.
        source: where it came from. notes: decisions taken on the way.
    """

    records: tuple[Record, ...]
    class_names: tuple[str, ...]
    root: Path | None = None
    left_out: tuple[LeftOut, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"Dataset({len(self)} films of {', '.join(self.class_names) or 'no class'}, {self.source})"

    def rows(self) -> list[dict[str, object]]:
        """A row a film: image, label, patient, split and what else is known of it."""
        names = dict(enumerate(self.class_names))
        return [
            {
                "image": r.image_id,
                "label": names.get(-1 if r.label is None else r.label),
                "patient": r.patient_id,
                "split": r.split,
                **r.columns,
            }
            for r in self.records
        ]

    def split(self, name: str | None) -> "Dataset":
        """The films of one split."""
        return dataclasses.replace(self, records=tuple(r for r in self.records if r.split == name))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have films, in the order train, val, test."""
        found = {r.split for r in self.records}
        return tuple(s for s in SPLITS if s in found)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class indices (N,), -1 where unknown."""
        return np.array([-1 if r.label is None else r.label for r in self.records], np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Films by split and class."""
        tally = Counter((r.split or "none", r.label) for r in self.records)
        names = dict(enumerate(self.class_names)) | {None: "unlabelled"}
        found: dict[str, dict[str, int]] = {}
        for (split, label), count in sorted(tally.items(), key=lambda item: (item[0][0], str(item[0][1]))):
            found.setdefault(split, {})[names[label]] = count
        return found

    def patients(self) -> dict[str, int]:
        """Patients by split; a film without one counts as its own."""
        found: dict[str, set[str]] = {}
        for r in self.records:
            found.setdefault(r.split or "none", set()).add(r.patient_id or r.image_id)
        return {split: len(ids) for split, ids in sorted(found.items())}
