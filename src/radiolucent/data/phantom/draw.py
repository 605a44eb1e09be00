"""One phantom film: anatomy, opacity, exposure, noise, marker."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radiolucent.data.phantom.anatomy import Anatomy, thorax
from radiolucent.data.phantom.markers import stamp
from radiolucent.data.phantom.opacities import KINDS, LUNG_EDGE, opacity

__all__ = ["Phantom", "draw", "exposed", "plane"]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A drawn film with the truth about it.

    Attributes:
        pixels: uint8 (S, S). lungs, opacity, marker: true masks, bool (S, S).
        label: 1 with pneumonia, 0 without. kind: of the opacity, or "". etiology: "bacteria", "virus" or "".
        words: how a perfect reader would describe it. strength: added attenuation of the opacity.
    """

    pixels: NDArray[np.uint8]
    lungs: NDArray[np.bool_]
    opacity: NDArray[np.bool_]
    marker: NDArray[np.bool_]
    label: int
    kind: str
    etiology: str
    words: str
    strength: float


def draw(
    seed: int | np.random.Generator,
    *,
    size: int = 256,
    pneumonia: bool = False,
    marker: str = "",
    anatomy: Anatomy | None = None,
    site: int = 0,
    subtle: float = 0.3,
) -> Phantom:
    """Draw one film.

    Args:
        seed: or a generator; decides everything that is not given.
        size: side in pixels.
        pneumonia: with an opacity of a random kind.
        marker: text of the side marker, e.g. "R" (at the patient's right, the image's left) or "L"; "" for none.
        anatomy: the child; drawn at random unless given.
        site: 0, 1, …: sites differ slightly in exposure, contrast and collimation.
        subtle: attenuation of the faintest opacities.
    """
    rng = np.random.default_rng(seed)
    child = anatomy or Anatomy.of(rng)
    x, y = plane(size, rng)
    chest = thorax(x, y, child, rng)
    lungs = np.maximum(chest.right, chest.left) > LUNG_EDGE
    total, mask, kind, etiology, words, strength = chest.attenuation, np.zeros_like(lungs), "", "", "no finding", 0.0
    if pneumonia:
        kind = KINDS[int(rng.choice(len(KINDS), p=[0.38, 0.16, 0.24, 0.22]))]
        etiology = "virus" if kind == "interstitial" or (kind == "patchy" and rng.random() < 0.5) else "bacteria"
        strength = float(rng.uniform(subtle, 0.95))
        found = opacity(kind, x, y, chest, strength, etiology, rng)
        total, mask, words = total + found.added, found.mask, found.words
    pixels, stamped = exposed(total, marker, site, rng)
    return Phantom(pixels, lungs, mask, stamped, int(pneumonia), kind, etiology, words, strength)


def exposed(
    total: NDArray[np.float32], marker: str, site: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The film uint8 (S, S) of an attenuation (S, S), and where marker and text stand on it."""
    film = _expose(total, site, rng)
    film = _collimate(film, site, rng)
    stamped = np.zeros(film.shape, bool)
    if marker:
        film, stamped = _mark(film, marker, rng)
    if rng.random() < 0.3:
        film, text = _label_text(film, rng)
        stamped |= text
    return np.rint(np.clip(film, 0, 1) * 255).astype(np.uint8), stamped


def plane(size: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinates of the pixels, with the child slightly rotated, scaled and off centre."""
    axis = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    columns, rows = np.meshgrid(axis, axis)
    angle, zoom = rng.uniform(-0.07, 0.07), rng.uniform(0.90, 1.06)
    dx, dy = rng.uniform(-0.06, 0.06), rng.uniform(-0.05, 0.07)
    u, v = (columns - dx) * zoom, (rows - dy) * zoom
    x = np.cos(angle) * u + np.sin(angle) * v
    y = -np.sin(angle) * u + np.cos(angle) * v
    return x.astype(np.float32), y.astype(np.float32)


def _expose(total: NDArray[np.float32], site: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Beer–Lambert, scatter, quantum noise and the film's curve: bright where much is absorbed."""
    rays = np.exp(-total)
    scatter = ndimage.gaussian_filter(rays, total.shape[0] / 14)
    dose = rays * 0.8 + scatter * 0.2
    quanta = (1500.0, 900.0, 2200.0)[site % 3]
    noisy = np.clip(dose + rng.standard_normal(dose.shape).astype(np.float32) * np.sqrt(dose / quanta), 1e-3, None)
    signal = -np.log(noisy)
    centre = rng.uniform(1.02, 1.22) + (0.0, 0.05, -0.05)[site % 3]
    slope = rng.uniform(1.75, 2.25) * (1.0, 0.92, 1.06)[site % 3]
    film = 1 / (1 + np.exp(-slope * (signal - centre)))
    return ndimage.gaussian_filter(film, 0.55).astype(np.float32) * np.float32(0.98)


def _collimate(film: NDArray[np.float32], site: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Black borders where the beam was shut."""
    if rng.random() > (0.45, 0.6, 0.3)[site % 3]:
        return film
    out = film.copy()
    edges = rng.integers(0, max(2, film.shape[0] // 22), 4)
    out[: edges[0]] = out[film.shape[0] - edges[1] :] = 0.02
    out[:, : edges[2]] = out[:, film.shape[1] - edges[3] :] = 0.02
    return out


def _mark(
    film: NDArray[np.float32], text: str, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A side marker beside the shoulder: R at the image's left, L at its right."""
    size = film.shape[0]
    height = rng.uniform(0.055, 0.085) * size
    inset = rng.uniform(0.03, 0.08) * size
    left = inset if text == "R" else size - inset - 0.62 * height
    ink = stamp((size, size), text, left, rng.uniform(0.05, 0.24) * size, height)
    bright = np.float32(rng.uniform(0.85, 1.0))
    return (film * (1 - ink) + bright * ink).astype(np.float32), ink > 0.5


def _label_text(film: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Small text such as a projection and a number at the lower edge."""
    size = film.shape[0]
    text = ("AP" if rng.random() < 0.7 else "PA") + "".join(rng.choice(list("012347"), 3))
    height = 0.028 * size
    ink = stamp((size, size), text, rng.uniform(0.04, 0.70) * size, 0.955 * size, height, 0.2)
    bright = np.float32(rng.uniform(0.6, 0.9))
    return (film * (1 - ink) + bright * ink).astype(np.float32), ink > 0.5
