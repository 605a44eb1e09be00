"""Training films drawn anew, so that what lies outside the lungs and what discovery found tell nothing of the class."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.chests import Chest, chest, with_lungs_of
from radiolucent.audits.trial.distort import Grey, grey_of
from radiolucent.audits.trial.exchange import Exchange, free, pasted
from radiolucent.audits.trial.regions import Mask, View
from radiolucent.images.fill import fill

__all__ = ["Counterfactual"]

Pixels = NDArray[np.uint8]
OTHER, SAME = 0.5, 0.25
"""Share of films that get surroundings, or channels, of a film of the other class, and of their own class: half are of
either, so that they tell nothing. The rest keep theirs."""
DRESSED = 0.4
"""Share of films that get a frame, and of those that get patches, beside the lungs."""
LAID = 0.5
"""Of films with other surroundings, the share whose lungs take the donor's outline; the rest keep theirs and a rim."""
KEPT = 2**26
"""Pixels of films whose lungs are kept ready in memory."""


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """A film's surroundings are another's of either class, and frames and patches come and go, anew every epoch.

    Attributes:
        films: uint8 (N, S, S), donors as well. lungs, markers: bool (N, S, S); `known` (N,): whether lungs are.
        labels: (N,). split: (N,), what a film may exchange with: films of one number, no others; below 0 none.
        surroundings: whether they are exchanged. channels: exchanges of what discovery found.
    """

    films: Pixels
    lungs: NDArray[np.bool_]
    markers: NDArray[np.bool_]
    known: NDArray[np.bool_]
    labels: NDArray[np.int64]
    split: NDArray[np.int64]
    surroundings: bool = False
    channels: Mapping[str, Exchange] = field(default_factory=dict[str, Exchange])
    chests: dict[int, Chest | None] = field(default_factory=dict[int, Chest | None], repr=False)

    def apply(self, films: Pixels, positions: NDArray[np.intp], seed: Sequence[int]) -> Pixels:
        """Films uint8 (B, S, S) redrawn; what a film gets depends on (seed, its position) alone."""
        out = films.copy()
        for k, position in enumerate(positions):
            rng = np.random.default_rng([*seed, int(position), 0x5B])
            out[k] = self._redrawn(films[k], int(position), rng)
        return out

    def _redrawn(self, film: Pixels, at: int, rng: np.random.Generator) -> Pixels:
        view = dataclasses.replace(self._view(at), grey=film)
        if self.surroundings and self.known[at]:
            view = self._surrounded(view, at, rng)
            view = _with(view, _framed(_patched(view, self._any(at, rng), rng), self._any(at, rng), rng))
        return self._exchanged(view, at, rng).grey

    def _exchanged(self, view: View, at: int, rng: np.random.Generator) -> View:
        """With the channels of one donor, since some share a place: half of the films of the other class's.

        Where surroundings are exchanged, half of those are of the other class already. A channel that reaches beyond
        the lungs then stays half and half only if the rest of the films get it too, from a donor of their own class.
        """
        drawn = rng.random()
        if not self.channels or drawn >= (1.0 if self.surroundings else OTHER + SAME):
            return view
        donor = self._donor(at, drawn >= OTHER, rng)
        if donor is None:
            return view
        for exchange in self.channels.values():
            view = _with(view, exchange(view, self._view(donor)))
        return view

    def _surrounded(self, view: View, at: int, rng: np.random.Generator) -> View:
        """With another's surroundings: these lungs laid into the donor's, or what lies outside both put around them."""
        drawn = rng.random()
        donor = self._donor(at, drawn >= OTHER, rng) if drawn < OTHER + SAME else None
        if donor is None:
            return view
        own, theirs = self._chest(at), self._chest(donor)
        if own is None or theirs is None or rng.random() >= LAID:
            return _with(view, pasted(view, grey_of(self._view(donor)), free(view, self._view(donor))))
        if not np.array_equal(view.grey, own.view.grey):
            own = Chest(view, own.sides)
        made = with_lungs_of(theirs, own)
        return view if made is None else _with(dataclasses.replace(view, lungs=theirs.lungs), made)

    def _view(self, at: int) -> View:
        mask = self.lungs[at] if self.known[at] else None
        film = np.ones(self.films.shape[1:], bool)
        return View(self.films[at], str(at), str(at), int(self.labels[at]), film, mask, self.markers[at])

    def _chest(self, at: int) -> Chest | None:
        if at not in self.chests:
            if len(self.chests) * self.films[0].size >= KEPT:
                self.chests.pop(next(iter(self.chests)))
            self.chests[at] = chest(self._view(at))
        return self.chests[at]

    @cached_property
    def _peers(self) -> Mapping[tuple[int, int, bool], NDArray[np.intp]]:
        """Films that may lend, by split, label, and whether they are of that label."""
        pairs = {(int(s), int(c)) for s, c in zip(self.split, self.labels, strict=True) if s >= 0 <= c}
        lends = (self.labels >= 0) & (self.known if self.surroundings else True)
        return {
            (s, c, same): np.flatnonzero(lends & (self.split == s) & ((self.labels == c) == same))
            for s, c in pairs
            for same in (False, True)
        }

    def _donor(self, at: int, same: bool, rng: np.random.Generator) -> int | None:
        """Another film of the same split, of the same class or of another."""
        peers = self._peers.get((int(self.split[at]), int(self.labels[at]), same), np.zeros(0, np.intp))
        peers = peers[peers != at]
        return int(peers[int(rng.integers(len(peers)))]) if len(peers) else None

    def _any(self, at: int, rng: np.random.Generator) -> View:
        donor = self._donor(at, bool(rng.integers(2)), rng)
        return self._view(at if donor is None else donor)


def _with(view: View, grey: Grey | None) -> View:
    if grey is None:
        return view
    return dataclasses.replace(view, grey=np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8))


def _patched(view: View, donor: View, rng: np.random.Generator) -> View:
    """Up to five rectangles outside the lungs: in-painted, of one grey level, or of another film."""
    if rng.random() >= DRESSED:
        return view
    grey, side = grey_of(view).copy(), view.side
    for _ in range(int(rng.integers(1, 6))):
        high, wide = (max(1, int(v)) for v in rng.uniform(0.06, 0.25, 2) * side)
        top, left = int(rng.integers(side - high)), int(rng.integers(side - wide))
        place = np.zeros_like(view.film)
        place[top : top + high, left : left + wide] = True
        grey = _filled(
            view, grey, place & view.outside, donor, grey[int(rng.integers(side)), int(rng.integers(side))], rng
        )
    return _with(view, grey)


def _framed(view: View, donor: View, rng: np.random.Generator) -> Grey | None:
    """A frame of its own width on every side: dark, continued from inside, or of another film."""
    if rng.random() >= DRESSED:
        return None
    side = view.side
    top, bottom, left, right = (int(v) for v in np.maximum(0, np.rint(rng.uniform(-0.04, 0.12, 4) * side)))
    place = np.ones_like(view.film)
    place[top : side - bottom, left : side - right] = False
    return _filled(view, grey_of(view), place, donor, np.float32(rng.uniform(0, 0.1)), rng)


def _filled(view: View, grey: Grey, place: Mask, donor: View, level: np.float32, rng: np.random.Generator) -> Grey:
    how = int(rng.integers(3))
    if not place.any():
        return grey
    if how == 0:
        return fill(grey, place)
    if how == 1:
        return np.where(place, level, grey).astype(np.float32)
    return np.where(place & view.outside, grey_of(donor), grey).astype(np.float32)
