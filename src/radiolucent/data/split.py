"""Splits by patient: seeded, stratified by class, with byte-identical films kept together."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from radiolucent.data.records import SPLITS, Dataset, Record, check_dataset
from radiolucent.errors import ConfigError, DataError
from radiolucent.files import sha256_file

__all__ = ["MIN_VAL", "SHARE", "check_classes", "groups_of", "split_dataset"]

MIN_VAL = 100  # images; below, the interval of a validation recall is wider than ± 8 points
SHARE = 0.1
"""Of the films, where a split is cut off and nothing else is asked."""
LEAST_VAL = 20  # images; a smaller validation split is replaced: nothing can be chosen on it


def groups_of(records: Sequence[Record], hashes: Sequence[str] | None = None) -> list[int]:
    """A group number for each record: same patient or same bytes, joined transitively."""
    parent = list(range(len(records)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, record in enumerate(records):
        keys = [("patient", record.patient_id or record.image_id)]
        if hashes is not None:
            keys.append(("bytes", hashes[i]))
        for key in keys:
            parent[find(i)] = find(first.setdefault(key, i))
    return [find(i) for i in range(len(records))]


def split_dataset(
    dataset: Dataset, *, val: float | None = None, test: float | None = None, seed: int = 0, keep_test: bool = True
) -> Dataset:
    """Give every labelled film a split such that no patient and no byte-identical file straddles two.

    A test split that came with the films is kept, and so is a validation split that has films of every class and is of
    20 films or more, or of as many as would be cut anew. Another is dissolved into train, and a new one cut from it, as
    is a missing one and a missing test split; `notes` say so. Unlabelled films get no split.

    Args:
        val, test: fractions of the films to cut from train where needed; None: a tenth.

    Raises:
        ConfigError: fractions that are none. DataError: fewer than two classes, or too few patients of one to go
            round; of several labels, one that no training film has, or that every one has.
    """
    check_dataset(dataset)
    asked = {"test": test, "val": val}
    val, test = (SHARE if share is None else share for share in (val, test))
    labelled = [r for r in dataset.records if r.labelled]
    check_classes(dataset)
    official = Counter(r.split for r in labelled)
    notes: list[str] = []
    if alone := sum(not r.patient_id for r in labelled):
        notes.append(
            f"the patients of {alone} films are not known: each film counts as a patient of its own, who may stand on "
            "both sides of a split; a manifest with patient_id tells them."
        )
    fresh: dict[str, float] = {}
    keep = {"test"} if keep_test and official["test"] else set[str]()
    if not keep:
        fresh["test"] = test
        notes.append(f"no test split: {test:.0%} of the films cut off by patient (seed {seed}).")
    given, lacking = official["val"], _not_in_validation(dataset)
    anew = val * (len(labelled) - (official["test"] if keep else 0))
    if given and given >= min(LEAST_VAL, anew) and not lacking:
        keep.add("val")
        if given < MIN_VAL:
            notes.append(f"the validation split of {given} films is kept as given, though {MIN_VAL} or more would do.")
    else:
        fresh["val"] = val
        cut = f"{val:.0%} of the remaining films cut off by patient (seed {seed})"
        why = (
            f"are too few (fewer than {LEAST_VAL}) to choose anything on"
            if given < LEAST_VAL
            else f"have none of class {', '.join(lacking)}"
        )
        notes.append(
            f"the validation split that came with the films is not used as such: its {given} films {why}. They join "
            f"training, and validation is {cut}."
            if given
            else f"no validation: {cut}."
        )
    notes += [
        f"the {word} split that came with the films is kept: the share of {share:g} asked for has no effect."
        for name, word in (("test", "test"), ("val", "validation"))
        if name in keep and (share := asked[name]) is not None
    ]
    if not all(0 < share < 1 for share in fresh.values()) or sum(fresh.values()) >= 1:
        said = ", ".join(f"{name} {share:g}" for name, share in fresh.items())
        raise ConfigError(f"{said}; expected shares above 0 that leave something to train on.")
    pool = [r for r in labelled if r.split not in keep]
    hashes = [r.sha256 or sha256_file(r.path) if r.path.is_file() else f"missing:{r.path}" for r in labelled]
    by_id = dict(zip((r.image_id for r in labelled), hashes, strict=True))
    chosen = _deal(pool, [by_id[r.image_id] for r in pool], fresh, seed)
    kept_hashes = {
        by_id[r.image_id]: name for name in ("val", "test") if name in keep for r in labelled if r.split == name
    }
    records: list[Record] = []
    twins: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in dataset.records:
        split = record.split if record.split in keep else chosen.get(record.image_id)
        digest = by_id.get(record.image_id)
        twin = kept_hashes.get(digest or "")
        if record.labelled and twin and (record.split not in keep or (record.split, twin) == ("val", "test")):
            twins[twin, str(split)].append(record.image_id)
            split = None
        split = split if record.labelled else None
        records.append(dataclasses.replace(record, split=split, sha256=record.sha256 or digest))
    for (twin, split), names in twins.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notes.append(f"{names[0]}{more}: byte-identical with a kept {twin} film; left out of {split}.")
    result = dataclasses.replace(dataset, records=tuple(records), notes=(*dataset.notes, *notes))
    _verify(result)
    return result


def check_classes(dataset: Dataset) -> None:
    """Refuse films of one class, or of none, for training.

    Raises:
        DataError: fewer than two classes; several labels a film are no matter of this.
    """
    labelled = [r.label for r in dataset.records if r.labelled]
    if dataset.multilabel or len(set(labelled)) > 1:
        return
    found = ", ".join(dataset.class_names) or "no class folders and no label column"
    bare = len(dataset) - len(labelled)
    told = "; ".join([*([f"{bare} films have no label"] if labelled and bare else []), *dataset.notes])
    raise DataError(
        f"{dataset.source}: training needs films of two classes; found {found}. Give the folder that holds the class "
        f"folders (or train/, val/, test/), or a manifest with labels.{f' Noted: {told}.' if told else ''}"
    )


def _not_in_validation(dataset: Dataset) -> list[str]:
    """Classes of which no validation film is; of several labels a film each has thresholds of its own, or none."""
    if dataset.multilabel:
        return []
    have = {r.label for r in dataset.records if r.split == "val"}
    known = sorted({r.label for r in dataset.records if r.label is not None})
    return [dataset.class_names[label] for label in known if label not in have]


def _deal(pool: list[Record], hashes: list[str], fractions: dict[str, float], seed: int) -> dict[str, str]:
    """Deal whole groups into splits so that each class's films come near its fraction in every split."""
    members: dict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(groups_of(pool, hashes)):
        members[group].append(i)
    rng = np.random.default_rng(seed)
    order = [list(members)[i] for i in rng.permutation(len(members))]
    total = Counter(stratum for r in pool for stratum in _strata(r))
    want = {(s, label): f * n for s, f in fractions.items() for label, n in total.items()}
    have: Counter[tuple[str, int]] = Counter()
    chosen: dict[str, str] = {}
    for group in order:
        tally = Counter(stratum for i in members[group] for stratum in _strata(pool[i]))
        room = {
            s: min(want[s, label] - have[s, label] - count / 2 for label, count in tally.items()) for s in fractions
        }
        best = max(room, key=lambda s: room[s]) if room else "train"
        split = best if room and room[best] > 0 else "train"
        for label, count in tally.items():
            have[split, label] += count
        for i in members[group]:
            chosen[pool[i].image_id] = split
    return chosen


