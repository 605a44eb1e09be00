"""Fine structure in the lungs that is no finding: two exchanges that no finding of a lung can explain, and one more.

Findings are fine structure too (interstitial markings, sharp or lost outlines), so that a network that reads them
answers to `inside` and `fine` of `exchange`. Two things tell an artefact from them:

- it does not stop at the lungs' outline: fine structure that lay *outside* the donor's lungs, put into the recipient's,
  moves the answer as well;
- it is stronger than anatomy: structure of the donor's lungs beyond what four in five films of the other class reach
  anywhere in theirs.

An artefact that does neither cannot be told from a finding by these. A third exchange only says where to look: whether
structure of the darker half of the donor's lungs does nearly as much as that of the whiter half, where opacities and
their markings are. Artefacts all over the lungs do so, and diseases that lie evenly in both lungs as well.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.distort import Grey, grey_of
from radiolucent.audits.trial.exchange import Channel, Exchange, both_lungs, filled, fine_of, free, pasted, with_fine_of
from radiolucent.audits.trial.regions import Mask, View

__all__ = ["no_findings"]

Kind = TypeVar("Kind", np.float32, np.bool_)
STEP = 8
"""Shifts are multiples of so many pixels, so that blocks and rows of pixels stay where they are."""
EVENLY, SLOW = 0.6, 0.06
"""Share of what the whiter half of the lungs does that the darker half must do for certain; of the side, a Gaussian's
width that tells the halves apart (ours)."""
OVER, STRONG = 0.4, 0.3
"""Share of the figure that what was outside the lungs, and what is stronger than anatomy, must reach (ours). On real
films honest networks answer to the first by up to a third, to the second not at all."""
ROUNDS = 4
"""Shifts used at most to fill the lungs."""
STRONGEST, GROWN = 0.8, 0.3
"""Quantile over films of the strongest fine structure in their lungs; down to which share of it a mark reaches."""


def no_findings(name: str, others: Sequence[View]) -> tuple[Channel, ...]:
    """What is tried beside a failure of "inside" or "fine".

    Args:
        others: donors of the other class, whose lungs tell what strong means.
    """
    limit = _limit(others)
    words = "fine structure from outside the lungs, put into them,"
    over = Channel(f"{name}.over", words, _over(name == "fine"), False, 0.0, part=OVER)
    words = "fine structure of the darker half of the lungs, beyond 0.6 of what the whiter half does,"
    evenly = Channel(f"{name}.evenly", words, _half(False), False, 0.0, less=(_half(True), EVENLY))
    if limit is None:
        return over, evenly
    what = "structure stronger than in four of five lungs of the other class"
    return over, Channel(f"{name}.strong", what, _strong(limit), True, 0.0, part=STRONG), evenly


def _half(white: bool) -> Exchange:
    """Fine structure of the whiter or the darker half of the donor's lungs, in the lungs of both."""

    def exchange(recipient: View, donor: View) -> Grey | None:
        inside = both_lungs(recipient, donor)
        if inside is None or not inside.any():
            return None
        slow = donor.once("slow", lambda: _slow(donor))
        return with_fine_of(recipient, donor, inside & ((slow > np.median(slow[inside])) == white))

    return exchange


def _slow(view: View) -> NDArray[np.float64]:
    """Brightness in the lungs, without what is finer than `SLOW`; elsewhere nothing that counts."""
    assert view.lungs is not None
    return filled(view, view.lungs, SLOW * view.side)


def _limit(films: Sequence[View]) -> float | None:
    """The strongest fine structure in the lungs of each film, of which four in five keep below this."""
    tops = [
        float(np.abs(fine_of(v))[there].max()) for v in films if (there := both_lungs(v, v)) is not None and there.any()
    ]
    return float(np.quantile(tops, STRONGEST)) if tops else None


def _over(around: bool) -> Exchange:
    """Fine structure of the donor from outside its lungs, in the lungs of both; `around`: and in its place outside."""
    known: dict[str, tuple[Grey, Mask]] = {}

    def exchange(recipient: View, donor: View) -> Grey | None:
        inside = both_lungs(recipient, donor)
        if inside is None:
            return None
        if donor.image_id not in known:
            known[donor.image_id] = _brought_in(donor)
        fine, told = known[donor.image_id]
        where = inside & told
        if around:
            there = free(recipient, donor)
            fine, where = np.where(there, fine_of(donor), fine), where | there
        changed = grey_of(recipient) - fine_of(recipient) + fine
        return pasted(recipient, np.clip(changed, 0, 1).astype(np.float32), where)

    return exchange


def _brought_in(view: View) -> tuple[Grey, Mask]:
    """The film's fine structure outside its lungs, shifted so that it fills them: values (S, S), and where they hold.

    The shift that fills most is taken first, then the one that fills most of the rest.
    """
    fine, outside = fine_of(view), view.outside
    step = max(STEP, view.side // (8 * STEP) * STEP)
    reach = range(-(view.side // step) * step, view.side, step)
    shifts = [(y, x) for y in reach for x in reach if abs(y) < view.side and abs(x) < view.side]
    left, found = view.film & ~outside, np.zeros_like(fine)
    told = np.zeros_like(left)
    for _ in range(ROUNDS):
        best = max(shifts, key=lambda s: int((_shifted(outside, *s) & left).sum()))
        taken = _shifted(outside, *best) & left
        if not taken.any():
            break
        found = np.where(taken, _shifted(fine, *best), found)
        left, told = left & ~taken, told | taken
    return found, told


def _shifted(values: NDArray[Kind], down: int, right: int) -> NDArray[Kind]:
    """Values (H, W) moved; what comes in at the edges is 0."""
    out = np.zeros_like(values)
    height, width = values.shape
    out[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = values[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return out


def _strong(limit: float) -> Exchange:
    """Fine structure in the lungs of both where either has a mark that passes the limit somewhere, as far as it is
    connected: the donor's mark comes in, and the recipient's goes."""
    known: dict[str, Mask] = {}

    def exchange(recipient: View, donor: View) -> Grey | None:
        inside = both_lungs(recipient, donor)
        if inside is None:
            return None
        for view in (recipient, donor):
            if view.image_id not in known:
                known[view.image_id] = _marks(view, limit)
        where = (known[recipient.image_id] | known[donor.image_id]) & inside
        grey = grey_of(recipient)
        changed = np.clip(grey - fine_of(recipient) + fine_of(donor), 0, 1)
        return np.where(where, changed, grey).astype(np.float32)

    return exchange


def _marks(view: View, limit: float) -> Mask:
    from scipy import ndimage

    lungs, size = both_lungs(view, view), np.abs(fine_of(view))
    if lungs is None:
        return np.zeros_like(view.film)
    found = ndimage.binary_propagation(lungs & (size > limit), np.ones((3, 3)), lungs & (size > GROWN * limit))
    return np.asarray(ndimage.binary_dilation(found), bool)
