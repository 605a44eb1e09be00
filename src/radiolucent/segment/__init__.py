"""What lies where on a film, by networks of our own: lungs, side markers and burned-in text."""

from radiolucent.segment.lungs import LungMask, Segmenter, load_segmenter, lungs, lungs_of, save_segmenter
from radiolucent.segment.markers import Mark, Markers, load_scorer, markers
from radiolucent.segment.window import LungWindow, lung_box, window_from
from radiolucent.segment.write import MasksWritten, write_lungs

__all__ = [
    "LungMask",
    "LungWindow",
    "Mark",
    "Markers",
    "MasksWritten",
    "Segmenter",
    "load_scorer",
    "load_segmenter",
    "lung_box",
    "lungs",
    "lungs_of",
    "markers",
    "save_segmenter",
    "window_from",
    "write_lungs",
]
