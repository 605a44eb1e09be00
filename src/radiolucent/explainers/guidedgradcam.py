"""Guided Grad-CAM."""

from dataclasses import dataclass

import torch

from radiolucent.explainers.atlayer import AtLayer
from radiolucent.explainers.base import Goal
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.guidedbackprop import guided_gradient
from radiolucent.explainers.joining import by_grey
from radiolucent.explainers.weighing import upsample
from radiolucent.models import Classifier

__all__ = ["GuidedGradCAM"]


@dataclass(frozen=True)
class GuidedGradCAM(AtLayer):
    """Guided backpropagation, shown only where Grad-CAM is positive. Source: Selvaraju 2017, section 3.2.

    map = guided gradient ⊙ max(Grad-CAM, 0), upsampled. Fine lines from the one, the class from the other; the lines
    share guided backpropagation's weakness.
    """

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor:
        coarse = GradCAM(self.layer).weigh(goal.over(classifier, inputs).cut(self.layer), goal)
        fine = by_grey(guided_gradient(classifier, inputs, goal), classifier)
        return fine * upsample(coarse.clamp(min=0), inputs.shape[2:]).to(fine)
