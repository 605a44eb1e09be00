"""The lung network: a U-Net of a few hundred thousand weights that sums its skips."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["SIDE", "LungNet"]

SIDE = 128
"""Side of the input in pixels; the film is squashed to it."""


class _Conv(nn.Module):
    """Convolution, batch norm (until `fused`), ReLU."""

    def __init__(self, inside: int, outside: int, stride: int = 1, *, kernel: int = 3, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(outside) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)

    def fuse(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class LungNet(nn.Module):
    """Encoder and decoder over a pyramid of halved sides; a level's features are added to what comes up from below.

    Two outputs: lungs and heart shadow at the patient's right and left side together, as one logit a pixel at half the
    input's side (the caller interpolates: outlines are smooth). Source: Ronneberger 2015, with sums for
    concatenations.

    Args:
        widths: feature maps at 1/2, 1/4, 1/8 and 1/16 of the side.
        norm: with batch norm, for training; False for the fused network that is shipped.

    >>> LungNet(norm=False)(torch.zeros(1, 1, 128, 128)).shape
    torch.Size([1, 64, 64])
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96), *, norm: bool = True) -> None:
        super().__init__()
        pairs = list(zip((1, *widths[:-1]), widths, strict=True))
        self.down = nn.ModuleList(_Conv(i, o, 2, norm=norm) for i, o in pairs)
        self.keep = nn.ModuleList(_Conv(o, o, norm=norm) for _, o in pairs)
        self.deep = _Conv(widths[-1], widths[-1], norm=norm)
        up = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.narrow = nn.ModuleList(_Conv(i, o, kernel=1, norm=norm) for i, o in up)
        self.merge = nn.ModuleList(_Conv(o, o, norm=norm) for _, o in up)
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, S/2, S/2) of grey films (N, 1, S, S), standardised one by one here (mean 0, deviation 1)."""
        x = x - x.mean((1, 2, 3), keepdim=True)
        x = x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 0.02)  # `std` takes several times as long
        skips: list[torch.Tensor] = []
        for down, keep in zip(self.down, self.keep, strict=True):
            x = keep(down(x))
            skips.append(x)
        x = self.deep(skips.pop())
        for narrow, merge in zip(self.narrow, self.merge, strict=True):
            raised = F.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = merge(raised + skips.pop())
        return self.last(x)[:, 0]

    def fused(self) -> "LungNet":
        """Batch norms folded into their convolutions, in place: the same function, faster. For a trained network."""
        self.eval()
        for module in self.modules():
            if isinstance(module, _Conv):
                module.fuse()
        return self
