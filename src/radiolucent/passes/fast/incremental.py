"""Forward passes of one image with small patches changed, computing only what the patches reach."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import fx

from radiolucent.models import Classifier
from radiolucent.models.caches import caches_untouched
from radiolucent.models.difference import difference_of_moves, relative_difference, share_of_moves
from radiolucent.models.per_network import forget, remember, remembered
from radiolucent.passes.fast.engine import MOVES_APART
from radiolucent.passes.fast.receptive_boxes import Box, Patch, around, behind, gather
from radiolucent.passes.fast.region_ops import (
    arguments_of,
    follows_fused,
    fused,
    inputs_of,
    is_local,
    pair,
    run_node,
    run_on_regions,
    value_of,
    weight_of,
    window_of,
)
from radiolucent.passes.fast.trace import aten, fold_batch_norms, operations

__all__ = ["Incremental", "Route", "incremental"]

WHOLE = 0.7
"""Share of a layer's map beyond which computing the whole map is faster than gathering the part."""

Route = Mapping[fx.Node, Box | None]
"""By node, the boxes of its output that changed; None where whole maps are computed."""


@dataclass(eq=False)
class Incremental:
    """A network's operations, and the maps of one image that patches are pasted into.

    Source: Nakandala 2019 (Krypton), section 3: at each layer only the box that a changed patch reaches is computed,
    from the cached map of the unchanged image around it. Exact up to the order of summation. From the layer on where
    the box is nearly the whole map, or where an operation is not local, whole maps are computed.

    Attributes:
        batch: samples the network was traced with: patches a pass, of which fewer are filled up where whole maps are
            computed by other than local operations.
        image: (1, C, H, W), unchanged.
    """

    graph: fx.GraphModule
    batch: int
    image: torch.Tensor

    @cached_property
    def maps(self) -> dict[fx.Node, torch.Tensor]:
        """Of the unchanged image, behind every operation that is local."""
        with torch.inference_mode():
            return _maps(self.graph, self.image, self.local)

    @property
    def local(self) -> Mapping[fx.Node, tuple[int, int]]:
        """Height and width of the maps behind every operation that is local, as are all before it."""
        found: Mapping[fx.Node, tuple[int, int]] | None = self.graph.meta.get("local")
        if found is None:
            self.graph.meta["local"] = found = _local_nodes(self.graph)
        return found

    def routes(self, boxes: Sequence[Box]) -> list[Route]:
        """A route for each; the last ones are remembered with the traced network, for its next image."""
        key = [(b.y.tobytes(), b.x.tobytes(), b.height, b.width) for b in boxes]
        kept: tuple[Any, list[Route]] | None = self.graph.meta.get("routes")
        if kept is None or kept[0] != key:
            self.graph.meta["routes"] = kept = key, [self.route(box) for box in boxes]
        return kept[1]

    def route(self, box: Box) -> Route:
        """The boxes of every node's output that boxes of the image reach, None where whole maps are computed."""
        boxes: dict[fx.Node, Box | None] = {}
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                boxes[node] = box
            elif node.op == "call_function":
                boxes[node] = self._reached(node, boxes)
        return boxes

    def plan(self, route: Route) -> float:
        """The share of a whole pass's multiplications that boxes on this route need."""
        needed = whole = 0.0
        for node, box in route.items():
            if node.target == aten.convolution.default:
                shape, kernel = value_of(node).shape, value_of(weight_of(node)).shape
                cost = float(shape[1:].numel() * kernel[1:].numel())
                whole += cost
                needed += cost * (1.0 if box is None else box.height * box.width / (shape[2] * shape[3]))
        return needed / whole if whole else 1.0

    def logits(self, patches: torch.Tensor, route: Route) -> torch.Tensor:
        """Logits (n, K) of the image with patches (n, C, h, w) put where a route begins; n ≤ `batch`."""
        patches = patches.contiguous(memory_format=torch.channels_last)
        state: dict[fx.Node, Any] = {}
        with torch.inference_mode():
            for node in self.graph.graph.nodes:
                if node.op == "placeholder":
                    begin = route[node]
                    assert begin is not None
                    state[node] = Patch(patches, begin)
                elif node.op == "get_attr":
                    state[node] = getattr(self.graph, str(node.target))
                elif node.op == "call_function":
                    state[node] = self._step(node, state, route[node])
        return state[_result(self.graph)][: len(patches)].float().cpu()

    def _reached(self, node: fx.Node, boxes: Mapping[fx.Node, Box | None]) -> Box | None:
        """The boxes of a node's output that changed, None where whole maps are computed."""
        given = [boxes.get(n) for n in inputs_of(node)]
        changed = [b for b in given if b is not None]
        if node not in self.local or len(changed) < len(given):
            return None
        size = self.local[node]
        window = window_of(node)
        box = around(changed, size) if window is None else behind(window, changed[0], size)
        return None if box.height * box.width > WHOLE * size[0] * size[1] else box

    def _step(self, node: fx.Node, state: dict[fx.Node, Any], box: Box | None) -> Any:
        patches: dict[fx.Node, Patch] = {n: state[n] for n in inputs_of(node) if isinstance(state[n], Patch)}
        if patches and follows_fused(node):  # already done with the convolution; doing it again changes nothing
            return next(iter(patches.values()))
        if patches:
            if box is not None and len(patches) == len(inputs_of(node)):  # else one is whole already
                return Patch(self._local(node, state, box), box)
            for n, patch in patches.items():  # from here on whole maps
                state[n] = self._whole(n, patch)
        if node not in self.local:  # it may have the traced number of samples written into it
            for n in inputs_of(node):
                if n in self.local:
                    state[n] = self._filled_up(state[n])
        return run_node(node, *arguments_of(node, state))

    def _whole(self, node: fx.Node, value: torch.Tensor | Patch) -> torch.Tensor:
        """A node's maps (n, C, H, W)."""
        if isinstance(value, torch.Tensor):
            return value
        zero = np.zeros_like(value.box.y)
        return gather(self.maps[node], value, Box(zero, zero, *self.local[node]))

    def _filled_up(self, values: torch.Tensor) -> torch.Tensor:
        missing = self.batch - len(values)
        return torch.cat([values, values[-1:].expand(missing, *values.shape[1:])]) if missing else values

    def _local(self, node: fx.Node, state: Mapping[fx.Node, Any], box: Box) -> torch.Tensor:
        """Values (n, C, h, w) of a node's output in boxes."""
        window = window_of(node)
        around_it = box if window is None else window.needed(box)

        def there(n: fx.Node) -> Any:
            value = state[n]
            if not isinstance(value, Patch):
                return value
            if value.box.same(around_it):
                return value.values
            return gather(self.maps[n], value, around_it, 0.0 if window is None else window.beyond)

        values = {n: there(n) for n in node.all_input_nodes}
        return run_node(node, *arguments_of(node, values)) if window is None else run_on_regions(node, values)


