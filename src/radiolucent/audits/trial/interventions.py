"""Paired interventions: change one thing on every film, and hold the answer against the same change elsewhere.

The figure is the mean over films of |Δ change| − |Δ control|, where Δ is the change of the calibrated log-odds of the
positive class, in units of their standard deviation over the untouched films. Absolute, so that a marker that speaks
for one class on some films and against it on others is not averaged away; less the control's, so that a network that
flinches at any change is not taken for one that reads markers. A test fails where the whole interval (bootstrap over
patients) lies above the threshold: not where a difference is merely significant.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from radiolucent.audits.trial.answers import ORIGINAL, Table
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.familiar import carried, familiar
from radiolucent.audits.trial.regions import Mask, View, dilated
from radiolucent.audits.trial.verdicts import FOLDS, beyond, needed_words, paired_shift, two_sided
from radiolucent.metrics import cluster_bootstrap_mean
from radiolucent.types import Estimate, Finding, Verdict

__all__ = ["INTERVENTIONS", "TESTS", "Intervention", "intervention", "interventions"]

SMALL = 0.2
"""Cohen's "small" effect (1988, §2.2): 0.2 standard deviations. Below it a change hardly matters among what else moves
the log-odds from film to film."""

CHANCE = 0.5
OPPOSITE = 0.1
"""Standard deviations that films of one class must move one way, and of the other the other way, to be opposite."""

MEDIUM = 0.5
"""Cohen's "medium" effect, for changes of so much of the picture that any network notices."""

LARGE = 0.8
"""Cohen's "large" effect, for a crop: it also changes the scale, and no control box enlarges just the lungs. At
0.5 six of 96 clean networks of a first self-test failed, and three development networks; the shipped one came after."""


@dataclass(frozen=True)
class Intervention:
    """One test.

    Attributes:
        edit, control: names in `edits.EDITS`; the control "original" is the untouched film.
        subject: what the decision would follow. question, did, control_did: in words.
        threshold: in spreads, and why it is that. signed: the figure is Δ change − Δ control instead, and fails on
            either side: for two changes of which neither is the neutral one.
        needs: the mask without which it is not applicable, in words; "" for none.
        carries: how much of it a film has, told from the film alone; None where nothing can be told.
        whole: it changes all of the film outside the lungs or in them, so that no patch elsewhere is as foreign: where
            the films trained on are not known it fails only if the audited films carry it on one class more.
        wanted: the answer *should* change: the test fails where the whole interval lies below the threshold.
    """

    edit: str
    control: str
    subject: str
    question: str
    did: str
    control_did: str
    threshold: float = SMALL
    reason: str = "Cohen 1988: 0.2 SD is a small effect"
    needs: str = ""
    signed: bool = False
    wanted: bool = False
    whole: bool = False
    carries: Callable[[View], float | None] | None = None

    def says(self, verdict: Verdict) -> str:
        """The verdict in words, without a full stop."""
        if self.wanted:
            return {
                "fail": f"the decision hardly rests on {self.subject}",
                "pass": f"the decision rests on {self.subject}",
            }.get(verdict, f"whether the decision rests on {self.subject} is open")
        return {
            "fail": f"the decision follows {self.subject}",
            "pass": f"the decision does not follow {self.subject}",
        }.get(verdict, f"whether the decision follows {self.subject} is open")


def _has_marker(view: View) -> float | None:
    return None if view.markers is None else float(view.markers.any())


def _brightness(place: Callable[[View], Mask]) -> Callable[[View], float | None]:
    """Mean grey level there."""
    return lambda view: float(view.grey[place(view)].mean()) if place(view).any() else None


def _outside(view: View) -> Mask:
    return view.film if view.lungs is None else view.film & ~dilated(view.lungs)


def _sharpness(view: View) -> float | None:
    """Mean |Laplacian| outside the lungs."""
    from scipy import ndimage

    there = _outside(view)
    return float(np.abs(ndimage.laplace(view.grey.astype(np.float64)))[there].mean()) if there.any() else None


