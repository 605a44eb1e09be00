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
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import ask
from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.channel_findings import (
    IN_LUNGS,
    LEAST,
    PLACED,
    UNIT,
    Tried,
    enough,
    finding_of,
    least_of,
    name_of,
    proven,
    question_of,
)
from radiolucent.audits.trial.covariance import contrast_at_same
from radiolucent.audits.trial.distort import Edit, Grey
from radiolucent.audits.trial.exchange import CHANNELS, GRID, WIDER, Channel, cell_channel
from radiolucent.audits.trial.lung_structure import no_findings
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.verdicts import beyond
from radiolucent.metrics.intervals import exact_low
from radiolucent.types import Estimate, Finding

__all__ = [
    "FAMILY", "TESTS", "Deal", "adjusted", "corrected", "deal", "edits_for", "promising", "tried", "tried_channels",
]  # fmt: skip

DONORS, JUDGES, SHOWN = 40, 12, 5
MORE = 160
"""Donors of the second look."""
ALIKE = ("tone", "texture")
"""What a donor's film does by these alone differs from film to film without telling of the class: a second figure is
that of donors between whom they do the same."""
FAMILY = "discovered"


@dataclass(frozen=True, eq=False)
class Deal:
    """Films of disjoint patients: donors and judges, half of either class.

    Attributes:
        marked: of each donor, whether it is of those whose parts should raise the answer; the positive class unless
            given.
        effects: of all donors, of the channels of `ALIKE`, by name.
    """

    donors: tuple[View, ...]
    judges: tuple[View, ...]
    marked: NDArray[np.bool_] | None = None
    effects: dict[str, NDArray[np.float64]] = field(default_factory=dict[str, NDArray[np.float64]])


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


def _of_deal(case: Case, channel: Channel, dealt: Deal) -> NDArray[np.float64]:
    """The effects of all donors on all judges; those of `ALIKE` are kept."""
    told = _effects(case, channel, dealt.judges, dealt.donors)
    if channel.name in ALIKE:
        dealt.effects[channel.name] = told
    return told


