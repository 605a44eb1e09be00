"""Shortcuts that nobody named: what films exchange, and what exchange moves the calls.

Films are dealt by patient into donors, scouts and judges. Each channel of `exchange` is tried: every donor's part is
put into every scout, and donors are ranked by how far that moves the scouts' log-odds. The donors that raised them
most, and those that raised them least, then give their parts to the judges, films of patients who had no say in the
choice. The figure is the mean over judges of (log-odds with the first donors' part − with the others'), in standard
deviations: both parts are as foreign to the film, so what remains is what the two kinds of donors differ in. A test
fails where the whole interval, corrected for the number of channels, lies above the channel's threshold and films of
both classes move the same way. Nothing is told to the search of what a shortcut looks like.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import Table, log_odds
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.distort import Edit, Grey
from radiolucent.audits.trial.exchange import CHANNELS, GRID, Channel, cell_channel
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.verdicts import beyond, film_mean, needed_words
from radiolucent.models import Classifier
from radiolucent.types import Estimate, Finding, Verdict

__all__ = ["TESTS", "Deal", "deal", "tried"]

DONORS, SCOUTS, JUDGES, EACH, LEAST = 24, 12, 40, 5, 30
FAMILY = "discovered"
_SOURCE = "exchange of parts between films (ours); control: the same exchange with other donors; threshold: ours"


@dataclass(frozen=True, eq=False)
class Deal:
    """Films of disjoint patients, half of either class where there are as many: donors, scouts, judges."""

    donors: tuple[View, ...]
    scouts: tuple[View, ...]
    judges: tuple[View, ...]


def deal(case: Case) -> Deal | None:
    """Deal the labelled films, one a patient; None for fewer than 30 patients or fewer than 10 of a class."""
    table = case.table
    rng = np.random.default_rng([case.seed, 97])
    seen: set[str] = set()
    by_class: dict[bool, list[str]] = {True: [], False: []}
    for i in rng.permutation(np.flatnonzero(table.known)):
        if table.patients[i] not in seen:
            seen.add(table.patients[i])
            by_class[bool(table.truth[i])].append(table.image_ids[i])
    if len(seen) < LEAST or min(len(v) for v in by_class.values()) < LEAST // 3:
        return None
    shares = np.array([DONORS, SCOUTS, JUDGES]) / (DONORS + SCOUTS + JUDGES)
    parts: list[list[View]] = [[], [], []]
    for names in by_class.values():
        usable = min(len(names), (DONORS + SCOUTS + JUDGES) // 2)
        first, second = round(shares[0] * usable), round((shares[0] + shares[1]) * usable)
        for part, some in zip(parts, (names[:first], names[first:second], names[second:usable]), strict=True):
            part += [case.view(name) for name in some]
    return Deal(*(tuple(p) for p in parts))


def _asked(classifier: Classifier, made: Sequence[tuple[View, Grey | None]]) -> NDArray[np.float64]:
    """Log-odds of changed films; not-a-number where nothing could be changed."""
    found = np.full(len(made), np.nan)
    rows = [k for k, (_, grey) in enumerate(made) if grey is not None]
    for start in range(0, len(rows), 64):
        some = rows[start : start + 64]
        pixels = [made[k][0].as_input(_bytes(made[k][1])) for k in some]
        inputs = classifier.preprocess.normalise(torch.from_numpy(np.stack(pixels)))
        found[some] = log_odds(classifier, classifier.logits(inputs))
    return found


def _bytes(grey: Grey | None) -> NDArray[np.uint8]:
    assert grey is not None
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)


def _effects(case: Case, channel: Channel, films: Sequence[View], donors: Sequence[View]) -> NDArray[np.float64]:
    """(films, donors) log-odds of each film with each donor's part."""
    made = [(film, channel.exchange(film, donor)) for film in films for donor in donors]
    return _asked(case.classifier, made).reshape(len(films), len(donors))


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Mean over what is a number; not-a-number where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis) / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, eq=False)
class _Tried:
    """One channel tried: what it says of the judges, and by whose parts."""

    channel: Channel
    estimate: Estimate
    by_class: tuple[float, float]
    put: tuple[View, ...]
    control: tuple[View, ...]
    flips: float
    carried: tuple[float, float]
    moved: tuple[str, ...]


