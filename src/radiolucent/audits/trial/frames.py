"""Black frames, as by collimation: which films have one, and putting one film's frame on another."""

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.distort import Grey, grey_of
from radiolucent.audits.trial.regions import View

__all__ = ["framed", "framed_as"]

BLACK = 13
"""Grey level (of 255) up to which an edge is black: 5 %."""
Sides = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def framed(view: View) -> float:
    """1 where all four edges of the film are black, else 0."""
    return float(all(np.median(side[0]) <= BLACK for side in _sides(view)))


def framed_as(view: View, donor: View) -> Grey | None:
    """The film with the frame of another: as dark, and on each side as wide, as a share of the film, but never onto
    lungs or markers. None where the film has one itself, or the other has none."""
    if framed(view) or not framed(donor):
        return None
    top, bottom, left, right = view.frame
    room = (bottom - top, bottom - top, right - left, right - left)
    if view.lungs is not None and view.lungs.any():
        rows, columns = np.flatnonzero(view.lungs.any(1)), np.flatnonzero(view.lungs.any(0))
        room = (rows[0] - top, bottom - 1 - rows[-1], columns[0] - left, right - 1 - columns[-1])
    sides = _sides(donor)
    depths = [_depth(side) for side in sides]
    up, down, before, behind = (
        min(max(1, round(n / len(theirs) * len(own))), int(most))
        for n, theirs, own, most in zip(depths, sides, _sides(view), room, strict=True)
    )
    inner = np.zeros_like(view.film)
    inner[top + up : bottom - down, left + before : right - behind] = True
    where = view.film & ~inner
    black = np.concatenate([side[:n].ravel() for side, n in zip(sides, depths, strict=True)])
    dark = np.float32(np.median(black) / 255)
    return np.where(where if view.markers is None else where & ~view.markers, dark, grey_of(view)).astype(np.float32)


def _sides(view: View) -> Sides:
    """The film's lines from each edge inward: from the top, the bottom, the left and the right."""
    top, bottom, left, right = view.frame
    grey = view.grey[top:bottom, left:right]
    return grey, grey[::-1], grey.T, grey.T[::-1]


def _depth(lines: NDArray[np.uint8]) -> int:
    """How many lines are black, from the edge on."""
    bright = np.flatnonzero(np.median(lines, axis=1) > BLACK)
    return int(bright[0]) if len(bright) else len(lines)
