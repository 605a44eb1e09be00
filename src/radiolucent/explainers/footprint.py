"""How much memory a film takes under some methods, and methods kept within a bound."""

import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from radiolucent.explainers.base import Explainer
from radiolucent.explainers.explain import explain
from radiolucent.explainers.perturbation.copies import LARGEST_BATCH, Perturbation
from radiolucent.models import Classifier
from radiolucent.types import Radiograph

__all__ = ["MEMORY_ONLY", "bounded", "bytes_per_film"]

MEMORY_ONLY = ("batch_size", "max_memory_mb")
"""Parameters of methods that bound their memory and leave their maps alone."""


class _Live(TorchDispatchMode):
    """Bytes of the tensors made meanwhile that are still in use, and the most there were at once."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled meanwhile, and torch would load its compiler (seconds) to say so

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.now, self.peak = 0, 0
        by_identity: Any = WeakIdKeyDictionary
        self.known: Any = by_identity(ref_type=weakref.ref)
        for own in (*network.parameters(), *network.buffers()):  # views of them take nothing
            self.known[own.untyped_storage()] = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, torch.Tensor):
                self._note(value.untyped_storage())
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage in self.known:
            return
        size = storage.nbytes()
        self.known[storage] = size
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, size).atexit = False

    def _freed(self, size: int) -> None:
        self.now -= size


def bytes_per_film(
    classifier: Classifier, film: Radiograph, methods: Sequence[Explainer], targets: Sequence[int] | None = None
) -> int:
    """The most bytes of tensors in use at once while a film is explained, beside the network's own.

    Measured on one film with one altered copy a pass, by adding up what every operation makes and taking off what is
    freed. Methods that take films one by one bound themselves (`Perturbation.max_memory_mb`) and are not counted.
    """
    shared = [_with_batch(m, 1) for m in methods if not m.one_by_one]
    if not shared:
        return 0
    with _Live(classifier.network) as live:
        explain(classifier, film, shared, target=None if targets is None else list(targets))
    return live.peak


def bounded(
    classifier: Classifier,
    film: Radiograph,
    methods: Sequence[Explainer],
    megabytes: float,
    targets: Sequence[int] | None = None,
    *,
    films: int | None = None,
) -> tuple[list[Explainer], int, int]:
    """Methods that keep within a bound, the films that they may be given at once, and the bytes a film takes.

    Half the bound goes to films and what is computed of them together; where methods perturb films one by one, the
    other half is theirs. A film and a copy take at least one pass each, however low the bound.

    Args:
        films: how many there are. A single one is not measured, where nothing would be done otherwise by it.
    """
    alone = any(m.one_by_one for m in methods)
    share = megabytes * 2**20 * (0.5 if alone else 1.0)
    if films == 1 and all(_with_batch(m, 1) is m for m in methods):
        return [_with_memory(m, megabytes * (0.5 if len(methods) > 1 else 1.0)) for m in methods], 1, 0
    each = bytes_per_film(classifier, film, methods, targets)
    if not each:
        return [_with_memory(m, megabytes) for m in methods], 1, 0
    fits = min(max(int(share // each), 1), LARGEST_BATCH)
    return [_with_memory(_with_batch(m, fits), megabytes / 2) for m in methods], fits, each


def _with_batch(method: Explainer, size: int) -> Explainer:
    """The method with at most so many copies a pass, where it makes copies of films together."""
    given: Any = method
    own = getattr(given, "batch_size", None)
    if method.one_by_one or not isinstance(own, int) or own <= size:
        return method
    return cast(Explainer, dataclasses.replace(given, batch_size=size))


def _with_memory(method: Explainer, megabytes: float) -> Explainer:
    if not isinstance(method, Perturbation) or method.max_memory_mb <= megabytes:
        return method
    return dataclasses.replace(method, max_memory_mb=megabytes)
