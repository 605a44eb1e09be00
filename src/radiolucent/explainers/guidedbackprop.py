"""Guided backpropagation."""

from dataclasses import dataclass
from typing import Any, cast

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.base import Explainer, Goal
from radiolucent.explainers.forward import INPUT, Pass
from radiolucent.explainers.joining import by_grey
from radiolucent.explainers.rules import Activation, Rules
from radiolucent.models import Classifier

__all__ = ["GuidedBackprop", "guided_gradient"]


@dataclass(frozen=True)
class GuidedBackprop(Explainer):
    """The gradient with everything negative dropped at each ReLU on the way. Source: Springenberg 2015 (1412.6806).

    Backward through a ReLU (or ReLU6): max(g, 0) where the activation is active; other functions as they are. The map
    is joined over channels as `Saliency` is. It looks sharp, and hardly depends on the class or on the last layers'
    weights (Adebayo 2018; Nie 2018): an edge detector that tells little about the decision.
    """

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor:
        return by_grey(guided_gradient(classifier, inputs, goal), classifier)


def guided_gradient(classifier: Classifier, inputs: torch.Tensor, goal: Goal) -> torch.Tensor:
    """The guided gradient (N, C, H, W) by the inputs.

    Raises:
        ExplainError: the network has no ReLU.
    """
    rules = _Guided()
    with rules:
        cut = Pass(classifier, inputs).cut(INPUT)
    if not RELUS & set(rules.seen):
        met = ", ".join(dict.fromkeys(rules.seen)) or "no activation"
        raise ExplainError(
            f"guided backpropagation is a rule for ReLUs, and this network has none ({met}); use SmoothGrad()."
        )
    return cut.gradient(goal.of(cut.logits))


RELUS = {"relu", "relu6", "hardtanh"}


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward((value > 0) & (value == z))
        return value

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (active,) = ctx.saved_tensors
        return grads[0].clamp(min=0) * active, None


class _Guided(Rules):
    def __init__(self) -> None:
        super().__init__("guided backpropagation")

    def activate(self, at: Activation) -> torch.Tensor:
        if at.name not in RELUS:
            return at.function(at.z)
        return cast(torch.Tensor, _GuidedReLU.apply(at.z, at.value))

    def other(self, name: str) -> None:
        """Whatever is no ReLU keeps its derivative."""
