"""What a report tells: everything it needs, gathered by the study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radiolucent.audits import Agreement
from radiolucent.metrics import Evaluation
from radiolucent.types import Finding

__all__ = ["CaseStory", "Picture", "Story"]


@dataclass(frozen=True)
class Picture:
    """A figure as PNG, with what it shows for those who cannot see it, and a caption."""

    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class CaseStory:
    """One film in the report: its panel, and a line on why it is shown."""

    heading: str
    picture: Picture
    right: bool | None = None


@dataclass(frozen=True)
class Story:
    """Everything a report shows.

    Attributes:
        title, created, command: of the study.
        class_names, positive: classes, and the one sensitivity speaks of.
        data: rows (name, text) on the data. counts: films by split and class; patients: by split.
        findings: of the data checks. left_out: (file, reason).
        training: rows (name, text). notes: decisions taken on the way, in sentences.
        threshold: as chosen on validation (`Threshold.as_dict()`).
        validation, test: evaluations; the first is what choices were made on.
        prevalences: rows (prevalence, PPV, NPV) at other prevalences.
        pictures: figures by name: sheet, learning, roc, pr, reliability, decision, confusion, histogram, agreement.
        cases: films right and wrong.
        agreement: explanations against doctors, one a method; empty without annotations.
        versions, hashes: by name. seed: of the study.
    """

    title: str
    created: str
    command: str
    class_names: tuple[str, ...]
    positive: str
    data: tuple[tuple[str, str], ...]
    counts: Mapping[str, Mapping[str, int]]
    patients: Mapping[str, int]
    findings: tuple[Finding, ...]
    left_out: tuple[tuple[str, str], ...]
    training: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    threshold: Mapping[str, Any]
    validation: Evaluation
    test: Evaluation
    prevalences: tuple[tuple[float, float, float], ...]
    pictures: Mapping[str, Picture]
    cases: tuple[CaseStory, ...]
    agreement: tuple[Agreement, ...]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    seed: int
    model: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
