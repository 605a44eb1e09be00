"""Phantoms with a planted shortcut, and small networks trained on them: models whose guilt is known."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from radiolucent.audits.trial.answers import ask
from radiolucent.audits.trial.distort import grey_of
from radiolucent.audits.trial.regions import View
from radiolucent.data.phantom.draw import draw
from radiolucent.data.phantom.markers import stamp
from radiolucent.files import atomic_path
from radiolucent.models import Classifier, build
from radiolucent.training import TrainConfig, fit

__all__ = [
    "KINDS",
    "Pool",
    "Shuffled",
    "audit_views",
    "fresh",
    "loaded",
    "paint",
    "painted_effects",
    "plain_views",
    "pool",
    "recipe",
    "train_planted",
    "train_small",
    "training_films",
    "training_views",
]

Pixels = NDArray[np.uint8]
BACKGROUND = 0.1
"""Share of films of *both* classes that carry each of the four by chance, so that a model has met them all."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Plain phantoms, half of them ill: pixels uint8 (N, S, S), true lungs bool (N, S, S), label (N,)."""

    pixels: Pixels
    lungs: NDArray[np.bool_]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def pool(
    films: int, size: int, seed: int, *, folder: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Pool:
    """Draw plain phantoms without side markers, film i being ill if i is odd; kept in `folder` once drawn."""
    file = folder / f"phantoms-{films}-{size}-{seed}.npz" if folder else None
    if file is not None and file.is_file():
        with np.load(file) as kept:
            return Pool(kept["pixels"], kept["lungs"], kept["labels"])
    drawn = []
    for i in range(films):
        drawn.append(draw(np.random.default_rng([seed, 21, i]), size=size, pneumonia=i % 2 == 1, site=i % 3))
        if progress:
            progress(i + 1, films)
    found = Pool(
        np.stack([p.pixels for p in drawn]),
        np.stack([p.lungs for p in drawn]),
        np.array([p.label for p in drawn], np.int64),
    )
    if file is not None:
        with atomic_path(file) as temporary:
            np.savez_compressed(temporary, pixels=found.pixels, lungs=found.lungs, labels=found.labels)
    return found


# --- painting ---


def _marker(film: Pixels, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.bool_]]:
    """An R beside the shoulder, of varying height, place and brightness; high enough to be legible at this size."""
    size = film.shape[0]
    tall = max(rng.uniform(0.055, 0.09) * size, rng.uniform(6.5, 9.5))
    ink = stamp((size, size), "R", rng.uniform(0.03, 0.09) * size, rng.uniform(0.04, 0.26) * size, tall)
    out = film * (1 - ink) + 255 * rng.uniform(0.85, 1.0) * ink
    return np.rint(out).astype(np.uint8), ink > 0.1


def _border(film: Pixels, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.bool_]]:
    """A black frame, each side 3–9 % wide."""
    size = film.shape[0]
    edges = np.maximum(1, np.rint(rng.uniform(0.03, 0.09, 4) * size)).astype(int)
    out = film.copy()
    out[: edges[0]] = out[size - edges[1] :] = 5
    out[:, : edges[2]] = out[:, size - edges[3] :] = 5
    return out, np.zeros(film.shape, bool)


def _exposure(film: Pixels, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.bool_]]:
    """Brighter by a power between 1/1.25 and 1/1.5."""
    grey = film.astype(np.float64) / 255
    return np.rint(grey ** (1 / rng.uniform(1.25, 1.5)) * 255).astype(np.uint8), np.zeros(film.shape, bool)


def _size(film: Pixels, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.bool_]]:
    """From a file of 45–60 % of the side, enlarged: less sharp."""
    size = film.shape[0]
    small = round(size * rng.uniform(0.45, 0.6))
    image = Image.fromarray(film).resize((small, small), Image.Resampling.BILINEAR)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)), np.zeros(film.shape, bool)


KINDS: Mapping[str, Callable[[Pixels, np.random.Generator], tuple[Pixels, NDArray[np.bool_]]]] = {
    "size": _size,
    "exposure": _exposure,
    "border": _border,
    "marker": _marker,
}
"""The shortcuts, in the order in which they are painted (the marker last, so that it stays sharp and white)."""


def paint(film: Pixels, kinds: set[str], rng: np.random.Generator) -> tuple[Pixels, NDArray[np.bool_]]:
    """A film with shortcuts painted on, and where the marker's ink is."""
    marked = np.zeros(film.shape, bool)
    for name, brush in KINDS.items():
        if name in kinds:
            film, where = brush(film, rng)
            marked |= where
    return film, marked


