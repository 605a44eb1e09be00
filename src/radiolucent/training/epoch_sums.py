"""The running sums of an epoch, kept on the device so that no step waits for them."""

import math
from collections.abc import Sequence

import torch

from radiolucent.training.distributed import Processes

__all__ = ["EpochSums"]


class EpochSums:
    """Sums over the examples seen: weighted loss, weight, called right, number.

    Args:
        device: where they are kept. values: to go on from.
    """

    def __init__(self, device: torch.device, values: Sequence[float] = (0.0, 0.0, 0.0, 0.0)) -> None:
        kind = torch.float32 if device.type == "mps" else torch.float64
        self._sums = torch.tensor(list(values), dtype=kind, device=device)

    @torch.no_grad()
    def add(self, losses: torch.Tensor, weights: torch.Tensor, correct: torch.Tensor, counts: float) -> None:
        """Add one batch: losses, weights, correct (N,) each. `counts` is 0 for a repeated batch, which only keeps the
        processes in step."""
        count = weights.new_tensor(len(weights) * counts)
        self._sums += torch.stack([losses.sum(), weights.sum(), correct.sum(), count])

    def finite(self) -> bool:
        """Whether every loss so far was."""
        return math.isfinite(float(self._sums[0]))

    def totals(self, processes: Processes) -> list[float]:
        """The four sums over all processes."""
        return processes.sum(self._sums.clone()).tolist()
