"""Explanations: one verb, `explain()`, and one method a file."""

from importlib import import_module
from typing import Any

from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.explain import explain
from radiolucent.explainers.lime import LimeView, lime_view
from radiolucent.explainers.store import load_explanation, save_explanation

METHODS: dict[str, type[Explainer]] = {
    name.lower(): getattr(import_module(f"{__name__}.{name.lower()}"), name)
    for name in (
        "GradCAM",
        "CAM",
        "GradCAMPlusPlus",
        "HiResCAM",
        "LayerCAM",
        "XGradCAM",
        "EigenCAM",
        "Saliency",
        "InputTimesGradient",
        "SmoothGrad",
        "IntegratedGradients",
        "GradientSHAP",
        "DeepLift",
        "GuidedBackprop",
        "GuidedGradCAM",
        "LRP",
        "LIME",
        "KernelSHAP",
        "Occlusion",
        "RISE",
        "Sobol",
        "ScoreCAM",
        "AblationCAM",
        "ReciproCAM",
    )
}
"""Every method, by its name in files and on the command line. A class's file is called as the class is, in lower case.

A new method is its file and its line here: this room, the package's root and the command line know it by that.
"""

__all__ = [
    "METHODS",
    "Attribution",
    "Explainer",
    "Goal",
    "LimeView",
    "explain",
    "lime_view",
    "load_explanation",
    "save_explanation",
]
__all__ += [method.__name__ for method in METHODS.values()]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    found = METHODS.get(name.lower())
    if found is None or found.__name__ != name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
