"""Films for the shipped pneumonia model: decoded once, their lungs found once, and how both are varied in training."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.model_selection import StratifiedGroupKFold

from radiolucent.data import Dataset, PixelCache, build_cache, load_dataset, split_dataset
from radiolucent.data.split import groups_of
from radiolucent.files import atomic_path
from radiolucent.images import Preprocess
from radiolucent.models import InLungs, box_path
from radiolucent.models.in_lungs import Window, cut_out, look, narrowed, visible, window_of

__all__ = ["FOLDS", "Cut", "Films", "emptied", "films_of", "finder_weights", "folds_of", "seen_of", "varied"]

Say = Callable[[str, int, int], None]
Cut = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Grey levels in the window, how visible each pixel is, and the lungs, all (N, side, side)."""
FOLDS = 5
PREPROCESS = Preprocess(size=224, channels=1, mean=(0.0,), std=(1.0,))
CELLS = 64
OTHERS = 0.35
"""Share of films whose outline is cut to another's in training."""


@dataclass(frozen=True, eq=False)
class Films:
    """The films and what is made of them once.

    Attributes:
        dataset: with its splits. cache: films uint8 (N, 224, 224), squashed. chance: uint8 (N, 64, 64), the finder's
            probabilities. labels: (N,).
        groups: (N,), films of one patient or of the same bytes share a number.
        folds: (N,), the fold that holds each film out. parts: (N,), fold and split in one number.
    """

    dataset: Dataset
    cache: PixelCache
    chance: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]
    parts: NDArray[np.int64]

    @cached_property
    def members(self) -> dict[int, NDArray[np.intp]]:
        """Positions of each part's films."""
        return {int(p): np.flatnonzero(self.parts == p) for p in np.unique(self.parts)}

    def rows(self, split: str) -> NDArray[np.intp]:
        """Positions of one split's films."""
        return np.flatnonzero([r.split == split for r in self.cache.records])


def films_of(data: Path, work: Path, *, seed: int, say: Say) -> Films:
    """All films, split by patient (a tenth each for validation and test); decoded and searched once."""
    dataset = split_dataset(load_dataset(data / "chest_xray"), val=0.1, test=0.1, seed=seed)
    cache = build_cache(dataset.records, PREPROCESS, work / "cache", progress=lambda d, t: say("decoding films", d, t))
    chance = _made(work / "chance.npy", cache, CELLS, _chances, "looking for lungs", say)
    groups = np.array(groups_of(cache.records, [str(r.sha256) for r in cache.records]))
    labels = np.array([r.label for r in cache.records])
    folds = np.zeros(len(labels), np.int64)
    for k, held in enumerate(folds_of(labels, groups, seed)):
        folds[held] = k
    splits = np.array([("train", "val", "test").index(str(r.split)) for r in cache.records])
    return Films(dataset, cache, chance, labels, groups, folds, folds * 3 + splits)


