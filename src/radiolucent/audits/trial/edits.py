"""Changes to a film in the model's frame, each with what it is to be compared with. Grey levels are float32 in [0, 1].

Edits know nothing of networks. Every one is a function of a `View` and a random generator; it gives the changed film,
or None where there is nothing to change (no marker, no lung mask).
"""

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.audits.trial.distort import (
    Edit,
    Grey,
    blurred,
    coarser,
    contrast,
    exposure,
    grey_of,
    inside_lungs,
    jpeg,
    noisy,
    outside_lungs,
    patchy,
    warped,
)
from radiolucent.audits.trial.regions import Mask, View, boxed, dilated
from radiolucent.data.marks import LEGIBLE, MARGIN, marker_place
from radiolucent.data.phantom.markers import stamp
from radiolucent.images.fill import fill

__all__ = ["EDITS", "fill", "marker_ink", "shifted"]

# --- where a control lies ---


def shifted(mask: Mask, view: View, rng: np.random.Generator, *, avoid: Mask | None = None) -> Mask:
    """The same shape at a random place of the film, away from lungs and markers as far as may be.

    Of all places those are taken whose bounding box touches least of what must be left alone, and one drawn among them.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    piece = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = piece.shape
    top, bottom, left, right = view.frame
    busy = (view.busy | mask) if avoid is None else (view.busy | mask | avoid)
    total = np.pad(busy[top:bottom, left:right], ((1, 0), (1, 0))).cumsum(0, dtype=np.int64).cumsum(1)
    touched = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    best = np.argwhere(touched == touched.min())
    y, x = best[rng.integers(len(best))] + (top, left)
    there = np.zeros_like(mask)
    there[y : y + height, x : x + width] = piece
    return there


# --- markers ---


def marker_ink(view: View, text: str, rng: np.random.Generator) -> Grey:
    """Coverage (S, S) of a side marker beside the shoulder: R at the film's left, L at its right, off the lungs."""
    return marker_place(view.busy, view.frame, text, rng)


def _inked(grey: Grey, ink: Grey, bright: float) -> Grey:
    return (grey * (1 - ink) + np.float32(bright) * ink).astype(np.float32)


def _unmarked(view: View) -> bool:
    return view.markers is None or not view.markers.any()


def marker_remove(view: View, rng: np.random.Generator) -> Grey | None:
    """All markers in-painted."""
    if view.markers is None or not view.markers.any():
        return None
    return fill(grey_of(view), dilated(view.markers, MARGIN), film=view.film)


def marker_remove_control(view: View, rng: np.random.Generator) -> Grey | None:
    """As many pixels in-painted, of the same shape, where there is no marker and no lung."""
    from scipy import ndimage

    if view.markers is None or not view.markers.any():
        return None
    where = dilated(view.markers, MARGIN)
    labels, count = cast(tuple[NDArray[np.int32], int], ndimage.label(where))
    grey = grey_of(view)
    for k in range(1, count + 1):
        grey = fill(grey, shifted(labels == k, view, rng, avoid=where), film=view.film)
    return grey


def marker_paste(view: View, rng: np.random.Generator) -> Grey | None:
    """A side marker drawn on a film that has none."""
    if not _unmarked(view):
        return None
    return _inked(grey_of(view), marker_ink(view, "R", rng), rng.uniform(0.85, 1.0))


def marker_paste_control(view: View, rng: np.random.Generator) -> Grey | None:
    """At the same place as many pixels changed, but in-painted: no object appears."""
    if not _unmarked(view):
        return None
    where = dilated(marker_ink(view, "R", rng) > 0.3, MARGIN)
    return fill(grey_of(view), where, film=view.film)


def marker_move(view: View, rng: np.random.Generator) -> Grey | None:
    """The marker in-painted and put back at the mirrored place (its strokes not mirrored)."""
    removed = marker_remove(view, rng)
    if removed is None or view.markers is None:
        return None
    target = _mirrored_place(view.markers, view)
    out = removed
    ys, xs = np.nonzero(view.markers)
    yt, xt = np.nonzero(target)
    if len(ys) != len(yt):
        return None
    out[yt, xt] = grey_of(view)[ys, xs]
    return out


