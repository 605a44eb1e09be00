"""Explanations: one verb, `explain()`, and one method a file."""

from radiolucent.explainers.ablationcam import AblationCAM
from radiolucent.explainers.base import Attribution, Explainer, Goal, explain
from radiolucent.explainers.cam import CAM
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.kernelshap import KernelSHAP
from radiolucent.explainers.lime import LIME, LimeView, lime_view
from radiolucent.explainers.occlusion import Occlusion
from radiolucent.explainers.reciprocam import ReciproCAM
from radiolucent.explainers.rise import RISE
from radiolucent.explainers.scorecam import ScoreCAM
from radiolucent.explainers.sobol import Sobol
from radiolucent.explainers.store import load_explanation, save_explanation

METHODS: dict[str, type[Explainer]] = {
    "gradcam": GradCAM,
    "cam": CAM,
    "lime": LIME,
    "kernelshap": KernelSHAP,
    "occlusion": Occlusion,
    "rise": RISE,
    "sobol": Sobol,
    "scorecam": ScoreCAM,
    "ablationcam": AblationCAM,
    "reciprocam": ReciproCAM,
}

__all__ = [
    "CAM",
    "LIME",
    "METHODS",
    "RISE",
    "AblationCAM",
    "Attribution",
    "Explainer",
    "Goal",
    "GradCAM",
    "KernelSHAP",
    "LimeView",
    "Occlusion",
    "ReciproCAM",
    "ScoreCAM",
    "Sobol",
    "explain",
    "lime_view",
    "load_explanation",
    "save_explanation",
]
