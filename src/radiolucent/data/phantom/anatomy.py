"""The thorax as path lengths: how much tissue, air and bone each ray crosses.

Coordinates: x to the right of the image (the patient's left), y down, both about −1 … 1 over the film. The patient's
right lung is therefore at negative x, and the heart lies mostly at positive x.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Anatomy", "Thorax", "heart_reach", "smooth_noise", "step", "thorax"]

Plane = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Anatomy:
    """What a child keeps from film to film; lengths in units of half the film."""

    width: float
    apex: float
    base: float
    heart: float
    heart_x: float
    ribs: int
    rib_slope: float
    rib_weight: float
    fat: float
    thymus: float
    vessel_seed: int
    asymmetry: float

    @staticmethod
    def of(rng: np.random.Generator) -> "Anatomy":
        """A child drawn at random."""
        return Anatomy(
            width=rng.uniform(0.70, 0.80),
            apex=rng.uniform(-0.70, -0.60),
            base=rng.uniform(0.36, 0.48),
            heart=rng.uniform(0.30, 0.37),
            heart_x=rng.uniform(0.09, 0.15),
            ribs=int(rng.integers(8, 10)),
            rib_slope=rng.uniform(0.22, 0.36),
            rib_weight=rng.uniform(0.75, 1.15),
            fat=rng.uniform(0.9, 1.15),
            thymus=rng.uniform(0.0, 0.5),
            vessel_seed=int(rng.integers(2**31)),
            asymmetry=rng.uniform(-0.03, 0.03),
        )


@dataclass(frozen=True, eq=False)
class Thorax:
    """A drawn thorax: attenuation (path length × coefficient) and the lungs.

    Attributes:
        attenuation: (S, S). lungs: soft lung fields in [0, 1], right then left lung. hila: (x, y) of both hila.
    """

    attenuation: Plane
    right: Plane
    left: Plane
    hila: tuple[tuple[float, float], tuple[float, float]]


def smooth_noise(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> Plane:
    """Standard-normal noise on a coarse grid, interpolated smoothly to `shape`."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def step(distance: Plane, softness: float) -> Plane:
    """0 outside, 1 inside, with an edge of the given softness."""
    return (1 / (1 + np.exp(np.clip(-distance / softness, -40, 40)))).astype(np.float32)


def _bell(distance: Plane, width: float) -> Plane:
    return np.exp(-0.5 * (distance / width) ** 2).astype(np.float32)


def _lung(x: Plane, y: Plane, side: int, a: Anatomy) -> tuple[Plane, Plane]:
    """A lung field (soft, in [0, 1]) and the height of its diaphragm at each x; side −1: the patient's right."""
    s = x * side
    wall = (
        a.width
        * (1 - 0.10 * np.clip(y, 0, 1))
        * np.sqrt(np.clip(1 - ((y - 0.12) / (0.12 - a.apex + 0.08)) ** 2 * (y < 0.12), 0, 1))
    )
    wall = (wall - 0.045 + side * a.asymmetry).astype(np.float32)
    medial = 0.105 + 0.05 * np.exp(-(((y + 0.12) / 0.14) ** 2))
    if side > 0:  # the heart's left border
        medial = medial + 0.24 * np.clip(np.sin(np.clip((y + 0.12) / 0.62, 0, 1) * np.pi * 0.62), 0, 1) ** 1.3
    else:
        medial = medial + 0.07 * np.clip(np.sin(np.clip((y - 0.02) / 0.45, 0, 1) * np.pi), 0, 1)
    lift = 0.045 if side < 0 else 0.0
    dome = (
        a.base
        - lift
        - 0.10 * np.cos(np.clip((s - 0.36) / 0.42, -1.3, 1.3) * np.pi / 2)
        + 0.22 * np.clip(s - 0.52, 0, 1)
    )
    field = (
        step(wall - s, 0.012)
        * step(s - medial, 0.014)
        * step(dome - y, 0.010)
        * step(y - a.apex - 0.25 * (s - 0.32) ** 2, 0.02)
    )
    return field, dome.astype(np.float32)


