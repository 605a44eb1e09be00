"""What a study has shown so far, from locked readings alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np

from radiolucent.audits.agreement import Agreement, StatementAgreement, agreements, statement_agreement, together
from radiolucent.errors import AnnotationError
from radiolucent.metrics import cluster_bootstrap_mean
from radiolucent.readers.statistics import Opinion, Panel, ReadingTimes, clustered_mcnemar, panel, reading_times
from radiolucent.readers.store_export import as_annotation, consensus
from radiolucent.readers.store_values import UNASSESSED, Case, Final, Reading
from radiolucent.types import Annotation, Estimate, Explanation
from radiolucent.web.payload import encloses
from radiolucent.web.study_context import StudyContext

__all__ = ["Differed", "Pair", "Said", "Standing", "StudyStatistics", "gather"]

FOLDS = 2000


@dataclass(frozen=True)
class Said:
    """One locked reading with what came after it and what the model says: its call (None: no call) and log odds."""

    case: Case
    reader: str
    reading: Reading
    final: Final
    called: str | None
    score: float | None

    @property
    def patient(self) -> str:
        """Patient, or the film where unknown."""
        return self.case.patient_id or self.case.image_id


@dataclass(frozen=True)
class Standing:
    """How right somebody was: a reader before or after the reveal, or the model on the same films."""

    who: str
    when: str
    films: int
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class Pair:
    """How often two gave the same diagnosis, on films both read."""

    one: str
    other: str
    films: int
    same: Estimate


@dataclass(frozen=True)
class Differed:
    """Labelled films that a reader (blinded) and the model both judged, by who was right about the positive class.

    `p`: two-sided McNemar test of the two that differ, over patients (`clustered_mcnemar`); None where they never do.
    """

    reader: str
    films: int
    both: int
    doctor: int
    model: int
    neither: int
    p: float | None


@dataclass(frozen=True)
class StudyStatistics:
    """Everything the statistics page shows."""

    name: str
    positive: str
    progress: tuple[tuple[str, int, int, int], ...]  # reader, locked, finished, all
    standings: tuple[Standing, ...]
    differed: tuple[Differed, ...]
    pairs: tuple[Pair, ...]
    minds: tuple[tuple[str, int, int, int, int], ...]  # reader, finished, changed, to right, to wrong
    seconds: tuple[tuple[str, float, float], ...]  # reader, median seconds blinded and revealed
    opinions: tuple[tuple[str, int, int, int], ...]  # reader, agree, partly, disagree
    panel: Panel
    agreement: tuple[Agreement, ...]
    unassessed: tuple[tuple[str, int], ...]  # reader, films that could not be assessed: they count nowhere else
    settled: int  # films that an adjudicator settled
    times: ReadingTimes | None  # seconds blinded and after the reveal; None without a reading
    statements: StatementAgreement | None  # words against markings and the first method's maps; None without words


def gather(context: StudyContext) -> StudyStatistics:
    """Figures of all locked readings. Intervals are by patient; films without a label are left out of them."""
    every = [_said(context, *row) for row in context.store.locked()]
    unassessed = tuple(Counter(s.reader for s in every if s.reading.label == UNASSESSED).items())
    said = [s for s in every if s.reading.label != UNASSESSED]
    names = list(dict.fromkeys(s.reader for s in said))
    by = {name: [s for s in said if s.reader == name] for name in names}
    worked = {name: [s for s in every if s.reader == name] for name in dict.fromkeys(s.reader for s in every)}
    opinions = [o for s in said if (o := _opinion(s, context.positive))]
    total = len(context.store.cases())
    readings, settled = _whole(context, said), consensus(context.store)
    return StudyStatistics(
        name=context.name,
        positive=context.positive,
        progress=tuple((n, len(w), sum(bool(s.final.finished) for s in w), total) for n, w in worked.items()),
        standings=tuple(row for n in names for row in _standings(n, by[n], context.positive)),
        differed=tuple(d for n in names if (d := _differed(n, by[n], context.positive))),
        pairs=tuple(_pairs(by)),
        minds=tuple(_minds(n, by[n]) for n in names),
        seconds=tuple(_seconds(n, w) for n, w in worked.items()),
        opinions=tuple(_opinions(n, by[n]) for n in names),
        panel=panel(opinions, context.positive, context.class_names, folds=FOLDS),
        agreement=_maps(context, said, readings, settled),
        unassessed=unassessed,
        settled=len(settled),
        times=_times(every),
        statements=_statements(context, said, readings),
    )


def _said(context: StudyContext, case: Case, name: str, reading: Reading, final: Final) -> Said:
    model = context.reveal.prediction(case) or {}
    return Said(case, name, reading, final, model.get("called"), model.get("margin"))


def _opinion(s: Said, positive: str) -> Opinion | None:
    """The reading as a rater's; None without a diagnosis and confidence, which every lock asks for."""
    if s.reading.label is None or s.reading.confidence is None:
        return None
    truth = None if s.case.label is None else s.case.label == positive
    done = s.final.finished and s.final.label is not None and s.final.confidence is not None
    final = (str(s.final.label), int(s.final.confidence or 0)) if done and s.final.label != UNASSESSED else None
    said = s.reading.label, s.reading.confidence
    return Opinion(s.reader, s.case.id, s.patient, truth, *said, final, s.score, s.reading.finding)


