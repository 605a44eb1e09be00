"""ReciproCAM: what the network says when it is left one place of its feature maps."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from radiolucent.explainers.atlayer import AtLayer
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.copies import Perturbation
from radiolucent.explainers.weighing import upsample
from radiolucent.models import Classifier
from radiolucent.passes.forward import Cut
from radiolucent.passes.head import head_behind

__all__ = ["ReciproCAM"]


@dataclass(frozen=True)
class ReciproCAM(AtLayer, Perturbation):
    """The score from one place of the feature maps alone, place by place. Source: Byun & Lee 2022, eq. 1–3.

    map(u, v) = y(A ∘ M_uv) − y(0), M_uv one at (u, v) and 0 elsewhere, or soft: the 3 × 3 kernel [1 2 1]ᵀ[1 2 1]/16
    around it. The paper scales the map to [0, 1] instead of subtracting y(0). Only the layers behind the feature maps
    are run.

    Attributes:
        soft: the 3 × 3 kernel (the paper's default) instead of single places.
    """

    title: ClassVar[str] = "ReciproCAM"
    signed: ClassVar[bool] = False
    answers: ClassVar[str] = "which places of the feature map suffice"
    misleads: ClassVar[str] = "coarse; a lone place is nothing the head was trained on"
    cost: ClassVar[str] = "1 + hw · h"

    soft: bool = True

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        cut = goal.over(classifier, image).cut(self.place)
        height, width = cut.features.shape[2:]
        masks = torch.eye(height * width, dtype=torch.float32).view(-1, 1, height, width)
        if self.soft:
            kernel = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float32) / 4
            masks = F.conv2d(masks, kernel.outer(kernel)[None, None], padding=1)
        logits, how = self._masked(classifier, image, cut, torch.cat([masks, torch.zeros_like(masks[:1])])[:, 0])
        scores = goal.repeated(len(logits)).of(logits)
        coarse = (scores[:-1] - scores[-1]).view(1, height, width)
        details = {"feature_map": coarse[0].numpy(), "layer": cut.layer.name, "passes": how}
        return upsample(coarse, image.shape[2:])[0], details

    def _masked(
        self, classifier: Classifier, image: torch.Tensor, cut: Cut, masks: torch.Tensor
    ) -> tuple[torch.Tensor, str]:
        """Logits (n, C) of the feature maps under masks (n, h, w)."""
        batch, value = self.batch_of(classifier, image), cut.value.detach()
        head, how = head_behind(classifier, image, cut, batch)
        found: list[torch.Tensor] = []
        for part in masks.to(cut.features).split(batch):  # class and register tokens stay
            several = value.expand(len(part), *value.shape[1:])
            found.append(head(cut.layer.changed(several, cut.features * part[:, None])))
        return torch.cat(found), how
