"""The report's sentences and rows, from its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from radiolucent.audits.agreement import (
    STATEMENT_FIGURES,
    Agreement,
    ReaderCalls,
    StatementAgreement,
    meaning,
    zone_name,
)
from radiolucent.figures import method_name
from radiolucent.metrics import METRICS
from radiolucent.reports.report_data import Story
from radiolucent.shown import counted
from radiolucent.types import Estimate, Finding

__all__ = [
    "Tally",
    "agreement_rows",
    "between_name",
    "by_verdict",
    "calibration_line",
    "calls_line",
    "doctors_lines",
    "figure_rows",
    "headline",
    "interval",
    "p_value",
    "percent",
    "plain",
    "plain_interval",
    "seconds",
    "share",
    "statement_rows",
    "tallies",
    "verdict_on",
    "warnings",
    "whole",
    "written",
    "zone",
]


def _minus(text: str) -> str:
    return text.replace("-", "−")


def written() -> str:
    """When a page is written, in UTC: those who read it are in several time zones."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def plain_interval(values: Mapping[str, Any]) -> str:
    """A share in the form of `summary.json` as percent with its interval.

    >>> plain_interval({"value": 0.5, "low": 0.4, "high": 0.6})
    '50 % (40 to 60 %)'
    """
    if values["value"] is None:
        return "an unknown share"
    return f"{100 * values['value']:.0f} % ({100 * values['low']:.0f} to {100 * values['high']:.0f} %)"


def plain(values: Mapping[str, Any]) -> str:
    """A figure in the form of `summary.json` with its interval, for a table.

    >>> plain({"value": 0.5, "low": 0.4, "high": 0.6}), plain({"value": None, "low": None, "high": None})
    ('0.50 (0.40 to 0.60)', '–')
    """
    if values["value"] is None:
        return "–"
    ends = "" if values["low"] is None else f" ({values['low']:.2f} to {values['high']:.2f})"
    return _minus(f"{values['value']:.2f}{ends}")


def interval(e: Estimate | None) -> str:
    """An estimate as a number with its interval, for a table.

    >>> interval(Estimate(0.5, 0.4, 0.6, 0.95, 10, "wilson"))
    '0.500 (0.400 to 0.600)'
    >>> interval(Estimate(0.5, None, None, 0.95, 1, "wilson", "films of a single patient: no interval"))
    '0.500 (films of a single patient: no interval)'
    """
    return _with_ends(e, 3)


def seconds(e: Estimate | None) -> str:
    """A time in seconds with its interval, for a table.

    >>> seconds(Estimate(-12.34, -20.0, -4.0, 0.95, 10, "jackknife"))
    '−12.3 s (−20.0 to −4.0)'
    """
    return _with_ends(e, 1, " s")


def _with_ends(e: Estimate | None, digits: int, unit: str = "") -> str:
    if e is None or e.value is None:
        return "not applicable" + (f": {e.note}" if e is not None and e.note else "")
    if e.low is None or e.high is None:
        return _minus(f"{e.value:.{digits}f}{unit}") + (f" ({e.note})" if e.note else "")
    return _minus(f"{e.value:.{digits}f}{unit} ({e.low:.{digits}f} to {e.high:.{digits}f})")


def percent(e: Estimate) -> str:
    """An estimate as percent with its interval, for a sentence.

    >>> percent(Estimate(0.5, 0.4, 0.6, 0.95, 10, "wilson"))
    '50.0 % (95 % CI 40.0 to 60.0 %)'
    """
    if e.value is None:
        return "not defined"
    ends = (
        ""
        if e.low is None or e.high is None
        else f" ({100 * e.level:.3g} % CI {100 * e.low:.1f} to {100 * e.high:.1f} %)"
    )
    return _minus(f"{100 * e.value:.1f} %{ends}")


