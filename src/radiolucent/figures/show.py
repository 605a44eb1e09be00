"""Any result as a figure, for whoever holds one in a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from radiolucent.errors import ConfigError
from radiolucent.figures.cases import draw_film, overlay_plot
from radiolucent.figures.display import display_map, overlay
from radiolucent.figures.style import INK, figure, plain, styled, tidy
from radiolucent.types import Annotation, Estimate, Explanation, Radiograph

__all__ = ["intervals_plot", "plot"]


def plot(value: Any, **options: Any) -> Figure:
    """A result as a figure: a film, a map (on its film with `film=`), an estimate, or whatever has estimates as rows.

    Raises:
        ConfigError: nothing to draw.
    """
    if isinstance(value, Radiograph):
        return _film(value)
    if isinstance(value, Explanation):
        return _map(value, **options)
    if isinstance(value, Estimate):
        return intervals_plot({value.method: value}, "")
    found = getattr(value, "estimates", None)
    if isinstance(found, Mapping):
        return intervals_plot({str(k): v for k, v in found.items()}, repr(value).split(":")[0])
    if hasattr(value, "findings"):
        return intervals_plot(
            {f.test: f.estimate for f in value.findings if f.estimate}, getattr(value, "headline", "")
        )
    return _lines(repr(value))


@styled
def _film(film: Radiograph) -> Figure:
    made, axes = figure(4.0, 4.0 * min(max(film.shape[0] / film.shape[1], 0.4), 2.0))
    draw_film(axes[0, 0], film.pixels, film.image_id[-40:])
    return made


@styled
def _map(explanation: Explanation, film: Radiograph | None = None, annotations: Sequence[Annotation] = ()) -> Figure:
    if film is not None:
        if film.shape != explanation.geometry.source_shape:
            raise ConfigError(
                f"a film of {film.shape} for a map of one of {explanation.geometry.source_shape}; give its own film."
            )
        return overlay_plot(film, explanation, annotations)
    made, axes = figure(4.0, 4.0)
    grey = explanation.map * 0 + 0.35
    draw_film(
        axes[0, 0], overlay(grey, display_map(explanation.map)), f"{explanation.method}: {explanation.target_name}"
    )
    return made


@styled
def intervals_plot(estimates: Mapping[str, Estimate], title: str, *, x: str = "value with its interval") -> Figure:
    """Every estimate that has a value as a point with its interval."""
    rows = [(name, e) for name, e in estimates.items() if e.value is not None]
    made, axes = figure(6.5, 0.9 + 0.3 * max(1, len(rows)))
    ax = axes[0, 0]
    for i, (_, e) in enumerate(rows):
        value = float(e.value or 0.0)
        low, high = (value if end is None else end for end in (e.low, e.high))
        ax.plot([low, high], [i, i], color=INK, linewidth=2)
        ax.plot([value], [i], "o", color=INK, markersize=5)
    ax.set_yticks(range(len(rows)), [plain(name.replace("_", " ")) for name, _ in rows])
    ax.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    tidy(ax, plain(title[:90]), x=x)
    return made


@styled
def _lines(text: str) -> Figure:
    made, axes = figure(6.5, 1.2)
    axes[0, 0].axis("off")
    axes[0, 0].text(0, 0.5, plain(text), va="center", wrap=True, fontsize=9)
    return made
