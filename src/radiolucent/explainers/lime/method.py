"""LIME for films."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Goal
from radiolucent.explainers.lime.design import Sampling, design
from radiolucent.explainers.lime.emulator import emulate
from radiolucent.explainers.lime.fit import Surrogate, closeness, fit_emulated, fit_ridge
from radiolucent.explainers.perturbation.copies import Perturbation, filled, grey_of, hide_pieces, scores_of
from radiolucent.explainers.perturbation.superpixels import places, segment
from radiolucent.explainers.promise import Fits, Promise
from radiolucent.models import Classifier

__all__ = ["LIME"]


@dataclass(frozen=True)
class LIME(Perturbation):
    """A weighted linear model of the score over superpixels shown and hidden. Source: Ribeiro 2016, eq. 1–2.

    The map holds each superpixel's coefficient: what showing it adds to the score. Options and defaults are those of
    the package lime, except that the logit is explained, from masks in complementary pairs and with an emulator between
    samples and linear model. How near 353 samples (the film and 176 pairs) come to the limit of many depends on how
    much superpixels act together: on some networks as near as 1000 of lime's, on others their error is up to twice as
    large (docs/reference/benchmarks.md). The standard errors tell how large it is, and more samples lessen it. What
    lime itself would do: `LIME(1000, sampling="random", estimator="ridge")`.

    Attributes:
        num_samples: perturbed images, at most; the first is the film itself.
        segmentation: "quickshift", "slic", "felzenszwalb", or a function from grey (H, W) to labels (H, W).
        segmentation_options: override the algorithm's parameters.
        hide_color: what a hidden piece shows: None (its mean), a grey in [0, 1], "blur" or "grey".
        num_features: pieces the linear model may use; None: all.
        top_labels: classes whose linear models are kept in the details, from the same samples.
        distance_metric: between masks, any of scikit-learn's. kernel_width: of the exponential kernel. alpha: ridge.
        sampling: "balanced", "paired" or "random" (see `radiolucent.explainers.lime.design`).
        estimator: "ridge": the linear model is fitted to the samples; "emulator": to many more masks, whose scores a
            Gaussian process tells from the samples, which must be pairs (see `radiolucent.explainers.lime.emulator`).
        tolerance: stop early when the median standard error falls below this share of the largest |coefficient|;
            None: use all samples.
    """

    title: ClassVar[str] = "LIME"
    answers: ClassVar[str] = "which superpixels matter, by a linear model"
    misleads: ClassVar[str] = (
        "hidden pieces look like nothing on earth; unstable with few samples: read R² and standard errors"
    )
    cost: ClassVar[str] = "353"

    num_samples: int = 353
    segmentation: str | Callable[[NDArray[np.float32]], NDArray[Any]] = "quickshift"
    segmentation_options: dict[str, Any] | None = field(default=None, hash=False)
    hide_color: float | str | None = None
    num_features: int | None = None
    top_labels: int = 5
    distance_metric: str = "cosine"
    kernel_width: float = 0.25
    alpha: float = 1.0
    sampling: Sampling = "balanced"
    estimator: Literal["ridge", "emulator"] = "emulator"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_samples < 10 or self.kernel_width <= 0 or self.alpha < 0:
            raise ConfigError(
                f"num_samples {self.num_samples}, kernel_width {self.kernel_width}, alpha {self.alpha}; expected at "
                "least 10 samples, a positive width, alpha ≥ 0."
            )
        if self.sampling not in ("paired", "balanced", "random"):
            raise ConfigError(f"sampling {self.sampling!r}; expected paired, balanced or random.")
        if self.estimator not in ("ridge", "emulator") or (self.estimator, self.sampling) == ("emulator", "random"):
            raise ConfigError(
                f'estimator {self.estimator!r} with sampling {self.sampling!r}; expected "ridge", or "emulator" with '
                "paired or balanced samples."
            )

    def cheaper(self, images: int, side: int) -> "LIME":
        return self if self.num_samples <= images else dataclasses.replace(self, num_samples=max(images, 10))

    def with_samples(self, count: int) -> Self:
        return dataclasses.replace(self, num_samples=count)

    def promise(self, details: Mapping[str, Any]) -> Promise | None:
        return Fits(float(details["r2"]))

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        segments = segment(grey_of(classifier, image), self.segmentation, seed, self.segmentation_options)
        fill = filled(classifier, image, self.hide_color, segments)
        masks = design(int(segments.max()) + 1, self.num_samples, self.sampling, np.random.default_rng(seed))
        run, centres = self.asker(goal, image, len(masks)), places(segments)

        def settled(logits: torch.Tensor) -> bool:
            scores = [scores_of(goal, logits)]
            fit = dataclasses.replace(self, num_features=None)._fits(masks[: len(logits)], scores, centres, seed)[0]
            largest = float(np.abs(fit.coefficients).max())
            return largest == 0 or float(np.median(fit.errors)) <= (self.tolerance or 0) * largest

        compose = hide_pieces(image, fill, segments, masks)
        logits = run.ask(len(masks), compose, None if self.tolerance is None else settled)
        surrogates = self._surrogates(masks[: len(logits)], logits, goal, centres, seed)
        target = int(goal.targets[0])
        own = surrogates[target]
        details: dict[str, Any] = {
            "segments": segments,
            "coefficients": own.coefficients,
            "standard_errors": own.errors,
            "intercept": own.intercept,
            "r2": own.r2,
            "local_prediction": own.prediction,
            "samples": len(logits),
            "estimator": self.estimator,
            "engine": run.name,
            "labels": list(surrogates),
            "coefficients_by_label": np.stack([s.coefficients for s in surrogates.values()]),
            "r2_by_label": [s.r2 for s in surrogates.values()],
        }
        return torch.from_numpy(own.coefficients.astype(np.float32)[segments]), details

    def _fits(
        self,
        masks: NDArray[np.bool_],
        scores: Sequence[NDArray[np.float64]],
        centres: NDArray[np.float64],
        seed: int,
    ) -> list[Surrogate]:
        """A linear model for each class's scores, which count from the whole image's: where none differs, every
        coefficient is 0 and not what rounding leaves."""
        options: dict[str, Any] = {"alpha": self.alpha, "num_features": self.num_features}
        whole = [float(s[0]) for s in scores]
        scores = [s - base for s, base in zip(scores, whole, strict=True)]

        def close(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
            return closeness(rows, self.distance_metric, self.kernel_width)

        with threadpool_limits(1, "blas"):  # small matrices: several threads only wait for each other
            if self.estimator == "emulator":
                many = emulate(masks, scores, centres, np.random.default_rng(seed))
                fits = [fit_emulated(masks, s, e, close, **options) for s, e in zip(scores, many, strict=True)]
            else:
                weights, paired = close(masks), self.sampling != "random"
                fits = [fit_ridge(masks, s, weights, paired=paired, **options) for s in scores]
        return [
            dataclasses.replace(f, intercept=f.intercept + base, prediction=f.prediction + base)
            for f, base in zip(fits, whole, strict=True)
        ]

    def _surrogates(
        self, masks: NDArray[np.bool_], logits: torch.Tensor, goal: Goal, centres: NDArray[np.float64], seed: int
    ) -> dict[int, Surrogate]:
        """Linear models of the target first, then of the most probable classes, from the same samples."""
        order = goal.classifier.probabilities(logits[:1])[0].argsort(descending=True).tolist()
        if goal.against is not None:
            order.remove(int(goal.against[0]))  # against itself it is nothing
        target = int(goal.targets[0])
        classes = list(dict.fromkeys([target, *order]))[: max(1, self.top_labels)]
        fits = self._fits(masks, [scores_of(goal, logits, c) for c in classes], centres, seed)
        return dict(zip(classes, fits, strict=True))
