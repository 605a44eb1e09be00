"""A training run: everything the loop holds between steps, how it begins and how it is saved."""

import copy
import dataclasses
import math
import platform
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from radiolucent.errors import ConfigError, DataError
from radiolucent.models import (
    UNFINISHED,
    Classifier,
    FrozenPrefix,
    freeze,
    frozen_prefix,
    save,
    set_train_mode,
    why_no_prefix,
)
from radiolucent.training.config import TrainConfig
from radiolucent.training.distributed import Processes
from radiolucent.training.ema import MovingAverage
from radiolucent.training.epoch_sums import EpochSums
from radiolucent.training.groups import GroupWeights
from radiolucent.training.logs import EpochResult
from radiolucent.training.objective import Objective
from radiolucent.training.optimizer import make_optimizer
from radiolucent.training.prefix import FrozenFeatures
from radiolucent.training.schedule import Plateau, learning_rate
from radiolucent.training.state import Snapshot, StateFolder, optimizer_tensors, restore_optimizer

__all__ = ["Run", "reproducible"]

Batches = Iterable[tuple[torch.Tensor, ...]]


class _Cut(nn.Module):
    """The network, or the part of it behind its frozen prefix."""

    def __init__(self, network: nn.Module, cut: FrozenPrefix | None) -> None:
        super().__init__()
        self.network, self.cut = network, cut

    def forward(self, inputs: torch.Tensor, behind_prefix: bool = False) -> torch.Tensor:
        """Logits (N, K) of images, or of features."""
        out = self.cut.rest(inputs) if behind_prefix and self.cut is not None else self.network(inputs)
        return out[0] if isinstance(out, tuple) else out


