"""Sobol: how much of the score's variance each place has a part in."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.copies import Fill, Perturbation, blend, filled, scores_of
from radiolucent.models import Classifier

__all__ = ["Sobol", "total_order"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sobol(Perturbation):
    """Total-order Sobol index of each cell of a grid. Source: Fel 2021, section 3; estimator: Jansen 1999.

    S_Tj = E_{M∖j} Var_j f(M) / Var f(M): the share of the variance of the score under random masks in which cell j
    takes part, alone or with others. **Unsigned**: it says that a place matters, not whether it speaks for or against.

    Attributes:
        designs: N, a power of two; N · (d + 2) passes for d cells.
        cells: side of the grid, d = cells².
        fill: what a mask of 0 shows; masks between 0 and 1 blend.
    """

    title: ClassVar[str] = "Sobol"
    signed: ClassVar[bool] = False
    answers: ClassVar[str] = "how much of the score's variance a cell explains"
    misleads: ClassVar[str] = "unsigned; noisy at few designs"
    cost: ClassVar[str] = "32 · (cells + 2)"

    designs: int = 32
    cells: int = 8
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.designs < 4 or self.designs & (self.designs - 1) or self.cells < 2:
            raise ConfigError(
                f"designs {self.designs}, cells {self.cells}; expected a power of two of at least 4, and at "
                "least 2 cells."
            )

    def cheaper(self, images: int, side: int) -> "Sobol":
        """Fewer designs, down to 4; then a coarser grid, down to 2 × 2 cells."""
        few = self
        while few.designs * (few.cells**2 + 2) > images and few.designs > 4:
            few = dataclasses.replace(few, designs=few.designs // 2)
        while few.designs * (few.cells**2 + 2) > images and few.cells > 2:
            few = dataclasses.replace(few, cells=few.cells - 1)
        return few

    def with_samples(self, count: int) -> Self:
        """The largest design that keeps within `count`: N · (d + 2) images for d cells, N a power of two."""
        each = self.cells**2 + 2
        if count < 4 * each:
            raise ConfigError(f"{count} samples for sobol; with {self.cells} × {self.cells} cells at least {4 * each}.")
        return dataclasses.replace(self, designs=1 << ((count // each).bit_length() - 1))

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        from scipy.stats import qmc

        cells = self.cells**2
        points = qmc.Sobol(2 * cells, scramble=True, rng=np.random.default_rng(seed)).random(self.designs)
        first, second = (torch.from_numpy(p.astype(np.float32)) for p in np.split(points, 2, axis=1))
        fill = filled(classifier, image, self.fill)
        count = self.designs * (cells + 2)
        run = self.asker(goal, image, count)

        def compose(part: slice) -> torch.Tensor:
            """Rows of A, then of B, then of A with one column from B, cell after cell."""
            index = torch.arange(part.start, part.stop)
            block, row = index // self.designs, index % self.designs
            chosen = torch.where((block == 1)[:, None], second[row], first[row])
            swapped = (torch.arange(cells)[None] + 2) == block[:, None]
            grids = torch.where(swapped, second[row], chosen).view(-1, 1, self.cells, self.cells)
            return blend(image, fill, F.interpolate(grids, size=image.shape[2:], mode="nearest")[:, 0])

        scores = scores_of(goal, run.ask(count, compose)).reshape(cells + 2, self.designs)
        indices, errors = total_order(scores[0], scores[1], scores[2:])
        grid = torch.from_numpy(indices.astype(np.float32)).view(1, 1, self.cells, self.cells)
        details: dict[str, Any] = {
            "indices": indices.reshape(self.cells, self.cells),
            "standard_errors": errors.reshape(self.cells, self.cells),
            "variance": float(np.concatenate(scores[:2]).var()),
            "unsigned": True,
            "samples": count,
            "engine": run.name,
        }
        return F.interpolate(grid, size=image.shape[2:], mode="nearest")[0, 0], details


def total_order(first: Floats, second: Floats, swapped: Floats) -> tuple[Floats, Floats]:
    """Total-order indices (d,) and standard errors: Jansen's Σ_n (f(A_n) − f(C_jn))² / (2 N Var f).

    Args:
        first, second: scores (N,) of A and B. swapped: scores (d, N) of A with column j from B.

    The errors take the N rows as independent, which errs on the safe side for a low-discrepancy sequence. All 0 where
    the score does not vary.
    """
    variance = float(np.concatenate([first, second]).var())
    scale = max(1.0, float(np.abs(first).max()))
    if variance <= (1e-7 * scale) ** 2:
        return np.zeros(len(swapped)), np.zeros(len(swapped))
    halves = (first - swapped) ** 2 / (2 * variance)
    return halves.mean(1), halves.std(1, ddof=1) / np.sqrt(len(first))
