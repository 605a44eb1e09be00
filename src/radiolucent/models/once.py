"""What is looked at once, as long as nothing can have changed it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar, cast

from torch import nn

__all__ = ["look_again", "looked_at_each_time", "looked_at_once", "once"]

T = TypeVar("T")

# A context variable: another thread looks for itself.
_SEEN: ContextVar[dict[tuple[str, int], tuple[nn.Module, object]] | None] = ContextVar("seen", default=None)


@contextmanager
def looked_at_once() -> Generator[None]:
    """Inside, a network's structure and settings are looked at once between two forward passes.

    For one call of ours, in which nobody but the network itself can change them, as it runs: every pass of ours calls
    `look_again`. What others wrote, and may change the network by hand, runs under `looked_at_each_time`.
    """
    if _SEEN.get() is not None:
        yield
        return
    token = _SEEN.set({})
    try:
        yield
    finally:
        _SEEN.reset(token)


@contextmanager
def looked_at_each_time() -> Generator[None]:
    """Inside, nothing is held to be as it was: for code of others within a call of ours. Afterwards all is looked at
    again."""
    token = _SEEN.set(None)
    try:
        yield
    finally:
        _SEEN.reset(token)
        look_again()


def once(what: str, network: nn.Module, look: Callable[[nn.Module], T]) -> T:
    """What `look` finds of the network, or has found since it could last change."""
    seen = _SEEN.get()
    if seen is None:
        return look(network)
    key = what, id(network)  # held beside, so that no other network gets this number
    if key not in seen:
        seen[key] = network, look(network)
    return cast(T, seen[key][1])


def look_again() -> None:
    """Something may have changed since."""
    if (seen := _SEEN.get()) is not None:
        seen.clear()
