"""The processes that train together: one, or as many as `torchrun` started."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import nn

__all__ = ["Processes", "world"]


def world() -> tuple[int, int]:
    """(rank, number of processes) as `torchrun` set them; (0, 1) without it.

    >>> world()
    (0, 1)
    """
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class Processes:
    """Device, precision and the few exchanges that training needs, over Lightning Fabric.

    Args:
        precision: "32" or "bf16".
    """

    def __init__(self, precision: str = "32") -> None:
        from lightning_fabric import Fabric

        _, size = world()
        here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        wanted, _, which = os.environ.get("RADIOLUCENT_DEVICE", "auto").partition(":")
        self.fabric = Fabric(
            accelerator=wanted,
            devices=[int(which)] if which else here,
            num_nodes=max(1, size // here),
            strategy="ddp" if size > 1 else "auto",
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )
        if size > 1:
            self.fabric.launch()
        self.rank, self.size = self.fabric.global_rank, self.fabric.world_size
        self.device = self.fabric.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    @property
    def every(self) -> int:
        """Steps between looks at results: each one on a CPU, fewer where looking waits for the accelerator."""
        return 1 if self.device.type == "cpu" else 20

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network on the device, its gradients averaged over processes."""
        return self.fabric.setup_module(network)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision's context."""
        return self.fabric.autocast()

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over processes; changes `values`."""
        return cast(torch.Tensor, self.fabric.all_reduce(values, reduce_op="sum"))

    def largest(self, values: Sequence[float]) -> list[float]:
        """The largest of each value over processes."""
        shared = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        return cast(torch.Tensor, self.fabric.all_reduce(shared, reduce_op="max")).tolist()

    def gather(self, value: torch.Tensor) -> torch.Tensor:
        """All processes' rows, as many as each has, in the order of their ranks; on the CPU."""
        if self.size == 1:
            return value.cpu()
        rows: list[int] = self._every(torch.tensor(len(value))).tolist()
        padded = value.new_zeros(max(rows), *value.shape[1:])
        padded[: len(value)] = value
        return torch.cat([part[:n] for part, n in zip(self._every(padded), rows, strict=True)]).cpu()

    def _every(self, value: torch.Tensor) -> torch.Tensor:
        """All processes' values (processes, …)."""
        return cast(torch.Tensor, self.fabric.all_gather(value))

    def same(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give every process the first one's values, in place."""
        if self.size > 1:
            for tensor in tensors:
                tensor.copy_(self.fabric.broadcast(tensor))

    def share(self, loader: object, *batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """This process's rows of a batch: all, where the loader gives each process its own; else every size-th."""
        if self.size > 1 and getattr(loader, "world_size", 1) == 1:
            return tuple(part[self.rank :: self.size] for part in batch)
        return batch
