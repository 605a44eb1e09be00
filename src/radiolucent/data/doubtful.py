"""Labels that a model which has not seen the film, its readers, or its near-duplicates contradict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from radiolucent.data.records import Dataset, Record
from radiolucent.metrics import LabelSuspect, label_suspects
from radiolucent.types import Estimate, Finding

__all__ = ["TEST", "Witnesses", "doubtful_labels"]

TEST = "labels.doubtful"
QUESTION = "Which labels do a model that has not seen the film, its readers, or its near-duplicates contradict?"
ASK = "give --run RUN, --predictions FILE or --annotations READINGS, so that there is somebody to ask"


@dataclass(frozen=True)
class Witnesses:
    """What is said of films beside their labels.

    Attributes:
        chances: by image identifier, probabilities (C,) in the order of the data set's classes, of a model that was
            neither trained nor chosen on the film, its patient, or a near-duplicate of it.
        readings: by image identifier, the class indices that readers gave it.
        twins: groups of image identifiers that show the same.
        notes: where they come from, and which films nobody may judge.
    """

    chances: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    readings: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    twins: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()


def doubtful_labels(dataset: Dataset, witnesses: Witnesses) -> Finding:
    """The films whose label is doubted, the most doubtful first, as a finding (see `label_suspects`).

    It is never a "fail": each witness may be wrong, and only somebody who looks at the film can say.
    """
    films = [r for r in dataset.records if r.label is not None]
    classes = len(dataset.class_names)
    if dataset.multilabel:
        words = "films may have several labels at once; labels are doubted where each film has one class."
        return Finding(TEST, QUESTION, "not applicable", words, source=SOURCE)
    if classes < 2 or not films:
        return Finding(TEST, QUESTION, "not applicable", "no labels of two classes.", source=SOURCE)
    nothing = [float("nan")] * classes
    chances = np.array([witnesses.chances.get(r.image_id, nothing) for r in films], np.float64)
    readings = [witnesses.readings.get(r.image_id, ()) for r in films]
    group = {name: k for k, names in enumerate(witnesses.twins) for name in names}
    twins = [group.get(r.image_id) for r in films]
    alone = _single(twins)
    judged = {
        "model": int((~np.isnan(chances).all(1)).sum()),
        "readers": sum(bool(said) for said in readings),
        "near_duplicates": sum(k is not None and k not in alone for k in twins),
    }
    evidence: dict[str, Any] = {
        "judged": judged,
        "notes": list(witnesses.notes),
        "twins": [*map(list, witnesses.twins)],
    }
    if not any(judged.values()):
        words = "; ".join(["no film has a witness beside its label", *witnesses.notes]) + "."
        return Finding(TEST, QUESTION, "not applicable", words, evidence=evidence, source=SOURCE, advice=ASK)
    labels = np.array([r.label for r in films], np.int64)
    found = label_suspects(labels, chances, readers=readings, duplicates=twins)
    evidence = {"suspects": [_row(s, films[s.film], dataset) for s in found], **evidence}
    asked = [f"{who.replace('_', '-')} {n}" for who, n in judged.items() if n]
    words = f"{len(found)} of {len(films)} labels are doubted; films judged by {', '.join(asked)}"
    return Finding(
        TEST,
        QUESTION,
        "inconclusive" if found else "pass",
        "; ".join([words, *witnesses.notes]) + ".",
        Estimate(float(len(found)), None, None, 0.95, len(films), "count"),
        0.0,
        evidence,
        SOURCE,
        _advice(bool(found), judged["model"]),
    )


SOURCE = "confident learning (Northcutt, Jiang & Chuang 2021)"


def _advice(found: bool, by_model: int) -> str:
    if found:
        return "look at these films again, the first ones first; correct the label only where a person says so"
    return "" if by_model else ASK


def _single(twins: Iterable[int | None]) -> set[int]:
    """Groups with one film here: nobody to compare it with."""
    counts: dict[int, int] = {}
    for k in twins:
        if k is not None:
            counts[k] = counts.get(k, 0) + 1
    return {k for k, n in counts.items() if n < 2}


def _row(s: LabelSuspect, film: Record, dataset: Dataset) -> dict[str, Any]:
    names = dataset.class_names
    return {
        "film": film.image_id,
        "split": film.split,
        "label": names[s.given],
        "suggested": names[s.suggested],
        "confidence": round(s.confidence, 4),
        "model": s.model,
        "readers": s.readers,
        "near_duplicates": s.duplicates,
        "words": s.words,
    }
