"""Eigen-CAM."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.base import Goal
from radiolucent.explainers.weighing import Weighing
from radiolucent.passes.forward import Cut

__all__ = ["EigenCAM"]


@dataclass(frozen=True)
class EigenCAM(Weighing):
    """The feature maps' first principal component. Source: Muhammad & Yeasin 2020 (arXiv 2008.00299), eq. 4.

    With A (hw, K) = U Σ Vᵀ the map is A v₁ = σ₁ u₁. It shows what the layer sees most of, and **knows nothing of the
    target**: every class and score has the same map. An eigenvector's sign is arbitrary; here the place of largest
    magnitude is positive, which makes the map non-negative where the features are (Perron).

    Attributes:
        centre: subtract each feature's mean over places first, as the package grad-cam does; the paper does not.
    """

    title: ClassVar[str] = "Eigen-CAM"
    answers: ClassVar[str] = "what the layer sees most of"
    misleads: ClassVar[str] = "**knows nothing of the class**: the same map for every answer"
    cost: ClassVar[str] = "1"

    centre: bool = False

    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        features = cut.features.flatten(2).transpose(1, 2).double()
        if self.centre:
            features = features - features.mean(1, keepdim=True)
        # The first eigenvector of the smaller of A Aᵀ and Aᵀ A.
        if features.shape[1] <= features.shape[2]:
            values, vectors = torch.linalg.eigh(features @ features.transpose(1, 2))
            map_ = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
        else:
            map_ = (features @ torch.linalg.eigh(features.transpose(1, 2) @ features)[1][:, :, -1:])[:, :, 0]
        peak = map_.gather(1, map_.abs().argmax(1, keepdim=True))
        return (map_ * torch.where(peak < 0, -1.0, 1.0)).unflatten(1, cut.features.shape[2:]).float()
