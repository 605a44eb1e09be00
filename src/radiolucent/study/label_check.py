"""Who may judge the labels of a data set: runs that have not seen its films, tables of predictions, and readers."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from radiolucent.data import Dataset, Record
from radiolucent.data.doubtful import TEST, Witnesses, doubtful_labels
from radiolucent.data.relabel import relabel
from radiolucent.data.trained_on import films_of_run
from radiolucent.errors import ConfigError, DataError
from radiolucent.models import load, predict
from radiolucent.models.positive import AmbiguousPositive, positive_class
from radiolucent.readers.statistics import diagnosis_table
from radiolucent.tables import printable, unguarded
from radiolucent.types import Annotation, Finding, Predictions

__all__ = [
    "Chances",
    "chances_in_table",
    "chances_of_runs",
    "chances_on_test",
    "check_labels",
    "readings_of",
    "twins_of",
]

Stage = Callable[[str, int, int], None]
SEEN = {"train": "trained on", "val": "chosen and calibrated on"}


class Chances(NamedTuple):
    """Probabilities of films by image identifier, and of which films there are none and why."""

    values: Mapping[str, Sequence[float]]
    notes: tuple[str, ...]


def check_labels(
    dataset: Dataset,
    findings: Sequence[Finding],
    *,
    chances: Chances | None = None,
    readings: Sequence[Annotation] = (),
    positive: str = "",
) -> list[Finding]:
    """Findings of `radiolucent.data.check` with the labels judged by these witnesses as well."""
    said, unclear = readings_of(dataset, readings, positive)
    notes = [*(chances.notes if chances else ()), *unclear]
    given = Witnesses(chances.values if chances else {}, said, twins_of(findings), notes)
    return [doubtful_labels(dataset, given) if f.test == TEST else f for f in findings]


def twins_of(findings: Iterable[Finding]) -> list[list[str]]:
    """Groups of films that show the same, as the checks of the data found them."""
    return [list(names) for f in findings if f.test == TEST for names in f.evidence.get("twins", ())]


def chances_of_runs(dataset: Dataset, runs: Sequence[Path], twins: Sequence[Sequence[str]], update: Stage) -> Chances:
    """The mean probabilities of runs, of each only for films it was neither trained nor chosen on.

    A film is left to the other runs where its file, its picture, a film of its patient, or a near-duplicate of it in
    this data set was among those that the run learned from. Runs of one data set with different seeds judge, between
    them, all of its films: a cross-validation.

    Raises:
        ConfigError: a run does not say what it learned from, or has a multi-label head.
        DataError: the classes are not the data set's.
    """
    sums: dict[str, list[np.ndarray]] = {}
    notes: list[str] = []
    for run in runs:
        found, words = _of_run(dataset, run, twins, update)
        notes.append(words)
        for name, p in found.items():
            sums.setdefault(name, []).append(p)
    unjudged = sum(r.label is not None and r.image_id not in sums for r in dataset.records)
    if unjudged:
        notes.append(f"{unjudged} labelled films are judged by no model")
    return Chances({name: np.mean(some, axis=0).tolist() for name, some in sums.items()}, tuple(notes))


def _of_run(
    dataset: Dataset, run: Path, twins: Sequence[Sequence[str]], update: Stage
) -> tuple[dict[str, np.ndarray], str]:
    classifier, known = load(run), films_of_run(run)
    if known is None:
        raise ConfigError(
            f"{run}: has no split.csv, so what it was trained on is not known, and its answers cannot count as those "
            "of a model that has not seen the films; give the run's folder, or out-of-fold answers with --predictions."
        )
    if classifier.head == "multilabel":
        raise ConfigError(f"{run}: a multi-label head; labels are checked of models with one class a film.")
    ours = {name.upper(): i for i, name in enumerate(dataset.class_names)}
    if set(ours) != {name.upper() for name in classifier.class_names}:
        relabel(dataset, classifier.class_names)  # raises for classes that are none of the model's
        raise DataError(
            f"{run}: its classes {', '.join(classifier.class_names)} are not those of the data set, "
            f"{', '.join(dataset.class_names)}; films of all of them are needed, or --classes."
        )
    seen = set(known.among(dataset.records).films)
    rest = [r for r in dataset.records if r.label is not None and r.image_id not in _spread(seen, twins)]
    chances: dict[str, np.ndarray] = {}
    if rest:
        digests: dict[str, str] = {}
        left: list[tuple[Path, str]] = []
        p = predict(
            classifier, rest, left_out=left, digests=digests,
            progress=lambda done, total: update(f"asking {run.name or run}", done, total),
        )  # fmt: skip
        seen |= set(known.among(rest, digests).films)
        order = [ours[name.upper()] for name in classifier.class_names]
        for name, row in zip(p.image_ids, p.probabilities, strict=True):
            chances[name] = np.asarray(row, np.float64)[np.argsort(order)]
    gone = _spread(seen, twins)
    kept = {name: row for name, row in chances.items() if name not in gone}
    labelled = sum(r.label is not None for r in dataset.records)
    words = f"{run} judges {len(kept)} of {labelled} labelled films"
    told = sum(r.label is not None and r.image_id in gone for r in dataset.records)
    return (
        kept,
        f"{words}: {told} it was trained or chosen on, or patients or near-duplicates of them" if told else words,
    )


def chances_on_test(p: Predictions, dataset: Dataset, twins: Sequence[Sequence[str]]) -> Chances:
    """A study's own answers on its test films, of which it has learned nothing; not on near-duplicates of others."""
    own = set(p.image_ids)
    gone = _spread(_of_patients(dataset, {r.image_id for r in dataset.records if r.split in SEEN}), twins)
    kept = {n: row for n, row in zip(p.image_ids, p.probabilities.tolist(), strict=True) if n not in gone}
    others = sum(r.label is not None and r.image_id not in own for r in dataset.records)
    notes = [f"the network judges {len(kept)} test films, and not the {others} it was trained or chosen on"]
    if len(own) > len(kept):
        notes.append(f"nor {len(own) - len(kept)} test films of their patients, or near-duplicates")
    return Chances(kept, tuple(notes))


