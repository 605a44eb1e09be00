"""Paired interventions: change one thing on every film, and hold the answer against the same change elsewhere.

The figure is the mean over films of |Δ change| − |Δ control|, where Δ is the change of the calibrated log-odds of the
positive class, in units of their standard deviation over the untouched films. Absolute, so that a marker that speaks
for one class on some films and against it on others is not averaged away; less the control's, so that a network that
flinches at any change is not taken for one that reads markers. A test fails where the whole interval (bootstrap over
patients) lies above the threshold: not where a difference is merely significant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from radiolucent.audits.trial.answers import ORIGINAL, Table, ask
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.distort import Edit, Grey
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.familiar import met_films
from radiolucent.audits.trial.known_films import (
    KNOWN,
    applies,
    clears_what_is_there,
    held_to_be_met,
    leans,
    moves_by_itself,
    taught,
    weaker_side,
)
from radiolucent.audits.trial.paired_changes import INTERVENTIONS, LUNGS_SHARE, Intervention
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.trained_exposure import exposures_taught
from radiolucent.audits.trial.verdicts import FOLDS, beyond, needed_words, paired_shift, two_sided
from radiolucent.metrics import cluster_bootstrap_mean
from radiolucent.types import Estimate, Finding, Verdict

__all__ = ["INTERVENTIONS", "TESTS", "Intervention", "intervention", "interventions"]


def interventions(
    table: Table, tests: Sequence[Intervention] = (), *, level: float = 0.95, seed: int = 0
) -> list[Finding]:
    """Judge several interventions, all unless given, with intervals corrected for their number (Bonferroni).

    Of eleven tests some would else fail by chance on one innocent network or another.
    """
    chosen = tests or tuple(INTERVENTIONS.values())
    corrected = 1 - (1 - level) / len(chosen)
    return [intervention(table, test, level=corrected, seed=seed) for test in chosen]


def intervention(table: Table, test: Intervention, *, level: float = 0.95, seed: int = 0) -> Finding:
    """Judge one intervention from the table's scores.

    The evidence holds, with intervals: Δ of change and control alone, the share of calls that flip under either, and
    how sensitivity and specificity change under either; and the films that moved most, for pictures.
    """
    source = f"paired intervention with a control patch (DeGrave 2021; Sun 2023); threshold: {test.reason}"
    if not applies(table, test):
        return Finding(
            test.edit, test.question, "not applicable", f"Needs {test.needs or 'films it applies to'}.", None,
            test.threshold, source=source, concerns="model",
        )  # fmt: skip
    estimate, control = _figures(table, test, level, seed)
    verdict = two_sided(estimate, test.threshold) if test.signed else beyond(estimate, test.threshold)
    if test.wanted:
        verdict = _OTHER_WAY.get(verdict, verdict)
    evidence = _evidence(table, test, level, seed)
    return Finding(
        test.edit,
        test.question,
        verdict,
        _words(test, estimate, control, verdict, evidence),
        estimate,
        test.threshold,
        evidence,
        source,
        _advice(test) if verdict == "fail" else "",
        "model",
        control,
        _severity(test, estimate) if verdict == "fail" else 0.0,
    )


_OTHER_WAY: Mapping[Verdict, Verdict] = {"fail": "pass", "pass": "fail"}


def _advice(test: Intervention) -> str:
    if test.wanted:
        return "find what decides instead: see the other interventions; train on films cropped to the lungs"
    return (
        f"make films of both classes alike in {test.subject} (crop it, in-paint it, or put it on films of both at "
        "random), train again, and audit again"
    )


def _severity(test: Intervention, estimate: Estimate) -> float:
    """How far beyond the threshold, in thresholds; for a change that should be seen, 1 where none is."""
    value = estimate.value or 0.0
    return 1 - value / test.threshold if test.wanted else abs(value) / test.threshold


def _figures(table: Table, test: Intervention, level: float, seed: int) -> tuple[Estimate, Estimate]:
    """The figure, and the control's own Δ in the same form."""
    changed, against, original = table.scores[test.edit], table.scores[test.control], table.original
    if test.signed:
        shift = paired_shift(table, changed, against, level=level, seed=seed)
        return shift, paired_shift(table, against, original, level=level, seed=seed)
    far = np.abs(changed - original)
    near = np.mean([np.abs(table.scores[name] - original) for name in test.controls if name in table.scores], 0)
    known = np.where(np.isfinite(far), near, np.nan)
    shift = paired_shift(table, far, near, level=level, seed=seed)
    return shift, paired_shift(table, known, np.zeros_like(near), level=level, seed=seed)


