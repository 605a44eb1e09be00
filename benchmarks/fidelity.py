"""Whether two libraries' answers are the same, for benchmarks/methods.py: Pearson's r of their maps."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from radiolucent.explainers.base import Attribution

RECTIFIED = ("grad-cam", "torchcam")
"""Libraries that drop what speaks against the class."""


def maps_of(found: Any, size: tuple[int, int]) -> torch.Tensor:
    """What any of the libraries gives as maps float64 (N, H, W): channels summed, coarse maps upsampled."""
    if isinstance(found, Attribution):
        found = found.maps
    if isinstance(found, tuple):  # zennit: logits and relevance
        found = found[1]
    if isinstance(found, list):  # torchcam: a tensor a layer
        found = found[0]
    maps = torch.as_tensor(found).detach().double()
    maps = maps.sum(1) if maps.ndim == 4 else maps
    maps = maps[None] if maps.ndim == 2 else maps
    if tuple(maps.shape[1:]) != size:
        maps = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return maps


def alike(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The mean over films of Pearson's r of two maps (N, H, W); not-a-number where one of them is even."""
    pairs = zip(ours.flatten(1).numpy(), theirs.flatten(1).numpy(), strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))


def agreement(library: str, ours: torch.Tensor, theirs: Any) -> float:
    """Our maps' r with a library's, at the same settings."""
    size = (int(ours.shape[1]), int(ours.shape[2]))
    return alike(ours.clamp(min=0) if library in RECTIFIED else ours, maps_of(theirs, size))


def errors(answers: dict[str, Any], many: Callable[[], object], size: tuple[int, int]) -> dict[str, float]:
    """1 − r of each contender's map with one from many samples."""
    truth = maps_of(many(), size)
    return {library: 1 - alike(maps_of(found, size), truth) for library, found in answers.items()}


def told(agreements: dict[str, float], from_many: dict[str, float], libraries: Sequence[str]) -> str:
    """A cell of the table."""
    if from_many:
        return "1 − r: " + ", ".join(f"{n} {from_many[n]:.4f}" for n in ("ours", *libraries) if n in from_many)
    return ", ".join(f"{n} {agreements[n]:.4f}" for n in libraries if n in agreements) or "–"
