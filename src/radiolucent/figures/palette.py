"""Colours, and the font that every figure is written in; loads nothing that draws."""

from functools import cache
from pathlib import Path

import matplotlib as mpl

__all__ = ["BLUE", "GREEN", "GREY", "INK", "ORANGE", "PALE", "READERS", "RED", "font_file", "plain"]

# Okabe & Ito's colours, told apart by colour-blind readers; ink and greys for everything that is not data.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY, PALE = "#1f2937", "#6b7280", "#e5e7eb"
READERS = ("#56B4E9", "#F0E442", "#CC79A7", "#E69F00", "#009E73")  # outlines on a film, one a reader


def font_file(*, bold: bool = False) -> Path:
    """DejaVu Sans as matplotlib brings it: by its place, since matplotlib's search for fonts takes longer to load."""
    return Path(mpl.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@cache
def _drawable() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font_file())).get_charmap())


def plain(text: str) -> str:
    """Text as the font can draw it: other signs become "□", control characters a space; line breaks stay.

    >>> plain("Trübung \\U0001fac1\\x07, 2 cm")
    'Trübung □ , 2 cm'
    """
    kept = _drawable()
    return "".join(c if c == "\n" or (c.isprintable() and ord(c) in kept) else " □"[c.isprintable()] for c in text)
