"""Operations of a traced network: which part of their inputs they use, and how they run on regions of maps."""

import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx
from torch.fx.node import map_arg

from radiolucent.passes.fast.receptive_boxes import Window
from radiolucent.passes.fast.trace import aten

__all__ = [
    "arguments_of",
    "follows_fused",
    "fused",
    "inputs_of",
    "is_local",
    "pair",
    "run_node",
    "run_on_regions",
    "value_of",
    "weight_of",
    "window_of",
]

ELEMENTWISE = {
    getattr(aten, name).default
    for name in (
        "relu hardtanh sigmoid silu hardswish hardsigmoid gelu leaky_relu elu tanh clone detach alias neg exp softplus"
    ).split()
} | {aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default}
BINARY = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}


def inputs_of(node: fx.Node) -> list[fx.Node]:
    """The nodes whose values a node takes, without weights and other constants."""
    return [n for n in node.all_input_nodes if n.op != "get_attr"]


def arguments_of(node: fx.Node, values: Mapping[fx.Node, Any]) -> tuple[Any, Any]:
    """A node's positional and named arguments, with values in place of nodes."""

    def of(node: fx.Node) -> Any:
        return values[node]

    found: Any = map_arg((node.args, node.kwargs), of)
    return found


def is_local(node: fx.Node, maps: Mapping[fx.Node, Any]) -> bool:
    """Whether places of a node's maps (n, C, H, W) depend on windows of those before it, all of them in `maps`."""
    inputs, shape = inputs_of(node), getattr(value_of(node), "shape", ())
    if not inputs or any(n not in maps for n in inputs) or len(shape) != 4:
        return False
    if node.target is operator.getitem:
        return bool(node.args[1] == 0)
    if node.target in BINARY:
        others = [value_of(n).shape for n in node.all_input_nodes if n.op == "get_attr"]
        alike = all(tuple(value_of(n).shape) == tuple(shape) for n in inputs)
        return alike and all(len(s) == 0 or (len(s) >= 3 and s[-2:] == (1, 1)) for s in others)
    if node.target == aten.cat.default:
        parts: Any = node.args[0]
        axis: Any = node.args[1] if len(node.args) > 1 else 0
        return axis in (1, -3) and len(inputs) == len(parts)
    return node.target in ELEMENTWISE or window_of(node) is not None


def weight_of(node: fx.Node) -> fx.Node:
    """The node of a convolution's weight."""
    weight: Any = node.args[1]
    return weight


def value_of(node: fx.Node) -> Any:
    """What a node gave when it was traced (a fake tensor); of a tuple the first."""
    value = node.meta.get("val")
    return value[0] if isinstance(value, tuple | list) else value


def run_node(node: fx.Node, args: Any, kwargs: Any) -> Any:
    """A node's operation on whole values; of a tuple the first, where only that is used."""
    target: Any = node.target
    if target is operator.getitem and isinstance(args[0], torch.Tensor):  # taken already
        return args[0]
    out = target(*args, **kwargs)
    return out[0] if _is_pair(node) else out


def _is_pair(node: fx.Node) -> bool:
    """Whether of a tuple only the first is ever used: it is taken at once."""
    return isinstance(node.meta.get("val"), tuple | list) and all(
        u.target is operator.getitem and u.args[1] == 0 for u in node.users
    )


def pair(value: Any, default: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """(down, across) of an argument that is one number, several, or missing."""
    numbers: list[Any] = [value] if isinstance(value, int) else list(value or [])
    return default if not numbers else (int(numbers[0]), int(numbers[-1]))


def window_of(node: fx.Node) -> Window | None:
    """How a convolution, pooling or padding looks at its input; None for anything else."""
    args: list[Any] = [*node.args, *[None] * 8]
    kernel = (1, 1)
    if node.target == aten.convolution.default and not args[6]:
        kernel = pair(value_of(args[1]).shape[2:])
        return Window(_reach(kernel, pair(args[5])), pair(args[3]), pair(args[4]))
    if node.target == aten.max_pool2d_with_indices.default and _is_pair(node):
        kernel = pair(args[1])
        reach = _reach(kernel, pair(args[4], (1, 1)))
        return Window(reach, pair(args[2], kernel), pair(args[3]), float("-inf"))
    if node.target == aten.avg_pool2d.default:
        kernel, pad = pair(args[1]), pair(args[3])
        counts_alike = pad == (0, 0) or args[5] is None or bool(args[5])
        if not args[4] and counts_alike and args[6] is None:
            return Window(kernel, pair(args[2], kernel), pad)
    if node.target == aten.constant_pad_nd.default and len(args[1]) == 4 and min(args[1]) >= 0:
        return Window((1, 1), pad=(int(args[1][2]), int(args[1][0])), beyond=float(args[2] or 0.0))
    return None


def fused(node: fx.Node) -> str | None:
    """The activation that oneDNN computes with this convolution; only one that changes nothing if done twice."""
    users = list(node.users)
    if node.target != aten.convolution.default or len(users) != 1 or not torch.backends.mkldnn.is_available():
        return None
    if value_of(node).device.type != "cpu":
        return None
    return (
        "hardtanh"
        if len(users[0].args) == 3 and users[0].target == aten.hardtanh.default
        else ("relu" if users[0].target == aten.relu.default else None)
    )


def follows_fused(node: fx.Node) -> bool:
    """Whether a node is the activation that the convolution before it computes as well."""
    given = inputs_of(node)
    return node.target in (aten.hardtanh.default, aten.relu.default) and fused(given[0]) is not None


def _reach(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def run_on_regions(node: fx.Node, values: Mapping[fx.Node, Any], pad: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """A node's operation on regions that hold their own padding; a convolution's also with zeros around them."""
    args: list[Any] = [*node.args, *[None] * 8]
    region: torch.Tensor = values[args[0]]
    if node.target == aten.convolution.default:
        bias = None if args[2] is None else values[args[2]]
        if (name := fused(node)) is not None:
            limits = list(next(iter(node.users)).args[1:])
            sizes = (pad, pair(args[3]), pair(args[5]), int(args[8]))
            return torch.ops.mkldnn._convolution_pointwise(region, values[args[1]], bias, *sizes, name, limits, "")
        return torch.conv2d(region, values[args[1]], bias, pair(args[3]), pad, pair(args[5]), int(args[8]))
    kernel = pair(args[1])
    if node.target == aten.max_pool2d_with_indices.default:
        return F.max_pool2d(region, kernel, pair(args[2], kernel), 0, pair(args[4], (1, 1)))
    if node.target == aten.avg_pool2d.default:
        return F.avg_pool2d(region, kernel, pair(args[2], kernel))
    return region
