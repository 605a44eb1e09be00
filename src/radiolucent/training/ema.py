"""The exponential moving average of the weights."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["MovingAverage"]


class MovingAverage:
    """ā ← d·ā + (1 − d)·a after every step t, with d = min(decay, (1 + t) / (10 + t)), over weights and batch-norm
    statistics; whole numbers are copied.

    The early d lets the average forget where it began. Source: Tarvainen & Valpola 2017; the warm-up is TensorFlow's.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._live = {name: tensor for name, tensor in network.state_dict().items()}
        self.values = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        moving = _learning(network)
        self._names = [n for n, t in self._live.items() if t.is_floating_point() and n in moving]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights as they are now."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            [self.values[n] for n in self._names], [self._live[n] for n in self._names], 1 - decay
        )
        for name, tensor in self._live.items():
            if not tensor.is_floating_point():
                self.values[name].copy_(tensor)

    def restore(self, values: dict[str, torch.Tensor], steps: int) -> None:
        """Go on from saved values."""
        copy_into(self.values, values)
        self.steps = steps

    @contextmanager
    def worn(self) -> Generator[None]:
        """Inside the block the network has the averaged weights."""
        own = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        copy_into(self._live, self.values)
        try:
            yield
        finally:
            copy_into(self._live, own)


@torch.no_grad()
def copy_into(live: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> None:
    """Overwrite tensors in place."""
    for name, tensor in live.items():
        tensor.copy_(values[name])


def _learning(network: nn.Module) -> set[str]:
    """Names of what changes in training: parameters that learn, statistics of batch norms that are not frozen."""
    names = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    for name, _ in network.named_buffers():
        owner = network.get_submodule(name.rpartition(".")[0])
        if not getattr(owner, "_frozen", False):
            names.add(name)
    return names
