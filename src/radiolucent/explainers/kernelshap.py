"""Shapley values of superpixels by weighted least squares."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Goal
from radiolucent.explainers.kernelshap_emulator import odd_values
from radiolucent.explainers.perturbation.coalitions import Coalitions, ShapSampling, coalitions
from radiolucent.explainers.perturbation.copies import Fill, Perturbation, filled, grey_of, hide_pieces, scores_of
from radiolucent.explainers.perturbation.superpixels import places, segment
from radiolucent.explainers.promise import Fits, Promise
from radiolucent.models import Classifier

__all__ = ["KernelSHAP", "explained", "shapley_fit"]

Floats = NDArray[np.float64]

ENOUGH = 8
"""Coalitions a superpixel below which effects of several pieces are not to be learned; regression then stays alone."""


@dataclass(frozen=True)
class KernelSHAP(Perturbation):
    """Each superpixel's mean contribution over all orders of showing them. Source: Lundberg & Lee 2017, theorem 2.

    φ = argmin Σ_S w(S) (f(S) − f(∅) − Σ_{i∈S} φ_i)² subject to Σ φ_i = f(film) − f(fill), which holds exactly however
    few the samples. Coalitions come in complementary pairs, drawn by leverage score
    (`explainers/perturbation/coalitions.py`). Where `num_samples` reaches all 2^d − 2 coalitions, φ are the Shapley
    values. Elsewhere effects of several pieces at once, which that regression takes for noise, are learned from the
    same pairs by a Gaussian process, whose own values are known in closed form (`explainers/kernelshap_emulator.py`).

    Attributes:
        num_samples: coalitions asked for, beside the whole film and the fill.
        segmentation: "slic", "quickshift", "felzenszwalb", or a function from grey (H, W) to labels (H, W).
        segmentation_options: override the algorithm's parameters.
        fill: what a hidden piece shows: None (its mean), a grey in [0, 1], "mean" (of the film), "blur" or "grey".
        sampling: "leverage" or "kernel".
        estimator: "emulator", from eight coalitions a superpixel on, or "regression" alone; the details say which.
    """

    title: ClassVar[str] = "KernelSHAP"
    answers: ClassVar[str] = "a fair share for each superpixel"
    misleads: ClassVar[str] = "as LIME; shares depend on the fill"
    cost: ClassVar[str] = "1026"

    num_samples: int = 1024
    segmentation: str | Callable[[NDArray[np.float32]], NDArray[Any]] = "slic"
    segmentation_options: dict[str, Any] | None = field(default=None, hash=False)
    fill: Fill = None
    sampling: ShapSampling = "leverage"
    estimator: Literal["emulator", "regression"] = "emulator"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_samples < 2 or self.sampling not in ("leverage", "kernel"):
            raise ConfigError(
                f"num_samples {self.num_samples}, sampling {self.sampling!r}; expected at least 2, and leverage or "
                "kernel."
            )
        if self.estimator not in ("emulator", "regression"):
            raise ConfigError(f"estimator {self.estimator!r}; expected emulator or regression.")

    def cheaper(self, images: int, side: int) -> "KernelSHAP":
        return self if self.num_samples <= images else dataclasses.replace(self, num_samples=max(images, 2))

    def with_samples(self, count: int) -> Self:
        return dataclasses.replace(self, num_samples=count)

    def promise(self, details: Mapping[str, Any]) -> Promise | None:
        return Fits(float(details["r2"]))

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        segments = segment(grey_of(classifier, image), self.segmentation, seed, self.segmentation_options)
        fill = filled(classifier, image, self.fill, segments)
        pieces = int(segments.max()) + 1
        ends = np.array([[True], [False]]).repeat(pieces, axis=1)
        drawn = coalitions(pieces, self.num_samples, self.sampling, np.random.default_rng(seed)) if pieces > 1 else None
        masks = ends if drawn is None else np.concatenate([ends, drawn.masks])
        run = self.asker(goal, image, len(masks))
        scores = scores_of(goal, run.ask(len(masks), hide_pieces(image, fill, segments, masks)))
        whole, empty = float(scores[0]), float(scores[1])
        values, errors = np.array([whole - empty]), np.zeros(1)
        r2, used = 1.0, "regression"  # of one piece there is nothing else to add up
        if drawn is not None:
            values, errors = shapley_fit(drawn, scores[2:], whole, empty)
            if self.estimator == "emulator" and not drawn.complete and len(masks) >= ENOUGH * pieces:
                values, errors = odd_values(drawn.masks, scores[2:], whole, empty, places(segments), values)
                used = "emulator"
            r2 = explained(drawn, scores[2:], values, empty)
        details: dict[str, Any] = {
            "segments": segments,
            "coefficients": values,
            "standard_errors": errors,
            "score_of_fill": empty,
            "r2": r2,
            "samples": len(masks),
            "exact": drawn is None or drawn.complete,
            "engine": run.name,
            "estimator": used,
        }
        return torch.from_numpy(values.astype(np.float32)[segments]), details


def explained(drawn: Coalitions, scores: Floats, values: Floats, empty: float) -> float:
    """R² = 1 − Σ w (f(S) − f(∅) − Σ_{i∈S} φ_i)² / Σ w (f(S) − f̄)² of the scores (2p,) of the coalitions asked.

    f̄ is their weighted mean. Values that sum to whole − empty by construction can still say little of the coalitions
    between: R² is 1 for an additive score, 0 or less where the sum says no more than the mean. 1 where nothing varies.
    """
    each = np.repeat(drawn.weights, 2)
    left = scores - empty - drawn.masks.astype(np.float64) @ values
    spread = float(each @ (scores - np.average(scores, weights=each)) ** 2)
    rest = float(each @ left**2)
    tiny = float(each.sum()) * (1e-9 * max(1.0, float(np.abs(scores).max()))) ** 2
    return 1.0 - rest / spread if spread > tiny else float(rest <= tiny)


def shapley_fit(drawn: Coalitions, scores: Floats, whole: float, empty: float) -> tuple[Floats, Floats]:
    """Shapley values (d,) and their standard errors from the scores (2p,) of coalitions, summing to whole − empty.

    The constraint is solved out: φ = (whole − empty)/d + Q u with the columns of Q (d, d − 1) orthonormal to the ones,
    and u by least squares. Standard errors: sandwich over pairs within sizes, with the finite-population correction, so
    that they are 0 when all coalitions were asked; not-a-number when pairs are too few to tell.
    """
    pieces = drawn.masks.shape[1]
    x = drawn.masks.astype(np.float64)
    q = np.linalg.qr(np.concatenate([np.ones((pieces, 1)), np.eye(pieces)[:, 1:]], axis=1))[0][:, 1:]
    design = x @ q
    left = scores - empty - x.sum(1) * (whole - empty) / pieces
    each = np.repeat(drawn.weights, 2)
    inverse = np.linalg.pinv(design.T @ (design * each[:, None]), hermitian=True)
    u = inverse @ (design.T @ (each * left))
    values = (whole - empty) / pieces + q @ u
    pairs = len(drawn.weights)
    if drawn.complete:
        return values, np.zeros(pieces)
    if pairs <= pieces - 1:
        return values, np.full(pieces, np.nan)
    pushes = (design * (each * (left - design @ u))[:, None]).reshape(pairs, 2, -1).sum(1)
    pushes *= np.sqrt(1 - drawn.share)[:, None]
    spread = q @ (inverse @ (pushes.T @ pushes) @ inverse) @ q.T
    return values, np.sqrt(np.clip(np.diag(spread) * pairs / (pairs - pieces + 1), 0, None))