def _by_donor(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D,); each judge's own level is taken out first, so that judges that lack a donor's part leave no trace."""
    return _mean(raw - _mean(raw, 1)[:, None], 0)


def _about(case: Case, channel: Channel, dealt: Deal) -> NDArray[np.float64]:
    """(D, K): what each donor does by tone and texture alone."""
    others = [CHANNELS[name] for name in ALIKE if name != channel.name]
    for one in others:
        if one.name not in dealt.effects:  # every other judge tells enough
            dealt.effects[one.name] = _effects(case, one, dealt.judges[::2], dealt.donors)
    return np.column_stack([_by_donor(dealt.effects[one.name]) for one in others])


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
    return Estimate(value, value - half, value + half, level, len(effects), "Welch's t over donors; judges as given")


def tried(case: Case, channel: Channel, dealt: Deal, level: float) -> Tried | None:
    """Try one channel; None where too few films share a place to exchange."""
    raw = _of_deal(case, channel, dealt)
    usable = np.isfinite(raw).sum(0) * 2 >= len(dealt.judges)
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
        (int((~ill).sum()), int(ill.sum())),
        effects=np.where(usable, _by_donor(raw), np.nan),
        marked=marked,
        about=partial(_about, case, channel, dealt),
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
    channels = [c for c in CHANNELS.values() if any(t.name == name_of(c) for t in case.tests)]
    level = corrected(case)
    for done, channel in enumerate(channels, 1):
        one = _settled(case, channel, dealt, level)
        if one is not None:
            one = _explained(case, _wider(case, one, dealt, level), dealt, level)
            if _fails(one) and channel.name in PLACED and (one.proof is None or proven(one)):
                one = replace(one, place=_placed(case, dealt, one))
            found[channel.name] = one
            edits |= edits_for(one.channel, one)
        if case.progress:
            case.progress("looking for shortcuts without a name", done, len(channels))
    return found


def _fails(found: Tried) -> bool:
    return beyond(found.estimate, least_of(found.channel)) == "fail"


def _wider(case: Case, one: Tried, dealt: Deal, level: float) -> Tried:
    """What a channel that does not fail shows in its wider form, where it has one and that fails."""
    wider = WIDER.get(one.channel.name)
    if wider is None or _fails(one):
        return one
    if wider.name != "surroundings":
        more = _settled(case, wider, dealt, level)
        return one if more is None or not _fails(more) else more
    dealt = case.once("discovered.more", partial(deal, case, MORE)) or dealt
    more = tried(case, wider, dealt, level)
    if more is None or not _fails(more := adjusted(more, (1 + level) / 2)):
        return one
    return more if (one.estimate.low or 0.0) > 0 else replace(more, doubt=ON_OUTLINE)


def _explained(case: Case, one: Tried, dealt: Deal, level: float) -> Tried:
    """With what tells a failure in the lungs from findings there."""
    if one.channel.name not in IN_LUNGS or not _fails(one):
        return one
    certain = beyond(one.estimate, one.channel.threshold) == "fail"
    for channel in _no_findings(case, one.channel.name, dealt):
        if channel.less and (proven(one) or not certain):
            continue  # that it lies evenly proves nothing: it says where to look, where a failure is no verdict
        shown = _shown(case, channel, dealt, level)
        if shown is not None and (certain or enough(one, shown)) and promising(shown):
            shown = _again(case, shown, dealt, level)
        one = replace(one, proof=(*(one.proof or ()), *(() if shown is None else (shown,))))
    return one


def _no_findings(case: Case, name: str, dealt: Deal) -> tuple[Channel, ...]:
    def made() -> tuple[Channel, ...]:
        known = case.once("discovered.more", partial(deal, case, MORE)) or dealt
        return no_findings(name, [d for d in known.donors if d.label != case.classifier.positive])

    return case.once(f"discovered.{name}.no_findings", made)


def _shown(case: Case, channel: Channel, dealt: Deal, level: float) -> Tried | None:
    """One of `no_findings`, tried once; but for `over` it is the same beside "inside" and "fine"."""
    what = channel.name if channel.name.endswith(".over") else channel.name.rpartition(".")[2]
    found = case.once(f"discovered.{what}.shown", partial(tried, case, channel, dealt, level))
    return None if found is None else replace(found, channel=channel)


def _settled(case: Case, channel: Channel, dealt: Deal, level: float) -> Tried | None:
    """The channel tried, and again where that is worth it."""
    one = tried(case, channel, dealt, level)
    if one is None or not (promising(one) or _may_be_proven(case, one, dealt, level)):
        return one
    return _again(case, one, dealt, level)


def _may_be_proven(case: Case, one: Tried, dealt: Deal, level: float) -> bool:
    """Whether a figure in the lungs that is open above the threshold of outside, though not above that of what findings
    do, has a proof that is no trifle: by these donors alone."""
    least = least_of(one.channel)
    if (one.estimate.value or 0.0) <= least or beyond(one.estimate, least) != "inconclusive":
        return False
    kinds = _no_findings(case, one.channel.name, dealt)
    proofs = (_shown(case, c, dealt, level) for c in kinds if c.less is None)
    return any(p is not None and enough(one, p) for p in proofs)


def _again(case: Case, one: Tried, dealt: Deal, level: float) -> Tried:
    """With up to four times as many donors, then at the same tone and texture, each at half the error rate."""
    half = (1 + level) / 2
    more = case.once("discovered.more", partial(deal, case, MORE))
    if more is not None and len(more.donors) > len(dealt.donors):
        one = tried(case, one.channel, more, half) or one
    return adjusted(one, half)


def promising(found: Tried) -> bool:
    """Whether a figure above the threshold is open: as it is, or at the same tone and texture."""
    if beyond(found.estimate, found.channel.threshold) != "inconclusive":
        return False
    if (found.estimate.value or 0.0) > found.channel.threshold:
        return True
    same = _at_same(found, found.estimate.level)
    return same is not None and (same.value or 0.0) > found.channel.threshold


def adjusted(found: Tried, level: float) -> Tried:
    """Where a figure above the threshold is open, and fails at the same tone and texture of the donors: that one."""
    if _fails(found) or (found.estimate.value or 0.0) <= least_of(found.channel):
        return found
    same = _at_same(found, level)
    if same is None or beyond(same, least_of(found.channel)) != "fail":
        return found
    return replace(found, estimate=same, plain=found.estimate)


def _at_same(found: Tried, level: float) -> Estimate | None:
    """The figure of donors between whom tone and texture alone do the same."""
    if found.effects is None or found.marked is None or found.about is None:
        return None
    about = found.about()
    known = np.isfinite(found.effects) & np.isfinite(about).all(1)
    return contrast_at_same(found.effects[known], found.marked[known], about[known], level, "judges")


def edits_for(channel: Channel, found: Tried) -> dict[str, Edit]:
    """The exchange and its control by name, for pictures."""
    name = name_of(channel)
    return {name: _edit(channel, found.put), f"{name}.control": _edit(channel, found.control)}


def _edit(channel: Channel, donors: Sequence[View]) -> Edit:
    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        return channel.exchange(view, donors[int(rng.integers(len(donors)))])

    return edit


def _finding(name: str, case: Case) -> list[Finding]:
    return finding_of(case, CHANNELS[name], tried_channels(case).get(name))


def tried_channels(case: Case) -> Mapping[str, Tried]:
    """What every channel showed, by name; tried when first asked for."""
    return case.once("discovered", partial(_tried, case))


TESTS = tuple(
    Test(
        name_of(c), question_of(c), "model", f"labelled films of {LEAST} patients of either class, lung masks",
        partial(_finding, c.name), decides="intervention", kind=f"unnamed: {c.what}",
        says=f"the decision follows {c.what}", family=FAMILY, unit=UNIT,
        untried=f"Shortcuts without a name in {c.what.removeprefix('something ')}.",
    )
    for c in CHANNELS.values()
)  # fmt: skip
