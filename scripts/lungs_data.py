"""Films with lung masks for training: the real ones beside their masks, phantoms, and how both are varied."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.morphology import convex_hull_image

from radiolucent.data import load_dataset, split_dataset
from radiolucent.data.phantom import draw
from radiolucent.data.phantom.markers import stamp
from radiolucent.data.records import Record
from radiolucent.files import atomic_path
from radiolucent.images import Preprocess, read
from radiolucent.segment.net import SIDE

__all__ = ["Films", "mask_path", "phantoms", "real_films", "vary", "with_heart"]

Say = Callable[[int, int], None]
TEXTS = ("R", "L", "AP", "PA12", "R", "L")


@dataclass(frozen=True, eq=False)
class Films:
    """Films and masks, uint8 (N, 128, 128), squashed; for real ones their records."""

    grey: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    records: tuple[Record, ...] = ()

    def __len__(self) -> int:
        return len(self.grey)

    def where(self, keep: NDArray[np.bool_]) -> "Films":
        """A selection."""
        return Films(self.grey[keep], self.mask[keep], tuple(r for r, k in zip(self.records, keep, strict=True) if k))

    def of(self, split: str) -> "Films":
        """The films of one split."""
        return self.where(np.array([r.split == split for r in self.records]))


def mask_path(data: Path, record: Record) -> Path:
    """Where the mask of a film lies: `lungs/` beside `chest_xray/`, the same name as PNG."""
    return data / "lungs" / Path(record.image_id).with_suffix(".png")


def real_films(data: Path, work: Path, *, seed: int, progress: Say | None = None) -> Films:
    """All films that have a mask, dealt by patient into train (80 %), val (8 %) and test (12 %); kept in `work`."""
    dataset = split_dataset(load_dataset(data / "chest_xray"), val=0.08, test=0.12, seed=seed)
    records = tuple(r for r in dataset.records if r.split and mask_path(data, r).is_file())
    kept = work / "films.npz"
    if kept.is_file():
        stored = np.load(kept)
        if list(stored["ids"]) == [r.image_id for r in records]:
            return Films(stored["grey"], stored["mask"], records)
    preprocess = Preprocess(size=SIDE, channels=1, mean=(0.0,), std=(1.0,))
    grey, mask = np.empty((2, len(records), SIDE, SIDE), np.uint8)
    for i, record in enumerate(records):
        grey[i] = preprocess.quantise(read(record.path))
        with Image.open(mask_path(data, record)) as image:
            mask[i] = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
        if progress and i % 64 == 63:
            progress(i + 1, len(records))
    with atomic_path(kept) as temporary:
        np.savez(temporary, grey=grey, mask=mask, ids=[r.image_id for r in records])
    return Films(grey, mask, records)


def with_heart(lungs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Phantom lung fields as the doctors outlined real ones: each side filled to its spine edge, heart included.

    In every row of a lung, what of its convex hull lies on the side of the spine is added.
    """
    labels, count = ndimage.label(lungs)
    out = lungs.copy()
    middle = float(np.nonzero(lungs)[1].mean()) if lungs.any() else 0.0
    columns = np.arange(lungs.shape[1])
    for k in range(1, count + 1):
        one = labels == k
        if one.sum() < 0.01 * lungs.size:
            continue
        hull = convex_hull_image(one)
        left = float(np.nonzero(one)[1].mean()) < middle
        for row in np.flatnonzero(one.any(1)):
            inside = np.flatnonzero(one[row])
            beyond = columns > inside[-1] if left else columns < inside[0]
            out[row] |= hull[row] & beyond
    return out


def phantoms(count: int, work: Path, *, seed: int, progress: Say | None = None) -> Films:
    """Phantom films with their masks, hearts included; kept in `work`."""
    kept = work / f"phantoms-{seed}-{count}.npz"
    if kept.is_file():
        stored = np.load(kept)
        return Films(stored["grey"], stored["mask"])
    grey, mask = np.empty((2, count, SIDE, SIDE), np.uint8)
    for i in range(count):
        rng = np.random.default_rng([seed, 77, i])
        text = ("", "R", "L")[i % 3]
        film = draw(rng, size=SIDE, pneumonia=bool(rng.random() < 0.5), marker=text, site=i % 3)
        grey[i], mask[i] = film.pixels, with_heart(film.lungs) * np.uint8(255)
        if progress and i % 16 == 15:
            progress(i + 1, count)
    with atomic_path(kept) as temporary:
        np.savez(temporary, grey=grey, mask=mask)
    return Films(grey, mask)


