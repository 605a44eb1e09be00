"""What the room accepts: truth as 0/1, scores as finite numbers, probabilities in [0, 1]."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError

__all__ = ["Floats", "Mask", "boolean", "both_classes", "marks", "midranks", "numbers", "paired", "probabilities"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def midranks(values: NDArray[Any]) -> Floats:
    """Ranks (n,) from 1 up; equal values share the mean of theirs.

    scipy.stats ranks alike, but takes a quarter of a second to load.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[place.ravel()]


def numbers(values: Any, name: str) -> Floats:
    """A float64 array of plain numbers.

    Raises:
        ConfigError: text, dates and spans of time, complex numbers, or masked values, whose mask would be lost.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ConfigError(f"{name} is a masked array; leave out the masked cases first.")
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ConfigError(f"{name} holds complex numbers; expected real ones.")
    if array.dtype.kind in "mM":
        raise ConfigError(f"{name} holds {array.dtype}; expected plain numbers: seconds, of a time.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {error}; expected numbers.") from None


def boolean(values: NDArray[Any], name: str = "truth") -> Mask:
    """A bool (N,) array from bools or 0/1 numbers.

    Raises:
        ConfigError: another shape, or values other than 0 and 1 (an unknown label of -1, say).

    >>> boolean(np.array([0, 1]))
    array([False,  True])
    """
    if np.ndim(values) != 1:
        raise ConfigError(f"{name} has shape {np.shape(values)}; expected (N,).")
    return marks(values, name, ": leave out cases without a label first")


def marks(values: Any, name: str, advice: str = "") -> NDArray[np.bool_]:
    """A bool array of any shape from bools or 0/1 numbers: a mask, say, or calls.

    Raises:
        ConfigError: values other than 0 and 1: not-a-number, which a cast would take for True, shares, text.

    >>> marks([[0.0, 1.0]], "mask")
    array([[False,  True]])
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ConfigError(f"{name} is a masked array; leave out the masked cases first.")
    array = np.asarray(values)
    if array.dtype == np.bool_:
        return array
    if array.dtype == object:
        known = np.array([isinstance(v, bool | int | float | np.generic) and v in (0, 1) for v in array.ravel()], bool)
        known = known.reshape(array.shape)
    else:
        known = np.isin(array, (0, 1)) if array.dtype.kind in "iuf" else np.zeros(array.shape, bool)
    if not known.all():
        other = list(dict.fromkeys(array[~known].tolist()))[:3]
        raise ConfigError(f"{name} holds {other}; expected 0 or 1{advice}.")
    return array.astype(bool)


def paired(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Mask, Floats]:
    """Truth as bool (N,) and scores as float64 (N,); scores may still be not-a-number (see `both_classes`).

    Raises:
        ConfigError: lengths differ, or truth is not 0/1.
    """
    positive, values = boolean(truth), numbers(scores, "scores")
    if positive.shape != values.shape:
        raise ConfigError(f"truth {positive.shape} and scores {values.shape}; expected the same (N,).")
    return positive, values


def probabilities(truth: NDArray[Any], scores: NDArray[Any]) -> tuple[Mask, Floats]:
    """As `paired`, with scores in [0, 1].

    Raises:
        ConfigError: a score outside [0, 1].
    """
    positive, values = paired(truth, scores)
    outside = (values < 0) | (values > 1)
    if outside.any():
        raise ConfigError(f"score {values[outside][0]:g}; expected probabilities in [0, 1], not logits.")
    return positive, values


def both_classes(positive: Mask, values: Floats) -> str:
    """Why nothing can be computed ("" if it can): no cases, scores not-a-number, or one class only."""
    if not len(positive):
        return "no cases"
    if np.isnan(values).any():
        return f"{int(np.isnan(values).sum())} of {len(values)} scores are not a number"
    if not positive.any() or positive.all():
        return f"{int(positive.sum())} positive and {int((~positive).sum())} negative cases; both are needed"
    return ""
