"""Masks for an audit where nobody brings any: our own segmenter's lungs, our own detector's markers and text."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.regions import Masker, mask_files, masks_from_folder
from radiolucent.files import sha256_bytes, sha256_file
from radiolucent.segment import lungs, markers
from radiolucent.segment.lungs import weights_path
from radiolucent.segment.markers import scorer_path
from radiolucent.types import Radiograph

__all__ = ["maskers", "seen_lungs", "seen_markers"]


def seen_lungs(film: Radiograph) -> NDArray[np.bool_] | None:
    """The segmenter's lungs (H, W) in source pixels, or None where it does not trust its own mask."""
    found = lungs(film)
    return found.pixels if found.trusted else None


def seen_markers(film: Radiograph) -> NDArray[np.bool_]:
    """The detector's markers and burned-in text (H, W) in source pixels; empty where it finds none."""
    return markers(film).pixels


def maskers(lung_folder: Path | None, marker_folder: Path | None) -> tuple[Masker, Masker, str]:
    """Lungs and markers, each from its folder where one is given, else found by our own networks; and a note of both.

    The note names the folder and the first digits of the SHA-256 of its masks, or of the weights, so that other masks
    mean another journal.
    """
    lung_note = _named(lung_folder) if lung_folder else f"radiolucent's segmenter {sha256_file(weights_path())[:12]}"
    detector = f"radiolucent's detector {sha256_file(scorer_path())[:12]}"
    marker_note = _named(marker_folder) if marker_folder else detector
    return (
        masks_from_folder(lung_folder) if lung_folder else seen_lungs,
        masks_from_folder(marker_folder) if marker_folder else seen_markers,
        f"lungs: {lung_note}; markers: {marker_note}",
    )


def _named(folder: Path) -> str:
    """A folder of masks with what is in it: corrected under the same names, they are others."""
    held = "".join(f"{path.relative_to(folder)} {sha256_file(path)}\n" for path in mask_files(folder))
    return f"{folder} ({sha256_bytes(held.encode('utf-8', 'surrogateescape'))[:12]})"
