"""Occlusion: how much the score drops when a window hides a place."""

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.explainers.base import Goal
from radiolucent.explainers.perturbation.copies import LARGEST_BATCH, Fill, Perturbation, filled, grey_of, scores_of
from radiolucent.explainers.perturbation.inpaint import inpaint
from radiolucent.models import Classifier
from radiolucent.passes.fast.engine import with_openvino
from radiolucent.passes.fast.incremental import Incremental, Route, incremental, worth_tracing
from radiolucent.passes.fast.parallel_batches import side_by_side, threads, workers
from radiolucent.passes.fast.receptive_boxes import Box, gather_image

__all__ = ["Occlusion", "Windows"]

QUICKER = 0.65
"""Share of the multiplications below which incremental passes beat whole ones, OpenVINO's too (measured)."""


@dataclass(frozen=True)
class Occlusion(Perturbation):
    """The drop of the score when a window hides a place. Source: Zeiler & Fergus 2014, section 2.1.

    map(λ) = mean over the windows W that cover λ of f(film) − f(film with W hidden): positive where hiding costs score.
    Windows stand at 0, stride, 2 · stride, …, the last one reaching the right or bottom edge, where it is cut off:
    every pixel is covered, and captum's `Occlusion` (0.9) gives the same map.

    Only what a window can reach is computed where the network's geometry allows (`radiolucent.passes.fast.incremental`)
    and that is quicker; details say what was done and why.

    Attributes:
        window: side in pixels, or (height, width). stride: in pixels, or (down, right); at most the window.
        batch_size: windows at a time; None: as many as `max_memory_mb` holds, 32 a thread at most: as whole films, or
            as the parts of films that are computed where OpenVINO computes the network's end.
        fill: what the window shows: a grey in [0, 1], "grey", "mean" (of the film), "blur", or "inpaint" (harmonic from
            the window's rim).
        passes: "auto", "whole" or "incremental" (an error where that cannot be).
    """

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
        count = len(windows.y)
        sides = workers() if classifier.device.type == "cpu" else 1
        batch, sides = self.passes_of(classifier, image, sides, LARGEST_BATCH * sides)
        quick, routes, (order, parts), why = self._incremental(classifier, image, windows, batch, sides)
        sorted_ = windows.taken(order)
        hidden = self._hidden(classifier, image, sorted_)

        def patched(part: slice) -> torch.Tensor:
            copies = image.repeat(part.stop - part.start, 1, 1, 1)
            return sorted_.paste(copies, hidden(part), part)

        given = None if quick is None else quick.unchanged()
        if quick is None:
            run = self.asker(classifier, image, count)
            logits, name = run.ask(count, patched), run.name
        else:
            slowest_first = sorted(range(len(parts)), key=lambda i: -quick.plan(routes[i]) * len(order[parts[i]]))
            each = side_by_side(lambda i: quick.logits(hidden(parts[i]), routes[i]), slowest_first, sides)
            by_part = dict(zip(slowest_first, each, strict=True))
            logits, name = torch.cat([by_part[i] for i in range(len(parts))]), quick.engine
        logits = logits[order.argsort()]
        given = goal.over(classifier, image).logits if given is None else given
        drops = float(goal.of(given)[0]) - scores_of(goal, logits)
        details: dict[str, Any] = {
            "drops": drops.reshape(windows.grid),
            "rows": np.unique(windows.top.numpy()),
            "columns": np.unique(windows.left.numpy()),
            "passes": "whole" if quick is None else "incremental",
            "why": why,
            "engine": name,
            "samples": count,
        }
        return torch.from_numpy(windows.mean_over_cover(drops).astype(np.float32)), details

    def _incremental(
        self, classifier: Classifier, image: torch.Tensor, windows: "Windows", batch: int, sides: int
    ) -> tuple[Incremental | None, list[Route], tuple[torch.Tensor, list[slice]], str]:
        """What computes batches of windows in part, or None; by which routes; batches (`Windows.alike`); why."""
        count, whole = len(windows.y), windows.alike(batch)
        if self.passes == "whole" or (self.passes == "auto" and not worth_tracing(classifier, count)):
            return None, [], whole, "asked for" if self.passes == "whole" else "few windows"
        found = incremental(classifier, image, batch)
        if not isinstance(found, Incremental):
            if self.passes == "incremental":
                raise ConfigError(f"no incremental passes for this network: {found}; use passes='auto'.")
            return None, [], whole, found
        ended = with_openvino(classifier, count, self.engine)

        def planned(size: int) -> tuple[Incremental | None, list[Route], tuple[torch.Tensor, list[slice]], str]:
            order, parts = windows.alike(size)
            sorted_ = windows.taken(order)
            boxes = [sorted_.box(p) for p in parts]
            routes = found.routes(boxes)
            share = sum(found.plan(r) * len(box.y) for r, box in zip(routes, boxes, strict=True)) / count
            if self.passes == "auto" and share >= QUICKER:
                return None, [], whole, f"windows reach {share:.0%} of the network's work"
            quick = found.with_tail(routes) if ended else found
            return quick, routes, (order, parts), f"{share:.0%} of the multiplications of whole passes"

        if not ended or self.batch_size is not None:
            return planned(batch)
        # Parts of films need less memory than films, so with a tail, which takes any number, more may go together. How
        # many is known once the first are planned; it is kept unless more, less alike, are no longer worth it.
        together: dict[Any, int] = found.graph.meta.setdefault("together", {})
        key = (windows.shape, windows.size, windows.grid, batch, sides, threads(), self.max_memory_mb, self.passes)
        plan = planned(together.get(key, batch))
        quick, routes = plan[:2]
        if key not in together:
            together[key] = batch
            if quick is not None and quick.tail is not None:
                fits = int(self.max_memory_mb * 2**20 // (quick.bytes_per_patch(routes) * sides))
                more = max(batch, min(fits, LARGEST_BATCH))
                larger = planned(more)
                if larger[0] is not None and larger[0].tail is not None:
                    together[key], plan = more, larger
        return plan

    def _hidden(self, classifier: Classifier, image: torch.Tensor, windows: "Windows") -> Any:
        """Boxes (n, C, h, w) of the hidden film, of a batch of windows."""
        if self.fill == "inpaint":
            grey = grey_of(classifier, image)
            normalise = classifier.preprocess.normalise

            def painted(part: slice) -> torch.Tensor:
                boxes = windows.boxes(torch.from_numpy(grey)[None, None], part)
                for i, (top, left, bottom, right) in enumerate(windows.corners(part)):
                    y, x = int(windows.y[part][i]), int(windows.x[part][i])
                    new = torch.from_numpy(inpaint(grey, top, left, bottom, right))
                    boxes[i, 0, top - y : bottom - y, left - x : right - x] = new
                keep = windows.boxes(image, part)
                return torch.where(windows.inside(part)[:, None].to(image.device), normalise(boxes).to(image), keep)

            return painted
        fill = filled(classifier, image, self.fill)

        def flat(part: slice) -> torch.Tensor:
            inside = windows.inside(part)[:, None].to(image.device)
            return torch.where(inside, windows.boxes(fill, part), windows.boxes(image, part))

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

    def alike(self, batch: int) -> tuple[torch.Tensor, list[slice]]:
        """An order of the windows, and batches of it that lie about as far from the edges.

        What a window changes grows from layer to layer, but not beyond an edge; boxes of a batch have one size, so a
        batch of windows near a corner needs much less than one with others among them.
        """
        groups = max(1, round((len(self.y) / batch) ** 0.5))

        def group(start: torch.Tensor, side: int, size: int) -> torch.Tensor:
            apart, ranks = (2 * start + size - side).abs().unique(return_inverse=True)
            return torch.div(ranks * groups, len(apart), rounding_mode="floor")

        rows, columns = group(self.y, self.shape[0], self.size[0]), group(self.x, self.shape[1], self.size[1])
        order = (rows * groups + columns).argsort(stable=True)
        parts, start = list[slice](), 0
        for count in (rows * groups + columns).unique(return_counts=True)[1].tolist():
            passes = -(-count // batch)
            edges = [start + count * i // passes for i in range(passes + 1)]
            parts += [slice(a, b) for a, b in pairwise(edges)]
            start += count
        return order, parts

    def taken(self, order: torch.Tensor) -> "Windows":
        """The windows in another order."""
        moved = {name: getattr(self, name)[order] for name in ("top", "left", "y", "x")}
        return dataclasses.replace(self, **moved)

    def corners(self, part: slice) -> list[tuple[int, int, int, int]]:
        """Top, left, bottom and right of windows, cut off at the map's edges."""
        tops, lefts = self.top[part].tolist(), self.left[part].tolist()
        (height, width), (h, w) = self.shape, self.size
        return [(t, s, min(t + h, height), min(s + w, width)) for t, s in zip(tops, lefts, strict=True)]

    def box(self, part: slice) -> Box:
        """Where the boxes lie."""
        return Box(self.y[part].numpy(), self.x[part].numpy(), *self.size)

    def inside(self, part: slice) -> torch.Tensor:
        """(n, h, w): which pixels of the boxes the windows cover."""
        rows = self.y[part, None] + torch.arange(self.size[0]) >= self.top[part, None]
        columns = self.x[part, None] + torch.arange(self.size[1]) >= self.left[part, None]
        return rows[:, :, None] & columns[:, None]

    def boxes(self, whole: torch.Tensor, part: slice) -> torch.Tensor:
        """Boxes (n, C, h, w) of a map (1, C, H, W)."""
        return gather_image(whole, self.box(part))

    def paste(self, copies: torch.Tensor, boxes: torch.Tensor, part: slice) -> torch.Tensor:
        """Copies (n, C, H, W) with boxes written into them, in place."""
        rows = (self.y[part, None] + torch.arange(self.size[0]))[:, :, None]
        columns = (self.x[part, None] + torch.arange(self.size[1]))[:, None]
        copies[torch.arange(len(copies))[:, None, None], :, rows, columns] = boxes.permute(0, 2, 3, 1)
        return copies

    def mean_over_cover(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(H, W): mean of the values (n,) of the windows that cover each pixel.

        Each window adds at its corners; running sums along both axes fill it.
        """
        sums = np.zeros((2, self.shape[0] + 1, self.shape[1] + 1))
        top, left, bottom, right = np.array(self.corners(slice(None))).T
        for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            for channel, amount in enumerate((values, np.ones(len(values)))):
                np.add.at(sums[channel], (rows, columns), sign * amount)
        totals, covers = sums.cumsum(1).cumsum(2)[:, :-1, :-1]
        return totals / np.rint(covers)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
