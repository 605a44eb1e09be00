"""When not to believe a lung mask: signs that can be read off without knowing the truth, and their limits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.segment.connected import connected, grown

__all__ = ["EXPECTED", "SIGNS", "Expectation", "clean", "reasons", "signs"]

Probabilities = NDArray[np.float32]
Logits = NDArray[np.float32]
Limits = Mapping[str, tuple[float, float]]
SPECK = 0.2
"""A component smaller than this share of the largest is no lung."""

SIGNS: Mapping[str, str] = {
    "area": "the lungs' share of the film",
    "parts": "number of separate lungs",
    "balance": "area of the smaller lung over the larger",
    "taper": "mean width of the mask's lower half over its upper half",
    "doubt": "expected wrong pixels by the network's own probabilities, over the area",
    "mirror": "1 − Dice with the mask of the film mirrored and moved by a sixteenth",
}
"""Every sign of distrust and what it measures."""
EXPECTED = "expected"
"""The name of the figure that combines the signs."""
FLOOR = 0.01
"""Added before logarithms are taken."""


@dataclass(frozen=True)
class Expectation:
    """What Dice to expect where the truth is not known: log(1 − Dice) is quadratic in the logarithms of the signs.

    Attributes:
        weights: of each of `terms`, fitted on validation films by `scripts/train_lungs.py`.
        ranges: (low, high) of every sign on those films; a sign beyond them counts as at their edge.
    """

    weights: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]

    def __call__(self, found: Mapping[str, float]) -> float:
        """The expected Dice, in [0, 1]; 0 of an empty mask, of which the films that it was fitted on tell nothing."""
        if found.get("area") == 0:
            return 0.0
        error = math.exp(sum(self.weights[name] * x for name, x in self.terms(found).items())) - FLOOR
        return min(1.0, max(0.0, 1 - error))

    def terms(self, found: Mapping[str, float]) -> dict[str, float]:
        """1, and the logarithm of every sign with its square."""
        out = {"1": 1.0}
        for name, (low, high) in self.ranges.items():
            out[name] = math.log(min(max(found[name], low), high) + FLOOR)
            out[f"{name}²"] = out[name] ** 2
        return out


def clean(p: Probabilities) -> Probabilities:
    """Probabilities (h, w) without specks (0 there) and without holes (1 there)."""
    from scipy import ndimage

    mask = p >= 0.5
    labels, count = connected(mask)
    if not count:
        return p
    sizes = np.bincount(labels.ravel())[1:]
    small = np.flatnonzero(sizes < SPECK * sizes.max()) + 1
    out = p.copy()
    if len(small):
        speck = np.isin(labels, small)
        kept = mask & ~speck
        out[grown(speck, (5, 5)) & ~kept] = 0  # with its rim, which interpolation would lift
    filled = np.asarray(ndimage.binary_fill_holes(out >= 0.5), bool)
    out[filled & (out < 0.5)] = 1
    return out


def signs(mean: Probabilities, plain: Logits, again: Logits) -> dict[str, float]:
    """Every sign for one film.

    Args:
        mean: cleaned mean of both, as probabilities. plain, again: logits (h, w) from the film and from its mirror
            image, moved; both brought back to the film's frame, not-a-number where the move has left nothing.
    """
    mask = mean >= 0.5
    if not mask.any():
        return {"area": 0.0, "parts": 0.0, "balance": 0.0, "taper": 0.0, "doubt": 1.0, "mirror": 1.0}
    labels, count = connected(mask)
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    middle = mask.shape[1] // 2
    halves = sorted((float(mask[:, :middle].sum()), float(mask[:, middle:].sum())))
    balance = float(sizes[1] / sizes[0]) if count > 1 else halves[0] / halves[1]
    widths = mask.sum(1)[mask.any(1)]
    half = len(widths) // 2
    taper = float(widths[half:].mean() / max(widths[:half].mean(), 1e-6)) if half else 0.0
    doubt = float(np.minimum(mean, 1 - mean).sum() / mask.sum())
    known = np.isfinite(again)
    return {
        "area": float(mask.mean()),
        "parts": float(count),
        "balance": balance,
        "taper": taper,
        "doubt": doubt,
        "mirror": _apart(plain[known], again[known]),
    }


def _apart(a: Logits, b: Logits) -> float:
    """1 − Dice of two masks; 1 where both are empty."""
    x, y = a >= 0, b >= 0
    total = float(x.sum() + y.sum())
    return 1 - 2 * float((x & y).sum()) / total if total else 1.0


def reasons(found: Mapping[str, float], limits: Limits) -> tuple[str, ...]:
    """In words, every sign outside its limits; none: the mask is trusted."""
    said: list[str] = []
    for name, (low, high) in limits.items():
        value = found[name]
        if low <= value <= high:
            continue
        if name == EXPECTED:
            said.append(f"an expected Dice of {value:.3g}, below {low:.3g}")
        else:
            said.append(f"{name} {value:.3g}, expected {low:.3g} to {high:.3g} ({SIGNS[name]})")
    return tuple(said)
