"""Guided backpropagation."""

from dataclasses import dataclass

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.base import Explainer, Goal
from radiolucent.explainers.forward import INPUT, Pass
from radiolucent.explainers.joining import by_grey
from radiolucent.explainers.rules import Rules
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


class _Guided(Rules):
    ordinary = True

    def __init__(self) -> None:
        super().__init__("guided backpropagation")

    def behind(self, name: str, value: torch.Tensor) -> None:
        if name in RELUS and value.requires_grad:
            value.register_hook(_positive)

    def other(self, name: str) -> None:
        """Whatever is no ReLU keeps its derivative."""


def _positive(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.clamp(min=0)
