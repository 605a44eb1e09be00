"""Weights from the hub or from a file, with every tensor accounted for."""

import contextlib
import dataclasses
import io
import logging
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from radiolucent.errors import WeightsError

__all__ = ["WeightsReport", "load_weights", "needs_hub", "settle_missing"]

BatchNorm = nn.modules.batchnorm._BatchNorm  # pyright: ignore[reportPrivateUsage]


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors came from the weights.

    Attributes:
        source: file, hub name or "random".
        loaded: names taken over.
        missing: names the weights lack; initialised afresh.
        unexpected: names the network lacks; ignored.
        mismatched: names of another shape ("name (got …, expected …)"); initialised afresh.
        beside: names outside the network's prefix, of a loss, a metric or a counter; ignored.
        reset: batch norms whose running statistics were reset, because the layer before them is one of those.
    """

    source: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"weights: {self.source}; {len(self.loaded)} tensors loaded"]
        for name, items in (
            ("missing, initialised afresh", self.missing),
            ("other shape, initialised afresh", self.mismatched),
            ("running statistics reset", self.reset),
            ("unexpected, ignored", self.unexpected),
            ("not of the network, ignored", self.beside),
        ):
            if items:
                lines.append(f"  {name}: {', '.join(items)}")
        return "\n".join(lines)


_HOLDERS = ("state_dict", "model", "model_state_dict")
"""What trainers call the state dict in a file that also holds other things."""


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(9)


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file; check --weights, or use --no-pretrained.")
    try:
        if path.suffix == ".safetensors" or _head(path)[8:] == b"{":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise many kinds
        raise WeightsError(
            f"{path}: not readable as safetensors or a plain PyTorch state dict ({_why(error)}); nothing is unpickled "
            "beyond tensors. Save model.state_dict(), with safetensors or torch.save."
        ) from error
    whole = found
    while isinstance(found, dict) and (key := next((k for k in _HOLDERS if isinstance(found.get(k), dict)), None)):
        found = found[key]
    if isinstance(found, dict) and len(alone := [v for v in found.values() if _of_tensors(v) and v]) == 1:
        found = alone[0]
    if _of_tensors(found):
        _refuse_another(whole, found, path)
    else:
        has = f" It has {', '.join(map(str, list(found)[:6]))}." if isinstance(found, dict) else ""
        raise WeightsError(
            f"{path}: holds no state dict of tensors, alone or as {', '.join(_HOLDERS)}.{has} Save model.state_dict()."
        )
    return found


def _why(error: Exception) -> str:
    """What is wrong with a file, without torch's advice to read it with less care."""
    words = str(error)
    if "TorchScript" in words:
        return "it is a TorchScript archive"
    kind = re.search(r"GLOBAL (\S+)", words)
    if kind is not None:
        return f"it holds Python objects: {kind[1]}"
    return f"damaged, or of another kind: {words[:200].partition(chr(10))[0]}"


def _of_tensors(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, torch.Tensor) for v in value.values())


def _kept_in(found: object, at: str = "") -> Generator[tuple[str, Mapping[Any, torch.Tensor]]]:
    """Every state dict or list of tensors in a file, with its keys; an optimiser's are none."""
    if isinstance(found, list | tuple):
        found = dict(enumerate(found))
    if not isinstance(found, dict):
        return
    if found and _of_tensors(found):
        yield at, found
        return
    for key, value in found.items():
        if "optim" not in str(key).lower():
            yield from _kept_in(value, f"{at}.{key}" if at else str(key))


