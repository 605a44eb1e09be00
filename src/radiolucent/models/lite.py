"""The first five stages of EfficientNet-Lite0 on grey inputs, in plain torch: small enough to ship."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from radiolucent.errors import ModelError

__all__ = ["HIDDEN", "Lite"]

STEM = 32
STAGES = ((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3))
"""Of each stage: expansion, feature maps, kernel, stride of its first block, blocks. The sixth and seventh, at 1/32 of
the side, are left out: their maps are too coarse to lie on a film."""

HIDDEN = tuple(
    expansion * (STAGES[s - 1][1] if k == 0 else outside)
    for s, (expansion, outside, _, _, count) in enumerate(STAGES) if expansion > 1 for k in range(count)
)  # fmt: skip
"""Feature maps inside each block that widens."""


class _Conv(nn.Module):
    """Convolution, batch norm (until `fused`), ReLU6 where `act`."""

    def __init__(
        self, inside: int, outside: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, act: bool = True,
        norm: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=not norm)
        self.norm = nn.BatchNorm2d(outside, eps=1e-3) if norm else nn.Identity()
        self.act = nn.ReLU6() if act else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))

    def fuse(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class _Block(nn.Module):
    """Widen, filter each map by itself, narrow without an activation; added to its input where the shapes agree."""

    def __init__(self, inside: int, outside: int, wide: int | None, kernel: int, stride: int, *, norm: bool) -> None:
        super().__init__()
        self.adds = stride == 1 and inside == outside
        self.widen = nn.Identity() if wide is None else _Conv(inside, wide, norm=norm)
        wide = wide or inside
        self.filter = _Conv(wide, wide, kernel, stride, groups=wide, norm=norm)
        self.narrow = _Conv(wide, outside, act=False, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.narrow(self.filter(self.widen(x)))
        return x + found if self.adds else found


class Lite(nn.Module):
    """Stem and five stages of EfficientNet-Lite0 (1/16 of the side), a 1 × 1 convolution, the mean, a dense layer.

    Source: Tan & Le 2019; Lite: Liu 2020 (no squeeze-and-excitation, ReLU6). Paddings are symmetric.

    Args:
        outputs: number of logits. width: maps of the last convolution. dropout: before the dense layer.
        norm: with batch norms, for training; False for the fused network that is shipped.
        hidden: feature maps inside each of the ten blocks that widen, in order; EfficientNet-Lite0's own, six times as
            many as come in, unless given.

    Raises:
        ModelError: as many numbers as blocks are needed.

    >>> Lite(2, norm=False).features(torch.zeros(1, 1, 128, 128)).shape
    torch.Size([1, 192, 8, 8])
    """

    def __init__(
        self, outputs: int, *, width: int = 192, dropout: float = 0.2, norm: bool = True,
        hidden: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        wides = list(HIDDEN if hidden is None else hidden)
        if len(wides) != len(HIDDEN):
            raise ModelError(f"{len(wides)} numbers of hidden maps; give one for each of the {len(HIDDEN)} blocks.")
        self.stem = _Conv(1, STEM, 3, 2, norm=norm)
        stages: list[nn.Module] = []
        inside = STEM
        for expansion, outside, kernel, stride, count in STAGES:
            blocks = [
                _Block(
                    inside if k == 0 else outside, outside, wides.pop(0) if expansion > 1 else None, kernel,
                    stride if k == 0 else 1, norm=norm,
                )
                for k in range(count)
            ]  # fmt: skip
            stages.append(nn.Sequential(*blocks))
            inside = outside
        self.stages = nn.Sequential(*stages)
        self.last = _Conv(inside, width, norm=norm)
        self.drop = nn.Dropout(dropout)
        self.dense = nn.Linear(width, outputs)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The last feature maps (N, width, S/16, S/16), none below 0, of inputs (N, 1, S, S)."""
        return self.last(self.stages(self.stem(x)))

    def head(self, pooled: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs) of means of the maps (N, width)."""
        return self.dense(self.drop(pooled))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs) of inputs (N, 1, S, S)."""
        return self.head(self.features(x).mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        """The dense layer, by timm's name for what "freeze all but the head" leaves free."""
        return self.dense

    def fused(self) -> "Lite":
        """Batch norms folded into their convolutions, in place: the same function, faster. For a trained network."""
        self.eval()
        for module in self.modules():
            if isinstance(module, _Conv):
                module.fuse()
        return self

    def load_imagenet(self, tensors: dict[str, torch.Tensor], scale: float) -> None:
        """Take over the weights of timm's `tf_efficientnet_lite0`, the stem's summed over colours and times `scale`.

        Args:
            tensors: its state dict. scale: by how much inputs here are wider than ImageNet's in [-1, 1].
        """
        taken: dict[str, torch.Tensor] = {n: t for n, t in self.state_dict().items() if n.startswith(("last", "dense"))}

        def put(ours: str, conv: str, norm: str) -> None:
            taken[f"{ours}.conv.weight"] = tensors[f"{conv}.weight"]
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                taken[f"{ours}.norm.{name}"] = tensors.get(f"{norm}.{name}", torch.tensor(0))

        put("stem", "conv_stem", "bn1")
        taken["stem.conv.weight"] = taken["stem.conv.weight"].sum(1, keepdim=True) * scale
        for s, (expansion, *_, count) in enumerate(STAGES):
            for k in range(count):
                ours, theirs = f"stages.{s}.{k}", f"blocks.{s}.{k}"
                parts: Any = (
                    (("filter", "conv_dw", "bn1"), ("narrow", "conv_pw", "bn2")) if expansion == 1 else
                    (("widen", "conv_pw", "bn1"), ("filter", "conv_dw", "bn2"), ("narrow", "conv_pwl", "bn3"))
                )  # fmt: skip
                for mine, conv, norm in parts:
                    put(f"{ours}.{mine}", f"{theirs}.{conv}", f"{theirs}.{norm}")
        self.load_state_dict(taken)
