"""Group DRO: the loss of the groups that fare worst, instead of the mean."""

from collections.abc import Sequence

import torch

from radiolucent.errors import ConfigError
from radiolucent.training.distributed import Processes

__all__ = ["GroupWeights"]


class GroupWeights:
    """Weights q of G groups, Σ q = 1. At every step q_g ∝ q_g · exp(η · (ℓ_g + C / √n_g)), and the loss is Σ q_g · ℓ_g.

    ℓ_g is the mean loss of the group's examples in the batch, 0 for a group that has none there.

    Args:
        counts: n, training examples of each group, one or more. rate: η. adjustment: C, more for groups whose few
            examples are learnt by heart. device: where q is kept.

    Raises:
        ConfigError: a group without training examples.

    Source: Sagawa 2020, algorithm 1 and section 3.3; several groups a step as in its published code, whose sums
    these are.
    """

    def __init__(self, counts: Sequence[int], rate: float, adjustment: float, device: torch.device) -> None:
        if min(counts) < 1:
            raise ConfigError(
                f"group DRO, and training examples of each group {list(counts)}; expected one or more: a group that is "
                "never seen would take all the weight."
            )
        each = torch.tensor(counts, dtype=torch.float32, device=device)
        self.rate, self.extra = rate, adjustment / each.sqrt()
        self.log_q = torch.full_like(each, 1 / len(counts)).log()

    def __len__(self) -> int:
        return len(self.log_q)

    @torch.no_grad()
    def shares(
        self, losses: torch.Tensor, weights: torch.Tensor, groups: torch.Tensor, processes: Processes
    ) -> torch.Tensor:
        """What each weighted loss (N,) counts, after q has moved by this batch: q_g / Σ w of its group.

        Args:
            losses: weighted, (N,). weights: of the examples, (N,). groups: 0 … G − 1, (N,).
        """
        sums = losses.new_zeros(2, len(self), dtype=torch.float32)
        sums[0].index_add_(0, groups, losses.float())
        sums[1].index_add_(0, groups, weights.float())
        loss, weight = processes.sum(sums)
        mean = loss / weight.clamp(min=1e-8)
        self.log_q = (self.log_q + self.rate * (mean + self.extra)).log_softmax(0)
        return (self.log_q.exp() / weight.clamp(min=1e-8))[groups]