def _ribs(x: Plane, y: Plane, a: Anatomy) -> Plane:
    """Posterior ribs (towards the wall and down) and fainter anterior ones (towards the middle and down)."""
    total = np.zeros_like(x)
    wide = np.abs(x)
    inside = step(a.width + 0.015 - wide, 0.012) * (1 - 0.75 * step(y - a.base - 0.10, 0.04))
    for i in range(a.ribs):
        top = a.apex - 0.02 + i * 0.142
        along = np.clip(wide / a.width, 0, 1)
        centre = top - 0.05 * np.sin(along * np.pi) + a.rib_slope * along**2.2
        thick = 0.027 + 0.005 * along
        d = np.abs(y - centre) / thick
        tube = np.sqrt(np.clip(1 - d * d, 0, 1)) * 0.55 + 0.5 * _bell(d - 0.85, 0.22)
        total += tube * inside * step(wide - 0.05, 0.01) * (0.75 + 0.5 * along)
        if i < a.ribs - 2:
            start = top + a.rib_slope + 0.02
            front = start + 0.42 * (1 - along) ** 1.2
            d = np.abs(y - front) / 0.024
            reach = step(along - 0.42, 0.06)
            total += 0.42 * (np.sqrt(np.clip(1 - d * d, 0, 1)) * 0.7 + 0.3 * _bell(d - 0.85, 0.25)) * inside * reach
    return total * a.rib_weight


def _spine(x: Plane, y: Plane) -> Plane:
    discs = 0.5 + 0.5 * np.cos(y * np.pi * 2 / 0.118)
    body = step(0.075 - np.abs(x), 0.008)
    pedicles = _bell(np.abs(x) - 0.045, 0.012) * _bell(np.mod(y, 0.118) - 0.05, 0.018)
    return body * (0.55 + 0.30 * discs) + 0.35 * pedicles


def _clavicles(x: Plane, y: Plane, a: Anatomy) -> Plane:
    wide = np.abs(x)
    centre = (
        a.apex
        + 0.10
        - 0.14 * np.sin(np.clip((wide - 0.06) / 0.62, 0, 1) * np.pi * 0.62)
        + 0.02 * np.sign(x) * a.asymmetry * 10
    )
    d = np.abs(y - centre) / (0.026 + 0.012 * _bell(wide - 0.1, 0.06))
    tube = np.sqrt(np.clip(1 - d * d, 0, 1)) * 0.6 + 0.5 * _bell(d - 0.85, 0.2)
    return tube * step(wide - 0.05, 0.012) * step(0.68 - wide, 0.02)


class _Planes(NamedTuple):
    """Coordinates, and the range of each column's x and each row's y."""

    x: Plane
    y: Plane
    low_x: Plane
    high_x: Plane
    low_y: Plane
    high_y: Plane


def _vessels(x: Plane, y: Plane, hila: tuple[tuple[float, float], ...], seed: int) -> Plane:
    """Branching pulmonary vessels: polylines that thin out away from the hilum."""
    rng = np.random.default_rng(seed)
    total = np.zeros_like(x)
    planes = _Planes(x, y, x.min(0), x.max(0), y.min(1), y.max(1))
    for side, (hx, hy) in zip((-1, 1), hila, strict=True):
        for angle in np.linspace(-1.25, 1.35, 7) + rng.uniform(-0.12, 0.12, 7):
            px, py, heading, width = hx, hy, angle, 0.015
            for _ in range(7):
                length = rng.uniform(0.05, 0.08)
                qx, qy = px + side * np.cos(heading) * length, py + np.sin(heading) * length
                _line(total, planes, (px, py), (qx, qy), width)
                if rng.random() < 0.6:
                    turn = heading + rng.choice([-1, 1]) * rng.uniform(0.4, 0.8)
                    bx, by = qx + side * np.cos(turn) * length, qy + np.sin(turn) * length
                    _line(total, planes, (qx, qy), (bx, by), width * 0.7)
                px, py, heading, width = qx, qy, heading + rng.uniform(-0.25, 0.25), width * 0.83
    return np.minimum(total, 1.6)