def share(value: float) -> str:
    """A share as percent, neither 0 nor 100 % unless it is.

    >>> share(0.333), share(0.9998), share(1.0)
    ('33.3 %', '> 99.9 %', '100.0 %')
    """
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %" if value >= 0.0005 or value == 0 else "< 0.1 %"


def whole(e: Estimate, unit: str = "%") -> str:
    """An estimate in whole percent with its interval, short.

    >>> whole(Estimate(0.5, 0.4, 0.6, 0.95, 10, "wilson"))
    '50 % [40 to 60]'
    """
    ends = "" if e.low is None or e.high is None else f" [{100 * e.low:.0f} to {100 * e.high:.0f}]"
    return _minus(f"{100 * (e.value or 0):.0f} {unit}{ends}")


@dataclass(frozen=True)
class Tally:
    """So many of a hundred: `good` of them right, between `low` and `high` by the interval."""

    of: str
    good: int
    right: str
    wrong: str
    low: int | None
    high: int | None


def _of_hundred(value: float) -> int:
    """Whole films of a hundred; all or none only where it is exactly so.

    >>> _of_hundred(0.998), _of_hundred(1.0), _of_hundred(0.003)
    (99, 100, 1)
    """
    return round(100 * value) if value in (0.0, 1.0) else min(max(round(100 * value), 1), 99)


def tallies(story: Story) -> list[Tally]:
    """Sensitivity and specificity as natural frequencies, where they are defined."""
    pairs = (
        ("sensitivity", f"with {story.positive}", "found", "missed"),
        ("specificity", f"without {story.positive}", "cleared", "false alarms"),
    )
    found: list[Tally] = []
    for key, of, right, wrong in pairs:
        e = story.test.estimates[key]
        if e.value is not None:
            ends = [None if end is None else round(100 * end) for end in (e.low, e.high)]
            found.append(Tally(of, _of_hundred(e.value), right, wrong, ends[0], ends[1]))
    return found


def headline(story: Story) -> list[str]:
    """What a doctor should take away, in sentences."""
    e, found = story.test.estimates, story.test
    c = found.confusion
    ill, well = c["tp"] + c["fn"], c["tn"] + c["fp"]
    others = " or ".join(n for n in story.class_names if n != story.positive)
    lines = [
        f"The network tells {story.positive} from {others} on chest X-rays. It was tested on "
        f"{counted(found.n, 'film')} of {counted(found.patients, 'patient')} that played no part in training or in any "
        f"choice: {ill:,} labelled {story.positive}, {well:,} not."
    ]
    if e["sensitivity"].value is not None:
        lines.append(
            f"Of the {ill:,} films labelled {story.positive} it finds {c['tp']:,} and misses {c['fn']:,}: sensitivity "
            f"{percent(e['sensitivity'])}."
        )
    if e["specificity"].value is not None:
        lines.append(
            f"Of the {well:,} others it clears {c['tn']:,} and raises {c['fp']:,} false "
            f"{'alarm' if c['fp'] == 1 else 'alarms'}: specificity {percent(e['specificity'])}."
        )
    return lines + [verdict_on(a) for a in story.leading]


def verdict_on(a: Agreement) -> str:
    """Whether a method's maps point where doctors marked, in two or three sentences."""
    hit, other, gap, ceiling = (
        a.estimates[k] for k in ("hit_rate", "other_hit_rate", "hit_minus_other", "reader_hit_rate")
    )
    name = method_name(a.method)
    if hit.value is None:
        reasons = ", ".join(f"{n} × {reason}" for reason, n in a.not_applicable.items())
        return f"{name} could not be compared with the doctors: no film applies ({reasons})."
    whose = {"consensus": "what doctors marked", "union": "what any doctor marked"}.get(
        a.reader, f"{a.reader}'s marking"
    )
    clear = {True: ", a clear difference", False: "; the difference is not clear of chance", None: ""}[a.clear_of_floor]
    if gap.high is not None and gap.high < 0:
        clear = "; they point there more often"
    elif a.clear_of_floor is False and gap.low is not None and gap.low > 0:  # the interval is of this one alone
        clear = f"; among {a.compared} comparisons the difference is not clear of chance"
    ends = "" if gap.low is None else f" ({whole(gap, 'points')})"
    floor = (
        f" Its maps of other patients' films get {100 * other.value:.0f} % there{clear}{ends}."
        if other.value is not None
        else " There are no other patients' maps to hold it against."
    )
    doctors = f" Another doctor's own marking gets {whole(ceiling)}." if ceiling.value is not None else ""
    return f"{name}'s strongest point lies in {whose} {_how_often(a)}.{floor}{doctors}"