def _mean(values: Sequence[bool], groups: Sequence[str]) -> Estimate:
    return cluster_bootstrap_mean([float(v) for v in values], list(groups), folds=FOLDS)


def _standings(name: str, said: Sequence[Said], positive: str) -> list[Standing]:
    done = [s for s in said if s.final.finished]
    rows = [
        _standing(name, "blinded", [(s, s.reading.label) for s in said], positive),
        _standing(name, "after the model", [(s, s.final.label) for s in done if s.final.label != UNASSESSED], positive),
        _standing("model", f"on {name}'s films", [(s, s.called) for s in said], positive),
    ]
    return [row for row in rows if row.films]


def _standing(who: str, when: str, answers: Sequence[tuple[Said, str | None]], positive: str) -> Standing:
    known = [(s, label) for s, label in answers if s.case.label is not None and label is not None]
    ill = [(s, label) for s, label in known if s.case.label == positive]
    well = [(s, label) for s, label in known if s.case.label != positive]

    def right(rows: Sequence[tuple[Said, str]], *, binary: bool) -> Estimate:
        found = [
            (label == positive) == (s.case.label == positive) if binary else label == s.case.label for s, label in rows
        ]
        return _mean(found, [s.patient for s, _ in rows])

    return Standing(
        who, when, len(known), right(known, binary=False), right(ill, binary=True), right(well, binary=True)
    )


def _differed(name: str, said: Sequence[Said], positive: str) -> Differed | None:
    known = [s for s in said if s.case.label is not None and s.called is not None]
    if not known:
        return None

    def right(label: str | None, s: Said) -> bool:
        return (label == positive) == (s.case.label == positive)

    found = [(right(s.reading.label, s), right(s.called, s)) for s in known]
    mine, its = (np.array(column, bool) for column in zip(*found, strict=True))
    both, doctor, model, neither = (
        found.count(k) for k in ((True, True), (True, False), (False, True), (False, False))
    )
    p = clustered_mcnemar(mine, its, groups=[s.patient for s in known])[1]
    return Differed(name, len(known), both, doctor, model, neither, p)


def _pairs(by: dict[str, list[Said]]) -> list[Pair]:
    answers = {name: {s.case.id: (s.reading.label, s.patient) for s in said} for name, said in by.items()}
    model = {s.case.id: (s.called, s.patient) for said in by.values() for s in said if s.called}
    found: list[Pair] = []
    for one, other in [*combinations(answers, 2), *((name, "model") for name in answers)]:
        mine, theirs = answers[one], model if other == "model" else answers[other]
        both = sorted(mine.keys() & theirs.keys())
        same = [mine[c][0] == theirs[c][0] for c in both]
        found.append(Pair(one, other, len(both), _mean(same, [mine[c][1] for c in both])))
    return found