def _words(
    test: Intervention, estimate: Estimate, control: Estimate, verdict: Verdict, evidence: Mapping[str, Any]
) -> str:
    says = test.says(verdict)
    flips, others = evidence["flips"]["value"], evidence["flips_control"]["value"]
    value, low, high = estimate.value or 0.0, estimate.low, estimate.high
    ends = f"{100 * estimate.level:.3g}% CI {low:+.2f} to {high:+.2f}" if low is not None and high is not None else ""
    interval, apart = (f" ({ends})", f"; difference {ends}") if ends else ("", "")
    by = f"{value:+.2f} SD{interval} further than {test.control_did} does ({control.value or 0.0:.2f})"
    if test.signed:
        by = f"{value:+.2f} SD{interval} against {test.control_did} ({control.value or 0.0:+.2f})"
    elif value < 0:
        by = f"{-value:.2f} SD less than {test.control_did} does ({control.value or 0.0:.2f}{apart})"
    words = (
        f"{says[0].upper()}{says[1:]}: {test.did} moves the log-odds by {by}; {flips:.0%} of calls flip, {others:.0%} "
        "under the control."
    )
    if verdict == "fail" and test.or_else:
        return f"{words} {test.or_else}"
    return words + (needed_words(estimate, test.threshold, signed=test.signed) if verdict == "inconclusive" else "")


def _evidence(table: Table, test: Intervention, level: float, seed: int) -> dict[str, Any]:
    changed, against, original = table.scores[test.edit], table.scores[test.control], table.original
    known = np.isfinite(changed - against)
    groups = np.array(table.patients)
    called = original >= table.cut

    def mean(
        values: np.ndarray[Any, Any], where: np.ndarray[Any, Any], scale: Literal["difference"] | None = None
    ) -> dict[str, Any]:
        chosen = known & where
        return cluster_bootstrap_mean(
            values[chosen].astype(float), groups[chosen], level=level, folds=FOLDS, seed=seed, scale=scale
        ).as_dict()

    everyone = np.ones(len(table), bool)
    ill, healthy = table.known & table.truth, table.known & ~table.truth
    moved = np.where(known, np.abs(changed - against), -1.0)
    return {
        "change": {"edit": test.edit, "control": test.control, "did": test.did, "control_did": test.control_did},
        "films": int(known.sum()),
        "spread_of_log_odds": table.spread,
        "shift": paired_shift(table, changed, original, level=level, seed=seed).as_dict(),
        "flips": mean((changed >= table.cut) != called, everyone),
        "flips_control": mean((against >= table.cut) != called, everyone),
        "sensitivity_change": mean((changed >= table.cut) * 1.0 - called, ill, "difference"),
        "sensitivity_change_control": mean((against >= table.cut) * 1.0 - called, ill, "difference"),
        "specificity_change": mean(called * 1.0 - (changed >= table.cut), healthy, "difference"),
        "specificity_change_control": mean(called * 1.0 - (against >= table.cut), healthy, "difference"),
        "most_moved": [table.image_ids[i] for i in np.argsort(-moved)[:4] if known[i]],
    }


