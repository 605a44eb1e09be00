"""Input × gradient."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.baselines import Baseline, check_baseline, completeness, reference, reference_logits
from radiolucent.explainers.joining import summed
from radiolucent.models import Classifier
from radiolucent.passes.forward import INPUT
from radiolucent.passes.target_layer import Place

__all__ = ["InputTimesGradient"]


@dataclass(frozen=True)
class InputTimesGradient(Explainer):
    """The first-order share of each pixel. Source: Shrikumar 2016 (arXiv 1605.01713).

    map = Σ_c (x_c − x0_c) ∂score/∂x_c. In the paper and in other packages x0 = 0 in the network's normalised units,
    which is `baseline="zero"`: a mid grey for most networks. Exact for a linear score.

    Attributes:
        baseline: what "nothing there" looks like (see `radiolucent.explainers.baselines`).
    """

    title: ClassVar[str] = "Input × gradient"
    answers: ClassVar[str] = "first-order share of each pixel"
    misleads: ClassVar[str] = "exact for linear scores only: read the completeness error"
    cost: ClassVar[str] = "2 + b"

    baseline: Baseline = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_baseline(self.baseline)

    @property
    def cuts(self) -> tuple[Place, ...]:
        return (INPUT,)

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        shared = goal.over(classifier, inputs)
        start = reference(self.baseline, classifier, inputs)
        cut = shared.cut(INPUT)
        maps = summed((inputs - start) * cut.gradient(goal.of(cut.logits)))
        before = reference_logits(self.baseline, goal, start)
        if not bool(torch.isfinite(before).all()):  # the map is not measured from there
            return Attribution(maps)
        return Attribution(maps, completeness(maps, goal, shared.logits, before))
