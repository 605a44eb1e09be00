"""From a folder to films a network can take: checked, split, decoded once."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radiolucent.data import (
    Dataset,
    LeftOut,
    PixelCache,
    build_cache,
    check,
    split_dataset,
    write_manifest,
)
from radiolucent.data.doubtful import TEST
from radiolucent.data.multilabel import of_label
from radiolucent.data.trained_on import IDENTITY, LISTED, PIXELS, listed_rows
from radiolucent.files import sha256_bytes, write_json
from radiolucent.images import Preprocess, reading
from radiolucent.study.case import finding_from
from radiolucent.study.config import StudyConfig
from radiolucent.study.preflight import preflight, preflight_labels
from radiolucent.study.progress import Progress, quiet
from radiolucent.types import Finding

__all__ = ["TOLD", "Prepared", "prepare"]

TOLD = "training.json"
"""What a report tells of a training and no other file holds."""


@dataclass(frozen=True)
class Prepared:
    """A data set ready for a network.

    Attributes:
        dataset: with its splits. findings: of the data checks. cache: its readable films, in the dataset's order.
        warnings: what there is too little of, and what would be enough.
        readings_left: what of the doctors' readings could not be used; filled when they are read.
    """

    dataset: Dataset
    findings: tuple[Finding, ...]
    cache: PixelCache
    warnings: tuple[str, ...] = ()
    readings_left: list[LeftOut] = field(default_factory=list[LeftOut])

    def rows(self, split: str) -> list[int]:
        """Positions in the cache of one split's films."""
        return [i for i, record in enumerate(self.cache.records) if record.split == split]

    def of_label(self, label: str) -> "Prepared":
        """One label of films with several, as a question of two classes; films where it is not known have no split."""
        one = of_label(self.dataset, label)
        cache = dataclasses.replace(self.cache, records=one.records)
        return Prepared(one, tuple(_findings_of(self.findings, label)), cache, (), self.readings_left)

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """(path, reason) of every file, and every reading, that could not be used."""
        found = {str(item.path): item.reason for item in (*self.dataset.left_out, *self.cache.left_out)}
        return [*found.items(), *((str(item.path), item.reason) for item in self.readings_left)]


def _findings_of(findings: Sequence[Finding], label: str) -> Iterator[Finding]:
    """The checks of the data that are of every label, and those of this one under their plain names."""
    for f in findings:
        test, _, of = f.test.partition(" [")
        if not of or of == f"{label}]":
            yield dataclasses.replace(f, test=test)


def prepare(config: StudyConfig, preprocess: Preprocess, say: Progress = quiet, *, trained: bool = False) -> Prepared:
    """Load, decode, check and split a data set; writes `split.csv` and `findings.json` into the run folder.

    Args:
        trained: the run has its `split.csv`, which holds: films that came since belong to no split, and a note says so.
    """
    dataset = config.load()
    cache = build_cache(
        dataset.records, preprocess, config.cache_folder, progress=lambda d, t: say("decoding films", d, t)
    )
    readable = dataclasses.replace(dataset, records=cache.records)
    split = split_dataset(readable, val=config.val, test=config.test, seed=config.seed)
    findings = _findings(dataset, config.out / "findings.json", say)  # the first that is written, after all that fails
    if trained:
        split = _as_trained(split, dataset.notes, config.out)
    else:
        digests = [sha256_bytes(film.tobytes()) for film in cache.pixels]
        named = [
            dataclasses.replace(r, extra={**r.extra, IDENTITY: r.image_id, PIXELS: digest, LISTED: str(len(digests))})
            for r, digest in zip(split.records, digests, strict=True)
        ]
        write_manifest(dataclasses.replace(split, records=tuple(named)), config.out / "split.csv")
    placed = PixelCache(cache.pixels, split.records, cache.shapes, preprocess, cache.left_out)
    return Prepared(split, findings, placed, preflight_labels(split) if split.multilabel else preflight(split))


def splits_in(file: Path) -> dict[str, str | None]:
    """The split of each film by its identifier, as a run's `split.csv` has it.

    Raises:
        DataError: it is missing, cut short, or of a version that did not write identifiers.
    """
    return {row[IDENTITY]: row["split"] or None for row in listed_rows(file, IDENTITY)}


def _as_trained(dataset: Dataset, loaded: Sequence[str], run: Path) -> Dataset:
    """The data set with the splits written down in training, whatever has come or gone since.

    Where they are others than those of today, it has the notes of training on them (runs of before have none).

    Args:
        loaded: what was noted before the split.

    Raises:
        DataError: they are missing, or of a version that did not write identifiers.
    """
    before = splits_in(run / "split.csv")
    now = {r.image_id: r.split for r in dataset.records}
    if before == now:
        return dataset
    came, gone = len(now.keys() - before.keys()), len(before.keys() - now.keys())
    note = f"split as in training; {came} films came since and are left out, {gone} are gone."
    records = tuple(dataclasses.replace(r, split=before.get(r.image_id)) for r in dataset.records)
    file = run / TOLD
    told = json.loads(file.read_text()).get("data_notes", []) if file.is_file() else []
    told = [f"in training: {n}" for n in told if n not in loaded]
    return dataclasses.replace(dataset, records=records, notes=(*loaded, note, *told))


def _findings(dataset: Dataset, file: Path, say: Progress) -> tuple[Finding, ...]:
    """The data checks, from the run folder where the same files were checked before."""
    stamp: list[Any] = [[r.image_id, r.path.stat().st_size if r.path.exists() else -1] for r in dataset.records]
    if read_by := reading().pixels_key():
        stamp.append(read_by)
    if file.is_file():
        kept = json.loads(file.read_text())
        if kept["films"] == stamp and any(f["test"].startswith(TEST) for f in kept["findings"]):
            return tuple(finding_from(f) for f in kept["findings"])
    found = check(dataset, progress=lambda d, t: say("checking the data", d, t))
    write_json(file, {"films": stamp, "findings": [f.as_dict() for f in found]})
    return tuple(found)
