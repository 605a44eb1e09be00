"""Exchanging what a film has as a whole: its tone curve, sharpness, every other line, and how the chest lies on it.

A network that reads such a thing reads it in the lungs as well, where `exchange` puts nothing of another film. So it is
measured outside the lungs of both films, where no finding of a lung is, and then given to all of the recipient, lungs
and all: the anatomy and the findings stay the recipient's.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.distort import Grey, grey_of
from radiolucent.audits.trial.regions import View
from radiolucent.segment.sides import two_lungs

__all__ = ["curve_of", "interlaced_as", "placed_as", "sharpened_as", "tapered_as"]

Floats = NDArray[np.float64]
LEAST = 64
"""Pixels outside the lungs below which nothing is measured there."""
MOVED = 3
"""Pixels by which lines are taken to be moved at most."""
SIGMAS, MOST, FAINT = (0.6, 1.0, 2.0), 3.0, 0.2 / 255
"""Gaussians in pixels that part the bands of a film; the most by which a band is strengthened or weakened; a size below
that of 8 bits."""


def curve_of(recipient: View, donor: View) -> Grey | None:
    """All grey levels by the curve that gives what surrounds the recipient's lungs the donor's distribution there."""
    own, theirs = (v.grey[v.outside] for v in (recipient, donor))
    if min(len(own), len(theirs)) < LEAST:
        return None
    shares = np.linspace(0.01, 0.99, 33)
    knots, values = np.quantile(own, shares), np.quantile(theirs, shares)
    knots, first = np.unique(knots, return_index=True)
    levels = np.arange(256)
    curve = np.interp(levels, knots, values[first])
    # Beyond what surrounds the lungs the curve goes on as a shift, so that darker lungs keep their structure.
    curve = np.where(levels < knots[0], levels + values[first][0] - knots[0], curve)
    curve = np.where(levels > knots[-1], levels + values[first][-1] - knots[-1], curve)
    changed = np.clip(curve, 0, 255)[recipient.grey] / 255
    return np.where(recipient.film, changed, grey_of(recipient)).astype(np.float32)


def _bands(view: View) -> tuple[list[Floats], Floats]:
    """The film as bands from fine to coarse, each half as fine as the one before, and what is coarser than all."""
    from scipy import ndimage

    rest, bands = grey_of(view).astype(np.float64), list[Floats]()
    for sigma in SIGMAS:
        slow = np.asarray(ndimage.gaussian_filter(rest, sigma))
        bands.append(rest - slow)
        rest = slow
    return bands, rest


def _strengths(view: View) -> list[float]:
    """How strong each band is outside the lungs (root mean square)."""
    return view.once("strengths", lambda: [float(np.sqrt((b[view.outside] ** 2).mean())) for b in _bands(view)[0]])


def sharpened_as(recipient: View, donor: View) -> Grey | None:
    """Each band of the film by as much stronger as the band is around the donor's lungs than around its own (root mean
    square)."""
    if min(recipient.outside.sum(), donor.outside.sum()) < LEAST:
        return None
    own, rest = recipient.once("bands", lambda: _bands(recipient))
    for mine, weak, strong in zip(own, _strengths(recipient), _strengths(donor), strict=True):
        ratio = (strong + FAINT) / (weak + FAINT)
        rest = rest + mine * np.clip(ratio, 1 / MOST, MOST)
    return np.where(recipient.film, np.clip(rest, 0, 1), grey_of(recipient)).astype(np.float32)


def interlaced_as(recipient: View, donor: View) -> Grey | None:
    """Every second row, then every second column, moved along itself and brightened against its neighbours as the
    donor's are around its lungs."""
    grey = grey_of(recipient).astype(np.float64)
    for axis in (0, 1):
        own, theirs = (v.once(f"lines.{axis}", partial(_second_lines, v, axis)) for v in (recipient, donor))
        if own is None or theirs is None:
            return None
        lines = grey if axis == 0 else grey.T
        lines[1::2] = np.roll(lines[1::2], theirs[0] - own[0], 1) * theirs[1] / own[1]
    return np.where(recipient.film, np.clip(grey, 0, 1), grey_of(recipient)).astype(np.float32)


def _second_lines(view: View, axis: int) -> tuple[int, float] | None:
    """By how many pixels every second line is moved against the mean of its two neighbours, where the mean absolute
    difference is least, and how much brighter it is: outside the lungs."""
    grey, outside = grey_of(view), view.outside
    if axis == 1:
        grey, outside = grey.T, outside.T
    stop = (len(grey) - 1) // 2 * 2 + 1
    line, before, after = slice(1, stop, 2), slice(0, stop - 1, 2), slice(2, stop, 2)
    around, there = (grey[before] + grey[after]) / 2, outside[before] & outside[after] & outside[line]
    if there.sum() < LEAST:
        return None
    there[:, :MOVED] = there[:, -MOVED:] = False
    misses = {k: float(np.abs(np.roll(grey[line], -k, 1) - around)[there].mean()) for k in range(-MOVED, MOVED + 1)}
    moved = min(misses, key=lambda k: (misses[k], abs(k)))
    return moved, float((grey[line][there].mean() + FAINT) / (around[there].mean() + FAINT))


