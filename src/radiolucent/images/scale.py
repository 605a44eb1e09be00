"""Stored values to grey levels in [0, 1], the same for every container."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ImageError

__all__ = ["ENOUGH", "LUMINANCE", "SAMPLE", "grey_of_colour", "luminance", "robust_range", "scaled", "unused_depth"]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as PIL's "L"
ENOUGH = 1024  # pixels, below which the depth that a film uses is not judged
OUTLIERS = 1000  # one pixel in so many may lie far outside the range of all others
SAMPLE = 1_000_000  # quantiles of larger films are taken from so many pixels, evenly spread


def luminance(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey (H, W) from RGB (H, W, 3): 0.299 R + 0.587 G + 0.114 B."""
    return rgb[..., :3] @ LUMINANCE


def robust_range(values: NDArray[Any]) -> tuple[float, float]:
    """(low, high) of the values without a few far outliers, such as hot pixels.

    The extremes, unless up to one pixel in 1,000 lies further from the rest than the rest is wide: then that of the
    rest.

    >>> robust_range(np.array([*range(100), 65535]))
    (0.0, 99.0)
    """
    flat = values.ravel()
    few = flat[:: max(1, flat.size // SAMPLE)]
    beyond = max(1, few.size // OUTLIERS)
    places = (min(beyond, few.size - 1), max(few.size - 1 - beyond, 0))
    low, high = float(flat.min()), float(flat.max())
    inner_low, inner_high = (float(v) for v in np.partition(few, places)[list(places)])
    width = inner_high - inner_low
    if width > 0 and high - inner_high > width:
        high = float(flat[flat <= inner_high + width].max())
    if width > 0 and inner_low - low > width:
        low = float(flat[flat >= inner_low - width].min())
    return low, high


def scaled(
    values: NDArray[np.generic],
    steps: list[str],
    notes: list[str],
    *,
    bits: int | None = None,
    range: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    """Grey levels in [0, 1] of an array of numbers; what was done is appended to `steps`, doubts to `notes`.

    Unsigned integers are divided by the largest value of their depth. Signed ones, those beyond 16 bit and floats
    outside [0, 1] are scaled by the range of their values, without a few far outliers.

    Args:
        bits: depth, where it is not that of the type. range: values that become black and white, instead.

    Raises:
        ImageError: not-a-number or infinite values (without a file's name), or another type of number.
    """
    kind, depth = values.dtype.kind, bits or values.dtype.itemsize * 8
    if kind not in "buif":
        raise ImageError(f"holds values of type {values.dtype}, which are no grey levels")
    if kind == "f" and not np.isfinite(values).all():
        raise ImageError("holds not-a-number or infinite values")
    if range is not None:
        steps.append(f"range [{range[0]:g}, {range[1]:g}] as declared by the user scaled to [0, 1]")
        return _between(values, *range)
    if kind == "b":
        return values.astype(np.float32)
    if kind == "u" and depth <= 16:
        return _by_depth(values, depth, steps, notes)
    low, high = float(values.min()), float(values.max())
    if kind == "f" and 0 <= low and high <= 1:
        return values.astype(np.float32)
    if kind != "f" and depth > 16 and 0 <= low and high <= 65535:
        return _by_depth(values, 16, steps, notes)
    inner = robust_range(values)
    name = (
        f"float range [{inner[0]:g}, {inner[1]:g}]"
        if kind == "f"
        else f"{depth} bit range [{inner[0]:.0f}, {inner[1]:.0f}]"
    )
    steps.append(f"{name} scaled to [0, 1]")
    if inner != (low, high):
        notes.append(f"a few values far outside [{inner[0]:g}, {inner[1]:g}], up to [{low:g}, {high:g}], are clipped")
    return _between(values, *inner)


def grey_of_colour(
    values: NDArray[np.generic],
    steps: list[str],
    notes: list[str],
    *,
    bits: int | None = None,
    range: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    """Grey levels (H, W) in [0, 1] of RGB (H, W, 3), by luminance; see `scaled`.

    A declared range is one of grey: it holds for the luminance of the stored values, not for each colour.
    """
    if range is not None:
        return scaled(luminance(values.astype(np.float32)), steps, notes, range=range)
    return np.clip(luminance(scaled(values, steps, notes, bits=bits)), 0, 1)


def unused_depth(values: NDArray[np.generic], bits: int) -> tuple[int, int] | None:
    """(the highest value but for outliers, the bits it needs) where that is below a quarter of the depth; else None."""
    high = int(robust_range(values)[1] if values.size >= ENOUGH else values.max())
    return (high, max(8, high.bit_length())) if 0 < high < 2**bits // 4 else None


def _by_depth(values: NDArray[np.generic], bits: int, steps: list[str], notes: list[str]) -> NDArray[np.float32]:
    top = 2**bits - 1
    if bits > 8:
        steps.append(f"{bits} bit scaled by {top}")
        if said := unused_depth(values, bits):
            high, near = said
            notes.append(
                f"hardly any value is above {high}, which lies below a quarter of {bits} bit: if these are {near}-bit "
                f"data, declare it: --range 0,{2**near - 1}"
            )
    return np.clip(values.astype(np.float32) / np.float32(top), 0, 1)


def _between(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.float32]:
    out = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    out -= low
    out /= max(high - low, 1e-12)
    return np.clip(out, 0, 1, out=out).astype(np.float32)
