"""Lungs of one film put in the place of another's, and opacities painted into lungs or taken out of them.

Everything is laid into the recipient's own lungs row by row, so that their outline, which tells of the film, stays. The
donor's grey levels are first brought to the recipient's exposure by what surrounds the lungs of both.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.distort import Grey, grey_of
from radiolucent.audits.trial.edits import shifted
from radiolucent.audits.trial.exchange import filled, pasted
from radiolucent.audits.trial.regions import Mask, View, dilated
from radiolucent.segment.sides import two_lungs

__all__ = ["Chest", "chest", "drawn_opacity", "healthy_lungs", "moved_outside", "opacity_of", "sham", "with_lungs_of"]

SLOW = 0.03
"""Opacities are what a Gaussian of this share of the side keeps; finer marks, such as a ring, are no part of them."""
RIM = 0.10
"""Width of the ring around the lungs that tells a film's exposure, as a share of its side."""
FAINT = 0.03
"""Differences of grey level below this are anatomy, not opacity."""
DENSITY = 0.9
"""How far a drawn consolidation of full dose brings the lung to the grey level of the soft tissue around it."""


@dataclass(frozen=True, eq=False)
class Chest:
    """A film whose two lungs are known: `sides` are the image's left and right lung, bool (S, S)."""

    view: View
    sides: tuple[Mask, Mask]

    @cached_property
    def lungs(self) -> Mask:
        """Both lungs, (S, S)."""
        return self.sides[0] | self.sides[1]

    @cached_property
    def grey(self) -> Grey:
        """Grey levels in [0, 1], (S, S)."""
        return grey_of(self.view)

    @cached_property
    def slow(self) -> NDArray[np.float64]:
        """A Gaussian mean over lung alone, (S, S); holds inside the lungs."""
        return filled(self.view, self.lungs, SLOW * self.view.side)

    @cached_property
    def level(self) -> float:
        """Median grey level of what surrounds the lungs, markers left out."""
        v = self.view
        rim = v.outside & dilated(self.lungs, RIM)
        if v.markers is not None:
            rim = rim & ~v.markers
        there = rim if rim.sum() >= 16 else v.film
        return float(np.clip(np.median(self.grey[there]), 0.02, 0.98))

    @cached_property
    def rows(self) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64], int, int], ...]:
        """Of either lung: its left and right end in each of its rows, smoothed, and its first and last row."""
        return tuple(_rows(side) for side in self.sides)


def chest(view: View) -> Chest | None:
    """The film with its two lungs; None where lungs are not known, or not sure to be two."""
    sides = None if view.lungs is None or not view.lungs.any() else two_lungs(view.lungs)
    return None if sides is None else Chest(view, sides)


def _rows(side: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64], int, int]:
    from scipy import ndimage

    known = np.flatnonzero(side.any(1))
    first, last = int(known[0]), int(known[-1])
    left, right = side[known].argmax(1), side.shape[1] - 1 - side[known, ::-1].argmax(1)
    every = np.arange(first, last + 1)
    ends = [
        np.asarray(ndimage.gaussian_filter1d(np.interp(every, known, end).astype(float), 0.015 * len(side)))
        for end in (left, right)
    ]
    return ends[0], ends[1], first, last


def _laid(values: NDArray[np.floating], donor: Chest, recipient: Chest) -> NDArray[np.float64]:
    """The donor's values (S, S) laid into the recipient's lungs; 0 elsewhere."""
    from scipy import ndimage

    out = np.zeros(recipient.view.grey.shape)
    for own, there, mask in zip(recipient.rows, donor.rows, recipient.sides, strict=True):
        y, x = np.nonzero(mask)
        share = (y - own[2]) / max(own[3] - own[2], 1)
        row = share * (there[3] - there[2])
        start, stop = (np.interp(row, np.arange(len(end)), end) for end in there[:2])
        left, right = own[0][y - own[2]], own[1][y - own[2]]
        across = start + (x - left) / np.maximum(right - left, 1) * (stop - start)
        room = 0.03 * len(mask)  # the ends are smoothed
        places = np.stack([there[2] + row, np.clip(across, start - room, stop + room)])
        out[y, x] = ndimage.map_coordinates(np.asarray(values, np.float64), places, order=1, mode="nearest")
    return out


def _exposed(values: NDArray[np.floating], donor: Chest, recipient: Chest) -> NDArray[np.float64]:
    """The donor's grey levels at the recipient's exposure: the power that makes what surrounds the lungs alike."""
    power = float(np.clip(np.log(recipient.level) / np.log(donor.level), 0.4, 2.5))
    return np.clip(np.asarray(values, np.float64), 0, 1) ** power


