"""Boxes of one size in maps, and the part of a layer's output that they reach."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Box", "Patch", "Window", "around", "behind", "gather"]

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Box:
    """Boxes of one size: first rows and columns, int64 (n,), height and width."""

    y: Places
    x: Places
    height: int
    width: int

    def same(self, other: "Box") -> bool:
        """Whether both are the same boxes."""
        alike = (self.height, self.width) == (other.height, other.width)
        return self is other or (alike and np.array_equal(self.y, other.y) and np.array_equal(self.x, other.x))


@dataclass(frozen=True, eq=False)
class Patch:
    """Changed parts of a map: values (n, C, h, w) and where they lie."""

    values: torch.Tensor
    box: Box


@dataclass(frozen=True)
class Window:
    """What a layer's output depends on, along rows and columns: outputs o need inputs o·stride − pad … + reach − 1."""

    reach: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    beyond: float = 0.0  # what stands outside the map

    def needed(self, box: Box) -> Box:
        """The inputs that outputs need; they may lie outside the map."""
        return Box(
            box.y * self.stride[0] - self.pad[0],
            box.x * self.stride[1] - self.pad[1],
            (box.height - 1) * self.stride[0] + self.reach[0],
            (box.width - 1) * self.stride[1] + self.reach[1],
        )


def behind(window: Window, box: Box, size: tuple[int, int]) -> Box:
    """Boxes of the output (H, W) that hold all that changed boxes of the input reach."""
    low, high = list[Places](), list[Places]()
    for axis, (start, length) in enumerate(((box.y, box.height), (box.x, box.width))):
        reach, stride, pad = window.reach[axis], window.stride[axis], window.pad[axis]
        first = -((reach - 1 - pad - start) // stride)  # ⌈(start + pad − reach + 1)/stride⌉
        last = (start + (length - 1 + pad)) // stride
        low.append(first.clip(0, size[axis] - 1))
        high.append((last + 1).clip(1, size[axis]))
    return _of_one_size(low, high, size)


def around(boxes: Sequence[Box], size: tuple[int, int]) -> Box:
    """Boxes that hold several boxes each, in maps (H, W)."""
    if all(b.same(boxes[0]) for b in boxes):
        return boxes[0]
    low = [np.min([b.y for b in boxes], axis=0), np.min([b.x for b in boxes], axis=0)]
    high = [np.max([b.y + b.height for b in boxes], axis=0), np.max([b.x + b.width for b in boxes], axis=0)]
    return _of_one_size(low, high, size)


def _of_one_size(low: Sequence[Places], high: Sequence[Places], size: tuple[int, int]) -> Box:
    """Boxes as large as the largest, moved inside the map: what they hold besides is as in the unchanged image."""
    most = [max(int((h - f).max()), 1) for f, h in zip(low, high, strict=True)]
    y, x = (np.minimum(f, side - n) for f, side, n in zip(low, size, most, strict=True))
    return Box(y, x, most[0], most[1])


def gather(whole: torch.Tensor, patch: Patch, box: Box, beyond: float = 0.0) -> torch.Tensor:
    """Boxes (n, C, h, w) of a map (1, C, H, W) with each sample's patch pasted in, `beyond` outside the map.

    All are rows of one table (the map's pixels, one for outside, the patches' pixels), taken by one index.
    """
    _, channels, height, width = whole.shape
    high, wide = patch.box.height, patch.box.width
    ys, xs = _places(box)
    index = ys[:, :, None] * width + xs[:, None]
    above, beside = (ys < 0) | (ys >= height), (xs < 0) | (xs >= width)
    if above.any() or beside.any():
        index[above[:, :, None] | beside[:, None]] = height * width
    down, right = ys - patch.box.y[:, None], xs - patch.box.x[:, None]
    inside = ((down >= 0) & (down < high))[:, :, None] & ((right >= 0) & (right < wide))[:, None]
    start = height * width + 1 + np.arange(len(ys))[:, None] * (high * wide) + down * wide
    np.add(start[:, :, None], right[:, None], out=index, where=inside)
    table = torch.cat([_pixels(whole), whole.new_full((1, channels), beyond), _pixels(patch.values)])
    taken = table.index_select(0, torch.from_numpy(index.ravel()).to(table.device))
    return taken.view(len(ys), box.height, box.width, channels).permute(0, 3, 1, 2)


def _places(box: Box) -> tuple[Places, Places]:
    """Rows (n, h) and columns (n, w) of boxes."""
    return box.y[:, None] + np.arange(box.height), box.x[:, None] + np.arange(box.width)


def _pixels(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
