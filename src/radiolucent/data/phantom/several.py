"""Phantoms with any of three findings: consolidation, effusion, cardiomegaly, each with its place."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.phantom.anatomy import Anatomy, Plane, Thorax, heart_reach, step, thorax
from radiolucent.data.phantom.draw import exposed, plane
from radiolucent.data.phantom.opacities import LUNG_EDGE, opacity
from radiolucent.data.phantom.readers import READERS, ReaderModel, false_box, marks
from radiolucent.types import Annotation

__all__ = ["FINDINGS", "SeveralPhantom", "draw_several", "enlarged", "readings_of_several"]

FINDINGS = ("consolidation", "effusion", "cardiomegaly")


@dataclass(frozen=True, eq=False)
class SeveralPhantom:
    """A drawn film with the truth about it.

    Attributes:
        pixels: uint8 (S, S). lungs, marker: true masks, bool (S, S).
        places: by finding that the film has, where it is, bool (S, S). words: how a perfect reader would say it.
        strength: by finding, from 0 (faint) to 1 (plain).
    """

    pixels: NDArray[np.uint8]
    lungs: NDArray[np.bool_]
    marker: NDArray[np.bool_]
    places: Mapping[str, NDArray[np.bool_]]
    words: Mapping[str, str]
    strength: Mapping[str, float]


def enlarged(child: Anatomy, rng: np.random.Generator) -> Anatomy:
    """The child with a heart that takes more than half of the thorax."""
    return dataclasses.replace(
        child, heart=child.heart + rng.uniform(0.10, 0.18), heart_x=child.heart_x + rng.uniform(0.02, 0.05)
    )


def draw_several(
    seed: int | np.random.Generator,
    findings: Collection[str],
    *,
    size: int = 256,
    marker: str = "",
    anatomy: Anatomy | None = None,
    site: int = 0,
    subtle: float = 0.3,
) -> SeveralPhantom:
    """Draw one film with these of `FINDINGS`.

    Args:
        anatomy: the child; with cardiomegaly the heart is enlarged from its own. Others: see `draw`.
    """
    rng = np.random.default_rng(seed)
    child = anatomy or Anatomy.of(rng)
    if "cardiomegaly" in findings:
        child = enlarged(child, rng)
    x, y = plane(size, rng)
    chest = thorax(x, y, child, rng)
    total, lungs = chest.attenuation, np.maximum(chest.right, chest.left) > LUNG_EDGE
    places, words, strength = dict[str, NDArray[np.bool_]](), dict[str, str](), dict[str, float]()
    if "consolidation" in findings:
        strength["consolidation"] = float(rng.uniform(subtle, 0.95))
        kind = "lobar" if rng.random() < 0.7 else "round"
        found = opacity(kind, x, y, chest, strength["consolidation"], "bacteria", rng)
        total, places["consolidation"], words["consolidation"] = total + found.added, found.mask, found.words
    if "effusion" in findings:
        strength["effusion"] = float(rng.uniform(0.3, 1.0))
        added, places["effusion"], words["effusion"] = _effusion(x, y, chest, strength["effusion"], rng)
        total = total + added
    if "cardiomegaly" in findings:
        strength["cardiomegaly"] = float(np.clip((child.heart - 0.4) / 0.15, 0, 1))
        places["cardiomegaly"], words["cardiomegaly"] = heart_reach(x, y, child) < child.heart, "enlarged heart"
    pixels, stamped = exposed(total.astype(np.float32), marker, site, rng)
    return SeveralPhantom(pixels, lungs, stamped, places, words, strength)


def _effusion(
    x: Plane, y: Plane, chest: Thorax, strength: float, rng: np.random.Generator
) -> tuple[Plane, NDArray[np.bool_], str]:
    """Fluid at the base of one lung, sometimes of both, higher at the wall than in the middle (the meniscus)."""
    sides = (-1, 1) if rng.random() < 0.25 else (int(rng.choice([-1, 1])),)
    added = np.zeros_like(x)
    for side in sides:
        lung = chest.right if side < 0 else chest.left
        s, rows = x * side, y[lung > 0.9]
        low, high = float(rows.max()), float(rows.min())
        depth = (0.12 + 0.26 * strength) * (low - high)
        across = np.clip((s - 0.15) / 0.55, 0, 1)
        surface = low - depth * (0.35 + 0.65 * across**1.5)
        added = np.maximum(added, step(y - surface, 0.02) * lung)
    mask = (added > 0.5) & (np.maximum(chest.right, chest.left) > LUNG_EDGE)
    where = " and ".join("right" if side < 0 else "left" for side in sides)
    return (added * (0.6 + 0.25 * strength)).astype(np.float32), mask, f"pleural effusion, {where} lower zone"


def readings_of_several(
    phantom: SeveralPhantom,
    image_id: str,
    *,
    seed: int | Sequence[int],
    readers: Sequence[ReaderModel] = READERS,
) -> list[Annotation]:
    """What each reader says of a film: for every finding that is seen its places and words, or "no finding"."""
    shape = (phantom.pixels.shape[0], phantom.pixels.shape[1])
    rng = np.random.default_rng(seed)
    found: list[Annotation] = []
    for reader in readers:
        said: list[Annotation] = []
        for name in FINDINGS:
            ease = 0.35 * (phantom.strength.get(name, 0.5) - 0.5)
            chance = np.clip(reader.sensitivity + ease, 0.05, 0.995) if name in phantom.places else (
                (1 - reader.specificity) / len(FINDINGS)
            )  # fmt: skip
            if rng.random() >= chance:
                continue
            real = name in phantom.places
            regions = marks(phantom.places[name], reader, rng) if real else false_box(phantom.lungs, rng)
            words = phantom.words[name] if real else f"possible {name}"
            said.append(Annotation(image_id, regions, name, reader.name, words, True, shape))
        found += said or [Annotation(image_id, (), "no finding", reader.name, "no finding", False, shape)]
    return found
