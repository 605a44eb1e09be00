"""What computes forward passes, and what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

__all__ = ["Engine", "EngineKind", "Patched", "Patches"]

EngineKind = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True, eq=False)
class Engine:
    """A network's forward pass.

    Attributes:
        name: "torch", "openvino", or "function" for a wrapped function.
        logits: inputs (N, C, S, S) to logits (N, K), float32 on the CPU, without gradients.
        why: why it was chosen. moves: how far its logits moved between the images that it was compared on.
    """

    name: str
    logits: Callable[[torch.Tensor], torch.Tensor]
    why: str = ""
    moves: float = 0.0


@dataclass(frozen=True, eq=False)
class Patches:
    """Copies of one image (1, C, H, W) in each of which one box is replaced; all boxes have one size.

    Attributes:
        image: the unchanged image. size: (height, width) of the boxes.
        y, x: int64 (n,), first rows and columns of the boxes, inside the image.
        values: indices (m,) of copies to what their boxes show (m, C, height, width). Called from several threads at
            once: it draws no random numbers and changes nothing.
    """

    image: torch.Tensor
    size: tuple[int, int]
    y: torch.Tensor
    x: torch.Tensor
    values: Callable[[torch.Tensor], torch.Tensor]

    def whole(self, index: torch.Tensor) -> torch.Tensor:
        """The copies (m, C, H, W) of these indices."""
        copies = self.image.repeat(len(index), 1, 1, 1)
        rows = (self.y[index, None] + torch.arange(self.size[0]))[:, :, None]
        columns = (self.x[index, None] + torch.arange(self.size[1]))[:, None]
        copies[torch.arange(len(index))[:, None, None], :, rows, columns] = self.values(index).permute(0, 2, 3, 1)
        return copies


@dataclass(frozen=True, eq=False)
class Patched:
    """The network's answers, computed in torch, to patched copies of an image.

    Attributes:
        logits: (n, K), in the order of the patches.
        why: how much was computed.
    """

    logits: torch.Tensor
    why: str