def tried(case: Case, channel: Channel, dealt: Deal, level: float) -> _Tried | None:
    """Try one channel; None where films share no place to exchange."""
    scout = _effects(case, channel, dealt.scouts, dealt.donors)
    known = np.isfinite(scout).sum(0) >= max(1, len(dealt.scouts) // 2)
    if known.sum() < 2 * EACH:
        return None
    raised = np.where(known, _mean(scout, 0), np.nan)
    order = [int(j) for j in np.argsort(np.where(known, raised, np.inf), kind="stable")[: int(known.sum())]]
    low, high = order[:EACH], order[-EACH:]
    put, control = tuple(dealt.donors[j] for j in high), tuple(dealt.donors[j] for j in low)
    told = _effects(case, channel, dealt.judges, (*put, *control))
    spread = max(case.table.spread, 1e-9)
    with_it, without = _mean(told[:, :EACH], 1), _mean(told[:, EACH:], 1)
    difference = (with_it - without) / spread
    usable = np.isfinite(difference)
    if usable.sum() < LEAST // 3:
        return None
    patients, ill = np.array([v.patient_id for v in dealt.judges]), _ill(case, dealt.judges)
    estimate = film_mean(difference[usable], patients[usable], level=level, seed=case.seed)
    sides = tuple(float(difference[usable & (ill == c)].mean()) if (usable & (ill == c)).any() else 0.0 for c in (0, 1))
    cut = case.table.cut
    flips = float(((with_it >= cut) != (without >= cut))[usable].mean())
    middle = (raised[low].mean() + raised[high].mean()) / 2
    donors_ill = _ill(case, dealt.donors)
    carried = tuple(float((raised[known & (donors_ill == c)] > middle).mean()) for c in (0, 1))
    moved = tuple(dealt.judges[i].image_id for i in np.argsort(-np.nan_to_num(difference))[:4])
    return _Tried(channel, estimate, (sides[0], sides[1]), put, control, flips, (carried[0], carried[1]), moved)


def _ill(case: Case, views: Sequence[View]) -> NDArray[np.int64]:
    return np.array([int(v.label == case.classifier.positive) for v in views])


def _localised(case: Case, dealt: Deal, found: _Tried, level: float) -> _Tried:
    """Where a thing outside the lungs lies: the cell of 5 × 5 whose exchange alone moves the judges most, if one does.

    Cells are ranked on the scouts with the donors already chosen, and the best is tried on the judges like any channel.
    """
    cells = [cell_channel(r, c) for r in range(GRID) for c in range(GRID)]
    moves = np.zeros(len(cells))
    for k, cell in enumerate(cells):
        told = _effects(case, cell, dealt.scouts, (*found.put[-3:], *found.control[:3]))
        moves[k] = float(np.nan_to_num(_mean(told[:, :3], 1) - _mean(told[:, 3:], 1)).mean())
    best = cells[int(moves.argmax())]
    there = tried(case, best, dealt, level)
    if there is None or (there.estimate.value or 0) < 0.5 * (found.estimate.value or 0):
        return found
    return there


def _tests(case: Case) -> list[_Tried]:
    """Every channel tried on one deal; made once."""
    dealt = deal(case)
    if dealt is None:
        return []
    level = case.corrected(FAMILY)
    found: list[_Tried] = []
    for done, channel in enumerate(CHANNELS.values(), 1):
        one = tried(case, channel, dealt, level)
        if one is not None and channel.name == "surroundings" and _verdict(case, one) == "fail":
            one = _localised(case, dealt, one, level)
        if one is not None:
            found.append(one)
            edits: dict[str, Edit] = case.once("edits", dict[str, Edit])
            edits[_name(channel)] = _edit(one.channel, one.put)
            edits[f"{_name(channel)}.control"] = _edit(one.channel, one.control)
        if case.progress:
            case.progress("looking for shortcuts without a name", done, len(CHANNELS))
    return found


def _edit(channel: Channel, donors: Sequence[View]) -> Edit:
    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        return channel.exchange(view, donors[int(rng.integers(len(donors)))])

    return edit


def _name(channel: Channel) -> str:
    return f"discovered.{channel.name}"


def _verdict(case: Case, found: _Tried) -> Verdict:
    verdict = beyond(found.estimate, found.channel.threshold)
    if verdict == "fail" and min(found.by_class) < found.channel.threshold / 2:
        return "inconclusive"
    return "inconclusive" if verdict == "fail" and not _lungs_known(case.table) else verdict


def _lungs_known(table: Table) -> bool:
    return table.masked_films("lungs") * 2 > len(table)


def _finding(name: str, case: Case) -> list[Finding]:
    channel = CHANNELS[name]
    test, question = _name(channel), _question(channel)
    found = next((t for t in case.once("discovered", partial(_tests, case)) if _of(t, name)), None)
    if found is None:
        words = f"Needs {LEAST} labelled patients, {LEAST // 3} of either class, and a place that films share."
        return [Finding(test, question, "not applicable", words, source=_SOURCE, concerns="model")]
    verdict = _verdict(case, found)
    return [
        Finding(
            test, question, verdict, _words(case, found, verdict), found.estimate, channel.threshold,
            _evidence(found, channel), _SOURCE,
            "look at the pictures; take what they show off the films or put it on films of both classes, train again"
            if verdict == "fail" else "",
            "model", severity=(found.estimate.value or 0) / channel.threshold if verdict == "fail" else 0.0,
        )
    ]  # fmt: skip


def _of(found: _Tried, name: str) -> bool:
    return found.channel.name == name or (name == "surroundings" and found.channel.name.startswith("place."))


def _words(case: Case, found: _Tried, verdict: Verdict) -> str:
    names, e = case.classifier.class_names, found.estimate
    others = next(n for k, n in enumerate(names) if k != case.classifier.positive)
    kind = "It lies in one place" if found.channel.localised else "It is diffuse, all over the film"
    words = (
        f"What some films have of {found.channel.what.removeprefix('something ')} moves the log-odds by "
        f"{e.value or 0:+.2f} SD"
        + (f" ({e.low:+.2f} to {e.high:+.2f})" if e.low is not None and e.high is not None else "")
        + f" against what others have there, and turns {found.flips:.0%} of calls; about {found.carried[1]:.0%} of "
        f"{names[case.classifier.positive]} films have it and {found.carried[0]:.0%} of {others}. {kind}."
    )
    if verdict == "inconclusive" and beyond(e, found.channel.threshold) == "fail":
        reason = (
            "films of one class alone move"
            if min(found.by_class) < found.channel.threshold / 2
            else ("without lung masks it cannot be told from a finding in the lungs")
        )
        return f"{words} No verdict: {reason}."
    return words + (needed_words(e, found.channel.threshold) if verdict == "inconclusive" else "")


def _evidence(found: _Tried, channel: Channel) -> Mapping[str, Any]:
    return {
        "says": f"the decision follows {found.channel.what}",
        "change": {
            "edit": _name(channel), "control": f"{_name(channel)}.control",
            "did": f"putting in what some films have of {channel.what.removeprefix('something ')}",
            "control_did": "putting in what other films have there",
        },
        "place": found.channel.name,
        "localised": found.channel.localised,
        "negative_films": found.by_class[0],
        "positive_films": found.by_class[1],
        "flips": {"value": found.flips},
        "carried": {"negative": found.carried[0], "positive": found.carried[1]},
        "donors": [v.image_id for v in found.put],
        "control_donors": [v.image_id for v in found.control],
        "most_moved": list(found.moved),
    }  # fmt: skip


def _question(channel: Channel) -> str:
    return f"Does the answer follow {channel.what}, whatever it is?"


TESTS = tuple(
    Test(
        _name(c), _question(c), "model", f"{LEAST} labelled patients, lung masks", partial(_finding, c.name),
        decides="intervention", kind=f"unnamed: {c.what.removeprefix('something ')}",
        says=f"the decision follows {c.what}", family=FAMILY,
        untried=f"What no name was given to, of {c.what.removeprefix('something ')}.",
    )
    for c in CHANNELS.values()
)  # fmt: skip