def marker_move_control(view: View, rng: np.random.Generator) -> Grey | None:
    """As many pixels in-painted where the marker would move to, and as many at a random place; the marker stays."""
    if view.markers is None or not view.markers.any():
        return None
    target = _mirrored_place(view.markers, view)
    grey = fill(grey_of(view), dilated(target, MARGIN) & ~view.markers, film=view.film)
    return fill(grey, shifted(dilated(view.markers, MARGIN), view, rng, avoid=target), film=view.film)


def _mirrored_place(mask: Mask, view: View) -> Mask:
    """The mask, its shape as it is, shifted so that its middle lies at the mirror image of its place."""
    columns = np.flatnonzero(mask.any(0))
    _, _, left, right = view.frame
    start = left + right - (int(columns[-1]) + 1)
    out = np.zeros_like(mask)
    width = columns[-1] + 1 - columns[0]
    out[:, start : start + width] = mask[:, columns[0] : columns[-1] + 1]
    return out


def _bare(view: View) -> Grey:
    return grey_of(view) if _unmarked(view) else fill(grey_of(view), dilated(view.markers, MARGIN), film=view.film)  # pyright: ignore[reportArgumentType]


def marker_left(view: View, rng: np.random.Generator) -> Grey | None:
    """Any marker replaced by an L, drawn at the film's left."""
    return _letter(view, rng, "L")


def marker_right(view: View, rng: np.random.Generator) -> Grey | None:
    """Any marker replaced by an R, drawn at the film's left: what `marker_left` is compared with."""
    return _letter(view, rng, "R")


def _letter(view: View, rng: np.random.Generator, text: str) -> Grey:
    """A letter at one and the same place for both letters (the generator's draws do not depend on the letter)."""
    top, bottom, left, right = view.frame
    tall = max(rng.uniform(0.055, 0.09) * (bottom - top), rng.uniform(*LEGIBLE))
    x = left + rng.uniform(0.03, 0.09) * (right - left)
    y = top + rng.uniform(0.04, 0.2) * (bottom - top)
    return _inked(_bare(view), stamp((view.side, view.side), text, x, y, tall), 0.93)


# --- border and corners ---


def border_black(view: View, rng: np.random.Generator) -> Grey | None:
    """The border blackened, as by collimation."""
    return fill(grey_of(view), view.border, "black")


def border_fill(view: View, rng: np.random.Generator) -> Grey | None:
    """The border replaced by what lies inside of it, continued."""
    return fill(grey_of(view), view.border, film=view.film)


def corners_fill(view: View, rng: np.random.Generator) -> Grey | None:
    """The four corners in-painted (black ones would be squares that no film has)."""
    return fill(grey_of(view), view.corners, film=view.film)


def _patches(view: View, mask: Mask, rng: np.random.Generator, how: str) -> Grey:
    """As many pixels as `mask` has, in eight random squares off lungs, markers and the mask, filled the same way."""
    side = max(2, round((mask.sum() / 8) ** 0.5))
    square = np.zeros_like(mask)
    square[:side, :side] = True
    found = np.zeros_like(mask)
    for _ in range(8):
        found |= shifted(square, view, rng, avoid=found | mask)
    return fill(grey_of(view), found, how, view.film)


def border_fill_control(view: View, rng: np.random.Generator) -> Grey | None:
    """Eight in-painted squares of the border's area elsewhere outside the lungs."""
    return _patches(view, view.border, rng, "inpaint")


def corners_fill_control(view: View, rng: np.random.Generator) -> Grey | None:
    """Eight in-painted squares of the corners' area elsewhere outside the lungs."""
    return _patches(view, view.corners, rng, "inpaint")


# --- lungs ---

_SHAPES: Mapping[str, Callable[[Mask], Mask]] = {"tight": lambda m: m, "dilated": dilated, "boxed": boxed}


def without_lungs(shape: str, how: str) -> Edit:
    """The lungs replaced; `shape`: tight, dilated or boxed; `how`: see `fill`."""

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        if view.lungs is None or not view.lungs.any():
            return None
        return fill(grey_of(view), _SHAPES[shape](view.lungs), how, view.film)

    return edit


def only_lungs(shape: str, how: str = "mean") -> Edit:
    """Everything but the lungs replaced."""

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        if view.lungs is None or not view.lungs.any():
            return None
        return fill(grey_of(view), view.film & ~_SHAPES[shape](view.lungs), how, view.film)

    return edit


