"""Putting what one film has in a place, a band of frequencies or its tone into another film.

What is put in comes from a film at hand, so nothing appears that no film shows; and the control is the same exchange
with another donor, as foreign as the first. Most is done outside the dilated lungs of both films, where no finding of a
lung is; "inside" and "fine" work in the lungs too, on structure finer than a finding, and what a film has as a whole
(`whole_film`) is measured outside the lungs and given to all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.distort import Grey, grey_of
from radiolucent.audits.trial.regions import Mask, View
from radiolucent.audits.trial.whole_film import curve_of, interlaced_as, placed_as, sharpened_as, tapered_as

__all__ = [
    "BESIDE", "CHANNELS", "WIDER", "Channel", "Exchange", "both_lungs", "cell_channel", "filled", "fine_of", "free",
    "pasted", "with_fine_of",
]  # fmt: skip

GRID = 5
OUTSIDE, WITHIN = 0.2, 0.3
"""Thresholds in standard deviations of the log-odds. Outside the lungs: a small effect (Cohen 1988), as for markers.
Where the lungs change too an innocent network moves as well, and it is higher (ours)."""
LEVELS = 64
Exchange = Callable[[View, View], Grey | None]
"""From a recipient and a donor to the changed recipient; None where they share no place to exchange."""


@dataclass(frozen=True)
class Channel:
    """One thing that films can exchange.

    Attributes:
        name: of the finding, after "discovered.". what: in words, after "the decision follows".
        exchange: see `Exchange`.
        localised: whether it lies in a place, or all over the film. threshold: in standard deviations of the log-odds.
        where: the place in a film, as a mask, for pictures; None for all of it. spot: where it lies most, in words.
        sides: what donors are called whose parts should raise the answer, and the others; classes unless given.
        part: of what no finding explains (`lung_structure`): the share of the figure that it must reach.
        less: another exchange, and the share of what it does that is taken off: the figure is a difference then.
    """

    name: str
    what: str
    exchange: Exchange
    localised: bool
    threshold: float = OUTSIDE
    where: Callable[[View], Mask] | None = None
    sides: tuple[str, str] | None = None
    part: float = 0.0
    less: tuple[Exchange, float] | None = None
    spot: str = ""


def free(recipient: View, donor: View) -> Mask:
    """Where both are film and neither is lung, as far as known."""
    return recipient.outside & donor.outside


def pasted(recipient: View, changed: Grey, where: Mask) -> Grey | None:
    """The changed picture where the mask says, its edge softened over about two pixels in a hundred."""
    from scipy import ndimage

    if not where.any():
        return None
    grey = grey_of(recipient)
    soft = ndimage.gaussian_filter(where.astype(np.float32), 0.008 * recipient.side) * where
    return (grey * (1 - soft) + changed * soft).astype(np.float32)


def _from_place(place: Callable[[View], Mask]) -> Exchange:
    def exchange(recipient: View, donor: View) -> Grey | None:
        return pasted(recipient, grey_of(donor), place(recipient) & free(recipient, donor))

    return exchange


def _everywhere(view: View) -> Mask:
    return view.film


def _cell(row: int, column: int) -> Callable[[View], Mask]:
    def place(view: View) -> Mask:
        top, bottom, left, right = view.frame
        ys, xs = np.linspace(top, bottom, GRID + 1).round().astype(int), np.linspace(left, right, GRID + 1)
        xs = xs.round().astype(int)
        found = np.zeros_like(view.film)
        found[ys[row] : ys[row + 1], xs[column] : xs[column + 1]] = True
        return found

    return place


def cell_channel(row: int, column: int) -> Channel:
    """What lies outside the lungs in one of 5 × 5 cells of the film."""
    place = _cell(row, column)
    across = ("at the left edge", "left of the middle", "in the middle", "right of the middle", "at the right edge")
    down = ("at the top", "above the middle", "half-way down", "below the middle", "at the bottom")
    what = f"something {down[row]}, {across[column]} of the film"
    return Channel(f"place.{row + 1}.{column + 1}", what, _from_place(place), True, where=place)


def _tone(recipient: View, donor: View) -> Grey | None:
    """The recipient's grey levels outside the lungs given the donor's distribution there (histogram matching)."""
    where = free(recipient, donor)
    if where.sum() < 16:
        return None
    own, theirs = recipient.grey[where], np.sort(donor.grey[where])
    levels = np.arange(256)
    share = np.searchsorted(np.sort(own), levels, side="right") / len(own)
    mapped = theirs[np.clip(np.ceil(share * len(theirs)).astype(int) - 1, 0, len(theirs) - 1)]
    return pasted(recipient, (mapped[recipient.grey] / 255).astype(np.float32), where)


def filled(view: View, where: Mask, sigma: float) -> NDArray[np.float64]:
    """A Gaussian mean of the pixels in `where` alone."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(where.astype(np.float64), sigma)
    return ndimage.gaussian_filter(np.where(where, grey_of(view), 0.0), sigma) / np.maximum(weight, 1e-6)


