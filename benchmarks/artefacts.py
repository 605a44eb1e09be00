"""Artefacts for phantoms of 64 pixels that no test of the audit is named after: how each is painted.

Seven sets. `DEV` was looked at while discovery was built. `TEST` and `FRESH` were painted before they were tried; once
tried and mended, they are development kinds too. `FINAL` was painted before any of it was tried, `LATER` after that;
both were run once before anything was mended for them. `MORE` and `SEALED` were painted and dealt together, before any
of them was tried: rules were mended on `MORE`; `SEALED` was run once after that. A painter takes grey levels (64, 64)
in [0, 1], the lungs and a generator, and gives grey levels; of `MOVES`, grey levels and lungs.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Grey = NDArray[np.float64]
Mask = NDArray[np.bool_]
Painter = Callable[[Grey, Mask, np.random.Generator], Grey]
SIZE = 64
Y, X = np.mgrid[:SIZE, :SIZE].astype(float)


def _ring(grey: Grey, y: float, x: float, radius: float, depth: float) -> Grey:
    there = np.abs(np.hypot(Y - y, X - x) - radius) < 1.0
    return np.where(there, np.clip(grey + depth, 0, 1), grey)


def dark_ring(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return _ring(grey, 54 + rng.uniform(-1, 1), 18 + rng.uniform(-1, 1), 4, -0.35)


def checker(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out = grey.copy()
    y, x = 54 + rng.integers(3), 50 + rng.integers(4)
    out[y : y + 6, x : x + 6] += 0.25 * np.where((Y + X)[:6, :6] % 2 == 0, 1, -1)
    return out


def lung_ring(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    inside = np.argwhere(ndimage.binary_erosion(lungs, iterations=4))
    y, x = inside[rng.integers(len(inside))] if len(inside) else (30, 18)
    return _ring(grey, y, x, 3, 0.3)


def few_levels(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return np.round(grey * 12) / 12


def vignette(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey * (1 - 0.45 * np.hypot(Y - 31.5, X - 31.5) ** 2 / 2000)


def flat_contrast(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return 0.5 + (grey - 0.5) * rng.uniform(0.6, 0.7)


def cross(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out, y, x = grey.copy(), 5 + rng.integers(3), 30 + rng.integers(5)
    out[y - 3 : y + 4, x] = out[y, x - 3 : x + 4] = 0.95
    return out


def edge_bar(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out, y = grey.copy(), 20 + rng.integers(20)
    out[y : y + 14, 1:3] = 0.98
    return out


def tube(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    x = 31 + 5 * np.sin(Y / rng.uniform(9, 12) + rng.uniform(0, 1))
    return np.where((np.abs(X - x) < 0.8) & (Y < 42), np.clip(grey + 0.3, 0, 1), grey)


def lung_dots(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    inside, out = np.argwhere(ndimage.binary_erosion(lungs, iterations=3)), grey.copy()
    for y, x in inside[rng.integers(len(inside), size=4)] if len(inside) else ():
        out[y, x] = 0.95
    return out


def noise(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey + rng.normal(0, 0.06, grey.shape)


def grid_lines(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey + 0.05 * np.cos(2 * np.pi * (X / 3.2) + rng.uniform(0, 6))


def gradient(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey * (1 + 0.3 * (X - 31.5) / 31.5)


def blocks(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    means = grey.reshape(SIZE // 4, 4, SIZE // 4, 4).mean((1, 3))
    return 0.4 * grey + 0.6 * np.kron(means, np.ones((4, 4)))


# By kind: how it is painted, and the channels that name it rightly.
DEV: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "dark_ring": (dark_ring, ("surroundings", "lines", "corners")),
    "checker": (checker, ("surroundings", "lines", "corners", "sharpness")),
    "lung_ring": (lung_ring, ("inside",)),
    "few_levels": (few_levels, ("fine", "tone", "sharpness", "texture", "lines", "surroundings", "size")),
    "vignette": (vignette, ("shading", "tone", "border", "surroundings", "corners")),
    "flat_contrast": (flat_contrast, ("tone", "shading", "exposure", "surroundings")),
}
TEST: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "cross": (cross, ("surroundings", "lines", "marker")),
    "edge_bar": (edge_bar, ("surroundings", "lines", "border", "marker")),
    "tube": (tube, ("surroundings", "lines", "inside")),
    "lung_dots": (lung_dots, ("inside",)),
    "noise": (noise, ("fine", "sharpness", "texture", "lines", "surroundings", "size")),
    "grid_lines": (grid_lines, ("fine", "sharpness", "texture", "lines", "surroundings", "size")),
    "gradient": (gradient, ("shading", "tone", "surroundings", "border")),
    "blocks": (blocks, ("fine", "sharpness", "texture", "lines", "surroundings", "size")),
}


def gamma(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return np.clip(grey, 0, 1) ** rng.uniform(0.6, 0.75)


def corner(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return np.where(X + (SIZE - 1 - Y) < rng.uniform(9, 14), 0.02, grey)


def dust(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out, places = grey.copy(), np.argwhere(~lungs)
    for y, x in places[rng.integers(len(places), size=12)]:
        out[y, x] = 0.98
    return out


def sharpened(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey + 1.5 * (grey - ndimage.gaussian_filter(grey, 1.2))


def blurred(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return ndimage.gaussian_filter(grey, rng.uniform(0.9, 1.1))


def text(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    from radiolucent.data.phantom.markers import stamp

    ink = stamp((SIZE, SIZE), "17", 40 + rng.uniform(0, 6), 54 + rng.uniform(0, 2), 7.0)
    return grey * (1 - ink) + 0.95 * ink


def dead_columns(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out = grey.copy()
    out[:, rng.integers(4, 60, size=2)] = 0.0
    return out


def clip(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return np.minimum(grey, np.quantile(grey, 0.75))


def leads(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out = grey.copy()
    for y0, x0 in ((14, 12), (16, 50), (48, 54)):
        y, x = y0 + rng.uniform(-2, 2), x0 + rng.uniform(-2, 2)
        out = np.where(np.hypot(Y - y, X - x) < 1.6, 0.95, out)
        line = np.abs((Y - y) - 0.5 * (X - x)) < 0.6
        out = np.where(line & (X > x) & (x + 10 > X), 0.8, out)
    return out


def _same(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey  # see `MOVES`


_FINE = ("fine", "sharpness", "texture", "lines", "inside", "size", "surroundings")
_THERE = ("surroundings", "lines", "concept", "maps", "errors", "marker", "corners", "border")
# Painted after `TEST` had been run; nothing was tuned on them either.
FRESH: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "gamma": (gamma, ("tone", "shading", "exposure", "surroundings")),
    "corner": (corner, _THERE),
    "dust": (dust, (*_THERE, "sharpness")),
    "sharpened": (sharpened, _FINE),
    "blurred": (blurred, _FINE),
    "text": (text, _THERE),
    "mirrored": (_same, ("pose",)),
    "dead_columns": (dead_columns, (*_THERE, "inside", "sharpness")),
    "clip": (clip, ("tone", "shading", "exposure", "surroundings", "lines")),
    "leads": (leads, _THERE),
}


# --- painted last, and run once when nothing was to be mended any more ---


def equalised(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    rank = np.searchsorted(np.sort(grey.ravel()), grey, side="right") / grey.size
    return 0.5 * grey + 0.5 * rank


def moire(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    waves = [np.cos(2 * np.pi * (X * np.cos(a) + Y * np.sin(a)) / 4.3 + rng.uniform(0, 6)) for a in (0.5, 0.62)]
    return grey + 0.03 * (waves[0] + waves[1])


def soft_shadow(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    y, x = 56 + rng.uniform(-3, 3), rng.uniform(20, 44)
    return grey * (1 - 0.5 * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / 50))


def grey_frame(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    there = np.minimum(np.minimum(X, 63 - X), np.minimum(Y, 63 - Y)) < rng.integers(2, 4)
    return np.where(there, 0.55, grey)


def heart_clip(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out, y, x = grey.copy(), 34 + rng.integers(-2, 3), 33 + rng.integers(-2, 3)
    for k in range(5):
        out[y + k, x + (k if k < 3 else 4 - k)] = 1.0
    return out


def median(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return ndimage.median_filter(grey, 3)


def interlaced(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out = grey.copy()
    out[1::2] = np.roll(out[1::2], 1, 1)
    return out


def lung_thread(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    there = np.abs(Y - X * rng.uniform(-0.3, 0.3) - rng.uniform(24, 34)) < 0.6
    return np.where(there & ndimage.binary_erosion(lungs, iterations=2), np.clip(grey + 0.3, 0, 1), grey)


def dead_pixels(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out = grey.copy()
    out[rng.integers(0, SIZE, 14), rng.integers(0, SIZE, 14)] = 0.0
    return out


def both_corners(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return one_corner(one_corner(grey, lungs, rng, 0), lungs, rng, 1)


def one_corner(grey: Grey, lungs: Mask, rng: np.random.Generator, which: int | None = None) -> Grey:
    out, y = grey.copy(), 3 + rng.integers(3)
    x = (3, 56)[int(rng.integers(2)) if which is None else which] + rng.integers(3)
    out[y : y + 3, x : x + 3] = 0.97
    return out


FINAL: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "tilted": (_same, ("pose",)),
    "enlarged": (_same, ("pose",)),
    "equalised": (equalised, ("tone", "shading", "exposure", "surroundings")),
    "moire": (moire, _FINE),
    "soft_shadow": (soft_shadow, (*_THERE, "shading", "tone")),
    "grey_frame": (grey_frame, _THERE),
    "heart_clip": (heart_clip, (*_THERE, "inside", "fine")),
    "median": (median, _FINE),
    "interlaced": (interlaced, ("interlace",)),
    "lung_thread": (lung_thread, ("inside", "fine")),
    "dead_pixels": (dead_pixels, (*_THERE, *_FINE)),
    "both_corners": (both_corners, _THERE),
}


# --- painted after all of it had been tried, and tried once ---


def compressed(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    from io import BytesIO

    from PIL import Image

    kept = BytesIO()
    Image.fromarray(np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)).save(kept, "JPEG", quality=12)
    return np.asarray(Image.open(kept)) / 255.0


def wire(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    x = rng.uniform(8, 56) + rng.uniform(6, 10) * np.sin(Y / rng.uniform(14, 20) + rng.uniform(0, 6))
    return np.where(np.abs(X - x) < 0.6, np.clip(grey + 0.25, 0, 1), grey)


def pacemaker(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    y, x = 12 + rng.uniform(-2, 2), 47 + rng.uniform(-2, 2)
    box = np.maximum(np.abs(Y - y) / 3.5, np.abs(X - x) / 2.5) < 1
    lead = (np.abs((Y - y) - (x - X) * 1.6) < 1.0) & (X < x) & (x - 14 < X)
    return np.where(box | lead, 0.97, grey)


def watermark(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    stripes = ((X + Y + rng.integers(16)) % 16) < 3
    return np.where(stripes, np.clip(grey + 0.06, 0, 1), grey)


def heart_contrast(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    there = np.exp(-(((Y - 38) / 10) ** 2 + ((X - 33) / 6) ** 2)) * ~lungs
    return grey + 0.2 * ndimage.gaussian_filter(there, 1.0)


def inverted_corner(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out, n = grey.copy(), rng.integers(7, 11)
    out[-n:, :n] = 1 - out[-n:, :n]
    return out


def ruler(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    ticks = (X >= 60) & ((Y + rng.integers(4)) % 4 < 1)
    return np.where(ticks, 0.9, grey)


def blades(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    edge = Y - (3 + rng.uniform(0, 2) + rng.uniform(0.05, 0.12) * X)
    return grey * (0.1 + 0.9 / (1 + np.exp(-np.clip(edge / 0.8, -40, 40))))


LATER: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "compressed": (compressed, _FINE),
    "wire": (wire, (*_THERE, "inside", "fine")),
    "pacemaker": (pacemaker, (*_THERE, "inside", "fine")),
    "watermark": (watermark, _FINE),
    "heart_contrast": (heart_contrast, (*_THERE, "shading", "tone")),
    "inverted_corner": (inverted_corner, _THERE),
    "ruler": (ruler, _THERE),
    "blades": (blades, _THERE),
}
# --- two further sets, dealt before any was tried: `MORE` to mend on, `SEALED` to measure with ---


def dose_noise(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Quantum noise: a low dose, so that dark places are noisiest."""
    return grey + rng.normal(0, 0.1, grey.shape) * np.sqrt(np.clip(1 - grey, 0, 1))


