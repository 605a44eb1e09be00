"""Methods for transformers, each held against the paper's equations on the attention that a network computes.

Attention is read off every softmax while fused kernels are written out; nothing of the package's own way is used.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import radiolucent as rl

__all__ = ["ATTENTION", "TRANSFORMERS"]

TRANSFORMERS = (
    "vit_tiny vit_small vit_b_16 deit_tiny cait coat_ swin pvt_ twins xcit eva02 levit maxvit mobilevit transformers "
    "volo tnt_ davit edgenext pit_ti coatnet efficientformer gcvit hiera crossvit"
).split()
"""Parts of the names of networks that have attention."""


def written_out(q: Tensor, k: Tensor, v: Tensor, *_: Any, scale: float | None = None, **__: Any) -> Tensor:
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-2, -1)
    return scores.softmax(-1) @ v


@contextmanager
def attention_seen(change: Callable[[int, Tensor], Tensor] = lambda _, a: a) -> Generator[list[Tensor]]:
    """What every softmax over the last of three axes or more gave, in order; `change` may hand on something else."""
    seen: list[Tensor] = []
    plain = torch.Tensor.softmax

    def softmax(x: Tensor, dim: int = -1, *rest: Any, **options: Any) -> Tensor:
        out = plain(x, dim, *rest, **options)
        if out.ndim < 3 or dim not in (-1, out.ndim - 1) or out.shape[-1] != out.shape[-2]:
            return out
        seen.append(change(len(seen), out))
        return seen[-1]

    with ExitStack() as stack:
        for home in (torch.Tensor, F, torch):
            stack.enter_context(patch.object(home, "softmax", softmax))
        stack.enter_context(patch.object(F, "scaled_dot_product_attention", written_out))
        yield seen


def tokens_at(network: nn.Module, names: Sequence[str], run: Callable[[], Tensor]) -> tuple[Tensor, list[Tensor]]:
    kept: list[Tensor] = []
    handles = [
        network.get_submodule(n).register_forward_hook(
            lambda _, __, out: kept.append(out[0] if isinstance(out, tuple) else out)
        )
        for n in names
    ]
    try:
        return run(), kept
    finally:
        for handle in handles:
            handle.remove()


def apart(found: Any, tokens: Tensor) -> float:
    """From the tokens that are places: the last h · w."""
    expected = tokens.detach()[-found.size :].numpy().reshape(found.shape)
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def chefer(clf: rl.Classifier, image: rl.Radiograph) -> float:
    """R ← R + Ā R (eq. 5, 6), the mean of the rows that the last part reads, less the identity."""
    details = rl.explain(clf, image, rl.Chefer(), target=1).details
    x = clf.preprocess(image)[None].requires_grad_()
    with attention_seen() as seen:
        logits, kept = tokens_at(clf.network, details["layer"].split(", ")[-1:], lambda: clf.network(x.clone()))
    *gradients, last = torch.autograd.grad(logits[0, 1], [*seen, kept[-1]], allow_unused=True, materialize_grads=True)
    relevance = torch.eye(seen[0].shape[-1]).double()
    for a, g in zip(seen, gradients, strict=True):
        relevance = relevance + (a * g).double().clamp(min=0).flatten(0, -3).mean(0) @ relevance
    read = last[0].ne(0).any(1)
    return apart(details["feature_map"], (relevance - torch.eye(len(relevance)))[read].mean(0))


def legrad(clf: rl.Classifier, image: rl.Radiograph) -> float:
    """Each layer's tokens handed to the last part in turn, differentiated by that layer's attention."""
    details = rl.explain(clf, image, rl.LeGrad(), target=1).details
    names = details["layer"].split(", ")
    x, layers = clf.preprocess(image)[None], list[Tensor]()
    for place in range(len(names)):
        with attention_seen(lambda i, a, place=place: a.detach().requires_grad_(i == place)) as seen:
            _, kept = tokens_at(clf.network, names, lambda: clf.network(x.clone()))

        def instead(_: nn.Module, __: Any, out: Any, tokens: Tensor = kept[place]) -> Any:
            return (tokens, *out[1:]) if isinstance(out, tuple) else tokens

        handle = clf.network.get_submodule(names[-1]).register_forward_hook(instead)
        score = clf.network(x.clone())[0, 1]
        handle.remove()
        (gradient,) = torch.autograd.grad(score, [seen[place]], allow_unused=True, materialize_grads=True)
        layers.append(gradient.clamp(min=0).flatten(0, -3).mean((0, 1)))
    return apart(details["feature_map"], torch.stack(layers).mean(0))


def attnlrp(clf: rl.Classifier, image: rl.Radiograph) -> float:
    """What relevance and the constants' share miss of the score."""
    method = rl.AttnLRP(epsilon=1e-7)
    e = rl.explain(clf, image, method, target=1)
    promise: Any = method.promise(e.details)
    return float(promise.missing / max(abs(e.score), float(np.abs(e.map).sum())))


ATTENTION: Mapping[str, Callable[[rl.Classifier, rl.Radiograph], float]] = {
    "attnlrp": attnlrp,
    "legrad": legrad,
    "chefer": chefer,
}
