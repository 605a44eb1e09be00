"""LIME in lime's own pictures: the region alone, and the whole film with pros and cons."""

from matplotlib.figure import Figure

from radiolucent.explainers import lime_view
from radiolucent.figures.cases import Case, _film, _lime  # pyright: ignore[reportPrivateUsage]
from radiolucent.figures.style import GREEN, RED, figure, tidy
from radiolucent.images import Preprocess
from radiolucent.types import Explanation, Radiograph

__all__ = ["lime_plot"]


def lime_plot(film: Radiograph, explanation: Explanation, preprocess: Preprocess, *, num_features: int = 5) -> Figure:
    """The strongest superpixels alone, the whole film with pros (green) and cons (red), and each coefficient with its
    95 % interval (± 1.96 standard errors)."""
    made, axes = figure(10, 3.6, 1, 3)
    grey = preprocess.resize(film)
    alone = lime_view(explanation, grey, positive_only=True, hide_rest=True, num_features=num_features)
    _film(axes[0, 0], alone.image, f"the {len(alone.chosen)} pieces that speak most for {explanation.target_name}")
    _lime(axes[0, 1], Case(film, "", 0.0), explanation)
    strongest = lime_view(explanation, grey, positive_only=False, num_features=12)
    errors = explanation.details["standard_errors"][strongest.chosen] * 1.96
    colours = [GREEN if w > 0 else RED for w in strongest.weights]
    places = list(range(len(strongest.weights)))
    axes[0, 2].barh(places, strongest.weights, xerr=errors, color=colours, height=0.7, ecolor="#374151")
    axes[0, 2].invert_yaxis()
    axes[0, 2].set_yticks(places, [f"piece {c}" for c in strongest.chosen], fontsize=7)
    tidy(
        axes[0, 2],
        f"{explanation.details['samples']} samples, R² {explanation.details['r2']:.2f}",
        f"added {explanation.score_kind}",
    )
    return made
