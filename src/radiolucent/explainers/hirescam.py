"""HiResCAM."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.base import Goal
from radiolucent.explainers.weighing import Weighing, slopes, weighed
from radiolucent.passes.forward import Cut

__all__ = ["HiResCAM"]


@dataclass(frozen=True)
class HiResCAM(Weighing):
    """Features times gradient at each place, not averaged. Source: Draelos & Carin 2020 (arXiv 2011.08891), eq. 4.

    map = Σ_k ∂score/∂A_k ⊙ A_k: what the places add to the score, to first order; exactly where only linear layers
    follow. Behind global average pooling and one dense layer it is Grad-CAM, and CAM divided by hw.
    """

    title: ClassVar[str] = "HiResCAM"
    answers: ClassVar[str] = "where features are that raise the score, place by place"
    misleads: ClassVar[str] = "coarse; first order only, where layers follow that are not linear"
    cost: ClassVar[str] = "1 (+ h)"

    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        return weighed(slopes(cut, goal), cut.features)
