"""The softmax or sigmoid that a network ends in, and what it was given."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from radiolucent.types import Head

__all__ = ["LastStep"]

KEEPING = frozenset("view reshape flatten squeeze unsqueeze contiguous float type_as".split())
"""Functions behind the last step that only put its numbers in another shape."""


class LastStep(TorchFunctionMode):
    """Inside `with`, the functions that can end a classifier are watched.

    Args:
        head: of "softmax" only a softmax over classes is the last step, of the others only a sigmoid.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self._name = "softmax" if head == "softmax" else "sigmoid"
        self._latest: tuple[torch.Tensor, torch.Tensor] | None = None  # what it gave, what it was given

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = str(getattr(func, "__name__", "")).strip("_")
        given = args[0] if args else (kwargs or {}).get("input")
        if not isinstance(out, torch.Tensor) or not isinstance(given, torch.Tensor):
            return out
        if name == self._name and (name == "sigmoid" or _over_classes(given, args[1:], kwargs or {})):
            if out is not given:  # in place, what it was given is gone
                self._latest = out, given
        elif name in KEEPING and self._latest is not None and given is self._latest[0] and out.dtype == given.dtype:
            self._latest = out, self._latest[1].reshape(out.shape)
        return out

    def peeled(self, out: torch.Tensor) -> torch.Tensor | None:
        """What the last step was given, if it gave `out`; else None."""
        if self._latest is None or self._latest[0] is not out or self._latest[1].shape != out.shape:
            return None
        return self._latest[1]


def _over_classes(given: torch.Tensor, rest: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    axis = kwargs.get("dim", rest[0] if rest else None)
    return given.ndim == 2 and axis in (1, -1)
