"""Saliency: the plain gradient."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Explainer, Goal
from radiolucent.explainers.joining import by_grey
from radiolucent.models import Classifier
from radiolucent.passes.forward import INPUT
from radiolucent.passes.target_layer import Place

__all__ = ["Saliency"]


@dataclass(frozen=True)
class Saliency(Explainer):
    """How the score changes with each pixel. Source: Simonyan 2014 (arXiv 1312.6034), section 3.1.

    map = ∂score/∂grey = Σ_c ∂score/∂x_c / std_c, signed: by how much the score rises if the pixel becomes brighter.

    Attributes:
        join: "grey" as above, or "max": max_c |∂score/∂x_c|, unsigned, as in the paper.
    """

    title: ClassVar[str] = "Saliency"
    answers: ClassVar[str] = "what a brighter pixel would change"
    misleads: ClassVar[str] = "noisy; blind where the score is saturated"
    cost: ClassVar[str] = "1 + b"

    join: str = "grey"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.join not in ("grey", "max"):
            raise ConfigError(f"join {self.join!r}; expected grey or max.")

    @property
    def cuts(self) -> tuple[Place, ...]:
        return (INPUT,)

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor:
        cut = goal.over(classifier, inputs).cut(INPUT)
        gradient = cut.gradient(goal.of(cut.logits))
        return gradient.abs().amax(1) if self.join == "max" else by_grey(gradient, classifier)
