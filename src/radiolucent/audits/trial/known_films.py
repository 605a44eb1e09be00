"""What the films trained on tell of an intervention: which class carries the thing, and may the network have met it?"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.channel_findings import finding_of
from radiolucent.audits.trial.discovered import tried_channels
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.exchange import CHANNELS
from radiolucent.audits.trial.familiar import carried, familiar
from radiolucent.audits.trial.paired_changes import INTERVENTIONS, MARKER, Intervention
from radiolucent.audits.trial.verdicts import paired_shift, two_sided
from radiolucent.types import Estimate, Finding

__all__ = [
    "KNOWN",
    "applies",
    "clears_what_is_there",
    "held_to_be_met",
    "leans",
    "moves_by_itself",
    "taught",
    "weaker_side",
]

KNOWN = 0.5
"""Share of the threshold that counts where the films trained on are known to carry the thing on one class more, and the
change moves both classes' films that way: what is available *and* moves the answer is used (ours)."""

CHANCE = 0.5
APART, RARE = 0.1, 0.05
"""How far from 0.5 the AUROC of what the films trained on carry must lie where less than the usual effect counts,
beside its interval: of thousands of films any difference is certain, and a trifle teaches little. `RARE`: of what a
film has or has not, where a tenth more films of one class that have it make 0.05."""
SCARCE = 0.05
"""Share of audited films with a marker below which a drawn one is nothing that they show (ours)."""
TURNED = 0.1
"""Share of calls that a change must turn beyond what its control does, both for certain, to be no pass (ours)."""
OPPOSITE = 0.1
"""Standard deviations that films of one class must move one way, and of the other the other way, to be opposite."""


def _carried(test: Intervention, case: Case, level: float | None = None) -> tuple[Estimate, bool] | None:
    measure = test.carries
    if measure is None:
        return None
    name = f"carried.{test.edit}.{test.control}.{'shown' if measure is test.shown else 'carries'}.{level}"
    return case.once(name, lambda: carried(case, measure, audited=test.whole, level=level))


def taught(test: Intervention, case: Case, level: float | None = None) -> int:
    """Which way the change moves the answer of a network that learnt what one class of the films trained on carries
    more: 1 up, −1 down, 0 where they do not tell. They tell where the interval of its AUROC excludes 0.5 and its value
    lies `APART` or more from it (`RARE`: of what a film has or has not). level: of the interval; the case's unless
    given."""
    told = _carried(test, case, level) if test.adds and applies(case.table, test) else None
    apart = RARE if test.carries is test.shown or test.has else APART
    if told is None or not told[1] or told[0].low is None or told[0].high is None or told[0].value is None:
        return 0
    if told[0].low <= CHANCE <= told[0].high or abs(told[0].value - CHANCE) < apart:
        return 0
    return test.adds * (1 if told[0].value > CHANCE else -1)


def leans(test: Intervention, case: Case, toward: int) -> bool:
    """Whether the change moves films of both classes that way, more than its control."""
    return min(toward * side for side in _sides(case.table, test)) > 0


def weaker_side(table: Table, moved: NDArray[np.float64], *, level: float, seed: int) -> Estimate:
    """Mean of `moved` (N,), log-odds, in spreads, of films of the class that moves less for certain: where its interval
    lies above a threshold, films of both classes move by more than that."""
    sides: list[Estimate] = []
    for label in (False, True):
        own = np.where(table.known & (table.truth == label), moved, np.nan)
        sides.append(paired_shift(table, own, np.zeros_like(own), level=level, seed=seed))
    return min(sides, key=lambda e: -np.inf if e.low is None else e.low)


def applies(table: Table, test: Intervention) -> bool:
    return bool(np.isfinite(table.scores[test.edit] - table.scores[test.control]).any())


def held_to_be_met(test: Intervention, found: Finding, case: Case) -> Finding:
    """A failure stands only where the changed films are such as the network may have met, and where films of both
    classes move the same way; else nothing tells a shortcut from a foreign film, and it is inconclusive."""
    sides = _sides(case.table, test)
    evidence: dict[str, Any] = {**found.evidence, "positive_films": sides[1], "negative_films": sides[0]}
    reasons: list[str] = []
    if min(sides) < -OPPOSITE and max(sides) > OPPOSITE:
        reasons.append("it moves films of the two classes opposite ways, which a shortcut does not")
    shown = test.carries is test.shown and taught(test, case)
    if not shown and (held := familiar(case, test.edit, EDITS[test.edit])) is not None:
        where = "the films it was trained on" if held.trained else "the audited films"
        evidence["familiar"] = {**asdict(held), "held_against": where, "foreign": held.foreign}
        if held.foreign:
            reasons.append(
                f"{held.beyond:.0%} of the changed films lie beyond what {where} show, and such films move any network"
            )
    if (told := _carried(test, case)) is not None:
        known, trained = told
        evidence["carried_by_training_films" if trained else "carried_by_audited_films"] = known.as_dict()
        # Where no film has it, or every one, the AUROC is 0.5 and has no interval.
        if known.value == CHANCE if known.low is None or known.high is None else known.low <= CHANCE <= known.high:
            where = "on the films it was trained on" if trained else (
                "the films it was trained on are not known, and on the audited ones"
            )  # fmt: skip
            reasons.append(f"{where} {test.subject} does not tell the classes apart (AUROC {known})")
    if reason := _really(test, case, told is not None and told[1]):
        reasons.append(reason)
    if not reasons:
        return replace(found, evidence=evidence)
    return _without_verdict(test, found, reasons, evidence)


