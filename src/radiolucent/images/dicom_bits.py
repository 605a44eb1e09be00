"""The stored values within the words of DICOM's pixel data, and the words that are padding, no film."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.images.dicom_header import Header

__all__ = ["Decoded", "PixelFormat", "padding_of", "stored_bits"]


@dataclass(frozen=True)
class PixelFormat:
    """How the stored pixels are to be read (PS3.3 C.7.6.3); `low` to `high` is the range that their depth allows."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int

    @property
    def low(self) -> int:
        return -(2 ** (self.stored - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return 2 ** (self.stored - 1) - 1 if self.signed else 2**self.stored - 1

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return (self.rows * self.columns * samples * self.allocated + 7) // 8


@dataclass(frozen=True, eq=False)
class Decoded:
    """One frame.

    Attributes:
        values: stored ones, (H, W) or RGB (H, W, 3). bits: their depth.
        padding: where the film is not (H, W); None where it is everywhere.
    """

    values: NDArray[Any]
    bits: int
    padding: NDArray[np.bool_] | None


def padding_of(words: NDArray[Any], form: PixelFormat, header: Header) -> NDArray[np.bool_] | None:
    """Which words (H, W) are no film (PS3.3 C.7.5.1.1.2), or None where none are, or all.

    Padding may lie outside the stored bits, and its sign may contradict that of the pixels: whole words are compared.
    """
    first = header.number("PixelPaddingValue")
    if first is None:
        return None
    last = header.number("PixelPaddingRangeLimit")
    ends = (first, first if last is None else last)
    if words.dtype.kind == "i" and form.allocated <= 16:
        ends = tuple(v - 65536 if v >= 32768 else v for v in ends)
    elif min(ends) < 0:
        words = words.view(f"i{words.dtype.itemsize}")
    mask = (words >= min(ends)) & (words <= max(ends))
    if mask.all():
        header.note("every pixel has the padding value, which is ignored")
        return None
    return mask if mask.any() else None


def stored_bits(
    words: NDArray[Any], padding: NDArray[np.bool_] | None, header: Header, form: PixelFormat
) -> NDArray[Any]:
    """The stored bits of each word: left-aligned ones shifted down, others (overlays) masked, the sign extended.

    The header is not followed where the words show it to be wrong, and a note says what it costs where it is.
    """
    unused, down = form.allocated - form.high_bit - 1, form.high_bit + 1 - form.stored
    if not unused and not down:
        return words
    film = words if padding is None else words[~padding]
    low, high = int(film.min()), int(film.max())
    if down and (film & ((1 << down) - 1)).any():
        if form.low <= low and high <= form.high:
            header.note(f"HighBit {form.high_bit}, but the lowest bits are in use: taken as they stand, not shifted")
            return _shown(words, padding)
        header.note(f"the lowest {down} bits, below the {form.stored} stored ones, are in use (an overlay?), left out")
    if form.signed and not down and form.low <= low < 0 and form.high < high <= 2 * form.high + 1:
        header.note(f"values [{low}, {high}] do not fit {form.stored} signed bits: taken as they stand")
        return _shown(words, padding)
    out = np.right_shift(np.left_shift(words, unused), unused)
    if form.signed and not down and low >= 0 and form.high < high <= 2 * form.high + 1 and _smoother(words, out):
        header.note(
            f"values [{low}, {high}] do not fit {form.stored} signed bits, and by their sign neighbours would lie far "
            "apart: taken as they stand, unsigned"
        )
        return _shown(words, padding)
    changed = film != (out if padding is None else out[~padding])
    if changed.any() and not form.signed and not down and _smoother(words, out):
        header.note(
            f"values up to {high} do not fit {form.stored} bits, and without what is above these neighbours would lie "
            "far apart: taken as they stand"
        )
        return _shown(words, padding)
    if changed.any() and not form.signed:
        header.note(f"bits above the {form.stored} stored ones hold something else (an overlay?), masked")
    elif changed.any():
        header.note(
            f"values [{low}, {high}] do not fit {form.stored} signed bits: their sign is taken from bit "
            f"{form.high_bit}, so that larger ones are negative"
        )
    if down:
        header.note(f"stored in the bits {form.high_bit} to {down}, shifted down")
        out = np.right_shift(out, down)
    return out


def _smoother(words: NDArray[Any], others: NDArray[Any]) -> bool:
    """Whether neighbours lie closer together in the first of two readings of the same words."""
    rough, other = (
        sum(int(np.abs(np.diff(w.astype(np.int32), axis=axis)).sum(dtype=np.int64)) for axis in (0, 1))
        for w in (words, others)
    )
    return rough < other


def _shown(words: NDArray[Any], padding: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Words taken as they stand; those of padding give no range, so that they become 0."""
    return words if padding is None else np.where(padding, words.dtype.type(0), words)
