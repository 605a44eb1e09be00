"""What the films look like."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from radiolucent.figures.cases import draw_film
from radiolucent.figures.style import MARGIN, fitting, place, styled
from radiolucent.types import Radiograph

__all__ = ["contact_sheet"]

SIDE, GAP, LABEL = 1.62, 0.06, 0.3  # inches


@styled
def contact_sheet(rows: Sequence[tuple[str, Sequence[Radiograph]]]) -> Figure:
    """One row of films a class, all in boxes of one size, undistorted."""
    columns = max([len(films) for _, films in rows], default=0) or 1
    ratios = [film.shape[0] / film.shape[1] for _, films in rows for film in films] or [1.0]
    tall = SIDE * min(max(sum(ratios) / len(ratios), 0.6), 1.2)
    width = 2 * MARGIN + LABEL + columns * (SIDE + GAP)
    made = Figure(figsize=(width, 2 * MARGIN + max(len(rows), 1) * (tall + GAP)), facecolor="white")
    for line, (name, films) in enumerate(rows):
        top = MARGIN + line * (tall + GAP)
        middle = 1 - (top + tall / 2) / float(made.get_figheight())
        said = fitting(name, 9, tall, weight="bold")
        made.text((MARGIN + 0.1) / width, middle, said, rotation=90, ha="center", va="center", weight="bold")
        for i, film in enumerate(films):
            draw_film(place(made, MARGIN + LABEL + i * (SIDE + GAP), top, SIDE, tall), film.pixels)
    return made
