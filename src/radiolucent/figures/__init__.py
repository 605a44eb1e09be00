"""Results in, matplotlib Figures out. The only room that normalises a map for display."""

from radiolucent.figures.agreement import agreement_plot
from radiolucent.figures.cases import Case, case_panel, gallery, method_strip, sure
from radiolucent.figures.curves import (
    confusion_plot,
    decision_plot,
    learning_curves,
    pr_plot,
    reliability_plot,
    roc_plot,
    score_histogram,
)
from radiolucent.figures.dataset import contact_sheet
from radiolucent.figures.lime import lime_plot
from radiolucent.figures.style import to_png, to_svg

__all__ = [
    "Case",
    "agreement_plot",
    "case_panel",
    "confusion_plot",
    "contact_sheet",
    "decision_plot",
    "gallery",
    "learning_curves",
    "lime_plot",
    "method_strip",
    "pr_plot",
    "reliability_plot",
    "roc_plot",
    "score_histogram",
    "sure",
    "to_png",
    "to_svg",
]
