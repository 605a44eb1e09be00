"""What a film's panel says, however it is drawn: names, readers' words, the trust below a map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trust import trust_line
from radiolucent.explainers import METHODS
from radiolucent.figures.case import Case
from radiolucent.figures.palette import READERS
from radiolucent.types import Annotation, Explanation, Geometry, plain_label

__all__ = [
    "DOCTOR",
    "broke_or_failed",
    "method_name",
    "of_target",
    "readers_colours",
    "readers_words",
    "said_below",
    "to_film",
]

DOCTOR = {
    (False, False): "Doctor: not read",
    (True, False): "Doctor: nothing marked",
    (True, True): "Doctor's marking",
}


def method_name(method: str) -> str:
    """A method's title by its name; of a method that is not in `METHODS` the name itself.

    >>> method_name("gradcam"), method_name("mine")
    ('Grad-CAM', 'mine')
    """
    return METHODS[method].title if method in METHODS else method


def readers_colours(annotations: Sequence[Annotation]) -> dict[str, str]:
    names = list(dict.fromkeys(a.reader for a in annotations))
    return {name: READERS[i % len(READERS)] for i, name in enumerate(names)}


def readers_words(annotations: Sequence[Annotation]) -> list[tuple[str, str]]:
    """(reader, their words) in order; a reading without words gives its label, or whether anything was found."""
    found: dict[str, list[str]] = {}
    for a in annotations:
        words = a.statement or a.label or ("finding marked" if a.finding else "no finding")
        if words not in found.setdefault(a.reader, []):
            found[a.reader].append(words)
    return [(reader, "; ".join(words)) for reader, words in found.items()]


def of_target(case: Case, e: Explanation) -> Sequence[Annotation]:
    """The readings that belong on a map: of a model of several labels those of its label."""
    if not case.labels:
        return case.annotations
    return [a for a in case.annotations if a.label is not None and plain_label(a.label) == plain_label(e.target_name)]


def said_below(e: Explanation) -> str:
    """What stands below a map: its trust stamp, or that it breaks its method's promise."""
    return trust_line(e) if e.trust else str(e.details.get("broken_promise", ""))


def broke_or_failed(e: Explanation) -> bool:
    return "broken_promise" in e.details or (bool(e.trust) and e.trust["verdict"] == "fail")


def to_film(mask: NDArray[np.int8], geometry: Geometry) -> NDArray[np.int8]:
    """Signs (h, w) of the model's frame at the source's pixel centres, (H, W); 0 outside the model's view."""
    rows, columns = (np.arange(size) + 0.5 for size in geometry.source_shape)
    diagonal = np.zeros((max(geometry.source_shape), 2))
    diagonal[: len(columns), 0], diagonal[: len(rows), 1] = columns, rows
    points = np.floor(geometry.to_model(diagonal)).astype(int)
    x, y = points[: len(columns), 0], points[: len(rows), 1]
    seen = ((y >= 0) & (y < mask.shape[0]))[:, None] & ((x >= 0) & (x < mask.shape[1]))[None]
    found = mask[np.clip(y, 0, mask.shape[0] - 1)[:, None], np.clip(x, 0, mask.shape[1] - 1)[None]]
    return np.where(seen, found, 0).astype(np.int8)