MOST = 0.5
"""Share of films whose lungs must be known where a change is held beside the same in the lungs."""
_UNTOLD = "Whether it learnt that there or would move so anyway, the films do not tell."
_TAUGHT = "one class of the films trained on carries it more, and films of both classes move as that teaches"


def _made(test: Intervention, case: Case) -> list[Finding]:
    return [case.once(f"made.{test.edit}", partial(_judged, test, case))]


def _judged(test: Intervention, case: Case) -> Finding:
    found = intervention(case.table, test, level=case.corrected(FAMILY), seed=case.seed)
    if found.verdict == "fail":
        found = (moves_by_itself if test.wanted else held_to_be_met)(test, found, case)
    for judge in (_half, _both_ways, _shift, _swing):
        told = judge(test, case) if found.verdict in ("pass", "inconclusive") else None
        if told is not None and told.verdict == "fail":
            found = told
    asked = {t.name for t in case.tests}
    if found.verdict == "fail" and test.own in asked and not taught(test, case):
        own = _made(INTERVENTIONS[test.own], case)[0]
        return _but_not_its_own(test, found, own) if own.verdict == "pass" else found
    if found.verdict != "pass":
        return found
    others = [_made(INTERVENTIONS[name], case)[0] for name in test.beside if name in INTERVENTIONS and name in asked]
    return clears_what_is_there(test, found, case, others)


def _but_not_its_own(test: Intervention, found: Finding, own: Finding) -> Finding:
    """A failure by what is drawn, told apart from the same by what the films have (`Intervention.own`)."""
    e, did = own.estimate, INTERVENTIONS[test.own].did
    says = f"{test.did} moves the answer; {did} does not"
    figure = f" {did[0].upper()}{did[1:]} moves the log-odds by {_sd(e)} ({own.test})." if e is not None else ""
    plain, told = (f"{words[0].upper()}{words[1:]}" for words in (test.says("fail"), says))
    words = found.summary.replace(plain, told, 1) + figure
    return replace(found, summary=words, evidence={**found.evidence, "says": says})


def _half(test: Intervention, case: Case) -> Finding | None:
    """Half the usual effect, where one class of the films trained on carries the thing more; None: it is not there."""
    toward = taught(test, case)
    if not toward or not leans(test, case, toward):
        return None
    closer = replace(test, threshold=KNOWN * test.threshold, reason=f"half of {test.threshold:g} SD, since {_TAUGHT}")
    found = intervention(case.table, closer, level=case.corrected(FAMILY), seed=case.seed)
    if found.verdict != "fail":
        return None
    words = f"{found.summary} Half the usual effect counts: {_TAUGHT}."
    return held_to_be_met(test, replace(found, summary=words), case)


def _both_ways(test: Intervention, case: Case) -> Finding | None:
    """The same over all films: those that have the thing lose it, the others get it (`Intervention.back`), each against
    its control; films of both classes must move as the films trained on teach."""
    table = case.table
    if test.back is None or any(name not in table.scores for name in test.back) or not (toward := taught(test, case)):
        return None
    put, off = (table.scores[a] - table.scores[b] for a, b in ((test.edit, test.control), test.back))
    moved, threshold = toward * np.where(np.isfinite(put), put, -off), KNOWN * test.threshold
    level, seed = case.corrected(FAMILY), case.seed
    whole = paired_shift(table, moved, np.zeros_like(moved), level=level, seed=seed)
    sides = [np.nanmean(moved[table.known & (table.truth == c)]) for c in (False, True)]
    if beyond(whole, threshold) != "fail" or min(sides) <= 0:
        return None
    words = (
        f"The decision follows {test.subject}: {test.did} where there is none, and off where there is one, moves the "
        f"log-odds by {whole.value or 0:.2f} SD ({100 * level:.3g}% CI {whole.low or 0:.2f} to {whole.high or 0:.2f}) "
        f"more than their controls do. Half the usual effect counts: {_TAUGHT}."
    )
    found = replace(
        intervention(table, test, level=level, seed=seed), verdict="fail", summary=words, estimate=whole,
        threshold=threshold, advice=_advice(test), severity=(whole.value or 0.0) / threshold,
    )  # fmt: skip
    return held_to_be_met(test, found, case)