def incremental(
    classifier: Classifier, image: torch.Tensor, batch: int, state: tuple[int, Hashable]
) -> Incremental | str:
    """Make incremental passes around one image (1, C, H, W), or say why that does not work for this network.

    The traced operations are remembered for the network's next image with the same weights and settings, as long as
    they give its logits.
    """
    network = classifier.network
    valid = (tuple(image.shape[1:]), batch, state)
    if classifier.dtype != torch.float32:
        return "it does not compute in float32"

    def plain(x: torch.Tensor) -> torch.Tensor:
        out = network(x)
        return out[0] if isinstance(out, tuple) else out

    def trace() -> tuple[fx.GraphModule, str]:
        example = image.expand(batch, -1, -1, -1).contiguous()
        with caches_untouched(network):
            graph = fold_batch_norms(operations(plain, example))
        return graph, _refusal(classifier, graph, image, batch)

    try:
        kept = remembered(network, "traced", valid)
        if kept is not None and not kept[1] and not _gives(classifier, kept[0], image, batch):
            forget(network, "traced")  # something has changed that no key holds
        graph, refusal = remember(network, "traced", valid, trace)
        return refusal or Incremental(graph, batch, image)
    except Exception as error:  # a network may refuse in any way
        return f"it cannot be traced ({type(error).__name__}: {str(error)[:120]})"


def _gives(classifier: Classifier, graph: fx.GraphModule, image: torch.Tensor, batch: int) -> bool:
    """Whether a kept graph still gives the network's logits."""
    found, expected = _as_a_whole(Incremental(graph, batch, image), image), classifier.logits(image)
    moved = share_of_moves(found, expected, graph.meta["moves"])
    return moved <= MOVES_APART and relative_difference(found, expected) <= 1e-4


def _as_a_whole(made: Incremental, images: torch.Tensor) -> torch.Tensor:
    """Logits of images, computed as if all of the image had changed."""
    zero = np.zeros(1, np.int64)
    route = made.route(Box(zero, zero, int(images.shape[2]), int(images.shape[3])))
    return torch.cat([made.logits(x.clone(), route) for x in images.split(1)])


def _refusal(classifier: Classifier, graph: fx.GraphModule, image: torch.Tensor, batch: int) -> str:
    """Why a traced network is of no use; empty where it gives the network's logits on other images."""
    made = Incremental(graph, batch, image)
    if len(made.local) < 2:
        return "it does not begin with local operations"
    others = torch.cat([image.flip(-1), -image])
    alike = _as_a_whole(made, others)
    expected = classifier.logits(others)
    graph.meta["moves"] = float((expected[0] - expected[1]).abs().max())
    off, moves = relative_difference(alike, expected), difference_of_moves(alike, expected)
    return "" if off <= 1e-4 and moves <= MOVES_APART else f"its traced logits differ by {off:.0e}"


def _result(graph: fx.GraphModule) -> fx.Node:
    return next(n for n in graph.graph.nodes if n.op == "output").all_input_nodes[0]


def _local_nodes(graph: fx.GraphModule) -> dict[fx.Node, tuple[int, int]]:
    """Height and width of the maps behind every operation that is local, as are all before it, in order."""
    found: dict[fx.Node, tuple[int, int]] = {}
    for node in graph.graph.nodes:
        if node.op == "placeholder" or (node.op == "call_function" and is_local(node, found)):
            found[node] = (int(value_of(node).shape[2]), int(value_of(node).shape[3]))
    return found


def _maps(graph: fx.GraphModule, image: torch.Tensor, wanted: Collection[fx.Node]) -> dict[fx.Node, torch.Tensor]:
    """Maps (1, C, H, W) of the image behind local operations, all that they need among them."""
    maps: dict[fx.Node, torch.Tensor] = {}
    weights = {n: getattr(graph, str(n.target)) for n in graph.graph.nodes if n.op == "get_attr"}
    for node in graph.graph.nodes:
        if node not in wanted:
            continue
        if node.op == "placeholder":
            found = image
        elif follows_fused(node):
            found = maps[inputs_of(node)[0]]
        elif fused(node) is not None:
            found = run_on_regions(node, {**weights, **maps}, pair(node.args[4]))
        else:
            found = run_node(node, *arguments_of(node, {**weights, **maps}))
        maps[node] = found.contiguous(memory_format=torch.channels_last)
    return maps
