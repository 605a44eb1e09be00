"""Right for the right reasons: penalties on what the answer must not come from. One gradient, two forms."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from radiolucent.models import Classifier
from radiolucent.models.modes import evaluating, own_modes
from radiolucent.models.takes import asked

__all__ = ["natural_range", "relevance_outside", "wrong_reasons"]

Forward = Callable[[torch.Tensor], torch.Tensor]
TOP = 0.005
"""Share of the film's pixels that weigh in the ranked mean: 250 of 224 × 224, which is ISNet's d = 0.996."""
TINY = 1e-10


def wrong_reasons(
    forward: Forward, inputs: torch.Tensor, irrelevant: torch.Tensor, classifier: Classifier
) -> torch.Tensor:
    """Σ_x (A_x · ∂m/∂x at x̃)² of each example, (N,), differentiable by the weights; m are the log-odds.

    The gradient is by grey levels in [0, 1], so that λ means the same whatever a network's normalisation: Σ_c g_c / s_c
    over C equal channels with standard deviations s_c. For x̃ see `_gradient`.

    Args:
        forward: inputs (N, C, S, S) to logits (N, K). irrelevant: A, bool (N, S, S).

    Source: Ross, Hughes & Doshi-Velez 2017, eq. 1, with the log-odds for Σ_k log p_k, whose gradient vanishes at
    p = 1/2, and at random points as in Erion 2021.
    """
    gradient = _gradient(forward, inputs, irrelevant, classifier)
    std = gradient.new_tensor(classifier.preprocess.std).view(1, -1, 1, 1)
    return ((gradient / std).sum(1) * irrelevant).square().sum((1, 2))


def relevance_outside(
    forward: Forward,
    inputs: torch.Tensor,
    irrelevant: torch.Tensor,
    classifier: Classifier,
    between: tuple[float, float] = (1.0, 25.0),
) -> torch.Tensor:
    """log(1 + ρ) + φ of each example, (N,), differentiable by the weights: relevance outside, relative to inside.

    Relevance is gradient × input of the log-odds m, R_x = Σ_c (x_c − x̄_c) · ∂m/∂x_c at x̃, with the film's mean x̄ as
    zero. Over x̃, Σ_A R has the expectation m(film) − m(film with A at its mean): what hiding A does. ρ is the ranked
    mean of |R| over A, Σ_i d^i |R|_(i) / Σ_i d^i from the largest on, over the mean of |R| where the answer may come
    from; d = 1 − 1 / (`TOP` · S²). log(1 + ρ) is ISNet's −log(1 − ρ / (ρ + 1)). A network could make ρ small by
    blowing up what is inside, or do without relevance altogether: φ = min(F/C1 − 1, 0)² + h(max(F − C2, 0) / C1) keeps
    F = Σ |R| inside between C1 and C2; h(v) is v² up to 1, then v.

    Args:
        forward: inputs (N, C, S, S) to logits (N, K). irrelevant: A, bool (N, S, S); a film with none or nothing but
            such pixels has the penalty 0. between: C1 and C2, in nats (`natural_range`).

    Source: Bassi, Dertkigil & Cavalli 2024 (ISNet), and 2024 (Faster ISNet) for one map of the log-odds and for h.
    There relevance is LRP-ε. In a network of ReLUs, pooling and linear layers LRP with ε → 0 is gradient × input,
    its biases keeping their share (Ancona 2018); ISNet's input zero is black, its point the film itself.
    """
    gradient = _gradient(forward, inputs, irrelevant, classifier)
    size = _relevance(gradient, inputs)
    counts = irrelevant.sum((1, 2)) * (~irrelevant).sum((1, 2)) > 0
    inside = (size * ~irrelevant).sum((1, 2))
    mean = inside / (~irrelevant).sum((1, 2)).clamp(min=1)
    ranked = (size * irrelevant).flatten(1).sort(1, descending=True).values
    d = 1 - 1 / max(1.0, TOP * ranked.shape[1])
    decay = d ** torch.arange(ranked.shape[1], device=size.device, dtype=size.dtype)
    ratio = (ranked * decay).sum(1) / decay.sum() / (mean + TINY)
    low, high = between
    above = (inside - high).clamp(min=0) / low
    kept = (inside / low - 1).clamp(max=0).square() + torch.where(above < 1, above.square(), above)
    return (ratio.log1p() + kept) * counts


def natural_range(classifier: Classifier, inputs: torch.Tensor) -> tuple[float, float]:
    """(C1, C2) of `relevance_outside` from a network that no penalty has touched, as Faster ISNet finds them.

    C1 = max(μ/5, μ − 3σ), C2 = min(25 C1, μ + 3σ) of Σ |R| over the pixels of films, inputs (N, C, S, S), in nats.
    """
    totals: list[torch.Tensor] = []
    with evaluating(classifier.network), own_modes():
        for some in inputs.to(classifier.device).split(16):
            nowhere = torch.zeros(len(some), *some.shape[2:], dtype=torch.bool, device=some.device)
            gradient = _gradient(lambda x: asked(classifier.network, x), some, nowhere, classifier).detach()
            totals.append(_relevance(gradient, some).sum((1, 2)).double())
    total = torch.cat(totals)
    mean, spread = float(total.mean()), float(total.std()) if len(total) > 1 else 0.0
    low = max(mean / 5, mean - 3 * spread, 1e-6)
    return low, max(low, min(25 * low, mean + 3 * spread))


def _relevance(gradient: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """|Σ_c (x_c − x̄_c) · g_c|, (N, S, S)."""
    from_mean = inputs.detach().float() - inputs.detach().float().mean((2, 3), keepdim=True)
    return (from_mean * gradient).sum(1).abs()


def _gradient(forward: Forward, inputs: torch.Tensor, irrelevant: torch.Tensor, classifier: Classifier) -> torch.Tensor:
    """∂m/∂x at x̃, float32 (N, C, S, S), differentiable by the weights.

    x̃ is drawn between the film and its copy with A's pixels at the film's mean, u ~ U(0, 1) a film: the gradient is
    looked at all the way, not only at the film. There alone a network evades a penalty by saturating: on striped
    corners (`tests/training/test_reasons.py`) Ross' form raised the corner's share in the answer. Batch-norm
    statistics stay as they are.
    """
    grey = inputs.detach()
    mean = grey.mean((2, 3), keepdim=True)
    towards = torch.rand(len(grey), 1, 1, 1, device=grey.device) * irrelevant[:, None]
    between = torch.lerp(grey, mean.expand_as(grey), towards.to(grey.dtype)).requires_grad_()
    with _still(classifier.network):
        logits = forward(between).float()
    (gradient,) = torch.autograd.grad(_log_odds(logits, classifier).sum(), between, create_graph=True)
    return gradient.float()


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
