"""Right for the right reasons: a penalty on what the answer must not come from."""

import torch

from radiolucent.models import Classifier
from radiolucent.types import Head

__all__ = ["wrong_reasons"]


def wrong_reasons(
    logits: torch.Tensor, inputs: torch.Tensor, irrelevant: torch.Tensor, classifier: Classifier
) -> torch.Tensor:
    """Σ_x (A_x · ∂/∂x Σ_k log p_k)² of each example, (N,), differentiable by the weights.

    The gradient is by grey levels in [0, 1], so that λ means the same whatever a network's normalisation: of a grey
    film repeated in C channels with standard deviation s_c it is Σ_c g_c / s_c.

    Args:
        logits: (N, K) of `inputs` (N, C, S, S), which require gradients. irrelevant: A, bool (N, S, S).

    Source: Ross, Hughes & Doshi-Velez 2017, eq. 1 (without its L2 term).
    """
    total = _log_probabilities(logits.float(), classifier.head).sum()
    (gradient,) = torch.autograd.grad(total, inputs, create_graph=True)
    std = gradient.new_tensor(classifier.preprocess.std).view(1, -1, 1, 1)
    by_grey = (gradient.float() / std).sum(1)
    return (by_grey * irrelevant).square().sum((1, 2))


def _log_probabilities(logits: torch.Tensor, head: Head) -> torch.Tensor:
    """log p of every class; of a sigmoid head, of each label being there and not."""
    if head == "softmax":
        return logits.log_softmax(1)
    return torch.nn.functional.logsigmoid(logits) + torch.nn.functional.logsigmoid(-logits)
