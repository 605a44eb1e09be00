"""DICOM's stored values to grey levels: modality transformation, then VOI, then inversion (PS3.3 C.11), then [0, 1].

Every step is a function of the stored value alone, so that it is worked out once a value and looked up for each pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ImageError
from radiolucent.images.dicom_bits import Decoded, PixelFormat
from radiolucent.images.dicom_header import Header
from radiolucent.images.dicom_luts import Table, first_of, palette
from radiolucent.images.options import ReadOptions
from radiolucent.images.scale import ENOUGH, SAMPLE, grey_of_colour, luminance, robust_range
from radiolucent.shown import counted

__all__ = ["grey_levels"]

MOSTLY = 0.9  # of the film outside its window, from which on it is said

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Film:
    """A frame's stored values, in which range they are, and where the film is not padding."""

    stored: NDArray[Any]
    form: PixelFormat
    bits: int
    padding: NDArray[np.bool_] | None

    @property
    def range(self) -> tuple[int, int]:
        """Stored values that the depth allows, and any beyond that are there."""
        low, high = (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if self.form.signed else (0, 2**self.bits - 1)
        return min(low, int(self.stored.min())), max(high, int(self.stored.max()))

    @property
    def shown(self) -> NDArray[Any]:
        """The stored values that are film."""
        return self.stored if self.padding is None else self.stored[~self.padding]


def grey_levels(
    decoded: Decoded,
    form: PixelFormat,
    header: Header,
    options: ReadOptions,
    file: Path,
    steps: list[str],
) -> NDArray[np.float32]:
    """Grey levels (H, W) in [0, 1] of one decoded frame; 1 is bright.

    Args:
        steps: what was done is appended.

    Raises:
        ImageError: a window was asked for that the film does not have.
    """
    if form.samples == 3:
        _note_window(header, options)
        pixels = grey_of_colour(decoded.values, steps, header.notes, bits=decoded.bits, range=options.range)
        steps.append(f"{form.photometric} to grey by luminance")
        return pixels
    film = _Film(decoded.values, form, decoded.bits, decoded.padding)
    if form.photometric == "PALETTE COLOR":
        _note_window(header, options)
        if options.range is not None:
            header.note("the range asked for is not applied, as the pixels are those of a palette")
        steps.append("palette looked up, to grey by luminance")
        return _looked_up(film, lambda levels: _palette(levels, film, header, file))
    show = _shown(film, header, options, file, steps)
    pixels = _looked_up(film, show)
    if form.photometric == "MONOCHROME1":
        np.subtract(np.float32(1), pixels, out=pixels)
        steps.append("MONOCHROME1 inverted")
    if film.padding is not None:
        pixels[film.padding] = 0
        steps.append(f"padding ({film.padding.mean():.1%} of the pixels) shown black")
    _check_shape(form, header)
    return pixels


def _note_window(header: Header, options: ReadOptions) -> None:
    """Say that a colour film has no window."""
    if options.wanted()[0] not in ("", "full"):
        header.note(f"window {options.window!r} was asked for; it is not applied to colour")


def _looked_up(film: _Film, show: Callable[[Values], Values]) -> NDArray[np.float32]:
    low, high = film.range
    if high - low < 1 << 17:
        table = np.clip(show(np.arange(low, high + 1, dtype=np.float64)), 0, 1).astype(np.float32)
        if low == 0:
            return table[film.stored]
        return table[film.stored.astype(np.int32) - low]
    return np.clip(show(film.stored.astype(np.float64)), 0, 1).astype(np.float32)


def _palette(levels: Values, film: _Film, header: Header, file: Path) -> Values:
    rgb = palette(levels, header, signed=film.form.signed)
    if rgb is None:
        from pydicom.pixels.processing import apply_color_lut

        try:  # segmented tables
            raw = apply_color_lut(levels.astype(np.uint16), header.dataset)
        except Exception as error:  # pydicom raises many kinds on damaged tables
            raise ImageError(f"{file}: the palette is missing or damaged; export it again.") from error
        rgb = raw.astype(np.float32) / np.float32(np.iinfo(raw.dtype).max)
    return luminance(rgb).astype(np.float64)


def _shown(
    film: _Film, header: Header, options: ReadOptions, file: Path, steps: list[str]
) -> Callable[[Values], Values]:
    """The function from stored values to [0, 1], before inversion."""
    modality, table = _modality(film, header, steps)
    asked, what = options.wanted()
    if options.range is not None:
        low, high = options.range
        steps.append(f"range [{low:g}, {high:g}] as declared by the user scaled to [0, 1]")
        return lambda levels: (modality(levels) - low) / (high - low)
    voi = None
    if asked == "values":
        voi = _window(what[0], what[1], "LINEAR", steps)
    elif asked != "full":
        voi = _declared(film, modality, header, steps, asked, what)
        if asked and voi is None:
            raise ImageError(f"{file}: window {options.window!r} was asked for; {_windows(header)}.")
    if voi is not None:
        if film.shown.size >= ENOUGH:
            some = np.clip(voi(modality(film.shown.ravel()[:: 1 + film.shown.size // SAMPLE].astype(np.float64))), 0, 1)
            lost = float(((some <= 0) | (some >= 1)).mean())
            if lost > MOSTLY:
                header.note(f"the window leaves {lost:.0%} of the film wholly black or white (--window full shows all)")
        return lambda levels: voi(modality(levels))
    low, high = _range(film, modality, table, header, steps)
    return lambda levels: (modality(levels) - low) / max(high - low, 1e-12)


def _modality(film: _Film, header: Header, steps: list[str]) -> tuple[Callable[[Values], Values], Table | None]:
    """The modality transformation (PS3.3 C.11.1), and its table where it is one."""
    table = first_of(header, "ModalityLUTSequence", signed=film.form.signed)
    if table is not None:
        steps.append("modality LUT applied")
        return table, table
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if slope is None and intercept is not None:
        header.note("RescaleIntercept without RescaleSlope, 1 taken")
    elif slope is not None and intercept is None:
        header.note("RescaleSlope without RescaleIntercept, 0 taken")
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if slope == 0:
        header.note("RescaleSlope 0, 1 taken")
        slope = 1.0
    if (slope, intercept) == (1, 0):
        return lambda levels: levels, None
    steps.append(f"rescaled by {slope:g} · x + {intercept:g}")
    return lambda levels: slope * levels + intercept, None


def _declared(
    film: _Film,
    modality: Callable[[Values], Values],
    header: Header,
    steps: list[str],
    asked: str,
    what: tuple[float, ...],
) -> Callable[[Values], Values] | None:
    """The VOI transformation that the film declares: a table before a window, unless one of them is asked for."""
    number = int(what[0]) if what else 1
    if asked != "window":
        least = float(modality(np.array(film.range, np.float64)).min())
        table = first_of(header, "VOILUTSequence", signed=least < 0, number=number)
        if table is not None:
            steps.append("VOI LUT applied" if number == 1 else f"VOI LUT {number} applied")
            top = table.top
            return lambda values: table(values) / top
    if asked == "lut":
        return None
    centres, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    if not centres or not widths:
        if centres or widths:
            header.note("a window centre without a width, or a width without a centre, ignored")
        return None
    if number > min(len(centres), len(widths)):
        return None
    kind = (header.holder("WindowCenter").text("VOILUTFunction") or "LINEAR").upper()
    if len(centres) > 1 and not asked:
        header.note(f"the first of {len(centres)} windows is taken (--window chooses)")
    return _window(centres[number - 1], widths[number - 1], kind, steps)


def _windows(header: Header) -> str:
    count = min(len(header.numbers(name) or ()) for name in ("WindowCenter", "WindowWidth"))
    return f"the film declares {counted(count, 'window')} and {counted(len(header.items('VOILUTSequence')), 'VOI LUT')}"


def _window(centre: float, width: float, kind: str, steps: list[str]) -> Callable[[Values], Values] | None:
    """A window whose own range becomes [0, 1]; None where it is not valid.

    LINEAR: (x − (c − ½)) / (w − 1) + ½. LINEAR_EXACT: (x − c) / w + ½. SIGMOID: 1 / (1 + exp(−4 (x − c) / w)).
    Source: PS3.3 C.11.2.1.2 and C.11.2.1.3.
    """
    words = f"{kind} window centre {centre:g}, width {width:g}"
    if kind not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or width < (1 if kind == "LINEAR" else 1e-12):
        steps.append(f"{words} is not valid, ignored")
        return None
    steps.append(f"{words} applied")
    if kind == "SIGMOID":
        return lambda values: 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if kind == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return lambda values: np.where(values <= centre, 0.0, 1.0)
    return lambda values: np.clip((values - centre) / width + 0.5, 0, 1)


def _range(
    film: _Film, modality: Callable[[Values], Values], table: Table | None, header: Header, steps: list[str]
) -> tuple[float, float]:
    """Grey range without a window: that of the declared depth, as of any other image file.

    Where the film uses less than a quarter of it, as 12-bit data do in 16 bits, the range of its values, without a few
    far outliers.
    """
    low, high = film.range
    if film.form.signed and low < 0 and film.shown.size >= ENOUGH and int(film.shown.min()) >= 0:
        header.note("signed values, none of which is negative: black is 0")
        low = 0
    ends = np.array([low, high], np.float64)
    if film.bits <= 8 and table is None and not film.form.signed and np.array_equal(modality(ends), ends):
        steps.append(f"{film.bits} bit scaled by {high}")
        return 0.0, float(high)
    if table is not None:
        return 0.0, table.top
    if film.bits > 8 and film.shown.size >= ENOUGH:
        first, last = robust_range(film.shown)
        used = last - first if low < 0 else last
        if first < last and used < (high - low + 1) / 4:
            header.note(
                f"the film uses less than a quarter of its {film.bits} bits: the range of its values, without far "
                "outliers, is taken"
            )
            low, high = int(first), int(last)
    ends = modality(np.array([low, high], np.float64))
    steps.append(f"values [{ends.min():g}, {ends.max():g}] of {film.bits} bit scaled to [0, 1]")
    return float(ends.min()), float(ends.max())


def _check_shape(form: PixelFormat, header: Header) -> None:
    shape = header.text("PresentationLUTShape").upper()
    if shape and {"IDENTITY": "MONOCHROME2", "INVERSE": "MONOCHROME1"}.get(shape) != form.photometric:
        header.note(f"PresentationLUTShape {shape} contradicts {form.photometric}, which is followed")
