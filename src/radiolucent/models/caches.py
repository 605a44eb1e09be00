"""What modules keep for themselves between passes."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn

__all__ = ["caches_untouched"]


@contextmanager
def caches_untouched(network: nn.Module) -> Generator[None]:
    """Afterwards every module's attributes, and what their dictionaries and lists hold, are as before.

    For passes that compute no numbers, as tracing does: a module that keeps what it makes (a table of positions for the
    size it met) would keep a tensor without values.
    """
    modules = [m for m in network.modules() if not isinstance(m, torch.jit.ScriptModule)]
    stores: list[dict[str, Any]] = [vars(m) for m in modules]
    kept = [(store, dict(store), {k: v.copy() for k, v in store.items() if _holds(k, v)}) for store in stores]
    try:
        yield
    finally:
        for store, before, inside in kept:
            for name in [n for n in store if n not in before]:
                del store[name]
            store.update({n: v for n, v in before.items() if store.get(n) is not v})
            for name, copy in inside.items():
                _refill(before[name], copy)


def _holds(name: str, value: Any) -> bool:
    return isinstance(value, dict | list) and (name == "_buffers" or not name.startswith("_"))


def _refill(value: Any, copy: Any) -> None:
    value.clear()
    if isinstance(value, dict):
        cast(dict[Any, Any], value).update(copy)
    else:
        cast(list[Any], value).extend(copy)
