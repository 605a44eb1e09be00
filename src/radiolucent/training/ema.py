"""The exponential moving average of the weights."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["MovingAverage"]

Tensors = Sequence[torch.Tensor]


class MovingAverage:
    """ā ← d·ā + (1 − d)·a after every step t, with d = min(decay, (1 + t) / (10 + t)), over weights and batch-norm
    statistics; whole numbers are copied.

    The smaller d of the first steps lets the average forget where it began. torch's `AveragedModel` keeps it.
    Source: Tarvainen & Valpola 2017; the warm-up is TensorFlow's.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._average = AveragedModel(network, multi_avg_fn=_warmed_up(decay), use_buffers=True)
        self._average.update_parameters(network)  # the first update copies

    @property
    def steps(self) -> int:
        """How many updates the average has had."""
        return int(self._average.n_averaged) - 1

    @property
    def values(self) -> dict[str, torch.Tensor]:
        """The averaged weights and buffers by name, not copied."""
        return self._average.module.state_dict()

    def update(self) -> None:
        """Take in the network's weights as they are now."""
        self._average.update_parameters(self._network)

    def restore(self, values: dict[str, torch.Tensor], steps: int) -> None:
        """Go on from saved values."""
        self._average.module.load_state_dict(values)
        self._average.n_averaged.fill_(steps + 1)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Inside the block the network has the averaged weights."""
        own = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self.values)
        try:
            yield
        finally:
            self._network.load_state_dict(own)


def _warmed_up(decay: float) -> Callable[[Tensors, Tensors, torch.Tensor | int], None]:
    @torch.no_grad()
    def update(averages: Tensors, current: Tensors, updates: torch.Tensor | int) -> None:
        step = int(updates) - 1
        kept = min(decay, (1 + step) / (10 + step))
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - kept)
            else:
                average.copy_(value)

    return update
