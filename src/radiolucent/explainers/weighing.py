"""What all methods share that weigh a layer's feature maps."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from radiolucent.explainers.atlayer import AtLayer
from radiolucent.explainers.base import Attribution, Goal
from radiolucent.models import Classifier
from radiolucent.passes.forward import Cut

__all__ = ["Weighing", "slopes", "upsample", "weighed"]


@dataclass(frozen=True)
class Weighing(AtLayer):
    """A map made at one layer and upsampled bilinearly, or the average of several layers' maps.

    Subclasses say only how the feature maps become one.
    """

    signed: ClassVar[bool] = False

    @abstractmethod
    def weigh(self, cut: Cut, goal: Goal) -> torch.Tensor:
        """Coarse signed maps (N, h, w) from the features (N, K, h, w) and the score's gradient."""

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        shared = goal.over(classifier, inputs)
        cuts = [shared.cut(place) for place in self.places]
        coarse = [self.weigh(cut, goal) for cut in cuts]
        common = {"layer": ", ".join(cut.layer.name for cut in cuts), "engine": cuts[0].engine}
        maps = [upsample(each, inputs.shape[2:]) for each in coarse]
        if len(maps) > 1:
            sizes = [m.abs().amax((1, 2), keepdim=True) for m in maps]
            together = torch.stack([m / torch.where(s > 0, s, 1) for m, s in zip(maps, sizes, strict=True)])
            return Attribution(together.mean(0), [common] * len(inputs))
        return Attribution(maps[0], [{"feature_map": m.cpu().numpy(), **common} for m in coarse[0]])


def slopes(cut: Cut, goal: Goal) -> torch.Tensor:
    """∂score/∂features: (N, K, h, w), or (N, K, 1, 1) where it is the same at every place.

    Behind global average pooling and one dense layer it is (∂score/∂z · W)_k/(hw), and no backward pass is needed;
    elsewhere only the layers behind the target layer are differentiated.
    """
    dense = cut.dense
    if dense is None:
        return cut.gradient(goal.of(cut.logits))
    places = cut.features[0, 0].numel()
    weight = dense.weight.detach().float()
    return (goal.gradient(cut.logits).to(weight.device) @ weight / places)[:, :, None, None]


def weighed(weights: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Σ_k w_k A_k (N, h, w) for weights (N, K, 1, 1) or (N, K, h, w)."""
    if weights.shape[2:] == (1, 1):
        return torch.einsum("nk,nkhw->nhw", weights[:, :, 0, 0], features)
    return (weights * features).sum(1)


def upsample(maps: torch.Tensor, size: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """Maps (N, h, w) to (N, H, W), bilinearly, pixel centres aligned (`align_corners=False`).

    As two matrix products, one a direction: a third of `F.interpolate`'s time for small maps.
    """
    down, across = (_linear(old, new).to(maps) for old, new in zip(maps.shape[1:], size, strict=True))
    return down @ maps @ across.T


def _linear(old: int, new: int) -> torch.Tensor:
    """What linear interpolation does to `old` numbers, as a matrix (new, old)."""
    return F.interpolate(torch.eye(old, dtype=torch.float32)[None], size=new, mode="linear", align_corners=False)[0].T
