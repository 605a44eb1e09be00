"""What a channel of discovery showed, and the finding on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.exchange import CHANNELS, GRID, OUTSIDE, Channel
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.verdicts import beyond, needed_words
from radiolucent.types import Estimate, Finding, Verdict

__all__ = [
    "IN_LUNGS",
    "LEAST",
    "PLACED",
    "UNIT",
    "Tried",
    "enough",
    "finding_of",
    "least_of",
    "name_of",
    "proven",
    "question_of",
]

LEAST = 10
"""Patients of either class that are needed."""
UNIT = "donors, of one film each"
"""What the n of these findings counts."""
PLACED = ("surroundings", "lines", "fine")
"""Channels of which a failure is sought in cells of the film."""
IN_LUNGS = ("inside", "fine")
"""Channels of fine structure in the lungs, of which findings are made too: see `lung_structure`."""
ENOUGH = 0.5
"""Share of the threshold that what findings do not explain must reach, beside `Channel.part` of the figure
itself (ours)."""
_SOURCE = "exchange of parts between films (ours); control: the same parts of films of the other class; threshold: ours"


@dataclass(frozen=True, eq=False)
class Tried:
    """One channel tried.

    Attributes:
        estimate: see the module. by_class: the same on judges of the negative and of the positive class alone.
        put, control: the donors whose parts raised the log-odds most, of the positive class, and least, of the other.
        flips: share of judges whose call these parts turn. judges: how many. dealt: donors of the negative and the
            positive class. carried: share of these whose effect is nearer the first than the second. place: the cell
            where it lies, if in one.
        proof: of a failure in the lungs, what findings cannot explain, and how evenly it lies (`lung_structure`).
            doubt: why it is no failure all the same.
        effects: (D,), of every donor; not-a-number where it shares too little. marked: (D,), see `Deal`. about: (D, K),
            what tone and texture alone do (`discovered.ALIKE`). plain: the figure as it is, where `estimate` is that at
            the same of these.
    """

    channel: Channel
    estimate: Estimate
    by_class: tuple[float, float]
    put: tuple[View, ...]
    control: tuple[View, ...]
    flips: float
    judges: int
    carried: tuple[float, float]
    moved: tuple[str, ...]
    dealt: tuple[int, int]
    place: Channel | None = None
    proof: tuple["Tried", ...] | None = None
    doubt: str = ""
    effects: NDArray[np.float64] | None = None
    marked: NDArray[np.bool_] | None = None
    about: Callable[[], NDArray[np.float64]] | None = None
    plain: Estimate | None = None


def name_of(channel: Channel) -> str:
    """The finding's name."""
    return f"discovered.{channel.name}"


def least_of(channel: Channel) -> float:
    """The lowest threshold that a channel can be held to: in the lungs that of outside, where no finding explains it.

    The higher one is for what findings do.
    """
    return OUTSIDE if channel.name in IN_LUNGS else channel.threshold


def _limit(found: Tried) -> float:
    return least_of(found.channel) if proven(found) else found.channel.threshold


def proven(found: Tried) -> bool:
    """Whether no finding in the lungs explains it."""
    return any(_proves(found, p) for p in found.proof or ())


def _open(case: Case, found: Tried) -> str:
    """Why a figure above the threshold is no verdict; "" where it is one."""
    if found.doubt:
        return found.doubt
    if min(found.by_class) < found.channel.threshold / 2:
        return "films of one class alone move"
    if case.table.masked_films("lungs") * 2 <= len(case.table):
        return "without lung masks it cannot be told from a finding in the lungs"
    if found.proof is not None and not proven(found):
        told = "; ".join(_short(p) for p in found.proof)
        even = ", and it lies evenly: look for an artefact or a disease all over" if _even(found) else ""
        return f"it cannot be told from findings in the lungs, which a network should follow{even} ({told})"
    return ""


def _proves(found: Tried, proof: Tried) -> bool:
    """Whether what no finding explains moves films of both classes, and not by a trifle. That it lies evenly, which is
    a difference (`Channel.less`), proves nothing: there are diseases that do."""
    return proof.channel.less is None and enough(found, proof) and _surely(proof)


def enough(found: Tried, proof: Tried) -> bool:
    """Whether the proof's figure is no trifle, beside the threshold that holds then and what it is to explain."""
    part = max(ENOUGH * least_of(found.channel), proof.channel.part * (found.estimate.value or 0.0))
    return (proof.estimate.value or 0.0) >= part


def _surely(proof: Tried) -> bool:
    return (proof.estimate.low or 0.0) > 0 and min(proof.by_class) > 0


def _even(found: Tried) -> bool:
    """Whether the darker half of the lungs does nearly as much as the whiter half for certain."""
    return any(p.channel.less is not None and _surely(p) for p in found.proof or ())


def _short(found: Tried) -> str:
    e = found.estimate
    ends = f" ({e.low:+.2f} to {e.high:+.2f})" if e.low is not None and e.high is not None else ""
    return f"{found.channel.what} moves the log-odds by {e.value or 0:+.2f} SD{ends}"


