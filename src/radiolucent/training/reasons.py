"""Right for the right reasons: a penalty on what the answer must not come from."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from radiolucent.models import Classifier

__all__ = ["wrong_reasons"]


def wrong_reasons(
    forward: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    irrelevant: torch.Tensor,
    classifier: Classifier,
) -> torch.Tensor:
    """Σ_x (A_x · ∂m/∂x at x̃)² of each example, (N,), differentiable by the weights; m are the log-odds.

    x̃ is drawn between the film and its copy with A's pixels at the film's mean, u ~ U(0, 1) a film: the gradient is
    small all the way, not only at the film. There alone a network evades the penalty by saturating: on striped corners
    (`tests/training/test_reasons.py`) Ross' form raised the corner's share in the answer. The gradient is by grey
    levels in [0, 1], so that λ means the same whatever a network's normalisation: Σ_c g_c / s_c over C equal channels
    with standard deviations s_c. Batch-norm statistics stay as they are.

    Args:
        forward: inputs (N, C, S, S) to logits (N, K). irrelevant: A, bool (N, S, S).

    Source: Ross, Hughes & Doshi-Velez 2017, eq. 1, with the log-odds for Σ_k log p_k, whose gradient vanishes at
    p = 1/2, and at random points as in Erion 2021.
    """
    grey = inputs.detach()
    mean = grey.mean((2, 3), keepdim=True)
    towards = torch.rand(len(grey), 1, 1, 1, device=grey.device) * irrelevant[:, None]
    between = torch.lerp(grey, mean.expand_as(grey), towards.to(grey.dtype)).requires_grad_()
    with _still(classifier.network):
        logits = forward(between).float()
    (gradient,) = torch.autograd.grad(_log_odds(logits, classifier).sum(), between, create_graph=True)
    std = gradient.new_tensor(classifier.preprocess.std).view(1, -1, 1, 1)
    by_grey = (gradient.float() / std).sum(1)
    return (by_grey * irrelevant).square().sum((1, 2))


def _log_odds(logits: torch.Tensor, classifier: Classifier) -> torch.Tensor:
    """Of the positive class (N,); of a multi-label head, of all labels (N, K)."""
    if classifier.head != "softmax":
        return logits
    k = classifier.positive
    return logits[:, k] - torch.cat([logits[:, :k], logits[:, k + 1 :]], 1).logsumexp(1)


@contextmanager
def _still(network: nn.Module) -> Generator[None]:
    """Inside the block batch norms do not move their running statistics."""
    norms: list[Any] = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    before = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, momentum in zip(norms, before, strict=True):
            m.momentum = momentum
