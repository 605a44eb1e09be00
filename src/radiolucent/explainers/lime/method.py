"""LIME for films."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.lime.design import Sampling, design
from radiolucent.explainers.lime.fit import Surrogate, closeness, fit_ridge
from radiolucent.explainers.lime.segment import fill_for, segment
from radiolucent.models import Classifier, EngineKind, engine

__all__ = ["LIME"]


@dataclass(frozen=True)
class LIME(Explainer):
    """A weighted linear model of the score over superpixels shown and hidden. Source: Ribeiro 2016, eq. 1–2.

    The map holds each superpixel's coefficient: what showing it adds to the score. Options and defaults are those of
    the package lime, except that masks come in complementary pairs and the logit is explained.

    Attributes:
        num_samples: perturbed images, at most; the first is the film itself.
        segmentation: "quickshift", "slic", "felzenszwalb", or a function from grey (H, W) to labels (H, W).
        segmentation_options: override the algorithm's parameters.
        hide_color: what a hidden piece shows: None (its mean), a grey in [0, 1], "blur" or "grey".
        num_features: pieces the linear model may use; None: all.
        top_labels: classes whose linear models are kept in the details, from the same samples.
        distance_metric: between masks, any of scikit-learn's. kernel_width: of the exponential kernel. alpha: ridge.
        sampling: "paired", "balanced" or "random" (see `radiolucent.explainers.lime.design`).
        tolerance: stop early when the median standard error falls below this share of the largest |coefficient|;
            None: use all samples.
        batch_size: perturbed images a forward pass.
        engine: what computes them: "torch", "openvino", or "auto" (see `radiolucent.models.engine`).
    """

    num_samples: int = 1000
    segmentation: str | Callable[[NDArray[np.float32]], NDArray[Any]] = "quickshift"
    segmentation_options: dict[str, Any] | None = field(default=None, hash=False)
    hide_color: float | str | None = None
    num_features: int | None = None
    top_labels: int = 5
    distance_metric: str = "cosine"
    kernel_width: float = 0.25
    alpha: float = 1.0
    sampling: Sampling = "paired"
    tolerance: float | None = None
    batch_size: int = 32
    engine: EngineKind = "auto"

    def __post_init__(self) -> None:
        if self.num_samples < 10 or self.kernel_width <= 0 or self.batch_size < 1 or self.alpha < 0:
            raise ConfigError(
                f"num_samples {self.num_samples}, kernel_width {self.kernel_width}, alpha {self.alpha}, batch_size "
                f"{self.batch_size}; expected at least 10 samples, a positive width and batch, alpha ≥ 0."
            )
        if self.sampling not in ("paired", "balanced", "random"):
            raise ConfigError(f"sampling {self.sampling!r}; expected paired, balanced or random.")

    @property
    def one_by_one(self) -> bool:
        return True

    def attribute(
        self, classifier: Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
    ) -> Attribution:
        found = [
            self._one(classifier, inputs[i : i + 1], goal.rows(slice(i, i + 1)), int(generator.initial_seed()))
            for i in range(len(inputs))
        ]
        return Attribution(torch.stack([m for m, _ in found]), [d for _, d in found])

    def _one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        grey = classifier.preprocess.denormalise(image)[0].clamp(0, 1).cpu().numpy().astype(np.float32)
        segments = segment(grey, self.segmentation, seed, self.segmentation_options)
        fill = classifier.preprocess.normalise(torch.from_numpy(fill_for(grey, segments, self.hide_color))[None])
        masks = design(int(segments.max()) + 1, self.num_samples, self.sampling, np.random.default_rng(seed))
        run = engine(classifier, image, len(masks), self.engine)
        masks, logits = self._respond(run.logits, image, fill, segments, masks, goal)
        weights = closeness(masks, self.distance_metric, self.kernel_width)
        surrogates = self._surrogates(masks, logits, weights, goal)
        target = int(goal.targets[0])
        own = surrogates[target]
        details: dict[str, Any] = {
            "segments": segments,
            "coefficients": own.coefficients,
            "standard_errors": own.errors,
            "intercept": own.intercept,
            "r2": own.r2,
            "local_prediction": own.prediction,
            "samples": len(masks),
            "engine": run.name,
            "labels": list(surrogates),
            "coefficients_by_label": np.stack([s.coefficients for s in surrogates.values()]),
            "r2_by_label": [s.r2 for s in surrogates.values()],
        }
        return torch.from_numpy(own.coefficients.astype(np.float32)[segments]), details

    def _respond(
        self,
        forward: Callable[[torch.Tensor], torch.Tensor],
        image: torch.Tensor,
        fill: torch.Tensor,
        segments: NDArray[np.int32],
        masks: NDArray[np.bool_],
        goal: Goal,
    ) -> tuple[NDArray[np.bool_], torch.Tensor]:
        """Logits of every perturbed image, stopping where the coefficients are known well enough."""
        shown = torch.from_numpy(masks.astype(np.float32))
        place = torch.from_numpy(segments.ravel().astype(np.int64))
        difference = (image - fill).contiguous()
        found: list[torch.Tensor] = []
        check_at = 8 * self.batch_size
        for start in range(0, len(masks), self.batch_size):
            pixels = shown[start : start + self.batch_size].index_select(1, place)
            batch = torch.addcmul(fill, difference, pixels.view(-1, 1, *segments.shape))
            found.append(forward(batch))
            done = min(start + self.batch_size, len(masks))
            if self.tolerance is not None and done >= check_at and done < len(masks):
                check_at = done * 2
                if self._settled(masks[:done], torch.cat(found), goal):
                    return masks[:done], torch.cat(found)
        return masks, torch.cat(found)

    def _settled(self, masks: NDArray[np.bool_], logits: torch.Tensor, goal: Goal) -> bool:
        weights = closeness(masks, self.distance_metric, self.kernel_width)
        scores = _scores(goal, int(goal.targets[0]), logits)
        fit = fit_ridge(masks, scores, weights, alpha=self.alpha, paired=self.sampling != "random")
        largest = float(np.abs(fit.coefficients).max())
        return largest == 0 or float(np.median(fit.errors)) <= (self.tolerance or 0) * largest

    def _surrogates(
        self, masks: NDArray[np.bool_], logits: torch.Tensor, weights: NDArray[np.float64], goal: Goal
    ) -> dict[int, Surrogate]:
        """Linear models of the target first, then of the most probable classes, from the same samples."""
        order = goal.classifier.probabilities(logits[:1])[0].argsort(descending=True).tolist()
        if goal.against is not None:
            order.remove(int(goal.against[0]))  # against itself it is nothing
        target = int(goal.targets[0])
        classes = list(dict.fromkeys([target, *order]))[: max(1, self.top_labels)]
        return {
            c: fit_ridge(
                masks,
                _scores(goal, c, logits),
                weights,
                alpha=self.alpha,
                num_features=self.num_features,
                paired=self.sampling != "random",
            )
            for c in classes
        }


def _scores(goal: Goal, target: int, logits: torch.Tensor) -> NDArray[np.float64]:
    return goal.repeated(len(logits), target).of(logits).double().numpy()