def finding_of(case: Case, channel: Channel, found: Tried | None, why_not: str = "") -> list[Finding]:
    """The finding on one channel; None: it could not be tried on these films. why_not: what a failure would lack."""
    test, question = name_of(channel), question_of(channel)
    if found is None:
        words = f"Needs labelled films of {LEAST} patients of either class, and a place that films share."
        return [Finding(test, question, "not applicable", words, source=_SOURCE, concerns="model")]
    limit = _limit(found)
    verdict = beyond(found.estimate, limit)
    why_not = (why_not or _open(case, found)) if verdict == "fail" else ""
    verdict = "inconclusive" if why_not else verdict
    return [
        Finding(
            test, question, verdict, _words(case, found, verdict, why_not), found.estimate, limit,
            _evidence(found, why_not), _SOURCE,
            "look at the pictures; take what they show off the films or put it on both classes, and train again"
            if verdict == "fail" else "",
            "model", severity=(found.estimate.value or 0) / limit if verdict == "fail" else 0.0,
        )
    ]  # fmt: skip


def _what(found: Tried) -> str:
    return (found.place or found.channel).what


def _localised(found: Tried) -> bool | None:
    """Whether one cell of the film does most of it, or the channel has a place; None where it was not looked for."""
    if found.channel.name in PLACED:
        return found.place is not None
    return True if found.channel.localised else None


def _where(found: Tried) -> str:
    """Localised or not, and how far that was looked into; "" where the channel's name says all."""
    if found.place is not None:
        return f" It is localised: {found.place.what} carries half of it or more."
    if found.channel.spot:
        how = "localised" if found.channel.localised else "spread out"
        return f" It is {how}, most of all {found.channel.spot}."
    if _localised(found):
        inside = found.channel.name in IN_LUNGS
        return " It lies in the lungs; where in them was not looked for." if inside else ""
    if found.channel.name in PLACED:
        lungs = " (in them its place was not looked for)" if found.channel.name in IN_LUNGS else ""
        return f" None of {GRID} by {GRID} parts outside the lungs{lungs} carries half of it alone; its place may vary."
    return " The exchange changes the whole film, so where it lies was not looked for."


def _words(case: Case, found: Tried, verdict: Verdict, why_not: str) -> str:
    names, e = case.classifier.class_names, found.estimate
    others = ", ".join(n for k, n in enumerate(names) if k != case.classifier.positive)
    positive, others = found.channel.sides or (names[case.classifier.positive], others)
    ends = f" ({e.low:+.2f} to {e.high:+.2f})" if e.low is not None and e.high is not None else ""
    told = [] if found.proof is None else [_short(p) for p in found.proof if _proves(found, p)]
    words = (
        f"{_what(found)[0].upper()}{_what(found)[1:]}, put in from {positive} films, moves the log-odds by "
        f"{e.value or 0:+.2f} SD{ends} against the same from {others} films{_alike(found)}."
    )
    no, yes = found.dealt
    if verdict == "fail" or why_not:
        without, with_it = found.carried
        words += (
            f" About {yes * with_it:.0f} of {yes} {positive} films are like this, and {no * without:.0f} of {no} "
            f"{others}; it turns {found.flips * found.judges:.0f} of {found.judges} calls.{_where(found)}"
        )
    else:
        words += f" {yes} and {no} such films were put into {found.judges} others."
    if verdict == "fail" and told:
        words += f" Findings do not explain it: {'; '.join(told)}."
    if why_not:
        return f"{words} No verdict: {why_not}."
    return words + (_needed(found, len(set(case.table.patients))) if verdict == "inconclusive" else "")


def _needed(found: Tried, at_hand: int) -> str:
    """How many donors would settle it, and why not all patients at hand were donors."""
    e, limit, here = found.estimate, _limit(found), f"{found.estimate.n} here, of {at_hand} patients"
    if 2 * e.n < at_hand:
        again = found.channel.name in CHANNELS and (e.value or 0.0) <= limit
        here += "; more are tried only where the figure lies above the threshold" if again else "; no more are tried"
    return needed_words(e, limit, at_hand=at_hand, who="donors", here=here)


def _alike(found: Tried) -> str:
    """What the figure was before films of like tone and texture were compared; "" where it is that."""
    e = found.plain
    if e is None:
        return ""
    ends = f", {e.low:+.2f} to {e.high:+.2f}" if e.low is not None and e.high is not None else ""
    return f", where what tone and texture alone do is the same (else {e.value or 0:+.2f}{ends})"


def _evidence(found: Tried, why_not: str) -> Mapping[str, Any]:
    name, spot = name_of(found.channel), found.channel.spot
    return {
        **({"no_verdict": [why_not]} if why_not else {}),
        "says": f"the decision follows {_what(found)}{f', most of all {spot}' if spot else ''}",
        "change": {
            "edit": name, "control": f"{name}.control", "did": f"putting in {found.channel.what} from other films",
            "control_did": "the same from films of the other class",
        },
        "place": None if found.place is None else found.place.name,
        "localised": _localised(found),
        "negative_films": found.by_class[0],
        "positive_films": found.by_class[1],
        **({} if found.plain is None else {"plain": found.plain.as_dict()}),
        "flips": {"value": found.flips, "n": found.judges},
        "carried": {"negative": found.carried[0], "positive": found.carried[1]},
        "dealt": {"negative": found.dealt[0], "positive": found.dealt[1], "judges": found.judges},
        "no_finding": {
            p.channel.name: {**p.estimate.as_dict(), "by_class": list(p.by_class), "enough": _proves(found, p)}
            for p in found.proof or ()
        },
        "donors": [v.image_id for v in found.put],
        "control_donors": [v.image_id for v in found.control],
        "most_moved": list(found.moved),
    }  # fmt: skip


def question_of(channel: Channel) -> str:
    """What the finding answers."""
    return f"Does the answer follow {channel.what}, whatever it is?"
