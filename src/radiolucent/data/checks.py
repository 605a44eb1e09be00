"""What may be wrong with a data set before any network sees it; each answer a `Finding`."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.acquisition import acquisition
from radiolucent.data.confounders import confounders
from radiolucent.data.doubtful import Witnesses, doubtful_labels
from radiolucent.data.multilabel import of_label
from radiolucent.data.records import Dataset, Record, check_dataset
from radiolucent.data.split import LEAST_VAL, MIN_VAL
from radiolucent.data.survey import THUMB, Film, survey
from radiolucent.metrics import wilson
from radiolucent.metrics.proportions import clustered_wilson
from radiolucent.types import Estimate, Finding

__all__ = ["check", "prevalence_shift"]

SHOWN = 20  # examples listed in a finding's evidence
NEAR = 0.97  # correlation of high-passed 64 × 64 thumbnails


def check(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Look for what makes results on a data set untrustworthy.

    Unreadable files; exact and near duplicates, within and across splits and labels; patients across splits; size,
    colour mode, aspect ratio, format and exposure as predictors of the label; prevalence shift between splits; a
    validation split too small to choose anything on; labels that near-duplicates contradict; laterals, mirrored, raw
    and lossy films and mixed spacing, where the files say so; and what had to be assumed to read them.

    Args:
        progress: called with (done, total) while films are read.
    """
    check_dataset(dataset)
    films = survey(dataset.records, progress=progress)
    good = [f for f in films if not f.error]
    near = _near_groups(good)
    return [
        _unreadable(dataset, films),
        _exact(good, dataset),
        _near(good, near, dataset),
        _patients(dataset),
        *(_of_each_label if dataset.multilabel else _of_classes)(good, near, dataset),
        *acquisition(good),
    ]


def _of_classes(good: Sequence[Film], near: Sequence[Sequence[Film]], dataset: Dataset) -> list[Finding]:
    return [
        *confounders(good, dataset.class_names),
        prevalence_shift(dataset),
        _validation(dataset),
        doubtful_labels(dataset, Witnesses(twins=_twins(good, near))),
    ]


def _of_each_label(good: Sequence[Film], near: Sequence[Sequence[Film]], dataset: Dataset) -> list[Finding]:
    """What is asked of two classes, of each label with and without; the label stands in brackets behind the test."""
    found: list[Finding] = []
    for name in dataset.class_names:
        one = of_label(dataset, name)
        records = {r.image_id: r for r in one.records}
        films = [replace(f, record=records[f.record.image_id]) for f in good]
        found += [
            replace(f, test=f"{f.test} [{name}]", question=f"{name}: {f.question}")
            for f in _of_classes(films, near, one)
        ]
    return found


def _where(film: Film, dataset: Dataset) -> str:
    if dataset.multilabel:
        has = [n for n, v in zip(dataset.class_names, film.record.findings, strict=True) if v == 1]
        return f"{film.record.image_id} [{film.record.split or 'no split'}, {', '.join(has) or 'no label'}]"
    label = dataset.class_names[film.record.label] if film.record.label is not None else "unlabelled"
    return f"{film.record.image_id} [{film.record.split or 'no split'}, {label}]"


def _unreadable(dataset: Dataset, films: Sequence[Film]) -> Finding:
    bad = [(f.record.image_id, f.error) for f in films if f.error]
    aside = [(str(item.path), item.reason) for item in dataset.left_out]
    estimate = wilson(len(bad), len(films))
    return Finding(
        "files.unreadable",
        "Can every file be read as a radiograph?",
        "fail" if bad else "pass",
        f"{len(bad)} of {len(films)} films cannot be read" + (f"; set aside: {len(aside)}" if aside else "") + ".",
        estimate,
        0.0,
        {
            "unreadable": [{"file": f, "reason": r} for f, r in bad],
            "set_aside": [{"file": f, "reason": r} for f, r in aside],
        },
        advice="copy these files again or remove them; everything else goes on without them" if bad else "",
    )


def _pairs(groups: Iterable[Sequence[Film]]) -> dict[str, int]:
    """How many groups cross splits, and how many cross labels."""
    crossing = {"across_splits": 0, "across_labels": 0}
    for group in groups:
        crossing["across_splits"] += len({f.record.split for f in group}) > 1
        crossing["across_labels"] += _labels_differ(group)
    return crossing


def _labels_differ(group: Sequence[Film]) -> bool:
    """Whether films have different classes, or one has a label that another has not."""
    known = [{v for v in values if v >= 0} for values in zip(*(f.record.findings for f in group), strict=True)]
    return len({f.record.label for f in group}) > 1 or any(len(values) > 1 for values in known)


