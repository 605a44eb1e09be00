"""Whether a film looks like a frontal chest film at all: by the lung finder's distrust, grey levels and shape.

Limits come from real films (`scripts/fit_chest_limits.py`, which also measures the false alarms on films held out).
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from radiolucent.images import Preprocess
from radiolucent.segment.distrust import SIGNS
from radiolucent.segment.lungs import Segmenter, shipped
from radiolucent.segment.net import SIDE
from radiolucent.types import Radiograph

__all__ = ["MEASURES", "measures", "out_of_place"]

MEASURES: Mapping[str, str] = {
    **SIGNS,
    "lung shade": "the lungs' grey level less that around them, in deviations; lungs are darker",
    "neighbours": "correlation of neighbouring pixels; noise has none",
    "fine structure": "what a 5 × 5 mean takes away, in deviations",
    "one grey level": "largest share of pixels within 4 of 256 grey levels",
    "grey levels": "entropy of the histogram, in bits",
    "upside down": "doubt about the lungs less that about the film turned upside down",
}
"""Every measure and what it is."""

UPWARDS = ("lung shade",)
"""Measures of which only much is odd: lungs may be as dark as exposure and contrast make them."""

TOGETHER = "all measures together"
_PREPROCESS = Preprocess(size=SIDE, channels=1, mean=(0.0,), std=(1.0,))


def measures(grey: NDArray[np.uint8], segmenter: Segmenter) -> dict[str, float]:
    """Every measure of one squashed film, uint8 (128, 128)."""
    chances, signs = segmenter.probabilities(np.stack([grey, grey[::-1]]))
    x = grey.astype(np.float64) / 255
    spread = float(x.std()) + 1e-6
    apart = x - x.mean()
    power = float((apart**2).mean()) + 1e-9
    near = min(float((apart[:, 1:] * apart[:, :-1]).mean()), float((apart[1:] * apart[:-1]).mean())) / power
    smooth = F.avg_pool2d(torch.from_numpy(x)[None, None], 5, 1, 2, count_include_pad=False)[0, 0].numpy()
    shares = np.bincount(grey.ravel() // 4, minlength=64) / grey.size
    some = shares[shares > 0]
    return {
        **signs[0],
        "lung shade": _shade(x, chances[0]) / spread,
        "neighbours": near,
        "fine structure": float(np.abs(x - smooth).mean()) / spread,
        "one grey level": float(shares.max()),
        "grey levels": float(-(some * np.log2(some)).sum()),
        "upside down": signs[0]["doubt"] - signs[1]["doubt"],
    }


def _shade(x: NDArray[np.float64], chance: NDArray[np.float32]) -> float:
    """Mean grey level of the lungs less that of a ring around them; 0 where there are none."""
    mask = torch.from_numpy(chance >= 0.5).float()[None, None]
    fine = F.interpolate(mask, size=(SIDE, SIDE), mode="nearest")
    ring = F.max_pool2d(fine, 17, 1, 8) - fine
    inside, around = fine[0, 0].numpy() > 0.5, ring[0, 0].numpy() > 0.5
    return float(x[inside].mean() - x[around].mean()) if inside.any() and around.any() else 0.0


@lru_cache(maxsize=1)
def _limits() -> dict[str, Any]:
    file = resources.files("radiolucent.segment") / "chest_limits.json"
    return json.loads(file.read_text(encoding="utf-8"))


def out_of_place(film: Radiograph) -> tuple[str, ...]:
    """Why a film does not look like a frontal chest film, in words, the clearest first; none: it does."""
    return reasons_of(measures(_PREPROCESS.quantise(film), shipped()), _limits())


def reasons_of(found: Mapping[str, float], limits: Mapping[str, Any]) -> tuple[str, ...]:
    """The measures outside their limits, the farthest first, and last all of them together."""
    said: list[tuple[float, str]] = []
    for name, (low, high) in limits["limits"].items():
        value = found[name]
        if value > high or (value < low and name not in UPWARDS):
            beyond = max(low - value, value - high) / limits["deviation"][name]
            said.append((beyond, f"{name} {value:.3g}, expected {low:.3g} to {high:.3g} ({MEASURES[name]})"))
    words = [text for _, text in sorted(said, reverse=True)]
    far = distance(found, limits)
    if far > limits["distance"]:
        words.append(f"{TOGETHER} {far:.3g}, expected at most {limits['distance']:.3g} (Mahalanobis distance)")
    return tuple(words)


def distance(found: Mapping[str, float], limits: Mapping[str, Any]) -> float:
    """Mahalanobis distance of a film's measures from those of chest films."""
    names = list(limits["limits"])
    z = np.array([(found[n] - limits["mean"][n]) / limits["deviation"][n] for n in names])
    return float(np.sqrt(z @ np.array(limits["inverse"]) @ z))
