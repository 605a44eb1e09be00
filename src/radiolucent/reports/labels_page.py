"""The report over several labels: what was found of each, side by side and one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radiolucent.audits.agreement import Agreement
from radiolucent.files import file_name, write_json, write_text
from radiolucent.metrics import METRICS, Evaluation, LabelsEvaluation
from radiolucent.reports import phrasing
from radiolucent.reports.html import environment
from radiolucent.reports.report_data import Picture
from radiolucent.types import Estimate, Finding

__all__ = ["LabelPart", "LabelsStory", "labels_summary", "write_labels_report"]

SCHEMA = 1


@dataclass(frozen=True)
class LabelPart:
    """One label in the report.

    Attributes:
        name: of the label. temperature: of its calibration.
        threshold: as chosen on validation (`Threshold.as_dict()`), or None, and `without` says why.
        test, validation: its evaluations, or None; too_few: why there is none on the test films.
        agreement: its maps against the doctors' markings of it.
        pictures: its figures. report: its own report, as a path from this one; "" where there is none.
    """

    name: str
    temperature: float
    threshold: Mapping[str, Any] | None
    without: str
    test: Evaluation | None
    validation: Evaluation | None
    too_few: str
    agreement: tuple[Agreement, ...] = ()
    pictures: tuple[Picture, ...] = ()
    report: str = ""

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return f"label-{file_name(self.name)}"

    def figure(self, name: str) -> Estimate | None:
        """One of its test figures, or None."""
        return None if self.test is None else self.test.estimates.get(name)

    @property
    def rows(self) -> Sequence[tuple[str, str, Estimate, Estimate | None]]:
        """(title, meaning, test, validation) of every figure."""
        if self.test is None:
            return []
        validation = {} if self.validation is None else self.validation.estimates
        return [
            (m.title, m.meaning, self.test.estimates[m.name], validation.get(m.name))
            for m in METRICS
            if m.name in self.test.estimates
        ]

    @property
    def leading(self) -> tuple[Agreement, ...]:
        """One agreement a method: against the consensus where there is one."""
        found: dict[str, Agreement] = {}
        for a in self.agreement:
            if a.method not in found or (a.reader == "consensus" and found[a.method].reader != "consensus"):
                found[a.method] = a
        return tuple(found.values())

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        agreement: dict[str, Any] = {}
        for leading in self.leading:
            others = [a for a in self.agreement if a.method == leading.method and a.reader != leading.reader]
            agreement[leading.method] = {**leading.as_dict(), "readers": {a.reader: a.as_dict() for a in others}}
        return {
            "threshold": dict(self.threshold) if self.threshold else {"value": None, "why": self.without},
            "temperature": self.temperature,
            "performance": self.test.as_dict() if self.test else None,
            "validation": self.validation.as_dict() if self.validation else None,
            "too_few": self.too_few,
            "agreement": agreement,
            "report": self.report,
        }


@dataclass(frozen=True)
class LabelsStory:
    """Everything a report over several labels shows.

    Attributes:
        title, created, command, model: of the study. data: rows (name, text).
        counts: films with each label, by split; patients: by split. together: rows (label, how often with each other).
        notes: doubts, in sentences. training: rows (name, text) on how the model was made.
        findings: of the data checks. left_out: (file, reason); noted: what was assumed or passed over.
        test, validation: evaluations of all labels. labels: each one's part.
        pictures: "auroc", and "film_1" … with the maps of several labels.
        versions, hashes: by name. seed: of the study. extra: further entries of `summary.json`.
    """

    title: str
    created: str
    command: str
    model: str
    data: tuple[tuple[str, str], ...]
    counts: Mapping[str, Mapping[str, int]]
    patients: Mapping[str, int]
    together: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...]
    training: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    left_out: tuple[tuple[str, str], ...]
    noted: tuple[str, ...]
    test: LabelsEvaluation
    validation: LabelsEvaluation
    labels: tuple[LabelPart, ...]
    pictures: Mapping[str, Picture]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    seed: int
    methods_left_out: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def films(self) -> tuple[Picture, ...]:
        """Films with the maps of several labels."""
        return tuple(p for name, p in self.pictures.items() if name.startswith("film_"))


def labels_summary(story: LabelsStory) -> dict[str, Any]:
    """`summary.json` of several labels: every figure as {value, low, high, level, n, method}, under stable keys.

    | key | what |
    |---|---|
    | `multilabel` | true |
    | `schema`, `title`, `created`, `command`, `seed`, `model`, `class_names` | of the study; `class_names` are the labels |
    | `macro.<figure>` | means over the labels on the test patients: auroc, average_precision, sensitivity, specificity, brier |
    | `labels.<label>.performance.<figure>` | of one label, as in the summary of a two-class study; null where there are too few |
    | `labels.<label>.threshold`, `.temperature` | value, rule, n, figures on validation; `value` null and `why` where none could be chosen |
    | `labels.<label>.agreement.<method>.<figure>` | its maps against the readers' markings of it |
    | `labels.<label>.too_few`, `.report` | why there are no figures; its own report |
    | `validation.…` | the same means and labels on the patients choices were made on |
    | `data.counts.<split>.<label>`, `data.patients.<split>`, `data.left_out[]` | films with each label, patients, `{file, reason}` |
    | `findings[]`, `notes[]`, `methods_left_out[]`, `versions`, `hashes` | as in a two-class study |
    """  # noqa: E501
    return {
        **dict(story.extra),
        "schema": SCHEMA,
        "multilabel": True,
        "title": story.title,
        "created": story.created,
        "command": story.command,
        "seed": story.seed,
        "model": story.model,
        "class_names": [part.name for part in story.labels],
        "macro": {name: e.as_dict() for name, e in story.test.macro.items()},
        "labels": {part.name: part.as_dict() for part in story.labels},
        "validation": story.validation.as_dict(),
        "data": {
            "counts": {k: dict(v) for k, v in story.counts.items()},
            "patients": dict(story.patients),
            "left_out": [{"file": f, "reason": r} for f, r in story.left_out],
        },
        "findings": [f.as_dict() for f in story.findings],
        "notes": [*story.test.notes, *story.notes],
        "methods_left_out": [{"method": m, "reason": why} for m, why in story.methods_left_out],
        "versions": dict(story.versions),
        "hashes": dict(story.hashes),
    }


def write_labels_report(story: LabelsStory, folder: str | Path) -> Path:
    """Write `report.html`, a section a label, and `summary.json` into `folder`; return the page's path."""
    page = environment().get_template("labels.html.jinja").render(story=story, phrasing=phrasing)
    out = Path(folder)
    write_text(out / "report.html", page)
    write_json(out / "summary.json", labels_summary(story))
    return out / "report.html"
