"""Readers of a study as raters: agreement of their diagnoses, and their AUROC from diagnosis and confidence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics import auroc
from radiolucent.readers.statistics.alpha import krippendorff_alpha
from radiolucent.readers.statistics.between import between, of_finding
from radiolucent.readers.statistics.completeness import Completeness, completeness
from radiolucent.readers.statistics.mrmc import mrmc, readers_against
from radiolucent.readers.statistics.table import Table
from radiolucent.types import Estimate

__all__ = ["BLINDED", "GRADED_ALPHA", "SEEN", "Comparison", "Opinion", "Panel", "graded", "panel"]

BLINDED, SEEN = "blinded", "after the model"
GRADED_ALPHA = "krippendorff_alpha graded by confidence"
_FEW = "it takes two readers who read the same labelled films"


@dataclass(frozen=True)
class Opinion:
    """What one reader said of one film, blinded and (where finished) after the model was shown.

    Attributes:
        truth: whether the film is labelled as the positive class; None where it has no label.
        label, confidence: the diagnosis, and 1 (a guess) to 5 (certain). final: both again, or None.
        model: the model's score of the positive class; None while it is not computed.
        finding: whether anything was marked; None where not asked.
    """

    reader: str
    film: str
    patient: str
    truth: bool | None
    label: str
    confidence: int
    final: tuple[str, int] | None = None
    model: float | None = None
    finding: bool | None = None


@dataclass(frozen=True)
class Comparison:
    """Scores of several readers on the films that all of them read.

    Attributes:
        films: how many. readers: those who count; whoever read less than half as many films as the busiest does not.
        left: labelled films that some of them read and not all. passed_over: readers who do not count.
        aurocs: (who, when, AUROC) of each reader and the model. average: readers' mean, by when.
        gap, p: what was compared, first less second, and its two-sided p.
        reason: why there is none of it; else empty.
    """

    question: str
    readers: tuple[str, ...] = ()
    films: int = 0
    left: int = 0
    passed_over: tuple[str, ...] = ()
    aurocs: tuple[tuple[str, str, Estimate], ...] = ()
    average: Mapping[str, Estimate] = field(default_factory=dict[str, Estimate])
    gap: Estimate | None = None
    p: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Panel:
    """Readers among themselves (`between`, by coefficient), against the model, and before against after seeing it.

    `completeness`: which of the films each of them read; None without an opinion.
    """

    between: Mapping[str, Estimate]
    against: Comparison
    change: Comparison
    completeness: Completeness | None = None


def graded(label: str, confidence: int, positive: str) -> float:
    """Diagnosis and confidence as one rating: confidence where the positive class was said, else its negative.

    Ten steps from −5 (certain that it is another class) over −1 and 1 (guesses) to 5 (certain of the positive class).
    AUROC and ordinal α use the order alone, so the distance between the steps does not matter.

    >>> graded("ill", 4, "ill"), graded("well", 4, "ill")
    (4.0, -4.0)
    """
    return float(confidence if label == positive else -confidence)


def panel(
    opinions: Sequence[Opinion], positive: str, class_names: Sequence[str], *, folds: int = 10_000, seed: int = 0
) -> Panel:
    """All that two readers and more allow; what they do not is "not applicable", with the reason."""
    patients = {o.film: o.patient for o in opinions}
    codes = _table(opinions, [float(class_names.index(o.label)) for o in opinions])
    among = between(codes, patients, categories=[float(i) for i in range(len(class_names))], folds=folds, seed=seed)
    if among:
        scores = _table(opinions, [graded(o.label, o.confidence, positive) for o in opinions])
        by = [patients[f] for f in scores.films]
        among[GRADED_ALPHA] = krippendorff_alpha(scores.values, "ordinal", groups=by, folds=folds, seed=seed)
        if all(o.finding is not None for o in opinions):
            found = _table(opinions, [float(bool(o.finding)) for o in opinions])
            among |= of_finding(between(found, patients, folds=folds, seed=seed))
    told = completeness(codes) if opinions else None
    return Panel(among, _against(opinions, positive), _change(opinions, positive), told)


def _table(opinions: Sequence[Opinion], values: Sequence[float]) -> Table:
    readers, films = (
        tuple(dict.fromkeys(names)) for names in ([o.reader for o in opinions], [o.film for o in opinions])
    )
    table = np.full((len(readers), len(films)), np.nan)
    for o, value in zip(opinions, values, strict=True):
        table[readers.index(o.reader), films.index(o.film)] = value
    return Table(readers, films, films, table)


@dataclass(frozen=True)
class _Common:
    """A fully crossed design: the labelled films that all readers read, with every opinion; or why there is none."""

    readers: tuple[str, ...]
    passed_over: tuple[str, ...]
    left: int
    rows: list[dict[str, Opinion]]
    reason: str

    def as_comparison(self, question: str, more: str = "") -> Comparison:
        """Without figures."""
        rows, over = len(self.rows), self.passed_over
        return Comparison(question, self.readers, rows, self.left, over, reason=self.reason + more)


def _common(opinions: Sequence[Opinion]) -> _Common:
    by: dict[str, dict[str, Opinion]] = {}
    for o in opinions:
        if o.truth is not None:
            by.setdefault(o.reader, {})[o.film] = o
    most = max((len(films) for films in by.values()), default=0)
    readers = tuple(r for r, films in by.items() if 2 * len(films) >= most)
    over = tuple(r for r in by if r not in readers)
    if len(readers) < 2:
        return _Common(readers, over, 0, [], f"{len(readers)} reader{'' if len(readers) == 1 else 's'}; {_FEW}")
    shared = [f for f in by[readers[0]] if all(f in by[r] for r in readers)]
    rows = [{r: by[r][f] for r in readers} for f in shared]
    left = len({f for r in readers for f in by[r]}) - len(shared)
    ill, well = ({o.patient for row in rows for o in row.values() if o.truth is t} for t in (True, False))
    if min(len(ill), len(well)) < 2:
        why = (
            f"{len(rows)} labelled films were read by all {len(readers)} readers, of {len(ill)} patients with and "
            f"{len(well)} without the positive class; expected two of each"
        )
        return _Common(readers, over, left, [], why)
    return _Common(readers, over, left, rows, "")


def _facts(readers: Sequence[str], rows: Sequence[Mapping[str, Opinion]]) -> tuple[NDArray[np.bool_], list[str]]:
    return np.array([bool(row[readers[0]].truth) for row in rows]), [row[readers[0]].patient for row in rows]


def _against(opinions: Sequence[Opinion], positive: str) -> Comparison:
    """The readers' mean AUROC less the model's, on films both have scored; readers and patients random."""
    question = "blinded readers less the model"
    common = _common([o for o in opinions if o.model is not None])
    readers, rows = common.readers, common.rows
    if common.reason:
        left = any(o.model is None for o in opinions)
        return common.as_comparison(question, "; some predictions are still missing" if left else "")
    truth, by = _facts(readers, rows)
    own = np.array([[graded(row[r].label, row[r].confidence, positive) for row in rows] for r in readers])
    model = np.array([row[readers[0]].model for row in rows], np.float64)
    aurocs = [(r, BLINDED, auroc(truth, s, groups=by)) for r, s in zip(readers, own, strict=True)]
    aurocs.append(("model", "its probability", auroc(truth, model, groups=by)))
    gap, p = readers_against(truth, own, model, groups=by)
    average = dict(mrmc(truth, own[None], tests=[BLINDED], readers=readers, groups=by).averages)
    return replace(common.as_comparison(question), aurocs=tuple(aurocs), average=average, gap=gap, p=p)


def _change(opinions: Sequence[Opinion], positive: str) -> Comparison:
    """The readers' mean AUROC after they saw the model less before, on films that all of them finished."""
    question = "readers after they saw the model less before"
    common = _common([o for o in opinions if o.final is not None])
    readers, rows = common.readers, common.rows
    if common.reason:
        found = common.as_comparison(question)
        return replace(found, reason=f"finished films: {found.reason}")
    truth, by = _facts(readers, rows)

    def scores(said: Callable[[Opinion], tuple[str, int]]) -> NDArray[np.float64]:
        return np.array([[graded(*said(row[r]), positive) for row in rows] for r in readers])

    both = np.stack([scores(lambda o: o.final or (o.label, o.confidence)), scores(lambda o: (o.label, o.confidence))])
    values = mrmc(truth, both, tests=[SEEN, BLINDED], readers=readers, groups=by)
    aurocs = [
        (r, when, auroc(truth, both[t, j], groups=by))
        for j, r in enumerate(readers)
        for t, when in ((1, BLINDED), (0, SEEN))
    ]
    key = (SEEN, BLINDED)
    return replace(
        common.as_comparison(question),
        aurocs=tuple(aurocs),
        average=values.averages,
        gap=values.differences[key],
        p=values.p[key],
    )
