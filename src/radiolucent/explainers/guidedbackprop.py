"""Guided backpropagation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.base import Explainer, Goal
from radiolucent.explainers.joining import by_grey
from radiolucent.models import Classifier
from radiolucent.passes.backward_rules import Rules
from radiolucent.passes.forward import INPUT, Pass
from radiolucent.passes.target_layer import Place

__all__ = ["Guided", "GuidedBackprop", "guided_pass"]


@dataclass(frozen=True)
class GuidedBackprop(Explainer):
    """The gradient with everything negative dropped at each ReLU on the way. Source: Springenberg 2015 (1412.6806).

    Backward through a ReLU (or ReLU6): max(g, 0) where the activation is active; other functions as they are. The map
    is joined over channels as `Saliency` is. It looks sharp, and hardly depends on the class or on the last layers'
    weights (Adebayo 2018; Nie 2018): an edge detector that tells little about the decision.
    """

    title: ClassVar[str] = "Guided backprop"
    answers: ClassVar[str] = "which edges the network responds to"
    misleads: ClassVar[str] = "**an edge detector**: hardly depends on class or weights (Adebayo 2018)"
    cost: ClassVar[str] = "2 + b"

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor:
        cut = guided_pass(classifier, inputs)[0].cut(INPUT)
        return by_grey(cut.gradient(goal.of(cut.logits)), classifier)


class Guided(Rules):
    """Drops what is negative behind each ReLU on the way back.

    Attributes:
        guiding: whether it does; if not, gradients are the plain ones.
    """

    ordinary = True

    def __init__(self) -> None:
        super().__init__("guided backpropagation")
        self.guiding = True

    def behind(self, name: str, value: torch.Tensor) -> None:
        node = value.grad_fn
        if name not in RELUS or node is None:
            return
        if node.name().startswith(("ReluBackward", "HardtanhBackward", "ClampBackward", "ClampMinBackward")):
            node.register_hook(self._guide)
        else:  # in place on part of a tensor: the node is another one
            value.register_hook(self._guided)

    def other(self, name: str) -> None:
        """Whatever is no ReLU keeps its derivative."""

    def _guided(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.clamp(min=0) if self.guiding else gradient

    def _guide(self, inside: tuple[torch.Tensor, ...], _: Any) -> None:
        """Given what a ReLU's derivative has made of a gradient, 0 or the gradient, which nobody else holds."""
        if self.guiding:
            inside[0].clamp_(min=0)


def guided_pass(classifier: Classifier, inputs: torch.Tensor, layers: Sequence[Place] = ()) -> tuple[Pass, Guided]:
    """A pass cut at the input and at some layers, whose gradients are guided, and the rule that guides them.

    Raises:
        ExplainError: the network has no ReLU.
    """
    rules = Guided()
    made = Pass(classifier, inputs, (INPUT, *layers), rules)
    made.cut(INPUT)
    if not RELUS & set(rules.seen):
        met = ", ".join(dict.fromkeys(rules.seen)) or "no activation"
        raise ExplainError(
            f"guided backpropagation is a rule for ReLUs, and this network has none ({met}); use SmoothGrad()."
        )
    return made, rules


RELUS = {"relu", "relu6", "hardtanh"}
