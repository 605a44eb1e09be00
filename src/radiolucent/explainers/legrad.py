"""LeGrad: how much each layer's attention to a place would raise the score."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.errors import ConfigError
from radiolucent.explainers.attention_layers import all_over_tokens, refused
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.weighing import upsample
from radiolucent.models import Classifier

__all__ = ["LeGrad"]


@dataclass(frozen=True)
class LeGrad(Explainer):
    """The gradient of each layer's score by its attention, its positive part averaged. Source: Bousselham 2024
    (arXiv 2404.03214), section 3.2.

    With Z_l the tokens behind layer l, s_l the score that the network's last part (norm, pooling, head) gives for them,
    and A_l (heads, T, T) the layer's attention: map = 1/L Σ_l 1/(heads · T) Σ_heads Σ_i max(∂s_l/∂A_l[i, ·], 0), at
    the tokens that are places, upsampled. Pooling is the network's own: class tokens, or the mean. The paper stretches
    the map to [0, 1] at the end; here it stays in the score's units.

    It is meant for transformers in which every layer's attention runs over all tokens. Layers are found by what is
    computed, not by names.

    Attributes:
        last: only this many layers, counted from the last one; None: all.
    """

    title: ClassVar[str] = "LeGrad"
    signed: ClassVar[bool] = False
    answers: ClassVar[str] = "where a vision transformer's layers would gain by attending more"
    misleads: ClassVar[str] = "never shows what speaks against; early layers are asked through the last one's head"
    cost: ClassVar[str] = "1 + b"

    last: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.last is not None and self.last < 1:
            raise ConfigError(f"last={self.last}; expected 1 layer or more, or None for all.")

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        shared = goal.over(classifier, inputs)
        layers = all_over_tokens(classifier, inputs, shared, self.title)
        attended = layers.each_to_the_end(classifier, inputs, shared.logits)
        scores = goal.tiled(len(attended.attention)).of(attended.logits)
        if not scores.requires_grad:
            raise refused(self.title, "what follows the last layer lets no gradient through")
        gradients = torch.autograd.grad(scores.sum(), attended.attention, allow_unused=True, materialize_grads=True)
        used = gradients[-self.last :] if self.last else gradients
        heads = [g.float().clamp(min=0).reshape(len(inputs), -1, *g.shape[-2:]) for g in used]
        tokens = torch.stack([each.mean((1, 2)) for each in heads]).mean(0)
        coarse = layers.at_places(tokens)
        detail = {"layer": ", ".join(layers.names), "layers": len(used)}
        maps = upsample(coarse, inputs.shape[2:])
        return Attribution(maps, [{"feature_map": m.cpu().numpy(), **detail} for m in coarse])
