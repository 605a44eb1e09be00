"""Predictions as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radiolucent.files import write_text
from radiolucent.tables import csv_text
from radiolucent.types import Predictions

__all__ = ["write_predictions"]


def write_predictions(file: Path, parts: Sequence[tuple[str, Predictions]]) -> None:
    """One row a film: ids, label, logits, calibrated probabilities, call; of several labels one column of each a label.

    A label that is uncertain or not given is empty.
    """
    if parts[0][1].multilabel:
        _write_labels(file, parts)
        return
    names = parts[0][1].class_names
    rows: list[list[Any]] = []
    logits = [f"logit_{i}" for i in range(parts[0][1].logits.shape[1])]
    columns = [
        "split",
        "image",
        "patient",
        "label",
        *logits,
        *(f"p_{n}" for n in names),
        "called_positive",
        *_more(parts),
    ]
    for split, p in parts:
        chances = p.probabilities
        for i in range(len(p)):
            label = "" if p.labels[i] < 0 else names[int(p.labels[i])]
            row = [f"{v:.6g}" for v in (*p.logits[i], *chances[i])]
            rows.append([split, p.image_ids[i], p.patient_ids[i], label, *row, int(p.called[i]), *_told(p, i)])
    write_text(file, csv_text(columns, rows, names={"image", "patient"}))


def _more(parts: Sequence[tuple[str, Predictions]]) -> list[str]:
    """A column for networks that look at the lungs alone: 1 where they took nothing on the film for lung."""
    return [] if parts[0][1].without_lung is None else ["no_call"]


def _told(p: Predictions, i: int) -> list[int]:
    return [] if p.without_lung is None else [int(p.no_call[i])]


def _write_labels(file: Path, parts: Sequence[tuple[str, Predictions]]) -> None:
    names = parts[0][1].class_names
    columns = [
        "split",
        "image",
        "patient",
        *(f"{kind}{n}" for kind in ("label_", "logit_", "p_", "called_") for n in names),
        *_more(parts),
    ]
    rows: list[list[Any]] = []
    for split, p in parts:
        chances, calls = p.probabilities, p.calls
        for i in range(len(p)):
            labels = ["" if v < 0 else int(v) for v in p.labels[i]]
            numbers = [f"{v:.6g}" for v in (*p.logits[i], *chances[i])]
            rows.append(
                [split, p.image_ids[i], p.patient_ids[i], *labels, *numbers, *(int(c) for c in calls[i]), *_told(p, i)]
            )
    write_text(file, csv_text(columns, rows, names={"image", "patient"}))
