"""Films for the shipped pneumonia model: decoded once, their lungs found once, and how both are varied in training."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from radiolucent.audits.trial.edits import fill
from radiolucent.audits.trial.regions import boxed, dilated
from radiolucent.data import Dataset, PixelCache, build_cache, load_dataset, split_dataset
from radiolucent.data.split import groups_of
from radiolucent.files import atomic_path
from radiolucent.images import Preprocess
from radiolucent.models import InLungs, build
from radiolucent.models.in_lungs import Window, cut_out, look, standardised, visible, window_of

__all__ = ["FOLDS", "Films", "LungLoader", "films_of", "folds_of"]

Say = Callable[[str, int, int], None]
FOLDS = 5
PREPROCESS = Preprocess(size=224, channels=1, mean=(0.0,), std=(1.0,))
CELLS = 64


@dataclass(frozen=True, eq=False)
class Films:
    """The films and what is made of them once.

    Attributes:
        dataset: with its splits. cache: films uint8 (N, 224, 224), squashed. chance: uint8 (N, 64, 64), the finder's
            probabilities. hollow: uint8 (N, 224, 224), the films with their lungs filled in. labels: (N,).
        groups: (N,), films of one patient or of the same bytes share a number.
    """

    dataset: Dataset
    cache: PixelCache
    chance: NDArray[np.uint8]
    hollow: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]

    def rows(self, split: str) -> NDArray[np.intp]:
        """Positions of one split's films."""
        return np.flatnonzero([r.split == split for r in self.cache.records])


def films_of(data: Path, work: Path, *, seed: int, say: Say) -> Films:
    """All films, split by patient (a tenth each for validation and test); decoded, searched and hollowed once."""
    dataset = split_dataset(load_dataset(data / "chest_xray"), val=0.1, test=0.1, seed=seed)
    cache = build_cache(dataset.records, PREPROCESS, work / "cache", progress=lambda d, t: say("decoding films", d, t))
    chance = _made(work / "chance.npy", cache, CELLS, _chances, "looking for lungs", say)
    hollow = _made(
        work / "hollow.npy", cache, PREPROCESS.size,
        lambda films, rows: np.stack([_hollowed(f, chance[r], int(r), seed) for f, r in zip(films, rows, strict=True)]),
        "emptying lungs", say,
    )  # fmt: skip
    groups = np.array(groups_of(cache.records, [str(r.sha256) for r in cache.records]))
    return Films(dataset, cache, chance, hollow, np.array([r.label for r in cache.records]), groups)


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


_FINDER: list[InLungs] = []