def _axis(view: View) -> tuple[Floats, Floats] | None:
    """The middle between the two lungs (y, x), and the vector from the image's left lung to its right one."""
    sides = None if view.lungs is None or not view.lungs.any() else two_lungs(view.lungs)
    if sides is None:
        return None
    first, second = (np.argwhere(side).mean(0) for side in sides)
    return (first + second) / 2, second - first


def placed_as(recipient: View, donor: View) -> Grey | None:
    """The film shifted, turned and enlarged so that its two lungs lie as the donor's do; and mirrored where the donor
    is more like it then."""
    own, theirs = (v.once("axis", partial(_axis, v)) for v in (recipient, donor))
    if own is None or theirs is None:
        return None
    plain, mirrored = (_moved(recipient, own, theirs, mirror) for mirror in (False, True))
    wanted = grey_of(donor)
    return mirrored if _alike(mirrored, wanted, recipient.side) > _alike(plain, wanted, recipient.side) else plain


def _moved(view: View, own: tuple[Floats, Floats], theirs: tuple[Floats, Floats], mirror: bool) -> Grey:
    """Output pixel p shows the film at M (p − their middle) + its own middle."""
    from scipy import ndimage

    axis = own[1] * ((-1.0, 1.0) if mirror else (1.0, 1.0))
    ratio = np.linalg.norm(axis) / max(float(np.linalg.norm(theirs[1])), 1e-6)
    angle = float(np.arctan2(*axis) - np.arctan2(*theirs[1]))
    c, s = np.cos(angle) * ratio, np.sin(angle) * ratio
    matrix = np.array([[c, s], [-s, c]])
    if mirror:
        matrix = np.diag([1.0, -1.0]) @ matrix
    offset = (own[0] - matrix @ theirs[0]).tolist()
    found = ndimage.affine_transform(grey_of(view), matrix, offset, order=1, mode="nearest")
    return np.asarray(found, np.float32)


def _alike(one: Grey, other: Grey, side: int) -> float:
    """Correlation of what is coarse."""
    from scipy import ndimage

    first, second = (np.asarray(ndimage.gaussian_filter(g, 0.03 * side)).ravel() for g in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


FLAT = 0.2
"""Depth of a picture's nearest place, the lungs' middle being 1, below which a film lies too far aslant to be shown."""


def _corners(view: View) -> Floats | None:
    """The centres (y, x) of the upper and the lower half of either lung, (lung, half, 2); None where not known."""
    sides = None if view.lungs is None or not view.lungs.any() else two_lungs(view.lungs)
    if sides is None:
        return None
    found: list[Floats] = []
    for side in sides:
        pixels = np.argwhere(side)
        lower = pixels[:, 0] >= np.median(pixels[:, 0])
        if lower.all():
            return None
        found += [pixels[~lower].mean(0), pixels[lower].mean(0)]
    return np.stack(found).reshape(2, 2, 2)


def _upright(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Corners as (across, down) from their middle, in distances between the lungs; the middle; and what leads back."""
    middle, across = corners.mean((0, 1)), (corners[1] - corners[0]).mean(0)
    back = np.stack([across, np.array([across[1], -across[0]])])
    return (corners - middle) @ np.linalg.inv(back), middle, back


def tapered_as(recipient: View, donor: View) -> Grey | None:
    """The film shifted, turned and enlarged as in `placed_as`, and narrowed toward its top or bottom, as one
    photographed aslant, so that the lungs lie as far apart above against below as the donor's do. Nothing else of their
    shape is the donor's: how long or wide lungs are may be a finding."""
    own, theirs = (v.once("corners", partial(_corners, v)) for v in (recipient, donor))
    if own is None or theirs is None:
        return None
    (shape, _, _), (wanted, middle, back) = _upright(own), _upright(theirs)
    centre, apart = shape.mean(0), wanted[1, :, 0] - wanted[0, :, 0]
    target = np.stack([centre, centre])
    target[:, :, 0] += np.outer((-0.5, 0.5), apart)
    target[:, :, 1] = shape[:, :, 1]
    matrix = _perspective((target @ back + middle).reshape(4, 2), own.reshape(4, 2))
    rows, columns = np.mgrid[: recipient.side, : recipient.side].astype(np.float64)
    y, x, depth = np.tensordot(matrix, np.stack([rows, columns, np.ones_like(rows)]), 1)
    at_middle = matrix[2] @ np.append(middle, 1.0)
    if (depth / at_middle).min() < FLAT:
        return None
    from scipy import ndimage

    found = ndimage.map_coordinates(grey_of(recipient), [y / depth, x / depth], order=1, mode="nearest")
    return np.asarray(found, np.float32)


def _perspective(here: Floats, there: Floats) -> Floats:
    """The matrix (3, 3) of the perspective that takes four points (4, 2) there."""
    rows = [
        row
        for (y, x), (v, u) in zip(here, there, strict=True)
        for row in ([y, x, 1, 0, 0, 0, -v * y, -v * x], [0, 0, 0, y, x, 1, -u * y, -u * x])
    ]
    solved = np.linalg.lstsq(np.array(rows), there.ravel(), rcond=None)[0]
    return np.append(solved, 1.0).reshape(3, 3)
