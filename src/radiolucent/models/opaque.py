"""Modules that run but cannot be looked into."""

import torch
from torch import nn

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
    return remember(network, "opaque", structure_of(network), lambda: _found(network))


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
    if isinstance(module, torch._dynamo.OptimizedModule if _dynamo_is_loaded() else ()):
        return "compile"
    if getattr(module, "_compiled_call_impl", None) is not None:  # module.compile()
        return "compile"
    if isinstance(module, torch.fx.GraphModule) and _of_operations(module):
        return "export"
    if ".quantized" in home or home.startswith(("torchao.", "bitsandbytes.")) or _holds_quantised(module):
        return "quantise"
    return None


def _dynamo_is_loaded() -> bool:
    import sys

    return "torch._dynamo" in sys.modules


def _of_operations(module: torch.fx.GraphModule) -> bool:
    """Whether it is a list of operators, not of calls of modules and of torch's own functions."""
    return any(isinstance(n.target, torch._ops.OpOverload) for n in module.graph.nodes if n.op == "call_function")


def _holds_quantised(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return any(t.is_quantized or type(t).__module__.startswith("torchao") for t in own)
