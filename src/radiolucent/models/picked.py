"""The one tensor that is meant within what another library's module gives."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from radiolucent.errors import ModelError

__all__ = ["described_value", "picked"]


def picked(out: Any, pick: str | int | None) -> torch.Tensor:
    """The one tensor that is meant within what a module gives.

    Args:
        pick: a name or index; within what it picks, or unless given: a tensor itself, `.logits`, the entry "logits",
            the first of a tuple, or a mapping's only entry.

    Raises:
        ModelError: none is sure to be meant.
    """
    if isinstance(pick, int) and isinstance(out, torch.Tensor):
        raise ModelError(f"the module gives one tensor {tuple(out.shape)}; leave pick={pick} out.")
    if pick is not None:
        found = getattr(out, pick, None) if isinstance(pick, str) else None
        try:
            out = out[pick] if found is None else found
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(f"the module gives {described_value(out)}, in which there is no {pick!r}.") from error
    while not isinstance(out, torch.Tensor) and (inner := _likely(out)) is not out:
        out = inner
    if not isinstance(out, torch.Tensor):
        raise ModelError(f"the module gives {described_value(out)}; expected a tensor (N, K): say which with pick=.")
    return out


def _likely(out: Any) -> Any:
    """The logits within another library's output, where there is no doubt."""
    if hasattr(out, "logits"):
        return out.logits
    if isinstance(out, Mapping):
        entries = cast(Mapping[str, Any], out)
        return entries["logits"] if "logits" in entries else next(iter(entries.values())) if len(entries) == 1 else out
    if not isinstance(out, tuple | list) or not out:
        return out
    first, *others = cast(Sequence[Any], out)
    if isinstance(first, torch.Tensor) and not first.ndim and others:  # a loss, as Hugging Face gives
        raise ModelError(f"the module gives {described_value(out)}: which are the logits? Say pick=1, …")
    if isinstance(first, torch.Tensor) and any(getattr(o, "shape", None) == first.shape for o in others):
        raise ModelError(
            f"the module gives {len(others) + 1} things, of which several are tensors {tuple(first.shape)}: which are "
            "the logits? Say pick=0, pick=1, …"
        )
    return first


def described_value(value: Any) -> str:
    """What something is, in a few words for an error."""
    if isinstance(value, Mapping):
        return f"a mapping of {', '.join(map(str, cast(Mapping[Any, Any], value)))}"
    if isinstance(value, tuple | list) and value:
        each = [described_value(one) for one in cast(Sequence[Any], value)[:4]]
        return f"a {type(value).__name__} of {len(cast(Sequence[Any], value))}: {', '.join(each)}"
    shape = getattr(value, "shape", None)
    return type(value).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
