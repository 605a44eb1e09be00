"""Whether Python looks at values on a network's way, which a trace cannot follow: it keeps one of the ways."""

from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from radiolucent.models.opaque import opaque

__all__ = ["LOOKS", "reads_values"]

LOOKS = (
    "Python looks at what this network computes of an image (an if, an item(), numpy, how many a mask picks) and goes "
    "on by it: a conversion would keep the way that one image took. Write it with torch's functions, e.g. torch.where."
)

READ = frozenset(
    "item tolist numpy __array__ __bool__ __int__ __float__ __complex__ __index__ __contains__ __format__ equal "
    "allclose is_nonzero".split()
)
"""Functions by which a tensor's values come to Python."""

COUNTING = frozenset("nonzero argwhere masked_select unique unique_consecutive bincount".split())
"""Functions whose result is as long as the values make it, so that Python sees them in its shape."""


def reads_values(network: nn.Module, *inputs: torch.Tensor) -> bool:
    """Whether Python is told numbers that depend on the inputs: `if x.mean() > 0`, a slice from an argmax.

    Shapes do not count unless the values make them, as in `x[x > 0]`, nor do the network's own weights and buffers.
    Of scripted modules nothing is said: a trace keeps their branches.
    """
    if opaque(network) is not None:
        return False
    with torch.no_grad(), _Flow(inputs) as flow:
        network(*inputs)
    return flow.read


class _Flow(TorchFunctionMode):
    """Which memory holds something that depends on the inputs, and whether any of that was read."""

    def __init__(self, inputs: tuple[torch.Tensor, ...]) -> None:
        super().__init__()
        self._kept = list[Any](inputs)  # so that no memory is used again
        self._depends = _memory(inputs)
        self.read = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not self._depends.isdisjoint(_memory((args, kwargs))):
            name = str(getattr(func, "__name__", ""))
            self.read = self.read or name in READ or self._counts(name, args, kwargs or {})
            written = args[:1] if name == "__setitem__" else ()
            self._depends |= _memory((out, written))
            self._kept.append(out)
        return out

    def _counts(self, name: str, args: Any, kwargs: Any) -> bool:
        """Whether how long the result is depends on the inputs' values."""
        if name.strip("_") in COUNTING or (name == "where" and len(args) + len(kwargs) == 1):
            return True
        return name == "__getitem__" and any(
            isinstance(each, torch.Tensor)
            and each.dtype in (torch.bool, torch.uint8)
            and not self._depends.isdisjoint(_memory(each))
            for each in tree_leaves(args[1])
        )


def _memory(value: Any) -> set[int]:
    """Where a value's tensors lie, as far as they lie somewhere (those of vmap do not say)."""
    found: set[int] = set()
    for each in tree_leaves(value):
        if isinstance(each, torch.Tensor) and each.layout == torch.strided and each.numel():
            with suppress(RuntimeError):
                found.add(each.untyped_storage().data_ptr())
    return found
