"""The libraries' ways of explaining the same inputs by the same class, for benchmarks/methods.py."""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from radiolucent.explainers import METHODS, Explainer
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.superpixels import segment
from radiolucent.models import Classifier
from radiolucent.passes.session import Session

Run = Callable[[], object]
SETTINGS: dict[str, dict[str, Any]] = {
    "kernelshap": {"num_samples": 500},
    "occlusion": {"window": 32, "stride": 16, "fill": 0.0},
    "integratedgradients": {"steps": 20},
    "smoothgrad": {"samples": 10},
    "gradientshap": {"samples": 10, "references": ("black",)},
    "rise": {"num_masks": 500},
    "sobol": {"designs": 8},
    "lrp": {"composite": "epsilon-plus-flat", "epsilon": 1e-6},  # zennit's, under the same name
}
LIBRARIES = ("captum", "captum alone", "grad-cam", "torchcam", "lime", "shapiq", "zennit", "plain loop")


class Contest:
    """The libraries' ways of explaining the same inputs by a class, by method and library.

    Attributes:
        copies: altered copies a pass that libraries are given: the number with which torch is quickest here.
        session: how ours runs the network.
    """

    def __init__(self, clf: Classifier, inputs: torch.Tensor) -> None:
        self.clf, self.network, self.inputs = clf, clf.network, inputs
        self.session = Session()
        self.one, self.count = inputs[:1].contiguous(memory_format=torch.channels_last), len(inputs)
        goal = Goal(torch.ones(1, dtype=torch.long), "logit", clf)
        found: Any = METHODS["gradcam"]().attribute(clf, self.one, goal, torch.Generator())
        self.layer = self.network.get_submodule(found.details[0]["layer"])
        self.copies = best_batch(clf, self.one)

    def ours(self, method: Explainer) -> Run:
        inputs = self.one if method.one_by_one else self.inputs
        goal = Goal(torch.ones(len(inputs), dtype=torch.long), "logit", self.clf, session=self.session)

        def run() -> object:
            return method.attribute(self.clf, inputs, goal, torch.Generator().manual_seed(0))

        return run

    def grad_cam(self, name: str, inputs: torch.Tensor) -> Run:
        import pytorch_grad_cam as library
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def run() -> object:
            with getattr(library, name)(self.network, [self.layer]) as cam:
                cam.batch_size = self.copies
                return cam(inputs, [ClassifierOutputTarget(1)] * len(inputs))

        return run

    def torchcam(self, name: str, inputs: torch.Tensor) -> Run:
        from torchcam import methods as library

        def run() -> object:
            options = {"batch_size": self.copies} if name == "ScoreCAM" else {}
            with getattr(library, name)(self.network, self.layer, **options) as extractor:
                with torch.inference_mode(name == "CAM"):  # as its documentation has it: CAM needs no gradients
                    logits = self.network(inputs)
                return extractor([1] * len(inputs), logits)

        return run

    def captum(self, name: str, inputs: torch.Tensor, **options: Any) -> Run:
        import captum.attr as library

        made = getattr(library, name)
        attribution = made(self.network, self.layer) if name.startswith("Layer") else made(self.network)
        return lambda: attribution.attribute(inputs.clone().requires_grad_(), target=1, **options)

    def guided(self) -> Run:
        from captum.attr import GuidedGradCam

        made = GuidedGradCam(self.network, self.layer)
        return lambda: made.attribute(self.inputs.clone().requires_grad_(), target=1)

    def noisy(self) -> Run:
        from captum.attr import NoiseTunnel, Saliency

        made, spread = NoiseTunnel(Saliency(self.network)), 0.1 * float(self.inputs.max() - self.inputs.min())
        options: dict[str, Any] = {"nt_samples": 10, "nt_samples_batch_size": 2, "stdevs": spread, "abs": False}
        return lambda: made.attribute(self.inputs.clone().requires_grad_(), target=1, **options)

    def lime(self, samples: int = 1000, seed: int = 0) -> Run:
        from lime.lime_image import LimeImageExplainer

        grey = self.clf.preprocess.denormalise(self.one)[0].numpy()
        segments, pre = segment(grey, "quickshift", 0), self.clf.preprocess

        def probabilities(images: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return self.network(pre.normalise(torch.from_numpy(images[..., 0]).float())).numpy()

        def run() -> object:
            found = LimeImageExplainer(random_state=seed).explain_instance(
                np.repeat(grey[..., None], 3, axis=2),
                probabilities,
                top_labels=2,
                num_samples=samples,
                batch_size=self.copies,
                segmentation_fn=lambda _: segments,
            )
            weights = dict(found.local_exp[1])
            return np.array([weights[i] for i in range(len(weights))])[segments]

        return run

    def kernelshap(self, samples: int = 500) -> Run:
        grey = self.clf.preprocess.denormalise(self.one)[0].numpy()
        mask = torch.from_numpy(segment(grey, "slic", 0).astype(np.int64))[None, None]
        black = self.clf.preprocess.normalise(torch.zeros(1, 1, 1))
        return self.captum(
            "KernelShap",
            self.one,
            feature_mask=mask,
            baselines=black.expand_as(self.one),
            n_samples=samples,
            perturbations_per_eval=self.copies,
        )

    def shapiq(self) -> Run:
        """KernelSHAP as shapiq has it, with as many coalitions of the same superpixels."""
        sys.modules.setdefault("coverage", None)  # type: ignore[arg-type]  # coverage.py here is not what numba looks for
        from shapiq.approximator import KernelSHAP

        segments = torch.from_numpy(segment(self.clf.preprocess.denormalise(self.one)[0].numpy(), "slic", 0)).long()
        black = self.clf.preprocess.normalise(torch.zeros(1, 1, 1))

        def game(coalitions: np.ndarray) -> np.ndarray:
            shown = torch.from_numpy(np.asarray(coalitions, bool))
            with torch.no_grad():
                parts = [
                    self.network(torch.where(part[:, segments][:, None], self.one, black))[:, 1]
                    for part in shown.split(self.copies)
                ]
            return torch.cat(parts).double().numpy()

        def run() -> object:
            found = KernelSHAP(n=int(segments.max()) + 1, random_state=0).approximate(500, game)
            return found.get_n_order_values(1)[segments.numpy()]

        return run

    def zennit(self) -> Run:
        from zennit.attribution import Gradient
        from zennit.canonizers import SequentialMergeBatchNorm
        from zennit.composites import EpsilonPlusFlat

        composite = EpsilonPlusFlat(canonizers=[SequentialMergeBatchNorm()])

        def run() -> object:
            with Gradient(self.network, composite) as attributor:
                return attributor(self.inputs.clone().requires_grad_(), lambda z: torch.eye(z.shape[1])[[1] * len(z)])

        return run

    def masked(self, name: str) -> Run:
        """RISE or Sobol as their papers write them: masks one by one, the network in batches, sums at the end."""
        size, count = tuple(self.one.shape[2:]), 500 if name == "rise" else 8 * (8 * 8 + 2)
        black = self.clf.preprocess.normalise(torch.zeros(1, 1, 1))

        def mask(draw: torch.Generator) -> torch.Tensor:
            if name == "sobol":
                return F.interpolate(torch.rand(1, 1, 8, 8, generator=draw), size=size, mode="nearest")[0]
            cell = -(-size[0] // 7)
            grid = (torch.rand(1, 1, 7, 7, generator=draw) < 0.5).float()
            down, right = torch.randint(0, cell, (2,), generator=draw).tolist()
            soft = F.interpolate(grid, size=(8 * cell, 8 * cell), mode="bilinear", align_corners=False)[0]
            return soft[:, down : down + size[0], right : right + size[1]]

        def run() -> object:
            draw = torch.Generator().manual_seed(0)
            masks = torch.stack([mask(draw) for _ in range(count)])
            with torch.no_grad():
                scores = torch.cat(
                    [self.network(black + (self.one - black) * part)[:, 1] for part in masks.split(self.copies)]
                )
            return (scores[:, None, None, None] * masks).mean(0)

        return run

    def many(self, name: str, samples: int) -> Run | None:
        """A map of a sampled method from many samples."""
        if name == "lime":
            return self.lime(samples, seed=1)
        if name == "kernelshap":
            return self.kernelshap(samples)
        if name not in ("rise", "sobol"):
            return None
        method = METHODS[name](**SETTINGS[name]).with_samples(samples)
        if method is None:
            return None
        goal = Goal(torch.ones(1, dtype=torch.long), "logit", self.clf, session=self.session)
        return lambda: method.attribute(self.clf, self.one, goal, torch.Generator().manual_seed(1))

    def others(self, name: str) -> dict[str, Run]:
        """What the libraries offer for one of our methods."""
        batch, one = self.inputs, self.one
        black = float(self.clf.preprocess.normalise(torch.zeros(1, 1, 1))[0, 0, 0, 0])
        cams = {"gradcamplusplus": "GradCAMPlusPlus", "hirescam": "HiResCAM", "xgradcam": "XGradCAM"}
        both = {"gradcamplusplus": "GradCAMpp", "layercam": "LayerCAM", "xgradcam": "XGradCAM", "cam": "CAM"}
        alone = {"eigencam": "EigenCAM", "layercam": "LayerCAM", "gradcam": "GradCAM", **cams}
        found: dict[str, Run] = {}
        if name in alone:
            found["grad-cam"] = self.grad_cam(alone[name], batch)
        if name in both:
            found["torchcam"] = self.torchcam(both[name], batch)
        if name == "gradcam":
            found["torchcam"] = self.torchcam("GradCAM", batch)
            found["captum"] = self.captum("LayerGradCam", batch)
        if name == "scorecam":
            found["grad-cam"], found["torchcam"] = self.grad_cam("ScoreCAM", one), self.torchcam("ScoreCAM", one)
        if name == "ablationcam":
            found["grad-cam"] = self.grad_cam("AblationCAM", one)
        if name == "occlusion":
            shapes = {"sliding_window_shapes": (one.shape[1], 32, 32), "strides": (one.shape[1], 16, 16)}
            for library, copies in (("captum", self.copies), ("captum alone", 1)):
                options = {"baselines": black, "perturbations_per_eval": copies, **shapes}
                found[library] = self.captum("Occlusion", one, **options)
        if name == "saliency":
            found["captum"] = self.captum("Saliency", batch, abs=False)
        if name == "inputtimesgradient":
            found["captum"] = self.captum("InputXGradient", batch)
        if name == "integratedgradients":
            found["captum"] = self.captum("IntegratedGradients", batch, n_steps=20, baselines=black)
        if name == "guidedbackprop":
            found["captum"] = self.captum("GuidedBackprop", batch)
        if name == "guidedgradcam":
            found["captum"] = self.guided()
        if name == "smoothgrad":
            found["captum"] = self.noisy()
        if name == "gradientshap":
            start = torch.full_like(batch[:1], black)
            found["captum"] = self.captum("GradientShap", batch, baselines=start, n_samples=10)
        if name == "deeplift":
            found["captum"] = self.captum("DeepLift", batch, baselines=black)
        if name == "lrp":
            found["captum"], found["zennit"] = self.captum("LRP", batch), self.zennit()
        if name in ("rise", "sobol"):
            found["plain loop"] = self.masked(name)
        if name == "lime":
            found["lime"] = self.lime()
        if name == "kernelshap":
            found["captum"], found["shapiq"] = self.kernelshap(), self.shapiq()
        return found


def best_batch(clf: Classifier, image: torch.Tensor) -> int:
    """The number of copies of an image (1, C, H, W) in a pass with which torch is quickest."""
    spent: dict[int, float] = {}
    for copies in (8, 16, 32):
        batch, times = image.repeat(copies, 1, 1, 1), list[float]()
        for _ in range(2):
            start = time.process_time()
            clf.logits(batch)
            times.append((time.process_time() - start) / copies)
        spent[copies] = min(times)
    return min(spent, key=lambda copies: spent[copies])


def method_of(name: str, clf: Classifier, one: torch.Tensor) -> Explainer:
    """Our method, on the same superpixels as its rivals: segmentation is not timed."""
    settings = dict(SETTINGS.get(name, {}))
    if name in ("lime", "kernelshap"):
        grey = clf.preprocess.denormalise(one)[0].numpy()
        pieces = segment(grey, "quickshift" if name == "lime" else "slic", 0)
        settings["segmentation"] = lambda _: pieces
    if name == "kernelshap":
        settings["fill"] = 0.0
    return METHODS[name](**settings)