def _of_patients(dataset: Dataset, films: set[str]) -> set[str]:
    """These films and the others of their patients."""
    patients = {r.patient_id for r in dataset.records if r.image_id in films and r.patient_id}
    return films | {r.image_id for r in dataset.records if r.patient_id in patients}


def _spread(seen: set[str], twins: Sequence[Sequence[str]]) -> set[str]:
    """These films and their near-duplicates."""
    return seen | {name for group in twins if not seen.isdisjoint(group) for name in group}


def chances_in_table(dataset: Dataset, file: Path, twins: Sequence[Sequence[str]] = ()) -> Chances:
    """Out-of-fold probabilities from a CSV with the columns image and p_CLASS, as `evaluate` and `study` write them.

    Rows whose column `split` is train or val are not taken, nor near-duplicates of their films, nor films of their
    patients; and so for films of the data set's own training and validation splits that have no row. Without that
    column the rows are taken for out of fold, and a note says so.

    Raises:
        DataError: a column is missing, a film stands there twice, or a row holds no probabilities.
    """
    names = {printable(r.image_id): r.image_id for r in dataset.records}
    columns = [f"p_{name}" for name in dataset.class_names]
    found: dict[str, list[float]] = {}
    seen: Counter[str] = Counter()
    gone: set[str] = set()
    with file.open(newline="", encoding="utf-8-sig") as stream:
        table = csv.DictReader(stream)
        have = {str(name).casefold(): str(name) for name in table.fieldnames or ()}
        missing = [c for c in ("image", *columns) if c.casefold() not in have]
        if missing:
            raise DataError(f"{file}: no column {', '.join(missing)}; there are {', '.join(have) or 'none'}.")
        for row in table:
            name = names.get(unguarded(row[have["image"]] or ""))
            if name is None:
                seen["none of this data set's films"] += 1
            elif (split := (row.get(have.get("split", "")) or "").strip().lower()) in SEEN:
                seen[f"the model was {SEEN[split]}"] += 1
                gone.add(name)
            elif name in found:
                raise DataError(f"{file}: line {table.line_num}: a second row of {name}; expected one a film.")
            else:
                found[name] = _row_of(row, [have[c.casefold()] for c in columns], f"{file}: line {table.line_num}")
    gone |= {r.image_id for r in dataset.records if r.split in SEEN and r.image_id not in found}
    away = _spread(_of_patients(dataset, gone), twins)
    kept = {name: p for name, p in found.items() if name not in away}
    notes = [f"{file} judges {len(kept)} of {sum(r.label is not None for r in dataset.records)} labelled films"]
    notes += [f"{n} of its rows left out: {why}" for why, n in seen.items()]
    if len(found) > len(kept):
        notes.append(f"{len(found) - len(kept)} more: films of their patients, or near-duplicates")
    if "split" not in have:
        notes.append("it does not say which films its model learned from: taken as out of fold")
    return Chances(kept, tuple(notes))


def _row_of(row: Mapping[str, str], columns: Sequence[str], where: str) -> list[float]:
    try:
        p = [float(row[c]) for c in columns]
    except (TypeError, ValueError):
        raise DataError(f"{where}: expected a probability in each of {', '.join(columns)}.") from None
    if not all(0 <= v <= 1 for v in p) or abs(sum(p) - 1) > 1e-3:
        raise DataError(f"{where}: {', '.join(f'{v:g}' for v in p)}; expected probabilities that sum to 1.")
    return p


def readings_of(
    dataset: Dataset, readings: Sequence[Annotation], positive: str = ""
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """(by image identifier, the classes that readers gave it; which diagnoses are none of the classes).

    Args:
        positive: the class that a finding means, of two classes; found by their names where it can be, unless given.
    """
    films: dict[str, Record] = {r.image_id: r for r in dataset.records}
    own = [a for a in readings if a.image_id in films]
    table = diagnosis_table(own, dataset.class_names, positive or _positive(dataset)) if own else None
    if table is None:
        return {}, (("no reading has a diagnosis",) if readings else ())
    at = {name.casefold(): i for i, name in enumerate(dataset.class_names)}
    said: dict[str, list[int]] = {}
    other: Counter[str] = Counter()
    for row in table[0].values:
        for film, code in zip(table[0].films, row, strict=True):
            if np.isfinite(code):
                word = table[1][int(code)]
                if word.casefold() in at:
                    said.setdefault(film, []).append(at[word.casefold()])
                else:
                    other[word] += 1
    return said, tuple(f"{n} readings say {word!r}, which is no class here" for word, n in other.items())


def _positive(dataset: Dataset) -> str:
    try:
        return dataset.class_names[positive_class(dataset.class_names)] if len(dataset.class_names) == 2 else ""
    except AmbiguousPositive:
        return ""
