"""How a film lies in the patient's space, as the headers of research containers say, and the same film upright."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXCHANGED", "Facing", "facing", "in_plane", "laid", "upright"]

_SPACES = {
    "right-anterior-superior": (1, 1), "ras": (1, 1), "left-anterior-superior": (-1, 1), "las": (-1, 1),
    "left-posterior-superior": (-1, -1), "lps": (-1, -1),
}  # fmt: skip
EXCHANGED = "columns and rows exchanged, as the header says"
_UPRIGHT = 0.8  # of an axis's length along one of the patient's, up to 37 degrees from it: that one is meant


@dataclass(frozen=True)
class Facing:
    """How far (−1 to 1) columns lead to the patient's right, and rows to the head or front.

    Attributes:
        exchanged: whether what is stored as columns are the film's rows, so that it lies on its side.
    """

    right: float
    up: float
    exchanged: bool = False


def in_plane(sizes: Sequence[int]) -> tuple[int, int]:
    """Which axes are a film's columns and rows: those two that are longer than one, else the first two.

    >>> in_plane((512, 600)), in_plane((512, 1, 600)), in_plane((512, 600, 3))
    ((0, 1), (0, 2), (0, 1))
    """
    long = [axis for axis, size in enumerate(sizes) if size > 1]
    return (long[0], long[1]) if len(long) == 2 else (0, 1)


def facing(axes: NDArray[np.float64], notes: list[str]) -> Facing | None:
    """How a film lies; None where that is open.

    Args:
        axes: directions (3, 2) of columns and rows in the patient's space: to the right, front and head.
    """
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(lengths).all() or not lengths.all():
        notes.append("the header does not say how the film lies; taken as stored")
        return None
    along = axes / lengths
    for exchanged, (columns, rows) in ((False, (0, 1)), (True, (1, 0))):
        right, up = float(along[0, columns]), float(max(along[1:, rows], key=abs))
        if min(abs(right), abs(up)) >= _UPRIGHT:
            return Facing(right, up, exchanged)
    notes.append("the header says that the film lies obliquely or is seen from the side; taken as stored")
    return None


def upright(values: NDArray[Any], axes: Facing | None, steps: list[str]) -> NDArray[Any]:
    """Values (H, W, …) with the patient's right on the image's left and the head above.

    Args:
        axes: how it lies (`facing`); None: as stored. steps: is added to.
    """
    if axes is None:
        return values
    if axes.exchanged:
        values = values.swapaxes(0, 1)
        steps.append(EXCHANGED)
    if axes.right > 0:
        values = values[:, ::-1]
        steps.append("columns turned over, as the header says")
    if axes.up > 0:
        values = values[::-1]
        steps.append("rows turned over, as the header says")
    return values


def laid(
    values: NDArray[Any],
    directions: Sequence[Sequence[float] | None],
    sizes: Sequence[int],
    space: str,
    steps: list[str],
    notes: list[str],
) -> NDArray[Any]:
    """Values (H, W, …) upright by the directions of their columns and rows; as stored where they lie in no space.

    Args:
        directions: of each axis, the fastest first, as vectors of three; None of one that is not in space, such as
            colour. sizes: of the same axes. space: as NRRD calls it, such as "LPS".
    """
    if len(directions) == len(sizes):
        spatial = [(v, n) for v, n in zip(directions, sizes, strict=True) if v is not None]
    else:
        spatial = [(v, 2) for v in directions if v is not None]
    signs = _SPACES.get(space.lower())
    if signs is None or len(spatial) < 2 or {len(v) for v, _ in spatial} != {3}:
        return values
    plane = np.array([spatial[axis][0] for axis in in_plane([n for _, n in spatial])])
    return upright(values, facing(plane.T * [[signs[0]], [signs[1]], [1]], notes), steps)