_MEDIUM = "Cohen 1988: 0.5 SD is a medium effect; a change of the whole picture moves any network a little"
_LARGE = "Cohen 1988: 0.8 SD is a large effect; a crop also changes the scale of what is left"
_MARKED = "films with known markers (--markers, or a detector that finds some)"
_UNMARKED = "films without a marker"
_LUNGS = "lung masks (--lungs)"

INTERVENTIONS: Mapping[str, Intervention] = {
    i.edit: i
    for i in (
        Intervention(
            "marker.remove", "marker.remove.control", "the side marker",
            "Does the answer change when markers and text are taken off the film?",
            "taking markers off", "in-painting as many pixels elsewhere", needs=_MARKED, carries=_has_marker,
        ),
        Intervention(
            "marker.paste", "marker.paste.control", "the side marker",
            "Does the answer change when a side marker is put on the film?",
            "putting an R on", "in-painting as many pixels at the same place", needs=_UNMARKED, carries=_has_marker,
        ),
        Intervention(
            "marker.move", "marker.move.control", "the side marker",
            "Does the answer change when the marker moves to the other side of the film?",
            "moving the marker", "in-painting as many pixels at both places", needs=_MARKED, carries=_has_marker,
        ),
        Intervention(
            "marker.swap", "marker.swap.control", "the side marker",
            "Does the answer depend on which letter the marker shows?",
            "an L", "an R at the same place", signed=True, carries=_has_marker,
        ),
        Intervention(
            "border.black", "border.fill.control", "the film's border",
            "Does the answer change when the border is blackened, as by collimation?",
            "blackening the border", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.border),
        ),
        Intervention(
            "border.fill", "border.fill.control", "the film's border",
            "Does the answer change when what is inside continues over the border?",
            "filling the border", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.border),
        ),
        Intervention(
            "corners.fill", "corners.fill.control", "the film's corners",
            "Does the answer change when the four corners are in-painted?",
            "in-painting the corners", "in-painting as large an area elsewhere outside the lungs", MEDIUM, _MEDIUM,
            carries=_brightness(lambda view: view.corners),
        ),
        Intervention(
            "exposure.bright", "exposure.bright.control", "the film's exposure",
            "Does the answer follow the exposure?",
            "brightening the film", "as much brightening and darkening in patches", whole=True,
            carries=_brightness(_outside),
        ),
        Intervention(
            "size.outside", ORIGINAL, "the film's sharpness, as small files lack it",
            "Does the answer change when all but the lungs comes from a file of half the size?",
            "halving the resolution of all but the lungs", "leaving it", MEDIUM, _MEDIUM, _LUNGS, signed=True,
            whole=True, carries=_sharpness,
        ),
        Intervention(
            "lungs.crop", "lungs.crop.control", "what lies outside the lungs' box",
            "Does the answer change when the film is cropped to the lungs?",
            "cropping to the lungs", "cropping as large a box at a random place", LARGE, _LARGE, _LUNGS,
        ),
        Intervention(
            "lungs.blank", "lungs.blank.control", "the lungs",
            "Does the answer change when the lungs are blanked?",
            "blanking the lungs", "in-painting as large an area elsewhere", needs=_LUNGS, wanted=True,
        ),
    )
}  # fmt: skip


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
    changed, against = table.scores[test.edit], table.scores[test.control]
    known = np.isfinite(changed - against)
    if not known.any():
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
        f"crop or in-paint {test.subject}, or put it on films of both classes at random, train again, and audit again"
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
    far, near = np.abs(changed - original), np.abs(against - original)
    known = np.where(np.isfinite(far), near, np.nan)
    shift = paired_shift(table, far, near, level=level, seed=seed)
    return shift, paired_shift(table, known, np.zeros_like(near), level=level, seed=seed)


