"""What is worked out once for a network and kept as long as the network lives: beside it, never on it."""

import zlib
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from radiolucent.models.state_bytes import bytes_of

__all__ = ["parameters_of", "remember", "remembered", "remembers", "steady", "structure_of", "weights_of"]

T = TypeVar("T")

# A network can be copied, pickled and freed as if nobody had ever asked about it.
_KEPT: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[Hashable, Any]]] = WeakKeyDictionary()
_STEADY: WeakKeyDictionary[nn.Module, dict[str, Any]] = WeakKeyDictionary()


def remember(network: nn.Module, what: Hashable, valid: Hashable, make: Callable[[], T]) -> T:
    """What `make` gives; kept with the network, and given again while `valid` stays the same.

    Args:
        what: names the thing; one of each is kept. valid: what it depends on: `structure_of`, `weights_of`, shapes.
        make: must give something that does not hold the network, or neither is ever freed.
    """
    found = _KEPT.get(network, {}).get(what)
    if found is None or found[0] != valid:
        found = valid, make()
        _KEPT.setdefault(network, {})[what] = found
    return cast(T, found[1])


def remembered(network: nn.Module, what: Hashable, valid: Hashable) -> Any:
    """What is kept under this name, if it is still valid; else None."""
    found = _KEPT.get(network, {}).get(what)
    return found[1] if found is not None and found[0] == valid else None


def remembers(network: nn.Module, what: Hashable) -> bool:
    """Whether anything is kept under this name, valid or not: costs nothing to ask."""
    return what in _KEPT.get(network, {})


def structure_of(network: nn.Module) -> int:
    """A number that changes with the network's modules, by name and kind, and with its parameters' type and device."""
    known = _STEADY.get(network)
    if known is not None and "structure" in known:
        return int(known["structure"])
    parts = [f"{name}:{type(module).__qualname__}" for name, module in network.named_modules()]
    first = next(network.parameters(), None)
    found = hash((*parts, None if first is None else (first.dtype, str(first.device))))
    if known is not None:
        known["structure"] = found
    return found


def parameters_of(network: nn.Module) -> list[nn.Parameter]:
    """The network's parameters; within `steady` they are looked for once."""
    known = _STEADY.get(network)
    if known is None:
        return list(network.parameters())
    if "parameters" not in known:
        known["parameters"] = list(network.parameters())
    return cast(list[nn.Parameter], known["parameters"])


def weights_of(network: nn.Module) -> int:
    """A number that changes with the structure and with any bit of a parameter or buffer, however it was written.

    CRC-32 of the values: an optimiser's step, `parameter.data.mul_(2)` and a write through numpy all count. It costs
    about a forward pass of one image; within `steady` it is taken once.
    """
    state = network.state_dict(keep_vars=True)
    # Inference tensors count no versions; they cannot be written to either, but by ways that torch does not see.
    tensors = [t for t in state.values() if isinstance(t, torch.Tensor)]
    marks = tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors)
    known = _STEADY.get(network)
    if known is not None and len(tensors) == len(state) and known.get("marks") == marks:
        return int(known["weights"])
    shapes = [(n, getattr(t, "shape", None), getattr(t, "dtype", None)) for n, t in state.items()]
    crc = zlib.crc32(repr((structure_of(network), shapes)).encode())
    for entry in state.values():
        for part in bytes_of(entry):
            crc = zlib.crc32(part, crc)
    if known is not None:
        known.update(marks=marks, weights=crc)
    return crc


@contextmanager
def steady(network: nn.Module) -> Generator[None]:
    """Nothing changes the network inside, except in ways torch counts: its numbers need not be taken again."""
    first = network not in _STEADY
    if first:
        _STEADY[network] = {}
    try:
        yield
    finally:
        if first:
            del _STEADY[network]
