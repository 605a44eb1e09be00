"""What the films look like."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from radiolucent.figures.cases import _film  # pyright: ignore[reportPrivateUsage]
from radiolucent.figures.style import blank, figure
from radiolucent.types import Radiograph

__all__ = ["contact_sheet"]


def contact_sheet(rows: Sequence[tuple[str, Sequence[Radiograph]]]) -> Figure:
    """One row of films a class."""
    columns = max((len(films) for _, films in rows), default=1)
    made, axes = figure(1.75 * columns, 1.95 * len(rows), len(rows), columns)
    for line, (name, films) in zip(axes, rows, strict=True):
        for ax in line:
            blank(ax)
        for i, (ax, film) in enumerate(zip(line, films, strict=False)):
            _film(ax, film.pixels, name if i == 0 else "")
    return made