def _how_often(a: Agreement) -> str:
    """The hit rate in words: a count of films where it is one, else the mean share that ties leave."""
    hit = a.estimates["hit_rate"]
    hits = [v for c in a.cases if (v := c.figures.get("hit_rate")) is not None]
    if all(v in (0.0, 1.0) for v in hits):
        return f"on {sum(hits):.0f} of {len(hits)} films, {whole(hit)}"
    tied = sum(v not in (0.0, 1.0) for v in hits)
    films = "one film" if tied == 1 else f"{tied} films"
    return (
        f"at a rate of {whole(hit)}, the mean over {len(hits)} films (on {films} several points are equally strong; "
        "each counts by its share)"
    )


def calibration_line(story: Story) -> str:
    """Whether the test films bear the probabilities out, in a sentence that rests on the intervals."""
    slope, large = (story.test.estimates.get(k) for k in ("calibration_slope", "calibration_in_the_large"))
    figures = f"calibration slope {interval(slope)}, in the large {interval(large)}"
    if story.test.calibrated is None:
        return f"The test films do not tell whether the probabilities are calibrated ({figures})."
    if story.test.calibrated:
        return f"The test films do not contradict the probabilities: {figures}; 1 and 0 would be calibrated."
    ways: list[str] = []
    if slope and slope.low is not None and slope.high is not None and not slope.low <= 1 <= slope.high:
        ways.append("too extreme" if slope.high < 1 else "too cautious")
    if large and large.low is not None and large.high is not None and not large.low <= 0 <= large.high:
        ways.append("too high on the whole" if large.high < 0 else "too low on the whole")
    return f"On the test patients the probabilities are {' and '.join(ways)}: {figures}; 1 and 0 would be calibrated."


def warnings(story: Story) -> list[str]:
    """What limits these figures, most important first."""
    found: list[str] = []
    for finding in story.findings:
        if finding.verdict == "fail":
            advice = f" What to do: {finding.advice}" if finding.advice else ""
            found.append(f"{finding.summary}{advice} ({finding.test})")
    for a in story.leading:
        if a.clear_of_floor is False:
            found.append(
                f"{method_name(a.method)} was not shown to point at doctors' markings more often than its maps of "
                "other patients' films do. Its pictures are no evidence of where the finding is."
            )
    for method, found_of in story.trust.items():
        failed, films = found_of["verdicts"]["fail"], found_of["films"]
        if failed * 2 > films:
            why = next(iter(found_of["reasons"]), "")
            found.append(
                f"{method_name(method)}'s maps fail their own tests on {failed} of {films} films shown below, mostly: "
                f"{why}. Do not rely on them."
            )
    if story.test.calibrated is False:
        found.append(calibration_line(story))
    if story.test.patients < 100:
        found.append(f"Only {story.test.patients} test patients: the intervals are wide.")
    if story.left_out:
        found.append(f"Left out, as they could not be used: {counted(len(story.left_out), 'file')}, listed under Data.")
    if not story.agreement:
        found.append("No doctor's markings were given: where the network looks was not compared with anything.")
    return found


def figure_rows(story: Story) -> Sequence[tuple[str, str, Estimate, Estimate | None]]:
    """(name, meaning, test estimate, validation estimate) in reading order."""
    test, val = story.test.estimates, story.validation.estimates
    return [(m.title, m.meaning, test[m.name], val.get(m.name)) for m in METRICS if m.name in test]


