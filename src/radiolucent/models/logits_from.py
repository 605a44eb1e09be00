"""Logits of a model that gives probabilities."""

import torch

from radiolucent.errors import ModelError
from radiolucent.types import Head

__all__ = ["logits_from"]

SMALLEST = 1e-30
"""Probabilities below it are clipped before logits are taken, and 1 to the number before: others keep their order."""


def logits_from(probabilities: torch.Tensor, head: Head) -> torch.Tensor:
    """Logits whose softmax or sigmoid are these probabilities (N, K), clipped to [1e-30, the last number before 1].

    "softmax": log p, of which other logits differ by a number the same for all classes: it cancels in probabilities,
    margins and contrasts, but an explanation of a single logit is one of log p. That of the largest p comes from the
    others, log(1 − Σ others), which still tell films apart where it is rounded to 1. Others: log p/(1 − p).

    Raises:
        ModelError: values outside [0, 1], or a softmax whose rows do not sum to 1.
    """
    values = probabilities.detach()
    low, high = float(values.min()), float(values.max())
    if not (-1e-4 <= low and high <= 1 + 1e-4):
        raise ModelError(f'outputs range over [{low:.3g}, {high:.3g}], no probabilities; use output="logits".')
    if head == "softmax" and float((values.sum(1) - 1).abs().max()) > 1e-2:
        raise ModelError('probabilities of a film do not sum to 1; use head="multilabel", or output="logits".')
    p = probabilities if probabilities.dtype == torch.float64 else probabilities.float()
    p = p.clamp(SMALLEST, 1 - torch.finfo(p.dtype).eps / 2)
    if head != "softmax":
        return torch.logit(p)
    largest = torch.zeros_like(p).scatter(1, p.argmax(1, keepdim=True), 1.0)
    others = (p * (1 - largest)).sum(1, keepdim=True)
    return torch.where(largest > 0, -torch.log1p(others / p), (p / p.sum(1, keepdim=True)).log())