def _strata(record: Record) -> tuple[int, ...]:
    """What is to be dealt evenly: its class; of several labels, each that it has, or -1 where it has none."""
    if not record.findings:
        return () if record.label is None else (record.label,)
    return tuple(k for k, value in enumerate(record.findings) if value == 1) or (-1,)


def _verify_labels(dataset: Dataset) -> None:
    """Training must have films with and without every label."""
    train = dataset.split("train").labels
    for k, name in enumerate(dataset.class_names):
        have = [what for what, value in (("with", 1), ("without", 0)) if not (train[:, k] == value).any()]
        if have:
            known = dataset.labels[:, k]
            raise DataError(
                f"{dataset.source}: no training film {' or '.join(have)} {name} (in all: {(known == 1).sum()} with, "
                f"{(known == 0).sum()} without, {(known < 0).sum()} uncertain or not given); leave {name} out with "
                "--labels, add films, or read empty cells as without it (--not-given zeros)."
            )
    for split in ("val", "test"):
        if not len(dataset.split(split)):
            raise DataError(f"{dataset.source}: no film for the {split} split; add films of more patients.")


def _verify(dataset: Dataset) -> None:
    if dataset.multilabel:
        _verify_labels(dataset)
    else:
        _verify_classes(dataset)
    _verify_patients(dataset)


def _verify_classes(dataset: Dataset) -> None:
    total = Counter(r.label for r in dataset.records if r.label is not None)
    have = Counter((r.split, r.label) for r in dataset.records)
    for split in SPLITS:
        lacking = [dataset.class_names[label] for label in sorted(total) if not have[split, label]]
        if lacking:
            named = ", ".join(f"{dataset.class_names[label]} {n}" for label, n in sorted(total.items()))
            raise DataError(
                f"{dataset.source}: no film of class {', '.join(lacking)} for the {split} split (films in all: "
                f"{named}); add films of more patients, or change the fractions or the split's folders."
            )


def _verify_patients(dataset: Dataset) -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for r in dataset.records:
        if r.split and r.patient_id:
            where[r.patient_id].add(r.split)
    torn = [p for p, splits in where.items() if len(splits) > 1]
    if torn:
        raise DataError(
            f"{len(torn)} patients straddle the official splits (e.g. {torn[0]}: {', '.join(sorted(where[torn[0]]))}); "
            "to have the films dealt by patient, remove the split column, or lay the folders out as CLASS/* alone."
        )