def by_verdict(findings: Sequence[Finding]) -> list[Finding]:
    """Findings with the failed ones first, then the open ones; otherwise in the order given."""
    order = ("fail", "inconclusive", "pass", "not applicable")
    return sorted(findings, key=lambda finding: order.index(finding.verdict))


def agreement_rows(a: Agreement) -> Sequence[tuple[str, str, Estimate]]:
    """(key, meaning, estimate) of what applies, in reading order."""
    return [(key, meaning(key), e) for key, e in a.estimates.items() if e.value is not None]


def statement_rows(found: StatementAgreement) -> Sequence[tuple[str, Estimate]]:
    """(meaning, estimate) of what applies."""
    return [
        (words, found.estimates[k]) for k, words in STATEMENT_FIGURES.items() if found.estimates[k].value is not None
    ]


def between_name(key: str) -> str:
    """A coefficient between readers as people write it.

    >>> between_name("cohen_kappa A – B"), between_name("krippendorff_alpha finding")
    ("Cohen's κ, A and B", "Krippendorff's α, finding")
    """
    kind, _, rest = key.partition(" ")
    names = {
        "cohen_kappa": "Cohen's κ",
        "fleiss_kappa": "Fleiss' κ",
        "gwet_ac1": "Gwet's AC1",
        "krippendorff_alpha": "Krippendorff's α",
    }
    name = names[kind]
    return f"{name}, {rest.replace(' – ', ' and ')}" if rest else name


def p_value(value: float) -> str:
    """A p as it stands in a sentence.

    >>> p_value(0.04), p_value(0.0004)
    ('= 0.04', '< 0.001')
    """
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def calls_line(c: ReaderCalls) -> str:
    """Who was right where a reader and the model differed, in a sentence or two."""
    differed = c.model_right + c.reader_right
    if not differed:
        return f"{c.reader} and the model made the same call on all {c.films} films."
    chance = "" if c.p is None else f" (p {p_value(c.p)})"
    neither = f"Both were wrong on {c.both_wrong}." if c.both_wrong else "They were never both wrong."
    return (
        f"{c.reader} and the model differed on {differed} of {c.films} films: the doctor was right on "
        f"{c.reader_right}, the model on {c.model_right}{chance}. {neither}"
    )


def doctors_lines(story: Story) -> list[str]:
    """Each reader beside the model, and all of them beside it."""
    if story.doctors is None:
        return []
    lines = [calls_line(c) for c in story.doctors.calls]
    gap, p = story.doctors.against, story.doctors.against_p
    if gap is not None and gap.value is not None and p is not None:
        clear = gap.low is not None and gap.high is not None and (gap.low > 0 or gap.high < 0)
        who = "the doctors" if gap.value > 0 else "the model"
        verdict = f"clearly in favour of {who}" if clear else "not clear of zero"
        lines.append(
            f"Counting sensitivity and specificity alike, {len(story.doctors.readers)} doctors less the model: "
            f"{whole(gap, 'points')}, {verdict} (p {p_value(p)}; meant for other doctors and other patients like "
            f"these).{f' But {gap.note}.' if gap.note else ''}"
        )
    elif gap is not None and gap.value is not None:
        lines.append(f"The doctors' mean less the model is {whole(gap, 'points')}, without a p-value: {gap.note}.")
    elif len(story.doctors.readers) > 1:
        lines.append(
            "A mean over doctors against the model is not applicable: all of them must have read the same labelled "
            "films, of at least two patients with it and two without."
        )
    return lines


def zone(name: str) -> str:
    """A lung zone, or what lies outside the lungs, in words.

    >>> zone("image_right_lower"), zone("outside")
    ("lower zone at the image's right", 'outside the lungs')
    """
    return "outside the lungs" if name == "outside" else zone_name(name)
