"""Ablation-CAM: feature maps weighed by what the score loses without them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from radiolucent.explainers.atlayer import AtLayer
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.copies import Perturbation
from radiolucent.explainers.weighing import upsample, weighed
from radiolucent.models import Classifier
from radiolucent.passes.forward import Cut
from radiolucent.passes.head import head_behind

__all__ = ["AblationCAM"]


@dataclass(frozen=True)
class AblationCAM(AtLayer, Perturbation):
    """Feature maps weighed by the drop of the score when each is set to zero. Source: Ramaswamy 2020, eq. 4–5.

    w_k = y − y_k, map = Σ_k w_k A_k, without the ReLU. The paper divides by y, which only scales the map, and turns it
    upside down where a logit is negative; that is left out. Only the layers behind the feature maps are run; behind
    global average pooling and one dense layer y_k is known: logits less W_k times the mean of A_k.
    """

    title: ClassVar[str] = "Ablation-CAM"
    signed: ClassVar[bool] = False
    answers: ClassVar[str] = "which feature maps the score needs"
    misleads: ClassVar[str] = "maps that stand in for one another"
    cost: ClassVar[str] = "1 + K · h"

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        cut = goal.over(classifier, image).cut(self.place)
        dense = cut.dense
        if dense is None:
            logits, how = self._ablated(classifier, image, cut)
        else:
            lost = (dense.weight.detach().float() * cut.features.mean((2, 3))).T.cpu()  # (K, C)
            logits, how = cut.logits.detach() - lost, "closed form"
        drops = goal.of(cut.logits.detach()) - goal.repeated(len(logits)).of(logits)
        coarse = weighed(drops.to(cut.features.device)[None, :, None, None], cut.features)
        details: dict[str, Any] = {
            "feature_map": coarse[0].cpu().numpy(),
            "layer": cut.layer.name,
            "drops": drops.numpy(),
            "passes": how,
        }
        return upsample(coarse, image.shape[2:])[0], details

    def _ablated(self, classifier: Classifier, image: torch.Tensor, cut: Cut) -> tuple[torch.Tensor, str]:
        """Logits (K, C) without each channel in turn."""
        batch, value = self.batch_of(classifier, image), cut.value.detach()
        head, how = head_behind(classifier, image, cut, batch)
        features, found = cut.features, list[torch.Tensor]()
        axis = 1 if cut.layer.kind == "maps" else value.ndim - 1
        for channels in torch.arange(features.shape[1]).split(batch):
            rows = torch.arange(len(channels))
            if cut.layer.kind == "reshaped":
                maps = features.repeat(len(channels), 1, 1, 1)
                maps[rows, channels] = 0
                found.append(head(cut.layer.changed(value.expand(len(channels), *value.shape[1:]), maps)))
            else:  # of class tokens too
                several = value.repeat(len(channels), *[1] * (value.ndim - 1)).movedim(axis, 1)
                several[rows, channels] = 0
                found.append(head(several.movedim(1, axis)))
        return torch.cat(found), how
