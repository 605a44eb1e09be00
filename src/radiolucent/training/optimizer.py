"""The optimizer and what it moves how fast."""

import torch
from torch import nn

from radiolucent.errors import ConfigError
from radiolucent.training.config import TrainConfig

__all__ = ["l2_penalty", "make_optimizer", "set_rate"]


def _head(network: nn.Module) -> set[nn.Parameter]:
    """The parameters of the last dense layer."""
    dense = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return set(dense[-1].parameters()) if dense else set()


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The configured optimizer over the parameters that learn.

    Raises:
        ConfigError: none of them learns.
    """
    head = _head(network)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((config.head_lr if parameter in head else 1.0, decay), []).append(parameter)
    if not groups:
        raise ConfigError(f"freeze {config.freeze!r} leaves nothing to learn; freeze fewer layers.")
    listed = [{"params": p, "scale": scale, "weight_decay": decay} for (scale, decay), p in groups.items()]
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=config.lr, momentum=0.9, nesterov=True, fused=True)
    if config.optimizer == "adam":
        for group in listed:
            group["weight_decay"] = 0.0
        return torch.optim.Adam(listed, lr=config.lr, eps=config.eps, fused=True)
    return torch.optim.AdamW(listed, lr=config.lr, eps=config.eps, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group, the head's by its multiple."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def l2_penalty(network: nn.Module, strength: float) -> torch.Tensor | None:
    """λ·Σw² over convolution and dense weights that learn, plus the network's own penalty; None where there is none."""
    own = getattr(network, "l2_penalty", None)
    terms = [own()] if callable(own) else []
    if strength:
        terms += [strength * p.square().sum() for p in network.parameters() if p.requires_grad and p.ndim > 1]
    return torch.stack(terms).sum() if terms else None  # pyright: ignore[reportArgumentType]
