"""How a film lies in the patient's space, as the headers of research containers say, and the same film upright."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["facing", "laid", "upright"]

_SPACES = {
    "right-anterior-superior": (1, 1), "ras": (1, 1), "left-anterior-superior": (-1, 1), "las": (-1, 1),
    "left-posterior-superior": (-1, -1), "lps": (-1, -1),
}  # fmt: skip
_UPRIGHT = 0.8  # of an axis's length along one of the patient's, up to 37 degrees from it: that one is meant


def facing(axes: NDArray[np.float64], notes: list[str]) -> tuple[float, float] | None:
    """How far (−1 to 1) columns lead to the patient's right, and rows to the head or front; None where that is open.

    Args:
        axes: directions (3, 2) of columns and rows in the patient's space: to the right, front and head.
    """
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(lengths).all() or not lengths.all():
        notes.append("the header does not say how the film lies; taken as stored")
        return None
    along = axes / lengths
    right, up = float(along[0, 0]), float(max(along[1:, 1], key=abs))
    if min(abs(right), abs(up)) < _UPRIGHT:
        notes.append("the header says that the film lies obliquely or is seen from the side; taken as stored")
        return None
    return right, up


def upright(values: NDArray[Any], axes: tuple[float, float] | None, steps: list[str]) -> NDArray[Any]:
    """Values (H, W, …) with the patient's right on the image's left and the head above.

    Args:
        axes: how far columns lead to the right and rows to the head (`facing`); None: as stored. steps: is added to.
    """
    if axes is None:
        return values
    if axes[0] > 0:
        values = values[:, ::-1]
        steps.append("columns turned over, as the header says")
    if axes[1] > 0:
        values = values[::-1]
        steps.append("rows turned over, as the header says")
    return values


def laid(
    values: NDArray[Any], directions: Sequence[Sequence[float]], space: str, steps: list[str], notes: list[str]
) -> NDArray[Any]:
    """Values (H, W, …) upright by the directions of their columns and rows; as stored where they lie in no space.

    Args:
        directions: of the columns, the rows, and any more; vectors of three. space: as NRRD calls it, such as "LPS".
    """
    if (signs := _SPACES.get(space.lower())) is None or len(directions) < 2 or {len(v) for v in directions} != {3}:
        return values
    return upright(values, facing(np.array(directions[:2]).T * [[signs[0]], [signs[1]], [1]], notes), steps)
