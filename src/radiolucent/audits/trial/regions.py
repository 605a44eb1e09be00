"""What lies where on a film, in the model's frame: lungs, markers, doctors' regions, border, corners, background.

Masks come in source pixels, from files or from any function of a film, and are brought to the model's frame by exact
area coverage.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.bounds import PATH, expect
from radiolucent.errors import AnnotationError, DataError, ImageError
from radiolucent.files import real_path, sha256_bytes, stem_of, walk
from radiolucent.images import Preprocess, coverage_to_model, mask_to_model, region_mask
from radiolucent.images.fill import dilated as grown
from radiolucent.images.preprocess import Box, cut
from radiolucent.types import Annotation, Radiograph

__all__ = ["Masker", "View", "boxed", "dilated", "masks_from_folder", "view_of"]

Made = TypeVar("Made")
Mask = NDArray[np.bool_]
Masker = Callable[[Radiograph], Mask | None]
"""From a film to a bool mask (H, W) in its own pixels, or None where nothing is known of it."""

WIDE = 1.5
"""Films of a model that looks at a window are changed whole, at so many times the input's side."""
LEVELS, GREY = 8, 0.3
"""Of a mask: so many levels name parts, none of which is outside; the share of other greys from which it is none."""
_MASKS = {".png", ".tif", ".tiff", ".bmp", ".gif"}
_MASK_OF = re.compile(r"[_-]mask$", re.IGNORECASE)
_SIDE = re.compile(r"left|right", re.IGNORECASE)
BORDER, CORNER, DILATION = 0.06, 0.15, 0.04
"""Shares of the film's side: width of the border, side of a corner, and by how much a "dilated" mask grows."""