def _line(total: Plane, planes: _Planes, start: tuple[float, float], end: tuple[float, float], width: float) -> None:
    """Add a soft line segment to `total`, touching only the pixels near it."""
    reach = 3 * width
    rows = np.flatnonzero(
        (planes.high_y >= min(start[1], end[1]) - reach) & (planes.low_y <= max(start[1], end[1]) + reach)
    )
    columns = np.flatnonzero(
        (planes.high_x >= min(start[0], end[0]) - reach) & (planes.low_x <= max(start[0], end[0]) + reach)
    )
    if not len(rows) or not len(columns):
        return
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    u, v = planes.x[part] - start[0], planes.y[part] - start[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = np.clip((u * dx + v * dy) / (dx * dx + dy * dy + 1e-12), 0, 1)
    distance = np.hypot(u - t * dx, v - t * dy)
    total[part] += _bell(distance, width) * min(1.0, width * 60)


def heart_reach(x: Plane, y: Plane, a: Anatomy) -> Plane:
    """Distance (S, S) from the heart's middle, along its slant: the heart is where it is below `a.heart`."""
    return np.hypot((x - a.heart_x) * 0.92 + (y - 0.20) * 0.30, ((y - 0.20) * 1.02 - (x - a.heart_x) * 0.28) * 1.08)


def thorax(x: Plane, y: Plane, a: Anatomy, rng: np.random.Generator) -> Thorax:
    """Draw a child's thorax on coordinate planes (S, S)."""
    right, dome_right = _lung(x, y, -1, a)
    left, dome_left = _lung(x, y, 1, a)
    lungs = np.maximum(right, left)
    wide = np.abs(x)
    trunk = a.width + 0.10 * a.fat + 0.06 * np.clip(y - 0.3, 0, 1) + 0.35 * np.clip(-0.50 - y, 0, 1)
    body = step(trunk - wide, 0.012)
    depth = np.sqrt(np.clip(1 - (wide / (trunk + 0.05)) ** 2, 0, 1)) * body
    soft = 1.45 * a.fat * (0.45 + 0.55 * depth) * body
    arms = step(0.16 - np.hypot((wide - a.width - 0.28) / 1.1, (y + 0.30) / 3.2), 0.02) * 0.75
    neck = _bell(wide, 0.16) * step(a.apex + 0.02 - y, 0.05) * 0.35
    belly = step(y - np.where(x < 0, dome_right, dome_left), 0.012) * body
    bubble = _bell(np.hypot((x - 0.34) / 1.3, (y - a.base - 0.13)), 0.075) * 0.55
    turn = heart_reach(x, y, a)
    heart = np.sqrt(np.clip(1 - (turn / a.heart) ** 2, 0, 1)) * 0.62 * step(a.heart - turn, 0.012)
    mediastinum = _bell(x - 0.01, 0.085 + 0.05 * a.thymus) * step(a.base - y, 0.05) * step(y - a.apex + 0.12, 0.05)
    thymus = _bell(x + 0.02, 0.16) * _bell(y + 0.34, 0.12) * a.thymus * 0.5
    trachea = _bell(x + 0.012, 0.030) * step(-0.26 - y, 0.03) * 0.42
    hila = ((-0.17, -0.05), (0.19, -0.08))
    hilar = sum(_bell(np.hypot((x - hx) / 0.9, (y - hy) / 1.5), 0.055) for hx, hy in hila) * 0.40
    vessels = _vessels(x, y, hila, a.vessel_seed) * lungs * 0.26
    air = 1.02 * lungs * (0.86 + 0.14 * depth) * (1 - 0.10 * step(heart - 0.15, 0.05))
    bones = 0.50 * _ribs(x, y, a) + 0.55 * _spine(x, y) * body + 0.55 * _clavicles(x, y, a)
    scapula = 0.16 * step(0.20 - np.hypot((wide - a.width - 0.02) / 0.8, (y + 0.36) / 1.6), 0.02)
    texture = 0.035 * smooth_noise((x.shape[0], x.shape[1]), 40, rng) * body
    total = (
        soft
        + arms
        + neck
        + 0.36 * belly
        - bubble * belly
        + heart
        + 0.42 * mediastinum
        + thymus
        - trachea
        + hilar
        + vessels
    )
    return Thorax((total - air + bones + scapula + texture).astype(np.float32), right, left, hila)
