"""A trained trunk with fewer feature maps inside its blocks: those from which the rest can best be told are kept."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from radiolucent.models.lite import Lite

__all__ = ["slimmed", "with_norms"]

PLACES = 60_000
"""Places on feature maps, at most, that a block is fitted at."""


def slimmed(trunk: Lite, windows: torch.Tensor, hidden: Sequence[int], *, dropout: float) -> Lite:
    """A trunk that gives nearly what this one gives, block by block, with `hidden` maps inside the blocks.

    In each block the maps to keep are chosen one at a time, each time the one that brings the linear fit of the block's
    result nearest; the last convolution of the block becomes that fit. What earlier blocks lost is fitted, too. Source:
    He, Zhang & Sun 2017 (channel pruning), with orthogonal matching pursuit in place of the lasso.

    Args:
        trunk: fused. windows: (N, 1, S, S), standardised, of films to learn from.
    """
    dense = trunk.dense
    out = Lite(dense.out_features, width=dense.in_features, dropout=dropout, norm=False, hidden=hidden)
    for name in ("stem", "last", "dense"):
        getattr(out, name).load_state_dict(getattr(trunk, name).state_dict())
    out.eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    with torch.no_grad():
        full = slim = trunk.stem(windows.contiguous(memory_format=torch.channels_last))
        for old, new in zip(_blocks(trunk), _blocks(out), strict=True):
            if isinstance(new.widen, nn.Identity):
                new.load_state_dict(old.state_dict())
            else:
                target = old(full) - slim if old.adds else old(full)
                _fit(old, new, _places(old.filter(old.widen(slim))), _places(target))
            full, slim = old(full), new(slim)
    return out


def with_norms(slim: Lite, windows: torch.Tensor, frozen: int, *, dropout: float) -> Lite:
    """The same trunk with batch norms again above `frozen` stages; its last two layers are drawn anew.

    The norms' statistics are those of the windows, and their scales and shifts undo them: training begins where the
    slimmed trunk is.

    Args:
        slim: fused. windows: (N, 1, S, S), standardised, of films to learn from.
    """
    hidden = [block.narrow.conv.in_channels for stage in cast(Any, slim.stages[1:]) for block in stage]
    out = Lite(slim.dense.out_features, width=slim.dense.in_features, dropout=dropout, hidden=hidden)
    for part in (out.stem, *cast(Any, out.stages[:frozen])):
        for module in cast(Any, part).eval().modules():
            if hasattr(module, "fuse"):
                module.fuse()
    out.stem.load_state_dict(slim.stem.state_dict())
    out.stages[:frozen].load_state_dict(slim.stages[:frozen].state_dict())
    below = slim.stages[:frozen]
    with torch.no_grad():
        x = torch.cat([below(slim.stem(w.to(memory_format=torch.channels_last))) for w in windows.split(64)])
        for old, new in zip(_blocks(slim)[len(_of(below)) :], _blocks(out)[len(_of(below)) :], strict=True):
            inside = x
            for name in ("widen", "filter", "narrow"):
                inside = _normed(getattr(old, name), getattr(new, name), inside)
            x = old(x)
    return out.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _normed(old: Any, new: Any, x: torch.Tensor) -> torch.Tensor:
    """Give a convolution with a batch norm the function of one without, on these inputs; return what comes out."""
    found = old.conv(x)
    mean, variance = found.mean((0, 2, 3)), found.var((0, 2, 3), unbiased=False)
    new.conv.weight.copy_(old.conv.weight)
    new.norm.running_mean.copy_(mean - old.conv.bias)
    new.norm.running_var.copy_(variance)
    new.norm.weight.copy_((variance + new.norm.eps).sqrt())
    new.norm.bias.copy_(mean)
    return old.act(found)


def _blocks(trunk: Lite) -> list[Any]:
    return _of(trunk.stages)


def _of(stages: nn.Module) -> list[Any]:
    return [block for stage in cast(Any, stages) for block in stage]


def _places(maps: torch.Tensor) -> torch.Tensor:
    """Maps (N, K, h, w) as rows (places, K), some of them, always at the same places."""
    rows = maps.permute(0, 2, 3, 1).flatten(0, 2)
    some = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:PLACES]
    return rows[some].double()


def _fit(old: Any, new: Any, maps: torch.Tensor, target: torch.Tensor) -> None:
    """Choose among the hidden maps and fit the block's result to the target, both (places, K)."""
    middle, wanted = maps.mean(0), target.mean(0)
    maps, target = maps - middle, target - wanted
    inside, across = maps.T @ maps / len(maps), maps.T @ target / len(maps)
    inside += 1e-6 * inside.diagonal().mean() * torch.eye(len(inside), dtype=inside.dtype)
    kept = _chosen(inside, across, new.filter.conv.out_channels)
    weight = torch.linalg.solve(inside[kept][:, kept], across[kept]).T
    for name in ("widen", "filter"):
        mine, theirs = getattr(new, name).conv, getattr(old, name).conv
        mine.weight.copy_(theirs.weight[kept])
        mine.bias.copy_(theirs.bias[kept])
    new.narrow.conv.weight.copy_(weight[:, :, None, None])
    new.narrow.conv.bias.copy_(wanted - weight @ middle[kept])


def _chosen(inside: torch.Tensor, across: torch.Tensor, count: int) -> list[int]:
    """The columns that, one after the other, leave least of the target; by their covariances with it and each other."""
    left, rest = inside.clone(), across.clone()
    least = 1e-9 * inside.diagonal().max()
    kept: list[int] = []
    for _ in range(count):
        gain = rest.square().sum(1) / left.diagonal().clamp(min=1e-12)
        gain[left.diagonal() < least] = -1
        gain[kept] = -2
        best = int(gain.argmax())
        kept.append(best)
        column, row = left[:, best].clone(), rest[best].clone()
        rest -= column[:, None] * row / column[best]
        left -= column[:, None] * column / column[best]
    return sorted(kept)
