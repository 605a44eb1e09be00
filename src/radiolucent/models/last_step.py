"""The softmax or sigmoid that a network ends in, and what it was given."""

from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["LastStep"]

KEEPING = frozenset("view reshape flatten squeeze unsqueeze contiguous".split())
"""Functions behind the last step that only put its numbers in another shape."""


class LastStep(TorchFunctionMode):
    """Inside `with`, the functions that can end a classifier are watched.

    Args:
        name: of the function. call: which of its calls is the last step, where that is known: it then hands on no
            gradient, and no rule for the way back has to know it.
    """

    def __init__(self, name: Literal["softmax", "sigmoid"], call: int | None = None) -> None:
        super().__init__()
        self._name, self._call = name, call
        self.calls = 0
        self._latest: tuple[torch.Tensor, torch.Tensor, int] | None = None  # what it gave, was given, and its version

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = str(getattr(func, "__name__", "")).strip("_")
        given = args[0] if args else kwargs.get("input")
        if name == self._name and isinstance(given, torch.Tensor):
            return self._step(func, given, args[1:], {k: v for k, v in kwargs.items() if k != "input"})
        out = func(*args, **kwargs)
        if name in KEEPING and self._latest is not None and given is self._latest[0] and self._unchanged():
            self._latest = out, self._latest[1].reshape(out.shape), _version(out)
        return out

    def _step(self, func: Any, given: torch.Tensor, rest: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        self.calls += 1
        out = func(given.detach() if self.calls == self._call else given, *rest, **kwargs)
        axis = kwargs.get("dim", rest[0] if rest else None)
        over_classes = self._name == "sigmoid" or (given.ndim == 2 and axis in (1, -1))
        if over_classes and out is not given:  # in place, what it was given is gone
            self._latest = out, given, _version(out)
        return out

    def peeled(self, out: torch.Tensor) -> torch.Tensor | None:
        """What the last step was given, if it gave `out`; else None."""
        if self._latest is None or self._latest[0] is not out or self._latest[1].shape != out.shape:
            return None
        return self._latest[1] if self._unchanged() else None

    def _unchanged(self) -> bool:
        """Whether nothing was written into what the last step gave."""
        return self._latest is not None and _version(self._latest[0]) == self._latest[2]


def _version(value: torch.Tensor) -> int:
    """How often a tensor was written into; what was made in inference mode does not say."""
    return 0 if value.is_inference() else value._version