def _shading(recipient: View, donor: View) -> Grey | None:
    """Slow changes of brightness over the film, outside the lungs."""
    where, sigma = free(recipient, donor), recipient.side / 8
    if where.sum() < 16:
        return None
    changed = grey_of(recipient) - filled(recipient, where, sigma) + filled(donor, where, sigma)
    return pasted(recipient, np.clip(changed, 0, 1).astype(np.float32), where)


def _spectrum(low: float, high: float) -> Exchange:
    """Amplitudes of a band of frequencies (cycles a side, as shares of the highest), outside the lungs; phases stay."""

    def exchange(recipient: View, donor: View) -> Grey | None:
        where = free(recipient, donor)
        if where.sum() < 16:
            return None
        own, theirs = (np.where(where, grey_of(v) - filled(v, where, v.side / 16), 0.0) for v in (recipient, donor))
        f = np.fft.fft2(own)
        fy, fx = (np.abs(np.fft.fftfreq(n)) for n in own.shape)
        radius = np.maximum(fy[:, None], fx[None]) * 2
        band = (radius >= low) & (radius < high)
        size = np.abs(np.fft.fft2(theirs)) / np.maximum(np.abs(f), 1e-9)
        changed = np.fft.ifft2(np.where(band, f * np.minimum(size, 1e3), f)).real
        return pasted(recipient, np.clip(grey_of(recipient) - own + changed, 0, 1).astype(np.float32), where)

    return exchange


def fine_of(view: View) -> Grey:
    """All structure finer than about three pixels in a hundred, (S, S): grey levels less their Gaussian mean."""
    from scipy import ndimage

    def made() -> Grey:
        grey = grey_of(view)
        return np.asarray(grey - ndimage.gaussian_filter(grey, 0.025 * view.side), np.float32)

    return view.once("fine", made)


def with_fine_of(recipient: View, donor: View, where: Mask) -> Grey | None:
    changed = grey_of(recipient) - fine_of(recipient) + fine_of(donor)
    return pasted(recipient, np.clip(changed, 0, 1).astype(np.float32), where)


def _lines(recipient: View, donor: View) -> Grey | None:
    """All fine structure outside the lungs: as it is, in its place."""
    return with_fine_of(recipient, donor, free(recipient, donor))


def both_lungs(recipient: View, donor: View) -> Mask | None:
    """The lungs of both, away from their outlines and from what doctors marked on either; None where not known."""
    from scipy import ndimage

    if recipient.lungs is None or donor.lungs is None:
        return None
    where = recipient.lungs & donor.lungs
    if not where.any():
        return None
    where = np.asarray(ndimage.distance_transform_edt(where)) > 0.02 * recipient.side
    for view in (recipient, donor):
        if view.findings is not None:
            where = where & ~view.findings
    return where


