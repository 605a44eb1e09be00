"""One output of a network with several."""

import torch
from torch import nn

__all__ = ["OneOutput"]


class OneOutput(nn.Module):
    """A network whose logits (N, K) are cut down to one of them, (N, 1). The network is shared, and keeps its mode."""

    def __init__(self, network: nn.Module, index: int) -> None:
        super().__init__()
        self.network, self.index = network, index
        self.training = network.training

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logit (N, 1) of inputs (N, C, H, W)."""
        return self.network(x)[:, self.index : self.index + 1]
