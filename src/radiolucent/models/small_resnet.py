"""A small residual network of our own, for training from nothing on a CPU."""

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["SmallResNet"]


class _Block(nn.Module):
    """Two 3 × 3 convolutions at half the side, added to a 1 × 1 convolution of the averaged input (He 2016)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.short = nn.Conv2d(inside, outside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.act2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return self.act2(inner + self.bn3(self.short(F.avg_pool2d(x, 2))))


class SmallResNet(nn.Module):
    """A stem and residual blocks, each of which halves the side; global average pooling; dropout, dense.

    Args:
        outputs: number of logits.
        channels: input channels.
        widths: feature maps of the stem and of each block; the last maps have side S / 2^len(widths).
        dropout: probability before the dense layer.

    >>> SmallResNet(2).features(torch.zeros(1, 1, 96, 96)).shape
    torch.Size([1, 128, 6, 6])
    """

    def __init__(
        self, outputs: int, *, channels: int = 1, widths: tuple[int, ...] = (16, 32, 64, 128), dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(channels, widths[0], 3, 2, 1, bias=False),
                bn=nn.BatchNorm2d(widths[0]),
                act=nn.ReLU(),
            )
        )
        self.blocks = nn.Sequential(*(_Block(i, o) for i, o in pairwise(widths)))
        self.head = nn.Sequential(OrderedDict(drop=nn.Dropout(dropout), dense=nn.Linear(widths[-1], outputs)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The last feature maps (N, widths[-1], h, w) of inputs (N, channels, H, W); sides a multiple of 2^blocks."""
        return self.blocks(self.stem(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs) of inputs (N, channels, H, W)."""
        return self.head(self.features(x).mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        """The dense layer, by timm's name for what "freeze all but the head" leaves free."""
        return self.head
