"""Connected components, with the types that scipy leaves open."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["connected", "grown"]

_EIGHT = np.ones((3, 3), bool)


def connected(mask: NDArray[np.bool_], *, diagonal: bool = False) -> tuple[NDArray[np.int32], int]:
    """(labels (h, w) from 1, how many) of a mask; `diagonal`: corners touch.

    >>> connected(np.eye(3, dtype=bool))[1], connected(np.eye(3, dtype=bool), diagonal=True)[1]
    (3, 1)
    """
    from scipy import ndimage

    labels, count = cast(Any, ndimage.label(mask, _EIGHT if diagonal else None))
    return labels, int(count)


def grown(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask dilated by a rectangle of `shape`."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, np.ones(shape, bool)), bool)
