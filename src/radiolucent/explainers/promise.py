"""What a method promises of its maps, and how far one keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["AddsUp", "Fits", "Promise", "adds_up"]


@dataclass(frozen=True)
class AddsUp:
    """The map's sum is the change of the score: `error` is what it misses, as a share of that change."""

    error: float


@dataclass(frozen=True)
class Fits:
    """The map is a linear model of the score: `r2` is its weighted R² on what was asked."""

    r2: float


Promise = AddsUp | Fits


def adds_up(details: Mapping[str, Any]) -> AddsUp | None:
    """From what `baselines.completeness` reports; None where there was no change to add up to."""
    error = details.get("completeness_relative")
    return None if error is None else AddsUp(abs(float(error)))