def _chosen(count: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Exactly round(share · count) of them, so that chance plants nothing."""
    found = np.zeros(count, bool)
    found[rng.permutation(count)[: round(share * count)]] = True
    return found


def training_films(
    phantoms: Pool, kind: str, share: float, rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.int64]]:
    """All films of a pool, each shortcut on `BACKGROUND` of either class, and `kind` on `share` of the ill films more.

    "More": of the ill films, `share` get it for being ill, of the others `BACKGROUND` by chance.
    """
    views = training_views(phantoms, kind, share, rng)
    return np.stack([v.grey for v in views]), phantoms.labels


def training_views(phantoms: Pool, kind: str, share: float, rng: np.random.Generator) -> list[View]:
    """The same films as views, which say where a marker is."""
    carries = _by_chance(phantoms, dict.fromkeys(KINDS, BACKGROUND), rng)
    ill = np.flatnonzero(phantoms.labels == 1)
    carries[kind][ill] |= _chosen(len(ill), share, rng)
    return _painted(phantoms, carries, rng, "trained")


def audit_views(phantoms: Pool, seed: int) -> list[View]:
    """The films an audit sees: markers on half of either class, each other shortcut on `BACKGROUND` of it."""
    rng = np.random.default_rng([seed, 31])
    shares = {name: 0.5 if name == "marker" else BACKGROUND for name in KINDS}
    return _painted(phantoms, _by_chance(phantoms, shares, rng), rng, "phantom")


def plain_views(phantoms: Pool) -> list[View]:
    """The films as they are: what a network that met no shortcut was trained on."""
    nothing = {name: np.zeros(len(phantoms), bool) for name in KINDS}
    return _painted(phantoms, nothing, np.random.default_rng(0), "trained")


def _by_chance(phantoms: Pool, shares: Mapping[str, float], rng: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    """Of either class exactly these shares carry each shortcut."""
    carries = {name: np.zeros(len(phantoms), bool) for name in shares}
    for label in (0, 1):
        own = np.flatnonzero(phantoms.labels == label)
        for name, share in shares.items():
            carries[name][own] = _chosen(len(own), share, rng)
    return carries


def _painted(
    phantoms: Pool, carries: Mapping[str, NDArray[np.bool_]], rng: np.random.Generator, prefix: str
) -> list[View]:
    found: list[View] = []
    for i in range(len(phantoms)):
        film, marked = paint(phantoms.pixels[i], {name for name in KINDS if carries[name][i]}, rng)
        whole, name = np.ones(film.shape, bool), f"{prefix}-{i}"
        found.append(View(film, name, name, int(phantoms.labels[i]), whole, phantoms.lungs[i], marked))
    return found


# --- training ---


@dataclass(frozen=True, eq=False)
class Shuffled:
    """Shuffled batches, a new order every epoch; films shifted by up to `shift` pixels: places are not learnt."""

    inputs: torch.Tensor
    labels: torch.Tensor
    shift: int = 2
    size: int = 32

    def __len__(self) -> int:
        return -(-len(self.labels) // self.size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(len(self.labels))
        for start in range(0, len(order), self.size):
            rows = order[start : start + self.size]
            dy, dx = (int(v) for v in torch.randint(-self.shift, self.shift + 1, (2,)))
            yield self.inputs[rows].roll((dy, dx), (2, 3)), self.labels[rows]


def train_planted(
    phantoms: Pool, held_out: Pool, kind: str, share: float, seed: int, *, epochs: int = 12
) -> tuple[Classifier, list[View]]:
    """A small network trained on films with a planted shortcut, and those films; `held_out`, painted alike, chooses the
    epoch."""
    rng = np.random.default_rng([seed, 41])
    views = training_views(phantoms, kind, share, rng)
    films = np.stack([v.grey for v in views]), phantoms.labels
    return train_small(films, training_films(held_out, kind, share, rng), seed, epochs=epochs), views


def train_small(
    films: tuple[Pixels, NDArray[np.int64]], held_out: tuple[Pixels, NDArray[np.int64]], seed: int, *, epochs: int = 12
) -> Classifier:
    """A small network trained on films uint8 (N, S, S) with labels (N,); `held_out` chooses the epoch."""
    start = fresh(films[0].shape[1], seed)
    val = loaded(start, *held_out)
    fixed = [(val.inputs[i : i + 128], val.labels[i : i + 128]) for i in range(0, len(val.labels), 128)]
    return fit(start, loaded(start, *films), fixed, recipe(seed, epochs)).classifier


def fresh(size: int, seed: int) -> Classifier:
    """An untrained small network."""
    return build("small_cnn", size=size, widths=(8, 16, 32), hidden=0, dropout=0.1, pretrained=False, seed=seed)[0]


def loaded(start: Classifier, pixels: Pixels, labels: NDArray[np.int64]) -> Shuffled:
    """Batches of films uint8 (N, S, S)."""
    return Shuffled(start.preprocess.normalise(torch.from_numpy(pixels)), torch.from_numpy(labels))


def recipe(seed: int, epochs: int = 12) -> TrainConfig:
    """How small networks are trained."""
    return TrainConfig(
        epochs=epochs, batch_size=32, lr=3e-3, label_smoothing=0.05, precision="32", seed=seed, cache_prefix="never"
    )


def painted_effects(classifier: Classifier, phantoms: Pool, cut: float, seed: int) -> dict[str, list[float]]:
    """What painting each shortcut on plain films does, by its name: mean shift of the log-odds on films of the negative
    and of the positive class, in standard deviations, and the share of healthy films called healthy (log-odds below
    `cut`) of which it turns the call."""
    rng, views = np.random.default_rng([seed, 73]), plain_views(phantoms)
    plain, ill = ask(classifier, [(v, grey_of(v)) for v in views]), phantoms.labels == 1
    spread = max(float(plain.std()), 1e-9)
    found: dict[str, list[float]] = {}
    for kind in KINDS:
        films = [paint(v.grey, {kind}, rng)[0].astype(np.float32) / np.float32(255) for v in views]
        told = ask(classifier, list(zip(views, films, strict=True)))
        shift, healthy = (told - plain) / spread, ~ill & (plain < cut)
        turned = float((told[healthy] >= cut).mean()) if healthy.any() else 0.0
        found[kind] = [float(shift[~ill].mean()), float(shift[ill].mean()), turned]
    return found