def _words(
    test: Intervention, estimate: Estimate, control: Estimate, verdict: Verdict, evidence: Mapping[str, Any]
) -> str:
    says = test.says(verdict)
    flips, others = evidence["flips"]["value"], evidence["flips_control"]["value"]
    value, low, high = estimate.value or 0.0, estimate.low, estimate.high
    interval = (
        f" ({100 * estimate.level:.3g}% CI {low:+.2f} to {high:+.2f})" if low is not None and high is not None else ""
    )
    more = " more" if test.signed else " further"
    words = (
        f"{says[0].upper()}{says[1:]}: {test.did} moves the log-odds by {value:+.2f} SD{interval}{more} than "
        f"{test.control_did} does "
        f"({control.value or 0.0:.2f}); {flips:.0%} of calls flip, {others:.0%} under the control."
    )
    return words + (needed_words(estimate, test.threshold, signed=test.signed) if verdict == "inconclusive" else "")


def _evidence(table: Table, test: Intervention, level: float, seed: int) -> dict[str, Any]:
    changed, against, original = table.scores[test.edit], table.scores[test.control], table.original
    known = np.isfinite(changed - against)
    groups = np.array(table.patients)
    called = original >= table.cut

    def mean(
        values: np.ndarray[Any, Any], where: np.ndarray[Any, Any], scale: Literal["plain"] | None = None
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
        "sensitivity_change": mean((changed >= table.cut) * 1.0 - called, ill, "plain"),
        "sensitivity_change_control": mean((against >= table.cut) * 1.0 - called, ill, "plain"),
        "specificity_change": mean(called * 1.0 - (changed >= table.cut), healthy, "plain"),
        "specificity_change_control": mean(called * 1.0 - (against >= table.cut), healthy, "plain"),
        "most_moved": [table.image_ids[i] for i in np.argsort(-moved)[:4] if known[i]],
    }


def _made(test: Intervention, case: Case) -> list[Finding]:
    found = intervention(case.table, test, level=case.corrected(FAMILY), seed=case.seed)
    return [found if found.verdict != "fail" or test.wanted else _held_to_be_met(test, found, case)]


def _held_to_be_met(test: Intervention, found: Finding, case: Case) -> Finding:
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
    if test.carries is not None and (told := carried(case, test.carries, audited=test.whole)) is not None:
        known, trained = told
        evidence["carried_by_training_films" if trained else "carried_by_audited_films"] = known.as_dict()
        if known.low is not None and known.high is not None and known.low <= CHANCE <= known.high:
            where = "on the films it was trained on" if trained else (
                "the films it was trained on are not known, and on the audited ones"
            )  # fmt: skip
            reasons.append(f"{where} {test.subject} does not tell the classes apart (AUROC {known})")
    if not reasons:
        return replace(found, evidence=evidence)
    words = f"{found.summary} No verdict: {'; '.join(reasons)}."
    return replace(found, verdict="inconclusive", summary=words, evidence=evidence, advice="", severity=0.0)


def _sides(table: Table, test: Intervention) -> tuple[float, float]:
    """Mean of change less control, in spreads, over films of the negative and of the positive class."""
    difference = (table.scores[test.edit] - table.scores[test.control]) / max(table.spread, 1e-9)
    known = np.isfinite(difference) & table.known
    rows = [difference[known & (table.truth == c)] for c in (False, True)]
    first, second = (float(r.mean()) if len(r) else 0.0 for r in rows)
    return first, second


FAMILY = "interventions"
TESTS = tuple(
    Test(
        i.edit, i.question, "model", i.needs, partial(_made, i),
        edits={name: EDITS[name] for name in (i.edit, i.control) if name != ORIGINAL},
        decides="intervention", kind=i.subject, says=i.says("fail"), family=FAMILY,
    )
    for i in INTERVENTIONS.values()
)  # fmt: skip
