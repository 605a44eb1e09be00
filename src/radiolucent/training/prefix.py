"""Outputs of frozen first layers, computed once instead of every epoch."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from radiolucent.training.config import TrainConfig

__all__ = ["AddressableLoader", "Features", "FrozenFeatures", "TrainFeatures", "ValFeatures"]

IN_MEMORY = 256 * 2**20
"""Bytes up to which features stay in memory; beyond, in a memory-mapped scratch file."""


@runtime_checkable
class AddressableLoader(Protocol):
    """A loader that can say which examples it will give: what caching by example needs."""

    batch_size: int
    indices: np.ndarray
    """Every example there is."""

    def __len__(self) -> int: ...
    def set_epoch(self, epoch: int) -> None: ...
    def order(self) -> np.ndarray:
        """This epoch's examples, in order."""
        ...

    def batch(self, positions: np.ndarray) -> tuple[torch.Tensor, ...]:
        """The batch of these examples."""
        ...


class Features:
    """Room for N tensors of one shape and layout, in memory or in a scratch file that vanishes with the process.

    Args:
        like: one batch of them. count: N. folder: for the scratch file.
        limit: most bytes. memory: most bytes in memory.

    Raises:
        MemoryError: they need more than `limit`, or than half of what the disk has free.
    """

    def __init__(
        self, like: torch.Tensor, count: int, folder: Path | None, limit: float, memory: float = IN_MEMORY
    ) -> None:
        self._last = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
        stored = like.permute(0, 2, 3, 1) if self._last else like
        shape = (count, *stored.shape[1:])
        size = int(np.prod(shape))
        self.bytes = size * like.element_size()
        if self.bytes > limit:
            raise MemoryError(
                f"they need {self.bytes / 1e9:.1f} GB, more than the {limit / 1e9:.1f} GB allowed (cache_gb)"
            )
        self._values = (
            torch.empty(shape, dtype=like.dtype)
            if self.bytes <= memory
            else _scratch(size, like.dtype, self.bytes, folder).view(shape)
        )

    def put(self, rows: torch.Tensor, batch: torch.Tensor) -> None:
        """Keep a batch as rows (N,)."""
        self._values[rows] = (batch.permute(0, 2, 3, 1) if self._last else batch).cpu()

    def get(self, rows: torch.Tensor) -> torch.Tensor:
        """The batch of these rows, laid out as it came."""
        out = self._values[rows]
        return out.permute(0, 3, 1, 2) if self._last else out


def _scratch(size: int, dtype: torch.dtype, needed: int, folder: Path | None) -> torch.Tensor:
    place = folder or Path(tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if needed > free / 2:
        raise MemoryError(f"they need {needed / 1e9:.1f} GB and {place} has {free / 1e9:.1f} GB free")
    handle, name = tempfile.mkstemp(prefix=".features.", dir=place)
    os.truncate(handle, needed)
    os.close(handle)
    try:
        return torch.from_file(name, shared=True, size=size, dtype=dtype)
    finally:
        with suppress(OSError):  # mapped: it lives on without its name, and a killed process leaves nothing behind
            Path(name).unlink()


Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]
_Kept = TypeVar("_Kept")


class TrainFeatures:
    """The training set behind the prefix, by example, in whatever order the loader chooses for an epoch.

    Filled once in the order of `indices`, so that it is the same after a resume.
    """

    def __init__(
        self,
        loader: AddressableLoader,
        prefix: Callable[[torch.Tensor], torch.Tensor],
        folder: Path | None,
        limit: float,
    ) -> None:
        self.loader = loader
        examples = np.unique(loader.indices)
        self._row = np.zeros(int(examples[-1]) + 1, np.int64)
        self._row[examples] = np.arange(len(examples))
        self.store: Features | None = None
        labels: list[torch.Tensor] = []
        for start in range(0, len(examples), loader.batch_size):
            chosen = examples[start : start + loader.batch_size]
            inputs, given = loader.batch(chosen)[:2]
            outputs = prefix(inputs)
            self.store = self.store or Features(outputs, len(examples), folder, limit)
            self.store.put(torch.from_numpy(self._row[chosen]), outputs)
            labels.append(given)
        self.labels = torch.cat(labels)

    def batches(self, start: int) -> Batches:
        """The epoch's batches from the `start`-th on; the loader's `set_epoch` is called by the loop."""
        assert self.store is not None
        order, size = self.loader.order(), self.loader.batch_size
        for step in range(start, len(self.loader)):
            rows = torch.from_numpy(self._row[order[step * size : (step + 1) * size]])
            yield self.store.get(rows), self.labels[rows]


