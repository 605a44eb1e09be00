"""Changes of the whole film in the model's frame: exposure, sharpness, noise, place, compression."""

import io
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.audits.trial.regions import View, dilated

__all__ = [
    "Edit",
    "Grey",
    "blurred",
    "coarser",
    "contrast",
    "exposure",
    "grey_of",
    "inside_lungs",
    "jpeg",
    "noisy",
    "outside_lungs",
    "patchy",
    "warped",
]

Grey = NDArray[np.float32]
Edit = Callable[[View, np.random.Generator], Grey | None]
"""From a view and a generator to the changed film, grey levels float32 (S, S) in [0, 1]; None: nothing to change."""


def grey_of(view: View) -> Grey:
    """The view's grey levels in [0, 1]."""
    return view.grey.astype(np.float32) / np.float32(255)


def exposure(gain: float) -> Edit:
    """All grey levels to the power 1/gain: brighter above 1, darker below."""

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        grey = grey_of(view)
        return np.where(view.film, grey ** np.float32(1 / gain), grey).astype(np.float32)

    return edit


def patchy(gain: float) -> Edit:
    """As much brightening as darkening, in smooth patches of about an eighth of the side: exposure's control.

    Grey levels to the power gain^−f, f a random smooth field of mean 0 and mean |f| 1: as strong a change as `exposure`
    of the same gain, in as many pixels, that leaves the film's exposure as a whole where it was.
    """
    from scipy import ndimage

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        field = ndimage.gaussian_filter(rng.standard_normal(view.grey.shape), view.side / 8, mode="reflect")
        field -= field[view.film].mean()
        field /= max(float(np.abs(field[view.film]).mean()), 1e-12)
        grey = grey_of(view)
        return np.where(view.film, grey ** (gain**-field), grey).astype(np.float32)

    return edit


def outside_lungs(edit: Edit) -> Edit:
    """An edit of the whole film, kept only outside the dilated lungs: what an honest reader would not mind."""

    def kept(view: View, rng: np.random.Generator) -> Grey | None:
        changed = edit(view, rng)
        if changed is None or view.lungs is None or not view.lungs.any():
            return None
        return np.where(dilated(view.lungs), grey_of(view), changed).astype(np.float32)

    return kept


def inside_lungs(edit: Edit) -> Edit:
    """An edit of the whole film, kept only inside the lungs."""

    def kept(view: View, rng: np.random.Generator) -> Grey | None:
        changed = edit(view, rng)
        if changed is None or view.lungs is None or not view.lungs.any():
            return None
        return np.where(view.lungs, changed, grey_of(view)).astype(np.float32)

    return kept


def coarser(factor: float) -> Edit:
    """The film stored at 1/factor of its size and enlarged again."""

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        small = max(8, round(view.side / factor))
        image = Image.fromarray(grey_of(view)).resize((small, small), Image.Resampling.BILINEAR)
        return np.clip(np.asarray(image.resize((view.side, view.side), Image.Resampling.BILINEAR)), 0, 1)

    return edit


def blurred(sigma: float) -> Edit:
    """Gaussian blur, σ as a share of the side."""
    from scipy import ndimage

    return lambda view, rng: np.asarray(ndimage.gaussian_filter(grey_of(view), sigma * view.side), np.float32)


def noisy(deviation: float) -> Edit:
    """Gaussian noise of a standard deviation in grey levels."""

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        noise = rng.standard_normal(view.grey.shape, np.float32)
        return np.clip(grey_of(view) + np.float32(deviation) * noise, 0, 1).astype(np.float32)

    return edit


def contrast(factor: float) -> Edit:
    """Grey levels drawn apart about the film's mean."""
    return lambda view, rng: np.clip(
        (grey_of(view) - grey_of(view).mean()) * np.float32(factor) + grey_of(view).mean(), 0, 1
    )


def warped(turn: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), stretch: tuple[float, float] = (1, 1)) -> Edit:
    """Turned by degrees, shifted by shares of the side (y, x), stretched (y, x) about the middle; edges continued."""
    from scipy import ndimage

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        angle = np.deg2rad(turn)
        back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / np.array(stretch)[:, None]
        middle = (view.side - 1) / 2
        offset = middle - back @ (np.array([middle, middle]) + np.array(shift) * view.side)
        moved = ndimage.affine_transform(grey_of(view), back, cast(Any, offset), order=1, mode="nearest")
        return np.clip(moved, 0, 1).astype(np.float32)

    return edit


def jpeg(quality: int) -> Edit:
    """Compressed as JPEG of this quality and read again."""

    def edit(view: View, rng: np.random.Generator) -> Grey | None:
        stream = io.BytesIO()
        Image.fromarray(view.grey).save(stream, "JPEG", quality=quality)
        return np.asarray(Image.open(stream), np.float32) / np.float32(255)

    return edit
