"""Films changed in their lungs and outside them, and what the network says of each: see `reasons`."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import ask
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.chests import (
    Chest,
    chest,
    drawn_opacity,
    excess,
    healthy_lungs,
    moved_outside,
    opacity_of,
    sham,
    with_lungs_of,
)
from radiolucent.audits.trial.distort import Edit, Grey
from radiolucent.audits.trial.reasons_score import DOSES, Effects, figures_of
from radiolucent.audits.trial.regions import View
from radiolucent.types import Estimate

__all__ = ["LEAST", "Dealt", "asked", "deal"]

FILMS, LEAST, DONORS, USUAL = 40, 10, 2, 5
"""Films of either class at most and at least; donors of either class for a film; healthy films that show the usual."""


@dataclass(frozen=True, eq=False)
class Dealt:
    """Films of different patients, by class: [healthy, ill]."""

    films: tuple[tuple[Chest, ...], tuple[Chest, ...]]

    @property
    def every(self) -> list[tuple[Chest, bool, int]]:
        """(film, whether ill, its number in its class)."""
        return [(one, bool(c), k) for c in (0, 1) for k, one in enumerate(self.films[c])]

    def others(self, ill: bool, own: int | None, at: int, count: int) -> list[Chest]:
        """`count` films of a class from `at` on, round and round, without film `own`."""
        films = self.films[ill]
        order = [films[(at + k) % len(films)] for k in range(1, len(films) + 1) if (at + k) % len(films) != own]
        return order[:count]


def deal(case: Case) -> Dealt | None:
    """One film a patient with known lungs, at most forty of either class, drawn at random."""
    table = case.table
    found: tuple[list[Chest], list[Chest]] = ([], [])
    patients: set[str] = set()
    for i in np.random.default_rng([case.seed, 103]).permutation(np.flatnonzero(table.known)):
        films = found[bool(table.truth[i])]
        if len(films) >= FILMS or table.patients[i] in patients:
            continue
        one = chest(case.view(table.image_ids[i]))
        if one is not None:
            patients.add(table.patients[i])
            films.append(one)
        if min(len(f) for f in found) >= FILMS:
            break
    if min(len(f) for f in found) < LEAST:
        return None
    return Dealt((tuple(found[0]), tuple(found[1])))


def _rng(case: Case, one: Chest) -> np.random.Generator:
    return np.random.default_rng([case.seed, 107, zlib.crc32(one.view.image_id.encode())])


def _added(grey: Grey, more: Grey | None, dose: float) -> Grey | None:
    return None if more is None else np.clip(grey + np.float32(dose) * more, 0, 1).astype(np.float32)


def _opacities(case: Case, dealt: Dealt, one: Chest, k: int) -> list[Grey]:
    """A drawn opacity, and one that an ill film of another patient shows: what each adds to the film."""
    real = opacity_of(one, dealt.others(True, None, k, 1)[0])
    return [o for o in (drawn_opacity(one, _rng(case, one)), real) if float(o.max()) > 0]


def _painted(case: Case, dealt: Dealt, one: Chest, k: int) -> list[NDArray[np.float64]]:
    """Log-odds (doses + 2,) a kind of opacity: at every dose, outside the lungs, and under the sham edit."""
    donor = dealt.others(False, k, k, 1)[0]
    rows: list[NDArray[np.float64]] = []
    for more in _opacities(case, dealt, one, k):
        outside = moved_outside(one, more, _rng(case, one))
        made = [*(_added(one.grey, more, d) for d in DOSES), _added(one.grey, outside, 1.0), sham(one, more, donor)]
        rows.append(ask(case.classifier, [(one.view, grey) for grey in made]))
    return rows


def _removed(case: Case, dealt: Dealt, one: Chest, k: int) -> NDArray[np.float64]:
    """Log-odds (2,): without the opacities, and with as much taken off outside the lungs."""
    less = excess(one, healthy_lungs(one, dealt.others(False, None, k, USUAL)))
    outside = moved_outside(one, less, _rng(case, one))
    made = [_added(one.grey, less if float(less.max()) > 0 else None, -1.0), _added(one.grey, outside, -1.0)]
    return ask(case.classifier, [(one.view, grey) for grey in made])


def _swapped(case: Case, dealt: Dealt, one: Chest, ill: bool, k: int) -> tuple[NDArray[np.float64], ...]:
    """Log-odds (donors,): with lungs of its own class and of the other, with surroundings of its own and of the other.

    A film with other surroundings is the donor's film with this one's lungs.
    """
    found: list[NDArray[np.float64]] = []
    for label in (ill, not ill):
        donors = dealt.others(label, k if label == ill else None, k, DONORS)
        found.append(ask(case.classifier, [(one.view, with_lungs_of(one, d)) for d in donors]))
        found.append(ask(case.classifier, [(d.view, with_lungs_of(d, one)) for d in donors]))
    return found[0], found[2], found[1], found[3]


def _effects(case: Case, dealt: Dealt) -> Effects:
    spread, cut = max(case.table.spread, 1e-9), case.table.cut
    rows: list[dict[str, Any]] = []
    nothing = np.full(len(DOSES) + 2, np.nan)
    every = dealt.every
    for done, (one, ill, k) in enumerate(every, 1):
        before = float(ask(case.classifier, [(one.view, one.grey)])[0])
        painted = [nothing] if ill else [(r - before) / spread for r in _painted(case, dealt, one, k)] or [nothing]
        removed = (_removed(case, dealt, one, k) - before) / spread if ill else nothing[:2]
        own, other, near, far = _swapped(case, dealt, one, ill, k)
        towards, call = (-1.0 if ill else 1.0), before >= cut
        outside = np.concatenate([near, far])
        change = (outside - before) / spread
        rows.append({
            "painted": np.mean([p[: len(DOSES)] for p in painted], axis=0),
            "painted_outside": float(np.mean([abs(p[-2]) for p in painted])),
            "sham": float(np.mean([abs(p[-1]) for p in painted])),
            "removed": -removed[0], "removed_outside": abs(removed[1]),
            "lungs": towards * (other.mean() - own.mean()) / spread,
            "outside": float(np.abs(change).mean()), "outside_square": float((change**2).mean()),
            "kept": float(((own >= cut) == call).mean()), "turned": float(((other >= cut) != call).mean()),
            "kept_outside": float(((outside >= cut) == call).mean()),
        })  # fmt: skip
        if case.progress:
            case.progress("looking for right reasons", done, len(every))
    image_ids, patients = (tuple(getattr(one.view, n) for one, _, _ in every) for n in ("image_id", "patient_id"))
    return Effects(image_ids, patients, **{name: np.array([r[name] for r in rows], np.float64) for name in rows[0]})


def asked(case: Case) -> tuple[Effects, Mapping[str, Estimate]] | None:
    """The effects and the figures; None where too few films have lungs. The changes are kept for pictures."""
    dealt = deal(case)
    if dealt is None:
        return None
    effects = _effects(case, dealt)
    case.once("edits", dict[str, Edit]).update(_edits(case, dealt))
    return effects, figures_of(effects, level=case.level, seed=case.seed)


def _edits(case: Case, dealt: Dealt) -> dict[str, Edit]:
    """The changes by name, for pictures: of a film that was dealt, the very ones that were asked about."""
    places = {one.view.image_id: (one, k) for one, _, k in dealt.every}

    def edit(make: Callable[[Chest, int], Grey | None]) -> Edit:
        def made(view: View, rng: np.random.Generator) -> Grey | None:
            known = places.get(view.image_id)
            return None if known is None else make(*known)

        return made

    def last(one: Chest, k: int) -> Grey:
        return _opacities(case, dealt, one, k)[-1]

    def usual(one: Chest, k: int) -> Grey:
        return excess(one, healthy_lungs(one, dealt.others(False, None, k, USUAL)))

    def ill(one: Chest) -> bool:
        return any(one is other for other in dealt.films[1])

    def swapped(one: Chest, k: int, other: bool) -> Grey | None:
        label = ill(one) ^ other
        return with_lungs_of(one, dealt.others(label, None if other else k, k, 1)[0])

    def control(one: Chest, more: Grey, dose: float) -> Grey | None:
        return _added(one.grey, moved_outside(one, more, _rng(case, one)), dose)

    return {
        "reasons.paint": edit(lambda one, k: _added(one.grey, last(one, k), 1.0)),
        "reasons.paint.control": edit(lambda one, k: control(one, last(one, k), 1.0)),
        "reasons.remove": edit(lambda one, k: _added(one.grey, usual(one, k), -1.0)),
        "reasons.remove.control": edit(lambda one, k: control(one, usual(one, k), -1.0)),
        "reasons.sham": edit(lambda one, k: sham(one, last(one, k), dealt.others(False, k, k, 1)[0])),
        "reasons.sham.control": edit(lambda one, k: _added(one.grey, last(one, k), 1.0)),
        "reasons.lungs": edit(lambda one, k: swapped(one, k, True)),
        "reasons.lungs.control": edit(lambda one, k: swapped(one, k, False)),
        "reasons.outside": edit(lambda one, k: with_lungs_of(dealt.others(not ill(one), None, k, 1)[0], one)),
    }
