"""Positive evidence: does the answer follow opacities inside the lungs? Five figures and the reasons score.

An audit that finds no shortcut proves nothing; this asks the other way round. Opacities are painted into healthy lungs,
drawn ones and such as other patients' films show, and taken out of ill ones; lungs and surroundings are exchanged
between films. See `chests` for the changes and `reasons_score` for the figures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.discovered import tried_channels
from radiolucent.audits.trial.reasons_effects import LEAST, asked
from radiolucent.audits.trial.reasons_score import DOSES, Effects
from radiolucent.audits.trial.verdicts import beyond
from radiolucent.types import Estimate, Finding, Verdict

__all__ = ["FAMILY", "TESTS"]

FAMILY = "reasons"
HALF = 0.5
_SOURCE = (
    "positive evidence by intervention (DeGrave 2021; relevant and irrelevant occlusion and same-label swaps, "
    "2606.17710); figures and threshold: ours"
)
_NEEDS = f"trusted lung masks (or --lungs) on labelled films of {LEAST} patients of either class"


@dataclass(frozen=True)
class _Figure:
    """One of the five: its question, what a pass says, the change and its control in words, and the words of a film."""

    question: str
    says: str
    did: str
    control_did: str
    words: Callable[[Mapping[str, Estimate]], str]


def _sd(e: Estimate) -> str:
    return f"{e.value or 0:+.2f} SD"


def _percent(e: Estimate) -> str:
    return "an unknown share" if e.value is None else f"{e.value:.0%}"


_FIGURES: Mapping[str, _Figure] = {
    "paint": _Figure(
        "Does an opacity painted into healthy lungs raise the answer, more than outside them?",
        "an opacity painted into healthy lungs raises the answer",
        "painting an opacity into the lungs", "painting the same outside the lungs",
        lambda m: f"the log-odds move by {', '.join(_sd(m[f'dose.{d:g}']) for d in DOSES)} at doses "
        f"{', '.join(f'{d:g}' for d in DOSES)}; outside the lungs full dose moves them by {_sd(m['painted_outside'])}",
    ),
    "remove": _Figure(
        "Does the answer fall when the opacities of ill lungs are filled in, more than outside them?",
        "filling in the opacities of ill lungs lowers the answer",
        "bringing what is whiter than usual in the lungs down to what healthy films show",
        "taking as much off outside the lungs",
        lambda m: f"the log-odds fall by {_sd(m['removed'])}; as much taken off outside the lungs moves them by "
        f"{_sd(m['removed_outside'])}",
    ),
    "sham": _Figure(
        "Does a sham edit of the same place and size in healthy lungs leave the answer as it is?",
        "a sham edit does little beside an opacity",
        "putting another healthy lung's fine texture there", "painting an opacity there",
        lambda m: f"the sham moves the log-odds by {_sd(m['sham'])}, an opacity there by {_sd(m['dose.1'])}",
    ),
    "lungs": _Figure(
        "Do the lungs of another patient keep the call where their class is the same, and turn it where it is not?",
        "the answer goes with the lungs",
        "putting in the lungs of a patient of the other class", "putting in those of another patient of its own class",
        lambda m: f"lungs of another patient keep {_percent(m['kept'])} of calls where the class is the same and turn "
        f"{_percent(m['turned'])} where it is not, by {_sd(m['lungs'])}",
    ),
    "outside": _Figure(
        "Does the call stay when all but the lungs is another patient's film?",
        "the answer does not go with what surrounds the lungs",
        "putting in another patient's surroundings", "leaving them",
        lambda m: f"other surroundings keep {_percent(m['kept_outside'])} of calls and move the log-odds by "
        f"{_sd(m['outside'])}",
    ),
}  # fmt: skip


def _means(case: Case, effects: Effects) -> dict[str, Estimate]:
    names = ("painted_outside", "sham", "removed", "removed_outside", "lungs", "outside", "kept", "turned",
             "kept_outside")  # fmt: skip
    found = {name: effects.mean(getattr(effects, name), case.level, case.seed) for name in names}
    doses = {f"dose.{d:g}": effects.mean(effects.painted[:, k], case.level, case.seed) for k, d in enumerate(DOSES)}
    return found | doses


def _verdict(e: Estimate) -> Verdict:
    """Pass: the whole interval above one half. Fail: below. Else inconclusive."""
    found = beyond(e, HALF)
    if found == "fail":
        return "pass"
    return "fail" if found == "pass" else found


def _one(name: str, case: Case) -> list[Finding]:
    test, told = f"reasons.{name}", _FIGURES.get(name)
    question = _SCORE if told is None else told.question
    found = case.once("reasons", partial(asked, case))
    if found is None:
        return [Finding(test, question, "not applicable", f"Needs {_NEEDS}.", source=_SOURCE, concerns="model")]
    effects, figures = found
    estimate = figures[name]
    if case.table.spread <= 1e-9:
        words = "The model gives every film the same answer: there are no reasons to look for."
        return [Finding(test, question, "not applicable", words, source=_SOURCE, concerns="model")]
    verdict = _verdict(estimate)
    means = case.once("reasons.means", partial(_means, case, effects))
    evidence: dict[str, Any] = {"films": len(effects.patients), "effects": {k: e.as_dict() for k, e in means.items()}}
    if told is None:
        evidence["figures"] = {k: e.as_dict() for k, e in figures.items() if k != "score"}
        parts = ", ".join(f"{k} {e.value or 0:.2f}" for k, e in figures.items() if k != "score")
        words = (
            f"The reasons score is {estimate}: {parts}; 1 is a network that decides by opacities in the lungs alone. "
            f"Artefacts inside the lungs are not covered{_inside(case)}."
        )
    else:
        evidence |= _pictured(test, told, effects)
        says = told.words(means)
        words = f"{says[0].upper()}{says[1:]}. That is {estimate} of what right reasons do."
    advice = "see the interventions for what decides instead; `radiolucent repair` trains without it"
    return [
        Finding(
            test, question, verdict, words, estimate, HALF, evidence, _SOURCE,
            advice if verdict == "fail" else "", "model",
        )
    ]  # fmt: skip


def _inside(case: Case) -> str:
    """What discovery says of fine structure in the lungs, where its figure lies above the threshold."""
    found = tried_channels(case).get("inside")
    if found is None or (found.estimate.value or 0.0) <= found.channel.threshold:
        return ""
    return f": fine structure there moves the log-odds by {_sd(found.estimate)} (discovered.inside)"


def _pictured(test: str, told: _Figure, effects: Effects) -> dict[str, Any]:
    """What the page shows: the films that moved most."""
    name = test.removeprefix("reasons.")
    moved = {"paint": effects.painted[:, -1], "sham": effects.sham, "remove": effects.removed,
             "outside": effects.outside}.get(name, effects.lungs)  # fmt: skip
    rows = [int(i) for i in np.argsort(-np.nan_to_num(moved, nan=-np.inf), kind="stable")[:3] if np.isfinite(moved[i])]
    change = {"edit": test, "control": f"{test}.control", "did": told.did, "control_did": told.control_did}
    return {"change": change, "most_moved": [effects.image_ids[i] for i in rows]}


_SCORE = "Is the model right for the right reasons: does it decide by opacities inside the lungs?"


def _test(name: str, question: str, says: str) -> Test:
    return Test(
        f"reasons.{name}", question, "model", _NEEDS, partial(_one, name), says=says, family=FAMILY,
        untried="Whether the answer follows opacities inside the lungs (the reasons score)." if name == "score" else "",
    )  # fmt: skip


TESTS = (
    _test("score", _SCORE, "the model decides by opacities inside the lungs"),
    *(_test(name, told.question, told.says) for name, told in _FIGURES.items()),
)
