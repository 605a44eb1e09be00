"""Class activation mapping, for networks that end in global average pooling and one dense layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.base import Goal
from radiolucent.explainers.weighing import Weighing, slopes, weighed
from radiolucent.passes.forward import Cut

__all__ = ["CAM"]


@dataclass(frozen=True)
class CAM(Weighing):
    """Feature maps weighed by the class's weights of the dense layer. Source: Zhou 2016, eq. 2.

    map = Σ_k w_ck A_k: what each place adds to the class's logit, which is the map's mean plus the bias.
    """

    title: ClassVar[str] = "CAM"
    answers: ClassVar[str] = "what each place adds to the logit"
    misleads: ClassVar[str] = "coarse; only behind pooling and one dense layer"
    cost: ClassVar[str] = "1"

    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        if cut.dense is None:
            raise ExplainError(
                f"CAM needs global average pooling and one dense layer behind the features ({cut.layer.name}); this "
                "network has another head: use GradCAM()."
            )
        return weighed(slopes(cut, goal) * cut.features[0, 0].numel(), cut.features)
