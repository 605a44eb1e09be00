"""The mapping of a value that was given none."""

import copyreg
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["nothing"]


def nothing() -> Mapping[str, Any]:
    """An empty mapping that nobody can fill."""
    return MappingProxyType({})


def _shown(values: dict[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(values)


def _as_made(mapping: Any) -> tuple[Callable[..., Any], tuple[dict[Any, Any]]]:
    return _shown, (dict(mapping),)


copyreg.pickle(MappingProxyType, _as_made)  # Python copies and pickles none by itself, and so no value that holds one
