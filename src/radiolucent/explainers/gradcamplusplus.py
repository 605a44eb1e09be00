"""Grad-CAM++."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.base import Goal
from radiolucent.explainers.weighing import Weighing, slopes, weighed
from radiolucent.passes.forward import Cut

__all__ = ["GradCAMPlusPlus"]


@dataclass(frozen=True)
class GradCAMPlusPlus(Weighing):
    """Grad-CAM that counts several spots of one finding alike. Source: Chattopadhay 2018, eq. 8, 10 and 19.

    With Y = exp(S) and g = ∂S/∂A_kij eq. 19 is α_kij = g²/(2g² + g³ Σ_ab A_kab) = 1/(2 + g Σ_ab A_kab), and
    w_k = Σ_ij α_kij max(g, 0), map = Σ_k w_k A_k. The common factor exp(S) is left out, so that nothing overflows: the
    map's scale has no meaning. The paper assumes A ≥ 0; where negative features make 2 + g ΣA ≤ 0, α is 0.
    """

    title: ClassVar[str] = "Grad-CAM++"
    answers: ClassVar[str] = "Grad-CAM for several spots alike"
    misleads: ClassVar[str] = "never shows what speaks against; its scale has no meaning"
    cost: ClassVar[str] = "1 (+ h)"

    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        gradient, features = slopes(cut, goal), cut.features
        below = 2 + gradient * features.sum((2, 3), keepdim=True)
        each = torch.where(below > 0, gradient.clamp(min=0) / below, 0)
        # A gradient that is the same at all h·w places comes as one.
        places = features[0, 0].numel() if each.shape[2:] == (1, 1) else 1
        return weighed(each.sum((2, 3), keepdim=True) * places, features)
