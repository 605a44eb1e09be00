"""What a training run needs to go on after it was killed, in files that appear whole or not at all.

`last.safetensors` holds network, moving average and optimizer, and in its header (JSON) the place in the run, the
history and what the run is: configuration, data, starting weights. `best-<epoch>.safetensors` holds the best
weights; it is written before the state that speaks of it. Nothing in them is executed on loading.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from radiolucent.errors import CheckpointError, ConfigError
from radiolucent.files import write_tensors

__all__ = ["Snapshot", "StateFolder", "differences", "hash_tensors", "loader_fingerprint", "optimizer_tensors"]

FORMAT = 1
LAST = "last.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """One saved moment. meta: JSON-ready. tensors: by name, prefixed `network.`, `ema.`, `optimizer.`."""

    meta: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors under a prefix, without it."""
        return {n.removeprefix(f"{prefix}."): t for n, t in self.tensors.items() if n.startswith(f"{prefix}.")}


class StateFolder:
    """The `state/` of a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clear(self) -> None:
        """Remove what is there, half-written temporary files included."""
        for file in self.folder.glob("*"):
            if file.suffix == ".safetensors":
                file.unlink()

    def save(self, snapshot: Snapshot) -> None:
        """Write `last.safetensors`, then remove best weights it no longer speaks of."""
        header = {"radiolucent-state": json.dumps(dict(snapshot.meta) | {"format": FORMAT})}
        _write(self.folder / LAST, snapshot.tensors, header)
        for file in self.folder.glob("*.safetensors"):
            if file.name not in (LAST, self._best(int(snapshot.meta["best_epoch"])).name):
                file.unlink()

    def load(self) -> Snapshot | None:
        """The last saved moment; None where there is none.

        Raises:
            CheckpointError: the file is damaged, or of another format.
        """
        file = self.folder / LAST
        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="pt") as stream:
                meta = json.loads((stream.metadata() or {})["radiolucent-state"])
            tensors = load_file(file)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{file}: damaged ({error}); delete {self.folder} to start this training again."
            ) from error
        if meta.get("format") != FORMAT:
            raise CheckpointError(
                f"{file}: state of format {meta.get('format')}, this version reads {FORMAT}; delete {self.folder} to "
                "start this training again."
            )
        return Snapshot(meta, tensors)

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:04d}.safetensors"

    def save_best(self, epoch: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the weights of an epoch that is the best so far."""
        _write(self._best(epoch), tensors, {})

    def load_best(self, epoch: int) -> dict[str, torch.Tensor]:
        """The weights `save_best` wrote.

        Raises:
            CheckpointError: they are missing or damaged.
        """
        file = self._best(epoch)
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: {error}; delete {self.folder} to start this training again.") from error


def _write(file: Path, tensors: Mapping[str, torch.Tensor], header: dict[str, str]) -> None:
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_tensors(file, whole, header)


def optimizer_tensors(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, torch.Tensor]:
    """The optimizer's tensors as `<quantity>.<parameter name>`."""
    return {
        f"{quantity}.{name}": value
        for name, parameter in network.named_parameters()
        for quantity, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put back what `optimizer_tensors` gave, in each parameter's own layout."""
    parameters = dict(network.named_parameters())
    for name, value in tensors.items():
        quantity, _, owner = name.partition(".")
        parameter = parameters[owner]
        fits = value.shape == parameter.shape
        own = torch.empty_like(parameter).copy_(value) if fits else value.to(parameter.device)
        optimizer.state[parameter][quantity] = own.detach()


def hash_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def loader_fingerprint(loader: Any, seed: int) -> str:
    """What tells data sets apart: the loader's own `fingerprint`, or its length and the first batch it gives."""
    own = getattr(loader, "fingerprint", None)
    if own is not None:
        return str(own() if callable(own) else own)
    if hasattr(loader, "set_epoch"):
        loader.set_epoch(0)
    torch.manual_seed(seed)
    inputs, labels, *masks = next(iter(loader))
    first = {"inputs": inputs, "labels": labels} | {f"mask{i}": mask for i, mask in enumerate(masks)}
    return f"{len(loader)} batches, {hash_tensors(first)[:16]}"


def differences(there: Mapping[str, Any], here: Mapping[str, Any], path: str = "") -> list[str]:
    """Where two nested mappings differ, in words.

    >>> differences({"lr": 0.1, "data": {"val": "a"}}, {"lr": 0.2, "data": {"val": "a"}})
    ['lr: 0.1 there, 0.2 here']
    """
    found: list[str] = []
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{path}{key}.")
        elif old != new:
            found.append(f"{path}{key}: {old} there, {new} here")
    return found


def refuse_other(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise unless the saved run is this run.

    Raises:
        ConfigError: it is another; the message lists what differs.
    """
    changed: Sequence[str] = differences(there, here)
    if changed:
        raise ConfigError(
            f"{folder}: holds the state of another training ({'; '.join(changed)}). Give another output folder, go "
            "back to those settings, or start again with resume=False."
        )