class Run:
    """The state of one training.

    Attributes:
        epoch, step: finished epochs, and finished steps of the one under way. steps: of an epoch.
        history, best_epoch, best_loss, notes: so far; best_epoch from 1, 0: none yet.
        network: the network that learns, on the device. learning: its parameters that do.
        average: moving average of the weights, or None. groups: weights of group DRO, or None.
    """

    def __init__(
        self,
        classifier: Classifier,
        train: Batches,
        val: Batches,
        config: TrainConfig,
        processes: Processes,
        folder: Path | None,
    ) -> None:
        self.classifier, self.train, self.val, self.config, self.processes, self.folder = (
            classifier, train, val, config, processes, folder,
        )  # fmt: skip
        self.network = classifier.network
        self.cut = frozen_prefix(self.network)
        self._plain = _Cut(self.network, self.cut)
        self._wrapped = processes.wrap(self._plain)
        self.learning = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.network, config)
        self.average = None if config.ema is None else MovingAverage(self.network, config.ema)
        self.groups: GroupWeights | None = None
        self.objective: Objective
        self.state = None if folder is None else StateFolder(folder / "state")
        self.identity: dict[str, Any] = {}
        self.precision: tuple[str, str] = ("32", "as asked")
        self.epoch, self.step = 0, 0
        self.steps = int(processes.largest([len(cast(Any, train))])[0])
        self.history: list[EpochResult] = []
        self.best_epoch, self.best_loss = 0, math.inf
        self.plateau = Plateau()
        self.notes: list[str] = []
        self.sums = EpochSums(processes.device)
        self._best: dict[str, torch.Tensor] = {}
        self.features = FrozenFeatures(config, processes.size, self._prefix, folder and folder / "state", self.note)
        self.frozen = any(not p.requires_grad for p in self.network.parameters())

    # --- steps ---

    def rate(self) -> float:
        """The learning rate of the step under way (after an epoch: of its last)."""
        step = self.epoch * self.steps + min(self.step, self.steps - 1)
        return learning_rate(self.config, step, self.steps, self.plateau.scale)

    @property
    def on_plain_cpu(self) -> bool:
        """Whether all is computed in 32 bits on a CPU, with single backward passes alone."""
        return self.processes.device.type == "cpu" and self.precision[0] == "32" and not self.config.penalised

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits for learning."""
        return self._wrapped(inputs, self.features.train is not None)

    def evaluate(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits for validation; no exchange with other processes, who may have more or fewer batches."""
        with self.processes.autocast():
            return self._plain(inputs, self.features.val is not None)

    def seed_step(self) -> None:
        """Make all noise of a step a function of (seed, epoch, step, process) alone, so that nothing need be saved."""
        words = np.random.SeedSequence([self.config.seed, self.epoch, self.step, self.processes.rank]).generate_state(2)
        torch.manual_seed((int(words[0]) << 32 | int(words[1])) >> 1)

    def train_batches(self) -> Iterator[tuple[tuple[torch.Tensor, ...], float]]:
        """The epoch's batches from `step` on, on the device, each with 1, or 0 for a repeated one.

        Where other processes have more batches, the last is repeated with weight 0 until they are through.
        """
        if hasattr(self.train, "set_epoch"):
            cast(Any, self.train).set_epoch(self.epoch)
        self.network.eval()
        kept = self.features.keep_train(self.train) if self._separable() else None
        set_train_mode(self.network)
        source = kept.batches(self.step) if kept is not None else self._loaded()
        last: tuple[torch.Tensor, ...] | None = None
        while self.step < self.steps:
            self.seed_step()
            batch = next(source, None)
            if batch is None and self.processes.size == 1:
                return
            mine = self.processes.share(self.train, *batch) if batch is not None else None
            counts = 1.0 if mine is not None and len(mine[1]) else 0.0
            chosen = mine if counts else (last or batch)
            if chosen is None or (mine is None and last is None):
                raise DataError(f"process {self.processes.rank} got no training batch; use fewer processes.")
            last = chosen
            yield self._placed(*last), counts

    def _loaded(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """The loader's batches; those that a resumed epoch has had are drawn and dropped, so that noise is the same."""
        resumed, self.step = self.step, 0
        self.seed_step()
        source = iter(self.train)
        for self.step in range(resumed):
            self.seed_step()
            next(source, None)
        self.step = resumed
        self.seed_step()
        yield from source

    def val_batches(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """The validation batches on the device, behind the prefix where that is kept; with group DRO their groups."""
        if hasattr(self.val, "set_epoch"):
            cast(Any, self.val).set_epoch(0)
        kept = self.features.keep_val(self.val, self._val_shares) if self._separable() else None
        for batch in kept if kept is not None else self._val_shares():
            yield self._placed(*batch)

    def _separable(self) -> bool:
        """Whether the frozen layers are a first part of the network."""
        if self.cut is None and self.frozen and self.config.cache_prefix == "auto":
            self.note(f"frozen layers are computed every epoch: {why_no_prefix(self.network)}")
        return self.cut is not None

    def _val_shares(self) -> Iterator[tuple[torch.Tensor, ...]]:
        for batch in self.val:
            parts = batch if self.groups is not None else batch[:2]
            mine = self.processes.share(self.val, *parts)
            if len(mine[1]):
                yield mine

    def _placed(self, inputs: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
        layout = torch.channels_last if inputs.ndim == 4 else torch.preserve_format
        device = self.processes.device
        placed = [other.to(device, non_blocking=True) for other in others]
        return inputs.to(device, memory_format=layout, non_blocking=True), *placed

    @torch.no_grad()
    def _prefix(self, inputs: torch.Tensor) -> torch.Tensor:
        """Features behind the frozen first layers, on the device."""
        assert self.cut is not None
        with self.processes.autocast():
            return self.cut.prefix(self._placed(inputs)[0])

    # --- between epochs ---

    @contextmanager
    def averaged(self) -> Generator[None]:
        """Inside the block the network has its averaged weights, where there are any."""
        with self.average.applied() if self.average is not None else nullcontext():
            yield

    def agree_on_buffers(self) -> None:
        """Give all processes the first one's batch-norm statistics."""
        self.processes.same(list(self.network.buffers()))

    def check_finite(self, inputs: torch.Tensor | None) -> None:
        """Raise if a loss of this epoch was not finite.

        Raises:
            DataError: the images are not. ConfigError: the training diverged.
        """
        if self.sums.finite():
            return
        where = f"epoch {self.epoch + 1}, step {self.step}"
        if inputs is not None and not bool(torch.isfinite(inputs).all()):
            raise DataError(f"{where}: images with values that are not finite; check the loader's normalisation.")
        hints = [f"a lower lr (now {self.config.lr:g})"]
        hints += ["grad_clip=1.0"] if self.config.grad_clip is None else []
        hints += ["a longer warm-up"] if self.config.schedule == "cosine" else []
        hints += ["precision='32'"] if self.precision[0] == "bf16" else []
        raise ConfigError(f"{where}: the training loss is not finite, the training diverged; try {', '.join(hints)}.")

    def keep_best(self, loss: float) -> None:
        """Remember the network's weights, as they are now, as the best."""
        self.best_epoch, self.best_loss = self.epoch + 1, loss
        self._best = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
        if self.state is not None and self.folder is not None and self.processes.leads:
            self.state.save_best(self.best_epoch, self._best)
            self.write_classifier(f"epoch {self.best_epoch} of {self.config.epochs} is the best so far, not calibrated")

    def next_epoch(self) -> None:
        """Step on."""
        self.epoch, self.step, self.sums = self.epoch + 1, 0, EpochSums(self.processes.device)

    @property
    def stopped_early(self) -> bool:
        """Whether the validation loss has not fallen for `early_stop` epochs."""
        patience = self.config.early_stop
        return patience is not None and self.best_epoch > 0 and self.epoch - self.best_epoch >= patience

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    # --- saving ---

    def save(self) -> None:
        """Write the state; does nothing without a folder."""
        if self.state is None:
            return
        totals = self.sums.totals(self.processes)
        if not self.processes.leads:
            return
        tensors = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"optimizer.{n}": t for n, t in optimizer_tensors(self.optimizer, self.network).items()}
        if self.average is not None:
            tensors |= {f"ema.{n}": t for n, t in self.average.values.items()}
        if self.groups is not None:
            tensors["groups.log_q"] = self.groups.log_q
        meta = {
            "identity": self.identity,
            "precision": list(self.precision),
            "epoch": self.epoch,
            "step": self.step,
            "tally": totals,
            "history": [result.to_dict() for result in self.history],
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "plateau": dataclasses.asdict(self.plateau),
            "ema_steps": self.average.steps if self.average is not None else 0,
            "notes": self.notes,
        }
        self.state.save(Snapshot(meta, tensors))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a saved moment."""
        assert self.state is not None
        meta = snapshot.meta
        self.network.load_state_dict(snapshot.part("network"))
        restore_optimizer(self.optimizer, self.network, snapshot.part("optimizer"))
        if self.average is not None:
            self.average.restore(snapshot.part("ema"), int(meta["ema_steps"]))
        if self.groups is not None:
            self.groups.log_q = snapshot.part("groups")["log_q"].to(self.processes.device)
        self.epoch, self.step = int(meta["epoch"]), int(meta["step"])
        if self.processes.leads:
            self.sums = EpochSums(self.processes.device, meta["tally"])
        self.history = [EpochResult(**row) for row in meta["history"]]
        self.best_epoch, self.best_loss = int(meta["best_epoch"]), float(meta["best_loss"])
        self.plateau = Plateau(**meta["plateau"])
        self.notes = list(meta["notes"])
        if self.best_epoch:
            self._best = self.state.load_best(self.best_epoch)
        over = self.epoch == self.config.epochs or self.stopped_early
        self.note("was finished already" if over else f"resumed in epoch {self.epoch + 1} after step {self.step}")

    # --- the end ---

    def load_best(self) -> None:
        """Give the network the best epoch's weights, and eval mode."""
        if self.stopped_early:
            self.note(f"stopped after epoch {self.epoch}: no lower validation loss since epoch {self.best_epoch}")
        self.network.load_state_dict(self._best)
        self.network.eval()

    def write_classifier(self, unfinished: str = "") -> None:
        """Write `model.safetensors` of the network as it is, marked unfinished where it is; `load` then says so."""
        if self.folder is not None and self.processes.leads:
            now = self.finished_classifier()
            mark = {UNFINISHED: unfinished} if unfinished else {}
            save(now.with_(provenance={**now.provenance, **mark}), self.folder / "model.safetensors")

    def finished_classifier(self) -> Classifier:
        """The classifier around the network as it is, with how it was trained in its provenance."""
        trained = {
            "config": self.config.to_dict(),
            "precision": self.precision[0],
            "best_epoch": self.best_epoch,
            "val_loss": self.best_loss,
            "train_data": self.identity.get("train"),
            "val_data": self.identity.get("val"),
            "processes": self.processes.size,
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
        }
        return self.classifier.with_(provenance={**self.classifier.provenance, "training": trained})


@contextmanager
def reproducible() -> Generator[None]:
    """Inside the block torch's generators may be seeded and cuDNN computes the same every time; both are put back."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices):
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


def copied(classifier: Classifier, spec: str) -> Classifier:
    """The classifier with a copy of its network, its first layers frozen as asked, in channels-last layout."""
    network = copy.deepcopy(classifier.network).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    freeze(network, spec)
    return classifier.with_(network=network)
