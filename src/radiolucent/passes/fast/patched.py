"""Answers to patched copies of one image, in batches that share routes through the network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from radiolucent.models import Classifier
from radiolucent.passes.engines import Patched, Patches
from radiolucent.passes.fast.incremental import Incremental, Route, incremental
from radiolucent.passes.fast.parallel_batches import threads
from radiolucent.passes.fast.receptive_boxes import Box

__all__ = ["patched"]

MOST_TOGETHER = 32
"""Patches a pass at most: beyond it a batch gains nothing on a CPU and leaves its caches."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """Batches of patches, what computes them and by which routes; `why` says how much that is.

    Attributes:
        order: of the patches. parts: slices of that order.
    """

    passes: Incremental
    routes: list[Route]
    order: torch.Tensor
    parts: list[slice]
    why: str


def patched(
    classifier: Classifier,
    patches: Patches,
    *,
    state: tuple[int, int],
    batch: int,
    workers: int,
    megabytes: float | None,
    openvino: bool,
    kernels: bool,
    below: float,
    side_by_side: Callable[..., list[torch.Tensor]],
) -> Patched | str:
    """See `Session.patched`.

    Args:
        state: of the network, as numbers. openvino: whether OpenVINO may compute the network's end.
        below: the largest share of a whole pass's multiplications that is still worth it.

    Returns what was found, or why the network or these patches do not allow it.
    """
    found = incremental(classifier, patches.image, batch, state)
    if not isinstance(found, Incremental):
        return found

    def planned(size: int) -> _Plan | str:
        order, parts = alike(patches, size)
        boxes = [Box(patches.y[i].numpy(), patches.x[i].numpy(), *patches.size) for i in (order[p] for p in parts)]
        routes = found.routes(boxes)
        share = sum(found.plan(r) * len(box.y) for r, box in zip(routes, boxes, strict=True)) / len(patches.y)
        if share >= below:
            return f"windows reach {share:.0%} of the network's work"
        passes = found.with_tail(routes, workers=workers, kernels=kernels) if openvino else found
        return _Plan(passes, routes, order, parts, f"{share:.0%} of the multiplications of whole passes")

    if not openvino or megabytes is None:
        plan = planned(batch)
    else:
        plan = _larger(found, planned, patches, batch, workers, megabytes, below)
    return plan if isinstance(plan, str) else _answers(plan, patches, workers, side_by_side)


def _larger(
    found: Incremental,
    planned: Callable[[int], _Plan | str],
    patches: Patches,
    batch: int,
    workers: int,
    megabytes: float,
    below: float,
) -> _Plan | str:
    """The plan with as many patches a pass as the memory holds.

    Parts of films take less memory than films, so where OpenVINO computes the network's end, which takes any number,
    more may go together. How many is known once the first batches are planned; it is kept with the traced network.
    """
    together: dict[Any, int] = found.graph.meta.setdefault("together", {})
    corners = (patches.y.numpy().tobytes(), patches.x.numpy().tobytes())
    key = (patches.size, corners, batch, workers, threads(), megabytes, below)
    plan = planned(together.get(key, batch))
    if key in together:
        return plan
    together[key] = batch
    if isinstance(plan, _Plan) and plan.passes.tail is not None:
        fits = int(megabytes * 2**20 // (plan.passes.bytes_per_patch(plan.routes) * workers))
        more = max(batch, min(fits, MOST_TOGETHER))
        larger = planned(more)
        if isinstance(larger, _Plan) and larger.passes.tail is not None:
            together[key] = more
            return larger
    return plan


def _answers(plan: _Plan, patches: Patches, workers: int, side_by_side: Callable[..., list[torch.Tensor]]) -> Patched:
    passes, order = plan.passes, plan.order
    unchanged = passes.unchanged()
    size = [passes.plan(route) * (part.stop - part.start) for route, part in zip(plan.routes, plan.parts, strict=True)]
    slowest_first = sorted(range(len(size)), key=lambda i: -size[i])

    def logits(i: int) -> torch.Tensor:
        return passes.logits(patches.values(order[plan.parts[i]]), plan.routes[i])

    by_part = dict(zip(slowest_first, side_by_side(logits, slowest_first, workers), strict=True))
    found = torch.cat([by_part[i] for i in range(len(size))])[order.argsort()]
    return Patched(found, unchanged, passes.engine, plan.why)


def alike(patches: Patches, batch: int) -> tuple[torch.Tensor, list[slice]]:
    """An order of the patches, and batches of that order whose boxes lie about as far from the edges.

    What a box changes grows from layer to layer, but not beyond an edge. The boxes of a batch have one size, so a batch
    of boxes near a corner needs much less than one with others among them.
    """
    groups = max(1, round((len(patches.y) / batch) ** 0.5))

    def group(start: torch.Tensor, side: int, size: int) -> torch.Tensor:
        off, ranks = (2 * start + size - side).abs().unique(return_inverse=True)
        return torch.div(ranks * groups, len(off), rounding_mode="floor")

    height, width = patches.image.shape[2:]
    key = group(patches.y, height, patches.size[0]) * groups + group(patches.x, width, patches.size[1])
    parts, start = list[slice](), 0
    for count in _counts(key):
        passes = -(-count // batch)
        edges = [start + count * i // passes for i in range(passes + 1)]
        parts += [slice(a, b) for a, b in pairwise(edges)]
        start += count
    return key.argsort(stable=True), parts


def _counts(key: torch.Tensor) -> Sequence[int]:
    counts: list[int] = key.unique(return_counts=True)[1].tolist()
    return counts
