"""Attention as its formula: what fused kernels hide is computed step by step while a rule looks on."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from radiolucent.errors import ExplainError
from radiolucent.passes.backward_rules import on_graph

__all__ = ["Opened"]

HIDDEN = -1e4
"""Added to the score of a key that a mask hides: its weight is 0, and the score stays a number."""


class Opened(TorchFunctionMode):
    """Inside `with`, fused attention runs as matrix products and a softmax, which a subclass's rules then see.

    Functions are intercepted, not modules: `scaled_dot_product_attention` (timm's `fused_attn`, transformers' "sdpa")
    and `nn.MultiheadAttention` need no setting changed, and nothing has to be put back.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        formula = _FORMULAS.get(str(getattr(func, "__name__", "")))
        if formula is not None and any(map(on_graph, [*args, *(kwargs or {}).values()])):
            with self:  # off while a function is intercepted
                return formula(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)


def scaled_dot_product(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """softmax(Q Kᵀ · scale + mask) V, of (…, T, K), without dropout."""
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (x.unsqueeze(-3).expand(*x.shape[:-2], times, *x.shape[-2:]).flatten(-4, -3) for x in (key, value))
    scores = (query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        scores = scores + _added(attn_mask, scores)
    return scores.softmax(-1) @ value


def _added(mask: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """A mask as what is added to the scores, finite."""
    if on_graph(mask):
        return mask
    if mask.dtype == torch.bool:
        return torch.where(mask, 0.0, HIDDEN).to(scores)
    return mask.to(scores).clamp(min=HIDDEN)


def multi_head(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`F.multi_head_attention_forward`, of (T, N, C) or (T, C), step by step.

    Raises:
        ExplainError: an option that classifiers of images do not use.
    """
    given = inspect.signature(F.multi_head_attention_forward).bind(*args, **kwargs)
    given.apply_defaults()
    a = given.arguments
    unknown = [n for n in ("bias_k", "bias_v", "static_k", "static_v", "key_padding_mask") if a[n] is not None]
    if unknown or a["add_zero_attn"]:
        raise ExplainError(
            f"attention with {', '.join(unknown) or 'add_zero_attn'} has no rule; use a method that only perturbs the "
            "image: LIME()."
        )
    weights = (
        [a["q_proj_weight"], a["k_proj_weight"], a["v_proj_weight"]]
        if a["use_separate_proj_weight"]
        else [*a["in_proj_weight"].chunk(3)]
    )
    biases = [None] * 3 if a["in_proj_bias"] is None else [*a["in_proj_bias"].chunk(3)]
    batched = a["query"].ndim == 3

    def heads(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        first = x.transpose(0, 1) if batched else x.unsqueeze(0)  # the image's axis before all others
        return F.linear(first, weight, bias).unflatten(-1, (a["num_heads"], -1)).transpose(1, 2)

    query, key, value = map(heads, (a["query"], a["key"], a["value"]), weights, biases)
    mask = a["attn_mask"]
    if mask is not None:
        mask = (~mask if mask.dtype == torch.bool else mask).expand(mask.shape)
        mask = mask.unflatten(0, (-1, a["num_heads"])) if mask.ndim == 3 else mask
    out = scaled_dot_product(query, key, value, mask).transpose(1, 2).flatten(2)
    out = F.linear(out, a["out_proj_weight"], a["out_proj_bias"])
    out = out.transpose(0, 1) if batched else out.squeeze(0)
    return out, None


_FORMULAS: dict[str, Callable[..., Any]] = {
    "scaled_dot_product_attention": scaled_dot_product,
    "multi_head_attention_forward": multi_head,
}