class ValFeatures:
    """The validation set behind the prefix, batch by batch, in the loader's order."""

    def __init__(
        self,
        batches: Iterable[tuple[torch.Tensor, ...]],
        prefix: Callable[[torch.Tensor], torch.Tensor],
        folder: Path | None,
        limit: float,
    ) -> None:
        self._kept: list[tuple[Features, torch.Tensor]] = []
        used = 0
        for inputs, labels, *_ in batches:
            outputs = prefix(inputs)
            features = Features(outputs, len(outputs), folder, limit - used, IN_MEMORY - used)
            features.put(torch.arange(len(outputs)), outputs)
            self._kept.append((features, labels))
            used += features.bytes

    def __iter__(self) -> Batches:
        for features, labels in self._kept:
            yield features.get(torch.arange(len(labels))), labels


def _reason_not(loader: Any, processes: int) -> str | None:
    """Why the training set's features cannot be kept by example; None where they can."""
    if getattr(loader, "augments", True):
        return "they are augmented anew each time"
    if processes > 1:
        return "each process sees others each time"
    if not isinstance(loader, AddressableLoader):
        return "the loader cannot say which ones it gives (it needs order(), batch(), indices and batch_size)"
    return None


class FrozenFeatures:
    """What comes out of the frozen first layers, kept wherever that changes no result.

    Attributes:
        train, val: the features, once kept; None where they are not.
    """

    def __init__(
        self,
        config: TrainConfig,
        processes: int,
        prefix: Callable[[torch.Tensor], torch.Tensor],
        folder: Path | None,
        note: Callable[[str], None],
    ) -> None:
        self._prefix, self._folder, self._note, self._processes = prefix, folder, note, processes
        self._limit = config.cache_gb * 1e9
        # A penalty on input gradients needs the inputs; groups are not kept beside the features.
        off = config.cache_prefix == "never" or config.epochs == 1 or config.penalised or config.group_rate > 0
        self._undecided = set[str]() if off else {"training", "validation"}
        self.train: TrainFeatures | None = None
        self.val: ValFeatures | None = None

    def keep_train(self, loader: Any) -> TrainFeatures | None:
        """The training set's features, computed at the first call; None, with a note why, where they are not kept."""
        if "training" in self._undecided:
            why = _reason_not(loader, self._processes)
            self.train = self._kept("training", why, lambda *room: TrainFeatures(loader, *room))
        return self.train

    def keep_val(self, loader: Any, batches: Callable[[], Iterable[tuple[torch.Tensor, ...]]]) -> ValFeatures | None:
        """The validation set's features, computed at the first call; None, with a note why, where they are not kept."""
        if "validation" in self._undecided:
            why = "they are augmented" if getattr(loader, "augments", False) else None
            self.val = self._kept("validation", why, lambda *room: ValFeatures(batches(), *room))
        return self.val

    def _kept(self, what: str, why: str | None, make: Callable[..., _Kept]) -> _Kept | None:
        self._undecided.discard(what)
        if why is None:
            try:
                kept = make(self._prefix, self._folder, self._limit)
                self._note(f"{what} images pass the frozen first layers once, not every epoch")
                return kept
            except MemoryError as error:
                why = str(error)
        self._note(f"{what} images pass the frozen first layers every epoch: {why}")
        return None