def _shift(test: Intervention, case: Case) -> Finding | None:
    """The same for the shift itself (`Intervention.shift`), on films of either class. Where films trained on show the
    thing unlike in number, and that is sure at the level that all interventions share, less counts
    (`Intervention.sure`)."""
    if test.shift is None:
        return None
    edit, did, threshold = test.shift
    alone = replace(
        test, edit=edit, did=did, control=ORIGINAL, control_did="leaving it", signed=True, draws=1, threshold=threshold,
        reason=f"{threshold:g} SD on films of either class, since {_TAUGHT}",
    )  # fmt: skip
    has = [replace(alone, carries=test.shown, adds=1)] if test.shown else []
    if test.sure and has and taught(has[0], case, case.corrected(FAMILY)):
        reason = f"{test.sure:g} SD on films of either class, since {_TAUGHT}, for certain among all interventions"
        has = [replace(has[0], threshold=test.sure, reason=reason)]
    for one in (*has, *([alone] if test.by_degree or not has else [])):
        toward = taught(one, case)
        found = _shifted(*_lent(one, case), toward) if toward else None
        if found is not None and found.verdict == "fail":
            return replace(found, test=test.edit)
    return None


LENDERS, LENT = 4, 400
"""Films trained on that lend an audited film what they show (the mean counts), and audited films that are lent it."""


def _lent(test: Intervention, case: Case) -> tuple[Intervention, Case]:
    """The test and the case with what films trained on lend to audited ones (`Intervention.lend`) in place of what is
    drawn; films that have it themselves have no figure. The same where nothing is lent."""
    donors = [v for v in met_films(case) if test.shown and test.shown(v)] if test.carries is test.shown else []
    if test.lend is None or not donors:
        return test, case
    lend, did = test.lend
    name, rng = f"{test.edit}.lent", np.random.default_rng([case.seed, 107])

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        return lend(view, donors[int(rng.integers(len(donors)))])

    case.once("edits", dict[str, Edit])[name] = edit
    ids = case.table.image_ids
    rows = np.sort(np.random.default_rng([case.seed, 109]).permutation(len(ids))[:LENT])
    drawn = [[donors[int(rng.integers(len(donors)))] for _ in rows] for _ in range(LENDERS)]
    told = np.full(len(ids), np.nan)
    for at in range(0, len(rows), 16):  # a few films at a time, as they are read anew
        some = rows[at : at + 16]
        views = [case.view(ids[int(i)]) for i in some]
        made = [(v, lend(v, d)) for row in drawn for v, d in zip(views, row[at : at + 16], strict=True)]
        told[some] = ask(case.classifier, made).reshape(LENDERS, -1).mean(0)
    table = replace(case.table, scores={**case.table.scores, name: told})
    return replace(test, edit=name, did=did), replace(case, table=table)


def _shifted(test: Intervention, case: Case, toward: int) -> Finding | None:
    """Whether films of either class move that way by more than the threshold; None: they do not."""
    table, level, seed = case.table, case.corrected(FAMILY), case.seed
    moved = toward * (table.scores[test.edit] - table.original)
    least = weaker_side(table, moved, level=level, seed=seed)
    if beyond(least, test.threshold) != "fail":
        return None
    words = (
        f"{test.did} moves the log-odds {'up' if toward > 0 else 'down'} by {_sd(least)} or more on films of either "
        f"class; {_TAUGHT}. {_UNTOLD}"
    )
    return _followed(test, case, least, words)


