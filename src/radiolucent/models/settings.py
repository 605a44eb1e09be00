"""What a network's behaviour depends on beside its weights: plain values, functions and hooks that modules hold."""

from collections import OrderedDict
from collections.abc import Generator, Hashable, Mapping
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from radiolucent.models.once import look_again, once

__all__ = ["inherit_what_moves", "noting_what_moves", "settings_of"]

Settings = dict[tuple[str, str], Hashable]

PLAIN = frozenset((int, float, str, bool, complex, bytes, type(None)))
HOLDING = frozenset((list, tuple, dict, set, OrderedDict))
DEEPEST = 4
LONGEST = 200
"""Entries of a list or mapping that are looked at."""

ELSEWHERE = frozenset(
    "_parameters _buffers _modules _backward_hooks _backward_pre_hooks _state_dict_hooks "
    "_state_dict_pre_hooks _load_state_dict_pre_hooks _load_state_dict_post_hooks "
    "_non_persistent_buffers_set".split()
)
"""Attributes of a module that say nothing of what it computes in eval mode, or that `weights_of` covers."""

OVERLOOKED = ELSEWHERE | {"training"}
"""The same, and the mode: everything is explained in eval mode."""

_MOVING: WeakKeyDictionary[nn.Module, set[tuple[str, str]]] = WeakKeyDictionary()


def settings_of(network: nn.Module) -> Hashable:
    """A value that changes with what the modules hold beside tensors that are weights.

    Covered are plain values, containers and objects of them, other tensors, functions with what they close over and
    the plain globals that they name, and forward hooks. What has been seen to change by itself as the network runs (a
    counter, a cache) is left out; see `noting_what_moves`.
    """
    return once("settings", network, _looked_at)


def _looked_at(network: nn.Module) -> Hashable:
    held, moving = _held(network).items(), _MOVING.get(network)
    # Not a hash: those of -1 and -2 are equal.
    return tuple(item for item in held if item[0] not in moving) if moving else tuple(held)


@contextmanager
def noting_what_moves(network: nn.Module) -> Generator[None]:
    """What differs afterwards changes by itself, as the network runs: no setting of the user's."""
    before = _held(network)
    try:
        yield
    finally:
        look_again()
    after = _held(network)
    moved = {key for key in before.keys() | after.keys() if before.get(key, _MOVING) != after.get(key, _MOVING)}
    if moved:
        _MOVING.setdefault(network, set()).update(moved)


def inherit_what_moves(copied: nn.Module, network: nn.Module) -> None:
    """Leave out of a copy's settings what is left out of the network's."""
    if network in _MOVING:
        _MOVING.setdefault(copied, set()).update(_MOVING[network])


def _held(network: nn.Module) -> Settings:
    known: dict[int, Hashable] = {}
    found: Settings = {}
    kinds: dict[type, None] = {}
    for name, module in network.named_modules():
        kinds[type(module)] = None
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for key, value in vars(module).items():
            if key in OVERLOOKED:
                continue
            kind = type(value)
            if kind in PLAIN or (kind is tuple and PLAIN.issuperset(map(type, value))):
                found[name, key] = value
            elif kind not in HOLDING or value:
                found[name, key] = _said(value, known, 0)
    for base in dict.fromkeys(base for kind in kinds for base in kind.__mro__):
        if not base.__module__.startswith(("torch.", "builtins")):
            where = f"{base.__module__}.{base.__qualname__}"
            found.update({(where, k): _said(v, known, 0) for k, v in vars(base).items() if not k.startswith("__")})
    return found


def _said(value: Any, known: dict[int, Hashable], depth: int) -> Hashable:
    """A value as something that can be compared; each object once."""
    if type(value) in PLAIN:
        return cast(Hashable, value)
    at = id(value)
    if at not in known:
        known[at] = at  # what holds itself is told by where it lies
        try:
            known[at] = _told(value, known, depth)
        except Exception:  # another's object may fail in any way where it is looked at
            known[at] = at
    return known[at]


def _told(value: Any, known: dict[int, Hashable], depth: int) -> Hashable:
    if isinstance(value, torch.Tensor):
        return id(value), 0 if value.is_inference() else value._version
    if isinstance(value, np.ndarray | np.generic):
        return value.tobytes() if value.nbytes < 2**16 else id(value)
    if isinstance(value, type | ModuleType) or depth >= DEEPEST:
        return id(value)
    if isinstance(value, MethodType):
        return _said(value.__func__, known, depth + 1)
    if isinstance(value, FunctionType):
        return _function(value, known, depth)
    if isinstance(value, Mapping):
        entries = list(cast(Mapping[Any, Any], value).items())[:LONGEST]
        return tuple((_said(k, known, depth + 1), _said(v, known, depth + 1)) for k, v in entries)
    if isinstance(value, list | tuple):
        if all(type(each) in PLAIN for each in cast(tuple[Any, ...], value)):
            return tuple(cast(tuple[Any, ...], value))
        return tuple(_said(each, known, depth + 1) for each in cast(list[Any], value)[:LONGEST])
    if isinstance(value, set | frozenset):
        return frozenset(_said(each, known, depth + 1) for each in list(cast(set[Any], value))[:LONGEST])
    inside = getattr(value, "__dict__", None)
    if isinstance(inside, dict):
        entries = cast(dict[str, Any], inside).items()
        return id(value), tuple((k, _said(v, known, depth + 1)) for k, v in entries if k not in ELSEWHERE)
    return id(value)


def _function(value: FunctionType, known: dict[int, Hashable], depth: int) -> Hashable:
    cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
    named = [value.__globals__.get(name) for name in value.__code__.co_names]
    named = [each for each in named if type(each) in PLAIN or type(each) in HOLDING]
    held = (value.__defaults__, value.__kwdefaults__, *cells, *named)
    return id(value.__code__), tuple(_said(each, known, depth + 1) for each in held)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # not yet
        return False