def _exact(films: Sequence[Film], dataset: Dataset) -> Finding:
    by_hash: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        by_hash[film.sha256].append(film)
    groups = [g for g in by_hash.values() if len(g) > 1]
    crossing = _pairs(groups)
    return _duplicates(
        "duplicates.exact",
        "Are there byte-identical films, and do any cross splits or labels?",
        groups,
        crossing,
        dataset,
    )


def _duplicates(
    test: str, question: str, groups: Sequence[Sequence[Film]], crossing: dict[str, int], dataset: Dataset
) -> Finding:
    files = sum(len(g) for g in groups)
    bad = crossing["across_splits"] + crossing["across_labels"] > 0
    kind = "byte-identical" if test.endswith("exact") else "nearly identical"
    worst = sorted(groups, key=lambda g: (-len({f.record.split for f in g}), not _labels_differ(g), -len(g)))
    return Finding(
        test,
        question,
        "fail" if bad else "pass",
        f"{len(groups)} groups of {kind} films ({files} files); {crossing['across_splits']} of them cross splits, "
        f"{crossing['across_labels']} cross labels."
        if groups
        else f"No {kind} films.",
        Estimate(float(len(groups)), None, None, 0.95, len(dataset), "count"),
        0.0,
        {"groups": [[_where(f, dataset) for f in g] for g in worst[:SHOWN]], **crossing},
        advice="keep each group in one split with one label; the patient-grouped split does so for exact copies"
        if groups
        else "",
    )


def _near(films: Sequence[Film], groups: Sequence[Sequence[Film]], dataset: Dataset) -> Finding:
    question = "Are there nearly identical films (resaved, resized, retouched), and do any cross splits or labels?"
    if len({f.sha256 for f in films}) < 2:
        return Finding("duplicates.near", question, "not applicable", "fewer than two distinct films.")
    return _duplicates("duplicates.near", question, groups, _pairs(groups), dataset)