def _swing(test: Intervention, case: Case) -> Finding | None:
    """More and less of it on the whole film (`Intervention.swing`) moves films of both classes one way, and what the
    two classes of the films trained on show of it moves the answer that way: by half the threshold at least, and above
    0 for certain. Certain is the level that all interventions share, or the case's own where films of either class move
    by more than the threshold, and by more than `LUNGS_SHARE` of what the same in the lungs alone does. None: it is not
    so, or not known."""
    table, level, seed = case.table, case.corrected(FAMILY), case.seed
    if test.swing is None or not all(name in table.scores for name in (test.edit, *test.swing)):
        return None
    less, lungs, lungs_less = (table.scores[name] for name in test.swing)
    inside = (lungs - lungs_less) / 2
    if np.isfinite(inside).mean() <= MOST:
        return None
    moved = (table.scores[test.edit] - less) / 2
    toward = 1 if np.nanmean(moved) > 0 else -1
    least, beside = (
        weaker_side(table, toward * moved - part, level=level, seed=seed)
        for part in (0.0, LUNGS_SHARE * np.abs(inside))
    )
    apart = beyond(least, test.threshold) == beyond(beside, 0.0) == "fail"
    taught_by = exposures_taught(case, case.level if apart else level)
    if taught_by is None or min(taught_by[0].value or 0.0, taught_by[1]) < KNOWN * test.threshold:
        return None
    told, plain = taught_by
    sides = [toward * np.nanmean(moved[table.known & (table.truth == c)]) for c in (False, True)]
    if beyond(told, 0.0) != "fail" or min(sides) <= 0:
        return None
    name = case.classifier.class_names[case.classifier.positive]
    by = (
        f"{_sd(least)} or more on films of either class, and by more than {LUNGS_SHARE:.0%} of what the same in the "
        "lungs alone does"
        if apart
        else f"{sides[0]:.2f} SD on films of one class and {sides[1]:.2f} on the others"
    )
    words = (
        f"brightening and darkening the film moves the log-odds by {by}; at the exposures that {name} films had in "
        f"training they lie {_sd(told)} higher than at those of the others ({KNOWN * test.threshold:g} counts where "
        f"the interval lies above 0). {_UNTOLD} A disease that whitens what lies around the lungs, such as fluid, may "
        "have taught the same."
    )
    # The films trained on are asked about by `exposures_taught`, which knows more than the AUROC of their brightness.
    alone = replace(test, carries=None, control=ORIGINAL, control_did="leaving it", signed=True, draws=1)
    alone = alone if apart else replace(alone, threshold=KNOWN * test.threshold)
    found = _followed(alone, case, least if apart else told, words)
    evidence = {**found.evidence, "exposures_taught": told.as_dict(), "exposures_taught_without_fit": plain}
    return replace(found, evidence=evidence)


def _followed(test: Intervention, case: Case, least: Estimate, words: str) -> Finding:
    """A failure by that estimate, as far as the changed films may have been met."""
    found = replace(
        intervention(case.table, test, level=case.corrected(FAMILY), seed=case.seed), verdict="fail", estimate=least,
        summary=f"The decision follows {test.subject}: {words}", threshold=test.threshold, advice=_advice(test),
        severity=(least.value or 0.0) / test.threshold,
    )  # fmt: skip
    return held_to_be_met(test, found, case)


def _sd(e: Estimate) -> str:
    return f"{e.value or 0:.2f} SD ({100 * e.level:.3g}% CI {e.low or 0:.2f} to {e.high or 0:.2f})"


FAMILY = "interventions"
TESTS = tuple(
    Test(
        i.edit, i.question, "model", i.needs, partial(_made, i),
        edits={name: EDITS[name] for name in (i.edit, *(i.shift or ())[:1], *(i.swing or ()), *(i.back or ()))}
        | {name: EDITS[i.control] for name in i.controls if name != ORIGINAL},
        decides="intervention",
        kind=f"too little use of {i.subject}" if i.wanted else i.clears[1] or i.subject,
        says=i.says("fail"), family=FAMILY,
    )
    for i in INTERVENTIONS.values()
)  # fmt: skip
