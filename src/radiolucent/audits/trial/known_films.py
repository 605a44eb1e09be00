"""What the films trained on tell of an intervention: which class carries the thing, and may the network have met it?"""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.discovered import tried_channels
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.exchange import CHANNELS
from radiolucent.audits.trial.familiar import carried, familiar
from radiolucent.audits.trial.paired_changes import Intervention
from radiolucent.audits.trial.verdicts import paired_shift, two_sided
from radiolucent.types import Estimate, Finding

__all__ = ["KNOWN", "applies", "held_to_be_met", "leans_as_known", "moves_by_itself"]

KNOWN = 0.5
"""Share of the threshold that counts where the films trained on are known to carry the thing on one class more, and the
change moves both classes' films that way: what is available *and* moves the answer is used (ours)."""

CHANCE = 0.5
OPPOSITE = 0.1
"""Standard deviations that films of one class must move one way, and of the other the other way, to be opposite."""


def _carried(test: Intervention, case: Case) -> tuple[Estimate, bool] | None:
    measure = test.carries
    if measure is None:
        return None
    return case.once(f"carried.{test.edit}", lambda: carried(case, measure, audited=test.whole))


def leans_as_known(test: Intervention, case: Case) -> bool:
    """Whether one class of the films trained on carries the thing more (the interval of its AUROC excludes 0.5), and
    the change moves films of both classes as that teaches."""
    told = _carried(test, case) if test.adds and applies(case.table, test) else None
    if told is None or not told[1] or told[0].low is None or told[0].high is None or told[0].value is None:
        return False
    if told[0].low <= CHANCE <= told[0].high:
        return False
    toward = test.adds * (1 if told[0].value > CHANCE else -1)
    return min(toward * side for side in _sides(case.table, test)) > 0


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
    held = familiar(case, test.edit, EDITS[test.edit])
    if held is not None:
        where = "the films it was trained on" if held.trained else "the audited films"
        evidence["familiar"] = {**asdict(held), "held_against": where}
        if held.foreign:
            reasons.append(
                f"{held.beyond:.0%} of the changed films lie beyond what {where} show, and such films move any network"
            )
    if (told := _carried(test, case)) is not None:
        known, trained = told
        evidence["carried_by_training_films" if trained else "carried_by_audited_films"] = known.as_dict()
        if known.low is not None and known.high is not None and known.low <= CHANCE <= known.high:
            where = "on the films it was trained on" if trained else (
                "the films it was trained on are not known, and on the audited ones"
            )  # fmt: skip
            reasons.append(f"{where} {test.subject} does not tell the classes apart (AUROC {known})")
    if reason := _really(test, case, told is not None and told[1]):
        reasons.append(reason)
    if not reasons:
        return replace(found, evidence=evidence)
    words = f"{found.summary} No verdict: {'; '.join(reasons)}."
    return replace(found, verdict="inconclusive", summary=words, evidence=evidence, advice="", severity=0.0)


def _really(test: Intervention, case: Case, trained: bool) -> str:
    """Why a drawn change proves nothing: what films at hand really have there passes; "" where that is not so."""
    if not test.real or trained or not any(t.name == f"discovered.{test.real}" for t in case.tests):
        return ""
    channel, shown = CHANNELS[test.real], tried_channels(case).get(test.real)
    if shown is None or two_sided(shown.estimate, channel.threshold) != "pass":
        return ""
    e = shown.estimate
    return (
        f"the films it was trained on are not known, and {channel.what} of the audited ones, put into films of both "
        f"classes, does not move the answer (discovered.{test.real}, {e.value or 0:+.2f} SD)"
    )


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
    words = (
        f"{found.summary} No verdict: {test.did} alone moves the log-odds by {alone.value or 0:.2f} SD, and the "
        "control, which no film shows, moves any network."
    )
    return replace(found, verdict="inconclusive", summary=words, evidence=evidence, advice="", severity=0.0)
