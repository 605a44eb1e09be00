"""Class activation mapping, for networks that end in global average pooling and one dense layer."""

from dataclasses import dataclass

import torch

from radiolucent.errors import ExplainError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.gradcam import cached_layer, pooled_linear, upsample
from radiolucent.explainers.hooks import capture
from radiolucent.models import Classifier

__all__ = ["CAM"]


@dataclass(frozen=True)
class CAM(Explainer):
    """Feature maps weighed by the class's weights of the dense layer. Source: Zhou 2016, eq. 2.

    map = Σ_k w_ck A_k: what each place adds to the class's logit, which is the map's mean plus the bias.
    """

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        name, layer = cached_layer(classifier.network, inputs, None)
        cut = capture(classifier.network, layer, inputs)
        dense = pooled_linear(classifier.network, cut)
        if dense is None:
            raise ExplainError(
                f"CAM needs global average pooling and one dense layer behind the features ({name}); this network has "
                "another head: use GradCAM()."
            )
        weights = goal.gradient(cut.logits) @ dense.weight.detach()
        coarse = torch.einsum("nk,nkhw->nhw", weights, cut.features)
        details = [{"feature_map": m.cpu().numpy(), "layer": name} for m in coarse]
        return Attribution(upsample(coarse, inputs.shape[2:]), details)
