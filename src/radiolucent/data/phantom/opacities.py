"""Pneumonia as drawn here: consolidation, round, patchy and interstitial opacities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radiolucent.data.phantom.anatomy import Plane, Thorax, smooth_noise

__all__ = ["KINDS", "Opacity", "opacity"]

KINDS = ("lobar", "round", "patchy", "interstitial")
_WORDS = {
    "lobar": "consolidation",
    "round": "round opacity",
    "patchy": "patchy opacities",
    "interstitial": "interstitial markings",
}
LUNG_EDGE = 0.5


@dataclass(frozen=True, eq=False)
class Opacity:
    """What was added to the attenuation, where it counts as visible, and how a reader would say it."""

    added: Plane
    mask: NDArray[np.bool_]
    kind: str
    words: str


def opacity(
    kind: str, x: Plane, y: Plane, chest: Thorax, strength: float, etiology: str, rng: np.random.Generator
) -> Opacity:
    """Draw one kind of opacity into the lungs.

    Args:
        strength: about 0.25 (subtle) to 0.7 (dense), added attenuation at the centre.
        etiology: "bacteria" (one side) or "virus" (both).
    """
    sides = (-1, 1) if kind == "interstitial" or etiology == "virus" else (int(rng.choice([-1, 1])),)
    added = np.zeros_like(x)
    words: list[str] = []
    for side in sides:
        lung = chest.right if side < 0 else chest.left
        shape, zone = _shape(kind, x * side, y, lung, rng)
        added = np.maximum(added, shape * lung)
        words.append(f"{'right' if side < 0 else 'left'} {zone}")
    added *= strength
    # A reader outlines the place, not each streak: the mask follows the opacity's envelope.
    envelope = ndimage.gaussian_filter(added, added.shape[0] / 64)
    mask = (envelope > 0.35 * envelope.max()) & (np.maximum(chest.right, chest.left) > LUNG_EDGE)
    return Opacity(added.astype(np.float32), mask, kind, f"{_WORDS[kind]}, {' and '.join(words)}")


def _blob(
    s: Plane, y: Plane, centre: tuple[float, float], radius: tuple[float, float], rough: Plane, edge: float
) -> Plane:
    distance = np.hypot((s - centre[0]) / radius[0], (y - centre[1]) / radius[1]) + rough
    return (1 / (1 + np.exp(np.clip((distance - 1) / edge, -40, 40)))).astype(np.float32)


def _centre(lung: Plane, s: Plane, y: Plane, low: float, high: float, rng: np.random.Generator) -> tuple[float, float]:
    """A random place well inside the lung, between two relative heights (0 apex, 1 base)."""
    rows = y[lung > 0.9]
    top, bottom = float(rows.min()), float(rows.max())
    inside = (lung > 0.95) & (y > top + low * (bottom - top)) & (y < top + high * (bottom - top))
    places = np.flatnonzero(inside)
    if not len(places):
        places = np.flatnonzero(lung > 0.9)
    pick = int(rng.choice(places))
    return float(s.ravel()[pick]), float(y.ravel()[pick])


def _zone(lung: Plane, y: Plane, at: float) -> str:
    rows = y[lung > 0.9]
    share = (at - float(rows.min())) / max(float(np.ptp(rows)), 1e-6)
    return "upper zone" if share < 0.38 else "middle zone" if share < 0.66 else "lower zone"


def _shape(kind: str, s: Plane, y: Plane, lung: Plane, rng: np.random.Generator) -> tuple[Plane, str]:
    size = (s.shape[0], s.shape[1])
    rough = 0.16 * smooth_noise(size, 9, rng)
    if kind == "lobar":
        centre = _centre(lung, s, y, 0.25, 0.9, rng)
        radius = (rng.uniform(0.17, 0.26), rng.uniform(0.14, 0.22))
        shape = _blob(s, y, centre, radius, rough, 0.12)
        bronchi = np.clip(smooth_noise(size, 26, rng) - 0.9, 0, 1) * 0.5  # air bronchograms
        return shape * (1 - bronchi), _zone(lung, y, centre[1])
    if kind == "round":
        centre = _centre(lung, s, y, 0.2, 0.85, rng)
        r = rng.uniform(0.09, 0.14)
        return _blob(s, y, centre, (r, r), 0.5 * rough, 0.09), _zone(lung, y, centre[1])
    if kind == "patchy":
        patches = np.zeros_like(s)
        heights: list[float] = []
        for _ in range(int(rng.integers(3, 6))):
            centre = _centre(lung, s, y, 0.25, 0.95, rng)
            r = rng.uniform(0.05, 0.10)
            patches = np.maximum(patches, _blob(s, y, centre, (r, r), 1.4 * rough, 0.22) * rng.uniform(0.7, 1.0))
            heights.append(centre[1])
        return patches, _zone(lung, y, float(np.median(heights)))
    hilum = np.exp(-0.5 * (np.hypot((s - 0.26) / 0.17, (y + 0.02) / 0.24)) ** 2)
    streaks = np.abs(smooth_noise(size, 34, rng))
    lines = np.clip(1.15 - 2.2 * streaks, 0, 1)
    return (hilum * (0.55 + 0.75 * lines)).astype(np.float32), "perihilar"
