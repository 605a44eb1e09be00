"""Shortcuts that nobody named: what the films of one class bring along, put into films of both.

Films of different patients are dealt into donors and judges, half of either class. Each channel of `exchange` is tried:
every donor's part is put into every judge, and the network is asked. A donor's effect is the mean of the judges'
log-odds with its part. The figure is the mean effect of donors of the positive class less that of the others, in
standard deviations: all parts come from films at hand and are as foreign to the judges, so the donors of the other
class are the control, and what remains is what the two classes bring along. The interval (Welch's t over donors,
corrected for the number of channels) is meant for other donors. A test fails where it lies above the threshold and
judges of both classes move the same way. Nothing is told to the search of what a shortcut looks like.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import ask
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.distort import Edit, Grey
from radiolucent.audits.trial.exchange import CHANNELS, GRID, WIDER, Channel, cell_channel
from radiolucent.audits.trial.lung_structure import no_findings
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.verdicts import beyond, needed_words
from radiolucent.metrics.intervals import exact_low
from radiolucent.types import Estimate, Finding, Verdict

__all__ = [
    "FAMILY",
    "LEAST",
    "TESTS",
    "Deal",
    "Tried",
    "corrected",
    "deal",
    "edits_for",
    "finding_of",
    "tried",
    "tried_channels",
]

DONORS, JUDGES, SHOWN, LEAST = 40, 12, 5, 10
MORE = 160
"""Donors of the second look."""
PLACED = ("surroundings", "lines", "fine")
"""Channels of which a failure is sought in cells of the film."""
IN_LUNGS = ("inside", "fine")
"""Channels of fine structure in the lungs, of which findings are made too: see `lung_structure`."""
FAMILY = "discovered"
ENOUGH = 0.5
"""Share of the threshold that what no finding explains must reach, beside `Channel.part` of the figure itself (ours).
"""
_SOURCE = "exchange of parts between films (ours); control: the same parts of films of the other class; threshold: ours"


@dataclass(frozen=True, eq=False)
class Deal:
    """Films of disjoint patients: donors and judges, half of either class.

    Attributes:
        marked: of each donor, whether it is of those whose parts should raise the answer; the positive class unless
            given.
    """

    donors: tuple[View, ...]
    judges: tuple[View, ...]
    marked: NDArray[np.bool_] | None = None


def deal(case: Case, most: int = DONORS) -> Deal | None:
    """Deal the labelled films, one a patient, into at most so many donors; None where either class has fewer than ten
    patients."""
    table = case.table
    rng = np.random.default_rng([case.seed, 97])
    seen: set[str] = set()
    by_class: dict[bool, list[str]] = {True: [], False: []}
    for i in rng.permutation(np.flatnonzero(table.known)):
        if table.patients[i] not in seen:
            seen.add(table.patients[i])
            by_class[bool(table.truth[i])].append(table.image_ids[i])
    count = min(len(names) for names in by_class.values())
    if count < LEAST:
        return None
    donors = min(most // 2, round(count * most / (most + JUDGES)))
    stop = min(count, donors + JUDGES // 2)
    parts = [
        [case.view(n) for names in by_class.values() for n in names[a:b]] for a, b in ((0, donors), (donors, stop))
    ]
    return Deal(tuple(parts[0]), tuple(parts[1]))


def _effects(case: Case, channel: Channel, judges: Sequence[View], donors: Sequence[View]) -> NDArray[np.float64]:
    """(judges, donors): the log-odds of each judge with each donor's part, in standard deviations."""
    spread = max(case.table.spread, 1e-9)
    rows = [ask(case.classifier, [(j, channel.exchange(j, d)) for d in donors]) for j in judges]
    if channel.less is not None:
        other, share = channel.less
        less = [ask(case.classifier, [(j, other(j, d)) for d in donors]) for j in judges]
        rows = [r - share * x for r, x in zip(rows, less, strict=True)]
    return np.stack(rows) / spread


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Mean over what is a number; not-a-number where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis) / np.maximum(count, 1), np.nan)


def _ill(case: Case, views: Sequence[View]) -> NDArray[np.bool_]:
    return np.array([v.label == case.classifier.positive for v in views])


