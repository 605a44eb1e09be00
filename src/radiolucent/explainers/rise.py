"""RISE: the score under random soft masks, gathered where they show."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.copies import Fill, Perturbation, blend, filled, scores_of
from radiolucent.models import Classifier

__all__ = ["RISE", "SoftMasks"]

Floats = NDArray[np.float64]

RUNS = 16
"""Parts of the samples whose maps tell the standard error."""


@dataclass(frozen=True)
class RISE(Perturbation):
    """The mean score of the film under random soft masks that show a place. Source: Petsiuk 2018, eq. 6.

    "paper": S(λ) = 1/(E[M] N) Σ_i f(I ⊙ M_i) M_i(λ), whose level follows the score's and the mean of the masks that
    happened to be drawn. "centred" (default): Σ_i (f_i − f̄) M_i(λ) / Σ_i M_i(λ), which estimates E[f | λ shown] − E[f]:
    signed, 0 for a network that does not look.

    Attributes:
        num_masks: masks. cells: side of the grid of random cells that are made soft and shifted.
        shown: probability of a cell to be shown.
        paired: each mask is followed by its complement (needs shown = 0.5), which cancels effects of even order.
        estimate: "centred" or "paper".
        fill: what hidden places show; 0 is the paper's black.
    """

    title: ClassVar[str] = "RISE"
    answers: ClassVar[str] = "which places raise the score, over random masks"
    misleads: ClassVar[str] = "noisy; with few masks it misses small findings"
    cost: ClassVar[str] = "2000"

    num_masks: int = 2000
    cells: int = 7
    shown: float = 0.5
    paired: bool = True
    estimate: Literal["centred", "paper"] = "centred"
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_masks < 2 * RUNS or self.cells < 2 or not 0 < self.shown < 1:
            raise ConfigError(
                f"num_masks {self.num_masks}, cells {self.cells}, shown {self.shown}; expected at least {2 * RUNS} "
                "masks and 2 cells, and a probability between 0 and 1."
            )
        if self.paired and self.shown != 0.5:
            raise ConfigError(f"paired masks show half of the cells; got shown={self.shown}: set paired=False or 0.5.")
        if self.estimate not in ("centred", "paper"):
            raise ConfigError(f"estimate {self.estimate!r}; expected centred or paper.")

    def cheaper(self, images: int, side: int) -> "RISE":
        return self if self.num_masks <= images else dataclasses.replace(self, num_masks=max(images, 2 * RUNS))

    def with_samples(self, count: int) -> Self:
        return dataclasses.replace(self, num_masks=count)

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        size = (int(image.shape[2]), int(image.shape[3]))
        masks = SoftMasks.draw(self, size, np.random.default_rng(seed))
        fill = filled(classifier, image, self.fill)
        own = 2 * RUNS * size[0] * size[1] * 4
        run = self.asker(goal, image, self.num_masks, reserved=own)
        member = np.arange(self.num_masks) // (2 if self.paired else 1) % RUNS
        shares = np.eye(RUNS)[member]  # (N, RUNS): which run each mask belongs to
        sums = torch.zeros(2 * RUNS, size[0] * size[1], dtype=torch.float32)  # Σ f M, then Σ M, of each run
        scores = scores_of(goal, run.ask(self.num_masks, lambda part: blend(image, fill, masks.of(part))))
        totals, level = scores @ shares, scores[0]  # counted from the first, or single precision loses them
        weighed = np.concatenate([shares * (scores - level)[:, None], shares], axis=1).T.astype(np.float32)
        for part in run.parts(self.num_masks):
            sums.addmm_(torch.from_numpy(weighed[:, part]), masks.of(part).flatten(1))
        scored, shown = sums.view(2, RUNS, *size).double().numpy()
        scored = scored + level * shown
        counts = shares.sum(0)
        whole = self._map(scored.sum(0), shown.sum(0), totals.sum(), counts.sum())
        apart = np.stack([self._map(*of) for of in zip(scored, shown, totals, counts, strict=True)])
        details: dict[str, Any] = {
            "standard_errors": (apart.std(0, ddof=1) / np.sqrt(RUNS)).astype(np.float32),
            "mean_score": float(totals.sum() / counts.sum()),
            "samples": self.num_masks,
            "engine": run.name,
        }
        return torch.from_numpy(whole.astype(np.float32)), details

    def _map(self, scored: Floats, shown: Floats, total: float, count: float) -> Floats:
        if self.estimate == "paper":
            return scored / (self.shown * count)
        return scored / np.maximum(shown, 1e-9) - total / count


@dataclass(frozen=True, eq=False)
class SoftMasks:
    """Grids of random cells, to be upsampled bilinearly and shifted by less than a cell (Petsiuk 2018, section 3.2).

    A mask is A G Bᵀ with the interpolation matrices A and B of its shifts, so that a batch is two products of matrices.

    Attributes:
        grids: float32 (N, s, s) of 0 and 1. shifts: (N, 2) down and right. rows, columns: (cell, H or W, s) matrices.
    """

    grids: torch.Tensor
    shifts: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor

    @staticmethod
    def draw(method: RISE, size: tuple[int, int], rng: np.random.Generator) -> "SoftMasks":
        """The masks of a method for images of a size (H, W)."""
        count = -(-method.num_masks // 2) if method.paired else method.num_masks
        grids = rng.random((count, method.cells, method.cells)) < method.shown
        cells = [-(-side // method.cells) for side in size]
        shifts = np.stack([rng.integers(0, cell, count) for cell in cells], axis=1)
        if method.paired:
            grids = np.stack([grids, ~grids], axis=1).reshape(-1, *grids.shape[1:])
            shifts = shifts.repeat(2, axis=0)
        rows, columns = (
            torch.stack([_interpolation(method.cells, cell, side, shift) for shift in range(cell)])
            for cell, side in zip(cells, size, strict=True)
        )
        return SoftMasks(torch.from_numpy(grids.astype(np.float32)), torch.from_numpy(shifts), rows, columns)

    def of(self, part: slice) -> torch.Tensor:
        """Masks (n, H, W) in [0, 1] of a batch."""
        down, right = self.shifts[part].unbind(1)
        return self.rows[down] @ self.grids[part] @ self.columns[right].mT


def _interpolation(cells: int, cell: int, side: int, shift: int) -> torch.Tensor:
    """(side, cells): bilinear upsampling to (cells + 1) · cell pixels, of which `side` are taken from `shift` on."""
    long = F.interpolate(
        torch.eye(cells, dtype=torch.float32)[None], size=(cells + 1) * cell, mode="linear", align_corners=False
    )[0]
    return long[:, shift : shift + side].T
