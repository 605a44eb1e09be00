"""What is too little to learn from, or to decide on: said before training, with what would be enough."""

from collections import defaultdict

import numpy as np

from radiolucent.data import Dataset
from radiolucent.metrics import Threshold
from radiolucent.shown import counted
from radiolucent.types import Predictions

__all__ = ["about_threshold", "preflight", "preflight_labels"]

FEW_TO_LEARN = 50  # training patients of a class below which a network mostly learns them by heart
FEW_TO_JUDGE = 20  # patients of a class below which a share of them says little
ENOUGH_TO_JUDGE = 35  # patients for which 90 % is known to ± 10 points: 1.96² × .9 × .1 / .1²
LOPSIDED = 10  # times as many films of one class as of another
EXTREME = 0.05  # thresholds this near to 0 or 1


def preflight(dataset: Dataset) -> tuple[str, ...]:
    """Warnings on a data set that has its splits, in sentences; none where there is enough of everything."""
    films: dict[tuple[str, str], int] = defaultdict(int)
    patients: dict[tuple[str, str], set[str]] = defaultdict(set)
    for r in dataset.records:
        if r.split and r.label is not None:
            place = (r.split, dataset.class_names[r.label])
            films[place] += 1
            patients[place].add(r.patient_id or r.image_id)
    found: list[str] = []

    def few(split: str, least: int) -> str:
        some = {n: len(patients[split, n]) for n in dataset.class_names}
        return ", ".join(f"{_of(films[split, n], some[n])} of class {n}" for n in some if some[n] < least)

    if little := few("train", FEW_TO_LEARN):
        found.append(
            f"training has {little}: a network learns so few by heart. {FEW_TO_LEARN} patients or more of each class "
            "would do; start from pretrained weights, and trust figures only with their intervals."
        )
    counts = {name: films["train", name] for name in dataset.class_names}
    most, least = max(counts, key=lambda n: counts[n]), min(counts, key=lambda n: counts[n])
    if counts[least] and counts[most] >= LOPSIDED * counts[least]:
        found.append(
            f"training has {counts[most]} films of {most} to {counts[least]} of {least}: the rarer class is easily "
            f"ignored. Add films of {least} (at least one to {LOPSIDED}), and read sensitivity and specificity, not "
            "accuracy."
        )
    for split, what in (("val", "epoch, calibration and threshold rest"), ("test", "the test figures rest")):
        if little := few(split, FEW_TO_JUDGE):
            found.append(
                f"{what} on {little}; {ENOUGH_TO_JUDGE} patients of each class would pin 90 % down to ± 10 points: "
                f"raise --{split}, or add patients."
            )
    return tuple(found)


def preflight_labels(dataset: Dataset) -> tuple[str, ...]:
    """The same for films with several labels: which labels have too few patients with, or without."""
    found: list[str] = []
    for split, least, what in (
        ("train", FEW_TO_LEARN, "to learn from"),
        ("val", FEW_TO_JUDGE, "to calibrate and choose a threshold on"),
        ("test", FEW_TO_JUDGE, "to test on"),
    ):
        some = dataset.split(split)
        ids, labels = np.array([r.patient_id or r.image_id for r in some.records]), some.labels
        few: list[str] = []
        for k, name in enumerate(dataset.class_names):
            ill, well = (len(set(ids[labels[:, k] == value])) for value in (1, 0))
            if min(ill, well) < least:
                few.append(f"{name} ({ill} patients with it, {well} without)")
        if few:
            found.append(
                f"the {split} split has few patients {what}, {least} with and without would do: {'; '.join(few)}."
            )
    return tuple(found)


def about_threshold(threshold: Threshold, validation: Predictions) -> tuple[str, ...]:
    """What to know of a threshold before it is used: how few films it rests on, and that it is extreme."""
    positive = validation.class_names[validation.positive]
    ids = np.array(validation.patient_ids)
    known = validation.labels >= 0
    ill, well = (len(set(ids[part & known])) for part in (validation.truth, ~validation.truth))
    found: list[str] = []
    if min(ill, well) < FEW_TO_JUDGE:
        found.append(
            f"the threshold {threshold.value:.3f} rests on {_of(int((validation.truth & known).sum()), ill)} with "
            f"{positive} and {_of(int((~validation.truth & known).sum()), well)} without, of validation; "
            f"{ENOUGH_TO_JUDGE} patients of each would do."
        )
    if not EXTREME <= threshold.value <= 1 - EXTREME:
        found.append(
            f"the threshold {threshold.value:.3f} is extreme: {positive} is called from a probability of "
            f"{100 * threshold.value:.1f} % on. Look at the calibration and at how rare {positive} is among the "
            "validation films before using it."
        )
    return tuple(found)


def _of(films: int, patients: int) -> str:
    return f"{counted(films, 'film')} of {counted(patients, 'patient')}"
