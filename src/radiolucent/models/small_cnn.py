"""The small network of our own: batch norm between convolutions, dropout and L2 between dense layers."""

from collections import OrderedDict

import torch
from torch import nn

__all__ = ["SmallCNN"]


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(inside, outside, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(outside),
            act1=nn.ReLU(),
            conv2=nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            bn2=nn.BatchNorm2d(outside),
            act2=nn.ReLU(),
            pool=nn.MaxPool2d(2),
        )
    )


class SmallCNN(nn.Module):
    """Blocks of (conv, batch norm, ReLU) × 2 and max pooling; global average pooling; dense, dropout, dense.

    Args:
        outputs: number of logits.
        channels: input channels.
        widths: feature maps of each block; each block halves the side.
        hidden: units of the dense layer between pooling and logits; 0 for none (then CAM applies).
        dropout: probability on both sides of the dense layer.
        l2: weight of the L2 penalty on the dense layers' weights, which training adds to the loss.

    >>> SmallCNN(2)(torch.zeros(1, 1, 64, 64)).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        outputs: int,
        *,
        channels: int = 1,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        hidden: int = 64,
        dropout: float = 0.3,
        l2: float = 1e-3,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(channels, widths[0], 5, stride=2, padding=2, bias=False),
                bn=nn.BatchNorm2d(widths[0]),
                act=nn.ReLU(),
            )
        )
        inside = (widths[0], *widths[:-1])
        self.blocks = nn.Sequential(*(_block(i, o) for i, o in zip(inside, widths, strict=True)))
        self.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        dense: list[nn.Module] = [nn.Dropout(dropout)]
        if hidden:
            dense += [nn.Linear(widths[-1], hidden), nn.ReLU(), nn.Dropout(dropout)]
        dense.append(nn.Linear(hidden or widths[-1], outputs))
        self.head = nn.Sequential(*dense)
        self.l2 = l2
        self.least_side = 2 ** (len(widths) + 1) - 1  # the stem halves upwards, each block downwards
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs) of inputs (N, channels, H, W)."""
        return self.head(self.global_pool(self.blocks(self.stem(x))))

    def get_classifier(self) -> nn.Module:
        """The dense layers, by timm's name for what "freeze all but the head" leaves free."""
        return self.head

    def l2_penalty(self) -> torch.Tensor:
        """l2 · Σ ‖W‖² over the dense layers, as Keras' `kernel_regularizer=l2(...)`."""
        dense = [m.weight.square().sum() for m in self.head.modules() if isinstance(m, nn.Linear)]
        return self.l2 * torch.stack(dense).sum()
