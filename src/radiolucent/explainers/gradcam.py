"""Grad-CAM, differentiating only what lies behind the target layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.base import Goal
from radiolucent.explainers.weighing import Weighing, slopes, weighed
from radiolucent.passes.forward import Cut

__all__ = ["GradCAM"]


@dataclass(frozen=True)
class GradCAM(Weighing):
    """Feature maps weighed by the mean gradient of the score. Source: Selvaraju 2017, eq. 1–2, without the ReLU.

    α_k = 1/(hw) Σ_ij ∂score/∂A_kij, map = Σ_k α_k A_k. The map stays signed; figures show its positive part.
    """

    title: ClassVar[str] = "Grad-CAM"
    answers: ClassVar[str] = "where features are that raise the score"
    misleads: ClassVar[str] = "coarse; averages gradients that differ from place to place; borders on small grids"
    cost: ClassVar[str] = "1 (+ h)"

    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        return weighed(slopes(cut, goal).mean((2, 3), keepdim=True), cut.features)
