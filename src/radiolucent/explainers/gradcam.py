"""Grad-CAM, differentiating only what lies behind the target layer."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.hooks import Cut, capture, cut_at, last_linear, target_layer
from radiolucent.models import Classifier

__all__ = ["GradCAM", "pooled_linear", "upsample"]


def pooled_linear(network: nn.Module, cut: Cut) -> nn.Linear | None:
    """The dense layer, if the network is nothing but global average pooling and that layer behind the features.

    Not guessed from names: the layer's output on the pooled features must be the network's logits.
    """
    layer = last_linear(network)
    if layer is None or layer.in_features != cut.features.shape[1] or layer.out_features != cut.logits.shape[1]:
        return None
    with torch.no_grad():
        again = layer(cut.features.mean((2, 3)))
        scale = float(cut.logits.abs().max()) + 1e-6
        return layer if float((again - cut.logits).abs().max()) <= 1e-4 * scale else None


def upsample(maps: torch.Tensor, size: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """Maps (N, h, w) to (N, H, W), bilinearly, pixel centres aligned (`align_corners=False`)."""
    return F.interpolate(maps[:, None], size=list(size), mode="bilinear", align_corners=False)[:, 0]


@dataclass(frozen=True)
class GradCAM(Explainer):
    """Feature maps weighed by the mean gradient of the score. Source: Selvaraju 2017, eq. 1–2, without the ReLU.

    α_k = 1/(hw) Σ_ij ∂score/∂A_kij, map = Σ_k α_k A_k, upsampled bilinearly. The map stays signed; figures show its
    positive part. Behind global average pooling and one dense layer ∂score/∂A_kij = (∂score/∂z · W)_k/(hw), so that no
    backward pass is needed; elsewhere only the layers behind the target layer are differentiated.

    Attributes:
        layer: dotted name of the target layer; None: the last one with feature maps.
    """

    layer: str | None = None

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        network = classifier.network
        name, layer = cached_layer(network, inputs, self.layer)
        cut = capture(network, layer, inputs)
        dense = pooled_linear(network, cut)
        if dense is not None:
            alpha = goal.gradient(cut.logits) @ dense.weight.detach() / cut.features[0, 0].numel()
        else:
            cut = cut_at(network, layer, inputs)
            with torch.enable_grad():
                alpha = torch.autograd.grad(goal.of(cut.logits).sum(), cut.features)[0].mean((2, 3))
        coarse = torch.einsum("nk,nkhw->nhw", alpha, cut.features.detach())
        details = [{"feature_map": m.cpu().numpy(), "layer": name} for m in coarse]
        return Attribution(upsample(coarse, inputs.shape[2:]), details)


def cached_layer(network: nn.Module, inputs: torch.Tensor, name: str | None) -> tuple[str, nn.Module]:
    """`target_layer`, remembered on the network itself, because finding it costs a forward pass."""
    memory = network.__dict__.setdefault("_radiolucent_layers", {})
    key = (name, tuple(inputs.shape[1:]))
    if key not in memory:
        memory[key] = target_layer(network, inputs, name)[0]
    found = memory[key]
    return found, network.get_submodule(found)
