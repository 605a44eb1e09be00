"""Results that are computed once for a network and kept as long as the network lives: beside it, never on it."""

import zlib
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from radiolucent.models.once import once
from radiolucent.models.settings import inherit_what_moves, settings_of
from radiolucent.models.state_bytes import bytes_of

__all__ = ["changes_counted", "forget", "inherit", "remember", "remembered", "remembers", "structure_of", "weights_of"]

T = TypeVar("T")

# Kept here, so that a network can still be copied, pickled and freed as if it had never been asked about.
_KEPT: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[Hashable, Any]]] = WeakKeyDictionary()


def remember(network: nn.Module, what: Hashable, valid: Hashable, make: Callable[[], T]) -> T:
    """The result of `make`, kept for the network and returned again as long as `valid` is the same.

    Args:
        what: the result's name; one result is kept for each. valid: what the result depends on: `structure_of`,
            `weights_of`, shapes.
        make: its result must not hold the network, or neither is ever freed.
    """
    found = _KEPT.get(network, {}).get(what)
    if found is None or found[0] != valid:
        found = valid, make()
        _KEPT.setdefault(network, {})[what] = found
    return cast(T, found[1])


def remembered(network: nn.Module, what: Hashable, valid: Hashable) -> Any:
    """The result kept under this name if it is still valid, else None."""
    found = _KEPT.get(network, {}).get(what)
    return found[1] if found is not None and found[0] == valid else None


def remembers(network: nn.Module, what: Hashable) -> bool:
    """Whether a result is kept under this name, valid or not. Costs nothing."""
    return what in _KEPT.get(network, {})


def forget(network: nn.Module, what: Hashable) -> None:
    """Drop what is kept under this name."""
    _KEPT.get(network, {}).pop(what, None)


def inherit(copied: nn.Module, network: nn.Module) -> None:
    """Let a copy with other weights know what depends on the network's structure and settings alone."""
    inherit_what_moves(copied, network)
    structure, settings = structure_of(network), settings_of(network)
    if structure_of(copied) != structure:
        return
    now, keys = settings_of(copied), dict[Hashable, Hashable]([(structure, structure)])
    keys |= {(structure, settings): (structure, now), (structure, settings, None): (structure, now, None)}
    same = {what: (keys[v], found) for what, (v, found) in _KEPT.get(network, {}).items() if v in keys}
    if same:
        _KEPT.setdefault(copied, {}).update(same)


def structure_of(network: nn.Module) -> int:
    """A number that changes with the modules' names and classes and with the parameters' type and device."""
    return once("structure", network, _structure)


def _structure(network: nn.Module) -> int:
    parts: list[Hashable] = []
    waiting, seen = [network], {network}
    while waiting:  # as `named_modules`, quicker
        module = waiting.pop()
        parts.append(type(module))
        scripted = isinstance(module, torch.jit.ScriptModule)
        children: dict[str, nn.Module | None] = dict(module.named_children()) if scripted else vars(module)["_modules"]
        for name, child in children.items():
            parts.append((name, child is None or child in seen))
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    first = next(network.parameters(), None)
    return hash((*parts, None if first is None else (first.dtype, str(first.device))))


def weights_of(network: nn.Module) -> int:
    """A number that changes with the structure and with any bit of a parameter or buffer, however it was written.

    The CRC-32 of all values: an optimiser's step, `parameter.data.mul_(2)` and a write through numpy all change it. It
    takes about as long as a forward pass of one image.
    """
    state = network.state_dict(keep_vars=True)
    shapes = [(n, getattr(t, "shape", None), getattr(t, "dtype", None)) for n, t in state.items()]
    crc = zlib.crc32(repr((structure_of(network), shapes)).encode())
    for entry in state.values():
        for part in bytes_of(entry):
            crc = zlib.crc32(part, crc)
    return crc


def changes_counted(network: nn.Module) -> tuple[tuple[int, int], ...] | None:
    """What changes whenever torch counts a write to a parameter or buffer (`.data` and numpy are not counted).

    Takes a fraction of `weights_of`'s time. None where the state holds more than plain tensors (sparse ones, packed
    weights): torch does not count that.
    """
    state = network.state_dict(keep_vars=True)
    if not all(isinstance(entry, torch.Tensor) and entry.layout == torch.strided for entry in state.values()):
        return None
    # Inference tensors have no version counter; torch does not let them be written to either.
    return tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in state.values())