def _refuse_another(whole: object, chosen: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse a file that keeps other numbers for as many matrices of the same shapes, such as a moving average."""

    def matrices(state: Mapping[Any, torch.Tensor]) -> Counter[torch.Size]:
        return Counter(t.shape for t in state.values() if t.ndim > 1)

    def differs(state: Mapping[Any, torch.Tensor]) -> bool:
        return state.keys() != chosen.keys() or not all(torch.equal(state[k], t) for k, t in chosen.items())

    alike = [(at, state) for at, state in _kept_in(whole) if matrices(state) == matrices(chosen) != Counter()]
    if any(state is not chosen and differs(state) for _, state in alike):
        raise WeightsError(
            f"{path}: holds the network's weights {len(alike)} times, under {' and '.join(at for at, _ in alike)}, "
            "such as a network and its moving average, or a teacher and its pupil; save the one that is meant."
        )


def load_weights(network: nn.Module, path: Path) -> WeightsReport:
    """Load what fits of a weight file into `network`; report what is missing, unexpected or of another shape.

    Raises:
        WeightsError: the file is missing, damaged, or nothing in it fits.
    """
    own = network.state_dict()
    found, beside = _plainly_named(_read(path), dict(network.named_parameters()), path)
    if odd := next((n for n, t in found.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())), None):
        raise WeightsError(f"{path}: {odd} holds NaN or infinity; its training failed: take an earlier checkpoint.")
    fits = {n: t for n, t in found.items() if n in own and own[n].shape == t.shape}
    if not fits:
        raise WeightsError(
            f"{path}: none of its {len(found)} tensors fits the network (e.g. {next(iter(found), 'none')}; the network "
            f"has e.g. {next(iter(own))}); name the model these weights belong to."
        )
    network.load_state_dict(fits, strict=False)
    mismatched = [
        f"{n} (got {tuple(t.shape)}, expected {tuple(own[n].shape)})"
        for n, t in found.items()
        if n in own and n not in fits
    ]
    shared = {(own[n].data_ptr(), own[n].shape) for n in fits}  # tied weights, which safetensors keeps once
    missing = [
        n
        for n, t in own.items()
        if n not in found and not n.endswith("num_batches_tracked") and (t.data_ptr(), t.shape) not in shared
    ]
    return WeightsReport(
        str(path.name),
        tuple(fits),
        tuple(missing),
        tuple(n for n in found if n not in own),
        tuple(mismatched),
        beside=beside,
    )


def _plainly_named(
    found: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], path: Path
) -> tuple[Mapping[str, torch.Tensor], tuple[str, ...]]:
    """The tensors without the prefix under which they fit best, and names outside it that are none of a network.

    A prefix is what a trainer or wrapper called the network, such as "module." (DataParallel), "_orig_mod."
    (torch.compile) or "model." (Lightning). Names that fit as they are go first.

    Args:
        weights: the network's, without its buffers, which a moving average may have or not.

    Raises:
        WeightsError: two prefixes fit alike, as those of a network and of its moving average.
    """
    hits: Counter[str] = Counter()
    for name, tensor in found.items():
        parts = name.split(".")
        for k in range(len(parts)):
            plain = ".".join(parts[k:])
            if plain in weights and weights[plain].shape == tensor.shape:
                hits[name.removesuffix(plain)] += 1
    most = max(hits.values(), default=0)
    best = sorted(prefix for prefix, count in hits.items() if count == most)
    if not best or "" in best:
        return found, ()
    if len(best) > 1:
        raise WeightsError(
            f"{path}: holds the network's weights {len(best)} times, under {' and '.join(best)}, such as a network and "
            "its moving average; save the one that is meant."
        )
    under = {name.removeprefix(best[0]): tensor for name, tensor in found.items() if name.startswith(best[0])}
    others = {name: tensor for name, tensor in found.items() if not name.startswith(best[0])}
    if all(t.ndim < 2 and name not in weights for name, t in others.items()):  # a layer would have a matrix
        return under, tuple(others)
    return others | under, ()


def settle_missing(network: nn.Module, report: WeightsReport) -> WeightsReport:
    """Reset the batch norm behind a freshly initialised convolution: its statistics are another weight's.

    A fresh convolution of variance-keeping scale gives values of about mean 0 and variance 1, which is what the reset
    statistics say; scale and shift are kept, so that what follows sees the distribution it was trained on.
    """
    fresh = {n.rsplit(".", 1)[0] for n in (*report.missing, *(m.split(" ")[0] for m in report.mismatched))}
    modules = list(network.named_modules())
    reset: list[str] = []
    for index, (name, module) in enumerate(modules):
        if name in fresh and isinstance(module, nn.Conv2d):
            after = next(((n, m) for n, m in modules[index + 1 :] if isinstance(m, BatchNorm)), None)
            if after is not None and after[1].num_features == module.out_channels:
                after[1].reset_running_stats()
                reset.append(after[0])
    return dataclasses.replace(report, reset=tuple(reset))


def _reachable(seconds: float = 5.0) -> bool:
    """Whether the hub answers at all; one question instead of the client's minute of retries."""
    from huggingface_hub import constants

    try:
        with urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=seconds):
            return True
    except urllib.error.HTTPError:  # an answer
        return True
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def needs_hub(name: str) -> Generator[None]:
    """Turn whatever a failed download raises into an error that says what to do, without minutes of retries.

    Where the hub cannot be reached, weights that were downloaded before are still found.

    Raises:
        WeightsError: there are none, or they cannot be had.
    """
    import timm
    from huggingface_hub import constants

    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise WeightsError(f"there are no ImageNet weights of {name!r}; use --weights FILE or --no-pretrained.")
    quiet = logging.getLogger("huggingface_hub")
    level, offline = quiet.level, constants.HF_HUB_OFFLINE
    quiet.setLevel(logging.CRITICAL)
    constants.HF_HUB_OFFLINE = offline or not _reachable()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    except Exception as error:
        raise WeightsError(
            f"ImageNet weights of {name!r} could not be had from the hub ({type(error).__name__}). Without network, "
            "give a file with --weights FILE (partial files are fine), or train from scratch with --no-pretrained."
        ) from error
    finally:
        quiet.setLevel(level)
        constants.HF_HUB_OFFLINE = offline
