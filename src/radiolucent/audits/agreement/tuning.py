"""A map's threshold chosen on validation films, so that test films are judged at a threshold they did not choose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radiolucent.audits.agreement.markings import means
from radiolucent.audits.agreement.with_markings import agreement
from radiolucent.errors import AnnotationError
from radiolucent.types import Annotation, Explanation

__all__ = ["Tuned", "tune_threshold"]

GRID = tuple(round(0.2 + 0.05 * k, 2) for k in range(11))  # 0.2 to 0.7 (Saporta 2022)


@dataclass(frozen=True)
class Tuned:
    """The share of a map's maximum with the best mean IoU on validation films, that IoU, and on how many films."""

    threshold: float
    iou: float
    films: int


def tune_threshold(
    explanations: Sequence[Explanation],
    annotations: Sequence[Annotation],
    *,
    reader: str = "consensus",
    grid: Sequence[float] = GRID,
) -> Tuned | None:
    """The best of `grid` by mean IoU on these films; of equal ones, the lowest. None where no film applies.

    Raises:
        AnnotationError: as `agreement`, but films without any reading are no error here; a reader who read no film at
            all is.
    """
    read = {a.image_id for a in annotations if means(reader, a.reader)}
    if annotations and not read:
        names = ", ".join(sorted({a.reader for a in annotations}))
        raise AnnotationError(f"no reading by {reader!r}; these are by {names}.")
    maps = [e for e in explanations if e.image_id in read]
    if not maps:
        return None
    found = agreement(maps, annotations, reader=reader, thresholds=grid, folds=1)
    names = [f"iou_{round(t * 100)}" for t in grid]
    values = np.array([[c.figures[n] for n in names] for c in found.cases if not c.reason], np.float64)
    values = values[np.isfinite(values).all(1)] if len(values) else values
    if not len(values):
        return None
    average = values.mean(0)
    best = int(average.argmax())
    return Tuned(grid[best], float(average[best]), len(values))