@dataclass(frozen=True, eq=False)
class View:
    """One film as the model sees it, (S, S), with what lies where; None: not known.

    Attributes:
        grey: uint8, the model's 8-bit input. film: where the film is (elsewhere is padding).
        lungs, markers, findings: masks. label: class index or None.
        inside: of a model that looks at a window: the window (left, top, right, bottom) in these pixels, and the side
            of the input. The view then shows the whole film, wider than the model does.
    """

    grey: NDArray[np.uint8]
    image_id: str
    patient_id: str
    label: int | None
    film: Mask
    lungs: Mask | None = None
    markers: Mask | None = None
    findings: Mask | None = None
    site: str | None = None
    inside: tuple[Box, int] | None = None

    def as_input(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the model sees of a changed copy (S, S) of this view. The window stays that of the unchanged film."""
        return pixels if self.inside is None else cut(pixels, *self.inside)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What is told from this film alone and asked for in every pair of films: made when first asked for, and not
        to be written to."""
        kept, key = self.__dict__, f"once {name}"  # no attribute has such a name
        if key not in kept:
            kept[key] = make()
        return kept[key]

    @property
    def side(self) -> int:
        """S."""
        return self.grey.shape[0]

    @cached_property
    def frame(self) -> tuple[int, int, int, int]:
        """The film's box (top, bottom, left, right) in model pixels, ends excluded."""
        rows, columns = np.flatnonzero(self.film.any(1)), np.flatnonzero(self.film.any(0))
        return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1

    @cached_property
    def border(self) -> Mask:
        """The outer `BORDER` of the film on every side."""
        top, bottom, left, right = self.frame
        dy, dx = max(1, round(BORDER * (bottom - top))), max(1, round(BORDER * (right - left)))
        inner = np.zeros_like(self.film)
        inner[top + dy : bottom - dy, left + dx : right - dx] = True
        return self.film & ~inner

    @cached_property
    def corners(self) -> Mask:
        """Four squares of side `CORNER`."""
        top, bottom, left, right = self.frame
        dy, dx = max(1, round(CORNER * (bottom - top))), max(1, round(CORNER * (right - left)))
        found = np.zeros_like(self.film)
        for rows in (slice(top, top + dy), slice(bottom - dy, bottom)):
            for columns in (slice(left, left + dx), slice(right - dx, right)):
                found[rows, columns] = True
        return found & self.film

    @cached_property
    def outside(self) -> Mask:
        """The film without its lungs, as far as known, and without a rim of a fiftieth of the side around them."""
        if self.lungs is None or not self.lungs.any():
            return self.film
        return self.film & ~dilated(self.lungs, 0.02)

    @cached_property
    def busy(self) -> Mask:
        """Where a control patch must not lie: lungs, markers, doctors' regions, padding."""
        total = ~self.film
        for mask in (self.lungs, self.markers, self.findings):
            if mask is not None:
                total = total | mask
        return total


def dilated(mask: Mask, share: float = DILATION) -> Mask:
    """The mask grown by `share` of the side on all sides (Euclidean)."""
    return grown(mask, share)


def boxed(mask: Mask, share: float = DILATION) -> Mask:
    """The bounding box of the mask, grown by `share`: an outline that says nothing of the shape inside."""
    found = np.zeros_like(mask)
    if mask.any():
        grow = max(1, round(share * mask.shape[0]))
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        found[max(rows[0] - grow, 0) : rows[-1] + grow + 1, max(columns[0] - grow, 0) : columns[-1] + grow + 1] = True
    return found


def view_of(
    film: Radiograph,
    preprocess: Preprocess,
    *,
    label: int | None = None,
    site: str | None = None,
    lungs: Masker | None = None,
    markers: Masker | None = None,
    annotations: Sequence[Annotation] = (),
    whole: bool = True,
) -> View:
    """A film in the model's frame with its masks.

    Of a model that looks at a window: the whole film unless `whole` is False, so that what lies beside the window can
    be changed where it lies; `View.as_input` gives what the model sees of it.

    Small things (markers, doctors' regions) keep every model pixel that they cover to a tenth or more, lungs those
    that they cover to one half.

    Raises:
        DataError: a mask whose shape is not the film's.
    """
    inside: tuple[Box, int] | None = None
    if preprocess.window is not None and whole:
        wide = dataclasses.replace(preprocess, size=round(WIDE * preprocess.size), window=None)
        left, top, right, bottom = preprocess.window(film)
        corners = wide.geometry(film.shape).to_model(np.array([[left, top], [right, bottom]]))
        (x0, y0), (x1, y1) = corners.tolist()
        inside, preprocess = ((x0, y0, x1, y1), preprocess.size), wide
    geometry = preprocess.geometry_of(film)

    def masked(source: Masker | None, name: str) -> Mask | None:
        found = None if source is None else source(film)
        if found is not None and found.shape != film.shape:
            raise DataError(
                f"{film.image_id}: {name} mask of shape {found.shape}; expected the film's {film.shape} (H, W)."
            )
        return found

    lung, marker = masked(lungs, "lung"), masked(markers, "marker")
    read = [a for a in annotations if a.image_id == film.image_id]
    marked = np.logical_or.reduce([region_mask(a, film.shape) for a in read]) if read else None
    return View(
        preprocess.quantise(film),
        film.image_id,
        film.patient_id or film.image_id,
        label,
        mask_to_model(np.ones(film.shape, bool), geometry),
        None if lung is None else mask_to_model(lung, geometry),
        None if marker is None else coverage_to_model(marker, geometry) >= 0.1,
        None if marked is None else coverage_to_model(marked, geometry) >= 0.1,
        site,
        inside,
    )


def masks_from_folder(folder: str | Path) -> Masker:
    """Masks by file name: `folder/**/STEM.png`, or `STEM_mask.png`, for a film whose identifier ends in STEM.

    Inside is what is not 0, of masks with many levels what is bright (blurred or JPEG-coded edges). A mask of another
    size than the film is scaled to it by nearest neighbour (masks are often kept smaller). Where several masks share a
    stem, the one with the most of the identifier's folders in its path is taken; a left and a right one are joined.
    Links are followed.

    Raises:
        AnnotationError: no mask at all in the folder; from the masker: a damaged file, or one that is no mask, several
            that fit a film, or one that fits several.
    """
    by_stem: dict[str, list[Path]] = {}
    for path in mask_files(folder):
        by_stem.setdefault(_MASK_OF.sub("", path.stem), []).append(path)
    given: dict[Path, tuple[str, str]] = {}
    return lambda film: _mask_of(film, by_stem, given)


def mask_files(folder: str | Path) -> list[Path]:
    """The files of a folder of masks, and of those below it, in a stable order.

    Raises:
        AnnotationError: there is none, or a folder cannot be listed.
        ConfigError: `folder` is no path.
    """
    expect(folder, PATH, "folder of masks", "the path of a folder with one PNG file a film")
    root = Path(folder)
    closed: list[tuple[Path, str]] = []
    found = [here / n for here, _, files in walk(root, closed) for n in files if Path(n).suffix.lower() in _MASKS]
    if closed:
        raise AnnotationError(f"{closed[0][0]}: {closed[0][1]}; its masks are missed.")
    if not found:
        raise AnnotationError(f"{root}: holds no mask image; expected PNG files named like the films.")
    return sorted(found)


def _mask_of(
    film: Radiograph, by_stem: Mapping[str, Sequence[Path]], given: dict[Path, tuple[str, str]]
) -> Mask | None:
    """A film's mask; `given` holds which film each mask was given to, as none may be two films'."""
    name = Path(film.image_id)
    folders = set(name.parts[:-1])
    found = [path for path in by_stem.get(stem_of(name.name), ()) if real_path(path) != real_path(Path(film.source))]
    if not found:
        return None
    most = max(len(folders & set(path.parts)) for path in found)
    best = sorted(path for path in found if len(folders & set(path.parts)) == most)
    sides = [side[0].lower() if (side := _SIDE.match(path.parent.name)) else "" for path in best]
    if len(best) > 1 and sides != ["left", "right"]:
        raise AnnotationError(f"{film.image_id}: {best[0]} and {best[1]} may both be its mask; keep one.")
    seen = sha256_bytes(film.pixels[::16, ::16].tobytes())
    for path in best:
        other, its = given.setdefault(path, (film.image_id, seen))
        if its != seen:
            raise AnnotationError(
                f"{path}: may be the mask of {other} and of {film.image_id}; put it into a folder called as its film's."
            )
    return np.logical_or.reduce([_inside(path, film.shape) for path in best])


def _inside(path: Path, shape: tuple[int, int]) -> Mask:
    """What a mask marks, as (H, W) of its film.

    Raises:
        ImageError: damaged, grey all over as a film is, or marking all four corners, as what lies outside does.
    """
    try:
        with Image.open(path) as image:
            values = np.asarray(image if image.mode.startswith(("I", "F")) else image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"its mask {path} cannot be read ({error}).") from error
    top = float(values.max())
    if len(np.unique(values)) <= LEVELS:
        inside = values > 0
    elif ((values > 0.1 * top) & (values < 0.9 * top)).mean() > GREY:
        raise ImageError(f"{path} is grey all over, and no mask; expected 0 and one other value.")
    else:
        inside = values > top / 2
    if inside[[0, 0, -1, -1], [0, -1, 0, -1]].all():
        raise ImageError(f"{path} marks all four corners of the film; expected 0 outside, and no transparency.")
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, values.shape, strict=True))
    return inside[np.ix_(rows, columns)]
