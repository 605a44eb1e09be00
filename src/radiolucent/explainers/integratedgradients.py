"""Integrated gradients."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.baselines import Baseline, check_baseline, completeness, reference, reference_logits
from radiolucent.explainers.joining import summed
from radiolucent.explainers.promise import Promise, adds_up
from radiolucent.models import Classifier
from radiolucent.passes.forward import INPUT, Pass

__all__ = ["IntegratedGradients"]


@dataclass(frozen=True)
class IntegratedGradients(Explainer):
    """Gradients integrated along the straight line from a reference. Source: Sundararajan 2017 (1703.01365), eq. 1.

    map = Σ_c (x_c − x0_c) ∫₀¹ ∂score/∂x_c(x0 + t (x − x0)) dt. The map adds up to score(x) − score(x0), up to the
    integration error, which the details report (`completeness_error`, `completeness_relative`).

    Attributes:
        steps: points on the line. rule: "gauss" (Gauss-Legendre) or "midpoint".
        baseline: the reference (see `radiolucent.explainers.baselines`). What is as dark as the reference gets nothing.
        batch_size: points a forward pass.
    """

    title: ClassVar[str] = "Integrated gradients"
    answers: ClassVar[str] = "share of the difference from a reference"
    misleads: ClassVar[str] = "what is as dark as the reference gets nothing; another reference, another map"
    cost: ClassVar[str] = "2 + 50 · (1 + b)"

    steps: int = 50
    rule: str = "gauss"
    baseline: Baseline = "black"
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_baseline(self.baseline)
        if self.steps < 1 or self.batch_size < 1 or self.rule not in ("gauss", "midpoint"):
            raise ConfigError(
                f"steps {self.steps}, rule {self.rule!r}, batch_size {self.batch_size}; expected at least one step, "
                "gauss or midpoint, and a positive batch."
            )

    def cheaper(self, images: int, side: int) -> "IntegratedGradients":
        return self if self.steps <= images else dataclasses.replace(self, steps=max(images, 1))

    def with_samples(self, count: int) -> Self:
        return dataclasses.replace(self, steps=count)

    def promise(self, details: Mapping[str, Any]) -> Promise | None:
        return adds_up(details)

    def nodes(self) -> tuple[list[float], list[float]]:
        """Points t in (0, 1) and their weights, which add up to 1."""
        if self.rule == "midpoint":
            return [(i + 0.5) / self.steps for i in range(self.steps)], [1 / self.steps] * self.steps
        points, weights = np.polynomial.legendre.leggauss(self.steps)
        return ((points + 1) / 2).tolist(), (weights / 2).tolist()

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        start = reference(self.baseline, classifier, inputs)
        points, weights = (inputs.new_tensor(values) for values in self.nodes())
        line, total = inputs - start, torch.zeros_like(inputs)
        step = max(1, self.batch_size // len(inputs))
        for first in range(0, self.steps, step):
            t, w = points[first : first + step], weights[first : first + step]
            places = torch.addcmul(start, line, t.view(-1, 1, 1, 1, 1)).flatten(0, 1)
            cut = Pass(classifier, places.contiguous(memory_format=torch.channels_last)).cut(INPUT)
            gradient = cut.gradient(goal.tiled(len(t)).of(cut.logits)).unflatten(0, (len(t), len(inputs)))
            total += torch.einsum("t,tnchw->nchw", w, gradient)
        maps = summed(line * total)
        logits = goal.over(classifier, inputs).logits
        return Attribution(maps, completeness(maps, goal, logits, reference_logits(self.baseline, goal, start)))
