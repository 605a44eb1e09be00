"""Modules that run but cannot be looked into."""

import sys

import torch
from torch import fx, nn
from torch._ops import OpOverload

from radiolucent.models.per_network import remember, structure_of

__all__ = ["opaque"]

KINDS = {
    "script": "a scripted or traced module (torch.jit)",
    "compile": "a compiled module (torch.compile)",
    "export": "an exported program (torch.export)",
    "quantise": "a quantised module",
}


def opaque(network: nn.Module) -> str | None:
    """Why a network's layers cannot be hooked nor its functions seen, and where in it that begins; None if they can."""
    # `compile()` changes a module in place, and no name or kind.
    compiled = tuple(getattr(m, "_compiled_call_impl", None) is not None for m in (network, *network.children()))
    return remember(network, "opaque", (structure_of(network), compiled), lambda: _found(network))


def _found(network: nn.Module) -> str | None:
    for name, module in network.named_modules():
        if kind := _kind(module):
            where = "" if name in ("", "module") else f" at {name!r}"
            return KINDS[kind] + where
    return None


def _kind(module: nn.Module) -> str | None:
    home = type(module).__module__
    if isinstance(module, torch.jit.ScriptModule) or home.startswith("torch.jit"):
        return "script"
    dynamo = sys.modules.get("torch._dynamo")  # not loaded, nothing was compiled by it
    if dynamo is not None and isinstance(module, dynamo.OptimizedModule):
        return "compile"
    if getattr(module, "_compiled_call_impl", None) is not None:  # module.compile()
        return "compile"
    if isinstance(module, fx.GraphModule) and _of_operations(module):
        return "export"
    if ".quantized" in home or home.startswith(("torchao.", "bitsandbytes.")) or _holds_quantised(module):
        return "quantise"
    return None


def _of_operations(module: fx.GraphModule) -> bool:
    """Whether it is a list of operators, not of calls of modules and of torch's own functions."""
    return any(isinstance(n.target, OpOverload) for n in module.graph.nodes if n.op == "call_function")


def _holds_quantised(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return any(t.is_quantized or type(t).__module__.startswith("torchao") for t in own)
