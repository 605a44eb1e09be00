"""Side markers put on films at random, so that a network cannot learn from them, and taken off.

Works on 8-bit films in the model's frame, or in any other. The audit pastes markers with the same function.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.images.fill import dilated, fill

__all__ = ["LEGIBLE", "MARGIN", "Paste", "Patch", "marker_place", "patches", "without_markers"]

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
TRIES = 40
MARGIN = 0.012
"""Share of the side by which a marker's ink is grown before it is filled: its soft edge goes too."""
LEGIBLE = (7.0, 9.0)
"""Least height of a pasted letter in pixels: of fewer pixels it is a dot that no network could have learnt."""
LARGEST = 0.25
"""Largest side of a patch as a share of the film's: whatever is larger is no marker."""


def marker_place(
    busy: Mask, frame: tuple[int, int, int, int], text: str, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Coverage (H, W) of a side marker beside the shoulder: R at the film's left, L at its right.

    Args:
        busy: (H, W), what it is to keep clear of as far as may be. frame: the film's box (top, bottom, left, right).
    """
    from radiolucent.data.phantom.markers import stamp

    top, bottom, left, right = frame
    height, width = bottom - top, right - left
    best, least = np.zeros(busy.shape, np.float32), float("inf")
    for _ in range(TRIES):
        tall = max(rng.uniform(0.055, 0.09) * height, rng.uniform(*LEGIBLE))
        inset = rng.uniform(0.03, 0.09) * width
        x = right - inset - 0.62 * tall if text == "L" else left + inset
        y = top + rng.uniform(0.04, 0.26) * height
        ink = stamp((busy.shape[0], busy.shape[1]), text, x, y, tall)
        touched = float(ink[busy].sum())
        if touched < least:
            best, least = ink, touched
        if least == 0:
            break
    return best


def without_markers(film: Pixels, markers: Mask) -> Pixels:
    """The film (S, S) with its markers and their rims filled from around them."""
    if not markers.any():
        return film
    grey = fill(film.astype(np.float32) / np.float32(255), dilated(markers, MARGIN))
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Patch:
    """A marker cut from a film: grey uint8 (h, w), ink bool (h, w), and where its top left corner was."""

    grey: Pixels
    ink: Mask
    row: int
    column: int


def patches(films: Pixels, markers: Mask, most: int = 500) -> tuple[Patch, ...]:
    """The markers on films (N, S, S), one a connected component of their masks, at most `most`."""
    from scipy import ndimage

    found: list[Patch] = []
    side = films.shape[1]
    for film, mask in zip(films, markers, strict=True):
        if len(found) >= most:
            break
        if not mask.any():
            continue
        ink = dilated(mask, MARGIN)
        labels, _ = ndimage.label(ink)  # pyright: ignore[reportGeneralTypeIssues]
        for k, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            if max(height, width) <= LARGEST * side:
                found.append(
                    Patch(film[rows, columns].copy(), labels[rows, columns] == k, int(rows.start), int(columns.start))
                )
    return tuple(found[:most])


@dataclass(frozen=True, eq=False)
class Paste:
    """Markers on a share of the films, of every class alike, other ones every epoch.

    Attributes:
        share: of the films. texts: what is drawn. bank: markers cut from films, pasted near where they were, as often
            as drawn ones where there are any. lungs: bool (N, S, S), kept clear as far as may be, or None.
    """

    share: float = 0.5
    texts: tuple[str, ...] = ("R", "L", "R", "L", "AP", "P", "A1", "R3", "L2")
    bank: Sequence[Patch] = dataclasses.field(default=())
    lungs: Mask | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or not self.texts:
            raise ConfigError(f"share {self.share} of films with markers {self.texts}; expected (0, 1] and some.")

    def apply(self, films: Pixels, positions: NDArray[np.intp], seed: Sequence[int]) -> Pixels:
        """Films uint8 (B, S, S) with markers on some; what a film gets depends on (seed, its position) alone."""
        out = films.copy()
        for i, position in enumerate(positions):
            rng = np.random.default_rng([*seed, int(position), 0x3A])
            if rng.random() >= self.share:
                continue
            if len(self.bank) and rng.random() < 0.5:
                out[i] = self._cut(out[i], rng)
            else:
                out[i] = self._drawn(out[i], None if self.lungs is None else self.lungs[position], rng)
        return out

    def _drawn(self, film: Pixels, lungs: Mask | None, rng: np.random.Generator) -> Pixels:
        text = self.texts[int(rng.integers(len(self.texts)))]
        busy = np.zeros(film.shape, bool) if lungs is None else np.asarray(lungs)
        # Drawn on the mirrored film half of the time, so that no letter keeps to its side.
        turned = rng.random() < 0.5
        place = busy[:, ::-1] if turned else busy
        ink = marker_place(place, (0, film.shape[0], 0, film.shape[1]), text, rng)
        if turned:
            ink = _moved_across(ink)
        bright = 255 * rng.uniform(0.7, 1.0)
        return np.rint(film * (1 - ink) + bright * ink).astype(np.uint8)

    def _cut(self, film: Pixels, rng: np.random.Generator) -> Pixels:
        patch = self.bank[int(rng.integers(len(self.bank)))]
        (height, width), side = patch.grey.shape, film.shape[0]
        jitter = max(1, round(0.05 * side))
        column = side - patch.column - width if rng.random() < 0.5 else patch.column
        row = int(np.clip(patch.row + rng.integers(-jitter, jitter + 1), 0, side - height))
        column = int(np.clip(column + rng.integers(-jitter, jitter + 1), 0, side - width))
        out = film.copy()
        window = out[row : row + height, column : column + width]
        window[patch.ink] = patch.grey[patch.ink]
        return out


def _moved_across(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """The letter, not mirrored, at the mirror image of its place."""
    columns = np.flatnonzero((ink > 0).any(0))
    if not len(columns):
        return ink
    out = np.zeros_like(ink)
    start, stop = int(columns[0]), int(columns[-1]) + 1
    out[:, ink.shape[1] - stop : ink.shape[1] - start] = ink[:, start:stop]
    return out
