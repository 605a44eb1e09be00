"""Score-CAM: feature maps weighed by the score of the film seen through each."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from radiolucent.errors import ConfigError
from radiolucent.explainers.atlayer import AtLayer
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.copies import Perturbation, scores_of
from radiolucent.explainers.weighing import upsample, weighed
from radiolucent.models import Classifier

__all__ = ["ScoreCAM"]

TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class ScoreCAM(AtLayer, Perturbation):
    """Feature maps weighed by the score of the input masked by each. Source: Wang 2020, algorithm 1, without the ReLU.

    H_k = (U(A_k) − min)/(max − min) of the upsampled map, α = softmax over k of f(X ∘ H_k), map = Σ_k α_k A_k. The
    score of the paper's baseline, subtracted from every f, cancels in the softmax. One pass a channel, except that
    channels whose masks are the same (dead ones; those active in the same single place) share one: exactly the same
    map. A network that says nothing still has one: all channels then weigh the same.

    Attributes:
        channels: only so many channels, those that vary most from place to place; None: all, as in the paper.
    """

    title: ClassVar[str] = "Score-CAM"
    signed: ClassVar[bool] = False
    answers: ClassVar[str] = "which feature maps, used as masks, raise the score"
    misleads: ClassVar[str] = "masks change exposure and outline as well; noisy"
    cost: ClassVar[str] = "1 + K maps"

    channels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels is not None and self.channels < 1:
            raise ConfigError(f"channels {self.channels}; expected a positive number, or None for all.")

    def cheaper(self, images: int, side: int) -> "ScoreCAM":
        if self.channels is not None and self.channels <= images:
            return self
        return dataclasses.replace(self, channels=max(images, 1))

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        cut = goal.over(classifier, image).cut(self.place)
        features = cut.features[0]
        if self.channels is not None:
            features = features[features.flatten(1).var(1).argsort(descending=True, stable=True)[: self.channels]]
        flat = features.flatten(1)
        low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
        scaled = (flat - low) / (high - low).clamp_min(TINY)
        # equal to a millionth: what is left is rounding
        _, first, same = np.unique(
            np.rint(scaled.cpu().numpy() * 1e6).astype(np.int32), axis=0, return_index=True, return_inverse=True
        )
        chosen = scaled[torch.from_numpy(first).to(scaled.device)].view(-1, 1, *features.shape[1:])
        run, planes = self.asker(goal, image, len(chosen)), image.contiguous()  # masks are planes too

        def compose(part: slice) -> torch.Tensor:
            masks = F.interpolate(chosen[part], size=image.shape[2:], mode="bilinear", align_corners=False)
            least, most = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
            return planes * masks.sub_(least).div_((most - least).clamp_min_(TINY)).to(image.device)

        scores = torch.from_numpy(scores_of(goal, run.ask(len(chosen), compose))[same.ravel()])
        weights = scores.softmax(0).float().to(features.device)
        coarse = weighed(weights[None, :, None, None], features[None])
        details: dict[str, Any] = {
            "feature_map": coarse[0].cpu().numpy(),
            "layer": cut.layer.name,
            "scores": scores.numpy(),
            "samples": len(chosen),
            "channels": len(features),
            "engine": run.name,
        }
        return upsample(coarse, image.shape[2:])[0], details