def _minds(name: str, said: Sequence[Said]) -> tuple[str, int, int, int, int]:
    done = [s for s in said if s.final.finished]
    changed = [s for s in done if s.final.label not in (s.reading.label, UNASSESSED)]
    right = sum(s.final.label == s.case.label for s in changed if s.case.label)
    wrong = sum(s.reading.label == s.case.label for s in changed if s.case.label)
    return name, len(done), len(changed), right, wrong


def _seconds(name: str, said: Sequence[Said]) -> tuple[str, float, float]:
    def middle(values: list[float]) -> float:
        return median(values) if values else 0.0

    return name, middle([s.reading.seconds for s in said]), middle([s.final.seconds for s in said if s.final.finished])


def _times(said: Sequence[Said]) -> ReadingTimes | None:
    """Seconds by reader: blinded, and after the reveal where the case was finished."""
    if not said:
        return None
    names, films = (list(dict.fromkeys(some)) for some in ([s.reader for s in said], [s.case.id for s in said]))
    patients = {s.case.id: s.patient for s in said}
    seconds = np.full((2, len(names), len(films)), np.nan)
    for s in said:
        at = names.index(s.reader), films.index(s.case.id)
        seconds[0][at] = s.reading.seconds
        if s.final.finished:
            seconds[1][at] = s.final.seconds
    by = [patients[f] for f in films]
    return reading_times(seconds, tests=("blinded", "after the reveal"), readers=names, groups=by)


def _opinions(name: str, said: Sequence[Said]) -> tuple[str, int, int, int]:
    given = [s.final.agree for s in said if s.final.finished]
    return name, given.count("agree"), given.count("partly"), given.count("disagree")


def _whole(context: StudyContext, said: Sequence[Said]) -> list[Annotation]:
    """Readings as annotations."""
    whole: list[Said] = []
    for s in said:
        if all(map(encloses, s.reading.marks)):
            whole.append(s)
        else:  # of an earlier version, which took such outlines
            said_why = AnnotationError(f"the reading by {s.reader} is left out: an outline encloses nothing")
            context.failures.write("comparing maps with markings", said_why, case=s.case.id)
    return [as_annotation(s.case, s.reader, s.reading) for s in whole]


def _computed(context: StudyContext, said: Sequence[Said], method: str) -> list[Explanation]:
    """A method's maps of these films, as far as they are computed."""
    cases = {s.case.id: s.case for s in said}
    return [m for c in cases.values() if isinstance(m := context.reveal.explanation(c, method), Explanation)]


def _statements(
    context: StudyContext, said: Sequence[Said], readings: Sequence[Annotation]
) -> StatementAgreement | None:
    maps = _computed(context, said, next(iter(context.reveal.methods)))
    patients = {s.case.image_id: s.patient for s in said}
    found = statement_agreement(readings, maps, patients=patients, folds=FOLDS)
    return found if found.statements else None


def _maps(
    context: StudyContext, said: Sequence[Said], readings: Sequence[Annotation], settled: Sequence[Annotation]
) -> tuple[Agreement, ...]:
    """Each method's maps, as far as they are computed, against each reader, their consensus, and what was settled."""
    patients = {s.case.image_id: s.patient for s in said}
    found: list[Agreement] = []
    for method in context.reveal.methods:
        maps = _computed(context, said, method)
        try:
            found += agreements(maps, readings, patients=patients, folds=FOLDS) if maps else ()
            if settled and maps:
                more = agreements(maps, settled, patients=patients, folds=FOLDS)
                found += [a for a in more if a.reader == "adjudicated"]
        except AnnotationError:  # none of these films has both
            continue
    return together(found)
