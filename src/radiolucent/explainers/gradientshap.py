"""GradientSHAP, that is expected gradients."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.baselines import Baseline, check_baseline, completeness, reference, reference_logits
from radiolucent.explainers.joining import summed
from radiolucent.explainers.promise import Promise, adds_up
from radiolucent.models import Classifier
from radiolucent.passes.forward import INPUT, Pass
from radiolucent.types import Radiograph

__all__ = ["GradientSHAP"]


@dataclass(frozen=True)
class GradientSHAP(Explainer):
    """Integrated gradients averaged over references. Source: Erion 2021 (arXiv 1906.10670), eq. 3; Lundberg 2017.

    map = Σ_c E[(x_c − x0_c) ∂score/∂x_c(x0 + t (x − x0))] over references x0 and t ~ U(0, 1). References take turns and
    t is stratified (one draw in each n-th of [0, 1]), which lowers the error at the same cost. The details hold the
    completeness error against the mean score of the references.

    Attributes:
        samples: points, in all. references: baselines (see `radiolucent.explainers.baselines`).
        films: films as further references, e.g. normal ones; with films, give `references=()` to use only these.
        batch_size: points a forward pass.
    """

    title: ClassVar[str] = "GradientSHAP"
    answers: ClassVar[str] = "share of the difference from several references"
    misleads: ClassVar[str] = "as integrated gradients, and by chance"
    cost: ClassVar[str] = "5 + 64 · (1 + b)"

    samples: int = 64
    references: tuple[Baseline, ...] = ("black", "grey", "mean", "blur")
    films: tuple[Radiograph, ...] = field(default=(), repr=False)
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in self.references:
            check_baseline(each)
        count = len(self.references) + len(self.films)
        if not count or self.samples < count or self.batch_size < 1:
            raise ConfigError(
                f"{self.samples} samples over {count} references in batches of {self.batch_size}; expected at least "
                "one reference, a sample for each, and a positive batch."
            )

    def cheaper(self, images: int, side: int) -> "GradientSHAP":
        least = len(self.references) + len(self.films)
        return self if self.samples <= images else dataclasses.replace(self, samples=max(images, least))

    def with_samples(self, count: int) -> Self:
        return dataclasses.replace(self, samples=count)

    def promise(self, details: Mapping[str, Any]) -> Promise | None:
        return adds_up(details)

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        starts = [reference(each, classifier, inputs) for each in self.references]
        before = [reference_logits(e, goal, s) for e, s in zip(self.references, starts, strict=True)]
        films = [classifier.preprocess(film).to(inputs) for film in self.films]
        if films:
            parts = torch.stack(films).split(self.batch_size)
            before += [row.expand(len(inputs), -1) for part in parts for row in Pass(classifier, part).logits]
            starts += [film.expand_as(inputs) for film in films]
        each = self.samples // len(starts)
        maps = torch.stack([self._from(classifier, inputs, start, goal, generator, each) for start in starts]).mean(0)
        return Attribution(maps, completeness(maps, goal, goal.over(classifier, inputs).logits, *before))

    def _from(
        self,
        classifier: Classifier,
        inputs: torch.Tensor,
        start: torch.Tensor,
        goal: Goal,
        generator: torch.Generator,
        count: int,
    ) -> torch.Tensor:
        t = ((torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float32)) / count).to(inputs)
        line, total = inputs - start, torch.zeros_like(inputs)
        passes = -(-count // max(1, self.batch_size // len(inputs)))
        step = -(-count // passes)  # about as many points in each
        for first in range(0, count, step):
            some = t[first : first + step]
            places = torch.addcmul(start, line, some.view(-1, 1, 1, 1, 1)).flatten(0, 1)
            cut = Pass(classifier, places.contiguous(memory_format=torch.channels_last)).cut(INPUT)
            gradient = cut.gradient(goal.tiled(len(some)).of(cut.logits))
            total += gradient.unflatten(0, (len(some), len(inputs))).sum(0)
        return summed(line * total / count)
