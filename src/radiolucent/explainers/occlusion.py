"""Occlusion: how much the score drops when a window hides a place."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.copies import LARGEST_BATCH, Fill, Perturbation, filled, grey_of, scores_of
from radiolucent.explainers.perturbation.inpaint import inpaint
from radiolucent.models import Classifier
from radiolucent.passes.engines import Patched, Patches

__all__ = ["Occlusion", "Windows"]


@dataclass(frozen=True)
class Occlusion(Perturbation):
    """The drop of the score when a window hides a place. Source: Zeiler & Fergus 2014, section 2.1.

    map(λ) = mean over the windows W that cover λ of f(film) − f(film with W hidden): positive where hiding costs score.
    Windows stand at 0, stride, 2 · stride, …, the last one reaching the right or bottom edge, where it is cut off:
    every pixel is covered, and captum's `Occlusion` (0.9) gives the same map.

    Where the network's geometry allows and that is quicker, only what a window can reach is computed; the details say
    what was done and why.

    Attributes:
        window: side in pixels, or (height, width). stride: in pixels, or (down, right); at most the window.
        batch_size: windows at a time; None: as many as `max_memory_mb` holds, 32 a thread at most.
        fill: what the window shows: a grey in [0, 1], "grey", "mean" (of the film), "blur", or "inpaint" (harmonic from
            the window's rim).
        passes: "auto", "whole" or "incremental" (an error where that cannot be).
    """

    title: ClassVar[str] = "Occlusion"
    answers: ClassVar[str] = "what the score loses when a window is covered"
    misleads: ClassVar[str] = "findings that come in pairs; window size"
    cost: ClassVar[str] = "windows"

    window: int | tuple[int, int] = 32
    stride: int | tuple[int, int] = 16
    fill: Fill = "mean"
    passes: Literal["auto", "whole", "incremental"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        window, stride = _pair(self.window), _pair(self.stride)
        if min(window) < 1 or min(stride) < 1 or any(s > w for s, w in zip(stride, window, strict=True)):
            raise ConfigError(f"window {self.window}, stride {self.stride}; expected 1 ≤ stride ≤ window.")
        if self.passes not in ("auto", "whole", "incremental"):
            raise ConfigError(f"passes {self.passes!r}; expected auto, whole or incremental.")

    def cheaper(self, images: int, side: int) -> "Occlusion":
        """Windows further apart, until they no longer overlap; then larger ones."""
        few = self
        while len(Windows.over((side, side), _pair(few.window), _pair(few.stride)).y) > images:
            (h, w), (down, right) = _pair(few.window), _pair(few.stride)
            if (down, right) == (h, w):
                h, w = min(h + max(h // 4, 1), side), min(w + max(w // 4, 1), side)
            apart = min(down + max(down // 4, 1), h), min(right + max(right // 4, 1), w)
            if (h, w) == _pair(few.window) and apart == (down, right):
                break
            few = dataclasses.replace(few, window=(h, w), stride=apart)
        return few

    def one(
        self, classifier: Classifier, image: torch.Tensor, goal: Goal, seed: int
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        windows = Windows.over((int(image.shape[2]), int(image.shape[3])), _pair(self.window), _pair(self.stride))
        hidden = self._hidden(classifier, image, windows)
        patches = Patches(image, windows.size, windows.y, windows.x, hidden)
        found = self._in_part(classifier, goal, patches)
        if isinstance(found, Patched):
            logits, name, why = found.logits, "torch", found.why
        else:
            run = self.asker(goal, image, len(windows.y))
            index = torch.arange(len(windows.y))
            logits = run.ask(len(index), lambda part: patches.whole(index[part]))
            name, why = run.name, found
        drops = float(goal.of(goal.over(classifier, image).logits)[0]) - scores_of(goal, logits)
        details: dict[str, Any] = {
            "drops": drops.reshape(windows.grid),
            "rows": np.unique(windows.top.numpy()),
            "columns": np.unique(windows.left.numpy()),
            "passes": "incremental" if isinstance(found, Patched) else "whole",
            "why": why,
            "engine": name,
            "samples": len(windows.y),
        }
        return torch.from_numpy(windows.mean_over_cover(drops).astype(np.float32)), details

    def _in_part(self, classifier: Classifier, goal: Goal, patches: Patches) -> Patched | str:
        """The answers to all windows by incremental passes, or why whole passes are made."""
        if self.passes == "whole":
            return "asked for"
        session = goal.session
        sides = session.workers if classifier.device.type == "cpu" else 1
        batch, sides = self.passes_of(classifier, patches.image, sides, LARGEST_BATCH * sides)
        found = session.patched(
            classifier,
            patches,
            batch=batch,
            workers=sides,
            kind=self.engine,
            always=self.passes == "incremental",
        )
        if self.passes == "incremental" and not isinstance(found, Patched):
            raise ConfigError(f"no incremental passes for this network: {found}; use passes='auto'.")
        return found

    def _hidden(
        self, classifier: Classifier, image: torch.Tensor, windows: "Windows"
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """What the boxes (m, C, h, w) of some windows show."""
        if self.fill == "inpaint":
            grey = grey_of(classifier, image)
            normalise = classifier.preprocess.normalise

            def painted(index: torch.Tensor) -> torch.Tensor:
                boxes = windows.boxes(torch.from_numpy(grey)[None, None], index)
                for i, (top, left, bottom, right) in enumerate(windows.corners(index)):
                    y, x = int(windows.y[index[i]]), int(windows.x[index[i]])
                    new = torch.from_numpy(inpaint(grey, top, left, bottom, right))
                    boxes[i, 0, top - y : bottom - y, left - x : right - x] = new
                keep = windows.boxes(image, index)
                return torch.where(windows.inside(index)[:, None].to(image.device), normalise(boxes).to(image), keep)

            return painted
        fill = filled(classifier, image, self.fill)

        def flat(index: torch.Tensor) -> torch.Tensor:
            inside = windows.inside(index)[:, None].to(image.device)
            return torch.where(inside, windows.boxes(fill, index), windows.boxes(image, index))

        return flat


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows over a map (H, W), and boxes of one size inside the map that hold them.

    Attributes:
        shape: (H, W). size: of the boxes. grid: windows down and across.
        top, left: (n,) corners of the windows, row after row. y, x: (n,) corners of the boxes.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    grid: tuple[int, int]
    top: torch.Tensor
    left: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor

    @staticmethod
    def over(shape: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> "Windows":
        """All windows at multiples of the stride until the far edges are covered."""
        size = cast("tuple[int, int]", tuple(min(w, s) for w, s in zip(window, shape, strict=True)))
        rows, columns = (
            torch.arange(-(-(side - w) // step) + 1) * step for side, w, step in zip(shape, size, stride, strict=True)
        )
        top, left = (t.flatten() for t in torch.meshgrid(rows, columns, indexing="ij"))
        y, x = top.clamp(max=shape[0] - size[0]), left.clamp(max=shape[1] - size[1])
        return Windows(shape, size, (len(rows), len(columns)), top, left, y, x)

    def corners(self, index: torch.Tensor) -> list[tuple[int, int, int, int]]:
        """Top, left, bottom and right of windows, cut off at the map's edges."""
        tops, lefts = self.top[index].tolist(), self.left[index].tolist()
        (height, width), (h, w) = self.shape, self.size
        return [(t, s, min(t + h, height), min(s + w, width)) for t, s in zip(tops, lefts, strict=True)]

    def inside(self, index: torch.Tensor) -> torch.Tensor:
        """(m, h, w): which pixels of the boxes the windows cover."""
        rows = self.y[index, None] + torch.arange(self.size[0]) >= self.top[index, None]
        columns = self.x[index, None] + torch.arange(self.size[1]) >= self.left[index, None]
        return rows[:, :, None] & columns[:, None]

    def boxes(self, whole: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Boxes (m, C, h, w) of a map (1, C, H, W)."""
        rows = (self.y[index, None] + torch.arange(self.size[0]))[:, :, None]
        columns = (self.x[index, None] + torch.arange(self.size[1]))[:, None]
        return whole[0].permute(1, 2, 0)[rows, columns].permute(0, 3, 1, 2)

    def mean_over_cover(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(H, W): mean of the values (n,) of the windows that cover each pixel.

        Each window adds at its corners; running sums along both axes fill it.
        """
        sums = np.zeros((2, self.shape[0] + 1, self.shape[1] + 1))
        top, left, bottom, right = np.array(self.corners(torch.arange(len(self.y)))).T
        for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            for channel, amount in enumerate((values, np.ones(len(values)))):
                np.add.at(sums[channel], (rows, columns), sign * amount)
        totals, covers = sums.cumsum(1).cumsum(2)[:, :-1, :-1]
        return totals / np.rint(covers)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
