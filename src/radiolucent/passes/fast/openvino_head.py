"""The last layers of a traced network in OpenVINO: those where whole maps are needed anyway."""

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from radiolucent.errors import ModelError
from radiolucent.models.difference import difference_of_moves, relative_difference
from radiolucent.passes.fast.trace import aten

__all__ = ["Tail", "tail_of"]

APART = 1e-4
"""Largest |difference| of a logit from torch's, as a share of the logits' largest magnitude (at least 1)."""

MOVES_APART = 1e-3
"""The same as a share of how far the logits move between images."""

NORMS = {aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default}
VIEWS = {aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.expand.default}


@dataclass(frozen=True, eq=False)
class Tail:
    """The operations behind some nodes of a traced network.

    Attributes:
        inputs: the nodes. before: these and all nodes before them, which the tail does not compute.
        logits: of whole maps (n, C, H, W), one of each node in `inputs`, for any n: (n, K), float32.
    """

    inputs: tuple[fx.Node, ...]
    before: frozenset[fx.Node]
    logits: Callable[[Sequence[torch.Tensor]], torch.Tensor]


def tail_of(
    graph: fx.GraphModule,
    before: Collection[fx.Node],
    maps: Callable[[fx.Node], torch.Tensor],
    batch: int,
    compiler: Callable[..., Any],
    settings: tuple[Any, ...],
) -> Tail | str:
    """Make the tail behind nodes and all that comes before them, or say why OpenVINO cannot compute it as torch does.

    Args:
        maps: gives those of one image (1, C, H, W), by node. batch: number of samples the network was traced with.
        compiler: as `radiolucent.passes.fast.engine.compiled`. settings: what it depends on.
    """
    inputs = [n for n in before if any(u not in before for u in n.users)]
    name = (*settings, *(n.name for n in inputs))
    tails: dict[tuple[Any, ...], Tail | str] = graph.meta.setdefault("tails", {})
    if name not in tails:
        tails[name] = _made(graph, inputs, frozenset(before), [maps(n) for n in inputs], batch, compiler)
    return tails[name]


def _made(
    graph: fx.GraphModule,
    inputs: Sequence[fx.Node],
    before: frozenset[fx.Node],
    maps: Sequence[torch.Tensor],
    batch: int,
    compiler: Callable[..., Any],
) -> Tail | str:
    try:
        module = _behind(graph, inputs, batch)
        network = compiler(_FromPixels(module, [(m.shape[2], m.shape[3]) for m in maps]), [_pixels(m) for m in maps])
    except ModelError as error:
        return str(error)

    def logits(given: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.from_numpy(network([_pixels(m).cpu().numpy() for m in given])[0])

    others = [torch.cat([m, 0.7 * m.flip(-1), m]) for m in maps]
    with torch.inference_mode():
        expected = torch.cat([module(*(o[i : i + 1] for o in others)) for i in range(3)])
        found = logits(others)
    if found.shape != expected.shape:
        return f"OpenVINO gives {len(found)} answers for {len(expected)} images"
    off, moves = relative_difference(found, expected), difference_of_moves(found, expected)
    alike = off <= APART and moves <= MOVES_APART
    return Tail(tuple(inputs), before, logits) if alike else f"OpenVINO's logits differ by {off:.0e}"


class _FromPixels(nn.Module):
    """A network of maps (n, C, H, W) that takes pixels (n, H·W, C): OpenVINO transposes faster than torch."""

    def __init__(self, network: nn.Module, sizes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.network, self.sizes = network, sizes

    def forward(self, *pixels: torch.Tensor) -> torch.Tensor:
        turned = (p.transpose(1, 2) for p in pixels)
        maps = [t.reshape(-1, t.shape[1], *size) for t, size in zip(turned, self.sizes, strict=True)]
        found: torch.Tensor = self.network(*maps)
        return found


def _pixels(maps: torch.Tensor) -> torch.Tensor:
    """Maps (n, C, H, W) as (n, H·W, C)."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2).contiguous()


def _behind(graph: fx.GraphModule, inputs: Sequence[fx.Node], batch: int) -> fx.GraphModule:
    """The operations behind nodes as a network of its own, for any number of samples."""
    result = next(n for n in graph.graph.nodes if n.op == "output")
    needed, left = set[fx.Node](), [result]
    while left:
        node = left.pop()
        if node not in needed:
            needed.add(node)
            left += [] if node in inputs else node.all_input_nodes
    new = fx.Graph()
    made: dict[fx.Node, fx.Node] = {n: new.placeholder(n.name) for n in inputs}
    for node in graph.graph.nodes:
        if node not in needed or node in made:
            continue
        args: tuple[Any, ...] = node.args
        if node.target in NORMS:
            x, weight, bias, mean, variance = (None if a is None else made[a] for a in args[:5])
            made[node] = new.call_function(F.batch_norm, (x, mean, variance, weight, bias, False, 0.0, args[-1]))
        elif (node.target is operator.getitem and args[0].target in NORMS) or _changes_nothing(node):
            made[node] = made[args[0]]
        else:
            made[node] = copied = new.node_copy(node, made.__getitem__)
            if node.target in VIEWS and args[1][0] == batch:
                copied.args = (copied.args[0], [-1, *args[1][1:]], *copied.args[2:])
    return fx.GraphModule(graph, new)


def _changes_nothing(node: fx.Node) -> bool:
    """Whether a node only restates how its input lies in memory, for the number of samples it was traced with."""
    if node.target not in (aten.as_strided.default, aten.as_strided_.default):
        return False
    args: tuple[Any, ...] = node.args
    before = args[0].meta["val"]
    alike = [a == b for n, a, b in zip(before.shape, before.stride(), args[2], strict=True) if n > 1]
    return list(before.shape) == list(args[1]) and all(alike) and len(args) == 3