def silhouette(shape: str) -> Edit:
    """The lungs' outline alone: a dark shape on mid grey; what an erased region still tells."""

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        if view.lungs is None or not view.lungs.any():
            return None
        return np.where(_SHAPES[shape](view.lungs), np.float32(0.25), np.float32(0.6))

    return edit


def only_border(view: View, rng: np.random.Generator) -> Grey | None:
    """The border alone; the rest is its mean."""
    grey = grey_of(view)
    return np.where(view.border | ~view.film, grey, np.float32(grey[view.border].mean())).astype(np.float32)


def blank_random(view: View, rng: np.random.Generator) -> Grey | None:
    """As many pixels as the lungs have, in-painted in random squares outside them: the control for blanked lungs."""
    if view.lungs is None or not view.lungs.any():
        return None
    return _patches(view, view.lungs, rng, "inpaint")


def crop_lungs(view: View, rng: np.random.Generator) -> Grey | None:
    """The box around the lungs, enlarged to the whole input.

    Not `segment.LungWindow`: that is a part of a model's preprocessing, in source pixels and of a fixed margin; this is
    what a model without one is shown, in its own pixels, so that the control can enlarge any other box likewise.
    """
    if view.lungs is None or not view.lungs.any():
        return None
    return _enlarged(view, boxed(view.lungs, 0.03))


def crop_random(view: View, rng: np.random.Generator) -> Grey | None:
    """A box as large as that around the lungs at a random place of the film, enlarged likewise: the control."""
    if view.lungs is None or not view.lungs.any():
        return None
    box = boxed(view.lungs, 0.03)
    top, bottom, left, right = view.frame
    high, wide = int(box.any(1).sum()), int(box.any(0).sum())
    y = top + int(rng.integers(max(bottom - top - high, 0) + 1))
    x = left + int(rng.integers(max(right - left - wide, 0) + 1))
    moved = np.zeros_like(box)
    moved[y : y + high, x : x + wide] = True
    return _enlarged(view, moved)


def _enlarged(view: View, box: Mask) -> Grey:
    rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
    part = grey_of(view)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    image = Image.fromarray(np.ascontiguousarray(part)).resize((view.side, view.side), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(image), 0, 1)


EDITS: Mapping[str, Edit] = {
    "marker.remove": marker_remove,
    "marker.remove.control": marker_remove_control,
    "marker.paste": marker_paste,
    "marker.paste.control": marker_paste_control,
    "marker.move": marker_move,
    "marker.move.control": marker_move_control,
    "marker.swap": marker_left,
    "marker.swap.control": marker_right,
    "border.black": border_black,
    "border.fill": border_fill,
    "border.fill.control": border_fill_control,
    "corners.fill": corners_fill,
    "corners.fill.control": corners_fill_control,
    "lungs.blank": without_lungs("dilated", "inpaint"),
    "lungs.blank.control": blank_random,
    "lungs.crop": crop_lungs,
    "lungs.crop.control": crop_random,
    **{f"no_lungs.{s}.{h}": without_lungs(s, h) for s in _SHAPES for h in ("mean", "blur", "inpaint")},
    **{f"lungs_only.{s}": only_lungs(s) for s in _SHAPES},
    **{f"silhouette.{s}": silhouette(s) for s in _SHAPES},
    "border_only": only_border,
    "exposure.bright": exposure(1.35),
    "exposure.bright.control": patchy(1.35),
    "exposure.dark": exposure(1 / 1.35),
    "exposure.lungs": inside_lungs(exposure(1.35)),
    "exposure.lungs.dark": inside_lungs(exposure(1 / 1.35)),
    "size.outside": outside_lungs(coarser(2)),
    "size.film": coarser(2),
    "stress.blur": blurred(0.008),
    "stress.noise": noisy(0.04),
    "stress.contrast_low": contrast(0.75),
    "stress.contrast_high": contrast(1.3),
    "stress.gamma_bright": exposure(1.2),
    "stress.gamma_dark": exposure(1 / 1.2),
    "stress.resize": coarser(1.5),
    "stress.shift_right": warped(shift=(0, 0.04)),
    "stress.shift_down": warped(shift=(0.04, 0)),
    "stress.turn_left": warped(turn=5),
    "stress.turn_right": warped(turn=-5),
    "stress.jpeg_30": jpeg(30),
    "stress.jpeg_70": jpeg(70),
}
"""Every edit by name; one whose name ends in ".control" belongs to the one without."""