def _chances(films: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    if not _FINDER:
        _FINDER.append(cast(InLungs, build("in_lungs", pretrained=False)[0].network))
    found = _FINDER[0].chances(torch.from_numpy(films).float() / 255)
    return (found * 255).round().to(torch.uint8).numpy()


def _hollowed(film: NDArray[np.uint8], chance: NDArray[np.uint8], row: int, seed: int) -> NDArray[np.uint8]:
    """A film without its lungs: tight, dilated or boxed, filled from around them or with the film's mean."""
    rng = np.random.default_rng([seed, 91, row])
    grey = film.astype(np.float32) / 255
    large = F.interpolate(torch.from_numpy(chance)[None, None].float(), film.shape, mode="bilinear")[0, 0].numpy()
    mask = large >= 127.5
    shape = int(rng.integers(3))
    mask = mask if shape == 0 else dilated(mask) if shape == 1 else boxed(mask)
    filled = fill(grey, mask, "inpaint" if rng.random() < 0.6 else "mean")
    return np.rint(np.clip(filled, 0, 1) * 255).astype(np.uint8)


class LungLoader:
    """Batches of what the trunk of `InLungs` sees, (inputs (B, 1, side, side), labels (B,)).

    For learning, films are moved, stretched, turned and changed in grey before they are cut out; the outline is grown
    and shrunk at random, and of some films cut to another film's, so that it tells less; and `EMPTY` of every 48 are
    films without lungs, whose label is a toss of a coin: there is nothing to learn from what surrounds the lungs.
    """

    FULL, EMPTY = 40, 8

    def __init__(
        self, films: Films, rows: Sequence[int] | NDArray[np.intp], *, side: int, margin: float, learn: bool, seed: int
    ) -> None:  # fmt: skip
        self.films, self.rows, self.side, self.margin = films, np.asarray(rows), side, margin
        self.learn, self.seed, self.epoch = learn, seed, 0

    augments = True

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and variation the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.order()) // self.FULL if self.learn else -(-len(self.rows) // 64)

    def order(self) -> NDArray[np.intp]:
        """This epoch's films: all of the rarer class and as many of the other, drawn anew."""
        rng = np.random.default_rng([self.seed, self.epoch, 0xB0])
        mixed = rng.permutation(self.rows)
        classes = [mixed[self.films.labels[mixed] == c] for c in (0, 1)]
        return rng.permutation(np.concatenate([c[: min(map(len, classes))] for c in classes]))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if not self.learn:
            for start in range(0, len(self.rows), 64):
                yield self.plain(self.rows[start : start + 64])
            return
        order = self.order()
        for step in range(len(self)):
            rng = torch.Generator().manual_seed((self.seed * 1009 + self.epoch) * 100_003 + step)
            rows = order[step * self.FULL : (step + 1) * self.FULL]
            inputs, labels = self._varied(rows, rng), torch.from_numpy(self.films.labels[rows])
            some = self.rows[torch.randint(len(self.rows), (self.EMPTY,), generator=rng).numpy()]
            emptied = self._emptied(some, rng)
            coins = torch.randint(2, (self.EMPTY,), generator=rng)
            yield torch.cat([inputs, emptied]), torch.cat([labels, coins])

    def plain(self, rows: NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor]:
        """Films as they are."""
        grey, chance = _float(self.films.cache.pixels[rows]), _float(self.films.chance[rows])
        return look(grey, chance, self.side, self.margin)[0], torch.from_numpy(self.films.labels[rows])

    def _varied(self, rows: NDArray[np.intp], rng: torch.Generator) -> torch.Tensor:
        grey, chance = _float(self.films.cache.pixels[rows]), _float(self.films.chance[rows])
        grid = _grid(window_of(chance, self.margin), self.side, rng)
        seen = visible(_sampled(_grown(chance, rng), grid) + _uniform(rng, len(rows), 0.25)[:, None, None])
        seen = torch.minimum(seen, self._others(len(rows), rng, share=0.35))
        return _standard(_regrey(_sampled(grey, grid), rng), seen, rng)

    def _emptied(self, rows: NDArray[np.intp], rng: torch.Generator) -> torch.Tensor:
        """Films without lungs, in the window of the lungs that were there or in any other."""
        grey, chance = _float(self.films.hollow[rows]), _float(self.films.chance[rows])
        own = _grid(window_of(chance, self.margin), self.side, rng)
        elsewhere = _grid(_anywhere(len(rows), rng), self.side, rng)
        stays = (torch.rand(len(rows), generator=rng) < 0.7)[:, None, None, None]
        seen = visible(_sampled(_grown(chance, rng), own))
        other = torch.rand(len(rows), generator=rng)[:, None, None]
        seen = torch.where(other < 0.3, self._others(len(rows), rng, share=1.0), seen)
        seen = torch.where(other > 0.85, torch.ones_like(seen), seen)
        return _standard(_regrey(_sampled(grey, torch.where(stays, own, elsewhere)), rng), seen, rng)

    def _others(self, count: int, rng: torch.Generator, *, share: float) -> torch.Tensor:
        """Outlines of other films in their own windows, (count, side, side); all visible for 1 − share of them."""
        rows = self.rows[torch.randint(len(self.rows), (count,), generator=rng).numpy()]
        chance = _float(self.films.chance[rows])
        window = window_of(chance, self.margin)
        found = visible(cut_out(F.max_pool2d(chance[:, None], 3, 1, 1)[:, 0], window, self.side))
        return torch.where((torch.rand(count, generator=rng) < share)[:, None, None], found, torch.ones_like(found))


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


def _grown(chance: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Each outline as found, or grown by one cell (as in use) or two."""
    once = F.max_pool2d(chance[:, None], 3, 1, 1)
    twice = F.max_pool2d(once, 3, 1, 1)
    draw = torch.rand(len(chance), generator=rng)[:, None, None]
    return torch.where(draw < 0.2, chance, torch.where(draw < 0.8, once[:, 0], twice[:, 0]))


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


def _standard(grey: torch.Tensor, seen: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    level = 0.02 * torch.rand(len(grey), generator=rng)[:, None, None]
    noisy = grey + level * torch.randn(grey.shape, generator=rng)
    return (standardised(noisy, seen) * _patched(seen.shape, rng))[:, None]


def _patched(shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
    """1, and 0 in a rectangle of at most a third of the side on one film in four."""
    n, side = shape[0], shape[2]
    place = torch.arange(side).view(1, -1)
    start = torch.rand(n, 2, generator=rng) * side * 0.85
    end = start + torch.rand(n, 2, generator=rng) * side / 3 * (torch.rand(n, 1, generator=rng) < 0.25)
    rows = (place >= start[:, :1]) & (place < end[:, :1])
    columns = (place >= start[:, 1:]) & (place < end[:, 1:])
    return 1 - (rows[:, :, None] & columns[:, None]).float()
