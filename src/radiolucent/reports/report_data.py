"""What a report tells: everything it needs, gathered by the study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radiolucent.audits.agreement import Agreement, ReaderCalls, StatementAgreement, ZoneEnergy
from radiolucent.errors import ConfigError
from radiolucent.metrics import Evaluation
from radiolucent.readers.statistics import Completeness
from radiolucent.types import Estimate, Finding

__all__ = ["CaseStory", "Doctors", "Picture", "Story"]

_KINDS = {b"\x89PNG": ("image/png", ".png"), b"<?xml": ("image/svg+xml", ".svg"), b"<svg": ("image/svg+xml", ".svg")}


@dataclass(frozen=True)
class Picture:
    """A figure as PNG or SVG, with what it shows for those who cannot see it, and a caption."""

    image: bytes
    alt: str
    caption: str = ""

    def __post_init__(self) -> None:
        if not any(self.image.startswith(start) for start in _KINDS):
            raise ConfigError(f"picture begins with {self.image[:8]!r}; expected PNG or SVG (figures.to_png, to_svg).")

    @property
    def media_type(self) -> str:
        """As in a data URI."""
        return next(kind for start, (kind, _) in _KINDS.items() if self.image.startswith(start))

    @property
    def suffix(self) -> str:
        """Of a file that holds it: ".png" or ".svg"."""
        return next(suffix for start, (_, suffix) in _KINDS.items() if self.image.startswith(start))

    @property
    def png(self) -> bytes:
        """The image, where it is a PNG."""
        if self.suffix != ".png":
            raise ConfigError("this picture is an SVG; use `image` and `suffix`.")
        return self.image


@dataclass(frozen=True)
class CaseStory:
    """One film in the report.

    Attributes:
        heading: which film, and how it was called.
        picture: its panel.
        right: whether the call was right; None where unknown.
        words: what doctors said of it, a line a reader.
    """

    heading: str
    picture: Picture
    right: bool | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Doctors:
    """What doctors and the model said of the same test films.

    Attributes:
        readers: their names. films: how many were read by any of them.
        completeness: which of the films each of them read; None where it was not asked.
        calls: each reader beside the model. between: agreement of readers with each other, by name.
        statements: words against markings and maps; None where nobody wrote any.
        against, against_p: the readers' mean AUROC of a yes-or-no call less the model's, and its p; None where fewer
            than two readers read enough films.
        cases: films where model and doctors differed.
        zones: the leading method's maps by lung zone; None where no film was compared.
    """

    readers: tuple[str, ...]
    films: int
    calls: tuple[ReaderCalls, ...] = ()
    between: Mapping[str, Estimate] = field(default_factory=dict[str, Estimate])
    statements: StatementAgreement | None = None
    against: Estimate | None = None
    against_p: float | None = None
    completeness: Completeness | None = None
    cases: tuple[CaseStory, ...] = ()
    zones: ZoneEnergy | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; estimates in the form of `summary.json`."""
        return {
            "readers": list(self.readers),
            "films": self.films,
            "readings": self.completeness.as_dict() if self.completeness else None,
            "calls": {c.reader: c.as_dict() for c in self.calls},
            "between": {name: e.as_dict() for name, e in self.between.items()},
            "statements": self.statements.as_dict() if self.statements else None,
            "zones": self.zones.as_dict() if self.zones else None,
            "readers_minus_model": (self.against.as_dict() | {"p": self.against_p}) if self.against else None,
        }


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
        pictures: figures by name. Each section shows those that it names; the rest stand under "Further figures".
        cases: films right and wrong.
        agreement: explanations against doctors: one a method against the consensus, which leads, and any number
            against single readers; empty without readings.
        doctors: the readers beside the model; None without readings.
        versions, hashes: by name. seed: of the study.
        model: the network in a few words.
        trust: by method, of the cases' maps: films, verdicts, reasons, randomisation.
        methods_left_out: (method, reason) of maps there are none of.
        extra: further top-level entries of `summary.json`, JSON-ready.
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
    prevalences: tuple[tuple[float, Estimate, Estimate], ...]
    pictures: Mapping[str, Picture]
    cases: tuple[CaseStory, ...]
    agreement: tuple[Agreement, ...]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    seed: int
    model: str = ""
    doctors: Doctors | None = None
    trust: Mapping[str, Any] = field(default_factory=dict[str, Any])
    methods_left_out: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def leading(self) -> tuple[Agreement, ...]:
        """One agreement a method: against the consensus where there is one, else the first given."""
        found: dict[str, Agreement] = {}
        for a in self.agreement:
            if a.method not in found or (a.reader == "consensus" and found[a.method].reader != "consensus"):
                found[a.method] = a
        return tuple(found.values())
