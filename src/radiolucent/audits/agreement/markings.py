"""Readers' markings of a film as pixels: each reader's, and what several of them amount to."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.agreement.staple import staple
from radiolucent.images import coverage_to_model, region_mask
from radiolucent.types import Annotation, Geometry

__all__ = ["JOINED", "Mask", "by_reader", "chosen", "consensus", "joined", "means", "to_model", "vote", "zone_scores"]

Mask = NDArray[np.bool_]
JOINED = ("consensus", "staple", "union")  # what stands for several readers; any other word is a reader's name


def by_reader(annotations: Sequence[Annotation], shape: tuple[int, int]) -> dict[str, Mask]:
    """Each reader's marking (H, W), all their annotations of the film together.

    A reader who found something and outlined it nowhere is left out: where they saw it is unknown, not nowhere.
    """
    found: dict[str, Mask] = {}
    unplaced = {a.reader for a in annotations if a.finding and not any(r.kind != "zone" for r in a.regions)}
    for a in annotations:
        found[a.reader] = found.get(a.reader, np.zeros(shape, bool)) | region_mask(a, shape)
    return {name: mask for name, mask in found.items() if mask.any() or name not in unplaced}


def means(reader: str, name: str) -> bool:
    """Whether a word for readers includes this one.

    >>> means("consensus", "A"), means("A", "B"), means("without A", "B")
    (True, False, True)
    """
    return reader in JOINED or reader == name or (reader.startswith("without ") and reader[8:] != name)


def vote(readings: Sequence[Mask], shape: tuple[int, int]) -> Mask:
    """Pixels marked by at least half of the readings; of two, either counts."""
    votes = np.sum(readings, axis=0) if readings else np.zeros(shape, int)
    return (votes > 0) & (votes * 2 >= len(readings))


def joined(readings: Sequence[Mask], shape: tuple[int, int], how: str) -> Mask:
    """Several readings as one: "consensus" (`vote`), "union" (any), "staple" (more likely true than not)."""
    if how == "union":
        return np.logical_or.reduce(readings) if readings else np.zeros(shape, bool)
    if how == "staple" and len(readings) > 1:
        flat = np.stack(readings).reshape(len(readings), -1)
        return (staple(flat).probability > 0.5).reshape(shape)
    return vote(readings, shape)


def chosen(masks: Mapping[str, Mask], reader: str) -> list[Mask]:
    """The readings that a word stands for: all, a reader's own, or, by "without NAME", all others'."""
    if reader in JOINED:
        return list(masks.values())
    if reader in masks:
        return [masks[reader]]
    left = reader.removeprefix("without ")
    return [mask for name, mask in masks.items() if name != left] if left != reader and left in masks else []


def consensus(annotations: Sequence[Annotation], shape: tuple[int, int]) -> Mask:
    """Pixels (H, W) marked by at least half of the readers of one film; a reader without a finding marks none.

    Of two readers, either counts; of three, two must agree. Several annotations by one reader are one reading.
    """
    return vote(list(by_reader(annotations, shape).values()), shape)


def to_model(mask: Mask, geometry: Geometry) -> Mask:
    """Model pixels at least half as covered as the most covered among them and their eight neighbours.

    Inside and along a marking that fills pixels that is half of a pixel; a thin line or a dot, which fills none, keeps
    the pixels that it covers most.
    """
    from scipy import ndimage

    cover = coverage_to_model(mask, geometry)
    return (cover > 0) & (cover >= 0.5 * ndimage.maximum_filter(cover, 3, mode="constant") - 1e-6)


def zone_scores(annotations: Iterable[Annotation], reader: str) -> dict[str, float]:
    """Mean severity of each zone over the readers a word stands for; empty where nobody scored zones."""
    found: dict[str, list[float]] = {}
    for a in annotations:
        if reader in JOINED or reader == a.reader or (reader.startswith("without ") and reader[8:] != a.reader):
            for region in a.regions:
                if region.kind == "zone" and region.name and region.score is not None:
                    found.setdefault(region.name, []).append(region.score)
    return {name: float(np.mean(scores)) for name, scores in found.items()}
