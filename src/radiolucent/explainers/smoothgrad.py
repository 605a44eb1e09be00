"""SmoothGrad."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Explainer, Goal
from radiolucent.explainers.joining import by_grey
from radiolucent.models import Classifier
from radiolucent.passes.forward import INPUT, Pass

__all__ = ["SmoothGrad"]


@dataclass(frozen=True)
class SmoothGrad(Explainer):
    """The gradient averaged over noisy copies of the film. Source: Smilkov 2017 (arXiv 1706.03825), eq. 1.

    map = 1/n Σ_i ∂score/∂grey at x + η_i, η ~ N(0, σ²), σ = `noise` times the film's range. Noise comes in pairs
    ±η, which cancels its first-order effect on the mean.

    Attributes:
        samples: noisy copies, an even number. noise: σ as a share of (largest − smallest input).
        batch_size: copies a forward pass.
    """

    title: ClassVar[str] = "SmoothGrad"
    answers: ClassVar[str] = "what a brighter pixel would change, averaged over noise"
    misleads: ClassVar[str] = "smoothness is not faithfulness"
    cost: ClassVar[str] = "24 · (1 + b)"

    samples: int = 24
    noise: float = 0.15
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2 or self.samples % 2 or self.noise <= 0 or self.batch_size < 1:
            raise ConfigError(
                f"samples {self.samples}, noise {self.noise}, batch_size {self.batch_size}; expected an even number of "
                "samples, noise > 0 and a positive batch."
            )

    def cheaper(self, images: int, side: int) -> "SmoothGrad":
        return self if self.samples <= images else dataclasses.replace(self, samples=max(images // 2 * 2, 2))

    def with_samples(self, count: int) -> Self:
        return dataclasses.replace(self, samples=count)

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> torch.Tensor:
        sigma = self.noise * (inputs.amax((1, 2, 3)) - inputs.amin((1, 2, 3)))
        # The same noise for every film, so that a film's map does not depend on what else is in the batch. A film has
        # one grey level: all channels get the same.
        half = torch.randn((self.samples // 2, 1, *inputs.shape[2:]), generator=generator, dtype=torch.float32).to(
            inputs
        )
        noise = torch.cat([half, -half])
        total = inputs.new_zeros((len(inputs), *inputs.shape[2:]))
        step = max(1, self.batch_size // len(inputs))
        for start in range(0, self.samples, step):
            eta = noise[start : start + step]
            noisy = (inputs + sigma.view(-1, 1, 1, 1) * eta[:, None]).flatten(0, 1)
            cut = Pass(classifier, noisy.contiguous(memory_format=torch.channels_last)).cut(INPUT)
            gradient = by_grey(cut.gradient(goal.tiled(len(eta)).of(cut.logits)), classifier)
            total += gradient.unflatten(0, (len(eta), len(inputs))).sum(0)
        return total / self.samples