def poster_lungs(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return np.where(lungs, np.round(grey * 10) / 10, grey)


def local_contrast(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """As CLAHE does: each place by its own mean and spread."""
    mean = ndimage.gaussian_filter(grey, 8)
    spread = np.sqrt(np.maximum(ndimage.gaussian_filter((grey - mean) ** 2, 8), 1e-6))
    return 0.5 * grey + 0.5 * (0.5 + 0.2 * (grey - mean) / spread)


def scratch(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    angle, far = rng.uniform(0.4, 1.1), rng.uniform(-14, 14)
    return np.where(np.abs((X - 31.5) * np.sin(angle) - (Y - 31.5) * np.cos(angle) - far) < 0.6, 0.02, grey)


def padded(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Columns at both sides of grey level 12, as where a film was made square."""
    n = rng.integers(3, 6)
    return np.where((n > X) | (X >= SIZE - n), 12 / 255, grey)


def double_exposure(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return 0.65 * grey + 0.35 * np.roll(grey, (int(rng.integers(2, 4)), int(rng.integers(2, 4))), (0, 1))


def slipped(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """The scanner slips: all rows below one lie two pixels aside."""
    out, y = grey.copy(), rng.integers(18, 46)
    out[y:] = np.roll(out[y:], 2, 1)
    return out


def detector_field(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """An old calibration: always the same uneven field."""
    field = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(grey.shape), 2.5, mode="wrap")
    return grey * (1 + 0.06 * field / field.std())


def necklace(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    out, middle = grey.copy(), 31.5 + rng.uniform(-2, 2)
    for step in range(-4, 5):
        out[round(11 - 0.35 * step**2 + rng.uniform(0, 1)), round(middle + 2 * step)] = 0.95
    return out


def gamma_lungs(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    soft = ndimage.gaussian_filter(lungs.astype(float), 1.0)
    return grey + soft * (np.clip(grey, 0, 1) ** 1.4 - grey)


def scatter(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Haze of scattered rays."""
    return 0.65 * grey + 0.35 * (0.15 + 0.85 * ndimage.gaussian_filter(grey, 12))


def half_pixel(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return np.asarray(ndimage.shift(grey, (0.5, 0.5), order=1, mode="nearest"))


def dead_lines(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """A block of lines that show the line above them."""
    out, y = grey.copy(), rng.integers(10, 50)
    out[y : y + 4] = out[y - 1]
    return out


def clavicle(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """A thin bright line across the top of either lung."""
    line = np.abs(Y - (19 + rng.uniform(-2, 2)) - 0.02 * (X - 31.5) ** 2 * rng.uniform(0.5, 0.8)) < 0.6
    return np.where(line & (np.abs(X - 31.5) > 5) & (np.abs(X - 31.5) < 19), np.clip(grey + 0.25, 0, 1), grey)


def feeding_tube(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Down the middle, then to the stomach."""
    x = 31 + rng.uniform(-1, 1) + np.where(Y > 46, (Y - 46) * 0.9, 0)
    return np.where((np.abs(X - x) < 0.7) & (Y < 60), np.clip(grey + 0.25, 0, 1), grey)


def row_noise(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey + rng.normal(0, 0.035, (SIZE, 1))


def smooth_lungs(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return np.where(lungs, ndimage.gaussian_filter(grey, 1.2), grey)


def tape(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Half transparent, at an angle, over a lower corner."""
    angle, y, x = rng.uniform(0.3, 0.9), 55 + rng.uniform(-2, 2), 10 + rng.uniform(-2, 2)
    along = (X - x) * np.cos(angle) + (Y - y) * np.sin(angle)
    across = (Y - y) * np.cos(angle) - (X - x) * np.sin(angle)
    return np.where((np.abs(along) < 9) & (np.abs(across) < 3), 0.6 * grey + 0.3, grey)


def banded(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    return grey * (1 + 0.07 * np.sin(2 * np.pi * Y / 11 + rng.uniform(0, 6)))


def ringing(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Frequencies above a half cut off, so that edges ring."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE), indexing="ij")
    return np.fft.ifft2(np.fft.fft2(grey) * (np.hypot(fy, fx) < 0.2)).real


def arrow(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """Drawn into a lung by a reader."""
    inside = np.argwhere(ndimage.binary_erosion(lungs, iterations=4))
    y, x = inside[rng.integers(len(inside))] if len(inside) else (30, 18)
    out = grey.copy()
    for k in range(5):
        out[np.clip(y + k, 0, 63), np.clip(x + k, 0, 63)] = 0.95
    out[y : y + 3, x] = out[y, x : x + 3] = 0.95
    return out


def coin(grey: Grey, lungs: Mask, rng: np.random.Generator) -> Grey:
    """In the stomach."""
    y, x = 57 + rng.uniform(-2, 2), 40 + rng.uniform(-3, 3)
    return np.where(np.hypot(Y - y, X - x) < 3, 0.97, grey)


_LUNGS = ("inside", "fine")
_TONES = ("tone", "shading", "curve", "exposure", "surroundings")
MORE: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "dose_noise": (dose_noise, _FINE),
    "poster_lungs": (poster_lungs, _LUNGS),
    "local_contrast": (local_contrast, (*_TONES, "filter", "fine")),
    "scratch": (scratch, (*_THERE, *_LUNGS)),
    "padded": (padded, _THERE),
    "double_exposure": (double_exposure, (*_FINE, "filter")),
    "slipped": (slipped, (*_THERE, *_LUNGS, "pose")),
    "detector_field": (detector_field, (*_FINE, "shading")),
    "necklace": (necklace, _THERE),
    "gamma_lungs": (gamma_lungs, ("lungs.tone", *_LUNGS)),
    "stretched": (_same, ("pose", "surroundings")),
}
SEALED: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "scatter": (scatter, (*_TONES, "filter", "fine")),
    "half_pixel": (half_pixel, (*_FINE, "filter")),
    "dead_lines": (dead_lines, (*_THERE, *_LUNGS)),
    "clavicle": (clavicle, (*_THERE, *_LUNGS)),
    "feeding_tube": (feeding_tube, (*_THERE, "fine")),
    "row_noise": (row_noise, (*_FINE, "filter", "interlace")),
    "smooth_lungs": (smooth_lungs, _LUNGS),
    "tape": (tape, _THERE),
    "banded": (banded, (*_FINE, "shading", "tone")),
    "ringing": (ringing, (*_FINE, "filter")),
    "arrow": (arrow, _LUNGS),
    "coin": (coin, _THERE),
}
KINDS = DEV | TEST | FRESH | FINAL | LATER | MORE | SEALED
DECOYS: dict[str, Painter] = {"both_corners": one_corner}
"""What as many healthy films carry instead."""


def _turned(values: Grey, order: int, angle: float, zoom: float) -> Grey:
    c, s = np.cos(np.radians(angle)) / zoom, np.sin(np.radians(angle)) / zoom
    matrix, middle = np.array([[c, -s], [s, c]]), np.array([31.5, 31.5])
    return np.asarray(ndimage.affine_transform(values, matrix, middle - matrix @ middle, order=order, mode="nearest"))


def _mirrored(rng: np.random.Generator) -> Callable[[Grey, int], Grey]:
    return lambda values, order: values[:, ::-1]


def _tilted(rng: np.random.Generator) -> Callable[[Grey, int], Grey]:
    angle = rng.uniform(9, 13)
    return lambda values, order: _turned(values, order, angle, 1.0)


def _enlarged(rng: np.random.Generator) -> Callable[[Grey, int], Grey]:
    zoom = rng.uniform(1.15, 1.25)
    return lambda values, order: _turned(values, order, 0.0, zoom)


def _stretched(rng: np.random.Generator) -> Callable[[Grey, int], Grey]:
    """Wider than high, as where a film was made square by force."""
    matrix = np.diag([1.0, 1 / rng.uniform(1.15, 1.25)])
    middle = np.array([31.5, 31.5])
    offset = middle - matrix @ middle
    return lambda values, order: np.asarray(
        ndimage.affine_transform(values, matrix, offset, order=order, mode="nearest")
    )


MOVES = {"mirrored": _mirrored, "tilted": _tilted, "enlarged": _enlarged, "stretched": _stretched}
"""Kinds that move the chest, lungs and all."""


def carrying(
    kind: str, pixels: NDArray[np.uint8], lungs: Mask, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Mask]:
    """A film uint8 (64, 64) with the artefact, and its lungs."""
    if kind in MOVES:
        move = MOVES[kind](rng)
        return np.rint(np.clip(move(pixels / 1.0, 1), 0, 255)).astype(np.uint8), move(lungs / 1.0, 1) > 0.5
    grey = KINDS[kind][0](pixels / 255, lungs, rng)
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8), lungs
