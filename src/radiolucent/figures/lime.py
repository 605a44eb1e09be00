"""LIME in lime's own pictures: the region alone, and the whole film with pros and cons; and its coefficients."""

import numpy as np
from matplotlib.figure import Figure

from radiolucent.explainers import lime_view
from radiolucent.figures.cases import draw_film, draw_lime
from radiolucent.figures.style import GREEN, INK, RED, figure, plain, styled, tidy
from radiolucent.images import Preprocess
from radiolucent.types import Explanation, Radiograph

__all__ = ["lime_plot"]


@styled
def lime_plot(film: Radiograph, explanation: Explanation, preprocess: Preprocess, *, num_features: int = 5) -> Figure:
    """The strongest superpixels alone, the whole film with pros (green, +) and cons (red, −), and the coefficients with
    their 95 % intervals (± 1.96 standard errors)."""
    made, axes = figure(10.4, 3.7, 1, 3, width_ratios=(1, 1, 0.9))
    grey, name = preprocess.resize(film), explanation.target_name
    alone = lime_view(explanation, grey, positive_only=True, hide_rest=True, num_features=num_features)
    draw_film(axes[0, 0], alone.image, f"the {len(alone.chosen)} pieces strongest for {name}", size=9.5)
    draw_lime(axes[0, 1], film, explanation)
    axes[0, 1].set_title(plain(f"for (+, green) and against (−, red) {name}"), fontsize=9.5, fontweight="normal", pad=5)
    strongest = lime_view(explanation, grey, positive_only=False, num_features=12)
    errors = np.asarray(explanation.details["standard_errors"])[strongest.chosen] * 1.96
    colours = [GREEN if w > 0 else RED for w in strongest.weights]
    places = list(range(len(strongest.weights)))
    ax = axes[0, 2]
    ax.barh(places, strongest.weights, xerr=errors, color=colours, height=0.66, error_kw={"ecolor": INK, "lw": 0.9})
    ax.axvline(0, color=INK, lw=0.8)
    ax.invert_yaxis()
    ax.set_yticks(places, [f"piece {c}" for c in strongest.chosen])
    ax.grid(visible=False, axis="y")
    fit = f"{explanation.details['samples']} samples, R² {explanation.details['r2']:.2f}"
    tidy(ax, fit, f"what showing the piece adds to the {explanation.score_kind}")
    return made
