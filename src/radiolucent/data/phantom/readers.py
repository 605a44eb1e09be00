"""Simulated readers: what doctors of known skill would mark and say of a phantom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radiolucent.data.phantom.draw import Phantom
from radiolucent.types import Annotation, Region

__all__ = ["READERS", "ReaderModel", "false_box", "marks", "readings"]


@dataclass(frozen=True)
class ReaderModel:
    """How a reader errs.

    Attributes:
        name: of the reader.
        sensitivity: chance of seeing an opacity of middling density (fainter ones less, denser ones more).
        specificity: chance of saying "no finding" where there is none.
        jitter: standard deviation of each box edge, as a fraction of the box.
        outlines: share of findings marked with a polygon instead of a box.
    """

    name: str
    sensitivity: float
    specificity: float
    jitter: float
    outlines: float = 0.0


READERS = (
    ReaderModel("reader A", 0.96, 0.97, 0.06, 0.5),
    ReaderModel("reader B", 0.90, 0.98, 0.10),
    ReaderModel("reader C", 0.84, 0.93, 0.15),
)


def readings(
    phantom: Phantom,
    image_id: str,
    class_names: tuple[str, str],
    *,
    seed: int | Sequence[int],
    readers: Sequence[ReaderModel] = READERS,
) -> list[Annotation]:
    """What each reader says of a film: boxes or outlines with words, or "no finding"."""
    shape = (phantom.pixels.shape[0], phantom.pixels.shape[1])
    rng = np.random.default_rng(seed)
    found: list[Annotation] = []
    for reader in readers:
        if phantom.label:
            ease = 0.35 * (phantom.strength - 0.5)
            seen = rng.random() < np.clip(reader.sensitivity + ease, 0.05, 0.995)
            regions = marks(phantom.opacity, reader, rng) if seen else ()
            words = phantom.words if seen else "no finding"
        else:
            false_alarm = rng.random() >= reader.specificity
            regions = false_box(phantom.lungs, rng) if false_alarm else ()
            words = "possible opacity" if false_alarm else "no finding"
        label = class_names[1] if regions else class_names[0]
        found.append(Annotation(image_id, regions, label, reader.name, words, bool(regions), shape))
    return found


def marks(mask: NDArray[np.bool_], reader: ReaderModel, rng: np.random.Generator) -> tuple[Region, ...]:
    """A region around each larger part of the opacity; small parts near each other are taken together."""
    grown = ndimage.binary_dilation(mask, iterations=max(2, mask.shape[0] // 40))
    labels, count = cast(tuple[NDArray[np.int32], int], ndimage.label(grown))
    regions: list[Region] = []
    for part in range(1, count + 1):
        inside = (labels == part) & mask
        if inside.sum() < 0.12 * mask.sum():
            continue
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        sway = rng.normal(0, reader.jitter, 4) * (bottom - top, bottom - top, right - left, right - left)
        y0, y1 = np.clip([top + sway[0], bottom + sway[1]], 0, mask.shape[0])
        x0, x1 = np.clip([left + sway[2], right + sway[3]], 0, mask.shape[1])
        if y1 - y0 < 3 or x1 - x0 < 3:
            x0, x1, y0, y1 = float(left), float(right), float(top), float(bottom)
        if rng.random() < reader.outlines:
            turns = np.linspace(0, 2 * np.pi, 16, endpoint=False)
            wobble = 1 + rng.normal(0, reader.jitter / 2, 16)
            corners = np.stack(
                [
                    (x0 + x1) / 2 + np.cos(turns) * wobble * (x1 - x0) / 2,
                    (y0 + y1) / 2 + np.sin(turns) * wobble * (y1 - y0) / 2,
                ],
                1,
            )
            regions.append(Region.polygon(np.clip(corners, 0, mask.shape[0]).round(1)))
        else:
            regions.append(Region.box(*(round(float(v), 1) for v in (x0, y0, x1 - x0, y1 - y0))))
    return tuple(regions)


def false_box(lungs: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Region, ...]:
    rows, columns = np.nonzero(lungs)
    pick = int(rng.integers(len(rows)))
    side = lungs.shape[0] * rng.uniform(0.08, 0.16)
    x, y = max(0.0, columns[pick] - side / 2), max(0.0, rows[pick] - side / 2)
    return (Region.box(round(x, 1), round(y, 1), round(side, 1), round(side, 1)),)
