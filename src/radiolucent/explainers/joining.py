"""From a number for every input channel to one for every pixel."""

import torch

from radiolucent.models import Classifier

__all__ = ["by_grey", "summed"]


def by_grey(gradient: torch.Tensor, classifier: Classifier) -> torch.Tensor:
    """∂score/∂grey (N, H, W) of ∂score/∂input (N, C, H, W): a film has one grey level, shown to every channel.

    By the chain rule, Σ_c ∂score/∂x_c · ∂x_c/∂grey, and ∂x_c/∂grey = 1/std_c.
    """
    ends = classifier.preprocess.normalise(torch.tensor([0.0, 1.0], dtype=torch.float32).view(2, 1, 1))
    rise = (ends[1] - ends[0]).to(gradient).view(1, -1, 1, 1)
    return (gradient * rise).sum(1)


def summed(contributions: torch.Tensor) -> torch.Tensor:
    """(N, H, W) of what each channel adds (N, C, H, W): contributions to one score add up."""
    return contributions.sum(1)
