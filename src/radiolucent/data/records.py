"""What is known of each film, and of a set of films."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radiolucent.bounds import expect
from radiolucent.shown import Shown

__all__ = [
    "COMPANION", "HIDDEN", "NOTED", "NOT_GIVEN", "SPLITS", "UNCERTAIN", "Dataset", "LeftOut", "Record",
    "check_dataset", "is_lost", "labels_of", "split_of",
]  # fmt: skip

SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "validate": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Splits by the names that folders and manifests give them, in lower case."""
_SET = re.compile(r"[\s_-]*(set|data|split|images)$")
_STAGE = re.compile(r"^(stage[\s_-]*\d+|dicom[\s_-]*images|images)[\s_-]+")  # of RSNA and SIIM
HIDDEN, COMPANION = "hidden or auxiliary", "a text or table beside the films"  # reasons that are no loss
UNCERTAIN, NOT_GIVEN = -1, -2  # of a label of a film that may have several; 1 and 0 are with and without it
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
        findings: where a film may have several labels, one number for each of the data set's: 1 with it, 0 without it,
            `UNCERTAIN` or `NOT_GIVEN`; `label` is None then.
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
    findings: tuple[int, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether its class is known, or any of its labels."""
        return self.label is not None or any(v >= 0 for v in self.findings)

    @property
    def columns(self) -> Mapping[str, str]:
        """What is known of the film beyond its label, by column: site, etiology, and a manifest's further columns."""
        known = {"site": self.site, "etiology": self.etiology}
        return {k: v for k, v in known.items() if v} | dict(self.extra)

    def column(self, name: str) -> str | None:
        """One column; None where it is not known."""
        return self.columns.get(name)


def labels_of(records: Sequence[Record], several: int = 0) -> NDArray[np.int64]:
    """Class indices (N,), -1 where unknown; of films with several labels (N, K) 1, 0 and -1.

    Args:
        several: how many labels, where there may be no film to tell.
    """
    count = several or max((len(r.findings) for r in records), default=0)
    if not count:
        return np.array([-1 if r.label is None else r.label for r in records], np.int64)
    rows = [r.findings or (NOT_GIVEN,) * count for r in records]
    return np.maximum(np.array(rows, np.int64).reshape(len(rows), count), -1)


class LeftOut(NamedTuple):
    """A file that is not part of the data set, and why."""

    path: Path
    reason: str


def split_of(name: str) -> str | None:
    """The split that a folder or a manifest's cell calls so; None where it is none.

    >>> split_of("Training"), split_of("Test Set"), split_of("val_data"), split_of("dev")
    ('train', 'test', 'val', None)
    >>> split_of("stage_2_train_images"), split_of("dicom-images-test")
    ('train', 'test')
    """
    return _SPLIT_NAMES.get(_STAGE.sub("", _SET.sub("", name.strip().lower())))


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
        multilabel: whether a film may have any number of the classes, which are then its labels (`Record.findings`).
    """

    records: tuple[Record, ...]
    class_names: tuple[str, ...]
    root: Path | None = None
    left_out: tuple[LeftOut, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    multilabel: bool = False

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
                **self._labels_of(r, names),
                "patient": r.patient_id,
                "split": r.split,
                **r.columns,
            }
            for r in self.records
        ]

    def _labels_of(self, r: Record, names: Mapping[int, str]) -> dict[str, object]:
        if not self.multilabel:
            return {"label": names.get(-1 if r.label is None else r.label)}
        return {name: None if v == NOT_GIVEN else v for name, v in zip(self.class_names, r.findings, strict=True)}

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
        """Class indices (N,), -1 where unknown; of several labels a film (N, K) 1, 0 and -1."""
        return labels_of(self.records, len(self.class_names) if self.multilabel else 0)

    @property
    def folders(self) -> set[Path]:
        """The folders that its films lie in."""
        return {r.path.parent for r in self.records}

    def counts(self) -> dict[str, dict[str, int]]:
        """Films by split and class; of several labels a film, those with each label, and those with none of them."""
        if self.multilabel:
            return self._counts_of_labels()
        tally = Counter((r.split or "none", r.label) for r in self.records)
        names = dict(enumerate(self.class_names)) | {None: "unlabelled"}
        found: dict[str, dict[str, int]] = {}
        for (split, label), count in sorted(tally.items(), key=lambda item: (item[0][0], str(item[0][1]))):
            found.setdefault(split, {})[names[label]] = count
        return found

    def _counts_of_labels(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for r in sorted(self.records, key=lambda r: r.split or "none"):
            own = found.setdefault(r.split or "none", dict.fromkeys([*self.class_names, "none of them"], 0))
            for name, value in zip(self.class_names, r.findings, strict=True):
                own[name] += value == 1
            own["none of them"] += all(value == 0 for value in r.findings)
        return found

    def patients(self) -> dict[str, int]:
        """Patients by split; a film without one counts as its own."""
        found: dict[str, set[str]] = {}
        for r in self.records:
            found.setdefault(r.split or "none", set()).add(r.patient_id or r.image_id)
        return {split: len(ids) for split, ids in sorted(found.items())}


def check_dataset(given: Any) -> None:
    """Refuse what is no data set, such as a folder's path.

    Raises:
        ConfigError: with the call that makes one.
    """
    expect(given, Dataset, "data set", "rl.load_dataset(folder or manifest)")
