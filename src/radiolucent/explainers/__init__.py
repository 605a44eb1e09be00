"""Explanations: one verb, `explain()`, and one method a file."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Attribution, Explainer, Goal
from radiolucent.explainers.explain import NoMap, explain
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
        "AttnLRP",
        "LeGrad",
        "Chefer",
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

A new method is its file and its line here; everything else about it stands in its class.
"""


def methods_named(names: Sequence[str]) -> dict[str, Explainer]:
    """Methods with their default parameters, by their names in `METHODS`.

    Raises:
        ConfigError: an unknown name.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise ConfigError(f"method {', '.join(unknown)}; expected any of {', '.join(METHODS)}.")
    return {name: METHODS[name]() for name in names}


def methods_table() -> str:
    """Every method with what it answers, when it misleads and what it costs, as a table in Markdown."""
    rows = [f"| `{m.__name__}` | {m.answers} | {m.misleads} | {m.cost} |" for m in METHODS.values()]
    return "\n".join(["| method | what it answers | when it misleads | passes |", "|---|---|---|---|", *rows]) + "\n"


__all__ = [
    "METHODS",
    "Attribution",
    "Explainer",
    "Goal",
    "LimeView",
    "NoMap",
    "explain",
    "lime_view",
    "load_explanation",
    "methods_named",
    "methods_table",
    "save_explanation",
]
__all__ += [method.__name__ for method in METHODS.values()]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    found = METHODS.get(name.lower())
    if found is None or found.__name__ != name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
