"""A network as a list of plain tensor operations, whatever Python it was written in."""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx

__all__ = ["fold_batch_norms", "operations"]

aten: Any = torch.ops.aten


def operations(function: Callable[..., torch.Tensor], *examples: torch.Tensor) -> fx.GraphModule:
    """The operations of a function of tensors, without those its result does not need.

    Nothing is computed but shapes. The result takes inputs of the shapes of `examples`, their first dimension included.
    It shares the function's weights; in-place operations become plain ones. Whatever the function does besides tensor
    operations (drawing random numbers, leaving torch) is frozen or fails: compare the results before use.
    """
    with torch.no_grad():
        plain = torch.func.functionalize(function, remove="mutations")
        traced = make_fx(plain, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
    kept: set[fx.Node] = set()
    nodes: list[fx.Node] = list(traced.graph.nodes)
    left = [n for n in nodes if n.op in ("output", "placeholder")]
    while left:
        node = left.pop()
        if node not in kept:
            kept.add(node)
            left += node.all_input_nodes
    for node in reversed(nodes):
        if node not in kept:
            traced.graph.erase_node(node)
    traced.recompile()
    return traced


def fold_batch_norms(network: fx.GraphModule) -> fx.GraphModule:
    """The same operations with each batch norm behind a convolution made part of its weights.

    W' = W γ/√(σ² + ε), b' = (b − μ) γ/√(σ² + ε) + β. The network's own weights stay as they are.
    """
    nodes: list[Any] = list(network.graph.nodes)
    for node in nodes:
        if node.target not in (aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default):
            continue
        conv = node.args[0]
        users = list(node.users)
        values = [_constant(network, a) for a in node.args[1:5]]
        if (
            conv.target != aten.convolution.default
            or conv.args[6]  # transposed
            or len(conv.users) > 1
            or len(users) != 1
            or values[2] is None
            or values[3] is None
            or _constant(network, conv.args[1]) is None
        ):
            continue
        weight, bias = _constant(network, conv.args[1]), _constant(network, conv.args[2])
        gain = torch.rsqrt(values[3] + node.args[-1]) * (1 if values[0] is None else values[0])
        shift = ((0 if bias is None else bias) - values[2]) * gain + (0 if values[1] is None else values[1])
        names = [f"_folded_{node.name}_{part}" for part in ("weight", "bias")]
        for name, value in zip(names, (weight * gain.view(-1, 1, 1, 1), shift), strict=True):
            network.register_buffer(name, value.detach())
        with network.graph.inserting_before(conv):
            made = [network.graph.get_attr(name) for name in names]
        for attribute, name in zip(made, names, strict=True):
            attribute.meta["val"] = getattr(network, name)
        conv.args = (conv.args[0], *made, *conv.args[3:])
        users[0].replace_all_uses_with(conv)
        network.graph.erase_node(users[0])
        network.graph.erase_node(node)
    network.recompile()
    return network


def _constant(network: fx.GraphModule, node: Any) -> Any:
    return getattr(network, str(node.target)) if isinstance(node, fx.Node) and node.op == "get_attr" else None