def _stamps() -> torch.Tensor:
    """Inks (K, SIDE, SIDE) of letters at many places, to be laid over films."""
    rng = np.random.default_rng(5)
    inks = [
        stamp((SIDE, SIDE), TEXTS[k % len(TEXTS)], rng.uniform(2, 105), rng.uniform(2, 112), rng.uniform(4, 14))
        for k in range(96)
    ]
    return torch.from_numpy(np.stack(inks))


_INKS: list[torch.Tensor] = []


def vary(
    grey: torch.Tensor, mask: torch.Tensor, side: int, rng: torch.Generator, *, move: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """A varied batch: films (N, 1, side, side) in [0, 1] and coverage targets (N, side/2, side/2).

    Affine with strong stretch (adults' and uncropped films), mirroring, black bars, letters, grey rectangles, gamma,
    contrast, a smooth bias field, blur, noise. One film in sixteen is spoilt (upside down, on its side, or pure noise)
    and has an empty target: there are no lungs to be found on it. `move` scales the affine part.
    """
    n = len(grey)

    def u(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(n, *shape, generator=rng) * (high - low) + low

    angle, zoom = u(-18, 18) * move * math.pi / 180, 1 + (u(0.78, 1.3) - 1) * move
    aspect = torch.exp(u(-0.28, 0.28) * move)
    mirror = torch.where(u(0, 1) < 0.3, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * zoom * aspect * mirror, -angle.sin() * zoom + u(-0.08, 0.08) * move
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * zoom * mirror, angle.cos() * zoom / aspect
    theta[:, :, 2] = u(-0.2, 0.2, 2) * move
    both = torch.stack([grey.float(), mask.float()], 1).div_(255)
    grid = F.affine_grid(theta, [n, 2, side, side], align_corners=False)
    mode = "zeros" if torch.rand(1, generator=rng) < 0.6 else "border"
    x = F.grid_sample(both[:, :1], grid, padding_mode=mode, align_corners=False)
    y = F.grid_sample(both[:, 1:], grid, padding_mode="zeros", align_corners=False)
    x = _grey_levels(x, u, side, rng)
    x = _clutter(x, u, side, rng)
    spoilt = torch.randperm(n, generator=rng)[: max(1, n // 16)]
    for i in spoilt.tolist():
        kind = int(torch.randint(4, (1,), generator=rng))
        if kind == 3:
            x[i] = torch.rand(x[i].shape, generator=rng)
        else:
            x[i] = torch.rot90(x[i], kind + 1, (1, 2))
        y[i] = 0
    return x.clamp_(0, 1), F.avg_pool2d(y, 2)[:, 0]


def _grey_levels(x: torch.Tensor, u: Callable[..., torch.Tensor], side: int, rng: torch.Generator) -> torch.Tensor:
    x = x.clamp(1e-6, 1) ** torch.exp(u(-0.5, 0.5, 1, 1, 1))
    bias = F.interpolate(u(-1, 1, 1, 4, 4), size=(side, side), mode="bicubic", align_corners=False)
    x = (x - 0.5) * torch.exp(u(-0.4, 0.4, 1, 1, 1)) + 0.5 + u(-0.12, 0.12, 1, 1, 1) + bias * u(0, 0.12, 1, 1, 1)
    if torch.rand(1, generator=rng) < 0.25:
        x = F.avg_pool2d(x, 3, 1, 1)
    return x + torch.randn(x.shape, generator=rng) * u(0, 0.05, 1, 1, 1)


def _clutter(x: torch.Tensor, u: Callable[..., torch.Tensor], side: int, rng: torch.Generator) -> torch.Tensor:
    if not _INKS:
        _INKS.append(_stamps())
    n = len(x)
    ink = _INKS[0][torch.randint(len(_INKS[0]), (n,), generator=rng)][:, None]
    ink = F.interpolate(ink, size=(side, side), mode="bilinear", align_corners=False) * (u(0, 1, 1, 1, 1) < 0.5)
    x = x * (1 - ink) + ink * u(0.7, 1, 1, 1, 1)
    place = torch.arange(side).view(1, -1) / side
    edges = u(0, 0.12, 4, 1) * (u(0, 1, 4, 1) < 0.15)
    rows = (place >= edges[:, 0]) & (place < 1 - edges[:, 1])
    columns = (place >= edges[:, 2]) & (place < 1 - edges[:, 3])
    x = x * (rows[:, None, :, None] & columns[:, None, None, :])
    start, size = u(0, 0.9, 2, 1), u(0.02, 0.2, 2, 1) * (u(0, 1, 1, 1) < 0.3)
    inside = (place[:, None] >= start) & (place[:, None] < start + size)
    patch = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]
    return torch.where(patch, u(0, 1, 1, 1, 1), x)