def folds_of(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> list[NDArray[np.intp]]:
    """The held-out positions of every fold: whole patients, classes spread evenly."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return [held for _, held in folds.split(labels, labels, groups)]


def _made(
    file: Path,
    cache: PixelCache,
    side: int,
    make: Callable[[NDArray[np.uint8], NDArray[np.intp]], NDArray[np.uint8]],
    stage: str,
    say: Say,
) -> NDArray[np.uint8]:
    """An array a film, made in steps of 64 and kept; an interrupted one goes on."""
    count, step = len(cache), 64
    progress = file.with_suffix(".done")
    if not file.is_file():
        with atomic_path(file) as temporary:
            np.lib.format.open_memmap(temporary, "w+", np.uint8, (count, side, side)).flush()
        progress.unlink(missing_ok=True)
    out = np.lib.format.open_memmap(file, "r+")
    if out.shape != (count, side, side):
        file.unlink()
        return _made(file, cache, side, make, stage, say)
    for start in range(int(progress.read_text()) if progress.is_file() else 0, count, step):
        rows = np.arange(start, min(start + step, count))
        out[rows] = make(np.asarray(cache.pixels[rows]), rows)
        out.flush()
        progress.write_text(str(rows[-1] + 1))
        say(stage, int(rows[-1]) + 1, count)
    return out


def finder_weights() -> dict[str, torch.Tensor]:
    """Weights of the network that finds the lungs: those in the model file that comes with the package.

    They do not change with the segmenter that the package ships: what this network sees was settled with them.
    """
    return {n.removeprefix("finder."): t for n, t in load_file(box_path()).items() if n.startswith("finder.")}


@cache
def _finder() -> InLungs:
    network = InLungs(2, norm=False).eval()
    network.finder.load_state_dict(finder_weights())
    return network


def _chances(films: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    found = _finder().chances(torch.from_numpy(films).float() / 255)
    return (found * 255).round().to(torch.uint8).numpy()


def seen_of(films: Films, rows: NDArray[np.intp], side: int, margin: float) -> Cut:
    """Windows of films as they are."""
    chance = _float(films.chance[rows])
    cut, seen, window = look(_float(films.cache.pixels[rows]), chance, side, margin)
    return cut, seen, visible(cut_out(chance, window, side))


def varied(films: Films, rows: NDArray[np.intp], side: int, margin: float, rng: torch.Generator) -> Cut:
    """Films moved, stretched, turned and changed in grey before their lungs are cut out.

    The outline is taken in at random; of a third of the films it is cut to another film's, to tell less.
    """
    grey, chance = _float(films.cache.pixels[rows]), _float(films.chance[rows])
    grid = _grid(window_of(chance, margin), side, rng)
    seen = visible(_sampled(_narrowed(chance, rng), grid) + _uniform(rng, len(rows), 0.25)[:, None, None])
    other = _others(films, rows, side, margin, rng)
    mixed = (torch.rand(len(rows), generator=rng) < OTHERS)[:, None, None]
    seen = torch.where(mixed, torch.minimum(seen, other), seen) * _patched(seen.shape, rng)
    return _noisy(_regrey(_sampled(grey, grid), rng), rng), seen, visible(_sampled(chance, grid))


def emptied(films: Films, rows: NDArray[np.intp], side: int, margin: float, rng: torch.Generator) -> Cut:
    """Films without lungs: filled with their surroundings or the mean, with noise of any grain; or another window."""
    grey, chance = _float(films.cache.pixels[rows]), _float(films.chance[rows])
    n = len(rows)
    own = _grid(window_of(chance, margin), side, rng)
    hollow = _hollow(grey, chance, rng)
    elsewhere = _grid(_anywhere(n, rng), side, rng)
    stays = (torch.rand(n, generator=rng) < 0.6)[:, None, None]
    here = visible(_sampled(_narrowed(chance, rng), own))
    other = torch.rand(n, generator=rng)[:, None, None] < 0.3
    seen = torch.where(stays & ~other, here, _others(films, rows, side, margin, rng))
    cut = _sampled(hollow, torch.where(stays[..., None], own, elsewhere))
    return _regrey(cut, rng), seen, seen


def _hollow(grey: torch.Tensor, chance: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Films whose lungs, or the box around them, are filled: smoothly from around them or with the mean, and noise."""
    n = len(grey)
    mask = (F.interpolate(chance[:, None], grey.shape[1:], mode="bilinear")[:, 0] >= 0.5).float()
    wide = F.max_pool2d(F.max_pool2d(mask[:, None], (19, 1), 1, (9, 0)), (1, 19), 1, (0, 9))[:, 0]
    box = torch.minimum(mask.amax(2, keepdim=True), mask.amax(1, keepdim=True))
    shape = torch.rand(n, generator=rng)[:, None, None]
    mask = torch.where(shape < 0.4, mask, torch.where(shape < 0.7, wide, box))
    known = 1 - mask
    mean = (grey * known).sum((1, 2), keepdim=True) / known.sum((1, 2), keepdim=True).clamp(min=1)
    smooth, weight = (F.avg_pool2d(x[:, None], 4) for x in (grey * known, known))
    for _ in range(3):
        smooth, weight = (F.avg_pool2d(x, 11, 1, 5) for x in (smooth, weight))
    around = F.interpolate((smooth + 1e-3 * mean[:, None]) / (weight + 1e-3), grey.shape[1:], mode="bilinear")[:, 0]
    filled = torch.where(torch.rand(n, generator=rng)[:, None, None] < 0.6, around, mean)
    level = 0.2 * torch.rand(n, generator=rng)[:, None, None] ** 2
    return grey * known + (filled + level * _grain(grey.shape, rng)) * mask


def _grain(shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
    """Noise of deviation 1 and of grains of 1, 2 or 4 pixels."""
    fine = torch.randn(shape, generator=rng)
    found = [fine]
    for size in (2, 4):
        coarse = F.avg_pool2d(fine[:, None], size)
        large = F.interpolate(coarse, shape[1:], mode="bilinear")[:, 0]
        found.append(large / large.std())
    which = torch.randint(3, (shape[0],), generator=rng)
    return torch.stack(found)[which, torch.arange(shape[0])]


def _others(films: Films, rows: NDArray[np.intp], side: int, margin: float, rng: torch.Generator) -> torch.Tensor:
    """Outlines of other films of the same part in their own windows, (N, side, side): none crosses a split."""
    draw = torch.rand(len(rows), generator=rng).numpy()
    chosen = [(m := films.members[films.parts[r]])[int(d * len(m))] for r, d in zip(rows, draw, strict=True)]
    chance = _float(films.chance[chosen])
    return visible(cut_out(narrowed(chance), window_of(chance, margin), side))


def _float(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).float() / 255


def _uniform(rng: torch.Generator, count: int, reach: float) -> torch.Tensor:
    return (torch.rand(count, generator=rng) * 2 - 1) * reach


def _anywhere(count: int, rng: torch.Generator) -> Window:
    size = 0.3 + 0.5 * torch.rand(2, count, generator=rng)
    low = torch.rand(2, count, generator=rng) * (1 - size)
    return Window(low[0], low[0] + size[0], low[1], low[1] + size[1])


def _grid(window: Window, side: int, rng: torch.Generator) -> torch.Tensor:
    """Sampling places (N, side, side, 2) in a window moved, scaled, stretched and turned a little."""
    n = len(window.top)
    height, width = window.bottom - window.top, window.right - window.left
    scale, stretch = torch.exp(_uniform(rng, n, 0.08)), torch.exp(_uniform(rng, n, 0.06))
    y = (window.top + window.bottom) / 2 + _uniform(rng, n, 0.04) * height
    x = (window.left + window.right) / 2 + _uniform(rng, n, 0.04) * width
    high, wide = height * scale * stretch, width * scale / stretch
    angle = _uniform(rng, n, 0.12)
    theta = torch.stack(
        [
            torch.stack([wide * angle.cos(), -high * angle.sin(), 2 * x - 1], 1),
            torch.stack([wide * angle.sin(), high * angle.cos(), 2 * y - 1], 1),
        ],
        1,
    )
    return F.affine_grid(theta, [n, 1, side, side], align_corners=False)


def _sampled(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(images[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def _narrowed(chance: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Each outline as found, or taken in by one of the finder's cells (as in use) or two."""
    once = narrowed(chance)
    draw = torch.rand(len(chance), generator=rng)[:, None, None]
    return torch.where(draw < 0.2, chance, torch.where(draw < 0.8, once, narrowed(once)))


def _regrey(grey: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Gamma, and for some films a softening: sharpness differs between machines and copies."""
    n = len(grey)
    out = grey.clamp(1e-4, 1) ** torch.exp(_uniform(rng, n, 0.35))[:, None, None]
    soften = torch.rand(n, generator=rng)
    kernel = torch.tensor([1.0, 2.0, 1.0])
    once = F.conv2d(out[:, None], (kernel[:, None] * kernel / 16)[None, None], padding=1)
    coarse = F.interpolate(F.avg_pool2d(out[:, None], 2), out.shape[1:], mode="bilinear")
    out = torch.where((soften < 0.25)[:, None, None], once[:, 0], out)
    return torch.where((soften > 0.85)[:, None, None], coarse[:, 0], out)


def _noisy(grey: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    level = 0.02 * torch.rand(len(grey), generator=rng)[:, None, None]
    return grey + level * torch.randn(grey.shape, generator=rng)


def _patched(shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
    """1, and 0 in a rectangle of at most a third of the side on one film in four."""
    n, side = shape[0], shape[2]
    place = torch.arange(side).view(1, -1)
    start = torch.rand(n, 2, generator=rng) * side * 0.85
    end = start + torch.rand(n, 2, generator=rng) * side / 3 * (torch.rand(n, 1, generator=rng) < 0.25)
    rows = (place >= start[:, :1]) & (place < end[:, :1])
    columns = (place >= start[:, 1:]) & (place < end[:, 1:])
    return 1 - (rows[:, :, None] & columns[:, None]).float()
