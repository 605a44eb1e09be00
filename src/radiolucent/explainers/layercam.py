"""LayerCAM."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.base import Goal
from radiolucent.explainers.weighing import Weighing, slopes, weighed
from radiolucent.passes.forward import Cut

__all__ = ["LayerCAM"]


@dataclass(frozen=True)
class LayerCAM(Weighing):
    """Features times the positive part of the gradient at each place. Source: Jiang 2021 (TIP 30), eq. 5–7.

    map = Σ_k max(∂score/∂A_k, 0) ⊙ A_k. Meant for earlier, finer layers as well (`layer=`), where Grad-CAM's mean over
    places says little. After a ReLU the map has no negative part: it never says what speaks against the score.
    """

    title: ClassVar[str] = "LayerCAM"
    answers: ClassVar[str] = "finer maps from earlier layers"
    misleads: ClassVar[str] = "never shows what speaks against; early layers show edges"
    cost: ClassVar[str] = "1 (+ h)"

    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        return weighed(slopes(cut, goal).clamp(min=0), cut.features)
