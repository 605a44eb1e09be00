"""What a method promises of its maps, and how far one keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BROKEN", "AddsUp", "Fits", "Promise", "adds_up", "broken"]

BROKEN = 0.05
"""A map's sum that misses more than this share of the score's change does not add up to it."""

ROUNDING = 1e-4
"""Share of a map's summed magnitude below which what is missing may be rounding."""


@dataclass(frozen=True)
class AddsUp:
    """The map's sum is the change of the score: `error` is what it misses, as a share of that change.

    Attributes:
        missing: the same in the score's own units.
    """

    error: float
    missing: float = float("inf")


@dataclass(frozen=True)
class Fits:
    """The map is a linear model of the score: `r2` is its weighted R² on what was asked."""

    r2: float


Promise = AddsUp | Fits


def adds_up(details: Mapping[str, Any]) -> AddsUp | None:
    """From what `baselines.completeness` reports; None where there was no change to add up to."""
    error = details.get("completeness_relative")
    missing = details.get("completeness_error", float("inf"))
    return None if error is None else AddsUp(abs(float(error)), abs(float(missing)))


def broken(promise: Promise | None, values: NDArray[Any]) -> str | None:
    """What to print on a map (H, W) that does not keep its method's promise; None where it does."""
    if not isinstance(promise, AddsUp) or promise.error <= BROKEN:
        return None
    if promise.missing <= ROUNDING * float(np.abs(values).sum(dtype=np.float64)):
        return None
    return f"does not add up: the map's sum misses {promise.error:.0%} of the score's change"
