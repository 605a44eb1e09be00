"""Explanations: one verb, `explain()`, and one method a file."""

from radiolucent.explainers.base import Attribution, Explainer, Goal, explain
from radiolucent.explainers.cam import CAM
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.lime import LIME, LimeView, lime_view
from radiolucent.explainers.store import load_explanation, save_explanation

METHODS: dict[str, type[Explainer]] = {
    "gradcam": GradCAM,
    "cam": CAM,
    "lime": LIME,
}

__all__ = [
    "CAM",
    "LIME",
    "METHODS",
    "Attribution",
    "Explainer",
    "Goal",
    "GradCAM",
    "LimeView",
    "explain",
    "lime_view",
    "load_explanation",
    "save_explanation",
]
