"""What an audit test is, and what it may look at."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.distort import Edit
from radiolucent.audits.trial.regions import View
from radiolucent.data import Dataset, Record
from radiolucent.explainers import METHODS, Explainer
from radiolucent.models import Classifier
from radiolucent.types import Concern, Finding

__all__ = ["ANY", "METHOD", "Case", "Progress", "Test", "edits_of"]

Progress = Callable[[str, int, int], None]
Made = TypeVar("Made")
METHOD, ANY = "<method>", "*"
"""In the name of a finding: an explanation method's name; anything."""


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a test may look at.

    Attributes:
        classifier: the audited one. table: its answers to the films and to every change that a chosen test asks for.
        view: from an image identifier to the film as the audit changes it (the whole film). seen: the same in the
            model's own frame, where maps lie.
        tests: the chosen tests, whose number decides how intervals are corrected.
        films: the audited films. whole: the data set they are a split of. trained: films the model was trained on.
        met: reads some of those as views; None where they are not known.
        groups: further groupings of the films, one label a film in their order.
        methods: explainers by name; map_films: how many films they explain.
        level, seed: of all intervals; of everything random. folder: for journals. settings: what else decides answers.
    """

    classifier: Classifier
    table: Table
    view: Callable[[str], View]
    seen: Callable[[str], View]
    tests: tuple["Test", ...]
    films: Dataset | None = None
    whole: Dataset | None = None
    trained: Sequence[Record] = ()
    met: Callable[[], Sequence[View]] | None = None
    groups: Mapping[str, Sequence[str | None]] = field(default_factory=dict[str, Sequence[str | None]])
    methods: Mapping[str, Explainer] = field(default_factory=dict[str, Explainer])
    map_films: int = 100
    data_checks: bool = True
    level: float = 0.95
    seed: int = 0
    folder: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    progress: Progress | None = None
    made: dict[str, Any] = field(default_factory=dict[str, Any])

    def corrected(self, family: str) -> float:
        """The level at which each test of a family is held, so that all together keep `level` (Bonferroni)."""
        return 1 - (1 - self.level) / max(1, sum(t.family == family for t in self.tests))

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What several tests share, made when the first of them asks for it."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def stage(self, name: str) -> Callable[[int, int], None] | None:
        """A progress function for one stage."""
        tell = self.progress
        return None if tell is None else lambda done, total: tell(name, done, total)

    @property
    def in_frame(self) -> Classifier:
        """The classifier for films that are in its own frame already (see `seen`)."""
        preprocess = dataclasses.replace(self.classifier.preprocess, window=None)
        return self.classifier.with_(preprocess=preprocess)


@dataclass(frozen=True)
class Test:
    """One question that an audit asks of a classifier.

    Attributes:
        name: short and stable; what its findings are called unless `bears` says otherwise.
        question: in words. concern: see `Finding.concerns`. needs: the films it needs, in words; "" for any.
        findings: from a `Case` to the findings.
        bears: the names its findings can have, parts separated by dots, with `METHOD` and `ANY` for what varies.
        edits: the changes it asks the model about, by name. small: those of which it needs small pictures.
        decides: "intervention": it can fail the model, and clear it; "part": it can fail it; "": it does neither.
        kind: the kind of shortcut it tries, in words, which the headline counts; "" for none.
        says: what a failure means, for the headline.
        family: tests whose intervals are corrected for their number together; "" for none.
        untried: what an audit says nothing of where this test was not made; "" for nothing.
        unit: what the n of its findings counts.
    """

    __test__ = False  # not one of pytest's

    name: str
    question: str
    concern: Concern
    needs: str
    findings: Callable[[Case], Sequence[Finding]]
    bears: tuple[str, ...] = ()
    edits: Mapping[str, Edit] = field(default_factory=dict[str, Edit])
    small: tuple[str, ...] = ()
    decides: Literal["intervention", "part", ""] = ""
    kind: str = ""
    says: str = ""
    family: str = ""
    untried: str = ""
    unit: str = "patients"

    @property
    def names(self) -> tuple[str, ...]:
        """The names its findings can have."""
        return self.bears or (self.name,)

    def can_bear(self, start: str, methods: Sequence[str] = tuple(METHODS)) -> bool:
        """Whether a finding of this test can have a name that begins so."""
        return any(_begins(name.split("."), start.split("."), methods) for name in self.names)


def edits_of(tests: Sequence[Test]) -> Mapping[str, Edit]:
    """Every change that these tests ask the model about."""
    return {name: edit for test in tests for name, edit in test.edits.items()}


def _begins(name: Sequence[str], start: Sequence[str], methods: Sequence[str]) -> bool:
    for k, part in enumerate(start):
        if k >= len(name):
            return bool(name) and name[-1] == ANY  # the rest, dots and all
        last = k == len(start) - 1
        options = tuple(methods) if name[k] == METHOD else (name[k],)
        if name[k] != ANY and not any(o.startswith(part) if last else o == part for o in options):
            return False
    return True