def with_lungs_of(recipient: Chest, donor: Chest) -> Grey | None:
    """The recipient's film with the donor's lungs, grey levels (S, S)."""
    laid = _laid(_exposed(donor.grey, donor, recipient), donor, recipient)
    return pasted(recipient.view, np.clip(laid, 0, 1).astype(np.float32), recipient.lungs)


def _inside(one: Chest) -> NDArray[np.float32]:
    """1 well inside the lungs, falling to 0 at their outline."""
    from scipy import ndimage

    soft = np.asarray(ndimage.gaussian_filter(one.lungs.astype(np.float32), 0.01 * one.view.side), np.float32)
    return np.where(one.lungs, soft, np.float32(0))


def drawn_opacity(one: Chest, rng: np.random.Generator) -> Grey:
    """What a consolidation of full dose adds to the film, (S, S): a rough ellipse of soft tissue's grey in one lung."""
    from scipy import ndimage

    side = one.sides[int(rng.integers(2))]
    depth = np.asarray(ndimage.distance_transform_edt(side))
    ys, xs = np.nonzero(depth >= 0.5 * depth.max())
    at, size = int(rng.integers(len(ys))), one.view.side
    y, x = np.indices(side.shape)
    high, wide = rng.uniform(0.10, 0.18, 2) * size
    rough = np.asarray(ndimage.gaussian_filter(rng.standard_normal(side.shape), 0.03 * size))
    distance = np.hypot((y - ys[at]) / high, (x - xs[at]) / wide) + 0.15 * rough / max(float(rough.std()), 1e-9)
    shape = 1 / (1 + np.exp(np.clip((distance - 1) / 0.12, -40, 40)))
    return (DENSITY * shape * np.maximum(one.level - one.slow, 0) * _inside(one)).astype(np.float32)


def opacity_of(one: Chest, ill: Chest) -> Grey:
    """What the lungs of an ill film are whiter by than these, (S, S), in the whiter of its two lungs.

    Of what doctors marked on it, where they marked anything in the lungs.
    """
    more = _laid(_exposed(ill.slow, ill, one), ill, one) - one.slow
    more = np.where(more > FAINT, more, 0.0) * _inside(one)
    marked = ill.view.findings
    if marked is not None and (marked & ill.lungs).any():
        more = more * (_laid(dilated(marked, 0.02).astype(float), ill, one) > 0.5)
    sums = [float(more[side].sum()) for side in one.sides]
    return (more * one.sides[int(np.argmax(sums))]).astype(np.float32)


def healthy_lungs(one: Chest, healthy: list[Chest]) -> NDArray[np.float64]:
    """What healthy films show in the place of these lungs: the median of their slow grey levels at this exposure."""
    return np.median([_laid(_exposed(h.slow, h, one), h, one) for h in healthy], axis=0)


def excess(one: Chest, usual: NDArray[np.float64]) -> Grey:
    """What these lungs are whiter by than usual ones, (S, S): of what doctors marked, where they marked anything."""
    more = one.slow - usual
    more = np.where(more > FAINT, more, 0.0) * _inside(one)
    marked = one.view.findings
    if marked is not None and (marked & one.lungs).any():
        more = more * dilated(marked, 0.02)
    return more.astype(np.float32)


def moved_outside(one: Chest, added: Grey, rng: np.random.Generator) -> Grey | None:
    """The same added grey at a place outside the lungs, in sum as much as far as the place allows (at most twice)."""
    place = added > 0.2 * float(added.max())
    if not place.any() or float(added.max()) <= 0:
        return None
    rows, columns = np.flatnonzero(place.any(1)), np.flatnonzero(place.any(0))
    piece = added[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    there = shifted(place, one.view, rng)
    ys, xs = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    out = np.zeros_like(added)
    out[ys[0] : ys[0] + piece.shape[0], xs[0] : xs[0] + piece.shape[1]] = piece
    out *= one.view.outside
    total = float(out.sum())
    return None if total <= 0 else (out * min(2.0, float(added.sum()) / total)).astype(np.float32)


def sham(one: Chest, added: Grey, donor: Chest) -> Grey:
    """The film with another's fine texture where an opacity would be: as many pixels change, and nothing whitens."""
    weight = np.minimum(added / max(0.5 * float(added.max()), 1e-6), 1)
    fine = _laid(_exposed(donor.grey, donor, one) - _exposed(donor.slow, donor, one), donor, one)
    return np.clip(one.grey + weight * (fine - (one.grey - one.slow)), 0, 1).astype(np.float32)
