"""Answers to patched copies of one image, in batches that share routes through the network."""

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

import torch

from radiolucent.models import Classifier
from radiolucent.passes.engines import Patched, Patches
from radiolucent.passes.fast.incremental import Incremental, incremental
from radiolucent.passes.fast.receptive_boxes import Box

__all__ = ["patched"]


def patched(
    classifier: Classifier,
    patches: Patches,
    *,
    state: tuple[int, Hashable],
    batch: int,
    workers: int,
    below: float,
    side_by_side: Callable[..., list[torch.Tensor]],
) -> Patched | str:
    """See `Session.patched`.

    Args:
        state: of the network (`Session.state_of`).
        below: the largest share of a whole pass's multiplications that is still worth it.

    Returns what was found, or why the network or these patches do not allow it.
    """
    found = incremental(classifier, patches.image, batch, state)
    if not isinstance(found, Incremental):
        return found

    order, parts = alike(patches, batch)
    boxes = [Box(patches.y[i].numpy(), patches.x[i].numpy(), *patches.size) for i in (order[p] for p in parts)]
    routes = found.routes(boxes)
    share = sum(found.plan(r) * len(box.y) for r, box in zip(routes, boxes, strict=True)) / len(patches.y)
    if share >= below:
        return f"windows reach {share:.0%} of the network's work"
    size = [found.plan(route) * (part.stop - part.start) for route, part in zip(routes, parts, strict=True)]
    slowest_first = sorted(range(len(size)), key=lambda i: -size[i])
    _ = found.maps  # computed here once, before several workers need them

    def logits(i: int) -> torch.Tensor:
        return found.logits(patches.values(order[parts[i]]), routes[i])

    by_part = dict(zip(slowest_first, side_by_side(logits, slowest_first, workers), strict=True))
    answers = torch.cat([by_part[i] for i in range(len(size))])[order.argsort()]
    return Patched(answers, f"{share:.0%} of the multiplications of whole passes")


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
