"""Results in, matplotlib Figures out. The only room that normalises a map for display.

Figures are `matplotlib.figure.Figure` objects outside pyplot's state: nothing needs closing, nothing pops up. Texts are
drawn as they are given, whatever they hold.
"""

from matplotlib.figure import Figure

from radiolucent.figures.agreement import agreement_plot
from radiolucent.figures.cases import Case, case_panel, gallery, method_name, method_strip, overlay_plot, sure
from radiolucent.figures.curves import (
    confusion_plot,
    decision_plot,
    pr_plot,
    reliability_plot,
    roc_plot,
    score_histogram,
)
from radiolucent.figures.dataset import contact_sheet
from radiolucent.figures.display import display_map, overlay
from radiolucent.figures.features import channel_grid, filter_grid, layer_strip_plot, patch_grid, wanted_grid
from radiolucent.figures.learning_curves import learning_curves
from radiolucent.figures.lime import lime_plot
from radiolucent.figures.style import drawn, encoded, to_png, to_svg

__all__ = [
    "Case",
    "Figure",
    "agreement_plot",
    "case_panel",
    "channel_grid",
    "confusion_plot",
    "contact_sheet",
    "decision_plot",
    "display_map",
    "drawn",
    "encoded",
    "filter_grid",
    "gallery",
    "layer_strip_plot",
    "learning_curves",
    "lime_plot",
    "method_name",
    "method_strip",
    "overlay",
    "overlay_plot",
    "patch_grid",
    "pr_plot",
    "reliability_plot",
    "roc_plot",
    "score_histogram",
    "sure",
    "to_png",
    "to_svg",
    "wanted_grid",
]