def _inside(recipient: View, donor: View) -> Grey | None:
    """All fine structure inside the lungs of both."""
    where = both_lungs(recipient, donor)
    return None if where is None else with_fine_of(recipient, donor, where)


def _fine(recipient: View, donor: View) -> Grey | None:
    """The same inside the lungs of both and outside them, all but a rim around the lungs."""
    inside, where = both_lungs(recipient, donor), free(recipient, donor)
    return with_fine_of(recipient, donor, where if inside is None else where | inside)


OUTLINE = 0.06
"""How far from the lungs' outline on either film, as a share of the side, is taken for being on it."""


def _outline(recipient: View, donor: View) -> Grey | None:
    """All that lies outside the lungs of both, and the fine structure on the outline where both have it at nearly the
    same place: nothing of a donor that crosses the outline is cut off. What doctors marked stays, and so does what is
    lung on one film alone: there a mask may have ended early."""
    around, inside = free(recipient, donor), both_lungs(recipient, donor)
    if inside is None or not around.any():
        return None
    near = [_from_outline(view) <= OUTLINE * view.side for view in (recipient, donor)]
    band = near[0] & near[1] & recipient.film & ~inside & ~around
    for view in (recipient, donor):
        if view.findings is not None:
            band = band & ~view.findings
    grey = grey_of(recipient)
    fine = np.clip(grey - fine_of(recipient) + fine_of(donor), 0, 1)
    changed = np.where(around, grey_of(donor), np.where(band, fine, grey))
    return changed.astype(np.float32)


def _from_outline(view: View) -> NDArray[np.float64]:
    """Pixels from each place to the lungs' outline."""
    from scipy import ndimage

    def made() -> NDArray[np.float64]:
        lungs = np.asarray(view.lungs, bool)
        inner, outer = (np.asarray(ndimage.distance_transform_edt(m)) for m in (lungs, ~lungs))
        return np.asarray(inner + outer)

    return view.once("from outline", made)


def _ring(view: View) -> Mask:
    return view.border


CHANNELS: Mapping[str, Channel] = {
    c.name: c
    for c in (
        Channel("surroundings", "something outside the lungs", _from_place(_everywhere), True),
        Channel("border", "something at the film's border", _from_place(_ring), True, where=_ring),
        Channel("tone", "the spread of the film's grey levels outside the lungs", _tone, False),
        Channel("shading", "a slow change of brightness over the film", _shading, False),
        Channel("texture", "the film's fine texture", _spectrum(0.25, 0.6), False),
        Channel("sharpness", "the film's finest texture", _spectrum(0.6, 1.1), False),
        Channel("lines", "fine structure outside the lungs", _lines, True),
        Channel("inside", "fine structure inside the lungs", _inside, True, WITHIN),
        Channel("fine", "fine structure in the lungs and around them", _fine, False, WITHIN),
        Channel("curve", "the film's tone curve", curve_of, False, WITHIN),
        Channel("filter", "how sharp the film is as a whole", sharpened_as, False, WITHIN),
        Channel("interlace", "how every other line of the film lies", interlaced_as, False, WITHIN),
        Channel("pose", "how the chest lies on the film", placed_as, False, WITHIN),
    )
}
WIDER: Mapping[str, Channel] = {
    "surroundings": Channel("surroundings", "something outside the lungs or on their outline", _outline, True),
    "pose": Channel("pose", "how the chest lies on the film or tapers", tapered_as, False, WITHIN),
}
"""What is tried after a channel, in its place, where that does not fail. What lies on the outline alone may be a
finding (a lost outline is one): `surroundings` itself must move the answer for certain, or there is no verdict."""
BESIDE = tuple(name for name, channel in CHANNELS.items() if channel.threshold == OUTSIDE)
"""Channels that change nothing in the lungs: all of them are exchanged where the surroundings are."""