def _near_groups(films: Sequence[Film]) -> list[list[Film]]:
    """Films whose high-passed thumbnails correlate above `NEAR` but whose bytes differ."""
    unique = list({f.sha256: f for f in films}.values())
    pairs = _close_pairs([f.thumb for f in unique], NEAR)
    parent = list(range(len(unique)))

    def find(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in pairs:
        parent[find(i)] = find(j)
    grouped: dict[int, list[Film]] = defaultdict(list)
    for i in {i for pair in pairs for i in pair}:
        grouped[find(i)].append(unique[i])
    return list(grouped.values())


def _twins(films: Sequence[Film], near: Sequence[Sequence[Film]]) -> list[list[str]]:
    """Image identifiers of films that show the same: near-duplicates, with all byte-identical copies of each."""
    key = {f.sha256: f"near {k}" for k, group in enumerate(near) for f in group}
    found: dict[str, list[str]] = defaultdict(list)
    for film in films:
        found[key.get(film.sha256, film.sha256)].append(film.record.image_id)
    return [names for names in found.values() if len(names) > 1]


def _close_pairs(thumbs: Sequence[NDArray[np.float16]], least: float, chunk: int = 512) -> list[tuple[int, int]]:
    """Pairs (i < j) of standardised thumbnails whose correlation is at least `least`; two blocks at a time."""

    def block(start: int) -> NDArray[np.float32]:
        return np.stack([t.ravel() for t in thumbs[start : start + chunk]]).astype(np.float32) / np.float32(THUMB)

    found: list[tuple[int, int]] = []
    for first in range(0, len(thumbs), chunk):
        rows = block(first)
        for second in range(first, len(thumbs), chunk):
            close = np.argwhere(rows @ block(second).T >= least)
            found += [(int(i) + first, int(j) + second) for i, j in close if i + first < j + second]
    return found


def _patients(dataset: Dataset) -> Finding:
    """Patients in several splits. Also says where patient numbers of Kermany films mean different children by split."""
    question = "Does any patient have films in more than one split?"
    known = [r for r in dataset.records if r.patient_id and r.split]
    if not known or len(dataset.splits) < 2:
        return Finding(
            "patients.straddle",
            question,
            "not applicable",
            "no patient identifiers."
            if len(dataset.splits) > 1
            else f"one split only ({', '.join(dataset.splits) or 'none'}).",
            advice="a split by patient is cut before training"
            if len(dataset.splits) < 2
            else "give a manifest with patient_id",
        )
    where: dict[str, set[str]] = defaultdict(set)
    naive: dict[str, set[str]] = defaultdict(set)
    for r in known:
        where[str(r.patient_id)].add(str(r.split))
        naive[str(r.patient_id).split(":")[-1]].add(str(r.split))
    torn = sorted(p for p, s in where.items() if len(s) > 1)
    alarm = sorted(p for p, s in naive.items() if len(s) > 1 and p not in where)
    summary = f"{len(torn)} of {len(where)} patients have films in more than one split."
    if alarm:
        summary += (
            f" {len(alarm)} numbers such as {alarm[0]} occur in several official splits, but they are counted afresh "
            "in each and for each etiology: not the same children."
        )
    return Finding(
        "patients.straddle",
        question,
        "fail" if torn else "pass",
        summary,
        wilson(len(torn), len(where)),
        0.0,
        {"patients": torn[:SHOWN], "false_alarms_of_a_naive_key": alarm[:SHOWN], "naive_count": len(alarm)},
        "numbering of the Kermany collection" if alarm else "ours",
        "remove the split column, so that films are dealt by patient" if torn else "",
    )


def prevalence_shift(dataset: Dataset) -> Finding:
    """The share of a class in each split, its interval by patient, held against that of the training split.

    Of two classes it is the second's; of more, that of the first whose share shifts, the intervals being corrected for
    their number.
    """
    question = "Is the disease equally common in every split?"
    labelled = [r for r in dataset.records if r.label is not None and r.split]
    splits = sorted({str(r.split) for r in labelled})
    if len(splits) < 2 or len(dataset.class_names) < 2:
        return Finding("prevalence.shift", question, "not applicable", "fewer than two splits or classes.")
    names = dataset.class_names
    classes = [1] if len(names) == 2 else range(len(names))
    level = 1 - 0.05 / len(classes)
    every = [{s: _rate([r for r in labelled if r.split == s], k, level) for s in splits} for k in classes]
    told = [(r, r.get("train", r[splits[0]])) for r in every]
    shifts = [any(not _overlap(rate, reference) for rate in rates.values()) for rates, reference in told]
    chosen = shifts.index(True) if any(shifts) else len(shifts) - 1
    (rates, reference), shifted = told[chosen], shifts[chosen]
    films = Counter(str(r.split) for r in labelled)
    words = ", ".join(f"{s} {(rates[s].value or 0):.1%} of {films[s]}" for s in splits)
    return Finding(
        "prevalence.shift",
        question,
        "fail" if shifted else "pass",
        f"{names[classes[chosen]]}: {words}.",
        reference,
        None,
        {s: r.as_dict() for s, r in rates.items()},
        advice="predictive values and calibration learnt on train do not carry over; see them at other prevalences"
        if shifted
        else "",
    )


def _rate(records: Sequence[Record], label: int, level: float) -> Estimate:
    """The share of films with a label, its interval over patients."""
    patients = [r.patient_id or f"\0{r.image_id}" for r in records]
    index = np.unique(patients, return_inverse=True)[1]
    return clustered_wilson(np.array([r.label == label for r in records]), index, level)


def _overlap(a: Estimate, b: Estimate) -> bool:
    ends = (a.low, a.high, b.low, b.high)
    if any(e is None for e in ends):
        return True
    low_a, high_a, low_b, high_b = (float(e) for e in ends if e is not None)
    return low_a <= high_b and low_b <= high_a


def _validation(dataset: Dataset) -> Finding:
    """Whether the validation split can carry a choice."""
    question = "Is the validation split large enough to choose an epoch and a threshold on?"
    films = [r for r in dataset.records if r.split == "val" and r.label is not None]
    if not films:
        return Finding(
            "split.validation_size",
            question,
            "not applicable",
            "no validation split.",
            advice="one is cut by patient before training",
        )
    rarest, label = min((count, name) for name, count in Counter(r.label for r in films).items())
    patients = len({r.patient_id or f"\0{r.image_id}" for r in films if r.label == label})
    width = wilson(0.9 * patients, patients)  # a patient's films go well or badly together
    half = ((width.high or 0) - (width.low or 0)) / 2
    small = len(films) < MIN_VAL
    evidence: dict[str, Any] = {
        "films": len(films),
        "rarest_class": rarest,
        "patients": patients,
        "half_width_at_90_percent": half,
    }
    return Finding(
        "split.validation_size",
        question,
        "fail" if small else "pass",
        f"{len(films)} validation films, {rarest} of the rarest class ({patients} patients): a recall of 90 % is known "
        f"to ± {half:.0%}.",
        Estimate(float(len(films)), None, None, 0.95, len(films), "count"),
        float(MIN_VAL),
        evidence,
        advice="add films of more patients; training cuts a split of its own instead where that is larger"
        if len(films) < LEAST_VAL
        else "add films of more patients"
        if small
        else "",
    )
