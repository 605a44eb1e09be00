"""Relevance by attention and its gradient, gathered over a transformer's layers."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.attention_layers import AttentionLayers, all_over_tokens, refused
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.weighing import upsample
from radiolucent.models import Classifier

__all__ = ["Chefer"]


@dataclass(frozen=True)
class Chefer(Explainer):
    """Attention times its gradient, multiplied over the layers. Source: Chefer 2021 (arXiv 2103.15679), eq. 5, 6.

    With A_l (heads, T, T) the attention of layer l and ∇A_l the score's gradient by it: Ā_l = mean over heads of
    max(∇A_l ⊙ A_l, 0), and R ← R + Ā_l R from the first layer to the last, R the identity at first. The map is the mean
    of the rows of R that belong to the tokens which the network's last part reads (its class token, or all places where
    it takes their mean), less the identity, at the tokens that are places, upsampled.

    It is meant for transformers in which every layer's attention runs over all tokens. Layers are found by what is
    computed, not by names.
    """

    title: ClassVar[str] = "Chefer relevance"
    signed: ClassVar[bool] = False
    answers: ClassVar[str] = "which places a vision transformer's answer has attended to, layer after layer"
    misleads: ClassVar[str] = "never shows what speaks against; knows nothing of values, dense layers and norms"
    cost: ClassVar[str] = "1 + b"

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        layers = all_over_tokens(classifier, inputs, goal.over(classifier, inputs), self.title)
        run = layers.as_it_runs(classifier, inputs)
        scores = goal.of(run.logits)
        if not scores.requires_grad:
            raise refused(self.title, "the score cannot be differentiated by its attention")
        gradients = torch.autograd.grad(
            scores.sum(), [*run.attention, run.tokens], allow_unused=True, materialize_grads=True
        )
        read = _read(gradients[-1])
        rows = read
        for attention, gradient in zip(reversed(run.attention), reversed(gradients[:-1]), strict=True):
            both = (attention.detach() * gradient).float().clamp(min=0)
            weights = both.reshape(len(inputs), -1, *both.shape[-2:]).mean(1)
            rows = rows + (rows[:, None] @ weights)[:, 0]
        coarse = layers.at_places(rows - read)
        maps = upsample(coarse, inputs.shape[2:])
        return Attribution(maps, [_details(layers, m, r) for m, r in zip(coarse, read, strict=True)])


def _read(gradient: torch.Tensor) -> torch.Tensor:
    """The weight (N, T) of each token that the score depends on behind the last layer (N, T, K): the same for each."""
    used = gradient.ne(0).any(2).float()
    return used / used.sum(1, keepdim=True).clamp(min=1)


def _details(layers: AttentionLayers, coarse: torch.Tensor, read: torch.Tensor) -> dict[str, object]:
    return {
        "feature_map": coarse.cpu().numpy(),
        "layer": ", ".join(layers.names),
        "layers": len(layers.names),
        "tokens_read": int(read.count_nonzero()),
    }
