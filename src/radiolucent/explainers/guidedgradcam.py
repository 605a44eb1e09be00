"""Guided Grad-CAM."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.atlayer import AtLayer
from radiolucent.explainers.base import Goal
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.guidedbackprop import guided_pass
from radiolucent.explainers.joining import by_grey
from radiolucent.explainers.weighing import upsample
from radiolucent.models import Classifier
from radiolucent.passes.forward import INPUT
from radiolucent.passes.target_layer import Place

__all__ = ["GuidedGradCAM"]


@dataclass(frozen=True)
class GuidedGradCAM(AtLayer):
    """Guided backpropagation, shown only where Grad-CAM is positive. Source: Selvaraju 2017, section 3.2.

    map = guided gradient ⊙ max(Grad-CAM, 0), upsampled. Fine lines from the one, the class from the other; the lines
    share guided backpropagation's weakness.
    """

    title: ClassVar[str] = "Guided Grad-CAM"
    answers: ClassVar[str] = "which edges the network responds to, where Grad-CAM is positive"
    misleads: ClassVar[str] = "as guided backpropagation"
    cost: ClassVar[str] = "2 + b (+ h)"

    @property
    def cuts(self) -> tuple[Place, ...]:
        return ()  # its pass has rules of its own

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor:
        made, rules = guided_pass(goal.over(classifier, inputs), self.places)
        rules.guiding = False
        coarse = GradCAM().weigh(made.cut(self.place), goal)
        rules.guiding = True
        cut = made.cut(INPUT)
        fine = by_grey(cut.gradient(goal.of(cut.logits)), classifier)
        return fine * upsample(coarse.clamp(min=0), inputs.shape[2:]).to(fine)
