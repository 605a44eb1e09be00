"""When not to believe a lung mask: signs that can be read off without knowing the truth, and their limits."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from radiolucent.segment.connected import connected, grown

__all__ = ["SIGNS", "clean", "reasons", "signs"]

Probabilities = NDArray[np.float32]
Limits = Mapping[str, tuple[float, float]]
SPECK = 0.2
"""A component smaller than this share of the largest is no lung."""

SIGNS: Mapping[str, str] = {
    "area": "the lungs' share of the film",
    "parts": "number of separate lungs",
    "balance": "area of the smaller lung over the larger",
    "taper": "mean width of the mask's lower half over its upper half",
    "doubt": "expected wrong pixels by the network's own probabilities, over the area",
    "mirror": "1 − Dice with the mask of the mirrored film",
    "shift": "1 − Dice with the mask of the film shifted by a sixteenth",
}
"""Every sign of distrust and what it measures."""


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


def signs(
    mean: Probabilities, plain: Probabilities, mirrored: Probabilities, shifted: Probabilities
) -> dict[str, float]:
    """Every sign for one film.

    Args:
        mean: cleaned mean of the three. plain, mirrored, shifted: probabilities (h, w) from the film, from its mirror
            image and from the shifted film, all brought back to the film's frame; not-a-number where a shift has left
            nothing.
    """
    mask = mean >= 0.5
    if not mask.any():
        return {"area": 0.0, "parts": 0.0, "balance": 0.0, "taper": 0.0, "doubt": 1.0, "mirror": 1.0, "shift": 1.0}
    labels, count = connected(mask)
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    middle = mask.shape[1] // 2
    halves = sorted((float(mask[:, :middle].sum()), float(mask[:, middle:].sum())))
    balance = float(sizes[1] / sizes[0]) if count > 1 else halves[0] / halves[1]
    widths = mask.sum(1)[mask.any(1)]
    half = len(widths) // 2
    taper = float(widths[half:].mean() / max(widths[:half].mean(), 1e-6)) if half else 0.0
    doubt = float(np.minimum(mean, 1 - mean).sum() / mask.sum())
    known = np.isfinite(shifted)
    return {
        "area": float(mask.mean()),
        "parts": float(count),
        "balance": balance,
        "taper": taper,
        "doubt": doubt,
        "mirror": _apart(plain, mirrored),
        "shift": _apart(plain[known], shifted[known]),
    }


def _apart(a: Probabilities, b: Probabilities) -> float:
    """1 − Dice of two masks; 1 where both are empty."""
    x, y = a >= 0.5, b >= 0.5
    total = float(x.sum() + y.sum())
    return 1 - 2 * float((x & y).sum()) / total if total else 1.0


def reasons(found: Mapping[str, float], limits: Limits) -> tuple[str, ...]:
    """In words, every sign outside its limits; none: the mask is trusted."""
    said: list[str] = []
    for name, (low, high) in limits.items():
        value = found[name]
        if not low <= value <= high:
            said.append(f"{name} {value:.3g}, expected {low:.3g} to {high:.3g} ({SIGNS[name]})")
    return tuple(said)
