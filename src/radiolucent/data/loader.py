"""Batches from the pixel cache, prepared one ahead by a thread."""

import dataclasses
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.data.augment import Augment
from radiolucent.data.cache import PixelCache
from radiolucent.data.records import labels_of
from radiolucent.errors import ConfigError, DataError

__all__ = ["Loader", "Redraw"]


class Redraw(Protocol):
    """Something put on training films, or taken off, anew every epoch: `marks.Paste`."""

    def apply(self, films: NDArray[np.uint8], positions: NDArray[np.intp], seed: Sequence[int]) -> NDArray[np.uint8]:
        """Films uint8 (B, S, S) redrawn; what a film gets depends on (seed, its position in the cache) alone."""
        ...


class Loader:
    """Batches (inputs float32 (B, C, S, S), labels int64 (B,)), iterable any number of times.

    Where films have several labels, labels are (B, K): 1, 0, and -1 where not known.

    With `irrelevant` they are (inputs, labels, bool (B, S, S)): where a right-for-the-right-reasons loss penalises.
    With `groups` each film's group, int64 (B,), comes last.

    A film's place in the order and its augmentation depend on (seed, epoch, film) alone: not on batch size, threads or
    ranks, so that a resumed or distributed run sees the same films.

    Args:
        cache: films. indices: which of them.
        shuffle: a new order each epoch (`set_epoch`). augment: None for the films as they are.
        redraw: what is drawn anew on the films every epoch, one after another, before they are augmented.
        irrelevant: (N, S, S) in the cache's order, True where the answer must not come from; augmented like the films.
        groups: int64 (N,) in the cache's order, 0 … G − 1; on films not trained on −1 is none.
        balance: draw classes, or groups where given, equally often (with replacement for the rarer).
        rank, world_size: this process's share of each epoch.
        drop_last: leave out a last, smaller batch.
        prefetch: prepare the next batches in a thread.
    """

    def __init__(
        self,
        cache: PixelCache,
        indices: Sequence[int] | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        augment: Augment | None = None,
        redraw: Sequence[Redraw] = (),
        irrelevant: NDArray[np.bool_] | None = None,
        groups: NDArray[np.int64] | None = None,
        balance: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        prefetch: bool = True,
    ) -> None:
        self.cache, self.augment, self.redraw, self.seed = cache, augment, tuple(redraw), seed
        if irrelevant is not None and irrelevant.shape != cache.pixels.shape:
            raise DataError(f"irrelevant {irrelevant.shape}; expected a mask a film, {cache.pixels.shape}.")
        if groups is not None and groups.shape != (len(cache),):
            raise DataError(f"groups {groups.shape}; expected one a film, ({len(cache)},).")
        self.irrelevant, self.groups = irrelevant, groups
        self.indices = np.arange(len(cache)) if indices is None else np.asarray(indices, np.intp)
        if not len(self.indices) or batch_size < 1:
            raise ConfigError(f"{len(self.indices)} films in batches of {batch_size}; expected at least one of each.")
        several = any(r.findings for r in cache.records)
        if several and balance:
            raise ConfigError("balance draws classes equally often; films with several labels have no one class.")
        self.labels = labels_of(cache.records)
        self.batch_size, self.shuffle, self.balance = batch_size, shuffle, balance
        self.rank, self.world_size, self.drop_last, self.prefetch = rank, world_size, drop_last, prefetch
        self.epoch = 0

    @property
    def augments(self) -> bool:
        """Whether the same film differs from epoch to epoch (then a frozen prefix cannot be cached)."""
        return self.augment is not None or bool(self.redraw)

    @property
    def class_counts(self) -> list[int]:
        """Films of each class; of several labels, films with each."""
        if self.labels.ndim == 2:
            return (self.labels[self.indices] == 1).sum(0).tolist()
        return np.bincount(self.labels[self.indices]).tolist()

    @property
    def group_counts(self) -> list[int] | None:
        """Films of each group; None without groups."""
        if self.groups is None:
            return None
        own = self.groups[self.indices]
        if (own < 0).any():
            count = int((own < 0).sum())
            raise DataError(f"{count} films have no group (−1); give every film trained on one of 0 … G − 1.")
        return np.bincount(own, minlength=int(self.groups.max()) + 1).tolist()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        each = -(-len(self.indices) // self.world_size)
        return each // self.batch_size if self.drop_last else -(-each // self.batch_size)

    def order(self) -> np.ndarray:
        """This rank's cache positions in this epoch's order; padded so that all ranks have equally many."""
        rng = np.random.default_rng([self.seed, self.epoch, 0xB0])
        order = rng.permutation(self.indices) if self.shuffle else self.indices
        if self.balance:
            kinds = self.labels if self.groups is None else self.groups
            classes = [order[kinds[order] == c] for c in np.unique(kinds[order])]
            often = -(-len(order) // len(classes))
            drawn = [rng.choice(c, often, replace=len(c) < often) for c in classes]
            order = rng.permutation(np.concatenate(drawn))[: len(order)]
        each = -(-len(order) // self.world_size)
        return np.resize(order, each * self.world_size)[self.rank :: self.world_size]

    def batch(self, positions: np.ndarray) -> tuple[torch.Tensor, ...]:
        """The batch of given cache positions."""
        films = np.asarray(self.cache.pixels[positions])
        for redraw in self.redraw:
            films = redraw.apply(films, positions, (self.seed, self.epoch))
        grey, masks = torch.from_numpy(films), None
        if self.irrelevant is not None:
            masks = torch.from_numpy(np.asarray(self.irrelevant[positions]))
        if self.augment is not None:
            seeds = [np.random.default_rng([self.seed, self.epoch, int(p)]) for p in positions]
            draws = torch.from_numpy(np.stack([rng.random(16, np.float32) for rng in seeds]))
            grey = self._augmented(grey, draws, positions)
            masks = None if masks is None else self.augment.move(masks, draws)
        inputs = self.cache.preprocess.normalise(grey).contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(self.labels[positions])
        groups = () if self.groups is None else (torch.from_numpy(self.groups[positions]),)
        return (inputs, labels, *groups) if masks is None else (inputs, labels, masks, *groups)

    def _augmented(self, grey: torch.Tensor, draws: torch.Tensor, positions: np.ndarray) -> torch.Tensor:
        """All but noise in one go; noise film by film, from each film's own generator."""
        assert self.augment is not None
        quiet = dataclasses.replace(self.augment, noise=0.0)
        out = quiet.apply(grey, draws)
        if self.augment.noise:
            generator = torch.Generator()
            for i, p in enumerate(positions):
                generator.manual_seed((self.seed * 1_000_003 + self.epoch) * 1_000_003 + int(p))
                amount = float(draws[i, 10]) * self.augment.noise
                out[i] += torch.randn(out.shape[1:], generator=generator) * amount
            out.clamp_(0, 1)
        return out

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        order = self.order()
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        batches = [order[s : s + self.batch_size] for s in starts]
        if not self.prefetch:
            yield from (self.batch(b) for b in batches)
            return
        ready: queue.Queue[tuple[torch.Tensor, ...] | BaseException | None] = queue.Queue(2)
        stop = threading.Event()

        def work() -> None:
            try:
                for positions in batches:
                    if stop.is_set():
                        return
                    ready.put(self.batch(positions))
                ready.put(None)
            except BaseException as error:
                ready.put(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            while thread.is_alive():  # let it past a full queue
                while not ready.empty():
                    ready.get_nowait()
                thread.join(0.05)
