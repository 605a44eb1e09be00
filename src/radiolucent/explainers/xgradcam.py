"""XGrad-CAM."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.base import Goal
from radiolucent.explainers.weighing import Weighing, slopes, weighed
from radiolucent.passes.forward import Cut

__all__ = ["XGradCAM"]


@dataclass(frozen=True)
class XGradCAM(Weighing):
    """Grad-CAM with gradients averaged by activation instead of evenly. Source: Fu 2020 (arXiv 2008.02312), eq. 8.

    w_k = Σ_ij A_kij ∂score/∂A_kij / Σ_ij A_kij, map = Σ_k w_k A_k. The map's sum is then HiResCAM's ("conservation").
    Meant for features after a ReLU: where positive and negative features cancel to less than a millionth of their
    size, the feature map is left out.
    """

    title: ClassVar[str] = "XGrad-CAM"
    answers: ClassVar[str] = "Grad-CAM, weighed by activation"
    misleads: ClassVar[str] = "features of both signs (before a ReLU)"
    cost: ClassVar[str] = "1 (+ h)"

    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        gradient, features = slopes(cut, goal), cut.features
        if gradient.shape[2:] == (1, 1):  # an average of equal numbers
            return weighed(gradient, features)
        total = features.sum((2, 3), keepdim=True)
        counts = total.abs() > 1e-6 * features.abs().sum((2, 3), keepdim=True)
        weights = torch.where(counts, (gradient * features).sum((2, 3), keepdim=True) / total, 0)
        return weighed(weights, features)
