"""A model that looks at the lungs alone: the part of a film around them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from radiolucent.errors import CheckpointError
from radiolucent.files import sha256_file
from radiolucent.images.preprocess import Box
from radiolucent.segment.lungs import LungMask, lungs, weights_path
from radiolucent.types import Radiograph

__all__ = ["LungWindow", "lung_box", "window_from"]

KIND = "lungs"
LEAST = 0.2
"""Least side of the window as a share of the film's."""
_found: "WeakKeyDictionary[Radiograph, LungMask]" = WeakKeyDictionary()


@cache
def _weights() -> str:
    return sha256_file(weights_path())


def lung_box(mask: LungMask) -> Box | None:
    """The box around the lungs as shares of the film's sides, or None where the mask is not trusted."""
    if not mask.trusted or not mask.pixels.any():
        return None
    height, width = mask.pixels.shape
    rows, columns = np.flatnonzero(mask.pixels.any(1)), np.flatnonzero(mask.pixels.any(0))
    return (
        float(columns[0] / width), float(rows[0] / height), float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )  # fmt: skip


@dataclass(frozen=True)
class LungWindow:
    """The box around the lungs that our segmenter finds.

    Attributes:
        margin: by how much the box is grown on every side, as a share of the film's.
        typical: the box, in shares of the film's sides, where the segmenter does not trust its mask: never the whole
            film, which would show what the window is to hide.
        weights: SHA-256 of the segmenter's weights.
    """

    margin: float = 0.02
    typical: Box = (0.12, 0.1, 0.88, 0.85)
    weights: str = ""

    def __call__(self, film: Radiograph) -> Box:
        """The window in the film's own pixels."""
        mask = _found.get(film)
        if mask is None:
            mask = _found[film] = lungs(film)
        left, top, right, bottom = lung_box(mask) or self.typical
        height, width = film.shape
        across, down = _at_least(left, right, self.margin), _at_least(top, bottom, self.margin)
        return across[0] * width, down[0] * height, across[1] * width, down[1] * height

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = asdict(self) | {"typical": list(self.typical), "weights": self.weights or _weights()}
        return {"kind": KIND, **values}


def _at_least(low: float, high: float, margin: float) -> tuple[float, float]:
    """The interval grown by the margin, not below `LEAST`, within [0, 1]."""
    lacking = max(0.0, LEAST - (high - low + 2 * margin)) / 2
    return max(0.0, low - margin - lacking), min(1.0, high + margin + lacking)


def window_from(values: Mapping[str, Any]) -> LungWindow:
    """The inverse of `to_dict`.

    Raises:
        CheckpointError: another kind of window, or one found by other weights than those installed.
    """
    kind, weights = values.get("kind"), values.get("weights")
    if kind != KIND or weights != _weights():
        raise CheckpointError(
            f"window {kind!r} by weights {str(weights)[:12]}; this version has {KIND!r} by {_weights()[:12]}: use the "
            "radiolucent that made the model, or repair it again."
        )
    left, top, right, bottom = (float(v) for v in values["typical"])
    return LungWindow(float(values["margin"]), (left, top, right, bottom), str(weights))
