"""The frozen lower stages' maps of every film and of its variations, computed once for all networks of `train_box.py`.

The lower stages keep ImageNet's weights, so that their maps do not depend on which films a network learns from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file

from box_data import Films, Say, Sight, emptied, seen_of, varied
from radiolucent.models.lite import Lite

__all__ = ["FROZEN", "Features", "features_of", "imagenet"]

FROZEN = 3
"""Stages below which nothing learns: maps at 1/8 of the side."""
SCALE = 0.5
"""Lungs have deviation 1 here, photographs about a half of that."""
VERSIONS = (6, 2)
"""Variations kept of each film without pneumonia, and of each with it: there are three times as many. Of every second
film an emptied copy is kept too."""
STEP = 64


@dataclass(frozen=True, eq=False)
class Features:
    """What the upper stages are given.

    Attributes:
        maps: float16 (M, C, S / 8, S / 8). cells: uint8 (M, S / 16, S / 16), how much lung is seen in each.
        plain: (films,), where each film as it is stands. varied: (films, versions), −1 where there is none.
        emptied: (films,), where its emptied copy stands, −1 where there is none.
    """

    maps: NDArray[np.float16]
    cells: NDArray[np.uint8]
    plain: NDArray[np.intp]
    varied: NDArray[np.intp]
    emptied: NDArray[np.intp]

    def batch(self, places: NDArray[np.intp]) -> Sight:
        """Maps and cells as float32."""
        cells = torch.from_numpy(self.cells[places]).float() / 255
        return torch.from_numpy(self.maps[places].astype(np.float32)), cells


def imagenet(weights: Path, outputs: int, width: int, dropout: float, seed: int) -> Lite:
    """The trunk with ImageNet's weights in its stages; what comes after them is drawn at random."""
    torch.manual_seed(seed)
    network = Lite(outputs, width=width, dropout=dropout)
    network.load_imagenet(load_file(weights), SCALE)
    return network


def features_of(films: Films, weights: Path, work: Path, *, side: int, margin: float, seed: int, say: Say) -> Features:
    """Computed in steps and kept in `work`; an interrupted run goes on."""
    plan, places = _plan(films.labels)
    trunk = imagenet(weights, 2, 8, 0.0, 0).fused()
    lower = torch.nn.Sequential(trunk.stem, *list(trunk.stages)[:FROZEN]).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    total = len(plan)
    maps = _opened(work / "maps.npy", np.float16, (total, 40, side // 8, side // 8))
    cells = _opened(work / "cells.npy", np.uint8, (total, side // 16, side // 16))
    marker = work / "maps.done"
    done = int(marker.read_text()) if marker.is_file() else 0
    for kind, version, rows, start in _steps(plan):
        if start < done:
            continue
        inputs, seen = _sight(films, kind, version, rows, side, margin, seed, start)
        with torch.inference_mode():
            found = lower(inputs[:, None].contiguous(memory_format=torch.channels_last))
        here = slice(start, start + len(rows))
        maps[here] = found.half().numpy()
        cells[here] = (F.avg_pool2d(seen[:, None], 16)[:, 0] * 255).round().to(torch.uint8).numpy()
        if start // STEP % 20 == 0 or start + len(rows) == total:
            maps.flush()
            cells.flush()
            marker.write_text(str(start + len(rows)))
        say("lower stages", start + len(rows), total)
    return Features(maps, cells, *places)


def _plan(labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], tuple[NDArray[np.intp], ...]]:
    """What is computed, (M, 3) kind, version, film; and where each stands, as in `Features`."""
    films = np.arange(len(labels))
    parts = [(0, 0, films)]
    parts += [(1, v, films[v < np.where(labels == 1, VERSIONS[1], VERSIONS[0])]) for v in range(max(VERSIONS))]
    parts += [(2, 0, films[::2])]
    plan = np.concatenate([np.stack([np.full(len(r), k), np.full(len(r), v), r], 1) for k, v, r in parts])
    other = np.full((len(labels), max(VERSIONS)), -1)
    varied_rows = np.flatnonzero(plan[:, 0] == 1)
    other[plan[varied_rows, 2], plan[varied_rows, 1]] = varied_rows
    hollow = np.full(len(labels), -1)
    hollow[::2] = np.flatnonzero(plan[:, 0] == 2)
    return plan, (films, other, hollow)


def _steps(plan: NDArray[np.intp]) -> Iterator[tuple[int, int, NDArray[np.intp], int]]:
    """Runs of at most `STEP` of one kind and version, and where each starts."""
    start = 0
    while start < len(plan):
        kind, version, _ = plan[start]
        piece = plan[start : start + STEP]
        piece = piece[(piece[:, 0] == kind) & (piece[:, 1] == version)]
        yield int(kind), int(version), piece[:, 2], start
        start += len(piece)


def _sight(
    films: Films, kind: int, version: int, rows: NDArray[np.intp], side: int, margin: float, seed: int, start: int
) -> Sight:
    rng = torch.Generator().manual_seed((seed * 1009 + kind * 101 + version) * 100_003 + start)
    if kind == 0:
        return seen_of(films, rows, side, margin)
    return (varied if kind == 1 else emptied)(films, rows, side, margin, rng)


def _opened(file: Path, dtype: type, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """An array on disk, made where it is missing or of another shape."""
    if file.is_file():
        found = np.lib.format.open_memmap(file, "r+")
        if found.shape == shape and found.dtype == dtype:
            return found
        file.unlink()
    (file.parent / "maps.done").unlink(missing_ok=True)
    return np.lib.format.open_memmap(file, "w+", dtype, shape)
