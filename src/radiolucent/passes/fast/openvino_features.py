"""Passes to the last feature maps in OpenVINO, for jobs of many films."""

from collections.abc import Callable

import torch
from torch import nn

from radiolucent.errors import ModelError
from radiolucent.models.difference import difference_of_moves, relative_difference
from radiolucent.models.parallel_batches import side_by_side
from radiolucent.passes.fast.engine import MOVES_APART, compiled
from radiolucent.passes.hooks import forward_beside

__all__ = ["Features", "features_of"]

APART = 1e-4
"""Largest difference from torch of a logit or feature, as a share of their largest magnitude (at least 1)."""

Features = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor] | None]
"""Inputs (N, C, H, W) to logits (N, K) and a layer's output, float32; None where it fails."""


def features_of(network: nn.Module, image: torch.Tensor, layer: str, *, workers: int, kernels: bool) -> Features | None:
    """A network's pass that also gives a layer's output, in OpenVINO; None where it does not give what torch gives.

    It has no graph: it serves only where nothing but pooling and a dense layer follows. It is compared with torch on
    images it was not traced with. A network in which Python looks at values on the way is not converted.

    Args:
        image: (1, C, H, W).
    """
    both = _Both(network, layer)
    try:
        # The network may write into its input.
        fast = compiled(both, [image.clone()], workers=workers, kernels=kernels, strict=True)
    except ModelError:
        return None

    def ask(inputs: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(a) for a in fast([inputs.contiguous().numpy()])]

    def run(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        parts = inputs.split(-(-len(inputs) // workers))
        try:
            logits, values = zip(*side_by_side(ask, parts, workers), strict=True)
        except RuntimeError:  # OpenVINO's; torch will say better what is wrong, if anything is
            return None
        return torch.cat(logits), torch.cat(values)

    for others in (image.flip(-1) * 0.7, torch.cat([image, -image, image.flip(-2)])):
        found = run(others.clone())
        with torch.no_grad():
            expected = both(others)
        if found is None or not all(relative_difference(a, b) <= APART for a, b in zip(found, expected, strict=True)):
            return None
        moves = [difference_of_moves(a, b) for a, b in zip(found, expected, strict=True)]
        if len(others) > 1 and not all(each <= MOVES_APART for each in moves):
            return None
    return run


class _Both(nn.Module):
    """A network that gives its logits and what one of its layers puts out."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return forward_beside(self.network, inputs, self.layer)