def contrast(effects: NDArray[np.float64], ill: NDArray[np.bool_], level: float) -> Estimate:
    """Mean effect (D,) of donors of the positive class less that of the others, with Welch's t interval over donors."""
    from scipy import stats

    one, other = effects[ill], effects[~ill]
    value = float(one.mean() - other.mean())
    parts = [float(x.var(ddof=1)) / len(x) for x in (one, other)]
    error = float(np.sqrt(sum(parts)))
    if error < 1e-9:  # all donors do the same to the last bit: see `film_mean`
        share, n = 1 - exact_low(len(effects), level), len(effects)
        note = f"all donors do the same: as if up to {share:.1%} of them differed by 1"
        return Estimate(value, value - share, value + share, level, n, "exact", note)
    freedom = sum(parts) ** 2 / max(sum(p**2 / (len(x) - 1) for p, x in zip(parts, (one, other), strict=True)), 1e-30)
    half = float(stats.t.ppf(0.5 + level / 2, max(freedom, 1.0))) * error
    return Estimate(value, value - half, value + half, level, len(effects), "Welch's t over donors")


@dataclass(frozen=True, eq=False)
class Tried:
    """One channel tried.

    Attributes:
        estimate: see the module. by_class: the same on judges of the negative and of the positive class alone.
        put, control: the donors whose parts raised the log-odds most, of the positive class, and least, of the other.
        flips: share of judges whose call these parts turn. judges: how many. carried: share of donors of the negative
            and the positive class whose effect is nearer the first than the second. place: the cell where it lies, if
            in one.
        proof: of a failure in the lungs, what findings in one place cannot explain (`lung_structure`). doubt: why it is
            no failure all the same.
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
    place: Channel | None = None
    proof: tuple["Tried", ...] | None = None
    doubt: str = ""


def tried(case: Case, channel: Channel, dealt: Deal, level: float) -> Tried | None:
    """Try one channel; None where too few films share a place to exchange."""
    raw = _effects(case, channel, dealt.judges, dealt.donors)
    usable = np.isfinite(raw).sum(0) * 2 >= len(dealt.judges)
    # Every judge's own level is taken out first, so that judges that lack a donor's part leave no trace of it.
    told = raw - _mean(raw, 1)[:, None]
    marked = _ill(case, dealt.donors) if dealt.marked is None else dealt.marked
    effects, ill = _mean(told[:, usable], 0), marked[usable]
    if min(ill.sum(), (~ill).sum()) < LEAST // 2:
        return None
    donors = [d for d, ok in zip(dealt.donors, usable, strict=True) if ok]
    order = np.argsort(effects, kind="stable")
    high, low = [int(j) for j in order[::-1] if ill[j]][:SHOWN], [int(j) for j in order if not ill[j]][:SHOWN]
    sides = [_mean(told[_ill(case, dealt.judges) == c][:, usable], 0) for c in (False, True)]
    gaps = [float(s[ill].mean() - s[~ill].mean()) for s in sides]
    middle = (effects[high].mean() + effects[low].mean()) / 2
    with_it, without = (_mean(raw[:, usable][:, some], 1) for some in (high, low))
    cut = case.table.cut / max(case.table.spread, 1e-9)
    flips = float(((with_it >= cut) != (without >= cut)).mean())
    moved = tuple(dealt.judges[int(i)].image_id for i in np.argsort(-np.nan_to_num(with_it - without))[:4])
    return Tried(
        channel, contrast(effects, ill, level), (gaps[0], gaps[1]), tuple(donors[j] for j in high),
        tuple(donors[j] for j in low), flips, len(dealt.judges),
        (float((effects[~ill] > middle).mean()), float((effects[ill] > middle).mean())), moved,
    )  # fmt: skip


def _placed(case: Case, dealt: Deal, found: Tried) -> Channel | None:
    """The cell of 5 × 5 whose exchange alone moves the judges most, if it moves them by half as much as all of it."""
    donors, count, judges = (*found.put[:3], *found.control[:3]), len(found.put[:3]), dealt.judges[::2]
    best: tuple[float, Channel] | None = None
    whole = _gap(_effects(case, found.channel, judges, donors), count)
    for cell in (cell_channel(r, c) for r in range(GRID) for c in range(GRID)):
        gap = _gap(_effects(case, cell, judges, donors), count)
        if best is None or gap > best[0]:
            best = gap, cell
    return best[1] if best is not None and best[0] >= 0.5 * whole else None


def _gap(told: NDArray[np.float64], count: int) -> float:
    return float(np.nan_to_num(_mean(told[:, :count], 1) - _mean(told[:, count:], 1)).mean())


ON_OUTLINE = (
    "it lies on the lungs' outline, where findings lie too (a lost outline is one), and not for certain outside"
)


def corrected(case: Case) -> float:
    """The level of each channel's first look, so that all first looks together keep the case's (Bonferroni).

    Second looks, at half the error rate, come on top: at most half as much again. Proofs only decide whether what
    failed is a verdict.
    """
    return 1 - (1 - case.level) / (sum(t.family == FAMILY for t in case.tests) + len(WIDER))


def _tried(case: Case) -> Mapping[str, Tried]:
    """Every channel tried on one deal, by name; made once."""
    dealt = case.once("discovered.deal", partial(deal, case))
    found: dict[str, Tried] = {}
    if dealt is None:
        return found
    edits: dict[str, Edit] = case.once("edits", dict[str, Edit])
    channels = [c for c in CHANNELS.values() if any(t.name == _name(c) for t in case.tests)]
    level = corrected(case)
    for done, channel in enumerate(channels, 1):
        one, wider = _settled(case, channel, dealt, level), WIDER.get(channel.name)
        if one is not None and wider is not None and beyond(one.estimate, channel.threshold) != "fail":
            more = tried(case, wider, case.once("discovered.more", partial(deal, case, MORE)) or dealt, level)
            if more is not None and beyond(more.estimate, wider.threshold) == "fail":
                one = more if (one.estimate.low or 0.0) > 0 else replace(more, doubt=ON_OUTLINE)
        if one is not None:
            failed = beyond(one.estimate, channel.threshold) == "fail"
            if failed and channel.name in PLACED:
                one = replace(one, place=_placed(case, dealt, one))
            if failed and channel.name in IN_LUNGS:
                known = case.once("discovered.more", partial(deal, case, MORE)) or dealt
                others = [d for d in known.donors if d.label != case.classifier.positive]
                proof = [_settled(case, c, dealt, level) for c in no_findings(channel.name, others)]
                one = replace(one, proof=tuple(p for p in proof if p is not None))
            found[channel.name] = one
            edits |= edits_for(one.channel, one)
        if case.progress:
            case.progress("looking for shortcuts without a name", done, len(channels))
    return found


def _settled(case: Case, channel: Channel, dealt: Deal, level: float) -> Tried | None:
    """The channel tried; again with up to four times as many donors, at half the error rate, where a figure above the
    threshold stays open."""
    one = tried(case, channel, dealt, level)
    if one is None or (one.estimate.value or 0.0) <= channel.threshold:
        return one
    if beyond(one.estimate, channel.threshold) != "inconclusive":
        return one
    more = case.once("discovered.more", partial(deal, case, MORE))
    if more is None or len(more.donors) <= len(dealt.donors):
        return one
    return tried(case, channel, more, (1 + level) / 2) or one


def edits_for(channel: Channel, found: Tried) -> dict[str, Edit]:
    """The exchange and its control by name, for pictures."""
    name = _name(channel)
    return {name: _edit(channel, found.put), f"{name}.control": _edit(channel, found.control)}


def _edit(channel: Channel, donors: Sequence[View]) -> Edit:
    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        return channel.exchange(view, donors[int(rng.integers(len(donors)))])

    return edit


def _name(channel: Channel) -> str:
    return f"discovered.{channel.name}"


def _open(case: Case, found: Tried) -> str:
    """Why a figure above the threshold is no verdict; "" where it is one."""
    if found.doubt:
        return found.doubt
    if min(found.by_class) < found.channel.threshold / 2:
        return "films of one class alone move"
    if case.table.masked_films("lungs") * 2 <= len(case.table):
        return "without lung masks it cannot be told from a finding in the lungs"
    if found.proof is not None and not any(_proves(found, p) for p in found.proof):
        told = "; ".join(_short(p) for p in found.proof)
        return f"it cannot be told from findings in the lungs, which a network should follow ({told})"
    return ""


def _proves(found: Tried, proof: Tried) -> bool:
    """Whether what findings in one place cannot explain moves films of both classes, and not by a trifle; a difference
    is none."""
    part = max(ENOUGH * found.channel.threshold, proof.channel.part * (found.estimate.value or 0.0))
    least = part if proof.channel.less is None else 0.0
    enough = (proof.estimate.value or 0.0) >= least
    return enough and (proof.estimate.low or 0.0) > 0 and min(proof.by_class) > 0


def _short(found: Tried) -> str:
    e = found.estimate
    ends = f" ({e.low:+.2f} to {e.high:+.2f})" if e.low is not None and e.high is not None else ""
    return f"{found.channel.what} moves them by {e.value or 0:+.2f} SD{ends}"


def _finding(name: str, case: Case) -> list[Finding]:
    return finding_of(case, CHANNELS[name], tried_channels(case).get(name))


def tried_channels(case: Case) -> Mapping[str, Tried]:
    """What every channel showed, by name; tried when first asked for."""
    return case.once("discovered", partial(_tried, case))


def finding_of(case: Case, channel: Channel, found: Tried | None, why_not: str = "") -> list[Finding]:
    """The finding on one channel; None: it could not be tried on these films. why_not: what a failure would lack."""
    test, question = _name(channel), _question(channel)
    if found is None:
        words = f"Needs labelled films of {LEAST} patients of either class, and a place that films share."
        return [Finding(test, question, "not applicable", words, source=_SOURCE, concerns="model")]
    verdict = beyond(found.estimate, channel.threshold)
    why_not = (why_not or _open(case, found)) if verdict == "fail" else ""
    verdict = "inconclusive" if why_not else verdict
    return [
        Finding(
            test, question, verdict, _words(case, found, verdict, why_not), found.estimate, channel.threshold,
            _evidence(found, why_not), _SOURCE,
            "look at the pictures; take what they show off the films or put it on both classes, and train again"
            if verdict == "fail" else "",
            "model", severity=(found.estimate.value or 0) / channel.threshold if verdict == "fail" else 0.0,
        )
    ]  # fmt: skip


def _what(found: Tried) -> str:
    return (found.place or found.channel).what


def _localised(found: Tried) -> bool:
    """Whether one cell of the film does most of it; of what has no cells, whether the channel has a place."""
    return found.place is not None if found.channel.name in PLACED else found.channel.localised


def _where(found: Tried) -> str:
    """Localised or diffuse, and how far that was looked into."""
    if _localised(found):
        inside = found.channel.name in IN_LUNGS and found.place is None
        return f"It is localised{': it lies in the lungs; where in them was not looked for' if inside else ''}."
    if found.channel.name in PLACED:
        return "It is diffuse, or its place varies: no part outside the lungs carries half of it."
    return "It is diffuse: a change of the whole film."


def _words(case: Case, found: Tried, verdict: Verdict, why_not: str) -> str:
    names, e = case.classifier.class_names, found.estimate
    others = ", ".join(n for k, n in enumerate(names) if k != case.classifier.positive)
    positive, others = found.channel.sides or (names[case.classifier.positive], others)
    ends = f" ({e.low:+.2f} to {e.high:+.2f})" if e.low is not None and e.high is not None else ""
    told = [] if found.proof is None else [_short(p) for p in found.proof if _proves(found, p)]
    words = (
        f"{_what(found)[0].upper()}{_what(found)[1:]}, put in from {positive} films, moves the log-odds by "
        f"{e.value or 0:+.2f} SD{ends} against the same from {others} films."
    )
    if verdict == "fail" or why_not:
        words += (
            f" About {found.carried[1]:.0%} of {positive} films have it and {found.carried[0]:.0%} of {others} "
            f"({e.n} films); it turns {found.flips:.0%} of calls ({found.judges} films). {_where(found)}"
        )
    if verdict == "fail" and told:
        words += f" Findings in one place do not explain it: {'; '.join(told)}. A disease evenly in both lungs might."
    if why_not:
        return f"{words} No verdict: {why_not}."
    at_hand = len(set(case.table.patients))
    return words + (needed_words(e, found.channel.threshold, at_hand=at_hand) if verdict == "inconclusive" else "")


def _evidence(found: Tried, why_not: str) -> Mapping[str, Any]:
    name = _name(found.channel)
    return {
        **({"no_verdict": [why_not]} if why_not else {}),
        "says": f"the decision follows {_what(found)}",
        "change": {
            "edit": name, "control": f"{name}.control", "did": f"putting in {found.channel.what} of other films",
            "control_did": "the same of films of the other class",
        },
        "place": None if found.place is None else found.place.name,
        "localised": _localised(found),
        "negative_films": found.by_class[0],
        "positive_films": found.by_class[1],
        "flips": {"value": found.flips, "n": found.judges},
        "carried": {"negative": found.carried[0], "positive": found.carried[1]},
        "no_finding": {
            p.channel.name: {**p.estimate.as_dict(), "by_class": list(p.by_class), "enough": _proves(found, p)}
            for p in found.proof or ()
        },
        "donors": [v.image_id for v in found.put],
        "control_donors": [v.image_id for v in found.control],
        "most_moved": list(found.moved),
    }  # fmt: skip


def _question(channel: Channel) -> str:
    return f"Does the answer follow {channel.what}, whatever it is?"


TESTS = tuple(
    Test(
        _name(c), _question(c), "model", f"labelled films of {LEAST} patients of either class, lung masks",
        partial(_finding, c.name), decides="intervention", kind=f"unnamed: {c.what.removeprefix('something ')}",
        says=f"the decision follows {c.what}", family=FAMILY,
        untried=f"Shortcuts without a name in {c.what.removeprefix('something ')}.",
    )
    for c in CHANNELS.values()
)  # fmt: skip
