"""How a run begins: copy and freeze, find a saved state, choose the precision, weigh the classes."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from radiolucent.errors import ConfigError, DataError
from radiolucent.files import write_json
from radiolucent.models import Classifier
from radiolucent.training.config import TrainConfig
from radiolucent.training.distributed import Processes, world
from radiolucent.training.groups import GroupWeights
from radiolucent.training.objective import Objective, balanced_weights
from radiolucent.training.precision import choose_precision
from radiolucent.training.run import Batches, Run, copied
from radiolucent.training.state import StateFolder, hash_tensors, loader_fingerprint, refuse_other

__all__ = ["prepare"]

WORTH_MEASURING = 100
"""Steps in all below which the precision is not measured."""


def prepare(
    classifier: Classifier, train: Batches, val: Batches, config: TrainConfig, folder: Path | None, resume: bool
) -> Run:
    """A run ready to go, or to go on.

    Raises:
        ConfigError: the saved state is of another training. DataError: the loaders are empty or have no length.
    """
    for name, loader in (("training", train), ("validation", val)):
        if not hasattr(loader, "__len__") or not len(cast(Any, loader)):
            raise DataError(f"the {name} loader is empty or has no length; expected at least one batch.")
    identity = identify(classifier, train, val, config)
    own = copied(classifier, config.freeze)
    state = None if folder is None else StateFolder(folder / "state")
    snapshot = state.load() if state is not None and resume else None
    if snapshot is not None and state is not None:
        refuse_other(state.folder, snapshot.meta["identity"], identity)
    precision = tuple(snapshot.meta["precision"]) if snapshot is not None else _precision(own, train, config)
    run = Run(own, train, val, config, Processes(precision[0]), folder)
    run.identity, run.precision = identity, cast(tuple[str, str], precision)
    run.objective = Objective(
        own.head, len(own.class_names), own.positive, config.label_smoothing, _class_weights(own, train, config)
    )
    if config.group_rate:
        counts = _group_counts(train)
        run.groups = GroupWeights(counts, config.group_rate, config.group_adjustment, run.processes.device)
    run.note(f"precision {precision[0]}: {precision[1]}")
    if snapshot is not None:
        run.restore(snapshot)
    elif state is not None and run.processes.leads:
        state.clear()
    if folder is not None and run.processes.leads:
        write_json(folder / "config.json", config.to_dict())
    return run


_LATER = {
    name: getattr(TrainConfig(), name)
    for name in (
        "right_reasons", "relevance", "relevance_low", "relevance_high", "group_rate", "group_adjustment",
    )
}  # fmt: skip


def identify(classifier: Classifier, train: Batches, val: Batches, config: TrainConfig) -> dict[str, Any]:
    """What makes this training this one: nobody may go on from another's state."""
    return {
        # Without an option a state is the same as one saved before there was the option.
        "config": {k: v for k, v in config.to_dict().items() if k not in _LATER or v != _LATER[k]},
        "classes": ", ".join(classifier.class_names),
        "head": classifier.head,
        "starting weights": hash_tensors(classifier.network.state_dict())[:16],
        "train": loader_fingerprint(train, config.seed),
        "val": loader_fingerprint(val, config.seed),
        "processes": world()[1],
    }


def _precision(classifier: Classifier, train: Batches, config: TrainConfig) -> tuple[str, str]:
    if config.precision != "auto":
        return config.precision, "as asked"
    if config.epochs * len(cast(Any, train)) < WORTH_MEASURING and not torch.cuda.is_available():
        return "32", "too few steps to measure whether another is faster"
    inputs = next(iter(train))[0]
    return choose_precision(classifier.network, inputs.to(memory_format=torch.channels_last))


def _class_weights(classifier: Classifier, train: Batches, config: TrainConfig) -> tuple[float, ...] | None:
    if config.class_weights == "none":
        return None
    counts = getattr(train, "class_counts", None)
    if counts is None:
        classes = len(classifier.class_names)
        counts = sum(np.bincount(labels.numpy(), minlength=classes) for _, labels, *_ in train)
    return tuple(balanced_weights([int(c) for c in cast(Any, counts)]))


def _group_counts(train: Batches) -> list[int]:
    """Training examples of each group."""
    counts = getattr(train, "group_counts", None)
    if counts is None:
        parts = [batch[-1] for batch in train if len(batch) > 2 and batch[-1].ndim == 1]
        counts = torch.cat(parts).bincount().tolist() if parts else []
    if len(counts) < 2:
        raise ConfigError(
            f"group_rate, and {len(counts)} groups; expected batches that end with each example's group, of two or "
            "more (Loader(groups=…))."
        )
    return [int(c) for c in counts]