def _without_verdict(test: Intervention, found: Finding, reasons: Sequence[str], evidence: dict[str, Any]) -> Finding:
    """An effect without a verdict: what was measured stays in the summary, what the verdict concludes does not."""
    concludes, is_open = (
        f"{words[0].upper()}{words[1:]}" for words in (test.says(found.verdict), test.says("inconclusive"))
    )
    measured = found.summary.removeprefix(concludes)
    words = f"{is_open if measured != found.summary else ''}{measured} No verdict: {'; '.join(reasons)}."
    evidence = {**evidence, "no_verdict": list(reasons)}
    return replace(found, verdict="inconclusive", summary=words, evidence=evidence, advice="", severity=0.0)


def _really(test: Intervention, case: Case, trained: bool) -> str:
    """Why a drawn change proves nothing: what films at hand really have there passes; "" where that is not so."""
    if test.real == MARKER and not trained:
        shown, films = case.table.masked_films("markers"), len(case.table)
        if "area.markers" in case.table.figures and shown < SCARCE * films:
            return f"{shown} of {films} audited films show a marker, and the films it was trained on are not known"
    if not test.real or trained or not any(t.name == f"discovered.{test.real}" for t in case.tests):
        return ""
    channel, told = CHANNELS[test.real], tried_channels(case).get(test.real)
    if told is None or two_sided(told.estimate, channel.threshold) != "pass":
        return ""
    e = told.estimate
    return (
        f"the films it was trained on are not known, and {channel.what} of the audited ones, put into films of both "
        f"classes, does not move the answer (discovered.{test.real}, {e.value or 0:+.2f} SD)"
    )


def clears_what_is_there(test: Intervention, found: Finding, case: Case, others: Sequence[Finding] = ()) -> Finding:
    """A pass stands only where no finding on the same (`Intervention.beside`, of which `others` are interventions)
    fails or is open above its threshold: a border that was filled to no effect clears no network that follows the
    borders of the films. Nor does it where the change turns many calls both ways, which a signed mean cancels."""
    why = [f"{INTERVENTIONS[f.test].did} moves the answer, too ({f.test}, {_figure(f)})" for f in others if _counts(f)]
    names = [t.name for t in case.tests if t.name in test.beside]
    for name in (n.removeprefix("discovered.") for n in names if n.startswith("discovered.")):
        channel, told = CHANNELS[name], tried_channels(case).get(name)
        if told is not None and _counts(real := finding_of(case, channel, told)[0]):
            why.append(
                f"{channel.what}, put in from other films, moves the answer (discovered.{name}, {_figure(real)})"
            )
    turned, usual = (found.evidence[k] for k in ("flips", "flips_control"))
    if test.signed and (turned["low"] or 0.0) > (usual["high"] or 0.0) + TURNED:
        why.append(f"{turned['value']:.0%} of calls flip, which a mean over films that move both ways does not show")
    return _without_verdict(test, found, why, {**found.evidence}) if why else found


def _counts(found: Finding) -> bool:
    """Whether it fails, or is open with a figure above its threshold."""
    value = found.estimate.value if found.estimate else None
    above = value is not None and found.threshold is not None and value > found.threshold
    return found.verdict == "fail" or (found.verdict == "inconclusive" and above)


def _figure(found: Finding) -> str:
    is_open = " and open" if found.verdict == "inconclusive" else ""
    return f"{(found.estimate.value if found.estimate else None) or 0:+.2f} SD{is_open}"


def _sides(table: Table, test: Intervention) -> tuple[float, float]:
    """Mean of change less control, in spreads, over films of the negative and of the positive class."""
    difference = (table.scores[test.edit] - table.scores[test.control]) / max(table.spread, 1e-9)
    known = np.isfinite(difference) & table.known
    rows = [difference[known & (table.truth == c)] for c in (False, True)]
    first, second = (float(r.mean()) if len(r) else 0.0 for r in rows)
    return first, second


def moves_by_itself(test: Intervention, found: Finding, case: Case) -> Finding:
    """A change that should be seen and does no more than its control fails only where it does little by itself: else
    the control, which no film shows, may move the answer as anything foreign does, and it is inconclusive."""
    table = case.table
    size = np.abs(table.scores[test.edit] - table.original)
    level = found.estimate.level if found.estimate else case.level
    alone = paired_shift(table, size, np.zeros_like(size), level=level, seed=case.seed)
    evidence = {**found.evidence, "alone": alone.as_dict()}
    if alone.low is None or alone.low <= test.threshold:
        return replace(found, evidence=evidence)
    why = (
        f"{test.did} alone moves the log-odds by {alone.value or 0:.2f} SD, and the control, which no film shows, "
        "moves any network"
    )
    return _without_verdict(test, found, [why], evidence)
